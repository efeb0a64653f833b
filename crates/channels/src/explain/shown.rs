//! What was taken for the signed text, as it may be shown.

use super::Case;
use crate::signature::trial::{Part, Trial};

/// Most characters of a signed text that are shown, so that a hostile body fills no screen.
pub const SIGNED_SHOWN_MAX: usize = 4096;

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The algorithm.
    pub algorithm: &'static str,
    /// The key's label.
    pub key: String,
    /// The rule that made the text.
    pub variant: &'static str,
    /// The text, escaped, at most [`SIGNED_SHOWN_MAX`] characters. A secret in it is the word `<secret>`; where its place
    /// follows from its bytes, it stands at the end.
    pub text: String,
    /// The text's bytes, without those of a secret.
    pub bytes: usize,
    /// Whether the check held.
    pub held: bool,
}

/// What stands for a secret.
const SECRET: &str = "<secret>";

/// The checks of a case, each text once a key.
pub(super) fn signed(case: &Case<'_>) -> Vec<Signed> {
    case.trials.iter().map(of).collect()
}

fn of(trial: &Trial) -> Signed {
    let Trial { algorithm, variant, held, .. } = *trial;
    let mut text = String::new();
    let mut bytes = 0;
    for part in &trial.signed {
        match part {
            Part::Text(piece) => {
                bytes += piece.len();
                push(&mut text, piece);
            }
            Part::Secret if !trial.is_place_secret => text.push_str(SECRET),
            Part::Secret => {}
        }
    }
    if trial.is_place_secret {
        text.push_str(SECRET);
    }
    Signed { algorithm, key: trial.key.clone(), variant, text, bytes, held }
}

/// Bytes as text on one line: what is no plain character is escaped as in Rust, so that each text stands for one sequence.
fn push(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if text.chars().count() >= SIGNED_SHOWN_MAX {
                return;
            }
            match character {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() || c == '\u{feff}' => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
}
