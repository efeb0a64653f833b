//! What was taken for the signed text, as it may be shown.
//!
//! No byte of a secret is in it, and nothing that follows from one: neither where it stands, when its bytes decide that,
//! nor a text that was opened with one. So the same request gives the same text under any wrong secret.

use super::Signing;
use crate::model::RawRequest;
use crate::signature::digest::DigestHash;
use crate::signature::trial::{How, Part, Trial};

/// Most characters of a signed text that are shown, so that a hostile body fills no screen. Of a longer one the beginning
/// and the end are shown: in the one stand the fields, at the other most protocols put the secret.
pub const SIGNED_SHOWN_MAX: usize = 4096;

/// Most checks that are shown.
pub const CHECKS_SHOWN_MAX: usize = 16;

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The algorithm.
    pub algorithm: &'static str,
    /// The digest whose text is signed in place of the text itself, where the protocol does so.
    pub first: Option<&'static str>,
    /// The key's label.
    pub key: String,
    /// The rule that made the text.
    pub variant: &'static str,
    /// The text on one line, at most [`SIGNED_SHOWN_MAX`] characters, so escaped that each stands for one text only: `\\`
    /// is a backslash, `\n` a line end, `\u{…}` a character that cannot be seen or told from a blank, `\x…` a byte
    /// that is no UTF-8. `<secret>` stands for a secret; where its place follows from its bytes, it stands at the end.
    /// `<sealed>` stands for a text that was opened with a secret. `\…` and a number stand for so many bytes in the middle
    /// that were left out.
    pub text: String,
    /// The text's bytes, without those of a secret; none of a sealed text.
    pub bytes: usize,
    /// Whether the check held.
    pub held: bool,
}

/// A piece of a request that is otherwise once what was found is undone, and what stands around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// `body`, `query` or `path`.
    pub part: &'static str,
    /// As it came, escaped as [`Signed::text`] is.
    pub came: String,
    /// As the platform sent it, escaped so too.
    pub sent: String,
}

/// Bytes before and behind a difference that are shown with it.
const AROUND_BYTES: usize = 96;

/// What stands for a secret.
const SECRET: &str = "<secret>";

/// What stands for a text that was opened with one.
const SEALED: &str = "<sealed>";

/// Bytes of the end of a long text that are shown.
const TAIL_BYTES: usize = 128;

/// Most characters that a byte is shown as, `\u{7f}`; what has several bytes takes fewer for each.
const ESCAPE_CHARS_MAX: usize = 6;

/// Characters of the mark that something was left out: `\…`, the digits of a number, and brackets.
const MARK_CHARS_MAX: usize = 32;

/// Most characters of the beginning of a long text.
const HEAD_CHARS: usize = SIGNED_SHOWN_MAX - TAIL_BYTES * ESCAPE_CHARS_MAX - SECRET.len() * 2 - MARK_CHARS_MAX;

/// Checks, each text once a key.
pub(super) fn signed<'t>(trials: impl IntoIterator<Item = &'t Trial>) -> Vec<Signed> {
    let mut shown: Vec<Signed> = Vec::new();
    for trial in trials {
        if shown.len() == CHECKS_SHOWN_MAX {
            break;
        }
        let signed = of(trial);
        if !shown.contains(&signed) {
            shown.push(signed);
        }
    }
    shown
}

/// Where a request differs from the one that the platform sent.
pub(super) fn restored(came: &RawRequest, sent: &RawRequest) -> Option<Restored> {
    let query = |request: &RawRequest| request.query.clone().unwrap_or_default();
    let (part, came, sent) = if came.body != sent.body {
        ("body", came.body.to_vec(), sent.body.to_vec())
    } else if came.query != sent.query {
        ("query", query(came).into_bytes(), query(sent).into_bytes())
    } else if came.path != sent.path {
        ("path", came.path.clone().into_bytes(), sent.path.clone().into_bytes())
    } else {
        return None;
    };
    let before = came.iter().zip(&sent).take_while(|(a, b)| a == b).count();
    let most = came.len().min(sent.len()) - before;
    let behind = came.iter().rev().zip(sent.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let near = |text: &[u8]| {
        let (mut start, end) = (before.saturating_sub(AROUND_BYTES), text.len() - behind.saturating_sub(AROUND_BYTES));
        // Not in the middle of a character.
        while start < before && text[start] & 0xc0 == 0x80 {
            start += 1;
        }
        escaped(&text[start..end], &[])
    };
    Some(Restored { part, came: near(&came), sent: near(&sent) })
}

/// A text that was signed in place of the one that was checked.
pub(super) fn signing(trial: &Trial, signing: &Signing) -> Signed {
    let mut other = trial.clone();
    other.signed.clone_from(&signing.signed);
    other.held = true;
    // The sender's own arithmetic, where it is another.
    match signing.how {
        How::Own => {}
        How::Hashed(first) => other.first = Some(first),
        How::Unhashed => other.first = None,
        How::Digest(hash) => (other.algorithm, other.first) = (hash.name(), None),
        How::Hmac(hash) => (other.algorithm, other.first) = (hash.step_name(), None),
        How::Rsa(hash) => (other.algorithm, other.first) = (rsa(hash), None),
        How::RsaBare(hash) => (other.algorithm, other.first) = ("RSA", Some(hash)),
        How::RsaPss => (other.algorithm, other.first) = ("RSA-PSS", None),
    }
    of(&other)
}

/// RSA with PKCS #1 v1.5 padding and this digest, for people.
fn rsa(hash: DigestHash) -> &'static str {
    match hash {
        DigestHash::Md5 => "RSA with MD5",
        DigestHash::Sha1 => "RSA with SHA-1",
        DigestHash::Sha256 => "RSA with SHA-256",
        DigestHash::Sha512 => "RSA with SHA-512",
        DigestHash::Sm3 => "RSA with SM3",
    }
}

fn of(trial: &Trial) -> Signed {
    let Trial { algorithm, variant, held, .. } = *trial;
    let (text, bytes) = if trial.is_sealed { (SEALED.to_owned(), 0) } else { text_of(trial) };
    Signed { algorithm, first: trial.first.map(DigestHash::name), key: trial.key.clone(), variant, text, bytes, held }
}

/// A text with the places at which a secret stands in it.
fn text_of(trial: &Trial) -> (String, usize) {
    let (mut whole, mut secrets) = (Vec::new(), Vec::new());
    for part in &trial.signed {
        match part {
            Part::Text(piece) => whole.extend_from_slice(piece),
            Part::Secret => secrets.push(whole.len()),
        }
    }
    if trial.is_place_secret {
        secrets = vec![whole.len()];
    }
    (escaped(&whole, &secrets), whole.len())
}

/// The whole text, or its beginning and its end.
fn escaped(whole: &[u8], secrets: &[usize]) -> String {
    let Head { text, is_whole, .. } = head(whole, secrets, SIGNED_SHOWN_MAX);
    if is_whole {
        return text;
    }
    let Head { mut text, read, .. } = head(whole, secrets, HEAD_CHARS);
    let mut tail = whole.len().saturating_sub(TAIL_BYTES).max(read);
    // Not in the middle of a character.
    while tail < whole.len() && tail > read && whole[tail] & 0xc0 == 0x80 {
        tail += 1;
    }
    let left = tail - read;
    let behind: Vec<usize> = secrets.iter().filter(|at| **at >= tail).map(|at| at - tail).collect();
    text.push_str("\\…[");
    text.push_str(&left.to_string());
    text.push(']');
    text.push_str(&head(&whole[tail..], &behind, TAIL_BYTES * ESCAPE_CHARS_MAX + SECRET.len() * 2).text);
    text
}

/// The beginning of a text.
struct Head {
    text: String,
    /// How many of its bytes are in it.
    read: usize,
    /// Whether it is all of it, with all secrets.
    is_whole: bool,
}

/// As much of a text as so many characters hold.
fn head(whole: &[u8], secrets: &[usize], chars_max: usize) -> Head {
    let (mut text, mut chars, mut read) = (String::new(), 0, 0);
    let mut secrets = secrets.iter().peekable();
    loop {
        while secrets.next_if(|place| **place <= read).is_some() {
            chars += SECRET.len();
            if chars > chars_max {
                return Head { text, read, is_whole: false };
            }
            text.push_str(SECRET);
        }
        let Some((piece, bytes)) = next(&whole[read..]) else { return Head { text, read, is_whole: true } };
        chars += piece.chars().count();
        if chars > chars_max {
            return Head { text, read, is_whole: false };
        }
        text.push_str(&piece);
        read += bytes;
    }
}

/// The first character of a text, escaped, and its bytes; none at the end.
fn next(rest: &[u8]) -> Option<(String, usize)> {
    // Four bytes hold any character, and are enough to see what is none.
    let window = &rest[..rest.len().min(4)];
    let chunk = window.utf8_chunks().next()?;
    let Some(character) = chunk.valid().chars().next() else {
        return Some((format!("\\x{:02x}", rest[0]), 1));
    };
    let is_mark = character == '<' && (rest.starts_with(SECRET.as_bytes()) || rest.starts_with(SEALED.as_bytes()));
    let piece = match character {
        '\\' => "\\\\".to_owned(),
        // They end nothing here.
        '\'' | '"' => character.to_string(),
        _ if is_mark => character.escape_unicode().to_string(),
        // What a font does not show, or shows as something else: controls, marks of direction, blanks of other widths.
        _ => character.escape_debug().to_string(),
    };
    Some((piece, character.len_utf8()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signature::digest::{DigestHash, DigestKey, HexCase, Piece, SecretDigest};
    use crate::signature::trial::listen;

    fn plain(text: &[u8]) -> String {
        escaped(text, &[])
    }

    #[test]
    fn what_cannot_be_seen_or_told_apart_is_escaped() {
        let check = |text: &str, shown: &str| assert_eq!(plain(text.as_bytes()), shown, "{text:?}");
        check("a=1&b=中文", "a=1&b=中文");
        check("{\"a\":'b'}", "{\"a\":'b'}");
        check("a\r\n\tb", "a\\r\\n\\tb");
        check("a\\nb", "a\\\\nb");
        check("\u{feff}a\u{200b}b\u{202e}c\u{a0}d\u{3000}e", "\\u{feff}a\\u{200b}b\\u{202e}c\\u{a0}d\\u{3000}e");
        check("<secret> <sealed> <b>", "\\u{3c}secret> \\u{3c}sealed> <b>");
        check("", "");
        assert_eq!(plain(b"a\xd6\xd0b\xe4\xb8"), "a\\xd6\\xd0b\\xe4\\xb8");
    }

    #[test]
    fn of_a_long_text_beginning_and_end_are_shown() {
        let long = ["a".repeat(5000), "&key=".to_owned()].concat();
        let shown = escaped(long.as_bytes(), &[long.len()]);
        assert!(shown.chars().count() <= SIGNED_SHOWN_MAX, "{}", shown.chars().count());
        assert!(shown.starts_with("aaaa") && shown.ends_with("aaa&key=<secret>"), "{shown}");
        let head = shown.find('\\').unwrap();
        let left: usize = shown[head + "\\…[".len()..].split(']').next().unwrap().parse().unwrap();
        assert_eq!(head + left + TAIL_BYTES, long.len());
        // The tail begins with a whole character.
        let chinese = "中".repeat(4000);
        let shown = plain(chinese.as_bytes());
        assert!(!shown.contains("\\x"), "{shown}");
        let ends = [SIGNED_SHOWN_MAX - 1, SIGNED_SHOWN_MAX, SIGNED_SHOWN_MAX + 1];
        assert_eq!(ends.map(|count| plain("a".repeat(count).as_bytes()).contains('…')), [false, false, true]);
    }

    #[test]
    fn the_text_is_the_same_under_any_wrong_secret() {
        let shown = |secret: &[u8]| {
            let key = SecretDigest::new(secret, DigestHash::Sha1, HexCase::Lower, "key").unwrap();
            let other = DigestKey::new(secret, DigestHash::Md5, "other").unwrap();
            let (_, heard) = listen(usize::MAX, || {
                key.verify_sorted(&[b"1", b"m", b"z"], b"no", "sorted").is_none()
                    && key.verify(b"a=1&key=", b"", b"no", "joined").is_none()
                    && other.verify_any(&[Piece::Secret, Piece::Text(b"a")], &[b"no"], "before").is_none()
            });
            heard.iter().map(of).collect::<Vec<_>>()
        };
        let first = shown(b"0");
        let texts: Vec<&str> = first.iter().map(|signed| signed.text.as_str()).collect();
        assert_eq!(texts, ["1mz<secret>", "a=1&key=<secret>", "<secret>a"]);
        for other in ["m", "zzzz", "1", "hello, I am another", "\u{0}"] {
            assert_eq!(shown(other.as_bytes()), first, "{other:?}");
        }
    }

    /// Reads what was shown back; none when it is no text of ours.
    fn unescaped(shown: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut rest = shown;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            if first != '\\' {
                bytes.extend_from_slice(first.to_string().as_bytes());
                continue;
            }
            let kind = rest.chars().next()?;
            rest = &rest[kind.len_utf8()..];
            match kind {
                '\\' => bytes.push(b'\\'),
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                '0' => bytes.push(0),
                'x' => {
                    bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                    rest = &rest[2..];
                }
                'u' => {
                    let (digits, behind) = rest.strip_prefix('{')?.split_once('}')?;
                    let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                    bytes.extend_from_slice(character.to_string().as_bytes());
                    rest = behind;
                }
                _ => return None,
            }
        }
        Some(bytes)
    }

    proptest! {
        #[test]
        fn each_shown_text_stands_for_one_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(unescaped(&plain(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn odd_texts_too(text in "[\\\\nux0{}<>a-z\u{200b}\u{a0}中\u{301}]{0,60}") {
            prop_assert_eq!(unescaped(&plain(text.as_bytes())).unwrap(), text.as_bytes());
        }

        #[test]
        fn no_text_is_shown_longer_than_the_bound(text in "[\u{1}\u{10ffff}a\u{200b}]{0,3000}", twice in any::<bool>()) {
            let all = if twice { text.repeat(4) } else { text };
            let shown = escaped(all.as_bytes(), &[0, all.len()]);
            prop_assert!(shown.chars().count() <= SIGNED_SHOWN_MAX);
            prop_assert!(shown.ends_with(SECRET));
        }
    }
}
