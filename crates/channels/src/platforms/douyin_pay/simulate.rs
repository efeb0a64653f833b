//! Douyin Pay's side: genuine notifications with throw-away keys, in the wire format of real ones.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::envelope::ALGORITHM;
use super::{HEADERS, SERIAL};
use crate::cipher::gcm::{Gcm, KEY_BYTES};
use crate::model::{EventKind, Timestamp};
use crate::platforms::beijing::BEIJING;
use crate::platforms::douyin::simulate::{
    fresh_pair, import, key, name, number, pkcs8, refund_no, resolved, signed_request, text, texts,
};
use crate::settings::Settings;
use crate::signature::key::{PublicKey, hex};
use crate::simulate::certificate::{Draft, Name};
use crate::simulate::{Cover, Genuine, OtherSide, Story, WrittenSetting};

/// The invented merchant.
const MCHID: &str = "7000000000000001";
const APPID: &str = "tt07e3715e98c9aac001";

const PLATFORM: Name = Name { common: "Douyin Pay platform", unit: "demo", organization: "Douyin Pay" };
const AUTHORITY: Name = Name { common: "Douyin Pay demo CA", unit: "demo", organization: "Douyin Pay" };

/// What stands before the certificate in its file.
const TITLE: &str = "# made for a test, of nobody:";

/// The certificate's validity: before and after any test.
const EARLY: &str = "2020-01-01T00:00:00Z";
const LATE: &str = "2049-12-31T00:00:00Z";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::RefundAbnormal,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::ProfitSharingSucceeded,
    EventKind::Other,
];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side { pair: fresh_pair() })
}

struct Side {
    pair: Arc<RsaKeyPair>,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        resolved(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![
            text("mchid", MCHID),
            texts("appid", APPID),
            key("encrypt_key", &self.encrypt_key(), "douyin_encrypt_key"),
            // With a line of text before, as people keep such files; a reader goes by the markers alone.
            key("platform_certs", format!("{TITLE}\n{}", self.certificate()).as_bytes(), "douyinpay_certs.pem"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let (event_type, original_type, plaintext) = message(story);
        let name = name(story);
        // Payments have the usual length, the others one that the platform may choose as well.
        let nonce = if story.kind == EventKind::PaymentSucceeded { &name[..12] } else { &name[..16] };
        let cipher = Gcm::new(&self.encrypt_key()).expect("a key of 32 bytes");
        let boxed = cipher
            .close(nonce.as_bytes(), original_type.as_bytes(), plaintext.to_string().as_bytes())
            .expect("a short text can be sealed");
        let mut resource = json!({
            "original_type": original_type,
            "algorithm": ALGORITHM,
            "ciphertext": STANDARD.encode(boxed),
            "associated_data": original_type,
            "nonce": nonce,
        });
        if original_type == "transaction" {
            resource["mchid"] = json!(MCHID);
        }
        let body = json!({
            "id": &name[..32],
            "create_time": time(story.at),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "演示通知",
            "resource": resource,
        });
        let serial = format!("40{:016X}", self.number());
        let request = signed_request(
            &self.pair,
            "/notify/douyin_pay",
            story.at,
            &HEADERS,
            (&name[32..], &[(SERIAL, serial.as_str())]),
            body.to_string().into_bytes(),
        );
        let cover = Cover::BodyAndHeaders {
            headers: &["douyinpay-timestamp", "douyinpay-nonce"],
            signature: "douyinpay-signature",
        };
        Genuine { request, cover }
    }

    fn export(&self) -> Vec<u8> {
        pkcs8(&self.pair).to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.pair = import(exported)?;
        Ok(())
    }
}

impl Side {
    fn public_key(&self) -> PublicKey {
        PublicKey::of_pair("platform_certs", &self.pair).expect("a generated key has a public half")
    }

    /// One number for one key.
    fn number(&self) -> u64 {
        number(&self.public_key().fingerprint())
    }

    /// As random as the private key that it is made from, so that one export carries both.
    fn encrypt_key(&self) -> [u8; KEY_BYTES] {
        let seed = [b"encrypt key of the other side\n", pkcs8(&self.pair).as_slice()].concat();
        let text = hex(digest(&SHA256, &seed).as_ref());
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&text.as_bytes()[..KEY_BYTES]);
        key
    }

    fn certificate(&self) -> String {
        let at = |text: &str| text.parse().expect("a constant time");
        Draft {
            serial: self.number(),
            subject: PLATFORM,
            key: &self.public_key(),
            issuer: AUTHORITY,
            not_before: at(EARLY),
            not_after: at(LATE),
            is_authority: false,
        }
        .sign(&self.pair)
    }
}

/// The event, the kind of resource, and the resource.
fn message(story: &Story) -> (&'static str, &'static str, Value) {
    match story.kind {
        EventKind::RefundSucceeded => ("REFUND.SUCCESS", "refund", refund(story, "SUCCESS")),
        EventKind::RefundFailed => ("REFUND.CLOSED", "refund", refund(story, "CLOSED")),
        EventKind::RefundAbnormal => ("REFUND.ABNORMAL", "refund", refund(story, "ABNORMAL")),
        EventKind::TransferSucceeded => ("TRANSFER.SUCCESS", "transfer", transfer(story, "SUCCESS")),
        EventKind::TransferFailed => ("TRANSFER.SUCCESS", "transfer", transfer(story, "FAIL")),
        EventKind::ProfitSharingSucceeded => ("SPLIT.SUCCESS", "profitsharing", share(story)),
        EventKind::Other => (
            "ASYNC_SPLIT.FINISH",
            "profitsharing",
            json!({
                "mchid": MCHID,
                "transaction_id": transaction(story),
                "order_id": format!("DPS{:020}", number(&story.order_no)),
                "out_order_no": format!("P{}", story.order_no),
                "state": "FINISHED",
                "receivers": [{ "account": MCHID, "amount": story.amount_minor, "result": "SUCCESS" }],
            }),
        ),
        _ => ("TRANSACTION.SUCCESS", "transaction", payment(story)),
    }
}

fn payment(story: &Story) -> Value {
    json!({
        "mchid": MCHID,
        "appid": APPID,
        "out_trade_no": story.order_no,
        "transaction_id": transaction(story),
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "attach": story.note,
        "success_time": time(story.at),
        "payer": { "openid": "o8fdc2b71a4b94c0d" },
        "amount": { "total": story.amount_minor, "payer_total": story.amount_minor, "currency": "CNY" },
    })
}

fn refund(story: &Story, status: &str) -> Value {
    let ours = refund_no(story);
    let mut refund = json!({
        "mchid": MCHID,
        "transaction_id": transaction(story),
        "out_trade_no": story.order_no,
        "refund_id": format!("DPR{:020}", number(&ours)),
        "out_refund_no": ours,
        "refund_status": status,
        "amount": {
            "total": story.amount_minor,
            "refund": story.refunded_minor,
            "payer_total": story.amount_minor,
            "payer_refund": story.refunded_minor,
        },
    });
    if status == "SUCCESS" {
        refund["success_time"] = json!(time(story.at));
    }
    refund
}

fn transfer(story: &Story, state: &str) -> Value {
    json!({
        "mch_id": MCHID,
        "appid": APPID,
        "out_bill_no": story.order_no,
        "transfer_bill_no": format!("DPT{:020}", number(&story.order_no)),
        // A text here, and nowhere else.
        "transfer_amount": story.amount_minor.to_string(),
        "state": state,
        "openid": "o8fdc2b71a4b94c0d",
        "transfer_remark": story.note,
        "create_time": time(story.at),
        "update_time": time(story.at),
    })
}

fn share(story: &Story) -> Value {
    json!({
        "mchid": MCHID,
        "transaction_id": transaction(story),
        "order_id": format!("DPS{:020}", number(&story.order_no)),
        "out_order_no": format!("P{}", story.order_no),
        "receiver": { "type": "MERCHANT_ID", "account": MCHID, "amount": story.amount_minor, "description": "分账" },
        "success_time": time(story.at),
    })
}

fn transaction(story: &Story) -> String {
    format!("DPP{:020}", number(&story.order_no))
}

fn time(at: Timestamp) -> String {
    format!("{}+08:00", BEIJING.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S"))
}
