//! QQ wallet QQ钱包: notices of payments to the `notify_url` of an order, and of payouts (XML). Sources: QQ wallet
//! merchant documents, "payment result notification" and "signature algorithm"; the kits that merchants use.
//!
//! The rule of the signature is that of `tenpay.rs`, with MD5 alone. Unlike its sister it has a `trade_state` and
//! no `return_code`. There is no time under the signature, so an old capture is known by what it says. The interface's
//! own answers are signed with the same key by the same rule, but carry a `return_code`: they are another protocol.

mod facts;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(all(test, feature = "simulate"))]
mod tests;

use super::accounts::texts;
use super::tenpay::{self, ApiKey, SIGN, SignType, XML};
use super::{Platform, ladder};
use crate::channel::{Answer, Channel, Failure, KeyNote, Likeness, Rejection, Verdict, quote};
use crate::model::{AckMatch, AppReply, Environment, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::xml::Flat;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "qq_wallet",
    family: FAMILY,
    name: Text { en: "QQ Wallet", zh: "QQ钱包" },
    settings: SETTINGS,
    // Its own is not published; that of its sister stands in.
    ladder: ladder::DAY,
    patience: None,
    freshness: None,
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: Some(simulate::mirror),
};

/// The family within which identities are shared.
const FAMILY: &str = "qq_wallet";

/// The documented reply.
const SUCCESS: &str = "<xml><return_code>SUCCESS</return_code></xml>";

/// The documented reply of a failure; the status says it as well.
const FAIL: &str = "<xml><return_code>FAIL</return_code><return_msg>失败</return_msg></xml>";

/// The only algorithm.
const ALLOWED: &[SignType] = &[SignType::Md5];

/// Most application ids of one channel.
const APP_IDS_MAX: usize = 64;

/// Fewest and most characters of an API key; the platform's own has 32.
const KEY_CHARS: [usize; 2] = [16, 64];

const API_KEY: &str = "api_key";

const SETTINGS: &[Setting] = &[
    Setting {
        name: "mch_id",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "merchant number (mch_id), shown in the QQ wallet merchant platform under account management; messages for \
                 another one are refused",
            zh: "商户号（mch_id），在 QQ钱包商户平台「账户管理」查看；其他商户的通知会被拒绝",
        },
        example: "1900000001",
    },
    Setting {
        name: "appid",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "application ids of this merchant at the QQ open platform; payments for another one are held",
            zh: "在 QQ 互联开放平台登记的 AppID，可填多个；其他应用的支付通知会被挂起",
        },
        example: "100000001",
    },
    Setting {
        name: API_KEY,
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "API key, usually 32 characters, as set in the QQ wallet merchant platform under API security",
            zh: "API 密钥，一般为 32 个字符，在 QQ钱包商户平台「账户管理 → API 安全」中设置",
        },
        example: "qq_wallet_key",
    },
    Setting {
        name: "sub_mch_id",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "service provider: the sub-merchants (sub_mch_id); payments for others are held",
            zh: "服务商模式：子商户号（sub_mch_id），可填多个；其他子商户的支付通知会被挂起",
        },
        example: "1900000109",
    },
];

/// Most sub-merchants of one channel.
const SUB_MERCHANTS_MAX: usize = 4096;

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how long QQ wallet waits for an answer and when it repeats; we answer at once, and WeChat Pay's list is shown",
        zh: "QQ钱包等待应答的时长与重发间隔；本网关立即应答，重发间隔按微信支付的列表显示",
    },
    Text {
        en: "whether a status other than 200 counts beside the XML; our failures have both",
        zh: "除 XML 内容外，非 200 状态是否算失败；本网关的失败应答两者兼备",
    },
    Text {
        en: "values of `trade_state` other than SUCCESS in a notice; they are held",
        zh: "通知中除 SUCCESS 以外的 `trade_state`；一律挂起",
    },
    Text {
        en: "values of `state` in a payout notice, which also names no merchant; payouts are proven and kept as `other`, and \
             with several channels each needs a URL of its own",
        zh: "付款（企业付款）通知的 `state` 取值，且该通知不含商户号；验签后按 `other` 保存；有多个渠道时须各用各的地址",
    },
    Text {
        en: "whether a value of blanks alone is under the signature; it is, like any other that is not empty",
        zh: "仅含空白的值是否参与签名；按非空处理，参与签名",
    },
    Text {
        en: "from which addresses QQ wallet sends, and whether every product is still available",
        zh: "QQ钱包的出口地址，以及各产品是否仍在提供",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(QqWallet { config: Config::build(settings)? }))
}

/// A channel's configuration, checked.
#[derive(Debug)]
struct Config {
    environment: Environment,
    mch_id: String,
    /// Its applications; never empty.
    app_ids: Vec<String>,
    /// Its sub-merchants; empty outside provider mode.
    sub_mch_ids: Vec<String>,
    key: ApiKey,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let mch_id = settings.required_text("mch_id")?.trim().to_owned();
        if !tenpay::is_merchant(&mch_id) {
            return Err(SettingsError::new("mch_id", "malformed_id").because(quote(&mch_id)));
        }
        let app_ids = texts(settings, "appid", APP_IDS_MAX, tenpay::is_app_id)?;
        let app_ids = app_ids.ok_or(SettingsError::new("appid", "missing"))?;
        let sub_mch_ids = texts(settings, "sub_mch_id", SUB_MERCHANTS_MAX, tenpay::is_merchant)?;
        let key = ApiKey::build(settings, API_KEY, KEY_CHARS)?;
        let sub_mch_ids = sub_mch_ids.unwrap_or_default();
        Ok(Self { environment: settings.environment, mch_id, app_ids, sub_mch_ids, key })
    }
}

/// A configured QQ wallet channel.
#[derive(Debug)]
struct QqWallet {
    config: Config,
}

/// What a message is. A field that is empty or blank counts as absent: empty ones are not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// An order was paid.
    Payment,
    /// Something became of a payout.
    Payout,
}

impl Shape {
    fn of(flat: &Flat) -> Option<Self> {
        let has = |name| flat.present(name).is_some();
        if !has(SIGN) || has("return_code") {
            return None;
        }
        if has("trade_state") {
            return Some(Self::Payment);
        }
        let is_payout = has("state") && has("out_trade_no") && has("transaction_id");
        is_payout.then_some(Self::Payout)
    }
}

impl Channel for QqWallet {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(flat) = tenpay::read(request) else { return Likeness::No };
        if Shape::of(&flat).is_none() {
            return Likeness::No;
        }
        let config = &self.config;
        let is_ours = |name: &str, has: &dyn Fn(&str) -> bool| flat.present(name).is_none_or(has);
        let are_ours = is_ours("mch_id", &|id| id == config.mch_id)
            && is_ours("appid", &|id| config.app_ids.iter().any(|own| own == id))
            && is_ours("sub_mch_id", &|id| config.sub_mch_ids.iter().any(|own| own == id));
        if are_ours { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.prove(request) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, XML, SUCCESS.as_bytes()),
            Answer::Failure(Failure::Refused) => Reply::constant(400, XML, FAIL.as_bytes()),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, XML, FAIL.as_bytes()),
        }
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        tenpay::ack(reply, "return_code")
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        tenpay::read(proven).map(|flat| flat.fields().to_vec()).unwrap_or_default()
    }

    fn keys(&self) -> Vec<KeyNote> {
        vec![KeyNote {
            label: API_KEY.into(),
            algorithm: SignType::Md5.word().into(),
            fingerprint: None,
            not_after: None,
        }]
    }
}

impl QqWallet {
    fn prove(&self, request: &RawRequest) -> Result<(Notification, Verified), Rejection> {
        let flat = tenpay::read(request)?;
        let Some(shape) = Shape::of(&flat) else {
            let missing = |field: &str| Rejection::Missing { field: field.into() };
            // An answer of the interface is no notice, whoever signed it.
            let is_answer = flat.present("return_code").is_some();
            return Err(match flat.present(SIGN) {
                Some(_) if is_answer => Rejection::Malformed { field: "return_code".into() },
                Some(_) => missing("trade_state"),
                None => missing(SIGN),
            });
        };
        // The merchant decides the key.
        if flat.present("mch_id").is_some_and(|id| id != self.config.mch_id) {
            return Err(Rejection::UnknownMerchant { field: "mch_id".into() });
        }
        let verified = self.config.key.verify(&flat, flat.present("sign_type"), ALLOWED)?;
        Ok((facts::read(&self.config, &flat, shape), verified))
    }
}
