//! What a proven message asserts. The account of a scope is the merchant's number, with a sub-merchant
//! `mch_id:sub_mch_id`; a payment goes by `transaction_id`.

use super::{Config, FAMILY, Shape};
use crate::channel::quote;
use crate::model::{Concern, EventKind, Fact, Notification, Scope};
use crate::platforms::tenpay::{Known, Reading, ambiguous_field, fact};
use crate::xml::Flat;

/// Fields of which every message means something to us. All are written without `&`.
const ACTED_ON: &[&str] = &[
    "appid",
    "fee_type",
    "mch_id",
    "out_trade_no",
    "return_code",
    "sign_type",
    "state",
    "sub_appid",
    "sub_mch_id",
    "time_end",
    "total_fee",
    "trade_state",
    "transaction_id",
];

/// Fields that hold free text.
const FREE_TEXT: &[&str] = &["attach", "device_info", "refund_reason"];

/// Reads a message whose signature was checked.
pub(super) fn read(config: &Config, flat: &Flat, shape: Shape) -> Notification {
    let mut reading = Reading::new(flat.fields(), String::new());
    if let Some(field) = ambiguous_field(flat, Known { acted_on: ACTED_ON, free_text: FREE_TEXT }) {
        reading.concern(Concern::Ambiguous { field: quote(field) });
    }
    let account = account(config, &mut reading, shape);
    let scope = Scope { environment: config.environment, family: FAMILY, account };
    let number = reading.get("transaction_id");
    let fact = match shape {
        Shape::Payment => payment(&mut reading, &scope, number),
        Shape::Payout => payout(&mut reading, &scope, number),
    };
    let platform_kind = match shape {
        Shape::Payment => "payment",
        Shape::Payout => "payout",
    };
    Notification {
        platform_id: reading.message_name(number),
        platform_kind: platform_kind.into(),
        sent_at: reading.time("time_end"),
        scope,
        facts: vec![fact],
        concerns: reading.concerns,
    }
}

/// Whose money it is, and whether that is ours. A payout names no merchant: the key alone says whose it is.
fn account(config: &Config, reading: &mut Reading<'_>, shape: Shape) -> String {
    if shape == Shape::Payment {
        for field in ["mch_id", "appid"] {
            if reading.get(field).is_none() {
                reading.missing(field);
            }
        }
    }
    if let Some(id) = reading.name("appid").filter(|id| !config.app_ids.contains(id)) {
        reading.foreign(&id);
    }
    let Some(sub) = reading.name("sub_mch_id") else { return config.mch_id.clone() };
    if !config.sub_mch_ids.contains(&sub) {
        reading.foreign(&sub);
    }
    format!("{}:{sub}", config.mch_id)
}

/// What its states mean is not documented, so nothing is made of them.
fn payout(reading: &mut Reading<'_>, scope: &Scope, number: Option<&str>) -> Fact {
    // Only looked at, so that a nonsense amount shows.
    let _ = reading.amount("total_fee", &["fee_type"]);
    Fact {
        order_no: reading.name("out_trade_no"),
        platform_no: reading.name("transaction_id"),
        occurred_at: reading.needed_time("time_end"),
        ..reading.other(scope.clone(), number)
    }
}

fn payment(reading: &mut Reading<'_>, scope: &Scope, number: Option<&str>) -> Fact {
    if reading.get("trade_state") != Some("SUCCESS") {
        reading.unknown("trade_state");
        return reading.other(scope.clone(), number);
    }
    let Some(identity) = reading.needed_identity("transaction_id", "") else {
        return reading.other(scope.clone(), number);
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
        ..fact(EventKind::PaymentSucceeded, scope.clone(), identity, amount)
    }
}
