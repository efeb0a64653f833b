//! A message that an oracle made, and the channel that it is meant for.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};

/// The platform that the oracles speak for.
pub(crate) const KIND: &str = "alipay";

/// The media type that the platform really sends.
const MEDIA: &str = "application/x-www-form-urlencoded; text/html; charset=utf-8";

pub(crate) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

/// What every oracle tells about a message.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) label: String,
    pub(crate) public_key: String,
    pub(crate) app_id: String,
    pub(crate) seller_id: String,
    /// The form, in hexadecimal.
    pub(crate) body: String,
    /// The decoded pairs.
    pub(crate) pairs: Vec<(String, String)>,
}

impl Message {
    pub(crate) fn settings(&self) -> Settings {
        Settings::new(Environment::Live)
            .with("app_id", SettingValue::Text(self.app_id.clone()))
            .with("seller_id", SettingValue::Texts(vec![self.seller_id.clone()]))
            .with("alipay_public_key", SettingValue::Key(self.public_key.clone().into_bytes().into()))
    }

    pub(crate) fn request(&self) -> RawRequest {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(MEDIA));
        RawRequest {
            method: Method::POST,
            path: "/notify/shop".to_owned(),
            query: None,
            headers,
            body: Bytes::from(unhex(&self.body)),
            source: None,
            received_at: at(),
        }
    }
}

/// The channels of the oracle's keys; each is built once.
#[derive(Default)]
pub(crate) struct Channels(HashMap<String, Box<dyn Channel>>);

impl Channels {
    /// The verdict of the channel with these settings, which `id` tells from others.
    pub(crate) fn verify(&mut self, id: &str, settings: &Settings, request: &RawRequest) -> Verdict {
        let channel = self.0.entry(id.to_owned()).or_insert_with(|| {
            let platform = platforms::by_kind(KIND).expect("registered");
            (platform.build)(settings).unwrap_or_else(|error| panic!("{error}"))
        });
        channel.verify(request, at())
    }
}

/// The reason's word, or `genuine`.
pub(crate) fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Genuine(_) => "genuine",
        Verdict::Refused(rejection) => rejection.word(),
        Verdict::NeedsKey(_) => "needs_key",
        Verdict::Hint(_) => "hint",
    }
}

thread_local! {
    /// A channel that shows fields: its keys take no part in that, so one does for all.
    static READER: Box<dyn Channel> = {
        let platform = platforms::by_kind(KIND).expect("registered");
        (platform.build)(&(platform.simulate)().settings()).expect("the simulator's own settings")
    };
}

/// Every pair of the message must be among the fields that the channel read.
pub(crate) fn check_fields(message: &Message, verdict: &Verdict) {
    let Verdict::Genuine(_) = verdict else { return };
    let fields = READER.with(|channel| channel.fields(&message.request()));
    for (name, value) in message.pairs.iter().filter(|(name, _)| name != "sign") {
        let found = fields.iter().find(|(field, _)| field == name);
        assert_eq!(found.map(|(_, value)| value), Some(value), "case {}: field {name:?}", message.number);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal from the oracle"))
        .collect()
}
