//! The registry: every mistake with a name, in the order in which they are looked for. What can be seen with certainty
//! comes first, then what is undone on a trace, then what is tried, and last other texts under the signature.

mod body;
mod head;
#[cfg(all(test, feature = "simulate"))]
mod tests;
mod time;

use super::Finding;

/// Every finding. Adding one is an entry in a file of this folder, and its line here.
pub const FINDINGS: &[&Finding] = &[
    &head::PROBE,
    &head::METHOD,
    &head::HEADER_DOUBLED,
    &head::HEADER_JOINED,
    &head::MEDIA_TYPE,
    &head::HEADER_RENAMED,
    &body::BOM,
    &time::MILLISECONDS,
    &time::CLOCK_WRONG,
    &head::QUERY_MIXED,
    &head::URL_CHANGED,
    &head::HEADER_MISSING,
    &head::HEAD_NOT_KEPT,
];

/// The finding of this name.
pub fn by_id(id: &str) -> Option<&'static Finding> {
    FINDINGS.iter().copied().find(|finding| finding.id == id)
}
