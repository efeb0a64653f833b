//! Time: a platform without a window gives the same verdict at any time, one with a window refuses both
//! the past and the future.

use jiff::SignedDuration;
use tollbell_channels::channel::{Rejection, Verdict};
use tollbell_channels::model::RawRequest;

use super::world::{at, worlds};

const DAY: i64 = 86_400;

#[test]
fn the_verdict_depends_on_the_time_only_as_stale() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let key = world.accepts("at its time", &genuine.request).key();
            let is_stale = |seconds: i64| -> bool {
                let now = at() + SignedDuration::from_secs(seconds);
                let request = RawRequest { received_at: now, ..genuine.request.clone() };
                match world.channel.verify(&request, now) {
                    Verdict::Genuine(proven) => {
                        assert_eq!(proven.value().key(), key, "{}: {}", world.platform.kind, story.kind);
                        false
                    }
                    Verdict::Refused(Rejection::Stale { seconds: distance }) => {
                        assert_eq!(distance.signum(), seconds.signum(), "positive when the message is old");
                        true
                    }
                    other => panic!("{}: {} s later: {other:?}", world.platform.kind, seconds),
                }
            };
            assert!(!is_stale(0));
            let has_window = is_stale(600);
            for seconds in [600, DAY, 400 * DAY, 3_650 * DAY] {
                assert_eq!(is_stale(seconds), has_window, "{}: {seconds} s after", world.platform.kind);
                assert_eq!(is_stale(-seconds), has_window, "{}: {seconds} s before", world.platform.kind);
            }
        }
    }
}
