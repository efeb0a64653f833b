//! A channel some of whose keys have an end: from that moment on they prove nothing, whatever the platform's code thinks
//! of them.
//!
//! The platform builds its channel once for each stretch of time between two ends, from the settings without the keys
//! that have ended by then; which of them is asked, the time of the message's arrival decides. So no platform has to know
//! of ends, and none can forget one.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::{
    Answer, Answered, Channel, Credential, FetchBack, FetchRefused, Fetched, FetchedKey, Hint, HintNumber, HttpAnswer,
    HttpAsk, KeyNote, KeyRefused, KeyRequest, KeySource, Likeness, NextAsk, Pace, Rejection, USUAL_CREDENTIAL, Verdict,
    quote,
};
use crate::model::{AckMatch, AppReply, RawRequest, Reply, Timestamp};
use crate::resign::Resigner;
use crate::settings::{Settings, SettingsError};

/// Most different ends in one channel: each stretch between two is a channel of its own.
pub const ENDS_MAX: usize = 16;

/// What a channel lacks when its last key has ended. Two of which it takes either were found in the whole already.
const LACKING: &[&str] = &["missing", "empty_list", "no_key_for_algorithm", "either_or"];

/// A channel for each stretch of time.
pub struct Lifetimes {
    /// With every key; it speaks, and knows the ids.
    whole: Arc<dyn Channel>,
    /// From each end on: the channel with what is left, or none when nothing is. In the order of time.
    then: Vec<Stretch>,
}

#[derive(Clone)]
struct Stretch {
    from: Timestamp,
    left: Option<Arc<dyn Channel>>,
}

impl Lifetimes {
    /// Builds the channel of these settings. Without an end it is the platform's own.
    ///
    /// # Errors
    /// [`SettingsError`] of the platform, also when only what is left later cannot work; nothing left is no error.
    pub fn build(
        build: fn(&Settings) -> Result<Box<dyn Channel>, SettingsError>,
        settings: &Settings,
    ) -> Result<Arc<dyn Channel>, SettingsError> {
        let whole: Arc<dyn Channel> = build(settings)?.into();
        let ends = settings.ends();
        if ends.is_empty() {
            return Ok(whole);
        }
        if let Some(setting) = settings.first_marked().filter(|_| ends.len() > ENDS_MAX) {
            return Err(SettingsError::new(setting, "out_of_range").because(format!("{} > {ENDS_MAX}", ends.len())));
        }
        let mut then = Vec::new();
        for from in ends {
            let left = match build(&settings.at(from)) {
                Ok(channel) => Some(channel.into()),
                Err(error) if LACKING.contains(&error.word) => None,
                Err(error) => return Err(error),
            };
            then.push(Stretch { from, left });
        }
        Ok(Arc::new(Self { whole, then }))
    }

    /// The channel of this time.
    fn now(&self, now: Timestamp) -> Option<&Arc<dyn Channel>> {
        let over = self.then.partition_point(|stretch| stretch.from <= now);
        match over.checked_sub(1) {
            Some(last) => self.then[last].left.as_ref(),
            None => Some(&self.whole),
        }
    }

    /// Every channel that there will be, the whole one first.
    fn all(&self) -> impl Iterator<Item = &Arc<dyn Channel>> {
        std::iter::once(&self.whole).chain(self.then.iter().filter_map(|stretch| stretch.left.as_ref()))
    }
}

impl Channel for Lifetimes {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        self.whole.recognise(request)
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        if let Some(channel) = self.now(now) {
            return channel.verify(request, now);
        }
        // Every key has ended: no message proves anything.
        let serial = self.whole.keys().first().map(|note| quote(&note.label)).unwrap_or_default();
        Verdict::Refused(Rejection::UnknownKey { serial })
    }

    /// With the keys of the time at which it was asked: a secret that has ended is not shown to be known.
    fn challenge(&self, request: &RawRequest) -> Option<Reply> {
        self.now(request.received_at)?.challenge(request)
    }

    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply {
        self.whole.answer(answer, to)
    }

    fn is_ack(&self, reply: &AppReply<'_>, to: Option<&RawRequest>) -> AckMatch {
        self.whole.is_ack(reply, to)
    }

    /// What was proven once is read also after its key has ended.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        self.whole.fields(proven)
    }

    fn signed_query(&self, proven: &RawRequest) -> Option<String> {
        self.whole.signed_query(proven)
    }

    fn query_names(&self) -> Vec<&str> {
        self.whole.query_names()
    }

    fn freshness(&self) -> Option<Duration> {
        self.whole.freshness()
    }

    fn signed_alone(&self) -> Vec<&str> {
        self.whole.signed_alone()
    }

    fn checksum(&self) -> Option<&'static str> {
        self.all().find_map(|channel| channel.checksum())
    }

    /// Each key ends where it is not there any more.
    fn keys(&self) -> Vec<KeyNote> {
        let is_same =
            |one: &KeyNote, other: &KeyNote| (&one.label, &one.fingerprint) == (&other.label, &other.fingerprint);
        let later: Vec<(Timestamp, Vec<KeyNote>)> = self
            .then
            .iter()
            .map(|stretch| (stretch.from, stretch.left.as_ref().map(|left| left.keys()).unwrap_or_default()))
            .collect();
        let ending = |note: KeyNote| {
            let gone = later.iter().find(|(_, left)| !left.iter().any(|other| is_same(&note, other)));
            let not_after = match (note.not_after, gone.map(|(from, _)| *from)) {
                (Some(own), Some(end)) => Some(own.min(end)),
                (own, end) => own.or(end),
            };
            KeyNote { not_after, ..note }
        };
        self.whole.keys().into_iter().map(ending).collect()
    }

    fn key_source(&self) -> Option<&dyn KeySource> {
        self.whole.key_source().map(|_| self as &dyn KeySource)
    }

    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        self.whole.fetch_back().map(|_| self as &dyn FetchBack)
    }

    fn gives_only_hints(&self) -> bool {
        self.whole.gives_only_hints()
    }

    /// The gateway's own key must be none that is believed at any time.
    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        self.whole.resigner(key)
    }
}

impl Lifetimes {
    fn source(&self, now: Timestamp) -> Result<&dyn KeySource, KeyRefused> {
        self.now(now).and_then(|channel| channel.key_source()).ok_or(KeyRefused::Absent)
    }
}

impl KeySource for Lifetimes {
    fn ask(&self, needed: Option<&KeyRequest>, chance: [u8; 16], now: Timestamp) -> Option<HttpAsk> {
        self.source(now).ok()?.ask(needed, chance, now)
    }

    fn read(
        &self,
        answer: &HttpAnswer,
        needed: Option<&KeyRequest>,
        now: Timestamp,
    ) -> Result<Vec<FetchedKey>, KeyRefused> {
        self.source(now)?.read(answer, needed, now)
    }

    fn check(&self, key: &FetchedKey, now: Timestamp) -> Result<(), KeyRefused> {
        self.source(now)?.check(key, now)
    }

    /// What was learned is known to every later stretch that could have learned it.
    fn with_keys(&self, keys: &[FetchedKey], now: Timestamp) -> Result<Arc<dyn Channel>, KeyRefused> {
        self.source(now)?;
        let learned = |channel: &Arc<dyn Channel>| match channel.key_source() {
            Some(source) => source.with_keys(keys, now),
            None => Ok(channel.clone()),
        };
        let mut then = Vec::new();
        for stretch in &self.then {
            then.push(Stretch { from: stretch.from, left: stretch.left.as_ref().map(learned).transpose()? });
        }
        Ok(Arc::new(Self { whole: learned(&self.whole)?, then }))
    }

    fn renew_at(&self, known: &[FetchedKey], now: Timestamp) -> Option<Timestamp> {
        self.source(now).ok()?.renew_at(known, now)
    }
}

impl FetchBack for Lifetimes {
    fn credential_label(&self) -> &'static str {
        self.whole.fetch_back().map_or(USUAL_CREDENTIAL, FetchBack::credential_label)
    }

    /// What has ended is shown to nobody any more, not even to its platform.
    fn can_ask(&self, now: Timestamp) -> bool {
        self.now(now).and_then(|channel| channel.fetch_back()).is_some_and(|source| source.can_ask(now))
    }

    fn ask(&self, hint: &Hint, credential: Option<&Credential>, now: Timestamp) -> NextAsk {
        let current = self.now(now).and_then(|channel| channel.fetch_back());
        let source = current.or_else(|| self.whole.fetch_back());
        source.expect("a channel without it is not asked").ask(hint, credential, now)
    }

    /// An answer to a credential that has ended proves nothing.
    fn read(&self, answered: Answered, now: Timestamp) -> Result<Fetched, FetchRefused> {
        match self.now(now).and_then(|channel| channel.fetch_back()) {
            Some(source) => source.read(answered, now),
            None => Err(FetchRefused::CredentialEnded),
        }
    }

    fn callback(&self, kept: &RawRequest) -> Option<RawRequest> {
        self.all().find_map(|channel| channel.fetch_back().and_then(|source| source.callback(kept)))
    }

    fn makes_callbacks(&self) -> bool {
        self.all().any(|channel| channel.fetch_back().is_some_and(FetchBack::makes_callbacks))
    }

    fn pace(&self) -> Pace {
        self.whole.fetch_back().map_or(Pace::USUAL, FetchBack::pace)
    }

    fn named(&self, message: &RawRequest) -> Option<HintNumber> {
        self.whole.fetch_back()?.named(message)
    }
}

#[cfg(all(test, feature = "simulate"))]
#[path = "lifetimes/tests.rs"]
mod tests;
