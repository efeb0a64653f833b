//! Antom (Alipay+ for merchants outside China): notifications of payments, captures, refunds, disputes and subscriptions.
//!
//! A JSON body under three headers: `client-id`, `request-time`, and `signature: algorithm=RSA256,keyVersion=1,signature=…`,
//! RSA with SHA-256 in base64, percent-encoded. Signed are the method, the path with its query as Antom knows it, the client
//! id, the time and the raw body. The algorithm is the one that there is, whatever a message says; the key is one that is
//! configured. Sources: Antom's documents on signatures, notifications, captures and disputes; its libraries for Java and
//! Python.
//!
//! Antom publishes no window of time, so an old message is no stale one: a repetition is known by the numbers in it.
//!
//! A payment is named by `paymentId`, a refund by `refundId` and the merchant's `refundRequestId`, a dispute by its id and
//! state. A card's `PAYMENT_RESULT` tells an authorisation, and its `CAPTURE_RESULT` the money, which the merchant configures.

mod facts;
mod header;
mod resigned;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::header::Signed;
use self::settings::{Config, SETTINGS};
use super::Platform;
use super::outside::{self, JSON};
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::resign::{self, Resigner};
use crate::settings::{Settings, SettingsError, Text};

/// Largest body. Notifications have 1 to 4 kB; lists of promotions and evidence make some longer.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "antom",
    family: FAMILY,
    name: Text { en: "Antom (Alipay+)", zh: "Antom（Alipay+ 国际支付）" },
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
const FAMILY: &str = "antom";

/// Every accepted notification gets these bytes (Antom, "notifyPayment", response).
const SUCCESS: &[u8] = br#"{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}"#;

/// What is not accepted. Antom repeats whatever is not [`SUCCESS`]; the words are those of its own refusals.
const REFUSED: &[u8] = br#"{"result":{"resultCode":"PROCESS_FAIL","resultStatus":"F","resultMessage":"refused"}}"#;

/// What shall be repeated.
const LATER: &[u8] = br#"{"result":{"resultCode":"UNKNOWN_EXCEPTION","resultStatus":"U","resultMessage":"later"}}"#;

/// Eight attempts in about 25 hours (Antom, "notifyRefund", "Result process logic"). In the sandbox there is only one.
const LADDER: Ladder = &[
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(6),
    Duration::from_hours(15),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how long an answer may take; and what Antom does with an answer that says F or U: it is taken as a failure, after \
             which it repeats, like after any answer but the fixed one",
        zh: "等待应答的时长；以及对应答 F 或 U 的处理：按失败理解，与任何非固定应答一样会重发",
    },
    Text {
        en: "which notifications are of cards: one with `authExpiryTime`, with `paymentMethodType` CARD, APPLEPAY or GOOGLEPAY, \
             with a card's number, brand or token in `paymentResultInfo`, or with anything there and no `paymentMethodType`, counts \
             as an authorisation, see `capture`. One that says nothing of either is held unless `capture` is [\"immediate\"]",
        zh: "如何识别银行卡支付：带有 `authExpiryTime`，或 `paymentMethodType` 为 CARD、APPLEPAY、GOOGLEPAY，或 `paymentResultInfo` \
             中有卡号、卡组织、卡令牌，或未写明支付方式但 `paymentResultInfo` 不为空的，按预授权处理，见 `capture`。二者均未写明的会被挂起，\
             除非 `capture` 为 [\"immediate\"]",
    },
    Text {
        en: "with `capture = [\"later\"]` a second capture of one payment with the same amount cannot be told from a repetition of \
             the first, and is not seen; one of another amount is held. Whoever captures in several pieces sets [\"in_parts\"], \
             with which refunds and disputes wait for no payment",
        zh: "设置 `capture = [\"later\"]` 时，同一付款的第二次请款若金额相同，无法与第一次的重复通知区分，不会被发现；金额不同则会被挂起。\
             多次请款的商户请设置 [\"in_parts\"]，此时退款与争议不等待付款",
    },
    Text {
        en: "whether a notification's path is signed with its query: it is taken so, as the documents say of all requests",
        zh: "通知签名的路径是否包含查询串：按文档对所有请求的说明，视为包含",
    },
    Text {
        en: "UPDATE_AMOUNT_RESULT (another authorised amount), authorisations of wallets (`authorizationNotifyType`) and stored \
             payment methods are kept as `other`",
        zh: "UPDATE_AMOUNT_RESULT（预授权金额变更）、钱包授权（`authorizationNotifyType`）、支付方式留存只保存为 `other`",
    },
    Text {
        en: "refunds and captures carry no order number, and refunds no payment either: an application finds them by \
             `refundRequestId` and `paymentId`",
        zh: "退款与请款通知不含订单号，退款通知也不含支付单号：程序应按 `refundRequestId`、`paymentId` 查找",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Antom { config: Arc::new(Config::build(settings)?) }))
}

/// A configured client.
#[derive(Debug)]
struct Antom {
    config: Arc<Config>,
}

impl Channel for Antom {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let names_an_algorithm = || {
            let signature = request.single_header(header::SIGNATURE);
            signature.is_some_and(|text| text.contains("algorithm=") && text.contains("keyVersion="))
        };
        if check_outside(request).is_err() || !request.headers.contains_key(header::TIME) || !names_an_algorithm() {
            return Likeness::No;
        }
        let Some(client_id) = request.single_header(header::CLIENT) else { return Likeness::No };
        if !Json::parse(&request.body).is_ok_and(|message| facts::is_notification(&message)) {
            return Likeness::No;
        }
        if self.config.is_own(client_id) { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        self.read(request).unwrap_or_else(Verdict::Refused)
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, JSON, SUCCESS),
            Answer::Failure(Failure::Refused) => Reply::constant(400, JSON, REFUSED),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, JSON, LATER),
        }
    }

    /// The fixed bytes, or JSON that says the same in other spacing or with another message.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status != 200 {
            return AckMatch::No;
        }
        let found = AckMatch::of_word(reply.body, SUCCESS);
        let inner = outside::inner(reply.body);
        match found {
            AckMatch::No if says_success(inner) && inner.len() == reply.body.len() => AckMatch::Exact,
            AckMatch::No if says_success(inner) => AckMatch::Trimmed,
            found => found,
        }
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

    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        resign::refuse_believed(key, |text, signature| self.config.believes(text, signature))?;
        Ok(Box::new(resigned::AntomResigner::new(self.config.clone(), key)?))
    }
}

impl Antom {
    fn read(&self, request: &RawRequest) -> Result<Verdict, Rejection> {
        check_outside(request)?;
        let signed = Signed::read(request, &self.config)?;
        let version = signed.version();
        let key = self.config.key(version).ok_or_else(|| Rejection::UnknownKey { serial: quote(version) })?;
        let paths = signed_paths(&self.config, request);
        let verified = paths.iter().find_map(|path| signed.verify(key, path)).ok_or(Rejection::Signature)?;
        let notification = facts::read(&self.config, signed.client_id(), &request.body, signed.at());
        Ok(Verdict::Genuine(Proven::by_signature(notification, verified)))
    }
}

/// The paths that may be under the signature of a request.
fn signed_paths(config: &Config, request: &RawRequest) -> Vec<String> {
    if !config.paths.is_empty() {
        return config.paths.clone();
    }
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    vec![format!("{}{query}", request.path)]
}

/// Method, media type and size.
fn check_outside(request: &RawRequest) -> Result<(), Rejection> {
    outside::check_post(request, |media_type| media_type == JSON, BODY_BYTES_MAX)
}

/// Whether an answer is a JSON object with the code and the status of a success.
fn says_success(body: &[u8]) -> bool {
    let Ok(answer @ Json::Object(_)) = Json::parse(body) else { return false };
    let says = |name: &str, word: &str| {
        let value = answer.get("result").and_then(|result| result.get(name));
        matches!(value, Some(Json::Text(text)) if text == word)
    };
    says("resultCode", "SUCCESS") && says("resultStatus", "S")
}
