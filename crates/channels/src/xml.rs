//! XML as older payment protocols write it. [`Flat`]: one root, and in it fields that hold nothing but text.
//!
//! ```text
//! <xml>
//!   <return_code><![CDATA[SUCCESS]]></return_code>
//!   <total_fee>1000</total_fee>
//! </xml>
//! ```
//!
//! Signatures are made over the values, so a value is the exact text: references resolved, CDATA opened,
//! nothing trimmed, line ends as they came. Nothing is dropped, merged or reordered.
//!
//! Far stricter than XML, because whatever two readers see differently could be two messages. Refused are:
//! a document type (no entity but the five that XML itself has, so nothing to expand or to fetch), comments and
//! processing instructions (some readers end a text there), attributes, elements inside a field, text between
//! fields, a name that comes twice, `]]>` and control characters in text, and every version and encoding but
//! XML 1.0 in UTF-8. No genuine notification has any of it, and platforms ask receivers to turn document types
//! and external entities off.
//!
//! [`Nested`] is for the few protocols whose fields hold fields, and refuses all the rest just so.

mod nested;

use memchr::memchr;
use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};

pub use nested::{DEPTH_MAX, Nested};

use crate::sorted::twice;

/// How much of a document is read. A platform names both from what its largest genuine message needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest document, in bytes.
    pub bytes_max: usize,
    /// Most fields.
    pub fields_max: usize,
}

/// Longest name of an element, in bytes; real ones stay below 40.
pub const NAME_BYTES_MAX: usize = 128;

/// Why a text is no flat document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Larger than [`Limits::bytes_max`].
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// More than [`Limits::fields_max`].
    #[error("more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// Bytes that are no UTF-8, or a declaration that names another encoding.
    #[error("not in UTF-8")]
    Encoding,
    /// A document type: the door of external entities and of texts that grow when they are read.
    #[error("a document type is not taken")]
    DocumentType,
    /// An entity that XML itself does not have, or a reference to a character that no document may hold.
    #[error("a reference that XML itself does not have")]
    Reference,
    /// A field inside a field, where that is not taken, or deeper than [`DEPTH_MAX`].
    #[error("an element inside a field")]
    Nested,
    /// A name that came twice. Two readers of such a document can see two messages.
    #[error("`{name}` was given twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// No XML, cut, or something that a flat document does not have: a comment, an attribute, text between fields.
    #[error("no flat XML")]
    Malformed,
}

/// The fields of a document, in the order of arrival, each name once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    root: String,
    fields: Vec<(String, String)>,
}

impl Flat {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn parse(document: &[u8], limits: Limits) -> Result<Self, XmlError> {
        let mut reading = Reading { limits, is_first: true, place: Place::Before, fields: Vec::new() };
        let mut reader = Reader::from_str(text_of(document, limits)?);
        loop {
            match reader.read_event().map_err(|_| XmlError::Malformed)? {
                Event::Eof => break,
                event => reading.take(&event)?,
            }
            reading.is_first = false;
        }
        reading.finish()
    }

    /// The root's name.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Every field, in the order of arrival: its name and its exact text.
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The exact text of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// The text of a field; none when there is no such field, or it is empty or blank.
    pub fn present(&self, name: &str) -> Option<&str> {
        self.field(name).filter(|text| !text.bytes().all(|byte| byte.is_ascii_whitespace()))
    }

    /// The fields sorted by name, byte by byte.
    pub fn sorted(&self) -> Vec<(&str, &str)> {
        let mut sorted: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        sorted
    }
}

/// A document's text, if it is not too large and in UTF-8.
fn text_of(document: &[u8], limits: Limits) -> Result<&str, XmlError> {
    if document.len() > limits.bytes_max {
        return Err(XmlError::TooLarge { limit: limits.bytes_max });
    }
    let text = std::str::from_utf8(document).map_err(|_| XmlError::Encoding)?;
    // One byte order mark is the sign of UTF-8 (XML 1.0, section 4.3.3); the reader would pass over it anywhere
    // it begins, so what follows must be the document.
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if text.starts_with(BYTE_ORDER_MARK) { Err(XmlError::Malformed) } else { Ok(text) }
}

/// Where a reading stands.
enum Place {
    /// Before the root.
    Before,
    /// In the root, between fields.
    Root(String),
    /// In a field.
    Field { root: String, name: String, text: String },
    /// After the root.
    After(String),
}

struct Reading {
    limits: Limits,
    is_first: bool,
    place: Place,
    fields: Vec<(String, String)>,
}

impl Reading {
    fn take(&mut self, event: &Event<'_>) -> Result<(), XmlError> {
        match event {
            Event::Start(start) => self.begin(plain_name(start)?),
            Event::Empty(start) => {
                self.begin(plain_name(start)?)?;
                self.end()
            }
            // The reader has compared the name with that of the beginning.
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(text),
            Event::CData(text) => match &mut self.place {
                Place::Field { text: value, .. } => push(value, text),
                _ => Err(XmlError::Malformed),
            },
            Event::GeneralRef(reference) => match &mut self.place {
                Place::Field { text: value, .. } => push(value, resolve(reference)?.encode_utf8(&mut [0; 4])),
                _ => Err(XmlError::Malformed),
            },
            Event::Decl(declaration) if self.is_first => check_declaration(declaration),
            Event::DocType(_) => Err(XmlError::DocumentType),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => Err(XmlError::Malformed),
        }
    }

    fn begin(&mut self, name: String) -> Result<(), XmlError> {
        self.place = match std::mem::replace(&mut self.place, Place::Before) {
            Place::Before => Place::Root(name),
            Place::Root(root) if self.fields.len() < self.limits.fields_max => {
                Place::Field { root, name, text: String::new() }
            }
            Place::Root(_) => return Err(XmlError::TooManyFields { limit: self.limits.fields_max }),
            Place::Field { .. } => return Err(XmlError::Nested),
            Place::After(_) => return Err(XmlError::Malformed),
        };
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlError> {
        self.place = match std::mem::replace(&mut self.place, Place::Before) {
            Place::Field { root, name, text } => {
                self.fields.push((name, text));
                Place::Root(root)
            }
            Place::Root(root) => Place::After(root),
            Place::Before | Place::After(_) => return Err(XmlError::Malformed),
        };
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match &mut self.place {
            // A `]]>` outside CDATA is no text (XML 1.0, section 2.4); some readers take it, others do not.
            Place::Field { .. } if has_cdata_end(text) => Err(XmlError::Malformed),
            Place::Field { text: value, .. } => push(value, text),
            _ if is_blanks(text) => Ok(()),
            _ => Err(XmlError::Malformed),
        }
    }

    fn finish(self) -> Result<Flat, XmlError> {
        let Place::After(root) = self.place else { return Err(XmlError::Malformed) };
        match twice(self.fields.iter().map(|(name, _)| name.as_str())) {
            Some(name) => Err(XmlError::Twice { name: name.to_owned() }),
            None => Ok(Flat { root, fields: self.fields }),
        }
    }
}

/// An element's name: a letter or `_`, then letters, digits and `_-.`, without a prefix or attributes.
fn plain_name(start: &BytesStart<'_>) -> Result<String, XmlError> {
    let name = start.name();
    let name = name.as_ref();
    let is_name = name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let has_attributes = !is_blanks(start.attributes_raw());
    if is_name && !has_attributes { Ok(name.to_owned()) } else { Err(XmlError::Malformed) }
}

/// XML 1.0, in UTF-8 or without a word about it; read strictly, because the reader below is not strict here.
fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), XmlError> {
    let mut words = declaration.split(is_blank).filter(|word| !word.is_empty()).skip(1).peekable();
    let mut said = |name: &str| {
        let quoted = words.peek()?.strip_prefix(name)?.strip_prefix('=')?;
        let inner = ['"', '\''].iter().find_map(|quote| quoted.strip_prefix(*quote)?.strip_suffix(*quote))?;
        words.next().map(|_| inner)
    };
    if said("version") != Some("1.0") {
        return Err(XmlError::Malformed);
    }
    if said("encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("utf-8")) {
        return Err(XmlError::Encoding);
    }
    if said("standalone").is_some_and(|word| word != "yes" && word != "no") || words.next().is_some() {
        return Err(XmlError::Malformed);
    }
    Ok(())
}

/// One of the five entities that XML has (XML 1.0, section 4.6), or a character by its number.
fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlError> {
    let found = match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().map_err(|_| XmlError::Reference)?,
    };
    found.filter(|c| is_char(*c)).ok_or(XmlError::Reference)
}

/// Adds to a field's text what a document may hold.
fn push(value: &mut String, text: &str) -> Result<(), XmlError> {
    if !is_text(text) {
        return Err(XmlError::Malformed);
    }
    value.push_str(text);
    Ok(())
}

/// Whether a document may hold this text.
fn is_text(text: &str) -> bool {
    // Almost every text shows it by its bytes: no control, and no lead byte of what is excluded further up.
    let is_plain = |byte: &u8| *byte >= b' ' && *byte != 0xef;
    text.bytes().fold(true, |is_all, byte| is_all & is_plain(&byte)) || text.chars().all(is_char)
}

/// What a document may hold (XML 1.0, section 2.2).
fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// White space between elements (XML 1.0, section 2.3).
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' ')
}

/// Whether there is nothing but white space.
fn is_blanks(text: &str) -> bool {
    text.chars().all(is_blank)
}

/// Whether the end of CDATA stands in a text, where none may stand.
fn has_cdata_end(text: &str) -> bool {
    memchr(b'>', text.as_bytes()).is_some() && text.contains(CDATA_END)
}

const BYTE_ORDER_MARK: char = '\u{feff}';
const CDATA_END: &str = "]]>";

/// Writes a flat document as platforms do: every text in CDATA. The names are the caller's own.
pub fn encode<'f>(root: &str, fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let field = |(name, text): (&str, &str)| {
        // The end of CDATA inside a text is written as two pieces.
        let text = text.replace(CDATA_END, "]]]]><![CDATA[>");
        ["<", name, "><![CDATA[", &text, "]]></", name, ">"].concat()
    };
    let fields: Vec<String> = fields.into_iter().map(field).collect();
    format!("<{root}>{}</{root}>", fields.concat())
}

#[cfg(test)]
mod tests;
