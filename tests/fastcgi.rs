//! The FastCGI target against a real PHP-FPM, and against servers that break the protocol.

mod support {
    pub(crate) mod php_fpm;
}

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use support::php_fpm::{Options, PhpFpm, send, wait_until};
use tokio::time::Instant;
use tollbell::targets::{Attempted, Envelope, EventView, Outcome, Target, by_kind};
use tollbell_channels::model::{AckMatch, Currency, Environment, EventKind, Money, RawRequest, Timestamp};
use tollbell_channels::settings::{SettingValue, Settings};

/// Longest time of an attempt that is expected to end by itself.
const ENOUGH: Duration = Duration::from_secs(15);
/// How late a busy machine may notice that a deadline passed. An attempt that heeds none never ends.
const LATE_MAX: Duration = Duration::from_secs(10);
/// Time of an attempt that is expected to run out of it.
const SHORT: Duration = Duration::from_millis(400);

/// A PHP-FPM with the fixtures, and a target whose script is chosen by the envelope's channel.
struct World {
    fpm: PhpFpm,
    target: Arc<dyn Target>,
}

impl World {
    fn new(options: &Options) -> Self {
        Self::with(options, |settings| settings)
    }

    fn with(options: &Options, more: impl FnOnce(Settings) -> Settings) -> Self {
        let fpm = PhpFpm::start(options);
        fpm.copy_scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/php"));
        let target = target(&more(settings(&fpm.address(), &fpm.root().join("{channel}.php"))));
        Self { fpm, target }
    }

    async fn deliver(&self, envelope: Envelope) -> Attempted {
        deliver(&*self.target, envelope, ENOUGH).await
    }

    /// Delivers an ordinary notice to this script.
    async fn run(&self, script: &str) -> Attempted {
        self.deliver(envelope(script)).await
    }

    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.fpm.root().join(name)).unwrap_or_default()
    }
}

fn settings(address: &str, script: &Path) -> Settings {
    Settings::without_environment()
        .with("address", SettingValue::Text(address.to_owned()))
        .with("script", SettingValue::Text(script.display().to_string()))
}

fn target(settings: &Settings) -> Arc<dyn Target> {
    let kind = by_kind("fastcgi").expect("the kind is registered");
    (kind.build)(settings).expect("the settings are right")
}

async fn deliver(target: &dyn Target, envelope: Envelope, time: Duration) -> Attempted {
    let deadline = Instant::now() + time;
    let ended = tokio::time::timeout_at(deadline + LATE_MAX, target.deliver(&[envelope], deadline)).await;
    let mut attempts = ended.expect("an attempt ends by its deadline");
    assert_eq!(attempts.len(), 1);
    attempts.remove(0)
}

fn envelope(channel: &str) -> Envelope {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"));
    Envelope {
        delivery: "dlv_1".to_owned(),
        attempt: 3,
        notification: "ntf_1".to_owned(),
        merchant: Arc::from("default"),
        channel: Arc::from(channel),
        environment: Environment::Live,
        origin: "callback",
        events: vec![EventView {
            id: "evt_1".to_owned(),
            kind: EventKind::PaymentSucceeded,
            order_no: Some("20261121001".to_owned()),
            platform_no: Some("2026112122001".to_owned()),
            amount: Some(Money { minor: 1000, currency: Currency::CNY }),
            total: None,
            occurred_at: None,
            recorded_at: Timestamp::UNIX_EPOCH,
        }],
        request: Some(RawRequest {
            method: Method::POST,
            path: format!("/notify/{channel}"),
            query: Some("from=anyone".to_owned()),
            headers,
            body: Bytes::from_static(b"out_trade_no=20261121001&trade_status=TRADE_SUCCESS&subject=%E4%B9%A6+1"),
            source: Some("203.0.113.7".parse().unwrap()),
            received_at: Timestamp::UNIX_EPOCH,
        }),
        signed_query: Arc::new(|_| None),
        attempted_at: Timestamp::UNIX_EPOCH,
        fields: Arc::new(Vec::new),
        is_ack: Arc::new(
            |reply| {
                if reply.status == 200 { AckMatch::of_word(reply.body, b"success") } else { AckMatch::No }
            },
        ),
    }
}

fn with_body(channel: &str, body: impl Into<Bytes>) -> Envelope {
    let mut envelope = envelope(channel);
    let request = envelope.request.as_mut().unwrap();
    request.body = body.into();
    request.headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
    envelope
}

/// What an attempt came to, as `delivered`, `retry word`, `declined word` or `unknown word`.
fn said(attempted: &Attempted) -> String {
    match &attempted.outcome {
        Outcome::Delivered => "delivered".to_owned(),
        Outcome::RetryLater { reason, .. } => format!("retry {}", reason.word),
        Outcome::Declined { reason } => format!("declined {}", reason.word),
        Outcome::Unknown { reason } => format!("unknown {}", reason.word),
    }
}

fn detail(attempted: &Attempted) -> &str {
    match &attempted.outcome {
        Outcome::Delivered => "",
        Outcome::RetryLater { reason, .. } | Outcome::Declined { reason } | Outcome::Unknown { reason } => {
            &reason.detail
        }
    }
}

fn notes(attempted: &Attempted) -> Vec<&'static str> {
    attempted.notes.iter().map(|note| note.word).collect()
}

fn millis(number: u64) -> SettingValue {
    SettingValue::Duration(Duration::from_millis(number))
}

fn showing_errors() -> Options {
    Options { php_values: vec![("display_errors".to_owned(), "1".to_owned())], ..Options::default() }
}

fn hiding_errors() -> Options {
    let values = [("display_errors", "0"), ("log_errors", "1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    Options { php_values: values.to_vec(), ..Options::default() }
}

// What scripts do.

#[tokio::test(flavor = "multi_thread")]
async fn a_tutorials_notify_page_works_unchanged_on_both_kinds_of_socket() {
    for tcp in [false, true] {
        let world = World::new(&Options { tcp, ..Options::default() });
        let attempted = world.run("notify").await;
        assert_eq!(said(&attempted), "delivered", "{attempted:?}");
        assert_eq!((attempted.status, attempted.body_head.as_str()), (Some(200), "success"));
        assert!(attempted.notes.is_empty(), "{attempted:?}");
        assert_eq!(world.written("orders.txt"), "20261121001\n");

        let mut refused = envelope("notify");
        refused.request.as_mut().unwrap().body = Bytes::from_static(b"out_trade_no=1&trade_status=WAIT_BUYER_PAY");
        let attempted = world.deliver(refused).await;
        assert_eq!((said(&attempted).as_str(), detail(&attempted)), ("retry application_failed", "\"fail\""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_arrives_byte_for_byte() {
    let world = World::new(&Options::default());
    let every_byte: Vec<u8> = (0..=255).collect();
    // "subject=" and a book's title in GBK, raw and percent-encoded.
    let gbk = b"subject=\xca\xe9&t=%CA%E9+%2B\r\n\0end".to_vec();
    for body in [every_byte.repeat(1), gbk, Vec::new(), every_byte.repeat(3000), vec![b'x'; 65_535], vec![b'y'; 65_536]]
    {
        let attempted = world.deliver(with_body("raw", body.clone())).await;
        assert_eq!(said(&attempted), "delivered", "{attempted:?}");
        assert!(fs::read(world.fpm.root().join("raw.bin")).unwrap() == body, "{} bytes", body.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_says_wrong_is_named() {
    for (options, script, expected, detail_part, note) in [
        (hiding_errors(), "fatal", "retry php_fatal", "Call to undefined function place_order()", None),
        (showing_errors(), "fatal", "retry php_fatal", "Call to undefined function place_order()", None),
        (showing_errors(), "warning", "retry php_warning_before_word", "Undefined array key \"amount\"", None),
        (hiding_errors(), "warning", "delivered", "", Some("php_message")),
        (hiding_errors(), "bom", "delivered", "", Some("bom_around_word")),
        (hiding_errors(), "newline", "delivered", "", Some("blanks_around_word")),
        (hiding_errors(), "status", "retry http_status", "503: \"success\"", None),
        (hiding_errors(), "redirect", "retry redirect", "302 → /login.php", None),
        (hiding_errors(), "missing", "retry script_unknown", "Primary script unknown", None),
    ] {
        let attempted = World::new(&options).run(script).await;
        assert_eq!(said(&attempted), expected, "{script}: {attempted:?}");
        assert!(detail(&attempted).contains(detail_part), "{script}: {attempted:?}");
        if let Some(note) = note {
            assert!(notes(&attempted).contains(&note), "{script}: {attempted:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_php_is_refused_by_name() {
    let world = World::new(&Options::default());
    let text = target(&settings(&world.fpm.address(), &world.fpm.root().join("script.txt")));
    let attempted = deliver(&*text, envelope("x"), ENOUGH).await;
    assert_eq!(said(&attempted), "retry access_denied", "{attempted:?}");
    assert!(detail(&attempted).contains("security.limit_extensions"), "{attempted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_of_reading_and_writing_blocks() {
    for tcp in [false, true] {
        let world = World::new(&Options { tcp, ..hiding_errors() });
        let body = vec![b'z'; 2 * 1024 * 1024];
        for script in ["stderr", "unread", "flushed", "raw"] {
            let attempted = world.deliver(with_body(script, body.clone())).await;
            assert_eq!(said(&attempted), "delivered", "{script}: {attempted:?}");
            assert!(attempted.stderr.chars().count() <= 4001, "{script}");
        }
        assert_eq!(world.written("flushed.txt"), body.len().to_string());
        assert_eq!(said(&world.run("count").await), "delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_end_is_cut() {
    let world = World::new(&Options::default());
    let attempted = world.run("endless").await;
    assert_eq!(said(&attempted), "unknown answer_too_long");
    assert!(attempted.body_head.starts_with("page page"));
    assert_eq!(said(&world.run("count").await), "delivered");
}

// What scripts are told.

fn server(world: &World) -> serde_json::Value {
    serde_json::from_str(&world.written("server.json")).expect("the script wrote what it was told")
}

fn platform_headers(envelope: &mut Envelope) {
    for (name, value) in
        [("Proxy", "http://evil.example"), ("X_Sign", "forged"), ("X-Sign", "a+b/c="), ("User-Agent", "Mozilla/4.0")]
    {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        envelope.request.as_mut().unwrap().headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Compares `$_SERVER` with what is expected, and nothing more than PHP's own additions.
fn assert_server(seen: &serde_json::Value, expected: &[(&str, &str)]) {
    let server = seen["server"].as_object().unwrap();
    for (name, value) in expected {
        assert_eq!(server.get(*name).and_then(|v| v.as_str()), Some(*value), "{name} in {server:#?}");
    }
    let known: BTreeSet<&str> = expected.iter().map(|(name, _)| *name).collect();
    let from_php =
        ["PHP_SELF", "REQUEST_TIME", "REQUEST_TIME_FLOAT", "FCGI_ROLE", "ORIG_SCRIPT_FILENAME", "argv", "argc"];
    for name in server.keys() {
        let is_known = known.contains(name.as_str()) || from_php.contains(&name.as_str());
        // Whom the pool runs as.
        let is_users = ["USER", "HOME"].contains(&name.as_str());
        assert!(is_known || is_users, "{name} was not expected");
    }
}

const GATEWAY: &[(&str, &str)] = &[
    ("TOLLBELL_DELIVERY", "dlv_1"),
    ("TOLLBELL_NOTIFICATION", "ntf_1"),
    ("TOLLBELL_ATTEMPT", "3"),
    ("TOLLBELL_EVENT_IDS", "evt_1"),
    ("TOLLBELL_EVENT_KINDS", "payment.succeeded"),
    ("TOLLBELL_MERCHANT", "default"),
    ("TOLLBELL_ENVIRONMENT", "live"),
    ("TOLLBELL_ORIGIN", "callback"),
    ("TOLLBELL_ORDER_NO", "20261121001"),
    ("TOLLBELL_PLATFORM_NO", "2026112122001"),
    ("TOLLBELL_AMOUNT", "10.00"),
    ("TOLLBELL_CURRENCY", "CNY"),
    ("REQUEST_METHOD", "POST"),
    ("CONTENT_TYPE", "application/x-www-form-urlencoded; charset=utf-8"),
    ("CONTENT_LENGTH", "71"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("SERVER_SOFTWARE", concat!("tollbell/", env!("CARGO_PKG_VERSION"))),
    ("SERVER_ADDR", "127.0.0.1"),
    ("REMOTE_ADDR", "203.0.113.7"),
    ("REMOTE_PORT", "0"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_X_SIGN", "a+b/c="),
    ("HTTP_USER_AGENT", "Mozilla/4.0"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_script_finds_itself_and_the_request() {
    let world = World::new(&Options::default());
    let mut envelope = envelope("server");
    platform_headers(&mut envelope);
    assert_eq!(said(&world.deliver(envelope).await), "delivered");
    let seen = server(&world);
    let root = world.fpm.root().display().to_string();
    let mut expected = GATEWAY.to_vec();
    let script = format!("{root}/server.php");
    expected.extend([
        ("TOLLBELL_CHANNEL", "server"),
        ("SCRIPT_FILENAME", script.as_str()),
        ("SCRIPT_NAME", "/server.php"),
        ("DOCUMENT_URI", "/server.php"),
        ("DOCUMENT_ROOT", root.as_str()),
        ("REQUEST_URI", "/server.php"),
        ("QUERY_STRING", ""),
        ("REQUEST_SCHEME", "http"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("HTTP_HOST", "localhost"),
        ("PHP_SELF", "/server.php"),
    ]);
    assert_server(&seen, &expected);
    assert_eq!(seen["post"]["subject"], "书 1");
    assert_eq!(seen["get"], serde_json::json!([]));
    assert_eq!(seen["proxy"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_controller_finds_its_route() {
    let fixtures = World::new(&Options::default());
    let root = fixtures.fpm.root().display().to_string();
    let settings = settings(&fixtures.fpm.address(), &fixtures.fpm.root().join("index.php"))
        .with("request_uri", SettingValue::Text("/payment/{channel}/notify".to_owned()))
        .with("document_root", SettingValue::Text(root.clone()))
        .with("server_name", SettingValue::Text("shop.example.com".to_owned()))
        .with("https", SettingValue::Flag(true))
        .with("forward_query", SettingValue::Flag(true))
        .with("params", SettingValue::Pairs(vec![("APP_ENV".to_owned(), "production".to_owned())]));
    let mut notice = envelope("shop-pay");
    platform_headers(&mut notice);
    let target = target(&settings);
    let attempted = deliver(&*target, notice, ENOUGH).await;
    assert_eq!(said(&attempted), "delivered", "{attempted:?}");
    let seen = server(&fixtures);
    let mut expected = GATEWAY.to_vec();
    let script = format!("{root}/index.php");
    expected.extend([
        ("TOLLBELL_CHANNEL", "shop-pay"),
        ("SCRIPT_FILENAME", script.as_str()),
        ("SCRIPT_NAME", "/index.php"),
        ("DOCUMENT_URI", "/index.php"),
        ("DOCUMENT_ROOT", root.as_str()),
        ("REQUEST_URI", "/payment/shop-pay/notify?from=anyone"),
        ("PATH_INFO", "/payment/shop-pay/notify"),
        ("QUERY_STRING", "from=anyone"),
        ("REQUEST_SCHEME", "https"),
        ("HTTPS", "on"),
        ("SERVER_NAME", "shop.example.com"),
        ("SERVER_PORT", "443"),
        ("HTTP_HOST", "shop.example.com"),
        ("APP_ENV", "production"),
    ]);
    assert_server(&seen, &expected);
    assert_eq!(seen["get"]["from"], "anyone");

    let attempted = deliver(&*target, envelope("other"), ENOUGH).await;
    assert_eq!(said(&attempted), "retry http_status", "{attempted:?}");
    assert!(attempted.body_head.contains("no route for /payment/other/notify"), "{attempted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_headers_than_one_record_holds_arrive() {
    let world = World::new(&Options::default());
    let mut notice = envelope("server");
    for number in 0..30 {
        let name = HeaderName::from_bytes(format!("x-long-{number}").as_bytes()).unwrap();
        notice
            .request
            .as_mut()
            .unwrap()
            .headers
            .insert(name, HeaderValue::from_str(&number.to_string().repeat(3500)).unwrap());
    }
    assert_eq!(said(&world.deliver(notice).await), "delivered");
    let seen = server(&world);
    for number in 0..30 {
        assert_eq!(seen["server"][format!("HTTP_X_LONG_{number}")], number.to_string().repeat(3500));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_php_works_and_stays_with_the_worker() {
    let options = Options { children: 1, ..Options::default() };
    let quiet = |settings: Settings| settings.with("idle_timeout", millis(0));
    let world = World::with(&options, quiet);
    assert_eq!(said(&world.run("quiet").await), "delivered");
    let hushed = target(
        &settings(&world.fpm.address(), &world.fpm.root().join("quiet.php"))
            .with("quiet_php", SettingValue::Flag(true))
            .with("idle_timeout", millis(0)),
    );
    assert_eq!(said(&deliver(&*hushed, envelope("x"), ENOUGH).await), "delivered");
    assert_eq!(said(&world.run("quiet").await), "delivered");
    // The third request did not ask for it: this is why the setting is off by default.
    assert_eq!(world.written("quiet.txt"), "1\n\n\n");
}

// Connections.

#[tokio::test(flavor = "multi_thread")]
async fn kept_connections_are_reused_and_never_exceed_the_cap() {
    let options = Options { children: 6, ..Options::default() };
    let world = World::with(&options, |settings| settings.with("max_connections", SettingValue::Number(2)));
    assert_eq!(world.target.demands().concurrency, 2);
    let world = Arc::new(world);
    let mut deliveries = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let world = Arc::clone(&world);
        deliveries.spawn(async move { said(&world.run("count").await) });
    }
    for outcome in deliveries.join_all().await {
        assert_eq!(outcome, "delivered");
    }
    let written = world.written("count.txt");
    let workers: BTreeSet<&str> = written.lines().filter_map(|line| line.split_once(' ')).map(|(_, pid)| pid).collect();
    assert_eq!(written.lines().count(), 40);
    assert!(workers.len() <= 2, "each connection stays with one worker: {workers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kept_connections_nothing_waits_behind_a_script_that_goes_on() {
    let world = World::with(&Options::default(), |settings| settings.with("idle_timeout", millis(0)));
    let begun_at = Instant::now();
    for _ in 0..3 {
        assert_eq!(said(&world.run("finish").await), "delivered");
    }
    assert!(begun_at.elapsed() < Duration::from_secs(3), "each had a worker of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_gives_its_worker_back() {
    let options = Options { children: 1, ..Options::default() };
    let world = World::with(&options, |settings| settings.with("idle_timeout", millis(300)));
    assert_eq!(said(&world.run("count").await), "delivered");
    let kept_at = Instant::now();
    let other = target(&settings(&world.fpm.address(), &world.fpm.root().join("count.php")));
    assert_eq!(said(&deliver(&*other, envelope("x"), ENOUGH).await), "delivered");
    assert!(kept_at.elapsed() >= Duration::from_millis(250), "the only worker was ours until then");

    other.close().await;
    let closed_at = Instant::now();
    assert_eq!(said(&world.run("count").await), "delivered");
    assert!(closed_at.elapsed() < Duration::from_millis(1500), "closing gives the worker back at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_reaches_max_requests_fails_no_delivery() {
    for tcp in [false, true] {
        for pause in [0, 5] {
            let world = World::new(&Options { tcp, children: 2, max_requests: 2, ..Options::default() });
            for number in 0..20 {
                let mut notice = envelope("count");
                notice.delivery = format!("dlv_{number}");
                let attempted = world.deliver(notice).await;
                assert_eq!(said(&attempted), "delivered", "{number}: {attempted:?}");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let written = world.written("count.txt");
            let deliveries: BTreeSet<&str> = written.lines().filter_map(|line| line.split(' ').next()).collect();
            assert_eq!((written.lines().count(), deliveries.len()), (20, 20), "each once:\n{written}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wants_to_go_is_not_held_by_its_connection() {
    // At `pm.max_requests` the only worker shuts its side and waits for ours before it is replaced.
    let options = Options { children: 1, max_requests: 1, ..Options::default() };
    let world = World::with(&options, |settings| settings.with("idle_timeout", millis(600_000)));
    assert_eq!(said(&world.run("count").await), "delivered");
    let other = target(&settings(&world.fpm.address(), &world.fpm.root().join("count.php")));
    let attempted = deliver(&*other, envelope("x"), Duration::from_secs(5)).await;
    assert_eq!(said(&attempted), "delivered", "{attempted:?}");
}

/// On one thread, and without a pause in which the runtime could learn that the connection was closed.
#[tokio::test]
async fn a_restart_that_the_runtime_has_not_seen_is_seen() {
    let mut world = World::new(&Options { tcp: true, ..Options::default() });
    assert_eq!(said(&world.run("count").await), "delivered");
    world.fpm.restart();
    // Past the time in which a close would belong to the request before.
    std::thread::sleep(Duration::from_millis(300));
    let attempted = world.run("count").await;
    assert_eq!((said(&attempted).as_str(), notes(&attempted)), ("delivered", vec![]));
    assert_eq!(world.written("count.txt").lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_php_fpm_heals_by_itself() {
    for tcp in [false, true] {
        let mut world = World::new(&Options { tcp, ..Options::default() });
        assert_eq!(said(&world.run("count").await), "delivered");
        world.fpm.restart();
        let attempted = world.run("count").await;
        assert_eq!((said(&attempted).as_str(), notes(&attempted)), ("delivered", vec![]));

        world.fpm.stop();
        let expected = if tcp { "retry fpm_down" } else { "retry socket_missing" };
        assert_eq!(said(&world.run("count").await), expected);
        world.fpm.launch();
        assert_eq!(said(&world.run("count").await), "delivered");
        assert_eq!(world.written("count.txt").lines().count(), 3);

        world.fpm.kill_hard();
        assert_eq!(said(&world.run("count").await), "retry fpm_down", "the socket's file is still there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_php_fpm_fails_no_delivery() {
    let world = World::new(&Options::default());
    for number in 0..30 {
        if number % 10 == 5 {
            let before = world.fpm.workers();
            send("-USR2", world.fpm.master());
            wait_until("other workers serve", || {
                let now = world.fpm.workers();
                !now.is_empty() && now.iter().all(|worker| !before.contains(worker))
            });
        }
        let attempted = world.run("count").await;
        assert_eq!(said(&attempted), "delivered", "{number}: {attempted:?}");
    }
    assert_eq!(world.written("count.txt").lines().count(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_takes_too_long_is_unknown_and_spoils_nothing() {
    let world = World::with(&Options::default(), |settings| settings.with("max_connections", SettingValue::Number(1)));
    assert_eq!(said(&world.run("count").await), "delivered");
    let attempted = deliver(&*world.target, envelope("sleep"), SHORT).await;
    assert_eq!(said(&attempted), "unknown timed_out", "{attempted:?}");
    assert_eq!(world.written("sleep.txt"), "begun\n");
    for _ in 0..3 {
        assert_eq!(said(&world.run("count").await), "delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_has_a_limit_of_its_own() {
    let world = World::with(&Options::default(), |settings| settings.with("first_byte_timeout", millis(300)));
    let begun_at = Instant::now();
    assert_eq!(said(&world.run("sleep").await), "unknown timed_out");
    assert!(begun_at.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_delivery_leaves_nothing_behind() {
    let world = World::with(&Options::default(), |settings| settings.with("max_connections", SettingValue::Number(1)));
    assert_eq!(said(&world.run("count").await), "delivered");
    for _ in 0..2 {
        let abandoned = tokio::time::timeout(SHORT, world.run("sleep")).await;
        assert!(abandoned.is_err(), "the script sleeps");
        // The one permit is back, and the connection with the old request is not used again.
        assert_eq!(said(&world.run("count").await), "delivered");
    }
    assert_eq!(world.written("sleep.txt"), "begun\nbegun\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_its_work_is_unknown() {
    for is_kept in [false, true] {
        let world = World::new(&Options::default());
        if is_kept {
            assert_eq!(said(&world.run("count").await), "delivered");
            // Past the time in which a close would belong to the request before.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let attempted = world.run("suicide").await;
        assert_eq!(said(&attempted), "unknown connection_lost", "{attempted:?}");
        assert_eq!(world.written("suicide.txt"), "begun\n", "it is not called again at once");
        assert_eq!(said(&world.run("count").await), "delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn php_fpm_killed_in_a_request_is_unknown() {
    let mut world = World::new(&Options::default());
    let target = Arc::clone(&world.target);
    let delivery = tokio::spawn(async move { deliver(&*target, envelope("sleep"), ENOUGH).await });
    wait_until("the script runs", || !world.written("sleep.txt").is_empty());
    world.fpm.kill_hard();
    let attempted = delivery.await.unwrap();
    assert_eq!(said(&attempted), "unknown connection_lost", "{attempted:?}");
    world.fpm.launch();
    assert_eq!(said(&world.run("count").await), "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_busy_and_not_unknown() {
    let options = Options { children: 1, pool_lines: vec!["listen.backlog = 1".to_owned()], ..Options::default() };
    let world = World::with(&options, |settings| {
        settings.with("connect_timeout", millis(200)).with("max_connections", SettingValue::Number(1))
    });
    let path = world.fpm.root().with_file_name("fpm.sock");
    // The worker takes one and waits for its request; the others queue.
    let mut waiting = Vec::new();
    wait_until("the queue is full", || match rustix_connect(&path) {
        Some(stream) => {
            waiting.push(stream);
            false
        }
        None => true,
    });
    assert_eq!(said(&world.run("count").await), "retry fpm_busy");
    drop(waiting);
    assert_eq!(said(&world.run("count").await), "delivered");
}

/// Connects without waiting; none when the queue is full.
fn rustix_connect(path: &Path) -> Option<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()) {
        Ok(()) => Some(socket),
        Err(rustix::io::Errno::AGAIN) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Names the socket for the run of this binary as another user.
const SOCKET_VARIABLE: &str = "TOLLBELL_TEST_SOCKET";

#[tokio::test]
async fn a_socket_of_another_user_is_named() {
    if let Ok(address) = std::env::var(SOCKET_VARIABLE) {
        let target = target(&settings(&address, Path::new("/w/notify.php")));
        assert_eq!(said(&deliver(&*target, envelope("x"), ENOUGH).await), "retry socket_permission");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("fpm.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    // Root may enter every socket, so the same test runs again as nobody.
    let binary = folder.path().join("again");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut command = std::process::Command::new(binary);
    command
        .args(["--exact", "a_socket_of_another_user_is_named"])
        .env(SOCKET_VARIABLE, format!("unix:{}", path.display()));
    if is_root {
        command.uid(65_534).gid(65_534);
    }
    let output = command.current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("unix:{}", folder.path().join("none.sock").display());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (address, expected) in [(missing, "retry socket_missing"), (format!("127.0.0.1:{port}"), "retry fpm_down")] {
        let target = target(&settings(&address, Path::new("/w/notify.php")));
        let attempted = deliver(&*target, envelope("x"), ENOUGH).await;
        assert_eq!(said(&attempted), expected, "{attempted:?}");
        assert!(detail(&attempted).contains(&address));
    }
}

#[tokio::test]
async fn without_time_nothing_is_sent() {
    let target = target(&settings("127.0.0.1:9", Path::new("/w/notify.php")));
    let attempted = target.deliver(&[envelope("x"), envelope("y")], Instant::now()).await;
    assert_eq!(attempted.iter().map(said).collect::<Vec<_>>(), ["retry no_time_left", "retry no_time_left"]);
}

// Servers that are no PHP-FPM, or a strange one.

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

fn answer(body: &str) -> Vec<u8> {
    [record(6, format!("Content-Type: text/plain\r\n\r\n{body}").as_bytes()), record(3, &[0; 8])].concat()
}

/// Reads one request up to the empty STDIN record.
fn read_request(stream: &mut std::net::TcpStream) -> bool {
    let mut header = [0; 8];
    while stream.read_exact(&mut header).is_ok() {
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        stream.read_exact(&mut content).unwrap();
        if header[1] == 5 && length == 0 {
            return true;
        }
    }
    false
}

/// A server that handles each connection with `serve`, told the connection's number.
fn serving(serve: impl Fn(usize, std::net::TcpStream) + Send + 'static) -> Arc<dyn Target> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            serve(number, stream.unwrap());
        }
    });
    target(&settings(&address, Path::new("/w/notify.php")))
}

#[tokio::test]
async fn a_connection_that_closes_late_after_the_last_request_is_no_failure() {
    // As a worker at `pm.max_requests`, only slower: the end, then a while, then the close, after the next
    // request was written but never read.
    let target = serving(|number, mut stream| {
        assert!(read_request(&mut stream));
        stream.write_all(&answer("success")).unwrap();
        if number == 0 {
            std::thread::sleep(Duration::from_millis(50));
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        }
    });
    let first = deliver(&*target, envelope("x"), ENOUGH).await;
    assert_eq!((said(&first).as_str(), notes(&first)), ("delivered", vec![]));
    let second = deliver(&*target, envelope("x"), ENOUGH).await;
    assert_eq!((said(&second).as_str(), notes(&second)), ("delivered", vec!["sent_again"]));
}

#[tokio::test]
async fn a_close_in_the_middle_of_work_is_not_taken_for_a_late_one() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let target = serving(move |_, mut stream| {
        while read_request(&mut stream) {
            if counted.fetch_add(1, Ordering::SeqCst) == 1 {
                std::thread::sleep(Duration::from_millis(400));
                return;
            }
            stream.write_all(&answer("success")).unwrap();
        }
    });
    assert_eq!(said(&deliver(&*target, envelope("x"), ENOUGH).await), "delivered");
    assert_eq!(said(&deliver(&*target, envelope("x"), ENOUGH).await), "unknown connection_lost");
    assert_eq!(requests.load(Ordering::SeqCst), 2, "it is not sent again");
}

/// A request whose parameters alone are more than a socket takes at once.
fn with_many_headers() -> Envelope {
    let mut notice = envelope("x");
    for number in 0..1000 {
        let name = HeaderName::from_bytes(format!("x-long-{number}").as_bytes()).unwrap();
        notice.request.as_mut().unwrap().headers.insert(name, HeaderValue::from_str(&"v".repeat(8000)).unwrap());
    }
    notice
}

#[tokio::test]
async fn a_request_whose_parameters_did_not_get_out_is_not_unknown() {
    let hanging_up = serving(|_, mut stream| stream.read_exact(&mut [0; 8]).unwrap());
    let attempted = deliver(&*hanging_up, with_many_headers(), ENOUGH).await;
    assert_eq!(said(&attempted), "retry not_sent", "{attempted:?}");

    let held = Mutex::new(Vec::new());
    let never_reading = serving(move |_, stream| held.lock().unwrap().push(stream));
    let attempted = deliver(&*never_reading, with_many_headers(), Duration::from_secs(2)).await;
    assert_eq!(said(&attempted), "retry fpm_busy", "{attempted:?}");
}

#[tokio::test]
async fn what_is_no_whole_fastcgi_answer_is_told_apart() {
    let end = |status| record(3, &[0, 0, 0, 0, status, 0, 0, 0]);
    let half = record(6, b"Content-Type: text/plain\r\n\r\nsuccess");
    let cases = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "retry not_fastcgi"),
        (end(2), "retry fpm_busy"),
        (end(1), "retry fastcgi_refused"),
        (end(3), "retry fastcgi_refused"),
        (end(9), "unknown fastcgi_refused"),
        (half.clone(), "unknown answer_broken_off"),
        ([half.clone(), b"garbage".to_vec()].concat(), "unknown protocol_error"),
        ([record(77, b"future"), answer("success")].concat(), "delivered"),
        (record(3, &[0; 8]), "retry empty_answer"),
        (Vec::new(), "unknown connection_lost"),
    ];
    for (bytes, expected) in cases {
        let target = serving(move |_, mut stream| {
            if read_request(&mut stream) {
                stream.write_all(&bytes).unwrap();
            }
        });
        let attempted = deliver(&*target, envelope("x"), ENOUGH).await;
        assert_eq!(said(&attempted), expected, "{attempted:?}");
    }
}
