//! A document taken apart into its pieces, by the part of XML 1.0 that is taken at all. Whether each piece may stand where it
//! stands is decided by those who read them.

use memchr::{memchr2, memchr3};

use super::{NAME_BYTES_MAX, XmlError, is_blank};

/// One piece of a document.
pub(super) enum Piece<'d> {
    /// An element begins; its name.
    Start(&'d str),
    /// The element ends that began last.
    End,
    /// Text between tags and references, as it stands there.
    Text(&'d str),
    /// The inside of a CDATA section.
    Cdata(&'d str),
    /// What stands between `&` and `;`.
    Reference(&'d str),
}

/// What is left of a document.
pub(super) struct Scanner<'d> {
    rest: &'d str,
    /// The elements that have begun.
    open: Vec<&'d str>,
    /// An element ended in the tag that began it.
    is_ending: bool,
    takes_attributes: bool,
    /// Of the element that began last.
    attributes: Vec<(&'d str, &'d str)>,
}

impl<'d> Scanner<'d> {
    /// Takes a whole document, without its byte order mark, and passes over its declaration.
    ///
    /// # Errors
    /// [`XmlError::Encoding`] or [`XmlError::Malformed`] when it is not declared as XML 1.0 in UTF-8.
    pub(super) fn new(document: &'d str) -> Result<Self, XmlError> {
        let rest = match document.strip_prefix("<?xml") {
            Some(inner) => {
                let (declaration, rest) = inner.split_once("?>").ok_or(XmlError::Malformed)?;
                check_declaration(declaration)?;
                rest
            }
            None => document,
        };
        Ok(Self { rest, open: Vec::new(), is_ending: false, takes_attributes: false, attributes: Vec::new() })
    }

    /// The same scanner, which takes elements with attributes.
    pub(super) fn with_attributes(self) -> Self {
        Self { takes_attributes: true, ..self }
    }

    /// The attributes of the element that began last: each name with its value. A name may come twice.
    pub(super) fn attributes(&self) -> &[(&'d str, &'d str)] {
        &self.attributes
    }

    /// The next piece; none at the end of the document.
    ///
    /// # Errors
    /// [`XmlError::DocumentType`] or [`XmlError::Malformed`].
    pub(super) fn next(&mut self) -> Result<Option<Piece<'d>>, XmlError> {
        if self.is_ending {
            self.is_ending = false;
            return Ok(Some(Piece::End));
        }
        let piece = match self.rest.as_bytes() {
            [] => return Ok(None),
            [b'<', b'/', ..] => self.end(),
            [b'<', b'!', ..] => return self.marked().map(Some),
            [b'<', ..] => self.start(),
            [b'&', ..] => self.reference(),
            _ => Some(self.text()),
        };
        piece.map(Some).ok_or(XmlError::Malformed)
    }

    /// An element's name, and its attributes where they are taken.
    fn start(&mut self) -> Option<Piece<'d>> {
        let (name, mut behind) = split_name(&self.rest[1..])?;
        if self.takes_attributes {
            self.attributes.clear();
            loop {
                let inner = behind.trim_start_matches(is_blank);
                let is_apart = inner.len() < behind.len();
                if !is_apart || inner.starts_with(['/', '>']) {
                    break;
                }
                let (attribute, rest) = attribute(inner)?;
                self.attributes.push(attribute);
                behind = rest;
            }
        }
        let behind = behind.trim_start_matches(is_blank);
        let after_slash = behind.strip_prefix('/');
        self.rest = after_slash.unwrap_or(behind).strip_prefix('>')?;
        self.is_ending = after_slash.is_some();
        if !self.is_ending {
            self.open.push(name);
        }
        Some(Piece::Start(name))
    }

    fn end(&mut self) -> Option<Piece<'d>> {
        let behind = self.rest[2..].strip_prefix(self.open.pop()?)?;
        self.rest = behind.trim_start_matches(is_blank).strip_prefix('>')?;
        Some(Piece::End)
    }

    /// What begins with `<!`: a document type, a comment, or CDATA.
    fn marked(&mut self) -> Result<Piece<'d>, XmlError> {
        const DOCUMENT_TYPE: &[u8] = b"DOCTYPE";
        let inner = &self.rest[2..];
        if let Some(inner) = inner.strip_prefix("[CDATA[") {
            let (text, rest) = inner.split_once(super::CDATA_END).ok_or(XmlError::Malformed)?;
            self.rest = rest;
            return Ok(Piece::Cdata(text));
        }
        let word = inner.as_bytes().get(..DOCUMENT_TYPE.len());
        let is_document_type = word.is_some_and(|word| word.eq_ignore_ascii_case(DOCUMENT_TYPE));
        Err(if is_document_type { XmlError::DocumentType } else { XmlError::Malformed })
    }

    fn reference(&mut self) -> Option<Piece<'d>> {
        let inner = &self.rest[1..];
        let end = memchr3(b';', b'&', b'<', inner.as_bytes())?;
        self.rest = inner[end..].strip_prefix(';')?;
        Some(Piece::Reference(&inner[..end]))
    }

    fn text(&mut self) -> Piece<'d> {
        let end = memchr2(b'<', b'&', self.rest.as_bytes()).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Piece::Text(text)
    }
}

/// Takes a name: a letter or `_`, then letters, digits and `_-.`, without a prefix.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let end = text.bytes().take(NAME_BYTES_MAX + 1).position(|byte| !is_inside(byte))?;
    let is_name = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    is_name.then(|| text.split_at(end))
}

/// Takes `name="value"`. A value has no reference, and no blank but the plain one: readers make one sign of the others
/// (XML 1.0, section 3.3.3). No attribute may declare a namespace.
fn attribute(text: &str) -> Option<((&str, &str), &str)> {
    let (name, behind) = split_name(text)?;
    let quoted = behind.strip_prefix('=')?;
    let quote = quoted.bytes().next().filter(|first| matches!(first, b'"' | b'\''))?;
    let quoted = &quoted[1..];
    // The search ends at the first sign that may not stand in a value, so that a tag that never ends costs one pass.
    let end = memchr3(quote, b'<', b'&', quoted.as_bytes())?;
    let (value, behind) = quoted.split_at(end);
    let rest = behind.strip_prefix(char::from(quote))?;
    let is_plain = super::is_text(value) && !value.contains(['\t', '\r', '\n']);
    (is_plain && name != NAMESPACE).then_some(((name, value), rest))
}

/// The attribute that declares a namespace.
const NAMESPACE: &str = "xmlns";

/// XML 1.0, in UTF-8 or without a word about it: what stands between `<?xml` and `?>`.
fn check_declaration(declaration: &str) -> Result<(), XmlError> {
    if !declaration.starts_with(is_blank) {
        return Err(XmlError::Malformed);
    }
    let mut words = declaration.split(is_blank).filter(|word| !word.is_empty()).peekable();
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
pub(super) fn resolve(reference: &str) -> Option<char> {
    let found = match reference {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => {
            let digits = reference.strip_prefix('#')?;
            let (digits, radix) = digits.strip_prefix('x').map_or((digits, 10), |digits| (digits, 16));
            let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = is_number.then(|| u32::from_str_radix(digits, radix).ok())??;
            char::from_u32(number)?
        }
    };
    super::is_char(found).then_some(found)
}
