//! The registry: every mistake with a name, in the order in which they are looked for. What can be seen with certainty
//! comes first, then what is undone on a trace, then what is tried, and last other texts under the signature.

mod body;
mod signing;

use super::Finding;

/// Every finding. Adding one is an entry in a file of this folder, and its line here.
pub const FINDINGS: &[&Finding] = &[
    &body::BOM,
    &signing::SIGNATURE_ENCODING,
    &signing::DIGEST_CASE,
    &signing::SIGN_TYPE_SIGNED,
    &signing::EMPTY_VALUES_SIGNED,
    &signing::KEY_JOINED_OTHERWISE,
    &signing::SORTED_OTHERWISE,
    &signing::QUERY_SIGNED,
    &signing::LINE_ENDS_SIGNED,
    &signing::HASHED_OTHERWISE,
    &signing::ENCODED_SIGNED,
    &signing::ALGORITHM_OTHER,
    &signing::SIGNED_OTHERWISE,
];

/// The finding of this name.
pub fn by_id(id: &str) -> Option<&'static Finding> {
    FINDINGS.iter().copied().find(|finding| finding.id == id)
}
