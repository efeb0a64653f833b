//! Which reading of a copy is meant, which channel it belongs to, and when it came; then what the engine says of it.
//!
//! What accepts a request is proven to be right, so acceptance is looked for first, in every likely pair of a reading and a
//! channel. A finding is believed of the likeliest pairs only, and of a channel that does not even know the request only
//! where it was recomputed.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use tollbell_channels::channel::{Likeness, Rejection, Verdict};
use tollbell_channels::explain::{self, Configured, Diagnosis, Evidence, Outcome, Question};
use tollbell_channels::model::{Notification, Proof, RawRequest, Timestamp};

use super::Built;
use super::subject::{Reading, Subject};
use crate::capture::Form;
use crate::receive::CHANNEL_HEADER;
use crate::receive::door::NOTIFY;

/// Most pairs of a reading and a channel that are verified. An archive may hold hundreds of requests.
const VERIFIED_MAX: usize = 64;
/// Most pairs that are searched for mistakes; each search may take a third of a second.
const SEARCHED_MAX: usize = 8;
/// How old a copy without a date may be, to be verified at the time that it names itself. Older ones have a time that is none.
const AGE_MAX: Duration = Duration::from_hours(20 * 366 * 24);

/// A channel that there is no choice about.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) channel: usize,
    pub(super) chosen: Chosen,
}

/// Why a channel was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// It was asked for.
    Asked,
    /// The record names it.
    Recorded,
    /// The request's path, query or header names it.
    Named,
    /// It knows the request, by shape and ids.
    Recognised,
    /// Nothing leads to it but what its verification proves.
    Tried,
}

/// The times that are given.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// By the arguments.
    pub(super) asked: Option<Timestamp>,
    pub(super) now: Timestamp,
}

/// Where the time comes from as of which a request is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeFrom {
    /// The arguments.
    Asked,
    /// The record or the copy says when it came.
    Record,
    /// Nobody knows when it came: now.
    Now,
    /// Nobody knows when it came: the time that the message names, because now it would be too old.
    Message,
}

/// What a channel says of a request.
pub(super) struct Judged {
    pub(super) reading: usize,
    pub(super) channel: usize,
    pub(super) chosen: Chosen,
    pub(super) at: Timestamp,
    pub(super) time_from: TimeFrom,
    pub(super) diagnosis: Diagnosis,
    /// What it says, where it is genuine.
    pub(super) genuine: Option<Genuine>,
    /// Whether it is the platform's check of the address, which has an answer of its own.
    pub(super) is_challenge: bool,
    /// Further channels that know it as well.
    pub(super) rivals: Vec<usize>,
    /// Further requests of the same copy that a channel knows.
    pub(super) further: usize,
    /// Bytes of the copy before and behind what was read as the body; none when all of it was.
    pub(super) left_out: Option<[usize; 2]>,
}

/// What a genuine message says. Nothing is stored of it.
pub(super) struct Genuine {
    pub(super) notification: Notification,
    pub(super) proof: Proof,
}

/// A pair to be looked at.
#[derive(Clone, Copy)]
struct Candidate {
    reading: usize,
    channel: usize,
    chosen: Chosen,
    /// The likeliest is the greatest.
    rank: (bool, Likeness),
}

/// A candidate after its verification.
struct Verified {
    candidate: Candidate,
    /// As it came, at the time as of which it is judged.
    request: RawRequest,
    time_from: TimeFrom,
    genuine: Option<Genuine>,
    is_accepted: bool,
    is_challenge: bool,
}

/// Judges a request by the channel it belongs to; none when no channel knows it.
pub(super) fn judge(subject: &Subject, built: &[Built<'_>], asked: Option<Asked>, times: Times) -> Option<Judged> {
    let readings = &subject.readings;
    let mut candidates = candidates(readings, built, asked);
    let is_known = !candidates.is_empty();
    if !is_known {
        candidates = everything(readings, built);
    }
    candidates.truncate(VERIFIED_MAX);
    let verified: Vec<Verified> =
        candidates.iter().map(|one| verify(*one, &readings[one.reading], &built[one.channel], times)).collect();
    let best = verified.first()?.candidate.rank;
    let further = further(&verified, readings);
    let judged = |one: &Verified| judged(one, &verified, readings, built, further);
    if let Some(accepted) = verified.iter().find(|one| one.is_accepted || one.is_challenge) {
        return Some(judged(accepted));
    }
    let mut first = None;
    for one in verified.iter().filter(|one| one.candidate.rank == best).take(SEARCHED_MAX) {
        let judged = judged(one);
        if judged.diagnosis.findings.iter().any(|found| is_known || is_proven(found.proof)) {
            return Some(judged);
        }
        first.get_or_insert(judged);
    }
    first.filter(|_| is_known)
}

/// What channels or their names lead to, the likeliest first.
fn candidates(readings: &[Reading], built: &[Built<'_>], asked: Option<Asked>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (place, reading) in readings.iter().enumerate() {
        let named = || named(reading, built).map(|channel| Asked { channel, chosen: Chosen::Named });
        if let Some(Asked { channel, chosen }) = asked.or_else(named) {
            let rank = (true, built[channel].channel.recognise(&reading.request));
            found.push(Candidate { reading: place, channel, chosen, rank });
            continue;
        }
        for (channel, built) in built.iter().enumerate() {
            let likeness = built.channel.recognise(&reading.request);
            if likeness > Likeness::No {
                let chosen = Chosen::Recognised;
                found.push(Candidate { reading: place, channel, chosen, rank: (false, likeness) });
            }
        }
    }
    found.sort_by_key(|candidate| Reverse(candidate.rank));
    found
}

/// Every pair: what is damaged enough may be known to nobody.
fn everything(readings: &[Reading], built: &[Built<'_>]) -> Vec<Candidate> {
    let pairs = (0..readings.len()).flat_map(|reading| (0..built.len()).map(move |channel| (reading, channel)));
    pairs
        .map(|(reading, channel)| Candidate { reading, channel, chosen: Chosen::Tried, rank: (false, Likeness::No) })
        .collect()
}

/// The channel that a request names, as the listener reads it.
fn named(reading: &Reading, built: &[Built<'_>]) -> Option<usize> {
    if !reading.kept.has_head {
        return None;
    }
    let request = &reading.request;
    let by_id = |id: &str| built.iter().position(|built| &*built.config.id == id);
    if let Some(place) = built.iter().position(|built| built.config.paths.contains(&request.path)) {
        return Some(place);
    }
    let rest = request.path.strip_prefix(NOTIFY)?;
    if let Some(id) = rest.strip_prefix('/') {
        return by_id(id);
    }
    if !rest.is_empty() {
        return None;
    }
    let in_query =
        request.query.as_deref().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("channel="));
    in_query.or_else(|| request.single_header(CHANNEL_HEADER)).and_then(by_id)
}

fn verify(candidate: Candidate, reading: &Reading, built: &Built<'_>, times: Times) -> Verified {
    let (at, mut time_from) = match times.asked {
        Some(at) => (at, TimeFrom::Asked),
        None if reading.is_dated => (reading.request.received_at, TimeFrom::Record),
        None => (times.now, TimeFrom::Now),
    };
    let mut request = RawRequest { received_at: at, ..reading.request.clone() };
    let channel = &built.channel;
    let is_challenge = candidate.chosen != Chosen::Tried && channel.challenge(&request).is_some();
    let mut verdict = channel.verify(&request, at);
    if let (TimeFrom::Now, Verdict::Refused(Rejection::Stale { seconds })) = (time_from, &verdict)
        && let Some(then) = before(at, *seconds)
    {
        time_from = TimeFrom::Message;
        request.received_at = then;
        verdict = channel.verify(&request, then);
    }
    let is_accepted = matches!(verdict, Verdict::Genuine(_) | Verdict::Hint(_));
    let genuine = match verdict {
        Verdict::Genuine(proven) => {
            let (notification, proof) = proven.into_parts();
            Some(Genuine { notification, proof })
        }
        _ => None,
    };
    Verified { candidate, request, time_from, genuine, is_accepted, is_challenge }
}

/// The time that an old message names.
fn before(now: Timestamp, seconds: i64) -> Option<Timestamp> {
    let ago = Duration::from_secs(u64::try_from(seconds).ok()?);
    if ago > AGE_MAX { None } else { now.checked_sub(ago).ok() }
}

fn judged(one: &Verified, all: &[Verified], readings: &[Reading], built: &[Built<'_>], further: usize) -> Judged {
    let Candidate { reading, channel, chosen, rank } = one.candidate;
    let others: Vec<Configured<'_>> =
        built.iter().enumerate().filter(|(place, _)| *place != channel).map(|(_, built)| built.configured()).collect();
    let diagnosis = explain::explain(&Question {
        request: &one.request,
        kept: readings[reading].kept,
        own: built[channel].configured(),
        others: &others,
        now: one.request.received_at,
        is_dated: one.time_from != TimeFrom::Now,
    });
    let genuine = one.genuine.as_ref().filter(|_| diagnosis.outcome == Outcome::Genuine);
    let is_rival = |other: &&Verified| {
        let candidate = other.candidate;
        chosen == Chosen::Recognised && candidate.reading == reading && candidate.rank == rank
    };
    let mut rivals: Vec<usize> = all.iter().filter(is_rival).map(|other| other.candidate.channel).collect();
    rivals.retain(|rival| *rival != channel);
    Judged {
        reading,
        channel,
        chosen,
        at: diagnosis.at.unwrap_or(one.request.received_at),
        time_from: diagnosis.at.map_or(one.time_from, |_| TimeFrom::Message),
        genuine: genuine
            .map(|genuine| Genuine { notification: genuine.notification.clone(), proof: genuine.proof.clone() }),
        is_challenge: one.is_challenge,
        diagnosis,
        rivals,
        further,
        left_out: left_out(readings, &readings[reading]),
    }
}

/// Of a body alone, what was left out of the copy: a log's words, blanks around it, other lines. None where its escapes were
/// undone: then no part of the copy is the body.
fn left_out(readings: &[Reading], read: &Reading) -> Option<[usize; 2]> {
    if read.form != Some(Form::Body) {
        return None;
    }
    let whole = readings.iter().filter(|reading| reading.form == Some(Form::Body));
    let whole = &whole.max_by_key(|reading| reading.request.body.len())?.request.body;
    let body = &read.request.body;
    // A text is searched in linear time; what is none stands at the end, or it is not said.
    let before = match (std::str::from_utf8(whole), std::str::from_utf8(body)) {
        (Ok(whole), Ok(body)) => whole.find(body)?,
        _ => whole.trim_ascii_end().strip_suffix(body.trim_ascii_end())?.len(),
    };
    let behind = whole.len() - before - body.len();
    (before + behind > 0).then_some([before, behind])
}

/// How many requests of a copy a channel knows, beside the one that is judged: an archive and a log hold many.
fn further(verified: &[Verified], readings: &[Reading]) -> usize {
    let is_known = |one: &&Verified| one.candidate.rank.1 > Likeness::No;
    let known: BTreeSet<usize> =
        verified.iter().filter(is_known).map(|one| readings[one.candidate.reading].record).collect();
    known.len().saturating_sub(1)
}

/// Whether a finding stands on a signature that holds.
fn is_proven(evidence: Evidence) -> bool {
    matches!(evidence, Evidence::Recomputed | Evidence::Signed)
}
