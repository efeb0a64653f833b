//! Form bodies: nothing is lost, merged or reordered, decoding agrees with a second and slower reading, and
//! the limits hold exactly.

use std::borrow::Cow;

use tollbell_channels::form::{self, Form, FormError, Limits};

/// What the largest platform takes.
const WIDE: Limits = Limits { bytes_max: 1 << 20, pairs_max: 1 << 20 };

pub(crate) fn check(data: &[u8]) {
    let expected = read(data);
    match (Form::parse(data, WIDE), &expected) {
        (Ok(form), Ok(pairs)) => {
            rejoins(&form, data);
            agrees(&form, data, pairs);
            comes_back(&form);
            limits_hold(data, form.pairs().len());
        }
        (Err(FormError::Percent { at }), Err(place)) => assert_eq!(at, *place, "the place of the broken percent sign"),
        (found, _) => panic!("the form reader says {found:?}, the second reading {expected:?}"),
    }
}

pub(crate) type Decoded = Vec<(Vec<u8>, Vec<u8>)>;

/// The second reading: byte by byte, one state, no slices. The error is the place of a broken percent sign.
pub(crate) fn read(body: &[u8]) -> Result<Decoded, usize> {
    let mut pairs: Decoded = Vec::new();
    let mut at = 0;
    while at < body.len() {
        if body[at] == b'&' {
            at += 1;
            continue;
        }
        let (mut name, mut value, mut is_value) = (Vec::new(), Vec::new(), false);
        while at < body.len() && body[at] != b'&' {
            let side = if is_value { &mut value } else { &mut name };
            match body[at] {
                b'=' if !is_value => is_value = true,
                b'+' => side.push(b' '),
                b'%' => {
                    let digits = body.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
                    let digits = digits.filter(|two| two.chars().all(|c| c.is_ascii_hexdigit()));
                    side.push(digits.and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or(at)?);
                    at += 2;
                }
                byte => side.push(byte),
            }
            at += 1;
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// The raw slices, joined again, are the body without its empty segments; a segment without `=` stays so.
fn rejoins(form: &Form<'_>, body: &[u8]) {
    let segments: Vec<&[u8]> = body.split(|byte| *byte == b'&').filter(|segment| !segment.is_empty()).collect();
    assert_eq!(segments.len(), form.pairs().len(), "one pair a segment");
    for (pair, segment) in form.pairs().iter().zip(segments) {
        let between: &[u8] = if segment.contains(&b'=') { b"=" } else { b"" };
        let joined = [pair.raw_name, between, pair.raw_value].concat();
        assert_eq!(joined, segment, "the raw slices of a pair");
    }
}

fn agrees(form: &Form<'_>, body: &[u8], expected: &Decoded) {
    assert_eq!(form.pairs().len(), expected.len());
    for (pair, (name, value)) in form.pairs().iter().zip(expected) {
        assert_eq!((pair.name.as_ref(), pair.value.as_ref()), (name.as_slice(), value.as_slice()));
        assert!(pair.value.len() <= pair.raw_value.len() && pair.name.len() <= pair.raw_name.len());
        // What needs no decoding borrows from the body.
        let is_plain = !pair.raw_value.iter().any(|byte| matches!(byte, b'%' | b'+'));
        assert_eq!(matches!(pair.value, Cow::Borrowed(_)), is_plain);
        let within = body.as_ptr_range();
        assert!(within.contains(&pair.raw_name.as_ptr()) || pair.raw_name.is_empty());
    }
    let mut names: Vec<&[u8]> = expected.iter().map(|(name, _)| name.as_slice()).collect();
    names.sort_unstable();
    // Where several names come twice, any of them is told.
    let mut twice = names.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]);
    match form.duplicate() {
        Some(name) => assert!(twice.any(|known| known == name), "{name:?} did not come twice"),
        None => assert_eq!(twice.next(), None, "came twice, and nobody is told"),
    }
    let sorted: Vec<&[u8]> = form.sorted().iter().map(|pair| pair.name.as_ref()).collect();
    assert_eq!(sorted, names);
    for (name, _) in expected {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let first = expected.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice());
        assert_eq!(form.first(name).map(|pair| pair.value.as_ref()), first);
    }
}

/// Escaped again as platforms do, the pairs read as they were.
fn comes_back(form: &Form<'_>) {
    let pairs = || form.pairs().iter().map(|pair| (pair.name.as_ref(), pair.value.as_ref()));
    let again = form::encode(pairs());
    let read = Form::parse(&again, WIDE).expect("what we escape has no broken percent sign");
    let back: Vec<_> = read.pairs().iter().map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect();
    assert!(pairs().map(|(name, value)| (name.to_vec(), value.to_vec())).eq(back));
}

/// A limit is the last number that passes.
fn limits_hold(body: &[u8], pairs: usize) {
    assert!(Form::parse(body, Limits { bytes_max: body.len(), pairs_max: pairs }).is_ok());
    if let Some(less) = pairs.checked_sub(1) {
        let found = Form::parse(body, Limits { pairs_max: less, ..WIDE });
        assert_eq!(found, Err(FormError::TooManyPairs { limit: less }));
    }
    if let Some(less) = body.len().checked_sub(1) {
        let found = Form::parse(body, Limits { bytes_max: less, ..WIDE });
        assert_eq!(found, Err(FormError::TooLarge { limit: less }));
    }
}
