//! By which way a notification came to us.

use tollbell_channels::model::Proof;

/// By which way a notification came. Its proof says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// The platform sent it: its request is kept as it came.
    Callback,
    /// We asked, because of a hint: what is kept is the platform's answer.
    Hint,
}

impl Way {
    /// Of a notification with this proof.
    pub fn of(proof: &Proof) -> Self {
        match proof {
            Proof::Signature { .. } => Self::Callback,
            Proof::PlatformApi { .. } => Self::Hint,
        }
    }

    /// The stable word, which applications see as the origin of an event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Hint => "hint",
        }
    }
}
