//! The registry: every mistake with a name, in the order in which they are looked for. What can be seen with certainty
//! comes first, then what is undone on a trace, then what is tried, and last other texts under the signature.

mod body;
mod encoding;
mod print;
mod tries;
mod values;

use super::Finding;

/// Every finding. Adding one is an entry in a file of this folder, and its line here.
pub const FINDINGS: &[&Finding] = &[
    &body::BODY_EMPTY,
    &body::BOM,
    &body::LINE_ENDS,
    &encoding::PLUS_LOST,
    &encoding::ENCODED_TWICE,
    &encoding::DECODED_TWICE,
    &encoding::HTML_ESCAPED,
    &encoding::SLASHES_ADDED,
    &encoding::CHARSET_CHANGED,
    &print::XML_REPRINTED,
    &print::JSON_REPRINTED,
    &print::FORM_REPRINTED,
    // Seen, but only after what can be proved: a length that does not fit has other reasons, too.
    &body::BODY_CUT,
];

/// The finding of this name.
pub fn by_id(id: &str) -> Option<&'static Finding> {
    FINDINGS.iter().copied().find(|finding| finding.id == id)
}
