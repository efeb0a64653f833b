//! The log of refused requests.

use tollbell_channels::channel::Rejection;

use super::*;
use crate::inbox::rejections::{BODY_BYTES_MAX, Refused, RejectionFilter, RejectionLimits, RejectionRecord};

/// Rows are written with a delay; those that do not come within this time never come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that somebody sent, with a body of its own.
pub(crate) fn sent(now: Timestamp, source: &str, body: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.append("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.append("x-signature", HeaderValue::from_static("abc"));
    RawRequest {
        method: Method::POST,
        path: "/notify/test".to_owned(),
        query: None,
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        source: Some(source.parse().unwrap()),
        received_at: now,
    }
}

pub(crate) fn unknown_key() -> Rejection {
    Rejection::UnknownKey { serial: "S1".to_owned() }
}

pub(crate) fn note(inbox: &dyn Inbox, rejection: &Rejection, request: &RawRequest) {
    inbox.note_rejection(Refused { channel: Some("test"), rejection, request, is_read: true });
}

pub(crate) fn all() -> RejectionFilter {
    RejectionFilter { limit: PAGE_MAX, ..RejectionFilter::default() }
}

/// The rows, once they are as they should be.
pub(crate) async fn rows_when(
    inbox: &dyn Inbox,
    filter: RejectionFilter,
    is_good: impl Fn(&[RejectionRecord]) -> bool,
) -> Vec<RejectionRecord> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let rows = inbox.rejections(filter.clone()).await.unwrap();
        if is_good(&rows) {
            return rows;
        }
        assert!(std::time::Instant::now() < until, "{} rows: {rows:?}", rows.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn a_refusal_is_kept_with_its_request(keeper: &dyn Keeper) {
    let inbox = keeper.inbox();
    let mut request = sent(keeper.now(), "192.0.2.7", "a=1&b=2");
    request.query = Some("token=hunter2&sign=kept".to_owned());
    request.headers.append("authorization", HeaderValue::from_static("Bearer hunter2"));
    note(inbox, &unknown_key(), &request);
    let mut large = sent(keeper.now(), "2001:db8::1", "");
    large.body = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
    note(inbox, &Rejection::Empty, &large);
    let unread = sent(keeper.now(), "192.0.2.8", "");
    let too_large = Rejection::TooLarge { limit: 7 };
    inbox.note_rejection(Refused { channel: None, rejection: &too_large, request: &unread, is_read: false });

    let rows = rows_when(inbox, all(), |rows| rows.len() == 3).await;
    let id = rows.iter().find(|row| row.rejection == unknown_key()).unwrap().id;
    let kept = inbox.rejection(id).await.unwrap();
    assert_eq!((kept.channel.as_deref(), kept.count, kept.more), (Some("test"), 1, 0));
    assert_eq!((kept.source, kept.received_at), (request.source, keeper.now()));
    let kept = kept.request.unwrap();
    assert!(kept.is_whole() && kept.is_redacted);
    assert_eq!(kept.request.body, request.body);
    assert_eq!(kept.request.query.as_deref(), Some("token=[removed]&sign=kept"));
    assert_eq!(kept.request.headers["authorization"], "[removed]");
    assert_eq!(kept.request.headers["x-signature"], "abc");

    let cut = inbox.rejection(rows.iter().find(|row| row.rejection == Rejection::Empty).unwrap().id).await.unwrap();
    let cut = cut.request.unwrap();
    assert_eq!((cut.request.body.len(), cut.body_bytes), (BODY_BYTES_MAX, Some(BODY_BYTES_MAX as u64 + 1)));
    assert!(!cut.is_whole());
    let unread = rows.iter().find(|row| row.channel.is_none()).unwrap();
    assert_eq!(unread.rejection, too_large);
    let unread = inbox.rejection(unread.id).await.unwrap().request.unwrap();
    assert!(unread.body_bytes.is_none() && !unread.is_whole());

    let of_key = RejectionFilter { reason: Some("unknown_key".to_owned()), ..all() };
    assert_eq!(inbox.rejections(of_key).await.unwrap().len(), 1);
    let elsewhere = RejectionFilter { channel: Some("elsewhere".to_owned()), ..all() };
    assert_eq!(inbox.rejections(elsewhere).await.unwrap().len(), 0);
    let later = RejectionFilter { since: Some(keeper.now() + Duration::from_secs(1)), ..all() };
    assert_eq!(inbox.rejections(later).await.unwrap().len(), 0);
    let page = RejectionFilter { limit: 2, ..all() };
    let first = inbox.rejections(page.clone()).await.unwrap();
    let rest = inbox.rejections(RejectionFilter { before: Some(first[1].id), ..page }).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(rest[0].id < first[1].id);
    let groups = inbox.rejection_groups(all()).await.unwrap();
    assert_eq!(groups.iter().map(|group| (group.kept, group.count)).collect::<Vec<_>>(), [(1, 1); 3]);
    assert!(matches!(inbox.rejection(RejectionId::new()).await, Err(Error::NotFound)));
}

pub(crate) async fn the_same_bytes_are_one_rejection(keeper: &dyn Keeper) {
    let inbox = keeper.inbox();
    let request = sent(keeper.now(), "192.0.2.7", "a=1");
    let mut signed_anew = request.clone();
    signed_anew.headers.insert("x-signature", HeaderValue::from_static("def"));
    for request in [&request, &request, &signed_anew] {
        note(inbox, &unknown_key(), request);
    }
    rows_when(inbox, all(), |rows| rows.len() == 2).await;
    // A credential tells nothing apart: its digest would let anyone try out guesses.
    for guess in ["Bearer a", "Bearer b"] {
        let mut armed = request.clone();
        armed.headers.insert("authorization", HeaderValue::from_str(guess).unwrap());
        note(inbox, &Rejection::Empty, &armed);
    }
    let empty = RejectionFilter { reason: Some("empty".to_owned()), ..all() };
    rows_when(inbox, empty, |rows| rows.len() == 1 && rows[0].count == 2).await;
    keeper.advance(Duration::from_mins(1));
    note(inbox, &unknown_key(), &RawRequest { received_at: keeper.now(), ..request });
    let rows = rows_when(inbox, all(), |rows| rows.iter().any(|row| row.count == 3)).await;
    assert_eq!(rows.len(), 3);
    let row = rows.iter().find(|row| row.count == 3).unwrap();
    assert_eq!(row.last_at, keeper.now());
    assert!(row.received_at < row.last_at);
}

pub(crate) async fn a_network_has_its_share_and_the_rest_is_counted(keeper: &dyn Keeper) {
    let inbox = keeper.inbox();
    let share = RejectionLimits::default().kept_in_window as usize;
    for number in 0..share + 140 {
        let source = format!("192.0.2.{}", number % 250);
        note(inbox, &Rejection::Signature, &sent(keeper.now(), &source, &format!("n={number}")));
    }
    note(inbox, &Rejection::Signature, &sent(keeper.now(), "198.51.100.1", "quiet"));
    let counted = |rows: &[RejectionRecord]| rows.iter().map(|row| row.count + row.more).sum::<u64>();
    let rows = rows_when(inbox, all(), |rows| counted(rows) == share as u64 + 141).await;
    assert_eq!(rows.len(), share + 1, "its share of the loud network and one of the quiet one");
    assert_eq!(rows.iter().filter(|row| row.more > 0).map(|row| row.more).collect::<Vec<_>>(), [140]);
    assert_eq!(inbox.rejections_lost(), 0);
    keeper.advance(Duration::from_hours(1));
    note(inbox, &Rejection::Signature, &sent(keeper.now(), "192.0.2.1", "later"));
    rows_when(inbox, all(), |rows| rows.len() == share + 2).await;
}

pub(crate) async fn a_proven_one_is_on_disk_before_the_reply(keeper: &dyn Keeper) {
    let inbox = keeper.inbox();
    let rejection = Rejection::Undecryptable;
    let mut request = sent(keeper.now(), "192.0.2.7", "{ciphertext}");
    for signature in ["first", "second", "third"] {
        request.headers.insert("x-signature", HeaderValue::from_str(signature).unwrap());
        let refused = Refused { channel: Some("test"), rejection: &rejection, request: &request, is_read: true };
        inbox.store_rejection(refused).await.unwrap();
        let rows = inbox.rejections(all()).await.unwrap();
        assert_eq!(rows.len(), 1, "the platform signs each repetition anew");
    }
    let rows = rows_when(inbox, all(), |rows| rows[0].count == 3).await;
    assert_eq!((rows.len(), rows[0].more), (1, 0));
}

pub(crate) async fn a_rejection_becomes_a_notification_once(keeper: &dyn Keeper) {
    let inbox = keeper.inbox();
    let letter = letter(keeper.now(), "N1", vec![payment("P1", 1000)], &[event_target("shop")]);
    note(inbox, &unknown_key(), &letter.request);
    let id = rows_when(inbox, all(), |rows| rows.len() == 1).await[0].id;
    keeper.advance(Duration::from_hours(2));
    assert!(matches!(keeper.store_reverified(letter.clone(), RejectionId::new()).await, Err(Error::NotFound)));
    let stored = inbox.notifications(NotificationFilter { limit: 1, ..NotificationFilter::default() }).await.unwrap();
    assert!(stored.is_empty(), "nothing is stored without its rejection");

    let stored = keeper.store_reverified(letter.clone(), id).await.unwrap();
    assert!(matches!(&stored, Stored::New { events, is_held: false, .. } if events.len() == 1));
    let became = stored.notification();
    let notification = inbox.notification(became).await.unwrap();
    assert_eq!(notification.received_at, letter.request.received_at, "as it arrived");
    let record = inbox.rejection(id).await.unwrap();
    assert_eq!((record.notification, record.reverified_at), (Some(became), Some(keeper.now())));
    assert_eq!(inbox.rejections(RejectionFilter { is_open: true, ..all() }).await.unwrap().len(), 0);
    assert_eq!(World(keeper).claim().await.len(), 1);

    let again = letter.clone();
    let stored = keeper.store_reverified(again, id).await.unwrap();
    assert!(matches!(stored, Stored::Repeated { first, .. } if first == became));
    assert!(matches!(keeper.store(letter.clone()).await.unwrap(), Stored::Repeated { .. }));
    let audit = inbox.audit_log(10).await.unwrap();
    assert_eq!(audit.len(), 2);
    for row in audit {
        assert_eq!((row.who.as_str(), row.what.as_str(), row.result), ("test", "reverify", Some(1)));
        assert_eq!(row.subjects, [id.to_string(), became.to_string()]);
    }
}

pub(crate) async fn rejections_go_with_their_own_retention(keeper: &dyn Keeper) {
    let inbox = keeper.inbox();
    let day = Duration::from_hours(24);
    let world = World(keeper);
    let (stored, _) = world.store("N1", vec![payment("P1", 1000)]).await;
    for number in 0..5 {
        note(inbox, &unknown_key(), &sent(keeper.now(), "192.0.2.7", &format!("n={number}")));
    }
    rows_when(inbox, all(), |rows| rows.len() == 5).await;
    keeper.advance(20 * day);
    note(inbox, &unknown_key(), &sent(keeper.now(), "192.0.2.7", "n=0"));
    rows_when(inbox, all(), |rows| rows.iter().any(|row| row.count == 2)).await;
    keeper.advance(11 * day);
    let retention = Retention { bodies: 90 * day, identities: 900 * day, rejections: 30 * day, slice: 2 };
    let mut removed = 0;
    loop {
        let retained = inbox.retain(retention, keeper.now()).await.unwrap();
        assert!(retained.rejections <= 2 && retained.bodies + retained.notifications == 0);
        removed += retained.rejections;
        if retained.is_done {
            break;
        }
    }
    assert_eq!(removed, 4);
    let left = inbox.rejections(all()).await.unwrap();
    assert_eq!(left.len(), 1, "the one that came again is young");
    assert!(inbox.rejection(left[0].id).await.unwrap().request.is_some());
    assert!(inbox.notification(stored).await.unwrap().request.is_some());
}
