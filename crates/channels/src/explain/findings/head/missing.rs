//! Headers that the platform sends and that are not there, or were not kept.

use http::{HeaderName, HeaderValue};

use super::{header_name, media_types, renamed, with_header, with_media_type};
use crate::channel::{Likeness, Rejection, quote};
use crate::explain::{Case, Configured, Facts, Finding, Outcome, Probe};
use crate::form::{Form, Limits};
use crate::json::Json;
use crate::model::RawRequest;
use crate::settings::Text;
use crate::xml;

/// A value that no header of a platform's has.
const NO_VALUE: HeaderValue = HeaderValue::from_static("AAAA");

/// What is read of a body to see whether it is a message at all.
const LIMITS: Limits = Limits { bytes_max: 512 * 1024, pairs_max: 256 };

/// Single values from which on a body is a message of somebody's.
const FIELDS_MIN: usize = 2;

/// A header of the platform's that is not there.
pub(in crate::explain::findings) static HEADER_MISSING: Finding = Finding {
    id: "header_missing",
    title: Text {
        en: "the platform's header `{header}` is not in the request, though its body is a message",
        zh: "请求中缺少平台的请求头「{header}」，正文却是一条通知",
    },
    cause: Text {
        en: "A proxy, a function service, a queue or a script sent the body on without the platform's headers. nginx drops names \
             with `_`, CGI and PHP-FPM drop `Authorization`, and a relay that sends only `php://input` on loses them all. Without \
             them nothing can be verified. A request that somebody made by hand looks the same.",
        zh: "代理、云函数、队列或脚本只转发了正文，丢掉了平台的请求头：nginx 默认丢弃带 `_` 的请求头，CGI 与 PHP-FPM 会丢掉 \
             `Authorization`，只转发 `php://input` 的脚本则会丢掉全部。缺少它们就无法验签。手工构造的请求看起来也是这样。",
    },
    cure: Text {
        en: "Send every header of the platform's on together with the exact body, or let the platform call the gateway itself.",
        zh: "把平台的全部请求头与原始正文一并转发，或让平台直接通知本网关。",
    },
    probes: &[Probe::Look(lost)],
};

/// A header of the platform's that the capture cannot show.
pub(in crate::explain::findings) static HEAD_NOT_KEPT: Finding = Finding {
    id: "head_not_kept",
    title: Text {
        en: "the capture has no headers, and this platform's proof stands in one: `{header}`",
        zh: "抓取内容不含请求头，而该平台的签名信息在请求头「{header}」中",
    },
    cause: Text {
        en: "Only the body was kept, as a script's log keeps it. What is in it cannot be verified without the headers that came \
             with it, and so nothing can be said about why it was refused.",
        zh: "只保存了正文（脚本日志常常如此）。没有随它一起收到的请求头就无法验签，因此也无法判断被拒绝的原因。",
    },
    cure: Text {
        en: "Keep a request with its headers: the gateway's own record of the rejection, a raw HTTP file, a curl command or a HAR \
             entry; in PHP, `getallheaders()` beside `php://input`.",
        zh: "请连同请求头一起保存：网关自己的拒绝记录、原始 HTTP 报文、curl 命令或 HAR；PHP 中请把 `getallheaders()` 与 \
             `php://input` 一起记录。",
    },
    probes: &[Probe::Look(not_kept)],
};

fn lost(case: &Case<'_>) -> Option<Facts> {
    let header = needed(case).filter(|_| case.kept.has_head)?;
    // It may be here under another name, with something else wrong beside it.
    if renamed::is_under_other_name(&case.request, &header) {
        return None;
    }
    // Another channel's message would miss it, too.
    if case.others.iter().any(|other| may_be_theirs(case, other)) {
        return None;
    }
    Some(vec![("header", quote(header.as_str()))])
}

/// Whether the message may be another channel's, with the type that its body begins as, or with headers under other names.
fn may_be_theirs(case: &Case<'_>, other: &Configured<'_>) -> bool {
    let request = &case.request;
    let typed = media_types(&request.body).into_iter().take(1).filter(|one| *one != request.media_type());
    let typed = typed.map(|one| with_media_type(request, one));
    let is_renamed = |request: &RawRequest| match case.outcome_with(other, request) {
        // Without room nobody knows.
        None => true,
        Some(Outcome::Refused(Rejection::Missing { field })) => header_name(&field)
            .is_some_and(|name| !request.headers.contains_key(&name) && renamed::is_under_other_name(request, &name)),
        _ => false,
    };
    let mut requests = std::iter::once(request.clone()).chain(typed);
    requests.any(|request| case.likeness_to(other, &request) != Likeness::No || is_renamed(&request))
}

fn not_kept(case: &Case<'_>) -> Option<Facts> {
    let header = needed(case).filter(|_| !case.kept.has_head)?;
    Some(vec![("header", quote(header.as_str()))])
}

/// The first header that the channel misses in a message; with a media type where none came.
fn needed(case: &Case<'_>) -> Option<HeaderName> {
    let requests = match case.rejection()? {
        Rejection::Missing { .. } => vec![case.request.clone()],
        Rejection::MediaType { .. } => {
            let types = media_types(&case.request.body).into_iter();
            types.map(|one| with_media_type(&case.request, one)).collect()
        }
        _ => Vec::new(),
    };
    requests.iter().find_map(|request| {
        let header = needed_by(case, request)?;
        let is_known = || case.channel.recognise(&with_header(request, &header, NO_VALUE)) != Likeness::No;
        (is_message(&request.body) || is_known()).then_some(header)
    })
}

/// The header without which the channel does not go on, told from a field of the body by giving it one.
fn needed_by(case: &Case<'_>, request: &RawRequest) -> Option<HeaderName> {
    let missing = |request: &RawRequest| match case.outcome_of(request, case.now) {
        Some((Outcome::Refused(Rejection::Missing { field }), _)) => Some(field),
        _ => None,
    };
    let field = missing(request)?;
    // Of a header that came a part may be missing.
    let name = header_name(&field).filter(|name| !request.headers.contains_key(name))?;
    (missing(&with_header(request, &name, NO_VALUE)).as_ref() != Some(&field)).then_some(name)
}

/// Whether a body is a message of somebody's: an object, a document or a form with fields in it.
fn is_message(body: &[u8]) -> bool {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => Json::parse(body).is_ok_and(|json| {
            let mut fields = Vec::new();
            json.flatten("", &mut fields);
            fields.len() >= FIELDS_MIN
        }),
        Some(b'<') => {
            let limits = xml::Limits { bytes_max: LIMITS.bytes_max, fields_max: LIMITS.pairs_max };
            xml::Tree::parse(body, limits).is_ok_and(|tree| tree.root().has_elements())
        }
        _ => Form::parse(body, LIMITS).is_ok_and(|form| {
            form.pairs().iter().filter(|pair| !pair.name.is_empty() && !pair.value.is_empty()).count() >= FIELDS_MIN
        }),
    }
}
