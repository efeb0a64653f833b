//! Secrets and keys that were entered wrongly, on every platform that has them.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;

use super::*;
use crate::explain::findings::world::{World, at, fact, message, only};
use crate::explain::{Found, Outcome, lint};
use crate::platforms::{PLATFORMS, Platform};
use crate::settings::Settings;
use crate::signature::key::to_pem;
use crate::simulate::certificate::{Draft, Name};

/// Does something to every secret of every platform, one at a time, and has the refusals explained. How many platforms
/// refused something.
fn each_secret(damage: impl Fn(&[u8]) -> Vec<Vec<u8>>, expected: &str) -> Vec<&'static str> {
    let mut tried = Vec::new();
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let settings = side.settings();
        let request = message(&*side);
        for secret in slots::secrets(platform, &settings).into_iter().filter(|one| content_of(&one.bytes).is_none()) {
            for bytes in damage(&secret.bytes) {
                let Some(own) = World::try_new("own", platform, secret.replaced(&settings, &bytes)) else { continue };
                if own.accepts(&request) {
                    continue;
                }
                let diagnosis = own.explain(&[], &request, at());
                let about = format!("{} {}", platform.kind, secret.label);
                let (id, facts) = only(&diagnosis, &about);
                assert_eq!((id, fact(&facts, "setting")), (expected, secret.label.as_str()), "{about}");
                let told = format!("{diagnosis:?}");
                let text = String::from_utf8_lossy(&secret.bytes).into_owned();
                assert!(!told.contains(&text), "{about}: a secret is told");
                tried.push(platform.kind);
            }
        }
    }
    tried.dedup();
    tried
}

#[test]
fn quotes_and_blanks_in_a_secret_are_found() {
    let wrapped = |secret: &[u8]| {
        let around = |before: &str, behind: &str| [before.as_bytes(), secret, behind.as_bytes()].concat();
        vec![around("\"", "\""), around("'", "'\n"), around("“", "”"), around("\u{feff}", ""), around(" ", "\u{200b}")]
    };
    let tried = each_secret(wrapped, "secret_blanks");
    assert!(tried.len() > 5, "{tried:?}");
}

#[test]
fn a_secret_in_another_encoding_is_found() {
    let written = |secret: &[u8]| {
        let mut all = Vec::new();
        for from in Writing::ALL {
            let Some(bytes) = from.read(secret.trim_ascii()) else { continue };
            all.extend(Writing::ALL.iter().map(|to| to.write(&bytes).to_vec()).filter(|other| other != secret));
        }
        all.truncate(6);
        all
    };
    let tried = each_secret(written, "secret_encoding");
    assert!(tried.len() > 5, "{tried:?}");
}

#[test]
fn content_that_does_not_open_is_told_and_the_right_key_is_found_elsewhere() {
    let mut tried = Vec::new();
    for platform in PLATFORMS {
        let (side, other) = ((platform.simulate)(), (platform.simulate)());
        let (settings, theirs) = (side.settings(), other.settings());
        let request = message(&*side);
        for setting in key_settings(platform).filter(|setting| setting.kind == SettingKind::SecretKey) {
            let Some(settings) = slots::with_one(&settings, &theirs, setting.name) else { continue };
            let Some(own) = World::try_new("own", platform, settings) else { continue };
            let diagnosis = own.explain(&[], &request, at());
            if diagnosis.outcome != Outcome::Refused(Rejection::Undecryptable) {
                continue;
            }
            let about = format!("{} {}", platform.kind, setting.name);
            let (id, facts) = only(&diagnosis, &about);
            assert_eq!((id, facts.as_slice()), ("decryption_key", &[][..]), "{about}");
            // Which secrets are alike is told by no request, be it this one or another of the same merchant's.
            let b = World::new("b", platform, theirs.clone());
            let (id, facts) = only(&own.explain(&[&b], &request, at()), &about);
            assert_eq!((id, facts.as_slice()), ("decryption_key", &[][..]), "{about}");
            // Where another channel has the right one, that is found.
            let all = slots::with_one(&theirs, &side.settings(), setting.name).unwrap();
            let b = World::new("b", platform, all);
            if !b.accepts(&request) {
                let (id, facts) = only(&own.explain(&[&b], &request, at()), &about);
                assert_eq!((id, fact(&facts, "channel")), ("decryption_key", "b"), "{about}");
            }
            tried.push(about);
        }
    }
    assert!(tried.len() > 1, "{tried:?}");
}

/// The finding of a lint, once.
fn linted(own: &World, others: &[&World], id: &str) -> Facts {
    let others: Vec<Configured<'_>> = others.iter().map(|other| other.configured()).collect();
    let all = lint::lint(own.configured(), &others);
    let [Found { finding, facts, .. }] = all.as_slice() else { panic!("{}: {all:?}", own.platform.kind) };
    assert_eq!(finding.id, id, "{}", own.platform.kind);
    facts.clone()
}

#[test]
fn settings_without_a_mistake_have_none() {
    let worlds: Vec<World> = PLATFORMS
        .iter()
        .flat_map(|platform| ["a", "b"].map(|id| World::new(id, platform, (platform.simulate)().settings())))
        .collect();
    for (place, own) in worlds.iter().enumerate() {
        let others: Vec<Configured<'_>> = worlds
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place)
            .map(|(_, other)| other.configured())
            .collect();
        let found = lint::lint(own.configured(), &others);
        assert!(found.is_empty(), "{}: {found:?}", own.platform.kind);
    }
}

/// Channels of one configuration, more than are compared each with each.
const MANY: usize = 300;

#[test]
fn many_channels_are_looked_at_together_as_one_by_one() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let holder = holder(&pair);
    let public = PublicKey::of_pair("key", &pair).unwrap().to_pem().into_bytes();
    let mut worlds = vec![holder];
    for platform in PLATFORMS {
        let (settings, other) = ((platform.simulate)().settings(), (platform.simulate)().settings());
        let mut all = vec![settings.clone(), settings.clone(), other.clone()];
        for public_key in key_settings(platform).filter(|setting| setting.kind == SettingKind::PublicKey) {
            all.push(settings.clone().with(public_key.name, SettingValue::Key(public.clone().into())));
        }
        for (own, theirs) in slots::secrets(platform, &settings).iter().zip(slots::secrets(platform, &other)) {
            all.push(theirs.replaced(&other, &own.bytes));
        }
        worlds.extend(all.into_iter().filter_map(|settings| World::try_new("one", platform, settings)));
    }
    let few = worlds.len();
    let all: Vec<Configured<'_>> = worlds.iter().map(World::configured).collect();
    let together = lint::Together::of(all.clone());
    let mut count = 0;
    for (place, own) in all.iter().enumerate() {
        let others: Vec<Configured<'_>> = [&all[..place], &all[place + 1..]].concat();
        let found = lint::lint(*own, &others);
        count += found.len();
        assert_eq!(together.lint(place, *own), found, "{} {place} of {few}", own.platform.kind);
    }
    assert!(count > 20, "{count}");
    let many = lint::Together::of(all.iter().copied().cycle().take(few.max(MANY)).collect());
    let found = many.all().iter().enumerate().map(|(place, own)| many.lint(place, *own).len());
    assert!(found.sum::<usize>() >= count);
}

/// A channel of any platform with a private key in some setting.
fn holder(pair: &RsaKeyPair) -> World {
    let setting = |platform: &&'static Platform| {
        key_settings(platform).find(|one| one.name.contains("private") && one.kind == SettingKind::SecretKey)
    };
    let (platform, setting) = PLATFORMS
        .iter()
        .find_map(|platform| Some((*platform, setting(platform)?.name)))
        .expect("one has a private key");
    let side = (platform.simulate)();
    let mut world = World::new("holder", platform, side.settings());
    let der = pair.as_der().unwrap();
    let pem = to_pem("PRIVATE KEY", der.as_ref());
    world.settings = world.settings.with(setting, SettingValue::Key(pem.into_bytes().into()));
    world
}

#[test]
fn the_own_public_key_is_called_so_wherever_its_private_half_stands() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = PublicKey::of_pair("key", &pair).unwrap();
    let holder = holder(&pair);
    let mut tried = Vec::new();
    for platform in PLATFORMS {
        let settings = (platform.simulate)().settings();
        let world = World::new("own", platform, settings.clone());
        for public in believed(&world.configured()).into_iter().filter(|public| public.certificate.is_none()) {
            let pem = SettingValue::Key(key.to_pem().into_bytes().into());
            let Some(own) = World::try_new("own", platform, settings.clone().with(public.setting, pem)) else {
                continue;
            };
            let facts = linted(&own, &[&holder], "own_public_key");
            assert_eq!(fact(&facts, "setting"), public.setting);
            assert!(fact(&facts, "private").starts_with("holder."), "{facts:?}");
            assert_eq!(fact(&facts, "fingerprint"), key.fingerprint());
            let file =
                ("keys/app.pem".to_owned(), to_pem("PRIVATE KEY", pair.as_der().unwrap().as_ref()).into_bytes().into());
            let beside = lint::private_half_beside(own.configured(), std::slice::from_ref(&file));
            assert_eq!(
                beside.first().and_then(|found| found.fact("private")),
                Some("keys/app.pem"),
                "{}",
                platform.kind
            );
            assert_eq!(lint::private_half_beside(world.configured(), &[file]), [], "{}", platform.kind);
            tried.push(platform.kind);
        }
    }
    assert!(tried.len() > 5, "{tried:?}");
}

#[test]
fn a_merchants_certificate_in_place_of_the_platforms_is_called_so() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = PublicKey::of_pair("key", &pair).unwrap();
    let name = Name { common: "1900009191", unit: "Merchant", organization: "Shop" };
    let (not_before, not_after) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2031-01-01T00:00:00Z".parse().unwrap());
    let draft =
        Draft { serial: 0x4d00, subject: name, key: &key, issuer: name, not_before, not_after, is_authority: false };
    let certificate = draft.sign(&pair);
    let holder = holder(&pair);
    let mut tried = Vec::new();
    for platform in PLATFORMS {
        let settings = (platform.simulate)().settings();
        for setting in key_settings(platform).filter(|setting| setting.kind == SettingKind::PublicKey) {
            let value = SettingValue::Key(certificate.clone().into_bytes().into());
            let Some(own) = World::try_new("own", platform, settings.clone().with(setting.name, value)) else {
                continue;
            };
            if !believed(&own.configured()).iter().any(|public| public.key == key) {
                continue;
            }
            let facts = linted(&own, &[&holder], "merchant_certificate");
            assert_eq!(fact(&facts, "setting"), setting.name, "{}", platform.kind);
            assert!(fact(&facts, "serial").ends_with("4D00"), "{facts:?}");
            // By its number alone, when that is another merchant's of the same platform.
            let mut sibling = World::new("b", platform, (platform.simulate)().settings());
            let id = platform.settings.iter().find(|one| one.is_required && one.kind == SettingKind::Text);
            if let Some(id) = id {
                sibling.settings = sibling.settings.with(id.name, SettingValue::Text(name.common.to_owned()));
                linted(&own, &[&sibling], "merchant_certificate");
            }
            tried.push(platform.kind);
        }
    }
    assert!(!tried.is_empty());
}

#[test]
fn a_key_of_another_sort_is_called_so() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = PublicKey::of_pair("key", &pair).unwrap();
    let mut tried = Vec::new();
    for platform in PLATFORMS {
        let settings = (platform.simulate)().settings();
        for secret in slots::secrets(platform, &settings).into_iter().filter(|one| content_of(&one.bytes).is_none()) {
            for (material, holds) in
                [(key.spki().to_vec(), "PUBLIC KEY"), (pair.as_der().unwrap().as_ref().to_vec(), "PRIVATE KEY")]
            {
                let line = STANDARD.encode(material);
                let Some(own) = World::try_new("own", platform, secret.replaced(&settings, line.as_bytes())) else {
                    continue;
                };
                let all = lint::lint(own.configured(), &[]);
                let [found] = all.as_slice() else {
                    // A slot that holds no key of a hash may be for a private key.
                    assert!(all.is_empty() && holds == "PRIVATE KEY", "{}: {all:?}", platform.kind);
                    continue;
                };
                assert_eq!((found.finding.id, found.fact("holds")), ("key_kind", Some(holds)), "{}", platform.kind);
                tried.push(platform.kind);
            }
        }
    }
    tried.dedup();
    assert!(tried.len() > 5, "{tried:?}");
}

#[test]
fn one_secret_in_two_places_is_told_with_both() {
    let (mut merchants, mut versions) = (Vec::new(), 0);
    for platform in PLATFORMS {
        let (own, other) = ((platform.simulate)().settings(), (platform.simulate)().settings());
        let family = PLATFORMS.iter().copied().filter(|one| one.family == platform.family && one.kind != platform.kind);
        for secret in slots::secrets(platform, &own).into_iter().filter(|one| content_of(&one.bytes).is_none()) {
            let own_world = World::new("own", platform, own.clone());
            // Another merchant, by its ids, with this merchant's secret.
            let theirs = slots::secrets(platform, &other).into_iter().find(|one| one.label == secret.label).unwrap();
            let b = World::new("b", platform, theirs.replaced(&other, &secret.bytes));
            if is_strange(&own_world.configured(), &b.configured()) {
                let facts = linted(&own_world, &[&b], "key_shared");
                assert_eq!((fact(&facts, "setting"), fact(&facts, "channel")), (secret.label.as_str(), "b"));
                merchants.push(platform.kind);
            }
            // Another version of the interface.
            for version in family.clone() {
                let settings = (version.simulate)().settings();
                let slot = slots::secrets(version, &settings).into_iter().find(|one| content_of(&one.bytes).is_none());
                let Some(b) =
                    slot.and_then(|slot| World::try_new("b", version, slot.replaced(&settings, &secret.bytes)))
                else {
                    continue;
                };
                let facts = linted(&own_world, &[&b], "key_shared");
                assert_eq!(fact(&facts, "channel"), "b", "{} {}", platform.kind, version.kind);
                versions += 1;
            }
        }
    }
    merchants.dedup();
    assert!(merchants.len() > 3 && versions > 1, "{merchants:?} {versions}");
}

#[test]
fn quotes_around_a_secret_are_told_before_any_message() {
    let mut tried = Vec::new();
    for platform in PLATFORMS {
        let settings = (platform.simulate)().settings();
        for secret in slots::secrets(platform, &settings).into_iter().filter(|one| content_of(&one.bytes).is_none()) {
            let quoted = [b"\"".as_slice(), &secret.bytes, b"\""].concat();
            let Some(own) = World::try_new("own", platform, secret.replaced(&settings, &quoted)) else { continue };
            assert_eq!(fact(&linted(&own, &[], "secret_blanks"), "setting"), secret.label, "{}", platform.kind);
            tried.push(platform.kind);
        }
    }
    tried.dedup();
    assert!(tried.len() > 5, "{tried:?}");
}

/// What is wrong with a key that took no part is true, and is no reason of a refusal.
#[test]
fn a_mistake_about_another_key_is_no_reason() {
    let mut tried = Vec::new();
    for platform in PLATFORMS {
        let settings = (platform.simulate)().settings();
        let plain = World::new("own", platform, settings.clone());
        let Some(shown) = plain.channel.fetch_back().map(FetchBack::credential_label) else { continue };
        let Some(setting) = key_settings(platform).find(|setting| setting.name == shown) else { continue };
        let quoted = SettingValue::Key(Zeroizing::new(b"\"0123456789zyxwvutsrqponmlkjihgfe\"".to_vec()));
        let Some(own) = World::try_new("own", platform, settings.with(setting.name, quoted)) else { continue };
        assert_eq!(fact(&linted(&own, &[], "secret_blanks"), "setting"), shown, "{}", platform.kind);
        let diagnosis = own.explain(&[], &message(&*(platform.simulate)()), at());
        if diagnosis.outcome == Outcome::Refused(Rejection::Signature) {
            assert!(diagnosis.findings.is_empty(), "{}: {diagnosis:?}", platform.kind);
            tried.push(platform.kind);
        }
    }
    assert!(tried.len() > 1, "{tried:?}");
}

#[test]
fn two_secrets_that_both_fail_are_told_alike() {
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        let (settings, request) = (side.settings(), message(&*side));
        let told = |turn: u8| {
            let change = |settings: Settings, secret: &Secret| {
                // Drawn anew, letter by letter of the same sort, so that it is as good as the first.
                let name = secret.bytes.iter().rposition(|byte| *byte == b'_').map_or(0, |at| at + 1);
                let (name, rest) = secret.bytes.split_at(name);
                let changed: Vec<u8> = rest.iter().map(|byte| turned(*byte, turn)).collect();
                secret.replaced(&settings, &[name, &changed].concat())
            };
            let plain = slots::secrets(platform, &settings).into_iter().filter(|one| content_of(&one.bytes).is_none());
            let settings = plain.fold(settings.clone(), |settings, secret| change(settings, &secret));
            World::try_new("own", platform, settings).map(|own| format!("{:?}", own.explain(&[], &request, at())))
        };
        assert_eq!(told(3), told(5), "{}", platform.kind);
    }
}

/// Another digit for a digit, another of the first six letters for one of them: hexadecimal stays so.
fn turned(byte: u8, turn: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0' + (byte - b'0' + turn) % 10,
        b'a'..=b'f' => b'a' + (byte - b'a' + turn) % 6,
        b'A'..=b'F' => b'A' + (byte - b'A' + turn) % 6,
        other => other,
    }
}
