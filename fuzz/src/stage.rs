//! The stage of the targets that need a platform: its other side with throw-away keys, a channel that trusts it,
//! and a second pen that signs with those keys whatever a target writes.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tollbell_channels::channel::{Channel, Rejection, Verdict};
use tollbell_channels::model::fact::NAME_BYTES_MAX;
use tollbell_channels::model::{Amount, Identity, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::Settings;
use tollbell_channels::simulate::{OtherSide, Story};

/// Longest text of a refusal, in characters: what a log line may carry.
const REFUSAL_CHARS_MAX: usize = 300;

/// Longest texts of a concern together, in characters.
const CONCERN_CHARS_MAX: usize = 300;

/// Most facts of one message; the largest platform's combined order has 50.
const FACTS_MAX: usize = 64;

/// When everything happens.
pub(crate) fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

/// A platform on stage.
pub(crate) struct Stage {
    pub(crate) side: Box<dyn OtherSide>,
    pub(crate) settings: Settings,
    pub(crate) channel: Box<dyn Channel>,
    pen: RsaKeyPair,
}

impl Stage {
    pub(crate) fn new(kind: &str) -> Self {
        let platform = by_kind(kind).expect("the platform is in the list");
        let side = (platform.simulate)();
        let settings = side.settings();
        let channel = (platform.build)(&settings).expect("a channel that trusts this side");
        let pen = RsaKeyPair::from_pkcs8(&side.export()).expect("the side exports its private key");
        Self { side, settings, channel, pen }
    }

    /// A genuine callback, for its outside.
    pub(crate) fn callback(&self) -> RawRequest {
        self.side.callback(&Story::paid("T20261121-0001", 12_345, now())).request
    }

    /// A signature in base64.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let mut signature = vec![0; self.pen.public_modulus_len()];
        self.pen.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("the key signs");
        assert!(!self.pen.public_key().as_ref().is_empty());
        STANDARD.encode(signature)
    }

    /// What verification finds: the message, or why it is refused, in a text that is bounded and tame.
    pub(crate) fn verify(&self, request: &RawRequest) -> Result<Notification, Rejection> {
        match self.channel.verify(request, now()) {
            Verdict::Genuine(proven) => {
                let notification = proven.into_parts().0;
                check_notification(&notification);
                Ok(notification)
            }
            Verdict::Refused(rejection) => {
                check_refusal(&rejection);
                Err(rejection)
            }
            Verdict::NeedsKey(key) => Err(Rejection::UnknownKey { serial: key.serial }),
            // It proves nothing, which is all that is claimed here.
            Verdict::Hint(_) => Err(Rejection::Signature),
        }
    }
}

/// The same request with another body.
pub(crate) fn with_body(request: &RawRequest, body: Vec<u8>) -> RawRequest {
    RawRequest { body: Bytes::from(body), ..request.clone() }
}

/// A refusal's text is bounded and tame, whatever was in the request.
pub(crate) fn check_refusal(rejection: &Rejection) {
    let text = rejection.to_string();
    assert!(text.chars().count() <= REFUSAL_CHARS_MAX, "an unbounded refusal: {text}");
    assert!(!text.chars().any(char::is_control), "control characters in a refusal: {text:?}");
}

/// Whatever a genuine message says, what we take from it is bounded.
pub(crate) fn check_notification(notification: &Notification) {
    assert!(!notification.facts.is_empty() && notification.facts.len() <= FACTS_MAX);
    assert!(!notification.platform_id.is_empty() && notification.platform_id.len() <= NAME_BYTES_MAX);
    for fact in &notification.facts {
        let names = [&fact.order_no, &fact.platform_no, &fact.payee].into_iter().flatten().map(String::as_str);
        for name in names.chain(fact.identities().map(Identity::as_str)) {
            assert!(!name.is_empty() && name.len() <= NAME_BYTES_MAX, "a name of {} bytes", name.len());
        }
        // A merchant and a sub-merchant.
        assert!(!fact.scope.account.is_empty() && fact.scope.account.len() <= 2 * NAME_BYTES_MAX + 1);
        if let Some(money) = fact.signed_money() {
            assert!(money.minor >= 0, "a negative amount: {money:?}");
        }
        let is_told = matches!(fact.amount, Amount::Unreadable);
        assert!(!is_told || !notification.concerns.is_empty(), "an unreadable amount without a concern");
    }
    for concern in &notification.concerns {
        let text = serde_json::to_string(concern).expect("a concern can be written");
        assert!(text.chars().count() <= CONCERN_CHARS_MAX, "an unbounded concern: {text}");
    }
}
