//! What a merchant configures for a channel of the general trade system, and the checks that make it a channel or
//! refuse it.

use super::application::{self, PAGE};
use crate::channel::KeyNote;
use crate::model::Environment;
use crate::platforms::douyin;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::key::PublicKey;
use crate::signature::rsa::{RsaHash, RsaVerifier};

const PLATFORM_KEY: &str = "platform_public_key";
const OWN_KEY: &str = "application_public_key";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "app_id",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "id of the mini program (AppID, begins with tt), shown in the Douyin Open Platform console; messages about \
                 another one are held",
            zh: "小程序 AppID（tt 开头），见抖音开放平台控制台；其他小程序的通知会被挂起",
        },
        example: "tt312312313123",
    },
    Setting {
        name: PLATFORM_KEY,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "the *platform* public key, from the console under development settings, keys; not the application's own \
                 public key that stands beside it",
            zh: "平台公钥，在控制台「开发配置 - 密钥设置」中复制；不是旁边的应用公钥",
        },
        example: "douyin_platform_public.pem",
    },
    Setting {
        name: OWN_KEY,
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "the application's own public key, only so that a mix-up of the two is found at start",
            zh: "应用公钥，仅用于在启动时发现两把公钥填反的情况",
        },
        example: "douyin_application_public.pem",
    },
    Setting {
        name: PAGE,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "path of the mini program's page that shows a refund; with it a buyer's refund application \
                 (`pre_create_refund`) is answered with this page and a refund number, which is the platform's own \
                 `refund_id`; what the page gets is `out_refund_no`",
            zh: "小程序中展示退款详情的页面路径；填写后，用户发起的退款申请（`pre_create_refund`）会以该页面和商户退款单号应答，\
                 单号取平台的 `refund_id`；页面参数为 `out_refund_no`",
        },
        example: "pages/refund/detail",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The mini programs; never empty.
    pub(super) app_ids: Vec<String>,
    /// What proves a message.
    pub(super) key: RsaVerifier,
    /// Public facts about the key, for people.
    pub(super) notes: Vec<KeyNote>,
    /// The mini program's page that shows a refund.
    pub(super) refund_page: Option<String>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let app_ids = douyin::app_ids(settings, "app_id")?;
        let file = settings.key(PLATFORM_KEY).ok_or(SettingsError::new(PLATFORM_KEY, "missing"))?;
        let key = PublicKey::read(PLATFORM_KEY, file)?;
        let own = settings.key(OWN_KEY).map(|file| PublicKey::read(OWN_KEY, file)).transpose()?;
        if own.as_ref() == Some(&key) {
            return Err(SettingsError::new(PLATFORM_KEY, "own_public_key"));
        }
        let note = KeyNote {
            label: PLATFORM_KEY.to_owned(),
            algorithm: key.algorithm().to_string(),
            fingerprint: Some(key.fingerprint()),
            not_after: None,
        };
        let key = RsaVerifier::new(PLATFORM_KEY, &key, RsaHash::Sha256, PLATFORM_KEY)?;
        let refund_page = application::page(settings)?;
        Ok(Self { environment: settings.environment, app_ids, key, notes: vec![note], refund_page })
    }
}
