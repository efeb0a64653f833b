//! The side of the general trade system: genuine callbacks with throw-away keys, in the wire format of real ones.

use std::sync::Arc;

use aws_lc_rs::signature::RsaKeyPair;
use serde_json::{Value, json};

use super::HEADERS;
use crate::model::EventKind;
use crate::platforms::douyin::simulate::{
    fresh_pair, import, key, name, number, pkcs8, refund_no, resolved, signed_request, texts,
};
use crate::settings::Settings;
use crate::signature::key::PublicKey;
use crate::simulate::{Cover, Genuine, OtherSide, Story, WrittenSetting};

/// The invented mini program.
const APP_ID: &str = "tt312312313123000001";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentClosed,
    EventKind::PaymentFailed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::AgreementSigned,
    EventKind::AgreementCancelled,
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
        let public = PublicKey::of_pair("platform_public_key", &self.pair).expect("a generated key has a public half");
        vec![
            texts("app_id", APP_ID),
            key("platform_public_key", public.to_pem().as_bytes(), "douyin_platform_public.pem"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let (kind, message) = message(story);
        let body = json!({ "version": "3.0", "msg": message.to_string(), "type": kind }).to_string();
        let name = name(story);
        let more = [
            ("Byte-Logid", &name[..34]),
            ("Byte-Identifyname", "/msg/basic/payment/notify"),
            // Of nobody knows what; a receiver must not care.
            ("Signature", &name[..40]),
        ];
        let request =
            signed_request(&self.pair, "/notify/douyin_trade", story.at, &HEADERS, (&name[..16], &more), body.into());
        let cover =
            Cover::BodyAndHeaders { headers: &["byte-timestamp", "byte-nonce-str"], signature: "byte-signature" };
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

fn message(story: &Story) -> (&'static str, Value) {
    let order = format!("ots7{:020}", number(&story.order_no));
    let at = story.at.as_millisecond();
    let agreement = |status: &str| {
        json!({
            "app_id": APP_ID, "status": status, "auth_order_id": format!("ad7{:020}", number(&story.order_no)),
            "out_auth_order_no": story.order_no, "event_time": at, "cp_extra": format!("{} {}", story.note, story.serial),
        })
    };
    match story.kind {
        EventKind::RefundSucceeded => ("refund", refund(story, &order, "SUCCESS")),
        EventKind::RefundFailed => ("refund", refund(story, &order, "FAIL")),
        EventKind::PaymentClosed => ("payment", payment(story, &order, "CANCEL")),
        EventKind::PaymentFailed => {
            let mut failed = payment(story, &order, "FAIL");
            failed["pay_order_id"] = json!(order);
            failed["out_pay_order_no"] = json!(story.order_no);
            ("sign_pay_callback", failed)
        }
        EventKind::AgreementSigned => ("sign_callback", agreement("SUCCESS")),
        EventKind::AgreementCancelled => ("sign_callback", agreement("CANCEL")),
        EventKind::Other => {
            let settle = json!({
                "app_id": APP_ID, "status": "SUCCESS", "order_id": order, "settle_id": format!("7{:020}", story.serial),
                "out_settle_no": format!("S{}", story.order_no), "cp_extra": story.note, "event_time": at,
            });
            ("settle", settle)
        }
        _ => ("payment", payment(story, &order, "SUCCESS")),
    }
}

fn payment(story: &Story, order: &str, status: &str) -> Value {
    let mut payment = json!({
        "app_id": APP_ID,
        "out_order_no": story.order_no,
        "order_id": order,
        "status": status,
        "total_amount": story.amount_minor,
        "discount_amount": 0,
        "cp_extra": story.note,
        "message": format!("{status} {}", story.serial),
        "event_time": story.at.as_millisecond(),
    });
    if status == "SUCCESS" {
        payment["pay_channel"] = json!(1);
        payment["channel_pay_id"] = json!(format!("4200{:024}", story.serial));
        payment["merchant_uid"] = json!("71780371361923040001");
        payment["user_bill_pay_id"] = json!(format!("DTPO{:024}", story.serial));
    }
    payment
}

fn refund(story: &Story, order: &str, status: &str) -> Value {
    let ours = refund_no(story);
    json!({
        "app_id": APP_ID,
        "status": status,
        "order_id": order,
        "cp_extra": story.note,
        "message": format!("{status} {}", story.serial),
        "event_time": story.at.as_millisecond(),
        "refund_id": format!("otr7{:020}", number(&ours)),
        "out_refund_no": ours,
        "refund_total_amount": story.refunded_minor,
        "is_all_settled": false,
    })
}
