//! What a proven event asserts. What cannot be understood becomes a concern, so that a person looks: the event is
//! genuine, and refusing it would lose money.
//!
//! A payment is named by its capture. The order is no name of it: one order can be captured in parts, and those are
//! several payments.

use super::FAMILY;
use super::amount;
use super::settings::Config;
use crate::channel::quote;
use crate::json::Json;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::notification::TRANSMISSION;
use crate::model::{Amount, Concern, EventKind, Fact, Identity, Notification, Scope, Timestamp};

/// How the types begin that are about money of orders. A type of these that is not known may have a meaning that we do
/// not know, and is held.
const MONEY_FAMILIES: &[&str] = &["PAYMENT.", "CHECKOUT.", "CUSTOMER.DISPUTE.", "RISK."];

/// Types of these families that change nothing that anybody should be told: what they begin or sum up is told by other
/// types, or not decided yet.
const NOTICES: &[&str] = &[
    "CHECKOUT.ORDER.SAVED",
    "PAYMENT.ORDER.CREATED",
    "PAYMENT.REFUND.PENDING",
    "PAYMENT.PAYOUTSBATCH.PROCESSING",
    "PAYMENT.PAYOUTSBATCH.SUCCESS",
    "PAYMENT.PAYOUTSBATCH.DENIED",
    "PAYMENT.PAYOUTS-ITEM.UNCLAIMED",
    "PAYMENT.PAYOUTS-ITEM.HELD",
    "PAYMENT.PAYOUTS-ITEM.BLOCKED",
];

/// Longest list of purchase units or captures that is read; the platform allows ten units in an order.
const LIST_MAX: usize = 50;

/// The path of a capture, before its id, in a refund's link to it.
const CAPTURES: &str = "/v2/payments/captures/";

/// The transmission that brought a message, where nothing else vouches for it.
#[derive(Clone, Copy)]
pub(super) struct Sent<'r> {
    pub(super) id: &'r str,
    pub(super) at: Timestamp,
}

/// Reads an event, null when it could not be read. `alone` is the transmission where its signature is all the proof.
pub(super) fn read(config: &Config, event: &Json, platform_id: String, alone: Option<Sent<'_>>) -> Notification {
    let resource = event.get("resource").unwrap_or(&Json::Null);
    let event_id = name(event, "id").unwrap_or_else(|| platform_id.clone());
    let mut reader = Reader::new(config, resource, event_id, time(event, "create_time"));
    let kind = text(event, "event_type");
    if kind.is_none() && *event != Json::Null {
        reader.missing_at("event_type");
    }
    let mut facts = match &kind {
        Some(kind) => reader.facts(kind, text(event, "resource_type").as_deref()),
        None => vec![reader.other()],
    };
    // One transmission tells one thing: another body under its signature meets what the first one told.
    match (alone, facts.as_mut_slice()) {
        (Some(sent), [fact]) if fact.kind != EventKind::Other => {
            fact.aliases.extend(Identity::new(format!("{TRANSMISSION}{}", sent.id)));
        }
        // Several share no name, which would make them one: a person looks.
        (Some(_), [_, _, ..]) => reader.concern(Concern::Ambiguous { field: "resource".into() }),
        _ => {}
    }
    Notification {
        scope: reader.scope,
        platform_id,
        platform_kind: quote(kind.as_deref().unwrap_or("event")),
        sent_at: alone.map(|sent| sent.at),
        facts,
        concerns: reader.concerns,
    }
}

/// Whether an object is an event of this platform.
pub(super) fn is_event(event: &Json) -> bool {
    text(event, "id").is_some() && text(event, "event_type").is_some()
}

/// The account that an event says it is about, where it says so at once.
pub(super) fn merchant(event: &Json) -> Option<&str> {
    match event.get("resource")?.get("payee")?.get("merchant_id")? {
        Json::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// An event while it is read.
struct Reader<'e> {
    config: &'e Config,
    resource: &'e Json,
    scope: Scope,
    event_id: String,
    at: Option<Timestamp>,
    concerns: Vec<Concern>,
}

impl<'e> Reader<'e> {
    fn new(config: &'e Config, resource: &'e Json, event_id: String, at: Option<Timestamp>) -> Self {
        let account = config.account().to_owned();
        let scope = Scope { environment: config.environment, family: FAMILY, account };
        Self { config, resource, scope, event_id, at, concerns: Vec::new() }
    }

    fn facts(&mut self, kind: &str, resource_type: Option<&str>) -> Vec<Fact> {
        let resource = self.resource;
        match kind {
            "CHECKOUT.ORDER.APPROVED" => self.order(kind, &["APPROVED", "COMPLETED"]),
            "CHECKOUT.ORDER.COMPLETED" => self.order(kind, &["COMPLETED"]),
            "PAYMENT.AUTHORIZATION.CREATED" => self.authorized(),
            "PAYMENT.AUTHORIZATION.VOIDED" => self.bare_payment(EventKind::PaymentClosed, &["VOIDED"]),
            "PAYMENT.CAPTURE.PENDING" => self.bare_payment(EventKind::PaymentPending, &["PENDING"]),
            "PAYMENT.CAPTURE.COMPLETED" => self.captured(resource, "resource", None),
            "PAYMENT.CAPTURE.DECLINED" | "PAYMENT.CAPTURE.DENIED" => self.declined(),
            "PAYMENT.CAPTURE.REFUNDED" => self.refund(EventKind::RefundSucceeded, &["COMPLETED"], resource_type),
            "PAYMENT.CAPTURE.REVERSED" => {
                self.refund(EventKind::RefundSucceeded, &["COMPLETED", "REVERSED"], resource_type)
            }
            "PAYMENT.REFUND.FAILED" => self.refund(EventKind::RefundFailed, &["FAILED", "CANCELLED"], resource_type),
            "CUSTOMER.DISPUTE.CREATED" | "RISK.DISPUTE.CREATED" => self.dispute(EventKind::DisputeOpened),
            "CUSTOMER.DISPUTE.UPDATED" => self.dispute(EventKind::DisputeUpdated),
            "CUSTOMER.DISPUTE.RESOLVED" => self.dispute(EventKind::DisputeClosed),
            "PAYMENT.PAYOUTS-ITEM.SUCCEEDED" => self.payout(EventKind::TransferSucceeded, &["SUCCESS", "SUCCEEDED"]),
            "PAYMENT.PAYOUTS-ITEM.FAILED" => self.payout(EventKind::TransferFailed, &["FAILED"]),
            "PAYMENT.PAYOUTS-ITEM.DENIED" => self.payout(EventKind::TransferFailed, &["DENIED"]),
            "PAYMENT.PAYOUTS-ITEM.CANCELED" => self.payout(EventKind::TransferFailed, &["CANCELED", "CANCELLED"]),
            "PAYMENT.PAYOUTS-ITEM.RETURNED" => self.payout(EventKind::TransferReturned, &["RETURNED"]),
            "PAYMENT.PAYOUTS-ITEM.REFUNDED" => self.payout(EventKind::TransferReturned, &["REFUNDED"]),
            _ => {
                let is_money = MONEY_FAMILIES.iter().any(|family| kind.starts_with(family));
                if is_money && !NOTICES.contains(&kind) {
                    self.concern(Concern::UnknownValue { field: "event_type".into(), value: quote(kind) });
                }
                vec![self.other()]
            }
        }
    }

    /// A capture: money that the merchant has. What was refunded of it since does not undo that it was paid.
    /// In an order it leaves to its purchase unit what it does not say itself.
    fn captured(&mut self, capture: &Json, path: &str, unit: Option<&Json>) -> Vec<Fact> {
        if !self.says(capture, path, "status", &["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"]) {
            return vec![self.other()];
        }
        let Some(identity) = self.identity(capture, path, "id") else { return vec![self.other()] };
        let amount = self.amount(capture.get("amount"), &format!("{path}.amount"));
        let field = self.config.order_no.field();
        let of_unit = |name: &str| unit.and_then(|unit| unit.get(name));
        let order_no = self.order_no(capture, path, field);
        let order_no = order_no.or_else(|| self.order_no(unit?, "resource.purchase_units", field));
        let payee = self.payee(capture.get("payee").or_else(|| of_unit("payee")), path);
        let occurred_at = time(capture, "create_time").or(self.at);
        vec![Fact { order_no, payee, occurred_at, ..self.fact(EventKind::PaymentSucceeded, identity, amount) }]
    }

    /// A capture that was refused. The order can be paid by other means, so it is not the end.
    fn declined(&mut self) -> Vec<Fact> {
        let resource = self.resource;
        if !self.says(resource, "resource", "status", &["DECLINED", "DENIED", "FAILED"]) {
            return vec![self.other()];
        }
        let Some(identity) = self.identity(resource, "resource", "id") else { return vec![self.other()] };
        let amount = self.amount(resource.get("amount"), "resource.amount");
        let order_no = self.order_no(resource, "resource", self.config.order_no.field());
        let payee = self.payee(resource.get("payee"), "resource");
        vec![Fact { order_no, payee, ..self.fact(EventKind::PaymentFailed, identity, amount) }]
    }

    /// Money that is set aside.
    fn authorized(&mut self) -> Vec<Fact> {
        let resource = self.resource;
        if !self.says(resource, "resource", "status", &["CREATED", "PENDING", "CAPTURED", "PARTIALLY_CAPTURED"]) {
            return vec![self.other()];
        }
        let Some(identity) = self.identity(resource, "resource", "id") else { return vec![self.other()] };
        let amount = self.amount(resource.get("amount"), "resource.amount");
        let order_no = self.order_no(resource, "resource", self.config.order_no.field());
        let payee = self.payee(resource.get("payee"), "resource");
        vec![Fact { order_no, payee, ..self.fact(EventKind::PaymentAuthorized, identity, amount) }]
    }

    /// A payment that has no amount yet, or none any more.
    fn bare_payment(&mut self, kind: EventKind, statuses: &[&str]) -> Vec<Fact> {
        let resource = self.resource;
        if !self.says(resource, "resource", "status", statuses) {
            return vec![self.other()];
        }
        let Some(identity) = self.identity(resource, "resource", "id") else { return vec![self.other()] };
        let order_no = self.order_no(resource, "resource", self.config.order_no.field());
        let payee = self.payee(resource.get("payee"), "resource");
        vec![Fact { order_no, payee, ..self.fact(kind, identity, Amount::None) }]
    }

    /// An order: the payer agreed, and no money was taken; or, when it is completed, the captures in it.
    fn order(&mut self, kind: &str, statuses: &[&str]) -> Vec<Fact> {
        let resource = self.resource;
        if !self.says(resource, "resource", "status", statuses) {
            return vec![self.other()];
        }
        let Some(order) = self.identity(resource, "resource", "id") else { return vec![self.other()] };
        let units = match resource.get("purchase_units") {
            Some(Json::List(units)) if (1..=LIST_MAX).contains(&units.len()) => units.as_slice(),
            _ => {
                self.missing_at("resource.purchase_units");
                return vec![self.other()];
            }
        };
        let is_completed = kind == "CHECKOUT.ORDER.COMPLETED";
        let mut facts = Vec::new();
        for (at, unit) in units.iter().enumerate() {
            let path = format!("resource.purchase_units[{at}]");
            if is_completed {
                facts.extend(self.captures_of(unit, &path));
            } else {
                let own = if units.len() == 1 { order.as_str().to_owned() } else { format!("{order}:{at}") };
                facts.extend(self.approved(unit, &path, &own));
            }
        }
        if is_completed {
            facts = self.each_once(facts);
        }
        if facts.is_empty() {
            self.missing_at("resource.purchase_units");
            return vec![self.other()];
        }
        facts
    }

    fn approved(&mut self, unit: &Json, path: &str, own: &str) -> Option<Fact> {
        let identity = Identity::new(own)?;
        let amount = self.amount(unit.get("amount"), &format!("{path}.amount"));
        let order_no = self.order_no(unit, path, self.config.order_no.field());
        let payee = self.payee(unit.get("payee"), path);
        let platform_no = own.split(':').next().map(str::to_owned);
        Some(Fact { order_no, platform_no, payee, ..self.fact(EventKind::PaymentAuthorized, identity, amount) })
    }

    /// The captures of a purchase unit that have succeeded; each has an event of its own as well, under the same name.
    fn captures_of(&mut self, unit: &Json, path: &str) -> Vec<Fact> {
        let captures = match unit.get("payments").and_then(|payments| payments.get("captures")) {
            Some(Json::List(captures)) if captures.len() <= LIST_MAX => captures,
            Some(Json::List(_)) => {
                self.concern(Concern::UnreadableText { field: format!("{path}.payments.captures") });
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        let path = format!("{path}.payments.captures");
        let mut facts = Vec::new();
        for (at, capture) in captures.iter().enumerate() {
            // The others are told by events of their own.
            if matches!(text(capture, "status").as_deref(), Some("COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED")) {
                facts.extend(self.captured(capture, &format!("{path}[{at}]"), Some(unit)));
            }
        }
        facts
    }

    /// The captures of an order, of which one that stands there twice is told once, and looked at.
    fn each_once(&mut self, facts: Vec<Fact>) -> Vec<Fact> {
        let mut kept: Vec<Fact> = Vec::new();
        for fact in facts {
            if kept.iter().any(|known| known.kind == fact.kind && known.identity == fact.identity) {
                self.concern(Concern::Contradiction { field: "resource.purchase_units".into() });
            } else {
                kept.push(fact);
            }
        }
        kept
    }

    /// A refund, or what the platform took back. It has its own number, and links to its capture; where the object is the
    /// capture itself, the capture's number is the name of what was taken back from it.
    fn refund(&mut self, kind: EventKind, statuses: &[&str], resource_type: Option<&str>) -> Vec<Fact> {
        let resource = self.resource;
        if text(resource, "status").as_deref() == Some("PENDING") {
            // It is told again once it has reached the payer.
            return vec![self.other()];
        }
        if !self.says(resource, "resource", "status", statuses) {
            return vec![self.other()];
        }
        let Some(own) = self.identity(resource, "resource", "id") else { return vec![self.other()] };
        let (identity, payment) = if resource_type == Some("capture") {
            (Identity::new(format!("{own}:reversed")), Some(own))
        } else {
            let Ok(payment) = self.capture_of_refund() else { return vec![self.other()] };
            (Some(own), payment)
        };
        let Some(identity) = identity else { return vec![self.other()] };
        let amount = self.amount(resource.get("amount"), "resource.amount");
        let order_no = self.order_no(resource, "resource", self.config.order_no.field());
        let payee = self.payee(resource.get("payee"), "resource");
        vec![Fact { order_no, payee, payment, ..self.fact(kind, identity, amount) }]
    }

    /// The capture that a refund is of: among the related ids, or behind the link upwards. An error when they differ.
    fn capture_of_refund(&mut self) -> Result<Option<Identity>, ()> {
        let related = self.resource.get("supplementary_data").and_then(|data| data.get("related_ids"));
        let related = related.and_then(|ids| name(ids, "capture_id"));
        let links = match self.resource.get("links") {
            Some(Json::List(links)) => links.as_slice(),
            _ => &[],
        };
        let upwards = links.iter().take(LIST_MAX).filter(|link| text(link, "rel").as_deref() == Some("up"));
        let linked: Vec<String> = upwards.filter_map(|link| capture_behind(&text(link, "href")?)).collect();
        let mut found: Vec<String> = related.into_iter().chain(linked).collect();
        found.dedup();
        match found.as_slice() {
            [] => {
                self.missing_at("resource.links");
                Ok(None)
            }
            [one] => Ok(Identity::new(one.clone())),
            _ => {
                self.concern(Concern::Contradiction { field: "resource.links".into() });
                Err(())
            }
        }
    }

    /// A dispute: each state of it is one fact.
    fn dispute(&mut self, kind: EventKind) -> Vec<Fact> {
        let resource = self.resource;
        let Some(own) = self.identity(resource, "resource", "dispute_id") else { return vec![self.other()] };
        let Some(status) = text(resource, "status") else {
            self.missing_at("resource.status");
            return vec![self.other()];
        };
        let is_resolved = status == "RESOLVED";
        if is_resolved != (kind == EventKind::DisputeClosed) && kind != EventKind::DisputeUpdated {
            self.concern(Concern::Contradiction { field: "resource.status".into() });
            return vec![self.other()];
        }
        let identity = match kind {
            EventKind::DisputeUpdated => {
                let updated = text(resource, "update_time").unwrap_or_else(|| self.event_id.clone());
                Identity::new(format!("{own}:{status}:{updated}"))
            }
            _ => Some(own.clone()),
        };
        let Some(identity) = identity else {
            self.concern(Concern::UnknownValue { field: "resource.status".into(), value: quote(&status) });
            return vec![self.other()];
        };
        let amount = self.amount(resource.get("dispute_amount"), "resource.dispute_amount");
        let transaction = match resource.get("disputed_transactions") {
            // Of several payments none is the one.
            Some(Json::List(transactions)) if transactions.len() == 1 => &transactions[0],
            _ => &Json::Null,
        };
        let payment = name(transaction, "seller_transaction_id").and_then(Identity::new);
        if payment.is_none() {
            self.missing_at("resource.disputed_transactions");
        }
        let field = self.config.order_no.field_of_dispute();
        let order_no = self.order_no(transaction, "resource.disputed_transactions[0]", field);
        let payee = name(transaction.get("seller").unwrap_or(&Json::Null), "merchant_id");
        let payee = payee.map(|merchant| self.expected(merchant));
        let platform_no = Some(own.as_str().to_owned());
        vec![Fact { order_no, platform_no, payee, payment, ..self.fact(kind, identity, amount) }]
    }

    /// Money that the merchant pays out. Numbers of the merchant's own are unique within a batch only, so they are no name.
    fn payout(&mut self, kind: EventKind, statuses: &[&str]) -> Vec<Fact> {
        let resource = self.resource;
        if !self.says(resource, "resource", "transaction_status", statuses) {
            return vec![self.other()];
        }
        let Some(identity) = self.identity(resource, "resource", "payout_item_id") else { return vec![self.other()] };
        let item = resource.get("payout_item").unwrap_or(&Json::Null);
        let amount = self.amount(item.get("amount"), "resource.payout_item.amount");
        let order_no = self.order_no(item, "resource.payout_item", "sender_item_id");
        vec![Fact { order_no, ..self.fact(kind, identity, amount) }]
    }

    fn fact(&self, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        Fact {
            kind,
            scope: self.scope.clone(),
            platform_no: Some(identity.as_str().to_owned()),
            identity,
            aliases: Vec::new(),
            amount,
            order_no: None,
            payee: None,
            occurred_at: self.at,
            payment: None,
            baseline: None,
        }
    }

    /// Genuine, and without a money meaning that we know.
    fn other(&self) -> Fact {
        let identity = Identity::new(self.event_id.clone()).expect("a name that is short and not empty");
        Fact { platform_no: None, ..self.fact(EventKind::Other, identity, Amount::None) }
    }

    /// Who got the money, by its number with the platform. One that is not expected is a concern, and so is one that is
    /// named without its number. Where none is named at all, the webhook's own account is meant.
    fn payee(&mut self, payee: Option<&Json>, path: &str) -> Option<String> {
        let named = payee.filter(|payee| **payee != Json::Null);
        let merchant = name(named?, "merchant_id");
        if merchant.is_none() {
            self.missing_at(&format!("{path}.payee.merchant_id"));
        }
        merchant.map(|merchant| self.expected(merchant))
    }

    /// An account, which is a concern where money for it is not expected.
    fn expected(&mut self, merchant: String) -> String {
        if !self.config.is_own(&merchant) {
            self.concern(Concern::ForeignPayee { payee: quote(&merchant) });
        }
        merchant
    }

    fn order_no(&mut self, object: &Json, path: &str, field: &str) -> Option<String> {
        let found = text(object, field)?;
        if found.len() > NAME_BYTES_MAX {
            self.concern(Concern::UnknownValue { field: format!("{path}.{field}"), value: quote(&found) });
            return None;
        }
        Some(found)
    }

    fn amount(&mut self, amount: Option<&Json>, path: &str) -> Amount {
        if let Some(Ok(money)) = amount.map(amount::read) {
            return Amount::Stated(money);
        }
        self.concern(Concern::UnreadableAmount { field: path.to_owned() });
        Amount::Unreadable
    }

    /// Whether an object's state is one that its event's type can have.
    fn says(&mut self, object: &Json, path: &str, field: &str, expected: &[&str]) -> bool {
        let path = format!("{path}.{field}");
        match text(object, field) {
            Some(found) if expected.contains(&found.as_str()) => return true,
            Some(_) => self.concern(Concern::Contradiction { field: path }),
            None => self.missing_at(&path),
        }
        false
    }

    fn identity(&mut self, object: &Json, path: &str, field: &str) -> Option<Identity> {
        let identity = name(object, field).and_then(Identity::new);
        if identity.is_none() {
            self.missing_at(&format!("{path}.{field}"));
        }
        identity
    }

    fn missing_at(&mut self, path: &str) {
        self.concern(Concern::MissingField { field: path.to_owned() });
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// A text of an object; none when it is absent, null, blank or no text.
fn text(object: &Json, field: &str) -> Option<String> {
    match object.get(field)? {
        Json::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// A number of the platform's; none when it is longer than any, or could be two: `:` stands between the parts of names
/// that are made here.
fn name(object: &Json, field: &str) -> Option<String> {
    text(object, field).filter(|text| text.len() <= NAME_BYTES_MAX && !text.contains(':'))
}

fn time(object: &Json, field: &str) -> Option<Timestamp> {
    text(object, field).and_then(|text| text.parse().ok())
}

/// The capture at the end of a link.
fn capture_behind(link: &str) -> Option<String> {
    let (_, id) = link.split_once(CAPTURES)?;
    let is_plain = !id.is_empty() && id.len() <= NAME_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| id.to_owned())
}
