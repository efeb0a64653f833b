//! `shadow`: compares what the gateway thought of each request with what the application answered, by the
//! proxy's log of the same requests.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use tollbell_channels::channel::{Answer, Channel};
use tollbell_channels::model::{AckMatch, AppReply};

use super::context::{Context, visible};
use super::{ExitCode, FAILED, OK, ShadowArgs};
use crate::inbox::NotificationId;
use crate::inbox::hints::HintSums;
use crate::inbox::shadow::{ShadowNote, ShadowVerdict};
use crate::messages::Message;

/// Longest line of the log in bytes; the format that the documentation gives makes some 150.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest answer that is compared with the platform's own word, in bytes.
const ANSWER_BYTES_MAX: u64 = 4096;
/// Requests that are listed of each kind of disagreement; the counts are complete.
const LISTED_MAX: usize = 20;

/// One line of the proxy's log.
struct Answered {
    request: String,
    at: String,
    status: u16,
    /// Length of the answer.
    bytes: u64,
}

/// The comparison.
#[derive(Debug, Default)]
struct Comparison {
    both_accepted: u64,
    both_refused: u64,
    /// Genuine, refused by the application; with whether it accepted a repetition, or the same request again.
    app_refused: Vec<(NotificationId, String, bool)>,
    /// Refused here, accepted by the application.
    only_app_accepted: Vec<(String, String, String)>,
    /// In the log, not known here.
    not_seen: Vec<(String, String)>,
    /// Noted here, not in the log.
    not_logged: u64,
    unreadable_lines: u64,
    hints: Hinted,
}

/// Requests that prove nothing and name something: neither side can believe them, and whoever is to decide asks the
/// platform. So what counts is whether the answers come.
#[derive(Debug, Default)]
struct Hinted {
    /// Accepted by the application.
    accepted: u64,
    /// Refused by it.
    refused: u64,
    /// What asking came to.
    sums: HintSums,
}

impl Comparison {
    /// Nothing stands against switching.
    fn is_good(&self) -> bool {
        self.only_app_accepted.is_empty()
            && self.not_seen.is_empty()
            && self.hints.sums.unanswered == 0
            // Strangers invent numbers. What the platform or a known sender named exists, unless we ask in another account
            // or environment than theirs.
            && self.hints.sums.unknown_proven == 0
            && (self.hints.accepted == 0 || self.hints.sums.told > 0)
            && self.shows_something()
    }

    /// Something was accepted on both sides, and where that was a hint, the platform told what it was about.
    fn shows_something(&self) -> bool {
        self.both_accepted > 0 || (self.hints.accepted > 0 && self.hints.sums.told > 0)
    }
}

pub(super) async fn run(context: &mut Context<'_>, args: &ShadowArgs) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let Some(channel) = config.channels.iter().find(|channel| *channel.id == *args.channel) else {
        return Err(context.unknown_word(&args.channel, config.channels.iter().map(|channel| &*channel.id)));
    };
    let inbox = context.inbox()?;
    let notes = inbox.shadow_notes(&args.channel).await;
    let notes = notes.with_context(|| context.text(&Message::new("doing.read_inbox")))?;
    let (answered, unreadable_lines) = read_log(&args.log)
        .with_context(|| context.text(&Message::new("doing.read_log").with("path", args.log.display())))?;
    let mut comparison = Comparison { unreadable_lines, ..compare(&notes, answered, &*channel.channel) };
    let sums = inbox.hint_sums(&args.channel).await;
    comparison.hints.sums = sums.with_context(|| context.text(&Message::new("doing.read_inbox")))?;
    if context.is_json {
        context.say_json(&to_json(&comparison))?;
    } else {
        tell(context, &comparison)?;
    }
    Ok(if comparison.is_good() { OK } else { FAILED })
}

/// Reads the log, one JSON object a line with `id`, `at`, `status`, `bytes` and `framing`.
fn read_log(path: &Path) -> std::io::Result<(Vec<Answered>, u64)> {
    let mut answered = Vec::new();
    let mut unreadable = 0;
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok((answered, unreadable));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match (line.len() <= LINE_BYTES_MAX).then(|| read_line(&line)).flatten() {
            Some(read) => answered.push(read),
            None => unreadable += 1,
        }
    }
}

fn read_line(line: &[u8]) -> Option<Answered> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let number = |name: &str| {
        let value = value.get(name)?;
        value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok())
    };
    let status = u16::try_from(number("status")?).ok()?;
    let sent = number("bytes")?;
    let bytes = if text("framing") == Some("chunked") { without_framing(sent) } else { sent };
    Some(Answered { request: text("id")?.to_owned(), at: text("at").unwrap_or_default().to_owned(), status, bytes })
}

/// The length of an answer that was sent as one chunk: `7\r\nsuccess\r\n0\r\n\r\n`. An answer in several chunks
/// comes out longer than it was, and so as no success: scripts that confirm print one word.
fn without_framing(sent: u64) -> u64 {
    const AROUND_ONE_CHUNK: u64 = "\r\n\r\n0\r\n\r\n".len() as u64;
    let digits = |length: u64| format!("{length:x}").len() as u64;
    let at_most = sent.saturating_sub(AROUND_ONE_CHUNK);
    (0..=at_most)
        .rev()
        .take(u64::BITS as usize)
        .find(|length| length + digits(*length) + AROUND_ONE_CHUNK == sent)
        .unwrap_or(sent)
}

/// The log tells how long the application's answer was, not what it said: an answer as long as the
/// platform's own word is taken for it: `own` is the word for this very request, where it has one. A byte order mark,
/// a warning or an error page are longer.
fn is_success(channel: &dyn Channel, answered: &Answered, own: Option<&str>) -> bool {
    let same_for_all = channel.answer(Answer::Success, None).body;
    let word = own.map_or(&*same_for_all, str::as_bytes);
    let length = usize::try_from(answered.bytes.min(ANSWER_BYTES_MAX)).unwrap_or_default();
    let guess = vec![b'?'; length];
    let body: &[u8] = if length == word.len() { word } else { &guess };
    channel.is_ack(&AppReply { status: answered.status, body }, None) == AckMatch::Exact
}

fn compare(notes: &[ShadowNote], answered: Vec<Answered>, channel: &dyn Channel) -> Comparison {
    let mut known: HashMap<&str, &ShadowNote> = notes.iter().map(|note| (note.request.as_str(), note)).collect();
    let mut found = Comparison::default();
    // Of each notification: what was refused of it, and whether any of its requests was accepted.
    let mut refused: BTreeMap<NotificationId, Vec<String>> = BTreeMap::new();
    let mut accepted: HashMap<NotificationId, u64> = HashMap::new();
    for line in answered {
        let Some(note) = known.remove(line.request.as_str()) else {
            found.not_seen.push((line.request, line.at));
            continue;
        };
        let is_accepted = is_success(channel, &line, note.success.as_deref());
        match &note.verdict {
            ShadowVerdict::Genuine(id) if is_accepted => {
                found.both_accepted += 1;
                *accepted.entry(*id).or_default() += 1;
            }
            ShadowVerdict::Genuine(id) => refused.entry(*id).or_default().push(line.at),
            ShadowVerdict::Refused(reason) if is_accepted => {
                found.only_app_accepted.push((line.request, line.at, reason.clone()));
            }
            ShadowVerdict::Refused(_) => found.both_refused += 1,
            ShadowVerdict::Hinted if is_accepted => found.hints.accepted += 1,
            ShadowVerdict::Hinted => found.hints.refused += 1,
        }
    }
    for (id, times) in refused {
        let is_later_accepted = accepted.contains_key(&id);
        found.app_refused.extend(times.into_iter().map(|at| (id, at, is_later_accepted)));
    }
    found.not_logged = known.len() as u64;
    found
}

fn tell(context: &mut Context<'_>, found: &Comparison) -> anyhow::Result<()> {
    context.tell(&Message::new("shadow.both_accepted").with("count", found.both_accepted))?;
    context.tell(&Message::new("shadow.both_refused").with("count", found.both_refused))?;
    let lost = found.app_refused.iter().filter(|(.., later)| !later).count();
    let count = found.app_refused.len();
    context.tell(&Message::new("shadow.app_refused").with("count", count).with("lost", lost))?;
    for (id, at, _) in found.app_refused.iter().filter(|(.., later)| !later).take(LISTED_MAX) {
        context.say(&format!("  {id}  {}", visible(at)))?;
    }
    context.tell(&Message::new("shadow.only_app_accepted").with("count", found.only_app_accepted.len()))?;
    for (request, at, reason) in found.only_app_accepted.iter().take(LISTED_MAX) {
        context.say(&format!("  {}  {}  {}", visible(request), visible(at), visible(reason)))?;
    }
    context.tell(&Message::new("shadow.not_seen").with("count", found.not_seen.len()))?;
    for (request, at) in found.not_seen.iter().take(LISTED_MAX) {
        context.say(&format!("  {}  {}", visible(request), visible(at)))?;
    }
    let Hinted { accepted, refused, sums } = found.hints;
    if accepted + refused > 0 {
        context.tell(&Message::new("shadow.hints").with("accepted", accepted).with("refused", refused))?;
        let asked = Message::new("shadow.asked").with("told", sums.told).with("unanswered", sums.unanswered);
        context.tell(&asked.with("unknown", sums.unknown).with("proven", sums.unknown_proven))?;
    }
    if found.not_logged > 0 {
        context.tell(&Message::new("shadow.not_logged").with("count", found.not_logged))?;
    }
    if found.unreadable_lines > 0 {
        context.tell(&Message::new("shadow.unreadable").with("count", found.unreadable_lines))?;
    }
    let verdict = match (found.is_good(), found.shows_something()) {
        (true, _) => "shadow.good",
        (false, false) if sums.unanswered == 0 && sums.unknown == 0 => "shadow.nothing",
        (false, _) => "shadow.not_yet",
    };
    context.tell(&Message::new(verdict))
}

fn to_json(found: &Comparison) -> Value {
    json!({
        "both_accepted": found.both_accepted,
        "both_refused": found.both_refused,
        "app_refused": found.app_refused.iter().map(|(id, at, is_later_accepted)| {
            json!({ "notification": id.to_string(), "at": at, "accepted_later": is_later_accepted })
        }).collect::<Vec<_>>(),
        "only_app_accepted": found.only_app_accepted.iter().map(|(request, at, reason)| {
            json!({ "request": request, "at": at, "reason": reason })
        }).collect::<Vec<_>>(),
        "not_seen": found.not_seen.iter().map(|(request, at)| json!({ "request": request, "at": at })).collect::<Vec<_>>(),
        "not_logged": found.not_logged,
        "hints": {
            "accepted": found.hints.accepted,
            "refused": found.hints.refused,
            "told": found.hints.sums.told,
            "unanswered": found.hints.sums.unanswered,
            "unknown": found.hints.sums.unknown,
            "unknown_of_known_senders": found.hints.sums.unknown_proven,
        },
        "unreadable_lines": found.unreadable_lines,
        "ready_to_switch": found.is_good(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollbell_channels::channel::{Hint, HintNumber};
    use tollbell_channels::signature::hmac::{HmacHash, HmacKey};

    use super::*;
    use crate::inbox::Admin as _;
    use crate::inbox::hints::{Ground, HintClaim, HintClaimed, HintEnd, Hints as _, Learned, Told};
    use crate::inbox::sqlite::{Options, SqliteInbox};

    #[test]
    fn hints_speak_for_the_switch_only_by_what_the_platform_told() {
        let with =
            |sums: HintSums| Comparison { hints: Hinted { accepted: 3, refused: 0, sums }, ..Comparison::default() };
        let of = |told, unanswered| with(HintSums { told, unanswered, ..HintSums::default() });
        let unknown = |unknown, unknown_proven| with(HintSums { told: 1, unanswered: 0, unknown, unknown_proven });
        assert!(unknown(100, 0).is_good(), "strangers invent numbers");
        assert!(!unknown(1, 1).is_good(), "the platform does not know what it named itself");
        let beside = Comparison { both_accepted: 1, ..of(0, 0) };
        assert!(!beside.is_good(), "what is signed says nothing about what is asked");
        assert!(of(1, 0).is_good());
        assert!(!of(0, 0).is_good(), "nobody knows yet whether asking works");
        assert!(!of(1, 1).is_good(), "a question has no answer");
    }

    /// A hint whose sender knows the channel's secret.
    fn vouched(text: &str) -> Hint {
        let key = HmacKey::new(b"secret", HmacHash::Sha256, "key");
        let verified = key.verify_any(b"m", &[key.sign(b"m").as_slice()], "plain").unwrap();
        Hint::from_platform(HintNumber::new(text).unwrap(), &verified)
    }

    #[tokio::test]
    async fn numbers_that_the_platform_does_not_know_are_counted_however_many_there_are() {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let now = crate::clock::system()();
        let inbox = SqliteInbox::open(folder.path().join("inbox.db"), Options::new(crate::clock::system())).unwrap();
        let source = |index: u8| Some(std::net::IpAddr::from([10, index, 0, 1]));
        for index in 0..20_u8 {
            let invented = Hint::from_anybody(HintNumber::new(&format!("x{index}")).unwrap());
            let hint = if index == 0 { vouched("real") } else { invented };
            let told = Told { channel: "pay".to_owned(), hint, source: source(index), at: now, gap: Duration::ZERO };
            inbox.note_hint(told).await.unwrap();
        }
        let mut ended = 0;
        loop {
            let claim = HintClaim {
                channel: "pay".to_owned(),
                grounds: Ground::ALL.to_vec(),
                now,
                lease: Duration::from_secs(20),
                takes_over: false,
            };
            let HintClaimed::Leased(leased) = inbox.claim_hint(claim).await.unwrap() else { break };
            let end = HintEnd {
                channel: "pay".to_owned(),
                number: leased.number,
                token: leased.token,
                now,
                gap: Duration::ZERO,
                learned: Learned::Unknown,
                outcome: "unknown",
                again: None,
                if_late: None,
            };
            inbox.end_hint(end).await.unwrap();
            ended += 1;
        }
        let sums = inbox.hint_sums("pay").await.unwrap();
        assert_eq!((ended, sums.unknown, sums.unknown_proven), (20, 20, 1), "{sums:?}");
        assert_eq!((sums.told, sums.unanswered), (0, 0));
        assert_eq!(inbox.hint_sums("other").await.unwrap(), HintSums::default());
        inbox.close().await;
    }

    #[test]
    fn the_framing_of_one_chunk_is_taken_off() {
        for length in [1_usize, 7, 15, 16, 17, 255, 256, 4095, 70_000] {
            let framed = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
            assert_eq!(without_framing(framed.len() as u64), length as u64);
        }
        assert_eq!(without_framing(3), 3);
    }
}
