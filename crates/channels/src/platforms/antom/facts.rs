//! What a proven notification asserts. What cannot be understood becomes a concern, so that a person looks: it is
//! genuine, and refusing it would lose money.

use super::FAMILY;
use super::header::iso;
use super::settings::{Capture, Config};
use crate::channel::quote;
use crate::json::Json;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Notification, Scope, Timestamp};
use crate::platforms::accounts::{Notice, parse};

/// Notifications about money, in the words of `notifyType`.
const PAYMENT: &str = "PAYMENT_RESULT";
const PENDING: &str = "PAYMENT_PENDING";
const CAPTURED: &str = "CAPTURE_RESULT";
const REFUND: &str = "REFUND_RESULT";

/// Another amount was authorised, or was not: nothing that anybody ships for.
const UPDATED: &str = "UPDATE_AMOUNT_RESULT";

/// Fields that say what a notification is about where `notifyType` does not.
const TYPE: &str = "notifyType";
const DISPUTE: &str = "disputeNotificationType";
const SUBSCRIPTION: &str = "subscriptionNotificationType";
const AUTHORIZATION: &str = "authorizationNotifyType";

const STATUS: &str = "result.resultStatus";

/// Methods of payment that follow a card's way of authorisation and capture.
const CARDS: &[&str] = &["CARD", "APPLEPAY", "GOOGLEPAY"];

/// What `paymentResultInfo` has for a card, and for nothing else.
const OF_A_CARD: &[&str] = &["cardNo", "cardBin", "cardBrand", "cardToken", "lastFour", "networkTransactionId"];

/// Before the merchant's own number of a refund, a capture or a subscription, which may look like one of Antom's.
const OWN: &str = "request:";

/// Before the number of a capture, which may look like a payment's.
const CAPTURE: &str = "capture:";

/// What a notification is called that has no word for it.
const UNNAMED: &str = "notification";

/// Whether a message has a field that says what a notification is about.
pub(super) fn is_notification(message: &Json) -> bool {
    const OTHERS: [&str; 3] = ["subscriptionId", "vaultingRequestId", "disputeId"];
    [TYPE, DISPUTE, SUBSCRIPTION, AUTHORIZATION].iter().chain(&OTHERS).any(|field| message.get(field).is_some())
}

/// Reads a notification whose signature was checked. `sent_at` is the time under it.
pub(super) fn read(config: &Config, client_id: &str, body: &[u8], sent_at: Timestamp) -> Notification {
    let (message, concern) = parse(body, "body");
    let scope = Scope { environment: config.environment, family: FAMILY, account: client_id.to_owned() };
    let mut reader = Reader { config, notice: Notice::new(&message, scope, "", body), message: &message };
    if let Some(concern) = concern {
        return reader.notice.unreadable(UNNAMED, concern);
    }
    let kind = reader.kind();
    let facts = match kind {
        Some(Kind::Payment) => reader.payment(),
        Some(Kind::Pending) => reader.pending(),
        Some(Kind::Capture) => reader.capture(),
        Some(Kind::Refund) => reader.refund(),
        Some(Kind::Dispute) => reader.dispute(),
        Some(Kind::Subscription) => reader.subscription(),
        Some(Kind::Kept) => vec![reader.notice.other()],
        None => reader.notice.not_understood(TYPE),
    };
    let words = [DISPUTE, SUBSCRIPTION, AUTHORIZATION, TYPE];
    let word = words.iter().find_map(|field| reader.notice.get(field)).unwrap_or(UNNAMED);
    reader.notice.finish(word, Some(sent_at), facts)
}

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Payment,
    Pending,
    Capture,
    Refund,
    Dispute,
    Subscription,
    /// Nothing about money that we tell.
    Kept,
}

/// A notification while it is read.
struct Reader<'m> {
    config: &'m Config,
    message: &'m Json,
    notice: Notice<'m>,
}

impl Reader<'_> {
    /// What it is about; none when no word of it is known. Disputes, subscriptions and authorisations have a field of
    /// their own for that; the payment of a subscription's period and a stored card have no word at all.
    fn kind(&mut self) -> Option<Kind> {
        let of_money = match self.notice.get(TYPE) {
            Some(PAYMENT) => Some(Kind::Payment),
            Some(PENDING) => Some(Kind::Pending),
            Some(CAPTURED) => Some(Kind::Capture),
            Some(REFUND) => Some(Kind::Refund),
            Some(UPDATED) => Some(Kind::Kept),
            _ => None,
        };
        let own = [(DISPUTE, Kind::Dispute), (SUBSCRIPTION, Kind::Subscription), (AUTHORIZATION, Kind::Kept)];
        let mut found = own.into_iter().filter(|(field, _)| self.notice.has(field));
        match (of_money, found.next(), found.next()) {
            (Some(kind), None, _) | (None, Some((_, kind)), None) => Some(kind),
            // Two kinds at once.
            (_, Some((field, _)), _) => {
                self.notice.contradiction(field);
                Some(Kind::Kept)
            }
            (None, None, _) if self.notice.has(TYPE) => None,
            (None, None, _) if self.notice.has("subscriptionId") && self.notice.has("paymentId") => Some(Kind::Payment),
            (None, None, _) if self.notice.has("vaultingRequestId") => Some(Kind::Kept),
            (None, None, _) => None,
        }
    }

    /// The end of a payment, or of a card's authorisation.
    fn payment(&mut self) -> Vec<Fact> {
        let kind = match self.notice.get(STATUS) {
            Some("S") => self.taken(),
            Some("F") => EventKind::PaymentFailed,
            Some("U") => EventKind::PaymentPending,
            _ => return self.notice.not_understood(STATUS),
        };
        self.of_payment(kind)
    }

    /// The buyer has done what was to do, and the money is under way.
    fn pending(&mut self) -> Vec<Fact> {
        let kind = match self.notice.get(STATUS) {
            Some("S" | "U") => EventKind::PaymentPending,
            Some("F") => EventKind::PaymentFailed,
            _ => return self.notice.not_understood(STATUS),
        };
        self.of_payment(kind)
    }

    fn of_payment(&mut self, kind: EventKind) -> Vec<Fact> {
        let Some(identity) = self.identity("paymentId", "") else { return vec![self.notice.other()] };
        self.call(PAYMENT, &[identity.as_str(), kind.as_str()]);
        // The payment of one period has the subscription's number alone, which is no order's: each period would pay for it.
        let order_no = self.notice.name("paymentRequestId");
        if order_no.is_none() && !self.notice.has("subscriptionId") {
            self.notice.missing("paymentRequestId");
        }
        let amount = self.amount("paymentAmount");
        let occurred_at = self.time("paymentTime").or_else(|| self.time("paymentCreateTime"));
        let platform_no = Some(identity.as_str().to_owned());
        vec![Fact { order_no, platform_no, occurred_at, ..self.notice.fact(kind, identity, amount) }]
    }

    /// Whether a payment that succeeded is paid, or only a card's authorisation. Where the method is not named, what is said
    /// of the payment beside its number is that of a card; where nothing is, nobody can say, and a person looks.
    fn taken(&mut self) -> EventKind {
        if self.config.capture == Capture::Immediate {
            return EventKind::PaymentSucceeded;
        }
        let method = self.notice.get("paymentMethodType");
        let is_told = match self.message.get("paymentResultInfo") {
            Some(Json::Object(members)) => members.iter().any(|(_, value)| *value != Json::Null),
            _ => false,
        };
        let is_card = self.notice.has("authExpiryTime")
            || method.is_some_and(|method| CARDS.contains(&method))
            || OF_A_CARD.iter().any(|field| self.notice.has(&format!("paymentResultInfo.{field}")))
            || (method.is_none() && is_told);
        if !is_card && method.is_none() {
            self.notice.missing("paymentMethodType");
        }
        if is_card { EventKind::PaymentAuthorized } else { EventKind::PaymentSucceeded }
    }

    /// The payment that a refund or dispute waits for. Where a card's payment is taken in parts it has no fact of its own.
    fn awaited(&self, payment: Option<Identity>) -> Option<Identity> {
        payment.filter(|_| self.config.capture != Capture::InParts)
    }

    /// A card's money. In one piece it is the payment's fact, in several each is one of its own.
    fn capture(&mut self) -> Vec<Fact> {
        let status = self.notice.get(STATUS);
        if !matches!(status, Some("S" | "F" | "U")) {
            return self.notice.not_understood(STATUS);
        }
        let is_success = status == Some("S");
        let own = self.identity("captureId", CAPTURE);
        let payment = self.identity("paymentId", "");
        let (Some(own), Some(payment)) = (own, payment) else { return vec![self.notice.other()] };
        self.call(CAPTURED, &[own.as_str(), status.unwrap_or_default()]);
        let amount = self.amount("captureAmount");
        let occurred_at = self.time("captureTime");
        let platform_no = Some(payment.as_str().to_owned());
        match (self.config.capture, is_success) {
            // What was told as paid is not paid again, and a capture that goes on is no news.
            (Capture::Immediate, true) => vec![self.notice.other()],
            _ if status == Some("U") => vec![self.notice.other()],
            // It was told as paid before. Whoever believes that must be told by a person.
            (Capture::Immediate, false) => {
                self.notice.contradiction(STATUS);
                let fact = self.notice.fact(EventKind::PaymentFailed, own, amount);
                vec![Fact { platform_no, occurred_at, ..fact }]
            }
            (Capture::InParts, true) => {
                let fact = self.notice.fact(EventKind::PaymentSucceeded, own, amount);
                vec![Fact { platform_no, occurred_at, ..fact }]
            }
            (Capture::Later, true) => {
                let fact = self.notice.fact(EventKind::PaymentSucceeded, payment, amount);
                vec![Fact { aliases: vec![own], platform_no, occurred_at, ..fact }]
            }
            (Capture::Later | Capture::InParts, false) => {
                let fact = self.notice.fact(EventKind::PaymentFailed, own, amount);
                vec![Fact { platform_no, occurred_at, ..fact }]
            }
        }
    }

    /// A refund, by `refundStatus`: the result says no more than that it was taken. What is asked for by transfer has two
    /// amounts, of which the payer's is the refund's.
    fn refund(&mut self) -> Vec<Fact> {
        let kind = match self.notice.get("refundStatus") {
            Some("SUCCESS") => EventKind::RefundSucceeded,
            Some("FAIL") => EventKind::RefundFailed,
            Some("PROCESSING" | "PENDING") => return vec![self.notice.other()],
            _ => return self.notice.not_understood("refundStatus"),
        };
        if kind == EventKind::RefundSucceeded && self.notice.get(STATUS) == Some("F") {
            self.notice.contradiction(STATUS);
        }
        let own = self.identity_if("refundRequestId", OWN);
        let Some(identity) = self.identity("refundId", "") else { return vec![self.notice.other()] };
        self.call(REFUND, &[identity.as_str(), kind.as_str()]);
        let field = if self.notice.has("refundAmount") { "refundAmount" } else { "refundToAmount" };
        let is_named = self.notice.has(field);
        let amount = if is_named { self.amount(field) } else { self.amount("refundAmount") };
        let payment = self.identity_if("paymentId", "");
        let payment = self.awaited(payment);
        let occurred_at = self.time("refundTime");
        let platform_no = Some(identity.as_str().to_owned());
        let aliases = own.into_iter().collect();
        vec![Fact { aliases, platform_no, occurred_at, payment, ..self.notice.fact(kind, identity, amount) }]
    }

    /// A dispute, by its type: each state is a fact of its own.
    fn dispute(&mut self) -> Vec<Fact> {
        let Some(word) = self.notice.get(DISPUTE) else { return self.notice.not_understood(DISPUTE) };
        let result = self.notice.get("disputeJudgedResult");
        let kind = match (word, result) {
            ("DISPUTE_CREATED", _) => EventKind::DisputeOpened,
            ("DEFENSE_SUPPLIED" | "DEFENSE_DUE_ALERT", _)
            // The papers were looked at; who pays is decided later.
            | ("DISPUTE_JUDGED", Some("VALIDATE_SUCCESS" | "VALIDATE_FAIL")) => EventKind::DisputeUpdated,
            ("DISPUTE_JUDGED", Some("ACCEPT_BY_CUSTOMER" | "ACCEPT_BY_MERCHANT"))
            | ("DISPUTE_CANCELLED" | "DISPUTE_ACCEPTED" | "RDR_RESOLVED", _) => EventKind::DisputeClosed,
            ("DISPUTE_JUDGED", _) => return self.notice.not_understood("disputeJudgedResult"),
            _ => return self.notice.not_understood(DISPUTE),
        };
        let is_judged = word == "DISPUTE_JUDGED";
        let state = if is_judged { format!("{word}:{}", result.unwrap_or_default()) } else { word.to_owned() };
        let Some(number) = self.notice.name("disputeId") else {
            self.notice.missing("disputeId");
            return vec![self.notice.other()];
        };
        let name = format!("{number}:{state}");
        let Some(identity) = Identity::new(name) else {
            self.notice.unknown("disputeId");
            return vec![self.notice.other()];
        };
        self.call(DISPUTE, &[identity.as_str()]);
        let judged = if is_judged { "disputeJudgedAmount" } else { "disputeAmount" };
        let field = if self.notice.has(judged) { judged } else { "disputeAmount" };
        // Only the first notice of a dispute is said to have one.
        let is_due = kind == EventKind::DisputeOpened || self.notice.has(field);
        let amount = if is_due { self.amount(field) } else { Amount::None };
        let times =
            ["disputeJudgedTime", "disputeCancelledTime", "disputeAcceptTime", "defenseSuppliedTime", "disputeTime"];
        let occurred_at = times.iter().find_map(|field| self.time(field));
        let payment = self.identity("paymentId", "");
        let payment = self.awaited(payment);
        let order_no = self.notice.name("paymentRequestId");
        let platform_no = Some(number);
        vec![Fact { order_no, platform_no, occurred_at, payment, ..self.notice.fact(kind, identity, amount) }]
    }

    /// An agreement that Antom may take money from time to time.
    fn subscription(&mut self) -> Vec<Fact> {
        let kind = match (self.notice.get(SUBSCRIPTION), self.notice.get("subscriptionStatus")) {
            (Some("CREATE"), Some("ACTIVE")) => EventKind::AgreementSigned,
            (Some("CANCEL" | "TERMINATE"), _) => EventKind::AgreementCancelled,
            (Some("CHANGE" | "UPDATE"), _) | (Some("CREATE"), Some("TERMINATED" | "CANCELLED")) => {
                return vec![self.notice.other()];
            }
            (Some("CREATE"), _) => return self.notice.not_understood("subscriptionStatus"),
            _ => return self.notice.not_understood(SUBSCRIPTION),
        };
        let own = self.identity_if("subscriptionRequestId", OWN);
        let Some(identity) = self.identity("subscriptionId", "") else { return vec![self.notice.other()] };
        self.call(SUBSCRIPTION, &[identity.as_str(), kind.as_str()]);
        let platform_no = Some(identity.as_str().to_owned());
        let aliases = own.into_iter().collect();
        let order_no = self.notice.name("subscriptionRequestId");
        let occurred_at = self.time("subscriptionStartTime").filter(|_| kind == EventKind::AgreementSigned);
        vec![Fact { aliases, order_no, platform_no, occurred_at, ..self.notice.fact(kind, identity, Amount::None) }]
    }

    /// Names the notification by what it says: Antom gives it no number, and sends a new time with each repetition.
    fn call(&mut self, what: &str, parts: &[&str]) {
        self.notice.call(format!("{what}:{}", parts.join(":")));
    }

    /// A name that must be there.
    fn identity(&mut self, field: &'static str, prefix: &str) -> Option<Identity> {
        if !self.notice.has(field) {
            self.notice.missing(field);
            return None;
        }
        self.notice.identity(field, prefix)
    }

    /// A name that may be missing.
    fn identity_if(&mut self, field: &'static str, prefix: &str) -> Option<Identity> {
        if self.notice.has(field) { self.notice.identity(field, prefix) } else { None }
    }

    /// `{currency, value}`, where the value is a text of digits: an integer of the currency's smallest unit (Antom, "Usage
    /// rules of the Amount object"), which is that of ISO 4217 for each of its currencies. A number of JSON is not what Antom
    /// writes.
    fn amount(&mut self, field: &'static str) -> Amount {
        if !self.notice.has(field) {
            self.notice.missing(field);
            return Amount::Unreadable;
        }
        if let Some(money) = self.message.get(field).and_then(money) {
            Amount::Stated(money)
        } else {
            self.notice.concern(Concern::UnreadableAmount { field: quote(field) });
            Amount::Unreadable
        }
    }

    fn time(&self, field: &str) -> Option<Timestamp> {
        self.notice.get(field).and_then(iso)
    }
}

fn money(amount: &Json) -> Option<Money> {
    let (Some(Json::Text(code)), Some(Json::Text(value))) = (amount.get("currency"), amount.get("value")) else {
        return None;
    };
    let is_code = code.bytes().all(|byte| byte.is_ascii_uppercase());
    let currency = Currency::parse(code).ok().filter(|_| is_code)?;
    Money::from_minor_text(value, currency).ok()
}
