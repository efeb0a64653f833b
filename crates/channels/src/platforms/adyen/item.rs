//! The message and its items: the eight values that are signed, and the text that they are joined to.

use std::collections::HashSet;

use super::ITEMS_MAX;
use crate::channel::{Rejection, quote};
use crate::json::{Json, JsonError};
use crate::signature::decode_base64;

const ITEMS: &str = "notificationItems";
const ITEM: &str = "NotificationRequestItem";
const SIGNATURE: &str = "hmacSignature";

/// Bytes of an HMAC-SHA256.
const TAG_BYTES: usize = 32;

/// What stands between two values.
const SEPARATOR: &str = ":";

/// A message.
pub(super) struct Envelope<'m> {
    /// What it says of itself, beside any signature.
    pub(super) is_live: bool,
    /// Never empty.
    pub(super) items: Vec<Item<'m>>,
}

impl<'m> Envelope<'m> {
    /// Reads the whole of it. A message with an item that cannot be read is refused, for its signature cannot be checked.
    pub(super) fn read(message: &'m Json) -> Result<Self, Rejection> {
        check_names(message)?;
        let is_live = match message.get("live") {
            Some(Json::Text(text)) if text == "true" => true,
            Some(Json::Text(text)) if text == "false" => false,
            Some(_) => return Err(malformed("live")),
            None => return Err(Rejection::Missing { field: "live".into() }),
        };
        let list = match message.get(ITEMS) {
            Some(Json::List(list)) if !list.is_empty() => list,
            Some(_) => return Err(malformed(ITEMS)),
            None => return Err(Rejection::Missing { field: ITEMS.into() }),
        };
        if list.len() > ITEMS_MAX {
            return Err(Rejection::TooManyFields { limit: ITEMS_MAX });
        }
        let items = list.iter().enumerate().map(|(at, item)| Item::read(at, item)).collect::<Result<_, _>>()?;
        Ok(Self { is_live, items })
    }

    /// Takes away each item that says the same as one before it. A batch with twins, once refused, would be refused for
    /// ever, and everything behind it.
    pub(super) fn without_twins(mut self) -> Self {
        let mut seen = HashSet::new();
        self.items.retain(|item| seen.insert((item.signed_text(), item.signature.is_some())));
        self
    }
}

/// One item.
pub(super) struct Item<'m> {
    at: usize,
    pub(super) psp_reference: &'m str,
    /// Of a modification: the payment. Empty where there is none.
    pub(super) original_reference: &'m str,
    pub(super) merchant_account: &'m str,
    pub(super) merchant_reference: &'m str,
    /// `{value, currency}`, or null.
    pub(super) amount: &'m Json,
    value: &'m str,
    currency: &'m str,
    pub(super) event_code: &'m str,
    pub(super) is_success: bool,
    /// Beside the signature.
    pub(super) date: Option<&'m str>,
    pub(super) signature: Option<[u8; TAG_BYTES]>,
}

impl<'m> Item<'m> {
    fn read(at: usize, wrapped: &'m Json) -> Result<Self, Rejection> {
        let path = |field: &str| format!("{ITEMS}.{at}.{field}");
        let Some(item @ Json::Object(_)) = wrapped.get(ITEM) else {
            return Err(Rejection::Malformed { field: path(ITEM) });
        };
        for object in [wrapped, item, item.get("amount").unwrap_or(&Json::Null)] {
            check_names(object)?;
        }
        // Absent and null are empty; another kind of value would be signed as a text that nobody can tell.
        let text = |name: &str| match item.get(name) {
            None | Some(Json::Null) => Ok(""),
            Some(Json::Text(text)) => Ok(text.as_str()),
            Some(_) => Err(Rejection::Malformed { field: path(name) }),
        };
        let needed = |name: &str| match text(name)? {
            "" => Err(Rejection::Missing { field: path(name) }),
            text => Ok(text),
        };
        let amount = item.get("amount").unwrap_or(&Json::Null);
        // As it is written: through a float it would be another.
        let value: &str = match amount.get("value") {
            None | Some(Json::Null) => "",
            Some(Json::Number(text)) => text,
            Some(_) => return Err(Rejection::Malformed { field: path("amount.value") }),
        };
        let currency: &str = match amount.get("currency") {
            None | Some(Json::Null) => "",
            Some(Json::Text(text)) => text,
            Some(_) => return Err(Rejection::Malformed { field: path("amount.currency") }),
        };
        let is_success = match needed("success")? {
            "true" => true,
            "false" => false,
            _ => return Err(Rejection::Malformed { field: path("success") }),
        };
        let signature = match item.get("additionalData").and_then(|data| data.get(SIGNATURE)) {
            None | Some(Json::Null) => None,
            Some(Json::Text(text)) => {
                let decoded = decode_base64(text.as_bytes()).and_then(|bytes| <[u8; TAG_BYTES]>::try_from(bytes).ok());
                let bad = || Rejection::Malformed { field: path("additionalData.hmacSignature") };
                Some(decoded.ok_or_else(bad)?)
            }
            Some(_) => return Err(Rejection::Malformed { field: path("additionalData.hmacSignature") }),
        };
        Ok(Self {
            at,
            psp_reference: needed("pspReference")?,
            original_reference: text("originalReference")?,
            merchant_account: needed("merchantAccountCode")?,
            merchant_reference: text("merchantReference")?,
            amount,
            value,
            currency,
            event_code: needed("eventCode")?,
            is_success,
            date: match item.get("eventDate") {
                Some(Json::Text(text)) => Some(text.as_str()),
                _ => None,
            },
            signature,
        })
    }

    /// The eight values, as they are, in Adyen's order. Nothing is escaped: Adyen's own test has a reference with a colon.
    pub(super) fn signed_text(&self) -> String {
        let success = if self.is_success { "true" } else { "false" };
        [
            self.psp_reference,
            self.original_reference,
            self.merchant_account,
            self.merchant_reference,
            self.value,
            self.currency,
            self.event_code,
            success,
        ]
        .join(SEPARATOR)
    }

    /// A value beside the merchant's reference that has the separator in it: the same signature is one of other values as
    /// well. With none, three values before the reference and four behind it can be cut in one way only.
    pub(super) fn ambiguous(&self) -> Option<&'static str> {
        [
            ("pspReference", self.psp_reference),
            ("originalReference", self.original_reference),
            ("merchantAccountCode", self.merchant_account),
            ("amount.currency", self.currency),
            ("eventCode", self.event_code),
        ]
        .into_iter()
        .find(|(_, value)| value.contains(SEPARATOR))
        .map(|(name, _)| name)
    }

    /// Where a field of it stands in the message.
    pub(super) fn path(&self, field: &str) -> String {
        format!("{ITEMS}.{}.{field}", self.at)
    }

    pub(super) fn missing(&self, field: &str) -> Rejection {
        Rejection::Missing { field: self.path(field) }
    }
}

/// Refuses two names of one object that differ in the case of letters alone. Some readers take them for one name, and the
/// second could be what nobody signed.
fn check_names(object: &Json) -> Result<(), Rejection> {
    let mut seen = HashSet::new();
    match members(object).iter().find(|(name, _)| !seen.insert(name.to_ascii_lowercase())) {
        Some((name, _)) => Err(Rejection::Duplicate { field: quote(name) }),
        None => Ok(()),
    }
}

fn malformed(field: &str) -> Rejection {
    Rejection::Malformed { field: field.into() }
}

/// A body that is no JSON, or names something twice.
pub(super) fn unreadable(error: JsonError) -> Rejection {
    match error {
        JsonError::Twice(name) => Rejection::Duplicate { field: quote(&name) },
        JsonError::Malformed => malformed("body"),
    }
}

/// The accounts of a message of this shape.
pub(super) fn accounts(message: &Json) -> Option<Vec<&str>> {
    match message.get(ITEMS) {
        Some(Json::List(list)) if (1..=ITEMS_MAX).contains(&list.len()) => list.iter().map(account).collect(),
        _ => None,
    }
}

fn account(wrapped: &Json) -> Option<&str> {
    let item = wrapped.get(ITEM)?;
    match (item.get("eventCode")?, item.get("merchantAccountCode")?) {
        (Json::Text(_), Json::Text(account)) => Some(account),
        _ => None,
    }
}

/// What is signed, under its path; what is not, behind a word that says so. Names decide by their place: a name with dots
/// in it could look like the path of another.
pub(super) fn fields(message: &Json) -> Vec<(String, String)> {
    const SIGNED: &[&str] =
        &["pspReference", "originalReference", "merchantAccountCode", "merchantReference", "eventCode", "success"];
    let mut fields = Vec::new();
    let mut unsigned = Vec::new();
    for (name, value) in members(message) {
        let list = match value {
            Json::List(list) if name == ITEMS => list,
            _ => {
                value.flatten(&format!("unsigned.{name}"), &mut unsigned);
                continue;
            }
        };
        for (at, wrapped) in list.iter().enumerate() {
            let path = format!("{ITEMS}.{at}.{ITEM}");
            for (field, value) in wrapped.get(ITEM).into_iter().flat_map(members) {
                match (field.as_str(), value) {
                    ("amount", Json::Object(amount)) => {
                        for (part, value) in amount {
                            let is_signed = matches!(part.as_str(), "value" | "currency");
                            let (word, to) = if is_signed { ("", &mut fields) } else { ("unsigned.", &mut unsigned) };
                            value.flatten(&format!("{word}{path}.amount.{part}"), to);
                        }
                    }
                    (field, value) if SIGNED.contains(&field) => {
                        value.flatten(&format!("{path}.{field}"), &mut fields);
                    }
                    (field, value) => {
                        value.flatten(&format!("unsigned.{path}.{field}"), &mut unsigned);
                    }
                }
            }
            for (beside, value) in members(wrapped).iter().filter(|(beside, _)| beside != ITEM) {
                value.flatten(&format!("unsigned.{ITEMS}.{at}.{beside}"), &mut unsigned);
            }
        }
    }
    fields.append(&mut unsigned);
    fields
}

fn members(object: &Json) -> &[(String, Json)] {
    match object {
        Json::Object(members) => members,
        _ => &[],
    }
}
