use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollbell_channels::model::fact::NAME_BYTES_MAX;
use tollbell_channels::model::{AckMatch, Currency, Environment, EventKind, Money, RawRequest, Timestamp};
use tollbell_channels::settings::SettingValue;

use super::*;
use crate::targets::{EventView, forwarded};

fn settings(texts: &[(&'static str, &str)]) -> Settings {
    let base = Settings::without_environment().with("script", SettingValue::Text("/w/notify.php".to_owned()));
    texts.iter().fold(base, |all, (name, text)| all.with(name, SettingValue::Text((*text).to_owned())))
}

fn event(kind: EventKind, order_no: &str, minor: i64) -> EventView {
    EventView {
        id: format!("evt_{minor}"),
        kind,
        order_no: Some(order_no.to_owned()),
        platform_no: Some("P1".to_owned()),
        amount: Some(Money { minor, currency: Currency::CNY }),
        total: None,
        occurred_at: None,
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

fn envelope(headers: &[(&str, &str)], events: Vec<EventView>) -> Envelope {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Envelope {
        delivery: "dlv_1".to_owned(),
        attempt: 2,
        notification: "ntf_1".to_owned(),
        merchant: Arc::from("default"),
        channel: Arc::from("shop-pay"),
        environment: Environment::Sandbox,
        origin: "callback",
        events,
        request: Some(RawRequest {
            method: Method::POST,
            path: "/notify/shop-pay".to_owned(),
            query: Some("a=1".to_owned()),
            headers: map,
            body: Bytes::from_static(b"x=y"),
            source: Some("203.0.113.9".parse().unwrap()),
            received_at: Timestamp::UNIX_EPOCH,
        }),
        signed_query: Arc::new(|_| None),
        attempted_at: Timestamp::UNIX_EPOCH,
        fields: Arc::new(Vec::new),
        is_ack: Arc::new(|_| AckMatch::No),
    }
}

fn params(settings: &Settings, envelope: &Envelope) -> BTreeMap<String, String> {
    let list = Site::from_settings(settings).unwrap().params(envelope, envelope.request.as_ref().unwrap()).unwrap();
    let map: BTreeMap<_, _> =
        list.iter().map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect();
    assert_eq!(map.len(), list.len(), "no name comes twice");
    map
}

#[test]
fn a_script_and_a_front_controller_see_their_own_paths() {
    let plain = settings(&[]);
    let laravel = settings(&[("script", "/w/public/index.php"), ("request_uri", "/payment/{channel}/notify")]);
    let nested = settings(&[("script", "/w/pay/{channel}.php"), ("document_root", "/w/")]);
    let pathinfo = settings(&[("script", "/w/index.php"), ("request_uri", "/index.php/pay/%E6%94%AF?s=1&t=%00")]);
    let at_root = settings(&[("script", "/notify.php")]);
    for (settings, filename, name, root, uri, query, path_info) in [
        (&plain, "/w/notify.php", "/notify.php", "/w", "/notify.php", "", None),
        (
            &laravel,
            "/w/public/index.php",
            "/index.php",
            "/w/public",
            "/payment/shop-pay/notify",
            "",
            Some("/payment/shop-pay/notify"),
        ),
        (&nested, "/w/pay/shop-pay.php", "/pay/shop-pay.php", "/w", "/pay/shop-pay.php", "", None),
        (
            &pathinfo,
            "/w/index.php",
            "/index.php",
            "/w",
            "/index.php/pay/%E6%94%AF?s=1&t=%00",
            "s=1&t=%00",
            Some("/pay/支"),
        ),
        (&at_root, "/notify.php", "/notify.php", "/", "/notify.php", "", None),
    ] {
        let params = params(settings, &envelope(&[], vec![]));
        assert_eq!(params["SCRIPT_FILENAME"], filename);
        assert_eq!(params["SCRIPT_NAME"], name);
        assert_eq!(params["DOCUMENT_URI"], name);
        assert_eq!(params["DOCUMENT_ROOT"], root);
        assert_eq!(params["REQUEST_URI"], uri);
        assert_eq!(params["QUERY_STRING"], query);
        assert_eq!(params.get("PATH_INFO").map(String::as_str), path_info);
    }
}

#[test]
fn the_query_goes_on_only_when_configured() {
    let forwarding = settings(&[]).with("forward_query", SettingValue::Flag(true));
    assert_eq!(params(&forwarding, &envelope(&[], vec![]))["REQUEST_URI"], "/notify.php?a=1");
    let own = settings(&[("request_uri", "/n?own=1")]).with("forward_query", SettingValue::Flag(true));
    assert_eq!(params(&own, &envelope(&[], vec![]))["QUERY_STRING"], "own=1&a=1");
    let mut overriding = envelope(&[], vec![]);
    overriding.request.as_mut().unwrap().query = Some("own=2&a=1&%6fwn=3&owner=4&own".to_owned());
    assert_eq!(params(&own, &overriding)["QUERY_STRING"], "own=1&a=1&owner=4");
}

#[test]
fn a_query_in_which_the_message_stands_always_goes_on_as_it_was_written() {
    let mut signed = envelope(&[], vec![]);
    signed.signed_query = Arc::new(|request| request.query.clone());
    for query in ["pid=1&name=%e4%b8%ad+%2B&sign=x", "name=中文", &"a".repeat(20_000)] {
        signed.request.as_mut().unwrap().query = Some(query.to_owned());
        let found = params(&settings(&[]), &signed);
        // Only a blank has its other spelling.
        let query = query.replace('+', "%20");
        assert_eq!(found["QUERY_STRING"], query);
        assert_eq!(found["REQUEST_URI"], format!("/notify.php?{query}"));
        let own = settings(&[("request_uri", "/n?own=1")]);
        assert_eq!(params(&own, &signed)["QUERY_STRING"], format!("own=1&{query}"));
    }
    signed.request.as_mut().unwrap().query = None;
    assert_eq!(params(&settings(&[]), &signed)["QUERY_STRING"], "");
}

#[test]
fn headers_that_could_deceive_a_script_are_held_back() {
    let envelope = envelope(
        &[
            ("Proxy", "http://evil"),
            ("Proxy-Authorization", "x"),
            ("X_Signature", "forged"),
            ("X-Signature", "genuine"),
            ("X-Signature", "again"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("Forwarded", "for=1.2.3.4"),
            ("Cookie", "a=b"),
            ("Authorization", "Basic x"),
            ("Host", "evil"),
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("Accept-Encoding", "gzip"),
            ("If-None-Match", "*"),
            ("Tollbell-Event-Ids", "evt_forged"),
            ("Accept", "*/*"),
            ("User-Agent", "Mozilla/4.0"),
            ("Content-Type", "application/json"),
            ("Content-Length", "999"),
        ],
        vec![],
    );
    let seen = params(&settings(&[]), &envelope);
    let headers: BTreeMap<_, _> = seen.iter().filter(|(name, _)| name.starts_with("HTTP_")).collect();
    let expected = [
        ("HTTP_ACCEPT", "*/*"),
        ("HTTP_HOST", "localhost"),
        ("HTTP_USER_AGENT", "Mozilla/4.0"),
        ("HTTP_X_SIGNATURE", "genuine, again"),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, expected);
    assert_eq!((seen["CONTENT_TYPE"].as_str(), seen["CONTENT_LENGTH"].as_str()), ("application/json", "3"));

    let asking =
        settings(&[]).with("headers", SettingValue::Texts(vec!["Authorization".to_owned(), "x-hop".to_owned()]));
    let seen = params(&asking, &envelope);
    assert_eq!(seen["HTTP_AUTHORIZATION"], "Basic x");
    assert!(!seen.contains_key("HTTP_X_HOP"), "a header of the connection ends with it");
}

#[test]
fn headers_that_tell_of_a_sender_or_of_another_method_are_held_back() {
    let names = forwarded::DECEIVING;
    let mut list: Vec<(&str, &str)> = names.iter().map(|name| (*name, "1.2.3.4")).collect();
    let of_platforms = [
        ("wechatpay-signature", "a"),
        ("x-tsign-open-signature", "b"),
        ("shop-signature", "c"),
        ("shop-transmission-sig", "d"),
        ("x-http-signature", "e"),
        ("x-script", "f"),
        ("x-shipping", "g"),
    ];
    list.extend(of_platforms);
    let envelope = envelope(&list, vec![]);
    let variable = |name: &str| format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
    let seen = params(&settings(&[]), &envelope);
    let passed: Vec<_> = names.iter().filter(|name| seen.contains_key(&variable(name))).collect();
    assert!(passed.is_empty(), "{passed:?}");
    for (name, value) in of_platforms {
        assert_eq!(seen[&variable(name)], value);
    }
    // A merchant whose own proxy writes one can ask for it.
    let asking = settings(&[]).with("headers", SettingValue::Texts(vec!["CF-Connecting-IP".to_owned()]));
    assert_eq!(params(&asking, &envelope)["HTTP_CF_CONNECTING_IP"], "1.2.3.4");
}

#[test]
fn only_what_all_events_agree_on_is_stated() {
    let one = params(&settings(&[]), &envelope(&[], vec![event(EventKind::PaymentSucceeded, "O1", 1000)]));
    assert_eq!(one["TOLLBELL_AMOUNT"], "10.00");
    assert_eq!(one["TOLLBELL_CURRENCY"], "CNY");
    assert_eq!(one["TOLLBELL_ORDER_NO"], "O1");
    let events = vec![event(EventKind::PaymentSucceeded, "O1", 1000), event(EventKind::RefundSucceeded, "O1", 300)];
    let two = params(&settings(&[]), &envelope(&[], events));
    assert_eq!(two["TOLLBELL_EVENT_IDS"], "evt_1000,evt_300");
    assert_eq!(two["TOLLBELL_EVENT_KINDS"], "payment.succeeded,refund.succeeded");
    assert_eq!((two["TOLLBELL_ORDER_NO"].as_str(), two["TOLLBELL_PLATFORM_NO"].as_str()), ("O1", "P1"));
    assert!(!two.contains_key("TOLLBELL_AMOUNT"));
    let events = vec![event(EventKind::PaymentSucceeded, "O1", 1), event(EventKind::PaymentSucceeded, "O2", 2)];
    assert!(!params(&settings(&[]), &envelope(&[], events)).contains_key("TOLLBELL_ORDER_NO"));
}

#[test]
fn values_of_the_platform_are_bounded_and_visible() {
    let hostile = format!("A\n\0B{}", "字".repeat(500));
    let seen = params(&settings(&[]), &envelope(&[], vec![event(EventKind::PaymentSucceeded, &hostile, 1)]));
    let order_no = &seen["TOLLBELL_ORDER_NO"];
    assert!(order_no.starts_with("A\u{fffd}\u{fffd}B字"));
    assert!(order_no.len() <= NAME_BYTES_MAX && !order_no.chars().any(char::is_control));
}

#[test]
fn configured_params_win_and_quiet_php_is_asked_for() {
    let pairs = [("APP_ENV", "production"), ("SERVER_NAME", "x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let settings = settings(&[("server_name", "shop.example.com")])
        .with("params", SettingValue::Pairs(pairs.to_vec()))
        .with("quiet_php", SettingValue::Flag(true))
        .with("https", SettingValue::Flag(true))
        .with("server_port", SettingValue::Number(8443));
    let seen = params(&settings, &envelope(&[], vec![]));
    assert_eq!((seen["APP_ENV"].as_str(), seen["SERVER_NAME"].as_str()), ("production", "x"));
    assert_eq!(seen["HTTP_HOST"], "shop.example.com:8443");
    assert_eq!((seen["HTTPS"].as_str(), seen["REQUEST_SCHEME"].as_str()), ("on", "https"));
    assert!(seen["PHP_ADMIN_VALUE"].contains("display_errors=Off"));
}
