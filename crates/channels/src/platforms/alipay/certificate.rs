//! Alipay's names of certificates (Alipay Open Platform, certificate mode; official SDKs' `AntCertificationUtil`).

use crate::signature::x509::{Certificate, Description};

/// The signature algorithms of the RSA family. Only such members of the root bundle have a part in its name.
const RSA_FAMILY: &str = "1.2.840.113549.1.1.";

/// The serial of one certificate: MD5 over the issuer and the decimal serial number.
pub(super) fn serial(certificate: &Certificate) -> String {
    certificate.description().issuer_serial_md5()
}

/// The serial of the root bundle: the serials of its RSA members, joined by `_` in the file's order; none
/// when the bundle has no such member.
pub(super) fn root_serial(bundle: &[u8]) -> Option<String> {
    let serials: Vec<String> = Description::of_bundle(bundle)
        .iter()
        .filter(|description| description.signature_oid.starts_with(RSA_FAMILY))
        .map(Description::issuer_serial_md5)
        .collect();
    (!serials.is_empty()).then(|| serials.join("_"))
}

/// Whether a text can be such a serial: 32 hexadecimal digits.
pub(super) fn is_serial(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
