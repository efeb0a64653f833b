//! What a delivery says beside its body, in six headers: which transmission it is, when it was sent, its signature, and
//! which certificate that is by.

use super::certificate::CertificateName;
use super::{AUTH_ALGO, AUTH_VERSION, CERT_URL, TRANSMISSION_ID, TRANSMISSION_SIG, TRANSMISSION_TIME};
use crate::channel::{Rejection, quote};
use crate::model::{RawRequest, Timestamp};
use crate::platforms::crc32::crc32;
use crate::platforms::outside::{header, malformed};
use crate::signature::decode_base64;

/// The only algorithm. The platform's old kit takes `SHA1withRSA` as well, which whoever can choose a message forges.
pub(super) const ALGORITHM: &str = "SHA256withRSA";

/// The only version. It is not under the signature, so another one is a protocol that we do not know.
pub(super) const VERSION: &str = "v2";

/// Longest transmission id; real ones are UUIDs of 36 characters.
pub(super) const ID_BYTES_MAX: usize = 64;

/// Longest time; real ones have 20 characters.
const TIME_BYTES_MAX: usize = 40;

/// What the headers say, of which everything was checked that costs less than the signature.
pub(super) struct Transmission<'r> {
    /// Its number, which is under the signature.
    pub(super) id: &'r str,
    /// The time as it is written, which is how it is signed.
    time: &'r str,
    /// When it was sent.
    pub(super) at: Timestamp,
    /// The certificate that it names.
    pub(super) certificate: CertificateName,
    /// The bytes of the signature.
    pub(super) signature: Vec<u8>,
    /// The sum over the body, which is all of it that is signed.
    sum: u32,
}

impl<'r> Transmission<'r> {
    /// Reads the headers, each of which must be there once. `hosts` are those whose certificates may be named.
    pub(super) fn read(request: &'r RawRequest, hosts: &[&str]) -> Result<Self, Rejection> {
        for (name, only) in [(AUTH_ALGO, ALGORITHM), (AUTH_VERSION, VERSION)] {
            let found = header(request, name)?;
            if found != only {
                return Err(Rejection::Algorithm { algorithm: quote(found) });
            }
        }
        let id = header(request, TRANSMISSION_ID)?;
        // The parts of the signed text are joined with bars and nothing is escaped: none may hold one.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if id.len() > ID_BYTES_MAX || !id.bytes().all(is_plain) {
            return Err(malformed(TRANSMISSION_ID));
        }
        let time = header(request, TRANSMISSION_TIME)?;
        let at = read_time(time).ok_or_else(|| malformed(TRANSMISSION_TIME))?;
        let signature = header(request, TRANSMISSION_SIG)?;
        let signature = decode_base64(signature.as_bytes()).ok_or_else(|| malformed(TRANSMISSION_SIG))?;
        let url = header(request, CERT_URL)?;
        let name = hosts.iter().find_map(|host| CertificateName::of_url(url, host));
        let certificate = name.ok_or_else(|| Rejection::UnknownKey { serial: quote(url) })?;
        Ok(Self { id, time, at, certificate, signature, sum: crc32(&request.body) })
    }

    /// What is under the signature, for a webhook of this id.
    pub(super) fn signed_text(&self, webhook_id: &str) -> String {
        signed_text(self.id, self.time, webhook_id, self.sum)
    }
}

/// The text: the number, the time, the webhook's id and the sum in plain digits, with bars between them.
pub(super) fn signed_text(id: &str, time: &str, webhook_id: &str, sum: u32) -> String {
    format!("{id}|{time}|{webhook_id}|{sum}")
}

/// A time of RFC 3339, in the few characters that one needs.
fn read_time(text: &str) -> Option<Timestamp> {
    let is_plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'T' | b'Z' | b'.' | b'+');
    let is_right = text.len() <= TIME_BYTES_MAX && text.bytes().all(is_plain);
    if is_right { text.parse().ok() } else { None }
}
