//! QQ wallet's side: genuine notices with a throw-away key, or with that of a configured channel.

use zeroize::Zeroizing;

use super::Config;
use crate::model::{Environment, EventKind, RawRequest};
use crate::platforms::tenpay::SignType;
use crate::platforms::tenpay::simulate::{
    Draft, SIGNED, beijing, fresh_key, imported_key, nonce, number, request, sign,
};
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::simulate::{Genuine, Mirror, OtherSide, Story, WrittenSetting};

/// The invented merchant.
const MCH_ID: &str = "1900000001";
const APPID: &str = "100000001";

const OPENID: &str = "0123456789ABCDEF0123456789ABCDEF";

const STORIES: &[EventKind] = &[EventKind::PaymentSucceeded];

/// What a channel that is named can also be told: a payout names no merchant, so among several channels only the URL
/// says which one is meant.
const STORIES_OF_A_CHANNEL: &[EventKind] = &[EventKind::PaymentSucceeded, EventKind::Other];

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let ids = vec![("appid", APPID.to_owned()), ("mch_id", MCH_ID.to_owned())];
    Box::new(Side { teller: Teller { ids, key: fresh_key() } })
}

/// The other side of a configured channel.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let config = Config::build(settings)?;
    let mut ids = vec![("mch_id", config.mch_id)];
    ids.extend(config.app_ids.into_iter().next().map(|id| ("appid", id)));
    ids.extend(config.sub_mch_ids.into_iter().next().map(|id| ("sub_mch_id", id)));
    Ok(Box::new(Teller { ids, key: Zeroizing::new(config.key.secret().to_vec()) }))
}

struct Side {
    teller: Teller,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let key = SettingValue::Key(self.teller.key.clone());
        vec![
            WrittenSetting { name: "mch_id", value: SettingValue::Text(MCH_ID.into()), file_name: None },
            WrittenSetting { name: "appid", value: SettingValue::Texts(vec![APPID.into()]), file_name: None },
            WrittenSetting { name: "api_key", value: key, file_name: Some("qq_wallet_key") },
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.teller.tell(story)
    }

    fn export(&self) -> Vec<u8> {
        self.teller.key.to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.teller.key = imported_key(exported)?;
        Ok(())
    }
}

/// Who knows the key, and whose it is.
struct Teller {
    ids: Draft,
    key: Zeroizing<Vec<u8>>,
}

impl Mirror for Teller {
    fn stories(&self) -> Vec<EventKind> {
        STORIES_OF_A_CHANNEL.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        self.tell(story).request
    }
}

impl Teller {
    fn tell(&self, story: &Story) -> Genuine {
        let mut fields: Draft = vec![
            ("attach", story.note.clone()),
            ("openid", OPENID.into()),
            ("out_trade_no", story.order_no.clone()),
            ("time_end", beijing(story.at, "%Y%m%d%H%M%S")),
            ("total_fee", story.amount_minor.to_string()),
            ("transaction_id", format!("1900{:024}", number(&story.order_no))),
        ];
        if story.kind == EventKind::Other {
            fields.extend([
                ("refund_reason", String::new()),
                ("sign_type", SignType::Md5.word().into()),
                ("state", "SUCCESS".into()),
                ("uin", format!("{}", 100_000 + story.serial)),
            ]);
        } else {
            fields.extend(self.ids.iter().cloned());
            fields.extend([
                ("bank_type", "BALANCE".into()),
                ("cash_fee", story.amount_minor.to_string()),
                ("device_info", format!("WP{:08}", story.serial)),
                ("fee_type", "CNY".into()),
                ("nonce_str", nonce(&story.order_no, story.serial)),
                ("trade_state", "SUCCESS".into()),
                ("trade_type", "NATIVE".into()),
            ]);
        }
        sign(&mut fields, &self.key, SignType::Md5);
        Genuine { request: request("/notify/qq_wallet", &fields, story.at), cover: SIGNED }
    }
}
