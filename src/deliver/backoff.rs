//! When to try again.

use std::time::Duration;

/// The waits between tries. After the last one the delivery is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// These waits, exactly.
    Ladder(Vec<Duration>),
    /// Growing waits with full jitter: a number between nothing and the wait, so that many deliveries
    /// that failed together do not come back together.
    Exponential {
        /// The first wait.
        first: Duration,
        /// No wait is longer.
        max: Duration,
        /// Tries in all.
        tries: u32,
    },
}

/// Doublings after which an exponential wait is at its maximum in any sensible setting; bounds the shift.
const DOUBLINGS_MAX: u32 = 30;

/// Even a fully jittered wait is this long: a failing target is never hammered.
const WAIT_MIN: Duration = Duration::from_millis(100);

impl Backoff {
    /// No wait is longer.
    pub fn longest(&self) -> Duration {
        match self {
            Self::Ladder(waits) => waits.iter().copied().max().unwrap_or_default(),
            Self::Exponential { max, .. } => (*max).max(WAIT_MIN),
        }
    }

    /// The wait after the failed try number `tries` (1 for the first), or `None` when there is none left.
    /// `chance` is a fraction of 0 ≤ f < 1.
    pub fn wait(&self, tries: u32, chance: f64) -> Option<Duration> {
        match self {
            Self::Ladder(waits) => waits.get(usize::try_from(tries.checked_sub(1)?).ok()?).copied(),
            Self::Exponential { first, max, tries: most } => {
                if tries >= *most {
                    return None;
                }
                let doubled = first.saturating_mul(1 << (tries.saturating_sub(1)).min(DOUBLINGS_MAX));
                let wait = doubled.min(*max).mul_f64(chance.clamp(0.0, 1.0));
                Some(wait.max(WAIT_MIN))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_ends() {
        let ladder = Backoff::Ladder(vec![Duration::from_secs(4), Duration::from_secs(10)]);
        assert_eq!(ladder.wait(1, 0.5), Some(Duration::from_secs(4)));
        assert_eq!(ladder.wait(2, 0.5), Some(Duration::from_secs(10)));
        assert_eq!(ladder.wait(3, 0.5), None);
        assert_eq!(Backoff::Ladder(vec![]).wait(1, 0.5), None);
        assert_eq!(ladder.longest(), Duration::from_secs(10));
    }

    #[test]
    fn exponential_waits_grow_to_their_maximum_and_end() {
        let backoff = Backoff::Exponential { first: Duration::from_secs(2), max: Duration::from_mins(1), tries: 100 };
        let nearly_one = 1.0 - f64::EPSILON;
        let near = |tries: u32, seconds: u64| {
            let wait = backoff.wait(tries, nearly_one).unwrap();
            assert!(wait.abs_diff(Duration::from_secs(seconds)) < Duration::from_millis(1), "{tries}: {wait:?}");
        };
        for (tries, seconds) in [2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            near(u32::try_from(tries).unwrap() + 1, seconds);
        }
        near(99, 60);
        assert_eq!(backoff.wait(100, nearly_one), None);
        assert_eq!(backoff.wait(1, 0.0), Some(WAIT_MIN));
    }
}
