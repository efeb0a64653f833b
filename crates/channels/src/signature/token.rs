//! A text that both sides know and that a request carries as it is. It binds nothing of the request: whoever sees one
//! request can send any other. So it proves no message, and only says that asking the platform is worth while.

use std::fmt;

use zeroize::Zeroizing;

use super::Verified;

/// A token that was shown. Nothing comes out of it that a proof could be made of.
#[derive(Debug)]
pub struct Vouched(Verified);

impl Vouched {
    /// That the sender knows the channel's secret.
    pub fn knows(&self) -> &Verified {
        &self.0
    }
}

/// A shared token.
pub struct SharedToken {
    token: Zeroizing<Vec<u8>>,
    label: String,
}

impl fmt::Debug for SharedToken {
    /// Says which token, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedToken").field("label", &self.label).finish_non_exhaustive()
    }
}

impl SharedToken {
    /// Prepares a token; none when it is empty. `label` names it for people; it is never derived from the token.
    pub fn new(token: &[u8], label: &str) -> Option<Self> {
        (!token.is_empty()).then(|| Self { token: Zeroizing::new(token.to_vec()), label: label.to_owned() })
    }

    /// Whether this is the whole token; compared in constant time.
    pub fn check(&self, claimed: &[u8]) -> Option<Vouched> {
        let is_it = aws_lc_rs::constant_time::verify_slices_are_equal(&self.token, claimed).is_ok();
        is_it.then(|| Vouched(Verified::new(&self.label, "token")))
    }

    /// The token itself, for the platforms' other side.
    #[cfg(feature = "simulate")]
    pub(crate) fn token(&self) -> &[u8] {
        &self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_it() {
        let token = SharedToken::new(b"a token of some length", "one").unwrap();
        assert!(token.check(b"a token of some length").is_some());
        for wrong in [&b""[..], b"a token of some lengt", b"a token of some length ", b"A token of some length"] {
            assert!(token.check(wrong).is_none(), "{wrong:?}");
        }
        assert!(SharedToken::new(b"", "none").is_none());
        assert!(!format!("{token:?}").contains("length"));
    }
}
