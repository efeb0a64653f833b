//! What a secret makes of a text, by another rule than its channel's: for checks that are made again, see
//! [`super::trial`]. Nothing of it leaves this module but whether it is what came.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::digest::{DigestHash, HexCase};
use super::hmac::HmacHash;
use super::trial::{How, Part, with_secret};

/// A channel's own arithmetic with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// A digest of a text in which the secret stands.
    Digest(DigestHash),
    /// HMAC under the secret.
    Hmac(HmacHash),
}

impl Arithmetic {
    fn of(self, secret: &[u8], texts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Digest(hash) => Zeroizing::new(hash.of(texts)),
            Self::Hmac(hash) => {
                let mut context = hmac::Context::with_key(&hmac::Key::new(hash.algorithm(), secret));
                for text in texts {
                    context.update(text);
                }
                Zeroizing::new(context.sign().as_ref().to_vec())
            }
        }
    }
}

/// The output over the parts; none where this is no way to use a secret, or where the secret has no part in it, so that
/// anybody could have made it.
pub(super) fn output(secret: &[u8], own: Arithmetic, how: How, parts: &[Part]) -> Option<Zeroizing<Vec<u8>>> {
    let (arithmetic, first) = match how {
        How::Own => (own, None),
        How::Hashed(first) => (own, Some(first)),
        How::Digest(hash) => (Arithmetic::Digest(hash), None),
        How::Hmac(hash) => (Arithmetic::Hmac(hash), None),
        How::Unhashed | How::Rsa(_) | How::RsaBare(_) | How::RsaPss => return None,
    };
    if matches!(arithmetic, Arithmetic::Digest(_)) && !parts.contains(&Part::Secret) {
        return None;
    }
    let texts = with_secret(parts, secret);
    match first {
        None => Some(arithmetic.of(secret, &texts)),
        Some(first) => {
            let text = Zeroizing::new(first.hex_of(&texts, HexCase::Lower));
            Some(arithmetic.of(secret, &[text.as_bytes()]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_its_own_and_none_works_without_the_secret() {
        let own = Arithmetic::Digest(DigestHash::Md5);
        let parts = [Part::Text(b"a=1&key=".to_vec()), Part::Secret];
        let of = |how| output(b"secret", own, how, &parts).map(|output| output.to_vec());
        let whole = b"a=1&key=secret";
        assert_eq!(of(How::Own).unwrap(), DigestHash::Md5.of(&[whole]));
        assert_eq!(of(How::Digest(DigestHash::Sha256)).unwrap(), DigestHash::Sha256.of(&[whole]));
        let twice = DigestHash::Md5.of(&[DigestHash::Md5.hex_of(&[whole], HexCase::Lower).as_bytes()]);
        assert_eq!(of(How::Hashed(DigestHash::Md5)).unwrap(), twice);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), whole);
        assert_eq!(of(How::Hmac(HmacHash::Sha256)).unwrap(), tag.as_ref());
        for none in [How::Unhashed, How::Rsa(DigestHash::Sha1), How::RsaBare(DigestHash::Md5), How::RsaPss] {
            assert_eq!(of(none), None, "{none:?}");
        }
        assert!(output(b"secret", own, How::Own, &parts[..1]).is_none());
        assert!(output(b"secret", own, How::Hmac(HmacHash::Sha1), &parts[..1]).is_some());
    }
}
