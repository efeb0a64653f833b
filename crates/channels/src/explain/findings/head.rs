//! What happens to everything around a body between the platform and us: method, media type, headers, the query, and
//! the address that was signed.
//!
//! No platform is named here. Which headers one needs is learnt from what its channel misses, and from the names that
//! came in their place.

mod members;
mod missing;
mod outside;
mod pairs;
mod renamed;
#[cfg(all(test, feature = "simulate"))]
mod tests;
mod url;
mod values;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};

pub(super) use self::missing::{HEAD_NOT_KEPT, HEADER_MISSING};
pub(super) use self::outside::{MEDIA_TYPE, METHOD, PROBE};
pub(super) use self::pairs::QUERY_MIXED;
pub(super) use self::renamed::HEADER_RENAMED;
pub(super) use self::url::URL_CHANGED;
pub(super) use self::values::{HEADER_DOUBLED, HEADER_JOINED};
use crate::model::RawRequest;

/// Headers that clients and proxies add or change, and that no platform puts under a signature of its own.
const TRANSPORT: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "dnt",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-connection",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-client-ip",
    "x-real-ip",
    "x-request-id",
];

/// How the names of more such headers begin.
const TRANSPORT_BEGINNINGS: &[&str] =
    &["cf-", "sec-", "traceparent", "tracestate", "x-amzn-trace", "x-b3-", "x-forwarded-"];

/// Whether a header says how a request travelled, and not what it is. The type of the body is no such header.
fn is_transport(name: &str) -> bool {
    TRANSPORT.contains(&name) || TRANSPORT_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// The header that a refusal names: `X-Sign`, `header:x-sign` or `x-sign: t`, as far as it can be one's name.
fn header_name(field: &str) -> Option<HeaderName> {
    let name = field.strip_prefix("header:").unwrap_or(field);
    let name = name.split_once(": ").map_or(name, |(name, _)| name);
    HeaderName::from_bytes(name.as_bytes()).ok()
}

/// The request with one value of a header.
fn with_header(request: &RawRequest, name: &HeaderName, value: HeaderValue) -> RawRequest {
    let mut request = request.clone();
    request.headers.insert(name, value);
    request
}

/// The request with a body of this type.
fn with_media_type(request: &RawRequest, media_type: &'static str) -> RawRequest {
    with_header(request, &CONTENT_TYPE, HeaderValue::from_static(media_type))
}

/// The media types that a body may have, the one that its first byte speaks for before the others.
fn media_types(body: &[u8]) -> Vec<&'static str> {
    const ALL: [&str; 4] = ["application/json", "application/x-www-form-urlencoded", "text/xml", "application/xml"];
    let [json, form, text_xml, xml] = ALL;
    let first = body.trim_ascii_start().first();
    match first {
        Some(b'{' | b'[') => vec![json, form, text_xml, xml],
        Some(b'<') => vec![text_xml, xml, form, json],
        _ => vec![form, json, text_xml, xml],
    }
}
