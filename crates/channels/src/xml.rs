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
//! [`Nested`] is for the few protocols whose fields hold fields, and refuses all the rest just so. [`Tree`] is for those
//! that also write attributes and lists, and refuses what is left.

mod nested;
mod scan;
mod tree;

use memchr::memchr;

pub use self::nested::{DEPTH_MAX, Nested};
use self::scan::{Piece, Scanner, resolve};
pub use self::tree::{ATTRIBUTES_MAX, Node, TREE_DEPTH_MAX, Tree};
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
        let fields = Vec::with_capacity(FIELDS_EXPECTED.min(limits.fields_max));
        let mut reading = Reading { limits, place: Place::Before, root: "", fields };
        let mut scanner = Scanner::new(text_of(document, limits)?)?;
        while let Some(piece) = scanner.next()? {
            reading.take(piece)?;
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
    // One byte order mark is the sign of UTF-8 (XML 1.0, section 4.3.3); another one behind it is text.
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

/// Where a reading stands.
enum Place<'d> {
    /// Before the root.
    Before,
    /// In the root, between fields.
    Root,
    /// In a field.
    Field { name: &'d str, text: String },
    /// After the root.
    After,
}

struct Reading<'d> {
    limits: Limits,
    place: Place<'d>,
    root: &'d str,
    fields: Vec<(String, String)>,
}

impl<'d> Reading<'d> {
    fn take(&mut self, piece: Piece<'d>) -> Result<(), XmlError> {
        match (piece, &mut self.place) {
            (Piece::Start(name), _) => self.begin(name),
            (Piece::End, _) => self.end(),
            // A `]]>` outside CDATA is no text (XML 1.0, section 2.4); some readers take it, others do not.
            (Piece::Text(text), Place::Field { .. }) if has_cdata_end(text) => Err(XmlError::Malformed),
            (Piece::Text(piece) | Piece::Cdata(piece), Place::Field { text, .. }) => push(text, piece),
            (Piece::Reference(name), Place::Field { text, .. }) => {
                text.push(resolve(name).ok_or(XmlError::Reference)?);
                Ok(())
            }
            (Piece::Text(text), _) if is_blanks(text) => Ok(()),
            _ => Err(XmlError::Malformed),
        }
    }

    fn begin(&mut self, name: &'d str) -> Result<(), XmlError> {
        self.place = match self.place {
            Place::Before => {
                self.root = name;
                Place::Root
            }
            Place::Root if self.fields.len() < self.limits.fields_max => Place::Field { name, text: String::new() },
            Place::Root => return Err(XmlError::TooManyFields { limit: self.limits.fields_max }),
            Place::Field { .. } => return Err(XmlError::Nested),
            Place::After => return Err(XmlError::Malformed),
        };
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlError> {
        match std::mem::replace(&mut self.place, Place::Root) {
            Place::Field { name, text } => self.fields.push((name.to_owned(), text)),
            Place::Root => self.place = Place::After,
            Place::Before | Place::After => return Err(XmlError::Malformed),
        }
        Ok(())
    }

    fn finish(self) -> Result<Flat, XmlError> {
        let Place::After = self.place else { return Err(XmlError::Malformed) };
        match twice(self.fields.iter().map(|(name, _)| name.as_str())) {
            Some(name) => Err(XmlError::Twice { name: name.to_owned() }),
            None => Ok(Flat { root: self.root.to_owned(), fields: self.fields }),
        }
    }
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

/// Room that is made for fields at first: a notice has about 25.
const FIELDS_EXPECTED: usize = 32;

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
