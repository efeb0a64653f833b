//! The order: nothing leaves before the flush that covers its commit has returned.

use std::collections::HashMap;

use super::disk::Disk;
use super::record::{Connection, Recording, Step, need_not_last};
use super::wal::History;
use super::world::{Talk, delivered};
use super::{Breach, Traffic};

/// A reply, or a delivery, and what it promises.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    /// Which order.
    pub(super) order: usize,
    /// The step at which it left.
    pub(super) place: usize,
    /// How many commits have to survive for it.
    pub(super) commits: usize,
    /// The event's id, of a delivery.
    pub(super) event: Option<String>,
}

/// What left, in order, and what of it left too early.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Success replies.
    pub(super) replies: Vec<Promise>,
    /// Deliveries.
    pub(super) deliveries: Vec<Promise>,
    /// What is wrong.
    pub(super) breaches: Vec<Breach>,
}

impl Ledger {
    /// Compares every reply and every delivery with the flushes before it. `first` says by which commit each order
    /// came into the log.
    ///
    /// # Errors
    /// When something left on a connection that is not known.
    pub(super) fn check(
        recording: &Recording,
        history: &History,
        traffic: &Traffic,
        first: &HashMap<usize, usize>,
    ) -> anyhow::Result<Self> {
        let mut ledger = Self::default();
        let mut flushed = Flushed::default();
        let mut conversations = Conversations::new(&traffic.talks);
        let mut disk = Disk::new(recording);
        for (place, step) in recording.steps.iter().enumerate() {
            disk.step();
            flushed.note(recording, history, place, *step);
            let Step::Sent(sent) = step else { continue };
            let sent = &recording.sends[*sent];
            let reply = conversations.reply(sent.connection, &sent.bytes)?;
            let is_ours = matches!(sent.connection, Connection::From { .. });
            let told = if is_ours { None } else { traffic.order_in(&sent.bytes) };
            let Some(order) = reply.or(told) else { continue };
            let what = if reply.is_some() { "success" } else { "a delivery" };
            let number = &traffic.orders[order].number;
            let commits = first.get(&order).copied();
            match commits {
                Some(commits) if commits <= flushed.commits => {}
                Some(_) => ledger.breach(place, format!("{what} of {number} left before its commit was flushed")),
                None => ledger.breach(place, format!("{what} of {number} left, and it was never written")),
            }
            for path in disk.unnamed() {
                if !need_not_last(&path) {
                    let path = path.display();
                    ledger.breach(place, format!("{what} of {number} left while the name `{path}` was not flushed"));
                }
            }
            let event = told.and_then(|_| delivered(&sent.bytes)).map(|delivered| delivered.event);
            // What was never written is asked for all the same: it must not be forgotten.
            let commits = commits.unwrap_or(history.commits.len() + 1);
            let list = if told.is_some() { &mut ledger.deliveries } else { &mut ledger.replies };
            list.push(Promise { order, place, commits, event });
        }
        Ok(ledger)
    }

    fn breach(&mut self, place: usize, what: String) {
        self.breaches.push(Breach::new(place, "early", what));
    }

    /// How many commits have to survive a power cut at a place.
    pub(super) fn promised(&self, place: usize) -> usize {
        let all = self.replies.iter().chain(&self.deliveries);
        all.filter(|promise| promise.place < place).map(|promise| promise.commits).max().unwrap_or(0)
    }
}

/// How many commits a finished flush covers, from the first on without a gap.
#[derive(Default)]
struct Flushed {
    commits: usize,
    /// Flushes under way: the log, and how many commits had been written when each began.
    open: HashMap<usize, usize>,
}

impl Flushed {
    fn note(&mut self, recording: &Recording, history: &History, place: usize, step: Step) {
        match step {
            Step::SyncBegin(sync) => {
                self.open.insert(sync, history.written_by(place));
            }
            Step::SyncEnd(sync) => {
                let Some(written) = self.open.remove(&sync) else { return };
                let log = recording.syncs[sync];
                while self.commits < written && history.commits[self.commits].log == log {
                    self.commits += 1;
                }
            }
            _ => {}
        }
    }
}

/// Which request each reply belongs to: the same place in its conversation.
struct Conversations<'a> {
    by_connection: HashMap<(u16, usize), (&'a Talk, usize)>,
}

impl<'a> Conversations<'a> {
    fn new(talks: &'a [Talk]) -> Self {
        let mut counts: HashMap<u16, usize> = HashMap::new();
        let by_connection = talks.iter().map(|talk| {
            let count = counts.entry(talk.port).or_default();
            *count += 1;
            ((talk.port, *count - 1), (talk, 0))
        });
        Self { by_connection: by_connection.collect() }
    }

    /// The order that a success reply is for; nothing for what is no reply, or no success.
    fn reply(&mut self, connection: Connection, bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        let Connection::From { port, nth } = connection else { return Ok(None) };
        let Some((talk, replies)) = self.by_connection.get_mut(&(port, nth)) else { return Ok(None) };
        if !bytes.starts_with(b"HTTP/1.1 ") {
            anyhow::ensure!(!bytes.ends_with(b"success"), "a success that is no reply's beginning");
            return Ok(None);
        }
        let order = talk.orders.get(*replies).copied();
        *replies += 1;
        anyhow::ensure!(order.is_some(), "more replies than requests from port {port}");
        Ok(order.filter(|_| bytes.starts_with(b"HTTP/1.1 200")))
    }
}
