//! How hints are found: what runs with a callback, before a question and after it walks over none of the many rows that
//! are remembered.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tollbell_channels::channel::Hint;
use tollbell_channels::signature::hmac::{HmacHash, HmacKey};

use super::super::session::Lazy;
use super::super::{Options, SqliteInbox};
use super::*;
use crate::inbox::Admin as _;
use crate::inbox::hints::{CLOSED_MAX, LeasedHint, NETWORKS_MAX};

const START_MS: i64 = 1_795_000_000_000;
const GAP: Duration = Duration::from_secs(5);

/// A writing connection that says which statements run on hints.
struct Traced {
    _folder: tempfile::TempDir,
    session: Session,
    statements: Arc<Mutex<BTreeSet<String>>>,
    now: Timestamp,
}

impl Traced {
    async fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = folder.path().join("inbox.db");
        let now = Timestamp::from_millisecond(START_MS).unwrap();
        SqliteInbox::open(path.clone(), Options::new(Arc::new(move || now))).unwrap().close().await;
        let mut conn = Connection::open(path).unwrap();
        let statements = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = statements.clone();
        conn.trace_v2(
            TraceEventCodes::SQLITE_TRACE_STMT,
            Some(move |event: TraceEvent<'_>| {
                if let TraceEvent::Stmt(statement, _) = event {
                    seen.lock().unwrap().insert(statement.sql().split_whitespace().collect::<Vec<_>>().join(" "));
                }
            }),
        )
        .unwrap();
        Self { _folder: folder, session: Session::new(conn, Lazy::default()), statements, now }
    }

    fn pass(&mut self, by: Duration) {
        self.now = self.now.checked_add(by).unwrap();
    }

    fn tell(&mut self, hint: Hint, source: Option<IpAddr>) -> Noted {
        let told = Told { channel: "test".to_owned(), hint, source, at: self.now, gap: GAP };
        noted::note(&mut self.session, &told).unwrap().0
    }

    fn told(&mut self, text: &str, source: &str) -> Noted {
        self.tell(Hint::from_anybody(HintNumber::new(text).unwrap()), Some(source.parse().unwrap()))
    }

    fn claim(&mut self, takes_over: bool) -> Option<LeasedHint> {
        let grounds = Ground::ALL.to_vec();
        let lease = Duration::from_secs(20);
        let claim = HintClaim { channel: "test".to_owned(), grounds, now: self.now, lease, takes_over };
        match asked::take(&mut self.session, &claim).unwrap() {
            HintClaimed::Leased(leased) => Some(leased),
            HintClaimed::Nothing(_) => None,
        }
    }

    fn end(&mut self, leased: &LeasedHint, said: Said, again: Option<Duration>) {
        let end = End {
            channel: "test".to_owned(),
            number: leased.number.clone(),
            token: leased.token,
            now: self.now,
            gap: GAP,
            said,
            outcome: "test",
            again: again.map(|wait| self.now.checked_add(wait).unwrap()),
        };
        assert!(asked::finish(&mut self.session, &end, None).unwrap());
    }

    /// A claim that finds something, and its end.
    fn asks(&mut self, said: Said, again: Option<Duration>) {
        let leased = self.claim(false).expect("one that is due");
        self.end(&leased, said, again);
    }

    /// Writes from beside: that is not among the statements.
    fn set(&self, sql: &str) {
        let ran = self.ran();
        self.session.conn.execute_batch(sql).unwrap();
        *self.statements.lock().unwrap() = ran;
    }

    /// The statements that ran since the last look.
    fn ran(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.statements.lock().unwrap())
    }

    /// Every step of a statement's plan that reads a table or an index.
    fn plan(&self, sql: &str) -> Vec<String> {
        let mut explain = self.session.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        explain.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap()
    }
}

fn vouched(text: &str) -> Hint {
    let key = HmacKey::new(b"secret", HmacHash::Sha256, "key");
    let verified = key.verify_any(b"m", &[key.sign(b"m").as_slice()], "plain").unwrap();
    Hint::from_platform(HintNumber::new(text).unwrap(), &verified)
}

/// Everything that becomes of hints between a callback and the end of its question.
fn lives(world: &mut Traced) {
    for (text, source) in [("tr_1", "198.51.100.7"), ("tr_2", "192.0.2.1"), ("tr_3", "192.0.2.1")] {
        assert_eq!(world.told(text, source), Noted::Kept);
    }
    assert!(world.claim(true).is_some(), "one who begins");
    assert!(world.claim(true).is_some());
    for said in [Said::Known, Said::Unknown, Said::Nothing] {
        world.pass(Duration::from_mins(1));
        world.asks(said, None);
    }
    world.pass(Duration::from_mins(20));
    for text in ["tr_1", "tr_2", "tr_3"] {
        assert_eq!(world.told(text, "198.51.100.7"), Noted::Kept, "named again");
    }
    let leased = world.claim(false).unwrap();
    assert_eq!(world.tell(Hint::from_anybody(leased.number.clone()), None), Noted::Again, "while it is asked about");
    world.end(&leased, Said::Nothing, Some(Duration::from_hours(1)));
    world.pass(Duration::from_mins(1));
    assert_eq!(world.tell(vouched(leased.number.as_str()), None), Noted::Again, "sooner, and on better ground");
    assert_eq!(world.tell(Hint::from_doubtful(HintNumber::new("tr_4").unwrap()), None), Noted::Kept);
    assert_eq!(world.told("tr_4", "203.0.113.9"), Noted::Again, "on the same ground, and not doubtful");
    // Networks are too many.
    world.set(&format!("UPDATE hint_networks SET open = 0; UPDATE hint_totals SET networks = {NETWORKS_MAX}"));
    assert_eq!(world.told("tr_5", "203.0.113.10"), Noted::Kept);
    world.set(&format!("UPDATE hint_networks SET open = 1; UPDATE hint_totals SET networks = {NETWORKS_MAX}"));
    assert_eq!(world.told("tr_6", "203.0.113.11"), Noted::Kept);
    // Closed rows are too many.
    world.set(&format!("UPDATE hint_totals SET closed = {}", CLOSED_MAX + 100));
    assert_eq!(world.told("tr_7", "198.51.100.7"), Noted::Kept);
    while let Some(leased) = world.claim(false) {
        world.end(&leased, Said::Known, None);
    }
    assert!(world.claim(true).is_none(), "nothing is due");
    world.now = Timestamp::from_millisecond(START_MS - 1000).unwrap();
    assert!(world.claim(false).is_none(), "the clock was set back");
}

/// Whether a step of a plan goes to a few rows, whatever is remembered: one row by its key, or the first of an index's.
fn goes_to_few(step: &str) -> bool {
    let few = [
        "USING PRIMARY KEY (channel=? AND number=?)",
        "USING PRIMARY KEY (channel=? AND network=?)",
        "USING INTEGER PRIMARY KEY (rowid=?)",
        // The oldest of what is over, as many as are wanted.
        "hints_closed (channel=? AND state=?",
        "hint_networks_idle (channel=?",
    ];
    let reads = step.starts_with("SEARCH") || step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
    !step.contains("TEMP B-TREE") && (!reads || few.iter().any(|few| step.contains(few)))
}

/// Whether a step goes over open hints alone, and finds them by their index.
fn goes_to_open(step: &str) -> bool {
    !step.contains("TEMP B-TREE") && step.contains("hints_open (channel=? AND state")
}

/// What goes over the open hints: the looks of who asks, and a network that stands on other ground from now on.
fn is_look(sql: &str) -> bool {
    sql.starts_with("SELECT min(due_at)")
        || sql.contains("ORDER BY turn LIMIT 1")
        || sql.starts_with("UPDATE hints") && sql.contains("state <= 1")
}

#[tokio::test]
async fn no_statement_walks_over_what_is_remembered() {
    let mut world = Traced::new().await;
    world.ran();
    lives(&mut world);
    let ran: Vec<String> = world.ran().into_iter().filter(|sql| sql.contains("hint")).collect();
    assert!(ran.len() >= 25, "{ran:#?}");
    let mut walks = Vec::new();
    for sql in &ran {
        let plan = world.plan(sql);
        if !plan.iter().all(|step| goes_to_few(step) || is_look(sql) && goes_to_open(step)) {
            walks.push((sql, plan));
        }
    }
    assert!(walks.is_empty(), "{walks:#?}");
}

#[tokio::test]
async fn what_no_clock_plans_is_looked_for_now_and_then() {
    let mut world = Traced::new().await;
    assert_eq!(world.told("tr_1", "198.51.100.7"), Noted::Kept);
    world.asks(Said::Nothing, Some(Duration::from_hours(1)));
    let looked =
        |world: &Traced| world.ran().iter().any(|sql| sql.starts_with("UPDATE hints") && sql.contains("due_at > ?2"));
    assert!(world.claim(false).is_none() && looked(&world));
    assert!(world.claim(false).is_none() && !looked(&world), "a moment ago");
    world.pass(Duration::from_secs(30));
    assert!(world.claim(false).is_none() && looked(&world), "half a minute ago");
    world.now = world.now.checked_sub(Duration::from_secs(1)).unwrap();
    assert!(world.claim(false).is_none() && looked(&world), "the clock was set back");
}
