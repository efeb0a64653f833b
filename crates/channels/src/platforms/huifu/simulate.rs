//! Huifu's side: genuine notifications with throw-away keys, in the wire format of real ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::form;
use crate::model::EventKind;
use crate::platforms::accounts::simulate::{Keys, key, number, post, settings, words, yuan};
use crate::platforms::accounts::write_time;
use crate::settings::Settings;
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Carrier, Cover, Covered, Genuine, OtherSide, PairCover, Story, WrittenSetting};

/// The invented merchant.
pub(in super::super) const HUIFU_ID: &str = "6666000000000001";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentFailed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::Other,
];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side { keys: Keys::new() })
}

struct Side {
    keys: Keys,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        settings(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![words("huifu_id", &[HUIFU_ID]), key("huifu_public_key", &self.keys.public_pem(), "huifu_public.pem")]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let text = message(story).to_string();
        let signature = sign_sha256(&self.keys.0, text.as_bytes()).expect("a generated key signs");
        let signed = if story.kind == EventKind::Other { "data" } else { "resp_data" };
        let pairs = [
            ("resp_desc", "交易成功[000]".as_bytes()),
            ("resp_code", b"00000000".as_slice()),
            ("sign", STANDARD.encode(signature).as_bytes()),
            (signed, text.as_bytes()),
        ]
        .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
        let body = form::encode(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
        Genuine {
            request: post("/notify/huifu", "application/x-www-form-urlencoded;charset=UTF-8", body, story.at),
            cover: Cover::Pairs(PairCover {
                carrier: Carrier::Form,
                covered: Covered::Each(if signed == "data" { &["data"] } else { &["resp_data"] }),
                signature: Some("sign"),
            }),
        }
    }

    fn export(&self) -> Vec<u8> {
        self.keys.export().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.keys = Keys::import(exported)?;
        Ok(())
    }
}

/// The text that is signed.
fn message(story: &Story) -> Value {
    match story.kind {
        EventKind::RefundSucceeded => refund(story, "S"),
        EventKind::RefundFailed => refund(story, "F"),
        EventKind::Other => onboarding(story),
        EventKind::PaymentPending => payment(story, "P"),
        EventKind::PaymentFailed => payment(story, "F"),
        _ => payment(story, "S"),
    }
}

fn payment(story: &Story, state: &str) -> Value {
    let time = write_time(story.at);
    json!({
        "resp_code": "00000000",
        "resp_desc": "交易成功",
        "huifu_id": HUIFU_ID,
        "req_seq_id": story.order_no,
        "req_date": time[..8],
        "hf_seq_id": payment_number(story),
        "trans_type": "A_NATIVE",
        "trans_amt": yuan(story.amount_minor),
        "trans_stat": state,
        "end_time": time,
        "settlement_amt": yuan(story.amount_minor),
        "fee_amount": "0.00",
        "acct_split_bunch": { "acct_infos": [{ "div_amt": yuan(story.amount_minor), "huifu_id": HUIFU_ID }] },
        "bank_seq_id": story.serial.to_string(),
        "remark": story.note,
    })
}

fn refund(story: &Story, state: &str) -> Value {
    let time = write_time(story.at);
    let ours = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
    json!({
        "resp_code": "00000000",
        "resp_desc": "退款",
        "huifu_id": HUIFU_ID,
        "hf_seq_id": format!("0030000topA{}{:018}P", &time[2..], number(&ours)),
        "req_seq_id": ours,
        "req_date": time[..8],
        "org_req_seq_id": story.order_no,
        "org_req_date": time[..8],
        "org_hf_seq_id": payment_number(story),
        "org_ord_amt": yuan(story.amount_minor),
        "ord_amt": yuan(story.refunded_minor),
        "actual_ref_amt": yuan(story.refunded_minor),
        "total_ref_amt": yuan(story.refunded_minor),
        "trans_type": "TRANS_REFUND",
        "trans_stat": state,
        "trans_finish_time": time,
        "bank_seq_id": story.serial.to_string(),
        "remark": story.note,
    })
}

fn onboarding(story: &Story) -> Value {
    json!({
        "resp_code": "00000000",
        "resp_desc": "业务执行成功",
        "huifu_id": HUIFU_ID,
        "req_seq_id": story.order_no,
        "req_date": write_time(story.at)[..8],
        "apply_no": story.serial.to_string(),
        "audit_status": "Y",
        "remark": story.note,
    })
}

/// One order has one payment.
fn payment_number(story: &Story) -> String {
    format!("0029000topA{:024}", number(&story.order_no))
}
