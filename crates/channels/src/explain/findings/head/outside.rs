//! The method, the type of the body, and what a platform refuses on purpose.

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;

use super::{media_types, with_media_type};
use crate::channel::{Rejection, quote};
use crate::explain::{Case, Facts, Finding, Otherwise, Outcome, Probe, Undo};
use crate::model::RawRequest;
use crate::settings::Text;

/// Another method than the platform's.
pub(in crate::explain::findings) static METHOD: Finding = Finding {
    id: "method",
    title: Text {
        en: "the request came by {came}; this platform sends {method}",
        zh: "收到的是 {came} 请求，而该平台以 {method} 发送通知",
    },
    cause: Text {
        en: "A redirect (http to https, a missing slash, another host) makes a GET without a body of a POST; a script or a tool \
             sent the message on by another method; or somebody opened the address in a browser.",
        zh: "重定向（http 跳 https、补斜杠、换域名）会把 POST 变成没有正文的 GET；也可能是中间脚本或工具换了请求方法转发，\
             或者只是有人用浏览器打开了通知地址。",
    },
    cure: Text {
        en: "Register the address that answers without a redirect, character for character, and send messages on by the method \
             and with the body that came.",
        zh: "在平台登记最终地址（逐字一致、不经任何跳转）；转发时保持原请求方法与正文。",
    },
    probes: &[Probe::Undo(by_other_methods), Probe::Look(nothing_to_read)],
};

/// The methods by which messages come, the usual one first.
const METHODS: [Method; 3] = [Method::POST, Method::GET, Method::PUT];

fn by_other_methods(case: &Case<'_>) -> Vec<Undo> {
    let mut undone = Vec::new();
    for (method, request) in other_methods(case) {
        undone.push(Undo::traced(Otherwise::Request(request), facts(case, &method)));
    }
    undone
}

/// The request by each other method: as it stands, and with the pairs where that method has them. By a method for what
/// has no body, one that came with a body is refused for that where messages come by both.
fn other_methods(case: &Case<'_>) -> Vec<(Method, RawRequest)> {
    let request = &case.request;
    let is_refused = match case.rejection() {
        Some(Rejection::Method { .. }) => true,
        Some(Rejection::Malformed { .. } | Rejection::Missing { .. } | Rejection::Empty) => {
            request.method.is_safe() && !request.body.is_empty()
        }
        _ => false,
    };
    if !case.kept.has_head || !is_refused {
        return Vec::new();
    }
    let mut others = Vec::new();
    for method in METHODS.into_iter().filter(|method| *method != request.method) {
        others.push((method.clone(), RawRequest { method, ..request.clone() }));
    }
    match (&request.query, request.body.is_empty()) {
        (Some(query), true) if request.method == Method::GET => {
            let body = Bytes::copy_from_slice(query.as_bytes());
            let moved = RawRequest { method: Method::POST, query: None, body, ..request.clone() };
            others.push((Method::POST, with_media_type(&moved, "application/x-www-form-urlencoded")));
        }
        (None, false) if request.method == Method::POST => {
            if let Ok(query) = String::from_utf8(request.body.to_vec()) {
                let query = Some(query);
                let moved = RawRequest { method: Method::GET, query, body: Bytes::new(), ..request.clone() };
                others.push((Method::GET, moved));
            }
        }
        _ => {}
    }
    others
}

/// Where a message was lost with its method there is nothing to verify, and the refusal says all.
fn nothing_to_read(case: &Case<'_>) -> Option<Facts> {
    let is_bare = case.request.body.is_empty() && case.request.query.as_ref().is_none_or(String::is_empty);
    let others = other_methods(case);
    if !is_bare || others.is_empty() {
        return None;
    }
    let is_taken = |request: &RawRequest| {
        let outcome = case.outcome_of(request, case.now);
        !matches!(outcome, None | Some((Outcome::Refused(Rejection::Method { .. }), _)))
    };
    let (method, _) = others.iter().find(|(_, request)| is_taken(request))?;
    Some(facts(case, method))
}

fn facts(case: &Case<'_>, method: &Method) -> Facts {
    vec![("came", quote(case.request.method.as_str())), ("method", method.to_string())]
}

/// Another media type than the platform's.
pub(in crate::explain::findings) static MEDIA_TYPE: Finding = Finding {
    id: "media_type",
    title: Text {
        en: "the type of the body came as `{came}`; this message is `{media_type}`",
        zh: "收到的 Content-Type 为「{came}」，而这条通知应为「{media_type}」",
    },
    cause: Text {
        en: "A proxy, a queue or a script sent the body on with the header `Content-Type` of its own, or without one: many HTTP \
             clients write theirs when none is given.",
        zh: "代理、队列或脚本转发正文时改写或丢掉了 `Content-Type`：许多 HTTP 客户端在未指定时会填入自己的默认值。",
    },
    cure: Text {
        en: "Send the header `Content-Type` on as it came, together with the exact body.",
        zh: "转发时原样保留 `Content-Type` 请求头与正文。",
    },
    probes: &[Probe::Undo(of_other_types)],
};

fn of_other_types(case: &Case<'_>) -> Vec<Undo> {
    let is_refused = matches!(case.rejection(), Some(Rejection::MediaType { .. }));
    if !case.kept.has_head || !is_refused && !is_misread(case) {
        return Vec::new();
    }
    let values: Vec<_> = case.request.headers.get_all(CONTENT_TYPE).iter().collect();
    let shown = match values.as_slice() {
        [] => "-".to_owned(),
        [one] => quote(&String::from_utf8_lossy(one.as_bytes())),
        // Which of them is wrong is another finding.
        _ => return Vec::new(),
    };
    let undo = |media_type: &'static str| {
        let facts = vec![("came", shown.clone()), ("media_type", media_type.to_owned())];
        let otherwise = Otherwise::Request(with_media_type(&case.request, media_type));
        Undo { otherwise, facts, is_traced: is_refused }
    };
    // What is only misread says itself what it is.
    let tried = if is_refused { usize::MAX } else { 1 };
    media_types(&case.request.body).into_iter().take(tried).map(undo).collect()
}

/// Whether a body was read as a form, or as JSON, that begins as the other does: a platform that sends both takes either
/// type, and then misses the fields.
fn is_misread(case: &Case<'_>) -> bool {
    let is_about_fields = matches!(case.rejection(), Some(Rejection::Missing { .. } | Rejection::Malformed { .. }));
    let media_type = case.request.media_type();
    let [form, json] = ["application/x-www-form-urlencoded", "application/json"];
    let begins = media_types(&case.request.body).first().copied();
    is_about_fields && (media_type == form && begins == Some(json) || media_type == json && begins == Some(form))
}

/// The platform's own test with a wrong signature.
pub(in crate::explain::findings) static PROBE: Finding = Finding {
    id: "probe",
    title: Text {
        en: "this is the platform's own test with a deliberately wrong signature",
        zh: "这是平台有意发送的错误签名探测",
    },
    cause: Text {
        en: "Some platforms send messages with a wrong signature now and then, or let you send them from a simulator, to see \
             whether the receiver verifies at all. Refusing them is the right answer.",
        zh: "部分平台会不定期（或通过其模拟工具）发送签名错误的通知，以检验接收方是否真正验签。拒绝它才是正确的应答。",
    },
    cure: Text {
        en: "Nothing is wrong: do not alert on it, and never make an exception for it.",
        zh: "无需处理：不要为此告警，更不要为它放宽验签。",
    },
    probes: &[Probe::Look(refused_on_purpose)],
};

fn refused_on_purpose(case: &Case<'_>) -> Option<Facts> {
    matches!(case.rejection(), Some(Rejection::Probe)).then(Vec::new)
}
