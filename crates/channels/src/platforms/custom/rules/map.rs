//! `event.map`: what each type means.

use std::collections::{BTreeMap, BTreeSet};

use super::{Condition, FIELDS, LIST_MAX, Reader, Rule, check_whole};
use crate::model::EventKind;
use crate::platforms::custom::template::{Place, Reference};
use crate::settings::SettingsError;
use crate::settings::tree::{Keys, Node};

/// Most entries of the map.
const TYPES_MAX: usize = 512;

/// The word of an answer that says that nothing has happened yet.
const NOTHING: &str = "nothing";

/// What each type means, and which mean that nothing has happened yet.
type Map = (BTreeMap<String, Vec<Rule>>, BTreeSet<String>);

impl Reader<'_> {
    pub(super) fn map(&self, node: &Node<'_>, kind: &Reference) -> Result<Map, SettingsError> {
        let entries = node.entries()?;
        if entries.is_empty() {
            return Err(node.error("empty_list"));
        }
        if entries.len() > TYPES_MAX {
            return Err(node.error("out_of_range").because(format!("{} > {TYPES_MAX}", entries.len())));
        }
        let (mut map, mut silent) = (BTreeMap::new(), BTreeSet::new());
        for (word, node) in entries {
            if word.trim().is_empty() {
                return Err(node.error("never_matches").because("\"\""));
            }
            // Where every message has one type, no other comes.
            if let Some(only) = self.only(kind).filter(|only| *only != word) {
                return Err(node.error("never_matches").because(format!("{}: {only}", kind.shown)));
            }
            if self.verify.fetch().is_some() && !node.is_table() && node.text().is_ok_and(|text| text == NOTHING) {
                silent.insert(word.to_owned());
            } else {
                map.insert(word.to_owned(), self.rules(word, &node, kind)?);
            }
        }
        if map.is_empty() {
            return Err(node.error("never_matches").because(NOTHING));
        }
        Ok((map, silent))
    }

    /// The one text that a message of this channel can have at a place, where there is only one.
    fn only(&self, reference: &Reference) -> Option<&str> {
        if reference.place == Place::Method {
            return Some(self.verify.method.as_str());
        }
        let required = self.verify.require.iter().find(|(required, _)| required.place == reference.place);
        required.map(|(_, text)| text.as_str())
    }

    /// The rules of one type: a kind, a table, or a list of these of which the first that fits counts.
    fn rules(&self, word: &str, node: &Node<'_>, kind: &Reference) -> Result<Vec<Rule>, SettingsError> {
        let mut rules: Vec<Rule> = Vec::new();
        let push = |rules: &mut Vec<Rule>, node: &Node<'_>, rule: Rule| {
            if rules.iter().any(|earlier| is_within(&rule, earlier)) {
                return Err(node.error("never_matches"));
            }
            rules.push(rule);
            Ok(())
        };
        for node in node.one_or_many(LIST_MAX)? {
            if !node.is_table() {
                push(&mut rules, &node, self.bare(&node)?)?;
                continue;
            }
            let known: Vec<&str> = ["event", "when", "else", "also"].into_iter().chain(FIELDS).collect();
            let keys = node.table(&known)?;
            let rule = self.rule(&node, &keys, word, kind)?;
            let is_conditional = !rule.when.is_empty();
            push(&mut rules, &node, rule)?;
            if let Some(other) = keys.get("else") {
                if !is_conditional {
                    return Err(other.error("never_matches").because("when"));
                }
                let event = event(other)?;
                let fields = self.fields(&keys, self.usual(event))?;
                check_whole(other, event, &fields)?;
                push(&mut rules, other, Rule { event, when: Vec::new(), fields, also: Vec::new() })?;
            }
        }
        Ok(rules)
    }

    /// A kind alone.
    fn bare(&self, node: &Node<'_>) -> Result<Rule, SettingsError> {
        let event = event(node)?;
        let fields = self.usual(event).clone();
        check_whole(node, event, &fields)?;
        Ok(Rule { event, when: Vec::new(), fields, also: Vec::new() })
    }

    /// A rule with everything that it says by itself.
    fn rule(&self, node: &Node<'_>, keys: &Keys<'_>, word: &str, kind: &Reference) -> Result<Rule, SettingsError> {
        let event = event(keys.required("event")?)?;
        let fields = self.fields(keys, self.usual(event))?;
        let when = keys.get("when").map(|node| self.when(word, node, kind)).transpose()?.unwrap_or_default();
        check_whole(node, event, &fields)?;
        let mut rule = Rule { event, when, fields, also: Vec::new() };
        for node in keys.get("also").map(|node| node.one_or_many(LIST_MAX)).transpose()?.unwrap_or_default() {
            let also = if node.is_table() {
                let known: Vec<&str> = ["event", "when"].into_iter().chain(FIELDS).collect();
                self.rule(&node, &node.table(&known)?, word, kind)?
            } else {
                self.bare(&node)?
            };
            // A message is one fact of a kind, and nothing besides is no fact.
            let mut kinds = rule.also.iter().map(|other| other.event).chain([rule.event, EventKind::Other]);
            if kinds.any(|kind| kind == also.event) {
                return Err(node.error("relation").because("event"));
            }
            rule.also.push(also);
        }
        Ok(rule)
    }

    fn when(&self, word: &str, node: &Node<'_>, kind: &Reference) -> Result<Vec<Condition>, SettingsError> {
        let entries = node.entries()?;
        if entries.is_empty() {
            return Err(node.error("empty_list"));
        }
        if entries.len() > LIST_MAX {
            return Err(node.error("out_of_range").because(format!("{} > {LIST_MAX}", entries.len())));
        }
        let mut conditions: Vec<Condition> = Vec::new();
        for (name, node) in entries {
            let from = Reference::parse(name).ok_or_else(|| node.error("unknown_reference").because(name))?;
            self.check(&node, &from)?;
            let texts = node.one_or_many(LIST_MAX)?.iter().map(Node::plain).collect::<Result<Vec<_>, _>>()?;
            // The type itself is known here, and one place has one value.
            let known = if from.place == kind.place { Some(word) } else { self.only(&from) };
            let is_contradiction = known.is_some_and(|known| !texts.iter().any(|text| text == known))
                || conditions.iter().any(|other| {
                    other.from.place == from.place && !other.texts.iter().any(|text| texts.contains(text))
                });
            if is_contradiction {
                return Err(node.error("never_matches").because(from.shown));
            }
            conditions.push(Condition { from, texts });
        }
        Ok(conditions)
    }
}

/// Whether whatever fits one rule fits an earlier one as well, which then always counts in its place.
fn is_within(rule: &Rule, earlier: &Rule) -> bool {
    earlier.when.iter().all(|wide| {
        let is_narrower = |narrow: &Condition| {
            narrow.from.place == wide.from.place && narrow.texts.iter().all(|text| wide.texts.contains(text))
        };
        rule.when.iter().any(is_narrower)
    })
}

fn event(node: &Node<'_>) -> Result<EventKind, SettingsError> {
    let text = node.text()?;
    EventKind::parse(text).ok_or_else(|| {
        let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        node.error("unknown_word").because(known.join(", "))
    })
}
