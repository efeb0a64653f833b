//! Writing a certificate for a key of our own, so that a kit which reads its platform's key out of a certificate
//! can be given ours. Nothing in it is chosen: the same key and name give the same bytes, so that the serial
//! under which messages name it needs no place of its own.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::RsaKeyPair;

use super::key::{PublicKey, TAG_BIT_STRING, TAG_INTEGER, TAG_NULL, TAG_OCTET_STRING, TAG_OID, TAG_SEQUENCE, hex, tlv};
use super::rsa::sign_sha256;

const TAG_SET: u8 = 0x31;
const TAG_UTF8: u8 = 0x0c;
const TAG_UTC_TIME: u8 = 0x17;
/// `[0] EXPLICIT`: the version (RFC 5280, 4.1).
const TAG_VERSION: u8 = 0xa0;
/// 2.5.4.3, commonName.
const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 1.2.840.113549.1.1.11, sha256WithRSAEncryption (RFC 8017).
const OID_RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// `[3] EXPLICIT Extensions`, 2.5.29.17 (subjectAltName), and in it `[2] dNSName`.
const TAG_EXTENSIONS: u8 = 0xa3;
const OID_SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const TAG_DNS_NAME: u8 = 0x82;
/// Version 3.
const VERSION: &[u8] = &[2];
/// Bytes of the serial: the longest that RFC 5280 allows.
const SERIAL_BYTES: usize = 20;
/// It begins before any message and ends as late as `UTCTime` can say: who holds the key ends its use, not a date.
const NOT_BEFORE: &[u8] = b"240101000000Z";
const NOT_AFTER: &[u8] = b"491231235959Z";

/// A self-signed certificate of a key under a name, as DER. None only if the key does not sign.
pub(crate) fn certificate(pair: &RsaKeyPair, public: &PublicKey, common_name: &str) -> Option<Vec<u8>> {
    let algorithm = tlv(TAG_SEQUENCE, &[tlv(TAG_OID, OID_RSA_SHA256), tlv(TAG_NULL, &[])].concat());
    let attribute = tlv(TAG_SEQUENCE, &[tlv(TAG_OID, OID_COMMON_NAME), tlv(TAG_UTF8, common_name.as_bytes())].concat());
    let name = tlv(TAG_SEQUENCE, &tlv(TAG_SET, &attribute));
    let validity = tlv(TAG_SEQUENCE, &[tlv(TAG_UTC_TIME, NOT_BEFORE), tlv(TAG_UTC_TIME, NOT_AFTER)].concat());
    let content = [
        tlv(TAG_VERSION, &tlv(TAG_INTEGER, VERSION)),
        tlv(TAG_INTEGER, &serial(public)),
        algorithm.clone(),
        name.clone(),
        validity,
        name,
        public.spki().to_vec(),
        if common_name.contains('.') { host(common_name) } else { Vec::new() },
    ];
    let content = tlv(TAG_SEQUENCE, &content.concat());
    let signature = sign_sha256(pair, &content)?;
    let signature = tlv(TAG_BIT_STRING, &[&[0], signature.as_slice()].concat());
    Some(tlv(TAG_SEQUENCE, &[content, algorithm, signature].concat()))
}

/// Whoever is called like a host is issued to it.
fn host(name: &str) -> Vec<u8> {
    let names = tlv(TAG_SEQUENCE, &tlv(TAG_DNS_NAME, name.as_bytes()));
    let extension = [tlv(TAG_OID, OID_SUBJECT_ALT_NAME), tlv(TAG_OCTET_STRING, &names)].concat();
    tlv(TAG_EXTENSIONS, &tlv(TAG_SEQUENCE, &tlv(TAG_SEQUENCE, &extension)))
}

/// The serial of a key's certificate in lower-case hexadecimal.
pub(crate) fn serial_hex(public: &PublicKey) -> String {
    hex(&serial(public))
}

/// The serial of a key's certificate: positive, and without a leading zero in any way of writing it.
fn serial(public: &PublicKey) -> Vec<u8> {
    let mut serial = digest(&SHA256, public.spki()).as_ref()[..SERIAL_BYTES].to_vec();
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::KeySize;

    use super::*;
    use crate::signature::x509::Certificate;

    #[test]
    fn a_certificate_is_made_again_the_same_and_can_be_read() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = PublicKey::of_pair("key", &pair).unwrap();
        let der = certificate(&pair, &public, "gateway").unwrap();
        assert_eq!(der, certificate(&pair, &public, "gateway").unwrap());
        let read = Certificate::read("certificate", &der).unwrap();
        assert_eq!(*read.key(), public);
        let description = read.description();
        assert_eq!((description.subject.as_str(), description.issuer.as_str()), ("CN=gateway", "CN=gateway"));
        assert_eq!(description.serial_hex, serial_hex(&public));
        assert_eq!(description.not_before.unwrap().to_string(), "2024-01-01T00:00:00Z");
        assert_eq!(description.not_after.unwrap().to_string(), "2049-12-31T23:59:59Z");
    }
}
