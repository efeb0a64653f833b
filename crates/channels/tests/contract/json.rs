//! JSON objects, read and written independently of the crate.

use std::collections::HashMap;

use super::pairs::Pair;

/// How an object is written. All of it is JSON (RFC 8259), and says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// No blanks, and nothing escaped that need not be.
    Compact,
    /// Blanks and line ends wherever they may stand.
    Blanks,
    /// Characters beyond ASCII by their numbers, slashes with a backslash, as PHP writes.
    Ascii,
    /// Every character by its number, names too.
    Numbers,
}

impl Style {
    pub(crate) const ALL: [Self; 4] = [Self::Compact, Self::Blanks, Self::Ascii, Self::Numbers];

    fn quoted(self, text: &[u8]) -> Vec<u8> {
        let mut out = vec![b'"'];
        match std::str::from_utf8(text) {
            Ok(text) => {
                for c in text.chars() {
                    match (self, c) {
                        (Self::Numbers, c) => escape(c, &mut out),
                        (_, '"' | '\\') => out.extend([b'\\', c as u8]),
                        (Self::Ascii, '/') => out.extend_from_slice(b"\\/"),
                        (Self::Ascii, '\n') => out.extend_from_slice(b"\\n"),
                        (_, '\0'..='\x1f') => escape(c, &mut out),
                        (Self::Ascii, c) if !c.is_ascii() => escape(c, &mut out),
                        (_, c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                }
            }
            // No text: as careless writers send it.
            Err(_) => out.extend_from_slice(text),
        }
        out.push(b'"');
        out
    }
}

/// By UTF-16 units, as the standard has it.
fn escape(c: char, out: &mut Vec<u8>) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
    }
}

/// Writes an object. Values that are raw stand as they are.
pub(crate) fn write(pairs: &[Pair], style: Style) -> Vec<u8> {
    let blank: &[u8] = if style == Style::Blanks { b" \r\n\t" } else { b"" };
    let mut out = [blank, b"{"].concat();
    for (index, pair) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let value = if pair.is_raw { pair.value.clone() } else { style.quoted(&pair.value) };
        out.extend([blank, &style.quoted(&pair.name), blank, b":", blank, &value, blank].concat());
    }
    out.extend([b"}", blank].concat());
    out
}

/// Reads an object's own members. What is no text stays as it is written. None where there is no object.
pub(crate) fn read(text: &[u8]) -> Option<Vec<Pair>> {
    let mut reader = Reader { text, at: 0 };
    let mut pairs = Vec::new();
    reader.expect(b'{')?;
    if reader.expect(b'}').is_some() {
        return Some(pairs);
    }
    loop {
        reader.blanks();
        let name = unquoted(reader.quoted()?);
        reader.expect(b':')?;
        reader.blanks();
        pairs.push(if reader.text.get(reader.at) == Some(&b'"') {
            Pair::new(name, unquoted(reader.quoted()?))
        } else {
            Pair::raw(name, reader.other()?)
        });
        if reader.expect(b',').is_none() {
            reader.expect(b'}')?;
            return Some(pairs);
        }
    }
}

/// What stands between the steps to a value inside a document.
const STEP: u8 = b'/';

/// Deepest document that is read as a tree.
const DEPTH_MAX: usize = 64;

/// What is left of a value's way, and the value.
type Twig<'p> = (Vec<&'p [u8]>, &'p Pair);

/// Writes a document of single values that are named by their way there. Steps of digits alone are places in a list.
pub(crate) fn write_tree(pairs: &[Pair], style: Style) -> Vec<u8> {
    let values: Vec<Twig<'_>> =
        pairs.iter().map(|pair| (pair.name.split(|&byte| byte == STEP).collect(), pair)).collect();
    branch(&values, style, true)
}

fn branch(values: &[Twig<'_>], style: Style, is_root: bool) -> Vec<u8> {
    let mut grown: Vec<(&[u8], Vec<Twig<'_>>)> = Vec::new();
    // Branches that can grow: those that do not end in a value.
    let mut open: HashMap<&[u8], usize> = HashMap::new();
    for &(ref way, pair) in values {
        let (&first, rest) = way.split_first().expect("a name");
        let twig: Twig<'_> = (rest.to_vec(), pair);
        if let Some(&at) = open.get(first).filter(|_| !rest.is_empty()) {
            grown[at].1.push(twig);
        } else {
            if !rest.is_empty() {
                open.insert(first, grown.len());
            }
            grown.push((first, vec![twig]));
        }
    }
    let members: Vec<Pair> = grown
        .into_iter()
        .map(|(name, twigs)| match twigs.as_slice() {
            [(rest, pair)] if rest.is_empty() => Pair { name: name.to_vec(), ..(*pair).clone() },
            _ => Pair::raw(name, branch(&twigs, style, false)),
        })
        .collect();
    let is_place = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_digit);
    if is_root || !members.iter().all(|member| is_place(&member.name)) {
        return write(&members, style);
    }
    let written = |member: &Pair| if member.is_raw { member.value.clone() } else { style.quoted(&member.value) };
    let blank: &[u8] = if style == Style::Blanks { b" \n" } else { b"" };
    let values: Vec<Vec<u8>> = members.iter().map(|member| [blank, &written(member), blank].concat()).collect();
    let joined = values.join(&b","[..]);
    [b"[", joined.as_slice(), b"]"].concat()
}

/// Reads the single values of a document, and what has none inside as it is written. None where there is no object.
pub(crate) fn read_tree(text: &[u8]) -> Option<Vec<Pair>> {
    let mut reader = Reader { text, at: 0 };
    let mut pairs = Vec::new();
    reader.blanks();
    if reader.text.get(reader.at) != Some(&b'{') {
        return None;
    }
    reader.tree(b"", 0, &mut pairs)?;
    Some(pairs)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Goes past this byte, and blanks before it.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        let is_there = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there.then_some(())
    }

    /// Between two quotation marks.
    fn quoted(&mut self) -> Option<&'t [u8]> {
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let begin = self.at + 1;
        let mut at = begin;
        loop {
            match self.text.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        self.text.get(begin..at)
    }

    /// All single values from here on, under this way.
    fn tree(&mut self, way: &[u8], depth: usize, pairs: &mut Vec<Pair>) -> Option<()> {
        self.blanks();
        let (end, is_object) = match self.text.get(self.at)? {
            b'{' if depth < DEPTH_MAX => (b'}', true),
            b'[' if depth < DEPTH_MAX => (b']', false),
            b'{' | b'[' => return None,
            b'"' => {
                pairs.push(Pair::new(way, unquoted(self.quoted()?)));
                return Some(());
            }
            _ => {
                pairs.push(Pair::raw(way, self.other()?));
                return Some(());
            }
        };
        let begin = self.at;
        self.at += 1;
        if self.expect(end).is_some() {
            pairs.push(Pair::raw(way, &self.text[begin..self.at]));
            return Some(());
        }
        for place in 0.. {
            self.blanks();
            let name = if is_object { unquoted(self.quoted()?) } else { place.to_string().into_bytes() };
            if is_object {
                self.expect(b':')?;
            }
            let inner = if way.is_empty() { name } else { [way, [STEP].as_slice(), name.as_slice()].concat() };
            self.tree(&inner, depth + 1, pairs)?;
            if self.expect(b',').is_none() {
                break;
            }
        }
        self.expect(end)
    }

    /// A number, a word, a list or an object.
    fn other(&mut self) -> Option<&'t [u8]> {
        let begin = self.at;
        let mut depth = 0_usize;
        loop {
            match self.text.get(self.at)? {
                b'"' => {
                    self.quoted()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(self.text[begin..self.at].trim_ascii_end())
    }
}

/// The text between the quotation marks, with its escapes resolved.
fn unquoted(inner: &[u8]) -> Vec<u8> {
    let unit = |at: usize| -> Option<u16> {
        let digits = std::str::from_utf8(inner.get(at..at + 6)?.strip_prefix(b"\\u")?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'\\' {
            out.push(inner[at]);
            at += 1;
            continue;
        }
        if let Some(first) = unit(at) {
            let units = [first, unit(at + 6).unwrap_or(0)];
            let c = char::decode_utf16(units).next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            at += 6 * c.len_utf16();
            continue;
        }
        out.push(match inner.get(at + 1).copied().unwrap_or(b'\\') {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            other => other,
        });
        at += 2;
    }
    out
}

#[test]
fn every_style_reads_back_to_the_same_pairs() {
    let pairs = [
        Pair::new("a\"b", "\\ / \" \u{8}\u{c}\n\r\t\0 é😀 &amp; %41"),
        Pair::new("empty", ""),
        Pair::raw("number", "12.50"),
        Pair::raw("null", "null"),
        Pair::raw("list", r#"[{"a":"]}"},[]]"#),
    ];
    for style in Style::ALL {
        let text = write(&pairs, style);
        let shown = text.escape_ascii().to_string();
        assert_eq!(read(&text).as_deref(), Some(pairs.as_slice()), "{style:?}: {shown}");
        let known: serde_json::Value = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(known["a\"b"].as_str().map(str::as_bytes), Some(pairs[0].value.as_slice()));
    }
}

#[test]
fn a_tree_reads_back_to_the_same_values_in_every_style() {
    let pairs = [
        Pair::new("live", "true"),
        Pair::new("list/0/item/note", "a/b \" é"),
        Pair::raw("list/0/item/amount/value", "12"),
        Pair::raw("list/1", "null"),
        Pair::new("list/0/item/name", "x"),
        Pair::raw("empty", "{}"),
    ];
    for style in Style::ALL {
        let text = write_tree(&pairs, style);
        let shown = text.escape_ascii().to_string();
        let mut found = read_tree(&text).unwrap_or_else(|| panic!("{shown}"));
        let mut expected = pairs.to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{style:?}: {shown}");
        let known: serde_json::Value = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(known["list"][0]["item"]["amount"]["value"], 12);
        // A value that is named twice is there twice.
        let twice = write_tree(&[pairs.as_slice(), &pairs[1..2]].concat(), style);
        assert_eq!(read_tree(&twice).map(|found| found.len()), Some(pairs.len() + 1), "{style:?}");
    }
    for text in ["", "[]", "{", "{\"a\":[}", "{\"a\":{\"b\":1}", &format!("{}1", "{\"a\":[".repeat(99))] {
        assert_eq!(read_tree(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_text_that_is_no_object_has_no_members() {
    for text in ["", "[]", "{", "{\"a\"", "{\"a\":1", "{\"a\":\"1}", "{a:1}", "null"] {
        assert_eq!(read(text.as_bytes()), None, "{text}");
    }
    assert_eq!(read(b" { } "), Some(Vec::new()));
}
