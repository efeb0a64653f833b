//! What a proven message of guaranteed payment asserts.
//!
//! Source: Douyin Open Platform, guaranteed payment, the callback pages. `type` stands beside the message and is not
//! signed; each kind has a member that no other kind has, and that decides.
//!
//! The account of a scope is the message's application, so that a payment and its refunds meet in one scope.

use super::FAMILY;
use super::settings::Config;
use crate::json::Json;
use crate::model::{Concern, Currency, EventKind, Fact, Notification, Scope};
use crate::platforms::douyin::{Reading, fact, message_name, other};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An order was paid.
    Payment,
    /// Money went back, or did not.
    Refund,
    /// Held money was paid out to those who share in it.
    Settle,
    /// The merchant took money out.
    Withdraw,
    /// None of those that are known.
    Unknown,
}

/// The members of which a message has exactly one, and what it makes of it. The last one is known from public
/// programs only, and brings no fact about money.
const MARKS: [(&str, Kind); 4] = [
    ("cp_orderno", Kind::Payment),
    ("cp_refundno", Kind::Refund),
    ("cp_settle_no", Kind::Settle),
    ("withdraw_at", Kind::Withdraw),
];

/// The application's member, and how settlements also write it.
const APP_IDS: [&str; 2] = ["appid", "app_id"];

/// A message has the marks of two kinds: the name of the second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Two(&'static str);

impl Kind {
    /// The word that stands in `type`; none for what is not known.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Payment => Some("payment"),
            Self::Refund => Some("refund"),
            Self::Settle => Some("settle"),
            Self::Withdraw => Some("withdraw"),
            Self::Unknown => None,
        }
    }

    /// Whether `type` says another thing than the message itself.
    pub(super) fn contradicts(self, word: &str) -> bool {
        self.word().is_some_and(|own| own != word)
    }
}

/// What a message is, by its own members.
pub(super) fn kind(message: &Json) -> Result<Kind, Two> {
    let mut found = MARKS.into_iter().filter(|(mark, _)| message.get(mark).is_some());
    match (found.next(), found.next()) {
        (Some((_, kind)), None) => Ok(kind),
        (None, _) => Ok(Kind::Unknown),
        (Some(_), Some((second, _))) => Err(Two(second)),
    }
}

/// The application that a message names.
pub(super) fn app_id(message: &Json) -> Option<String> {
    let reading = Reading::new(message);
    APP_IDS.into_iter().find_map(|name| reading.text(name)).map(str::to_owned)
}

/// Reads a message whose signature was checked, if it can be read.
pub(super) fn read(config: &Config, text: &str, message: Result<(&Json, Result<Kind, Two>), &Concern>) -> Notification {
    let nothing = Json::Null;
    let mut reading = Reading::new(message.map_or(&nothing, |(json, _)| json));
    if let Err(concern) = message {
        reading.concern(concern.clone());
    }
    let kind = message.ok().map(|(_, kind)| kind);
    let account = account(&mut reading, config, kind);
    let scope = Scope { environment: config.environment, family: FAMILY, account };
    let platform_id = message_name(reading.text("order_id"), text.as_bytes());
    let mut sent_at = None;
    let read = match kind {
        Some(Ok(Kind::Payment)) => {
            sent_at = reading.needed_seconds("paid_at");
            payment(&mut reading, &scope)
        }
        Some(Ok(Kind::Refund)) => {
            sent_at = reading.needed_seconds("refunded_at");
            refund(&mut reading, &scope)
        }
        Some(Ok(Kind::Settle)) => {
            sent_at = reading.seconds("settled_at");
            None
        }
        Some(Ok(Kind::Withdraw)) => {
            sent_at = reading.needed_seconds("withdraw_at");
            None
        }
        Some(Ok(Kind::Unknown)) => {
            reading.missing("cp_orderno");
            None
        }
        Some(Err(Two(second))) => {
            reading.contradiction(second);
            None
        }
        None => None,
    };
    let fact = read.unwrap_or_else(|| other(scope.clone(), &platform_id));
    let platform_kind = kind.and_then(Result::ok).and_then(Kind::word).unwrap_or("unknown").to_owned();
    Notification { scope, platform_id, platform_kind, sent_at, facts: vec![fact], concerns: reading.concerns }
}

/// A withdrawal names no application: it is the merchant's own.
fn account(reading: &mut Reading<'_>, config: &Config, kind: Option<Result<Kind, Two>>) -> String {
    let own = || config.app_ids.first().cloned().unwrap_or_default();
    let [name, other] = APP_IDS;
    if let (Some(first), Some(second)) = (reading.text(name), reading.text(other))
        && first != second
    {
        reading.contradiction(other);
    }
    let name = if reading.text(name).is_none() && reading.text(other).is_some() { other } else { name };
    match kind {
        None => own(),
        Some(Ok(Kind::Withdraw)) if reading.text(name).is_none() => own(),
        Some(_) => reading.account(name, &config.app_ids).unwrap_or_else(own),
    }
}

/// Only success is announced. What is joined to the order is its platform's number.
fn payment(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    if reading.text("status") != Some("SUCCESS") {
        reading.undecided("status");
        return None;
    }
    let identity = reading.needed_identity("order_id", "")?;
    let amount = reading.fen("total_amount", Currency::CNY);
    Some(Fact {
        order_no: reading.needed("cp_orderno"),
        platform_no: reading.name("order_id"),
        payee: reading.name("seller_uid"),
        occurred_at: reading.seconds("paid_at"),
        ..fact(EventKind::PaymentSucceeded, scope.clone(), identity, amount)
    })
}

/// Both ends are announced, and both are final.
fn refund(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    let kind = match reading.text("status") {
        Some("SUCCESS") => EventKind::RefundSucceeded,
        Some("FAIL") => EventKind::RefundFailed,
        _ => {
            reading.undecided("status");
            return None;
        }
    };
    let theirs = reading.identity("refund_no", "refund_no:");
    let ours = reading.identity("cp_refundno", "cp_refundno:");
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else {
        reading.missing("refund_no");
        return None;
    };
    let aliases = names.collect();
    let amount = reading.fen("refund_amount", Currency::CNY);
    let payment = reading.needed_identity("order_id", "");
    Some(Fact {
        aliases,
        platform_no: reading.name("refund_no"),
        occurred_at: reading.seconds("refunded_at"),
        payment,
        ..fact(kind, scope.clone(), identity, amount)
    })
}
