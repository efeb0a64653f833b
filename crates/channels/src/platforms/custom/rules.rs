//! What a proven message says: which places hold its numbers, and which of its types means what.
//!
//! A value that the signature does not cover is refused as the source of anything that is said about money.

use std::collections::BTreeMap;

use super::schema::Verify;
use super::template::{Place, Reference};
use super::time::{Clock, Unit};
use crate::model::{Currency, EventKind};
use crate::settings::SettingsError;
use crate::settings::tree::{Keys, Node};

/// Most entries of the map.
const TYPES_MAX: usize = 512;

/// Most rules of one type, conditions of one rule, names of one fact.
const LIST_MAX: usize = 16;

/// Most decimals of any currency on any platform.
const EXPONENT_MAX: u64 = 8;

/// The rules of a channel.
#[derive(Debug)]
pub(super) struct Rules {
    /// The message's own number; empty for the body's digest.
    pub(super) id: Vec<Reference>,
    pub(super) kind: Reference,
    /// Where the account may stand in the message; compared with the channel's wherever it does.
    pub(super) account: Vec<Reference>,
    /// What the map does not name says nothing about money.
    pub(super) map: BTreeMap<String, Vec<Rule>>,
    /// Where the numbers of an unmapped message stand.
    pub(super) usual: Fields,
}

/// One meaning of a type.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) event: EventKind,
    pub(super) when: Vec<Condition>,
    pub(super) fields: Fields,
    /// What the same message proves besides.
    pub(super) also: Vec<Also>,
}

/// A further fact of a message.
#[derive(Debug)]
pub(super) struct Also {
    pub(super) event: EventKind,
    pub(super) fields: Fields,
}

/// A value that must be one of these texts.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) from: Reference,
    pub(super) texts: Vec<String>,
}

/// Where the parts of a fact stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    /// The platform's numbers of the payment, refund, …: the first that is there is its name, the others are
    /// further names of the same.
    pub(super) number: Vec<Reference>,
    /// What is told anew at every state, such as a dispute, is named by its number and this.
    pub(super) state: Option<Reference>,
    /// The payment that a refund or dispute follows.
    pub(super) payment: Option<Reference>,
    /// The merchant's order number: the first that is there.
    pub(super) order: Vec<Reference>,
    pub(super) amount: Option<AmountRule>,
    pub(super) payee: Option<Reference>,
    pub(super) time: Option<Clock>,
}

/// How an amount is written.
#[derive(Clone, Debug)]
pub(super) struct AmountRule {
    pub(super) value: Reference,
    pub(super) currency: CurrencyRule,
    pub(super) form: AmountForm,
    /// The platform's decimals where they are not those of ISO 4217.
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

impl Rules {
    pub(super) fn read(node: &Node<'_>, verify: &Verify) -> Result<Self, SettingsError> {
        let known: Vec<&str> = ["id", "type", "account", "about", "map"].into_iter().chain(FIELDS).collect();
        let keys = node.table(&known)?;
        let reader = Reader { verify };
        let usual = reader.fields(&keys, &Fields::default())?;
        let kind = reader.reference(keys.required("type")?)?;
        let about = reader.about(keys.get("about"), &usual)?;
        let map = reader.map(keys.required("map")?, &kind, &Usual { usual: &usual, about: &about })?;
        Ok(Self {
            id: reader.references(keys.get("id"))?,
            account: reader.references(keys.get("account"))?,
            kind,
            map,
            usual,
        })
    }

    /// Kinds that some type can mean, in the order of [`EventKind::ALL`].
    #[cfg(feature = "simulate")]
    pub(super) fn kinds(&self) -> Vec<EventKind> {
        let is_known = |kind: &EventKind| self.map.values().flatten().any(|rule| rule.tells(*kind));
        EventKind::ALL.iter().copied().filter(is_known).collect()
    }
}

impl Rule {
    /// Whether a message of this rule proves a fact of a kind.
    #[cfg(feature = "simulate")]
    pub(super) fn tells(&self, kind: EventKind) -> bool {
        self.event == kind || self.also.iter().any(|also| also.event == kind)
    }
}

/// Fields that rules begin with.
#[derive(Clone, Copy)]
struct Usual<'u> {
    /// Those of a rule that names nothing else.
    usual: &'u Fields,
    /// Those of `event.about`, by their names.
    about: &'u BTreeMap<String, Fields>,
}

impl<'u> Usual<'u> {
    /// The fields that a rule begins with.
    fn of(&self, keys: &Keys<'_>) -> Result<&'u Fields, SettingsError> {
        let Some(node) = keys.get("about") else { return Ok(self.usual) };
        self.about.get(node.text()?).ok_or_else(|| {
            node.error("unknown_word").because(self.about.keys().cloned().collect::<Vec<_>>().join(", "))
        })
    }
}

struct Reader<'v> {
    verify: &'v Verify,
}

impl Reader<'_> {
    /// A place that exists and is under the signature.
    fn reference(&self, node: &Node<'_>) -> Result<Reference, SettingsError> {
        let reference = Reference::read(node)?;
        self.check(node, reference)
    }

    fn check(&self, node: &Node<'_>, reference: Reference) -> Result<Reference, SettingsError> {
        if !self.verify.can_read(&reference) || matches!(reference.place, Place::Body | Place::BodyCrc32) {
            return Err(node.error("unknown_reference").because(reference.shown));
        }
        if !self.verify.covers(&reference) {
            return Err(node.error("not_signed").because(reference.shown));
        }
        Ok(reference)
    }

    fn references(&self, node: Option<&Node<'_>>) -> Result<Vec<Reference>, SettingsError> {
        let Some(node) = node else { return Ok(Vec::new()) };
        node.one_or_many(LIST_MAX)?.iter().map(|node| self.reference(node)).collect()
    }

    fn fields(&self, keys: &Keys<'_>, usual: &Fields) -> Result<Fields, SettingsError> {
        let many = |key: &str, usual: &[Reference]| match keys.get(key) {
            None => Ok(usual.to_vec()),
            found => self.references(found),
        };
        let one = |key: &str, usual: &Option<Reference>| match keys.get(key) {
            None => Ok(usual.clone()),
            Some(node) => self.reference(node).map(Some),
        };
        Ok(Fields {
            number: many("number", &usual.number)?,
            state: one("state", &usual.state)?,
            payment: one("payment", &usual.payment)?,
            order: many("order", &usual.order)?,
            amount: match keys.get("amount") {
                None => usual.amount.clone(),
                Some(node) => Some(self.amount(node)?),
            },
            payee: one("payee", &usual.payee)?,
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
        let mut exponents = BTreeMap::new();
        for (code, node) in keys.get("exponents").map(Node::entries).transpose()?.unwrap_or_default() {
            let code = Currency::parse(code).map_err(|_| node.error("unknown_word").because("EUR, JPY"))?;
            let number = node.number()?;
            let exponent = u8::try_from(number).ok().filter(|_| number <= EXPONENT_MAX);
            let exponent = exponent.ok_or_else(|| node.error("out_of_range").because(format!("0..={EXPONENT_MAX}")))?;
            exponents.insert(code.code().to_owned(), exponent);
        }
        let mut currencies = BTreeMap::new();
        for (code, node) in keys.get("currencies").map(Node::entries).transpose()?.unwrap_or_default() {
            if Currency::parse(code).is_ok() {
                return Err(node.error("never_matches").because(code));
            }
            let counted = Currency::parse(node.text()?).map_err(|_| node.error("unknown_word").because("EUR, JPY"))?;
            currencies.insert(code.to_ascii_uppercase(), counted);
        }
        Ok(AmountRule {
            value: self.reference(keys.required("value")?)?,
            currency,
            form: keys.required("form")?.word(&[
                ("minor-int", AmountForm::MinorInt),
                ("minor-string", AmountForm::MinorString),
                ("decimal-string", AmountForm::DecimalString),
                ("decimal-number", AmountForm::DecimalNumber),
            ])?,
            exponents,
            currencies,
            is_cumulative: keys.get("cumulative").map_or(Ok(false), Node::flag)?,
        })
    }

    /// Sets of fields that several rules share: where the numbers of a refund, a dispute, … stand.
    fn about(&self, node: Option<&Node<'_>>, usual: &Fields) -> Result<BTreeMap<String, Fields>, SettingsError> {
        let entries = node.map(Node::entries).transpose()?.unwrap_or_default();
        if entries.len() > LIST_MAX {
            return Err(SettingsError::new("event", "out_of_range").because(format!("{} > {LIST_MAX}", entries.len())));
        }
        let known: Vec<&str> = ["state"].into_iter().chain(FIELDS).collect();
        let read = |(name, node): (&str, Node<'_>)| Ok((name.to_owned(), self.fields(&node.table(&known)?, usual)?));
        entries.into_iter().map(read).collect()
    }

    fn map(
        &self,
        node: &Node<'_>,
        kind: &Reference,
        usual: &Usual<'_>,
    ) -> Result<BTreeMap<String, Vec<Rule>>, SettingsError> {
        let entries = node.entries()?;
        if entries.is_empty() {
            return Err(node.error("empty_list"));
        }
        if entries.len() > TYPES_MAX {
            return Err(node.error("out_of_range").because(format!("{} > {TYPES_MAX}", entries.len())));
        }
        let mut map = BTreeMap::new();
        for (word, node) in entries {
            if word.trim().is_empty() {
                return Err(node.error("never_matches").because("\"\""));
            }
            map.insert(word.to_owned(), self.rules(word, &node, kind, *usual)?);
        }
        Ok(map)
    }

    /// The rules of one type: a kind, a table, or a list of these of which the first that fits counts.
    fn rules(
        &self,
        word: &str,
        node: &Node<'_>,
        kind: &Reference,
        usual: Usual<'_>,
    ) -> Result<Vec<Rule>, SettingsError> {
        let mut rules: Vec<Rule> = Vec::new();
        for node in node.one_or_many(LIST_MAX)? {
            if rules.last().is_some_and(|rule| rule.when.is_empty()) {
                return Err(node.error("never_matches"));
            }
            if !node.is_table() {
                let event = event(&node)?;
                check_whole(&node, event, usual.usual)?;
                rules.push(Rule { event, when: Vec::new(), fields: usual.usual.clone(), also: Vec::new() });
                continue;
            }
            let known: Vec<&str> =
                ["event", "when", "else", "also", "about", "state"].into_iter().chain(FIELDS).collect();
            let keys = node.table(&known)?;
            let fields = self.fields(&keys, usual.of(&keys)?)?;
            let when = keys.get("when").map(|node| self.when(word, node, kind)).transpose()?.unwrap_or_default();
            let kind = event(keys.required("event")?)?;
            check_whole(&node, kind, &fields)?;
            let is_conditional = !when.is_empty();
            let also =
                keys.get("also").map(|node| self.also(node, kind, &fields, usual)).transpose()?.unwrap_or_default();
            rules.push(Rule { event: kind, when, fields: fields.clone(), also });
            if let Some(other) = keys.get("else") {
                if !is_conditional {
                    return Err(other.error("never_matches").because("when"));
                }
                let kind = event(other)?;
                check_whole(other, kind, &fields)?;
                rules.push(Rule { event: kind, when: Vec::new(), fields, also: Vec::new() });
            }
        }
        Ok(rules)
    }

    /// Further facts of the same message: kinds with the same fields, or tables with their own.
    fn also(
        &self,
        node: &Node<'_>,
        first: EventKind,
        own: &Fields,
        usual: Usual<'_>,
    ) -> Result<Vec<Also>, SettingsError> {
        let mut all: Vec<Also> = Vec::new();
        for node in node.one_or_many(LIST_MAX)? {
            let (kind, fields) = if node.is_table() {
                let known: Vec<&str> = ["event", "about", "state"].into_iter().chain(FIELDS).collect();
                let keys = node.table(&known)?;
                let begun = if keys.get("about").is_some() { usual.of(&keys)? } else { own };
                (event(keys.required("event")?)?, self.fields(&keys, begun)?)
            } else {
                (event(&node)?, own.clone())
            };
            // A message is one fact of a kind, and nothing besides is no fact.
            if kind == EventKind::Other || kind == first || all.iter().any(|also| also.event == kind) {
                return Err(node.error("relation").because("event"));
            }
            check_whole(&node, kind, &fields)?;
            all.push(Also { event: kind, fields });
        }
        Ok(all)
    }

    fn when(&self, word: &str, node: &Node<'_>, kind: &Reference) -> Result<Vec<Condition>, SettingsError> {
        let entries = node.entries()?;
        if entries.is_empty() {
            return Err(node.error("empty_list"));
        }
        if entries.len() > LIST_MAX {
            return Err(node.error("out_of_range").because(format!("{} > {LIST_MAX}", entries.len())));
        }
        let mut conditions: Vec<Condition> = Vec::new();
        for (name, node) in entries {
            let from = Reference::parse(name).ok_or_else(|| node.error("unknown_reference").because(name))?;
            let from = self.check(&node, from)?;
            let texts = node.one_or_many(LIST_MAX)?.iter().map(Node::plain).collect::<Result<Vec<_>, _>>()?;
            // The type itself is known here, and one place has one value.
            let is_contradiction = (from == *kind && !texts.iter().any(|text| text == word))
                || conditions.iter().any(|other| {
                    other.from.place == from.place && !other.texts.iter().any(|text| texts.contains(text))
                });
            if is_contradiction {
                return Err(node.error("never_matches").because(from.shown));
            }
            conditions.push(Condition { from, texts });
        }
        Ok(conditions)
    }
}

fn event(node: &Node<'_>) -> Result<EventKind, SettingsError> {
    let text = node.text()?;
    EventKind::parse(text).ok_or_else(|| {
        let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        node.error("unknown_word").because(known.join(", "))
    })
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
    let is_cumulative = fields.amount.as_ref().is_some_and(|amount| amount.is_cumulative);
    if is_cumulative && kind == EventKind::RefundSucceeded {
        // The total itself names the refund, within its payment.
        return if fields.payment.is_none() { needs("payment") } else { Ok(()) };
    }
    if is_cumulative {
        return needs("amount.cumulative = false");
    }
    if fields.number.is_empty() {
        return needs("number");
    }
    if moves_money(kind) && fields.amount.is_none() {
        return needs("amount");
    }
    Ok(())
}
