//! No secret, and nothing made of one, is in what is said: two wrong secrets are told apart by nobody.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tollbell_channels::explain::Diagnosis;
use tollbell_channels::settings::{SettingValue, Settings, Text};

use super::bytes::{has, hex};
use super::damage::{self, Stories};
use super::matrix::genuine;
use super::pen::{Algorithm, Pen, Piece, Writing, keys};
use super::stage::{Scene, Stage, secrets, with_every_stage};

/// Bytes of a secret that are too many to be there by chance.
const PIECE: usize = 6;

/// Characters of a word in an export that is none of a language.
const WORD: usize = 16;

/// Characters of a signature that are too many to be there by chance.
const SIGNATURE_PIECE: usize = 12;

/// Bytes at the front of a PKCS #8 file with an RSA key of 2048 bits that anybody may see.
const PUBLIC_HALF: usize = 320;

/// Everything that is said.
fn said(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{diagnosis:?}");
    for found in &diagnosis.findings {
        for pick in [|text: Text| text.en, |text: Text| text.zh] {
            for line in [found.title(pick), found.cause(pick), found.cure(pick)] {
                text.push('\n');
                text.push_str(&line);
            }
        }
    }
    for signed in &diagnosis.signed {
        text.push('\n');
        text.push_str(&signed.text);
    }
    text
}

/// Digits and letters turned by so many places, so that a secret keeps its form and is another.
fn turned(secret: &[u8], places: u8) -> Vec<u8> {
    let start = secret.iter().position(|&byte| byte == b'_').map_or(0, |at| at + 1);
    let turn = |byte: u8, first: u8, count: u8| first + (byte - first + places) % count;
    // The last of base64 may have bits that must not be there.
    let end = secret.len().saturating_sub(3);
    let one = |(at, &byte): (usize, &u8)| match byte {
        _ if at < start || at >= end => byte,
        b'0'..=b'9' => turn(byte, b'0', 10),
        b'a'..=b'f' => turn(byte, b'a', 6),
        b'A'..=b'F' => turn(byte, b'A', 6),
        other => other,
    };
    secret.iter().enumerate().map(one).collect()
}

/// The settings with every secret turned; none where some are no texts of this form, or nothing is left of the channel.
fn with_turned(stage: &Stage, places: u8) -> Option<Settings> {
    let mut settings = stage.settings.clone();
    let all = secrets(stage.platform, &stage.settings);
    let own: Vec<_> = all.into_iter().filter(|(_, _, secret)| !secret.starts_with(b"-----")).collect();
    (!own.is_empty()).then_some(())?;
    for (name, place, secret) in own {
        let other = turned(&secret, places);
        assert_ne!(other, secret, "{}: {name} is not turned", stage.platform.kind);
        let value = match settings.keys(name) {
            Some(keys) => {
                let mut keys = keys.to_vec();
                keys[place] = other.into();
                SettingValue::Keys(keys)
            }
            None => SettingValue::Key(other.into()),
        };
        settings = settings.with(name, value);
    }
    (stage.platform.build)(&settings).is_ok().then_some(settings)
}

/// Forms of one length that no secret is known by, each of so many bytes: with a name before it, with blanks in it, as
/// hexadecimal, as base64 and as base64 with padding. None has a blank at an end, which is told by itself.
fn in_forms(bytes: usize) -> Vec<Vec<u8>> {
    let of = |letters: &[u8]| letters.iter().copied().cycle().take(bytes).collect::<Vec<u8>>();
    let with = |mut text: Vec<u8>, at: usize, other: &[u8]| {
        text[at..at + other.len()].copy_from_slice(other);
        text
    };
    let (middle, end) = (bytes / 2, bytes - 1);
    vec![
        of(b"no form, at all!".map(|byte| if byte == b' ' { b'~' } else { byte }).as_slice()),
        with(of(b"gHjKmN"), middle, b"_"),
        with(of(b"gHjKmN"), middle, b" "),
        with(of(b"gHjKmN"), middle - 1, "\u{a0}".as_bytes()),
        of(b"0123456789abcdef"),
        of(b"0123456789ABCDEF"),
        of(b"QUJDREVGR0hJSktM"),
        with(of(b"QUJDREVGR0hJSktM"), end, b"="),
    ]
}

/// The settings with every shared secret in one of these forms; none where that makes no channel.
fn with_form(stage: &Stage, form: usize) -> Option<Settings> {
    let all = secrets(stage.platform, &stage.settings).into_iter();
    let all: Vec<_> = all.filter(|(_, _, secret)| !secret.starts_with(b"-----")).collect();
    (!all.is_empty()).then_some(())?;
    let settings = all.into_iter().fold(stage.settings.clone(), |settings, (name, place, secret)| {
        let other = in_forms(secret.trim_ascii().len()).swap_remove(form);
        let value = match settings.keys(name) {
            Some(keys) => {
                let mut keys = keys.to_vec();
                keys[place] = other.into();
                SettingValue::Keys(keys)
            }
            None => SettingValue::Key(other.into()),
        };
        settings.with(name, value)
    });
    (stage.platform.build)(&settings).is_ok().then_some(settings)
}

/// As the one below, with secrets of one length and of all forms.
#[test]
fn a_wrong_secret_of_any_form_says_the_same() {
    let compared = std::sync::atomic::AtomicUsize::new(0);
    with_every_stage(|stage| {
        let scene = genuine(stage);
        let mut first: Option<(usize, String)> = None;
        for form in 0..in_forms(PIECE).len() {
            let Some(settings) = with_form(stage, form) else { continue };
            let text = said(&scene.clone().with_settings(settings).diagnose().expect("a channel"));
            if let Some((other, before)) = &first {
                assert_eq!(&text, before, "{}: forms {other} and {form}", stage.platform.kind);
                compared.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            first.get_or_insert((form, text));
        }
    });
    let compared = compared.into_inner();
    assert!(compared > 50, "only {compared} pairs were compared");
}

/// Requests that are refused, by whatever was done to them and by the secret alone.
fn requests(stage: &Stage) -> Vec<Scene<'_>> {
    let mut scenes: Vec<Scene<'_>> =
        stage.side.stories().iter().map(|kind| stage.scene(&Stage::story(*kind, damage::QUOTED))).collect();
    for damage in damage::all().into_iter().filter(|damage| damage.stories == Stories::Each) {
        let first = *stage.side.stories().first().expect("a story");
        let scene = (damage.does)(stage.scene(&Stage::story(first, damage.note)));
        scenes.extend(scene.filter(|scene| scene.settings.is_none()));
    }
    scenes
}

/// Only this: the settings and the neighbours' are the same in both, but for the secret.
#[test]
fn two_wrong_secrets_say_the_same() {
    let turned: &(dyn Fn(&Stage) -> Option<[Settings; 2]> + Sync) =
        &|stage| Some([with_turned(stage, 1)?, with_turned(stage, 3)?]);
    let compared = std::sync::atomic::AtomicUsize::new(0);
    with_every_stage(|stage| {
        let Some([one, other]) = turned(stage) else { return };
        for scene in requests(stage) {
            let diagnose = |settings: &Settings| scene.clone().with_settings(settings.clone()).diagnose();
            let (one, other) = (diagnose(&one).expect("a channel"), diagnose(&other).expect("a channel"));
            let kind = stage.platform.kind;
            assert_eq!(said(&one), said(&other), "{kind}: {}", scene.story.kind);
            compared.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let compared = compared.into_inner();
    assert!(compared > 500, "only {compared} pairs were compared");
}

/// Every piece of some secret bytes in the forms in which they could leak.
fn leaks(secret: &[u8], piece: usize) -> BTreeSet<Vec<u8>> {
    let mut leaks = BTreeSet::new();
    let mut add = |text: &[u8], length: usize| {
        leaks.extend(text.windows(length).map(<[u8]>::to_vec));
    };
    add(secret, piece);
    add(hex(secret).as_bytes(), piece * 2);
    add(hex(secret).to_uppercase().as_bytes(), piece * 2);
    for skipped in 0..3.min(secret.len()) {
        let text = STANDARD.encode(&secret[skipped..]);
        add(text.trim_end_matches('=').as_bytes(), piece * 4 / 3);
    }
    leaks
}

/// What of a key is secret: of a private RSA key, which stands behind its public half (RFC 8017, A.1.2), only the rest.
fn inner(secret: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(secret);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let public = if secret.starts_with(&[0x30, 0x82]) {
        return secret.iter().skip(PUBLIC_HALF).copied().collect();
    } else if text.starts_with("-----BEGIN PRIVATE") {
        PUBLIC_HALF * 4 / 3
    } else if text.starts_with("-----") {
        lines.concat().len()
    } else {
        return secret.trim_ascii().to_vec();
    };
    lines.concat().bytes().skip(public).collect()
}

/// What came and what anybody may see.
fn public(scene: &Scene<'_>) -> Vec<u8> {
    let request = &scene.request;
    let mut text = request.body.to_vec();
    text.extend_from_slice(request.query.as_deref().unwrap_or_default().as_bytes());
    text.extend_from_slice(&super::bytes::decoded(&text.clone()));
    for value in request.headers.values() {
        text.push(b'\n');
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(&super::bytes::decoded(value.as_bytes()));
    }
    for settings in [&scene.stage.settings, &scene.stage.neighbour] {
        text.extend_from_slice(format!("{settings:?}").as_bytes());
    }
    // Both ways of writing the same bytes.
    [text.clone(), text.escape_ascii().to_string().into_bytes()].concat()
}

fn leaked(said: &str, public: &[u8], leaks: &BTreeSet<Vec<u8>>) -> Option<Vec<u8>> {
    let lengths: BTreeSet<usize> = leaks.iter().map(Vec::len).collect();
    for length in lengths {
        for window in said.as_bytes().windows(length) {
            if leaks.contains(window) && !has(public, window) {
                return Some(window.to_vec());
            }
        }
    }
    None
}

#[test]
fn no_secret_is_in_what_is_said() {
    with_every_stage(|stage| {
        let kind = stage.platform.kind;
        let first = *stage.side.stories().first().expect("a story");
        for damage in damage::all() {
            let Some(scene) = (damage.does)(stage.scene(&Stage::story(first, damage.note))) else { continue };
            let Some(diagnosis) = scene.diagnose() else { continue };
            let (said, public) = (said(&diagnosis), public(&scene));
            let mut all: Vec<Vec<u8>> = Vec::new();
            let others =
                scene.others.iter().filter_map(|other| other.settings.as_ref().map(|own| (other.platform, own)));
            let every = [
                (stage.platform, scene.settings()),
                (stage.platform, &stage.settings),
                (stage.platform, &stage.neighbour),
            ];
            for (platform, settings) in every.into_iter().chain(others) {
                all.extend(secrets(platform, settings).into_iter().map(|(.., secret)| inner(&secret)));
            }
            // An export of several things is a text of lines and words, some of which say what they are.
            let exported = inner(&stage.side.export());
            let words = exported.split(|byte| !byte.is_ascii_graphic()).filter(|word| word.len() >= WORD);
            let is_text = exported.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
            all.extend(if is_text { words.map(<[u8]>::to_vec).collect() } else { vec![exported.clone()] });
            all.retain(|secret| secret.len() >= PIECE);
            for secret in all {
                if let Some(leak) = leaked(&said, &public, &leaks(&secret, PIECE)) {
                    panic!("{kind}: {}: {}: `{}` is told", damage.id, damage.label, leak.escape_ascii());
                }
            }
        }
    });
}

/// What the signature should have been is told to nobody, neither under the right secret nor under the configured one.
#[test]
fn no_expected_signature_is_in_what_is_said() {
    let looked = std::sync::atomic::AtomicUsize::new(0);
    with_every_stage(|stage| {
        let scene = genuine(stage);
        let Some(pen) = Pen::of(&scene) else { return };
        let forged: String = pen.signature.chars().rev().collect();
        let Some(forgery) = pen.put(scene, &forged) else { return };
        let wrong = with_turned(stage, 1);
        for settings in [Some(stage.settings.clone()), wrong].into_iter().flatten() {
            let scene = forgery.clone().with_settings(settings.clone());
            let diagnosis = scene.diagnose().expect("a channel");
            let (said, public) = (said(&diagnosis), public(&scene));
            let texts = diagnosis.signed.iter().map(|signed| super::pen::pieces(&super::pen::unescaped(&signed.text)));
            let mut texts: Vec<Vec<Piece>> = texts.collect();
            texts.push(pen.pieces.clone());
            for (key, pieces) in keys(stage, &settings).iter().flat_map(|key| texts.iter().map(move |text| (key, text)))
            {
                for signature in Algorithm::ALL.into_iter().filter_map(|algorithm| algorithm.sign(key, pieces)) {
                    for writing in Writing::ALL {
                        let text = writing.write(&signature);
                        let leaks = text.as_bytes().windows(SIGNATURE_PIECE).map(<[u8]>::to_vec).collect();
                        if let Some(leak) = leaked(&said, &public, &leaks) {
                            panic!("{}: `{}` of a signature is told", stage.platform.kind, leak.escape_ascii());
                        }
                    }
                }
            }
            looked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    assert!(looked.into_inner() > 30, "too few signatures were looked for");
}

#[test]
fn the_suite_finds_what_leaks() {
    let secret = b"0123456789abcdefXYZ";
    let leaks = leaks(secret, PIECE);
    for text in ["…9abcde…", "…61626364…3738396162636465", "ODlhYmNkZWZYWVo", "MzQ1Njc4OWE"] {
        assert!(leaked(text, b"", &leaks).is_some(), "{text}");
    }
    assert_eq!(leaked("…9abcde…", b"89abcdef", &leaks), None);
    assert_eq!(leaked("nothing of it", b"", &leaks), None);
    assert_ne!(turned(b"whsec_0123456789", 1), turned(b"whsec_0123456789", 3));
    assert!(turned(b"whsec_0123456789", 1).starts_with(b"whsec_1"));
}
