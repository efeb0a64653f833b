//! What a merchant configures for a profile, and the checks that make it a channel or refuse it.

use super::super::accounts::secret_note;
use crate::channel::{ApiCredential, Interface, KeyNote};
use crate::model::Environment;
use crate::model::fact::NAME_BYTES_MAX;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::hmac::{HmacHash, HmacKey};

/// The platform's host.
const API: &str = "https://api.mollie.com";

/// Shortest secret or key that is taken; real ones have 30 characters and more.
pub(super) const SECRET_BYTES_MIN: usize = 16;

const PROFILE: &str = "profile_id";
pub(super) const API_KEY: &str = "api_key";
pub(super) const SECRET: &str = "webhook_secret";
pub(super) const FORMER_SECRET: &str = "former_webhook_secret";
const ORDER_NO: &str = "order_number";
pub(super) const API_BASE: &str = "api_base";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: PROFILE,
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "the profile's id (begins with pfl_), in the Mollie dashboard under settings, website profiles; payments of \
                 another profile are held",
            zh: "网站资料（profile）的 ID，以 pfl_ 开头，见 Mollie 后台「设置 / 网站资料」；其他 profile 的支付会被挂起",
        },
        example: "pfl_QkEhN94Ba1",
    },
    Setting {
        name: API_KEY,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the key with which payments are read that a classic webhook names (begins with live_ or test_), in the \
                 dashboard under developers, API keys. Without it classic webhooks are refused",
            zh: "API 密钥（live_ 或 test_ 开头），见 Mollie 后台「开发者 / API 密钥」；经典 Webhook 只给出支付编号，要用它查询。不配置则拒绝经典 Webhook",
        },
        example: "mollie_api_key",
    },
    Setting {
        name: SECRET,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the signing secret of the webhook subscription, shown when it is made in the dashboard under developers, \
                 webhooks. Without it signed events are refused",
            zh: "Webhook 订阅的签名密钥，在 Mollie 后台「开发者 / Webhooks」创建时显示。不配置则拒绝签名事件",
        },
        example: "mollie_webhook_secret",
    },
    Setting {
        name: FORMER_SECRET,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the secret before a change; needed only where the platform signs with the old one alone for a while",
            zh: "更换前的签名密钥；仅在平台短期内仍只用旧密钥签名时需要",
        },
        example: "mollie_former_webhook_secret",
    },
    Setting {
        name: ORDER_NO,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "where the order number stands in a payment: `metadata.NAME`, `metadata` when it is a bare text, or \
                 `description`. Default: metadata.order_id",
            zh: "支付中商户订单号的位置：`metadata.字段名`、`metadata`（其值就是订单号时）或 `description`。默认 metadata.order_id",
        },
        example: "metadata.order_id",
    },
    Setting {
        name: API_BASE,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "another address of the API, for a proxy or a test: https, or http to this machine. Default: \
                 https://api.mollie.com",
            zh: "API 的其他地址（代理或测试用）：须为 https，本机可用 http。默认 https://api.mollie.com",
        },
        example: "https://api.mollie.com",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// Whose payments these are.
    pub(super) profile_id: String,
    /// How payments are read; none without a key.
    pub(super) api: Option<Api>,
    /// What proves an event: the present secret, and the one before it.
    pub(super) secrets: Vec<HmacKey>,
    /// Where the order number stands.
    pub(super) order_no: OrderNo,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

/// How payments are read.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) interface: Interface,
    pub(super) credential: ApiCredential,
    /// An organisation's token serves both modes, and says which it means.
    pub(super) says_test_mode: bool,
}

/// Where the merchant's order number stands in a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OrderNo {
    Description,
    Metadata,
    MetadataMember(String),
}

impl Config {
    /// Checks the settings. Fails closed: without a key and a secret there is no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let profile_id = settings.required_text(PROFILE)?.trim();
        let is_profile = profile_id.strip_prefix("pfl_").is_some_and(|rest| {
            !rest.is_empty() && rest.len() <= NAME_BYTES_MAX && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if !is_profile {
            return Err(SettingsError::new(PROFILE, "malformed_id").because(crate::channel::quote(profile_id)));
        }
        let interface = Interface::read(settings, API_BASE, API)?;
        let mut notes = Vec::new();
        let api = match secret(settings, API_KEY)? {
            Some(key) => {
                notes.push(secret_note(API_KEY, "Bearer"));
                Some(Api::new(key, interface, settings.environment)?)
            }
            None => None,
        };
        let mut secrets = Vec::new();
        for name in [SECRET, FORMER_SECRET] {
            if let Some(bytes) = secret(settings, name)? {
                notes.push(secret_note(name, &HmacHash::Sha256.to_string()));
                secrets.push(HmacKey::new(bytes, HmacHash::Sha256, name));
            }
        }
        if api.is_none() && secrets.is_empty() {
            return Err(SettingsError::new(API_KEY, "either_or").because(SECRET));
        }
        let order_no = OrderNo::read(settings)?;
        let (environment, profile_id) = (settings.environment, profile_id.to_owned());
        Ok(Self { environment, profile_id, api, secrets, order_no, notes })
    }
}

impl Api {
    fn new(key: &[u8], interface: Interface, environment: Environment) -> Result<Self, SettingsError> {
        let of_key = [(b"live_", Environment::Live), (b"test_", Environment::Sandbox)]
            .into_iter()
            .find(|(prefix, _)| key.starts_with(*prefix))
            .map(|(_, environment)| environment);
        if of_key.is_some_and(|of_key| of_key != environment) {
            let detail = format!("a key of the other mode in a channel whose environment is {environment}");
            return Err(SettingsError::new(API_KEY, "relation").because(detail));
        }
        let credential = ApiCredential::bearer(API_KEY, key).ok_or(SettingsError::new(API_KEY, "malformed"))?;
        let says_test_mode = of_key.is_none() && environment == Environment::Sandbox;
        Ok(Self { interface, credential, says_test_mode })
    }
}

impl OrderNo {
    fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let text = settings.text(ORDER_NO).map_or("metadata.order_id", str::trim);
        match text {
            "description" => Ok(Self::Description),
            "metadata" => Ok(Self::Metadata),
            _ => match text.strip_prefix("metadata.") {
                Some(name) if !name.is_empty() && name.len() <= NAME_BYTES_MAX => {
                    Ok(Self::MetadataMember(name.to_owned()))
                }
                _ => Err(SettingsError::new(ORDER_NO, "malformed").because(crate::channel::quote(text))),
            },
        }
    }
}

/// A secret of one line that is long enough to be one.
fn secret<'s>(settings: &'s Settings, name: &'static str) -> Result<Option<&'s [u8]>, SettingsError> {
    let Some(line) = settings.secret_line(name)? else { return Ok(None) };
    if line.len() < SECRET_BYTES_MIN {
        let detail = format!("{} characters, {SECRET_BYTES_MIN} or more are expected", line.len());
        return Err(SettingsError::new(name, "too_short").because(detail));
    }
    Ok(Some(line))
}
