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

/// The name of a field whose value holds `&name=` for a field that we act on. Joining does not escape, so
/// such a message has the same signed string as another one, split elsewhere: whoever chooses the subject
/// of an order could choose its `total_amount`. The two cannot be told apart, so a person looks.
pub(super) fn ambiguous_field<'p>(sorted: &[&'p Pair<'_>]) -> Option<&'p [u8]> {
    sorted.iter().find(|pair| holds_a_field(&pair.value)).map(|pair| pair.name.as_ref())
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

/// Fields whose value changes what we believe about money.
const ACTED_ON: &[&str] = &[
    "agreement_no",
    "app_id",
    "auth_app_id",
    "biz_content",
    "gmt_refund",
    "msg_method",
    "notify_id",
    "notify_type",
    "out_biz_no",
    "out_request_no",
    "out_trade_no",
    "refund_fee",
    "seller_id",
    "status",
    "total_amount",
    "trade_no",
    "trade_status",
    "trans_currency",
];

/// Length of the longest name in [`ACTED_ON`].
const ACTED_ON_LENGTH_MAX: usize = 14;

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
            &[
                ("v1-keep", "a=1&alipay_cert_sn=s"),
                ("v2-keep", "a=1&alipay_cert_sn=s&sign_type=RSA2"),
                ("v1-without-serial-keep", "a=1"),
            ],
        );
    }

    #[test]
    fn names_are_sorted_by_bytes() {
        assert_eq!(strings("sign_type=RSA2&a_b=1&aB=2&ab=3&a=4&A=5")[0].1, "A=5&a=4&aB=2&a_b=1&ab=3");
    }

    #[test]
    fn tries_are_bounded() {
        let body = "sign=x&sign_type=RSA2&alipay_cert_sn=&a=+&b=";
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
        assert!(ACTED_ON.iter().all(|name| name.len() <= ACTED_ON_LENGTH_MAX));
    }
}
