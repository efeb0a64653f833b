//! The bounds on hints, reached by floods, and by rows that are written from beside.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::task::JoinSet;
use tollbell_channels::channel::{Hint, HintNumber};
use tollbell_channels::signature::hmac::{HmacHash, HmacKey};

use super::super::super::hints::{
    CLOSED_MAX, Ground, HintClaim, HintClaimed, HintEnd, HintFilter, HintState, Hints as _, Learned, NETWORKS_MAX,
    Noted, OPEN_STRANGERS_MAX, OPEN_UNVOUCHED_MAX, PLACES_OF_NETWORK, Told,
};
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
                 first_at, last_at, waits_since)
             SELECT (SELECT id FROM words WHERE text = 'test'), 'tr_' || i, x'', 0, 0, 0, CASE WHEN i < 10 THEN 2 ELSE 3 END,
                 ?2 + 100000 + i, 0, i < 10, ?2, ?2, ?2 FROM n",
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

/// Invented numbers from one sender, and from many: a hundred thousand in all.
const FLOOD_OF_ONE: usize = 30_000;
const FLOOD: usize = 70_000;
/// As many of them come once more.
const AGAIN: usize = 2_000;
/// Senders of the second one.
const SENDERS: usize = 10_000;
/// Hints that arrive at once, so that commits are shared as on a busy node.
const AT_ONCE: usize = 2_000;
/// Most bytes that the files may take: a row of each bound at some 200 bytes, with its indexes, and the WAL beside them.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What the tables hold.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    open: i64,
    closed: i64,
    networks: i64,
}

impl Temporary {
    /// Names many numbers; says what became of them, as often as each.
    async fn flood(&self, names: impl Iterator<Item = (String, IpAddr)>) -> HashMap<&'static str, usize> {
        let mut became: HashMap<&'static str, usize> = HashMap::new();
        let mut names = names.peekable();
        while names.peek().is_some() {
            let mut arriving = JoinSet::new();
            for (number, source) in names.by_ref().take(AT_ONCE) {
                let hint = Hint::from_anybody(HintNumber::new(&number).unwrap());
                let gap = Duration::from_secs(5);
                let told = Told { channel: "test".to_owned(), hint, source: Some(source), at: self.now(), gap };
                let inbox = self.inbox.clone();
                arriving.spawn(async move { inbox.note_hint(told).await.unwrap() });
            }
            for noted in arriving.join_all().await {
                *became.entry(noted.as_str()).or_default() += 1;
            }
        }
        became
    }

    /// What is in the tables, which must be what they say that they hold.
    fn rows(&self) -> Rows {
        let conn = rusqlite::Connection::open(self.path()).unwrap();
        conn.busy_timeout(PATIENCE).unwrap();
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let rows = Rows {
            open: count("SELECT count(*) FROM hints WHERE state <= 1"),
            closed: count("SELECT count(*) FROM hints WHERE state >= 2"),
            networks: count("SELECT count(*) FROM hint_networks"),
        };
        let said = Rows {
            open: count("SELECT open FROM hint_totals"),
            closed: count("SELECT closed FROM hint_totals"),
            networks: count("SELECT networks FROM hint_totals"),
        };
        assert_eq!(rows, said);
        assert_eq!(rows.open, count("SELECT sum(open) FROM hint_networks"), "each has a place of its network");
        rows
    }

    /// Has the platform say of the next number on these grounds that it does not know it.
    async fn disowned(&self, grounds: &[Ground]) -> bool {
        let claim = HintClaim {
            channel: "test".to_owned(),
            grounds: grounds.to_vec(),
            now: self.now(),
            lease: Duration::from_secs(20),
            takes_over: false,
        };
        let HintClaimed::Leased(leased) = self.inbox.claim_hint(claim).await.unwrap() else { return false };
        let end = HintEnd {
            channel: "test".to_owned(),
            number: leased.number,
            token: leased.token,
            now: self.now(),
            gap: Duration::from_secs(5),
            learned: Learned::Unknown,
            outcome: "unknown",
            again: None,
            if_late: None,
        };
        assert!(self.inbox.end_hint(end).await.unwrap().was_held);
        true
    }
}

fn sender(index: usize) -> IpAddr {
    let [_, a, b, c] = u32::try_from(index << 8).unwrap().to_be_bytes();
    [10 + a, b, c, 1].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_a_hundred_thousand_fills_the_bounds_and_no_more() {
    let world = Temporary::without_disk();
    let (crowd, places) = ("203.0.113.9".parse().unwrap(), usize::try_from(PLACES_OF_NETWORK).unwrap());
    // From one sender.
    let became = world.flood((0..FLOOD_OF_ONE).map(|index| (format!("tr_a{index}"), crowd))).await;
    assert_eq!(became, HashMap::from([("kept", places), ("full", FLOOD_OF_ONE - places)]));
    assert_eq!(world.rows(), Rows { open: i64::from(PLACES_OF_NETWORK), closed: 0, networks: 1 });
    // From ten thousand: each has its places, until there are none for whoever proved nothing.
    let became = world.flood((0..FLOOD).map(|index| (format!("tr_b{index}"), sender(index % SENDERS)))).await;
    let left = usize::try_from(OPEN_STRANGERS_MAX).unwrap() - places;
    assert_eq!(became, HashMap::from([("kept", left), ("full", FLOOD - left)]));
    let rows = world.rows();
    assert_eq!((rows.open, rows.closed), (OPEN_STRANGERS_MAX, 0));
    assert!(rows.networks <= NETWORKS_MAX, "{rows:?}");
    // Some of them once more: what waits is the same row, and what had no room has none.
    let around = left - AGAIN / 2..left + AGAIN / 2;
    let became = world.flood(around.map(|index| (format!("tr_b{index}"), sender(index % SENDERS)))).await;
    assert_eq!(became, HashMap::from([("again", AGAIN / 2), ("full", AGAIN / 2)]));
    assert_eq!(world.rows(), rows);
    // What the platform does not know gives its place back, and is not asked again.
    for _ in 0..500 {
        assert!(world.disowned(&[Ground::New]).await);
    }
    assert_eq!(world.rows(), Rows { open: OPEN_STRANGERS_MAX - 500, closed: 500, networks: rows.networks });
    let filter = HintFilter { state: Some(HintState::Unknown), limit: 500, ..HintFilter::default() };
    let unknown: Vec<String> = world.inbox.hints(filter).await.unwrap().into_iter().map(|row| row.number).collect();
    let became = world.flood(unknown.into_iter().map(|number| (number, crowd))).await;
    assert_eq!(became, HashMap::from([("unknown", 1), ("full", 499)]), "who finds no room is told so");
    // More senders than are remembered share the places of one.
    let strangers = usize::try_from(NETWORKS_MAX).unwrap() - SENDERS + 2_000;
    let became = world.flood((0..strangers).map(|index| (format!("tr_c{index}"), sender(SENDERS + index)))).await;
    assert_eq!(became, HashMap::from([("kept", 499), ("full", strangers - 499)]));
    assert!(world.rows().networks <= NETWORKS_MAX);
    // Nor does it help them to name what others opened on worse ground: a message that does not prove itself, here.
    let before = world.rows();
    let conn = rusqlite::Connection::open(world.path()).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute("UPDATE hints SET class = 2, is_doubtful = 1 WHERE state = 0", []).unwrap();
    let open: Vec<String> = conn
        .prepare("SELECT number FROM hints WHERE state = 0 LIMIT 10000")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let newcomers = SENDERS + strangers;
    let became =
        world.flood(open.into_iter().enumerate().map(|(index, number)| (number, sender(newcomers + index)))).await;
    assert_eq!(became, HashMap::from([("again", 10_000)]));
    let after = world.rows();
    assert_eq!((after.open, after.closed), (before.open, before.closed));
    assert!(after.networks <= NETWORKS_MAX, "{after:?}");
    let bytes: u64 =
        std::fs::read_dir(world.directory.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
}

#[tokio::test]
async fn what_knows_the_secret_has_room_when_all_others_have_none() {
    let world = Temporary::without_disk();
    world.told("tr_first").await;
    assert!(world.disowned(Ground::ALL).await);
    let conn = rusqlite::Connection::open(world.path()).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    // Its network is known for good numbers, and the channel is full of others'.
    conn.execute("UPDATE hint_networks SET known = 100, unknown = 0", []).unwrap();
    conn.execute("UPDATE hint_totals SET open = ?1", [OPEN_UNVOUCHED_MAX]).unwrap();
    assert_eq!(world.told("tr_second").await, Noted::Full);
    let key = HmacKey::new(b"secret", HmacHash::Sha256, "key");
    let verified = key.verify_any(b"m", &[key.sign(b"m").as_slice()], "plain").unwrap();
    let hint = Hint::from_platform(HintNumber::new("tr_second").unwrap(), &verified);
    let told = Told { channel: "test".to_owned(), hint, source: None, at: world.now(), gap: Duration::from_secs(5) };
    assert_eq!(world.inbox.note_hint(told).await.unwrap(), Noted::Kept);
}
