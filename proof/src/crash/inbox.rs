//! What the program says about its inbox, read through its commands alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::gateway::Site;

/// Newest notifications that are listed at once: the longest list that the program gives.
pub const LISTED: usize = 500;
/// Commands that run side by side.
const READERS: usize = 3;

/// A stored notification with all that hangs on it.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// Its events.
    pub events: Vec<Event>,
    /// Its deliveries.
    pub deliveries: Vec<Delivery>,
}

/// An event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// What happened.
    pub kind: String,
    /// The order.
    pub order_no: String,
    /// The amount, in minor units, where it is known.
    pub amount: Option<i64>,
    /// The running total, where it is stated.
    pub total: Option<i64>,
    /// Whether a person has to look at it.
    pub is_doubted: bool,
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// The delivery that it waits for.
    pub waits_for: Option<String>,
    /// The event that made it pointless.
    pub superseded_by: Option<String>,
    /// The outcomes of its attempts, with their numbers.
    pub attempts: Vec<(u64, String)>,
}

/// Notifications that were ever listed, and whether they brought events. A list holds [`LISTED`] of them, so it is asked for often enough.
#[derive(Debug, Default)]
pub struct Census(BTreeMap<String, bool>);

impl Census {
    /// Lists the newest.
    ///
    /// # Errors
    /// When the command fails.
    pub fn take(&mut self, site: &Site) -> anyhow::Result<()> {
        let listed = site.json(&["tail", "--once", "--lines", &LISTED.to_string()])?;
        let is_first = self.0.is_empty();
        let mut is_joined = listed.len() < LISTED;
        for line in &listed {
            let brought_events = !list(line, "events")?.is_empty();
            let is_known = self.0.insert(text(line, "id")?, brought_events).is_some();
            is_joined |= is_known;
        }
        ensure!(is_joined || is_first, "between two lists more came than one list holds");
        Ok(())
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// When a command fails, or says what is not understood here.
    ///
    /// # Panics
    /// Never: no reader panics with the list.
    pub fn read(&self, site: &Site) -> anyhow::Result<Vec<Notification>> {
        let ids: Vec<(&String, &bool)> = self.0.iter().collect();
        let next = AtomicUsize::new(0);
        let read = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|_| {
                    scope.spawn(|| -> anyhow::Result<()> {
                        while let Some((id, brought_events)) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let notification =
                                read_one(site, id, **brought_events).with_context(|| format!("read {id}"))?;
                            read.lock().expect("no reader panics").insert((*id).clone(), notification);
                        }
                        Ok(())
                    })
                })
                .collect();
            readers.into_iter().try_for_each(|reader| reader.join().expect("no reader panics"))
        })?;
        Ok(read.into_inner().expect("no reader panics").into_values().collect())
    }
}

/// The ids of all events, by the list of events.
///
/// # Errors
/// When the command fails.
pub fn listed_events(site: &Site) -> anyhow::Result<BTreeSet<String>> {
    let limit = LISTED.to_string();
    let mut ids = BTreeSet::new();
    let mut args = vec!["events".to_owned(), "--limit".to_owned(), limit];
    loop {
        let page = site.json(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
        for event in &page {
            ids.insert(text(event, "id")?);
        }
        let Some(last) = page.last().filter(|_| page.len() == LISTED) else { return Ok(ids) };
        args.truncate(3);
        args.extend(["--before".to_owned(), text(last, "id")?]);
    }
}

/// Whether any delivery is still due or being attempted. Each state is a command of its own, and a delivery that is tried
/// again goes from one to the other and back: it is looked for where it was before, too.
///
/// # Errors
/// When the command fails.
pub fn has_open_deliveries(site: &Site) -> anyhow::Result<bool> {
    for state in ["pending", "leased", "pending", "leased", "pending"] {
        if !site.json(&["events", "--state", state, "--limit", "1"])?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_one(site: &Site, id: &str, brought_events: bool) -> anyhow::Result<Notification> {
    // Only events have deliveries, so the story of a mere repetition is its body.
    let shown = if brought_events { site.json(&["show", id])?.pop() } else { None };
    let shown = shown.unwrap_or_else(|| json!({ "events": [], "deliveries": [] }));
    let raw = site.command(&["show", id, "--raw"])?;
    let head =
        raw.windows(4).position(|window| window == b"\r\n\r\n").context("a raw request without an end of its head")?;
    Ok(Notification {
        id: id.to_owned(),
        body: raw[head + 4..].to_vec(),
        events: list(&shown, "events")?.iter().map(event).collect::<Result<_, _>>()?,
        deliveries: list(&shown, "deliveries")?.iter().map(delivery).collect::<Result<_, _>>()?,
    })
}

fn event(value: &Value) -> anyhow::Result<Event> {
    let data = &value["data"];
    Ok(Event {
        id: text(value, "id")?,
        kind: text(value, "type")?,
        order_no: data["order_no"].as_str().unwrap_or_default().to_owned(),
        amount: data["amount"]["minor"].as_i64(),
        total: data["total"]["minor"].as_i64(),
        is_doubted: !list(value, "concerns")?.is_empty(),
    })
}

fn delivery(value: &Value) -> anyhow::Result<Delivery> {
    let attempts = list(value, "attempts")?.iter().map(|attempt| {
        Ok((attempt["number"].as_u64().context("an attempt without a number")?, text(attempt, "outcome")?))
    });
    Ok(Delivery {
        id: text(value, "id")?,
        state: text(value, "state")?,
        waits_for: value["waits_for"].as_str().map(str::to_owned),
        superseded_by: value["superseded_by"].as_str().map(str::to_owned),
        attempts: attempts.collect::<anyhow::Result<_>>()?,
    })
}

fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("`{name}` is missing in {value}"))
}

fn list<'v>(value: &'v Value, name: &str) -> anyhow::Result<&'v Vec<Value>> {
    value[name].as_array().with_context(|| format!("`{name}` is missing in {value}"))
}
