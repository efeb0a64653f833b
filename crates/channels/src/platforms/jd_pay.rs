//! JD Pay 京东支付: notices to the `notifyUrl` of a payment or refund, and of payouts (代付).
//!
//! A payment's or refund's notice is XML: an unsigned outside, and in it, wrapped by Triple DES, a signed document. A
//! payout's notice is a form with a salted digest. Sources: JD Pay merchant documents, "asynchronous notification" and
//! "signing and encryption", and the platform's own kit as public libraries carry it.
//!
//! The signature is RSA with type 1 padding around the hexadecimal text of a SHA-256, without `DigestInfo`: what an
//! ordinary verifier of `SHA256withRSA` never accepts.

mod envelope;
mod facts;
mod payout;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(all(test, feature = "simulate"))]
mod tests;

use self::envelope::{BODY_BYTES_MAX, Inner, Outer, Signed};
use self::payout::Payout;
use self::settings::{Config, SETTINGS};
use super::outside::{self, FORM};
use super::{Platform, ladder};
use crate::channel::{Answer, Channel, Failure, KeyNote, Likeness, Rejection, Verdict};
use crate::charset::Charset;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "jd_pay",
    family: FAMILY,
    name: Text { en: "JD Pay", zh: "京东支付" },
    settings: SETTINGS,
    // No source has the platform's own; WeChat Pay's is the densest that is known.
    ladder: ladder::DAY,
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

/// The family within which identities are shared.
const FAMILY: &str = "jd_pay";

/// The body that stops repetition.
const SUCCESS: &[u8] = b"success";

/// Any other body is a failure.
const FAIL: &[u8] = b"fail";

const TEXT: &str = "text/plain";

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the values of `status` other than 2 of a payment and 1 of a refund (success); a notice with another one is held",
        zh: "`status` 除支付的 2、退款的 1（成功）以外的取值；其他取值的通知会被挂起",
    },
    Text {
        en: "whether every notice has `result` inside its signature; one without it is held, for the result outside is not \
             signed",
        zh: "签名内是否总有 `result`；没有时会被挂起，因为外层的 `result` 不在签名范围内",
    },
    Text {
        en: "the fields of payout notices: they are proven, kept as `other` and never guessed at",
        zh: "代付通知的字段：验签后按 `other` 保存，不作猜测",
    },
    Text {
        en: "the units of currencies other than CNY; a notice with another one is held",
        zh: "人民币（CNY）以外币种的金额单位；其他币种的通知会被挂起",
    },
    Text {
        en: "how the signed text is trimmed: each line for itself is tried, after the untouched text",
        zh: "待签名文本如何去空白：先按原文验签，再按逐行去空白后的文本验签",
    },
    Text {
        en: "how often and how long JD Pay repeats, and how long it waits; WeChat Pay's plan is assumed, and we answer at \
             once",
        zh: "京东支付的重发次数、间隔与等待时长；按微信支付的间隔估计，本网关立即应答",
    },
    Text {
        en: "whether `ok` is accepted beside `success`; we answer `success`, and a script's `ok` counts as a failure",
        zh: "除 `success` 外是否也接受 `ok`；本网关应答 `success`，脚本应答 `ok` 视为失败",
    },
    Text {
        en: "a notice has no number of the platform and no time window; an old capture is known by `tradeNum`, and held when \
             older than our memory",
        zh: "通知没有平台流水号，也没有时间窗口；旧报文按 `tradeNum` 识别，早于本网关记录的会被挂起",
    },
    Text {
        en: "whether this product still takes new merchants; JD's aggregate payment (`cipherJson`) is another protocol and \
             is refused",
        zh: "该产品是否仍开放新商户；京东聚合支付（`cipherJson`）是另一种协议，一律拒绝",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(JdPay { config: Config::build(settings)? }))
}

/// A configured JD Pay channel.
#[derive(Debug)]
struct JdPay {
    config: Config,
}

impl Channel for JdPay {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        match self.check_outside(request) {
            Ok(Shape::Trade) => match Outer::parse(&request.body) {
                Ok(outer) if outer.has_content() && outer.is_for(&self.config) => Likeness::Merchant,
                Ok(outer) if outer.has_content() => Likeness::Shape,
                _ => Likeness::No,
            },
            Ok(Shape::Payout(_)) => {
                let form = payout::split(&request.body).unwrap_or_default();
                let has_both = form.first("sign_type").is_some() && form.first("sign_data").is_some();
                // No source says which field names the merchant.
                let merchant = self.config.merchant.as_bytes();
                let is_ours = form.pairs().iter().any(|pair| *pair.value == *merchant);
                match (has_both, is_ours) {
                    (true, true) => Likeness::Merchant,
                    (true, false) => Likeness::Shape,
                    (false, _) => Likeness::No,
                }
            }
            Err(_) => Likeness::No,
        }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.read(request) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
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

    /// What the signature or the digest covers, and nothing of what stands around it.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        match self.check_outside(proven) {
            Ok(Shape::Trade) => self.open(proven).map(|(_, signed)| signed.into_fields()).unwrap_or_default(),
            Ok(Shape::Payout(_)) => {
                let form = payout::split(&proven.body).unwrap_or_default();
                let text = |bytes: &[u8]| Charset::Utf8.decode_lossy(bytes).into_owned();
                payout::signed(&form).map(|pair| (text(&pair.name), text(&pair.value))).collect()
            }
            Err(_) => Vec::new(),
        }
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

/// What a request can be, by its outside.
enum Shape<'c> {
    Trade,
    Payout(&'c Payout),
}

impl JdPay {
    /// Method, media type and size.
    fn check_outside(&self, request: &RawRequest) -> Result<Shape<'_>, Rejection> {
        let payout = self.config.payout.as_ref();
        let is_xml = |found: &str| matches!(found, "text/xml" | "application/xml");
        let is_right = |found: &str| is_xml(found) || (found == FORM && payout.is_some());
        outside::check_post(request, is_right, BODY_BYTES_MAX)?;
        Ok(payout.filter(|_| request.media_type() == FORM).map_or(Shape::Trade, Shape::Payout))
    }

    fn read(&self, request: &RawRequest) -> Result<(Notification, Verified), Rejection> {
        let config = &self.config;
        match self.check_outside(request)? {
            Shape::Payout(payout) => {
                let form = payout::split(&request.body)?;
                let (verified, signed) = payout.verify(&form)?;
                Ok((facts::read_payout(config, &form, &signed), verified))
            }
            Shape::Trade => {
                let (verified, signed) = self.open(request)?;
                Ok((facts::read(config, &signed), verified))
            }
        }
    }

    /// The text of a trade's notice that the signature covers.
    fn open(&self, request: &RawRequest) -> Result<(Verified, Signed), Rejection> {
        let sealed = Outer::parse(&request.body)?.check(&self.config)?;
        Inner::open(&self.config.cipher, &sealed)?.verify(&self.config.key)
    }
}
