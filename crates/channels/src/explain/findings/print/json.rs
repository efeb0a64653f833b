//! JSON as the usual printers write it.
//!
//! Who reads a JSON text and prints it again keeps what it says and loses how it was written: blanks, escapes, the form
//! of numbers. What the platform wrote is found by printing the same values as platforms' own printers do.

use crate::json::Json;

/// How a printer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hand {
    /// Where blanks and line ends stand.
    pub spacing: Spacing,
    /// Whether a slash has a backslash before it, as PHP writes.
    pub slashes: bool,
    /// Characters beyond ASCII.
    pub beyond: Beyond,
    /// Characters of HTML.
    pub html: Html,
    /// Numbers.
    pub numbers: Numbers,
    /// Whether an empty list stands for an empty object, as PHP writes it after reading.
    pub empty_objects: bool,
}

/// Where blanks and line ends stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// Nowhere.
    None,
    /// Behind commas and colons: Python.
    Blanks,
    /// A line for each value, indented by so many of this.
    Lines(&'static str),
}

/// How characters beyond ASCII are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// As they are.
    Plain,
    /// By their numbers, in small digits.
    Small,
    /// By their numbers, in capital digits.
    Capital,
}

/// How characters are written that mean something in HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Html {
    /// As they are.
    Plain,
    /// `<`, `>` and `&` by their numbers: Go.
    Tags,
    /// Also `=` and apostrophes: Gson.
    Signs,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// As they came.
    Came,
    /// Fractions with two digits: `10.5` was `10.50`.
    Hundredths,
    /// Every number with two digits behind the point: `10` was `10.00`.
    AllHundredths,
    /// Every whole number with one zero behind the point: `10` was `10.0`.
    Tenths,
    /// No zero behind the point: `10.0` was `10`.
    Whole,
    /// As texts: `10` was `"10"`.
    Texts,
}

impl Hand {
    /// Nothing but what must be written.
    pub(super) const COMPACT: Self = Self {
        spacing: Spacing::None,
        slashes: false,
        beyond: Beyond::Plain,
        html: Html::Plain,
        numbers: Numbers::Came,
        empty_objects: false,
    };

    /// Prints a text.
    pub(super) fn print(self, json: &Json) -> Vec<u8> {
        let mut out = Vec::new();
        self.value(&mut out, json, 0);
        out
    }

    fn value(self, out: &mut Vec<u8>, json: &Json, depth: usize) {
        match json {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
            Json::Number(token) => self.number(out, token),
            Json::Text(text) => self.quote(out, text),
            Json::List(values) if values.is_empty() => {
                out.extend_from_slice(if self.empty_objects { b"{}" } else { b"[]" });
            }
            Json::Object(members) if members.is_empty() => out.extend_from_slice(b"{}"),
            Json::List(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    self.before(out, at, depth + 1);
                    self.value(out, value, depth + 1);
                }
                self.line(out, depth);
                out.push(b']');
            }
            Json::Object(members) => {
                out.push(b'{');
                for (at, (name, value)) in members.iter().enumerate() {
                    self.before(out, at, depth + 1);
                    self.quote(out, name);
                    out.extend_from_slice(if self.spacing == Spacing::None { b":" } else { b": " });
                    self.value(out, value, depth + 1);
                }
                self.line(out, depth);
                out.push(b'}');
            }
        }
    }

    /// What stands before a value of a list or an object.
    fn before(self, out: &mut Vec<u8>, at: usize, depth: usize) {
        if at > 0 {
            out.extend_from_slice(if self.spacing == Spacing::Blanks { b", " } else { b"," });
        }
        self.line(out, depth);
    }

    fn line(self, out: &mut Vec<u8>, depth: usize) {
        if let Spacing::Lines(indent) = self.spacing {
            out.push(b'\n');
            out.extend_from_slice(indent.repeat(depth).as_bytes());
        }
    }

    fn number(self, out: &mut Vec<u8>, token: &str) {
        let is_plain = !token.contains(['e', 'E']);
        let fraction = token.split_once('.').map(|(_, fraction)| fraction);
        let written = match (self.numbers, fraction) {
            (Numbers::Hundredths | Numbers::AllHundredths, Some(fraction)) if is_plain && fraction.len() == 1 => {
                format!("{token}0")
            }
            (Numbers::AllHundredths, None) if is_plain => format!("{token}.00"),
            (Numbers::Tenths, None) if is_plain => format!("{token}.0"),
            (Numbers::Whole, Some(fraction)) if is_plain && fraction.bytes().all(|digit| digit == b'0') => {
                token[..token.len() - fraction.len() - 1].to_owned()
            }
            (Numbers::Texts, _) => format!("\"{token}\""),
            _ => token.to_owned(),
        };
        out.extend_from_slice(written.as_bytes());
    }

    fn quote(self, out: &mut Vec<u8>, text: &str) {
        out.push(b'"');
        for c in text.chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\u{8}' => out.extend_from_slice(b"\\b"),
                '\u{c}' => out.extend_from_slice(b"\\f"),
                '/' if self.slashes => out.extend_from_slice(b"\\/"),
                c if c < ' ' || self.is_numbered(c) => self.by_number(out, c),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out.push(b'"');
    }

    fn is_numbered(self, c: char) -> bool {
        match c {
            '<' | '>' | '&' => self.html != Html::Plain,
            '=' | '\'' => self.html == Html::Signs,
            '\u{2028}' | '\u{2029}' => self.html != Html::Plain || self.beyond != Beyond::Plain,
            c => !c.is_ascii() && self.beyond != Beyond::Plain,
        }
    }

    fn by_number(self, out: &mut Vec<u8>, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let digits = if self.beyond == Beyond::Capital { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
            out.extend_from_slice(b"\\u");
            out.extend([12, 8, 4, 0].map(|shift| digits[usize::from(*unit >> shift & 0xf)]));
        }
    }
}

/// An order of the members of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As the platform's documents show it; what they do not name stays behind, as it came.
    Written(&'static [&'static str]),
    /// By name, as many maps keep them.
    Names,
    /// `id`, `object`, then by name: how platforms of the REST kind write what they keep sorted.
    IdFirst,
}

impl Order {
    /// The same values in this order.
    pub(super) fn of(self, json: &Json) -> Json {
        match json {
            Json::List(values) => Json::List(values.iter().map(|value| self.of(value)).collect()),
            Json::Object(members) => {
                let mut members: Vec<(String, Json)> =
                    members.iter().map(|(name, value)| (name.clone(), self.of(value))).collect();
                match self {
                    Self::Written(_) => members.sort_by_key(|(name, _)| self.rank(name)),
                    _ => members.sort_by(|(one, _), (other, _)| (self.rank(one), one).cmp(&(self.rank(other), other))),
                }
                Json::Object(members)
            }
            single => single.clone(),
        }
    }

    fn rank(self, name: &str) -> usize {
        match (self, name) {
            (Self::Written(names), name) => names.iter().position(|known| *known == name).unwrap_or(names.len()),
            (Self::IdFirst, "id") => 0,
            (Self::IdFirst, "object") => 1,
            _ => 2,
        }
    }
}

/// What can be seen of two writings of the same values, in words that stay the same in every language.
pub(super) fn differences(came: &[u8], sent: &[u8]) -> String {
    let (came, sent) = (Writing::of(came), Writing::of(sent));
    let told = [
        ("key_order", came.names != sent.names),
        ("white_space", came.frame != sent.frame),
        ("slashes", came.slashes != sent.slashes),
        ("unicode_escapes", sorted(&came.beyond) != sorted(&sent.beyond)),
        ("html_escapes", came.html != sent.html),
        ("numbers", sorted(&came.others) != sorted(&sent.others)),
        ("empty_objects", came.empty_lists != sent.empty_lists),
    ];
    let told: Vec<&str> = told.into_iter().filter(|(_, differs)| *differs).map(|(word, _)| word).collect();
    if told.is_empty() { "escapes".to_owned() } else { told.join(", ") }
}

/// Without regard to the order of members.
fn sorted<T: Ord + Clone>(values: &[T]) -> Vec<T> {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted
}

/// How a text is written.
#[derive(Default)]
struct Writing {
    /// The white space before each sign outside of texts.
    frame: Vec<Vec<u8>>,
    slashes: usize,
    beyond: Vec<Vec<u8>>,
    html: usize,
    /// The members' names, as they are written inside their quotation marks.
    names: Vec<String>,
    /// Numbers and words, byte by byte.
    others: Vec<u8>,
    empty_lists: usize,
}

impl Writing {
    fn of(text: &[u8]) -> Self {
        let mut writing = Self { empty_lists: memchr::memmem::find_iter(text, b"[]").count(), ..Self::default() };
        let mut blanks = Vec::new();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    let start = at - 1;
                    at = writing.string(text, at);
                    if text[at..].trim_ascii_start().starts_with(b":")
                        && let Ok(name) = serde_json::from_slice(&text[start..at])
                    {
                        writing.names.push(name);
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {
                    blanks.push(byte);
                    continue;
                }
                b'{' | b'}' | b'[' | b']' | b',' | b':' => {}
                other => {
                    writing.others.push(other);
                    continue;
                }
            }
            writing.frame.push(std::mem::take(&mut blanks));
        }
        writing.frame.push(blanks);
        writing
    }

    /// Reads a text that begins at `at`; gives where it ends.
    fn string(&mut self, text: &[u8], mut at: usize) -> usize {
        while let Some(&byte) = text.get(at) {
            at += 1;
            match (byte, text.get(at)) {
                (b'"', _) => break,
                (b'\\', Some(b'u')) => {
                    let digits = text.get(at + 1..at + 5).unwrap_or_default();
                    let is_ascii = matches!(digits, [b'0', b'0', b'0'..=b'7', _]);
                    if is_ascii {
                        self.html += 1;
                    } else {
                        self.beyond.push(digits.to_vec());
                    }
                    at += 1;
                }
                (b'\\', Some(next)) => {
                    self.slashes += usize::from(*next == b'/');
                    at += 1;
                }
                _ => {}
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PHP, Python, JavaScript and Go print `{"a":["中/é",{"b":"<&'=>"},10.5,10,1.0,[],{}]}`: made by these programs.
    #[test]
    fn printers_are_met() {
        let json = Json::parse(r#"{"a":["中/é",{"b":"<&'=>"},10.5,10,1.0,[],{}]}"#.as_bytes()).unwrap();
        let check = |hand: Hand, expected: &str| assert_eq!(String::from_utf8(hand.print(&json)).unwrap(), expected);
        let compact = Hand::COMPACT;
        check(compact, r#"{"a":["中/é",{"b":"<&'=>"},10.5,10,1.0,[],{}]}"#);
        let php = Hand { slashes: true, beyond: Beyond::Small, ..compact };
        check(php, r#"{"a":["\u4e2d\/\u00e9",{"b":"<&'=>"},10.5,10,1.0,[],{}]}"#);
        let python = Hand { spacing: Spacing::Blanks, beyond: Beyond::Small, ..compact };
        check(python, r#"{"a": ["\u4e2d/\u00e9", {"b": "<&'=>"}, 10.5, 10, 1.0, [], {}]}"#);
        let go = Hand { html: Html::Tags, ..compact };
        check(go, r#"{"a":["中/é",{"b":"\u003c\u0026'=\u003e"},10.5,10,1.0,[],{}]}"#);
        let gson = Hand { html: Html::Signs, ..compact };
        check(gson, r#"{"a":["中/é",{"b":"\u003c\u0026\u0027\u003d\u003e"},10.5,10,1.0,[],{}]}"#);
        let lines = Hand { spacing: Spacing::Lines("  "), beyond: Beyond::Capital, ..compact };
        check(
            lines,
            "{\n  \"a\": [\n    \"\\u4E2D/\\u00E9\",\n    {\n      \"b\": \"<&'=>\"\n    },\n    10.5,\n    10,\n    1.0,\n    [],\n    {}\n  ]\n}",
        );
    }

    #[test]
    fn members_are_put_in_order() {
        let json = Json::parse(br#"{"c":1,"object":{"b":2,"a":3},"id":4,"a":[{"y":5,"id":6}]}"#).unwrap();
        let check = |order: Order, expected: &str| {
            assert_eq!(String::from_utf8(Hand::COMPACT.print(&order.of(&json))).unwrap(), expected);
        };
        check(Order::Names, r#"{"a":[{"id":6,"y":5}],"c":1,"id":4,"object":{"a":3,"b":2}}"#);
        check(Order::Written(&["id", "a"]), r#"{"id":4,"a":[{"id":6,"y":5}],"c":1,"object":{"a":3,"b":2}}"#);
        check(Order::IdFirst, r#"{"id":4,"object":{"a":3,"b":2},"a":[{"id":6,"y":5}],"c":1}"#);
    }

    #[test]
    fn numbers_are_written_back() {
        let json = Json::parse(b"[10.5,10,1.0,1e5]").unwrap();
        let check = |numbers: Numbers, expected: &str| {
            let printed = Hand { numbers, ..Hand::COMPACT }.print(&json);
            assert_eq!(String::from_utf8(printed).unwrap(), expected, "{numbers:?}");
        };
        check(Numbers::Came, "[10.5,10,1.0,1e5]");
        check(Numbers::Hundredths, "[10.50,10,1.00,1e5]");
        check(Numbers::AllHundredths, "[10.50,10.00,1.00,1e5]");
        check(Numbers::Tenths, "[10.5,10.0,1.0,1e5]");
        check(Numbers::Whole, "[10.5,10,1,1e5]");
        check(Numbers::Texts, r#"["10.5","10","1.0","1e5"]"#);
    }

    #[test]
    fn differences_are_named() {
        let check = |came: &str, sent: &str, expected: &str| {
            assert_eq!(differences(came.as_bytes(), sent.as_bytes()), expected, "{came} {sent}");
        };
        check(r#"{"a": 1}"#, r#"{"a":1}"#, "white_space");
        check(r#"{"a":"\/"}"#, r#"{"a":"/"}"#, "slashes");
        check(r#"{"a":"\u4e2d"}"#, r#"{"a":"中"}"#, "unicode_escapes");
        check(r#"{"a":"<"}"#, r#"{"a":"\u003c"}"#, "html_escapes");
        check(r#"{"a": 1.0}"#, r#"{"a":1}"#, "white_space, numbers");
        check(r#"{"a":1,"b":"\u4e2d"}"#, r#"{"b":"\u4e2d","a":1}"#, "key_order");
    }
}
