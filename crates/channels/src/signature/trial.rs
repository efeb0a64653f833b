//! The checks that a verification made, told one by one to whoever explains why none of them held.
//!
//! Nothing is told while nobody listens, and what is told changes nothing: a verification that is listened to decides as
//! any other. A [`Trial`] can be made again over another text and by other arithmetic, which says what a sender may have
//! signed; it has no way to a [`super::Verified`], so that nothing is ever accepted by it, and none to what the arithmetic
//! gives, so that nobody learns what a signature should have been.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::digest::{DigestHash, HexCase};
use super::hmac::HmacHash;

/// Most checks of one verification that are kept. A channel with every key that it may have makes fewer.
pub const TRIALS_MAX: usize = 64;

/// A piece of a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(Vec<u8>),
    /// The secret has its place here.
    Secret,
}

/// By which arithmetic a check is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The channel's own.
    Own,
    /// The channel's own, over the lower-case hexadecimal text of this digest of what was signed.
    Hashed(DigestHash),
    /// The channel's own without the digest that it makes of the text first. Where it makes none, nothing holds.
    Unhashed,
    /// With a secret: the digest of the parts as they stand.
    Digest(DigestHash),
    /// With a secret: the HMAC of the parts under it.
    Hmac(HmacHash),
    /// With a public key: RSA with PKCS #1 v1.5 padding around `DigestInfo` and this digest.
    Rsa(DigestHash),
    /// With a public key: RSA with that padding around the lower-case hexadecimal text of this digest.
    RsaBare(DigestHash),
    /// With a public key: RSA with PSS padding (RFC 8017, section 8.1) and SHA-256.
    RsaPss,
}

/// A check that did or did not hold.
#[expect(clippy::struct_excessive_bools, reason = "four independent facts about one check")]
#[derive(Clone)]
pub struct Trial {
    /// The algorithm, for people.
    pub algorithm: &'static str,
    /// The key's label.
    pub key: String,
    /// The rule that made the text.
    pub variant: &'static str,
    /// What was taken for the signed text.
    pub signed: Vec<Part>,
    /// Whether the secret's place among the parts follows from its bytes, so that nobody may be shown it.
    pub is_place_secret: bool,
    /// Whether the text was opened with a secret, so that nobody may be shown it: with a wrong one, it is made of its bytes.
    pub is_sealed: bool,
    /// The digest that is made of the text before it is signed, where the protocol signs a digest's text.
    pub first: Option<DigestHash>,
    /// The signatures that the request offered, as they were compared: decoded, or as text.
    pub claimed: Vec<Vec<u8>>,
    /// Whether one of them matched.
    pub held: bool,
    /// Whether it takes an operation with a public key, which is dear.
    pub is_public_key: bool,
    again: Again,
}

/// Makes a check again: by which arithmetic, over which parts, and the signature.
type Again = Rc<dyn Fn(How, &[Part], &[u8]) -> bool>;

impl fmt::Debug for Trial {
    /// Says which check, not over what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, key, variant, held, .. } = self;
        f.debug_struct("Trial")
            .field("algorithm", algorithm)
            .field("key", key)
            .field("variant", variant)
            .field("held", held)
            .finish_non_exhaustive()
    }
}

impl Trial {
    /// A check; `again` makes it by other arithmetic, over other parts and another signature. What it cannot do does not
    /// hold.
    pub(super) fn new(
        algorithm: &'static str,
        key: &str,
        variant: &'static str,
        again: impl Fn(How, &[Part], &[u8]) -> bool + 'static,
    ) -> Self {
        Self {
            algorithm,
            key: key.to_owned(),
            variant,
            signed: Vec::new(),
            is_place_secret: false,
            is_sealed: IS_SEALED.get(),
            first: None,
            claimed: Vec::new(),
            held: false,
            is_public_key: false,
            again: Rc::new(again),
        }
    }

    /// A check with a public key over a text.
    pub(super) fn public_key(mut self, text: &[u8], claimed: &[u8], held: bool) -> Self {
        self.signed = vec![Part::Text(text.to_vec())];
        self.claimed = vec![claimed.to_vec()];
        self.held = held;
        self.is_public_key = true;
        self
    }

    /// A check with a secret over parts.
    pub(super) fn secret(mut self, signed: Vec<Part>, claimed: &[&[u8]], held: bool) -> Self {
        self.signed = signed;
        self.claimed = claimed.iter().map(|claimed| claimed.to_vec()).collect();
        self.held = held;
        self
    }

    /// The parts where the secret's place follows from its bytes; it is told at the end.
    pub(super) fn with_secret_place(mut self) -> Self {
        self.is_place_secret = true;
        self
    }

    /// The digest that is made of the text before it is signed.
    pub(super) fn hashed_first(mut self, first: Option<DigestHash>) -> Self {
        self.first = first;
        self
    }

    /// Whether the same key signed this text so. Counts as an operation, see [`listen`].
    pub(crate) fn would_hold(&self, how: How, signed: &[Part], claimed: &[u8]) -> bool {
        if self.is_public_key {
            OPERATIONS.set(OPERATIONS.get() + 1);
        }
        (self.again)(how, signed, claimed)
    }
}

/// All texts of the parts, one behind the other; for checks without a secret among them.
fn joined(parts: &[Part]) -> Vec<u8> {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) => text.as_slice(),
        Part::Secret => &[],
    });
    texts.collect::<Vec<_>>().concat()
}

/// What the channel's own arithmetic with a public key signs in this way. `first` is the digest that it makes of the text
/// by itself.
pub(super) fn public_text(how: How, first: Option<DigestHash>, parts: &[Part]) -> Option<Vec<u8>> {
    let text = joined(parts);
    let hashed = |hash: DigestHash, text: &[u8]| hash.hex_of(&[text], HexCase::Lower).into_bytes();
    let own = |text: Vec<u8>| first.map_or_else(|| text.clone(), |first| hashed(first, &text));
    match how {
        How::Own => Some(own(text)),
        How::Hashed(hash) => Some(own(hashed(hash, &text))),
        How::Unhashed => first.map(|_| text),
        _ => None,
    }
}

/// The parts' bytes, with the secret at its places.
pub(super) fn with_secret<'p>(parts: &'p [Part], secret: &'p [u8]) -> Vec<&'p [u8]> {
    let bytes = |part: &'p Part| match part {
        Part::Text(text) => text.as_slice(),
        Part::Secret => secret,
    };
    parts.iter().map(bytes).collect()
}

thread_local! {
    static HEARD: RefCell<Option<Vec<Trial>>> = const { RefCell::new(None) };
    static OPERATIONS: Cell<usize> = const { Cell::new(0) };
    static OPERATIONS_MAX: Cell<usize> = const { Cell::new(usize::MAX) };
    static IS_SEALED: Cell<bool> = const { Cell::new(false) };
}

/// Makes checks whose text was opened with a secret, see [`Trial::is_sealed`].
pub(crate) fn sealed<T>(call: impl FnOnce() -> T) -> T {
    /// The next check is an open one, also after a panic.
    struct End(bool);
    impl Drop for End {
        fn drop(&mut self) {
            IS_SEALED.set(self.0);
        }
    }
    let _end = End(IS_SEALED.replace(true));
    call()
}

/// Makes a call and keeps the checks that it makes on this thread. With a public key it makes so many at most: the ones
/// behind do not hold, see [`is_spent`].
pub(crate) fn listen<T>(operations_max: usize, call: impl FnOnce() -> T) -> (T, Vec<Trial>) {
    /// Who listened before listens again, also after a panic.
    struct End(Option<Vec<Trial>>, usize);
    impl Drop for End {
        fn drop(&mut self) {
            HEARD.set(self.0.take());
            OPERATIONS_MAX.set(self.1);
        }
    }
    let most = OPERATIONS.get().saturating_add(operations_max).min(OPERATIONS_MAX.get());
    let end = End(HEARD.replace(Some(Vec::new())), OPERATIONS_MAX.replace(most));
    let made = call();
    let heard = HEARD.take().unwrap_or_default();
    drop(end);
    (made, heard)
}

/// How many operations with public keys this thread has made since it began, as far as somebody listened.
pub(crate) fn operations() -> usize {
    OPERATIONS.get()
}

/// Whether somebody listens and has no operation with a public key left: the check is not made then, and does not hold.
/// Without a listener it never is.
pub(super) fn is_spent() -> bool {
    OPERATIONS.get() >= OPERATIONS_MAX.get()
}

/// Counts an operation with a public key that is no check by itself, when somebody listens.
pub(super) fn spend() {
    HEARD.with_borrow(|heard| {
        if heard.is_some() {
            OPERATIONS.set(OPERATIONS.get() + 1);
        }
    });
}

/// Whether somebody listens: the verification is one of an explanation then, and nothing may be kept of it.
pub(crate) fn is_heard() -> bool {
    HEARD.with_borrow(Option::is_some)
}

/// Makes checks that nobody but a listener needs.
pub(crate) fn when_heard(call: impl FnOnce()) {
    if is_heard() {
        call();
    }
}

/// Tells a check, when somebody listens.
pub(super) fn tell(make: impl FnOnce() -> Trial) {
    HEARD.with_borrow_mut(|heard| {
        let Some(heard) = heard else { return };
        let trial = make();
        if trial.is_public_key {
            OPERATIONS.set(OPERATIONS.get() + 1);
        }
        if heard.len() < TRIALS_MAX {
            heard.push(trial);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::hmac::{HmacHash, HmacKey};

    #[test]
    fn checks_are_heard_only_while_somebody_listens_and_prove_nothing() {
        let key = HmacKey::new(b"a secret of some length", HmacHash::Sha256, "one");
        let tag = key.sign(b"message");
        assert!(key.verify_any(b"before", &[&tag], "plain").is_none());
        let (verdict, heard) = listen(0, || key.verify_any(b"massage", &[&tag], "plain").is_some());
        assert!(!verdict);
        let [trial] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!((trial.signed.as_slice(), trial.held), (&[Part::Text(b"massage".to_vec())][..], false));
        assert!(trial.would_hold(How::Own, &[Part::Text(b"mess".to_vec()), Part::Text(b"age".to_vec())], &tag));
        assert!(!trial.would_hold(How::Own, &[Part::Text(b"massage".to_vec())], &tag));
        let shown = format!("{trial:?}");
        assert!(shown.contains("one") && !shown.contains("massage"), "{shown}");
        assert!(std::panic::catch_unwind(|| listen(1, || panic!("on purpose"))).is_err());
        let again = listen(1, || ()).1;
        assert!(again.is_empty(), "{again:?}");
        // Within another listener, each hears its own.
        let (inner, outer) = listen(5, || {
            key.verify_any(b"one", &[&tag], "plain");
            let inner = listen(1, || drop(key.verify_any(b"two", &[&tag], "plain"))).1;
            key.verify_any(b"three", &[&tag], "plain");
            inner
        });
        assert_eq!((inner.len(), outer.len()), (1, 2));
        assert!(!is_spent());
    }
}
