//! An inbox in memory, written from the rules alone: slow, and simple enough to be believed.
//!
//! It holds everything in lists and looks through all of them for every question. Where the rules leave a choice
//! (which of several deliveries that are due at the same moment is claimed, whether a running total outlives its
//! retention), it takes what the inbox did and checks that this was allowed.

mod facts;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::inbox::holds::{EndHold, EndedHold, HoldEnd, HoldWhat};

/// How long a refund waits for a payment that never comes.
pub(super) const UNKNOWN_PAYMENT_WAIT_MS: i64 = 24 * 60 * 60 * 1000;

/// What the model and the inbox disagree on.
pub(super) type Agreed<T = ()> = Result<T, String>;

/// Fails with both sides when they differ.
macro_rules! same {
    ($ours:expr, $theirs:expr, $($what:tt)+) => {{
        let (ours, theirs) = (&$ours, &$theirs);
        if ours != theirs {
            return Err(format!("{}: the model says {ours:?}, the inbox {theirs:?}", format_args!($($what)+)));
        }
    }};
}
pub(super) use same;

/// A text in a scope, here the account.
pub(super) type Named = (String, String);

#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own, as it is of a row")]
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) id: NotificationId,
    pub(super) key: Named,
    pub(super) received_ms: i64,
    pub(super) is_held: bool,
    pub(super) is_shadow: bool,
    pub(super) repeats: u32,
    pub(super) is_acked: bool,
    pub(super) has_body: bool,
    pub(super) is_removed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) id: EventId,
    pub(super) note: usize,
    pub(super) kind: EventKind,
    pub(super) account: String,
    pub(super) order_no: Option<String>,
    pub(super) payee: Option<String>,
    pub(super) amount: Option<i64>,
    pub(super) basis: AmountBasis,
    pub(super) total: Option<i64>,
    pub(super) currency: Option<Currency>,
    /// Whose total it is.
    pub(super) series: Option<Named>,
    pub(super) created_ms: i64,
    pub(super) concerns: Vec<Concern>,
    pub(super) hold_end: Option<HoldEnd>,
    pub(super) contradicts: Option<usize>,
    /// The payment that it follows.
    pub(super) payment: Option<Named>,
    pub(super) is_routed: bool,
}

impl Happened {
    pub(super) fn is_hold_open(&self) -> bool {
        !self.concerns.is_empty() && self.hold_end.is_none()
    }

    /// Whether it counts as having happened: what is held does not until a person says so.
    pub(super) fn is_believed(&self) -> bool {
        self.concerns.is_empty() || self.hold_end == Some(HoldEnd::Release)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Brought {
    pub(super) id: DeliveryId,
    pub(super) note: usize,
    pub(super) target: String,
    pub(super) is_raw: bool,
    pub(super) events: Vec<usize>,
    pub(super) state: DeliveryState,
    pub(super) due_ms: Option<i64>,
    pub(super) waits_for: Option<usize>,
    /// Payments not known yet that it waits for.
    pub(super) awaits: BTreeSet<Named>,
    pub(super) superseded_by: Option<usize>,
    pub(super) token: Option<LeaseToken>,
    pub(super) attempts: Vec<String>,
    pub(super) begun: u32,
    pub(super) tries: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) minor: i64,
    pub(super) changed_ms: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) notes: Vec<Note>,
    pub(super) events: Vec<Happened>,
    pub(super) deliveries: Vec<Brought>,
    /// (account, kind or `conflict`, name) → event.
    pub(super) names: BTreeMap<(String, &'static str, String), usize>,
    /// (account, series, currency) → highest total.
    pub(super) totals: BTreeMap<(String, String, String), Total>,
}

impl Model {
    pub(super) fn is_removed(&self, event: usize) -> bool {
        self.notes[self.events[event].note].is_removed
    }

    pub(super) fn named(&self, account: &str, kind: &'static str, text: &str) -> Option<usize> {
        let event = *self.names.get(&(account.to_owned(), kind, text.to_owned()))?;
        (!self.is_removed(event)).then_some(event)
    }

    /// Deliveries that are still there, in the order in which they were made.
    pub(super) fn open_places(&self) -> impl Iterator<Item = (usize, &Brought)> {
        self.deliveries.iter().enumerate().filter(|(_, delivery)| !self.notes[delivery.note].is_removed)
    }

    fn note_of(&self, id: NotificationId) -> Option<usize> {
        self.notes.iter().position(|note| note.id == id && !note.is_removed)
    }

    // ---- the order rule

    /// Puts a delivery that is not held where it belongs.
    pub(super) fn place(&mut self, at: usize, now_ms: i64) -> DeliveryState {
        let delivery = &self.deliveries[at];
        let own: Vec<&Happened> = delivery.events.iter().map(|event| &self.events[*event]).collect();
        let tells_of_payment = own.iter().any(|event| event.kind == EventKind::PaymentSucceeded);
        let mut unknown = BTreeSet::new();
        let mut before = None;
        for payment in own.iter().filter_map(|event| event.payment.clone()).filter(|_| !tells_of_payment) {
            let Some(paying) = self.named(&payment.0, EventKind::PaymentSucceeded.as_str(), &payment.1) else {
                unknown.insert(payment);
                continue;
            };
            let unconfirmed = self.open_places().find(|(_, other)| {
                other.target == delivery.target
                    && other.events.contains(&paying)
                    && !matches!(
                        other.state,
                        DeliveryState::Delivered | DeliveryState::Skipped | DeliveryState::Discarded
                    )
            });
            before = before.or(unconfirmed.map(|(place, _)| place));
        }
        let made_ms = own[0].created_ms;
        let delivery = &mut self.deliveries[at];
        delivery.waits_for = before;
        (delivery.state, delivery.due_ms) = match (before, unknown.is_empty()) {
            (Some(_), _) => (DeliveryState::Waiting, None),
            (None, false) => {
                delivery.awaits.extend(unknown);
                (DeliveryState::Waiting, Some(made_ms + UNKNOWN_PAYMENT_WAIT_MS))
            }
            (None, true) => (DeliveryState::Pending, Some(now_ms)),
        };
        delivery.state
    }

    pub(super) fn release_followers(&mut self, of: usize, now_ms: i64) {
        for place in 0..self.deliveries.len() {
            let follower = &self.deliveries[place];
            if follower.state == DeliveryState::Waiting && follower.waits_for == Some(of) {
                self.place(place, now_ms);
            }
        }
    }

    pub(super) fn payment_known(&mut self, payment: &Named, now_ms: i64) {
        for place in 0..self.deliveries.len() {
            let waiting = &mut self.deliveries[place];
            if waiting.awaits.remove(payment)
                && waiting.state == DeliveryState::Waiting
                && waiting.waits_for.is_none()
                && !self.notes[waiting.note].is_removed
            {
                self.place(place, now_ms);
            }
        }
    }

    // ---- what a success makes pointless

    /// The believed success under one of these names.
    pub(super) fn paid_by_name(&self, account: &str, fact: &Fact) -> Option<usize> {
        fact.identities()
            .filter_map(|name| self.named(account, EventKind::PaymentSucceeded.as_str(), name.as_str()))
            .find(|event| self.events[*event].is_believed())
    }

    /// The latest believed success of the order.
    pub(super) fn paid_by_order(&self, account: &str, order_no: Option<&str>) -> Option<usize> {
        let order_no = order_no?;
        (0..self.events.len()).rev().find(|place| {
            let event = &self.events[*place];
            event.kind == EventKind::PaymentSucceeded
                && event.account == account
                && event.order_no.as_deref() == Some(order_no)
                && event.is_believed()
                && !self.is_removed(*place)
        })
    }

    fn superseding(&self, place: usize) -> Option<usize> {
        let event = &self.events[place];
        let is_stale = superseded_by_success(event.kind) && event.concerns.is_empty();
        let paid = self.paid_by_order(&event.account, event.order_no.as_deref()).filter(|_| is_stale)?;
        // A close that came after the success is of another payment, and is told.
        (event.kind != EventKind::PaymentClosed || paid > place).then_some(paid)
    }

    /// The success that makes all of a delivery pointless that was not superseded before.
    pub(super) fn superseding_all(&self, at: usize) -> Option<usize> {
        let delivery = &self.deliveries[at];
        if delivery.superseded_by.is_some() {
            return None;
        }
        let by: Option<Vec<usize>> = delivery.events.iter().map(|event| self.superseding(*event)).collect();
        by?.pop()
    }

    pub(super) fn skip(&mut self, at: usize, by: usize) {
        let delivery = &mut self.deliveries[at];
        (delivery.state, delivery.due_ms, delivery.token, delivery.waits_for) =
            (DeliveryState::Skipped, None, None, None);
        delivery.superseded_by = Some(by);
    }

    pub(super) fn skip_deliveries_of(&mut self, event: usize, by: usize) {
        for place in 0..self.deliveries.len() {
            let delivery = &self.deliveries[place];
            let is_begun = !matches!(delivery.state, DeliveryState::Pending | DeliveryState::Waiting);
            let is_other = !delivery.events.contains(&event) || delivery.superseded_by.is_some();
            let has_more = delivery.events.iter().any(|other| *other != event && self.superseding(*other).is_none());
            if !is_begun && !is_other && !has_more && !self.is_removed(event) {
                self.skip(place, by);
            }
        }
    }

    // ---- people

    pub(super) fn replay(&mut self, replay: &Replay) -> Option<u64> {
        let is_there = match &replay.what {
            ReplayWhat::Dead(_) => true,
            ReplayWhat::Notification(id) => self.note_of(*id).is_some(),
            ReplayWhat::Event(id) => {
                self.events.iter().enumerate().any(|(place, event)| event.id == *id && !self.is_removed(place))
            }
            ReplayWhat::Delivery(id) => self.open_places().any(|(_, delivery)| delivery.id == *id),
        };
        if !is_there {
            return None;
        }
        let chosen: Vec<usize> = self
            .open_places()
            .filter(|(_, delivery)| replay.target.as_ref().is_none_or(|target| *target == delivery.target))
            .filter(|(_, delivery)| match &replay.what {
                ReplayWhat::Dead(_) => delivery.state == DeliveryState::Dead,
                ReplayWhat::Notification(id) => self.notes[delivery.note].id == *id && delivery.state.is_terminal(),
                ReplayWhat::Event(id) => {
                    delivery.events.iter().any(|event| self.events[*event].id == *id) && delivery.state.is_terminal()
                }
                // A person decided for this one not to wait.
                ReplayWhat::Delivery(id) => {
                    delivery.id == *id && (delivery.state.is_terminal() || delivery.state == DeliveryState::Waiting)
                }
            })
            .map(|(place, _)| place)
            .collect();
        for place in &chosen {
            let delivery = &mut self.deliveries[*place];
            (delivery.state, delivery.due_ms) = (DeliveryState::Pending, Some(replay.at.as_millisecond()));
            (delivery.tries, delivery.waits_for) = (0, None);
        }
        Some(chosen.len() as u64)
    }

    pub(super) fn end_hold(&mut self, end: &EndHold) -> Option<EndedHold> {
        let now_ms = end.at.as_millisecond();
        let (note, decided, going): (usize, Vec<usize>, Vec<(usize, HoldEnd)>) = match end.what {
            HoldWhat::Notification(id) => {
                let note = self.note_of(id)?;
                let decided = self.open_holds(note);
                let going = self.held(note).into_iter().map(|place| (place, end.end)).collect();
                (note, decided, going)
            }
            HoldWhat::Event(id) => {
                let event = (0..self.events.len()).find(|place| self.events[*place].id == id)?;
                let note = self.events[event].note;
                if self.notes[note].is_removed {
                    return None;
                }
                let decided: Vec<usize> = self.open_holds(note).into_iter().filter(|open| *open == event).collect();
                for event in &decided {
                    self.events[*event].hold_end = Some(end.end);
                }
                let mut going = Vec::new();
                for place in self.held(note) {
                    let covered = &self.deliveries[place].events;
                    let is_decided = covered.iter().all(|event| !self.events[*event].is_hold_open());
                    if covered.contains(&event) && is_decided {
                        let is_released =
                            covered.iter().any(|event| self.events[*event].hold_end == Some(HoldEnd::Release));
                        going.push((place, if is_released { HoldEnd::Release } else { HoldEnd::Discard }));
                    }
                }
                (note, decided, going)
            }
            HoldWhat::Delivery(id) => {
                let (place, delivery) = self.open_places().find(|(_, delivery)| delivery.id == id)?;
                let is_held = delivery.state == DeliveryState::Held;
                (delivery.note, Vec::new(), if is_held { vec![(place, end.end)] } else { Vec::new() })
            }
        };
        for event in &decided {
            self.events[*event].hold_end = Some(end.end);
        }
        let mut ended = EndedHold { deliveries: going.len() as u64, waiting: 0, holds: 0 };
        for (place, how) in going {
            match how {
                HoldEnd::Release => {
                    ended.waiting += u64::from(self.place(place, now_ms) == DeliveryState::Waiting);
                }
                HoldEnd::Discard => {
                    let delivery = &mut self.deliveries[place];
                    (delivery.state, delivery.due_ms) = (DeliveryState::Discarded, None);
                    self.release_followers(place, now_ms);
                }
            }
        }
        let mut events = decided.len();
        if let HoldWhat::Delivery(id) = end.what {
            // An event none of whose deliveries is held any more is decided.
            let own = self.deliveries.iter().find(|delivery| delivery.id == id)?.events.clone();
            let still_held: BTreeSet<usize> =
                self.held(note).into_iter().flat_map(|place| self.deliveries[place].events.clone()).collect();
            for event in own.into_iter().filter(|event| !still_held.contains(event)) {
                if self.events[event].is_hold_open() {
                    self.events[event].hold_end = Some(end.end);
                    events += 1;
                }
            }
        }
        let mut closed = 0;
        if self.notes[note].is_held && self.held(note).is_empty() && self.open_holds(note).is_empty() {
            self.notes[note].is_held = false;
            closed = 1;
        }
        ended.holds = events.max(closed) as u64;
        Some(ended)
    }

    fn held(&self, note: usize) -> Vec<usize> {
        self.open_places()
            .filter(|(_, delivery)| delivery.note == note && delivery.state == DeliveryState::Held)
            .map(|(place, _)| place)
            .collect()
    }

    fn open_holds(&self, note: usize) -> Vec<usize> {
        (0..self.events.len())
            .filter(|place| self.events[*place].note == note && self.events[*place].is_hold_open())
            .collect()
    }

    pub(super) fn discard_open(&mut self, target: &str) -> u64 {
        let chosen: Vec<usize> = self
            .open_places()
            .filter(|(_, delivery)| delivery.target == target && !delivery.state.is_terminal())
            .map(|(place, _)| place)
            .collect();
        for place in &chosen {
            let delivery = &mut self.deliveries[*place];
            if delivery.state == DeliveryState::Leased {
                delivery.attempts.push("interrupted".to_owned());
            }
            (delivery.state, delivery.due_ms, delivery.token, delivery.waits_for) =
                (DeliveryState::Discarded, None, None, None);
        }
        chosen.len() as u64
    }

    // ---- retention

    /// What a retention that has ended removed: bodies and notifications. The worlds that it may leave differ in
    /// whether totals outlived it.
    pub(super) fn retain(&mut self, retention: Retention, now_ms: i64) -> (u64, u64, Option<Self>) {
        let before = |age: Duration| now_ms - i64::try_from(age.as_millis()).unwrap();
        let (bodies_before, identities_before) =
            (before(retention.bodies), before(retention.identities.max(retention.bodies)));
        let (mut bodies, mut notes) = (0, 0);
        for place in 0..self.notes.len() {
            if self.notes[place].is_removed || self.is_open(place) {
                continue;
            }
            let note = &mut self.notes[place];
            if note.has_body && note.received_ms < bodies_before {
                note.has_body = false;
                bodies += 1;
            }
            if note.received_ms < identities_before {
                note.is_removed = true;
                notes += 1;
            }
        }
        let mut forgetful = self.clone();
        forgetful.totals.retain(|_, total| total.changed_ms >= identities_before);
        let is_same = forgetful.totals == self.totals;
        (bodies, notes, (!is_same).then_some(forgetful))
    }

    /// Whether a delivery may still go out, or another one waits for it.
    fn is_open(&self, note: usize) -> bool {
        self.open_places().any(|(place, delivery)| {
            delivery.note == note
                && (!delivery.state.is_terminal()
                    || self.open_places().any(|(_, follower)| follower.waits_for == Some(place)))
        })
    }
}

/// Kinds that a success makes pointless.
pub(super) fn superseded_by_success(kind: EventKind) -> bool {
    matches!(kind, EventKind::PaymentPending | EventKind::PaymentFailed | EventKind::PaymentClosed)
}
