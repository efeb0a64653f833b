//! Channels that give hints: what a message names is asked about, and only the platform's own answer is believed.

use bytes::Bytes;
use http::HeaderValue;
use tollbell_channels::channel::{
    Channel, Credential, FETCH_REFUSED_WORDS, FetchBack, FetchRefused, Fetched, Hint, HintNumber, HttpAnswer,
    LOGIN_BYTES_MAX, Likeness, Login, Question, Verdict,
};
use tollbell_channels::model::{EventKind, Notification, Proof, Proven, RawRequest};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::Settings;
use tollbell_channels::simulate::{ApiConduct, ApiOffice, Story, question};

use super::asking::BASE;
use super::world::{at, build, story};

struct Asking {
    platform: &'static Platform,
    office: Box<dyn ApiOffice>,
    channel: Box<dyn Channel>,
    /// Whether something in a hint holds only for its own number: a signature, or the secret that vouches for it.
    is_guarded: bool,
}

fn asking() -> Vec<Asking> {
    let all: Vec<Asking> = PLATFORMS
        .iter()
        .filter_map(|platform| {
            let side = (platform.simulate)();
            let office = side.api_office()?;
            let empty = Settings::new(side.settings().environment);
            let settings = office.written_settings(BASE).into_iter().fold(empty, |s, one| s.with(one.name, one.value));
            let channel = build(platform, &settings);
            let request = office.hint(&story(office.stories()[0]));
            let Verdict::Hint(hint) = channel.verify(&request, at()) else { panic!("{}: no hint", platform.kind) };
            let (renamed, _) = renamed(&request, &hint);
            let is_refused = matches!(channel.verify(&renamed, at()), Verdict::Refused(_));
            Some(Asking { platform, office, channel, is_guarded: is_refused || hint.is_vouched() })
        })
        .collect();
    assert!(!all.is_empty(), "no platform gives hints");
    all
}

/// A hint with another number in it, and that number.
fn renamed(request: &RawRequest, hint: &Hint) -> (RawRequest, String) {
    let known = hint.number().as_str();
    let invented = known.replace(|c: char| c.is_ascii_digit(), "7");
    let body = String::from_utf8(request.body.to_vec()).expect("text").replace(known, &invented);
    (RawRequest { body: body.into(), ..request.clone() }, invented)
}

impl Asking {
    fn hint(&self, request: &RawRequest) -> Hint {
        match self.channel.verify(request, at()) {
            Verdict::Hint(hint) => hint,
            other => panic!("{}: {other:?}", self.platform.kind),
        }
    }

    fn back(&self) -> &dyn FetchBack {
        self.channel.fetch_back().expect("it can ask")
    }

    /// The question, behind a login where the platform wants one, as the gateway comes to it.
    fn question(&self, hint: &Hint) -> Question {
        question(self.back(), &*self.office, hint, at()).expect("an honest login")
    }

    /// The login, where the platform wants one.
    fn login(&self, hint: &Hint) -> Option<Login> {
        self.back().ask(hint, None, at()).login()
    }

    fn read(&self, hint: &Hint, answer: HttpAnswer) -> Result<Fetched, &'static str> {
        self.read_of(self.question(hint), hint, answer)
    }

    fn read_of(&self, question: Question, hint: &Hint, answer: HttpAnswer) -> Result<Fetched, &'static str> {
        let back = self.back();
        let answered = question.carried(answer);
        let kept = answered.kept(at());
        let fetched = back.read(answered, at()).map_err(|refused| {
            assert!(refused.to_string().len() < 200, "{refused}");
            refused.word()
        });
        if matches!(fetched, Ok(Fetched::Notification(_))) {
            self.check_kept(hint, &kept);
        }
        fetched
    }

    /// The kept answer is read again alone, and gives the callback that the platform sends.
    fn check_kept(&self, hint: &Hint, kept: &RawRequest) {
        let kind = self.platform.kind;
        assert!(!self.channel.fields(kept).is_empty(), "{kind}: no fields");
        let callback = self.channel.fetch_back().and_then(|back| back.callback(kept)).expect("a callback");
        // What vouched for the number is the platform's own, and is not made up here.
        match self.channel.verify(&callback, at()) {
            Verdict::Refused(_) if self.is_guarded => {
                let body = String::from_utf8_lossy(&callback.body).into_owned();
                assert!(body.contains(hint.number().as_str()), "{kind}: the callback names something else");
            }
            _ => assert_eq!(self.hint(&callback).number(), hint.number(), "{kind}: the callback names something else"),
        }
        // What is kept is no callback: sent to us, it proves nothing.
        assert!(!matches!(self.channel.verify(kept, at()), Verdict::Genuine(_)), "{kind}");
    }

    fn told(&self, story: &Story) -> Proven<Notification> {
        let hint = self.hint(&self.office.hint(story));
        let answer = self.office.answer(self.question(&hint).ask(), ApiConduct::Honest);
        match self.read(&hint, answer) {
            Ok(Fetched::Notification(proven)) => proven,
            other => panic!("{}: {}: {other:?}", self.platform.kind, story.kind),
        }
    }
}

#[test]
fn a_hint_is_recognised_and_proves_nothing() {
    for world in asking() {
        for kind in world.office.stories() {
            let request = world.office.hint(&story(*kind));
            let label = format!("{}: {kind}", world.platform.kind);
            assert_eq!(world.channel.recognise(&request), Likeness::Merchant, "{label}");
            let hint = world.hint(&request);
            // Some platforms sign too little, or show a token: it vouches for the number, and proves nothing of it.
            let is_vouched = hint.is_vouched();
            assert!(!is_vouched || !world.channel.keys().is_empty(), "{label}: vouched for by nothing");
            // Nothing but the number says anything.
            let mut odd = request.clone();
            odd.query = Some("status=paid".to_owned());
            odd.headers.insert("x-status", HeaderValue::from_static("paid"));
            assert_eq!(world.hint(&odd), hint, "{label}");
        }
    }
}

#[test]
fn the_answer_says_what_happened() {
    for world in asking() {
        for kind in world.office.stories() {
            let story = story(*kind);
            let label = format!("{}: {kind}", world.platform.kind);
            let proven = world.told(&story);
            let Proof::PlatformApi { host, key } = proven.proof() else { panic!("{label}: {:?}", proven.proof()) };
            assert!(host == "api.platform.example" && !key.is_empty(), "{label}");
            let found = proven.value();
            assert!(found.concerns.is_empty() && found.scope.family == world.platform.family, "{label}: {found:?}");
            let fact =
                found.facts.iter().find(|fact| fact.kind == *kind).unwrap_or_else(|| panic!("{label}: {found:?}"));
            let minor = fact.signed_money().map(|money| money.minor);
            match kind {
                EventKind::PaymentSucceeded => {
                    assert_eq!(minor, Some(story.amount_minor), "{label}");
                    assert_eq!(fact.order_no.as_deref(), Some(story.order_no.as_str()), "{label}");
                }
                EventKind::RefundSucceeded => {
                    assert_eq!(minor, Some(story.refunded_minor), "{label}");
                    assert!(fact.payment.is_some(), "{label}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn the_same_answer_is_one_notification_and_another_state_is_another() {
    for world in asking() {
        let mut seen = std::collections::HashSet::new();
        for kind in world.office.stories() {
            let story = story(*kind);
            let told = world.told(&story);
            let has_amount = told.value().facts.iter().any(|fact| fact.signed_money().is_some());
            let key = told.value().key();
            assert_eq!(key, world.told(&story).value().key(), "{}: {kind}", world.platform.kind);
            assert!(seen.insert(key), "{}: {kind}: another state's key", world.platform.kind);
            let dearer = match kind {
                EventKind::RefundSucceeded => Story { refunded_minor: story.refunded_minor + 1, ..story.clone() },
                _ => Story { amount_minor: story.amount_minor + 1, ..story.clone() },
            };
            let is_new = seen.insert(world.told(&dearer).value().key());
            assert_eq!(is_new, has_amount, "{}: {kind}: another amount is another state", world.platform.kind);
        }
    }
}

#[test]
fn an_answer_that_is_worth_nothing_is_refused() {
    for world in asking() {
        for kind in world.office.stories() {
            let hint = world.hint(&world.office.hint(&story(*kind)));
            let question = world.question(&hint);
            for conduct in ApiConduct::BAD {
                let answer = world.office.answer(question.ask(), *conduct);
                let label = format!("{}: {kind}: {conduct:?}", world.platform.kind);
                let word = match world.read(&hint, answer) {
                    Err(word) => word,
                    Ok(fetched) => panic!("{label}: {fetched:?}"),
                };
                assert!(FETCH_REFUSED_WORDS.contains(&word), "{label}: {word}");
                let expected = match conduct {
                    ApiConduct::OtherNumber => "other_number",
                    ApiConduct::Huge => "too_large",
                    ApiConduct::Denied => "credential",
                    ApiConduct::Throttled => "throttled",
                    ApiConduct::Broken => "status",
                    _ => "malformed",
                };
                assert_eq!(word, expected, "{label}");
            }
            // Every end of an honest answer, and every byte of it changed to another: no panic, and never the other number.
            let honest = world.office.answer(question.ask(), ApiConduct::Honest);
            for end in 0..honest.body.len() {
                let cut = HttpAnswer { body: honest.body.slice(..end), ..honest.clone() };
                let word = world.read_of(question.clone(), &hint, cut).err();
                assert_eq!(word, Some("malformed"), "{}: cut at {end}", world.platform.kind);
                let mut bytes = honest.body.to_vec();
                bytes[end] ^= 1;
                let changed = HttpAnswer { body: Bytes::from(bytes), ..honest.clone() };
                drop(world.read_of(question.clone(), &hint, changed));
            }
        }
    }
}

#[test]
fn what_the_platform_does_not_know_is_unknown() {
    for world in asking() {
        let request = world.office.hint(&story(world.office.stories()[0]));
        let (request, invented) = renamed(&request, &world.hint(&request));
        let hint = match world.channel.verify(&request, at()) {
            Verdict::Hint(hint) => hint,
            // Few can name a number here; the platform is asked about theirs as well.
            Verdict::Refused(_) if world.is_guarded => {
                Hint::from_anybody(HintNumber::new(&invented).expect("the same shape"))
            }
            other => panic!("{}: {other:?}", world.platform.kind),
        };
        assert_eq!(hint.number().as_str(), invented);
        let answer = world.office.answer(world.question(&hint).ask(), ApiConduct::Honest);
        assert!(matches!(world.read(&hint, answer), Ok(Fetched::Unknown)), "{}", world.platform.kind);
    }
}

#[test]
fn a_question_goes_to_the_platform_alone_and_shows_nothing() {
    for world in asking() {
        let back = world.back();
        let hint = Hint::from_anybody(HintNumber::new("a-number.of~all_shapes0").expect("of all shapes"));
        let question = world.question(&hint);
        let rest = question.ask().url.strip_prefix(BASE).unwrap_or_else(|| panic!("{}", question.ask().url));
        assert!(rest.starts_with('/') && rest.contains(hint.number().as_str()), "{rest}");
        assert!(question.ask().headers.values().any(HeaderValue::is_sensitive), "a credential that is marked as one");
        assert!(back.pace().gap <= back.pace().gap_of_number && !back.pace().gap.is_zero());
        let secrets: Vec<String> = question
            .ask()
            .headers
            .values()
            .filter(|value| value.is_sensitive())
            .map(|value| value.to_str().expect("text").rsplit(' ').next().expect("a word").to_owned())
            .collect();
        let shown = format!("{question:?}");
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{}", world.platform.kind);
    }
}

/// The worlds whose platforms want a login before the question, with a hint and the login.
fn behind_a_login() -> Vec<(Asking, Hint)> {
    let all: Vec<(Asking, Hint)> = asking()
        .into_iter()
        .filter_map(|world| {
            let hint = world.hint(&world.office.hint(&story(world.office.stories()[0])));
            world.login(&hint).is_some().then_some((world, hint))
        })
        .collect();
    assert!(!all.is_empty(), "no platform wants a login");
    all
}

#[test]
fn a_login_goes_to_the_platform_alone_and_shows_nothing() {
    for (world, hint) in behind_a_login() {
        let kind = world.platform.kind;
        let login = world.login(&hint).expect("a login");
        assert!(login.ask().url.starts_with(&format!("{BASE}/")), "{kind}: {}", login.ask().url);
        assert!(!login.ask().url.contains(hint.number().as_str()), "{kind}: it is about no number");
        let answer = world.office.answer(login.ask(), ApiConduct::Honest);
        let credential = login.clone().granted(answer, at()).expect("an honest login");
        assert!(credential.until() > at(), "{kind}");
        let question = world.back().ask(&hint, Some(&credential), at()).question().expect("the question");
        let shown = format!("{login:?} {credential:?} {question:?}");
        for ask in [login.ask(), question.ask()] {
            let secrets: Vec<&HeaderValue> = ask.headers.values().filter(|value| value.is_sensitive()).collect();
            assert!(!secrets.is_empty(), "{kind}: a credential that is marked as one");
            for secret in secrets {
                let word = secret.to_str().expect("text").rsplit(' ').next().expect("a word");
                assert!(!shown.contains(word), "{kind}");
            }
        }
        // What the login shows opens no question, and an ended credential none either.
        let mut forged = question.ask().clone();
        forged.headers = login.ask().headers.clone();
        assert_eq!(world.read(&hint, world.office.answer(&forged, ApiConduct::Honest)).err(), Some("credential"));
        assert!(world.back().ask(&hint, Some(&credential), credential.until()).login().is_some(), "{kind}");
        world.office.end_logins();
        let answer = world.office.answer(question.ask(), ApiConduct::Honest);
        assert_eq!(world.read_of(question, &hint, answer).err(), Some("credential"), "{kind}");
    }
}

#[test]
fn a_login_whose_answer_is_worth_nothing_gives_no_credential() {
    for (world, hint) in behind_a_login() {
        let kind = world.platform.kind;
        let login = world.login(&hint).expect("a login");
        let granted = |answer: HttpAnswer| -> Result<Credential, FetchRefused> {
            let granted = login.clone().granted(answer, at());
            if let Err(refused) = &granted {
                assert!(refused.to_string().len() < 200, "{kind}: {refused}");
            }
            granted
        };
        let word = |answer| granted(answer).map_err(|refused| refused.word()).err();
        for conduct in ApiConduct::BAD {
            let expected = match conduct {
                ApiConduct::Huge => "too_large",
                ApiConduct::Denied => "credential",
                ApiConduct::Throttled => "throttled",
                ApiConduct::Broken => "status",
                _ => "malformed",
            };
            assert_eq!(word(world.office.answer(login.ask(), *conduct)), Some(expected), "{kind}: {conduct:?}");
        }
        let honest = world.office.answer(login.ask(), ApiConduct::Honest);
        for status in [201, 204, 302, 404, 410, 500] {
            assert_eq!(word(HttpAnswer { status, ..honest.clone() }), Some("status"), "{kind}: {status}");
        }
        let padding = vec![b' '; LOGIN_BYTES_MAX];
        let large = [&honest.body[..], &padding].concat().into();
        assert_eq!(word(HttpAnswer { body: large, ..honest.clone() }), Some("too_large"), "{kind}");
        // Cut anywhere it gives nothing. With another byte anywhere it gives what the platform knows, or does not.
        for end in 0..honest.body.len() {
            let cut = HttpAnswer { body: honest.body.slice(..end), ..honest.clone() };
            assert_eq!(word(cut), Some("malformed"), "{kind}: cut at {end}");
            let mut bytes = honest.body.to_vec();
            bytes[end] ^= 1;
            let Ok(credential) = granted(HttpAnswer { body: bytes.into(), ..honest.clone() }) else { continue };
            let Some(question) = world.back().ask(&hint, Some(&credential), at()).question() else { continue };
            let answer = world.office.answer(question.ask(), ApiConduct::Honest);
            match world.read_of(question, &hint, answer) {
                Ok(Fetched::Notification(_)) | Err("credential") => {}
                other => panic!("{kind}: {end}: {other:?}"),
            }
        }
        // The event itself in place of the login's answer is none.
        let event = world.office.answer(world.question(&hint).ask(), ApiConduct::Honest);
        assert_eq!(word(event), Some("malformed"), "{kind}");
        // And the login's answer in place of the event tells nothing.
        assert_eq!(world.read(&hint, honest).err(), Some("malformed"), "{kind}");
    }
}

#[test]
fn without_a_way_to_ask_there_is_no_asking() {
    for world in super::world::all_worlds() {
        let gives_hints = world.side.api_office().is_some();
        let asks = world.channel.fetch_back().is_some();
        assert_eq!(gives_hints, asks, "{}: an office and a channel that asks go together", world.platform.kind);
    }
}
