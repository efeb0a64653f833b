//! What a proven JD Pay message asserts (JD Pay, "asynchronous notification"). What is genuine is never refused here: a
//! value that cannot be understood becomes a [`Concern`], and a person looks.
//!
//! The notice carries no number of the platform. A payment is named by the merchant's `tradeNum`, which is unique among
//! the merchant's trades; a refund by its own `tradeNum`, and it names its payment as `oTradeNum`.

use aws_lc_rs::digest;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::envelope::{RESULT_OK, Signed};
use super::settings::Config;
use super::{FAMILY, payout};
use crate::channel::quote;
use crate::form::Form;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Identity, Money, Notification, Scope, Timestamp};
use crate::signature::key::hex;
use crate::xml::Nested;

/// China has kept one zone without summer time since 1991.
const BEIJING: Offset = Offset::constant(8);

/// The means of payment of a trade.
const MEANS: &str = "payList/pay";

const TRADE_TIME: &str = "tradeTime";

/// Digits of a time: `yyyyMMddHHmmss`.
const TIME_DIGITS: usize = 14;

/// The state of a payment that happened. Others are created, under way, failed and closed.
const PAID: &str = "2";

/// The state of a refund that happened, as genuine refund notices have it. A merchant's program calls 2 a failure here, so it
/// is held.
const REFUNDED: &str = "1";

/// Reads a notice whose signature was checked, from the text that it covers.
pub(super) fn read(config: &Config, signed: &Signed) -> Notification {
    let mut reading = Reading::new(config, &signed.document, signed.text.as_bytes());
    reading.check_merchant();
    let fact = reading.trade().unwrap_or_else(|| other(&reading.scope, &reading.text_name));
    reading.finish(fact)
}

/// Reads a payout notice whose digest was checked. What its fields mean is not known, so it is told and not read.
pub(super) fn read_payout(config: &Config, form: &Form<'_>, signed: &[u8]) -> Notification {
    let scope = Scope { environment: config.environment, family: FAMILY, account: config.merchant.clone() };
    let name = format!("payout:{}", sha256(signed));
    let ambiguous = payout::ambiguous_field(form).map(|name| quote(&String::from_utf8_lossy(name)));
    Notification {
        facts: vec![other(&scope, &name)],
        scope,
        platform_id: name,
        platform_kind: "payout".to_owned(),
        sent_at: None,
        concerns: ambiguous.map(|field| Concern::Ambiguous { field }).into_iter().collect(),
    }
}

/// Genuine, and without a money meaning that we know.
fn other(scope: &Scope, name: &str) -> Fact {
    let identity = Identity::new(name).expect("a word and a digest are a short text");
    fact(EventKind::Other, scope.clone(), identity, Amount::None)
}

fn fact(kind: EventKind, scope: Scope, identity: Identity, amount: Amount) -> Fact {
    Fact {
        kind,
        scope,
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

fn sha256(text: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, text).as_ref())
}

/// A message while it is read.
struct Reading<'a> {
    config: &'a Config,
    document: &'a Nested,
    concerns: Vec<Concern>,
    scope: Scope,
    /// Stands in for a name that the message does not have.
    text_name: String,
}

impl<'a> Reading<'a> {
    fn new(config: &'a Config, document: &'a Nested, text: &[u8]) -> Self {
        let scope = Scope { environment: config.environment, family: FAMILY, account: config.merchant.clone() };
        Self { config, document, concerns: Vec::new(), scope, text_name: format!("notice:{}", sha256(text)) }
    }

    /// A genuine message about another merchant is not ours to refuse: it is kept under that merchant's account.
    fn check_merchant(&mut self) {
        match self.name("merchant") {
            Some(merchant) if merchant == self.config.merchant => {}
            Some(merchant) => {
                self.concern(Concern::ForeignPayee { payee: quote(&merchant) });
                self.scope.account = merchant;
            }
            None => self.missing("merchant"),
        }
    }

    /// The payment or refund; none when the message does not say that it happened, or not to what.
    fn trade(&mut self) -> Option<Fact> {
        // The result outside is not signed, so only this one says that the platform calls it a success.
        if self.required("result/code")? != RESULT_OK {
            self.unknown("result/code");
            return None;
        }
        let (kind, succeeded) = match self.required("tradeType")?.as_str() {
            "0" => (EventKind::PaymentSucceeded, PAID),
            "1" => (EventKind::RefundSucceeded, REFUNDED),
            _ => {
                self.unknown("tradeType");
                return None;
            }
        };
        if self.required("status")? != succeeded {
            self.unknown("status");
            return None;
        }
        let number = self.required("tradeNum")?;
        let amount = self.amount();
        let occurred_at = self.time();
        if kind == EventKind::PaymentSucceeded {
            let identity = self.identity("tradeNum", number.clone())?;
            let payee = Some(self.scope.account.clone());
            let fact = fact(kind, self.scope.clone(), identity, amount);
            return Some(Fact { order_no: Some(number), payee, occurred_at, ..fact });
        }
        // A refund may have the number of a payment, so its name says what it is.
        let identity = self.identity("tradeNum", format!("refund:{number}"))?;
        let order_no = self.required("oTradeNum");
        let payment = order_no.clone().and_then(|order_no| self.identity("oTradeNum", order_no));
        let fact = fact(kind, self.scope.clone(), identity, amount);
        Some(Fact { order_no, occurred_at, payment, ..fact })
    }

    fn finish(mut self, fact: Fact) -> Notification {
        // Without a time an old capture could not be told from a new message.
        let sent_at = self.time();
        if sent_at.is_none() {
            self.missing("tradeTime");
        }
        let get = |path: &str| if path == TRADE_TIME { self.told_time() } else { self.document.present(path) };
        let platform_kind = format!("tradeType {}", quote(get("tradeType").unwrap_or("?")));
        // The platform numbers its trades and not its notices. Time first: keys that arrive in order are cheap to keep.
        let parts = [TRADE_TIME, "tradeType", "tradeNum", "status"].map(get);
        let name = parts.into_iter().collect::<Option<Vec<&str>>>().map(|parts| parts.join("/"));
        let platform_id = name.filter(|name| name.len() <= NAME_BYTES_MAX).unwrap_or(self.text_name);
        Notification {
            scope: self.scope,
            platform_id,
            platform_kind,
            sent_at,
            facts: vec![fact],
            concerns: self.concerns,
        }
    }

    /// A text that must be there.
    fn required(&mut self, path: &str) -> Option<String> {
        let found = self.name(path);
        if found.is_none() {
            self.missing(path);
        }
        found
    }

    /// A number or a word; one that is longer than any platform writes is not taken, and a concern.
    fn name(&mut self, path: &str) -> Option<String> {
        let text = self.document.present(path)?;
        if text.len() > NAME_BYTES_MAX {
            self.unknown(path);
            return None;
        }
        Some(text.to_owned())
    }

    fn identity(&mut self, path: &str, text: String) -> Option<Identity> {
        let identity = Identity::new(text);
        if identity.is_none() {
            self.unknown(path);
        }
        identity
    }

    /// An integer of fen.
    fn amount(&mut self) -> Amount {
        let (Some(text), Some(code)) = (self.required("amount"), self.currency()) else {
            return Amount::Unreadable;
        };
        let Ok(currency) = Currency::parse(&code) else {
            self.concern(Concern::UnreadableAmount { field: "currency".into() });
            return Amount::Unreadable;
        };
        if let Ok(money) = Money::from_minor_text(&text, currency) {
            return Amount::Stated(money);
        }
        self.concern(Concern::UnreadableAmount { field: "amount".into() });
        Amount::Unreadable
    }

    /// That of the whole, or of every means of payment: payment notices have it there alone.
    fn currency(&mut self) -> Option<String> {
        if self.document.present("currency").is_some() {
            return self.name("currency");
        }
        let mut codes: Vec<&str> = self.of_means("currency").collect();
        codes.dedup();
        match codes.as_slice() {
            [] => self.missing("currency"),
            [code] => return Some((*code).to_owned()),
            _ => self.concern(Concern::Contradiction { field: format!("{MEANS}/currency") }),
        }
        None
    }

    /// What the means of payment say under a name.
    fn of_means(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let document: &'a Nested = self.document;
        let ends = format!("/{name}");
        let is_it = move |path: &str| {
            let inner = path.strip_prefix(MEANS).and_then(|rest| rest.strip_suffix(&ends));
            inner.is_some_and(|number| !number.contains('/'))
        };
        let texts = document.fields().iter().filter(move |(path, _)| is_it(path));
        texts.map(|(_, text)| text.as_str()).filter(|text| !text.trim().is_empty())
    }

    /// The time of the whole, or the last of the means of payment.
    fn told_time(&self) -> Option<&'a str> {
        let document: &'a Nested = self.document;
        document.present(TRADE_TIME).or_else(|| self.of_means(TRADE_TIME).max())
    }

    fn time(&self) -> Option<Timestamp> {
        self.told_time().and_then(read_time)
    }

    fn missing(&mut self, path: &str) {
        self.concern(Concern::MissingField { field: path.into() });
    }

    fn unknown(&mut self, path: &str) {
        let value = self.document.present(path).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: path.into(), value });
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// Reads `yyyyMMddHHmmss` of Beijing time.
fn read_time(text: &str) -> Option<Timestamp> {
    if text.len() != TIME_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    BEIJING.to_timestamp(DateTime::strptime("%Y%m%d%H%M%S", text).ok()?).ok()
}

/// The other way round.
#[cfg(feature = "simulate")]
pub(super) fn write_time(time: Timestamp) -> String {
    BEIJING.to_datetime(time).strftime("%Y%m%d%H%M%S").to_string()
}
