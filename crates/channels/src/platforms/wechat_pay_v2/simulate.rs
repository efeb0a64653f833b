//! WeChat Pay's side of the second generation: genuine notices with a throw-away key, or with that of a configured
//! channel, in the wire format of real ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::refund::REQ_INFO;
use super::settings::{Config, Subs};
use crate::cipher::seal_aes_ecb;
use crate::model::EventKind;
use crate::platforms::tenpay::SignType;
use crate::platforms::tenpay::simulate::{Draft, Protocol, SIGNED, Teller, beijing, nonce, number, request, sign};
use crate::settings::{Settings, SettingsError};
use crate::signature::digest::{DigestHash, HexCase};
use crate::simulate::{Carrier, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story};
use crate::xml::encode;

/// The invented merchant; the other generation's is the same.
const MCH_ID: &str = "1900000001";
const APPID: &str = "wx0000000000000001";

/// A sub-merchant of a provider who takes every one.
const SUB_MCH_ID: &str = "1900000109";

/// Where its callbacks go.
const PATH: &str = "/notify/wechat_pay_v2";

const OPENID: &str = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentFailed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::RefundAbnormal,
    EventKind::AgreementSigned,
    EventKind::AgreementCancelled,
    EventKind::Other,
];

/// What covers a refund: its sealed content alone.
const SEALED: Cover =
    Cover::Pairs(PairCover { carrier: Carrier::Xml, covered: Covered::Each(&[REQ_INFO]), signature: None });

static PROTOCOL: Protocol =
    Protocol { key_file: "wechat_apiv2_key", stories: STORIES, stories_of_a_channel: STORIES, tell };

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Teller::fresh(&PROTOCOL, [MCH_ID, APPID], &[SignType::Md5, SignType::HmacSha256])
}

/// The other side of a configured channel.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let config = Config::build(settings)?;
    let mut ids = vec![("mch_id", config.mch_id)];
    ids.extend(config.app_ids.into_iter().next().map(|id| ("appid", id)));
    let sub = match config.subs {
        Subs::None => None,
        Subs::One(id) => Some(id),
        Subs::Several(ids) => ids.into_iter().next(),
        Subs::Any => Some(SUB_MCH_ID.to_owned()),
    };
    ids.extend(sub.map(|id| ("sub_mch_id", id)));
    ids.extend(config.sub_app_ids.into_iter().next().map(|id| ("sub_appid", id)));
    Ok(Teller::of(&PROTOCOL, ids, config.key.secret(), config.sign_types))
}

fn tell(teller: &Teller, story: &Story) -> Genuine {
    let mut fields: Draft = teller.ids.clone();
    fields.push(("nonce_str", nonce(&story.order_no, story.serial)));
    fields.push(("return_code", "SUCCESS".into()));
    let status = match story.kind {
        EventKind::RefundSucceeded => Some("SUCCESS"),
        EventKind::RefundFailed => Some("REFUNDCLOSE"),
        EventKind::RefundAbnormal => Some("CHANGE"),
        _ => None,
    };
    if let Some(status) = status {
        let content = refund(story, status);
        fields.push((REQ_INFO, seal(&teller.key, &encode("root", pairs(&content)))));
        return Genuine { request: request(PATH, &fields, story.at), cover: SEALED };
    }
    fields.extend(match story.kind {
        EventKind::AgreementSigned => contract(story, "ADD"),
        EventKind::AgreementCancelled => contract(story, "DELETE"),
        EventKind::Other => vehicle(story),
        _ => payment(story),
    });
    let sign_type = sign_type(&teller.sign_types, story.kind);
    if sign_type == SignType::HmacSha256 {
        fields.push(("sign_type", sign_type.word().into()));
    }
    sign(&mut fields, &teller.key, sign_type);
    Genuine { request: request(PATH, &fields, story.at), cover: SIGNED }
}

/// Payments are signed with what orders ask for where nothing is said; the younger products always ask for HMAC.
fn sign_type(allowed: &[SignType], kind: EventKind) -> SignType {
    let wished = match kind {
        EventKind::PaymentSucceeded | EventKind::PaymentFailed => SignType::Md5,
        _ => SignType::HmacSha256,
    };
    allowed.iter().find(|one| **one == wished).or(allowed.first()).copied().unwrap_or(wished)
}

fn seal(key: &[u8], content: &str) -> String {
    let key = Zeroizing::new(DigestHash::Md5.hex_of(&[key], HexCase::Lower));
    STANDARD.encode(seal_aes_ecb(key.as_bytes(), content.as_bytes()).expect("a key of 32 characters"))
}

fn pairs(fields: &Draft) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str()))
}

fn payment(story: &Story) -> Draft {
    let mut fields = vec![
        ("attach", story.note.clone()),
        ("bank_type", "OTHERS".into()),
        ("cash_fee", story.amount_minor.to_string()),
        ("device_info", format!("WEB{}", story.serial)),
        ("fee_type", "CNY".into()),
        ("is_subscribe", "N".into()),
        ("openid", OPENID.into()),
        ("out_trade_no", story.order_no.clone()),
        ("time_end", beijing(story.at, "%Y%m%d%H%M%S")),
        ("total_fee", story.amount_minor.to_string()),
        ("trade_type", "JSAPI".into()),
        ("transaction_id", transaction(story)),
    ];
    if story.kind == EventKind::PaymentFailed {
        fields.push(("result_code", "FAIL".into()));
        fields.push(("err_code", "NOTENOUGH".into()));
        fields.push(("err_code_des", "余额不足".into()));
    } else {
        fields.push(("result_code", "SUCCESS".into()));
    }
    fields
}

fn contract(story: &Story, change_type: &str) -> Draft {
    vec![
        ("result_code", "SUCCESS".into()),
        ("change_type", change_type.into()),
        ("contract_code", story.order_no.clone()),
        ("contract_id", format!("2026{:024}", number(&story.order_no))),
        ("openid", OPENID.into()),
        ("operate_time", beijing(story.at, "%Y-%m-%d %H:%M:%S")),
        ("plan_id", "123".into()),
        ("request_serial", story.serial.to_string()),
    ]
}

/// A car that drives out of a car park.
fn vehicle(story: &Story) -> Draft {
    vec![
        ("plate_number", format!("粤B{:05}", story.serial)),
        ("vehicle_event_type", "NORMAL".into()),
        ("vehicle_event_createtime", beijing(story.at, "%Y%m%d%H%M%S")),
    ]
}

fn refund(story: &Story, status: &str) -> Draft {
    let number_of_refund = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
    let mut fields = vec![
        ("out_refund_no", number_of_refund.clone()),
        ("out_trade_no", story.order_no.clone()),
        ("refund_account", "REFUND_SOURCE_RECHARGE_FUNDS".into()),
        ("refund_fee", story.refunded_minor.to_string()),
        ("refund_id", format!("5030{:024}", number(&number_of_refund))),
        ("refund_recv_accout", format!("招商银行信用卡{:04}", story.serial)),
        ("refund_request_source", "API".into()),
        ("refund_status", status.into()),
        ("settlement_refund_fee", story.refunded_minor.to_string()),
        ("settlement_total_fee", story.amount_minor.to_string()),
    ];
    if status == "SUCCESS" {
        fields.push(("success_time", beijing(story.at, "%Y-%m-%d %H:%M:%S")));
    }
    fields.push(("total_fee", story.amount_minor.to_string()));
    fields.push(("transaction_id", transaction(story)));
    fields
}

/// As in the other generation, so that one order has one payment.
fn transaction(story: &Story) -> String {
    format!("4200{:024}", number(&story.order_no))
}
