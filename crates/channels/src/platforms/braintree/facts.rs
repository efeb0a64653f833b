//! What a proven notification asserts. What cannot be understood becomes a concern, so that a person looks: the message is
//! genuine, and refusing it would lose money.
//!
//! Whether a transaction is paid is what its own state says: authorised, or on its way to the bank, is not paid.

use super::FAMILY;
use super::part::{Concerns, Part};
use super::settings::Config;
use crate::channel::quote;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, EventKind, Fact, Identity, Notification, Scope, Timestamp};
use crate::signature::digest::{DigestHash, HexCase};
use crate::xml::Tree;

/// Kinds that say nothing about money, or nothing that anybody should be told as a fact about it. The platform's own test
/// of an address (`check`) is one.
const NOTICES: &[&str] = &[
    "account_updater_daily_report",
    "check",
    "connected_merchant_paypal_status_changed",
    "connected_merchant_status_transitioned",
    "granted_payment_method_revoked",
    "grantor_updated_granted_payment_method",
    "oauth_access_revoked",
    "partner_merchant_connected",
    "partner_merchant_declined",
    "partner_merchant_disconnected",
    "payment_method_customer_data_updated",
    "payment_method_revoked_by_customer",
    "recipient_updated_granted_payment_method",
    "subscription_billing_skipped",
    "subscription_canceled",
    "subscription_expired",
    "subscription_trial_ended",
    "subscription_went_active",
    "subscription_went_past_due",
    "transaction_retried",
    "transaction_reviewed",
];

/// States of a dispute, by the kinds that tell them: the word behind `dispute_`, and the state that the dispute has then.
const DISPUTES: &[(&str, &str, EventKind)] = &[
    ("opened", "open", EventKind::DisputeOpened),
    ("under_review", "under_review", EventKind::DisputeUpdated),
    ("disputed", "disputed", EventKind::DisputeUpdated),
    // The time to answer is over; whether the money is lost for good, no document that we have says.
    ("expired", "expired", EventKind::DisputeUpdated),
    ("accepted", "accepted", EventKind::DisputeClosed),
    ("auto_accepted", "auto_accepted", EventKind::DisputeClosed),
    ("won", "won", EventKind::DisputeClosed),
    ("lost", "lost", EventKind::DisputeClosed),
];

/// What the number of a local payment has before it among the names of payments, so that it is never taken for that of a
/// transaction.
const LOCAL: &str = "local_payment:";

const SALE: &str = "sale";
const CREDIT: &str = "credit";
const SETTLED: &str = "settled";
const DECLINED: &str = "settlement_declined";

/// Reads a notification whose signature was checked.
pub(super) fn read(config: &Config, tree: &Tree, document: &[u8]) -> Notification {
    let mut concerns = Concerns::default();
    let root = Part::root(tree.root());
    let kind = root.required("kind", &mut concerns).unwrap_or_default();
    let written = root.required("timestamp", &mut concerns);
    let at: Option<Timestamp> = written.and_then(|text| text.parse().ok());
    if written.is_some() && at.is_none() {
        concerns.add(Concern::UnreadableText { field: "timestamp".into() });
    }
    let subject = root.part("subject", &mut concerns);
    let number = subject.as_ref().and_then(|subject| number(kind, subject, &mut concerns));
    let scope = Scope { environment: config.environment, family: FAMILY, account: config.merchant.clone() };
    let mut reader = Reader { config, scope, at, concerns, name: name(kind, number, at.and(written), document) };
    if let Some(merchant) = root.text("source-merchant-id", &mut reader.concerns)
        && merchant != config.merchant
    {
        reader.concerns.add(Concern::ForeignPayee { payee: quote(merchant) });
    }
    let facts = if let Some(subject) = &subject {
        reader.facts(kind, &root, subject)
    } else {
        root.lacks("subject", &mut reader.concerns);
        None
    };
    let facts = facts.unwrap_or_else(|| vec![reader.other()]);
    Notification {
        scope: reader.scope,
        platform_id: reader.name,
        platform_kind: if kind.is_empty() { "notification".to_owned() } else { quote(kind) },
        sent_at: at,
        facts,
        concerns: reader.concerns.into_list(),
    }
}

/// A message whose signature was checked and whose payload is no document that can be read: a person looks.
pub(super) fn unreadable(config: &Config, payload: &[u8]) -> Notification {
    let scope = Scope { environment: config.environment, family: FAMILY, account: config.merchant.clone() };
    let name = DigestHash::Sha256.hex_of(&[payload], HexCase::Lower);
    let reader = Reader { config, scope, at: None, concerns: Concerns::default(), name };
    let facts = vec![reader.other()];
    Notification {
        scope: reader.scope,
        platform_id: reader.name,
        platform_kind: "notification".to_owned(),
        sent_at: None,
        facts,
        concerns: vec![Concern::UnreadableText { field: super::payload::PAYLOAD.into() }],
    }
}

/// The number of what a kind is about; none where it has none.
fn number<'t>(kind: &str, subject: &Part<'t>, concerns: &mut Concerns) -> Option<&'t str> {
    let (part, name) = match kind {
        "local_payment_completed" => ("local-payment", "payment-id"),
        "local_payment_expired" => ("local-payment-expired", "payment-id"),
        "local_payment_funded" => ("local-payment-funded", "payment-id"),
        "local_payment_reversed" => ("local-payment-reversed", "payment-id"),
        "disbursement" | "disbursement_exception" => ("disbursement", "id"),
        "refund_failed" => ("transaction", "id"),
        "transaction_reviewed" => ("transaction-review", "transaction-id"),
        _ if kind.starts_with("transaction_") => ("transaction", "id"),
        _ if kind.starts_with("subscription_") => ("subscription", "id"),
        _ if kind.starts_with("dispute_") => ("dispute", "id"),
        _ => return None,
    };
    subject.part(part, concerns)?.text(name, concerns)
}

/// A notification has no number of its own: its moment, its kind and what it is about; the document's digest where one of
/// them is not there.
fn name(kind: &str, number: Option<&str>, at: Option<&str>, document: &[u8]) -> String {
    let whole = match (at, number) {
        (Some(at), Some(number)) => Some(format!("{at}:{kind}:{number}")),
        _ => None,
    };
    let digest = || DigestHash::Sha256.hex_of(&[document], HexCase::Lower);
    whole.filter(|name| name.len() <= NAME_BYTES_MAX).unwrap_or_else(|| match at.filter(|at| at.len() < 64) {
        Some(at) => format!("{at}:{}", digest()),
        None => digest(),
    })
}

struct Reader<'c> {
    config: &'c Config,
    scope: Scope,
    at: Option<Timestamp>,
    concerns: Concerns,
    name: String,
}

impl Reader<'_> {
    /// The facts of a kind; none when there is nothing in it that could be told.
    fn facts(&mut self, kind: &str, root: &Part<'_>, subject: &Part<'_>) -> Option<Vec<Fact>> {
        if NOTICES.contains(&kind) {
            return None;
        }
        let fact = match kind {
            // What has reached the merchant's bank was settled before.
            "transaction_settled" | "transaction_disbursed" => {
                let (paid, refunded) = (EventKind::PaymentSucceeded, EventKind::RefundSucceeded);
                self.transaction(subject, SETTLED, paid, refunded)
            }
            "transaction_settlement_declined" => {
                self.transaction(subject, DECLINED, EventKind::PaymentFailed, EventKind::RefundFailed)
            }
            "refund_failed" => self.refund_failed(subject),
            "local_payment_completed" => self.local_completed(subject),
            "local_payment_funded" => self.local_funded(subject),
            "local_payment_expired" => self.local_ended(subject, "local-payment-expired"),
            "local_payment_reversed" => {
                // It may have been settled, under the number of a transaction that this message does not have.
                root.contradicts("kind", &mut self.concerns);
                self.local_ended(subject, "local-payment-reversed")
            }
            "disbursement" => self.disbursement(subject, EventKind::TransferSucceeded, "true"),
            "disbursement_exception" => self.disbursement(subject, EventKind::TransferFailed, "false"),
            "subscription_charged_successfully" => self.charged(subject, Charge::Succeeded),
            "subscription_charged_unsuccessfully" => self.charged(subject, Charge::Failed),
            _ => {
                if let Some((word, state, event)) =
                    DISPUTES.iter().find(|(word, ..)| kind.strip_prefix("dispute_") == Some(word))
                {
                    self.dispute(subject, word, state, *event)
                } else {
                    // Its absence was noted before.
                    if !kind.is_empty() {
                        root.is_unknown("kind", kind, &mut self.concerns);
                    }
                    None
                }
            }
        };
        Some(vec![fact?])
    }

    fn part<'t>(&mut self, subject: &Part<'t>, name: &str) -> Option<Part<'t>> {
        let part = subject.part(name, &mut self.concerns);
        if part.is_none() {
            subject.lacks(name, &mut self.concerns);
        }
        part
    }

    /// Whether an element has the one value that fits.
    fn says(&mut self, part: &Part<'_>, name: &str, value: &str) -> bool {
        let found = part.required(name, &mut self.concerns);
        if found.is_some_and(|found| found != value) {
            part.contradicts(name, &mut self.concerns);
        }
        found == Some(value)
    }

    /// A transaction that is a payment or a refund, in its last state.
    fn transaction(
        &mut self,
        subject: &Part<'_>,
        state: &str,
        of_sale: EventKind,
        of_credit: EventKind,
    ) -> Option<Fact> {
        let transaction = self.part(subject, "transaction")?;
        if !self.says(&transaction, "status", state) {
            return None;
        }
        match transaction.required("type", &mut self.concerns)? {
            SALE => self.payment(&transaction, of_sale),
            CREDIT => self.refund(&transaction, of_credit),
            other => {
                transaction.is_unknown("type", other, &mut self.concerns);
                None
            }
        }
    }

    fn payment(&mut self, transaction: &Part<'_>, kind: EventKind) -> Option<Fact> {
        let identity = transaction.identity("id", &mut self.concerns)?;
        let amount = transaction.amount("amount", &mut self.concerns);
        Some(self.of_transaction(transaction, kind, identity, amount))
    }

    fn refund(&mut self, transaction: &Part<'_>, kind: EventKind) -> Option<Fact> {
        // Without it, money went to somebody who had not paid it.
        let payment = transaction.identity("refunded-transaction-id", &mut self.concerns);
        let identity = transaction.identity("id", &mut self.concerns)?;
        let amount = transaction.amount("amount", &mut self.concerns);
        Some(Fact { payment, ..self.of_transaction(transaction, kind, identity, amount) })
    }

    fn refund_failed(&mut self, subject: &Part<'_>) -> Option<Fact> {
        let transaction = self.part(subject, "transaction")?;
        // The kind says it all; a transaction that says that it is a payment is another one.
        let found = transaction.text("type", &mut self.concerns);
        if found.is_some_and(|found| found != CREDIT) {
            transaction.contradicts("type", &mut self.concerns);
            return None;
        }
        self.refund(&transaction, EventKind::RefundFailed)
    }

    /// The payer has agreed; the merchant has to take the money yet.
    fn local_completed(&mut self, subject: &Part<'_>) -> Option<Fact> {
        let local = self.part(subject, "local-payment")?;
        let own = self.local(&local)?;
        let Some(transaction) = local.part("transaction", &mut self.concerns) else {
            return Some(self.of_local(&local, EventKind::PaymentPending, own));
        };
        let number = transaction.identity("id", &mut self.concerns)?;
        let amount = transaction.amount("amount", &mut self.concerns);
        let fact = self.of_transaction(&transaction, EventKind::PaymentPending, number, amount);
        Some(Fact { aliases: vec![own], ..fact })
    }

    fn local_funded(&mut self, subject: &Part<'_>) -> Option<Fact> {
        let local = self.part(subject, "local-payment-funded")?;
        let own = self.local(&local)?;
        let transaction = self.part(&local, "transaction")?;
        if !self.says(&transaction, "status", SETTLED) || !self.is_sale(&transaction) {
            return None;
        }
        let fact = self.payment(&transaction, EventKind::PaymentSucceeded)?;
        Some(Fact { aliases: vec![own], ..fact })
    }

    /// Expired before it was paid, or gone back to the payer.
    fn local_ended(&mut self, subject: &Part<'_>, name: &str) -> Option<Fact> {
        let local = self.part(subject, name)?;
        let own = self.local(&local)?;
        Some(self.of_local(&local, EventKind::PaymentClosed, own))
    }

    /// A local payment that has no transaction, and so no amount.
    fn of_local(&mut self, local: &Part<'_>, kind: EventKind, identity: Identity) -> Fact {
        let platform_no = local.name(LOCAL_NUMBER, &mut self.concerns).map(str::to_owned);
        Fact { platform_no, ..self.bare(kind, identity, Amount::None) }
    }

    fn local(&mut self, local: &Part<'_>) -> Option<Identity> {
        let number = local.required(LOCAL_NUMBER, &mut self.concerns)?;
        let identity = Identity::new(format!("{LOCAL}{number}"));
        if identity.is_none() {
            local.is_unknown(LOCAL_NUMBER, number, &mut self.concerns);
        }
        identity
    }

    /// Where a transaction can be nothing else, it need not say what it is.
    fn is_sale(&mut self, transaction: &Part<'_>) -> bool {
        let is_sale = transaction.text("type", &mut self.concerns).is_none_or(|found| found == SALE);
        if !is_sale {
            transaction.contradicts("type", &mut self.concerns);
        }
        is_sale
    }

    /// The latest transaction of a subscription: the one that the message is about.
    fn charged(&mut self, subject: &Part<'_>, charge: Charge) -> Option<Fact> {
        let subscription = self.part(subject, "subscription")?;
        self.check_account(&subscription, ACCOUNT);
        let transaction = self.latest(&subscription)?;
        if !self.is_sale(&transaction) {
            return None;
        }
        let state = transaction.required("status", &mut self.concerns)?;
        let kind = match (charge, state) {
            (Charge::Succeeded, "authorizing" | "settlement_pending") => EventKind::PaymentPending,
            (Charge::Succeeded, "authorized" | "submitted_for_settlement" | "settling" | "settlement_confirmed") => {
                EventKind::PaymentAuthorized
            }
            (Charge::Succeeded, SETTLED) => EventKind::PaymentSucceeded,
            (Charge::Failed, "failed" | "gateway_rejected" | "processor_declined" | "settlement_failed" | DECLINED) => {
                EventKind::PaymentFailed
            }
            _ => {
                transaction.contradicts("status", &mut self.concerns);
                return None;
            }
        };
        self.payment(&transaction, kind)
    }

    /// Of several transactions, the one that was made last.
    fn latest<'t>(&mut self, subscription: &Part<'t>) -> Option<Part<'t>> {
        const LIST: &str = "transactions";
        let items = subscription.items(LIST, "transaction", &mut self.concerns);
        if items.len() < 2 {
            let only = items.into_iter().next();
            if only.is_none() {
                subscription.lacks(LIST, &mut self.concerns);
            }
            return only;
        }
        let times: Option<Vec<Timestamp>> =
            items.iter().map(|item| item.time("created-at", &mut self.concerns)).collect();
        let mut ordered: Vec<(Timestamp, Part<'t>)> = times.into_iter().flatten().zip(items).collect();
        ordered.sort_by_key(|(at, _)| *at);
        match ordered.as_slice() {
            [.., (before, _), (last, transaction)] if before < last => Some(transaction.clone()),
            _ => {
                self.concerns.add(Concern::Ambiguous { field: subscription.path(LIST) });
                None
            }
        }
    }

    /// A dispute's state: each is a fact of its own.
    fn dispute(&mut self, subject: &Part<'_>, word: &str, state: &str, kind: EventKind) -> Option<Fact> {
        const DISPUTED: &str = "amount-disputed";
        let dispute = self.part(subject, "dispute")?;
        let number = dispute.required("id", &mut self.concerns)?;
        if !self.says(&dispute, "status", state) {
            return None;
        }
        let Some(identity) = Identity::new(format!("{number}:{word}")) else {
            dispute.is_unknown("id", number, &mut self.concerns);
            return None;
        };
        // Older messages have the one, newer ones both.
        let field = if dispute.text(DISPUTED, &mut self.concerns).is_some() { DISPUTED } else { "amount" };
        let amount = dispute.amount(field, &mut self.concerns);
        let payee = self.check_account(&dispute, ACCOUNT);
        let transaction = self.part(&dispute, "transaction");
        let payment = transaction.as_ref().and_then(|transaction| transaction.identity("id", &mut self.concerns));
        let order_no = transaction.as_ref().and_then(|transaction| transaction.name(ORDER, &mut self.concerns));
        let platform_no = Some(number.to_owned());
        let order_no = order_no.map(str::to_owned);
        Some(Fact { order_no, platform_no, payee, payment, ..self.bare(kind, identity, amount) })
    }

    /// Money to the merchant's bank.
    fn disbursement(&mut self, subject: &Part<'_>, kind: EventKind, success: &str) -> Option<Fact> {
        const TYPE: &str = "disbursement-type";
        let disbursement = self.part(subject, "disbursement")?;
        if !self.says(&disbursement, "success", success) {
            return None;
        }
        // Older messages do not say it. Money that is taken from the merchant's bank is nothing that we have a word for.
        if let Some(other) = disbursement.text(TYPE, &mut self.concerns).filter(|found| *found != CREDIT) {
            disbursement.is_unknown(TYPE, other, &mut self.concerns);
            return None;
        }
        let identity = disbursement.identity("id", &mut self.concerns)?;
        let account = self.part(&disbursement, "merchant-account")?;
        let payee = self.check_account(&account, "id");
        let currency = account.required("currency-iso-code", &mut self.concerns);
        let amount = disbursement.amount_of("amount", currency, &mut self.concerns);
        let platform_no = Some(identity.as_str().to_owned());
        Some(Fact { platform_no, payee, ..self.bare(kind, identity, amount) })
    }

    fn of_transaction(&mut self, part: &Part<'_>, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        let order_no = part.name(ORDER, &mut self.concerns).map(str::to_owned);
        let payee = self.check_account(part, ACCOUNT);
        let platform_no = Some(identity.as_str().to_owned());
        Fact { order_no, platform_no, payee, ..self.bare(kind, identity, amount) }
    }

    /// The merchant account that an element names. One that is not the channel's belongs to somebody else.
    fn check_account(&mut self, part: &Part<'_>, name: &str) -> Option<String> {
        let account = part.name(name, &mut self.concerns)?;
        if !self.config.is_own(account) {
            self.concerns.add(Concern::ForeignPayee { payee: quote(account) });
        }
        Some(account.to_owned())
    }

    /// Genuine, and without a money meaning that we know.
    fn other(&self) -> Fact {
        let identity = Identity::new(self.name.clone()).expect("a name that is short and not empty");
        self.bare(EventKind::Other, identity, Amount::None)
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
}

const LOCAL_NUMBER: &str = "payment-id";
const ACCOUNT: &str = "merchant-account-id";
const ORDER: &str = "order-id";

/// How the charge of a subscription went.
#[derive(Clone, Copy)]
enum Charge {
    Succeeded,
    Failed,
}
