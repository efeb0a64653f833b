//! The stage: a platform, its other side, and a channel that trusts it.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tollbell_channels::channel::{Channel, Fetched, Rejection, Verdict};
use tollbell_channels::model::{EventKind, Fact, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::{SettingKind, SettingValue, Settings};
use tollbell_channels::simulate::{ApiConduct, ApiOffice, Genuine, OtherSide, Story, question};

use super::{asking, invented};

/// A merchant's text with everything that encoders, filters and parsers stumble over.
pub(crate) const ODD_NOTE: &str = r#"a=b&c=d%41%2B+ é "引号" 'q' <&amp;> \ ;/?:@ 😀"#;

/// Longest text of a rejection that may reach a log or a console line.
const REJECTION_CHARS_MAX: usize = 300;

/// When every story happens.
pub(crate) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

/// One platform on stage.
pub(crate) struct World {
    pub(crate) platform: &'static Platform,
    pub(crate) side: Box<dyn OtherSide>,
    pub(crate) channel: Box<dyn Channel>,
    /// Who is asked about its messages, where only the answer is believed.
    pub(crate) office: Option<Arc<dyn ApiOffice>>,
}

/// Every registered platform, and those that are only files; a suite over none would pass without a check.
pub(crate) fn all_worlds() -> Vec<World> {
    platforms().map(World::new).collect()
}

fn platforms() -> impl Iterator<Item = &'static Platform> {
    assert!(!PLATFORMS.is_empty(), "no platform is registered");
    PLATFORMS.into_iter().copied().chain(invented::platforms())
}

/// Those of them whose messages are believed.
pub(crate) fn worlds() -> Vec<World> {
    all_worlds().into_iter().filter(|world| !world.gives_hints()).collect()
}

/// Those that are asked about messages, because a message alone proves nothing: with them the way to a verdict is the
/// message, the question, and the answer. Some platforms are among both.
pub(crate) fn asked_worlds() -> Vec<World> {
    static KINDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let asked = |world: World| world.side.api_office().is_some().then_some(world.platform.kind);
        all_worlds().into_iter().filter_map(asked).collect()
    });
    let is_asked = |platform: &&Platform| KINDS.contains(&platform.kind);
    let worlds: Vec<World> = platforms().filter(is_asked).filter_map(World::asked).collect();
    assert!(!worlds.is_empty(), "no platform is asked");
    worlds
}

/// Plays a check with every platform, on all processors. One platform's failure hides no other's.
pub(crate) fn with_every_platform(check: fn(&World)) {
    // Keys take their time; offices remember what they told, and belong to one test.
    static BELIEVED: LazyLock<Vec<World>> = LazyLock::new(worlds);
    let asked = asked_worlds();
    let worlds: Vec<&World> = BELIEVED.iter().chain(&asked).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..threads.min(worlds.len()) {
            scope.spawn(|| {
                while let Some(world) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // The panic itself was told when it came.
                    if catch_unwind(AssertUnwindSafe(|| check(world))).is_err() {
                        failed.lock().expect("nobody panics here").push(world.platform.kind);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics here");
    assert!(failed.is_empty(), "broken by {failed:?}");
}

impl World {
    pub(crate) fn new(platform: &'static Platform) -> Self {
        let side = (platform.simulate)();
        let channel = build(platform, &side.settings());
        Self { platform, side, channel, office: None }
    }

    /// A platform that answers questions, and a channel that asks it.
    pub(crate) fn asked(platform: &'static Platform) -> Option<Self> {
        let side = (platform.simulate)();
        let office: Arc<dyn ApiOffice> = side.api_office()?.into();
        let side = asking::Side { side, office: Arc::clone(&office) };
        let channel = build(platform, &side.settings());
        Some(Self { platform, side: Box::new(side), channel, office: Some(office) })
    }

    /// The same platform with other keys, and another merchant where those are invented too.
    pub(crate) fn stranger(&self) -> Self {
        match &self.office {
            Some(_) => Self::asked(self.platform).expect("an office"),
            None => Self::new(self.platform),
        }
    }

    /// Whether no message of this side is believed alone.
    fn gives_hints(&self) -> bool {
        matches!(self.channel.verify(&self.callback().request, at()), Verdict::Hint(_))
    }

    /// A story of each kind that this side tells, with an odd note. Where the platform is asked, each has an order of
    /// its own: of one payment it answers with the last state alone.
    pub(crate) fn stories(&self) -> Vec<Story> {
        let kinds = self.side.stories();
        assert!(!kinds.is_empty(), "{}: tells no story", self.platform.kind);
        let own = |(at, kind): (usize, &EventKind)| {
            let story = story(*kind);
            if self.office.is_none() {
                return story;
            }
            let far_apart = (at as u64 + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_000_000_000;
            Story { order_no: format!("T{far_apart:012}"), ..story }
        };
        kinds.iter().enumerate().map(own).collect()
    }

    /// A genuine callback of each kind.
    pub(crate) fn callbacks(&self) -> Vec<(Story, Genuine)> {
        self.stories().into_iter().map(|story| (story.clone(), self.side.callback(&story))).collect()
    }

    /// One genuine callback, of the first kind.
    pub(crate) fn callback(&self) -> Genuine {
        self.side.callback(&self.stories()[0])
    }

    /// What becomes of a request: where only the platform's answer is believed, that is asked for. What it does not
    /// know, nobody proves.
    pub(crate) fn verify(&self, request: &RawRequest) -> Verdict {
        let (hint, office) = match (self.channel.verify(request, at()), &self.office) {
            (Verdict::Hint(hint), Some(office)) => (hint, office),
            (verdict, _) => return verdict,
        };
        let back = self.channel.fetch_back().expect("a channel that gives hints can ask");
        let question = question(back, &**office, &hint, at()).expect("an honest login");
        let answer = office.answer(question.ask(), ApiConduct::Honest);
        match back.read(question.carried(answer), at()) {
            Ok(Fetched::Notification(proven)) => Verdict::Genuine(proven),
            Ok(Fetched::Nothing | Fetched::Unknown) | Err(_) => Verdict::Refused(Rejection::Signature),
        }
    }

    pub(crate) fn accepts(&self, label: &str, request: &RawRequest) -> Notification {
        accepted(self.platform, label, self.verify(request))
    }

    pub(crate) fn refuses(&self, label: &str, request: &RawRequest) -> Rejection {
        refused(self.platform, label, self.verify(request))
    }

    /// Refused; or read as the same message, as far as facts and names go.
    pub(crate) fn refuses_or_reads_the_same(&self, label: &str, original: &Notification, request: &RawRequest) {
        match self.verify(request) {
            Verdict::Genuine(proven) => {
                let found = proven.value();
                let kind = self.platform.kind;
                assert_eq!(found.facts, original.facts, "{kind}: {label}");
                assert_eq!(found.concerns, original.concerns, "{kind}: {label}");
                assert_eq!(found.key(), original.key(), "{kind}: {label}");
                assert_eq!(found.scope, original.scope, "{kind}: {label}");
            }
            verdict => drop(refused(self.platform, label, verdict)),
        }
    }

    /// Refused, held, or without any fact that was not there.
    pub(crate) fn refuses_or_invents_nothing(&self, label: &str, original: &Notification, request: &RawRequest) {
        match self.verify(request) {
            Verdict::Genuine(proven) => {
                let invented = invented(original, proven.value());
                assert!(invented.is_empty(), "{}: {label}: invented {invented:?}", self.platform.kind);
            }
            verdict => drop(refused(self.platform, label, verdict)),
        }
    }

    /// Refused, and for one of these reasons.
    pub(crate) fn refuses_as(&self, label: &str, request: &RawRequest, words: &[&str]) {
        let rejection = self.refuses(label, request);
        assert!(
            words.contains(&rejection.word()),
            "{}: {label}: refused as `{}`, expected one of {words:?}",
            self.platform.kind,
            rejection.word()
        );
    }
}

/// The story of a kind.
pub(crate) fn story(kind: EventKind) -> Story {
    let mut story = Story { kind, note: ODD_NOTE.to_owned(), ..Story::paid("T20261121-0001", 12_345, at()) };
    if kind.as_str().starts_with("refund.") {
        story.refunded_minor = 2_300;
        story.refund_no = Some("R20261121-0001".to_owned());
    }
    story
}

pub(crate) fn build(platform: &Platform, settings: &Settings) -> Box<dyn Channel> {
    (platform.build)(settings).unwrap_or_else(|error| panic!("{}: {error}", platform.kind))
}

pub(crate) fn accepted(platform: &Platform, label: &str, verdict: Verdict) -> Notification {
    match verdict {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{}: {label}: a genuine message got {other:?}", platform.kind),
    }
}

/// A refusal, whose text must be bounded and tame whatever was in the request.
pub(crate) fn refused(platform: &Platform, label: &str, verdict: Verdict) -> Rejection {
    let rejection = match verdict {
        Verdict::Refused(rejection) => rejection,
        Verdict::NeedsKey(key) => Rejection::UnknownKey { serial: key.serial },
        Verdict::Genuine(proven) => panic!("{}: {label}: accepted as {proven:?}", platform.kind),
        Verdict::Hint(hint) => panic!("{}: {label}: taken as {hint:?}", platform.kind),
    };
    let text = rejection.to_string();
    assert!(!rejection.word().is_empty());
    assert!(text.chars().count() <= REJECTION_CHARS_MAX, "{}: {label}: unbounded text: {text}", platform.kind);
    assert!(!text.chars().any(char::is_control), "{}: {label}: control characters: {text:?}", platform.kind);
    rejection
}

/// Facts that the original does not have; none where a person will look at them first.
pub(crate) fn invented(original: &Notification, found: &Notification) -> Vec<Fact> {
    let was_there = |fact: &Fact| {
        original.facts.iter().any(|known| {
            known.kind == fact.kind
                && known.signed_money() == fact.signed_money()
                && (&known.order_no, &known.payee) == (&fact.order_no, &fact.payee)
                && (fact.baseline.is_none() || known.baseline == fact.baseline)
                && known.identities().any(|name| fact.identities().any(|other| other == name))
        })
    };
    let is_held = !found.concerns.is_empty();
    found.facts.iter().filter(|fact| !is_held && !was_there(fact)).cloned().collect()
}

/// The same request with another body.
pub(crate) fn with_body(request: &RawRequest, body: impl Into<Vec<u8>>) -> RawRequest {
    RawRequest { body: Bytes::from(body.into()), ..request.clone() }
}

/// The same request with a header set.
pub(crate) fn with_header(request: &RawRequest, name: &str, value: &[u8]) -> RawRequest {
    let mut changed = request.clone();
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
    changed.headers.insert(name, HeaderValue::from_bytes(value).expect("a header value"));
    changed
}

/// The settings as pairs, in the platform's order.
pub(crate) fn values(platform: &Platform, settings: &Settings) -> Vec<(&'static str, SettingValue)> {
    let read = |name: &str, kind: SettingKind| match kind {
        SettingKind::Text => settings.text(name).map(|text| SettingValue::Text(text.to_owned())),
        SettingKind::Address => settings.text(name).map(|text| SettingValue::Address(text.to_owned())),
        SettingKind::Texts | SettingKind::Words(_) => settings.texts(name).map(|t| SettingValue::Texts(t.to_vec())),
        SettingKind::Flag => settings.flag(name).then_some(SettingValue::Flag(true)),
        SettingKind::Number => settings.number(name).map(SettingValue::Number),
        SettingKind::Duration => settings.duration(name).map(SettingValue::Duration),
        SettingKind::Durations => settings.durations(name).map(|d| SettingValue::Durations(d.to_vec())),
        SettingKind::Pairs => settings.pairs(name).map(|p| SettingValue::Pairs(p.to_vec())),
        SettingKind::SecretFiles => settings.keys(name).map(|keys| SettingValue::Keys(keys.to_vec())),
        SettingKind::Tree { .. } => settings.tree(name).map(|tree| SettingValue::Tree(tree.clone())),
        SettingKind::PublicKey | SettingKind::SecretKey => {
            settings.key(name).map(|bytes| SettingValue::Key(bytes.to_vec().into()))
        }
    };
    platform
        .settings
        .iter()
        .filter_map(|setting| read(setting.name, setting.kind).map(|value| (setting.name, value)))
        .collect()
}

/// The settings after a change of each value; `None` takes the setting away.
pub(crate) fn changed(
    platform: &Platform,
    settings: &Settings,
    change: impl Fn(&'static str, SettingValue) -> Option<SettingValue>,
) -> Settings {
    values(platform, settings).into_iter().fold(Settings::new(settings.environment), |changed, (name, value)| {
        match change(name, value) {
            Some(value) => changed.with(name, value),
            None => changed,
        }
    })
}
