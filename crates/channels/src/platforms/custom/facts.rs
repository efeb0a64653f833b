//! From a proven message to facts. What cannot be read becomes a concern, so that a person looks at it: the
//! message is genuine, and refusing it would lose money.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};

use super::FAMILY;
use super::cuts::Shape;
use super::message::{Body, Message};
use super::rules::{AmountForm, AmountRule, CurrencyRule, Fields, Rule, moves_money};
use super::schema::{Items, Recipe, Verify};
use super::template::{Part, Place, Reference};
use super::time::Clock;
use crate::channel::{Rejection, quote};
use crate::json::{Json, PATH_BYTES_MAX};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{
    Amount, Concern, Currency, EventKind, Fact, Identity, Money, MoneyError, Notification, RawRequest, Scope, Series,
    Timestamp,
};
use crate::signature::key::hex;

/// Reads a message whose signature was checked. `items` are its items, where it has any.
pub(super) fn read(
    recipe: &Recipe,
    message: &Message<'_>,
    request: &RawRequest,
    items: Option<&[&Json]>,
    stamp: Option<Timestamp>,
) -> Result<Notification, Rejection> {
    let mut concerns = Vec::new();
    // For what it notes: nobody needs the fields before the message is kept.
    fields(&recipe.verify, message, items, &mut concerns)?;
    let body_digest = hex(digest(&SHA256, &request.body).as_ref());
    let mut reader = Reader { recipe, message, concerns, body_digest, account: recipe.account.clone() };
    let parts: Vec<Option<&Json>> = match items {
        Some(items) => items.iter().map(|item| Some(*item)).collect(),
        None => vec![None],
    };
    let first = parts.first().copied().flatten();
    let platform_id = reader.id(first, parts.len());
    let mut kinds: Vec<String> = Vec::new();
    let mut facts = Vec::new();
    let mut sent_at = stamp;
    for (index, item) in parts.iter().enumerate() {
        let kind = reader.optional(&recipe.rules.kind, *item);
        if kind.is_none() {
            reader.concern(Concern::MissingField { field: recipe.rules.kind.shown.clone() });
        }
        let kind = kind.unwrap_or_default();
        reader.check_account(*item);
        reader.check_environment(*item);
        reader.check_cuts(*item);
        let name = if parts.len() == 1 { platform_id.clone() } else { format!("{platform_id}:{}", index + 1) };
        let found = reader.facts(&kind, *item, &name);
        sent_at = sent_at.or(found.first().and_then(|fact| fact.occurred_at));
        facts.extend(found);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if facts.is_empty() {
        facts.push(reader.bare(EventKind::Other, &platform_id));
    }
    Ok(Notification {
        scope: facts.first().map_or_else(|| reader.scope(), |fact| fact.scope.clone()),
        platform_id,
        platform_kind: quote(&kinds.join(", ")),
        sent_at,
        facts,
        concerns: reader.concerns,
    })
}

struct Reader<'a, 'r> {
    recipe: &'a Recipe,
    message: &'a Message<'r>,
    concerns: Vec<Concern>,
    body_digest: String,
    /// The account that the message speaks about.
    account: String,
}

impl Reader<'_, '_> {
    /// Two platforms never share a scope, whatever their accounts are called.
    fn scope(&self) -> Scope {
        let account = format!("{}/{}", self.recipe.platform, self.account);
        Scope { environment: self.recipe.environment, family: FAMILY, account }
    }

    /// The message's number: its parts joined, else the body's digest.
    fn id(&mut self, item: Option<&Json>, items: usize) -> String {
        let parts: Vec<String> =
            self.recipe.rules.id.iter().filter_map(|reference| self.optional(reference, item)).collect();
        let joined = parts.join(":");
        let is_whole = parts.len() == self.recipe.rules.id.len() && !parts.is_empty();
        // Several items have several numbers, and only the whole body names them all.
        let is_of_item = self.recipe.rules.id.iter().any(|reference| matches!(reference.place, Place::Item(_)));
        if is_whole && joined.len() <= NAME_BYTES_MAX / 2 && (items == 1 || !is_of_item) {
            return joined;
        }
        self.body_digest.clone()
    }

    /// What a message or item of this type proves: one fact, and those that its rule names besides.
    fn facts(&mut self, kind: &str, item: Option<&Json>, name: &str) -> Vec<Fact> {
        let recipe = self.recipe;
        let rules = recipe.rules.map.get(kind).map(Vec::as_slice).unwrap_or_default();
        for condition in rules.iter().flat_map(|rule| &rule.when) {
            // A list or object is neither one of the words nor nothing: which rule was meant is not ours to guess.
            if self.message.get(&condition.from, item).is_err() {
                self.concern(Concern::UnknownValue { field: condition.from.shown.clone(), value: "{ }, [ ]".into() });
            }
        }
        let rule = rules.iter().find(|rule| self.fits(rule, item));
        let Some(rule) = rule else {
            let mut fact = self.bare(EventKind::Other, name);
            fact.order_no = self.first(&recipe.rules.usual.order, item);
            return vec![fact];
        };
        let fields = &rule.fields;
        if rule.event == EventKind::Other {
            let mut fact = self.bare(EventKind::Other, name);
            fact.order_no = self.first(&fields.order, item);
            fact.occurred_at = self.time(fields.time.as_ref(), item);
            return vec![fact];
        }
        let first = self.money_fact(rule.event, fields, item, name);
        let also = rule.also.iter().map(|also| self.money_fact(also.event, &also.fields, item, name));
        std::iter::once(first).chain(also.collect::<Vec<_>>()).collect()
    }

    /// A fact about money. A name or amount that is not there leaves it to a person.
    fn money_fact(&mut self, kind: EventKind, fields: &Fields, item: Option<&Json>, name: &str) -> Fact {
        let payment = fields.payment.as_ref().and_then(|reference| self.name(reference, item)).and_then(Identity::new);
        let numbers = self.numbers(&fields.number, item);
        let amount = self.amount(kind, fields, item, payment.as_ref(), !numbers.is_empty());
        let mut names: Vec<Identity> = Vec::new();
        if let (Amount::Cumulative { total, .. }, Some(payment)) = (&amount, &payment) {
            names.extend(Identity::new(format!("{payment}:total:{}", total.minor)));
        }
        let state = fields.state.as_ref().and_then(|reference| {
            let state = self.name(reference, item);
            if state.is_none() {
                self.concern(Concern::MissingField { field: reference.shown.clone() });
            }
            state
        });
        for number in &numbers {
            let identity = Identity::new(match &state {
                Some(state) => format!("{number}:{state}"),
                None => number.clone(),
            });
            names.extend(identity.filter(|identity| !names.contains(identity)));
        }
        if names.is_empty() {
            let field = fields.number.first().or(fields.payment.as_ref());
            let field = field.map_or_else(|| "number".to_owned(), |reference| reference.shown.clone());
            self.concern(Concern::MissingField { field });
        }
        let mut fact = self.bare(kind, name);
        let mut names = names.into_iter();
        if let Some(first) = names.next() {
            fact.identity = first;
        }
        fact.aliases = names.collect();
        fact.amount = amount;
        fact.order_no = self.first(&fields.order, item);
        fact.platform_no = numbers.into_iter().next();
        fact.payee = fields.payee.as_ref().and_then(|reference| self.name(reference, item));
        fact.occurred_at = self.time(fields.time.as_ref(), item);
        fact.payment = match kind {
            EventKind::PaymentFinalized => payment.or_else(|| Some(fact.identity.clone())),
            kind if kind.follows_payment() => payment,
            _ => None,
        };
        fact
    }

    /// A fact without money under a name that is always there.
    fn bare(&self, kind: EventKind, name: &str) -> Fact {
        let identity = Identity::new(name).or_else(|| Identity::new(self.body_digest.clone()));
        Fact {
            kind,
            scope: self.scope(),
            identity: identity.expect("a digest is a short text"),
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

    fn fits(&self, rule: &Rule, item: Option<&Json>) -> bool {
        rule.when.iter().all(|condition| {
            let found = self.message.get(&condition.from, item).ok().flatten();
            let found = found.as_deref().unwrap_or_default();
            condition.texts.iter().any(|text| text.as_bytes() == found)
        })
    }

    fn amount(
        &mut self,
        kind: EventKind,
        fields: &Fields,
        item: Option<&Json>,
        payment: Option<&Identity>,
        is_numbered: bool,
    ) -> Amount {
        let Some(rule) = &fields.amount else { return Amount::None };
        let is_absent = matches!(self.message.get(&rule.value, item), Ok(None));
        if is_absent && !moves_money(kind) {
            return Amount::None;
        }
        let Ok(total) = self.money(rule, item) else {
            self.concern(Concern::UnreadableAmount { field: rule.value.shown.clone() });
            return Amount::Unreadable;
        };
        match payment {
            Some(payment) if rule.is_cumulative && kind == EventKind::RefundSucceeded => {
                Amount::Cumulative { series: Series(payment.clone()), total, is_numbered }
            }
            None if rule.is_cumulative && kind == EventKind::RefundSucceeded => {
                self.concern(Concern::UnreadableAmount { field: rule.value.shown.clone() });
                Amount::Unreadable
            }
            _ => Amount::Stated(total),
        }
    }

    fn money(&self, rule: &AmountRule, item: Option<&Json>) -> Result<Money, MoneyError> {
        let currency = match &rule.currency {
            CurrencyRule::Fixed(currency) => *currency,
            CurrencyRule::From(reference) => {
                let code = self.optional(reference, item).ok_or(MoneyError::Currency)?;
                match rule.currencies.get(&code.to_ascii_uppercase()) {
                    Some(counted) => *counted,
                    None => Currency::parse(&code)?,
                }
            }
        };
        let text = match self.message.json(&rule.value, item) {
            Some(json) => match (json, rule.form) {
                (Json::Number(text), AmountForm::MinorInt | AmountForm::DecimalNumber)
                | (Json::Text(text), AmountForm::MinorString | AmountForm::DecimalString) => text.clone(),
                _ => return Err(MoneyError::Shape),
            },
            // Other places have no types.
            None => self.optional(&rule.value, item).ok_or(MoneyError::Shape)?,
        };
        let own = rule.exponents.get(currency.code()).copied().unwrap_or_else(|| currency.iso_exponent());
        let written = match rule.form {
            AmountForm::MinorInt | AmountForm::MinorString => Money::from_minor_text(&text, currency)?,
            AmountForm::DecimalString | AmountForm::DecimalNumber => Money::from_decimal(&text, currency, own)?,
        };
        rescaled(written, own)
    }

    fn time(&self, clock: Option<&Clock>, item: Option<&Json>) -> Option<Timestamp> {
        let clock = clock?;
        clock.unit.read(&self.optional(&clock.from, item)?)
    }

    /// A genuine message about another account is not ours to refuse: it is kept under that account.
    fn check_account(&mut self, item: Option<&Json>) {
        self.account.clone_from(&self.recipe.account);
        for found in self.numbers(&self.recipe.rules.account, item) {
            if found != self.recipe.account {
                self.concern(Concern::ForeignPayee { payee: quote(&found) });
                self.account = found;
            }
        }
    }

    /// A test message must ship nothing, and a live one must not be taken for a test.
    fn check_environment(&mut self, item: Option<&Json>) {
        let Some(live) = &self.recipe.verify.live else { return };
        let found = self.optional(&live.from, item).unwrap_or_default();
        if found != live.own {
            self.concern(Concern::ForeignEnvironment { field: live.from.shown.clone() });
        }
    }

    /// A signed text that is also one of other fields, under the same signature: a person decides.
    fn check_cuts(&mut self, item: Option<&Json>) {
        let recipe = self.recipe;
        for template in &recipe.verify.templates {
            let value = |part: &Part| match part {
                Part::Literal(literal) => literal.as_bytes().to_vec(),
                Part::Value(reference) => {
                    self.message.get(reference, item).ok().flatten().unwrap_or_default().into_owned()
                }
            };
            let values: Vec<Vec<u8>> = template.0.iter().map(value).collect();
            if let Some(reference) = template.movable(Shape::of(&recipe.verify), &values) {
                self.concern(Concern::Ambiguous { field: reference.shown.clone() });
            }
        }
    }

    /// A value as text; none when it is not there or cannot be read.
    fn optional(&self, reference: &Reference, item: Option<&Json>) -> Option<String> {
        self.message.text(reference, item).ok().flatten()
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern.
    fn name(&mut self, reference: &Reference, item: Option<&Json>) -> Option<String> {
        let text = self.optional(reference, item)?;
        if text.len() > NAME_BYTES_MAX {
            self.concern(Concern::UnknownValue { field: reference.shown.clone(), value: quote(&text) });
            return None;
        }
        Some(text)
    }

    fn numbers(&mut self, references: &[Reference], item: Option<&Json>) -> Vec<String> {
        references.iter().filter_map(|reference| self.name(reference, item)).collect()
    }

    fn first(&mut self, references: &[Reference], item: Option<&Json>) -> Option<String> {
        self.numbers(references, item).into_iter().next()
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// From the platform's minor units to those of ISO 4217, which everything behind here counts in. What cannot
/// be said in them is not rounded.
fn rescaled(money: Money, own: u8) -> Result<Money, MoneyError> {
    let iso = money.currency.iso_exponent();
    let factor = 10_i64.checked_pow(u32::from(own.abs_diff(iso))).ok_or(MoneyError::Range)?;
    let minor = if iso >= own {
        money.minor.checked_mul(factor).ok_or(MoneyError::Range)?
    } else if money.minor % factor == 0 {
        money.minor / factor
    } else {
        return Err(MoneyError::Precision);
    };
    Ok(Money { minor, currency: money.currency })
}

/// Every signed field as text. Where only single values are signed, the others are anybody's word, and nobody who
/// reads the fields of a genuine message expects such.
pub(super) fn fields(
    verify: &Verify,
    message: &Message<'_>,
    items: Option<&[&Json]>,
    concerns: &mut Vec<Concern>,
) -> Result<Vec<(String, String)>, Rejection> {
    let mut fields = Vec::new();
    let is_whole = verify.signs_body();
    match message.body()? {
        Body::Json(json) if is_whole => {
            if !json.flatten("", &mut fields) {
                concerns.push(Concern::UnreadableText { field: "body".into() });
            }
        }
        Body::Json(_) => single_fields(verify, message, items.unwrap_or_default(), &mut fields),
        Body::Form(form) => {
            let is_signed = |name: &str| {
                is_whole || verify.signed().any(|signed| matches!(&signed.place, Place::Form(own) if own == name))
            };
            for pair in form.pairs() {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                if !is_signed(&text(&pair.name)) {
                    continue;
                }
                if std::str::from_utf8(&pair.value).is_err() || std::str::from_utf8(&pair.name).is_err() {
                    concerns.push(Concern::UnreadableText { field: quote(&text(&pair.name)) });
                }
                fields.push((text(&pair.name), text(&pair.value)));
            }
        }
    }
    Ok(fields)
}

/// The signed values of a JSON body, under the paths that they have in the whole.
fn single_fields(verify: &Verify, message: &Message<'_>, items: &[&Json], fields: &mut Vec<(String, String)>) {
    let mut known: HashSet<String> = HashSet::new();
    let mut push = |path: Vec<&str>, reference: &Reference, item: Option<&Json>| {
        let path = path.join(".");
        if let Ok(Some(value)) = message.get(reference, item)
            && path.len() <= PATH_BYTES_MAX
            && known.insert(path.clone())
        {
            fields.push((path, String::from_utf8_lossy(&value).into_owned()));
        }
    };
    for reference in verify.signed() {
        if let Place::Json(pointer) = &reference.place {
            push(pointer.names().iter().map(String::as_str).collect(), reference, None);
        }
    }
    let Some(Items { from, unwrap }) = &verify.items else { return };
    let Place::Json(list) = &from.place else { return };
    for (index, item) in items.iter().enumerate() {
        let index = index.to_string();
        for reference in verify.signed() {
            if let Place::Item(pointer) = &reference.place {
                let inner = unwrap.names().iter().chain(pointer.names());
                let path = list.names().iter().chain([&index]).chain(inner).map(String::as_str).collect();
                push(path, reference, Some(item));
            }
        }
    }
}
