//! What one sender may take, so that nobody takes what genuine callbacks need: connections, requests,
//! verifications, memory for bodies. All memory here is bounded, and nothing waits.
//!
//! Nobody is shut out. A source that brings many forgeries and nothing genuine is *suspect*: its requests are
//! verified out of a budget that all suspects share, and answered "busy" beyond it. So forged work cannot take
//! the processor from others, while a genuine callback among forgeries of the same address (behind a proxy that
//! is not configured) is still verified as long as there is budget, and with its first one the address is
//! suspect no more.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use ipnet::IpNet;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use super::sources::{self, Sender};
use crate::telemetry::Metrics;

/// What is configured.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Peers that may name another sender.
    pub trusted_proxies: Vec<IpNet>,
    /// Senders without cap and rate.
    pub exempt: Vec<IpNet>,
    /// Open connections of one sender.
    pub connections: usize,
    /// Requests a second of one sender.
    pub rate: u32,
    /// Requests of one sender at once.
    pub burst: u32,
    /// Verifications a second for all suspects together.
    pub suspect_rate: u32,
    /// Bytes for large bodies that are being received.
    pub bodies_bytes: usize,
}

/// Senders whose rate is known one by one; beyond it whole neighbourhoods share one.
const RATED_MAX: usize = 65_536;
/// Senders whose forgeries are counted; beyond it unknown ones are suspect.
const RECORDS_MAX: usize = 65_536;
/// How many times a sender's rate its neighbourhood gets.
const NEIGHBOURS: u32 = 16;
/// Failed verifications within [`SUSPICION`] that make a sender suspect.
const FORGERIES_MAX: u32 = 50;
/// How long forgeries are remembered after the first one of a series.
const SUSPICION: Duration = Duration::from_mins(1);
/// How long one genuine notification keeps its sender from being suspect.
const CREDIT: Duration = Duration::from_hours(24);

type Keyed = RateLimiter<Sender, HashMapStateStore<Sender>, DefaultClock>;

/// Watches over what senders take. One for all listeners of a node.
pub struct Guard {
    rules: Rules,
    metrics: Arc<Metrics>,
    shared: Arc<Shared>,
    budgets: Arc<Budgets>,
    has_warned: AtomicBool,
}

/// What is used up, under limits that stay as they are: it outlives changes of other settings, because each would
/// give everybody a fresh allowance otherwise.
struct Budgets {
    limits: [usize; 4],
    rates: Keyed,
    neighbourhoods: Keyed,
    /// There are more senders than are known one by one.
    is_crowded: AtomicBool,
    suspects: DefaultDirectRateLimiter,
    bodies: Semaphore,
}

/// What outlives a change of the configuration.
#[derive(Default)]
struct Shared {
    connections: Mutex<HashMap<Sender, usize>>,
    records: Mutex<HashMap<Sender, Record>>,
}

/// What a sender brought.
#[derive(Clone, Copy)]
struct Record {
    forgeries: u32,
    since: Instant,
    genuine_at: Option<Instant>,
}

/// What a connection's peer is.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address, in canonical form.
    pub address: IpAddr,
    is_trusted: bool,
    is_exempt: bool,
}

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    is_exempt: bool,
}

/// Counts a connection for as long as it lives.
pub struct Counted {
    of: Option<(Arc<Shared>, Sender)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guard {
    /// Nothing is known yet.
    pub fn new(rules: Rules, metrics: Arc<Metrics>) -> Self {
        let budgets = Arc::new(Budgets::new(&rules));
        Self::with(rules, metrics, Arc::default(), budgets)
    }

    /// The same guard under other rules: it still knows who is connected and who brought what.
    #[must_use]
    pub fn renewed(&self, rules: Rules) -> Self {
        let is_same = self.budgets.limits == Budgets::limits(&rules);
        let budgets = if is_same { self.budgets.clone() } else { Arc::new(Budgets::new(&rules)) };
        Self::with(rules, self.metrics.clone(), self.shared.clone(), budgets)
    }

    fn with(rules: Rules, metrics: Arc<Metrics>, shared: Arc<Shared>, budgets: Arc<Budgets>) -> Self {
        Self { rules, metrics, shared, budgets, has_warned: AtomicBool::new(false) }
    }

    /// What a connection's peer is; asked once a connection.
    pub fn peer(&self, address: IpAddr) -> Peer {
        let address = address.to_canonical();
        Peer {
            address,
            is_trusted: sources::contains(&self.rules.trusted_proxies, address),
            is_exempt: sources::contains(&self.rules.exempt, address),
        }
    }

    /// Counts a new connection, or says that its peer has too many.
    pub fn connect(&self, peer: &Peer) -> Option<Counted> {
        if peer.is_trusted || peer.is_exempt {
            return Some(Counted { of: None });
        }
        let sender = Sender::of(peer.address);
        let mut connections = locked(&self.shared.connections);
        let count = connections.entry(sender).or_default();
        if *count >= self.rules.connections {
            return None;
        }
        *count += 1;
        Some(Counted { of: Some((self.shared.clone(), sender)) })
    }

    /// Who sent a request that came over a peer's connection.
    pub fn source(&self, peer: &Peer, headers: &HeaderMap) -> Source {
        if !peer.is_trusted {
            return Source { address: peer.address, is_exempt: peer.is_exempt };
        }
        let address = sources::behind(peer.address, &self.rules.trusted_proxies, headers).unwrap_or_else(|error| {
            self.metrics.network.forwarded_unreadable.inc();
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                warn!(proxy = %peer.address, %error, "the proxy counts as the sender; noted once, counted always");
            }
            peer.address
        });
        // What the proxy itself asks, as for its own health checks, is not bound by a sender's rate.
        let is_exempt = address == peer.address || sources::contains(&self.rules.exempt, address);
        Source { address, is_exempt }
    }

    /// Whether a sender's rate allows one more request.
    pub fn has_rate(&self, source: &Source) -> bool {
        if source.is_exempt {
            return true;
        }
        let sender = Sender::of(source.address);
        if self.budgets.is_crowded.load(Ordering::Relaxed) {
            return self.budgets.neighbourhoods.check_key(&sender.neighbourhood()).is_ok();
        }
        let is_allowed = self.budgets.rates.check_key(&sender).is_ok();
        if self.budgets.rates.len() > RATED_MAX {
            self.budgets.is_crowded.store(true, Ordering::Relaxed);
        }
        is_allowed
    }

    /// Whether a request may be verified now: always, unless its sender is suspect and the suspects' budget is
    /// spent.
    pub fn may_verify(&self, source: Option<IpAddr>) -> bool {
        let Some(source) = source.filter(|source| !self.is_exempt(*source)) else { return true };
        let now = Instant::now();
        let is_suspect = {
            let records = locked(&self.shared.records);
            match records.get(&Sender::of(source)) {
                Some(record) => record.is_suspect(now),
                None => records.len() >= RECORDS_MAX,
            }
        };
        !is_suspect || self.budgets.suspects.check().is_ok()
    }

    /// Notes that a sender brought something whose verification failed after the costly part.
    pub fn note_forgery(&self, source: Option<IpAddr>) {
        let Some(source) = source.filter(|source| !self.is_exempt(*source)) else { return };
        let now = Instant::now();
        self.change_record(Sender::of(source), now, |record| {
            if now.duration_since(record.since) > SUSPICION {
                (record.forgeries, record.since) = (0, now);
            }
            record.forgeries = record.forgeries.saturating_add(1);
        });
    }

    /// Notes that a sender brought something genuine.
    pub fn note_genuine(&self, source: Option<IpAddr>) {
        let Some(source) = source.filter(|source| !self.is_exempt(*source)) else { return };
        let now = Instant::now();
        self.change_record(Sender::of(source), now, |record| record.genuine_at = Some(now));
    }

    fn change_record(&self, sender: Sender, now: Instant, change: impl FnOnce(&mut Record)) {
        let mut records = locked(&self.shared.records);
        if records.len() >= RECORDS_MAX && !records.contains_key(&sender) {
            return;
        }
        change(records.entry(sender).or_insert(Record { forgeries: 0, since: now, genuine_at: None }));
    }

    fn is_exempt(&self, source: IpAddr) -> bool {
        sources::contains(&self.rules.exempt, source)
    }

    /// Memory for a piece of a large body; none is left when there is none.
    pub fn room(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        self.budgets.bodies.try_acquire_many(u32::try_from(bytes).ok()?).ok()
    }

    /// Drops what nobody needs any more.
    pub fn sweep(&self) {
        self.budgets.rates.retain_recent();
        self.budgets.rates.shrink_to_fit();
        self.budgets.neighbourhoods.retain_recent();
        self.budgets.neighbourhoods.shrink_to_fit();
        self.budgets.is_crowded.store(self.budgets.rates.len() > RATED_MAX, Ordering::Relaxed);
        let now = Instant::now();
        shrink(&mut locked(&self.shared.records), |record| record.is_needed(now));
        shrink(&mut locked(&self.shared.connections), |count| *count > 0);
    }
}

impl Budgets {
    fn limits(rules: &Rules) -> [usize; 4] {
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        [number(rules.rate), number(rules.burst), number(rules.suspect_rate), rules.bodies_bytes]
    }

    fn new(rules: &Rules) -> Self {
        let some = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = |rate: u32, burst: u32| Quota::per_second(some(rate)).allow_burst(some(burst));
        let many = |n: u32| n.saturating_mul(NEIGHBOURS);
        Self {
            limits: Self::limits(rules),
            rates: RateLimiter::hashmap(quota(rules.rate, rules.burst)),
            neighbourhoods: RateLimiter::hashmap(quota(many(rules.rate), many(rules.burst))),
            suspects: RateLimiter::direct(quota(rules.suspect_rate, rules.suspect_rate)),
            bodies: Semaphore::new(rules.bodies_bytes.min(Semaphore::MAX_PERMITS)),
            is_crowded: AtomicBool::new(false),
        }
    }
}

impl Record {
    fn has_credit(&self, now: Instant) -> bool {
        self.genuine_at.is_some_and(|at| now.duration_since(at) <= CREDIT)
    }

    fn is_suspect(&self, now: Instant) -> bool {
        let is_recent = now.duration_since(self.since) <= SUSPICION;
        is_recent && self.forgeries >= FORGERIES_MAX && !self.has_credit(now)
    }

    fn is_needed(&self, now: Instant) -> bool {
        self.has_credit(now) || now.duration_since(self.since) <= SUSPICION
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((shared, sender)) = self.of.take() else { return };
        let mut connections = locked(&shared.connections);
        if let Some(count) = connections.get_mut(&sender) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                connections.remove(&sender);
            }
        }
    }
}

/// Keeps what is needed, and gives the memory of a crowd back when it has gone.
fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V>, mut is_needed: impl FnMut(&V) -> bool) {
    map.retain(|_, value| is_needed(value));
    if map.capacity() > 4 * map.len().max(1024) {
        map.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            exempt: vec!["127.0.0.0/8".parse().unwrap()],
            connections: 2,
            rate: 1,
            burst: 3,
            suspect_rate: 1,
            bodies_bytes: 100,
        }
    }

    fn guard() -> Guard {
        Guard::new(rules(), Arc::new(Metrics::new()))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_counted_for_each_sender_and_also_under_new_rules() {
        let guard = guard();
        let connect = |guard: &Guard, text: &str| guard.connect(&guard.peer(address(text)));
        let held = [connect(&guard, "1.2.3.4").unwrap(), connect(&guard, "::ffff:1.2.3.4").unwrap()];
        assert!(connect(&guard, "1.2.3.4").is_none());
        let renewed = guard.renewed(Rules { connections: 3, ..rules() });
        let third = connect(&renewed, "1.2.3.4").unwrap();
        assert!(connect(&renewed, "1.2.3.4").is_none(), "who is connected is still known");
        drop((held, third));
        assert!(connect(&guard, "1.2.3.4").is_some());
        assert!(locked(&guard.shared.connections).is_empty(), "nobody is remembered who is gone");
        let _network = [connect(&guard, "2001:db8::1").unwrap(), connect(&guard, "2001:db8::2").unwrap()];
        assert!(connect(&guard, "2001:db8::3").is_none(), "a /64 is one sender");
        let crowd: Vec<_> = (0..10).map(|_| [connect(&guard, "10.0.0.1"), connect(&guard, "127.0.0.1")]).collect();
        assert!(crowd.iter().flatten().all(Option::is_some), "proxies and exempt ones carry others");
    }

    #[test]
    fn a_rate_is_each_senders_own_until_there_are_too_many() {
        let guard = guard();
        let source = |text: &str| guard.source(&guard.peer(address(text)), &HeaderMap::new());
        let allowed = |text: &str| (0..50).filter(|_| guard.has_rate(&source(text))).count();
        assert!((3..=4).contains(&allowed("1.2.3.4")));
        assert!((3..=4).contains(&allowed("1.2.3.5")));
        assert_eq!(allowed("127.0.0.1"), 50);
        assert_eq!(allowed("10.0.0.1"), 50, "a proxy's own requests");
        for n in 0..=u32::try_from(RATED_MAX).unwrap() {
            let crowd = IpAddr::V4((0x0b00_0000 + n).into());
            guard.has_rate(&Source { address: crowd, is_exempt: false });
        }
        assert!(guard.budgets.is_crowded.load(Ordering::Relaxed));
        let known = guard.budgets.rates.len();
        assert!((48..=49).contains(&allowed("1.9.3.4")), "a neighbourhood has more");
        assert!(allowed("1.9.3.5") <= 1, "and shares it");
        assert_eq!(guard.budgets.rates.len(), known, "the memory is bounded");
    }

    #[test]
    fn suspects_share_a_budget_and_credit_ends_suspicion() {
        let guard = guard();
        let (bad, other) = (Some(address("1.2.3.4")), Some(address("1.2.3.5")));
        for _ in 0..FORGERIES_MAX {
            assert!(guard.may_verify(bad));
            guard.note_forgery(bad);
        }
        assert!(guard.may_verify(bad), "within the budget");
        assert!(!guard.may_verify(bad), "the budget is spent");
        assert!((0..100).all(|_| guard.may_verify(other)), "others are not concerned");
        guard.note_genuine(bad);
        for _ in 0..FORGERIES_MAX {
            assert!(guard.may_verify(bad), "it has brought something genuine");
            guard.note_forgery(bad);
        }
        let own = Some(address("127.0.0.1"));
        for _ in 0..=FORGERIES_MAX {
            guard.note_forgery(own);
        }
        assert!((0..100).all(|_| guard.may_verify(own)), "an exempt one is never suspect");
    }

    #[test]
    fn records_are_bounded_and_a_stranger_in_a_crowd_is_suspect() {
        let guard = guard();
        for n in 0..=u32::try_from(RECORDS_MAX).unwrap() {
            guard.note_forgery(Some(IpAddr::V4((0x0b00_0000 + n).into())));
        }
        assert_eq!(locked(&guard.shared.records).len(), RECORDS_MAX);
        let stranger = Some(address("200.1.1.1"));
        assert!((0..100).filter(|_| guard.may_verify(stranger)).count() <= 2);
        guard.sweep();
        assert_eq!(locked(&guard.shared.records).len(), RECORDS_MAX, "they are still recent");
    }

    #[test]
    fn suspicion_and_credit_pass() {
        let now = Instant::now();
        let record = Record { forgeries: FORGERIES_MAX, since: now, genuine_at: None };
        assert!(record.is_suspect(now) && record.is_needed(now));
        let later = now + SUSPICION + Duration::from_secs(1);
        assert!(!record.is_suspect(later) && !record.is_needed(later));
        let credited = Record { genuine_at: Some(now), ..record };
        assert!(!credited.is_suspect(now) && credited.is_needed(later));
        assert!(!credited.is_needed(now + CREDIT + Duration::from_secs(1)));
    }

    #[test]
    fn room_for_bodies_is_given_back() {
        let guard = guard();
        let most = guard.room(100).unwrap();
        assert!(guard.room(1).is_none());
        drop(most);
        assert!(guard.room(100).is_some());
        assert!(guard.room(usize::MAX).is_none());
    }
}
