//! Every damage that is done, each with the finding that is due.

mod body;
mod encoding;
mod head;
mod keys;
mod print;
mod secrets;
mod signing;
mod time;

use super::stage::Scene;

/// One way of spoiling a message, its configuration or its clock.
pub(crate) struct Damage {
    /// The finding that is due.
    pub(crate) id: &'static str,
    /// What is done.
    pub(crate) label: &'static str,
    /// What the merchant's text in the message says.
    pub(crate) note: &'static str,
    /// Which stories it is done to.
    pub(crate) stories: Stories,
    /// Does it; none where it does not concern the message.
    pub(crate) does: Does,
}

/// What does a damage.
pub(crate) type Does = for<'s> fn(Scene<'s>) -> Option<Scene<'s>>;

/// To which stories a damage is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stories {
    /// Each kind, and each way in which a platform tells it.
    Each,
    /// The first kind, in each way. For what has nothing to do with what is told.
    First,
}

/// A note that no program stumbles over.
pub(crate) const PLAIN: &str = "note";

/// A note in Chinese, with quotes and an ampersand.
pub(crate) const QUOTED: &str = "引号\"A&B\" 'q' <b> \\ /";

impl Damage {
    const fn new(id: &'static str, label: &'static str, does: Does) -> Self {
        Self { id, label, note: PLAIN, stories: Stories::Each, does }
    }

    const fn first(id: &'static str, label: &'static str, does: Does) -> Self {
        Self { id, label, note: PLAIN, stories: Stories::First, does }
    }

    const fn noted(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

/// Every damage, by the finding's kind.
pub(crate) fn all() -> Vec<&'static Damage> {
    let kinds: [&[Damage]; 8] = [
        body::DAMAGES,
        encoding::DAMAGES,
        print::DAMAGES,
        head::DAMAGES,
        keys::DAMAGES,
        secrets::DAMAGES,
        time::DAMAGES,
        signing::DAMAGES,
    ];
    // Borrowed from constants.
    kinds.into_iter().flatten().collect()
}
