//! What a proven Douyin Pay message asserts.
//!
//! Sources: Douyin Pay merchant documents, the notification pages of payments, refunds, transfers and profit sharing. The
//! account of a scope is the message's merchant, so that a payment and its refunds meet in one scope.

use super::FAMILY;
use super::envelope::Envelope;
use super::settings::Config;
use crate::channel::quote;
use crate::json::Json;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Notification, Scope, Timestamp};
use crate::platforms::douyin::{Reading, fact, message_name, other};
use crate::platforms::signed_body::sealed::kind_of;

/// Whether what a box held names this merchant, or nobody. Proves nothing.
pub(super) fn is_ours(config: &Config, plaintext: &[u8]) -> bool {
    let Ok(content) = Json::parse(plaintext) else { return true };
    let reading = Reading::new(&content);
    let mut names =
        ["mchid", "mch_id", "receiver.account"].into_iter().filter_map(|name| reading.text(name)).peekable();
    names.peek().is_none() || names.any(|name| name == config.mchid)
}

/// Reads a message whose signature was checked and whose box was opened, if its content can be read.
pub(super) fn read(
    config: &Config,
    envelope: &Envelope,
    content: Result<&Json, &Concern>,
    body: &[u8],
    signed_at: Timestamp,
) -> Notification {
    let nothing = Json::Null;
    let mut reading = Reading::new(content.unwrap_or(&nothing));
    for concern in &envelope.concerns {
        reading.concern(concern.clone());
    }
    if let Err(concern) = content {
        reading.concern(concern.clone());
    }
    let number = envelope.text("id").filter(|id| id.len() <= NAME_BYTES_MAX);
    if number.is_none() {
        reading.missing("id");
    }
    let platform_id = number.map_or_else(|| message_name(None, body), str::to_owned);
    let account = if content.is_ok() { account(&mut reading, config, &envelope.event_type) } else { None };
    let account = account.unwrap_or_else(|| config.mchid.clone());
    let scope = Scope { environment: config.environment, family: FAMILY, account };
    let read = match envelope.event_type.as_str() {
        _ if content.is_err() => None,
        "TRANSACTION.SUCCESS" => payment(&mut reading, &scope),
        "REFUND.SUCCESS" => refund(&mut reading, &scope, EventKind::RefundSucceeded, "SUCCESS"),
        "REFUND.CLOSED" => refund(&mut reading, &scope, EventKind::RefundFailed, "CLOSED"),
        "REFUND.ABNORMAL" => refund(&mut reading, &scope, EventKind::RefundAbnormal, "ABNORMAL"),
        "TRANSFER.SUCCESS" => transfer(&mut reading, &scope),
        "SPLIT.SUCCESS" => share(&mut reading, &scope),
        // The whole is done, whatever became of each receiver's share. That a message does not say its kind is a concern
        // already.
        "ASYNC_SPLIT.FINISH" | "" => None,
        kind => {
            reading.concern(Concern::UnknownValue { field: "event_type".into(), value: quote(kind) });
            None
        }
    };
    let fact = read.unwrap_or_else(|| other(scope.clone(), &platform_id));
    let created = envelope.text("create_time").and_then(|text| text.parse().ok());
    Notification {
        scope,
        platform_id,
        platform_kind: kind_of(&envelope.event_type),
        // The signed header's time lies within minutes of now, so it can stand in.
        sent_at: Some(created.unwrap_or(signed_at)),
        facts: vec![fact],
        concerns: reading.concerns,
    }
}

/// Whose money it is. Transfers write the merchant's number in another way; what is about profit sharing need not name
/// it, and is sent to receivers too.
fn account(reading: &mut Reading<'_>, config: &Config, event_type: &str) -> Option<String> {
    let own = std::slice::from_ref(&config.mchid);
    if reading.text("appid").is_some() {
        reading.account("appid", &config.app_ids);
    } else if event_type == "TRANSACTION.SUCCESS" {
        reading.missing("appid");
    }
    // A sub-merchant's money is not the provider's.
    for name in ["sp_mchid", "sub_mchid"] {
        if reading.text(name).is_some() {
            reading.account(name, own);
        }
    }
    let name = if event_type.starts_with("TRANSFER.") { "mch_id" } else { "mchid" };
    let is_share = event_type.contains("SPLIT.");
    let is_receiver = is_share && reading.text("receiver.account") == Some(config.mchid.as_str());
    if is_receiver || (is_share && reading.text(name).is_none()) {
        return reading.name(name);
    }
    reading.account(name, own)
}

/// The state decides, and it must fit the event's own word.
fn payment(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    match reading.text("trade_state") {
        Some("SUCCESS") => {}
        // Paid, and some of it went back: true, and not what this event is for.
        Some("REFUND") => reading.contradiction("trade_state"),
        Some("NOTPAY" | "CLOSED" | "PAYERROR") => {
            reading.contradiction("trade_state");
            return None;
        }
        _ => {
            reading.undecided("trade_state");
            return None;
        }
    }
    let identity = reading.needed_identity("transaction_id", "")?;
    let amount = amount(reading, "amount.total");
    Some(Fact {
        order_no: reading.needed("out_trade_no"),
        platform_no: reading.name("transaction_id"),
        payee: reading.name("mchid"),
        occurred_at: reading.time("success_time"),
        ..fact(EventKind::PaymentSucceeded, scope.clone(), identity, amount)
    })
}

/// The notification says `refund_status` where the interfaces say `status`.
fn refund(reading: &mut Reading<'_>, scope: &Scope, kind: EventKind, status: &str) -> Option<Fact> {
    match reading.text("refund_status") {
        Some(found) if found == status => {}
        Some("SUCCESS" | "CLOSED" | "ABNORMAL" | "PROCESSING") => {
            reading.contradiction("refund_status");
            return None;
        }
        _ => {
            reading.undecided("refund_status");
            return None;
        }
    }
    let (identity, aliases) = two_names(reading, ("refund_id", "refund_id:"), ("out_refund_no", "out_refund_no:"))?;
    let amount = amount(reading, "amount.refund");
    let payment = reading.needed_identity("transaction_id", "");
    Some(Fact {
        aliases,
        order_no: reading.name("out_trade_no"),
        platform_no: reading.name("refund_id"),
        occurred_at: reading.time("success_time"),
        payment,
        ..fact(kind, scope.clone(), identity, amount)
    })
}

/// A transfer; the event is called success whatever became of it, and the state inside decides.
fn transfer(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    let kind = match reading.text("state") {
        Some("SUCCESS") => EventKind::TransferSucceeded,
        Some("FAIL") => EventKind::TransferFailed,
        // Not over yet.
        Some("ACCEPTED" | "TRANSFERING") => return None,
        _ => {
            reading.undecided("state");
            return None;
        }
    };
    let (identity, aliases) =
        two_names(reading, ("transfer_bill_no", "transfer_bill_no:"), ("out_bill_no", "out_bill_no:"))?;
    let amount = reading.fen_text("transfer_amount", Currency::CNY);
    Some(Fact {
        aliases,
        order_no: reading.needed("out_bill_no"),
        platform_no: reading.name("transfer_bill_no"),
        occurred_at: reading.time("update_time"),
        ..fact(kind, scope.clone(), identity, amount)
    })
}

/// Money that was moved to a receiver.
fn share(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    let order = reading.needed("order_id")?;
    let receiver = reading.needed("receiver.account")?;
    // Without its time a share has the name of any other of the same order and receiver.
    let time = reading.needed("success_time").unwrap_or_default();
    let Some(identity) = Identity::new(format!("share:{order}:{receiver}:{time}")) else {
        reading.unknown("success_time");
        return None;
    };
    let amount = reading.fen("receiver.amount", Currency::CNY);
    Some(Fact {
        platform_no: Some(order),
        payee: Some(receiver),
        occurred_at: reading.time("success_time"),
        ..fact(EventKind::ProfitSharingSucceeded, scope.clone(), identity, amount)
    })
}

/// The platform's number and ours, either of which is enough.
fn two_names(reading: &mut Reading<'_>, theirs: (&str, &str), ours: (&str, &str)) -> Option<(Identity, Vec<Identity>)> {
    let first = reading.identity(theirs.0, theirs.1);
    let second = reading.identity(ours.0, ours.1);
    let mut names = first.into_iter().chain(second);
    let Some(identity) = names.next() else {
        reading.missing(theirs.0);
        return None;
    };
    Some((identity, names.collect()))
}

/// In fen where no currency is named.
fn amount(reading: &mut Reading<'_>, path: &str) -> Amount {
    const CURRENCY: &str = "amount.currency";
    let Ok(currency) = reading.text(CURRENCY).map_or(Ok(Currency::CNY), Currency::parse) else {
        reading.concern(Concern::UnreadableAmount { field: CURRENCY.into() });
        return Amount::Unreadable;
    };
    reading.fen(path, currency)
}
