//! The platform's keys, each of which a message names by its serial: certificates, and public keys with an id of their
//! own.

use std::fmt;

use crate::channel::KeyNote;
use crate::model::Timestamp;
use crate::settings::{Settings, SettingsError};
use crate::signature::key::PublicKey;
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::signature::x509::Certificate;

/// Most certificates in one setting: the current ones and those around a rotation.
pub(in crate::platforms) const CERTIFICATES_MAX: usize = 16;

/// Longest serial or key id that is taken from a message, in characters; real ones have 40 and about 45.
pub(in crate::platforms) const SERIAL_CHARS_MAX: usize = 64;

/// The keys that can prove a message.
pub(in crate::platforms) struct Keys(Vec<Key>);

/// One of them.
pub(in crate::platforms) struct Key {
    name: Name,
    verifier: RsaVerifier,
}

/// What a message calls a key.
enum Name {
    /// A certificate's serial in normal form, and when the certificate is valid: one without a readable time proves
    /// nothing.
    Serial { serial: String, valid: Option<[Timestamp; 2]> },
    /// A public key's id, whole and in its own case. It has no end.
    Id(String),
}

impl fmt::Debug for Keys {
    /// Says which, not their bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(Key::name)).finish()
    }
}

impl Key {
    /// Of a certificate that stands in the setting.
    ///
    /// # Errors
    /// [`SettingsError`] when its serial is none, or its key is no RSA key.
    pub(in crate::platforms) fn of_certificate(
        setting: &'static str,
        certificate: &Certificate,
    ) -> Result<Self, SettingsError> {
        let description = certificate.description();
        let serial = normal_serial(&description.serial_hex).ok_or(SettingsError::new(setting, "not_a_certificate"))?;
        let verifier = RsaVerifier::new(setting, certificate.key(), RsaHash::Sha256, &serial)?;
        let valid = description.not_before.zip(description.not_after).map(|(begin, end)| [begin, end]);
        Ok(Self { name: Name::Serial { serial, valid }, verifier })
    }

    /// Of a public key that goes by an id.
    ///
    /// # Errors
    /// [`SettingsError`] when it is no RSA key.
    pub(in crate::platforms) fn of_public_key(
        setting: &'static str,
        id: &str,
        key: &PublicKey,
    ) -> Result<Self, SettingsError> {
        let verifier = RsaVerifier::new(setting, key, RsaHash::Sha256, id)?;
        Ok(Self { name: Name::Id(id.to_owned()), verifier })
    }

    fn name(&self) -> &str {
        match &self.name {
            Name::Serial { serial: name, .. } | Name::Id(name) => name,
        }
    }

    fn is_called(&self, text: &str) -> bool {
        match &self.name {
            Name::Serial { serial, .. } => normal_serial(text).as_ref() == Some(serial),
            Name::Id(id) => id == text,
        }
    }

    fn is_in_use(&self, now: Timestamp) -> bool {
        match &self.name {
            Name::Serial { valid, .. } => valid.is_some_and(|[begin, end]| begin <= now && now <= end),
            Name::Id(_) => true,
        }
    }

    /// What checks signatures, if the key is called so and proves anything at this time.
    pub(in crate::platforms) fn find(&self, text: &str, now: Timestamp) -> Option<&RsaVerifier> {
        (self.is_called(text) && self.is_in_use(now)).then_some(&self.verifier)
    }
}

impl Keys {
    /// These keys.
    pub(in crate::platforms) fn of(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// The id of the public key.
    pub(in crate::platforms) fn id(&self) -> Option<&str> {
        self.0.iter().find(|key| matches!(key.name, Name::Id(_))).map(Key::name)
    }

    /// Whether one of them, whichever is named, verifies a signature.
    pub(in crate::platforms) fn believes(&self, text: &[u8], signature: &[u8]) -> bool {
        self.0.iter().any(|key| key.verifier.verify(text, signature, "probe").is_some())
    }

    /// Whether a key is called so.
    pub(in crate::platforms) fn knows(&self, text: &str) -> bool {
        self.0.iter().any(|key| key.is_called(text))
    }

    /// The key that is called so. A certificate that has ended proves nothing any more.
    pub(in crate::platforms) fn find(&self, text: &str, now: Timestamp) -> Option<&RsaVerifier> {
        self.0.iter().find_map(|key| key.find(text, now))
    }
}

/// A certificate's serial in the form in which serials are compared: hexadecimal in upper case without leading zeros.
/// None for what is none.
pub(in crate::platforms) fn normal_serial(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('0');
    let is_serial =
        text.len() <= SERIAL_CHARS_MAX && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_serial.then(|| digits.to_ascii_uppercase())
}

/// The platform certificates of a setting, each serial once; nothing when the setting is absent. `is_own` knows the
/// merchant's own certificate, which proves nothing that the platform says.
///
/// # Errors
/// [`SettingsError`] of this setting.
pub(in crate::platforms) fn certificates(
    settings: &Settings,
    setting: &'static str,
    is_own: impl Fn(&Certificate) -> bool,
    notes: &mut Vec<KeyNote>,
) -> Result<Vec<Key>, SettingsError> {
    let Some(file) = settings.key(setting) else { return Ok(Vec::new()) };
    let certificates = Certificate::read_all(setting, file)?;
    if certificates.len() > CERTIFICATES_MAX {
        let detail = format!("{} > {CERTIFICATES_MAX}", certificates.len());
        return Err(SettingsError::new(setting, "out_of_range").because(detail));
    }
    let mut keys: Vec<Key> = Vec::new();
    for certificate in &certificates {
        if is_own(certificate) {
            return Err(SettingsError::new(setting, "own_public_key"));
        }
        let key = Key::of_certificate(setting, certificate)?;
        if keys.iter().any(|other| other.name() == key.name()) {
            return Err(SettingsError::new(setting, "relation").because(key.name()));
        }
        notes.push(certificate_note(setting, certificate, key.name()));
        keys.push(key);
    }
    Ok(keys)
}

/// Whether a certificate is the merchant's own: it is issued to its number.
pub(in crate::platforms) fn is_issued_to(merchant: &str, certificate: &Certificate) -> bool {
    certificate.description().subject.split(',').any(|part| part.strip_prefix("CN=") == Some(merchant))
}

/// A platform certificate, for people.
pub(in crate::platforms) fn certificate_note(label: &str, certificate: &Certificate, serial: &str) -> KeyNote {
    KeyNote {
        label: label.to_owned(),
        algorithm: format!("X.509, {}", certificate.key().algorithm()),
        fingerprint: Some(serial.to_owned()),
        not_after: certificate.description().not_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_compared_in_one_form() {
        for text in ["7DF34", "07df34", "0007Df34"] {
            assert_eq!(normal_serial(text).as_deref(), Some("7DF34"), "{text}");
        }
        for bad in ["", "0", "000", "7DG34", " 7DF34", "+7", "PUB_KEY_ID_7", &"7".repeat(SERIAL_CHARS_MAX + 1)] {
            assert_eq!(normal_serial(bad), None, "{bad}");
        }
    }

    /// A calendar that no certificate should have: such a key proves nothing, at any time.
    #[test]
    fn a_certificate_without_a_readable_time_proves_nothing() {
        let pem = include_str!("../../../tests/vectors/wechat_pay/platform.pem");
        let certificate = Certificate::read("certs", pem.as_bytes()).unwrap();
        let [begin, end] =
            [certificate.description().not_before.unwrap(), certificate.description().not_after.unwrap()];
        let mut key = Key::of_certificate("certs", &certificate).unwrap();
        assert!(key.find("7df34", begin).is_some() && key.find("7df34", end).is_some());
        assert!(key.find("7df35", begin).is_none());
        let Name::Serial { valid, .. } = &mut key.name else { panic!("a certificate") };
        *valid = None;
        assert!(key.find("7df34", begin).is_none());
    }
}
