//! The question about an event, and what its answer says: the event as the platform keeps it ("show event notification
//! details", `GET /v1/notifications/webhooks-events/{id}`). It has the form of a delivery's body, for every type alike, and
//! comes from the platform itself, so it does not matter what a body says that only a checksum vouched for.
//!
//! The question shows an access token, which the application's credentials give for some hours ("get an access token",
//! `POST /v1/oauth2/token`).

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::settings::Api;
use super::{BODY_BYTES_MAX, PayPal, facts};
use crate::channel::{
    Answered, Credential, FetchBack, FetchRefused, Fetched, Grant, Hint, HintNumber, Login, NextAsk, Pace, Question,
};
use crate::json::Json;
use crate::model::{Proven, RawRequest, Timestamp};
use crate::platforms::signed_body::JSON;

/// Path of an event, before its id.
pub(super) const PATH: &str = "/v1/notifications/webhooks-events/";

/// Path of the access tokens.
pub(super) const TOKEN_PATH: &str = "/v1/oauth2/token";

/// What is asked for there.
pub(super) const TOKEN_FORM: &str = "grant_type=client_credentials";

/// The event that a body names.
pub(super) fn number(event: &Json) -> Option<HintNumber> {
    match event.get("id")? {
        Json::Text(id) => HintNumber::new(id),
        _ => None,
    }
}

/// The access token, by the application's credentials.
fn login(api: &Api) -> Login {
    Login::post(&api.interface, TOKEN_PATH, &api.credential, TOKEN_FORM, grant)
}

/// The token in an answer: one of type `Bearer`, and for how many seconds. Whatever else is said, its scopes and the
/// application's id among it, changes nothing.
fn grant(body: &[u8]) -> Result<Grant, FetchRefused> {
    let malformed = |field| FetchRefused::Malformed { field };
    let Ok(Json::Object(members)) = Json::parse(body) else { return Err(malformed("body")) };
    let (mut token, mut kind, mut lasts) = (None, None, None);
    for (name, value) in members {
        match name.as_str() {
            "access_token" => token = Some(value),
            "token_type" => kind = Some(value),
            "expires_in" => lasts = Some(value),
            _ => {}
        }
    }
    // Taken before anything else is judged, so that it is overwritten on every way out.
    let Some(Json::Text(token)) = token else { return Err(malformed("access_token")) };
    let token = Zeroizing::new(token);
    match kind {
        // Its case says nothing (RFC 6749, 5.1).
        Some(Json::Text(kind)) if kind.eq_ignore_ascii_case("Bearer") => {}
        _ => return Err(malformed("token_type")),
    }
    let seconds: u32 = match &lasts {
        Some(Json::Number(digits)) => digits.parse().ok().filter(|seconds| *seconds > 0),
        _ => None,
    }
    .ok_or_else(|| malformed("expires_in"))?;
    let lasts = Duration::from_secs(u64::from(seconds));
    Grant::bearer(token, lasts).ok_or_else(|| malformed("access_token"))
}

impl FetchBack for PayPal {
    fn credential_label(&self) -> &'static str {
        super::settings::SECRET
    }

    fn ask(&self, hint: &Hint, credential: Option<&Credential>, now: Timestamp) -> NextAsk {
        let api = self.config.api.as_ref().expect("a channel without credentials does not ask");
        NextAsk::behind(login(api), credential, now, |token| {
            Question::get(hint, &api.interface, &format!("{PATH}{}", hint.number()), token)
        })
    }

    fn read(&self, answered: Answered, now: Timestamp) -> Result<Fetched, FetchRefused> {
        let malformed = |field| FetchRefused::Malformed { field };
        let Some(body) = answered.body(now)? else { return Ok(Fetched::Unknown) };
        if body.len() > BODY_BYTES_MAX {
            return Err(FetchRefused::TooLarge { limit: BODY_BYTES_MAX });
        }
        let event = Json::parse(body).map_err(|_| malformed("body"))?;
        let id = number(&event).ok_or_else(|| malformed("id"))?;
        if id != *answered.number() {
            return Err(FetchRefused::OtherNumber);
        }
        if !matches!(event.get("event_type"), Some(Json::Text(_))) {
            return Err(malformed("event_type"));
        }
        let notification = facts::read(&self.config, &event, id.as_str().to_owned(), None);
        Ok(Fetched::Notification(Proven::by_platform_api(notification, answered)))
    }

    /// The event as a delivery has it. No signature is made up for it: a script that looks for one must be told to ask the
    /// platform, or to believe the gateway.
    fn callback(&self, kept: &RawRequest) -> Option<RawRequest> {
        number(&Json::parse(&kept.body).ok()?)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        Some(RawRequest {
            method: Method::POST,
            path: "/".to_owned(),
            query: None,
            headers,
            body: kept.body.clone(),
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

    fn named(&self, message: &RawRequest) -> Option<HintNumber> {
        let is_small = message.body.len() <= BODY_BYTES_MAX;
        is_small.then(|| Json::parse(&message.body).ok()).flatten().and_then(|event| number(&event))
    }
}
