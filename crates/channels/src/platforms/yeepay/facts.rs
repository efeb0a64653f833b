//! What a proven Yeepay callback asserts. What is genuine is never refused here: a value that cannot be understood
//! becomes a [`Concern`], and a person looks.
//!
//! Only `status` is confirmed by a source; the other members have the names that public handlers of these callbacks
//! use. A refund's callback is told from a payment's by its members alone, so one that has any of a refund's is never
//! read as a payment.

use aws_lc_rs::digest;
use jiff::civil::DateTime;

use super::FAMILY;
use super::settings::Config;
use crate::channel::quote;
use crate::json::{Json, JsonError};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Notification, Scope, Timestamp};
use crate::platforms::beijing::BEIJING;
use crate::signature::key::hex;

/// Decimals of an amount: yuan with fen.
const DECIMALS: u8 = 2;

/// Members that only a refund's callback has.
const REFUND_SIGNS: [&str; 3] = ["refundRequestId", "uniqueRefundNo", "refundAmount"];

/// Members that say when it happened, where they are there.
const TIMES: [&str; 2] = ["paySuccessDate", "refundSuccessDate"];

/// Reads a callback whose signature was checked.
pub(super) fn read(config: &Config, json: &[u8]) -> Notification {
    let mut reading = Reading::new(config, json);
    reading.check_merchant();
    let is_refund = REFUND_SIGNS.iter().any(|name| reading.member(name).is_some());
    let fact = if is_refund { reading.refund() } else { reading.payment() };
    reading.finish(is_refund, fact)
}

/// Every value as text under its dotted path; nothing when it is no JSON.
pub(super) fn fields(json: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    if let Ok(json @ Json::Object(_)) = Json::parse(json) {
        json.flatten("", &mut fields);
    }
    fields
}

/// A message while it is read.
struct Reading<'a> {
    config: &'a Config,
    members: Vec<(String, Json)>,
    concerns: Vec<Concern>,
    scope: Scope,
    /// Stands in for a name that the message does not have.
    text_name: String,
}

impl<'a> Reading<'a> {
    fn new(config: &'a Config, json: &[u8]) -> Self {
        let mut concerns = Vec::new();
        let members = match Json::parse(json) {
            Ok(Json::Object(members)) => members,
            Err(JsonError::Twice(name)) => {
                concerns.push(Concern::Ambiguous { field: quote(&name) });
                Vec::new()
            }
            Ok(_) | Err(JsonError::Malformed) => {
                concerns.push(Concern::UnreadableText { field: "response".into() });
                Vec::new()
            }
        };
        let account = config.merchants.first().cloned().unwrap_or_default();
        let scope = Scope { environment: config.environment, family: FAMILY, account };
        let text_name = format!("callback:{}", hex(digest::digest(&digest::SHA256, json).as_ref()));
        Self { config, members, concerns, scope, text_name }
    }

    /// A genuine callback about another merchant is not ours to refuse: it is kept under that merchant's account.
    fn check_merchant(&mut self) {
        let Some(merchant) = self.required("merchantNo") else { return };
        if !self.config.merchants.contains(&merchant) {
            self.concern(Concern::ForeignPayee { payee: quote(&merchant) });
        }
        self.scope.account = merchant;
    }

    /// None when it does not say what happened, or to what.
    fn payment(&mut self) -> Option<Fact> {
        let kind = match self.required("status")?.as_str() {
            "SUCCESS" => EventKind::PaymentSucceeded,
            // Of this attempt: no source calls it the end of the order.
            "FAILED" => EventKind::PaymentFailed,
            "PROCESSING" => EventKind::PaymentPending,
            _ => {
                self.unknown("status");
                return None;
            }
        };
        let number = self.required("uniqueOrderNo")?;
        let identity = self.identity("uniqueOrderNo", number.clone())?;
        let order_no = self.required("orderId");
        let amount = self.amount("orderAmount");
        let payee = Some(self.scope.account.clone());
        let occurred_at = self.time();
        Some(Fact { order_no, platform_no: Some(number), payee, occurred_at, ..self.fact(kind, identity, amount) })
    }

    /// None when it does not say what happened, or to what; a refund under way is no fact yet, and is notified again.
    fn refund(&mut self) -> Option<Fact> {
        let kind = match self.required("status")?.as_str() {
            "SUCCESS" => Some(EventKind::RefundSucceeded),
            "FAILED" => Some(EventKind::RefundFailed),
            "PROCESSING" => None,
            _ => {
                self.unknown("status");
                return None;
            }
        };
        // Their number may look like ours, so each says whose it is.
        let ours = self.required("refundRequestId").map(|number| format!("refundRequestId:{number}"));
        let ours = ours.and_then(|name| self.identity("refundRequestId", name));
        let number = self.name("uniqueRefundNo");
        let theirs = number.clone().map(|number| format!("uniqueRefundNo:{number}"));
        let theirs = theirs.and_then(|name| self.identity("uniqueRefundNo", name));
        let mut names = theirs.into_iter().chain(ours);
        let identity = names.next()?;
        let aliases = names.collect();
        let order_no = self.required("orderId");
        let payment = self.required("uniqueOrderNo").and_then(|number| self.identity("uniqueOrderNo", number));
        let amount = self.amount("refundAmount");
        let occurred_at = self.time();
        let fact = self.fact(kind?, identity, amount);
        Some(Fact { aliases, order_no, platform_no: number, payment, occurred_at, ..fact })
    }

    fn finish(self, is_refund: bool, fact: Option<Fact>) -> Notification {
        let fact = fact.unwrap_or_else(|| {
            let identity = Identity::new(self.text_name.clone()).expect("a word and a digest are a short text");
            self.fact(EventKind::Other, identity, Amount::None)
        });
        let kind = if is_refund { "refund" } else { "payment" };
        // The platform numbers its trades and not its callbacks.
        let numbers: &[&str] = if is_refund { &["uniqueRefundNo", "refundRequestId"] } else { &["uniqueOrderNo"] };
        let number = numbers.iter().find_map(|name| self.get(name));
        let platform_id = number
            .zip(self.get("status"))
            .map(|(number, status)| {
                let time = TIMES.iter().find_map(|name| self.get(name)).unwrap_or_default();
                format!("{kind}/{number}/{status}/{time}")
            })
            .filter(|name| name.len() <= NAME_BYTES_MAX);
        Notification {
            platform_id: platform_id.unwrap_or_else(|| self.text_name.clone()),
            platform_kind: kind.to_owned(),
            sent_at: self.time(),
            facts: vec![fact],
            scope: self.scope,
            concerns: self.concerns,
        }
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

    fn member(&self, name: &str) -> Option<&Json> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// A member as text; none when it is absent, null, empty or blank, or no single value.
    fn get(&self, name: &str) -> Option<&str> {
        self.member(name)?.text().filter(|text| !text.trim().is_empty())
    }

    /// A text that must be there.
    fn required(&mut self, name: &str) -> Option<String> {
        let found = self.name(name);
        if found.is_none() {
            self.concern(Concern::MissingField { field: name.into() });
        }
        found
    }

    /// A number or a word; one that is longer than any platform writes is not taken, and a concern.
    fn name(&mut self, name: &str) -> Option<String> {
        let text = self.get(name)?;
        if text.len() > NAME_BYTES_MAX {
            self.unknown(name);
            return None;
        }
        Some(text.to_owned())
    }

    fn identity(&mut self, name: &str, text: String) -> Option<Identity> {
        let identity = Identity::new(text);
        if identity.is_none() {
            self.unknown(name);
        }
        identity
    }

    /// Yuan, written as a text or as a number; the number's own token is read.
    fn amount(&mut self, name: &str) -> Amount {
        let Some(text) = self.required(name) else { return Amount::Unreadable };
        let is_written_so = matches!(self.member(name), Some(Json::Text(_) | Json::Number(_)));
        match Money::from_decimal(&text, Currency::CNY, DECIMALS) {
            Ok(money) if is_written_so => Amount::Stated(money),
            _ => {
                self.concern(Concern::UnreadableAmount { field: name.into() });
                Amount::Unreadable
            }
        }
    }

    fn time(&self) -> Option<Timestamp> {
        TIMES.iter().find_map(|name| self.get(name)).and_then(read_time)
    }

    fn unknown(&mut self, name: &str) {
        let value = self.get(name).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: name.into(), value });
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// Reads `yyyy-MM-dd HH:mm:ss` of Beijing time.
fn read_time(text: &str) -> Option<Timestamp> {
    let has_shape = text.len() == 19
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b' ',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
    if !has_shape {
        return None;
    }
    BEIJING.to_timestamp(DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?).ok()
}

/// The other way round.
#[cfg(feature = "simulate")]
pub(super) fn write_time(time: Timestamp) -> String {
    BEIJING.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
