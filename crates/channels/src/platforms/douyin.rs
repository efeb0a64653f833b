//! What Douyin's three generations share: the acknowledgement of the two older ones, how long they go on, and the
//! reading of JSON that was proven.
//!
//! Sources: Douyin Open Platform, callbacks of guaranteed payment ("ecpay", payment, refund, settlement and withdrawal
//! callbacks) and of the general trade system; Douyin Pay merchant documents and the official SDKs.
//!
//! What is genuine is never refused while it is read: a value that cannot be understood becomes a [`Concern`], and a
//! person looks.

#[cfg(feature = "simulate")]
pub(super) mod simulate;

use aws_lc_rs::digest;

use super::accounts::texts;
use super::ladder;
use super::signed_body::inner;
use super::signed_body::sealed::Member;
use crate::channel::{Answer, Failure, Ladder, Rejection, quote};
use crate::json::{Json, JsonError};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{
    AckMatch, Amount, AppReply, Concern, Currency, EventKind, Fact, Identity, Money, Reply, Scope, Timestamp,
};
use crate::settings::{Settings, SettingsError};
use crate::signature::key::hex;

/// Most applications of one channel.
pub(super) const APPS_MAX: usize = 64;

/// Longest application id; real ones have 20 characters.
const APP_ID_CHARS_MAX: usize = 64;

/// Characters of a digest that follow a number in a name made of both.
const DIGEST_CHARS: usize = 32;

/// Gaps between attempts ("guaranteed payment, payment callback"): fifteen in 24 hours and 4 minutes.
pub(super) const LADDER: Ladder = ladder::DAY;

/// The body that ends the repetition, to the byte as the documents print it.
pub(super) const SUCCESS: &str = r#"{"err_no":0,"err_tips":"success"}"#;

/// Any other number means a failure.
const FAIL: &str = r#"{"err_no":1,"err_tips":"fail"}"#;

const JSON: &str = super::signed_body::JSON;

/// What the two older generations are told.
pub(super) fn answer(answer: Answer) -> Reply {
    match answer {
        Answer::Success => Reply::constant(200, JSON, SUCCESS.as_bytes()),
        Answer::Failure(Failure::Refused) => Reply::constant(401, JSON, FAIL.as_bytes()),
        Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, JSON, FAIL.as_bytes()),
    }
}

/// Whether the two older generations would take it for a success: what counts is `err_no`, however the JSON is
/// written and whatever is beside it.
pub(super) fn is_ack(reply: &AppReply<'_>) -> AckMatch {
    if reply.status != 200 {
        return AckMatch::No;
    }
    let found = AckMatch::of_word(reply.body, SUCCESS.as_bytes());
    if matches!(found, AckMatch::Exact | AckMatch::Trimmed) {
        return found;
    }
    let says_so = |body: &[u8]| {
        let number = Json::parse(body).ok()?.get("err_no")?.clone();
        Some(number == Json::Number("0".to_owned()))
    };
    if says_so(reply.body) == Some(true) {
        AckMatch::Exact
    } else if says_so(inner(reply.body)) == Some(true) {
        AckMatch::Trimmed
    } else {
        found
    }
}

/// The ids of the merchant's applications.
pub(super) fn app_ids(settings: &Settings, name: &'static str) -> Result<Vec<String>, SettingsError> {
    texts(settings, name, APPS_MAX, is_id)?.ok_or(SettingsError::new(name, "missing"))
}

/// Whether a text can be the id of an application or a merchant.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= APP_ID_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Reads JSON of which a refusal must name what is wrong. `field` stands for the whole.
pub(super) fn parse(text: &[u8], field: &str) -> Result<Json, Rejection> {
    match Json::parse(text) {
        Ok(object @ Json::Object(_)) => Ok(object),
        Ok(_) | Err(JsonError::Malformed) => Err(Rejection::Malformed { field: field.into() }),
        Err(JsonError::Twice(name)) => Err(Rejection::Duplicate { field: quote(&name) }),
    }
}

/// Reads JSON that is proven. Of what is no object, or gives a name twice and so could be read in two ways, nothing is
/// read, and it is kept for a person. `field` stands for the whole.
pub(super) fn parse_proven(text: &[u8], field: &str) -> Result<Json, Concern> {
    match Json::parse(text) {
        Ok(object @ Json::Object(_)) => Ok(object),
        Ok(_) | Err(JsonError::Malformed) => Err(Concern::UnreadableText { field: field.into() }),
        Err(JsonError::Twice(name)) => Err(Concern::Ambiguous { field: quote(&name) }),
    }
}

/// A text that must be there.
pub(super) fn required<'j>(json: &'j Json, name: &str) -> Result<&'j str, Rejection> {
    match json.get(name) {
        None | Some(Json::Null) => Err(Rejection::Missing { field: name.into() }),
        Some(Json::Text(text)) if text.is_empty() => Err(Rejection::Missing { field: name.into() }),
        Some(Json::Text(text)) => Ok(text),
        Some(_) => Err(Rejection::Malformed { field: name.into() }),
    }
}

/// A member of an object, for a reader who holds what is odd about it.
pub(super) fn member(json: &Json, name: &str) -> Member {
    match json.get(name) {
        None | Some(Json::Null) => Member::Absent,
        Some(Json::Text(text)) => Member::Text(text.clone()),
        Some(_) => Member::Odd,
    }
}

/// The name of a message that has no number of its own: the platform's number in it, which grows with time, and a
/// digest of what was signed.
pub(super) fn message_name(number: Option<&str>, signed: &[u8]) -> String {
    let digest = hex(digest::digest(&digest::SHA256, signed).as_ref());
    match number {
        Some(number) if number.len() + 1 + DIGEST_CHARS <= NAME_BYTES_MAX => {
            format!("{number}:{}", &digest[..DIGEST_CHARS])
        }
        _ => digest,
    }
}

/// Every value as text: of a message that holds another one in `inner`, all but that, and then the other's.
pub(super) fn fields(outer: &Json, hidden: &[&str], inner: &str, content: Option<&Json>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    if let Json::Object(members) = outer {
        for (name, value) in members.iter().filter(|(name, _)| !hidden.contains(&name.as_str())) {
            value.flatten(name, &mut fields);
        }
    }
    if let Some(content) = content {
        content.flatten(inner, &mut fields);
    }
    fields
}

/// A fact about which nothing else is known yet.
pub(super) fn fact(kind: EventKind, scope: Scope, identity: Identity, amount: Amount) -> Fact {
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

/// Genuine, and without a money meaning that we know. `name` is the notification's.
pub(super) fn other(scope: Scope, name: &str) -> Fact {
    let digest = || Identity::new(message_name(None, name.as_bytes()));
    let identity = Identity::new(name).or_else(digest).expect("a digest is a short text");
    fact(EventKind::Other, scope, identity, Amount::None)
}

/// A proven message while it is read.
pub(super) struct Reading<'j> {
    json: &'j Json,
    pub(super) concerns: Vec<Concern>,
}

impl<'j> Reading<'j> {
    pub(super) fn new(json: &'j Json) -> Self {
        Self { json, concerns: Vec::new() }
    }

    /// The value at a path of names with dots between.
    pub(super) fn at(&self, path: &str) -> Option<&'j Json> {
        path.split('.').try_fold(self.json, |value, name| value.get(name))
    }

    /// A text or a number as it is written; none when it is absent, blank or anything else.
    pub(super) fn text(&self, path: &str) -> Option<&'j str> {
        match self.at(path)? {
            Json::Text(text) | Json::Number(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
            _ => None,
        }
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern.
    pub(super) fn name(&mut self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        if text.len() > NAME_BYTES_MAX {
            self.unknown(path);
            return None;
        }
        Some(text.to_owned())
    }

    /// The same where its absence is a concern.
    pub(super) fn needed(&mut self, path: &str) -> Option<String> {
        if self.text(path).is_none() {
            self.missing(path);
        }
        self.name(path)
    }

    /// `word` keeps numbers of different kinds apart, since one may look like the other.
    pub(super) fn identity(&mut self, path: &str, word: &str) -> Option<Identity> {
        let name = format!("{word}{}", self.name(path)?);
        let identity = Identity::new(name);
        if identity.is_none() {
            self.unknown(path);
        }
        identity
    }

    /// The same where its absence is a concern.
    pub(super) fn needed_identity(&mut self, path: &str, word: &str) -> Option<Identity> {
        if self.text(path).is_none() {
            self.missing(path);
        }
        self.identity(path, word)
    }

    /// Fen, written as a plain number; a text, a fraction, an exponent or a sign is no amount.
    pub(super) fn fen(&mut self, path: &str, currency: Currency) -> Amount {
        match self.at(path) {
            Some(Json::Number(digits)) => self.money(path, digits, currency),
            found => self.no_money(path, found),
        }
    }

    /// Fen, written as a text of digits.
    pub(super) fn fen_text(&mut self, path: &str, currency: Currency) -> Amount {
        match self.at(path) {
            Some(Json::Text(digits)) => self.money(path, digits, currency),
            found => self.no_money(path, found),
        }
    }

    fn money(&mut self, path: &str, digits: &str, currency: Currency) -> Amount {
        let read = Money::from_minor_text(digits, currency);
        read.map_or_else(|_| self.no_money(path, Some(&Json::Null)), Amount::Stated)
    }

    fn no_money(&mut self, path: &str, found: Option<&Json>) -> Amount {
        let field = path.to_owned();
        self.concern(match found {
            None => Concern::MissingField { field },
            Some(_) => Concern::UnreadableAmount { field },
        });
        Amount::Unreadable
    }

    /// Seconds since 1970.
    pub(super) fn seconds(&self, path: &str) -> Option<Timestamp> {
        Timestamp::from_second(self.text(path)?.parse().ok()?).ok()
    }

    /// The same for a message whose kind always has a time, and nothing else that says how old it is.
    pub(super) fn needed_seconds(&mut self, path: &str) -> Option<Timestamp> {
        let time = self.seconds(path);
        if time.is_none() {
            self.undecided(path);
        }
        time
    }

    /// Milliseconds since 1970.
    pub(super) fn milliseconds(&self, path: &str) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.text(path)?.parse().ok()?).ok()
    }

    /// RFC 3339.
    pub(super) fn time(&self, path: &str) -> Option<Timestamp> {
        self.text(path)?.parse().ok()
    }

    pub(super) fn missing(&mut self, path: &str) {
        self.concern(Concern::MissingField { field: path.into() });
    }

    pub(super) fn unknown(&mut self, path: &str) {
        let value = self.text(path).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: path.into(), value });
    }

    /// A word that decides, and is not one of those that are known, or not there.
    pub(super) fn undecided(&mut self, path: &str) {
        if self.at(path).is_some_and(|value| *value != Json::Null && value.text() != Some("")) {
            self.unknown(path);
        } else {
            self.missing(path);
        }
    }

    pub(super) fn contradiction(&mut self, path: &str) {
        self.concern(Concern::Contradiction { field: path.into() });
    }

    /// Whose message it is. One about somebody else is kept under that account, and held.
    pub(super) fn account(&mut self, path: &str, own: &[String]) -> Option<String> {
        let found = self.needed(path)?;
        if !own.contains(&found) {
            self.concern(Concern::ForeignPayee { payee: quote(&found) });
        }
        Some(found)
    }

    /// Each concern once.
    pub(super) fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_its_number() {
        let read = |status: u16, body: &str| is_ack(&AppReply { status, body: body.as_bytes() });
        assert_eq!(read(200, SUCCESS), AckMatch::Exact);
        for body in [
            "{ \"err_no\" : 0 }",
            r#"{"err_tips":"success","err_no":0,"data":{"out_refund_no":"R1"}}"#,
            "{\"err_no\":0,\"err_tips\":\"ok\"}\n",
        ] {
            assert_eq!(read(200, body), AckMatch::Exact, "{body}");
            assert_eq!(read(500, body), AckMatch::No, "{body}");
            assert_eq!(read(201, body), AckMatch::No, "{body}");
        }
        assert_eq!(read(200, "\u{feff}{\"err_no\":0}"), AckMatch::Trimmed);
        for body in [
            "",
            "success",
            "{}",
            FAIL,
            "0",
            r#"{"err_no":"0"}"#,
            r#"{"err_no":0,"err_no":1}"#,
            r#"{"err_no":0.0}"#,
            "[]",
        ] {
            assert_eq!(read(200, body), AckMatch::No, "{body}");
        }
        assert_eq!(read(200, &format!("<br>{SUCCESS}")), AckMatch::Within);
    }

    #[test]
    fn amounts_are_plain_numbers() {
        let amount = |text: &str| {
            let json = Json::parse(text.as_bytes()).unwrap();
            let mut reading = Reading::new(&json);
            let amounts = (reading.fen("a.b", Currency::CNY), reading.fen_text("a.b", Currency::CNY));
            let minor = |amount| match amount {
                Amount::Stated(money) => Some(money.minor),
                _ => None,
            };
            (minor(amounts.0), minor(amounts.1), reading.concerns.len())
        };
        assert_eq!(amount(r#"{"a":{"b":12}}"#), (Some(12), None, 1));
        assert_eq!(amount(r#"{"a":{"b":"12"}}"#), (None, Some(12), 1));
        assert_eq!(amount(r#"{"a":{"b":0}}"#), (Some(0), None, 1));
        for bad in
            ["1.0", "-1", "1e3", "null", "true", "[1]", "{}", "99999999999999999999", "\"1.00\"", "\"\"", "\"１\""]
        {
            assert_eq!(amount(&format!("{{\"a\":{{\"b\":{bad}}}}}")), (None, None, 1), "{bad}");
        }
        assert_eq!(amount("{}"), (None, None, 1));
    }

    #[test]
    fn names_are_bounded_and_follow_what_was_signed() {
        let name = message_name(Some("N1"), b"{}");
        assert!(name.starts_with("N1:") && name.len() == 3 + DIGEST_CHARS);
        assert_ne!(name, message_name(Some("N1"), b"{ }"));
        assert_eq!(message_name(Some(&"9".repeat(NAME_BYTES_MAX)), b"x").len(), 64);
        assert_eq!(message_name(None, b"x").len(), 64);
    }
}
