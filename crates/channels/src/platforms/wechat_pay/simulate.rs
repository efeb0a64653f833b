//! WeChat Pay's side: genuine notifications with throw-away keys, in the wire format of real ones.

mod office;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::settings::PUBLIC_KEY_ID_PREFIX;
use super::{JSON, NONCE, SERIAL, SIGNATURE, SIGNATURE_TYPE, TIMESTAMP, TYPE};
use crate::cipher::gcm::{Gcm, KEY_BYTES};
use crate::model::{Environment, EventKind, RawRequest};
use crate::settings::{SettingValue, Settings};
use crate::signature::key::{PublicKey, hex};
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Cover, Genuine, KeyOffice, OtherSide, Story, WrittenSetting};

/// The invented merchant.
const MCHID: &str = "1900000001";
const APPID: &str = "wx0000000000000001";

const BEIJING: Offset = Offset::constant(8);

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentFailed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::RefundAbnormal,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::DisputeOpened,
    EventKind::DisputeUpdated,
    EventKind::DisputeClosed,
    EventKind::AgreementSigned,
    EventKind::AgreementCancelled,
    EventKind::ProfitSharingSucceeded,
    EventKind::ProfitSharingReturned,
    EventKind::Other,
];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side::new())
}

struct Side {
    pair: Arc<RsaKeyPair>,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let pem = Zeroizing::new(self.public_key().to_pem().into_bytes());
        let text =
            |name, text: &str| WrittenSetting { name, value: SettingValue::Text(text.to_owned()), file_name: None };
        let key = |name, bytes, file| WrittenSetting { name, value: SettingValue::Key(bytes), file_name: Some(file) };
        vec![
            text("mchid", MCHID),
            WrittenSetting { name: "appid", value: SettingValue::Texts(vec![APPID.into()]), file_name: None },
            key("api_v3_key", Zeroizing::new(self.api_v3_key().to_vec()), "wechat_apiv3_key"),
            key("wechatpay_public_key", pem, "wechatpay_public.pem"),
            text("wechatpay_public_key_id", &self.key_id()),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.callback_under(story, &self.key_id())
    }

    fn export(&self) -> Vec<u8> {
        self.pkcs8().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let pair = RsaKeyPair::from_pkcs8(exported).map_err(|_| "not an RSA private key in PKCS #8".to_owned())?;
        self.pair = Arc::new(pair);
        Ok(())
    }

    fn key_office(&self) -> Option<Box<dyn KeyOffice>> {
        Some(Box::new(office::Office::new()))
    }
}

impl Side {
    /// With fresh keys.
    fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits");
        Self { pair: Arc::new(pair) }
    }

    /// A callback whose key goes by this serial.
    fn callback_under(&self, story: &Story, serial: &str) -> Genuine {
        let (event_type, original_type, plaintext) = message(story);
        let name = hex(digest(&SHA256, format!("{event_type}{plaintext}{}", story.serial).as_bytes()).as_ref());
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&name.as_bytes()[..12]);
        let cipher = Gcm::new(&self.api_v3_key()).expect("a key of 32 bytes");
        let boxed = cipher
            .close(&nonce, original_type.as_bytes(), plaintext.to_string().as_bytes())
            .expect("a short text can be sealed");
        let body = json!({
            "id": format!("{}-{}-{}-{}-{}", &name[..8], &name[8..12], &name[12..16], &name[16..20], &name[20..32]),
            "create_time": time(story.at),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "演示通知",
            "resource": {
                "original_type": original_type,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": STANDARD.encode(boxed),
                "associated_data": original_type,
                "nonce": String::from_utf8_lossy(&nonce),
            },
        });
        let request = self.request(story, serial, &name[32..], body.to_string().into_bytes());
        Genuine {
            request,
            cover: Cover::BodyAndHeaders {
                headers: &["wechatpay-timestamp", "wechatpay-nonce"],
                signature: "wechatpay-signature",
            },
        }
    }

    fn public_key(&self) -> PublicKey {
        PublicKey::of_pair("wechatpay_public_key", &self.pair).expect("a generated key has a public half")
    }

    fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("a generated key can be written");
        Zeroizing::new(der.as_ref().to_vec())
    }

    /// As random as the private key that it is made from, so that one export carries both.
    fn api_v3_key(&self) -> [u8; KEY_BYTES] {
        let pkcs8 = self.pkcs8();
        let seed = Zeroizing::new([b"api v3 key of the other side\n", pkcs8.as_slice()].concat());
        let text = Zeroizing::new(hex(digest(&SHA256, &seed).as_ref()));
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&text.as_bytes()[..KEY_BYTES]);
        key
    }

    /// One id for one key, ending in a digit as real ones do.
    fn key_id(&self) -> String {
        let digits: String =
            self.public_key().fingerprint().bytes().take(20).map(|b| char::from(b'0' + b % 10)).collect();
        format!("{PUBLIC_KEY_ID_PREFIX}0{MCHID}{digits}")
    }

    /// Signs by the three lines, written here a second time so that the tests compare two readings of them.
    fn request(&self, story: &Story, serial: &str, nonce: &str, body: Vec<u8>) -> RawRequest {
        let timestamp = story.at.as_second().to_string();
        let mut message = format!("{timestamp}\n{nonce}\n").into_bytes();
        message.extend_from_slice(&body);
        message.push(b'\n');
        let signature = sign_sha256(&self.pair, &message).expect("a generated key signs");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/4.0"));
        for (name, value) in [
            (TIMESTAMP, timestamp.as_str()),
            (NONCE, nonce),
            (SERIAL, serial),
            (SIGNATURE, &STANDARD.encode(signature)),
            (TYPE, SIGNATURE_TYPE),
        ] {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            headers.insert(name, HeaderValue::from_str(value).expect("a short ASCII text"));
        }
        RawRequest {
            method: Method::POST,
            path: "/notify/wechat_pay".into(),
            query: None,
            headers,
            body: Bytes::from(body),
            source: None,
            received_at: story.at,
        }
    }
}

/// The event, the kind of resource, and the resource.
fn message(story: &Story) -> (&'static str, &'static str, Value) {
    match story.kind {
        EventKind::RefundSucceeded => ("REFUND.SUCCESS", "refund", refund(story, "SUCCESS")),
        EventKind::RefundFailed => ("REFUND.CLOSED", "refund", refund(story, "CLOSED")),
        EventKind::RefundAbnormal => ("REFUND.ABNORMAL", "refund", refund(story, "ABNORMAL")),
        EventKind::TransferSucceeded => ("MCHTRANSFER.BILL.FINISHED", "mch_payment", transfer(story, "SUCCESS")),
        EventKind::TransferFailed => ("MCHTRANSFER.BILL.FINISHED", "mch_payment", transfer(story, "FAIL")),
        EventKind::ProfitSharingSucceeded => ("PROFITSHARING.SUCCESS", "profitsharing", share(story)),
        EventKind::ProfitSharingReturned => ("PROFITSHARING.RETURN", "profitsharing", share(story)),
        EventKind::PaymentFailed => ("TRANSACTION.FAIL", "transaction", failed_deduction(story)),
        EventKind::DisputeOpened => ("COMPLAINT.CREATE", "complaint", complaint(story, "CREATE_COMPLAINT")),
        EventKind::DisputeUpdated => ("COMPLAINT.STATE_CHANGE", "complaint", complaint(story, "CONTINUE_COMPLAINT")),
        EventKind::DisputeClosed => {
            ("COMPLAINT.STATE_CHANGE", "complaint", complaint(story, "MERCHANT_CONFIRM_COMPLETE"))
        }
        EventKind::AgreementSigned => ("ENTRUST.SIGN", "entrust", contract(story, "SIGNED")),
        EventKind::AgreementCancelled => ("ENTRUST.TERMINATE", "entrust", contract(story, "TERMINATED")),
        EventKind::Other => ("PAYSCORE.USER_CONFIRM", "payscore", confirmed_order(story)),
        _ => ("TRANSACTION.SUCCESS", "transaction", payment(story)),
    }
}

fn payment(story: &Story) -> Value {
    json!({
        "mchid": MCHID,
        "appid": APPID,
        "out_trade_no": story.order_no,
        "transaction_id": transaction(story),
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "attach": story.note,
        "success_time": time(story.at),
        "payer": { "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" },
        "amount": {
            "total": story.amount_minor,
            "payer_total": story.amount_minor,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
    })
}

/// Parking: the deduction failed, and the payer may still pay it back.
fn failed_deduction(story: &Story) -> Value {
    let mut failed = payment(story);
    for (name, value) in [
        ("trade_type", json!("PAP")),
        ("trade_state", json!("PAY_FAIL")),
        ("trade_state_desc", json!("扣款失败")),
        ("trade_scene", json!("PARKING")),
        ("user_repaid", json!("N")),
    ] {
        failed[name] = value;
    }
    failed
}

fn complaint(story: &Story, action: &str) -> Value {
    json!({ "complaint_id": format!("2000{:020}", number(&story.order_no)), "action_type": action })
}

fn contract(story: &Story, state: &str) -> Value {
    let mut contract = json!({
        "mchid": MCHID,
        "appid": APPID,
        "plan_id": 12535,
        "contract_id": format!("1230{:020}", number(&story.order_no)),
        "out_contract_code": story.order_no,
        "contract_display_account": "演示用户",
        "contract_state": state,
        "contract_signed_time": time(story.at),
        "contract_expired_time": "2115-02-01T00:00:00+08:00",
        "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
    });
    if state == "TERMINATED" {
        contract["contract_terminate_info"] = json!({
            "contract_terminated_time": time(story.at),
            "contract_termination_mode": "USER_TERMINATE",
        });
    }
    contract
}

/// A credit-score order that the payer confirmed: nothing was paid yet.
fn confirmed_order(story: &Story) -> Value {
    json!({
        "mchid": MCHID,
        "appid": APPID,
        "service_id": "500001",
        "out_order_no": story.order_no,
        "order_id": format!("1500{:020}", number(&story.order_no)),
        "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        "state": "DOING",
        "state_description": "USER_CONFIRM",
        "total_amount": story.amount_minor,
    })
}

fn refund(story: &Story, status: &str) -> Value {
    let number_of_refund = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
    let mut refund = json!({
        "mchid": MCHID,
        "transaction_id": transaction(story),
        "out_trade_no": story.order_no,
        "refund_id": format!("5030{:024}", number(&number_of_refund)),
        "out_refund_no": number_of_refund,
        "refund_status": status,
        "user_received_account": "支付用户零钱",
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
    let mut transfer = json!({
        "mchid": MCHID,
        "out_bill_no": story.order_no,
        "transfer_bill_no": format!("1330{:036}", number(&story.order_no)),
        "transfer_amount": story.amount_minor,
        "state": state,
        "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        "create_time": time(story.at),
        "update_time": time(story.at),
    });
    if state == "FAIL" {
        transfer["fail_reason"] = json!("PAYEE_ACCOUNT_ABNORMAL");
    }
    transfer
}

fn share(story: &Story) -> Value {
    json!({
        "mchid": MCHID,
        "transaction_id": transaction(story),
        "order_id": format!("3008{:024}", number(&story.order_no)),
        "out_order_no": story.order_no,
        "receiver": {
            "type": "MERCHANT_ID",
            "account": MCHID,
            "amount": story.amount_minor,
            "description": "分账",
        },
        "success_time": time(story.at),
    })
}

fn transaction(story: &Story) -> String {
    format!("4200{:024}", number(&story.order_no))
}

fn time(at: Timestamp) -> String {
    format!("{}+08:00", BEIJING.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S"))
}

/// A number from an order number, so that one order has one payment.
fn number(order_no: &str) -> u64 {
    let name = digest(&SHA256, order_no.as_bytes());
    name.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
