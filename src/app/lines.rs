//! Configuration → lines: each target with its schedule.

use anyhow::Context as _;
use tracing::warn;

use super::build_target;
use super::plan::asks;
use crate::config::{BackoffConfig, Config, SignatureConfig};
use crate::deliver::signatures::Signature;
use crate::deliver::{Backoff, Line, Policy};
use crate::inbox::Inbox;

/// Builds every target.
pub(super) fn lines(config: &Config) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for target in &config.targets {
        let built =
            build_target(&target.kind, &target.settings).with_context(|| format!("build target `{}`", target.id))?;
        let demands = built.demands();
        let backoff = match &target.ladder {
            Some(ladder) => Backoff::Ladder(ladder.clone()),
            None => backoff(&config.deliver.backoff),
        };
        let policy = Policy {
            backoff,
            wait_after_unknown: demands.wait_after_unknown,
            attempt_timeout: demands.attempt_timeout,
            lease: Policy::lease_for(demands.attempt_timeout, demands.wait_after_unknown, config.deliver.lease_margin),
            concurrency: demands.concurrency.max(1),
        };
        let signature = match target.signature {
            SignatureConfig::Original => Signature::Original,
            SignatureConfig::Resigned => Signature::Resigned,
        };
        lines.push(Line { id: target.id.clone(), target: built, signature, policy });
    }
    Ok(lines)
}

fn backoff(config: &BackoffConfig) -> Backoff {
    match config {
        BackoffConfig::Ladder(waits) => Backoff::Ladder(waits.clone()),
        BackoffConfig::Exponential { first, max, tries } => {
            Backoff::Exponential { first: *first, max: *max, tries: *tries }
        }
    }
}

/// Deliveries of a target that is no longer configured, and hints of a channel, wait until it is again; somebody should
/// know.
pub(super) async fn warn_of_orphans(inbox: &dyn Inbox, config: &Config) {
    match inbox.backlog().await {
        Ok(rows) => {
            for row in rows {
                let is_configured = config.targets.iter().any(|target| *target.id == *row.target);
                if row.open > 0 && !is_configured {
                    warn!(target = row.target, open = row.open, "deliveries wait for a target that is not configured");
                }
            }
        }
        Err(error) => warn!(%error, "cannot read what waits"),
    }
    match inbox.hint_backlog().await {
        Ok(rows) => {
            for row in rows.into_iter().filter(|row| row.open > 0 && !asks(config, &row.channel)) {
                warn!(
                    channel = row.channel,
                    open = row.open,
                    "accepted hints wait for a channel that is not configured or does not ask: the platform is not asked about them"
                );
            }
        }
        Err(error) => warn!(%error, "cannot read which hints wait"),
    }
}
