//! What a signed message asserts.
//!
//! The account of a scope is the merchant's number; with a sub-merchant it is `mch_id:sub_mch_id`, and in a combined
//! order the sub-order's own: as in the third generation, so that a payment that is told twice, once by each
//! generation, is one fact. For the same reason a payment goes by `transaction_id` alone, a refund by `refund_id:` and
//! `out_refund_no:`.

use super::Shape;
use super::settings::Config;
use crate::channel::quote;
use crate::json::Json;
use crate::model::{Amount, Concern, EventKind, Fact, Notification, Scope};
use crate::platforms::tenpay::{Known, Reading, ambiguous_field, fact};
use crate::xml::Flat;

/// Most orders of a combined order that are read; the platform allows 50.
const SUB_ORDERS_MAX: usize = 64;

/// Fields of which every message means something to us. All are written without `&`.
const ACTED_ON: &[&str] = &[
    "algorithm",
    "app_id",
    "appid",
    "change_type",
    "combine_appid",
    "combine_mch_id",
    "combine_out_trade_no",
    "contract_code",
    "contract_id",
    "event_ciphertext",
    "event_create_time",
    "event_id",
    "event_type",
    "fee_type",
    "mch_id",
    "operate_time",
    "out_refund_no",
    "out_trade_no",
    "plan_id",
    "refund_fee",
    "refund_id",
    "req_info",
    "result_code",
    "return_code",
    "sign_type",
    "sub_appid",
    "sub_mch_id",
    "sub_order_list",
    "time_end",
    "total_fee",
    "trade_state",
    "transaction_id",
    "vehicle_event_createtime",
    "vehicle_event_type",
];

/// Fields that hold free text, or JSON.
const FREE_TEXT: &[&str] = &[
    "attach",
    "body",
    "detail",
    "device_info",
    "err_code_des",
    "plate_number",
    "return_msg",
    "sub_order_list",
    "trade_state_desc",
];

/// Fields of a refund or of a contract: a message about a payment has none of them.
const NOT_A_PAYMENTS: &[&str] = &["refund_id", "out_refund_no", "refund_fee"];

/// Reads a message whose signature was checked.
pub(super) fn read(config: &Config, flat: &Flat, shape: Shape) -> Notification {
    let mut reading = Reading::new(flat.fields(), String::new());
    if let Some(field) = ambiguous_field(flat, Known { acted_on: ACTED_ON, free_text: FREE_TEXT }) {
        reading.concern(Concern::Ambiguous { field: quote(field) });
    }
    let account = check_account(config, &mut reading, false).unwrap_or_else(|| {
        reading.missing("mch_id");
        config.mch_id.clone()
    });
    let scope = scope_of(config, account);
    let told = match shape {
        Shape::Payment => Told { number: "transaction_id", time: "time_end", kind: "transaction".into() },
        Shape::Combined => Told { number: "combine_out_trade_no", time: "", kind: "combined transaction".into() },
        Shape::Contract => Told { number: "contract_id", time: "operate_time", kind: kind_of(&reading, "change_type") },
        Shape::Vehicle => {
            Told { number: "", time: "vehicle_event_createtime", kind: kind_of(&reading, "vehicle_event_type") }
        }
        Shape::Event => Told { number: "event_id", time: "event_create_time", kind: kind_of(&reading, "event_type") },
        Shape::Refund => Told { number: "", time: "", kind: "refund".into() },
    };
    let number = reading.get(told.number);
    let facts = match shape {
        Shape::Payment => vec![payment(&mut reading, scope.clone(), number)],
        Shape::Combined => combined(config, &mut reading, &scope),
        Shape::Contract => vec![contract(&mut reading, scope.clone(), number)],
        Shape::Vehicle => {
            reading.needed_time(told.time);
            vec![reading.other(scope.clone(), number)]
        }
        // What is inside is sealed with a key that this channel does not have, and may be a payment.
        Shape::Event => {
            reading.needed_time(told.time);
            reading.concern(Concern::UnreadableText { field: "event_ciphertext".into() });
            vec![reading.other(scope.clone(), number)]
        }
        // Never read here.
        Shape::Refund => vec![reading.other(scope.clone(), number)],
    };
    Notification {
        scope,
        platform_id: reading.message_name(number),
        platform_kind: told.kind,
        sent_at: reading.time(told.time).or_else(|| facts.iter().filter_map(|fact| fact.occurred_at).min()),
        facts,
        concerns: reading.concerns,
    }
}

/// Where a shape says what the message as a whole is.
struct Told {
    /// The field of the number that stands in front of its name.
    number: &'static str,
    /// The field of its time.
    time: &'static str,
    kind: String,
}

/// The name of a kind, with the word that the message has for it.
fn kind_of(reading: &Reading<'_>, field: &str) -> String {
    format!("{field} {}", quote(reading.get(field).unwrap_or_default()))
}

/// The scope of an account.
pub(super) fn scope_of(config: &Config, account: String) -> Scope {
    Scope { environment: config.environment, family: super::FAMILY, account }
}

/// Whose money it is, and whether that is one of ours. A genuine message about somebody else is not ours to refuse: it
/// is kept under that account, and held.
fn check_account(config: &Config, reading: &mut Reading<'_>, is_part: bool) -> Option<String> {
    let merchant = reading.name("mch_id").or_else(|| reading.name("combine_mch_id"));
    let sub = reading.name("sub_mch_id");
    // A combined order may carry orders of several merchants, which are named like sub-merchants.
    if let Some(id) = &merchant
        && *id != config.mch_id
        && !(is_part && config.subs.has(id))
    {
        reading.foreign(id);
    }
    if let Some(sub) = sub.as_deref().filter(|sub| !config.subs.has(sub)) {
        reading.foreign(sub);
    }
    for name in super::APP {
        if let Some(id) = reading.name(name).filter(|id| !config.app_ids.contains(id)) {
            reading.foreign(&id);
        }
    }
    if let Some(id) = reading.name("sub_appid").filter(|id| !config.has_sub_app(id)) {
        reading.foreign(&id);
    }
    match (merchant, sub) {
        (Some(merchant), Some(sub)) => Some(format!("{merchant}:{sub}")),
        (merchant, None) => merchant,
        // Only half a name: a sub-merchant of ours.
        (None, Some(sub)) => Some(format!("{}:{sub}", config.mch_id)),
    }
}

/// What became of a payment. Answers of the interface, which the same key signs, and deductions also have a
/// `trade_state`; where it is there, a payment is believed only when both say so.
fn outcome(reading: &mut Reading<'_>) -> Option<EventKind> {
    match (reading.get("result_code"), reading.get("trade_state")) {
        (Some("SUCCESS"), None | Some("SUCCESS")) => Some(EventKind::PaymentSucceeded),
        // Paid, and some of it went back: true, and not what this notice is for.
        (Some("SUCCESS"), Some("REFUND")) => {
            reading.contradiction("trade_state");
            Some(EventKind::PaymentSucceeded)
        }
        (Some("SUCCESS" | "FAIL"), Some("PAYERROR" | "PAY_FAIL")) | (Some("FAIL"), None) => {
            Some(EventKind::PaymentFailed)
        }
        (
            Some("SUCCESS" | "FAIL"),
            Some("SUCCESS" | "REFUND" | "NOTPAY" | "CLOSED" | "REVOKED" | "USERPAYING" | "ACCEPT"),
        ) => {
            reading.contradiction("trade_state");
            None
        }
        (Some("SUCCESS" | "FAIL"), Some(_)) => {
            reading.unknown("trade_state");
            None
        }
        (Some(_), _) => {
            reading.unknown("result_code");
            None
        }
        (None, _) => {
            reading.missing("result_code");
            None
        }
    }
}

fn payment(reading: &mut Reading<'_>, scope: Scope, number: Option<&str>) -> Fact {
    if let Some(field) = NOT_A_PAYMENTS.iter().find(|field| reading.get(field).is_some()) {
        reading.contradiction(field);
        return reading.other(scope, number);
    }
    match outcome(reading) {
        Some(kind) => transaction(reading, kind, scope),
        None => reading.other(scope, number),
    }
}

/// One payment: the fields of the message, or those of one order of a combined one.
fn transaction(reading: &mut Reading<'_>, kind: EventKind, scope: Scope) -> Fact {
    let Some(identity) = reading.needed_identity("transaction_id", "") else {
        return reading.other(scope, None);
    };
    let amount = reading.amount("total_fee", &["fee_type"]);
    let order_no = reading.name("out_trade_no");
    if order_no.is_none() {
        reading.missing("out_trade_no");
    }
    Fact {
        platform_no: Some(identity.as_str().to_owned()),
        payee: reading.name("sub_mch_id").or_else(|| reading.name("mch_id")),
        order_no,
        occurred_at: reading.needed_time("time_end"),
        ..fact(kind, scope, identity, amount)
    }
}

/// Each payment of a combined order. The orders are JSON inside one field.
fn combined(config: &Config, reading: &mut Reading<'_>, scope: &Scope) -> Vec<Fact> {
    let Some(kind) = outcome(reading) else { return vec![reading.other(scope.clone(), None)] };
    let Some(text) = reading.get("sub_order_list") else {
        reading.missing("sub_order_list");
        return vec![reading.other(scope.clone(), None)];
    };
    let Some((count, orders)) = sub_orders(text) else {
        reading.concern(Concern::UnreadableText { field: "sub_order_list".into() });
        return vec![reading.other(scope.clone(), None)];
    };
    if count != orders.len().to_string() {
        reading.contradiction("sub_order_list.order_num");
    }
    let mut facts = Vec::with_capacity(orders.len());
    for (at, fields) in orders.iter().enumerate() {
        let mut part = Reading::new(fields, format!("sub_order_list.order_list.{at}."));
        let account = check_account(config, &mut part, true).unwrap_or_else(|| {
            part.missing("mch_id");
            scope.account.clone()
        });
        facts.push(transaction(&mut part, kind, scope_of(config, account)));
        part.concerns.into_iter().for_each(|concern| reading.concern(concern));
    }
    facts
}

/// Names and texts, in the order of arrival.
type Fields = Vec<(String, String)>;

/// The stated number of orders, and each order's fields; none when it is no such list, or one that is too long.
fn sub_orders(text: &str) -> Option<(String, Vec<Fields>)> {
    let Json::Object(members) = Json::parse(text.as_bytes()).ok()? else { return None };
    let member = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let Json::List(orders) = member("order_list")? else { return None };
    if orders.is_empty() || orders.len() > SUB_ORDERS_MAX {
        return None;
    }
    let fields = |order: &Json| match order {
        Json::Object(_) => {
            let mut fields = Vec::new();
            order.flatten("", &mut fields).then_some(fields)
        }
        _ => None,
    };
    let orders = orders.iter().map(fields).collect::<Option<Vec<_>>>()?;
    Some((member("order_num")?.text()?.to_owned(), orders))
}

/// A withholding contract that a payer signed or ended.
fn contract(reading: &mut Reading<'_>, scope: Scope, number: Option<&str>) -> Fact {
    if let Some(field) = ["transaction_id", "total_fee"].iter().find(|field| reading.get(field).is_some()) {
        reading.contradiction(field);
        return reading.other(scope, number);
    }
    match reading.get("result_code") {
        Some("SUCCESS") => {}
        Some("FAIL") => {
            reading.contradiction("result_code");
            return reading.other(scope, number);
        }
        Some(_) => {
            reading.unknown("result_code");
            return reading.other(scope, number);
        }
        None => {
            reading.missing("result_code");
            return reading.other(scope, number);
        }
    }
    let kind = match reading.get("change_type") {
        Some("ADD") => EventKind::AgreementSigned,
        Some("DELETE") => EventKind::AgreementCancelled,
        _ => {
            reading.unknown("change_type");
            return reading.other(scope, number);
        }
    };
    let Some(identity) = reading.needed_identity("contract_id", "contract_id:") else {
        return reading.other(scope, number);
    };
    Fact {
        order_no: reading.name("contract_code"),
        platform_no: reading.name("contract_id"),
        payee: reading.name("sub_mch_id").or_else(|| reading.name("mch_id")),
        occurred_at: reading.needed_time("operate_time"),
        ..fact(kind, scope, identity, Amount::None)
    }
}

/// Whether a text is written with these characters and is no longer than `most`.
pub(super) fn is_written_in(text: &str, extra: &[u8], most: usize) -> bool {
    text.len() <= most && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_apart() {
        for list in [ACTED_ON, FREE_TEXT] {
            assert!(list.windows(2).all(|two| two[0] < two[1]), "{list:?}");
        }
        // JSON is read as a whole, so it may stand in both.
        let both: Vec<&&str> = ACTED_ON.iter().filter(|name| FREE_TEXT.contains(name)).collect();
        assert_eq!(both, [&"sub_order_list"]);
        assert!(NOT_A_PAYMENTS.iter().chain(super::super::MERCHANT).all(|name| ACTED_ON.contains(name)));
        assert!(super::super::APP.iter().all(|name| ACTED_ON.contains(name)));
    }
}
