//! Refund notices: no signature, a sealed content. What that proves, and what it cannot, is in the text above the
//! platform.

use super::facts::{is_written_in, scope_of};
use super::settings::{Config, Subs};
use crate::channel::Rejection;
use crate::model::{Concern, EventKind, Fact, Notification, Scope};
use crate::platforms::tenpay::{Reading, SIGN, fact};
use crate::signature::Verified;
use crate::signature::sealed::SealError;
use crate::xml::{Flat, Limits};

/// The field with the sealed content.
pub(super) const REQ_INFO: &str = "req_info";

/// The variant that proofs of refunds carry.
pub(super) const VARIANT: &str = "req_info";

/// The root of the content.
const ROOT: &str = "root";

/// Largest content; real ones have 700 bytes.
const LIMITS: Limits = Limits { bytes_max: 8 * 1024, fields_max: 64 };

/// What names a refund, and its payment. A content without one of them is not whole.
const NUMBERS: &[&str] = &["transaction_id", "out_trade_no", "refund_id", "out_refund_no"];

/// Its amounts, of the refund and of the payment.
const AMOUNTS: &[&str] = &["refund_fee", "total_fee"];

/// Fewest and most digits of the platform's own numbers: real ones have 28 or 29, and a block more or less is neither.
const PLATFORM_DIGITS: std::ops::RangeInclusive<usize> = 20..=40;

/// Most characters of a merchant's order number and refund number (WeChat Pay, "unified order" and "refund").
const ORDER_NO_MAX: usize = 32;
const REFUND_NO_MAX: usize = 64;

/// Digits of an amount that any order can have.
const AMOUNT_DIGITS_MAX: usize = 18;

/// Proves a refund notice and reads it: what stands outside must be ours, what is inside must be whole.
pub(super) fn prove(config: &Config, flat: &Flat) -> Result<(Notification, Verified), Rejection> {
    // One of the two would be for other eyes.
    if flat.field(SIGN).is_some() {
        return Err(Rejection::Malformed { field: SIGN.into() });
    }
    let account = check_outside(config, flat)?;
    let sealed = flat.present(REQ_INFO).ok_or_else(|| missing(REQ_INFO))?;
    let (content, verified) =
        config.refunds.open(sealed.as_bytes(), VARIANT, check_inside).map_err(|error| match error {
            SealError::Text => Rejection::Malformed { field: REQ_INFO.into() },
            SealError::Closed => Rejection::Signature,
            SealError::Content(rejection) => rejection,
        })?;
    Ok((read(config, &content, account), verified))
}

/// The account of a refund that is not protected by anything, and whether nobody else could be meant.
struct Account {
    name: String,
    is_certain: bool,
}

/// The ids beside the sealed content must be ours. They decide nothing but this, with one exception: which of several
/// sub-merchants it was.
fn check_outside(config: &Config, flat: &Flat) -> Result<Account, Rejection> {
    let unknown = |field: &str| Rejection::UnknownMerchant { field: field.into() };
    let need = |field: &str| flat.present(field).ok_or_else(|| missing(field));
    // That it is ours was checked wherever it is there.
    need("mch_id")?;
    let app_id = need("appid")?;
    if !config.app_ids.iter().any(|own| own == app_id) {
        return Err(unknown("appid"));
    }
    if flat.present("sub_appid").is_some_and(|id| !config.has_sub_app(id)) {
        return Err(unknown("sub_appid"));
    }
    let is_certain = match &config.subs {
        Subs::None if flat.present("sub_mch_id").is_some() => return Err(unknown("sub_mch_id")),
        Subs::None => return Ok(Account { name: config.mch_id.clone(), is_certain: true }),
        Subs::One(_) => true,
        Subs::Several(_) | Subs::Any => false,
    };
    let sub = need("sub_mch_id")?;
    if !config.subs.has(sub) {
        return Err(unknown("sub_mch_id"));
    }
    Ok(Account { name: format!("{}:{sub}", config.mch_id), is_certain })
}

/// The content, when it is whole.
fn check_inside(plaintext: &[u8]) -> Result<Flat, Rejection> {
    let flat = Flat::parse(plaintext, LIMITS).ok().filter(|flat| flat.root() == ROOT);
    // Under another key there is no such document: it is the wrong key, or nobody's.
    let flat = flat.ok_or(Rejection::Signature)?;
    for name in NUMBERS.iter().chain(AMOUNTS).chain(&["refund_status"]) {
        if flat.present(name).is_none() {
            return Err(missing(&inside(name)));
        }
    }
    for name in AMOUNTS {
        if flat.present(name).is_none_or(|text| !is_amount(text)) {
            return Err(Rejection::Malformed { field: inside(name) });
        }
    }
    if flat.present("refund_status").and_then(kind_of).is_none() {
        return Err(Rejection::Malformed { field: inside("refund_status") });
    }
    Ok(flat)
}

fn missing(field: &str) -> Rejection {
    Rejection::Missing { field: field.into() }
}

/// The name of a field inside, for people.
fn inside(field: &str) -> String {
    format!("{REQ_INFO}.{field}")
}

fn is_amount(text: &str) -> bool {
    text.len() <= AMOUNT_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `CHANGE` is what the third generation calls ABNORMAL: the way back is closed, and the merchant must find another.
fn kind_of(status: &str) -> Option<EventKind> {
    match status {
        "SUCCESS" => Some(EventKind::RefundSucceeded),
        "CHANGE" => Some(EventKind::RefundAbnormal),
        "REFUNDCLOSE" => Some(EventKind::RefundFailed),
        _ => None,
    }
}

/// Reads a whole content.
fn read(config: &Config, content: &Flat, account: Account) -> Notification {
    let mut reading = Reading::new(content.fields(), inside(""));
    if !account.is_certain {
        reading.concern(Concern::Ambiguous { field: "sub_mch_id".into() });
    }
    let scope = scope_of(config, account.name);
    let number = reading.get("refund_id");
    let platform_id = reading.message_name(number);
    let kind = reading.get("refund_status").and_then(kind_of);
    let kind = kind.filter(|_| has_usual_numbers(&mut reading));
    let fact = kind.and_then(|kind| refund(&mut reading, kind, &scope));
    let fact = fact.unwrap_or_else(|| reading.other(scope.clone(), number));
    Notification {
        sent_at: fact.occurred_at,
        scope,
        platform_id,
        platform_kind: "refund".into(),
        facts: vec![fact],
        concerns: reading.concerns,
    }
}

/// Numbers that the platform could have written. Others come from a content that was put together, and name nothing.
fn has_usual_numbers(reading: &mut Reading<'_>) -> bool {
    let is_usual = |name: &str, text: &str| match name {
        "out_trade_no" => is_written_in(text, b"_-|*", ORDER_NO_MAX),
        "out_refund_no" => is_written_in(text, b"_-|*@", REFUND_NO_MAX),
        _ => PLATFORM_DIGITS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    };
    let odd: Vec<&&str> =
        NUMBERS.iter().filter(|name| !reading.get(name).is_some_and(|text| is_usual(name, text))).collect();
    for name in &odd {
        reading.unknown(name);
    }
    odd.is_empty()
}

fn refund(reading: &mut Reading<'_>, kind: EventKind, scope: &Scope) -> Option<Fact> {
    let identity = reading.needed_identity("refund_id", "refund_id:")?;
    let alias = reading.needed_identity("out_refund_no", "out_refund_no:")?;
    let payment = reading.needed_identity("transaction_id", "")?;
    let amount = reading.amount("refund_fee", &["refund_fee_type", "fee_type"]);
    check_amounts(reading);
    // Only a refund that succeeded has a time. The others have none at all, and say that no money went back.
    let occurred_at = match reading.get("success_time") {
        None if kind != EventKind::RefundSucceeded => None,
        _ => reading.needed_time("success_time"),
    };
    Some(Fact {
        aliases: vec![alias],
        order_no: reading.name("out_trade_no"),
        platform_no: reading.name("refund_id"),
        occurred_at,
        payment: Some(payment),
        ..fact(kind, scope.clone(), identity, amount)
    })
}

/// No part is larger than its whole (WeChat Pay, "refund result notification").
fn check_amounts(reading: &mut Reading<'_>) {
    for (part, whole) in
        [("refund_fee", "total_fee"), ("settlement_refund_fee", "refund_fee"), ("settlement_total_fee", "total_fee")]
    {
        // Both that are always there were found to be amounts.
        let Some(text) = reading.get(part) else { continue };
        let minor = |text: &str| if is_amount(text) { text.parse::<u64>().ok() } else { None };
        let is_within =
            minor(text).is_some_and(|part| reading.get(whole).and_then(minor).is_some_and(|all| part <= all));
        if !is_within {
            reading.contradiction(part);
        }
    }
}

/// What is inside, for people; nothing when it is no refund notice or does not open.
pub(super) fn fields(config: &Config, flat: &Flat) -> Vec<(String, String)> {
    let content = flat.present(REQ_INFO).and_then(|text| config.refunds.peek(text.as_bytes()));
    let content = content.and_then(|plaintext| Flat::parse(&plaintext, LIMITS).ok());
    let named = |(name, text): &(String, String)| (inside(name), text.clone());
    content.map(|content| content.fields().iter().map(named).collect()).unwrap_or_default()
}
