//! Who did what: one row for every write that a person or a program acting for one asked for.

use std::fmt;

use tollbell_channels::model::Timestamp;

/// Who asked for a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// A user of this machine, through the command line.
    User(String),
    /// The holder of an access token, by the token's name.
    Token(String),
}

impl Who {
    /// Reads what [`fmt::Display`] wrote; an unknown form is a user of that name, as older rows have it.
    pub fn from_stored(text: &str) -> Self {
        match text.split_once(':') {
            Some(("token", name)) => Self::Token(name.to_owned()),
            Some(("user", name)) => Self::User(name.to_owned()),
            _ => Self::User(text.to_owned()),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Who,
    /// The command, such as `replay` or `release`.
    pub what: String,
    /// What it was about: ids, or the words of a filter. Bounded by [`SUBJECTS_MAX`].
    pub subjects: Vec<String>,
    /// The person's own reason.
    pub why: Option<String>,
    /// How many things it changed; `None` where that means nothing.
    pub result: Option<u64>,
}

/// Subjects that one row names at most; a command that touches more is described by its filter.
pub const SUBJECTS_MAX: usize = 16;
/// Characters of a reason that are kept.
pub const WHY_CHARS_MAX: usize = 500;

impl AuditRecord {
    /// A row without reason and result.
    pub fn new(at: Timestamp, who: Who, what: &str, subjects: Vec<String>) -> Self {
        Self { at, who, what: what.to_owned(), subjects, why: None, result: None }
    }

    /// With the person's reason.
    #[must_use]
    pub fn because(mut self, why: Option<&str>) -> Self {
        self.why = why.map(|why| why.chars().take(WHY_CHARS_MAX).collect());
        self
    }

    /// With a count of what was changed.
    #[must_use]
    pub fn changed(mut self, result: u64) -> Self {
        self.result = Some(result);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_it_was_comes_back() {
        for who in [Who::User("root".to_owned()), Who::Token("ops: night".to_owned())] {
            assert_eq!(Who::from_stored(&who.to_string()), who);
        }
        assert_eq!(Who::from_stored("cli"), Who::User("cli".to_owned()));
    }
}
