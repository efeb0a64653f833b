//! Checking signatures: the only place where a [`Verified`] can be made, and so the only source of
//! [`crate::model::Proven`] messages.

pub mod basic;
pub mod digest;
pub mod ed25519;
pub mod hmac;
pub mod key;
pub mod own_key;
pub mod plain_rsa;
pub mod rsa;
pub(crate) mod sealed;
pub(crate) mod self_signed;
pub mod sm2;
pub mod token;
pub mod x509;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::measure;

/// A check that succeeded. It has no public constructor: what holds one went through this module.
#[derive(Debug)]
pub struct Verified {
    key: String,
    variant: &'static str,
}

impl Verified {
    /// For this module's own checks only.
    fn new(key: &str, variant: &'static str) -> Self {
        measure::step(measure::PROOF, 0, || ());
        Self { key: key.to_owned(), variant }
    }

    /// The key's label and the variant that matched.
    pub(crate) fn into_parts(self) -> (String, &'static str) {
        (self.key, self.variant)
    }
}

/// Longest signature text that is decoded: an RSA signature of 8192 bits takes 1368 characters.
pub const SIGNATURE_TEXT_MAX: usize = 1368;

/// Reads the base64 text of a signature: standard alphabet, padded, no blanks, nothing left over. Any
/// laxity here would give one message several texts that verify.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > SIGNATURE_TEXT_MAX {
        return None;
    }
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_text_is_read_strictly() {
        assert_eq!(decode_base64(b"AQID").unwrap(), [1, 2, 3]);
        assert_eq!(decode_base64(b"+/8=").unwrap(), [251, 255]);
        for bad in ["", "AQI", "AQID ", "AQ ID", "AQID\n", "-_8=", "+/8", "+/9=", "+/8==", "AQID===="] {
            assert_eq!(decode_base64(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(decode_base64(&[b'A'; SIGNATURE_TEXT_MAX + 4]), None);
    }
}
