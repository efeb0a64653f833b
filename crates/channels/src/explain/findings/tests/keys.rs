//! Messages that came to the wrong channel, or under the wrong key, on every platform.

use super::*;
use crate::explain::Evidence;
use crate::explain::findings::world::{World, at, fact, message, only};
use crate::lifetimes::Lifetimes;
use crate::model::{RawRequest, Timestamp};
use crate::platforms::{PLATFORMS, Platform};
use crate::settings::{KeyMark, Settings};
use crate::simulate::Story;
use crate::succession::{Former, Succession};

#[test]
fn a_message_of_another_channel_is_found_with_that_channel() {
    let mut alike = Vec::new();
    for platform in PLATFORMS {
        let (own, other) = ((platform.simulate)(), (platform.simulate)());
        let (own, other_world) =
            (World::new("own", platform, own.settings()), World::new("b", platform, other.settings()));
        let request = message(&*other);
        if own.accepts(&request) {
            alike.push(platform.kind);
            continue;
        }
        let diagnosis = own.explain(&[&other_world], &request, at());
        let (id, facts) = only(&diagnosis, platform.kind);
        assert_eq!((id, fact(&facts, "channel")), ("other_channel", "b"), "{}", platform.kind);
        assert!(!diagnosis.effort.is_bounded, "{}", platform.kind);
    }
    // Where nothing is signed for a merchant, every channel takes what anybody may say.
    assert!(alike.len() < 3, "{alike:?}");
}

#[test]
fn a_message_of_the_other_environment_is_found() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let (own, other) = ((platform.simulate)(), (platform.simulate)());
        let mut settings = other.settings();
        settings.environment = match settings.environment {
            Environment::Live => Environment::Sandbox,
            Environment::Sandbox => Environment::Live,
        };
        let environment = settings.environment.as_str();
        let Some(other_world) = World::try_new("b", platform, settings) else { continue };
        let own = World::new("own", platform, own.settings());
        let request = message(&*other);
        if own.accepts(&request) || !other_world.accepts(&request) {
            continue;
        }
        tried += 1;
        let (id, facts) = only(&own.explain(&[&other_world], &request, at()), platform.kind);
        assert_eq!(id, "other_environment", "{}", platform.kind);
        assert_eq!((fact(&facts, "channel"), fact(&facts, "environment")), ("b", environment), "{}", platform.kind);
    }
    assert!(tried > PLATFORMS.len() / 2, "{tried}");
}

#[test]
fn a_message_of_another_kind_is_found() {
    let mut tried = 0;
    let pairs = PLATFORMS.iter().enumerate().flat_map(|(place, own)| {
        let next = PLATFORMS[(place + 1) % PLATFORMS.len()];
        let family = PLATFORMS.iter().copied().filter(|other| other.family == own.family && other.kind != own.kind);
        std::iter::once(next).chain(family.take(2)).map(move |other| (*own, other))
    });
    for (platform, other) in pairs {
        let about = format!("{} at {}", other.kind, platform.kind);
        let side = (other.simulate)();
        let own = World::new("own", platform, (platform.simulate)().settings());
        let other_world = World::new("b", other, side.settings());
        let request = message(&*side);
        if own.accepts(&request) || other_world.channel.gives_only_hints() {
            continue;
        }
        tried += 1;
        let (id, facts) = only(&own.explain(&[&other_world], &request, at()), &about);
        assert_eq!((id, fact(&facts, "channel"), fact(&facts, "kind")), ("other_platform", "b", other.kind), "{about}");
    }
    assert!(tried > PLATFORMS.len() / 2, "{tried}");
}

/// Marks every piece of key material with an end.
fn ending(platform: &Platform, settings: Settings, until: Timestamp) -> Settings {
    let mark = || KeyMark { name: None, until: Some(until) };
    key_settings(platform).fold(settings, |settings, setting| match value(&settings, setting.name) {
        Some(SettingValue::Key(_)) => settings.with_mark(setting.name, 0, mark()),
        Some(SettingValue::Keys(keys)) => {
            let places = keys.len();
            (0..places).fold(settings, |settings, place| settings.with_mark(setting.name, place, mark()))
        }
        _ => settings,
    })
}

#[test]
fn a_key_that_has_ended_is_named() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let settings = ending(platform, side.settings(), at());
        let own = World::new("own", platform, settings);
        let request = message(&*side);
        if own.accepts(&request) || own.settings.ends().is_empty() {
            continue;
        }
        tried += 1;
        let (id, facts) = only(&own.explain(&[], &request, at()), platform.kind);
        assert_eq!(id, "key_ended", "{}", platform.kind);
        assert!(fact(&facts, "keys").contains("2026-11-21T04:00:00Z"), "{}: {facts:?}", platform.kind);
        // Before its end it proves, and there is nothing to find.
        let before = own.explain(&[], &request, at() - Duration::from_secs(1));
        assert!(before.outcome.is_accepted() && before.findings.is_empty(), "{}: {before:?}", platform.kind);
    }
    assert!(tried > PLATFORMS.len() / 2, "{tried}");
}

#[test]
fn keys_of_a_former_generation_are_named_after_their_date() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let (new, old) = ((platform.simulate)(), (platform.simulate)());
        let mut own = World::new("own", platform, new.settings());
        let ids_of_new = with_all(platform, &new.settings(), &old.settings());
        let Ok(former) = Lifetimes::build(platform.build, &ids_of_new) else { continue };
        let request = message(&*old);
        own.channel = Succession::of(own.channel, vec![Former { channel: former, until: at() }]);
        // Another merchant's message stays one, whatever key it fits.
        let before = own.explain(&[], &request, at() - Duration::from_secs(1));
        let diagnosis = own.explain(&[], &request, at());
        if diagnosis.outcome.is_accepted() || !before.outcome.is_accepted() {
            continue;
        }
        tried += 1;
        assert_eq!(only(&diagnosis, platform.kind).0, "key_ended", "{}", platform.kind);
    }
    assert!(tried > 4, "{tried}");
}

#[test]
fn a_certificate_that_is_over_is_named() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let own = World::new("own", platform, side.settings());
        let Some(end) = own.channel.keys().iter().filter_map(|note| note.not_after).max() else { continue };
        let late = end + Duration::from_hours(24);
        let request = side.callback(&Story::paid("ORDER-1", 1000, late)).request;
        let diagnosis = own.explain(&[], &request, late);
        if !matches!(diagnosis.outcome, Outcome::NeedsKey { .. } | Outcome::Refused(Rejection::UnknownKey { .. })) {
            continue;
        }
        tried += 1;
        assert_eq!(only(&diagnosis, platform.kind).0, "key_ended", "{}", platform.kind);
    }
    assert!(tried > 1, "{tried}");
}

#[test]
fn what_only_names_a_key_that_has_ended_is_not_said_to_be_signed_with_it() {
    let (mut signed, mut named) = (0, 0);
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let own = World::new("own", platform, side.settings());
        let Some(end) = own.channel.keys().iter().filter_map(|note| note.not_after).max() else { continue };
        let now = end + Duration::from_secs(1);
        let request = side.callback(&Story::paid("ORDER-1", 1000, end - Duration::from_mins(1))).request;
        let mut body = request.body.to_vec();
        let digit = body.windows(4).position(|four| four == b"1000").unwrap_or(body.len() / 2);
        body[digit] = if body[digit] == b'7' { b'8' } else { b'7' };
        let forged = RawRequest { body: body.into(), ..request.clone() };
        for (request, proof, claim) in
            [(request, Evidence::Recomputed, "was signed with"), (forged, Evidence::Seen, "names")]
        {
            let diagnosis = own.explain(&[], &request, now);
            if !matches!(diagnosis.outcome, Outcome::NeedsKey { .. } | Outcome::Refused(Rejection::UnknownKey { .. })) {
                continue;
            }
            let [found] = diagnosis.findings.as_slice() else { panic!("{}: {diagnosis:?}", platform.kind) };
            if found.finding.id != "key_ended" {
                assert_eq!(proof, Evidence::Seen, "{}: {found:?}", platform.kind);
                continue;
            }
            assert_eq!((found.proof, fact(&found.facts, "claim")), (proof, claim), "{}", platform.kind);
            assert!(found.title(|text| text.en).contains(claim), "{}", platform.kind);
            *if proof == Evidence::Seen { &mut named } else { &mut signed } += 1;
        }
    }
    assert!(signed > 1 && named > 0, "{signed} {named}");
}

#[test]
fn the_key_of_another_channel_is_found_with_its_setting() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let (own, other) = ((platform.simulate)(), (platform.simulate)());
        // For us, by ids, and signed with what is configured for the other one.
        let Some(own_world) = World::try_new("own", platform, with_all(platform, &other.settings(), &own.settings()))
        else {
            continue;
        };
        let Some(b) = World::try_new("b", platform, with_all(platform, &own.settings(), &other.settings())) else {
            continue;
        };
        let request = message(&*other);
        let refused = own_world.explain(&[], &request, at()).outcome;
        if refused.is_accepted() || refused == Outcome::Refused(Rejection::Undecryptable) {
            continue;
        }
        tried += 1;
        let (id, facts) = only(&own_world.explain(&[&b], &request, at()), platform.kind);
        let expected = if b.accepts(&request) { "other_channel" } else { "key_of_other_channel" };
        assert_eq!((id, fact(&facts, "channel")), (expected, "b"), "{}", platform.kind);
    }
    assert!(tried > PLATFORMS.len() / 2, "{tried}");
}

#[test]
fn two_keys_in_each_others_place_are_found() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let settings = side.settings();
        let mut keys = key_settings(platform).filter_map(|setting| match value(&settings, setting.name) {
            Some(SettingValue::Key(bytes)) => Some((setting.kind, setting.name, bytes.clone())),
            _ => None,
        });
        let (Some((kind, one, first)), Some((other_kind, other, second))) = (keys.next(), keys.next()) else {
            continue;
        };
        if kind != other_kind {
            continue;
        }
        let exchanged = settings.clone().with(one, SettingValue::Key(second)).with(other, SettingValue::Key(first));
        let Some(own) = World::try_new("own", platform, exchanged) else { continue };
        let request = message(&*side);
        if own.accepts(&request) {
            continue;
        }
        tried += 1;
        let (id, facts) = only(&own.explain(&[], &request, at()), platform.kind);
        assert_eq!(
            (id, fact(&facts, "setting"), fact(&facts, "other")),
            ("keys_swapped", one, other),
            "{}",
            platform.kind
        );
    }
    // Few platforms have two keys of one sort that can both be read as the other.
    assert!(tried > 0, "no platform has two such keys");
}

/// The settings with other digits in one id, and the same for each.
fn with_other_ids(platform: &Platform, settings: &Settings) -> Vec<Settings> {
    let turn = |text: &str| {
        let turned = text.chars().map(|c| c.to_digit(10).and_then(|d| char::from_digit((d + 1) % 10, 10)).unwrap_or(c));
        turned.collect::<String>()
    };
    let other = |name: &'static str| match value(settings, name)? {
        SettingValue::Text(text) => Some(settings.clone().with(name, SettingValue::Text(turn(text)))),
        SettingValue::Texts(texts) => {
            let texts = texts.iter().map(|text| turn(text)).collect();
            Some(settings.clone().with(name, SettingValue::Texts(texts)))
        }
        _ => None,
    };
    platform.settings.iter().filter_map(|setting| other(setting.name)).collect()
}

#[test]
fn a_merchant_that_nobody_here_is_is_said_with_its_field() {
    let mut merchants = Vec::new();
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let request = message(&*side);
        for settings in with_other_ids(platform, &side.settings()) {
            let Some(own) = World::try_new("own", platform, settings) else { continue };
            let diagnosis = own.explain(&[], &request, at());
            let Outcome::Refused(Rejection::UnknownMerchant { field }) = &diagnosis.outcome else { continue };
            let (id, facts) = only(&diagnosis, platform.kind);
            assert_eq!((id, fact(&facts, "field")), ("other_merchant", field.as_str()), "{}", platform.kind);
            merchants.push((platform.kind, fact(&facts, "value").to_owned()));
            // Beside the channel that has the id, it is that one's.
            let b = World::new("b", platform, side.settings());
            assert_eq!(
                only(&own.explain(&[&b], &request, at()), platform.kind).0,
                "other_channel",
                "{}",
                platform.kind
            );
        }
    }
    merchants.dedup_by_key(|(kind, _)| *kind);
    assert!(merchants.len() > 5, "{merchants:?}");
    let unread = merchants.iter().filter(|(_, value)| value == UNREAD).count();
    assert!(unread * 2 < merchants.len(), "{merchants:?}");
}

#[test]
fn a_key_that_is_not_here_is_said_with_its_number() {
    let mut keys = Vec::new();
    for platform in PLATFORMS {
        let (own, other) = ((platform.simulate)(), (platform.simulate)());
        let own = World::new("own", platform, own.settings());
        let diagnosis = own.explain(&[], &message(&*other), at());
        match &diagnosis.outcome {
            Outcome::NeedsKey { serial } | Outcome::Refused(Rejection::UnknownKey { serial }) => {
                let (id, facts) = only(&diagnosis, platform.kind);
                assert_eq!((id, fact(&facts, "serial")), ("unknown_key", serial.as_str()), "{}", platform.kind);
                keys.push(platform.kind);
            }
            Outcome::Refused(Rejection::UnknownMerchant { .. }) => {}
            // A signature by somebody alone says nothing of whose it is.
            _ => assert!(diagnosis.findings.is_empty(), "{}: {diagnosis:?}", platform.kind),
        }
    }
    assert!(keys.len() > 2, "{keys:?}");
}
