//! What the other sides of Douyin's generations share.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use zeroize::Zeroizing;

use super::JSON;
use crate::model::{Environment, RawRequest, Timestamp};
use crate::platforms::signed_body::Headers;
use crate::settings::{SettingValue, Settings};
use crate::signature::key::hex;
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Story, WrittenSetting};

/// Settings as a channel gets them.
pub(in crate::platforms) fn resolved(written: Vec<WrittenSetting>) -> Settings {
    written.into_iter().fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
}

/// A short text.
pub(in crate::platforms) fn text(name: &'static str, text: &str) -> WrittenSetting {
    WrittenSetting { name, value: SettingValue::Text(text.to_owned()), file_name: None }
}

/// A list of one text.
pub(in crate::platforms) fn texts(name: &'static str, text: &str) -> WrittenSetting {
    WrittenSetting { name, value: SettingValue::Texts(vec![text.to_owned()]), file_name: None }
}

/// Key material in a file.
pub(in crate::platforms) fn key(name: &'static str, bytes: &[u8], file: &'static str) -> WrittenSetting {
    WrittenSetting { name, value: SettingValue::Key(Zeroizing::new(bytes.to_vec())), file_name: Some(file) }
}

/// A number from an order number, so that one order has one payment.
pub(in crate::platforms) fn number(order_no: &str) -> u64 {
    digest(&SHA256, order_no.as_bytes()).as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Digits or letters that no two stories share.
pub(in crate::platforms) fn name(story: &Story) -> String {
    let Story { kind, order_no, amount_minor, refunded_minor, refund_no, serial, at, note, .. } = story;
    let text = format!("{kind}\n{order_no}\n{amount_minor}\n{refunded_minor}\n{refund_no:?}\n{serial}\n{at}\n{note}");
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// The merchant's number of the story's refund.
pub(in crate::platforms) fn refund_no(story: &Story) -> String {
    story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no))
}

/// The platform's key pair.
pub(in crate::platforms) fn fresh_pair() -> Arc<RsaKeyPair> {
    Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits"))
}

/// A key pair in PKCS #8.
pub(in crate::platforms) fn pkcs8(pair: &RsaKeyPair) -> Zeroizing<Vec<u8>> {
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("a generated key can be written");
    Zeroizing::new(der.as_ref().to_vec())
}

/// The other way round.
pub(in crate::platforms) fn import(exported: &[u8]) -> Result<Arc<RsaKeyPair>, String> {
    RsaKeyPair::from_pkcs8(exported).map(Arc::new).map_err(|_| "not an RSA private key in PKCS #8".to_owned())
}

/// A request with these headers beside the usual ones.
pub(in crate::platforms) fn request(path: &str, at: Timestamp, headers: &[(&str, &str)], body: Vec<u8>) -> RawRequest {
    let mut map = HeaderMap::new();
    map.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    map.insert(USER_AGENT, HeaderValue::from_static("Go-http-client/1.1"));
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        map.insert(name, HeaderValue::from_str(value).expect("a short ASCII text"));
    }
    RawRequest {
        method: Method::POST,
        path: path.to_owned(),
        query: None,
        headers: map,
        body: Bytes::from(body),
        source: None,
        received_at: at,
    }
}

/// A request signed by the three lines, written here a second time so that the tests compare two readings of them.
pub(in crate::platforms) fn signed_request(
    pair: &RsaKeyPair,
    path: &str,
    at: Timestamp,
    names: &Headers,
    (nonce, more): (&str, &[(&str, &str)]),
    body: Vec<u8>,
) -> RawRequest {
    let timestamp = at.as_second().to_string();
    let mut lines = format!("{timestamp}\n{nonce}\n").into_bytes();
    lines.extend_from_slice(&body);
    lines.push(b'\n');
    let signature = STANDARD.encode(sign_sha256(pair, &lines).expect("a generated key signs"));
    let mut headers = vec![(names.timestamp, timestamp.as_str()), (names.nonce, nonce), (names.signature, &signature)];
    headers.extend_from_slice(more);
    request(path, at, &headers, body)
}
