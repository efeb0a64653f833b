//! FastCGI records of a hostile application: however its bytes are cut into pieces, the same is heard; a second
//! reader of whole records hears it too; and no length in the input makes us keep more than we said.
//!
//! The first byte of the input is the size of the pieces.

use tollbell::targets::fastcgi::fuzzing::{Heard, heard};

/// Most bytes of an answer that are kept.
const STDOUT_KEPT: usize = 64 * 1024;
/// Most bytes of an answer that are read.
const STDOUT_READ: usize = 1024 * 1024;
/// Most bytes of the error stream that are kept.
const STDERR_KEPT: usize = 16 * 1024;

pub(crate) fn check(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let whole = heard([bytes]);
    let size = usize::from(*size).max(1);
    for pieces in [bytes.chunks(1), bytes.chunks(size), bytes.chunks(size * 8)] {
        let in_pieces = heard(pieces);
        // What comes behind the end may not have been read yet; then the pool sees it.
        let is_clean = whole.is_clean;
        assert_eq!(Heard { is_clean, ..in_pieces }, whole, "in pieces");
    }
    agrees(&whole, bytes);
    is_bounded(&whole);
}

/// How the records end, by the second reader.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Complete { rest: usize, is_plain: bool },
    Refused,
    Nonsense,
    Closed,
}

/// The second reader: one record after the other, with all the bytes at hand.
fn read(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>, End) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        let Some((header, after)) = bytes.split_at_checked(8) else {
            let end = if bytes.first().is_some_and(|version| *version != 1) { End::Nonsense } else { End::Closed };
            return (stdout, stderr, end);
        };
        let kind = header[1];
        let is_ours = header[2] == 0 && header[3] == 1;
        let length = usize::from(header[4]) * 256 + usize::from(header[5]);
        let is_about_a_request = matches!(kind, 3 | 6 | 7);
        if header[0] != 1 || is_about_a_request && !is_ours || kind == 3 && length < 8 {
            return (stdout, stderr, End::Nonsense);
        }
        let content = &after[..length.min(after.len())];
        match kind {
            6 => stdout.extend_from_slice(content),
            7 => stderr.extend_from_slice(content),
            3 if content.len() >= 8 => {
                let rest = after.len().abs_diff(length + usize::from(header[6]));
                let is_plain = length == 8 && header[6] == 0;
                let end = if content[4] == 0 { End::Complete { rest, is_plain } } else { End::Refused };
                return (stdout, stderr, end);
            }
            _ => {}
        }
        let taken = length + usize::from(header[6]);
        if after.len() < taken {
            return (stdout, stderr, End::Closed);
        }
        bytes = &after[taken..];
    }
}

fn agrees(whole: &Heard, bytes: &[u8]) {
    let (stdout, stderr, end) = read(bytes);
    let cause = whole.cause.as_deref();
    if stdout.len() > STDOUT_READ {
        assert_eq!(cause, Some("TooLong"));
        return;
    }
    match end {
        End::Complete { rest, is_plain } => {
            assert_eq!(cause, None);
            // Only an answer that ends the input leaves a clean connection; with padding behind its end it need not.
            assert!(!whole.is_clean || rest == 0);
            assert!(whole.is_clean || rest > 0 || !is_plain);
        }
        End::Refused => assert!(cause.is_some_and(|cause| cause.starts_with("Refused("))),
        End::Nonsense => assert!(cause.is_some_and(|cause| cause.starts_with("Decode("))),
        End::Closed => assert_eq!(cause, Some("Closed")),
    }
    // A script that wrote something was called.
    assert!(!whole.is_untouched || end == End::Refused || stdout.is_empty() && stderr.is_empty());
    assert!(stderr.starts_with(&whole.stderr) && whole.stderr.len() == stderr.len().min(STDERR_KEPT));
    let kept = &stdout[..stdout.len().min(STDOUT_KEPT)];
    assert_eq!(whole.is_cut, stdout.len() > kept.len());
    assert!(kept.ends_with(&whole.body));
    let head = &kept[..kept.len() - whole.body.len()];
    // What is not body is a block of header lines with its empty line.
    assert!(head.is_empty() || head.ends_with(b"\n\n") || head.ends_with(b"\n\r\n") || matches!(head, b"\n" | b"\r\n"));
    if head.is_empty() {
        assert_eq!((whole.status, whole.content_type.as_str(), &whole.location), (200, "", &None));
    }
}

fn is_bounded(whole: &Heard) {
    assert!(whole.body.len() <= STDOUT_KEPT && whole.stderr.len() <= STDERR_KEPT);
    assert!((100..=999).contains(&whole.status));
    assert!(!whole.content_type.contains(['\n', '\r']) || whole.content_type.len() < STDOUT_KEPT);
}
