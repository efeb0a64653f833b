//! Mistakes that a configuration shows by itself, before any callback came.

use super::{Configured, Found, engine};

/// What is wrong with a channel's settings, seen beside the other channels'. Nothing is asked of anybody.
pub fn lint(own: Configured<'_>, others: &[Configured<'_>]) -> Vec<Found> {
    engine::lints(own, others)
}
