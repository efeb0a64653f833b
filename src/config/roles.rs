//! `server.roles`: which parts of the work a node does.

use super::reader::{Section, nearest};
use crate::messages::Message;

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Takes callbacks in.
    Receive,
    /// Brings events to targets.
    Deliver,
    /// Asks platforms, and acts there.
    Operate,
}

impl Role {
    /// Every role; the default.
    pub const ALL: &[Self] = &[Self::Receive, Self::Deliver, Self::Operate];

    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Deliver => "deliver",
            Self::Operate => "operate",
        }
    }
}

/// The roles of a node: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// All of them.
    pub fn all() -> Self {
        Self(Role::ALL.to_vec())
    }

    /// Whether the node does this.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// What the node does not do.
    pub fn missing(&self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(|role| !self.has(*role))
    }

    pub(super) fn read(section: &Section<'_>) -> Self {
        const KEY: &str = "roles";
        let Some(words) = section.texts(KEY) else { return Self::all() };
        let known = || Role::ALL.iter().map(|role| role.as_str());
        let mut roles = Vec::new();
        for word in &words {
            match Role::ALL.iter().find(|role| role.as_str() == word) {
                Some(role) if roles.contains(role) => {}
                Some(role) => roles.push(*role),
                None => {
                    let message = match nearest(word, known()) {
                        Some(near) => {
                            Message::new("config.unknown_name_nearest").with("name", word).with("nearest", near)
                        }
                        None => Message::new("config.unknown_word")
                            .with("word", word)
                            .with("known", known().collect::<Vec<_>>().join(", ")),
                    };
                    section.problem(KEY, message);
                }
            }
        }
        if words.is_empty() {
            section.problem(KEY, Message::new("config.no_role"));
        }
        let roles = Self(roles);
        if !roles.0.is_empty() {
            for role in roles.missing() {
                section.warning(KEY, Message::new("config.role_missing").with("role", role.as_str()));
            }
        }
        roles
    }
}
