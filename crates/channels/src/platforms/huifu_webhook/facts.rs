//! What a proven webhook asserts: the facts of [`super::huifu::facts`], chosen by the event's word.

use super::huifu::facts::{numbered, open, payment, refund, time};
use super::settings::Config;
use crate::json::Json;
use crate::model::{Amount, EventKind, Fact, Notification};
use crate::platforms::accounts::{Notice, parse};

/// Where the event's word stands: in real webhooks, and in the platform's published examples.
const WORDS: [&str; 2] = ["event_define_no", "event_type"];

/// How the words of payments begin, beside `trans.pay`: `pay.wx_lite`, `pay.ali_qr`, …
const PAYMENTS: &str = "pay.";

/// Events that are known to move no money of an order (Huifu 斗拱, table of webhook events), and how families of such
/// begin. Another one may have a meaning that we do not know, so it is held.
const NOTICES: &[&str] = &["statement.", "settlement.", "wechat.", "alipay.", "fund.", "mer.", "conf."];

/// What an event without a word is called.
const WEBHOOK: &str = "webhook";

/// Reads a body whose signature was checked.
pub(super) fn read(config: &Config, body: &[u8]) -> Notification {
    let (message, concern) = parse(body, "body");
    let mut notice = open(&message, config.environment, &config.huifu_ids, body);
    if let Some(concern) = concern {
        return notice.unreadable(WEBHOOK, concern);
    }
    notice.settle_account("huifu_id", &config.huifu_ids);
    notice.name_by("event_id");
    let [word, twin] = WORDS.map(|name| notice.get(name));
    if word.is_some() && twin.is_some() && word != twin {
        notice.contradiction(WORDS[1]);
    }
    let word = word.or(twin);
    let sent_at = time(&notice);
    let facts = match word {
        Some("refund.standard") => refund(&mut notice),
        Some("trans.close") => close(&mut notice),
        Some(word) if word == "trans.pay" || word.starts_with(PAYMENTS) => payment(&mut notice),
        Some(word) if NOTICES.iter().any(|family| word.starts_with(family)) => {
            let facts = vec![notice.other()];
            return notice.finish(word, sent_at, facts);
        }
        _ if notice.has(WORDS[0]) => notice.not_understood(WORDS[0]),
        _ => notice.not_understood(WORDS[1]),
    };
    // Without any time an old capture could not be told from a new message.
    if sent_at.is_none() {
        notice.missing("req_date");
    }
    notice.finish(word.unwrap_or(WEBHOOK), sent_at, facts)
}

/// Whether a body names an event.
pub(super) fn is_event(message: &Json) -> bool {
    let Json::Object(members) = message else { return false };
    members.iter().any(|(name, value)| WORDS.contains(&name.as_str()) && matches!(value, Json::Text(_)))
}

/// An order that was closed. The closing is a request of its own where the order's numbers stand under `org_…`; then
/// its state says whether the order is closed.
fn close(notice: &mut Notice<'_>) -> Vec<Fact> {
    match notice.get("trans_stat") {
        Some("S") => {}
        None if !notice.has("trans_stat") => {}
        // Asked for, or not done: the order is as it was.
        Some("P" | "F") => return vec![notice.other()],
        _ => return notice.not_understood("trans_stat"),
    }
    // An order that was paid cannot have been closed.
    if notice.get("org_trans_stat") == Some("S") {
        notice.contradiction("org_trans_stat");
    }
    let (date, number, theirs) = if notice.has("org_req_seq_id") {
        ("org_req_date", "org_req_seq_id", "org_hf_seq_id")
    } else {
        ("req_date", "req_seq_id", "hf_seq_id")
    };
    let by_theirs = notice.identity(theirs, "");
    let mut names = by_theirs.into_iter().chain(numbered(notice, date, number));
    let Some(identity) = names.next() else { return notice.not_understood(number) };
    let aliases = names.collect();
    let order_no = notice.name(number);
    if order_no.is_none() {
        notice.missing(number);
    }
    // Many closings state no amount, and none is needed: nothing was paid.
    let amount = if notice.has("trans_amt") { notice.yuan("trans_amt") } else { Amount::None };
    vec![Fact {
        aliases,
        order_no,
        platform_no: notice.name(theirs),
        ..notice.fact(EventKind::PaymentClosed, identity, amount)
    }]
}
