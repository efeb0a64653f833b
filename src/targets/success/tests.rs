use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tollbell_channels::model::{Environment, RawRequest, Timestamp};
use tollbell_channels::settings::SettingValue;

use super::*;

fn envelope() -> Envelope {
    Envelope {
        delivery: String::new(),
        attempt: 1,
        notification: String::new(),
        merchant: Arc::from(""),
        channel: Arc::from(""),
        environment: Environment::Live,
        origin: "callback",
        events: vec![],
        request: Some(RawRequest {
            method: Method::POST,
            path: String::new(),
            query: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            source: None,
            received_at: Timestamp::UNIX_EPOCH,
        }),
        signed_query: Arc::new(|_| None),
        attempted_at: Timestamp::UNIX_EPOCH,
        fields: Arc::new(Vec::new),
        is_ack: Arc::new(
            |reply| {
                if reply.status == 200 { AckMatch::of_word(reply.body, b"success") } else { AckMatch::No }
            },
        ),
    }
}

fn rule(pairs: &[(&str, &str)]) -> Rule {
    let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Rule::from_settings(&Settings::without_environment().with("success", SettingValue::Pairs(pairs)), Rule::Platform)
        .unwrap()
}

/// The word of the outcome, and of the notes.
fn judge(rule: &Rule, answer: &Answer) -> (String, Vec<&'static str>) {
    let attempted = rule.judge(answer, &envelope());
    let word = match attempted.outcome {
        Outcome::Delivered => "delivered".to_owned(),
        Outcome::RetryLater { reason, .. } => reason.word.to_owned(),
        other => format!("{other:?}"),
    };
    (word, attempted.notes.iter().map(|note| note.word).collect())
}

fn html(status: u16, body: &str) -> Answer {
    Answer { status, content_type: "text/html; charset=UTF-8".to_owned(), body: body.into(), ..Answer::default() }
}

#[test]
fn what_a_script_says_is_understood() {
    let warning = "<br />\n<b>Warning</b>:  Undefined variable $x in <b>/w/n.php</b> on line <b>3</b><br />\nsuccess";
    for (status, body, word, notes) in [
        (200, "success", "delivered", &[][..]),
        (200, "\u{feff}success", "delivered", &["bom_around_word"]),
        (200, " success\r\n", "delivered", &["blanks_around_word"]),
        (200, "\u{feff}\n success\n", "delivered", &["bom_around_word", "blanks_around_word"]),
        (200, warning, "php_warning_before_word", &[]),
        (200, "order ok\nsuccess", "wrong_word", &[]),
        (200, "SUCCESS", "wrong_word", &[]),
        (200, "", "empty_answer", &[]),
        (200, "\u{feff}\n", "empty_answer", &[]),
        (200, "fail", "application_failed", &[]),
        (200, "{\"code\":\"FAIL\",\"message\":\"no\"}", "application_failed", &[]),
        (200, "<xml><return_code><![CDATA[FAIL]]></return_code></xml>", "application_failed", &[]),
        (200, "<!DOCTYPE html><title>Login</title>", "html_page", &[]),
        (200, "<div>success</div>", "html_page", &[]),
        (200, "\n<b>Fatal error</b>: Uncaught Error: x in /w/n.php:3", "php_fatal", &[]),
        (500, "", "http_status", &[]),
        (500, "success", "http_status", &[]),
        (404, "File not found.\n", "script_unknown", &[]),
        (404, "No input file specified.\n", "script_unknown", &[]),
        (403, "Access denied.\n", "access_denied", &[]),
        (404, "no such route", "http_status", &[]),
        (302, "", "redirect", &[]),
    ] {
        let seen = judge(&Rule::Platform, &html(status, body));
        assert_eq!(seen, (word.to_owned(), notes.to_vec()), "{status} {body:?}");
    }
}

#[test]
fn the_error_stream_names_the_cause() {
    for (status, stderr, word) in [
        (500, "PHP message: PHP Fatal error:  Uncaught Error: x in /w/n.php:3", "php_fatal"),
        (404, "Primary script unknown", "script_unknown"),
        (403, "Access to the script '/w/n.txt' has been denied (see security.limit_extensions)", "access_denied"),
        (403, "Unable to open primary script: /w/n.php (Permission denied)", "script_unreadable"),
        (200, "PHP message: PHP Warning:  x in /w/n.php on line 3", "empty_answer"),
    ] {
        let answer = Answer { stderr: stderr.into(), ..html(status, "") };
        assert_eq!(judge(&Rule::Platform, &answer).0, word, "{stderr}");
    }
    let answer =
        Answer { stderr: b"PHP message: PHP Warning:  x in /w/n.php on line 3".to_vec(), ..html(200, "success") };
    assert_eq!(judge(&Rule::Platform, &answer), ("delivered".to_owned(), vec!["php_message"]));
}

#[test]
fn a_wrong_answer_is_quoted() {
    let attempted = Rule::Platform.judge(&html(200, "\u{feff}oh\tno\r\n"), &envelope());
    let Outcome::RetryLater { reason, .. } = attempted.outcome else { panic!("{:?}", attempted.outcome) };
    assert_eq!(reason.detail, "\"<BOM>oh\\tno\\r\\n\"");
    assert_eq!(attempted.status, Some(200));
}

#[test]
fn rules_of_the_configuration_are_kept() {
    let word = |how| rule(&[("body", "OK"), ("match", how)]);
    for (rule, answer, word) in [
        (word("exact"), html(200, "OK"), "delivered"),
        (word("exact"), html(200, "OK\n"), "wrong_word"),
        (word("trimmed"), html(200, "OK\n"), "delivered"),
        (word("trimmed"), html(200, "OK, thanks"), "wrong_word"),
        (word("contains"), html(200, "OK, thanks"), "delivered"),
        (word("contains"), html(200, "Fatal error: OK in /n.php on line 3"), "php_fatal"),
        (word("contains"), html(500, "OK"), "http_status"),
        (rule(&[("status", "200")]), html(200, "whatever"), "delivered"),
        (rule(&[("status", "204")]), html(200, "whatever"), "wrong_word"),
        (rule(&[("status", "2xx")]), html(204, ""), "delivered"),
        (rule(&[("status", "2xx")]), html(302, ""), "redirect"),
        (rule(&[("status", "200")]), html(200, "<b>Fatal error</b>: x in /n.php on line 3"), "php_fatal"),
        (rule(&[("json", "/code"), ("equals", "0")]), html(200, "{\"code\":0}"), "delivered"),
        (rule(&[("equals", "0"), ("json", "/code")]), html(200, "\u{feff}{\"code\":\"0\"}"), "delivered"),
        (rule(&[("json", "/code"), ("equals", "0")]), html(200, "{\"code\":1}"), "wrong_word"),
        (rule(&[("json", "/a/0/ok"), ("equals", "true")]), html(200, "{\"a\":[{\"ok\":true}]}"), "delivered"),
        (rule(&[("json", "/a"), ("equals", "[]")]), html(200, "{\"a\":[]}"), "wrong_word"),
        (rule(&[("json", "/code"), ("equals", "0")]), html(200, "nonsense"), "wrong_word"),
        (rule(&[("", "platform")]), html(200, "success"), "delivered"),
    ] {
        assert_eq!(judge(&rule, &answer).0, word, "{rule:?} {}", text(&answer.body));
    }
}

#[test]
fn a_cut_answer_is_no_word() {
    let answer = Answer { is_cut: true, ..html(200, "success") };
    assert_eq!(judge(&Rule::Platform, &answer).0, "wrong_word");
}
