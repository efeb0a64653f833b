//! Which event a fact is, and what its own amount is.
//!
//! * Any known name means the same fact; its other names become aliases.
//! * Where a fact with a known name says another amount, currency, total or payee than its event, or where
//!   its names belong to different events, it is a conflict: an event of its own, held for a person. The
//!   names of it that were unknown go to the conflict, not to the event that it contradicts.
//! * A fact that says nothing about the amount (`None`, `Unreadable`) contradicts nothing. Where the event
//!   is the silent side and the fact states an amount, the event learns it: an amount that was unknown
//!   becomes known, and a hold stays, because only a person ends one.
//! * A running total gives an amount only by the difference from the highest total known before.

use std::fmt::Write as _;

use rusqlite::{OptionalExtension as _, Row};
use tollbell_channels::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Series};

use super::fault::Fault;
use super::rows::{basis_code, basis_of};
use super::schema::sha256_hex;
use super::session::Session;
use super::unconfirmed;
use crate::inbox::{AmountBasis, EventId};

/// The kind under which conflicts are named; no event kind, so that no platform's text can meet it.
const CONFLICT_KIND: &str = "conflict";

/// What a fact turned out to be.
pub(super) enum Outcome {
    /// An event that is known, or, without one, a total that is older than what is known.
    Known(Option<i64>),
    /// A new event.
    New(NewFact),
}

/// What the new event's row says beyond the fact's own fields.
pub(super) struct NewFact {
    pub(super) amount: Option<i64>,
    pub(super) basis: AmountBasis,
    pub(super) total: Option<i64>,
    pub(super) currency: Option<Currency>,
    pub(super) conflict: Option<Conflict>,
    /// Names that lead to the new event.
    pub(super) names: Vec<Identity>,
    /// The name of a payment of which the message proves that nothing had been refunded, in this currency.
    pub(super) unrefunded: Option<(Identity, Currency)>,
}

/// What a new event contradicts.
pub(super) struct Conflict {
    pub(super) concern: Concern,
    pub(super) contradicts: i64,
    pub(super) name: String,
}

/// Who says a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// A proven message.
    Message,
    /// The platform, when it was asked, with nothing that is doubtful.
    Answer,
}

/// The events that have the fact's names, and the names that no event has.
pub(super) fn by_names(session: &mut Session, scope: i64, fact: &Fact) -> Result<(Vec<Known>, Vec<Identity>), Fault> {
    let kind = session.word(fact.kind.as_str())?;
    let mut known: Vec<Known> = Vec::new();
    let mut unknown: Vec<Identity> = Vec::new();
    for identity in fact.identities() {
        match Known::find(session, scope, kind, identity.as_str())? {
            Some(event) if known.iter().any(|other| other.seq == event.seq) => {}
            Some(event) => known.push(event),
            None if unknown.contains(identity) => {}
            None => unknown.push(identity.clone()),
        }
    }
    // An event that was itself kept as the contradiction of another one adds no second doubt.
    let seqs: Vec<i64> = known.iter().map(|event| event.seq).collect();
    known.retain(|event| event.contradicts.is_none_or(|other| !seqs.contains(&other)));
    Ok((known, unknown))
}

/// Finds out what a fact is. Known events get its further names; `learned` collects them when they are
/// names of a payment, because a refund may wait for one.
pub(super) fn resolve(
    session: &mut Session,
    scope: i64,
    fact: &Fact,
    voice: Voice,
    now_ms: i64,
    learned: &mut Vec<(i64, String)>,
) -> Result<Outcome, Fault> {
    let kind = session.word(fact.kind.as_str())?;
    let (mut known, unknown) = by_names(session, scope, fact)?;
    if known.is_empty() && voice == Voice::Answer {
        if let Some(event) = told_before(session, scope, fact)? {
            return adopt(session, scope, fact, &unknown, event, now_ms, learned);
        }
        known.extend(contradicted(session, scope, fact)?);
    }

    let differs = match known.as_slice() {
        [] => {
            let mut outcome = new_fact(session, scope, fact, &unknown, now_ms)?;
            match (&mut outcome, &fact.baseline) {
                // Most payments: it is kept with the name, which is written anyway.
                (Outcome::New(new), Some((series, currency)))
                    if fact.kind == EventKind::PaymentSucceeded && new.names.contains(&series.0) =>
                {
                    new.unrefunded = Some((series.0.clone(), *currency));
                }
                _ => note_baseline(session, scope, fact, now_ms)?,
            }
            return Ok(outcome);
        }
        [event] => event.difference(fact),
        _ => Some("identity"),
    };
    let Some(differs) = differs else {
        let event = &known[0];
        add_names(session, scope, kind, fact.kind, &unknown, None, event.seq, learned)?;
        event.learn(session, fact)?;
        if let Amount::Cumulative { series, total, .. } = &fact.amount {
            raise_total(session, scope, series, *total, now_ms)?;
        }
        note_baseline(session, scope, fact, now_ms)?;
        return Ok(Outcome::Known(Some(event.seq)));
    };
    let name = conflict_name(&known, fact);
    let conflict_kind = session.word(CONFLICT_KIND)?;
    if let Some(event) = Known::find(session, scope, conflict_kind, &name)? {
        add_names(session, scope, kind, fact.kind, &unknown, None, event.seq, learned)?;
        return Ok(Outcome::Known(Some(event.seq)));
    }
    let conflict = Conflict {
        concern: Concern::Conflict { differs: differs.to_owned(), event: known[0].id.to_string() },
        contradicts: known[0].seq,
        name,
    };
    Ok(Outcome::New(alone(fact, Some(conflict), unknown)))
}

/// A new event that follows from its own fact alone.
fn alone(fact: &Fact, conflict: Option<Conflict>, names: Vec<Identity>) -> NewFact {
    let (amount, basis, total) = match &fact.amount {
        Amount::Stated(money) => (Some(money.minor), AmountBasis::Stated, None),
        Amount::Cumulative { total, .. } => (None, AmountBasis::Unknown, Some(total.minor)),
        Amount::Unreadable => (None, AmountBasis::Unknown, None),
        Amount::None => (None, AmountBasis::None, None),
    };
    let currency = fact.signed_money().map(|money| money.currency);
    NewFact { amount, basis, total, currency, conflict, names, unrefunded: None }
}

/// What an unconfirmed fact is that no event tells. `known` are the events that have one of its names.
pub(super) fn of_unconfirmed(
    session: &mut Session,
    scope: i64,
    fact: &Fact,
    known: &[Known],
) -> Result<Outcome, Fault> {
    if let (Amount::Cumulative { series, total, is_numbered: false }, []) = (&fact.amount, known)
        && highest_total(session, scope, series, total.currency)?.is_some_and(|highest| total.minor <= highest)
    {
        return Ok(Outcome::Known(None));
    }
    let differs = match known {
        [] => None,
        [event] => event.difference(fact),
        _ => Some("identity"),
    };
    let Some(differs) = differs else { return Ok(Outcome::New(alone(fact, None, Vec::new()))) };
    let name = conflict_name(known, fact);
    let conflict_kind = session.word(CONFLICT_KIND)?;
    if let Some(event) = Known::find(session, scope, conflict_kind, &name)? {
        return Ok(Outcome::Known(Some(event.seq)));
    }
    let conflict = Conflict {
        concern: Concern::Conflict { differs: differs.to_owned(), event: known[0].id.to_string() },
        contradicts: known[0].seq,
        name,
    };
    Ok(Outcome::New(alone(fact, Some(conflict), Vec::new())))
}

/// The event of an unconfirmed message that says nothing but what this answer's fact says. One that still waits goes
/// before one that was released; one that was discarded told nobody.
fn told_before(session: &mut Session, scope: i64, fact: &Fact) -> Result<Option<i64>, Fault> {
    let found = unconfirmed::said_by(session, scope, fact)?;
    for event in &found {
        if unconfirmed::is_awaited(session, *event)? {
            return Ok(Some(*event));
        }
    }
    for event in found {
        if !unconfirmed::is_discarded(session, event)? {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// The event of an unconfirmed message about the same as this answer's fact that says another sum or payee.
fn contradicted(session: &mut Session, scope: i64, fact: &Fact) -> Result<Option<Known>, Fault> {
    for event in unconfirmed::named_by(session, scope, fact)? {
        let known = Known::of(session, event)?;
        if known.difference(fact).is_some() {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// The platform told what an event of an unconfirmed message said: the event has the names and sums of the answer.
fn adopt(
    session: &mut Session,
    scope: i64,
    fact: &Fact,
    names: &[Identity],
    event: i64,
    now_ms: i64,
    learned: &mut Vec<(i64, String)>,
) -> Result<Outcome, Fault> {
    let kind = session.word(fact.kind.as_str())?;
    if let Outcome::New(new) = new_fact(session, scope, fact, names, now_ms)? {
        session
            .conn
            .prepare_cached("UPDATE events SET amount = ?2, basis = ?3, total = ?4, currency = ?5 WHERE seq = ?1")?
            .execute((
                event,
                new.amount,
                basis_code(new.basis),
                new.total,
                new.currency.as_ref().map(Currency::code),
            ))?;
        add_names(session, scope, kind, fact.kind, names, None, event, learned)?;
        note_baseline(session, scope, fact, now_ms)?;
    }
    Ok(Outcome::Known(Some(event)))
}

/// The one event that has the fact's names and says nothing else than the fact does.
pub(super) fn agreeing(session: &mut Session, scope: i64, fact: &Fact) -> Result<Option<i64>, Fault> {
    let kind = session.word(fact.kind.as_str())?;
    let mut found: Option<Known> = None;
    for identity in fact.identities() {
        match (Known::find(session, scope, kind, identity.as_str())?, &found) {
            (Some(event), Some(other)) if event.seq != other.seq => return Ok(None),
            (Some(event), None) => found = Some(event),
            _ => {}
        }
    }
    Ok(found.filter(|event| event.contradicts.is_none() && event.difference(fact).is_none()).map(|event| event.seq))
}

/// Gives a new event its names.
pub(super) fn name_event(
    session: &mut Session,
    scope: i64,
    fact: &Fact,
    new: &NewFact,
    event: i64,
    learned: &mut Vec<(i64, String)>,
) -> Result<(), Fault> {
    let kind = session.word(fact.kind.as_str())?;
    add_names(session, scope, kind, fact.kind, &new.names, new.unrefunded.as_ref(), event, learned)?;
    if let Some(conflict) = &new.conflict {
        let kind = session.word(CONFLICT_KIND)?;
        add_name(session, scope, kind, &conflict.name, event, None)?;
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "one row of a name, from three callers")]
fn add_names(
    session: &Session,
    scope: i64,
    kind: i64,
    event_kind: EventKind,
    names: &[Identity],
    unrefunded: Option<&(Identity, Currency)>,
    event: i64,
    learned: &mut Vec<(i64, String)>,
) -> Result<(), Fault> {
    for name in names {
        let unrefunded = unrefunded.filter(|(unrefunded, _)| unrefunded == name).map(|(_, currency)| *currency);
        add_name(session, scope, kind, name.as_str(), event, unrefunded)?;
        if event_kind == EventKind::PaymentSucceeded {
            learned.push((scope, name.as_str().to_owned()));
        }
    }
    Ok(())
}

/// A name whose event has been removed by retention is free again.
fn add_name(
    session: &Session,
    scope: i64,
    kind: i64,
    text: &str,
    event: i64,
    unrefunded: Option<Currency>,
) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached(
            "INSERT OR REPLACE INTO identities (scope, kind, text, event, unrefunded) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((scope, kind, text, event, unrefunded.as_ref().map(Currency::code)))?;
    Ok(())
}

/// An event that has one of the fact's names.
pub(super) struct Known {
    pub(super) seq: i64,
    id: EventId,
    amount: Option<i64>,
    basis: AmountBasis,
    total: Option<i64>,
    currency: Option<String>,
    payee: Option<String>,
    contradicts: Option<i64>,
}

impl Known {
    fn find(session: &Session, scope: i64, kind: i64, text: &str) -> Result<Option<Self>, Fault> {
        session
            .conn
            .prepare_cached(
                "SELECT e.seq, e.id, e.amount, e.basis, e.total, e.currency, e.payee, e.contradicts
                 FROM identities i CROSS JOIN events e ON e.seq = i.event
                 WHERE i.scope = ?1 AND i.kind = ?2 AND i.text = ?3",
            )?
            .query_row((scope, kind, text), Self::row)
            .optional()?
            .map(|(known, basis)| Ok(Self { basis: basis_of(basis)?, ..known }))
            .transpose()
    }

    fn of(session: &Session, event: i64) -> Result<Self, Fault> {
        let (known, basis) = session
            .conn
            .prepare_cached(
                "SELECT e.seq, e.id, e.amount, e.basis, e.total, e.currency, e.payee, e.contradicts
                 FROM events e WHERE e.seq = ?1",
            )?
            .query_row([event], Self::row)?;
        Ok(Self { basis: basis_of(basis)?, ..known })
    }

    fn row(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let known = Self {
            seq: row.get(0)?,
            id: EventId::from_bytes(row.get(1)?),
            amount: row.get(2)?,
            basis: AmountBasis::Unknown,
            total: row.get(4)?,
            currency: row.get(5)?,
            payee: row.get(6)?,
            contradicts: row.get(7)?,
        };
        Ok((known, row.get(3)?))
    }

    /// What the fact says otherwise than this event.
    fn difference(&self, fact: &Fact) -> Option<&'static str> {
        if let (Some(ours), Some(money)) = (&self.currency, fact.signed_money())
            && ours != money.currency.code()
        {
            return Some("currency");
        }
        let (ours, theirs) = match &fact.amount {
            Amount::Stated(money) => (self.amount, Some(money.minor)),
            Amount::Cumulative { total, .. } => (self.total, Some(total.minor)),
            Amount::None | Amount::Unreadable => (None, None),
        };
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && ours != theirs
        {
            return Some("amount");
        }
        if let (Some(ours), Some(theirs)) = (&self.payee, &fact.payee)
            && ours != theirs
        {
            return Some("payee");
        }
        None
    }

    /// Fills in what this event did not know and the fact says. Nothing that was known changes.
    fn learn(&self, session: &Session, fact: &Fact) -> Result<(), Fault> {
        if let Amount::Stated(money) = &fact.amount
            && (self.amount.is_none() || self.basis == AmountBasis::Difference)
        {
            session
                .conn
                .prepare_cached("UPDATE events SET amount = ?2, basis = ?3, currency = ?4 WHERE seq = ?1")?
                .execute((self.seq, money.minor, basis_code(AmountBasis::Stated), money.currency.code()))?;
        }
        if let Amount::Cumulative { total, .. } = &fact.amount
            && self.total.is_none()
        {
            session.conn.prepare_cached("UPDATE events SET total = ?2, currency = ?3 WHERE seq = ?1")?.execute((
                self.seq,
                total.minor,
                total.currency.code(),
            ))?;
        }
        if let (None, Some(payee)) = (&self.payee, &fact.payee) {
            session.conn.prepare_cached("UPDATE events SET payee = ?2 WHERE seq = ?1")?.execute((self.seq, payee))?;
        }
        Ok(())
    }
}

/// A name for what a contradicting fact says, the same whichever message says it.
fn conflict_name(known: &[Known], fact: &Fact) -> String {
    let mut events: Vec<EventId> = known.iter().map(|event| event.id).collect();
    events.sort_unstable();
    let mut said = String::new();
    for event in events {
        write!(said, "{event}\u{1f}").expect("writing to a string never fails");
    }
    let amount = match &fact.amount {
        Amount::Stated(money) => format!("={}{}", money.minor, money.currency),
        Amount::Cumulative { total, .. } => format!("+{}{}", total.minor, total.currency),
        Amount::None => "-".to_owned(),
        Amount::Unreadable => "?".to_owned(),
    };
    write!(said, "{amount}\u{1f}{}", fact.payee.as_deref().unwrap_or("")).expect("writing to a string never fails");
    sha256_hex(said.as_bytes())
}

/// A fact without a known name: its amount, or that it is an old total told late.
fn new_fact(session: &mut Session, scope: i64, fact: &Fact, names: &[Identity], now_ms: i64) -> Result<Outcome, Fault> {
    let plain = |amount, basis| NewFact {
        amount,
        basis,
        total: None,
        currency: fact.signed_money().map(|money| money.currency),
        conflict: None,
        names: names.to_vec(),
        unrefunded: None,
    };
    Ok(Outcome::New(match &fact.amount {
        Amount::Stated(money) => plain(Some(money.minor), AmountBasis::Stated),
        Amount::None => plain(None, AmountBasis::None),
        Amount::Unreadable => plain(None, AmountBasis::Unknown),
        Amount::Cumulative { series, total, is_numbered } => {
            let highest = highest_total(session, scope, series, total.currency)?;
            let (amount, basis) = match highest {
                Some(highest) if total.minor > highest => (Some(total.minor - highest), AmountBasis::Difference),
                // Another number for money that is already within the total: a fact of its own, its share unknown.
                Some(_) if *is_numbered => {
                    forget_difference(session, scope, fact, *total)?;
                    (None, AmountBasis::Unknown)
                }
                Some(_) => return Ok(Outcome::Known(None)),
                None => (None, AmountBasis::Unknown),
            };
            raise_total(session, scope, series, *total, now_ms)?;
            NewFact { total: Some(total.minor), ..plain(amount, basis) }
        }
    }))
}

/// A total that came late lies between two that had been taken for adjacent: the higher one's difference
/// spans two facts, so its own amount is unknown too. What was told is told; what is kept is true.
fn forget_difference(session: &mut Session, scope: i64, fact: &Fact, late: Money) -> Result<(), Fault> {
    let Some(order_no) = &fact.order_no else { return Ok(()) };
    let kind = session.word(fact.kind.as_str())?;
    session
        .conn
        .prepare_cached(
            "UPDATE events SET amount = NULL, basis = ?6 WHERE seq = (
                 SELECT seq FROM events
                 WHERE order_no = ?1 AND scope = ?2 AND kind = ?3 AND total > ?4 AND payment IS ?7 AND contradicts IS NULL
                 ORDER BY total LIMIT 1) AND basis = ?5",
        )?
        .execute((
            order_no,
            scope,
            kind,
            late.minor,
            basis_code(AmountBasis::Difference),
            basis_code(AmountBasis::Unknown),
            // An order that was paid twice has two running totals.
            fact.payment.as_ref().map(Identity::as_str),
        ))?;
    Ok(())
}

fn highest_total(session: &mut Session, scope: i64, series: &Series, currency: Currency) -> Result<Option<i64>, Fault> {
    let total = session
        .conn
        .prepare_cached("SELECT total FROM totals WHERE scope = ?1 AND series = ?2 AND currency = ?3")?
        .query_row((scope, series.0.as_str(), currency.code()), |row| row.get(0))
        .optional()?;
    if total.is_some() {
        return Ok(total);
    }
    let paid = session.word(EventKind::PaymentSucceeded.as_str())?;
    let is_unrefunded = session
        .conn
        .prepare_cached("SELECT 1 FROM identities WHERE scope = ?1 AND kind = ?2 AND text = ?3 AND unrefunded = ?4")?
        .exists((scope, paid, series.0.as_str(), currency.code()))?;
    Ok(is_unrefunded.then_some(0))
}

/// Totals only rise: a message that is older than what is known lowers nothing.
fn raise_total(session: &Session, scope: i64, series: &Series, total: Money, now_ms: i64) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached(
            "INSERT INTO totals (scope, series, currency, total, changed_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET total = excluded.total, changed_at = excluded.changed_at
             WHERE excluded.total > total",
        )?
        .execute((scope, series.0.as_str(), total.currency.code(), total.minor, now_ms))?;
    Ok(())
}

/// A payment without any refund proves a total of zero, where no total is known.
fn note_baseline(session: &Session, scope: i64, fact: &Fact, now_ms: i64) -> Result<(), Fault> {
    let Some((series, currency)) = &fact.baseline else { return Ok(()) };
    session
        .conn
        .prepare_cached(
            "INSERT OR IGNORE INTO totals (scope, series, currency, total, changed_at) VALUES (?1, ?2, ?3, 0, ?4)",
        )?
        .execute((scope, series.0.as_str(), currency.code(), now_ms))?;
    Ok(())
}
