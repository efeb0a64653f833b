//! What was measured: raw samples, the medians of their rounds, the ratios that are due, and the page that shows
//! them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

/// The figures that have columns of their own: key, heading, digits behind the point.
const COLUMNS: &[(&str, &str, usize)] = &[
    ("per_second", "per second", 0),
    ("p50_ms", "p50 ms", 2),
    ("p99_ms", "p99 ms", 2),
    ("max_ms", "max ms", 1),
    ("cpu_us", "CPU µs", 1),
    ("memory_mb", "memory MB", 0),
];

/// One measurement of one server in one round.
#[derive(Debug)]
pub(crate) struct Sample {
    scenario: String,
    server: String,
    round: usize,
    pub(crate) figures: BTreeMap<&'static str, f64>,
}

impl Sample {
    pub(crate) fn new(scenario: &str, server: &str, round: usize) -> Self {
        Self { scenario: scenario.to_owned(), server: server.to_owned(), round, figures: BTreeMap::new() }
    }

    pub(crate) fn with(mut self, figure: &'static str, value: f64) -> Self {
        self.figures.insert(figure, value);
        self
    }
}

/// Where figures of one server in one scenario are found.
pub(crate) type Place<'a> = (&'a str, &'a str);

/// A figure that is due.
#[derive(Debug)]
struct Due {
    name: String,
    found: f64,
    bound: Bound,
    /// What a prototype with one table and one index had.
    prototype: Option<f64>,
}

/// Which side of a figure is good.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Due {
    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.found >= least,
            Bound::AtMost(most) => self.found <= most,
        }
    }

    fn bound_text(&self) -> String {
        match self.bound {
            Bound::AtLeast(least) => format!("≥ {}", number(least)),
            Bound::AtMost(most) => format!("≤ {}", number(most)),
        }
    }
}

/// All of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    environment: Value,
    samples: Vec<Sample>,
    dues: Vec<Due>,
}

impl Report {
    /// Nothing measured yet, in this environment.
    pub(crate) fn new(environment: Value) -> Self {
        Self { environment, ..Self::default() }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        let Sample { scenario, server, round, figures } = &sample;
        let figures = figures.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect::<Vec<_>>();
        say(&format!("  {scenario} | {server} | round {} | {}", round + 1, figures.join(", ")));
        self.samples.push(sample);
    }

    fn values(&self, (scenario, server): Place<'_>, figure: &str) -> BTreeMap<usize, f64> {
        let own = self.samples.iter().filter(|sample| sample.scenario == scenario && sample.server == server);
        own.filter_map(|sample| Some((sample.round, *sample.figures.get(figure)?))).collect()
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, place: Place<'_>, figure: &str) -> Option<f64> {
        median(self.values(place, figure).into_values().collect())
    }

    /// The median of the rounds' ratios: two measurements of one round stand side by side in time.
    pub(crate) fn ratio(&self, over: Place<'_>, under: Place<'_>, figure: &str) -> Option<f64> {
        let under = self.values(under, figure);
        let ratios =
            self.values(over, figure).into_iter().filter_map(|(round, value)| Some(value / under.get(&round)?));
        median(ratios.collect())
    }

    /// Notes a figure that is due, when it was measured.
    pub(crate) fn due(&mut self, name: &str, found: Option<f64>, bound: Bound, prototype: Option<f64>) {
        if let Some(found) = found {
            self.dues.push(Due { name: name.to_owned(), found, bound, prototype });
        }
    }

    pub(crate) fn missed(&self) -> usize {
        self.dues.iter().filter(|due| !due.is_met()).count()
    }

    /// The page: what was measured, and what was due.
    pub(crate) fn table(&self) -> String {
        let mut shown: Vec<Place<'_>> = Vec::new();
        let mut rows = vec![headings(), COLUMNS.iter().fold("|---|---|".to_owned(), |rule, _| rule + "---:|") + "---|"];
        for sample in &self.samples {
            let place = (sample.scenario.as_str(), sample.server.as_str());
            if !shown.contains(&place) {
                shown.push(place);
                rows.push(self.row(sample, place));
            }
        }
        rows.push("\n| due | found | bound | prototype | |\n|---|---:|---:|---:|---|".to_owned());
        for due in &self.dues {
            let met = if due.is_met() { "met" } else { "**missed**" };
            let prototype = due.prototype.map_or_else(String::new, number);
            rows.push(format!("| {} | {} | {} | {prototype} | {met} |", due.name, number(due.found), due.bound_text()));
        }
        rows.push(String::new());
        rows.join("\n")
    }

    fn row(&self, sample: &Sample, place: Place<'_>) -> String {
        let mut cells = vec![place.0.to_owned(), place.1.to_owned()];
        cells.extend(COLUMNS.iter().map(|(figure, _, digits)| {
            self.median(place, figure).map_or_else(String::new, |value| format!("{value:.digits$}"))
        }));
        let others = sample.figures.keys().filter(|name| COLUMNS.iter().all(|(known, ..)| known != *name));
        let more: Vec<String> = others
            .filter_map(|name| Some(format!("{} {}", name.replace('_', " "), number(self.median(place, name)?))))
            .collect();
        cells.push(more.join(", "));
        format!("| {} |", cells.join(" | "))
    }

    /// Writes the raw figures and the page.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let samples = self.samples.iter().map(|sample| {
            json!({ "scenario": sample.scenario, "server": sample.server, "round": sample.round + 1, "figures": sample.figures })
        });
        let dues = self.dues.iter().map(|due| {
            let (least, most) = match due.bound {
                Bound::AtLeast(least) => (Some(least), None),
                Bound::AtMost(most) => (None, Some(most)),
            };
            json!({ "name": due.name, "found": due.found, "at_least": least, "at_most": most, "prototype": due.prototype, "is_met": due.is_met() })
        });
        let all = json!({
            "environment": self.environment, "samples": samples.collect::<Vec<_>>(), "due": dues.collect::<Vec<_>>(),
        });
        fs::write(folder.join("figures.json"), serde_json::to_string_pretty(&all)?).context("write the raw figures")?;
        let mut page = String::new();
        if let Some(environment) = self.environment.as_object() {
            for (name, value) in environment {
                writeln!(page, "* {name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
            }
        }
        fs::write(folder.join("figures.md"), page + "\n" + &self.table()).context("write the page")
    }
}

fn headings() -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|(_, heading, _)| *heading).collect();
    format!("| what | server | {} | more |", columns.join(" | "))
}

/// The middle one; between two, their mean.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// As many digits as tell something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_ratios_pairs_the_rounds() {
        let mut report = Report::default();
        for (round, (ours, theirs)) in [(10.0, 20.0), (30.0, 40.0), (90.0, 100.0)].into_iter().enumerate() {
            report.samples.push(Sample::new("accept", "tollbell", round).with("per_second", ours));
            report.samples.push(Sample::new("accept", "bare", round).with("per_second", theirs));
        }
        report.samples.push(Sample::new("accept", "tollbell", 3).with("per_second", 1.0));
        assert_eq!(report.ratio(("accept", "tollbell"), ("accept", "bare"), "per_second"), Some(0.75));
        assert_eq!(report.median(("accept", "tollbell"), "per_second"), Some(20.0));
        assert_eq!(report.median(("accept", "nobody"), "per_second"), None);
    }

    #[test]
    fn what_is_due_is_met_or_missed() {
        let mut report = Report::default();
        report.due("rate", Some(0.5), Bound::AtLeast(0.55), Some(0.72));
        report.due("p50", Some(0.5), Bound::AtMost(0.6), None);
        report.due("not measured", None, Bound::AtMost(0.6), None);
        assert_eq!(report.missed(), 1);
        let table = report.table();
        assert!(table.contains("| rate | 0.500 | ≥ 0.550 | 0.720 | **missed** |"), "{table}");
        assert!(table.contains("| p50 | 0.500 | ≤ 0.600 |  | met |"), "{table}");
        assert!(!table.contains("not measured"), "{table}");
    }
}
