//! The answer as one JSON object, with names that stay.

use serde_json::{Map, Value, json};
use tollbell_channels::explain::{Found, Outcome, Signed};
use tollbell_channels::model::Proof;

use super::chosen::{Chosen, Judged, TimeFrom};
use super::difference;
use super::subject::{Origin, Reading};
use super::told::is_pair;
use super::{Answer, Whole};
use crate::capture::{Fidelity, Form, Note};
use crate::cli::listing::pick;
use crate::inbox::NotificationId;
use crate::messages::Lang;

pub(super) fn of(whole: &Whole<'_>, lang: Lang) -> Value {
    let judged = match &whole.answer {
        Answer::Judged(judged) => Some(&**judged),
        _ => None,
    };
    let reading =
        judged.map_or_else(|| whole.subject.readings.first(), |judged| whole.subject.readings.get(judged.reading));
    let channel = judged.map(|judged| whole.built[judged.channel].config);
    let diagnosis = judged.map(|judged| &judged.diagnosis);
    let rejection = diagnosis.and_then(|diagnosis| match &diagnosis.outcome {
        Outcome::Refused(rejection) => Some(json!(rejection)),
        _ => None,
    });
    let serial = diagnosis.and_then(|diagnosis| match &diagnosis.outcome {
        Outcome::NeedsKey { serial } => Some(serial),
        _ => None,
    });
    let findings: Vec<Value> = whole.findings().map(|found| finding(found, lang)).collect();
    json!({
        "subject": subject(whole),
        "outcome": outcome(whole),
        "is_explained": whole.is_explained(),
        "rejection": rejection,
        "serial": serial,
        "channel": channel.map(|channel| &*channel.id),
        "platform": channel.map(|channel| channel.platform.kind),
        "chosen_by": judged.map(|judged| chosen_word(judged.chosen)),
        "rivals": judged.map(|judged| ids(whole, &judged.rivals)).unwrap_or_default(),
        "at": judged.map(|judged| judged.at.to_string()),
        "at_from": judged.map(|judged| time_word(judged.time_from)),
        "proof": judged.and_then(proof),
        "findings": findings,
        "is_pair": diagnosis.is_some_and(|diagnosis| is_pair(&diagnosis.findings)),
        "notification": notification(whole).map(|id| id.to_string()),
        "signed": diagnosis.map(|diagnosis| diagnosis.signed.iter().map(signed).collect::<Vec<_>>()).unwrap_or_default(),
        "matched": diagnosis.map(|diagnosis| diagnosis.matched.iter().map(signed).collect::<Vec<_>>()).unwrap_or_default(),
        "difference": diagnosis.and_then(difference::of).map(|difference| json!({
            "of": difference.part,
            "before": difference.before,
            "came": difference.came,
            "signed": difference.signed,
            "behind": difference.behind,
        })),
        "copy": reading.map(copy),
        "left_out": judged.and_then(|judged| judged.left_out).map(|[before, behind]| json!({ "before": before, "behind": behind })),
        "further_requests": judged.map_or(0, |judged| judged.further),
        "is_redacted": whole.subject.is_redacted(),
        "effort": diagnosis.map(|diagnosis| json!({
            "verifications": diagnosis.effort.verifications,
            "operations": diagnosis.effort.operations,
            "is_bounded": diagnosis.effort.is_bounded,
        })),
    })
}

fn subject(whole: &Whole<'_>) -> Value {
    match &whole.subject.origin {
        Origin::Rejection(record) => json!({
            "kind": "rejection",
            "id": record.id.to_string(),
            "received_at": record.received_at.to_string(),
            "channel": record.channel,
            "rejection": record.rejection,
        }),
        Origin::Notification(record) => json!({
            "kind": "notification",
            "id": record.id.to_string(),
            "received_at": record.received_at.to_string(),
            "channel": record.channel,
            "proof": record.proof,
        }),
        Origin::Copy(name) => json!({ "kind": "copy", "name": name }),
    }
}

fn outcome(whole: &Whole<'_>) -> &'static str {
    match &whole.answer {
        Answer::Judged(judged) if judged.is_challenge => "challenge",
        Answer::Judged(judged) => match judged.diagnosis.outcome {
            Outcome::Genuine => "genuine",
            Outcome::Hint => "hint",
            Outcome::NeedsKey { .. } => "needs_key",
            Outcome::Refused(_) => "refused",
        },
        Answer::NotJudged => "by_answer",
        Answer::NoBody => "no_body",
        Answer::Unrecognised => "unrecognised",
    }
}

fn notification(whole: &Whole<'_>) -> Option<NotificationId> {
    match &whole.subject.origin {
        Origin::Notification(record) => Some(record.id),
        Origin::Rejection(record) => record.notification.or(whole.history.notification),
        Origin::Copy(_) => whole.history.notification,
    }
}

fn finding(found: &Found, lang: Lang) -> Value {
    let in_lang = |text| pick(text, lang);
    let facts: Map<String, Value> =
        found.facts.iter().map(|(name, value)| ((*name).to_owned(), Value::String(value.clone()))).collect();
    json!({
        "id": found.finding.id,
        "evidence": found.proof.as_str(),
        "title": found.title(in_lang),
        "cause": found.cause(in_lang),
        "cure": found.cure(in_lang),
        "facts": facts,
    })
}

fn signed(signed: &Signed) -> Value {
    json!({
        "algorithm": signed.algorithm,
        "key": signed.key,
        "variant": signed.variant,
        "first": signed.first,
        "text": signed.text,
        "bytes": signed.bytes,
        "held": signed.held,
    })
}

fn proof(judged: &Judged) -> Option<Value> {
    let genuine = judged.genuine.as_ref()?;
    match &genuine.proof {
        Proof::Signature { key, variant } => Some(json!({ "key": key, "variant": variant })),
        Proof::PlatformApi { .. } => None,
    }
}

fn ids<'w>(whole: &'w Whole<'_>, places: &[usize]) -> Vec<&'w str> {
    places.iter().map(|place| &*whole.built[*place].config.id).collect()
}

fn copy(reading: &Reading) -> Value {
    let notes: Vec<Value> = reading.notes.iter().map(note).collect();
    json!({
        "form": reading.form.map_or("received", form_word),
        "has_head": reading.kept.has_head,
        "has_bytes": reading.kept.has_bytes,
        "is_fields": reading.fidelity == Fidelity::Fields,
        "notes": notes,
    })
}

fn form_word(form: Form) -> &'static str {
    match form {
        Form::Http => "http",
        Form::Curl => "curl",
        Form::Har => "har",
        Form::Event => "event",
        Form::PrintR => "print_r",
        Form::VarExport => "var_export",
        Form::VarDump => "var_dump",
        Form::JsonFields => "json_fields",
        Form::Body => "body",
    }
}

fn note(note: &Note) -> Value {
    match note {
        Note::Length { named, found } => json!({ "note": "length", "named": named, "found": found }),
        Note::CutChunks => json!({ "note": "cut_chunks" }),
        Note::BareLineFeeds => json!({ "note": "bare_line_feeds" }),
        Note::NoHeaders => json!({ "note": "no_headers" }),
        Note::Replaced => json!({ "note": "replaced" }),
        Note::Utf16 => json!({ "note": "utf16" }),
        Note::Unread { count } => json!({ "note": "unread", "count": count }),
        Note::OpenEnd { field } => json!({ "note": "open_end", "field": field }),
    }
}

fn chosen_word(chosen: Chosen) -> &'static str {
    match chosen {
        Chosen::Asked => "option",
        Chosen::Recorded => "record",
        Chosen::Named => "path",
        Chosen::Recognised => "recognition",
        Chosen::Tried => "trial",
    }
}

fn time_word(from: TimeFrom) -> &'static str {
    match from {
        TimeFrom::Asked => "option",
        TimeFrom::Record => "record",
        TimeFrom::Now => "now",
        TimeFrom::Message => "message",
    }
}
