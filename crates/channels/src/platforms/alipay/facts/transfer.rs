//! The message service ("From Ant"): `msg_method`, and the content as JSON text in `biz_content`.
//!
//! Only transfers are read. Profit sharing (`alipay.trade.order.settle.notify`) is UNCONFIRMED in its
//! fields, so it stays `other`, as every message that was subscribed and that we do not know.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Reading, money};
use crate::channel::quote;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity};

/// The message about a transfer's state (Alipay Open Platform, message service).
const TRANSFER: &str = "alipay.fund.trans.order.changed";

pub(super) fn read(reading: &mut Reading<'_>, method: &str) -> Vec<Fact> {
    if method == TRANSFER { vec![transfer(reading)] } else { vec![reading.other()] }
}

fn transfer(reading: &mut Reading<'_>) -> Fact {
    let Some(content) = reading.get("biz_content").and_then(Content::parse) else {
        reading.concern(Concern::UnreadableText { field: "biz_content".into() });
        return reading.other();
    };
    let kind = match content.get("status").as_deref() {
        Some("SUCCESS") => EventKind::TransferSucceeded,
        Some("FAIL") => EventKind::TransferFailed,
        // The bank sent it back, sometimes days after it had succeeded.
        Some("REFUND") => EventKind::TransferReturned,
        Some("DEALING") => return reading.other(),
        Some(other) => {
            let value = quote(other);
            reading.concern(Concern::UnknownValue { field: "biz_content.status".into(), value });
            return reading.other();
        }
        None => {
            reading.missing("biz_content.status");
            return reading.other();
        }
    };
    let names = names(reading, &content);
    let mut names = names.into_iter();
    let Some(identity) = names.next() else {
        reading.missing("biz_content.order_id");
        return reading.other();
    };
    let amount = amount(reading, &content);
    let mut fact = reading.fact(kind, identity, amount);
    fact.aliases = names.collect();
    fact.order_no = content.get("out_biz_no").filter(|number| Identity::new(number.as_str()).is_some());
    fact.platform_no = content.get("order_id").filter(|number| Identity::new(number.as_str()).is_some());
    fact.occurred_at = content.get("pay_date").and_then(|time| super::times::read(&time));
    fact
}

/// Theirs and ours, each under a word of its own, since one may look like the other. Our number counts
/// within its product, as the query interface (`alipay.fund.trans.common.query`) has it.
fn names(reading: &mut Reading<'_>, content: &Content) -> Vec<Identity> {
    let theirs = content.get("order_id").map(|number| format!("order:{number}"));
    let product = content.get("product_code").unwrap_or_default();
    let ours = content.get("out_biz_no").map(|number| format!("biz:{product}:{number}"));
    let texts: Vec<String> = theirs.into_iter().chain(ours).collect();
    let names: Vec<Identity> = texts.iter().filter_map(|text| Identity::new(text.as_str())).collect();
    if names.len() < texts.len() {
        reading.unknown("biz_content");
    }
    names
}

fn amount(reading: &mut Reading<'_>, content: &Content) -> Amount {
    let currency = match content.get("currency").or_else(|| content.get("trans_currency")) {
        None => Some(Currency::CNY),
        Some(code) => Currency::parse(&code).ok(),
    };
    let text = content.get("trans_amount");
    let read = text.as_deref().zip(currency).and_then(|(text, currency)| money(text, currency).ok());
    if let Some(money) = read {
        return Amount::Stated(money);
    }
    if text.is_none() {
        reading.missing("biz_content.trans_amount");
    } else {
        reading.unreadable_amount("biz_content.trans_amount");
    }
    Amount::Unreadable
}

/// An object of JSON whose values are kept as they are written, so that no float comes near an amount.
struct Content(BTreeMap<String, Box<RawValue>>);

impl Content {
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// A text, or a number as written; none when absent, empty or blank.
    fn get(&self, name: &str) -> Option<String> {
        let raw = self.0.get(name)?.get();
        let text = match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok()?,
            b'-' | b'0'..=b'9' => raw.to_owned(),
            _ => return None,
        };
        (!text.trim().is_empty()).then_some(text)
    }
}
