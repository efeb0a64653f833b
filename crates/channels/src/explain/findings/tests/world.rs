//! Channels to refuse something, for tests of every platform.

use std::sync::Arc;

use crate::channel::Channel;
use crate::explain::{Configured, Diagnosis, Facts, Kept, Question, explain};
use crate::lifetimes::Lifetimes;
use crate::model::{RawRequest, Timestamp};
use crate::platforms::Platform;
use crate::settings::Settings;
use crate::simulate::{OtherSide, Story};

pub(super) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

/// A channel with its settings.
pub(super) struct World {
    pub(super) id: &'static str,
    pub(super) platform: &'static Platform,
    pub(super) settings: Settings,
    pub(super) channel: Arc<dyn Channel>,
}

impl World {
    pub(super) fn new(id: &'static str, platform: &'static Platform, settings: Settings) -> Self {
        let built = Lifetimes::build(platform.build, &settings);
        let channel = built.unwrap_or_else(|error| panic!("{}: {error}", platform.kind));
        Self { id, platform, settings, channel }
    }

    pub(super) fn try_new(id: &'static str, platform: &'static Platform, settings: Settings) -> Option<Self> {
        let channel = Lifetimes::build(platform.build, &settings).ok()?;
        Some(Self { id, platform, settings, channel })
    }

    pub(super) fn configured(&self) -> Configured<'_> {
        Configured { id: self.id, platform: self.platform, settings: &self.settings, channel: &*self.channel }
    }

    pub(super) fn explain(&self, others: &[&Self], request: &RawRequest, now: Timestamp) -> Diagnosis {
        let others: Vec<Configured<'_>> = others.iter().map(|other| other.configured()).collect();
        explain(&Question { request, kept: Kept::WHOLE, own: self.configured(), others: &others, now, is_dated: true })
    }

    pub(super) fn accepts(&self, request: &RawRequest) -> bool {
        self.explain(&[], request, at()).outcome.is_accepted()
    }
}

pub(super) fn message(side: &dyn OtherSide) -> RawRequest {
    side.callback(&Story::paid("ORDER-1", 1000, at())).request
}

/// The only finding of a diagnosis and its facts.
pub(super) fn only(diagnosis: &Diagnosis, about: &str) -> (&'static str, Facts) {
    let [found] = diagnosis.findings.as_slice() else { panic!("{about}: {diagnosis:?}") };
    for text in [found.title(|text| text.en), found.cure(|text| text.zh), found.cause(|text| text.en)] {
        assert!(!text.contains('{'), "{about}: {text}");
    }
    (found.finding.id, found.facts.clone())
}

pub(super) fn fact<'f>(facts: &'f Facts, name: &str) -> &'f str {
    facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}
