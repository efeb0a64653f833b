//! JSON as platforms sign it: every value as it is written, so that no float comes near an amount, every
//! object with each name once, and bounds on all of it.
//!
//! A name given twice is refused in the whole text: two readers could see two messages.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting; real messages stay below ten.
pub const DEPTH_MAX: usize = 32;

/// Most values in one text: a batch of 250 events with a hundred values each.
pub const VALUES_MAX: usize = 32_768;

/// Longest path of a value among the flattened ones, in bytes.
pub const PATH_BYTES_MAX: usize = 256;

/// A value, with numbers as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
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

/// Why a text is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No JSON, or beyond a bound.
    #[error("not JSON, or nested deeper or longer than any genuine message")]
    Malformed,
    /// An object has this name twice.
    #[error("`{0}` was given twice")]
    Twice(String),
}

impl Json {
    /// Reads a whole text.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_slice(text).map_err(|_| JsonError::Malformed)?;
        read(raw, 0, &mut VALUES_MAX.clone())
    }

    /// The value at a JSON pointer (RFC 6901); the empty pointer is the whole.
    pub fn at(&self, pointer: &Pointer) -> Option<&Self> {
        pointer.0.iter().try_fold(self, |value, name| match value {
            Self::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, value)| value),
            Self::List(values) => values.get(list_index(name)?),
            _ => None,
        })
    }

    /// The member of an object with this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value as one text: a number as it is written, a flag as its word, null as nothing; none for lists
    /// and objects.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Null => Some(""),
            Self::Flag(flag) => Some(if *flag { "true" } else { "false" }),
            Self::Number(text) | Self::Text(text) => Some(text),
            Self::List(_) | Self::Object(_) => None,
        }
    }

    /// Whether every path, dotted, is short enough to be shown, as [`Json::flatten`] tells.
    pub fn has_short_paths(&self) -> bool {
        self.is_short_under(0)
    }

    fn is_short_under(&self, before: usize) -> bool {
        let length = |name: usize| if before == 0 { name } else { before + 1 + name };
        before <= PATH_BYTES_MAX
            && match self {
                Self::List(values) => values.iter().enumerate().all(|(at, value)| {
                    let digits = at.checked_ilog10().unwrap_or(0) as usize + 1;
                    value.is_short_under(length(digits))
                }),
                Self::Object(members) => members.iter().all(|(name, value)| value.is_short_under(length(name.len()))),
                _ => true,
            }
    }

    /// Every single value under its dotted path. False when a path was too long to be one.
    pub fn flatten(&self, path: &str, fields: &mut Vec<(String, String)>) -> bool {
        if path.len() > PATH_BYTES_MAX {
            return false;
        }
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match self {
            // Each of them, also behind one that is too long.
            Self::List(values) => values
                .iter()
                .enumerate()
                .fold(true, |is_whole, (at, value)| value.flatten(&join(&at.to_string()), fields) && is_whole),
            Self::Object(members) => {
                members.iter().fold(true, |is_whole, (name, value)| value.flatten(&join(name), fields) && is_whole)
            }
            single => {
                fields.push((path.to_owned(), single.text().unwrap_or_default().to_owned()));
                true
            }
        }
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer: empty, or names that each follow a `/`, with `~1` for `/` and `~0` for `~`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let names = text.strip_prefix('/')?.split('/').map(|name| {
            let is_escaped = name.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            is_escaped.then(|| name.replace("~1", "/").replace("~0", "~"))
        });
        names.collect::<Option<Vec<String>>>().filter(|names| names.len() <= DEPTH_MAX).map(Self)
    }

    /// The names on the way.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// An index has digits only, and no leading zero (RFC 6901, section 4).
pub(crate) fn list_index(name: &str) -> Option<usize> {
    let is_plain = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    if is_plain { name.parse().ok() } else { None }
}

fn read(raw: &RawValue, depth: usize, left: &mut usize) -> Result<Json, JsonError> {
    if depth > DEPTH_MAX || *left == 0 {
        return Err(JsonError::Malformed);
    }
    *left -= 1;
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members::<VALUES_MAX>(members) = serde_json::from_str(text).map_err(|_| JsonError::Malformed)?;
            if let Some(name) = duplicate(&members) {
                return Err(JsonError::Twice(name.to_owned()));
            }
            let members = members.into_iter().map(|(name, raw)| Ok((name, read(raw, depth + 1, left)?)));
            Ok(Json::Object(members.collect::<Result<_, _>>()?))
        }
        Some(b'[') => {
            let Items(items) = serde_json::from_str(text).map_err(|_| JsonError::Malformed)?;
            Ok(Json::List(items.into_iter().map(|raw| read(raw, depth + 1, left)).collect::<Result<_, _>>()?))
        }
        Some(b'"') => serde_json::from_str(text).map(Json::Text).map_err(|_| JsonError::Malformed),
        Some(b't') => Ok(Json::Flag(true)),
        Some(b'f') => Ok(Json::Flag(false)),
        Some(b'n') => Ok(Json::Null),
        _ => Ok(Json::Number(text.to_owned())),
    }
}

/// A name that came twice.
pub(crate) fn duplicate<'m>(members: &'m [(String, &RawValue)]) -> Option<&'m str> {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// An object's members as they are written, a name that came twice twice, and at most so many.
pub(crate) struct Members<'a, const MOST: usize>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de, const MOST: usize> Deserialize<'de> for Members<'de, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<const MOST: usize>;
        impl<'de, const MOST: usize> Visitor<'de> for Reader<MOST> {
            type Value = Members<'de, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &RawValue>()? {
                    if members.len() == MOST {
                        return Err(M::Error::invalid_length(members.len() + 1, &self));
                    }
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A list's values as they are written.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<&RawValue>()? {
                    if items.len() == VALUES_MAX {
                        return Err(S::Error::invalid_length(items.len() + 1, &self));
                    }
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, pointer: &str) -> Option<String> {
        let json = Json::parse(text.as_bytes()).unwrap();
        json.at(&Pointer::parse(pointer).unwrap()).and_then(Json::text).map(str::to_owned)
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let text = r#"{"a":10.50,"b":[1e3,-0,{"c/d":true,"e~f":null}],"":"x","n":12345678901234567890}"#;
        for (pointer, expected) in [
            ("/a", "10.50"),
            ("/b/0", "1e3"),
            ("/b/1", "-0"),
            ("/b/2/c~1d", "true"),
            ("/b/2/e~0f", ""),
            ("/", "x"),
            ("/n", "12345678901234567890"),
        ] {
            assert_eq!(at(text, pointer).as_deref(), Some(expected), "{pointer}");
        }
        for pointer in ["", "/b", "/b/2", "/b/3", "/b/00", "/b/-", "/zz", "/a/0"] {
            assert_eq!(at(text, pointer), None, "{pointer}");
        }
        for bad in ["a", "/a~", "/a~2"] {
            assert_eq!(Pointer::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_name_given_twice_is_refused_wherever_it_is() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"b":2,"a":3}]}"#, r#"{"\u0061":1,"a":2}"#] {
            assert_eq!(Json::parse(text.as_bytes()), Err(JsonError::Twice("a".to_owned())), "{text}");
        }
    }

    #[test]
    fn bounds_hold() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        let wide = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(Json::parse(wide(VALUES_MAX - 1).as_bytes()).is_ok());
        for text in [nested(DEPTH_MAX + 1), nested(100_000), wide(VALUES_MAX), wide(VALUES_MAX + 9)] {
            assert_eq!(Json::parse(text.as_bytes()), Err(JsonError::Malformed));
        }
        for text in ["", "{", "{} x", "{'a':1}", "[1,]", "NaN", "01", "\u{feff}{}", "{\"a\":\"\\ud800\"}"] {
            assert_eq!(Json::parse(text.as_bytes()), Err(JsonError::Malformed), "{text}");
        }
    }

    #[test]
    fn every_single_value_has_its_path() {
        let json = Json::parse(br#"{"a":{"b":[1,"x"]},"c":null}"#).unwrap();
        let mut fields = Vec::new();
        assert!(json.flatten("", &mut fields));
        let pair = |(path, text): (&str, &str)| (path.to_owned(), text.to_owned());
        assert_eq!(fields, [("a.b.0", "1"), ("a.b.1", "x"), ("c", "")].map(pair));
    }
}
