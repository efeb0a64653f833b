//! What a script is given, and what it says.

use std::collections::BTreeSet;
use std::fs;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tollbell::targets::Envelope;
use tollbell_channels::settings::{SettingValue, Settings};

use super::world::{ENOUGH, World, deliver, detail, envelope, millis, notes, said, server, settings, target};
use crate::support::php_fpm::Options;

fn with_body(channel: &str, body: impl Into<Bytes>) -> Envelope {
    let mut envelope = envelope(channel);
    let request = envelope.request.as_mut().unwrap();
    request.body = body.into();
    request.headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
    envelope
}

fn showing_errors() -> Options {
    Options { php_values: vec![("display_errors".to_owned(), "1".to_owned())], ..Options::default() }
}

fn hiding_errors() -> Options {
    let values = [("display_errors", "0"), ("log_errors", "1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    Options { php_values: values.to_vec(), ..Options::default() }
}

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
