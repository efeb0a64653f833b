//! The settings, and what the schedule is told.

use std::collections::BTreeSet;

use tollbell_channels::settings::SettingValue;

use super::*;

fn base() -> Settings {
    Settings::without_environment()
        .with("address", SettingValue::Text("127.0.0.1:9000".to_owned()))
        .with("script", SettingValue::Text("/w/notify.php".to_owned()))
}

fn refused(settings: &Settings) -> (&'static str, &'static str) {
    let error = build(settings).err().expect("these settings are wrong");
    (error.setting, error.word)
}

#[test]
fn two_settings_are_enough() {
    let demands = build(&base()).unwrap().demands();
    assert_eq!(demands.format, Format::Raw);
    assert_eq!(demands.concurrency, 4);
    assert_eq!(demands.attempt_timeout, Duration::from_secs(30));
    assert_eq!(demands.wait_after_unknown, Duration::from_mins(5));
}

#[test]
fn the_wait_after_an_unknown_result_covers_a_late_kill() {
    let settings = base().with("terminate_timeout", SettingValue::Duration(Duration::from_mins(1)));
    assert_eq!(build(&settings).unwrap().demands().wait_after_unknown, Duration::from_secs(81));
}

#[test]
fn wrong_settings_are_named() {
    let text = |text: &str| SettingValue::Text(text.to_owned());
    let seconds = |seconds| SettingValue::Duration(Duration::from_secs(seconds));
    let pairs = |list: &[(&str, &str)]| {
        SettingValue::Pairs(list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    };
    for (name, value, word) in [
        ("address", text("127.0.0.1"), "malformed"),
        ("script", text("notify.php"), "malformed"),
        ("script", text("/w/../etc/x.php"), "malformed"),
        ("script", text("/w/"), "malformed"),
        ("document_root", text("/other"), "relation"),
        ("document_root", text("/w/not"), "relation"),
        ("request_uri", text("pay"), "malformed"),
        ("request_uri", text("/a b"), "malformed"),
        ("server_name", text("a\r\nb"), "malformed"),
        ("server_port", SettingValue::Number(70_000), "out_of_range"),
        ("max_connections", SettingValue::Number(0), "out_of_range"),
        ("max_connections", SettingValue::Number(100_000), "out_of_range"),
        ("attempt_timeout", seconds(0), "out_of_range"),
        ("connect_timeout", seconds(31), "relation"),
        ("first_byte_timeout", seconds(31), "relation"),
        ("terminate_timeout", seconds(0), "out_of_range"),
        ("headers", SettingValue::Texts(vec!["Proxy".to_owned()]), "malformed"),
        ("headers", SettingValue::Texts(vec!["x_y".to_owned()]), "malformed"),
        ("params", pairs(&[("HTTP_PROXY", "x")]), "malformed"),
        ("params", pairs(&[("TOLLBELL_ORDER_NO", "x")]), "malformed"),
        ("success", pairs(&[("", "anything")]), "malformed"),
        ("success", pairs(&[("body", "success"), ("match", "maybe")]), "unknown_word"),
        ("success", pairs(&[("body", " ")]), "malformed"),
        ("success", pairs(&[("status", "99")]), "malformed"),
        ("success", pairs(&[("json", "code"), ("equals", "0")]), "malformed"),
        ("success", pairs(&[("json", "/code")]), "malformed"),
    ] {
        let shown = format!("{name} = {value:?}");
        assert_eq!(refused(&base().with(name, value)), (name, word), "{shown}");
    }
    assert_eq!(refused(&Settings::without_environment()), ("address", "missing"));
}

#[test]
fn words_are_unique() {
    assert_eq!(REASONS.iter().collect::<BTreeSet<_>>().len(), REASONS.len());
    assert_eq!(SETTINGS.iter().map(|s| s.name).collect::<BTreeSet<_>>().len(), SETTINGS.len());
}
