//! Who is let in to be verified: after the channel is known, and before anything costly.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tollbell_channels::channel::{Cause, Rejection};
use tollbell_channels::model::{RawRequest, Reply, Timestamp};

use super::sources::Standing;
use super::{Answered, Door, Entrance, NO_CHANNEL, Read, Receiver};
use crate::telemetry::{ByChannel, ByLimit};

/// The status of "busy" when no channel's words can be used.
const NO_CHANNEL_BUSY: u16 = 503;

impl Receiver {
    /// Answers a request that may not be verified: from a wrong address, or of a suspect beyond the budget.
    pub(super) fn admit(&self, door: &Door, request: &RawRequest) -> Option<Answered> {
        let standing = door.allow.judge(request.source);
        if standing != Standing::Fine {
            self.metrics.network.source_mismatch.get_or_create(&ByChannel { channel: door.id.clone() }).inc();
        }
        match standing {
            Standing::Fine => {}
            Standing::Noted => {
                let what = "from an address that the channel's list does not hold; the signature decides";
                self.refusals.tell(what, &door.id, "source_mismatch", &Rejection::Source, request.source);
            }
            Standing::Refused => {
                self.metrics.received.get_or_create(&ByChannel { channel: door.id.clone() }).inc();
                self.note_refusal(Some(door), &Rejection::Source, request, Read::Whole);
                return Some(failed(door, Cause::Refused, request.received_at));
            }
        }
        if self.guard.may_verify(request.source) {
            return None;
        }
        self.note_limited(&door.id, "suspect", request.source);
        let answered = failed(door, Cause::Busy, request.received_at);
        Some(Answered { is_limited: true, ..answered })
    }

    /// Refuses a request unread when its channel is known and takes nothing from its sender.
    pub(super) fn refuse_sender(&self, entrance: &Entrance, unread: &RawRequest) -> Option<Answered> {
        let door = self.door_of(entrance)?;
        if door.allow.judge(unread.source) != Standing::Refused {
            return None;
        }
        self.metrics.network.source_mismatch.get_or_create(&ByChannel { channel: door.id.clone() }).inc();
        Some(self.refuse_unread(entrance, &Rejection::Source, unread))
    }

    /// Answers "busy" unread, in the platform's words if the path names the channel.
    pub(super) fn limited(&self, entrance: &Entrance, limit: &'static str, source: IpAddr) -> Answered {
        let received_at = (self.clock)();
        let answered = match self.door_of(entrance) {
            Some(door) => failed(door, Cause::Busy, received_at),
            None => Answered {
                reply: Reply { status: NO_CHANNEL_BUSY, content_type: None, body: Bytes::new() },
                cause: Cause::Busy,
                acknowledges: None,
                channel: NO_CHANNEL.into(),
                received_at,
                is_limited: true,
            },
        };
        self.note_limited(&answered.channel, limit, Some(source));
        Answered { is_limited: true, ..answered }
    }

    /// Notes what a refusal says about its sender: only a signature that failed has cost something.
    pub(super) fn note_cost(&self, rejection: &Rejection, source: Option<IpAddr>) {
        if matches!(rejection, Rejection::Signature | Rejection::Charset { .. }) {
            self.guard.note_forgery(source);
        }
    }

    fn note_limited(&self, channel: &Arc<str>, limit: &'static str, source: Option<IpAddr>) {
        let why = match limit {
            "rate" => "more than `rate_per_ip`",
            "suspect" => "many forgeries and nothing genuine came from there, and `suspect_rate` is spent",
            _ => "`max_bodies_bytes` is taken",
        };
        self.refusals.tell("answered busy unread", channel, limit, &why, source);
        self.metrics.network.limited.get_or_create(&ByLimit { channel: channel.clone(), limit }).inc();
    }

    /// The channel that a request's path or query names.
    pub(super) fn door_of(&self, entrance: &Entrance) -> Option<&Arc<Door>> {
        match entrance {
            Entrance::Channel(index) => self.doors.get(*index),
            Entrance::Any { named: Some(name) } => self.doors.by_id(name),
            Entrance::Any { named: None } => None,
        }
    }
}

fn failed(door: &Door, cause: Cause, received_at: Timestamp) -> Answered {
    Answered {
        reply: door.channel().answer(cause.answer(), None),
        cause,
        acknowledges: None,
        channel: door.id.clone(),
        received_at,
        is_limited: false,
    }
}
