//! The other side of these protocols: who tells their notices with a throw-away key or that of a configured channel,
//! and the signature's rule written a second time, so that the tests compare two readings of it.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use jiff::tz::Offset;
use zeroize::Zeroizing;

use super::{ROOT, SIGN, SignType, XML};
use crate::model::{Environment, EventKind, RawRequest, Timestamp};
use crate::settings::{SettingValue, Settings};
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;
use crate::simulate::{Carrier, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story, WrittenSetting};
use crate::xml::encode;

/// Characters of a throw-away key.
const KEY_CHARS: usize = 32;

/// How a signature covers a message: everything but itself, without what is empty.
pub(in crate::platforms) const SIGNED: Cover = Cover::Pairs(PairCover {
    carrier: Carrier::Xml,
    covered: Covered::Joined { but: &[SIGN], empty_is_absent: true },
    signature: Some(SIGN),
});

/// Fields of a message that is being written.
pub(in crate::platforms) type Draft = Vec<(&'static str, String)>;

/// What one protocol has of its own on its other side.
pub(in crate::platforms) struct Protocol {
    /// The file of the key, as it is written out.
    pub(in crate::platforms) key_file: &'static str,
    /// What it can be told.
    pub(in crate::platforms) stories: &'static [EventKind],
    /// What a channel that is named can be told.
    pub(in crate::platforms) stories_of_a_channel: &'static [EventKind],
    /// Tells one story.
    pub(in crate::platforms) tell: fn(&Teller, &Story) -> Genuine,
}

/// Who knows the key, and whose it is.
pub(in crate::platforms) struct Teller {
    protocol: &'static Protocol,
    /// The merchant's names, as they stand in a message.
    pub(in crate::platforms) ids: Draft,
    pub(in crate::platforms) key: Zeroizing<Vec<u8>>,
    /// What the channel takes; the first one where a story has no wish.
    pub(in crate::platforms) sign_types: Vec<SignType>,
}

impl Teller {
    /// With a fresh key, for an invented merchant.
    pub(in crate::platforms) fn fresh(
        protocol: &'static Protocol,
        [mch_id, appid]: [&str; 2],
        sign_types: &[SignType],
    ) -> Box<dyn OtherSide> {
        let mut random = Zeroizing::new([0; KEY_CHARS / 2]);
        aws_lc_rs::rand::fill(&mut *random).expect("the system has random bytes");
        let key = Zeroizing::new(hex(&*random).into_bytes());
        let ids = vec![("appid", appid.to_owned()), ("mch_id", mch_id.to_owned())];
        Box::new(Self { protocol, ids, key, sign_types: sign_types.to_vec() })
    }

    /// With the key of a configured channel.
    pub(in crate::platforms) fn of(
        protocol: &'static Protocol,
        ids: Draft,
        key: &[u8],
        sign_types: Vec<SignType>,
    ) -> Box<dyn Mirror> {
        Box::new(Self { protocol, ids, key: Zeroizing::new(key.to_vec()), sign_types })
    }

    fn id(&self, name: &str) -> String {
        self.ids.iter().find(|(known, _)| *known == name).map(|(_, id)| id.clone()).unwrap_or_default()
    }
}

impl OtherSide for Teller {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let plain = |name, value| WrittenSetting { name, value, file_name: None };
        let key = SettingValue::Key(self.key.clone());
        vec![
            plain("mch_id", SettingValue::Text(self.id("mch_id"))),
            plain("appid", SettingValue::Texts(vec![self.id("appid")])),
            WrittenSetting { name: "api_key", value: key, file_name: Some(self.protocol.key_file) },
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        self.protocol.stories
    }

    fn callback(&self, story: &Story) -> Genuine {
        (self.protocol.tell)(self, story)
    }

    fn export(&self) -> Vec<u8> {
        self.key.to_vec()
    }

    /// Exactly its characters.
    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        if exported.len() != KEY_CHARS || !exported.iter().all(u8::is_ascii_alphanumeric) {
            return Err(format!("not a key of {KEY_CHARS} characters"));
        }
        self.key = Zeroizing::new(exported.to_vec());
        Ok(())
    }
}

impl Mirror for Teller {
    fn stories(&self) -> Vec<EventKind> {
        self.protocol.stories_of_a_channel.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        (self.protocol.tell)(self, story).request
    }
}

/// Adds `sign`.
pub(in crate::platforms) fn sign(fields: &mut Draft, key: &[u8], sign_type: SignType) {
    let mut texts: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).filter(|(_, value)| !value.is_empty()).collect();
    texts.sort_unstable();
    let mut text = Zeroizing::new(String::new());
    for (name, value) in texts {
        for part in [name, "=", value, "&"] {
            text.push_str(part);
        }
    }
    text.push_str("key=");
    let signed = match sign_type {
        SignType::Md5 => DigestHash::Md5.hex_of(&[text.as_bytes(), key], HexCase::Upper),
        SignType::HmacSha256 => {
            let text = Zeroizing::new([text.as_bytes(), key].concat());
            hex(&HmacKey::new(key, HmacHash::Sha256, "other side").sign(&text)).to_uppercase()
        }
    };
    fields.push((SIGN, signed));
}

/// The callback with these fields.
pub(in crate::platforms) fn request(path: &str, fields: &Draft, at: Timestamp) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(XML));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/4.0"));
    RawRequest {
        method: Method::POST,
        path: path.to_owned(),
        query: None,
        headers,
        body: Bytes::from(encode(ROOT, fields.iter().map(|(name, value)| (*name, value.as_str())))),
        source: None,
        received_at: at,
    }
}

/// A time as the protocol writes it.
pub(in crate::platforms) fn beijing(at: Timestamp, format: &str) -> String {
    Offset::constant(8).to_datetime(at).strftime(format).to_string()
}

/// A number from an order number, so that one order has one payment.
pub(in crate::platforms) fn number(order_no: &str) -> u64 {
    let name = digest(&SHA256, order_no.as_bytes());
    name.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Chance that is the same when a story is told again.
pub(in crate::platforms) fn nonce(order_no: &str, serial: u64) -> String {
    let digits = hex(digest(&SHA256, format!("{order_no}\n{serial}").as_bytes()).as_ref());
    digits.chars().take(32).collect()
}
