//! What has to be asked of the platform, when whoever waits goes away at each await, and who need not wait for it.

use tollbell_channels::channel::{FetchBack, Hint, HintNumber};

use super::*;
use crate::inbox::rejections::{RejectionFilter, Rejections as _};
use crate::inbox::shadow::{Shadow as _, ShadowVerdict};
use crate::receive::reverify::Reverified;

/// What a channel of this platform needs that is proven by itself and can ask as well. None where there is no such one.
fn asking_settings(platform: &Platform, side: &dyn OtherSide) -> Option<Settings> {
    let office = side.api_office()?;
    let none = Settings::new(Environment::Sandbox);
    let written = office.written_settings("http://127.0.0.1:9");
    let settings = written.into_iter().fold(none, |settings, one| settings.with(one.name, one.value));
    let settings = settings.overlaid(&side.settings());
    let channel = (platform.build)(&settings).ok()?;
    let story = Story { kind: side.stories()[0], ..Story::paid("A0", 1000, at()) };
    let request = side.callback(&story).request;
    let is_asked = channel.fetch_back().is_some_and(|back| back.named(&request).is_some());
    (is_asked && matches!(channel.verify(&request, at()), Verdict::Genuine(_))).then_some(settings)
}

/// How many questions there are about what a request names.
async fn questions(world: &World, request: &RawRequest) -> usize {
    let channel = world.receiver.doors.get(0).unwrap().channel();
    let number = channel.fetch_back().and_then(|back| back.named(request)).unwrap();
    assert!(world.inbox.answers().await);
    let filter = HintFilter { number: Some(number.as_str().to_owned()), limit: 10, ..HintFilter::default() };
    world.inbox.hints(filter).await.unwrap().len()
}

/// Nobody sends a refused message again.
#[tokio::test]
async fn what_is_verified_again_is_never_stored_without_its_question() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let side: Arc<dyn OtherSide> = Arc::from((platform.simulate)());
        let Some(settings) = asking_settings(platform, &*side) else { continue };
        tried += 1;
        let asks = Asks { about_proven: true, about_unproven: false };
        let world = &World::with_door(platform, side, None, &settings, |door| door.asking(asks)).await;
        let awaits = at_every_await(|polls, way| async move {
            let order_no = world.order();
            let request = world.callback(&order_no);
            let refused =
                Refused { channel: Some("pay"), rejection: &Rejection::Signature, request: &request, is_read: true };
            world.inbox.store_rejection(refused).await.unwrap();
            let filter = RejectionFilter { limit: 1, ..RejectionFilter::default() };
            let id = world.inbox.rejections(filter).await.unwrap().remove(0).id;
            let reverified = polled(world.receiver.reverify(id, "test"), polls, way).await;
            if let Some(reverified) = &reverified {
                assert!(matches!(reverified, Ok(Reverified::Stored { is_held: true, .. })), "{reverified:?}");
                assert_eq!(world.events(&order_no).await.len(), 1, "{}", platform.kind);
            }
            if !world.events(&order_no).await.is_empty() {
                assert_eq!(questions(world, &request).await, 1, "{}", platform.kind);
            }
            reverified.is_some()
        })
        .await;
        assert!(awaits >= 3, "the look, the question and the commit: {awaits} awaits of {}", platform.kind);
        world.inbox.close().await;
    }
    assert!(tried > 0);
}

/// A channel that refuses everything, or takes it for a mere name that it cannot ask about.
struct Unmoved {
    channel: Box<dyn Channel>,
    verdict: fn() -> Verdict,
    can_ask: bool,
}

impl Channel for Unmoved {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        self.channel.recognise(request)
    }

    fn verify(&self, _: &RawRequest, _: Timestamp) -> Verdict {
        (self.verdict)()
    }

    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply {
        self.channel.answer(answer, to)
    }

    fn is_ack(&self, reply: &AppReply<'_>, to: Option<&RawRequest>) -> AckMatch {
        self.channel.is_ack(reply, to)
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        self.channel.fields(proven)
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.channel.keys()
    }

    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        self.channel.fetch_back().filter(|_| self.can_ask)
    }
}

#[tokio::test]
async fn a_refusal_waits_for_no_question() {
    let mut tried = 0;
    for platform in PLATFORMS {
        let side: Arc<dyn OtherSide> = Arc::from((platform.simulate)());
        let Some(settings) = asking_settings(platform, &*side) else { continue };
        tried += 1;
        let asks = Asks { about_proven: false, about_unproven: true };
        let channel: Arc<dyn Channel> = Arc::new(Unmoved {
            channel: (platform.build)(&settings).unwrap(),
            verdict: || Verdict::Refused(Rejection::Signature),
            can_ask: true,
        });
        let world = &World::with_channel(platform, side, None, channel, |door| door.asking(asks)).await;
        let request = world.callback(&world.order());
        let answered = world.receiver.receive(request.clone(), Entrance::Channel(0));
        let answered = polled(answered, 1, crate::cancelled::Dropped::AtOnce).await.expect("at once");
        assert_eq!(answered.cause, Cause::Refused);
        let asked = async {
            while questions(world, &request).await == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("it is asked about all the same");
        world.inbox.close().await;
    }
    assert!(tried > 0);
}

#[tokio::test]
async fn a_request_in_shadow_is_noted_once() {
    let platform = &PLATFORMS[0];
    let side: Arc<dyn OtherSide> = Arc::from((platform.simulate)());
    let channel: Arc<dyn Channel> = Arc::new(Unmoved {
        channel: (platform.build)(&side.settings()).unwrap(),
        verdict: || Verdict::Hint(Hint::from_anybody(HintNumber::new("tr_1").unwrap())),
        can_ask: false,
    });
    let world = World::with_channel(platform, side, None, channel, |door| door.in_shadow(true)).await;
    let mut request = world.callback(&world.order());
    request.headers.insert("x-request-id", http::HeaderValue::from_static("r-1"));
    let answered = world.receiver.receive(request, Entrance::Channel(0)).await;
    assert_eq!(answered.cause, Cause::Refused);
    let notes = async {
        loop {
            let notes = world.inbox.shadow_notes("pay").await.unwrap();
            if !notes.is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, notes).await.expect("it is noted");
    // Another one would have begun with the first.
    assert!(world.inbox.answers().await);
    let notes = world.inbox.shadow_notes("pay").await.unwrap();
    let verdicts: Vec<_> = notes.into_iter().map(|note| note.verdict).collect();
    assert_eq!(verdicts, [ShadowVerdict::Refused("signature".to_owned())]);
    world.inbox.close().await;
}
