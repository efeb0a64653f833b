//! Every shipped file is whole; a broken one says what is wrong, the copied text is the same platform, and messages as
//! the platforms send them become the right facts.

mod america;
mod asia;
mod broken;
mod coins;
#[cfg(feature = "simulate")]
mod copied;
mod europe;
mod shops;
mod vectors;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

use super::*;
use crate::channel::Verdict;
use crate::model::{Amount, Money, Notification, RawRequest, Timestamp};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;

/// A secret that any recipe can read: as text, and as base64.
const SECRET: &str = "c2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2g=";

/// When every message is sent and read.
fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

/// A file that cannot be read would stop the program: it stops this test.
#[test]
fn every_shipped_file_is_read() {
    assert!(!SHIPPED.is_empty());
    for shipped in SHIPPED {
        let preset = Preset::read(shipped.kind, shipped.text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(preset.kind(), shipped.kind);
        assert!(by_kind(shipped.kind).is_some());
    }
}

/// A channel of this kind for an account, with the example for everything else that a merchant gives.
fn channel(kind: &str, account: &str, environment: Environment) -> Box<dyn Channel> {
    let preset = by_kind(kind).unwrap();
    let settings = preset.settings.iter().fold(Settings::new(environment), |all, setting| match setting.kind {
        SettingKind::Text if setting.name == "account" => all.with("account", SettingValue::Text(account.to_owned())),
        SettingKind::Text if setting.name == "api_base" => all,
        SettingKind::Text => all.with(setting.name, SettingValue::Text(setting.example.to_owned())),
        SettingKind::SecretKey => all.with(setting.name, SettingValue::Key(SECRET.as_bytes().to_vec().into())),
        SettingKind::PublicKey => {
            let public = format!("whpk_{}", STANDARD.encode(pair().public_key()));
            all.with(setting.name, SettingValue::Key(public.into_bytes().into()))
        }
        _ => all,
    });
    preset.build(&settings).unwrap()
}

/// The pair of a sender that signs with one.
fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    HmacKey::new(key, HmacHash::Sha256, "").sign(text.as_bytes())
}

/// A message signed as the platform's documents have it, a second time and without the recipe.
fn signed(kind: &str, body: &str) -> RawRequest {
    let by_text = |text: &str| hmac(SECRET.as_bytes(), text);
    let seconds = now().as_second();
    let millis = now().as_millisecond();
    let headers: Vec<(&str, String)> = match kind {
        "razorpay" => vec![("x-razorpay-signature", hex(&by_text(body)))],
        "checkout_com" => vec![("cko-signature", hex(&by_text(body)))],
        "coinbase_commerce" => vec![("x-cc-webhook-signature", hex(&by_text(body)))],
        "lemon_squeezy" => vec![("x-signature", hex(&by_text(body)))],
        "gocardless" => vec![("webhook-signature", hex(&by_text(body)))],
        "paddle" => {
            let tag = hex(&by_text(&format!("{seconds}:{body}")));
            vec![("paddle-signature", format!("ts={seconds};h1={tag}"))]
        }
        "coinbase_cdp" => {
            let tag = hex(&by_text(&format!("{seconds}.{body}")));
            let other = "0".repeat(64);
            vec![("x-hook0-signature", format!("t={seconds},v0={tag},h=content-type x-event-id,v1={other}"))]
        }
        "airwallex" => {
            vec![("x-timestamp", millis.to_string()), ("x-signature", hex(&by_text(&format!("{millis}{body}"))))]
        }
        "square" => {
            let url = "https://pay.example.com/notify/square";
            vec![("x-square-hmacsha256-signature", STANDARD.encode(by_text(&format!("{url}{body}"))))]
        }
        "shopify" => vec![
            ("x-shopify-hmac-sha256", STANDARD.encode(by_text(body))),
            ("x-shopify-shop-domain", "shop-1.myshopify.com".to_owned()),
            ("x-shopify-topic", "orders/paid".to_owned()),
        ],
        "worldline" => {
            vec![("x-gcs-signature", STANDARD.encode(by_text(body))), ("x-gcs-keyid", "webhooks-key-1".to_owned())]
        }
        "standard_webhooks" => {
            let key = STANDARD.decode(SECRET).unwrap();
            let tag = STANDARD.encode(hmac(&key, &format!("msg_1.{seconds}.{body}")));
            vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", format!("v1a,AAAA v1,{tag}")),
            ]
        }
        "standard_webhooks_v1a" => {
            let tag = STANDARD.encode(pair().sign(format!("msg_1.{seconds}.{body}").as_bytes()));
            vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", format!("v1,AAAA v1a,{tag}")),
            ]
        }
        other => panic!("nobody said how `{other}` signs"),
    };
    let headers = headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    let mut headers: HeaderMap = headers.collect();
    headers.insert("content-type", "application/json; charset=utf-8".parse().unwrap());
    RawRequest {
        method: http::Method::POST,
        path: format!("/notify/{kind}"),
        query: None,
        headers,
        body: body.to_owned().into(),
        source: None,
        received_at: now(),
    }
}

#[track_caller]
fn read(kind: &str, account: &str, body: &str) -> Notification {
    match channel(kind, account, Environment::Live).verify(&signed(kind, body), now()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{kind}: {other:?}: {body}"),
    }
}

/// What a message says: each fact as `kind name+names amount of order for payment`, then what a person must look at.
fn shown(notification: &Notification) -> String {
    let fact = |fact: &crate::model::Fact| {
        let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
        let is_named = fact.kind != crate::model::EventKind::Other;
        let money = |money: &Money| format!("{} {}", money.to_text(), money.currency);
        let amount = match &fact.amount {
            Amount::Stated(stated) => Some(money(stated)),
            Amount::Cumulative { total, .. } => Some(format!("total {}", money(total))),
            Amount::None => None,
            Amount::Unreadable => Some("?".to_owned()),
        };
        let order = fact.order_no.as_ref().map(|order| format!("of {order}"));
        let payment = fact.payment.as_ref().map(|payment| format!("for {payment}"));
        let identity = is_named.then(|| names.join("+"));
        let words = [Some(fact.kind.to_string()), identity, amount, order, payment];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let facts = notification.facts.iter().map(fact);
    let concerns = notification.concerns.iter().map(|concern| format!("held: {}", concern.word()));
    facts.chain(concerns).collect::<Vec<_>>().join("; ")
}

/// Each message of a table says what is expected of it.
#[track_caller]
fn check(kind: &str, account: &str, table: &[(&str, &str)]) {
    for (body, expected) in table {
        assert_eq!(shown(&read(kind, account, body)), *expected, "{kind}: {body}");
    }
}
