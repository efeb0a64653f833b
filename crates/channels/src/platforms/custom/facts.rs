//! From a proven message to facts. What cannot be read becomes a concern, so that a person looks at it: the
//! message is genuine, and refusing it would lose money.

use std::borrow::Cow;
use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};

use super::FAMILY;
use super::cuts::Shape;
use super::message::{Body, BodyForm, Message};
use super::rules::{AmountForm, AmountRule, CurrencyRule, Fields, Name, Rule, Unmapped, moves_money};
use super::schema::{Items, Recipe, Trust, Verify};
use super::template::{Part, Place, Reference};
use super::time::Clock;
use crate::channel::{Rejection, quote};
use crate::json::{Json, PATH_BYTES_MAX};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{
    Amount, Concern, Currency, EventKind, Fact, Identity, Money, MoneyError, Notification, Scope, Series, Timestamp,
};
use crate::signature::key::hex;

/// What is known of a message beside itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'c> {
    /// The time under the signature.
    pub(super) stamp: Option<Timestamp>,
    /// The number that was asked about, when this is an answer.
    pub(super) asked: Option<&'c str>,
}

/// Reads a message that is believed. `items` are its items, where it has any. None when it is an answer that says that
/// nothing has happened yet.
pub(super) fn read<'m>(
    recipe: &'m Recipe,
    message: &'m Message<'_>,
    items: Option<&[&'m Json]>,
    context: Context<'_>,
) -> Result<Option<Notification>, Rejection> {
    let mut concerns = Vec::new();
    check_texts(&recipe.verify, message, &mut concerns)?;
    let parts: Vec<Option<&Json>> = match items {
        Some(items) => items.iter().map(|item| Some(*item)).collect(),
        None => vec![None],
    };
    let account = recipe.account.clone();
    let mut reader = Reader { recipe, message, parts, concerns, account };
    let parts = reader.each_once();
    reader.parts.clone_from(&parts);
    let first = parts.first().copied().flatten();
    let own_id = reader.id(first, parts.len(), context);
    let names = reader.names(&own_id);
    let mut kinds: Vec<String> = Vec::new();
    let mut facts = Vec::new();
    let mut sent_at = context.stamp;
    for (item, name) in parts.iter().zip(&names) {
        let kind = reader.optional(&recipe.rules.kind, *item);
        if kind.is_none() {
            reader.concern(Concern::MissingField { field: recipe.rules.kind.shown.clone() });
        }
        let kind = kind.unwrap_or_default();
        if recipe.rules.silent.contains(kind.as_ref()) {
            return Ok(None);
        }
        reader.check_account(*item);
        reader.check_environment(*item);
        reader.check_cuts(*item);
        for fact in reader.facts(&kind, *item, name) {
            sent_at = sent_at.or(fact.occurred_at);
            facts.push(fact);
        }
        if !kinds.iter().any(|known| **known == *kind) {
            kinds.push(kind.into_owned());
        }
    }
    if facts.is_empty() {
        facts.push(reader.bare(EventKind::Other, &own_id));
    }
    let platform_id = match context.asked {
        Some(number) if recipe.rules.id.is_empty() => told_id(number, &kinds, &facts),
        _ => own_id,
    };
    Ok(Some(Notification {
        scope: facts.first().map_or_else(|| reader.scope(), |fact| fact.scope.clone()),
        platform_id,
        platform_kind: quote(&kinds.join(", ")),
        sent_at,
        facts,
        concerns: reader.concerns,
    }))
}

/// A name of what an answer tells: the same for the same, another one once anything of it has changed.
fn told_id(number: &str, kinds: &[String], facts: &[Fact]) -> String {
    let told: Vec<String> = facts
        .iter()
        .map(|fact| {
            let money = fact.signed_money().map(|money| format!("{} {}", money.currency, money.minor));
            format!("{} {} {}", fact.kind, fact.identity, money.unwrap_or_default())
        })
        .collect();
    let told = format!("{}\n{}", kinds.join("\n"), told.join("\n"));
    format!("{number}:{}", &hex(digest(&SHA256, told.as_bytes()).as_ref())[..TOLD_DIGITS])
}

/// Digits of the digest in such a name.
const TOLD_DIGITS: usize = 32;

struct Reader<'m, 'r> {
    recipe: &'m Recipe,
    message: &'m Message<'r>,
    /// Its items; the one that is none where it has no items.
    parts: Vec<Option<&'m Json>>,
    concerns: Vec<Concern>,
    /// The account that the message speaks about.
    account: String,
}

impl<'m> Reader<'m, '_> {
    /// Two platforms never share a scope, whatever their accounts are called.
    fn scope(&self) -> Scope {
        let account = format!("{}/{}", self.recipe.platform, self.account);
        Scope { environment: self.recipe.environment, family: FAMILY, account }
    }

    /// The message's number: its parts joined, else its digest.
    fn id(&mut self, item: Option<&'m Json>, items: usize, context: Context<'_>) -> String {
        let id = &self.recipe.rules.id;
        let parts: Vec<Cow<'_, str>> = id.iter().filter_map(|reference| self.optional(reference, item)).collect();
        let joined = parts.join(":");
        let is_whole = parts.len() == id.len() && !parts.is_empty();
        // Several items have several numbers, and only the whole body names them all.
        let is_of_item = id.iter().any(|reference| matches!(reference.place, Place::Item(_)));
        if is_whole && joined.len() <= NAME_BYTES_MAX / 2 && (items == 1 || !is_of_item) {
            return joined;
        }
        match context.asked {
            Some(number) if id.is_empty() => number.to_owned(),
            _ => self.digest(),
        }
    }

    /// The items without those that came before: a copy says nothing, and where each is signed by itself, anybody can make
    /// one.
    fn each_once(&self) -> Vec<Option<&'m Json>> {
        let mut known = HashSet::new();
        let mut is_new = |item: Option<&'m Json>| item.is_none_or(|json| known.insert(self.item_digest(json)));
        self.parts.iter().copied().filter(|item| is_new(*item)).collect()
    }

    /// What the facts without a name of their own are called, item by item: by what the item says, and never by where it
    /// stands, so that a batch in another order or company has the same facts.
    fn names(&self, own_id: &str) -> Vec<String> {
        let name_of = |item: Option<&'m Json>| match item {
            Some(json) => self.item_id(json).unwrap_or_else(|| self.item_digest(json)),
            None => own_id.to_owned(),
        };
        self.parts.iter().copied().map(name_of).collect()
    }

    /// An item's own number, where the whole of `event.id` is known and a part of it stands in the item.
    fn item_id(&self, item: &'m Json) -> Option<String> {
        let id = &self.recipe.rules.id;
        let is_of_item = id.iter().any(|reference| matches!(reference.place, Place::Item(_)));
        let parts: Vec<Cow<'_, str>> =
            id.iter().map(|reference| self.optional(reference, Some(item))).collect::<Option<_>>()?;
        let joined = parts.join(":");
        (is_of_item && joined.len() <= NAME_BYTES_MAX / 2).then_some(joined)
    }

    /// The digest of what is signed of an item.
    fn item_digest(&self, item: &'m Json) -> String {
        let verify = &self.recipe.verify;
        let mut text = Vec::new();
        if verify.covers_all() && !verify.signs_items() {
            canonical(item, &mut text);
        } else {
            self.signed_values(&[Some(item)], &mut text);
        }
        hex(digest(&SHA256, &text).as_ref())
    }

    /// The message's digest. Where only single values are signed, theirs: anybody could make another message of it with
    /// what is not.
    fn digest(&self) -> String {
        let verify = &self.recipe.verify;
        if verify.covers_all() {
            return hex(digest(&SHA256, self.message.bytes()).as_ref());
        }
        let mut text = Vec::new();
        self.signed_values(&self.parts, &mut text);
        hex(digest(&SHA256, &text).as_ref())
    }

    /// The signed values, each with its length. What stands around the content, such as the time of sending, changes with
    /// each repetition and counts only where there is nothing else.
    fn signed_values(&self, items: &[Option<&'m Json>], text: &mut Vec<u8>) {
        let verify = &self.recipe.verify;
        let is_content = |one: &&Reference| {
            matches!(one.place, Place::Json(_) | Place::Item(_) | Place::Form(_))
                || (verify.body == BodyForm::Query && matches!(one.place, Place::Query(_)))
        };
        let mut signed: Vec<&Reference> = verify.covered().filter(is_content).collect();
        if signed.is_empty() {
            signed = verify.covered().collect();
        }
        for (item, reference) in items.iter().flat_map(|item| signed.iter().map(move |one| (*item, *one))) {
            let value = self.message.get(reference, item).ok().flatten().unwrap_or_default();
            let value = value.trim_ascii();
            text.extend_from_slice(format!("{}:", value.len()).as_bytes());
            text.extend_from_slice(value);
        }
    }

    /// What the rules make of a type: the first that fits, and what it says beside.
    fn facts(&mut self, kind: &str, item: Option<&'m Json>, name: &str) -> Vec<Fact> {
        let recipe = self.recipe;
        let rules = recipe.rules.map.get(kind).map(Vec::as_slice);
        let Some(rules) = rules else {
            self.hold_unmapped(kind);
            return vec![self.unmapped(item, name)];
        };
        for condition in rules.iter().flat_map(|rule| rule.also.iter().chain([rule])).flat_map(|rule| &rule.when) {
            // A list or object is neither one of the words nor nothing: which rule was meant is not ours to guess.
            if self.message.get(&condition.from, item).is_err() {
                self.concern(Concern::UnknownValue { field: condition.from.shown.clone(), value: "{ }, [ ]".into() });
            }
        }
        let Some(rule) = rules.iter().find(|rule| self.fits(rule, item)) else {
            self.hold_unmapped(kind);
            return vec![self.unmapped(item, name)];
        };
        let mut facts = vec![self.fact(rule, item, name)];
        for rule in &rule.also {
            if self.fits(rule, item) && self.is_told(rule, item) {
                let fact = self.fact(rule, item, name);
                facts.push(fact);
            }
        }
        facts
    }

    /// A type to which nothing fits is for a person, where the channel says so.
    fn hold_unmapped(&mut self, kind: &str) {
        if self.recipe.rules.unmapped == Unmapped::Hold && !kind.is_empty() {
            let field = self.recipe.rules.kind.shown.clone();
            self.concern(Concern::UnknownValue { field, value: quote(kind) });
        }
    }

    /// A message that says nothing about money.
    fn unmapped(&mut self, item: Option<&'m Json>, name: &str) -> Fact {
        let mut fact = self.bare(EventKind::Other, name);
        fact.order_no = self.first(&self.recipe.rules.usual.order, item);
        fact
    }

    fn fact(&mut self, rule: &Rule, item: Option<&'m Json>, name: &str) -> Fact {
        if rule.event != EventKind::Other {
            return self.money_fact(rule, item, name);
        }
        let mut fact = self.bare(EventKind::Other, name);
        fact.order_no = self.first(&rule.fields.order, item);
        fact.occurred_at = self.time(rule.fields.time.as_ref(), item);
        fact
    }

    /// Whether what a message may say beside its own fact is said in it: a running total of nothing is no refund. Of any
    /// other fact, an amount that is not there is for a person.
    fn is_told(&self, rule: &Rule, item: Option<&'m Json>) -> bool {
        let is_total = |amount: &&AmountRule| amount.is_cumulative && rule.event == EventKind::RefundSucceeded;
        let Some(amount) = rule.fields.amount.written().filter(is_total) else { return true };
        match self.message.get(&amount.value, item) {
            Ok(None) => false,
            Ok(Some(_)) => self.money(amount, item).map_or(true, |money| money.minor != 0),
            Err(_) => true,
        }
    }

    /// A fact about money. A name or amount that is not there leaves it to a person.
    fn money_fact(&mut self, rule: &Rule, item: Option<&'m Json>, name: &str) -> Fact {
        let fields = &rule.fields;
        let payment = self.first(&fields.payment, item).and_then(Identity::new);
        let numbers: Vec<String> = fields.number.iter().filter_map(|number| self.number(number, item)).collect();
        let amount = self.amount(rule.event, fields, item, payment.as_ref(), !numbers.is_empty());
        let mut names: Vec<Identity> = Vec::new();
        if let (Amount::Cumulative { total, .. }, Some(payment)) = (&amount, &payment) {
            names.extend(Identity::new(format!("{payment}:total:{}", total.minor)));
        }
        for number in &numbers {
            let identity = Identity::new(number.clone());
            names.extend(identity.filter(|identity| !names.contains(identity)));
        }
        if names.is_empty() {
            let number = fields.number.first().map(|number| &number.shown);
            let field = number.or(fields.payment.first().map(|reference| &reference.shown));
            let field = field.map_or_else(|| "number".to_owned(), Clone::clone);
            self.concern(Concern::MissingField { field });
        }
        let mut fact = self.bare(rule.event, name);
        let mut names = names.into_iter();
        if let Some(first) = names.next() {
            fact.identity = first;
        }
        fact.aliases = names.collect();
        fact.amount = amount;
        fact.order_no = self.first(&fields.order, item);
        // A name that is put together is no number that the platform would know.
        let is_number = fields.number.first().is_some_and(|name| !name.template.is_cut());
        fact.platform_no = numbers.into_iter().next().filter(|_| is_number);
        fact.payee = fields.payee.as_ref().and_then(|reference| self.name(reference, item));
        fact.occurred_at = self.time(fields.time.as_ref(), item);
        fact.payment = match rule.event {
            EventKind::PaymentFinalized => payment.or_else(|| Some(fact.identity.clone())),
            kind if kind.follows_payment() => payment,
            _ => None,
        };
        fact
    }

    /// A fact without money under a name that is always there.
    fn bare(&self, kind: EventKind, name: &str) -> Fact {
        let identity = Identity::new(name).or_else(|| Identity::new(self.digest()));
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

    fn fits(&self, rule: &Rule, item: Option<&'m Json>) -> bool {
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
        item: Option<&'m Json>,
        payment: Option<&Identity>,
        is_numbered: bool,
    ) -> Amount {
        let Some(rule) = fields.amount.written() else { return Amount::None };
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

    fn money(&self, rule: &AmountRule, item: Option<&'m Json>) -> Result<Money, MoneyError> {
        let (currency, code) = match &rule.currency {
            CurrencyRule::Fixed(currency) => (*currency, currency.code().to_owned()),
            CurrencyRule::From(reference) => {
                let code = self.optional(reference, item).ok_or(MoneyError::Currency)?;
                let upper = code.to_ascii_uppercase();
                match rule.currencies.get(&upper) {
                    Some(counted) => (*counted, upper),
                    None => (Currency::parse(&code)?, upper),
                }
            }
        };
        let text: Cow<'_, str> = match self.message.json(&rule.value, item) {
            Some(json) => match (json, rule.form) {
                (Json::Number(text), AmountForm::MinorInt | AmountForm::DecimalNumber)
                | (Json::Text(text), AmountForm::MinorString | AmountForm::DecimalString) => Cow::Borrowed(text),
                _ => return Err(MoneyError::Shape),
            },
            // Other places have no types.
            None => self.optional(&rule.value, item).ok_or(MoneyError::Shape)?,
        };
        let own = rule.exponents.get(&code).copied().unwrap_or_else(|| currency.iso_exponent());
        let written = match rule.form {
            AmountForm::MinorInt | AmountForm::MinorString => Money::from_minor_text(&text, currency)?,
            AmountForm::DecimalString | AmountForm::DecimalNumber => Money::from_decimal(&text, currency, own)?,
        };
        rescaled(written, own)
    }

    fn time(&self, clock: Option<&Clock>, item: Option<&'m Json>) -> Option<Timestamp> {
        let clock = clock?;
        clock.unit.read(&self.optional(&clock.from, item)?)
    }

    /// A genuine message about another account is not ours to refuse: it is kept under that account.
    fn check_account(&mut self, item: Option<&'m Json>) {
        self.account.clone_from(&self.recipe.account);
        let recipe = self.recipe;
        let mut is_named = false;
        for reference in &recipe.rules.account {
            is_named |= self.check_account_at(reference, item);
        }
        let Trust::Message(signed) = &recipe.verify.trust else { return };
        // The platform signs for others too, so a message that names nobody may be anybody's.
        if let Some(reference) = recipe.rules.account.first().filter(|_| !is_named && !signed.is_key_mine) {
            self.concern(Concern::MissingField { field: reference.shown.clone() });
        }
    }

    /// Whether an account stands there.
    fn check_account_at(&mut self, reference: &'m Reference, item: Option<&'m Json>) -> bool {
        let Some(found) = self.name(reference, item) else { return false };
        if found != self.recipe.account {
            self.concern(Concern::ForeignPayee { payee: quote(&found) });
            self.account = found;
        }
        true
    }

    /// A test message must ship nothing, and a live one must not be taken for a test.
    fn check_environment(&mut self, item: Option<&'m Json>) {
        let Some(live) = &self.recipe.verify.live else { return };
        // What is no one text is not the same as nothing.
        let found = self.message.text(&live.from, item).map(Option::unwrap_or_default);
        if !found.is_ok_and(|found| live.own.iter().any(|own| *own == found)) {
            self.concern(Concern::ForeignEnvironment { field: live.from.shown.clone() });
        }
    }

    /// A signed text that is also one of other fields, under the same signature: a person decides. Where the platform is
    /// asked, the message says nothing.
    fn check_cuts(&mut self, item: Option<&'m Json>) {
        let verify = &self.recipe.verify;
        let Trust::Message(signed) = &verify.trust else { return };
        let shape = Shape::of(verify.body, signed);
        for template in signed.templates.iter().filter(|template| template.is_cut()) {
            let values = template.values(self.message, item);
            if let Some(reference) = template.movable(shape, &values) {
                self.concern(Concern::Ambiguous { field: reference.shown.clone() });
            }
        }
    }

    /// A value as text; none when it is not there or cannot be read.
    fn optional(&self, reference: &Reference, item: Option<&'m Json>) -> Option<Cow<'m, str>> {
        self.message.text(reference, item).ok().flatten()
    }

    /// What a fact is called. A name of several values needs all of them, and one that could be cut into others is left
    /// to a person.
    fn number(&mut self, number: &Name, item: Option<&'m Json>) -> Option<String> {
        if let [Part::Value(reference)] = number.template.0.as_slice() {
            return self.name(reference, item);
        }
        let value = |part: &Part| match part {
            Part::Literal(literal) => Some(literal.as_bytes().to_vec()),
            Part::Value(reference) => Some(self.optional(reference, item)?.trim().as_bytes().to_vec()),
            Part::Secret => None,
        };
        let values: Vec<Vec<u8>> = number.template.0.iter().map(value).collect::<Option<_>>()?;
        let text = String::from_utf8(values.concat()).ok()?;
        if text.len() > NAME_BYTES_MAX {
            self.concern(Concern::UnknownValue { field: number.shown.clone(), value: quote(&text) });
            return None;
        }
        if number.template.is_ambiguous(&values) {
            self.concern(Concern::Ambiguous { field: number.shown.clone() });
        }
        Some(text)
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern. Blanks and line ends
    /// around it are no part of it: alternatives of the signed text may differ in these.
    fn name(&mut self, reference: &Reference, item: Option<&'m Json>) -> Option<String> {
        let text = self.optional(reference, item)?;
        let text = text.trim();
        if text.len() > NAME_BYTES_MAX {
            self.concern(Concern::UnknownValue { field: reference.shown.clone(), value: quote(text) });
            return None;
        }
        Some(text.to_owned())
    }

    fn first(&mut self, references: &[Reference], item: Option<&'m Json>) -> Option<String> {
        references.iter().find_map(|reference| self.name(reference, item))
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// A value in one way of writing it: each kind by its sign, and texts with their lengths.
fn canonical(value: &Json, text: &mut Vec<u8>) {
    let mut put = |sign: char, value: &str| text.extend_from_slice(format!("{sign}{}:{value}", value.len()).as_bytes());
    match value {
        Json::Null => put('n', ""),
        Json::Flag(flag) => put('f', if *flag { "1" } else { "0" }),
        Json::Number(number) => put('d', number),
        Json::Text(own) => put('t', own),
        Json::List(items) => {
            put('l', &items.len().to_string());
            for item in items {
                canonical(item, text);
            }
        }
        Json::Object(members) => {
            put('o', &members.len().to_string());
            for (name, value) in members {
                text.extend_from_slice(format!("{}:{name}", name.len()).as_bytes());
                canonical(value, text);
            }
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

/// What nobody could show as a text, or under a path of its own.
fn check_texts(verify: &Verify, message: &Message<'_>, concerns: &mut Vec<Concern>) -> Result<(), Rejection> {
    match message.body()? {
        Body::Json(json) if verify.covers_all() && !json.has_short_paths() => {
            concerns.push(Concern::UnreadableText { field: "body".into() });
        }
        Body::Json(_) => {}
        Body::Form(form) => {
            let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
            for pair in form.pairs().iter().filter(|pair| is_believed(verify, &String::from_utf8_lossy(&pair.name))) {
                if !is_text(&pair.name) || !is_text(&pair.value) {
                    concerns.push(Concern::UnreadableText { field: quote(&String::from_utf8_lossy(&pair.name)) });
                }
            }
        }
    }
    Ok(())
}

/// Whether a pair is believed.
fn is_believed(verify: &Verify, name: &str) -> bool {
    verify.covers_all()
        || verify.covered().any(|one| matches!(&one.place, Place::Form(own) | Place::Query(own) if own == name))
}

/// Every believed field as text. Where only single values are signed, the others are anybody's word, and nobody who
/// reads the fields of a genuine message expects such.
pub(super) fn fields(
    verify: &Verify,
    message: &Message<'_>,
    items: Option<&[&Json]>,
) -> Result<Vec<(String, String)>, Rejection> {
    let mut fields = Vec::new();
    match message.body()? {
        Body::Json(json) if verify.covers_all() => {
            json.flatten("", &mut fields);
        }
        Body::Json(_) => single_fields(verify, message, items.unwrap_or_default(), &mut fields),
        Body::Form(form) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let pairs = form.pairs().iter().map(|pair| (text(&pair.name), text(&pair.value)));
            fields.extend(pairs.filter(|(name, _)| is_believed(verify, name)));
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
    for reference in verify.covered() {
        if let Place::Json(pointer) = &reference.place {
            push(pointer.names().iter().map(String::as_str).collect(), reference, None);
        }
    }
    let Some(Items { from, unwrap }) = &verify.items else { return };
    let Place::Json(list) = &from.place else { return };
    for (index, item) in items.iter().enumerate() {
        let index = index.to_string();
        for reference in verify.covered() {
            if let Place::Item(pointer) = &reference.place {
                let inner = unwrap.names().iter().chain(pointer.names());
                let path = list.names().iter().chain([&index]).chain(inner).map(String::as_str).collect();
                push(path, reference, Some(item));
            }
        }
    }
}
