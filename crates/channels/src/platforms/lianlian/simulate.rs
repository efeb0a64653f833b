//! LianLian's side: genuine notices of received money and refunds with throw-away keys, in the wire format of real
//! ones. Payouts come to an address of their own, which is another channel's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::model::EventKind;
use crate::platforms::accounts::simulate::{Keys, key, number, post, settings, words, yuan};
use crate::platforms::accounts::write_time;
use crate::settings::Settings;
use crate::signature::plain_rsa::sign_md5;
use crate::simulate::{Carrier, Cover, Covered, Genuine, OtherSide, PairCover, Story, WrittenSetting};

/// The invented merchant.
pub(in super::super) const PARTNER: &str = "201304121000001004";

const STORIES: &[EventKind] = &[EventKind::PaymentSucceeded, EventKind::RefundSucceeded, EventKind::RefundFailed];

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
            words("purpose", &["payment"]),
            key("lianlian_public_key", &self.keys.public_pem(), "lianlian_public.pem"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let mut pairs = pairs(story);
        // Sorted and joined here a second time, so that the tests compare two readings of the rule.
        let mut lines: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty() && value != "null")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        lines.sort();
        let signature = sign_md5(&self.keys.0, lines.join("&").as_bytes()).expect("a generated key signs");
        pairs.push(("sign", STANDARD.encode(signature)));
        let members = pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value)));
        let body = Value::Object(members.collect()).to_string();
        Genuine {
            request: post("/notify/lianlian", "application/json;charset=UTF-8", body.into_bytes(), story.at),
            cover: Cover::Pairs(PairCover {
                carrier: Carrier::Json,
                covered: Covered::Joined { but: &["sign"], empty_is_absent: true },
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

fn pairs(story: &Story) -> Vec<(&'static str, String)> {
    let time = write_time(story.at);
    let mut pairs = vec![
        ("oid_partner", PARTNER.to_owned()),
        ("sign_type", "RSA".to_owned()),
        ("settle_date", time[..8].to_owned()),
        // The notice of a refund names no order, and another order's is another notice all the same.
        ("no_agree", format!("{:019}", number(&format!("{}/{}", story.order_no, story.serial)))),
        ("info_order", story.note.clone()),
    ];
    match story.kind {
        EventKind::RefundSucceeded | EventKind::RefundFailed => {
            let ours = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
            let state = if story.kind == EventKind::RefundFailed { "3" } else { "2" };
            pairs.extend([
                ("oid_refundno", format!("{}{:017}", &time[..8], number(&ours))),
                ("no_refund", ours),
                ("dt_refund", time),
                ("money_refund", yuan(story.refunded_minor)),
                ("sta_refund", state.to_owned()),
            ]);
        }
        _ => pairs.extend([
            ("no_order", story.order_no.clone()),
            ("dt_order", time.clone()),
            ("oid_paybill", format!("{}{:017}", &time[..8], number(&story.order_no))),
            ("money_order", yuan(story.amount_minor)),
            ("result_pay", "SUCCESS".to_owned()),
            ("pay_type", "D".to_owned()),
            ("bank_code", "01020000".to_owned()),
        ]),
    }
    pairs
}
