//! Checking signatures: the only place where a [`Verified`] can be made, and so the only source of
//! [`crate::model::Proven`] messages.

/// A check that succeeded. It has no public constructor: what holds one went through this module.
#[derive(Debug)]
pub struct Verified {
    key: String,
    variant: &'static str,
}

impl Verified {
    /// For this module's own checks only.
    fn new(key: &str, variant: &'static str) -> Self {
        Self { key: key.to_owned(), variant }
    }

    /// The key's label and the variant that matched.
    pub(crate) fn into_parts(self) -> (String, &'static str) {
        (self.key, self.variant)
    }
}
