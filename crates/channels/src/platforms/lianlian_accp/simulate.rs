//! The account generation's side: genuine notices with throw-away keys, in the wire format of real ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::{Value, json};

use super::{JSON, RSA};
use crate::model::EventKind;
use crate::platforms::accounts::simulate::{Keys, key, number, post, settings, words, yuan};
use crate::platforms::accounts::write_time;
use crate::platforms::lianlian::PARTNER;
use crate::settings::Settings;
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::plain_rsa::sign_md5;
use crate::simulate::{Cover, Genuine, OtherSide, Story, WrittenSetting};

const STORIES: &[EventKind] = &[EventKind::PaymentSucceeded, EventKind::Other];

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
        vec![
            words("oid_partner", &[PARTNER]),
            key("accp_public_key", &self.keys.public_pem(), "lianlian_accp_public.pem"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let body = message(story).to_string();
        let digest = DigestHash::Md5.hex_of(&[body.as_bytes()], HexCase::Lower);
        let signature = sign_md5(&self.keys.0, digest.as_bytes()).expect("a generated key signs");
        let signature = HeaderValue::from_str(&STANDARD.encode(signature)).expect("base64 is ASCII");
        let mut request = post("/notify/lianlian_accp", JSON, body.into_bytes(), story.at);
        request.headers.insert("signature-type", HeaderValue::from_static(RSA));
        request.headers.insert("signature-data", signature);
        Genuine { request, cover: Cover::BodyAndHeaders { headers: &[], signature: "signature-data" } }
    }

    fn export(&self) -> Vec<u8> {
        self.keys.export().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.keys = Keys::import(exported)?;
        Ok(())
    }
}

fn message(story: &Story) -> Value {
    let time = write_time(story.at);
    if story.kind == EventKind::Other {
        return json!({
            "oid_partner": PARTNER,
            "user_id": story.order_no,
            "oid_userno": format!("{:016}", story.serial),
            "user_status": "NORMAL",
            "remark": story.note,
        });
    }
    json!({
        "oid_partner": PARTNER,
        "txn_type": "GENERAL_CONSUME",
        "txn_status": "TRADE_SUCCESS",
        "accp_txnno": format!("{}{:017}", &time[..8], number(&story.order_no)),
        "chnl_txnno": format!("{:016}", story.serial),
        "accounting_date": time[..8],
        "finish_time": time,
        "orderInfo": {
            "txn_seqno": story.order_no,
            "txn_time": time,
            "total_amount": yuan(story.amount_minor),
            "order_info": story.note,
        },
        "payerInfo": [{ "payer_type": "USER", "amount": yuan(story.amount_minor), "method": "ALIPAY_NATIVE" }],
    })
}
