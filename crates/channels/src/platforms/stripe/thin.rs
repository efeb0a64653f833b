//! Thin events: what happened and to which object, and neither how much nor whose order.

use super::api;
use super::facts::{self, MONEY_FAMILIES, Reader};
use super::settings::Config;
use crate::channel::HintNumber;
use crate::json::Json;
use crate::model::{Concern, Fact, Timestamp};

/// What a thin event calls itself.
pub(super) const OBJECT: &str = "v2.core.event";

/// How the types of those begin that are about objects of snapshot events.
const V1: &str = "v1.";

/// Types of the second version that move money.
const V2_MONEY: &str = "v2.money_management.";

/// Whether a type is about money.
fn is_money(kind: &str) -> bool {
    let about = kind.strip_prefix(V1).unwrap_or(kind);
    kind.starts_with(V2_MONEY) || MONEY_FAMILIES.iter().any(|family| about.starts_with(family))
}

/// The object to ask about; none when the event is no thin one, not about money, not of this account and environment, or
/// when nobody can be asked: the key is of the endpoint's own account.
pub(super) fn asked(config: &Config, event: &Json) -> Option<HintNumber> {
    config.api.as_ref()?;
    let is_thin = event.get("object").and_then(Json::text) == Some(OBJECT);
    let Some(Json::Text(kind)) = event.get("type").filter(|_| is_thin) else { return None };
    let is_own = facts::account(event).is_none_or(|account| account == config.account);
    if !is_money(kind) || !is_own || !facts::is_of(config.environment, event) {
        return None;
    }
    match event.get("related_object")?.get("id")? {
        Json::Text(id) => api::path(id).and_then(|_| HintNumber::new(id)),
        _ => None,
    }
}

/// An event without its amounts. One about money waits for a person: what it is about must be looked up.
pub(super) fn facts(reader: &mut Reader<'_>, kind: &str) -> Vec<Fact> {
    if is_money(kind) {
        reader.concern(Concern::MissingField { field: "data.object".into() });
    }
    vec![reader.other()]
}

/// When it happened: RFC 3339, while snapshot events have seconds.
pub(super) fn created(event: &Json) -> Option<Timestamp> {
    match event.get("created")? {
        Json::Text(text) => text.parse().ok(),
        _ => None,
    }
}
