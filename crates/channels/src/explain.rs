//! Why a request was refused: named findings, each proved by recomputation.
//!
//! A finding is a mistake with a name. Its probe undoes it: what would have come, had the mistake not been made, or which
//! channel would have been right. The channel then verifies what was undone, by the same rules and from the same bytes as
//! every callback, and only its consent is a proof. So a finding is never a guess, and a request in which nothing was
//! damaged has none.
//!
//! Nothing that is found here is accepted: a [`Diagnosis`] holds names and places, and neither a proven message nor a
//! byte that a secret was part of. How much is tried is bounded by counting, see [`OPERATIONS_MAX`] and [`WORK_MAX`].

mod engine;
pub mod findings;
pub mod lint;
mod reasons;
mod shown;

use std::rc::Rc;
use std::sync::Arc;

use crate::channel::{Channel, Likeness, Rejection};
use crate::model::{RawRequest, Timestamp};
use crate::platforms::Platform;
use crate::settings::{Settings, Text};
use crate::signature::trial::{How, Part, Trial};

pub use engine::explain;
pub use findings::FINDINGS;
pub use shown::{CHECKS_SHOWN_MAX, Restored, SIGNED_SHOWN_MAX, Signed};

/// Most operations with public keys for one request. The dearest, SM2, takes two milliseconds.
pub const OPERATIONS_MAX: usize = 64;

/// Most bytes that verifications of one request may read together, each counted with [`VERIFICATION_COST`] more.
pub const WORK_MAX: usize = 8 * 1024 * 1024;

/// What a verification costs beside its bytes, in bytes that are read in the same time.
pub const VERIFICATION_COST: usize = 4 * 1024;

/// A configured channel, with what it was built from.
#[derive(Clone, Copy)]
pub struct Configured<'c> {
    /// Its id in the configuration.
    pub id: &'c str,
    /// Its platform.
    pub platform: &'static Platform,
    /// Its settings, without the keys that it had before: those are in the channel, which tries them by itself and tells
    /// their ends among its keys. What is wrong with one of them is seen by asking [`lint::lint`] about the settings of then.
    pub settings: &'c Settings,
    /// What was built from them.
    pub channel: &'c dyn Channel,
}

/// How much of a request was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Method, path and headers are what came. Else they are guesses, and nothing may be concluded from them.
    pub has_head: bool,
    /// The body's bytes are what came. Else they were decoded and written anew.
    pub has_bytes: bool,
}

impl Kept {
    /// All of it.
    pub const WHOLE: Self = Self { has_head: true, has_bytes: true };
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    /// The request, as far as it was kept.
    pub request: &'q RawRequest,
    /// How far that is.
    pub kept: Kept,
    /// The channel that refused it.
    pub own: Configured<'q>,
    /// All other channels.
    pub others: &'q [Configured<'q>],
    /// When it was, or would have been, verified.
    pub now: Timestamp,
    /// Whether it came then. Else that is when it is asked about, and a message that is too old by then is verified as of
    /// the time that it names itself.
    pub is_dated: bool,
}

/// What became of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is genuine.
    Genuine,
    /// It proves nothing, and the platform is asked about it.
    Hint,
    /// It waits for a key of the platform's.
    NeedsKey {
        /// The serial that it names.
        serial: String,
    },
    /// It is refused.
    Refused(Rejection),
}

impl Outcome {
    /// Whether the channel takes it.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Genuine | Self::Hint)
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// What became of the request.
    pub outcome: Outcome,
    /// What was found, the surest first. Several belong together when they are a pair: only all of them undone make the
    /// request genuine.
    pub findings: Vec<Found>,
    /// What was taken for the signed text, as it may be shown.
    pub signed: Vec<Signed>,
    /// What was signed, as the proof shows it: with what was found undone, the checks that held. None without a proof by a
    /// signature.
    pub matched: Vec<Signed>,
    /// Where the request differs from the one that the proof stands on. None where nothing in its body and address does.
    pub restored: Option<Restored>,
    /// The time that the message names, where the answer stands on that and not on [`Question::now`].
    pub at: Option<Timestamp>,
    /// How much was tried.
    pub effort: Effort,
}

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Verifications, and settings that were no channel's.
    pub verifications: usize,
    /// Operations with public keys, at most [`OPERATIONS_MAX`].
    pub operations: usize,
    /// Whether a bound was met before everything had been tried.
    pub is_bounded: bool,
}

/// A finding in a request or a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub finding: &'static Finding,
    /// How it is known.
    pub proof: Evidence,
    /// What it says about this request, under the names that its texts use.
    pub facts: Facts,
}

impl Found {
    /// What it is, in one line, with its facts. `pick` chooses the language: `|text| text.en`.
    pub fn title(&self, pick: impl Fn(Text) -> &'static str) -> String {
        filled(pick(self.finding.title), &self.facts)
    }

    /// How it comes about, with its facts.
    pub fn cause(&self, pick: impl Fn(Text) -> &'static str) -> String {
        filled(pick(self.finding.cause), &self.facts)
    }

    /// What to do, with its facts.
    pub fn cure(&self, pick: impl Fn(Text) -> &'static str) -> String {
        filled(pick(self.finding.cure), &self.facts)
    }

    /// The value of a fact.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// A text with facts in the places of their names, in one pass, so that a fact with braces in it stays what it is.
/// What no fact is called stays as it stands.
fn filled(text: &str, facts: &Facts) -> String {
    let mut full = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        full.push_str(before);
        let fact = after
            .split_once('}')
            .and_then(|(name, behind)| Some((&facts.iter().find(|(known, _)| *known == name)?.1, behind)));
        if let Some((value, behind)) = fact {
            full.push_str(value);
            rest = behind;
        } else {
            full.push('{');
            rest = after;
        }
    }
    full.push_str(rest);
    full
}

/// How something is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// With the mistake undone, the channel's own verification accepts the request.
    Recomputed,
    /// The signature holds over another text, under the configured key.
    Signed,
    /// It stands in the request.
    Seen,
    /// It stands in the configuration.
    Configured,
    /// It stands in the gateway's own records of this message.
    Recorded,
}

impl Evidence {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recomputed => "recomputed",
            Self::Signed => "signed",
            Self::Seen => "seen",
            Self::Configured => "configured",
            Self::Recorded => "recorded",
        }
    }
}

/// Names and values for a finding's texts. No value holds a byte of a secret.
pub type Facts = Vec<(&'static str, String)>;

/// A mistake with a name.
pub struct Finding {
    /// Its stable name.
    pub id: &'static str,
    /// What it is, in one line. `{name}` stands for a fact.
    pub title: Text,
    /// How it comes about.
    pub cause: Text,
    /// What to do.
    pub cure: Text,
    /// How it is found. Without a probe, the gateway's own records show it, which only its owner can read.
    pub probes: &'static [Probe],
}

impl Finding {
    /// How it may be known, each once.
    pub fn evidence(&self) -> Vec<Evidence> {
        if self.probes.is_empty() {
            return vec![Evidence::Recorded];
        }
        let mut all = Vec::new();
        for probe in self.probes {
            let one = match probe {
                Probe::Undo(_) | Probe::UndoTold(..) => Evidence::Recomputed,
                Probe::Sign(_) | Probe::Unchecked(_) => Evidence::Signed,
                Probe::Look(_) => Evidence::Seen,
                Probe::Lint(_) | Probe::Unfit(_) => Evidence::Configured,
            };
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }
}

impl std::fmt::Debug for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl PartialEq for Finding {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Finding {}

/// How a mistake is found.
#[derive(Clone, Copy)]
pub enum Probe {
    /// What might undo it. Each is verified, and only consent counts. A probe gives nothing where the request shows no
    /// trace of the mistake and many things would have to be tried.
    Undo(fn(&Case<'_>) -> Vec<Undo>),
    /// The same, with what is worth saying only of the one that is the proof: made of the case as it came and as it is
    /// with the mistake undone, it stands beside the other facts.
    UndoTold(fn(&Case<'_>) -> Vec<Undo>, fn(&Case<'_>, &Case<'_>) -> Facts),
    /// What may have been signed instead, for a check that did not hold.
    Sign(fn(&Case<'_>, &Trial) -> Vec<Signing>),
    /// What can be seen in the request or in the reason of the refusal, and needs no other proof.
    Look(fn(&Case<'_>) -> Option<Facts>),
    /// What can be seen in a configuration, before any callback came. Each is one finding.
    Lint(fn(&Configured<'_>, &[Configured<'_>]) -> Vec<Facts>),
    /// The same of key material that is none of the platform's: as long as it stands in that place, nothing is proved
    /// with it. So it is the reason of each refusal by that key, and is told before what only says that there is one.
    Unfit(fn(&Configured<'_>, &[Configured<'_>]) -> Vec<Facts>),
    /// What may have been signed, where a signature was written in a way that no check was made of it: with the check
    /// as it would have been made.
    Unchecked(fn(&Case<'_>) -> Vec<(Trial, Signing)>),
}

/// A request on its way to a diagnosis: as it came, or with something undone.
pub struct Case<'c> {
    /// The request.
    pub request: RawRequest,
    /// How much of it was kept.
    pub kept: Kept,
    /// The channel's id.
    pub id: &'c str,
    /// The channel's platform.
    pub platform: &'static Platform,
    /// The channel's settings.
    pub settings: Settings,
    /// The channel.
    pub channel: Held<'c>,
    /// All other channels.
    pub others: &'c [Configured<'c>],
    /// When it is verified.
    pub now: Timestamp,
    /// Whether that is when it came, see [`Question::is_dated`].
    pub is_dated: bool,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The checks that were made.
    pub trials: Vec<Trial>,
    /// What was spent of the bounds.
    spent: Rc<engine::Spent>,
}

/// A channel as it is configured, or one that was built to try other settings.
#[derive(Clone)]
pub enum Held<'c> {
    /// As it is configured.
    Configured(&'c dyn Channel),
    /// Built.
    Built(Arc<dyn Channel>),
}

impl<'c> std::ops::Deref for Held<'c> {
    type Target = dyn Channel + 'c;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Configured(channel) => *channel,
            Self::Built(channel) => &**channel,
        }
    }
}

impl Case<'_> {
    /// Why it is refused; none when it is not.
    pub fn rejection(&self) -> Option<&Rejection> {
        match &self.outcome {
            Outcome::Refused(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// How far another request would come, for a probe that must see it before it offers anything: a handful for one
    /// probe. It is no proof. None when there is no room for it.
    pub(crate) fn outcome_of(&self, request: &RawRequest, now: Timestamp) -> Option<(Outcome, Vec<Trial>)> {
        self.spent.looked_at(&*self.channel, request, now)
    }

    /// How far a request would come with another channel, by what costs no operation with a public key. It is no proof.
    /// None when there is no room for it.
    pub(crate) fn outcome_with(&self, other: &Configured<'_>, request: &RawRequest) -> Option<Outcome> {
        self.spent.glanced_at(other.channel, request, self.now)
    }

    /// Whether another channel knows a request as its own; no, when there is no room to look.
    pub(crate) fn likeness_to(&self, other: &Configured<'_>, request: &RawRequest) -> Likeness {
        if self.spent.may_read(request) { other.channel.recognise(request) } else { Likeness::No }
    }

    /// The other channels of the same platform.
    pub fn siblings(&self) -> impl Iterator<Item = (usize, &Configured<'_>)> {
        self.others.iter().enumerate().filter(|(_, other)| other.platform.kind == self.platform.kind)
    }
}

/// A case with one thing undone.
pub struct Undo {
    /// What is otherwise.
    pub otherwise: Otherwise,
    /// For the finding's texts.
    pub facts: Facts,
    /// Whether the request shows a trace of the mistake, so that another one may be looked for behind it.
    pub is_traced: bool,
}

impl Undo {
    /// Undone on a trace.
    pub fn traced(otherwise: Otherwise, facts: Facts) -> Self {
        Self { otherwise, facts, is_traced: true }
    }

    /// Tried without a trace.
    pub fn tried(otherwise: Otherwise, facts: Facts) -> Self {
        Self { otherwise, facts, is_traced: false }
    }
}

/// What is otherwise.
#[expect(clippy::large_enum_variant, reason = "few live at a time, and most are requests")]
pub enum Otherwise {
    /// Another request.
    Request(RawRequest),
    /// A channel of the same platform with other settings.
    Settings(Box<Settings>),
    /// Another channel, by its place among the others.
    Channel(usize),
    /// Another time.
    Time(Timestamp),
    /// The same channel, with the keys that have ended.
    Endless,
}

/// What may have been signed.
pub struct Signing {
    /// The text.
    pub signed: Vec<Part>,
    /// By which arithmetic.
    pub how: How,
    /// The signature, where it is read otherwise; none for those that the request offered.
    pub claimed: Option<Vec<u8>>,
    /// For the finding's texts.
    pub facts: Facts,
}

/// The bytes of a part; a secret's are not counted.
pub(crate) fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text(text) => text.len(),
        Part::Secret => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_the_places_of_their_names() {
        let facts: Facts = vec![("a", "{b}".to_owned()), ("b", "two".to_owned())];
        for (text, full) in [
            ("no place", "no place"),
            ("{a} and {b}", "{b} and two"),
            ("{c} stays, {", "{c} stays, {"),
            ("{\"a\":{b}}", "{\"a\":two}"),
        ] {
            assert_eq!(filled(text, &facts), full);
        }
    }
}
