//! Headers that say more than the signature: a word before it, several in a row, or all of it percent-encoded. What
//! the platform could have written is read, and nothing else.

use tollbell_channels::model::{Notification, RawRequest};
use tollbell_channels::simulate::{Cover, Story, Written};

use super::cover::signature_of;
use super::world::{World, with_every_platform, with_header};

/// Signatures in one header that are more than any rotation needs.
const FLOOD: usize = 10_000;

/// What stands in a header between its separators, decoded.
pub(crate) fn entries(header: &[u8], written: Written) -> Vec<Vec<u8>> {
    let decoded = if written.is_percent_encoded { decoded(header) } else { header.to_vec() };
    let Some(between) = written.between.map(str::as_bytes) else { return vec![decoded] };
    let mut entries = Vec::new();
    let mut rest = decoded.as_slice();
    while let Some(at) = rest.windows(between.len()).position(|window| window == between) {
        entries.push(rest[..at].to_vec());
        rest = &rest[at + between.len()..];
    }
    entries.push(rest.to_vec());
    entries
}

/// The signature of an entry; none where it is another's.
pub(crate) fn signature(entry: &[u8], written: Written) -> Option<Vec<u8>> {
    entry.strip_prefix(written.before.as_bytes()).map(<[u8]>::to_vec)
}

/// A header with these signatures.
pub(crate) fn header(signatures: &[Vec<u8>], written: Written) -> Vec<u8> {
    let entries: Vec<Vec<u8>> = signatures.iter().map(|one| [written.before.as_bytes(), one].concat()).collect();
    let text = entries.join(written.between.unwrap_or_default().as_bytes());
    if written.is_percent_encoded { encoded(&text, Escapes::Needed) } else { text }
}

/// Which bytes are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escapes {
    /// All but letters and digits.
    Needed,
    /// The same, with small digits.
    Small,
    /// All of them.
    All,
    /// None that could stand as it is.
    Few,
}

fn encoded(text: &[u8], escapes: Escapes) -> Vec<u8> {
    let one = |&byte: &u8| {
        let is_bare = match escapes {
            Escapes::Needed | Escapes::Small => byte.is_ascii_alphanumeric(),
            Escapes::All => false,
            Escapes::Few => byte.is_ascii_graphic() && byte != b'%',
        };
        match (is_bare, escapes) {
            (true, _) => vec![byte],
            (false, Escapes::Small) => format!("%{byte:02x}").into_bytes(),
            (false, _) => format!("%{byte:02X}").into_bytes(),
        }
    };
    text.iter().flat_map(one).collect()
}

/// What cannot be decoded stays as it is, as careless readers have it.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let digits = text.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(decoded) = digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(decoded);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

/// The other ways in which a platform could have written the same.
fn alike(signature: &[u8], [other, another]: &[Vec<u8>; 2], written: Written) -> Vec<(&'static str, Vec<u8>)> {
    let own = signature.to_vec();
    let mut ways = Vec::new();
    if written.between.is_some() {
        ways.push(("behind another", header(&[other.clone(), own.clone()], written)));
        ways.push(("before another", header(&[own.clone(), other.clone()], written)));
        ways.push(("among others", header(&[other.clone(), own.clone(), another.clone()], written)));
    }
    if written.is_percent_encoded {
        let text = [written.before.as_bytes(), &own].concat();
        for escapes in [Escapes::Small, Escapes::All, Escapes::Few] {
            ways.push(("with other escapes", encoded(&text, escapes)));
        }
    }
    ways
}

/// What a careless reader would take for the same.
fn unlike(signature: &[u8], other: &[u8], written: Written) -> Vec<(String, Vec<u8>)> {
    let own = header(&[signature.to_vec()], written);
    let plain = [written.before.as_bytes(), signature].concat();
    let wrapped = |text: &[u8]| if written.is_percent_encoded { encoded(text, Escapes::Needed) } else { text.to_vec() };
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    if !written.before.is_empty() {
        let before = written.before.as_bytes();
        let shown = written.before;
        cases.push((format!("without {shown}"), wrapped(signature)));
        cases.push((format!("{shown} alone"), wrapped(before)));
        cases.push((format!("{shown} twice"), wrapped(&[before, &plain].concat())));
        cases.push((format!("{shown} behind"), wrapped(&[signature, before].concat())));
        let other_case =
            |byte: &u8| if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        let shouted: Vec<u8> = before.iter().map(other_case).collect();
        if shouted != before {
            cases.push((format!("{shown} in the other case"), wrapped(&[&shouted, signature].concat())));
        }
        for at in 0..before.len() {
            let mut changed = before.to_vec();
            changed[at] ^= 1;
            cases.push((format!("{shown} with another byte {at}"), wrapped(&[&changed, signature].concat())));
            changed.remove(at);
            cases.push((format!("{shown} without byte {at}"), wrapped(&[&changed, signature].concat())));
        }
    }
    if let Some(between) = written.between.map(str::as_bytes) {
        let shown = between.escape_ascii();
        cases.push((format!("{shown} before"), wrapped(&[between, &plain].concat())));
        cases.push((format!("{shown} behind"), wrapped(&[&plain, between].concat())));
        cases.push((format!("{shown} alone"), wrapped(between)));
        for wrong in [b",".as_slice(), b";", b"|", b"\t", b" ", b", ", b"; "] {
            let is_right = wrong == between || between.starts_with(wrong) || wrong.starts_with(between);
            if !is_right {
                let joined = [written.before.as_bytes(), other, wrong, &plain].concat();
                cases.push((format!("{} for {shown}", wrong.escape_ascii()), wrapped(&joined)));
            }
        }
        let mut many = vec![other.to_vec(); FLOOD];
        many.push(signature.to_vec());
        cases.push((format!("behind {FLOOD} others"), header(&many, written)));
        cases.push(("others alone".to_owned(), header(&vec![other.to_vec(); 3], written)));
    }
    if written.is_percent_encoded {
        cases.push(("encoded twice".to_owned(), encoded(&encoded(&plain, Escapes::All), Escapes::Needed)));
        for broken in [b"%".as_slice(), b"%4", b"%zz", b"%00", b"%FF"] {
            cases.push((format!("with {} behind", broken.escape_ascii()), [&own, broken].concat()));
            cases.push((format!("with {} before", broken.escape_ascii()), [broken, &own].concat()));
        }
    }
    cases
}

#[test]
fn what_the_platform_could_have_written_is_read() {
    with_every_platform(ways_of_writing_are_read);
}

pub(crate) fn ways_of_writing_are_read(world: &World) {
    for (label, original, signature, others, written, with) in stages(world) {
        for (way, header) in alike(&signature, &others, written) {
            let found = world.accepts(&format!("{label}: {way}"), &with(&header));
            assert_eq!(found, original, "{}: {label}: {way}", world.platform.kind);
        }
    }
}

#[test]
fn what_it_could_not_have_written_is_refused() {
    with_every_platform(other_writings_are_refused);
}

pub(crate) fn other_writings_are_refused(world: &World) {
    for (label, _, signature, others, written, with) in stages(world) {
        for (case, header) in unlike(&signature, &others[0], written) {
            world.refuses(&format!("{label}: {case}"), &with(&header));
        }
    }
}

type Stage = (String, Notification, Vec<u8>, [Vec<u8>; 2], Written, Box<dyn Fn(&[u8]) -> RawRequest>);

/// Each message with such a header: what it says, its signature, those of two others, and how the header is set.
fn stages(world: &World) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (story, genuine) in world.callbacks() {
        let Cover::BodyAndWritten { signature: name, written, .. } = genuine.cover else { continue };
        let original = world.accepts("as it came", &genuine.request);
        let signature = signature_of(&genuine);
        assert!(!signature.is_empty(), "{}: no signature where it is said to be", world.platform.kind);
        let others = ["8", "9"].map(|digit| {
            let order_no = format!("{}{digit}", story.order_no);
            signature_of(&world.side.callback(&Story { order_no, ..story.clone() }))
        });
        let request = genuine.request.clone();
        let with = move |header: &[u8]| with_header(&request, name, header);
        stages.push((story.kind.to_string(), original, signature, others, written, Box::new(with)));
    }
    stages
}

#[test]
fn the_suite_reads_what_it_writes() {
    let listed = Written { before: "v1,", between: Some(" "), is_percent_encoded: false };
    assert_eq!(header(&[b"a=".to_vec(), b"b".to_vec()], listed), b"v1,a= v1,b");
    let read: Vec<_> = entries(b"v2,x v1,a= v1,b", listed).iter().map(|entry| signature(entry, listed)).collect();
    assert_eq!(read, [None, Some(b"a=".to_vec()), Some(b"b".to_vec())]);
    let escaped = Written { before: "sha256=", between: None, is_percent_encoded: true };
    assert_eq!(header(&[b"a+/=".to_vec()], escaped), b"sha256%3Da%2B%2F%3D");
    for escapes in [Escapes::Needed, Escapes::Small, Escapes::All, Escapes::Few] {
        assert_eq!(entries(&encoded(b"sha256=a+/=", escapes), escaped), [b"sha256=a+/=".to_vec()], "{escapes:?}");
    }
    assert_eq!(decoded(b"%%4%zz%41"), b"%%4%zzA");
}
