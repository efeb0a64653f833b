//! Wiring of the public listener's network side: from the configuration to its rules, addresses and TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tollbell_channels::model::Timestamp;

use crate::clock::Clock;
use crate::config::{AllowConfig, IpCheck, Problem, ServerConfig};
use crate::messages::Message;
use crate::receive::guard::Rules;
use crate::receive::sources::Allow;
use crate::receive::tls::{self, ENDS_SOON, TlsError, TlsPair};
use crate::receive::{Receiver, refusals};
use crate::stop::Stop;
use crate::telemetry::Metrics;

/// What one sender may take.
pub(super) fn rules(server: &ServerConfig) -> Rules {
    let network = &server.network;
    Rules {
        trusted_proxies: network.trusted_proxies.clone(),
        exempt: network.exempt_ips.clone(),
        connections: network.max_connections_per_ip,
        rate: network.rate_per_ip,
        burst: network.rate_burst,
        suspect_rate: network.suspect_rate,
        bodies_bytes: network.max_bodies_bytes,
    }
}

/// Where a channel's callbacks may come from.
pub(super) fn allow(config: &AllowConfig) -> Allow {
    match config.check {
        IpCheck::Off => Allow::Everyone,
        IpCheck::Warn => Allow::Noted(config.ranges.clone()),
        IpCheck::Block => Allow::Only(config.ranges.clone()),
    }
}

/// Every public address, and whether it speaks TLS; the plain ones first.
pub(super) fn addresses(server: &ServerConfig) -> Vec<(SocketAddr, bool)> {
    let Some(tls) = &server.tls else { return server.listen.iter().map(|address| (*address, false)).collect() };
    let is_all = tls.listen.is_empty();
    let plain = server.listen.iter().map(|address| (*address, is_all));
    plain.chain(tls.listen.iter().map(|address| (*address, true))).collect()
}

/// Reads certificate and key, if there are any.
pub(super) fn open_tls(
    server: &ServerConfig,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<TlsPair>>, TlsError> {
    let Some(tls) = &server.tls else { return Ok(None) };
    let (certificate, key) = (tls.certificate_file.clone(), tls.private_key_file.clone());
    TlsPair::open(certificate, key, clock.clone(), metrics.clone()).map(|pair| Some(Arc::new(pair)))
}

/// What is wrong with certificate and key, or will be soon.
///
/// # Errors
/// The problem, when the pair cannot be used.
pub(super) fn check_tls(file: &Path, server: &ServerConfig, now: Timestamp) -> Result<Vec<Problem>, Vec<Problem>> {
    let Some(config) = &server.tls else { return Ok(Vec::new()) };
    let certificate = "server.tls.certificate_file";
    let path = config.certificate_file.display().to_string();
    let loaded = tls::load(&config.certificate_file, &config.private_key_file).map_err(|error| {
        let (key, message) = match error {
            TlsError::CannotRead { path, why } => {
                let key = if path == config.private_key_file { "server.tls.private_key_file" } else { certificate };
                (key, Message::new("network.tls_cannot_read").with("path", path.display()).with("why", why))
            }
            TlsError::KeyOpen { path, mode } => {
                let message = Message::new("network.tls_key_open").with("path", path.display());
                ("server.tls.private_key_file", message.with("mode", format!("{mode:o}")))
            }
            TlsError::BadKey { path } => {
                ("server.tls.private_key_file", Message::new("network.tls_bad_key").with("path", path.display()))
            }
            TlsError::BadCertificate { path } => {
                (certificate, Message::new("network.tls_bad_certificate").with("path", path.display()))
            }
            TlsError::Mismatch { path } => {
                (certificate, Message::new("network.tls_mismatch").with("path", path.display()))
            }
            TlsError::Expired { path, at } => {
                (certificate, Message::new("network.tls_expired").with("path", path.display()).with("at", at))
            }
        };
        vec![Problem::mistake(file, key, message)]
    })?;
    let Some(at) = loaded.not_after else { return Ok(Vec::new()) };
    let left = at.duration_since(now);
    let message = if !left.is_positive() {
        Message::new("network.tls_expired")
    } else if left.unsigned_abs() < ENDS_SOON {
        Message::new("network.tls_ends_soon")
    } else {
        return Ok(Vec::new());
    };
    Ok(vec![Problem::warning(file, certificate, message.with("path", path).with("at", at))])
}

/// How often the guard drops what nobody needs, in intervals of the refusals.
const SWEEP: Duration = refusals::INTERVAL;

/// Drops what nobody needs and tells what was refused, until the stop signal and once after it.
pub(super) async fn tidy(receiver: Arc<ArcSwap<Receiver>>, mut stop: Stop) {
    loop {
        let is_over = tokio::select! {
            () = tokio::time::sleep(SWEEP) => false,
            () = stop.raised() => true,
        };
        let receiver = receiver.load();
        receiver.guard.sweep();
        receiver.refusals.flush();
        if is_over {
            return;
        }
    }
}
