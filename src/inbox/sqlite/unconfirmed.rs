//! Facts of proven messages that the platform has not confirmed, on channels that ask before anything is told.
//!
//! * Whoever stole the channel's secret can sign anything. So such a fact gives its event no name by which anything else is
//!   recognised, raises no total and is no ground for one: it must not stand in the way of another payment's genuine fact.
//! * The same fact in another message is the same event. One that says anything else is an event of its own.
//! * Where the platform's answer says all that the fact says, the event gets the answer's names. Where the answer names less, or
//!   another order, payment, number, payee or sum, it is not the fact that the answer tells.
//! * An event that a person releases gets its own names, as far as they are free. One that was discarded tells nothing: who
//!   says the same later may be the platform.

use rusqlite::OptionalExtension as _;
use tollbell_channels::model::{Amount, Concern, EventKind, Fact};

use super::facts::{self, Outcome};
use super::fault::Fault;
use super::rows::concerns_of;
use super::session::Session;
use super::waits;
use crate::inbox::holds::CLAIMS_MAX;

/// The kind under which the names of unconfirmed facts are kept; no event kind.
const KIND: &str = "unconfirmed";
/// Between the parts of such a row's text. A platform's text may hold it: what a row leads to is always compared whole.
const BETWEEN: char = '\u{1f}';
/// Digits of any event's row.
const EVENT_WIDTH: usize = 19;
/// The character after [`BETWEEN`], where the texts that begin alike end.
const AFTER: char = '\u{20}';

/// What a fact or event says beside its names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Saying {
    order_no: Option<String>,
    platform_no: Option<String>,
    payee: Option<String>,
    payment: Option<String>,
    currency: Option<String>,
    amount: Option<i64>,
    total: Option<i64>,
}

impl Saying {
    fn of_fact(fact: &Fact) -> Self {
        let (amount, total) = match &fact.amount {
            Amount::Stated(money) => (Some(money.minor), None),
            Amount::Cumulative { total, .. } => (None, Some(total.minor)),
            Amount::None | Amount::Unreadable => (None, None),
        };
        let payment = fact.payment.as_ref().filter(|_| fact.kind.follows_payment());
        Self {
            order_no: fact.order_no.clone(),
            platform_no: fact.platform_no.clone(),
            payee: fact.payee.clone(),
            payment: payment.map(|payment| payment.as_str().to_owned()),
            currency: fact.signed_money().map(|money| money.currency.code().to_owned()),
            amount,
            total,
        }
    }

    /// None when the event has been removed.
    fn of_event(session: &Session, event: i64) -> Result<Option<Self>, Fault> {
        Ok(session
            .conn
            .prepare_cached(
                "SELECT order_no, platform_no, payee, payment, currency, amount, total FROM events WHERE seq = ?1",
            )?
            .query_row([event], |row| {
                Ok(Self {
                    order_no: row.get(0)?,
                    platform_no: row.get(1)?,
                    payee: row.get(2)?,
                    payment: row.get(3)?,
                    currency: row.get(4)?,
                    amount: row.get(5)?,
                    total: row.get(6)?,
                })
            })
            .optional()?)
    }

    /// Whether the other says all of it. What the other does not say is not confirmed by it.
    fn is_said_by(&self, other: &Self) -> bool {
        fn within<T: PartialEq>(ours: Option<&T>, theirs: Option<&T>) -> bool {
            ours.is_none() || ours == theirs
        }
        within(self.order_no.as_ref(), other.order_no.as_ref())
            && within(self.platform_no.as_ref(), other.platform_no.as_ref())
            && within(self.payee.as_ref(), other.payee.as_ref())
            && within(self.payment.as_ref(), other.payment.as_ref())
            && within(self.currency.as_ref(), other.currency.as_ref())
            && within(self.amount.as_ref(), other.amount.as_ref())
            && within(self.total.as_ref(), other.total.as_ref())
    }
}

/// An event of an unconfirmed fact.
struct Claim {
    event: i64,
    saying: Saying,
    names: Vec<String>,
}

impl Claim {
    fn is_named_by(&self, fact: &Fact) -> bool {
        self.names.iter().all(|name| fact.identities().any(|identity| identity.as_str() == name))
    }

    fn is_same(&self, fact: &Fact) -> bool {
        let knows = |name: &str| self.names.iter().any(|own| own == name);
        self.is_named_by(fact)
            && fact.identities().all(|identity| knows(identity.as_str()))
            && self.saying == Saying::of_fact(fact)
    }
}

/// Finds out what an unconfirmed fact is. Writes nothing.
pub(super) fn resolve(session: &mut Session, scope: i64, fact: &Fact) -> Result<Outcome, Fault> {
    let (known, unknown) = facts::by_names(session, scope, fact)?;
    let saying = Saying::of_fact(fact);
    if let [event] = known.as_slice()
        && unknown.is_empty()
        && Saying::of_event(session, event.seq)?.is_some_and(|event| saying.is_said_by(&event))
    {
        return Ok(Outcome::Known(Some(event.seq)));
    }
    for same in claims(session, scope, fact)?.iter().filter(|claim| claim.is_same(fact)) {
        if !is_discarded(session, same.event)? {
            return Ok(Outcome::Known(Some(same.event)));
        }
    }
    facts::of_unconfirmed(session, scope, fact, &known)
}

/// Keeps the names of an unconfirmed fact.
pub(super) fn claim(session: &mut Session, scope: i64, fact: &Fact, event: i64) -> Result<(), Fault> {
    let kind = session.word(KIND)?;
    let mut insert = session
        .conn
        .prepare_cached("INSERT OR IGNORE INTO identities (scope, kind, text, event) VALUES (?1, ?2, ?3, ?4)")?;
    for identity in fact.identities() {
        // Of one width, so that the latest is the last.
        let named = format!("{}{event:0EVENT_WIDTH$}", by_name(fact.kind.as_str(), identity.as_str()));
        insert.execute((scope, kind, named, event))?;
        insert.execute((scope, kind, format!("{}{identity}", by_event(event)), event))?;
    }
    Ok(())
}

/// The events, open or ended, of unconfirmed facts all of which this answer's fact says; the oldest first.
pub(super) fn said_by(session: &mut Session, scope: i64, fact: &Fact) -> Result<Vec<i64>, Fault> {
    let saying = Saying::of_fact(fact);
    let claims = claims(session, scope, fact)?.into_iter();
    Ok(claims.filter(|claim| claim.is_named_by(fact) && claim.saying.is_said_by(&saying)).map(|c| c.event).collect())
}

/// The open events of unconfirmed facts that have no other names than this answer's fact.
pub(super) fn named_by(session: &mut Session, scope: i64, fact: &Fact) -> Result<Vec<i64>, Fault> {
    let mut found = Vec::new();
    for claim in claims(session, scope, fact)? {
        if claim.is_named_by(fact) && concerns_if_open(session, claim.event)?.is_some() {
            found.push(claim.event);
        }
    }
    Ok(found)
}

/// Whether there is a concern, and none that the platform's own answer would not end.
pub(super) fn is_asked(concerns: &[Concern]) -> bool {
    let is_asked = |concern: &Concern| matches!(concern, Concern::Unconfirmed { number } if !number.is_empty());
    !concerns.is_empty() && concerns.iter().all(is_asked)
}

/// Whether an event is held until the platform confirms it, and for nothing else.
pub(super) fn is_awaited(session: &Session, event: i64) -> Result<bool, Fault> {
    let concerns = concerns_if_open(session, event)?;
    Ok(concerns.is_some_and(|all| all.iter().all(|concern| matches!(concern, Concern::Unconfirmed { .. }))))
}

/// Whether an event's hold ended so that nobody is told of it.
pub(super) fn is_discarded(session: &Session, event: i64) -> Result<bool, Fault> {
    Ok(session.conn.prepare_cached("SELECT 1 FROM events WHERE seq = ?1 AND hold_end = 2")?.exists([event])?)
}

fn concerns_if_open(session: &Session, event: i64) -> Result<Option<Vec<Concern>>, Fault> {
    let found: Option<String> = session
        .conn
        .prepare_cached("SELECT concerns FROM events WHERE seq = ?1 AND concerns IS NOT NULL AND hold_end IS NULL")?
        .query_row([event], |row| row.get(0))
        .optional()?;
    found.map(|concerns| concerns_of(Some(&concerns))).transpose()
}

/// Events of a message that were released are known by their own names from now on.
pub(super) fn take_names(session: &mut Session, notification: i64, now_ms: i64) -> Result<(), Fault> {
    let released: Vec<(i64, i64, i64, String)> = session
        .conn
        .prepare_cached(
            "SELECT e.seq, e.scope, e.kind, k.text FROM events e CROSS JOIN words k ON k.id = e.kind
             WHERE e.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND e.concerns IS NOT NULL AND e.hold_end = 1",
        )?
        .query_map([notification], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (event, scope, kind, word) in released {
        for name in names(session, scope, event)? {
            let taken = session
                .conn
                .prepare_cached("INSERT OR IGNORE INTO identities (scope, kind, text, event) VALUES (?1, ?2, ?3, ?4)")?
                .execute((scope, kind, &name, event))?;
            if taken == 1 && word == EventKind::PaymentSucceeded.as_str() {
                waits::payment_known(session, scope, &name, now_ms)?;
            }
        }
    }
    Ok(())
}

/// The events of unconfirmed facts that have one of the fact's names, the oldest first; of each name the latest, as many as
/// are looked at.
fn claims(session: &mut Session, scope: i64, fact: &Fact) -> Result<Vec<Claim>, Fault> {
    // On the way of every payment: most inboxes have none.
    let Some(kind) = session.seen_word(KIND)? else { return Ok(Vec::new()) };
    let mut events: Vec<i64> = Vec::new();
    for identity in fact.identities() {
        let (from, to) = range(by_name(fact.kind.as_str(), identity.as_str()));
        let mut select = session.conn.prepare_cached(
            "SELECT event FROM identities WHERE scope = ?1 AND kind = ?2 AND text >= ?3 AND text < ?4
             ORDER BY text DESC LIMIT ?5",
        )?;
        let found = select.query_map((scope, kind, from, to, CLAIMS_MAX), |row| row.get(0))?;
        events.extend(found.collect::<Result<Vec<i64>, _>>()?);
    }
    events.sort_unstable();
    events.dedup();
    let mut claims = Vec::with_capacity(events.len());
    for event in events {
        // Else it has been removed.
        if let Some(saying) = Saying::of_event(session, event)? {
            claims.push(Claim { event, saying, names: names(session, scope, event)? });
        }
    }
    Ok(claims)
}

/// The names that an unconfirmed fact gave this event.
fn names(session: &mut Session, scope: i64, event: i64) -> Result<Vec<String>, Fault> {
    let Some(kind) = session.seen_word(KIND)? else { return Ok(Vec::new()) };
    let before = by_event(event);
    let skipped = before.len();
    let (from, to) = range(before);
    let mut select = session
        .conn
        .prepare_cached("SELECT text FROM identities WHERE scope = ?1 AND kind = ?2 AND text >= ?3 AND text < ?4")?;
    let found = select.query_map((scope, kind, from, to), |row| row.get::<_, String>(0))?;
    found.map(|text| Ok(text?.split_off(skipped))).collect()
}

/// How the rows begin that lead from a name to its events.
fn by_name(kind: &str, name: &str) -> String {
    format!("{kind}{BETWEEN}{name}{BETWEEN}")
}

/// How the rows begin that lead from an event to its names. No event kind begins with a digit.
fn by_event(event: i64) -> String {
    format!("{event}{BETWEEN}")
}

/// Every text that begins so.
fn range(beginning: String) -> (String, String) {
    let mut end = beginning.clone();
    end.pop();
    end.push(AFTER);
    (beginning, end)
}
