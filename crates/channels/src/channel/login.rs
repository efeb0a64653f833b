//! Logging in before a question: some platforms want a credential that lasts for hours and is had for the one that is
//! configured, the token of OAuth (RFC 6749, 4.4) being the usual one.
//!
//! A [`Login`] is a request, and its answer gives a [`Credential`] or nothing. What an answer to it says is never a fact:
//! no way leads from here to [`super::Answered`], and so none to a proof. The credential goes only with questions to the
//! interface that gave it, which [`NextAsk::behind`] sees to.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use zeroize::{Zeroize as _, Zeroizing};

use super::fetch::{HttpAnswer, HttpAsk, Interface};
use super::fetch_back::{AGENT, ApiCredential, FetchRefused, Question, refusal};
use crate::model::Timestamp;

/// Largest answer to a login, in bytes: a token with what it may do has 1 to 4 kB.
pub const LOGIN_BYTES_MAX: usize = 16 * 1024;

/// Longest token, in bytes: those that are read from a table have 100, those that carry what they say up to 2,000.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// How long a credential is used at most, whatever the platform says.
pub const CREDENTIAL_LASTS_MAX: Duration = Duration::from_hours(24);

/// How long before its end a credential is used no more, so that none ends on the way; half of its time when it has less
/// than twice this much.
pub const CREDENTIAL_AHEAD: Duration = Duration::from_mins(1);

/// What is to be sent next, to learn of a hint.
#[derive(Debug)]
pub enum NextAsk {
    /// The question.
    Question(Question),
    /// The platform wants a login first.
    Login(Login),
}

impl NextAsk {
    /// A question behind a login. The credential is used when it was had by this very login, from this interface and
    /// with these secrets, and has not come to its end.
    pub fn behind(
        login: Login,
        credential: Option<&Credential>,
        now: Timestamp,
        question: impl FnOnce(&ApiCredential) -> Question,
    ) -> Self {
        match credential.filter(|credential| credential.by == login.ask && now < credential.until) {
            Some(credential) => Self::Question(question(&credential.shown)),
            None => Self::Login(login),
        }
    }

    /// The question, when it can be asked at once.
    pub fn question(self) -> Option<Question> {
        match self {
            Self::Question(question) => Some(question),
            Self::Login(_) => None,
        }
    }

    /// The login, when it comes first.
    pub fn login(self) -> Option<Login> {
        match self {
            Self::Question(_) => None,
            Self::Login(login) => Some(login),
        }
    }
}

/// Reads what an answer of status 200 grants.
pub type ReadGrant = fn(&[u8]) -> Result<Grant, FetchRefused>;

/// A request for a credential.
#[derive(Clone)]
pub struct Login {
    ask: HttpAsk,
    label: &'static str,
    read: ReadGrant,
}

impl Login {
    /// `POST` of a form to a path, which begins with `/`, as whoever has this credential.
    pub fn post(
        interface: &Interface,
        path: &str,
        credential: &ApiCredential,
        form: &'static str,
        read: ReadGrant,
    ) -> Self {
        let mut headers = HeaderMap::new();
        credential.show(&mut headers);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let (url, body) = (interface.url(path), Bytes::from_static(form.as_bytes()));
        let ask = HttpAsk { method: Method::POST, url, headers, body, reach: interface.reach() };
        Self { ask, label: credential.label(), read }
    }

    /// What to send.
    pub fn ask(&self) -> &HttpAsk {
        &self.ask
    }

    /// The credential in the answer. `sent_at` is when the login was sent: its time counts from there.
    ///
    /// # Errors
    /// [`FetchRefused`]; there is no credential, and nothing of the answer is kept.
    pub fn granted(self, answer: HttpAnswer, sent_at: Timestamp) -> Result<Credential, FetchRefused> {
        let HttpAnswer { status, headers, body } = answer;
        let read = match status {
            200 if body.len() > LOGIN_BYTES_MAX => Err(FetchRefused::TooLarge { limit: LOGIN_BYTES_MAX }),
            200 => (self.read)(&body),
            // With a request that is always the same, it is the credential that makes it a bad one (RFC 6749, 5.2).
            400 => Err(FetchRefused::Credential { status }),
            _ => Err(refusal(status, &headers, sent_at)),
        };
        forget(body);
        let grant = read?;
        let value = Zeroizing::new([b"Bearer ", grant.token.as_bytes()].concat());
        let shown = ApiCredential::header(self.label, AUTHORIZATION, &value);
        let shown = shown.ok_or(FetchRefused::Malformed { field: "token" })?;
        let lasts = grant.lasts.min(CREDENTIAL_LASTS_MAX);
        let used = lasts.saturating_sub(CREDENTIAL_AHEAD.min(lasts / 2));
        let until = sent_at.checked_add(used).map_err(|_| FetchRefused::Malformed { field: "now" })?;
        Ok(Credential { shown, until, by: self.ask })
    }
}

/// Overwrites an answer that holds a secret, where nobody else has it.
fn forget(body: Bytes) {
    if let Ok(mut own) = body.try_into_mut() {
        own.as_mut().zeroize();
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("ask", &self.ask).field("label", &self.label).finish_non_exhaustive()
    }
}

/// What an answer to a login grants, as the platform's own reader found it.
pub struct Grant {
    token: Zeroizing<String>,
    lasts: Duration,
}

impl Grant {
    /// A token that is shown as `Authorization: Bearer …`, and how long it lasts: there, of at most [`TOKEN_BYTES_MAX`]
    /// bytes, in the signs of RFC 6750 (2.1), and for some time.
    pub fn bearer(token: Zeroizing<String>, lasts: Duration) -> Option<Self> {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        let plain = token.trim_end_matches('=');
        let is_token = !plain.is_empty() && plain.bytes().all(is_plain) && token.len() <= TOKEN_BYTES_MAX;
        (is_token && !lasts.is_zero()).then_some(Self { token, lasts })
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("lasts", &self.lasts).finish_non_exhaustive()
    }
}

/// A credential that a platform gave for a while. It is kept in memory alone, and overwritten when it goes.
#[derive(Clone)]
pub struct Credential {
    shown: ApiCredential,
    until: Timestamp,
    by: HttpAsk,
}

impl Credential {
    /// Until when it is used: somewhat before its end.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("shown", &self.shown).field("until", &self.until).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Hint, HintNumber, Reach};

    const TOKEN: &str = "A21AAFs3cret-t0ken";

    fn now() -> Timestamp {
        "2026-11-21T04:00:00Z".parse().unwrap()
    }

    /// A reader that takes the seconds behind the token.
    fn read(body: &[u8]) -> Result<Grant, FetchRefused> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let (token, seconds) = text.split_once(' ').ok_or(FetchRefused::Malformed { field: "body" })?;
        let lasts = Duration::from_secs(seconds.parse().map_err(|_| FetchRefused::Malformed { field: "body" })?);
        Grant::bearer(token.to_owned().into(), lasts).ok_or(FetchRefused::Malformed { field: "token" })
    }

    fn login(host: &str, secret: &[u8]) -> Login {
        let interface = Interface::parse(host, Reach::Public).unwrap();
        let credential = ApiCredential::basic("api_key", b"client", secret).unwrap();
        Login::post(&interface, "/token", &credential, "grant_type=client_credentials", read)
    }

    fn own() -> Login {
        login("https://api.platform.example", b"s3cret-key")
    }

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) }
    }

    fn granted(seconds: u64) -> Credential {
        own().granted(answer(200, &format!("{TOKEN} {seconds}")), now()).unwrap()
    }

    fn next(login: Login, credential: Option<&Credential>, now: Timestamp) -> NextAsk {
        let interface = Interface::parse("https://api.platform.example", Reach::Public).unwrap();
        let hint = Hint::from_anybody(HintNumber::new("tr_1").unwrap());
        NextAsk::behind(login, credential, now, |shown| Question::get(&hint, &interface, "/tr_1", shown))
    }

    #[test]
    fn a_credential_goes_with_questions_to_whoever_gave_it() {
        let credential = granted(3600);
        assert!(next(own(), None, now()).login().is_some());
        let question = next(own(), Some(&credential), now()).question().unwrap();
        let shown = &question.ask().headers["authorization"];
        assert!(shown.is_sensitive());
        assert_eq!(shown, &format!("Bearer {TOKEN}"));
        // Another host, or another secret: what was had before is none of theirs.
        for other in [login("https://api.other.example", b"s3cret-key"), login("https://api.platform.example", b"new")]
        {
            assert!(next(other, Some(&credential), now()).question().is_none());
        }
    }

    #[test]
    fn a_credential_is_used_until_shortly_before_its_end() {
        for (lasts, used) in [(3600, 3540), (120, 60), (119, 59), (30, 15), (1, 0), (10_000_000, 24 * 3600 - 60)] {
            let credential = granted(lasts);
            let seconds = credential.until().as_second() - now().as_second();
            assert_eq!(seconds, used, "{lasts}");
            assert!(next(own(), Some(&credential), credential.until()).question().is_none());
        }
    }

    #[test]
    fn what_is_no_grant_gives_nothing() {
        let word = |answer| own().granted(answer, now()).map_err(|refused| refused.word()).unwrap_err();
        for (status, expected) in [
            (400, "credential"),
            (401, "credential"),
            (403, "credential"),
            (404, "status"),
            (201, "status"),
            (302, "status"),
            (500, "status"),
            (503, "status"),
            (429, "throttled"),
        ] {
            assert_eq!(word(answer(status, &format!("{TOKEN} 3600"))), expected, "{status}");
        }
        assert_eq!(word(answer(200, &format!("{TOKEN} 3600{}", " ".repeat(LOGIN_BYTES_MAX)))), "too_large");
        for body in ["", "x", "a\u{e9} 60", " 60", "a\n 60", "= 60", "a=b 60", "a,b 60", "abc 0"] {
            assert_eq!(word(answer(200, body)), "malformed", "{body:?}");
        }
        assert!(Grant::bearer("a".repeat(TOKEN_BYTES_MAX).into(), Duration::MAX).is_some());
        assert!(Grant::bearer("a".repeat(TOKEN_BYTES_MAX + 1).into(), Duration::MAX).is_none());
        let mut later = answer(429, "");
        later.headers.insert("retry-after", HeaderValue::from_static("7"));
        let after = Some(Duration::from_secs(7));
        assert_eq!(own().granted(later, now()).unwrap_err(), FetchRefused::Throttled { after });
    }

    #[test]
    fn nothing_secret_is_shown() {
        let (login, grant) = (own(), read(format!("{TOKEN} 60").as_bytes()).unwrap());
        let shown = format!("{login:?} {:?} {grant:?} {:?}", next(own(), None, now()), granted(60));
        let basic = login.ask().headers["authorization"].to_str().unwrap().split_once(' ').unwrap().1.to_owned();
        assert!(!shown.contains(TOKEN) && !shown.contains("s3cret") && !shown.contains(&basic), "{shown}");
        assert!(login.ask().headers["authorization"].is_sensitive());
        assert_eq!(
            (login.ask().method.as_str(), &login.ask().body[..]),
            ("POST", &b"grant_type=client_credentials"[..])
        );
    }
}
