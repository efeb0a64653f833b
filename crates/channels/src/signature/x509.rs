//! Reading X.509 certificates: their key, serial, issuer and validity. Which certificates to trust, and
//! what a platform makes of serial and issuer, the platform's file says.

use std::fmt;

use jiff::Timestamp;
use md5::{Digest as _, Md5};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::key::{Content, PublicKey, der_of, hex, holds_private, pem_blocks, sniff, to_pem};
use super::rsa::{RsaHash, RsaVerifier};
use crate::settings::SettingsError;

/// sha256WithRSAEncryption (RFC 8017).
const OID_SHA256_RSA: &str = "1.2.840.113549.1.1.11";
/// sha1WithRSAEncryption (RFC 8017).
const OID_SHA1_RSA: &str = "1.2.840.113549.1.1.5";

/// Tags of texts in names (RFC 5280, 4.1.2.4) that are not written in UTF-8 by their standard.
const TAG_TELETEX: u32 = 20;
const TAG_BMP: u32 = 30;

/// Longest path from a certificate to its root, in signatures; real ones have two or three.
const PATH_MAX: usize = 4;

/// A certificate, read.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: PublicKey,
    description: Description,
    der: Vec<u8>,
    signed: Signed,
}

/// What a certificate's own signature is about.
#[derive(Clone)]
struct Signed {
    /// The bytes under the signature.
    message: Vec<u8>,
    signature: Vec<u8>,
    /// The issuer's and the subject's names, as they are written.
    issuer: Vec<u8>,
    subject: Vec<u8>,
    /// Whether it may sign certificates.
    is_authority: bool,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("is_authority", &self.is_authority).finish_non_exhaustive()
    }
}

/// What a certificate says beside its key. Also readable when the key is of a kind that we do not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The serial number as a decimal.
    pub serial: String,
    /// The serial number in lower-case hexadecimal, without leading zeros.
    pub serial_hex: String,
    /// The issuer, most specific part first: `CN=…,OU=…,O=…,C=…`; parts that are missing are left out.
    pub issuer: String,
    /// The subject, in the same form.
    pub subject: String,
    /// The subject's organisation.
    pub organization: Option<String>,
    /// The subject's common name; none when it has several, or one that is no text.
    pub common_name: Option<String>,
    /// The signature algorithm's object identifier in dots.
    pub signature_oid: String,
    /// When it begins; none when the certificate writes a time that no calendar has.
    pub not_before: Option<Timestamp>,
    /// When it ends.
    pub not_after: Option<Timestamp>,
}

impl Certificate {
    /// Reads the first certificate of a PEM file, of bare base64, or of DER.
    ///
    /// # Errors
    /// [`SettingsError`] with `private_key_given`, `not_a_certificate`, `wrong_algorithm` or `not_a_key`.
    pub fn read(setting: &'static str, material: &[u8]) -> Result<Self, SettingsError> {
        if holds_private(material) {
            return Err(SettingsError::new(setting, "private_key_given"));
        }
        let der = der_of(material).ok_or(SettingsError::new(setting, "not_a_certificate"))?;
        Self::from_der(setting, &der)
    }

    /// Reads every certificate of a PEM file, in its order; a file without markers holds one.
    ///
    /// # Errors
    /// As [`Certificate::read`], for the first one that cannot be read.
    pub fn read_all(setting: &'static str, material: &[u8]) -> Result<Vec<Self>, SettingsError> {
        let blocks = pem_blocks(material);
        if blocks.is_empty() {
            return Self::read(setting, material).map(|certificate| vec![certificate]);
        }
        blocks.iter().map(|block| Self::from_der(setting, &block.der)).collect()
    }

    pub(super) fn from_der(setting: &'static str, der: &[u8]) -> Result<Self, SettingsError> {
        let not_a_certificate = || SettingsError::new(setting, "not_a_certificate");
        match sniff(der) {
            Some(Content::Certificate) => {}
            Some(Content::Private | Content::Pfx) => return Err(SettingsError::new(setting, "private_key_given")),
            _ => return Err(not_a_certificate()),
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| not_a_certificate())?;
        if !rest.is_empty() {
            return Err(not_a_certificate());
        }
        let key = PublicKey::from_spki(setting, certificate.public_key().raw)?;
        let is_authority = matches!(certificate.basic_constraints(), Ok(Some(found)) if found.value.ca)
            && match certificate.key_usage() {
                Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
                Err(_) => false,
            };
        let signed = Signed {
            message: certificate.tbs_certificate.as_ref().to_vec(),
            signature: certificate.signature_value.data.to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            subject: certificate.subject().as_raw().to_vec(),
            is_authority,
        };
        let description = Description::of(&certificate);
        Ok(Self { key, description, der: der.to_vec(), signed })
    }

    /// Every certificate of a PEM bundle that can be read and has a key that we use, in its order.
    pub fn of_bundle(material: &[u8]) -> Vec<Self> {
        pem_blocks(material).iter().filter_map(|block| Self::from_der("certificate", &block.der).ok()).collect()
    }

    /// Whether it may sign certificates.
    pub fn is_authority(&self) -> bool {
        self.signed.is_authority
    }

    /// Whether this time lies within its validity.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        matches!((self.description.not_before, self.description.not_after), (Some(from), Some(to)) if from <= now && now <= to)
    }

    /// Whether it was signed with another one's key: by name, and by an RSA signature with SHA-256. SHA-1 is not
    /// taken: of such a signature a second certificate could be made.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        self.is_signed_with(issuer, OID_SHA256_RSA, RsaHash::Sha256)
    }

    /// The same for a signature with SHA-1, which whoever can choose a certificate's content can forge. Only for an
    /// authority of a sandbox, and between files that the operator configured both.
    pub fn is_signed_by_sha1(&self, issuer: &Self) -> bool {
        self.is_signed_with(issuer, OID_SHA1_RSA, RsaHash::Sha1)
    }

    fn is_signed_with(&self, issuer: &Self, algorithm: &str, hash: RsaHash) -> bool {
        self.signed.issuer == issuer.signed.subject
            && self.description.signature_oid == algorithm
            && RsaVerifier::new("certificate", &issuer.key, hash, "issuer")
                .is_ok_and(|key| key.verify(&self.signed.message, &self.signed.signature, "x509").is_some())
    }

    /// Whether a path leads over some of these intermediates to one of these roots, and all of it is valid now.
    /// Roots are believed because they are configured; an intermediate must be allowed to sign certificates.
    pub fn is_issued_under(&self, intermediates: &[Self], roots: &[Self], now: Timestamp) -> bool {
        self.is_issued_within(PATH_MAX, intermediates, roots, now)
    }

    fn is_issued_within(&self, steps: usize, intermediates: &[Self], roots: &[Self], now: Timestamp) -> bool {
        if steps == 0 || !self.is_valid_at(now) {
            return false;
        }
        roots.iter().any(|root| root.is_valid_at(now) && self.is_signed_by(root))
            || intermediates.iter().any(|one| {
                one.signed.is_authority
                    && self.is_signed_by(one)
                    && one.is_issued_within(steps - 1, intermediates, roots, now)
            })
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As PEM.
    pub fn to_pem(&self) -> String {
        to_pem("CERTIFICATE", &self.der)
    }

    /// Its public key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Its public key, kept alone.
    pub fn into_key(self) -> PublicKey {
        self.key
    }

    /// The hosts that it is issued to (subjectAltName); none when it has no such list, or one with anything else in it.
    pub fn hosts(&self) -> Option<Vec<String>> {
        let (_, certificate) = X509Certificate::from_der(&self.der).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let host = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(host) => Some((*host).to_owned()),
            _ => None,
        };
        names.value.general_names.iter().map(host).collect()
    }

    /// What it says beside its key.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

impl Description {
    /// Describes every certificate of a PEM bundle, in its order, passing over what does not parse:
    /// bundles of roots hold members (SM2, odd parameters) that strict readers refuse.
    pub fn of_bundle(material: &[u8]) -> Vec<Self> {
        pem_blocks(material)
            .iter()
            .filter_map(|block| X509Certificate::from_der(&block.der).ok())
            .map(|(_, certificate)| Self::of(&certificate))
            .collect()
    }

    fn of(certificate: &X509Certificate<'_>) -> Self {
        let time = |seconds| Timestamp::from_second(seconds).ok();
        Self {
            serial: certificate.tbs_certificate.serial.to_str_radix(10),
            serial_hex: certificate.tbs_certificate.serial.to_str_radix(16),
            issuer: name_text(certificate.issuer()),
            subject: name_text(certificate.subject()),
            organization: single_organization(certificate.subject()),
            common_name: single_common_name(certificate.subject()),
            signature_oid: certificate.signature_algorithm.algorithm.to_id_string(),
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
        }
    }

    /// MD5 over the issuer and the decimal serial, lower-case hexadecimal: a name of the certificate
    /// that some platforms use. A name only; nothing is protected by this digest.
    pub fn issuer_serial_md5(&self) -> String {
        let mut md5 = Md5::new();
        md5.update(self.issuer.as_bytes());
        md5.update(self.serial.as_bytes());
        hex(&md5.finalize())
    }
}

/// The organisation, when the name has exactly one.
fn single_organization(name: &X509Name<'_>) -> Option<String> {
    let mut found = name.iter_organization();
    match (found.next(), found.next()) {
        (Some(one), None) => one.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// The common name, when the name has exactly one.
fn single_common_name(name: &X509Name<'_>) -> Option<String> {
    let mut found = name.iter_common_name();
    match (found.next(), found.next()) {
        (Some(one), None) => text_of(one),
        _ => None,
    }
}

/// Text in the alphabets that authorities use. Nobody writes Teletex; what bears its tag is ASCII or UTF-8.
fn text_of(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let bytes = attribute.as_slice();
    match attribute.attr_value().tag().0 {
        TAG_BMP => {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
        }
        TAG_TELETEX => String::from_utf8(bytes.to_vec()).ok(),
        _ => attribute.as_str().ok().map(str::to_owned),
    }
}

/// A distinguished name with its most specific part first.
fn name_text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name.iter_attributes().map(attribute_text).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute_text(attribute: &AttributeTypeAndValue<'_>) -> String {
    let value = String::from_utf8_lossy(attribute.as_slice());
    format!("{}={value}", short_name(attribute.attr_type()))
}

/// The usual short name of an attribute (RFC 4514 and what OpenSSL prints), else its identifier in dots.
fn short_name(oid: &Oid<'_>) -> String {
    let id = oid.to_id_string();
    match id.as_str() {
        "2.5.4.3" => "CN".to_owned(),
        "2.5.4.6" => "C".to_owned(),
        "2.5.4.7" => "L".to_owned(),
        "2.5.4.8" => "ST".to_owned(),
        "2.5.4.10" => "O".to_owned(),
        "2.5.4.11" => "OU".to_owned(),
        "1.2.840.113549.1.9.1" => "emailAddress".to_owned(),
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_called_so() {
        for nothing in ["", "abc", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Certificate::read("cert", nothing.as_bytes()).unwrap_err();
            assert_eq!(error.word, "not_a_certificate", "{nothing:?}");
            assert!(Description::of_bundle(nothing.as_bytes()).is_empty());
        }
    }

    /// The first one alone is read, and what stands behind it would be copied on with the file.
    #[test]
    fn a_private_key_behind_a_certificate_is_named() {
        let file = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(Certificate::read("cert", file.as_bytes()).unwrap_err().word, "private_key_given");
    }
}
