//! Storing a notification: with its facts, events and deliveries, or as a repetition.

use std::sync::Arc;

use rusqlite::OptionalExtension as _;
use tollbell_channels::model::{Concern, Fact, Notification, Proof, RawRequest, Timestamp};

use super::facts::{self, NewFact, Outcome, Voice};
use super::fault::Fault;
use super::rows::{
    PLACE_BITS, PLACES_MAX, address_bytes, basis_code, concerns_text, from_ms, headers_bytes, state_code, to_ms,
    way_code,
};
use super::session::Session;
use super::{shadow, superseded, unconfirmed, waits};
use crate::inbox::{
    Arrival, DeliveryState, Error, EventId, NewEvent, NotificationId, RoutedTarget, Stored, Way, redact,
};

/// An arrival in the shape of its rows. What can be made ready is, because the writer is one thread for all.
pub(super) struct Parts {
    pub(super) channel: Arc<str>,
    pub(super) merchant: Arc<str>,
    pub(super) platform: &'static str,
    pub(super) notification: Notification,
    pub(super) proof: String,
    pub(super) request: RawRequest,
    pub(super) routes: Vec<Vec<RoutedTarget>>,
    pub(super) is_shadow: bool,
    way: Way,
    assertion: i64,
    headers: Vec<u8>,
}

impl From<Arrival> for Parts {
    fn from(arrival: Arrival) -> Self {
        let (notification, proof) = arrival.notification.into_parts();
        Self::new(Unpacked {
            channel: arrival.channel,
            merchant: arrival.merchant,
            platform: arrival.platform,
            notification,
            proof,
            request: arrival.request,
            signed_query: arrival.signed_query,
            routes: arrival.routes,
            is_shadow: arrival.is_shadow,
        })
    }
}

/// An arrival whose proof was taken apart, because the row keeps both halves.
pub(super) struct Unpacked {
    pub(super) channel: Arc<str>,
    pub(super) merchant: Arc<str>,
    pub(super) platform: &'static str,
    pub(super) notification: Notification,
    pub(super) proof: Proof,
    pub(super) request: RawRequest,
    pub(super) signed_query: Option<String>,
    pub(super) routes: Vec<Vec<RoutedTarget>>,
    pub(super) is_shadow: bool,
}

impl Parts {
    pub(super) fn new(unpacked: Unpacked) -> Self {
        let Unpacked { channel, merchant, platform, notification, proof, mut request, signed_query, routes, is_shadow } =
            unpacked;
        redact::redact(&mut request, signed_query.as_deref());
        let assertion = i64::from_be_bytes(notification.key().assertion);
        let headers = headers_bytes(&request.headers);
        let way = Way::of(&proof);
        let proof = serde_json::to_string(&proof).expect("a proof is plain texts");
        Self { channel, merchant, platform, notification, proof, request, routes, is_shadow, way, assertion, headers }
    }
}

/// What storing needs to know about time.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// Now.
    pub(super) now: Timestamp,
    /// A message whose own time lies before this may repeat something that was forgotten.
    pub(super) remembered_from: Timestamp,
}

/// The whole of it, inside one transaction.
pub(super) fn store(session: &mut Session, parts: &Parts, moment: Moment) -> Result<Stored, Fault> {
    let now_ms = to_ms(moment.now);
    let scope = session.scope(&parts.notification.scope)?;
    if let Some(repeated) = repetition(session, scope, parts, now_ms)? {
        return Ok(repeated);
    }
    // Under a number that tells one thing, another kind of fact would share no name with what was told.
    let is_told_otherwise = parts.notification.tells_one_thing() && is_number_known(session, scope, parts)?;
    let is_too_old = parts.notification.sent_at.is_some_and(|sent_at| sent_at < moment.remembered_from);
    let mut concerns = parts.notification.concerns.clone();
    concerns.extend(is_too_old.then_some(Concern::TooOld));
    concerns.extend(is_told_otherwise.then(|| Concern::Contradiction { field: "platform_id".to_owned() }));
    let awaits_answer = awaits_answer(&concerns);
    let voice = if parts.way == Way::Hint && concerns.is_empty() { Voice::Answer } else { Voice::Message };
    let (notification, id) = session.next_notification(now_ms)?;
    insert_body(session, parts, notification)?;

    let mut learned = Vec::new();
    let mut events: Vec<(Inserted, &[RoutedTarget])> = Vec::with_capacity(parts.notification.facts.len());
    let mut sources = Vec::new();
    let mut known = Vec::new();
    let mut is_known_awaited = false;
    for (index, fact) in parts.notification.facts.iter().enumerate() {
        let fact_scope = session.scope(&fact.scope)?;
        let outcome = if awaits_answer {
            unconfirmed::resolve(session, fact_scope, fact)?
        } else {
            facts::resolve(session, fact_scope, fact, voice, now_ms, &mut learned)?
        };
        let new = match outcome {
            Outcome::New(new) => new,
            Outcome::Known(event) => {
                known.push((fact_scope, index));
                if let (true, Some(event)) = (awaits_answer, event) {
                    is_known_awaited = is_known_awaited || unconfirmed::is_awaited(session, event)?;
                }
                continue;
            }
        };
        let doubt = superseded::contradiction(session, fact_scope, fact)?;
        let routes = parts.routes.get(index).map_or(&[][..], Vec::as_slice);
        let event = EventRow {
            seq: place(notification, events.len())?,
            scope: fact_scope,
            fact,
            new: &new,
            is_unrouted: routes.is_empty(),
            created_at: now_ms,
        };
        let event = insert_event(session, &event, &concerns, doubt)?;
        facts::name_event(session, fact_scope, fact, &new, event.seq, &mut learned)?;
        if awaits_answer && new.conflict.is_none() {
            unconfirmed::claim(session, fact_scope, fact, event.seq)?;
        }
        events.push((event, routes));
        sources.push((fact_scope, index));
    }
    // A refund's message tells of its payment too: only one that brings nothing new says that the payment was not heard.
    if events.is_empty() && !parts.is_shadow {
        for (scope, index) in known {
            shadow::leave_by_fact(session, scope, &parts.notification.facts[index], now_ms)?;
        }
    }
    let deliveries = insert_deliveries(session, notification, &events, parts.is_shadow, now_ms)?;
    // Where everything that it says is known, there is nothing to be confirmed.
    let needs_a_person = !concerns.is_empty() && !unconfirmed::is_asked(&concerns);
    let is_held = needs_a_person || events.iter().any(|(event, _)| event.is_held);
    insert_notification(session, parts, &Row { seq: notification, id, scope, concerns: &concerns, is_held })?;
    // What is held says nothing about its order yet.
    for ((event, _), (scope, index)) in events.iter().zip(&sources).filter(|((event, _), _)| !event.is_held) {
        superseded::skip(session, *scope, &parts.notification.facts[*index], event.seq, now_ms)?;
    }
    for (scope, payment) in learned {
        waits::payment_known(session, scope, &payment, now_ms)?;
    }
    let events = events
        .into_iter()
        .zip(deliveries)
        .map(|((event, _), deliveries)| NewEvent {
            id: event.id,
            kind: event.kind,
            deliveries,
            is_held: event.is_held,
            is_unconfirmed: event.is_unconfirmed,
        })
        .collect();
    // The holds are those of the event's own message; whoever asks the platform asks for this one too.
    Ok(Stored::New { id, events, is_held: is_held || is_known_awaited })
}

/// Whether nothing of a message is told before the platform's answer.
fn awaits_answer(concerns: &[Concern]) -> bool {
    concerns.iter().any(|concern| matches!(concern, Concern::Unconfirmed { .. }))
}

/// Whether a fact of a repeated message still waits for the platform's answer: its event does, its own or another one's, or
/// it was discarded, and the platform may say the same now that somebody else had invented.
fn is_any_awaited(session: &mut Session, notification: &Notification) -> Result<bool, Fault> {
    if !awaits_answer(&notification.concerns) {
        return Ok(false);
    }
    for fact in &notification.facts {
        let scope = session.scope(&fact.scope)?;
        let is_awaited = match unconfirmed::resolve(session, scope, fact)? {
            Outcome::Known(Some(event)) => unconfirmed::is_awaited(session, event)?,
            Outcome::Known(None) => false,
            Outcome::New(_) => true,
        };
        if is_awaited {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The row of an event or delivery by its position within its notification.
fn place(notification: i64, position: usize) -> Result<i64, Fault> {
    let place = i64::try_from(position).unwrap_or(i64::MAX).saturating_add(1);
    if place > PLACES_MAX {
        return Err(Error::Unavailable(format!("more than {PLACES_MAX} events or deliveries of one message")).into());
    }
    Ok((notification << PLACE_BITS) | place)
}

/// Whether a message of this number is stored, whatever it tells.
fn is_number_known(session: &Session, scope: i64, parts: &Parts) -> Result<bool, Fault> {
    let known = session
        .conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM notifications WHERE scope = ?1 AND platform_id = ?2)")?
        .query_row((scope, &parts.notification.platform_id), |row| row.get(0))?;
    Ok(known)
}

/// Recognises a notification that is stored, and counts it without writing.
fn repetition(session: &mut Session, scope: i64, parts: &Parts, now_ms: i64) -> Result<Option<Stored>, Fault> {
    let first = session
        .conn
        .prepare_cached(
            "SELECT id, received_at, repeats, EXISTS (SELECT 1 FROM acks WHERE notification = seq), is_held, is_shadow, seq
             FROM notifications WHERE scope = ?1 AND platform_id = ?2 AND digest = ?3",
        )?
        .query_row((scope, &parts.notification.platform_id, parts.assertion), |row| {
            Ok((
                row.get(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, u32>(2)?,
                row.get::<_, bool>(3)?,
                row.get::<_, bool>(4)?,
                row.get::<_, bool>(5)?,
                row.get::<_, i64>(6)?,
            ))
        })
        .optional()?;
    let Some((id, received_at, stored_repeats, is_acked, is_held, was_shadow, seq)) = first else { return Ok(None) };
    if was_shadow && !parts.is_shadow {
        shadow::leave(session, seq, now_ms)?;
    }
    let is_held = is_held || is_any_awaited(session, &parts.notification)?;
    let is_after_ack = is_acked || session.lazy.acks.contains_key(&seq);
    let waiting = session.count_repetition(seq, is_after_ack, now_ms);
    Ok(Some(Stored::Repeated {
        first: NotificationId::from_bytes(id),
        first_received_at: from_ms(received_at)?,
        repeats: stored_repeats.saturating_add(waiting),
        is_after_ack,
        is_held,
    }))
}

/// What the notification's row says beyond the parts.
struct Row<'a> {
    seq: i64,
    id: NotificationId,
    scope: i64,
    concerns: &'a [Concern],
    is_held: bool,
}

fn insert_notification(session: &mut Session, parts: &Parts, row: &Row<'_>) -> Result<(), Fault> {
    let channel = session.word(&parts.channel)?;
    let merchant = session.word(&parts.merchant)?;
    let platform = session.word(parts.platform)?;
    let proof = session.word(&parts.proof)?;
    session.note_channel(channel, row.seq)?;
    session
        .conn
        .prepare_cached(
            "INSERT INTO notifications
                 (seq, id, scope, platform_id, digest, channel, merchant, platform, platform_kind, received_at, sent_at,
                  proof, concerns, is_held, is_shadow, way)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute((
            row.seq,
            row.id.as_bytes(),
            row.scope,
            &parts.notification.platform_id,
            parts.assertion,
            channel,
            merchant,
            platform,
            &parts.notification.platform_kind,
            to_ms(parts.request.received_at),
            parts.notification.sent_at.map(to_ms),
            proof,
            concerns_text(row.concerns),
            row.is_held,
            parts.is_shadow,
            way_code(parts.way),
        ))?;
    Ok(())
}

fn insert_body(session: &Session, parts: &Parts, notification: i64) -> Result<(), Fault> {
    let request = &parts.request;
    session
        .conn
        .prepare_cached(
            "INSERT INTO bodies (notification, method, path, query, source, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            notification,
            request.method.as_str(),
            &request.path,
            &request.query,
            request.source.map(address_bytes),
            &parts.headers,
            &request.body[..],
        ))?;
    Ok(())
}

/// An event that was just inserted.
struct Inserted {
    seq: i64,
    id: EventId,
    kind: tollbell_channels::model::EventKind,
    is_held: bool,
    is_unconfirmed: bool,
}

/// An event to be inserted.
struct EventRow<'a> {
    seq: i64,
    scope: i64,
    fact: &'a Fact,
    new: &'a NewFact,
    is_unrouted: bool,
    created_at: i64,
}

fn insert_event(
    session: &mut Session,
    row: &EventRow<'_>,
    concerns: &[Concern],
    doubt: Option<Concern>,
) -> Result<Inserted, Fault> {
    let EventRow { seq, fact, new, .. } = *row;
    let id = session.event_id(seq);
    let kind = session.word(fact.kind.as_str())?;
    session.note_kind(kind, seq >> PLACE_BITS)?;
    let mut concerns = concerns.to_vec();
    concerns.extend(new.conflict.as_ref().map(|conflict| conflict.concern.clone()).or(doubt));
    let payment = fact.payment.as_ref().filter(|_| fact.kind.follows_payment());
    session
        .conn
        .prepare_cached(
            "INSERT INTO events
                 (seq, id, scope, kind, order_no, platform_no, payee, amount, basis, total, currency,
                  occurred_at, created_at, concerns, payment, contradicts, is_unrouted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(rusqlite::params![
            seq,
            id.as_bytes(),
            row.scope,
            kind,
            fact.order_no,
            fact.platform_no,
            fact.payee,
            new.amount,
            basis_code(new.basis),
            new.total,
            new.currency.as_ref().map(tollbell_channels::model::Currency::code),
            fact.occurred_at.map(to_ms),
            row.created_at,
            concerns_text(&concerns),
            payment.map(tollbell_channels::model::Identity::as_str),
            new.conflict.as_ref().map(|conflict| conflict.contradicts),
            row.is_unrouted,
        ])?;
    let is_unconfirmed = unconfirmed::is_asked(&concerns);
    Ok(Inserted { seq, id, kind: fact.kind, is_held: !concerns.is_empty(), is_unconfirmed })
}

/// A delivery to be made.
struct Draft<'a> {
    target: &'a RoutedTarget,
    /// Positions in the list of new events.
    events: Vec<usize>,
}

/// Makes the deliveries, and returns how many each event got.
fn insert_deliveries(
    session: &mut Session,
    notification: i64,
    events: &[(Inserted, &[RoutedTarget])],
    is_shadow: bool,
    now_ms: i64,
) -> Result<Vec<usize>, Fault> {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    for (position, (_, routes)) in events.iter().enumerate() {
        for target in *routes {
            // Named twice for one event, a target still gets it once; a raw delivery takes all events of its target.
            match drafts
                .iter_mut()
                .find(|draft| draft.target == target && (target.is_raw || draft.events.contains(&position)))
            {
                Some(draft) if draft.events.contains(&position) => {}
                Some(draft) => draft.events.push(position),
                None => drafts.push(Draft { target, events: vec![position] }),
            }
        }
    }
    let mut counts = vec![0; events.len()];
    let mut followers = Vec::new();
    for (position, draft) in drafts.into_iter().enumerate() {
        let covered = || draft.events.iter().map(|position| &events[*position].0);
        let is_held = covered().any(|event| event.is_held);
        let (state, due_at) = if is_shadow {
            (DeliveryState::Skipped, None)
        } else if is_held {
            (DeliveryState::Held, None)
        } else {
            (DeliveryState::Pending, Some(now_ms))
        };
        let target = session.target(&draft.target.target)?;
        let primary = &events[draft.events[0]].0;
        let delivery = place(notification, position)?;
        let id = session.delivery_id(delivery);
        session
            .conn
            .prepare_cached(
                "INSERT INTO deliveries (seq, id, event, target, is_raw, state, due_at, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                delivery,
                id.as_bytes(),
                primary.seq,
                target,
                draft.target.is_raw,
                state_code(state),
                due_at,
                now_ms,
            ))?;
        for event in covered().skip(1) {
            session
                .conn
                .prepare_cached("INSERT INTO delivery_events (delivery, event) VALUES (?1, ?2)")?
                .execute((delivery, event.seq))?;
        }
        for position in &draft.events {
            counts[*position] += 1;
        }
        if is_held || is_shadow {
        } else if covered().any(|event| event.kind.follows_payment()) {
            followers.push(delivery);
        } else {
            session.made_due = true;
        }
    }
    // Only now, because the payment's delivery may be among those just made.
    for delivery in followers {
        waits::place(session, delivery, now_ms)?;
    }
    Ok(counts)
}
