//! What PayPal answers: certificates by their word, with the authority between each and the root; and events by their id,
//! to whoever shows the application's credentials.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{
    AUTHORITY, CERTIFICATE_NAME, COVER, EARLY, LATE, PLATFORM, STORIES, Side, event, event_id, issue, key, seed, words,
};
use crate::channel::{ANSWER_BYTES_MAX, HttpAnswer, HttpAsk};
use crate::model::{EventKind, RawRequest, Timestamp};
use crate::platforms::paypal::api;
use crate::platforms::paypal::certificate::PATH;
use crate::platforms::paypal::settings::{API_BASE, AUTHORITIES, CONFIRM};
use crate::settings::SettingValue;
use crate::simulate::certificate::Name;
use crate::simulate::{ApiConduct, ApiOffice, Conduct, Cover, Genuine, KeyOffice, Story, WrittenSetting};

const ROOT: Name = Name { common: "Demo Root CA", unit: "Certification Authority", organization: "tollbell demo" };
/// Somebody else whom the same authority knows.
const SHOP: Name = Name { common: "www.shop.example", unit: "shop", organization: "A shop" };

fn base(base: &str) -> WrittenSetting {
    WrittenSetting { name: API_BASE, value: SettingValue::Text(base.to_owned()), file_name: None }
}

/// Hands out the certificate of its own key.
pub(super) struct CertificateOffice {
    root: Arc<RsaKeyPair>,
    authority: Arc<RsaKeyPair>,
    side: Side,
    /// Somebody with a root and an authority of the same names.
    stranger: Side,
}

impl CertificateOffice {
    pub(super) fn new() -> Self {
        let fresh = || Arc::clone(Side::new().pair());
        Self { root: fresh(), authority: fresh(), side: Side::new(), stranger: Side::new() }
    }

    /// The certificate between the root and the platform's.
    fn middle(&self) -> String {
        issue(2, &self.authority, AUTHORITY, (&self.root, ROOT), [EARLY, LATE], true)
    }

    fn leaf(&self, serial: u64, of: &Side, subject: Name, until: &str) -> String {
        issue(serial, of.pair(), subject, (&self.authority, AUTHORITY), [EARLY, until], false)
    }
}

impl KeyOffice for CertificateOffice {
    fn written_settings(&self, at: &str) -> Vec<WrittenSetting> {
        let root = issue(3, &self.root, ROOT, (&self.root, ROOT), [EARLY, LATE], true);
        let mut written = self.side.ids();
        written.push(words(CONFIRM, &["never"]));
        written.push(key(AUTHORITIES, root.as_bytes(), "paypal_ca.pem"));
        written.push(base(at));
        written
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.side.tell(story)
    }

    fn answer(&self, ask: &HttpAsk, _: Timestamp, conduct: Conduct) -> HttpAnswer {
        let name = ask.url.split_once(PATH).map_or("", |(_, name)| name);
        let honest = || self.leaf(10, &self.side, PLATFORM, LATE) + &self.middle();
        let body = match conduct {
            Conduct::Absent => return plain(404, "Not Found"),
            Conduct::Broken => return plain(500, "Internal Server Error"),
            Conduct::Garbage => return plain(200, "<html>welcome</html>"),
            _ if name != CERTIFICATE_NAME => return plain(404, "Not Found"),
            Conduct::BadSignature => {
                let by = (&**self.stranger.pair(), AUTHORITY);
                issue(10, self.side.pair(), PLATFORM, by, [EARLY, LATE], false) + &self.middle()
            }
            Conduct::Stranger => {
                let own = &**self.stranger.pair();
                let leaf = issue(10, own, PLATFORM, (own, AUTHORITY), [EARLY, LATE], false);
                leaf + &issue(2, own, AUTHORITY, (own, ROOT), [EARLY, LATE], true)
            }
            // A certificate without the one that leads to the root.
            Conduct::OtherSerial => self.leaf(10, &self.side, PLATFORM, LATE),
            Conduct::Ended => self.leaf(10, &self.side, PLATFORM, "2021-01-01T00:00:00Z") + &self.middle(),
            Conduct::OtherParty => self.leaf(11, &self.side, SHOP, LATE) + &self.middle(),
            // The authority in place of what it issued.
            Conduct::Unasked => self.middle(),
            Conduct::Cut => {
                let body = honest();
                body[..body.len() / 2].to_owned()
            }
            Conduct::Huge => honest() + &" ".repeat(ANSWER_BYTES_MAX),
            Conduct::Honest => honest(),
        };
        plain(200, &body)
    }
}

fn plain(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
}

/// The events of an application, and what it knows of them.
pub(super) struct EventOffice {
    side: Side,
    told: Mutex<BTreeMap<String, Story>>,
}

impl EventOffice {
    pub(super) fn new() -> Self {
        Self { side: Side::new(), told: Mutex::default() }
    }
}

impl ApiOffice for EventOffice {
    fn written_settings(&self, at: &str) -> Vec<WrittenSetting> {
        let mut written = self.side.ids();
        written.extend(self.side.credentials());
        written.push(self.side.certificate());
        written.push(base(at));
        written
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    /// The delivery, of which nothing but the id counts.
    fn hint(&self, story: &Story) -> RawRequest {
        let id = event_id(&format!("{}/{}", story.order_no, story.serial));
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), story.clone());
        self.side.deliver(&event(story, &id), &seed(story), story.at)
    }

    fn cover(&self) -> Cover {
        COVER
    }

    fn answer(&self, ask: &HttpAsk, conduct: ApiConduct) -> HttpAnswer {
        let secret = self.side.secret();
        let expected = format!("Basic {}", STANDARD.encode(format!("{}:{}", self.side.client(), *secret)));
        let shown = ask.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if shown != Some(expected.as_str()) || conduct == ApiConduct::Denied {
            return answer(
                401,
                &json!({ "error": "invalid_client", "error_description": "Client Authentication failed" }),
            );
        }
        match conduct {
            ApiConduct::Broken => return answer(500, &json!({ "name": "INTERNAL_SERVER_ERROR" })),
            ApiConduct::Throttled => {
                let mut answer = answer(429, &json!({ "name": "RATE_LIMIT_REACHED" }));
                answer.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                return answer;
            }
            ApiConduct::Garbage => return plain(200, "<html>busy</html>"),
            ApiConduct::Empty => return plain(200, ""),
            _ => {}
        }
        let id = ask.url.split_once(api::PATH).map_or("", |(_, id)| id);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(story) = told.get(id) else { return answer(404, &json!({ "name": "INVALID_RESOURCE_ID" })) };
        let mut event = event(story, id);
        if conduct == ApiConduct::OtherNumber {
            event["id"] = json!("WH-0");
        }
        let honest = answer(200, &event);
        let body = match conduct {
            ApiConduct::Cut => honest.body.slice(..honest.body.len() / 2),
            ApiConduct::Twice => [b"{\"id\":\"WH-0\",", &honest.body[1..]].concat().into(),
            ApiConduct::Huge => [&honest.body[..], &vec![b' '; ANSWER_BYTES_MAX]].concat().into(),
            _ => honest.body.clone(),
        };
        HttpAnswer { body, ..honest }
    }
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    HttpAnswer { status, headers, body: body.to_string().into() }
}
