//! A recipe, told from the platform's side: a story becomes a message at the places that the recipe names.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, RsaKeyPair};

use crate::json::Json;
use crate::model::{Currency, EventKind, Money, RawRequest, Timestamp};
use crate::platforms::custom::draft::{Doc, Draft, quoted};
use crate::platforms::custom::fetch::Fetch;
use crate::platforms::custom::message::{BodyForm, Message};
use crate::platforms::custom::primitive::Primitive;
use crate::platforms::custom::rules::{AmountForm, AmountRule, CurrencyRule, Rule};
use crate::platforms::custom::schema::{Evidence, Recipe, Signed, Token, Trust};
use crate::platforms::custom::signature::{Carrier, Want, Writing};
use crate::platforms::custom::template::{Place, Reference, Template};
use crate::platforms::custom::time::Clock;
use crate::settings::SettingsError;
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Mirror, Story};

/// The private half of a public key.
#[derive(Debug)]
pub(super) enum Pair {
    /// Of RSA.
    Rsa(Box<RsaKeyPair>),
    /// Of Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
}

/// A recipe, told from the platform's side.
pub(super) struct Reflection {
    pub(super) recipe: Recipe,
    pair: Option<Pair>,
}

impl Mirror for Reflection {
    fn stories(&self) -> Vec<EventKind> {
        self.recipe.rules.kinds()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        self.told(story).0
    }
}

impl Reflection {
    /// Where a shared secret signs, the recipe has it. Elsewhere it takes the platform's own key.
    ///
    /// # Errors
    /// `not_supported` when there is no such key.
    pub(super) fn new(recipe: Recipe, pair: Option<Pair>) -> Result<Self, SettingsError> {
        let primitive = recipe.verify.signed().map(|signed| &signed.primitive);
        let is_public = matches!(primitive, Some(Primitive::Rsa(_) | Primitive::Ed25519(_)));
        if is_public && pair.is_none() {
            return Err(SettingsError::new("public_key", "not_supported").because("only the platform can sign"));
        }
        Ok(Self { recipe, pair })
    }

    /// The message, and what the platform answers when it is asked about it.
    pub(super) fn told(&self, story: &Story) -> (RawRequest, Doc) {
        let mut draft = Draft::at(story.path.clone());
        self.tell(story, &mut draft);
        if let Some(signed) = self.recipe.verify.signed() {
            self.sign(signed, story, &mut draft);
        }
        (draft.request(&self.recipe.verify, story.at), draft.answer)
    }

    /// The number that a message about a story names.
    pub(super) fn number(&self, story: &Story) -> String {
        let Some(fetch) = self.recipe.verify.fetch() else { return String::new() };
        // Some platforms are asked by the merchant's own order number.
        let is_order = |reference: &Reference| Some(&reference.place) == fetch.same().map(|same| &same.place);
        let is_by_order = self.rule(story.kind).is_some_and(|(_, rule)| rule.fields.order.iter().any(is_order));
        if is_by_order && fetch.takes(&story.order_no) {
            return story.order_no.clone();
        }
        fetch.sample(&name_of(&format!("{} {}", story.order_no, story.serial)))
    }

    /// An answer in which the member that decides stands twice.
    pub(super) fn doubled(&self, answer: &str) -> String {
        let Place::Answer(pointer) = &self.recipe.rules.kind.place else { return answer.to_owned() };
        let Some(name) = pointer.names().last() else { return answer.to_owned() };
        let member = format!("{}:", quoted(name));
        answer.replacen(&member, &format!("{member}\"twice\",{member}"), 1)
    }

    /// An answer about another number.
    pub(super) fn renumbered(&self, answer: &str) -> String {
        let Some(same) = self.recipe.verify.fetch().and_then(Fetch::same) else { return answer.to_owned() };
        let message = Message::answer(answer.as_bytes());
        let number = message.text(same, None).ok().flatten().unwrap_or_default().into_owned();
        answer.replace(&*quoted(&number), &quoted(&format!("{number}1")))
    }

    /// The first type that means this, and its rule: where there is one, a rule that says when it holds, and not what
    /// remains behind others.
    fn rule(&self, kind: EventKind) -> Option<(&str, &Rule)> {
        let all =
            || self.recipe.rules.map.iter().flat_map(|(word, rules)| rules.iter().map(move |rule| (word, rules, rule)));
        let mut meant = all().filter(|(_, _, rule)| rule.event == kind);
        let own = meant.clone().find(|(_, rules, rule)| !rule.when.is_empty() || rules.len() == 1);
        own.or_else(|| meant.next()).map(|(word, _, rule)| (word.as_str(), rule))
    }

    /// Everything but the signature.
    fn tell(&self, story: &Story, draft: &mut Draft) {
        let Recipe { verify, rules, .. } = &self.recipe;
        let found = self.rule(story.kind);
        if !story.note.is_empty() {
            let note = &["note".to_owned()];
            draft.json.set(note, Doc::text(&story.note));
            draft.answer.set(note, Doc::text(&story.note));
            let pairs = if verify.body == BodyForm::Query { &mut draft.query } else { &mut draft.form };
            pairs.push(("note".to_owned(), story.note.clone()));
        }
        if let Some((word, rule)) = found {
            draft.set(&rules.kind, Doc::text(word));
            self.tell_rule(story, rule, draft);
        }
        let message_no = format!("evt_{}", name_of(&format!("{} {} {}", story.kind, story.order_no, story.serial)));
        for reference in rules.id.iter().take(1) {
            draft.set(reference, Doc::text(&message_no));
        }
        if rules.id.is_empty() && matches!(verify.trust, Trust::Message(_)) {
            // The body is the number: two callbacks of one story differ in it.
            draft.json.set(&["sample".to_owned()], Doc::text(&message_no));
            draft.form.push(("sample".to_owned(), message_no.clone()));
        }
        for account in rules.account.iter().take(1) {
            draft.set(account, Doc::text(&self.recipe.account));
        }
        for (reference, expected) in &verify.require {
            draft.set(reference, Doc::text(expected));
        }
        if let Some(live) = &verify.live
            && let Some(own) = live.own.iter().find(|own| !own.is_empty())
        {
            draft.set(&live.from, Doc::bare(own));
        }
        for (reference, names) in &verify.algorithms {
            draft.set(reference, Doc::text(names.first().map_or("", String::as_str)));
        }
        match (&verify.trust, verify.signed()) {
            (Trust::Answer { evidence: Evidence::Token(token), .. }, _) => Self::show_token(token, draft),
            (_, Some(signed)) => Self::tell_signed(signed, story, &message_no, draft),
            (Trust::Answer { .. } | Trust::Message(_), None) => {}
        }
        if let Some(fetch) = verify.fetch() {
            let number = self.number(story);
            draft.set(fetch.id(), Doc::text(&number));
            if let Some(reference) = fetch.same() {
                draft.set(reference, Doc::text(&number));
            }
        }
    }

    fn show_token(token: &Token, draft: &mut Draft) {
        let Some(key) = token.keys.0.first() else { return };
        let shown = String::from_utf8_lossy(key.key.token()).into_owned();
        draft.set(&token.from, Doc::text(&format!("{}{shown}", token.prefix)));
    }

    /// What a signature needs beside the message.
    fn tell_signed(signed: &Signed, story: &Story, message_no: &str, draft: &mut Draft) {
        if let Some(stamp) = &signed.stamp {
            set_time(draft, &stamp.clock, story.at);
        }
        if let (Some(reference), Some(id)) = (&signed.key_id, signed.primitive.first_id()) {
            draft.set(reference, Doc::text(id));
        }
        // Whatever else is signed must be there.
        for reference in signed.templates.iter().take(1).flat_map(Template::references) {
            if !draft.has(reference) {
                draft.set(reference, Doc::text(message_no));
            }
        }
    }

    fn tell_rule(&self, story: &Story, rule: &Rule, draft: &mut Draft) {
        let fields = &rule.fields;
        let payment = format!("P{}", name_of(&story.order_no));
        let number = match &story.refund_no {
            Some(refund) => format!("R{}", name_of(refund)),
            None => payment.clone(),
        };
        // The parts of a name beside its first one are set by what they mean, or come at the end.
        if let Some(reference) = fields.number.first().and_then(|name| name.template.references().next()) {
            draft.set(reference, Doc::text(&number));
        }
        if let Some(reference) = fields.order.first() {
            draft.set(reference, Doc::text(&story.order_no));
        }
        if let Some(reference) = fields.payment.first().filter(|_| story.kind.follows_payment()) {
            draft.set(reference, Doc::text(&payment));
        }
        if let Some(payee) = &fields.payee {
            draft.set(payee, Doc::text(&self.recipe.account));
        }
        if let Some(clock) = &fields.time {
            set_time(draft, clock, story.at);
        }
        for told in rule.also.iter().chain([rule]) {
            if let Some(amount) = told.fields.amount.written() {
                let is_refund = told.event == EventKind::RefundSucceeded;
                set_amount(draft, amount, if is_refund { story.refunded_minor } else { story.amount_minor });
            }
        }
        // An amount may be what a rule is chosen by.
        for condition in &rule.when {
            draft.set(&condition.from, Doc::text(condition.texts.first().map_or("", String::as_str)));
        }
        for reference in fields.number.iter().take(1).flat_map(|name| name.template.references()) {
            if !draft.has_value(reference) {
                draft.set(reference, Doc::text(&number));
            }
        }
    }

    fn sign(&self, signed: &Signed, story: &Story, draft: &mut Draft) {
        let verify = &self.recipe.verify;
        let request = draft.request(verify, story.at);
        let message = Message::new(&request, verify.body);
        message.set_sig(draft.sig.clone());
        let item = Json::parse(draft.item.to_text().as_bytes()).ok();
        let Some(template) = signed.templates.first() else { return };
        let Ok(text) = message.render(template, item.as_ref()) else { return };
        let signature = match (&signed.primitive, &self.pair) {
            (Primitive::Hmac { keys, .. }, _) => keys.0.first().map(|key| key.key.sign(&text.text)),
            (Primitive::Digest { keys, .. }, _) => keys.0.first().and_then(|key| key.key.sign(&text.pieces())),
            (Primitive::Rsa(_), Some(Pair::Rsa(pair))) => sign_sha256(pair, &text.text),
            (Primitive::Ed25519(_), Some(Pair::Ed25519(pair))) => Some(pair.sign(&text.text).as_ref().to_vec()),
            (Primitive::Rsa(_) | Primitive::Ed25519(_), _) => None,
        };
        let Some(signature) = signature else { return };
        let id = signed.primitive.first_id().unwrap_or_default().to_owned();
        let written = write(&signed.carrier, &signed.carrier.encoding.encode(&signature), &draft.sig, &id);
        drop(text);
        drop(message);
        draft.set(&signed.carrier.from, Doc::text(&written));
    }
}

/// The carrier's text.
fn write(carrier: &Carrier, signature: &str, pairs: &[(String, String)], id: &str) -> String {
    let text = match &carrier.writing {
        Writing::Whole { prefix } | Writing::List { prefix, version: None, .. } => format!("{prefix}{signature}"),
        Writing::Pairs { pair_sep, kv_sep, want } => {
            let want = match want {
                Want::Named(want) => want,
                Want::KeyId => id,
            };
            let own = [(want.to_owned(), signature.to_owned())];
            let written: Vec<String> =
                pairs.iter().chain(&own).map(|(key, value)| format!("{key}{kv_sep}{value}")).collect();
            written.join(pair_sep)
        }
        Writing::List { prefix, version: Some(version), .. } => {
            format!("{}{}{prefix}{signature}", version.want, version.sep)
        }
    };
    if carrier.is_percent_encoded {
        percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
    } else {
        text
    }
}

/// Puts a time as the platform writes it.
fn set_time(draft: &mut Draft, clock: &Clock, at: Timestamp) {
    draft.set(&clock.from, Doc::bare(&clock.unit.write(at)));
}

/// Puts an amount as the platform writes it.
fn set_amount(draft: &mut Draft, rule: &AmountRule, minor: i64) {
    let currency = match &rule.currency {
        CurrencyRule::Fixed(currency) => *currency,
        CurrencyRule::From(reference) => {
            let currency = Currency::parse("USD").unwrap_or(Currency::CNY);
            draft.set(reference, Doc::text(currency.code()));
            currency
        }
    };
    let (iso, own) =
        (currency.iso_exponent(), rule.exponents.get(currency.code()).copied().unwrap_or(currency.iso_exponent()));
    let scale = 10_i64.saturating_pow(u32::from(own.abs_diff(iso)));
    let written = if own >= iso { minor.saturating_mul(scale) } else { minor / scale };
    let value = match rule.form {
        AmountForm::MinorInt => Doc::Raw(written.to_string()),
        AmountForm::MinorString => Doc::Text(written.to_string()),
        AmountForm::DecimalString => Doc::Text(Money { minor, currency }.to_text()),
        AmountForm::DecimalNumber => Doc::Raw(Money { minor, currency }.to_text()),
    };
    draft.set(&rule.value, value);
}

/// A short name made of a longer one, so that one order has one payment.
pub(super) fn name_of(text: &str) -> String {
    let name = digest(&SHA256, text.as_bytes());
    let number = name.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:020}")
}
