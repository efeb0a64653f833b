//! Why a delivery brought no answer, in words with a cure. What an answer itself says is the matter of the
//! `diagnosis` beside all targets.

use std::io;

use super::codec::{DecodeError, End};
use super::connection::{Broken, Cause, Work};
use super::pool::{Failed, Failure};
use super::stream::Address;
use crate::targets::diagnosis::attempted;
use crate::targets::{Attempted, Outcome, Reason};

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
    "query_taken",
    "body_gone",
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

#[cfg(test)]
mod tests {
    use super::*;

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
