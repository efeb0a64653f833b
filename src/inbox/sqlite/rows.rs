//! Between rows and our types. A value that is not one of ours is `inbox::Error::Corrupt`, never a panic.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rusqlite::Row;
use tollbell_channels::model::{Concern, Currency, Environment, EventKind, Money, RawRequest, Timestamp};

use super::fault::Fault;
use crate::inbox::{
    AmountBasis, AttemptRecord, DeliveryId, DeliveryRecord, DeliveryState, EventId, EventRecord, NotificationId, Way,
};

/// A time as it is stored.
pub(super) fn to_ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A time as it was stored.
pub(super) fn from_ms(ms: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_millisecond(ms).map_err(|_| Fault::corrupt("a time"))
}

/// Bits of the position of an event or a delivery within its notification. Statements say it as a number: the rows
/// of notification `n` are `BETWEEN n << 16 AND (n << 16 | 65535)`, and those beside event `e` `BETWEEN (e >> 16) << 16
/// AND (e | 65535)`.
pub(super) const PLACE_BITS: u32 = 16;
/// Events of one notification at most, and deliveries; more than any platform's facts times any shop's targets.
pub(super) const PLACES_MAX: i64 = (1 << PLACE_BITS) - 1;
/// Notifications of one block of `channel_blocks` and `kind_blocks`.
pub(super) const BLOCK_BITS: u32 = 10;

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("56 bits")
}

/// The row of a notification, if it is one.
pub(super) fn notification_seq(id: NotificationId) -> i64 {
    signed(id.number() >> PLACE_BITS)
}

/// The row of an event, if it is one.
pub(super) fn event_seq(id: EventId) -> i64 {
    signed(id.number())
}

/// The row of a delivery, if it is one.
pub(super) fn delivery_seq(id: DeliveryId) -> i64 {
    signed(id.number())
}

/// The state's number in the schema.
pub(super) const fn state_code(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Waiting => 0,
        DeliveryState::Held => 1,
        DeliveryState::Pending => 2,
        DeliveryState::Leased => 3,
        DeliveryState::Delivered => 4,
        DeliveryState::Dead => 5,
        DeliveryState::Skipped => 6,
        DeliveryState::Discarded => 7,
    }
}

pub(super) fn state_of(code: i64) -> Result<DeliveryState, Fault> {
    DeliveryState::ALL
        .iter()
        .copied()
        .find(|state| state_code(*state) == code)
        .ok_or_else(|| Fault::corrupt("a delivery's state"))
}

/// The basis's number in the schema.
pub(super) const fn basis_code(basis: AmountBasis) -> i64 {
    match basis {
        AmountBasis::Stated => 0,
        AmountBasis::Difference => 1,
        AmountBasis::Unknown => 2,
        AmountBasis::None => 3,
    }
}

pub(super) fn basis_of(code: i64) -> Result<AmountBasis, Fault> {
    [AmountBasis::Stated, AmountBasis::Difference, AmountBasis::Unknown, AmountBasis::None]
        .into_iter()
        .find(|basis| basis_code(*basis) == code)
        .ok_or_else(|| Fault::corrupt("an amount's basis"))
}

/// The way's number in the schema.
pub(super) const fn way_code(way: Way) -> i64 {
    match way {
        Way::Callback => 0,
        Way::Hint => 1,
    }
}

pub(super) fn way_of(code: i64) -> Result<Way, Fault> {
    [Way::Callback, Way::Hint]
        .into_iter()
        .find(|way| way_code(*way) == code)
        .ok_or_else(|| Fault::corrupt("a notification's way"))
}

/// Concerns as they are stored; nothing when there are none.
pub(super) fn concerns_text(concerns: &[Concern]) -> Option<String> {
    (!concerns.is_empty()).then(|| serde_json::to_string(concerns).expect("concerns are plain texts"))
}

pub(super) fn concerns_of(text: Option<&str>) -> Result<Vec<Concern>, Fault> {
    text.map_or(Ok(Vec::new()), |text| serde_json::from_str(text).map_err(|_| Fault::corrupt("concerns")))
}

pub(super) fn environment_of(text: &str) -> Result<Environment, Fault> {
    Environment::parse(text).ok_or_else(|| Fault::corrupt("an environment"))
}

pub(super) fn currency_of(code: &str) -> Result<Currency, Fault> {
    Currency::parse(code).map_err(|_| Fault::corrupt("a currency"))
}

/// The columns that [`event`] reads, from [`EVENT_TABLES`].
pub(super) const EVENT_COLUMNS: &str = "e.id, n.id, c.text, m.text, s.environment, k.text, e.order_no, e.platform_no,
    e.amount, e.basis, e.total, e.currency, e.occurred_at, e.created_at, e.concerns, e.seq";
/// Outer joins, so that the planner keeps `events` in front: every row has its partners.
pub(super) const EVENT_TABLES: &str = "events e LEFT JOIN notifications n ON n.seq = e.seq >> 16
    LEFT JOIN words c ON c.id = n.channel LEFT JOIN words m ON m.id = n.merchant
    LEFT JOIN words k ON k.id = e.kind LEFT JOIN scopes s ON s.id = e.scope";

/// Reads an event.
pub(super) fn event(row: &Row<'_>) -> Result<EventRecord, Fault> {
    let currency: Option<String> = row.get(11)?;
    let currency = currency.as_deref().map(currency_of).transpose()?;
    let money = |minor: Option<i64>| match (minor, currency) {
        (Some(minor), Some(currency)) => Ok(Some(Money { minor, currency })),
        (Some(_), None) => Err(Fault::corrupt("an amount without currency")),
        (None, _) => Ok(None),
    };
    let kind: String = row.get(5)?;
    let occurred_at: Option<i64> = row.get(12)?;
    let concerns: Option<String> = row.get(14)?;
    Ok(EventRecord {
        id: EventId::from_bytes(row.get(0)?),
        notification: NotificationId::from_bytes(row.get(1)?),
        channel: row.get(2)?,
        merchant: row.get(3)?,
        environment: environment_of(&row.get::<_, String>(4)?)?,
        kind: EventKind::parse(&kind).ok_or_else(|| Fault::corrupt("an event's kind"))?,
        order_no: row.get(6)?,
        platform_no: row.get(7)?,
        amount: money(row.get(8)?)?,
        amount_basis: basis_of(row.get(9)?)?,
        total: money(row.get(10)?)?,
        occurred_at: occurred_at.map(from_ms).transpose()?,
        created_at: from_ms(row.get(13)?)?,
        concerns: concerns_of(concerns.as_deref())?,
    })
}

/// The columns and tables that [`delivery`] reads.
pub(super) const DELIVERY_SELECT: &str = "SELECT d.id, e.id, n.id, t.text, d.is_raw, d.state,
    coalesce(d.due_at, d.changed_at), d.attempts, d.changed_at, w.id, s.id
    FROM deliveries d LEFT JOIN events e ON e.seq = d.event LEFT JOIN notifications n ON n.seq = d.seq >> 16
    LEFT JOIN words t ON t.id = d.target LEFT JOIN deliveries w ON w.seq = d.waits_for
    LEFT JOIN events s ON s.seq = d.superseded_by";

/// Reads a delivery.
pub(super) fn delivery(row: &Row<'_>) -> Result<DeliveryRecord, Fault> {
    let waits_for: Option<[u8; 16]> = row.get(9)?;
    let superseded_by: Option<[u8; 16]> = row.get(10)?;
    Ok(DeliveryRecord {
        id: DeliveryId::from_bytes(row.get(0)?),
        event: EventId::from_bytes(row.get(1)?),
        notification: NotificationId::from_bytes(row.get(2)?),
        target: row.get(3)?,
        is_raw: row.get(4)?,
        state: state_of(row.get(5)?)?,
        due_at: from_ms(row.get(6)?)?,
        attempts: row.get(7)?,
        changed_at: from_ms(row.get(8)?)?,
        waits_for: waits_for.map(DeliveryId::from_bytes),
        superseded_by: superseded_by.map(EventId::from_bytes),
    })
}

/// The columns that [`attempt`] reads.
pub(super) const ATTEMPT_COLUMNS: &str =
    "number, started_at, ended_at, outcome, reason, detail, status, body_head, stderr";

/// Reads an attempt.
pub(super) fn attempt(row: &Row<'_>) -> Result<AttemptRecord, Fault> {
    Ok(AttemptRecord {
        number: row.get(0)?,
        started_at: from_ms(row.get(1)?)?,
        ended_at: from_ms(row.get(2)?)?,
        outcome: row.get(3)?,
        reason: row.get(4)?,
        detail: row.get(5)?,
        status: row.get(6)?,
        body_head: row.get(7)?,
        stderr: row.get(8)?,
    })
}

/// The columns that [`request`] reads.
pub(super) const BODY_COLUMNS: &str = "b.method, b.path, b.query, b.source, b.headers, b.body, n.received_at";

/// Rebuilds a request.
pub(super) fn request(row: &Row<'_>) -> Result<RawRequest, Fault> {
    let method: String = row.get(0)?;
    let source: Option<Vec<u8>> = row.get(3)?;
    let headers: Vec<u8> = row.get(4)?;
    let body: Vec<u8> = row.get(5)?;
    Ok(RawRequest {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| Fault::corrupt("a request's method"))?,
        path: row.get(1)?,
        query: row.get(2)?,
        headers: headers_of(&headers).ok_or_else(|| Fault::corrupt("a request's headers"))?,
        body: Bytes::from(body),
        source: source.as_deref().map(address_of).transpose()?,
        received_at: from_ms(row.get(6)?)?,
    })
}

/// An address as 4 or 16 bytes.
pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub(super) fn address_of(bytes: &[u8]) -> Result<IpAddr, Fault> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes).map(IpAddr::from).map_err(|_| Fault::corrupt("a request's source"))
}

/// Headers as bytes: name and value in turn, each behind its length. Duplicates keep their order.
pub(super) fn headers_bytes(headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    for (name, value) in headers {
        push_piece(&mut bytes, name.as_str().as_bytes());
        push_piece(&mut bytes, value.as_bytes());
    }
    bytes
}

fn headers_of(mut bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !bytes.is_empty() {
        let name = HeaderName::from_bytes(take_piece(&mut bytes)?).ok()?;
        let value = HeaderValue::from_bytes(take_piece(&mut bytes)?).ok()?;
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

/// A length in groups of seven bits, the lowest first, then the bytes.
fn push_piece(bytes: &mut Vec<u8>, piece: &[u8]) {
    let mut length = piece.len();
    let seven_bits = |length: usize| u8::try_from(length & 0x7f).expect("seven bits");
    while length > 0x7f {
        bytes.push(seven_bits(length) | 0x80);
        length >>= 7;
    }
    bytes.push(seven_bits(length));
    bytes.extend_from_slice(piece);
}

fn take_piece<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    for shift in (0..=28).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= usize::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            let (piece, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            return Some(piece);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_come_back_with_duplicates_and_odd_bytes() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
        headers.append("content-type", HeaderValue::from_bytes(b"text/plain; name=\xe4\xbd\xa0").unwrap());
        headers.append("x-forwarded-for", HeaderValue::from_static(""));
        headers.append("x-long", HeaderValue::from_str(&"a".repeat(20_000)).unwrap());
        assert_eq!(headers_of(&headers_bytes(&headers)), Some(headers));
    }

    proptest! {
        #[test]
        fn stored_headers_of_any_shape_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(headers_of(&bytes));
        }
    }
}
