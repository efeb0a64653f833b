//! Why a delivery failed, in words with a cure: failures of the connection, what PHP-FPM itself says, and
//! PHP's own error messages in an answer or on the error stream.

use std::io;

use super::answer::Answer;
use super::codec::{DecodeError, End};
use super::connection::{Broken, Cause, Work};
use super::pool::{Failed, Failure};
use super::stream::Address;
use crate::targets::{Attempted, Outcome, Reason, clean};

/// Every word that a FastCGI attempt can end with or be noted with; the catalogues hold a text with a cure
/// for each, under `outcome.<word>`.
pub const REASONS: &[&str] = &[
    // The way to PHP-FPM.
    "fpm_down",
    "socket_missing",
    "socket_permission",
    "fpm_busy",
    "connect_failed",
    "no_time_left",
    "not_sent",
    "not_fastcgi",
    "fastcgi_refused",
    "param_too_long",
    // No whole answer: what the application did is unknown.
    "timed_out",
    "connection_lost",
    "answer_broken_off",
    "answer_too_long",
    "protocol_error",
    // What PHP-FPM says instead of the script.
    "script_unknown",
    "script_unreadable",
    "access_denied",
    // What the script says instead of the right word.
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
    "sent_again",
];

/// Characters of an answer's beginning that are kept with an attempt.
const BODY_HEAD_CHARS: usize = 500;
/// Characters of the error stream that are kept with an attempt.
const STDERR_CHARS: usize = 4000;
/// Bytes of an answer that are searched for PHP's messages: they stand at the beginning, or the page is
/// too long to be an answer.
const SEARCHED_BYTES: usize = 32 * 1024;

/// An attempt that brought no whole answer.
pub(super) fn of_failure(failed: Failed, address: &Address) -> Attempted {
    let Failed { failure, has_an_earlier_send } = failed;
    let (outcome, answer) = match failure {
        Failure::NoConnectionFree => (retry("fpm_busy", &format!("all our connections to {address} are in use")), None),
        Failure::ConnectTimedOut => (retry("fpm_busy", &format!("{address} does not take the connection")), None),
        Failure::Connect(error) => (retry(word_of_connect(&error, address), &format!("{address}: {error}")), None),
        Failure::Broken(broken) => {
            let outcome = of_broken(&broken, address);
            (outcome, Some(broken.streams.into_answer()))
        }
    };
    // The request had gone out before, on a connection that was being closed. It was hardly read, but
    // "not sent" would say more than we know.
    let outcome = match outcome {
        Outcome::RetryLater { reason, .. } if has_an_earlier_send => Outcome::Unknown { reason },
        outcome => outcome,
    };
    match answer {
        Some(answer) => attempted(outcome, Vec::new(), &answer, !answer.body.is_empty()),
        None => Attempted::without_answer(outcome),
    }
}

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

fn word_of_connect(error: &io::Error, address: &Address) -> &'static str {
    match (error.kind(), address) {
        (io::ErrorKind::NotFound, Address::Unix(_)) => "socket_missing",
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => "socket_permission",
        (io::ErrorKind::ConnectionRefused, _) => "fpm_down",
        (io::ErrorKind::TimedOut, _) => "fpm_busy",
        _ => "connect_failed",
    }
}

fn of_broken(broken: &Broken, address: &Address) -> Outcome {
    let has_answer = broken.streams.has_stdout();
    let (word, detail) = match &broken.cause {
        Cause::Refused(end) => ("fastcgi_refused", refusal(*end)),
        Cause::Decode(error @ DecodeError::Version(_)) if broken.work == Work::NotBegun => {
            ("not_fastcgi", format!("{address}: {error}"))
        }
        Cause::Decode(error) => ("protocol_error", format!("{address}: {error}")),
        Cause::TooLong => ("answer_too_long", String::new()),
        Cause::TimedOut(waited) if broken.work == Work::NotBegun => {
            ("fpm_busy", format!("{address} did not read the request within {:.1} s", waited.as_secs_f64()))
        }
        Cause::TimedOut(waited) => ("timed_out", format!("{:.1} s", waited.as_secs_f64())),
        Cause::Closed if has_answer => ("answer_broken_off", "connection closed".to_owned()),
        Cause::Io(error) if has_answer => ("answer_broken_off", error.to_string()),
        Cause::Closed if broken.work == Work::NotBegun => ("not_sent", "connection closed".to_owned()),
        Cause::Io(error) if broken.work == Work::NotBegun => ("not_sent", error.to_string()),
        Cause::Closed => ("connection_lost", "connection closed".to_owned()),
        Cause::Io(error) => ("connection_lost", error.to_string()),
    };
    match broken.work {
        Work::NotBegun if matches!(broken.cause, Cause::Refused(End::Overloaded)) => retry("fpm_busy", &detail),
        Work::NotBegun => retry(word, &detail),
        Work::HardlyBegun | Work::Unknown => Outcome::Unknown { reason: Reason::new(word, &detail) },
    }
}

fn refusal(end: End) -> String {
    match end {
        End::CannotMultiplex => "FCGI_CANT_MPX_CONN".to_owned(),
        End::Overloaded => "FCGI_OVERLOADED".to_owned(),
        End::UnknownRole => "FCGI_UNKNOWN_ROLE".to_owned(),
        End::Complete => "FCGI_REQUEST_COMPLETE".to_owned(),
        End::Other(status) => format!("protocol status {status}"),
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
    let searched = text(&bytes[..bytes.len().min(SEARCHED_BYTES)]);
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
    fn connect_errors_have_their_words() {
        let unix = Address::parse("unix:/run/x.sock").unwrap();
        let tcp = Address::parse("127.0.0.1:9000").unwrap();
        for (kind, address, word) in [
            (io::ErrorKind::NotFound, &unix, "socket_missing"),
            (io::ErrorKind::PermissionDenied, &unix, "socket_permission"),
            (io::ErrorKind::ConnectionRefused, &unix, "fpm_down"),
            (io::ErrorKind::ConnectionRefused, &tcp, "fpm_down"),
            (io::ErrorKind::PermissionDenied, &tcp, "connect_failed"),
            (io::ErrorKind::TimedOut, &tcp, "fpm_busy"),
            (io::ErrorKind::Other, &tcp, "connect_failed"),
        ] {
            assert_eq!(word_of_connect(&kind.into(), address), word, "{kind}");
        }
    }

    #[test]
    fn a_second_try_that_was_not_sent_does_not_hide_the_first() {
        let address = Address::parse("127.0.0.1:9000").unwrap();
        let failed = |has_an_earlier_send| Failed {
            failure: Failure::Connect(io::ErrorKind::ConnectionRefused.into()),
            has_an_earlier_send,
        };
        assert!(matches!(of_failure(failed(false), &address).outcome, Outcome::RetryLater { .. }));
        assert!(matches!(of_failure(failed(true), &address).outcome, Outcome::Unknown { .. }));
    }
}
