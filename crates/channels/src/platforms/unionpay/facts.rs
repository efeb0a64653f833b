//! What a proven UnionPay notice asserts (UnionPay's developer documents, "background notice" of each transaction).
//!
//! Each transaction (payment, completion, refund, revocation, payout) is one of its own: its own `orderId`, `txnTime`
//! and `queryId`, and, when it follows another, that one's `queryId` as `origQryId`. Its names are `queryId`, and
//! `orderId` with `txnTime`, for an order number alone may come again on another day.
//!
//! The account of a scope is `merId` alone, also where a platform merchant's sub-merchant is named: order numbers are
//! the platform merchant's, and a refund that does not repeat the sub-merchant must still find its payment. The
//! sub-merchant is the payee.
//!
//! What is genuine is never refused here: a value that cannot be understood becomes a [`Concern`], and a person
//! looks. An empty or blank value is an absent one.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use aws_lc_rs::digest;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::settings::Config;
use super::{FAMILY, canonical};
use crate::channel::quote;
use crate::form::{Form, Pair};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Notification, Scope, Timestamp};
use crate::signature::key::hex;

/// Types that move no money: a file download, an opened card or token, a new encryption certificate. Another type that
/// we do not know may move some, so it is held.
const NOTICES: &[&str] = &["76", "79", "95"];

/// Decimals of an amount: UnionPay counts in fen.
const DECIMALS: u8 = 2;

/// Characters of the digest in a notification's name; beside the transaction's own number they tell its few states
/// apart.
const DIGEST_CHARS: usize = 16;

/// Longest `queryId` that becomes part of a name; real ones have 21 digits.
const QUERY_ID_BYTES_MAX: usize = 64;

/// China has kept one zone without summer time since 1991.
const BEIJING: Offset = Offset::constant(8);

/// Reads a message whose signature was checked. `text` is what was signed.
pub(super) fn read(config: &Config, form: &Form<'_>, sorted: &[&Pair<'_>], text: &[u8]) -> Notification {
    let mut reading = Reading::new(config, form, sorted, text);
    let facts = match kind(&mut reading) {
        EventKind::Other => vec![reading.other()],
        kind => vec![transaction(&mut reading, kind)],
    };
    reading.finish(facts)
}

/// What happened, by the transaction's type and its response code; `other` when it has no money meaning, or none that
/// is certain.
fn kind(reading: &mut Reading<'_>) -> EventKind {
    // An answer to a query is signed like a notice, names the transaction that was asked about, and its `respCode` says only
    // that the question was answered.
    if reading.get("origRespCode").is_some() {
        reading.unknown("origRespCode");
        return EventKind::Other;
    }
    let kind = told(reading);
    // An answer to the merchant's own request for a refund, a revocation or a payout is signed like a notice too, and its
    // code says only that the request was taken. It has no trace number, which every notice of a transaction has.
    if kind != EventKind::Other && reading.get("traceNo").is_none() {
        reading.missing("traceNo");
        return EventKind::Other;
    }
    kind
}

/// What a message says, if it is a notice.
fn told(reading: &mut Reading<'_>) -> EventKind {
    let done = match reading.get("txnType") {
        Some("01" | "03") => EventKind::PaymentSucceeded,
        Some("02") => EventKind::PaymentAuthorized,
        Some("04" | "31" | "33") => EventKind::RefundSucceeded,
        // Nothing was paid yet: the reserved money is free again.
        Some("32") => EventKind::PaymentClosed,
        Some("12") => EventKind::TransferSucceeded,
        Some(kind) if NOTICES.contains(&kind) => return EventKind::Other,
        Some(_) => {
            reading.unknown("txnType");
            return EventKind::Other;
        }
        None => {
            reading.missing("txnType");
            return EventKind::Other;
        }
    };
    match reading.get("respCode") {
        // A6 is a success with a flaw, which the merchant is advised to ask about again.
        Some("00" | "A6") => done,
        // In doubt: somebody has to ask later. For money that leaves us there is no kind that says so.
        Some("03" | "04" | "05") => match done {
            EventKind::PaymentSucceeded | EventKind::PaymentAuthorized => EventKind::PaymentPending,
            _ => EventKind::Other,
        },
        Some(_) => {
            reading.unknown("respCode");
            EventKind::Other
        }
        None => {
            reading.missing("respCode");
            EventKind::Other
        }
    }
}

fn transaction(reading: &mut Reading<'_>, kind: EventKind) -> Fact {
    let by_order = reading.order_identity("orderId", "txnTime");
    let by_query = reading.query_identity("queryId");
    for (name, identity) in [("orderId", &by_order), ("queryId", &by_query)] {
        if identity.is_none() && reading.get(name).is_none() {
            reading.missing(name);
        }
    }
    let mut names = by_order.into_iter().chain(by_query);
    let Some(identity) = names.next() else { return reading.other() };
    let amount = reading.amount();
    let mut fact = Fact {
        aliases: names.collect(),
        order_no: reading.name("orderId"),
        platform_no: reading.name("queryId"),
        payee: payee(reading, kind),
        occurred_at: reading.time("txnTime"),
        ..reading.fact(kind, identity, amount)
    };
    if matches!(kind, EventKind::RefundSucceeded | EventKind::PaymentClosed) {
        follow(reading, &mut fact);
    }
    fact
}

/// Who the money is for: the sub-merchant, or the merchant. A payout is for somebody whom the notice does not name.
fn payee(reading: &mut Reading<'_>, kind: EventKind) -> Option<String> {
    if kind == EventKind::TransferSucceeded {
        return None;
    }
    reading.name("subMerId").or_else(|| reading.name("merId"))
}

/// Makes a fact follow the transaction that it undoes. Its order number is that one's, where the message says it; the
/// number of its own stays among its names.
fn follow(reading: &mut Reading<'_>, fact: &mut Fact) {
    let by_query = reading.query_identity("origQryId");
    let by_order = reading.order_identity("origOrderId", "origTxnTime");
    if by_query.is_none() && by_order.is_none() {
        reading.missing("origQryId");
    }
    fact.order_no = reading.name("origOrderId");
    if fact.kind == EventKind::RefundSucceeded {
        fact.payment = by_query.or(by_order);
        return;
    }
    // Closed is the authorization itself, under its own names.
    fact.platform_no = reading.name("origQryId");
    let mut originals = by_query.into_iter().chain(by_order);
    if let Some(original) = originals.next() {
        let own = std::mem::replace(&mut fact.identity, original);
        fact.aliases = originals.chain([own]).chain(std::mem::take(&mut fact.aliases)).collect();
    }
}

/// A message while it is read.
struct Reading<'a> {
    /// Every field as text, mostly the form's own bytes.
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    concerns: Vec<Concern>,
    scope: Scope,
    platform_id: String,
}

impl<'a> Reading<'a> {
    fn new(config: &Config, form: &'a Form<'_>, sorted: &[&Pair<'_>], text: &[u8]) -> Self {
        let mut concerns = Vec::new();
        let fields = decode(form, &mut concerns);
        if let Some(name) = canonical::ambiguous_field(sorted) {
            concerns.push(Concern::Ambiguous { field: quote(&String::from_utf8_lossy(name)) });
        }
        let scope = Scope {
            environment: config.environment,
            family: FAMILY,
            account: value(&fields, "merId").unwrap_or_default().to_owned(),
        };
        let mut reading = Self { fields, concerns, scope, platform_id: String::new() };
        // UnionPay gives a notice no number of its own. The transaction's number begins with a time, so it goes first.
        let digest = hex(digest::digest(&digest::SHA256, text).as_ref());
        reading.platform_id = match reading.get("queryId").filter(|id| id.len() <= QUERY_ID_BYTES_MAX) {
            Some(id) => format!("{id}:{}", &digest[..DIGEST_CHARS]),
            None => digest,
        };
        if !reading.get("encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("UTF-8")) {
            reading.unknown("encoding");
        }
        if let Some(sub) = reading.get("subMerId").filter(|sub| !config.takes_sub_merchant(sub)).map(quote) {
            reading.concern(Concern::ForeignPayee { payee: sub });
        }
        reading
    }

    fn finish(mut self, facts: Vec<Fact>) -> Notification {
        let sent_at = self.time("txnTime");
        // Without any time an old capture could not be told from a new message.
        if sent_at.is_none() {
            if self.get("txnTime").is_some() { self.unknown("txnTime") } else { self.missing("txnTime") }
        }
        Notification {
            platform_kind: self.get("txnType").map(quote).unwrap_or_default(),
            scope: self.scope,
            platform_id: self.platform_id,
            sent_at,
            facts,
            concerns: self.concerns,
        }
    }

    /// A field's value; none when it is absent, empty or blank.
    fn get(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern.
    fn name(&mut self, name: &'static str) -> Option<String> {
        let text = self.get(name)?.to_owned();
        if text.len() > NAME_BYTES_MAX {
            self.unknown(name);
            return None;
        }
        Some(text)
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.get(name).and_then(read_time)
    }

    /// A transaction by the platform's number.
    fn query_identity(&mut self, field: &'static str) -> Option<Identity> {
        let text = format!("query:{}", self.get(field)?);
        self.identity(field, text)
    }

    /// A transaction by the merchant's number and the time that goes with it.
    fn order_identity(&mut self, order: &'static str, time: &'static str) -> Option<Identity> {
        let text = format!("order:{}:{}", self.get(order)?, self.get(time)?);
        self.identity(order, text)
    }

    /// An identity that holds the value of `field`; a concern when it cannot be one.
    fn identity(&mut self, field: &'static str, text: String) -> Option<Identity> {
        let identity = Identity::new(text);
        if identity.is_none() {
            self.unknown(field);
        }
        identity
    }

    fn amount(&mut self) -> Amount {
        let currency = self.currency();
        let Some(text) = self.get("txnAmt") else {
            self.missing("txnAmt");
            return Amount::Unreadable;
        };
        let Some(currency) = currency else { return Amount::Unreadable };
        let read = Money::from_minor_text(text, currency).ok();
        if read.is_none() {
            self.concern(Concern::UnreadableAmount { field: "txnAmt".into() });
        }
        read.map_or(Amount::Unreadable, Amount::Stated)
    }

    /// The currency by its number (ISO 4217, three digits). Whether UnionPay counts a currency without two decimals in
    /// its own smallest unit is not known: read so, and held.
    fn currency(&mut self) -> Option<Currency> {
        let Some(code) = self.get("currencyCode") else {
            self.missing("currencyCode");
            return None;
        };
        let currency = by_number(code);
        if currency.is_none_or(|currency| currency.iso_exponent() != DECIMALS) {
            self.unknown("currencyCode");
        }
        currency
    }

    fn fact(&self, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        Fact {
            kind,
            scope: self.scope.clone(),
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

    /// Genuine, and without a money meaning that we know.
    fn other(&self) -> Fact {
        let identity = Identity::new(self.platform_id.clone()).expect("a digest and a short number are a short text");
        self.fact(EventKind::Other, identity, Amount::None)
    }

    fn missing(&mut self, field: &str) {
        self.concern(Concern::MissingField { field: field.into() });
    }

    fn unknown(&mut self, field: &str) {
        let value = self.get(field).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: field.into(), value });
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

fn value<'f>(fields: &'f [(Cow<'_, str>, Cow<'_, str>)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value).filter(|value| !value.trim().is_empty())
}

/// Every field as text. Bytes that are no UTF-8 are shown lossily and noted.
fn decode<'f>(form: &'f Form<'_>, concerns: &mut Vec<Concern>) -> Vec<(Cow<'f, str>, Cow<'f, str>)> {
    let mut fields = Vec::with_capacity(form.pairs().len());
    for pair in form.pairs() {
        let (name, value) = (String::from_utf8_lossy(&pair.name), String::from_utf8_lossy(&pair.value));
        if matches!(value, Cow::Owned(_)) {
            concerns.push(Concern::UnreadableText { field: quote(&name) });
        }
        fields.push((name, value));
    }
    fields
}

fn by_number(code: &str) -> Option<Currency> {
    let is_number = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { code.parse().ok()? } else { return None };
    Currency::parse(iso_currency::Currency::from_numeric(number)?.code()).ok()
}

/// Reads `yyyyMMddHHmmss`, Beijing time.
fn read_time(text: &str) -> Option<Timestamp> {
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let small = |from: usize| text.get(from..from + 2).and_then(|part| part.parse::<i8>().ok());
    let year = text.get(..4)?.parse::<i16>().ok()?;
    let time = DateTime::new(year, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0).ok()?;
    BEIJING.to_timestamp(time).ok()
}

/// Writes `yyyyMMddHHmmss`.
#[cfg(any(test, feature = "simulate"))]
pub(super) fn write_time(time: Timestamp) -> String {
    BEIJING.to_datetime(time).strftime("%Y%m%d%H%M%S").to_string()
}
