//! The bound on answered hints, reached by rows that are written from beside.

use tollbell_channels::channel::{Hint, HintNumber};

use super::super::super::hints::{CLOSED_MAX, HintFilter, HintState, Hints as _, Noted, Told};
use super::super::rows::to_ms;
use super::*;

impl Temporary {
    async fn told(&self, number: &str) -> Noted {
        let told = Told {
            channel: "test".to_owned(),
            hint: Hint::from_anybody(HintNumber::new(number).unwrap()),
            source: Some("192.0.2.1".parse().unwrap()),
            at: self.now(),
            gap: Duration::from_secs(5),
        };
        self.inbox.note_hint(told).await.unwrap()
    }

    async fn hint_state(&self, number: &str) -> Option<HintState> {
        let filter = HintFilter { number: Some(number.to_owned()), limit: 1, ..HintFilter::default() };
        self.inbox.hints(filter).await.unwrap().first().map(|record| record.state)
    }
}

#[tokio::test]
async fn what_does_not_exist_is_forgotten_before_what_was_answered() {
    let world = Temporary::without_disk();
    world.told("tr_first").await;
    let now = to_ms(world.now());
    let conn = rusqlite::Connection::open(world.path()).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    // Some were answered, as many as there may be in all are unknown, and none has had its time.
    let made = conn
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + 9)
             INSERT INTO hints (channel, number, network, is_vouched, is_counted, class, state, due_at, turn, is_known,
                 first_at, last_at)
             SELECT (SELECT id FROM words WHERE text = 'test'), 'tr_' || i, x'', 0, 0, 0, CASE WHEN i < 10 THEN 2 ELSE 3 END,
                 ?2 + 100000 + i, 0, i < 10, ?2, ?2 FROM n",
            (CLOSED_MAX, now),
        )
        .unwrap();
    assert_eq!(i64::try_from(made).unwrap(), CLOSED_MAX + 10);
    conn.execute("UPDATE hint_totals SET closed = ?1", [CLOSED_MAX + 10]).unwrap();
    assert_eq!(world.told("tr_next").await, Noted::Kept);
    let closed: i64 = conn.query_row("SELECT count(*) FROM hints WHERE state >= 2", [], |row| row.get(0)).unwrap();
    let counted: i64 = conn.query_row("SELECT closed FROM hint_totals", [], |row| row.get(0)).unwrap();
    assert_eq!((closed, counted), (CLOSED_MAX, CLOSED_MAX));
    assert_eq!(
        world.hint_state("tr_0").await,
        Some(HintState::Answered),
        "answered ones stay, although they are older"
    );
    assert_eq!((world.hint_state("tr_10").await, world.hint_state("tr_19").await), (None, None));
    assert_eq!(world.hint_state("tr_20").await, Some(HintState::Unknown));
    assert_eq!(world.hint_state("tr_first").await, Some(HintState::Due), "what is open is never forgotten");
}
