//! From settings to a recipe: everything that would let an unsigned or misread message through is refused
//! here, at the place in the file where it stands.

use std::fmt;
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use zeroize::Zeroizing;

use super::cuts::Shape;
use super::message::BodyForm;
use super::replies::Replies;
use super::rules::Rules;
use super::signature::{Carrier, Encoding, Version, Writing, decode_hex};
use super::template::{Place, Reference, Template, fixed_text};
use super::time::{Clock, Stamp, Unit, Window};
use crate::channel::KeyNote;
use crate::json::Pointer;
use crate::model::Environment;
use crate::settings::tree::{Keys, Node};
use crate::settings::{Settings, SettingsError};
use crate::signature::hmac::{HmacHash, HmacKey};

/// Shortest secret, in bytes: anything shorter is found by trying.
pub(super) const SECRET_BYTES_MIN: usize = 8;

/// Most secrets of one channel: those around a rotation, or one a key id.
pub(super) const SECRETS_MAX: usize = 16;

/// Most alternative templates.
pub(super) const TEMPLATES_MAX: usize = 4;

/// Names of the alternatives in proofs.
pub(super) const VARIANTS: [&str; TEMPLATES_MAX] = ["message 1", "message 2", "message 3", "message 4"];

/// Widest window: beyond a week a time proves nothing.
const TOLERANCE_MAX: Duration = Duration::from_hours(168);

/// Longest name of a platform, in characters.
const PLATFORM_CHARS_MAX: usize = 32;

/// Longest account, in bytes.
const ACCOUNT_BYTES_MAX: usize = 128;

/// Most required equalities and media types.
const LIST_MAX: usize = 16;

/// Everything that a configured channel knows.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) environment: Environment,
    pub(super) platform: String,
    pub(super) account: String,
    pub(super) verify: Verify,
    pub(super) rules: Rules,
    pub(super) replies: Replies,
}

/// How a message is proven.
#[derive(Debug)]
pub(super) struct Verify {
    pub(super) method: Method,
    /// Media types; empty for any.
    pub(super) media_types: Vec<String>,
    pub(super) body: BodyForm,
    pub(super) carrier: Carrier,
    pub(super) stamp: Option<Stamp>,
    pub(super) templates: Vec<Template>,
    pub(super) keys: Vec<Secret>,
    pub(super) hash: HmacHash,
    /// Which secret signed, where the message says so.
    pub(super) key_id: Option<Reference>,
    pub(super) items: Option<Items>,
    /// Values that a message for this channel has.
    pub(super) require: Vec<(Reference, String)>,
    pub(super) live: Option<LiveWord>,
}

/// A secret and its id.
pub(super) struct Secret {
    pub(super) id: Option<String>,
    pub(super) key: HmacKey,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A list in the body whose items are messages of their own.
#[derive(Clone, Debug)]
pub(super) struct Items {
    pub(super) from: Reference,
    pub(super) unwrap: Pointer,
}

/// The word that tells live from sandbox.
#[derive(Clone, Debug)]
pub(super) struct LiveWord {
    pub(super) from: Reference,
    pub(super) own: String,
}

impl Recipe {
    /// Builds the recipe or says what is wrong with it.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let platform = settings.required_text("platform")?.to_owned();
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if platform.len() > PLATFORM_CHARS_MAX || !platform.bytes().all(is_word) {
            return Err(SettingsError::new("platform", "malformed_id").because("a-z, 0-9, _ and -"));
        }
        let account = settings.required_text("account")?.to_owned();
        if account.len() > ACCOUNT_BYTES_MAX || account.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(SettingsError::new("account", "malformed_id"));
        }
        let mut configured = settings.pairs("values").unwrap_or_default().to_vec();
        if configured.iter().any(|(name, _)| name.is_empty()) {
            return Err(SettingsError::new("values", "malformed"));
        }
        // A platform that names the merchant outside the body names it in `require`.
        if configured.iter().all(|(name, _)| name != "account") {
            configured.push(("account".to_owned(), account.clone()));
        }
        let tree = settings.tree("verify").ok_or(SettingsError::new("verify", "missing"))?;
        let event = settings.tree("event").ok_or(SettingsError::new("event", "missing"))?;
        let verify = VerifyReader { settings, configured: &configured, node: Node::new("verify", tree) }.read()?;
        let rules = Rules::read(&Node::new("event", event), &verify)?;
        let replies = Replies::read(settings.tree("reply"))?;
        Ok(Self { environment: settings.environment, platform, account, verify, rules, replies })
    }

    /// Public facts about the secrets: which there are, and nothing of what they are.
    pub(super) fn notes(&self) -> Vec<KeyNote> {
        let note = |secret: &Secret| KeyNote {
            label: secret.key.label().to_owned(),
            algorithm: secret.key.hash().to_string(),
            fingerprint: None,
            not_after: None,
        };
        self.verify.keys.iter().map(note).collect()
    }
}

impl Verify {
    /// Whether the value at this place is under the signature, whichever template matched.
    pub(super) fn covers(&self, reference: &Reference) -> bool {
        self.templates.iter().all(|template| template.covers(reference))
    }

    /// Whether the whole body is under the signature, whichever template matched.
    pub(super) fn signs_body(&self) -> bool {
        self.templates.iter().all(|template| template.references().any(|one| one.place == Place::Body))
    }

    /// Single values under the signature, whichever template matched.
    pub(super) fn signed(&self) -> impl Iterator<Item = &Reference> {
        self.templates.first().into_iter().flat_map(Template::references).filter(|one| self.covers(one))
    }
}

struct VerifyReader<'s> {
    settings: &'s Settings,
    configured: &'s [(String, String)],
    node: Node<'s>,
}

impl VerifyReader<'_> {
    fn read(&self) -> Result<Verify, SettingsError> {
        let keys = self.node.table(&[
            "method",
            "content_type",
            "body",
            "signature",
            "timestamp",
            "message",
            "algorithm",
            "encoding",
            "secret",
            "key_id",
            "items",
            "require",
            "environment",
        ])?;
        let hash = algorithm(keys.required("algorithm")?)?;
        let encoding = keys.required("encoding")?.word(&[
            ("hex", Encoding::Hex),
            ("base64", Encoding::Base64),
            ("base64url", Encoding::Base64Url),
        ])?;
        let carrier = self.carrier(keys.required("signature")?, encoding)?;
        let items = keys.get("items").map(items).transpose()?;
        let templates = self.templates(&keys, &carrier, items.is_some())?;
        let stamp = keys.get("timestamp").map(|node| stamp(node, &templates)).transpose()?;
        let key_id = keys.get("key_id").map(key_id).transpose()?;
        let body = body_form(&keys)?;
        let verify = Verify {
            method: method(&keys)?,
            media_types: media_types(&keys, body)?,
            body,
            carrier,
            stamp,
            templates,
            keys: self.secrets(&keys, hash, key_id.is_some())?,
            hash,
            key_id,
            items,
            require: self.require(&keys)?,
            live: keys.get("environment").map(|node| self.live_word(node)).transpose()?,
        };
        check_places(&keys, &verify)?;
        Ok(verify)
    }

    fn carrier(&self, node: &Node<'_>, encoding: Encoding) -> Result<Carrier, SettingsError> {
        let keys = node.table(&[
            "from",
            "parse",
            "prefix",
            "pair_sep",
            "kv_sep",
            "want",
            "list_sep",
            "version_sep",
            "percent_decode",
            "repeat",
        ])?;
        let from = Reference::read(keys.required("from")?)?;
        let is_carrier =
            matches!(from.place, Place::Header(_) | Place::Query(_) | Place::Form(_) | Place::Json(_) | Place::Item(_));
        if !is_carrier {
            return Err(keys.required("from")?.error("unknown_reference").because(from.shown));
        }
        let want = keys.get("want").map(|node| fixed_text(node, self.configured)).transpose()?;
        let prefix = keys.get("prefix").map(Node::raw_text).transpose()?.unwrap_or_default().to_owned();
        let sep = |key: &str, usual: &str| match keys.get(key) {
            Some(node) if node.raw_text()?.is_empty() => Err(node.error("missing")),
            Some(node) => node.raw_text().map(str::to_owned),
            None => Ok(usual.to_owned()),
        };
        let parse = keys.required("parse")?;
        let (writing, unused): (Writing, &[&str]) = match parse.word(&[("whole", 0), ("kv", 1), ("list", 2)])? {
            0 => (Writing::Whole { prefix }, &["pair_sep", "kv_sep", "list_sep", "version_sep", "want"]),
            1 => {
                let want = want.ok_or_else(|| keys.missing("want"))?;
                let writing = Writing::Pairs { pair_sep: sep("pair_sep", ",")?, kv_sep: sep("kv_sep", "=")?, want };
                (writing, &["prefix", "list_sep", "version_sep"])
            }
            _ => {
                let version = match (want, keys.get("version_sep")) {
                    (Some(want), _) => Some(Version { sep: sep("version_sep", ",")?, want }),
                    (None, Some(_)) => return Err(keys.missing("want")),
                    (None, None) => None,
                };
                let list_sep = sep("list_sep", ",")?;
                if version.as_ref().is_some_and(|version| version.sep == list_sep) {
                    return Err(parse.error("relation").because("list_sep = version_sep"));
                }
                (Writing::List { list_sep, prefix, version }, &["pair_sep", "kv_sep"])
            }
        };
        if let Some(node) = unused.iter().find_map(|key| keys.get(key)) {
            return Err(node.error("relation").because("parse"));
        }
        let is_set = |key: &str| keys.get(key).map_or(Ok(false), Node::flag);
        let may_repeat = is_set("repeat")?;
        // The pairs of several carriers could not be told apart.
        if may_repeat && (!matches!(from.place, Place::Header(_)) || matches!(writing, Writing::Pairs { .. })) {
            return Err(keys.required("repeat")?.error("relation").because("from = \"header:…\", parse"));
        }
        let is_percent_encoded = is_set("percent_decode")?;
        Ok(Carrier { from, writing, encoding, is_percent_encoded, may_repeat })
    }

    fn templates(&self, keys: &Keys<'_>, carrier: &Carrier, has_items: bool) -> Result<Vec<Template>, SettingsError> {
        let is_in_items = matches!(carrier.from.place, Place::Item(_));
        let mut templates = Vec::new();
        for node in keys.required("message")?.one_or_many(TEMPLATES_MAX)? {
            let template = Template::read(&node, self.configured)?;
            if !template.binds_body() {
                return Err(node.error("unbound_body"));
            }
            for reference in template.references() {
                let is_known = match &reference.place {
                    Place::Item(_) => has_items && is_in_items,
                    Place::Sig(name) => is_pair(carrier, name),
                    // The signature cannot be part of what it signs.
                    Place::Body | Place::BodyCrc32 => matches!(carrier.from.place, Place::Header(_) | Place::Query(_)),
                    place => *place != carrier.from.place,
                };
                if !is_known {
                    return Err(node.error("unknown_reference").because(reference.shown.clone()));
                }
            }
            templates.push(template);
        }
        Ok(templates)
    }

    fn require(&self, keys: &Keys<'_>) -> Result<Vec<(Reference, String)>, SettingsError> {
        let Some(node) = keys.get("require") else { return Ok(Vec::new()) };
        let entries = node.entries()?;
        if entries.len() > LIST_MAX {
            return Err(node.error("out_of_range").because(format!("{} > {LIST_MAX}", entries.len())));
        }
        let read = |(name, node): (&str, Node<'_>)| {
            let reference = Reference::parse(name).ok_or_else(|| node.error("unknown_reference").because(name))?;
            if matches!(reference.place, Place::Item(_) | Place::Sig(_) | Place::Body) {
                return Err(node.error("unknown_reference").because(name));
            }
            let expected = match node.text() {
                Ok(_) => fixed_text(&node, self.configured)?,
                Err(error) if error.word == "missing" => return Err(error),
                Err(_) => node.plain()?,
            };
            Ok((reference, expected))
        };
        entries.into_iter().map(read).collect()
    }

    fn live_word(&self, node: &Node<'_>) -> Result<LiveWord, SettingsError> {
        let keys = node.table(&["from", "live", "sandbox"])?;
        let from = Reference::read(keys.required("from")?)?;
        let [live, sandbox] = ["live", "sandbox"].map(|key| keys.required(key).and_then(Node::plain));
        let (live, sandbox) = (live?, sandbox?);
        if live == sandbox {
            return Err(node.error("never_matches").because("live = sandbox"));
        }
        let own = if self.settings.environment == Environment::Live { live } else { sandbox };
        Ok(LiveWord { from, own })
    }

    /// The secrets, from whichever of the ways they were given in.
    fn secrets(&self, keys: &Keys<'_>, hash: HmacHash, by_id: bool) -> Result<Vec<Secret>, SettingsError> {
        let form = SecretForm::read(keys.get("secret"))?;
        let wrong = |setting: &'static str| move |word: &'static str| SettingsError::new(setting, word);
        let mut found: Vec<(Option<String>, Zeroizing<Vec<u8>>)> = Vec::new();
        if let Some(secret) = self.settings.key("secret") {
            found.push((None, form.decode(secret).map_err(wrong("secret"))?));
        }
        for secret in self.settings.keys("secret_files").unwrap_or_default() {
            found.push((None, form.decode(secret).map_err(wrong("secret_files"))?));
        }
        if let Some(tree) = self.settings.tree("key") {
            if !found.is_empty() {
                return Err(SettingsError::new("key", "either_or").because("secret"));
            }
            for node in Node::new("key", tree).one_or_many(SECRETS_MAX)? {
                let key = node.table(&["id", "secret"])?;
                let secret = key.required("secret")?;
                let crate::settings::tree::Tree::Secret(bytes) = secret.tree() else {
                    return Err(secret.error("missing"));
                };
                let id = key.get("id").map(|id| id.text().map(str::to_owned)).transpose()?;
                let is_twice = id.is_some() && found.iter().any(|(other, _)| *other == id);
                if let Some(id) = key.get("id").filter(|_| is_twice) {
                    return Err(id.error("relation").because("id"));
                }
                found.push((id, form.decode(bytes).map_err(|word| secret.error(word))?));
            }
        } else if self.settings.key("secret").is_some() && self.settings.keys("secret_files").is_some() {
            return Err(SettingsError::new("secret_files", "either_or").because("secret"));
        }
        if found.is_empty() {
            return Err(SettingsError::new("secret", "missing").because("secret_files"));
        }
        if found.len() > SECRETS_MAX {
            return Err(SettingsError::new("secret_files", "out_of_range").because(format!("> {SECRETS_MAX}")));
        }
        if by_id && found.iter().any(|(id, _)| id.is_none()) {
            return Err(SettingsError::new("key", "missing").because("id"));
        }
        let name = |(index, (id, bytes)): (usize, (Option<String>, Zeroizing<Vec<u8>>))| {
            let label = id.clone().unwrap_or_else(|| format!("secret {}", index + 1));
            Secret { key: HmacKey::new(&bytes, hash, &label), id }
        };
        Ok(found.into_iter().enumerate().map(name).collect())
    }
}

/// Whether a reference `sig:NAME` can mean something: a pair other than the signature's own.
fn is_pair(carrier: &Carrier, name: &str) -> bool {
    matches!(&carrier.writing, Writing::Pairs { want, .. } if want != name)
}

/// How the text of a secret becomes its bytes.
struct SecretForm {
    format: SecretFormat,
    strip_prefix: String,
    is_hashed: bool,
}

#[derive(Clone, Copy)]
enum SecretFormat {
    Utf8,
    Hex,
    Base64,
    Refused,
}

impl SecretForm {
    fn read(node: Option<&Node<'_>>) -> Result<Self, SettingsError> {
        let Some(node) = node else {
            return Ok(Self { format: SecretFormat::Utf8, strip_prefix: String::new(), is_hashed: false });
        };
        let keys = node.table(&["format", "strip_prefix", "derive", "url_from", "url_allow"])?;
        let format = keys.required("format")?;
        let read = format.word(&[
            ("utf8", SecretFormat::Utf8),
            ("hex", SecretFormat::Hex),
            ("base64", SecretFormat::Base64),
            ("pem", SecretFormat::Refused),
            ("spki-base64", SecretFormat::Refused),
            ("x509", SecretFormat::Refused),
        ])?;
        if matches!(read, SecretFormat::Refused) {
            return Err(format.error("not_offered").because("utf8, hex, base64"));
        }
        if let Some(node) = ["url_from", "url_allow"].iter().find_map(|key| keys.get(key)) {
            return Err(node.error("not_offered").because("utf8, hex, base64"));
        }
        let is_hashed = keys.get("derive").map(|node| node.word(&[("sha1", true)])).transpose()?.unwrap_or(false);
        let strip_prefix = keys.get("strip_prefix").map(Node::text).transpose()?.unwrap_or_default();
        Ok(Self { format: read, strip_prefix: strip_prefix.to_owned(), is_hashed })
    }

    /// The bytes of a secret. An error is the word of what is wrong, and never shows a byte of it.
    fn decode(&self, material: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        // A file ends in a line end, and a console's copy button takes blanks with it.
        let text = std::str::from_utf8(material.trim_ascii()).map_err(|_| "not_encoded")?;
        let text = text.strip_prefix(&self.strip_prefix).unwrap_or(text);
        if text.is_empty() {
            return Err("missing");
        }
        let bytes = match self.format {
            SecretFormat::Hex => decode_hex(text).ok_or("not_encoded")?,
            SecretFormat::Base64 => {
                let decoded = Encoding::Base64.decode(text).or_else(|| Encoding::Base64Url.decode(text));
                decoded.ok_or("not_encoded")?
            }
            SecretFormat::Utf8 | SecretFormat::Refused => text.as_bytes().to_vec(),
        };
        let bytes = Zeroizing::new(bytes);
        if bytes.len() < SECRET_BYTES_MIN {
            return Err("too_short");
        }
        if self.is_hashed {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
            return Ok(Zeroizing::new(digest.as_ref().to_vec()));
        }
        Ok(bytes)
    }
}

/// The algorithms of this version. The others of the draft are known by name, so that the refusal is clear.
fn algorithm(node: &Node<'_>) -> Result<HmacHash, SettingsError> {
    const KNOWN: &str = "hmac-sha256, hmac-sha512, hmac-sha1";
    match node.text()? {
        "hmac-sha256" => Ok(HmacHash::Sha256),
        "hmac-sha512" => Ok(HmacHash::Sha512),
        "hmac-sha1" => Ok(HmacHash::Sha1),
        "none" | "token" => {
            Err(node.error("not_offered").because(format!("it proves nothing about the body: {KNOWN}")))
        }
        "rsa-sha256" | "ed25519" | "sha256" | "sha512" | "md5" => Err(node.error("not_offered").because(KNOWN)),
        _ => Err(node.error("unknown_word").because(KNOWN)),
    }
}

fn items(node: &Node<'_>) -> Result<Items, SettingsError> {
    let keys = node.table(&["from", "unwrap"])?;
    let from = Reference::read(keys.required("from")?)?;
    if !matches!(from.place, Place::Json(_)) {
        return Err(keys.required("from")?.error("unknown_reference").because("json:/…"));
    }
    let unwrap = match keys.get("unwrap") {
        Some(node) => Pointer::parse(node.raw_text()?).ok_or_else(|| node.error("unknown_reference"))?,
        None => Pointer::parse("").expect("the empty pointer"),
    };
    Ok(Items { from, unwrap })
}

fn key_id(node: &Node<'_>) -> Result<Reference, SettingsError> {
    let keys = node.table(&["from"])?;
    let from = keys.required("from")?;
    let reference = Reference::read(from)?;
    if matches!(reference.place, Place::Header(_) | Place::Query(_) | Place::Form(_) | Place::Json(_) | Place::Sig(_)) {
        return Ok(reference);
    }
    Err(from.error("unknown_reference").because(reference.shown))
}

/// The time that shows freshness: it must be part of every signed text, or anybody could renew it.
fn stamp(node: &Node<'_>, templates: &[Template]) -> Result<Stamp, SettingsError> {
    let keys = node.table(&["from", "unit", "tolerance", "tolerance_future"])?;
    let from = Reference::read(keys.required("from")?)?;
    if !templates.iter().all(|template| template.covers(&from)) {
        return Err(keys.required("from")?.error("not_signed").because(from.shown));
    }
    let unit = keys.required("unit")?.word(Unit::WORDS)?;
    let past = keys.get("tolerance").map(tolerance).transpose()?;
    let future = keys.get("tolerance_future").map(tolerance).transpose()?;
    let window = match (past, future) {
        (Some(past), future) => Some(Window { past, future: future.unwrap_or(past) }),
        (None, Some(_)) => return Err(keys.missing("tolerance")),
        (None, None) => None,
    };
    Ok(Stamp { clock: Clock { from, unit }, window })
}

/// A number of seconds, or a duration such as `5m`.
fn tolerance(node: &Node<'_>) -> Result<SignedDuration, SettingsError> {
    let seconds = if let Ok(seconds) = node.number() {
        seconds
    } else {
        let text = node.text()?;
        let (count, unit) = text.split_at(text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len());
        let scale = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(node.error("malformed").because("300, \"300s\", \"5m\"")),
        };
        let count: u64 = count.parse().map_err(|_| node.error("malformed"))?;
        count.checked_mul(scale).ok_or_else(|| node.error("out_of_range"))?
    };
    if seconds == 0 || seconds > TOLERANCE_MAX.as_secs() {
        return Err(node.error("out_of_range").because(format!("1 s to {} s", TOLERANCE_MAX.as_secs())));
    }
    i64::try_from(seconds).map(SignedDuration::from_secs).map_err(|_| node.error("out_of_range"))
}

fn method(keys: &Keys<'_>) -> Result<Method, SettingsError> {
    let known = [("POST", Method::POST), ("PUT", Method::PUT), ("PATCH", Method::PATCH)];
    let Some(node) = keys.get("method") else { return Ok(Method::POST) };
    let words = ["POST", "PUT", "PATCH"].map(|word| (word, word));
    let word = node.word(&words)?;
    Ok(known.into_iter().find(|(name, _)| *name == word).map_or(Method::POST, |(_, method)| method))
}

fn body_form(keys: &Keys<'_>) -> Result<BodyForm, SettingsError> {
    let known = [("json", BodyForm::Json), ("form", BodyForm::Form)];
    keys.get("body").map(|node| node.word(&known)).transpose().map(|body| body.unwrap_or(BodyForm::Json))
}

fn media_types(keys: &Keys<'_>, body: BodyForm) -> Result<Vec<String>, SettingsError> {
    let Some(node) = keys.get("content_type") else {
        let usual = match body {
            BodyForm::Json => "application/json",
            BodyForm::Form => "application/x-www-form-urlencoded",
        };
        return Ok(vec![usual.to_owned()]);
    };
    let mut types = Vec::new();
    for node in node.one_or_many(LIST_MAX)? {
        let text = node.text()?.to_ascii_lowercase();
        if text == "*" {
            return Ok(Vec::new());
        }
        if !text.contains('/') || text.contains(|c: char| c == ';' || c.is_whitespace()) {
            return Err(node.error("malformed").because("application/json"));
        }
        types.push(text);
    }
    Ok(types)
}

/// Every reference must fit the body and the carrier.
fn check_places(keys: &Keys<'_>, verify: &Verify) -> Result<(), SettingsError> {
    let check = |key: &str, reference: &Reference| {
        if verify.can_read(reference) {
            return Ok(());
        }
        let node = keys.get(key).unwrap_or(keys.node());
        Err(node.error("unknown_reference").because(reference.shown.clone()))
    };
    check("signature", &verify.carrier.from)?;
    for reference in verify.templates.iter().flat_map(Template::references) {
        check("message", reference)?;
    }
    let is_in_items = matches!(verify.carrier.from.place, Place::Item(_));
    for reference in verify.stamp.iter().map(|stamp| &stamp.clock.from) {
        check("timestamp", reference)?;
        // One time for the whole message, unless each item is signed by itself.
        if matches!(reference.place, Place::Item(_)) && !is_in_items {
            return Err(keys.required("timestamp")?.error("unknown_reference").because(reference.shown.clone()));
        }
    }
    check_cuts(keys, verify)?;
    verify.key_id.iter().try_for_each(|reference| check("key_id", reference))?;
    for (reference, _) in &verify.require {
        check("require", reference)?;
    }
    verify.live.iter().try_for_each(|live| check("environment", &live.from))?;
    // A word that anybody may change would turn a test into money.
    if let Some(live) = verify.live.as_ref().filter(|live| !verify.covers(&live.from)) {
        return Err(keys.required("environment")?.error("not_signed").because(live.from.shown.clone()));
    }
    verify.items.iter().try_for_each(|items| check("items", &items.from))
}

/// One signed text has one meaning: its values are kept apart, and it is no text of another template.
fn check_cuts(keys: &Keys<'_>, verify: &Verify) -> Result<(), SettingsError> {
    let shape = Shape::of(verify);
    let nodes = keys.required("message")?.one_or_many(TEMPLATES_MAX)?;
    for (template, node) in verify.templates.iter().zip(&nodes) {
        if let Some((first, second)) = template.joined(shape) {
            return Err(node.error("not_separated").because(format!("{{{}}}{{{}}}", first.shown, second.shown)));
        }
        let same = |other: &Template| other.references().eq(template.references());
        if !verify.templates.iter().all(|other| same(other) || (other.is_closed(shape) && template.is_closed(shape))) {
            return Err(node.error("not_separated").because("message = [ … ]"));
        }
    }
    Ok(())
}

impl Verify {
    /// Whether a place exists in this channel's messages.
    pub(super) fn can_read(&self, reference: &Reference) -> bool {
        match &reference.place {
            Place::Json(_) => self.body == BodyForm::Json,
            Place::Item(_) => self.items.is_some(),
            Place::Form(_) => self.body == BodyForm::Form,
            Place::Sig(name) => is_pair(&self.carrier, name),
            Place::Body | Place::BodyCrc32 | Place::Method | Place::Path | Place::Header(_) | Place::Query(_) => true,
        }
    }
}
