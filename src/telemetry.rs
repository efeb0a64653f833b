//! The vocabulary of metrics and logs. A name that is not here is not measured.
//!
//! Labels are ids from the configuration and closed sets of words, never text from a request. Logs name
//! things by id; bodies, signatures, keys and buyer data never come here.

mod lines;
mod network;

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tollbell_channels::channel::REJECTION_WORDS;
use tollbell_channels::model::Proof;

pub use network::{ByLimit, NetworkMetrics};

use self::lines::Lines;

/// Label: the channel's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByChannel {
    /// The channel's id; `none` when a request named no known one.
    pub channel: Arc<str>,
}

/// Labels of refusals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReason {
    /// The channel's id; `none` when a request named no known one.
    pub channel: Arc<str>,
    /// The rejection's word.
    pub reason: &'static str,
}

/// Labels of genuine callbacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByKey {
    /// The channel's id.
    pub channel: Arc<str>,
    /// The key that proved it: a label or serial, never key material. There are as many as are configured or fetched.
    pub key: String,
}

/// Labels of weak keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByWeakness {
    /// The channel's id.
    pub channel: Arc<str>,
    /// The key's label, never key material.
    pub key: String,
    /// The word of what is weak.
    pub weakness: &'static str,
}

/// Labels of the keys of targets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByTargetKey {
    /// The target's id.
    pub target: Arc<str>,
    /// The setting.
    pub key: String,
}

/// Label of requests that the admin listener refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByRefusal {
    /// The refusal's word.
    pub reason: &'static str,
}

/// Label: the target's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByTarget {
    /// The target's id.
    pub target: Arc<str>,
}

/// Label: how something ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    /// The result's word.
    pub result: &'static str,
}

/// Labels of attempts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByOutcome {
    /// The target's id.
    pub target: Arc<str>,
    /// The outcome's word.
    pub outcome: &'static str,
}

/// Labels of downloads of platform keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByKeyOutcome {
    /// The channel's id.
    pub channel: Arc<str>,
    /// `fetched`, `held_back` when there were too many, or the word of what was wrong.
    pub outcome: &'static str,
}

/// What is counted for each callback of one channel; see the fields of the same names in [`Metrics`].
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are described in `Metrics`")]
pub struct ChannelMetrics {
    pub received: Counter,
    pub stored: Counter,
    pub duplicate: Counter,
    pub repeated_after_ack: Counter,
    pub held: Counter,
    pub busy: Counter,
    pub ack_seconds: Histogram,
}

/// Keys of a channel whose counters are at hand: it has two or three, and a few more while keys are changed. Those beyond are
/// looked up for each callback.
const KEYS_AT_HAND: usize = 8;

/// The counters of a channel's keys, each looked up once and not for each callback.
#[derive(Debug, Default)]
pub struct KeyCounters([OnceLock<(String, Counter)>; KEYS_AT_HAND]);

/// Every number that the product counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests whose body arrived.
    pub received: Family<ByChannel, Counter>,
    /// Checks of an address that were answered. They are no callbacks.
    pub challenges: Family<ByChannel, Counter>,
    /// Refused requests, by reason.
    pub refused: Family<ByReason, Counter>,
    /// Genuine callbacks, by the key that proved them: an old secret that nobody uses any more stands still.
    pub genuine: Family<ByKey, Counter>,
    /// Notifications stored for the first time.
    pub stored: Family<ByChannel, Counter>,
    /// Repetitions of stored ones.
    pub duplicate: Family<ByChannel, Counter>,
    /// Repetitions after our complete success reply: the platform did not like it.
    pub repeated_after_ack: Family<ByChannel, Counter>,
    /// Notifications that are held for a person.
    pub held: Family<ByChannel, Counter>,
    /// Requests answered "busy" because they could not be stored.
    pub busy: Family<ByChannel, Counter>,
    /// Stored, and success not told because the target had not confirmed, by reason.
    pub unconfirmed: Family<ByReason, Counter>,
    /// Answers that wait for a confirmation now.
    pub waiting_answers: Gauge,
    /// From the body's last byte to the reply's last byte.
    pub ack_seconds: Family<ByChannel, Histogram, fn() -> Histogram>,
    /// From the callback's arrival to the application's confirmation.
    pub confirmed_seconds: Family<ByTarget, Histogram, fn() -> Histogram>,
    /// Attempts, by outcome.
    pub attempts: Family<ByOutcome, Counter>,
    /// Deliveries given up.
    pub dead: Family<ByTarget, Counter>,
    /// Age of the oldest undelivered event, refreshed when metrics are read.
    pub oldest_undelivered_seconds: Family<ByTarget, Gauge<f64, AtomicU64>>,
    /// Deliveries that are due or being attempted, refreshed when metrics are read.
    pub open_deliveries: Family<ByTarget, Gauge>,
    /// Deliveries held for a person, refreshed when metrics are read.
    pub held_deliveries: Family<ByTarget, Gauge>,
    /// Deliveries given up and not replayed, refreshed when metrics are read.
    pub dead_deliveries: Family<ByTarget, Gauge>,
    /// When the last genuine callback of a channel arrived, refreshed when metrics are read.
    pub last_genuine: Family<ByChannel, Gauge<f64, AtomicU64>>,
    /// Downloads of platform keys, by outcome.
    pub key_downloads: Family<ByKeyOutcome, Counter>,
    /// When the last of the fetched platform keys of a channel ends.
    pub platform_key_expires: Family<ByChannel, Gauge<f64, AtomicU64>>,
    /// When each key of a channel ends, where it does.
    pub key_expires: Family<ByKey, Gauge<f64, AtomicU64>>,
    /// Which of them are shown, so that a key that has gone takes its series with it.
    pub shown_keys: Mutex<HashSet<ByKey>>,
    /// When each certificate of a target ends.
    pub target_key_expires: Family<ByTargetKey, Gauge<f64, AtomicU64>>,
    /// Keys that are weak (1), and by what.
    pub weak_keys: Family<ByWeakness, Gauge>,
    /// Hints, by what became of them when they came.
    pub hints: Family<ByReason, Counter>,
    /// Questions about hints, by how they ended.
    pub questions: Family<ByReason, Counter>,
    /// Hints that are to be asked about, refreshed when metrics are read.
    pub open_hints: Family<ByChannel, Gauge>,
    /// Age of the oldest of them, refreshed when metrics are read.
    pub oldest_hint_seconds: Family<ByChannel, Gauge<f64, AtomicU64>>,
    /// Open connections of the public listener.
    pub connections: Gauge,
    /// Whether the inbox can be written (1) or not (0).
    pub inbox_writable: Gauge,
    /// Bytes of the inbox's database, refreshed when metrics are read.
    pub inbox_bytes: Gauge,
    /// Bytes of pages in it that are free, refreshed when metrics are read.
    pub inbox_free_bytes: Gauge,
    /// Bytes of its log, refreshed when metrics are read.
    pub inbox_wal_bytes: Gauge,
    /// Reloads, by how they ended.
    pub reload: Family<ByResult, Counter>,
    /// Whether the files on disk say something (1) that is not in force, because of mistakes, because it is not
    /// possible now, or because it needs a restart.
    pub config_stale: Gauge,
    /// The public listener's network side.
    pub network: NetworkMetrics,
    /// Refusals of which not even a count was kept, refreshed when metrics are read.
    pub rejections_lost: Gauge,
    /// Times from which something may be missing and that nobody has dealt with.
    pub open_gaps: Gauge,
    /// Requests that the admin listener refused.
    pub admin_refused: Family<ByRefusal, Counter>,
}

/// Fastest bucket of the latency histograms in seconds; 16 doublings reach 16 s.
const FASTEST_BUCKET: f64 = 0.000_5;
/// Fastest bucket of the confirmation histogram in seconds; 24 doublings reach most of a day.
const FASTEST_CONFIRMATION: f64 = 0.001;

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tollbell"),
            received: Family::default(),
            challenges: Family::default(),
            refused: Family::default(),
            genuine: Family::default(),
            stored: Family::default(),
            duplicate: Family::default(),
            repeated_after_ack: Family::default(),
            held: Family::default(),
            busy: Family::default(),
            unconfirmed: Family::default(),
            waiting_answers: Gauge::default(),
            ack_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(FASTEST_BUCKET, 2.0, 16))),
            confirmed_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(FASTEST_CONFIRMATION, 2.0, 24))
            }),
            attempts: Family::default(),
            dead: Family::default(),
            oldest_undelivered_seconds: Family::default(),
            open_deliveries: Family::default(),
            held_deliveries: Family::default(),
            dead_deliveries: Family::default(),
            last_genuine: Family::default(),
            key_downloads: Family::default(),
            platform_key_expires: Family::default(),
            key_expires: Family::default(),
            shown_keys: Mutex::default(),
            target_key_expires: Family::default(),
            weak_keys: Family::default(),
            hints: Family::default(),
            questions: Family::default(),
            open_hints: Family::default(),
            oldest_hint_seconds: Family::default(),
            connections: Gauge::default(),
            inbox_writable: Gauge::default(),
            inbox_bytes: Gauge::default(),
            inbox_free_bytes: Gauge::default(),
            inbox_wal_bytes: Gauge::default(),
            reload: Family::default(),
            config_stale: Gauge::default(),
            network: NetworkMetrics::default(),
            rejections_lost: Gauge::default(),
            open_gaps: Gauge::default(),
            admin_refused: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("received", "Requests whose body arrived", self.received.clone());
        r.register("challenges", "Checks of an address that were answered", self.challenges.clone());
        r.register("refused", "Refused requests, by reason", self.refused.clone());
        r.register("genuine", "Genuine callbacks, by the key that proved them", self.genuine.clone());
        r.register("stored", "Notifications stored for the first time", self.stored.clone());
        r.register("duplicate", "Repetitions of stored notifications", self.duplicate.clone());
        r.register(
            "repeated_after_ack",
            "Repetitions after a completely written success reply",
            self.repeated_after_ack.clone(),
        );
        r.register("held", "Notifications held for a person", self.held.clone());
        r.register("busy", "Requests answered busy because they could not be stored", self.busy.clone());
        r.register(
            "unconfirmed",
            "Stored, and success not told because the target had not confirmed",
            self.unconfirmed.clone(),
        );
        r.register("waiting_answers", "Answers that wait for a confirmation", self.waiting_answers.clone());
        r.register_with_unit(
            "ack",
            "From the body's last byte to the reply's last byte",
            Unit::Seconds,
            self.ack_seconds.clone(),
        );
        r.register_with_unit(
            "confirmed",
            "From the callback's arrival to the application's confirmation",
            Unit::Seconds,
            self.confirmed_seconds.clone(),
        );
        r.register("attempts", "Delivery attempts, by outcome", self.attempts.clone());
        r.register("dead", "Deliveries given up", self.dead.clone());
        r.register_with_unit(
            "oldest_undelivered",
            "Age of the oldest undelivered event",
            Unit::Seconds,
            self.oldest_undelivered_seconds.clone(),
        );
        r.register("open_deliveries", "Deliveries due or being attempted", self.open_deliveries.clone());
        r.register("held_deliveries", "Deliveries held for a person", self.held_deliveries.clone());
        r.register("dead_deliveries", "Deliveries given up and not replayed", self.dead_deliveries.clone());
        r.register_with_unit(
            "last_genuine_timestamp",
            "When the last genuine callback of a channel arrived",
            Unit::Seconds,
            self.last_genuine.clone(),
        );
        r.register("key_downloads", "Downloads of platform keys, by outcome", self.key_downloads.clone());
        r.register_with_unit(
            "platform_key_expires_timestamp",
            "When the last of the fetched platform keys of a channel ends",
            Unit::Seconds,
            self.platform_key_expires.clone(),
        );
        r.register_with_unit(
            "key_expires_timestamp",
            "When each key of a channel ends, where it does",
            Unit::Seconds,
            self.key_expires.clone(),
        );
        r.register_with_unit(
            "target_key_expires_timestamp",
            "When each certificate of a target ends",
            Unit::Seconds,
            self.target_key_expires.clone(),
        );
        r.register("weak_keys", "Keys that are weak, and by what", self.weak_keys.clone());
        r.register("hints", "Hints, by what became of them", self.hints.clone());
        r.register("questions", "Questions about hints, by how they ended", self.questions.clone());
        r.register("open_hints", "Hints that are to be asked about", self.open_hints.clone());
        r.register_with_unit(
            "oldest_hint",
            "Age of the oldest hint that is to be asked about",
            Unit::Seconds,
            self.oldest_hint_seconds.clone(),
        );
        r.register("connections", "Open connections of the public listener", self.connections.clone());
        r.register(
            "rejections_lost",
            "Refusals of which not even a count was kept, since the start",
            self.rejections_lost.clone(),
        );
        r.register("inbox_writable", "Whether the inbox can be written", self.inbox_writable.clone());
        let bytes = [
            ("inbox", "Size of the inbox's database", &self.inbox_bytes),
            ("inbox_free", "Size of its pages that are free for new rows", &self.inbox_free_bytes),
            ("inbox_wal", "Size of its log", &self.inbox_wal_bytes),
        ];
        for (name, help, gauge) in bytes {
            r.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        r.register("reload", "Reloads of the configuration, by how they ended", self.reload.clone());
        r.register("config_stale", "Whether the files say something that is not in force", self.config_stale.clone());
        self.network.register(r);
        r.register("open_gaps", "Times from which something may be missing", self.open_gaps.clone());
        r.register("admin_refused", "Requests that the admin listener refused", self.admin_refused.clone());
    }

    /// The metrics in the `OpenMetrics` text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let encoded = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        debug_assert!(encoded.is_ok(), "a string takes all text");
        text
    }
}

impl Metrics {
    /// Shows a channel's counters at zero from the start: a rise from nothing is none to Prometheus, and the
    /// first forgery or busy reply would alert nobody.
    pub fn announce_channel(&self, id: &Arc<str>) {
        let label = ByChannel { channel: id.clone() };
        for counter in [&self.received, &self.stored, &self.duplicate, &self.repeated_after_ack, &self.held, &self.busy]
        {
            drop(counter.get_or_create(&label));
        }
        drop(self.ack_seconds.get_or_create(&label));
        for reason in REJECTION_WORDS {
            drop(self.refused.get_or_create(&ByReason { channel: id.clone(), reason }));
        }
    }

    /// Counts a genuine callback under the key that proved it.
    pub fn count_genuine(&self, channel: &Arc<str>, keys: &KeyCounters, proof: &Proof) {
        let (Proof::Signature { key, .. } | Proof::PlatformApi { key, .. }) = proof;
        let counter = || {
            let counter = self.genuine.get_or_create(&ByKey { channel: channel.clone(), key: key.clone() });
            Counter::clone(&counter)
        };
        for place in &keys.0 {
            let (known, counter) = place.get_or_init(|| (key.clone(), counter()));
            if known == key {
                counter.inc();
                return;
            }
        }
        counter().inc();
    }

    /// A channel's counters, to be looked up once and not for each callback.
    pub fn of_channel(&self, id: &Arc<str>) -> ChannelMetrics {
        let label = ByChannel { channel: id.clone() };
        let counter = |family: &Family<ByChannel, Counter>| Counter::clone(&family.get_or_create(&label));
        ChannelMetrics {
            received: counter(&self.received),
            stored: counter(&self.stored),
            duplicate: counter(&self.duplicate),
            repeated_after_ack: counter(&self.repeated_after_ack),
            held: counter(&self.held),
            busy: counter(&self.busy),
            ack_seconds: Histogram::clone(&self.ack_seconds.get_or_create(&label)),
        }
    }

    /// What [`Metrics::announce_channel`] does, for a target.
    pub fn announce_target(&self, id: &Arc<str>) {
        let label = ByTarget { target: id.clone() };
        drop(self.dead.get_or_create(&label));
        drop(self.confirmed_seconds.get_or_create(&label));
        for gauge in [&self.open_deliveries, &self.held_deliveries, &self.dead_deliveries] {
            drop(gauge.get_or_create(&label));
        }
        drop(self.oldest_undelivered_seconds.get_or_create(&label));
        for outcome in OUTCOMES {
            drop(self.attempts.get_or_create(&ByOutcome { target: id.clone(), outcome }));
        }
    }
}

/// Every word of an attempt's outcome.
const OUTCOMES: &[&str] = &["delivered", "retry", "declined", "unknown"];

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Logging that was started. Dropping it writes what is left; it is the last thing of a process.
pub struct Logging(Option<Lines>);

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(lines) = &self.0 {
            lines.end();
        }
    }
}

/// Starts logging to stderr. `level` is a directive such as `info` or `tollbell=debug`. Lines are written by a
/// thread of their own until what is returned is dropped.
///
/// # Errors
/// A sentence when the directive cannot be read. A second call changes nothing.
pub fn start_logging(format: LogFormat, level: &str) -> Result<Logging, String> {
    let filter = tracing_subscriber::EnvFilter::try_new(level).map_err(|error| error.to_string())?;
    let lines = Lines::to(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(lines.clone())
        .with_target(false);
    let started = match format {
        LogFormat::Pretty => builder.compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    if started.is_err() {
        lines.end();
        tracing::debug!("logging had been started before");
        return Ok(Logging(None));
    }
    Ok(Logging(Some(lines)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let metrics = Metrics::new();
        metrics.refused.get_or_create(&ByReason { channel: "shop".into(), reason: "signature" }).inc();
        metrics.ack_seconds.get_or_create(&ByChannel { channel: "shop".into() }).observe(0.001);
        let text = metrics.render();
        assert!(text.contains("tollbell_refused_total{channel=\"shop\",reason=\"signature\"} 1"), "{text}");
        assert!(text.contains("tollbell_ack_seconds_bucket"), "{text}");
    }

    #[test]
    fn every_key_is_counted_whether_it_is_at_hand_or_not() {
        let (metrics, channel, keys) = (Metrics::new(), "shop".into(), KeyCounters::default());
        for round in 0..3 {
            for key in round..=KEYS_AT_HAND + 2 {
                let proof = Proof::Signature { key: format!("key {key}"), variant: String::new() };
                metrics.count_genuine(&channel, &keys, &proof);
            }
        }
        let text = metrics.render();
        for key in 0..=KEYS_AT_HAND + 2 {
            let line = format!("tollbell_genuine_total{{channel=\"shop\",key=\"key {key}\"}} {}", (key + 1).min(3));
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
