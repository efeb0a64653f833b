//! Definitions of platforms: whatever one says, it is refused with a known word, or the channel that it makes believes what
//! its own other side signs and nothing that was changed without the key.
//!
//! The input is a definition in TOML, as under `[[channel]]`, and behind a line `####` the edits of a genuine message.

use std::sync::LazyLock;

use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, Notification, RawRequest};
use tollbell_channels::platforms::{Platform, by_kind};
use tollbell_channels::settings::tree::Tree;
use tollbell_channels::settings::{SETTINGS_ERRORS, SettingValue, Settings};
use tollbell_channels::simulate::{OtherSide, Story};
use toml::{Table, Value};

use crate::platforms::{edited, invents_nothing};
use crate::stage::{check_notification, check_refusal, now};

/// Divides the definition from the edits.
const DIVIDER: &[u8] = b"\n####\n";

/// A secret that any definition can read: as text, as hexadecimal and as base64.
const SECRET: &str = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7";

/// A public key of Ed25519 (RFC 8032, section 7.1, test 1), hexadecimal and in base64.
const PUBLIC: [&str; 2] = [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
];

/// Most kinds of message of one definition that are tried: each costs a dozen verifications.
const STORIES_MAX: usize = 4;

/// Texts that somebody puts in the place of others.
const OTHERS: [&str; 5] = ["", "1", "9", "paid", "a|b"];

static CUSTOM: LazyLock<&Platform> = LazyLock::new(|| by_kind("custom").expect("the described platform"));

pub(crate) fn check(data: &[u8]) {
    let at = data.windows(DIVIDER.len()).position(|window| window == DIVIDER);
    let (definition, edits) = at.map_or((data, &[][..]), |at| (&data[..at], &data[at + DIVIDER.len()..]));
    let Ok(table) = String::from_utf8_lossy(definition).parse::<Table>() else { return };
    let Some(settings) = settings(&table) else { return };
    let channel = match (CUSTOM.build)(&settings) {
        Ok(channel) => channel,
        Err(error) => {
            assert!(SETTINGS_ERRORS.contains(&error.word), "{error}");
            let shown = error.to_string();
            assert!(!shown.contains(SECRET) && shown.len() < 100_000, "{} characters", shown.len());
            assert_eq!((CUSTOM.build)(&settings).err().as_ref(), Some(&error), "a second reading says something else");
            return;
        }
    };
    for note in channel.keys() {
        assert!(!format!("{note:?}").contains(SECRET));
    }
    // A pair of RSA takes longer than everything else together.
    if text(&table, &["verify", "algorithm"]) == Some("rsa-sha256") {
        return;
    }
    let Some(side) = (CUSTOM.simulate)().fitted(&settings) else { return };
    let Ok(channel) = (CUSTOM.build)(&side.settings()) else { panic!("its own other side's channel is refused") };
    for kind in side.stories().iter().take(STORIES_MAX) {
        let story = Story { kind: *kind, refund_no: Some("R1".into()), refunded_minor: 100, ..story() };
        tried(&*channel, &*side, &story, edits);
    }
}

fn story() -> Story {
    Story::paid("T20261121-0001", 12_345, now())
}

/// A genuine message, and what can be made of it without the key.
fn tried(channel: &dyn Channel, side: &dyn OtherSide, story: &Story, edits: &[u8]) {
    let request = side.callback(story).request;
    // A definition may ask of one place two texts; then nothing is ever accepted, which harms nobody.
    let Some(original) = believed(channel, &request) else { return };
    let changed = |request: &RawRequest| {
        if let Some(found) = believed(channel, request) {
            invents_nothing(&original, &found);
        }
    };
    changed(&edited(&request, edits, false));
    changed(&edited(&request, edits, request.body.is_empty()));
    for other in OTHERS {
        for name in request.headers.keys() {
            let mut sent = request.clone();
            sent.headers.insert(name, other.parse().expect("a value of a header"));
            changed(&sent);
        }
        changed(&RawRequest { path: format!("/{other}"), ..request.clone() });
        for (text, is_query) in [(request.query.clone().unwrap_or_default(), true), (body_of(&request), false)] {
            for sent in replaced(&text, other) {
                let query = if is_query { Some(sent.clone()) } else { request.query.clone() };
                let body = if is_query { request.body.clone() } else { sent.into() };
                changed(&RawRequest { query, body, ..request.clone() });
            }
        }
    }
}

fn body_of(request: &RawRequest) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

/// The text with each of its values in turn replaced: what stands between quotes, and behind `=`.
fn replaced(text: &str, other: &str) -> Vec<String> {
    let mut all = Vec::new();
    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
    for pair in quotes.windows(2) {
        all.push(format!("{}{other}{}", &text[..=pair[0]], &text[pair[1]..]));
    }
    for (at, _) in text.match_indices('=') {
        let end = text[at..].find('&').map_or(text.len(), |length| at + length);
        all.push(format!("{}{other}{}", &text[..=at], &text[end..]));
    }
    all
}

/// What is believed; a hint says nothing that is.
fn believed(channel: &dyn Channel, request: &RawRequest) -> Option<Notification> {
    match channel.verify(request, now()) {
        Verdict::Genuine(proven) => {
            let notification = proven.into_parts().0;
            check_notification(&notification);
            Some(notification)
        }
        Verdict::Refused(rejection) => {
            check_refusal(&rejection);
            None
        }
        Verdict::Hint(_) => {
            assert!(channel.fetch_back().is_some(), "a hint that nobody can follow");
            None
        }
        Verdict::NeedsKey(key) => panic!("no definition names a key elsewhere: {key:?}"),
    }
}

/// The settings of a channel, with the keys that its algorithm needs; none for what the configuration's reader refuses.
fn settings(table: &Table) -> Option<Settings> {
    let mut settings = Settings::new(Environment::Live);
    for name in ["platform", "account", "key_id"] {
        if let Some(value) = table.get(name) {
            settings = settings.with(name, SettingValue::Text(value.as_str()?.to_owned()));
        }
    }
    if let Some(values) = table.get("values") {
        let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        settings =
            settings.with("values", SettingValue::Pairs(values.as_table()?.iter().map(pair).collect::<Option<_>>()?));
    }
    for name in ["verify", "event", "fetch", "reply"] {
        if let Some(value) = table.get(name) {
            settings = settings.with(name, SettingValue::Tree(tree(value)?));
        }
    }
    let key = |text: &str| SettingValue::Key(text.as_bytes().to_vec().into());
    if table.contains_key("fetch") {
        settings = settings.with("api_key", key("k3y"));
    }
    Some(match text(table, &["verify", "algorithm"]) {
        Some("none") | None => settings,
        Some("ed25519" | "rsa-sha256") => {
            let is_hex = text(table, &["verify", "public_key", "format"]) == Some("hex");
            settings.with("public_key", key(PUBLIC[usize::from(!is_hex)]))
        }
        Some(_) => settings.with("secret", key(SECRET)),
    })
}

fn text<'t>(table: &'t Table, path: &[&str]) -> Option<&'t str> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?;
    if rest.is_empty() { value.as_str() } else { text(value.as_table()?, rest) }
}

fn tree(value: &Value) -> Option<Tree> {
    Some(match value {
        Value::String(text) => Tree::text(text),
        Value::Integer(number) => Tree::Number(u64::try_from(*number).ok()?),
        Value::Boolean(flag) => Tree::Flag(*flag),
        Value::Array(items) => Tree::List(items.iter().map(tree).collect::<Option<_>>()?),
        Value::Table(table) => {
            let pairs: Option<Vec<(&str, Tree)>> =
                table.iter().map(|(key, value)| Some((key.as_str(), tree(value)?))).collect();
            Tree::table(pairs?)
        }
        Value::Float(_) | Value::Datetime(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Definitions that a reader who checks less would take, and the message that somebody would make of a genuine one.
    #[test]
    fn a_definition_that_anybody_could_forge_would_be_found() {
        let good = "platform = \"p\"\naccount = \"a\"\n[verify]\nalgorithm = \"hmac-sha256\"\nencoding = \"hex\"\n\
                    signature = { from = \"header:s\", parse = \"whole\" }\nmessage = \"{body}\"\n[event]\n\
                    type = \"json:/t\"\nnumber = \"json:/n\"\namount = \"unstated\"\nmap = { paid = \"payment.succeeded\" }\n";
        let built =
            |text: &str| (CUSTOM.build)(&settings(&text.parse().unwrap()).unwrap()).err().map(|error| error.word);
        assert_eq!(built(good), None);
        for (from, to) in [
            ("{body}", "{header:x}"),
            ("json:/n", "header:x"),
            ("json:/t", "query:t"),
            ("\"{body}\"", "[\"{body}\", \"{header:x}\"]"),
            ("hmac-sha256", "none"),
        ] {
            assert!(built(&good.replace(from, to)).is_some(), "{to}");
        }
        let settings = settings(&good.parse().unwrap()).unwrap();
        let side = (CUSTOM.simulate)().fitted(&settings).unwrap();
        let channel = (CUSTOM.build)(&side.settings()).unwrap();
        let request = side.callback(&story()).request;
        let original = believed(&*channel, &request).unwrap();
        let mut other = original.clone();
        other.facts[0].order_no = Some("T2".to_owned());
        invents_nothing(&original, &original);
        assert!(std::panic::catch_unwind(|| invents_nothing(&original, &other)).is_err());
        let seeds = std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/custom")).unwrap();
        let accepted = seeds.filter(|seed| {
            let text = std::fs::read_to_string(seed.as_ref().unwrap().path()).unwrap();
            let table = text.split("\n####\n").next().unwrap().parse().unwrap();
            super::settings(&table).is_some_and(|settings| (CUSTOM.build)(&settings).is_ok())
        });
        assert!(accepted.count() >= 15, "hardly any definition of the corpus makes a channel");
    }
}
