//! `[retention]`: how long things are kept.

use std::time::Duration;

use super::reader::Section;
use super::server::positive;
use crate::messages::Message;

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// `bodies`: the exact requests. Default 90 days.
    pub bodies: Duration,
    /// `identities`: what makes one fact one event. Never less than `bodies`. Default three years.
    pub identities: Duration,
    /// `rejections`: refused requests. Default 30 days.
    pub rejections: Duration,
    /// `every`: how often what is older is looked for. Default 1 h.
    pub every: Duration,
    /// `slice`: rows that are removed at once, so that callbacks never wait long. Default 500.
    pub slice: usize,
}

const DAY: Duration = Duration::from_hours(24);
/// Default of `bodies`.
pub const BODIES: Duration = DAY.saturating_mul(90);
/// Default of `identities`.
pub const IDENTITIES: Duration = DAY.saturating_mul(1095);
/// Default of `rejections`.
pub const REJECTIONS: Duration = DAY.saturating_mul(30);
/// Default of `every`.
pub const EVERY: Duration = Duration::from_hours(1);
/// Default of `slice`.
pub const SLICE: u64 = 500;
/// Largest `slice`: about a tenth of a second of the writer's time.
pub const SLICE_MAX: u64 = 10_000;

impl RetentionConfig {
    pub(super) fn read(section: Section<'_>) -> Self {
        let bodies = positive(&section, "bodies", BODIES);
        let identities = positive(&section, "identities", IDENTITIES);
        if identities < bodies {
            section.problem("identities", Message::new("config.identities_short"));
        }
        let rejections = positive(&section, "rejections", REJECTIONS);
        let every = positive(&section, "every", EVERY);
        let slice = section.number("slice").unwrap_or(SLICE);
        if slice == 0 || slice > SLICE_MAX {
            section.problem("slice", Message::new("config.out_of_range").with("most", SLICE_MAX));
        }
        section.finish();
        Self { bodies, identities, rejections, every, slice: usize::try_from(slice).unwrap_or(usize::MAX) }
    }
}
