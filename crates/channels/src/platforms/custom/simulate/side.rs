//! A platform that speaks any recipe, with throw-away keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::cover::{self, lasting};
use super::reflection::{Pair, Reflection};
use crate::channel::{HttpAnswer, HttpAsk};
use crate::model::{EventKind, RawRequest};
use crate::platforms::custom::schema::Recipe;
use crate::settings::tree::Tree;
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::key::{PublicKey, hex, to_pem};
use crate::signature::{ed25519, self_signed};
use crate::simulate::{ApiConduct, ApiOffice, Cover, Genuine, Mirror as _, OtherSide, Story, WrittenSetting};

/// Bytes of a throw-away secret.
const SECRET_BYTES: usize = 32;

/// The id of the key, where messages name one and nobody chose another.
const KEY_ID: &str = "key-1001";

/// The settings that hold keys and their ids.
const OF_KEYS: [&str; 6] = ["secret", "secret_files", "public_key", "key", "key_id", "api_key"];

/// What an export of each kind of key begins with.
const SECRET: &str = "secret ";
const RSA: &str = "rsa ";
const ED25519: &str = "ed25519 ";
const NOTHING: &str = "nothing";

/// The keys of a side.
enum Keys {
    /// A secret, as the console shows it.
    Secret(Zeroizing<String>),
    /// A pair of RSA.
    Rsa(Box<RsaKeyPair>),
    /// A pair of Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
    /// None: messages prove nothing.
    Nothing,
}

/// A platform that speaks a recipe.
pub(super) struct Side {
    name: &'static str,
    base: Settings,
    /// What messages call the key.
    key_id: String,
    keys: Keys,
    api_key: Zeroizing<String>,
    stories: &'static [EventKind],
    reflection: Reflection,
}

impl Side {
    pub(super) fn new(name: &'static str, base: Settings) -> Self {
        Self::fresh(name, base, KEY_ID.to_owned()).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A side of a channel's own recipe. Its key is called as the channel's first one is, so that the channel knows it.
    fn of_channel(name: &'static str, settings: &Settings) -> Result<Self, SettingsError> {
        let recipe = Recipe::build(settings)?;
        let key_id = recipe.verify.signed().and_then(|signed| signed.primitive.first_id()).unwrap_or(KEY_ID).to_owned();
        let kept = settings.values().filter(|(name, _)| !OF_KEYS.contains(name));
        let base = kept.fold(Settings::new(settings.environment), |base, (name, value)| base.with(name, value.clone()));
        Self::fresh(name, base, key_id)
    }

    fn fresh(name: &'static str, base: Settings, key_id: String) -> Result<Self, SettingsError> {
        let keys = Keys::new(&base);
        Self::with(name, base, key_id, keys, Zeroizing::new(hex(&random())))
    }

    fn with(
        name: &'static str,
        base: Settings,
        key_id: String,
        keys: Keys,
        api_key: Zeroizing<String>,
    ) -> Result<Self, SettingsError> {
        let settings = all(&base, written(name, &base, &key_id, &keys, &api_key));
        let reflection = Reflection::new(Recipe::build(&settings)?, keys.pair())?;
        let stories = lasting_kinds(reflection.stories());
        Ok(Self { name, base, key_id, keys, api_key, stories, reflection })
    }

    fn written(&self) -> Vec<WrittenSetting> {
        written(self.name, &self.base, &self.key_id, &self.keys, &self.api_key)
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        all(&self.base, self.written())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let plain = |(name, value): (&'static str, &SettingValue)| WrittenSetting {
            name,
            value: value.clone(),
            file_name: None,
        };
        self.base.values().map(plain).chain(self.written()).collect()
    }

    fn stories(&self) -> &'static [EventKind] {
        self.stories
    }

    fn callback(&self, story: &Story) -> Genuine {
        Genuine { request: self.reflection.callback(story), cover: cover::of(&self.reflection.recipe) }
    }

    fn export(&self) -> Vec<u8> {
        format!("{} {}", *self.keys.export(), *self.api_key).into_bytes()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let read = || {
            let text = std::str::from_utf8(exported).ok()?;
            let (keys, api_key) = text.rsplit_once(' ')?;
            let is_api_key = api_key.len() == 2 * SECRET_BYTES && api_key.bytes().all(|byte| byte.is_ascii_hexdigit());
            let keys = self.keys.import(keys)?;
            is_api_key.then(|| (keys, Zeroizing::new(api_key.to_owned())))
        };
        let (keys, api_key) = read().ok_or("not the keys of this recipe")?;
        let side = Self::with(self.name, self.base.clone(), self.key_id.clone(), keys, api_key);
        *self = side.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Only whole recipes: what a preset's channel is given is no other way of speaking.
    fn fitted(&self, settings: &Settings) -> Option<Box<dyn OtherSide>> {
        settings.tree("verify")?;
        Some(Box::new(Self::of_channel(self.name, settings).ok()?))
    }

    fn api_office(&self) -> Option<Box<dyn ApiOffice>> {
        self.reflection.recipe.verify.fetch()?;
        let side = Self::new(self.name, self.base.clone());
        Some(Box::new(Office { side, told: Mutex::default() }))
    }
}

impl Keys {
    /// Fresh ones of the kind that the algorithm needs.
    fn new(base: &Settings) -> Self {
        let verify = base.tree("verify");
        match verify.and_then(|verify| text_at(verify, &["algorithm"])) {
            Some("rsa-sha256") => {
                Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key can be generated")))
            }
            Some("ed25519") => Self::Ed25519(Box::new(Ed25519KeyPair::generate().expect("a key can be generated"))),
            Some("none") => Self::Nothing,
            _ => {
                let at = |key: &str| verify.and_then(|verify| text_at(verify, &["secret", key]));
                let secret = match at("format") {
                    Some("base64") => STANDARD.encode(random()),
                    _ => hex(&random()),
                };
                Self::Secret(Zeroizing::new(format!("{}{secret}", at("strip_prefix").unwrap_or_default())))
            }
        }
    }

    fn pair(&self) -> Option<Pair> {
        match self {
            Self::Rsa(pair) => Some(Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(&der(pair)).ok()?))),
            Self::Ed25519(pair) => Some(Pair::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(&ed25519_der(pair)).ok()?))),
            Self::Secret(_) | Self::Nothing => None,
        }
    }

    fn export(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Secret(secret) => format!("{SECRET}{}", **secret),
            Self::Rsa(pair) => format!("{RSA}{}", STANDARD.encode(&*der(pair))),
            Self::Ed25519(pair) => format!("{ED25519}{}", STANDARD.encode(&*ed25519_der(pair))),
            Self::Nothing => NOTHING.to_owned(),
        })
    }

    /// Keys of the same kind; none when the text is of another one.
    fn import(&self, exported: &str) -> Option<Self> {
        let der = |prefix: &str| STANDARD.decode(exported.strip_prefix(prefix)?).ok();
        Some(match self {
            Self::Secret(own) => {
                let secret = exported.strip_prefix(SECRET)?;
                if secret.len() != own.len() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return None;
                }
                Self::Secret(Zeroizing::new(secret.to_owned()))
            }
            Self::Rsa(_) => Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(&der(RSA)?).ok()?)),
            Self::Ed25519(_) => Self::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(&der(ED25519)?).ok()?)),
            Self::Nothing => (exported == NOTHING).then_some(Self::Nothing)?,
        })
    }

    /// What the channel is given: the setting, its material, and how the file ends.
    fn given(&self, base: &Settings) -> Option<(&'static str, Vec<u8>, &'static str)> {
        let verify = base.tree("verify");
        let at = |key: &str| verify.and_then(|verify| text_at(verify, &["public_key", key]));
        let prefixed = |text: String| format!("{}{text}", at("strip_prefix").unwrap_or_default()).into_bytes();
        match self {
            Self::Secret(secret) => Some(("secret", secret.as_bytes().to_vec(), "secret")),
            Self::Rsa(pair) => {
                let public = PublicKey::of_pair("public_key", pair).ok()?;
                let material = match at("format") {
                    Some("spki-base64") => prefixed(STANDARD.encode(public.spki())),
                    Some("x509") => {
                        let der = self_signed::certificate(pair, &public, "platform")?;
                        to_pem("CERTIFICATE", &der).into_bytes()
                    }
                    _ => public.to_pem().into_bytes(),
                };
                Some(("public_key", material, "public.pem"))
            }
            Self::Ed25519(pair) => {
                let key = pair.public_key().as_ref();
                let material = match at("format") {
                    Some("hex") => prefixed(hex(key)),
                    Some("base64") => prefixed(STANDARD.encode(key)),
                    Some("spki-base64") => prefixed(STANDARD.encode(ed25519::spki(key))),
                    _ => to_pem("PUBLIC KEY", &ed25519::spki(key)).into_bytes(),
                };
                Some(("public_key", material, "public.pem"))
            }
            Self::Nothing => None,
        }
    }
}

fn der(pair: &RsaKeyPair) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(pair.as_der().map(|der: Pkcs8V1Der<'_>| der.as_ref().to_vec()).unwrap_or_default())
}

fn ed25519_der(pair: &Ed25519KeyPair) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(pair.as_der().map(|der: Pkcs8V1Der<'_>| der.as_ref().to_vec()).unwrap_or_default())
}

fn random() -> [u8; SECRET_BYTES] {
    let mut random = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut random).expect("the system has random bytes");
    random
}

/// The text at a path of a tree.
fn text_at<'t>(tree: &'t Tree, path: &[&str]) -> Option<&'t str> {
    match (tree, path) {
        (Tree::Text(text), []) => Some(text),
        (Tree::Table(pairs), [first, rest @ ..]) => {
            pairs.iter().find(|(key, _)| key == first).and_then(|(_, tree)| text_at(tree, rest))
        }
        _ => None,
    }
}

/// The keys as settings.
fn written(name: &str, base: &Settings, key_id: &str, keys: &Keys, api_key: &str) -> Vec<WrittenSetting> {
    let key = |setting: &'static str, material: Vec<u8>, end: &str| WrittenSetting {
        name: setting,
        value: SettingValue::Key(Zeroizing::new(material)),
        file_name: Some(lasting(&format!("{name}_{end}"))),
    };
    let mut written: Vec<WrittenSetting> =
        keys.given(base).map(|(setting, material, end)| key(setting, material, end)).into_iter().collect();
    if names_key(base) {
        let value = SettingValue::Text(key_id.to_owned());
        written.push(WrittenSetting { name: "key_id", value, file_name: None });
    }
    if base.tree("fetch").is_some() {
        written.push(key("api_key", api_key.as_bytes().to_vec(), "api_key"));
    }
    written
}

/// Whether messages say which key signed.
fn names_key(base: &Settings) -> bool {
    let Some(verify) = base.tree("verify") else { return false };
    text_at(verify, &["key_id", "from"]).is_some() || text_at(verify, &["signature", "want"]) == Some("{key_id}")
}

fn all(base: &Settings, written: Vec<WrittenSetting>) -> Settings {
    written.into_iter().fold(base.clone(), |settings, one| settings.with(one.name, one.value))
}

/// A list of kinds that lasts as long as the program: each is kept once.
fn lasting_kinds(kinds: Vec<EventKind>) -> &'static [EventKind] {
    static LISTS: Mutex<BTreeSet<&'static [EventKind]>> = Mutex::new(BTreeSet::new());
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.get(kinds.as_slice()) {
        return known;
    }
    let kept: &'static [EventKind] = Box::leak(kinds.into_boxed_slice());
    lists.insert(kept);
    kept
}

/// A platform that gives hints and answers questions about them.
struct Office {
    side: Side,
    /// What it will answer, by number.
    told: Mutex<BTreeMap<String, String>>,
}

impl ApiOffice for Office {
    fn written_settings(&self, base: &str) -> Vec<WrittenSetting> {
        let value = SettingValue::Text(base.to_owned());
        let api_base = WrittenSetting { name: "api_base", value, file_name: None };
        self.side.written_settings().into_iter().chain([api_base]).collect()
    }

    fn stories(&self) -> &'static [EventKind] {
        self.side.stories
    }

    fn hint(&self, story: &Story) -> RawRequest {
        let (request, answer) = self.side.reflection.told(story);
        let number = self.side.reflection.number(story);
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(number, answer.to_text());
        request
    }

    fn cover(&self) -> Cover {
        cover::of(&self.side.reflection.recipe)
    }

    fn answer(&self, ask: &HttpAsk, conduct: ApiConduct) -> HttpAnswer {
        let Some(fetch) = self.side.reflection.recipe.verify.fetch() else { return answer(500, String::new()) };
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !fetch.is_shown(ask) {
            return answer(401, r#"{"error":"unauthorized"}"#.to_owned());
        }
        let number = fetch.number_asked(ask);
        let honest = number.as_ref().and_then(|number| told.get(number.as_str()));
        let other = told.iter().find(|(other, _)| number.as_ref().is_none_or(|number| number.as_str() != **other));
        let text = honest.cloned().unwrap_or_default();
        match conduct {
            ApiConduct::Denied => answer(401, r#"{"error":"unauthorized"}"#.to_owned()),
            ApiConduct::Throttled => answer(429, r#"{"error":"slow down"}"#.to_owned()),
            ApiConduct::Broken => answer(500, String::new()),
            ApiConduct::Empty => answer(200, String::new()),
            ApiConduct::Garbage => answer(200, "<html>It works!</html>".to_owned()),
            ApiConduct::Huge => answer(200, format!("{}{text}", " ".repeat(crate::channel::ANSWER_BYTES_MAX))),
            _ if honest.is_none() => answer(404, r#"{"error":"not found"}"#.to_owned()),
            ApiConduct::Honest => answer(200, text),
            ApiConduct::Cut => answer(200, text[..text.len() / 2].to_owned()),
            ApiConduct::Twice => answer(200, self.side.reflection.doubled(&text)),
            ApiConduct::OtherNumber => match other {
                Some((_, other)) => answer(200, other.clone()),
                // Nothing else was told: the answer is about a number that nobody asked for.
                None => answer(200, self.side.reflection.renumbered(&text)),
            },
        }
    }
}

fn answer(status: u16, body: String) -> HttpAnswer {
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    HttpAnswer { status, headers, body: body.into() }
}
