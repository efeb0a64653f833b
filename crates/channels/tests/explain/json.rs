//! JSON as text: read without losing how anything was written, and printed as careless printers do.

/// A value; scalars and names as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Scalar(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// What puts an object's members in another order.
pub(crate) type Order<'o> = &'o dyn Fn(&mut Vec<(String, Json)>);

impl Json {
    /// Reads a text that is one value; none for anything else.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut rest = text.trim();
        let value = value(&mut rest, 0)?;
        rest.trim().is_empty().then_some(value)
    }

    /// Printed with these between and around.
    pub(crate) fn print(&self, style: &Style) -> String {
        let mut out = String::new();
        self.print_at(style, 0, &mut out);
        out
    }

    fn print_at(&self, style: &Style, depth: usize, out: &mut String) {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = style.indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(indent, depth));
            }
        };
        let between = |out: &mut String, index: usize| {
            if index > 0 {
                out.push_str(if style.indent.is_some() { "," } else { style.comma });
            }
            line(out, depth + 1);
        };
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(items) if items.is_empty() => out.push_str("[]"),
            Self::Object(members) if members.is_empty() => out.push_str("{}"),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    between(out, index);
                    item.print_at(style, depth + 1, out);
                }
                line(out, depth);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    between(out, index);
                    out.push_str(name);
                    out.push_str(style.colon);
                    member.print_at(style, depth + 1, out);
                }
                line(out, depth);
                out.push('}');
            }
        }
    }

    /// Each scalar and name changed.
    #[must_use]
    pub(crate) fn map(&self, change: &dyn Fn(&str) -> String) -> Self {
        match self {
            Self::Scalar(text) => Self::Scalar(change(text)),
            Self::Array(items) => Self::Array(items.iter().map(|item| item.map(change)).collect()),
            Self::Object(members) => {
                Self::Object(members.iter().map(|(name, member)| (change(name), member.map(change))).collect())
            }
        }
    }

    /// Each object's members in another order.
    #[must_use]
    pub(crate) fn reordered(&self, order: Order<'_>) -> Self {
        match self {
            Self::Scalar(_) => self.clone(),
            Self::Array(items) => Self::Array(items.iter().map(|item| item.reordered(order)).collect()),
            Self::Object(members) => {
                let mut members: Vec<_> =
                    members.iter().map(|(name, member)| (name.clone(), member.reordered(order))).collect();
                order(&mut members);
                Self::Object(members)
            }
        }
    }
}

/// How JSON is printed.
pub(crate) struct Style {
    /// What stands before a member on its own line, for each level; none for one line.
    pub(crate) indent: Option<&'static str>,
    /// Between members on one line.
    pub(crate) comma: &'static str,
    /// Between a name and its value.
    pub(crate) colon: &'static str,
}

/// Without any blank.
pub(crate) const COMPACT: Style = Style { indent: None, comma: ",", colon: ":" };

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 64;

fn value(rest: &mut &str, depth: usize) -> Option<Json> {
    if depth > DEPTH_MAX {
        return None;
    }
    *rest = rest.trim_start();
    match rest.chars().next()? {
        '{' => {
            let mut members = Vec::new();
            *rest = rest[1..].trim_start();
            if let Some(behind) = rest.strip_prefix('}') {
                *rest = behind;
                return Some(Json::Object(members));
            }
            loop {
                *rest = rest.trim_start();
                let name = string(rest)?;
                *rest = rest.trim_start().strip_prefix(':')?;
                members.push((name, value(rest, depth + 1)?));
                *rest = rest.trim_start();
                match rest.chars().next()? {
                    ',' => *rest = &rest[1..],
                    '}' => {
                        *rest = &rest[1..];
                        return Some(Json::Object(members));
                    }
                    _ => return None,
                }
            }
        }
        '[' => {
            let mut items = Vec::new();
            *rest = rest[1..].trim_start();
            if let Some(behind) = rest.strip_prefix(']') {
                *rest = behind;
                return Some(Json::Array(items));
            }
            loop {
                items.push(value(rest, depth + 1)?);
                *rest = rest.trim_start();
                match rest.chars().next()? {
                    ',' => *rest = &rest[1..],
                    ']' => {
                        *rest = &rest[1..];
                        return Some(Json::Array(items));
                    }
                    _ => return None,
                }
            }
        }
        '"' => string(rest).map(Json::Scalar),
        _ => {
            let end = rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len());
            let (scalar, behind) = rest.split_at(end);
            *rest = behind;
            (!scalar.is_empty()).then(|| Json::Scalar(scalar.to_owned()))
        }
    }
}

/// A string with its quotes, as it was written.
fn string(rest: &mut &str) -> Option<String> {
    let inner = rest.strip_prefix('"')?;
    let mut is_escaped = false;
    for (at, character) in inner.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => {
                let (string, behind) = rest.split_at(at + 2);
                *rest = behind;
                return Some(string.to_owned());
            }
            _ => {}
        }
    }
    None
}

/// A scalar in plain ASCII: `\u00e9`.
pub(crate) fn in_ascii(scalar: &str) -> String {
    let one = |character: char| {
        if character.is_ascii() {
            return character.to_string();
        }
        let mut units = [0; 2];
        character.encode_utf16(&mut units).iter().fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}"))
    };
    scalar.chars().map(one).collect()
}

/// A scalar with `\/` for `/`.
pub(crate) fn with_slashes(scalar: &str) -> String {
    scalar.replace('/', "\\/")
}

/// A whole number as a decimal one: `1` as `1.0`.
pub(crate) fn with_point(scalar: &str) -> String {
    let is_whole = !scalar.is_empty() && scalar.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole { format!("{scalar}.0") } else { scalar.to_owned() }
}

#[test]
fn what_is_read_is_printed_as_it_was() {
    let text = r#"{"a":[1,2.50,{"b\"":"\u00e9é\/"}],"c":{},"d":[],"e":null}"#;
    let json = Json::read(text.as_bytes()).expect("JSON");
    assert_eq!(json.print(&COMPACT), text);
    let pretty = json.print(&Style { indent: Some("  "), comma: ",", colon: ": " });
    assert!(pretty.starts_with("{\n  \"a\": [\n    1,\n    2.50,"), "{pretty}");
    assert_eq!(Json::read(pretty.as_bytes()), Some(json));
    assert_eq!(in_ascii("é😀"), "\\u00e9\\ud83d\\ude00");
    for broken in ["{", "{\"a\"", "{\"a\":1,}x", "[1,", "", "\"a", "[1] 2"] {
        assert_eq!(Json::read(broken.as_bytes()), None, "{broken}");
    }
}
