//! A user and a password that come with every request (RFC 7617). They say who sends, and nothing of what is sent: over
//! TLS nobody else can show them, but a proof made of them is only good enough for what asserts nothing about money.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Verified;

/// How the value of `Authorization` begins.
const SCHEME: &str = "Basic ";

/// A user and a password.
pub struct BasicCredential {
    value: Zeroizing<String>,
    label: String,
}

impl fmt::Debug for BasicCredential {
    /// Says which credential, not what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicCredential").field("label", &self.label).finish_non_exhaustive()
    }
}

impl BasicCredential {
    /// Prepares a credential; none when a part is empty, or the user has a colon in it. `label` names it in proofs.
    pub fn new(user: &[u8], password: &[u8], label: &str) -> Option<Self> {
        if user.is_empty() || password.is_empty() || user.contains(&b':') {
            return None;
        }
        let pair = Zeroizing::new([user, b":", password].concat());
        let value = Zeroizing::new(format!("{SCHEME}{}", STANDARD.encode(&*pair)));
        Some(Self { value, label: label.to_owned() })
    }

    /// Its name in proofs.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The value of `Authorization`, for the platforms' other side.
    #[cfg(feature = "simulate")]
    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// Whether this is the whole value of `Authorization`; compared in constant time.
    pub fn check(&self, authorization: &str) -> Option<Verified> {
        let is_it =
            aws_lc_rs::constant_time::verify_slices_are_equal(self.value.as_bytes(), authorization.as_bytes()).is_ok();
        is_it.then(|| Verified::new(&self.label, "basic"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_credential_is_it() {
        let credential = BasicCredential::new(b"Aladdin", b"open sesame", "basic").unwrap();
        // RFC 7617, section 2.
        let found = credential.check("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        assert_eq!(found.into_parts(), ("basic".to_owned(), "basic"));
        for wrong in ["", "Basic ", "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"] {
            assert!(credential.check(wrong).is_none(), "{wrong:?}");
        }
        for (user, password) in [("", "x"), ("x", ""), ("a:b", "x")] {
            assert!(BasicCredential::new(user.as_bytes(), password.as_bytes(), "basic").is_none());
        }
        assert!(!format!("{credential:?}").contains("QWxh"));
    }
}
