//! JD Pay's side: genuine notices with throw-away keys, in the wire format of real ones.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use zeroize::Zeroizing;

use super::envelope::{self, DECLARATION, RESULT_OK, ROOT};
use super::facts::write_time;
use crate::cipher::{TRIPLE_DES_KEY_BYTES, TripleDes};
use crate::model::{Environment, EventKind, RawRequest, Timestamp};
use crate::settings::{SettingValue, Settings};
use crate::signature::key::{PublicKey, hex};
use crate::signature::plain_rsa::sign_payload;
use crate::simulate::{Carrier, Cover, Covered, Genuine, OtherSide, PairCover, Story, WrittenSetting};

/// The invented merchant.
const MERCHANT: &str = "110000000001";

/// Payouts are left out: their fields are not known.
const STORIES: &[EventKind] = &[EventKind::PaymentSucceeded, EventKind::RefundSucceeded];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits");
    Box::new(Side { pair: Arc::new(pair) })
}

struct Side {
    pair: Arc<RsaKeyPair>,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let public = PublicKey::of_pair("jd_public_key", &self.pair).expect("a generated key has a public half");
        let key = |name, text: String, file| WrittenSetting {
            name,
            value: SettingValue::Key(Zeroizing::new(text.into_bytes())),
            file_name: Some(file),
        };
        vec![
            WrittenSetting { name: "merchant", value: SettingValue::Text(MERCHANT.into()), file_name: None },
            key("des_key", STANDARD.encode(self.des_key()), "jd_des_key"),
            key("jd_public_key", public.to_pem(), "jd_public.pem"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let encrypt = envelope::seal(&TripleDes::new(&self.des_key()), &self.signed(story)).expect("a short document");
        let body = format!(
            "{DECLARATION}<{ROOT}><version>V2.0</version><merchant>{MERCHANT}</merchant><result><code>{RESULT_OK}</code>\
             <desc>success</desc></result><encrypt>{encrypt}</encrypt></{ROOT}>"
        );
        Genuine {
            request: request(story.at, body),
            cover: Cover::Pairs(PairCover {
                carrier: Carrier::Xml,
                covered: Covered::Each(&["encrypt"]),
                signature: None,
            }),
        }
    }

    fn export(&self) -> Vec<u8> {
        self.pkcs8().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let pair = RsaKeyPair::from_pkcs8(exported).map_err(|_| "not an RSA private key in PKCS #8".to_owned())?;
        self.pair = Arc::new(pair);
        Ok(())
    }
}

impl Side {
    fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("a generated key can be written");
        Zeroizing::new(der.as_ref().to_vec())
    }

    /// As random as the private key that it is made from, so that one export carries both.
    fn des_key(&self) -> [u8; TRIPLE_DES_KEY_BYTES] {
        let seed = Zeroizing::new([b"des key of the other side\n", self.pkcs8().as_slice()].concat());
        let mut key = [0; TRIPLE_DES_KEY_BYTES];
        key.copy_from_slice(&digest(&SHA256, &seed).as_ref()[..TRIPLE_DES_KEY_BYTES]);
        key
    }

    /// The inner document. A refund is signed in the normalised writing, so that both are told.
    fn signed(&self, story: &Story) -> String {
        let is_refund = story.kind == EventKind::RefundSucceeded;
        let document = document(story);
        let text = if is_refund { document.split('\n').map(str::trim).collect() } else { document.clone() };
        let name = hex(digest(&SHA256, text.as_bytes()).as_ref());
        let signature = sign_payload(&self.pair, name.as_bytes()).expect("a generated key signs");
        let sign = format!("<sign>{}</sign>", STANDARD.encode(signature));
        document.replacen("</jdpay>", &format!("{sign}</jdpay>"), 1)
    }
}

fn document(story: &Story) -> String {
    let refund_no = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
    let note = story.note.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let time = write_time(told_at(story));
    let trade = if story.kind == EventKind::RefundSucceeded {
        format!(
            "  <tradeType>1</tradeType>\n  <tradeNum>{refund_no}</tradeNum>\n  <oTradeNum>{}</oTradeNum>\n  \
             <amount>{}</amount>\n  <currency>CNY</currency>\n  <tradeTime>{time}</tradeTime>\n  <status>1</status>\n",
            story.order_no, story.refunded_minor
        )
    } else {
        format!(
            "  <tradeType>0</tradeType>\n  <tradeNum>{}</tradeNum>\n  <amount>{}</amount>\n  <payList>\n    <pay>\n      \
             <payType>0</payType>\n      <amount>{}</amount>\n      <currency>CNY</currency>\n      \
             <tradeTime>{time}</tradeTime>\n    </pay>\n  </payList>\n  <status>2</status>\n",
            story.order_no, story.amount_minor, story.amount_minor
        )
    };
    format!(
        "{DECLARATION}\n<{ROOT}>\n  <version>V2.0</version>\n  <merchant>{MERCHANT}</merchant>\n  <device>6532</device>\n\
         {trade}  <note>{note}</note>\n  \
         <result>\n    <code>{RESULT_OK}</code>\n    <desc>success</desc>\n  </result>\n</{ROOT}>"
    )
}

/// A notice has no number of its own, so another telling has another time.
fn told_at(story: &Story) -> Timestamp {
    let seconds = i64::try_from(story.serial.saturating_sub(1)).unwrap_or(i64::MAX);
    let second = story.at.as_second().saturating_add(seconds);
    Timestamp::from_second(second).unwrap_or(story.at)
}

fn request(at: Timestamp, body: String) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Jakarta Commons-HttpClient/3.1"));
    RawRequest {
        method: Method::POST,
        path: "/notify/jd_pay".into(),
        query: None,
        headers,
        body: Bytes::from(body),
        source: None,
        received_at: at,
    }
}
