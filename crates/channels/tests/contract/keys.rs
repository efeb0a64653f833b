//! Keys that a platform hands out: asked for, believed when everything about them holds, and else not at all.

use std::sync::Arc;

use http::{HeaderValue, Method};
use tollbell_channels::channel::{
    ANSWER_BYTES_MAX, Channel, FETCHED_KEYS_MAX, FetchedKey, HttpAnswer, HttpAsk, KeyRefused, KeyRequest, KeySource,
    Reach, Rejection, Verdict,
};
use tollbell_channels::model::{Environment, RawRequest, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{Conduct, KeyOffice};

use super::world::{accepted, at, build, story, with_body};

const BASE: &str = "http://127.0.0.1:9999";

const CHANCE: [u8; 16] = [7; 16];

/// A platform that hands out keys, and a channel that must ask for one.
struct Stage {
    platform: &'static Platform,
    office: Box<dyn KeyOffice>,
    channel: Box<dyn Channel>,
    callback: RawRequest,
    needed: KeyRequest,
}

fn settings_of(office: &dyn KeyOffice) -> Settings {
    office
        .written_settings(BASE)
        .into_iter()
        .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
}

fn stages() -> Vec<Stage> {
    let stages: Vec<Stage> = PLATFORMS.iter().filter_map(|platform| Stage::new(platform)).collect();
    assert!(!stages.is_empty(), "no platform hands out keys");
    stages
}

impl Stage {
    fn new(platform: &'static Platform) -> Option<Self> {
        let side = (platform.simulate)();
        let office = side.key_office()?;
        let channel = build(platform, &settings_of(&*office));
        let kind = side.stories()[0];
        let callback = office.callback(&story(kind)).request;
        let Verdict::NeedsKey(needed) = channel.verify(&callback, at()) else {
            panic!("{}: the office's callback needs no key", platform.kind)
        };
        Some(Self { platform, office, channel, callback, needed })
    }

    fn source(&self) -> &dyn KeySource {
        self.channel.key_source().unwrap_or_else(|| panic!("{}: no source", self.platform.kind))
    }

    fn ask(&self) -> HttpAsk {
        let ask = self.source().ask(Some(&self.needed), CHANCE, at());
        ask.unwrap_or_else(|| panic!("{}: nothing to ask", self.platform.kind))
    }

    fn answer(&self, conduct: Conduct) -> HttpAnswer {
        self.office.answer(&self.ask(), at(), conduct)
    }

    fn read(&self, answer: &HttpAnswer) -> Result<Vec<FetchedKey>, KeyRefused> {
        self.source().read(answer, Some(&self.needed), at())
    }

    fn fetch(&self) -> Vec<FetchedKey> {
        self.read(&self.answer(Conduct::Honest)).unwrap_or_else(|error| panic!("{}: {error}", self.platform.kind))
    }

    fn with(&self, keys: &[FetchedKey]) -> Result<Arc<dyn Channel>, KeyRefused> {
        self.source().with_keys(keys, at())
    }
}

#[test]
fn a_key_that_was_fetched_proves_the_message_that_needed_it() {
    for stage in stages() {
        let kind = stage.platform.kind;
        let keys = stage.fetch();
        let key = keys.iter().find(|key| key.serial == stage.needed.serial).expect("the needed key");
        assert!(key.not_before <= at() && at() <= key.not_after && key.fetched_at == at(), "{kind}");
        let channel = stage.with(&keys).unwrap_or_else(|error| panic!("{kind}: {error}"));
        accepted(stage.platform, "with the key", channel.verify(&stage.callback, at()));
        let notes = channel.keys();
        assert!(notes.len() > stage.channel.keys().len(), "{kind}: the key is not shown");
        assert!(notes.iter().any(|note| note.not_after == Some(key.not_after)), "{kind}: its end is not shown");
        // It proves the platform's messages and nobody else's.
        let stranger = Stage::new(stage.platform).expect("an office");
        let verdict = channel.verify(&stranger.callback, at());
        assert!(!matches!(verdict, Verdict::Genuine(_)), "{kind}: {verdict:?}");
        let spoiled = with_body(&stage.callback, [&stage.callback.body[..], b" "].concat());
        assert!(!matches!(channel.verify(&spoiled, at()), Verdict::Genuine(_)), "{kind}");
    }
}

#[test]
fn the_channel_itself_is_not_changed_and_can_be_given_other_keys() {
    for stage in stages() {
        let keys = stage.fetch();
        let channel = stage.with(&keys).expect("good keys");
        assert!(matches!(stage.channel.verify(&stage.callback, at()), Verdict::NeedsKey(_)));
        let source = channel.key_source().expect("a source as before");
        let bare = source.with_keys(&[], at()).expect("no keys are good keys");
        assert!(matches!(bare.verify(&stage.callback, at()), Verdict::NeedsKey(_)), "{}", stage.platform.kind);
        let again = source.with_keys(&keys, at()).expect("the same keys");
        accepted(stage.platform, "again", again.verify(&stage.callback, at()));
        let many = vec![keys[0].clone(); FETCHED_KEYS_MAX + 1];
        assert!(matches!(stage.with(&many).err(), Some(KeyRefused::TooLarge { .. })));
    }
}

#[test]
fn no_bad_answer_brings_a_key_that_proves_the_message() {
    for stage in stages() {
        let kind = stage.platform.kind;
        for conduct in Conduct::BAD {
            let answer = stage.answer(*conduct);
            let keys = match stage.read(&answer) {
                Ok(keys) => keys,
                Err(refused) => {
                    assert_eq!(*conduct == Conduct::Absent, refused == KeyRefused::Absent, "{kind}: {conduct:?}");
                    assert!(!refused.word().is_empty() && refused.to_string().len() < 200);
                    continue;
                }
            };
            // Only an honest answer about something else is read at all.
            assert_eq!(*conduct, Conduct::Unasked, "{kind}: accepted");
            assert!(keys.iter().all(|key| key.serial != stage.needed.serial), "{kind}: {conduct:?}");
            let channel = stage.with(&keys).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert!(!matches!(channel.verify(&stage.callback, at()), Verdict::Genuine(_)), "{kind}: {conduct:?}");
        }
    }
}

#[test]
fn every_bit_of_an_answer_counts() {
    for stage in stages() {
        let kind = stage.platform.kind;
        let honest = stage.answer(Conduct::Honest);
        let needed = &stage.fetch()[0];
        for place in (0..honest.body.len()).step_by(7) {
            let mut body = honest.body.to_vec();
            body[place] ^= 1;
            let answer = HttpAnswer { body: body.into(), ..honest.clone() };
            // What is outside the signed part may change, and then nothing else has.
            if let Ok(keys) = stage.read(&answer) {
                assert!(keys.iter().all(|key| key == needed), "{kind}: byte {place}");
            }
        }
        // Of a text, the last line's end says nothing.
        for cut in [0, 1, 2, honest.body.len() / 3, honest.body.trim_ascii_end().len() - 1] {
            let answer = HttpAnswer { body: honest.body.slice(..cut), ..honest.clone() };
            assert!(stage.read(&answer).is_err(), "{kind}: cut at {cut}");
        }
        for status in [0, 201, 204, 302, 401, 404, 500] {
            let answer = HttpAnswer { status, ..honest.clone() };
            assert!(stage.read(&answer).is_err(), "{kind}: status {status}");
        }
        let huge = HttpAnswer { body: vec![b'{'; ANSWER_BYTES_MAX + 1].into(), ..honest.clone() };
        assert!(matches!(stage.read(&huge), Err(KeyRefused::TooLarge { .. })), "{kind}");
        for body in ["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "{\"data\":[]}", "null", "{}", "\u{feff}{}", "{\"data\":{}}"] {
            let answer = HttpAnswer { body: body.as_bytes().to_vec().into(), ..honest.clone() };
            assert!(stage.read(&answer).is_err(), "{kind}: {body}");
        }
    }
}

#[test]
fn a_strangers_answer_and_a_strangers_key_are_refused() {
    for stage in stages() {
        let stranger = Stage::new(stage.platform).expect("an office");
        let theirs = stranger.answer(Conduct::Honest);
        assert!(stage.read(&theirs).is_err(), "{}", stage.platform.kind);
        let keys = stranger.fetch();
        assert!(stage.with(&keys).is_err(), "{}: a kept key of another merchant", stage.platform.kind);
    }
}

#[test]
fn a_kept_key_is_checked_again() {
    for stage in stages() {
        let kind = stage.platform.kind;
        let key = stage.fetch()[0].clone();
        let source = stage.source();
        source.check(&key, at()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let stranger = Stage::new(stage.platform).expect("an office").fetch()[0].clone();
        let later: Timestamp = "2036-11-21T04:00:00Z".parse().expect("a constant time");
        let spoiled = [
            ("serial", FetchedKey { serial: "0123456789abcdef0123456789abcdef".into(), ..key.clone() }),
            ("no certificate", FetchedKey { certificate: String::new(), ..key.clone() }),
            ("certificate", FetchedKey { certificate: stranger.certificate.clone(), ..key.clone() }),
            ("both", FetchedKey { certificate: stranger.certificate, evidence: stranger.evidence, ..key.clone() }),
            ("end", FetchedKey { not_after: later, ..key.clone() }),
            ("begin", FetchedKey { not_before: at(), ..key.clone() }),
        ];
        for (label, spoiled) in spoiled {
            assert!(source.check(&spoiled, at()).is_err(), "{kind}: {label}");
            assert!(stage.with(&[key.clone(), spoiled]).is_err(), "{kind}: {label}");
        }
        let end = key.not_after.checked_add(jiff_second()).expect("a time");
        assert_eq!(source.check(&key, end), Err(KeyRefused::Validity), "{kind}");
        assert_eq!(source.with_keys(&[key], end).err(), Some(KeyRefused::Validity), "{kind}");
    }
}

/// One second.
fn jiff_second() -> std::time::Duration {
    std::time::Duration::from_secs(1)
}

#[test]
fn a_key_that_has_ended_since_proves_nothing() {
    for stage in stages() {
        let keys = stage.fetch();
        let channel = stage.with(&keys).expect("good keys");
        let end = keys[0].not_after.checked_add(jiff_second()).expect("a time");
        let verdict = channel.verify(&stage.callback, end);
        assert!(!matches!(verdict, Verdict::Genuine(_)), "{}: {verdict:?}", stage.platform.kind);
    }
}

#[test]
fn the_request_is_whole_signed_and_goes_where_it_is_configured() {
    for stage in stages() {
        let kind = stage.platform.kind;
        let ask = stage.ask();
        assert!(ask.url.starts_with(BASE), "{kind}: {}", ask.url);
        assert_eq!(ask.reach, Reach::Configured, "{kind}");
        assert!(ask.method == Method::GET || ask.method == Method::POST, "{kind}");
        // The platform refuses what the merchant did not sign.
        for (label, spoiled) in [
            (
                "headers",
                HttpAsk {
                    headers: ask
                        .headers
                        .iter()
                        .map(|(name, _)| (name.clone(), HeaderValue::from_static("x")))
                        .collect(),
                    ..ask.clone()
                },
            ),
            ("body", HttpAsk { body: [&ask.body[..], b"&x=1"].concat().into(), ..ask.clone() }),
        ] {
            // Some platforms hand out certificates to whoever asks: what proves them is in them.
            let is_signed = ask.method == Method::POST || ask.headers.values().any(HeaderValue::is_sensitive);
            let is_covered = is_signed && (label == "body") == (ask.method == Method::POST);
            let answer = stage.office.answer(&spoiled, at(), Conduct::Honest);
            assert_eq!(stage.read(&answer).is_err(), is_covered, "{kind}: {label}");
        }
        let shown = format!("{ask:?} {:?}", stage.answer(Conduct::Honest));
        let body = String::from_utf8_lossy(&ask.body).into_owned();
        assert!(body.is_empty() || !shown.contains(&body), "{kind}: {shown}");

        // Without another base it goes to the platform's own host, encrypted, or there is no such way at all.
        let settings = stage
            .office
            .written_settings(BASE)
            .into_iter()
            .filter(|one| !matches!(&one.value, SettingValue::Text(text) if text == BASE))
            .fold(Settings::new(Environment::Live), |settings, one| settings.with(one.name, one.value));
        let live = build(stage.platform, &settings);
        let source = live.key_source().unwrap_or_else(|| panic!("{kind}: no source"));
        let ask = source.ask(Some(&stage.needed), CHANCE, at()).expect("something to ask");
        assert!(ask.url.starts_with("https://") && ask.reach == Reach::Public, "{kind}: {ask:?}");
    }
}

#[test]
fn an_unknown_key_is_asked_for_only_in_a_form_that_keys_have() {
    for stage in stages() {
        for (name, value) in &stage.callback.headers {
            if value.to_str().is_ok_and(|text| text.eq_ignore_ascii_case(&stage.needed.serial)) {
                for bad in ["x", "-", "../../etc", "0x12", "1 2", &"A".repeat(2_000)] {
                    let mut request = stage.callback.clone();
                    request.headers.insert(name.clone(), HeaderValue::from_str(bad).expect("ASCII"));
                    let verdict = stage.channel.verify(&request, at());
                    let is_refused = matches!(verdict, Verdict::Refused(Rejection::UnknownKey { .. }));
                    assert!(is_refused, "{}: {bad}: {verdict:?}", stage.platform.kind);
                }
            }
        }
    }
}

#[test]
fn renewal_is_never_due_at_once_after_a_download() {
    for stage in stages() {
        let keys = stage.fetch();
        if let Some(next) = stage.source().renew_at(&keys, at()) {
            assert!(next > at(), "{}", stage.platform.kind);
            let end = keys.iter().map(|key| key.not_after).min().expect("a key");
            assert!(next < end, "{}: renewed after it ended", stage.platform.kind);
        }
    }
}

#[test]
fn a_channel_without_the_means_has_no_source() {
    for platform in PLATFORMS {
        let channel = build(platform, &(platform.simulate)().settings());
        assert!(channel.key_source().is_none(), "{}", platform.kind);
    }
}
