//! The question about a payment, and what its answer says (Mollie, "get payment": `GET /v2/payments/{id}`, with refunds
//! and chargebacks embedded).

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::facts::{self, Told};
use super::{FORM, Mollie, Protocol, event, payment_id, payment_number, protocol};
use crate::channel::{
    Answered, Credential, FetchBack, FetchRefused, Fetched, Hint, HintNumber, NextAsk, Pace, Question,
};
use crate::json::Json;
use crate::model::{Notification, Proven, RawRequest, Scope, Timestamp};

/// Path of a payment, before its id.
pub(super) const PATH: &str = "/v2/payments/";

/// What the answer brings beside the payment.
pub(super) const EMBED: &str = "embed=refunds,chargebacks";

impl FetchBack for Mollie {
    fn ask(&self, hint: &Hint, _: Option<&Credential>, _: Timestamp) -> NextAsk {
        let api = self.config.api.as_ref().expect("a channel without a key does not ask");
        let mode = if api.says_test_mode { "&testmode=true" } else { "" };
        let path = format!("{PATH}{}?{EMBED}{mode}", hint.number());
        NextAsk::Question(Question::get(hint, &api.interface, &path, &api.credential))
    }

    fn read(&self, answered: Answered, now: Timestamp) -> Result<Fetched, FetchRefused> {
        let malformed = |field| FetchRefused::Malformed { field };
        let Some(body) = answered.body(now)? else { return Ok(Fetched::Unknown) };
        let payment = Json::parse(body).map_err(|_| malformed("body"))?;
        let text = |name: &str| payment.get(name).and_then(Json::text).filter(|text| !text.is_empty());
        if text("resource") != Some("payment") {
            return Err(malformed("resource"));
        }
        if text("id") != Some(answered.number().as_str()) {
            return Err(FetchRefused::OtherNumber);
        }
        match text("mode") {
            Some(mode) if facts::environment_of(mode) == Some(self.config.environment) => {}
            Some("live" | "test") => return Err(FetchRefused::OtherEnvironment),
            _ => return Err(malformed("mode")),
        }
        let status = text("status").ok_or_else(|| malformed("status"))?;
        let mut told = Told::default();
        facts::payment(&self.config, &payment, &mut told);
        if status == "open" && told.facts.is_empty() && told.concerns.is_empty() {
            return Ok(Fetched::Nothing);
        }
        // The status stays `paid` after refunds: the totals tell one answer from the next.
        let total = |name| payment.get(name).and_then(|amount| amount.get("value")).and_then(Json::text).unwrap_or("0");
        let platform_id =
            format!("{}/{status}/{}/{}", answered.number(), total("amountRefunded"), total("amountChargedBack"));
        let notification = Notification {
            scope: facts::scope(&self.config),
            platform_id: facts::bounded(&platform_id),
            platform_kind: format!("payment.{}", facts::bounded(status)),
            sent_at: None,
            facts: told.facts,
            concerns: told.concerns,
        };
        Ok(Fetched::Notification(Proven::by_platform_api(notification, answered)))
    }

    /// The classic call: a script that knows the platform reads the payment by itself.
    fn callback(&self, kept: &RawRequest) -> Option<RawRequest> {
        let payment = Json::parse(&kept.body).ok()?;
        let id = payment_id(payment.get("id")?.text()?.as_bytes())?;
        let mut headers = http::HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        Some(RawRequest {
            method: Method::POST,
            path: "/".to_owned(),
            query: None,
            headers,
            body: format!("id={id}").into(),
            source: None,
            received_at: kept.received_at,
        })
    }

    fn makes_callbacks(&self) -> bool {
        true
    }

    fn pace(&self) -> Pace {
        Pace::USUAL
    }

    /// The payment: its answer has its refunds and chargebacks with it.
    fn named(&self, message: &RawRequest) -> Option<HintNumber> {
        match protocol(message).ok()? {
            Protocol::Classic => payment_number(message).ok(),
            Protocol::Event => event::payment(&Json::parse(&message.body).ok()?),
        }
    }
}

/// Where everything of a profile is unique.
pub(super) fn scope_of(account: &str, environment: crate::model::Environment) -> Scope {
    Scope { environment, family: super::FAMILY, account: account.to_owned() }
}
