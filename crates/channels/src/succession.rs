//! A channel whose keys have changed: the keys of before go on proving messages until a date, so that nothing
//! that the platform still signs with them is refused during the change.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::{
    Answer, Channel, FetchBack, FetchedKey, HttpAnswer, HttpAsk, KeyNote, KeyRefused, KeyRequest, KeySource, Likeness,
    Rejection, Verdict,
};
use crate::model::{AckMatch, AppReply, RawRequest, Reply, Timestamp};
use crate::resign::Resigner;
use crate::settings::SettingsError;

/// Most keys of before that a channel knows at once: each is tried on what the newer ones refuse.
pub const FORMER_MAX: usize = 4;

/// The channel with keys that it had before.
#[derive(Clone)]
pub struct Former {
    /// The channel as it was configured then.
    pub channel: Arc<dyn Channel>,
    /// From this moment on these keys prove nothing any more.
    pub until: Timestamp,
}

/// The channel as it is, and as it was.
pub struct Succession {
    current: Arc<dyn Channel>,
    former: Vec<Former>,
}

impl Succession {
    /// `current` speaks and knows the ids; `former` are only asked for proof. At most [`FORMER_MAX`] of them count.
    pub fn of(current: Arc<dyn Channel>, mut former: Vec<Former>) -> Arc<dyn Channel> {
        former.truncate(FORMER_MAX);
        if former.is_empty() { current } else { Arc::new(Self { current, former }) }
    }

    fn valid(&self, now: Timestamp) -> impl Iterator<Item = (usize, &Former)> {
        self.former.iter().enumerate().filter(move |(_, former)| now < former.until)
    }
}

/// How the name of a key of before begins.
const FORMER: &str = "former ";

/// What a key of before is called in proofs and for people, so that it is seen who still signs with it.
fn former_label(place: usize, label: &str) -> String {
    match place {
        0 => format!("{FORMER}{label}"),
        _ => format!("{FORMER}{} {label}", place + 1),
    }
}

/// How the name of a key begins that says it is of before; empty for the others. Certificates go by their numbers in
/// proofs, and those of before by this and their numbers.
pub fn former_prefix(label: &str) -> &str {
    let Some(rest) = label.strip_prefix(FORMER) else { return "" };
    let name = match rest.split_once(' ') {
        Some((place, name)) if place.parse::<usize>().is_ok() => name,
        _ => rest,
    };
    label.strip_suffix(name).unwrap_or_default()
}

/// Whether another key could make a difference.
fn is_about_keys(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::NeedsKey(_)
            | Verdict::Refused(Rejection::Signature | Rejection::UnknownKey { .. } | Rejection::Undecryptable)
    )
}

/// Whether a key made the difference: what anybody could have sent is not what a key of before stands for.
fn is_shown(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Genuine(_) => true,
        Verdict::Hint(hint) => hint.is_by_key(),
        Verdict::Refused(_) | Verdict::NeedsKey(_) => false,
    }
}

impl Channel for Succession {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        self.current.recognise(request)
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        let verdict = self.current.verify(request, now);
        if !is_about_keys(&verdict) {
            return verdict;
        }
        let proven = self.valid(now).find_map(|(place, former)| {
            let verdict = former.channel.verify(request, now);
            is_shown(&verdict).then(|| match verdict {
                Verdict::Genuine(proven) => Verdict::Genuine(proven.by_key_called(|key| former_label(place, key))),
                other => other,
            })
        });
        proven.unwrap_or(verdict)
    }

    /// An address is checked with the keys that the channel has now.
    fn challenge(&self, request: &RawRequest) -> Option<Reply> {
        self.current.challenge(request)
    }

    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply {
        self.current.answer(answer, to)
    }

    fn is_ack(&self, reply: &AppReply<'_>, to: Option<&RawRequest>) -> AckMatch {
        self.current.is_ack(reply, to)
    }

    /// Whichever key reads it: what was proven once is read also after its key has ended.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let mut read = std::iter::once(&self.current).chain(self.former.iter().map(|former| &former.channel));
        let longest = |channel: &Arc<dyn Channel>| channel.fields(proven);
        read.by_ref().map(longest).max_by_key(Vec::len).unwrap_or_default()
    }

    /// Which pairs are signed is no matter of the key.
    fn signed_query(&self, proven: &RawRequest) -> Option<String> {
        self.current.signed_query(proven)
    }

    fn query_names(&self) -> Vec<&str> {
        self.current.query_names()
    }

    fn freshness(&self) -> Option<Duration> {
        self.current.freshness()
    }

    fn signed_alone(&self) -> Vec<&str> {
        self.current.signed_alone()
    }

    /// What was signed with a key of before is as weak as that was.
    fn checksum(&self) -> Option<&'static str> {
        self.current.checksum().or_else(|| self.former.iter().find_map(|former| former.channel.checksum()))
    }

    fn keys(&self) -> Vec<KeyNote> {
        let mut notes = self.current.keys();
        for (place, former) in self.former.iter().enumerate() {
            // Nobody asks with a credential of before.
            let credential = former.channel.fetch_back().map(FetchBack::credential_label);
            let proves = |note: &KeyNote| Some(note.label.as_str()) != credential;
            // A shared secret has no fingerprint: two of them may look the same and be others.
            let known: Vec<KeyNote> = notes.iter().filter(|note| note.fingerprint.is_some()).cloned().collect();
            let ends = |note: KeyNote| KeyNote {
                label: former_label(place, &note.label),
                not_after: Some(note.not_after.map_or(former.until, |own| own.min(former.until))),
                ..note
            };
            notes.extend(
                former.channel.keys().into_iter().filter(|note| proves(note) && !known.contains(note)).map(ends),
            );
        }
        notes
    }

    /// The platform is asked with the credential of now, whichever key a message showed.
    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        self.current.fetch_back()
    }

    fn gives_only_hints(&self) -> bool {
        self.current.gives_only_hints()
    }

    fn key_source(&self) -> Option<&dyn KeySource> {
        self.current.key_source().map(|_| self as &dyn KeySource)
    }

    /// The key of the gateway's own must not be one that is believed, nor one that was.
    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        let resigner = self.current.resigner(key)?;
        for former in &self.former {
            former.channel.resigner(key)?;
        }
        Ok(resigner)
    }
}

/// Keys are fetched by the channel as it is; what it has learned is known to the channels of before, too.
impl KeySource for Succession {
    fn ask(&self, needed: Option<&KeyRequest>, chance: [u8; 16], now: Timestamp) -> Option<HttpAsk> {
        self.current.key_source()?.ask(needed, chance, now)
    }

    fn read(
        &self,
        answer: &HttpAnswer,
        needed: Option<&KeyRequest>,
        now: Timestamp,
    ) -> Result<Vec<FetchedKey>, KeyRefused> {
        self.current.key_source().ok_or(KeyRefused::Absent)?.read(answer, needed, now)
    }

    fn check(&self, key: &FetchedKey, now: Timestamp) -> Result<(), KeyRefused> {
        self.current.key_source().ok_or(KeyRefused::Absent)?.check(key, now)
    }

    fn with_keys(&self, keys: &[FetchedKey], now: Timestamp) -> Result<Arc<dyn Channel>, KeyRefused> {
        let current = self.current.key_source().ok_or(KeyRefused::Absent)?.with_keys(keys, now)?;
        // What the platform signs with is the same for the ids and secrets of before; one that does not believe these keys
        // goes on with what it has.
        let learned = |former: &Former| {
            let taught = former.channel.key_source().and_then(|source| source.with_keys(keys, now).ok());
            Former { channel: taught.unwrap_or_else(|| former.channel.clone()), until: former.until }
        };
        Ok(Arc::new(Self { current, former: self.former.iter().map(learned).collect() }))
    }

    fn renew_at(&self, known: &[FetchedKey], now: Timestamp) -> Option<Timestamp> {
        self.current.key_source()?.renew_at(known, now)
    }
}

#[cfg(all(test, feature = "simulate"))]
mod tests {
    use super::*;
    use crate::model::Proof;
    use crate::platforms::{PLATFORMS, Platform};
    use crate::simulate::{OtherSide, Story};

    fn at() -> Timestamp {
        "2026-11-21T04:00:00Z".parse().unwrap()
    }

    fn channel(platform: &Platform, side: &dyn OtherSide) -> Arc<dyn Channel> {
        Arc::from((platform.build)(&side.settings()).unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn keys_of_before_prove_until_their_date() {
        let mut others = Vec::new();
        for platform in PLATFORMS {
            let (new, old, stranger) = ((platform.simulate)(), (platform.simulate)(), (platform.simulate)());
            // Keys change and ids do not: a side with ids of its own is another merchant, and no key makes it ours.
            let of_old = old.callback(&Story::paid("ORDER-1", 1000, at())).request;
            if !is_about_keys(&channel(platform, &*new).verify(&of_old, at())) {
                others.push(platform.kind);
                continue;
            }
            let until = at() + Duration::from_hours(1);
            let former = vec![Former { channel: channel(platform, &*old), until }];
            let both = Succession::of(channel(platform, &*new), former);
            let told = |side: &dyn OtherSide, at| side.callback(&Story::paid("ORDER-1", 1000, at)).request;
            // Where messages only hint, the hint is what keys let through.
            let is_genuine =
                |request: &RawRequest, at| matches!(both.verify(request, at), Verdict::Genuine(_) | Verdict::Hint(_));
            assert_eq!(
                both.fetch_back().is_some(),
                channel(platform, &*new).fetch_back().is_some(),
                "{}",
                platform.kind
            );
            assert!(is_genuine(&told(&*new, at()), at()), "{}", platform.kind);
            assert!(is_genuine(&told(&*old, at()), at()), "{}", platform.kind);
            if let Verdict::Genuine(proven) = both.verify(&told(&*old, at()), at()) {
                let (Proof::Signature { key, .. } | Proof::PlatformApi { key, .. }) = proven.proof();
                assert!(key.starts_with("former "), "{}: {key}", platform.kind);
            }
            if let Verdict::Genuine(proven) = both.verify(&told(&*new, at()), at()) {
                let (Proof::Signature { key, .. } | Proof::PlatformApi { key, .. }) = proven.proof();
                assert!(!key.starts_with("former "), "{}: {key}", platform.kind);
            }
            assert!(!is_genuine(&told(&*stranger, at()), at()), "{}", platform.kind);
            let just_before = until - Duration::from_secs(1);
            assert!(is_genuine(&told(&*old, just_before), just_before), "{}", platform.kind);
            assert!(!is_genuine(&told(&*old, until), until), "{}: its date has come", platform.kind);
            assert!(is_genuine(&told(&*new, until), until), "{}", platform.kind);
            // What was proven is read with whichever key reads it.
            assert!(!both.fields(&told(&*old, at())).is_empty(), "{}", platform.kind);
            let notes = both.keys();
            assert!(notes.iter().any(|note| note.label.starts_with("former ") && note.not_after == Some(until)));
            // It says and hears what the channel as it is says and hears.
            for answer in Answer::ALL {
                assert_eq!(both.answer(*answer, None), channel(platform, &*new).answer(*answer, None));
            }
            assert_eq!(both.freshness(), channel(platform, &*new).freshness(), "{}", platform.kind);
            assert_eq!(both.query_names(), channel(platform, &*new).query_names(), "{}", platform.kind);
            for serial in 0..8 {
                let story = Story { serial, ..Story::paid("ORDER-1", 1000, at()) };
                for request in [new.callback(&story).request, old.callback(&story).request] {
                    let alone = channel(platform, &*new).signed_query(&request);
                    assert_eq!(both.signed_query(&request), alone, "{}", platform.kind);
                }
            }
            // The other side's own private key, which a careless operator might give as the gateway's.
            let refused = |key: &[u8]| both.resigner(key).err().map(|error| error.word);
            for side in [&new, &old] {
                let mine = channel(platform, &**side).resigner(&side.export()).err().map(|error| error.word);
                assert_eq!(refused(&side.export()), mine, "{}", platform.kind);
            }
            let mut spoiled = told(&*old, at());
            // No blank: around XML and JSON it says nothing.
            spoiled.body = [&spoiled.body[..], b"x"].concat().into();
            assert!(!is_genuine(&spoiled, at()), "{}", platform.kind);
        }
        assert!(others.len() < PLATFORMS.len() / 2, "{others:?}");
    }

    #[test]
    fn a_name_tells_that_its_key_is_of_before() {
        for (place, prefix) in [(0, "former "), (1, "former 2 "), (3, "former 4 ")] {
            assert_eq!(former_prefix(&former_label(place, "public_key")), prefix);
        }
        assert_eq!((former_prefix("public_key"), former_prefix("former "), former_prefix("")), ("", "former ", ""));
    }

    #[test]
    fn nobody_asks_with_a_credential_of_before() {
        let mut tried = 0;
        for platform in PLATFORMS {
            let Some(office) = (platform.simulate)().api_office() else { continue };
            let empty = crate::settings::Settings::new(crate::model::Environment::Sandbox);
            let written = office.written_settings("http://127.0.0.1:9").into_iter();
            let settings = written.fold(empty, |all, one| all.with(one.name, one.value));
            let build = || -> Arc<dyn Channel> { Arc::from((platform.build)(&settings).unwrap()) };
            let Some(credential) = build().fetch_back().map(FetchBack::credential_label) else { continue };
            tried += 1;
            assert!(build().keys().iter().any(|note| note.label == credential), "{}: {credential}", platform.kind);
            let former = vec![Former { channel: build(), until: at() + Duration::from_hours(1) }];
            let notes = Succession::of(build(), former).keys();
            let of_before = format!("former {credential}");
            assert!(notes.iter().all(|note| note.label != of_before), "{}: {notes:?}", platform.kind);
        }
        assert!(tried > 0);
    }

    #[test]
    fn without_keys_of_before_nothing_is_added() {
        let platform = PLATFORMS[0];
        let side = (platform.simulate)();
        let plain = channel(platform, &*side);
        assert!(Arc::ptr_eq(&plain, &Succession::of(plain.clone(), Vec::new())));
    }
}
