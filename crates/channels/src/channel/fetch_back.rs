//! Asking a platform about what a hint names: questions out and answers in, as data. Who carries them over the network,
//! when, and how often, is not decided here.
//!
//! Where a platform wants a login before the question, that is a [`Login`](super::Login), whose answer says nothing of any
//! number.
//!
//! A [`Question`] can only be made from an [`Interface`] (encrypted, or this machine) and an [`ApiCredential`] of the
//! channel's configuration; an [`Answered`] only from a question and what came back to it; and only an [`Answered`]
//! makes the proof [`crate::model::Proof::PlatformApi`]. So nothing that was sent *to* us can ever carry that proof.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jiff::fmt::rfc2822;
use zeroize::Zeroizing;

use super::fetch::{ANSWER_BYTES_MAX, HttpAnswer, HttpAsk, Interface, single};
use super::hint::{Hint, HintNumber};
use super::login::{Credential, NextAsk};
use crate::model::{Notification, Proven, RawRequest, Timestamp};

/// What the credential is called on most platforms that are asked.
pub const USUAL_CREDENTIAL: &str = "api_key";

/// Longest wait that a platform's answer can impose.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// How we call ourselves.
pub(super) const AGENT: &str = concat!("tollbell/", env!("CARGO_PKG_VERSION"));

/// A channel that can ask its platform about a number. Pure: bytes and the time go in, bytes and facts come out.
pub trait FetchBack: Send + Sync {
    /// The label of the credential among [`crate::channel::Channel::keys`]: it lets us ask, and proves no message.
    fn credential_label(&self) -> &'static str {
        USUAL_CREDENTIAL
    }

    /// Whether there is a credential to ask with at this time. Where there is none, nothing is sent: the platform would
    /// learn a secret that was given up, and somebody has to look anyway.
    fn can_ask(&self, _now: Timestamp) -> bool {
        true
    }

    /// What to send next: the question, or the login whose credential it needs. `credential` is what the last login
    /// gave, if any; a channel that needs none passes it over.
    fn ask(&self, hint: &Hint, credential: Option<&Credential>, now: Timestamp) -> NextAsk;

    /// What the answer says. It is genuine because of where it was asked: what is in it must still be about the number
    /// that was asked for, and is hostile text like any other.
    ///
    /// The notification's `platform_id` names what was told (the number, its state, its running totals), so that the
    /// same answer is a repetition, and a changed one is not.
    ///
    /// # Errors
    /// [`FetchRefused`]; the question stays open.
    fn read(&self, answered: Answered, now: Timestamp) -> Result<Fetched, FetchRefused>;

    /// What an application that wants the platform's own request is given: the callback that the platform sends about
    /// this, made from the answer as [`Answered::kept`] keeps it; none when that cannot be read (any more).
    fn callback(&self, kept: &RawRequest) -> Option<RawRequest>;

    /// Whether [`FetchBack::callback`] makes callbacks at all. Where it does not, what an answer tells reaches no application
    /// that wants the platform's own request.
    fn makes_callbacks(&self) -> bool {
        false
    }

    /// How often the platform may be asked.
    fn pace(&self) -> Pace;

    /// The number to ask about so that the platform confirms what a message says, whatever the message's signature is
    /// worth; none when the message names nothing that can be asked about.
    ///
    /// It is taken from the message alone, and every message that tells a fact about a number names that number: only so
    /// does the answer tell the same fact.
    fn named(&self, _message: &RawRequest) -> Option<HintNumber> {
        None
    }
}

/// How often a platform may be asked, as far as it says so; else what it will hardly mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between the beginnings of two questions of one channel.
    pub gap: Duration,
    /// Between two questions about the same number.
    pub gap_of_number: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Pace {
    /// Four questions a second, and one in five seconds about the same number: for platforms that publish no limit.
    pub const USUAL: Self = Self { gap: Duration::from_millis(250), gap_of_number: Duration::from_secs(5) };
}

/// What an answer says.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is moved once")]
pub enum Fetched {
    /// Something happened.
    Notification(Proven<Notification>),
    /// The platform knows the number, and nothing has happened yet that anybody should be told.
    Nothing,
    /// The platform does not know the number, or not for this merchant.
    Unknown,
}

/// A question, bound to what it is about, where it goes, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    number: HintNumber,
    ask: HttpAsk,
    host: String,
    credential: &'static str,
}

impl Question {
    /// `GET` of a path and query, which begins with `/`.
    pub fn get(hint: &Hint, interface: &Interface, path: &str, credential: &ApiCredential) -> Self {
        let mut headers = HeaderMap::new();
        credential.show(&mut headers);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let (url, reach) = (interface.url(path), interface.reach());
        let ask = HttpAsk { method: Method::GET, url, headers, body: Bytes::new(), reach };
        Self { number: hint.number().clone(), ask, host: interface.host().to_owned(), credential: credential.label }
    }

    /// The same as a `POST`, for platforms that are asked so; a body comes with its media type. It asks, and changes
    /// nothing: a question that was lost is asked again.
    #[must_use]
    pub fn posting(mut self, body: Option<(&'static str, Bytes)>) -> Self {
        self.ask.method = Method::POST;
        if let Some((media_type, body)) = body {
            self = self.with_header(CONTENT_TYPE, HeaderValue::from_static(media_type));
            self.ask.body = body;
        }
        self
    }

    /// With a header that the platform wants beside the credential.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if !self.ask.headers.contains_key(&name) {
            self.ask.headers.insert(name, value);
        }
        self
    }

    /// What to send.
    pub fn ask(&self) -> &HttpAsk {
        &self.ask
    }

    /// The answer that this question got. Whoever says this has sent [`Question::ask`] himself, to the host that it
    /// names and nowhere else, and read the answer from the same connection: nobody but who carries questions may.
    pub fn carried(self, answer: HttpAnswer) -> Answered {
        Answered { question: self, answer }
    }
}

/// A question with its answer: what the platform itself says, to whoever asked as the merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    question: Question,
    answer: HttpAnswer,
}

impl Answered {
    /// What was asked about.
    pub fn number(&self) -> &HintNumber {
        &self.question.number
    }

    /// The answer.
    pub fn answer(&self) -> &HttpAnswer {
        &self.answer
    }

    /// The answer's body, as most platforms' status codes have it: none when there is no such number.
    ///
    /// # Errors
    /// [`FetchRefused`] for every status that is no answer to the question, and for one that is too large.
    pub fn body(&self, now: Timestamp) -> Result<Option<&[u8]>, FetchRefused> {
        match self.answer.status {
            200 if self.answer.body.len() > ANSWER_BYTES_MAX => Err(FetchRefused::TooLarge { limit: ANSWER_BYTES_MAX }),
            200 => Ok(Some(&self.answer.body)),
            404 | 410 => Ok(None),
            status => Err(refusal(status, &self.answer.headers, now)),
        }
    }

    /// The answer as the inbox keeps it: under the path of the question, with its own type and body. It is a `GET`, whatever
    /// the question was, and looks like no callback, because those are not `GET` with a body.
    pub fn kept(&self, received_at: Timestamp) -> RawRequest {
        let mut headers = HeaderMap::new();
        if let Some(media_type) = self.answer.headers.get(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, media_type.clone());
        }
        let uri = self.question.ask.url.parse::<Uri>().unwrap_or_default();
        RawRequest {
            method: Method::GET,
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers,
            body: self.answer.body.clone(),
            source: None,
            received_at,
        }
    }

    /// The host and the credential, for the proof.
    pub(crate) fn into_proof(self) -> (String, &'static str) {
        (self.question.host, self.question.credential)
    }
}

/// What a status means that is no answer.
pub(super) fn refusal(status: u16, headers: &HeaderMap, now: Timestamp) -> FetchRefused {
    match (status, retry_after(headers, now)) {
        (401 | 403, _) => FetchRefused::Credential { status },
        (429, after) | (503, after @ Some(_)) => FetchRefused::Throttled { after },
        _ => FetchRefused::Status { status },
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = single(headers, RETRY_AFTER.as_str())?.trim();
    let wait = if let Ok(seconds) = text.parse::<u32>() {
        Duration::from_secs(u64::from(seconds))
    } else {
        let until = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(until.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Why an answer is none. Nothing of the answer's text is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefused {
    /// The platform does not accept our credential: somebody must look, and the question stays open.
    #[error("the platform does not accept the configured credential (status {status})")]
    Credential {
        /// The status code.
        status: u16,
    },
    /// Our credential has ended by our own configuration, so the platform was not asked: somebody must look, and the
    /// question stays open.
    #[error("the configured credential has ended, so the platform was not asked")]
    CredentialEnded,
    /// The platform wants to be asked less often.
    #[error("the platform wants to be asked later")]
    Throttled {
        /// How much later, where it says so.
        after: Option<Duration>,
    },
    /// Another status than that of an answer.
    #[error("the platform answered with status {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// Larger than any genuine answer.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A part that cannot be read.
    #[error("`{field}` is missing or unreadable")]
    Malformed {
        /// The platform's field, or `body`.
        field: &'static str,
    },
    /// The answer is about something else.
    #[error("the answer is about another number")]
    OtherNumber,
    /// The answer is of the sandbox and the channel live, or the other way round.
    #[error("the answer is of another environment than the channel's")]
    OtherEnvironment,
}

impl FetchRefused {
    /// The stable word, for metrics and for the text for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Credential { .. } => "credential",
            Self::CredentialEnded => "credential_ended",
            Self::Throttled { .. } => "throttled",
            Self::Status { .. } => "status",
            Self::TooLarge { .. } => "too_large",
            Self::Malformed { .. } => "malformed",
            Self::OtherNumber => "other_number",
            Self::OtherEnvironment => "other_environment",
        }
    }
}

/// Every word of [`FetchRefused::word`].
pub const FETCH_REFUSED_WORDS: &[&str] = &[
    "credential",
    "credential_ended",
    "throttled",
    "status",
    "too_large",
    "malformed",
    "other_number",
    "other_environment",
];

/// What a channel shows the platform when it asks: a header with a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiCredential {
    label: &'static str,
    header: HeaderName,
    value: HeaderValue,
}

impl ApiCredential {
    /// `Authorization: Bearer …` (RFC 6750). `label` names the setting that holds the secret.
    pub fn bearer(label: &'static str, secret: &[u8]) -> Option<Self> {
        Self::header(label, AUTHORIZATION, &Zeroizing::new([b"Bearer ", tame(secret)?].concat()))
    }

    /// `Authorization: Basic …` (RFC 7617).
    pub fn basic(label: &'static str, user: &[u8], password: &[u8]) -> Option<Self> {
        if user.contains(&b':') || (user.is_empty() && password.is_empty()) {
            return None;
        }
        let pair = Zeroizing::new([user, b":", password].concat());
        let encoded = Zeroizing::new(STANDARD.encode(&*pair));
        Self::header(label, AUTHORIZATION, &Zeroizing::new([b"Basic ", encoded.as_bytes()].concat()))
    }

    /// A header of the platform's own. Its bytes are overwritten when the last request that shows them is gone.
    pub fn header(label: &'static str, header: HeaderName, value: &[u8]) -> Option<Self> {
        let own = Bytes::from_owner(Zeroizing::new(value.to_vec()));
        let mut value = HeaderValue::from_maybe_shared(own).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(Self { label, header, value })
    }

    /// The setting that holds the secret.
    pub(super) fn label(&self) -> &'static str {
        self.label
    }

    /// Adds the header.
    pub(super) fn show(&self, headers: &mut HeaderMap) {
        headers.insert(self.header.clone(), self.value.clone());
    }
}

/// A secret that is visible ASCII, and there.
fn tame(secret: &[u8]) -> Option<&[u8]> {
    (!secret.is_empty() && secret.iter().all(u8::is_ascii_graphic)).then_some(secret)
}

impl fmt::Debug for ApiCredential {
    /// Says which, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiCredential").field("label", &self.label).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Reach;

    fn now() -> Timestamp {
        "2026-11-21T04:00:00Z".parse().unwrap()
    }

    fn question() -> Question {
        let hint = Hint::from_anybody(HintNumber::new("tr_1").unwrap());
        let interface = Interface::parse("https://api.platform.example", Reach::Public).unwrap();
        let credential = ApiCredential::bearer("api_key", b"s3cret").unwrap();
        Question::get(&hint, &interface, "/v2/payments/tr_1?embed=x", &credential)
    }

    fn answered(status: u16, headers: &[(&'static str, &str)], body: &'static [u8]) -> Answered {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        question().carried(HttpAnswer { status, headers: map, body: Bytes::from_static(body) })
    }

    #[test]
    fn a_question_shows_its_credential_to_the_host_alone() {
        let question = question();
        assert_eq!(question.ask().headers["authorization"], "Bearer s3cret");
        assert!(question.ask().headers["authorization"].is_sensitive());
        assert_eq!(question.ask().url, "https://api.platform.example/v2/payments/tr_1?embed=x");
        let shown = format!("{question:?} {:?}", ApiCredential::basic("api_key", b"u", b"s3cret").unwrap());
        assert!(!shown.contains("s3cret") && !shown.contains("czNjcmV0"), "{shown}");
        let kept = format!("{:?}", answered(200, &[], b"x").kept(now()));
        assert!(!kept.contains("s3cret"), "{kept}");
        let other = question.with_header(AUTHORIZATION, HeaderValue::from_static("x"));
        assert_eq!(other.ask().headers["authorization"], "Bearer s3cret");
    }

    #[test]
    fn a_credential_is_there_and_one_line() {
        assert_eq!(ApiCredential::basic("k", b"server", b"").unwrap().value, "Basic c2VydmVyOg==");
        for bad in [b"".as_slice(), b"a b", b"a\r\nX: y", b"\xff", b"a\n"] {
            assert_eq!(ApiCredential::bearer("k", bad), None, "{bad:?}");
        }
        assert_eq!(ApiCredential::basic("k", b"a:b", b"c"), None);
        assert_eq!(ApiCredential::basic("k", b"", b""), None);
        assert_eq!(ApiCredential::header("k", HeaderName::from_static("x-key"), b""), None);
        assert_eq!(ApiCredential::header("k", HeaderName::from_static("x-key"), b"a\r\nb"), None);
    }

    #[test]
    fn statuses_are_told_apart() {
        let body = |status, headers: &[_]| answered(status, headers, b"{}").body(now()).map(|b| b.map(<[u8]>::to_vec));
        assert_eq!(body(200, &[]), Ok(Some(b"{}".to_vec())));
        assert_eq!(body(404, &[]), Ok(None));
        assert_eq!(body(410, &[]), Ok(None));
        assert_eq!(body(401, &[]), Err(FetchRefused::Credential { status: 401 }));
        assert_eq!(body(403, &[]), Err(FetchRefused::Credential { status: 403 }));
        let throttled = |after| Err(FetchRefused::Throttled { after });
        assert_eq!(body(429, &[]), throttled(None));
        assert_eq!(body(429, &[("retry-after", "7")]), throttled(Some(Duration::from_secs(7))));
        assert_eq!(body(429, &[("retry-after", "99999999")]), throttled(Some(RETRY_AFTER_MAX)));
        assert_eq!(body(429, &[("retry-after", "-1")]), throttled(None));
        assert_eq!(body(429, &[("retry-after", "1"), ("retry-after", "2")]), throttled(None));
        let date = [("retry-after", "Sat, 21 Nov 2026 04:01:30 GMT")];
        assert_eq!(body(503, &date), throttled(Some(Duration::from_secs(90))));
        assert_eq!(body(503, &[("retry-after", "Sat, 21 Nov 2020 04:01:30 GMT")]), throttled(Some(Duration::ZERO)));
        for status in [100, 201, 204, 301, 302, 307, 400, 418, 500, 502, 503, 504] {
            assert_eq!(body(status, &[]), Err(FetchRefused::Status { status }));
        }
        let huge = HttpAnswer { status: 200, headers: HeaderMap::new(), body: vec![b' '; ANSWER_BYTES_MAX + 1].into() };
        assert_eq!(question().carried(huge).body(now()), Err(FetchRefused::TooLarge { limit: ANSWER_BYTES_MAX }));
    }

    #[test]
    fn what_is_kept_is_the_answer_and_no_callback() {
        let posted = question().posting(Some(("application/json", Bytes::from_static(b"[1]"))));
        let ask = posted.ask();
        assert_eq!((ask.method.as_str(), &ask.body[..]), ("POST", &b"[1]"[..]));
        assert_eq!(ask.headers["content-type"], "application/json");
        let answer = HttpAnswer { status: 200, headers: HeaderMap::new(), body: Bytes::from_static(b"{}") };
        assert_eq!(posted.carried(answer).kept(now()).method, Method::GET);
        let answered = answered(200, &[("content-type", "application/hal+json"), ("set-cookie", "a=b")], b"{}");
        let kept = answered.kept(now());
        assert_eq!((kept.method.as_str(), kept.path.as_str()), ("GET", "/v2/payments/tr_1"));
        assert_eq!(kept.query.as_deref(), Some("embed=x"));
        assert_eq!(kept.headers.len(), 1);
        assert_eq!((&kept.body[..], kept.media_type()), (&b"{}"[..], "application/hal+json".to_owned()));
        let proven = Proven::by_platform_api(1, answered);
        let expected = crate::model::Proof::PlatformApi { host: "api.platform.example".into(), key: "api_key".into() };
        assert_eq!(*proven.proof(), expected);
    }

    #[test]
    fn every_word_is_listed() {
        let all = [
            FetchRefused::Credential { status: 401 },
            FetchRefused::CredentialEnded,
            FetchRefused::Throttled { after: None },
            FetchRefused::Status { status: 500 },
            FetchRefused::TooLarge { limit: 1 },
            FetchRefused::Malformed { field: "id" },
            FetchRefused::OtherNumber,
            FetchRefused::OtherEnvironment,
        ];
        assert_eq!(all.map(|refused| refused.word()), FETCH_REFUSED_WORDS);
    }
}
