//! Throw-away certificates (RFC 5280), written element by element: small enough to read, and not by the library
//! that reads them.

use aws_lc_rs::signature::RsaKeyPair;

use crate::model::Timestamp;
use crate::signature::key::{
    PublicKey, TAG_BIT_STRING, TAG_INTEGER, TAG_NULL, TAG_OCTET_STRING, TAG_OID, TAG_SEQUENCE, tlv, to_pem,
};
use crate::signature::rsa::sign_sha256;

const TAG_BOOLEAN: u8 = 0x01;
const TAG_UTF8: u8 = 0x0c;
const TAG_UTC_TIME: u8 = 0x17;
const TAG_SET: u8 = 0x31;
/// `[0] EXPLICIT Version`.
const TAG_VERSION: u8 = 0xa0;
/// `[3] EXPLICIT Extensions`.
const TAG_EXTENSIONS: u8 = 0xa3;
/// 1.2.840.113549.1.1.11, sha256WithRSAEncryption (RFC 8017).
const OID_SHA256_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// 2.5.29.19, basicConstraints.
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// 2.5.29.17, subjectAltName, and in it `[2] dNSName`.
const OID_SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const TAG_DNS_NAME: u8 = 0x82;
/// 2.5.4.3, 2.5.4.11, 2.5.4.10 and 2.5.4.6.
const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OID_UNIT: &[u8] = &[0x55, 0x04, 0x0b];
const OID_ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const OID_COUNTRY: &[u8] = &[0x55, 0x04, 0x06];

/// Who somebody is.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    pub(crate) common: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) organization: &'static str,
}

/// What a certificate says.
pub(crate) struct Draft<'a> {
    pub(crate) serial: u64,
    pub(crate) subject: Name,
    pub(crate) key: &'a PublicKey,
    pub(crate) issuer: Name,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) is_authority: bool,
}

impl Draft<'_> {
    /// The certificate, signed with the issuer's key, as PEM. Whoever is called like a host is issued to it.
    pub(crate) fn sign(&self, issuer: &RsaKeyPair) -> String {
        let common = [(TAG_DNS_NAME, self.subject.common)];
        let is_issued = !self.is_authority && is_host(self.subject.common);
        self.sign_for(issuer, if is_issued { &common } else { &[] })
    }

    /// The same for these hosts, each behind the tag of its form (RFC 5280, 4.2.1.6).
    pub(crate) fn sign_for(&self, issuer: &RsaKeyPair, hosts: &[(u8, &str)]) -> String {
        let algorithm = sequence(&[tlv(TAG_OID, OID_SHA256_RSA), tlv(TAG_NULL, &[])]);
        // A first byte like this one keeps the number positive and of one length.
        let serial = tlv(TAG_INTEGER, &[&[0x40][..], &self.serial.to_be_bytes()].concat());
        let mut parts = vec![
            tlv(TAG_VERSION, &tlv(TAG_INTEGER, &[2])),
            serial,
            algorithm.clone(),
            name(self.issuer),
            sequence(&[time(self.not_before), time(self.not_after)]),
            name(self.subject),
            self.key.spki().to_vec(),
        ];
        if self.is_authority {
            let constraints = tlv(TAG_OCTET_STRING, &sequence(&[tlv(TAG_BOOLEAN, &[0xff])]));
            let extension = sequence(&[tlv(TAG_OID, OID_BASIC_CONSTRAINTS), tlv(TAG_BOOLEAN, &[0xff]), constraints]);
            parts.push(tlv(TAG_EXTENSIONS, &sequence(&[extension])));
        }
        if !hosts.is_empty() {
            let names: Vec<Vec<u8>> = hosts.iter().map(|(tag, name)| tlv(*tag, name.as_bytes())).collect();
            let names = tlv(TAG_OCTET_STRING, &sequence(&names));
            let extension = sequence(&[tlv(TAG_OID, OID_SUBJECT_ALT_NAME), names]);
            parts.push(tlv(TAG_EXTENSIONS, &sequence(&[extension])));
        }
        let inner = sequence(&parts);
        let signature = sign_sha256(issuer, &inner).expect("a generated key signs");
        let signature = tlv(TAG_BIT_STRING, &[&[0], signature.as_slice()].concat());
        to_pem("CERTIFICATE", &sequence(&[inner, algorithm, signature]))
    }
}

fn is_host(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.contains('.') && name.split('.').all(|label| !label.is_empty() && label.bytes().all(is_plain))
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(TAG_SEQUENCE, &parts.concat())
}

/// Country first, as names are written in certificates.
fn name(name: Name) -> Vec<u8> {
    let part = |oid, text: &str| tlv(TAG_SET, &sequence(&[tlv(TAG_OID, oid), tlv(TAG_UTF8, text.as_bytes())]));
    sequence(&[
        part(OID_COUNTRY, "CN"),
        part(OID_ORGANIZATION, name.organization),
        part(OID_UNIT, name.unit),
        part(OID_COMMON_NAME, name.common),
    ])
}

/// Two digits for the year, as the standard demands for years before 2050, which all of these are.
fn time(at: Timestamp) -> Vec<u8> {
    tlv(TAG_UTC_TIME, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use aws_lc_rs::rsa::KeySize;

    use super::*;
    use crate::signature::x509::Certificate;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_needs_every_signature_authority_and_time() {
        let pairs: Vec<RsaKeyPair> = (0..3).map(|_| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()).collect();
        let keys: Vec<PublicKey> = pairs.iter().map(|pair| PublicKey::of_pair("key", pair).unwrap()).collect();
        let names = [
            Name { common: "root", unit: "u", organization: "o" },
            Name { common: "middle", unit: "u", organization: "o" },
        ];
        let leaf_name = Name { common: "leaf", unit: "u", organization: "o" };
        let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let now = at("2026-06-01T00:00:00Z");
        let draft = |subject, key, issuer, is_authority| Draft {
            serial: 7,
            subject,
            key,
            issuer,
            not_before: from,
            not_after: to,
            is_authority,
        };
        let read = |pem: String| Certificate::read("cert", pem.as_bytes()).unwrap();
        let root = read(draft(names[0], &keys[0], names[0], true).sign(&pairs[0]));
        let middle = read(draft(names[1], &keys[1], names[0], true).sign(&pairs[0]));
        let no_authority = read(draft(names[1], &keys[1], names[0], false).sign(&pairs[0]));
        let leaf = read(draft(leaf_name, &keys[2], names[1], false).sign(&pairs[1]));
        let strange = read(draft(leaf_name, &keys[2], names[1], false).sign(&pairs[2]));
        let renamed = read(draft(leaf_name, &keys[2], names[0], false).sign(&pairs[1]));

        assert_eq!(
            (leaf.description().subject.as_str(), leaf.description().serial_hex.as_str()),
            ("CN=leaf,OU=u,O=o,C=CN", "400000000000000007")
        );
        assert_eq!((leaf.description().not_before, leaf.description().not_after), (Some(from), Some(to)));
        let path = |leaf: &Certificate, middle: &Certificate, now| {
            leaf.is_issued_under(from_ref(middle), from_ref(&root), now)
        };
        assert!(path(&leaf, &middle, now) && path(&leaf, &middle, from) && path(&leaf, &middle, to));
        assert!(middle.is_issued_under(&[], from_ref(&root), now) && root.is_issued_under(&[], from_ref(&root), now));
        assert!(!path(&leaf, &middle, at("2025-12-31T23:59:59Z")) && !path(&leaf, &middle, at("2027-01-01T00:00:01Z")));
        assert!(!path(&leaf, &no_authority, now), "an intermediate that is no authority");
        assert!(!path(&strange, &middle, now), "another key's signature");
        assert!(!path(&renamed, &middle, now), "another issuer's name");
        assert!(!leaf.is_issued_under(&[], from_ref(&root), now) && !leaf.is_issued_under(&[middle], &[], now));
        assert!(!leaf.is_issued_under(from_ref(&leaf), &[root], now));
    }
}
