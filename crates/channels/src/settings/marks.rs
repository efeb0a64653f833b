//! What the configuration says about a piece of key material beside its bytes: what it is called, and when it ends.

use super::{SettingValue, Settings};
use crate::channel::quote;
use crate::model::Timestamp;

/// What is said about one piece of key material.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyMark {
    /// What people call it, such as the name of its file; never anything of the key itself.
    pub name: Option<String>,
    /// From this moment on it proves nothing any more.
    pub until: Option<Timestamp>,
}

impl Settings {
    /// Says something about the key material at a place of a setting; settings that hold one piece have place 0 only.
    #[must_use]
    pub fn with_mark(mut self, setting: &'static str, place: usize, mark: KeyMark) -> Self {
        self.marks.insert((setting, place), mark);
        self
    }

    /// With everything that other settings say about key material.
    #[must_use]
    pub fn with_marks_of(mut self, other: &Self) -> Self {
        self.marks.extend(other.marks.iter().map(|(place, mark)| (*place, mark.clone())));
        self.ended.extend(other.ended.iter());
        self
    }

    /// What is said about the key material at a place of a setting.
    pub fn mark(&self, setting: &str, place: usize) -> Option<&KeyMark> {
        self.marks.iter().find(|((name, at), _)| *name == setting && *at == place).map(|(_, mark)| mark)
    }

    /// The name of one of several keys, in proofs and for people: what it is called, else its place. The name stays when
    /// another key of the list is taken away.
    pub fn key_label(&self, setting: &str, place: usize) -> String {
        let named = self.mark(setting, place).and_then(|mark| mark.name.as_deref());
        named.map_or_else(|| format!("{setting}[{place}]"), quote)
    }

    /// The moments at which some key ends, each once, in their order.
    pub fn ends(&self) -> Vec<Timestamp> {
        let mut ends: Vec<Timestamp> = self.marks.values().filter_map(|mark| mark.until).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// The first setting of which something is said.
    pub(crate) fn first_marked(&self) -> Option<&'static str> {
        self.marks.keys().next().map(|(setting, _)| *setting)
    }

    /// Whether the only key of a setting was there and has ended.
    pub fn has_ended(&self, setting: &str) -> bool {
        self.ended.contains(setting)
    }

    /// Whether the key material that stood at a place of a list has ended and was taken away: what another setting says
    /// at the same place belongs to nothing any more.
    pub fn is_gap(&self, setting: &'static str, place: usize) -> bool {
        self.gaps.contains(&(setting, place))
    }

    /// These settings without the keys that have ended at a time. A list of which nothing is left is not there.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        let is_over = |mark: &KeyMark| mark.until.is_some_and(|until| until <= now);
        let mut left = self.clone();
        left.marks.clear();
        for (name, value) in &self.values {
            let over = |place: usize| self.marks.get(&(*name, place)).is_some_and(is_over);
            let places: Vec<usize> = match value {
                SettingValue::Keys(keys) => (0..keys.len()).filter(|place| !over(*place)).collect(),
                _ if over(0) => Vec::new(),
                _ => vec![0],
            };
            if let SettingValue::Keys(keys) = value {
                left.gaps.extend((0..keys.len()).filter(|place| over(*place)).map(|place| (*name, place)));
            }
            for (new, old) in places.iter().enumerate() {
                if let Some(mark) = self.marks.get(&(*name, *old)) {
                    left.marks.insert((*name, new), mark.clone());
                }
            }
            if places.is_empty() && !matches!(value, SettingValue::Keys(keys) if keys.is_empty()) {
                left.values.remove(name);
                left.ended.insert(name);
            } else if let SettingValue::Keys(keys) = value {
                let kept = places.iter().filter_map(|place| keys.get(*place).cloned()).collect();
                left.values.insert(name, SettingValue::Keys(kept));
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_has_ended_is_taken_away_and_the_rest_keeps_its_name() {
        let (first, second) = (at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let mark = |name: &str, until| KeyMark { name: Some(name.to_owned()), until };
        let bytes = |text: &str| zeroize::Zeroizing::new(text.as_bytes().to_vec());
        let settings = Settings::without_environment()
            .with("many", SettingValue::Keys(vec![bytes("old"), bytes("new"), bytes("plain")]))
            .with_mark("many", 0, mark("old.key", Some(first)))
            .with_mark("many", 1, mark("new.key", None))
            .with("one", SettingValue::Key(bytes("one")))
            .with_mark("one", 0, KeyMark { name: None, until: Some(second) });
        assert_eq!(settings.ends(), [first, second]);
        let labels = |settings: &Settings| (0..3).map(|place| settings.key_label("many", place)).collect::<Vec<_>>();
        assert_eq!(labels(&settings), ["old.key", "new.key", "many[2]"]);
        let before = settings.at(first - std::time::Duration::from_nanos(1));
        assert_eq!((before.keys("many").unwrap().len(), before.ends().len()), (3, 2));
        let then = settings.at(first);
        let left: Vec<&[u8]> = then.keys("many").unwrap().iter().map(|key| key.as_slice()).collect();
        assert_eq!(left, [b"new".as_slice(), b"plain"]);
        assert_eq!((then.key_label("many", 0).as_str(), then.key("one").is_some()), ("new.key", true));
        assert_eq!([0, 1, 2].map(|place| then.is_gap("many", place)), [true, false, false]);
        assert!(!before.is_gap("many", 0));
        assert!(!then.has_ended("one") && !then.has_ended("many"));
        let last = settings.at(second);
        assert!(last.key("one").is_none() && last.has_ended("one") && last.ends().is_empty());
    }
}
