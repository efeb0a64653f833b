//! The side of guaranteed payment: genuine callbacks under a throw-away token, in the wire format of real ones.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use aws_lc_rs::rand;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::settings::Config;
use super::{MESSAGE, NONCE, SIGNATURE, TIMESTAMP, TYPE};
use crate::model::{EventKind, RawRequest};
use crate::platforms::douyin::simulate::{key, name, number, refund_no, request, resolved, texts};
use crate::settings::{Settings, SettingsError};
use crate::signature::key::hex;
use crate::simulate::{Carrier, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story, WrittenSetting};

/// The invented mini program.
const APPID: &str = "tt07e3715e98c9aac001";

/// Characters of a throw-away token.
const TOKEN_CHARS: usize = 32;

const STORIES: &[EventKind] =
    &[EventKind::PaymentSucceeded, EventKind::RefundSucceeded, EventKind::RefundFailed, EventKind::Other];

/// A new other side with a fresh token.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let mut random = [0; TOKEN_CHARS / 2];
    rand::fill(&mut random).expect("the system has random bytes");
    Box::new(Side { token: Zeroizing::new(hex(&random)), app_id: APPID.to_owned() })
}

/// The other side of a configured channel, which knows its token as well.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let Config { app_ids, tokens, .. } = Config::build(settings)?;
    // Both have at least one.
    let token = tokens.first().map(|token| String::from_utf8_lossy(token.secret()).into_owned()).unwrap_or_default();
    Ok(Box::new(Side { token: Zeroizing::new(token), app_id: app_ids.into_iter().next().unwrap_or_default() }))
}

struct Side {
    token: Zeroizing<String>,
    app_id: String,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        resolved(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![texts("appid", &self.app_id), key("token", self.token.as_bytes(), "douyin_token")]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let cover = Cover::Pairs(PairCover {
            carrier: Carrier::Json,
            covered: Covered::Each(&[TIMESTAMP, NONCE, MESSAGE]),
            signature: Some(SIGNATURE),
        });
        Genuine { request: self.request(story), cover }
    }

    fn export(&self) -> Vec<u8> {
        self.token.as_bytes().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let text = String::from_utf8(exported.to_vec()).map_err(|_| "not a token".to_owned())?;
        if text.len() != TOKEN_CHARS || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("not a token".to_owned());
        }
        self.token = Zeroizing::new(text);
        Ok(())
    }
}

impl Mirror for Side {
    fn stories(&self) -> Vec<EventKind> {
        STORIES.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        self.request(story)
    }
}

impl Side {
    fn request(&self, story: &Story) -> RawRequest {
        let (kind, message) = self.message(story);
        let message = message.to_string();
        let timestamp = story.at.as_second().to_string();
        let nonce = (number(&name(story)) % 10_000).to_string();
        let signature = sign([&*self.token, &timestamp, &nonce, &message]);
        let body = json!({
            TIMESTAMP: timestamp, NONCE: nonce, MESSAGE: message, TYPE: kind, SIGNATURE: signature,
        });
        request("/notify/douyin_ecpay", story.at, &[], body.to_string().into_bytes())
    }

    fn message(&self, story: &Story) -> (&'static str, Value) {
        let order = number(&story.order_no);
        let at = story.at.as_second();
        match story.kind {
            EventKind::RefundSucceeded | EventKind::RefundFailed => {
                let ours = refund_no(story);
                let is_done = story.kind == EventKind::RefundSucceeded;
                let refund = json!({
                    "appid": self.app_id,
                    "cp_refundno": ours,
                    "cp_extra": story.note,
                    "status": if is_done { "SUCCESS" } else { "FAIL" },
                    "refund_amount": story.refunded_minor,
                    "is_all_settled": false,
                    "refunded_at": at,
                    "message": if is_done { String::new() } else { format!("attempt {}", story.serial) },
                    "order_id": format!("N7{order:020}"),
                    "refund_no": format!("N8{:020}", number(&ours)),
                    "extra": story.serial.to_string(),
                });
                ("refund", refund)
            }
            EventKind::Other => {
                let settle = json!({
                    "appid": self.app_id,
                    "cp_settle_no": format!("S{}", story.order_no),
                    "cp_extra": story.note,
                    "status": "SUCCESS",
                    "rake": 0,
                    "commission": 0,
                    "settle_detail": format!("商户号7000000000000000001-分成金额(分){}", story.amount_minor),
                    "settled_at": at,
                    "message": "SUCCESS",
                    "order_id": format!("N7{order:020}"),
                    "settle_no": format!("N9{:020}", story.serial),
                });
                ("settle", settle)
            }
            _ => {
                let payment = json!({
                    "appid": self.app_id,
                    "cp_orderno": story.order_no,
                    "cp_extra": story.note,
                    "way": "2",
                    "channel_no": format!("2026112122001{:015}", story.serial),
                    "payment_order_no": format!("PC{order:020}"),
                    "total_amount": story.amount_minor,
                    "status": "SUCCESS",
                    "seller_uid": "70270395621615393651",
                    "extra": "",
                    "item_id": "",
                    "paid_at": at,
                    "message": "",
                    "order_id": format!("N7{order:020}"),
                });
                ("payment", payment)
            }
        }
    }
}

/// The rule, written here a second time so that the tests compare two readings of it.
fn sign(mut texts: [&str; 4]) -> String {
    texts.sort_unstable();
    let mut sha1 = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for text in texts {
        sha1.update(text.as_bytes());
    }
    hex(sha1.finish().as_ref())
}
