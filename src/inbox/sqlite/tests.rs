//! The conformance suite on SQLite, and what only files and disks can show.

use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicI64;
use std::time::Instant;

use tollbell_channels::model::Proof;

use super::intake::Unpacked;
use super::*;
use crate::inbox::conformance::histories::Reopens;
use crate::inbox::conformance::{self, Keeper, Letter, conformance_suite, event_target, letter, payment};
use crate::inbox::{Inbox, RejectionId};

mod cancelled;
mod ends;
mod floods;
mod growth;
mod hints;
mod histories;

/// An inbox in a directory of its own.
pub(super) struct Temporary {
    directory: tempfile::TempDir,
    pub(super) inbox: Arc<SqliteInbox>,
    clock: Arc<AtomicI64>,
}

const START_MS: i64 = 1_795_000_000_000;
/// A state that does not come within this time never comes.
const PATIENCE: Duration = Duration::from_secs(20);

impl Temporary {
    pub(super) fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    /// Where nothing has to reach a disk, if there is such a place: for thousands of commits whose durability is not
    /// what is tested.
    fn without_disk() -> Self {
        Self::in_folder(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn in_folder(directory: tempfile::TempDir) -> Self {
        let clock = Arc::new(AtomicI64::new(START_MS));
        let inbox = SqliteInbox::open(directory.path().join("inbox.db"), options(&clock)).unwrap();
        Self { directory, inbox, clock }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("inbox.db")
    }

    fn letter(&self, number: &str) -> Letter {
        letter(self.now(), number, vec![payment(number, 1000)], &[event_target("shop")])
    }
}

fn options(clock: &Arc<AtomicI64>) -> Options {
    let clock = Arc::clone(clock);
    Options::new(Arc::new(move || Timestamp::from_millisecond(clock.load(Ordering::SeqCst)).unwrap()))
}

fn parts(letter: Letter) -> Box<Parts> {
    Box::new(Parts::new(Unpacked {
        channel: "test".into(),
        merchant: "default".into(),
        platform: "testpay",
        notification: letter.notification,
        proof: Proof::Signature { key: "test key".to_owned(), variant: "plain".to_owned() },
        request: letter.request,
        signed_query: None,
        routes: letter.routes,
        is_shadow: letter.is_shadow,
    }))
}

#[async_trait]
impl Keeper for Temporary {
    fn inbox(&self) -> &dyn Inbox {
        &*self.inbox
    }

    async fn store(&self, letter: Letter) -> Result<Stored, Error> {
        self.inbox.store_parts(parts(letter)).await
    }

    async fn store_reverified(&self, letter: Letter, rejection: RejectionId) -> Result<Stored, Error> {
        self.inbox.reverified_parts(parts(letter), rejection, "test".to_owned(), self.now()).await
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    fn advance(&self, by: Duration) {
        self.clock.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Reopens for Temporary {
    async fn reopen(&mut self) {
        self.inbox.close().await;
        self.inbox = SqliteInbox::open(self.path(), options(&self.clock)).unwrap();
    }
}

conformance_suite! { Temporary::new() }

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(format!("{}{suffix}", path.display()))
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let world = Temporary::new();
    world.store(world.letter("N1")).await.unwrap();
    let lock = SqliteInbox::lock_for_serving(world.path()).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&beside(&world.path(), suffix)), 0o600, "{suffix}");
    }
    world.inbox.close().await;
    std::fs::set_permissions(world.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = SqliteInbox::open(world.path(), options(&world.clock)).err();
    assert!(matches!(refused, Some(Error::OpenToOthers { mode: 0o640, .. })), "{refused:?}");
    std::fs::set_permissions(world.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    // What stands beside it holds the same data.
    for suffix in ["-wal", "-shm"] {
        let path = beside(&world.path(), suffix);
        std::fs::write(&path, b"").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
        let refused = SqliteInbox::open(world.path(), options(&world.clock)).err();
        assert!(matches!(refused, Some(Error::OpenToOthers { mode: 0o604, .. })), "{suffix}: {refused:?}");
        std::fs::remove_file(&path).unwrap();
    }
    drop(lock);
}

#[tokio::test]
async fn one_process_serves_and_others_may_read() {
    let world = Temporary::new();
    let lock = SqliteInbox::lock_for_serving(world.path()).unwrap();
    assert!(matches!(SqliteInbox::lock_for_serving(world.path()), Err(Error::AlreadyServed)));
    let id = world.store(world.letter("N1")).await.unwrap().notification();
    let other = SqliteInbox::open(world.path(), options(&world.clock)).unwrap();
    assert!(other.notification(id).await.is_ok());
    world.store(world.letter("N2")).await.unwrap();
    other.close().await;
    world.store(world.letter("N3")).await.unwrap();
    drop(lock);
    SqliteInbox::lock_for_serving(world.path()).unwrap();
}

#[tokio::test]
async fn schemas_of_others_are_refused() {
    let world = Temporary::new();
    world.inbox.close().await;
    let change = |sql: &str| rusqlite::Connection::open(world.path()).unwrap().execute_batch(sql).unwrap();
    let open = || SqliteInbox::open(world.path(), options(&world.clock)).err();
    change("INSERT INTO migrations VALUES (99, 'x')");
    assert!(matches!(open(), Some(Error::NewerSchema { found: 99, .. })));
    change("DELETE FROM migrations WHERE number = 99; UPDATE migrations SET checksum = 'x' WHERE number = 1");
    assert!(matches!(open(), Some(Error::ChangedMigration { number: 1 })));
    change("DROP TABLE migrations");
    assert!(matches!(open(), Some(Error::Corrupt(_))));
}

#[tokio::test]
async fn a_repetition_writes_nothing_before_its_answer() {
    let world = Temporary::new();
    world.store(world.letter("N1")).await.unwrap();
    let wal = || std::fs::read(beside(&world.path(), "-wal")).unwrap();
    let before = wal();
    let again = world.store(world.letter("N1")).await.unwrap();
    assert!(matches!(again, Stored::Repeated { .. }));
    assert!(before == wal(), "the log was written");
    // Closing writes what waits.
    world.inbox.close().await;
    let reopened = SqliteInbox::open(world.path(), options(&world.clock)).unwrap();
    let list = reopened.notifications(NotificationFilter { limit: 1, ..Default::default() }).await.unwrap();
    assert_eq!(list[0].repeats, 1);
    assert!(matches!(world.store(world.letter("N2")).await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let world = Temporary::new();
    let mut stored = Vec::new();
    let limit = world.inbox.submit(Urgency::Work, 0, |session| {
        let pages: i64 = session.conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        session.conn.query_row(&format!("PRAGMA max_page_count = {}", pages + 4), [], |_| Ok(()))?;
        Ok(())
    });
    limit.await.unwrap();
    let refused = loop {
        let mut letter = world.letter(&format!("N{}", stored.len()));
        letter.request.body = vec![b'x'; 5000].into();
        match world.store(letter.clone()).await {
            Ok(new) => stored.push(new.notification()),
            Err(error) => {
                assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
                break letter;
            }
        }
    };
    assert!(matches!(world.inbox.condition(), Condition::Failing(_)));
    assert!(!stored.is_empty());
    // The limit was the connection's: the new one stands for a disk with room again.
    let deadline = Instant::now() + PATIENCE;
    while world.inbox.condition() != Condition::Good {
        assert!(Instant::now() < deadline, "never recovered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(matches!(world.store(refused).await, Ok(Stored::New { .. })));
    for id in stored {
        assert!(world.inbox.notification(id).await.is_ok());
    }
}

#[tokio::test]
async fn a_failing_job_fails_alone_and_a_panicking_one_is_survived() {
    let world = Temporary::new();
    let failing = world.inbox.submit(Urgency::Work, 0, |session| {
        session.word("never kept")?;
        Err::<(), _>(Fault::corrupt("a test"))
    });
    let (failed, stored) = tokio::join!(failing, world.store(world.letter("N1")));
    assert!(matches!(failed, Err(Error::Corrupt(_))));
    let Ok(Stored::New { id, .. }) = stored else { panic!("{stored:?}") };
    let words: i64 = world
        .inbox
        .shared
        .readers
        .read(|conn| Ok(conn.query_row("SELECT count(*) FROM words WHERE text = 'never kept'", [], |row| row.get(0))?))
        .await
        .unwrap();
    assert_eq!(words, 0);
    let panicked = world.inbox.submit(Urgency::Work, 0, |_| -> Result<(), Fault> { panic!("on purpose") }).await;
    assert!(matches!(panicked, Err(Error::Unavailable(_))));
    let deadline = Instant::now() + PATIENCE;
    while world.store(world.letter("N2")).await.is_err() {
        assert!(Instant::now() < deadline, "never recovered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.inbox.notification(id).await.is_ok());
}

#[tokio::test]
async fn a_call_that_is_dropped_loses_only_its_answer() {
    let world = Temporary::new();
    let letter = world.letter("N1");
    let inbox = Arc::clone(&world.inbox);
    let (started, running) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    // The writer is busy until the store has been given up.
    let (release, blocked) = std::sync::mpsc::sync_channel::<()>(1);
    let busy = tokio::spawn(async move {
        inbox
            .submit(Urgency::Work, 0, move |_| {
                started.take().expect("once").send(()).unwrap();
                blocked.recv().unwrap();
                Ok(())
            })
            .await
    });
    running.await.unwrap();
    let abandoned = tokio::time::timeout(Duration::from_millis(1), world.store(letter.clone())).await;
    assert!(abandoned.is_err());
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
    let again = world.store(letter.clone()).await.unwrap();
    let Stored::Repeated { first, .. } = again else { panic!("{again:?}") };
    let record = world.inbox.notification(first).await.unwrap();
    assert_eq!(record.events.len(), 1);
    assert_eq!(world.inbox.deliveries_of(first).await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_number_is_used_twice() {
    let world = Temporary::new();
    let first = world.store(world.letter("N1")).await.unwrap().notification();
    let deliveries = world.inbox.deliveries_of(first).await.unwrap();
    let retention = Retention {
        bodies: Duration::from_secs(1),
        identities: Duration::from_secs(1),
        rejections: Duration::from_secs(1),
        slice: 10,
    };
    let claim = Claim {
        target: "shop".into(),
        max: 1,
        now: world.now(),
        lease: conformance::LEASE,
        longest_wait: conformance::LONGEST_WAIT,
        running: Vec::new(),
    };
    let leased = world.inbox.claim(claim).await.unwrap().remove(0);
    world.inbox.finish(conformance::finish(&leased, crate::inbox::Next::Delivered, world.now())).await.unwrap();
    world.advance(Duration::from_secs(2));
    while !world.inbox.retain(retention, world.now()).await.unwrap().is_done {}
    assert!(matches!(world.inbox.notification(first).await, Err(Error::NotFound)));
    world.inbox.close().await;
    let again = SqliteInbox::open(world.path(), options(&world.clock)).unwrap();
    let second = again.store_parts(parts(world.letter("N2"))).await.unwrap().notification();
    assert_eq!(rows::notification_seq(second), rows::notification_seq(first) + 1);
    assert!(matches!(again.delivery(deliveries[0].id).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(START_MS));
    let narrow = Options { queue_jobs: 1, ..options(&clock) };
    let inbox = SqliteInbox::open(directory.path().join("inbox.db"), narrow).unwrap();
    let world = Temporary { directory, inbox, clock };
    let inbox = Arc::clone(&world.inbox);
    let (started, running) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let (release, blocked) = std::sync::mpsc::sync_channel::<()>(1);
    let busy = tokio::spawn(async move {
        inbox
            .submit(Urgency::Work, 0, move |_| {
                started.take().expect("once").send(()).unwrap();
                blocked.recv().unwrap();
                Ok(())
            })
            .await
    });
    running.await.unwrap();
    let inbox = Arc::clone(&world.inbox);
    let waits = parts(world.letter("N1"));
    let waiting = tokio::spawn(async move { inbox.store_parts(waits).await });
    // On this runtime's one thread the other task now runs up to its wait.
    tokio::task::yield_now().await;
    let refused = world.inbox.store_parts(parts(world.letter("N2"))).await;
    assert!(matches!(refused, Err(Error::Overloaded)), "{refused:?}");
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_stand_in_the_way() {
    let world = Temporary::new();
    world.store(world.letter("N1")).await.unwrap();
    world.store(world.letter("N2")).await.unwrap();
    let spoil = world
        .inbox
        .submit(Urgency::Work, 0, |session| session.run("UPDATE events SET currency = '???' WHERE seq >> 16 = 1"));
    spoil.await.unwrap();
    let claim = Claim {
        target: "shop".into(),
        max: 10,
        now: world.now(),
        lease: conformance::LEASE,
        longest_wait: conformance::LONGEST_WAIT,
        running: Vec::new(),
    };
    assert_eq!(world.inbox.claim(claim).await.unwrap().len(), 1);
    assert_eq!(world.inbox.backlog().await.unwrap()[0].dead, 1);
}

#[tokio::test]
async fn a_backup_opens_and_has_everything() {
    let world = Temporary::new();
    let letter = world.letter("N1");
    let id = world.store(letter.clone()).await.unwrap().notification();
    let copy = world.directory.path().join("copy.db");
    world.inbox.backup(&copy).await.unwrap();
    assert_eq!(mode(&copy), 0o600);
    assert!(matches!(world.inbox.backup(&copy).await, Err(Error::Unavailable(_))), "never over a file");
    let copied = SqliteInbox::open(&copy, options(&world.clock)).unwrap();
    assert_eq!(copied.notification(id).await.unwrap().request.unwrap().body, letter.request.body);
    assert!(matches!(copied.store_parts(parts(world.letter("N1"))).await, Ok(Stored::Repeated { .. })));
}

#[tokio::test]
async fn a_backup_ends_with_its_node_and_leaves_nothing() {
    let world = Temporary::new();
    let mut letters = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let (inbox, letter) = (Arc::clone(&world.inbox), world.letter(&format!("N{number}")));
        letters.spawn(async move { inbox.store_parts(parts(letter)).await });
    }
    while let Some(stored) = letters.join_next().await {
        stored.unwrap().unwrap();
    }
    let copy = world.directory.path().join("copy.db");
    world.inbox.close().await;
    assert!(matches!(world.inbox.backup(&copy).await, Err(Error::Closed)));
    assert!(!copy.exists(), "half a backup looks like one");
}

#[tokio::test]
async fn a_gap_is_open_until_somebody_closes_it() {
    let world = Temporary::new();
    assert!(world.inbox.gaps().await.unwrap().is_empty());
    let closed_one = world.inbox.close_gap(1, "me", "done", world.now()).await;
    assert!(matches!(closed_one, Err(Error::NotFound)));
    let open = |from, to| world.inbox.submit(Urgency::Work, 0, move |s| gaps::open(&s.conn, from, to, "restored"));
    open(None, START_MS).await.unwrap();
    open(Some(START_MS), START_MS + 1).await.unwrap();
    let closed = world.inbox.close_gap(2, "me", "asked the platforms", world.now()).await.unwrap();
    assert_eq!(closed.closed.as_ref().map(|closed| closed.why.as_str()), Some("asked the platforms"));
    let again = world.inbox.close_gap(2, "another", "nothing", world.now()).await.unwrap();
    assert_eq!(again, closed, "closed once");
    let found = world.inbox.gaps().await.unwrap();
    assert_eq!(
        found.iter().map(|gap| (gap.id, gap.is_open(), gap.from.is_some())).collect::<Vec<_>>(),
        [(1, true, false), (2, false, true)]
    );
    let audited = world.inbox.submit(Urgency::Work, 0, |session| {
        Ok(session.conn.query_row("SELECT count(*), max(who) FROM audit", [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    });
    assert_eq!(audited.await.unwrap(), (1_i64, "me".to_owned()));
}

/// Where the next test, run again as its own child, finds its inbox.
const CHILD_INBOX: &str = "TOLLBELL_TEST_CHILD_INBOX";

/// Stores until it is killed, and tells what was answered.
async fn store_for_ever(path: String) {
    let clock = Arc::new(AtomicI64::new(START_MS));
    let inbox = SqliteInbox::open(path, options(&clock)).unwrap();
    for number in 0.. {
        let now = Timestamp::from_millisecond(START_MS).unwrap();
        let number = format!("N{number}");
        let letter = letter(now, &number, vec![payment(&number, 1)], &[event_target("shop")]);
        let id = inbox.store_parts(parts(letter)).await.unwrap().notification();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacked {id}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    if let Ok(path) = std::env::var(CHILD_INBOX) {
        return store_for_ever(path).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("inbox.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "inbox::sqlite::tests::what_was_answered_survives_a_kill"])
        .env(CHILD_INBOX, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acked = Vec::new();
    for line in std::io::BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(id) = line.unwrap().strip_prefix("acked ").and_then(|id| id.parse::<NotificationId>().ok()) {
            acked.push(id);
        }
        if acked.len() == 200 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acked.len() >= 200);
    let inbox = SqliteInbox::open(&path, options(&Arc::new(AtomicI64::new(START_MS)))).unwrap();
    for id in acked {
        assert_eq!(inbox.notification(id).await.unwrap().events.len(), 1, "{id} was answered and is lost");
        assert_eq!(inbox.deliveries_of(id).await.unwrap().len(), 1);
    }
}

/// Bytes on disk for a notification with a body of 1.1 KB, its event, two identities and a delivery.
const BYTES_A_NOTIFICATION_MAX: u64 = 2_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_takes_little_room() {
    let world = Temporary::new();
    let (lanes, each) = (64, 40);
    let mut tasks = Vec::new();
    for lane in 0..lanes {
        let inbox = Arc::clone(&world.inbox);
        let now = world.now();
        tasks.push(tokio::spawn(async move {
            for number in 0..each {
                let id = format!("20261121220014{:014}", number * lanes + lane);
                let mut fact = payment(&id, 1000);
                fact.aliases = vec![tollbell_channels::model::Identity::new(format!("alias{id}")).unwrap()];
                let mut letter = letter(now, &format!("{id}00222"), vec![fact], &[event_target("shop")]);
                letter.request.body = vec![b'x'; 1100].into();
                inbox.store_parts(parts(letter)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    world.inbox.close().await;
    let bytes = std::fs::metadata(world.path()).unwrap().len() / (lanes * each);
    assert!(bytes <= BYTES_A_NOTIFICATION_MAX, "{bytes} bytes each");
}
