//! Percent-encoding that was undone or done once too often.

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::tries::Tries;
use super::super::values::{self, Kind, Value, with_body};
use crate::explain::{Case, Finding, Probe, Undo};
use crate::form;
use crate::settings::Text;

/// One decoding too many.
pub(in super::super) static DECODED_TWICE: Finding = Finding {
    id: "decoded_twice",
    title: Text {
        en: "`{field}` was percent-decoded once too often on the way",
        zh: "`{field}` 在途中多做了一次 URL 解码",
    },
    cause: Text {
        en: "`urldecode()` ran over the body before it was split into pairs, or over values of `$_POST` or `$_GET`, which PHP \
             has decoded already. What looked like `%26` or `%3D` in a value became `&` or `=`.",
        zh: "在把正文拆成键值对之前就做了 `urldecode()`，或者对 PHP 已经解码过的 `$_POST`/`$_GET` 再次解码；值里的 `%26`、`%3D` \
             因此变成了 `&`、`=`。",
    },
    cure: Text {
        en: "Remove the second decoding. Forward the body as the bytes that came, or build it with `http_build_query($_POST)`.",
        zh: "请去掉多余的那次解码；按收到的原始字节转发，或用 `http_build_query($_POST)` 重新生成表单。",
    },
    probes: &[Probe::Undo(decoded_twice)],
};

fn decoded_twice(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    for merging in [Merging::Broken, Merging::BehindPairs] {
        for plus in [Plus::Sign, Plus::InBase64, Plus::Blank] {
            let encode = |text: &[u8]| encoded_again(text, merging, plus);
            tries.pairs_as_written(true, &[("field", "body".to_owned())], encode);
        }
    }
    values_decoded(case, &mut tries);
    tries.undone()
}

/// Most values that are encoded again, each alone.
const ALONE_MAX: usize = 2;

/// Most values that are encoded again together. Real messages have one or two that hold pairs.
const HELD_MAX: usize = 64;

/// Values that hold pairs of their own, as merchants pass them through: encoded by them, decoded by somebody.
fn values_decoded(case: &Case<'_>, tries: &mut Tries<'_, '_>) {
    let all = values::all(case);
    texts_decoded(&all, tries);
    for group in holding_pairs(&all) {
        for blank in [&b"+"[..], b"%20"] {
            // Values come in the same order each time.
            let mut places = 0..;
            tries.values(false, &[], |value| {
                if places.next().is_some_and(|place| group.contains(&place)) {
                    let mut encoded = Vec::new();
                    form::encode_into(&mut encoded, &value.bytes);
                    return Some(super::replaced(&encoded, b"+", blank));
                }
                // The same decoding took the plus signs of base64.
                super::with_pluses(&value.bytes)
            });
        }
    }
}

/// The places of values that hold pairs, as they may have been decoded together.
fn holding_pairs(all: &[Value<'_>]) -> Vec<Vec<usize>> {
    // Who encodes pairs leaves no blanks between them; prose has some.
    let has_blank = |place: &usize| all[*place].bytes.contains(&b' ');
    let holding = all.iter().enumerate().filter(|(_, value)| value.is_pair() && holds_pairs(&value.bytes));
    let mut held: Vec<usize> = holding.map(|(place, _)| place).take(HELD_MAX).collect();
    held.sort_by_key(has_blank);
    let plain: Vec<usize> = held.iter().copied().filter(|place| !has_blank(place)).collect();
    let alone = held.iter().take(ALONE_MAX).map(|place| vec![*place]);
    let groups = [plain].into_iter().chain(alone).chain([held.clone()]);
    groups.filter(|group| !group.is_empty()).collect()
}

/// The same in the texts of a pair's value that is JSON: the decoding ran over all of it.
fn texts_decoded(all: &[Value<'_>], tries: &mut Tries<'_, '_>) {
    for blank in [&b"+"[..], b"%20"] {
        let encoded = |value: &Value<'_>| {
            let is_document = value.is_pair() && Kind::of(&value.bytes) == Kind::Json;
            is_document.then(|| json_encoded(&value.bytes, blank)).flatten()
        };
        if all.iter().any(|value| encoded(value).is_some()) {
            // The same decoding took the plus signs of base64.
            tries.values(false, &[], |value| encoded(value).or_else(|| super::with_pluses(&value.bytes)));
        }
    }
}

/// JSON with each text encoded that holds pairs; none where no text does.
fn json_encoded(json: &[u8], blank: &[u8]) -> Option<Vec<u8>> {
    values::json_texts(json, &mut |text| {
        let mut encoded = Vec::new();
        form::encode_into(&mut encoded, &text.bytes);
        holds_pairs(&text.bytes).then(|| super::replaced(&encoded, b"+", blank))
    })
}

/// What belongs to the value before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merging {
    /// What has no plain name, or no value, or a name that came before.
    Broken,
    /// That, and what follows a value that has an equals sign of its own.
    BehindPairs,
}

/// What a plus sign is in pairs that were decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plus {
    /// Itself: blanks were decoded, too.
    Sign,
    /// Itself in base64, elsewhere a blank.
    InBase64,
    /// A blank.
    Blank,
}

impl Plus {
    fn read(self, value: &[u8]) -> Vec<u8> {
        let blanked = |text: &[u8]| super::replaced(text, b"+", b" ");
        let is_base64 = |value: &[u8]| {
            value.len() >= super::BASE64_SHORTEST
                && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte))
        };
        match self {
            Self::Sign => value.to_vec(),
            // Certificates stand between lines with blanks of their own.
            Self::InBase64 if value.starts_with(b"-----BEGIN") => {
                let line = |line: &[u8]| if line.starts_with(b"-") { blanked(line) } else { line.to_vec() };
                value.split(|&byte| byte == b'\n').map(line).collect::<Vec<_>>().join(&b'\n')
            }
            Self::InBase64 if is_base64(value) => value.to_vec(),
            Self::Blank | Self::InBase64 => blanked(value),
        }
    }
}

/// Most pairs of a text that are encoded again. No platform's form has as many.
const PAIRS_MAX: usize = 256;

/// Pairs that were decoded as one text, encoded again; none where nothing shows that they were, and none of very many.
fn encoded_again(text: &[u8], merging: Merging, plus: Plus) -> Option<Vec<u8>> {
    if !text.iter().any(|&byte| is_never_written(byte)) {
        return None;
    }
    if memchr::memchr_iter(b'&', text).take(PAIRS_MAX).count() >= PAIRS_MAX {
        return None;
    }
    let mut pairs: Vec<(&[u8], Vec<u8>)> = Vec::new();
    let mut known: HashSet<&[u8]> = HashSet::new();
    for segment in text.split(|&byte| byte == b'&') {
        let middle = segment.iter().position(|&byte| byte == b'=');
        let name = &segment[..middle.unwrap_or(segment.len())];
        let is_plain =
            !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(byte));
        let is_pair = middle.is_some() && is_plain && !known.contains(name);
        match pairs.last_mut() {
            Some((_, value)) if !is_pair || merging == Merging::BehindPairs && has_pair(value) => {
                value.push(b'&');
                value.extend_from_slice(segment);
            }
            _ => {
                known.insert(name);
                pairs.push((name, middle.map_or(&[][..], |middle| &segment[middle + 1..]).to_vec()));
            }
        }
    }
    let pairs: Vec<(&[u8], Vec<u8>)> = pairs.into_iter().map(|(name, value)| (name, plus.read(&value))).collect();
    Some(form::encode(pairs.iter().map(|(name, value)| (*name, value.as_slice()))))
}

/// Bytes that stand in no form that anybody encoded.
fn is_never_written(byte: u8) -> bool {
    !byte.is_ascii() || b" \"{}<>\\^`|#".contains(&byte) || byte.is_ascii_control()
}

/// Whether a value holds a pair: an equals sign that is no padding.
fn has_pair(value: &[u8]) -> bool {
    super::without_padding(value).contains(&b'=')
}

/// Whether a value has what pairs are made of.
fn holds_pairs(value: &[u8]) -> bool {
    has_pair(value) && !matches!(Kind::of(value), Kind::Json | Kind::Xml) && !value.starts_with(b"-----")
}

/// One encoding too many.
pub(in super::super) static ENCODED_TWICE: Finding = Finding {
    id: "encoded_twice",
    title: Text {
        en: "`{field}` was encoded once too often on the way", zh: "`{field}` 在途中多做了一次编码"
    },
    cause: Text {
        en: "Values were percent-encoded before something encoded them again (`urlencode()` and then `http_build_query()`), \
             or a body that is no form was taken for one or put into a form's field.",
        zh: "值先被 `urlencode()`，随后又被 `http_build_query()` 等再次编码；或者把非表单的正文当作表单处理、塞进了表单字段。",
    },
    cure: Text {
        en: "Encode once; best forward the raw body with its own Content-Type.",
        zh: "只编码一次；最好连同原来的 Content-Type 直接转发原始正文。",
    },
    probes: &[Probe::Undo(encoded_twice)],
};

fn encoded_twice(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    whole_body(case, &mut tries);
    let has_escapes = values::all(case).iter().any(|value| decoded_again(&value.bytes, Blanks::Percent).is_some());
    for blanks in [Blanks::Percent, Blanks::Plus].into_iter().filter(|_| has_escapes) {
        tries.values(true, &[], |value| decoded_again(&value.bytes, blanks));
    }
    // The signature alone, where merchants' own texts hold percent signs.
    let is_base64 = |value: &[u8]| {
        value.len() >= SIGNATURE_SHORTEST
            && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
    };
    tries.values(true, &[], |value| decoded_again(&value.bytes, Blanks::Percent).filter(|value| is_base64(value)));
    tries.headers(true, &[], |value| {
        let decoded = decoded_again(value.as_bytes(), Blanks::Percent)?;
        String::from_utf8(decoded).ok().filter(|value| is_base64(value.as_bytes()))
    });
    tries.undone()
}

/// Shortest signature in base64: MD5.
const SIGNATURE_SHORTEST: usize = 22;

/// What stands for a blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blanks {
    Percent,
    Plus,
}

/// A value decoded once more; none where nothing is encoded, or a percent sign is no escape.
fn decoded_again(value: &[u8], blanks: Blanks) -> Option<Vec<u8>> {
    let mut is_escape = memchr::memchr_iter(b'%', value)
        .map(|at| value.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    let is_encoded = value.contains(&b'%') || blanks == Blanks::Plus && value.contains(&b'+');
    if !is_encoded || !is_escape.all(|is_escape| is_escape) {
        return None;
    }
    Some(match blanks {
        Blanks::Percent => percent_encoding::percent_decode(value).collect(),
        Blanks::Plus => values::decoded(value).into_owned(),
    })
}

/// A body that was encoded as a whole, or went through a form: alone as a name, or as the value of one field.
fn whole_body(case: &Case<'_>, tries: &mut Tries<'_, '_>) {
    let body: &[u8] = case.request.body.trim_ascii();
    if !case.kept.has_bytes || body.is_empty() || body.len() > values::BODY_BYTES_MAX {
        return;
    }
    let mut push = |field: &str, inner: &[u8]| {
        if matches!(Kind::of(inner), Kind::Json | Kind::Xml | Kind::Form) && inner != body {
            tries.push(true, vec![("field", crate::channel::quote(field))], with_body(&case.request, inner));
        }
    };
    let bare = body.strip_suffix(b"=").unwrap_or(body);
    let first = percent_encoding::percent_decode(bare).next();
    let is_document = matches!(first, Some(b'{' | b'[' | b'<'));
    if is_document && (bare.contains(&b'%') || bare.len() < body.len()) {
        let percent: Vec<u8> = percent_encoding::percent_decode(bare).collect();
        push("body", &percent);
        push("body", &values::decoded(bare));
        push("body", bare);
    }
    if !bare.contains(&b'=') && memchr::memmem::find(bare, b"%3D").is_some() {
        push("body", &Cow::from(percent_encoding::percent_decode(bare)));
    }
    if Kind::of(body) == Kind::Form
        && !body.contains(&b'&')
        && let Some(middle) = body.iter().position(|&byte| byte == b'=')
    {
        let inner = values::decoded(&body[middle + 1..]);
        if matches!(Kind::of(&inner), Kind::Json | Kind::Xml) {
            push(&String::from_utf8_lossy(&values::decoded(&body[..middle])), &inner);
        }
    }
    // A JSON text inside a JSON text.
    if body.starts_with(b"\"")
        && let Ok(inner) = serde_json::from_slice::<String>(body)
    {
        push("body", inner.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str, merging: Merging) -> Option<String> {
        encoded_again(text.as_bytes(), merging, Plus::Sign).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_was_split_too_late_is_put_together_again() {
        assert_eq!(again("a=1+2&b=%20", Merging::Broken), None);
        assert_eq!(again("a=1 2&b=x+y/z==", Merging::Broken).as_deref(), Some("a=1+2&b=x%2By%2Fz%3D%3D"));
        assert_eq!(again("a=x & y&b=2", Merging::Broken).as_deref(), Some("a=x+%26+y&b=2"));
        assert_eq!(again("a=\"c=1&d=2&b=3", Merging::Broken).as_deref(), Some("a=%22c%3D1&d=2&b=3"));
        assert_eq!(again("a=\"c=1&d=2", Merging::BehindPairs).as_deref(), Some("a=%22c%3D1%26d%3D2"));
    }

    #[test]
    fn of_very_many_pairs_none_is_encoded_again() {
        let body = |count: usize| (0..count).map(|at| format!("a{at}=1 2")).collect::<Vec<_>>().join("&");
        for merging in [Merging::Broken, Merging::BehindPairs] {
            assert_eq!(again(&body(PAIRS_MAX), merging), Some(body(PAIRS_MAX).replace(' ', "+")));
            assert_eq!(again(&body(PAIRS_MAX + 1), merging), None);
        }
        // What comes twice is a part of what stands before it.
        assert_eq!(again("a=1 2&b=3&a=4", Merging::Broken).as_deref(), Some("a=1+2&b=3%26a%3D4"));
    }

    #[test]
    fn values_that_hold_pairs_are_known_by_their_places() {
        let value = |bytes: &'static [u8]| Value { place: values::Place::Form, name: "a".into(), bytes: bytes.into() };
        let all = [value(b"1"), value(b"b=1 c"), value(b"b=1"), value(b"b=1")];
        assert_eq!(holding_pairs(&all), [vec![2, 3], vec![2], vec![3], vec![2, 3, 1]]);
        let many = vec![value(b"b=1"); 4 * HELD_MAX];
        assert_eq!(holding_pairs(&many).iter().map(Vec::len).collect::<Vec<_>>(), [HELD_MAX, 1, 1, HELD_MAX]);
        assert_eq!(holding_pairs(&all[..1]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn texts_of_json_that_hold_pairs_are_encoded_again() {
        let again = |text: &str| json_encoded(text.as_bytes(), b"%20").map(|text| String::from_utf8(text).unwrap());
        let (came, sent) = (r#"{"a":"b=1&c=d e","f":"g h"}"#, r#"{"a":"b%3D1%26c%3Dd%20e","f":"g h"}"#);
        assert_eq!(again(came).as_deref(), Some(sent));
        assert_eq!(again(r#"{"a":"b","f":"QUJDRA=="}"#), None);
    }

    #[test]
    fn plus_signs_stay_in_base64() {
        let read = |value: &str| String::from_utf8(Plus::InBase64.read(value.as_bytes())).unwrap();
        assert_eq!(read("2026-11-21+04:00:00"), "2026-11-21 04:00:00");
        assert_eq!(read("ab+cd/ef=="), "ab cd/ef==");
        assert_eq!(read("abcdefgh+ijklmno/pqrstuvwx=="), "abcdefgh+ijklmno/pqrstuvwx==");
        assert_eq!(read("-----BEGIN+CERTIFICATE-----\r\nab+cd\r\n"), "-----BEGIN CERTIFICATE-----\r\nab+cd\r\n");
    }

    #[test]
    fn values_are_decoded_again_only_where_every_percent_sign_is_an_escape() {
        assert_eq!(decoded_again(b"a%2Bb+c", Blanks::Percent).as_deref(), Some(&b"a+b+c"[..]));
        assert_eq!(decoded_again(b"a%2Bb+c", Blanks::Plus).as_deref(), Some(&b"a+b c"[..]));
        assert_eq!(decoded_again(b"two+words", Blanks::Plus).as_deref(), Some(&b"two words"[..]));
        assert_eq!(decoded_again(b"two+words", Blanks::Percent), None);
        assert_eq!(decoded_again(b"100%", Blanks::Plus), None);
        assert_eq!(decoded_again(b"abc", Blanks::Plus), None);
    }
}
