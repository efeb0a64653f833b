//! Reading the fields of a proven message. What cannot be understood becomes a [`Concern`], never a refusal.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::{SIGN, joined};
use crate::channel::quote;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Scope, Timestamp};
use crate::signature::key::hex;

/// China has kept one zone without summer time since 1991.
const BEIJING: Offset = Offset::constant(8);

/// Fields that say nothing about what happened, and may differ when a notice is repeated.
const CHANCE: &[&str] = &[SIGN, "sign_type", "nonce_str"];

/// Digits of a digest beside a number that stands for itself.
const SHORT_DIGITS: usize = 16;

/// Longest number that stands in front of a notification's name; real ones have about 30 characters.
const NUMBER_BYTES_MAX: usize = 64;

/// Fields while they are read.
#[derive(Debug)]
pub(in crate::platforms) struct Reading<'a> {
    fields: &'a [(String, String)],
    /// Before the names of fields in concerns: empty, or the place of a part.
    prefix: String,
    /// Why a person must look, each reason once.
    pub(in crate::platforms) concerns: Vec<Concern>,
}

impl<'a> Reading<'a> {
    /// Of these fields, which stand at `prefix` of the message.
    pub(in crate::platforms) fn new(fields: &'a [(String, String)], prefix: String) -> Self {
        Self { fields, prefix, concerns: Vec::new() }
    }

    /// The text of a field; none when it is absent, empty or blank.
    pub(in crate::platforms) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.as_str()).filter(|text| !text.bytes().all(|byte| byte.is_ascii_whitespace()))
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern.
    pub(in crate::platforms) fn name(&mut self, field: &str) -> Option<String> {
        let text = self.get(field)?;
        if text.len() > NAME_BYTES_MAX {
            self.unknown(field);
            return None;
        }
        Some(text.to_owned())
    }

    /// A number as a name of a fact. `word` keeps numbers of different kinds apart, since one may look like the other.
    pub(in crate::platforms) fn identity(&mut self, field: &str, word: &str) -> Option<Identity> {
        let text = self.name(field)?;
        let identity = Identity::new(format!("{word}{text}"));
        if identity.is_none() {
            self.unknown(field);
        }
        identity
    }

    /// The same, when the message cannot be understood without it.
    pub(in crate::platforms) fn needed_identity(&mut self, field: &str, word: &str) -> Option<Identity> {
        let identity = self.identity(field, word);
        if identity.is_none() {
            self.missing(field);
        }
        identity
    }

    /// An integer of minor units, digits alone. The currency is that of the first field that is there, else CNY.
    pub(in crate::platforms) fn amount(&mut self, field: &str, currencies: &[&str]) -> Amount {
        let Some(digits) = self.get(field) else {
            self.missing(field);
            return Amount::Unreadable;
        };
        let stated = currencies.iter().find_map(|name| self.get(name).map(|code| (name, code)));
        let currency = match stated.map(|(name, code)| (name, Currency::parse(code))) {
            None => Currency::CNY,
            Some((_, Ok(currency))) => currency,
            Some((name, Err(_))) => {
                self.unreadable(name);
                return Amount::Unreadable;
            }
        };
        if let Ok(money) = Money::from_minor_text(digits, currency) {
            return Amount::Stated(money);
        }
        self.unreadable(field);
        Amount::Unreadable
    }

    /// The time of a message whose kind always has one. Nothing else under the signature says how old it is, so one
    /// without it could be a capture from before our memory.
    pub(in crate::platforms) fn needed_time(&mut self, field: &str) -> Option<Timestamp> {
        let time = self.time(field);
        match self.get(field) {
            None => self.missing(field),
            Some(_) if time.is_none() => self.unknown(field),
            Some(_) => {}
        }
        time
    }

    /// A time, when the field is there and holds one.
    pub(in crate::platforms) fn time(&self, field: &str) -> Option<Timestamp> {
        self.get(field).and_then(read_time)
    }

    /// A name for the whole message, made of what it says and not of chance; `number` stands in front.
    pub(in crate::platforms) fn message_name(&self, number: Option<&str>) -> String {
        let digits = hex(digest(&SHA256, &joined(self.fields, CHANCE)).as_ref());
        match number.filter(|number| number.len() <= NUMBER_BYTES_MAX) {
            Some(number) => format!("{number}-{}", digits.get(..SHORT_DIGITS).unwrap_or_default()),
            None => digits,
        }
    }

    /// Genuine, and without a money meaning that we know.
    pub(in crate::platforms) fn other(&self, scope: Scope, number: Option<&str>) -> Fact {
        let identity = Identity::new(format!("{}{}", self.prefix, self.message_name(number)));
        fact(EventKind::Other, scope, identity.expect("a short number and a digest"), Amount::None)
    }

    /// A field without which the fact has no name.
    pub(in crate::platforms) fn missing(&mut self, field: &str) {
        let field = self.path(field);
        self.concern(Concern::MissingField { field });
    }

    /// A field that does not fit the others.
    pub(in crate::platforms) fn contradiction(&mut self, field: &str) {
        let field = self.path(field);
        self.concern(Concern::Contradiction { field });
    }

    /// A value that the protocol does not have, as far as we know.
    pub(in crate::platforms) fn unknown(&mut self, field: &str) {
        let value = self.get(field).map(quote).unwrap_or_default();
        let field = self.path(field);
        self.concern(Concern::UnknownValue { field, value });
    }

    /// Money for somebody else.
    pub(in crate::platforms) fn foreign(&mut self, payee: &str) {
        self.concern(Concern::ForeignPayee { payee: quote(payee) });
    }

    fn unreadable(&mut self, field: &str) {
        let field = self.path(field);
        self.concern(Concern::UnreadableAmount { field });
    }

    fn path(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    /// Each concern once.
    pub(in crate::platforms) fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// A fact with nothing but its name.
pub(in crate::platforms) fn fact(kind: EventKind, scope: Scope, identity: Identity, amount: Amount) -> Fact {
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

/// Beijing time, as fourteen digits or as `2018-11-19 16:24:13`.
fn read_time(text: &str) -> Option<Timestamp> {
    let format = if text.len() == 14 { "%Y%m%d%H%M%S" } else { "%Y-%m-%d %H:%M:%S" };
    BEIJING.to_timestamp(DateTime::strptime(format, text).ok()?).ok()
}
