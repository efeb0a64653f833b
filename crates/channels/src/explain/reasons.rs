//! Which mistakes of a configuration are the reason of a refusal: those about the very keys by which it was refused.
//!
//! A mistake about any other key is true as well, and is told when the configuration is checked; as a reason it would be
//! wrong.

use super::findings::secrets;
use super::{Case, Configured, Evidence, FINDINGS, Found, Outcome, Probe, engine, lint};
use crate::channel::Rejection;
use crate::settings::SettingKind;

/// Material that is none of the platform's, where a request was refused by such keys and by no other.
pub(super) fn certain(case: &Case<'_>) -> Vec<Found> {
    let own = configured(case);
    let mut found = Vec::new();
    for finding in FINDINGS {
        for probe in finding.probes {
            let Probe::Unfit(lint) = probe else { continue };
            let all = lint(&own, case.others).into_iter();
            found.extend(all.map(|facts| Found { finding, proof: Evidence::Configured, facts }));
        }
    }
    if found.is_empty() {
        return found;
    }
    let (publics, secrets): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|one| is_public(case, one));
    match &case.outcome {
        Outcome::NeedsKey { .. } | Outcome::Refused(Rejection::UnknownKey { .. }) => {
            let believed = secrets::believed_count(&own);
            if publics.len() >= believed { publics } else { Vec::new() }
        }
        Outcome::Refused(Rejection::Signature) => {
            let (public, keyed): (Vec<_>, Vec<_>) = failed(case).into_iter().partition(|(_, is_public)| *is_public);
            let is_unfit = |(key, _): &(&str, bool)| secrets.iter().any(|one| may_be(case, key, setting(one)));
            if public.len() > publics.len() || keyed.len() > secrets.len() || !keyed.iter().all(is_unfit) {
                return Vec::new();
            }
            let publics = publics.into_iter().filter(|_| !public.is_empty());
            let is_tried = |one: &Found| keyed.iter().any(|(key, _)| may_be(case, key, setting(one)));
            publics.chain(secrets.into_iter().filter(is_tried)).collect()
        }
        Outcome::Refused(Rejection::Undecryptable) => {
            let others = secrets::opening_count(case);
            secrets.into_iter().filter(|one| others == 0 && !has_proved(case, setting(one))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whatever stands in the configuration about a key under which a check failed, when nothing was proved.
pub(super) fn possible(case: &Case<'_>) -> Vec<Found> {
    if case.rejection() != Some(&Rejection::Signature) {
        return Vec::new();
    }
    let failed = failed(case);
    // What was opened with a secret, or never came to a check, says nothing of which one.
    let is_sealed = failed.is_empty() || case.trials.iter().any(|trial| !trial.held && trial.is_sealed);
    let is_tried = |one: &Found| match is_public(case, one) {
        true => failed.is_empty() || failed.iter().any(|(_, is_public)| *is_public),
        false => is_sealed || failed.iter().any(|(key, is_public)| !is_public && may_be(case, key, setting(one))),
    };
    engine::lints(configured(case), case.others).into_iter().filter(is_tried).collect()
}

/// Whether a check under this setting's key held.
pub(super) fn has_proved(case: &Case<'_>, setting: &str) -> bool {
    case.trials.iter().any(|trial| trial.held && names(&trial.key, setting))
}

fn configured<'c>(case: &'c Case<'_>) -> Configured<'c> {
    Configured { id: case.id, platform: case.platform, settings: &case.settings, channel: &*case.channel }
}

/// The setting that a finding names.
fn setting(found: &Found) -> &str {
    found.fact(lint::SETTING).unwrap_or_default()
}

/// Whether a finding is about a public key.
fn is_public(case: &Case<'_>, found: &Found) -> bool {
    let settings = case.platform.settings.iter();
    settings.clone().any(|known| known.name == setting(found) && known.kind == SettingKind::PublicKey)
}

/// The keys under which checks failed, each once, and whether it is a public one.
fn failed<'c>(case: &'c Case<'_>) -> Vec<(&'c str, bool)> {
    let mut failed: Vec<(&str, bool)> = Vec::new();
    for trial in case.trials.iter().filter(|trial| !trial.held) {
        let one = (trial.key.as_str(), trial.is_public_key || trial.algorithm.starts_with("RSA"));
        if !failed.contains(&one) {
            failed.push(one);
        }
    }
    failed
}

/// Whether a key may be this setting's, by its name: some keys go by a number of their own.
fn may_be(case: &Case<'_>, key: &str, setting: &str) -> bool {
    names(key, setting) || !secrets::is_label(case.platform, &case.settings, key)
}

/// Whether a key's name is a setting's: the same, or with its place behind a blank. Inside a tree a key has any name.
pub(super) fn names(key: &str, setting: &str) -> bool {
    key.strip_prefix(setting).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) || setting.ends_with(']')
}
