//! Thin events: what happened and to which object, and neither how much nor whose order.

use super::facts::{MONEY_FAMILIES, Reader};
use crate::json::Json;
use crate::model::{Concern, Fact, Timestamp};

/// What a thin event calls itself.
pub(super) const OBJECT: &str = "v2.core.event";

/// How the types of those begin that are about objects of snapshot events.
const V1: &str = "v1.";

/// Types of the second version that move money.
const V2_MONEY: &str = "v2.money_management.";

/// An event without its amounts. One about money waits for a person: what it is about must be looked up.
pub(super) fn facts(reader: &mut Reader<'_>, kind: &str) -> Vec<Fact> {
    let about = kind.strip_prefix(V1).unwrap_or(kind);
    let is_money = kind.starts_with(V2_MONEY) || MONEY_FAMILIES.iter().any(|family| about.starts_with(family));
    if is_money {
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
