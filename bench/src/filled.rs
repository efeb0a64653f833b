//! An inbox that already holds millions of delivered notifications, written by the inbox's own code in its real
//! schema, and kept between runs.
//!
//! Nothing is signed here: one callback is verified by the channel and serves as the pattern of all, each with
//! numbers of its own. What is measured afterwards is signed and verified as ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_lc_rs::digest::{Context as Digest, SHA256};
use bytes::Bytes;
use tokio::task::JoinSet;
use tollbell::clock;
use tollbell::inbox::sqlite::{Options, SqliteInbox};
use tollbell::inbox::{
    Admin as _, Arrival, AttemptRecord, Claim, Finish, Intake as _, Leased, Next, RoutedTarget, Work as _,
};
use tollbell_channels::model::{Identity, Notification, Proven, RawRequest, Timestamp};
use tollbell_channels::signature::hmac::{HmacHash, HmacKey};

use crate::bodies::alipay::{Alipay, KIND, Numbered};
use crate::bodies::{Numbers, hex};
use crate::report::say;
use crate::servers::TARGET;

/// Notifications that are stored at once, and then delivered: they share commits.
const CHUNK: usize = 4_000;
/// Days before the measured one over which the notifications lie.
const DAYS: usize = 30;
/// How often the progress is told, in chunks.
const TOLD: usize = 125;

/// The file with so many notifications, made when it is not there.
pub(crate) fn inbox(folder: &Path, count: usize, numbers: Numbers, now: Timestamp) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("stored-{}-{count}-{}.db", numbers.word(), form()?));
    if path.is_file() {
        return Ok(path);
    }
    // Those of another form, or another count, only take up the disk.
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&format!("stored-{}", numbers.word())) {
            fs::remove_file(entry.path())?;
        }
    }
    say(&format!("  storing {count} notifications with {} numbers; kept for later runs", numbers.word()));
    let unfinished = path.with_extension("unfinished");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let pattern = Pattern::new(&Alipay::new(folder, now)?, numbers, now)?;
    runtime.block_on(fill(&unfinished, Arc::new(pattern), count))?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// A short name of the form in which the inbox keeps things: another one needs another file.
fn form() -> anyhow::Result<String> {
    const FILES: &[&str] =
        &["src/inbox/sqlite/intake.rs", "src/inbox/ids.rs", "crates/channels/src/model/notification.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let migrations = fs::read_dir(root.join("migrations/sqlite"))?.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = migrations.chain(FILES.iter().map(|file| root.join(file))).collect();
    paths.sort();
    let mut digest = Digest::new(&SHA256);
    for path in paths {
        digest.update(&fs::read(&path).with_context(|| format!("read {}", path.display()))?);
    }
    Ok(hex(&digest.finish().as_ref()[..6]))
}

async fn fill(path: &Path, pattern: Arc<Pattern>, count: usize) -> anyhow::Result<()> {
    remove(path, &["", "-wal", "-shm"]);
    let mut options = Options::new(clock::system());
    options.queue_jobs = 4 * CHUNK;
    let inbox = SqliteInbox::open(path, options)?;
    let mut delivering = JoinSet::new();
    for (chunk, from) in (0..count).step_by(CHUNK).enumerate() {
        let size = CHUNK.min(count - from);
        let mut storing = JoinSet::new();
        for index in from..from + size {
            let (inbox, pattern) = (inbox.clone(), pattern.clone());
            storing.spawn(async move { inbox.store(pattern.arrival(index, count)).await });
        }
        while let Some(stored) = storing.join_next().await {
            stored?.context("store a notification")?;
        }
        // One chunk is delivered while the next is stored.
        while let Some(delivered) = delivering.join_next().await {
            delivered??;
        }
        let inbox = inbox.clone();
        delivering.spawn(async move { deliver(&inbox, size).await });
        if chunk % TOLD == TOLD - 1 {
            say(&format!("  {} of {count}", from + size));
        }
    }
    while let Some(delivered) = delivering.join_next().await {
        delivered??;
    }
    inbox.close().await;
    remove(path, &["-wal", "-shm"]);
    Ok(())
}

/// Removes a database or what belongs to it, where it is there.
fn remove(path: &Path, endings: &[&str]) {
    for ending in endings {
        let mut path = path.as_os_str().to_owned();
        path.push(ending);
        drop(fs::remove_file(path));
    }
}

/// Writes down that these many were delivered.
async fn deliver(inbox: &Arc<SqliteInbox>, count: usize) -> anyhow::Result<()> {
    /// Claimed at once.
    const CLAIMED: usize = 500;
    const HOUR: Duration = Duration::from_hours(1);
    let target: Arc<str> = TARGET.into();
    let mut done = 0;
    while done < count {
        let now = crate::scenarios::now();
        // No more than was asked for: the next chunk is already coming in.
        let max = CLAIMED.min(count - done);
        let claim = Claim { target: target.clone(), max, now, lease: HOUR, longest_wait: HOUR, running: Vec::new() };
        let leased = inbox.claim(claim).await.context("claim deliveries")?;
        ensure!(!leased.is_empty(), "{done} of {count} deliveries were there");
        done += leased.len();
        let mut tasks = JoinSet::new();
        for leased in leased {
            let inbox = inbox.clone();
            tasks.spawn(async move { inbox.finish(confirmed(&leased, now)).await });
        }
        while let Some(finished) = tasks.join_next().await {
            finished?.context("finish a delivery")?;
        }
    }
    Ok(())
}

fn confirmed(leased: &Leased, now: Timestamp) -> Finish {
    let attempt = AttemptRecord {
        number: leased.attempt,
        started_at: now,
        ended_at: now,
        outcome: "delivered".to_owned(),
        reason: String::new(),
        detail: String::new(),
        status: Some(200),
        body_head: "success".to_owned(),
        stderr: String::new(),
    };
    Finish { delivery: leased.delivery, token: leased.token, attempt, next: Next::Delivered }
}

/// What all stored notifications have in common.
struct Pattern {
    notification: Notification,
    request: RawRequest,
    body: String,
    own: Numbered,
    numbers: Numbers,
    days: Vec<String>,
    key: HmacKey,
    tag: Vec<u8>,
}

/// What the proof of the pattern's copies is made over: a check that succeeds is the only way to one.
const PROVEN: &[u8] = b"stored before the measurement";

impl Pattern {
    fn new(alipay: &Alipay, numbers: Numbers, now: Timestamp) -> anyhow::Result<Self> {
        let (notification, request) = alipay.read(numbers, now)?;
        let measured = jiff::civil::Date::strptime("%Y%m%d", alipay.day())?;
        let days = (1..=DAYS).rev().map(|back| {
            let day = measured.checked_sub(jiff::Span::new().try_days(i64::try_from(back)?)?)?;
            Ok(day.strftime("%Y%m%d").to_string())
        });
        let key = HmacKey::new(PROVEN, HmacHash::Sha256, "alipay_public_key");
        Ok(Self {
            body: String::from_utf8(request.body.to_vec())?,
            own: Numbered::new(numbers, alipay.day(), 0),
            days: days.collect::<anyhow::Result<_>>()?,
            tag: key.sign(PROVEN),
            notification,
            request,
            numbers,
            key,
        })
    }

    /// The notification with this index among `count`.
    fn arrival(&self, index: usize, count: usize) -> Arrival {
        let day = &self.days[index * self.days.len() / count];
        let new = Numbered::new(self.numbers, day, index);
        let renumber = |text: &str| {
            text.replace(&self.own.notify_id, &new.notify_id)
                .replace(&self.own.trade_no, &new.trade_no)
                .replace(&self.own.order_no, &new.order_no)
        };
        let mut notification = self.notification.clone();
        notification.platform_id = renumber(&notification.platform_id);
        for fact in &mut notification.facts {
            for identity in std::iter::once(&mut fact.identity).chain(&mut fact.aliases).chain(&mut fact.payment) {
                *identity = Identity::new(renumber(identity.as_str())).expect("as long as the pattern's");
            }
            for text in [&mut fact.order_no, &mut fact.platform_no].into_iter().flatten() {
                *text = renumber(text);
            }
        }
        let verified = self.key.verify_any(PROVEN, &[self.tag.as_slice()], "copy").expect("its own tag");
        let target = RoutedTarget { target: TARGET.into(), is_raw: true };
        let routes = vec![vec![target]; notification.facts.len()];
        Arrival {
            channel: KIND.into(),
            merchant: "default".into(),
            platform: KIND,
            notification: Proven::by_signature(notification, verified),
            request: RawRequest { body: Bytes::from(renumber(&self.body)), ..self.request.clone() },
            signed_query: None,
            routes,
            is_shadow: false,
        }
    }
}
