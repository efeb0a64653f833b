//! Checks of an address: what a platform asks before it sends anything is answered, counted, and kept nowhere. Anybody may
//! ask, so it comes behind every limit that callbacks have, and is no reason to trust its sender.

use tollbell_channels::channel::Cause;
use tollbell_channels::model::{RawRequest, Reply};
use tracing::debug;

use super::{Answered, Door, Receiver};
use crate::telemetry::ByChannel;

impl Receiver {
    /// Gives the answer that the channel has for a check of its address.
    pub(super) fn challenged(&self, door: &Door, reply: Reply, request: &RawRequest) -> Answered {
        door.counts(&self.metrics).received.inc();
        self.metrics.challenges.get_or_create(&ByChannel { channel: door.id.clone() }).inc();
        debug!(channel = %door.id, "the platform checked this address, and was answered");
        Answered {
            reply,
            cause: Cause::Challenged,
            acknowledges: None,
            channel: door.id.clone(),
            received_at: request.received_at,
            is_limited: false,
        }
    }
}
