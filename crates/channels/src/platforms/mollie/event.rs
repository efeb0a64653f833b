//! Signed events of webhook subscriptions (Mollie, "next-gen webhooks").

use super::facts::{self, Told};
use super::settings::Config;
use super::{Verdict, payment_id};
use crate::channel::{Hint, HintNumber, Rejection, quote};
use crate::json::Json;
use crate::model::{Concern, Notification, Proven, RawRequest};
use crate::platforms::accounts::parse;
use crate::signature::Verified;
use crate::signature::digest::{DigestHash, HexCase};

/// The header that carries the signatures.
pub(super) const SIGNATURE: &str = "x-mollie-signature";

/// What stands before a signature's digits.
pub(super) const PREFIX: &str = "sha256=";

/// Most signatures of one event: one, and two for a day after a change of the secret.
pub(super) const SIGNATURES_MAX: usize = 4;

/// Digits of a signature.
const SIGNATURE_DIGITS: usize = 64;

/// How the signed text is made; there is one way.
const VARIANT: &str = "body";

/// Verifies an event and reads it.
pub(super) fn verify(config: &Config, request: &RawRequest) -> Result<Verdict, Rejection> {
    let tags = signatures(request)?;
    let verified = config
        .secrets
        .iter()
        .find_map(|secret| {
            secret.verify_any(&request.body, &tags.iter().map(Vec::as_slice).collect::<Vec<_>>(), VARIANT)
        })
        .ok_or(Rejection::Signature)?;
    let (event, concern) = parse(&request.body, "body");
    Ok(read(config, &event, concern, &request.body, verified))
}

/// Whether it has the shape of an event, or of an entity that comes alone.
pub(super) fn is_event(event: &Json) -> bool {
    event.get("resource").and_then(Json::text).is_some() && event.get("id").and_then(Json::text).is_some()
}

/// The profile that it is about, where it says so.
pub(super) fn profile(event: &Json) -> Option<&str> {
    entity(event).unwrap_or(event).get("profileId")?.text()
}

/// The payment that an event is about, or the payment of the refund or chargeback that it is about.
pub(super) fn payment(event: &Json) -> Option<HintNumber> {
    let about = entity(event).unwrap_or(event);
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::text).map(str::to_owned);
    let named = [text(about, "id"), text(about, "paymentId"), text(event, "entityId")];
    named.into_iter().flatten().find_map(|id| payment_id(id.as_bytes()))
}

fn entity(event: &Json) -> Option<&Json> {
    event.get("_embedded")?.get("entity").filter(|entity| matches!(entity, Json::Object(_)))
}

/// The signatures: each header may hold a list, as whoever joins repeated headers makes of them. The same one twice
/// is a repetition by somebody else than the platform.
fn signatures(request: &RawRequest) -> Result<Vec<Vec<u8>>, Rejection> {
    let mut found: Vec<&str> = Vec::new();
    for value in request.headers.get_all(SIGNATURE) {
        let value = value.to_str().map_err(|_| malformed(SIGNATURE))?;
        for (index, one) in value.split(',').enumerate() {
            let one = if index > 0 { one.strip_prefix(' ').unwrap_or(one) } else { one };
            if found.contains(&one) {
                return Err(Rejection::Duplicate { field: SIGNATURE.into() });
            }
            if found.len() >= SIGNATURES_MAX {
                return Err(Rejection::TooManyFields { limit: SIGNATURES_MAX });
            }
            found.push(one);
        }
    }
    if found.is_empty() {
        return Err(Rejection::Missing { field: SIGNATURE.into() });
    }
    found.into_iter().map(|text| tag(text).ok_or_else(|| malformed(SIGNATURE))).collect()
}

/// Reads one signature: lower-case digits, as the platform writes them.
fn tag(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(PREFIX)?.as_bytes();
    if digits.len() != SIGNATURE_DIGITS {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    digits.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn malformed(field: &str) -> Rejection {
    Rejection::Malformed { field: field.into() }
}

/// What a proven event says. The platform sent it, so nothing in it is a reason to refuse it: what cannot be read is held.
fn read(config: &Config, event: &Json, concern: Option<Concern>, body: &[u8], verified: Verified) -> Verdict {
    let text = |name: &str| event.get(name).and_then(Json::text).filter(|text| !text.is_empty());
    let mut told = Told::default();
    let is_event = text("resource") == Some("event");
    let name_of_kind = if is_event { "type" } else { "resource" };
    let kind = text(name_of_kind);
    let is_missing = |name: &&str| concern.is_none() && text(name).is_none();
    let missing = ["id", name_of_kind].into_iter().filter(is_missing);
    told.concerns.extend(missing.map(|name| Concern::MissingField { field: name.into() }));
    told.concerns.extend(concern);
    match (is_event, kind) {
        (true, Some(kind)) => {
            let named = text("entityId");
            match entity(event) {
                Some(entity) => {
                    facts::entity(config, kind, entity, &mut told);
                    if named.is_some() && entity.get("id").and_then(Json::text) != named {
                        told.concerns.push(Concern::Contradiction { field: "entityId".into() });
                    }
                }
                // It only names the payment: who knows the secret says that there is something to ask about.
                None if kind.starts_with("payment.") && config.api.is_some() => {
                    if let Some(number) = named.and_then(|id| payment_id(id.as_bytes())) {
                        return Verdict::Hint(Hint::from_platform(number, &verified));
                    }
                    told.concerns.push(Concern::MissingField { field: "entityId".into() });
                }
                // Only its name was sent: whoever could be told what happened must be.
                None if facts::is_money(kind) => {
                    told.concerns.push(Concern::MissingField { field: "_embedded.entity".into() });
                }
                None if !facts::is_quiet(kind) => {
                    told.concerns.push(Concern::UnknownValue { field: "type".into(), value: quote(kind) });
                }
                None => {}
            }
        }
        (false, Some(kind)) => facts::entity(config, kind, event, &mut told),
        (_, None) => {}
    }
    let digest = DigestHash::Sha256.hex_of(&[body], HexCase::Lower);
    let id = text("id").unwrap_or(&digest);
    if told.facts.is_empty() {
        told.facts.push(facts::other(config, id));
    }
    let status = text("status").map(|status| format!("/{status}")).unwrap_or_default();
    let notification = Notification {
        scope: facts::scope(config),
        platform_id: facts::bounded(&format!("{id}{status}")),
        platform_kind: facts::bounded(kind.unwrap_or("event")),
        sent_at: text("createdAt").and_then(facts::time),
        facts: told.facts,
        concerns: told.concerns,
    };
    Verdict::Genuine(Proven::by_signature(notification, verified))
}
