//! The keys of a channel, from whichever of the ways they were given in.

use zeroize::Zeroizing;

use super::KEYS_MAX;
use crate::channel::quote;
use crate::model::Timestamp;
use crate::platforms::custom::material::Given;
use crate::platforms::custom::primitive::{Key, Life, Ring, label};
use crate::settings::tree::{Node, Tree};
use crate::settings::{Settings, SettingsError};

/// Which settings hold the keys of an algorithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// One of them, and the name in `[[channel.key]]`.
    pub(super) one: &'static str,
    /// Several of them, where there is such a setting.
    pub(super) many: Option<&'static str>,
    /// The setting that holds the keys of other algorithms.
    pub(super) other: &'static [&'static str],
    /// What a key without an id is called.
    pub(super) word: &'static str,
}

/// The settings of shared secrets.
pub(super) const SECRETS: Source = Source {
    one: "secret",
    many: Some("secret_files"),
    other: &["public_key"],
    word: crate::platforms::custom::primitive::SECRET,
};

/// The settings of public keys.
pub(super) const PUBLICS: Source = Source {
    one: "public_key",
    many: None,
    other: &["secret", "secret_files"],
    word: crate::platforms::custom::primitive::PUBLIC,
};

/// The settings of nothing: a message without a proof has no key.
pub(super) const NONE: &[&str] = &["secret", "secret_files", "public_key", "key", "key_id"];

/// The settings that hold keys, each of which may stand in place of the others.
const FORMS: [&str; 4] = ["secret", "secret_files", "public_key", "key"];

/// Settings of which some were laid over others, without the keys that these take the place of: keys of before may be
/// written in another form than those of now.
pub(in crate::platforms) fn newest(settings: &Settings) -> Settings {
    if !FORMS.iter().any(|name| settings.is_laid_over(name)) {
        return settings.clone();
    }
    let mut older: Vec<&str> = FORMS.into_iter().filter(|name| !settings.is_laid_over(name)).collect();
    // Each of several keys has an id of its own.
    let are_several =
        settings.is_laid_over("secret_files") && settings.keys("secret_files").is_some_and(|all| all.len() > 1);
    let has_ids = settings.is_laid_over("key") || are_several;
    if has_ids && !settings.is_laid_over("key_id") {
        older.push("key_id");
    }
    older.into_iter().fold(settings.clone(), Settings::without)
}

/// Key material as it was given.
struct Material<'s> {
    id: Option<String>,
    /// What it is called where it has no id.
    name: Option<String>,
    life: Life,
    bytes: &'s [u8],
    given: Given<'s>,
}

impl Source {
    /// Reads the keys. `by_id` when each needs an id; `make` makes one of its material, under its label.
    pub(super) fn read<K>(
        self,
        settings: &Settings,
        by_id: bool,
        make: impl Fn(&[u8], &Given<'_>, &str) -> Result<(K, Life), SettingsError>,
    ) -> Result<Ring<K>, SettingsError> {
        refuse(settings, self.other)?;
        let found = self.found(settings)?;
        if found.is_empty() {
            let error = SettingsError::new(self.one, "missing");
            return Err(error.because(self.many.unwrap_or("key")));
        }
        if found.len() > KEYS_MAX {
            let setting = self.many.unwrap_or("key");
            return Err(SettingsError::new(setting, "out_of_range").because(format!("> {KEYS_MAX}")));
        }
        if by_id && found.iter().any(|material| material.id.is_none()) {
            return Err(SettingsError::new("key", "missing").because("id"));
        }
        let key = |(at, material): (usize, Material<'_>)| {
            let label = label(material.id.as_deref().or(material.name.as_deref()), self.word, at);
            let (key, own) = make(material.bytes, &material.given, &label)?;
            let until = match (own.until, material.life.until) {
                (Some(own), Some(configured)) => Some(own.min(configured)),
                (own, configured) => own.or(configured),
            };
            Ok(Key { id: material.id, label, life: Life { from: own.from, until }, key })
        };
        found.into_iter().enumerate().map(key).collect::<Result<_, _>>().map(Ring)
    }

    fn found<'s>(self, settings: &'s Settings) -> Result<Vec<Material<'s>>, SettingsError> {
        let own_id = settings.text("key_id").map(str::to_owned);
        let plain = |bytes, setting| Material {
            id: None,
            name: None,
            life: Life::default(),
            bytes,
            given: Given::Setting(setting),
        };
        let mut found: Vec<Material<'_>> =
            settings.key(self.one).map(|bytes| plain(bytes, self.one)).into_iter().collect();
        if let Some(many) = self.many {
            let files = settings.keys(many).unwrap_or_default();
            if settings.keys(many).is_some_and(<[_]>::is_empty) {
                return Err(SettingsError::new(many, "empty_list"));
            }
            if !files.is_empty() && !found.is_empty() {
                return Err(SettingsError::new(many, "either_or").because(self.one));
            }
            let name = |at| settings.mark(many, at).and_then(|mark| mark.name.as_deref()).map(quote);
            let file = |(at, bytes): (usize, &'s Zeroizing<Vec<u8>>)| Material { name: name(at), ..plain(bytes, many) };
            found.extend(files.iter().enumerate().map(file));
        }
        match found.as_mut_slice() {
            [one] => one.id = own_id,
            _ if own_id.is_some() => return Err(SettingsError::new("key_id", "either_or").because("[[channel.key]]")),
            _ => {}
        }
        let Some(tree) = settings.tree("key") else { return Ok(found) };
        if !found.is_empty() {
            return Err(SettingsError::new("key", "either_or").because(self.one));
        }
        for node in Node::new("key", tree).one_or_many(KEYS_MAX)? {
            let material = self.keyed(&node)?;
            let is_twice = material.id.is_some() && found.iter().any(|other| other.id == material.id);
            if is_twice {
                return Err(node.error("relation").because("id"));
            }
            found.push(material);
        }
        Ok(found)
    }

    /// One `[[channel.key]]`.
    fn keyed<'s>(self, node: &Node<'s>) -> Result<Material<'s>, SettingsError> {
        let keys = node.table(&["id", "secret", "public_key", "until"])?;
        if let Some(other) = self.other.iter().find_map(|other| keys.get(other)) {
            return Err(other.error("relation").because("verify.algorithm"));
        }
        let given = keys.required(self.one)?;
        let Tree::Secret(bytes) = given.tree() else { return Err(given.error("missing")) };
        let id = keys.get("id").map(|id| id.text().map(str::to_owned)).transpose()?;
        let until = keys.get("until").map(until).transpose()?;
        Ok(Material { id, name: None, life: Life { from: None, until }, bytes, given: Given::Node(given.clone()) })
    }
}

/// Key material that the algorithm does not use is a sign that another one was meant.
pub(super) fn refuse(settings: &Settings, names: &[&'static str]) -> Result<(), SettingsError> {
    let is_given = |name: &&&'static str| settings.values().any(|(given, _)| given == **name);
    match names.iter().find(is_given) {
        Some(name) => Err(SettingsError::new(name, "relation").because("verify.algorithm")),
        None => Ok(()),
    }
}

fn until(node: &Node<'_>) -> Result<Timestamp, SettingsError> {
    node.text()?.parse().map_err(|_| node.error("malformed").because("2026-12-31T00:00:00Z"))
}
