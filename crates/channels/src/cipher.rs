//! Block ciphers as platforms use them to wrap fields. Without a MAC a ciphertext proves little; what is opened here
//! is believed only for what the platform's file says.

pub mod gcm;
use std::fmt;

#[cfg(feature = "simulate")]
use aws_lc_rs::cipher::PaddedBlockEncryptingKey;
use aws_lc_rs::cipher::{AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use des::TdesEde3;
use des::cipher::{Block, BlockCipherDecrypt as _, KeyInit as _};

use crate::measure;

/// Opens AES in ECB mode with PKCS #7 padding. The key has 16 or 32 bytes; none when it has not, when the text is no
/// whole number of blocks, or when the padding is wrong.
pub fn open_aes_ecb(key: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    measure::step("AES", ciphertext.len(), || opened_aes_ecb(key, ciphertext));
    opened_aes_ecb(key, ciphertext)
}

fn opened_aes_ecb(key: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
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

/// Bytes of a key of Triple DES with three parts.
pub const TRIPLE_DES_KEY_BYTES: usize = 24;

/// Bytes of a block of DES.
pub const DES_BLOCK_BYTES: usize = 8;

/// Triple DES (EDE, three keys) in ECB mode without padding. Only where a platform still wraps fields so.
pub struct TripleDes(TdesEde3);

impl fmt::Debug for TripleDes {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TripleDes(…)")
    }
}

impl TripleDes {
    /// Prepares a key.
    pub fn new(key: &[u8; TRIPLE_DES_KEY_BYTES]) -> Self {
        Self(TdesEde3::new(key.into()))
    }

    /// Opens whole blocks; none when it is nothing, or no whole number of blocks.
    pub fn open(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let opened = || each_block(ciphertext, |block| self.0.decrypt_block(block));
        measure::step("Triple DES", ciphertext.len(), opened);
        opened()
    }

    /// Seals as [`TripleDes::open`] opens.
    #[cfg(feature = "simulate")]
    pub fn seal(&self, plaintext: &[u8]) -> Option<Vec<u8>> {
        use des::cipher::BlockCipherEncrypt as _;
        each_block(plaintext, |block| self.0.encrypt_block(block))
    }
}

fn each_block(text: &[u8], turn: impl Fn(&mut Block<TdesEde3>)) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(DES_BLOCK_BYTES) {
        return None;
    }
    let mut turned = text.to_vec();
    for bytes in turned.chunks_exact_mut(DES_BLOCK_BYTES) {
        let mut block = Block::<TdesEde3>::try_from(&*bytes).ok()?;
        turn(&mut block);
        bytes.copy_from_slice(&block);
    }
    Some(turned)
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

    /// NIST SP 800-20, appendix A, table 1 (variable plaintext, all keys alike), and NIST SP 800-67's example text
    /// with three keys.
    #[test]
    fn triple_des_is_the_standards() {
        let alike = TripleDes::new(&[1; TRIPLE_DES_KEY_BYTES]);
        assert_eq!(hex(&alike.seal(&[0x80, 0, 0, 0, 0, 0, 0, 0]).unwrap()), "95f8a5e5dd31d900");
        let mut key = [0; TRIPLE_DES_KEY_BYTES];
        let parts = [0x0123_4567_89ab_cdef_u64, 0x2345_6789_abcd_ef01, 0x4567_89ab_cdef_0123];
        key.copy_from_slice(&parts.map(u64::to_be_bytes).concat());
        let cipher = TripleDes::new(&key);
        let sealed = cipher.seal(b"The qufck brown fox jump").unwrap();
        assert_eq!(hex(&sealed), "a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900");
        assert_eq!(cipher.open(&sealed).unwrap(), b"The qufck brown fox jump");
        for bad in [&sealed[..0], &sealed[..7], &sealed[..23]] {
            assert_eq!(cipher.open(bad), None, "{}", bad.len());
        }
        assert_eq!(format!("{cipher:?}"), "TripleDes(…)");
    }
}
