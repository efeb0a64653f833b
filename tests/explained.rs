//! What the real program says of every folder of `examples/rejected/`, and of what only the records of a gateway show.

mod support {
    pub(crate) mod gateway;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::gateway::{Setup, World, wait_for};
use tollbell_channels::explain::FINDINGS;

/// Findings that no request to a registered platform shows: none signs the bytes of a form or of an XML document.
const UNSHOWN: &[&str] = &["form_reprinted", "xml_reprinted"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rejected")
}

/// An example: its finding, and the command that its configuration names.
struct Example {
    id: String,
    folder: PathBuf,
    command: Vec<String>,
}

fn examples() -> Vec<Example> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<Example> = entries.filter(|path| path.is_dir()).map(example).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all
}

fn example(folder: PathBuf) -> Example {
    let text = fs::read_to_string(folder.join("tollbell.toml")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("# tollbell ")).unwrap();
    let command = line.split(' ').map(str::to_owned).collect();
    Example { id: folder.file_name().unwrap().to_str().unwrap().to_owned(), folder, command }
}

impl Example {
    /// What the program prints of it.
    #[track_caller]
    fn said(&self, more: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .args(&self.command)
            .args(more)
            .current_dir(&self.folder)
            .env_remove("LC_ALL")
            .env_remove("LC_MESSAGES")
            .env("LANG", "en_US.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{}: {out}", self.id);
        out
    }
}

fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

#[test]
fn every_example_is_named_first_for_programs() {
    for example in examples() {
        let told: Value = serde_json::from_str(&example.said(&["--json"])).unwrap();
        let ids: Vec<&str> =
            told["findings"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap()).collect();
        assert_eq!(ids.first(), Some(&example.id.as_str()), "{told:#}");
        assert_eq!((&told["is_explained"], &told["outcome"] == "genuine"), (&true.into(), false), "{told:#}");
        // Beside it stand at most other places of the same.
        assert!(ids.iter().all(|id| *id == example.id), "{ids:?}");
    }
}

#[test]
fn every_example_is_named_first_for_people() {
    for example in examples() {
        let mark = format!("[{}]", example.id);
        for (lang, refused) in [("en", "Refused: "), ("zh", "被拒绝：")] {
            let said = example.said(&["--lang", lang]);
            let first = said.lines().find(|line| line.starts_with("1. ")).unwrap_or_else(|| panic!("{said}"));
            assert!(first.ends_with(&mark), "{}: {first}", example.id);
            assert!(said.contains(refused) || said.contains("unknown_key"), "{}: {said}", example.id);
            // No place of a fact stayed empty.
            let facts = said.lines().filter(|line| line.starts_with("1. ") || line.starts_with("   "));
            let facts = facts.take_while(|line| !line.contains('⟦'));
            for name in ["{field}", "{setting}", "{how}", "{channel}", "{seconds}", "{came}", "{signed}", "{name}"] {
                assert!(facts.clone().take(4).all(|line| !line.contains(name)), "{}: {said}", example.id);
            }
        }
    }
}

#[test]
fn what_people_read_in_chinese_is_chinese() {
    for example in examples() {
        let said = example.said(&["--lang", "zh"]);
        for line in said.lines().filter(|line| !line.trim().is_empty()) {
            // What is signed is shown as it is, and stands indented under a line that says what it is.
            let is_shown = line.starts_with("   ") && !line.contains('：');
            assert!(is_shown || line.chars().any(is_han), "{}: {line}", example.id);
            let is_sentence = line.ends_with('。') || line.ends_with('：');
            let is_data = line.starts_with("   ") || line.starts_with("1. ") || line.starts_with("渠道 ");
            let is_head = line.starts_with("来源 ") || line.starts_with("验签时刻 ");
            assert!(is_sentence || is_data || is_head, "{}: {line}", example.id);
        }
    }
}

#[test]
fn there_is_an_example_of_every_finding_that_a_request_shows() {
    let known: BTreeSet<String> = examples().into_iter().map(|example| example.id).collect();
    let due = FINDINGS.iter().filter(|finding| !finding.probes.is_empty()).map(|finding| finding.id);
    let due: BTreeSet<String> = due.filter(|id| !UNSHOWN.contains(id)).map(str::to_owned).collect();
    assert_eq!(known, due);
}

/// A person sees what came, what was signed, and what of it differs.
#[test]
fn what_came_and_what_was_signed_stand_side_by_side() {
    for (id, of, came, signed) in [
        ("json_reprinted", "signed", "{⟦\\n ", "{⟦\""),
        ("line_ends", "body", "⟦\\n⟧", "⟦⟧"),
        ("charset_changed", "signed", "⟦\\x", "⟦演"),
        ("query_signed", "signed", "⟦⟧", "⟦"),
    ] {
        let example = example(folder().join(id));
        let told: Value = serde_json::from_str(&example.said(&["--json"])).unwrap();
        assert_eq!(told["difference"]["of"], of, "{told:#}");
        assert!(told["matched"].as_array().unwrap().iter().all(|matched| matched["held"] == true), "{told:#}");
        assert!(!told["matched"].as_array().unwrap().is_empty(), "{told:#}");
        for lang in ["en", "zh"] {
            let said = example.said(&["--lang", lang]);
            let lines: Vec<&str> = said.lines().filter(|line| line.contains('⟦')).collect();
            let [first, second] = lines[..] else { panic!("{id}: {said}") };
            assert!(first.contains(came) && second.contains(signed), "{id}: {first}\n{second}");
        }
    }
    // Nothing of the text differs where the key is what is wrong.
    let said = example(folder().join("secret_blanks")).said(&[]);
    assert!(!said.contains('⟦'), "{said}");
}

/// What somebody made to cost time or room is answered, or refused in one line.
#[test]
fn hostile_copies_are_bounded() {
    const MIB: usize = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let configuration = fs::read_to_string(self::folder().join("bom/tollbell.toml")).unwrap();
    fs::write(folder.path().join("tollbell.toml"), configuration).unwrap();
    let entry =
        "{\"request\":{\"method\":\"POST\",\"url\":\"http://a/\",\"headers\":[],\"postData\":{\"text\":\"a=1\"}}},";
    for (name, text, code) in [
        ("nesting", "{\"a\":".repeat(2 * MIB), 1),
        ("arrays", "Array\n(\n".repeat(MIB), 2),
        ("levels", "array ('a' => ".repeat(MIB), 2),
        ("headers", format!("POST / HTTP/1.1\r\n{}", "a: b\r\n".repeat(MIB)), 2),
        ("options", format!("curl http://a/ {}", "-H 'a: b' ".repeat(MIB)), 2),
        ("archive", format!("{{\"log\":{{\"entries\":[{}{{}}]}}}}", entry.repeat(100_000)), 1),
        ("lines", "a=1&b=2\n".repeat(2 * MIB), 1),
    ] {
        fs::write(folder.path().join("copy"), &text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .args(["explain", "copy"])
            .current_dir(folder.path())
            .env("LANG", "C")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{name}: {out}{err}");
        assert!(out.len() < 4000 && err.len() < 400, "{name}: {} {err}", out.len());
        assert_eq!(err.trim_end().lines().count(), usize::from(code == 2), "{name}: {err}");
    }
}

/// The platform comes again because it got no success, and both times the message is the same.
#[test]
fn a_repetition_without_an_answer_is_a_duplicate() {
    let setup = Setup {
        // Nobody listens there, so that nothing is ever confirmed.
        channel: "ack = { delivered = \"shop\", within = \"300ms\" }\n".to_owned(),
        ..Setup::new("127.0.0.1:9", Path::new("/notify.php"))
    };
    let mut world = World::new(&setup);
    let _gateway = world.start();
    let request = world.payment("A-1", 1000);
    for _ in 0..2 {
        assert_ne!(world.send(&request).unwrap().body, b"success");
    }
    let id = wait_for("the event", || world.events().pop())["notification"].as_str().unwrap().to_owned();
    let repeated = |shown: &Value| shown["repeats"].as_u64() >= Some(1);
    let shown = wait_for("the repetition", || world.json(&["show", &id]).pop().filter(repeated));
    // Who shows it, offers the question.
    assert_eq!(shown["explain"], format!("tollbell explain {id}"));
    let said = String::from_utf8(world.cli(&["show", &id]).stdout).unwrap();
    assert!(said.contains(&format!("why: tollbell explain {id}\n")), "{said}");
    let told = world.json(&["explain", &id]).pop().unwrap();
    let ids: Vec<&str> =
        told["findings"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap()).collect();
    assert_eq!((&told["outcome"], ids), (&"genuine".into(), vec!["duplicate"]), "{told:#}");
    let facts = &told["findings"][0]["facts"];
    assert_eq!((&facts["notification"], &facts["count"]), (&id.as_str().into(), &"2".into()), "{told:#}");
    let zh = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["explain", &id, "--lang", "zh"])
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    let zh = String::from_utf8(zh.stdout).unwrap();
    assert!(zh.contains("1. 这是重复通知：") && zh.contains("共收到 2 次"), "{zh}");
}
