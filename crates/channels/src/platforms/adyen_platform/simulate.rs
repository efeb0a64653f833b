//! Adyen's side of platforms: messages with a throw-away key, and with a channel's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::SIGNATURE;
use super::settings::{ACCOUNT, Config};
use crate::model::{Environment, EventKind, RawRequest};
use crate::platforms::accounts::simulate::{key, number, post};
use crate::platforms::adyen::settings::KEY;
use crate::platforms::adyen::simulate::{fresh, hmac_key, import};
use crate::platforms::signed_body::JSON;
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::hmac::HmacKey;
use crate::simulate::{Cover, Genuine, Mirror, OtherSide, Story, WrittenSetting};

const STORIES: &[EventKind] =
    &[EventKind::TransferSucceeded, EventKind::TransferFailed, EventKind::TransferReturned, EventKind::Other];

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side { digits: fresh() })
}

/// Messages that a configured channel accepts.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    Ok(Box::new(Reflection { config: Config::build(settings)? }))
}

struct Side {
    digits: Zeroizing<String>,
}

impl Side {
    fn account(&self) -> String {
        format!("ExamplePlatform{:06}", number(&self.digits) % 1_000_000)
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        let written = self.written_settings();
        written.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let account = SettingValue::Text(self.account());
        vec![
            WrittenSetting { name: ACCOUNT, value: account, file_name: None },
            key(KEY, self.digits.as_bytes(), "adyen_platform_hmac_key"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let request = signed(story, &self.account(), Environment::Live, &hmac_key(&self.digits));
        Genuine { request, cover: Cover::BodyAndHeaders { headers: &[], signature: SIGNATURE } }
    }

    fn export(&self) -> Vec<u8> {
        self.digits.as_bytes().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.digits = import(exported)?;
        Ok(())
    }
}

struct Reflection {
    config: Config,
}

impl Mirror for Reflection {
    fn stories(&self) -> Vec<EventKind> {
        STORIES.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        let key = self.config.keys.first().expect("checked when it was built");
        signed(story, &self.config.account, self.config.environment, key)
    }
}

fn signed(story: &Story, account: &str, environment: Environment, key: &HmacKey) -> RawRequest {
    let body = message(story, account, environment).to_string().into_bytes();
    let signature = STANDARD.encode(key.sign(&body));
    let mut request = post("/notify/adyen_platform", JSON, body, story.at);
    let value = HeaderValue::from_str(&signature).expect("base64");
    request.headers.insert(HeaderName::from_static(SIGNATURE), value);
    request
}

fn message(story: &Story, account: &str, environment: Environment) -> Value {
    let unique = number(&format!("{}/{}", story.order_no, story.serial));
    let (kind, data) = if story.kind == EventKind::Other {
        ("balancePlatform.accountHolder.updated", json!({ "accountHolder": { "id": format!("AH{unique}") } }))
    } else {
        let status = match story.kind {
            EventKind::TransferFailed => "failed",
            EventKind::TransferReturned => "returned",
            _ => "booked",
        };
        let transfer = json!({
            "id": format!("3JNC{unique:020}"),
            "amount": { "value": story.amount_minor, "currency": "EUR" },
            "category": "bank",
            "direction": "outgoing",
            "reference": story.order_no,
            "status": status,
        });
        ("balancePlatform.transfer.updated", transfer)
    };
    let mut message = json!({
        "type": kind,
        "environment": if environment == Environment::Live { "live" } else { "test" },
        "timestamp": story.at.to_string(),
        "data": data,
    });
    message["data"]["balancePlatform"] = json!(account);
    message["data"]["description"] = json!(story.note);
    message
}
