//! The raw request, with the exact bytes.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::Timestamp;

/// A callback as it arrived. The body is the exact bytes; nothing was decoded, trimmed or reordered.
#[derive(Clone)]
pub struct RawRequest {
    /// The method.
    pub method: Method,
    /// Path as received, still percent-encoded.
    pub path: String,
    /// Query as received, without the `?`; `None` when there was no `?`.
    pub query: Option<String>,
    /// Headers; a name that came twice is there twice.
    pub headers: HeaderMap,
    /// The exact body.
    pub body: Bytes,
    /// Who sent it: the socket's peer, or what a trusted proxy says.
    pub source: Option<IpAddr>,
    /// When the last byte of the body arrived.
    pub received_at: Timestamp,
}

impl RawRequest {
    /// A header's value when it is there exactly once and is visible ASCII.
    pub fn single_header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// The media type without parameters, lower case; empty when absent or unreadable. Parameters are
    /// ignored on purpose: a platform sends `application/x-www-form-urlencoded; text/html; charset=utf-8`.
    pub fn media_type(&self) -> String {
        self.single_header("content-type")
            .map(|value| value.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for RawRequest {
    /// Says what came, never the bytes: bodies and headers hold signatures and buyer data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("source", &self.source)
            .field("received_at", &self.received_at)
            .finish_non_exhaustive()
    }
}
