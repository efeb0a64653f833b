//! Results of profit sharing: `alipay.trade.order.settle.notify`, sent after a sharing in the background
//! (`royalty_mode` `async`). A message is about one request, and has a row for each receiver.
//!
//! Source: Alipay Open Platform, "merchant profit sharing" and its result message.

use super::message::{Content, named};
use super::{Reading, money, times};
use crate::channel::quote;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity};

/// The rows.
const ROWS: &str = "royalty_detail_list";

/// Most rows that are read; the platform allows 20 receivers in a request.
const ROWS_MAX: usize = 128;

/// One fact for each row that ended and that has a kind of its own. The others (in progress, topping a price up)
/// are kept with the message. A message without a list, or with an empty one, says of nothing what became of it.
pub(super) fn read(reading: &mut Reading<'_>, content: &Content<'_>) -> Vec<Fact> {
    let rows = content.rows(ROWS).unwrap_or_default();
    if rows.is_empty() || rows.len() > ROWS_MAX {
        reading.missing("biz_content.royalty_detail_list");
    }
    let facts: Vec<Fact> = rows.iter().take(ROWS_MAX).filter_map(|row| share(reading, content, row)).collect();
    if facts.is_empty() { vec![named(reading.other(), content, "out_request_no", "settle_no")] } else { facts }
}

fn share(reading: &mut Reading<'_>, content: &Content<'_>, row: &Content<'_>) -> Option<Fact> {
    let kind = kind(reading, row)?;
    let number = row.get("detail_id").filter(|number| number.len() <= NAME_BYTES_MAX);
    let Some(identity) = number.and_then(|number| Identity::new(format!("share:{number}"))) else {
        reading.missing("biz_content.royalty_detail_list.detail_id");
        return None;
    };
    let text = row.get("amount");
    let amount = text.and_then(|text| money(text, Currency::CNY).ok()).map_or(Amount::Unreadable, Amount::Stated);
    if text.is_none() {
        reading.missing("biz_content.royalty_detail_list.amount");
    } else if amount == Amount::Unreadable {
        reading.unreadable_amount("biz_content.royalty_detail_list.amount");
    }
    let mut fact = named(reading.fact(kind, identity, amount), content, "out_request_no", "settle_no");
    fact.platform_no = fact.platform_no.or_else(|| number.map(str::to_owned));
    fact.payee = row.get("trans_in").filter(|payee| payee.len() <= NAME_BYTES_MAX).map(str::to_owned);
    fact.occurred_at = row.get("execute_dt").or_else(|| content.get("operation_dt")).and_then(times::read);
    Some(fact)
}

/// What a row says by its state; none where that is nothing of ours.
fn kind(reading: &mut Reading<'_>, row: &Content<'_>) -> Option<EventKind> {
    let state = row.get("state");
    match (row.get("operation_type").unwrap_or("transfer"), state) {
        ("transfer", Some("SUCCESS")) => Some(EventKind::ProfitSharingSucceeded),
        ("transfer", Some("FAIL")) => Some(EventKind::ProfitSharingFailed),
        ("transfer_refund", Some("SUCCESS")) => Some(EventKind::ProfitSharingReturned),
        // Not at its end yet; a return that failed leaves the share where it was; a price that is topped up is no share.
        (_, Some("PROCESSING")) | ("transfer_refund" | "replenish" | "replenish_refund", Some("SUCCESS" | "FAIL")) => {
            None
        }
        (_, None) => {
            reading.missing("biz_content.royalty_detail_list.state");
            None
        }
        (operation, Some(state)) => {
            let is_state = matches!(state, "SUCCESS" | "FAIL");
            let (name, value) = if is_state { ("operation_type", operation) } else { ("state", state) };
            let field = format!("biz_content.royalty_detail_list.{name}");
            reading.concern(Concern::UnknownValue { field, value: quote(value) });
            None
        }
    }
}
