//! Runs an oracle, a program that knows the protocol and nothing of this crate.

#![allow(dead_code, reason = "each test binary that includes this file uses its own part of it")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

/// Names another Python than that of `make setup`.
const PYTHON: &str = "TOLLBELL_PYTHON";

/// Names another seed than the usual one, to search further by hand.
const SEED: &str = "TOLLBELL_ORACLE_SEED";

const USUAL_SEED: &str = "20261121";

/// The seed of all invented messages.
pub(crate) fn seed() -> String {
    std::env::var(SEED).unwrap_or_else(|_| USUAL_SEED.to_owned())
}

/// Gives the lines to the oracle and returns what it prints, a JSON value a line.
pub(crate) fn run(script: &str, arguments: &[&str], lines: &[Value]) -> Vec<Value> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os(PYTHON).map_or_else(|| workspace.join(".venv/bin/python"), PathBuf::from);
    let mut child = Command::new(&python)
        .arg(workspace.join("tests/oracles").join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run `make setup`, or set {PYTHON}", python.display()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the oracle's output");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{errors}\nis `make setup` up to date?", output.status);
    writer.join().expect("the writer").expect("the oracle read its lines");
    let printed = String::from_utf8(output.stdout).expect("the oracle prints UTF-8");
    printed.lines().map(|line| serde_json::from_str(line).expect("a JSON value a line")).collect()
}
