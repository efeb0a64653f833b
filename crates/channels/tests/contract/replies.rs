//! The exact bytes that platforms get, and the reading of what an application says.

use std::collections::BTreeSet;

use tollbell_channels::channel::{Answer, Cause, Failure};
use tollbell_channels::model::{AckMatch, AppReply};
use tollbell_channels::platforms::presets;
use tollbell_channels::simulate::Story;

use super::cover::{carrier, without_signature};
use super::invented::is_invented;
use super::pairs::with_text;
use super::world::{World, worlds};

/// `kind | answer | status | content type | body`, one line an answer, `-` for nothing.
const PINNED: &str = include_str!("replies.txt");

const BOM: &[u8] = b"\xef\xbb\xbf";

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Success => "success",
        Answer::Failure(Failure::Refused) => "refused",
        Answer::Failure(Failure::Busy) => "busy",
        Answer::Failure(Failure::NotYet) => "not_yet",
    }
}

fn lines(world: &World) -> Vec<String> {
    let request = world.callback().request;
    let line = |answer: &Answer| {
        let reply = world.channel.answer(*answer, Some(&request));
        let body = if reply.body.is_empty() { "-".to_owned() } else { reply.body.escape_ascii().to_string() };
        let media = reply.content_type.unwrap_or("-");
        format!("{} | {} | {} | {media} | {body}", world.platform.kind, word(*answer), reply.status)
    };
    Answer::ALL.iter().map(line).collect()
}

/// Whether a platform is one data file: its bytes stand there, and nowhere else.
fn is_data(world: &World) -> bool {
    is_invented(world.platform.kind) || presets::by_kind(world.platform.kind).is_some()
}

/// A file that says nothing of replies gets a plain status; one that does is its own pin.
#[test]
fn data_without_replies_answers_with_a_status_alone() {
    let files = worlds().into_iter().filter_map(|world| Some((presets::by_kind(world.platform.kind)?, world)));
    let mut plain = 0;
    for (preset, world) in files {
        if preset.as_channel(|text| text.en).contains("[channel.reply]") {
            continue;
        }
        plain += 1;
        for (answer, status) in [("success", 200), ("refused", 400), ("busy", 503), ("not_yet", 503)] {
            let line = format!("{} | {answer} | {status} | - | -", world.platform.kind);
            assert!(lines(&world).contains(&line), "{line}");
        }
    }
    assert!(plain > 0, "every file speaks for itself");
}

#[test]
fn replies_are_pinned() {
    let pinned: BTreeSet<&str> = PINNED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let found: Vec<String> = worlds().iter().filter(|world| !is_data(world)).flat_map(lines).collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, pinned, "a reply changed: platforms depend on these bytes");
}

#[test]
fn no_failure_reads_as_a_success() {
    for world in worlds() {
        let request = world.callback().request;
        let success = world.channel.answer(Answer::Success, Some(&request));
        assert!((200..300).contains(&success.status), "{}: {}", world.platform.kind, success.status);
        for cause in Cause::ALL {
            let answer = cause.answer();
            let reply = world.channel.answer(answer, Some(&request));
            assert_eq!(reply.body.is_empty(), reply.content_type.is_none(), "{}: {cause:?}", world.platform.kind);
            if answer == Answer::Success {
                assert_eq!(reply, success, "{}: {cause:?}", world.platform.kind);
                continue;
            }
            let lower = |bytes: &[u8]| bytes.to_ascii_lowercase();
            let is_within = !success.body.is_empty()
                && lower(&reply.body).windows(success.body.len()).any(|window| window == lower(&success.body));
            assert!(!is_within, "{}: {cause:?} contains the word of success", world.platform.kind);
            let differs = success.body.is_empty() || reply.body.is_empty();
            assert!(!differs || !(200..300).contains(&reply.status), "{}: {cause:?}", world.platform.kind);
            assert!(!(300..400).contains(&reply.status), "{}: {cause:?} redirects", world.platform.kind);
            let reading = world.channel.is_ack(&AppReply { status: reply.status, body: &reply.body }, Some(&request));
            assert_eq!(reading, AckMatch::No, "{}: {cause:?}", world.platform.kind);
        }
    }
}

#[test]
fn an_applications_success_is_read_as_the_platform_would() {
    for world in worlds() {
        let kind = world.platform.kind;
        let request = world.callback().request;
        let success = world.channel.answer(Answer::Success, Some(&request));
        let read = |status: u16, body: &[u8]| world.channel.is_ack(&AppReply { status, body }, Some(&request));
        assert_eq!(read(success.status, &success.body), AckMatch::Exact, "{kind}");
        for status in [100, 301, 302, 304, 400, 401, 403, 404, 429, 500, 502, 503, 504] {
            assert_eq!(read(status, &success.body), AckMatch::No, "{kind}: status {status}");
        }
        if success.body.is_empty() {
            continue;
        }
        let word = success.body.as_ref();
        for body in [
            [BOM, word].concat(),
            [word, b"\n"].concat(),
            [word, b"\r\n"].concat(),
            [b" ", word].concat(),
            [b"\n\n", BOM, b"\t", word, b" \n"].concat(),
            [word, BOM].concat(),
        ] {
            assert_eq!(read(success.status, &body), AckMatch::Trimmed, "{kind}: {}", body.escape_ascii());
        }
        for body in [
            [b"Warning: x in y on line 1\n", word].concat(),
            [b"<html><body>", word, b"</body></html>"].concat(),
            [word, word].concat(),
            [b"\"", word, b"\""].concat(),
            [word, b"\0"].concat(),
            [word, b"!"].concat(),
        ] {
            let found = read(success.status, &body);
            assert!(matches!(found, AckMatch::Within | AckMatch::No), "{kind}: {}: {found:?}", body.escape_ascii());
        }
        for body in
            [b"".as_slice(), b"fail", b"ok", b"{}", b"\0", b"<html></html>", &word[1..], &word[..word.len() - 1]]
        {
            if body.eq_ignore_ascii_case(word) {
                continue;
            }
            assert_eq!(read(success.status, body), AckMatch::No, "{kind}: {}", body.escape_ascii());
        }
    }
}

/// Success may quote the request that it is for; a refusal says nothing about what was refused.
#[test]
fn only_success_depends_on_the_request() {
    for world in worlds() {
        let kind = world.platform.kind;
        for cause in Cause::ALL.iter().copied().filter(|cause| cause.answer() != Answer::Success) {
            let alone = world.channel.answer(cause.answer(), None);
            for (_, genuine) in world.callbacks() {
                let mut requests = vec![genuine.request.clone(), without_signature(&genuine)];
                for garbage in [b"".as_slice(), b"success", b"SUCCESS", b"\xff"] {
                    requests.push(with_text(&genuine.request, carrier(&genuine), garbage.to_vec()));
                }
                for request in requests {
                    assert_eq!(world.channel.answer(cause.answer(), Some(&request)), alone, "{kind}: {cause:?}");
                }
            }
        }
    }
}

#[test]
fn success_quotes_its_own_request_and_is_confirmed_by_what_it_quotes() {
    for world in worlds() {
        let kind = world.platform.kind;
        for (story, genuine) in world.callbacks() {
            let label = format!("{kind}: {}", story.kind);
            let success = world.channel.answer(Answer::Success, Some(&genuine.request));
            let reply = AppReply { status: success.status, body: &success.body };
            assert_eq!(world.channel.is_ack(&reply, Some(&genuine.request)), AckMatch::Exact, "{label}");
            assert_eq!(world.channel.answer(Answer::Success, Some(&genuine.request)), success, "{label}: told again");
            let other = Story { order_no: "T20261121-0009".to_owned(), serial: 9, ..story.clone() };
            let other = world.side.callback(&other).request;
            // A number of another request confirms nothing here.
            if world.channel.answer(Answer::Success, Some(&other)) != success {
                assert_ne!(world.channel.is_ack(&reply, Some(&other)), AckMatch::Exact, "{label}: another's success");
            }
        }
    }
}
