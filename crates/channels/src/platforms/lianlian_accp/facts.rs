//! What a proven notice of the account generation asserts.
//!
//! The fields are UNCONFIRMED by LianLian's documents; they are those that public clients read. So only what says in
//! every respect that money came in is a payment: a known kind of consumption, its state, both numbers and an amount.
//! Notices that speak of no transaction (accounts, bank cards) have no money meaning. Everything else is held: refunds,
//! withdrawals and transfers move money, and no document says how their notices tell whether it arrived, failed or came
//! back. Of which kinds a merchant's application reads the notices by itself, the configuration may say.

use super::settings::Config;
use crate::channel::Rejection;
use crate::json::Json;
use crate::model::{EventKind, Fact, Notification, Scope};
use crate::platforms::accounts::{Notice, member, parse};
use crate::platforms::lianlian::FAMILY;

/// Ordinary and secured consumption: a buyer pays.
const PAYMENTS: &[&str] = &["GENERAL_CONSUME", "SECURED_CONSUME"];

/// How the names begin, in small letters, of fields that only a notice about money has. `txn_seqno` is none of them: the
/// opening of an account has one, too.
const SIGNS_OF_A_TRANSACTION: &[&str] =
    &["txn_type", "txn_status", "orderinfo", "originalorderinfo", "payerinfo", "payeeinfo", "refund"];

/// What the name of an amount holds, in small letters.
const AMOUNT: &str = "amount";

/// What a notice without a kind is called.
const NOTICE: &str = "notice";

/// Reads a body whose signature was checked.
pub(super) fn read(config: &Config, body: &[u8]) -> Result<Notification, Rejection> {
    let message = parse(body)?;
    let account = config.partners.first().cloned().unwrap_or_default();
    let scope = Scope { environment: config.environment, family: FAMILY, account };
    let mut notice = Notice::new(&message, scope, "orderInfo.txn_time", body);
    if message == Json::Null {
        return Ok(notice.unreadable(NOTICE, "body"));
    }
    notice.settle_account("oid_partner", &config.partners);
    let kind = notice.get("txn_type");
    let is_transaction = speaks_of_a_transaction(&message);
    let facts = match kind {
        Some(kind) if is_payment(kind) => payment(&mut notice),
        Some(kind) if config.other_types.iter().any(|own| own == kind) => vec![notice.other()],
        _ if is_transaction => notice.not_understood("txn_type"),
        _ => vec![notice.other()],
    };
    let sent_at = notice.time("finish_time").or_else(|| notice.time("orderInfo.txn_time"));
    let sent_at = sent_at.or_else(|| notice.time("accounting_date"));
    // Without any time an old capture could not be told from a new message.
    if sent_at.is_none() && is_transaction {
        notice.missing("finish_time");
    }
    Ok(notice.finish(kind.unwrap_or(NOTICE), sent_at, facts))
}

/// Whether anything of a message is about money.
fn speaks_of_a_transaction(message: &Json) -> bool {
    let Json::Object(members) = message else { return false };
    members.iter().any(|(name, _)| {
        let name = name.to_ascii_lowercase();
        name.contains(AMOUNT) || SIGNS_OF_A_TRANSACTION.iter().any(|sign| name.starts_with(sign))
    })
}

/// Whether a word is a kind of consumption, which is always read as one.
pub(super) fn is_payment(kind: &str) -> bool {
    PAYMENTS.contains(&kind)
}

/// A buyer's payment. Only success is told by every client; another state is held.
fn payment(notice: &mut Notice<'_>) -> Vec<Fact> {
    if notice.get("txn_status") != Some("TRADE_SUCCESS") {
        return notice.not_understood("txn_status");
    }
    let Some(identity) = notice.identity("accp_txnno", "accp_txnno:") else {
        return notice.not_understood("accp_txnno");
    };
    let amount = notice.yuan("orderInfo.total_amount");
    let order_no = notice.name("orderInfo.txn_seqno");
    if order_no.is_none() {
        notice.missing("orderInfo.txn_seqno");
    }
    vec![Fact {
        platform_no: notice.name("accp_txnno"),
        payee: notice.name("oid_partner"),
        occurred_at: notice.time("finish_time"),
        order_no,
        ..notice.fact(EventKind::PaymentSucceeded, identity, amount)
    }]
}

/// Whose message it says it is.
pub(super) fn partner(message: &Json) -> Option<&str> {
    member(message, "oid_partner")
}
