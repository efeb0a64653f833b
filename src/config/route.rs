//! `[[route]]`: which events go to which targets.

use std::sync::Arc;

use tollbell_channels::model::EventKind;

use super::reader::{Section, nearest};
use super::{Names, TargetConfig};
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
    pub(super) fn read(sections: Vec<Section<'_>>, names: &Names) -> Self {
        let mut routes = Vec::new();
        for section in sections {
            let listed = |key: &str, known: &[String]| {
                let found = section.texts(key)?;
                for name in found.iter().filter(|name| names.is_whole && !known.contains(name)) {
                    let message = match nearest(name, known.iter().map(String::as_str)) {
                        Some(near) => {
                            Message::new("config.unknown_name_nearest").with("name", name).with("nearest", near)
                        }
                        None => Message::new("config.unknown_name").with("name", name),
                    };
                    section.problem(key, message);
                }
                Some(found)
            };
            let channels = listed("channels", &names.channels);
            let targets = listed("targets", &names.targets);
            if targets.as_ref().map_or(!section.has("targets"), Vec::is_empty) {
                section.problem("targets", Message::new("config.missing"));
            }
            if channels.as_ref().is_some_and(Vec::is_empty) {
                section.problem("channels", Message::new("config.empty_list"));
            }
            let patterns = section.texts("events").unwrap_or_else(|| vec!["*".to_owned()]);
            if patterns.is_empty() {
                section.problem("events", Message::new("config.empty_list"));
            }
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
