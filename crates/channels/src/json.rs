//! JSON as platforms sign it: every value as it is written, so that no float comes near an amount, every
//! object with each name once, and bounds on all of it.
//!
//! A name given twice is refused in the whole text: two readers could see two messages.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::sorted::twice;

/// Deepest nesting; real messages stay below ten.
pub const DEPTH_MAX: usize = 32;

/// Most values in one text: a batch of 250 events with a hundred values each.
pub const VALUES_MAX: usize = 32_768;

/// So many values a text may have however short it is, and one more for each [`VALUE_BYTES`].
pub const VALUES_FREE: usize = 512;

/// Fewest bytes of a value on average, behind the first [`VALUES_FREE`]: with its name and signs, one in a genuine message
/// takes 20 and more. A text of nothing but `1,` would cost far more than its length.
pub const VALUE_BYTES: usize = 16;

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
        let text = std::str::from_utf8(text).map_err(|_| JsonError::Malformed)?;
        let mut parser = Parser { text, at: 0, left: values_max(text.len()), twice: None };
        let value = parser.value(0).ok_or(JsonError::Malformed)?;
        if parser.next_sign().is_some() {
            return Err(JsonError::Malformed);
        }
        match parser.twice {
            Some(name) => Err(JsonError::Twice(name)),
            None => Ok(value),
        }
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

/// Most values in a text of so many bytes.
pub fn values_max(bytes: usize) -> usize {
    VALUES_MAX.min(VALUES_FREE + bytes / VALUE_BYTES)
}

/// A text while it is read, once from its first byte to its last.
struct Parser<'t> {
    text: &'t str,
    /// Where the next byte is.
    at: usize,
    /// How many more values there may be.
    left: usize,
    /// The first name that an object had twice.
    twice: Option<String>,
}

impl<'t> Parser<'t> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no blank.
    fn next_sign(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.next() {
            self.at += 1;
        }
        self.next()
    }

    /// Passes over this byte, if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.next() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        match self.next_sign()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.quoted().map(Json::Text),
            b't' => self.word("true", Json::Flag(true)),
            b'f' => self.word("false", Json::Flag(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number().map(|token| Json::Number(token.to_owned())),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        let is_it = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(value)
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        self.at += 1;
        if self.next_sign()? == b']' {
            self.at += 1;
            return Some(Json::List(Vec::new()));
        }
        // Room for one at first: lists in lists are the cheapest way to make a reader ask for memory.
        let mut values = vec![self.value(depth + 1)?];
        loop {
            let sign = self.next_sign()?;
            self.at += 1;
            match sign {
                b',' => values.push(self.value(depth + 1)?),
                b']' => return Some(Json::List(values)),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.at += 1;
        if self.next_sign()? == b'}' {
            self.at += 1;
            return Some(Json::Object(Vec::new()));
        }
        let mut members = Vec::with_capacity(MEMBERS_EXPECTED);
        loop {
            if self.next_sign()? != b'"' {
                return None;
            }
            let name = self.quoted()?;
            if self.next_sign()? != b':' {
                return None;
            }
            self.at += 1;
            members.push((name, self.value(depth + 1)?));
            match self.next_sign()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        if self.twice.is_none() {
            self.twice = duplicate(&members).map(str::to_owned);
        }
        Some(Json::Object(members))
    }

    /// A number's token (RFC 8259, section 6).
    fn number(&mut self) -> Option<&'t str> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _is_signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(&self.text[start..self.at])
    }

    /// At least one digit.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.next() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// A text in quotation marks, of which the first is the next byte (RFC 8259, section 7).
    fn quoted(&mut self) -> Option<String> {
        self.at += 1;
        let plain = self.plain();
        if self.take(b'"') {
            return Some(plain.to_owned());
        }
        let mut text = plain.to_owned();
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                // A control character must be escaped.
                0..0x20 => return None,
                _ => text.push_str(self.plain()),
            }
        }
        self.at += 1;
        Some(text)
    }

    /// What comes before the next quotation mark, escape or control character.
    fn plain(&mut self) -> &'t str {
        let start = self.at;
        self.at += plain_bytes(&self.text.as_bytes()[start..]);
        &self.text[start..self.at]
    }

    fn escape(&mut self) -> Option<char> {
        let sign = self.next()?;
        self.at += 1;
        Some(match sign {
            b'"' | b'\\' | b'/' => char::from(sign),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                // A character beyond the first 65536 is written as two units, and neither stands alone.
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                let low = if self.take(b'\\') && self.take(b'u') { self.unit()? } else { return None };
                let is_low = (0xdc00..0xe000).contains(&low);
                return is_low.then(|| char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)))?;
            }
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }
}

/// How many bytes come before the first quotation mark, backslash or control character: eight at a time.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The highest bit of each byte that is zero, and perhaps of some behind the first one.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let stops = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\'))) | controls;
        if stops != 0 {
            return 8 * at + stops.trailing_zeros() as usize / 8;
        }
    }
    let is_stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    bytes.len() - rest.len() + rest.iter().position(is_stop).unwrap_or(rest.len())
}

/// Room for an object's members at first.
const MEMBERS_EXPECTED: usize = 8;

/// A name that came twice.
pub(crate) fn duplicate<T>(members: &[(String, T)]) -> Option<&str> {
    twice(members.iter().map(|(name, _)| name.as_str()))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let wide = |count: usize, value: &str| format!("[{}]", vec![value; count].join(","));
        let long = "123456789012345";
        assert!(Json::parse(wide(VALUES_MAX - 1, long).as_bytes()).is_ok());
        assert!(Json::parse(wide(VALUES_FREE - 1, "1").as_bytes()).is_ok());
        assert_eq!((values_max(0), values_max(31), values_max(1 << 20)), (VALUES_FREE, VALUES_FREE + 1, VALUES_MAX));
        let short = wide(VALUES_FREE + VALUES_FREE / 4, "1");
        for text in [nested(DEPTH_MAX + 1), nested(100_000), wide(VALUES_MAX, long), short, wide(VALUES_MAX + 9, "")] {
            assert_eq!(Json::parse(text.as_bytes()), Err(JsonError::Malformed));
        }
        for text in ["", "{", "{} x", "{'a':1}", "[1,]", "NaN", "01", "\u{feff}{}", "{\"a\":\"\\ud800\"}"] {
            assert_eq!(Json::parse(text.as_bytes()), Err(JsonError::Malformed), "{text}");
        }
    }

    /// What another reader takes and gives: numbers apart, which it would have to be told to keep.
    fn known(value: &serde_json::Value) -> Json {
        use serde_json::Value;
        match value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Flag(*flag),
            Value::Number(_) => Json::Number(String::new()),
            Value::String(text) => Json::Text(text.clone()),
            Value::Array(values) => Json::List(values.iter().map(known).collect()),
            Value::Object(members) => {
                Json::Object(members.iter().map(|(name, value)| (name.clone(), known(value))).collect())
            }
        }
    }

    /// In the other reader's order, without numbers.
    fn comparable(json: Json) -> Json {
        match json {
            Json::Number(_) => Json::Number(String::new()),
            Json::List(values) => Json::List(values.into_iter().map(comparable).collect()),
            Json::Object(members) => {
                let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, comparable(value))).collect();
                members.sort_by(|one, other| one.0.cmp(&other.0));
                Json::Object(members)
            }
            other => other,
        }
    }

    fn reads_as_another_reader(text: &[u8]) {
        let known = serde_json::from_slice::<serde_json::Value>(text).map(|value| known(&value));
        match (Json::parse(text), known) {
            (Ok(json), Ok(known)) => assert_eq!(comparable(json), known),
            (Err(JsonError::Malformed), Err(_)) | (Err(JsonError::Twice(_)), Ok(_)) => {}
            (found, known) => panic!("{}: {found:?}, {known:?}", String::from_utf8_lossy(text)),
        }
    }

    #[test]
    fn texts_are_read_as_another_reader_reads_them() {
        for text in [
            r#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00 \u0000""#,
            r#""\ud83d""#,
            r#""\ud83d\ud83d""#,
            r#""\ude00""#,
            r#""\ud83dx\ude00""#,
            r#""\ud83d\n""#,
            r#""\u12""#,
            r#""\u+123""#,
            r#""\x""#,
            r#""\"#,
            "\"a\u{1f}\"",
            "\"a\u{7f}\u{80}\"",
            "\"12345678\n\"",
            "\"1234567\t\"",
            "\"12345678901234567890",
            "-",
            "-0.0e-0",
            "1.",
            ".1",
            "1e",
            "1e+",
            "+1",
            "--1",
            "00",
            "0x1",
            "1 1",
            "[1 1]",
            "[,1]",
            "[1,,1]",
            "[",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:1}",
            "{,}",
            "{\"a\" : 1 \n,\t\"b\"\r:[ ] }  ",
            "[{},[],\"\"]",
            "tru",
            "truee",
            "nul",
            "\u{a0}1",
            "\u{c}1",
            "1\0",
        ] {
            reads_as_another_reader(text.as_bytes());
        }
        reads_as_another_reader(b"\"\xff\"");
        reads_as_another_reader(b"\xef\xbb\xbf1");
    }

    proptest! {
        #[test]
        fn what_looks_like_json_is_read_alike(
            text in "([\\[\\]{},:]|[ \\n]|\"[ab\u{e9}]{0,12}\"|\"(\\\\[nu\"\\\\]|[0d89ac]{4}|\\x01){0,3}\"|-?[0-9.eE+]{1,4}|true|null){0,14}"
        ) {
            reads_as_another_reader(text.as_bytes());
        }

        #[test]
        fn one_changed_byte_is_read_alike(at in 0_usize..150, byte in any::<u8>()) {
            let mut text = br#"{"a": [1, -2.5e+3, {"b\n\u00e9\ud83d\ude00": "a text of more than eight bytes"}], "c": [true, false, null, [], {}, ""]}"#.to_vec();
            let end = text.len();
            text[at % end] = byte;
            reads_as_another_reader(&text);
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
