//! LianLian 连连支付, the account generation (账户+, ACCP): notices of consumption, withdrawals, accounts and more.
//!
//! A JSON body; the header `Signature-Data` is MD5withRSA, in base64, over the lower-case hexadecimal MD5 of the raw
//! body: digested twice. `Signature-Type` must say `RSA`. Sources: LianLian's published example of a receiver; public
//! clients of it.
//!
//! What the signature covers is all of the body and nothing else, so a message is checked as it came, and then read.

mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(all(test, feature = "simulate"))]
mod tests;

use self::settings::{Config, SETTINGS};
use super::outside::{self, JSON, header};
use super::{Platform, lianlian};
use crate::channel::{Answer, Channel, Failure, KeyNote, Likeness, Rejection, Verdict, quote};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::digest::DigestHash;
use crate::signature::{Verified, decode_base64};

/// Largest body. Notices have 1 to 4 kB; lists of payers and payees make some longer.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "lianlian_accp",
    family: lianlian::FAMILY,
    name: Text { en: "LianLian Pay (accounts, ACCP)", zh: "连连支付（账户+）" },
    settings: SETTINGS,
    ladder: lianlian::LADDER,
    patience: None,
    freshness: None,
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: None,
};

const TEXT: &str = "text/plain";

/// UNCONFIRMED by LianLian's documents; its published example returns this word, and calls every other one a failure.
const SUCCESS: &[u8] = b"Success";

const FAIL: &[u8] = b"error";

const TYPE: &str = "Signature-Type";
const DATA: &str = "Signature-Data";

/// The only signature that is accepted.
const RSA: &str = "RSA";

/// How the text under the signature is made; there is one way.
const VARIANT: &str = "accp";

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the word that stops repetition: `Success`, as LianLian's published example has it",
        zh: "停止重发的应答：按连连公开示例返回 `Success`",
    },
    Text {
        en: "the gaps between attempts and how long an answer may take; WeChat Pay's gaps stand in, and we answer at once",
        zh: "重发间隔与等待应答的时长；暂以微信支付的间隔代替，本网关立即应答",
    },
    Text {
        en: "the fields of the bodies: ordinary and secured consumption with state, numbers and amount is read as a payment; \
             every other notice about money (refunds, withdrawals, transfers) is held, unless its kind is listed in \
             `other_types`",
        zh: "报文字段：普通消费与担保消费在状态、单号、金额齐全时读作收款；其他涉及资金的通知（退款、提现、代发）会被挂起，除非其类型已填入 `other_types`",
    },
    Text {
        en: "no time window is documented; an old capture is known by its digest, and held when older than our memory",
        zh: "没有公布时间窗口；旧报文按摘要识别，早于本网关记录的会被挂起",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(LianlianAccp { config: Config::build(settings)? }))
}

/// A configured channel of the account generation.
#[derive(Debug)]
struct LianlianAccp {
    config: Config,
}

impl Channel for LianlianAccp {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() || !request.headers.contains_key(DATA) {
            return Likeness::No;
        }
        let Ok(message) = Json::parse(&request.body) else { return Likeness::No };
        let Some(partner) = facts::partner(&message) else { return Likeness::No };
        if self.config.partners.iter().any(|own| own == partner) { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.check(request) {
            Ok(verified) => {
                let notification = facts::read(&self.config, &request.body);
                Verdict::Genuine(Proven::by_signature(notification, verified))
            }
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, TEXT, SUCCESS),
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, FAIL),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, FAIL),
        }
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status == 200 { AckMatch::of_word(reply.body, SUCCESS) } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if let Ok(message @ Json::Object(_)) = Json::parse(&proven.body) {
            message.flatten("", &mut fields);
        }
        fields
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

impl LianlianAccp {
    fn check(&self, request: &RawRequest) -> Result<Verified, Rejection> {
        check_outside(request)?;
        let found = header(request, TYPE)?;
        if found != RSA {
            return Err(Rejection::Algorithm { algorithm: quote(found) });
        }
        let signature = decode_base64(header(request, DATA)?.as_bytes())
            .ok_or_else(|| Rejection::Malformed { field: DATA.into() })?;
        let recovered = self.config.key.recover(&signature).ok_or(Rejection::Signature)?;
        recovered.is_md5_of_hex(DigestHash::Md5, &request.body, VARIANT).ok_or(Rejection::Signature)
    }
}

/// Method, media type and size.
fn check_outside(request: &RawRequest) -> Result<(), Rejection> {
    outside::check_post(request, |media_type| media_type == JSON, BODY_BYTES_MAX)
}
