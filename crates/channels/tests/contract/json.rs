//! JSON objects, read and written independently of the crate.

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
fn a_text_that_is_no_object_has_no_members() {
    for text in ["", "[]", "{", "{\"a\"", "{\"a\":1", "{\"a\":\"1}", "{a:1}", "null"] {
        assert_eq!(read(text.as_bytes()), None, "{text}");
    }
    assert_eq!(read(b" { } "), Some(Vec::new()));
}
