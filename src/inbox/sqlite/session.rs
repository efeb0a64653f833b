//! The writing connection with what is remembered about it: interned texts, and counts that can wait.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _};
use tollbell_channels::model::Scope;

use super::fault::Fault;
use super::standby::{Granted, Parked};
use crate::inbox::{DeliveryId, DeliveryState, Error, NotificationId};

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
    words: HashMap<String, i64>,
    /// Asked for and not there. Only this connection adds words that anybody asks for so.
    absent: HashSet<&'static str>,
    scopes: HashMap<Scope, i64>,
    targets: HashMap<String, i64>,
}

/// Counts that are written with the next transaction that writes anyway, or a moment later.
#[derive(Default)]
pub(super) struct Lazy {
    pub(super) repeats: HashMap<NotificationId, Repeats>,
    pub(super) acks: HashMap<NotificationId, i64>,
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
            words: HashMap::new(),
            absent: HashSet::new(),
            scopes: HashMap::new(),
            targets: HashMap::new(),
        }
    }

    /// Runs one job so that its failure undoes only its own writes. The outer error is one that spoils
    /// the connection.
    pub(super) fn within_savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Result<T, Error>, Fault> {
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
                 last_repeated_at = max(coalesce(last_repeated_at, 0), ?4) WHERE id = ?1",
        )?;
        for (id, repeats) in &self.lazy.repeats {
            count.execute((id.as_bytes(), repeats.count, repeats.after_ack, repeats.last_at))?;
        }
        let mut ack =
            self.conn.prepare_cached("UPDATE notifications SET acked_at = ?2 WHERE id = ?1 AND acked_at IS NULL")?;
        for (id, at) in &self.lazy.acks {
            ack.execute((id.as_bytes(), at))?;
        }
        Ok(())
    }
}
