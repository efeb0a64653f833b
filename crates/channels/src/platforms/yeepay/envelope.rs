//! The envelope of a callback: four parts joined by `$`, namely the symmetric key under the merchant's RSA key, the
//! ciphertext, `AES` and `SHA256`. The plaintext is JSON, `$`, and Yeepay's signature over the JSON (official YOP SDK,
//! callback decryption).
//!
//! Anybody may send envelopes, so how one fails must tell nothing about the merchant's private key: whoever learns
//! whether PKCS #1 padding fitted can open captured envelopes and sign as the merchant. What depends on the private key
//! therefore never ends early: a key that does not open is replaced by one that follows from the sealed bytes, the
//! ciphertext is opened with it, the signature is checked, and all of it ends as [`Rejection::Signature`]. Only what
//! everybody can see in the envelope is refused by its own name, before anything dear is done.
//!
//! The private key's work is by far the dearest that a stranger can ask for (a quarter of a millisecond). An envelope is
//! given away when it is verified, so one request costs it once.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::RESPONSE;
use crate::channel::{Rejection, quote};
use crate::cipher::open_aes_ecb;
use crate::form::Form;
use crate::measure;
use crate::signature::rsa::RsaVerifier;
use crate::signature::{Verified, trial};

/// Bytes of the symmetric key; a longer one is folded.
pub(super) const KEY_BYTES: usize = 16;

/// Bytes of a block of AES.
const BLOCK_BYTES: usize = 16;

/// Between the parts of the envelope, and before the signature inside.
pub(super) const SEPARATOR: u8 = b'$';

/// How the envelope with SM2 and SM4 begins.
const NEWER: &[u8] = b"yop-encrypt-v1//";

/// What stands in an envelope.
#[derive(Debug)]
pub(super) struct Envelope {
    sealed_key: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Envelope {
    /// Reads the field that carries it.
    pub(super) fn read(form: &Form<'_>) -> Result<Self, Rejection> {
        let missing = || Rejection::Missing { field: RESPONSE.into() };
        let malformed = || Rejection::Malformed { field: RESPONSE.into() };
        let text = form.present(RESPONSE).ok_or_else(missing)?;
        if text.starts_with(NEWER) {
            let name = text.splitn(4, |byte| *byte == b'/').take(3).collect::<Vec<_>>().join(&b'/');
            return Err(Rejection::Algorithm { algorithm: quote(&String::from_utf8_lossy(&name)) });
        }
        let parts: Vec<&[u8]> = text.split(|byte| *byte == SEPARATOR).collect();
        let [sealed_key, ciphertext, cipher, hash] = parts.as_slice() else { return Err(malformed()) };
        if *cipher != b"AES" || *hash != b"SHA256" {
            let names = [*cipher, *hash].join(&SEPARATOR);
            return Err(Rejection::Algorithm { algorithm: quote(&String::from_utf8_lossy(&names)) });
        }
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let envelope = Self { sealed_key: decode(sealed_key)?, ciphertext: decode(ciphertext)? };
        let is_whole = !envelope.ciphertext.is_empty() && envelope.ciphertext.len().is_multiple_of(BLOCK_BYTES);
        if is_whole { Ok(envelope) } else { Err(malformed()) }
    }
}

/// What was in an envelope, proven or not.
pub(super) struct Opened {
    plaintext: Vec<u8>,
    /// Where the JSON ends.
    end: usize,
}

impl Opened {
    /// The JSON may hold the separator, so the last one counts. Without any there is no JSON.
    fn of(plaintext: Vec<u8>) -> Self {
        let end = plaintext.iter().rposition(|byte| *byte == SEPARATOR).unwrap_or_default();
        Self { plaintext, end }
    }

    /// The signed text.
    pub(super) fn json(&self) -> &[u8] {
        &self.plaintext[..self.end]
    }

    /// The text of the signature.
    fn signature(&self) -> &[u8] {
        self.plaintext.get(self.end + 1..).unwrap_or_default()
    }
}

/// The merchant's key, which opens, and the platform's, which proves.
pub(super) struct Keys {
    private: Pkcs1PrivateDecryptingKey,
    /// Makes a key for what does not open, the same each time.
    substitute: hmac::Key,
    platform: RsaVerifier,
    /// Bytes of the platform's signatures.
    signature_bytes: usize,
}

impl fmt::Debug for Keys {
    /// Says which key, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("platform", &self.platform).finish_non_exhaustive()
    }
}

impl Keys {
    /// Prepares the keys; none when the private one is no RSA key in PKCS #8.
    pub(super) fn new(pkcs8: &[u8], platform: RsaVerifier, signature_bytes: usize) -> Option<Self> {
        let private = Pkcs1PrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8).ok()?).ok()?;
        let substitute = hmac::Key::new(hmac::HMAC_SHA256, pkcs8);
        Some(Self { private, substitute, platform, signature_bytes })
    }

    /// Opens an envelope and checks the signature in it. Gives the proof and the JSON.
    pub(super) fn verify(&self, envelope: Envelope) -> Result<(Verified, Vec<u8>), Rejection> {
        // Everybody knows how long the merchant's key is: its public half is public.
        if envelope.sealed_key.len() != self.private.key_size_bytes() {
            return Err(Rejection::Malformed { field: RESPONSE.into() });
        }
        let opened = self.open(envelope);
        // One check of full cost for each envelope, whatever was in it.
        let signature = URL_SAFE_NO_PAD.decode(opened.signature()).unwrap_or_default();
        let has_length = signature.len() == self.signature_bytes;
        let signature = if has_length { signature } else { vec![0; self.signature_bytes] };
        let verified = trial::sealed(|| self.platform.verify(opened.json(), &signature, "rsa"));
        let verified = verified.ok_or(Rejection::Signature)?;
        Ok((verified, opened.json().to_vec()))
    }

    /// Opens an envelope; what it gives proves nothing, and may be nothing.
    pub(super) fn open(&self, envelope: Envelope) -> Opened {
        let Envelope { sealed_key, ciphertext } = envelope;
        let key = self.symmetric_key(&sealed_key);
        Opened::of(open_aes_ecb(key.as_slice(), &ciphertext).unwrap_or_default())
    }

    /// The symmetric key, or another one that nobody can foretell.
    pub(super) fn symmetric_key(&self, sealed: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        let substitute = hmac::sign(&self.substitute, sealed);
        let mut buffer = Zeroizing::new(vec![0; self.private.min_output_size()]);
        measure::step("RSA decryption", sealed.len(), || self.private.decrypt(sealed, &mut buffer.clone()).is_ok());
        let opened = self.private.decrypt(sealed, &mut buffer).ok().filter(|key| key.len() >= KEY_BYTES);
        fold(opened.as_deref().unwrap_or(substitute.as_ref()))
    }
}

/// Sixteen bytes of a key of so many or more, by XOR.
pub(super) fn fold(key: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut folded = Zeroizing::new([0; KEY_BYTES]);
    for chunk in key.chunks(KEY_BYTES) {
        folded.iter_mut().zip(chunk).for_each(|(to, from)| *to ^= from);
    }
    folded
}
