//! Hints: numbers that somebody named and that the platform is asked about, each once however often it is named.
//!
//! Anybody can name numbers. So what is open has bounds for each network and for each channel, and networks take turns:
//! those whose numbers the platform knew first, new ones beside them, those that mostly named what does not exist last.
//! What was accepted is never thrown away unasked, because the platform was told "success" and will not repeat it; who
//! finds no room is told "busy".

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tollbell_channels::channel::{Hint, HintNumber};
use tollbell_channels::model::Timestamp;

use super::{Arrival, Error, LeaseToken, NotificationId, Stored};

/// The numbers to ask about.
#[async_trait]
pub trait Hints: Send + Sync {
    /// Keeps a hint, and returns after the commit is on disk.
    async fn note_hint(&self, told: Told) -> Result<Noted, Error>;

    /// Leases the hint of a channel whose turn it is: of the first class in the list that has one due.
    async fn claim_hint(&self, claim: HintClaim) -> Result<HintClaimed, Error>;

    /// Ends a question: stores what the answer brought, as an arriving callback is stored, and moves the hint on, in
    /// one transaction. When the lease is no longer held, only what the answer brought is stored.
    async fn end_hint(&self, end: HintEnd) -> Result<HintEnded, Error>;

    /// Gives back a lease under which there was no answer: the hint is due at once.
    async fn release_hint(&self, channel: &str, number: &HintNumber, token: LeaseToken) -> Result<(), Error>;

    /// Hints, the open ones first, in the order in which they are due.
    async fn hints(&self, filter: HintFilter) -> Result<Vec<HintRecord>, Error>;

    /// How many hints of each channel are open, and since when.
    async fn hint_backlog(&self) -> Result<Vec<HintBacklog>, Error>;

    /// What asking about the hints of a channel came to, counted over all that are remembered.
    async fn hint_sums(&self, channel: &str) -> Result<HintSums, Error>;

    /// Changes whenever a hint became due. A lost wake-up costs latency, never data.
    fn hint_wakes(&self) -> watch::Receiver<u64>;
}

/// A hint as it came.
#[derive(Clone, Debug)]
pub struct Told {
    /// The channel's id.
    pub channel: String,
    /// What it names.
    pub hint: Hint,
    /// Who sent it.
    pub source: Option<IpAddr>,
    /// When.
    pub at: Timestamp,
    /// Least time between two questions about one number.
    pub gap: Duration,
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It will be asked about.
    Kept,
    /// It was going to be asked about anyway.
    Again,
    /// The platform said a moment ago that it does not know the number: it will be asked again when that may have changed.
    Unknown,
    /// There is no room: the sender must come again.
    Full,
}

impl Noted {
    /// The stable word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Again => "again",
            Self::Unknown => "unknown",
            Self::Full => "full",
        }
    }

    /// Every one.
    pub const ALL: &[Self] = &[Self::Kept, Self::Again, Self::Unknown, Self::Full];
}

/// On what ground a hint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The sender knew the channel's secret, the platform knew the number before, or it knew most of what this network
    /// named.
    Proven,
    /// Nothing is known of the network yet.
    New,
    /// The platform did not know most of what this network named.
    Doubtful,
}

impl Ground {
    /// Every one.
    pub const ALL: &[Self] = &[Self::Proven, Self::New, Self::Doubtful];

    /// What a network's history makes of it.
    pub fn of(known: u32, unknown: u32) -> Self {
        match (known, unknown) {
            (0, 0) => Self::New,
            (known, unknown) if known > unknown => Self::Proven,
            _ => Self::Doubtful,
        }
    }

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::New => "new",
            Self::Doubtful => "doubtful",
        }
    }
}

/// Which hint to lease.
#[derive(Clone, Debug)]
pub struct HintClaim {
    /// The channel's id.
    pub channel: String,
    /// The grounds that may be asked now, the first to be looked at first.
    pub grounds: Vec<Ground>,
    /// Now.
    pub now: Timestamp,
    /// How long the lease lasts.
    pub lease: Duration,
    /// Whether leases that still run count as over: who held them has died, because there is one who asks for a channel.
    /// A question that is asked twice does no harm.
    pub takes_over: bool,
}

/// What a claim found.
#[derive(Debug)]
pub enum HintClaimed {
    /// One to ask about.
    Leased(LeasedHint),
    /// None is due: the next is at this time, if there is any, on whatever ground.
    Nothing(Option<Timestamp>),
}

/// A hint under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedHint {
    /// What it names.
    pub number: HintNumber,
    /// What `end_hint` must show.
    pub token: LeaseToken,
    /// When the lease ends.
    pub until: Timestamp,
    /// On what ground it stands.
    pub ground: Ground,
    /// Questions since it became due, this one included.
    pub asks: u32,
    /// Failures in a row before this question.
    pub failures: u32,
    /// Answers since it was opened by which the platform did not know it.
    pub misses: u32,
    /// Whether somebody named it whose word was worth something before, or the platform knew it once: when it does not know
    /// it now, that may be its fault, or the credential's.
    pub is_trusted: bool,
    /// When it was named first.
    pub first_at: Timestamp,
}

/// The end of a question.
#[derive(Debug)]
pub struct HintEnd {
    /// The channel's id.
    pub channel: String,
    /// The hint.
    pub number: HintNumber,
    /// The lease's token.
    pub token: LeaseToken,
    /// Now.
    pub now: Timestamp,
    /// Least time between two questions about one number.
    pub gap: Duration,
    /// What was learned.
    pub learned: Learned,
    /// The stable word of how it ended, for people.
    pub outcome: &'static str,
    /// When to ask again; none when there is nothing more to ask until it is named again.
    pub again: Option<Timestamp>,
    /// When to ask again, if at all, where the answer told what was known, or confirmed not all that waits for it: what it
    /// was read from may lag behind.
    pub if_late: Option<Timestamp>,
}

/// What an answer says about a number.
#[derive(Debug)]
pub enum Learned {
    /// The platform knows it, and something happened.
    Told(Box<Arrival>),
    /// The platform knows it, and nothing happened that anybody should be told.
    Nothing,
    /// The platform does not know it.
    Unknown,
    /// There was no answer that says anything.
    NoAnswer,
}

/// What ending a question did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintEnded {
    /// Whether the lease was still held.
    pub was_held: bool,
    /// What became of the notification, where the answer brought one.
    pub stored: Option<Stored>,
}

/// The state of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HintState {
    /// To be asked about at its time.
    Due,
    /// Being asked about.
    Asking,
    /// Answered; a new question begins when it is named again.
    Answered,
    /// Not known to the platform; not asked again for a while.
    Unknown,
}

impl HintState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Due, Self::Asking, Self::Answered, Self::Unknown];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Asking => "asking",
            Self::Answered => "answered",
            Self::Unknown => "unknown",
        }
    }
}

/// A stored hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintRecord {
    /// The channel's id.
    pub channel: String,
    /// What it names.
    pub number: String,
    /// Its state.
    pub state: HintState,
    /// On what ground it stands.
    pub ground: Ground,
    /// When it is due, its lease ends, or it is forgotten.
    pub due_at: Timestamp,
    /// How often it was named, about.
    pub told: u32,
    /// Questions since it became due.
    pub asks: u32,
    /// Failures in a row.
    pub failures: u32,
    /// When it was named first.
    pub first_at: Timestamp,
    /// When it was named last.
    pub last_at: Timestamp,
    /// When it was asked about last.
    pub asked_at: Option<Timestamp>,
    /// How the last question ended; empty when there was none.
    pub outcome: String,
    /// The notification that an answer brought last.
    pub notification: Option<NotificationId>,
}

/// Which hints.
#[derive(Clone, Debug, Default)]
pub struct HintFilter {
    /// Of this channel.
    pub channel: Option<String>,
    /// In this state.
    pub state: Option<HintState>,
    /// With this number.
    pub number: Option<String>,
    /// At most so many, up to [`super::PAGE_MAX`].
    pub limit: usize,
}

/// Open hints of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintBacklog {
    /// The channel's id.
    pub channel: String,
    /// Due or being asked.
    pub open: u64,
    /// Those of them that wait for an answer and may well be genuine: without what was answered since it was named last,
    /// and without what strangers named whose message does not prove itself or whose numbers mostly do not exist.
    pub owed: u64,
    /// Since when the one that waits longest has had no answer, of those that were asked in vain, or were not asked although
    /// they stand on proven ground.
    pub oldest_at: Option<Timestamp>,
}

/// What asking about the hints of a channel came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HintSums {
    /// Numbers of which the platform told what happened.
    pub told: u64,
    /// Numbers about which the last question had no answer.
    pub unanswered: u64,
    /// Numbers that the platform does not know, whoever named them.
    pub unknown: u64,
    /// Those of them that stand on [`Ground::Proven`]: whoever named them knows the channel's secret, or has named
    /// numbers before that exist.
    pub unknown_proven: u64,
}

/// Open hints of a channel from which on nothing new is taken from networks that proved nothing.
pub const OPEN_STRANGERS_MAX: i64 = 20_000;
/// Open hints of a channel from which on nothing new is taken at all: two hours of questions at four a second, which
/// is how long an interface may be away.
pub const OPEN_MAX: i64 = 40_000;
/// Open hints of a channel from which on only senders that know its secret are heard.
pub const OPEN_UNVOUCHED_MAX: i64 = 36_000;
/// Places that any network has. Whoever names what does not exist from one network fills no more than these.
pub const PLACES_OF_NETWORK: u32 = 32;
/// Places that a network has beside them for each number by which the known ones outweigh the unknown ones.
pub const PLACES_PER_KNOWN: u32 = 32;
/// Answered numbers of a channel that are remembered, with those that do not exist.
pub const CLOSED_MAX: i64 = 50_000;
/// Networks of a channel that are remembered; beyond it new ones share one.
pub const NETWORKS_MAX: i64 = 20_000;
/// From this sum on the counts of a network are halved.
pub const HISTORY_MAX: u32 = 1024;
/// How long a number that the platform does not know is not asked again, whoever names it on no good ground.
pub const UNKNOWN_FOR: Duration = Duration::from_mins(10);
/// How long an answered number is remembered, and one that does not exist is shown to people.
pub const ANSWERED_FOR: Duration = Duration::from_hours(7 * 24);
/// How long something open is kept without being named again. Nobody asked for it all that time: the channel is gone, or
/// its credential was never mended.
pub const OPEN_FOR: Duration = Duration::from_hours(90 * 24);
/// How long something open is kept that strangers named and that was asked in vain all the time: no platform repeats its
/// messages much longer, so neither would a genuine sender have waited.
pub const OPEN_STRANGERS_FOR: Duration = Duration::from_hours(72);
/// How long before it is forgotten something open is found to be over, so that a clock that jumps loses nothing at once.
pub const SILENT_FOR: Duration = Duration::from_hours(24);
/// After this time without a question a number counts as quiet again.
pub const QUIET_AFTER: Duration = Duration::from_hours(1);
/// Longest wait that being asked too often makes.
pub const BUSY_WAIT_MAX: Duration = Duration::from_mins(10);
/// Longest wait that anything plans: what lies further ahead was planned by a clock that has been set back.
pub const WAIT_MAX: Duration = Duration::from_hours(7);

/// Places that a network may have taken.
pub fn places(known: u32, unknown: u32) -> u32 {
    PLACES_OF_NETWORK.saturating_add(PLACES_PER_KNOWN.saturating_mul(known.saturating_sub(unknown)))
}

/// How long after the last question a number that is named again has to wait: longer each time, as long as it is not
/// left in peace.
pub fn busy_wait(gap: Duration, busy: u32) -> Duration {
    gap.saturating_mul(1 << busy.min(16)).min(BUSY_WAIT_MAX.max(gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_earns_its_places() {
        assert_eq!(places(0, 0), PLACES_OF_NETWORK);
        assert_eq!(places(1, 0), PLACES_OF_NETWORK + PLACES_PER_KNOWN);
        assert_eq!(places(1, 1), PLACES_OF_NETWORK);
        assert_eq!(places(5, 900), PLACES_OF_NETWORK);
        assert_eq!(Ground::of(0, 0), Ground::New);
        assert_eq!(Ground::of(1, 0), Ground::Proven);
        assert_eq!(Ground::of(1, 1), Ground::Doubtful);
        assert_eq!(Ground::of(0, 1), Ground::Doubtful);
    }

    #[test]
    fn who_asks_too_often_waits_longer() {
        let gap = Duration::from_secs(5);
        assert_eq!([0, 1, 3].map(|busy| busy_wait(gap, busy).as_secs()), [5, 10, 40]);
        assert_eq!(busy_wait(gap, u32::MAX), BUSY_WAIT_MAX);
        assert_eq!(busy_wait(Duration::from_hours(2), 3), Duration::from_hours(2));
    }
}
