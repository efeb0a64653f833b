//! `[[route]]`: which events go to which targets.

use std::sync::Arc;

use tollbell_channels::model::EventKind;

use super::reader::{Section, nearest};
use super::{ChannelConfig, TargetConfig};
use crate::messages::Message;

/// All routes. None at all: every event goes to every target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    /// `None`: all.
    channels: Option<Vec<String>>,
    events: Vec<EventKind>,
    targets: Vec<String>,
}

impl Routes {
    pub(super) fn read(sections: Vec<Section<'_>>, channels: &[ChannelConfig], targets: &[TargetConfig]) -> Self {
        let mut routes = Vec::new();
        for section in sections {
            let named = |key: &str, known: &[&str]| {
                let found = section.texts(key)?;
                for name in found.iter().filter(|name| !known.contains(&name.as_str())) {
                    let message = match nearest(name, known.iter().copied()) {
                        Some(near) => {
                            Message::new("config.unknown_name_nearest").with("name", name).with("nearest", near)
                        }
                        None => Message::new("config.unknown_name").with("name", name),
                    };
                    section.problem(key, message);
                }
                Some(found)
            };
            let channel_ids: Vec<&str> = channels.iter().map(|channel| &*channel.id).collect();
            let target_ids: Vec<&str> = targets.iter().map(|target| &*target.id).collect();
            let channels = named("channels", &channel_ids);
            let targets = named("targets", &target_ids);
            if targets.as_ref().is_none_or(Vec::is_empty) {
                section.problem("targets", Message::new("config.missing"));
            }
            let patterns = section.texts("events").unwrap_or_else(|| vec!["*".to_owned()]);
            let mut events = Vec::new();
            for pattern in &patterns {
                let matched = matching(pattern);
                if matched.is_empty() {
                    section.problem("events", Message::new("config.bad_event").with("pattern", pattern));
                }
                events.extend(matched);
            }
            section.finish();
            routes.push(Route { channels, events, targets: targets.unwrap_or_default() });
        }
        Self(routes)
    }

    /// The targets of an event, each once, in the order of the configuration.
    pub fn targets_for(&self, channel: &str, kind: EventKind, targets: &[TargetConfig]) -> Vec<Arc<str>> {
        let is_routed = |target: &str| {
            self.0.iter().any(|route| {
                route.targets.iter().any(|id| id == target)
                    && route.events.contains(&kind)
                    && route.channels.as_ref().is_none_or(|channels| channels.iter().any(|id| id == channel))
            })
        };
        targets
            .iter()
            .filter(|target| self.0.is_empty() || is_routed(&target.id))
            .map(|target| target.id.clone())
            .collect()
    }
}

/// The kinds that a pattern means: `*`, `payment.*`, or one kind.
fn matching(pattern: &str) -> Vec<EventKind> {
    let is_match = |kind: &EventKind| match pattern.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => prefix.ends_with('.') && kind.as_str().starts_with(prefix),
        None => kind.as_str() == pattern,
    };
    EventKind::ALL.iter().copied().filter(is_match).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_kinds() {
        assert_eq!(matching("*").len(), EventKind::ALL.len());
        assert_eq!(matching("refund.succeeded"), [EventKind::RefundSucceeded]);
        assert_eq!(matching("refund.*").len(), 3);
        for wrong in ["", "refund", "refund.", "ref*", "*.succeeded", "payment.paid"] {
            assert!(matching(wrong).is_empty(), "{wrong}");
        }
    }
}
