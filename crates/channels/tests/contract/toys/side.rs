//! The other side of a toy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tollbell_channels::model::{Environment, EventKind, RawRequest, Reply};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{
    Carrier, Challenge, Cover, Covered, Genuine, OtherSide, PairCover, Story, Written, WrittenSetting,
};

use super::super::pairs::Pair;
use super::super::{form, json, written, xml};
use super::{KINDS, Kind, digest};

/// Pairs that are not under the signature of joined ones.
pub(super) const LEFT_OUT: &[&str] = &["sign", "mode"];

/// What the toy with a form calls its question.
pub(super) const QUESTION: &str = "echo";

/// The header of signatures in a row, and how it is written.
pub(super) const SIGNATURE: &str = "x-toy";
pub(super) const WRITTEN: Written = Written { before: "v1,", between: Some(";"), is_percent_encoded: true };

pub(super) fn make<const INDEX: usize>() -> Box<dyn OtherSide> {
    let mut random = [0; 24];
    aws_lc_rs::rand::fill(&mut random).expect("the system's random source");
    let key = STANDARD.encode(random).into_bytes();
    // Digits only, so that a stranger has another one.
    let number = random.iter().fold(0_u64, |number, byte| (number * 31 + u64::from(*byte)) % 1_000_000_000);
    Box::new(Side { kind: KINDS[INDEX], key, shop: format!("1{number:09}") })
}

struct Side {
    kind: Kind,
    key: Vec<u8>,
    shop: String,
}

impl Side {
    fn fields(&self, story: &Story) -> Vec<Pair> {
        let amount = story.amount_minor.to_string();
        let amount = if self.kind == Kind::Json { Pair::raw("amount", amount) } else { Pair::new("amount", amount) };
        vec![
            Pair::new("shop", self.shop.clone()),
            Pair::new("id", format!("N{}", story.serial)),
            Pair::new("order", story.order_no.clone()),
            amount,
            Pair::new("number", format!("P{}", story.serial)),
            Pair::new("note", story.note.clone()),
        ]
    }

    fn sign(&self, text: &[u8]) -> String {
        digest(&self.key).expect("a key").sign(text, b"")
    }

    fn joined(&self, story: &Story) -> Vec<Pair> {
        let mut pairs = self.fields(story);
        let mut sorted: Vec<&Pair> = pairs.iter().filter(|pair| !pair.value.is_empty()).collect();
        sorted.sort();
        let text: Vec<Vec<u8>> =
            sorted.iter().map(|pair| [&pair.name, b"=".as_slice(), &pair.value].concat()).collect();
        let signature = self.sign(&text.join(&b'&'));
        pairs.extend([Pair::new("sign", signature), Pair::new("mode", "MD5")]);
        pairs
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Live), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let shop = SettingValue::Text(self.shop.clone());
        let key = SettingValue::Key(self.key.clone().into());
        vec![
            WrittenSetting { name: "shop", value: shop, file_name: None },
            WrittenSetting { name: "key", value: key, file_name: Some("key") },
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        &[EventKind::PaymentSucceeded]
    }

    fn challenge(&self, serial: u64) -> Option<Challenge> {
        let question = format!("{:016x}", serial.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let request = RawRequest {
            method: Method::GET,
            path: "/".to_owned(),
            query: Some(format!("{QUESTION}={question}")),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            source: None,
            received_at: super::super::world::at(),
        };
        let body = self.sign(question.as_bytes()).into();
        let reply = Reply { status: 200, content_type: Some("text/plain"), body };
        (self.kind == Kind::Form).then_some(Challenge { request, reply })
    }

    fn callback(&self, story: &Story) -> Genuine {
        let joined = |carrier| {
            let covered = Covered::Joined { but: LEFT_OUT, empty_is_absent: true };
            Cover::Pairs(PairCover { carrier, covered, signature: Some("sign") })
        };
        let (media, query, body, cover) = match self.kind {
            Kind::Form => {
                let body = form::write(&self.joined(story), form::Style::Usual);
                ("application/x-www-form-urlencoded", None, body, joined(Carrier::Form))
            }
            Kind::Query => {
                let query = form::write(&self.joined(story), form::Style::Usual);
                ("", Some(query), Vec::new(), joined(Carrier::Query))
            }
            Kind::Xml => {
                ("text/xml", None, xml::write(b"xml", &self.joined(story), xml::Style::Cdata), joined(Carrier::Xml))
            }
            Kind::Json => {
                let body = json::write(&self.joined(story), json::Style::Compact);
                ("application/json", None, body, joined(Carrier::Json))
            }
            Kind::Named => {
                let msg = json::write(&self.fields(story), json::Style::Compact);
                let time = story.at.as_second().to_string();
                let signature = self.sign(&[time.as_bytes(), b"\n", &msg].concat());
                let pairs = [
                    Pair::new("time", time),
                    Pair::new("msg", msg),
                    Pair::new("type", "pay"),
                    Pair::new("sign", signature),
                ];
                let covered = Covered::Each(&["time", "msg"]);
                let cover = PairCover { carrier: Carrier::Json, covered, signature: Some("sign") };
                ("application/json", None, json::write(&pairs, json::Style::Compact), Cover::Pairs(cover))
            }
            Kind::Sealed => {
                let inner = json::write(&self.fields(story), json::Style::Compact);
                let sealed = STANDARD.encode([inner.as_slice(), self.sign(&inner).as_bytes()].concat());
                let result = Pair::new("result", "0");
                let pairs = [Pair::new("shop", self.shop.clone()), result, Pair::new("sealed", sealed)];
                let cover = PairCover { carrier: Carrier::Xml, covered: Covered::Each(&["sealed"]), signature: None };
                ("text/xml", None, xml::write(b"toy", &pairs, xml::Style::Cdata), Cover::Pairs(cover))
            }
            Kind::Url => {
                let body = json::write(&self.fields(story), json::Style::Compact);
                let query = format!("sign={}", self.sign(&body)).into_bytes();
                ("application/json", Some(query), body, Cover::BodyAndQuery { signature: "sign" })
            }
            Kind::Listed => {
                let body = json::write(&self.fields(story), json::Style::Compact);
                let cover = Cover::BodyAndWritten { headers: &[], signature: SIGNATURE, written: WRITTEN };
                ("application/json", None, body, cover)
            }
        };
        let mut headers = HeaderMap::new();
        if self.kind == Kind::Listed {
            let header = written::header(&[self.sign(&body).into_bytes()], WRITTEN);
            headers.insert(SIGNATURE, HeaderValue::from_bytes(&header).expect("percent signs, letters and digits"));
        }
        if !media.is_empty() {
            headers.insert("content-type", media.parse().expect("a media type"));
        }
        let request = RawRequest {
            method: if self.kind == Kind::Query { Method::GET } else { Method::POST },
            path: "/".to_owned(),
            query: query.map(|query| String::from_utf8(query).expect("ASCII")),
            headers,
            body: Bytes::from(body),
            source: None,
            received_at: story.at,
        };
        Genuine { request, cover }
    }

    fn export(&self) -> Vec<u8> {
        self.key.clone()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        self.key = exported.to_vec();
        Ok(())
    }
}
