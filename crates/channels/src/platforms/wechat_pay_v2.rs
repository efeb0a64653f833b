//! WeChat Pay 微信支付, the second generation (XML): notices to the `notify_url` of a payment, a withholding contract or
//! a refund. Sources: WeChat Pay merchant documents of this generation, "payment result notification", "refund result
//! notification", "contract result notification", "combined payment notification", "signature algorithm".
//!
//! All but refund notices are signed with the API key, by the rule that `tenpay.rs` holds. There is no time under
//! the signature, so an old capture is known by what it says: a message without the time that its kind has is held. The interface's own answers are signed with the same key
//! by the same rule; whoever replays one says nothing false: a payment is only believed where no field speaks against
//! it. Requests and the call-up of the cashier, which a browser can see, carry no `return_code` and prove nothing.
//!
//! ## Refund notices
//!
//! A refund notice has no signature. Its content is sealed (AES-256-ECB under the digest of the API key), and that it
//! opens into a whole content is all that speaks for it. Taken is only what is inside; what stands outside is
//! not protected: the merchant's numbers there must be ours, and nothing else of it is read. Inside, the strictest
//! structure is demanded: one flat document with the root `root`, each element once, every number that names the
//! refund, amounts of digits alone, and a known `refund_status`. Odd numbers, times and amounts that do not fit each
//! other are held. Every failure gets the same reply, so that nobody can ask about blocks.
//!
//! What remains: the cipher has no tag and works block by block (16 bytes). Who has recorded several genuine refund
//! notices of this merchant, and only they, can put whole blocks together anew, where notices happen to be laid out
//! alike: a refund with the number of one and the amount of another. In a single notice they can lose or double a block
//! inside the merchant's own numbers, which are free enough. They cannot seal a text of their own choice. What
//! this is worth to them is bounded: such a message says only that money went back, never that it came; it carries no
//! payment, transfer or contract. Its refund waits for its own payment, so the whole payment number must be a genuine
//! one of the same merchant; and a number that is known already with another amount is a conflict and held. To record
//! such notices, somebody must read the traffic to the notify URL: an `https` URL ends it, and
//! the third generation, which signs refunds, ends all of it. The proof's variant says `req_info`, so that an operator
//! or a route can tell such facts.

mod facts;
mod refund;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(all(test, feature = "simulate"))]
mod tests;

use self::refund::REQ_INFO;
use self::settings::{Config, SETTINGS};
use super::tenpay::{self, SIGN, XML};
use super::{Platform, wechat_pay};
use crate::channel::{Answer, Channel, Failure, KeyNote, Likeness, Rejection, Verdict};
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::xml::Flat;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "wechat_pay_v2",
    family: FAMILY,
    name: Text { en: "WeChat Pay v2", zh: "微信支付 V2" },
    settings: SETTINGS,
    // The documents of both generations have the same list (older texts of this one have a shorter one).
    ladder: wechat_pay::PLATFORM.ladder,
    patience: None,
    freshness: None,
    source_ranges: wechat_pay::PLATFORM.source_ranges,
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: Some(simulate::mirror),
};

/// That of the third generation: both speak about the same accounts and the same numbers.
const FAMILY: &str = wechat_pay::PLATFORM.family;

/// The documented reply (WeChat Pay, "payment result notification"); no character stands between its elements.
const SUCCESS: &str =
    "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>";

/// The same for events whose content is sealed, which name the fields as the third generation does.
const SUCCESS_OF_EVENT: &str = "<xml><code><![CDATA[SUCCESS]]></code><message><![CDATA[OK]]></message></xml>";

/// The documented reply of a failure; the status says it as well.
const FAIL: &str = "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[失败]]></return_msg></xml>";

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how long WeChat Pay waits for an answer in this generation (5 s in the third); we answer at once",
        zh: "V2 通知等待应答的时长（V3 为 5 秒）；本网关立即应答",
    },
    Text {
        en: "whether a status other than 200 counts beside the XML; our failures have both",
        zh: "除 XML 内容外，非 200 状态是否算失败；本网关的失败应答两者兼备",
    },
    Text {
        en: "which ladder an older product follows (15/15/30/180/1800×4/3600 s, or 6 s doubled); the longest is shown",
        zh: "旧产品的重发间隔（15/15/30/180/1800×4/3600 秒，或从 6 秒起倍增）；此处显示最长的一种",
    },
    Text {
        en: "whether a value of blanks alone is under the signature; it is, like any other that is not empty",
        zh: "仅含空白的值是否参与签名；按非空处理，参与签名",
    },
    Text {
        en: "refund notices carry no signature, only a sealed content without a tag; confirm a refund that matters by a query, \
             and receive them over https or by the third generation",
        zh: "退款通知没有签名，只有不带校验的加密内容；重要的退款请再查询确认，并使用 https 或 V3 接收",
    },
    Text {
        en: "refund notices of `CHANGE` and `REFUNDCLOSE` have no time, so an old one cannot be told by its age; they move no \
             money. Any other message without a readable time is held",
        zh: "`CHANGE` 与 `REFUNDCLOSE` 退款通知没有时间字段，无法按时间识别旧通知（不涉及资金变动）；其他通知缺少可读的时间时会被挂起",
    },
    Text {
        en: "the currency of a refund notice: `refund_fee_type` or `fee_type` inside it, else CNY",
        zh: "退款通知的币种：取密文内的 `refund_fee_type` 或 `fee_type`，没有则为 CNY",
    },
    Text {
        en: "events with a sealed content (`event_ciphertext`, older credit-score products) may tell of a payment; they are \
             proven, not opened, and held",
        zh: "内容加密的事件（`event_ciphertext`，旧版支付分产品）可能是支付通知：验签后不解密，一律挂起",
    },
    Text {
        en: "the orders inside a combined notice beside the documented names; what cannot be read is held",
        zh: "合单通知中文档以外的子单字段；无法读取时挂起",
    },
    Text {
        en: "state of the sandbox of this generation; notices of it are read like any other",
        zh: "V2 沙箱的现状；其通知按普通通知读取",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(WechatPayV2 { config: Config::build(settings)? }))
}

/// A configured channel of the second generation.
#[derive(Debug)]
struct WechatPayV2 {
    config: Config,
}

/// What a message is, by the fields that it has. A field that is empty or blank counts as absent: empty ones are not
/// signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The result of a payment or a deduction.
    Payment,
    /// The result of a combined order.
    Combined,
    /// A withholding contract was signed or ended.
    Contract,
    /// The state of a car's licence plate.
    Vehicle,
    /// An event whose content is sealed for the third generation's key.
    Event,
    /// A refund, in a sealed content.
    Refund,
}

impl Shape {
    fn of(flat: &Flat) -> Option<Self> {
        let has = |name| flat.present(name).is_some();
        if has(REQ_INFO) {
            return has("return_code").then_some(Self::Refund);
        }
        if !has(SIGN) {
            return None;
        }
        if has("event_ciphertext") {
            return Some(Self::Event);
        }
        if has("vehicle_event_type") {
            return Some(Self::Vehicle);
        }
        let is_combined = has("combine_out_trade_no") || has("sub_order_list");
        has("return_code").then_some(if has("change_type") {
            Self::Contract
        } else if is_combined {
            Self::Combined
        } else {
            Self::Payment
        })
    }
}

impl Channel for WechatPayV2 {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(flat) = tenpay::read(request) else { return Likeness::No };
        if Shape::of(&flat).is_none() {
            return Likeness::No;
        }
        if self.has_our_ids(&flat) { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.prove(request) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success if is_event(to) => Reply::constant(200, XML, SUCCESS_OF_EVENT.as_bytes()),
            Answer::Success => Reply::constant(200, XML, SUCCESS.as_bytes()),
            Answer::Failure(Failure::Refused) => Reply::constant(400, XML, FAIL.as_bytes()),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, XML, FAIL.as_bytes()),
        }
    }

    fn is_ack(&self, reply: &AppReply<'_>, to: Option<&RawRequest>) -> AckMatch {
        tenpay::ack(reply, if is_event(to) { "code" } else { "return_code" })
    }

    /// With what is inside a refund notice, each name behind `req_info.`.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(flat) = tenpay::read(proven) else { return Vec::new() };
        if Shape::of(&flat) != Some(Shape::Refund) {
            return flat.fields().to_vec();
        }
        // Nothing protects what stands outside: of it only what was compared with the configuration, or decides nothing.
        let outside = flat.fields().iter().filter(|(name, _)| OUTSIDE.contains(&name.as_str())).cloned();
        refund::fields(&self.config, &flat).into_iter().chain(outside).collect()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

/// Whether a request is an event whose content is sealed.
fn is_event(request: Option<&RawRequest>) -> bool {
    let flat = request.and_then(|request| tenpay::read(request).ok());
    flat.is_some_and(|flat| Shape::of(&flat) == Some(Shape::Event))
}

impl WechatPayV2 {
    /// Every id of the message is the channel's, as far as the channel has a list.
    fn has_our_ids(&self, flat: &Flat) -> bool {
        let config = &self.config;
        let is_ours =
            |names: &[&str], has: &dyn Fn(&str) -> bool| names.iter().filter_map(|name| flat.present(name)).all(has);
        is_ours(MERCHANT, &|id| id == config.mch_id)
            && is_ours(APP, &|id| config.app_ids.iter().any(|own| own == id))
            && is_ours(&["sub_mch_id"], &|id| config.subs.has(id))
            && is_ours(&["sub_appid"], &|id| config.has_sub_app(id))
    }

    fn prove(&self, request: &RawRequest) -> Result<(Notification, Verified), Rejection> {
        let flat = tenpay::read(request)?;
        let missing = |field: &str| Rejection::Missing { field: field.into() };
        let Some(shape) = Shape::of(&flat) else {
            return Err(missing(if flat.present(SIGN).is_none() { SIGN } else { "return_code" }));
        };
        // It says by itself that it carries no result.
        if flat.present("return_code").is_some_and(|code| code != "SUCCESS") {
            return Err(Rejection::Malformed { field: "return_code".into() });
        }
        // The merchant decides the key.
        for name in MERCHANT {
            if flat.present(name).is_some_and(|id| id != self.config.mch_id) {
                return Err(Rejection::UnknownMerchant { field: (*name).into() });
            }
        }
        if shape == Shape::Refund {
            return refund::prove(&self.config, &flat);
        }
        let stated = if shape == Shape::Event { "algorithm" } else { "sign_type" };
        let verified = self.config.key.verify(&flat, flat.present(stated), &self.config.sign_types)?;
        Ok((facts::read(&self.config, &flat, shape), verified))
    }
}

/// Fields that stand outside the sealed content of a refund notice.
const OUTSIDE: &[&str] =
    &["return_code", "return_msg", "appid", "mch_id", "sub_appid", "sub_mch_id", "nonce_str", REQ_INFO];

/// Fields that name the merchant; of a combined order, the one that combined it.
const MERCHANT: &[&str] = &["mch_id", "combine_mch_id"];

/// Fields that name the application; events whose content is sealed write it in two words.
const APP: &[&str] = &["appid", "app_id", "combine_appid"];
