//! What PayPal answers: certificates by their word, with the authority between each and the root; access tokens to whoever
//! shows the application's credentials; and events by their id, to whoever shows such a token.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
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
use crate::signature::key::hex;
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

/// How long a token lasts, in seconds; PayPal's own last as long.
const TOKEN_LASTS: u32 = 32_400;

/// The events of an application, and what it knows of them.
pub(super) struct EventOffice {
    side: Side,
    told: Mutex<BTreeMap<String, Story>>,
    tokens: Mutex<Tokens>,
}

/// Most tokens that are valid at the same time; the oldest ends when there is another one.
const TOKENS_MAX: usize = 64;

/// The tokens that were given and have not ended, the oldest first.
#[derive(Default)]
struct Tokens {
    given: u64,
    valid: VecDeque<String>,
}

impl EventOffice {
    pub(super) fn new() -> Self {
        Self { side: Side::new(), told: Mutex::default(), tokens: Mutex::default() }
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to the application's credentials.
    fn token(&self, ask: &HttpAsk, conduct: ApiConduct) -> HttpAnswer {
        let secret = self.side.secret();
        let expected = format!("Basic {}", STANDARD.encode(format!("{}:{}", self.side.client(), *secret)));
        let media_type = ask.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if shown(ask) != Some(expected.as_str()) || conduct == ApiConduct::Denied {
            return answer(
                401,
                &json!({ "error": "invalid_client", "error_description": "Client Authentication failed" }),
            );
        }
        if ask.method != Method::POST
            || media_type != Some("application/x-www-form-urlencoded")
            || ask.body != api::TOKEN_FORM
        {
            return answer(
                400,
                &json!({ "error": "unsupported_grant_type", "error_description": "Grant Type is NULL" }),
            );
        }
        let mut tokens = self.tokens();
        tokens.given += 1;
        let token = format!("A21AA{}_{:06}-x", hex(digest(&SHA256, secret.as_bytes()).as_ref()), tokens.given);
        let kind = if conduct == ApiConduct::OtherNumber { "mac" } else { "Bearer" };
        let honest = json!({
            "scope": "https://uri.paypal.com/services/applications/webhooks openid",
            "access_token": token,
            "token_type": kind,
            "app_id": "APP-80W284485P519543T",
            "expires_in": TOKEN_LASTS,
            "nonce": "2026-11-21T04:00:00ZYn_nv00",
        });
        tokens.valid.push_back(token);
        if tokens.valid.len() > TOKENS_MAX {
            tokens.valid.pop_front();
        }
        damaged(answer(200, &honest), b"{\"access_token\":\"A21AAother\",", conduct)
    }
}

/// What a request shows.
fn shown(ask: &HttpAsk) -> Option<&str> {
    ask.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok())
}

/// An answer as this conduct has it; `twice` is its beginning with a member that comes again.
fn damaged(honest: HttpAnswer, twice: &[u8], conduct: ApiConduct) -> HttpAnswer {
    let body = match conduct {
        ApiConduct::Cut => honest.body.slice(..honest.body.len() / 2),
        ApiConduct::Twice => [twice, &honest.body[1..]].concat().into(),
        ApiConduct::Huge => [&honest.body[..], &vec![b' '; ANSWER_BYTES_MAX]].concat().into(),
        _ => honest.body.clone(),
    };
    HttpAnswer { body, ..honest }
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
        if ask.url.ends_with(api::TOKEN_PATH) {
            return self.token(ask, conduct);
        }
        // The application's credentials are no token.
        let token = shown(ask).and_then(|shown| shown.strip_prefix("Bearer ")).unwrap_or_default();
        if conduct == ApiConduct::Denied || !self.tokens().valid.iter().any(|valid| valid == token) {
            return answer(
                401,
                &json!({ "error": "invalid_token", "error_description": "Token signature verification failed" }),
            );
        }
        let id = ask.url.split_once(api::PATH).map_or("", |(_, id)| id);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(story) = told.get(id) else { return answer(404, &json!({ "name": "INVALID_RESOURCE_ID" })) };
        let mut event = event(story, id);
        if conduct == ApiConduct::OtherNumber {
            event["id"] = json!("WH-0");
        }
        damaged(answer(200, &event), b"{\"id\":\"WH-0\",", conduct)
    }

    fn end_logins(&self) {
        self.tokens().valid.clear();
    }
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    HttpAnswer { status, headers, body: body.to_string().into() }
}
