//! Mistakes that a configuration shows by itself, before any callback came.

use zeroize::Zeroizing;

use super::findings::index::Index;
use super::findings::secrets;
use super::{Configured, Evidence, Found, engine};

/// The fact that names the setting in which the mistake stands.
pub const SETTING: &str = "setting";

/// What is wrong with a channel's settings, seen beside the other channels'. Nothing is asked of anybody.
pub fn lint(own: Configured<'_>, others: &[Configured<'_>]) -> Vec<Found> {
    engine::lints(own, others)
}

/// All channels of a configuration, to be looked at one beside the others: what they hold is read once.
pub struct Together<'c> {
    all: Vec<Configured<'c>>,
    index: Index,
}

impl<'c> Together<'c> {
    /// These channels.
    pub fn of(all: Vec<Configured<'c>>) -> Self {
        let index = Index::of(&all);
        Self { all, index }
    }

    /// The channels, in their order.
    pub fn all(&self) -> &[Configured<'c>] {
        &self.all
    }

    /// What is wrong with these settings of the channel in this place, as [`lint`] tells it beside all the others.
    pub fn lint(&self, place: usize, own: Configured<'_>) -> Vec<Found> {
        lint(own, &self.index.beside(&self.all, place, &own))
    }
}

/// The settings that hold public keys which the channel believes.
pub fn believed_settings(own: Configured<'_>) -> Vec<&'static str> {
    secrets::believed_settings(&own)
}

/// Public keys that the channel believes, and whose private halves stand in one of these files, each with its name: what
/// the merchant can sign with is the merchant's own.
pub fn private_half_beside(own: Configured<'_>, files: &[(String, Zeroizing<Vec<u8>>)]) -> Vec<Found> {
    let facts = secrets::private_half_beside(&own, files).into_iter();
    facts.map(|facts| Found { finding: &secrets::OWN_PUBLIC_KEY, proof: Evidence::Configured, facts }).collect()
}
