//! Standard Webhooks signatures (SPEC 1.0.0 of standard-webhooks/standard-webhooks).
//!
//! Signed is `id.timestamp.body`. `whsec_…` secrets give `v1` (HMAC-SHA256), `whsk_…` keys give `v1a`
//! (Ed25519). While a secret is being changed there are several, and one signature for each.
//!
//! Nothing else of a request is signed: one whose message stands in its query gets no signature (`request`).

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use tollbell_channels::settings::{Settings, SettingsError};
use zeroize::Zeroizing;

/// The setting that holds the secrets.
pub(super) const SETTING: &str = "secret";
/// Shortest and longest symmetric secret in bytes (SPEC, "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets at once: the old and the new one, for a few receivers.
const SECRETS_MAX: usize = 8;
/// An Ed25519 seed.
const SEED_BYTES: usize = 32;
/// An Ed25519 seed with its public key behind it.
const PAIR_BYTES: usize = 64;

/// Padding is often lost when a secret is copied; the reference libraries differ in whether they mind.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

enum Secret {
    Symmetric(Box<hmac::Key>),
    Asymmetric(Box<Ed25519KeyPair>),
}

/// The secrets that sign, the newest first or in any other order.
pub(super) struct Secrets(Vec<Secret>);

impl fmt::Debug for Secrets {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Reads the setting: one or more secrets, divided by blanks or lines. None when it is absent.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let Some(bytes) = settings.key(SETTING) else { return Ok(Self(Vec::new())) };
        let malformed = || SettingsError::new(SETTING, "malformed");
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let secrets = text.split_whitespace().map(read).collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() {
            return Err(SettingsError::new(SETTING, "empty_list"));
        }
        if secrets.len() > SECRETS_MAX {
            return Err(SettingsError::new(SETTING, "out_of_range").because(secrets.len().to_string()));
        }
        Ok(Self(secrets))
    }

    /// Whether anything signs.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `webhook-signature`: a signature for each secret. `seconds` is the time of this attempt.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let message = [id.as_bytes(), b".", seconds.to_string().as_bytes(), b".", body].concat();
        let signatures = self.0.iter().map(|secret| match secret {
            Secret::Symmetric(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, &message))),
            Secret::Asymmetric(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(&message))),
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn read(word: &str) -> Result<Secret, SettingsError> {
    let malformed = || SettingsError::new(SETTING, "malformed").because("whsec_… or whsk_…");
    let decoded = |text: &str| LENIENT.decode(text).map(Zeroizing::new).map_err(|_| malformed());
    if let Some(text) = word.strip_prefix("whsec_") {
        let bytes = decoded(text)?;
        if !SECRET_BYTES.contains(&bytes.len()) {
            let detail = format!("{} bytes, not {} to {}", bytes.len(), SECRET_BYTES.start(), SECRET_BYTES.end());
            return Err(SettingsError::new(SETTING, "out_of_range").because(detail));
        }
        return Ok(Secret::Symmetric(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))));
    }
    let bytes = decoded(word.strip_prefix("whsk_").ok_or_else(malformed)?)?;
    let pair = match bytes.len() {
        SEED_BYTES => Ed25519KeyPair::from_seed_unchecked(&bytes),
        PAIR_BYTES => Ed25519KeyPair::from_seed_and_public_key(&bytes[..SEED_BYTES], &bytes[SEED_BYTES..]),
        _ => return Err(malformed()),
    };
    pair.map(|pair| Secret::Asymmetric(Box::new(pair))).map_err(|_| SettingsError::new(SETTING, "not_a_key"))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
    use tollbell_channels::settings::SettingValue;

    use super::*;

    fn secrets(text: &str) -> Result<Secrets, SettingsError> {
        let value = SettingValue::Key(text.as_bytes().to_vec().into());
        Secrets::from_settings(&Settings::without_environment().with(SETTING, value))
    }

    #[test]
    fn the_official_vector() {
        // The test of the reference libraries.
        let signature = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        for text in ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "\n whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\r\n"] {
            let signed = secrets(text).unwrap().sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
            assert_eq!(signed, signature);
        }
    }

    #[test]
    fn every_secret_signs_and_none_is_shown() {
        let (old, new) = (STANDARD.encode([1; 24]), STANDARD.encode([2; 64]));
        let seed = STANDARD.encode([3; 32]);
        let both = secrets(&format!("whsec_{new}\nwhsec_{old} whsk_{seed}")).unwrap();
        let signed = both.sign("evt_1", 7, b"body");
        let parts: Vec<&str> = signed.split(' ').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], secrets(&format!("whsec_{new}")).unwrap().sign("evt_1", 7, b"body"));
        assert_eq!(parts[1], secrets(&format!("whsec_{old}")).unwrap().sign("evt_1", 7, b"body"));
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let signature = STANDARD.decode(parts[2].strip_prefix("v1a,").unwrap()).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
        public.verify(b"evt_1.7.body", &signature).unwrap();
        let whole = STANDARD.encode([&[3; 32], pair.public_key().as_ref()].concat());
        assert_eq!(secrets(&format!("whsk_{whole}")).unwrap().sign("evt_1", 7, b"body"), parts[2]);
        assert_eq!(format!("{both:?}"), "Secrets(3)");
    }

    #[test]
    fn padding_may_be_lost() {
        let padded = STANDARD.encode([9; 25]);
        let bare = padded.trim_end_matches('=');
        assert_ne!(bare, padded);
        let one = secrets(&format!("whsec_{padded}")).unwrap().sign("a", 1, b"");
        assert_eq!(secrets(&format!("whsec_{bare}")).unwrap().sign("a", 1, b""), one);
    }

    #[test]
    fn wrong_secrets_are_named_and_not_quoted() {
        let short = format!("whsec_{}", STANDARD.encode([1; 23]));
        let long = format!("whsec_{}", STANDARD.encode([1; 65]));
        let key = format!("whsk_{}", STANDARD.encode([1; 31]));
        let other_half = format!("whsk_{}", STANDARD.encode([1; 64]));
        let many = format!("whsec_{} ", STANDARD.encode([1; 24])).repeat(SECRETS_MAX + 1);
        for (text, word) in [
            ("", "empty_list"),
            (" \n", "empty_list"),
            ("hunter2hunter2hunter2hunter2", "malformed"),
            ("whsec_hunter2!", "malformed"),
            ("whpk_aHVudGVyMg==", "malformed"),
            (&short, "out_of_range"),
            (&long, "out_of_range"),
            (&key, "malformed"),
            (&other_half, "not_a_key"),
            (&many, "out_of_range"),
        ] {
            let error = secrets(text).unwrap_err();
            assert_eq!((error.setting, error.word), (SETTING, word), "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert!(Secrets::from_settings(&Settings::without_environment()).unwrap().is_empty());
    }
}
