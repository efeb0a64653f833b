//! The other side of a configured channel: any recipe can be told as a callback, because where a secret
//! signs, both sides know it. With a made-up recipe and a throw-away secret it is the platform of the tests.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::message::{BodyForm, Message};
use super::rules::{AmountForm, AmountRule, CurrencyRule, Fields, Rule};
use super::schema::Recipe;
use super::signature::{Carrier, Writing};
use super::template::{Place, Reference, Template};
use super::time::Clock;
use crate::form;
use crate::json::{Json, list_index};
use crate::model::{Currency, Environment, EventKind, Money, RawRequest, Timestamp};
use crate::settings::tree::Tree;
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::key::hex;
use crate::simulate::{Cover, Genuine, Mirror, OtherSide, Story, WrittenSetting};

/// Longest list that a pointer may ask for.
const LIST_MAX: usize = 16;

/// Digits of a throw-away secret.
const SECRET_DIGITS: usize = 64;

/// The header that carries the signature of the made-up platform.
const SIGNATURE: &str = "x-signature";

/// The other side of any configured channel.
pub(in crate::platforms) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    Ok(Box::new(Reflection { recipe: Recipe::build(settings)? }))
}

/// A made-up platform with a fresh secret.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let mut random = [0; SECRET_DIGITS / 2];
    aws_lc_rs::rand::fill(&mut random).expect("the system has random bytes");
    Box::new(Side::new(hex(&random)))
}

/// A recipe, told from the platform's side.
struct Reflection {
    recipe: Recipe,
}

impl Mirror for Reflection {
    fn stories(&self) -> Vec<EventKind> {
        self.recipe.rules.kinds()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        let mut draft = Draft::default();
        self.tell(story, &mut draft);
        self.sign(story, &mut draft);
        self.request(story, &draft)
    }
}

impl Reflection {
    /// Everything but the signature.
    fn tell(&self, story: &Story, draft: &mut Draft) {
        let Recipe { verify, rules, .. } = &self.recipe;
        let told_by = |is_told: &dyn Fn(&Rule) -> bool| {
            rules
                .map
                .iter()
                .find_map(|(word, rules)| rules.iter().find(|rule| is_told(rule)).map(|rule| (word.as_str(), rule)))
        };
        let found = told_by(&|rule| rule.event == story.kind).or_else(|| told_by(&|rule| rule.tells(story.kind)));
        if !story.note.is_empty() {
            draft.json.set(&["note".to_owned()], Doc::text(&story.note));
            draft.form.push(("note".to_owned(), story.note.clone()));
        }
        if let Some((word, rule)) = found {
            self.tell_rule(story, rule, draft);
            draft.set(&rules.kind, Doc::text(word));
        }
        let message_no = format!("evt_{}", name_of(&format!("{} {} {}", story.kind, story.order_no, story.serial)));
        for reference in rules.id.iter().take(1) {
            draft.set(reference, Doc::text(&message_no));
        }
        if rules.id.is_empty() {
            // The body is the number: two callbacks of one story differ in it.
            draft.json.set(&["sample".to_owned()], Doc::text(&message_no));
            draft.form.push(("sample".to_owned(), message_no.clone()));
        }
        for account in rules.account.iter().take(1) {
            draft.set(account, Doc::text(&self.recipe.account));
        }
        for (reference, expected) in &verify.require {
            draft.set(reference, Doc::text(expected));
        }
        if let Some(live) = &verify.live {
            draft.set(&live.from, Doc::bare(&live.own));
        }
        if let Some(stamp) = &verify.stamp {
            draft.set_time(&stamp.clock, story.at);
        }
        if let (Some(reference), Some(id)) = (&verify.key_id, verify.keys.first().and_then(|key| key.id.as_ref())) {
            draft.set(reference, Doc::text(id));
        }
        // Whatever else is signed must be there.
        for reference in verify.templates.iter().take(1).flat_map(Template::references) {
            if !draft.has(reference) {
                draft.set(reference, Doc::text(&message_no));
            }
        }
    }

    fn tell_rule(&self, story: &Story, rule: &Rule, draft: &mut Draft) {
        for also in &rule.also {
            self.tell_fields(story, also.event, &also.fields, draft);
        }
        self.tell_fields(story, rule.event, &rule.fields, draft);
        for condition in &rule.when {
            draft.set(&condition.from, Doc::text(condition.texts.first().map_or("", String::as_str)));
        }
    }

    fn tell_fields(&self, story: &Story, kind: EventKind, fields: &Fields, draft: &mut Draft) {
        let payment = format!("P{}", name_of(&story.order_no));
        let number = match &story.refund_no {
            Some(refund) if kind.follows_payment() => format!("R{}", name_of(refund)),
            _ => payment.clone(),
        };
        for (reference, text) in [(fields.number.first(), &number), (fields.order.first(), &story.order_no)] {
            if let Some(reference) = reference {
                draft.set(reference, Doc::text(text));
            }
        }
        if let Some(reference) = fields.payment.as_ref().filter(|_| kind.follows_payment()) {
            draft.set(reference, Doc::text(&payment));
        }
        if let Some(payee) = &fields.payee {
            draft.set(payee, Doc::text(&self.recipe.account));
        }
        if let Some(clock) = &fields.time {
            draft.set_time(clock, story.at);
        }
        if let Some(state) = &fields.state {
            draft.set(state, Doc::text(&format!("state-{}", story.serial)));
        }
        if let Some(amount) = &fields.amount {
            let is_refund = kind == EventKind::RefundSucceeded;
            draft.set_amount(amount, if is_refund { story.refunded_minor } else { story.amount_minor });
        }
    }

    fn sign(&self, story: &Story, draft: &mut Draft) {
        let verify = &self.recipe.verify;
        let request = self.request(story, draft);
        let mut message = Message::new(&request, verify.body);
        message.set_sig(draft.sig.clone());
        let item = Json::parse(draft.item.to_text().as_bytes()).ok();
        let (Some(template), Some(secret)) = (verify.templates.first(), verify.keys.first()) else { return };
        let Ok(text) = message.render(template, item.as_ref()) else { return };
        let written = write(&verify.carrier, &verify.carrier.encoding.encode(&secret.key.sign(&text)), &draft.sig);
        drop(message);
        draft.set(&verify.carrier.from, Doc::text(&written));
    }

    fn request(&self, story: &Story, draft: &Draft) -> RawRequest {
        let verify = &self.recipe.verify;
        let body = match verify.body {
            BodyForm::Json => {
                let mut json = draft.json.clone();
                if let Some(items) = &verify.items {
                    let mut item = Doc::Null;
                    item.set(items.unwrap.names(), draft.item.clone());
                    if let Place::Json(pointer) = &items.from.place {
                        json.set(pointer.names(), Doc::List(vec![item]));
                    }
                }
                json.to_text().into_bytes()
            }
            BodyForm::Form => form::encode(draft.form.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))),
        };
        let mut headers = HeaderMap::new();
        let media = verify.media_types.first().map_or("application/json", String::as_str);
        let pairs = draft.headers.iter().map(|(name, value)| (name.clone(), value.as_str()));
        for (name, value) in pairs.chain([(CONTENT_TYPE, media)]) {
            // A value that no header can hold is left out, and the callback is refused as it deserves.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let query = form::encode(draft.query.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        RawRequest {
            method: verify.method.clone(),
            path: "/notify/custom".into(),
            query: (!query.is_empty()).then(|| String::from_utf8_lossy(&query).into_owned()),
            headers,
            body: Bytes::from(body),
            source: None,
            received_at: story.at,
        }
    }
}

/// The carrier's text.
fn write(carrier: &Carrier, signature: &str, pairs: &[(String, String)]) -> String {
    let text = match &carrier.writing {
        Writing::Whole { prefix } | Writing::List { prefix, version: None, .. } => format!("{prefix}{signature}"),
        Writing::Pairs { pair_sep, kv_sep, want } => {
            let own = [(want.clone(), signature.to_owned())];
            let written: Vec<String> =
                pairs.iter().chain(&own).map(|(key, value)| format!("{key}{kv_sep}{value}")).collect();
            written.join(pair_sep)
        }
        Writing::List { prefix, version: Some(version), .. } => {
            format!("{}{}{prefix}{signature}", version.want, version.sep)
        }
    };
    if carrier.is_percent_encoded {
        percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
    } else {
        text
    }
}

/// A request in the making.
#[derive(Default)]
struct Draft {
    json: Doc,
    item: Doc,
    headers: Vec<(HeaderName, String)>,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    sig: Vec<(String, String)>,
}

impl Draft {
    fn set(&mut self, reference: &Reference, value: Doc) {
        let text = value.plain();
        let put = |pairs: &mut Vec<(String, String)>, name: &str| {
            pairs.retain(|(other, _)| other != name);
            pairs.push((name.to_owned(), text.clone()));
        };
        match &reference.place {
            Place::Json(pointer) => self.json.set(pointer.names(), value),
            Place::Item(pointer) => self.item.set(pointer.names(), value),
            Place::Header(name) => {
                self.headers.retain(|(other, _)| other != name);
                self.headers.push((name.clone(), text));
            }
            Place::Query(name) => put(&mut self.query, name),
            Place::Form(name) => put(&mut self.form, name),
            Place::Sig(name) => put(&mut self.sig, name),
            Place::Body | Place::BodyCrc32 | Place::Method | Place::Path => {}
        }
    }

    fn has(&self, reference: &Reference) -> bool {
        match &reference.place {
            Place::Header(name) => self.headers.iter().any(|(other, _)| other == name),
            Place::Query(name) => self.query.iter().any(|(other, _)| other == name),
            Place::Form(name) => self.form.iter().any(|(other, _)| other == name),
            Place::Sig(name) => self.sig.iter().any(|(other, _)| other == name),
            // The others are always there, or empty text where they are not.
            _ => true,
        }
    }

    fn set_time(&mut self, clock: &Clock, at: Timestamp) {
        self.set(&clock.from, Doc::bare(&clock.unit.write(at)));
    }

    fn set_amount(&mut self, rule: &AmountRule, minor: i64) {
        let currency = match &rule.currency {
            CurrencyRule::Fixed(currency) => *currency,
            CurrencyRule::From(reference) => {
                let currency = Currency::parse("USD").unwrap_or(Currency::CNY);
                self.set(reference, Doc::text(currency.code()));
                currency
            }
        };
        let (iso, own) =
            (currency.iso_exponent(), rule.exponents.get(currency.code()).copied().unwrap_or(currency.iso_exponent()));
        let scale = 10_i64.saturating_pow(u32::from(own.abs_diff(iso)));
        let written = if own >= iso { minor.saturating_mul(scale) } else { minor / scale };
        let value = match rule.form {
            AmountForm::MinorInt => Doc::Raw(written.to_string()),
            AmountForm::MinorString => Doc::Text(written.to_string()),
            AmountForm::DecimalString => Doc::Text(Money { minor, currency }.to_text()),
            AmountForm::DecimalNumber => Doc::Raw(Money { minor, currency }.to_text()),
        };
        self.set(&rule.value, value);
    }
}

/// JSON in the making, with numbers as they shall be written.
#[derive(Clone, Default)]
enum Doc {
    #[default]
    Null,
    Raw(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Doc {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A number or flag as JSON has it, anything else as a text.
    fn bare(text: &str) -> Self {
        let is_plain = matches!(Json::parse(text.as_bytes()), Ok(Json::Number(_) | Json::Flag(_)));
        if is_plain { Self::Raw(text.to_owned()) } else { Self::text(text) }
    }

    /// The value where there are no types.
    fn plain(&self) -> String {
        match self {
            Self::Raw(text) | Self::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    /// Puts a value at a path and makes the way there.
    fn set(&mut self, names: &[String], value: Self) {
        let Some((name, rest)) = names.split_first() else {
            *self = value;
            return;
        };
        let index = list_index(name).filter(|index| *index < LIST_MAX && !matches!(self, Self::Object(_)));
        if let Some(index) = index {
            if !matches!(self, Self::List(_)) {
                *self = Self::List(Vec::new());
            }
            if let Self::List(items) = self {
                if items.len() <= index {
                    items.resize(index + 1, Self::Null);
                }
                items[index].set(rest, value);
            }
            return;
        }
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Vec::new());
        }
        if let Self::Object(members) = self {
            let at = members.iter().position(|(member, _)| member == name).unwrap_or(members.len());
            if at == members.len() {
                members.push((name.clone(), Self::Null));
            }
            members[at].1.set(rest, value);
        }
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        self.push(&mut text);
        text
    }

    fn push(&self, text: &mut String) {
        let mut list = |open: char, close: char, pieces: &[(Option<&str>, &Self)]| {
            text.push(open);
            for (at, (name, value)) in pieces.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                if let Some(name) = name {
                    text.push_str(&quoted(name));
                    text.push(':');
                }
                value.push(text);
            }
            text.push(close);
        };
        match self {
            Self::Null => text.push_str("null"),
            Self::Raw(raw) => text.push_str(raw),
            Self::Text(own) => text.push_str(&quoted(own)),
            Self::List(items) => list('[', ']', &items.iter().map(|item| (None, item)).collect::<Vec<_>>()),
            Self::Object(members) => {
                let pieces: Vec<_> = members.iter().map(|(name, value)| (Some(name.as_str()), value)).collect();
                list('{', '}', &pieces);
            }
        }
    }
}

fn quoted(text: &str) -> Cow<'static, str> {
    serde_json::to_string(text).map_or(Cow::Borrowed("\"\""), Cow::Owned)
}

/// A short name made of a longer one, so that one order has one payment.
fn name_of(text: &str) -> String {
    let name = digest(&SHA256, text.as_bytes());
    let number = name.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:020}")
}

/// A made-up platform.
struct Side {
    secret: Zeroizing<String>,
    reflection: Reflection,
}

impl Side {
    fn new(secret: String) -> Self {
        let secret = Zeroizing::new(secret);
        let recipe = Recipe::build(&settings(&secret)).expect("the made-up recipe is whole");
        Self { secret, reflection: Reflection { recipe } }
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        settings(&self.secret)
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        written(&self.secret)
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        Genuine { request: self.reflection.callback(story), cover: Cover::BodyAndStamp { signature: SIGNATURE } }
    }

    fn export(&self) -> Vec<u8> {
        self.secret.as_bytes().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let is_secret = exported.len() == SECRET_DIGITS && exported.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(exported).ok().filter(|_| is_secret);
        *self = Self::new(text.ok_or_else(|| format!("not {SECRET_DIGITS} hexadecimal digits"))?.to_owned());
        Ok(())
    }
}

/// What the made-up platform tells, in its words.
const MAP: &[(&str, EventKind)] = &[
    ("payment.paid", EventKind::PaymentSucceeded),
    ("payment.failed", EventKind::PaymentFailed),
    ("payment.closed", EventKind::PaymentClosed),
    ("refund.done", EventKind::RefundSucceeded),
    ("refund.failed", EventKind::RefundFailed),
    ("transfer.done", EventKind::TransferSucceeded),
    ("dispute.opened", EventKind::DisputeOpened),
    ("profile.updated", EventKind::Other),
];

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentFailed,
    EventKind::PaymentClosed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::TransferSucceeded,
    EventKind::DisputeOpened,
    EventKind::Other,
];

fn settings(secret: &str) -> Settings {
    let settings = Settings::new(Environment::Live);
    written(secret).into_iter().fold(settings, |settings, one| settings.with(one.name, one.value))
}

fn written(secret: &str) -> Vec<WrittenSetting> {
    let plain = |name, value| WrittenSetting { name, value, file_name: None };
    vec![
        plain("platform", SettingValue::Text("example-pay".to_owned())),
        plain("account", SettingValue::Text("acct_1001".to_owned())),
        WrittenSetting {
            name: "secret",
            value: SettingValue::Key(Zeroizing::new(secret.as_bytes().to_vec())),
            file_name: Some("custom_secret"),
        },
        plain("verify", SettingValue::Tree(verify())),
        plain("event", SettingValue::Tree(event())),
        plain("reply", SettingValue::Tree(reply())),
    ]
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> Tree {
    Tree::table(pairs.map(|(key, text)| (key, Tree::text(text))))
}

fn verify() -> Tree {
    Tree::table([
        ("algorithm", Tree::text("hmac-sha256")),
        ("encoding", Tree::text("hex")),
        ("signature", texts([("from", "header:x-signature"), ("parse", "kv"), ("pair_sep", ","), ("want", "v1")])),
        (
            "timestamp",
            Tree::table([("from", Tree::text("sig:t")), ("unit", Tree::text("s")), ("tolerance", Tree::text("5m"))]),
        ),
        ("message", Tree::text("{sig:t}.{body}")),
    ])
}

fn event() -> Tree {
    let map = MAP.iter().map(|(word, kind)| (*word, Tree::text(kind.as_str())));
    Tree::table([
        ("id", Tree::text("json:/id")),
        ("type", Tree::text("json:/type")),
        ("account", Tree::text("json:/account")),
        ("number", Tree::text("json:/data/id")),
        ("payment", Tree::text("json:/data/payment")),
        ("order", Tree::text("json:/data/order_no")),
        ("amount", texts([("value", "json:/data/amount"), ("currency", "json:/data/currency"), ("form", "minor-int")])),
        ("time", texts([("from", "json:/created"), ("unit", "s")])),
        ("map", Tree::table(map)),
    ])
}

fn reply() -> Tree {
    Tree::table([("ok", Tree::table([("status", Tree::Number(200)), ("body", Tree::text("received"))]))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Pointer;

    #[test]
    fn the_stories_are_those_of_the_map() {
        let side = Side::new("0".repeat(SECRET_DIGITS));
        assert_eq!(side.reflection.stories(), STORIES);
    }

    #[test]
    fn values_find_their_way() {
        let mut doc = Doc::Null;
        let mut set = |pointer: &str, value: Doc| {
            let pointer = Pointer::parse(pointer).unwrap();
            doc.set(pointer.names(), value);
        };
        set("/a/1/b", Doc::bare("12.50"));
        set("/a/1/c", Doc::bare("x"));
        set("/d", Doc::bare("true"));
        assert_eq!(doc.to_text(), r#"{"a":[null,{"b":12.50,"c":"x"}],"d":true}"#);
    }
}
