//! Milliseconds where seconds are wanted, or the reverse.
//!
//! Two things happen. A script on the way here writes the time anew, in its own unit: with the other one the message is
//! as the platform sent it. Or whoever signed counted in the other unit: then the signature holds over the text as it
//! came, and only the reading of the time was wrong.

use bytes::Bytes;
use http::HeaderValue;
use jiff::SignedDuration;

use super::{Digits, LIMITS, MILLIS_DIGITS, Place, SECONDS_DIGITS, digits, is_plausible, read};
use crate::channel::{Rejection, quote};
use crate::explain::{Case, Facts, Finding, Otherwise, Probe, Signing, Undo};
use crate::form::{Form, encode};
use crate::model::RawRequest;
use crate::settings::tree::Tree;
use crate::settings::{SettingValue, Settings, Text};
use crate::signature::trial::{How, Part, Trial};

/// Most times of a message that are tried in the other unit.
const TIMES_MAX: usize = 4;

/// Most checks that are made again over the text as it came.
const CHECKS_MAX: usize = 4;

/// Milliseconds for seconds, or the reverse.
pub(in crate::explain::findings) static MILLISECONDS: Finding = Finding {
    id: "milliseconds",
    title: Text {
        en: "the time in `{field}` came as {came}: {unit}, where the other unit is expected",
        zh: "「{field}」中的时间为 {came}，单位是 {unit}，与应有的单位不符",
    },
    cause: Text {
        en: "Seconds since 1970 have 10 digits today, milliseconds 13. A script on the way here wrote the time anew with its \
             language's own clock (`Date.now()`, `microtime`), a self-made sender signs the wrong unit, or the channel's \
             settings name the wrong one.",
        zh: "如今以秒计的时间戳是 10 位，毫秒是 13 位。可能是中间脚本用所用语言的时钟重写了时间（如 `Date.now()`、`microtime`），\
             自制的发送方用错单位签名，或渠道设置中写错了单位。",
    },
    cure: Text {
        en: "Send the time on as the text that came. In a sender of your own, sign the unit that the platform's document names; \
             where the channel's own settings describe the protocol, set `verify.timestamp.unit` to the one that comes.",
        zh: "时间请按收到的文本原样转发。自制发送方应按平台文档的单位签名；若协议由渠道配置自行描述，请把 `verify.timestamp.unit` 设为实际的单位。",
    },
    probes: &[Probe::Undo(in_other_unit), Probe::Unchecked(signed_in_other_unit)],
};

fn in_other_unit(case: &Case<'_>) -> Vec<Undo> {
    let mut undone = Vec::new();
    let all = told(case);
    for digits in &all {
        if let Some(request) = in_other_digits(&case.request, digits) {
            undone.push(Undo::traced(Otherwise::Request(request), facts(digits)));
        }
    }
    if let Some(meant) = meant(case, &all)
        && let Some(settings) = with_other_unit(&case.settings)
    {
        undone.push(Undo::traced(Otherwise::Settings(Box::new(settings)), facts(meant)));
    }
    // Seconds that were read as milliseconds are a time of 1970, at which the message is genuine.
    if let Some(Rejection::Stale { seconds }) = case.rejection()
        && let Ok(at) = case.now.checked_sub(SignedDuration::from_secs(*seconds))
        && !is_plausible(at)
    {
        undone.extend(meant(case, &all).map(|digits| Undo::traced(Otherwise::Time(at), facts(digits))));
    }
    undone
}

/// The time that the channel read: the one that the refusal names, or whose other reading is as far from now as it says;
/// else the only one that there is.
fn meant<'d>(case: &Case<'_>, all: &'d [Digits]) -> Option<&'d Digits> {
    let is_meant = |digits: &&Digits| match case.rejection() {
        Some(Rejection::Malformed { field }) => field.rsplit(':').next() == Some(digits.name.as_str()),
        Some(Rejection::Stale { seconds }) => {
            let read = case.now.as_second().saturating_sub(*seconds);
            digits.text.parse().is_ok_and(|number: i64| (number / 1000 - read).abs() <= 1)
        }
        _ => false,
    };
    all.iter().find(is_meant).or(match all {
        [only] => Some(only),
        _ => None,
    })
}

/// The times of a message that was refused for one, or for its age.
fn told(case: &Case<'_>) -> Vec<Digits> {
    let is_refused = matches!(case.rejection(), Some(Rejection::Stale { .. } | Rejection::Malformed { .. }));
    let mut found = Vec::new();
    if is_refused {
        for count in [MILLIS_DIGITS, SECONDS_DIGITS] {
            found.extend(digits(&case.request, count));
        }
        found.retain(|digits| case.kept.has_head || digits.place != Place::Header);
        found.truncate(TIMES_MAX);
    }
    found
}

fn facts(digits: &Digits) -> Facts {
    let unit = if digits.text.len() == MILLIS_DIGITS { "ms" } else { "s" };
    vec![("field", quote(&digits.name)), ("came", digits.text.clone()), ("unit", unit.to_owned())]
}

/// The same time in the other unit.
fn other(digits: &str) -> String {
    if digits.len() == MILLIS_DIGITS { digits[..SECONDS_DIGITS].to_owned() } else { format!("{digits}000") }
}

/// The request with a time in the other unit.
fn in_other_digits(request: &RawRequest, digits: &Digits) -> Option<RawRequest> {
    let mut undone = request.clone();
    let in_form = |bytes: &[u8]| {
        let form = Form::parse(bytes, LIMITS).ok()?;
        let is_it = |name: &[u8]| String::from_utf8_lossy(name) == digits.name;
        let text = other(&digits.text);
        let pairs = form.pairs().iter().map(|pair| {
            let is_it = is_it(&pair.name) && *pair.value == *digits.text.as_bytes();
            (pair.name.as_ref(), if is_it { text.as_bytes() } else { pair.value.as_ref() })
        });
        Some(encode(pairs))
    };
    match digits.place {
        Place::Header => {
            let value = request.single_header(&digits.name)?.replacen(&digits.text, &other(&digits.text), 1);
            let name = http::HeaderName::try_from(digits.name.as_str()).ok()?;
            undone.headers.insert(name, HeaderValue::from_str(&value).ok()?);
        }
        Place::Body => undone.body = Bytes::from(in_form(&request.body)?),
        Place::Query => undone.query = String::from_utf8(in_form(request.query.as_deref()?.as_bytes())?).ok(),
    }
    Some(undone)
}

/// The settings with the other unit of time, where they name one.
fn with_other_unit(settings: &Settings) -> Option<Settings> {
    let found = settings.values().find_map(|(name, value)| match value {
        SettingValue::Tree(tree) => turned(tree).map(|tree| (name, tree)),
        _ => None,
    });
    found.map(|(name, tree)| settings.clone().with(name, SettingValue::Tree(tree)))
}

/// The tree with the other word at the unit of the time under the signature; none when it has none.
fn turned(tree: &Tree) -> Option<Tree> {
    let Tree::Table(pairs) = tree else { return None };
    let turn = |unit: &Tree| match unit {
        Tree::Text(word) if word == "s" => Some(Tree::text("ms")),
        Tree::Text(word) if word == "ms" => Some(Tree::text("s")),
        _ => None,
    };
    let inside = |name: &str, value: &Tree, wanted: &str, turn: &dyn Fn(&Tree) -> Option<Tree>| {
        if name == wanted { turn(value) } else { None }
    };
    let of_time = |time: &Tree| {
        let Tree::Table(pairs) = time else { return None };
        let unit = pairs.iter().position(|(name, value)| inside(name, value, "unit", &turn).is_some())?;
        let mut pairs = pairs.clone();
        pairs[unit].1 = turn(&pairs[unit].1)?;
        Some(Tree::Table(pairs))
    };
    let at = pairs.iter().position(|(name, value)| inside(name, value, "timestamp", &of_time).is_some())?;
    let mut pairs = pairs.clone();
    pairs[at].1 = of_time(&pairs[at].1)?;
    Some(Tree::Table(pairs))
}

/// Whether the signature holds over the time as it came: with the other unit the channel goes on to the signature, and
/// what it checks there is checked over the text that came.
fn signed_in_other_unit(case: &Case<'_>) -> Vec<(Trial, Signing)> {
    if !matches!(case.rejection(), Some(Rejection::Malformed { .. })) {
        return Vec::new();
    }
    let mut signings = Vec::new();
    for digits in told(case).iter().filter(|digits| digits.text.len() == MILLIS_DIGITS) {
        let Some(at) = read(&digits.text) else { continue };
        let Some(request) = in_other_digits(&case.request, digits) else { continue };
        let Some((_, trials)) = case.outcome_of(&request, at) else { break };
        let short = other(&digits.text);
        // What was opened with a secret is looked into by nobody.
        for mut trial in trials.into_iter().filter(|trial| !trial.held && !trial.is_sealed).take(CHECKS_MAX) {
            let signed = trial.signed.iter().map(|part| with_text(part, &short, &digits.text)).collect();
            trial.claimed.truncate(CHECKS_MAX);
            let signing = Signing { signed, how: How::Own, claimed: None, facts: facts(digits) };
            signings.push((trial, signing));
        }
    }
    signings
}

/// A part with another text in place of the first place of this one.
fn with_text(part: &Part, text: &str, other: &str) -> Part {
    match part {
        Part::Text(signed) => match memchr::memmem::find(signed, text.as_bytes()) {
            Some(at) => Part::Text([&signed[..at], other.as_bytes(), &signed[at + text.len()..]].concat()),
            None => part.clone(),
        },
        Part::Secret => Part::Secret,
    }
}
