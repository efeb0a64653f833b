//! The ways in: which path belongs to which channel, and where the channel's events go.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tollbell_channels::channel::Channel;
use tollbell_channels::model::EventKind;
use tollbell_channels::resign::Resigner;

use super::Ack;
use super::sources::Allow;
use crate::inbox::RoutedTarget;
use crate::keys::Keeper;
use crate::telemetry::{ChannelMetrics, KeyCounters, Metrics};

/// A channel with all that receiving needs.
pub struct Door {
    /// The channel's id.
    pub id: Arc<str>,
    /// The merchant.
    pub merchant: Arc<str>,
    /// The platform's kind.
    pub platform: &'static str,
    /// The channel, with the keys that its platform gave.
    pub keeper: Arc<Keeper>,
    /// Extra paths that belong to it.
    pub paths: Vec<String>,
    /// Verify and store, and deliver nothing: the application still gets its callbacks by another way.
    pub is_shadow: bool,
    /// Where its callbacks may come from.
    pub allow: Allow,
    /// When the platform hears "success".
    pub ack: Ack,
    /// What is asked of the platform beyond what its protocol needs.
    pub asks: Asks,
    /// What signs its requests afresh for targets that ask for it.
    pub resigner: Option<Arc<dyn Resigner>>,
    routes: HashMap<EventKind, Vec<RoutedTarget>>,
    counts: OnceLock<ChannelMetrics>,
    pub(super) key_counts: KeyCounters,
}

impl Door {
    /// A door; `targets_of` says where events of a kind go and is asked once for each kind.
    pub fn new(
        id: Arc<str>,
        merchant: Arc<str>,
        platform: &'static str,
        keeper: Arc<Keeper>,
        paths: Vec<String>,
        targets_of: impl Fn(EventKind) -> Vec<RoutedTarget>,
    ) -> Self {
        let routes = EventKind::ALL.iter().map(|kind| (*kind, targets_of(*kind))).collect();
        Self {
            id,
            merchant,
            platform,
            keeper,
            paths,
            is_shadow: false,
            allow: Allow::Everyone,
            ack: Ack::default(),
            asks: Asks::default(),
            resigner: None,
            routes,
            counts: OnceLock::new(),
            key_counts: KeyCounters::default(),
        }
    }

    /// The same door, in shadow or not.
    #[must_use]
    pub fn in_shadow(self, is_shadow: bool) -> Self {
        Self { is_shadow, ..self }
    }

    /// Its counters, of the one set that a node has.
    pub(super) fn counts(&self, metrics: &Metrics) -> &ChannelMetrics {
        self.counts.get_or_init(|| metrics.of_channel(&self.id))
    }

    /// The channel as it is now. A request finishes on the one that it began with.
    pub fn channel(&self) -> Arc<dyn Channel> {
        self.keeper.channel()
    }

    /// The same door for callbacks from certain addresses.
    #[must_use]
    pub fn allowing(self, allow: Allow) -> Self {
        Self { allow, ..self }
    }

    /// The same door with another answer to when the platform hears "success".
    #[must_use]
    pub fn with_ack(self, ack: Ack) -> Self {
        Self { ack, ..self }
    }

    /// The same door, asking more.
    #[must_use]
    pub fn asking(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }

    /// The same door with a key of the gateway's own.
    #[must_use]
    pub fn with_resigner(self, resigner: Option<Arc<dyn Resigner>>) -> Self {
        Self { resigner, ..self }
    }

    /// Where events of this kind go.
    pub fn routes(&self, kind: EventKind) -> &[RoutedTarget] {
        self.routes.get(&kind).map_or(&[], Vec::as_slice)
    }
}

/// What a channel asks its platform about, beyond what its protocol needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Proven messages: nothing of them is told before the platform has confirmed it.
    pub about_proven: bool,
    /// Messages that should prove themselves and do not. They stay refused; what they name is asked about.
    pub about_unproven: bool,
}

/// Every door, found by id or path.
#[derive(Default)]
pub struct Doors {
    all: Vec<Arc<Door>>,
    by_id: HashMap<Arc<str>, usize>,
    by_path: HashMap<String, usize>,
}

/// By which path a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// A channel's own path.
    Channel(usize),
    /// `/notify`, with the channel that the query names, if it names one.
    Any {
        /// The name.
        named: Option<String>,
    },
}

/// The path for all channels; `/notify/{channel}` is a channel's own.
pub const NOTIFY: &str = "/notify";

impl Doors {
    /// All doors. Ids and paths are unique; the configuration has checked it.
    pub fn new(doors: Vec<Arc<Door>>) -> Self {
        let mut found = Self::default();
        for (index, door) in doors.iter().enumerate() {
            found.by_id.insert(door.id.clone(), index);
            found.by_path.insert(format!("{NOTIFY}/{}", door.id), index);
            for path in &door.paths {
                found.by_path.insert(path.clone(), index);
            }
        }
        found.all = doors;
        found
    }

    /// Which entrance a path is; `None` is a 404.
    pub fn entrance(&self, path: &str, query: Option<&str>) -> Option<Entrance> {
        if let Some(index) = self.by_path.get(path) {
            return Some(Entrance::Channel(*index));
        }
        let named = || {
            let mut names = query?.split('&').filter_map(|pair| pair.strip_prefix("channel="));
            names.next().map(str::to_owned)
        };
        (path == NOTIFY).then(|| Entrance::Any { named: named() })
    }

    /// The door at an index.
    pub fn get(&self, index: usize) -> Option<&Arc<Door>> {
        self.all.get(index)
    }

    /// The door of a channel.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Door>> {
        self.by_id.get(id).and_then(|index| self.all.get(*index))
    }

    /// Every door.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Door>> {
        self.all.iter()
    }
}
