//! Where events are delivered: one file a kind of target, and this list of them.
//!
//! A target takes envelopes and a deadline and says, for each, what happened. It knows neither the inbox
//! nor the schedule; whether and when to try again is `deliver`'s business.

mod answer;
mod diagnosis;
mod event;
pub mod fastcgi;
mod forwarded;
pub mod http;
mod success;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tollbell_channels::model::{AckMatch, AppReply, Environment, EventKind, Money, RawRequest, Timestamp};
use tollbell_channels::settings::{Setting, Settings, SettingsError, Text};

/// Delivers envelopes; one result for each, in their order.
#[async_trait]
pub trait Target: Send + Sync {
    /// Tries once. Returns before `deadline`; what the application still does then is `Unknown`.
    async fn deliver(&self, envelopes: &[Envelope], deadline: Instant) -> Vec<Attempted>;

    /// What this target needs from the schedule.
    fn demands(&self) -> Demands;

    /// Ends kept connections; no delivery is running any more.
    async fn close(&self) {}
}

/// What a target needs from the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Raw: one delivery a notification. Event: one delivery an event.
    pub format: Format,
    /// Most deliveries at once.
    pub concurrency: usize,
    /// Longest time of one attempt, from connecting to the last byte.
    pub attempt_timeout: Duration,
    /// Shortest wait after an attempt whose result is unknown: the application's own limit, after which
    /// it cannot still be running.
    pub wait_after_unknown: Duration,
}

/// What a target's confirmation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// The application has processed the event.
    Application,
    /// A broker has taken it; whether an application ever sees it is not known here.
    Broker,
}

/// What a target is brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The original request, once for each notification that brought something new.
    Raw,
    /// The unified event, once for each event.
    Event,
}

impl Format {
    /// The stable text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Event => "event",
        }
    }

    /// Reads the stable text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "raw" => Some(Self::Raw),
            "event" => Some(Self::Event),
            _ => None,
        }
    }
}

/// Reads what of a request's query the platform signed; none where nothing of its message stands there.
pub type SignedQuery = Arc<dyn Fn(&RawRequest) -> Option<String> + Send + Sync>;

/// One delivery, with all that a target may need.
#[derive(Clone)]
pub struct Envelope {
    /// `dlv_…`
    pub delivery: String,
    /// 1 for the first try.
    pub attempt: u32,
    /// `ntf_…`
    pub notification: String,
    /// The merchant.
    pub merchant: Arc<str>,
    /// The channel's id.
    pub channel: Arc<str>,
    /// Live or sandbox.
    pub environment: Environment,
    /// How we came to know: `callback`, later `poll`, `bill`, `replay`.
    pub origin: &'static str,
    /// The events: exactly one for [`Format::Event`], at least one for [`Format::Raw`].
    pub events: Vec<EventView>,
    /// The original request, byte for byte. `None` when its retention has passed: then only events go out.
    pub request: Option<RawRequest>,
    /// What of a request's query is the platform's own word, read when it is needed: the application needs that, whatever
    /// the target says about queries.
    pub signed_query: SignedQuery,
    /// When this attempt began.
    pub attempted_at: Timestamp,
    /// Every field of the platform's message as text, read when it is needed: some platforms encrypt it.
    /// Nothing when the request is gone, or cannot be read any more.
    pub fields: Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>,
    /// Does an application's answer say what the channel's platform waits for?
    pub is_ack: Arc<dyn Fn(&AppReply<'_>) -> AckMatch + Send + Sync>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("delivery", &self.delivery)
            .field("attempt", &self.attempt)
            .field("notification", &self.notification)
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// An event, as an application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// `evt_…`: the same on every attempt and replay; what an application dedupes by.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// The merchant's order number.
    pub order_no: Option<String>,
    /// The platform's number.
    pub platform_no: Option<String>,
    /// The amount of this one event, where it is known.
    pub amount: Option<Money>,
    /// The running total that the platform states, where it does (refunds).
    pub total: Option<Money>,
    /// When it happened, by the platform.
    pub occurred_at: Option<Timestamp>,
    /// When we stored it.
    pub recorded_at: Timestamp,
}

/// What an attempt did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The application confirmed.
    Delivered,
    /// Not confirmed; try later.
    RetryLater {
        /// Why.
        reason: Reason,
        /// Not before this long, when the other side said so.
        after: Option<Duration>,
    },
    /// Trying again cannot help.
    Declined {
        /// Why.
        reason: Reason,
    },
    /// Our deadline passed or the connection broke after the request was out: the application may have
    /// done the work, or may still be doing it.
    Unknown {
        /// Why.
        reason: Reason,
    },
}

/// A named reason with what was seen. The text for people, with its cure, is in the catalogues under
/// `outcome.<word>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The stable word.
    pub word: &'static str,
    /// What was seen: bounded by [`DETAIL_CHARS_MAX`], without control characters, never a secret.
    pub detail: String,
}

/// Longest detail of a reason, in characters: enough for a PHP error line.
pub const DETAIL_CHARS_MAX: usize = 400;

impl Reason {
    /// A reason whose detail is cut and cleaned.
    pub fn new(word: &'static str, detail: &str) -> Self {
        Self { word, detail: clean(detail, DETAIL_CHARS_MAX) }
    }
}

/// Cuts text from outside and makes its control characters visible.
pub fn clean(text: &str, chars_max: usize) -> String {
    let mut cleaned: String = text
        .chars()
        .take(chars_max)
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(chars_max).is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// An attempt with what was seen on the way, for the attempt's row.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// What it did.
    pub outcome: Outcome,
    /// Things a person should know though it worked, or beside the failure: a byte order mark around the
    /// word, a PHP warning on stderr.
    pub notes: Vec<Reason>,
    /// The application's status code, where it has one.
    pub status: Option<u16>,
    /// The first bytes of its answer, as text.
    pub body_head: String,
    /// What it wrote to its error stream.
    pub stderr: String,
}

impl Attempted {
    /// An attempt that ended before the application answered.
    pub fn without_answer(outcome: Outcome) -> Self {
        Self { outcome, notes: Vec::new(), status: None, body_head: String::new(), stderr: String::new() }
    }
}

/// A kind of target, describing itself.
#[derive(Debug)]
pub struct Kind {
    /// The word in `kind = "…"`.
    pub kind: &'static str,
    /// Its name for people.
    pub name: Text,
    /// Its settings, in the order in which they are shown.
    pub settings: &'static [Setting],
    /// What its confirmation means.
    pub confirmation: Confirmation,
    /// Every word of the reasons that it gives; the catalogues hold a text for each.
    pub reasons: &'static [&'static str],
    /// What a careful operator would add to these settings; the catalogues hold a text for each under
    /// `advice.<word>`.
    pub advise: fn(&Settings) -> Vec<Advice>,
    /// Every word that [`Kind::advise`] may give.
    pub advice: &'static [&'static str],
    /// The query of the target's own address as it is for a channel; none where it has none, or brings events.
    pub own_query: fn(&Settings, channel: &str) -> Option<OwnQuery>,
    /// Builds a target. Opens nothing.
    pub build: fn(&Settings) -> Result<Arc<dyn Target>, SettingsError>,
}

/// The query of a target's own address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnQuery {
    /// The setting that it stands in.
    pub setting: &'static str,
    /// The query. It may hold a token: not for logs.
    pub query: String,
}

impl OwnQuery {
    /// The first of these names that the query has too, as any reader would take it.
    pub fn clash<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        forwarded::clash(&self.query, names)
    }
}

/// A setting that would make a working target safer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The setting.
    pub setting: &'static str,
    /// The stable word.
    pub word: &'static str,
}

/// A setting that is a time above zero and up to `most`.
fn duration(
    settings: &Settings,
    name: &'static str,
    default: Duration,
    most: Duration,
) -> Result<Duration, SettingsError> {
    let value = settings.duration(name).unwrap_or(default);
    if value.is_zero() || value > most {
        return Err(SettingsError::new(name, "out_of_range").because(format!("{value:?}")));
    }
    Ok(value)
}

/// Every kind of target.
pub static KINDS: &[&Kind] = &[&fastcgi::KIND, &http::KIND];

/// The kind with this word.
pub fn by_kind(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.kind == kind)
}
