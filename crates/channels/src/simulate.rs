//! The platforms' other side: genuine callbacks made with throw-away keys, for tests, demos and training.
//!
//! Everything here signs with keys that it generated itself. A gateway accepts such a message only when
//! its channel was configured with the public half, which no real platform's channel is.

mod api;
pub(crate) mod certificate;
mod keys;

use std::fmt;

pub use api::{ApiConduct, ApiOffice, question};
pub use keys::{Conduct, KeyOffice};

use crate::model::{EventKind, RawRequest, Reply, Timestamp};
use crate::settings::{SettingValue, Settings};

/// A platform's other side with its own fresh keys and invented merchant.
pub trait OtherSide: Send + Sync {
    /// The settings of a channel that trusts this side, as `(name, value)`.
    fn settings(&self) -> Settings;

    /// The same settings as files and lines for a configuration: public material only, plus what the
    /// platform shares with the merchant.
    fn written_settings(&self) -> Vec<WrittenSetting>;

    /// The kinds of story that this side can tell.
    fn stories(&self) -> &'static [EventKind];

    /// A genuine callback.
    fn callback(&self, story: &Story) -> Genuine;

    /// The private half, so that a later run can continue with the same keys.
    fn export(&self) -> Vec<u8>;

    /// Takes keys that [`OtherSide::export`] wrote.
    ///
    /// # Errors
    /// A sentence when the bytes are not such an export.
    fn import(&mut self, exported: &[u8]) -> Result<(), String>;

    /// Whether its messages say whose they are, by an id that is the merchant's. Where none does, two merchants of the
    /// platform need an address each.
    fn names_merchant(&self) -> bool {
        true
    }

    /// Whether its messages about money say how much. Where none does, the merchant fixed it himself.
    fn states_amounts(&self) -> bool {
        true
    }

    /// Another side with fresh keys, which speaks as these settings of a channel say; none where the settings leave the
    /// platform's way of speaking as it is, so that this side speaks it already.
    fn fitted(&self, _: &Settings) -> Option<Box<dyn OtherSide>> {
        None
    }

    /// How it checks an address before it sends anything there, and what it wants to hear; none when it does not. Each
    /// `serial` is another question.
    fn challenge(&self, _serial: u64) -> Option<Challenge> {
        None
    }

    /// The part that hands out keys, with keys of its own; none when the platform has none.
    fn key_office(&self) -> Option<Box<dyn KeyOffice>> {
        None
    }

    /// The part that gives hints and answers questions about them, with a credential of its own; none when the platform
    /// gives no hints.
    fn api_office(&self) -> Option<Box<dyn ApiOffice>> {
        None
    }
}

/// A platform's check of an address.
#[derive(Clone)]
pub struct Challenge {
    /// What it asks.
    pub request: RawRequest,
    /// What it wants to hear, exactly.
    pub reply: Reply,
}

/// Makes callbacks that a configured channel accepts, signed with that channel's own secret.
pub trait Mirror: Send + Sync {
    /// The kinds of story that the configuration can tell.
    fn stories(&self) -> Vec<EventKind>;

    /// A callback as the configuration describes it.
    fn callback(&self, story: &Story) -> RawRequest;
}

/// One setting, as it is written down.
#[derive(Clone, Debug)]
pub struct WrittenSetting {
    /// The setting's name.
    pub name: &'static str,
    /// Its value.
    pub value: SettingValue,
    /// For key material: the file's name.
    pub file_name: Option<&'static str>,
}

/// What the callback shall say.
#[derive(Clone, Debug)]
pub struct Story {
    /// What happened.
    pub kind: EventKind,
    /// The merchant's order number.
    pub order_no: String,
    /// The order's amount in minor units.
    pub amount_minor: i64,
    /// For refunds: the total refunded so far, including this one.
    pub refunded_minor: i64,
    /// For refunds: the merchant's refund number.
    pub refund_no: Option<String>,
    /// Distinguishes callbacks of one order: another number, another notification id.
    pub serial: u64,
    /// When it happened and was sent.
    pub at: Timestamp,
    /// Extra text fields with odd values, where the protocol lets a merchant choose them.
    pub note: String,
    /// The path of the notify URL that the platform was given, for protocols that sign it; none for the usual one of
    /// the platform's kind.
    pub path: Option<String>,
}

impl Story {
    /// A payment.
    pub fn paid(order_no: &str, amount_minor: i64, at: Timestamp) -> Self {
        Self {
            kind: EventKind::PaymentSucceeded,
            order_no: order_no.to_owned(),
            amount_minor,
            refunded_minor: 0,
            refund_no: None,
            serial: 1,
            at,
            note: String::new(),
            path: None,
        }
    }
}

/// A genuine callback, and how its signature covers it, so that a suite without platform code can
/// damage it or re-encode it.
#[derive(Clone)]
pub struct Genuine {
    /// The callback.
    pub request: RawRequest,
    /// What the signature covers.
    pub cover: Cover,
}

/// How a signature covers a request.
#[derive(Clone, Debug)]
pub enum Cover {
    /// Decoded pairs of a name and a value.
    Pairs(PairCover),
    /// The exact body, and these headers.
    BodyAndHeaders {
        /// Names of headers under the signature.
        headers: &'static [&'static str],
        /// The header that carries the signature.
        signature: &'static str,
    },
    /// The exact body, and these headers; the signature's header says more than the signature.
    BodyAndWritten {
        /// Names of headers under the signature.
        headers: &'static [&'static str],
        /// The header that carries the signature.
        signature: &'static str,
        /// How the header is written.
        written: Written,
    },
    /// The exact body; the signature is a pair of the URL's query.
    BodyAndQuery {
        /// The name of that pair.
        signature: &'static str,
    },
    /// The exact body, and a time that stands in plain digits beside the hexadecimal signature, in one header:
    /// `t=1700000000,v1=0af3…`.
    BodyAndStamp {
        /// The header that carries both.
        signature: &'static str,
    },
    /// Nothing that the message says is believed: the platform is asked about the number that a covered pair is, and its
    /// answer is the proof.
    Asked {
        /// The number, and what else is covered by what vouches for it.
        pairs: PairCover,
        /// The header that carries what vouches for the number, where it stands in one.
        header: Option<&'static str>,
    },
}

/// How a header with signatures is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// What stands directly before each signature: `sha256=`, `v1,`.
    pub before: &'static str,
    /// What stands between two signatures, where there may be several.
    pub between: Option<&'static str>,
    /// Whether all of it is percent-encoded.
    pub is_percent_encoded: bool,
}

/// How a signature covers pairs.
#[derive(Clone, Copy, Debug)]
pub struct PairCover {
    /// Where they stand.
    pub carrier: Carrier,
    /// Which of them are covered.
    pub covered: Covered,
    /// The name of the signature's own pair; none where a covered value carries its own proof.
    pub signature: Option<&'static str>,
}

/// Where pairs stand in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A form in the body.
    Form,
    /// The URL's query; the body is empty.
    Query,
    /// The elements under the root of an XML document.
    Xml,
    /// The members of a JSON object.
    Json,
    /// The single values of a JSON document, however deep, named by their way there: `list/0/member`.
    JsonTree,
}

/// Which pairs a signature covers.
#[derive(Clone, Copy, Debug)]
pub enum Covered {
    /// All but these, sorted by name and joined to one text that escapes nothing.
    Joined {
        /// Names of pairs that are left out.
        but: &'static [&'static str],
        /// Whether a pair with an empty value counts as absent.
        empty_is_absent: bool,
    },
    /// These, each for itself, and no other.
    Each(&'static [&'static str]),
}

impl fmt::Debug for Challenge {
    /// Says that there is an answer, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge").field("request", &self.request).finish_non_exhaustive()
    }
}

impl fmt::Debug for Genuine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Genuine").field("request", &self.request).field("cover", &self.cover).finish()
    }
}
