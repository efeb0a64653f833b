//! The shape of a number that may go into a URL: characters, classes of them, and how often they come. From end to end,
//! without alternatives or groups, so that matching is linear whatever a stranger sends.

use crate::channel::{HINT_BYTES_MAX, HintNumber};

/// Longest pattern, in characters.
const PATTERN_CHARS_MAX: usize = 128;

/// Highest count: no number that is asked about is longer.
const COUNT_MAX: usize = HINT_BYTES_MAX;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

/// One character or class, and how often it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    /// Pairs of the first and the last byte of a range.
    ranges: Vec<(u8, u8)>,
    least: usize,
    most: usize,
}

impl Pattern {
    /// Reads `^tr_[A-Za-z0-9]+$`: visible ASCII; `[…]` with ranges, `\d` and `\w`; `+`, `*`, `?`, `{n}` and `{n,m}`; a
    /// backslash before any other sign stands for the sign. `^` and `$` are needed, so that nobody takes it for a part.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > PATTERN_CHARS_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut rest = text.strip_prefix('^')?.strip_suffix('$')?;
        let mut pieces = Vec::new();
        while let Some(sign) = rest.chars().next() {
            rest = &rest[1..];
            let ranges = match sign {
                '[' => {
                    let (class, after) = rest.split_once(']')?;
                    rest = after;
                    class_ranges(class)?
                }
                '\\' => {
                    let sign = rest.chars().next()?;
                    rest = &rest[1..];
                    escaped(sign)?
                }
                '.' | '(' | ')' | '|' | '^' | '$' | '*' | '+' | '?' | '{' | '}' | ']' => return None,
                sign => vec![one(sign)?],
            };
            let (least, most);
            (least, most, rest) = count(rest)?;
            pieces.push(Piece { ranges, least, most });
        }
        (!pieces.is_empty()).then_some(Self(pieces))
    }

    /// Whether a number can have this shape: the numbers that are asked about begin with a letter or digit, are made of
    /// few signs, and have an end.
    pub(super) fn can_match(&self) -> bool {
        let least: usize = self.0.iter().map(|piece| piece.least).sum();
        let has = |piece: &Piece, fits: &dyn Fn(u8) -> bool| {
            piece.ranges.iter().any(|(first, last)| (*first..=*last).any(fits))
        };
        let is_safe = |byte: u8| HintNumber::new(&format!("a{}", char::from(byte))).is_some();
        if least > HINT_BYTES_MAX || !self.0.iter().all(|piece| piece.least == 0 || has(piece, &is_safe)) {
            return false;
        }
        // Pieces that may be left out do not decide how it begins.
        for piece in &self.0 {
            let is_room = piece.least > 0 || least < HINT_BYTES_MAX;
            if is_room && has(piece, &|byte| byte.is_ascii_alphanumeric()) {
                return true;
            }
            if piece.least > 0 {
                return false;
            }
        }
        false
    }

    /// Whether the whole text has this shape.
    pub(super) fn matches(&self, text: &str) -> bool {
        // The places in the text that the pieces so far can reach.
        let bytes = text.as_bytes();
        let mut reached = vec![false; bytes.len() + 1];
        reached[0] = true;
        for piece in &self.0 {
            let is_own = |byte: u8| piece.ranges.iter().any(|(first, last)| (*first..=*last).contains(&byte));
            let mut next = vec![false; bytes.len() + 1];
            for start in (0..=bytes.len()).filter(|start| reached[*start]) {
                let own = bytes[start..].iter().take(piece.most).take_while(|byte| is_own(**byte)).count();
                (piece.least..=own).for_each(|length| next[start + length] = true);
            }
            reached = next;
        }
        reached[bytes.len()]
    }

    /// A text of this shape, made of digits where they fit; as long as `like` where that is free.
    #[cfg(feature = "simulate")]
    pub(super) fn sample(&self, like: &str) -> String {
        let mut digits = like.bytes().filter(u8::is_ascii_digit).cycle();
        let mut text = String::new();
        for piece in &self.0 {
            let wanted = if piece.least == piece.most { piece.least } else { 20.clamp(piece.least, piece.most) };
            for _ in 0..wanted {
                let digit = digits.next().unwrap_or(b'7');
                let fits = piece.ranges.iter().any(|(first, last)| (*first..=*last).contains(&digit));
                let byte = if fits { digit } else { piece.ranges[0].0 };
                text.push(char::from(byte));
            }
        }
        text
    }
}

fn one(sign: char) -> Option<(u8, u8)> {
    let byte = u8::try_from(sign).ok()?;
    Some((byte, byte))
}

fn escaped(sign: char) -> Option<Vec<(u8, u8)>> {
    match sign {
        'd' => Some(vec![(b'0', b'9')]),
        'w' => Some(vec![(b'0', b'9'), (b'A', b'Z'), (b'a', b'z'), (b'_', b'_')]),
        sign if sign.is_ascii_alphanumeric() => None,
        sign => Some(vec![one(sign)?]),
    }
}

fn class_ranges(class: &str) -> Option<Vec<(u8, u8)>> {
    let mut ranges = Vec::new();
    let mut signs = class.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign == '^' && ranges.is_empty() {
            // What is not in a class is everything else, and that is too much for a URL.
            return None;
        }
        if sign == '\\' {
            ranges.extend(escaped(signs.next()?)?);
            continue;
        }
        let (first, _) = one(sign)?;
        let mut ahead = signs.clone();
        // A hyphen at the end is itself.
        if ahead.next() == Some('-')
            && let Some(last) = ahead.next()
        {
            let (last, _) = one(last)?;
            if last < first {
                return None;
            }
            ranges.push((first, last));
            signs = ahead;
        } else {
            ranges.push((first, first));
        }
    }
    (!ranges.is_empty()).then_some(ranges)
}

fn count(rest: &str) -> Option<(usize, usize, &str)> {
    match rest.chars().next() {
        Some('+') => Some((1, COUNT_MAX, &rest[1..])),
        Some('*') => Some((0, COUNT_MAX, &rest[1..])),
        Some('?') => Some((0, 1, &rest[1..])),
        Some('{') => {
            let (inside, after) = rest[1..].split_once('}')?;
            let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number <= COUNT_MAX);
            let (least, most) = match inside.split_once(',') {
                Some((least, "")) => (number(least)?, COUNT_MAX),
                Some((least, most)) => (number(least)?, number(most)?),
                None => (number(inside)?, number(inside)?),
            };
            (least <= most && most > 0).then_some((least, most, after))
        }
        _ => Some((1, 1, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_matched_from_end_to_end() {
        for (pattern, good, bad) in [
            ("^tr_[A-Za-z0-9]+$", &["tr_7", "tr_7UhSN1zuXS"][..], &["", "tr_", "tr_a.b", "xtr_a", "tr_a/", "TR_a"][..]),
            ("^[a-z]+_[A-Za-z0-9]{3,5}$", &["ord_abc", "a_12345"], &["ord_ab", "ord_123456", "_abc"]),
            ("^\\d{2}-?[a-c]*$", &["12", "12-", "12abcabc"], &["1", "12-d", "123"]),
            ("^[0-9a-f-]{36}$", &["0f8fad5b-d9cb-469f-a165-70867728950e"], &["0f8fad5b-d9cb-469f-a165-70867728950"]),
            ("^a\\.b$", &["a.b"], &["axb"]),
            ("^[\\w-]+$", &["a_B-9"], &["a b", "é"]),
        ] {
            let read = Pattern::parse(pattern).unwrap();
            for text in good {
                assert!(read.matches(text), "{pattern} {text}");
            }
            for text in bad {
                assert!(!read.matches(text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            "", "tr_", "^$", "^a", "a$", "^(a|b)$", "^.+$", "^[^/]+$", "^[]$", "^[a$", "^a{97}$", "^a{3,2}$", "^a{0}$",
            "^a++$", "^é$", "^a b$", "^\\q$", "^[z-a]$",
        ] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_free_is_as_long_as_a_number_may_be() {
        for pattern in ["^a+$", "^a*$", "^a{3,}$", "^a{96}$"] {
            let read = Pattern::parse(pattern).unwrap();
            assert!(read.can_match() && read.matches(&"a".repeat(96)), "{pattern}");
            assert!(!read.matches(&"a".repeat(97)), "{pattern}");
        }
    }

    #[test]
    fn a_shape_that_no_number_has_is_seen() {
        for never in ["^_x[0-9]+$", "^a{64}b{64}$", "^[0-9]+/[0-9]+$", "^-?_a$", "^[_-]+$", "^a{96}b$", "^_?-*$"] {
            assert!(!Pattern::parse(never).unwrap().can_match(), "{never}");
        }
        for good in ["^x_[0-9]+$", "^_?a$", "^[_a]x$", "^a{48}b{48}$", "^\\d/?\\d$"] {
            assert!(Pattern::parse(good).unwrap().can_match(), "{good}");
        }
    }

    #[test]
    fn hostile_texts_cost_little() {
        let pattern = Pattern::parse("^a*a*a*a*a*a*a*a*a*a*b$").unwrap();
        assert!(!pattern.matches(&"a".repeat(60)));
        assert!(pattern.matches(&format!("{}b", "a".repeat(60))));
    }

    #[test]
    #[cfg(feature = "simulate")]
    fn a_sample_has_the_shape() {
        for pattern in ["^tr_[A-Za-z0-9]+$", "^[0-9a-f-]{36}$", "^x?[a-c]{2}\\d*$"] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert!(pattern.matches(&pattern.sample("00123")), "{}", pattern.sample("00123"));
        }
    }
}
