//! `docs/operate/` names only metrics that exist, and has a page for each alert.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tollbell::telemetry::{ByChannel, ByKey, ByKeyOutcome, ByReason, ByRefusal, Metrics};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operate")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every `tollbell_…` in a text.
fn named(text: &str) -> BTreeSet<String> {
    text.match_indices("tollbell_")
        .map(|(at, _)| text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

/// The series that a scrape shows, by the kinds of the metrics.
fn series() -> BTreeSet<String> {
    let metrics = Metrics::new();
    metrics.announce_channel(&"alipay".into());
    metrics.announce_target(&"shop".into());
    drop(metrics.last_genuine.get_or_create(&ByChannel { channel: "alipay".into() }));
    drop(metrics.platform_key_expires.get_or_create(&ByChannel { channel: "alipay".into() }));
    let fetched = ByKeyOutcome { channel: "alipay".into(), outcome: "fetched" };
    drop(metrics.key_downloads.get_or_create(&fetched));
    drop(metrics.unconfirmed.get_or_create(&ByReason { channel: "alipay".into(), reason: "late" }));
    for family in [&metrics.hints, &metrics.questions] {
        drop(family.get_or_create(&ByReason { channel: "alipay".into(), reason: "unknown" }));
    }
    drop(metrics.open_hints.get_or_create(&ByChannel { channel: "alipay".into() }));
    drop(metrics.oldest_hint_seconds.get_or_create(&ByChannel { channel: "alipay".into() }));
    let key = ByKey { channel: "alipay".into(), key: "alipay_public_key".to_owned() };
    drop(metrics.genuine.get_or_create(&key));
    drop(metrics.key_expires.get_or_create(&key));
    drop(metrics.admin_refused.get_or_create(&ByRefusal { reason: "token" }));
    let text = metrics.render();
    let mut series = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else { continue };
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        series.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    series
}

#[test]
fn alerts_and_dashboard_name_existing_metrics() {
    let series = series();
    assert!(series.contains("tollbell_busy_total") && series.contains("tollbell_ack_seconds_bucket"), "{series:?}");
    for page in ["alerts.yml", "dashboard.json"] {
        let names = named(&read(page));
        assert!(names.len() > 8, "{page} names {} metrics", names.len());
        let unknown: Vec<_> = names.difference(&series).collect();
        assert!(unknown.is_empty(), "{page} names {unknown:?}");
    }
}

#[test]
fn every_alert_has_a_page_in_both_languages_and_every_page_an_alert() {
    let alerts: BTreeSet<String> = read("alerts.yml")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned))
        .collect();
    let pages: BTreeSet<String> = fs::read_dir(folder().join("runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(alerts, pages);
    let series = series();
    for alert in &alerts {
        assert!(read("alerts.yml").contains(&format!("runbook: runbooks/{alert}.md")), "{alert} names no page");
        let page = read(&format!("runbooks/{alert}.md"));
        for heading in
            [format!("# {alert}"), "**Look at**".into(), "**Do**".into(), "## 中文".into(), "**怎么办**".into()]
        {
            assert!(page.contains(&heading), "{alert}: no `{heading}`");
        }
        let unknown: Vec<String> = named(&page).into_iter().filter(|name| !series.contains(name)).collect();
        assert!(unknown.is_empty(), "{alert} names {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_json_with_a_query_in_each_panel() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    for panel in panels {
        let query = panel["targets"][0]["expr"].as_str().unwrap();
        assert!(query.contains("tollbell_"), "{}", panel["title"]);
        let (opened, closed) = (query.matches('(').count(), query.matches(')').count());
        assert_eq!(opened, closed, "{query}");
    }
}
