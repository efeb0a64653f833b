//! What a proven Alipay message asserts.
//!
//! Sources: Alipay Open Platform, "asynchronous notification" (fields, trade states), "agreement
//! notifications", "message service". An empty or blank value is an absent one in every reading. What is
//! genuine is never refused here: a value that cannot be understood becomes a [`Concern`], and a person looks.

mod message;
mod settle;
#[cfg(test)]
mod tests;
mod trade;
mod transfer;

use std::borrow::Cow;

use aws_lc_rs::digest;

use super::settings::Config;
use super::{FAMILY, canonical, times};
use crate::channel::quote;
use crate::charset::Charset;
use crate::form::{Form, Pair};
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{
    Amount, Concern, Currency, EventKind, Fact, Identity, Money, MoneyError, Notification, Scope, Timestamp,
};
use crate::signature::key::hex;

/// Kinds of notice that are known to have no money meaning for us (Alipay open-docs: notices to the
/// application gateway). Another kind that we do not know may have one, so it is held.
const NOTICES: &[&str] = &["servicemarket_order_notify", "open_app_auth_notify"];

/// Reads a message whose signature was checked. `message` is the string that was signed.
pub(super) fn read(config: &Config, form: &Form<'_>, sorted: &[&Pair<'_>], message: &[u8]) -> Notification {
    let mut reading = Reading::new(config, form, sorted, message);
    let facts = match (reading.word("msg_method"), reading.word("notify_type")) {
        (Some(method), None) => message::read(&mut reading, &method),
        (_, Some(kind)) if kind == "trade_status_sync" => trade::read(&mut reading),
        (_, Some(kind)) if kind == "dut_user_sign" => {
            agreement(&mut reading, EventKind::AgreementSigned, "NORMAL", "sign_time")
        }
        (_, Some(kind)) if kind == "dut_user_unsign" => {
            agreement(&mut reading, EventKind::AgreementCancelled, "UNSIGN", "unsign_time")
        }
        (_, kind) => {
            if !kind.is_some_and(|kind| NOTICES.contains(&kind.as_str())) {
                reading.unknown("notify_type");
            }
            vec![reading.other()]
        }
    };
    reading.finish(facts)
}

/// A withholding agreement that was signed or ended. Its number, state and time name the fact: a number
/// that is signed, cancelled and signed again gives three.
fn agreement(reading: &mut Reading<'_>, kind: EventKind, status: &str, time: &'static str) -> Vec<Fact> {
    match reading.get("status") {
        Some(found) if found == status => {}
        Some(_) => {
            reading.unknown("status");
            return vec![reading.other()];
        }
        None => {
            reading.missing("status");
            return vec![reading.other()];
        }
    }
    let Some(number) = reading.get("agreement_no").map(str::to_owned) else {
        reading.missing("agreement_no");
        return vec![reading.other()];
    };
    let mut name = format!("{number}:{status}");
    if let Some(time) = reading.get(time) {
        name.push(':');
        name.push_str(time);
    }
    let Some(identity) = reading.identity("agreement_no", name) else { return vec![reading.other()] };
    let mut fact = reading.fact(kind, identity, Amount::None);
    // The merchant's own number counts with a time only: nothing says that it is not used again after an end.
    if let (Some(number), Some(time)) = (reading.word("external_agreement_no"), reading.word(time)) {
        let name = format!("external:{number}:{status}:{time}");
        fact.aliases.extend(reading.identity("external_agreement_no", name));
    }
    fact.platform_no = Some(number);
    fact.order_no = reading.name("external_agreement_no");
    fact.occurred_at = reading.time(time);
    vec![fact]
}

/// A message while it is read.
struct Reading<'a> {
    config: &'a Config,
    /// Every field as text, mostly the form's own bytes.
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    concerns: Vec<Concern>,
    scope: Scope,
    platform_id: String,
}

impl<'a> Reading<'a> {
    fn new(config: &'a Config, form: &'a Form<'_>, sorted: &[&Pair<'_>], message: &[u8]) -> Self {
        let mut concerns = Vec::new();
        let label = form.present_ascii("charset");
        let charset = label.map_or(Some(Charset::Utf8), Charset::parse);
        if charset.is_none() {
            concerns.push(Concern::UnknownValue { field: "charset".into(), value: quote(label.unwrap_or_default()) });
        }
        let fields = decode(form, charset.unwrap_or(Charset::Utf8), &mut concerns);
        if let Some(name) = canonical::ambiguous_field(sorted) {
            concerns.push(Concern::Ambiguous { field: quote(&String::from_utf8_lossy(name)) });
        }
        // The digest of the signed string stands in for a number that is missing or too long to be one.
        let platform_id = value(&fields, "notify_id")
            .filter(|id| id.len() <= NAME_BYTES_MAX)
            .map_or_else(|| hex(digest::digest(&digest::SHA256, message).as_ref()), str::to_owned);
        let scope = Scope { environment: config.environment, family: FAMILY, account: String::new() };
        let mut reading = Self { config, fields, concerns, scope, platform_id };
        reading.check_payee();
        reading
    }

    /// Whose account it is, as the message says: what the merchant lists, and in which order, must not give the same
    /// payment another name. Only a message that names no payee is kept under the first one that is configured.
    ///
    /// A genuine message about another payee is not ours to refuse: it is kept under that payee's account, and held.
    fn check_payee(&mut self) {
        let seller = self.name("seller_id");
        if let Some(seller) = &seller
            && !self.config.sellers.contains(seller)
        {
            self.concern(Concern::ForeignPayee { payee: quote(seller) });
        }
        let auth_app_id = self.word("auth_app_id");
        if self.config.auth_app_ids.is_empty() {
            // Outside ISV mode the authorising application is the merchant's own.
            if let Some(other) = auth_app_id.filter(|id| *id != self.config.app_id) {
                self.concern(Concern::ForeignPayee { payee: quote(&other) });
            }
        } else if auth_app_id.is_none() && seller.is_none() {
            // In ISV mode one key serves many merchants, so something must say whose message it is.
            self.missing("auth_app_id");
        }
        self.scope.account = seller.or_else(|| self.config.sellers.first().cloned()).unwrap_or_default();
    }

    fn finish(mut self, facts: Vec<Fact>) -> Notification {
        let sent_at = self
            .time("notify_time")
            .or_else(|| self.get("utc_timestamp").and_then(times::read_millis))
            .or_else(|| self.time("gmt_payment"))
            .or_else(|| self.time("gmt_create"));
        // Without any time an old capture could not be told from a new message.
        if sent_at.is_none() {
            self.missing("notify_time");
        }
        let platform_kind = self.get("notify_type").or_else(|| self.get("msg_method")).map(quote).unwrap_or_default();
        Notification {
            scope: self.scope,
            platform_id: self.platform_id,
            platform_kind,
            sent_at,
            facts,
            concerns: self.concerns,
        }
    }

    /// A field's value; none when it is absent, empty or blank.
    fn get(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }

    /// A word that decides how to read on, in a copy of its own.
    fn word(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A number or account; one that is longer than any platform writes is not taken, and a concern.
    fn name(&mut self, name: &'static str) -> Option<String> {
        let text = self.word(name)?;
        if text.len() > NAME_BYTES_MAX {
            self.unknown(name);
            return None;
        }
        Some(text)
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.get(name).and_then(times::read)
    }

    /// An identity that holds the value of `field`; a concern when it cannot be one.
    fn identity(&mut self, field: &'static str, text: String) -> Option<Identity> {
        let identity = Identity::new(text);
        if identity.is_none() {
            self.unknown(field);
        }
        identity
    }

    fn fact(&self, kind: EventKind, identity: Identity, amount: Amount) -> Fact {
        Fact {
            kind,
            scope: self.scope.clone(),
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

    /// Genuine, and without a money meaning that we know.
    fn other(&self) -> Fact {
        let digest = || hex(digest::digest(&digest::SHA256, self.platform_id.as_bytes()).as_ref());
        // The number was checked to be short and not empty; the digest is both by nature.
        let identity = Identity::new(self.platform_id.clone()).or_else(|| Identity::new(digest()));
        let identity = identity.expect("a digest is a short text");
        let number = |names: [&str; 2]| {
            let text = names.into_iter().find_map(|name| self.get(name));
            text.filter(|text| text.len() <= NAME_BYTES_MAX).map(str::to_owned)
        };
        let mut other = self.fact(EventKind::Other, identity, Amount::None);
        other.order_no = number(["out_trade_no", "external_agreement_no"]);
        other.platform_no = number(["trade_no", "agreement_no"]);
        other
    }

    fn missing(&mut self, field: &str) {
        self.concern(Concern::MissingField { field: field.into() });
    }

    fn unreadable_amount(&mut self, field: &str) {
        self.concern(Concern::UnreadableAmount { field: field.into() });
    }

    fn contradiction(&mut self, field: &str) {
        self.concern(Concern::Contradiction { field: field.into() });
    }

    fn unknown(&mut self, field: &str) {
        let value = self.get(field).map(quote).unwrap_or_default();
        self.concern(Concern::UnknownValue { field: field.into(), value });
    }

    /// Each concern once.
    fn concern(&mut self, concern: Concern) {
        if !self.concerns.contains(&concern) {
            self.concerns.push(concern);
        }
    }
}

/// Decimals that Alipay writes: yuan with fen; other currencies by ISO 4217.
fn money(text: &str, currency: Currency) -> Result<Money, MoneyError> {
    Money::from_decimal(text, currency, currency.iso_exponent())
}

fn value<'f>(fields: &'f [(Cow<'_, str>, Cow<'_, str>)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value).filter(|value| !value.trim().is_empty())
}

/// Every field as text. Bytes that are no text in the declared charset are shown lossily and noted.
fn decode<'f>(form: &'f Form<'_>, charset: Charset, concerns: &mut Vec<Concern>) -> Vec<(Cow<'f, str>, Cow<'f, str>)> {
    let mut text = |bytes: &'f [u8], field: &[u8]| {
        charset.decode(bytes).unwrap_or_else(|_| {
            let field = quote(&charset.decode_lossy(field));
            concerns.push(Concern::UnreadableText { field });
            charset.decode_lossy(bytes)
        })
    };
    form.pairs().iter().map(|pair| (text(&pair.name, &pair.name), text(&pair.value, &pair.name))).collect()
}
