//! Texts as they are sent, and what careless programs make of them.

use std::fmt::Write as _;

use tollbell_channels::model::RawRequest;

use super::stage::Scene;

/// The form in which a message comes, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "a message may have the form of a form")]
pub(crate) enum Form {
    /// Pairs in the body.
    Form,
    /// Pairs in the query, and no body.
    Query,
    Json,
    Xml,
    Other,
}

impl Form {
    pub(crate) fn of(request: &RawRequest) -> Self {
        let body = request.body.trim_ascii_start();
        match body.first() {
            None if request.query.is_some() => Self::Query,
            Some(b'{' | b'[') => Self::Json,
            Some(b'<') => Self::Xml,
            Some(_) if request.media_type() == "application/x-www-form-urlencoded" => Self::Form,
            None | Some(_) => Self::Other,
        }
    }
}

/// A name and a value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The pairs of a form or a query, decoded; none where the message is neither.
pub(crate) fn pairs(request: &RawRequest) -> Option<Vec<Pair>> {
    match Form::of(request) {
        Form::Form => Some(read_form(&request.body)),
        Form::Query => Some(read_form(request.query.as_deref()?.as_bytes())),
        _ => None,
    }
}

/// The scene with a form's text in place of its own.
pub(crate) fn with_form(mut scene: Scene<'_>, text: Vec<u8>) -> Option<Scene<'_>> {
    match Form::of(&scene.request) {
        Form::Form => Some(scene.with_body(text)),
        Form::Query => {
            scene.request.query = Some(String::from_utf8(text).ok()?);
            Some(scene)
        }
        _ => None,
    }
}

/// The scene with each value of its pairs changed, written as forms are.
pub(crate) fn with_values(scene: Scene<'_>, change: impl Fn(&Pair) -> Vec<u8>) -> Option<Scene<'_>> {
    let before = pairs(&scene.request)?;
    let after: Vec<Pair> = before.iter().map(|pair| (pair.0.clone(), change(pair))).collect();
    if before == after {
        return None;
    }
    with_form(scene, write_form(&after))
}

/// Reads a form as leniently as any reader would.
pub(crate) fn read_form(text: &[u8]) -> Vec<Pair> {
    let pieces = text.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty());
    let pair = |piece: &[u8]| match piece.iter().position(|&byte| byte == b'=') {
        Some(at) => (decoded(&piece[..at]), decoded(&piece[at + 1..])),
        None => (decoded(piece), Vec::new()),
    };
    pieces.map(pair).collect()
}

/// Writes a form as browsers and platforms do.
pub(crate) fn write_form(pairs: &[Pair]) -> Vec<u8> {
    let one = |(name, value): &Pair| [encoded(name), b"=".to_vec(), encoded(value)].concat();
    pairs.iter().map(one).collect::<Vec<_>>().join(&b'&')
}

/// Percent-decoded, with blanks for plus signs.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let blanks: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decoded(&blanks)
}

/// Percent-decoded, plus signs as they are.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if let (b'%', Some(high), Some(low)) = (text[at], digit(at + 1), digit(at + 2)) {
            out.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// Percent-encoded, with plus signs for blanks.
pub(crate) fn encoded(text: &[u8]) -> Vec<u8> {
    percent_encoded(text).split(|&byte| byte == b' ').collect::<Vec<_>>().join(&b'+')
}

/// Percent-encoded but for blanks.
pub(crate) fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let one = |&byte: &u8| {
        if byte.is_ascii_alphanumeric() || b"-._~* ".contains(&byte) {
            vec![byte]
        } else {
            format!("%{byte:02X}").into_bytes()
        }
    };
    text.iter().flat_map(one).collect()
}

/// Each piece replaced.
pub(crate) fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// Whether a piece is in a text.
pub(crate) fn has(text: &[u8], piece: &[u8]) -> bool {
    !piece.is_empty() && text.windows(piece.len()).any(|window| window == piece)
}

/// Escaped as HTML, with this for an apostrophe.
pub(crate) fn html_escaped(text: &[u8], apostrophe: &str) -> Vec<u8> {
    let one = |&byte: &u8| match byte {
        b'&' => b"&amp;".to_vec(),
        b'"' => b"&quot;".to_vec(),
        b'<' => b"&lt;".to_vec(),
        b'>' => b"&gt;".to_vec(),
        b'\'' => apostrophe.as_bytes().to_vec(),
        _ => vec![byte],
    };
    text.iter().flat_map(one).collect()
}

/// With a backslash before quotes and backslashes.
pub(crate) fn slashed(text: &[u8]) -> Vec<u8> {
    let one = |&byte: &u8| if b"'\"\\".contains(&byte) { vec![b'\\', byte] } else { vec![byte] };
    text.iter().flat_map(one).collect()
}

/// UTF-8 taken for Latin-1 and written as UTF-8 once more.
pub(crate) fn misread(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes()
}

/// In GBK; none where a character has no place in it.
pub(crate) fn in_gbk(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (bytes, _, is_lossy) = encoding_rs::GBK.encode(text);
    (!is_lossy).then(|| bytes.into_owned())
}

/// Whether a text is what base64 of a signature looks like.
pub(crate) fn is_base64(text: &[u8]) -> bool {
    text.len() >= 40
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
        && text.iter().any(|byte| b"+/=".contains(byte) || byte.is_ascii_uppercase())
        && text.iter().any(u8::is_ascii_lowercase)
}

/// In hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes all");
        text
    })
}

/// Bytes of hexadecimal digits; none for anything else.
pub(crate) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() % 2 == 0 && !text.is_empty())?;
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[test]
fn the_suite_reads_what_it_writes() {
    let pairs = vec![(b"a=b&c".to_vec(), b"=&+ %41 \xe9\0\n".to_vec()), (b"empty".to_vec(), Vec::new())];
    assert_eq!(read_form(&write_form(&pairs)), pairs);
    assert_eq!(misread("é".as_bytes()), "Ã©".as_bytes());
    assert_eq!(slashed(b"a'b\\"), b"a\\'b\\\\");
    assert_eq!(replaced(b"a+b+c", b"+", b"--"), b"a--b--c");
    assert_eq!(from_hex(hex(b"\x00\xff1").as_bytes()), Some(b"\x00\xff1".to_vec()));
}
