//! The JSON around a notification, and the box in it: AES-256-GCM under the merchant's key, with a nonce of any length.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::channel::{Rejection, quote};
use crate::cipher::gcm::{Gcm, NONCE_BYTES_MAX};
use crate::json::Json;
use crate::platforms::douyin;
use crate::platforms::signed_body::malformed;

/// The only algorithm of the box that is accepted, in this platform's spelling.
pub(super) const ALGORITHM: &str = "AEAD-AES-256-GCM";

const RESOURCE: &str = "resource";
const CIPHERTEXT: &str = "ciphertext";

/// Before the paths of what was in the box.
const PLAINTEXT: &str = "plaintext";

/// The message around the box.
pub(super) struct Envelope {
    whole: Json,
    /// What the platform calls this kind of message.
    pub(super) event_type: String,
    nonce: String,
    associated: String,
    ciphertext: Vec<u8>,
}

impl Envelope {
    /// Reads the envelope of a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Rejection> {
        let whole = douyin::parse(body, "body")?;
        let event_type = douyin::required(&whole, "event_type")?.to_owned();
        let resource = match whole.get(RESOURCE) {
            None | Some(Json::Null) => return Err(Rejection::Missing { field: RESOURCE.into() }),
            Some(resource @ Json::Object(_)) => resource,
            Some(_) => return Err(malformed(RESOURCE)),
        };
        let algorithm = douyin::required(resource, "algorithm")?;
        if algorithm != ALGORITHM {
            return Err(Rejection::Algorithm { algorithm: quote(algorithm) });
        }
        let nonce = douyin::required(resource, "nonce")?.to_owned();
        if nonce.len() > NONCE_BYTES_MAX {
            return Err(malformed("nonce"));
        }
        let associated = match resource.get("associated_data") {
            None | Some(Json::Null) => String::new(),
            Some(Json::Text(text)) => text.clone(),
            Some(_) => return Err(malformed("associated_data")),
        };
        let ciphertext = douyin::required(resource, CIPHERTEXT)?;
        let ciphertext = STANDARD.decode(ciphertext).map_err(|_| malformed(CIPHERTEXT))?;
        Ok(Self { whole, event_type, nonce, associated, ciphertext })
    }

    /// What the box holds.
    pub(super) fn open(&self, cipher: &Gcm) -> Result<Vec<u8>, Rejection> {
        let opened = cipher.open(self.nonce.as_bytes(), self.associated.as_bytes(), &self.ciphertext);
        opened.ok_or(Rejection::Undecryptable)
    }

    /// How large the closed box is.
    pub(super) fn box_bytes(&self) -> usize {
        self.ciphertext.len()
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
