//! The search: one mistake, then two.

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
    let mut search = Search::new();
    let Configured { id, platform, settings, channel } = question.own;
    let (outcome, trials) = search.verify(channel, question.request, question.now);
    let case = Case {
        request: question.request.clone(),
        kept: question.kept,
        id,
        platform,
        settings: settings.clone(),
        channel: Held::Configured(channel),
        others: question.others,
        now: question.now,
        outcome,
        trials,
        operations_before: search.operations_before,
    };
    let findings = if case.outcome.is_accepted() { Vec::new() } else { search.findings(&case) };
    let signed = shown::signed(&case.trials);
    let matched = std::mem::take(&mut search.matched);
    let restored = search.restored.take().and_then(|sent| shown::restored(question.request, &sent));
    Diagnosis { outcome: case.outcome.clone(), findings, signed, matched, restored, effort: search.effort() }
}

/// A probe's reading of a request counts as a verification of this part of its bytes.
const READING: usize = 4;

/// What may undo a mistake.
type Undone = fn(&Case<'_>) -> Vec<Undo>;

/// What is said of the proof alone.
type Told = fn(&Case<'_>, &Case<'_>) -> Facts;

/// What was spent.
struct Search {
    operations_before: usize,
    verifications: usize,
    /// Operations of the dearest verification: none is begun when fewer are left.
    dearest: usize,
    work: usize,
    /// Operations that only other texts under the signature may take, until those were tried.
    kept_back: usize,
    is_bounded: bool,
    /// What was signed, as the last proof shows it.
    matched: Vec<Signed>,
    /// The request with everything undone that the last proof stands on.
    restored: Option<RawRequest>,
}

/// A case with one mistake undone that is not accepted yet.
struct HalfWay<'c> {
    found: Found,
    case: Case<'c>,
    /// How far it came.
    stage: u8,
}

impl Search {
    fn new() -> Self {
        Self {
            operations_before: trial::operations(),
            verifications: 0,
            dearest: 1,
            work: 0,
            kept_back: 0,
            is_bounded: false,
            matched: Vec::new(),
            restored: None,
        }
    }

    fn effort(&self) -> Effort {
        let Self { verifications, is_bounded, .. } = *self;
        Effort { verifications, operations: self.operations(), is_bounded }
    }

    fn operations(&self) -> usize {
        trial::operations() - self.operations_before
    }

    /// Whether so many operations and a reading of so many bytes may still be made.
    fn has_room(&mut self, operations: usize, bytes: usize) -> bool {
        let work = self.work.saturating_add(bytes).saturating_add(VERIFICATION_COST);
        let has_room = self.operations() + operations + self.kept_back <= OPERATIONS_MAX && work <= WORK_MAX;
        if has_room {
            self.work = work;
        }
        self.is_bounded |= !has_room;
        has_room
    }

    fn verify(&mut self, channel: &dyn Channel, request: &RawRequest, now: Timestamp) -> (Outcome, Vec<Trial>) {
        self.verifications += 1;
        let before = self.operations();
        let verified = verify(channel, request, now, OPERATIONS_MAX.saturating_sub(before));
        self.dearest = self.dearest.max(self.operations() - before);
        self.is_bounded |= self.operations() >= OPERATIONS_MAX;
        verified
    }

    fn findings(&mut self, case: &Case<'_>) -> Vec<Found> {
        let mut half_ways = Vec::new();
        self.kept_back = for_signings(case);
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
                self.kept_back = 0;
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
        if !self.has_room(0, bytes_of(&case.request) / READING) {
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
                self.restored = Some(other.request);
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
            outcome: case.outcome.clone(),
            trials: Vec::new(),
            operations_before: case.operations_before,
        };
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
                let Ok(built) = Lifetimes::build(case.platform.build, &settings) else {
                    // Whether a secret can be read otherwise shows in no count.
                    self.verifications += 1;
                    return None;
                };
                other.channel = Held::Built(built);
                other.settings = *settings;
            }
        }
        if !self.has_room(self.dearest, bytes_of(&other.request)) {
            return None;
        }
        let (outcome, trials) = self.verify(&*other.channel, &other.request, other.now);
        (other.outcome, other.trials) = (outcome, trials);
        Some(other)
    }

    /// Whether another text was signed.
    fn signed(&mut self, case: &Case<'_>, signings: fn(&Case<'_>, &Trial) -> Vec<Signing>) -> Option<Facts> {
        for trial in case.trials.iter().filter(|trial| !trial.held) {
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
        let is_signed = claimed
            .any(|claimed| self.has_room(operations, bytes) && trial.would_hold(signing.how, &signing.signed, claimed));
        if is_signed {
            self.matched = vec![shown::signing(trial, signing)];
            self.restored = Some(case.request.clone());
        }
        is_signed
    }
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

/// The bytes that a verification reads.
fn bytes_of(request: &RawRequest) -> usize {
    request.body.len() + request.query.as_ref().map_or(0, String::len)
}

/// Verifies with so many operations at most, and hears the checks that are made.
pub(super) fn verify(
    channel: &dyn Channel,
    request: &RawRequest,
    now: Timestamp,
    operations_max: usize,
) -> (Outcome, Vec<Trial>) {
    let (verdict, trials) = trial::listen(operations_max, || channel.verify(request, now));
    let outcome = match verdict {
        Verdict::Genuine(_) => Outcome::Genuine,
        Verdict::Hint(_) => Outcome::Hint,
        Verdict::NeedsKey(needed) => Outcome::NeedsKey { serial: needed.serial },
        Verdict::Refused(rejection) => Outcome::Refused(rejection),
    };
    (outcome, trials)
}

/// How many operations a search has left that began with so many.
pub(super) fn operations_left(before: usize) -> usize {
    OPERATIONS_MAX.saturating_sub(trial::operations() - before)
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
