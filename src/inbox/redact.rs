//! What is never stored: credentials that travel in headers and query values.
//!
//! A platform's signature is no credential: it proves one message and opens nothing. Nor is what it covers: a
//! platform's field may be named `token`, and without its value an application could never check the signature. A
//! request from which something was taken out says so; if the channel's proof needed it, it cannot be verified again.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method};
use tollbell_channels::model::RawRequest;

/// Stands where a credential was.
pub const MARK: &str = "[removed]";

/// Headers whose whole value is a credential.
const HEADERS: &[&str] = &["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// Endings of headers that hold a credential: `x-api-key`, `x-access-token`, `x-webhook-secret`.
const HEADER_ENDINGS: &[&str] = &["api-key", "apikey", "-token", "-secret", "-password"];
/// Names of query values that are credentials.
const QUERY_NAMES: &[&str] = &["key", "token", "secret", "password", "passwd", "pwd", "apikey", "auth"];
/// Endings of such names behind a `_` or `-`: `access_token`, `api_key`, `client_secret`.
const QUERY_ENDINGS: &[&str] =
    &["token", "secret", "password", "api_key", "api-key", "apikey", "access_key", "auth_key"];

/// Whether a header's value is a credential.
pub fn is_secret_header(name: &str) -> bool {
    HEADERS.contains(&name) || HEADER_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Takes the credentials out of headers; says whether there were any.
pub fn redact_headers(headers: &mut HeaderMap) -> bool {
    let mut found = false;
    for (name, value) in headers.iter_mut() {
        if is_secret_header(name.as_str()) {
            *value = HeaderValue::from_static(MARK);
            found = true;
        }
    }
    found
}

/// The query without credentials; unchanged when it holds none. Pairs of `signed`, a query too, are none when they stand
/// there as they are written here.
pub fn redact_query<'q>(query: &'q str, signed: &str) -> Cow<'q, str> {
    let is_secret = |pair: &str| is_secret_pair(pair) && !signed.split('&').any(|signed| signed == pair);
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(pair) => Cow::Owned(format!("{name}={MARK}")),
        _ => Cow::Borrowed(pair),
    });
    Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
}

fn is_secret_pair(pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else { return false };
    if value.is_empty() {
        return false;
    }
    // `%74oken` is `token` to the application that reads it.
    let name = percent_decoded(name).to_ascii_lowercase();
    QUERY_NAMES.contains(&name.as_str())
        || QUERY_ENDINGS.iter().any(|ending| {
            name.strip_suffix(ending).is_some_and(|before| before.is_empty() || before.ends_with(['_', '-', '.']))
        })
}

fn percent_decoded(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Takes the credentials out of a request that is about to be stored; says whether there were any. `signed_query` is what
/// the channel knows as signed of a proven request's query.
pub fn redact(request: &mut RawRequest, signed_query: Option<&str>) -> bool {
    let mut found = redact_headers(&mut request.headers);
    if let Some(query) = &request.query
        && let Cow::Owned(without) = redact_query(query, signed_query.unwrap_or_default())
    {
        request.query = Some(without);
        found = true;
    }
    found
}

/// A method as it may be stored: platforms use short ones.
pub fn bounded_method(method: &Method) -> Method {
    if method.as_str().len() <= METHOD_BYTES_MAX { method.clone() } else { Method::POST }
}

/// Longest method of HTTP's registry has 17 bytes.
const METHOD_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_queries_are_replaced_and_signatures_stay() {
        let table = [
            ("a=1&token=abc&b=2", "a=1&token=[removed]&b=2"),
            ("key=k", "key=[removed]"),
            ("access_token=x&sign=abc&sign_type=RSA2", "access_token=[removed]&sign=abc&sign_type=RSA2"),
            ("%74oken=x", "%74oken=[removed]"),
            ("API_KEY=x&client-secret=y", "API_KEY=[removed]&client-secret=[removed]"),
            ("token=a=b&token=c", "token=[removed]&token=[removed]"),
            ("sign=a&signature=b&monkey=c&tokenise=d", "sign=a&signature=b&monkey=c&tokenise=d"),
            ("token", "token"),
            ("token=", "token="),
            ("", ""),
        ];
        for (query, expected) in table {
            assert_eq!(redact_query(query, ""), expected, "{query}");
        }
    }

    #[test]
    fn what_a_platform_signed_is_no_credential() {
        let signed = "money=1&token=abc&%6Bey=x&sign=s";
        for (query, expected) in [
            (signed, signed),
            ("auth=a&money=1&token=abc&sign=s", "auth=[removed]&money=1&token=abc&sign=s"),
            // Only as it was signed: another value or spelling is somebody else's.
            ("token=abcd&token=abc&key=x&%6bey=x", "token=[removed]&token=abc&key=[removed]&%6bey=[removed]"),
            ("Token=abc&token=ab", "Token=[removed]&token=[removed]"),
        ] {
            assert_eq!(redact_query(query, signed), expected, "{query}");
        }
    }

    #[test]
    fn credentials_in_headers_are_replaced_each_time_they_come() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer abc"),
            ("cookie", "a=b"),
            ("cookie", "c=d"),
            ("x-api-key", "k"),
            ("x-acme-token", "k"),
            ("x-client-secret", "k"),
            ("wechatpay-signature", "sig"),
            ("acme-signature", "v1=x"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert!(redact_headers(&mut headers));
        assert_eq!(headers["authorization"], MARK);
        assert!(headers.get_all("cookie").iter().all(|value| value == MARK));
        assert_eq!(headers.get_all("cookie").iter().count(), 2);
        for name in ["x-api-key", "x-acme-token", "x-client-secret"] {
            assert_eq!(headers[name], MARK, "{name}");
        }
        assert_eq!(headers["wechatpay-signature"], "sig");
        assert_eq!(headers["acme-signature"], "v1=x");
        headers.clear();
        assert!(!redact_headers(&mut headers));
    }
}
