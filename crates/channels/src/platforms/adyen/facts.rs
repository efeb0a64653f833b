//! What the items of a message assert. Nothing here looks at a value that is not under an item's signature, but to hold.

use super::FAMILY;
use super::item::{Envelope, Item};
use super::settings::{Capture, Config};
use crate::channel::quote;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Identity, Notification, Scope, Timestamp};
use crate::signature::digest::{DigestHash, HexCase};

/// Kinds of items about money: never taken without a signature.
const MONEY: &[&str] = &[
    "ADVICE_OF_DEBIT",
    "AUTHORISATION",
    "AUTHORISATION_ADJUSTMENT",
    "AUTHORISATION_PENDING",
    "AUTHORISE_REFERRAL",
    "CANCELLATION",
    "CANCEL_OR_REFUND",
    "CAPTURE",
    "CAPTURE_FAILED",
    "CAPTURE_WITH_EXTERNAL_AUTH",
    "CHARGEBACK",
    "CHARGEBACK_REVERSED",
    "DISPUTE_DEFENSE_PERIOD_ENDED",
    "EXPIRE",
    "FUND_TRANSFER",
    "HANDLED_EXTERNALLY",
    "INFORMATION_SUPPLIED",
    "ISSUER_COMMENTS",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED",
    "NOTIFICATION_OF_CHARGEBACK",
    "NOTIFICATION_OF_FRAUD",
    "OFFER_CLOSED",
    "ORDER_CLOSED",
    "ORDER_OPENED",
    "PAIDOUT_REVERSED",
    "PAYOUT_DECLINE",
    "PAYOUT_EXPIRE",
    "PAYOUT_THIRDPARTY",
    "PENDING",
    "POSTPONED_REFUND",
    "PREARBITRATION_LOST",
    "PREARBITRATION_OPEN",
    "PREARBITRATION_WON",
    "REFUND",
    "REFUNDED_REVERSED",
    "REFUND_FAILED",
    "REFUND_WITH_DATA",
    "REQUEST_FOR_INFORMATION",
    "SECOND_CHARGEBACK",
    "TECHNICAL_CANCEL",
    "VOID_PENDING_REFUND",
];

/// Kinds that change nothing that anybody should be told.
const NOTICES: &[&str] = &[
    "AUTHENTICATION",
    "AUTORESCUE",
    "CANCEL_AUTORESCUE",
    "DISABLE_RECURRING",
    "HANDLED_EXTERNALLY",
    "MANUAL_REVIEW_ACCEPT",
    "MANUAL_REVIEW_REJECT",
    "ORDER_OPENED",
    "POSTPONED_REFUND",
    "RECURRING_CONTRACT",
    "REPORT_AVAILABLE",
    "VOID_PENDING_REFUND",
];

/// Kinds that Adyen sends without a signature, to an endpoint with a user and a password. Any other kind that comes without
/// one is somebody's to look at.
const UNSIGNED: &[&str] = &["REPORT_AVAILABLE"];

/// Every kind that is known here.
#[cfg(test)]
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    MONEY.iter().chain(NOTICES).copied()
}

/// Whether a kind of item is about money.
pub(super) fn is_money(event_code: &str) -> bool {
    MONEY.contains(&event_code)
}

/// Reads a message whose items were checked.
pub(super) fn read(config: &Config, envelope: &Envelope<'_>) -> Notification {
    let mut reader = Reader { config, concerns: Vec::new() };
    if envelope.is_live != (config.environment == Environment::Live) {
        reader.concern(Concern::ForeignEnvironment { field: "live".into() });
    }
    let facts: Vec<Fact> = envelope.items.iter().map(|item| reader.fact(item)).collect();
    let mut kinds: Vec<&str> = Vec::new();
    for item in &envelope.items {
        if !kinds.contains(&item.event_code) {
            kinds.push(item.event_code);
        }
    }
    let account = envelope.items.first().map_or("", |item| item.merchant_account);
    Notification {
        scope: reader.scope(account),
        platform_id: name(&envelope.items),
        platform_kind: quote(&kinds.join(", ")),
        // Beside the signature: it can only have an old capture held.
        sent_at: envelope.items.first().and_then(|item| item.date).and_then(|date| date.parse::<Timestamp>().ok()),
        facts,
        concerns: reader.concerns,
    }
}

fn amount_is_nothing(item: &Item<'_>) -> bool {
    super::amount::read(item.amount).is_ok_and(|money| money.minor == 0)
}

/// A message has no number: the first item's, its kind and outcome, and what else is signed in the message.
fn name(items: &[Item<'_>]) -> String {
    let first = items.first().map_or_else(String::new, |item| {
        let outcome = if item.is_success { "true" } else { "false" };
        format!("{}:{}:{outcome}", item.psp_reference, item.event_code)
    });
    if items.len() == 1 && first.len() <= NAME_BYTES_MAX {
        return first;
    }
    let signed: Vec<String> = items.iter().map(Item::signed_text).collect();
    let signed: Vec<&[u8]> = signed.iter().flat_map(|text| [text.as_bytes(), b"\n"]).collect();
    DigestHash::Sha256.hex_of(&signed, HexCase::Lower)
}

struct Reader<'c> {
    config: &'c Config,
    concerns: Vec<Concern>,
}

impl Reader<'_> {
    fn scope(&self, account: &str) -> Scope {
        // A name that no scope can have is a digest's: the message is held in any case.
        let account = if account.len() <= NAME_BYTES_MAX {
            account.to_owned()
        } else {
            DigestHash::Sha256.hex_of(&[account.as_bytes()], HexCase::Lower)
        };
        Scope { environment: self.config.environment, family: FAMILY, account }
    }

    fn fact(&mut self, item: &Item<'_>) -> Fact {
        if !self.config.is_own(item.merchant_account) {
            self.concern(Concern::ForeignPayee { payee: quote(item.merchant_account) });
        }
        if let Some(field) = item.ambiguous() {
            self.concern(Concern::Ambiguous { field: item.path(field) });
            return self.other(item);
        }
        // Nobody's signature: whatever it says of itself, it says nothing about money.
        if item.signature.is_none() {
            if !UNSIGNED.contains(&item.event_code) {
                self.concern(Concern::UnknownValue { field: item.path("eventCode"), value: quote(item.event_code) });
            }
            return self.other(item);
        }
        let is_nothing = amount_is_nothing(item);
        let capture = self.config.capture;
        match (item.event_code, item.is_success) {
            // A card that was looked at, and not charged.
            ("AUTHORISATION", true) if is_nothing => self.other(item),
            ("AUTHORISATION", true) if capture == Capture::Immediate => self.payment(item, EventKind::PaymentSucceeded),
            ("AUTHORISATION" | "AUTHORISATION_ADJUSTMENT", true) => self.payment(item, EventKind::PaymentAuthorized),
            ("AUTHORISATION", false) => self.payment(item, EventKind::PaymentFailed),
            ("PENDING", true) => self.payment(item, EventKind::PaymentPending),
            // What was told as paid at once is not paid again.
            ("CAPTURE", true) if capture != Capture::Immediate => self.capture(item),
            // A request of the merchant's that was not taken: the payment is as it was.
            (
                "AUTHORISATION_ADJUSTMENT"
                | "CANCELLATION"
                | "CAPTURE"
                | "TECHNICAL_CANCEL"
                | "EXPIRE"
                | "PENDING"
                | "OFFER_CLOSED"
                | "CANCEL_OR_REFUND",
                false,
            )
            | ("CAPTURE" | "ORDER_CLOSED", true) => self.other(item),
            ("CAPTURE_FAILED", _) => {
                // It was told as taken before. Whoever believes that must be told by a person.
                self.concern(Concern::Contradiction { field: item.path("eventCode") });
                self.payment(item, EventKind::PaymentFailed)
            }
            ("CANCELLATION" | "TECHNICAL_CANCEL" | "EXPIRE" | "OFFER_CLOSED", true) | ("ORDER_CLOSED", false) => {
                self.closed(item)
            }
            ("REFUND" | "REFUND_WITH_DATA", true) => self.following(item, EventKind::RefundSucceeded, None),
            ("REFUND" | "REFUND_WITH_DATA", false) | ("REFUND_FAILED" | "REFUNDED_REVERSED", _) => {
                self.following(item, EventKind::RefundFailed, None)
            }
            ("NOTIFICATION_OF_CHARGEBACK" | "REQUEST_FOR_INFORMATION", _) => {
                self.following(item, EventKind::DisputeOpened, Some(item.event_code))
            }
            (
                "CHARGEBACK"
                | "CHARGEBACK_REVERSED"
                | "SECOND_CHARGEBACK"
                | "NOTIFICATION_OF_FRAUD"
                | "PREARBITRATION_OPEN"
                | "INFORMATION_SUPPLIED"
                | "ISSUER_COMMENTS"
                | "DISPUTE_DEFENSE_PERIOD_ENDED"
                | "ISSUER_RESPONSE_TIMEFRAME_EXPIRED",
                _,
            ) => self.following(item, EventKind::DisputeUpdated, Some(item.event_code)),
            ("PREARBITRATION_WON" | "PREARBITRATION_LOST", _) => {
                self.following(item, EventKind::DisputeClosed, Some(item.event_code))
            }
            ("PAYOUT_THIRDPARTY", true) => self.payout(item, EventKind::TransferSucceeded),
            ("PAYOUT_THIRDPARTY", false) | ("PAYOUT_DECLINE" | "PAYOUT_EXPIRE", _) => {
                self.payout(item, EventKind::TransferFailed)
            }
            ("PAIDOUT_REVERSED", _) => self.payout(item, EventKind::TransferReturned),
            (code, _) if NOTICES.contains(&code) => self.other(item),
            // Also what says which of two things happened only beside the signature.
            (code, _) => {
                self.concern(Concern::UnknownValue { field: item.path("eventCode"), value: quote(code) });
                self.other(item)
            }
        }
    }

    /// The payment itself, or an attempt of it.
    fn payment(&mut self, item: &Item<'_>, kind: EventKind) -> Fact {
        let Some(identity) = self.identity(item, "pspReference", item.psp_reference) else { return self.other(item) };
        let amount = self.amount(item);
        self.named(item, kind, identity, amount)
    }

    /// Money that is taken after it was set aside. Where a payment is taken in one piece, it is the payment's fact; in
    /// parts, each is one of its own.
    fn capture(&mut self, item: &Item<'_>) -> Fact {
        let own = self.identity(item, "pspReference", item.psp_reference);
        let payment = self.original(item);
        let (Some(own), Some(payment)) = (own, payment) else { return self.other(item) };
        let amount = self.amount(item);
        let (identity, aliases) =
            if self.config.capture == Capture::InParts { (own, Vec::new()) } else { (payment, vec![own]) };
        Fact { aliases, ..self.named(item, EventKind::PaymentSucceeded, identity, amount) }
    }

    /// The end of a payment that no money came of: of the original one, or of what never was one.
    /// Taken in parts, a part of it may be paid: that the rest will not be taken is no end which we have a word for.
    fn closed(&mut self, item: &Item<'_>) -> Fact {
        if self.config.capture == Capture::InParts {
            self.concern(Concern::Ambiguous { field: item.path("eventCode") });
            return self.other(item);
        }
        let (field, number) = match item.original_reference {
            "" => ("pspReference", item.psp_reference),
            original => ("originalReference", original),
        };
        let Some(identity) = self.identity(item, field, number) else { return self.other(item) };
        self.named(item, EventKind::PaymentClosed, identity, Amount::None)
    }

    /// A refund or dispute of a payment, by its own number; a dispute's with its state.
    fn following(&mut self, item: &Item<'_>, kind: EventKind, state: Option<&str>) -> Fact {
        let name = match state {
            Some(state) => format!("{}:{state}", item.psp_reference),
            None => item.psp_reference.to_owned(),
        };
        let Some(identity) = self.identity(item, "pspReference", &name) else { return self.other(item) };
        // Where a payment is taken in parts it has no fact of its own that anything could wait for.
        let is_in_parts = self.config.capture == Capture::InParts;
        let payment = if is_in_parts { None } else { self.original(item) };
        let amount = self.amount(item);
        Fact { payment, ..self.named(item, kind, identity, amount) }
    }

    /// Money to somebody else's account.
    fn payout(&mut self, item: &Item<'_>, kind: EventKind) -> Fact {
        let (field, number) = match item.original_reference {
            "" => ("pspReference", item.psp_reference),
            original => ("originalReference", original),
        };
        let Some(identity) = self.identity(item, field, number) else { return self.other(item) };
        let amount = self.amount(item);
        self.named(item, kind, identity, amount)
    }

    fn named(&mut self, item: &Item<'_>, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        let order_no = Some(item.merchant_reference).filter(|text| !text.is_empty());
        let too_long = order_no.is_some_and(|text| text.len() > NAME_BYTES_MAX);
        if too_long {
            let value = quote(item.merchant_reference);
            self.concern(Concern::UnknownValue { field: item.path("merchantReference"), value });
        }
        Fact {
            order_no: order_no.filter(|_| !too_long).map(str::to_owned),
            platform_no: Some(item.psp_reference.to_owned()),
            ..self.bare(item, kind, identity, amount)
        }
    }

    /// Genuine, and without a money meaning that we know.
    fn other(&self, item: &Item<'_>) -> Fact {
        let digest = || DigestHash::Sha256.hex_of(&[item.signed_text().as_bytes()], HexCase::Lower);
        let outcome = if item.is_success { "true" } else { "false" };
        let name = Identity::new(format!("{}:{}:{outcome}", item.psp_reference, item.event_code));
        let identity = name.or_else(|| Identity::new(digest())).expect("a digest is short and not empty");
        self.bare(item, EventKind::Other, identity, Amount::None)
    }

    /// No item has a time that is signed.
    fn bare(&self, item: &Item<'_>, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        Fact {
            kind,
            scope: self.scope(item.merchant_account),
            identity,
            aliases: Vec::new(),
            amount,
            order_no: None,
            platform_no: None,
            payee: None,
            occurred_at: None,
            payment: None,
            baseline: None,
        }
    }

    fn amount(&mut self, item: &Item<'_>) -> Amount {
        if let Ok(money) = super::amount::read(item.amount) {
            return Amount::Stated(money);
        }
        self.concern(Concern::UnreadableAmount { field: item.path("amount") });
        Amount::Unreadable
    }

    fn original(&mut self, item: &Item<'_>) -> Option<Identity> {
        if item.original_reference.is_empty() {
            self.concern(Concern::MissingField { field: item.path("originalReference") });
            return None;
        }
        self.identity(item, "originalReference", item.original_reference)
    }

    fn identity(&mut self, item: &Item<'_>, field: &str, name: &str) -> Option<Identity> {
        let identity = Identity::new(name);
        if identity.is_none() {
            self.concern(Concern::UnknownValue { field: item.path(field), value: quote(name) });
        }
        identity
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}
