//! Headers that came under other names: with something before them, with `_` for `-`, as CGI writes them.

use http::HeaderName;
use http::header::CONTENT_TYPE;

use super::{header_name, is_transport};
use crate::channel::{Rejection, quote};
use crate::explain::{Case, Finding, Otherwise, Probe, Undo};
use crate::model::RawRequest;
use crate::settings::Text;

/// Most rules that are tried.
const RULES_MAX: usize = 4;

/// What CGI and PHP's `$_SERVER` put before the name of every header, also behind an internal redirect.
const CGI: &[&str] = &["redirect_http_", "http_"];

/// A header under another name.
pub(in crate::explain::findings) static HEADER_RENAMED: Finding = Finding {
    id: "header_renamed",
    title: Text {
        en: "the platform's header `{header}` came under the name `{came}`",
        zh: "平台的请求头「{header}」被改名为「{came}」",
    },
    cause: Text {
        en: "A proxy, an API gateway or a script renamed the headers on its way here: an `X-` or a prefix of its own before \
             them, `_` for `-`, or the names as PHP's `$_SERVER` has them (`HTTP_…`).",
        zh: "代理、API 网关或脚本在转发时改了请求头的名字：加上 `X-` 或自己的前缀、把 `-` 换成 `_`，或直接用了 PHP `$_SERVER` \
             中的写法（`HTTP_…`）。",
    },
    cure: Text {
        en: "Send the platform's headers on under the names that they came by. From `$_SERVER`, cut `HTTP_` and write `-` for \
             `_`, or take them from `getallheaders()`.",
        zh: "按收到的原名透传平台的请求头。若取自 `$_SERVER`，请去掉 `HTTP_` 并把 `_` 还原为 `-`，或改用 `getallheaders()`。",
    },
    probes: &[Probe::Undo(under_own_names)],
};

/// What was done to every name: this before it in place of that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    came: String,
    own: String,
}

pub(super) fn under_own_names(case: &Case<'_>) -> Vec<Undo> {
    let Some(missing) = missing(case) else { return Vec::new() };
    let mut found: Vec<(usize, Rule, &HeaderName)> = Vec::new();
    for name in case.request.headers.keys() {
        if let Some((alike, rule)) = candidate(name, &missing)
            && !found.iter().any(|(_, other, _)| *other == rule)
        {
            found.push((alike, rule, name));
        }
    }
    found.sort_by_key(|(alike, ..)| std::cmp::Reverse(*alike));
    let undo = |(alike, rule, name): &(usize, Rule, &HeaderName)| {
        let facts = vec![("header", quote(missing.as_str())), ("came", quote(name.as_str()))];
        Undo { otherwise: Otherwise::Request(rule.undone(&case.request)), facts, is_traced: rule.is_trace(*alike) }
    };
    found.iter().take(RULES_MAX).map(undo).collect()
}

/// Whether a header came whose name looks like this one's with something done to it.
pub(super) fn is_under_other_name(request: &RawRequest, missing: &HeaderName) -> bool {
    let mut candidates = request.headers.keys().filter_map(|name| candidate(name, missing));
    candidates.any(|(alike, rule)| rule.is_trace(alike))
}

/// The rule by which a header that came may be the one that is missing, and how many words of the two are the same.
fn candidate(came: &HeaderName, missing: &HeaderName) -> Option<(usize, Rule)> {
    let is_other = came != missing && (!is_transport(&plain(came)) || is_transport(missing.as_str()));
    is_other.then(|| Rule::between(came, missing)).flatten()
}

/// The header that the channel misses.
fn missing(case: &Case<'_>) -> Option<HeaderName> {
    let missing = match case.rejection().filter(|_| case.kept.has_head)? {
        Rejection::Missing { field } => header_name(field)?,
        Rejection::MediaType { .. } => CONTENT_TYPE,
        _ => return None,
    };
    (!case.request.headers.contains_key(&missing)).then_some(missing)
}

/// A name as HTTP writes it, where it is written as CGI does.
fn plain(name: &HeaderName) -> String {
    let name = name.as_str();
    let inner = CGI.iter().find_map(|before| name.strip_prefix(before)).unwrap_or(name);
    inner.replace('_', "-")
}

impl Rule {
    /// The rule that makes one name of the other, and how many words at their ends are the same.
    fn between(came: &HeaderName, own: &HeaderName) -> Option<(usize, Self)> {
        let came = plain(came);
        let came: Vec<&str> = came.split('-').collect();
        let own: Vec<&str> = own.as_str().split('-').collect();
        let alike = came.iter().rev().zip(own.iter().rev()).take_while(|(one, other)| one == other).count();
        let before = |words: &[&str]| words[..words.len() - alike].join("-");
        // Names that are the same to the last word say that nothing but their writing was changed.
        let is_whole = usize::from(alike == own.len() && alike == came.len());
        (alike > 0).then(|| (alike + is_whole, Self { came: before(&came), own: before(&own) }))
    }

    /// Whether names that are so much alike are a trace. Of one word at the end of another name alone, anything could be
    /// the reason.
    fn is_trace(&self, alike: usize) -> bool {
        self.own.is_empty() || alike > 1
    }

    /// The request with every header under the name that it then had, too. What came stays: nothing else is read by it.
    fn undone(&self, request: &RawRequest) -> RawRequest {
        let mut undone = request.clone();
        for (name, value) in &request.headers {
            let plain = plain(name);
            let rest = match self.came.as_str() {
                "" => Some(plain.as_str()),
                came => plain.strip_prefix(came).and_then(|rest| rest.strip_prefix('-')),
            };
            let own = match (rest, self.own.as_str()) {
                (Some(rest), "") => rest.to_owned(),
                (Some(rest), own) => format!("{own}-{rest}"),
                (None, _) => plain.clone(),
            };
            let Ok(own) = HeaderName::try_from(own) else { continue };
            if !request.headers.contains_key(&own) && !is_transport(own.as_str()) {
                undone.headers.append(own, value.clone());
            }
        }
        undone
    }
}
