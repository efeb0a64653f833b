//! The seam that each platform fills, and the one table of what we answer.

mod fetch;
mod fetch_back;
mod hint;
mod login;
pub mod strength;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use fetch::{
    ANSWER_BYTES_MAX, FETCHED_KEYS_MAX, FetchedKey, HttpAnswer, HttpAsk, Interface, KeyRefused, KeySource, Reach,
};

pub use fetch_back::{
    Answered, ApiCredential, FETCH_REFUSED_WORDS, FetchBack, FetchRefused, Fetched, Pace, Question, RETRY_AFTER_MAX,
    USUAL_CREDENTIAL,
};
pub use hint::{HINT_BYTES_MAX, Hint, HintNumber};
pub use login::{
    CREDENTIAL_AHEAD, CREDENTIAL_LASTS_MAX, Credential, Grant, LOGIN_BYTES_MAX, Login, NextAsk, ReadGrant,
    TOKEN_BYTES_MAX,
};

use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::resign::{self, Resigner};
use crate::settings::SettingsError;

/// A configured channel. Pure: the request and the time come in, a verdict and bytes go out.
pub trait Channel: Send + Sync {
    /// Whose request is this, by shape and merchant ids? Cheap, and proves nothing.
    fn recognise(&self, request: &RawRequest) -> Likeness;

    /// Is it genuine, and what does it say? There is no default: a platform that cannot verify
    /// cannot be added.
    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict;

    /// The answer to a platform that checks, before it sends anything, that whoever has this address knows the secret. Such
    /// a request is no notification: it proves nothing, nothing of it is kept, and [`Channel::verify`] refuses it. None for
    /// every other request.
    ///
    /// Anybody may ask, so a channel signs here only what can never be a message that the same secret proves.
    fn challenge(&self, _request: &RawRequest) -> Option<Reply> {
        None
    }

    /// The exact bytes of an answer in this platform's words. Some platforms want a number of their request back:
    /// success is only ever told to a request, which is then given.
    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply;

    /// Did the application's script say what this platform waits for? `to` is what the script was given, where it is
    /// known.
    fn is_ack(&self, reply: &AppReply<'_>, to: Option<&RawRequest>) -> AckMatch;

    /// Every field of a message that was proven before, as text, in the message's own order: for people and
    /// applications, never for decisions. Verifies nothing. Empty when it cannot be read (any more), for
    /// instance when the key that opens it has gone.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)>;

    /// What of a proven request's query is the platform's own word, so that an application needs it: the pairs under
    /// the signature and the signature itself, in their order, each as it was written, joined by `&`. None when nothing of
    /// the message stands there. What else is in a query anyone could have added.
    fn signed_query(&self, _proven: &RawRequest) -> Option<String> {
        None
    }

    /// The names of pairs that [`Channel::signed_query`] may give, as far as they are known before a message comes.
    fn query_names(&self) -> Vec<&str> {
        Vec::new()
    }

    /// How old a message may be when its window is the configuration's and not its platform's; none when no age
    /// is too old, or the platform says it.
    fn freshness(&self) -> Option<Duration> {
        None
    }

    /// The values under the signature, where it covers these alone: the rest of such a message is anybody's word, and who
    /// is brought the whole must be told so. Empty where everything that is brought on is covered.
    fn signed_alone(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What stands for a message under its signature where that is no cryptographic digest, and the platform is not asked
    /// either: whoever has seen one such message can put another under the same signature. None where all is well.
    fn checksum(&self) -> Option<&'static str> {
        None
    }

    /// Public facts about the configured keys (fingerprints, sizes, expiry), for people.
    fn keys(&self) -> Vec<KeyNote>;

    /// How the platform is asked for a key that [`Verdict::NeedsKey`] names; none when the platform has no such
    /// way, or this channel is not configured for it.
    fn key_source(&self) -> Option<&dyn KeySource> {
        None
    }

    /// How the platform is asked about what a [`Verdict::Hint`] names; none when this channel gives no hints. A channel
    /// that gives some and has none here refuses them.
    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        None
    }

    /// Whether every message of this channel is a [`Verdict::Hint`], so that nothing of it can be told before the reply.
    fn gives_only_hints(&self) -> bool {
        false
    }

    /// What signs this channel's requests afresh with a private key of the gateway's own.
    ///
    /// # Errors
    /// [`SettingsError`] of the setting `resign_key`: `not_supported` where the platform's scheme has no public
    /// half that an application could be given, else what is wrong with the key.
    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        let error = SettingsError::new(resign::SETTING, "not_supported");
        Err(if key.is_empty() { error.because("empty") } else { error })
    }
}

/// How much a request looks like a channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// Another protocol.
    No,
    /// This protocol, but ids that are not this channel's.
    Shape,
    /// This protocol, and the ids are this channel's (or the message carries none).
    Merchant,
}

/// What verification found.
#[derive(Debug)]
pub enum Verdict {
    /// Proven.
    Genuine(Proven<Notification>),
    /// Unproven by design of the protocol; only says "go and ask".
    Hint(Hint),
    /// Refused, with the reason that stays inside.
    Refused(Rejection),
    /// Could be genuine; the key that it names must be fetched first.
    NeedsKey(KeyRequest),
}

/// A key that the platform must be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The platform's serial of the key.
    pub serial: String,
}

/// Why a request was refused. The text for people is in the catalogues under `rejection.<word>`;
/// nothing of it is ever sent to the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Rejection {
    /// The protocol uses another method.
    #[error("method {method} is not this platform's")]
    Method {
        /// What came.
        method: String,
    },
    /// The body is not of the type that the protocol uses.
    #[error("media type `{media_type}` is not this platform's")]
    MediaType {
        /// What came, bounded.
        media_type: String,
    },
    /// Nothing in the body.
    #[error("the body is empty")]
    Empty,
    /// Larger than any genuine message.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More fields than any genuine message.
    #[error("the body has more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// A field or header that the protocol needs is not there.
    #[error("`{field}` is missing")]
    Missing {
        /// The platform's field or header.
        field: String,
    },
    /// A field or header that cannot be read.
    #[error("`{field}` is unreadable")]
    Malformed {
        /// The platform's field or header, or `body`.
        field: String,
    },
    /// A parameter was given twice, so that two readers could see two messages.
    #[error("`{field}` was given twice")]
    #[serde(rename = "duplicate_field")]
    Duplicate {
        /// The platform's field.
        field: String,
    },
    /// A parameter that the signature does not cover stands beside those that it covers: it belongs to the merchant's
    /// own address, or somebody added it.
    #[error("`{field}` is not signed, and stands beside what is")]
    Unsigned {
        /// The parameter.
        field: String,
    },
    /// Bytes that are no text in the declared charset.
    #[error("the body is not valid {charset}")]
    Charset {
        /// The declared charset.
        charset: String,
    },
    /// Ids that are not this channel's.
    #[error("`{field}` names a merchant or application that is not this channel's")]
    UnknownMerchant {
        /// The platform's field.
        field: String,
    },
    /// The message asks for an algorithm that the channel does not allow.
    #[error("signature algorithm `{algorithm}` is not allowed by the configuration")]
    Algorithm {
        /// What came, bounded.
        algorithm: String,
    },
    /// Signed by a key that is not configured.
    #[error("key `{serial}` is not known")]
    UnknownKey {
        /// What came, bounded.
        serial: String,
    },
    /// The signature does not match.
    #[error("the signature does not match")]
    Signature,
    /// Outside the protocol's time window.
    #[error("the message's time lies {seconds} s from ours")]
    Stale {
        /// Positive when the message is old.
        seconds: i64,
    },
    /// The platform's own deliberate test with a wrong signature.
    #[error("the platform's probe with a deliberately wrong signature")]
    Probe,
    /// Genuine, but it cannot be decrypted with the key that is configured here.
    #[error("genuine, but the configured key does not decrypt it")]
    Undecryptable,
    /// Sent from an address that the channel's list does not hold. Says nothing about the signature.
    #[error("the sender's address is not one of this channel's")]
    Source,
    /// No channel is called so.
    #[error("no channel is called `{name}`")]
    UnknownChannel {
        /// What came, bounded.
        name: String,
    },
    /// No configured channel recognises the request.
    #[error("no configured channel recognises the request")]
    Unrecognised,
    /// Several channels recognise the request equally well.
    #[error("several channels recognise the request: {}", candidates.join(", "))]
    Ambiguous {
        /// Ids of the channels.
        candidates: Vec<String>,
    },
}

impl Rejection {
    /// The stable word: metric label and key of the text for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Method { .. } => "method",
            Self::MediaType { .. } => "media_type",
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::TooManyFields { .. } => "too_many_fields",
            Self::Missing { .. } => "missing",
            Self::Malformed { .. } => "malformed",
            Self::Duplicate { .. } => "duplicate_field",
            Self::Unsigned { .. } => "unsigned",
            Self::Charset { .. } => "charset",
            Self::UnknownMerchant { .. } => "unknown_merchant",
            Self::Algorithm { .. } => "algorithm",
            Self::UnknownKey { .. } => "unknown_key",
            Self::Signature => "signature",
            Self::Stale { .. } => "stale",
            Self::Probe => "probe",
            Self::Undecryptable => "undecryptable",
            Self::Source => "source",
            Self::UnknownChannel { .. } => "unknown_channel",
            Self::Unrecognised => "unrecognised",
            Self::Ambiguous { .. } => "ambiguous",
        }
    }
}

/// Every word of [`Rejection::word`]; the catalogues hold a text for each.
pub const REJECTION_WORDS: &[&str] = &[
    "method",
    "media_type",
    "empty",
    "too_large",
    "too_many_fields",
    "missing",
    "malformed",
    "duplicate_field",
    "unsigned",
    "charset",
    "unknown_merchant",
    "algorithm",
    "unknown_key",
    "signature",
    "stale",
    "probe",
    "undecryptable",
    "source",
    "unknown_channel",
    "unrecognised",
    "ambiguous",
];

/// Longest piece of a hostile request that goes into a rejection, in characters.
pub const QUOTE_CHARS_MAX: usize = 64;

/// A piece of a hostile request, cut and without control characters, for a rejection or a log.
pub fn quote(text: &str) -> String {
    let mut quoted: String =
        text.chars().take(QUOTE_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(QUOTE_CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}

/// What happened to a request, as far as the answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Genuine, and committed to disk.
    Stored,
    /// Genuine, and committed before.
    Repeated,
    /// Genuine and committed, but a person must look: unreadable, unknown, contradicting or for another payee.
    Held,
    /// It proves nothing and only names something to ask about, which is committed.
    Hinted,
    /// The platform checked the address and heard what [`Channel::challenge`] has for it, in place of this table's answer.
    Challenged,
    /// Genuine, but it cannot be decrypted here.
    Undecryptable,
    /// The key could not be fetched in time.
    KeyUnavailable,
    /// Disk full, database away, overload, shutting down.
    Busy,
    /// Forged, stale, malformed, unknown.
    Refused,
    /// The application's confirmation is part of the answer and has not come yet.
    NotYet,
}

impl Cause {
    /// Every cause.
    pub const ALL: &[Self] = &[
        Self::Stored,
        Self::Repeated,
        Self::Held,
        Self::Hinted,
        Self::Challenged,
        Self::Undecryptable,
        Self::KeyUnavailable,
        Self::Busy,
        Self::Refused,
        Self::NotYet,
    ];

    /// The table: what the platform is told. Repeating helps only where the answer is a failure.
    pub fn answer(self) -> Answer {
        match self {
            Self::Stored | Self::Repeated | Self::Held | Self::Hinted | Self::Challenged => Answer::Success,
            Self::Undecryptable | Self::KeyUnavailable | Self::Refused => Answer::Failure(Failure::Refused),
            Self::Busy => Answer::Failure(Failure::Busy),
            Self::NotYet => Answer::Failure(Failure::NotYet),
        }
    }
}

/// What we decided to tell the platform. [`Channel::answer`] turns it into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Understood: do not repeat it.
    Success,
    /// Repeat it later.
    Failure(Failure),
}

impl Answer {
    /// Every answer.
    pub const ALL: &[Self] =
        &[Self::Success, Self::Failure(Failure::Refused), Self::Failure(Failure::Busy), Self::Failure(Failure::NotYet)];
}

/// Kinds of failure that platforms can tell apart, mostly by status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// We do not accept it.
    Refused,
    /// We cannot at the moment.
    Busy,
    /// It is kept, and not confirmed yet.
    NotYet,
}

/// Public facts about a configured key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNote {
    /// What it is for, in the platform's words.
    pub label: String,
    /// Algorithm and size.
    pub algorithm: String,
    /// SHA-256 of the public key's SPKI, hexadecimal, or a certificate serial; never of a secret.
    pub fingerprint: Option<String>,
    /// When it ends, for certificates.
    pub not_after: Option<Timestamp>,
}

/// A sender's ladder: the gaps between its attempts.
pub type Ladder = &'static [Duration];

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Shape => "shape",
            Self::Merchant => "merchant",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_answers_is_pinned() {
        let refused = Answer::Failure(Failure::Refused);
        let expected = [
            (Cause::Stored, Answer::Success),
            (Cause::Repeated, Answer::Success),
            (Cause::Held, Answer::Success),
            (Cause::Hinted, Answer::Success),
            (Cause::Challenged, Answer::Success),
            (Cause::Undecryptable, refused),
            (Cause::KeyUnavailable, refused),
            (Cause::Busy, Answer::Failure(Failure::Busy)),
            (Cause::Refused, refused),
            (Cause::NotYet, Answer::Failure(Failure::NotYet)),
        ];
        assert_eq!(expected.len(), Cause::ALL.len());
        for (cause, answer) in expected {
            assert_eq!(cause.answer(), answer, "{cause:?}");
        }
    }

    #[test]
    fn quotes_are_bounded_and_tame() {
        assert_eq!(quote("a\r\nb\0"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(quote(&"中".repeat(1000)).chars().count(), QUOTE_CHARS_MAX + 1);
    }
}
