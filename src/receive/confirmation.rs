//! Answers that wait for the application: success is told only when a target has confirmed in time. What is
//! told changes nothing about our own tries, which go on by their schedule.
//!
//! The notification is stored before anyone waits, and a repetition of it, or of its fact under another
//! notification, joins the wait for the same deliveries. Waiting is listening: the commit of an attempt's end
//! wakes exactly those who wait for it, with the state in hand; a look now and then makes up for what was missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tollbell_channels::model::Fact;

use crate::inbox::{self, DeliveryState, Inbox, Standing};
use crate::stop::Stop;
use crate::telemetry::Metrics;

/// When a channel's platform hears "success".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// As soon as the notification is committed.
    #[default]
    Stored,
    /// When this target has confirmed.
    Delivered {
        /// The target's id.
        target: Arc<str>,
        /// How long it may take, from the end of the request.
        within: Duration,
    },
}

/// What waiting has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Nothing stands between the platform and "success": confirmed, skipped, dropped, or never meant for
    /// that target.
    Done,
    /// A person must look at it, so repeating does not help.
    Held,
    /// Not confirmed.
    NotYet(Why),
    /// Too many wait already.
    Full,
}

/// Why success is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The time is over.
    Late,
    /// The delivery was given up; a person may replay it.
    Dead,
    /// The node is stopping.
    Stopping,
}

impl Why {
    /// The stable word: a label of metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Dead => "dead",
            Self::Stopping => "stopping",
        }
    }
}

/// Answers of one channel that may wait at once: a shop that hangs keeps so many connections of its platform
/// open, and those of other channels go on.
pub const WAITERS_PER_CHANNEL_MAX: usize = 256;
/// Answers that may wait at once in all: a tenth of the connections that a node takes by default.
pub const WAITERS_MAX: usize = 1024;
/// Longest time between two looks of one who waits. An end that this node commits is told at once; the look
/// is for ends that came another way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The answers that wait.
#[derive(Debug)]
pub struct Waiters {
    stop: Stop,
    gauge: Gauge,
    per_channel_max: usize,
    all_max: usize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    all: usize,
    by_channel: HashMap<Arc<str>, usize>,
}

/// One that waits; dropped when it is over, or when its client has gone.
#[derive(Debug)]
struct Place<'w> {
    waiters: &'w Waiters,
    channel: Arc<str>,
}

impl Waiters {
    /// Nobody waits yet. The stop signal ends every wait.
    pub fn new(stop: Stop, metrics: &Metrics) -> Self {
        Self::with_limits(stop, metrics, WAITERS_PER_CHANNEL_MAX, WAITERS_MAX)
    }

    fn with_limits(stop: Stop, metrics: &Metrics, per_channel_max: usize, all_max: usize) -> Self {
        Self { stop, gauge: metrics.waiting_answers.clone(), per_channel_max, all_max, places: Mutex::default() }
    }

    /// Waits until the target has confirmed what stands for these facts, up to `until`. Answers at once
    /// when nothing is to be waited for.
    ///
    /// # Errors
    /// When the inbox cannot be read.
    pub async fn wait(
        &self,
        inbox: &dyn Inbox,
        channel: &Arc<str>,
        facts: &[Fact],
        target: &str,
        until: Instant,
    ) -> Result<Confirmation, inbox::Error> {
        let standings = inbox.standing(facts, target).await?;
        if let Some(decided) = decide(&standings) {
            return Ok(decided);
        }
        let mut stop = self.stop.clone();
        if stop.is_raised() {
            return Ok(Confirmation::NotYet(Why::Stopping));
        }
        let Some(_place) = self.take_place(channel) else { return Ok(Confirmation::Full) };
        let deliveries: Vec<_> = standings.iter().map(|standing| standing.delivery).collect();
        let mut settled = inbox.settled(&deliveries);
        // What ended before the listening began was told to nobody.
        let mut standings = inbox.standing(facts, target).await?;
        loop {
            if let Some(decided) = decide(&standings) {
                return Ok(decided);
            }
            if Instant::now() >= until {
                return Ok(Confirmation::NotYet(Why::Late));
            }
            tokio::select! {
                told = settled.next() => {
                    for standing in standings.iter_mut().filter(|standing| standing.delivery == told.delivery) {
                        standing.state = told.state;
                    }
                }
                () = stop.raised() => return Ok(Confirmation::NotYet(Why::Stopping)),
                () = tokio::time::sleep_until(until.min(Instant::now() + LOOK_AGAIN)) => {
                    standings = inbox.standing(facts, target).await?;
                }
            }
        }
    }

    fn take_place(&self, channel: &Arc<str>) -> Option<Place<'_>> {
        let mut places = self.lock();
        let of_channel = places.by_channel.get(channel).copied().unwrap_or_default();
        if places.all >= self.all_max || of_channel >= self.per_channel_max {
            return None;
        }
        places.all += 1;
        self.gauge.inc();
        places.by_channel.insert(channel.clone(), of_channel + 1);
        Some(Place { waiters: self, channel: channel.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.waiters.lock();
        places.all -= 1;
        self.waiters.gauge.dec();
        if let Some(of_channel) = places.by_channel.get_mut(&self.channel) {
            *of_channel -= 1;
            if *of_channel == 0 {
                places.by_channel.remove(&self.channel);
            }
        }
    }
}

/// Whether the deliveries let the answer be given; none while one of them may still be confirmed.
fn decide(standings: &[Standing]) -> Option<Confirmation> {
    let has = |state| standings.iter().any(|standing| standing.state == state);
    if has(DeliveryState::Dead) {
        return Some(Confirmation::NotYet(Why::Dead));
    }
    if has(DeliveryState::Waiting) || has(DeliveryState::Pending) || has(DeliveryState::Leased) {
        return None;
    }
    // Delivered, skipped, discarded, or no delivery at all.
    Some(if has(DeliveryState::Held) { Confirmation::Held } else { Confirmation::Done })
}

#[cfg(test)]
mod tests {
    use tollbell_channels::channel::Verdict;
    use tollbell_channels::platforms::PLATFORMS;
    use tollbell_channels::simulate::Story;

    use super::*;
    use crate::inbox::sqlite::{Options, SqliteInbox};
    use crate::inbox::{
        Admin as _, Arrival, AttemptRecord, Claim, DeliveryId, Finish, Finished, Intake as _, Next, RoutedTarget,
        Work as _,
    };
    use crate::stop::stop_pair;

    #[test]
    fn every_mixture_of_states_is_decided_by_its_gravest() {
        let decided = |states: &[DeliveryState]| {
            let standings: Vec<_> =
                states.iter().map(|state| Standing { delivery: DeliveryId::new(), state: *state }).collect();
            decide(&standings)
        };
        assert_eq!(decided(&[]), Some(Confirmation::Done));
        for state in DeliveryState::ALL {
            let expected = match state {
                DeliveryState::Waiting | DeliveryState::Pending | DeliveryState::Leased => None,
                DeliveryState::Held => Some(Confirmation::Held),
                DeliveryState::Delivered | DeliveryState::Skipped | DeliveryState::Discarded => {
                    Some(Confirmation::Done)
                }
                DeliveryState::Dead => Some(Confirmation::NotYet(Why::Dead)),
            };
            assert_eq!(decided(&[*state]), expected, "{state:?}");
            assert_eq!(decided(&[DeliveryState::Delivered, *state]), expected, "{state:?}");
            assert_eq!(decided(&[*state, DeliveryState::Dead]), Some(Confirmation::NotYet(Why::Dead)), "{state:?}");
        }
        assert_eq!(decided(&[DeliveryState::Held, DeliveryState::Pending]), None);
    }

    const NOW: &str = "2026-11-21T04:00:00Z";

    fn open(path: &std::path::Path) -> Arc<SqliteInbox> {
        SqliteInbox::open(path, Options::new(Arc::new(|| NOW.parse().unwrap()))).unwrap()
    }

    /// A payment on its way to the target `shop`.
    fn arrival() -> Arrival {
        let platform = PLATFORMS[0];
        let side = (platform.simulate)();
        let channel = (platform.build)(&side.settings()).unwrap();
        let request = side.callback(&Story::paid("A-1", 1000, NOW.parse().unwrap())).request;
        let Verdict::Genuine(notification) = channel.verify(&request, NOW.parse().unwrap()) else {
            panic!("a forgery")
        };
        let routes = vec![vec![RoutedTarget { target: "shop".into(), is_raw: true }]; notification.value().facts.len()];
        Arrival {
            channel: "one".into(),
            merchant: "default".into(),
            platform: platform.kind,
            notification,
            request,
            signed_query: None,
            routes,
            is_shadow: false,
        }
    }

    async fn confirm(inbox: &SqliteInbox) {
        let now = NOW.parse().unwrap();
        let (lease, longest_wait) = (Duration::from_mins(1), Duration::from_mins(1));
        let claim = Claim { target: "shop".into(), max: 1, now, lease, longest_wait, running: Vec::new() };
        let leased = inbox.claim(claim).await.unwrap().remove(0);
        let attempt = AttemptRecord {
            number: 1,
            started_at: now,
            ended_at: now,
            outcome: "delivered".to_owned(),
            reason: String::new(),
            detail: String::new(),
            status: None,
            body_head: String::new(),
            stderr: String::new(),
        };
        let finish = Finish { delivery: leased.delivery, token: leased.token, attempt, next: Next::Delivered };
        assert_eq!(inbox.finish(finish).await.unwrap(), Finished::Done);
    }

    /// Waits for many at once, and confirms by another inbox on the same file, or by their own.
    async fn many_wait(is_told: bool) {
        const MANY: usize = 200;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox.db");
        let (inbox, other) = (open(&path), open(&path));
        let (_stopper, stop) = stop_pair();
        let metrics = Metrics::new();
        let waiters = Arc::new(Waiters::with_limits(stop, &metrics, MANY, MANY));
        let arrival = arrival();
        let facts = arrival.notification.value().facts.clone();
        inbox.store(arrival).await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..MANY {
            let (inbox, waiters, facts) = (inbox.clone(), waiters.clone(), facts.clone());
            // So long that it is not what ends the wait.
            let until = Instant::now() + Duration::from_mins(10);
            waiting.spawn(async move { waiters.wait(&*inbox, &"one".into(), &facts, "shop", until).await.unwrap() });
        }
        while metrics.waiting_answers.get() < i64::try_from(MANY).unwrap() {
            tokio::task::yield_now().await;
        }
        confirm(if is_told { &inbox } else { &other }).await;
        for confirmation in waiting.join_all().await {
            assert_eq!(confirmation, Confirmation::Done);
        }
        assert_eq!(metrics.waiting_answers.get(), 0);
        inbox.close().await;
        other.close().await;
    }

    #[tokio::test]
    async fn all_who_wait_are_told() {
        many_wait(true).await;
    }

    #[tokio::test]
    async fn what_nobody_told_is_seen_by_looking_again() {
        many_wait(false).await;
    }

    #[test]
    fn places_are_limited_by_channel_and_in_all_and_come_back() {
        let (_stopper, stop) = stop_pair();
        let waiters = Waiters::with_limits(stop, &Metrics::new(), 2, 3);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let first = waiters.take_place(&one).unwrap();
        let second = waiters.take_place(&one).unwrap();
        assert!(waiters.take_place(&one).is_none(), "the channel's are taken");
        let third = waiters.take_place(&other).unwrap();
        assert!(waiters.take_place(&other).is_none(), "all are taken");
        assert_eq!(waiters.gauge.get(), 3);
        drop(first);
        assert!(waiters.take_place(&other).is_some());
        drop((second, third));
        assert_eq!(waiters.gauge.get(), 0);
        assert!(waiters.lock().by_channel.is_empty());
    }
}
