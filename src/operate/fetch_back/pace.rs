//! When a platform may be asked: its own pace, the shares of the grounds on which hints stand, and the peace that it is
//! left in after it could not answer.

use std::time::Duration;

use tokio::time::Instant;
use tollbell_channels::channel::Pace;

use super::settle::Ended;
use crate::inbox::hints::Ground;

/// Hints of new networks are asked about at most in every so many gaps: a quarter of the pace.
const NEW_EVERY: u32 = 4;
/// Hints of networks that mostly named what does not exist are asked about at most in every so many gaps. At the usual
/// pace this is one question in five seconds, however many are invented.
const DOUBTFUL_EVERY: u32 = 20;
/// The first pause after the platform could not answer, or did not accept our credential; doubled each time.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// The first pause after it did not accept our credential, which somebody has to mend; doubled each time.
const DENIED_FIRST: Duration = Duration::from_secs(10);
/// The longest such pause. A changed configuration ends it.
const DENIED_MAX: Duration = Duration::from_mins(10);

/// What was asked when.
#[derive(Debug, Default)]
pub(super) struct Turns {
    last: Option<Instant>,
    last_new: Option<Instant>,
    last_doubtful: Option<Instant>,
    /// When a look found nothing to ask about: each hint of every channel wakes all who ask.
    found_nothing: Option<Instant>,
    paused_until: Option<Instant>,
    pauses: u32,
}

fn wait(last: Option<Instant>, gap: Duration, now: Instant) -> Duration {
    last.map_or(Duration::ZERO, |last| (last + gap).saturating_duration_since(now))
}

impl Turns {
    /// The grounds that may be asked about now, or how long to wait. The small shares come first when they are due, so
    /// that nothing starves them; they are never more than shares.
    pub(super) fn open(&self, now: Instant, pace: Pace) -> Result<Vec<Ground>, Duration> {
        let wait_all = self.pause(now).max(wait(self.last.max(self.found_nothing), pace.gap, now));
        if !wait_all.is_zero() {
            return Err(wait_all);
        }
        let mut grounds = Vec::with_capacity(3);
        // A platform that could not answer is tried with what counts: otherwise numbers that bring errors, first in every
        // turn, would pause it for ever.
        if !self.answers() {
            grounds.push(Ground::Proven);
        }
        if self.wait_doubtful(now, pace).is_zero() {
            grounds.push(Ground::Doubtful);
        }
        if self.wait_new(now, pace).is_zero() {
            grounds.push(Ground::New);
        }
        if self.answers() {
            grounds.push(Ground::Proven);
        }
        Ok(grounds)
    }

    /// Whether the last question had an answer.
    pub(super) fn answers(&self) -> bool {
        self.pauses == 0
    }

    /// How long until another ground than now may be asked about.
    pub(super) fn next_ground(&self, now: Instant, pace: Pace) -> Duration {
        let waits = [self.wait_new(now, pace), self.wait_doubtful(now, pace)];
        waits.into_iter().filter(|wait| !wait.is_zero()).min().unwrap_or_default()
    }

    /// How long the platform is left in peace.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        self.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn wait_new(&self, now: Instant, pace: Pace) -> Duration {
        wait(self.last_new, pace.gap.saturating_mul(NEW_EVERY), now)
    }

    fn wait_doubtful(&self, now: Instant, pace: Pace) -> Duration {
        wait(self.last_doubtful, pace.gap.saturating_mul(DOUBTFUL_EVERY), now)
    }

    /// A look found nothing: the next one has its gap as a question has.
    pub(super) fn found_nothing(&mut self, now: Instant) {
        self.found_nothing = Some(now);
    }

    /// A question begins.
    pub(super) fn begin(&mut self, now: Instant, ground: Ground) {
        self.last = Some(now);
        match ground {
            Ground::Proven => {}
            Ground::New => self.last_new = Some(now),
            Ground::Doubtful => self.last_doubtful = Some(now),
        }
    }

    /// A question took so many requests more, a login among them: each has its gap.
    pub(super) fn more(&mut self, requests: u32, pace: Pace) {
        self.last = self.last.map(|last| last + pace.gap.saturating_mul(requests));
    }

    /// A question has ended.
    pub(super) fn end(&mut self, now: Instant, ended: Ended) {
        let doubled = |first: Duration, max: Duration| first.saturating_mul(1 << self.pauses.min(16)).min(max);
        let pause = match ended {
            Ended::Answered => {
                (self.pauses, self.paused_until) = (0, None);
                return;
            }
            Ended::Unavailable => doubled(PAUSE_FIRST, PAUSE_MAX),
            Ended::Denied => doubled(DENIED_FIRST, DENIED_MAX),
            Ended::Throttled(after) => after.unwrap_or_default().max(doubled(PAUSE_FIRST, PAUSE_MAX)),
        };
        self.pauses = self.pauses.saturating_add(1);
        self.paused_until = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { gap: Duration::from_millis(250), gap_of_number: Duration::from_secs(5) };

    /// Every ground always has something: who is asked about, in a minute of questions that take no time?
    #[test]
    fn strangers_have_their_share_and_no_more() {
        let (mut turns, begin) = (Turns::default(), Instant::now());
        let mut asked = Vec::new();
        let mut now = begin;
        while now < begin + Duration::from_mins(1) {
            match turns.open(now, PACE) {
                Ok(grounds) => {
                    asked.push(grounds[0]);
                    turns.begin(now, grounds[0]);
                    turns.end(now, Ended::Answered);
                }
                Err(wait) => now += wait,
            }
        }
        let count = |ground| asked.iter().filter(|asked| **asked == ground).count();
        assert_eq!(asked.len(), 240);
        assert_eq!((count(Ground::New), count(Ground::Doubtful)), (60, 12));
    }

    #[test]
    fn alone_they_get_no_more_than_their_share_either() {
        let (mut turns, begin) = (Turns::default(), Instant::now());
        turns.begin(begin, Ground::Doubtful);
        let next = begin + PACE.gap;
        assert_eq!(turns.open(next, PACE), Ok(vec![Ground::New, Ground::Proven]));
        assert_eq!(turns.next_ground(next, PACE), PACE.gap * 19);
        turns.begin(next, Ground::New);
        assert_eq!(turns.open(next + PACE.gap, PACE), Ok(vec![Ground::Proven]));
        assert_eq!(turns.next_ground(next + PACE.gap, PACE), PACE.gap * 3);
    }

    #[test]
    fn a_login_takes_a_turn_of_its_own() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        turns.begin(now, Ground::Proven);
        turns.more(2, PACE);
        turns.end(now, Ended::Answered);
        assert_eq!(turns.open(now, PACE), Err(PACE.gap * 3));
        assert!(turns.open(now + PACE.gap * 3, PACE).is_ok());
    }

    #[test]
    fn a_platform_that_cannot_answer_is_left_in_peace() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let mut pauses = Vec::new();
        for ended in [Ended::Unavailable, Ended::Unavailable, Ended::Throttled(None), Ended::Unavailable] {
            turns.end(now, ended);
            pauses.push(turns.pause(now).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8]);
        turns.end(now, Ended::Throttled(Some(Duration::from_mins(5))));
        assert_eq!(turns.open(now, PACE), Err(Duration::from_mins(5)));
        turns.end(now, Ended::Answered);
        assert!(turns.open(now, PACE).is_ok());
        for _ in 0..20 {
            turns.end(now, Ended::Unavailable);
        }
        assert_eq!(turns.pause(now), PAUSE_MAX);
        turns.end(now, Ended::Denied);
        assert_eq!(turns.pause(now), DENIED_MAX);
    }

    #[test]
    fn numbers_that_bring_errors_do_not_starve_those_that_are_known() {
        let (mut turns, begin) = (Turns::default(), Instant::now());
        let (mut now, mut proven) = (begin, 0);
        // Every ground always has something, and all but proven ground ends in an error.
        while now < begin + Duration::from_hours(1) {
            match turns.open(now, PACE) {
                Ok(grounds) => {
                    turns.begin(now, grounds[0]);
                    let is_proven = grounds[0] == Ground::Proven;
                    proven += i32::from(is_proven);
                    turns.end(now, if is_proven { Ended::Answered } else { Ended::Unavailable });
                }
                Err(wait) => now += wait,
            }
        }
        assert!(proven > 1000, "{proven}");
        turns.end(now, Ended::Unavailable);
        assert_eq!(turns.open(now + PAUSE_MAX, PACE).unwrap()[0], Ground::Proven);
    }
}
