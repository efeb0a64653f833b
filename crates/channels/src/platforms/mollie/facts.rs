//! Facts of payments, refunds, chargebacks and payouts: the same entities in answers of the API and in events.

use super::api::scope_of;
use super::settings::{Config, OrderNo};
use crate::channel::quote;
use crate::json::Json;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, Environment, EventKind, Fact, Identity, Money, Scope, Timestamp};

/// Most refunds and chargebacks of one payment that are read; more of them are held.
pub(super) const EMBEDDED_MAX: usize = 250;

/// Somebody paid what a payment link asks for.
const LINK_PAID: &str = "payment-link.paid";

/// How the types of events begin that are about money of orders or payouts.
const MONEY: &[&str] = &[
    "payment.",
    LINK_PAID,
    "refund.",
    "chargeback.",
    "dispute.",
    "payout.completed",
    "payout.failed",
    "payout.canceled",
];

/// What the events are about that change nothing which anybody should be told: invoices of the merchant's own, the profile,
/// what is booked to the balance for things that are told by themselves, and the platform's test.
const QUIET: &[&str] = &["sales-invoice", "profile", "balance-transaction", "hook"];

/// A payout on its way.
const ON_ITS_WAY: &[&str] = &["payout.initiated", "payout.processing-at-bank"];

/// Whether a type of event is about money.
pub(super) fn is_money(kind: &str) -> bool {
    MONEY.iter().any(|family| kind.starts_with(family))
}

/// Whether a type of event, or the name of an entity that comes alone, is known to say nothing that anybody should be told.
pub(super) fn is_quiet(kind: &str) -> bool {
    ON_ITS_WAY.contains(&kind) || kind.split('.').next().is_some_and(|about| QUIET.contains(&about))
}

/// What an entity says.
#[derive(Default)]
pub(super) struct Told {
    pub(super) facts: Vec<Fact>,
    pub(super) concerns: Vec<Concern>,
}

/// Where everything of the profile is unique.
pub(super) fn scope(config: &Config) -> Scope {
    scope_of(&config.profile_id, config.environment)
}

/// The platform's word of an environment.
pub(super) fn environment_of(mode: &str) -> Option<Environment> {
    match mode {
        "live" => Some(Environment::Live),
        "test" => Some(Environment::Sandbox),
        _ => None,
    }
}

/// A time as the platform writes it (ISO 8601 with an offset).
pub(super) fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A text of the platform as a name, cut at a length that no genuine one has.
pub(super) fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_BYTES_MAX / 2).collect()
}

/// Something without a money meaning, under the name of its message.
pub(super) fn other(config: &Config, id: &str) -> Fact {
    Fact {
        kind: EventKind::Other,
        scope: scope(config),
        identity: Identity::new(bounded(id)).unwrap_or_else(|| Identity::new("-").expect("a name")),
        aliases: Vec::new(),
        amount: Amount::None,
        order_no: None,
        platform_no: None,
        payee: None,
        occurred_at: None,
        payment: None,
        baseline: None,
    }
}

/// An entity that came with an event. `kind` is the event's type.
pub(super) fn entity(config: &Config, kind: &str, entity: &Json, told: &mut Told) {
    if let Some(mode) = entity.get("mode").and_then(Json::text)
        && environment_of(mode) != Some(config.environment)
    {
        told.concerns.push(Concern::ForeignEnvironment { field: "mode".into() });
    }
    match entity.get("resource").and_then(Json::text) {
        Some("payment") => payment(config, entity, told),
        Some("refund") => refund(config, entity, None, told),
        Some("chargeback") => chargeback(config, entity, None, told),
        Some("payout") => payout(config, kind, entity, told),
        // Money came, and which payment brought it is not said; or it is about something that we do not know: a person
        // looks, since nothing else may tell it.
        _ if !is_quiet(kind) => {
            told.concerns.push(Concern::UnknownValue { field: "type".into(), value: quote(kind) });
            foreign_profile(config, entity, told);
        }
        _ => foreign_profile(config, entity, told),
    }
}

/// What belongs to another profile of the organisation is for a person to see.
fn foreign_profile(config: &Config, entity: &Json, told: &mut Told) {
    if let Some(profile) = entity.get("profileId").and_then(Json::text).filter(|profile| !profile.is_empty())
        && profile != config.profile_id
    {
        told.concerns.push(Concern::ForeignPayee { payee: quote(profile) });
    }
}

/// What belongs to a payment and stands in its refunds and chargebacks too.
struct Paid<'j> {
    id: &'j str,
    order_no: Option<String>,
}

/// A payment with what is embedded in it.
pub(super) fn payment(config: &Config, payment: &Json, told: &mut Told) {
    let text = |name: &str| payment.get(name).and_then(Json::text).filter(|text| !text.is_empty());
    let Some(id) = text("id") else { return missing("id", told) };
    foreign_profile(config, payment, told);
    let order_no = order_no(config, payment, told);
    let (kind, at) = match text("status") {
        // Made, and nobody has done anything with it yet.
        Some("open") => (None, None),
        Some("pending") => (Some(EventKind::PaymentPending), None),
        Some("authorized") => (Some(EventKind::PaymentAuthorized), text("authorizedAt")),
        Some("paid") => (Some(EventKind::PaymentSucceeded), text("paidAt")),
        Some("failed") => (Some(EventKind::PaymentFailed), text("failedAt")),
        Some("canceled") => (Some(EventKind::PaymentClosed), text("canceledAt")),
        Some("expired") => (Some(EventKind::PaymentClosed), text("expiredAt")),
        Some(status) => {
            told.concerns.push(Concern::UnknownValue { field: "status".into(), value: quote(status) });
            (Some(EventKind::Other), None)
        }
        None => {
            missing("status", told);
            (Some(EventKind::Other), None)
        }
    };
    if let Some(kind) = kind {
        let amount = if kind == EventKind::Other { Amount::None } else { amount(payment, "amount", told) };
        let is_captured = payment.get("amountCaptured").is_some_and(|captured| *captured != Json::Null);
        if kind == EventKind::PaymentSucceeded
            && is_captured
            && money(payment, "amountCaptured") != money(payment, "amount")
        {
            told.concerns.push(Concern::Contradiction { field: "amountCaptured".into() });
        }
        push(
            config,
            told,
            kind,
            id,
            amount,
            Named { order_no: order_no.clone(), payment: None, at: at.and_then(time) },
        );
    }
    let paid = Paid { id, order_no };
    for refunded in embedded(payment, "refunds", told) {
        refund(config, refunded, Some(&paid), told);
    }
    for charged in embedded(payment, "chargebacks", told) {
        chargeback(config, charged, Some(&paid), told);
    }
}

fn embedded<'j>(payment: &'j Json, name: &str, told: &mut Told) -> &'j [Json] {
    let Some(Json::List(list)) = payment.get("_embedded").and_then(|embedded| embedded.get(name)) else { return &[] };
    if list.len() > EMBEDDED_MAX {
        told.concerns.push(Concern::UnreadableText { field: name.to_owned() });
    }
    list.get(..EMBEDDED_MAX).unwrap_or(list)
}

/// A refund is told when it ended; before that nothing is certain.
fn refund(config: &Config, refund: &Json, paid: Option<&Paid<'_>>, told: &mut Told) {
    let text = |name: &str| refund.get(name).and_then(Json::text).filter(|text| !text.is_empty());
    let kind = match text("status") {
        Some("refunded") => EventKind::RefundSucceeded,
        Some("failed") => EventKind::RefundFailed,
        // A person took it back before any money moved.
        Some("queued" | "pending" | "processing" | "canceled") => return,
        Some(status) => {
            return told.concerns.push(Concern::UnknownValue { field: "refund.status".into(), value: quote(status) });
        }
        None => return missing("refund.status", told),
    };
    let Some(id) = text("id") else { return missing("refund.id", told) };
    let Some(payment) = text("paymentId").or(paid.map(|paid| paid.id)) else {
        return missing("refund.paymentId", told);
    };
    if paid.is_some_and(|paid| paid.id != payment) {
        told.concerns.push(Concern::Contradiction { field: "refund.paymentId".into() });
    }
    let amount = amount(refund, "amount", told);
    let order_no = paid.and_then(|paid| paid.order_no.clone());
    push(config, told, kind, id, amount, Named { order_no, payment: Some(payment), at: None });
}

/// A chargeback is a dispute that the payer's bank has decided; a reversed one has ended for the merchant.
fn chargeback(config: &Config, chargeback: &Json, paid: Option<&Paid<'_>>, told: &mut Told) {
    let text = |name: &str| chargeback.get(name).and_then(Json::text).filter(|text| !text.is_empty());
    let Some(id) = text("id") else { return missing("chargeback.id", told) };
    let Some(payment) = text("paymentId").or(paid.map(|paid| paid.id)) else {
        return missing("chargeback.paymentId", told);
    };
    if paid.is_some_and(|paid| paid.id != payment) {
        told.concerns.push(Concern::Contradiction { field: "chargeback.paymentId".into() });
    }
    let money = amount(chargeback, "amount", told);
    let order_no = || paid.and_then(|paid| paid.order_no.clone());
    let opened = Named { order_no: order_no(), payment: Some(payment), at: text("createdAt").and_then(time) };
    push(config, told, EventKind::DisputeOpened, id, money.clone(), opened);
    if let Some(reversed) = text("reversedAt") {
        let closed = Named { order_no: order_no(), payment: Some(payment), at: time(reversed) };
        push(config, told, EventKind::DisputeClosed, id, money, closed);
    }
}

/// Money on its way to the merchant's own bank. The event's type says how it stands.
fn payout(config: &Config, kind: &str, payout: &Json, told: &mut Told) {
    let text = |name: &str| payout.get(name).and_then(Json::text).filter(|text| !text.is_empty());
    let kind = match kind {
        "payout.completed" => EventKind::TransferSucceeded,
        "payout.failed" | "payout.canceled" => EventKind::TransferFailed,
        _ if is_quiet(kind) => return,
        _ => return told.concerns.push(Concern::UnknownValue { field: "type".into(), value: quote(kind) }),
    };
    let Some(id) = text("id") else { return missing("payout.id", told) };
    let amount = amount(payout, "amount", told);
    push(config, told, kind, id, amount, Named { order_no: None, payment: None, at: None });
}

/// What a fact carries beside its name and amount.
struct Named<'j> {
    order_no: Option<String>,
    payment: Option<&'j str>,
    at: Option<Timestamp>,
}

fn push(config: &Config, told: &mut Told, kind: EventKind, id: &str, amount: Amount, named: Named<'_>) {
    let Some(identity) = Identity::new(id) else { return missing("id", told) };
    let payment = match named.payment.map(Identity::new) {
        Some(None) => return missing("paymentId", told),
        Some(payment) => payment,
        None => None,
    };
    told.facts.push(Fact {
        kind,
        scope: scope(config),
        identity,
        aliases: Vec::new(),
        amount,
        order_no: named.order_no,
        platform_no: Some(id.to_owned()),
        payee: None,
        occurred_at: named.at,
        payment,
        baseline: None,
    });
}

fn missing(field: &str, told: &mut Told) {
    told.concerns.push(Concern::MissingField { field: field.to_owned() });
}

/// An amount of an entity, which a person must see where it cannot be read.
fn amount(entity: &Json, name: &str, told: &mut Told) -> Amount {
    if let Some(money) = money(entity, name) {
        return Amount::Stated(money);
    }
    told.concerns.push(Concern::UnreadableAmount { field: name.to_owned() });
    Amount::Unreadable
}

/// `{"currency":"EUR","value":"10.00"}`: exactly as many decimals as the currency has.
fn money(entity: &Json, name: &str) -> Option<Money> {
    let amount = entity.get(name)?;
    let currency = amount.get("currency")?.text()?;
    if !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let currency = Currency::parse(currency).ok()?;
    let Json::Text(value) = amount.get("value")? else { return None };
    let exponent = currency.iso_exponent();
    let decimals = value.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals != usize::from(exponent) {
        return None;
    }
    Money::from_decimal(value, currency, exponent).ok()
}

/// The merchant's order number; none where there is none at its place.
fn order_no(config: &Config, payment: &Json, told: &mut Told) -> Option<String> {
    let value = match &config.order_no {
        OrderNo::Description => payment.get("description"),
        OrderNo::Metadata => payment.get("metadata"),
        OrderNo::MetadataMember(name) => payment.get("metadata").and_then(|metadata| metadata.get(name)),
    };
    let text = value.and_then(Json::text).filter(|text| !text.is_empty())?;
    if text.len() > NAME_BYTES_MAX {
        told.concerns.push(Concern::UnreadableText { field: "order_number".into() });
        return None;
    }
    Some(text.to_owned())
}
