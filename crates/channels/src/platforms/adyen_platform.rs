//! Adyen: the webhooks of platforms and balance accounts, beside those of payments.
//!
//! A JSON body; `HmacSignature` in the headers is the base64 of HMAC-SHA256 of the raw body, under a key that is written in
//! hexadecimal. All of the body is signed, also whether it is of the test platform. Of these messages, transfers to a bank
//! account move a merchant's money; every other kind is kept. Sources: Adyen's documents and `OpenAPI` files of webhooks for
//! platforms, its Python and Node kits.

mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

use self::settings::{Config, SETTINGS};
use super::Platform;
use super::adyen::{FAMILY, LADDER, check_outside};
use super::failure::says_failure;
use super::signed_body::header;
use crate::channel::{Answer, Channel, Failure, KeyNote, Likeness, Rejection, Verdict};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::hmac::HmacKey;
use crate::signature::{Verified, decode_base64};

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "adyen_platform",
    family: FAMILY,
    name: Text { en: "Adyen (platforms)", zh: "Adyen（平台账户）" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(Duration::from_secs(10)),
    freshness: None,
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: Some(simulate::mirror),
};

/// The header, as Adyen's own kits name it.
const SIGNATURE: &str = "hmacsignature";

/// Bytes of an HMAC-SHA256.
const TAG_BYTES: usize = 32;

/// How the text under the signature is made; there is one way.
const VARIANT: &str = "body";

const TEXT: &str = "text/plain";

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the gaps between attempts and how long an answer may take: those of payments' webhooks are taken",
        zh: "重发间隔与等待应答的时长：按支付类通知处理",
    },
    Text {
        en: "the states of a transfer: `booked` to a bank counts as done, `failed`, `refused`, `cancelled`, `expired` and \
             `error` as failed, `returned` as returned; a state that is not known is held",
        zh: "划转状态：银行类 `booked` 视为成功，`failed`、`refused`、`cancelled`、`expired`、`error` 视为失败，`returned` 视为退回；\
             未知状态会被挂起",
    },
    Text {
        en: "everything but transfers to a bank (payments of cards, top-ups, reports, accounts) is stored as `other`",
        zh: "除转出到银行以外的消息（卡消费、充值、报表、账户变更等）只保存为 `other`",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(AdyenPlatform { config: Config::build(settings)? }))
}

/// A configured endpoint.
#[derive(Debug)]
struct AdyenPlatform {
    config: Config,
}

impl Channel for AdyenPlatform {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() || !request.headers.contains_key(SIGNATURE) {
            return Likeness::No;
        }
        let Ok(message) = Json::parse(&request.body) else { return Likeness::No };
        if !facts::is_message(&message) {
            return Likeness::No;
        }
        let is_own = facts::account(&message).is_none_or(|account| account == self.config.account);
        if is_own { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.read(request) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    /// Only the status counts.
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
        if let Ok(message @ Json::Object(_)) = Json::parse(&proven.body) {
            message.flatten("", &mut fields);
        }
        fields
    }

    fn keys(&self) -> Vec<KeyNote> {
        super::adyen::settings::key_notes(&self.config.keys)
    }
}

impl AdyenPlatform {
    fn read(&self, request: &RawRequest) -> Result<(Notification, Verified), Rejection> {
        check_outside(request)?;
        let malformed = || Rejection::Malformed { field: SIGNATURE.into() };
        let text = header(request, SIGNATURE)?;
        let tag = decode_base64(text.as_bytes()).filter(|tag| tag.len() == TAG_BYTES).ok_or_else(malformed)?;
        let find = |key: &HmacKey| key.verify_any(&request.body, &[&tag], VARIANT);
        let verified = self.config.keys.iter().find_map(find).ok_or(Rejection::Signature)?;
        Ok((facts::read(&self.config, &request.body), verified))
    }
}
