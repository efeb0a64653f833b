//! Several files, files that cannot be read, and text that is no configuration.

use std::os::unix::fs::symlink;

use tollbell::config::Problem;
use tollbell::messages::Lang;

use super::world::{CHANNEL, Folder, TARGET, good, load, problems, rendered, summary, with_warnings};

#[test]
fn a_mistake_in_a_channel_does_not_make_its_routes_look_wrong() {
    let text = format!(
        "[[channel]]\nid = \"a\"\nkind = \"fak\"\n{TARGET}fails = \"relation\"\n[[route]]\nchannels = \"a\"\ntargets = \"t\"\n"
    );
    let reported = "3:8 channel.kind config.unknown_kind_nearest\n8:9 target.fails setting.relation\n";
    assert_eq!(summary(&problems(load(&text))), reported);
    // Nor does a file that cannot be understood.
    let folder = Folder::new(&[
        ("tollbell.toml", b"[[route]]\nchannels = \"a\"\ntargets = \"t\"\n"),
        ("channels.d/a.toml", b"[[channel]\n"),
    ]);
    assert_eq!(summary(&problems(folder.load())), "a.toml:1:11  config.not_toml\n");
}

#[test]
fn ids_and_paths_are_unique_over_all_files() {
    let folder = Folder::new(&[
        ("tollbell.toml", format!("{CHANNEL}paths = [\"/x\"]\n{TARGET}").as_bytes()),
        ("channels.d/b.toml", format!("{}paths = [\"/y\", \"/x\"]\n", CHANNEL.replace("\"a\"", "\"b\"")).as_bytes()),
        ("channels.d/c.toml", CHANNEL.as_bytes()),
    ]);
    let found = problems(folder.load());
    assert_eq!(
        summary(&found),
        "b.toml:6:9 channel.paths config.path_taken\nc.toml:2:6 channel.id config.duplicate_id\n"
    );
    assert!(found[0].render(Lang::En).contains("`/x` belongs to channel `a` already"), "{}", rendered(&found));
    let many: Vec<String> = (0..=64).map(|n| format!("\"/{n}\"")).collect();
    let found = problems(load(&format!("{CHANNEL}paths = [{}]\n", many.join(","))));
    assert_eq!(summary(&found), "6:9 channel.paths config.too_many\n");
    let many = vec!["\"1s\""; 1001].join(",");
    let found = problems(load(&format!("[deliver]\nladder = [{many}]\n")));
    assert_eq!(summary(&found), "2:10 deliver.ladder config.too_many\n");
    assert!(found[0].render(Lang::Zh).contains("最多 1000 个"), "{}", rendered(&found));
}

#[test]
fn included_files_add_channels_targets_and_routes_and_nothing_else() {
    let folder = Folder::new(&[
        ("tollbell.toml", b"[[route]]\ntargets = \"t\"\n"),
        ("channels.d/b.toml", TARGET.as_bytes()),
        ("channels.d/a.toml", CHANNEL.as_bytes()),
        ("channels.d/notes.txt", b"not read"),
    ]);
    let config = good(folder.load());
    assert_eq!((&*config.channels[0].id, &*config.targets[0].id), ("a", "t"));
    folder.write("channels.d/c.toml", b"[server]\nlisten = \"0.0.0.0:1\"\n", 0o600);
    let found = problems(folder.load());
    assert_eq!(summary(&found), "c.toml:1:2 server config.not_here\n");
    for (lang, cure) in [(Lang::En, "main file"), (Lang::Zh, "主配置文件")] {
        assert!(found[0].render(lang).contains(cure), "{}", found[0].render(lang));
    }
}

#[test]
fn a_folder_of_channels_that_cannot_be_read_is_no_empty_folder() {
    let folder = Folder::new(&[("tollbell.toml", CHANNEL.as_bytes()), ("channels.d", b"a file")]);
    let found = problems(folder.load());
    assert_eq!(summary(&found), "channels.d:  config.cannot_read\n");
    let folder = Folder::new(&[("tollbell.toml", CHANNEL.as_bytes()), ("channels.d/a.txt", b"")]);
    symlink(folder.path("gone"), folder.path("channels.d/b.toml")).unwrap();
    assert_eq!(summary(&problems(folder.load())), "b.toml:  config.not_found\n");
}

#[test]
fn files_that_are_no_configuration_say_why() {
    let found = problems(Folder::new(&[]).load());
    assert_eq!(summary(&found), "  config.not_found\n");
    assert!(found[0].render(Lang::Zh).contains("tollbell init"), "{}", rendered(&found));
    // As an editor on a Chinese Windows writes it.
    let found = problems(Folder::new(&[("tollbell.toml", b"[server]\n# \xd6\xa7\xb8\xb6\n")]).load());
    assert_eq!(summary(&found), "  config.not_utf8\n");
    assert!(found[0].render(Lang::En).contains("line 2 is not UTF-8; save the file as UTF-8"), "{}", rendered(&found));
    assert!(found[0].render(Lang::Zh).contains("第 2 行"), "{}", rendered(&found));
    let large = vec![b'\n'; 4 * 1024 * 1024 + 1];
    assert_eq!(summary(&problems(Folder::new(&[("tollbell.toml", &large)]).load())), "  config.too_large\n");
    let folder = Folder::new(&[("tollbell.toml/x", b"")]);
    assert_eq!(summary(&problems(folder.load())), "  config.cannot_read\n");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = format!("\u{feff}[server]\r\nlisten = \"0.0.0.0:1\"\r\n{}", CHANNEL.replace('\n', "\r\n"));
    let (config, _) = with_warnings(load(&text));
    assert_eq!(config.server.listen, ["0.0.0.0:1".parse().unwrap()]);
    let found = problems(load("\u{feff}colour = 1\r\n[server]\r\nlisten = \"x\"\r\n"));
    assert_eq!(summary(&found), "1:1 colour config.unknown_key\n3:10 server.listen config.bad_address\n");
    let shown = found[1].render(Lang::En);
    assert!(shown.ends_with("\n    | listen = \"x\"\n    |          ^"), "{shown:?}");
}

#[test]
fn what_is_missing_altogether_is_a_warning() {
    let (config, warnings) = with_warnings(load(""));
    assert_eq!(summary(&warnings), " channel config.no_channel\n target config.no_target\n");
    assert!(warnings.iter().all(Problem::is_warning));
    let shown = rendered(&warnings);
    for cure in ["warning: `channel`: ", "警告：`channel`：", "`[[channel]]`", "`[[target]]`"] {
        assert!(shown.contains(cure), "{shown}");
    }
    assert!(config.channels.is_empty() && config.targets.is_empty());
}

#[test]
fn a_syntax_error_is_placed_and_explained() {
    for (text, reported) in [
        ("[server]\nlisten = 0.0.0.0:80\n", "2:10  config.not_toml"),
        ("[server\n", "1:8  config.not_toml"),
        ("a = 1\na = 2\n", "2:1  config.not_toml"),
    ] {
        let found = problems(load(text));
        let shown = summary(&found);
        assert_eq!(shown.split(':').next(), reported.split(':').next(), "{shown}");
        assert!(shown.trim_end().ends_with("config.not_toml"), "{shown}");
        assert!(found[0].render(Lang::En).contains("not TOML: "), "{}", rendered(&found));
        assert!(found[0].render(Lang::Zh).contains("不是有效的 TOML："), "{}", rendered(&found));
    }
}
