//! What the platform is told, and what it would have taken from the application.

use bytes::Bytes;

use crate::channel::{Answer, Failure};
use crate::model::{AckMatch, AppReply, Reply};
use crate::platforms::failure::says_failure;
use crate::settings::SettingsError;
use crate::settings::tree::{Node, Tree};

/// The status that tells a platform to switch the notify URL off.
const GONE: u16 = 410;

/// Longest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 4096;

/// Media types of answers.
const MEDIA_TYPES: &[(&str, &str)] = &[
    ("text/plain", "text/plain"),
    ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ("application/json", "application/json"),
    ("application/xml", "application/xml"),
    ("text/xml", "text/xml"),
    ("text/html", "text/html"),
];

/// The answers of a channel.
#[derive(Clone, Debug)]
pub(super) struct Replies {
    ok: Reply,
    refused: Reply,
    busy: Reply,
    not_yet: Reply,
}

impl Replies {
    /// Reads `reply`; without it, plain statuses.
    pub(super) fn read(tree: Option<&Tree>) -> Result<Self, SettingsError> {
        let plain = |status| Reply { status, content_type: None, body: Bytes::new() };
        let usual = Self { ok: plain(200), refused: plain(400), busy: plain(503), not_yet: plain(503) };
        let Some(tree) = tree else { return Ok(usual) };
        let node = Node::new("reply", tree);
        let keys = node.table(&["ok", "refused", "busy", "not_yet"])?;
        let ok = match keys.get("ok") {
            Some(node) => reply(node, 200, 200..=299)?,
            None => usual.ok,
        };
        let failure = |key: &str, usual: Reply| {
            let Some(node) = keys.get(key) else { return Ok(usual) };
            let reply = reply(node, usual.status, 400..=599)?;
            if says(&reply, &ok) {
                return Err(node.error("reads_as_success"));
            }
            Ok(reply)
        };
        let refused = failure("refused", usual.refused)?;
        let busy = failure("busy", usual.busy)?;
        let not_yet = failure("not_yet", usual.not_yet)?;
        Ok(Self { ok, refused, busy, not_yet })
    }

    /// The bytes of an answer.
    pub(super) fn answer(&self, answer: Answer) -> Reply {
        match answer {
            Answer::Success => self.ok.clone(),
            Answer::Failure(Failure::Refused) => self.refused.clone(),
            Answer::Failure(Failure::Busy) => self.busy.clone(),
            Answer::Failure(Failure::NotYet) => self.not_yet.clone(),
        }
    }

    /// The application confirms by a status of success, and by the body where there is one. A page that PHP
    /// sent with status 200 confirms nothing.
    pub(super) fn is_ack(&self, reply: &AppReply<'_>) -> AckMatch {
        if !(200..300).contains(&reply.status) {
            return AckMatch::No;
        }
        if !self.ok.body.is_empty() {
            return AckMatch::of_word(reply.body, &self.ok.body);
        }
        if says_failure(reply.body) { AckMatch::No } else { AckMatch::Exact }
    }
}

/// Whether an answer holds the word of success, in either case.
fn says(reply: &Reply, ok: &Reply) -> bool {
    let lower = |bytes: &[u8]| bytes.to_ascii_lowercase();
    let (own, word) = (lower(&reply.body), lower(ok.body.trim_ascii()));
    !word.is_empty() && own.windows(word.len()).any(|window| window == word)
}

fn reply(node: &Node<'_>, usual: u16, statuses: std::ops::RangeInclusive<u16>) -> Result<Reply, SettingsError> {
    let keys = node.table(&["status", "content_type", "body"])?;
    let status = match keys.get("status") {
        Some(node) => {
            let status = u16::try_from(node.number()?).ok();
            let fits = |status: &u16| statuses.contains(status) && *status != GONE;
            status.filter(fits).ok_or_else(|| {
                node.error("bad_status").because(format!("{} to {}", statuses.start(), statuses.end()))
            })?
        }
        None => usual,
    };
    let body = keys.get("body").map(Node::raw_text).transpose()?.unwrap_or_default();
    if body.len() > BODY_BYTES_MAX {
        return Err(keys.required("body")?.error("out_of_range").because(format!("> {BODY_BYTES_MAX}")));
    }
    // These statuses have no body (RFC 9110), so a word in it would never arrive.
    if matches!(status, 204 | 205) && !body.is_empty() {
        return Err(keys.required("body")?.error("relation").because("status"));
    }
    if body.is_empty() {
        return Ok(Reply { status, content_type: None, body: Bytes::new() });
    }
    let content_type = keys.get("content_type").map(|node| node.word(MEDIA_TYPES)).transpose()?.unwrap_or("text/plain");
    Ok(Reply { status, content_type: Some(content_type), body: Bytes::copy_from_slice(body.as_bytes()) })
}
