//! Documents whose fields may hold fields.

use super::scan::{Piece, Scanner, resolve};
use super::{Limits, XmlError, has_cdata_end, is_blanks, push, text_of};
use crate::sorted::twice;

/// Deepest element under the root; the documents of payment platforms have four.
pub const DEPTH_MAX: usize = 8;

/// The texts of a document, each under its path from the root: `result/code`. An element holds text or elements, never
/// both; blanks between elements say nothing.
///
/// A path comes once, but for the lists that the reader names. Of those the second is `list/item[2]`, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    root: String,
    fields: Vec<(String, String)>,
}

impl Nested {
    /// Reads a whole document. `lists` are the paths of elements that may come more than once.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn parse(document: &[u8], limits: Limits, lists: &[&str]) -> Result<Self, XmlError> {
        let mut reading = Reading {
            limits,
            lists,
            counts: vec![0; lists.len()],
            root: None,
            open: Vec::new(),
            paths: Vec::new(),
            fields: Vec::new(),
        };
        let mut scanner = Scanner::new(text_of(document, limits)?)?;
        while let Some(piece) = scanner.next()? {
            reading.take(&piece)?;
        }
        reading.finish()
    }

    /// The root's name.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Every text, in the order of arrival: its path and itself, exactly.
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The exact text at a path.
    pub fn field(&self, path: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == path).map(|(_, text)| text.as_str())
    }

    /// The text at a path; none when there is no such element, or it is empty or blank.
    pub fn present(&self, path: &str) -> Option<&str> {
        self.field(path).filter(|text| !text.bytes().all(|byte| byte.is_ascii_whitespace()))
    }
}

/// An element that has begun.
struct Open {
    path: String,
    text: String,
    /// There was nothing but blanks so far, written as blanks.
    is_blank: bool,
    has_elements: bool,
}

struct Reading<'l> {
    limits: Limits,
    lists: &'l [&'l str],
    /// How many items each list has so far.
    counts: Vec<usize>,
    root: Option<String>,
    open: Vec<Open>,
    /// Of every element, in the order of their beginnings.
    paths: Vec<String>,
    fields: Vec<(String, String)>,
}

impl Reading<'_> {
    fn take(&mut self, piece: &Piece<'_>) -> Result<(), XmlError> {
        match piece {
            Piece::Start(name) => self.begin(name),
            Piece::End => self.end(),
            // A `]]>` outside CDATA is no text (XML 1.0, section 2.4); some readers take it, others do not.
            Piece::Text(text) if has_cdata_end(text) => Err(XmlError::Malformed),
            Piece::Text(text) => self.text(text, is_blanks(text)),
            Piece::Cdata(text) => self.text(text, false),
            Piece::Reference(name) => {
                let found = resolve(name).ok_or(XmlError::Reference)?;
                self.text(found.encode_utf8(&mut [0; 4]), false)
            }
        }
    }

    fn begin(&mut self, name: &str) -> Result<(), XmlError> {
        let depth = self.open.len();
        let Some(parent) = self.open.last_mut() else {
            if self.root.replace(name.to_owned()).is_some() {
                return Err(XmlError::Malformed);
            }
            // Text directly under the root is no field.
            self.open.push(Open { path: String::new(), text: String::new(), is_blank: true, has_elements: true });
            return Ok(());
        };
        if depth > DEPTH_MAX {
            return Err(XmlError::Nested);
        }
        if !parent.is_blank {
            return Err(XmlError::Malformed);
        }
        if self.paths.len() == self.limits.fields_max {
            return Err(XmlError::TooManyFields { limit: self.limits.fields_max });
        }
        parent.has_elements = true;
        let mut path = if parent.path.is_empty() { name.to_owned() } else { [&parent.path, "/", name].concat() };
        let list = self.lists.iter().zip(&mut self.counts).find(|(list, _)| **list == path);
        if let Some((_, count)) = list {
            *count += 1;
            if *count > 1 {
                path = format!("{path}[{count}]");
            }
        }
        self.paths.push(path.clone());
        self.open.push(Open { path, text: String::new(), is_blank: true, has_elements: false });
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlError> {
        let element = self.open.pop().ok_or(XmlError::Malformed)?;
        if !element.has_elements {
            self.fields.push((element.path, element.text));
        }
        Ok(())
    }

    fn text(&mut self, text: &str, is_blank: bool) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(element) if element.has_elements && !is_blank => Err(XmlError::Malformed),
            Some(element) => {
                element.is_blank &= is_blank;
                push(&mut element.text, text)
            }
            None if is_blank => Ok(()),
            None => Err(XmlError::Malformed),
        }
    }

    fn finish(self) -> Result<Nested, XmlError> {
        let (Some(root), true) = (self.root, self.open.is_empty()) else { return Err(XmlError::Malformed) };
        match twice(self.paths.iter().map(String::as_str)) {
            Some(path) => Err(XmlError::Twice { name: path.to_owned() }),
            None => Ok(Nested { root, fields: self.fields }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { bytes_max: 4096, fields_max: 16 };

    fn read(document: &str) -> Result<Nested, XmlError> {
        Nested::parse(document.as_bytes(), LIMITS, &["list/item"])
    }

    fn fields(document: &str) -> Vec<(String, String)> {
        read(document).unwrap_or_else(|error| panic!("{document}: {error}")).fields().to_vec()
    }

    #[test]
    fn every_text_has_its_path() {
        let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<doc>\n  <version>V2.0</version>\n  <result>\n    \
                        <code>000000</code><desc><![CDATA[成功 & <b>]]></desc>\n  </result>\n <e/><f> \r\n</f><g>a&amp;&#x62;\
                        </g></doc>\n";
        let read = read(document).unwrap();
        assert_eq!(read.root(), "doc");
        let expected = [
            ("version", "V2.0"),
            ("result/code", "000000"),
            ("result/desc", "成功 & <b>"),
            ("e", ""),
            ("f", " \r\n"),
            ("g", "a&b"),
        ];
        assert_eq!(read.fields(), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        assert_eq!((read.field("f"), read.present("f"), read.present("g")), (Some(" \r\n"), None, Some("a&b")));
        assert_eq!((read.field("result"), read.field("code")), (None, None));
    }

    #[test]
    fn only_a_named_list_has_items() {
        let found = fields("<x><list><item><a>1</a></item><item><a>2</a></item><item>3</item></list></x>");
        let expected = [("list/item/a", "1"), ("list/item[2]/a", "2"), ("list/item[3]", "3")];
        assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        for (document, name) in [
            ("<x><a>1</a><a>1</a></x>", "a"),
            ("<x><a><b>1</b></a><a><c>1</c></a></x>", "a"),
            ("<x><a/><a><b>1</b></a></x>", "a"),
            ("<x><list><item/></list><list><item/></list></x>", "list"),
            ("<x><item>1</item><item>1</item></x>", "item"),
            ("<x><list><item><a/><a/></item></list></x>", "list/item/a"),
            ("<x><r><code>1</code><code>2</code></r></x>", "r/code"),
        ] {
            assert_eq!(read(document), Err(XmlError::Twice { name: name.to_owned() }), "{document}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for document in [
            "",
            " ",
            "text",
            "<x>",
            "<x><a>1</x>",
            "<x><a>1</b></x>",
            "<x>text</x>",
            "<x>text<a>1</a></x>",
            "<x><a>1<b>2</b></a></x>",
            "<x><a><b>2</b>1</a></x>",
            "<x><a><![CDATA[ ]]><b>2</b></a></x>",
            "<x><a><b>2</b><![CDATA[]]></a></x>",
            "<x><a>&#32;<b>2</b></a></x>",
            "<x><![CDATA[ ]]><a>1</a></x>",
            "<x><a b=\"c\">1</a></x>",
            "<x><n:a>1</n:a></x>",
            "<x><a>]]></a></x>",
            "<x><!-- c --><a>1</a></x>",
            "<x><?p i?><a>1</a></x>",
            "<x><a>1</a></x><y/>",
            "<x><a>1</a></x>text",
            "<x/><x/>",
            "<x><a>\0</a></x>",
            "<?xml version=\"1.1\"?><x><a>1</a></x>",
            " <?xml version=\"1.0\"?><x><a>1</a></x>",
            "\u{feff}\u{feff}<x><a>1</a></x>",
        ] {
            assert_eq!(read(document), Err(XmlError::Malformed), "{document:?}");
        }
        assert_eq!(read("<!DOCTYPE x [<!ENTITY e \"1\">]><x><a>&e;</a></x>"), Err(XmlError::DocumentType));
        assert_eq!(read("<x><a>&e;</a></x>"), Err(XmlError::Reference));
        assert_eq!(read("<x><a>&#0;</a></x>"), Err(XmlError::Reference));
        assert_eq!(read("<?xml version=\"1.0\" encoding=\"GBK\"?><x/>"), Err(XmlError::Encoding));
        assert_eq!(Nested::parse(b"<x><a>\xff</a></x>", LIMITS, &[]), Err(XmlError::Encoding));
    }

    #[test]
    fn limits_hold() {
        let nested = |depth: usize| format!("<x>{}{}</x>", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(fields(&nested(DEPTH_MAX)).len(), 1);
        assert_eq!(read(&nested(DEPTH_MAX + 1)), Err(XmlError::Nested));
        let many = |count: usize| {
            let elements: Vec<String> = (0..count).map(|at| format!("<a{at}/>")).collect();
            format!("<x>{}</x>", elements.concat())
        };
        assert_eq!(fields(&many(16)).len(), 16);
        assert_eq!(read(&many(17)), Err(XmlError::TooManyFields { limit: 16 }));
        assert_eq!(read(&" ".repeat(4097)), Err(XmlError::TooLarge { limit: 4096 }));
    }

    proptest! {
        #[test]
        fn no_document_panics(document in "(<[ab/]{1,3}>|[ <>&;a\\]\\[!C]|<!\\[CDATA\\[|\\]\\]>){0,30}") {
            let found = read(&document);
            prop_assert!(found.is_ok_and(|found| found.root().len() < 4) || read(&document).is_err());
        }

        #[test]
        fn a_flat_document_reads_alike_in_both_ways(texts in proptest::collection::vec("[a-z<&\\]> \\r\\n]{0,12}", 1..8)) {
            let names: Vec<String> = (0..texts.len()).map(|at| format!("f{at}")).collect();
            let pairs: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
            let document = super::super::encode("xml", pairs);
            let flat = super::super::Flat::parse(document.as_bytes(), LIMITS).unwrap();
            prop_assert_eq!(fields(&document), flat.fields().to_vec());
        }
    }
}
