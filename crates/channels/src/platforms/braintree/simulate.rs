//! Braintree's side: notifications with a throw-away key pair, and with a channel's own.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use zeroize::Zeroizing;

use super::challenge::CHALLENGE;
use super::payload::{PAYLOAD, SIGNATURE};
use super::settings::{ACCOUNTS, Config, KeyPair, MERCHANT, PRIVATE, PUBLIC, key_of};
use crate::form;
use crate::model::{Currency, EventKind, Money, RawRequest, Reply, Timestamp};
use crate::platforms::accounts::simulate::{key, number, post, settings as settings_of, words};
use crate::platforms::outside::FORM;
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::hmac::HmacKey;
use crate::signature::key::hex;
use crate::simulate::{
    Carrier, Challenge, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story, WrittenSetting,
};

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
    EventKind::Other,
];

/// Bytes of a private key, which is written in hexadecimal.
const PRIVATE_BYTES: usize = 16;

/// Characters of a line of base64.
const LINE: usize = 60;

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let mut random = Zeroizing::new([0; PRIVATE_BYTES]);
    rand::fill(random.as_mut_slice()).expect("the system has randomness");
    Box::new(Side { private: Zeroizing::new(hex(random.as_slice())) })
}

/// Notifications that a configured channel accepts.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    Ok(Box::new(Reflection { config: Config::build(settings)? }))
}

struct Side {
    private: Zeroizing<String>,
}

impl Side {
    fn public(&self) -> String {
        format!("pk{:013}", number(&format!("public of {}", *self.private)) % 10_000_000_000_000)
    }

    fn merchant(&self) -> String {
        format!("gw{:010}", number(&format!("merchant of {}", *self.private)) % 10_000_000_000)
    }

    fn account(&self) -> String {
        format!("exampleshop{:06}", number(&format!("account of {}", *self.private)) % 1_000_000)
    }

    fn key(&self) -> HmacKey {
        key_of(self.private.as_bytes(), &self.public())
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        settings_of(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![
            WrittenSetting { name: MERCHANT, value: SettingValue::Text(self.merchant()), file_name: None },
            words(ACCOUNTS, &[&self.account()]),
            words(PUBLIC, &[&self.public()]),
            key(PRIVATE, self.private.as_bytes(), "braintree_private_key"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let pair = KeyPair { public: self.public(), key: self.key() };
        let cover =
            PairCover { carrier: Carrier::Form, covered: Covered::Each(&[PAYLOAD]), signature: Some(SIGNATURE) };
        Genuine { request: request(story, &pair, &self.account()), cover: Cover::Pairs(cover) }
    }

    fn challenge(&self, serial: u64) -> Option<Challenge> {
        let challenge = format!("{serial:016x}{:016x}", number(&serial.to_string()));
        let reply = format!("{}|{}", self.public(), hex(&self.key().sign(challenge.as_bytes())));
        let request = RawRequest {
            method: Method::GET,
            path: "/notify/braintree".to_owned(),
            query: Some(format!("{CHALLENGE}={challenge}")),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            source: None,
            received_at: Timestamp::UNIX_EPOCH,
        };
        let reply = Reply { status: 200, content_type: Some("text/plain"), body: reply.into() };
        Some(Challenge { request, reply })
    }

    fn export(&self) -> Vec<u8> {
        self.private.as_bytes().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let is_key = exported.len() == PRIVATE_BYTES * 2 && exported.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(exported).ok().filter(|_| is_key);
        let text = text.ok_or_else(|| "not 32 hexadecimal digits".to_owned())?;
        self.private = Zeroizing::new(text.to_owned());
        Ok(())
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
        let account = self.config.accounts.first().map_or("", String::as_str);
        request(story, self.config.pairs.first().expect("checked when it was built"), account)
    }
}

fn request(story: &Story, pair: &KeyPair, account: &str) -> RawRequest {
    let payload = lines(&STANDARD.encode(document(story, account)));
    let signature = format!("{}|{}", pair.public, hex(&pair.key.sign(payload.as_bytes())));
    let pairs = [(SIGNATURE, &signature), (PAYLOAD, &payload)];
    let body = form::encode(pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    post("/notify/braintree", FORM, body, story.at)
}

/// Base64 in lines. The last one has no line end here: with one that may be there or not, two forms would be one message.
fn lines(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let lines: Vec<String> = characters.chunks(LINE).map(|line| line.iter().collect()).collect();
    lines.join("\n")
}

/// The whole document.
fn document(story: &Story, account: &str) -> String {
    let (kind, subject) = subject(story, account);
    let at = story.at.strftime("%Y-%m-%dT%H:%M:%SZ");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<notification>\n  <timestamp type=\"datetime\">{at}</timestamp>\n  \
         <kind>{kind}</kind>\n  <subject>{subject}\n  </subject>\n</notification>\n"
    )
}

/// The kind, and what it is about.
fn subject(story: &Story, account: &str) -> (&'static str, String) {
    let own = transaction_id(story);
    let sale = |status| transaction(story, account, &own, status, "sale", "");
    let paid = transaction_number(&story.order_no);
    let refunded = format!("<refunded-transaction-id>{paid}</refunded-transaction-id>");
    let credit = |status| transaction(story, account, &own, status, "credit", &refunded);
    let local = format!("<payment-id>PAY-{own}</payment-id>");
    match story.kind {
        EventKind::PaymentPending => {
            let inner = sale("authorizing");
            ("local_payment_completed", format!("<local-payment>{local}{inner}</local-payment>"))
        }
        EventKind::PaymentAuthorized => ("subscription_charged_successfully", {
            let inner = sale("submitted_for_settlement");
            format!(
                "<subscription><id>{own}</id><transactions type=\"array\">{inner}</transactions>\
                 <add-ons type=\"array\"/><next-billing-date type=\"date\">2026-12-21</next-billing-date></subscription>"
            )
        }),
        EventKind::PaymentFailed => ("transaction_settlement_declined", sale("settlement_declined")),
        EventKind::PaymentClosed => {
            ("local_payment_expired", format!("<local-payment-expired>{local}{}</local-payment-expired>", note(story)))
        }
        EventKind::RefundSucceeded => ("transaction_settled", credit("settled")),
        EventKind::RefundFailed => ("refund_failed", credit("processor_declined")),
        EventKind::DisputeOpened => ("dispute_opened", dispute(story, account, &own, "open")),
        EventKind::DisputeUpdated => ("dispute_under_review", dispute(story, account, &own, "under_review")),
        EventKind::DisputeClosed => ("dispute_won", dispute(story, account, &own, "won")),
        EventKind::TransferSucceeded => ("disbursement", disbursement(story, account, &own, true)),
        EventKind::TransferFailed => ("disbursement_exception", disbursement(story, account, &own, false)),
        EventKind::Other => (
            "subscription_went_active",
            format!("<subscription><id>{own}</id><transactions type=\"array\"/>{}</subscription>", note(story)),
        ),
        _ => ("transaction_settled", sale("settled")),
    }
}

fn transaction(story: &Story, account: &str, own: &str, status: &str, is: &str, more: &str) -> String {
    let minor = if is == "credit" { story.refunded_minor } else { story.amount_minor };
    format!(
        "\n    <transaction>\n      <id>{own}</id>\n      <status>{status}</status>\n      <type>{is}</type>\n      \
         <currency-iso-code>USD</currency-iso-code>\n      <amount>{}</amount>\n      \
         <merchant-account-id>{account}</merchant-account-id>\n      <order-id>{}</order-id>\n      \
         <tax-amount nil=\"true\"/>\n      {more}{}\n    </transaction>",
        dollars(minor),
        escaped(&story.order_no),
        note(story)
    )
}

fn dispute(story: &Story, account: &str, own: &str, status: &str) -> String {
    let amount = dollars(story.amount_minor);
    format!(
        "<dispute><id>{own}</id><amount>{amount}</amount><amount-disputed>{amount}</amount-disputed>\
         <currency-iso-code>USD</currency-iso-code><kind>chargeback</kind>\
         <merchant-account-id>{account}</merchant-account-id><status>{status}</status>\
         <transaction><id>{}</id><amount>{amount}</amount><order-id>{}</order-id></transaction>{}</dispute>",
        transaction_number(&story.order_no),
        escaped(&story.order_no),
        note(story)
    )
}

fn disbursement(story: &Story, account: &str, own: &str, is_success: bool) -> String {
    format!(
        "<disbursement><id>{own}</id><transaction-ids type=\"array\"><item>{}</item></transaction-ids>\
         <success type=\"boolean\">{is_success}</success><retry type=\"boolean\">false</retry>\
         <merchant-account><id>{account}</id><currency-iso-code>USD</currency-iso-code></merchant-account>\
         <amount>{}</amount><disbursement-type>credit</disbursement-type>{}</disbursement>",
        transaction_number(&story.order_no),
        dollars(story.amount_minor),
        note(story)
    )
}

/// A merchant's own text.
fn note(story: &Story) -> String {
    format!("<custom-fields><note>{}</note></custom-fields>", escaped(&story.note))
}

/// A text as it may stand in an element.
fn escaped(text: &str) -> String {
    let sign = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '\t' | '\r' | '\n' => format!("&#{};", u32::from(c)),
        other => other.to_string(),
    };
    text.chars().map(sign).collect()
}

/// The number of what a story is about: the order's first payment is what its refunds and disputes follow.
fn transaction_id(story: &Story) -> String {
    match story.kind {
        EventKind::PaymentSucceeded | EventKind::PaymentPending | EventKind::PaymentFailed if story.serial == 1 => {
            transaction_number(&story.order_no)
        }
        EventKind::PaymentAuthorized if story.serial == 1 => transaction_number(&story.order_no),
        kind => {
            let refund = story.refund_no.as_deref().unwrap_or_default();
            transaction_number(&format!("{kind}/{}/{refund}/{}", story.order_no, story.serial))
        }
    }
}

fn transaction_number(text: &str) -> String {
    format!("t{:012}", number(text) % 1_000_000_000_000)
}

fn dollars(minor: i64) -> String {
    let currency = Currency::parse("USD").expect("ISO 4217 has it");
    Money { minor, currency }.to_text()
}
