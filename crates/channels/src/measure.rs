//! What cryptography a verification does, told step by step to whoever measures it (feature `measure`).
//!
//! A step is a call into a cryptographic library that a platform's protocol prescribes for a message, and can be made
//! again, alone, while the verification waits: so the measured one has the very keys and bytes of the real one. Without
//! the feature, and while nobody watches, there is nothing.
//!
//! Not among the steps is what the protocol does not ask for, such as the digest that names a notification of ours.

#[cfg(feature = "measure")]
pub use watch::{Watcher, watched};

/// The step at which a message is proven: nothing to make again, but a place in the order.
pub const PROOF: &str = "proof";

/// Tells a step to the watcher, if there is one: its name, the bytes that it covers, and how to make it again.
#[cfg(feature = "measure")]
pub(crate) fn step<T>(name: &'static str, bytes: usize, again: impl Fn() -> T) {
    watch::tell(name, bytes, &|| drop(std::hint::black_box(again())));
}

/// Nothing: nobody can watch.
#[cfg(not(feature = "measure"))]
pub(crate) fn step<T>(_: &'static str, _: usize, _: impl Fn() -> T) {}

#[cfg(feature = "measure")]
mod watch {
    use std::cell::RefCell;

    /// Gets each step: its name, the bytes that it covers, and itself.
    pub type Watcher = Box<dyn FnMut(&'static str, usize, &dyn Fn())>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    }

    /// Makes a call whose steps on this thread are told to the watcher.
    pub fn watched<T>(watcher: Watcher, call: impl FnOnce() -> T) -> T {
        WATCHER.set(Some(watcher));
        let made = call();
        WATCHER.set(None);
        made
    }

    pub(super) fn tell(name: &'static str, bytes: usize, again: &dyn Fn()) {
        // Taken out for the time: steps inside a step are not told.
        let Some(mut watcher) = WATCHER.take() else { return };
        watcher(name, bytes, again);
        WATCHER.set(Some(watcher));
    }
}

#[cfg(all(test, feature = "measure"))]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::signature::digest::{DigestHash, HexCase, SecretDigest};

    #[test]
    fn only_a_watched_call_tells_its_steps() {
        let steps = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&steps);
        let key = SecretDigest::new(b"secret", DigestHash::Md5, HexCase::Lower, "key").unwrap();
        let sign = key.sign(b"text", b"");
        let verify = || key.verify(b"text", b"", sign.as_bytes(), "v");
        assert!(verify().is_some());
        let watcher = Box::new(move |name, bytes, again: &dyn Fn()| {
            again();
            seen.borrow_mut().push((name, bytes));
        });
        assert!(watched(watcher, verify).is_some());
        assert!(verify().is_some());
        assert_eq!(*steps.borrow(), [("MD5", 10), (PROOF, 0)]);
    }
}
