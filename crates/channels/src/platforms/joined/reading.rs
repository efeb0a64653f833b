//! A proven message while its facts are read. What is genuine is never refused here: a value that cannot be
//! understood becomes a [`Concern`], and a person looks.

use jiff::civil::DateTime;

use super::Message;
use crate::channel::quote;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Notification, Scope, Timestamp};
use crate::platforms::beijing::BEIJING;
use crate::signature::digest::{DigestHash, HexCase};

/// Digits of `yyyyMMddHHmmss`.
const COMPACT_DIGITS: usize = 14;

/// Digits of milliseconds since 1970, until the year 2286.
const MILLIS_DIGITS: usize = 13;

/// A message while it is read.
pub(in crate::platforms) struct Reading<'m> {
    message: &'m Message<'m>,
    scope: Scope,
    concerns: Vec<Concern>,
}

impl<'m> Reading<'m> {
    /// Begins with what concerns the message as a whole.
    pub(in crate::platforms) fn new(message: &'m Message<'m>, scope: Scope) -> Self {
        let mut reading = Self { message, scope, concerns: Vec::new() };
        for pair in message.platform_pairs().filter(|pair| std::str::from_utf8(&pair.value).is_err()) {
            let field = super::shown(&pair.name);
            reading.concern(Concern::UnreadableText { field });
        }
        if let Some(name) = message.ambiguous_field() {
            reading.concern(Concern::Ambiguous { field: super::shown(name) });
        }
        reading
    }

    /// A field's text; none when it is absent, blank or no text.
    pub(in crate::platforms) fn get(&self, name: &str) -> Option<&'m str> {
        self.message.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Whether a field is there with any value.
    pub(in crate::platforms) fn has(&self, name: &str) -> bool {
        self.message.has(name)
    }

    /// A number without which the fact is not understood.
    pub(in crate::platforms) fn number(&mut self, name: &'static str) -> Option<&'m str> {
        match self.get(name) {
            Some(text) if text.len() <= NAME_BYTES_MAX => Some(text),
            Some(_) => {
                self.unknown(name);
                None
            }
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// An amount, read by the platform's own rule.
    pub(in crate::platforms) fn amount(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Option<Money>,
    ) -> Option<Money> {
        let Some(text) = self.get(name) else {
            self.missing(name);
            return None;
        };
        let money = read(text);
        if money.is_none() {
            self.concern(Concern::UnreadableAmount { field: name.into() });
        }
        money
    }

    /// A time that is there and cannot be read is a concern; one that is absent is none.
    pub(in crate::platforms) fn time(
        &mut self,
        name: &'static str,
        read: fn(&str) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        let text = self.get(name)?;
        let time = read(text);
        if time.is_none() {
            self.unknown(name);
        }
        time
    }

    /// A fact with a name and an amount, and nothing else yet.
    pub(in crate::platforms) fn fact(&self, kind: EventKind, identity: Identity, amount: Option<Money>) -> Fact {
        Fact {
            kind,
            scope: self.scope.clone(),
            identity,
            aliases: Vec::new(),
            amount: amount.map_or(Amount::Unreadable, Amount::Stated),
            order_no: None,
            platform_no: None,
            payee: None,
            occurred_at: None,
            payment: None,
            baseline: None,
        }
    }

    /// Genuine, and without a money meaning that we know.
    pub(in crate::platforms) fn other(&self, platform_id: &str) -> Fact {
        let identity = Identity::new(platform_id).or_else(|| Identity::new(self.digest(&[])));
        let identity = identity.expect("a digest is a short text");
        Fact { amount: Amount::None, ..self.fact(EventKind::Other, identity, None) }
    }

    /// A name of the message from what is signed, but for the fields that another repetition may write anew.
    pub(in crate::platforms) fn digest(&self, but: &[&str]) -> String {
        let mut pairs = self.message.covered();
        pairs.retain(|(name, _)| !but.iter().any(|one| one.as_bytes() == *name));
        let text = crate::sorted::join(pairs, crate::sorted::Order::Bytes);
        DigestHash::Sha256.hex_of(&[&text], HexCase::Lower)
    }

    pub(in crate::platforms) fn missing(&mut self, field: &str) {
        self.concern(Concern::MissingField { field: field.into() });
    }

    pub(in crate::platforms) fn contradiction(&mut self, field: &str) {
        self.concern(Concern::Contradiction { field: field.into() });
    }

    pub(in crate::platforms) fn unknown(&mut self, field: &str) {
        let value = self.get(field).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: field.into(), value });
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }

    /// The message, read.
    pub(in crate::platforms) fn finish(
        self,
        platform_id: String,
        platform_kind: &str,
        sent_at: Option<Timestamp>,
        fact: Fact,
    ) -> Notification {
        Notification {
            scope: self.scope,
            platform_id,
            platform_kind: quote(platform_kind),
            sent_at,
            facts: vec![fact],
            concerns: self.concerns,
        }
    }
}

/// Yuan with at most two decimals.
pub(in crate::platforms) fn yuan(text: &str) -> Option<Money> {
    Money::from_decimal(text, Currency::CNY, 2).ok()
}

/// Fen.
pub(in crate::platforms) fn fen(text: &str) -> Option<Money> {
    Money::from_minor_text(text, Currency::CNY).ok()
}

/// Reads `yyyy-MM-dd HH:mm:ss`, Beijing time.
pub(in crate::platforms) fn read_time(text: &str) -> Option<Timestamp> {
    let has_shape = text.len() == 19
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b' ',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if has_shape { read_compact(&digits) } else { None }
}

/// Reads `yyyyMMddHHmmss`, Beijing time.
pub(in crate::platforms) fn read_compact(text: &str) -> Option<Timestamp> {
    if text.len() != COMPACT_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let small = |from: usize| text[from..from + 2].parse::<i8>().ok();
    let year = text[..4].parse::<i16>().ok()?;
    let time = DateTime::new(year, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0).ok()?;
    BEIJING.to_timestamp(time).ok()
}

/// Reads milliseconds since 1970: 13 digits, since seconds in their place would be another time.
pub(in crate::platforms) fn read_millis(text: &str) -> Option<Timestamp> {
    if text.len() != MILLIS_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Timestamp::from_millisecond(text.parse().ok()?).ok()
}

/// Writes `yyyyMMddHHmmss`, Beijing time.
#[cfg(feature = "simulate")]
pub(in crate::platforms) fn write_compact(time: Timestamp) -> String {
    BEIJING.to_datetime(time).strftime("%Y%m%d%H%M%S").to_string()
}

/// Writes `yyyy-MM-dd HH:mm:ss`, Beijing time.
#[cfg(feature = "simulate")]
pub(in crate::platforms) fn write_time(time: Timestamp) -> String {
    BEIJING.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
