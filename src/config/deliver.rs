//! `[deliver]`: when deliveries are tried.

use std::time::Duration;

use super::reader::Section;
use super::server::positive;
use crate::messages::Message;

/// When deliveries are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverConfig {
    /// `ladder`, a list of waits, or `backoff = { first, max, tries }`. Default: growing waits from 5 s to
    /// 1 h with full jitter, 50 tries, which is about a day.
    pub backoff: BackoffConfig,
    /// `lease_margin`: time between an attempt's deadline and the end of its lease, for writing the result
    /// down on a slow disk. Default 10 s.
    pub lease_margin: Duration,
    /// `scan`: longest time between two looks for due deliveries. Default 1 s.
    pub scan: Duration,
}

/// The waits between tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackoffConfig {
    /// These waits; after the last one the delivery is given up.
    Ladder(Vec<Duration>),
    /// Growing waits with full jitter.
    Exponential {
        /// The first wait.
        first: Duration,
        /// No wait is longer.
        max: Duration,
        /// Tries in all.
        tries: u32,
    },
}

/// Default of `backoff.first`.
pub const FIRST: Duration = Duration::from_secs(5);
/// Default of `backoff.max`.
pub const MAX: Duration = Duration::from_hours(1);
/// Default of `backoff.tries`.
pub const TRIES: u64 = 50;
/// Most tries of a delivery.
pub const TRIES_MAX: u64 = 1000;
/// Default of `lease_margin`.
pub const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// Default of `scan`.
pub const SCAN: Duration = Duration::from_secs(1);

impl DeliverConfig {
    pub(super) fn read(section: Section<'_>) -> Self {
        let ladder = ladder(&section);
        let table = section.table("backoff");
        if ladder.is_some() && table.is_some() {
            section.problem("backoff", Message::new("config.ladder_or_backoff"));
        }
        let exponential = match table {
            Some(table) => {
                let first = positive(&table, "first", FIRST);
                let max = positive(&table, "max", MAX);
                let tries = table.number("tries").unwrap_or(TRIES);
                if tries == 0 || tries > TRIES_MAX {
                    table.problem("tries", Message::new("config.out_of_range").with("most", TRIES_MAX));
                }
                if max < first {
                    table.problem("max", Message::new("config.max_below_first"));
                }
                table.finish();
                BackoffConfig::Exponential { first, max, tries: u32::try_from(tries).unwrap_or(u32::MAX) }
            }
            None => BackoffConfig::Exponential { first: FIRST, max: MAX, tries: 50 },
        };
        let config = Self {
            backoff: ladder.map_or(exponential, BackoffConfig::Ladder),
            lease_margin: positive(&section, "lease_margin", LEASE_MARGIN),
            scan: positive(&section, "scan", SCAN),
        };
        section.finish();
        config
    }
}

/// `ladder`, with its length checked.
pub(super) fn ladder(section: &Section<'_>) -> Option<Vec<Duration>> {
    let ladder = section.durations("ladder")?;
    if ladder.len() as u64 > TRIES_MAX {
        section.problem("ladder", Message::new("config.too_many").with("most", TRIES_MAX));
    }
    Some(ladder)
}
