//! A flood of invented numbers, in the time of a test: who is asked about, how often, and who waits how long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollbell_channels::channel::{Fetched, Hint, HintNumber, Pace};
use tollbell_channels::model::{RawRequest, Timestamp};
use tollbell_channels::signature::hmac::{HmacHash, HmacKey};

use super::pace::Turns;
use super::settle::settle;
use crate::inbox::Admin as _;
use crate::inbox::hints::{
    Ground, HintClaim, HintClaimed, HintEnd, Hints as _, Learned, NETWORKS_MAX, Noted, OPEN_STRANGERS_MAX, Told,
};
use crate::inbox::sqlite::{Options, SqliteInbox};

const CHANNEL: &str = "pay";
const START_MS: i64 = 1_795_000_000_000;
/// How long the flood lasts.
const LASTS: Duration = Duration::from_mins(3);
/// Invented numbers in this time.
const INVENTED: usize = 10_000;
/// Senders of the invented ones.
const SENDERS: usize = 1_000;
/// Each so often somebody names a number that exists.
const GENUINE_EVERY: Duration = Duration::from_secs(10);
const PACE: Pace = Pace::USUAL;

/// A channel whose platform answers at once, at a time that stands still until it is moved.
struct World {
    _folder: tempfile::TempDir,
    inbox: Arc<SqliteInbox>,
    clock: Arc<AtomicI64>,
    began: Instant,
    turns: Turns,
    /// What was asked about, with the time and the ground.
    asked: Vec<(String, Duration, Ground)>,
}

impl World {
    fn new() -> Self {
        // Nothing has to reach a disk: it is not durability that is tested.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let clock = Arc::new(AtomicI64::new(START_MS));
        let told = clock.clone();
        let now = move || Timestamp::from_millisecond(told.load(Ordering::SeqCst)).unwrap();
        let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(Arc::new(now))).unwrap();
        Self { _folder: folder, inbox, clock, began: Instant::now(), turns: Turns::default(), asked: Vec::new() }
    }

    fn since(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.clock.load(Ordering::SeqCst) - START_MS).unwrap())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    fn told(&self, hint: Hint, source: Option<IpAddr>) -> Told {
        Told { channel: CHANNEL.to_owned(), hint, source, at: self.now(), gap: PACE.gap_of_number }
    }

    /// Asks what may be asked now, as the task of a channel does.
    async fn ask(&mut self) {
        let at = self.began + self.since();
        let Ok(grounds) = self.turns.open(at, PACE) else { return };
        let (channel, now) = (CHANNEL.to_owned(), self.now());
        let claim = HintClaim { channel, grounds, now, lease: Duration::from_secs(20), takes_over: false };
        let HintClaimed::Leased(leased) = self.inbox.claim_hint(claim).await.unwrap() else { return };
        self.turns.begin(at, leased.ground);
        self.asked.push((leased.number.as_str().to_owned(), self.since(), leased.ground));
        let is_known = leased.number.as_str().starts_with("tr_real");
        let result = Ok((if is_known { Fetched::Nothing } else { Fetched::Unknown }, kept()));
        let settled = settle(&result, &leased, now, true, 0.0);
        self.turns.end(at, settled.ended);
        let end = HintEnd {
            channel: CHANNEL.to_owned(),
            number: leased.number,
            token: leased.token,
            now,
            gap: PACE.gap_of_number,
            learned: if is_known { Learned::Nothing } else { Learned::Unknown },
            outcome: settled.outcome,
            again: settled.again.filter(|_| !is_known),
            if_late: None,
        };
        self.inbox.end_hint(end).await.unwrap();
    }

    /// How long after its naming a number was asked about first.
    fn waited(&self, number: &str, named: Duration) -> Option<Duration> {
        self.asked.iter().find(|(asked, ..)| asked == number).map(|(_, at, _)| at.saturating_sub(named))
    }
}

fn kept() -> RawRequest {
    RawRequest {
        method: Method::GET,
        path: "/".to_owned(),
        query: None,
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn number(text: &str) -> HintNumber {
    HintNumber::new(text).unwrap()
}

fn sender(index: usize) -> IpAddr {
    let [_, a, b, c] = u32::try_from(index << 8).unwrap().to_be_bytes();
    [10 + a, b, c, 1].into()
}

/// A hint whose sender knows the channel's secret.
fn vouched(text: &str) -> Hint {
    let key = HmacKey::new(b"secret", HmacHash::Sha256, "key");
    let verified = key.verify_any(b"m", &[key.sign(b"m").as_slice()], "plain").unwrap();
    Hint::from_platform(number(text), &verified)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_takes_its_share_of_the_questions_and_delays_nobody_who_is_known() {
    let mut world = World::new();
    // The platform's own network is known from before.
    let platform: IpAddr = "198.51.100.7".parse().unwrap();
    let first = world.told(Hint::from_anybody(number("tr_real_first")), Some(platform));
    assert_eq!(world.inbox.note_hint(first).await.unwrap(), Noted::Kept);
    world.ask().await;
    let mut named: Vec<(String, Duration)> = Vec::new();
    let (mut invented, mut full) = (0, 0);
    let ticks = u32::try_from(LASTS.as_millis() / PACE.gap.as_millis()).unwrap();
    let mut next_genuine = Duration::ZERO;
    for tick in 0..ticks {
        world.clock.fetch_add(i64::try_from(PACE.gap.as_millis()).unwrap(), Ordering::SeqCst);
        let mut arriving = JoinSet::new();
        let until = INVENTED * usize::try_from(tick + 1).unwrap() / usize::try_from(ticks).unwrap();
        for index in invented..until {
            // Half of them from one sender, half from all of them.
            let source = if index % 2 == 0 { sender(SENDERS) } else { sender(index % SENDERS) };
            let told = world.told(Hint::from_anybody(number(&format!("tr_x{index}"))), Some(source));
            let inbox = world.inbox.clone();
            arriving.spawn(async move { inbox.note_hint(told).await.unwrap() });
        }
        invented = until;
        full += arriving.join_all().await.into_iter().filter(|noted| *noted == Noted::Full).count();
        if world.since() >= next_genuine {
            next_genuine += GENUINE_EVERY;
            for (name, hint) in [
                (format!("tr_real_v{tick}"), vouched(&format!("tr_real_v{tick}"))),
                (format!("tr_real_p{tick}"), Hint::from_anybody(number(&format!("tr_real_p{tick}")))),
            ] {
                let told = world.told(hint, Some(platform));
                assert_eq!(world.inbox.note_hint(told).await.unwrap(), Noted::Kept, "{name}");
                named.push((name, world.since()));
            }
        }
        world.ask().await;
    }
    // What was named at the end has its turn behind it.
    for _ in 0..20 {
        world.clock.fetch_add(i64::try_from(PACE.gap.as_millis()).unwrap(), Ordering::SeqCst);
        world.ask().await;
    }
    // The platform heard no more than it wants to hear, and of the flood its shares.
    let lasted = LASTS + PACE.gap * 21;
    let most = |every: u32| usize::try_from(lasted.as_millis() / (PACE.gap * every).as_millis()).unwrap() + 1;
    let mut by_ground: HashMap<Ground, usize> = HashMap::new();
    world.asked.iter().for_each(|(_, _, ground)| *by_ground.entry(*ground).or_default() += 1);
    assert!(world.asked.len() <= most(1), "{by_ground:?}");
    assert!(by_ground[&Ground::New] <= most(4) && by_ground[&Ground::Doubtful] <= most(20), "{by_ground:?}");
    // A number that does not exist is asked about twice at most.
    let mut times: HashMap<&str, usize> = HashMap::new();
    world.asked.iter().for_each(|(number, ..)| *times.entry(number).or_default() += 1);
    assert!(times.values().all(|times| *times <= 2));
    // Who is known waits for the two shares of the others, and for whoever was named with him.
    for (name, at) in &named {
        let waited = world.waited(name, *at).unwrap_or_else(|| panic!("{name} was never asked about"));
        assert!(waited <= PACE.gap * 4, "{name} waited {waited:?}");
    }
    assert!(named.len() >= 30 && full > INVENTED / 4, "{} {full}", named.len());
    let open = world.inbox.hint_backlog().await.unwrap()[0].open;
    assert!(open <= u64::try_from(OPEN_STRANGERS_MAX).unwrap() && i64::try_from(SENDERS).unwrap() < NETWORKS_MAX);
    world.inbox.close().await;
}
