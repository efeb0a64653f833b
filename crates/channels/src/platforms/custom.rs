//! A platform described by configuration alone: where its signature stands and what it signs, where its
//! numbers and amounts stand, what its types mean, and what it wants to hear.
//!
//! The recipe is checked when the channel is built, and refused when anything that is said about money would
//! not be under the signature. A message that proves nothing of itself (a token, a bare id, a signature over too little)
//! is a hint: the platform is asked, and only its answer counts.
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
//! * a signature that does not decode is refused even beside one that matches, and so is a JSON name given twice;
//! * of a platform that is asked, `event` reads the answer (`answer:/…`) and nothing else;
//! * public keys are `public_key`, and how they are written is `verify.public_key`;
//! * a certificate comes from a file, never from a URL in the request.
//!
//! All configured platforms share one family, and the scope's account begins with the platform's name: two
//! platforms never share a fact, and two channels of one account do.

mod asked;
mod cuts;
mod draft;
mod facts;
mod fetch;
mod material;
mod message;
mod pattern;
mod primitive;
mod replies;
mod rules;
mod schema;
mod settings;
mod signature;
#[cfg(feature = "simulate")]
pub(super) mod simulate;
mod template;
#[cfg(test)]
mod tests;
mod time;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use self::asked::Asked;
use self::facts::Context;
use self::message::{Body, BodyForm, Message, malformed, missing};
use self::primitive::{Checks, Claim};
pub(super) use self::schema::newest_keys;
use self::schema::{Evidence, Items, Recipe, Signed, Token, Trust, VARIANTS, Verify};
pub(super) use self::settings::SETTINGS;
use self::signature::{Candidate, is_there};
use self::template::{Place, Reference};
use super::Platform;
use crate::channel::{Answer, Channel, FetchBack, Hint, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::form::{Pair, written};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::signature::token::Vouched;

/// Most items of one message; the largest known batch has 250.
const ITEMS_MAX: usize = 512;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "custom",
    family: FAMILY,
    name: Text { en: "Configured platform", zh: "自定义平台" },
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

pub(super) fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    let recipe = Arc::new(Recipe::build(&newest_keys(settings))?);
    Ok(Box::new(Custom { asked: Asked::of(&recipe), recipe }))
}

/// A configured channel.
#[derive(Debug)]
struct Custom {
    recipe: Arc<Recipe>,
    /// How the platform is asked, where it is.
    asked: Option<Asked>,
}

impl Channel for Custom {
    /// A message of this platform has the carrier of its proof and a type, or the number that is asked about; the
    /// required values, the account and the token tell whose it is.
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let verify = &self.recipe.verify;
        if check_outside(verify, request).is_err() {
            return Likeness::No;
        }
        let message = Message::new(request, verify.body);
        let is_own = match &verify.trust {
            Trust::Message(signed) => self.is_own(signed, &message),
            Trust::Answer { evidence, fetch } => is_shown(evidence, &message)
                .filter(|()| fetch.number(&message).is_ok())
                .map(|()| !matches!(evidence, Evidence::Token(token) if token.check(&message, None).is_err())),
        };
        match is_own {
            None => Likeness::No,
            Some(is_own) if is_own && check_required(verify, &message).is_ok() => Likeness::Merchant,
            Some(_) => Likeness::Shape,
        }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        let verdict = match &self.recipe.verify.trust {
            Trust::Message(signed) => self
                .read(signed, request, now)
                .map(|(notification, verified)| Verdict::Genuine(Proven::by_signature(notification, verified))),
            Trust::Answer { evidence, fetch } => {
                let verify = &self.recipe.verify;
                let ask = |message: &Message<'_>| {
                    Ok(match show(verify, evidence, message, now)? {
                        // Of joined values, whoever has one signed text can make another number with it.
                        Shown::Signed(verified) if verify.is_cut_elsewhere(message) => {
                            Hint::from_bearer(fetch.number(message)?, &verified)
                        }
                        Shown::Signed(verified) => Hint::from_platform(fetch.number(message)?, &verified),
                        Shown::Token(token) => Hint::from_platform(fetch.number(message)?, token.knows()),
                        Shown::Nothing => Hint::from_anybody(fetch.number(message)?),
                    })
                };
                opened(verify, request).and_then(|message| ask(&message)).map(Verdict::Hint)
            }
        };
        verdict.unwrap_or_else(Verdict::Refused)
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        self.recipe.replies.answer(answer)
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        self.recipe.replies.is_ack(reply)
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let verify = &self.recipe.verify;
        // Where the platform is asked, it is the answer that was proven.
        let message = match &verify.trust {
            Trust::Message(_) => Message::new(proven, verify.body),
            Trust::Answer { .. } => Message::answer(&proven.body),
        };
        let items = items(verify, &message).ok().flatten();
        facts::fields(verify, &message, items.as_deref()).unwrap_or_default()
    }

    fn signed_query(&self, proven: &RawRequest) -> Option<String> {
        let names = self.query_names();
        let message = Message::new(proven, self.recipe.verify.body);
        let is_signed = |pair: &&Pair<'_>| names.iter().any(|name| name.as_bytes() == &*pair.name);
        let signed = written(message.query().ok()?.pairs().iter().filter(is_signed));
        String::from_utf8(signed).ok().filter(|signed| !signed.is_empty())
    }

    /// What is signed whichever template matched, the signature, and the name of its key.
    fn query_names(&self) -> Vec<&str> {
        // Where the platform is asked, its message says nothing.
        let Trust::Message(signed) = &self.recipe.verify.trust else { return Vec::new() };
        let references = signed.covered().chain([&signed.carrier.from]).chain(&signed.key_id);
        references.filter_map(Reference::query_name).collect()
    }

    fn freshness(&self) -> Option<Duration> {
        let window = self.recipe.verify.signed()?.stamp.as_ref()?.window?;
        Duration::try_from(window.past).ok()
    }

    /// Of a query, only what is signed goes on.
    fn signed_alone(&self) -> Vec<&str> {
        let verify = &self.recipe.verify;
        if verify.covers_all() || verify.body == BodyForm::Query {
            return Vec::new();
        }
        verify.covered().map(|reference| reference.shown.as_str()).collect()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.recipe.notes()
    }

    fn gives_only_hints(&self) -> bool {
        self.asked.is_some()
    }

    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        self.asked.as_ref().map(|asked| asked as &dyn FetchBack)
    }
}

impl Custom {
    /// Whether a signed message is this channel's; none when it is of another platform.
    fn is_own(&self, signed: &Signed, message: &Message<'_>) -> Option<bool> {
        let Recipe { verify, rules, .. } = &*self.recipe;
        if !signed.carrier.is_there(message) || message.body().is_err() {
            return None;
        }
        let items = items(verify, message).ok()?;
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
            return None;
        }
        let is_own = |account: &Reference| {
            parts_of(account).iter().all(|item| {
                message.text(account, *item).is_ok_and(|found| found.is_none_or(|found| found == self.recipe.account))
            })
        };
        Some(rules.account.iter().all(is_own))
    }

    fn read(
        &self,
        signed: &Signed,
        request: &RawRequest,
        now: Timestamp,
    ) -> Result<(Notification, Verified), Rejection> {
        let verify = &self.recipe.verify;
        let message = opened(verify, request)?;
        let (verified, stamp) = if matches!(signed.carrier.from.place, Place::Item(_)) {
            check_items(verify, signed, &message, now)?
        } else {
            check_signed(verify, signed, &message, None, now, &mut Checks::of(0, signed.ways()))?
        };
        // Only now, where the signature did not need it: the body of a stranger costs no parsing.
        let items = items(verify, &message)?;
        let context = Context { stamp, asked: None };
        let notification = facts::read(&self.recipe, &message, items.as_deref(), context)?;
        // Only an answer can say nothing.
        notification.map(|notification| (notification, verified)).ok_or(Rejection::Empty)
    }
}

/// A message after the cheapest checks.
fn opened<'r>(verify: &Verify, request: &'r RawRequest) -> Result<Message<'r>, Rejection> {
    check_outside(verify, request)?;
    let message = Message::new(request, verify.body);
    check_required(verify, &message)?;
    Ok(message)
}

/// What a message showed.
enum Shown {
    Signed(Verified),
    Token(Vouched),
    Nothing,
}

/// Checks what a message shows before anybody is asked about it.
fn show(verify: &Verify, evidence: &Evidence, message: &Message<'_>, now: Timestamp) -> Result<Shown, Rejection> {
    match evidence {
        Evidence::Signed(signed) => {
            let checks = &mut Checks::of(0, signed.ways());
            check_signed(verify, signed, message, None, now, checks).map(|(found, _)| Shown::Signed(found))
        }
        Evidence::Token(token) => token.check(message, Some(now)).map(Shown::Token),
        Evidence::Nothing => Ok(Shown::Nothing),
    }
}

/// Whether a message has the place of the proof that it should show.
fn is_shown(evidence: &Evidence, message: &Message<'_>) -> Option<()> {
    let is_there = match evidence {
        Evidence::Signed(signed) => signed.carrier.is_there(message),
        Evidence::Token(token) => is_there(&token.from, message),
        Evidence::Nothing => true,
    };
    is_there.then_some(())
}

impl Token {
    /// Compares the token of a message with those that count now, or with all.
    fn check(&self, message: &Message<'_>, now: Option<Timestamp>) -> Result<Vouched, Rejection> {
        let text = message.text(&self.from, None)?.ok_or_else(|| missing(&self.from))?;
        let claimed = text.strip_prefix(self.prefix.as_str()).ok_or_else(|| malformed(&self.from))?;
        let holds = |key: &&primitive::Key<_>| now.is_none_or(|now| key.life.holds(now));
        let mut keys = self.keys.0.iter().filter(holds);
        keys.find_map(|key| key.key.check(claimed.as_bytes())).ok_or(Rejection::Signature)
    }
}

/// Every item by its own signature: one that does not match refuses the whole.
fn check_items(
    verify: &Verify,
    signed: &Signed,
    message: &Message<'_>,
    now: Timestamp,
) -> Result<(Verified, Option<Timestamp>), Rejection> {
    let mut first = None;
    let items = items(verify, message)?.unwrap_or_default();
    let mut checks = Checks::of(items.len(), signed.ways());
    for item in items {
        let checked = check_signed(verify, signed, message, Some(item), now, &mut checks)?;
        first.get_or_insert(checked);
    }
    first.ok_or_else(|| missing(&signed.carrier.from))
}

/// The names and the window, then the signature, by every key and template that may be meant.
fn check_signed(
    verify: &Verify,
    signed: &Signed,
    message: &Message<'_>,
    item: Option<&Json>,
    now: Timestamp,
    checks: &mut Checks,
) -> Result<(Verified, Option<Timestamp>), Rejection> {
    let found = signed.carrier.read(message, item, &signed.primitive)?;
    if item.is_none() {
        message.set_sig(found.pairs);
    }
    check_algorithm(verify, message)?;
    let stamp = signed.stamp.as_ref().map(|stamp| stamp.check(message, item, now)).transpose()?;
    let key = key_id(signed, message, &found.candidates, now)?;
    let claim = Claim { key: key.as_deref(), candidates: &found.candidates };
    let mut lacking = None;
    let mut is_rendered = false;
    for (template, variant) in signed.templates.iter().zip(VARIANTS) {
        // An alternative that does not fit the message is none; when no one fits, the first says why.
        let text = match message.render(template, item) {
            Ok(text) => text,
            Err(rejection) => {
                lacking.get_or_insert(rejection);
                continue;
            }
        };
        is_rendered = true;
        if let Some(verified) = signed.primitive.verify(&text, &claim, now, variant, checks) {
            return Ok((verified, stamp));
        }
    }
    Err(lacking.filter(|_| !is_rendered).unwrap_or(Rejection::Signature))
}

/// The id of the key that the message names; none where it names none, or each signature its own.
fn key_id<'m>(
    signed: &Signed,
    message: &'m Message<'_>,
    candidates: &[Candidate],
    now: Timestamp,
) -> Result<Option<Cow<'m, str>>, Rejection> {
    let Some(reference) = &signed.key_id else {
        // Every signature names a key, and each of these has ended.
        let has_ended =
            |candidate: &Candidate| candidate.key.as_deref().is_some_and(|id| !signed.primitive.knows(id, now));
        return match candidates.first().and_then(|candidate| candidate.key.as_deref()) {
            Some(first) if candidates.iter().all(has_ended) => Err(Rejection::UnknownKey { serial: quote(first) }),
            _ => Ok(None),
        };
    };
    let id = message.text(reference, None)?.ok_or_else(|| missing(reference))?;
    if signed.primitive.knows(&id, now) { Ok(Some(id)) } else { Err(Rejection::UnknownKey { serial: quote(&id) }) }
}

/// A message that names another algorithm than the configured one is refused; none chooses.
fn check_algorithm(verify: &Verify, message: &Message<'_>) -> Result<(), Rejection> {
    for (reference, names) in &verify.algorithms {
        if let Some(found) = message.text(reference, None)?
            && !names.iter().any(|name| *name == found)
        {
            return Err(Rejection::Algorithm { algorithm: quote(&found) });
        }
    }
    Ok(())
}

/// Method, media type and size.
fn check_outside(verify: &Verify, request: &RawRequest) -> Result<(), Rejection> {
    if request.method != verify.method {
        return Err(Rejection::Method { method: quote(request.method.as_str()) });
    }
    if verify.body == BodyForm::Query {
        return match &request.query {
            // Nobody reads a body beside it.
            Some(query) if !query.is_empty() && request.body.is_empty() => Ok(()),
            Some(query) if !query.is_empty() => Err(Rejection::Malformed { field: "body".into() }),
            _ => Err(Rejection::Empty),
        };
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
