//! Every mistake that the program knows: its place, its key and its cure in both languages.

mod channels;
mod node;
mod routes;

use std::collections::BTreeSet;

use tollbell::config::Role;
use tollbell::messages::Lang;
use tollbell_channels::settings::SETTINGS_ERRORS;

use super::world::{CHANNEL, Folder, MARKER, QUEUE, TARGET, load, problems, summary};

/// A mistake: the text, what is reported, and a piece of the cure in each language.
struct Mistake {
    text: &'static str,
    reported: &'static str,
    en: &'static str,
    zh: &'static str,
}

const fn mistake(text: &'static str, reported: &'static str, en: &'static str, zh: &'static str) -> Mistake {
    Mistake { text, reported, en, zh }
}

/// `CHANNEL` and `TARGET` in a text stand for tables without mistakes.
const MISTAKES: &[&[Mistake]] = &[node::MISTAKES, channels::MISTAKES, routes::MISTAKES];

/// Words of the catalogue that other tests bring about.
const ELSEWHERE: &[&str] = &[
    "config.problem",
    "config.warning",
    "config.not_found",
    "config.cannot_read",
    "config.too_large",
    "config.not_utf8",
    "config.not_toml",
    "config.too_many",
    "config.no_channel",
    "config.no_target",
    "config.role_missing",
    "config.literal_secret",
    "config.key_readable",
    "config.bad_credential",
    "config.not_here",
    "config.until_of_nothing",
    "config.hints_ack",
    "config.no_callbacks",
];

#[test]
fn every_mistake_is_reported_once_at_its_place_with_its_cure() {
    let mut wrong = Vec::new();
    for case in MISTAKES.iter().copied().flatten() {
        let text = case.text.replace("CHANNEL", CHANNEL).replace("TARGET", TARGET).replace("QUEUE", QUEUE);
        let text = if text.contains("secret_") {
            text.replace("public = \"hush7hush7hush7\"\n", "flag = true\n")
        } else {
            text
        };
        let folder = Folder::new(&[("tollbell.toml", text.as_bytes()), ("keys/empty", b" \n")]);
        folder.write("keys/own", MARKER.as_bytes(), 0o600);
        folder.write("keys/open", MARKER.as_bytes(), 0o640);
        folder.write("keys/large", &vec![b'x'; 1024 * 1024 + 1], 0o600);
        let Err(found) = folder.load() else {
            wrong.push(format!("nothing was found in:\n{text}"));
            continue;
        };
        let reported = summary(&found);
        if reported.trim_end() != case.reported {
            wrong.push(format!("expected {}\nfound    {}in:\n{text}", case.reported, reported));
            continue;
        }
        for (lang, cure) in [(Lang::En, case.en), (Lang::Zh, case.zh)] {
            let shown = found[0].render(lang);
            if !shown.contains(cure) || shown.contains(MARKER) || shown.contains("config.") {
                wrong.push(format!("`{cure}` is expected, and no key, in:\n{shown}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_role_that_a_node_does_not_have_is_warned_about() {
    let folder = Folder::new(&[]);
    folder.write("tollbell.toml", b"[server]\nroles = [\"receive\", \"deliver\"]\nwatch = false\n", 0o600);
    let (config, warnings) = folder.load().unwrap();
    let missing: Vec<_> = config.server.roles.missing().map(Role::as_str).collect();
    assert_eq!(missing, ["operate"]);
    assert!(!config.server.watch);
    let warned: Vec<&str> = warnings.iter().map(|warning| warning.message.key()).collect();
    assert!(warned.contains(&"config.role_missing"), "{warned:?}");
}

#[test]
fn every_text_about_configurations_has_its_mistake_here() {
    let table: toml::Table = toml::from_str(include_str!("../../src/messages/en.toml")).unwrap();
    let known: BTreeSet<String> =
        table["config"].as_table().unwrap().keys().map(|key| format!("config.{key}")).collect();
    let covered: BTreeSet<String> = MISTAKES
        .iter()
        .copied()
        .flatten()
        .map(|case| case.reported.rsplit(' ').next().unwrap())
        .chain(ELSEWHERE.iter().copied())
        .filter(|word| word.starts_with("config."))
        .map(str::to_owned)
        .collect();
    assert_eq!(known.symmetric_difference(&covered).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_word_of_a_platform_or_target_is_reported_at_its_setting() {
    for word in SETTINGS_ERRORS.iter().filter(|word| **word != "missing") {
        for (text, reported) in [
            (format!("{CHANNEL}fails = \"{word}: why\"\n"), format!("6:9 channel.fails setting.{word}\n")),
            (format!("{TARGET}fails = \"{word}: why\"\n"), format!("5:9 target.fails setting.{word}\n")),
        ] {
            let found = problems(load(&text));
            assert_eq!(summary(&found), reported);
            for lang in Lang::ALL {
                let shown = found[0].message.text(*lang);
                assert!(shown.contains("`fails`") && shown.contains("(why)"), "{shown}");
                assert!(!shown.contains('{') && !shown.starts_with("setting."), "{shown}");
            }
        }
    }
}

#[test]
fn everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_files() {
    let folder = Folder::new(&[
        (
            "tollbell.toml",
            b"[[route]]\ntargets = \"x\"\n[server]\nlisten = \"a\"\nbody_limit = 0\ncolour = 1\n[log]\nlevel = \"x\"\n[[channel]]\nkind = \"fake\"\n",
        ),
        ("channels.d/b.toml", b"[[target]]\nid = \"T\"\nkind = \"fake\"\naddress = \"x\"\n"),
        ("channels.d/a.toml", b"[[channel]]\nid = \"a\"\nkind = \"fake\"\napp_id = \"1\"\n"),
    ]);
    assert_eq!(
        summary(&problems(folder.load())),
        "2:11 route.targets config.unknown_name\n\
         4:10 server.listen config.bad_address\n\
         5:14 server.body_limit config.out_of_range\n\
         6:1 server.colour config.unknown_key\n\
         8:9 log.level config.one_of\n\
         9:1 channel.id config.missing\n\
         9:1 channel.app_id setting.missing\n\
         9:1 channel.public config.missing_either\n\
         a.toml:1:1 channel.public config.missing_either\n\
         b.toml:2:6 target.id config.bad_id\n"
    );
}

#[test]
fn a_problem_reads_well_in_both_languages() {
    let found = problems(load("[server]\n\tlisten = [\"支付\"] # 监听\n"));
    let file = found[0].file.display();
    assert_eq!(
        found[0].render(Lang::En),
        format!(
            "{file}:2:11: error: `server.listen`: `支付` is not an IP address with a port, such as 0.0.0.0:8080 or [::]:8080\n    \
             | \tlisten = [\"支付\"] # 监听\n    | \t         ^"
        )
    );
    assert_eq!(
        found[0].render(Lang::Zh),
        format!(
            "{file}:2:11: 错误：`server.listen`：`支付` 不是带端口的 IP 地址，例如 0.0.0.0:8080 或 [::]:8080\n    \
             | \tlisten = [\"支付\"] # 监听\n    | \t         ^"
        )
    );
    // The mark stands under what is meant, behind letters that are twice as wide, and behind hidden texts.
    let found =
        problems(load("channel = [{ id = \"支\", kind = \"fake\", public = \"hush7hush7hush7\", app_id = 1 }]"));
    let shown = found.iter().find(|problem| problem.key == "channel.app_id").unwrap().render(Lang::En);
    assert_eq!(
        shown.split_once('\n').unwrap().1,
        "    | channel = [{ id = \"…\", kind = \"…\", public = \"…\", app_id = 1 }]\n    \
             |                                                           ^"
    );
}
