//! The table and the raw figures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::load::Measured;

/// One measured line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) scenario: String,
    pub(crate) server: String,
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_us: f64,
    pub(crate) peak_memory: u64,
    pub(crate) more: Vec<(&'static str, f64)>,
}

impl Line {
    pub(crate) fn new(scenario: &str, server: &str, measured: &Measured, cpu: Duration, peak_memory: u64) -> Self {
        let requests = (measured.accepted + measured.refused).max(1) as f64;
        Self {
            scenario: scenario.to_owned(),
            server: server.to_owned(),
            rate: measured.rate(),
            p50_ms: measured.percentile(50.0),
            p99_ms: measured.percentile(99.0),
            cpu_us: cpu.as_secs_f64() * 1e6 / requests,
            peak_memory,
            more: Vec::new(),
        }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "scenario": self.scenario, "server": self.server, "per_second": self.rate,
            "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "cpu_us_per_request": self.cpu_us,
            "peak_memory_bytes": self.peak_memory,
        });
        for (name, number) in &self.more {
            value[*name] = json!(number);
        }
        value
    }
}

/// A ratio that is due.
#[derive(Debug)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    pub(crate) found: f64,
    /// At least this, or at most when `is_ceiling`.
    pub(crate) due: f64,
    pub(crate) is_ceiling: bool,
}

impl Ratio {
    fn is_met(&self) -> bool {
        if self.is_ceiling { self.found <= self.due } else { self.found >= self.due }
    }
}

/// All of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<Line>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Report {
    pub(crate) fn find(&self, scenario: &str, server: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.scenario == scenario && line.server == server)
    }

    /// Notes a ratio when both figures are there.
    pub(crate) fn due(&mut self, name: &str, found: Option<f64>, due: f64, is_ceiling: bool) {
        if let Some(found) = found {
            self.ratios.push(Ratio { name: name.to_owned(), found, due, is_ceiling });
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut text = String::from("| what | server | per second | p50 ms | p99 ms | CPU µs | peak MB | more |\n|---|---|---:|---:|---:|---:|---:|---|\n");
        for line in &self.lines {
            let more: Vec<String> = line.more.iter().map(|(name, number)| format!("{name} {number:.3}")).collect();
            drop(writeln!(
                text,
                "| {} | {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.0} | {} |",
                line.scenario, line.server, line.rate, line.p50_ms, line.p99_ms, line.cpu_us,
                line.peak_memory as f64 / 1e6, more.join(", ")
            ));
        }
        text.push_str("\n| ratio | found | due | |\n|---|---:|---:|---|\n");
        for ratio in &self.ratios {
            let sign = if ratio.is_ceiling { "≤" } else { "≥" };
            let met = if ratio.is_met() { "met" } else { "**missed**" };
            drop(writeln!(text, "| {} | {:.2} | {sign} {:.2} | {met} |", ratio.name, ratio.found, ratio.due));
        }
        text
    }

    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let lines: Vec<Value> = self.lines.iter().map(Line::to_json).collect();
        let ratios: Vec<Value> = self
            .ratios
            .iter()
            .map(|r| json!({ "name": r.name, "found": r.found, "due": r.due, "is_ceiling": r.is_ceiling, "met": r.is_met() }))
            .collect();
        let text = serde_json::to_string_pretty(&json!({ "lines": lines, "ratios": ratios }))?;
        fs::write(folder.join("figures.json"), text).context("write the raw figures")?;
        fs::write(folder.join("figures.md"), self.table()).context("write the table")
    }
}

/// Tells why the run failed.
#[expect(clippy::print_stderr, reason = "a program's last words")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("{error:#}");
}

/// Tells how far the run is, and the table at its end.
#[expect(clippy::print_stdout, reason = "what the program is for")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
