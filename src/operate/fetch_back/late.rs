//! Channels that come into force after who asks for them, credentials that have ended, and answers that are late.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tollbell_channels::channel::{HttpAnswer, HttpAsk, Pace, Verdict};
use tollbell_channels::lifetimes::Lifetimes;
use tollbell_channels::model::Environment;
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::{KeyMark, SettingValue, Settings};
use tollbell_channels::simulate::{ApiConduct, ApiOffice, Story};

use super::*;
use crate::clock;
use crate::inbox::hints::{HintFilter, HintRecord, HintState, Hints as _, Told};
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{Admin as _, PAGE_MAX};
use crate::keys::FetchError;
use crate::stop::{Stopper, stop_pair};

/// Longest wait for something that happens at once.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// The platform's interface without a network between.
struct Direct {
    office: Box<dyn ApiOffice>,
    asked: AtomicUsize,
}

#[async_trait]
impl Fetch for Direct {
    async fn fetch(&self, ask: HttpAsk, _deadline: Instant) -> Result<HttpAnswer, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.office.answer(&ask, ApiConduct::Honest))
    }
}

/// A platform's kind, its office, a channel of it, and a hint from it.
type Asking = (&'static str, Box<dyn ApiOffice>, Arc<dyn Channel>, Hint);

/// Every office of a platform that is asked, with a channel of it: some key material of the channel may have ended.
fn offices(until: Option<Timestamp>) -> Vec<Asking> {
    let mut found = Vec::new();
    for platform in PLATFORMS {
        let Some(office) = (platform.simulate)().api_office() else { continue };
        let mut settings = Settings::new(Environment::Sandbox);
        for written in office.written_settings("http://127.0.0.1:9") {
            let is_key = matches!(written.value, SettingValue::Key(_));
            settings = settings.with(written.name, written.value);
            if is_key && until.is_some() {
                settings = settings.with_mark(written.name, 0, KeyMark { name: None, until });
            }
        }
        let story = Story::paid("L-1", 1000, clock::system()());
        let Ok(plain) = (platform.build)(&settings) else { continue };
        let Verdict::Hint(hint) = plain.verify(&office.hint(&story), clock::system()()) else { continue };
        let channel = Lifetimes::build(platform.build, &settings).unwrap();
        found.push((platform.kind, office, channel, hint));
    }
    assert!(!found.is_empty(), "platforms that are asked");
    found
}

struct World {
    _folder: tempfile::TempDir,
    inbox: Arc<SqliteInbox>,
    direct: Arc<Direct>,
    looks: Arc<AtomicUsize>,
    is_there: Arc<AtomicBool>,
    stopper: Stopper,
    asking: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl World {
    fn start(platform: &'static str, office: Box<dyn ApiOffice>, channel: Arc<dyn Channel>, is_there: bool) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let clock = clock::system();
        let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(clock.clone())).unwrap();
        let direct = Arc::new(Direct { office, asked: AtomicUsize::new(0) });
        let (looks, is_there) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(is_there)));
        let (looked, there) = (looks.clone(), is_there.clone());
        let configured =
            Asked { channel, merchant: "shop".into(), platform, is_shadow: false, routes: Arc::new(|_| Vec::new()) };
        let channel_of = move |_: &str| {
            looked.fetch_add(1, Ordering::SeqCst);
            there.load(Ordering::SeqCst).then(|| configured.clone())
        };
        let asker = Asker {
            id: "pay".into(),
            channel_of: Arc::new(channel_of),
            inbox: inbox.clone(),
            fetch: direct.clone(),
            metrics: Arc::new(Metrics::new()),
            clock,
            chance: Arc::new(|| 0.0),
        };
        let (stopper, stop) = stop_pair();
        let asking = Mutex::new(Some(tokio::spawn(asker.run(stop))));
        Self { _folder: folder, inbox, direct, looks, is_there, stopper, asking }
    }

    async fn note(&self, hint: Hint) {
        let (channel, at) = ("pay".to_owned(), clock::system()());
        let told = Told { channel, hint, source: None, at, gap: Duration::ZERO };
        self.inbox.note_hint(told).await.unwrap();
    }

    /// The hint, once it is what is waited for.
    async fn wait_for(&self, is_so: impl Fn(&HintRecord) -> bool) -> HintRecord {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let filter = HintFilter { limit: PAGE_MAX, ..HintFilter::default() };
            let found = self.inbox.hints(filter).await.unwrap();
            if let Some(record) = found.iter().find(|record| is_so(record)) {
                return record.clone();
            }
            assert!(Instant::now() < deadline, "{found:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(self) {
        self.stopper.stop();
        let asking = self.asking.lock().unwrap().take().unwrap();
        asking.await.unwrap();
        self.inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_comes_into_force_later_is_asked_about() {
    for (platform, office, channel, hint) in offices(None) {
        let world = World::start(platform, office, channel, false);
        while world.looks.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        world.is_there.store(true, Ordering::SeqCst);
        world.note(hint).await;
        let record = world.wait_for(|record| !record.outcome.is_empty()).await;
        assert_eq!(record.outcome, "told", "{platform}");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_has_ended_is_shown_to_nobody() {
    let ended = clock::system()() - Duration::from_hours(1);
    for (platform, office, channel, hint) in offices(Some(ended)) {
        let world = World::start(platform, office, channel, true);
        world.note(hint).await;
        let record = world.wait_for(|record| !record.outcome.is_empty()).await;
        assert_eq!(record.outcome, "credential_ended", "{platform}");
        assert_eq!(world.direct.asked.load(Ordering::SeqCst), 0, "{platform}: nothing was sent");
        world.end().await;
    }
}

/// Who asks for a channel without a task of its own: each look is called.
struct Looks {
    _folder: tempfile::TempDir,
    inbox: Arc<SqliteInbox>,
    asker: Asker,
    pace: Pace,
    hint: Hint,
}

impl Looks {
    fn new() -> Self {
        let (platform, office, channel, hint) = offices(None).remove(0);
        let pace = channel.fetch_back().unwrap().pace();
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let clock = clock::system();
        let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(clock.clone())).unwrap();
        let configured =
            Asked { channel, merchant: "shop".into(), platform, is_shadow: false, routes: Arc::new(|_| Vec::new()) };
        let asker = Asker {
            id: "pay".into(),
            channel_of: Arc::new(move |_| Some(configured.clone())),
            inbox: inbox.clone(),
            fetch: Arc::new(Direct { office, asked: AtomicUsize::new(0) }),
            metrics: Arc::new(Metrics::new()),
            clock,
            chance: Arc::new(|| 0.0),
        };
        Self { _folder: folder, inbox, asker, pace, hint }
    }

    async fn note(&self) {
        let (channel, at) = ("pay".to_owned(), clock::system()());
        let told = Told { channel, hint: self.hint.clone(), source: None, at, gap: Duration::ZERO };
        assert_eq!(self.inbox.note_hint(told).await.unwrap(), Noted::Kept);
    }

    async fn look(&self, turns: &mut Turns) -> Step {
        let (_stopper, mut stop) = stop_pair();
        self.asker.step(turns, &mut None, false, &mut stop).await
    }
}

#[tokio::test]
async fn a_look_that_found_nothing_is_followed_by_none_within_the_gap() {
    let (looks, mut turns) = (Looks::new(), Turns::default());
    let Step::Idle(wait) = looks.look(&mut turns).await else { panic!("there is nothing to ask") };
    assert_eq!(wait, SCAN);
    // Whatever wakes it: others' hints wake it too.
    looks.note().await;
    tokio::time::pause();
    let before = Instant::now();
    let mut waited = Duration::ZERO;
    while let Step::Idle(wait) = looks.look(&mut turns).await {
        assert!(!wait.is_zero() && wait <= looks.pace.gap, "{wait:?}");
        tokio::time::advance(wait).await;
        waited = before.elapsed();
    }
    assert!(!waited.is_zero(), "it looked at once");
    looks.inbox.close().await;
}

#[tokio::test]
async fn what_is_due_soon_does_not_wait_for_the_turn_of_other_ground() {
    let looks = Looks::new();
    looks.note().await;
    let now = clock::system()();
    let (channel, lease) = ("pay".to_owned(), LEASE);
    let claim = HintClaim { channel, grounds: Ground::ALL.to_vec(), now, lease, takes_over: false };
    let HintClaimed::Leased(leased) = looks.inbox.claim_hint(claim).await.unwrap() else { panic!("none is due") };
    let soon = looks.pace.gap * 8;
    let end = HintEnd {
        channel: "pay".to_owned(),
        number: leased.number,
        token: leased.token,
        now,
        gap: looks.pace.gap_of_number,
        learned: Learned::Nothing,
        outcome: "nothing",
        again: Some(after(now, soon)),
        if_late: None,
    };
    looks.inbox.end_hint(end).await.unwrap();
    // Doubtful ground has its next turn only long after.
    let mut turns = Turns::default();
    turns.begin(Instant::now().checked_sub(looks.pace.gap).unwrap(), Ground::Doubtful);
    assert!(turns.next_ground(Instant::now(), looks.pace) > soon);
    let Step::Idle(wait) = looks.look(&mut turns).await else { panic!("nothing is due yet") };
    assert!(!wait.is_zero() && wait <= soon, "{wait:?}");
    looks.inbox.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_tells_nothing_new_is_asked_for_again() {
    for (platform, office, channel, hint) in offices(None) {
        let world = World::start(platform, office, channel, true);
        world.note(hint.clone()).await;
        let told = world.wait_for(|record| record.outcome == "told").await;
        assert_eq!(told.state, HintState::Answered, "{platform}");
        // Named again, it is something else now, and the answer is the same.
        world.note(hint).await;
        let again =
            world.wait_for(|record| record.told == 2 && record.asks == 1 && record.state == HintState::Due).await;
        let waits = again.due_at.duration_since(again.asked_at.unwrap());
        assert!(waits >= Duration::from_mins(1).try_into().unwrap(), "{platform}: {waits:?}");
        world.end().await;
    }
}
