//! Why a copy cannot be read, in the reader's language. A reader of a form says it in English; its sentence leads to a text
//! of the catalogue, and what stands between backquotes in it is kept.

use crate::capture::CaptureError;
use crate::messages::{Lang, Message};

/// The reason, in one line.
pub(super) fn why(error: &CaptureError, lang: Lang) -> String {
    let message = match error {
        CaptureError::Empty => Message::new("unread.empty"),
        CaptureError::TooLarge { what, limit } => {
            let what = Message::dynamic(format!("unread.of_{what}")).text(lang);
            Message::new("unread.too_large").with("limit", limit).with("what", what)
        }
        CaptureError::Broken { line, why } => {
            Message::new("unread.broken").with("line", line).with("why", sentence(why, lang))
        }
        CaptureError::Outside(what) => Message::new("unread.outside").with("what", what),
        CaptureError::Option(what) => Message::new("unread.option").with("what", what),
        CaptureError::Foreign(what) => Message::new("unread.foreign").with("what", what),
    };
    message.text(lang)
}

/// A sentence of a reader; as it is, where no catalogue knows it.
fn sentence(why: &str, lang: Lang) -> String {
    let (key, what) = key(why);
    let message = Message::dynamic(key).with("what", what.unwrap_or_default());
    let text = message.text(lang);
    if text == message.key() { why.to_owned() } else { text }
}

/// The key of a sentence, and what stands between backquotes in it.
fn key(why: &str) -> (String, Option<&str>) {
    let mut parts = why.splitn(3, '`');
    let (before, what, behind) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let words = format!("{before}{}", behind.unwrap_or_default());
    let words: Vec<String> = words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    (format!("unread.{}", words.join("_")), what)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Every sentence in the source of the readers.
    fn sentences() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capture");
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let source = fs::read_to_string(&entry).unwrap();
            if entry.ends_with("tests.rs") {
                continue;
            }
            for mark in ["broken(\"", "broken(1, \"", "broken(line_number, \"", "why: \""] {
                for part in source.split(mark).skip(1) {
                    let text: String = toml_string(part);
                    found.push(text);
                }
            }
        }
        found
    }

    /// A text in a source, up to the quotation mark that ends it.
    fn toml_string(part: &str) -> String {
        let mut text = String::new();
        let mut letters = part.chars();
        while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
            text.push(if letter == '\\' { letters.next().unwrap() } else { letter });
        }
        text
    }

    #[test]
    fn every_reason_is_said_in_both_languages() {
        let sentences = sentences();
        assert!(sentences.len() > 25, "{sentences:?}");
        let templates = ["`--x` has no value", "`(` was expected", "`a b` is no header"].map(str::to_owned);
        for sentence in sentences.into_iter().chain(templates) {
            let error = CaptureError::Broken { line: 3, why: sentence.clone() };
            assert_eq!(why(&error, Lang::En), format!("line 3: {sentence}"));
            let zh = why(&error, Lang::Zh);
            let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
            assert!(zh.starts_with("第 3 行：") && zh.chars().skip(6).any(is_han), "{sentence}: {zh}");
        }
        for error in [
            CaptureError::Empty,
            CaptureError::TooLarge { what: "bytes", limit: 7 },
            CaptureError::TooLarge { what: "fields", limit: 7 },
            CaptureError::TooLarge { what: "headers", limit: 7 },
            CaptureError::TooLarge { what: "levels", limit: 7 },
            CaptureError::TooLarge { what: "bytes_of_a_name", limit: 7 },
            CaptureError::Outside("@x".to_owned()),
            CaptureError::Option("--x".to_owned()),
            CaptureError::Foreign("fetch("),
        ] {
            assert_eq!(why(&error, Lang::En), error.to_string());
            assert!(!why(&error, Lang::Zh).contains("unread"), "{error}");
        }
    }
}
