//! Huifu 汇付斗拱: webhooks of the console, beside the notifications to a `notify_url`.
//!
//! A JSON body; `sign` in the URL's query is the upper-case MD5 of the raw body with the endpoint's own key behind it.
//! Other parameters of the query belong to the URL as it was entered in the console, and mean nothing here. Sources:
//! Huifu 斗拱, "webhooks" and its table of events; public clients of them.
//!
//! Facts carry the same names as those of the notifications, so a payment that is told in both ways is one.
//!
//! A webhook has no time that is signed for the purpose; MD5 with the key behind the body does not stop whoever can
//! choose two bodies of one digest. Nobody but Huifu writes such a body, and no merchant's text stands at its end.

mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

use self::settings::{Config, SETTINGS};
use super::failure::says_failure;
use super::outside::{self, JSON};
use super::{Platform, huifu};
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict};
use crate::form::{Form, Limits, written};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;

/// Largest body. Payments have 1 to 4 kB; lists of shares and promotions make some longer.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Longest query: the signature and what the merchant put into the URL.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;

/// Most parameters of a query.
pub const PARAMETERS_MAX: usize = 64;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "huifu_webhook",
    family: huifu::FAMILY,
    name: Text { en: "Huifu (console webhooks)", zh: "汇付斗拱（控台 Webhook）" },
    settings: SETTINGS,
    ladder: LADDER,
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

const TEXT: &str = "text/plain";

const FAIL: &[u8] = b"fail";

const SIGN: &str = "sign";

/// How the text under the digest is made; there is one way.
const VARIANT: &str = "webhook";

const LIMITS: Limits = Limits { bytes_max: QUERY_BYTES_MAX, pairs_max: PARAMETERS_MAX };

/// Three attempts a second apart, then one an hour until it is taken. UNCONFIRMED: integration guides write so.
const LADDER: Ladder = &[
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_hours(1),
    Duration::from_hours(1),
    Duration::from_hours(1),
    Duration::from_hours(1),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the gaps between attempts (a second, then every hour) and how long an answer may take",
        zh: "重发间隔（约 1 秒，之后每小时一次）以及等待应答的时长",
    },
    Text {
        en: "whether the event's word stands in `event_define_no` or `event_type`: either is read, and two that differ are \
             held",
        zh: "事件类型字段是 `event_define_no` 还是 `event_type`：两者都会读取，同时出现且不一致时挂起",
    },
    Text {
        en: "the fields of an event's body: a payment or refund without number, state or amount is held, and an event that no \
             table names too",
        zh: "事件报文的字段：支付或退款缺少单号、状态、金额时会被挂起；事件表之外的类型同样挂起",
    },
    Text {
        en: "whether an endpoint may go without a key: such a webhook has no signature, and is refused",
        zh: "端点未配置终端密钥时事件不带签名；一律拒绝，请在控台配置终端密钥",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(HuifuWebhook { config: Config::build(settings)? }))
}

/// A configured endpoint of webhooks.
#[derive(Debug)]
struct HuifuWebhook {
    config: Config,
}

impl Channel for HuifuWebhook {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() || signature(request).is_err() {
            return Likeness::No;
        }
        let Ok(message) = Json::parse(&request.body) else { return Likeness::No };
        if !facts::is_event(&message) {
            return Likeness::No;
        }
        let is_ours = huifu::facts::account(&message)
            .is_none_or(|account| self.config.huifu_ids.iter().any(|own| own == account));
        if is_ours { Likeness::Merchant } else { Likeness::Shape }
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

    /// Any status of success without a body; the words of a `notify_url` are not asked for here.
    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 200, content_type: None, body: Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, FAIL),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, FAIL),
        }
    }

    /// The status decides, but an answer that says it failed confirms nothing.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        let is_accepted = (200..300).contains(&reply.status) && !says_failure(reply.body);
        if is_accepted { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if let Ok(message @ Json::Object(_)) = Json::parse(&proven.body) {
            message.flatten("", &mut fields);
        }
        fields
    }

    /// The signature stands there; the rest of it is nobody's word.
    fn signed_query(&self, proven: &RawRequest) -> Option<String> {
        let form = Form::parse(proven.query.as_deref()?.as_bytes(), LIMITS).ok()?;
        String::from_utf8(written([form.first(SIGN)?])).ok()
    }

    fn query_names(&self) -> Vec<&str> {
        vec![SIGN]
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

impl HuifuWebhook {
    fn check(&self, request: &RawRequest) -> Result<Verified, Rejection> {
        check_outside(request)?;
        let signature = signature(request)?;
        self.config.key.verify(&request.body, b"", &signature, VARIANT).ok_or(Rejection::Signature)
    }
}

/// Method, media type and size.
fn check_outside(request: &RawRequest) -> Result<(), Rejection> {
    outside::check_post(request, |media_type| media_type == JSON, BODY_BYTES_MAX)
}

/// The one signature in the query.
fn signature(request: &RawRequest) -> Result<Vec<u8>, Rejection> {
    let missing = || Rejection::Missing { field: SIGN.into() };
    let query = request.query.as_deref().ok_or_else(missing)?;
    let form = Form::parse(query.as_bytes(), LIMITS).map_err(|_| Rejection::Malformed { field: "query".into() })?;
    let mut signs = form.pairs().iter().filter(|pair| *pair.name == *SIGN.as_bytes());
    let sign = signs.next().ok_or_else(missing)?;
    if signs.next().is_some() {
        return Err(Rejection::Duplicate { field: SIGN.into() });
    }
    if sign.is_blank() { Err(missing()) } else { Ok(sign.value.to_vec()) }
}
