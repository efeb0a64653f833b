//! A keeper with a platform's office behind a scripted network, and time that stands still until it is moved.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tollbell_channels::channel::{KeyRequest, Verdict};
use tollbell_channels::model::{Environment, RawRequest, Timestamp};
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::Settings;
use tollbell_channels::simulate::{Conduct, KeyOffice, Story};

use super::keeper::WAITING_MAX;
use super::*;
use crate::cancelled::{at_every_await, polled};
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::stop::{Stopper, stop_pair};

/// What the network does with the next request; when nothing is planned, it brings the honest answer.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Answer(Conduct),
    Lost,
    Slow(Duration),
}

struct Network {
    office: Box<dyn KeyOffice>,
    plans: Mutex<VecDeque<Plan>>,
    asked: Mutex<usize>,
}

impl Network {
    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

#[async_trait]
impl Fetch for Network {
    async fn fetch(&self, ask: HttpAsk, _deadline: Instant) -> Result<HttpAnswer, FetchError> {
        *self.asked.lock().unwrap() += 1;
        let plan = self.plans.lock().unwrap().pop_front().unwrap_or(Plan::Answer(Conduct::Honest));
        match plan {
            Plan::Answer(conduct) => Ok(self.office.answer(&ask, at(), conduct)),
            Plan::Lost => Err(FetchError { cause: "lost".to_owned() }),
            Plan::Slow(wait) => {
                tokio::time::sleep(wait).await;
                Ok(self.office.answer(&ask, at(), Conduct::Honest))
            }
        }
    }
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

struct World {
    keeper: Arc<Keeper>,
    network: Arc<Network>,
    callback: RawRequest,
    needed: KeyRequest,
    renews: bool,
    stopper: Stopper,
    parts: Parts,
    configured: Arc<dyn Channel>,
    _folder: tempfile::TempDir,
}

/// A world for each platform that hands out keys.
async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let Some(office) = side.key_office() else { continue };
        let settings = office
            .written_settings("http://127.0.0.1:9")
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value));
        let configured: Arc<dyn Channel> = Arc::from((platform.build)(&settings).unwrap());
        let story = Story { kind: side.stories()[0], ..Story::paid("K-1", 1000, at()) };
        let callback = office.callback(&story).request;
        let Verdict::NeedsKey(needed) = configured.verify(&callback, at()) else { panic!("{}", platform.kind) };
        let renews = configured.key_source().unwrap().renew_at(&[], at()).is_some();
        let network = Arc::new(Network { office, plans: Mutex::default(), asked: Mutex::default() });
        let folder = tempfile::tempdir().unwrap();
        let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(Arc::new(at))).unwrap();
        let (stopper, stop) = stop_pair();
        let parts = Parts {
            inbox,
            fetch: network.clone(),
            metrics: Arc::new(Metrics::new()),
            clock: Arc::new(at),
            chance: Arc::new(|| 0.0),
            stop,
        };
        let keeper = open([("pay".into(), configured.clone())], &parts).await.remove(0);
        worlds.push(World { keeper, network, callback, needed, renews, stopper, parts, configured, _folder: folder });
    }
    assert!(worlds.len() > 1 && worlds.iter().any(|world| world.renews) && worlds.iter().any(|world| !world.renews));
    worlds
}

impl World {
    fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        self.network.plans.lock().unwrap().extend(plans);
    }

    fn is_known(&self) -> bool {
        matches!(self.keeper.channel().verify(&self.callback, at()), Verdict::Genuine(_))
    }

    async fn wait(&self) -> bool {
        match self.keeper.wait(&self.needed, None).await {
            Some(channel) => {
                assert!(matches!(channel.verify(&self.callback, at()), Verdict::Genuine(_)));
                true
            }
            None => false,
        }
    }

    /// An invented serial in the form of real ones.
    fn invented(&self, number: usize) -> KeyRequest {
        let width = self.needed.serial.len();
        KeyRequest { serial: format!("{:A<width$}", number + 1) }
    }
}

/// Lets downloads end whose work is done on other threads.
async fn settle(world: &World, mut is_done: impl FnMut() -> bool) {
    let since = std::time::Instant::now();
    while !is_done() {
        assert!(since.elapsed() < Duration::from_secs(20), "waited too long; {} asked", world.network.asked());
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_wait_may_be_left_at_every_await() {
    for world in &worlds().await {
        let awaits = at_every_await(|polls, way| async move {
            // A keeper that knows nothing yet.
            let folder = tempfile::tempdir().unwrap();
            let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(Arc::new(at))).unwrap();
            let parts = Parts { inbox, ..world.parts.clone() };
            let keeper = open([("pay".into(), world.configured.clone())], &parts).await.remove(0);
            world.plan([Plan::Slow(Duration::from_millis(5))]);
            let before = world.network.asked();
            let waited = polled(keeper.wait(&world.needed, None), polls, way).await;
            assert!(waited.as_ref().is_none_or(Option::is_some), "the key came in time");
            // The download went on, and it is the only one.
            let channel = keeper.wait(&world.needed, None).await.expect("the key came");
            assert!(matches!(channel.verify(&world.callback, at()), Verdict::Genuine(_)));
            assert_eq!(world.network.asked(), before + 1);
            waited.is_some()
        })
        .await;
        assert!(awaits >= 1, "{awaits} awaits");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_and_the_download_does_not() {
    for world in worlds().await {
        world.plan([Plan::Slow(Duration::from_secs(10))]);
        let begun = Instant::now();
        assert!(!world.wait().await);
        assert!(
            begun.elapsed() >= WAIT_MAX && begun.elapsed() < WAIT_MAX + Duration::from_secs(1),
            "in stood-still time"
        );
        assert!(!world.is_known());
        // A second callback waits for the same download, and leaves it too.
        assert!(!world.wait().await);
        assert_eq!(world.network.asked(), 1);
        tokio::time::advance(Duration::from_secs(6)).await;
        settle(&world, || world.is_known()).await;
        assert!(world.wait().await);
        assert_eq!(world.network.asked(), 1);
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_by_the_next_callback() {
    for world in worlds().await {
        world.plan([Plan::Lost, Plan::Answer(Conduct::Broken), Plan::Answer(Conduct::BadSignature)]);
        for asked in 1..=3 {
            assert!(!world.wait().await);
            assert_eq!(world.network.asked(), asked, "one download for one callback");
        }
        assert!(world.wait().await);
        assert_eq!(world.network.asked(), 4);
    }
}

#[tokio::test]
async fn invented_serials_are_asked_for_rarely_and_each_once() {
    for world in worlds().await {
        world.plan((0..100).map(|_| Plan::Answer(Conduct::Absent)));
        for number in 0..100 {
            assert!(world.keeper.wait(&world.invented(number), None).await.is_none());
            assert!(world.keeper.wait(&world.invented(number), None).await.is_none());
        }
        let asked = world.network.asked();
        assert!((2..10).contains(&asked), "{asked} downloads for 100 invented serials");
        assert!(!world.wait().await, "no download is left for now");
        assert_eq!(world.network.asked(), asked);
    }
}

/// Somebody invents serials from a network of his own; the platform's first message under a new key comes from another.
#[tokio::test]
async fn one_network_cannot_use_up_the_downloads() {
    for world in worlds().await {
        for (flood, honest, is_shared) in [
            ("192.0.2.7", "203.0.113.1", false),
            ("2001:db8:1::7", "2001:db8:2::1", false),
            // Everybody comes through a proxy here, which names nobody.
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            let keeper = open([("other".into(), world.configured.clone())], &world.parts).await.remove(0);
            let [flood, honest] = [flood, honest].map(|text| Some(text.parse().unwrap()));
            let before = world.network.asked();
            world.plan((0..5).map(|_| Plan::Answer(Conduct::Absent)));
            for number in 0..50 {
                assert!(keeper.wait(&world.invented(number), flood).await.is_none());
            }
            assert_eq!(world.network.asked() - before, if is_shared { 5 } else { 2 });
            world.network.plans.lock().unwrap().clear();
            assert_eq!(keeper.wait(&world.needed, honest).await.is_some(), !is_shared);
            world.parts.inbox.keep_platform_keys("other", Vec::new(), at()).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_is_asked_for_again_after_minutes() {
    for world in worlds().await {
        world.plan([Plan::Answer(Conduct::Absent)]);
        assert!(!world.wait().await);
        for _ in 0..4 {
            tokio::time::advance(Duration::from_mins(1)).await;
            assert!(!world.wait().await);
        }
        assert_eq!(world.network.asked(), 1);
        tokio::time::advance(Duration::from_mins(1) + Duration::from_secs(1)).await;
        settle_wait(&world).await;
        assert_eq!(world.network.asked(), 2);
    }
}

/// With time paused, a wait may end before the work of another thread does.
async fn settle_wait(world: &World) {
    if !world.wait().await {
        settle(world, || world.is_known()).await;
    }
}

#[tokio::test]
async fn callbacks_share_one_download_and_too_many_are_sent_away() {
    for world in worlds().await {
        world.plan([Plan::Slow(Duration::from_millis(500))]);
        let waiting: Vec<_> = (0..WAITING_MAX + 44)
            .map(|_| {
                let (keeper, needed) = (world.keeper.clone(), world.needed.clone());
                tokio::spawn(async move { keeper.wait(&needed, None).await.is_some() })
            })
            .collect();
        let mut served = 0;
        for one in waiting {
            served += usize::from(one.await.unwrap());
        }
        assert_eq!((served, world.network.asked()), (WAITING_MAX, 1));
    }
}

#[tokio::test]
async fn kept_keys_are_taken_up_and_spoiled_ones_are_not() {
    for world in worlds().await {
        assert!(world.wait().await);
        let mut kept = world.parts.inbox.platform_keys("pay").await.unwrap();
        assert_eq!(kept.len(), 1);
        let again = open([("pay".into(), world.configured.clone())], &world.parts).await.remove(0);
        assert!(again.wait(&world.needed, None).await.is_some());
        assert_eq!(world.network.asked(), 1);

        kept[0].certificate.insert(40, 'A');
        world.parts.inbox.keep_platform_keys("pay", kept, at()).await.unwrap();
        let spoiled = open([("pay".into(), world.configured.clone())], &world.parts).await.remove(0);
        assert!(!matches!(spoiled.channel().verify(&world.callback, at()), Verdict::Genuine(_)));
        assert!(spoiled.wait(&world.needed, None).await.is_some(), "it is fetched again");
        assert_eq!(world.network.asked(), 2);
    }
}

#[tokio::test]
async fn a_renewal_brings_keys_at_the_start_and_ends_with_the_node() {
    for world in worlds().await {
        let renewal = tokio::spawn(world.keeper.clone().renew(world.parts.stop.clone()));
        if world.renews {
            settle(&world, || world.is_known()).await;
            assert_eq!(world.network.asked(), 1);
        }
        world.stopper.stop();
        tokio::time::timeout(Duration::from_secs(20), renewal).await.expect("the stop signal ends it").unwrap();
        assert_eq!(world.network.asked(), usize::from(world.renews));
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again_with_growing_waits() {
    for world in worlds().await.into_iter().filter(|world| world.renews) {
        world.plan((0..4).map(|_| Plan::Lost));
        let begun = Instant::now();
        let renewal = tokio::spawn(world.keeper.clone().renew(world.parts.stop.clone()));
        settle_by_time(&world, 5).await;
        let waited = begun.elapsed();
        // 30 + 60 + 120 + 240 s.
        assert!((Duration::from_secs(440)..Duration::from_secs(470)).contains(&waited), "{waited:?}");
        settle(&world, || world.is_known()).await;
        world.stopper.stop();
        renewal.await.unwrap();
    }
}

/// Lets paused time go on, second by second, until so many requests were made.
async fn settle_by_time(world: &World, asked: usize) {
    for _ in 0..4000 {
        if world.network.asked() >= asked {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{} of {asked} requests", world.network.asked());
}

#[tokio::test]
async fn a_channel_without_a_source_waits_for_nothing() {
    let world = worlds().await.remove(0);
    for platform in PLATFORMS {
        let channel: Arc<dyn Channel> = Arc::from((platform.build)(&(platform.simulate)().settings()).unwrap());
        let keeper = open([("pay".into(), channel)], &world.parts).await.remove(0);
        assert!(!keeper.has_source() && keeper.wait(&world.needed, None).await.is_none());
    }
    assert_eq!(world.network.asked(), 0);
}
