//! QQ wallet's side: genuine notices with a throw-away key, or with that of a configured channel.

use super::Config;
use crate::model::EventKind;
use crate::platforms::tenpay::SignType;
use crate::platforms::tenpay::simulate::{Draft, Protocol, SIGNED, Teller, beijing, nonce, number, request, sign};
use crate::settings::{Settings, SettingsError};
use crate::simulate::{Genuine, Mirror, OtherSide, Story};

/// The invented merchant.
const MCH_ID: &str = "1900000001";
const APPID: &str = "100000001";

const OPENID: &str = "0123456789ABCDEF0123456789ABCDEF";

const STORIES: &[EventKind] = &[EventKind::PaymentSucceeded];

/// What a channel that is named can also be told: a payout names no merchant, so among several channels only the URL
/// says which one is meant.
const STORIES_OF_A_CHANNEL: &[EventKind] = &[EventKind::PaymentSucceeded, EventKind::Other];

static PROTOCOL: Protocol =
    Protocol { key_file: "qq_wallet_key", stories: STORIES, stories_of_a_channel: STORIES_OF_A_CHANNEL, tell };

/// A new other side with a fresh key.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Teller::fresh(&PROTOCOL, [MCH_ID, APPID], &[SignType::Md5])
}

/// The other side of a configured channel.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let config = Config::build(settings)?;
    let mut ids = vec![("mch_id", config.mch_id)];
    ids.extend(config.app_ids.into_iter().next().map(|id| ("appid", id)));
    ids.extend(config.sub_mch_ids.into_iter().next().map(|id| ("sub_mch_id", id)));
    Ok(Teller::of(&PROTOCOL, ids, config.key.secret(), vec![SignType::Md5]))
}

fn tell(teller: &Teller, story: &Story) -> Genuine {
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
        fields.extend(teller.ids.iter().cloned());
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
    sign(&mut fields, &teller.key, SignType::Md5);
    Genuine { request: request("/notify/qq_wallet", &fields, story.at), cover: SIGNED }
}
