//! The message service ("From Ant"): `msg_method`, and the content as JSON text in `biz_content`.
//!
//! Sources: Alipay Open Platform, "message service" and the page of each message. Transfers, results of profit
//! sharing and complaints are read; a message that was subscribed and that we do not know stays `other`.

use std::borrow::Cow;

use super::{Reading, settle, transfer};
use crate::channel::quote;
use crate::json::{Json, JsonError};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, EventKind, Fact, Identity};

/// A transfer's state.
const TRANSFER: &str = "alipay.fund.trans.order.changed";

/// The result of sharing a payment.
const SETTLE: &str = "alipay.trade.order.settle.notify";

/// Something about a complaint changed.
const COMPLAINT: &str = "alipay.merchant.tradecomplain.changed";

/// The bank's word about a refund to a card. The refund itself was told before, and a failure moves the money to
/// the buyer's balance, so nothing of the merchant's changes.
const CARD_REFUND: &str = "alipay.trade.refund.depositback.completed";

pub(super) fn read(reading: &mut Reading<'_>, method: &str) -> Vec<Fact> {
    if ![TRANSFER, SETTLE, COMPLAINT, CARD_REFUND].contains(&method) {
        return vec![reading.other()];
    }
    let content = match reading.get("biz_content").map(|text| Content::parse(text.as_bytes())) {
        Some(Ok(content)) => content,
        Some(Err(JsonError::Twice(name))) => {
            reading.concern(Concern::Ambiguous { field: quote(&format!("biz_content.{name}")) });
            return vec![reading.other()];
        }
        _ => {
            reading.concern(Concern::UnreadableText { field: "biz_content".into() });
            return vec![reading.other()];
        }
    };
    match method {
        TRANSFER => vec![transfer::read(reading, &content)],
        SETTLE => settle::read(reading, &content),
        COMPLAINT => vec![complaint(reading, &content)],
        _ => vec![named(reading.other(), &content, "out_trade_no", "trade_no")],
    }
}

/// The message carries a number and nothing more: what became of the complaint is asked for. Each message is one
/// step, so its own number is part of the step's name.
fn complaint(reading: &mut Reading<'_>, content: &Content<'_>) -> Fact {
    let Some(number) = content.get("complain_event_id").filter(|number| number.len() <= NAME_BYTES_MAX) else {
        reading.missing("biz_content.complain_event_id");
        return reading.other();
    };
    let name = format!("complaint:{number}:{}", reading.platform_id);
    let Some(identity) = Identity::new(name) else {
        reading.unknown("biz_content");
        return reading.other();
    };
    let mut fact = reading.fact(EventKind::DisputeUpdated, identity, Amount::None);
    fact.platform_no = Some(number.to_owned());
    fact
}

/// The same with the numbers that the content names.
pub(super) fn named(mut other: Fact, content: &Content<'_>, ours: &str, theirs: &str) -> Fact {
    let number = |name: &str| content.get(name).filter(|text| text.len() <= NAME_BYTES_MAX).map(str::to_owned);
    other.order_no = number(ours);
    other.platform_no = number(theirs);
    other
}

/// An object of JSON.
pub(super) struct Content<'j>(Cow<'j, Json>);

impl Content<'_> {
    fn parse(text: &[u8]) -> Result<Self, JsonError> {
        match Json::parse(text)? {
            object @ Json::Object(_) => Ok(Self(Cow::Owned(object))),
            _ => Err(JsonError::Malformed),
        }
    }

    /// A text, or a number as written; none when absent, empty or blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match self.member(name)? {
            Json::Text(text) | Json::Number(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
            _ => None,
        }
    }

    /// The objects of a list; none when there is no such list.
    pub(super) fn rows(&self, name: &str) -> Option<Vec<Content<'_>>> {
        match self.member(name)? {
            Json::List(rows) => Some(rows.iter().map(|row| Content(Cow::Borrowed(row))).collect()),
            _ => None,
        }
    }

    fn member(&self, name: &str) -> Option<&Json> {
        match &*self.0 {
            Json::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, value)| value),
            _ => None,
        }
    }
}
