//! Whose certificate a notice may bring along (UnionPay online gateway 5.1.0, "verifying a signature"; the official
//! kits' `CertUtil.verifyCertificate`): UnionPay signs with a certificate that it sends in `signPubKeyCert`, so the
//! certificate must be proven before its key proves anything. It must be issued under the configured middle and root
//! certificates, or be one that the operator pinned; it must name UnionPay; and all of it must be valid now.
//!
//! UnionPay's test environment issues with SHA-1, which somebody who may choose a certificate's content can forge:
//! that is taken in a sandbox only. The middle certificate comes from the operator and not from a message, so its own
//! signature is compared once, when the channel is built, with either hash.
//!
//! Certificates of that environment are refused in a live channel, from files and from messages alike: their keys are
//! in many hands.
//!
//! Reading a certificate and checking its path costs more than the notice itself, so those that proved a notice are
//! kept, one place for each certificate however it is written, found by its text. The text is under the
//! notice's signature, so nobody but UnionPay can have another spelling of a good one kept, and a stranger cannot push
//! one out. Their time is checked for each notice.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::channel::{Rejection, quote};
use crate::model::{Environment, Timestamp};
use crate::settings::SettingsError;
use crate::signature::Verified;
use crate::signature::digest::DigestHash;
use crate::signature::key::PublicKey;
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::signature::x509::Certificate;

/// The field that carries the certificate.
pub(super) const FIELD: &str = "signPubKeyCert";

/// Longest certificate in a notice, in bytes of text; real ones have 1500.
pub(super) const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Most certificates that are remembered, each of [`TEXT_BYTES_MAX`] at most. UnionPay uses one, and another around a
/// change; should there ever be more, the others are read anew for each notice.
pub(super) const KNOWN_MAX: usize = 8;

/// UnionPay's own name in its certificates: `041@…@中国银联股份有限公司@…`.
const UNIONPAY: &str = "中国银联股份有限公司";

/// The same in its test environment: `041@Z12@00040000:SIGN@00000062`.
const UNIONPAY_TEST: &str = "00040000:SIGN";

/// What the authorities of the test environment have in their names: `CFCA TEST CS CA`, `CFCA TEST OCA1`.
const TEST_AUTHORITY: &str = "CFCA TEST";

/// Where UnionPay's name stands among the parts of the common name.
const NAME_AT: usize = 2;

/// What makes a certificate UnionPay's.
pub(super) struct Trust {
    environment: Environment,
    authorities: Vec<Authority>,
    pinned: Vec<Certificate>,
    /// The merchant's own key, which is never UnionPay's.
    own: Option<PublicKey>,
    known: [OnceLock<Arc<Signer>>; KNOWN_MAX],
}

/// A middle certificate and a root that issued it.
struct Authority {
    middle: Certificate,
    root: Certificate,
}

/// A certificate that was found good.
pub(super) struct Signer {
    /// Its text as it came.
    text: Vec<u8>,
    certificate: Certificate,
    /// Which of the authorities issued it.
    authorities: Vec<usize>,
    key: RsaVerifier,
}

impl fmt::Debug for Trust {
    /// Says how many, not which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("environment", &self.environment)
            .field("authorities", &self.authorities.len())
            .field("pinned", &self.pinned.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Signer {
    /// Checks a signature over the text of the message's digest. `way` names the rule that made the message.
    pub(super) fn verify(
        &self,
        hash: DigestHash,
        message: &[u8],
        signature: &[u8],
        way: &'static str,
    ) -> Option<Verified> {
        self.key.verify_hashed(hash, message, signature, way)
    }
}

impl Trust {
    /// Compares the operator's files with each other: a middle certificate that no root issued, or a pinned one that
    /// could never pass, is a mistake now rather than a refused notice later.
    ///
    /// # Errors
    /// [`SettingsError`] with `test_certificate`, `own_public_key`, `relation` or `never_matches`.
    pub(super) fn new(
        environment: Environment,
        roots: &[Certificate],
        middles: &[Certificate],
        pinned: Vec<Certificate>,
        own: Option<PublicKey>,
    ) -> Result<Self, SettingsError> {
        for (setting, certificates) in [("root_cert", roots), ("middle_cert", middles), ("unionpay_cert", &pinned)] {
            refuse_test(setting, environment, certificates)?;
            if certificates.iter().any(|one| own.as_ref() == Some(one.key())) {
                return Err(SettingsError::new(setting, "own_public_key"));
            }
        }
        for (setting, authorities) in [("root_cert", roots), ("middle_cert", middles)] {
            if authorities.iter().any(|one| !one.is_authority()) {
                return Err(SettingsError::new(setting, "never_matches").because("CA"));
            }
        }
        let mut authorities = Vec::new();
        for middle in middles {
            let issued = roots.iter().filter(|root| middle.is_signed_by(root) || middle.is_signed_by_sha1(root));
            let before = authorities.len();
            authorities.extend(issued.map(|root| Authority { middle: middle.clone(), root: root.clone() }));
            if authorities.len() == before {
                return Err(SettingsError::new("middle_cert", "relation").because("root_cert"));
            }
        }
        let known = std::array::from_fn(|_| OnceLock::new());
        let trust = Self { environment, authorities, pinned: Vec::new(), own, known };
        for one in &pinned {
            if !trust.is_unionpay(one) {
                return Err(SettingsError::new("unionpay_cert", "never_matches").because(UNIONPAY));
            }
            if !trust.authorities.is_empty() && trust.issuers(one).is_empty() {
                return Err(SettingsError::new("unionpay_cert", "relation").because("middle_cert"));
            }
        }
        Ok(Self { pinned, ..trust })
    }

    /// The signer whose certificate this is.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] when it is no certificate, [`Rejection::UnknownKey`] with its decimal serial
    /// (UnionPay's `certId`) when it is not UnionPay's, or not valid now.
    pub(super) fn signer(&self, text: &[u8], now: Timestamp) -> Result<Arc<Signer>, Rejection> {
        let signer = match self.known(|one| one.text == text) {
            Some(signer) => signer.clone(),
            None => self.judge(text)?,
        };
        if self.is_valid_at(&signer, now) { Ok(signer) } else { Err(unknown(&signer.certificate)) }
    }

    /// Keeps a signer whose notice was proven, in the first free place; when there is none, it is not kept.
    pub(super) fn remember(&self, signer: &Arc<Signer>) {
        for place in &self.known {
            let kept = place.get_or_init(|| signer.clone());
            if kept.certificate.der() == signer.certificate.der() {
                return;
            }
        }
    }

    fn known(&self, is_it: impl Fn(&Signer) -> bool) -> Option<&Arc<Signer>> {
        self.known.iter().map_while(OnceLock::get).find(|one| is_it(one))
    }

    /// Everything about a certificate that does not depend on the time.
    fn judge(&self, text: &[u8]) -> Result<Arc<Signer>, Rejection> {
        let malformed = || Rejection::Malformed { field: FIELD.into() };
        if text.len() > TEXT_BYTES_MAX || !is_one_certificate(text) {
            return Err(malformed());
        }
        let certificate = Certificate::read(FIELD, text).map_err(|_| malformed())?;
        // The same certificate in lines of another length, or with other line ends.
        if let Some(known) = self.known(|one| one.certificate.der() == certificate.der()) {
            return Ok(known.clone());
        }
        // What costs nothing first: its authority's signature costs as much as the notice's.
        let is_foreign = (self.environment == Environment::Live && is_test(&certificate))
            || self.own.as_ref() == Some(certificate.key());
        let is_pinned = self.pinned.is_empty() || self.pinned.iter().any(|pin| pin.der() == certificate.der());
        if is_foreign || !is_pinned || !self.is_unionpay(&certificate) {
            return Err(unknown(&certificate));
        }
        let authorities = self.issuers(&certificate);
        if authorities.is_empty() && !self.authorities.is_empty() {
            return Err(unknown(&certificate));
        }
        let serial = &certificate.description().serial;
        let key =
            RsaVerifier::new(FIELD, certificate.key(), RsaHash::Sha256, serial).map_err(|_| unknown(&certificate))?;
        Ok(Arc::new(Signer { text: text.to_vec(), certificate, authorities, key }))
    }

    /// Which authorities issued a certificate.
    fn issuers(&self, certificate: &Certificate) -> Vec<usize> {
        let takes_sha1 = self.environment == Environment::Sandbox;
        let issued = |middle: &Certificate| {
            certificate.is_signed_by(middle) || (takes_sha1 && certificate.is_signed_by_sha1(middle))
        };
        (0..).zip(&self.authorities).filter(|(_, one)| issued(&one.middle)).map(|(at, _)| at).collect()
    }

    /// Whether the common name's third part is UnionPay; its test name counts in a sandbox only.
    fn is_unionpay(&self, certificate: &Certificate) -> bool {
        let name = name_part(certificate);
        name == Some(UNIONPAY) || (self.environment == Environment::Sandbox && name == Some(UNIONPAY_TEST))
    }

    /// Whether the certificate and one of its paths are valid.
    fn is_valid_at(&self, signer: &Signer, now: Timestamp) -> bool {
        let is_path_valid = |at: &usize| {
            self.authorities.get(*at).is_some_and(|one| one.middle.is_valid_at(now) && one.root.is_valid_at(now))
        };
        let has_path = self.authorities.is_empty() || signer.authorities.iter().any(is_path_valid);
        has_path && signer.certificate.is_valid_at(now)
    }

    #[cfg(all(test, feature = "simulate"))]
    pub(super) fn known_count(&self) -> usize {
        self.known.iter().map_while(OnceLock::get).count()
    }
}

fn unknown(certificate: &Certificate) -> Rejection {
    Rejection::UnknownKey { serial: quote(&certificate.description().serial) }
}

/// A file of the test environment in a live channel.
///
/// # Errors
/// [`SettingsError`] with `test_certificate`.
pub(super) fn refuse_test(
    setting: &'static str,
    environment: Environment,
    certificates: &[Certificate],
) -> Result<(), SettingsError> {
    let of_test = certificates.iter().find(|one| environment == Environment::Live && is_test(one));
    of_test.map_or(Ok(()), |one| {
        let issuer = quote(&one.description().issuer);
        Err(SettingsError::new(setting, "test_certificate").because(issuer))
    })
}

/// Whether a certificate is of UnionPay's test environment: by its own name, or by that of its authority.
fn is_test(certificate: &Certificate) -> bool {
    let description = certificate.description();
    let is_of_test = |name: &String| name.replace('\0', "").to_ascii_uppercase().contains(TEST_AUTHORITY);
    name_part(certificate) == Some(UNIONPAY_TEST)
        || [&description.subject, &description.issuer].into_iter().any(is_of_test)
}

fn name_part(certificate: &Certificate) -> Option<&str> {
    certificate.description().common_name.as_deref()?.split('@').nth(NAME_AT)
}

/// Whether a text is one PEM certificate and nothing else but line ends: no blank, which a lost `+` leaves, and nothing
/// behind it, where a piece of the next field could hide.
fn is_one_certificate(text: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = text.iter().position(|byte| !is_line_end(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_line_end(byte)).map_or(start, |last| last + 1);
    let inner = text[start..end].strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=') || is_line_end(byte);
    inner.is_some_and(|inner| inner.iter().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::is_one_certificate;

    #[test]
    fn a_certificate_stands_alone() {
        let one = "-----BEGIN CERTIFICATE-----\r\nAQ+/ID==\r\n-----END CERTIFICATE-----";
        for good in [one.to_owned(), format!("{one}\r\n"), format!("\n{one}\n\n"), one.replace("\r\n", "\n")] {
            assert!(is_one_certificate(good.as_bytes()), "{good:?}");
        }
        let bad = [
            String::new(),
            "\r\n".to_owned(),
            "-----BEGIN CERTIFICATE-----".to_owned(),
            one.replace('+', " "),
            one.replace("CERTIFICATE", "PUBLIC KEY"),
            format!("{one}&txnAmt=1"),
            format!(" {one}"),
            format!("{one}{one}"),
            format!("{one}\0"),
        ];
        for bad in bad {
            assert!(!is_one_certificate(bad.as_bytes()), "{bad:?}");
        }
    }
}
