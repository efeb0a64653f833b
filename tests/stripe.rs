//! One payment, told by three kinds of objects in any order, and more than once: the real program keeps one event of it.

mod support {
    pub(crate) mod gateway;
}

use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use support::gateway::{Setup, World, now};
use tollbell_channels::model::RawRequest;
use tollbell_channels::signature::hmac::{HmacHash, HmacKey};
use tollbell_channels::signature::key::hex;

/// A running gateway, and what its endpoint's secret signs.
struct Endpoint {
    world: World,
    key: HmacKey,
}

impl Endpoint {
    fn new() -> Self {
        // Nobody serves the target: these tests end with what is kept.
        let mut setup = Setup::new("127.0.0.1:9", Path::new("/nothing.php"));
        setup.platform = "stripe";
        let world = World::new(&setup);
        let secret = fs::read(world.path("stripe_secret")).unwrap();
        Self { world, key: HmacKey::new(&secret, HmacHash::Sha256, "secret") }
    }

    /// Sends an event, signed now.
    fn tell(&self, id: &str, kind: &str, object: &Value) {
        let at = now();
        let body = json!({
            "id": id, "object": "event", "type": kind, "created": at.as_second(), "livemode": true,
            "api_version": "2025-09-30.clover", "data": { "object": object },
        });
        let (body, time) = (body.to_string(), at.as_second());
        let tag = hex(&self.key.sign(format!("{time}.{body}").as_bytes()));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert("stripe-signature", HeaderValue::from_str(&format!("t={time},v1={tag}")).unwrap());
        let request = RawRequest {
            method: Method::POST,
            path: self.world.path_of_channel.clone(),
            query: None,
            headers,
            body: Bytes::from(body),
            source: None,
            received_at: at,
        };
        let reply = self.world.send(&request).expect("a reply");
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{kind}");
    }

    /// `kind minor` of each event of an order, with a word when it is held.
    fn events_of(&self, order: &str) -> Vec<String> {
        let events = self.world.events();
        let of_order = events.iter().filter(|event| event["data"]["order_no"] == order);
        let shown = |event: &Value| {
            let held = if event["concerns"] == json!([]) { "" } else { " held" };
            format!("{} {}{held}", event["type"].as_str().unwrap(), event["data"]["amount"]["minor"])
        };
        let mut shown: Vec<String> = of_order.map(shown).collect();
        shown.sort();
        shown
    }
}

/// What is told of one payment and its refund.
fn tellings(number: usize) -> Vec<(&'static str, Value)> {
    let (pi, ch, cs) = (format!("pi_{number}"), format!("ch_{number}"), format!("cs_{number}"));
    let metadata = json!({ "order_id": format!("T{number}") });
    vec![
        (
            "payment_intent.succeeded",
            json!({
                "id": pi, "object": "payment_intent", "amount": 1099, "amount_received": 1099, "currency": "usd",
                "latest_charge": ch, "status": "succeeded", "metadata": metadata,
            }),
        ),
        (
            "charge.succeeded",
            json!({
                "id": ch, "object": "charge", "amount": 1099, "amount_captured": 1099, "amount_refunded": 0,
                "captured": true, "currency": "usd", "payment_intent": pi, "status": "succeeded", "metadata": metadata,
            }),
        ),
        (
            "checkout.session.completed",
            json!({
                "id": cs, "object": "checkout.session", "amount_total": 1099, "currency": "usd", "payment_intent": pi,
                "payment_status": "paid", "client_reference_id": format!("T{number}"), "metadata": {},
            }),
        ),
        (
            "refund.created",
            json!({
                "id": format!("re_{number}"), "object": "refund", "amount": 300, "charge": ch, "currency": "usd",
                "payment_intent": pi, "status": "succeeded", "metadata": metadata,
            }),
        ),
    ]
}

fn orders(of: usize) -> Vec<Vec<usize>> {
    match of.checked_sub(1) {
        None => vec![Vec::new()],
        Some(last) => {
            let insert = |shorter: Vec<usize>| {
                (0..of).map(move |at| [&shorter[..at], &[last], &shorter[at..]].concat()).collect::<Vec<_>>()
            };
            orders(last).into_iter().flat_map(insert).collect()
        }
    }
}

#[test]
fn in_every_order_one_payment_is_one_event_and_one_refund_another() {
    let endpoint = Endpoint::new();
    let _gateway = endpoint.world.start();
    let orders = orders(4);
    assert_eq!(orders.len(), 24);
    for (number, order) in orders.iter().enumerate() {
        let tellings = tellings(number);
        // Each comes again behind all the others, as a repetition does, and once more under another id.
        for (round, id) in ["evt", "evt", "evt_again"].into_iter().enumerate() {
            for &at in order {
                let (kind, object) = &tellings[at];
                endpoint.tell(&format!("{id}_{number}_{at}"), kind, object);
            }
            let told = endpoint.events_of(&format!("T{number}"));
            assert_eq!(told, ["payment.succeeded 1099", "refund.succeeded 300"], "{order:?}, round {round}");
        }
    }
}

/// Another amount of the same payment is no second payment, and nobody is silent about it.
#[test]
fn another_amount_of_the_same_payment_is_held() {
    let endpoint = Endpoint::new();
    let _gateway = endpoint.world.start();
    let tellings = tellings(1);
    let (kind, intent) = &tellings[0];
    endpoint.tell("evt_1", kind, intent);
    let (kind, session) = &tellings[2];
    let mut other = session.clone();
    other["amount_total"] = json!(999);
    endpoint.tell("evt_2", kind, &other);
    assert_eq!(endpoint.events_of("T1"), ["payment.succeeded 1099", "payment.succeeded 999 held"]);
    // What was told before is not taken back by it.
    endpoint.tell("evt_3", kind, session);
    assert_eq!(endpoint.events_of("T1"), ["payment.succeeded 1099", "payment.succeeded 999 held"]);
}
