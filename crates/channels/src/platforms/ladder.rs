//! A ladder that several platforms climb.

use std::time::Duration;

use crate::channel::Ladder;

/// Fifteen attempts in 24 hours and 4 minutes. It stands in, too, where a platform's own gaps are not confirmed.
pub(super) const DAY: Ladder = &[
    Duration::from_secs(15),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_mins(3),
    Duration::from_mins(10),
    Duration::from_mins(20),
    Duration::from_mins(30),
    Duration::from_mins(30),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(3),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(6),
];
