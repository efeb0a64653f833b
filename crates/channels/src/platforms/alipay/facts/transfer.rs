//! Transfers: `alipay.fund.trans.order.changed` of the message service.

use super::message::{Content, named};
use super::{Reading, money, times};
use crate::channel::quote;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity};

pub(super) fn read(reading: &mut Reading<'_>, content: &Content<'_>) -> Fact {
    let kind = match content.get("status") {
        Some("SUCCESS") => EventKind::TransferSucceeded,
        Some("FAIL") => EventKind::TransferFailed,
        // The bank sent it back, sometimes days after it had succeeded.
        Some("REFUND") => EventKind::TransferReturned,
        Some("DEALING") => return named(reading.other(), content, "out_biz_no", "order_id"),
        Some(other) => {
            let value = quote(other);
            reading.concern(Concern::UnknownValue { field: "biz_content.status".into(), value });
            return named(reading.other(), content, "out_biz_no", "order_id");
        }
        None => {
            reading.missing("biz_content.status");
            return named(reading.other(), content, "out_biz_no", "order_id");
        }
    };
    let names = names(reading, content);
    let mut names = names.into_iter();
    let Some(identity) = names.next() else {
        reading.missing("biz_content.order_id");
        return named(reading.other(), content, "out_biz_no", "order_id");
    };
    let amount = amount(reading, content);
    let mut fact = reading.fact(kind, identity, amount);
    fact.aliases = names.collect();
    fact.order_no = content.get("out_biz_no").filter(|number| Identity::new(*number).is_some()).map(str::to_owned);
    fact.platform_no = content.get("order_id").filter(|number| Identity::new(*number).is_some()).map(str::to_owned);
    fact.occurred_at = content.get("pay_date").and_then(times::read);
    fact
}

/// Theirs and ours, each under a word of its own, since one may look like the other. Our number counts
/// within its product, as the query interface (`alipay.fund.trans.common.query`) has it.
fn names(reading: &mut Reading<'_>, content: &Content<'_>) -> Vec<Identity> {
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

fn amount(reading: &mut Reading<'_>, content: &Content<'_>) -> Amount {
    let currency = match content.get("currency").or_else(|| content.get("trans_currency")) {
        None => Some(Currency::CNY),
        Some(code) => Currency::parse(code).ok(),
    };
    let text = content.get("trans_amount");
    let read = text.zip(currency).and_then(|(text, currency)| money(text, currency).ok());
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
