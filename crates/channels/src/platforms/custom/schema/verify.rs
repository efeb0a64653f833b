//! `verify`: how a message is believed.

use std::time::Duration;

use jiff::SignedDuration;

use super::keys::{NONE, PUBLICS, SECRETS, refuse};
use super::outside::{body_form, media_types, method};
use super::{Evidence, Items, LiveWord, Signed, TEMPLATES_MAX, Token, Trust, Verify, exists};
use crate::channel::quote;
use crate::json::Pointer;
use crate::model::Environment;
use crate::platforms::custom::cuts::Shape;
use crate::platforms::custom::fetch::Fetch;
use crate::platforms::custom::material::{Given, PublicForm, SecretForm};
use crate::platforms::custom::message::BodyForm;
use crate::platforms::custom::primitive::{Life, PUBLIC_CHECKS_MAX, Primitive};
use crate::platforms::custom::signature::{Carrier, Encoding, Version, Want, Writing};
use crate::platforms::custom::template::{Part, Place, Reference, Template, configured_names, fixed_text};
use crate::platforms::custom::time::{Clock, Stamp, Unit, Window};
use crate::settings::tree::{Keys, Node};
use crate::settings::{Settings, SettingsError};
use crate::signature::digest::{DigestHash, DigestKey};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::token::SharedToken;

/// Widest window: beyond a week a time proves nothing.
const TOLERANCE_MAX: Duration = Duration::from_hours(168);

/// Most required equalities and media types.
const LIST_MAX: usize = 16;

/// The configured value that is always the merchant's own.
const ACCOUNT: &str = "account";

/// What a signature needs, and what only a signature has.
const OF_SIGNATURES: [&str; 7] =
    ["signature", "encoding", "message", "timestamp", "key_id", "algorithm_named", "accept_weak"];

/// The algorithms by their words.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("hmac-sha256", Algorithm::Hmac(HmacHash::Sha256)),
    ("hmac-sha512", Algorithm::Hmac(HmacHash::Sha512)),
    ("hmac-sha1", Algorithm::Hmac(HmacHash::Sha1)),
    ("sha256", Algorithm::Digest(DigestHash::Sha256)),
    ("sha512", Algorithm::Digest(DigestHash::Sha512)),
    ("sha1", Algorithm::Digest(DigestHash::Sha1)),
    ("md5", Algorithm::Digest(DigestHash::Md5)),
    ("rsa-sha256", Algorithm::Rsa),
    ("ed25519", Algorithm::Ed25519),
    ("token", Algorithm::Token),
    ("none", Algorithm::None),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Hmac(HmacHash),
    Digest(DigestHash),
    Rsa,
    Ed25519,
    Token,
    None,
}

pub(super) fn read(
    settings: &Settings,
    configured: &[(String, String)],
    node: &Node<'_>,
) -> Result<Verify, SettingsError> {
    Reader { settings, configured }.read(node)
}

struct Reader<'s> {
    settings: &'s Settings,
    configured: &'s [(String, String)],
}

impl Reader<'_> {
    fn read(&self, node: &Node<'_>) -> Result<Verify, SettingsError> {
        let plain = [
            "method",
            "content_type",
            "body",
            "algorithm",
            "secret",
            "public_key",
            "items",
            "require",
            "environment",
            "mine",
        ];
        let known: Vec<&str> = plain.into_iter().chain(OF_SIGNATURES).collect();
        let keys = node.table(&known)?;
        self.check_mine(&keys)?;
        let body = body_form(&keys)?;
        let items = keys.get("items").map(items).transpose()?;
        let algorithm = keys.required("algorithm")?;
        let word = algorithm.word(ALGORITHMS)?;
        // Before anything else about it is wrong: this is what must not be.
        if matches!(word, Algorithm::None | Algorithm::Token) && self.settings.tree("fetch").is_none() {
            return Err(algorithm.error("unproven").because("[channel.fetch]"));
        }
        let evidence = match word {
            Algorithm::None => self.nothing(&keys)?,
            Algorithm::Token => Evidence::Token(self.token(&keys, body)?),
            signed => Evidence::Signed(self.signed(&keys, signed, body, items.is_some())?),
        };
        let trust = match (self.fetch(&evidence, body)?, evidence) {
            (Some(fetch), evidence) => Trust::Answer { evidence, fetch },
            (None, Evidence::Signed(signed)) => Trust::Message(signed),
            (None, Evidence::Token(_) | Evidence::Nothing) => {
                return Err(algorithm.error("unproven").because("[channel.fetch]"));
            }
        };
        if let (Some(node), Trust::Answer { .. }) = (keys.get("items"), &trust) {
            return Err(node.error("relation").because("[channel.fetch]"));
        }
        let verify = Verify {
            method: method(&keys, body)?,
            media_types: media_types(&keys, body)?,
            body,
            trust,
            items,
            require: self.require(&keys)?,
            algorithms: algorithms(&keys)?,
            live: keys.get("environment").map(|node| self.live_word(node)).transpose()?,
        };
        check_places(&keys, &verify)?;
        self.check_owner(&keys, &verify)?;
        Ok(verify)
    }

    /// What a public key signs for others proves something of them: whoever takes their messages for his own has been
    /// paid nothing.
    fn check_owner(&self, keys: &Keys<'_>, verify: &Verify) -> Result<(), SettingsError> {
        let Trust::Message(signed) = &verify.trust else { return Ok(()) };
        if signed.is_key_mine {
            return Ok(());
        }
        if let Some((reference, _)) = verify.require.iter().find(|(reference, _)| !signed.covers(reference)) {
            return Err(keys.required("require")?.error("not_signed").because(reference.shown.clone()));
        }
        let required = keys.get("require").map(Node::entries).transpose()?.unwrap_or_default();
        let event = self.settings.tree("event").map(|tree| Node::new("event", tree));
        let entries = event.map(|event| event.entries()).transpose()?.unwrap_or_default();
        let is_named = signed.is_told_to
            || required.iter().any(|(_, node)| names_me(keys, node, |_, _| true))
            || entries.iter().any(|(key, _)| *key == "account");
        if is_named { Ok(()) } else { Err(keys.required("algorithm")?.error("unowned")) }
    }

    /// Whether a configured value stands in a signed text so that it is no part of a longer one: another merchant's id
    /// may begin or end as this one does, and the rest of it would pass for the value that it touches.
    fn is_apart(&self, text: &str, name: &str, body: BodyForm) -> bool {
        let own = self.configured.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let written = format!("{{cfg:{name}}}");
        let is_whole = |before: &str, behind: &str| {
            let is_body = |is_it: bool| is_it && body == BodyForm::Json;
            let ends = before.chars().next_back().is_none_or(|sign| sign != '}' && !own.contains(sign));
            let begins = behind.chars().next().is_none_or(|sign| sign != '{' && !own.contains(sign));
            (ends || is_body(before.ends_with("{body}"))) && (begins || is_body(behind.starts_with("{body}")))
        };
        text.match_indices(&written).any(|(at, _)| is_whole(&text[..at], &text[at + written.len()..]))
    }

    /// The question that is asked about a message whose content is not believed.
    fn fetch(&self, evidence: &Evidence, body: BodyForm) -> Result<Option<Fetch>, SettingsError> {
        let Some(tree) = self.settings.tree("fetch") else {
            return match ["api_key", "api_base"].iter().find(|name| self.is_given(name)) {
                Some(name) => Err(SettingsError::new(name, "relation").because("[channel.fetch]")),
                None => Ok(None),
            };
        };
        let node = Node::new("fetch", tree);
        let fetch = Fetch::read(&node, self.settings, self.configured)?;
        let id = fetch.id();
        let is_in = |key: &str| if key == "body" { !fetch.is_id_in_path() } else { key == "url" };
        let url = node.entries()?.into_iter().rfind(|(key, _)| is_in(key)).map_or(node, |(_, url)| url);
        let can_be_read = match &id.place {
            Place::Json(_) | Place::Form(_) | Place::Query(_) | Place::Header(_) => exists(&id.place, body),
            _ => false,
        };
        if !can_be_read {
            return Err(url.error("unknown_reference").because(id.shown.clone()));
        }
        // A signature that covers another number than the one that is asked about would vouch for nothing.
        match evidence {
            Evidence::Signed(signed) if !signed.covers(id) => Err(url.error("not_signed").because(id.shown.clone())),
            _ => Ok(Some(fetch)),
        }
    }

    fn is_given(&self, name: &str) -> bool {
        self.settings.key(name).is_some() || self.settings.text(name).is_some()
    }

    fn nothing(&self, keys: &Keys<'_>) -> Result<Evidence, SettingsError> {
        none_of(keys, &OF_SIGNATURES)?;
        none_of(keys, &["secret", "public_key"])?;
        refuse(self.settings, NONE)?;
        Ok(Evidence::Nothing)
    }

    fn token(&self, keys: &Keys<'_>, body: BodyForm) -> Result<Token, SettingsError> {
        let others: Vec<&str> = OF_SIGNATURES.into_iter().filter(|key| *key != "signature").collect();
        none_of(keys, &others)?;
        none_of(keys, &["public_key"])?;
        let carrier = keys.required("signature")?.table(&["from", "parse", "prefix"])?;
        let node = carrier.required("from")?;
        let from = Reference::read(node)?;
        let is_carrier = matches!(from.place, Place::Header(_) | Place::Query(_) | Place::Form(_) | Place::Json(_));
        if !is_carrier || !exists(&from.place, body) {
            return Err(node.error("unknown_reference").because(from.shown));
        }
        carrier.get("parse").map(|node| node.word(&[("whole", ())])).transpose()?;
        let prefix = carrier.get("prefix").map(Node::raw_text).transpose()?.unwrap_or_default().to_owned();
        let form = SecretForm::read(keys.get("secret"))?;
        let make = |material: &[u8], given: &Given<'_>, label: &str| {
            let bytes = form.decode(material).map_err(|word| given.error(word))?;
            let token = SharedToken::new(&bytes, label).ok_or_else(|| given.error("missing"))?;
            Ok((token, Life::default()))
        };
        Ok(Token { from, prefix, keys: SECRETS.read(self.settings, false, make)? })
    }

    fn signed(
        &self,
        keys: &Keys<'_>,
        algorithm: Algorithm,
        body: BodyForm,
        has_items: bool,
    ) -> Result<Signed, SettingsError> {
        let encoding = keys.required("encoding")?.word(&[
            ("hex", Encoding::Hex),
            ("base64", Encoding::Base64),
            ("base64url", Encoding::Base64Url),
        ])?;
        let carrier = self.carrier(keys.required("signature")?, encoding)?;
        let templates = self.templates(keys, &carrier, algorithm, body, has_items)?;
        let stamp = keys.get("timestamp").map(|node| stamp(node, &templates)).transpose()?;
        let key_id = keys.get("key_id").map(key_id).transpose()?;
        let names_key = carrier.names_key();
        if let (Some(node), true) = (keys.get("key_id"), names_key) {
            return Err(node.error("either_or").because("want = \"{key_id}\""));
        }
        let primitive = self.primitive(keys, algorithm, key_id.is_some() || names_key)?;
        let is_public = matches!(algorithm, Algorithm::Rsa | Algorithm::Ed25519);
        let is_key_mine =
            !is_public || PublicForm::read(keys.get("public_key"), algorithm == Algorithm::Rsa)?.is_mine_alone;
        let messages = keys.required("message")?.one_or_many(TEMPLATES_MAX)?;
        let is_told_to = messages.iter().all(|node| names_me(keys, node, |text, name| self.is_apart(text, name, body)));
        if let (Writing::Pairs { pair_sep, kv_sep, .. }, true) = (&carrier.writing, names_key) {
            let is_cut = |id: &&&str| id.contains(pair_sep.as_str()) || id.contains(kv_sep.as_str());
            if let Some(id) = primitive.ids().iter().find(is_cut) {
                let setting = if self.is_given("key_id") { "key_id" } else { "key" };
                return Err(SettingsError::new(setting, "never_matches").because(quote(id)));
            }
        }
        let signed = Signed { carrier, stamp, templates, primitive, key_id, is_key_mine, is_told_to };
        // More would not be tried, and a genuine message refused.
        if is_public && signed.ways() > PUBLIC_CHECKS_MAX {
            let most = format!("{} > {PUBLIC_CHECKS_MAX}", signed.ways());
            return Err(keys.required("message")?.error("out_of_range").because(most));
        }
        Ok(signed)
    }

    fn primitive(&self, keys: &Keys<'_>, algorithm: Algorithm, by_id: bool) -> Result<Primitive, SettingsError> {
        let unused = if matches!(algorithm, Algorithm::Rsa | Algorithm::Ed25519) { "secret" } else { "public_key" };
        none_of(keys, &[unused])?;
        let secret = || SecretForm::read(keys.get("secret"));
        let public = |is_rsa| PublicForm::read(keys.get("public_key"), is_rsa);
        Ok(match algorithm {
            Algorithm::Hmac(hash) => {
                let form = secret()?;
                let make = |material: &[u8], given: &Given<'_>, label: &str| {
                    let bytes = form.decode(material).map_err(|word| given.error(word))?;
                    Ok((HmacKey::new(&bytes, hash, label), Life::default()))
                };
                Primitive::Hmac { hash, keys: SECRETS.read(self.settings, by_id, make)? }
            }
            Algorithm::Digest(hash) => {
                let form = secret()?;
                let make = |material: &[u8], given: &Given<'_>, label: &str| {
                    let bytes = form.decode(material).map_err(|word| given.error(word))?;
                    let key = DigestKey::new(&bytes, hash, label).ok_or_else(|| given.error("missing"))?;
                    Ok((key, Life::default()))
                };
                Primitive::Digest { hash, keys: SECRETS.read(self.settings, by_id, make)? }
            }
            Algorithm::Rsa => {
                let form = public(true)?;
                let make = |material: &[u8], given: &Given<'_>, label: &str| form.rsa(material, given, label);
                Primitive::Rsa(PUBLICS.read(self.settings, by_id, make)?)
            }
            Algorithm::Ed25519 => {
                let form = public(false)?;
                let make = |material: &[u8], given: &Given<'_>, label: &str| {
                    form.ed25519(material, given, label).map(|key| (key, Life::default()))
                };
                Primitive::Ed25519(PUBLICS.read(self.settings, by_id, make)?)
            }
            Algorithm::Token | Algorithm::None => return Err(keys.required("algorithm")?.error("unproven")),
        })
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
        let want = keys.get("want").map(|node| self.want(node)).transpose()?;
        let prefix = keys.get("prefix").map(Node::raw_text).transpose()?.unwrap_or_default().to_owned();
        let sep = |key: &str, usual: &str| match keys.get(key) {
            Some(node) if node.raw_text()?.is_empty() => Err(node.error("missing")),
            Some(node) => node.raw_text().map(str::to_owned),
            None => Ok(usual.to_owned()),
        };
        let parse = keys.required("parse")?;
        // What a signature may hold itself would cut it in two, and what cannot be found is never there.
        let parts = |key: &str, usual: &str| match sep(key, usual)? {
            cut if encoding.may_hold(&cut) => {
                Err(keys.get(key).unwrap_or(parse).error("never_matches").because(format!("{key} = {cut:?}: encoding")))
            }
            whole => Ok(whole),
        };
        let holds_none = |key: &str, text: &str, seps: &[&str]| match seps.iter().find(|sep| text.contains(**sep)) {
            Some(sep) => {
                Err(keys.get(key).unwrap_or(parse).error("never_matches").because(format!("{text:?}: {sep:?}")))
            }
            None => Ok(()),
        };
        let (writing, unused): (Writing, &[&str]) = match parse.word(&[("whole", 0), ("kv", 1), ("list", 2)])? {
            0 => (Writing::Whole { prefix }, &["pair_sep", "kv_sep", "list_sep", "version_sep", "want"]),
            1 => {
                let want = want.ok_or_else(|| keys.missing("want"))?;
                let (pair_sep, kv_sep) = (parts("pair_sep", ",")?, sep("kv_sep", "=")?);
                holds_none("kv_sep", &kv_sep, &[&pair_sep])?;
                if let Want::Named(name) = &want {
                    holds_none("want", name, &[&pair_sep, &kv_sep])?;
                }
                let writing = Writing::Pairs { pair_sep, kv_sep, want };
                (writing, &["prefix", "list_sep", "version_sep"])
            }
            _ => {
                let version = match (want, keys.get("version_sep")) {
                    (Some(Want::Named(want)), _) => Some(Version { sep: sep("version_sep", ",")?, want }),
                    (Some(Want::KeyId), _) => return Err(keys.required("want")?.error("relation").because("parse")),
                    (None, Some(_)) => return Err(keys.missing("want")),
                    (None, None) => None,
                };
                let list_sep = parts("list_sep", ",")?;
                if let Some(version) = &version {
                    if version.sep == list_sep {
                        return Err(parse.error("relation").because("list_sep = version_sep"));
                    }
                    holds_none("version_sep", &version.sep, &[&list_sep])?;
                    holds_none("want", &version.want, &[&list_sep, &version.sep])?;
                }
                holds_none("prefix", &prefix, &[&list_sep])?;
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

    fn want(&self, node: &Node<'_>) -> Result<Want, SettingsError> {
        if node.text()? == "{key_id}" {
            return Ok(Want::KeyId);
        }
        fixed_text(node, self.configured).map(Want::Named)
    }

    fn templates(
        &self,
        keys: &Keys<'_>,
        carrier: &Carrier,
        algorithm: Algorithm,
        body: BodyForm,
        has_items: bool,
    ) -> Result<Vec<Template>, SettingsError> {
        let is_digest = matches!(algorithm, Algorithm::Digest(_));
        let is_in_items = matches!(carrier.from.place, Place::Item(_));
        let weak = keys.get("accept_weak").map(|node| node.one_or_many(1)).transpose()?.unwrap_or_default();
        let takes_sum = weak.iter().map(|node| node.word(&[("crc32", true)])).collect::<Result<Vec<_>, _>>()?;
        let mut is_weak = false;
        let mut templates = Vec::new();
        for node in keys.required("message")?.one_or_many(TEMPLATES_MAX)? {
            let template = Template::read(&node, self.configured)?;
            if !template.binds_body(body) {
                is_weak |= template.sums_body();
                if !template.sums_body() || takes_sum.is_empty() {
                    return Err(node.error("unbound_body"));
                }
            }
            match (is_digest, template.has_secret()) {
                (true, false) => return Err(node.error("unkeyed").because("{secret}")),
                (false, true) => return Err(node.error("not_offered").because("{secret}: sha256, sha512, sha1, md5")),
                (true, true) if is_extendable(&template, body) => return Err(node.error("extendable")),
                _ => {}
            }
            for reference in template.references() {
                let is_known = match &reference.place {
                    Place::Item(_) => has_items && is_in_items,
                    Place::Sig(name) => !is_in_items && carrier.has_pair(name),
                    // The signature cannot be part of what it signs.
                    Place::Body | Place::BodyCrc32 => {
                        body != BodyForm::Query && matches!(carrier.from.place, Place::Header(_) | Place::Query(_))
                    }
                    place => *place != carrier.from.place && exists(place, body),
                };
                if !is_known {
                    return Err(node.error("unknown_reference").because(reference.shown.clone()));
                }
            }
            templates.push(template);
        }
        match keys.get("accept_weak") {
            Some(node) if !is_weak => Err(node.error("relation").because("message")),
            _ => Ok(templates),
        }
    }

    fn require(&self, keys: &Keys<'_>) -> Result<Vec<(Reference, String)>, SettingsError> {
        let Some(node) = keys.get("require") else { return Ok(Vec::new()) };
        let entries = node.entries()?;
        if entries.len() > LIST_MAX {
            return Err(node.error("out_of_range").because(format!("{} > {LIST_MAX}", entries.len())));
        }
        let mut required: Vec<(Reference, String)> = Vec::new();
        for (name, node) in entries {
            let reference = Reference::parse(name).ok_or_else(|| node.error("unknown_reference").because(name))?;
            if matches!(reference.place, Place::Item(_) | Place::Sig(_) | Place::Body | Place::Answer(_)) {
                return Err(node.error("unknown_reference").because(name));
            }
            // A header has one name in whichever case it is written, and one place has one value.
            if required.iter().any(|(other, _)| other.place == reference.place) {
                return Err(node.error("relation").because(reference.shown));
            }
            let expected = match node.text() {
                Ok(_) => fixed_text(&node, self.configured)?,
                Err(error) if error.word == "missing" => return Err(error),
                Err(_) => node.plain()?,
            };
            required.push((reference, expected));
        }
        Ok(required)
    }

    /// The names in `mine` are those of configured values.
    fn check_mine(&self, keys: &Keys<'_>) -> Result<(), SettingsError> {
        for node in keys.get("mine").map(|node| node.one_or_many(LIST_MAX)).transpose()?.unwrap_or_default() {
            let name = node.text()?;
            if self.configured.iter().all(|(known, _)| known != name) {
                return Err(node.error("unknown_reference").because(format!("cfg:{name}")));
            }
        }
        Ok(())
    }

    fn live_word(&self, node: &Node<'_>) -> Result<LiveWord, SettingsError> {
        let keys = node.table(&["from", "live", "sandbox"])?;
        let from = Reference::read(keys.required("from")?)?;
        let words = |key: &str| -> Result<Vec<String>, SettingsError> {
            keys.required(key)?.one_or_many(LIST_MAX)?.iter().map(Node::plain).collect()
        };
        let (live, sandbox) = (words("live")?, words("sandbox")?);
        // Where a platform may say nothing of it, that may stand in both: any other word tells one from the other.
        let is_one_sided = |word: &String, other: &[String]| word.is_empty() || !other.contains(word);
        if !live.iter().all(|word| is_one_sided(word, &sandbox)) {
            return Err(node.error("never_matches").because("live = sandbox"));
        }
        if [&live, &sandbox].iter().any(|words| words.iter().all(String::is_empty)) && live == sandbox {
            return Err(node.error("never_matches").because("live = sandbox"));
        }
        let own = if self.settings.environment == Environment::Live { live } else { sandbox };
        Ok(LiveWord { from, own })
    }
}

/// Keys that mean nothing under this algorithm. A time that nothing covers shows no freshness.
fn none_of(keys: &Keys<'_>, names: &[&str]) -> Result<(), SettingsError> {
    let Some((name, node)) = names.iter().find_map(|name| keys.get(name).map(|node| (*name, node))) else {
        return Ok(());
    };
    let word = if name == "timestamp" { "not_signed" } else { "relation" };
    Err(node.error(word).because("algorithm"))
}

/// Whether whoever saw a digest can make that of a longer text without the secret: these digests go on where they
/// stopped. What is put in between is no UTF-8, so only values that may hold any bytes can swallow it.
fn is_extendable(template: &Template, body: BodyForm) -> bool {
    let behind = template.0.iter().rev().take_while(|part| **part != Part::Secret);
    behind.into_iter().any(|part| match part {
        Part::Value(reference) => match &reference.place {
            Place::Json(_) | Place::Item(_) | Place::Method | Place::BodyCrc32 => false,
            Place::Body => body != BodyForm::Json,
            _ => true,
        },
        Part::Literal(_) | Part::Secret => false,
    })
}

/// Names of the algorithm in the message: another one there is refused, and none chooses anything.
fn algorithms(keys: &Keys<'_>) -> Result<Vec<(Reference, Vec<String>)>, SettingsError> {
    let Some(node) = keys.get("algorithm_named") else { return Ok(Vec::new()) };
    let entries = node.entries()?;
    if entries.is_empty() {
        return Err(node.error("empty_list"));
    }
    if entries.len() > LIST_MAX {
        return Err(node.error("out_of_range").because(format!("{} > {LIST_MAX}", entries.len())));
    }
    let read = |(name, node): (&str, Node<'_>)| {
        let reference = Reference::parse(name).ok_or_else(|| node.error("unknown_reference").because(name))?;
        let words = node.one_or_many(LIST_MAX)?.iter().map(Node::plain).collect::<Result<Vec<_>, _>>()?;
        Ok((reference, words))
    };
    entries.into_iter().map(read).collect()
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

/// Every reference must fit the body and the carrier.
fn check_places(keys: &Keys<'_>, verify: &Verify) -> Result<(), SettingsError> {
    let check = |key: &str, reference: &Reference| {
        if verify.can_read(reference) {
            return Ok(());
        }
        let node = keys.get(key).unwrap_or(keys.node());
        Err(node.error("unknown_reference").because(reference.shown.clone()))
    };
    if let Some(signed) = verify.signed() {
        check("signature", &signed.carrier.from)?;
        for reference in signed.templates.iter().flat_map(Template::references) {
            check("message", reference)?;
        }
        let is_in_items = matches!(signed.carrier.from.place, Place::Item(_));
        for reference in signed.stamp.iter().map(|stamp| &stamp.clock.from) {
            check("timestamp", reference)?;
            // One time for the whole message, unless each item is signed by itself.
            if matches!(reference.place, Place::Item(_)) && !is_in_items {
                return Err(keys.required("timestamp")?.error("unknown_reference").because(reference.shown.clone()));
            }
        }
        signed.key_id.iter().try_for_each(|reference| check("key_id", reference))?;
    }
    // What is asked about needs no meaning of its own.
    if let Trust::Message(signed) = &verify.trust {
        check_cuts(keys, verify.body, signed)?;
    }
    for (reference, _) in &verify.algorithms {
        check("algorithm_named", reference)?;
    }
    for (reference, _) in &verify.require {
        check("require", reference)?;
    }
    verify.live.iter().try_for_each(|live| check("environment", &live.from))?;
    let required = |live: &LiveWord| verify.require.iter().find(|(place, _)| place.place == live.from.place);
    if let Some(live) = &verify.live
        && let Some((_, text)) = required(live)
        && !live.own.contains(text)
    {
        return Err(keys
            .required("environment")?
            .error("never_matches")
            .because(format!("{}: {text}", live.from.shown)));
    }
    // A word that anybody may change would turn a test into money.
    if let Some(live) = verify.live.as_ref().filter(|live| !verify.covers(&live.from)) {
        return Err(keys.required("environment")?.error("not_signed").because(live.from.shown.clone()));
    }
    let Some(items) = &verify.items else { return Ok(()) };
    check("items", &items.from)?;
    // Which items there are is said by the signature of the whole, or by that of each.
    if !verify.signs_items() && !verify.covers(&items.from) {
        return Err(keys.required("items")?.error("not_signed").because(items.from.shown.clone()));
    }
    Ok(())
}

/// One signed text has one meaning: its values are kept apart, and it is no text of another template.
fn check_cuts(keys: &Keys<'_>, body: BodyForm, signed: &Signed) -> Result<(), SettingsError> {
    let shape = Shape::of(body, signed);
    let nodes = keys.required("message")?.one_or_many(TEMPLATES_MAX)?;
    for (template, node) in signed.templates.iter().zip(&nodes) {
        if let Some((first, second)) = template.joined(shape).or_else(|| template.around(shape)) {
            return Err(node.error("not_separated").because(format!("{{{}}}{{{}}}", first.shown, second.shown)));
        }
        let same = |other: &Template| other.without_ends() == template.without_ends();
        // Where both have values of anybody's beside the body, what one cuts in one way the other cuts in another.
        let is_kept_apart = |other: &Template| {
            other.is_closed(shape)
                && template.is_closed(shape)
                && !template.is_mirrored(other)
                && !(template.has_free(shape) && other.has_free(shape))
        };
        if !signed.templates.iter().all(|other| same(other) || is_kept_apart(other)) {
            return Err(node.error("not_separated").because("message = [ … ]"));
        }
    }
    Ok(())
}

/// Whether a text names the merchant by a value that is his own: his account, or one that `mine` names. A fixed text
/// that looks like one names nobody. `counts` says of a text and a name in it whether it does.
fn names_me(keys: &Keys<'_>, node: &Node<'_>, counts: impl Fn(&str, &str) -> bool) -> bool {
    let mine = keys.get("mine").and_then(|node| node.one_or_many(LIST_MAX).ok()).unwrap_or_default();
    let is_mine = |name: &str| name == ACCOUNT || mine.iter().any(|mine| mine.text().is_ok_and(|own| own == name));
    node.text().is_ok_and(|text| configured_names(text).iter().any(|name| is_mine(name) && counts(text, name)))
}
