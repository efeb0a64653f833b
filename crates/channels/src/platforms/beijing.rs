//! The zone in which Chinese platforms write their times.

use jiff::tz::Offset;

/// China has kept one zone without summer time since 1991.
pub(super) const BEIJING: Offset = Offset::constant(8);
