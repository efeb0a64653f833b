//! Lists and retention.

use super::*;

pub(crate) async fn lists_page_and_filter(keeper: &dyn Keeper) {
    let world = World(keeper);
    let mut ids = Vec::new();
    let mut notifications = Vec::new();
    for number in 0..5 {
        let mut fact = payment(&format!("P{number}"), 1000);
        fact.order_no = Some(format!("order {}", number / 2));
        let targets: &[RoutedTarget] = if number == 4 { &[] } else { &[event_target("shop")] };
        let (notification, events) = world.store_to(&format!("N{number}"), vec![fact], targets).await;
        notifications.push(notification);
        ids.push(events[0].id);
    }
    let leased = world.claim().await;
    world.finish(&leased[0], Next::Delivered).await;
    world.finish(&leased[1], Next::Dead).await;
    let base = EventFilter { limit: 10, ..EventFilter::default() };
    for (filter, expected) in [
        (EventFilter { limit: 2, ..base.clone() }, vec![4, 3]),
        (EventFilter { before: Some(ids[3]), limit: 2, ..base.clone() }, vec![2, 1]),
        (EventFilter { order_no: Some("order 1".to_owned()), ..base.clone() }, vec![3, 2]),
        (EventFilter { channel: Some("test".to_owned()), before: Some(ids[1]), ..base.clone() }, vec![0]),
        (EventFilter { channel: Some("other".to_owned()), ..base.clone() }, vec![]),
        (EventFilter { kind: Some(EventKind::PaymentSucceeded), ..base.clone() }, vec![4, 3, 2, 1, 0]),
        (EventFilter { kind: Some(EventKind::DisputeOpened), ..base.clone() }, vec![]),
        (EventFilter { state: Some(DeliveryState::Delivered), ..base.clone() }, vec![0]),
        (EventFilter { state: Some(DeliveryState::Dead), channel: Some("test".to_owned()), ..base.clone() }, vec![1]),
        (EventFilter { state: Some(DeliveryState::Leased), ..base.clone() }, vec![3, 2]),
        (EventFilter { is_unrouted: true, ..base.clone() }, vec![4]),
    ] {
        let found: Vec<_> = world.inbox().events(filter.clone()).await.unwrap().iter().map(|event| event.id).collect();
        let expected: Vec<_> = expected.into_iter().map(|position: usize| ids[position]).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let base = NotificationFilter { limit: 2, ..NotificationFilter::default() };
    for (filter, expected) in [
        (base.clone(), vec![4, 3]),
        (NotificationFilter { before: Some(notifications[3]), ..base.clone() }, vec![2, 1]),
        (NotificationFilter { after: Some(notifications[2]), ..base.clone() }, vec![3, 4]),
        (NotificationFilter { channel: Some("other".to_owned()), ..base }, vec![]),
    ] {
        let found: Vec<_> = world.inbox().notifications(filter.clone()).await.unwrap().iter().map(|n| n.id).collect();
        let expected: Vec<_> = expected.into_iter().map(|position: usize| notifications[position]).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    assert_eq!(world.inbox().last_genuine().await.unwrap(), [("test".to_owned(), keeper.now())]);
    let used = |count| KeyUse { channel: "test".to_owned(), key: "test key".to_owned(), count, last_at: keeper.now() };
    for (newest, count) in [(100, 5), (5, 5), (2, 2)] {
        let found = world.inbox().key_uses(newest).await.unwrap();
        assert_eq!(found, KeyUses { uses: vec![used(count)], looked_at: count, since: Some(keeper.now()) });
    }
    assert_eq!(world.inbox().key_uses(0).await.unwrap(), KeyUses::default());
    let backlog = world.inbox().backlog().await.unwrap();
    assert_eq!((backlog[0].open, backlog[0].dead, backlog[0].oldest_at), (2, 1, Some(keeper.now())));
}

pub(crate) async fn retention_keeps_what_is_open(keeper: &dyn Keeper) {
    let world = World(keeper);
    let day = Duration::from_hours(24);
    let retention = Retention { bodies: 10 * day, identities: 100 * day, rejections: 10 * day, slice: 2 };
    let (open, _) = world.store("N0", vec![payment("P0", 1000)]).await;
    let mut done = Vec::new();
    for number in 1..6 {
        done.push(world.store(&format!("N{number}"), vec![payment(&format!("P{number}"), 1000)]).await.0);
    }
    for leased in world.claim().await {
        if leased.notification != open {
            world.finish(&leased, Next::Delivered).await;
        }
    }
    let retain = || async {
        let (mut bodies, mut notifications) = (0, 0);
        loop {
            let removed = world.inbox().retain(retention, keeper.now()).await.unwrap();
            assert!(removed.bodies + removed.notifications <= 2);
            bodies += removed.bodies;
            notifications += removed.notifications;
            if removed.is_done {
                return (bodies, notifications);
            }
        }
    };
    assert_eq!(retain().await, (0, 0));
    keeper.advance(11 * day);
    assert_eq!(retain().await, (5, 0));
    assert!(world.inbox().notification(done[0]).await.unwrap().request.is_none());
    assert!(world.inbox().notification(open).await.unwrap().request.is_some());
    assert_eq!(world.store("N1 again", vec![payment("P1", 1000)]).await.1, [], "identities outlive bodies");
    keeper.advance(90 * day);
    assert_eq!(retain().await.1, 5);
    assert!(matches!(world.inbox().notification(done[0]).await, Err(Error::NotFound)));
    assert!(world.inbox().notification(open).await.is_ok());
    assert_eq!(world.store("N2 again", vec![payment("P2", 7)]).await.1.len(), 1, "forgotten");
    assert_eq!(world.store("N0 again", vec![payment("P0", 1000)]).await.1, [], "open ones are never forgotten");
}

pub(crate) async fn a_discarded_lease_keeps_a_row_of_its_attempt(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![payment("P1", 1000)]).await;
    let leased = world.claim().await.remove(0);
    // The process that held it has died, and the target is gone from the configuration.
    assert_eq!(world.inbox().discard_open("shop", "test", keeper.now()).await.unwrap(), 1);
    assert_eq!(world.finish(&leased, Next::Delivered).await, Finished::LeaseLost);
    assert_eq!(world.replay(ReplayWhat::Delivery(leased.delivery)).await, 1);
    let again = world.claim().await.remove(0);
    world.finish(&again, Next::Delivered).await;
    let attempts = world.inbox().attempts_of(leased.delivery).await.unwrap();
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.outcome.as_str())).collect();
    assert_eq!(told, [(1, "interrupted"), (2, "delivered")]);
}
