//! A platform's side of handing out keys: what answers a [`HttpAsk`], well or badly.

use super::{Genuine, Story, WrittenSetting};
use crate::channel::{HttpAnswer, HttpAsk};
use crate::model::Timestamp;

/// The part of a platform that hands out keys, with throw-away keys of its own.
pub trait KeyOffice: Send + Sync {
    /// The settings of a channel that must ask this office at the URL `base` before it believes [`KeyOffice::callback`].
    fn written_settings(&self, base: &str) -> Vec<WrittenSetting>;

    /// A genuine callback, signed with a key that such a channel does not know at first.
    fn callback(&self, story: &Story) -> Genuine;

    /// The answer to a request, as the platform would give it, or as somebody else would.
    fn answer(&self, ask: &HttpAsk, now: Timestamp, conduct: Conduct) -> HttpAnswer;
}

/// How an office answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// As the platform does.
    Honest,
    /// The right keys, and a signature by nobody.
    BadSignature,
    /// Everything made by somebody who does not have the platform's or the merchant's secrets.
    Stranger,
    /// A certificate under the name of another one.
    OtherSerial,
    /// A certificate that has ended.
    Ended,
    /// A certificate of another party that the same authority also issued, or of the merchant itself.
    OtherParty,
    /// A correct answer about a key that nobody asked for.
    Unasked,
    /// An honest answer, cut.
    Cut,
    /// Larger than any honest one.
    Huge,
    /// No answer of this protocol.
    Garbage,
    /// "I have no such key."
    Absent,
    /// An error of the platform.
    Broken,
}

impl Conduct {
    /// Every way in which an answer is worth nothing.
    pub const BAD: &[Self] = &[
        Self::BadSignature,
        Self::Stranger,
        Self::OtherSerial,
        Self::Ended,
        Self::OtherParty,
        Self::Unasked,
        Self::Cut,
        Self::Huge,
        Self::Garbage,
        Self::Absent,
        Self::Broken,
    ];
}
