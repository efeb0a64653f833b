//! The writing connection with what is remembered about it: interned texts, and counts that can wait.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _};
use tollbell_channels::model::Scope;

use super::fault::Fault;
use super::rows::{BLOCK_BITS, PLACE_BITS};
use super::standby::{Granted, Parked};
use crate::inbox::ids;
use crate::inbox::{DeliveryId, DeliveryState, Error, EventId, NotificationId};

/// Interned texts that are remembered; they come from configuration, so more of them means a mistake.
const WORDS_KEPT: usize = 4096;
/// Scopes that are remembered: a service provider has one for each of its merchants.
const SCOPES_KEPT: usize = 16_384;
/// Repetitions and acks that wait to be counted at most; then they are written at once, or for acks dropped.
pub(super) const LAZY_MAX: usize = 50_000;

/// A writing connection inside its thread.
pub(super) struct Session {
    pub(super) conn: Connection,
    pub(super) lazy: Lazy,
    /// Something became due in this batch.
    pub(super) made_due: bool,
    /// Deliveries that reached their end in this batch; told after the commit.
    pub(super) settled: Vec<(DeliveryId, DeliveryState)>,
    /// Claims that stand by, by their target's number.
    pub(super) parked: HashMap<i64, Parked>,
    /// What was given to them in this batch; told after the commit.
    pub(super) granted: Vec<Granted>,
    pub(super) sweep: Sweep,
    /// When the open hints of each channel were gone over last.
    pub(super) hints_pulled_at: HashMap<i64, i64>,
    trust: Trust,
    numbers: Option<Numbers>,
    /// Repetitions that this batch counted, with whether they came after our answer.
    counted: Vec<(i64, bool)>,
    changes_before: u64,
    data_version: i64,
    words: HashMap<String, i64>,
    /// Asked for and not there. Only this connection adds words that anybody asks for so.
    absent: HashSet<&'static str>,
    scopes: HashMap<Scope, i64>,
    targets: HashMap<String, i64>,
    /// The last block that is noted of each channel and of each kind of event.
    channel_blocks: HashMap<i64, i64>,
    kind_blocks: HashMap<i64, i64>,
}

/// What a job's failure undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The whole batch, which is then run once more with every job for itself.
    Together,
    /// Its own writes.
    Apart,
}

/// Where numbers and ids go on.
#[derive(Clone, Copy)]
struct Numbers {
    /// The newest notification's.
    seq: i64,
    /// The time in the newest id. A clock that is set back does not set ids back.
    at_ms: u64,
    /// What tells ids of several inboxes apart: the state of a `SplitMix64`.
    chance: u64,
}

impl Numbers {
    fn chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Counts that are written with the next transaction that writes anyway, or a moment later.
#[derive(Default)]
pub(super) struct Lazy {
    pub(super) repeats: BTreeMap<i64, Repeats>,
    /// When each notification was answered; in the order of the rows.
    pub(super) acks: BTreeMap<i64, i64>,
}

impl Lazy {
    pub(super) fn is_empty(&self) -> bool {
        self.repeats.is_empty() && self.acks.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.repeats.len() >= LAZY_MAX || self.acks.len() >= LAZY_MAX
    }
}

/// Repetitions of one notification that are not written yet.
#[derive(Clone, Copy, Default)]
pub(super) struct Repeats {
    pub(super) count: u32,
    pub(super) after_ack: u32,
    pub(super) last_at: i64,
}

/// How far housekeeping has come; lost with the process, which only makes it begin again.
#[derive(Default)]
pub(super) struct Sweep {
    pub(super) bodies_after: i64,
    pub(super) notifications_after: i64,
    /// The sweep over names and totals, while one is under way.
    pub(super) names: Option<NamesSweep>,
    /// Something was removed since the names were last swept.
    pub(super) has_loose_names: bool,
}

/// A position in the names, then in the totals.
pub(super) enum NamesSweep {
    Identities { scope: i64, kind: i64, text: String },
    Totals { scope: i64, series: String, currency: String },
}

impl Session {
    pub(super) fn new(conn: Connection, lazy: Lazy) -> Self {
        Self {
            conn,
            lazy,
            made_due: false,
            settled: Vec::new(),
            parked: HashMap::new(),
            granted: Vec::new(),
            sweep: Sweep::default(),
            hints_pulled_at: HashMap::new(),
            trust: Trust::Apart,
            numbers: None,
            counted: Vec::new(),
            changes_before: 0,
            data_version: 0,
            words: HashMap::new(),
            absent: HashSet::new(),
            scopes: HashMap::new(),
            targets: HashMap::new(),
            channel_blocks: HashMap::new(),
            kind_blocks: HashMap::new(),
        }
    }

    /// A transaction has begun.
    pub(super) fn begin_batch(&mut self, trust: Trust) -> Result<(), Fault> {
        self.trust = trust;
        self.made_due = false;
        self.settled.clear();
        self.granted.clear();
        self.counted.clear();
        self.changes_before = self.conn.total_changes();
        let version = self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version != self.data_version {
            // Another process has written.
            self.forget_interned();
            self.data_version = version;
        }
        Ok(())
    }

    /// Whether the batch has changed anything.
    pub(super) fn has_written(&self) -> bool {
        self.conn.total_changes() != self.changes_before
    }

    /// What the batch left in memory is taken back: its transaction was undone.
    pub(super) fn undo_batch(&mut self) {
        self.forget_interned();
        for (notification, is_after_ack) in std::mem::take(&mut self.counted) {
            if let Some(repeats) = self.lazy.repeats.get_mut(&notification) {
                repeats.count = repeats.count.saturating_sub(1);
                repeats.after_ack = repeats.after_ack.saturating_sub(u32::from(is_after_ack));
            }
        }
    }

    /// Counts a repetition without writing. Returns how many wait to be written.
    pub(super) fn count_repetition(&mut self, notification: i64, is_after_ack: bool, at_ms: i64) -> u32 {
        self.counted.push((notification, is_after_ack));
        let waiting = self.lazy.repeats.entry(notification).or_default();
        waiting.count = waiting.count.saturating_add(1);
        waiting.after_ack = waiting.after_ack.saturating_add(u32::from(is_after_ack));
        waiting.last_at = waiting.last_at.max(at_ms);
        waiting.count
    }

    /// The row and the id of the next notification.
    pub(super) fn next_notification(&mut self, now_ms: i64) -> Result<(i64, NotificationId), Fault> {
        let mut numbers = match self.numbers {
            Some(numbers) => numbers,
            None => self.read_numbers()?,
        };
        numbers.seq += 1;
        numbers.at_ms = numbers.at_ms.max(u64::try_from(now_ms).unwrap_or(0));
        let number = u64::try_from(numbers.seq).map_err(|_| Fault::corrupt("notifications.seq"))?;
        let id = NotificationId::numbered(numbers.at_ms, number << PLACE_BITS, numbers.chance());
        self.numbers = Some(numbers);
        Ok((numbers.seq, id))
    }

    /// The id of an event of the newest notification.
    pub(super) fn event_id(&mut self, seq: i64) -> EventId {
        let (at_ms, number, chance) = self.id_parts(seq);
        EventId::numbered(at_ms, number, chance)
    }

    /// The id of a delivery of the newest notification.
    pub(super) fn delivery_id(&mut self, seq: i64) -> DeliveryId {
        let (at_ms, number, chance) = self.id_parts(seq);
        DeliveryId::numbered(at_ms, number, chance)
    }

    fn id_parts(&mut self, seq: i64) -> (u64, u64, u64) {
        let numbers = self.numbers.as_mut().expect("a notification was numbered before");
        (numbers.at_ms, u64::try_from(seq).expect("a row's number"), numbers.chance())
    }

    fn read_numbers(&self) -> Result<Numbers, Fault> {
        let newest: Option<(i64, [u8; 16])> = self
            .conn
            .prepare_cached("SELECT seq, id FROM notifications ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (seq, at_ms) = newest.map_or((0, 0), |(seq, id)| (seq, NotificationId::from_bytes(id).as_millisecond()));
        let used: Option<i64> =
            self.conn.prepare_cached("SELECT used FROM numbers")?.query_row([], |row| row.get(0)).optional()?;
        Ok(Numbers { seq: seq.max(used.unwrap_or(0)), at_ms, chance: ids::seed() })
    }

    /// Notes that a block of notifications holds one of this channel.
    pub(super) fn note_channel(&mut self, channel: i64, notification: i64) -> Result<(), Fault> {
        let block = notification >> BLOCK_BITS;
        if self.channel_blocks.insert(channel, block) == Some(block) {
            return Ok(());
        }
        self.conn
            .prepare_cached("INSERT OR IGNORE INTO channel_blocks (channel, block) VALUES (?1, ?2)")?
            .execute((channel, block))?;
        Ok(())
    }

    /// Notes that a block of notifications brought an event of this kind.
    pub(super) fn note_kind(&mut self, kind: i64, notification: i64) -> Result<(), Fault> {
        let block = notification >> BLOCK_BITS;
        if self.kind_blocks.insert(kind, block) == Some(block) {
            return Ok(());
        }
        self.conn
            .prepare_cached("INSERT OR IGNORE INTO kind_blocks (kind, block) VALUES (?1, ?2)")?
            .execute((kind, block))?;
        Ok(())
    }

    /// Runs one job so that its failure undoes only its own writes. The outer error fails the batch: it spoils the
    /// connection, or the jobs still share one fate ([`Trust::Together`]).
    pub(super) fn within_savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Result<T, Error>, Fault> {
        if self.trust == Trust::Together {
            return work(self).map(Ok);
        }
        self.run("SAVEPOINT job")?;
        let settled = self.settled.len();
        match work(self) {
            Ok(value) => {
                self.run("RELEASE job")?;
                Ok(Ok(value))
            }
            Err(fault) if fault.spoils_connection() => Err(fault),
            Err(fault) => {
                self.forget_interned();
                self.settled.truncate(settled);
                self.run("ROLLBACK TO job")?;
                self.run("RELEASE job")?;
                Ok(Err(fault.into_error()))
            }
        }
    }

    /// Notes that a delivery reached its end, for those who wait for it.
    pub(super) fn note_settled(&mut self, delivery: DeliveryId, state: DeliveryState) {
        self.settled.push((delivery, state));
    }

    /// Executes a statement without parameters.
    pub(super) fn run(&self, sql: &str) -> Result<(), Fault> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// What was interned in a transaction that is undone has no row.
    pub(super) fn forget_interned(&mut self) {
        self.words.clear();
        self.absent.clear();
        self.scopes.clear();
        self.targets.clear();
        self.channel_blocks.clear();
        self.kind_blocks.clear();
        self.numbers = None;
    }

    /// The number of a text of which there are few.
    pub(super) fn word(&mut self, text: &str) -> Result<i64, Fault> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        let known = self
            .conn
            .prepare_cached("SELECT id FROM words WHERE text = ?1")?
            .query_row([text], |row| row.get(0))
            .optional()?;
        let id = if let Some(id) = known {
            id
        } else {
            self.absent.remove(text);
            self.conn.prepare_cached("INSERT INTO words (text) VALUES (?1)")?.insert([text])?
        };
        if self.words.len() >= WORDS_KEPT {
            self.words.clear();
        }
        self.words.insert(text.to_owned(), id);
        Ok(id)
    }

    /// The number of a text, where anything was ever stored under it.
    pub(super) fn seen_word(&mut self, text: &'static str) -> Result<Option<i64>, Fault> {
        if let Some(id) = self.words.get(text) {
            return Ok(Some(*id));
        }
        if self.absent.contains(text) {
            return Ok(None);
        }
        let known: Option<i64> = self
            .conn
            .prepare_cached("SELECT id FROM words WHERE text = ?1")?
            .query_row([text], |row| row.get(0))
            .optional()?;
        if let Some(id) = known {
            self.words.insert(text.to_owned(), id);
        } else {
            self.absent.insert(text);
        }
        Ok(known)
    }

    /// The number of a target, which is noted as one.
    pub(super) fn target(&mut self, text: &str) -> Result<i64, Fault> {
        if let Some(id) = self.targets.get(text) {
            return Ok(*id);
        }
        let id = self.word(text)?;
        self.conn.prepare_cached("INSERT OR IGNORE INTO targets (id) VALUES (?1)")?.execute([id])?;
        if self.targets.len() >= WORDS_KEPT {
            self.targets.clear();
        }
        self.targets.insert(text.to_owned(), id);
        Ok(id)
    }

    /// The number of a scope.
    pub(super) fn scope(&mut self, scope: &Scope) -> Result<i64, Fault> {
        if let Some(id) = self.scopes.get(scope) {
            return Ok(*id);
        }
        let columns = (&scope.account, scope.family, scope.environment.as_str());
        let known = self
            .conn
            .prepare_cached("SELECT id FROM scopes WHERE account = ?1 AND family = ?2 AND environment = ?3")?
            .query_row(columns, |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => self
                .conn
                .prepare_cached("INSERT INTO scopes (account, family, environment) VALUES (?1, ?2, ?3)")?
                .insert(columns)?,
        };
        if self.scopes.len() >= SCOPES_KEPT {
            self.scopes.clear();
        }
        self.scopes.insert(scope.clone(), id);
        Ok(id)
    }

    /// Writes the counts that waited. They stay in memory until the commit is known to have succeeded.
    pub(super) fn write_lazy(&self) -> Result<(), Fault> {
        let mut count = self.conn.prepare_cached(
            "UPDATE notifications SET repeats = repeats + ?2, repeated_after_ack = repeated_after_ack + ?3,
                 last_repeated_at = max(coalesce(last_repeated_at, 0), ?4) WHERE seq = ?1",
        )?;
        for (seq, repeats) in self.lazy.repeats.iter().filter(|(_, repeats)| repeats.count > 0) {
            count.execute((seq, repeats.count, repeats.after_ack, repeats.last_at))?;
        }
        let mut ack = self.conn.prepare_cached("INSERT OR IGNORE INTO acks (notification, at) VALUES (?1, ?2)")?;
        for (seq, at) in &self.lazy.acks {
            ack.execute((seq, at))?;
        }
        Ok(())
    }
}
