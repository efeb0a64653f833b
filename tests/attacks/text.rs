//! Hostile text and facts that come in any order.

use std::fmt::Write as _;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use tollbell_channels::model::{EventKind, RawRequest};

use super::world::{Shop, all_delivered, is_success, metric};
use crate::support::gateway::{World, wait_for};

/// A genuine message of our own making: any bytes in any field.
fn signed(world: &World, pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(&world.side.export()).unwrap();
    let mut sorted: Vec<&(&str, &[u8])> = pairs.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let message =
        sorted.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat()).collect::<Vec<_>>().join(&b"&"[..]);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let mut body = String::new();
    let all = pairs.iter().copied().chain([("sign", signature.as_bytes()), ("sign_type", b"RSA2".as_slice())]);
    for (name, value) in all {
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        for byte in value {
            write!(body, "%{byte:02X}").unwrap();
        }
    }
    body.into_bytes()
}

/// Fields with the bytes that they shall have.
type Changed<'a> = &'a [(&'static str, &'a [u8])];

/// The fields of a paid trade, some of them replaced or added.
fn trade(world: &World, id: &str, changed: Changed<'_>) -> RawRequest {
    let mut pairs: Vec<(&str, Vec<u8>)> = [
        ("app_id", "9021000000000001"),
        ("auth_app_id", "9021000000000001"),
        ("charset", "utf-8"),
        ("version", "1.0"),
        ("notify_type", "trade_status_sync"),
        ("notify_time", "2026-01-01 10:00:00"),
        ("gmt_payment", "2026-01-01 10:00:00"),
        ("trade_no", id),
        ("notify_id", id),
        ("out_trade_no", id),
        ("trade_status", "TRADE_SUCCESS"),
        ("total_amount", "10.00"),
        ("seller_id", "2088000000000001"),
        ("body", "text"),
    ]
    .map(|(name, value)| (name, value.as_bytes().to_vec()))
    .to_vec();
    for (name, value) in changed {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value.to_vec()));
    }
    let pairs: Vec<(&str, &[u8])> = pairs.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/x-www-form-urlencoded"));
    RawRequest {
        method: http::Method::POST,
        path: "/notify/alipay".into(),
        query: None,
        headers,
        body: signed(world, &pairs).into(),
        source: None,
        received_at: crate::support::gateway::now(),
    }
}

#[test]
fn hostile_text_reaches_no_terminal_and_forges_no_line() {
    let shop = Shop::new();
    shop.mode("shout");
    let mut setup = shop.setup();
    setup.channel.clear();
    let world = World::new(&setup);
    world.reconfigure(|text| text.replace("format = \"json\"", "format = \"pretty\""));
    let gateway = world.start();
    let evil = "A\u{1b}[31m\r\n2026-01-01 forged line{detail}%n<b>';DROP TABLE events;--\u{9b}31m\u{202e}\0Z";
    let payment = trade(&world, "TEXT-1", &[("out_trade_no", evil.as_bytes()), ("body", evil.as_bytes())]);
    assert!(is_success(&world, &payment));
    let strange = trade(&world, "TEXT-2", &[("notify_type", evil.as_bytes()), ("trade_status", evil.as_bytes())]);
    assert!(is_success(&world, &strange));
    let mut forged = payment.clone();
    forged.body = [&payment.body[..], b"&%1b%5b31m%0a=%1b"].concat().into();
    forged.headers.insert("x-pay-channel", http::HeaderValue::from_bytes(b"\xff\xfe\t{x}").unwrap());
    assert!(!is_success(&world, &forged));
    world.send_to("/notify?channel=%1b[31m", &forged).unwrap();
    world.send_to("/notify", &forged).unwrap();
    wait_for("an attempt", || (!shop.runs().is_empty()).then_some(()));
    let ids: Vec<String> = world.events().iter().map(|e| e["notification"].as_str().unwrap().to_owned()).collect();
    wait_for("a recorded attempt", || {
        let shown = world.json(&["show", &ids[0]]);
        let attempts = shown[0]["deliveries"][0]["attempts"].as_array()?.clone();
        attempts.first().filter(|a| a["stderr"].as_str().is_some_and(|text| text.contains("owned"))).map(|_| ())
    });
    drop(gateway);
    let is_bad =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for args in [&["events"][..], &["tail", "--once"], &["show", &ids[0]], &["show", &ids[1]]] {
        let text = String::from_utf8(world.cli(args).stdout).unwrap();
        assert!(!text.contains(is_bad), "{args:?} prints control characters: {text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("2026-01-01 forged")),
            "{args:?} prints a forged line: {text}"
        );
        assert!(!text.is_empty());
    }
    let log = world.log();
    assert!(!log.contains(is_bad), "the log has control characters: {log:?}");
    assert!(!log.contains("forged line"), "a verified text is in the log");
}

#[test]
fn any_bytes_in_any_field_are_stored_once_and_answered() {
    let shop = Shop::new();
    let world = shop.world();
    let _gateway = world.start();
    let long = vec![b'9'; 64 * 1024];
    let gbk: &[u8] = b"\xd6\xa7\xb8\xb6";
    let cases: &[(&str, Changed<'_>)] = &[
        ("long order", &[("out_trade_no", &long)]),
        ("long trade", &[("trade_no", &long)]),
        ("long id", &[("notify_id", &long)]),
        ("long status", &[("trade_status", &long)]),
        ("huge amount", &[("total_amount", &long)]),
        ("most amount", &[("total_amount", b"92233720368547758.07")]),
        ("more amount", &[("total_amount", b"92233720368547758.08")]),
        ("negative", &[("total_amount", b"-92233720368547758.08")]),
        ("exponent", &[("total_amount", b"1e309")]),
        ("nan", &[("total_amount", b"NaN")]),
        ("refund of all", &[("refund_fee", b"92233720368547758.07"), ("gmt_refund", b"2026-01-01 10:00:00.1")]),
        ("negative refund", &[("refund_fee", b"-92233720368547758.07"), ("out_biz_no", b"R")]),
        ("far past", &[("notify_time", b"0000-00-00 00:00:00")]),
        ("far future", &[("notify_time", b"9999-12-31 23:59:59")]),
        ("NUL order", &[("out_trade_no", b"a\0b")]),
        ("broken UTF-8", &[("body", b"\xff\xfe\xc0\x80")]),
        ("GBK", &[("charset", b"gbk"), ("subject", gbk), ("out_trade_no", gbk)]),
        ("unknown charset", &[("charset", b"utf-7")]),
        ("unknown type", &[("notify_type", b"{channel}")]),
        ("empty order", &[("out_trade_no", b"")]),
    ];
    for (at, (what, changed)) in cases.iter().enumerate() {
        let request = trade(&world, &format!("ANY-{at}"), changed);
        let reply = world.send(&request).unwrap_or_else(|| panic!("{what}: no reply"));
        assert_eq!(reply.body, b"success", "{what}: genuine, and answered {}", reply.status);
        let again = world.send(&request).unwrap();
        assert_eq!(again.body, b"success", "{what}");
    }
    assert_eq!(metric(&world, "tollbell_stored_total{channel=\"alipay\"}"), u64::try_from(cases.len()).unwrap());
    for event in world.events() {
        let shown = world.json(&["show", event["id"].as_str().unwrap()]);
        assert!(!shown.is_empty());
    }
}

#[test]
fn one_fact_under_many_numbers_at_once_is_one_event() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payments: Vec<RawRequest> = (0..40).map(|_| world.payment("RACE-1", 1000)).collect();
    let mut refunds = Vec::new();
    for round in 0..5 {
        for (total, number) in [(300, Some("R1")), (500, Some("R2")), (1000, None)] {
            let mut story = world.story(EventKind::RefundSucceeded, "RACE-1", 1000);
            story.refunded_minor = total;
            story.refund_no = number.filter(|_| round % 2 == 0 || total == 300).map(str::to_owned);
            refunds.push(world.side.callback(&story).request);
        }
    }
    std::thread::scope(|scope| {
        for request in payments.iter().chain(refunds.iter().rev()).chain(&payments) {
            let world = &world;
            scope.spawn(move || assert!(is_success(world, request)));
        }
    });
    let events = world.events();
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!(count("payment.succeeded"), 1);
    assert!((1..=3).contains(&count("refund.succeeded")), "{events:#?}");
    assert!(events.iter().all(|event| event["concerns"].as_array().unwrap().is_empty()), "{events:#?}");
    let told: i64 = events
        .iter()
        .filter(|event| event["type"] == "refund.succeeded")
        .filter_map(|event| event["data"]["amount"]["minor"].as_i64())
        .sum();
    assert!(told <= 1000, "more was refunded than paid: {told}");
    wait_for("all deliveries", || {
        world.delivery_states().iter().all(|state| state == "delivered" || state == "held").then_some(())
    });
}

#[test]
fn the_life_of_a_trade_in_every_order_makes_the_same_facts() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let orders: &[[usize; 4]] = &[[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    for (at, order) in orders.iter().enumerate() {
        let number = format!("LIFE-{at}");
        let mut messages = Vec::new();
        for (kind, refunded) in [
            (EventKind::PaymentPending, 0),
            (EventKind::PaymentSucceeded, 0),
            (EventKind::RefundSucceeded, 400),
            (EventKind::PaymentFinalized, 0),
        ] {
            let mut story = world.story(kind, &number, 1000);
            story.refunded_minor = refunded;
            messages.push(world.side.callback(&story).request);
        }
        for message in order {
            assert!(is_success(&world, &messages[*message]));
        }
        let mut kinds: Vec<String> = world
            .json(&["events", "--order-no", &number])
            .iter()
            .map(|event| {
                assert!(event["concerns"].as_array().unwrap().is_empty(), "{order:?}: {event}");
                event["type"].as_str().unwrap().to_owned()
            })
            .collect();
        kinds.sort();
        assert_eq!(
            kinds,
            ["payment.finalized", "payment.pending", "payment.succeeded", "refund.succeeded"],
            "{order:?}"
        );
    }
}

#[test]
fn an_amount_that_contradicts_is_held_and_reaches_no_script() {
    let shop = Shop::new();
    let world = shop.world();
    let _gateway = world.start();
    assert!(is_success(&world, &trade(&world, "CONFLICT-1", &[])));
    all_delivered(&world, 1);
    let other = trade(&world, "CONFLICT-1", &[("notify_id", b"other"), ("total_amount", b"0.01")]);
    assert!(is_success(&world, &other));
    assert!(is_success(&world, &other));
    assert_eq!(world.delivery_states(), ["delivered", "held"]);
    assert_eq!(shop.runs().len(), 1);
}

/// A lower total that comes late proves that the difference was that of two refunds: what is kept says so.
#[test]
fn a_refund_that_came_before_an_earlier_one_is_not_told_with_the_amount_of_both() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("LATE-1", 1000);
    assert!(is_success(&world, &payment));
    for (total, number) in [(500, "R2"), (300, "R1")] {
        let mut refund = world.story(EventKind::RefundSucceeded, "LATE-1", 1000);
        refund.refunded_minor = total;
        refund.refund_no = Some(number.into());
        let callback = world.side.callback(&refund).request;
        assert!(is_success(&world, &callback));
    }
    let events = world.events();
    let second = events.iter().find(|event| event["data"]["total"]["minor"] == 500).unwrap();
    let told = &second["data"]["amount"]["minor"];
    assert!(told.is_null() || *told == 200, "2.00 were refunded under R2, and it is told as {told}");
}
