//! What every inbox does with hints.

mod owed;

pub(crate) use self::owed::*;

use std::net::IpAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tollbell_channels::channel::{ApiCredential, Hint, HintNumber, HttpAnswer, Interface, Question, Reach};
use tollbell_channels::model::{Fact, Proof, Proven, Timestamp};

use super::{Keeper, Letter, event_target, letter, payment};
use crate::inbox::hints::{
    ANSWERED_FOR, Ground, HintClaim, HintClaimed, HintEnd, HintEnded, HintFilter, HintRecord, HintState, Learned,
    LeasedHint, Noted, OPEN_FOR, OPEN_STRANGERS_FOR, OPEN_STRANGERS_MAX, PLACES_OF_NETWORK, PLACES_PER_KNOWN,
    SILENT_FOR, Told, UNKNOWN_FOR, WAIT_MAX,
};
use crate::inbox::{Arrival, LeaseToken, Retention, Stored, Way};

const CHANNEL: &str = "test";
const GAP: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(30);
/// Where the platform sends from.
pub(super) const PLATFORM: &str = "198.51.100.7";

pub(super) fn number(text: &str) -> HintNumber {
    HintNumber::new(text).unwrap()
}

/// Short sentences for the tests.
pub(super) struct Hinted<'a>(pub(super) &'a dyn Keeper);

impl Hinted<'_> {
    pub(super) async fn told(&self, text: &str, source: &str) -> Noted {
        let source: IpAddr = source.parse().unwrap();
        self.tell(Hint::from_anybody(number(text)), Some(source)).await
    }

    pub(super) async fn tell(&self, hint: Hint, source: Option<IpAddr>) -> Noted {
        let told = Told { channel: CHANNEL.to_owned(), hint, source, at: self.0.now(), gap: GAP };
        self.0.inbox().note_hint(told).await.unwrap()
    }

    pub(super) async fn claim_on(&self, grounds: &[Ground]) -> HintClaimed {
        let claim = HintClaim {
            channel: CHANNEL.to_owned(),
            grounds: grounds.to_vec(),
            now: self.0.now(),
            lease: LEASE,
            takes_over: false,
        };
        self.0.inbox().claim_hint(claim).await.unwrap()
    }

    /// The next one, whatever its ground.
    pub(super) async fn claim(&self) -> LeasedHint {
        match self.claim_on(Ground::ALL).await {
            HintClaimed::Leased(leased) => leased,
            HintClaimed::Nothing(next) => panic!("nothing due before {next:?}"),
        }
    }

    pub(super) async fn nothing_until(&self) -> Option<Timestamp> {
        match self.claim_on(Ground::ALL).await {
            HintClaimed::Leased(leased) => panic!("{leased:?} is due"),
            HintClaimed::Nothing(next) => next,
        }
    }

    pub(super) async fn end(&self, leased: &LeasedHint, learned: Learned, again: Option<Duration>) -> HintEnded {
        self.end_or(leased, learned, again, None).await
    }

    /// As `end`, with the wait after an answer that may be late.
    pub(super) async fn end_or(
        &self,
        leased: &LeasedHint,
        learned: Learned,
        again: Option<Duration>,
        if_late: Option<Duration>,
    ) -> HintEnded {
        let after = |wait| self.0.now().checked_add(wait).unwrap();
        let (again, if_late) = (again.map(after), if_late.map(after));
        let outcome = match &learned {
            Learned::Told(_) => "told",
            Learned::Nothing => "nothing",
            Learned::Unknown => "unknown",
            Learned::NoAnswer => "unreachable",
        };
        let end = HintEnd {
            channel: CHANNEL.to_owned(),
            number: leased.number.clone(),
            token: leased.token,
            now: self.0.now(),
            gap: GAP,
            learned,
            outcome,
            again,
            if_late,
        };
        self.0.inbox().end_hint(end).await.unwrap()
    }

    async fn list(&self) -> Vec<HintRecord> {
        self.0.inbox().hints(HintFilter { limit: 500, ..HintFilter::default() }).await.unwrap()
    }

    pub(super) async fn record(&self, text: &str) -> HintRecord {
        self.list().await.into_iter().find(|record| record.number == text).expect("a row")
    }

    /// As `claim`, at another time and perhaps by one who begins.
    async fn claim_at(&self, now: Timestamp, takes_over: bool) -> HintClaimed {
        let grounds = Ground::ALL.to_vec();
        let claim = HintClaim { channel: CHANNEL.to_owned(), grounds, now, lease: LEASE, takes_over };
        self.0.inbox().claim_hint(claim).await.unwrap()
    }

    async fn retain(&self) {
        let retention = Retention { bodies: OPEN_FOR, identities: OPEN_FOR, rejections: OPEN_FOR, slice: 100 };
        while !self.0.inbox().retain(retention, self.0.now()).await.unwrap().is_done {}
    }

    async fn waits_since(&self) -> Option<Timestamp> {
        self.0.inbox().hint_backlog().await.unwrap().iter().find_map(|row| row.oldest_at)
    }

    pub(super) async fn state(&self, text: &str) -> Option<HintState> {
        let filter = HintFilter { number: Some(text.to_owned()), limit: 5, ..HintFilter::default() };
        let found = self.0.inbox().hints(filter).await.unwrap();
        assert!(found.len() <= 1, "{found:?}");
        found.first().map(|record| record.state)
    }

    async fn open(&self) -> u64 {
        self.0.inbox().hint_backlog().await.unwrap().iter().map(|row| row.open).sum()
    }

    /// Has a number asked about and known, so that its network is proven.
    pub(super) async fn proves(&self, text: &str, source: &str) {
        assert_eq!(self.told(text, source).await, Noted::Kept);
        let leased = self.claim().await;
        assert_eq!(leased.number.as_str(), text);
        self.end(&leased, Learned::Nothing, None).await;
    }

    pub(super) fn arrival(&self, facts: Vec<Fact>, key: &str) -> Learned {
        self.arrival_of(letter(self.0.now(), key, facts, &[event_target("shop")]))
    }

    /// The letter, as an answer of the platform's.
    #[expect(clippy::unused_self, reason = "a sentence of the world like the others")]
    pub(super) fn arrival_of(&self, letter: Letter) -> Learned {
        let hint = Hint::from_anybody(number("tr_1"));
        let interface = Interface::parse("https://api.example", Reach::Public).unwrap();
        let credential = ApiCredential::bearer("api_key", b"secret").unwrap();
        let answer = HttpAnswer { status: 200, headers: http::HeaderMap::new(), body: letter.request.body.clone() };
        let answered = Question::get(&hint, &interface, "/tr_1", &credential).carried(answer);
        Learned::Told(Box::new(Arrival {
            channel: CHANNEL.into(),
            merchant: "default".into(),
            platform: "testpay",
            notification: Proven::by_platform_api(letter.notification, answered),
            request: letter.request,
            signed_query: None,
            routes: letter.routes,
            is_shadow: false,
        }))
    }
}

pub(crate) async fn a_hint_is_one_row_and_one_question(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    let wakes = keeper.inbox().hint_wakes();
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Kept);
    assert!(wakes.has_changed().unwrap());
    for _ in 0..5 {
        keeper.advance(Duration::from_secs(2));
        assert_eq!(world.told("tr_1", "192.0.2.1").await, Noted::Again);
    }
    let rows = world.list().await;
    assert_eq!((rows.len(), rows[0].told, rows[0].state), (1, 6, HintState::Due));
    let leased = world.claim().await;
    assert_eq!((leased.number.as_str(), leased.asks, leased.failures), ("tr_1", 1, 0));
    assert_eq!(world.nothing_until().await, Some(leased.until), "one question at a time");
    let arrival = world.arrival(vec![payment("P1", 1000)], "tr_1/paid");
    let ended = world.end(&leased, arrival, None).await;
    let Some(Stored::New { id, events, .. }) = ended.stored else { panic!("{ended:?}") };
    assert!(ended.was_held && events.len() == 1);
    let record = keeper.inbox().notification(id).await.unwrap();
    assert!(matches!(record.proof, Proof::PlatformApi { .. }) && Way::of(&record.proof) == Way::Hint);
    let delivered = super::World(keeper).claim().await.remove(0);
    assert_eq!(delivered.way, Way::Hint);
    let rows = world.list().await;
    assert_eq!((rows[0].state, rows[0].notification), (HintState::Answered, Some(id)));
    assert_eq!((world.open().await, world.nothing_until().await), (0, None));
    // The same answer is a repetition, the same fact under another one no event.
    keeper.advance(Duration::from_mins(1));
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Kept, "its state may have changed");
    let leased = world.claim().await;
    let again = world.arrival(vec![payment("P1", 1000)], "tr_1/paid");
    assert!(matches!(world.end(&leased, again, None).await.stored, Some(Stored::Repeated { .. })));
}

pub(crate) async fn a_number_that_is_named_again_waits_longer_each_time(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.proves("tr_1", PLATFORM).await;
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Kept);
        let due = world.list().await[0].due_at;
        let wait = Duration::try_from(due.duration_since(keeper.now())).unwrap();
        waits.push(wait.as_secs());
        assert_eq!(world.nothing_until().await, Some(due));
        keeper.advance(wait);
        let leased = world.claim().await;
        world.end(&leased, Learned::Nothing, None).await;
    }
    assert_eq!(waits, [5, 10, 20, 40]);
    keeper.advance(Duration::from_hours(1));
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Kept);
    world.claim().await;
    // Named while it is asked: once more, because what was answered may be of before.
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
}

pub(crate) async fn what_is_named_while_it_is_asked_is_asked_once_more(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", PLATFORM).await;
    let leased = world.claim().await;
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    world.end(&leased, Learned::Nothing, None).await;
    assert_eq!(world.state("tr_1").await, Some(HintState::Due));
    keeper.advance(GAP);
    let leased = world.claim().await;
    world.end(&leased, Learned::Nothing, None).await;
    assert_eq!(world.state("tr_1").await, Some(HintState::Answered));
}

pub(crate) async fn what_is_always_named_while_it_is_asked_waits_longer_each_time(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", PLATFORM).await;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let leased = world.claim().await;
        assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
        world.end(&leased, Learned::Nothing, None).await;
        let wait = Duration::try_from(world.record("tr_1").await.due_at.duration_since(keeper.now())).unwrap();
        waits.push(wait.as_secs());
        keeper.advance(wait);
    }
    assert_eq!(waits, [5, 10, 20, 40]);
}

pub(crate) async fn what_becomes_due_sooner_wakes_who_asks(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.proves("tr_real", PLATFORM).await;
    let mut wakes = keeper.inbox().hint_wakes();
    let mut is_woken = || {
        let is_woken = wakes.has_changed().unwrap();
        wakes.mark_unchanged();
        is_woken
    };
    assert_eq!(world.told("tr_1", "192.0.2.1").await, Noted::Kept);
    assert!(is_woken());
    assert_eq!(world.told("tr_1", "192.0.2.1").await, Noted::Again);
    assert!(!is_woken(), "it is due as it was");
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    assert!(is_woken(), "its ground is another's now, whose turn may have come");
    let leased = world.claim().await;
    world.end(&leased, Learned::Nothing, Some(Duration::from_hours(1))).await;
    assert!(!is_woken());
    keeper.advance(Duration::from_mins(1));
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    assert!(is_woken(), "it was due in an hour");
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    assert!(!is_woken());
}

pub(crate) async fn what_the_platform_does_not_know_is_not_asked_again_for_a_while(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_no", "192.0.2.1").await;
    let leased = world.claim().await;
    world.end(&leased, Learned::Unknown, Some(Duration::from_mins(1))).await;
    assert_eq!(world.state("tr_no").await, Some(HintState::Due), "it may be too new");
    keeper.advance(Duration::from_mins(1));
    let leased = world.claim().await;
    assert_eq!((leased.asks, leased.ground), (2, Ground::Doubtful));
    world.end(&leased, Learned::Unknown, None).await;
    let later = keeper.now().checked_add(UNKNOWN_FOR).unwrap();
    for noted in [Noted::Unknown, Noted::Again, Noted::Again] {
        assert_eq!(world.told("tr_no", "192.0.2.1").await, noted);
        assert_eq!(world.nothing_until().await, Some(later), "whoever heard success has a question before him");
    }
    // Who knows the secret is believed at once.
    let key = tollbell_channels::signature::hmac::HmacKey::new(
        b"secret",
        tollbell_channels::signature::hmac::HmacHash::Sha256,
        "key",
    );
    let verified = key.verify_any(b"m", &[key.sign(b"m").as_slice()], "plain").unwrap();
    assert_eq!(world.tell(Hint::from_platform(number("tr_no"), &verified), None).await, Noted::Again);
    keeper.advance(GAP);
    let leased = world.claim().await;
    assert_eq!(leased.ground, Ground::Proven);
    world.end(&leased, Learned::Unknown, None).await;
    keeper.advance(UNKNOWN_FOR);
    assert_eq!(world.told("tr_no", "192.0.2.1").await, Noted::Kept, "forgotten, and asked anew");
}

pub(crate) async fn a_failed_question_stays_open(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", PLATFORM).await;
    for failures in 0..3 {
        let leased = world.claim().await;
        assert_eq!((leased.failures, leased.asks), (failures, failures + 1));
        world.end(&leased, Learned::NoAnswer, Some(Duration::from_secs(10))).await;
        keeper.advance(Duration::from_secs(10));
    }
    // Whoever held it died.
    let lost = world.claim().await;
    keeper.advance(LEASE);
    let taken = world.claim().await;
    assert_ne!(lost.token, taken.token);
    let late = world.end(&lost, Learned::Unknown, None).await;
    assert!(!late.was_held);
    assert_eq!(world.state("tr_1").await, Some(HintState::Asking));
    // What the platform said is stored even so.
    let arrival = world.arrival(vec![payment("P1", 1000)], "tr_1/paid");
    let late = world.end(&lost, arrival, None).await;
    assert!(!late.was_held && matches!(late.stored, Some(Stored::New { .. })), "{late:?}");
    // A new process does not wait for the lease of the one that died.
    let claim = HintClaim {
        channel: CHANNEL.to_owned(),
        grounds: Ground::ALL.to_vec(),
        now: keeper.now(),
        lease: LEASE,
        takes_over: true,
    };
    let HintClaimed::Leased(over) = keeper.inbox().claim_hint(claim).await.unwrap() else { panic!("not taken over") };
    assert_eq!((&over.number, over.asks), (&taken.number, taken.asks + 1));
    let taken = over;
    // Given back, it is due at once, and the question does not count.
    keeper.inbox().release_hint(CHANNEL, &taken.number, LeaseToken::new()).await.unwrap();
    assert_eq!(world.state("tr_1").await, Some(HintState::Asking), "by the wrong token");
    keeper.inbox().release_hint(CHANNEL, &taken.number, taken.token).await.unwrap();
    assert_eq!(world.claim().await.asks, taken.asks);
}

pub(crate) async fn a_network_fills_no_more_than_its_places(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    let mut noted = Vec::new();
    for index in 0..PLACES_OF_NETWORK * 10 {
        noted.push(world.told(&format!("tr_x{index}"), "192.0.2.1").await);
    }
    let kept = noted.iter().filter(|noted| **noted == Noted::Kept).count();
    assert_eq!(u32::try_from(kept).unwrap(), PLACES_OF_NETWORK);
    assert_eq!(world.told("tr_neighbour", "192.0.2.200").await, Noted::Full);
    assert_eq!(world.told("tr_x0", "192.0.2.1").await, Noted::Again, "what is known is known");
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Kept, "others have their own");
    assert_eq!(world.open().await, u64::from(PLACES_OF_NETWORK) + 1);
    // A place is free again when the number turned out not to exist.
    assert_eq!(world.claim().await.number.as_str(), "tr_1");
    let leased = world.claim().await;
    world.end(&leased, Learned::Unknown, None).await;
    assert_eq!(world.told("tr_y", "192.0.2.1").await, Noted::Kept);
    assert_eq!(world.told("tr_z", "192.0.2.1").await, Noted::Full);
    // With each number that exists a network has more of them.
    world.proves("tr_real", "203.0.113.1").await;
    let places = PLACES_OF_NETWORK + PLACES_PER_KNOWN;
    for index in 0..places {
        assert_eq!(world.told(&format!("tr_p{index}"), "203.0.113.1").await, Noted::Kept, "{index}");
    }
    assert_eq!(world.told("tr_p", "203.0.113.1").await, Noted::Full);
}

pub(crate) async fn networks_take_turns_and_proven_ground_goes_first(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    for index in 0..20 {
        world.told(&format!("tr_a{index}"), "192.0.2.1").await;
    }
    world.told("tr_b", "203.0.113.1").await;
    let first = world.claim().await;
    assert_eq!((first.number.as_str(), first.ground), ("tr_a0", Ground::New));
    assert_eq!(world.claim().await.number.as_str(), "tr_b", "not behind all of the other network's");
    // A network whose numbers do not exist goes last; one whose numbers do goes first.
    world.end(&first, Learned::Unknown, None).await;
    assert_eq!(world.claim().await.ground, Ground::Doubtful);
    world.told("tr_c", "198.18.0.1").await;
    assert_eq!(world.claim().await.number.as_str(), "tr_c");
    keeper.advance(LEASE);
    let HintClaimed::Leased(known) = world.claim_on(&[Ground::New]).await else { panic!("none is new") };
    world.end(&known, Learned::Nothing, None).await;
    let source = if known.number.as_str() == "tr_b" { "203.0.113.9" } else { "198.18.0.9" };
    world.told("tr_d", source).await;
    let next = world.claim().await;
    assert_eq!((next.number.as_str(), next.ground), ("tr_d", Ground::Proven));
    // What the platform knew once is on no doubtful ground, whoever names it again, and in nobody's way.
    keeper.advance(Duration::from_mins(1));
    world.told(known.number.as_str(), "192.0.2.1").await;
    let record = world.record(known.number.as_str()).await;
    assert_eq!((record.state, record.ground), (HintState::Due, Ground::New));
    // The order of the grounds is the caller's.
    let HintClaimed::Leased(doubtful) = world.claim_on(&[Ground::Doubtful, Ground::Proven]).await else { panic!() };
    assert_eq!(doubtful.ground, Ground::Doubtful);
}

/// Waits for all of them, so that they share commits as on a busy node.
async fn together<F: Future<Output = Noted> + Unpin>(mut waiting: Vec<F>) -> Vec<Noted> {
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        waiting.retain_mut(|future| match Pin::new(future).poll(cx) {
            Poll::Ready(noted) => {
                done.push(noted);
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done
}

pub(crate) async fn a_flood_from_everywhere_leaves_room_for_who_proved_something(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.proves("tr_real", PLATFORM).await;
    let mut full = 0;
    let networks = u32::try_from(OPEN_STRANGERS_MAX).unwrap() / PLACES_OF_NETWORK + 8;
    for network in 0..networks {
        let source = format!("10.{}.{}.1", network / 256, network % 256);
        let names: Vec<String> = (0..PLACES_OF_NETWORK).map(|index| format!("tr_{network}x{index}")).collect();
        let arriving = names.iter().map(|name| Box::pin(world.told(name, &source)));
        full += together(arriving.collect()).await.into_iter().filter(|noted| *noted == Noted::Full).count();
    }
    let full = u32::try_from(full).unwrap();
    assert!(full >= 7 * PLACES_OF_NETWORK, "{full}");
    assert_eq!(world.open().await, u64::try_from(OPEN_STRANGERS_MAX).unwrap());
    assert_eq!(world.told("tr_stranger", "203.0.113.1").await, Noted::Full);
    assert_eq!(world.told("tr_genuine", PLATFORM).await, Noted::Kept);
    assert_eq!(world.claim().await.number.as_str(), "tr_genuine");
}

pub(crate) async fn what_was_answered_is_forgotten_and_what_is_open_is_not(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.proves("tr_real", PLATFORM).await;
    keeper.advance(Duration::from_secs(1));
    world.told("tr_open", PLATFORM).await;
    world.told("tr_no", "192.0.2.1").await;
    let leased = world.claim().await;
    assert_eq!(leased.number.as_str(), "tr_open");
    keeper.inbox().release_hint(CHANNEL, &leased.number, leased.token).await.unwrap();
    let HintClaimed::Leased(no) = world.claim_on(&[Ground::New]).await else { panic!("none is new") };
    world.end(&no, Learned::Unknown, None).await;
    assert_eq!(world.state("tr_no").await, Some(HintState::Unknown), "people may want to see it");
    let retention = Retention { bodies: OPEN_FOR, identities: OPEN_FOR, rejections: OPEN_FOR, slice: 100 };
    let retain = async || while !keeper.inbox().retain(retention, keeper.now()).await.unwrap().is_done {};
    retain().await;
    assert_eq!(world.state("tr_real").await, Some(HintState::Answered));
    keeper.advance(ANSWERED_FOR);
    retain().await;
    assert_eq!((world.state("tr_real").await, world.state("tr_no").await), (None, None));
    assert_eq!((world.state("tr_open").await, world.open().await), (Some(HintState::Due), 1), "what is open stays");
    keeper.advance(OPEN_FOR + Duration::from_secs(1));
    retain().await;
    assert_eq!(world.open().await, 1, "the clock may have jumped");
    keeper.advance(SILENT_FOR);
    retain().await;
    assert_eq!((world.list().await.len(), world.open().await), (0, 0));
}

pub(crate) async fn a_clock_that_is_set_back_delays_no_question_for_ever(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", PLATFORM).await;
    let leased = world.claim().await;
    world.end(&leased, Learned::NoAnswer, Some(WAIT_MAX * 30)).await;
    let latest = keeper.now().checked_add(WAIT_MAX).unwrap();
    assert_eq!(world.nothing_until().await, Some(latest));
    keeper.advance(WAIT_MAX);
    world.claim().await;
}

/// A stranger names a number before it exists, so that the platform does not know it.
async fn is_disowned(world: &Hinted<'_>, text: &str) {
    assert_eq!(world.told(text, "192.0.2.1").await, Noted::Kept);
    let leased = world.claim().await;
    assert_eq!(leased.number.as_str(), text);
    world.end(&leased, Learned::Unknown, None).await;
    assert_eq!(world.state(text).await, Some(HintState::Unknown));
}

pub(crate) async fn success_always_has_a_question_behind_it(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.proves("tr_real", PLATFORM).await;
    is_disowned(&world, "tr_soon").await;
    keeper.advance(Duration::from_mins(2));
    // Who is known is believed, however often others invented the number.
    assert_eq!(world.told("tr_soon", PLATFORM).await, Noted::Kept);
    let leased = world.claim().await;
    assert_eq!((leased.number.as_str(), leased.ground, leased.is_trusted), ("tr_soon", Ground::Proven, true));
    world.end(&leased, Learned::Nothing, None).await;
    // Who has no place hears "busy", and the number is not forgotten.
    is_disowned(&world, "tr_late").await;
    for index in 0..PLACES_OF_NETWORK {
        assert_eq!(world.told(&format!("tr_x{index}"), "192.0.2.1").await, Noted::Kept);
    }
    assert_eq!(world.told("tr_late", "192.0.2.1").await, Noted::Full);
    assert_eq!(world.state("tr_late").await, Some(HintState::Unknown));
}

pub(crate) async fn what_is_named_while_the_platform_does_not_know_it_is_asked_again(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", "192.0.2.1").await;
    let leased = world.claim().await;
    assert_eq!(world.told("tr_1", "203.0.113.1").await, Noted::Again);
    world.end(&leased, Learned::Unknown, None).await;
    let later = keeper.now().checked_add(UNKNOWN_FOR).unwrap();
    assert_eq!(world.nothing_until().await, Some(later));
    // Somebody who is known names it too.
    world.proves("tr_real", PLATFORM).await;
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    keeper.advance(GAP);
    let leased = world.claim().await;
    assert_eq!((leased.number.as_str(), leased.ground), ("tr_1", Ground::Proven));
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    world.end(&leased, Learned::Unknown, None).await;
    assert!(world.record("tr_1").await.due_at < later);
}

pub(crate) async fn what_is_named_again_does_not_wait_for_a_late_look(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", PLATFORM).await;
    let leased = world.claim().await;
    world.end(&leased, Learned::Nothing, Some(Duration::from_hours(1))).await;
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    keeper.advance(GAP);
    assert_eq!(world.claim().await.number.as_str(), "tr_1");
}

pub(crate) async fn a_number_stands_on_the_best_ground_of_all_who_named_it(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.proves("tr_real", PLATFORM).await;
    is_disowned(&world, "tr_no").await;
    for index in 0..PLACES_OF_NETWORK {
        assert_eq!(world.told(&format!("tr_x{index}"), "192.0.2.1").await, Noted::Kept);
    }
    assert_eq!(world.told("tr_x31", PLATFORM).await, Noted::Again);
    let leased = world.claim_on(&[Ground::Proven]).await;
    let HintClaimed::Leased(leased) = leased else { panic!("it stands where its first sender stands") };
    assert_eq!((leased.number.as_str(), leased.is_trusted), ("tr_x31", true));
    // Its place is another's now.
    assert_eq!(world.told("tr_next", "192.0.2.1").await, Noted::Kept);
    assert_eq!(world.told("tr_none", "192.0.2.1").await, Noted::Full);
    // A doubtful message first does not keep it back either.
    assert_eq!(world.tell(Hint::from_doubtful(number("tr_d")), None).await, Noted::Kept);
    assert_eq!(world.told("tr_d", PLATFORM).await, Noted::Again);
    assert_eq!(world.record("tr_d").await.ground, Ground::Proven);
}

pub(crate) async fn known_numbers_that_strangers_name_take_their_places(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    for index in 0..PLACES_OF_NETWORK + 8 {
        world.proves(&format!("tr_{index}"), PLATFORM).await;
    }
    keeper.advance(Duration::from_hours(2));
    let mut noted = Vec::new();
    for index in 0..PLACES_OF_NETWORK + 8 {
        noted.push(world.told(&format!("tr_{index}"), "192.0.2.1").await);
    }
    let kept = noted.iter().filter(|noted| **noted == Noted::Kept).count();
    assert_eq!(u32::try_from(kept).unwrap(), PLACES_OF_NETWORK);
    assert!(matches!(world.claim_on(&[Ground::Proven]).await, HintClaimed::Nothing(_)), "they are in nobody's way");
    let HintClaimed::Leased(leased) = world.claim_on(&[Ground::New]).await else { panic!("none is asked about") };
    world.end(&leased, Learned::Nothing, None).await;
    assert_eq!(world.told("tr_39", "192.0.2.1").await, Noted::Kept, "its place is free again");
    // The platform's own naming is on proven ground as ever.
    assert_eq!(world.told("tr_5", PLATFORM).await, Noted::Again);
    assert_eq!(world.record("tr_5").await.ground, Ground::Proven);
}

pub(crate) async fn a_new_credential_is_tried_at_once(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", PLATFORM).await;
    let leased = world.claim().await;
    world.end(&leased, Learned::NoAnswer, Some(Duration::from_hours(6))).await;
    keeper.advance(Duration::from_mins(1));
    assert!(matches!(world.claim_at(keeper.now(), false).await, HintClaimed::Nothing(Some(_))));
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    assert!(matches!(world.claim_at(keeper.now(), false).await, HintClaimed::Nothing(_)), "naming it mends nothing");
    let HintClaimed::Leased(leased) = world.claim_at(keeper.now(), true).await else { panic!("it waits") };
    world.end(&leased, Learned::NoAnswer, Some(Duration::from_hours(6))).await;
    // Nor does it wait when a sender that knows the secret names it.
    keeper.advance(Duration::from_mins(1));
    assert_eq!(world.tell(vouched("tr_1"), None).await, Noted::Again);
    assert_eq!(world.claim().await.ground, Ground::Proven);
}

fn vouched(text: &str) -> Hint {
    let key = tollbell_channels::signature::hmac::HmacKey::new(
        b"secret",
        tollbell_channels::signature::hmac::HmacHash::Sha256,
        "key",
    );
    Hint::from_platform(number(text), &key.verify_any(b"m", &[key.sign(b"m").as_slice()], "plain").unwrap())
}

pub(crate) async fn a_clock_that_is_set_back_makes_hints_due(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    let before = keeper.now();
    keeper.advance(Duration::from_hours(2));
    world.told("tr_1", PLATFORM).await;
    world.told("tr_2", PLATFORM).await;
    let leased = world.claim().await;
    world.end(&leased, Learned::NoAnswer, Some(Duration::from_mins(1))).await;
    // Two hours back: neither waits for two hours, and the one that failed keeps the wait that is planned now.
    let mut asked = Vec::new();
    for _ in 0..2 {
        let claimed = world.claim_at(before, false).await;
        let leased = match claimed {
            HintClaimed::Leased(leased) => leased,
            HintClaimed::Nothing(next) => {
                assert_eq!(next, Some(before));
                let HintClaimed::Leased(leased) = world.claim_at(before, false).await else { panic!("it is not due") };
                leased
            }
        };
        asked.push(leased.number.as_str().to_owned());
        assert!(!asked[..asked.len() - 1].contains(&asked[asked.len() - 1]), "{asked:?}");
    }
}

pub(crate) async fn a_jump_of_the_clock_forgets_nothing_at_one_look(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_1", PLATFORM).await;
    keeper.advance(OPEN_FOR * 2);
    world.retain().await;
    assert_eq!(world.state("tr_1").await, Some(HintState::Due));
    // It is named meanwhile, or the clock is mended: it begins anew.
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    world.retain().await;
    keeper.advance(SILENT_FOR);
    world.retain().await;
    assert_eq!(world.state("tr_1").await, Some(HintState::Due));
}

pub(crate) async fn what_strangers_named_in_vain_gives_its_place_back(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    for index in 0..PLACES_OF_NETWORK {
        assert_eq!(world.told(&format!("tr_x{index}"), "192.0.2.1").await, Noted::Kept);
    }
    // All but one are asked in vain; one is never asked.
    for _ in 1..PLACES_OF_NETWORK {
        let leased = world.claim().await;
        world.end(&leased, Learned::NoAnswer, Some(Duration::from_hours(6))).await;
    }
    keeper.advance(OPEN_STRANGERS_FOR + Duration::from_secs(1));
    world.retain().await;
    assert_eq!(world.told("tr_y", "192.0.2.1").await, Noted::Full);
    keeper.advance(SILENT_FOR);
    world.retain().await;
    assert_eq!(world.open().await, 1, "what was never asked about stays");
    assert_eq!(world.told("tr_y", "192.0.2.1").await, Noted::Kept);
    assert_eq!(world.record("tr_y").await.ground, Ground::Doubtful, "it was charged");
}

pub(crate) async fn what_waits_is_what_was_asked_in_vain(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    world.told("tr_x", "192.0.2.1").await;
    keeper.advance(Duration::from_hours(3));
    assert_eq!(world.waits_since().await, None, "a stranger's number waits on purpose");
    let leased = world.claim().await;
    world.end(&leased, Learned::Nothing, None).await;
    keeper.advance(Duration::from_hours(24));
    world.told("tr_x", "192.0.2.1").await;
    let opened = keeper.now();
    let leased = world.claim().await;
    world.end(&leased, Learned::NoAnswer, Some(Duration::from_mins(10))).await;
    assert_eq!(world.waits_since().await, Some(opened), "not since it was named first");
    keeper.advance(Duration::from_mins(10));
    let leased = world.claim().await;
    assert_eq!(world.waits_since().await, Some(opened));
    world.end(&leased, Learned::Nothing, Some(Duration::from_hours(1))).await;
    assert_eq!(world.waits_since().await, None, "it was answered");
}
