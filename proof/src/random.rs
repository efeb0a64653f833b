//! Chance that can be had again: the same seed gives the same choices.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// A small generator (`SplitMix64`). Good enough to choose by, and nothing secret depends on it.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The choices of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for one thing of a seed, so that adding a choice here moves none there.
    pub fn of(seed: u64, thing: &str, number: u64) -> Self {
        let mut random = Self(seed);
        for byte in thing.bytes() {
            random = Self(random.number() ^ u64::from(byte));
        }
        Self(random.number() ^ number)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or_default()
    }

    /// A position in something of this length.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A time between the two.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.below(span.max(1)))
    }

    /// One of them.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// Puts them into a new order.
    pub fn shuffle<T>(&mut self, them: &mut [T]) {
        for last in (1..them.len()).rev() {
            them.swap(last, self.index(last + 1));
        }
    }
}

/// A seed that nobody chose.
pub fn fresh_seed() -> u64 {
    // Short enough to be typed again.
    RandomState::new().hash_one(std::process::id()) % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_choices_and_another_gives_others() {
        let choices = |seed, thing| {
            let mut random = Random::of(seed, thing, 3);
            [random.below(1000), random.below(1000), random.below(1000)]
        };
        assert_eq!(choices(1, "x"), choices(1, "x"));
        assert_ne!(choices(1, "x"), choices(2, "x"));
        assert_ne!(choices(1, "x"), choices(1, "y"));
    }

    #[test]
    fn every_place_is_reached() {
        let mut random = Random::new(7);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[random.index(10)] = true;
        }
        assert_eq!(seen, [true; 10]);
        assert_eq!(random.below(0), 0);
    }
}
