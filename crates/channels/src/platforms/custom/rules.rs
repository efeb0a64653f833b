//! What a believed message says: which places hold its numbers, and which of its types means what.
//!
//! A value that the signature does not cover is refused as the source of anything that is said about money.

mod map;

use std::collections::{BTreeMap, BTreeSet};

use super::schema::Verify;
use super::template::{Place, Reference, Template};
use super::time::{Clock, Unit};
use crate::model::{Currency, EventKind};
use crate::settings::SettingsError;
use crate::settings::tree::{Keys, Node};

/// Most rules of one type, conditions of one rule, names of one fact.
const LIST_MAX: usize = 16;

/// Most decimals of any currency on any platform.
const EXPONENT_MAX: u64 = 8;

/// The rules of a channel.
#[derive(Debug)]
pub(super) struct Rules {
    /// The message's own number; empty for what the message itself gives.
    pub(super) id: Vec<Reference>,
    pub(super) kind: Reference,
    /// Where the account may stand in the message; compared with the channel's wherever it does.
    pub(super) account: Vec<Reference>,
    /// What each type means.
    pub(super) map: BTreeMap<String, Vec<Rule>>,
    /// Types of answers that say that nothing has happened yet.
    pub(super) silent: BTreeSet<String>,
    /// What becomes of a type that the map does not name.
    pub(super) unmapped: Unmapped,
    /// Where the numbers of an unmapped message stand.
    pub(super) usual: Fields,
}

/// What becomes of a type that the map does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmapped {
    /// It says nothing about money.
    Other,
    /// A person looks at it.
    Hold,
}

/// One meaning of a type.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) event: EventKind,
    pub(super) when: Vec<Condition>,
    pub(super) fields: Fields,
    /// What the same message says beside it.
    pub(super) also: Vec<Self>,
}

/// A value that must be one of these texts.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) from: Reference,
    pub(super) texts: Vec<String>,
}

/// What a fact is called: one value, or several with fixed texts between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) template: Template,
    /// As the configuration writes it, for messages.
    pub(super) shown: String,
}

/// Where the parts of a fact stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    /// The platform's numbers of the payment, refund, …: the first that is there is its name, the others are
    /// further names of the same.
    pub(super) number: Vec<Name>,
    /// The payment that a refund or dispute follows: the first that is there.
    pub(super) payment: Vec<Reference>,
    /// The merchant's order number: the first that is there.
    pub(super) order: Vec<Reference>,
    pub(super) amount: AmountOf,
    pub(super) payee: Option<Reference>,
    pub(super) time: Option<Clock>,
}

/// What a message says of the amount of a fact.
#[derive(Clone, Debug, Default)]
pub(super) enum AmountOf {
    /// The configuration says nothing about it.
    #[default]
    Unknown,
    /// Nothing: the merchant fixed it himself.
    Unstated,
    /// It is written somewhere.
    Written(AmountRule),
}

impl AmountOf {
    /// Where it is written.
    pub(super) fn written(&self) -> Option<&AmountRule> {
        match self {
            Self::Written(rule) => Some(rule),
            Self::Unknown | Self::Unstated => None,
        }
    }
}

/// How an amount is written.
#[derive(Clone, Debug)]
pub(super) struct AmountRule {
    pub(super) value: Reference,
    pub(super) currency: CurrencyRule,
    pub(super) form: AmountForm,
    /// The platform's decimals where they are not those of ISO 4217, by the code that the message has.
    pub(super) exponents: BTreeMap<String, u8>,
    /// Codes that are none of ISO 4217, such as those of stablecoins, and what they are counted as.
    pub(super) currencies: BTreeMap<String, Currency>,
    /// The value is the total of all refunds of the payment so far.
    pub(super) is_cumulative: bool,
}

/// Where the currency comes from.
#[derive(Clone, Debug)]
pub(super) enum CurrencyRule {
    /// Always this one.
    Fixed(Currency),
    /// The message names it.
    From(Reference),
}

/// The wire form of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AmountForm {
    /// A JSON number of minor units.
    MinorInt,
    /// A text of minor units.
    MinorString,
    /// A text with decimals.
    DecimalString,
    /// A JSON number with decimals, read as it is written.
    DecimalNumber,
}

const FIELDS: [&str; 6] = ["number", "payment", "order", "amount", "payee", "time"];

/// The families of facts, by how their kinds begin.
const FAMILIES: [&str; 6] = ["payment", "refund", "transfer", "dispute", "agreement", "profit_sharing"];

/// The family of a kind.
fn family(kind: EventKind) -> &'static str {
    let text = kind.as_str();
    text.split_once('.').map_or(text, |(family, _)| family)
}

impl Rules {
    pub(super) fn read(
        node: &Node<'_>,
        verify: &Verify,
        configured: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let plain = ["id", "type", "account", "map", "unmapped", "facts"];
        let known: Vec<&str> = plain.into_iter().chain(FIELDS).collect();
        let keys = node.table(&known)?;
        let mut reader = Reader { verify, configured, families: BTreeMap::new(), usual: Fields::default() };
        reader.usual = reader.fields(&keys, &Fields::default())?;
        if let Some(node) = keys.get("facts") {
            let families = node.table(&FAMILIES)?;
            for family in FAMILIES {
                let Some(node) = families.get(family) else { continue };
                let fields = reader.fields(&node.table(&FIELDS)?, &reader.usual)?;
                reader.families.insert(family, fields);
            }
        }
        let kind = reader.reference(keys.required("type")?)?;
        let (map, silent) = reader.map(keys.required("map")?, &kind)?;
        let unmapped = [("other", Unmapped::Other), ("hold", Unmapped::Hold)];
        Ok(Self {
            id: reader.references(keys.get("id"))?,
            account: reader.references(keys.get("account"))?,
            kind,
            map,
            silent,
            unmapped: keys.get("unmapped").map_or(Ok(Unmapped::Other), |node| node.word(&unmapped))?,
            usual: reader.usual,
        })
    }

    /// Kinds that some type can mean, in the order of [`EventKind::ALL`].
    #[cfg(feature = "simulate")]
    pub(super) fn kinds(&self) -> Vec<EventKind> {
        let is_known = |kind: &EventKind| self.map.values().flatten().any(|rule| rule.event == *kind);
        EventKind::ALL.iter().copied().filter(is_known).collect()
    }
}

struct Reader<'v> {
    verify: &'v Verify,
    configured: &'v [(String, String)],
    /// Where the parts of the facts of a family stand, where that is not the usual place.
    families: BTreeMap<&'static str, Fields>,
    usual: Fields,
}

impl Reader<'_> {
    /// Where the parts of a fact of this kind stand, as far as its rule does not say otherwise.
    fn usual(&self, kind: EventKind) -> &Fields {
        self.families.get(family(kind)).unwrap_or(&self.usual)
    }

    /// A place that exists and is believed.
    fn reference(&self, node: &Node<'_>) -> Result<Reference, SettingsError> {
        let reference = Reference::read(node)?;
        self.check(node, &reference)?;
        Ok(reference)
    }

    fn check(&self, node: &Node<'_>, reference: &Reference) -> Result<(), SettingsError> {
        if !self.verify.can_read(reference) || matches!(reference.place, Place::Body | Place::BodyCrc32) {
            return Err(node.error("unknown_reference").because(reference.shown.clone()));
        }
        if !self.verify.covers(reference) {
            return Err(node.error("not_signed").because(reference.shown.clone()));
        }
        Ok(())
    }

    fn references(&self, node: Option<&Node<'_>>) -> Result<Vec<Reference>, SettingsError> {
        let Some(node) = node else { return Ok(Vec::new()) };
        node.one_or_many(LIST_MAX)?.iter().map(|node| self.reference(node)).collect()
    }

    /// Names of a fact. Two values side by side could be cut elsewhere.
    fn names(&self, node: &Node<'_>) -> Result<Vec<Name>, SettingsError> {
        let read = |node: &Node<'_>| {
            let text = node.text()?;
            if !text.contains(['{', '}']) {
                let reference = self.reference(node)?;
                let shown = reference.shown.clone();
                return Ok(Name { template: Template::value(reference), shown });
            }
            let template = Template::read(node, self.configured)?;
            if template.has_secret() {
                return Err(node.error("unknown_reference").because("{secret}"));
            }
            if template.references().next().is_none() {
                return Err(node.error("missing").because("{json:/id}"));
            }
            template.references().try_for_each(|reference| self.check(node, reference))?;
            match template.touching() {
                Some((first, second)) => {
                    Err(node.error("not_separated").because(format!("{{{}}}{{{}}}", first.shown, second.shown)))
                }
                None => Ok(Name { template, shown: text.to_owned() }),
            }
        };
        node.one_or_many(LIST_MAX)?.iter().map(read).collect()
    }

    fn fields(&self, keys: &Keys<'_>, usual: &Fields) -> Result<Fields, SettingsError> {
        let many = |key: &str, usual: &[Reference]| match keys.get(key) {
            None => Ok(usual.to_vec()),
            found => self.references(found),
        };
        Ok(Fields {
            number: keys.get("number").map_or_else(|| Ok(usual.number.clone()), |node| self.names(node))?,
            payment: many("payment", &usual.payment)?,
            order: many("order", &usual.order)?,
            amount: match keys.get("amount") {
                None => usual.amount.clone(),
                Some(node) if matches!(node.raw_text(), Ok("unstated")) => AmountOf::Unstated,
                Some(node) => AmountOf::Written(self.amount(node)?),
            },
            payee: match keys.get("payee") {
                None => usual.payee.clone(),
                Some(node) => Some(self.reference(node)?),
            },
            time: match keys.get("time") {
                None => usual.time.clone(),
                Some(node) => Some(self.time(node)?),
            },
        })
    }

    fn time(&self, node: &Node<'_>) -> Result<Clock, SettingsError> {
        let keys = node.table(&["from", "unit"])?;
        let from = self.reference(keys.required("from")?)?;
        Ok(Clock { from, unit: keys.required("unit")?.word(Unit::WORDS)? })
    }

    fn amount(&self, node: &Node<'_>) -> Result<AmountRule, SettingsError> {
        let keys = node.table(&["value", "currency", "form", "exponents", "currencies", "cumulative"])?;
        let currency = keys.required("currency")?;
        let text = currency.text()?;
        let currency = match Currency::parse(text) {
            Ok(fixed) => CurrencyRule::Fixed(fixed),
            Err(_) if text.contains(':') => CurrencyRule::From(self.reference(currency)?),
            Err(_) => return Err(currency.error("unknown_word").because("EUR, json:/…")),
        };
        let mut currencies = BTreeMap::new();
        for (code, node) in keys.get("currencies").map(Node::entries).transpose()?.unwrap_or_default() {
            if Currency::parse(code).is_ok() || matches!(currency, CurrencyRule::Fixed(_)) {
                return Err(node.error("never_matches").because(code));
            }
            let counted = Currency::parse(node.text()?).map_err(|_| node.error("unknown_word").because("EUR, JPY"))?;
            currencies.insert(code.to_ascii_uppercase(), counted);
        }
        let form = keys.required("form")?.word(&[
            ("minor-int", AmountForm::MinorInt),
            ("minor-string", AmountForm::MinorString),
            ("decimal-string", AmountForm::DecimalString),
            ("decimal-number", AmountForm::DecimalNumber),
        ])?;
        let mut exponents = BTreeMap::new();
        for (code, node) in keys.get("exponents").map(Node::entries).transpose()?.unwrap_or_default() {
            let upper = code.to_ascii_uppercase();
            if Currency::parse(code).is_err() && !currencies.contains_key(&upper) {
                return Err(node.error("unknown_word").because("EUR, JPY"));
            }
            let number = node.number()?;
            let exponent = u8::try_from(number).ok().filter(|_| number <= EXPONENT_MAX);
            let exponent = exponent.ok_or_else(|| node.error("out_of_range").because(format!("0..={EXPONENT_MAX}")))?;
            if matches!(&currency, CurrencyRule::Fixed(fixed) if fixed.code() != upper) {
                return Err(node.error("never_matches").because(upper));
            }
            exponents.insert(upper, exponent);
        }
        // How many of its smallest units are one is written in no standard, and a guess would be off by powers of ten.
        let is_minor = matches!(form, AmountForm::MinorInt | AmountForm::MinorString);
        if let Some(code) = currencies.keys().find(|code| is_minor && !exponents.contains_key(*code)) {
            return Err(keys.required("currencies")?.error("missing").because(format!("exponents = {{ {code} = … }}")));
        }
        Ok(AmountRule {
            value: self.reference(keys.required("value")?)?,
            currency,
            form,
            exponents,
            currencies,
            is_cumulative: keys.get("cumulative").map_or(Ok(false), Node::flag)?,
        })
    }
}

/// Whether money of this kind moved, so that an amount must be known.
pub(super) fn moves_money(kind: EventKind) -> bool {
    matches!(kind, EventKind::PaymentSucceeded | EventKind::RefundSucceeded | EventKind::TransferSucceeded)
}

/// A fact about money needs a name, and one that moves it an amount.
fn check_whole(node: &Node<'_>, kind: EventKind, fields: &Fields) -> Result<(), SettingsError> {
    let needs = |what: &str| Err(node.error("missing").because(format!("{kind}: {what}")));
    if kind == EventKind::Other {
        return Ok(());
    }
    let is_cumulative = fields.amount.written().is_some_and(|amount| amount.is_cumulative);
    if is_cumulative && kind == EventKind::RefundSucceeded {
        // The total itself names the refund, within its payment.
        return if fields.payment.is_empty() { needs("payment") } else { Ok(()) };
    }
    if is_cumulative {
        return needs("amount.cumulative = false");
    }
    if fields.number.is_empty() {
        return needs("number");
    }
    if moves_money(kind) && matches!(fields.amount, AmountOf::Unknown) {
        return needs("amount");
    }
    Ok(())
}
