//! The gateway's own signing key proves nothing to the gateway: an application may know it, and lose it.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::Environment;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::signature::key::PublicKey;
use tollbell_channels::signature::x509::Certificate;

use super::world::{at, worlds};

/// What was signed afresh, sent to the gateway itself.
#[test]
fn a_request_that_was_signed_afresh_is_not_genuine_here() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let private: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
    let mut count = 0;
    for world in worlds() {
        let Ok(resigner) = world.channel.resigner(private.as_ref()) else { continue };
        for (story, genuine) in world.callbacks() {
            let Ok(fresh) = resigner.resign(&genuine.request, at(), [7; 16]) else { continue };
            let verdict = world.channel.verify(&fresh, at());
            assert!(!matches!(verdict, Verdict::Genuine(_)), "{} {}", world.platform.kind, story.kind);
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

/// The public half in place of the platform's key, such as after a mix-up of two files: as a key, or as a certificate
/// where the platform has no other form.
#[test]
fn a_key_that_the_channel_believes_signs_nothing() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = PublicKey::of_pair("key", &pair).expect("its public half").to_pem().into_bytes();
    let private: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
    let mut count = 0;
    for world in worlds() {
        let kind = world.platform.kind;
        let Ok(resigner) = world.channel.resigner(private.as_ref()) else { continue };
        let half = resigner.public_half();
        let certificate = half.iter().find(|file| Certificate::read("key", &file.content).is_ok());
        let ours = |bytes: &[u8]| {
            if PublicKey::read("key", bytes).is_ok() {
                Some(public.clone())
            } else {
                let is_certificate = Certificate::read_all("key", bytes).is_ok();
                certificate.filter(|_| is_certificate).map(|file| file.content.clone())
            }
        };
        let written = world.side.written_settings();
        let mut believed = 0;
        let settings = written.into_iter().fold(Settings::new(Environment::Sandbox), |settings, one| {
            let SettingValue::Key(bytes) = &one.value else { return settings.with(one.name, one.value) };
            let Some(ours) = ours(bytes) else { return settings.with(one.name, one.value) };
            believed += 1;
            settings.with(one.name, SettingValue::Key(ours.into()))
        });
        assert!(believed > 0, "{kind}");
        let channel = (world.platform.build)(&settings).unwrap_or_else(|error| panic!("{error}"));
        let error = channel.resigner(private.as_ref()).expect_err(kind);
        assert_eq!((error.setting, error.word), ("resign_key", "believed_key"), "{kind}");
        count += 1;
    }
    assert!(count > 3, "{count}");
}
