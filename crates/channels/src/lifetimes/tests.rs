use super::*;
use crate::platforms::{PLATFORMS, Platform};
use crate::settings::{KeyMark, SettingKind, SettingValue};
use crate::simulate::{Challenge, Story};

/// What a platform says of a list of files without as many entries of the setting that it is paired with.
const PAIRED: (&str, &str) = ("private_key_files", "relation");

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

/// The settings with an end for every piece of key material, and whether there was any.
fn ending(platform: &Platform, settings: Settings, until: Timestamp) -> (Settings, bool) {
    let keys = platform.settings.iter().filter(|setting| {
        matches!(setting.kind, SettingKind::PublicKey | SettingKind::SecretKey) && settings.key(setting.name).is_some()
    });
    let names: Vec<&'static str> = keys.map(|setting| setting.name).collect();
    let mark = |settings: Settings, name: &&'static str| {
        settings.with_mark(name, 0, KeyMark { name: None, until: Some(until) })
    };
    (names.iter().fold(settings, mark), !names.is_empty())
}

#[test]
fn a_key_after_its_end_proves_nothing_on_any_platform() {
    let mut ended = 0;
    for platform in PLATFORMS {
        let kind = platform.kind;
        let side = (platform.simulate)();
        let until = now() + Duration::from_hours(1);
        let (settings, has_keys) = ending(platform, side.settings(), until);
        if !has_keys {
            continue;
        }
        ended += 1;
        let channel = Lifetimes::build(platform.build, &settings).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let told = |at: Timestamp| side.callback(&Story::paid("ORDER-1", 1000, at)).request;
        let before = until - Duration::from_secs(1);
        for at in [now(), before] {
            let plain = (platform.build)(&side.settings()).unwrap().verify(&told(at), at);
            let verdict = channel.verify(&told(at), at);
            assert_eq!(std::mem::discriminant(&verdict), std::mem::discriminant(&plain), "{kind}: {verdict:?}");
            assert!(matches!(verdict, Verdict::Genuine(_) | Verdict::Hint(_)), "{kind}: {verdict:?}");
        }
        for at in [until, until + Duration::from_hours(24 * 365)] {
            let verdict = channel.verify(&told(at), at);
            assert!(matches!(verdict, Verdict::Refused(_)), "{kind}: its end has come: {verdict:?}");
            // An old capture at a late time, too.
            let verdict = channel.verify(&told(now()), at);
            assert!(matches!(verdict, Verdict::Refused(_)), "{kind}: {verdict:?}");
        }
        let notes = channel.keys();
        let ends = |note: &KeyNote| note.not_after.is_some_and(|end| end <= until);
        assert!(!notes.is_empty() && notes.iter().all(ends), "{kind}: {notes:?}");
        // What was proven before is still read, and answered as ever.
        assert!(!channel.fields(&told(now())).is_empty(), "{kind}");
        let plain = (platform.build)(&side.settings()).unwrap();
        for answer in Answer::ALL {
            assert_eq!(channel.answer(*answer, None), plain.answer(*answer, None), "{kind}");
        }
        assert_eq!(channel.freshness(), plain.freshness(), "{kind}");
        assert_eq!(channel.query_names(), plain.query_names(), "{kind}");
    }
    assert!(ended > PLATFORMS.len() / 2, "{ended}");
}

#[test]
fn of_several_keys_each_ends_at_its_own_time_and_keeps_its_name() {
    let several = |platform: &&&'static Platform| {
        let is_several = |setting: &&crate::settings::Setting| setting.kind == SettingKind::SecretFiles;
        platform.settings.iter().any(|setting| is_several(&setting))
    };
    let (mut tried, mut unbuilt) = (0, Vec::new());
    for platform in PLATFORMS.iter().filter(several) {
        let kind = platform.kind;
        let (old, new) = ((platform.simulate)(), (platform.simulate)());
        let list = platform.settings.iter().find(|setting| setting.kind == SettingKind::SecretFiles).unwrap().name;
        // The one setting whose bytes differ between two sides is the secret.
        let (was, is) = (old.settings(), new.settings());
        let secrets = platform.settings.iter().filter(|setting| setting.kind == SettingKind::SecretKey);
        let secret = secrets.map(|setting| setting.name).find(|name| was.key(name).is_some());
        let Some(secret) = secret else { continue };
        let Some(bytes) = was.key(secret).zip(is.key(secret)) else { continue };
        let mut settings = Settings::new(is.environment);
        for (name, value) in is.values().filter(|(name, _)| *name != secret) {
            settings = settings.with(name, value.clone());
        }
        let is_same = |(name, value): (&'static str, &SettingValue)| match value {
            SettingValue::Text(text) => is.text(name) == Some(text),
            _ => true,
        };
        if !was.values().all(is_same) {
            // Other ids are another merchant's.
            continue;
        }
        let until = now() + Duration::from_hours(1);
        let named = |name: &str, until| KeyMark { name: Some(name.to_owned()), until };
        let settings = settings
            .with(list, SettingValue::Keys(vec![bytes.0.to_vec().into(), bytes.1.to_vec().into()]))
            .with_mark(list, 0, named("the old one", Some(until)))
            .with_mark(list, 1, named("the new one", None));
        let channel = match Lifetimes::build(platform.build, &settings) {
            Ok(channel) => channel,
            Err(error) => {
                unbuilt.push((kind, error.setting, error.word));
                continue;
            }
        };
        let told = old.callback(&Story::paid("ORDER-1", 1000, now())).request;
        if matches!(channel.verify(&told, now()), Verdict::Hint(_)) {
            continue;
        }
        tried += 1;
        let key = |side: &dyn crate::simulate::OtherSide, at: Timestamp| match channel
            .verify(&side.callback(&Story::paid("ORDER-1", 1000, at)).request, at)
        {
            Verdict::Genuine(proven) => match proven.proof() {
                crate::model::Proof::Signature { key, .. } => Some(key.clone()),
                other @ crate::model::Proof::PlatformApi { .. } => panic!("{kind}: {other:?}"),
            },
            _ => None,
        };
        assert_eq!(key(&*old, now()).as_deref(), Some("the old one"), "{kind}");
        assert_eq!(key(&*new, now()).as_deref(), Some("the new one"), "{kind}");
        assert_eq!(key(&*old, until), None, "{kind}: its end has come");
        assert_eq!(key(&*new, until).as_deref(), Some("the new one"), "{kind}");
        let notes = channel.keys();
        let end = |label: &str| notes.iter().find(|note| note.label == label).map(|note| note.not_after);
        assert_eq!(end("the old one"), Some(Some(until)), "{kind}: {notes:?}");
        assert_eq!(end("the new one"), Some(None), "{kind}: {notes:?}");
    }
    assert!(tried >= 2, "{tried}");
    // The one where each file of the list stands for an entry of another setting, which has one here; its own tests
    // have such lists.
    assert!(unbuilt.iter().all(|(_, setting, word)| (*setting, *word) == PAIRED), "{unbuilt:?}");
    assert!(unbuilt.len() <= 1, "{unbuilt:?}");
}

#[test]
fn without_ends_it_is_the_platforms_own() {
    let platform = PLATFORMS[0];
    let settings = (platform.simulate)().settings();
    let plain = (platform.build)(&settings).unwrap().keys();
    let built = Lifetimes::build(platform.build, &settings).unwrap().keys();
    assert_eq!(plain, built);
}

/// The names of the functions of a block that begins with these words, as far as its closing brace.
fn functions(source: &'static str, begins: &str) -> Vec<&'static str> {
    let Some((_, block)) = source.split_once(begins) else { return Vec::new() };
    let block = block.split("\n}\n").next().unwrap();
    let name = |line: &'static str| line.strip_prefix("    fn ")?.split('(').next();
    block.lines().filter_map(name).collect()
}

#[test]
fn no_method_of_a_channel_is_left_to_its_default() {
    let traits = [
        ("Channel", include_str!("../channel.rs")),
        ("KeySource", include_str!("../channel/fetch.rs")),
        ("FetchBack", include_str!("../channel/fetch_back.rs")),
    ];
    let wrappers = [("Lifetimes", include_str!("../lifetimes.rs")), ("Succession", include_str!("../succession.rs"))];
    for (name, source) in traits {
        let wanted = functions(source, &format!("pub trait {name}: Send + Sync {{\n"));
        assert!(wanted.len() >= 5, "{name}: {wanted:?}");
        for (wrapper, source) in wrappers {
            let there = functions(source, &format!("impl {name} for {wrapper} {{\n"));
            // One that gives the inner channel's own has nothing to forward.
            let gives_the_inner = source.contains("self.current.fetch_back()\n") && name == "FetchBack";
            if there.is_empty() && gives_the_inner {
                continue;
            }
            let missing: Vec<&&str> = wanted.iter().filter(|method| !there.contains(method)).collect();
            assert!(missing.is_empty(), "{wrapper} leaves {missing:?} of {name} to the default");
        }
    }
}

#[test]
fn a_channel_with_ends_answers_challenges_and_says_what_is_signed_as_without() {
    let until = now() + Duration::from_hours(1);
    let mut challenged = 0;
    for platform in PLATFORMS {
        let kind = platform.kind;
        let side = (platform.simulate)();
        let (settings, has_keys) = ending(platform, side.settings(), until);
        if !has_keys {
            continue;
        }
        let plain = (platform.build)(&side.settings()).unwrap();
        let channel = Lifetimes::build(platform.build, &settings).unwrap();
        assert_eq!(channel.signed_alone(), plain.signed_alone(), "{kind}");
        for Challenge { mut request, reply } in (0..4).filter_map(|serial| side.challenge(serial)) {
            challenged += 1;
            request.received_at = now();
            assert_eq!(channel.challenge(&request), Some(reply), "{kind}");
            request.received_at = until;
            assert_eq!(channel.challenge(&request), None, "{kind}: its end has come");
        }
    }
    assert!(challenged > 0, "no platform checks addresses");
}
