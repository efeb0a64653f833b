//! The JSON around a notification, and the box in it: AES-256-GCM under the API v3 key (WeChat Pay, "callback
//! notifications"). Values are kept as they are written, so that no float comes near an amount.

use serde_json::value::RawValue;

use crate::channel::{Rejection, quote};
use crate::cipher::gcm::Gcm;
use crate::json;
use crate::model::Concern;
use crate::platforms::signed_body::malformed;
use crate::platforms::signed_body::sealed::{Member, Sealed};

/// Most members of one object.
pub(super) const MEMBERS_MAX: usize = 1024;

/// Most values in one message.
pub(super) const VALUES_MAX: usize = 8192;

/// Deepest nesting; real messages have four levels.
pub(super) const DEPTH_MAX: usize = 16;

/// Longest path of a value, in bytes.
pub(super) const PATH_BYTES_MAX: usize = 256;

/// The only algorithm of the box that is accepted.
pub(super) const ALGORITHM: &str = "AEAD_AES_256_GCM";

/// The only kind of resource that is documented.
const RESOURCE_TYPE: &str = "encrypt-resource";

/// The message around the box.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Every member but the box's content, as text, in the order of arrival.
    pub(super) fields: Vec<(String, String)>,
    /// What the platform calls this kind of message; empty when it does not say.
    pub(super) event_type: String,
    /// What of it a person must look at.
    pub(super) concerns: Vec<Concern>,
    sealed: Sealed,
}

impl Envelope {
    /// Reads the envelope of a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Rejection> {
        let outer = Members::parse("", body)?;
        let resource = outer.get("resource").filter(|raw| raw.get() != "null").ok_or_else(|| missing("resource"))?;
        let resource = Members::parse("resource.", resource.get().as_bytes())?;
        let mut concerns = Vec::new();
        let event_type = outer.text("event_type").needed("event_type", &mut concerns).unwrap_or_default();
        let kind = outer.get("resource_type").filter(|raw| raw.get() != "null").map(shown);
        if let Some(kind) = kind.filter(|kind| kind != RESOURCE_TYPE) {
            concerns.push(Concern::UnknownValue { field: "resource_type".into(), value: quote(&kind) });
        }
        let sealed = Sealed::read(ALGORITHM, |name| resource.text(name), &mut concerns);
        let mut fields = Vec::new();
        for (name, raw) in outer.0.iter().filter(|(name, _)| name != "resource") {
            fields.push((name.clone(), shown(raw)));
        }
        for (name, raw) in resource.0.iter().filter(|(name, _)| name != "ciphertext") {
            fields.push((format!("resource.{name}"), shown(raw)));
        }
        Ok(Self { fields, event_type, concerns, sealed })
    }

    /// A member as text; none when absent or blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.trim().is_empty())
    }

    /// What the box holds; nothing where there is none that a key could open, which is among the concerns.
    pub(super) fn decrypt(&self, cipher: &Gcm) -> Result<Vec<u8>, Rejection> {
        self.sealed.open(cipher)
    }
}

/// How many digits a number has.
fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| 1 + log as usize)
}

fn missing(field: &str) -> Rejection {
    Rejection::Missing { field: field.into() }
}

/// A member as text: a text's own, anything else as it is written. Not taken apart, since this is read before
/// the signature is checked, and paths of a hostile message could grow beyond its size.
fn shown(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
}

/// The members of one object, each once.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object. `prefix` goes before names in a refusal.
    fn parse(prefix: &'static str, text: &'a [u8]) -> Result<Self, Rejection> {
        let whole = if prefix.is_empty() { "body" } else { prefix.trim_end_matches('.') };
        let json::Members::<MEMBERS_MAX>(members) = serde_json::from_slice(text).map_err(|_| malformed(whole))?;
        match json::duplicate(&members) {
            Some(name) => Err(Rejection::Duplicate { field: quote(&format!("{prefix}{name}")) }),
            None => Ok(Self(members)),
        }
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, raw)| *raw)
    }

    fn text(&self, name: &str) -> Member {
        self.get(name).map_or(Member::Absent, |raw| match serde_json::from_str::<Option<String>>(raw.get()) {
            Ok(text) => text.map_or(Member::Absent, Member::Text),
            Err(_) => Member::Odd,
        })
    }
}

/// A value of JSON, with numbers as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number's own token.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object, in the order of arrival.
    Object(Vec<(String, Self)>),
}

/// A value, and what was wrong on the way.
#[derive(Debug)]
pub(super) struct Tree {
    /// The value, as far as it could be read.
    pub(super) value: Value,
    /// A member that was given twice; the first one is read.
    pub(super) twice: Option<String>,
    /// Whether something could not be read or was beyond the limits.
    pub(super) is_broken: bool,
}

impl Value {
    /// Reads a value that is JSON already.
    pub(super) fn read(raw: &RawValue) -> Tree {
        let mut tree = Tree { value: Self::Null, twice: None, is_broken: false };
        let mut left = VALUES_MAX;
        tree.value = read(raw, 0, &mut left, &mut tree);
        tree
    }

    /// Reads a text; a broken null when it is not JSON.
    pub(super) fn parse(text: &[u8]) -> Tree {
        serde_json::from_slice::<&RawValue>(text)
            .map_or_else(|_| Tree { value: Self::Null, twice: None, is_broken: true }, Self::read)
    }

    /// The member of an object at a path of names, or of a list at its place.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, name| match value {
            Self::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, value)| value),
            Self::List(values) => values.get(name.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The value as one text; none for lists and objects.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Null => Some(""),
            Self::Flag(flag) => Some(if *flag { "true" } else { "false" }),
            Self::Number(text) | Self::Text(text) => Some(text),
            Self::List(_) | Self::Object(_) => None,
        }
    }

    /// Every single value under its path, but for those whose path is too long to be one.
    pub(super) fn flatten(&self, path: String, fields: &mut Vec<(String, String)>) {
        if path.len() > PATH_BYTES_MAX {
            return;
        }
        match self {
            Self::List(values) => {
                for (at, value) in values.iter().enumerate() {
                    value.flatten(format!("{path}.{at}"), fields);
                }
            }
            Self::Object(members) => {
                for (name, value) in members {
                    value.flatten(format!("{path}.{name}"), fields);
                }
            }
            single => fields.push((path, single.text().unwrap_or_default().to_owned())),
        }
    }

    /// Whether [`Value::flatten`] leaves nothing out, below a path of so many bytes.
    pub(super) fn has_short_paths(&self, bytes: usize) -> bool {
        bytes <= PATH_BYTES_MAX
            && match self {
                Self::List(values) => {
                    values.iter().enumerate().all(|(at, value)| value.has_short_paths(bytes + 1 + digits(at)))
                }
                Self::Object(members) => {
                    members.iter().all(|(name, value)| value.has_short_paths(bytes + 1 + name.len()))
                }
                _ => true,
            }
    }
}

fn read(raw: &RawValue, depth: usize, left: &mut usize, tree: &mut Tree) -> Value {
    if depth > DEPTH_MAX || *left == 0 {
        tree.is_broken = true;
        return Value::Null;
    }
    *left -= 1;
    let text = raw.get();
    let found = match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str(text).ok().map(|json::Members::<MEMBERS_MAX>(members)| {
            if let Some(name) = json::duplicate(&members) {
                tree.twice = Some(name.to_owned());
            }
            let members = members.into_iter().map(|(name, raw)| (name, read(raw, depth + 1, left, tree)));
            Value::Object(members.collect())
        }),
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(text)
            .ok()
            .map(|values| Value::List(values.into_iter().map(|raw| read(raw, depth + 1, left, tree)).collect())),
        Some(b'"') => serde_json::from_str(text).ok().map(Value::Text),
        Some(b't') => Some(Value::Flag(true)),
        Some(b'f') => Some(Value::Flag(false)),
        Some(b'n') => Some(Value::Null),
        _ => Some(Value::Number(text.to_owned())),
    };
    found.unwrap_or_else(|| {
        tree.is_broken = true;
        Value::Null
    })
}
