//! `keys`: every key that proves something, when it ends, and who still signs with it.

use serde_json::json;

use super::context::{Context, visible};
use super::listing::{key_notes, say_table, short, table};
use super::status::time;
use super::{ExitCode, KeysArgs, OK};
use crate::app;
use crate::clock;
use crate::inbox::KeyUses;
use crate::messages::Message;
use tollbell_channels::channel::KeyNote;
use tollbell_channels::model::Timestamp;
use tollbell_channels::succession::former_prefix;

/// Notifications that are looked at unless said otherwise: some tenths of a second of reading.
pub(super) const NEWEST: usize = 100_000;
/// Most that may be looked at.
const NEWEST_MAX: usize = 10_000_000;

/// A key, and what it was used for.
struct Row {
    channel: String,
    label: String,
    note: Option<KeyNote>,
    count: u64,
    last_at: Option<Timestamp>,
}

impl Row {
    /// Whether proofs call it so: certificates go by their numbers.
    fn is_called(&self, key: &str) -> bool {
        let number = self.note.as_ref().and_then(|note| note.fingerprint.as_deref());
        let is_number = |number: &str| key.strip_prefix(former_prefix(&self.label)) == Some(number);
        self.label == key || number.is_some_and(is_number)
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match &self.note {
            None => "gone",
            Some(note) if note.not_after.is_some_and(|end| end <= now) => "ended",
            Some(_) => "known",
        }
    }
}

pub(super) async fn run(context: &mut Context<'_>, args: &KeysArgs) -> anyhow::Result<ExitCode> {
    if args.newest == 0 || args.newest > NEWEST_MAX {
        return Err(context.usage(&Message::new("config.out_of_range").with("most", NEWEST_MAX)));
    }
    let config = context.config()?;
    if let Some(channel) = &args.channel {
        let ids = config.channels.iter().map(|channel| &*channel.id);
        if !config.channels.iter().any(|known| *known.id == **channel) {
            return Err(context.unknown_word(channel, ids));
        }
    }
    let is_meant = |id: &str| args.channel.as_deref().is_none_or(|channel| channel == id);
    let notes = key_notes(&config).await;
    // One that is not there yet is not made for this.
    let found = if config.inbox.path.exists() {
        let inbox = app::open_inbox(&config)?;
        let found = inbox.key_uses(args.newest).await;
        inbox.close().await;
        found?
    } else {
        KeyUses::default()
    };
    let mut rows: Vec<Row> = Vec::new();
    for (channel, notes) in config.channels.iter().zip(notes).filter(|(channel, _)| is_meant(&channel.id)) {
        for note in notes {
            let label = note.label.clone();
            rows.push(Row { channel: channel.id.to_string(), label, note: Some(note), count: 0, last_at: None });
        }
    }
    for used in &found.uses {
        if !is_meant(&used.channel) {
            continue;
        }
        match rows.iter_mut().find(|row| row.channel == used.channel && row.is_called(&used.key)) {
            Some(row) => {
                row.count += used.count;
                row.last_at = row.last_at.max(Some(used.last_at));
            }
            None => rows.push(Row {
                channel: used.channel.clone(),
                label: used.key.clone(),
                note: None,
                count: used.count,
                last_at: Some(used.last_at),
            }),
        }
    }
    let now = clock::system()();
    if context.is_json {
        for row in &rows {
            let note = row.note.as_ref();
            let value = json!({
                "channel": row.channel,
                "key": row.label,
                "state": row.state(now),
                "algorithm": note.map(|note| &note.algorithm),
                "fingerprint": note.and_then(|note| note.fingerprint.as_ref()),
                "ends_at": note.and_then(|note| note.not_after).map(|at| at.to_string()),
                "notifications": row.count,
                "last_at": row.last_at.map(|at| at.to_string()),
            });
            context.say_json(&value)?;
        }
        let since = found.since.map(|at| at.to_string());
        context.say_json(&json!({ "looked_at": found.looked_at, "since": since }))?;
        return Ok(OK);
    }
    let heads = ["channel", "key", "algorithm", "fingerprint", "ends", "notifications", "last_used"];
    let mut lines = table(context, &heads);
    for row in &rows {
        let note = row.note.as_ref();
        let state = match row.state(now) {
            "known" => String::new(),
            "ended" => format!(" ({})", context.text(&Message::new("keys.ended"))),
            _ => format!(" ({})", context.text(&Message::new("keys.gone"))),
        };
        lines.add_row([
            visible(&row.channel),
            format!("{}{state}", visible(&row.label)),
            note.map_or_else(|| "–".to_owned(), |note| note.algorithm.clone()),
            short(note.and_then(|note| note.fingerprint.as_deref())).to_owned(),
            time(note.and_then(|note| note.not_after)),
            row.count.to_string(),
            time(row.last_at),
        ]);
    }
    if !rows.is_empty() {
        say_table(context, &mut lines)?;
    }
    let message = match found.since {
        Some(_) => Message::new("keys.looked").with("count", found.looked_at).with("since", time(found.since)),
        None => Message::new("keys.none"),
    };
    context.tell(&message)?;
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, fingerprint: Option<&str>) -> Row {
        let note = KeyNote {
            label: label.to_owned(),
            algorithm: "RSA 2048".to_owned(),
            fingerprint: fingerprint.map(str::to_owned),
            not_after: None,
        };
        Row { channel: "pay".to_owned(), label: label.to_owned(), note: Some(note), count: 0, last_at: None }
    }

    #[test]
    fn certificates_go_by_their_numbers_also_when_they_are_of_before() {
        let (now, before) = (row("cert", Some("5E01")), row("former cert", Some("5E01")));
        let older = row("former 2 cert", Some("4D00"));
        assert!(now.is_called("5E01") && now.is_called("cert") && !now.is_called("former 5E01"));
        assert!(before.is_called("former 5E01") && !before.is_called("5E01") && !before.is_called("former 4D00"));
        assert!(older.is_called("former 2 4D00") && !older.is_called("former 4D00"));
        assert!(row("former key", None).is_called("former key") && !row("former key", None).is_called("former "));
    }
}
