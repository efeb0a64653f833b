//! Headers whose value came twice: as two lines, or as one.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};

use super::{header_name, is_transport, with_header};
use crate::channel::{Rejection, quote};
use crate::explain::{Case, Finding, Otherwise, Probe, Undo};
use crate::model::RawRequest;
use crate::settings::Text;

/// Most headers that are named in one finding.
const NAMED_MAX: usize = 8;

/// Most times that one value may stand in a header behind itself.
const TIMES_MAX: usize = 4;

/// A header that came twice.
pub(in crate::explain::findings) static HEADER_DOUBLED: Finding = Finding {
    id: "header_doubled",
    title: Text {
        en: "headers came twice that the platform sends once: `{header}`",
        zh: "平台只发送一次的请求头重复出现：{header}",
    },
    cause: Text {
        en: "Two proxies, or a proxy and a script, each add the header to the request that they send on. Two readers could then \
             see two messages, so such a request is refused.",
        zh: "两级代理（或代理与脚本）在转发时各添加了一次该请求头。两个读取方可能因此看到两条不同的通知，所以一律拒绝。",
    },
    cure: Text {
        en: "Let one place alone send the platform's headers on: replace them (`proxy_set_header`) and do not add to them.",
        zh: "只在一处透传平台的请求头；用覆盖（如 `proxy_set_header`）代替追加。",
    },
    probes: &[Probe::Undo(each_once)],
};

fn each_once(case: &Case<'_>) -> Vec<Undo> {
    if !case.kept.has_head {
        return Vec::new();
    }
    let headers = &case.request.headers;
    let is_doubled = |name: &&HeaderName| !is_transport(name.as_str()) && headers.get_all(*name).iter().count() > 1;
    let all: Vec<HeaderName> = headers.keys().filter(is_doubled).take(NAMED_MAX).cloned().collect();
    let named = refused_header(case).filter(|named| all.contains(named));
    // The one that the refusal names may be all that is wrong; else every one is.
    let mut sets: Vec<Vec<HeaderName>> = named.into_iter().map(|named| vec![named]).collect();
    if !all.is_empty() && !sets.contains(&all) {
        sets.push(all);
    }
    let mut undone = Vec::new();
    for set in &sets {
        for is_first in [true, false] {
            let mut request = case.request.clone();
            for name in set {
                let values = headers.get_all(name);
                let kept = if is_first { values.iter().next() } else { values.iter().next_back() };
                if let Some(kept) = kept {
                    request.headers.insert(name, kept.clone());
                }
            }
            undone.push(undo(request, set));
        }
    }
    undone
}

/// A header that holds two values.
pub(in crate::explain::findings) static HEADER_JOINED: Finding = Finding {
    id: "header_joined",
    title: Text {
        en: "two values were joined in one header: `{header}`",
        zh: "请求头中的两个值被合并成了一个：{header}",
    },
    cause: Text {
        en: "The header came twice somewhere on the way, and a proxy, a framework or a capture joined the two values with a \
             comma. Neither is then the value that the platform sent.",
        zh: "该请求头在途中出现过两次，代理、框架或抓包工具用逗号把两个值拼在了一起，于是不再是平台发送的值。",
    },
    cure: Text {
        en: "Let one place alone send the platform's headers on: replace them (`proxy_set_header`) and do not add to them.",
        zh: "只在一处透传平台的请求头；用覆盖（如 `proxy_set_header`）代替追加。",
    },
    probes: &[Probe::Undo(apart)],
};

fn apart(case: &Case<'_>) -> Vec<Undo> {
    if !case.kept.has_head {
        return Vec::new();
    }
    let mut undone = Vec::new();
    // One value behind itself is a trace that no genuine value shows.
    let mut request = case.request.clone();
    let mut names = Vec::new();
    for (name, value) in &case.request.headers {
        if is_transport(name.as_str()) || names.len() == NAMED_MAX {
            continue;
        }
        if let Some(Ok(one)) = repeated(value).map(HeaderValue::from_bytes) {
            request.headers.insert(name, one);
            names.push(name.clone());
        }
    }
    if !names.is_empty() {
        undone.push(undo(request, &names));
    }
    // Two different values: what stands before and behind the first and the last comma, since some values have their own.
    if let Some(name) = refused_header(case)
        && let Some(Ok(value)) = case.request.headers.get(&name).map(HeaderValue::to_str)
    {
        let mut tried: Vec<&str> = Vec::new();
        for cut in [value.split_once(", "), value.rsplit_once(", "), value.split_once(','), value.rsplit_once(',')] {
            let Some((before, behind)) = cut else { continue };
            for one in [before.trim(), behind.trim()] {
                if !one.is_empty() && !tried.contains(&one) {
                    tried.push(one);
                }
            }
        }
        let values = tried.into_iter().filter_map(|one| HeaderValue::from_str(one).ok());
        let one = |value| undo(with_header(&case.request, &name, value), std::slice::from_ref(&name));
        undone.extend(values.map(one));
    }
    undone
}

/// What stands several times in a value, with a comma between.
fn repeated(value: &HeaderValue) -> Option<&[u8]> {
    let value = value.as_bytes();
    let commas = memchr::memchr_iter(b',', value);
    for comma in commas {
        let one = value.get(..comma)?.trim_ascii();
        let mut rest = value.get(comma..)?;
        let mut times = 1;
        while let Some(next) =
            rest.strip_prefix(b",").map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(one))
        {
            (rest, times) = (next.trim_ascii_start(), times + 1);
        }
        if rest.is_empty() && !one.is_empty() && (2..=TIMES_MAX).contains(&times) {
            return Some(one);
        }
    }
    None
}

/// The header whose value the channel did not take.
fn refused_header(case: &Case<'_>) -> Option<HeaderName> {
    match case.rejection()? {
        Rejection::MediaType { .. } => Some(CONTENT_TYPE),
        Rejection::Duplicate { field } | Rejection::Malformed { field } | Rejection::Missing { field } => {
            header_name(field)
        }
        _ => None,
    }
}

fn undo(request: RawRequest, names: &[HeaderName]) -> Undo {
    let names: Vec<String> = names.iter().map(|name| quote(name.as_str())).collect();
    Undo::traced(Otherwise::Request(request), vec![("header", names.join(", "))])
}
