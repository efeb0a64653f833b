//! Alipay 支付宝: asynchronous notifications of the open platform.
//!
//! Four kinds share one signature: trades (`trade_status_sync`), agreements (`dut_user_sign`,
//! `dut_user_unsign`), the message service (`msg_method`), and other notices to the application gateway.
//! Sources: Alipay Open Platform, "asynchronous notification" and "message service"; the official SDKs'
//! `AlipaySignature`.
//!
//! Nothing of the URL takes part: Alipay does not sign the query of a notify URL. A signed browser return
//! (`return_url`) carries no `notify_type` and is refused: it is no proof of payment.

mod canonical;
mod certificate;
mod download;
mod facts;
mod resigned;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;
mod times;

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use self::resigned::AlipayResigner;
use self::settings::{Config, RsaKeys, SETTINGS, SignType};
use super::Platform;
use super::outside::{self, FORM};
use crate::channel::{
    Answer, Channel, Failure, KeyNote, KeyRequest, KeySource, Ladder, Likeness, Rejection, Verdict, quote,
};
use crate::charset::Charset;
use crate::form::{Form, Limits, Pair, duplicate};
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::resign::{self, Resigner};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::{Verified, decode_base64};

/// Largest body. Trades have 1 to 3 kB; messages carry JSON with lists, and merchants' own texts.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most fields. Trades have about 25.
pub const FIELDS_MAX: usize = 256;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "alipay",
    family: FAMILY,
    name: Text { en: "Alipay", zh: "支付宝" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: None,
    freshness: None,
    source_ranges: SOURCE_RANGES,
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: None,
};

/// The family within which identities are shared.
const FAMILY: &str = "alipay";

/// The body that stops repetition: exactly these seven bytes (Alipay Open Platform, asynchronous notification).
const SUCCESS: &[u8] = b"success";

/// The customary other body.
const FAIL: &[u8] = b"fail";

const TEXT: &str = "text/plain";

/// Gaps between attempts. The open platform writes 4 minutes for the first one, its message service and
/// the international pages 2; the stated total (24 h 22 m) fits 2, so nobody may be alarmed at either.
const LADDER: Ladder = &[
    Duration::from_mins(4),
    Duration::from_mins(10),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(6),
    Duration::from_hours(15),
];

/// Outbound ranges as Alipay's documents for devices list them; a hint, since the list's currency is unconfirmed.
const SOURCE_RANGES: &[&str] = &[
    "103.47.4.0/22",
    "103.52.196.0/22",
    "110.75.128.0/19",
    "110.75.224.0/19",
    "110.76.0.0/19",
    "110.76.48.0/20",
    "119.42.224.0/19",
    "203.209.224.0/19",
    "43.227.188.0/22",
    "45.113.40.0/22",
    "2400:b200::/32",
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how long Alipay waits for an answer; we answer at once", zh: "支付宝等待应答的时长；本网关立即应答"
    },
    Text {
        en: "whether the first gap is 2 or 4 minutes; both are taken as normal",
        zh: "第一次重发间隔是 2 分钟还是 4 分钟；两者都视为正常",
    },
    Text {
        en: "whether the address list is current; it is a hint and blocks nothing by itself",
        zh: "出口地址列表是否最新；仅作提示，本身不拦截",
    },
    Text {
        en: "whether a status other than 200 is read as a failure in every product; no failure of ours has the word \
             `success` in its body",
        zh: "是否所有产品都把非 200 状态视为失败；本网关的失败应答正文不含 `success`",
    },
    Text {
        en: "whether a named certificate (`alipay_cert_sn`) is under the signature: the official kits sign it, one widely \
             used kit does not; only the official way is accepted",
        zh: "`alipay_cert_sn` 是否参与签名：官方 SDK 参与签名，某个常用的第三方 SDK 不参与；这里只接受官方做法",
    },
    Text {
        en: "whether the content of the message service can be encrypted; what cannot be read is held",
        zh: "消息服务的内容是否可能加密；读不懂的消息会被挂起",
    },
    Text {
        en: "whether every answer of the certificate download is signed, and whether the issuing authority may change; an \
             unsigned answer or another authority is refused, and the certificate is then installed by hand",
        zh: "证书下载接口的应答是否总有签名、签发机构是否会更换；无签名或签发机构不同时一律拒绝，需人工安装证书",
    },
    Text {
        en: "no time window is documented; an old capture is known by its number, and held when older than our memory",
        zh: "没有公布时间窗口；旧报文按编号识别，早于本网关记录的会被挂起",
    },
    Text {
        en: "whether the rows of a profit sharing message always have a number; without one they are held",
        zh: "分账结果消息的明细是否总有明细单号（`detail_id`）；没有时会被挂起",
    },
    Text {
        en: "what a complaint message says beside its number; each is an update, and the state is to be asked for",
        zh: "交易投诉消息除投诉单号外还有哪些字段；一律作为更新，状态需自行查询",
    },
    Text {
        en: "the states of a single refund (`refund_status`) in a notification; any but `REFUND_SUCCESS` is held",
        zh: "通知中单笔退款状态（`refund_status`）的取值；`REFUND_SUCCESS` 以外的会被挂起",
    },
    Text {
        en: "the word in `sign_type` of a message signed with SM2: `SM2` is taken, and only where it is configured",
        zh: "国密签名的通知里 `sign_type` 的写法：按 `SM2` 读取，且只在配置允许时接受",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    let config = Arc::new(Config::build(settings)?);
    Ok(Box::new(Alipay { config, fetched: Arc::new([]), fetched_notes: Vec::new() }))
}

/// A configured Alipay channel.
#[derive(Debug)]
struct Alipay {
    config: Arc<Config>,
    /// Certificates that the platform gave, beside the configured ones.
    fetched: Arc<[RsaKeys]>,
    fetched_notes: Vec<KeyNote>,
}

impl Channel for Alipay {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if request.method != Method::POST || !is_form(&request.media_type()) {
            return Likeness::No;
        }
        let Ok(form) = Form::parse(&request.body, LIMITS) else { return Likeness::No };
        let has = |name| form.first(name).is_some();
        let is_notice = has("notify_type") && has("notify_id") && has("sign_type");
        let is_message = has("msg_method") && has("biz_content");
        if !is_notice && !is_message {
            return Likeness::No;
        }
        if self.check_merchant(&form).is_ok() { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        let form = match split(request) {
            Ok(form) => form,
            Err(rejection) => return Verdict::Refused(rejection),
        };
        let sorted = form.sorted();
        let envelope = match self.check_cheaply(&form, &sorted, now) {
            Ok(envelope) => envelope,
            Err(Cheap::Refused(rejection)) => return Verdict::Refused(rejection),
            Err(Cheap::NeedsKey(request)) => return Verdict::NeedsKey(request),
        };
        match self.check_signature(&envelope, &sorted) {
            Some((verified, message)) => {
                let notification = facts::read(&self.config, &form, &sorted, &message);
                Verdict::Genuine(Proven::by_signature(notification, verified))
            }
            None => Verdict::Refused(unproven(&form)),
        }
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, TEXT, SUCCESS),
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, FAIL),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, FAIL),
        }
    }

    /// Only status 200 counts, and the word in lower case: the message service reads it in any case, the
    /// notify URL does not, and a script that says it wrong would be repeated by Alipay.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status == 200 { AckMatch::of_word(reply.body, SUCCESS) } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(form) = split(proven) else { return Vec::new() };
        let charset = form.present_ascii("charset").and_then(Charset::parse).unwrap_or(Charset::Utf8);
        let text = |bytes: &[u8]| charset.decode_lossy(bytes).into_owned();
        form.pairs().iter().map(|pair| (text(&pair.name), text(&pair.value))).collect()
    }

    fn keys(&self) -> Vec<KeyNote> {
        [self.config.notes.as_slice(), self.fetched_notes.as_slice()].concat()
    }

    fn key_source(&self) -> Option<&dyn KeySource> {
        self.config.caller.as_ref().map(|_| self as &dyn KeySource)
    }

    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        if !self.config.keys.allows(SignType::Rsa2) {
            return Err(SettingsError::new(resign::SETTING, "not_supported").because("RSA2"));
        }
        let keys = &self.config.keys;
        let believes = |text: &[u8], tag: &[u8]| {
            keys.verify(SignType::Rsa2, (None, None), text, tag, "probe").is_some()
                || self.fetched.iter().any(|keys| keys.verify(SignType::Rsa2, text, tag, "probe").is_some())
        };
        resign::refuse_believed(key, believes)?;
        Ok(Box::new(AlipayResigner::new(self.config.clone(), self.fetched.clone(), key)?))
    }
}

/// What the cheap checks found, before any key is used.
struct Envelope<'f, 'c> {
    sign_type: SignType,
    signature: Vec<u8>,
    /// The certificate that the message names.
    serial: Option<&'f str>,
    /// That certificate, when it is none of the configured ones.
    fetched: Option<&'c RsaKeys>,
    now: Timestamp,
}

/// How the cheap checks end when they do not pass.
enum Cheap {
    Refused(Rejection),
    NeedsKey(KeyRequest),
}

impl From<Rejection> for Cheap {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl Alipay {
    /// Everything that costs less than a signature, the cheapest first.
    fn check_cheaply<'f>(
        &self,
        form: &'f Form<'_>,
        sorted: &[&'f Pair<'_>],
        now: Timestamp,
    ) -> Result<Envelope<'f, '_>, Cheap> {
        if let Some(name) = duplicate(sorted) {
            return Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) }.into());
        }
        // Joined without escapes, such a name would be two fields to another reader.
        if let Some(pair) = sorted.iter().find(|pair| !canonical::is_plain_name(&pair.name)) {
            return Err(Rejection::Malformed { field: quote(&String::from_utf8_lossy(&pair.name)) }.into());
        }
        if let Some(name) = canonical::shadowing_name(sorted) {
            return Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) }.into());
        }
        let sign = required(form, "sign")?;
        let sign_type = required(form, "sign_type")?;
        required(form, "app_id")?;
        check_kind(form)?;
        self.check_merchant(form)?;
        let sign_type = std::str::from_utf8(sign_type)
            .ok()
            .and_then(SignType::parse)
            .filter(|sign_type| self.config.keys.allows(*sign_type))
            .ok_or_else(|| Rejection::Algorithm { algorithm: quote(&String::from_utf8_lossy(sign_type)) })?;
        let signature = decode_base64(sign).ok_or_else(|| Rejection::Malformed { field: "sign".into() })?;
        // Last: it may ask for a certificate, which costs a call to the platform.
        let (serial, fetched) = self.check_serial(form, sign_type, now)?;
        Ok(Envelope { sign_type, signature, serial, fetched, now })
    }

    /// Alipay's standing demand: `app_id` is yours, in ISV mode `auth_app_id` too.
    fn check_merchant(&self, form: &Form<'_>) -> Result<(), Rejection> {
        let config = &self.config;
        if form.present("app_id").is_some_and(|app_id| app_id != config.app_id.as_bytes()) {
            return Err(Rejection::UnknownMerchant { field: "app_id".into() });
        }
        let is_authorised = |id: &[u8]| config.auth_app_ids.iter().any(|own| own.as_bytes() == id);
        if !config.auth_app_ids.is_empty() && form.present("auth_app_id").is_some_and(|id| !is_authorised(id)) {
            return Err(Rejection::UnknownMerchant { field: "auth_app_id".into() });
        }
        Ok(())
    }

    /// In certificate mode a message may name its certificate; another one than ours must be fetched.
    fn check_serial<'f>(
        &self,
        form: &'f Form<'_>,
        sign_type: SignType,
        now: Timestamp,
    ) -> Result<(Option<&'f str>, Option<&RsaKeys>), Cheap> {
        let Some(pair) = form.first("alipay_cert_sn").filter(|pair| !pair.is_blank()) else { return Ok((None, None)) };
        let serial = std::str::from_utf8(&pair.value).unwrap_or_default();
        if self.config.keys.knows_serial(sign_type, serial, now) {
            return Ok((Some(serial), None));
        }
        let unknown = || Rejection::UnknownKey { serial: quote(&String::from_utf8_lossy(&pair.value)) };
        // The download gives certificates of RSA keys.
        if sign_type == SignType::Sm2 {
            return Err(unknown().into());
        }
        if let Some(found) = self.fetched.iter().find(|one| one.is_named(serial, Some(now))) {
            return Ok((Some(serial), Some(found)));
        }
        if certificate::is_serial(serial) {
            return Err(Cheap::NeedsKey(KeyRequest { serial: serial.to_ascii_lowercase() }));
        }
        Err(unknown().into())
    }

    /// Tries the documented strings; gives the proof and the string that matched.
    fn check_signature(&self, envelope: &Envelope<'_, '_>, sorted: &[&Pair<'_>]) -> Option<(Verified, Vec<u8>)> {
        canonical::variants(sorted).into_iter().find_map(|variant| {
            let message = variant.string(sorted);
            let (sign_type, signature) = (envelope.sign_type, &envelope.signature);
            let meant = (envelope.serial, Some(envelope.now));
            let verified = match envelope.fetched {
                Some(key) => key.verify(sign_type, &message, signature, variant.name()),
                None => self.config.keys.verify(sign_type, meant, &message, signature, variant.name()),
            };
            verified.map(|verified| (verified, message))
        })
    }
}

const LIMITS: Limits = Limits { bytes_max: BODY_BYTES_MAX, pairs_max: FIELDS_MAX };

/// The form of a request that has the right outside.
fn split(request: &RawRequest) -> Result<Form<'_>, Rejection> {
    outside::check_post(request, is_form, BODY_BYTES_MAX)?;
    outside::split(&request.body, LIMITS, "body")
}

/// Alipay writes `application/x-www-form-urlencoded; text/html; charset=utf-8`, of which the first part counts. A longer
/// word is another type: a script would find no fields in what it is then given.
fn is_form(media_type: &str) -> bool {
    media_type == FORM
}

/// What a kind of message cannot be without. `notify_id` belongs to what comes to a notify URL.
fn check_kind(form: &Form<'_>) -> Result<(), Rejection> {
    if form.present("msg_method").is_some() {
        return required(form, "biz_content").map(drop);
    }
    required(form, "notify_type")?;
    required(form, "notify_id").map(drop)
}

fn required<'f>(form: &'f Form<'_>, name: &'static str) -> Result<&'f [u8], Rejection> {
    form.present(name).ok_or_else(|| Rejection::Missing { field: name.into() })
}

/// Why a message that no string proved is refused: a body that is not even text in its declared charset
/// was re-encoded on its way, which is a better answer than "the signature does not match".
fn unproven(form: &Form<'_>) -> Rejection {
    let label = form.present_ascii("charset").unwrap_or("utf-8");
    let charset = Charset::parse(label).unwrap_or(Charset::Utf8);
    if form.pairs().iter().any(|pair| charset.decode(&pair.value).is_err()) {
        return Rejection::Charset { charset: quote(label) };
    }
    Rejection::Signature
}
