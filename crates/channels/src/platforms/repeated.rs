//! What a message with several facts must not do: name one of them twice.

use crate::model::{EventKind, Fact};

/// Whether two facts of one message have the same name. The second one would be taken for a repetition of the first, and
/// its money would vanish without a word. What has no meaning has no name of its own, and cannot vanish.
pub(super) fn is_told_twice(facts: &[Fact]) -> bool {
    let named = || facts.iter().filter(|fact| fact.kind != EventKind::Other);
    named().enumerate().any(|(at, fact)| named().take(at).any(|before| before.identity == fact.identity))
}
