//! The answer to a buyer's application for a refund (`pre_create_refund`; Douyin Open Platform, general trade system,
//! refund application callback; public programs where that page names no bytes).
//!
//! The platform waits for two things of the merchant: a refund number of its own, and the page of the mini program that
//! shows the refund. Without them it repeats for three days, and the refund stands still meanwhile. The answer leaves
//! before any application of the merchant has seen the message, so the number must not depend on one: it is the
//! platform's own number of the refund, which no other refund of the mini program has and every repetition names again.

use serde_json::json;

use super::facts::REFUND_ID;
use super::{Envelope, JSON};
use crate::json::Json;
use crate::model::{RawRequest, Reply};
use crate::settings::{Settings, SettingsError};

/// What such a message is called.
pub(super) const KIND: &str = "pre_create_refund";

/// The setting with the page.
pub(super) const PAGE: &str = "refund_page";

/// Longest path of a page.
const PAGE_CHARS_MAX: usize = 256;

/// Longest refund number (Douyin Open Platform, "refund").
const NUMBER_CHARS_MAX: usize = 64;

/// The page that the merchant configured; none when there is none.
pub(super) fn page(settings: &Settings) -> Result<Option<String>, SettingsError> {
    let Some(text) = settings.text(PAGE).map(str::trim) else { return Ok(None) };
    let is_path = text.len() <= PAGE_CHARS_MAX
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.'));
    if is_path {
        Ok(Some(text.to_owned()))
    } else {
        Err(SettingsError::new(PAGE, "malformed").because(crate::channel::quote(text)))
    }
}

/// The answer to an application; none for any other message, and where it names no refund.
pub(super) fn answer(page: &str, to: &RawRequest) -> Option<Reply> {
    let envelope = Envelope::read(&to.body).ok()?;
    if envelope.kind != KIND {
        return None;
    }
    let message = Json::parse(envelope.message.as_bytes()).ok()?;
    let number = |name| message.get(name).and_then(Json::text).filter(|text| is_number(text));
    // A refund that the merchant began has its number already.
    let number = number("out_refund_no").or_else(|| number(REFUND_ID))?;
    let body = json!({
        "err_no": 0,
        "err_tips": "success",
        "data": {
            "out_refund_no": number,
            "order_entry_schema": { "path": page, "params": json!({ "out_refund_no": number }).to_string() },
        },
    });
    Some(Reply { status: 200, content_type: Some(JSON), body: body.to_string().into() })
}

fn is_number(text: &str) -> bool {
    (1..=NUMBER_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
