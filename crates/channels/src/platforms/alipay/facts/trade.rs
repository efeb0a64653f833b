//! Trades: `trade_status_sync`.
//!
//! There is no message for a refund alone: a trade's message carries `refund_fee`, the total refunded so
//! far, and `gmt_refund`. So one message proves the payment, and the refund beside it.
//!
//! `refund_fee` alone proves nothing. It may stand directly behind the merchant's own text (`passback_params`) in the
//! signed string, which escapes nothing: that text could hold it, and whoever captured the message could cut it out. The
//! times of the payment and of the refund stand elsewhere, behind what Alipay writes itself, and genuine messages
//! carry them; so a refund needs `gmt_refund`, and a closed trade that was paid needs `gmt_payment`.

use super::{Reading, money};
use crate::model::{Amount, Currency, EventKind, Fact, Identity, Money, Series};

/// Fields that only a trade with a refund has. When none is there, the total refunded is zero.
const REFUND_SIGNS: &[&str] = &[
    "refund_fee",
    "gmt_refund",
    "refund_amount",
    "refund_status",
    "send_back_fee",
    "out_request_no",
    "dback_status",
    "dback_amount",
];

/// Those of them that speak of a refund that happened, while the total may be silent.
const REFUND_DETAILS: &[&str] = &["refund_amount", "refund_status", "dback_status", "dback_amount"];

/// The state of a single refund that went through; others are not documented for a notification.
const REFUNDED: &str = "REFUND_SUCCESS";

pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Fact> {
    let Some(trade_no) = reading.name("trade_no") else {
        reading.missing("trade_no");
        return vec![reading.other()];
    };
    let Some(payment) = reading.identity("trade_no", trade_no.clone()) else { return vec![reading.other()] };
    let Some(status) = reading.word("trade_status") else {
        reading.missing("trade_status");
        return vec![reading.other()];
    };
    let currency = currency(reading);
    let mut trade = Trade {
        total: amount(reading, currency, "total_amount"),
        order_no: reading.name("out_trade_no"),
        payee: reading.name("seller_id"),
        refund: refund(reading, currency, &status),
        currency,
        number: trade_no,
        payment,
    };
    if trade.total.is_none() && reading.get("total_amount").is_none() {
        reading.missing("total_amount");
    }
    if trade.order_no.is_none() {
        reading.missing("out_trade_no");
    }
    trade.check(reading, &status);
    match status.as_str() {
        "WAIT_BUYER_PAY" => vec![trade.fact(reading, EventKind::PaymentPending, "gmt_create")],
        "TRADE_SUCCESS" => trade.paid(reading),
        "TRADE_FINISHED" => {
            let mut facts = trade.paid(reading);
            let mut finalized = trade.fact(reading, EventKind::PaymentFinalized, "gmt_close");
            finalized.payment = Some(trade.payment.clone());
            facts.push(finalized);
            facts
        }
        // After a payment this is the end of a full refund; without one the buyer let it lapse.
        "TRADE_CLOSED" if trade.refund.is_some() => trade.paid(reading),
        "TRADE_CLOSED" => vec![trade.fact(reading, EventKind::PaymentClosed, "gmt_close")],
        _ => {
            reading.unknown("trade_status");
            trade.refund = None;
            vec![reading.other()]
        }
    }
}

/// One trade's message.
struct Trade {
    /// `trade_no`.
    number: String,
    payment: Identity,
    currency: Option<Currency>,
    total: Option<Money>,
    order_no: Option<String>,
    payee: Option<String>,
    refund: Option<Refund>,
}

/// What a message says about refunds.
struct Refund {
    /// `refund_fee`: all refunds of the trade so far; none when it cannot be read.
    total: Option<Money>,
    /// The merchant's number of the refund that caused this message.
    number: Option<String>,
    /// `gmt_refund` as written.
    time: Option<String>,
}

impl Trade {
    /// Looks for fields that contradict each other.
    fn check(&self, reading: &mut Reading<'_>, status: &str) {
        // Closed is the end of a full refund, or of an order that nobody paid (Alipay Open Platform, asynchronous
        // notification: trade states); a message that says both or neither is for a person.
        if status == "TRADE_CLOSED" {
            match (&self.refund, reading.get("gmt_payment")) {
                (Some(_), None) => reading.missing("gmt_payment"),
                (None, Some(_)) => reading.contradiction("gmt_payment"),
                _ => {}
            }
        }
        let Some(refund) = &self.refund else { return };
        if let (Some(refunded), Some(total)) = (refund.total, self.total)
            && refunded.minor > total.minor
        {
            reading.contradiction("refund_fee");
        }
        if refund.total.is_some_and(|refunded| refunded.minor == 0) || status == "WAIT_BUYER_PAY" {
            reading.contradiction(if refund.time.is_some() { "gmt_refund" } else { "refund_fee" });
        }
        if refund.time.is_none() {
            reading.missing("gmt_refund");
        }
    }

    /// A paid trade, and its refund where it has one.
    fn paid(&self, reading: &mut Reading<'_>) -> Vec<Fact> {
        let mut payment = self.fact(reading, EventKind::PaymentSucceeded, "gmt_payment");
        let Some(refund) = &self.refund else {
            if REFUND_SIGNS.iter().all(|sign| reading.get(sign).is_none_or(is_zero)) {
                payment.baseline = self.currency.map(|currency| (Series(self.payment.clone()), currency));
            }
            return vec![payment];
        };
        vec![payment, self.refund_fact(reading, refund)]
    }

    fn refund_fact(&self, reading: &mut Reading<'_>, refund: &Refund) -> Fact {
        let number = refund
            .number
            .as_ref()
            .and_then(|number| reading.identity("out_request_no", format!("{}:no:{number}", self.number)));
        let total = refund.total.filter(|total| total.minor > 0);
        let by_total = total.and_then(|total| Identity::new(format!("{}:total:{}", self.number, total.minor)));
        let is_numbered = number.is_some();
        let mut names = by_total.into_iter().chain(number);
        // Nothing that names the refund can be read; it is held, under its time or its message.
        let identity = names.next().or_else(|| {
            let time = refund.time.as_ref();
            time.and_then(|time| Identity::new(format!("{}:at:{time}", self.number)))
        });
        let identity = identity.unwrap_or_else(|| reading.other().identity);
        let amount = match total {
            Some(total) => Amount::Cumulative { series: Series(self.payment.clone()), total, is_numbered },
            None => Amount::Unreadable,
        };
        let mut fact = self.fact(reading, EventKind::RefundSucceeded, "gmt_refund");
        fact.identity = identity;
        fact.aliases = names.collect();
        fact.amount = amount;
        fact.payment = Some(self.payment.clone());
        fact
    }

    /// A fact under the payment's own number and amount.
    fn fact(&self, reading: &Reading<'_>, kind: EventKind, time: &str) -> Fact {
        let amount = self.total.map_or(Amount::Unreadable, Amount::Stated);
        let mut fact = reading.fact(kind, self.payment.clone(), amount);
        fact.platform_no = Some(self.number.clone());
        fact.order_no.clone_from(&self.order_no);
        fact.payee.clone_from(&self.payee);
        fact.occurred_at = reading.time(time);
        fact
    }
}

/// The refund that a message shows, by a total above zero or by its time.
fn refund(reading: &mut Reading<'_>, currency: Option<Currency>, status: &str) -> Option<Refund> {
    let total = amount(reading, currency, "refund_fee");
    let is_unreadable = total.is_none() && reading.get("refund_fee").is_some();
    let time = reading.word("gmt_refund");
    let is_refund = time.is_some() || is_unreadable || total.is_some_and(|total| total.minor > 0);
    if !is_refund {
        // Newer fields speak of a refund while the total is silent: neither proved nor excluded.
        if REFUND_DETAILS.iter().any(|sign| reading.get(sign).is_some_and(|v| !is_zero(v))) {
            reading.missing("refund_fee");
        }
        return None;
    }
    if total.is_none() && !is_unreadable {
        reading.missing("refund_fee");
    }
    check_details(reading, currency, total);
    // `out_request_no` is the refund's own number; `out_biz_no` repeats it on messages that a refund causes.
    // The end of the refund window is no refund: a number there may be an earlier one's, beside a later total.
    let is_caused_by_refund = status != "TRADE_FINISHED";
    let number = reading.word("out_request_no").or_else(|| reading.word("out_biz_no"));
    let number = number.filter(|_| is_caused_by_refund);
    Some(Refund { total, number, time })
}

/// The details of the single refund behind a message, against the total: a part cannot be more than the whole, and
/// a refund that did not go through cannot be in it.
fn check_details(reading: &mut Reading<'_>, currency: Option<Currency>, total: Option<Money>) {
    for field in ["refund_amount", "send_back_fee", "dback_amount"] {
        let part = amount(reading, currency, field);
        if part.zip(total).is_some_and(|(part, total)| part.minor > total.minor) {
            reading.contradiction(field);
        }
    }
    if reading.get("refund_status").is_some_and(|status| status != REFUNDED) {
        reading.unknown("refund_status");
    }
}

/// An amount of the trade; a concern when it is there and cannot be read.
fn amount(reading: &mut Reading<'_>, currency: Option<Currency>, field: &'static str) -> Option<Money> {
    let text = reading.get(field)?;
    let read = currency.and_then(|currency| money(text, currency).ok());
    if read.is_none() {
        reading.unreadable_amount(field);
    }
    read
}

/// CNY, unless the message names another one (`trans_currency`, cross-border trades: the currency in which
/// the order is priced). A word that is no currency leaves every amount unreadable.
fn currency(reading: &mut Reading<'_>) -> Option<Currency> {
    let Some(code) = reading.get("trans_currency") else { return Some(Currency::CNY) };
    let currency = Currency::parse(code).ok();
    if currency.is_none() {
        reading.unknown("trans_currency");
    }
    currency
}

fn is_zero(text: &str) -> bool {
    money(text, Currency::CNY).is_ok_and(|money| money.minor == 0)
}
