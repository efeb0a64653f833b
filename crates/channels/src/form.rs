//! Bodies of `application/x-www-form-urlencoded`, split by ourselves and seen in three views: the raw
//! slices as they arrived, the bytes that percent-decoding gives, and text (by [`crate::charset`]).
//!
//! Signatures are made over decoded bytes, so nothing here knows a charset, and nothing is dropped,
//! merged or reordered: two pairs of one name stay two pairs, and [`Form::duplicate`] tells. Pairs that
//! need no decoding borrow from the body.
//!
//! Stricter than a browser in one point: a `%` without two hexadecimal digits is an error. Readers differ
//! about its meaning, and no platform that escapes its values sends one.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::sorted::twice;

/// How much of a body is split. A platform names both from what its largest genuine message needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest body, in bytes.
    pub bytes_max: usize,
    /// Most pairs.
    pub pairs_max: usize,
}

/// One `name=value` of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The name as it arrived.
    pub raw_name: &'a [u8],
    /// The value as it arrived; empty when there was no `=`.
    pub raw_value: &'a [u8],
    /// The name, decoded exactly once.
    pub name: Cow<'a, [u8]>,
    /// The value, decoded exactly once: `+` is a blank, `%2B` a plus.
    pub value: Cow<'a, [u8]>,
}

impl Pair<'_> {
    /// Whether the value is empty or nothing but ASCII blanks.
    pub fn is_blank(&self) -> bool {
        self.value.iter().all(u8::is_ascii_whitespace)
    }
}

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Larger than [`Limits::bytes_max`].
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// More than [`Limits::pairs_max`].
    #[error("more than {limit} pairs")]
    TooManyPairs {
        /// The limit.
        limit: usize,
    },
    /// A `%` that two hexadecimal digits do not follow.
    #[error("a percent sign at byte {at} is not followed by two hexadecimal digits")]
    Percent {
        /// Where in the body.
        at: usize,
    },
}

/// The pairs of a body, in the order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form<'a> {
    pairs: Vec<Pair<'a>>,
}

impl<'a> Form<'a> {
    /// Splits a body (or a query). Empty segments (`a=1&&b=2&`) say nothing and are passed over; a
    /// segment without `=` is a name with an empty value.
    ///
    /// # Errors
    /// [`FormError`] when a limit is passed or a percent sign is broken.
    pub fn parse(body: &'a [u8], limits: Limits) -> Result<Self, FormError> {
        if body.len() > limits.bytes_max {
            return Err(FormError::TooLarge { limit: limits.bytes_max });
        }
        let mut pairs = Vec::with_capacity(PAIRS_EXPECTED.min(limits.pairs_max));
        let mut start = 0;
        while start < body.len() {
            if body[start] == b'&' {
                start += 1;
                continue;
            }
            let at = start;
            let end = memchr(b'&', &body[at..]).map_or(body.len(), |length| at + length);
            let segment = &body[at..end];
            start = end + 1;
            if pairs.len() == limits.pairs_max {
                return Err(FormError::TooManyPairs { limit: limits.pairs_max });
            }
            let (raw_name, raw_value) = match memchr(b'=', segment) {
                Some(middle) => (&segment[..middle], &segment[middle + 1..]),
                None => (segment, &segment[segment.len()..]),
            };
            pairs.push(Pair {
                raw_name,
                raw_value,
                name: decode(raw_name, at)?,
                value: decode(raw_value, at + raw_name.len() + 1)?,
            });
        }
        Ok(Self { pairs })
    }

    /// Every pair, in the order of arrival.
    pub fn pairs(&self) -> &[Pair<'a>] {
        &self.pairs
    }

    /// The first pair of this decoded name.
    pub fn first(&self, name: &str) -> Option<&Pair<'a>> {
        self.pairs.iter().find(|pair| *pair.name == *name.as_bytes())
    }

    /// The decoded value of the first pair of this name; none when there is no such pair, or its value is
    /// empty or blank. For forms whose [`Form::duplicate`] was refused.
    pub fn present(&self, name: &str) -> Option<&[u8]> {
        self.first(name).filter(|pair| !pair.is_blank()).map(|pair| pair.value.as_ref())
    }

    /// Like [`Form::present`], for values that are ASCII in every genuine message (ids, words).
    pub fn present_ascii(&self, name: &str) -> Option<&str> {
        self.present(name).filter(|value| value.is_ascii()).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The pairs sorted by decoded name, byte by byte; pairs of one name keep their order.
    pub fn sorted(&self) -> Vec<&Pair<'a>> {
        let mut sorted: Vec<&Pair<'a>> = self.pairs.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        sorted
    }

    /// The body with another value of the pair of one decoded name, where there is such a pair and its value is not
    /// blank; every other byte of a pair as it came. For forms whose [`Form::duplicate`] was refused.
    pub(crate) fn with_value(&self, name: &str, value: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for pair in &self.pairs {
            if !body.is_empty() {
                body.push(b'&');
            }
            body.extend_from_slice(pair.raw_name);
            body.push(b'=');
            if *pair.name == *name.as_bytes() && !pair.is_blank() {
                encode_into(&mut body, value.as_bytes());
            } else {
                body.extend_from_slice(pair.raw_value);
            }
        }
        body
    }

    /// A decoded name that more than one pair has. Two readers of such a body can see two messages.
    pub fn duplicate(&self) -> Option<&[u8]> {
        twice(self.pairs.iter().map(|pair| pair.name.as_ref()))
    }
}

/// Puts pairs together again, each as it was written.
pub fn written<'p, 'a: 'p>(pairs: impl IntoIterator<Item = &'p Pair<'a>>) -> Vec<u8> {
    let mut written = Vec::new();
    for pair in pairs {
        if !written.is_empty() {
            written.push(b'&');
        }
        written.extend_from_slice(pair.raw_name);
        written.push(b'=');
        written.extend_from_slice(pair.raw_value);
    }
    written
}

/// A name that comes twice in what [`Form::sorted`] gave.
pub fn duplicate<'p>(sorted: &[&'p Pair<'_>]) -> Option<&'p [u8]> {
    sorted.windows(2).find(|two| two[0].name == two[1].name).map(|two| two[0].name.as_ref())
}

/// Decodes one piece of a form; `at` is where it begins, for the error.
fn decode(raw: &[u8], at: usize) -> Result<Cow<'_, [u8]>, FormError> {
    let Some(mut escape) = memchr2(b'%', b'+', raw) else { return Ok(Cow::Borrowed(raw)) };
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    loop {
        let (plain, tail) = rest.split_at(escape);
        decoded.extend_from_slice(plain);
        rest = match tail {
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(nibble(*high) << 4 | nibble(*low));
                after
            }
            [b'+', after @ ..] => {
                decoded.push(b' ');
                after
            }
            _ => return Err(FormError::Percent { at: at + raw.len() - tail.len() }),
        };
        // Escapes come in rows: a Chinese character has three.
        if let [b'%' | b'+', ..] = rest {
            escape = 0;
            continue;
        }
        let Some(next) = memchr2(b'%', b'+', rest) else {
            decoded.extend_from_slice(rest);
            return Ok(Cow::Owned(decoded));
        };
        escape = next;
    }
}

/// The value of a hexadecimal digit that was checked to be one.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

/// Escapes a piece of a form as payment platforms do: letters, digits and `*-._` stay, a blank is `+`,
/// all else is `%XX` in capitals.
pub fn encode_into(out: &mut Vec<u8>, piece: &[u8]) {
    for byte in piece {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(*byte),
            b' ' => out.push(b'+'),
            other => {
                out.push(b'%');
                for half in [other >> 4, other & 15] {
                    out.push(if half < 10 { b'0' + half } else { b'A' + half - 10 });
                }
            }
        }
    }
}

/// Makes a body of decoded pairs, escaped by [`encode_into`].
pub fn encode<'p>(pairs: impl IntoIterator<Item = (&'p [u8], &'p [u8])>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in pairs {
        if !body.is_empty() {
            body.push(b'&');
        }
        encode_into(&mut body, name);
        body.push(b'=');
        encode_into(&mut body, value);
    }
    body
}

/// Room that is made for pairs at first: a payment notification has about 25.
const PAIRS_EXPECTED: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { bytes_max: 4096, pairs_max: 8 };

    fn split(body: &str) -> Result<Vec<(String, String)>, FormError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Form::parse(body.as_bytes(), LIMITS)
            .map(|form| form.pairs().iter().map(|pair| (text(&pair.name), text(&pair.value))).collect())
    }

    #[test]
    fn values_are_decoded_exactly_once() {
        let check = |body: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(split(body).unwrap(), expected, "{body:?}");
        };
        check("", &[]);
        check("&&", &[]);
        check("a=1&b=2", &[("a", "1"), ("b", "2")]);
        check("a=1&&b=2&", &[("a", "1"), ("b", "2")]);
        check("a", &[("a", "")]);
        check("a=", &[("a", "")]);
        check("=v", &[("", "v")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a=1+2%2B3%20", &[("a", "1 2+3 ")]);
        check("a=%2525", &[("a", "%25")]);
        check("a%3Db=%26", &[("a=b", "&")]);
        check("s=%e4%B8%ad", &[("s", "中")]);
        check("a=1&a=2", &[("a", "1"), ("a", "2")]);
    }

    #[test]
    fn a_broken_percent_sign_is_an_error_with_its_place() {
        for (body, at) in
            [("%", 0), ("a=%", 2), ("a=%G1", 2), ("a=%1", 2), ("a=%%41", 2), ("x=1&a=b%+1", 7), ("b%zz=1", 1)]
        {
            assert_eq!(split(body), Err(FormError::Percent { at }), "{body:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let body = vec![b'a'; LIMITS.bytes_max + 1];
        assert_eq!(Form::parse(&body, LIMITS), Err(FormError::TooLarge { limit: LIMITS.bytes_max }));
        assert!(Form::parse(&body[1..], LIMITS).is_ok());
        assert_eq!(split(&"a&".repeat(9)), Err(FormError::TooManyPairs { limit: 8 }));
        assert_eq!(split(&"a&".repeat(8)).map(|pairs| pairs.len()), Ok(8));
        assert!(split(&"&".repeat(4000)).unwrap().is_empty());
    }

    #[test]
    fn a_name_given_twice_is_seen_through_its_escapes() {
        let duplicate = |body: &str| Form::parse(body.as_bytes(), LIMITS).unwrap().duplicate().map(<[u8]>::to_vec);
        assert_eq!(duplicate("a=1&b=2&c=3"), None);
        assert_eq!(duplicate("b=1&a=1&b=1"), Some(b"b".to_vec()));
        assert_eq!(duplicate("sign=1&x=2&%73ign=1"), Some(b"sign".to_vec()));
        assert_eq!(duplicate("a=1&A=1"), None);
    }

    #[test]
    fn an_empty_or_blank_value_is_not_present() {
        let form = Form::parse(b"a=&b=+%09&c=+x&d", LIMITS).unwrap();
        assert_eq!((form.present("a"), form.present("b"), form.present("d")), (None, None, None));
        assert_eq!(form.present("c"), Some(&b" x"[..]));
        assert!(form.first("a").is_some());
    }

    #[test]
    fn plain_pairs_borrow_and_raw_slices_are_kept() {
        let form = Form::parse(b"ab=cd&e=%41", LIMITS).unwrap();
        assert!(matches!(form.pairs()[0].value, Cow::Borrowed(b"cd")));
        assert_eq!((form.pairs()[1].raw_value, form.pairs()[1].value.as_ref()), (&b"%41"[..], &b"A"[..]));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(form) = Form::parse(&body, LIMITS) {
                prop_assert!(form.pairs().len() <= LIMITS.pairs_max);
                let _ = form.duplicate();
            }
        }

        #[test]
        fn hostile_looking_bodies_do_not_panic(body in "[a%+=&1G]{0,40}") {
            prop_assert!(split(&body).is_ok_and(|pairs| pairs.len() <= LIMITS.pairs_max) || split(&body).is_err());
        }

        #[test]
        fn what_was_encoded_is_decoded(
            pairs in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 1..20), proptest::collection::vec(any::<u8>(), 0..40)), 0..8,
            )
        ) {
            let body = encode(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
            let form = Form::parse(&body, LIMITS).unwrap();
            let back: Vec<_> = form.pairs().iter().map(|p| (p.name.to_vec(), p.value.to_vec())).collect();
            prop_assert_eq!(back, pairs);
        }
    }
}
