//! The stage: a platform's other side with fixed keys, a channel that trusts it, and a neighbour with other keys.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::{fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tollbell_channels::channel::Channel;
use tollbell_channels::explain::{Configured, Diagnosis, Kept, Outcome, Question, explain};
use tollbell_channels::lifetimes::Lifetimes;
use tollbell_channels::model::{EventKind, RawRequest, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform, by_kind};
use tollbell_channels::settings::{SettingKind, SettingValue, Settings};
use tollbell_channels::simulate::{Genuine, OtherSide, Story};

use super::invented;

/// A merchant's text with what encoders, filters and parsers stumble over.
pub(crate) const ODD_NOTE: &str = r#"a=b&c=d%41%2B+ é "引号" 'q' <&amp;> \ ;/?:@ 😀"#;

/// What makes generated files anew, instead of comparing them.
pub(crate) const REWRITE: &str = "TOLLBELL_REWRITE";

/// Serials after which the ways of every platform's other side come again.
pub(crate) const WAYS: u64 = 8;

/// When every story happens.
pub(crate) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

/// Whether generated files are to be made anew.
pub(crate) fn is_rewriting() -> bool {
    std::env::var_os(REWRITE).is_some()
}

/// A file of this suite.
pub(crate) fn own_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/explain").join(name)
}

/// One platform on stage.
pub(crate) struct Stage {
    pub(crate) platform: &'static Platform,
    pub(crate) side: Box<dyn OtherSide>,
    pub(crate) settings: Settings,
    pub(crate) channel: Box<dyn Channel>,
    /// Another merchant's side, or the same merchant's with other keys, as the platform invents them.
    pub(crate) stranger: Box<dyn OtherSide>,
    pub(crate) neighbour: Settings,
    pub(crate) neighbour_channel: Box<dyn Channel>,
    /// Which settings are ids, found once.
    pub(crate) ids: OnceLock<Vec<&'static str>>,
    /// What was told already: some signatures take long.
    told: Mutex<BTreeMap<String, Genuine>>,
}

/// Every registered platform, and one that is not.
fn platforms() -> Vec<&'static Platform> {
    assert!(!PLATFORMS.is_empty(), "no platform is registered");
    PLATFORMS.iter().copied().chain([&*invented::PLATFORM]).collect()
}

/// Throw-away keys of the other sides, by platform: the own side's and the stranger's. Making RSA keys takes seconds, and
/// with fixed ones every failure comes again.
static KEYS: LazyLock<BTreeMap<String, [Vec<u8>; 2]>> = LazyLock::new(|| {
    let path = own_file("keys.txt");
    if is_rewriting() && std::env::var(REWRITE).as_deref() == Ok("keys") {
        let export = |platform: &Platform| STANDARD.encode((platform.simulate)().export());
        let line = |platform: &&Platform| format!("{} {} {}\n", platform.kind, export(platform), export(platform));
        let head =
            "# Throw-away keys of the platforms' other sides, for tests: of nobody, and good for nothing else.\n";
        let lines: String = platforms().iter().map(line).collect();
        fs::write(&path, format!("{head}{lines}")).expect("the file can be written");
    }
    let text = fs::read_to_string(&path).expect("the keys");
    let decode = |text: &str| STANDARD.decode(text).expect("base64");
    let line = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next().expect("a kind and two keys").to_owned();
        (next(), [decode(&next()), decode(&next())])
    };
    text.lines().filter(|text| !text.starts_with('#')).map(line).collect()
});

impl Stage {
    fn new(platform: &'static Platform) -> Self {
        let [own, other] = KEYS
            .get(platform.kind)
            .unwrap_or_else(|| panic!("no keys of {}: {REWRITE}=keys writes them", platform.kind));
        let import = |exported: &[u8]| {
            let mut side = (platform.simulate)();
            side.import(exported).unwrap_or_else(|error| panic!("{}: {error}", platform.kind));
            side
        };
        let (side, stranger) = (import(own), import(other));
        let (settings, neighbour) = (side.settings(), stranger.settings());
        let (channel, neighbour_channel) = (build(platform, &settings), build(platform, &neighbour));
        let (ids, told) = (OnceLock::new(), Mutex::default());
        Self { platform, side, settings, channel, stranger, neighbour, neighbour_channel, ids, told }
    }

    /// The story of a kind, with a note.
    pub(crate) fn story(kind: EventKind, note: &str) -> Story {
        let mut story = Story { kind, note: note.to_owned(), ..Story::paid("T20261121-0001", 12_345, at()) };
        if kind.as_str().starts_with("refund.") {
            story.refunded_minor = 2_300;
            story.refund_no = Some("R20261121-0001".to_owned());
        }
        story
    }

    /// What becomes of a genuine message.
    pub(crate) fn genuine_outcome(&self) -> Outcome {
        let first = self.side.stories().first().copied().expect("a story");
        self.scene(&Self::story(first, "")).diagnose().expect("a channel").outcome
    }

    /// As it came: nothing is wrong yet.
    pub(crate) fn scene(&self, story: &Story) -> Scene<'_> {
        let known = self.told.lock().expect("nobody panics here").get(&format!("{story:?}")).cloned();
        let genuine = known.unwrap_or_else(|| {
            let genuine = self.side.callback(story);
            self.told.lock().expect("nobody panics here").insert(format!("{story:?}"), genuine.clone());
            genuine
        });
        Scene {
            stage: self,
            story: story.clone(),
            request: genuine.request.clone(),
            genuine,
            kept: Kept::WHOLE,
            settings: None,
            others: vec![Other { id: "neighbour", platform: self.platform, settings: None }],
            now: story.at,
            is_dated: true,
        }
    }
}

/// Every platform on stage, made on all processors.
pub(crate) fn stages() -> &'static [Stage] {
    static STAGES: LazyLock<Vec<Stage>> = LazyLock::new(|| {
        let platforms = platforms();
        let made: Mutex<Vec<(usize, Stage)>> = Mutex::new(Vec::new());
        LazyLock::force(&KEYS);
        parallel(platforms.len(), |index| {
            let stage = Stage::new(platforms[index]);
            made.lock().expect("nobody panics here").push((index, stage));
        });
        let mut made = made.into_inner().expect("nobody panics here");
        assert_eq!(made.len(), platforms.len(), "some platform cannot be staged");
        made.sort_by_key(|(index, _)| *index);
        made.into_iter().map(|(_, stage)| stage).collect()
    });
    &STAGES
}

/// One platform on stage, without the others, whose keys take long.
pub(crate) fn stage(kind: &str) -> &'static Stage {
    static ALONE: Mutex<BTreeMap<&str, &Stage>> = Mutex::new(BTreeMap::new());
    let platform = by_kind(kind).unwrap_or_else(|| panic!("no platform `{kind}`"));
    let mut alone = ALONE.lock().expect("nobody panics here");
    alone.entry(platform.kind).or_insert_with(|| Box::leak(Box::new(Stage::new(platform))))
}

/// Does something so many times, on all processors. What panics is told by the index.
pub(crate) fn parallel(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    if catch_unwind(AssertUnwindSafe(|| work(index))).is_err() {
                        failed.lock().expect("nobody panics here").push(index);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics here");
    assert!(failed.is_empty(), "broken at {failed:?}");
}

/// Plays a check with every platform, on all processors.
pub(crate) fn with_every_stage(check: impl Fn(&'static Stage) + Sync) {
    let stages = stages();
    let broken = Mutex::new(Vec::new());
    parallel(stages.len(), |index| {
        let stage = &stages[index];
        if catch_unwind(AssertUnwindSafe(|| check(stage))).is_err() {
            broken.lock().expect("nobody panics here").push(stage.platform.kind);
        }
    });
    let broken = broken.into_inner().expect("nobody panics here");
    assert!(broken.is_empty(), "broken by {broken:?}");
}

/// Another channel that is configured beside.
#[derive(Clone)]
pub(crate) struct Other {
    pub(crate) id: &'static str,
    pub(crate) platform: &'static Platform,
    /// None for those of the stage's neighbour.
    pub(crate) settings: Option<Settings>,
}

/// A request on its way to be explained: what came, what is configured, and what the clock says.
#[derive(Clone)]
pub(crate) struct Scene<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) story: Story,
    /// What the platform sent.
    pub(crate) genuine: Genuine,
    /// What came.
    pub(crate) request: RawRequest,
    pub(crate) kept: Kept,
    /// The channel's settings, where they are not the stage's.
    pub(crate) settings: Option<Settings>,
    pub(crate) others: Vec<Other>,
    pub(crate) now: Timestamp,
    /// Whether it came then.
    pub(crate) is_dated: bool,
}

impl Scene<'_> {
    /// The settings of the channel that is asked.
    pub(crate) fn settings(&self) -> &Settings {
        self.settings.as_ref().unwrap_or(&self.stage.settings)
    }

    /// Whether nothing was done to it.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.is_spoilt() && self.settings.is_none() && self.now == self.story.at
    }

    /// Whether something was done to the request.
    pub(crate) fn is_spoilt(&self) -> bool {
        let (one, other) = (&self.request, &self.genuine.request);
        (&one.method, &one.path, &one.query) != (&other.method, &other.path, &other.query)
            || (&one.headers, &one.body) != (&other.headers, &other.body)
    }

    /// The same story told under another serial, as it came.
    pub(crate) fn again(&self, serial: u64) -> Self {
        let mut other = self.stage.scene(&Story { serial, ..self.story.clone() });
        other.others.clone_from(&self.others);
        other
    }

    /// With another body.
    #[must_use]
    pub(crate) fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = Bytes::from(body.into());
        self
    }

    /// With a header set; none where it cannot be one.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &str, value: &[u8]) -> Option<Self> {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        self.request.headers.insert(name, HeaderValue::from_bytes(value).ok()?);
        Some(self)
    }

    /// With other settings of the channel.
    #[must_use]
    pub(crate) fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Beside these other channels and no more.
    #[must_use]
    pub(crate) fn beside(mut self, others: Vec<Other>) -> Self {
        self.others = others;
        self
    }

    /// What is said of it; none where the settings make no channel, so that nobody could ask.
    pub(crate) fn diagnose(&self) -> Option<Diagnosis> {
        let Stage { platform, .. } = self.stage;
        let settings = self.settings();
        let built = match &self.settings {
            Some(settings) => Some(Lifetimes::build(platform.build, settings).ok()?),
            None => None,
        };
        let own = built.as_deref().unwrap_or(&*self.stage.channel);
        let mut others = Vec::new();
        for other in &self.others {
            let built = match &other.settings {
                Some(settings) => Some(Lifetimes::build(other.platform.build, settings).ok()?),
                None => None,
            };
            others.push((other, built));
        }
        let others: Vec<Configured<'_>> = others
            .iter()
            .map(|(other, built)| Configured {
                id: other.id,
                platform: other.platform,
                settings: other.settings.as_ref().unwrap_or(&self.stage.neighbour),
                channel: built.as_deref().unwrap_or(&*self.stage.neighbour_channel),
            })
            .collect();
        let own = Configured { id: "own", platform, settings, channel: own };
        let question = Question {
            request: &self.request,
            kept: self.kept,
            own,
            others: &others,
            now: self.now,
            is_dated: self.is_dated,
        };
        Some(explain(&question))
    }
}

/// A channel of settings that must be good.
pub(crate) fn build(platform: &Platform, settings: &Settings) -> Box<dyn Channel> {
    (platform.build)(settings).unwrap_or_else(|error| panic!("{}: {error}", platform.kind))
}

/// The settings' secrets, each with its setting's name and its place in a list.
pub(crate) fn secrets(platform: &Platform, settings: &Settings) -> Vec<(&'static str, usize, Vec<u8>)> {
    let mut found = Vec::new();
    for (name, value) in settings.values() {
        let is_secret = platform.settings.iter().any(|setting| {
            setting.name == name && matches!(setting.kind, SettingKind::SecretKey | SettingKind::SecretFiles)
        });
        match value {
            SettingValue::Key(key) if is_secret => found.push((name, 0, key.to_vec())),
            SettingValue::Keys(keys) if is_secret => {
                found.extend(keys.iter().enumerate().map(|(place, key)| (name, place, key.to_vec())));
            }
            _ => {}
        }
    }
    found
}
