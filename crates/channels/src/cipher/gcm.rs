//! AES-256-GCM (NIST SP 800-38D) with a nonce of any length.
//!
//! The library takes nonces of 12 bytes and no other, and does all the work for those. A platform may send longer or
//! shorter ones, from which the standard makes the first counter block with its own hash; for them the standard's few
//! lines are written out here over the library's AES. Nothing branches on a secret or looks one up.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::measure;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Longest nonce that is taken, in bytes: five times the longest that any platform was seen to send.
pub const NONCE_BYTES_MAX: usize = 160;

/// Bytes of a block, and of the tag behind a ciphertext.
const BLOCK: usize = 16;

/// The field's polynomial, with the coefficient of `x^0` in the highest bit (SP 800-38D, section 6.3).
const POLYNOMIAL: u128 = 0xe1 << 120;

/// A key, ready to open boxes.
pub struct Gcm {
    whole: LessSafeKey,
    blocks: EncryptingKey,
}

impl fmt::Debug for Gcm {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gcm(…)")
    }
}

impl Gcm {
    /// From the key's bytes; none only if the library refused 32 bytes.
    pub fn new(key: &[u8; KEY_BYTES]) -> Option<Self> {
        let whole = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        let blocks = EncryptingKey::ecb(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
        Some(Self { whole, blocks })
    }

    /// Opens a box, ciphertext and tag; none when its tag does not match, or the nonce is empty or too long.
    pub fn open(&self, nonce: &[u8], associated: &[u8], boxed: &[u8]) -> Option<Vec<u8>> {
        measure::step("AES-256-GCM", boxed.len(), || self.opened(nonce, associated, boxed));
        self.opened(nonce, associated, boxed)
    }

    fn opened(&self, nonce: &[u8], associated: &[u8], boxed: &[u8]) -> Option<Vec<u8>> {
        if let Ok(nonce) = <[u8; NONCE_LEN]>::try_from(nonce) {
            let mut boxed = boxed.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let length = self.whole.open_in_place(nonce, Aad::from(associated), &mut boxed).ok()?.len();
            boxed.truncate(length);
            return Some(boxed);
        }
        let (ciphertext, tag) = boxed.split_at_checked(boxed.len().checked_sub(BLOCK)?)?;
        let first = self.first_counter(nonce)?;
        verify_slices_are_equal(&self.tag(first, associated, ciphertext)?, tag).ok()?;
        self.turn(first, ciphertext)
    }

    /// Closes a box as [`Gcm::open`] opens it. One nonce must never close two boxes.
    #[cfg(any(test, feature = "simulate"))]
    pub fn close(&self, nonce: &[u8], associated: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let first = self.first_counter(nonce)?;
        let mut boxed = self.turn(first, plaintext)?;
        let tag = self.tag(first, associated, &boxed)?;
        boxed.extend_from_slice(&tag);
        Some(boxed)
    }

    /// The block before the counters (SP 800-38D, section 7.1, step 2).
    fn first_counter(&self, nonce: &[u8]) -> Option<u128> {
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX {
            return None;
        }
        if nonce.len() == NONCE_LEN {
            return Some(block(nonce) | 1);
        }
        Some(hash(self.encrypt(0)?, b"", nonce))
    }

    fn tag(&self, first: u128, associated: &[u8], ciphertext: &[u8]) -> Option<[u8; BLOCK]> {
        let hash = hash(self.encrypt(0)?, associated, ciphertext);
        Some((hash ^ self.encrypt(first)?).to_be_bytes())
    }

    /// Encrypts or decrypts, which is the same (SP 800-38D, section 6.5).
    fn turn(&self, first: u128, text: &[u8]) -> Option<Vec<u8>> {
        // Only the last 32 bits count, and they wrap around by themselves.
        let [.., a, b, c, d] = first.to_be_bytes();
        let (fixed, mut counter) = (first >> 32 << 32, u32::from_be_bytes([a, b, c, d]));
        let mut stream = Vec::with_capacity(text.len().next_multiple_of(BLOCK));
        while stream.len() < text.len() {
            counter = counter.wrapping_add(1);
            stream.extend_from_slice(&(fixed | u128::from(counter)).to_be_bytes());
        }
        if !stream.is_empty() {
            self.blocks.encrypt(&mut stream).ok()?;
        }
        stream.truncate(text.len());
        stream.iter_mut().zip(text).for_each(|(byte, other)| *byte ^= other);
        Some(stream)
    }

    fn encrypt(&self, value: u128) -> Option<u128> {
        let mut bytes = value.to_be_bytes();
        self.blocks.encrypt(&mut bytes).ok()?;
        Some(u128::from_be_bytes(bytes))
    }
}

/// GHASH over both texts, each filled up with zeros, and their lengths in bits (SP 800-38D, sections 6.4 and 7.1).
fn hash(key: u128, associated: &[u8], ciphertext: &[u8]) -> u128 {
    let bits = |text: &[u8]| 8 * text.len() as u128;
    let chunks = associated.chunks(BLOCK).chain(ciphertext.chunks(BLOCK)).map(block);
    let lengths = (bits(associated) << 64) | bits(ciphertext);
    chunks.chain([lengths]).fold(0, |sum, next| multiply(sum ^ next, key))
}

/// Up to sixteen bytes, filled up with zeros.
fn block(bytes: &[u8]) -> u128 {
    let mut whole = [0; BLOCK];
    whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(whole)
}

/// The product in the field (SP 800-38D, section 6.3), by masks instead of branches.
fn multiply(left: u128, right: u128) -> u128 {
    let (mut product, mut shifted) = (0, right);
    for place in (0..128).rev() {
        product ^= shifted & mask(left >> place);
        shifted = (shifted >> 1) ^ (POLYNOMIAL & mask(shifted));
    }
    product
}

/// All ones when the lowest bit is set, else all zeros.
fn mask(bits: u128) -> u128 {
    (bits & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::key::hex;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn key(text: &str) -> Gcm {
        Gcm::new(unhex(text).as_slice().try_into().unwrap()).unwrap()
    }

    /// "The Galois/Counter Mode of Operation" (submission to NIST), appendix B, test cases 16, 17 and 18.
    #[test]
    fn boxes_are_those_of_the_standard() {
        let gcm = key(&"feffe9928665731c6d6a8f9467308308".repeat(2));
        let plaintext = unhex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let associated = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        for (nonce, boxed) in [
            (
                "cafebabefacedbaddecaf888",
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
            ),
            (
                "cafebabefacedbad",
                "c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f3a337dbf46a792c45e454913fe2ea8f2",
            ),
            (
                "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
                "5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf40fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3fa44a8266ee1c8eb0c8b5d4cf5ae9f19a",
            ),
        ] {
            let nonce = unhex(nonce);
            assert_eq!(hex(&gcm.close(&nonce, &associated, &plaintext).unwrap()), boxed);
            assert_eq!(gcm.open(&nonce, &associated, &unhex(boxed)).unwrap(), plaintext);
        }
    }

    /// What the library opens was closed by the lines above, for every length around a block's.
    #[test]
    fn both_ways_are_one() {
        let gcm = key(&"0123456789abcdef".repeat(4));
        for length in (0..70).chain([1000, 4096]) {
            let text: Vec<u8> = (0..length).map(|byte| u8::try_from(byte * 7 % 256).unwrap()).collect();
            for associated in [0, 1, 15, 16, 17, 40] {
                let boxed = gcm.close(b"twelve bytes", &text[..associated.min(length)], &text).unwrap();
                assert_eq!(gcm.open(b"twelve bytes", &text[..associated.min(length)], &boxed), Some(text.clone()));
            }
        }
    }

    #[test]
    fn only_what_was_closed_opens() {
        let gcm = key(&"0123456789abcdef".repeat(4));
        for nonce in [&b"n"[..], b"eight by", b"twelve bytes", b"sixteen bytes...", &[7; NONCE_BYTES_MAX]] {
            let boxed = gcm.close(nonce, b"with", b"a secret of more than one block").unwrap();
            assert_eq!(gcm.open(nonce, b"with", &boxed).as_deref(), Some(&b"a secret of more than one block"[..]));
            for place in 0..boxed.len() {
                let mut spoiled = boxed.clone();
                spoiled[place] ^= 1;
                assert_eq!(gcm.open(nonce, b"with", &spoiled), None, "{place}");
            }
            for cut in 0..boxed.len() {
                assert_eq!(gcm.open(nonce, b"with", &boxed[..cut]), None, "{cut}");
            }
            assert_eq!(gcm.open(nonce, b"wit", &boxed), None);
            assert_eq!(gcm.open(b"another nonce", b"with", &boxed), None);
        }
        assert!(gcm.close(b"", b"", b"x").is_none() && gcm.close(&[0; NONCE_BYTES_MAX + 1], b"", b"x").is_none());
        assert!(gcm.open(b"", b"", &[0; 32]).is_none());
        assert!(!format!("{gcm:?}").contains("0123"));
    }

    /// The counter is a number of 32 bits and carries nothing into what stands before it.
    #[test]
    fn the_counter_wraps() {
        let gcm = key(&"0123456789abcdef".repeat(4));
        let first = u128::MAX - 1;
        let stream = gcm.turn(first, &[0; 3 * BLOCK]).unwrap();
        let expected: Vec<u8> = [u32::MAX, 0, 1]
            .into_iter()
            .flat_map(|counter| gcm.encrypt((first >> 32 << 32) | u128::from(counter)).unwrap().to_be_bytes())
            .collect();
        assert_eq!(stream, expected);
    }
}
