//! Adyen's side: items with a throw-away key, and with a channel's own.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::item::Envelope;
use super::settings::{ACCOUNTS, CAPTURE, Capture, Config, KEY};
use crate::json::Json;
use crate::model::{Environment, EventKind, RawRequest};
use crate::platforms::accounts::simulate::{key, number, post, words};
use crate::platforms::signed_body::JSON;
use crate::settings::{Settings, SettingsError};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;
use crate::simulate::{Carrier, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story, WrittenSetting};

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentFailed,
    EventKind::PaymentClosed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::DisputeOpened,
    EventKind::DisputeUpdated,
    EventKind::DisputeClosed,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::TransferReturned,
    EventKind::Other,
];

/// What is signed of an item that follows another one.
const SIGNED: &[&str] = &[
    "notificationItems/0/NotificationRequestItem/pspReference",
    "notificationItems/0/NotificationRequestItem/originalReference",
    "notificationItems/0/NotificationRequestItem/merchantAccountCode",
    "notificationItems/0/NotificationRequestItem/merchantReference",
    "notificationItems/0/NotificationRequestItem/amount/value",
    "notificationItems/0/NotificationRequestItem/amount/currency",
    "notificationItems/0/NotificationRequestItem/eventCode",
    "notificationItems/0/NotificationRequestItem/success",
];

const SIGNATURE: &str = "notificationItems/0/NotificationRequestItem/additionalData/hmacSignature";

/// Bytes of a key.
pub(in crate::platforms) const KEY_BYTES: usize = 32;

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side { digits: fresh() })
}

/// A fresh key, in hexadecimal.
pub(in crate::platforms) fn fresh() -> Zeroizing<String> {
    let mut random = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(random.as_mut_slice()).expect("the system has randomness");
    Zeroizing::new(hex(random.as_slice()).to_ascii_uppercase())
}

/// A key that was exported.
pub(in crate::platforms) fn import(exported: &[u8]) -> Result<Zeroizing<String>, String> {
    let is_key = exported.len() == KEY_BYTES * 2 && exported.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(exported).ok().filter(|_| is_key);
    text.map(|text| Zeroizing::new(text.to_owned())).ok_or_else(|| "not 64 hexadecimal digits".to_owned())
}

/// The key of its digits.
pub(in crate::platforms) fn hmac_key(digits: &str) -> HmacKey {
    let byte =
        |at: usize| u8::from_str_radix(digits.get(at * 2..at * 2 + 2).unwrap_or_default(), 16).unwrap_or_default();
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new((0..KEY_BYTES).map(byte).collect());
    HmacKey::new(&bytes, HmacHash::Sha256, KEY)
}

/// Items that a configured channel accepts.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    Ok(Box::new(Reflection { config: Config::build(settings)? }))
}

struct Side {
    digits: Zeroizing<String>,
}

impl Side {
    fn account(&self) -> String {
        format!("ExampleShop{:06}ECOM01", number(&self.digits) % 1_000_000)
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        let written = self.written_settings();
        written.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![
            words(ACCOUNTS, &[&self.account()]),
            key(KEY, self.digits.as_bytes(), "adyen_hmac_key"),
            words(CAPTURE, &["immediate"]),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let teller = Teller { account: &self.account(), capture: Capture::Immediate, environment: Environment::Live };
        let request = teller.request(story, &hmac_key(&self.digits));
        let is_modification = original(story, Capture::Immediate).is_some();
        let covered = if is_modification { Covered::Each(SIGNED) } else { Covered::Each(SIGNED_ALONE) };
        let cover = PairCover { carrier: Carrier::JsonTree, covered, signature: Some(SIGNATURE) };
        Genuine { request, cover: Cover::Pairs(cover) }
    }

    fn export(&self) -> Vec<u8> {
        self.digits.as_bytes().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.digits = import(exported)?;
        Ok(())
    }
}

/// The same of an item that follows nothing.
const SIGNED_ALONE: &[&str] = &[
    "notificationItems/0/NotificationRequestItem/pspReference",
    "notificationItems/0/NotificationRequestItem/merchantAccountCode",
    "notificationItems/0/NotificationRequestItem/merchantReference",
    "notificationItems/0/NotificationRequestItem/amount/value",
    "notificationItems/0/NotificationRequestItem/amount/currency",
    "notificationItems/0/NotificationRequestItem/eventCode",
    "notificationItems/0/NotificationRequestItem/success",
];

struct Reflection {
    config: Config,
}

impl Mirror for Reflection {
    fn stories(&self) -> Vec<EventKind> {
        let mut stories = STORIES.to_vec();
        if self.config.capture != Capture::Immediate {
            stories.push(EventKind::PaymentAuthorized);
        }
        stories
    }

    fn callback(&self, story: &Story) -> RawRequest {
        let account = self.config.accounts.first().map_or("", String::as_str);
        let teller = Teller { account, capture: self.config.capture, environment: self.config.environment };
        let mut request = teller.request(story, self.config.keys.first().expect("checked when it was built"));
        if let Some(basic) = &self.config.basic {
            let value = HeaderValue::from_str(basic.value()).expect("base64");
            request.headers.insert(AUTHORIZATION, value);
        }
        request
    }
}

/// Whose items are told, and how money is taken there.
struct Teller<'t> {
    account: &'t str,
    capture: Capture,
    environment: Environment,
}

impl Teller<'_> {
    fn request(&self, story: &Story, key: &HmacKey) -> RawRequest {
        let (code, success) = code(story.kind, self.capture);
        let is_refund = matches!(story.kind, EventKind::RefundSucceeded | EventKind::RefundFailed);
        let minor = if is_refund { story.refunded_minor } else { story.amount_minor };
        let own =
            format!("{code}/{}/{}/{}", story.order_no, story.refund_no.as_deref().unwrap_or_default(), story.serial);
        let original = original(story, self.capture);
        let is_payment = original.is_none() && story.kind.as_str().starts_with("payment.");
        let psp = if is_payment { payment(story) } else { reference(&own) };
        let mut item = json!({
            "additionalData": { "metadata.note": story.note },
            "amount": { "currency": "EUR", "value": minor },
            "eventCode": code,
            "eventDate": story.at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            "merchantAccountCode": self.account,
            "merchantReference": story.order_no,
            "paymentMethod": "visa",
            "pspReference": psp,
            "reason": "",
            "success": success,
        });
        if let Some(original) = original {
            item["originalReference"] = json!(original);
        }
        let is_live = if self.environment == Environment::Live { "true" } else { "false" };
        let mut message = json!({ "live": is_live, "notificationItems": [{ "NotificationRequestItem": item }] });
        let text = signed_text(&message);
        let signature = STANDARD.encode(key.sign(text.as_bytes()));
        message["notificationItems"][0]["NotificationRequestItem"]["additionalData"]["hmacSignature"] =
            json!(signature);
        post("/notify/adyen", JSON, message.to_string().into_bytes(), story.at)
    }
}

/// The text of the one item.
fn signed_text(message: &Value) -> String {
    let message = Json::parse(message.to_string().as_bytes()).expect("it was just written");
    let envelope = Envelope::read(&message).expect("an item as it should be");
    envelope.items.first().map(super::item::Item::signed_text).unwrap_or_default()
}

/// The kind of item, and its outcome.
fn code(kind: EventKind, capture: Capture) -> (&'static str, &'static str) {
    match kind {
        EventKind::PaymentSucceeded if capture != Capture::Immediate => ("CAPTURE", "true"),
        EventKind::PaymentPending => ("PENDING", "true"),
        EventKind::PaymentFailed => ("AUTHORISATION", "false"),
        EventKind::PaymentClosed => ("CANCELLATION", "true"),
        EventKind::RefundSucceeded => ("REFUND", "true"),
        EventKind::RefundFailed => ("REFUND_FAILED", "true"),
        EventKind::DisputeOpened => ("NOTIFICATION_OF_CHARGEBACK", "true"),
        EventKind::DisputeUpdated => ("CHARGEBACK", "true"),
        EventKind::DisputeClosed => ("PREARBITRATION_WON", "true"),
        EventKind::TransferSucceeded => ("PAYOUT_THIRDPARTY", "true"),
        EventKind::TransferFailed => ("PAYOUT_THIRDPARTY", "false"),
        EventKind::TransferReturned => ("PAIDOUT_REVERSED", "true"),
        EventKind::Other => ("RECURRING_CONTRACT", "true"),
        _ => ("AUTHORISATION", "true"),
    }
}

/// The payment that an item follows.
fn original(story: &Story, capture: Capture) -> Option<String> {
    let is_modification = match story.kind {
        EventKind::PaymentSucceeded => capture != Capture::Immediate,
        EventKind::PaymentClosed
        | EventKind::RefundSucceeded
        | EventKind::RefundFailed
        | EventKind::DisputeOpened
        | EventKind::DisputeUpdated
        | EventKind::DisputeClosed => true,
        _ => false,
    };
    is_modification.then(|| reference(&story.order_no))
}

/// The number of a story's own payment: the order's first one is what its refunds follow.
fn payment(story: &Story) -> String {
    if story.serial == 1 {
        reference(&story.order_no)
    } else {
        reference(&format!("{}/{}", story.order_no, story.serial))
    }
}

/// Sixteen digits, as Adyen's numbers have them.
fn reference(text: &str) -> String {
    format!("{:016}", number(text) % 10_000_000_000_000_000)
}
