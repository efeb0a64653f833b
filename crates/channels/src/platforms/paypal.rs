//! PayPal: webhooks of the REST API.
//!
//! A JSON body, and beside it six headers: the transmission's id and time, its signature (RSASSA-PKCS1-v1_5 with SHA-256,
//! base64), the URL of the certificate that made it, the algorithm and a version. Under the signature is
//! `{id}|{time}|{webhook id}|{CRC-32 of the body in decimal digits}`; the webhook's id is known to both sides and is not in
//! the message. Sources: PayPal's REST API specifications and documents on webhooks, and its Python kit.
//!
//! **The signature does not protect the body.** A CRC-32 is linear: whoever has one delivery can compute, without any key,
//! as many other bodies with the same sum as he likes, and the signature holds for each. There is no window of time
//! either. One line of an old log would be enough to invent payments for good. So the signature counts for what it is, a
//! proof that the platform once sent this transmission to this webhook:
//! * With credentials of the API (`confirm = "always"`, the default) a delivery is a hint. The platform is asked for the
//!   event by its id, and only that answer makes facts, under the proof of the API. The signature keeps out those who never
//!   saw a delivery; for the rest a hint is as good as one by anybody.
//! * Without them there is no channel, unless `confirm = "never"` says that the operator takes the risk. Then a notification is
//!   named by its transmission, which is signed, and not by the event's id, which is not. The transmission is a name of its
//!   fact as well, which says that it tells one thing: whatever else a captured delivery is made to tell, of the same kind
//!   or another, is a contradiction and held. A message with several facts is held, for they cannot share the name;
//!   and so is what was sent longer ago than the platform repeats. What remains: whoever sees a delivery before it arrives, or one that never arrived, can put one body of his own in its place.

mod amount;
mod api;
mod certificate;
mod facts;
mod header;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::certificate::{Key, host};
use self::facts::Sent;
use self::header::Transmission;
use self::settings::{Config, SETTINGS, SIMULATOR};
use super::Platform;
use super::accounts::parse;
use super::failure::says_failure;
use super::outside::check_post;
use super::signed_body::JSON;
use crate::channel::{
    Answer, Channel, Failure, FetchBack, Hint, KeyNote, KeyRequest, KeySource, Ladder, Likeness, Rejection, Verdict,
};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Concern, Environment, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::signature::rsa::RsaVerifier;

/// Largest body. Events have 1 to 5 kB; orders with many items have more.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// How long ago a delivery may have been sent that the signature alone proves: the three days in which the platform
/// repeats, and one more. An older one is a resend by hand, or a capture, and waits for a person.
pub const REPEATS_FOR: Duration = Duration::from_hours(4 * 24);

/// How far ahead of ours the platform's clock may be.
const AHEAD_MAX: Duration = Duration::from_hours(1);

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "paypal",
    family: FAMILY,
    name: Text { en: "PayPal", zh: "PayPal" },
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
    mirror: None,
};

/// The family within which identities are shared.
const FAMILY: &str = "paypal";

/// How the text under the signature is made; there is one form.
const VARIANT: &str = "v2";

const TEXT: &str = "text/plain";

const TRANSMISSION_ID: &str = "paypal-transmission-id";
const TRANSMISSION_TIME: &str = "paypal-transmission-time";
const TRANSMISSION_SIG: &str = "paypal-transmission-sig";
const CERT_URL: &str = "paypal-cert-url";
const AUTH_ALGO: &str = "paypal-auth-algo";
const AUTH_VERSION: &str = "paypal-auth-version";

/// Up to 25 attempts within three days. The gaps are not published; these fill the three days.
const LADDER: Ladder = &[
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(4),
    Duration::from_mins(8),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(1),
    Duration::from_hours(1),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(2),
    Duration::from_hours(2),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(4),
    Duration::from_hours(4),
    Duration::from_hours(4),
    Duration::from_hours(4),
    Duration::from_hours(7),
    Duration::from_hours(8),
    Duration::from_hours(8),
    Duration::from_hours(8),
    Duration::from_hours(8),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the signature covers only a CRC-32 of the body, so it does not protect the body: PayPal is asked about every \
             event, unless `confirm = \"never\"`",
        zh: "签名只覆盖正文的 CRC-32，无法保护正文：除非设置 `confirm = \"never\"`，每个事件都会向 PayPal 查询确认",
    },
    Text {
        en: "whether a repetition has a new transmission id and time: no age is refused, and facts are told apart by their \
             own numbers. With `confirm = \"never\"` what was sent over four days ago is held",
        zh: "重发时 transmission id 与时间是否更新未确认：不按时间拒绝，以各笔款项自身的编号去重。`confirm = \"never\"` 时，发送超过四天的回调会被挂起",
    },
    Text {
        en: "the gaps between the 25 attempts in three days, and how long an answer may take: neither is published",
        zh: "三天内 25 次重发的具体间隔以及等待应答的时长均未公布",
    },
    Text {
        en: "a delivery without `paypal-auth-version`, or with another one than `v2`, was never seen, and is refused",
        zh: "未见过缺少 `paypal-auth-version` 或其值不是 `v2` 的回调：一律拒绝",
    },
    Text {
        en: "HUF and TWD are said to have no decimals: amounts with any but zeros are held",
        zh: "据称 HUF、TWD 不带小数：小数部分不为零的金额会被挂起",
    },
    Text {
        en: "payments of the older API and of subscriptions (`PAYMENT.SALE.…`), and other types about payments that no source \
             explains, are held",
        zh: "旧版接口与订阅的付款事件（`PAYMENT.SALE.…`）以及没有资料说明的付款类事件会被挂起",
    },
    Text {
        en: "a payment that does not name its payee at all is taken for the account's own, since the webhook is. With `confirm \
             = \"never\"` every event with several payments in it is held",
        zh: "完全未写明收款方（payee）的付款视为本账户的款项。`confirm = \"never\"` 时，一个事件含多笔付款会被挂起",
    },
    Text {
        en: "an authorisation that was captured in part and then voided: the event does not say that a part was paid, so \
             payment.closed of an authorisation says nothing about the captures of the same order",
        zh: "部分请款后又作废的授权：事件未说明已有部分请款成功，因此授权的 payment.closed 不代表同一订单已请款的部分未付款",
    },
    Text {
        en: "whether the list of authorities that browsers trust, as it is compiled in, leads to every certificate of PayPal's \
             (some roots of DigiCert have left it), and whether its address answers with the certificates in between: where \
             certificates are refused (`issuer`), put those of their authorities into `ca_certs`",
        zh: "内置的浏览器根证书列表是否涵盖 PayPal 的全部证书（部分 DigiCert 根证书已被移除），以及其地址是否附带中间证书：\
             如提示证书签发者不被信任（`issuer`），请将其颁发机构的证书填入 `ca_certs`",
    },
    Text {
        en: "payouts that are unclaimed, held or blocked may still arrive: they are stored as `other`",
        zh: "未领取、被暂扣或被冻结的打款仍可能到账：只保存为 `other`",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    let config = Arc::new(Config::build(settings)?);
    Ok(Box::new(PayPal { config, fetched: Vec::new(), fetched_notes: Vec::new() }))
}

/// A configured webhook.
#[derive(Debug)]
struct PayPal {
    config: Arc<Config>,
    /// Certificates that the platform handed out.
    fetched: Vec<Key>,
    fetched_notes: Vec<KeyNote>,
}

impl Channel for PayPal {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let has = |name: &str| request.headers.contains_key(name);
        if check_outside(request).is_err() || !has(TRANSMISSION_ID) || !has(TRANSMISSION_SIG) {
            return Likeness::No;
        }
        let Ok(event) = Json::parse(&request.body) else { return Likeness::No };
        if !facts::is_event(&event) {
            return Likeness::No;
        }
        let is_own = facts::merchant(&event).is_none_or(|merchant| self.config.is_own(merchant));
        if is_own { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        self.judge(request, now).unwrap_or_else(Verdict::Refused)
    }

    /// Where the signature is all the proof, it covers the transmission, and of the body a sum that anybody can match.
    fn signed_alone(&self) -> Vec<&str> {
        if self.config.confirms { Vec::new() } else { vec![TRANSMISSION_ID, TRANSMISSION_TIME] }
    }

    /// Any 2xx will do, and only the status counts.
    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 200, content_type: None, body: Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, b"refused"),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, b"later"),
        }
    }

    /// Any status of success, but an answer that says it failed confirms nothing.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        let is_accepted = (200..300).contains(&reply.status) && !says_failure(reply.body);
        if is_accepted { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if let Ok(event @ Json::Object(_)) = Json::parse(&proven.body) {
            event.flatten("", &mut fields);
        }
        fields
    }

    /// A CRC-32 is linear: only the platform's own word says whose the body is.
    fn checksum(&self) -> Option<&'static str> {
        (!self.config.confirms).then_some("CRC-32")
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.iter().chain(&self.fetched_notes).cloned().collect()
    }

    fn key_source(&self) -> Option<&dyn KeySource> {
        self.config.downloads.is_some().then_some(self)
    }

    fn gives_only_hints(&self) -> bool {
        self.config.confirms
    }

    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        self.config.api.is_some().then_some(self)
    }
}

impl PayPal {
    fn judge(&self, request: &RawRequest, now: Timestamp) -> Result<Verdict, Rejection> {
        check_outside(request)?;
        let sent = Transmission::read(request, &self.hosts())?;
        let name = &sent.certificate;
        let own = self.config.certificates.iter().chain(&self.fetched);
        let keys: Vec<&RsaVerifier> = own.filter_map(|key| key.find(name, now)).collect();
        if keys.is_empty() {
            let serial = name.as_str().to_owned();
            return match self.config.downloads {
                // Only what could be a delivery is worth a question: nobody but the platform knows the rest.
                Some(_) if Json::parse(&request.body).is_ok_and(|event| facts::is_event(&event)) => {
                    Ok(Verdict::NeedsKey(KeyRequest { serial }))
                }
                _ => Err(Rejection::UnknownKey { serial }),
            };
        }
        let verified = self.verified(&sent, &keys)?;
        if self.config.confirms {
            return asked(request, &verified).map(Verdict::Hint);
        }
        let (event, concern) = parse(&request.body, "body");
        let alone = Sent { id: sent.id, at: sent.at };
        let mut notification = facts::read(&self.config, &event, sent.id.to_owned(), Some(alone));
        notification.concerns.extend(concern);
        if is_old(sent.at, now) {
            notification.concerns.push(Concern::TooOld);
        }
        Ok(Verdict::Genuine(Proven::by_signature(notification, verified)))
    }

    /// Whose certificates a delivery may name: those of the channel's environment. A configured certificate proves what it
    /// signs under any of the platform's own addresses, because nothing is fetched from them.
    fn hosts(&self) -> Vec<&'static str> {
        match self.config.downloads {
            Some(_) => vec![host(self.config.environment)],
            None => vec![host(Environment::Live), host(Environment::Sandbox)],
        }
    }

    /// Whether one of these keys signed for one of our webhooks.
    fn verified(&self, sent: &Transmission<'_>, keys: &[&RsaVerifier]) -> Result<Verified, Rejection> {
        let find = |webhook: &str| {
            let text = sent.signed_text(webhook);
            keys.iter().find_map(|key| key.verify(text.as_bytes(), &sent.signature, VARIANT))
        };
        if let Some(verified) = self.config.webhooks.iter().find_map(|webhook| find(webhook)) {
            return Ok(verified);
        }
        // The platform's simulator signs what anybody types in, for a webhook of this name.
        Err(if find(SIMULATOR).is_some() { Rejection::Probe } else { Rejection::Signature })
    }
}

/// What is asked about: the event that the body names, which nothing else of the body is needed for. The signature stands
/// for no number: whoever captured one delivery can put any number under it. So this counts as said by anybody, and is
/// bounded like that; the platform's own networks earn their places by numbers that exist.
fn asked(request: &RawRequest, verified: &Verified) -> Result<Hint, Rejection> {
    let malformed = |field: &str| Rejection::Malformed { field: field.to_owned() };
    let event = Json::parse(&request.body).map_err(|_| malformed("body"))?;
    let number = api::number(&event).ok_or_else(|| malformed("id"))?;
    Ok(Hint::from_bearer(number, verified))
}

/// Whether a delivery was sent longer ago than the platform repeats, or in a future that no clock explains.
fn is_old(sent: Timestamp, now: Timestamp) -> bool {
    let seconds = now.as_second().saturating_sub(sent.as_second());
    let limit = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    seconds > limit(REPEATS_FOR) || seconds < -limit(AHEAD_MAX)
}

/// Method, media type and size.
fn check_outside(request: &RawRequest) -> Result<(), Rejection> {
    check_post(request, |media_type| media_type == JSON, BODY_BYTES_MAX)
}
