//! Time and chance, handed in. Nothing else in the product looks at a clock or draws a number.

use std::sync::Arc;

use tollbell_channels::model::Timestamp;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Draws a fraction of 0 ≤ f < 1.
pub type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The system's clock.
pub fn system() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    Arc::new(Timestamp::now)
}

/// Chance from the system's random source.
pub fn system_chance() -> Chance {
    Arc::new(|| {
        let mut bytes = [0u8; 4];
        // A source that fails takes the jitter away and nothing else.
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            return 0.5;
        }
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    })
}

/// Bytes that nobody can foresee; none when the system's random source fails.
pub fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes).ok().map(|()| bytes)
}
