//! Keys that a platform must be asked for: requests out and answers in, as data. Who carries them over the
//! network, how often, and where the keys are kept, is not decided here.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Method, Uri};

use super::{Channel, KeyRequest};
use crate::model::Timestamp;
use crate::settings::{Settings, SettingsError};

/// Largest answer that is read, in bytes: a list of certificates has 5 to 20 kB.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Most keys that a channel takes beside its configured ones: the current ones and those around a rotation.
pub const FETCHED_KEYS_MAX: usize = 16;

/// A channel that can ask its platform for keys. Pure: bytes and the time go in, bytes and keys come out.
pub trait KeySource: Send + Sync {
    /// The request for a key, or for all keys when none is named; none when there is nothing to ask for. `chance`
    /// is random and makes the request unique where the platform wants that.
    fn ask(&self, needed: Option<&KeyRequest>, chance: [u8; 16], now: Timestamp) -> Option<HttpAsk>;

    /// The keys in an answer to [`KeySource::ask`], verified as a whole: one doubtful part refuses all of it. The
    /// needed key is not always among them.
    ///
    /// # Errors
    /// [`KeyRefused`]; [`KeyRefused::Absent`] when the platform says itself that it has no such key.
    fn read(
        &self,
        answer: &HttpAnswer,
        needed: Option<&KeyRequest>,
        now: Timestamp,
    ) -> Result<Vec<FetchedKey>, KeyRefused>;

    /// Checks a key that was kept, as far as that is possible without the answer that brought it.
    ///
    /// # Errors
    /// [`KeyRefused`].
    fn check(&self, key: &FetchedKey, now: Timestamp) -> Result<(), KeyRefused>;

    /// The configured channel with these keys beside its configured ones, and no others. Each is checked again.
    ///
    /// # Errors
    /// [`KeyRefused`] for the first key that does not pass, or when there are more than [`FETCHED_KEYS_MAX`].
    fn with_keys(&self, keys: &[FetchedKey], now: Timestamp) -> Result<Arc<dyn Channel>, KeyRefused>;

    /// When to ask for all keys again, although no message needs one; none when that is never due.
    fn renew_at(&self, known: &[FetchedKey], now: Timestamp) -> Option<Timestamp>;
}

/// An HTTP request, as data.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAsk {
    /// The method.
    pub method: Method,
    /// The whole URL, percent-encoded as it is signed.
    pub url: String,
    /// Headers beside those of the transport.
    pub headers: HeaderMap,
    /// The exact body.
    pub body: Bytes,
    /// Where it may go.
    pub reach: Reach,
}

impl fmt::Debug for HttpAsk {
    /// Says where it goes, never the bytes: headers and body are signed by the merchant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAsk")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// Which addresses a request may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The platform's own host: public addresses only.
    Public,
    /// A host that the operator configured, wherever it is.
    Configured,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The exact body, bounded by whoever read it.
    pub body: Bytes,
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAnswer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl HttpAnswer {
    /// A header's value when it is there exactly once and is visible ASCII.
    pub fn single_header(&self, name: &str) -> Option<&str> {
        single(&self.headers, name)
    }
}

/// A header's value when it is there exactly once and is visible ASCII.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// A key that a platform gave, public as all of it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedKey {
    /// The serial, in the form of [`KeyRequest::serial`].
    pub serial: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// The platform's own bytes that prove it once more when it was kept for a while: a sealed copy, or the chain.
    pub evidence: Vec<u8>,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// When the platform gave it.
    pub fetched_at: Timestamp,
}

/// Why an answer, or a kept key, is not believed. Nothing of the answer's text is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// The platform says that it has no such key.
    #[error("the platform has no such key")]
    Absent,
    /// Another status than that of an answer.
    #[error("the platform answered with status {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// Larger than any genuine answer, or more keys.
    #[error("more than {limit} bytes or keys")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A part that cannot be read.
    #[error("`{field}` is missing or unreadable")]
    Malformed {
        /// The platform's field or header, or `body`.
        field: &'static str,
    },
    /// The answer is not signed by a key that can be believed.
    #[error("the answer's signature does not match")]
    Signature,
    /// It is sealed with another secret than ours.
    #[error("the configured key does not decrypt it")]
    Undecryptable,
    /// A certificate with another serial than the one it goes by.
    #[error("a certificate has another serial than the one it goes by")]
    Serial,
    /// Not valid at this time.
    #[error("a certificate has ended or not begun")]
    Validity,
    /// Not issued by the platform, or not to it.
    #[error("a certificate was not issued by the platform to itself")]
    Issuer,
    /// No path leads from it to an authority that is trusted.
    #[error("no path leads from a certificate to a trusted authority; `{setting}` says which ones are")]
    Authority {
        /// The setting that names the trusted ones.
        setting: &'static str,
    },
}

impl KeyRefused {
    /// The stable word, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Status { .. } => "status",
            Self::TooLarge { .. } => "too_large",
            Self::Malformed { .. } => "malformed",
            Self::Signature => "signature",
            Self::Undecryptable => "undecryptable",
            Self::Serial => "serial",
            Self::Validity => "validity",
            Self::Issuer | Self::Authority { .. } => "issuer",
        }
    }
}

/// Where a platform's interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    base: String,
    reach: Reach,
}

impl Interface {
    /// The platform's own base URL, unless the setting of this name gives another one: `https`, or plain `http` to
    /// this machine, without path, query or user.
    ///
    /// # Errors
    /// [`SettingsError`] with `malformed`.
    pub fn read(settings: &Settings, name: &'static str, own: &str) -> Result<Self, SettingsError> {
        let Some(text) = settings.text(name).map(str::trim) else {
            return Ok(Self { base: own.to_owned(), reach: Reach::Public });
        };
        Self::parse(text, Reach::Configured)
            .ok_or_else(|| SettingsError::new(name, "malformed").because(super::quote(text)))
    }

    /// A base URL: `https`, or plain `http` to this machine where the operator configured it, without path, query or
    /// user.
    pub fn parse(base: &str, reach: Reach) -> Option<Self> {
        let uri: Uri = base.parse().ok()?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return None };
        let is_here = reach == Reach::Configured && matches!(authority.host(), "127.0.0.1" | "[::1]" | "localhost");
        let is_safe = *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_here);
        if !is_safe || authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
            return None;
        }
        Some(Self { base: format!("{scheme}://{authority}"), reach })
    }

    /// Host and port, as they stand in the URL.
    pub fn host(&self) -> &str {
        self.base.split_once("://").map_or(&*self.base, |(_, host)| host)
    }

    /// The URL of a path, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Where requests may go.
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Environment;
    use crate::settings::SettingValue;

    #[test]
    fn another_base_is_encrypted_or_this_machine() {
        let read = |text: &str| {
            let settings = Settings::new(Environment::Live).with("base", SettingValue::Text(text.to_owned()));
            Interface::read(&settings, "base", "https://platform.example")
        };
        for good in [
            "https://a.example",
            "https://a.example:8443/",
            "http://127.0.0.1:9000",
            "http://[::1]:1",
            "http://localhost",
        ] {
            let interface = read(good).unwrap();
            assert_eq!(interface.reach(), Reach::Configured);
            assert_eq!(interface.url("/x?y"), format!("{}/x?y", good.trim_end_matches('/')));
        }
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "https://u@a.example",
            "http://127.0.0.1@a.example",
            "https://a.example/v3",
            "https://a.example?x",
            "https://",
            "/v3",
            "http://10.0.0.1",
            "http://localhost.example",
        ] {
            assert_eq!(read(bad).unwrap_err().word, "malformed", "{bad:?}");
        }
        assert_eq!(Interface::parse("http://127.0.0.1:9000", Reach::Public), None);
        assert_eq!(Interface::parse("https://a.example:8443", Reach::Public).unwrap().host(), "a.example:8443");
        let own = Interface::read(&Settings::new(Environment::Live), "base", "https://platform.example").unwrap();
        assert_eq!((own.url("/x").as_str(), own.reach()), ("https://platform.example/x", Reach::Public));
    }

    #[test]
    fn nothing_signed_is_printed() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "s3cret".parse().unwrap());
        let body = Bytes::from_static(b"sign=s3cret");
        let ask = HttpAsk { method: Method::GET, url: "https://a".into(), headers, body, reach: Reach::Public };
        assert!(!format!("{ask:?}").contains("s3cret"));
    }
}
