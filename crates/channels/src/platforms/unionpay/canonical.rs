//! The text that UnionPay signs for a notice (UnionPay online gateway 5.1.0, message signature; the official kits'
//! `AcpService`): all fields but `signature`, the certificate included, sorted by name and joined as `name=value`
//! with `&`, over the decoded bytes. Line ends inside the certificate stay as they are.
//!
//! The kits disagree about blank values: a notice is checked as it came, and if that fails without them. Nothing else
//! is tried, so a genuine notice costs one check of its signature and a forged one at most [`TRIES_MAX`].

use memchr::memchr;

use crate::form::Pair;
use crate::sorted::{Order, join};

/// Most texts that are tried for one notice.
pub(super) const TRIES_MAX: usize = 3;

/// What becomes of blank values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blanks {
    /// `name=` stays.
    Keep,
    /// Pairs with an empty value are left out.
    SkipEmpty,
    /// Pairs with a value of nothing but blanks are left out too.
    SkipBlank,
}

impl Blanks {
    /// The stable name that is kept with the proof.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::SkipEmpty => "skip-empty",
            Self::SkipBlank => "skip-blank",
        }
    }

    /// The text, of pairs that are sorted by name.
    pub(super) fn text(self, sorted: &[&Pair<'_>]) -> Vec<u8> {
        let covered = sorted.iter().filter(|pair| *pair.name != *b"signature" && !self.skips(pair));
        join(covered.map(|pair| (pair.name.as_ref(), pair.value.as_ref())), Order::Bytes)
    }

    fn skips(self, pair: &Pair<'_>) -> bool {
        match self {
            Self::Keep => false,
            Self::SkipEmpty => pair.value.is_empty(),
            Self::SkipBlank => pair.is_blank(),
        }
    }
}

/// The ways whose texts differ for this notice, the likeliest first.
pub(super) fn ways(sorted: &[&Pair<'_>]) -> Vec<Blanks> {
    let has_empty = sorted.iter().any(|pair| pair.value.is_empty());
    let has_blank = sorted.iter().any(|pair| !pair.value.is_empty() && pair.is_blank());
    let mut ways = Vec::with_capacity(TRIES_MAX);
    ways.push(Blanks::Keep);
    if has_empty {
        ways.push(Blanks::SkipEmpty);
    }
    if has_blank {
        ways.push(Blanks::SkipBlank);
    }
    ways
}

/// Letters, digits, `_` and `-`, as in all of UnionPay's names. Such a name is one field to every reader: joining
/// leaves it whole, and PHP takes it as it is, where it would read `resp.Code` or `respCode[]` as another one.
pub(super) fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The name of a field whose value may be two fields. Joining does not escape, so the same signed text can be cut
/// elsewhere without the key: the echo that a buyer wrote could become a field, and a genuine field could vanish in
/// the value before it. The two cannot be told apart, so a person looks.
///
/// A field that we act on holds no `&` at all. Free text, and lists in braces as UnionPay writes them
/// (`{token=…&trId=…}`), may hold one, as long as no name that we act on follows it. Any other field holds nothing
/// that looks like a further field.
pub(super) fn ambiguous_field<'p>(sorted: &[&'p Pair<'_>]) -> Option<&'p [u8]> {
    sorted.iter().find(|pair| is_ambiguous(pair)).map(|pair| pair.name.as_ref())
}

fn is_ambiguous(pair: &Pair<'_>) -> bool {
    if memchr(b'&', &pair.value).is_none() {
        return false;
    }
    if is_one_of(ACTED_ON, &pair.name) {
        return true;
    }
    let is_any: fn(&[u8]) -> bool = |name| is_one_of(ACTED_ON, name);
    let looks_like_a_name =
        if is_one_of(FREE_TEXT, &pair.name) || is_braced(&pair.value) { is_any } else { is_plain_name };
    let mut parts = pair.value.split(|byte| *byte == b'&').skip(1);
    parts.any(|part| memchr(b'=', part).is_some_and(|end| looks_like_a_name(&part[..end])))
}

/// Whether a value is one list in braces from its first byte to its last. Of two lists with a field between them the
/// first one ends early.
fn is_braced(value: &[u8]) -> bool {
    if value.first() != Some(&b'{') {
        return false;
    }
    let mut depth = 0_usize;
    for (at, byte) in value.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1 == value.len();
        }
    }
    false
}

fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}

/// Fields whose text the merchant, the buyer or the bank chooses.
const FREE_TEXT: &[&str] = &["orderDesc", "reqReserved", "reserved", "respMsg", "subMerAbbr", "subMerName"];

/// Fields whose value changes what we believe about money, or when and to whom it happened.
const ACTED_ON: &[&str] = &[
    "currencyCode",
    "encoding",
    "merId",
    "orderId",
    "origOrderId",
    "origQryId",
    "origRespCode",
    "origTxnTime",
    "queryId",
    "respCode",
    "signMethod",
    "subMerId",
    "traceNo",
    "txnAmt",
    "txnTime",
    "txnType",
    "version",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{Form, Limits};

    const LIMITS: Limits = Limits { bytes_max: 4096, pairs_max: 64 };

    #[test]
    fn texts_are_tried_only_where_they_differ() {
        let check = |body: &str, expected: &[(&str, &str)]| {
            let form = Form::parse(body.as_bytes(), LIMITS).unwrap();
            let sorted = form.sorted();
            let found: Vec<_> = ways(&sorted)
                .into_iter()
                .map(|way| (way.name(), String::from_utf8(way.text(&sorted)).unwrap()))
                .collect();
            let found: Vec<_> = found.iter().map(|(name, text)| (*name, text.as_str())).collect();
            assert_eq!(found, expected, "{body}");
        };
        check("signature=x&b=2&a=1&Z=3&a_b=4", &[("keep", "Z=3&a=1&a_b=4&b=2")]);
        check("signature=x&b=&a=1", &[("keep", "a=1&b="), ("skip-empty", "a=1")]);
        check("signature=x&b=+&a=%2B%26", &[("keep", "a=+&&b= "), ("skip-blank", "a=+&")]);
        check("signature=x&a=1%0D%0A2", &[("keep", "a=1\r\n2")]);
        let all = [("keep", "a=1&b=&c=\t"), ("skip-empty", "a=1&c=\t"), ("skip-blank", "a=1")];
        check("a=1&b=&c=%09", &all);
        assert_eq!(all.len(), TRIES_MAX);
    }

    #[test]
    fn names_are_plain() {
        for name in ["respCode", "a-b_C9"] {
            assert!(is_plain_name(name.as_bytes()), "{name}");
        }
        for name in ["", "a&b", "a=b", "resp.Code", " a", "a[]", "a\0", "名"] {
            assert!(!is_plain_name(name.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn a_value_that_could_be_cut_elsewhere_is_seen() {
        let check = |name: &str, value: &str, expected: bool| {
            let body = crate::form::encode([(name.as_bytes(), value.as_bytes())]);
            let form = Form::parse(&body, LIMITS).unwrap();
            assert_eq!(ambiguous_field(&form.sorted()).is_some(), expected, "{name}={value}");
        };
        check("reqReserved", "a&b=c", false);
        check("reqReserved", "a&txnAmt=1", true);
        check("reqReserved", "txnAmt=1", false);
        check("reqReserved", "a&&&respCode=", true);
        check("orderId", "T1&", true);
        check("tokenPayData", "{token=1&trId=2&tokenType=01}", false);
        check("tokenPayData", "{token=1&respCode=00}", true);
        check("tokenPayData", "{token=1&x={a=1&b=2}}", false);
        check("tokenPayData", "{token=1}&reserved={a=1}", true);
        check("tokenPayData", "{token=1}&x", false);
        check("tokenPayData", "{token=1&trId=2", true);
        check("traceNo", "123456&traceTime=1121120000", true);
        check("aNewField", "a & b = c", false);
        check("accNo", "a+/b==", false);
        // Between two names that sort next to each other nothing is invented.
        assert!(ACTED_ON.is_sorted() && FREE_TEXT.is_sorted());
    }
}
