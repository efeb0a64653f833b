//! Callbacks whose client goes away at each await of their reply, and connections that end at each of theirs: what a
//! platform was told is stored, its repetition gives success and the same event, and no place is lost.

mod asking;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tollbell_channels::channel::{Channel, HttpAnswer, HttpAsk, KeyNote, Likeness, Verdict};
use tollbell_channels::model::{AckMatch, AppReply, Environment};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::Settings;
use tollbell_channels::simulate::{Conduct, KeyOffice, OtherSide, Story};

use super::connection::{self, Context};
use super::guard::Rules;
use super::listener::{self, Limits, Places};
use super::*;
use crate::cancelled::{at_every_await, polled};
use crate::inbox::hints::HintFilter;
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{
    Admin as _, AttemptRecord, Claim, EventFilter, EventId, Finish, Hints as _, Next, RoutedTarget, Search as _,
    Work as _,
};
use crate::keys::{self, Fetch, FetchError};
use crate::stop::{Stopper, stop_pair};

/// A state that does not come within this time never comes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the platform takes to hand out a key.
const KEY_TAKES: Duration = Duration::from_millis(5);

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

/// The platform's office for keys, if it has one.
struct Office {
    office: Option<Arc<dyn KeyOffice>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Fetch for Office {
    async fn fetch(&self, ask: HttpAsk, _deadline: Instant) -> Result<HttpAnswer, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(KEY_TAKES).await;
        let office = self.office.as_ref().ok_or(FetchError { cause: "there is none".to_owned() })?;
        Ok(office.answer(&ask, at(), Conduct::Honest))
    }
}

struct World {
    receiver: Arc<Receiver>,
    inbox: Arc<SqliteInbox>,
    side: Arc<dyn OtherSide>,
    office: Arc<Office>,
    stopper: Stopper,
    told: AtomicUsize,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(platform: &Platform, ack: Ack) -> Self {
        Self::of(platform, Arc::from((platform.simulate)()), None, ack).await
    }

    /// With an office, the channel's key has to be fetched from it first.
    async fn of(platform: &Platform, side: Arc<dyn OtherSide>, office: Option<Arc<dyn KeyOffice>>, ack: Ack) -> Self {
        let settings = match &office {
            Some(office) => {
                let written = office.written_settings("http://127.0.0.1:9");
                let none = Settings::new(Environment::Sandbox);
                written.into_iter().fold(none, |settings, one| settings.with(one.name, one.value))
            }
            None => side.settings(),
        };
        Self::with_door(platform, side, office, &settings, |door| door.with_ack(ack)).await
    }

    async fn with_door(
        platform: &Platform,
        side: Arc<dyn OtherSide>,
        office: Option<Arc<dyn KeyOffice>>,
        settings: &Settings,
        made: impl FnOnce(Door) -> Door,
    ) -> Self {
        let channel: Arc<dyn Channel> = Arc::from((platform.build)(settings).unwrap());
        Self::with_channel(platform, side, office, channel, made).await
    }

    async fn with_channel(
        platform: &Platform,
        side: Arc<dyn OtherSide>,
        office: Option<Arc<dyn KeyOffice>>,
        channel: Arc<dyn Channel>,
        made: impl FnOnce(Door) -> Door,
    ) -> Self {
        let office = Arc::new(Office { office, asked: AtomicUsize::new(0) });
        let folder = tempfile::tempdir().unwrap();
        let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(Arc::new(at))).unwrap();
        let (stopper, stop) = stop_pair();
        let metrics = Arc::new(Metrics::new());
        let parts = keys::Parts {
            inbox: inbox.clone(),
            fetch: office.clone(),
            metrics: metrics.clone(),
            clock: Arc::new(at),
            chance: Arc::new(|| 0.0),
            stop: stop.clone(),
        };
        let keeper = keys::open([("pay".into(), channel)], &parts).await.remove(0);
        let to_shop = |_| vec![RoutedTarget { target: "shop".into(), is_raw: true }];
        let door = Door::new("pay".into(), "default".into(), platform.kind, keeper, Vec::new(), to_shop);
        let door = made(door);
        let rules = Rules {
            trusted_proxies: Vec::new(),
            exempt: vec!["127.0.0.1/32".parse().unwrap()],
            connections: 4,
            rate: 1000,
            burst: 1000,
            suspect_rate: 1000,
            bodies_bytes: 1 << 20,
        };
        let receiver = Receiver {
            doors: Doors::new(vec![Arc::new(door)]),
            inbox: inbox.clone(),
            waiters: Arc::new(Waiters::new(stop, &metrics)),
            guard: Arc::new(Guard::new(rules, metrics.clone())),
            metrics,
            clock: Arc::new(at),
            refusals: Arc::default(),
        };
        let told = AtomicUsize::new(0);
        Self { receiver: Arc::new(receiver), inbox, side, office, stopper, told, _folder: folder }
    }

    /// An order that was not told of before.
    fn order(&self) -> String {
        format!("C{}", self.told.fetch_add(1, Ordering::SeqCst))
    }

    fn callback(&self, order_no: &str) -> RawRequest {
        let story = Story { kind: self.side.stories()[0], ..Story::paid(order_no, 1000, at()) };
        let callback = match &self.office.office {
            Some(office) => office.callback(&story),
            None => self.side.callback(&story),
        };
        RawRequest { path: "/notify/pay".to_owned(), ..callback.request }
    }

    /// The events of an order, when everything that was asked of the inbox before has been done.
    async fn events(&self, order_no: &str) -> Vec<EventId> {
        assert!(self.inbox.answers().await);
        let filter = EventFilter { order_no: Some(order_no.to_owned()), limit: 10, ..EventFilter::default() };
        self.inbox.events(filter).await.unwrap().iter().map(|event| event.id).collect()
    }

    /// The number that a callback only names, where it proves nothing: the platform is asked about it.
    fn named(&self, request: &RawRequest) -> Option<String> {
        match self.receiver.doors.get(0).unwrap().channel().verify(request, at()) {
            Verdict::Hint(hint) => Some(hint.number().as_str().to_owned()),
            _ => None,
        }
    }

    /// How often what a callback says is kept: as its order's event, or as a question about its number.
    async fn kept(&self, order_no: &str, request: &RawRequest) -> usize {
        let Some(number) = self.named(request) else { return self.events(order_no).await.len() };
        assert!(self.inbox.answers().await);
        let filter = HintFilter { number: Some(number), limit: 10, ..HintFilter::default() };
        self.inbox.hints(filter).await.unwrap().len()
    }

    /// The callback comes again, whole: success, and the same event as before, if there was one.
    async fn repeated(&self, order_no: &str, request: RawRequest) {
        if self.named(&request).is_some() {
            let answered = self.receiver.receive(request.clone(), Entrance::Channel(0)).await;
            assert_eq!(answered.cause, Cause::Hinted);
            assert_eq!(self.kept(order_no, &request).await, 1, "one question");
            return;
        }
        let before = self.events(order_no).await;
        let answered = self.receiver.receive(request, Entrance::Channel(0)).await;
        assert!(matches!(answered.cause, Cause::Stored | Cause::Repeated), "{:?}", answered.cause);
        let after = self.events(order_no).await;
        assert_eq!(after.len(), 1, "one event of {order_no}");
        assert!(before.is_empty() || before == after, "another event of {order_no}");
        assert_eq!(self.inbox.deliveries_of(answered.acknowledges.unwrap()).await.unwrap().len(), 1);
        assert_eq!(self.receiver.metrics.waiting_answers.get(), 0, "nobody waits any more");
    }
}

#[tokio::test]
async fn a_callback_is_stored_whole_or_not_at_all_whenever_its_client_goes() {
    for platform in PLATFORMS {
        let world = &World::new(platform, Ack::Stored).await;
        let awaits = at_every_await(|polls, way| async move {
            let order_no = world.order();
            let request = world.callback(&order_no);
            let answered = polled(world.receiver.receive(request.clone(), Entrance::Channel(0)), polls, way).await;
            if let Some(answered) = &answered {
                let cause = if world.named(&request).is_some() { Cause::Hinted } else { Cause::Stored };
                assert_eq!(answered.cause, cause, "{}", platform.kind);
            }
            // It had been proven before its first await, so that it is stored although nobody hears of it.
            assert_eq!(world.kept(&order_no, &request).await, 1, "{}", platform.kind);
            world.repeated(&order_no, request).await;
            answered.is_some()
        })
        .await;
        assert!(awaits >= 1, "{awaits} awaits");
        world.inbox.close().await;
    }
}

#[tokio::test]
async fn who_waits_for_a_key_and_goes_leaves_the_key_for_the_next() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let side: Arc<dyn OtherSide> = Arc::from((platform.simulate)());
        let Some(office) = side.key_office() else { continue };
        let (side, office) = (&side, &Arc::<dyn KeyOffice>::from(office));
        tried += 1;
        let awaits = at_every_await(|polls, way| async move {
            let world = World::of(platform, side.clone(), Some(office.clone()), Ack::Stored).await;
            let request = world.callback("K1");
            let answered = polled(world.receiver.receive(request.clone(), Entrance::Channel(0)), polls, way).await;
            world.repeated("K1", request).await;
            assert_eq!(world.office.asked.load(Ordering::SeqCst), 1, "one download for both");
            world.stopper.stop();
            world.inbox.close().await;
            answered.is_some()
        })
        .await;
        assert!(awaits >= 2, "the key and the commit: {awaits} awaits of {}", platform.kind);
    }
    assert!(tried > 0);
}

/// Confirms whatever comes, as the application would.
async fn confirm_all(inbox: Arc<SqliteInbox>) {
    loop {
        let minute = Duration::from_mins(1);
        let claim = Claim {
            target: "shop".into(),
            max: 8,
            now: at(),
            lease: minute,
            longest_wait: minute,
            running: Vec::new(),
        };
        for leased in inbox.claim(claim).await.unwrap() {
            let attempt = AttemptRecord {
                number: leased.attempt,
                started_at: at(),
                ended_at: at(),
                outcome: "delivered".to_owned(),
                reason: String::new(),
                detail: String::new(),
                status: None,
                body_head: String::new(),
                stderr: String::new(),
            };
            let finish = Finish { delivery: leased.delivery, token: leased.token, attempt, next: Next::Delivered };
            inbox.finish(finish).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn who_waits_for_the_application_and_goes_gives_the_place_back() {
    let ack = Ack::Delivered { target: "shop".into(), within: PATIENCE };
    let world = &World::new(PLATFORMS[0], ack).await;
    let application = tokio::spawn(confirm_all(world.inbox.clone()));
    let awaits = at_every_await(|polls, way| async move {
        let order_no = world.order();
        let request = world.callback(&order_no);
        let answered = polled(world.receiver.receive(request.clone(), Entrance::Channel(0)), polls, way).await;
        assert_eq!(world.receiver.metrics.waiting_answers.get(), 0, "the place is free");
        world.repeated(&order_no, request).await;
        answered.is_some()
    })
    .await;
    assert!(awaits >= 3, "the commit, the looks and the confirmation: {awaits} awaits");
    application.abort();
    world.inbox.close().await;
}

/// Callbacks that are verified at this moment, and the most that ever were.
static VERIFIED_NOW: AtomicUsize = AtomicUsize::new(0);
static VERIFIED_MOST: AtomicUsize = AtomicUsize::new(0);

/// The first platform's channel, which counts.
struct Counting(Box<dyn Channel>);

impl Channel for Counting {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        self.0.recognise(request)
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        let now_verified = VERIFIED_NOW.fetch_add(1, Ordering::SeqCst) + 1;
        VERIFIED_MOST.fetch_max(now_verified, Ordering::SeqCst);
        // Room for others to come in, if anything lets them.
        std::thread::sleep(Duration::from_millis(2));
        let verdict = self.0.verify(request, now);
        VERIFIED_NOW.fetch_sub(1, Ordering::SeqCst);
        verdict
    }

    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply {
        self.0.answer(answer, to)
    }

    fn is_ack(&self, reply: &AppReply<'_>, to: Option<&RawRequest>) -> AckMatch {
        self.0.is_ack(reply, to)
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        self.0.fields(proven)
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.0.keys()
    }
}

/// What a callback costs before it is proven (up to a private key's work, with some platforms) cannot be asked for many
/// times at once: it is done by the runtime's own threads, of which there are as many as cores, and a sender's failures
/// count against its budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_callbacks_are_verified_at_once_than_the_runtime_has_threads() {
    const CROWD: usize = 40;
    let model = PLATFORMS[0];
    let counting = Platform { build: |settings| Ok(Box::new(Counting((PLATFORMS[0].build)(settings)?))), ..*model };
    let world = Arc::new(World::new(&counting, Ack::Stored).await);
    let callbacks = (0..CROWD).map(|_| {
        let (world, request) = (world.clone(), world.callback(&world.order()));
        tokio::spawn(async move { world.receiver.receive(request, Entrance::Channel(0)).await.cause })
    });
    for answered in callbacks.collect::<Vec<_>>() {
        assert_eq!(answered.await.unwrap(), Cause::Stored);
    }
    let most = VERIFIED_MOST.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} at once");
    world.inbox.close().await;
}

const LIMITS: Limits = Limits {
    first_byte: PATIENCE,
    header: PATIENCE,
    body: PATIENCE,
    body_bytes: 1 << 20,
    write: PATIENCE,
    age: PATIENCE,
    drain: PATIENCE,
};

/// A callback as it goes over the wire.
fn wire(request: &RawRequest) -> Vec<u8> {
    let mut bytes = format!(
        "{} {}{} HTTP/1.1\r\nhost: pay.example.com\r\ncontent-length: {}\r\n",
        request.method,
        request.path,
        request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default(),
        request.body.len()
    )
    .into_bytes();
    for (name, value) in request.headers.iter().filter(|(name, _)| *name != "content-length" && *name != "host") {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    bytes
}

/// Sends bytes in pieces, so that the other side has something to wait for, and reads the reply.
async fn client(address: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for piece in bytes.chunks(bytes.len() / 4) {
        if stream.write_all(piece).await.is_err() {
            return Vec::new();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut reply = vec![0; 4096];
    let length = stream.read(&mut reply).await.unwrap_or(0);
    reply.truncate(length);
    reply
}

fn is_success(reply: &[u8]) -> bool {
    reply.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_connection_may_end_at_every_await() {
    let world = &World::new(PLATFORMS[0], Ack::Stored).await;
    let receiver = &Arc::new(ArcSwap::new(world.receiver.clone()));
    let (_stopper, stop) = &stop_pair();
    let awaits = at_every_await(|polls, way| async move {
        let order_no = world.order();
        let request = world.callback(&order_no);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::spawn(client(socket.local_addr().unwrap(), wire(&request)));
        let (stream, address) = socket.accept().await.unwrap();
        let peer = world.receiver.guard.peer(address.ip());
        let context = Context { receiver: receiver.clone(), peer, limits: LIMITS, stop: stop.clone() };
        let served = polled(connection::serve(stream, address, None, context), polls, way).await;
        let reply = client.await.unwrap();
        assert!(reply.is_empty() || is_success(&reply), "{}", String::from_utf8_lossy(&reply));
        let stored = world.events(&order_no).await.len();
        assert!(stored == 1 || reply.is_empty(), "a success for what is not stored");
        assert!(served.is_none() || stored == 1);
        world.repeated(&order_no, request).await;
        served.is_some()
    })
    .await;
    assert!(awaits >= 5, "four pieces, the commit and the end: {awaits} awaits");
    world.inbox.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_go_after_every_piece_of_its_request() {
    /// Bytes between two places at which a client goes.
    const STEP: usize = 48;
    let world = World::new(PLATFORMS[0], Ack::Stored).await;
    let (_stopper, stop) = stop_pair();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    // One place in all: one that is lost is missed at once.
    let places = Places::new(1, 1);
    let receiver = Arc::new(ArcSwap::new(world.receiver.clone()));
    let listener = tokio::spawn(listener::serve(socket, None, receiver, places.share(), LIMITS, stop));
    let whole = wire(&world.callback("G0")).len();
    let mut cuts: Vec<usize> = (0..whole).step_by(STEP).collect();
    cuts.extend([whole - 1, whole, whole]);
    for (number, cut) in cuts.iter().enumerate() {
        let order_no = format!("G{number:04}");
        let request = world.callback(&order_no);
        let bytes = wire(&request);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes[..(*cut).min(bytes.len())]).await.unwrap();
        if number % 2 == 0 {
            // The other ones go before the listener has seen anything.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(stream);
        let reply = tokio::time::timeout(PATIENCE, client(address, bytes)).await.expect("the place is free again");
        assert!(is_success(&reply), "after {cut} bytes: {}", String::from_utf8_lossy(&reply));
        world.repeated(&order_no, request).await;
    }
    let since = std::time::Instant::now();
    while world.receiver.metrics.connections.get() != 0 || places.share().available_permits() != 0 {
        assert!(since.elapsed() < PATIENCE, "{} connections", world.receiver.metrics.connections.get());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    listener.abort();
    world.inbox.close().await;
}
