//! PayPal's side: deliveries under a throw-away key and its certificate, the certificates themselves, and the events behind
//! the API.

mod office;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::office::{CertificateOffice, EventOffice};
use super::certificate::{PATH, host};
use super::header::{ALGORITHM, VERSION, signed_text};
use super::settings::{CERTIFICATE, CLIENT, CONFIRM, MERCHANT, SECRET, WEBHOOK};
use super::{AUTH_ALGO, AUTH_VERSION, CERT_URL, TRANSMISSION_ID, TRANSMISSION_SIG, TRANSMISSION_TIME};
use crate::model::{Currency, Environment, EventKind, Money, RawRequest, Timestamp};
use crate::platforms::accounts::simulate::{Keys, key, number, post, settings, words};
use crate::platforms::crc32::crc32;
use crate::platforms::signed_body::JSON;
use crate::settings::{SettingValue, Settings};
use crate::signature::key::{PublicKey, hex};
use crate::signature::rsa::sign_sha256;
use crate::simulate::certificate::{Draft, Name};
use crate::simulate::{ApiOffice, Cover, Genuine, KeyOffice, OtherSide, Story, WrittenSetting};

/// What a delivery's signature covers.
const COVER: Cover =
    Cover::BodyAndHeaders { headers: &[TRANSMISSION_ID, TRANSMISSION_TIME], signature: TRANSMISSION_SIG };

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
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

/// Whom the platform's certificate is issued to, and by whom.
const PLATFORM: Name =
    Name { common: "messageverificationcerts.paypal.com", unit: "PayPal Production", organization: "PayPal, Inc." };
const AUTHORITY: Name =
    Name { common: "Demo EV Server CA", unit: "Certification Authority", organization: "tollbell demo" };

/// The word of the certificate that callbacks name.
const CERTIFICATE_NAME: &str = "CERT-360caa42-fca2a594-a5cafa77";

/// Before and after any test.
const EARLY: &str = "2000-01-01T00:00:00Z";
const LATE: &str = "2049-12-31T00:00:00Z";

/// Digits of the made-up client's secret.
const SECRET_DIGITS: usize = 48;

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side::new())
}

#[derive(Clone)]
struct Side {
    keys: Keys,
}

impl Side {
    fn new() -> Self {
        Self { keys: Keys::new() }
    }

    fn pair(&self) -> &Arc<RsaKeyPair> {
        &self.keys.0
    }

    /// A number of this side's own for a purpose.
    fn own(&self, purpose: &str) -> u64 {
        number(&format!("{purpose}/{}", public(self.pair()).fingerprint()))
    }

    fn webhook(&self) -> String {
        format!("{:017}", self.own("webhook"))
    }

    fn client(&self) -> String {
        format!("A{:019}", self.own("client"))
    }

    /// As random as the private key that it is made from, so that one export carries both.
    fn secret(&self) -> Zeroizing<String> {
        let exported = self.keys.export();
        let seed = Zeroizing::new([b"client secret of the other side\n", exported.as_slice()].concat());
        Zeroizing::new(hex(digest(&SHA256, &seed).as_ref())[..SECRET_DIGITS].to_owned())
    }

    /// The ids, which every channel needs.
    fn ids(&self) -> Vec<WrittenSetting> {
        let merchant = format!("M{:012}", self.own("merchant") % 1_000_000_000_000);
        vec![words(WEBHOOK, &[&self.webhook()]), words(MERCHANT, &[&merchant])]
    }

    /// The application's credentials.
    fn credentials(&self) -> [WrittenSetting; 2] {
        let client = SettingValue::Text(self.client());
        [
            WrittenSetting { name: CLIENT, value: client, file_name: None },
            key(SECRET, self.secret().as_bytes(), "paypal_client_secret"),
        ]
    }

    /// The platform's certificate, as an operator could have downloaded it.
    fn certificate(&self) -> WrittenSetting {
        let pem = issue(1, self.pair(), PLATFORM, (self.pair(), AUTHORITY), [EARLY, LATE], false);
        key(CERTIFICATE, pem.as_bytes(), "paypal_cert.pem")
    }

    /// An event as a delivery under this side's key.
    fn deliver(&self, event: &Value, seed: &str, at: Timestamp) -> RawRequest {
        let body = event.to_string().into_bytes();
        let (id, time) = (transmission(seed), at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let text = signed_text(&id, &time, &self.webhook(), crc32(&body));
        let signature = sign_sha256(self.pair(), text.as_bytes()).expect("a generated key signs");
        let url = format!("{}{PATH}{CERTIFICATE_NAME}", host(Environment::Sandbox));
        let mut request = post("/notify/paypal", JSON, body, at);
        for (name, value) in [
            (TRANSMISSION_ID, id),
            (TRANSMISSION_TIME, time),
            (TRANSMISSION_SIG, STANDARD.encode(signature)),
            (CERT_URL, url),
            (AUTH_ALGO, ALGORITHM.to_owned()),
            (AUTH_VERSION, VERSION.to_owned()),
        ] {
            let value = HeaderValue::from_str(&value).expect("plain text");
            request.headers.insert(HeaderName::from_static(name), value);
        }
        request
    }

    fn tell(&self, story: &Story) -> Genuine {
        let seed = seed(story);
        let request = self.deliver(&event(story, &event_id(&seed)), &seed, story.at);
        Genuine { request, cover: COVER }
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        settings(self.written_settings())
    }

    /// A channel that believes the signature alone: what is asked about has an office.
    fn written_settings(&self) -> Vec<WrittenSetting> {
        let mut written = self.ids();
        written.extend(self.credentials());
        written.push(words(CONFIRM, &["never"]));
        written.push(self.certificate());
        written
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.tell(story)
    }

    fn export(&self) -> Vec<u8> {
        self.keys.export().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.keys = Keys::import(exported)?;
        Ok(())
    }

    fn names_merchant(&self) -> bool {
        false
    }

    fn key_office(&self) -> Option<Box<dyn KeyOffice>> {
        Some(Box::new(CertificateOffice::new()))
    }

    fn api_office(&self) -> Option<Box<dyn ApiOffice>> {
        Some(Box::new(EventOffice::new()))
    }
}

fn public(pair: &RsaKeyPair) -> PublicKey {
    PublicKey::of_pair("key", pair).expect("a generated key has a public half")
}

/// A certificate for a key.
fn issue(
    serial: u64,
    of: &RsaKeyPair,
    subject: Name,
    (by, issuer): (&RsaKeyPair, Name),
    valid: [&str; 2],
    is_authority: bool,
) -> String {
    let [not_before, not_after] = valid.map(|text| text.parse().expect("a constant time"));
    let key = public(of);
    Draft { serial, subject, key: &key, issuer, not_before, not_after, is_authority }.sign(by)
}

/// What tells one callback from the next.
fn seed(story: &Story) -> String {
    format!("{}/{}/{}/{}", story.kind, story.order_no, story.amount_minor, story.serial)
}

fn event_id(seed: &str) -> String {
    format!("WH-{:017}-{:017}", number(seed), number(&format!("event/{seed}")))
}

/// A number in the form of a UUID.
fn transmission(seed: &str) -> String {
    let digits = hex(digest(&SHA256, format!("transmission/{seed}").as_bytes()).as_ref());
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..32]].join("-")
}

fn euro(minor: i64) -> Value {
    let currency = Currency::parse("EUR").expect("a currency");
    json!({ "currency_code": "EUR", "value": Money { minor, currency }.to_text() })
}

/// An event of a story.
fn event(story: &Story, id: &str) -> Value {
    let (kind, resource_type, resource) = resource(story);
    let time = story.at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    json!({
        "id": id,
        "event_version": "1.0",
        "create_time": time,
        "resource_type": resource_type,
        "resource_version": "2.0",
        "event_type": kind,
        "summary": format!("A demonstration: {}", story.note),
        "resource": resource,
        "links": [{
            "href": format!("https://api.sandbox.paypal.com{}{id}", super::api::PATH),
            "rel": "self",
            "method": "GET",
        }],
    })
}

/// The type of an event, of its object, and the object.
fn resource(story: &Story) -> (&'static str, &'static str, Value) {
    let payment = format!("{}/{}", story.order_no, story.serial);
    let id = |word: &str, of: &str| format!("{word}{:016}", number(&format!("{word}/{of}")) % 10_000_000_000_000_000);
    let capture = id("C", &payment);
    let time = story.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let paid = |id: &str, status: &str| {
        json!({
            "id": id,
            "status": status,
            "amount": euro(story.amount_minor),
            "invoice_id": story.order_no,
            "custom_id": story.note,
            "final_capture": true,
            "supplementary_data": { "related_ids": { "order_id": format!("O{}", &capture[1..]) } },
            "create_time": time,
            "update_time": time,
        })
    };
    let refund = |status: &str| {
        let of = format!("{payment}/{}/{}", story.refund_no.as_deref().unwrap_or_default(), story.amount_minor);
        json!({
            "id": id("R", &of),
            "status": status,
            "amount": euro(story.refunded_minor),
            "invoice_id": story.order_no,
            "note_to_payer": story.note,
            "create_time": time,
            "links": [{
                "href": format!("https://api.sandbox.paypal.com/v2/payments/captures/{capture}"),
                "rel": "up",
                "method": "GET",
            }],
        })
    };
    let dispute = |status: &str| {
        json!({
            "dispute_id": format!("PP-D-{}", number(&payment)),
            "status": status,
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "dispute_amount": euro(story.amount_minor),
            "create_time": time,
            "update_time": time,
            "disputed_transactions": [{
                "seller_transaction_id": capture,
                "invoice_number": story.order_no,
                "custom": story.note,
            }],
        })
    };
    let payout = |status: &str| {
        let amount = euro(story.amount_minor);
        json!({
            "payout_item_id": id("P", &payment),
            "transaction_id": id("T", &payment),
            "transaction_status": status,
            "payout_batch_id": id("B", &payment),
            "payout_item": {
                "amount": { "currency": amount["currency_code"], "value": amount["value"] },
                "sender_item_id": story.order_no,
                "note": story.note,
            },
            "time_processed": time,
        })
    };
    match story.kind {
        EventKind::PaymentPending => ("PAYMENT.CAPTURE.PENDING", "capture", paid(&capture, "PENDING")),
        EventKind::PaymentAuthorized => {
            ("PAYMENT.AUTHORIZATION.CREATED", "authorization", paid(&id("A", &payment), "CREATED"))
        }
        EventKind::PaymentFailed => ("PAYMENT.CAPTURE.DECLINED", "capture", paid(&capture, "DECLINED")),
        EventKind::PaymentClosed => {
            ("PAYMENT.AUTHORIZATION.VOIDED", "authorization", paid(&id("A", &payment), "VOIDED"))
        }
        EventKind::RefundSucceeded => ("PAYMENT.CAPTURE.REFUNDED", "refund", refund("COMPLETED")),
        EventKind::RefundFailed => ("PAYMENT.REFUND.FAILED", "refund", refund("FAILED")),
        EventKind::DisputeOpened => ("CUSTOMER.DISPUTE.CREATED", "dispute", dispute("OPEN")),
        EventKind::DisputeUpdated => ("CUSTOMER.DISPUTE.UPDATED", "dispute", dispute("UNDER_REVIEW")),
        EventKind::DisputeClosed => ("CUSTOMER.DISPUTE.RESOLVED", "dispute", dispute("RESOLVED")),
        EventKind::TransferSucceeded => ("PAYMENT.PAYOUTS-ITEM.SUCCEEDED", "payouts_item", payout("SUCCESS")),
        EventKind::TransferFailed => ("PAYMENT.PAYOUTS-ITEM.FAILED", "payouts_item", payout("FAILED")),
        EventKind::TransferReturned => ("PAYMENT.PAYOUTS-ITEM.RETURNED", "payouts_item", payout("RETURNED")),
        EventKind::PaymentSucceeded => ("PAYMENT.CAPTURE.COMPLETED", "capture", paid(&capture, "COMPLETED")),
        _ => ("VAULT.PAYMENT-TOKEN.CREATED", "payment_token", json!({ "id": id("V", &payment), "note": story.note })),
    }
}
