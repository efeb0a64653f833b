//! Where the text that was checked and the text that was signed differ: the first place and the last one, with a little of
//! what stands around them. Both are texts that may be shown already.

use tollbell_channels::explain::{Diagnosis, Signed};

/// Characters before and behind the difference that are shown.
const AROUND: usize = 24;

/// Most characters of the difference itself that are shown.
const INSIDE: usize = 160;

/// A difference between two texts. What both begin and end with is cut to what is near.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Of what: `signed`, or a part of the request.
    pub(super) part: &'static str,
    /// What both have before it.
    pub(super) before: String,
    /// What stands in the text that was checked.
    pub(super) came: String,
    /// What stands in the text that was signed.
    pub(super) signed: String,
    /// What both have behind it.
    pub(super) behind: String,
}

/// Of the text that was signed and the most similar one of those that were checked. Where these have nothing in common, as
/// digests have not, or none was checked, of the request itself. None when both are the same: then the key, the time or the
/// arithmetic is what differs.
pub(super) fn of(diagnosis: &Diagnosis) -> Option<Difference> {
    let signed = || {
        let matched = diagnosis.matched.first()?;
        let checked = diagnosis.signed.iter().filter(|signed| !signed.held);
        let checked = checked
            .max_by_key(|signed| (signed.variant == matched.variant, similarity(&signed.text, &matched.text)))?;
        let is_similar = similarity(&checked.text, &matched.text) > 0;
        between(SIGNED, &checked.text, &matched.text).filter(|_| is_similar)
    };
    let restored = || {
        let restored = diagnosis.restored.as_ref()?;
        between(restored.part, &restored.came, &restored.sent)
    };
    signed().or_else(restored)
}

/// The text of a signature, where it is what differs.
pub(super) const SIGNED: &str = "signed";

/// Further texts over which the signature holds, and which were not checked.
pub(super) fn is_new(signed: &Signed, diagnosis: &Diagnosis) -> bool {
    diagnosis.signed.iter().all(|checked| checked.text != signed.text || checked.held)
}

/// How many characters two texts have in common at their beginning and their end.
fn similarity(one: &str, other: &str) -> usize {
    let (before, behind) = common(&one.chars().collect::<Vec<_>>(), &other.chars().collect::<Vec<_>>());
    before + behind
}

fn between(part: &'static str, checked: &str, signed: &str) -> Option<Difference> {
    let (checked, signed): (Vec<char>, Vec<char>) = (checked.chars().collect(), signed.chars().collect());
    let (before, behind) = common(&checked, &signed);
    let inner = |text: &[char]| inside(&text[before..text.len() - behind]);
    let start = before.saturating_sub(AROUND);
    let mark = |is_cut: bool| if is_cut { "…" } else { "" };
    let last = &signed[signed.len() - behind..];
    let near = &last[..behind.min(AROUND)];
    (checked != signed).then(|| Difference {
        part,
        before: format!("{}{}", mark(start > 0), signed[start..before].iter().collect::<String>()),
        came: inner(&checked),
        signed: inner(&signed),
        behind: format!("{}{}", near.iter().collect::<String>(), mark(behind > AROUND)),
    })
}

/// Of a long difference both ends.
fn inside(text: &[char]) -> String {
    if text.len() <= INSIDE {
        return text.iter().collect();
    }
    let half = INSIDE / 2;
    let (head, tail) = (&text[..half], &text[text.len() - half..]);
    format!("{} … {}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

/// How many characters both have at the beginning, and how many of the others at the end. No escape (`\n`) is torn.
fn common(one: &[char], other: &[char]) -> (usize, usize) {
    let mut before = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    before -= torn(&one[..before]);
    let rest = one.len().min(other.len()) - before;
    let mut behind = one.iter().rev().zip(other.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    while behind > 0 && [one, other].iter().any(|text| torn(&text[before..text.len() - behind]) > 0) {
        behind -= 1;
    }
    (before, behind)
}

/// How many characters at the end are the beginning of an escape that goes on behind it.
fn torn(text: &[char]) -> usize {
    let begins = |place: &usize| {
        text[*place] == '\\' && text[..*place].iter().rev().take_while(|c| **c == '\\').count() % 2 == 0
    };
    let start = (text.len().saturating_sub(ESCAPE_CHARS)..text.len()).rev().find(begins);
    start.filter(|start| !is_whole(&text[*start..])).map_or(0, |start| text.len() - start)
}

/// Most characters of an escape: `\u{10ffff}`.
const ESCAPE_CHARS: usize = 10;

/// Whether a piece that begins with a backslash holds all of its escape.
fn is_whole(piece: &[char]) -> bool {
    match piece {
        [_] => false,
        [_, 'u', rest @ ..] => rest.contains(&'}'),
        [_, 'x', rest @ ..] => rest.len() >= 2,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(checked: &str, signed: &str, parts: [&str; 4]) {
        let found = between(SIGNED, checked, signed).unwrap();
        assert_eq!([&*found.before, &found.came, &found.signed, &found.behind], parts);
    }

    #[test]
    fn the_place_is_shown_with_what_stands_around_it() {
        check("a=1 2&b", "a=1+2&b", ["a=1", " ", "+", "2&b"]);
        check("a=1", "a=1\\n", ["a=1", "", "\\n", ""]);
        check("", "a", ["", "", "a", ""]);
        // What is repeated is counted once.
        check("aa", "aaa", ["aa", "", "a", ""]);
        let long = "x".repeat(100);
        let around = "x".repeat(AROUND);
        let cut = [format!("…{around}"), format!("{around}…")];
        check(&format!("{long}a{long}"), &format!("{long}b{long}"), [&cut[0], "a", "b", &cut[1]]);
        let found = between(SIGNED, &"a".repeat(5000), &"b".repeat(3000)).unwrap();
        assert!(found.came.chars().count() < INSIDE + 5 && found.came.contains(" … "), "{}", found.came);
        assert_eq!(between(SIGNED, "same", "same"), None);
    }

    #[test]
    fn an_escape_is_not_torn() {
        check("a\\r\\nb", "a\\nb", ["a", "\\r", "", "\\nb"]);
        check("a\\nb", "a\\r\\nb", ["a", "", "\\r", "\\nb"]);
        check("a\\u{200b}b", "a\\u{200c}b", ["a", "\\u{200b}", "\\u{200c}", "b"]);
        check("a\\xd6b", "a\\xd7b", ["a", "\\xd6", "\\xd7", "b"]);
        check("\\\\n", "\\\\r", ["\\\\", "n", "r", ""]);
    }

    proptest! {
        #[test]
        fn the_parts_are_parts_of_both(
            before in "[ab\\\\]{0,20}", one in "[ab\\\\]{0,20}", other in "[ab\\\\]{0,20}", behind in "[ab\\\\]{0,20}",
        ) {
            let (one, other) = (format!("{before}{one}{behind}"), format!("{before}{other}{behind}"));
            match between(SIGNED, &one, &other) {
                None => prop_assert_eq!(one, other),
                Some(found) => {
                    for (text, inner) in [(&one, &found.came), (&other, &found.signed)] {
                        let near = |part: &str| part.trim_matches('…').to_owned();
                        let part = format!("{}{inner}{}", near(&found.before), near(&found.behind));
                        prop_assert!(text.contains(&part), "{} in {}", part, text);
                    }
                }
            }
        }
    }
}
