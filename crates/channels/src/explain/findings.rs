//! The registry: every mistake with a name, in the order in which they are looked for. What can be seen with certainty
//! comes first, then what is undone on a trace, then what is tried, and last other texts under the signature.

mod body;
pub mod history;

use super::Finding;

/// Every finding. Adding one is an entry in a file of this folder, and its line here.
pub const FINDINGS: &[&Finding] = &[
    &body::BOM,
    &history::REPEATED_AFTER_ANSWER,
    &history::REPLY_WRONG,
    &history::AMOUNT_HUNDREDFOLD,
    &history::OUT_OF_ORDER,
    &history::DUPLICATE,
];

/// The finding of this name.
pub fn by_id(id: &str) -> Option<&'static Finding> {
    FINDINGS.iter().copied().find(|finding| finding.id == id)
}
