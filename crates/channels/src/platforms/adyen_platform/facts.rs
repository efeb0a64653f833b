//! What a proven message of a platform asserts.

use super::settings::Config;
use crate::channel::quote;
use crate::json::Json;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Identity, Notification, Scope, Timestamp};
use crate::platforms::accounts::parse;
use crate::platforms::adyen::{FAMILY, amount};
use crate::signature::digest::{DigestHash, HexCase};

/// How the types of transfers begin.
const TRANSFER: &str = "balancePlatform.transfer.";

/// Reads a body whose signature was checked.
pub(super) fn read(config: &Config, body: &[u8]) -> Notification {
    let (message, concern) = parse(body, "body");
    let data = message.get("data").unwrap_or(&Json::Null);
    let kind = text(&message, "type");
    let account = account(&message).unwrap_or(&config.account);
    let at = ["timestamp", "createdAt"].iter().find_map(|name| text(&message, name)?.parse::<Timestamp>().ok());
    let mut reader = Reader {
        data,
        scope: Scope { environment: config.environment, family: FAMILY, account: account.to_owned() },
        platform_id: id(&message, body),
        at,
        concerns: concern.into_iter().collect(),
    };
    if account != config.account {
        reader.concern(Concern::ForeignPayee { payee: quote(account) });
    }
    if message != Json::Null {
        reader.check_environment(config.environment, &message);
    }
    let fact = match kind {
        Some(kind) if kind.starts_with(TRANSFER) => reader.transfer(),
        Some(_) => reader.other(),
        None => {
            if message != Json::Null {
                reader.concern(Concern::UnreadableText { field: "type".into() });
            }
            reader.other()
        }
    };
    Notification {
        scope: reader.scope,
        platform_id: reader.platform_id,
        platform_kind: quote(kind.unwrap_or("webhook")),
        sent_at: at,
        facts: vec![fact],
        concerns: reader.concerns,
    }
}

/// Whether an object is a message of a platform.
pub(super) fn is_message(message: &Json) -> bool {
    text(message, "type").is_some()
        && text(message, "environment").is_some()
        && matches!(message.get("data"), Some(Json::Object(_)))
}

/// The balance platform that a message is about.
pub(super) fn account(message: &Json) -> Option<&str> {
    text(message.get("data")?, "balancePlatform").filter(|account| account.len() <= NAME_BYTES_MAX)
}

/// The event's own number; most messages have none, and one object is told again in every state, so the body's digest
/// stands behind what it is about.
fn id(message: &Json, body: &[u8]) -> String {
    let short = |text: &&str| text.len() <= NAME_BYTES_MAX / 2;
    if let Some(id) = text(message, "eventId").filter(short) {
        return id.to_owned();
    }
    let digest = DigestHash::Sha256.hex_of(&[body], HexCase::Lower);
    match message.get("data").and_then(|data| text(data, "id")).filter(short) {
        Some(id) => format!("{id}:{}", &digest[..DIGITS]),
        None => digest,
    }
}

/// Digits of the digest in such a name.
const DIGITS: usize = 32;

/// A text; none when it is absent, empty or no text.
fn text<'m>(object: &'m Json, name: &str) -> Option<&'m str> {
    match object.get(name)? {
        Json::Text(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        _ => None,
    }
}

struct Reader<'m> {
    data: &'m Json,
    scope: Scope,
    platform_id: String,
    at: Option<Timestamp>,
    concerns: Vec<Concern>,
}

impl Reader<'_> {
    /// A transfer in one of its states. Only what leaves for a bank is the merchant's payout.
    fn transfer(&mut self) -> Fact {
        let is_payout = text(self.data, "category") == Some("bank") && text(self.data, "direction") == Some("outgoing");
        if !is_payout {
            return self.other();
        }
        let kind = match text(self.data, "status") {
            Some("booked") => EventKind::TransferSucceeded,
            Some("failed" | "refused" | "cancelled" | "expired" | "error") => EventKind::TransferFailed,
            Some("returned") => EventKind::TransferReturned,
            Some("received" | "pendingApproval" | "authorised" | "pending") => return self.other(),
            Some(status) => {
                let value = quote(status);
                self.concern(Concern::UnknownValue { field: "data.status".into(), value });
                return self.other();
            }
            None => return self.missing("data.status"),
        };
        let Some(identity) = text(self.data, "id").and_then(Identity::new) else { return self.missing("data.id") };
        let amount = if let Some(Ok(money)) = self.data.get("amount").map(amount::read) {
            Amount::Stated(money)
        } else {
            self.concern(Concern::UnreadableAmount { field: "data.amount".into() });
            Amount::Unreadable
        };
        let order_no = text(self.data, "reference").filter(|text| text.len() <= NAME_BYTES_MAX).map(str::to_owned);
        let platform_no = Some(identity.as_str().to_owned());
        Fact { order_no, platform_no, ..self.fact(kind, identity, amount) }
    }

    fn other(&self) -> Fact {
        let identity = Identity::new(self.platform_id.clone()).expect("a name that is short and not empty");
        self.fact(EventKind::Other, identity, Amount::None)
    }

    fn fact(&self, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        Fact {
            kind,
            scope: self.scope.clone(),
            identity,
            aliases: Vec::new(),
            amount,
            order_no: None,
            platform_no: None,
            payee: None,
            occurred_at: self.at,
            payment: None,
            baseline: None,
        }
    }

    /// It is signed, so it is believed: a test message must ship nothing, and a live one is no test.
    fn check_environment(&mut self, own: Environment, message: &Json) {
        let found = text(message, "environment");
        let expected = if own == Environment::Live { "live" } else { "test" };
        match found {
            Some(found) if found == expected => {}
            Some("live" | "test") => self.concern(Concern::ForeignEnvironment { field: "environment".into() }),
            Some(other) => {
                self.concern(Concern::UnknownValue { field: "environment".into(), value: quote(other) });
            }
            None => self.concern(Concern::MissingField { field: "environment".into() }),
        }
    }

    fn missing(&mut self, field: &str) -> Fact {
        self.concern(Concern::MissingField { field: field.into() });
        self.other()
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}
