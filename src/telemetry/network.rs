//! Numbers about the public listener's network side.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::ByChannel;

/// Labels of requests that were answered "busy" unread, because their sender or all together took too much.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByLimit {
    /// The channel's id; `none` when a request named no known one.
    pub channel: Arc<str>,
    /// `rate`, `suspect` or `bodies`.
    pub limit: &'static str,
}

/// Label of connections that were closed without being asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCut {
    /// `per_ip`, `handshake`, `silent`, `unread` or `flood`.
    pub reason: &'static str,
}

/// Every number about the network side.
#[derive(Debug, Default)]
pub struct NetworkMetrics {
    /// Requests answered "busy" because of a limit.
    pub limited: Family<ByLimit, Counter>,
    /// Connections cut.
    pub cut: Family<ByCut, Counter>,
    /// Requests from addresses that a channel's list does not hold, refused or only noted.
    pub source_mismatch: Family<ByChannel, Counter>,
    /// Requests of trusted proxies whose `X-Forwarded-For` could not be read.
    pub forwarded_unreadable: Counter,
    /// Connections that could not be accepted, mostly for want of file descriptors.
    pub accept_failed: Counter,
    /// Pairs of certificate and key that were not taken over.
    pub tls_reload_failed: Counter,
    /// When the certificate in use ends; zero without TLS.
    pub tls_not_after: Gauge<f64, AtomicU64>,
}

impl NetworkMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("limited", "Requests answered busy because of a limit", self.limited.clone());
        r.register("connections_cut", "Connections closed without being asked", self.cut.clone());
        r.register(
            "source_mismatch",
            "Requests from addresses that the channel's list does not hold",
            self.source_mismatch.clone(),
        );
        r.register(
            "forwarded_unreadable",
            "Requests of trusted proxies whose X-Forwarded-For could not be read",
            self.forwarded_unreadable.clone(),
        );
        r.register("accept_failed", "Connections that could not be accepted", self.accept_failed.clone());
        r.register(
            "tls_reload_failed",
            "Pairs of certificate and key that were not taken over",
            self.tls_reload_failed.clone(),
        );
        r.register_with_unit(
            "tls_not_after_timestamp",
            "When the certificate in use ends; zero without TLS",
            Unit::Seconds,
            self.tls_not_after.clone(),
        );
    }

    /// Counts a cut connection.
    pub fn cut(&self, reason: &'static str) {
        self.cut.get_or_create(&ByCut { reason }).inc();
    }
}
