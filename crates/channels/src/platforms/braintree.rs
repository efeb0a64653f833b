//! Braintree (PayPal): webhooks of a gateway account.
//!
//! A form with `bt_payload`, XML in base64, and `bt_signature`, a signature for each API key of the account: HMAC-SHA1 over
//! the payload as text, under the SHA-1 of the private key. Only the signature that goes by a configured public key counts.
//! Nothing beside the payload is signed, and nothing beside it is read.
//!
//! When an address is registered, the platform checks it by a GET with a number, which is answered with the number's
//! signature: `challenge.rs` says why no such answer is a signature of a message.
//!
//! There is no time under the signature but the one in the document, which does not bound a message's age: a repetition is
//! known by its name. Sources: Braintree's guide to webhooks, its Python and Node kits.

mod amount;
mod challenge;
mod facts;
mod part;
mod payload;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::Method;

use self::payload::Envelope;
pub use self::payload::{BODY_BYTES_MAX, ELEMENTS_MAX, FIELDS_MAX, SIGNATURES_MAX};
use self::settings::{Config, SETTINGS};
use super::Platform;
use super::failure::says_failure;
use super::outside::malformed;
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict};
use crate::form::{Form, Limits};
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "braintree",
    family: FAMILY,
    name: Text { en: "Braintree", zh: "Braintree" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(Duration::from_secs(30)),
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
const FAMILY: &str = "braintree";

const TEXT: &str = "text/plain";

/// Every hour for a day; in the sandbox for three hours.
const LADDER: Ladder = &[Duration::from_hours(1); 24];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how long an answer may take (30 seconds, as integrators remember it), and when it repeats (hourly for 24 hours, \
             in the sandbox for 3, by their notes)",
        zh: "等待应答的时长（集成者记忆为 30 秒）与重发时间（据其笔记：每小时一次，持续 24 小时；沙箱 3 小时）",
    },
    Text {
        en: "the addresses that it sends from: none is listed here", zh: "发送通知的来源地址：此处未列出"
    },
    Text {
        en: "whether a repetition has the same timestamp: a notification is known by timestamp, kind and number, and its \
             facts by their own numbers in any case",
        zh: "重发时时间戳是否不变：通知按时间戳、类型与单号识别；事实则始终按自身单号去重",
    },
    Text {
        en: "transaction_disbursed is taken for the payment's success (or a refund's), since only settled money is \
             disbursed; a transaction that does not say that it is settled is held",
        zh: "transaction_disbursed 视为付款（或退款）成功，因为只有已结算的资金才会打款；交易未写明已结算（settled）时挂起",
    },
    Text {
        en: "a subscription's charge that succeeded is mostly submitted for settlement, not settled: it is told as authorised, \
             and as paid once the transaction is settled or disbursed. Of several transactions the one made last counts",
        zh: "订阅扣款成功的通知中，交易多为「已提交结算」而非已结算：按「已授权」告知，待结算或打款后才告知付款成功。\
             列有多笔交易时以最后创建的一笔为准",
    },
    Text {
        en: "local_payment_reversed does not say whether the payment was paid before: it is always held",
        zh: "local_payment_reversed 未说明该付款此前是否已成功：一律挂起",
    },
    Text {
        en: "disputes and refunds wait for their payment, for 24 hours: an account that subscribes neither to \
             transaction_disbursed nor to transaction_settled is told of them that much later",
        zh: "争议与退款会等待其付款最多 24 小时：未订阅 transaction_disbursed 与 transaction_settled 的账户会因此延迟收到",
    },
    Text {
        en: "dispute_expired is told as a change of the dispute, not as its end",
        zh: "dispute_expired 按争议状态变化告知，不视为争议结束",
    },
    Text {
        en: "a message about money that names no currency is held: the kits' samples of some kinds have none",
        zh: "涉及金额却没有币种的通知一律挂起：官方 SDK 的部分示例即无币种",
    },
    Text {
        en: "a disbursement that takes money from your bank account (debit) is held",
        zh: "从商户银行账户扣款的 disbursement(debit)一律挂起",
    },
    Text {
        en: "card sales send no webhook of their own when they are made: the answer of the API is their only record until they \
             are disbursed",
        zh: "银行卡收款成功时没有通知：打款之前只有 API 应答可作依据",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Braintree { config: Config::build(settings)? }))
}

/// A configured gateway account.
#[derive(Debug)]
struct Braintree {
    config: Config,
}

impl Channel for Braintree {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        // The check of an address names nobody.
        if challenge::of(request).is_some() {
            return Likeness::Merchant;
        }
        match Envelope::read(request) {
            Ok(envelope) if envelope.is_for(&self.config) => Likeness::Merchant,
            Ok(_) => Likeness::Shape,
            Err(_) => Likeness::No,
        }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.read(request) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn challenge(&self, request: &RawRequest) -> Option<Reply> {
        challenge::answer(&self.config, &challenge::of(request)?)
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 200, content_type: None, body: bytes::Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, b"refused"),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, b"later"),
        }
    }

    /// The status decides, and a page or a word of failure is none.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        let is_success = (200..300).contains(&reply.status) && !says_failure(reply.body);
        if is_success { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(envelope) = Envelope::read(proven) else { return Vec::new() };
        let Ok((_, tree)) = envelope.tree() else { return Vec::new() };
        let is_shown = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            name.split('[').next() != Some(HIDDEN)
        };
        tree.texts().into_iter().filter(|(path, _)| is_shown(path)).collect()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes()
    }
}

/// A merchant that connects to a partner's application tells it its private key.
const HIDDEN: &str = "private-key";

/// What is read of the query of a GET that is refused.
const QUERY: Limits = Limits { bytes_max: 4 * 1024, pairs_max: 16 };

impl Braintree {
    fn read(&self, request: &RawRequest) -> Result<(Notification, Verified), Rejection> {
        let envelope = Envelope::read(request).map_err(|rejection| named(rejection, request))?;
        let verified = envelope.verify(&self.config)?;
        // It is the platform's, which would repeat for a day what is refused, and then never again.
        let notification = match envelope.tree() {
            Ok((document, tree)) => facts::read(&self.config, &tree, &document),
            Err(_) => facts::unreadable(&self.config, envelope.payload()),
        };
        Ok((notification, verified))
    }
}

/// A GET that asks about a number which is none is told by that, and not by its method.
fn named(rejection: Rejection, request: &RawRequest) -> Rejection {
    let query = request.query.as_deref().unwrap_or_default().as_bytes();
    let asks = request.method == Method::GET
        && challenge::of(request).is_none()
        && Form::parse(query, QUERY).is_ok_and(|form| form.first(challenge::CHALLENGE).is_some());
    if asks { malformed(challenge::CHALLENGE) } else { rejection }
}
