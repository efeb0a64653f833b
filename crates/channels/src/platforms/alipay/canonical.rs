//! The strings that Alipay signs for a notification (Alipay Open Platform, asynchronous notification,
//! and the official SDKs' `AlipaySignature`, which differ among themselves).
//!
//! Decoded pairs, sorted by name, joined as `name=value` with `&`, over bytes: nothing is transcoded, so
//! that GBK and UTF-8 both work. Two rules are live, and a real message satisfies exactly one of them:
//!
//! * V1 leaves out `sign` and `sign_type`: payments, agreements, the message service.
//! * V2 leaves out `sign` alone: service market orders and other notices to the application gateway.
//!
//! Empty values are kept by some SDKs (PHP, Node, easysdk) and skipped by others (Java, which also skips
//! blank ones). A string is tried only when it differs from those before it, so a genuine payment costs
//! one RSA check and a message without a matching string at most [`TRIES_MAX`].

use memchr::{memchr, memchr2};

use crate::form::Pair;

/// Most strings that are tried for one message: two rules, three ways with empty values.
pub(super) const TRIES_MAX: usize = 6;

/// Which pairs a string leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Without `sign` and `sign_type`.
    V1,
    /// Without `sign`.
    V2,
}

/// What becomes of empty values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Empties {
    /// `name=` stays.
    Keep,
    /// Pairs with an empty value are skipped.
    SkipEmpty,
    /// Pairs with a value of nothing but blanks are skipped too.
    SkipBlank,
}

/// One of the documented ways to make the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    rule: Rule,
    empties: Empties,
}

impl Variant {
    /// The stable name that is kept with the proof.
    pub(super) fn name(self) -> &'static str {
        match (self.rule, self.empties) {
            (Rule::V1, Empties::Keep) => "v1-keep",
            (Rule::V1, Empties::SkipEmpty) => "v1-skip-empty",
            (Rule::V1, Empties::SkipBlank) => "v1-skip-blank",
            (Rule::V2, Empties::Keep) => "v2-keep",
            (Rule::V2, Empties::SkipEmpty) => "v2-skip-empty",
            (Rule::V2, Empties::SkipBlank) => "v2-skip-blank",
        }
    }

    /// The string, of pairs that are sorted by name.
    pub(super) fn string(self, sorted: &[&Pair<'_>]) -> Vec<u8> {
        let length = sorted.iter().map(|pair| pair.name.len() + pair.value.len() + 2).sum();
        let mut string = Vec::with_capacity(length);
        for pair in sorted.iter().filter(|pair| self.covers(pair)) {
            if !string.is_empty() {
                string.push(b'&');
            }
            string.extend_from_slice(&pair.name);
            string.push(b'=');
            string.extend_from_slice(&pair.value);
        }
        string
    }

    fn covers(self, pair: &Pair<'_>) -> bool {
        let is_left_out = match pair.name.as_ref() {
            b"sign" => true,
            b"sign_type" => self.rule != Rule::V2,
            _ => false,
        };
        let is_skipped = match self.empties {
            Empties::Keep => false,
            Empties::SkipEmpty => pair.value.is_empty(),
            Empties::SkipBlank => pair.is_blank(),
        };
        !is_left_out && !is_skipped
    }
}

/// The variants whose strings differ for this message, the likeliest first.
pub(super) fn variants(sorted: &[&Pair<'_>]) -> Vec<Variant> {
    let has_empty = sorted.iter().any(|pair| pair.value.is_empty());
    let has_blank = sorted.iter().any(|pair| !pair.value.is_empty() && pair.is_blank());
    let mut variants = Vec::with_capacity(TRIES_MAX);
    for rule in [Rule::V1, Rule::V2] {
        variants.push(Variant { rule, empties: Empties::Keep });
        if has_empty {
            variants.push(Variant { rule, empties: Empties::SkipEmpty });
        }
        if has_blank {
            variants.push(Variant { rule, empties: Empties::SkipBlank });
        }
    }
    variants
}

/// The name of a field whose value may be two fields. Joining does not escape, so the same signed string
/// can be split elsewhere without the key: whoever chooses the subject of an order could choose its
/// `total_amount`, and whoever sees a genuine message could make its order number swallow the pair behind
/// it. The two cannot be told apart, so a person looks.
///
/// Free text may hold `&` and even `&b=c`, as long as that is no field that we act on. A field that we act on
/// holds no `&` at all. Any other holds nothing that looks like a further field.
pub(super) fn ambiguous_field<'p>(sorted: &[&'p Pair<'_>]) -> Option<&'p [u8]> {
    sorted.iter().find(|pair| is_ambiguous(pair)).map(|pair| pair.name.as_ref())
}

fn is_ambiguous(pair: &Pair<'_>) -> bool {
    if memchr(b'&', &pair.value).is_none() {
        return false;
    }
    let is_one_of = |names: &[&str]| names.iter().any(|name| name.as_bytes() == pair.name.as_ref());
    if is_one_of(FREE_TEXT) {
        return holds_a_field(&pair.value);
    }
    is_one_of(ACTED_ON) || looks_like_fields(&pair.value)
}

/// Whether a value holds `&name=` with any plain name.
fn looks_like_fields(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b'&').skip(1);
    parts.any(|part| part.iter().position(|byte| *byte == b'=').is_some_and(|end| end > 0 && is_ordinary(&part[..end])))
}

/// Whether a name is one that joining leaves whole.
pub(super) fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty() && memchr2(b'&', b'=', name).is_none()
}

/// The name of a pair that PHP would read as another field: it turns blanks and dots into `_`, cuts at `[`
/// and at NUL, and the later one wins. Added with an empty value, which no signature covers in the form
/// without empties, such a pair would blank a genuine field of `$_POST`.
pub(super) fn shadowing_name<'p>(sorted: &[&'p Pair<'_>]) -> Option<&'p [u8]> {
    let is_known = |name: &[u8]| {
        sorted.iter().any(|pair| *pair.name == *name) || ACTED_ON.iter().any(|known| known.as_bytes() == name)
    };
    let shadows = |name: &[u8]| php_names(name).iter().any(|read| *read != name && is_known(read));
    sorted.iter().find(|pair| !is_ordinary(&pair.name) && shadows(&pair.name)).map(|pair| pair.name.as_ref())
}

/// Letters, digits, `_` and `-`: PHP reads such a name as it is.
fn is_ordinary(name: &[u8]) -> bool {
    name.iter().all(|byte| ORDINARY[usize::from(*byte)])
}

/// Which bytes are letters, digits, `_` or `-`: asked for every byte of every name.
const ORDINARY: [bool; 256] = {
    let mut ordinary = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        ordinary[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        byte += 1;
    }
    ordinary
};

/// How PHP may read a name: cut at a bracket, or with the bracket replaced.
fn php_names(name: &[u8]) -> [Vec<u8>; 2] {
    let start = name.iter().position(|byte| *byte != b' ').unwrap_or(name.len());
    let name = name[start..].split(|byte| *byte == 0).next().unwrap_or_default();
    let cut = name.split(|byte| *byte == b'[').next().unwrap_or_default();
    let replaced =
        |name: &[u8]| name.iter().map(|byte| if matches!(byte, b' ' | b'.' | b'[') { b'_' } else { *byte }).collect();
    [replaced(cut), replaced(name)]
}

fn holds_a_field(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| *byte == b'&') {
        rest = &rest[at + 1..];
        let name_end = rest.iter().take(ACTED_ON_LENGTH_MAX + 1).position(|byte| *byte == b'=');
        if name_end.is_some_and(|end| ACTED_ON.iter().any(|name| name.as_bytes() == &rest[..end])) {
            return true;
        }
    }
    false
}

/// Fields whose text the merchant or buyer chooses, or that are JSON: no JSON any more when one swallowed a pair.
const FREE_TEXT: &[&str] =
    &["biz_content", "body", "fund_bill_list", "passback_params", "refund_reason", "subject", "voucher_detail_list"];

/// Fields whose value changes what we believe about money, or when and to whom it happened.
const ACTED_ON: &[&str] = &[
    "agreement_no",
    "app_id",
    "auth_app_id",
    "biz_content",
    "charset",
    "currency",
    "dback_amount",
    "dback_status",
    "external_agreement_no",
    "gmt_close",
    "gmt_create",
    "gmt_payment",
    "gmt_refund",
    "invalid_time",
    "msg_method",
    "notify_id",
    "notify_time",
    "notify_type",
    "order_id",
    "out_biz_no",
    "out_request_no",
    "out_trade_no",
    "product_code",
    "refund_amount",
    "refund_fee",
    "refund_status",
    "seller_id",
    "send_back_fee",
    "sign_time",
    "status",
    "total_amount",
    "trade_no",
    "trade_status",
    "trans_amount",
    "trans_currency",
    "unsign_time",
    "utc_timestamp",
];

/// Length of the longest name in [`ACTED_ON`].
const ACTED_ON_LENGTH_MAX: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{Form, Limits};

    const LIMITS: Limits = Limits { bytes_max: 4096, pairs_max: 64 };

    fn strings(body: &str) -> Vec<(&'static str, String)> {
        let form = Form::parse(body.as_bytes(), LIMITS).unwrap();
        let sorted = form.sorted();
        variants(&sorted)
            .into_iter()
            .map(|variant| (variant.name(), String::from_utf8(variant.string(&sorted)).unwrap()))
            .collect()
    }

    #[test]
    fn strings_are_tried_only_where_they_differ() {
        let check = |body: &str, expected: &[(&str, &str)]| {
            let found = strings(body);
            let found: Vec<_> = found.iter().map(|(name, string)| (*name, string.as_str())).collect();
            assert_eq!(found, expected, "{body}");
        };
        check("sign_type=RSA2&sign=x&b=2&a=1", &[("v1-keep", "a=1&b=2"), ("v2-keep", "a=1&b=2&sign_type=RSA2")]);
        check(
            "sign_type=RSA2&sign=x&b=&a=1",
            &[
                ("v1-keep", "a=1&b="),
                ("v1-skip-empty", "a=1"),
                ("v2-keep", "a=1&b=&sign_type=RSA2"),
                ("v2-skip-empty", "a=1&sign_type=RSA2"),
            ],
        );
        check(
            "sign_type=RSA2&sign=x&b=+&a=%2B%26",
            &[
                ("v1-keep", "a=+&&b= "),
                ("v1-skip-blank", "a=+&"),
                ("v2-keep", "a=+&&b= &sign_type=RSA2"),
                ("v2-skip-blank", "a=+&&sign_type=RSA2"),
            ],
        );
        check(
            "sign_type=RSA2&alipay_cert_sn=s&sign=x&a=1",
            &[("v1-keep", "a=1&alipay_cert_sn=s"), ("v2-keep", "a=1&alipay_cert_sn=s&sign_type=RSA2")],
        );
    }

    #[test]
    fn a_name_that_php_reads_as_another_is_seen() {
        let check = |body: &str, expected: Option<&str>| {
            let form = Form::parse(body.as_bytes(), LIMITS).unwrap();
            let found = shadowing_name(&form.sorted()).map(|name| String::from_utf8_lossy(name).into_owned());
            assert_eq!(found.as_deref(), expected, "{body}");
        };
        check("trade_status=T&trade.status=", Some("trade.status"));
        check("trade_status=T&trade+status=", Some("trade status"));
        check("a=1&+a=", Some(" a"));
        check("a=1&a%5B%5D=", Some("a[]"));
        check("a_b=1&a%5Bb=", Some("a[b"));
        check("a=1&a%00x=", Some("a\0x"));
        check("x=1&gmt.refund=", Some("gmt.refund"));
        check("x=1&%E4%B8%AD.%E6%96%87=1&some.thing=2", None);
    }

    #[test]
    fn names_are_sorted_by_bytes() {
        assert_eq!(strings("sign_type=RSA2&a_b=1&aB=2&ab=3&a=4&A=5")[0].1, "A=5&a=4&aB=2&a_b=1&ab=3");
    }

    #[test]
    fn tries_are_bounded() {
        let body = "sign=x&sign_type=RSA2&a=+&b=";
        assert_eq!(strings(body).len(), TRIES_MAX);
    }

    #[test]
    fn a_value_that_could_be_split_elsewhere_is_seen() {
        let check = |body: &str, expected: Option<&str>| {
            let form = Form::parse(body.as_bytes(), LIMITS).unwrap();
            let found = ambiguous_field(&form.sorted()).map(|name| String::from_utf8_lossy(name).into_owned());
            assert_eq!(found.as_deref(), expected, "{body}");
        };
        check("subject=A%26B&body=a%3D1%26b%3D2", None);
        check("subject=S%26total_amount%3D1000.00%26tp%3D", Some("subject"));
        check("subject=S&total_amount=1000.00&tp=%26total_amount%3D0.01", Some("tp"));
        check("subject=total_amount%3D1", None);
        check("body=%26%26%26trade_status%3D", Some("body"));
        check("out_trade_no=T1%26passback_params%3Dx&subject=A%26B", Some("out_trade_no"));
        check("biz_content=%7B%22title%22%3A%22A%26B%22%7D", None);
        check("sign_scene=INDUSTRY%26some_field%3Dx", Some("sign_scene"));
        check("store_name=A%26B+%3D+good", None);
        assert!(ACTED_ON.iter().all(|name| name.len() <= ACTED_ON_LENGTH_MAX));
    }
}
