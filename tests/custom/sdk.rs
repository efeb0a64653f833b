//! Official SDKs and configured channels judge the same messages, in both directions.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tollbell::clock;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::{EventKind, RawRequest};
use tollbell_channels::simulate::Story;

use super::written::{Written, one, request};

/// Messages of each SDK.
const CASES: usize = 400;

/// Secrets as the consoles show them: the literal text for two of the SDKs, base64 behind a prefix for one.
const SECRETS: [&str; 3] = [
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
];

const EVENT: &str = r#"[channel.event]
id = "json:/id"
type = "json:/type"
number = "json:/data/id"
order = "json:/data/order"
amount = { value = "json:/data/amount", currency = "json:/data/currency", form = "minor-int" }
map = { "payment.paid" = "payment.succeeded" }
"#;

fn verify(sdk: &str) -> &'static str {
    match sdk {
        "stripe" => {
            r#"[channel.verify]
signature = { from = "header:stripe-signature", parse = "kv", want = "v1" }
timestamp = { from = "sig:t", unit = "s", tolerance = 300 }
message = "{sig:t}.{body}"
algorithm = "hmac-sha256"
encoding = "hex"
"#
        }
        "standard" => {
            r#"[channel.verify]
signature = { from = "header:webhook-signature", parse = "list", list_sep = " ", version_sep = ",", want = "v1" }
timestamp = { from = "header:webhook-timestamp", unit = "s", tolerance = 300 }
message = "{header:webhook-id}.{header:webhook-timestamp}.{body}"
algorithm = "hmac-sha256"
encoding = "base64"
secret = { format = "base64", strip_prefix = "whsec_" }
"#
        }
        _ => {
            r#"[channel.verify]
signature = { from = "header:x-razorpay-signature", parse = "whole" }
message = "{body}"
algorithm = "hmac-sha256"
encoding = "hex"
"#
        }
    }
}

fn configured(sdk: &str, secret: &str) -> Written {
    one(&format!("{}{EVENT}", verify(sdk)), secret)
}

fn oracle(arguments: &[&str], lines: &[Value]) -> Vec<Value> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("TOLLBELL_PYTHON").map_or_else(|| workspace.join(".venv/bin/python"), PathBuf::from);
    let mut child = Command::new(&python)
        .arg(workspace.join("tests/oracles/custom_sdk.py"))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run `make setup`, or set TOLLBELL_PYTHON", python.display()));
    let mut stdin = child.stdin.take().unwrap();
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "is `make setup` up to date?");
    writer.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_sdks_accept_is_accepted_and_nothing_else() {
    let count = CASES.to_string();
    let arguments: Vec<&str> = ["make", "20261121", &count].into_iter().chain(SECRETS).collect();
    let cases = oracle(&arguments, &[]);
    let now = clock::system()();
    assert_eq!(cases.len(), 3 * CASES);
    let (mut accepted, mut refused) = (0, 0);
    for sdk in ["stripe", "standard", "razorpay"] {
        let channels = SECRETS.map(|secret| configured(sdk, secret).channel());
        for case in cases.iter().filter(|case| case["sdk"] == sdk) {
            let headers: Vec<(&str, &str)> = case["headers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
                .collect();
            let request = request(&headers, case["body"].as_str().unwrap());
            let secret = usize::try_from(case["secret"].as_u64().unwrap()).unwrap();
            let is_genuine = matches!(channels[secret].verify(&request, now), Verdict::Genuine(_));
            // The one SDK that has no window for the future; a time to come is refused here.
            let is_early = sdk == "stripe" && case["way"] == "early";
            let expected = case["genuine"].as_bool().unwrap() && !is_early;
            assert_eq!(is_genuine, expected, "{case}");
            if is_genuine { accepted += 1 } else { refused += 1 }
        }
    }
    assert!(accepted > CASES / 2 && refused > CASES / 2, "{accepted} accepted, {refused} refused");
}

/// The channel's own other side, as `sample` uses it.
fn mirrored(sdk: &str, secret: &str, number: usize) -> RawRequest {
    let channel = configured(sdk, secret).channels().remove(0);
    let mirror = (channel.platform.mirror.unwrap())(&channel.settings).unwrap();
    assert_eq!(mirror.stories(), [EventKind::PaymentSucceeded]);
    let note = ["", "é中😀", "a=b&c", "\"\\/\u{2028}"][number % 4].to_owned();
    mirror.callback(&Story { note, ..Story::paid(&format!("T{number}"), 12_345, clock::system()()) })
}

#[test]
fn the_sdks_accept_what_a_configured_channel_makes() {
    let mut lines = Vec::new();
    for sdk in ["stripe", "standard", "razorpay"] {
        for (number, secret) in SECRETS.iter().cycle().take(30).enumerate() {
            let request = mirrored(sdk, secret, number);
            let headers: Vec<_> =
                request.headers.iter().map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()])).collect();
            let body = std::str::from_utf8(&request.body).unwrap();
            lines.push(json!({ "sdk": sdk, "secret": secret, "headers": headers, "body": body }));
        }
    }
    let verdicts = oracle(&["judge"], &lines);
    assert_eq!(verdicts.len(), lines.len());
    for (line, verdict) in lines.iter().zip(verdicts) {
        assert_eq!(verdict, true, "{line}");
    }
}
