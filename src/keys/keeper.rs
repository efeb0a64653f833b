//! One channel and its keys.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tollbell_channels::channel::{Channel, FETCHED_KEYS_MAX, FetchedKey, KeyRefused, KeyRequest, KeySource};
use tollbell_channels::model::Timestamp;
use tracing::{info, warn};

use super::Parts;
use crate::inbox::rejections::Network;
use crate::stop::Stop;
use crate::telemetry::{ByChannel, ByKeyOutcome};

/// How long a callback waits for its key: shorter than any platform's patience (5 s), with room for the rest.
pub const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a download may take. It goes on when the callbacks that wanted it have left.
const DOWNLOAD_MAX: Duration = Duration::from_secs(15);
/// Callbacks of one channel that wait at the same time; further ones are told at once to come again.
pub(super) const WAITING_MAX: usize = 256;
/// Downloads for callbacks that one channel begins within [`DOWNLOADS_WITHIN`]. Serials are invented easily, and the
/// platform is not to suffer from it. While somebody floods us with invented ones from many networks, a genuine one may have to
/// wait for a repetition in a quieter minute, unless the platform hands out all keys at once.
const DOWNLOADS_MAX: usize = 5;
/// See [`DOWNLOADS_MAX`].
const DOWNLOADS_WITHIN: Duration = Duration::from_secs(30);
/// Of these, downloads for callbacks from one network: whoever floods from one leaves the others room for a key that is
/// really new.
const DOWNLOADS_OF_NETWORK_MAX: usize = 2;
/// How long a serial that the platform does not know is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_mins(5);
/// Unknown serials that are remembered. The limit on downloads lets no more of them come together; should it be changed,
/// nothing is asked for until some are forgotten.
const UNKNOWN_MAX: usize = 256;
/// The first wait after a renewal that failed; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// The longest wait after a renewal that failed.
const RETRY_MAX: Duration = Duration::from_hours(1);
/// Longest sleep between two looks at what is due: another key may have come, and a clock may have been set.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// The part of a wait by which it is made longer at most, so that nodes do not ask together.
const JITTER: f64 = 0.1;

/// One channel: as it is configured, and with the keys that its platform gave.
pub struct Keeper {
    id: Arc<str>,
    current: ArcSwap<Arc<dyn Channel>>,
    parts: Parts,
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Vec<FetchedKey>,
    flight: Option<Flight>,
    /// Serials that the platform does not know, and until when they are believed to be unknown.
    unknown: HashMap<String, Instant>,
    /// When downloads for callbacks began, and from which network they came.
    begun: VecDeque<(Instant, Network)>,
}

/// A download under way. It ends when its sender is dropped, however that happens.
#[derive(Clone)]
struct Flight {
    asked: Option<String>,
    end: watch::Receiver<()>,
}

impl Flight {
    fn is_over(&self) -> bool {
        self.end.has_changed().is_err()
    }

    async fn end(mut self) {
        while self.end.changed().await.is_ok() {}
    }
}

/// What a callback can do about its key.
enum Step {
    Known,
    Wait(Flight),
    GiveUp,
}

/// Why a download brought nothing.
enum Failure {
    Unreachable(String),
    Refused(KeyRefused),
    NothingToAsk,
}

impl Failure {
    fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(refused) => refused.word(),
            Self::NothingToAsk => "nothing_to_ask",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cause) => f.write_str(cause),
            Self::Refused(refused) => refused.fmt(f),
            Self::NothingToAsk => f.write_str("there is nothing to ask for"),
        }
    }
}

impl Keeper {
    /// The channel as it is configured.
    pub(super) fn new(id: Arc<str>, channel: Arc<dyn Channel>, parts: Parts) -> Self {
        Self {
            id,
            current: ArcSwap::from_pointee(channel),
            parts,
            places: Semaphore::new(WAITING_MAX),
            state: Mutex::default(),
        }
    }

    /// The channel with the keys that are known now. A request finishes on the one that it began with.
    pub fn channel(&self) -> Arc<dyn Channel> {
        Arc::clone(&self.current.load())
    }

    /// Whether the channel can ask its platform for keys.
    pub fn has_source(&self) -> bool {
        self.channel().key_source().is_some()
    }

    /// Waits for a key, at most [`WAIT_MAX`]; none when it did not come. One download serves all who wait.
    pub async fn wait(self: &Arc<Self>, needed: &KeyRequest, source: Option<IpAddr>) -> Option<Arc<dyn Channel>> {
        if !self.has_source() {
            return None;
        }
        let _place = self.places.try_acquire().ok()?;
        // Behind a proxy that says nothing about them, everybody comes from here.
        let network = Network::of(source.filter(|source| !source.to_canonical().is_loopback()));
        let by = Instant::now() + WAIT_MAX;
        let mut was_asked = false;
        loop {
            match self.step(needed, network, was_asked) {
                Step::Known => return Some(self.channel()),
                Step::GiveUp => return None,
                Step::Wait(flight) => {
                    was_asked = flight.asked.as_ref() == Some(&needed.serial);
                    timeout_at(by, flight.end()).await.ok()?;
                }
            }
        }
    }

    /// Decides under one lock, so that no two callbacks begin a download.
    fn step(self: &Arc<Self>, needed: &KeyRequest, network: Network, was_asked: bool) -> Step {
        let now = Instant::now();
        let mut state = self.lock();
        if state.known.iter().any(|key| key.serial == needed.serial) {
            return Step::Known;
        }
        if was_asked {
            return Step::GiveUp;
        }
        if let Some(flight) = state.flight.as_ref().filter(|flight| !flight.is_over()) {
            return Step::Wait(flight.clone());
        }
        state.unknown.retain(|_, until| *until > now);
        state.begun.retain(|(begun, _)| now.duration_since(*begun) < DOWNLOADS_WITHIN);
        if state.unknown.contains_key(&needed.serial) {
            return Step::GiveUp;
        }
        let of_network = state.begun.iter().filter(|(_, other)| network != Network::Any && *other == network).count();
        if state.begun.len() >= DOWNLOADS_MAX
            || of_network >= DOWNLOADS_OF_NETWORK_MAX
            || state.unknown.len() >= UNKNOWN_MAX
        {
            let labels = ByKeyOutcome { channel: self.id.clone(), outcome: "held_back" };
            self.parts.metrics.key_downloads.get_or_create(&labels).inc();
            return Step::GiveUp;
        }
        state.begun.push_back((now, network));
        Step::Wait(self.begin(&mut state, Some(needed.clone())).0)
    }

    /// Begins a download that nobody's leaving ends but the node's.
    fn begin(self: &Arc<Self>, state: &mut State, needed: Option<KeyRequest>) -> (Flight, watch::Receiver<bool>) {
        let (sender, end) = watch::channel(());
        let (told, success) = watch::channel(false);
        let flight = Flight { asked: needed.as_ref().map(|needed| needed.serial.clone()), end };
        state.flight = Some(flight.clone());
        let keeper = Arc::clone(self);
        let mut stop = self.parts.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                brought = keeper.download(needed) => drop(told.send_replace(brought)),
                () = stop.raised() => {}
            }
            drop(sender);
        });
        (flight, success)
    }

    /// One download, told in one line and one count. Says whether it brought keys.
    async fn download(&self, needed: Option<KeyRequest>) -> bool {
        let serial = needed.as_ref().map(|needed| needed.serial.as_str()).unwrap_or_default();
        let result = self.try_download(needed.as_ref()).await;
        let is_absent = match &result {
            Ok(keys) => needed.as_ref().is_some_and(|needed| keys.iter().all(|key| key.serial != needed.serial)),
            Err(failure) => matches!(failure, Failure::Refused(KeyRefused::Absent)),
        };
        let outcome = match &result {
            Ok(_) if is_absent => "absent",
            Ok(_) => "fetched",
            Err(failure) => failure.word(),
        };
        let labels = ByKeyOutcome { channel: self.id.clone(), outcome };
        self.parts.metrics.key_downloads.get_or_create(&labels).inc();
        if let Some(needed) = needed.as_ref().filter(|_| is_absent) {
            self.lock().unknown.insert(needed.serial.clone(), Instant::now() + UNKNOWN_FOR);
        }
        match result {
            Ok(keys) if is_absent => {
                warn!(channel = %self.id, serial, keys = keys.len(), "platform keys fetched; the needed one is not among them");
                true
            }
            Ok(keys) => {
                info!(channel = %self.id, serial, keys = keys.len(), "platform keys fetched");
                true
            }
            Err(failure) => {
                warn!(channel = %self.id, serial, outcome, why = %failure, "no platform key");
                false
            }
        }
    }

    /// Asks, believes or refuses, takes into use, keeps.
    async fn try_download(&self, needed: Option<&KeyRequest>) -> Result<Vec<FetchedKey>, Failure> {
        let channel = self.channel();
        let source = channel.key_source().ok_or(Failure::NothingToAsk)?;
        let mut chance = [0; 16];
        aws_lc_rs::rand::fill(&mut chance).map_err(|_| Failure::Unreachable("no random numbers".to_owned()))?;
        let ask = source.ask(needed, chance, (self.parts.clock)()).ok_or(Failure::NothingToAsk)?;
        let deadline = Instant::now() + DOWNLOAD_MAX;
        let answer = timeout_at(deadline, self.parts.fetch.fetch(ask, deadline))
            .await
            .map_err(|_| Failure::Unreachable("no answer in time".to_owned()))?
            .map_err(|error| Failure::Unreachable(error.cause))?;
        let now = (self.parts.clock)();
        let fetched = source.read(&answer, needed, now).map_err(Failure::Refused)?;
        let known = merge(source, fetched.clone(), &self.lock().known, now);
        let channel = source.with_keys(&known, now).map_err(Failure::Refused)?;
        self.take_into_use(channel, known.clone());
        if let Err(error) = self.parts.inbox.keep_platform_keys(&self.id, known, now).await {
            warn!(channel = %self.id, %error, "fetched platform keys are in use and could not be kept for a restart");
        }
        Ok(fetched)
    }

    /// Takes up the keys that were kept.
    pub(super) async fn load(&self) {
        let channel = self.channel();
        let found = super::with_kept(&self.id, &channel, &*self.parts.inbox, (self.parts.clock)()).await;
        if let Some((channel, known)) = found {
            self.take_into_use(channel, known);
        }
    }

    fn take_into_use(&self, channel: Arc<dyn Channel>, known: Vec<FetchedKey>) {
        if let Some(end) = known.iter().map(|key| key.not_after).max() {
            let by_channel = ByChannel { channel: self.id.clone() };
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double exactly for ages")]
            self.parts.metrics.platform_key_expires.get_or_create(&by_channel).set(end.as_second() as f64);
        }
        let mut state = self.lock();
        self.current.store(Arc::new(channel));
        state.known = known;
    }

    /// Renews keys before they are needed, until the stop signal.
    pub async fn renew(self: Arc<Self>, mut stop: Stop) {
        let mut failures = 0;
        loop {
            let wait = self.wait_until_due(failures);
            if !wait.is_zero() {
                if sleep_or_stop(wait, &mut stop).await {
                    return;
                }
                if !self.wait_until_due(0).is_zero() {
                    continue;
                }
            }
            let (flight, success) = self.begin_renewal();
            tokio::select! {
                () = flight.end() => {}
                () = stop.raised() => return,
            }
            // A callback's download that was under way may have been the renewal already.
            failures = match success {
                Some(success) if !*success.borrow() => failures + 1,
                _ => 0,
            };
        }
    }

    /// A renewal is a flight too: callbacks wait for it, and it does not begin beside another one.
    fn begin_renewal(self: &Arc<Self>) -> (Flight, Option<watch::Receiver<bool>>) {
        let mut state = self.lock();
        if let Some(flight) = state.flight.as_ref().filter(|flight| !flight.is_over()) {
            return (flight.clone(), None);
        }
        let (flight, success) = self.begin(&mut state, None);
        (flight, Some(success))
    }

    /// Zero when a renewal is due.
    fn wait_until_due(&self, failures: u32) -> Duration {
        let channel = self.channel();
        let now = (self.parts.clock)();
        let due = channel.key_source().and_then(|source| source.renew_at(&self.lock().known, now));
        let wait = due.map_or(LOOK_EVERY, |due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        let after_failure = match failures {
            0 => Duration::ZERO,
            failures => RETRY_FIRST.saturating_mul(1 << (failures - 1).min(16)).min(RETRY_MAX),
        };
        wait.min(LOOK_EVERY).max(after_failure).mul_f64(1.0 + JITTER * (self.parts.chance)())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("channel", &self.id).finish_non_exhaustive()
    }
}

/// The fetched keys, and beside them the older ones that still verify: a platform may sign with both for a while.
fn merge(source: &dyn KeySource, fetched: Vec<FetchedKey>, older: &[FetchedKey], now: Timestamp) -> Vec<FetchedKey> {
    let is_new = |key: &&FetchedKey| fetched.iter().all(|one| one.serial != key.serial);
    let older: Vec<FetchedKey> =
        older.iter().filter(is_new).filter(|key| source.check(key, now).is_ok()).cloned().collect();
    fetched.into_iter().chain(older).take(FETCHED_KEYS_MAX).collect()
}

/// Whether the stop signal came first.
async fn sleep_or_stop(wait: Duration, stop: &mut Stop) -> bool {
    tokio::select! {
        () = sleep(wait) => false,
        () = stop.raised() => true,
    }
}
