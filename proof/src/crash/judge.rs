//! The books against the inbox: every promise, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::gateway::{ATTEMPT_TIMEOUT, TERMINATE_SECONDS, TRIES};
use super::inbox::{Delivery, Event, Notification};
use super::notes::{Ack, BegunRun, Hang, How, Run, sha256};
use super::plan::{Fact, Message, NEVER_CONFIRMED, Origin};
use super::post::Letter;

/// All that is known at the end.
pub struct Evidence<'e> {
    /// What was sent.
    pub letters: &'e [std::sync::Arc<Letter>],
    /// What was promised.
    pub acks: &'e [Ack],
    /// What the shop did.
    pub runs: &'e [BegunRun],
    /// When the shop stood still.
    pub hangs: &'e [Hang],
    /// What the inbox holds.
    pub notifications: &'e [Notification],
    /// The events by their own list.
    pub listed_events: &'e BTreeSet<String>,
}

/// A broken promise begins with its word; the mutants are known by it.
pub const PROMISES: &[&str] = &[
    "lost",
    "changed",
    "forged",
    "refused",
    "doubled",
    "id",
    "unconfirmed",
    "stuck",
    "unexplained",
    "order",
    "overlap",
    "books",
    "start",
];

/// Every broken promise, in words.
pub fn judge(evidence: &Evidence<'_>) -> Vec<String> {
    let mut judge = Judge::new(evidence);
    judge.promises_of_the_inbox();
    judge.one_event_for_a_fact();
    judge.every_fact_has_its_end();
    judge.runs_keep_their_order();
    judge.runs_do_not_overlap();
    judge.confirmations_add_up();
    judge.broken
}

struct Judge<'e> {
    evidence: &'e Evidence<'e>,
    /// Genuine messages by the digest of their body.
    by_body: HashMap<String, &'e Message>,
    /// Events by the fact that they are about.
    events: BTreeMap<Fact, Vec<(&'e Event, &'e Notification)>>,
    deliveries: HashMap<&'e str, &'e Delivery>,
    broken: Vec<String>,
}

impl<'e> Judge<'e> {
    fn new(evidence: &'e Evidence<'e>) -> Self {
        let genuine = evidence.letters.iter().filter(|letter| letter.message.origin == Origin::Genuine);
        let by_body = genuine.filter_map(|letter| Some((sha256(letter.body()?), &letter.message))).collect();
        let all = evidence.notifications.iter();
        let deliveries = all.flat_map(|one| &one.deliveries).map(|delivery| (delivery.id.as_str(), delivery)).collect();
        Self { evidence, by_body, events: BTreeMap::new(), deliveries, broken: Vec::new() }
    }

    fn breaks(&mut self, promise: &str, what: impl std::fmt::Display) {
        debug_assert!(PROMISES.contains(&promise));
        self.broken.push(format!("{promise}: {what}"));
    }

    /// Every acked message is there byte for byte, nothing is there that was not sent, and no fact of it that it
    /// does not state.
    fn promises_of_the_inbox(&mut self) {
        let stored: BTreeSet<&[u8]> = self.evidence.notifications.iter().map(|one| &one.body[..]).collect();
        for ack in self.evidence.acks {
            if !stored.contains(&ack.body[..]) {
                let message = &self.evidence.letters[ack.message].message;
                self.breaks("lost", format!("{message:?} was acked and is not in the inbox"));
            }
        }
        let mut seen = BTreeMap::new();
        let mut event_ids = BTreeSet::new();
        for one in self.evidence.notifications {
            let Some(message) = self.by_body.get(&sha256(&one.body)).copied() else {
                let text = String::from_utf8_lossy(&one.body);
                self.breaks("forged", format!("{} holds what no platform sent: {text}", one.id));
                continue;
            };
            if let Some(first) = seen.insert(&one.body[..], &one.id) {
                self.breaks("doubled", format!("one message is stored as {first} and as {}", one.id));
            }
            let facts = message.facts();
            for event in &one.events {
                event_ids.insert(event.id.clone());
                let fact = fact_of(event, message);
                if facts.contains(&fact) {
                    self.events.entry(fact).or_default().push((event, one));
                } else {
                    self.breaks("changed", format!("{event:?} is not what {message:?} states"));
                }
            }
        }
        if &event_ids != self.evidence.listed_events {
            let (listed, shown) = (self.evidence.listed_events.len(), event_ids.len());
            self.breaks("books", format!("{listed} events are listed, and notifications have {shown}"));
        }
    }

    /// No fact has two events, no event two facts, and the shop was told of each fact under one id.
    fn one_event_for_a_fact(&mut self) {
        let mut names: BTreeMap<String, Fact> = BTreeMap::new();
        for (fact, events) in self.events.clone() {
            if events.len() > 1 {
                let ids: Vec<&str> = events.iter().map(|(event, _)| event.id.as_str()).collect();
                self.breaks("doubled", format!("{fact:?} has the events {ids:?}"));
            }
            for (event, _) in events {
                if let Some(other) = names.insert(event.id.clone(), fact.clone()) {
                    self.breaks("id", format!("{} names {fact:?} and {other:?}", event.id));
                }
            }
        }
        let mut told: BTreeMap<Fact, String> = BTreeMap::new();
        for (_, run) in self.evidence.runs {
            let Some(message) = self.by_body.get(&run.body).copied() else {
                self.breaks("changed", format!("the shop got a body that no platform sent: {run:?}"));
                continue;
            };
            for (id, kind) in &run.events {
                let Some(fact) = message.facts().into_iter().find(|fact| fact.kind == kind) else {
                    self.breaks("changed", format!("the shop was told of {kind} with {message:?}"));
                    continue;
                };
                if names.get(id).is_some_and(|other| *other != fact) {
                    self.breaks("id", format!("the shop was told of {fact:?} as {id}, which is {:?}", names.get(id)));
                }
                match told.get(&fact) {
                    Some(other) if other != id => {
                        let other = other.clone();
                        self.breaks("id", format!("the shop was told of {fact:?} as {id} and as {other}"));
                    }
                    _ => {
                        told.insert(fact.clone(), id.clone());
                        names.entry(id.clone()).or_insert(fact);
                    }
                }
            }
        }
    }

    /// Every fact of an acked message was confirmed by the shop under its event's id, or stands in a state that says
    /// why not.
    fn every_fact_has_its_end(&mut self) {
        let confirmed: BTreeSet<&str> =
            self.confirmed().flat_map(|run| &run.events).map(|(id, _)| id.as_str()).collect();
        let acked: BTreeSet<Fact> =
            self.evidence.acks.iter().flat_map(|ack| self.evidence.letters[ack.message].message.facts()).collect();
        for fact in &acked {
            if !self.events.contains_key(fact) {
                self.breaks("lost", format!("{fact:?} was acked and has no event"));
            }
        }
        for (fact, events) in self.events.clone() {
            for (event, one) in events {
                // The shop takes whole messages: one delivery has all the events that a message brought.
                let [delivery] = &one.deliveries[..] else {
                    self.breaks(
                        "unconfirmed",
                        format!("{} of {fact:?} has {} deliveries", one.id, one.deliveries.len()),
                    );
                    continue;
                };
                let is_confirmed = confirmed.contains(event.id.as_str());
                match delivery.state.as_str() {
                    "delivered" if is_confirmed => {}
                    "delivered" => {
                        self.breaks(
                            "unconfirmed",
                            format!("{} is delivered, and the shop never confirmed {fact:?}", delivery.id),
                        );
                    }
                    "pending" | "leased" => self.breaks("stuck", format!("{delivery:?} of {fact:?}")),
                    _ => {
                        if let Some(why) = self.unexplained(&fact, event, delivery) {
                            self.breaks("unexplained", format!("{fact:?}: {why}: {delivery:?}"));
                        }
                    }
                }
            }
        }
    }

    /// Why a state that is not delivered is no explanation; none when it is one.
    fn unexplained(&self, fact: &Fact, event: &Event, delivery: &Delivery) -> Option<&'static str> {
        match delivery.state.as_str() {
            "skipped" => {
                let may_be = matches!(fact.kind, "payment.pending" | "payment.closed");
                (!may_be || delivery.superseded_by.is_none()).then_some("skipped for nothing")
            }
            "held" => (fact.kind != "payment.closed" || !event.is_doubted).then_some("held for nothing"),
            "dead" => {
                let tried = delivery.attempts.iter().map(|(number, _)| *number).max().unwrap_or_default();
                let is_spent = tried >= TRIES as u64;
                (!is_spent || !fact.order_no.ends_with(NEVER_CONFIRMED)).then_some("given up")
            }
            "waiting" => {
                if let Some(payment) = &delivery.waits_for {
                    let state = self.deliveries.get(payment.as_str()).map(|payment| payment.state.as_str());
                    (!matches!(state, Some("dead" | "held" | "waiting"))).then_some("waits for what has ended")
                } else {
                    let is_known = self.events.contains_key(&payment_of(fact));
                    (is_known || !follows_payment(fact.kind)).then_some("waits for a payment that is there")
                }
            }
            _ => Some("a state that nobody expected"),
        }
    }

    /// The shop is told of a refund only when it has confirmed the payment, or together with it.
    fn runs_keep_their_order(&mut self) {
        let mut confirmed_at: HashMap<Fact, usize> = HashMap::new();
        for run in self.confirmed() {
            let (Some(message), Some(end)) = (self.by_body.get(&run.body), run.end) else { continue };
            for fact in message.facts().into_iter().filter(|fact| run.events.iter().any(|(_, kind)| kind == fact.kind))
            {
                let line = confirmed_at.entry(fact).or_insert(end.line);
                *line = end.line.min(*line);
            }
        }
        for (line, run) in self.evidence.runs {
            let Some(message) = self.by_body.get(&run.body) else { continue };
            let tells = |kind: &str| run.events.iter().any(|(_, told)| told == kind);
            if !run.events.iter().any(|(_, kind)| follows_payment(kind)) || tells("payment.succeeded") {
                continue;
            }
            let payment = Fact { order_no: message.order_no.clone(), kind: "payment.succeeded", mark: 0 };
            if confirmed_at.get(&payment).is_none_or(|confirmed| confirmed > line) {
                self.breaks(
                    "order",
                    format!("the shop was told of {:?} before it had confirmed {payment:?}", run.events),
                );
            }
        }
    }

    /// A delivery's next attempt begins when the script of the one before cannot run any more. A shop that stood
    /// still is not held to its own limit.
    fn runs_do_not_overlap(&mut self) {
        let slack =
            u64::try_from(ATTEMPT_TIMEOUT.as_nanos()).unwrap_or_default() + (TERMINATE_SECONDS + 1) * 1_000_000_000;
        let was_hung = |from: u64, to: u64| {
            self.evidence.hangs.iter().any(|hang| hang.from < to && hang.to.saturating_add(slack) > from)
        };
        let mut last: HashMap<&str, (u64, u64, u32)> = HashMap::new();
        let mut broken = Vec::new();
        for (_, run) in self.evidence.runs {
            if let Some((began, ended, attempt)) = last.get(run.delivery.as_str())
                && run.began < *ended
                && !was_hung(*began, *ended)
            {
                let by = (ended - run.began) / 1_000_000;
                broken.push(format!(
                    "attempt {} of {} began {by} ms before attempt {attempt} ended ({})",
                    run.attempt, run.delivery, run.order_no
                ));
            }
            let ended = run.end.map_or(run.began, |end| end.at);
            let latest = last.entry(&run.delivery).or_insert((run.began, ended, run.attempt));
            if ended > latest.1 {
                *latest = (run.began, ended, run.attempt);
            }
        }
        for overlap in broken {
            self.breaks("overlap", overlap);
        }
    }

    /// What the inbox counts as delivered was confirmed, by a run of that very delivery and attempt.
    fn confirmations_add_up(&mut self) {
        let confirmed: BTreeSet<(&str, u64)> =
            self.confirmed().map(|run| (run.delivery.as_str(), u64::from(run.attempt))).collect();
        let mut answered: HashMap<(&str, u32), bool> = HashMap::new();
        for (_, run) in self.evidence.runs {
            // A request may go out again within an attempt, when its worker died before it had said anything.
            let has_answered = run.end.is_some_and(|end| end.how != How::Died);
            if answered.insert((&run.delivery, run.attempt), has_answered) == Some(true) {
                self.breaks("books", format!("attempt {} of {} was answered and run again", run.attempt, run.delivery));
            }
        }
        for one in self.evidence.notifications {
            for delivery in &one.deliveries {
                let delivered: Vec<u64> =
                    delivery.attempts.iter().filter(|(_, how)| how == "delivered").map(|(number, _)| *number).collect();
                for number in &delivered {
                    if !confirmed.contains(&(delivery.id.as_str(), *number)) {
                        self.breaks("books", format!("attempt {number} of {} is delivered without a run", delivery.id));
                    }
                }
                let due = usize::from(delivery.state == "delivered");
                if delivered.len() != due {
                    let count = delivered.len();
                    self.breaks("books", format!("{} is {} with {count} confirmations", delivery.id, delivery.state));
                }
            }
        }
    }

    fn confirmed(&self) -> impl Iterator<Item = &'e Run> {
        let runs = self.evidence.runs.iter().map(|(_, run)| run);
        runs.filter(|run| run.is_confirmed())
    }
}

/// The fact that an event is about.
fn fact_of(event: &Event, message: &Message) -> Fact {
    let mark = match event.kind.as_str() {
        "refund.succeeded" if message.platform.states_running_totals() => event.total.unwrap_or_default(),
        "refund.succeeded" => event.amount.unwrap_or_default(),
        _ => 0,
    };
    // A kind that is not among the message's own is no fact of it.
    let kind = message.facts().into_iter().map(|fact| fact.kind).find(|kind| *kind == event.kind).unwrap_or("unknown");
    Fact { order_no: event.order_no.clone(), kind, mark }
}

fn payment_of(fact: &Fact) -> Fact {
    Fact { order_no: fact.order_no.clone(), kind: "payment.succeeded", mark: 0 }
}

fn follows_payment(kind: &str) -> bool {
    kind.starts_with("refund.") || kind == "payment.finalized"
}
