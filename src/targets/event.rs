//! The unified event, as applications receive it: over HTTP, and from queues.
//!
//! Its shape is a promise to applications: names are added, never changed or taken away. The order of the
//! keys is always the same.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use tollbell_channels::model::{EventKind, Money};

use super::{Envelope, EventView};

/// Most bytes of names and values in `fields`; a platform's message has a few kilobytes. What does not fit
/// is left out whole, and `fields_cut` says so.
pub(super) const FIELDS_BYTES_MAX: usize = 64 * 1024;

/// One event, one attempt.
#[derive(Debug, Serialize)]
pub(super) struct Event<'e> {
    /// `evt_…`: the same on every attempt and replay; what an application dedupes by.
    id: &'e str,
    /// What happened: `payment.succeeded`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it happened by the platform, else when it was recorded: the same on every attempt.
    timestamp: String,
    data: Data<'e>,
}

#[derive(Debug, Serialize)]
struct Data<'e> {
    merchant: &'e str,
    channel: &'e str,
    environment: &'static str,
    order_no: Option<&'e str>,
    platform_no: Option<&'e str>,
    amount: Option<Amount>,
    /// The running total that the platform states, for refunds.
    total: Option<Amount>,
    /// When the payment was made; null for everything else.
    paid_at: Option<String>,
    origin: &'static str,
    attempt: u32,
    fields: Fields,
    #[serde(skip_serializing_if = "is_false")]
    fields_cut: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// An amount in three readings, so that nobody has to calculate with a float.
#[derive(Debug, Serialize)]
struct Amount {
    /// In minor units (fen, cents).
    minor: i64,
    currency: String,
    /// In major units, with the currency's decimals: `10.00`.
    text: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { minor: money.minor, currency: money.currency.code().to_owned(), text: money.to_text() }
    }
}

/// The platform's fields in the message's own order, each name once.
#[derive(Debug)]
struct Fields(Vec<(String, String)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Fields {
    /// The fields that fit, and whether some did not.
    fn within(fields: Vec<(String, String)>, bytes_max: usize) -> (Self, bool) {
        let mut left = bytes_max;
        let mut names = std::collections::HashSet::new();
        let mut is_cut = false;
        let mut kept = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            // Two members of one name are read differently by different readers.
            if !names.insert(name.clone()) {
                continue;
            }
            match left.checked_sub(name.len() + value.len()) {
                Some(rest) => {
                    left = rest;
                    kept.push((name, value));
                }
                None => is_cut = true,
            }
        }
        (Self(kept), is_cut)
    }
}

impl<'e> Event<'e> {
    /// The event of an envelope that holds exactly one.
    pub(super) fn of(envelope: &'e Envelope, event: &'e EventView) -> Self {
        let (fields, fields_cut) = Fields::within((envelope.fields)(), FIELDS_BYTES_MAX);
        let is_payment = matches!(event.kind, EventKind::PaymentSucceeded | EventKind::PaymentFinalized);
        Self {
            id: &event.id,
            kind: event.kind.as_str(),
            timestamp: event.occurred_at.unwrap_or(event.recorded_at).to_string(),
            data: Data {
                merchant: &envelope.merchant,
                channel: &envelope.channel,
                environment: envelope.environment.as_str(),
                order_no: event.order_no.as_deref(),
                platform_no: event.platform_no.as_deref(),
                amount: event.amount.map(Amount::from),
                total: event.total.map(Amount::from),
                paid_at: event.occurred_at.filter(|_| is_payment).map(|at| at.to_string()),
                origin: envelope.origin,
                attempt: envelope.attempt,
                fields,
                fields_cut,
            },
        }
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_are_bounded_and_each_name_comes_once() {
        let (kept, is_cut) = Fields::within(fields(&[("a", "1"), ("a", "2"), ("b", "12345"), ("c", "3")]), 4);
        assert!(is_cut);
        assert_eq!(serde_json::to_string(&kept).unwrap(), r#"{"a":"1","c":"3"}"#);
        let (kept, is_cut) = Fields::within(fields(&[("z", "\"\u{0}中"), ("a", "")]), FIELDS_BYTES_MAX);
        assert!(!is_cut);
        assert_eq!(serde_json::to_string(&kept).unwrap(), r#"{"z":"\"\u0000中","a":""}"#);
    }
}
