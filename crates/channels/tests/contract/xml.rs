//! Flat XML, read and written independently of the crate.

use super::pairs::Pair;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How fields are written. All of it is XML 1.0, and says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Every text in CDATA, nothing between fields.
    Cdata,
    /// Texts with the entities that XML itself has; an empty field as one tag.
    Entities,
    /// Every character by its number.
    Numbers,
    /// A text in several pieces of different kinds.
    Pieces,
    /// A declaration, a line for each field, line ends of Windows.
    Lines,
    /// Blanks in the tags, and a byte order mark.
    Blanks,
}

impl Style {
    pub(crate) const ALL: [Self; 6] =
        [Self::Cdata, Self::Entities, Self::Numbers, Self::Pieces, Self::Lines, Self::Blanks];

    fn text(self, value: &[u8]) -> Vec<u8> {
        match (self, std::str::from_utf8(value)) {
            (Self::Entities | Self::Blanks, Ok(text)) => escaped(text).into_bytes(),
            (Self::Numbers, Ok(text)) => {
                text.chars().flat_map(|c| format!("&#x{:X};", u32::from(c)).into_bytes()).collect()
            }
            (Self::Pieces, Ok(text)) => {
                let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
                let (left, right) = text.split_at(middle);
                [cdata(left.as_bytes()), escaped(right).into_bytes(), b"<![CDATA[]]>".to_vec()].concat()
            }
            _ => cdata(value),
        }
    }
}

fn cdata(value: &[u8]) -> Vec<u8> {
    let mut out = b"<![CDATA[".to_vec();
    let mut rest = value;
    while let Some(at) = find(rest, b"]]>") {
        out.extend_from_slice(&rest[..at + 2]);
        out.extend_from_slice(b"]]><![CDATA[");
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"]]>");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // As it stands, a reader may take it for another line end.
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    out
}

/// Writes a document. Values that are raw stand as they are.
pub(crate) fn write(root: &[u8], pairs: &[Pair], style: Style) -> Vec<u8> {
    let (between, in_tag) = match style {
        Style::Lines => (b"\r\n\t".as_slice(), b"".as_slice()),
        Style::Blanks => (b"\n".as_slice(), b" \n".as_slice()),
        _ => (b"".as_slice(), b"".as_slice()),
    };
    let mut out = match style {
        Style::Lines => b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n".to_vec(),
        Style::Blanks => BYTE_ORDER_MARK.to_vec(),
        _ => Vec::new(),
    };
    out.extend([b"<", root, in_tag, b">"].concat());
    for pair in pairs {
        out.extend_from_slice(between);
        if pair.value.is_empty() && style == Style::Entities {
            out.extend([b"<", pair.name.as_slice(), b"/>"].concat());
            continue;
        }
        let text = if pair.is_raw { pair.value.clone() } else { style.text(&pair.value) };
        out.extend([b"<", pair.name.as_slice(), in_tag, b">", &text, b"</", &pair.name, in_tag, b">"].concat());
    }
    out.extend_from_slice(between);
    out.extend([b"</", root, in_tag, b">", between].concat());
    out
}

/// A document as far as a lenient reader sees one.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Vec<u8>,
    pub(crate) pairs: Vec<Pair>,
}

/// Reads the elements under the root. Elements inside an element stay as they are. None where there is no root.
pub(crate) fn read(text: &[u8]) -> Option<Document> {
    let mut rest = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start();
    if rest.starts_with(b"<?") {
        rest = rest[find(rest, b"?>")? + 2..].trim_ascii_start();
    }
    let root = Tag::at(rest)?;
    let mut pairs = Vec::new();
    rest = &rest[root.length..];
    if root.is_whole {
        return Some(Document { root: root.name.to_vec(), pairs });
    }
    loop {
        rest = rest.trim_ascii_start();
        if rest.starts_with(b"</") {
            break;
        }
        let tag = Tag::at(rest)?;
        rest = &rest[tag.length..];
        if tag.is_whole {
            pairs.push(Pair::new(tag.name, ""));
            continue;
        }
        let (content, after, has_elements) = until_end(rest)?;
        pairs.push(if has_elements { Pair::raw(tag.name, content) } else { Pair::new(tag.name, resolved(content)) });
        rest = after;
    }
    Some(Document { root: root.name.to_vec(), pairs })
}

/// A tag at the beginning of a text.
struct Tag<'t> {
    name: &'t [u8],
    length: usize,
    /// `<a/>`
    is_whole: bool,
}

impl<'t> Tag<'t> {
    fn at(text: &'t [u8]) -> Option<Self> {
        let inner = text.strip_prefix(b"<")?;
        let end = inner.iter().position(|&byte| byte == b'>')?;
        let (inner, is_whole) = match inner[..end].strip_suffix(b"/") {
            Some(inner) => (inner, true),
            None => (&inner[..end], false),
        };
        let name = inner.split(u8::is_ascii_whitespace).next().filter(|name| !name.is_empty())?;
        Some(Self { name, length: end + 2, is_whole })
    }
}

/// What stands before the end of the element that was opened, what stands behind it, and whether elements are in it.
fn until_end(text: &[u8]) -> Option<(&[u8], &[u8], bool)> {
    let (mut at, mut depth, mut has_elements) = (0, 0, false);
    loop {
        at += text[at..].iter().position(|&byte| byte == b'<')?;
        if text[at..].starts_with(b"<![CDATA[") {
            at += find(&text[at..], b"]]>")? + 3;
        } else if text[at..].starts_with(b"</") {
            let end = at + text[at..].iter().position(|&byte| byte == b'>')? + 1;
            if depth == 0 {
                return Some((&text[..at], &text[end..], has_elements));
            }
            depth -= 1;
            at = end;
        } else {
            let tag = Tag::at(&text[at..])?;
            has_elements = true;
            depth += usize::from(!tag.is_whole);
            at += tag.length;
        }
    }
}

/// A text with its references resolved and its CDATA opened.
fn resolved(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let rest = &content[at..];
        if let Some(inner) = rest.strip_prefix(b"<![CDATA[")
            && let Some(end) = find(inner, b"]]>")
        {
            out.extend_from_slice(&inner[..end]);
            at += 9 + end + 3;
        } else if let Some((c, length)) = reference(rest) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            at += length;
        } else {
            out.push(rest[0]);
            at += 1;
        }
    }
    out
}

/// A reference at the beginning of a text, and how long it is.
fn reference(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(12).position(|&byte| byte == b';')?;
    let inner = std::str::from_utf8(text[..end].strip_prefix(b"&")?).ok()?;
    let c = match inner {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        other => {
            let number = other.strip_prefix('#')?;
            let number = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    };
    Some((c, end + 1))
}

pub(crate) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[test]
fn every_style_reads_back_to_the_same_pairs() {
    let pairs = [
        Pair::new("a", "x ]]> <b>&amp;</b> é😀\"'\r\n\t "),
        Pair::new("empty", ""),
        Pair::new("b_1", "1"),
        Pair::raw("result", "<code>000000</code><desc><![CDATA[</result>]]></desc>"),
    ];
    for style in Style::ALL {
        let text = write(b"root", &pairs, style);
        let document = read(&text).unwrap_or_else(|| panic!("{style:?}: {}", text.escape_ascii()));
        assert_eq!((document.root.as_slice(), document.pairs.as_slice()), (b"root".as_slice(), pairs.as_slice()));
    }
}

#[test]
fn a_text_without_a_whole_root_has_no_pairs() {
    for text in ["", "x", "<a", "<a><b>1</b", "<a><b>1", "<a><b><c></b>", "<?xml"] {
        assert!(read(text.as_bytes()).is_none(), "{text}");
    }
    assert!(read(b"<a/>").is_some_and(|document| document.pairs.is_empty()));
}
