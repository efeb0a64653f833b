//! A real PHP-FPM with the fixtures, and a target whose script is chosen by the envelope.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;
use tollbell::targets::{Attempted, Envelope, EventView, Outcome, Target, by_kind};
use tollbell_channels::model::{AckMatch, Currency, Environment, EventKind, Money, RawRequest, Timestamp};
use tollbell_channels::settings::{SettingValue, Settings};

use crate::support::php_fpm::{Options, PhpFpm};

/// Longest time of an attempt that is expected to end by itself.
pub(super) const ENOUGH: Duration = Duration::from_secs(15);

/// How late a busy machine may notice that a deadline passed. An attempt that heeds none never ends.
pub(super) const LATE_MAX: Duration = Duration::from_secs(10);

/// A PHP-FPM with the fixtures, and a target whose script is chosen by the envelope's channel.
pub(super) struct World {
    pub(super) fpm: PhpFpm,
    pub(super) target: Arc<dyn Target>,
}

impl World {
    pub(super) fn new(options: &Options) -> Self {
        Self::with(options, |settings| settings)
    }

    pub(super) fn with(options: &Options, more: impl FnOnce(Settings) -> Settings) -> Self {
        let fpm = PhpFpm::start(options);
        fpm.copy_scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/php"));
        let target = target(&more(settings(&fpm.address(), &fpm.root().join("{channel}.php"))));
        Self { fpm, target }
    }

    pub(super) async fn deliver(&self, envelope: Envelope) -> Attempted {
        deliver(&*self.target, envelope, ENOUGH).await
    }

    /// Delivers an ordinary notice to this script.
    pub(super) async fn run(&self, script: &str) -> Attempted {
        self.deliver(envelope(script)).await
    }

    pub(super) fn written(&self, name: &str) -> String {
        fs::read_to_string(self.fpm.root().join(name)).unwrap_or_default()
    }
}

pub(super) fn settings(address: &str, script: &Path) -> Settings {
    Settings::without_environment()
        .with("address", SettingValue::Text(address.to_owned()))
        .with("script", SettingValue::Text(script.display().to_string()))
}

pub(super) fn target(settings: &Settings) -> Arc<dyn Target> {
    let kind = by_kind("fastcgi").expect("the kind is registered");
    (kind.build)(settings).expect("the settings are right")
}

pub(super) async fn deliver(target: &dyn Target, envelope: Envelope, time: Duration) -> Attempted {
    let deadline = Instant::now() + time;
    let ended = tokio::time::timeout_at(deadline + LATE_MAX, target.deliver(&[envelope], deadline)).await;
    let mut attempts = ended.expect("an attempt ends by its deadline");
    assert_eq!(attempts.len(), 1);
    attempts.remove(0)
}

pub(super) fn envelope(channel: &str) -> Envelope {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"));
    Envelope {
        delivery: "dlv_1".to_owned(),
        attempt: 3,
        notification: "ntf_1".to_owned(),
        merchant: Arc::from("default"),
        channel: Arc::from(channel),
        environment: Environment::Live,
        origin: "callback",
        events: vec![EventView {
            id: "evt_1".to_owned(),
            kind: EventKind::PaymentSucceeded,
            order_no: Some("20261121001".to_owned()),
            platform_no: Some("2026112122001".to_owned()),
            amount: Some(Money { minor: 1000, currency: Currency::CNY }),
            total: None,
            occurred_at: None,
            recorded_at: Timestamp::UNIX_EPOCH,
        }],
        request: Some(RawRequest {
            method: Method::POST,
            path: format!("/notify/{channel}"),
            query: Some("from=anyone".to_owned()),
            headers,
            body: Bytes::from_static(b"out_trade_no=20261121001&trade_status=TRADE_SUCCESS&subject=%E4%B9%A6+1"),
            source: Some("203.0.113.7".parse().unwrap()),
            received_at: Timestamp::UNIX_EPOCH,
        }),
        signed_query: Arc::new(|_| None),
        attempted_at: Timestamp::UNIX_EPOCH,
        fields: Arc::new(Vec::new),
        is_ack: Arc::new(
            |reply| {
                if reply.status == 200 { AckMatch::of_word(reply.body, b"success") } else { AckMatch::No }
            },
        ),
    }
}

/// What an attempt came to, as `delivered`, `retry word`, `declined word` or `unknown word`.
pub(super) fn said(attempted: &Attempted) -> String {
    match &attempted.outcome {
        Outcome::Delivered => "delivered".to_owned(),
        Outcome::RetryLater { reason, .. } => format!("retry {}", reason.word),
        Outcome::Declined { reason } => format!("declined {}", reason.word),
        Outcome::Unknown { reason } => format!("unknown {}", reason.word),
    }
}

pub(super) fn detail(attempted: &Attempted) -> &str {
    match &attempted.outcome {
        Outcome::Delivered => "",
        Outcome::RetryLater { reason, .. } | Outcome::Declined { reason } | Outcome::Unknown { reason } => {
            &reason.detail
        }
    }
}

pub(super) fn notes(attempted: &Attempted) -> Vec<&'static str> {
    attempted.notes.iter().map(|note| note.word).collect()
}

pub(super) fn millis(number: u64) -> SettingValue {
    SettingValue::Duration(Duration::from_millis(number))
}

pub(super) fn server(world: &World) -> serde_json::Value {
    serde_json::from_str(&world.written("server.json")).expect("the script wrote what it was told")
}
