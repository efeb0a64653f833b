use bytes::Bytes;
use http::{HeaderMap, Method};

use super::settings::key_of;
use super::*;
use crate::form;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Identity, Proof};
use crate::settings::{SettingValue, SettingsError};
use crate::signature::hmac::HmacKey;
use crate::signature::key::hex;

mod challenged;
mod configured;
mod received;
mod told;

/// The key pair of the platform's own kits.
const PUBLIC: &str = "integration_public_key";
const PRIVATE: &str = "integration_private_key";

const AT: &str = "2026-11-21T04:00:00Z";

fn now() -> Timestamp {
    AT.parse().unwrap()
}

fn settings() -> Settings {
    let text = |text: &str| SettingValue::Text(text.to_owned());
    let texts = |texts: &[&str]| SettingValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
    Settings::new(Environment::Live)
        .with("merchant_id", text("gateway1"))
        .with("merchant_accounts", texts(&["shop_usd", "shop_eur"]))
        .with("public_key", texts(&[PUBLIC]))
        .with("private_key", SettingValue::Key(PRIVATE.as_bytes().to_vec().into()))
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

fn key() -> HmacKey {
    key_of(PRIVATE.as_bytes(), PUBLIC)
}

fn request(method: Method, query: Option<&str>, body: Vec<u8>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    RawRequest {
        method,
        path: "/notify/bt".to_owned(),
        query: query.map(str::to_owned),
        headers,
        body: Bytes::from(body),
        source: None,
        received_at: now(),
    }
}

fn form_of(signature: &str, payload: &str) -> RawRequest {
    let pairs = [("bt_signature", signature), ("bt_payload", payload)];
    request(Method::POST, None, form::encode(pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes()))))
}

/// The signature of a text by the one key.
fn signed(text: &str) -> String {
    format!("{PUBLIC}|{}", hex(&key().sign(text.as_bytes())))
}

/// Base64 as Ruby writes it: lines of sixty characters, and a line end behind the last.
fn payload_of(document: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(document);
    text.as_bytes().chunks(60).flat_map(|line| [std::str::from_utf8(line).unwrap(), "\n"]).collect()
}

fn sent(document: &str) -> RawRequest {
    let payload = payload_of(document);
    form_of(&signed(&payload), &payload)
}

fn document(kind: &str, subject: &str) -> String {
    format!(
        "<notification>\n  <timestamp type=\"datetime\">{AT}</timestamp>\n  <kind>{kind}</kind>\n  \
         <subject>\n{subject}\n</subject>\n</notification>\n"
    )
}

fn proven(request: &RawRequest) -> (Notification, Proof) {
    match channel().verify(request, now()) {
        Verdict::Genuine(proven) => proven.into_parts(),
        other => panic!("{other:?}"),
    }
}

fn read(kind: &str, subject: &str) -> Notification {
    proven(&sent(&document(kind, subject))).0
}

fn refused(request: &RawRequest) -> Rejection {
    match channel().verify(request, now()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// A transaction with everything in its place, and changes of single elements; an empty one takes it away.
fn transaction(changes: &[(&str, &str)]) -> String {
    let elements = [
        ("id", "<id>8xkr2q</id>"),
        ("status", "<status>settled</status>"),
        ("type", "<type>sale</type>"),
        ("currency-iso-code", "<currency-iso-code>USD</currency-iso-code>"),
        ("amount", "<amount>12.50</amount>"),
        ("merchant-account-id", "<merchant-account-id>shop_usd</merchant-account-id>"),
        ("order-id", "<order-id>T1001</order-id>"),
    ];
    let written = |(name, own): (&str, &str)| {
        let found = changes.iter().find(|(other, _)| *other == name);
        found.map_or_else(|| own.to_owned(), |(_, element)| (*element).to_owned())
    };
    let more: String = changes
        .iter()
        .filter(|(name, _)| elements.iter().all(|(known, _)| known != name))
        .map(|(_, element)| (*element).to_owned())
        .collect();
    format!("<transaction>{}{more}</transaction>", elements.map(written).concat())
}

fn minor(fact: &Fact) -> Option<(i64, String)> {
    fact.signed_money().map(|money| (money.minor, money.currency.code().to_owned()))
}

fn held(notification: &Notification) -> Vec<&'static str> {
    let mut words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
    words.dedup();
    words
}
