//! The checks that a verification made, told one by one to whoever explains why none of them held.
//!
//! Nothing is told while nobody listens, and what is told changes nothing: a verification that is listened to decides as
//! any other. A [`Trial`] can be made again over another text, which says what a sender may have signed; it has no way to
//! a [`super::Verified`], so that nothing is ever accepted by it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

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

/// A check that did or did not hold.
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
    /// The signatures that the request offered, as they were compared: decoded, or as text.
    pub claimed: Vec<Vec<u8>>,
    /// Whether one of them matched.
    pub held: bool,
    /// Whether it takes an operation with a public key, which is dear.
    pub is_public_key: bool,
    again: Rc<dyn Fn(&[Part], &[u8]) -> bool>,
}

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
    /// A check; `again` makes it over other parts and another signature.
    pub(super) fn new(
        algorithm: &'static str,
        key: &str,
        variant: &'static str,
        again: impl Fn(&[Part], &[u8]) -> bool + 'static,
    ) -> Self {
        Self {
            algorithm,
            key: key.to_owned(),
            variant,
            signed: Vec::new(),
            is_place_secret: false,
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

    /// Whether the same key signed this text so. Counts as an operation, see [`listen`].
    pub(crate) fn would_hold(&self, signed: &[Part], claimed: &[u8]) -> bool {
        if self.is_public_key {
            OPERATIONS.set(OPERATIONS.get() + 1);
        }
        (self.again)(signed, claimed)
    }
}

/// All texts of the parts, one behind the other; for checks without a secret among them.
pub(super) fn joined(parts: &[Part]) -> Vec<u8> {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) => text.as_slice(),
        Part::Secret => &[],
    });
    texts.collect::<Vec<_>>().concat()
}

thread_local! {
    static HEARD: RefCell<Option<Vec<Trial>>> = const { RefCell::new(None) };
    static OPERATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Makes a call and keeps the checks that it makes on this thread.
pub(crate) fn listen<T>(call: impl FnOnce() -> T) -> (T, Vec<Trial>) {
    /// Nobody listens any more, also after a panic.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            HEARD.set(None);
        }
    }
    HEARD.set(Some(Vec::new()));
    let end = End;
    let made = call();
    let heard = HEARD.take().unwrap_or_default();
    drop(end);
    (made, heard)
}

/// How many operations with public keys this thread has made since it began, as far as somebody listened.
pub(crate) fn operations() -> usize {
    OPERATIONS.get()
}

/// Counts an operation with a public key that is no check by itself, when somebody listens.
pub(super) fn spend() {
    HEARD.with_borrow(|heard| {
        if heard.is_some() {
            OPERATIONS.set(OPERATIONS.get() + 1);
        }
    });
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
        let (verdict, heard) = listen(|| key.verify_any(b"massage", &[&tag], "plain").is_some());
        assert!(!verdict);
        let [trial] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!((trial.signed.as_slice(), trial.held), (&[Part::Text(b"massage".to_vec())][..], false));
        assert!(trial.would_hold(&[Part::Text(b"mess".to_vec()), Part::Text(b"age".to_vec())], &tag));
        assert!(!trial.would_hold(&[Part::Text(b"massage".to_vec())], &tag));
        let shown = format!("{trial:?}");
        assert!(shown.contains("one") && !shown.contains("massage"), "{shown}");
        assert!(std::panic::catch_unwind(|| listen(|| panic!("on purpose"))).is_err());
        let again = listen(|| ()).1;
        assert!(again.is_empty(), "{again:?}");
    }
}
