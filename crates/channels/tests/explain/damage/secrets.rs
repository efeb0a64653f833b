//! Secrets and keys that were copied wrongly, and key material in the wrong place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tollbell_channels::channel::{FetchBack, Rejection};
use tollbell_channels::explain::Outcome;
use tollbell_channels::settings::{Setting, SettingKind, SettingValue, Settings};

use super::Damage;
use super::keys::{outcome, texts, with_keys_of};
use crate::explain::bytes::{from_hex, hex};
use crate::explain::stage::{Other, Scene, Stage, secrets, stages};

/// A merchant's own throw-away key.
pub(crate) const OWN_PRIVATE: &[u8] = include_bytes!("../own/private.pem");
const OWN_PUBLIC: &[u8] = include_bytes!("../own/public.pem");
const OWN_CERTIFICATE: &[u8] = include_bytes!("../own/certificate.pem");

pub(super) static DAMAGES: &[Damage] = &[
    Damage::first("secret_blanks", "in quotes", |scene| with_secret(scene, |secret| join(b"\"", secret, b"\""))),
    Damage::first("secret_blanks", "in single quotes", |scene| with_secret(scene, |secret| join(b"'", secret, b"'"))),
    Damage::first("secret_blanks", "behind a mark of the byte order", |scene| {
        with_secret(scene, |secret| join("\u{feff}".as_bytes(), secret, b""))
    }),
    Damage::first("secret_blanks", "before a blank of no width", |scene| {
        with_secret(scene, |secret| join(b"", secret, "\u{200b}".as_bytes()))
    }),
    Damage::first("secret_encoding", "in base64", |scene| {
        with_secret(scene, |secret| Some(STANDARD.encode(secret).into_bytes()))
    }),
    Damage::first("secret_encoding", "in hexadecimal", |scene| {
        with_secret(scene, |secret| Some(hex(secret).into_bytes()))
    }),
    Damage::first("secret_encoding", "its hexadecimal as base64", |scene| {
        with_secret(scene, |secret| Some(STANDARD.encode(from_hex(secret)?).into_bytes()))
    }),
    Damage::first("secret_encoding", "with a prefix that is none of it", |scene| {
        with_secret(scene, |secret| (!secret.starts_with(b"whsec_")).then(|| join(b"whsec_", secret, b""))?)
    }),
    Damage::first("decryption_key", "another key opens the content", |scene| {
        let settings = undecryptable(&scene)?;
        Some(scene.beside(Vec::new()).with_settings(settings))
    }),
    Damage::first("own_public_key", "its private half stands in another channel", |scene| with_own(scene, OWN_PUBLIC)),
    Damage::first("merchant_certificate", "its private half stands in another channel", |scene| {
        with_own(scene, OWN_CERTIFICATE)
    }),
    Damage::first("key_shared", "one secret for two merchants", |scene| {
        let stage = scene.stage;
        let wrong = with_neighbours_secret(&scene)?;
        // Whatever text says who it is says so of somebody else.
        let texts = texts(stage, &wrong);
        let with = |settings: Settings, (name, value): &(&'static str, SettingValue)| {
            let other = settings.clone().with(name, value.clone());
            if (stage.platform.build)(&other).is_ok() { other } else { settings }
        };
        let other = texts.iter().fold(wrong.clone(), with);
        (!texts.is_empty()).then_some(())?;
        let platform = stage.platform;
        Some(scene.with_settings(wrong).beside(vec![Other { id: "other", platform, settings: Some(other) }]))
    }),
    Damage::first("key_shared", "one secret in two places", |scene| {
        let stage = scene.stage;
        let (_, _, first) = secrets(stage.platform, &stage.neighbour).into_iter().next()?;
        let taken: Vec<&str> = secrets(stage.platform, &stage.settings).iter().map(|(name, ..)| *name).collect();
        // What the platform's interface is asked with may be the secret that signs, too.
        let shown = stage.channel.fetch_back().map(FetchBack::credential_label);
        let is_apart = |name: &str| !name.contains("private") && shown != Some(name);
        let settings = stage.platform.settings.iter();
        let secret = settings.filter(|setting| setting.kind == SettingKind::SecretKey && is_apart(setting.name));
        let mut own = stage.settings.clone();
        let mut places = 0;
        for setting in secret {
            let other = own.clone().with(setting.name, key(&first));
            if (stage.platform.build)(&other).is_ok() {
                own = other;
                places += 1;
            }
        }
        (places > 1 && !taken.is_empty()).then(|| scene.beside(Vec::new()).with_settings(own))
    }),
    Damage::first("key_kind", "a public key where a secret belongs", |scene| {
        with_secret(scene.beside(Vec::new()), |_| Some(one_line(OWN_PUBLIC)))
    }),
    Damage::first("key_kind", "a private key where a secret belongs", |scene| {
        let is_private = |secret: &[u8]| secret.starts_with(b"-----BEGIN");
        with_secret(scene.beside(Vec::new()), |secret| (!is_private(secret)).then(|| one_line(OWN_PRIVATE)))
    }),
];

fn key(bytes: &[u8]) -> SettingValue {
    SettingValue::Key(bytes.to_vec().into())
}

/// A key as the platforms' pages show it: without the lines around it, in one.
fn one_line(pem: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(pem);
    text.lines().filter(|line| !line.starts_with("-----")).collect::<String>().into_bytes()
}

#[expect(clippy::unnecessary_wraps, reason = "what changes a secret may have nothing to change")]
fn join(before: &[u8], secret: &[u8], behind: &[u8]) -> Option<Vec<u8>> {
    Some([before, secret, behind].concat())
}

/// The scene with one secret otherwise: the first without which the message is refused.
fn with_secret(scene: Scene<'_>, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Scene<'_>> {
    let stage = scene.stage;
    for (name, place, secret) in secrets(stage.platform, &stage.settings) {
        let Some(other) = change(&secret).filter(|other| *other != secret) else { continue };
        let value = match stage.settings.keys(name) {
            Some(keys) => {
                let mut keys = keys.to_vec();
                keys[place] = other.into();
                SettingValue::Keys(keys)
            }
            None => key(&other),
        };
        let settings = stage.settings.clone().with(name, value);
        if !outcome(&scene, &settings).is_accepted() {
            return Some(scene.with_settings(settings));
        }
    }
    None
}

/// Settings with a secret of the neighbour's, under which the message is refused for its signature.
fn with_neighbours_secret(scene: &Scene<'_>) -> Option<Settings> {
    let stage = scene.stage;
    let theirs = secrets(stage.platform, &stage.neighbour);
    // A private key is nobody's but the merchant's.
    let is_single = |(name, _, secret): &(&'static str, usize, Vec<u8>)| {
        let is_pair = STANDARD.decode(secret.trim_ascii()).is_ok_and(|der| der.starts_with(&[0x30, 0x82]));
        stage.settings.key(name).is_some() && !is_pair && !secret.starts_with(b"-----BEGIN")
    };
    let single = secrets(stage.platform, &stage.settings).into_iter().filter(is_single);
    let mut others = single.filter_map(|(name, place, _)| {
        let (_, _, secret) = theirs.iter().find(|(other, at, _)| (*other, *at) == (name, place))?;
        Some(stage.settings.clone().with(name, key(secret)))
    });
    others.find(|settings| outcome(scene, settings) == Outcome::Refused(Rejection::Signature))
}

/// Settings under which the signature holds and the content does not open.
fn undecryptable(scene: &Scene<'_>) -> Option<Settings> {
    let stage = scene.stage;
    let mixed = with_keys_of(stage, &stage.settings, &stage.neighbour);
    let others = secrets(stage.platform, &mixed)
        .into_iter()
        .map(|(name, _, secret)| stage.settings.clone().with(name, key(&secret)));
    let is_due = |settings: &Settings| matches!(outcome(scene, settings), Outcome::Refused(Rejection::Undecryptable));
    others.into_iter().find(is_due)
}

/// The settings with this in place of the platform's key, wherever the platform takes it.
fn with_public(scene: &Scene<'_>, material: &[u8]) -> Option<Settings> {
    let stage = scene.stage;
    let public = stage.platform.settings.iter().filter(|setting| setting.kind == SettingKind::PublicKey);
    let alone = |setting: &Setting| {
        let keys = public.clone().filter(|other| other.name != setting.name);
        keys.fold(stage.settings.clone(), |settings, other| settings.without(other.name))
    };
    let beside = public.clone().map(|setting| stage.settings.clone().with(setting.name, key(material)));
    let alone = public.clone().map(|setting| alone(setting).with(setting.name, key(material)));
    // A channel that fetches the platform's keys has none in that place, and the authorities under which it believes them
    // are no keys.
    let is_built =
        |settings: &Settings| (stage.platform.build)(settings).is_ok_and(|channel| channel.key_source().is_none());
    let is_due = |settings: &Settings| is_built(settings) && !outcome(scene, settings).is_accepted();
    beside.chain(alone).find(is_due)
}

/// The setting of the merchant's private key.
fn private_setting(stage: &Stage) -> Option<&'static str> {
    let settings = stage.platform.settings.iter();
    let mut private =
        settings.filter(|setting| setting.kind == SettingKind::SecretKey && setting.name.contains("private"));
    private.next().map(|setting| setting.name)
}

/// The scene with this in place of the platform's key, beside a channel that has its private half: rather of the same
/// platform.
fn with_own<'s>(scene: Scene<'s>, material: &[u8]) -> Option<Scene<'s>> {
    let own = with_public(&scene, material)?;
    let owner = |stage: &Stage| {
        let settings = stage.neighbour.clone().with(private_setting(stage)?, key(OWN_PRIVATE));
        let is_built = (stage.platform.build)(&settings).is_ok();
        is_built.then_some(Other { id: "owner", platform: stage.platform, settings: Some(settings) })
    };
    let owner = owner(scene.stage).or_else(|| stages().iter().find_map(owner))?;
    Some(scene.with_settings(own).beside(vec![owner]))
}
