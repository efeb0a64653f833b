//! What a proven Huifu message asserts, shared by the notifications to a `notify_url` and the console's webhooks.
//!
//! A payment is named by `hf_seq_id`, Huifu's own number of it, in both kinds of message, so that one fact stays one.
//! A refund has a `hf_seq_id` of its own, and the merchant's number, which counts within its day (Huifu 斗拱, common
//! parameters: `req_seq_id` is unique within `req_date`).

use super::FAMILY;
use super::settings::Config;
use crate::channel::Rejection;
use crate::json::Json;
use crate::model::{Amount, Environment, EventKind, Fact, Identity, Notification, Scope, Timestamp};
use crate::platforms::accounts::{Notice, member, parse};

/// The kinds of payment that the documents list (Huifu 斗拱, aggregated payment and scanned payment).
const PAYMENTS: &[&str] = &[
    "T_JSAPI",
    "T_MINIAPP",
    "T_APP",
    "T_H5",
    "T_NATIVE",
    "T_MICROPAY",
    "A_JSAPI",
    "A_NATIVE",
    "A_MICROPAY",
    "U_JSAPI",
    "U_NATIVE",
    "U_MICROPAY",
    "D_NATIVE",
    "D_MICROPAY",
];

/// The one kind of refund (Huifu 斗拱, refund: what is sent).
const REFUND: &str = "TRANS_REFUND";

/// What Huifu says of a request, inside the signed text; and the word for one that went through (Huifu 斗拱, return codes).
const CODE: &str = "resp_code";
const CODE_OF_SUCCESS: &str = "00000000";

/// Fields that only a transaction has.
const SIGNS_OF_A_TRANSACTION: &[&str] = &["trans_type", "trans_stat", "trans_amt"];

/// What a message without a word for its kind is called.
const NOTICE: &str = "notice";

/// Reads a text whose signature was checked.
pub(super) fn read(config: &Config, text: &[u8]) -> Result<Notification, Rejection> {
    let message = parse(text)?;
    let mut notice = open(&message, config.environment, &config.huifu_ids, text);
    if message == Json::Null {
        return Ok(notice.unreadable(NOTICE, "resp_data"));
    }
    notice.settle_account("huifu_id", &config.huifu_ids);
    let kind = notice.get("trans_type").unwrap_or(NOTICE);
    if !SIGNS_OF_A_TRANSACTION.iter().any(|sign| notice.has(sign)) {
        let (sent_at, facts) = (time(&notice), vec![notice.other()]);
        return Ok(notice.finish(kind, sent_at, facts));
    }
    let is_payment = |kind: &str| PAYMENTS.contains(&kind) || config.payment_types.iter().any(|own| own == kind);
    let facts = match notice.get("trans_type") {
        Some(REFUND) => refund(&mut notice),
        Some(kind) if is_payment(kind) => payment(&mut notice),
        _ => notice.not_understood("trans_type"),
    };
    let sent_at = time(&notice);
    // Without any time an old capture could not be told from a new message.
    if sent_at.is_none() {
        notice.missing("req_date");
    }
    Ok(notice.finish(kind, sent_at, facts))
}

/// A message before it is read, under the first of the merchant's accounts.
pub(in super::super) fn open<'m>(
    message: &'m Json,
    environment: Environment,
    accounts: &[String],
    signed: &[u8],
) -> Notice<'m> {
    let account = accounts.first().cloned().unwrap_or_default();
    Notice::new(message, Scope { environment, family: FAMILY, account }, "req_date", signed)
}

/// Looks at the code beside the state, where the signed text has one: of what succeeded it says so, too.
fn check_code(notice: &mut Notice<'_>) {
    if notice.get("trans_stat") == Some("S") && notice.has(CODE) && notice.get(CODE) != Some(CODE_OF_SUCCESS) {
        notice.contradiction(CODE);
    }
}

/// A payment by its state.
pub(in super::super) fn payment(notice: &mut Notice<'_>) -> Vec<Fact> {
    check_code(notice);
    let kind = match notice.get("trans_stat") {
        Some("S") => EventKind::PaymentSucceeded,
        Some("F") => EventKind::PaymentFailed,
        Some("P") => EventKind::PaymentPending,
        _ => return notice.not_understood("trans_stat"),
    };
    let Some(identity) = notice.identity("hf_seq_id", "") else { return notice.not_understood("hf_seq_id") };
    let amount = notice.yuan("trans_amt");
    // A webhook of a payment has the merchant's order alone where the notification has the request's number.
    let order_no = notice.name("req_seq_id").or_else(|| notice.name("mer_ord_id"));
    if order_no.is_none() {
        notice.missing("req_seq_id");
    }
    vec![Fact {
        platform_no: notice.name("hf_seq_id"),
        payee: notice.name("huifu_id"),
        occurred_at: time_of_event(notice),
        order_no,
        ..notice.fact(kind, identity, amount)
    }]
}

/// A refund by its state. Its own numbers name it; the payment's stand under `org_…`.
pub(in super::super) fn refund(notice: &mut Notice<'_>) -> Vec<Fact> {
    check_code(notice);
    let kind = match notice.get("trans_stat") {
        Some("S") => EventKind::RefundSucceeded,
        Some("F") => EventKind::RefundFailed,
        // Asked for, and not decided: nothing has happened to money.
        Some("P") => return vec![notice.other()],
        _ => return notice.not_understood("trans_stat"),
    };
    let theirs = notice.identity("hf_seq_id", "hf_seq_id:");
    let ours = numbered(notice, "req_date", "req_seq_id");
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else { return notice.not_understood("hf_seq_id") };
    let aliases = names.collect();
    let amount = refunded(notice);
    vec![Fact {
        aliases,
        order_no: notice.name("org_req_seq_id"),
        platform_no: notice.name("hf_seq_id"),
        payment: notice.identity("org_hf_seq_id", ""),
        occurred_at: time_of_event(notice),
        ..notice.fact(kind, identity, amount)
    }]
}

/// What went back: `ord_amt` in the refund's own messages. Some webhooks say `trans_amt`.
fn refunded(notice: &mut Notice<'_>) -> Amount {
    if !notice.has("ord_amt") {
        return notice.yuan("trans_amt");
    }
    let amount = notice.yuan("ord_amt");
    if notice.has("trans_amt") && notice.yuan("trans_amt") != amount {
        notice.contradiction("trans_amt");
    }
    amount
}

/// The merchant's number with the day within which it is unique.
pub(in super::super) fn numbered(
    notice: &mut Notice<'_>,
    date: &'static str,
    number: &'static str,
) -> Option<Identity> {
    let day = notice.get(date)?;
    notice.identity(number, &format!("req_seq_id:{day}:"))
}

/// When it happened, as far as the message says.
fn time_of_event(notice: &Notice<'_>) -> Option<Timestamp> {
    notice
        .time("end_time")
        .or_else(|| notice.time("trans_finish_time"))
        .or_else(|| notice.day_and_time("trans_date", "trans_time"))
}

/// The message's own time: that of the event, else the day of the request.
pub(in super::super) fn time(notice: &Notice<'_>) -> Option<Timestamp> {
    time_of_event(notice).or_else(|| notice.time("req_date")).or_else(|| notice.time("trans_date"))
}

/// Whose message it says it is.
pub(in super::super) fn account(message: &Json) -> Option<&str> {
    member(message, "huifu_id")
}

/// The request's own number.
pub(super) fn number(message: &Json) -> Option<&str> {
    member(message, "req_seq_id")
}
