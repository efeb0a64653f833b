//! UnionPay 银联, online gateway (全渠道) 5.1.0: notices to the `backUrl` of a transaction.
//!
//! A notice is a form; what is signed are all its fields in order of their names, the certificate of the signature
//! included. Sources: UnionPay's developer documents, "message signature" and "background notice"; the official kits'
//! `AcpService` and `CertUtil`.
//!
//! The browser brings the same fields, under the same signature, to the `frontUrl`: they say the same there, and
//! nothing in them tells the two apart. Only transactions that succeeded are told; a failure must be asked for.
//! Nothing of the URL takes part: UnionPay does not sign the query of a notify URL.
//!
//! Everybody's notices are signed with the same key of UnionPay's, so one for another merchant is refused by its number
//! before anything is computed: kept, it would let any merchant fill the inbox of any other.

mod canonical;
mod certificates;
mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use self::settings::{Config, SETTINGS, SignMethod};
use super::Platform;
use super::failure::says_failure;
use super::outside::{self, FORM};
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::form::{Form, Limits, Pair, duplicate};
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::digest::DigestHash;
use crate::signature::{Verified, decode_base64, trial};

/// Largest body. Notices have 3 to 4 kB, half of them the certificate.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Most fields. Notices have about 30.
pub const FIELDS_MAX: usize = 128;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "unionpay",
    family: FAMILY,
    name: Text { en: "UnionPay", zh: "银联在线支付" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(PATIENCE),
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
const FAMILY: &str = "unionpay";

/// The version whose messages are taken.
const VERSION: &str = "5.1.0";

const TEXT: &str = "text/plain";

/// The customary body of a failure; what counts is the status.
const FAIL: &[u8] = b"fail";

/// How long an answer may take (UnionPay, "background notice").
const PATIENCE: Duration = Duration::from_secs(10);

/// Gaps between attempts (UnionPay, "background notice"): five in all.
const LADDER: Ladder =
    &[Duration::from_mins(1), Duration::from_mins(2), Duration::from_mins(4), Duration::from_mins(5)];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "which response codes other than 00 and A6 a notice can carry: 03, 04 and 05 are read as still in doubt, any \
             other is held; none of them is read as a final failure",
        zh: "通知中除 00 和 A6 外可能出现哪些应答码：03、04、05 视为结果未明，其他一律挂起；都不当作最终失败",
    },
    Text {
        en: "which transaction types have a money meaning beyond 01, 02, 03, 04, 12, 31, 32 and 33: 76, 79 and 95 are kept as \
             `other`, any other is held",
        zh: "除 01、02、03、04、12、31、32、33 外还有哪些交易类型涉及资金：76、79、95 按 `other` 保存，其他一律挂起",
    },
    Text {
        en: "whether an answer of the API can be told from a notice by its fields: one to a query has origRespCode, one to a \
             refund, a revocation or a payout has no traceNo, and both are held when somebody posts them as a notice",
        zh: "接口的同步应答与通知能否按字段区分：查询应答含 origRespCode，退货、撤销、代付的应答不含 traceNo;\
             这两种报文被当作通知发来时一律挂起",
    },
    Text {
        en: "the unit of amounts in currencies that do not have two decimals; such a message is held",
        zh: "小数位不是两位的币种以什么为金额单位；这类通知会被挂起",
    },
    Text {
        en: "whether a refund may name its payment by origOrderId and origTxnTime in place of origQryId; both are read",
        zh: "退货、撤销通知能否用 origOrderId 和 origTxnTime 代替 origQryId 指明原交易；两种都会读取",
    },
    Text {
        en: "whether every notice about a sub-merchant's money names the sub-merchant (subMerId); one that names none counts \
             as the platform merchant's own",
        zh: "涉及二级商户资金的通知是否都带 subMerId；不带时视为平台商户本身的交易",
    },
    Text {
        en: "what kinds of blank value the signer leaves out: the message is checked as it came, then without empty values, \
             then without values of blanks only",
        zh: "签名时忽略哪些空值：依次按原样、去掉空值、去掉只含空格的值验签",
    },
    Text {
        en: "which hash UnionPay's production certificates are issued with; SHA-1 is taken in a sandbox only, and \
             `unionpay_cert` alone does without",
        zh: "银联生产签名证书的签发算法；SHA-1 仅在 sandbox 接受，只配置 `unionpay_cert` 时不依赖它",
    },
    Text {
        en: "no addresses of the sender are published, and no time window: an old capture is known by its number, and held \
             when older than our memory",
        zh: "没有公布通知的来源地址和时间窗口；旧报文按编号识别，早于本网关记录的会被挂起",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(UnionPay { config: Config::build(settings)? }))
}

/// A configured UnionPay channel.
#[derive(Debug)]
struct UnionPay {
    config: Config,
}

impl Channel for UnionPay {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if request.method != Method::POST || !is_form(request) {
            return Likeness::No;
        }
        let Ok(form) = Form::parse(&request.body, LIMITS) else { return Likeness::No };
        let has = |name| form.first(name).is_some();
        let is_notice = has(certificates::FIELD) || (has("txnType") && has("signMethod"));
        if !is_notice {
            return Likeness::No;
        }
        let is_ours = form.present("merId").is_none_or(|id| self.is_ours(id));
        if is_ours { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        let form = match split(request) {
            Ok(form) => form,
            Err(rejection) => return Verdict::Refused(rejection),
        };
        let sorted = form.sorted();
        match self.prove(&form, &sorted, now) {
            Ok((verified, text)) => {
                let notification = facts::read(&self.config, &form, &sorted, &text);
                Verdict::Genuine(Proven::by_signature(notification, verified))
            }
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    /// Success is the status alone: UnionPay does not read the body.
    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 200, content_type: None, body: Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, FAIL),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, FAIL),
        }
    }

    /// The status decides, with one exception on the safe side, since a confirmation that was none would lose the
    /// payment: an error page, or a word of failure, that came with status 200.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status == 200 && !says_failure(reply.body) { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(form) = split(proven) else { return Vec::new() };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        form.pairs().iter().map(|pair| (text(&pair.name), text(&pair.value))).collect()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

impl UnionPay {
    /// The checks in the order of their cost; gives the proof and the text that was signed.
    fn prove(&self, form: &Form<'_>, sorted: &[&Pair<'_>], now: Timestamp) -> Result<(Verified, Vec<u8>), Rejection> {
        if let Some(name) = duplicate(sorted) {
            return Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) });
        }
        if let Some(pair) = sorted.iter().find(|pair| !canonical::is_plain_name(&pair.name)) {
            return Err(Rejection::Malformed { field: quote(&String::from_utf8_lossy(&pair.name)) });
        }
        let signature = required(form, "signature")?;
        let method = self.method(form)?;
        if !self.is_ours(required(form, "merId")?) {
            return Err(Rejection::UnknownMerchant { field: "merId".into() });
        }
        let proven = match method {
            SignMethod::Rsa => self.prove_by_certificate(form, sorted, signature, now)?,
            SignMethod::Sha256 | SignMethod::Sm3 => self.prove_by_key(method, sorted, signature),
        };
        proven.ok_or_else(|| unproven(form))
    }

    /// The algorithm that the message names, if the configuration allows it. Version 5.0.0 signs with SHA-1.
    fn method(&self, form: &Form<'_>) -> Result<SignMethod, Rejection> {
        let version = required(form, "version")?;
        if version != VERSION.as_bytes() {
            return Err(Rejection::Algorithm {
                algorithm: quote(&format!("version {}", String::from_utf8_lossy(version))),
            });
        }
        let word = required(form, "signMethod")?;
        let method = std::str::from_utf8(word).ok().and_then(SignMethod::parse);
        method
            .filter(|method| self.config.allows(*method))
            .ok_or_else(|| Rejection::Algorithm { algorithm: quote(&String::from_utf8_lossy(word)) })
    }

    /// RSA over the 64 characters of the text's digest, which is thus hashed twice.
    fn prove_by_certificate(
        &self,
        form: &Form<'_>,
        sorted: &[&Pair<'_>],
        signature: &[u8],
        now: Timestamp,
    ) -> Result<Option<(Verified, Vec<u8>)>, Rejection> {
        let signature = decode_base64(signature).ok_or_else(|| Rejection::Malformed { field: "signature".into() })?;
        let certificate = required(form, certificates::FIELD)?;
        // Without certificates this method is not allowed.
        let Some(trust) = &self.config.trust else { return Ok(None) };
        let signer = trust.signer(certificate, now)?;
        let proven = canonical::ways(sorted).into_iter().find_map(|way| {
            let text = way.text(sorted);
            signer.verify(DigestHash::Sha256, &text, &signature, way.name()).map(|verified| (verified, text))
        });
        // Whoever explains a request, perhaps at an invented time, changes nothing for the requests that come.
        if proven.is_some() && !trial::is_heard() {
            trust.remember(&signer);
        }
        Ok(proven)
    }

    fn prove_by_key(&self, method: SignMethod, sorted: &[&Pair<'_>], claimed: &[u8]) -> Option<(Verified, Vec<u8>)> {
        canonical::ways(sorted).into_iter().find_map(|way| {
            let text = way.text(sorted);
            self.config.verify_keyed(method, &text, claimed, way.name()).map(|verified| (verified, text))
        })
    }

    fn is_ours(&self, merchant: &[u8]) -> bool {
        self.config.merchants.iter().any(|own| own.as_bytes() == merchant)
    }
}

const LIMITS: Limits = Limits { bytes_max: BODY_BYTES_MAX, pairs_max: FIELDS_MAX };

/// The form of a request that has the right outside.
fn split(request: &RawRequest) -> Result<Form<'_>, Rejection> {
    outside::check_post(request, |found| found == FORM, BODY_BYTES_MAX)?;
    outside::split(&request.body, LIMITS, "body")
}

fn is_form(request: &RawRequest) -> bool {
    request.media_type() == FORM
}

fn required<'f>(form: &'f Form<'_>, name: &'static str) -> Result<&'f [u8], Rejection> {
    form.present(name).ok_or_else(|| Rejection::Missing { field: name.into() })
}

/// Why a message that no text proved is refused: bytes that are not even UTF-8 were re-encoded on their way.
fn unproven(form: &Form<'_>) -> Rejection {
    if form.pairs().iter().any(|pair| std::str::from_utf8(&pair.value).is_err()) {
        return Rejection::Charset { charset: "UTF-8".into() };
    }
    Rejection::Signature
}
