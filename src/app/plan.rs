//! What a new configuration changes: a pure comparison of two readings.

use std::collections::BTreeMap;

use crate::config::{Config, Print};
use crate::messages::Message;
use crate::reload::{Change, Finding, How};

/// Sections of which every key takes effect at once, but for those of [`RESTART_KEYS`]. A key of any other
/// section takes effect at a restart.
const LIVE_SECTIONS: &[&str] = &["server", "admin", "retention", "deliver"];
/// Keys of live sections that take effect at a restart.
const RESTART_KEYS: &[&str] = &["server.roles", "admin.listen", "admin.socket"];
/// How keys of certificate and key begin.
const PAIR: &str = "tls.";
/// Keys of `[server]` that the listeners' tasks do not know of.
const NOT_OF_LISTENERS: &[&str] = &["listen", "watch", "roles"];

/// The differences.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) needs_restart: Vec<String>,
    pub(super) refusals: Vec<Finding>,
    /// Whether the listeners have to be served anew.
    pub(super) changes_listeners: bool,
}

/// What waits for each of them, by its id: everything that is not finished.
pub(super) type Open = BTreeMap<String, u64>;

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Deliveries, by their target.
    pub(super) deliveries: Open,
    /// Hints that were accepted and wait for an answer, by their channel, without what strangers are known to invent.
    pub(super) hints: Open,
}

/// Compares what is in force with what was read.
pub(super) fn plan(old: &Config, new: &Config, waiting: &Waiting, discard: &[String]) -> Plan {
    let mut plan = Plan::default();
    plan.compare_sections(old, new);
    plan.compare("channel", &old.prints.channels, &new.prints.channels);
    plan.compare("target", &old.prints.targets, &new.prints.targets);
    let numbered = |routes: &[Print]| -> BTreeMap<String, Print> {
        routes.iter().enumerate().map(|(index, print)| (format!("{:03}", index + 1), print.clone())).collect()
    };
    plan.compare("route", &numbered(&old.prints.routes), &numbered(&new.prints.routes));
    for change in plan.changes.iter_mut().filter(|change| change.what == "route") {
        change.id = change.id.trim_start_matches('0').to_owned();
    }
    plan.refuse(old, new, &waiting.deliveries, discard);
    plan.refuse_channels(old, new, &waiting.hints);
    plan
}

/// Whether hints of a channel are followed by this configuration.
pub(super) fn asks(config: &Config, channel: &str) -> bool {
    config.channels.iter().any(|known| *known.id == *channel && known.channel.fetch_back().is_some())
}

impl Plan {
    fn compare_sections(&mut self, old: &Config, new: &Config) {
        let is_pair_same = old.server.tls == new.server.tls;
        let (old, new) = (&old.prints.sections, &new.prints.sections);
        let nothing = Print::default();
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let differing = old.get(name).unwrap_or(&nothing).changes_to(new.get(name).unwrap_or(&nothing));
            let path = |key: &String| format!("{name}.{key}");
            let is_live =
                |key: &&String| LIVE_SECTIONS.contains(&name.as_str()) && !RESTART_KEYS.contains(&path(key).as_str());
            self.needs_restart.extend(differing.iter().filter(|key| !is_live(key)).map(path));
            let live: Vec<String> = differing.iter().filter(is_live).cloned().collect();
            // Other bytes in the same files are taken over by those who serve; open connections go on.
            let is_of_listeners =
                |key: &&String| !(NOT_OF_LISTENERS.contains(&key.as_str()) || is_pair_same && key.starts_with(PAIR));
            self.changes_listeners |= name == "server" && live.iter().any(|key| is_of_listeners(&key));
            if !live.is_empty() {
                self.changes.push(Change { what: name.clone(), id: String::new(), how: How::Changed(live) });
            }
        }
    }

    fn compare(&mut self, what: &str, old: &BTreeMap<String, Print>, new: &BTreeMap<String, Print>) {
        let mut push = |id: &String, how| self.changes.push(Change { what: what.to_owned(), id: id.clone(), how });
        for (id, print) in new {
            match old.get(id) {
                None => push(id, How::Added),
                Some(before) if before != print => push(id, How::Changed(before.changes_to(print))),
                Some(_) => {}
            }
        }
        for id in old.keys().filter(|id| !new.contains_key(*id)) {
            push(id, How::Removed);
        }
    }

    /// A hint that was accepted will not be repeated: the channel that asks the platform about it does not go, or stop
    /// asking, while there are any. Who invents numbers keeps no channel from going.
    fn refuse_channels(&mut self, old: &Config, new: &Config, open: &Open) {
        for channel in &old.channels {
            let Some(count) = open.get(&*channel.id).copied().filter(|count| *count > 0) else { continue };
            if !asks(new, &channel.id) {
                let message = Message::new("reload.channel_open").with("channel", &channel.id).with("open", count);
                self.refusals.push(Finding::refusal(format!("channel.{}", channel.id), &message));
            }
        }
    }

    /// Open deliveries are somebody's money: their target does not go, or become something else, while there are
    /// any, unless that was said.
    fn refuse(&mut self, old: &Config, new: &Config, open: &Open, discard: &[String]) {
        let open_of = |id: &str| open.get(id).copied().filter(|count| *count > 0);
        for target in &old.targets {
            let Some(count) = open_of(&target.id) else { continue };
            let key = format!("target.{}", target.id);
            match new.targets.iter().find(|other| other.id == target.id) {
                None if discard.iter().any(|id| **id == *target.id) => {}
                None => {
                    let message = Message::new("reload.target_open").with("target", &target.id).with("open", count);
                    self.refusals.push(Finding::refusal(key, &message));
                }
                Some(other) if other.kind != target.kind => {
                    let message = Message::new("reload.kind_open").with("target", &target.id).with("open", count);
                    self.refusals.push(Finding::refusal(key, &message));
                }
                Some(_) => {}
            }
        }
        if new.channels.is_empty() && !old.channels.is_empty() {
            let message = Message::new("reload.no_channel").with("channels", old.channels.len());
            self.refusals.push(Finding::refusal("channel".to_owned(), &message));
        }
        for id in discard {
            let key = format!("target.{id}");
            if new.targets.iter().any(|target| *target.id == **id) {
                let message = Message::new("reload.discard_configured").with("target", id);
                self.refusals.push(Finding::refusal(key, &message));
            } else if open_of(id).is_none() {
                let message = Message::new("reload.discard_nothing").with("target", id);
                let finding = Finding { is_warning: true, ..Finding::refusal(key, &message) };
                self.refusals.push(finding);
            }
        }
    }
}
