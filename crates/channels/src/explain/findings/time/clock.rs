//! A message that is genuine at another time.

use http::header::DATE;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::{LIMITS, MILLIS_DIGITS, SECONDS_DIGITS, digits, is_plausible};
use crate::channel::Rejection;
use crate::explain::{Case, Facts, Finding, Otherwise, Probe, Undo};
use crate::form::Form;
use crate::json::Json;
use crate::model::{RawRequest, Timestamp};
use crate::settings::Text;

/// The zone of times that name none: China's platforms write theirs so.
const BEIJING: Offset = Offset::constant(8);

/// Digits of a time without anything between them, `yyyyMMddHHmmss`.
const COMPACT_DIGITS: usize = 14;

/// Most times of a message that are tried.
const TIMES_MAX: usize = 6;

/// Seconds from which on a message's time is another than ours. Less is a delivery.
const GAP_MIN: i64 = 60;

/// Up to how many seconds a message that is late speaks for the clock rather than for a way that took long.
const CLOCK_MAX: i64 = 3600;

/// Zones differ by whole half hours, up to so many seconds.
const ZONE_STEP: i64 = 1800;
const ZONE_MAX: i64 = 14 * 3600;

/// How near to a whole step a gap lies that a zone explains, in seconds.
const ZONE_SLACK: i64 = 60;

/// Genuine at another time.
pub(in crate::explain::findings) static CLOCK_WRONG: Finding = Finding {
    id: "clock_wrong",
    title: Text {
        en: "genuine, but {time}, {signed_at}, lies {seconds} s from the time of the check, {checked_at}",
        zh: "签名有效，但{time_zh} {signed_at} 与验签时间 {checked_at} 相差 {seconds} 秒",
    },
    cause: Text {
        en: "A message from our future says that the clock here is behind, or the sender's is ahead. One that is late by \
             minutes says that the clock here is ahead, or the way took long; late by hours, that an old message was sent \
             again, by a queue, a script or a person. Where the gap is a whole number of half hours, a clock was set to \
             local time as if it were UTC. And what was in time when it was received may only be checked late.",
        zh: "通知的时间在本机的“未来”，说明本机时钟偏慢，或发送方时钟偏快；晚了几分钟，说明本机时钟偏快，或途中耗时过长；晚了数小时，\
             多半是队列、脚本或人工重新发送了旧消息；相差整数个半小时，则是时钟把本地时间当成了 UTC。也可能收到时并未过期，\
             只是现在才检查。",
    },
    cure: Text {
        en: "Run NTP (chrony, systemd-timesyncd) and compare `date -u` with another machine. Let nothing store messages on their \
             way here: the platform repeats by itself, with a fresh signature. An old capture is explained with the time of its \
             receipt.",
        zh: "启用 NTP（chrony、systemd-timesyncd），并用 `date -u` 与其他机器核对。通知不要在途中排队存放：平台会自行重发并重新签名。\
             分析旧的抓取内容时，请指定其收到的时间。",
    },
    probes: &[Probe::Undo(at_other_times)],
};

fn at_other_times(case: &Case<'_>) -> Vec<Undo> {
    let (now, received_at) = (case.now, case.request.received_at);
    match case.rejection() {
        Some(Rejection::Stale { seconds }) => {
            let Ok(signed_at) = now.checked_sub(SignedDuration::from_secs(*seconds)) else { return Vec::new() };
            if !is_plausible(signed_at) {
                return Vec::new();
            }
            let mut undone = Vec::new();
            if received_at != now && is_plausible(received_at) {
                let facts = facts(Whose::Message, signed_at, now, "replay");
                undone.push(Undo::traced(Otherwise::Time(received_at), facts));
            }
            let facts = facts(Whose::Message, signed_at, now, likelier(case, signed_at));
            undone.push(Undo::traced(Otherwise::Time(signed_at), facts));
            undone
        }
        // A key or a certificate may not be valid yet, where the clock is far behind.
        Some(Rejection::UnknownKey { .. } | Rejection::Signature | Rejection::Malformed { .. }) => {
            let mut times = times(&case.request, case.kept.has_head);
            times.retain(|at| at.as_second() - now.as_second() > GAP_MIN);
            times.sort_unstable();
            times.dedup();
            let undo =
                |at: &Timestamp| Undo::traced(Otherwise::Time(*at), facts(Whose::Anybody, *at, now, "clock_behind"));
            times.iter().take(TIMES_MAX).map(undo).collect()
        }
        _ => Vec::new(),
    }
}

/// Whose time it is. The one that a message is refused for is its own; any other may be another's, such as the end of an order.
#[derive(Clone, Copy)]
enum Whose {
    Message,
    Anybody,
}

fn facts(whose: Whose, signed_at: Timestamp, checked_at: Timestamp, likelier: &str) -> Facts {
    let seconds = checked_at.as_second().saturating_sub(signed_at.as_second());
    let direction = if seconds < 0 { "early" } else { "late" };
    let (time, time_zh) = match whose {
        Whose::Message => ("its own time", "通知自带的时间"),
        Whose::Anybody => ("a time in the message", "报文中的时间"),
    };
    vec![
        ("time", time.to_owned()),
        ("time_zh", time_zh.to_owned()),
        ("seconds", seconds.unsigned_abs().to_string()),
        ("direction", direction.to_owned()),
        ("signed_at", to_the_second(signed_at)),
        ("checked_at", to_the_second(checked_at)),
        ("likelier", likelier.to_owned()),
    ]
}

fn to_the_second(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// What explains the gap best.
fn likelier(case: &Case<'_>, signed_at: Timestamp) -> &'static str {
    let seconds = case.now.as_second().saturating_sub(signed_at.as_second());
    let off_step = seconds.abs() % ZONE_STEP;
    let is_on_step = off_step <= ZONE_SLACK || off_step >= ZONE_STEP - ZONE_SLACK;
    if is_on_step && (ZONE_STEP - ZONE_SLACK..=ZONE_MAX + ZONE_SLACK).contains(&seconds.abs()) {
        return "time_zone";
    }
    if seconds < 0 {
        return "clock_behind";
    }
    // The last hop that sent it on may have told its own time.
    let sent_at = case.request.single_header(DATE.as_str()).filter(|_| case.kept.has_head).and_then(read_date);
    match sent_at {
        Some(sent_at) if (case.now.as_second() - sent_at.as_second()).abs() <= GAP_MIN => "delivery",
        Some(_) => "clock_ahead",
        None if seconds <= CLOCK_MAX => "clock_ahead",
        None => "delivery",
    }
}

/// A time as the header `Date` has it: `Sat, 21 Nov 2026 04:00:00 GMT`.
fn read_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp())
}

/// Every time that a message tells: digits, RFC 3339, and `yyyy-MM-dd HH:mm:ss` or `yyyyMMddHHmmss` of
/// Beijing.
fn times(request: &RawRequest, has_head: bool) -> Vec<Timestamp> {
    let mut found: Vec<Timestamp> = Vec::new();
    for count in [SECONDS_DIGITS, MILLIS_DIGITS] {
        found.extend(digits(request, count).iter().filter_map(|digits| super::read(&digits.text)));
    }
    let mut texts: Vec<String> = Vec::new();
    if has_head {
        texts.extend(request.headers.values().filter_map(|value| value.to_str().ok()).map(str::to_owned));
    }
    if let Ok(json) = Json::parse(&request.body) {
        let mut fields = Vec::new();
        json.flatten("", &mut fields);
        texts.extend(fields.into_iter().map(|(_, value)| value));
    } else if let Ok(form) = Form::parse(&request.body, LIMITS) {
        texts.extend(form.pairs().iter().map(|pair| String::from_utf8_lossy(&pair.value).into_owned()));
    }
    found.extend(texts.iter().filter_map(|text| read_text(text)));
    found.retain(|at| is_plausible(*at));
    found
}

fn read_text(text: &str) -> Option<Timestamp> {
    /// Longest time that is written as a text.
    const CHARS_MAX: usize = 40;
    if text.len() > CHARS_MAX {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local = if text.len() == COMPACT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        DateTime::strptime("%Y%m%d%H%M%S", text).ok()?
    } else {
        // A date alone is no time.
        Some(text).filter(|text| text.contains(':'))?.parse().ok()?
    };
    BEIJING.to_timestamp(local).ok()
}
