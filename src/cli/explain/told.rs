//! The answer for people. Every piece of the request goes through [`visible`], and has a bound.

use std::fmt::Write as _;

use tollbell_channels::channel::Rejection;
use tollbell_channels::explain::{Evidence, Found, Outcome, Signed};
use tollbell_channels::model::{Proof, Timestamp};

use super::chosen::{Chosen, Judged, TimeFrom};
use super::difference::{self, Difference, is_new};
use super::subject::{Origin, Reading, form_name};
use super::{Answer, Whole, is_whole};
use crate::capture::{Fidelity, Note};
use crate::cli::context::visible;
use crate::cli::listing::pick;
use crate::cli::refusal::reason;
use crate::messages::{Lang, Message};

/// Checks whose text is shown; `--json` has all of them.
const SIGNED_SHOWN: usize = 2;
/// Characters of a signed text that are shown; `--json` has more.
const SIGNED_CHARS: usize = 1200;
/// Characters of a fact that are shown.
const FACT_CHARS: usize = 200;
/// Headers and fields of an unknown request that are named.
const NAMES_SHOWN: usize = 24;
/// Bytes of an unknown request's body that are shown.
const BODY_SHOWN: usize = 160;

/// What stands before and behind a difference.
pub(super) const MARK: char = '⟦';
const END: char = '⟧';

/// What a PHP script does to keep a callback as it came: the file is what `explain` reads.
pub(super) const PHP_RECIPE: &str = r#"$head = $_SERVER['REQUEST_METHOD'] . ' ' . $_SERVER['REQUEST_URI'] . " HTTP/1.1\r\n";
foreach (getallheaders() as $name => $value) { $head .= $name . ': ' . $value . "\r\n"; }
file_put_contents(sys_get_temp_dir() . '/callback-' . uniqid() . '.http', $head . "\r\n" . file_get_contents('php://input'));"#;

pub(super) fn of(whole: &Whole<'_>, lang: Lang) -> String {
    let mut page = Page { text: String::new(), lang };
    page.subject(whole);
    match &whole.answer {
        Answer::Judged(judged) => page.judged(whole, judged),
        Answer::NotJudged => page.line(&Message::new("explain.by_answer")),
        Answer::NoBody => page.no_body(whole),
        Answer::Unrecognised => page.unrecognised(whole),
    }
    page.history(whole);
    page.findings(whole);
    if let Answer::Judged(judged) = &whole.answer {
        page.signed(judged);
        page.copy(whole, &whole.subject.readings[judged.reading]);
        page.effort(judged);
    } else if let Some(reading) = whole.subject.readings.first() {
        page.copy(whole, reading);
    }
    page.text
}

struct Page {
    text: String,
    lang: Lang,
}

impl Page {
    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a text takes everything");
        self.text.push('\n');
    }

    fn line(&mut self, message: &Message) {
        let text = message.text(self.lang);
        self.say(format_args!("{text}"));
    }

    fn item(&mut self, message: &Message) {
        let text = message.text(self.lang);
        self.say(format_args!("* {text}"));
    }

    /// What is explained, by whom and as of when.
    fn subject(&mut self, whole: &Whole<'_>) {
        match &whole.subject.origin {
            Origin::Rejection(record) => {
                let message = Message::new("explain.subject_rejection");
                self.line(&message.with("id", record.id).with("at", seconds(record.received_at)));
            }
            Origin::Notification(record) => {
                let message = Message::new("explain.subject_notification");
                self.line(&message.with("id", record.id).with("at", seconds(record.received_at)));
            }
            Origin::Copy(name) => {
                let reading = match &whole.answer {
                    Answer::Judged(judged) => whole.subject.readings.get(judged.reading),
                    _ => whole.subject.readings.first(),
                };
                let form = reading.and_then(|reading| reading.form).map(form_name);
                let form = form.map(|key| self.lang.fixed(key)).unwrap_or_default();
                self.line(&Message::new("explain.subject_copy").with("name", name).with("form", form));
            }
        }
    }

    fn judged(&mut self, whole: &Whole<'_>, judged: &Judged) {
        let lang = self.lang;
        let channel = whole.built[judged.channel].config;
        let message = Message::new("explain.channel").with("channel", &channel.id);
        let message = message.with("platform", pick(channel.platform.name, lang));
        self.line(&message.with("why", lang.fixed(why_chosen(judged.chosen))));
        self.line(
            &Message::new("explain.time")
                .with("at", seconds(judged.at))
                .with("why", lang.fixed(why_time(judged.time_from))),
        );
        if judged.time_from == TimeFrom::Message {
            self.line(&Message::new("explain.time_unknown"));
        }
        self.recorded(whole, judged);
        self.text.push('\n');
        self.outcome(whole, judged);
    }

    /// What the record says, where verification today does not say the same.
    fn recorded(&mut self, whole: &Whole<'_>, judged: &Judged) {
        match &whole.subject.origin {
            Origin::Rejection(record) => {
                if judged.diagnosis.outcome != Outcome::Refused(record.rejection.clone()) {
                    self.refused_then(&record.rejection);
                }
                if let Some(notification) = record.notification {
                    self.line(&Message::new("explain.became").with("notification", notification));
                }
            }
            Origin::Notification(record) => {
                if let Proof::Signature { key, .. } = &record.proof {
                    self.line(&Message::new("explain.was_genuine").with("key", visible(key)));
                }
            }
            Origin::Copy(_) => {}
        }
    }

    fn refused_then(&mut self, rejection: &Rejection) {
        let cure = Message::dynamic(format!("rejection.{}", rejection.word())).text(self.lang);
        let message = Message::new("explain.refused_then").with("reason", reason(rejection, self.lang));
        self.line(&message.with("cure", cure));
    }

    fn outcome(&mut self, whole: &Whole<'_>, judged: &Judged) {
        if judged.is_challenge {
            self.line(&Message::new("explain.challenge"));
            return;
        }
        let is_notification = matches!(whole.subject.origin, Origin::Notification(_));
        match &judged.diagnosis.outcome {
            Outcome::Genuine => {
                let key = judged.genuine.as_ref().map_or_else(String::new, |genuine| match &genuine.proof {
                    Proof::Signature { key, .. } | Proof::PlatformApi { key, .. } => visible(key),
                });
                self.line(&Message::new("explain.genuine").with("key", key));
                if let Origin::Rejection(record) = &whole.subject.origin
                    && record.notification.is_none()
                {
                    self.line(&Message::new("explain.reverify").with("id", record.id));
                }
            }
            Outcome::Hint => self.line(&Message::new("explain.hint")),
            Outcome::NeedsKey { serial } => {
                self.line(&Message::new("explain.needs_key").with("serial", visible(serial)));
            }
            Outcome::Refused(rejection) if is_notification => {
                self.line(&Message::new("explain.refused_today").with("reason", reason(rejection, self.lang)));
            }
            Outcome::Refused(rejection) => {
                self.line(&Message::new("explain.refused").with("reason", reason(rejection, self.lang)));
                if whole.findings().next().is_none() {
                    self.nothing_found(whole, judged, rejection);
                }
            }
        }
    }

    /// A refusal without a finding: what is known in general, and what this copy cannot say.
    fn nothing_found(&mut self, whole: &Whole<'_>, judged: &Judged, rejection: &Rejection) {
        let reading = &whole.subject.readings[judged.reading];
        self.text.push('\n');
        self.line(&Message::new("explain.nothing_found"));
        let cure = Message::dynamic(format!("rejection.{}", rejection.word())).text(self.lang);
        self.say(format_args!("{cure}"));
        if !is_whole(reading.kept) {
            self.line(&Message::new("explain.perhaps_copy"));
        }
        if whole.subject.is_redacted() {
            self.line(&Message::new("explain.redacted"));
        }
        if judged.diagnosis.effort.is_bounded {
            self.line(&Message::new("explain.bounded"));
        }
        if !judged.rivals.is_empty() {
            let ids = judged.rivals.iter().map(|rival| &*whole.built[*rival].config.id);
            self.line(&Message::new("explain.rivals").with("channels", ids.collect::<Vec<_>>().join(", ")));
        }
    }

    fn no_body(&mut self, whole: &Whole<'_>) {
        match &whole.subject.origin {
            Origin::Rejection(record) => {
                let kept = record.request.as_ref();
                let there = kept.map_or(0, |kept| kept.request.body.len());
                let message = match kept.and_then(|kept| kept.body_bytes) {
                    Some(all) => Message::new("explain.body_cut").with("kept", there).with("all", all),
                    None => Message::new("explain.body_unread"),
                };
                self.refused_then(&record.rejection);
                self.text.push('\n');
                self.line(&message);
            }
            Origin::Notification(_) | Origin::Copy(_) => self.line(&Message::new("explain.body_gone")),
        }
    }

    /// Nobody knows it: what was seen, as far as it tells a platform.
    fn unrecognised(&mut self, whole: &Whole<'_>) {
        if let Origin::Rejection(record) = &whole.subject.origin {
            self.refused_then(&record.rejection);
        }
        self.text.push('\n');
        self.line(&Message::new("explain.unrecognised"));
        let ids: Vec<&str> = whole.built.iter().map(|built| &*built.config.id).collect();
        self.line(&Message::new("explain.name_one").with("channels", ids.join(", ")));
        let Some(reading) = whole.subject.readings.first() else { return };
        if !reading.kept.has_head {
            self.line(&Message::new("explain.known_by_header"));
        }
        let request = &reading.request;
        self.text.push('\n');
        self.line(&Message::new("explain.seen"));
        if reading.kept.has_head {
            let line = format!("{} {}", request.method, request.path);
            self.say(format_args!("* {}", cut(&visible(&line), FACT_CHARS)));
            let mut names: Vec<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
            names.truncate(NAMES_SHOWN);
            self.item(&Message::new("explain.seen_headers").with("names", names.join(", ")));
        }
        let body = &request.body[..request.body.len().min(BODY_SHOWN)];
        let text = visible(&String::from_utf8_lossy(body));
        let more = if request.body.len() > BODY_SHOWN { "…" } else { "" };
        let message = Message::new("explain.seen_body").with("bytes", request.body.len());
        self.item(&message.with("text", format!("{text}{more}")));
    }

    fn history(&mut self, whole: &Whole<'_>) {
        if matches!(whole.subject.origin, Origin::Notification(_)) {
            return;
        }
        if let Some(notification) = whole.history.notification {
            self.line(&Message::new("explain.known").with("notification", notification));
        }
    }

    fn findings(&mut self, whole: &Whole<'_>) {
        for (place, found) in whole.findings().enumerate() {
            self.text.push('\n');
            self.finding(place + 1, found);
        }
        if let Answer::Judged(judged) = &whole.answer
            && let Some(difference) = difference::of(&judged.diagnosis)
        {
            self.difference(&difference);
        }
        if let Answer::Judged(judged) = &whole.answer
            && is_pair(&judged.diagnosis.findings)
        {
            self.text.push('\n');
            self.line(&Message::new("explain.pair"));
        }
    }

    /// What came, and what was signed in its place.
    fn difference(&mut self, difference: &Difference) {
        let Difference { part, before, came, signed, behind } = difference;
        self.text.push('\n');
        let keys = match *part {
            difference::SIGNED => ["explain.was_checked", "explain.was_signed"],
            "body" => ["explain.body_came", "explain.body_sent"],
            _ => ["explain.address_came", "explain.address_sent"],
        };
        for (key, inner) in keys.into_iter().zip([came, signed]) {
            let label = self.lang.fixed(key);
            let [before, inner, behind] = [before, inner, behind].map(|part| visible(part));
            self.say(format_args!("   {label}{before}{MARK}{inner}{END}{behind}"));
        }
    }

    fn finding(&mut self, number: usize, found: &Found) {
        let lang = self.lang;
        let found = &tame(found, lang);
        let in_lang = |text| pick(text, lang);
        self.say(format_args!("{number}. {}  [{}]", found.title(in_lang), found.finding.id));
        self.say(format_args!("   {}", lang.fixed(evidence_text(found.proof))));
        let parts = [("explain.cause", found.cause(in_lang)), ("explain.cure", found.cure(in_lang))];
        for (key, text) in parts {
            self.say(format_args!("   {}{text}", lang.fixed(key)));
        }
        if let Some(likelier) = found.fact("likelier") {
            self.say(format_args!("   {}{likelier}", lang.fixed("explain.likelier")));
        }
        // What an application answered has a text of its own for each way to be wrong.
        if let Some(reason) = found.fact("reason").filter(|reason| !reason.is_empty()) {
            let detail = found.fact("detail").unwrap_or_default();
            let message = Message::dynamic(format!("outcome.{reason}")).with("detail", detail);
            if message.text(lang) != *message.key() {
                self.say(format_args!("   {}", message.text(lang)));
            }
        }
    }

    /// What was taken for the signed text: those checks that did not hold, or the one that did.
    fn signed(&mut self, judged: &Judged) {
        let all = &judged.diagnosis.signed;
        let is_taken = judged.diagnosis.outcome.is_accepted();
        let mut shown: Vec<&Signed> = Vec::new();
        for signed in all.iter().filter(|signed| signed.held == is_taken) {
            if !shown.iter().any(|before| before.text == signed.text && before.variant == signed.variant) {
                shown.push(signed);
            }
        }
        for signed in shown.iter().take(SIGNED_SHOWN) {
            self.check(if signed.held { "explain.signed_held" } else { "explain.signed_not" }, signed);
        }
        if shown.len() > SIGNED_SHOWN {
            self.line(&Message::new("explain.signed_more").with("count", shown.len() - SIGNED_SHOWN));
        }
        if let Some(matched) = judged.diagnosis.matched.iter().find(|one| is_new(one, &judged.diagnosis)) {
            self.check("explain.signed_instead", matched);
        }
    }

    fn check(&mut self, key: &'static str, signed: &Signed) {
        self.text.push('\n');
        // Where the text of a digest is signed, which digest.
        let first = signed.first.map(|first| format!(", {first}(…)")).unwrap_or_default();
        let message = Message::dynamic(key.to_owned()).with("algorithm", format!("{}{first}", signed.algorithm));
        let message = message.with("key", visible(&signed.key)).with("variant", signed.variant);
        self.line(&message.with("bytes", signed.bytes));
        self.say(format_args!("   {}", cut(&visible(&signed.text), SIGNED_CHARS)));
    }

    /// What a copy cannot say, and how to make one that can.
    fn copy(&mut self, whole: &Whole<'_>, reading: &Reading) {
        let mut limits: Vec<Message> = reading.notes.iter().map(note).collect();
        if reading.fidelity == Fidelity::Fields {
            limits.push(Message::new("explain.only_fields"));
        }
        if let Answer::Judged(judged) = &whole.answer
            && judged.further > 0
        {
            limits.push(Message::new("explain.further").with("count", judged.further));
        }
        if let Answer::Judged(judged) = &whole.answer
            && let Some([before, behind]) = judged.left_out
        {
            limits.push(Message::new("explain.left_out").with("before", before).with("behind", behind));
        }
        if limits.is_empty() {
            return;
        }
        self.text.push('\n');
        self.line(&Message::new("explain.limits"));
        for limit in &limits {
            self.item(limit);
        }
        if !is_whole(reading.kept) && !whole.is_explained() {
            self.text.push('\n');
            self.line(&Message::new("explain.capture"));
            for line in PHP_RECIPE.lines() {
                self.say(format_args!("    {line}"));
            }
            self.line(&Message::new("explain.capture_else"));
        }
    }

    fn effort(&mut self, judged: &Judged) {
        let effort = judged.diagnosis.effort;
        let message = Message::new("explain.effort").with("verifications", effort.verifications);
        self.text.push('\n');
        self.line(&message.with("operations", effort.operations));
    }
}

/// A finding whose facts may stand on a terminal, in the reader's language where they are words of ours.
fn tame(found: &Found, lang: Lang) -> Found {
    let facts = found.facts.iter().map(|(name, value)| {
        let value = if WORDS.contains(name) { words(value, lang) } else { value.clone() };
        (*name, cut(&visible(&value), FACT_CHARS))
    });
    Found { facts: facts.collect(), ..found.clone() }
}

/// Facts whose values are words of the findings, one or several with commas between them.
const WORDS: &[&str] = &["how", "unit", "likelier"];

/// Words in the reader's language; what is no such word stays as it is.
fn words(value: &str, lang: Lang) -> String {
    let word = |word: &str| {
        let message = Message::dynamic(format!("fact.{word}"));
        let text = message.text(lang);
        if text == *message.key() { word.to_owned() } else { text }
    };
    let all: Vec<String> = value.split(", ").map(word).collect();
    all.join(match lang {
        Lang::En => ", ",
        Lang::Zh => "、",
    })
}

/// A time without fractions.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The first characters, with a sign where there are more.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether only all of them undone make the request genuine.
pub(super) fn is_pair(findings: &[Found]) -> bool {
    findings.len() > 1 && findings.iter().all(|found| found.proof != Evidence::Configured)
}

pub(super) fn evidence_text(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Recomputed => "explain.recomputed",
        Evidence::Signed => "explain.signed",
        Evidence::Seen => "explain.seen_there",
        Evidence::Configured => "explain.configured",
        Evidence::Recorded => "explain.recorded",
    }
}

fn why_chosen(chosen: Chosen) -> &'static str {
    match chosen {
        Chosen::Asked => "explain.chosen_asked",
        Chosen::Recorded => "explain.chosen_recorded",
        Chosen::Named => "explain.chosen_named",
        Chosen::Recognised => "explain.chosen_recognised",
        Chosen::Tried => "explain.chosen_tried",
    }
}

fn why_time(from: TimeFrom) -> &'static str {
    match from {
        TimeFrom::Asked => "explain.time_asked",
        TimeFrom::Record => "explain.time_record",
        TimeFrom::Now => "explain.time_now",
        TimeFrom::Message => "explain.time_message",
    }
}

fn note(note: &Note) -> Message {
    match note {
        Note::Length { named, found } => Message::new("explain.note_length").with("named", named).with("found", found),
        Note::CutChunks => Message::new("explain.note_cut_chunks"),
        Note::BareLineFeeds => Message::new("explain.note_bare_line_feeds"),
        Note::NoHeaders => Message::new("explain.note_no_headers"),
        Note::Replaced => Message::new("explain.note_replaced"),
        Note::Utf16 => Message::new("explain.note_utf16"),
        Note::Unread { count } => Message::new("explain.note_unread").with("count", count),
        Note::OpenEnd { field } => {
            Message::new("explain.note_open_end").with("field", cut(&visible(field), FACT_CHARS))
        }
    }
}
