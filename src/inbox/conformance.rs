//! What every inbox must do, written against its traits alone, so that each implementation runs the same
//! suite: it implements [`Keeper`] and calls [`conformance_suite`].

mod confirmed;
mod hints;
pub(crate) mod histories;
mod house;
pub(crate) mod interleavings;
mod keys;
mod settled;
mod shadow;
mod standby;
mod superseded;

pub(crate) use self::confirmed::*;
pub(crate) use self::hints::*;
pub(crate) use self::house::*;
pub(crate) use self::keys::*;
pub(crate) use self::settled::*;
pub(crate) use self::shadow::*;
pub(crate) use self::standby::*;
pub(crate) use self::superseded::*;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tollbell_channels::model::{
    Amount, Concern, Currency, Environment, EventKind, Fact, Identity, Money, Notification, RawRequest, Scope, Series,
    Timestamp,
};

use super::*;

mod holds;
pub(crate) mod rejections;

pub(crate) use holds::*;
pub(crate) use rejections::*;

/// An inbox under test, with a clock that stands still until it is moved.
#[async_trait]
pub(crate) trait Keeper: Send + Sync {
    fn inbox(&self) -> &dyn Inbox;
    /// Stores as [`Intake::store`] does; proofs cannot be made here, so the keeper takes the parts.
    async fn store(&self, letter: Letter) -> Result<Stored, Error>;
    /// Stores as [`Rejections::store_reverified`] does, in the name of `test`.
    async fn store_reverified(&self, letter: Letter, rejection: RejectionId) -> Result<Stored, Error>;
    fn now(&self) -> Timestamp;
    fn advance(&self, by: Duration);
}

/// A message without its proof.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) notification: Notification,
    pub(crate) request: RawRequest,
    pub(crate) routes: Vec<Vec<RoutedTarget>>,
    pub(crate) is_shadow: bool,
}

pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// Longer than any wait that these rules plan.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(7 * 24);

pub(crate) fn cny(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}

fn name(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

fn series(payment: &str) -> Series {
    Series(name(&format!("refunds of {payment}")))
}

fn scope() -> Scope {
    Scope { environment: Environment::Sandbox, family: "testpay", account: "2088000000000000".to_owned() }
}

fn fact(kind: EventKind, identity: &str, amount: Amount) -> Fact {
    Fact {
        kind,
        scope: scope(),
        identity: name(identity),
        aliases: Vec::new(),
        amount,
        order_no: Some("20261121001".to_owned()),
        platform_no: Some(identity.to_owned()),
        payee: Some("2088000000000000".to_owned()),
        occurred_at: None,
        payment: None,
        baseline: None,
    }
}

pub(crate) fn payment(number: &str, minor: i64) -> Fact {
    fact(EventKind::PaymentSucceeded, number, Amount::Stated(cny(minor)))
}

pub(crate) fn refund(number: &str, payment: &str, minor: i64) -> Fact {
    Fact { payment: Some(name(payment)), ..fact(EventKind::RefundSucceeded, number, Amount::Stated(cny(minor))) }
}

fn total_refund(number: &str, payment: &str, total: i64, is_numbered: bool) -> Fact {
    let amount = Amount::Cumulative { series: series(payment), total: cny(total), is_numbered };
    Fact { amount, ..refund(number, payment, 0) }
}

pub(crate) fn letter(now: Timestamp, number: &str, facts: Vec<Fact>, targets: &[RoutedTarget]) -> Letter {
    let mut headers = HeaderMap::new();
    headers.append("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"));
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    Letter {
        routes: vec![targets.to_vec(); facts.len()],
        is_shadow: false,
        notification: Notification {
            scope: scope(),
            platform_id: number.to_owned(),
            platform_kind: "trade_status_sync".to_owned(),
            sent_at: Some(now),
            facts,
            concerns: Vec::new(),
        },
        request: RawRequest {
            method: Method::POST,
            path: "/notify/test".to_owned(),
            query: Some("a=%20b".to_owned()),
            headers,
            body: Bytes::from_static(b"a=1&b=\xff\x00"),
            source: Some("192.0.2.1".parse().unwrap()),
            received_at: now,
        },
    }
}

pub(crate) fn event_target(id: &str) -> RoutedTarget {
    RoutedTarget { target: id.into(), is_raw: false }
}

pub(crate) fn raw_target(id: &str) -> RoutedTarget {
    RoutedTarget { target: id.into(), is_raw: true }
}

/// Short sentences for the tests.
struct World<'a>(&'a dyn Keeper);

impl World<'_> {
    fn inbox(&self) -> &dyn Inbox {
        self.0.inbox()
    }

    async fn store(&self, number: &str, facts: Vec<Fact>) -> (NotificationId, Vec<NewEvent>) {
        self.store_to(number, facts, &[event_target("shop")]).await
    }

    async fn store_to(
        &self,
        number: &str,
        facts: Vec<Fact>,
        targets: &[RoutedTarget],
    ) -> (NotificationId, Vec<NewEvent>) {
        let letter = letter(self.0.now(), number, facts, targets);
        match self.0.store(letter).await.unwrap() {
            Stored::New { id, events, .. } => (id, events),
            repeated @ Stored::Repeated { .. } => panic!("not new: {repeated:?}"),
        }
    }

    async fn claim(&self) -> Vec<Leased> {
        let claim = Claim {
            target: "shop".into(),
            max: 10,
            now: self.0.now(),
            lease: LEASE,
            longest_wait: LONGEST_WAIT,
            running: Vec::new(),
        };
        self.inbox().claim(claim).await.unwrap()
    }

    async fn finish(&self, leased: &Leased, next: Next) -> Finished {
        self.inbox().finish(finish(leased, next, self.0.now())).await.unwrap()
    }

    async fn states(&self, notification: NotificationId) -> Vec<DeliveryState> {
        let deliveries = self.inbox().deliveries_of(notification).await.unwrap();
        deliveries.into_iter().map(|delivery| delivery.state).collect()
    }

    async fn event(&self, new: &NewEvent) -> EventRecord {
        self.inbox().event(new.id).await.unwrap()
    }

    async fn replay(&self, what: ReplayWhat) -> u64 {
        self.inbox().replay(Replay { what, target: None, at: self.0.now() }, "test").await.unwrap()
    }
}

pub(crate) fn finish(leased: &Leased, next: Next, now: Timestamp) -> Finish {
    Finish {
        delivery: leased.delivery,
        token: leased.token,
        attempt: AttemptRecord {
            number: leased.attempt,
            started_at: now,
            ended_at: now,
            outcome: "delivered".to_owned(),
            reason: String::new(),
            detail: String::new(),
            status: Some(200),
            body_head: "success".to_owned(),
            stderr: String::new(),
        },
        next,
    }
}

/// Makes one test of each rule, on an inbox made by `$keeper`.
macro_rules! conformance_suite {
    ($keeper:expr) => {
        $crate::inbox::conformance::conformance_suite! { @tests $keeper;
            what_is_stored_comes_back_to_the_byte
            racing_repetitions_are_one_notification
            a_repetition_after_the_ack_is_told_apart
            one_fact_under_two_notifications_is_one_event
            a_contradiction_is_held_once
            names_of_two_events_are_a_contradiction
            a_fact_without_an_amount_contradicts_nothing
            totals_give_amounts_by_their_differences
            totals_out_of_order_are_never_guessed_at
            a_late_total_doubts_only_its_own_payment
            a_refund_waits_for_its_payment
            a_refund_before_its_payment_waits_for_it
            a_refund_without_any_payment_goes_out_at_last
            payment_and_refund_of_one_message_go_in_order
            a_dead_payment_keeps_its_refund_back
            raw_deliveries_cover_all_events_of_a_message
            a_payment_waits_for_nothing_whatever_comes_with_it
            a_lease_that_ran_out_is_taken_over
            a_claim_that_stands_by_gets_what_a_commit_makes_due
            a_further_claim_ends_the_one_that_stands_by
            a_lease_that_is_given_back_was_never_taken
            results_that_are_written_together_stand_each_for_itself
            held_things_stay
            old_captures_are_held
            dead_ones_are_replayed_with_fresh_tries
            lists_page_and_filter
            retention_keeps_what_is_open
            a_discarded_lease_keeps_a_row_of_its_attempt
            platform_keys_come_back_and_are_replaced
            a_released_hold_is_delivered
            a_discarded_hold_never_goes_out
            a_released_refund_waits_for_its_payment
            events_of_one_message_are_decided_one_by_one
            a_delivery_is_released_alone
            a_hold_without_deliveries_ends_too
            under_a_number_that_tells_one_thing_another_is_held
            a_refusal_is_kept_with_its_request
            the_same_bytes_are_one_rejection
            a_network_has_its_share_and_the_rest_is_counted
            a_proven_one_is_on_disk_before_the_reply
            a_rejection_becomes_a_notification_once
            rejections_go_with_their_own_retention
            a_success_skips_what_was_still_to_be_told_of_its_order
            what_has_begun_is_not_skipped_and_not_tried_again
            old_news_is_skipped_and_a_close_after_the_payment_is_held
            a_skipped_delivery_goes_out_when_a_person_says_so
            a_released_success_speaks_like_any_other
            what_ended_in_shadow_stays_ended
            success_refunds_and_disputes_are_never_skipped
            deliveries_are_found_by_their_facts
            ends_are_told_after_the_commit
            in_shadow_nothing_goes_out_until_it_is_told_again
            notes_of_shadow_come_back_in_their_order
            a_lease_outlives_a_jump_of_the_clock
            a_hint_is_one_row_and_one_question
            a_number_that_is_named_again_waits_longer_each_time
            what_is_named_while_it_is_asked_is_asked_once_more
            what_is_always_named_while_it_is_asked_waits_longer_each_time
            what_becomes_due_sooner_wakes_who_asks
            what_the_platform_does_not_know_is_not_asked_again_for_a_while
            a_failed_question_stays_open
            a_network_fills_no_more_than_its_places
            networks_take_turns_and_proven_ground_goes_first
            a_flood_from_everywhere_leaves_room_for_who_proved_something
            what_was_answered_is_forgotten_and_what_is_open_is_not
            a_clock_that_is_set_back_delays_no_question_for_ever
            success_always_has_a_question_behind_it
            what_is_named_while_the_platform_does_not_know_it_is_asked_again
            what_is_named_again_does_not_wait_for_a_late_look
            a_number_stands_on_the_best_ground_of_all_who_named_it
            known_numbers_that_strangers_name_take_their_places
            a_new_credential_is_tried_at_once
            a_clock_that_is_set_back_makes_hints_due
            a_jump_of_the_clock_forgets_nothing_at_one_look
            what_strangers_named_in_vain_gives_its_place_back
            what_is_owed_is_neither_answered_nor_invented
            what_waits_is_what_was_asked_in_vain
            what_does_not_prove_itself_goes_last_and_earns_nothing
            what_waits_for_the_platform_goes_out_when_it_says_the_same
            what_the_platform_says_otherwise_stays_held
            a_success_ends_what_waited_before_it
            what_is_confirmed_late_is_not_told_after_the_success
            an_answer_that_is_held_itself_confirms_nothing
            what_is_known_needs_no_second_confirmation
            what_the_answer_does_not_say_is_not_confirmed
            what_is_forged_swallows_nothing_genuine
            one_payment_of_two_messages_is_confirmed_once
            every_message_about_what_waits_is_asked_about
            what_a_person_released_is_known
            what_a_person_discarded_swallows_nothing_genuine
            whoever_says_much_of_one_payment_is_not_looked_at_for_ever
            an_answer_that_is_late_is_not_the_last
        }
    };
    (@tests $keeper:expr; $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let keeper = $keeper;
            $crate::inbox::conformance::$name(&keeper).await;
            keeper.inbox().close().await;
        }
    )*};
}
pub(crate) use conformance_suite;

pub(crate) async fn what_is_stored_comes_back_to_the_byte(keeper: &dyn Keeper) {
    let world = World(keeper);
    let letter = letter(keeper.now(), "N1", vec![payment("P1", 1000)], &[event_target("shop")]);
    let id = keeper.store(letter.clone()).await.unwrap().notification();
    let stored = world.inbox().notification(id).await.unwrap();
    let request = stored.request.unwrap();
    assert_eq!(request.body, letter.request.body);
    assert_eq!(request.headers, letter.request.headers);
    assert_eq!((request.path, request.query), (letter.request.path, letter.request.query));
    assert_eq!((request.source, request.method), (letter.request.source, letter.request.method));
    assert_eq!((stored.platform_id.as_str(), stored.repeats), ("N1", 0));
    assert_eq!(stored.events.len(), 1);
    let leased = world.claim().await.remove(0);
    assert_eq!(leased.request.unwrap().body, letter.request.body);
    assert_eq!(leased.events[0].amount, Some(cny(1000)));
    assert!(matches!(world.inbox().event(EventId::new()).await, Err(Error::NotFound)));
}

pub(crate) async fn racing_repetitions_are_one_notification(keeper: &dyn Keeper) {
    let letters = (0..64).map(|_| letter(keeper.now(), "N1", vec![payment("P1", 1000)], &[event_target("shop")]));
    let mut new = 0;
    let mut repeated = Vec::new();
    for stored in futures_of(letters.map(|letter| keeper.store(letter)).collect()).await {
        match stored.unwrap() {
            Stored::New { events, .. } => new += events.len(),
            Stored::Repeated { repeats, .. } => repeated.push(repeats),
        }
    }
    repeated.sort_unstable();
    assert_eq!((new, repeated), (1, (1..=63).collect()));
    assert_eq!(World(keeper).claim().await.len(), 1);
}

/// All of them at once.
async fn futures_of<T>(futures: Vec<std::pin::Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (future, None)).collect();
    std::future::poll_fn(|context| {
        let mut is_ready = true;
        for (future, value) in &mut futures {
            if value.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *value = Some(ready),
                    std::task::Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, value)| value).collect()
}

pub(crate) async fn a_repetition_after_the_ack_is_told_apart(keeper: &dyn Keeper) {
    let again = || letter(keeper.now(), "N1", vec![payment("P1", 1000)], &[]);
    let id = keeper.store(again()).await.unwrap().notification();
    let before = keeper.store(again()).await.unwrap();
    assert!(matches!(before, Stored::Repeated { is_after_ack: false, repeats: 1, .. }), "{before:?}");
    keeper.inbox().acked(id, keeper.now());
    let after = keeper.store(again()).await.unwrap();
    assert!(
        matches!(after, Stored::Repeated { is_after_ack: true, repeats: 2, first, .. } if first == id),
        "{after:?}"
    );
    // The counts reach the disk with the next thing that is written.
    World(keeper).store("N2", vec![payment("P2", 1)]).await;
    let record = keeper.inbox().notification(id).await.unwrap();
    assert_eq!((record.repeats, record.repeated_after_ack, record.acked_at), (2, 1, Some(keeper.now())));
}

pub(crate) async fn one_fact_under_two_notifications_is_one_event(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![payment("P1", 1000)]).await;
    let (_, none) = world.store("N2", vec![Fact { aliases: vec![name("alias")], ..payment("P1", 1000) }]).await;
    let (_, by_alias) = world.store("N3", vec![payment("alias", 1000)]).await;
    assert_eq!((none, by_alias), (vec![], vec![]));
    let (_, other_kind) =
        world.store("N4", vec![fact(EventKind::PaymentFinalized, "P1", Amount::Stated(cny(1000)))]).await;
    assert_eq!(other_kind.len(), 1);
    assert_eq!(world.claim().await.len(), 2);
}

pub(crate) async fn a_contradiction_is_held_once(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (_, first) = world.store("N1", vec![payment("P1", 1000)]).await;
    for (number, differs, contradiction) in [
        ("N2", "amount", payment("P1", 1)),
        ("N3", "payee", Fact { payee: Some("another".to_owned()), ..payment("P1", 1000) }),
        (
            "N4",
            "currency",
            Fact {
                amount: Amount::Stated(Money { minor: 1000, currency: Currency::parse("USD").unwrap() }),
                ..payment("P1", 1000)
            },
        ),
    ] {
        let (id, events) = world.store(number, vec![contradiction.clone()]).await;
        assert!(events.len() == 1 && events[0].is_held, "{differs}");
        assert_eq!(world.states(id).await, [DeliveryState::Held]);
        let expected = Concern::Conflict { differs: differs.to_owned(), event: first[0].id.to_string() };
        assert_eq!(world.event(&events[0]).await.concerns, [expected]);
        // Another message that says the same, and one more name of it, add nothing.
        assert_eq!(world.store(&format!("{number} again"), vec![contradiction.clone()]).await.1, []);
        let alias = format!("alias {number}");
        let named = Fact { aliases: vec![name(&alias)], ..contradiction.clone() };
        assert_eq!(world.store(&format!("{number} named"), vec![named.clone()]).await.1, []);
        assert_eq!(
            world
                .store(
                    &format!("{number} once more"),
                    vec![Fact { occurred_at: Some(keeper.now()), order_no: None, ..named }]
                )
                .await
                .1,
            []
        );
    }
    assert_eq!(world.claim().await.len(), 1, "only the first goes out");
}

pub(crate) async fn names_of_two_events_are_a_contradiction(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![payment("P1", 1000), payment("P2", 1000)]).await;
    let both = Fact { aliases: vec![name("P2"), name("P3")], ..payment("P1", 1000) };
    let (_, events) = world.store("N2", vec![both.clone()]).await;
    assert!(events.len() == 1 && events[0].is_held);
    assert_eq!(world.store("N3", vec![both]).await.1, []);
    assert_eq!(world.claim().await.len(), 2);
}

pub(crate) async fn a_fact_without_an_amount_contradicts_nothing(keeper: &dyn Keeper) {
    let world = World(keeper);
    let silent = || Fact { amount: Amount::Unreadable, ..payment("P1", 0) };
    let (_, events) = world.store("N1", vec![silent()]).await;
    assert_eq!(world.event(&events[0]).await.amount_basis, AmountBasis::Unknown);
    assert_eq!(world.store("N2", vec![payment("P1", 1000)]).await.1, []);
    let learned = world.event(&events[0]).await;
    assert_eq!((learned.amount, learned.amount_basis), (Some(cny(1000)), AmountBasis::Stated));
    assert_eq!(world.store("N3", vec![silent()]).await.1, []);
    assert!(world.store("N4", vec![payment("P1", 1)]).await.1[0].is_held);
}

pub(crate) async fn totals_give_amounts_by_their_differences(keeper: &dyn Keeper) {
    let world = World(keeper);
    let paid = Fact { baseline: Some((series("P1"), Currency::CNY)), ..payment("P1", 1000) };
    world.store("N1", vec![paid.clone()]).await;
    let mut amounts = Vec::new();
    for (number, total) in [("R1", 300), ("R2", 1000)] {
        let (_, events) = world.store(number, vec![total_refund(number, "P1", total, true)]).await;
        let event = world.event(&events[0]).await;
        assert_eq!(event.total, Some(cny(total)));
        amounts.push((event.amount, event.amount_basis));
    }
    assert_eq!(amounts, [(Some(cny(300)), AmountBasis::Difference), (Some(cny(700)), AmountBasis::Difference)]);
    // The payment seen once more does not lower the total.
    world.store("N1 again", vec![paid]).await;
    let (_, events) = world.store("R3", vec![total_refund("R3", "P1", 1100, true)]).await;
    assert_eq!(world.event(&events[0]).await.amount, Some(cny(100)));
    // The same refund with another total contradicts itself.
    assert!(world.store("R3'", vec![total_refund("R3", "P1", 1200, true)]).await.1[0].is_held);
    let (_, events) = world.store("R4", vec![total_refund("R4", "P1", 1300, true)]).await;
    assert_eq!(world.event(&events[0]).await.amount, Some(cny(200)), "a contradiction moved the total");
}

pub(crate) async fn totals_out_of_order_are_never_guessed_at(keeper: &dyn Keeper) {
    let world = World(keeper);
    // Nothing is known before: the total may be several refunds.
    let (_, first) = world.store("R2", vec![total_refund("R2", "P1", 700, true)]).await;
    let first = world.event(&first[0]).await;
    assert_eq!((first.amount, first.amount_basis, first.total), (None, AmountBasis::Unknown, Some(cny(700))));
    // The payment, late: its ground of zero is older than the total.
    world.store("N1", vec![Fact { baseline: Some((series("P1"), Currency::CNY)), ..payment("P1", 1000) }]).await;
    let (_, late) = world.store("R1", vec![total_refund("R1", "P1", 300, true)]).await;
    assert_eq!(world.event(&late[0]).await.amount, None);
    // Without a number a lower or equal total says nothing new.
    for total in [300, 700] {
        assert_eq!(
            world.store(&format!("S{total}"), vec![total_refund(&format!("S{total}"), "P1", total, false)]).await.1,
            []
        );
    }
    let (_, next) = world.store("R3", vec![total_refund("R3", "P1", 900, false)]).await;
    assert_eq!(world.event(&next[0]).await.amount, Some(cny(200)));
}

pub(crate) async fn a_late_total_doubts_only_its_own_payment(keeper: &dyn Keeper) {
    let world = World(keeper);
    // An order that was paid twice.
    for number in ["P1", "P2"] {
        let paid = Fact { baseline: Some((series(number), Currency::CNY)), ..payment(number, 1000) };
        world.store(&format!("N{number}"), vec![paid]).await;
    }
    let (_, other) = world.store("N1", vec![total_refund("R1", "P1", 300, true)]).await;
    let (_, own) = world.store("N2", vec![total_refund("R2", "P2", 500, true)]).await;
    let (_, late) = world.store("N3", vec![total_refund("R3", "P2", 200, true)]).await;
    assert_eq!(world.event(&other[0]).await.amount, Some(cny(300)), "of the other payment");
    assert_eq!(world.event(&own[0]).await.amount, None, "it spans two refunds");
    assert_eq!(world.event(&late[0]).await.amount, None);
}

pub(crate) async fn a_refund_waits_for_its_payment(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![payment("P1", 1000)]).await;
    let (id, _) = world.store("N2", vec![refund("R1", "P1", 10)]).await;
    let paid = world.claim().await;
    assert_eq!(paid.len(), 1);
    assert_eq!(world.inbox().deliveries_of(id).await.unwrap()[0].waits_for, Some(paid[0].delivery));
    let mut wakes = world.inbox().wakes();
    wakes.mark_unchanged();
    assert_eq!(world.finish(&paid[0], Next::Delivered).await, Finished::Done);
    assert!(wakes.has_changed().unwrap(), "the follower became due");
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
    assert_eq!(world.claim().await[0].events[0].kind, EventKind::RefundSucceeded);
    // After the confirmation a refund waits for nothing, and neither does one whose payment went elsewhere.
    let (id, _) = world.store("N3", vec![refund("R2", "P1", 10)]).await;
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
    let (id, _) = world.store_to("N4", vec![refund("R3", "P1", 10)], &[event_target("ledger")]).await;
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
}

pub(crate) async fn a_refund_before_its_payment_waits_for_it(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (id, _) = world.store("N2", vec![refund("R1", "alias", 10)]).await;
    assert_eq!(world.states(id).await, [DeliveryState::Waiting]);
    assert!(world.claim().await.is_empty());
    world.store("N1", vec![payment("P1", 1000)]).await;
    assert_eq!(world.inbox().deliveries_of(id).await.unwrap()[0].waits_for, None);
    // The payment gets the name that the refund knows it by.
    world.store("N3", vec![Fact { aliases: vec![name("alias")], ..payment("P1", 1000) }]).await;
    let paid = world.claim().await;
    assert_eq!(world.inbox().deliveries_of(id).await.unwrap()[0].waits_for, Some(paid[0].delivery));
    world.finish(&paid[0], Next::Delivered).await;
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
}

pub(crate) async fn a_refund_without_any_payment_goes_out_at_last(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![refund("R1", "P1", 10)]).await;
    let due = world.inbox().next_due("shop").await.unwrap().unwrap();
    keeper.advance(Duration::from_millis(
        u64::try_from(due.as_millisecond() - keeper.now().as_millisecond()).unwrap() - 1,
    ));
    assert!(world.claim().await.is_empty());
    keeper.advance(Duration::from_millis(1));
    let leased = world.claim().await;
    assert_eq!(leased.len(), 1);
    // The payment that comes now has nothing to do with it any more.
    world.store("N2", vec![payment("P1", 1000)]).await;
    assert_eq!(world.finish(&leased[0], Next::Delivered).await, Finished::Done);
}

pub(crate) async fn payment_and_refund_of_one_message_go_in_order(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (id, events) = world.store("N1", vec![refund("R1", "P1", 10), payment("P1", 1000)]).await;
    assert_eq!(events.len(), 2);
    assert_eq!(world.states(id).await, [DeliveryState::Waiting, DeliveryState::Pending]);
    let paid = world.claim().await;
    assert_eq!((paid.len(), paid[0].events[0].kind), (1, EventKind::PaymentSucceeded));
    world.finish(&paid[0], Next::Delivered).await;
    assert_eq!(world.claim().await.len(), 1);
}

pub(crate) async fn a_dead_payment_keeps_its_refund_back(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![payment("P1", 1000)]).await;
    let (id, _) = world.store("N2", vec![refund("R1", "P1", 10)]).await;
    let paid = world.claim().await;
    world.finish(&paid[0], Next::Dead).await;
    assert_eq!(world.states(id).await, [DeliveryState::Waiting]);
    assert_eq!(world.replay(ReplayWhat::Notification(id)).await, 0, "it waits");
    assert_eq!(world.replay(ReplayWhat::Dead(10)).await, 1);
    let paid = world.claim().await;
    world.finish(&paid[0], Next::Delivered).await;
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
    // A person may decide for one delivery not to wait.
    world.store("N3", vec![payment("P2", 1000)]).await;
    let (id, _) = world.store("N4", vec![refund("R2", "P2", 10)]).await;
    let waiting = world.inbox().deliveries_of(id).await.unwrap().remove(0);
    assert_eq!(world.replay(ReplayWhat::Delivery(waiting.id)).await, 1);
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
}

pub(crate) async fn raw_deliveries_cover_all_events_of_a_message(keeper: &dyn Keeper) {
    let world = World(keeper);
    let targets = [raw_target("shop"), event_target("ledger"), raw_target("shop")];
    let facts = vec![refund("R1", "P1", 10), payment("P1", 1000)];
    let (id, events) = world.store_to("N1", facts, &targets).await;
    assert_eq!(events.iter().map(|event| event.deliveries).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(world.inbox().deliveries_of(id).await.unwrap().len(), 3);
    let leased = world.claim().await;
    assert_eq!((leased.len(), leased[0].events.len(), leased[0].is_raw), (1, 2, true));
    // A refund in another message waits for the raw delivery that holds its payment.
    let (other, _) = world.store_to("N2", vec![refund("R2", "P1", 10)], &[raw_target("shop")]).await;
    assert_eq!(world.states(other).await, [DeliveryState::Waiting]);
    world.finish(&leased[0], Next::Delivered).await;
    assert_eq!(world.states(other).await, [DeliveryState::Pending]);
    assert_eq!(world.replay(ReplayWhat::Event(events[1].id)).await, 1, "found by its second event");
}

pub(crate) async fn a_payment_waits_for_nothing_whatever_comes_with_it(keeper: &dyn Keeper) {
    let world = World(keeper);
    let raw = [raw_target("shop")];
    // Each message tells of a payment, and of a refund of the other one's payment.
    let (one, _) = world.store_to("N1", vec![refund("R1", "P2", 10), payment("P1", 1000)], &raw).await;
    assert_eq!(world.states(one).await, [DeliveryState::Pending]);
    let (two, _) = world.store_to("N2", vec![refund("R2", "P1", 10), payment("P2", 1000)], &raw).await;
    assert_eq!(world.states(two).await, [DeliveryState::Pending]);
    assert_eq!(world.states(one).await, [DeliveryState::Pending], "neither waits for the other");
    assert_eq!(world.claim().await.len(), 2);
}

pub(crate) async fn a_lease_that_ran_out_is_taken_over(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![payment("P1", 1000)]).await;
    let first = world.claim().await.remove(0);
    assert!(world.claim().await.is_empty());
    assert_eq!(world.inbox().next_due("shop").await.unwrap(), Some(first.until));
    keeper.advance(LEASE);
    let second = world.claim().await.remove(0);
    assert_eq!((second.attempt, second.tries), (2, 2));
    assert_eq!(world.finish(&first, Next::Delivered).await, Finished::LeaseLost);
    let retry_at = keeper.now() + Duration::from_secs(5);
    assert_eq!(world.finish(&second, Next::Retry(retry_at)).await, Finished::Done);
    assert_eq!(world.finish(&second, Next::Delivered).await, Finished::LeaseLost);
    assert!(world.claim().await.is_empty());
    keeper.advance(Duration::from_secs(5));
    let third = world.claim().await.remove(0);
    world.finish(&third, Next::Delivered).await;
    let attempts = world.inbox().attempts_of(first.delivery).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.outcome.as_str())).collect();
    assert_eq!(outcomes, [(1, "interrupted"), (2, "delivered"), (3, "delivered")]);
    assert_eq!(world.inbox().next_due("shop").await.unwrap(), None);
}

pub(crate) async fn dead_ones_are_replayed_with_fresh_tries(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (id, _) = world.store("N1", vec![payment("P1", 1000)]).await;
    let leased = world.claim().await.remove(0);
    assert_eq!(world.replay(ReplayWhat::Notification(id)).await, 0, "it is being attempted");
    world.finish(&leased, Next::Dead).await;
    assert_eq!(world.replay(ReplayWhat::Delivery(leased.delivery)).await, 1);
    let again = world.claim().await.remove(0);
    assert_eq!((again.attempt, again.tries), (2, 1));
    world.finish(&again, Next::Delivered).await;
    let elsewhere =
        Replay { what: ReplayWhat::Notification(id), target: Some("elsewhere".to_owned()), at: keeper.now() };
    assert_eq!(world.inbox().replay(elsewhere, "test").await.unwrap(), 0);
    assert_eq!(world.replay(ReplayWhat::Notification(id)).await, 1, "delivered ones too, when asked for");
    let unknown = Replay { what: ReplayWhat::Event(EventId::new()), target: None, at: keeper.now() };
    assert!(matches!(world.inbox().replay(unknown, "test").await, Err(Error::NotFound)));
}
