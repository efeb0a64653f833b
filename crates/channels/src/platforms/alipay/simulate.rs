//! Alipay's side: genuine notifications with throw-away keys, in the wire format of real ones.

mod office;

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::times;
use crate::form;
use crate::model::{Currency, Environment, EventKind, Money, RawRequest};
use crate::settings::{SettingValue, Settings};
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Carrier, Cover, Covered, Genuine, KeyOffice, OtherSide, PairCover, Story, WrittenSetting};

/// The invented merchant. Real ids of this shape begin with a year.
const APP_ID: &str = "9021000000000001";
const SELLER_ID: &str = "2088000000000001";

/// What Alipay really writes as content type.
const ODD_CONTENT_TYPE: &str = "application/x-www-form-urlencoded; text/html; charset=utf-8";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::RefundSucceeded,
    EventKind::PaymentFinalized,
    EventKind::PaymentClosed,
    EventKind::AgreementSigned,
    EventKind::AgreementCancelled,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::TransferReturned,
    EventKind::ProfitSharingSucceeded,
    EventKind::ProfitSharingFailed,
    EventKind::ProfitSharingReturned,
    EventKind::DisputeUpdated,
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
        let key = PublicKey::of_pair("alipay_public_key", &self.pair).expect("a generated key has a public half");
        let pem = Zeroizing::new(key.to_pem().into_bytes());
        vec![
            WrittenSetting { name: "app_id", value: SettingValue::Text(APP_ID.into()), file_name: None },
            WrittenSetting { name: "seller_id", value: SettingValue::Texts(vec![SELLER_ID.into()]), file_name: None },
            WrittenSetting {
                name: "alipay_public_key",
                value: SettingValue::Key(pem),
                file_name: Some("alipay_public.pem"),
            },
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.callback_under(story, None)
    }

    fn export(&self) -> Vec<u8> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("a generated key can be written");
        der.as_ref().to_vec()
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

type Pairs = Vec<(&'static str, String)>;

impl Side {
    /// With fresh keys.
    fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits");
        Self { pair: Arc::new(pair) }
    }

    /// A callback that may name the certificate of its key.
    fn callback_under(&self, story: &Story, serial: Option<&str>) -> Genuine {
        let mut pairs = envelope(story);
        pairs.extend(serial.map(|serial| ("alipay_cert_sn", serial.to_owned())));
        match story.kind {
            EventKind::AgreementSigned | EventKind::AgreementCancelled => agreement(&mut pairs, story),
            kind if is_message(kind) => message(&mut pairs, story),
            EventKind::Other => {
                pairs.push(("notify_type", "open_app_auth_notify".into()));
                pairs.push(("notify_time", times::write(story.at)));
            }
            _ => trade(&mut pairs, story),
        }
        let signature = self.sign(&pairs);
        pairs.push(("sign", signature));
        pairs.push(("sign_type", "RSA2".into()));
        let body = form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        Genuine {
            request: request(story, body),
            cover: Cover::Pairs(PairCover {
                carrier: Carrier::Form,
                // A verifier tries both the string with empty values and the one without, so an empty pair
                // that is added or dropped changes nothing, and nothing is what it says.
                covered: Covered::Joined { but: &["sign", "sign_type"], empty_is_absent: true },
                signature: Some("sign"),
            }),
        }
    }

    /// Signs by rule V1, written here a second time so that the tests compare two readings of it.
    fn sign(&self, pairs: &[(&'static str, String)]) -> String {
        let mut sorted: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        sorted.sort_by(|a, b| a.split('=').next().cmp(&b.split('=').next()));
        let signature = sign_sha256(&self.pair, sorted.join("&").as_bytes()).expect("a generated key signs");
        STANDARD.encode(signature)
    }
}

fn envelope(story: &Story) -> Pairs {
    vec![
        ("app_id", APP_ID.into()),
        ("charset", "utf-8".into()),
        ("version", if is_message(story.kind) { "1.1".into() } else { "1.0".into() }),
        ("notify_id", format!("{}{:020}", day(story), notify_number(story))),
    ]
}

fn trade(pairs: &mut Pairs, story: &Story) {
    let time = times::write(story.at);
    let total = yuan(story.amount_minor);
    let status = match story.kind {
        EventKind::PaymentPending => "WAIT_BUYER_PAY",
        EventKind::PaymentFinalized => "TRADE_FINISHED",
        EventKind::PaymentClosed => "TRADE_CLOSED",
        EventKind::RefundSucceeded if story.refunded_minor >= story.amount_minor => "TRADE_CLOSED",
        _ => "TRADE_SUCCESS",
    };
    pairs.extend([
        ("notify_type", "trade_status_sync".into()),
        ("notify_time", time.clone()),
        ("auth_app_id", APP_ID.into()),
        ("trade_no", format!("{}22001{:014}", day(story), number(&story.order_no))),
        ("out_trade_no", story.order_no.clone()),
        ("trade_status", status.into()),
        ("subject", "演示商品 \"A&B\" 100%".into()),
        ("total_amount", total.clone()),
        ("seller_id", SELLER_ID.into()),
        ("seller_email", "shop***@example.com".into()),
        ("buyer_id", "2088000000000002".into()),
        ("buyer_logon_id", "138****0000".into()),
        ("gmt_create", time.clone()),
    ]);
    if !story.note.is_empty() {
        pairs.push(("body", "演示商品详情 1=1 & more".into()));
        pairs.push(("passback_params", story.note.clone()));
    }
    let is_paid = !matches!(story.kind, EventKind::PaymentPending | EventKind::PaymentClosed);
    if is_paid {
        pairs.extend([
            ("gmt_payment", time.clone()),
            ("receipt_amount", total.clone()),
            ("invoice_amount", total.clone()),
            ("buyer_pay_amount", total.clone()),
            ("point_amount", "0.00".into()),
            ("fund_bill_list", format!("[{{\"amount\":\"{total}\",\"fundChannel\":\"ALIPAYACCOUNT\"}}]")),
        ]);
    }
    if story.refunded_minor > 0 && is_paid {
        pairs.push(("refund_fee", yuan(story.refunded_minor)));
        pairs.push(("gmt_refund", format!("{time}.123")));
        if let Some(number) = &story.refund_no {
            pairs.push(("out_biz_no", number.clone()));
        }
    }
    if status == "TRADE_CLOSED" || status == "TRADE_FINISHED" {
        pairs.push(("gmt_close", time));
    }
}

fn agreement(pairs: &mut Pairs, story: &Story) {
    let time = times::write(story.at);
    let (kind, status, time_name) = match story.kind {
        EventKind::AgreementCancelled => ("dut_user_unsign", "UNSIGN", "unsign_time"),
        _ => ("dut_user_sign", "NORMAL", "sign_time"),
    };
    pairs.extend([
        ("notify_type", kind.into()),
        ("notify_time", time.clone()),
        ("auth_app_id", APP_ID.into()),
        ("agreement_no", format!("{}{:016}", day(story), number(&story.order_no))),
        ("external_agreement_no", story.order_no.clone()),
        ("status", status.into()),
        ("sign_scene", "INDUSTRY|DEFAULT_SCENE".into()),
        ("personal_product_code", "CYCLE_PAY_AUTH_P".into()),
        ("alipay_user_id", "2088000000000002".into()),
        ("alipay_logon_id", "138****0000".into()),
        ("valid_time", time.clone()),
        ("invalid_time", "2115-02-01 00:00:00".into()),
        (time_name, time),
    ]);
}

/// The message service: a name and a content.
fn message(pairs: &mut Pairs, story: &Story) {
    let (method, content) = match story.kind {
        EventKind::DisputeUpdated => ("alipay.merchant.tradecomplain.changed", complaint(story)),
        EventKind::ProfitSharingSucceeded | EventKind::ProfitSharingFailed | EventKind::ProfitSharingReturned => {
            ("alipay.trade.order.settle.notify", share(story))
        }
        _ => ("alipay.fund.trans.order.changed", transfer(story)),
    };
    pairs.extend([
        ("msg_method", method.into()),
        ("utc_timestamp", story.at.as_millisecond().to_string()),
        ("biz_content", content.to_string()),
    ]);
}

fn complaint(story: &Story) -> Value {
    json!({ "complain_event_id": format!("{}00{:020}", day(story), number(&story.order_no)) })
}

fn share(story: &Story) -> Value {
    let operation = if story.kind == EventKind::ProfitSharingReturned { "transfer_refund" } else { "transfer" };
    let mut row = json!({
        "operation_type": operation,
        "execute_dt": times::write(story.at),
        "trans_out": SELLER_ID,
        "trans_out_type": "userId",
        "trans_in": "2088000000000003",
        "trans_in_type": "userId",
        "amount": yuan(story.amount_minor),
        "state": if story.kind == EventKind::ProfitSharingFailed { "FAIL" } else { "SUCCESS" },
        "detail_id": format!("{}10032004{:016}", day(story), number(&story.order_no)),
    });
    if story.kind == EventKind::ProfitSharingFailed {
        row["error_code"] = json!("TXN_RESULT_ACCOUNT_BALANCE_NOT_ENOUGH");
        row["error_desc"] = json!("分账余额不足");
    }
    json!({
        "out_request_no": story.order_no,
        "operation_dt": times::write(story.at),
        "settle_no": format!("{}002530{:018}", day(story), number(&story.order_no)),
        "trade_no": format!("{}22001{:014}", day(story), number(&story.order_no)),
        "royalty_detail_list": [row],
    })
}

fn transfer(story: &Story) -> Value {
    let status = match story.kind {
        EventKind::TransferFailed => "FAIL",
        EventKind::TransferReturned => "REFUND",
        _ => "SUCCESS",
    };
    let order_id = format!("{}110070000006{:016}", day(story), number(&story.order_no));
    json!({
        "out_biz_no": story.order_no,
        "order_id": order_id,
        "pay_fund_order_id": order_id,
        "status": status,
        "action_type": "FINISH",
        "trans_amount": yuan(story.amount_minor),
        "pay_date": times::write(story.at),
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
        "origin_interface": "alipay.fund.trans.uni.transfer",
    })
}

fn is_message(kind: EventKind) -> bool {
    ["transfer.", "profit_sharing.", "dispute."].iter().any(|family| kind.as_str().starts_with(family))
}

fn request(story: &Story, body: Vec<u8>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(ODD_CONTENT_TYPE));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/4.0"));
    RawRequest {
        method: Method::POST,
        path: "/notify/alipay".into(),
        query: None,
        headers,
        body: Bytes::from(body),
        source: None,
        received_at: story.at,
    }
}

fn yuan(minor: i64) -> String {
    Money { minor, currency: Currency::CNY }.to_text()
}

/// The Beijing day, with which Alipay's numbers begin.
fn day(story: &Story) -> String {
    times::write(story.at)[..10].replace('-', "")
}

/// A number of 14 digits from an order number, so that one order has one trade.
fn number(order_no: &str) -> u64 {
    /// FNV-1a: an even spread of invented numbers, nothing more.
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = order_no.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    hash % 100_000_000_000_000
}

/// One notification id for each thing that is told: another state, total or serial is another notification.
fn notify_number(story: &Story) -> u64 {
    let text = format!("{}/{}/{}/{}", story.order_no, story.kind, story.refunded_minor, story.serial);
    number(&text)
}
