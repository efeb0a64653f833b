//! Texts that are sealed with a shared key and carry no tag: AES-256 in ECB mode with PKCS #7 padding, in base64.
//!
//! The cipher proves nothing by itself. That a text opens into something whole is the only sign that who sealed it
//! has the key, and it holds block by block: who has seen sealed texts can put whole blocks of them together anew. So
//! there is no [`Verified`] before the reader has found the content whole, and what such a proof may carry is for the
//! platform's file to bound.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Verified;
use crate::cipher::open_aes_ecb;

/// Longest sealed text, in base64; real ones have 1 kB.
pub(crate) const SEALED_TEXT_MAX: usize = 16 * 1024;

/// Bytes of the key.
pub(crate) const KEY_BYTES: usize = 32;

/// A key that opens sealed texts.
pub(crate) struct SealedKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
    label: String,
}

impl fmt::Debug for SealedKey {
    /// Says which key, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedKey").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Why a sealed text proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SealError<E> {
    /// Not base64 in its one canonical form, or too long.
    Text,
    /// It does not open with this key.
    Closed,
    /// It opens, and the reader does not find it whole.
    Content(E),
}

impl SealedKey {
    /// Takes a key; none when it has another length. `label` names it in proofs; it is never derived from the key.
    pub(crate) fn new(key: &[u8], label: &str) -> Option<Self> {
        let mut own = Zeroizing::new([0; KEY_BYTES]);
        if key.len() != KEY_BYTES {
            return None;
        }
        own.copy_from_slice(key);
        Some(Self { key: own, label: label.to_owned() })
    }

    /// Opens a text and lets `read` judge what is inside, strictly: its consent is the proof. `variant` names the rule.
    pub(crate) fn open<T, E>(
        &self,
        text: &[u8],
        variant: &'static str,
        read: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<(T, Verified), SealError<E>> {
        let sealed = decode(text).ok_or(SealError::Text)?;
        let plaintext = Zeroizing::new(open_aes_ecb(&*self.key, &sealed).ok_or(SealError::Closed)?);
        let content = read(&plaintext).map_err(SealError::Content)?;
        Ok((content, Verified::new(&self.label, variant)))
    }

    /// What is inside, for people; proves nothing.
    pub(crate) fn peek(&self, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open_aes_ecb(&*self.key, &decode(text)?).map(Zeroizing::new)
    }
}

/// Standard alphabet, padded, no blanks, nothing left over.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > SEALED_TEXT_MAX {
        return None;
    }
    STANDARD.decode(text).ok()
}

#[cfg(all(test, feature = "simulate"))]
mod tests {
    use super::*;
    use crate::cipher::seal_aes_ecb;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn is_whole(plaintext: &[u8]) -> Result<usize, &'static str> {
        if plaintext.starts_with(b"<") { Ok(plaintext.len()) } else { Err("no angle") }
    }

    #[test]
    fn only_what_opens_and_is_whole_proves_anything() {
        let key = SealedKey::new(KEY, "shared").unwrap();
        let seal = |key: &[u8], text: &[u8]| STANDARD.encode(seal_aes_ecb(key, text).unwrap());
        let open = |text: &[u8]| key.open(text, "box", is_whole);
        let (length, verified) = open(seal(KEY, b"<a>").as_bytes()).unwrap();
        assert_eq!((length, verified.into_parts()), (3, ("shared".to_owned(), "box")));
        assert_eq!(key.peek(seal(KEY, b"any").as_bytes()).unwrap().as_slice(), b"any");
        assert_eq!(open(seal(KEY, b"a>").as_bytes()).unwrap_err(), SealError::Content("no angle"));
        let own = seal(KEY, b"<a> and a second block");
        for bad in ["", "====", " ", &own[..own.len() - 1], &format!("{own}\n"), &own.replace('=', "")] {
            assert_eq!(open(bad.as_bytes()).unwrap_err(), SealError::Text, "{bad:?}");
        }
        assert_eq!(open(&vec![b'A'; SEALED_TEXT_MAX + 4]).unwrap_err(), SealError::Text);
        // A whole number of blocks, and the padding is nonsense.
        assert_eq!(open(STANDARD.encode([7; 32]).as_bytes()).unwrap_err(), SealError::Closed);
        assert!(SealedKey::new(&KEY[1..], "short").is_none());
        assert!(!format!("{key:?}").contains("0123"));
    }
}
