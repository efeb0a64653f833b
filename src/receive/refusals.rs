//! Refusals in the log: the first of each kind at once, those after it as one line with their number. A flood
//! of forgeries must not become a flood of lines; the metrics count every one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// Lines of one kind come no faster.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// What was refused and not told yet. A kind is a channel's id and a word: both are closed sets.
#[derive(Default)]
pub struct Refusals(Mutex<HashMap<(Arc<str>, &'static str), Untold>>);

struct Untold {
    told_at: Instant,
    count: u64,
    last_source: Option<IpAddr>,
}

impl Refusals {
    /// Tells what became of a request, now or with others of its kind. `what` is the line's text.
    pub fn tell(
        &self,
        what: &'static str,
        channel: &Arc<str>,
        reason: &'static str,
        why: &dyn std::fmt::Display,
        source: Option<IpAddr>,
    ) {
        let Some(untold) = self.note(channel, reason, source, Instant::now()) else { return };
        let untold = (untold > 0).then_some(untold);
        warn!(%channel, reason, why = %why, source = source.map(tracing::field::display), untold, "{what}");
    }

    /// How many were not told before this one; `None` when this one is not told either.
    fn note(&self, channel: &Arc<str>, reason: &'static str, source: Option<IpAddr>, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(untold) = kinds.get_mut(&(channel.clone(), reason)) {
            if now.duration_since(untold.told_at) < INTERVAL {
                untold.count += 1;
                untold.last_source = source;
                return None;
            }
            untold.told_at = now;
            return Some(std::mem::take(&mut untold.count));
        }
        kinds.insert((channel.clone(), reason), Untold { told_at: now, count: 0, last_source: source });
        Some(0)
    }

    /// Tells what waits longer than [`INTERVAL`], and forgets kinds that were quiet.
    pub fn flush(&self) {
        for (channel, reason, untold) in self.due(Instant::now()) {
            let source = untold.last_source.map(tracing::field::display);
            warn!(%channel, reason, source, count = untold.count, "several more of the same kind");
        }
    }

    fn due(&self, now: Instant) -> Vec<(Arc<str>, &'static str, Untold)> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        kinds.retain(|(channel, reason), untold| {
            if now.duration_since(untold.told_at) < INTERVAL {
                return true;
            }
            if untold.count == 0 {
                return false;
            }
            let told =
                Untold { told_at: now, count: std::mem::take(&mut untold.count), last_source: untold.last_source };
            due.push((channel.clone(), *reason, told));
            untold.told_at = now;
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_an_interval_and_every_one_is_counted() {
        let refusals = Refusals::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let start = Instant::now();
        assert_eq!(refusals.note(&a, "signature", None, start), Some(0), "the first is told");
        for _ in 0..1000 {
            assert_eq!(refusals.note(&a, "signature", None, start), None);
        }
        assert_eq!(refusals.note(&a, "stale", None, start), Some(0), "another reason is another kind");
        assert_eq!(refusals.note(&b, "signature", None, start), Some(0), "another channel too");
        assert!(refusals.due(start).is_empty());
        let later = start + INTERVAL;
        let due = refusals.due(later);
        assert_eq!(due.len(), 1);
        assert_eq!((&*due[0].0, due[0].1, due[0].2.count), ("a", "signature", 1000));
        assert_eq!(refusals.0.lock().unwrap().len(), 1, "quiet kinds are forgotten");
        assert_eq!(refusals.note(&a, "signature", None, later), None);
        assert_eq!(refusals.note(&a, "signature", None, later + INTERVAL), Some(1));
    }
}
