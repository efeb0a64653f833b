//! A signed text taken apart into the pairs of its request, whatever the protocol.
//!
//! Nothing is known of a protocol here: a text is one of pairs when it is the request's own pairs, joined. So a value with
//! `&` in it is found whole, and a text that is made in another way is left alone.

use std::borrow::Cow;

use crate::explain::Case;
use crate::form::{Form, Limits as FormLimits, encode_into};
use crate::json::Json;
use crate::model::RawRequest;
use crate::signature::trial::{Part, Trial};
use crate::xml::{Flat, Limits as XmlLimits};

/// Largest body that is split.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most pairs that are looked at.
const PAIRS_MAX: usize = 256;

/// Fewest pairs of a text: one alone may be chance.
const PAIRS_MIN: usize = 2;

/// Most bytes beside pairs and secret: `&key=` and its like.
const TAIL_BYTES_MAX: usize = 64;

/// A pair of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// As it came, where its carrier escapes.
    pub(super) raw: Option<(Vec<u8>, Vec<u8>)>,
}

impl Pair {
    /// `name=value`.
    pub(super) fn written(&self) -> Vec<u8> {
        [&self.name, &b"="[..], &self.value].concat()
    }

    /// Whether the value is empty or nothing but blanks.
    pub(super) fn is_blank(&self) -> bool {
        self.value.iter().all(u8::is_ascii_whitespace)
    }
}

/// What decides the order of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The bytes of the names.
    Name,
    /// The names without regard to the case of ASCII letters.
    IgnoringCase,
    /// The texts `name=value`.
    Written,
    /// Nothing: as they came.
    Arrival,
    /// The bytes of the values.
    Value,
    /// The bytes of the names, the last first.
    Descending,
}

impl Order {
    /// All of them, the likeliest first.
    pub(super) const ALL: [Self; 6] =
        [Self::Name, Self::IgnoringCase, Self::Written, Self::Arrival, Self::Value, Self::Descending];

    /// Sorts pairs, which stand in the order of arrival.
    pub(super) fn sort(self, pairs: &mut [&Pair]) {
        match self {
            Self::Arrival => {}
            Self::Name => pairs.sort_by(|one, other| one.name.cmp(&other.name)),
            Self::IgnoringCase => pairs.sort_by_key(|pair| pair.name.to_ascii_lowercase()),
            Self::Written => pairs.sort_by_cached_key(|pair| pair.written()),
            Self::Value => pairs.sort_by(|one, other| one.value.cmp(&other.value)),
            Self::Descending => pairs.sort_by(|one, other| other.name.cmp(&one.name)),
        }
    }
}

/// How a pair is written into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// Decoded, as nearly every protocol has it.
    Plain,
    /// As it came.
    Raw,
    /// Escaped as a form, a blank as `+`.
    Form,
    /// Escaped as in an address, a blank as `%20`.
    Percent,
    /// Escaped as `encodeURIComponent()` of JavaScript does it: a blank as `%20`, and `!~*'()` as they are.
    Component,
    /// Escaped as a form, with digits in lower case.
    FormLower,
    /// The value alone.
    ValueAlone,
}

/// Pairs joined with `&`.
pub(super) fn join(pairs: &[&Pair], writing: Writing) -> Vec<u8> {
    let mut text = Vec::new();
    for (at, pair) in pairs.iter().enumerate() {
        if at > 0 && writing != Writing::ValueAlone {
            text.push(b'&');
        }
        let escaped = |bytes: &[u8]| {
            let mut escaped = Vec::new();
            encode_into(&mut escaped, bytes);
            escaped
        };
        let write = |bytes: &[u8]| match writing {
            Writing::Form => escaped(bytes),
            Writing::Percent => percent_encoded(&escaped(bytes)),
            Writing::Component => component_encoded(&escaped(bytes)),
            Writing::FormLower => lower_escapes(escaped(bytes)),
            _ => bytes.to_vec(),
        };
        match (writing, &pair.raw) {
            (Writing::ValueAlone, _) => text.extend_from_slice(&pair.value),
            (Writing::Raw, Some((name, value))) => text.extend([name, &b"="[..], value].concat()),
            _ => text.extend([write(&pair.name), b"=".to_vec(), write(&pair.value)].concat()),
        }
    }
    text
}

/// A form's escapes as those of an address (RFC 3986): other readings of a blank, a star and a tilde.
fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' => encoded.extend_from_slice(b"%20"),
            b'*' => encoded.extend_from_slice(b"%2A"),
            b'%' if behind.starts_with(b"7E") => {
                encoded.push(b'~');
                rest = &behind[2..];
            }
            other => encoded.push(*other),
        }
    }
    encoded
}

/// A form's escapes as those of a component (ECMA-262, `encodeURIComponent`).
fn component_encoded(text: &[u8]) -> Vec<u8> {
    const KEPT: &[&[u8]] = &[b"21!", b"27'", b"28(", b"29)", b"7E~"];
    let mut encoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let kept = KEPT.iter().find(|kept| *byte == b'%' && behind.starts_with(&kept[..2]));
        match (byte, kept) {
            (_, Some(kept)) => {
                encoded.push(kept[2]);
                rest = &behind[2..];
            }
            (b'+', None) => encoded.extend_from_slice(b"%20"),
            (other, None) => encoded.push(*other),
        }
    }
    encoded
}

/// `%3D` as `%3d`.
fn lower_escapes(mut text: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'%' {
            let end = (at + 3).min(text.len());
            text[at..end].make_ascii_lowercase();
            at = end;
        } else {
            at += 1;
        }
    }
    text
}

/// A text of pairs.
#[derive(Debug)]
pub(super) struct Joined<'p> {
    /// Those in the text, as it has them.
    pub(super) covered: Vec<&'p Pair>,
    /// All that stand beside them in the request, in the order of arrival.
    pub(super) left: Vec<&'p Pair>,
    /// What decides their order.
    pub(super) order: Order,
    /// What stands before them.
    before: Vec<Part>,
    /// What stands behind them.
    behind: Vec<Part>,
    all: &'p [Pair],
}

impl<'p> Joined<'p> {
    /// Takes a text apart; none when it is not made of these pairs.
    pub(super) fn read(trial: &Trial, all: &'p [Pair]) -> Option<Self> {
        if trial.is_sealed || trial.is_place_secret {
            return None;
        }
        let parts = &trial.signed;
        let taken = |(at, part): (usize, &Part)| match part {
            Part::Text(text) => split(text, all).map(|(covered, length)| (at, covered, text[length..].to_vec())),
            Part::Secret => None,
        };
        let (at, covered, tail) = parts.iter().enumerate().find_map(taken)?;
        let behind: Vec<Part> = [Part::Text(tail)].into_iter().chain(parts[at + 1..].iter().cloned()).collect();
        let before = parts[..at].to_vec();
        let beside: usize = before.iter().chain(&behind).map(crate::explain::part_bytes).sum();
        if beside > TAIL_BYTES_MAX {
            return None;
        }
        let left = all.iter().filter(|pair| !covered.iter().any(|known| std::ptr::eq(*known, *pair))).collect();
        let mut joined = Self { covered, left, order: Order::Arrival, before, behind, all };
        let is_sorted = |order: &Order| joined.sorted(&joined.covered, *order) == joined.covered;
        let order = Order::ALL.into_iter().find(is_sorted);
        joined.order = order.unwrap_or(Order::Arrival);
        Some(joined)
    }

    /// These pairs in this order; where it leaves some equal, as they came.
    pub(super) fn sorted(&self, pairs: &[&'p Pair], order: Order) -> Vec<&'p Pair> {
        let is_one = |pair: &&Pair| pairs.iter().any(|one| std::ptr::eq(*one, *pair));
        let mut sorted: Vec<&Pair> = self.all.iter().filter(is_one).collect();
        order.sort(&mut sorted);
        sorted
    }

    /// The text around other pairs, with the secret where it was.
    pub(super) fn around(&self, text: Vec<u8>) -> Vec<Part> {
        merged([self.before.clone(), vec![Part::Text(text)], self.behind.clone()].concat())
    }

    /// The text with other pairs, which are sorted as the text's own are.
    pub(super) fn with(&self, pairs: &[&'p Pair]) -> Vec<Part> {
        self.around(join(&self.sorted(pairs, self.order), Writing::Plain))
    }
}

/// Texts that stand beside each other as one, and no empty ones: so equal texts are equal.
pub(super) fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::new();
    for part in parts {
        match (merged.last_mut(), part) {
            (_, Part::Text(text)) if text.is_empty() => {}
            (Some(Part::Text(before)), Part::Text(text)) => before.extend_from_slice(&text),
            (_, part) => merged.push(part),
        }
    }
    merged
}

/// The pairs that a text begins with, and how long they are with what joins them; none when they are too few.
fn split<'p>(text: &[u8], all: &'p [Pair]) -> Option<(Vec<&'p Pair>, usize)> {
    let mut covered: Vec<&Pair> = Vec::new();
    let mut length = 0;
    loop {
        let at = if covered.is_empty() { 0 } else { length + 1 };
        let is_joined = covered.is_empty() || text.get(length) == Some(&b'&');
        let rest = text.get(at..).filter(|_| is_joined)?;
        let fits = |pair: &&Pair| {
            let value = rest.strip_prefix(pair.name.as_slice()).and_then(|rest| rest.strip_prefix(b"="));
            let behind = value.and_then(|rest| rest.strip_prefix(pair.value.as_slice()));
            behind.is_some_and(|behind| matches!(behind.first(), None | Some(b'&')))
                && !covered.iter().any(|known| std::ptr::eq(*known, *pair))
        };
        let found = all.iter().filter(|pair| !pair.name.is_empty()).filter(fits);
        let Some(pair) = found.max_by_key(|pair| pair.value.len()) else { break };
        length = at + pair.name.len() + 1 + pair.value.len();
        covered.push(pair);
        if text.get(length) != Some(&b'&') {
            break;
        }
    }
    (covered.len() >= PAIRS_MIN).then_some((covered, length))
}

/// The pairs of a body: of a form, of an object of JSON, of flat XML. None of anything else.
pub(super) fn of_body(request: &RawRequest) -> Vec<Pair> {
    let body: &[u8] = &request.body;
    if body.len() > BODY_BYTES_MAX {
        return Vec::new();
    }
    let pair = |name: &str, value: &str| Pair { name: name.into(), value: value.into(), raw: None };
    match body.trim_ascii_start().first() {
        None => Vec::new(),
        Some(b'{') => {
            let Ok(Json::Object(members)) = Json::parse(body) else { return Vec::new() };
            let texts = members.iter().filter_map(|(name, value)| value.text().map(|value| pair(name, value)));
            texts.take(PAIRS_MAX).collect()
        }
        Some(b'<') => {
            let limits = XmlLimits { bytes_max: BODY_BYTES_MAX, fields_max: PAIRS_MAX };
            let flat = Flat::parse(body, limits);
            flat.map(|flat| flat.fields().iter().map(|(name, text)| pair(name, text)).collect()).unwrap_or_default()
        }
        Some(_) => of_form(body),
    }
}

/// The pairs of the URL's query.
pub(super) fn of_query(request: &RawRequest) -> Vec<Pair> {
    of_form(request.query.as_deref().unwrap_or_default().as_bytes())
}

fn of_form(text: &[u8]) -> Vec<Pair> {
    let limits = FormLimits { bytes_max: BODY_BYTES_MAX, pairs_max: PAIRS_MAX };
    let Ok(form) = Form::parse(text, limits) else { return Vec::new() };
    let owned = |text: &Cow<'_, [u8]>| text.clone().into_owned();
    let pair = |pair: &crate::form::Pair<'_>| Pair {
        name: owned(&pair.name),
        value: owned(&pair.value),
        raw: Some((pair.raw_name.to_vec(), pair.raw_value.to_vec())),
    };
    form.pairs().iter().map(pair).collect()
}

/// The pairs of a case that its signed text can be made of: the body's, and those of the query of a request without one.
pub(super) fn of(case: &Case<'_>) -> Vec<Pair> {
    let body = of_body(&case.request);
    if body.is_empty() { of_query(&case.request) } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::digest::{DigestHash, HexCase, SecretDigest};
    use crate::signature::trial::listen;

    fn trial(text: &str) -> Trial {
        let key = SecretDigest::new(b"a secret", DigestHash::Md5, HexCase::Lower, "key").unwrap();
        listen(1, || key.verify(text.as_bytes(), b"", b"", "v")).1.remove(0)
    }

    fn form(text: &str) -> Vec<Pair> {
        of_form(text.as_bytes())
    }

    #[test]
    fn a_text_is_taken_apart_into_the_requests_own_pairs() {
        let all = form("b=2&a=1%261&sign=x&C=3&e=");
        let joined = Joined::read(&trial("C=3&a=1&1&b=2&key="), &all).unwrap();
        let names = |pairs: &[&Pair]| pairs.iter().map(|pair| pair.name[0] as char).collect::<String>();
        assert_eq!((names(&joined.covered), names(&joined.left)), ("Cab".to_owned(), "se".to_owned()));
        assert_eq!(joined.order, Order::Name);
        let same = joined.with(&joined.covered);
        assert_eq!(same, [Part::Text(b"C=3&a=1&1&b=2&key=".to_vec()), Part::Secret]);
        let order = |text: &str| Joined::read(&trial(text), &all).map(|joined| joined.order);
        assert_eq!(order("a=1&1&b=2&C=3"), Some(Order::IgnoringCase));
        assert_eq!(order("b=2&a=1&1&C=3&e="), Some(Order::Arrival));
        for other in ["", "a=1", "x=1&y=2", "b=3&a=1&1", "the body"] {
            assert_eq!(order(other), None, "{other:?}");
        }
        assert_eq!(order(&format!("a=1&1&b=2&{}", "z".repeat(99))), None);
    }

    #[test]
    fn each_writing_is_its_own() {
        let all = form("a=1+2%2B&b=%e4*%7e~&c");
        let pairs: Vec<&Pair> = all.iter().collect();
        let of = |writing| join(&pairs, writing);
        assert_eq!(of(Writing::Plain), b"a=1 2+&b=\xe4*~~&c=");
        assert_eq!(of(Writing::Raw), b"a=1+2%2B&b=%e4*%7e~&c=");
        assert_eq!(of(Writing::Form), b"a=1+2%2B&b=%E4*%7E%7E&c=");
        assert_eq!(of(Writing::Percent), b"a=1%202%2B&b=%E4%2A~~&c=");
        assert_eq!(of(Writing::Component), b"a=1%202%2B&b=%E4*~~&c=");
        assert_eq!(component_encoded(b"%21%27%28%29%2A%7e+%"), b"!'()%2A%7e%20%");
        assert_eq!(of(Writing::FormLower), b"a=1+2%2b&b=%e4*%7e%7e&c=");
        assert_eq!(of(Writing::ValueAlone), b"1 2+\xe4*~~");
    }

    #[test]
    fn bodies_of_three_kinds_have_pairs() {
        let names = |body: &str| {
            let request = crate::explain::findings::signing::tests::request(body);
            of_body(&request).into_iter().map(|pair| String::from_utf8(pair.written()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names("a=1&b=%20"), ["a=1", "b= "]);
        assert_eq!(names(r#"{"a":"1","b":2.50,"c":[1],"d":null}"#), ["a=1", "b=2.50", "d="]);
        assert_eq!(names("<xml><a>1</a><b><![CDATA[2]]></b></xml>"), ["a=1", "b=2"]);
        assert!(names("").is_empty() && names("{").is_empty() && names("a=%").is_empty());
    }
}
