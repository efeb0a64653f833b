//! The JSON around a notification, and the box in it: AES-256-GCM under the merchant's key, with a nonce of any length.

use crate::channel::Rejection;
use crate::cipher::gcm::Gcm;
use crate::json::Json;
use crate::model::Concern;
use crate::platforms::douyin::{self, member};
use crate::platforms::signed_body::malformed;
use crate::platforms::signed_body::sealed::Sealed;

/// The only algorithm of the box that is accepted, in this platform's spelling.
pub(super) const ALGORITHM: &str = "AEAD-AES-256-GCM";

const RESOURCE: &str = "resource";

/// Before the paths of what was in the box.
const PLAINTEXT: &str = "plaintext";

/// The message around the box.
pub(super) struct Envelope {
    whole: Json,
    /// What the platform calls this kind of message; empty when it does not say.
    pub(super) event_type: String,
    /// What of it a person must look at.
    pub(super) concerns: Vec<Concern>,
    sealed: Sealed,
}

impl Envelope {
    /// Reads the envelope of a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Rejection> {
        let whole = douyin::parse(body, "body")?;
        let resource = match whole.get(RESOURCE) {
            None | Some(Json::Null) => return Err(Rejection::Missing { field: RESOURCE.into() }),
            Some(resource @ Json::Object(_)) => resource,
            Some(_) => return Err(malformed(RESOURCE)),
        };
        let mut concerns = Vec::new();
        let event_type = member(&whole, "event_type").needed("event_type", &mut concerns).unwrap_or_default();
        let sealed = Sealed::read(ALGORITHM, |name| member(resource, name), &mut concerns);
        Ok(Self { whole, event_type, concerns, sealed })
    }

    /// What the box holds; nothing where there is none that a key could open, which is among the concerns.
    pub(super) fn open(&self, cipher: &Gcm) -> Result<Vec<u8>, Rejection> {
        self.sealed.open(cipher)
    }

    /// How large the closed box is.
    pub(super) fn box_bytes(&self) -> usize {
        self.sealed.bytes()
    }

    /// A text outside of the box; none when it is absent or blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.whole.get(name)?.text().filter(|text| !text.trim().is_empty())
    }

    /// The merchant's number that payments show outside of the box.
    pub(super) fn merchant(&self) -> Option<&str> {
        self.whole.get(RESOURCE)?.get("mchid")?.text().filter(|text| !text.is_empty())
    }

    /// Every value as text, with the box's content in its place.
    pub(super) fn fields(&self, plaintext: &[u8]) -> Vec<(String, String)> {
        let content = Json::parse(plaintext).ok();
        let mut fields = douyin::fields(&self.whole, &[], PLAINTEXT, content.as_ref());
        fields.retain(|(name, _)| name != "resource.ciphertext");
        fields
    }
}
