//! Rejections: refused requests, kept within quotas so that people can see why, and verified again once a
//! key or a setting was mended.
//!
//! Noting one never delays or fails a reply. What a flood brings is kept up to its quota and counted beyond
//! it; a rejection that may be genuine has a quota of its own, so that no flood of anything else evicts it.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use async_trait::async_trait;
use tollbell_channels::channel::Rejection;
use tollbell_channels::model::{RawRequest, Timestamp};

use super::{Arrival, Error, NotificationId, RejectionId, Stored};

/// The log of refused requests.
#[async_trait]
pub trait Rejections: Send + Sync {
    /// Notes a refusal in memory, to be written with a delay. Never waits; what has no room is counted.
    fn note_rejection(&self, refused: Refused<'_>);

    /// Keeps a refusal whose request is proven by its signature, and returns after the commit is on disk: it
    /// may be the only copy that ever comes.
    async fn store_rejection(&self, refused: Refused<'_>) -> Result<(), Error>;

    /// Refusals that left no trace but this count, since the inbox was opened.
    fn rejections_lost(&self) -> u64;

    /// One rejection with its request.
    async fn rejection(&self, id: RejectionId) -> Result<RejectionRecord, Error>;

    /// Rejections, newest first, without their requests.
    async fn rejections(&self, filter: RejectionFilter) -> Result<Vec<RejectionRecord>, Error>;

    /// How many there are of each channel and reason, most frequent first. The filter's page does not count.
    async fn rejection_groups(&self, filter: RejectionFilter) -> Result<Vec<RejectionGroup>, Error>;

    /// Stores what a rejection turned out to be, exactly as an arriving callback is stored, and marks the
    /// rejection and writes the audit in the same transaction.
    async fn store_reverified(&self, arrival: Arrival, rejection: RejectionId, by: &str) -> Result<Stored, Error>;
}

/// A refusal as it happens.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The channel's id; `None` where the request named no known one.
    pub channel: Option<&'a str>,
    /// Why.
    pub rejection: &'a Rejection,
    /// The request; its body is empty where it was not read.
    pub request: &'a RawRequest,
    /// Whether the body was read.
    pub is_read: bool,
}

/// A kept rejection.
#[derive(Clone, Debug)]
pub struct RejectionRecord {
    /// Its id.
    pub id: RejectionId,
    /// The channel's id; `None` where the request named no known one.
    pub channel: Option<String>,
    /// Why, with what was found.
    pub rejection: Rejection,
    /// Who sent it.
    pub source: Option<IpAddr>,
    /// When it came first.
    pub received_at: Timestamp,
    /// When it, or what was counted on it, came last.
    pub last_at: Timestamp,
    /// How often these very bytes came.
    pub count: u64,
    /// Further refusals of the same channel, reason and network that were only counted.
    pub more: u64,
    /// The notification that it became when it was verified again.
    pub notification: Option<NotificationId>,
    /// When that was.
    pub reverified_at: Option<Timestamp>,
    /// The request; `None` in lists.
    pub request: Option<RejectedRequest>,
}

/// The request of a rejection, as far as it was kept.
#[derive(Clone, Debug)]
pub struct RejectedRequest {
    /// The request with the first [`BODY_BYTES_MAX`] bytes of its body.
    pub request: RawRequest,
    /// Bytes of the whole body; `None` where it was never read.
    pub body_bytes: Option<u64>,
    /// Credentials were taken out before it was kept.
    pub is_redacted: bool,
}

impl RejectedRequest {
    /// Whether the whole body is here, as verification needs it.
    pub fn is_whole(&self) -> bool {
        self.body_bytes.is_some_and(|bytes| usize::try_from(bytes) == Ok(self.request.body.len()))
    }
}

/// Which rejections.
#[derive(Clone, Debug, Default)]
pub struct RejectionFilter {
    /// Of this channel.
    pub channel: Option<String>,
    /// With this reason's word.
    pub reason: Option<String>,
    /// That came at this time or later.
    pub since: Option<Timestamp>,
    /// Not yet turned into a notification.
    pub is_open: bool,
    /// Older than this one: the last id of the page before.
    pub before: Option<RejectionId>,
    /// At most so many, up to [`super::PAGE_MAX`].
    pub limit: usize,
}

/// Rejections of one channel and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectionGroup {
    /// The channel's id.
    pub channel: Option<String>,
    /// The reason's word.
    pub reason: String,
    /// Rows kept.
    pub kept: u64,
    /// Refusals in all that these rows stand for.
    pub count: u64,
    /// The first.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
}

/// Longest body that is kept of a rejection. Genuine callbacks have under 16 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The bounds of the log. Each shelf has them for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectionLimits {
    /// Within this time a network may have [`Self::kept_in_window`] rows for one channel and reason.
    pub window: Duration,
    /// Rows of one channel, reason and network that are kept in a window; further ones are counted.
    pub kept_in_window: u32,
    /// Rows of one shelf; a single channel may have half of them.
    pub rows: u64,
    /// Bytes of one shelf; a single channel may have half of them.
    pub bytes: u64,
    /// Rows of the shelf of proven ones, which only the platform's key can fill: every payment of a busy day on
    /// which the configured key was wrong.
    pub proven_rows: u64,
    /// Bytes of the shelf of proven ones.
    pub proven_bytes: u64,
    /// Rows of one shelf that wait in memory.
    pub waiting_rows: usize,
    /// Bytes of one shelf that wait in memory.
    pub waiting_bytes: usize,
    /// Rows of one shelf that are written at once, so that callbacks never wait long.
    pub written_rows: usize,
    /// Time between two writes.
    pub write_every: Duration,
}

impl Default for RejectionLimits {
    /// At most about 270 MiB on disk and 6 MiB in memory, whatever comes; forgers fill 80 MiB of it.
    fn default() -> Self {
        Self {
            window: Duration::from_mins(10),
            kept_in_window: 200,
            rows: 4000,
            bytes: 16 * 1024 * 1024,
            proven_rows: 50_000,
            proven_bytes: 192 * 1024 * 1024,
            waiting_rows: 256,
            waiting_bytes: 1024 * 1024,
            written_rows: 64,
            write_every: Duration::from_secs(1),
        }
    }
}

/// A quota of its own for each reason that may befall a genuine callback; what only forgers and scanners
/// send shares one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// Proven by its signature. Nobody without the platform's key can fill it.
    Undecryptable,
    /// The key is not configured, or could not be fetched.
    UnknownKey,
    /// For a merchant or application that is not configured.
    UnknownMerchant,
    /// Late, or our clock is wrong.
    Stale,
    /// The signature does not match: a wrong key on platforms that do not name their key, or a forgery.
    Signature,
    /// Everything else.
    Other,
}

impl Shelf {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Undecryptable, Self::UnknownKey, Self::UnknownMerchant, Self::Stale, Self::Signature, Self::Other];

    /// Where a rejection belongs.
    pub fn of(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::Undecryptable => Self::Undecryptable,
            Rejection::UnknownKey { .. } => Self::UnknownKey,
            Rejection::UnknownMerchant { .. } => Self::UnknownMerchant,
            Rejection::Stale { .. } => Self::Stale,
            Rejection::Signature => Self::Signature,
            _ => Self::Other,
        }
    }
}

/// The network of a source, as the quotas see it: whoever has one address mostly has its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// The first three bytes of an IPv4 address.
    V4([u8; 3]),
    /// The first six bytes of an IPv6 address.
    V6([u8; 6]),
    /// The source is not known, or too many networks send at once.
    Any,
}

impl Network {
    /// Of a source.
    pub fn of(source: Option<IpAddr>) -> Self {
        match source.map(|source| source.to_canonical()) {
            Some(IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(v6)) => Self::V6(first_six(v6)),
            None => Self::Any,
        }
    }

    /// The bytes that name it; none for [`Network::Any`].
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
            Self::Any => &[],
        }
    }
}

fn first_six(v6: Ipv6Addr) -> [u8; 6] {
    let octets = v6.octets();
    std::array::from_fn(|at| octets[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_network() {
        let of = |text: &str| Network::of(Some(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), of("192.0.2.250"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
        assert_eq!(Network::of(None).bytes(), b"");
    }
}
