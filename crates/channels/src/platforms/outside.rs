//! What many platforms check of a request before they read it: method, media type and size, headers that must be there
//! once, the split of a form; and what no answer of an application is.

use http::Method;

use crate::channel::{Rejection, quote};
use crate::form::{Form, FormError, Limits};
use crate::model::RawRequest;

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

/// The media type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A POST of a media type that is right, with a body of 1 to `bytes_max` bytes.
///
/// # Errors
/// [`Rejection::Method`], [`Rejection::MediaType`], [`Rejection::Empty`] or [`Rejection::TooLarge`], in this order.
pub(super) fn check_post(
    request: &RawRequest,
    is_right: impl FnOnce(&str) -> bool,
    bytes_max: usize,
) -> Result<(), Rejection> {
    if request.method != Method::POST {
        return Err(Rejection::Method { method: quote(request.method.as_str()) });
    }
    let media_type = request.media_type();
    if !is_right(&media_type) {
        return Err(Rejection::MediaType { media_type: quote(&media_type) });
    }
    if request.body.is_empty() {
        return Err(Rejection::Empty);
    }
    if request.body.len() > bytes_max {
        return Err(Rejection::TooLarge { limit: bytes_max });
    }
    Ok(())
}

/// The pairs of a body or a query; `place` says which, for people.
///
/// # Errors
/// [`Rejection::TooLarge`], [`Rejection::TooManyFields`] or [`Rejection::Malformed`].
pub(super) fn split<'r>(bytes: &'r [u8], limits: Limits, place: &str) -> Result<Form<'r>, Rejection> {
    Form::parse(bytes, limits).map_err(|error| match error {
        FormError::TooLarge { limit } => Rejection::TooLarge { limit },
        FormError::TooManyPairs { limit } => Rejection::TooManyFields { limit },
        FormError::Percent { .. } => malformed(place),
    })
}

/// A header that must be there exactly once.
///
/// # Errors
/// [`Rejection::Missing`], [`Rejection::Duplicate`], or [`Rejection::Malformed`] when it is empty or no plain text.
pub(super) fn header<'r>(request: &'r RawRequest, name: &'static str) -> Result<&'r str, Rejection> {
    let mut values = request.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Err(Rejection::Missing { field: name.into() }) };
    if values.next().is_some() {
        return Err(Rejection::Duplicate { field: name.into() });
    }
    value.to_str().ok().filter(|text| !text.is_empty()).ok_or_else(|| malformed(name))
}

pub(super) fn malformed(field: &str) -> Rejection {
    Rejection::Malformed { field: field.into() }
}

/// Whether a script's answer is a page instead: markup, or PHP's own report of its death.
pub(super) fn is_error_page(body: &[u8]) -> bool {
    const DEATH: &[u8] = b"Fatal error";
    inner(body).starts_with(b"<") || memchr::memmem::find(body, DEATH).is_some()
}

/// A script's answer without blanks around it and a byte order mark before it.
pub(super) fn inner(body: &[u8]) -> &[u8] {
    let body = body.trim_ascii();
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::model::Timestamp;

    fn request(method: Method, media_type: &'static str, body: &'static str) -> RawRequest {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(media_type));
        RawRequest {
            method,
            path: "/".into(),
            query: None,
            headers,
            body: Bytes::from_static(body.as_bytes()),
            source: None,
            received_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_outside_is_checked_in_one_order() {
        let word = |method, media_type, body| {
            check_post(&request(method, media_type, body), |found| found == JSON, 4).map_err(|found| found.word())
        };
        assert_eq!(word(Method::POST, "application/json; charset=utf-8", "{  }"), Ok(()));
        assert_eq!(word(Method::POST, "Application/JSON", "{}"), Ok(()));
        assert_eq!(word(Method::PUT, "text/plain", ""), Err("method"));
        assert_eq!(word(Method::POST, "text/plain", ""), Err("media_type"));
        assert_eq!(word(Method::POST, "application/jsonx", "{}"), Err("media_type"));
        assert_eq!(word(Method::POST, "application/json", ""), Err("empty"));
        assert_eq!(word(Method::POST, "application/json", "12345"), Err("too_large"));
    }

    #[test]
    fn a_header_is_there_once() {
        let mut request = request(Method::POST, JSON, "{}");
        let of = |request: &RawRequest| header(request, "x-sign").map(str::to_owned).map_err(|found| found.word());
        assert_eq!(of(&request), Err("missing"));
        request.headers.insert("x-sign", HeaderValue::from_static("a"));
        assert_eq!(of(&request), Ok("a".to_owned()));
        request.headers.append("x-sign", HeaderValue::from_static("a"));
        assert_eq!(of(&request), Err("duplicate_field"));
        for bad in ["".as_bytes(), "书".as_bytes()] {
            request.headers.insert("x-sign", HeaderValue::from_bytes(bad).unwrap());
            assert_eq!(of(&request), Err("malformed"));
        }
    }

    #[test]
    fn a_form_is_split_within_its_limits() {
        let word = |body: &'static str| {
            let limits = Limits { bytes_max: 8, pairs_max: 2 };
            split(body.as_bytes(), limits, "query").map(|form| form.pairs().len()).map_err(|found| found.to_string())
        };
        assert_eq!(word("a=1&b=2"), Ok(2));
        assert_eq!(word("a=1&b=2&c"), Err(Rejection::TooLarge { limit: 8 }.to_string()));
        assert_eq!(word("a&b&c"), Err(Rejection::TooManyFields { limit: 2 }.to_string()));
        assert_eq!(word("a=%"), Err(malformed("query").to_string()));
    }

    #[test]
    fn error_pages_are_seen() {
        for page in ["<br />", " \n<html>", "\u{feff}<b>", "PHP Fatal error: x", "ok Fatal error"] {
            assert!(is_error_page(page.as_bytes()), "{page}");
        }
        for answer in ["", "ok", "{}", "RECV_ORD_ID_1"] {
            assert!(!is_error_page(answer.as_bytes()), "{answer}");
        }
    }
}
