//! Block ciphers as platforms use them to wrap fields. Without a MAC a ciphertext proves little; what is opened here
//! is believed only for what the platform's file says.

#[cfg(feature = "simulate")]
use aws_lc_rs::cipher::PaddedBlockEncryptingKey;
use aws_lc_rs::cipher::{AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};

/// Opens AES in ECB mode with PKCS #7 padding. The key has 16 or 32 bytes; none when it has not, when the text is no
/// whole number of blocks, or when the padding is wrong.
pub fn open_aes_ecb(key: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return None,
    };
    let key = PaddedBlockDecryptingKey::ecb_pkcs7(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let mut buffer = ciphertext.to_vec();
    key.decrypt(&mut buffer, DecryptionContext::None).ok().map(|plaintext| plaintext.to_vec())
}

/// Seals as [`open_aes_ecb`] opens.
#[cfg(feature = "simulate")]
pub fn seal_aes_ecb(key: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return None,
    };
    let key = PaddedBlockEncryptingKey::ecb_pkcs7(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let mut buffer = plaintext.to_vec();
    key.encrypt(&mut buffer).ok()?;
    Some(buffer)
}

#[cfg(all(test, feature = "simulate"))]
mod tests {
    use super::*;
    use crate::signature::key::hex;

    /// FIPS 197, appendix C: one block, here followed by the padding's own.
    #[test]
    fn blocks_are_those_of_the_standard() {
        let plaintext: Vec<u8> = (0..16).map(|byte| byte * 0x11).collect();
        let key: Vec<u8> = (0..32).collect();
        let sealed = seal_aes_ecb(&key, &plaintext).unwrap();
        assert_eq!(hex(&sealed[..16]), "8ea2b7ca516745bfeafc49904b496089");
        assert_eq!(hex(&seal_aes_ecb(&key[..16], &plaintext).unwrap()[..16]), "69c4e0d86a7b0430d8cdb78070b4c55a");
        assert_eq!(open_aes_ecb(&key, &sealed).unwrap(), plaintext);
        for bad in [&sealed[..16], &sealed[..31], &[], &[&sealed[..], &[0]].concat()] {
            assert_eq!(open_aes_ecb(&key, bad), None, "{}", bad.len());
        }
        assert_eq!(open_aes_ecb(&key[..24], &sealed), None);
    }
}
