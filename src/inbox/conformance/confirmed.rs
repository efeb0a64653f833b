//! Messages that are told only when the platform confirms them, and hints from messages that do not prove themselves.

use tollbell_channels::channel::Hint;
use tollbell_channels::model::{Concern, EventKind};

use super::hints::{Hinted, PLATFORM, number};
use super::*;
use crate::inbox::hints::{Ground, HintClaimed, HintState, Learned, Noted, PLACES_OF_NETWORK};
use crate::inbox::holds::BY_PLATFORM;

/// A proven message that waits for an answer about `asked`, as a channel that asks first stores it.
fn waiting(keeper: &dyn Keeper, key: &str, asked: &str, facts: Vec<Fact>) -> Letter {
    let mut letter = letter(keeper.now(), key, facts, &[event_target("shop")]);
    letter.notification.concerns = vec![Concern::Unconfirmed { number: asked.to_owned() }];
    letter
}

struct Stand<'a> {
    keeper: &'a dyn Keeper,
    world: World<'a>,
    hinted: Hinted<'a>,
}

impl<'a> Stand<'a> {
    fn new(keeper: &'a dyn Keeper) -> Self {
        Self { keeper, world: World(keeper), hinted: Hinted(keeper) }
    }

    /// Stores a message that waits, and has its number asked about.
    async fn told(&self, key: &str, asked: &str, facts: Vec<Fact>) -> (NotificationId, Vec<NewEvent>) {
        let stored = self.keeper.store(waiting(self.keeper, key, asked, facts)).await.unwrap();
        let Stored::New { id, events, .. } = stored else { panic!("{stored:?}") };
        self.hinted.told(asked, PLATFORM).await;
        (id, events)
    }

    /// The platform's answer to the question that is due.
    async fn answered(&self, facts: Vec<Fact>, key: &str) -> Stored {
        let leased = self.hinted.claim().await;
        let arrival = self.hinted.arrival(facts, key);
        self.hinted.end(&leased, arrival, None).await.stored.expect("an answer that tells something")
    }

    async fn open_holds(&self) -> usize {
        self.keeper.inbox().holds(None, PAGE_MAX).await.unwrap().len()
    }
}

pub(crate) async fn what_waits_for_the_platform_goes_out_when_it_says_the_same(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let (id, events) = stand.told("evt_1", "pi_1", vec![payment("pi_1", 1000)]).await;
    assert!(events[0].is_held && events[0].is_unconfirmed);
    assert_eq!(stand.world.states(id).await, [DeliveryState::Held]);
    assert!(stand.world.claim().await.is_empty());
    // A repetition waits as well.
    let again = keeper.store(waiting(keeper, "evt_1", "pi_1", vec![payment("pi_1", 1000)])).await.unwrap();
    assert!(matches!(again, Stored::Repeated { is_held: true, .. }), "{again:?}");
    let stored = stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    let Stored::New { events: brought, is_held, id: answer } = stored else { panic!("{stored:?}") };
    assert!(brought.is_empty() && !is_held, "the event is the message's own");
    assert_eq!((stand.world.states(id).await, stand.open_holds().await), (vec![DeliveryState::Pending], 0));
    let leased = stand.world.claim().await;
    assert_eq!((leased.len(), leased[0].notification, leased[0].way), (1, id, Way::Callback));
    let audit = keeper.inbox().audit_log(1).await.unwrap();
    assert_eq!((audit[0].who.as_str(), audit[0].why.clone()), (BY_PLATFORM, Some(answer.to_string())));
    // The same message once more, and the same answer once more, change nothing.
    assert_eq!(stand.world.finish(&leased[0], Next::Delivered).await, Finished::Done);
    keeper.store(waiting(keeper, "evt_1", "pi_1", vec![payment("pi_1", 1000)])).await.unwrap();
    keeper.advance(Duration::from_mins(1));
    stand.hinted.told("pi_1", PLATFORM).await;
    let again = stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    assert!(matches!(again, Stored::Repeated { .. }));
    assert_eq!((stand.world.states(id).await, stand.open_holds().await), (vec![DeliveryState::Delivered], 0));
}

pub(crate) async fn what_the_platform_says_otherwise_stays_held(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let answers = [
        // Another amount is a contradiction, for a person.
        (vec![payment("pi_0", 999)], 2),
        // Not paid yet.
        (vec![before_payment(EventKind::PaymentPending, "pi_1")], 1),
        (vec![before_payment(EventKind::PaymentFailed, "pi_2")], 1),
        (vec![before_payment(EventKind::PaymentClosed, "pi_3")], 1),
        // Another payment.
        (vec![payment("pi_99", 1000)], 1),
    ];
    let mut held = 0;
    for (index, (facts, holds)) in answers.into_iter().enumerate() {
        let name = format!("pi_{index}");
        let (id, _) = stand.told(&format!("evt_{index}"), &name, vec![payment(&name, 1000)]).await;
        stand.answered(facts, &format!("{name}/told")).await;
        held += holds;
        assert_eq!(stand.world.states(id).await, [DeliveryState::Held], "{name}");
        assert_eq!(stand.open_holds().await, held, "{name}");
    }
    // Nothing, and nobody: it waits for a person.
    for (index, learned) in [Learned::Nothing, Learned::Unknown, Learned::NoAnswer].into_iter().enumerate() {
        let name = format!("pi_x{index}");
        let (id, _) = stand.told(&format!("evt_x{index}"), &name, vec![payment(&name, 1000)]).await;
        let leased = stand.hinted.claim().await;
        stand.hinted.end(&leased, learned, None).await;
        assert_eq!(stand.world.states(id).await, [DeliveryState::Held], "{name}");
    }
    // A message that is doubtful for another reason too is not the platform's to release.
    let mut foreign = waiting(keeper, "evt_f", "pi_f", vec![payment("pi_f", 1000)]);
    foreign.notification.concerns.push(Concern::ForeignPayee { payee: "stranger".to_owned() });
    let id = keeper.store(foreign).await.unwrap().notification();
    stand.hinted.told("pi_f", PLATFORM).await;
    stand.answered(vec![payment("pi_f", 1000)], "pi_f/paid").await;
    assert_eq!(stand.world.states(id).await, [DeliveryState::Held]);
}

pub(crate) async fn a_success_ends_what_waited_before_it(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let kinds = [
        (EventKind::PaymentPending, DeliveryState::Discarded),
        (EventKind::PaymentFailed, DeliveryState::Discarded),
        (EventKind::PaymentClosed, DeliveryState::Held),
    ];
    let mut stored = Vec::new();
    for (kind, state) in kinds {
        // An attempt that failed has a name of its own; what it is asked by is the payment's.
        let (id, _) =
            stand.told(&format!("evt_{kind}"), "pi_1", vec![before_payment(kind, &format!("ch_{kind}"))]).await;
        stored.push((id, state));
    }
    let (paid, _) = stand.told("evt_paid", "pi_1", vec![payment("pi_1", 1000)]).await;
    let (other, _) = stand.told("evt_other", "pi_2", vec![before_payment(EventKind::PaymentFailed, "ch_2")]).await;
    stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    for (id, state) in stored {
        assert_eq!(stand.world.states(id).await, [state]);
    }
    assert_eq!(stand.world.states(paid).await, [DeliveryState::Pending]);
    assert_eq!(stand.world.states(other).await, [DeliveryState::Held], "of another payment");
}

pub(crate) async fn what_is_known_needs_no_second_confirmation(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    // Two messages of one payment by two numbers: an answer about either confirms it.
    let (first, _) = stand.told("evt_charge", "ch_1", vec![payment("pi_1", 1000)]).await;
    let (second, events) = stand.told("evt_intent", "pi_1", vec![payment("pi_1", 1000)]).await;
    assert!(events.is_empty());
    let held = keeper.inbox().holds(None, PAGE_MAX).await.unwrap();
    assert!(held.len() == 1 && held[0].notification.id == first, "{second}'s fact has an event that waits");
    let leased = stand.hinted.claim().await;
    assert_eq!(leased.number.as_str(), "ch_1");
    stand.hinted.end(&leased, Learned::NoAnswer, Some(Duration::from_mins(1))).await;
    stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    assert_eq!((stand.world.states(first).await, stand.open_holds().await), (vec![DeliveryState::Pending], 0));
    // What the platform told before any message is not held by the message.
    stand.hinted.told("pi_2", PLATFORM).await;
    stand.answered(vec![payment("pi_2", 500)], "pi_2/paid").await;
    let late = keeper.store(waiting(keeper, "evt_late", "pi_2", vec![payment("pi_2", 500)])).await.unwrap();
    assert!(matches!(late, Stored::New { is_held: false, .. }), "{late:?}");
    assert_eq!(stand.world.claim().await.len(), 2);
}

pub(crate) async fn what_does_not_prove_itself_goes_last_and_earns_nothing(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    let doubtful = async |text: &str, source: &str| {
        let source = Some(source.parse().unwrap());
        world.tell(Hint::from_doubtful(number(text)), source).await
    };
    // From a network that is known for genuine numbers as well: doubtful, and in no more than anybody's places.
    world.proves("tr_real", PLATFORM).await;
    for index in 0..PLACES_OF_NETWORK {
        assert_eq!(doubtful(&format!("tr_d{index}"), PLATFORM).await, Noted::Kept, "{index}");
    }
    assert_eq!(doubtful("tr_more", PLATFORM).await, Noted::Full);
    assert_eq!(world.told("tr_genuine", PLATFORM).await, Noted::Kept, "its own places are its own");
    let HintClaimed::Leased(first) = world.claim_on(&[Ground::Proven, Ground::New]).await else { panic!() };
    assert_eq!(first.number.as_str(), "tr_genuine");
    assert!(matches!(world.claim_on(&[Ground::Proven, Ground::New]).await, HintClaimed::Nothing(_)));
    world.end(&first, Learned::Nothing, None).await;
    // A number that exists makes nobody proven who copied it from another's message.
    assert_eq!(doubtful("tr_copied", "192.0.2.9").await, Noted::Kept);
    for _ in 0..=PLACES_OF_NETWORK {
        let leased = world.claim().await;
        assert_eq!(leased.ground, Ground::Doubtful);
        world.end(&leased, Learned::Nothing, None).await;
    }
    assert_eq!(world.told("tr_x", "192.0.2.9").await, Noted::Kept);
    let leased = world.claim().await;
    assert_eq!((leased.number.as_str(), leased.ground), ("tr_x", Ground::New));
    world.end(&leased, Learned::Nothing, None).await;
    // Named again by a doubtful message, a number that is known is doubtful; by a message of which nothing is wrong,
    // it is not.
    keeper.advance(Duration::from_mins(1));
    assert_eq!(doubtful("tr_real", "192.0.2.9").await, Noted::Kept);
    assert!(matches!(world.claim_on(&[Ground::Proven, Ground::New]).await, HintClaimed::Nothing(Some(_))));
    assert_eq!(world.told("tr_real", PLATFORM).await, Noted::Again);
    let HintClaimed::Leased(raised) = world.claim_on(&[Ground::Proven, Ground::New]).await else {
        panic!("not raised")
    };
    assert_eq!(raised.number.as_str(), "tr_real");
    assert_eq!(world.state("tr_copied").await, Some(HintState::Answered));
}
