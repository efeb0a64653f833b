//! Yeepay 易宝 (YOP): callbacks of payments and refunds.
//!
//! A form with `customerIdentification` (the application's key) and `response`, an envelope: a symmetric key for the
//! merchant's RSA key, and under it the JSON with Yeepay's signature. Sources: the official YOP SDK's callback
//! decryption, and public handlers of these callbacks.
//!
//! Anybody can seal such an envelope, for the merchant's public key is public. So nothing of it is believed before the
//! signature inside, and no failure on the way says at which step it was: see `yeepay/envelope.rs`.

mod envelope;
mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(all(test, feature = "simulate"))]
mod tests;

use self::envelope::Envelope;
use self::settings::{Config, SETTINGS};
use super::outside::{self, FORM};
use super::{Platform, ladder};
use crate::channel::{Answer, Channel, Failure, KeyNote, Likeness, Rejection, Verdict, quote};
use crate::form::{Form, Limits};
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};

/// Largest body. Callbacks have 2 to 4 kB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Most fields. Callbacks have two.
pub const FIELDS_MAX: usize = 16;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "yeepay",
    family: FAMILY,
    name: Text { en: "Yeepay", zh: "易宝支付" },
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
const FAMILY: &str = "yeepay";

/// The body that stops repetition.
const SUCCESS: &[u8] = b"SUCCESS";

/// Any other body is a failure.
const FAIL: &[u8] = b"FAIL";

const TEXT: &str = "text/plain";

const APP: &str = "customerIdentification";
const RESPONSE: &str = "response";

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the members of the JSON beside `status`: `merchantNo`, `orderId`, `uniqueOrderNo`, `orderAmount`, and of refunds \
             `refundRequestId`, `uniqueRefundNo`, `refundAmount`; where one that is needed is missing, the callback is held",
        zh: "除 `status` 外的 JSON 字段：`merchantNo`、`orderId`、`uniqueOrderNo`、`orderAmount`，退款为 `refundRequestId`、\
             `uniqueRefundNo`、`refundAmount`；缺少所需字段时会被挂起",
    },
    Text {
        en: "nothing in the JSON says of which product it is; give payouts and other products a notify URL of their own",
        zh: "JSON 中没有产品类型；代付等其他产品请使用单独的通知地址",
    },
    Text {
        en: "whether any form field but `customerIdentification` and `response` ever comes; nothing signs one, and a script would read \
             it, so such a callback is refused",
        zh: "除 `customerIdentification` 与 `response` 外是否会有其他表单字段；这类字段没有签名而脚本会读到，因此拒绝此类回调",
    },
    Text {
        en: "how key and signature are written: base64url without padding is accepted, nothing else",
        zh: "密钥与签名的编码：只接受不带填充的 Base64URL",
    },
    Text {
        en: "the layout of the newer envelope (`yop-encrypt-v1//SM4…`); it is refused",
        zh: "新版信封（`yop-encrypt-v1//SM4…`）的格式；一律拒绝",
    },
    Text {
        en: "how often and how long Yeepay repeats, and how long it waits; WeChat Pay's plan is assumed, and we answer at once",
        zh: "易宝的重发次数、间隔与等待时长；按微信支付的间隔估计，本网关立即应答",
    },
    Text {
        en: "no time window is documented, and no member for the time is confirmed; an old capture is known by its numbers",
        zh: "没有公布时间窗口，也没有确认的时间字段；旧报文按单号识别",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Yeepay { config: Config::build(settings)? }))
}

/// A configured Yeepay channel.
#[derive(Debug)]
struct Yeepay {
    config: Config,
}

impl Channel for Yeepay {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(form) = split(request) else { return Likeness::No };
        if form.first(APP).is_none() || form.first(RESPONSE).is_none() {
            return Likeness::No;
        }
        if self.is_ours(&form) { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        let opened = split(request).and_then(|form| {
            self.check_cheaply(&form)?;
            self.config.keys.verify(Envelope::read(&form)?)
        });
        match opened {
            Ok((verified, json)) => {
                let notification = facts::read(&self.config, &json);
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

    /// What was inside: the outside is not signed.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let opened = split(proven).and_then(|form| {
            self.check_cheaply(&form)?;
            Ok(self.config.keys.open(Envelope::read(&form)?))
        });
        opened.map(|opened| facts::fields(opened.json())).unwrap_or_default()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

impl Yeepay {
    /// Everything that costs less than a private key's work.
    fn check_cheaply(&self, form: &Form<'_>) -> Result<(), Rejection> {
        outside::check_form_names(form)?;
        // A script is given the form byte for byte, and nobody signed what else stands in it.
        if let Some(pair) =
            form.pairs().iter().find(|pair| ![APP, RESPONSE].iter().any(|n| *pair.name == *n.as_bytes()))
        {
            return Err(Rejection::Unsigned { field: quote(&String::from_utf8_lossy(&pair.name)) });
        }
        for name in [APP, RESPONSE] {
            form.present(name).ok_or_else(|| Rejection::Missing { field: name.into() })?;
        }
        if !self.is_ours(form) {
            return Err(Rejection::UnknownMerchant { field: APP.into() });
        }
        Ok(())
    }

    /// It is not signed, but it says for whose key the envelope is sealed.
    fn is_ours(&self, form: &Form<'_>) -> bool {
        form.first(APP).is_some_and(|pair| *pair.value == *self.config.app_key.as_bytes())
    }
}

/// The form of a request that has the right outside.
fn split(request: &RawRequest) -> Result<Form<'_>, Rejection> {
    outside::check_post(request, |found| found == FORM, BODY_BYTES_MAX)?;
    outside::split(&request.body, Limits { bytes_max: BODY_BYTES_MAX, pairs_max: FIELDS_MAX }, "body")
}
