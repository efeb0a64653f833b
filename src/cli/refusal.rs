//! Why a request was refused, in one line of the chosen language: what `Display` says in English, for people who read it.

use tollbell_channels::channel::Rejection;

use super::context::visible;
use crate::messages::{Lang, Message};

/// The reason, with what came in it made harmless for a terminal. It reads behind "Refused: " and has no full stop.
pub(super) fn reason(rejection: &Rejection, lang: Lang) -> String {
    let message = Message::dynamic(format!("refused.{}", rejection.word()));
    let message = match rejection {
        Rejection::Method { method } => message.with("method", visible(method)),
        Rejection::MediaType { media_type } => message.with("media_type", visible(media_type)),
        Rejection::TooLarge { limit } | Rejection::TooManyFields { limit } => message.with("limit", limit),
        Rejection::Missing { field }
        | Rejection::Malformed { field }
        | Rejection::Duplicate { field }
        | Rejection::Unsigned { field }
        | Rejection::UnknownMerchant { field } => message.with("field", visible(field)),
        Rejection::Charset { charset } => message.with("charset", visible(charset)),
        Rejection::Algorithm { algorithm } => message.with("algorithm", visible(algorithm)),
        Rejection::UnknownKey { serial } => message.with("serial", visible(serial)),
        Rejection::Stale { seconds } => message.with("seconds", seconds),
        Rejection::UnknownChannel { name } => message.with("name", visible(name)),
        Rejection::Ambiguous { candidates } => message.with("candidates", visible(&candidates.join(", "))),
        Rejection::Empty
        | Rejection::Signature
        | Rejection::Probe
        | Rejection::Undecryptable
        | Rejection::Source
        | Rejection::Unrecognised => message,
    };
    message.text(lang)
}

#[cfg(test)]
mod tests {
    use tollbell_channels::channel::REJECTION_WORDS;

    use super::*;

    /// One of each.
    fn all() -> Vec<Rejection> {
        let text = || "a{b".to_owned();
        vec![
            Rejection::Method { method: text() },
            Rejection::MediaType { media_type: text() },
            Rejection::Empty,
            Rejection::TooLarge { limit: 7 },
            Rejection::TooManyFields { limit: 7 },
            Rejection::Missing { field: text() },
            Rejection::Malformed { field: text() },
            Rejection::Duplicate { field: text() },
            Rejection::Unsigned { field: text() },
            Rejection::Charset { charset: text() },
            Rejection::UnknownMerchant { field: text() },
            Rejection::Algorithm { algorithm: text() },
            Rejection::UnknownKey { serial: text() },
            Rejection::Signature,
            Rejection::Stale { seconds: -7 },
            Rejection::Probe,
            Rejection::Undecryptable,
            Rejection::Source,
            Rejection::UnknownChannel { name: text() },
            Rejection::Unrecognised,
            Rejection::Ambiguous { candidates: vec![text(), text()] },
        ]
    }

    #[test]
    fn every_reason_is_said_in_both_languages_with_its_values() {
        let words: Vec<&str> = all().iter().map(Rejection::word).collect();
        assert_eq!(words, REJECTION_WORDS);
        for rejection in all() {
            let [en, zh] = [Lang::En, Lang::Zh].map(|lang| reason(&rejection, lang));
            assert_eq!(en, rejection.to_string());
            assert!(zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{zh}");
            for value in ["a{b", "7"] {
                assert_eq!(zh.contains(value), en.contains(value), "{zh}");
            }
            // It stands before a full stop.
            assert!(!zh.ends_with('。') && !en.ends_with('.'), "{zh} {en}");
        }
    }

    #[test]
    fn what_came_cannot_drive_a_terminal() {
        let hostile = Rejection::MediaType { media_type: "\u{1b}[2J\u{202e}".to_owned() };
        for lang in [Lang::En, Lang::Zh] {
            let text = reason(&hostile, lang);
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
    }
}
