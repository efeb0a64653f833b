//! From the text or file of a key to its bytes, as the platform's console shows it. No error shows a byte of it.

use zeroize::Zeroizing;

use super::primitive::{Life, RsaKey};
use super::signature::{Encoding, decode_hex};
use crate::settings::SettingsError;
use crate::settings::tree::Node;
use crate::signature::ed25519::{Ed25519Verifier, read_public};
use crate::signature::key::{KeyAlgorithm, PublicKey};
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::signature::x509::Certificate;

/// Shortest secret, in bytes: anything shorter is found by trying.
const SECRET_BYTES_MIN: usize = 8;

/// How PEM begins.
const PEM: &[u8] = b"-----BEGIN ";

/// Where key material was given, for messages about it.
#[derive(Clone, Debug)]
pub(super) enum Given<'n> {
    /// A setting of the channel.
    Setting(&'static str),
    /// In one of its `[[channel.key]]`.
    Node(Node<'n>),
}

impl Given<'_> {
    /// What is wrong with it.
    pub(super) fn error(&self, word: &'static str) -> SettingsError {
        match self {
            Self::Setting(name) => SettingsError::new(name, word),
            Self::Node(node) => node.error(word),
        }
    }

    /// What a reader of keys says is wrong, told where the key was given.
    fn told(&self, error: SettingsError) -> SettingsError {
        let told = self.error(error.word);
        match error.detail {
            Some(detail) => told.because(detail),
            None => told,
        }
    }
}

/// How the text of a secret becomes its bytes.
#[derive(Clone, Debug)]
pub(super) struct SecretForm {
    pub(super) format: SecretFormat,
    pub(super) strip_prefix: String,
    pub(super) is_hashed: bool,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretFormat {
    Utf8,
    Hex,
    Base64,
}

impl SecretForm {
    /// Reads `verify.secret`; without it, the text is the secret.
    pub(super) fn read(node: Option<&Node<'_>>) -> Result<Self, SettingsError> {
        let Some(node) = node else {
            return Ok(Self { format: SecretFormat::Utf8, strip_prefix: String::new(), is_hashed: false });
        };
        let keys = node.table(&["format", "strip_prefix", "derive"])?;
        let format = keys.required("format")?;
        if matches!(format.text()?, "pem" | "spki-base64" | "x509") {
            return Err(format.error("relation").because("verify.public_key"));
        }
        let format = format.word(&[
            ("utf8", SecretFormat::Utf8),
            ("hex", SecretFormat::Hex),
            ("base64", SecretFormat::Base64),
        ])?;
        let is_hashed = keys.get("derive").map(|node| node.word(&[("sha1", true)])).transpose()?.unwrap_or(false);
        let strip_prefix = keys.get("strip_prefix").map(Node::text).transpose()?.unwrap_or_default();
        Ok(Self { format, strip_prefix: strip_prefix.to_owned(), is_hashed })
    }

    /// The bytes of a secret. An error is the word of what is wrong.
    pub(super) fn decode(&self, material: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        // A file ends in a line end, and a console's copy button takes blanks with it.
        let text = std::str::from_utf8(material.trim_ascii()).map_err(|_| "not_encoded")?;
        let text = text.strip_prefix(&self.strip_prefix).unwrap_or(text);
        if text.is_empty() {
            return Err("missing");
        }
        // Whoever knows a public key would sign with it, and of two secrets in one file neither is the one.
        if text.contains("-----BEGIN ") || text.contains(['\r', '\n']) {
            return Err("not_encoded");
        }
        let bytes = match self.format {
            SecretFormat::Hex => decode_hex(text).ok_or("not_encoded")?,
            SecretFormat::Base64 => {
                let decoded = Encoding::Base64.decode(text).or_else(|| Encoding::Base64Url.decode(text));
                decoded.ok_or("not_encoded")?
            }
            SecretFormat::Utf8 => text.as_bytes().to_vec(),
        };
        let bytes = Zeroizing::new(bytes);
        if bytes.len() < SECRET_BYTES_MIN {
            return Err("too_short");
        }
        if self.is_hashed {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
            return Ok(Zeroizing::new(digest.as_ref().to_vec()));
        }
        Ok(bytes)
    }
}

/// How a public key is written.
#[derive(Clone, Debug, Default)]
pub(super) struct PublicForm {
    pub(super) format: PublicFormat,
    pub(super) strip_prefix: String,
    /// The platform signs with it for this merchant and for nobody else.
    pub(super) is_mine_alone: bool,
}

/// The forms of a public key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PublicFormat {
    /// Whichever of PEM, base64, DER or certificate it is.
    #[default]
    Any,
    Pem,
    SpkiBase64,
    /// A certificate; what it says about its time counts.
    X509,
    /// The 32 bytes of an Ed25519 key.
    Hex,
    /// The same.
    Base64,
}

impl PublicForm {
    /// Reads `verify.public_key`; without it, a key is what its bytes say.
    pub(super) fn read(node: Option<&Node<'_>>, is_rsa: bool) -> Result<Self, SettingsError> {
        let Some(node) = node else { return Ok(Self::default()) };
        let keys = node.table(&["format", "strip_prefix", "mine_alone", "url_from", "url_allow"])?;
        if let Some(node) = ["url_from", "url_allow"].iter().find_map(|key| keys.get(key)) {
            let why =
                "a certificate whose URL the request names; save it as a file, or use a kind that checks its issuer";
            return Err(node.error("not_offered").because(why));
        }
        let format = match keys.get("format") {
            Some(format) => format.word(&[
                ("pem", PublicFormat::Pem),
                ("spki-base64", PublicFormat::SpkiBase64),
                ("x509", PublicFormat::X509),
                ("hex", PublicFormat::Hex),
                ("base64", PublicFormat::Base64),
            ])?,
            None => PublicFormat::Any,
        };
        let fits = match format {
            PublicFormat::Hex | PublicFormat::Base64 => !is_rsa,
            PublicFormat::X509 => is_rsa,
            _ => true,
        };
        if !fits {
            return Err(keys.required("format")?.error("relation").because("algorithm"));
        }
        let is_mine_alone = keys.get("mine_alone").map_or(Ok(false), Node::flag)?;
        let strip_prefix = keys.get("strip_prefix").map(Node::text).transpose()?.unwrap_or_default();
        Ok(Self { format, strip_prefix: strip_prefix.to_owned(), is_mine_alone })
    }

    /// The text without its prefix, in the clothes that the format names.
    fn dressed<'m>(&self, material: &'m [u8]) -> Result<&'m [u8], &'static str> {
        let text = material.trim_ascii();
        let text = text.strip_prefix(self.strip_prefix.as_bytes()).unwrap_or(text);
        let is_pem = text.windows(PEM.len()).any(|window| window == PEM);
        match self.format {
            _ if text.is_empty() => Err("missing"),
            PublicFormat::Pem if !is_pem => Err("not_encoded"),
            PublicFormat::SpkiBase64 | PublicFormat::Hex | PublicFormat::Base64 if is_pem => Err("not_encoded"),
            _ => Ok(text),
        }
    }

    /// A key for RSA, and the time of its certificate.
    pub(super) fn rsa(&self, material: &[u8], given: &Given<'_>, label: &str) -> Result<(RsaKey, Life), SettingsError> {
        const SETTING: &str = "public_key";
        let text = self.dressed(material).map_err(|word| given.error(word))?;
        let told = |error| given.told(error);
        let certificate = match self.format {
            PublicFormat::X509 => Some(Certificate::read(SETTING, text).map_err(told)?),
            PublicFormat::Any => match PublicKey::read(SETTING, text) {
                Err(error) if error.word == "certificate_given" => {
                    Some(Certificate::read(SETTING, text).map_err(told)?)
                }
                _ => None,
            },
            _ => None,
        };
        let (key, life) = match certificate {
            Some(certificate) => {
                let said = certificate.description();
                let life = Life { from: said.not_before, until: said.not_after };
                if life.from.is_none() || life.until.is_none() {
                    return Err(given.error("not_a_certificate"));
                }
                (certificate.into_key(), life)
            }
            None => (PublicKey::read(SETTING, text).map_err(told)?, Life::default()),
        };
        let verifier = RsaVerifier::new(SETTING, &key, RsaHash::Sha256, label).map_err(told)?;
        let KeyAlgorithm::Rsa { bits } = key.algorithm() else { return Err(given.error("wrong_algorithm")) };
        Ok((RsaKey { verifier, signature_bytes: bits.div_ceil(8), bits, fingerprint: key.fingerprint() }, life))
    }

    /// A key for Ed25519.
    pub(super) fn ed25519(
        &self,
        material: &[u8],
        given: &Given<'_>,
        label: &str,
    ) -> Result<Ed25519Verifier, SettingsError> {
        const SETTING: &str = "public_key";
        let text = self.dressed(material).map_err(|word| given.error(word))?;
        let told = |error| given.told(error);
        let plain = || std::str::from_utf8(text).ok();
        let bytes = match self.format {
            PublicFormat::Hex => plain().and_then(decode_hex).ok_or_else(|| given.error("not_encoded"))?,
            PublicFormat::Base64 => {
                let decode = |text| Encoding::Base64.decode(text).or_else(|| Encoding::Base64Url.decode(text));
                plain().and_then(decode).ok_or_else(|| given.error("not_encoded"))?
            }
            _ => read_public(SETTING, text).map_err(told)?,
        };
        Ed25519Verifier::new(SETTING, &bytes, label).map_err(told)
    }
}
