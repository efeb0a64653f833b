//! Mollie's side: signed events with a throw-away secret, and the API that answers about the payments of classic calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::FORM;
use super::api::PATH;
use super::event::{PREFIX, SIGNATURE};
use super::settings::{API_BASE, API_KEY, Config, SECRET};
use crate::channel::{ANSWER_BYTES_MAX, HttpAnswer, HttpAsk};
use crate::model::{Currency, EventKind, Money, RawRequest, Timestamp};
use crate::platforms::accounts::simulate::{key, number, post, settings};
use crate::platforms::signed_body::JSON;
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;
use crate::simulate::{
    ApiConduct, ApiOffice, Carrier, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story, Written,
    WrittenSetting,
};

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentFailed,
    EventKind::PaymentClosed,
    EventKind::Other,
];

const ASKED_STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentFailed,
    EventKind::PaymentClosed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::DisputeOpened,
    EventKind::DisputeClosed,
];

/// The invented profile.
const PROFILE: &str = "pfl_QkEhN94Ba1";

/// Bytes of randomness in a secret or key.
const RANDOM: usize = 16;

/// A new other side with a fresh secret and key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side { secret: fresh(), key: fresh() })
}

fn fresh() -> Zeroizing<String> {
    let mut random = [0; RANDOM];
    rand::fill(&mut random).expect("the system has randomness");
    Zeroizing::new(hex(&random))
}

/// Events that a configured channel accepts.
///
/// # Errors
/// When the channel has no secret of events.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let config = Config::build(settings)?;
    if config.secrets.is_empty() {
        return Err(SettingsError::new(SECRET, "missing"));
    }
    Ok(Box::new(Reflection { config }))
}

struct Side {
    secret: Zeroizing<String>,
    key: Zeroizing<String>,
}

fn profile() -> WrittenSetting {
    WrittenSetting { name: "profile_id", value: SettingValue::Text(PROFILE.to_owned()), file_name: None }
}

/// A token of an organisation, which serves both modes.
fn token(key_part: &str) -> String {
    format!("access_{key_part}")
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        settings(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![
            profile(),
            key(API_KEY, token(&self.key).as_bytes(), "mollie_api_key"),
            key(SECRET, self.secret.as_bytes(), "mollie_webhook_secret"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let secret = HmacKey::new(self.secret.as_bytes(), HmacHash::Sha256, SECRET);
        let request = signed(story, &entity(story, PROFILE, None), &secret);
        let written = Written { before: PREFIX, between: Some(","), is_percent_encoded: false };
        Genuine { request, cover: Cover::BodyAndWritten { headers: &[], signature: SIGNATURE, written } }
    }

    fn export(&self) -> Vec<u8> {
        format!("{}{}", *self.secret, *self.key).into_bytes()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(exported).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let parts = text.filter(|text| text.len() == RANDOM * 4).map(|text| text.split_at(RANDOM * 2));
        let (secret, key) = parts.ok_or("not two numbers of 32 hexadecimal digits")?;
        (self.secret, self.key) = (Zeroizing::new(secret.to_owned()), Zeroizing::new(key.to_owned()));
        Ok(())
    }

    fn api_office(&self) -> Option<Box<dyn ApiOffice>> {
        Some(Box::new(Office { key: fresh(), told: Mutex::default() }))
    }
}

struct Reflection {
    config: Config,
}

impl Mirror for Reflection {
    fn stories(&self) -> Vec<EventKind> {
        STORIES.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        let secret = self.config.secrets.first().expect("checked when it was made");
        let mode = match self.config.environment {
            crate::model::Environment::Live => "live",
            crate::model::Environment::Sandbox => "test",
        };
        signed(story, &entity(story, &self.config.profile_id, Some(mode)), secret)
    }
}

/// An event with its whole entity.
fn signed(story: &Story, entity: &Value, secret: &HmacKey) -> RawRequest {
    let kind = match story.kind {
        EventKind::Other => "sales-invoice.created".to_owned(),
        _ => format!("payment.{}", status(story.kind)),
    };
    let id = number(&format!("{kind}/{}/{}/{}", story.order_no, story.amount_minor, story.serial));
    let event = json!({
        "resource": "event",
        "id": format!("whev_{id}"),
        "type": kind,
        "entityId": entity["id"],
        "createdAt": time(story.at),
        "_embedded": { "entity": entity },
        "_links": {},
    });
    let body = event.to_string().into_bytes();
    let signature = format!("{PREFIX}{}", hex(&secret.sign(&body)));
    let mut request = post("/notify/mollie", JSON, body, story.at);
    let value = HeaderValue::from_str(&signature).expect("hexadecimal digits");
    request.headers.insert(HeaderName::from_static(SIGNATURE), value);
    request
}

fn status(kind: EventKind) -> &'static str {
    match kind {
        EventKind::PaymentPending => "pending",
        EventKind::PaymentAuthorized => "authorized",
        EventKind::PaymentFailed => "failed",
        EventKind::PaymentClosed => "expired",
        _ => "paid",
    }
}

/// A time as the platform writes it.
fn time(at: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(1));
    at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S+01:00").to_string()
}

fn euro(minor: i64) -> Value {
    let currency = Currency::parse("EUR").expect("a currency");
    json!({ "currency": "EUR", "value": Money { minor, currency }.to_text() })
}

fn payment_id(story: &Story) -> String {
    format!("tr_{}", number(&format!("{}/{}", story.order_no, story.serial)))
}

/// The entity of a story: a payment; an invoice for what has no money meaning.
fn entity(story: &Story, profile: &str, mode: Option<&str>) -> Value {
    let id = payment_id(story);
    let mut entity = match story.kind {
        EventKind::Other => json!({
            "resource": "sales-invoice",
            "id": format!("invoice_{}", number(&format!("{}/{}", story.order_no, story.serial))),
            "profileId": profile,
            "memo": story.note,
        }),
        _ => json!({
            "resource": "payment",
            "id": id,
            "description": format!("Order {}", story.order_no),
            "amount": euro(story.amount_minor),
            "metadata": { "order_id": story.order_no, "note": story.note },
            "status": status(story.kind),
            "profileId": profile,
            "createdAt": time(story.at),
        }),
    };
    if status(story.kind) == "paid" && story.kind != EventKind::Other {
        entity["paidAt"] = json!(time(story.at));
    }
    if let Some(mode) = mode {
        entity["mode"] = json!(mode);
    }
    entity
}

/// The API, and what it knows.
struct Office {
    key: Zeroizing<String>,
    told: Mutex<BTreeMap<String, Story>>,
}

impl ApiOffice for Office {
    fn written_settings(&self, base: &str) -> Vec<WrittenSetting> {
        vec![
            profile(),
            key(API_KEY, token(&self.key).as_bytes(), "mollie_api_key"),
            WrittenSetting { name: API_BASE, value: SettingValue::Text(base.to_owned()), file_name: None },
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        ASKED_STORIES
    }

    fn hint(&self, story: &Story) -> RawRequest {
        let id = payment_id(story);
        let body = format!("id={id}").into_bytes();
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(id, story.clone());
        post("/notify/mollie", FORM, body, story.at)
    }

    fn cover(&self) -> Cover {
        let pairs = PairCover { carrier: Carrier::Form, covered: Covered::Each(&["id"]), signature: None };
        Cover::Asked { pairs, header: None }
    }

    fn answer(&self, ask: &HttpAsk, conduct: ApiConduct) -> HttpAnswer {
        let failed = |status: u16, title: &str| answer(status, &json!({ "status": status, "title": title }));
        let shown = ask.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if shown != Some(&format!("Bearer {}", token(&self.key))) || conduct == ApiConduct::Denied {
            return failed(401, "Unauthorized Request");
        }
        match conduct {
            ApiConduct::Broken => return failed(500, "Internal Server Error"),
            ApiConduct::Throttled => {
                let mut answer = failed(429, "Too Many Requests");
                answer.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                return answer;
            }
            ApiConduct::Garbage => return HttpAnswer { body: "<html>busy</html>".into(), ..failed(200, "") },
            ApiConduct::Empty => return HttpAnswer { body: bytes::Bytes::new(), ..failed(200, "") },
            _ => {}
        }
        let asked = ask.url.split_once(PATH).map_or("", |(_, rest)| rest);
        let (id, query) = asked.split_once('?').unwrap_or((asked, ""));
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(story) = told.get(id) else { return failed(404, "Not Found") };
        let mode = if query.contains("testmode=true") { "test" } else { "live" };
        let mut payment = embedded(story, entity(story, PROFILE, Some(mode)));
        if conduct == ApiConduct::OtherNumber {
            payment["id"] = json!("tr_0");
        }
        let honest = answer(200, &payment);
        let body = match conduct {
            ApiConduct::Cut => honest.body.slice(..honest.body.len() / 2),
            ApiConduct::Twice => [b"{\"status\":\"paid\",", &honest.body[1..]].concat().into(),
            ApiConduct::Huge => [&honest.body[..], &vec![b' '; ANSWER_BYTES_MAX]].concat().into(),
            _ => honest.body.clone(),
        };
        HttpAnswer { body, ..honest }
    }
}

/// A payment with its refund or chargeback.
fn embedded(story: &Story, mut payment: Value) -> Value {
    let id = payment["id"].clone();
    let (mut refunds, mut chargebacks) = (Vec::new(), Vec::new());
    let unique = number(&format!("{}/{}", story.refund_no.as_deref().unwrap_or(&story.order_no), story.serial));
    match story.kind {
        EventKind::RefundSucceeded | EventKind::RefundFailed => {
            let status = if story.kind == EventKind::RefundSucceeded { "refunded" } else { "failed" };
            refunds.push(json!({
                "resource": "refund",
                "id": format!("re_{unique}"),
                "paymentId": id,
                "amount": euro(story.refunded_minor),
                "status": status,
                "createdAt": time(story.at),
            }));
            payment["amountRefunded"] = euro(story.refunded_minor);
        }
        EventKind::DisputeOpened | EventKind::DisputeClosed => {
            let mut chargeback = json!({
                "resource": "chargeback",
                "id": format!("chb_{unique}"),
                "paymentId": id,
                "amount": euro(story.amount_minor),
                "createdAt": time(story.at),
            });
            if story.kind == EventKind::DisputeClosed {
                chargeback["reversedAt"] = json!(time(story.at));
            }
            chargebacks.push(chargeback);
            payment["amountChargedBack"] = euro(story.amount_minor);
        }
        _ => {}
    }
    payment["_embedded"] = json!({ "refunds": refunds, "chargebacks": chargebacks });
    payment
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/hal+json"));
    HttpAnswer { status, headers, body: body.to_string().into() }
}
