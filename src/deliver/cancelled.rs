//! Deliveries that are cancelled at each await of their attempt, and lines that end at each of theirs: the lease runs
//! out, the delivery is made again, its attempts are numbered without gaps, and the target has lost nothing.
//!
//! Each target has one connection, and what it talks to has one worker: one that leaks is missed at once.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::Environment;
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{OtherSide, Story};

use super::signatures::NotSigned;
use super::*;
use crate::cancelled::{at_every_await, polled};
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{
    Admin as _, Arrival, Claim, DeliveryId, DeliveryState, Intake as _, RoutedTarget, Search as _, Work as _,
};
use crate::stop::{Stopper, stop_pair};
use crate::targets::KINDS;

#[path = "../../tests/support/php_fpm.rs"]
mod php_fpm;

const START_MS: i64 = 1_795_000_000_000;
const LEASE: Duration = Duration::from_mins(1);
/// An attempt that takes longer found no free connection.
const ATTEMPT: Duration = Duration::from_secs(20);
/// Says its word in two pieces, so that there is something to wait for.
const SCRIPT: &str = "<?php echo 'suc'; flush(); usleep(2000); echo 'cess';";

struct World {
    deliverer: Deliverer,
    inbox: Arc<SqliteInbox>,
    clock_ms: Arc<AtomicI64>,
    stored: AtomicUsize,
    side: Box<dyn OtherSide>,
    channel: Box<dyn Channel>,
    _folder: tempfile::TempDir,
}

struct Unsigned;

impl Signatures for Unsigned {
    fn freshness(&self, _origin: &Origin) -> Option<Duration> {
        None
    }

    fn signed_query(&self, _origin: &Origin, _request: &RawRequest) -> Option<String> {
        None
    }

    fn resign(&self, _origin: &Origin, _request: &RawRequest, _now: Timestamp) -> Result<RawRequest, NotSigned> {
        Err(NotSigned::NoKey)
    }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        let read = clock_ms.clone();
        let clock: Clock = Arc::new(move || Timestamp::from_millisecond(read.load(Ordering::SeqCst)).unwrap());
        let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(clock.clone())).unwrap();
        let deliverer = Deliverer {
            inbox: inbox.clone(),
            metrics: Arc::new(Metrics::new()),
            clock,
            chance: Arc::new(|| 0.0),
            ack_of: Arc::new(|_, reply, _| AckMatch::of_word(reply.body, b"success")),
            fields_of: Arc::new(|_, _| Vec::new()),
            callback_of: Arc::new(|_, _| None),
            signatures: Arc::new(Unsigned),
            scan: Duration::from_millis(50),
        };
        let side = (PLATFORMS[0].simulate)();
        let channel = (PLATFORMS[0].build)(&side.settings()).unwrap();
        Self { deliverer, inbox, clock_ms, stored: AtomicUsize::new(0), side, channel, _folder: folder }
    }

    /// A payment on its way to the target.
    async fn store(&self) -> DeliveryId {
        let now = (self.deliverer.clock)();
        let number = self.stored.fetch_add(1, Ordering::SeqCst);
        let request = self.side.callback(&Story::paid(&format!("L{number}"), 1000, now)).request;
        let Verdict::Genuine(notification) = self.channel.verify(&request, now) else { panic!("a forgery") };
        let to_shop = vec![RoutedTarget { target: "shop".into(), is_raw: true }];
        let arrival = Arrival {
            channel: "pay".into(),
            merchant: "default".into(),
            platform: PLATFORMS[0].kind,
            routes: vec![to_shop; notification.value().facts.len()],
            notification,
            request,
            signed_query: None,
            is_shadow: false,
        };
        let id = self.inbox.store(arrival).await.unwrap().notification();
        self.inbox.deliveries_of(id).await.unwrap()[0].id
    }

    async fn claim(&self) -> Vec<Leased> {
        let now = (self.deliverer.clock)();
        let claim =
            Claim { target: "shop".into(), max: 4, now, lease: LEASE, longest_wait: LEASE, running: Vec::new() };
        self.inbox.claim(claim).await.unwrap()
    }

    /// An attempt, and its result written down.
    async fn bring(&self, crew: &Crew, leased: Leased) {
        let finish = crew.attempt(leased).await;
        self.inbox.finish(finish).await.unwrap();
    }

    async fn state(&self, delivery: DeliveryId) -> DeliveryState {
        // What was asked of the inbox before has been done.
        assert!(self.inbox.answers().await);
        self.inbox.delivery(delivery).await.unwrap().state
    }

    /// After a cancellation: what was not delivered is, when its lease has run out; and nothing twice.
    async fn goes_on(&self, delivery: DeliveryId, crew: &Crew) {
        match self.state(delivery).await {
            DeliveryState::Delivered => {}
            state => {
                assert!(matches!(state, DeliveryState::Leased | DeliveryState::Pending), "{state:?}");
                // A line leases for a little longer than an attempt needs.
                self.clock_ms.fetch_add(i64::try_from(2 * LEASE.as_millis()).unwrap(), Ordering::SeqCst);
                let mut again = self.claim().await;
                assert_eq!(again.len(), 1, "it is due again, and alone");
                self.bring(crew, again.remove(0)).await;
                assert_eq!(self.state(delivery).await, DeliveryState::Delivered);
            }
        }
        assert!(self.claim().await.is_empty(), "delivered is final");
        let record = self.inbox.delivery(delivery).await.unwrap();
        let attempts = self.inbox.attempts_of(delivery).await.unwrap();
        let told: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.outcome.as_str())).collect();
        let lost = (1..record.attempts).map(|number| (number, "interrupted"));
        let expected: Vec<_> = lost.chain([(record.attempts, "delivered")]).collect();
        assert_eq!(told, expected);
    }
}

fn line(target: Arc<dyn Target>) -> Line {
    let policy = Policy {
        backoff: Backoff::Ladder(vec![Duration::from_secs(1)]),
        wait_after_unknown: Duration::from_secs(1),
        attempt_timeout: ATTEMPT,
        lease: LEASE,
        concurrency: 2,
    };
    Line { id: "shop".into(), target, signature: Signature::Original, policy }
}

fn text(text: impl Into<String>) -> SettingValue {
    SettingValue::Text(text.into())
}

/// What the settings are set to, with one connection.
fn settings(values: &[(&'static str, SettingValue)]) -> Settings {
    let one = Settings::new(Environment::Sandbox).with("max_connections", SettingValue::Number(1));
    values.iter().fold(one, |settings, (name, value)| settings.with(name, value.clone()))
}

/// Builds the kind of target that has this setting.
fn target(setting: &str, settings: &Settings) -> Arc<dyn Target> {
    let kind = KINDS.iter().find(|kind| kind.settings.iter().any(|one| one.name == setting)).unwrap();
    (kind.build)(settings).unwrap()
}

/// An application that speaks for itself: one request after the other on a connection, and one connection at a time.
async fn application(socket: TcpListener) {
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        if let Err(error) = answer(stream).await {
            debug!(%error, "the other side has gone");
        }
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let whole = loop {
            let text = String::from_utf8_lossy(&read).to_lowercase();
            if let Some(head) = text.find("\r\n\r\n") {
                let length = text[..head].split("content-length: ").nth(1);
                let length = length.and_then(|rest| rest.split("\r\n").next()).map_or(0, |n| n.parse().unwrap());
                if read.len() >= head + 4 + length {
                    break head + 4 + length;
                }
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        read.drain(..whole);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n").await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
        stream.write_all(b"content-type: text/plain\r\n\r\nsuc").await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
        stream.write_all(b"cess").await?;
    }
}

/// Cancels attempts at every await.
async fn attempts(make: impl Fn() -> Arc<dyn Target>) -> usize {
    let world = &World::new();
    let crew = &world.deliverer.clone().crew(line(make()));
    let awaits = at_every_await(|polls, way| async move {
        let delivery = world.store().await;
        let leased = world.claim().await.remove(0);
        let ended = polled(world.bring(crew, leased), polls, way).await;
        if ended.is_some() {
            assert_eq!(world.state(delivery).await, DeliveryState::Delivered);
        }
        world.goes_on(delivery, crew).await;
        ended.is_some()
    })
    .await;
    crew.line.target.close().await;
    world.inbox.close().await;
    awaits
}

/// Raises the stop signal when a delivery has ended.
async fn stop_after(inbox: Arc<SqliteInbox>, delivery: DeliveryId, stopper: Stopper) {
    while inbox.delivery(delivery).await.is_ok_and(|record| record.state != DeliveryState::Delivered) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stopper.stop();
}

/// Cancels whole lines at every await, with the attempts that they run.
async fn lines(make: impl Fn() -> Arc<dyn Target>) -> usize {
    let world = &World::new();
    let make = &make;
    let awaits = at_every_await(|polls, way| async move {
        let delivery = world.store().await;
        let (stopper, stop) = stop_pair();
        let watching = tokio::spawn(stop_after(world.inbox.clone(), delivery, stopper));
        let ended = polled(world.deliverer.clone().run(line(make()), stop), polls, way).await;
        if ended.is_some() {
            assert_eq!(world.state(delivery).await, DeliveryState::Delivered);
        }
        watching.abort();
        let crew = world.deliverer.clone().crew(line(make()));
        world.goes_on(delivery, &crew).await;
        crew.line.target.close().await;
        ended.is_some()
    })
    .await;
    world.inbox.close().await;
    awaits
}

#[tokio::test]
async fn an_attempt_at_a_script_may_be_cancelled_at_every_await() {
    let fpm = php_fpm::PhpFpm::start(&php_fpm::Options { children: 1, ..php_fpm::Options::default() });
    let script = fpm.script("notify.php", SCRIPT).display().to_string();
    let settings = settings(&[("address", text(fpm.address())), ("script", text(script))]);
    let awaits = attempts(|| target("script", &settings)).await;
    assert!(awaits >= 3, "the connection, the answer and the commit: {awaits} awaits");
    let awaits = lines(|| target("script", &settings)).await;
    assert!(awaits >= 3, "the claim, the attempt and the end: {awaits} awaits");
}

#[tokio::test]
async fn an_attempt_at_a_server_may_be_cancelled_at_every_await() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/payments", socket.local_addr().unwrap());
    let application = tokio::spawn(application(socket));
    for format in ["raw", "event"] {
        let settings = settings(&[("url", text(url.clone())), ("format", text(format))]);
        let awaits = attempts(|| target("url", &settings)).await;
        assert!(awaits >= 2, "the answer and the commit: {awaits} awaits");
        let awaits = lines(|| target("url", &settings)).await;
        assert!(awaits >= 3, "the claim, the attempt and the end: {awaits} awaits");
    }
    application.abort();
}
