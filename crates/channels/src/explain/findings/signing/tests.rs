//! What the tests of these files share.

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::model::{RawRequest, Timestamp};

/// A request with this body and nothing else.
pub(super) fn request(body: &str) -> RawRequest {
    RawRequest {
        method: Method::POST,
        path: "/notify".to_owned(),
        query: None,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}
