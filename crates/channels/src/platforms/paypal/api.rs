//! The question about an event, and what its answer says: the event as the platform keeps it ("show event notification
//! details", `GET /v1/notifications/webhooks-events/{id}`). It has the form of a delivery's body, for every type alike, and
//! comes from the platform itself, so it does not matter what a body says that only a checksum vouched for.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::{BODY_BYTES_MAX, PayPal, facts};
use crate::channel::{Answered, FetchBack, FetchRefused, Fetched, Hint, HintNumber, Pace, Question};
use crate::json::Json;
use crate::model::{Proven, RawRequest, Timestamp};
use crate::platforms::signed_body::JSON;

/// Path of an event, before its id.
pub(super) const PATH: &str = "/v1/notifications/webhooks-events/";

/// The event that a body names.
pub(super) fn number(event: &Json) -> Option<HintNumber> {
    match event.get("id")? {
        Json::Text(id) => HintNumber::new(id),
        _ => None,
    }
}

impl FetchBack for PayPal {
    fn credential(&self) -> &'static str {
        super::settings::SECRET
    }

    fn ask(&self, hint: &Hint, _: Timestamp) -> Question {
        let api = self.config.api.as_ref().expect("a channel without credentials does not ask");
        Question::get(hint, &api.interface, &format!("{PATH}{}", hint.number()), &api.credential)
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

    fn pace(&self) -> Pace {
        Pace::USUAL
    }

    fn named(&self, message: &RawRequest) -> Option<HintNumber> {
        let is_small = message.body.len() <= BODY_BYTES_MAX;
        is_small.then(|| Json::parse(&message.body).ok()).flatten().and_then(|event| number(&event))
    }
}
