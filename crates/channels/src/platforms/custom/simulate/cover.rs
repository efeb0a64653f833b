//! What the signatures of a recipe cover, so that a suite that knows no recipe can damage its messages.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::json::Pointer;
use crate::platforms::custom::message::BodyForm;
use crate::platforms::custom::schema::{Evidence, Recipe, Signed, Trust, Verify};
use crate::platforms::custom::signature::{Carrier as Carried, Encoding, Want, Writing};
use crate::platforms::custom::template::{Place, Template};
use crate::simulate::{Carrier, Cover, Covered, PairCover, Written};

/// A cover that no test can work with: whoever adds a way of signing adds its cover.
const UNKNOWN: Cover = Cover::BodyAndHeaders { headers: &[], signature: "" };

/// What the signature covers, or what the platform is asked about.
pub(super) fn of(recipe: &Recipe) -> Cover {
    let verify = &recipe.verify;
    let found = match (verify.signed(), &verify.trust) {
        (Some(signed), _) if signs_body(signed) => body(signed),
        (Some(signed), Trust::Message(_)) => pairs(verify, signed).map(Cover::Pairs),
        (signed, Trust::Answer { evidence, .. }) => asked(verify, signed, evidence),
        (None, Trust::Message(_)) => None,
    };
    found.unwrap_or(UNKNOWN)
}

fn places(signed: &Signed) -> impl Iterator<Item = &Place> {
    signed.templates.iter().flat_map(Template::references).map(|reference| &reference.place)
}

fn signs_body(signed: &Signed) -> bool {
    places(signed).any(|place| *place == Place::Body)
}

/// The exact body, with the signature beside it.
fn body(signed: &Signed) -> Option<Cover> {
    let headers: BTreeSet<&str> = places(signed)
        .filter_map(|place| match place {
            Place::Header(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let headers = lasting_names(headers);
    match &signed.carrier.from.place {
        Place::Header(name) if is_stamped(signed) => Some(Cover::BodyAndStamp { signature: lasting(name.as_str()) }),
        Place::Header(name) => {
            let signature = lasting(name.as_str());
            Some(match written(&signed.carrier) {
                Some(written) => Cover::BodyAndWritten { headers, signature, written },
                None => Cover::BodyAndHeaders { headers, signature },
            })
        }
        Place::Query(name) => Some(Cover::BodyAndQuery { signature: lasting(name) }),
        _ => None,
    }
}

/// How the signature's header is written; none where it is the signature alone, or pairs of which others are signed.
fn written(carrier: &Carried) -> Option<Written> {
    let (before, between) = match &carrier.writing {
        Writing::Whole { prefix } => (prefix.clone(), None),
        Writing::List { list_sep, prefix, version: None } => (prefix.clone(), Some(list_sep)),
        Writing::List { list_sep, prefix, version: Some(version) } => {
            (format!("{}{}{prefix}", version.want, version.sep), Some(list_sep))
        }
        Writing::Pairs { pair_sep, kv_sep, want: Want::Named(want) } => (format!("{want}{kv_sep}"), Some(pair_sep)),
        Writing::Pairs { want: Want::KeyId, .. } => return None,
    };
    let is_plain = before.is_empty() && between.is_none() && !carrier.is_percent_encoded;
    let between = between.map(|between| lasting(between));
    let written = Written { before: lasting(&before), between, is_percent_encoded: carrier.is_percent_encoded };
    (!is_plain).then_some(written)
}

/// Whether a plain time stands beside a hexadecimal signature in its own carrier.
fn is_stamped(signed: &Signed) -> bool {
    let is_time_beside = signed.stamp.as_ref().is_some_and(|stamp| matches!(stamp.clock.from.place, Place::Sig(_)));
    matches!(signed.carrier.writing, Writing::Pairs { .. })
        && signed.carrier.encoding == Encoding::Hex
        && is_time_beside
}

/// Single values that are signed each for itself.
fn pairs(verify: &Verify, signed: &Signed) -> Option<PairCover> {
    let names: BTreeSet<String> = places(signed).map(|place| name(verify, place)).collect::<Option<_>>()?;
    let signature = name(verify, &signed.carrier.from.place)?;
    Some(cover(verify, &names, Some(&signature)))
}

/// The number that the platform is asked about, with what vouches for it.
fn asked(verify: &Verify, signed: Option<&Signed>, evidence: &Evidence) -> Option<Cover> {
    let mut names = BTreeSet::from([name(verify, &verify.fetch()?.id().place)?]);
    if let Some(signed) = signed {
        for place in places(signed) {
            names.insert(name(verify, place)?);
        }
    }
    let shown = match (signed, evidence) {
        (Some(signed), _) => Some(&signed.carrier.from.place),
        (None, Evidence::Token(token)) => Some(&token.from.place),
        (None, _) => None,
    };
    let (signature, header) = match shown {
        Some(Place::Header(header)) => (None, Some(lasting(header.as_str()))),
        Some(place) => (Some(name(verify, place)?), None),
        None => (None, None),
    };
    Some(Cover::Asked { pairs: cover(verify, &names, signature.as_deref()), header })
}

fn cover(verify: &Verify, names: &BTreeSet<String>, signature: Option<&str>) -> PairCover {
    let is_deep = names.iter().map(String::as_str).chain(signature).any(|name| name.contains('/'));
    let carrier = match verify.body {
        BodyForm::Json if is_deep => Carrier::JsonTree,
        BodyForm::Json => Carrier::Json,
        BodyForm::Form => Carrier::Form,
        BodyForm::Query => Carrier::Query,
    };
    let covered = Covered::Each(lasting_names(names.iter().map(String::as_str)));
    PairCover { carrier, covered, signature: signature.map(lasting) }
}

/// The name of a value among its message's pairs. Of items, a told message has one.
fn name(verify: &Verify, place: &Place) -> Option<String> {
    let way = |pointers: &[&Pointer]| {
        let names: Vec<String> = pointers.iter().flat_map(|pointer| pointer.names()).cloned().collect();
        names.iter().all(|name| !name.contains('/')).then(|| names.join("/"))
    };
    match place {
        Place::Json(pointer) => way(&[pointer]),
        Place::Form(name) | Place::Query(name) => Some(name.clone()),
        Place::Item(pointer) => {
            let items = verify.items.as_ref()?;
            let Place::Json(list) = &items.from.place else { return None };
            Some(format!("{}/0/{}", way(&[list])?, way(&[&items.unwrap, pointer])?))
        }
        _ => None,
    }
}

/// A text that lasts as long as the program. Each is kept once, and there are as many as recipes have names.
pub(super) fn lasting(text: &str) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return known;
    }
    let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
    texts.insert(kept);
    kept
}

/// The same for lists of texts.
fn lasting_names<'t>(names: impl IntoIterator<Item = &'t str>) -> &'static [&'static str] {
    static LISTS: Mutex<BTreeSet<&'static [&'static str]>> = Mutex::new(BTreeSet::new());
    let list: Vec<&'static str> = names.into_iter().map(lasting).collect();
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.get(list.as_slice()) {
        return known;
    }
    let kept: &'static [&'static str] = Box::leak(list.into_boxed_slice());
    lists.insert(kept);
    kept
}
