//! `examples/rejected/`: for each finding one request that is refused, with the configuration that refuses it.
//!
//! The files are made here and compared in every run. With the environment's `TOLLBELL_REWRITE=examples` they are made
//! anew. Keys are the throw-away ones of this suite, so every run makes the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tollbell_channels::explain::findings;
use tollbell_channels::model::{Environment, RawRequest};
use tollbell_channels::platforms::{Platform, by_kind};
use tollbell_channels::settings::{SettingKind, SettingValue, Settings};

use super::damage::{self, Damage};
use super::matrix::ids;
use super::stage::{Other, REWRITE, Scene, Stage, at, stages};

/// Findings that are shown in a folder of their own where a configuration file can say all that is wrong.
const FOLDER: &str = "examples/rejected";

/// The file of a request of which all was kept.
const WHOLE: &str = "request.http";

/// Findings whose damage no registered platform minds: none signs the bytes of a form or of an XML document.
const UNSHOWN: &[&str] = &["form_reprinted", "xml_reprinted"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FOLDER)
}

/// What is in the folder of a finding.
struct Example {
    /// The request's file, as a person would have it.
    file: &'static str,
    request: Vec<u8>,
    configuration: String,
    /// What was done, and to whose message.
    told: String,
}

/// What is left of a request, and the name of a file that holds it.
fn kept(scene: &Scene<'_>) -> (&'static str, Vec<u8>) {
    let request = &scene.request;
    if scene.kept.has_head {
        return (WHOLE, raw(request));
    }
    let file = match request.body.trim_ascii_start().first() {
        Some(b'{' | b'[') => "body.json",
        Some(b'<') => "body.xml",
        _ => "body.txt",
    };
    (file, request.body.to_vec())
}

/// As it came over the wire.
fn raw(request: &RawRequest) -> Vec<u8> {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut bytes = format!("{} {}{query} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    for (name, value) in &request.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    bytes
}

/// A text in a TOML file; none where only a file of its own could hold it.
fn quoted(text: &str) -> Option<String> {
    // Several lines stand as they are.
    if text.contains('\n') && text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains("'''") {
        return Some(format!("'''\n{text}'''"));
    }
    // What JSON escapes, TOML reads.
    (!text.contains('\u{7f}')).then(|| serde_json::to_string(text).expect("a text"))
}

/// A setting's line; none where a file cannot say it.
fn line(platform: &Platform, name: &str, value: &SettingValue) -> Option<String> {
    let kind = platform.settings.iter().find(|setting| setting.name == name)?.kind;
    let texts = |texts: &[String]| texts.iter().map(|text| quoted(text)).collect::<Option<Vec<_>>>();
    let value = match value {
        SettingValue::Text(text) | SettingValue::Address(text) => quoted(text)?,
        SettingValue::Texts(list) => format!("[{}]", texts(list)?.join(", ")),
        SettingValue::Flag(flag) => flag.to_string(),
        SettingValue::Number(number) => number.to_string(),
        SettingValue::Key(key) if matches!(kind, SettingKind::PublicKey | SettingKind::SecretKey) => {
            quoted(std::str::from_utf8(key).ok()?)?
        }
        _ => return None,
    };
    Some(format!("{name} = {value}\n"))
}

/// A channel's table; none where it has what no table can say in place.
fn table(id: &str, platform: &Platform, settings: &Settings) -> Option<String> {
    let environment = match settings.environment {
        Environment::Live => "live",
        Environment::Sandbox => "sandbox",
    };
    let mut text =
        format!("[[channel]]\nid = \"{id}\"\nkind = \"{}\"\nenvironment = \"{environment}\"\n", platform.kind);
    settings.ends().is_empty().then_some(())?;
    for (name, value) in settings.values() {
        text.push_str(&line(platform, name, value)?);
    }
    Some(text)
}

/// The example of a damage on a stage; none where it does not concern the platform, or no file can hold it.
fn example(stage: &'static Stage, damage: &Damage) -> Option<Example> {
    let first = *stage.side.stories().first()?;
    let scene = stage.scene(&Stage::story(first, damage.note));
    // Other channels only where the mistake has to do with them.
    let alone = scene.beside(Vec::new());
    let scene = (damage.does)(alone)?;
    let diagnosis = scene.diagnose()?;
    (!diagnosis.outcome.is_accepted()).then_some(())?;
    if findings::by_id(damage.id).is_some() && ids(&diagnosis) != [damage.id] {
        return None;
    }
    // A file has no clock of its own: where the time counts, it is told.
    let mut platforms = scene.others.iter().map(|other| other.platform).chain([stage.platform]);
    let is_timed = platforms.any(|platform| platform.freshness.is_some()) || scene.now != at();
    let time = if is_timed { format!(" --at {}", scene.now) } else { String::new() };
    let (file, request) = kept(&scene);
    let mut configuration = format!(
        "# {}: {}.\n# tollbell explain {file} --config tollbell.toml --channel own{time}\n\n",
        damage.id, damage.label
    );
    configuration.push_str(&table("own", stage.platform, scene.settings())?);
    let ids: BTreeSet<&str> = scene.others.iter().map(|other| other.id).collect();
    (ids.len() == scene.others.len()).then_some(())?;
    for Other { id, platform, settings } in &scene.others {
        configuration.push('\n');
        configuration.push_str(&table(id, platform, settings.as_ref().unwrap_or(&stage.neighbour))?);
    }
    let mut more: Vec<&str> = Vec::new();
    more.extend((file != WHOLE).then_some(file));
    more.extend(Some(time.trim()).filter(|time| !time.is_empty()));
    let more: Vec<String> = more.iter().map(|more| format!("`{more}`")).collect();
    let told = format!("{} | `{}` | {}", damage.label, stage.platform.kind, more.join(" "));
    Some(Example { file, request, configuration, told })
}

/// The first example of each finding.
fn examples() -> BTreeMap<&'static str, Example> {
    let mut examples = BTreeMap::new();
    for damage in damage::all() {
        if examples.contains_key(damage.id) {
            continue;
        }
        // Rather on a platform whose messages may have any age, so that no time has to be told.
        let is_registered = |stage: &&Stage| by_kind(stage.platform.kind).is_some();
        let mut stages: Vec<&'static Stage> = stages().iter().filter(is_registered).collect();
        stages.sort_by_key(|stage| stage.platform.freshness.is_some());
        if let Some(example) = stages.into_iter().find_map(|stage| example(stage, damage)) {
            examples.insert(damage.id, example);
        }
    }
    examples
}

/// Every file, by its way from the folder.
fn files() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut page = String::from(
        "# Refused requests\n\nOne for each finding, made by the tests with throw-away keys. In a folder:\n\n```sh\n\
         tollbell explain request.http --config tollbell.toml --channel own\n```\n\nWhat stands under \"more\" is \
         another name of the request's file, or is added to the command. The second line of each `tollbell.toml` is the \
         whole command.\n\n| finding | what was done | platform | more |\n|---|---|---|---|\n",
    );
    for (id, example) in examples() {
        let _ = writeln!(page, "| [`{id}`]({id}/) | {} |", example.told);
        files.insert(PathBuf::from(id).join(example.file), example.request);
        files.insert(PathBuf::from(id).join("tollbell.toml"), example.configuration.into_bytes());
    }
    files.insert(PathBuf::from("README.md"), page.into_bytes());
    files
}

#[test]
fn the_examples_are_what_this_suite_makes() {
    let (folder, files) = (folder(), files());
    if env::var(REWRITE).as_deref() == Ok("examples") {
        let _ = fs::remove_dir_all(&folder);
        for (path, bytes) in &files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
            fs::write(path, bytes).expect("the file can be written");
        }
    }
    for (path, bytes) in &files {
        let written = fs::read(folder.join(path)).unwrap_or_default();
        assert!(written == *bytes, "{FOLDER}/{} is stale: {REWRITE}=examples writes it anew", path.display());
    }
    let known: BTreeSet<PathBuf> = files.keys().filter_map(|path| path.parent()).map(Path::to_path_buf).collect();
    for entry in fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry")) {
        let name = PathBuf::from(entry.file_name());
        assert!(files.contains_key(&name) || known.contains(&name), "{FOLDER}/{} is of nobody", name.display());
    }
}

/// Every finding that a request to a registered platform can show has an example.
#[test]
fn every_finding_has_an_example() {
    let examples = examples();
    let due: BTreeSet<&str> = damage::all().iter().map(|damage| damage.id).collect();
    let missing: Vec<&str> = due.into_iter().filter(|id| !examples.contains_key(id)).collect();
    assert_eq!(missing, UNSHOWN, "no example");
}
