//! The merchant's own key, in the file that the platform handed it out in: PEM with or without its certificate, bare
//! base64, DER, or PKCS #12 (RFC 7292: `.pfx`, `.p12`), which the feature `pfx` opens.
//!
//! Nothing here signs. The public half and the certificate are kept, so that neither is believed in place of the
//! platform's, and so that people see which key is configured and when it ends; the private half is dropped at once.

use aws_lc_rs::signature::RsaKeyPair;
use zeroize::Zeroizing;

use super::key::{Content, PublicKey, der_of, pem_blocks, read_rsa_private, sniff};
use super::x509::Certificate;
use crate::settings::SettingsError;

/// How PKCS #12 begins in the encoding without lengths (BER), which some programs write and the reader does not know.
const PFX_WITHOUT_LENGTHS: &[u8] = &[0x30, 0x80, 0x02, 0x01, 0x03];

/// What is said of a file that only another build opens.
#[cfg(not(feature = "pfx"))]
const NOT_BUILT: &str = "this program was built without the feature `pfx`";

/// The public side of the merchant's own key.
#[derive(Clone, Debug)]
pub struct OwnKey {
    public: PublicKey,
    certificate: Option<Certificate>,
}

/// The password of a file, and the setting that holds it.
#[derive(Clone, Copy)]
pub struct Password<'s> {
    /// The setting's name.
    pub setting: &'static str,
    /// Its text; none when it is not configured.
    pub text: Option<&'s [u8]>,
}

/// What stood in a file.
struct Contents {
    /// Each in PKCS #8, or as it stood in PEM.
    keys: Vec<Zeroizing<Vec<u8>>>,
    certificates: Vec<Certificate>,
}

impl OwnKey {
    /// Reads the file of `setting`.
    ///
    /// # Errors
    /// [`SettingsError`] with `not_a_key`, `no_private_key`, `several_keys`, `unopened_pfx` or `relation` (none of its
    /// certificates is the key's); with `missing` or `wrong_password` of the password's setting, or with `relation` of
    /// it when the file needs none.
    pub fn read(setting: &'static str, material: &[u8], password: Password<'_>) -> Result<Self, SettingsError> {
        let is_sealed = is_pfx(material);
        let contents = if is_sealed { opened(setting, material, password)? } else { plain(setting, material)? };
        let [key] = contents.keys.as_slice() else {
            let word = if contents.keys.is_empty() { "no_private_key" } else { "several_keys" };
            return Err(SettingsError::new(setting, word));
        };
        let pair: RsaKeyPair = read_rsa_private(setting, key)?;
        if password.text.is_some() && !is_sealed {
            return Err(SettingsError::new(password.setting, "relation").because(format!("{setting}: PEM")));
        }
        let public = PublicKey::of_pair(setting, &pair)?;
        let has_none = contents.certificates.is_empty();
        let certificate = contents.certificates.into_iter().find(|one| *one.key() == public);
        if certificate.is_none() && !has_none {
            return Err(SettingsError::new(setting, "relation").because("its certificate is of another key"));
        }
        Ok(Self { public, certificate })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its certificate, where the file has it.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

fn is_pfx(material: &[u8]) -> bool {
    material.starts_with(PFX_WITHOUT_LENGTHS) || der_of(material).is_some_and(|der| sniff(&der) == Some(Content::Pfx))
}

/// What stands in PEM, or a key alone.
fn plain(setting: &'static str, material: &[u8]) -> Result<Contents, SettingsError> {
    let blocks = pem_blocks(material);
    if blocks.is_empty() {
        let der = der_of(material).ok_or(SettingsError::new(setting, "not_a_key"))?;
        let keys = if sniff(&der) == Some(Content::Certificate) { Vec::new() } else { vec![der] };
        return Ok(Contents { keys, certificates: Vec::new() });
    }
    let keys = blocks.iter().filter(|block| sniff(&block.der) == Some(Content::Private));
    Ok(Contents { keys: keys.map(|block| block.der.clone()).collect(), certificates: Certificate::of_bundle(material) })
}

#[cfg(not(feature = "pfx"))]
fn opened(setting: &'static str, _: &[u8], _: Password<'_>) -> Result<Contents, SettingsError> {
    Err(SettingsError::new(setting, "unopened_pfx").because(NOT_BUILT))
}

/// Opens PKCS #12: with the ciphers of old files (RC2 and Triple DES under SHA-1) and of new ones (AES).
#[cfg(feature = "pfx")]
fn opened(setting: &'static str, material: &[u8], password: Password<'_>) -> Result<Contents, SettingsError> {
    use p12_keystore::Pkcs12Archive;
    use p12_keystore::error::Error;

    let unopened = |why: &str| SettingsError::new(setting, "unopened_pfx").because(why);
    let der = der_of(material).ok_or_else(|| unopened("its encoding"))?;
    let text = std::str::from_utf8(password.text.unwrap_or_default())
        .map_err(|_| SettingsError::new(password.setting, "malformed"))?;
    let archive = Pkcs12Archive::from_pkcs12(&der, text).map_err(|error| match error {
        Error::MacError(_) if password.text.is_none() => SettingsError::new(password.setting, "missing"),
        Error::MacError(_) => SettingsError::new(password.setting, "wrong_password").because(setting),
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::InvalidParameters => {
            unopened("its encryption")
        }
        _ => unopened("its content"),
    })?;
    let keys = archive.keys.iter().map(|bag| Zeroizing::new(bag.key.as_der().to_vec())).collect();
    let certificates = archive.certs.iter().filter_map(|bag| Certificate::from_der(setting, bag.cert.as_der()).ok());
    Ok(Contents { keys, certificates: certificates.collect() })
}

#[cfg(test)]
mod tests;
