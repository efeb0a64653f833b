//! Why an answer is no confirmation, in words with a cure: what PHP-FPM itself says, and PHP's own error
//! messages in an answer or on the error stream. They look the same behind every way to PHP.

use super::answer::Answer;
use super::{Attempted, Outcome, Reason, clean};

/// Every word that an answer can be given, whatever way it came; the catalogues hold a text with a cure for
/// each, under `outcome.<word>`. A kind of target that judges answers has them all in its own list.
pub(super) const REASONS: &[&str] = &[
    // What PHP-FPM says instead of the script.
    "script_unknown",
    "script_unreadable",
    "access_denied",
    // What the application says instead of the right word.
    "php_fatal",
    "php_warning_before_word",
    "html_page",
    "empty_answer",
    "application_failed",
    "redirect",
    "http_status",
    "wrong_word",
    // Notes beside an outcome.
    "bom_around_word",
    "blanks_around_word",
    "php_message",
];

/// Characters of an answer's beginning that are kept with an attempt.
const BODY_HEAD_CHARS: usize = 500;
/// Characters of the error stream that are kept with an attempt.
const STDERR_CHARS: usize = 4000;
/// Bytes of an answer that are searched for PHP's messages: they stand at the beginning, or the page is
/// too long to be an answer.
const SEARCHED_BYTES: usize = 32 * 1024;

/// An attempt with what is worth keeping of the answer.
pub(super) fn attempted(outcome: Outcome, notes: Vec<Reason>, answer: &Answer, has_status: bool) -> Attempted {
    Attempted {
        outcome,
        notes,
        status: has_status.then_some(answer.status),
        body_head: clean(&text(&answer.body), BODY_HEAD_CHARS),
        stderr: clean(&text(&answer.stderr), STDERR_CHARS),
    }
}

/// A failure to be tried again.
pub(super) fn retry(word: &'static str, detail: &str) -> Outcome {
    debug_assert!(REASONS.contains(&word), "`{word}` is not in REASONS");
    Outcome::RetryLater { reason: Reason::new(word, detail), after: None }
}

/// What PHP-FPM says when it did not run the script at all. Its answers have fixed texts, and the error
/// stream the cause.
pub(super) fn of_fpm(answer: &Answer) -> Option<Reason> {
    let (body, stderr) = (text(&answer.body), text(&answer.stderr));
    let body = body.trim();
    let said = || first_lines(if stderr.trim().is_empty() { body } else { &stderr });
    if stderr.contains("Primary script unknown")
        || answer.status == 404 && matches!(body, "File not found." | "No input file specified.")
    {
        return Some(Reason::new("script_unknown", &said()));
    }
    if stderr.contains("Unable to open primary script") {
        return Some(Reason::new("script_unreadable", &said()));
    }
    if stderr.contains("security.limit_extensions") || answer.status == 403 && body == "Access denied." {
        return Some(Reason::new("access_denied", &said()));
    }
    None
}

/// A message of PHP itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PhpMessage {
    /// It ended the script.
    pub(super) is_fatal: bool,
    /// The message with its place.
    pub(super) message: String,
}

/// Marks of PHP's messages, the deadly ones first.
const PHP_MARKS: &[(&str, bool)] = &[
    ("Fatal error", true),
    ("Parse error", true),
    ("Recoverable fatal error", true),
    ("Warning", false),
    ("Notice", false),
    ("Deprecated", false),
    ("Strict Standards", false),
];

/// The gravest message of PHP in a text: on the error stream `PHP Warning:  …`, in an answer
/// `<b>Warning</b>:  …` or `Warning: … in … on line …`.
pub(super) fn php_message(bytes: &[u8]) -> Option<PhpMessage> {
    let searched = &bytes[..bytes.len().min(SEARCHED_BYTES)];
    // Every form has one; the words that confirm have none.
    if !searched.contains(&b':') {
        return None;
    }
    let searched = text(searched);
    for (mark, is_fatal) in PHP_MARKS {
        let forms = [format!("PHP {mark}:"), format!("<b>{mark}</b>:"), format!("\n{mark}: ")];
        let found = forms.iter().filter_map(|form| searched.find(form.as_str())).min();
        let found = found.or_else(|| searched.starts_with(&format!("{mark}: ")).then_some(0));
        if let Some(at) = found {
            let message = first_lines(&without_tags(searched[at..].trim_start()));
            // Prose may begin with such a word; PHP names the line.
            if message.contains(" on line ") || message.contains(".php:") || message.starts_with("PHP ") {
                return Some(PhpMessage { is_fatal: *is_fatal, message });
            }
        }
    }
    None
}

/// Lines of a message that are worth reading: the message and the first calls.
const MESSAGE_LINES: usize = 4;

fn first_lines(text: &str) -> String {
    text.trim().lines().map(str::trim_end).take(MESSAGE_LINES).collect::<Vec<_>>().join("\n")
}

fn without_tags(html: &str) -> String {
    let mut plain = String::with_capacity(html.len());
    let mut is_in_tag = false;
    for c in html.chars() {
        match c {
            '<' => is_in_tag = true,
            '>' if is_in_tag => is_in_tag = false,
            c if !is_in_tag => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// Bytes as text for people.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_php_are_found_in_all_their_forms() {
        for (bytes, expected) in [
            (
                &b"<br />\n<b>Warning</b>:  Undefined variable $x in <b>/w/n.php</b> on line <b>3</b><br />\nsuccess"[..],
                Some((false, "Warning:  Undefined variable $x in /w/n.php on line 3\nsuccess")),
            ),
            (b"\nNotice: x in /w/n.php on line 3\nsuccess", Some((false, "Notice: x in /w/n.php on line 3\nsuccess"))),
            (b"Warning: x in /w/n.php on line 3", Some((false, "Warning: x in /w/n.php on line 3"))),
            (
                b"PHP message: PHP Warning:  a in /n.php on line 1PHP message: PHP Fatal error:  b in /n.php:2",
                Some((true, "PHP Fatal error:  b in /n.php:2")),
            ),
            (
                b"PHP Parse error:  syntax error in /n.php on line 9",
                Some((true, "PHP Parse error:  syntax error in /n.php on line 9")),
            ),
            (b"Warning: our shop is closed", None),
            (b"success", None),
            (b"", None),
        ] {
            let found = php_message(bytes);
            let seen = found.as_ref().map(|m| (m.is_fatal, m.message.as_str()));
            assert_eq!(seen, expected, "{}", text(bytes));
        }
    }

    #[test]
    fn kinds_that_judge_answers_know_every_word() {
        let judging = crate::targets::KINDS.iter().filter(|kind| kind.settings.iter().any(|s| s.name == "success"));
        let mut kinds = 0;
        for kind in judging {
            for word in REASONS {
                assert!(kind.reasons.contains(word), "{} does not know `{word}`", kind.kind);
            }
            kinds += 1;
        }
        assert!(kinds > 0);
    }
}
