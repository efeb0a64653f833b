//! What those platforms share whose messages name one account, write yuan and Beijing time: the merchant's ids in
//! the settings, and a proven message while it is read.
//!
//! A value that is empty or blank is an absent one in every reading. What is genuine is never refused here: a value
//! that cannot be understood becomes a [`Concern`], and a person looks.

#[cfg(feature = "simulate")]
pub(super) mod simulate;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::channel::{KeyNote, quote};
use crate::json::{Json, JsonError};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Notification, Scope};
use crate::platforms::beijing::BEIJING;
use crate::settings::{Settings, SettingsError};
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::key::PublicKey;

/// Most accounts of one channel.
pub(super) const ACCOUNTS_MAX: usize = 1024;

/// Most digits of an account; real ones have 16 to 18.
const ACCOUNT_DIGITS_MAX: usize = 32;

/// Decimals of a yuan.
const YUAN_DECIMALS: u8 = 2;

/// The accounts in a setting of one text or several: digits only.
///
/// # Errors
/// [`SettingsError`] with `missing`, `empty_list`, `out_of_range` or `malformed_id`.
pub(super) fn ids(settings: &Settings, name: &'static str) -> Result<Vec<String>, SettingsError> {
    let is_account =
        |text: &str| (1..=ACCOUNT_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let found = texts(settings, name, ACCOUNTS_MAX, is_account)?;
    found.ok_or(SettingsError::new(name, "missing"))
}

/// The texts of a setting, without blanks around them; none when it is not there.
///
/// # Errors
/// [`SettingsError`] with `empty_list`, `out_of_range` or `malformed_id`.
pub(super) fn texts(
    settings: &Settings,
    name: &'static str,
    most: usize,
    is_right: impl Fn(&str) -> bool,
) -> Result<Option<Vec<String>>, SettingsError> {
    let texts: Vec<&str> = match (settings.texts(name), settings.text(name)) {
        (Some(texts), _) => texts.iter().map(|text| text.trim()).collect(),
        (None, Some(text)) => vec![text.trim()],
        (None, None) => return Ok(None),
    };
    if texts.is_empty() {
        return Err(SettingsError::new(name, "empty_list"));
    }
    if texts.len() > most {
        return Err(SettingsError::new(name, "out_of_range").because(format!("{} > {most}", texts.len())));
    }
    match texts.iter().find(|text| !is_right(text)) {
        Some(bad) => Err(SettingsError::new(name, "malformed_id").because(quote(bad))),
        None => Ok(Some(texts.into_iter().map(str::to_owned).collect())),
    }
}

/// The platform's public key. The merchant's own in its place is refused, where that one is configured too.
///
/// # Errors
/// [`SettingsError`] with `missing`, `own_public_key`, or what is wrong with a key.
pub(super) fn platform_key(
    settings: &Settings,
    name: &'static str,
    own: &'static str,
) -> Result<PublicKey, SettingsError> {
    let file = settings.key(name).ok_or(SettingsError::new(name, "missing"))?;
    let key = PublicKey::read_or_certificate(name, file)?;
    if let Some(file) = settings.key(own)
        && PublicKey::read_or_certificate(own, file)? == key
    {
        return Err(SettingsError::new(name, "own_public_key"));
    }
    Ok(key)
}

/// A public key, for people.
pub(super) fn key_note(label: &str, key: &PublicKey) -> KeyNote {
    KeyNote {
        label: label.to_owned(),
        algorithm: key.algorithm().to_string(),
        fingerprint: Some(key.fingerprint()),
        not_after: None,
    }
}

/// A secret, for people: that it is there, and nothing of it.
pub(super) fn secret_note(label: &str, algorithm: &str) -> KeyNote {
    KeyNote { label: label.to_owned(), algorithm: algorithm.to_owned(), fingerprint: None, not_after: None }
}

/// An object of JSON whose signature was checked. A text that is none, or that gives a name twice and so says two things
/// to two readers, is null, and a person must see it; `field` is where the text stood.
pub(super) fn parse(text: &[u8], field: &str) -> (Json, Option<Concern>) {
    match Json::parse(text) {
        Ok(message @ Json::Object(_)) => (message, None),
        Err(JsonError::Twice(name)) => (Json::Null, Some(Concern::Ambiguous { field: quote(&name) })),
        Ok(_) | Err(JsonError::Malformed) => (Json::Null, Some(Concern::UnreadableText { field: field.to_owned() })),
    }
}

/// A text among an object's own members.
pub(super) fn member<'m>(message: &'m Json, name: &str) -> Option<&'m str> {
    let Json::Object(members) = message else { return None };
    match members.iter().find(|(member, _)| member == name) {
        Some((_, Json::Text(text))) => Some(text.as_str()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

/// A proven message while it is read.
pub(super) struct Notice<'m> {
    message: &'m Json,
    pub(super) scope: Scope,
    platform_id: String,
    concerns: Vec<Concern>,
}

impl<'m> Notice<'m> {
    /// A message, an object of JSON, whose own account is not read yet. `signed` is what was signed: its digest names a
    /// message that has no number of its own, behind the day of `date`, so that names come nearly in order.
    pub(super) fn new(message: &'m Json, scope: Scope, date: &str, signed: &[u8]) -> Self {
        let mut notice = Self { message, scope, platform_id: String::new(), concerns: Vec::new() };
        let digest = DigestHash::Sha256.hex_of(&[signed], HexCase::Lower);
        let day = notice.get(date).and_then(|text| text.get(..8)).filter(|day| is_digits(day));
        notice.platform_id = day.map_or_else(|| digest.clone(), |day| format!("{day}-{digest}"));
        notice
    }

    /// Takes the message's own number as its name, where it has one.
    pub(super) fn name_by(&mut self, path: &'static str) {
        if let Some(number) = self.name(path) {
            self.platform_id = number;
        }
    }

    /// Takes a name that was made of what is signed; one that no name can be leaves the digest.
    pub(super) fn call(&mut self, name: String) {
        if !name.is_empty() && name.len() <= NAME_BYTES_MAX {
            self.platform_id = name;
        }
    }

    /// Whose money it is, and whether that is one of ours. A genuine message about somebody else is not ours to refuse:
    /// it is kept under that account, and held.
    pub(super) fn settle_account(&mut self, path: &'static str, own: &[String]) {
        match self.name(path) {
            Some(account) => {
                if !own.contains(&account) {
                    self.concern(Concern::ForeignPayee { payee: quote(&account) });
                }
                self.scope.account = account;
            }
            None => self.missing(path),
        }
    }

    /// A message that could not be read at all, and why.
    pub(super) fn unreadable(mut self, platform_kind: &str, concern: Concern) -> Notification {
        self.concern(concern);
        let facts = vec![self.other()];
        self.finish(platform_kind, None, facts)
    }

    /// What was read.
    pub(super) fn finish(self, platform_kind: &str, sent_at: Option<Timestamp>, facts: Vec<Fact>) -> Notification {
        Notification {
            scope: self.scope,
            platform_id: self.platform_id,
            platform_kind: quote(platform_kind),
            sent_at,
            facts,
            concerns: self.concerns,
        }
    }

    /// The value under a path of names with dots between them.
    fn at(&self, path: &str) -> Option<&'m Json> {
        path.split('.').try_fold(self.message, |value, name| match value {
            Json::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, value)| value),
            _ => None,
        })
    }

    /// A text; none when it is absent, null, empty or blank, or no text.
    pub(super) fn get(&self, path: &str) -> Option<&'m str> {
        match self.at(path)? {
            Json::Text(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
            _ => None,
        }
    }

    /// Whether there is anything but null or an empty text under a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.at(path).is_some_and(|value| match value {
            Json::Null => false,
            Json::Text(text) => !text.trim().is_empty(),
            _ => true,
        })
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern.
    pub(super) fn name(&mut self, path: &'static str) -> Option<String> {
        let text = self.get(path)?;
        if text.len() > NAME_BYTES_MAX {
            self.unknown(path);
            return None;
        }
        Some(text.to_owned())
    }

    /// An identity of a number; `word` keeps numbers of different kinds apart, since one may look like the other.
    pub(super) fn identity(&mut self, path: &'static str, word: &str) -> Option<Identity> {
        let name = format!("{word}{}", self.name(path)?);
        let identity = Identity::new(name);
        if identity.is_none() {
            self.unknown(path);
        }
        identity
    }

    /// A decimal of yuan, as text: a number of JSON has lost its decimals somewhere, so it is no amount.
    pub(super) fn yuan(&mut self, path: &'static str) -> Amount {
        if !self.has(path) {
            self.missing(path);
            return Amount::Unreadable;
        }
        let text = self.get(path).unwrap_or_default();
        if let Ok(money) = Money::from_decimal(text, Currency::CNY, YUAN_DECIMALS) {
            return Amount::Stated(money);
        }
        self.concern(Concern::UnreadableAmount { field: path.to_owned() });
        Amount::Unreadable
    }

    /// A time of fourteen digits, or a day of eight.
    pub(super) fn time(&self, path: &str) -> Option<Timestamp> {
        self.get(path).and_then(read_time)
    }

    /// A day and a time of day in two fields.
    pub(super) fn day_and_time(&self, day: &str, time: &str) -> Option<Timestamp> {
        read_time(&format!("{}{}", self.get(day)?, self.get(time)?))
    }

    /// A fact without attributes.
    pub(super) fn fact(&self, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
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
    pub(super) fn other(&self) -> Fact {
        let identity = Identity::new(self.platform_id.clone()).expect("a name that is short and not empty");
        self.fact(EventKind::Other, identity, Amount::None)
    }

    /// A field that should be there.
    pub(super) fn missing(&mut self, path: &str) {
        self.concern(Concern::MissingField { field: path.to_owned() });
    }

    /// A field that does not fit the others.
    pub(super) fn contradiction(&mut self, path: &str) {
        self.concern(Concern::Contradiction { field: path.to_owned() });
    }

    /// A value that we do not know.
    pub(super) fn unknown(&mut self, path: &str) {
        let value = self.get(path).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: path.to_owned(), value });
    }

    /// A field that should hold a known word: unknown when it has another, missing when it has none.
    pub(super) fn not_understood(&mut self, path: &str) -> Vec<Fact> {
        if self.has(path) {
            self.unknown(path);
        } else {
            self.missing(path);
        }
        vec![self.other()]
    }

    /// Each concern once.
    pub(super) fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// Beijing time of fourteen digits, or the beginning of a day of eight.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    if !is_digits(text) {
        return None;
    }
    let whole = match text.len() {
        14 => text.to_owned(),
        8 => format!("{text}000000"),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    BEIJING.to_timestamp(time).ok()
}

/// The same, written: fourteen digits.
#[cfg(any(test, feature = "simulate"))]
pub(super) fn write_time(time: Timestamp) -> String {
    BEIJING.to_datetime(time).strftime("%Y%m%d%H%M%S").to_string()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_beijing_time() {
        let read = |text| read_time(text).map(|time| time.to_string());
        assert_eq!(read("20261121120000").as_deref(), Some("2026-11-21T04:00:00Z"));
        assert_eq!(read("20261121").as_deref(), Some("2026-11-20T16:00:00Z"));
        for bad in ["", "2026112112000", "202611211200000", "20261321120000", "20260230", "2026-11-21", "+0261121"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let time = read_time("20261121120000").unwrap();
        assert_eq!(write_time(time), "20261121120000");
    }
}
