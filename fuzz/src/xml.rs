//! Flat XML: a second reader, written from the grammar alone, takes exactly the same documents and sees the
//! same texts in them; and a general reader of XML takes each of those, too, with the same texts.

use roxmltree::{Document, Error, Node};
use tollbell_channels::xml::{Flat, Limits, NAME_BYTES_MAX, XmlError, encode};

const WIDE: Limits = Limits { bytes_max: 1 << 20, fields_max: 1 << 20 };

type Fields = Vec<(String, String)>;

pub(crate) fn check(data: &[u8]) {
    crate::xml_tree::check(data);
    let expected = std::str::from_utf8(data).ok().and_then(read);
    let found = Flat::parse(data, WIDE);
    match (&found, &expected) {
        (Ok(flat), Some((root, fields))) => {
            assert_eq!((flat.root(), flat.fields()), (root.as_str(), fields.as_slice()));
            comes_back(flat);
            limits_hold(data, flat);
            general_reader_agrees(data, flat);
        }
        (Err(_), None) => {}
        _ => panic!("the XML reader says {found:?}, the second reading {expected:?}"),
    }
}

/// Written in CDATA and read again, the fields are the same.
fn comes_back(flat: &Flat) {
    let pairs = flat.fields().iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let again = Flat::parse(encode(flat.root(), pairs).as_bytes(), WIDE);
    assert_eq!(again.as_ref(), Ok(flat));
    for (name, text) in flat.fields() {
        assert_eq!(flat.field(name), Some(text.as_str()));
    }
    assert!(flat.sorted().is_sorted_by(|a, b| a.0 < b.0), "each name once");
}

/// What is taken is XML, and no other reader sees another message in it. Line ends are left out: a general reader makes
/// them one sign (XML 1.0, section 2.11), and a signature is made over what was sent. So are names in namespaces.
fn general_reader_agrees(document: &[u8], flat: &Flat) {
    let text = std::str::from_utf8(document).expect("it was read");
    let general = match Document::parse(text) {
        Err(Error::UnknownNamespace(..)) => return,
        _ if text.contains('\r') => return,
        general => general.unwrap_or_else(|error| panic!("a general reader refuses {text:?}: {error}")),
    };
    let root = general.root_element();
    let fields = root.children().filter(Node::is_element).map(|field| {
        let texts = field.children().map(|piece| piece.text().unwrap_or_default());
        (field.tag_name().name().to_owned(), texts.collect::<String>())
    });
    assert_eq!((root.tag_name().name(), fields.collect::<Fields>()), (flat.root(), flat.fields().to_vec()), "{text:?}");
}

/// A limit is the last number that passes.
fn limits_hold(document: &[u8], flat: &Flat) {
    let count = flat.fields().len();
    assert!(Flat::parse(document, Limits { bytes_max: document.len(), fields_max: count }).is_ok());
    let bytes_max = document.len() - 1;
    assert_eq!(Flat::parse(document, Limits { bytes_max, ..WIDE }), Err(XmlError::TooLarge { limit: bytes_max }));
    if let Some(fields_max) = count.checked_sub(1) {
        let found = Flat::parse(document, Limits { fields_max, ..WIDE });
        assert_eq!(found, Err(XmlError::TooManyFields { limit: fields_max }));
    }
}

/// A word of the declaration that has no value.
struct Broken;

/// The second reader: what is left of the document.
struct Rest<'d>(&'d str);

fn read(document: &str) -> Option<(String, Fields)> {
    let mut rest = Rest(document.strip_prefix('\u{feff}').unwrap_or(document));
    if rest.0.starts_with("<?xml") {
        rest.declaration()?;
    }
    rest.blanks();
    let (root, is_empty) = rest.start()?;
    let mut fields = Fields::new();
    if !is_empty {
        loop {
            rest.blanks();
            if rest.0.starts_with("</") {
                rest.end(&root)?;
                break;
            }
            let (name, is_empty) = rest.start()?;
            let text = if is_empty { String::new() } else { rest.text(&name)? };
            if fields.iter().any(|(known, _)| *known == name) {
                return None;
            }
            fields.push((name, text));
        }
    }
    rest.blanks();
    rest.0.is_empty().then_some((root, fields))
}

impl Rest<'_> {
    fn eat(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    fn blanks(&mut self) -> usize {
        let before = self.0.len();
        self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
        before - self.0.len()
    }

    fn declaration(&mut self) -> Option<()> {
        self.eat("<?xml")?;
        let version = self.said("version").ok()??;
        let encoding = self.said("encoding").ok()?;
        let standalone = self.said("standalone").ok()?;
        self.blanks();
        self.eat("?>")?;
        let is_taken = version == "1.0"
            && encoding.is_none_or(|word| word.to_lowercase() == "utf-8")
            && standalone.is_none_or(|word| word == "yes" || word == "no");
        is_taken.then_some(())
    }

    /// A word of the declaration, where it is there.
    fn said(&mut self, name: &str) -> Result<Option<String>, Broken> {
        let start = self.0;
        let is_apart = self.blanks() > 0;
        if !is_apart || self.eat(name).is_none() {
            self.0 = start;
            return Ok(None);
        }
        self.quoted().map(Some).ok_or(Broken)
    }

    fn quoted(&mut self) -> Option<String> {
        self.eat("=")?;
        let quote = self.0.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (inner, after) = self.0[1..].split_once(quote)?;
        let inner = inner.to_owned();
        self.0 = after;
        Some(inner)
    }

    fn name(&mut self) -> Option<String> {
        let end = self.0.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c)).unwrap_or(self.0.len());
        let (name, after) = self.0.split_at(end);
        let first = name.chars().next()?;
        let is_name = (first.is_ascii_alphabetic() || first == '_') && name.len() <= NAME_BYTES_MAX;
        let name = is_name.then(|| name.to_owned());
        self.0 = after;
        name
    }

    /// A start tag's name, and whether it also is the end.
    fn start(&mut self) -> Option<(String, bool)> {
        self.eat("<")?;
        let name = self.name()?;
        self.blanks();
        let is_empty = self.eat("/").is_some();
        self.eat(">")?;
        Some((name, is_empty))
    }

    fn end(&mut self, name: &str) -> Option<()> {
        self.eat("</")?;
        (self.name()? == name).then_some(())?;
        self.blanks();
        self.eat(">")
    }

    /// A field's text with its end tag.
    fn text(&mut self, name: &str) -> Option<String> {
        let mut text = String::new();
        loop {
            if self.0.starts_with("</") {
                self.end(name)?;
                return Some(text);
            }
            if self.eat("<![CDATA[").is_some() {
                let (inner, after) = self.0.split_once("]]>")?;
                inner.chars().all(may_stand).then_some(())?;
                text.push_str(inner);
                self.0 = after;
                continue;
            }
            if self.eat("&").is_some() {
                let (inner, after) = self.0.split_once(';')?;
                text.push(referred(inner).filter(|c| may_stand(*c))?);
                self.0 = after;
                continue;
            }
            let next = self.0.chars().next().filter(|c| *c != '<' && may_stand(*c))?;
            if self.0.starts_with("]]>") {
                return None;
            }
            text.push(next);
            self.0 = &self.0[next.len_utf8()..];
        }
    }
}

fn referred(inner: &str) -> Option<char> {
    let number = |digits: &str, radix: u32| {
        let is_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        is_digits.then(|| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)).flatten()
    };
    match inner {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => match inner.strip_prefix("#x") {
            Some(digits) => number(digits, 16),
            None => number(inner.strip_prefix('#')?, 10),
        },
    }
}

/// XML 1.0, section 2.2.
fn may_stand(c: char) -> bool {
    let code = u32::from(c);
    matches!(code, 0x9 | 0xA | 0xD) || code >= 0x20 && code != 0xFFFE && code != 0xFFFF
}
