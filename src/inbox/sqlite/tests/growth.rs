//! The files stay bounded under callbacks, retention and people who look for long.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::inbox::{Retention, Search as _};

/// Callbacks in all.
const CALLBACKS: usize = 100_000;
/// Between two runs of retention.
const ROUND: usize = 20_000;
/// Under way at once.
const TOGETHER: usize = 2000;
const AGE: Duration = Duration::from_hours(1);

async fn fill(world: &Temporary, round: usize) {
    for start in (0..ROUND).step_by(TOGETHER) {
        let mut batch = tokio::task::JoinSet::new();
        for n in start..start + TOGETHER {
            let number = format!("{round}-{n:06}");
            let letter = letter(world.now(), &number, vec![payment(&number, 1000)], &[]);
            let inbox = Arc::clone(&world.inbox);
            batch.spawn(async move { inbox.store_parts(parts(letter)).await });
        }
        while let Some(stored) = batch.join_next().await {
            assert!(matches!(stored.unwrap(), Ok(Stored::New { .. })));
        }
    }
}

/// Reads as long as it may, one snapshot after the other.
async fn look_for_long(inbox: Arc<SqliteInbox>, is_done: Arc<AtomicBool>) {
    while !is_done.load(Ordering::SeqCst) {
        let watched = Arc::clone(&is_done);
        let read = inbox.shared.readers.read(move |conn| {
            conn.query_row("SELECT count(*) FROM notifications", [], |_| Ok(()))?;
            let mut steps =
                conn.prepare("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")?;
            let mut rows = steps.query([])?;
            while rows.next()?.is_some() && !watched.load(Ordering::SeqCst) {}
            Ok(())
        });
        // Cut off at the end of its time, or at the end of the test.
        drop(read.await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_callbacks_with_retention_and_long_readers_stay_within_bounds() {
    let world = Temporary::new();
    let is_done = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    // Two, so that there is no moment without one.
    for n in 0..2_u64 {
        let (inbox, is_done) = (Arc::clone(&world.inbox), Arc::clone(&is_done));
        readers.spawn(async move {
            tokio::time::sleep(Duration::from_millis(2500 * n)).await;
            look_for_long(inbox, is_done).await;
        });
    }
    let retention = Retention { bodies: AGE, identities: AGE, rejections: AGE, slice: 1000 };
    let mut sizes = Vec::new();
    let mut wal_most = 0;
    for round in 0..CALLBACKS / ROUND {
        fill(&world, round).await;
        wal_most = wal_most.max(files::length(&beside(&world.path(), "-wal")));
        world.advance(AGE + Duration::from_secs(1));
        while !world.inbox.retain(retention, world.now()).await.unwrap().is_done {
            wal_most = wal_most.max(files::length(&beside(&world.path(), "-wal")));
        }
        let size = world.inbox.size().await.unwrap();
        assert_eq!(size.notifications, 0, "all were old enough");
        sizes.push(size);
    }
    is_done.store(true, Ordering::SeqCst);
    while readers.join_next().await.is_some() {}
    world.inbox.close().await;
    assert_eq!(files::length(&beside(&world.path(), "-wal")), 0, "the log is emptied at the end");
    let (first, last) = (sizes[1].bytes, sizes[sizes.len() - 1].bytes);
    assert!(last <= first + first / 4, "freed pages are used again: {sizes:?}");
    assert!(wal_most <= 2 * writer::LOG_BYTES_MAX, "the log grew to {wal_most} bytes");
}
