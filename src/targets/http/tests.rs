//! The settings, what the schedule is told, and what goes out without the original request.

use std::collections::BTreeSet;

use tollbell_channels::model::{Currency, Environment, EventKind, Money};
use tollbell_channels::settings::SettingValue;

use super::*;
use crate::egress::EGRESS_WORDS;
use crate::targets::EventView;

fn text(text: &str) -> SettingValue {
    SettingValue::Text(text.to_owned())
}

fn key(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

fn base() -> Settings {
    Settings::without_environment().with("url", text("http://127.0.0.1:3000/payments"))
}

fn refused(settings: &Settings) -> (&'static str, &'static str) {
    let error = build(settings).err().expect("these settings are wrong");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    (error.setting, error.word)
}

fn writer(settings: &Settings) -> Writer {
    Writer {
        template: Template::from_settings(settings).unwrap(),
        format: format(settings).unwrap(),
        secrets: Secrets::from_settings(settings).unwrap(),
        headers: own_headers(settings).unwrap(),
        forwards_query: settings.flag("forward_query"),
        asked_headers: Vec::new(),
    }
}

fn envelope(format: Format) -> Envelope {
    let event = |id: &str| EventView {
        id: id.to_owned(),
        kind: EventKind::RefundSucceeded,
        order_no: Some("O\"1".to_owned()),
        platform_no: None,
        amount: Some(Money { minor: 1, currency: Currency::CNY }),
        total: Some(Money { minor: 300, currency: Currency::CNY }),
        occurred_at: None,
        recorded_at: "2026-11-21T08:00:00Z".parse().unwrap(),
    };
    Envelope {
        delivery: "dlv_1".to_owned(),
        attempt: 2,
        notification: "ntf_1".to_owned(),
        merchant: Arc::from("default"),
        channel: Arc::from("shop-pay"),
        environment: Environment::Sandbox,
        origin: "callback",
        events: if format == Format::Event { vec![event("evt_1")] } else { vec![event("evt_1"), event("evt_2")] },
        request: None,
        signed_query: Arc::new(|_| None),
        attempted_at: "2026-11-21T09:00:00Z".parse().unwrap(),
        fields: Arc::new(Vec::new),
        is_ack: Arc::new(|_| tollbell_channels::model::AckMatch::No),
    }
}

#[test]
fn one_setting_is_enough() {
    let demands = build(&base()).unwrap().demands();
    assert_eq!(demands.format, Format::Event);
    assert_eq!(demands.concurrency, 8);
    assert_eq!(demands.attempt_timeout, Duration::from_secs(15));
    assert_eq!(demands.wait_after_unknown, Duration::from_mins(5));
    let raw =
        base().with("format", text("raw")).with("terminate_timeout", SettingValue::Duration(Duration::from_mins(1)));
    let demands = build(&raw).unwrap().demands();
    assert_eq!((demands.format, demands.wait_after_unknown), (Format::Raw, Duration::from_secs(61)));
}

#[test]
fn wrong_settings_are_named_and_not_quoted() {
    let seconds = |seconds| SettingValue::Duration(Duration::from_secs(seconds));
    let pairs = |name: &str| SettingValue::Pairs(vec![(name.to_owned(), "hunter2".to_owned())]);
    let no_value = SettingValue::Pairs(vec![("x".to_owned(), "a\r\nhost: hunter2".to_owned())]);
    for (name, value, expected) in [
        ("url", text("hunter2.example.com"), ("url", "malformed")),
        ("url", text("ftp://hunter2/"), ("url", "malformed")),
        ("url", text("http://hunter2:0/"), ("url", "malformed")),
        ("url", text("http://{channel}.example.com/hunter2"), ("url", "malformed")),
        ("url", text("http://shop:{channel}/hunter2"), ("url", "malformed")),
        ("url", text("http://169.254.169.254/hunter2"), ("url", "out_of_range")),
        ("format", text("xml"), ("format", "unknown_word")),
        ("secret", key("hunter2"), ("secret", "malformed")),
        ("headers", pairs("Host"), ("headers", "malformed")),
        ("headers", pairs("Webhook-Signature"), ("headers", "malformed")),
        ("headers", pairs("Tollbell-Order-No"), ("headers", "malformed")),
        ("headers", pairs("Content-Type"), ("headers", "malformed")),
        ("headers", pairs("a b"), ("headers", "malformed")),
        ("headers", no_value, ("headers", "malformed")),
        ("secret_headers", key("hunter2"), ("secret_headers", "malformed")),
        ("secret_headers", key("Connection: hunter2"), ("secret_headers", "malformed")),
        ("secret_headers", key("hunter2 x: y"), ("secret_headers", "malformed")),
        ("forward_headers", SettingValue::Texts(vec!["Host".to_owned()]), ("forward_headers", "malformed")),
        ("ca", key("hunter2"), ("ca", "not_a_certificate")),
        ("client_certificate", key("hunter2"), ("client_key", "missing")),
        ("client_key", key("hunter2"), ("client_certificate", "missing")),
        ("max_connections", SettingValue::Number(0), ("max_connections", "out_of_range")),
        ("attempt_timeout", seconds(0), ("attempt_timeout", "out_of_range")),
        ("attempt_timeout", seconds(601), ("attempt_timeout", "out_of_range")),
        ("connect_timeout", seconds(16), ("connect_timeout", "relation")),
        ("terminate_timeout", seconds(0), ("terminate_timeout", "out_of_range")),
        ("idle_timeout", seconds(100_000), ("idle_timeout", "out_of_range")),
    ] {
        let shown = format!("{name} = {value:?}");
        assert_eq!(refused(&base().with(name, value)), expected, "{shown}");
    }
    let both = base().with("client_certificate", key("hunter2")).with("client_key", key("hunter2"));
    assert_eq!(refused(&both), ("client_certificate", "not_a_certificate"));
    assert_eq!(refused(&Settings::without_environment()), ("url", "missing"));
}

#[test]
fn an_event_outlives_its_request_and_a_raw_delivery_does_not() {
    let secret = key("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    let settings = base().with("url", text("http://127.0.0.1/{channel}")).with("secret", secret);
    let Ok(ask) = writer(&settings).write(&envelope(Format::Event)) else { panic!("an event can be written") };
    assert_eq!(ask.url.path_and_query(), "/shop-pay");
    assert_eq!(
        String::from_utf8(ask.body.to_vec()).unwrap(),
        "{\"id\":\"evt_1\",\"type\":\"refund.succeeded\",\"timestamp\":\"2026-11-21T08:00:00Z\",\"data\":{\
         \"merchant\":\"default\",\"channel\":\"shop-pay\",\"environment\":\"sandbox\",\"order_no\":\"O\\\"1\",\
         \"platform_no\":null,\"amount\":{\"minor\":1,\"currency\":\"CNY\",\"text\":\"0.01\"},\
         \"total\":{\"minor\":300,\"currency\":\"CNY\",\"text\":\"3.00\"},\"paid_at\":null,\"origin\":\"callback\",\
         \"attempt\":2,\"fields\":{}}}"
    );
    assert_eq!(ask.headers["webhook-timestamp"], "1795251600");
    let again = Secrets::from_settings(&settings).unwrap().sign("evt_1", 1_795_251_600, &ask.body);
    assert_eq!(ask.headers["webhook-signature"], again.as_str());

    let raw = settings.with("format", text("raw"));
    assert!(matches!(writer(&raw).write(&envelope(Format::Raw)), Err(Unwritable::BodyGone)));
    let mut none = envelope(Format::Event);
    none.events.clear();
    assert!(matches!(writer(&base()).write(&none), Err(Unwritable::EventGone)));
}

#[test]
fn the_wait_that_an_answer_asks_for_is_read() {
    let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    for (text, seconds) in [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("99999999999999999999999", Some(u64::from(u32::MAX))),
        ("Sat, 21 Nov 2026 08:01:30 GMT", Some(90)),
        ("Sat, 21 Nov 2026 07:59:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
    }
}

#[test]
fn a_redirect_names_the_machine_and_nothing_else() {
    let asked = Url::parse("http://shop:3000/hook").unwrap();
    for (location, shown) in [
        ("https://login.example.com/x?token=y", "https://login.example.com"),
        ("https://user:pass@login.example.com/", "https://login.example.com"),
        ("/login?next=secret", "another page of http://shop:3000"),
        ("//evil.example/x", "?"),
        ("javascript:alert(1)", "?"),
        ("", "?"),
    ] {
        assert_eq!(place_of(location, &asked), shown, "{location}");
    }
}

#[test]
fn advice_is_for_those_who_need_it() {
    let advised = |settings: &Settings| advise(settings).iter().map(|advice| advice.word).collect::<Vec<_>>();
    assert_eq!(advised(&base()), [UNSIGNED, NO_LIMIT]);
    let safe = base()
        .with("secret", key("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"))
        .with("terminate_timeout", SettingValue::Duration(Duration::from_mins(1)));
    assert_eq!(advised(&safe), Vec::<&str>::new());
    for (url, is_plain) in [
        ("http://10.1.2.3/", false),
        ("http://[fd00::1]/", false),
        ("http://localhost:3000/", false),
        ("http://shop:3000/", false),
        ("http://shop.internal/", false),
        ("http://shop.local./", false),
        ("https://shop.example.com/", false),
        ("http://shop.example.com/", true),
        ("http://localhost.example.com/", true),
        ("http://8.8.8.8/", true),
    ] {
        let expected = if is_plain { vec![PLAIN] } else { Vec::new() };
        assert_eq!(advised(&safe.clone().with("url", text(url))), expected, "{url}");
    }
}

#[test]
fn what_was_sent_is_unknown_and_what_was_not_is_tried_again() {
    let status = http::StatusCode::OK;
    let address = "127.0.0.1:1".parse().unwrap();
    let broken = |was_sent| EgressError::Broken { was_sent, status: Some(status), detail: String::new() };
    let errors = [
        EgressError::Setup(Setup::SystemRoots),
        EgressError::Url(crate::egress::UrlFault::Host),
        EgressError::Request { detail: String::new() },
        EgressError::Refused { address: "169.254.169.254".parse().unwrap(), class: Class::Metadata },
        EgressError::LookUp { host: String::new(), source: std::io::ErrorKind::NotFound.into() },
        EgressError::Busy,
        EgressError::Connect { address, source: std::io::ErrorKind::ConnectionRefused.into() },
        EgressError::ConnectTimedOut,
        EgressError::Tls { detail: String::new() },
        EgressError::TlsTimedOut,
        broken(false),
        broken(true),
        EgressError::Malformed { detail: String::new() },
        EgressError::TimedOut { status: Some(status) },
        EgressError::NoTimeLeft,
    ];
    let mut words = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for error in &errors {
        let attempted = failed(error, Duration::from_secs(1));
        let (is_unknown, reason) = match &attempted.outcome {
            Outcome::Unknown { reason } => (true, reason),
            Outcome::RetryLater { reason, .. } | Outcome::Declined { reason } => (false, reason),
            Outcome::Delivered => panic!("{error:?} confirms"),
        };
        assert_eq!(is_unknown, error.was_sent(), "{error:?}");
        assert!(REASONS.contains(&reason.word), "{}", reason.word);
        words.insert(reason.word);
        kinds.insert(error.word());
    }
    assert_eq!(words.len(), errors.len() - 1, "each has its own word; what cannot be written shares one");
    assert_eq!(kinds.len(), EGRESS_WORDS.len());
}

#[test]
fn words_are_unique() {
    assert_eq!(REASONS.iter().collect::<BTreeSet<_>>().len(), REASONS.len());
    assert_eq!(SETTINGS.iter().map(|s| s.name).collect::<BTreeSet<_>>().len(), SETTINGS.len());
}
