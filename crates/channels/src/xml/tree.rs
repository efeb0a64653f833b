//! Documents whose elements have attributes and may come again, as they are written by programs that turn whole objects
//! into XML.

use std::collections::HashMap;

use super::scan::{Piece, Scanner, resolve};
use super::{Limits, XmlError, has_cdata_end, is_blanks, push, text_of};

/// Deepest element under the root. The deepest of a payment platform that we know has ten: a dispute of a transaction of
/// a subscription.
pub const TREE_DEPTH_MAX: usize = 16;

/// Most attributes of one element; real ones have one or two.
pub const ATTRIBUTES_MAX: usize = 8;

/// A document: every element with its attributes, and its text or its elements, never both. Blanks between elements say
/// nothing. An element may come as often as it likes; what that means, the reader of the message decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// In the order of their beginnings; the root is the first.
    elements: Vec<Element>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    /// Empty where it holds elements.
    text: String,
    /// Its place among elements of its name within its parent, from one.
    nth: usize,
    parent: usize,
    first: Option<usize>,
    next: Option<usize>,
}

/// One element of a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    tree: &'t Tree,
    at: usize,
}

impl Tree {
    /// Reads a whole document. [`Limits::fields_max`] counts every element but the root.
    ///
    /// # Errors
    /// [`XmlError`]; [`XmlError::Twice`] for an attribute that an element has twice.
    pub fn parse(document: &[u8], limits: Limits) -> Result<Self, XmlError> {
        let mut scanner = Scanner::new(text_of(document, limits)?)?.with_attributes();
        let mut reading = Reading { limits, elements: Vec::new(), counts: HashMap::new(), open: Vec::new() };
        while let Some(piece) = scanner.next()? {
            reading.take(&piece, scanner.attributes())?;
        }
        if reading.elements.is_empty() || !reading.open.is_empty() {
            return Err(XmlError::Malformed);
        }
        Ok(Self { elements: reading.elements })
    }

    /// The root.
    pub fn root(&self) -> Node<'_> {
        Node { tree: self, at: 0 }
    }

    /// Every element that holds no elements, in the order of the document: its path from the root, and its exact text. Of
    /// elements that come again, the second is `list/item[2]`, and so on.
    pub fn texts(&self) -> Vec<(String, String)> {
        let mut paths: Vec<String> = Vec::with_capacity(self.elements.len());
        let mut texts = Vec::new();
        for (at, element) in self.elements.iter().enumerate() {
            let mut path = paths.get(element.parent).cloned().unwrap_or_default();
            if at > 0 {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(&element.name);
                if element.nth > 1 {
                    path.extend(["[", &element.nth.to_string(), "]"]);
                }
                if element.first.is_none() {
                    texts.push((path.clone(), element.text.clone()));
                }
            }
            paths.push(path);
        }
        texts
    }
}

impl<'t> Node<'t> {
    fn element(self) -> &'t Element {
        &self.tree.elements[self.at]
    }

    /// Its name.
    pub fn name(self) -> &'t str {
        &self.element().name
    }

    /// Its exact text; empty where it holds elements.
    pub fn text(self) -> &'t str {
        &self.element().text
    }

    /// The value of an attribute.
    pub fn attribute(self, name: &str) -> Option<&'t str> {
        let attributes = self.element().attributes.iter();
        attributes.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every attribute, in the order of the document.
    pub fn attributes(self) -> &'t [(String, String)] {
        &self.element().attributes
    }

    /// Whether it holds elements.
    pub fn has_elements(self) -> bool {
        self.element().first.is_some()
    }

    /// The elements in it, in the order of the document.
    pub fn children(self) -> impl Iterator<Item = Node<'t>> {
        let node = move |at| Node { tree: self.tree, at };
        std::iter::successors(self.element().first.map(node), move |child| child.element().next.map(node))
    }
}

/// An element that has begun.
struct Open {
    at: usize,
    last: Option<usize>,
    text: String,
    /// There was nothing but blanks so far, written as blanks.
    is_blank: bool,
}

struct Reading<'d> {
    limits: Limits,
    elements: Vec<Element>,
    /// How many elements of a name an element has so far.
    counts: HashMap<(usize, &'d str), usize>,
    open: Vec<Open>,
}

impl<'d> Reading<'d> {
    fn take(&mut self, piece: &Piece<'d>, attributes: &[(&'d str, &'d str)]) -> Result<(), XmlError> {
        match piece {
            Piece::Start(name) => self.begin(name, attributes),
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

    fn begin(&mut self, name: &'d str, attributes: &[(&'d str, &'d str)]) -> Result<(), XmlError> {
        let (at, depth) = (self.elements.len(), self.open.len());
        if depth > TREE_DEPTH_MAX {
            return Err(XmlError::Nested);
        }
        if at > self.limits.fields_max {
            return Err(XmlError::TooManyFields { limit: self.limits.fields_max });
        }
        let (mut parent, mut nth) = (0, 1);
        match self.open.last_mut() {
            None if at > 0 => return Err(XmlError::Malformed),
            None => {}
            Some(open) if !open.is_blank => return Err(XmlError::Malformed),
            Some(open) => {
                match open.last.replace(at) {
                    Some(last) => self.elements[last].next = Some(at),
                    None => self.elements[open.at].first = Some(at),
                }
                open.text.clear();
                parent = open.at;
                let count = self.counts.entry((parent, name)).or_default();
                *count += 1;
                nth = *count;
            }
        }
        self.elements.push(Element {
            name: name.to_owned(),
            attributes: owned(attributes)?,
            text: String::new(),
            nth,
            parent,
            first: None,
            next: None,
        });
        self.open.push(Open { at, last: None, text: String::new(), is_blank: true });
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlError> {
        let open = self.open.pop().ok_or(XmlError::Malformed)?;
        if open.last.is_none() {
            self.elements[open.at].text = open.text;
        }
        Ok(())
    }

    fn text(&mut self, text: &str, is_blank: bool) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(open) if open.last.is_some() && !is_blank => Err(XmlError::Malformed),
            Some(open) => {
                open.is_blank &= is_blank;
                push(&mut open.text, text)
            }
            None if is_blank => Ok(()),
            None => Err(XmlError::Malformed),
        }
    }
}

fn owned(attributes: &[(&str, &str)]) -> Result<Vec<(String, String)>, XmlError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(XmlError::TooManyFields { limit: ATTRIBUTES_MAX });
    }
    for (at, (name, _)) in attributes.iter().enumerate() {
        if attributes.iter().take(at).any(|(known, _)| known == name) {
            return Err(XmlError::Twice { name: (*name).to_owned() });
        }
    }
    Ok(attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[cfg(test)]
mod tests;
