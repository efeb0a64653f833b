//! A platform described by configuration alone: where its signature stands and what it signs, where its
//! numbers and amounts stand, what its types mean, and what it wants to hear.
//!
//! The recipe is checked when the channel is built, and refused when anything that is said about money would
//! not be under the signature. Only shared secrets (HMAC) are offered so far; the words of other algorithms
//! are known and refused, so that a configuration never means less than it says.
//!
//! Differences from the draft that this grew from, each because the rest of the configuration has it so:
//! * a channel is one `[[channel]]` with `kind = "custom"`; `provider` is called `platform`, `mode` is
//!   `environment`, and the lint of `livemode` is `verify.environment`;
//! * `secrets = ["env:…"]` are `secret_file`, `secret_env`, … or `secret_files`, or `[[channel.key]]` with ids;
//! * states (`PAID`) are event kinds (`payment.succeeded`), since applications and routes see those;
//! * `event.id` numbers the message; what a fact is called stands in `number`, because one payment is told by
//!   several messages, and one fact must stay one event;
//! * `ack` is `reply`, because `ack` says when a channel answers; its `bad_sign` and `transient` are `refused`,
//!   `busy` and `not_yet`, our causes of a failure. A repetition has no reply of its own: another one than the
//!   first would bring it back for ever;
//! * a value in `event` that the signature does not cover is refused: it would be anybody's word;
//! * of a body of which only single values are signed, only these are shown as its fields;
//! * a signature that does not decode is refused even beside one that matches, and so is a JSON name given twice.
//!
//! All configured platforms share one family, and the scope's account begins with the platform's name: two
//! platforms never share a fact, and two channels of one account do.

#[cfg(feature = "simulate")]
mod cover;
mod cuts;
mod facts;
mod message;
mod replies;
mod rules;
mod schema;
mod settings;
mod signature;
#[cfg(feature = "simulate")]
mod simulate;
mod template;
#[cfg(test)]
mod tests;
mod time;

use std::time::Duration;

#[cfg(feature = "simulate")]
pub(super) use self::cover::{cover, names_merchant};
use self::message::{Body, Message, malformed, missing};
use self::schema::{Items, Recipe, Secret, VARIANTS, Verify};
#[cfg(feature = "simulate")]
pub(super) use self::simulate::mirror;
use self::template::{Place, Reference};
use super::Platform;
use crate::channel::{Answer, Channel, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;

/// Most items of one message; the largest known batch has 250.
const ITEMS_MAX: usize = 512;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "custom",
    family: FAMILY,
    name: Text { en: "Configured platform", zh: "自定义平台" },
    settings: settings::SETTINGS,
    ladder: LADDER,
    patience: None,
    freshness: None,
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: Some(mirror),
};

/// The family within which identities are shared; the account begins with the platform's name.
const FAMILY: &str = "custom";

/// A ladder that many platforms are near to; only the simulation climbs it.
const LADDER: Ladder = &[
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(8),
    Duration::from_hours(24),
];

const UNCONFIRMED: &[Text] = &[Text {
    en: "everything: the protocol is what the configuration says; compare it with the platform's documents and try a \
         test callback before going live",
    zh: "协议完全由配置决定：上线前请对照平台文档逐项核对，并用测试通知验证",
}];

/// Builds a channel from a recipe.
pub(super) fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Custom { recipe: Recipe::build(settings)? }))
}

/// A configured channel.
#[derive(Debug)]
struct Custom {
    recipe: Recipe,
}

impl Channel for Custom {
    /// A message of this platform has the signature's carrier and a type; the required values and the account
    /// tell whose it is.
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Recipe { verify, rules, .. } = &self.recipe;
        if check_outside(verify, request).is_err() {
            return Likeness::No;
        }
        let message = Message::new(request, verify.body);
        if !verify.carrier.is_there(&message) || message.body().is_err() {
            return Likeness::No;
        }
        let Ok(items) = items(verify, &message) else { return Likeness::No };
        let parts: Vec<Option<&Json>> = match &items {
            Some(items) => items.iter().map(|item| Some(*item)).collect(),
            None => vec![None],
        };
        // What does not stand in the items is looked up once, and not for each of them.
        let parts_of = |reference: &Reference| match reference.place {
            Place::Item(_) => parts.as_slice(),
            _ => &[None],
        };
        // Pairs beside the signature are not read yet, and a type never stands there.
        let has_type = |item: Option<&Json>| matches!(message.text(&rules.kind, item), Ok(Some(_)));
        if !parts_of(&rules.kind).iter().copied().all(has_type) {
            return Likeness::No;
        }
        let is_own = |account: &Reference| {
            parts_of(account).iter().all(|item| {
                message.text(account, *item).is_ok_and(|found| found.is_none_or(|found| found == self.recipe.account))
            })
        };
        if check_required(verify, &message).is_ok() && rules.account.iter().all(is_own) {
            Likeness::Merchant
        } else {
            Likeness::Shape
        }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        match self.read(request, now) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        self.recipe.replies.answer(answer)
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        self.recipe.replies.is_ack(reply)
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let verify = &self.recipe.verify;
        let message = Message::new(proven, verify.body);
        let items = items(verify, &message).ok().flatten();
        facts::fields(verify, &message, items.as_deref(), &mut Vec::new()).unwrap_or_default()
    }

    fn freshness(&self) -> Option<Duration> {
        let window = self.recipe.verify.stamp.as_ref()?.window?;
        Duration::try_from(window.past).ok()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.recipe.notes()
    }
}

impl Custom {
    fn read(&self, request: &RawRequest, now: Timestamp) -> Result<(Notification, Verified), Rejection> {
        let verify = &self.recipe.verify;
        check_outside(verify, request)?;
        let mut message = Message::new(request, verify.body);
        check_required(verify, &message)?;
        let (verified, stamp) = if matches!(verify.carrier.from.place, Place::Item(_)) {
            let items = items(verify, &message)?.unwrap_or_default();
            check_items(verify, &message, &items, now)?
        } else {
            let found = verify.carrier.read(&message, None, verify.hash.tag_bytes())?;
            message.set_sig(found.pairs);
            check_one(verify, &message, None, &found.candidates, now)?
        };
        // Only now, where the signature did not need it: the body of a stranger costs no parsing.
        let items = items(verify, &message)?;
        let notification = facts::read(&self.recipe, &message, request, items.as_deref(), stamp)?;
        Ok((notification, verified))
    }
}

/// Every item by its own signature: one that does not match refuses the whole.
fn check_items(
    verify: &Verify,
    message: &Message<'_>,
    items: &[&Json],
    now: Timestamp,
) -> Result<(Verified, Option<Timestamp>), Rejection> {
    let mut first = None;
    for item in items {
        let found = verify.carrier.read(message, Some(item), verify.hash.tag_bytes())?;
        let checked = check_one(verify, message, Some(item), &found.candidates, now)?;
        first.get_or_insert(checked);
    }
    first.ok_or_else(|| missing(&verify.carrier.from))
}

/// The window, then the signature, by every secret and template that may be meant.
fn check_one(
    verify: &Verify,
    message: &Message<'_>,
    item: Option<&Json>,
    candidates: &[Vec<u8>],
    now: Timestamp,
) -> Result<(Verified, Option<Timestamp>), Rejection> {
    let stamp = verify.stamp.as_ref().map(|stamp| stamp.check(message, item, now)).transpose()?;
    let keys = keys(verify, message)?;
    let mut lacking = None;
    let mut is_rendered = false;
    for (template, variant) in verify.templates.iter().zip(VARIANTS) {
        // An alternative that does not fit the message is none; when no one fits, the first says why.
        let text = match message.render(template, item) {
            Ok(text) => text,
            Err(rejection) => {
                lacking.get_or_insert(rejection);
                continue;
            }
        };
        is_rendered = true;
        if let Some(verified) = keys.iter().find_map(|secret| secret.key.verify_any(&text, candidates, variant)) {
            return Ok((verified, stamp));
        }
    }
    Err(lacking.filter(|_| !is_rendered).unwrap_or(Rejection::Signature))
}

/// The secrets that may have signed: all, or the one that the message names.
fn keys<'v>(verify: &'v Verify, message: &Message<'_>) -> Result<Vec<&'v Secret>, Rejection> {
    let Some(reference) = &verify.key_id else { return Ok(verify.keys.iter().collect()) };
    let id = message.text(reference, None)?.ok_or_else(|| missing(reference))?;
    let found: Vec<&Secret> = verify.keys.iter().filter(|secret| secret.id.as_deref() == Some(&id)).collect();
    if found.is_empty() { Err(Rejection::UnknownKey { serial: quote(&id) }) } else { Ok(found) }
}

/// Method, media type and size.
fn check_outside(verify: &Verify, request: &RawRequest) -> Result<(), Rejection> {
    if request.method != verify.method {
        return Err(Rejection::Method { method: quote(request.method.as_str()) });
    }
    let media_type = request.media_type();
    if !verify.media_types.is_empty() && !verify.media_types.contains(&media_type) {
        return Err(Rejection::MediaType { media_type: quote(&media_type) });
    }
    if request.body.is_empty() {
        return Err(Rejection::Empty);
    }
    if request.body.len() > message::BODY_BYTES_MAX {
        return Err(Rejection::TooLarge { limit: message::BODY_BYTES_MAX });
    }
    Ok(())
}

fn check_required(verify: &Verify, message: &Message<'_>) -> Result<(), Rejection> {
    for (reference, expected) in &verify.require {
        let found = message.text(reference, None)?.ok_or_else(|| missing(reference))?;
        if found != *expected {
            return Err(Rejection::UnknownMerchant { field: quote(&reference.shown) });
        }
    }
    Ok(())
}

/// The items, where the channel has any.
fn items<'m>(verify: &Verify, message: &'m Message<'_>) -> Result<Option<Vec<&'m Json>>, Rejection> {
    let Some(Items { from, unwrap }) = &verify.items else { return Ok(None) };
    let Body::Json(json) = message.body()? else { return Err(malformed(from)) };
    let Place::Json(pointer) = &from.place else { return Err(malformed(from)) };
    let Some(Json::List(list)) = json.at(pointer) else { return Err(missing(from)) };
    if list.len() > ITEMS_MAX {
        return Err(Rejection::TooManyFields { limit: ITEMS_MAX });
    }
    list.iter().map(|item| item.at(unwrap).ok_or_else(|| malformed(from))).collect::<Result<_, _>>().map(Some)
}
