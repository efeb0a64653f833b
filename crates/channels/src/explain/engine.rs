//! The search: one mistake, then two.

use std::cell::Cell;
use std::rc::Rc;

use super::{
    Case, Configured, Diagnosis, Effort, Evidence, FINDINGS, Facts, Finding, Found, Held, OPERATIONS_MAX, Otherwise,
    Outcome, Probe, Question, Signed, Signing, Undo, VERIFICATION_COST, WORK_MAX, reasons, shown,
};
use crate::channel::{Channel, Rejection, Verdict};
use crate::lifetimes::Lifetimes;
use crate::model::{RawRequest, Timestamp};
use crate::signature::trial::{self, Trial};

/// Most half-way cases from which a second mistake is looked for.
const HALF_WAYS_MAX: usize = 16;

/// Most operations with public keys that are kept back for texts that may have been signed instead.
const KEPT_BACK_MAX: usize = 16;

/// Explains a request. Of one that the channel takes there is nothing to find.
pub fn explain(question: &Question<'_>) -> Diagnosis {
    let mut search = Search { spent: Rc::default(), matched: Vec::new(), restored: None, now: question.now, at: None };
    let Configured { id, platform, settings, channel } = question.own;
    let (outcome, trials) = search.spent.verify(channel, question.request, question.now);
    let mut case = Case {
        request: question.request.clone(),
        kept: question.kept,
        id,
        platform,
        settings: settings.clone(),
        channel: Held::Configured(channel),
        others: question.others,
        now: question.now,
        is_dated: question.is_dated,
        outcome,
        trials,
        spent: Rc::clone(&search.spent),
    };
    search.at = search.spent.at_own_time(&mut case);
    let findings = if case.outcome.is_accepted() { Vec::new() } else { search.findings(&case) };
    let signed = shown::signed(&case.trials);
    let matched = std::mem::take(&mut search.matched);
    let restored = search.restored.take().and_then(|sent| shown::restored(question.request, &sent));
    Diagnosis {
        outcome: case.outcome.clone(),
        findings,
        signed,
        matched,
        restored,
        at: search.at,
        effort: search.spent.effort(),
    }
}

/// A probe's reading of a request counts as a verification of this part of its bytes.
const READING: usize = 4;

/// Longest query that is taken apart: no server takes a longer head, so only a copy has it.
const QUERY_BYTES_MAX: usize = 256 * 1024;

/// What may undo a mistake.
type Undone = fn(&Case<'_>) -> Vec<Undo>;

/// What is said of the proof alone.
type Told = fn(&Case<'_>, &Case<'_>) -> Facts;

/// What was spent of the bounds. A search and its probes share it.
#[derive(Debug)]
pub(super) struct Spent {
    operations_before: usize,
    verifications: Cell<usize>,
    /// Operations of the dearest verification: none is begun when fewer are left.
    dearest: Cell<usize>,
    work: Cell<usize>,
    /// Operations that only other texts under the signature may take, until those were tried.
    kept_back: Cell<usize>,
    is_bounded: Cell<bool>,
}

impl Default for Spent {
    fn default() -> Self {
        Self {
            operations_before: trial::operations(),
            verifications: Cell::new(0),
            dearest: Cell::new(1),
            work: Cell::new(0),
            kept_back: Cell::new(0),
            is_bounded: Cell::new(false),
        }
    }
}

impl Spent {
    fn effort(&self) -> Effort {
        Effort {
            verifications: self.verifications.get(),
            operations: self.operations(),
            is_bounded: self.is_bounded.get(),
        }
    }

    fn operations(&self) -> usize {
        trial::operations() - self.operations_before
    }

    /// Takes room for so many operations and a reading of so many bytes, where there is some.
    fn has_room(&self, operations: usize, bytes: usize) -> bool {
        let work = self.work.get().saturating_add(bytes).saturating_add(VERIFICATION_COST);
        let has_room = self.operations() + operations + self.kept_back.get() <= OPERATIONS_MAX && work <= WORK_MAX;
        if has_room {
            self.work.set(work);
        }
        self.is_bounded.set(self.is_bounded.get() || !has_room);
        has_room
    }

    /// Takes room for a probe's reading of a request, where there is some.
    pub(super) fn may_read(&self, request: &RawRequest) -> bool {
        self.has_room(0, bytes_of(request) / READING)
    }

    /// Takes room for a verification, where there is some.
    fn may_verify(&self, request: &RawRequest) -> bool {
        self.has_room(self.dearest.get(), bytes_of(request))
    }

    /// Makes a call that may make operations with public keys as long as there are some.
    fn counted<T>(&self, operations_max: usize, call: impl FnOnce() -> T) -> (T, Vec<Trial>) {
        let before = self.operations();
        let called = trial::listen(OPERATIONS_MAX.saturating_sub(before).min(operations_max), call);
        self.dearest.set(self.dearest.get().max(self.operations() - before));
        self.is_bounded.set(self.is_bounded.get() || self.operations() >= OPERATIONS_MAX);
        called
    }

    /// Counts a verification.
    fn count(&self) {
        self.verifications.set(self.verifications.get() + 1);
    }

    /// Verifies, and hears the checks that are made.
    fn verify(&self, channel: &dyn Channel, request: &RawRequest, now: Timestamp) -> (Outcome, Vec<Trial>) {
        self.count();
        let (verdict, trials) = self.counted(OPERATIONS_MAX, || channel.verify(request, now));
        (outcome(verdict), trials)
    }

    /// Verifies a case as of the time that its message names, where that is too old by now and nobody knows when it came.
    fn at_own_time(&self, case: &mut Case<'_>) -> Option<Timestamp> {
        let then = own_time(case).filter(|_| self.may_verify(&case.request))?;
        (case.now, case.request.received_at) = (then, then);
        let (outcome, trials) = self.verify(&*case.channel, &case.request, then);
        (case.outcome, case.trials) = (outcome, trials);
        Some(then)
    }

    /// The same for a probe, where there is room.
    pub(super) fn looked_at(
        &self,
        channel: &dyn Channel,
        request: &RawRequest,
        now: Timestamp,
    ) -> Option<(Outcome, Vec<Trial>)> {
        self.may_verify(request).then(|| self.verify(channel, request, now))
    }

    /// The same by what costs no operation with a public key.
    pub(super) fn glanced_at(&self, channel: &dyn Channel, request: &RawRequest, now: Timestamp) -> Option<Outcome> {
        if !self.has_room(0, bytes_of(request)) {
            return None;
        }
        self.count();
        Some(outcome(self.counted(0, || channel.verify(request, now)).0))
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Genuine(_) => Outcome::Genuine,
        Verdict::Hint(_) => Outcome::Hint,
        Verdict::NeedsKey(needed) => Outcome::NeedsKey { serial: needed.serial },
        Verdict::Refused(rejection) => Outcome::Refused(rejection),
    }
}

/// The bytes that a verification reads.
fn bytes_of(request: &RawRequest) -> usize {
    request.body.len() + request.query.as_ref().map_or(0, String::len)
}

/// A search, and what its last proof shows.
struct Search {
    spent: Rc<Spent>,
    /// What was signed, as the last proof shows it.
    matched: Vec<Signed>,
    /// The request with everything undone that the last proof stands on.
    restored: Option<RawRequest>,
    /// When it is asked about.
    now: Timestamp,
    /// The time that the message names, where the last proof stands on that.
    at: Option<Timestamp>,
}

/// A case with one mistake undone that is not accepted yet.
struct HalfWay<'c> {
    found: Found,
    case: Case<'c>,
    /// How far it came.
    stage: u8,
}

impl Search {
    fn findings(&mut self, case: &Case<'_>) -> Vec<Found> {
        let mut half_ways = Vec::new();
        self.spent.kept_back.set(for_signings(case));
        let found = self.single(case, None, &mut half_ways);
        let is_less_sure = found.as_ref().is_some_and(|found| matches!(found.proof, Evidence::Seen | Evidence::Signed));
        if is_less_sure {
            // What is seen, or signed otherwise, may come of something that was undone already, with another mistake behind
            // it; two that are proved are surer.
            let before = stage(&case.outcome);
            half_ways.retain(|half_way| half_way.stage > before);
        }
        if let Some(found) = found.clone().filter(|_| !is_less_sure || half_ways.is_empty()) {
            // All that is unfit about the keys is told at once.
            return if found.proof == Evidence::Configured { reasons::certain(case) } else { vec![found] };
        }
        half_ways.sort_by_key(|half_way| std::cmp::Reverse(half_way.stage));
        for half_way in half_ways.iter().take(HALF_WAYS_MAX) {
            if let Some(found) = self.single(&half_way.case, Some(half_way.found.finding), &mut Vec::new()) {
                return vec![half_way.found.clone(), found];
            }
        }
        match found {
            Some(found) => vec![found],
            None => reasons::possible(case),
        }
    }

    /// The first mistake that is all that is wrong with a case. `but` is undone already.
    fn single<'c>(
        &mut self,
        case: &Case<'c>,
        but: Option<&Finding>,
        half_ways: &mut Vec<HalfWay<'c>>,
    ) -> Option<Found> {
        for finding in FINDINGS.iter().copied().filter(|finding| Some(*finding) != but) {
            if finding.probes.iter().any(|probe| matches!(probe, Probe::Sign(_))) {
                self.spent.kept_back.set(0);
            }
            for probe in finding.probes {
                let found = match probe {
                    // A trace is no news once something was undone.
                    Probe::Look(look) if but.is_none() => look(case).map(|facts| (Evidence::Seen, facts)),
                    Probe::Sign(signings) => self.signed(case, *signings).map(|facts| (Evidence::Signed, facts)),
                    Probe::Undo(undone) => self.undone(case, finding, (*undone, |_, _| Vec::new()), half_ways),
                    Probe::UndoTold(undone, told) => self.undone(case, finding, (*undone, *told), half_ways),
                    Probe::Unchecked(signings) => {
                        self.unchecked(case, signings(case)).map(|facts| (Evidence::Signed, facts))
                    }
                    Probe::Unfit(_) if but.is_none() => {
                        let first = reasons::certain(case).into_iter().find(|found| found.finding == finding);
                        first.map(|found| (found.proof, found.facts))
                    }
                    Probe::Look(_) | Probe::Lint(_) | Probe::Unfit(_) => None,
                };
                if let Some((proof, facts)) = found {
                    return Some(Found { finding, proof, facts });
                }
            }
        }
        None
    }

    fn undone<'c>(
        &mut self,
        case: &Case<'c>,
        finding: &'static Finding,
        (undone, told): (Undone, Told),
        half_ways: &mut Vec<HalfWay<'c>>,
    ) -> Option<(Evidence, Facts)> {
        // A probe reads what came, if only to see that there is no trace.
        let is_long = case.request.query.as_ref().is_some_and(|query| query.len() > QUERY_BYTES_MAX);
        if is_long || !self.spent.may_read(&case.request) {
            return None;
        }
        let before = stage(&case.outcome);
        for undo in undone(case) {
            let Undo { otherwise, mut facts, is_traced } = undo;
            // Whether the time is checked before the signature or behind it, another time is no step back.
            let is_time = matches!(otherwise, Otherwise::Time(_));
            let Some(other) = self.otherwise(case, otherwise) else { continue };
            let is_accepted = other.outcome.is_accepted();
            let stage = stage(&other.outcome);
            let is_half_way = stage > before || is_traced && (stage == before || is_time);
            if is_accepted || is_half_way {
                facts.extend(told(case, &other));
            }
            if is_accepted {
                self.matched = shown::signed(other.trials.iter().filter(|trial| trial.held));
                self.at = (!other.is_dated && other.now != self.now).then_some(other.now);
                // Where no signature held, the proof may be a secret that stands in the request, and only in this one.
                // Of fields that were written as a body here, no byte is shown as what came.
                let is_signed = other.outcome == Outcome::Genuine && !self.matched.is_empty() && other.kept.has_bytes;
                self.restored = is_signed.then_some(other.request);
                return Some((Evidence::Recomputed, facts));
            }
            if is_half_way {
                let found = Found { finding, proof: Evidence::Recomputed, facts };
                half_ways.push(HalfWay { found, case: other, stage });
            }
        }
        None
    }

    /// The case with something otherwise, verified; none when there is no room, or no such channel.
    fn otherwise<'c>(&mut self, case: &Case<'c>, otherwise: Otherwise) -> Option<Case<'c>> {
        let mut other = Case {
            request: case.request.clone(),
            kept: case.kept,
            id: case.id,
            platform: case.platform,
            settings: case.settings.clone(),
            channel: case.channel.clone(),
            others: case.others,
            now: case.now,
            is_dated: case.is_dated,
            outcome: case.outcome.clone(),
            trials: Vec::new(),
            spent: Rc::clone(&case.spent),
        };
        // First, so that the same room is taken whatever can be built.
        let request = if let Otherwise::Request(request) = &otherwise { request } else { &case.request };
        if !self.spent.may_verify(request) {
            return None;
        }
        let is_other_channel = matches!(otherwise, Otherwise::Channel(_));
        match otherwise {
            Otherwise::Request(request) => other.request = request,
            Otherwise::Time(now) => other.now = now,
            Otherwise::Endless => other.channel = Held::Built(case.channel.endless()?),
            Otherwise::Channel(index) => {
                let Configured { id, platform, settings, channel } = *case.others.get(index)?;
                (other.id, other.platform, other.settings) = (id, platform, settings.clone());
                other.channel = Held::Configured(channel);
            }
            Otherwise::Settings(settings) => {
                // Certificates are checked when a channel is built. Whether a secret can be read otherwise shows in no
                // count.
                let make = || Lifetimes::build(case.platform.build, &settings);
                let (Ok(built), _) = self.spent.counted(OPERATIONS_MAX, make) else {
                    // So it is verified all the same, and shows in no operation either.
                    self.spent.verify(&*case.channel, &case.request, case.now);
                    return None;
                };
                other.channel = Held::Built(built);
                other.settings = *settings;
            }
        }
        let (outcome, trials) = self.spent.verify(&*other.channel, &other.request, other.now);
        (other.outcome, other.trials) = (outcome, trials);
        self.spent.at_own_time(&mut other);
        Some(other).filter(|other| !is_other_channel || !self.takes_anything(other))
    }

    /// Whether a channel that took a request asks the platform about whatever it is sent: then it takes everybody's
    /// messages, also one without the headers and the query in which a token may have stood.
    fn takes_anything(&self, case: &Case<'_>) -> bool {
        if case.outcome != Outcome::Hint || case.trials.iter().any(|trial| trial.held) {
            return false;
        }
        let types = case.request.headers.get_all(http::header::CONTENT_TYPE).iter();
        let headers = types.map(|one| (http::header::CONTENT_TYPE, one.clone())).collect();
        let bare = RawRequest { query: None, headers, ..case.request.clone() };
        self.spent.looked_at(&*case.channel, &bare, case.now).is_none_or(|(outcome, _)| outcome.is_accepted())
    }

    /// Whether another text was signed.
    fn signed(&mut self, case: &Case<'_>, signings: fn(&Case<'_>, &Trial) -> Vec<Signing>) -> Option<Facts> {
        for trial in case.trials.iter().filter(|trial| !trial.held) {
            // Texts are made before one of them is tried.
            if !self.spent.may_read(&case.request) {
                return None;
            }
            for signing in signings(case, trial) {
                if self.would_hold(case, trial, &signing) {
                    return Some(signing.facts);
                }
            }
        }
        None
    }

    /// The same, for checks that were not made.
    fn unchecked(&mut self, case: &Case<'_>, signings: Vec<(Trial, Signing)>) -> Option<Facts> {
        let mut signings = signings.into_iter();
        signings.find_map(|(trial, signing)| self.would_hold(case, &trial, &signing).then_some(signing.facts))
    }

    fn would_hold(&mut self, case: &Case<'_>, trial: &Trial, signing: &Signing) -> bool {
        let operations = usize::from(trial.is_public_key);
        let bytes = signing.signed.iter().map(super::part_bytes).sum();
        let offered = trial.claimed.iter().map(Vec::as_slice);
        let claimed: Vec<&[u8]> = signing.claimed.as_deref().map_or_else(|| offered.collect(), |own| vec![own]);
        let mut claimed = claimed.into_iter();
        let is_signed = claimed.any(|claimed| {
            self.spent.has_room(operations, bytes) && trial.would_hold(signing.how, &signing.signed, claimed)
        });
        if is_signed {
            self.matched = vec![shown::signing(trial, signing)];
            self.restored = case.kept.has_bytes.then(|| case.request.clone());
        }
        is_signed
    }
}

/// The time that a message names which is too old by now, where nobody knows when it came.
fn own_time(case: &Case<'_>) -> Option<Timestamp> {
    let Some(Rejection::Stale { seconds }) = case.rejection() else { return None };
    let ago = u64::try_from(*seconds).ok().filter(|_| !case.is_dated)?;
    case.now.checked_sub(std::time::Duration::from_secs(ago)).ok()
}

/// How many operations it takes to try every text that may have been signed instead: where each try of something else
/// takes several, nothing would be left for these.
fn for_signings(case: &Case<'_>) -> usize {
    let signings = FINDINGS.iter().flat_map(|finding| finding.probes).filter_map(|probe| match probe {
        Probe::Sign(signings) => Some(signings),
        _ => None,
    });
    let failed = || case.trials.iter().filter(|trial| !trial.held && trial.is_public_key);
    let count: usize = signings.map(|signings| failed().map(|trial| signings(case, trial).len()).sum::<usize>()).sum();
    count.min(KEPT_BACK_MAX)
}

/// What a configuration shows by itself.
pub(super) fn lints(own: Configured<'_>, others: &[Configured<'_>]) -> Vec<Found> {
    let mut found = Vec::new();
    for finding in FINDINGS {
        for probe in finding.probes {
            let (Probe::Lint(lint) | Probe::Unfit(lint)) = probe else { continue };
            let all = lint(&own, others).into_iter();
            found.extend(all.map(|facts| Found { finding, proof: Evidence::Configured, facts }));
        }
    }
    found
}

/// How far a request came: verification reads the outside first, then the fields, the ids, the key, the signature.
fn stage(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Genuine | Outcome::Hint => 7,
        Outcome::NeedsKey { .. } => 3,
        Outcome::Refused(rejection) => match rejection {
            Rejection::Source
            | Rejection::UnknownChannel { .. }
            | Rejection::Unrecognised
            | Rejection::Ambiguous { .. }
            | Rejection::Method { .. }
            | Rejection::MediaType { .. }
            | Rejection::Empty
            | Rejection::TooLarge { .. }
            | Rejection::TooManyFields { .. } => 0,
            Rejection::Missing { .. }
            | Rejection::Malformed { .. }
            | Rejection::Duplicate { .. }
            | Rejection::Unsigned { .. }
            | Rejection::Charset { .. } => 1,
            Rejection::UnknownMerchant { .. } => 2,
            Rejection::Algorithm { .. } | Rejection::UnknownKey { .. } => 3,
            Rejection::Signature | Rejection::Probe => 4,
            Rejection::Stale { .. } => 5,
            Rejection::Undecryptable => 6,
        },
    }
}
