//! Floods of refused requests, and what must never reach the disk.

use http::HeaderValue;
use tollbell_channels::channel::Rejection;

use super::*;
use crate::inbox::conformance::{all, note, rows_when, sent, unknown_key};
use crate::inbox::rejections::{Refused, Rejections, Shelf};

/// Small enough that a flood fills them within a moment.
const LIMITS: RejectionLimits = RejectionLimits {
    window: Duration::from_mins(10),
    kept_in_window: 20,
    rows: 400,
    bytes: 300_000,
    proven_rows: 400,
    proven_bytes: 300_000,
    waiting_rows: 100,
    waiting_bytes: 100_000,
    written_rows: 100,
    write_every: Duration::from_millis(5),
};
/// Requests of a flood.
const FLOOD: u64 = 100_000;

fn opened() -> Temporary {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(START_MS));
    let options = Options { rejections: LIMITS, ..options(&clock) };
    let inbox = SqliteInbox::open(directory.path().join("inbox.db"), options).unwrap();
    Temporary { directory, inbox, clock }
}

/// Bytes of all files of the inbox.
fn bytes_on_disk(world: &Temporary) -> u64 {
    std::fs::read_dir(world.directory.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Rows and bytes of each shelf, as the table itself says.
fn shelves(world: &Temporary) -> Vec<(i64, u64, u64)> {
    let conn = rusqlite::Connection::open(world.path()).unwrap();
    let mut select = conn.prepare("SELECT shelf, count(*), sum(bytes) FROM rejections GROUP BY shelf").unwrap();
    let unsigned = |value: i64| u64::try_from(value).unwrap();
    select
        .query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?), unsigned(row.get(2)?))))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Has the writer look around: it writes refusals between two batches. Returns when nothing waits any more.
async fn settle(world: &Temporary) {
    for round in 0.. {
        assert!(round < 2000, "the log never empties");
        world.store(world.letter(&format!("settle {}", NotificationId::new()))).await.unwrap();
        if world.inbox.shared.refused.is_empty() {
            // The last slice may be on its way: what is stored now comes behind it.
            world.store(world.letter(&format!("settled {}", NotificationId::new()))).await.unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sends a flood of forgeries and stores callbacks in between.
async fn flood(world: &Temporary, source: impl Fn(u64) -> String) {
    for number in 0..FLOOD {
        let request = sent(world.now(), &source(number), &format!("out_trade_no={number}&sign=forged"));
        note(&*world.inbox, &Rejection::Signature, &request);
        if number % 1000 == 0 {
            world.store(world.letter(&format!("N{number}"))).await.unwrap();
        }
    }
    settle(world).await;
}

/// The one that matters, among the floods.
async fn genuine(world: &Temporary) -> RejectionId {
    note(&*world.inbox, &unknown_key(), &sent(world.now(), "203.0.113.5", "genuine=1"));
    rows_when(&*world.inbox, all(), |rows| rows.len() == 1).await[0].id
}

fn assert_bounded(world: &Temporary) {
    for (shelf, rows, bytes) in shelves(world) {
        assert!(rows <= LIMITS.rows / 2 && bytes <= LIMITS.bytes / 2, "{shelf}: {rows} rows, {bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_source_keeps_its_share() {
    let world = opened();
    let id = genuine(&world).await;
    flood(&world, |_| "198.51.100.9".to_owned()).await;
    let rows = world.inbox.rejections(all()).await.unwrap();
    assert_eq!(rows.len() as u64, 1 + u64::from(LIMITS.kept_in_window));
    let counted: u64 = rows.iter().map(|row| row.count + row.more).sum();
    assert_eq!(counted + world.inbox.rejections_lost(), FLOOD + 1, "each is kept, counted or known to be lost");
    assert!(world.inbox.rejection(id).await.unwrap().request.unwrap().is_whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_everywhere_stays_within_bounds_and_evicts_nothing_rare() {
    let world = opened();
    let id = genuine(&world).await;
    let rare = Rejection::Probe;
    note(&*world.inbox, &rare, &sent(world.now(), "203.0.113.6", "probe"));
    let before = bytes_on_disk(&world);
    flood(&world, |number| format!("10.{}.{}.1", number % 10_000 / 256, number % 10_000 % 256)).await;
    // Some reasons share a shelf: what is loud there gives way, not what is rare.
    for number in 0..5000_u64 {
        let source = format!("11.{}.{}.1", number / 256, number % 256);
        let rejection = Rejection::Missing { field: "sign".to_owned() };
        note(&*world.inbox, &rejection, &sent(world.now(), &source, &format!("n={number}")));
        if number % 50 == 0 {
            settle(&world).await;
        }
    }
    settle(&world).await;
    assert_bounded(&world);
    let rows = world.inbox.rejections(all()).await.unwrap();
    assert!(rows.iter().any(|row| row.id == id), "the genuine one is still there");
    assert!(rows.iter().any(|row| row.rejection == rare), "and the rare one");
    assert!(rows.iter().any(|row| row.rejection == Rejection::Signature));
    assert!(world.inbox.rejections_lost() > 0);
    // Six shelves, the callbacks stored in between, and what a log keeps before it is moved.
    let shelf = u64::try_from(Shelf::ALL.len()).unwrap() * LIMITS.bytes;
    let grown = bytes_on_disk(&world) - before;
    assert!(grown < shelf + 32 * 1024 * 1024, "{grown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_its_own_kind_leaves_the_quiet_network_alone() {
    let world = opened();
    let id = genuine(&world).await;
    for number in 0..3000 {
        note(&*world.inbox, &unknown_key(), &sent(world.now(), "198.51.100.9", &format!("n={number}")));
        if number % 20 == 0 {
            world.advance(LIMITS.window);
            settle(&world).await;
        }
    }
    settle(&world).await;
    assert_bounded(&world);
    assert!(world.inbox.rejection(id).await.is_ok(), "the largest network gave way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_delays_nobody() {
    let world = opened();
    let other = rusqlite::Connection::open(world.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Nothing can be written now, and nothing is waited for: all of these return.
    for number in 0..FLOOD {
        let source = format!("10.{}.{}.1", number % 10_000 / 256, number % 256);
        note(&*world.inbox, &Rejection::Signature, &sent(world.now(), &source, &format!("n={number}")));
    }
    note(&*world.inbox, &unknown_key(), &sent(world.now(), "203.0.113.5", "genuine=1"));
    assert!(world.inbox.rejections_lost() >= FLOOD - 20_000);
    let (rows, bytes) = world.inbox.shared.refused.waiting();
    assert!(rows <= 2 * LIMITS.waiting_rows && bytes <= 2 * LIMITS.waiting_bytes + 1000, "{rows} rows, {bytes} bytes");
    other.execute_batch("ROLLBACK").unwrap();
    let rows = rows_when(&*world.inbox, all(), |rows| rows.iter().any(|row| row.rejection == unknown_key())).await;
    assert!(!rows.is_empty());
}

#[tokio::test]
async fn what_waits_is_written_at_the_end() {
    let world = Temporary::new();
    for number in 0..100 {
        note(&*world.inbox, &unknown_key(), &sent(world.now(), &format!("10.0.{number}.1"), "a=1&n={number}"));
    }
    world.inbox.close().await;
    let again = SqliteInbox::open(world.path(), options(&world.clock)).unwrap();
    let groups = again.rejection_groups(all()).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), 100);
    again.close().await;
}

#[tokio::test]
async fn no_file_of_the_inbox_holds_a_credential() {
    const SECRET: &str = "sesame-4711";
    let world = Temporary::new();
    let armed = |mut request: tollbell_channels::model::RawRequest| {
        for name in ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-acme-api-key", "x-auth-token"] {
            request.headers.append(name, HeaderValue::from_str(&format!("Bearer {SECRET}")).unwrap());
        }
        request.query = Some(format!("a=1&token={SECRET}&access_token={SECRET}&key={SECRET}&secret={SECRET}"));
        request
    };
    let mut letter = world.letter("N1");
    letter.request = armed(letter.request);
    let id = world.store(letter).await.unwrap().notification();
    let refused = armed(sent(world.now(), "192.0.2.7", "a=1"));
    note(&*world.inbox, &unknown_key(), &refused);
    let rejection = Rejection::Undecryptable;
    let proven = Refused { channel: None, rejection: &rejection, request: &refused, is_read: true };
    world.inbox.store_rejection(proven).await.unwrap();
    let rows = rows_when(&*world.inbox, all(), |rows| rows.len() == 2).await;
    let mut again = world.letter("N2");
    again.request = armed(again.request);
    world.inbox.reverified_parts(parts(again), rows[0].id, "test".to_owned(), world.now()).await.unwrap();
    world.inbox.backup(&world.directory.path().join("copy.db")).await.unwrap();

    let mut looked_at = Vec::new();
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!has(SECRET.as_bytes()), "{}", path.display());
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        looked_at.push((path.extension().map(|e| e.to_string_lossy().into_owned()), has(b"[removed]")));
    }
    assert!(looked_at.iter().filter(|(_, has_mark)| *has_mark).count() >= 2, "the mark is where it was: {looked_at:?}");
    let stored = world.inbox.notification(id).await.unwrap().request.unwrap();
    assert_eq!(stored.headers["authorization"], "[removed]");
    assert_eq!(stored.headers.get_all("x-twice").iter().count(), 2, "all else is as it came");
}
