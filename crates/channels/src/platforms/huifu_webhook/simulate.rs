//! Huifu's console: genuine webhooks with a throw-away key, and with a channel's own.

use aws_lc_rs::rand;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::JSON;
use super::settings::{Config, ENDPOINT_KEY_CHARS};
use crate::model::{EventKind, RawRequest};
use crate::platforms::accounts::simulate::{key, number, post, settings, words, yuan};
use crate::platforms::accounts::write_time;
use crate::platforms::huifu::HUIFU_ID;
use crate::settings::{Settings, SettingsError};
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};
use crate::signature::key::hex;
use crate::simulate::{Cover, Genuine, Mirror, OtherSide, Story, WrittenSetting};

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentFailed,
    EventKind::PaymentClosed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::Other,
];

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let mut random = [0; ENDPOINT_KEY_CHARS / 2];
    rand::fill(&mut random).expect("the system has randomness");
    Box::new(Side { secret: Zeroizing::new(hex(&random)) })
}

/// Webhooks that a configured channel accepts.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let config = Config::build(settings)?;
    Ok(Box::new(Reflection { config }))
}

struct Side {
    secret: Zeroizing<String>,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        settings(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![words("huifu_id", &[HUIFU_ID]), key("endpoint_key", self.secret.as_bytes(), "huifu_endpoint_key")]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let key = SecretDigest::new(self.secret.as_bytes(), DigestHash::Md5, HexCase::Upper, "endpoint_key");
        let request = signed(story, HUIFU_ID, &key.expect("a key that is not empty"));
        Genuine { request, cover: Cover::BodyAndQuery { signature: "sign" } }
    }

    fn export(&self) -> Vec<u8> {
        self.secret.as_bytes().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let is_key = exported.len() == ENDPOINT_KEY_CHARS && exported.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(exported).ok().filter(|_| is_key).ok_or("not 32 hexadecimal digits")?;
        self.secret = Zeroizing::new(text.to_owned());
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
        let account = self.config.huifu_ids.first().map_or(HUIFU_ID, String::as_str);
        signed(story, account, &self.config.key)
    }
}

fn signed(story: &Story, account: &str, key: &SecretDigest) -> RawRequest {
    let body = message(story, account).to_string();
    let sign = key.sign(body.as_bytes(), b"");
    let mut request = post("/notify/huifu_webhook", JSON, body.into_bytes(), story.at);
    request.query = Some(format!("sign={sign}"));
    request
}

fn message(story: &Story, account: &str) -> Value {
    let time = write_time(story.at);
    let payment = format!("0029000topA{:024}", number(&story.order_no));
    let (word, mut event) = match story.kind {
        EventKind::RefundSucceeded | EventKind::RefundFailed => {
            let ours = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
            let refund = json!({
                "hf_seq_id": format!("0030000topA{:024}", number(&ours)),
                "req_seq_id": ours,
                "org_req_seq_id": story.order_no,
                "org_req_date": time[..8],
                "org_hf_seq_id": payment,
                "ord_amt": yuan(story.refunded_minor),
                "trans_type": "TRANS_REFUND",
            });
            ("refund.standard", refund)
        }
        EventKind::PaymentClosed => {
            let close = json!({
                "org_req_seq_id": story.order_no,
                "org_req_date": time[..8],
                "org_hf_seq_id": payment,
                "org_trans_stat": "F",
            });
            ("trans.close", close)
        }
        EventKind::Other => ("statement.day", json!({ "file_date": time[..8] })),
        _ => {
            let paid = json!({
                "req_seq_id": story.order_no,
                "hf_seq_id": payment,
                "trans_amt": yuan(story.amount_minor),
                "trans_type": "T_MINIAPP",
            });
            ("trans.pay", paid)
        }
    };
    let is_failure = matches!(story.kind, EventKind::PaymentFailed | EventKind::RefundFailed);
    event["event_id"] =
        json!(format!("EV{}{:08}", time, number(&format!("{word}/{}/{}", story.order_no, story.serial)) % 100_000_000));
    event["event_type"] = json!(word);
    event["huifu_id"] = json!(account);
    event["req_date"] = json!(time[..8]);
    event["trans_date"] = json!(time[..8]);
    event["trans_time"] = json!(time[8..]);
    event["trans_stat"] = json!(if is_failure { "F" } else { "S" });
    event["remark"] = json!(story.note);
    event
}
