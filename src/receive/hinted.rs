//! Hints: what names something and proves nothing is kept to be asked about, and answered at once.

use std::sync::Arc;

use tollbell_channels::channel::{Cause, Channel, FetchBack, Hint, Rejection};
use tollbell_channels::model::RawRequest;
use tracing::{debug, error};

use super::{Door, Read, Receiver};
use crate::inbox::hints::{Noted, Told};
use crate::telemetry::ByReason;

impl Receiver {
    /// Keeps a hint. The platform is told "success" after it is on disk, for a number that does not exist as well:
    /// only who has no room here, or sends to a channel that cannot ask, hears anything else.
    pub(super) async fn keep_hint(
        &self,
        door: &Door,
        channel: &Arc<dyn Channel>,
        hint: Hint,
        request: &RawRequest,
    ) -> Cause {
        let Some(pace) = channel.fetch_back().map(FetchBack::pace) else {
            // Nothing that such a channel cannot ask about is ever believed.
            self.note_refusal(Some(door), &Rejection::Signature, request, Read::Whole);
            return Cause::Refused;
        };
        let told = Told {
            channel: door.id.to_string(),
            hint,
            source: request.source,
            at: request.received_at,
            gap: pace.gap_of_number,
        };
        let noted = match self.inbox.note_hint(told).await {
            Ok(noted) => noted,
            Err(error) => {
                door.counts(&self.metrics).busy.inc();
                error!(channel = %door.id, %error, "cannot keep a hint; answered busy");
                return Cause::Busy;
            }
        };
        self.metrics.hints.get_or_create(&ByReason { channel: door.id.clone(), reason: noted.as_str() }).inc();
        if noted == Noted::Full {
            door.counts(&self.metrics).busy.inc();
            let why = "more numbers wait to be asked about than its network or the channel has places";
            self.refusals.tell("a hint answered busy", &door.id, "no_place", &why, request.source);
            return Cause::Busy;
        }
        debug!(channel = %door.id, became = noted.as_str(), "a hint");
        Cause::Hinted
    }
}
