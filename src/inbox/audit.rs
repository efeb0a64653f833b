//! Who did what: one row for every write that a person or a program acting for one asked for.

use tollbell_channels::model::Timestamp;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who: `uid:…` for a user of this machine, `token:…` for the holder of an access token, by its name.
    pub who: String,
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
    pub fn new(at: Timestamp, who: &str, what: &str, subjects: Vec<String>) -> Self {
        Self { at, who: who.to_owned(), what: what.to_owned(), subjects, why: None, result: None }
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
