//! Pairs of a name and a value, wherever a request carries them: read, written and compared without the crate.

use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Carrier, Cover, Covered, Genuine, PairCover};

use super::{form, json, xml};

/// A decoded pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) name: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// The value is no text but stands as it is: a number, a list, elements inside an element.
    pub(crate) is_raw: bool,
}

impl Pair {
    pub(crate) fn new(name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: value.into(), is_raw: false }
    }

    pub(crate) fn raw(name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { is_raw: true, ..Self::new(name, value) }
    }

    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// The name, for a label.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// How pairs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Form(form::Style),
    Xml(xml::Style),
    Json(json::Style),
    JsonTree(json::Style),
}

/// Every way of writing for a carrier.
pub(crate) fn styles(carrier: Carrier) -> Vec<Style> {
    match carrier {
        Carrier::Form | Carrier::Query => form::Style::ALL.into_iter().map(Style::Form).collect(),
        Carrier::Xml => xml::Style::ALL.into_iter().map(Style::Xml).collect(),
        Carrier::Json => json::Style::ALL.into_iter().map(Style::Json).collect(),
        Carrier::JsonTree => json::Style::ALL.into_iter().map(Style::JsonTree).collect(),
    }
}

/// The way that platforms write.
pub(crate) fn usual(carrier: Carrier) -> Style {
    styles(carrier)[0]
}

/// The text that carries the pairs: the body, or the query.
pub(crate) fn text(request: &RawRequest, carrier: Carrier) -> Vec<u8> {
    match carrier {
        Carrier::Query => request.query.clone().unwrap_or_default().into_bytes(),
        Carrier::Form | Carrier::Xml | Carrier::Json | Carrier::JsonTree => request.body.to_vec(),
    }
}

/// The same request with another carrying text. A query is text by its type, so bytes beyond ASCII that are no UTF-8
/// come there as a server that is lenient hands them over.
pub(crate) fn with_text(request: &RawRequest, carrier: Carrier, text: Vec<u8>) -> RawRequest {
    match carrier {
        Carrier::Query => RawRequest { query: Some(String::from_utf8_lossy(&text).into_owned()), ..request.clone() },
        Carrier::Form | Carrier::Xml | Carrier::Json | Carrier::JsonTree => super::world::with_body(request, text),
    }
}

/// Reads as leniently as any reader would; nothing where not even such a reader finds pairs.
pub(crate) fn read(request: &RawRequest, carrier: Carrier) -> Vec<Pair> {
    let text = text(request, carrier);
    match carrier {
        Carrier::Form | Carrier::Query => form::read(&text),
        Carrier::Xml => xml::read(&text).map(|document| document.pairs).unwrap_or_default(),
        Carrier::Json => json::read(&text).unwrap_or_default(),
        Carrier::JsonTree => json::read_tree(&text).unwrap_or_default(),
    }
}

/// The same request with these pairs instead of its own.
pub(crate) fn write(request: &RawRequest, pairs: &[Pair], style: Style, carrier: Carrier) -> RawRequest {
    let text = match style {
        Style::Form(style) => form::write(pairs, style),
        Style::Xml(style) => {
            let root = xml::read(&request.body).map_or_else(|| b"xml".to_vec(), |document| document.root);
            xml::write(&root, pairs, style)
        }
        Style::Json(style) => json::write(pairs, style),
        Style::JsonTree(style) => json::write_tree(pairs, style),
    };
    with_text(request, carrier, text)
}

/// A callback whose pairs are covered.
#[derive(Clone)]
pub(crate) struct Paired {
    pub(crate) request: RawRequest,
    pub(crate) cover: PairCover,
    pub(crate) pairs: Vec<Pair>,
}

impl Paired {
    /// None where the cover is another.
    pub(crate) fn of(genuine: &Genuine) -> Option<Self> {
        let (Cover::Pairs(cover) | Cover::Asked { pairs: cover, .. }) = genuine.cover else { return None };
        let pairs = read(&genuine.request, cover.carrier);
        Some(Self { request: genuine.request.clone(), cover, pairs })
    }

    /// The request with other pairs, as the platform writes.
    pub(crate) fn with(&self, pairs: &[Pair]) -> RawRequest {
        self.written(pairs, usual(self.cover.carrier))
    }

    pub(crate) fn written(&self, pairs: &[Pair], style: Style) -> RawRequest {
        write(&self.request, pairs, style, self.cover.carrier)
    }

    /// Every pair so many times.
    pub(crate) fn repeated(&self, times: usize) -> RawRequest {
        self.with(&vec![self.pairs.clone(); times].concat())
    }

    /// Whether a pair of this name is under the signature.
    pub(crate) fn covers(&self, name: &[u8]) -> bool {
        is_covered(&self.cover, name)
    }

    /// Whether a genuine signature of this message is one of the other request as well.
    pub(crate) fn is_alike(&self, other: &RawRequest) -> bool {
        says_the_same(&self.pairs, &read(other, self.cover.carrier), &self.cover)
    }

    /// Places of the covered pairs.
    pub(crate) fn covered(&self) -> Vec<usize> {
        (0..self.pairs.len()).filter(|&at| self.covers(&self.pairs[at].name)).collect()
    }
}

fn is_covered(cover: &PairCover, name: &[u8]) -> bool {
    match cover.covered {
        Covered::Joined { but, .. } => !but.iter().any(|left_out| left_out.as_bytes() == name),
        Covered::Each(names) => names.iter().any(|covered| covered.as_bytes() == name),
    }
}

/// Whether a signature over one set of pairs is one over the other as well.
pub(crate) fn says_the_same(one: &[Pair], other: &[Pair], cover: &PairCover) -> bool {
    match cover.covered {
        Covered::Joined { empty_is_absent, .. } => {
            let ways: &[Absent] =
                if empty_is_absent { &[Absent::None, Absent::Empty, Absent::Blank] } else { &[Absent::None] };
            let forms = |pairs: &[Pair]| ways.iter().map(|&way| canonical(pairs, cover, way)).collect::<Vec<_>>();
            let others = forms(other);
            forms(one).iter().any(|form| others.contains(form))
        }
        Covered::Each(names) => names.iter().all(|name| {
            let values = |pairs: &[Pair]| -> Vec<Vec<u8>> {
                pairs.iter().filter(|pair| pair.is_called(name)).map(|pair| pair.value.clone()).collect()
            };
            values(one) == values(other)
        }),
    }
}

/// Which pairs count as absent.
#[derive(Clone, Copy, Debug)]
enum Absent {
    None,
    Empty,
    /// Some signers take ASCII blanks for nothing as well.
    Blank,
}

/// The sorted text under the signature.
fn canonical(pairs: &[Pair], cover: &PairCover, absent: Absent) -> Vec<u8> {
    let is_there = |value: &[u8]| match absent {
        Absent::None => true,
        Absent::Empty => !value.is_empty(),
        Absent::Blank => !value.trim_ascii().is_empty(),
    };
    let mut covered: Vec<&Pair> =
        pairs.iter().filter(|pair| is_covered(cover, &pair.name) && is_there(&pair.value)).collect();
    covered.sort();
    let joined: Vec<Vec<u8>> = covered.iter().map(|pair| [&pair.name, b"=".as_slice(), &pair.value].concat()).collect();
    joined.join(&b'&')
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn joined(but: &'static [&'static str], empty_is_absent: bool) -> PairCover {
        let covered = Covered::Joined { but, empty_is_absent };
        PairCover { carrier: Carrier::Form, covered, signature: Some("sign") }
    }

    #[test]
    fn the_canonical_form_is_the_sheets() {
        let pairs = form::read(b"b=2&sign=x&a=1%26&c=&sign_type=T");
        let two = &["sign", "sign_type"];
        assert_eq!(canonical(&pairs, &joined(two, false), Absent::None), b"a=1&&b=2&c=");
        assert_eq!(canonical(&pairs, &joined(&["sign"], true), Absent::Empty), b"a=1&&b=2&sign_type=T");
        assert!(says_the_same(&pairs, &form::read(b"b=2&a=1%26"), &joined(two, true)));
        assert!(!says_the_same(&pairs, &form::read(b"b=2&a=1%26"), &joined(two, false)));
    }

    #[test]
    fn of_pairs_that_are_covered_each_for_itself_nothing_else_counts() {
        let cover = PairCover { carrier: Carrier::Json, covered: Covered::Each(&["msg", "at"]), signature: None };
        let one = form::read(b"at=1&msg=x&type=a");
        assert!(says_the_same(&one, &form::read(b"type=b&msg=x&at=1&more=1"), &cover));
        for other in ["at=1&msg=y&type=a", "at=1&type=a", "at=1&msg=x&msg=x", "at=x&msg=1"] {
            assert!(!says_the_same(&one, &form::read(other.as_bytes()), &cover), "{other}");
        }
    }
}
