//! A proven document while it is read: elements by their names, and what is odd about them.

use crate::channel::quote;
use crate::model::fact::NAME_BYTES_MAX;
use crate::model::{Amount, Concern, Identity, Timestamp};
use crate::xml::Node;

/// What is odd about a document; each concern once.
#[derive(Default)]
pub(super) struct Concerns(Vec<Concern>);

impl Concerns {
    pub(super) fn add(&mut self, concern: Concern) {
        if !self.0.contains(&concern) {
            self.0.push(concern);
        }
    }

    pub(super) fn into_list(self) -> Vec<Concern> {
        self.0
    }
}

/// An element and its path from the root.
#[derive(Clone)]
pub(super) struct Part<'t> {
    node: Node<'t>,
    path: String,
}

impl<'t> Part<'t> {
    /// The root.
    pub(super) fn root(node: Node<'t>) -> Self {
        Self { node, path: String::new() }
    }

    /// The path of an element in it.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// The element of this name. One that comes again could be read in two ways, and a person must see it.
    fn child(&self, name: &str, concerns: &mut Concerns) -> Option<Node<'t>> {
        let mut children = self.node.children().filter(|child| child.name() == name);
        let child = children.next()?;
        if children.next().is_some() {
            concerns.add(Concern::Ambiguous { field: self.path(name) });
        }
        Some(child)
    }

    /// The element of this name, which holds elements.
    pub(super) fn part(&self, name: &str, concerns: &mut Concerns) -> Option<Self> {
        let child = self.child(name, concerns).filter(|child| child.has_elements())?;
        Some(Self { node: child, path: self.path(name) })
    }

    /// The elements of a list.
    pub(super) fn items(&self, list: &str, item: &str, concerns: &mut Concerns) -> Vec<Self> {
        let Some(part) = self.part(list, concerns) else { return Vec::new() };
        let items = part.node.children().filter(|child| child.name() == item);
        items.map(|node| Self { node, path: part.path(item) }).collect()
    }

    /// The text of an element, exactly; none when there is none, it is blank, or it says that it is nothing.
    pub(super) fn text(&self, name: &str, concerns: &mut Concerns) -> Option<&'t str> {
        const NOTHING: &str = "nil";
        let child = self.child(name, concerns)?;
        let text = Some(child.text()).filter(|text| !text.bytes().all(|byte| byte.is_ascii_whitespace()));
        let is_nothing = child.attribute(NOTHING) == Some("true");
        if child.has_elements() || (is_nothing && text.is_some()) {
            concerns.add(Concern::UnreadableText { field: self.path(name) });
            return None;
        }
        text
    }

    /// The text of an element that must have one.
    pub(super) fn required(&self, name: &str, concerns: &mut Concerns) -> Option<&'t str> {
        let text = self.text(name, concerns);
        if text.is_none() {
            concerns.add(Concern::MissingField { field: self.path(name) });
        }
        text
    }

    /// A name that something has.
    pub(super) fn name(&self, name: &str, concerns: &mut Concerns) -> Option<&'t str> {
        let text = self.text(name, concerns)?;
        if text.len() > NAME_BYTES_MAX {
            concerns.add(Concern::UnknownValue { field: self.path(name), value: quote(text) });
            return None;
        }
        Some(text)
    }

    /// The name of a fact, which must be there.
    pub(super) fn identity(&self, name: &str, concerns: &mut Concerns) -> Option<Identity> {
        self.required(name, concerns)?;
        self.name(name, concerns).and_then(Identity::new)
    }

    /// A moment.
    pub(super) fn time(&self, name: &str, concerns: &mut Concerns) -> Option<Timestamp> {
        self.text(name, concerns)?.parse().ok()
    }

    /// An amount, with the currency in the same element.
    pub(super) fn amount(&self, name: &str, concerns: &mut Concerns) -> Amount {
        const CURRENCY: &str = "currency-iso-code";
        let currency = self.required(CURRENCY, concerns);
        self.amount_of(name, currency, concerns)
    }

    /// An amount of a currency that stands elsewhere; without one it cannot be read.
    pub(super) fn amount_of(&self, name: &str, currency: Option<&str>, concerns: &mut Concerns) -> Amount {
        let text = self.required(name, concerns);
        let (Some(text), Some(currency)) = (text, currency) else { return Amount::Unreadable };
        if let Ok(money) = super::amount::read(text, currency) {
            Amount::Stated(money)
        } else {
            concerns.add(Concern::UnreadableAmount { field: self.path(name) });
            Amount::Unreadable
        }
    }

    /// A value that does not fit what the message says it is about.
    pub(super) fn contradicts(&self, name: &str, concerns: &mut Concerns) {
        concerns.add(Concern::Contradiction { field: self.path(name) });
    }

    /// A value that we do not know.
    pub(super) fn is_unknown(&self, name: &str, value: &str, concerns: &mut Concerns) {
        concerns.add(Concern::UnknownValue { field: self.path(name), value: quote(value) });
    }

    /// An element that should be there.
    pub(super) fn lacks(&self, name: &str, concerns: &mut Concerns) {
        concerns.add(Concern::MissingField { field: self.path(name) });
    }
}
