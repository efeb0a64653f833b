//! The text that LianLian signs, and what can be cut from it in another way.

use super::message::Message;
use crate::sorted::{Order, join};

/// The fields that the signature covers, sorted by name without regard to case.
pub(super) fn text(message: &Message) -> Vec<u8> {
    join(message.covered().map(|(name, value)| (name.as_bytes(), value.as_bytes())), Order::IgnoringCase)
}

/// The name of a field whose value may be two fields. Joining does not escape, so without the key the same text can be
/// cut elsewhere: who chooses the description of an order could choose its amount, and who sees a genuine notice could
/// make one field swallow the next. The two cannot be told apart, so a person looks.
///
/// A name cannot hold `&` or `=`, so every field that we act on stands behind an `&` in the text or begins it. When no
/// value holds `&` and such a name, each stands where LianLian put it; when none of them holds `&` at all, each ends
/// where LianLian ended it.
pub(super) fn ambiguous_field(message: &Message) -> Option<&str> {
    message.covered().find(|(name, value)| is_ambiguous(name, value)).map(|(name, _)| name)
}

fn is_ambiguous(name: &str, value: &str) -> bool {
    let mut pieces = value.split('&').skip(1).peekable();
    if pieces.peek().is_none() {
        return false;
    }
    let is_acted_on = |name: &str| ACTED_ON.contains(&name);
    is_acted_on(name) || pieces.any(|piece| piece.split_once('=').is_some_and(|(name, _)| is_acted_on(name)))
}

/// Fields whose value changes what we believe about money, or when and to whom it happened.
const ACTED_ON: &[&str] = &[
    "dt_order",
    "dt_refund",
    "money_order",
    "money_refund",
    "no_order",
    "no_refund",
    "oid_partner",
    "oid_paybill",
    "oid_refundno",
    "result_pay",
    "settle_date",
    "sign_type",
    "sta_refund",
];
