//! The stage on which findings are tested: every platform, its other side, and a channel that trusts it.

use std::sync::LazyLock;

use crate::channel::{Answer, Channel, KeyNote, Likeness, Rejection, Verdict};
use crate::explain::{Configured, Diagnosis, Kept, Outcome, Question, explain};
use crate::model::{AckMatch, AppReply, RawRequest, Reply, Timestamp};
use crate::platforms::{PLATFORMS, Platform};
use crate::settings::Settings;
use crate::simulate::{OtherSide, Story};

/// When every story happens.
pub(super) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

/// A platform on stage.
pub(super) struct Stage {
    pub(super) platform: &'static Platform,
    pub(super) side: Box<dyn OtherSide>,
    pub(super) settings: Settings,
    pub(super) channel: Box<dyn Channel>,
}

/// Every platform, made once: some keys take their time.
pub(super) fn stages() -> &'static [Stage] {
    static STAGES: LazyLock<Vec<Stage>> =
        LazyLock::new(|| PLATFORMS.into_iter().map(|platform| Stage::new(platform)).collect());
    &STAGES
}

impl Stage {
    pub(super) fn new(platform: &'static Platform) -> Self {
        let side = (platform.simulate)();
        let settings = side.settings();
        let channel = (platform.build)(&settings).unwrap();
        Self { platform, side, settings, channel }
    }

    /// The same side, and a channel with other settings; none where those make none.
    pub(super) fn with_settings(&self, settings: Settings) -> Option<Self> {
        let channel = (self.platform.build)(&settings).ok()?;
        let mut side = (self.platform.simulate)();
        side.import(&self.side.export()).unwrap();
        Some(Self { platform: self.platform, side, settings, channel })
    }

    /// A genuine callback of the first kind.
    pub(super) fn callback(&self) -> RawRequest {
        let story = Story { kind: self.side.stories()[0], ..Story::paid("T202611210001", 1234, at()) };
        self.side.callback(&story).request
    }

    pub(super) fn configured(&self) -> Configured<'_> {
        Configured { id: "own", platform: self.platform, settings: &self.settings, channel: &*self.channel }
    }

    pub(super) fn is_accepted(&self, request: &RawRequest, now: Timestamp) -> bool {
        matches!(self.channel.verify(request, now), Verdict::Genuine(_) | Verdict::Hint(_))
    }

    pub(super) fn explained(&self, request: &RawRequest, now: Timestamp) -> Diagnosis {
        self.explained_as(request, Kept::WHOLE, now, &[])
    }

    pub(super) fn explained_as(
        &self,
        request: &RawRequest,
        kept: Kept,
        now: Timestamp,
        others: &[Configured<'_>],
    ) -> Diagnosis {
        let diagnosis = explain(&Question { request, kept, own: self.configured(), others, now, is_dated: true });
        assert!(diagnosis.effort.operations <= crate::explain::OPERATIONS_MAX, "{:?}", diagnosis.effort);
        assert_eq!(matches!(diagnosis.outcome, Outcome::Genuine | Outcome::Hint), self.is_accepted(request, now));
        diagnosis
    }
}

/// A channel that refuses everything for one reason.
pub(super) struct Refuses(pub(super) Rejection);

impl Channel for Refuses {
    fn recognise(&self, _: &RawRequest) -> Likeness {
        Likeness::No
    }

    fn verify(&self, _: &RawRequest, _: Timestamp) -> Verdict {
        Verdict::Refused(self.0.clone())
    }

    fn answer(&self, _: Answer, _: Option<&RawRequest>) -> Reply {
        Reply::constant(400, "text/plain", b"")
    }

    fn is_ack(&self, _: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        AckMatch::No
    }

    fn fields(&self, _: &RawRequest) -> Vec<(String, String)> {
        Vec::new()
    }

    fn keys(&self) -> Vec<KeyNote> {
        Vec::new()
    }
}
