//! What a merchant configures for a channel of the second generation, and the checks that make it one or refuse it.

use crate::channel::KeyNote;
use crate::model::Environment;
use crate::platforms::accounts::texts;
use crate::platforms::tenpay::{self, ApiKey, SignType};
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::sealed::SealedKey;

/// Most application ids of one channel.
const APP_IDS_MAX: usize = 64;

/// Most sub-merchants of one channel; a provider with more writes [`ANY`].
const SUB_MERCHANTS_MAX: usize = 4096;

/// In `sub_mch_id`: every sub-merchant of this provider.
const ANY: &str = "*";

/// Characters of an API key (WeChat Pay merchant platform, "API security").
pub(super) const API_KEY_CHARS: usize = 32;

const API_KEY: &str = "api_key";

/// The words of `sign_types`.
const SIGN_TYPES: &[&str] = &["MD5", "HMAC-SHA256"];

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "mch_id",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "merchant number (mch_id) whose API key this is, shown in the merchant platform under account centre; \
                 for a service provider its own number; messages for another one are refused",
            zh: "商户号（mch_id），即 API 密钥所属的商户，在商户平台「账户中心」查看；服务商填服务商商户号；其他商户的通知会被拒绝",
        },
        example: "1900000001",
    },
    Setting {
        name: "appid",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "application ids bound to this merchant, shown in the merchant platform under product centre; for a service \
                 provider its own; payments for another one are held, refund notices refused",
            zh: "与商户号绑定的 AppID，可填多个，在商户平台「产品中心 → AppID 账号管理」查看；服务商填服务商的 AppID;\
                 其他应用的支付通知会被挂起，退款通知会被拒绝",
        },
        example: "wx2421b1c4370ec43b",
    },
    Setting {
        name: API_KEY,
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "API key of the second generation (APIv2 key), exactly 32 characters, as set in the merchant platform under \
                 API security; not the APIv3 key",
            zh: "APIv2 密钥，正好 32 个字符，在商户平台「账户中心 → API 安全」中设置；不是 APIv3 密钥",
        },
        example: "wechat_apiv2_key",
    },
    Setting {
        name: "sign_types",
        kind: SettingKind::Words(SIGN_TYPES),
        is_required: false,
        help: Text {
            en: "algorithms of `sign` that are accepted: MD5, HMAC-SHA256, or both (the default); a merchant whose orders all \
                 ask for HMAC-SHA256 lists that alone",
            zh: "接受的签名算法：MD5、HMAC-SHA256 或两者（默认）；下单时全部使用 HMAC-SHA256 的商户可只填该项",
        },
        example: "HMAC-SHA256",
    },
    Setting {
        name: "sub_mch_id",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "service provider: the sub-merchants (sub_mch_id); `*` takes every one; payments for others are held. Refund \
                 notices do not protect this number: with one sub-merchant it must be that one, with several they are held",
            zh: "服务商模式：子商户号（sub_mch_id），可填多个；填 `*` 表示全部；其他子商户的支付通知会被挂起。\
                 退款通知不保护子商户号：只填一个时必须一致，填多个或 `*` 时退款通知一律挂起",
        },
        example: "1900000109",
    },
    Setting {
        name: "sub_appid",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "service provider: the sub-merchants' application ids (sub_appid); when set, messages for others are held or, \
                 as refund notices, refused",
            zh: "服务商模式：子商户的 AppID(sub_appid)；填写后，其他 AppID 的通知会被挂起，退款通知会被拒绝",
        },
        example: "wxd678efh567hg6999",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The account whose key this is.
    pub(super) mch_id: String,
    /// Its applications; never empty.
    pub(super) app_ids: Vec<String>,
    /// Its sub-merchants.
    pub(super) subs: Subs,
    /// Their applications; empty when they do not matter.
    pub(super) sub_app_ids: Vec<String>,
    /// The algorithms of `sign`; never empty.
    pub(super) sign_types: Vec<SignType>,
    /// What proves a signed message.
    pub(super) key: ApiKey,
    /// What opens a refund notice.
    pub(super) refunds: SealedKey,
    /// Public facts about the key, for people.
    pub(super) notes: Vec<KeyNote>,
}

/// The sub-merchants of a service provider.
#[derive(Debug)]
pub(super) enum Subs {
    /// Not a provider.
    None,
    /// One: where a message does not protect its number, this is the only one that it can be.
    One(String),
    /// These.
    Several(Vec<String>),
    /// Whichever.
    Any,
}

impl Subs {
    /// Whether a sub-merchant is one of ours.
    pub(super) fn has(&self, id: &str) -> bool {
        match self {
            Self::None => false,
            Self::One(own) => own == id,
            Self::Several(own) => own.iter().any(|own| own == id),
            Self::Any => tenpay::is_merchant(id),
        }
    }
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let mch_id = settings.required_text("mch_id")?.trim().to_owned();
        if !tenpay::is_merchant(&mch_id) {
            return Err(SettingsError::new("mch_id", "malformed_id").because(crate::channel::quote(&mch_id)));
        }
        let app_ids = texts(settings, "appid", APP_IDS_MAX, tenpay::is_app_id)?;
        let app_ids = app_ids.ok_or(SettingsError::new("appid", "missing"))?;
        let is_sub = |id: &str| id == ANY || tenpay::is_merchant(id);
        let subs = match texts(settings, "sub_mch_id", SUB_MERCHANTS_MAX, is_sub)? {
            None => Subs::None,
            Some(ids) if ids.iter().any(|id| id == ANY) => Subs::Any,
            Some(mut ids) if ids.len() == 1 => ids.pop().map_or(Subs::None, Subs::One),
            Some(ids) => Subs::Several(ids),
        };
        let sub_app_ids = texts(settings, "sub_appid", SUB_MERCHANTS_MAX, tenpay::is_app_id)?.unwrap_or_default();
        let sign_types = sign_types(settings)?;
        let key = ApiKey::build(settings, API_KEY, [API_KEY_CHARS, API_KEY_CHARS])?;
        // The sealing key is the text of a digest, not its bytes (WeChat Pay, "refund notification").
        let sealing = zeroize::Zeroizing::new(DigestHash::Md5.hex_of(&[key.secret()], HexCase::Lower));
        let refunds = SealedKey::new(sealing.as_bytes(), API_KEY).ok_or(SettingsError::new(API_KEY, "not_a_key"))?;
        let words: Vec<&str> = sign_types.iter().map(|sign_type| sign_type.word()).collect();
        let notes = vec![KeyNote {
            label: API_KEY.into(),
            algorithm: format!("{}; AES-256-ECB", words.join(", ")),
            fingerprint: None,
            not_after: None,
        }];
        let environment = settings.environment;
        Ok(Self { environment, mch_id, app_ids, subs, sub_app_ids, sign_types, key, refunds, notes })
    }

    /// Whether a sub-merchant's application is one of ours, or does not matter.
    pub(super) fn has_sub_app(&self, id: &str) -> bool {
        self.sub_app_ids.is_empty() || self.sub_app_ids.iter().any(|own| own == id)
    }
}

fn sign_types(settings: &Settings) -> Result<Vec<SignType>, SettingsError> {
    const SETTING: &str = "sign_types";
    let Some(words) = settings.texts(SETTING) else { return Ok(vec![SignType::Md5, SignType::HmacSha256]) };
    if words.is_empty() {
        return Err(SettingsError::new(SETTING, "empty_list"));
    }
    let read = |word: &String| {
        let error = || SettingsError::new(SETTING, "unknown_word").because(crate::channel::quote(word));
        SignType::parse(word).ok_or_else(error)
    };
    words.iter().map(read).collect()
}
