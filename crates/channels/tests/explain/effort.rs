//! However hostile a request is and however large a configuration: what is tried is bounded, by counting.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tollbell_channels::explain::{OPERATIONS_MAX, VERIFICATION_COST, WORK_MAX};
use tollbell_channels::model::RawRequest;
use tollbell_channels::settings::{SettingKind, SettingValue, Settings};

use super::bytes::{Form, pairs, write_form};
use super::garbage::is_tame;
use super::matrix::genuine;
use super::pen::Pen;
use super::stage::{Other, Scene, Stage, build, secrets, stages, with_every_stage};

/// Channels beside the one that is asked.
const OTHERS: usize = 30;

/// Largest body that a gateway takes.
const BODY_MAX: usize = 1024 * 1024;

/// Fields of a hostile form.
const FIELDS: usize = 1_000;

/// Set, the dearest requests are printed with their times: `make bench-explain`.
const TIMES: &str = "TOLLBELL_TIMES";

/// The dearest requests that are printed.
const DEAREST: usize = 12;

/// Most keys that are tried in one list; a platform that takes fewer is given as many as it takes.
const KEYS: [usize; 5] = [32, 16, 8, 4, 2];

/// The settings with as many keys as a channel may have.
fn with_many_keys(stage: &Stage) -> Settings {
    let list = stage.platform.settings.iter().find(|setting| setting.kind == SettingKind::SecretFiles);
    let first = secrets(stage.platform, &stage.settings).into_iter().next();
    if let (Some(list), Some((single, _, secret))) = (list, first) {
        for count in KEYS {
            let one = |turn: usize| {
                let mut secret = secret.clone();
                let at = secret.len() - 1 - turn % 8;
                secret[at] = b"0123456789abcdef"[(turn * 7 + usize::from(secret[at])) % 16];
                secret.into()
            };
            let keys = SettingValue::Keys((0..count).map(one).collect());
            let settings = stage.settings.clone().without(single).with(list.name, keys);
            if (stage.platform.build)(&settings).is_ok() {
                return settings;
            }
        }
    }
    // Certificates stand one behind another in one file.
    for setting in stage.platform.settings.iter().filter(|setting| setting.kind == SettingKind::PublicKey) {
        let (Some(own), Some(other)) = (stage.settings.key(setting.name), stage.neighbour.key(setting.name)) else {
            continue;
        };
        let both = SettingValue::Key([own, b"\n", other].concat().into());
        let settings = stage.settings.clone().with(setting.name, both);
        if (stage.platform.build)(&settings).is_ok() {
            return settings;
        }
    }
    stage.settings.clone()
}

/// Channels of the same platform and of all others, in turn.
fn many_others(stage: &'static Stage) -> Vec<Other> {
    let neighbour = Other { id: "neighbour", platform: stage.platform, settings: None };
    let strangers = stages().iter().filter(|other| other.platform.kind != stage.platform.kind);
    let mut others = vec![neighbour; OTHERS / 2];
    let stranger =
        |other: &Stage| Other { id: "stranger", platform: other.platform, settings: Some(other.settings.clone()) };
    others.extend(strangers.take(OTHERS - others.len()).map(stranger));
    others
}

/// Requests that make a careless search long.
fn hostile(scene: &Scene<'_>) -> Vec<(&'static str, RawRequest)> {
    let genuine = &scene.request;
    let mut hostile: Vec<(&'static str, RawRequest)> = Vec::new();
    let with_body = |body: Vec<u8>| RawRequest { body: Bytes::from(body), ..genuine.clone() };
    let filled = |unit: &[u8], bytes: usize| unit.repeat(bytes / unit.len());
    if let Some(pen) = Pen::of(scene) {
        let forged: String = pen.signature.chars().rev().collect();
        let forgery = pen.put(scene.clone(), &forged).map(|scene| scene.request);
        hostile.extend(forgery.map(|forgery| ("forged", forgery)));
    }
    match Form::of(genuine) {
        Form::Form | Form::Query => {
            let own = pairs(genuine).expect("pairs");
            for (label, value) in [
                ("many fields", b"1".to_vec()),
                ("many fields to decode", b"%2541+%26amp%3B%5C%27".to_vec()),
                ("many wide fields", filled("引%25".as_bytes(), 600)),
            ] {
                let more = (0..FIELDS - own.len()).map(|at| (format!("f{at}").into_bytes(), value.clone()));
                let text = write_form(&own.iter().cloned().chain(more).collect::<Vec<_>>());
                hostile.push((label, put(genuine, text)));
            }
            let mut wide = own;
            wide[0].1 = filled("&amp;%2B\\'".as_bytes(), BODY_MAX / 4);
            hostile.push(("one wide field", put(genuine, write_form(&wide))));
        }
        Form::Json => {
            let inner = genuine.body[1..].to_vec();
            let deep = [filled(b"[", BODY_MAX / 2), filled(b"]", BODY_MAX / 2)].concat();
            hostile.push(("deep", with_body([b"{\"x\":", deep.as_slice(), b",", &inner].concat())));
            let nested = [filled(b"{\"a\":", 100_000), b"1".to_vec(), filled(b"}", 20_000)].concat();
            hostile.push(("deep objects", with_body([b"{\"x\":", nested.as_slice(), b",", &inner].concat())));
            let members: Vec<u8> =
                (0..20_000).rev().flat_map(|at| format!("\"m{at}\":{at}.0, ").into_bytes()).collect();
            hostile.push(("many members", with_body([b"{", members.as_slice(), &inner].concat())));
            let text = filled("\\u00e9\\/é&quot;".as_bytes(), BODY_MAX - 4096);
            hostile.push(("wide", with_body([b"{\"x\":\"", text.as_slice(), b"\",", &inner].concat())));
        }
        Form::Xml => {
            let end = genuine.body.windows(2).rposition(|window| window == b"</").unwrap_or(0);
            let (before, behind) = genuine.body.split_at(end);
            let elements: Vec<u8> =
                (0..FIELDS).flat_map(|at| format!("<e{at}>&amp;{at}</e{at}>").into_bytes()).collect();
            hostile.push(("many elements", with_body([before, &elements, behind].concat())));
            hostile.push(("deep", with_body([before, &filled(b"<a>", BODY_MAX / 2), behind].concat())));
        }
        Form::Other => {}
    }
    if !genuine.body.is_empty() {
        for (label, unit) in [
            ("all letters", b"A".as_slice()),
            ("all escapes", b"%25"),
            ("all line ends", b"\r\n"),
            ("all entities", b"&amp;amp;"),
            ("all quotes", b"\\\""),
            ("all marks", b"\xef\xbb\xbf"),
            ("all wide", "引".as_bytes()),
            ("all bytes", b"\xff\x00\x80"),
        ] {
            let body = [&genuine.body[..], &filled(unit, BODY_MAX - genuine.body.len())].concat();
            hostile.push((label, with_body(body)));
        }
    }
    hostile.push(("many headers", many_headers(genuine)));
    hostile
}

fn put(genuine: &RawRequest, text: Vec<u8>) -> RawRequest {
    match Form::of(genuine) {
        Form::Query => RawRequest { query: String::from_utf8(text).ok(), ..genuine.clone() },
        _ => RawRequest { body: Bytes::from(text), ..genuine.clone() },
    }
}

/// Each header under many names, and its value many times over.
fn many_headers(genuine: &RawRequest) -> RawRequest {
    let mut request = genuine.clone();
    for (name, value) in &genuine.headers {
        for turn in 0..10 {
            let other = HeaderName::from_bytes(format!("x{turn}-{name}").as_bytes()).expect("a name");
            request.headers.append(other, value.clone());
        }
        let long = [value.as_bytes(), b","].concat().repeat(20);
        request.headers.insert(name.clone(), HeaderValue::from_bytes(&long).expect("a value"));
    }
    request
}

/// Explains each hostile request of a platform; gives how long each took.
fn is_bounded(stage: &'static Stage) -> Vec<(Duration, String)> {
    let kind = stage.platform.kind;
    let settings = with_many_keys(stage);
    build(stage.platform, &settings);
    let scene = genuine(stage);
    let others = many_others(stage);
    let mut times = Vec::new();
    for (label, request) in hostile(&scene) {
        let bytes = request.body.len();
        let scene = Scene { request, ..scene.clone() }.with_settings(settings.clone()).beside(others.clone());
        let begin = Instant::now();
        let diagnosis = scene.diagnose().expect("a channel");
        times.push((begin.elapsed(), format!("{kind}, {label}, {bytes} bytes: {:?}", diagnosis.effort)));
        let effort = diagnosis.effort;
        assert!(effort.operations <= OPERATIONS_MAX, "{kind}: {label}: {effort:?}");
        assert!(effort.verifications <= 1 + WORK_MAX / VERIFICATION_COST, "{kind}: {label}: {effort:?}");
        assert!(!diagnosis.outcome.is_accepted() || diagnosis.findings.is_empty(), "{kind}: {label}");
        is_tame(stage, &diagnosis);
    }
    times
}

#[test]
#[expect(clippy::print_stdout, reason = "what takes how long is shown to whoever asks for it")]
fn what_is_tried_is_bounded() {
    let all = Mutex::new(Vec::new());
    with_every_stage(|stage| {
        let times = is_bounded(stage);
        all.lock().expect("nobody panics here").extend(times);
    });
    if std::env::var_os(TIMES).is_some() {
        let mut all = all.into_inner().expect("nobody panics here");
        all.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        println!("{} hostile requests beside {OTHERS} other channels; the dearest:", all.len());
        for (time, told) in all.iter().take(DEAREST) {
            println!("{:>6.1} ms  {told}", time.as_secs_f64() * 1000.0);
        }
    }
}
