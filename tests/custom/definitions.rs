//! Every kind of signature that the documents of platforms describe, as configurations, against messages that a program
//! signed which knows nothing of this one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tollbell_channels::channel::{Channel, Likeness, Verdict};
use tollbell_channels::model::{Notification, RawRequest, Timestamp};
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{Mirror, OtherSide, Story};

use super::written::{Written, request};

const DEFINITIONS: &str = include_str!("definitions.toml");

/// Messages of each definition; half of them are spoilt.
const MESSAGES: usize = 60;

/// Definitions in the file.
const COUNT: usize = 20;

struct Oracle {
    written: Written,
    /// The oracle's own time.
    now: Timestamp,
    cases: Vec<Value>,
}

/// The configuration with the oracle's keys, and the oracle's messages.
fn oracle(messages: usize) -> Oracle {
    let written = Written::new(DEFINITIONS, &[]);
    let folder = written.path().parent().unwrap().to_owned();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("TOLLBELL_PYTHON").map_or_else(|| workspace.join(".venv/bin/python"), PathBuf::from);
    let output = Command::new(&python)
        .arg(workspace.join("tests/oracles/definitions.py"))
        .args(["make", "20261121", &messages.to_string()])
        .arg(&folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `make setup`, or set TOLLBELL_PYTHON", python.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    written.close_keys();
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let now = Timestamp::from_second(lines.next().unwrap().as_i64().unwrap()).unwrap();
    Oracle { written, now, cases: lines.collect() }
}

fn channels(written: &Written) -> BTreeMap<String, Arc<dyn Channel>> {
    written.channels().into_iter().map(|channel| (channel.id.to_string(), channel.channel)).collect()
}

fn told(case: &Value) -> RawRequest {
    let headers: Vec<(&str, &str)> = case["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let mut told = request(&headers, "");
    told.method = case["method"].as_str().unwrap().parse().unwrap();
    case["path"].as_str().unwrap().clone_into(&mut told.path);
    told.query = case["query"].as_str().map(str::to_owned);
    told.body = STANDARD.decode(case["body"].as_str().unwrap()).unwrap().into();
    told
}

fn check_facts(case: &Value, found: &Notification) {
    let says = &case["says"];
    assert_eq!(found.facts.len(), says["facts"].as_u64().map_or(1, |facts| usize::try_from(facts).unwrap()), "{case}");
    let fact = &found.facts[0];
    assert_eq!(fact.kind.as_str(), says["event"], "{case}");
    assert_eq!(found.concerns, [], "{case}");
    assert_eq!(fact.order_no.as_deref(), says["order"].as_str(), "{case}");
    let money = fact.signed_money();
    assert_eq!(money.map(|money| money.minor), says["minor"].as_i64(), "{case}");
    assert_eq!(money.map(|money| money.currency.code().to_owned()).as_deref(), says["currency"].as_str(), "{case}");
    if let Some(number) = says["number"].as_str() {
        assert_eq!(fact.identity.as_str(), number, "{case}");
    }
}

#[test]
fn what_a_stranger_to_this_program_signs_is_accepted_and_nothing_else() {
    let oracle = oracle(MESSAGES);
    let channels = channels(&oracle.written);
    assert_eq!((channels.len(), oracle.cases.len()), (COUNT, COUNT * MESSAGES));
    let now = oracle.now;
    let mut refusals: BTreeMap<(String, String), u32> = BTreeMap::new();
    for case in &oracle.cases {
        let name = case["definition"].as_str().unwrap();
        let (channel, request) = (&channels[name], told(case));
        let verdict = channel.verify(&request, now);
        match (case["genuine"].as_bool().unwrap(), case["says"]["hint"].as_str(), verdict) {
            (true, None, Verdict::Genuine(proven)) => check_facts(case, proven.value()),
            (true, Some(number), Verdict::Hint(hint)) => {
                assert_eq!(hint.number().as_str(), number, "{case}");
                // Whoever can send a bare number is anybody.
                assert_eq!(hint.is_by_key(), name != "mollie_classic", "{case}");
            }
            (false, _, Verdict::Refused(rejection)) => {
                let way = case["way"].as_str().unwrap().to_owned();
                if ["old", "early"].contains(&&*way) {
                    assert_eq!(rejection.word(), "stale", "{case}");
                }
                *refusals.entry((name.to_owned(), way)).or_default() += 1;
            }
            (_, _, other) => panic!("{other:?}: {case}"),
        }
        if case["genuine"] == true {
            assert_eq!(channel.recognise(&request), Likeness::Merchant, "{case}");
        }
    }
    for name in channels.keys() {
        let ways = refusals.keys().filter(|(own, _)| own == name).count();
        assert!(ways >= if name == "mollie_classic" { 1 } else { 2 }, "{name}: hardly spoilt: {refusals:?}");
    }
}

/// Who tells: the channel's own secret, or a pair of keys for the trial.
enum Told {
    Mirror(Box<dyn Mirror>),
    Side(Box<dyn OtherSide>),
}

impl Told {
    fn callback(&self, story: &Story) -> RawRequest {
        match self {
            Self::Mirror(mirror) => mirror.callback(story),
            Self::Side(side) => side.callback(story).request,
        }
    }
}

/// What each definition's own other side tells is what its channel believes: what `sample` sends.
#[test]
fn every_definition_can_be_told() {
    let oracle = oracle(2);
    let at = oracle.now;
    for channel in oracle.written.channels() {
        let (stories, told, judge) = match (channel.platform.mirror.unwrap())(&channel.settings) {
            Ok(mirror) => (mirror.stories(), Told::Mirror(mirror), Arc::clone(&channel.channel)),
            // Only the platform can sign: a pair of keys is made for the trial, and the channel trusts it.
            Err(error) => {
                assert_eq!((error.setting, error.word), ("public_key", "not_supported"), "{}", channel.id);
                assert!(["standard_v1a", "antom", "paypal"].contains(&&*channel.id), "{}", channel.id);
                let side = (channel.platform.simulate)().fitted(&channel.settings).unwrap();
                let settings = side.settings();
                let public = settings.key("public_key").unwrap().to_vec();
                let trial = channel.settings.clone().with("public_key", SettingValue::Key(public.into()));
                let judge = Arc::from((channel.platform.build)(&trial).unwrap());
                (side.stories().to_vec(), Told::Side(side), judge)
            }
        };
        assert!(!stories.is_empty(), "{}", channel.id);
        for kind in stories {
            let path = Some(format!("/notify/{}", channel.id));
            let refund = Story { refund_no: Some("R1".into()), refunded_minor: 50, ..Story::paid("T1", 12_345, at) };
            let request = told.callback(&Story { kind, path, ..refund });
            assert_eq!(request.path, format!("/notify/{}", channel.id));
            let verdict = judge.verify(&request, at);
            let is_believed = match &verdict {
                Verdict::Genuine(proven) => proven.value().facts.iter().any(|fact| fact.kind == kind),
                Verdict::Hint(_) => judge.fetch_back().is_some(),
                _ => false,
            };
            assert!(is_believed, "{} {kind}: {verdict:?}", channel.id);
        }
    }
}
