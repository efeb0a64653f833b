//! The registry: every mistake with a name, in the order in which they are looked for. What can be seen with certainty
//! comes first, then what is undone on a trace, then what is tried, and last other texts under the signature.

mod body;
mod encoding;
mod head;
pub mod history;
pub(super) mod index;
mod keys;
mod print;
pub(super) mod secrets;
mod signing;
mod slots;
#[cfg(all(test, feature = "simulate"))]
mod tests;
mod time;
mod tries;
mod values;
#[cfg(all(test, feature = "simulate"))]
#[path = "findings/tests/world.rs"]
mod world;

use super::Finding;

/// Every finding. Adding one is an entry in a file of this folder, and its line here.
pub const FINDINGS: &[&Finding] = &[
    &head::PROBE,
    &body::BODY_EMPTY,
    &head::METHOD,
    &head::HEADER_DOUBLED,
    &head::HEADER_JOINED,
    &head::HEADER_RENAMED,
    &head::MEDIA_TYPE,
    &body::BOM,
    &body::LINE_ENDS,
    &encoding::DECODED_TWICE,
    &encoding::PLUS_LOST,
    &encoding::ENCODED_TWICE,
    &encoding::HTML_ESCAPED,
    &encoding::SLASHES_ADDED,
    &encoding::CHARSET_CHANGED,
    &print::XML_REPRINTED,
    &print::JSON_REPRINTED,
    &print::FORM_REPRINTED,
    &time::MILLISECONDS,
    &time::CLOCK_WRONG,
    &head::QUERY_MIXED,
    &head::URL_CHANGED,
    &keys::OTHER_CHANNEL,
    &keys::OTHER_ENVIRONMENT,
    &keys::OTHER_PLATFORM,
    &keys::KEY_ENDED,
    &secrets::SECRET_BLANKS,
    &keys::KEY_OF_OTHER_CHANNEL,
    &keys::KEYS_SWAPPED,
    &secrets::SECRET_ENCODING,
    &secrets::OWN_PUBLIC_KEY,
    &secrets::MERCHANT_CERTIFICATE,
    &secrets::KEY_KIND,
    &secrets::DECRYPTION_KEY,
    &body::BODY_CUT,
    &head::HEADER_MISSING,
    &head::HEAD_NOT_KEPT,
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
    &keys::OTHER_MERCHANT,
    &keys::UNKNOWN_KEY,
    &secrets::KEY_SHARED,
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
