//! What a proven event asserts. What cannot be understood becomes a concern, so that a person looks: the event is
//! genuine, and refusing it would lose money.

use super::FAMILY;
use super::amount::{self, Counted};
use super::settings::{Config, RefundsFrom};
use super::thin;
use crate::channel::quote;
use crate::json::Json;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{
    Amount, Concern, Environment, EventKind, Fact, Identity, Money, MoneyError, Notification, Scope, Series, Timestamp,
};
use crate::signature::digest::{DigestHash, HexCase};

/// What a snapshot event calls itself.
const EVENT: &str = "event";

/// How the types begin that are about money of orders. A type of these that is not known may have a meaning that we do
/// not know, and is held.
pub(super) const MONEY_FAMILIES: &[&str] = &["payment_intent.", "charge.", "checkout.session.", "refund.", "payout."];

/// Types of these families that change nothing that anybody should be told.
const NOTICES: &[&str] = &[
    "charge.updated",
    // It was made, and nobody has done anything with it yet.
    "payment_intent.created",
    "payout.created",
    "payout.updated",
    "payout.reconciliation_completed",
];

/// What happens to payments, as each of the three objects tells it.
const PAYMENT_INTENTS: &[&str] = &[
    "succeeded",
    "processing",
    "requires_action",
    "partially_funded",
    "canceled",
    "amount_capturable_updated",
    "payment_failed",
];
const CHARGES: &[&str] = &["succeeded", "captured", "pending", "expired", "failed"];
const SESSIONS: &[&str] = &["completed", "async_payment_succeeded", "async_payment_failed", "expired"];

/// States of a dispute that goes on, and of one that has ended.
const OPEN: &[&str] = &[
    "warning_needs_response",
    "warning_under_review",
    "needs_response",
    "under_review",
    "appeal_needs_response",
    "appeal_under_review",
];
const ENDED: &[&str] = &["won", "lost", "warning_closed", "prevented"];

/// The version of the API since which charges do not list their refunds (Stripe, changelog of 2022-11-15).
const REFUNDS_UNLISTED: &str = "2022-11-15";

/// The version of the API since which `PaymentIntent`s and charges do not name their invoice (changelog of 2025-03-31).
const INVOICES_UNNAMED: &str = "2025-03-31";

/// Reads an event whose signature was checked, null when it could not be read. `signed_at` is the time under the signature.
pub(super) fn read(config: &Config, event: &Json, body: &[u8], signed_at: Timestamp) -> Notification {
    let digest = || DigestHash::Sha256.hex_of(&[body], HexCase::Lower);
    let account = account(event).unwrap_or(&config.account).to_owned();
    let object = event.get("data").and_then(|data| data.get("object")).unwrap_or(&Json::Null);
    let mut reader = Reader::new(config, object, account, created(event));
    reader.version = text_of(event, "api_version");
    reader.platform_id = text_of(event, "id").filter(|id| id.len() <= NAME_BYTES_MAX).unwrap_or_else(digest);
    let kind = text_of(event, "type");
    if kind.is_none() && *event != Json::Null {
        reader.concern(Concern::UnreadableText { field: "type".into() });
    }
    if !config.is_own(&reader.scope.account) {
        reader.concern(Concern::ForeignPayee { payee: quote(&reader.scope.account) });
    }
    if *event != Json::Null {
        reader.check_environment(event);
        reader.check_account(event);
    }
    let facts = match (&kind, event.get("object").and_then(Json::text)) {
        (Some(kind), Some(EVENT)) => reader.facts(kind, event),
        (Some(kind), Some(thin::OBJECT)) => thin::facts(&mut reader, kind),
        (Some(_), object) => {
            let value = object.map(quote).unwrap_or_default();
            reader.concern(Concern::UnknownValue { field: "object".into(), value });
            vec![reader.other()]
        }
        (None, _) => vec![reader.other()],
    };
    Notification {
        scope: reader.scope,
        platform_id: reader.platform_id,
        platform_kind: quote(kind.as_deref().unwrap_or(EVENT)),
        sent_at: reader.at.or(Some(signed_at)),
        facts,
        concerns: reader.concerns,
    }
}

/// Reads an object that was asked about, as if the events of these types had told it. Its refunds may have come before
/// it was looked at, so it is no ground for their totals.
pub(super) fn read_object(config: &Config, object: &Json, platform_id: &str, kinds: &[&str]) -> Notification {
    let mut reader = Reader::new(config, object, config.account.clone(), None);
    platform_id.clone_into(&mut reader.platform_id);
    let mut facts: Vec<Fact> = kinds.iter().flat_map(|kind| reader.facts(kind, &Json::Null)).collect();
    for fact in &mut facts {
        fact.baseline = None;
    }
    Notification {
        scope: reader.scope,
        platform_id: reader.platform_id,
        platform_kind: quote(&kinds.join(", ")),
        sent_at: None,
        facts,
        concerns: reader.concerns,
    }
}

/// Whether an event or object is of this environment, as far as it says so.
pub(super) fn is_of(environment: Environment, event: &Json) -> bool {
    event.get("livemode") == Some(&Json::Flag(environment == Environment::Live))
}

/// Whether an object is an event of this platform.
pub(super) fn is_event(event: &Json) -> bool {
    let is_text = |name: &str| matches!(event.get(name), Some(Json::Text(_)));
    matches!(event.get("object").and_then(Json::text), Some(EVENT | thin::OBJECT)) && is_text("id") && is_text("type")
}

/// The connected account that an event is about; none when it is about the endpoint's own. Thin events call it a context,
/// which for an account within an organisation is a path.
pub(super) fn account(event: &Json) -> Option<&str> {
    let member = |name: &str| match event.get(name) {
        Some(Json::Text(text)) if !text.is_empty() && text.len() <= NAME_BYTES_MAX => Some(text.as_str()),
        _ => None,
    };
    let context = || member("context").map(|context| context.rsplit('/').next().unwrap_or(context));
    member("account").or_else(|| context().filter(|account| !account.is_empty()))
}

/// Seconds in a snapshot event, text in a thin one.
fn created(event: &Json) -> Option<Timestamp> {
    match event.get("created")? {
        Json::Number(text) => text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()),
        _ => thin::created(event),
    }
}

/// An event while it is read.
pub(super) struct Reader<'e> {
    config: &'e Config,
    /// `data.object`.
    object: &'e Json,
    scope: Scope,
    platform_id: String,
    at: Option<Timestamp>,
    /// Of the API by which the object is written: a date, and a word behind it in later ones.
    version: Option<String>,
    concerns: Vec<Concern>,
}

impl<'e> Reader<'e> {
    /// Nothing read yet.
    fn new(config: &'e Config, object: &'e Json, account: String, at: Option<Timestamp>) -> Self {
        let scope = Scope { environment: config.environment, family: FAMILY, account };
        Self { config, object, scope, platform_id: String::new(), at, version: None, concerns: Vec::new() }
    }

    fn facts(&mut self, kind: &str, event: &Json) -> Vec<Fact> {
        let split = MONEY_FAMILIES.iter().find_map(|family| Some((*family, kind.strip_prefix(family)?)));
        let Some((family, what)) = split.filter(|_| !NOTICES.contains(&kind)) else { return vec![self.other()] };
        let from = self.config.payments_from;
        let fact = match (family, what) {
            ("charge.", "refunded") => Some(self.charge_refunded()),
            ("charge.", "refund.updated") | ("refund.", "created" | "updated") => Some(self.refund(None)),
            ("refund.", "failed") => Some(self.refund(Some(EventKind::RefundFailed))),
            ("charge.", _) if what.starts_with("dispute.") => Some(self.dispute(kind, what)),
            ("payout.", _) => Some(self.payout(kind, what, event)),
            // Somebody else tells this payment.
            ("payment_intent.", _) if !from.payment_intent && PAYMENT_INTENTS.contains(&what) => {
                let is_paid = what == "succeeded";
                let is_told = from.charge && self.has("latest_charge");
                self.told_elsewhere(kind, is_paid && !is_told).or_else(|| self.payment_intent(what))
            }
            ("charge.", _) if !from.charge && CHARGES.contains(&what) => {
                let is_paid =
                    matches!(what, "succeeded" | "captured") && self.object.get("captured") != Some(&Json::Flag(false));
                let is_told = from.payment_intent && self.has("payment_intent");
                self.told_elsewhere(kind, is_paid && !is_told).or_else(|| self.charge(what))
            }
            ("checkout.session.", _) if !from.checkout_session && SESSIONS.contains(&what) => Some(vec![self.other()]),
            ("payment_intent.", _) => self.payment_intent(what),
            ("charge.", _) => self.charge(what),
            ("checkout.session.", _) => self.session(what),
            _ => None,
        };
        fact.unwrap_or_else(|| self.unknown("type", kind))
    }

    /// What another object tells, as far as `payments_from` says so. A payment that no object of those is sure to tell is
    /// told where its invoice ties it to the Checkout session (none here), as every renewal of a subscription is; without an
    /// invoice nobody can say whether a session tells it, and it is held.
    fn told_elsewhere(&mut self, kind: &str, is_untold: bool) -> Option<Vec<Fact>> {
        match is_untold {
            true if self.has("invoice") => None,
            true => Some(self.unknown("type", kind)),
            false => Some(vec![self.other()]),
        }
    }

    /// A `PaymentIntent`: the name of a payment. None when the type is not known.
    fn payment_intent(&mut self, what: &str) -> Option<Vec<Fact>> {
        Some(match what {
            "succeeded" => {
                if !self.says("status", "succeeded") {
                    return Some(vec![self.other()]);
                }
                let field = if self.object.get("amount_received").is_some() { "amount_received" } else { "amount" };
                let names = [self.identity("latest_charge"), self.identity("invoice")];
                self.paid("id", field, names)
            }
            "processing" | "requires_action" | "partially_funded" => {
                self.without_amount(EventKind::PaymentPending, "id", None)
            }
            "canceled" => self.without_amount(EventKind::PaymentClosed, "id", None),
            // Nothing is set aside any more: it was taken or given up, which is told by another type.
            "amount_capturable_updated" if self.number("amount_capturable") == Some("0") => vec![self.other()],
            "amount_capturable_updated" => self.authorized("id", "amount_capturable"),
            "payment_failed" => {
                let charge = self.failed_charge();
                self.failed(charge, "amount", "id")
            }
            _ => return None,
        })
    }

    /// A charge: one attempt to pay a `PaymentIntent`, or a payment of its own where there is none.
    fn charge(&mut self, what: &str) -> Option<Vec<Fact>> {
        let name = self.payment_name();
        let own = self.identity("id");
        Some(match what {
            "succeeded" | "captured" => match self.object.get("captured") {
                Some(Json::Flag(true)) => {
                    let field = if self.object.get("amount_captured").is_some() { "amount_captured" } else { "amount" };
                    let names = [own, self.identity("invoice")];
                    self.paid(name, field, names)
                }
                Some(Json::Flag(false)) if what == "succeeded" => self.authorized(name, "amount"),
                Some(Json::Flag(false)) => self.contradiction("captured"),
                _ => self.missing("captured"),
            },
            "pending" => self.without_amount(EventKind::PaymentPending, name, None),
            "expired" => self.without_amount(EventKind::PaymentClosed, name, own),
            "failed" => self.failed(own, "amount", name),
            _ => return None,
        })
    }

    /// A Checkout session: it has a `PaymentIntent` unless it is of a subscription, or expired before anybody paid.
    fn session(&mut self, what: &str) -> Option<Vec<Fact>> {
        let has_intent = self.has("payment_intent");
        let name = if has_intent { "payment_intent" } else { "id" };
        let own = self.identity("id");
        let status = self.text("payment_status");
        Some(match (what, status.as_deref()) {
            ("completed" | "async_payment_succeeded", Some("paid")) => {
                let from = self.config.payments_from;
                let is_told_twice = from.payment_intent || from.charge;
                if !has_intent && is_told_twice && !self.is_before(INVOICES_UNNAMED) {
                    // Nothing says that this is the payment which the PaymentIntent tells as well.
                    self.concern(Concern::MissingField { field: path("payment_intent") });
                }
                // Both name the invoice in older versions.
                let invoice = if has_intent { None } else { self.identity("invoice") };
                self.paid(name, "amount_total", [own, invoice])
            }
            // The buyer is done, the money is under way.
            ("completed", Some("unpaid")) => self.without_amount(EventKind::PaymentPending, name, own),
            // A trial, a card that was saved, or a price of nothing.
            ("completed", Some("no_payment_required")) => vec![self.other()],
            ("async_payment_succeeded", Some("unpaid" | "no_payment_required")) | ("expired", Some("paid")) => {
                self.contradiction("payment_status")
            }
            ("completed" | "async_payment_succeeded", Some(status)) => self.unknown("payment_status", status),
            ("completed" | "async_payment_succeeded", None) => self.missing("payment_status"),
            ("async_payment_failed", _) => self.failed(own, "amount_total", name),
            ("expired", _) => self.without_amount(EventKind::PaymentClosed, name, own),
            _ => return None,
        })
    }

    /// A refund with its own number, by its state.
    fn refund(&mut self, told: Option<EventKind>) -> Vec<Fact> {
        let status = self.text("status");
        // The charge tells it, by its number where it lists its refunds. A failure is told by nobody else.
        let is_told = self.config.refunds_from == RefundsFrom::Charge && !self.is_before(REFUNDS_UNLISTED);
        if is_told && told.is_none() && status.as_deref() == Some("succeeded") {
            return vec![self.other()];
        }
        let kind = match (status.as_deref(), told) {
            (Some("succeeded"), Some(_)) => return self.contradiction("status"),
            (_, Some(told)) => told,
            (Some("succeeded"), None) => EventKind::RefundSucceeded,
            (Some("failed" | "canceled"), None) => EventKind::RefundFailed,
            // Nothing has reached the payer yet.
            (Some("pending" | "requires_action"), None) => return vec![self.other()],
            (Some(status), None) => return self.unknown("status", status),
            (None, None) => return self.missing("status"),
        };
        let Some(identity) = self.identity("id") else { return self.missing("id") };
        let payment = self.payment();
        let amount = self.amount(self.object, "amount", Counted::Charge);
        vec![Fact { payment, ..self.fact(kind, identity, amount) }]
    }

    /// A charge of which something was given back, or an authorisation that was: of that no money had been taken.
    fn charge_refunded(&mut self) -> Vec<Fact> {
        match self.object.get("captured") {
            Some(Json::Flag(true)) => self.given_back(),
            Some(Json::Flag(false)) if self.config.payments_from.charge => {
                let (name, own) = (self.payment_name(), self.identity("id"));
                self.without_amount(EventKind::PaymentClosed, name, own)
            }
            Some(Json::Flag(false)) => vec![self.other()],
            _ => self.missing("captured"),
        }
    }

    /// It states a running total; where it lists the refunds as well ([`REFUNDS_UNLISTED`]), the latest of them is this one.
    fn given_back(&mut self) -> Vec<Fact> {
        let Some(payment) = self.payment_of_charge() else { return self.missing("id") };
        let total = match self.amount(self.object, "amount_refunded", Counted::Charge) {
            Amount::Stated(total) => Some(total),
            _ => None,
        };
        let listed = self.object.get("refunds").and_then(|refunds| refunds.get("data"));
        let latest = match listed {
            Some(Json::List(refunds)) => refunds.first(),
            _ => None,
        };
        let status = latest.and_then(|refund| text_of(refund, "status"));
        if status.is_some_and(|status| status != "succeeded") {
            // It is told again once it has reached the payer.
            return vec![self.other()];
        }
        let number = latest.and_then(|refund| text_of(refund, "id")).and_then(Identity::new);
        match (number, latest, self.config.refunds_from) {
            (Some(number), Some(refund), _) => {
                let amount = self.amount(refund, "amount", Counted::Charge);
                let fact = self.fact(EventKind::RefundSucceeded, number, amount);
                vec![Fact { payment: Some(payment), ..fact }]
            }
            (_, _, RefundsFrom::Refund) => vec![self.other()],
            (_, _, from) => {
                if from == RefundsFrom::Unsaid {
                    self.concern(Concern::MissingField { field: "data.object.refunds".into() });
                }
                let Some(total) = total else { return vec![self.other()] };
                let name = Identity::new(format!("{payment}:total:{}", total.minor));
                let Some(name) = name else { return self.unknown("id", payment.as_str()) };
                let amount = if self.is_taken_whole() {
                    Amount::Cumulative { series: Series(payment.clone()), total, is_numbered: false }
                } else {
                    // What was set aside and never taken counts as given back.
                    self.concern(Concern::UnreadableAmount { field: path("amount_refunded") });
                    Amount::Unreadable
                };
                let fact = self.fact(EventKind::RefundSucceeded, name, amount);
                vec![Fact { payment: Some(payment), platform_no: None, ..fact }]
            }
        }
    }

    /// A dispute, which is told anew in every state.
    fn dispute(&mut self, kind: &str, what: &str) -> Vec<Fact> {
        let Some(number) = self.identity("id") else { return self.missing("id") };
        let status = self.text("status");
        let Some(status) = status.as_deref() else { return self.missing("status") };
        if !OPEN.contains(&status) && !ENDED.contains(&status) {
            return self.unknown("status", status);
        }
        let (event, state) = match what {
            "dispute.created" => (EventKind::DisputeOpened, status),
            "dispute.updated" => (EventKind::DisputeUpdated, status),
            "dispute.funds_withdrawn" => (EventKind::DisputeUpdated, "funds_withdrawn"),
            "dispute.funds_reinstated" => (EventKind::DisputeUpdated, "funds_reinstated"),
            "dispute.closed" if OPEN.contains(&status) => return self.contradiction("status"),
            "dispute.closed" => (EventKind::DisputeClosed, status),
            _ => return self.unknown("type", kind),
        };
        let Some(identity) = Identity::new(format!("{number}:{state}")) else { return self.unknown("id", "") };
        let payment = self.payment();
        let amount = self.amount(self.object, "amount", Counted::Charge);
        vec![Fact { payment, ..self.fact(event, identity, amount) }]
    }

    /// Money on its way to the merchant's bank.
    fn payout(&mut self, kind: &str, what: &str, event: &Json) -> Vec<Fact> {
        let before = event.get("data").and_then(|data| data.get("previous_attributes"));
        let was_paid = before.and_then(|before| before.get("status")).and_then(Json::text) == Some("paid");
        let (event, status) = match what {
            "paid" => (EventKind::TransferSucceeded, "paid"),
            "failed" if was_paid => (EventKind::TransferReturned, "failed"),
            "failed" => (EventKind::TransferFailed, "failed"),
            "canceled" => (EventKind::TransferFailed, "canceled"),
            _ => return self.unknown("type", kind),
        };
        if !self.says("status", status) {
            return vec![self.other()];
        }
        let Some(identity) = self.identity("id") else { return self.missing("id") };
        let amount = self.amount(self.object, "amount", Counted::Payout);
        vec![self.fact(event, identity, amount)]
    }

    /// A payment under the name in `name`.
    fn paid(&mut self, name: &'static str, field: &'static str, others: [Option<Identity>; 2]) -> Vec<Fact> {
        let Some(identity) = self.identity(name) else { return self.missing(name) };
        let amount = self.amount(self.object, field, Counted::Charge);
        let is_untouched = self.is_taken_whole() && self.number("amount_refunded").is_none_or(|back| back == "0");
        let baseline = match &amount {
            Amount::Stated(money) if is_untouched => Some((Series(identity.clone()), money.currency)),
            _ => None,
        };
        let aliases = others.into_iter().flatten().filter(|alias| *alias != identity).collect();
        vec![Fact { aliases, baseline, ..self.fact(EventKind::PaymentSucceeded, identity, amount) }]
    }

    /// A state without money. A `PaymentIntent` may be given another amount until it is paid, so none is stated here.
    fn without_amount(&mut self, kind: EventKind, name: &'static str, alias: Option<Identity>) -> Vec<Fact> {
        let Some(identity) = self.identity(name) else { return self.missing(name) };
        let aliases = alias.into_iter().filter(|alias| *alias != identity).collect();
        vec![Fact { aliases, ..self.fact(kind, identity, Amount::None) }]
    }

    /// Money that is set aside. The sum may be raised later, which is another fact, so it is part of the name.
    fn authorized(&mut self, name: &'static str, field: &'static str) -> Vec<Fact> {
        let Some(payment) = self.identity(name) else { return self.missing(name) };
        let amount = self.amount(self.object, field, Counted::Charge);
        let sum = match &amount {
            Amount::Stated(money) => money.minor.to_string(),
            _ => self.platform_id.clone(),
        };
        let Some(identity) = Identity::new(format!("{payment}:{sum}")) else { return self.unknown(name, "") };
        vec![Fact { platform_no: self.name(name), ..self.fact(EventKind::PaymentAuthorized, identity, amount) }]
    }

    /// An attempt that failed: by its own number, else by the event's, since the same payment may be tried again.
    fn failed(&mut self, attempt: Option<Identity>, field: &'static str, payment: &'static str) -> Vec<Fact> {
        let identity = attempt.or_else(|| Identity::new(self.platform_id.clone()));
        let Some(identity) = identity else { return self.missing("id") };
        let amount = self.amount(self.object, field, Counted::Charge);
        vec![Fact { platform_no: self.name(payment), ..self.fact(EventKind::PaymentFailed, identity, amount) }]
    }

    /// The charge of an attempt that failed. One that failed before there was a charge leaves that of the attempt before it
    /// in `latest_charge`.
    fn failed_charge(&mut self) -> Option<Identity> {
        match self.object.get("last_payment_error") {
            Some(error @ Json::Object(_)) => text_of(error, "charge").and_then(Identity::new),
            _ => self.identity("latest_charge"),
        }
    }

    /// Whether all that was set aside was taken, as far as the object says so.
    fn is_taken_whole(&self) -> bool {
        let taken = self.number("amount_received").or(self.number("amount_captured"));
        taken.is_none_or(|taken| self.number("amount") == Some(taken))
    }

    /// The payment that a refund or dispute follows.
    fn payment(&mut self) -> Option<Identity> {
        let field = if self.has("payment_intent") { "payment_intent" } else { "charge" };
        let payment = self.identity(field);
        if payment.is_none() {
            self.concern(Concern::MissingField { field: path(field) });
        }
        payment
    }

    /// The member that names the payment which a charge belongs to, or is.
    fn payment_name(&self) -> &'static str {
        if self.has("payment_intent") { "payment_intent" } else { "id" }
    }

    fn payment_of_charge(&mut self) -> Option<Identity> {
        self.identity(self.payment_name())
    }

    /// A fact about the object.
    fn fact(&mut self, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        Fact {
            order_no: self.order_no(),
            platform_no: Some(identity.as_str().split(':').next().unwrap_or_default().to_owned()),
            ..self.bare(kind, identity, amount)
        }
    }

    fn bare(&self, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
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

    /// Genuine, and without a money meaning that we know.
    pub(super) fn other(&self) -> Fact {
        let identity = Identity::new(self.platform_id.clone()).expect("a name that is short and not empty");
        self.bare(EventKind::Other, identity, Amount::None)
    }

    /// Under the configured key in the object's metadata, else the reference of a Checkout session.
    fn order_no(&mut self) -> Option<String> {
        let key = self.config.order_key.as_str();
        let metadata = self.object.get("metadata");
        let found = metadata.and_then(|metadata| text_of(metadata, key));
        let found = found.or_else(|| self.text("client_reference_id"))?;
        if found.len() > NAME_BYTES_MAX {
            self.concern(Concern::UnknownValue { field: "data.object.metadata".into(), value: quote(&found) });
            return None;
        }
        Some(found)
    }

    /// An amount of an object, in the object's currency.
    fn amount(&mut self, object: &Json, field: &str, counted: Counted) -> Amount {
        if let Ok(money) = money(object, field, counted, self.config.has_three_decimals) {
            return Amount::Stated(money);
        }
        self.concern(Concern::UnreadableAmount { field: path(field) });
        Amount::Unreadable
    }

    /// A test event must ship nothing, and a live one must not be taken for a test.
    fn check_environment(&mut self, event: &Json) {
        let is_live = self.config.environment == Environment::Live;
        match event.get("livemode") {
            Some(Json::Flag(flag)) if *flag == is_live => {}
            Some(Json::Flag(_)) => self.concern(Concern::ForeignEnvironment { field: "livemode".into() }),
            _ => self.concern(Concern::MissingField { field: "livemode".into() }),
        }
    }

    /// An account that cannot be read is not taken for the endpoint's own.
    fn check_account(&mut self, event: &Json) {
        let is_there = !matches!(event.get("account"), None | Some(Json::Null));
        if is_there && account(event).is_none() {
            self.concern(Concern::UnreadableText { field: "account".into() });
        }
    }

    /// Whether the object is written by a version of the API from before this day.
    fn is_before(&self, day: &str) -> bool {
        self.version.as_deref().and_then(|version| version.get(..day.len())).is_some_and(|version| version < day)
    }

    /// Whether a member of the object says what the type says.
    fn says(&mut self, field: &str, expected: &str) -> bool {
        let found = self.text(field);
        match found.as_deref() {
            Some(found) if found == expected => return true,
            Some(_) => self.concern(Concern::Contradiction { field: path(field) }),
            None => self.concern(Concern::MissingField { field: path(field) }),
        }
        false
    }

    /// A name: the text, or the id of the object that stands there in its place.
    fn name(&mut self, field: &str) -> Option<String> {
        let found = match self.object.get(field)? {
            object @ Json::Object(_) => text_of(object, "id")?,
            _ => self.text(field)?,
        };
        if found.len() > NAME_BYTES_MAX {
            self.concern(Concern::UnknownValue { field: path(field), value: quote(&found) });
            return None;
        }
        Some(found)
    }

    fn identity(&mut self, field: &str) -> Option<Identity> {
        self.name(field).and_then(Identity::new)
    }

    fn has(&self, field: &str) -> bool {
        !matches!(self.object.get(field), None | Some(Json::Null))
    }

    /// A number of the object, as it is written.
    fn number(&self, field: &str) -> Option<&'e str> {
        match self.object.get(field)? {
            Json::Number(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// A text of the object; none when it is absent, null, blank or no text.
    fn text(&self, field: &str) -> Option<String> {
        text_of(self.object, field)
    }

    fn missing(&mut self, field: &str) -> Vec<Fact> {
        self.concern(Concern::MissingField { field: path(field) });
        vec![self.other()]
    }

    fn contradiction(&mut self, field: &str) -> Vec<Fact> {
        self.concern(Concern::Contradiction { field: path(field) });
        vec![self.other()]
    }

    fn unknown(&mut self, field: &str, value: &str) -> Vec<Fact> {
        let field = if field == "type" { field.to_owned() } else { path(field) };
        self.concern(Concern::UnknownValue { field, value: quote(value) });
        vec![self.other()]
    }

    /// Each concern once.
    pub(super) fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// A text of an object; none when it is absent, null, blank or no text.
fn text_of(object: &Json, field: &str) -> Option<String> {
    match object.get(field)? {
        Json::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Where a member of the object stands in the event.
fn path(field: &str) -> String {
    format!("data.object.{field}")
}

/// An integer beside its currency.
fn money(object: &Json, field: &str, counted: Counted, has_three: bool) -> Result<Money, MoneyError> {
    let (Some(Json::Number(text)), Some(Json::Text(code))) = (object.get(field), object.get("currency")) else {
        return Err(MoneyError::Shape);
    };
    amount::read(text, code, counted, has_three)
}
