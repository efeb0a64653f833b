//! An epay site: genuine callbacks of both generations with throw-away keys.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use zeroize::Zeroizing;

use super::settings::Config;
use crate::form;
use crate::model::{Currency, Environment, EventKind, Money, RawRequest};
use crate::platforms::joined::{write_compact, write_time};
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Carrier, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story, WrittenSetting};

/// The invented merchant and site.
const PID: &str = "1001";
const SITE: &str = "pay.example.com";

/// Characters of a KEY.
const KEY_CHARS: usize = 32;

const STORIES: &[EventKind] = &[EventKind::PaymentSucceeded];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits");
    Box::new(Side::new(Arc::new(pair)))
}

/// The site of a configured merchant, as far as a KEY makes it possible.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let config = Config::build(settings)?;
    let key = settings.secret_line("key")?.ok_or(SettingsError::new("key", "missing"))?;
    Ok(Box::new(Merchant { pid: config.pid, key: Zeroizing::new(key.to_vec()) }))
}

/// A merchant of the site, with the KEY of V1.
struct Merchant {
    pid: String,
    key: Zeroizing<Vec<u8>>,
}

struct Side {
    pair: Arc<RsaKeyPair>,
    merchant: Merchant,
}

/// Which generation signs, and how it comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Generation {
    V1,
    V2,
}

type Pairs = Vec<(&'static str, String)>;

impl Mirror for Merchant {
    fn stories(&self) -> Vec<EventKind> {
        STORIES.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        let mut pairs = payment(&self.pid, story);
        self.seal(&mut pairs);
        request(story, &pairs, Carrier::Query)
    }
}

impl Merchant {
    /// Signs by V1.
    fn seal(&self, pairs: &mut Pairs) {
        let text = text(pairs);
        let sign = DigestHash::Md5.hex_of(&[text.as_bytes(), &self.key], HexCase::Lower);
        pairs.extend([("sign", sign), ("sign_type", "MD5".into())]);
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let key = PublicKey::of_pair("platform_public_key", &self.pair).expect("a generated key has a public half");
        vec![
            WrittenSetting { name: "site", value: SettingValue::Text(SITE.into()), file_name: None },
            WrittenSetting { name: "pid", value: SettingValue::Text(self.merchant.pid.clone()), file_name: None },
            WrittenSetting {
                name: "key",
                value: SettingValue::Key(self.merchant.key.clone()),
                file_name: Some("epay_key"),
            },
            WrittenSetting {
                name: "platform_public_key",
                value: SettingValue::Key(Zeroizing::new(key.to_pem().into_bytes())),
                file_name: Some("epay_platform_public.pem"),
            },
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    /// Each serial has its own way: both generations, each as a query and as a form.
    fn callback(&self, story: &Story) -> Genuine {
        let generation = if story.serial % 2 == 1 { Generation::V1 } else { Generation::V2 };
        let carrier = if matches!(story.serial % 4, 1 | 2) { Carrier::Query } else { Carrier::Form };
        let mut pairs = payment(PID, story);
        match generation {
            Generation::V1 => self.merchant.seal(&mut pairs),
            Generation::V2 => self.seal(&mut pairs, story),
        }
        Genuine {
            request: request(story, &pairs, carrier),
            cover: Cover::Pairs(PairCover {
                carrier,
                covered: Covered::Joined { but: super::PROTOCOL.unsigned, empty_is_absent: true },
                signature: Some("sign"),
            }),
        }
    }

    fn export(&self) -> Vec<u8> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("a generated key can be written");
        der.as_ref().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let pair = RsaKeyPair::from_pkcs8(exported).map_err(|_| "not an RSA private key in PKCS #8".to_owned())?;
        *self = Self::new(Arc::new(pair));
        Ok(())
    }
}

impl Side {
    /// The KEY comes from the private key, so that one export holds both.
    fn new(pair: Arc<RsaKeyPair>) -> Self {
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a generated key can be written");
        let digest = DigestHash::Sha256.hex_of(&[b"KEY of ", der.as_ref()], HexCase::Lower);
        let key = digest.into_bytes().into_iter().take(KEY_CHARS).collect();
        Self { pair, merchant: Merchant { pid: PID.to_owned(), key: Zeroizing::new(key) } }
    }

    /// Signs by V2.
    fn seal(&self, pairs: &mut Pairs, story: &Story) {
        let time = write_time(story.at);
        pairs.extend([
            ("api_trade_no", format!("{}22001{:014}", &write_compact(story.at)[..8], number(&story.order_no))),
            ("buyer", "2088000000000002".into()),
            ("addtime", time.clone()),
            ("endtime", time),
            ("timestamp", story.at.as_second().to_string()),
        ]);
        let signature = sign_sha256(&self.pair, text(pairs).as_bytes()).expect("a generated key signs");
        pairs.extend([("sign", STANDARD.encode(signature)), ("sign_type", "RSA".into())]);
    }
}

/// Pairs sorted by name, the empty ones left out, written here a second time so that the tests compare two readings.
fn text(pairs: &Pairs) -> String {
    let mut sorted: Vec<&(&str, String)> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    sorted.sort();
    sorted.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn payment(pid: &str, story: &Story) -> Pairs {
    // A number as the common build makes it, but the same at any time of a day. Nothing else in a callback could differ
    // from another one about the same order, so each serial is a payment of its own.
    let hash = number(&format!("{} {}", story.order_no, story.serial));
    let trade_no = format!(
        "{}{:02}{:02}{:02}{:05}",
        &write_compact(story.at)[..8],
        hash % 24,
        hash / 24 % 60,
        hash / 1_440 % 60,
        hash / 86_400 % 100_000
    );
    vec![
        ("pid", pid.to_owned()),
        ("trade_no", trade_no),
        ("out_trade_no", story.order_no.clone()),
        ("type", "alipay".into()),
        ("name", "VIP会员 A&B 100%".into()),
        ("money", money(story.amount_minor)),
        ("trade_status", "TRADE_SUCCESS".into()),
        ("param", story.note.clone()),
    ]
}

/// As a server writes it that made a float of it before: without zeros at the end.
fn money(minor: i64) -> String {
    let text = Money { minor, currency: Currency::CNY }.to_text();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn request(story: &Story, pairs: &Pairs, carrier: Carrier) -> RawRequest {
    let text = form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (Windows NT 10.0; Win64; x64)"));
    let (method, query, body) = if carrier == Carrier::Query {
        (Method::GET, Some(String::from_utf8_lossy(&text).into_owned()), Bytes::new())
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        (Method::POST, None, Bytes::from(text))
    };
    RawRequest { method, path: "/notify/epay".into(), query, headers, body, source: None, received_at: story.at }
}

/// A number from a text.
fn number(order_no: &str) -> u64 {
    let digest = DigestHash::Sha256.of(&[order_no.as_bytes()]);
    digest.iter().take(5).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
