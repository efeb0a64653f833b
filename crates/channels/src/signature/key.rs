//! Reading configured keys, in whatever of the usual clothes they come: PEM, the bare base64 that
//! platforms show in their backends, or DER. What a file is, its bytes say; its PEM label is not believed.
//!
//! The commonest mistakes (a private key or a certificate in place of a public key) get their own words,
//! so that the cure can be named. No error carries key material.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::x509::Certificate;
use crate::settings::SettingsError;

/// Largest file that is read as a key or a bundle of certificates, in bytes: a bundle of roots has 10 kB.
pub const KEY_FILE_BYTES_MAX: usize = 256 * 1024;

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
}

/// What kind of public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: usize,
    },
    /// SM2 (GB/T 32918), an elliptic curve of 256 bits.
    Sm2,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::Sm2 => f.write_str("SM2"),
        }
    }
}

impl fmt::Debug for PublicKey {
    /// Says what it is, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Reads a public key: PEM (`PUBLIC KEY`, `RSA PUBLIC KEY`), bare base64 with or without line breaks,
    /// blanks and a byte order mark, or DER.
    ///
    /// # Errors
    /// [`SettingsError`] with `private_key_given`, `certificate_given`, `wrong_algorithm` or `not_a_key`.
    pub fn read(setting: &'static str, material: &[u8]) -> Result<Self, SettingsError> {
        if holds_private(material) {
            return Err(SettingsError::new(setting, "private_key_given"));
        }
        let der = der_of(material).ok_or(SettingsError::new(setting, "not_a_key"))?;
        match sniff(&der) {
            Some(Content::Spki) => Self::from_spki(setting, &der),
            Some(Content::Pkcs1Public) => Self::from_pkcs1(setting, &der),
            Some(Content::Private | Content::Pfx) => Err(SettingsError::new(setting, "private_key_given")),
            Some(Content::Certificate) => Err(SettingsError::new(setting, "certificate_given")),
            None => Err(SettingsError::new(setting, "not_a_key")),
        }
    }

    /// Reads a public key, or takes it out of a certificate, for platforms that hand out either.
    ///
    /// # Errors
    /// As [`PublicKey::read`] and [`Certificate::read`].
    pub fn read_or_certificate(setting: &'static str, material: &[u8]) -> Result<Self, SettingsError> {
        match Self::read(setting, material) {
            Err(error) if error.word == "certificate_given" => Ok(Certificate::read(setting, material)?.into_key()),
            other => other,
        }
    }

    /// From the DER of a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`SettingsError`] with `wrong_algorithm` or `not_a_key`.
    pub(crate) fn from_spki(setting: &'static str, der: &[u8]) -> Result<Self, SettingsError> {
        let not_a_key = || SettingsError::new(setting, "not_a_key");
        let (algorithm, bits) = spki_parts(der).ok_or_else(not_a_key)?;
        let oid = Tlv::read(algorithm).filter(|tlv| tlv.tag == TAG_OID).ok_or_else(not_a_key)?;
        match oid.content {
            OID_RSA => Self::from_pkcs1(setting, bits),
            OID_EC => {
                let is_sm2 = Tlv::read(oid.rest).is_some_and(|curve| curve.content == OID_SM2_CURVE);
                if !is_sm2 {
                    return Err(SettingsError::new(setting, "wrong_algorithm").because("an elliptic curve but SM2"));
                }
                Ok(Self { algorithm: KeyAlgorithm::Sm2, spki: der.to_vec() })
            }
            _ => Err(SettingsError::new(setting, "wrong_algorithm").because("neither RSA nor SM2")),
        }
    }

    /// From the DER of a PKCS #1 `RSAPublicKey`. The `SubjectPublicKeyInfo` around it is made anew, so
    /// that one key has one fingerprint, in whatever form it came.
    fn from_pkcs1(setting: &'static str, der: &[u8]) -> Result<Self, SettingsError> {
        let bits = rsa_bits(der).ok_or(SettingsError::new(setting, "not_a_key"))?;
        let algorithm = tlv(TAG_SEQUENCE, &[tlv(TAG_OID, OID_RSA), tlv(TAG_NULL, &[])].concat());
        let key = tlv(TAG_BIT_STRING, &[&[0], der].concat());
        let spki = tlv(TAG_SEQUENCE, &[algorithm, key].concat());
        Ok(Self { algorithm: KeyAlgorithm::Rsa { bits }, spki })
    }

    /// The public half of an RSA key pair.
    ///
    /// # Errors
    /// [`SettingsError`] with `not_a_key`, which a key pair that was read never gives.
    pub fn of_pair(setting: &'static str, pair: &RsaKeyPair) -> Result<Self, SettingsError> {
        use aws_lc_rs::signature::KeyPair as _;
        Self::from_pkcs1(setting, pair.public_key().as_ref())
    }

    /// Kind and size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The DER of the `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the `SubjectPublicKeyInfo`, hexadecimal.
    pub fn fingerprint(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.spki).as_ref())
    }

    /// The curve point of an elliptic key, as SEC 1 writes it.
    pub(crate) fn point(&self) -> Option<&[u8]> {
        spki_parts(&self.spki).map(|(_, bits)| bits)
    }

    /// Modulus and exponent of an RSA key, big-endian without leading zeros.
    pub(crate) fn rsa_numbers(&self) -> Option<(&[u8], &[u8])> {
        match self.algorithm {
            KeyAlgorithm::Rsa { .. } => rsa_numbers(spki_parts(&self.spki)?.1),
            KeyAlgorithm::Sm2 => None,
        }
    }

    /// As PEM, for people and files.
    pub fn to_pem(&self) -> String {
        to_pem("PUBLIC KEY", &self.spki)
    }
}

/// Reads an RSA private key: PEM (`PRIVATE KEY`, `RSA PRIVATE KEY`), bare base64, or DER; without a
/// passphrase.
///
/// # Errors
/// [`SettingsError`] with `not_a_key`, `wrong_algorithm`, `key_too_small`, `certificate_given` or `unopened_pfx`.
pub fn read_rsa_private(setting: &'static str, material: &[u8]) -> Result<RsaKeyPair, SettingsError> {
    let not_a_key = || SettingsError::new(setting, "not_a_key");
    let der = der_of(material).ok_or_else(not_a_key)?;
    match sniff(&der) {
        Some(Content::Private) => RsaKeyPair::from_pkcs8(&der)
            .or_else(|_| RsaKeyPair::from_der(&der))
            .map_err(|_| not_a_key().because("no RSA private key of 2048 bits or more without a passphrase")),
        Some(Content::Certificate) => Err(SettingsError::new(setting, "certificate_given")),
        Some(Content::Spki | Content::Pkcs1Public) => Err(not_a_key().because("a public key")),
        Some(Content::Pfx) => Err(SettingsError::new(setting, "unopened_pfx").because("this setting takes PEM")),
        None => Err(not_a_key()),
    }
}

/// How the label of every kind of PEM private key ends.
const PRIVATE_LABEL_END: &[u8] = b"PRIVATE KEY-----";

/// One block of a PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemBlock {
    /// The label, e.g. `CERTIFICATE`.
    pub label: String,
    /// The decoded bytes.
    pub der: Zeroizing<Vec<u8>>,
}

/// The blocks of a PEM file, found by their markers alone: blank lines, missing line breaks and text
/// between the blocks mean nothing. A block that does not decode is passed over.
pub fn pem_blocks(file: &[u8]) -> Vec<PemBlock> {
    let text = String::from_utf8_lossy(file);
    let mut blocks = Vec::new();
    let mut rest: &str = &text;
    while let Some((_, after)) = rest.split_once(PEM_BEGIN) {
        rest = after;
        let Some((label, after_label)) = after.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        let Some((body, after_end)) = after_label.split_once(&end) else { continue };
        rest = after_end;
        // Headers of encrypted PEM (`Proc-Type: …`) are no base64, so such a block does not decode.
        if let Some(der) = decode_loose(body.as_bytes()) {
            blocks.push(PemBlock { label: label.to_owned(), der });
        }
    }
    blocks
}

/// Writes one PEM block with lines of 64 characters.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("{PEM_BEGIN}{label}-----\n");
    for line in text.as_bytes().chunks(PEM_LINE) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The DER of the first block of a PEM file, of bare base64, or of DER itself.
pub(super) fn der_of(material: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if material.len() > KEY_FILE_BYTES_MAX {
        return None;
    }
    if material.first() == Some(&TAG_SEQUENCE) && Tlv::read(material).is_some_and(|tlv| tlv.rest.is_empty()) {
        return Some(Zeroizing::new(material.to_vec()));
    }
    if material.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN.as_bytes()) {
        return pem_blocks(material).into_iter().next().map(|block| block.der);
    }
    decode_loose(material)
}

/// Base64 as people paste it: blanks, line breaks and byte order marks anywhere, padding or not.
fn decode_loose(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const LOOSE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = std::str::from_utf8(text).ok()?;
    let clean: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_whitespace() && !INVISIBLE.contains(c)).collect());
    if clean.is_empty() {
        return None;
    }
    LOOSE.decode(clean.as_bytes()).ok().map(Zeroizing::new)
}

/// Whether PEM text holds a private key beside whatever else: a slip that would be copied on with the file.
pub(super) fn holds_private(material: &[u8]) -> bool {
    material.windows(PRIVATE_LABEL_END.len()).any(|window| window == PRIVATE_LABEL_END)
}

/// What DER holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// `SubjectPublicKeyInfo`.
    Spki,
    /// PKCS #1 `RSAPublicKey`.
    Pkcs1Public,
    /// PKCS #8 (also encrypted), PKCS #1 or SEC 1 private key.
    Private,
    /// An X.509 certificate.
    Certificate,
    /// PKCS #12 (RFC 7292): keys and certificates under a password.
    Pfx,
}

/// Tells keys and certificates apart by the tags of their first elements.
pub(super) fn sniff(der: &[u8]) -> Option<Content> {
    let outer = Tlv::read(der).filter(|tlv| tlv.tag == TAG_SEQUENCE && tlv.rest.is_empty())?;
    let first = Tlv::read(outer.content)?;
    let second = Tlv::read(first.rest)?;
    let is_last = second.rest.is_empty();
    match (first.tag, second.tag) {
        (TAG_SEQUENCE, TAG_BIT_STRING) if is_last => Some(Content::Spki),
        (TAG_SEQUENCE, TAG_OCTET_STRING) if is_last => Some(Content::Private),
        (TAG_SEQUENCE, TAG_SEQUENCE) => Some(Content::Certificate),
        (TAG_INTEGER, TAG_INTEGER) if is_last => Some(Content::Pkcs1Public),
        (TAG_INTEGER, TAG_SEQUENCE) if first.content == PFX_VERSION => Some(Content::Pfx),
        (TAG_INTEGER, TAG_INTEGER | TAG_SEQUENCE | TAG_OCTET_STRING) if first.content.len() == 1 => {
            Some(Content::Private)
        }
        _ => None,
    }
}

/// The algorithm (content of its sequence) and the key bits of a `SubjectPublicKeyInfo`.
fn spki_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let outer = Tlv::read(der).filter(|tlv| tlv.tag == TAG_SEQUENCE && tlv.rest.is_empty())?;
    let algorithm = Tlv::read(outer.content).filter(|tlv| tlv.tag == TAG_SEQUENCE)?;
    let bits = Tlv::read(algorithm.rest).filter(|tlv| tlv.tag == TAG_BIT_STRING && tlv.rest.is_empty())?;
    match bits.content {
        [0, key @ ..] => Some((algorithm.content, key)),
        _ => None,
    }
}

/// Bits of the modulus of a PKCS #1 `RSAPublicKey` whose exponent makes sense.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let (modulus, exponent) = rsa_numbers(der)?;
    // An exponent of 1 would make every message its own signature.
    if exponent.last().is_none_or(|last| last % 2 == 0) || exponent == [1] {
        return None;
    }
    Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
}

/// Modulus and exponent of a PKCS #1 `RSAPublicKey`, without leading zeros.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let outer = Tlv::read(der).filter(|tlv| tlv.tag == TAG_SEQUENCE && tlv.rest.is_empty())?;
    let modulus = Tlv::read(outer.content).filter(|tlv| tlv.tag == TAG_INTEGER)?;
    let exponent = Tlv::read(modulus.rest).filter(|tlv| tlv.tag == TAG_INTEGER && tlv.rest.is_empty())?;
    Some((without_zeros(modulus.content), without_zeros(exponent.content)))
}

/// An unsigned number without the zeros before it.
pub(crate) fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().position(|byte| *byte != 0).unwrap_or(number.len())..]
}

/// One element of DER.
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// What stands behind it.
    pub(crate) rest: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Reads the first element. Only what keys need: one tag byte, definite lengths below 2^24.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let [tag, length, after @ ..] = bytes else { return None };
        let (length, after) = match (length, after) {
            (0..=0x7f, _) => (usize::from(*length), after),
            (0x81, [a, after @ ..]) => (usize::from(*a), after),
            (0x82, [a, b, after @ ..]) => (usize::from(*a) << 8 | usize::from(*b), after),
            (0x83, [a, b, c, after @ ..]) => (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c), after),
            _ => return None,
        };
        let (content, rest) = after.split_at_checked(length)?;
        Some(Self { tag: *tag, content, rest })
    }
}

/// Writes one element of DER.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut element = vec![tag];
    if content.len() < 0x80 {
        element.extend_from_slice(significant);
    } else {
        // A `usize` has at most eight bytes.
        element.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
        element.extend_from_slice(significant);
    }
    element.extend_from_slice(content);
    element
}

pub(super) const PEM_BEGIN: &str = "-----BEGIN ";
/// Characters of a line of PEM.
const PEM_LINE: usize = 64;
/// Characters that editors and chat programs leave in pasted keys, and that nobody sees.
const INVISIBLE: [char; 3] = ['\u{feff}', '\u{200b}', '\u{0}'];

pub(crate) const TAG_INTEGER: u8 = 0x02;
pub(crate) const TAG_BIT_STRING: u8 = 0x03;
pub(crate) const TAG_OCTET_STRING: u8 = 0x04;
pub(crate) const TAG_NULL: u8 = 0x05;
pub(crate) const TAG_OID: u8 = 0x06;
pub(crate) const TAG_SEQUENCE: u8 = 0x30;
/// The only version of PKCS #12; keys in PKCS #8 have 0 or 1 in its place.
const PFX_VERSION: &[u8] = &[3];
/// 1.2.840.113549.1.1.1, rsaEncryption (RFC 8017).
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1, id-ecPublicKey (RFC 5480).
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.156.10197.1.301, the curve of SM2 (GM/T 0006).
const OID_SM2_CURVE: &[u8] = &[0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::KeyPair as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn word(result: Result<PublicKey, SettingsError>) -> &'static str {
        result.unwrap_err().word
    }

    #[test]
    fn a_key_is_read_in_every_form_and_is_the_same_key() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let key = PublicKey::of_pair("key", &pair).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::Rsa { bits: 2048 });
        let bare = STANDARD.encode(key.spki());
        let wrapped = bare.as_bytes().chunks(76).map(|c| String::from_utf8_lossy(c)).collect::<Vec<_>>().join("\r\n");
        let pkcs1 = pair.public_key().as_ref().to_vec();
        for (name, material) in [
            ("spki pem", key.to_pem().into_bytes()),
            ("spki pem, crlf", key.to_pem().replace('\n', "\r\n").into_bytes()),
            ("spki pem in one line", key.to_pem().replace('\n', "").into_bytes()),
            ("spki pem after text and a byte order mark", format!("\u{feff}# my key\n{}", key.to_pem()).into_bytes()),
            ("pkcs1 pem", to_pem("RSA PUBLIC KEY", &pkcs1).into_bytes()),
            ("pkcs1 with the wrong label", to_pem("PUBLIC KEY", &pkcs1).into_bytes()),
            ("bare", bare.clone().into_bytes()),
            ("bare with a byte order mark and a newline", format!("\u{feff}{bare}\n").into_bytes()),
            ("bare with line breaks", wrapped.clone().into_bytes()),
            ("bare with blanks", wrapped.replace("\r\n", "  ").into_bytes()),
            ("bare pkcs1", STANDARD.encode(&pkcs1).into_bytes()),
            ("der spki", key.spki().to_vec()),
            ("der pkcs1", pkcs1.clone()),
        ] {
            assert_eq!(PublicKey::read("key", &material).as_ref(), Ok(&key), "{name}");
        }
    }

    #[test]
    fn what_is_no_public_key_is_called_by_its_name() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = pair.as_der().unwrap().as_ref().to_vec();
        let pem = to_pem("PRIVATE KEY", &pkcs8);
        for private in [pem.into_bytes(), STANDARD.encode(&pkcs8).into_bytes(), to_pem("PUBLIC KEY", &pkcs8).into()] {
            assert_eq!(word(PublicKey::read("key", &private)), "private_key_given");
            assert!(read_rsa_private("key", &private).is_ok());
        }
        for nothing in ["", "   ", "hello", "-----BEGIN PUBLIC KEY-----", "MIIB", "!!!!"] {
            assert_eq!(word(PublicKey::read("key", nothing.as_bytes())), "not_a_key", "{nothing:?}");
        }
        let key = PublicKey::of_pair("key", &pair).unwrap();
        assert_eq!(word(PublicKey::read("key", &key.spki()[..200])), "not_a_key");
        let error = read_rsa_private("key", key.spki()).unwrap_err();
        assert_eq!((error.word, error.detail.as_deref()), ("not_a_key", Some("a public key")));
    }

    #[test]
    fn an_exponent_of_one_is_refused() {
        let modulus = tlv(TAG_INTEGER, &[&[0], [0xff; 256].as_slice()].concat());
        for (exponent, is_read) in
            [(&[1u8][..], false), (&[0, 1], false), (&[2], false), (&[0], false), (&[3], true), (&[1, 0, 1], true)]
        {
            let der = tlv(TAG_SEQUENCE, &[modulus.clone(), tlv(TAG_INTEGER, exponent)].concat());
            assert_eq!(PublicKey::read("key", &der).is_ok(), is_read, "{exponent:?}");
        }
    }

    #[test]
    fn blocks_are_found_by_their_markers() {
        let file = format!("junk{}{}\n\n\nmore junk\r\n{}", to_pem("A", b"1"), to_pem("B", b"2"), to_pem("A", b"3"));
        let file = file.replace("-----\n-----", "----------");
        let found: Vec<_> = pem_blocks(file.as_bytes()).into_iter().map(|b| (b.label, b.der.to_vec())).collect();
        let expected = [("A", b"1"), ("B", b"2"), ("A", b"3")].map(|(l, d)| (l.to_owned(), d.to_vec()));
        assert_eq!(found, expected);
        assert!(pem_blocks(b"-----BEGIN X-----\nabc").is_empty());
        assert!(pem_blocks(b"-----BEGIN X").is_empty());
    }

    #[test]
    fn lengths_are_written_as_they_are_read() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let element = tlv(TAG_OCTET_STRING, &vec![7; length]);
            let read = Tlv::read(&element).unwrap();
            assert_eq!((read.content.len(), read.rest.len()), (length, 0));
        }
    }
}
