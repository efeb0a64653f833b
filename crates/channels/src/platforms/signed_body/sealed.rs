//! The sealed part of a signed message: AES-256-GCM under a key that the merchant shares with the platform.
//!
//! The platform signs more than notifications with the same key: the answers of its interfaces, too. What tells a
//! notification from them is its `resource`, which no answer has; a body without one is refused, whoever signed it.
//! With one it is the platform's word about something, and is not refused because it is laid out in a new way: what
//! another key or another algorithm could open is told so, so that it is repeated, and anything else is held.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::channel::{Rejection, quote};
use crate::cipher::gcm::{Gcm, NONCE_BYTES_MAX};
use crate::model::Concern;

/// What is in place of the box.
#[derive(Debug)]
pub(in crate::platforms) enum Sealed {
    /// A box that a key opens, or does not.
    Box {
        /// Of any length.
        nonce: String,
        /// Under the tag, and not sealed.
        associated: String,
        /// Ciphertext and tag.
        boxed: Vec<u8>,
    },
    /// Another algorithm's.
    Algorithm(String),
    /// Nothing that any key opens.
    Nothing,
}

/// A member of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::platforms) enum Member {
    /// A text.
    Text(String),
    /// Not there, or null.
    Absent,
    /// Something that is no text.
    Odd,
}

impl Member {
    /// The text of a member that is always there and never empty; anything else is a concern about `field`.
    pub(in crate::platforms) fn needed(self, field: &str, concerns: &mut Vec<Concern>) -> Option<String> {
        let field = field.to_owned();
        match self {
            Self::Text(text) if !text.is_empty() => return Some(text),
            Self::Text(_) | Self::Absent => concerns.push(Concern::MissingField { field }),
            Self::Odd => concerns.push(Concern::UnreadableText { field }),
        }
        None
    }
}

impl Sealed {
    /// Reads the members of a resource. `algorithm` is the platform's word for the only one that is accepted.
    pub(in crate::platforms) fn read(
        algorithm: &str,
        member: impl Fn(&str) -> Member,
        concerns: &mut Vec<Concern>,
    ) -> Self {
        let Some(found) = member("algorithm").needed("resource.algorithm", concerns) else { return Self::Nothing };
        if found != algorithm {
            return Self::Algorithm(found);
        }
        let nonce = member("nonce").needed("resource.nonce", concerns);
        let ciphertext = member("ciphertext").needed("resource.ciphertext", concerns);
        let associated = match member("associated_data") {
            Member::Text(text) => Some(text),
            Member::Absent => Some(String::new()),
            Member::Odd => {
                concerns.push(unreadable("associated_data"));
                None
            }
        };
        let (Some(nonce), Some(ciphertext), Some(associated)) = (nonce, ciphertext, associated) else {
            return Self::Nothing;
        };
        if nonce.len() > NONCE_BYTES_MAX {
            concerns.push(unreadable("nonce"));
            return Self::Nothing;
        }
        let Ok(boxed) = STANDARD.decode(ciphertext) else {
            concerns.push(unreadable("ciphertext"));
            return Self::Nothing;
        };
        Self::Box { nonce, associated, boxed }
    }

    /// What the box holds; nothing where there is none that a key could open, which is among the concerns.
    ///
    /// # Errors
    /// [`Rejection::Undecryptable`], [`Rejection::Algorithm`].
    pub(in crate::platforms) fn open(&self, cipher: &Gcm) -> Result<Vec<u8>, Rejection> {
        match self {
            Self::Box { nonce, associated, boxed } => {
                cipher.open(nonce.as_bytes(), associated.as_bytes(), boxed).ok_or(Rejection::Undecryptable)
            }
            Self::Algorithm(algorithm) => Err(Rejection::Algorithm { algorithm: quote(algorithm) }),
            Self::Nothing => Ok(Vec::new()),
        }
    }

    /// How large the closed box is.
    pub(in crate::platforms) fn bytes(&self) -> usize {
        match self {
            Self::Box { boxed, .. } => boxed.len(),
            _ => 0,
        }
    }
}

fn unreadable(name: &str) -> Concern {
    Concern::UnreadableText { field: format!("resource.{name}") }
}

/// The name of a kind, for people.
pub(in crate::platforms) fn kind_of(event_type: &str) -> String {
    if event_type.is_empty() { "unknown".to_owned() } else { quote(event_type) }
}
