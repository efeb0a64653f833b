//! Antom's side: genuine notifications with a throw-away key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::header::{CLIENT, SIGNATURE, TIME, text};
use super::resigned::{signature_header, written};
use super::settings::{ADDRESSES, CAPTURE, CLIENTS, KEY, VERSION};
use crate::model::{EventKind, RawRequest};
use crate::platforms::accounts::simulate::{Keys, key, number, post, settings, words};
use crate::platforms::outside::JSON;
use crate::settings::{SettingValue, Settings};
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Cover, Genuine, OtherSide, Story, WrittenSetting};

/// What this side calls its key.
const KEY_VERSION: &str = "1";

/// The path that this side knows, wherever its notifications are brought.
const PATH: &str = "/notify/antom";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentFailed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::DisputeOpened,
    EventKind::DisputeUpdated,
    EventKind::DisputeClosed,
    EventKind::AgreementSigned,
    EventKind::AgreementCancelled,
    EventKind::Other,
];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side { keys: Keys::new() })
}

struct Side {
    keys: Keys,
}

impl Side {
    /// A client of this side's own.
    fn client_id(&self) -> String {
        let pem = self.keys.public_pem();
        format!("5J{:014}", number(&String::from_utf8_lossy(&pem)) % 100_000_000_000_000)
    }

    fn request(&self, story: &Story) -> RawRequest {
        let body = message(story).to_string().into_bytes();
        let (client_id, time) = (self.client_id(), written(story.at));
        let signature =
            sign_sha256(&self.keys.0, &text(PATH, &client_id, &time, &body)).expect("a generated key signs");
        let signature = signature_header(KEY_VERSION, &STANDARD.encode(signature));
        let mut request = post(PATH, JSON, body, story.at);
        for (name, value) in [(CLIENT, client_id), (TIME, time), (SIGNATURE, signature)] {
            let value = HeaderValue::from_str(&value).expect("visible ASCII");
            request.headers.insert(HeaderName::from_static(name), value);
        }
        request
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        settings(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let version = SettingValue::Text(KEY_VERSION.to_owned());
        vec![
            words(CLIENTS, &[&self.client_id()]),
            key(KEY, &self.keys.public_pem(), "antom_public.pem"),
            WrittenSetting { name: VERSION, value: version, file_name: None },
            words(ADDRESSES, &[PATH]),
            words(CAPTURE, &["later"]),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let cover = Cover::BodyAndHeaders { headers: &[CLIENT, TIME], signature: SIGNATURE };
        Genuine { request: self.request(story), cover }
    }

    fn export(&self) -> Vec<u8> {
        self.keys.export().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.keys = Keys::import(exported)?;
        Ok(())
    }
}

/// The body. What belongs to a payment that went before names the first notification's payment of the order.
fn message(story: &Story) -> Value {
    let unique = |what: &str| number(&format!("{what}/{}/{}", story.order_no, story.serial));
    let payment = |serial: u64| format!("20261121{:020}", number(&format!("payment/{}/{serial}", story.order_no)));
    let time = written(story.at);
    let amount = |minor: i64| json!({ "currency": "USD", "value": minor.to_string() });
    let result =
        |code: &str, status: &str| json!({ "resultCode": code, "resultStatus": status, "resultMessage": code });
    let paid = |kind: &str, result: Value| {
        json!({
            "notifyType": kind,
            "result": result,
            "paymentRequestId": story.order_no,
            "paymentId": payment(story.serial),
            "paymentAmount": amount(story.amount_minor),
            "paymentMethodType": "ALIPAY_CN",
            "paymentCreateTime": time,
            "paymentTime": time,
        })
    };
    let refund = |status: &str| {
        let number = story.refund_no.clone().unwrap_or_else(|| format!("R{}", unique("request")));
        json!({
            "notifyType": "REFUND_RESULT",
            "result": result("SUCCESS", "S"),
            "refundStatus": status,
            "refundRequestId": number,
            "refundId": format!("20261121{:020}", unique("refund")),
            "refundAmount": amount(story.refunded_minor),
            "refundTime": time,
        })
    };
    let dispute = |kind: &str| {
        json!({
            "disputeNotificationType": kind,
            "disputeId": format!("20261121{:020}", unique("dispute")),
            "paymentRequestId": story.order_no,
            "paymentId": payment(1),
            "disputeAmount": amount(story.amount_minor),
            "disputeTime": time,
            "disputeReasonMsg": "The buyer does not know the payment.",
        })
    };
    let subscription = |kind: &str, status: &str| {
        json!({
            "subscriptionNotificationType": kind,
            "subscriptionStatus": status,
            "subscriptionRequestId": story.order_no,
            "subscriptionId": format!("20261121{:020}", unique("subscription")),
            "subscriptionStartTime": time,
            "periodRule": { "periodType": "MONTH", "periodCount": "1" },
        })
    };
    let mut message = match story.kind {
        EventKind::PaymentPending => paid("PAYMENT_PENDING", result("SUCCESS", "S")),
        EventKind::PaymentAuthorized => {
            let mut card = paid("PAYMENT_RESULT", result("SUCCESS", "S"));
            card["paymentMethodType"] = json!("CARD");
            card["paymentResultInfo"] = json!({ "cardBrand": "VISA", "cardNo": "****1111" });
            card
        }
        EventKind::PaymentFailed => paid("PAYMENT_RESULT", result("USER_BALANCE_NOT_ENOUGH", "F")),
        EventKind::RefundSucceeded => refund("SUCCESS"),
        EventKind::RefundFailed => refund("FAIL"),
        EventKind::DisputeOpened => dispute("DISPUTE_CREATED"),
        EventKind::DisputeUpdated => dispute("DEFENSE_SUPPLIED"),
        EventKind::DisputeClosed => {
            let mut judged = dispute("DISPUTE_JUDGED");
            judged["disputeJudgedResult"] = json!("ACCEPT_BY_CUSTOMER");
            judged["disputeJudgedTime"] = json!(time);
            judged
        }
        EventKind::AgreementSigned => subscription("CREATE", "ACTIVE"),
        EventKind::AgreementCancelled => subscription("CANCEL", "CANCELLED"),
        EventKind::Other => json!({
            "authorizationNotifyType": "TOKEN_CANCELED",
            "authClientId": format!("{:016}", unique("client")),
            "reason": "The buyer ended it.",
        }),
        _ => paid("PAYMENT_RESULT", result("SUCCESS", "S")),
    };
    message["metadata"] = json!(story.note);
    message
}
