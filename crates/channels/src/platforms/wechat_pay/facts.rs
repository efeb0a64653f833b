//! What a proven WeChat Pay message asserts.
//!
//! Sources: WeChat Pay merchant documents, the notification pages of payments, combined payments, refunds,
//! profit sharing and transfers; the other products' pages are named in the files below. What is genuine is never refused here: a value that cannot be understood
//! becomes a [`Concern`], and a person looks.
//!
//! The account of a scope is the merchant's number; with a sub-merchant it is `sp_mchid:sub_mchid`, and in a
//! combined order the sub-order's own `mchid` or `mchid:sub_mchid`. All of it comes from the message, so that
//! a payment and its refunds meet in one scope, whatever channel is configured.

mod batches;
mod complaints;
mod contracts;
mod notices;
mod pay_score;

use aws_lc_rs::digest;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::FAMILY;
use super::envelope::{Envelope, Value};
use super::settings::Config;
use crate::channel::quote;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Notification, Scope, Timestamp};
use crate::platforms::signed_body::sealed::kind_of;
use crate::signature::key::hex;

/// Most sub-orders of a combined order that are read; the platform allows 50.
const SUB_ORDERS_MAX: usize = 64;

/// China has kept one zone without summer time since 1991.
const BEIJING: Offset = Offset::constant(8);

/// Kinds that speak of payments: ordinary and combined ones, deductions (parking, insurance) that failed or were
/// paid later, and those of single trades (schools).
const PAYMENTS: &[&str] = &[
    "TRANSACTION.SUCCESS",
    "TRANSACTION.FAIL",
    "TRANSACTION.PAY_BACK",
    "TRANSACTION.INDUSTRY_SUCCESS",
    "TRANSACTION.INDUSTRY_FAILED",
];

/// Kinds that speak of a contract that was signed or ended.
const CONTRACTS: &[&str] = &[
    "ENTRUST.SIGN",
    "ENTRUST.TERMINATE",
    "INSURANCE_ENTRUST.SIGN",
    "INSURANCE_ENTRUST.TERMINATE",
    "ECOMMERCE_ENTRUST.SIGN",
    "ECOMMERCE_ENTRUST.TERMINATE",
];

/// Reads a message whose signature was checked and whose box was opened.
pub(super) fn read(
    config: &Config,
    envelope: &Envelope,
    plaintext: &[u8],
    body: &[u8],
    signed_at: Timestamp,
) -> Notification {
    let mut reading = Reading::new(config, envelope, plaintext, body);
    let facts = match envelope.event_type.as_str() {
        "TRANSACTION.SUCCESS" if is_share(&reading) => vec![reading.other()],
        kind if PAYMENTS.contains(&kind) => payments(&mut reading),
        "REFUND.SUCCESS" => refund(&mut reading, EventKind::RefundSucceeded, "SUCCESS"),
        "REFUND.CLOSED" => refund(&mut reading, EventKind::RefundFailed, "CLOSED"),
        "REFUND.ABNORMAL" => refund(&mut reading, EventKind::RefundAbnormal, "ABNORMAL"),
        "PROFITSHARING.SUCCESS" => profit_sharing(&mut reading, EventKind::ProfitSharingSucceeded),
        "PROFITSHARING.RETURN" => profit_sharing(&mut reading, EventKind::ProfitSharingReturned),
        "MCHTRANSFER.BILL.FINISHED" | "MCHTRANSFER.QQWALLETBILL.FINISHED" => transfer(&mut reading),
        "MCHTRANSFER.BATCH.FINISHED" | "MCHTRANSFER.BATCH.CLOSED" => batches::read(&mut reading),
        "PAYSCORE.USER_PAID" => pay_score::read(&mut reading),
        "COMPLAINT.CREATE" | "COMPLAINT.STATE_CHANGE" => complaints::read(&mut reading),
        kind if CONTRACTS.contains(&kind) => contracts::read(&mut reading),
        kind => {
            // That it does not say its kind is a concern already.
            if !kind.is_empty() && !notices::is_known(kind) {
                reading.concern(Concern::UnknownValue { field: "event_type".into(), value: quote(kind) });
            }
            vec![reading.other()]
        }
    };
    reading.finish(facts, signed_at)
}

/// A change of a receiver's balance that goes by a payment's word (WeChat Pay, "profit sharing: notification of a
/// change of balance"). It does not say in which direction, so nothing is made of it.
fn is_share(reading: &Reading<'_>) -> bool {
    reading.envelope.get("resource.original_type") == Some("profitsharing")
        && reading.get("", "trade_state").is_none()
        && reading.tree.at("receiver").is_some()
}

/// One payment, or each payment of a combined order.
fn payments(reading: &mut Reading<'_>) -> Vec<Fact> {
    if reading.get("", "combine_out_trade_no").is_none() && reading.tree.at("sub_orders").is_none() {
        let scope = reading.scope.clone();
        return vec![payment(reading, "", scope)];
    }
    let count = match reading.tree.at("sub_orders") {
        Some(Value::List(orders)) => orders.len(),
        _ => 0,
    };
    if count == 0 || count > SUB_ORDERS_MAX {
        reading.missing("sub_orders");
        return vec![reading.other()];
    }
    (0..count)
        .map(|at| {
            let prefix = format!("sub_orders.{at}.");
            let account = reading.check_account(&prefix);
            let scope =
                Scope { account: account.unwrap_or_else(|| reading.scope.account.clone()), ..reading.scope.clone() };
            payment(reading, &prefix, scope)
        })
        .collect()
}

/// States of a payment that are known, whatever the event.
const STATES: &[&str] = &[
    "SUCCESS",
    "NOTPAY",
    "CLOSED",
    "REVOKED",
    "USERPAYING",
    "PAYERROR",
    "REFUND",
    "ACCEPTED",
    "PAY_FAIL",
    "FAIL",
    "PAY_BACK",
];

/// The state decides, and it must fit the event's own word.
fn payment(reading: &mut Reading<'_>, prefix: &str, scope: Scope) -> Fact {
    let state = reading.name(prefix, "trade_state");
    let event = reading.envelope.event_type.as_str();
    let kind = match (event, state.as_deref()) {
        ("TRANSACTION.SUCCESS" | "TRANSACTION.INDUSTRY_SUCCESS", Some("SUCCESS"))
        | ("TRANSACTION.PAY_BACK", Some("SUCCESS" | "PAY_BACK")) => EventKind::PaymentSucceeded,
        ("TRANSACTION.FAIL" | "TRANSACTION.INDUSTRY_FAILED", Some("PAYERROR" | "PAY_FAIL" | "FAIL")) => {
            EventKind::PaymentFailed
        }
        // Paid, and some of it went back: true, and not what this event is for.
        ("TRANSACTION.SUCCESS", Some("REFUND")) => {
            reading.contradiction(prefix, "trade_state");
            EventKind::PaymentSucceeded
        }
        (_, Some(state)) if STATES.contains(&state) => {
            reading.contradiction(prefix, "trade_state");
            return reading.part(prefix);
        }
        (_, Some(_)) => {
            reading.unknown(prefix, "trade_state");
            return reading.part(prefix);
        }
        (_, None) => {
            reading.missing(&format!("{prefix}trade_state"));
            return reading.part(prefix);
        }
    };
    let theirs = reading.identity(prefix, "transaction_id", "");
    // A deduction that failed before there was a payment has no number but the merchant's.
    let ours = if theirs.is_none() && kind == EventKind::PaymentFailed {
        reading.identity(prefix, "out_trade_no", "out_trade_no:")
    } else {
        None
    };
    let platform_no = theirs.as_ref().map(|name| name.as_str().to_owned());
    let Some(identity) = theirs.or(ours) else {
        reading.missing(&format!("{prefix}transaction_id"));
        return reading.part(prefix);
    };
    // A combined order says `total_amount` where an ordinary one says `total`.
    let total =
        if reading.get(prefix, "amount.total_amount").is_some() { "amount.total_amount" } else { "amount.total" };
    let amount = reading.amount(prefix, total, "amount.currency");
    if total == "amount.total_amount"
        && reading.get(prefix, "amount.total").is_some_and(|text| Some(text) != reading.get(prefix, total))
    {
        reading.contradiction(prefix, "amount.total");
    }
    let order_no = reading.name(prefix, "out_trade_no");
    if order_no.is_none() {
        reading.missing(&format!("{prefix}out_trade_no"));
    }
    Fact {
        platform_no,
        payee: reading.name(prefix, "sub_mchid").or_else(|| reading.name(prefix, "mchid")),
        order_no,
        occurred_at: reading.time(prefix, "success_time"),
        ..fact(kind, scope, identity, amount)
    }
}

/// The notification says `refund_status` where the interfaces say `status`.
fn refund(reading: &mut Reading<'_>, kind: EventKind, status: &str) -> Vec<Fact> {
    match reading.name("", "refund_status").as_deref() {
        Some(found) if found == status => {}
        Some("SUCCESS" | "CLOSED" | "ABNORMAL" | "PROCESSING") => {
            reading.contradiction("", "refund_status");
            return vec![reading.other()];
        }
        Some(_) => {
            reading.unknown("", "refund_status");
            return vec![reading.other()];
        }
        None => {
            reading.missing("refund_status");
            return vec![reading.other()];
        }
    }
    let theirs = reading.identity("", "refund_id", "refund_id:");
    let ours = reading.identity("", "out_refund_no", "out_refund_no:");
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else {
        reading.missing("refund_id");
        return vec![reading.other()];
    };
    let aliases = names.collect();
    reading.need(&["refund_id", "out_refund_no", "out_trade_no"]);
    let amount = reading.amount("", "amount.refund", "amount.currency");
    let payment = reading.identity("", "transaction_id", "");
    if payment.is_none() {
        reading.missing("transaction_id");
    }
    vec![Fact {
        aliases,
        order_no: reading.name("", "out_trade_no"),
        platform_no: reading.name("", "refund_id"),
        occurred_at: reading.time("", "success_time"),
        payment,
        ..fact(kind, reading.scope.clone(), identity, amount)
    }]
}

/// Money that was moved to a receiver or came back. It is sent to receivers, so the payer may be another merchant.
fn profit_sharing(reading: &mut Reading<'_>, kind: EventKind) -> Vec<Fact> {
    let order = reading.name("", "order_id");
    let receiver = reading.name("", "receiver.account");
    let (Some(order), Some(receiver)) = (order, receiver) else {
        reading.missing(if reading.get("", "order_id").is_none() { "order_id" } else { "receiver.account" });
        return vec![reading.other()];
    };
    let time = reading.get("", "success_time").unwrap_or_default().to_owned();
    let Some(identity) = Identity::new(format!("share:{order}:{receiver}:{time}")) else {
        reading.unknown("", "success_time");
        return vec![reading.other()];
    };
    // Without its time a share has the name of any other of the same order and receiver.
    reading.need(&["out_order_no", "success_time"]);
    let amount = reading.amount("", "receiver.amount", "receiver.currency");
    vec![Fact {
        order_no: reading.name("", "out_order_no"),
        platform_no: Some(order),
        payee: Some(receiver),
        occurred_at: reading.time("", "success_time"),
        ..fact(kind, reading.scope.clone(), identity, amount)
    }]
}

/// A transfer that ended. Transfers of two products may share our number, so the product is part of its name.
fn transfer(reading: &mut Reading<'_>) -> Vec<Fact> {
    let kind = match reading.name("", "state").as_deref() {
        Some("SUCCESS") => EventKind::TransferSucceeded,
        Some("FAIL" | "CANCELLED") => EventKind::TransferFailed,
        // Not over, under a word that says it is.
        Some("ACCEPTED" | "PROCESSING" | "WAIT_USER_CONFIRM" | "TRANSFERING" | "CANCELING") => {
            reading.contradiction("", "state");
            return vec![reading.other()];
        }
        Some(_) => {
            reading.unknown("", "state");
            return vec![reading.other()];
        }
        None => {
            reading.missing("state");
            return vec![reading.other()];
        }
    };
    let is_qq = reading.envelope.event_type == "MCHTRANSFER.QQWALLETBILL.FINISHED";
    let [theirs, ours] =
        if is_qq { ["qq:transfer_bill_no:", "qq:out_bill_no:"] } else { ["transfer_bill_no:", "out_bill_no:"] };
    let theirs = reading.identity("", "transfer_bill_no", theirs);
    let ours = reading.identity("", "out_bill_no", ours);
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else {
        reading.missing("transfer_bill_no");
        return vec![reading.other()];
    };
    let aliases = names.collect();
    reading.need(&["transfer_bill_no", "out_bill_no"]);
    let amount = reading.amount("", "transfer_amount", "currency");
    vec![Fact {
        aliases,
        order_no: reading.name("", "out_bill_no"),
        platform_no: reading.name("", "transfer_bill_no"),
        occurred_at: reading.time("", "update_time"),
        ..fact(kind, reading.scope.clone(), identity, amount)
    }]
}

fn fact(kind: EventKind, scope: Scope, identity: Identity, amount: Amount) -> Fact {
    Fact {
        kind,
        scope,
        identity,
        aliases: Vec::new(),
        amount,
        order_no: None,
        platform_no: None,
        payee: None,
        occurred_at: None,
        payment: None,
        baseline: None,
    }
}

/// Before the paths of what was in the box.
const PLAINTEXT: &str = "plaintext";

/// Every field of a message as text, in the order of arrival.
pub(super) fn fields(envelope: Envelope, plaintext: &[u8]) -> Vec<(String, String)> {
    let mut fields = envelope.fields;
    Value::parse(plaintext).value.flatten(PLAINTEXT.to_owned(), &mut fields);
    fields
}

/// A message while it is read.
struct Reading<'a> {
    config: &'a Config,
    envelope: &'a Envelope,
    tree: Value,
    concerns: Vec<Concern>,
    scope: Scope,
    platform_id: String,
}

impl<'a> Reading<'a> {
    fn new(config: &'a Config, envelope: &'a Envelope, plaintext: &[u8], body: &[u8]) -> Self {
        let tree = Value::parse(plaintext);
        let mut concerns = envelope.concerns.clone();
        if let Some(name) = &tree.twice {
            concerns.push(Concern::Ambiguous { field: quote(name) });
        }
        let is_whole = !tree.is_broken && matches!(tree.value, Value::Object(_));
        if !is_whole || !tree.value.has_short_paths(PLAINTEXT.len()) {
            let concern = Concern::UnreadableText { field: "resource.ciphertext".into() };
            if !concerns.contains(&concern) {
                concerns.push(concern);
            }
        }
        // The digest of the body stands in for a number that is missing or too long to be one.
        let number = envelope.get("id").filter(|id| id.len() <= NAME_BYTES_MAX);
        let platform_id = number.map_or_else(|| hex(digest::digest(&digest::SHA256, body).as_ref()), str::to_owned);
        if number.is_none() {
            concerns.push(Concern::MissingField { field: "id".into() });
        }
        let scope = Scope { environment: config.environment, family: FAMILY, account: config.mchid.clone() };
        let tree = tree.value;
        let mut reading = Self { config, envelope, tree, concerns, scope, platform_id };
        if let Some(account) = reading.check_account("") {
            reading.scope.account = account;
        }
        reading
    }

    /// Whose money it is, and whether that is one of ours. A genuine message about somebody else is not ours
    /// to refuse: it is kept under that account, and held.
    fn check_account(&mut self, prefix: &str) -> Option<String> {
        let config = self.config;
        let first =
            |reading: &mut Self, names: [&str; 4]| names.into_iter().find_map(|name| reading.name(prefix, name));
        let merchant = first(self, ["sp_mchid", "mchid", "mch_id", "combine_mchid"]);
        let sub = self.name(prefix, "sub_mchid");
        // The payer of a share may be another merchant; then the receiver is to be ours.
        let is_receiver = (self.envelope.event_type.starts_with("PROFITSHARING.") || is_share(self))
            && self.get(prefix, "receiver.account") == Some(config.mchid.as_str());
        // A combined order may carry orders of several merchants, which are named like sub-merchants.
        let is_part = |id: &str| !prefix.is_empty() && config.has_sub_merchant(id);
        match &merchant {
            Some(id) if *id == config.mchid || is_receiver || is_part(id) => {}
            Some(id) => self.foreign(id),
            None if self.needs_account() => self.missing(&format!("{prefix}mchid")),
            None => {}
        }
        if let Some(sub) = &sub
            && !config.has_sub_merchant(sub)
            && !is_receiver
        {
            self.foreign(sub);
        }
        for name in ["appid", "sp_appid", "combine_appid"] {
            if let Some(id) = self.name(prefix, name)
                && !config.app_ids.contains(&id)
                && !is_receiver
            {
                self.foreign(&id);
            }
        }
        if let Some(id) = self.name(prefix, "sub_appid")
            && !config.sub_app_ids.is_empty()
            && !config.sub_app_ids.contains(&id)
        {
            self.foreign(&id);
        }
        match (merchant, sub) {
            (Some(merchant), Some(sub)) => Some(format!("{merchant}:{sub}")),
            (Some(merchant), None) => Some(merchant),
            // Only half a name: a sub-merchant of ours.
            (None, Some(sub)) => Some(format!("{}:{sub}", config.mchid)),
            (None, None) => None,
        }
    }

    /// Messages about money name the merchant; notices need not.
    fn needs_account(&self) -> bool {
        let kind = &self.envelope.event_type;
        let families =
            ["REFUND.", "PROFITSHARING.", "MCHTRANSFER.BILL.", "MCHTRANSFER.QQWALLETBILL.", "MCHTRANSFER.BATCH."];
        PAYMENTS.contains(&kind.as_str()) || families.iter().any(|family| kind.starts_with(family))
    }

    fn finish(self, facts: Vec<Fact>, signed_at: Timestamp) -> Notification {
        let created = self.envelope.get("create_time").and_then(read_time);
        Notification {
            scope: self.scope,
            platform_id: self.platform_id,
            platform_kind: kind_of(&self.envelope.event_type),
            // The signed header's time lies within minutes of now, so it can stand in.
            sent_at: Some(created.unwrap_or(signed_at)),
            facts,
            concerns: self.concerns,
        }
    }

    /// A value of the plaintext as text; none when it is absent, empty or blank.
    fn get(&self, prefix: &str, path: &str) -> Option<&str> {
        value_at(&self.tree, prefix, path)?.text().filter(|text| !text.trim().is_empty())
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern.
    fn name(&mut self, prefix: &str, path: &str) -> Option<String> {
        let text = self.get(prefix, path)?.to_owned();
        if text.len() > NAME_BYTES_MAX {
            self.unknown(prefix, path);
            return None;
        }
        Some(text)
    }

    /// `word` keeps numbers of different kinds apart, since one may look like the other.
    fn identity(&mut self, prefix: &str, path: &str, word: &str) -> Option<Identity> {
        let name = format!("{word}{}", self.name(prefix, path)?);
        let identity = Identity::new(name);
        if identity.is_none() {
            self.unknown(prefix, path);
        }
        identity
    }

    /// An integer of minor units, as it is written; a text, a fraction or a sign is no amount.
    fn amount(&mut self, prefix: &str, path: &str, currency: &str) -> Amount {
        let Some(value) = value_at(&self.tree, prefix, path) else {
            self.missing(&format!("{prefix}{path}"));
            return Amount::Unreadable;
        };
        let digits = match value {
            Value::Number(digits) => Some(digits.as_str()),
            _ => None,
        };
        let code = match self.get(prefix, currency) {
            None => Some(Currency::CNY),
            Some(code) => Currency::parse(code).ok(),
        };
        let Some(code) = code else {
            self.concern(Concern::UnreadableAmount { field: format!("{prefix}{currency}") });
            return Amount::Unreadable;
        };
        if let Some(money) = digits.and_then(|digits| Money::from_minor_text(digits, code).ok()) {
            return Amount::Stated(money);
        }
        self.concern(Concern::UnreadableAmount { field: format!("{prefix}{path}") });
        Amount::Unreadable
    }

    fn time(&self, prefix: &str, path: &str) -> Option<Timestamp> {
        self.get(prefix, path).and_then(read_time)
    }

    /// Genuine, and without a money meaning that we know.
    fn other(&self) -> Fact {
        let digest = || hex(digest::digest(&digest::SHA256, self.platform_id.as_bytes()).as_ref());
        // The number was checked to be short and not empty; the digest is both by nature.
        let identity = Identity::new(self.platform_id.clone()).or_else(|| Identity::new(digest()));
        let identity = identity.expect("a digest is a short text");
        let (ours, theirs) = notices::numbers(&self.envelope.event_type);
        Fact {
            order_no: ours.and_then(|path| self.number("", path)),
            platform_no: theirs.and_then(|path| self.number("", path)),
            ..fact(EventKind::Other, self.scope.clone(), identity, Amount::None)
        }
    }

    /// A number of a message that is kept without a meaning; one that is too long to be one is left out.
    fn number(&self, prefix: &str, path: &str) -> Option<String> {
        self.get(prefix, path).filter(|text| text.len() <= NAME_BYTES_MAX).map(str::to_owned)
    }

    /// The same for one sub-order, which needs a name of its own.
    fn part(&self, prefix: &str) -> Fact {
        let mut other = self.other();
        if !prefix.is_empty()
            && let Some(identity) = Identity::new(format!("{}/{}", self.platform_id, prefix.trim_end_matches('.')))
        {
            other.identity = identity;
            other.order_no = self.number(prefix, "out_trade_no");
            other.platform_no = self.number(prefix, "transaction_id");
        }
        other
    }

    /// Fields that this kind of message always has; the fact stands without them, and a person looks.
    fn need(&mut self, fields: &[&str]) {
        for field in fields {
            if self.get("", field).is_none() {
                self.missing(field);
            }
        }
    }

    fn missing(&mut self, field: &str) {
        self.concern(Concern::MissingField { field: field.into() });
    }

    fn foreign(&mut self, payee: &str) {
        self.concern(Concern::ForeignPayee { payee: quote(payee) });
    }

    fn contradiction(&mut self, prefix: &str, path: &str) {
        self.concern(Concern::Contradiction { field: format!("{prefix}{path}") });
    }

    fn unknown(&mut self, prefix: &str, path: &str) {
        let value = self.get(prefix, path).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: format!("{prefix}{path}"), value });
    }

    /// A value that decides, and is not there or cannot be read.
    fn undecided(&mut self, path: &str) {
        if self.get("", path).is_some() { self.unknown("", path) } else { self.missing(path) }
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// `prefix` is empty or `sub_orders.N.`.
fn value_at<'t>(tree: &'t Value, prefix: &str, path: &str) -> Option<&'t Value> {
    tree.at(&format!("{prefix}{path}"))
}

/// RFC 3339; one old contract message writes fourteen digits of Beijing time.
fn read_time(text: &str) -> Option<Timestamp> {
    if text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let time = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
        return BEIJING.to_timestamp(time).ok();
    }
    text.parse().ok()
}
