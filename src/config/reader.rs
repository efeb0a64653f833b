//! Reading a TOML table key by key: every value is asked for by name and type, and what nobody asked for
//! is a mistake. All problems of all files are gathered, each with its place.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::messages::{Lang, Message};

/// Something that must be mended, or that a person should know, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line and column from 1, and the line's text; `None` for the file as a whole.
    pub place: Option<Place>,
    /// The key with its section, such as `server.listen`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and the cure.
    pub message: Message,
    is_warning: bool,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line, or nothing when it holds a secret.
    pub text: String,
}

impl Problem {
    /// Whether the configuration works in spite of it.
    pub fn is_warning(&self) -> bool {
        self.is_warning
    }

    /// The problem for people: place, key, text, and the line with a mark under it.
    pub fn render(&self, lang: Lang) -> String {
        let kind = if self.is_warning { Message::new("config.warning") } else { Message::new("config.problem") };
        let file = self.file.display();
        let mut text = match &self.place {
            Some(place) => format!("{file}:{}:{}: {}", place.line, place.column, kind.text(lang)),
            None => format!("{file}: {}", kind.text(lang)),
        };
        if !self.key.is_empty() {
            text.extend([" `", &self.key, "`:"]);
        }
        text.push(' ');
        text.push_str(&self.message.text(lang));
        if let Some(place) = self.place.as_ref().filter(|place| !place.text.is_empty()) {
            let mark = " ".repeat(place.column - 1);
            text.extend(["\n    | ", &place.text, "\n    | ", &mark, "^"]);
        }
        text
    }
}

/// Gathers the problems of one file.
pub(super) struct Sink {
    file: PathBuf,
    text: String,
    found: RefCell<Vec<Problem>>,
}

impl Sink {
    pub(super) fn new(file: &Path, text: String) -> Self {
        Self { file: file.to_owned(), text, found: RefCell::new(Vec::new()) }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn problem(&self, span: Option<Range<usize>>, key: &str, message: Message) {
        self.push(span, key, message, false, false);
    }

    pub(super) fn warning(&self, span: Option<Range<usize>>, key: &str, message: Message) {
        self.push(span, key, message, true, false);
    }

    /// As [`Sink::problem`] or [`Sink::warning`], without the line: it holds a secret.
    pub(super) fn about_secret(&self, span: Option<Range<usize>>, key: &str, message: Message, is_warning: bool) {
        self.push(span, key, message, is_warning, true);
    }

    fn push(&self, span: Option<Range<usize>>, key: &str, message: Message, is_warning: bool, is_secret: bool) {
        let place = span.map(|span| {
            let mut place = place_of(&self.text, span.start);
            if is_secret {
                place.text.clear();
            }
            place
        });
        let problem = Problem { file: self.file.clone(), place, key: key.to_owned(), message, is_warning };
        self.found.borrow_mut().push(problem);
    }

    pub(super) fn into_found(self) -> Vec<Problem> {
        self.found.into_inner()
    }
}

fn place_of(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let column = before[line_start..].chars().count() + 1;
    let text = text[line_start..].lines().next().unwrap_or("").to_owned();
    Place { line, column, text }
}

/// One table, read key by key.
pub(super) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    name: String,
    span: Range<usize>,
    asked: RefCell<BTreeSet<String>>,
    pub(super) sink: &'a Sink,
}

impl<'a> Section<'a> {
    pub(super) fn new(table: Option<&'a DeTable<'a>>, name: &str, span: Range<usize>, sink: &'a Sink) -> Self {
        Self { table, name: name.to_owned(), span, asked: RefCell::default(), sink }
    }

    /// A table inside the file's top table; an empty one when it is not there.
    pub(super) fn inside(top: &'a DeTable<'a>, name: &str, sink: &'a Sink) -> Self {
        let found = top.get(name);
        let table = found.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        if let (Some(value), None) = (found, table) {
            sink.problem(Some(value.span()), name, wrong_type("table"));
        }
        Self::new(table, name, found.map_or(0..0, Spanned::span), sink)
    }

    /// The tables of an array of tables.
    pub(super) fn each(top: &'a DeTable<'a>, name: &str, sink: &'a Sink) -> Vec<Self> {
        let Some(value) = top.get(name) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            sink.problem(Some(value.span()), name, Message::new("config.not_tables").with("name", name));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Self::new(Some(table), name, item.span(), sink)),
                _ => sink.problem(Some(item.span()), name, wrong_type("table")),
            }
        }
        sections
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The place of a key's value, else of the table.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.table.and_then(|table| table.get(key)).map_or_else(|| self.span(), Spanned::span)
    }

    pub(super) fn problem(&self, key: &str, message: Message) {
        self.sink.problem(Some(self.span_of(key)), &self.path(key), message);
    }

    /// Reads a value; `parse` gives `None` for a wrong type or form.
    pub(super) fn read<T>(
        &self,
        key: &str,
        expected: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Option<T> {
        self.asked.borrow_mut().insert(key.to_owned());
        let value = self.table?.get(key)?;
        let parsed = parse(value.get_ref());
        if parsed.is_none() {
            self.problem(key, wrong_type(expected));
        }
        parsed
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.read(key, "text", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.read(key, "flag", |value| match value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        })
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.read(key, "number", number)
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.read(key, "duration", |value| parse_duration(value.as_str()?))
    }

    pub(super) fn durations(&self, key: &str) -> Option<Vec<Duration>> {
        self.read(key, "durations", |value| match value {
            DeValue::Array(items) => items.iter().map(|item| parse_duration(item.get_ref().as_str()?)).collect(),
            _ => None,
        })
    }

    /// A number of bytes, plain or with `KiB` or `MiB`.
    pub(super) fn bytes(&self, key: &str) -> Option<u64> {
        self.read(key, "bytes", |value| match value.as_str() {
            Some(text) => parse_bytes(text),
            None => number(value),
        })
    }

    /// A text, or a list of texts.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.read(key, "texts", |value| match value {
            DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect(),
            other => other.as_str().map(|text| vec![text.to_owned()]),
        })
    }

    /// An inline table of plain values as texts, or one bare text under the empty name.
    pub(super) fn pairs(&self, key: &str) -> Option<Vec<(String, String)>> {
        self.read(key, "pairs", |value| match value {
            DeValue::Table(table) => {
                table.iter().map(|(name, value)| Some((name.get_ref().to_string(), plain(value.get_ref())?))).collect()
            }
            other => Some(vec![(String::new(), other.as_str()?.to_owned())]),
        })
    }

    /// An inner table.
    pub(super) fn table(&self, key: &str) -> Option<Self> {
        self.asked.borrow_mut().insert(key.to_owned());
        let value = self.table?.get(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            Some(Section::new(Some(table), &self.path(key), value.span(), self.sink))
        } else {
            self.problem(key, wrong_type("table"));
            None
        }
    }

    /// Reports every key that nobody asked for, with the nearest one that somebody did.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if asked.contains(name) {
                continue;
            }
            let message = match nearest(name, asked.iter().map(String::as_str)) {
                Some(known) => Message::new("config.unknown_key_nearest").with("nearest", known),
                None => Message::new("config.unknown_key"),
            };
            self.sink.problem(Some(key.span()), &self.path(name), message);
        }
    }
}

fn wrong_type(expected: &'static str) -> Message {
    let key = match expected {
        "text" => "config.expected_text",
        "flag" => "config.expected_flag",
        "number" => "config.expected_number",
        "duration" => "config.expected_duration",
        "durations" => "config.expected_durations",
        "bytes" => "config.expected_bytes",
        "texts" => "config.expected_texts",
        "pairs" => "config.expected_pairs",
        _ => "config.expected_table",
    };
    Message::dynamic(key.to_owned())
}

fn number(value: &DeValue<'_>) -> Option<u64> {
    match value {
        DeValue::Integer(integer) => u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok(),
        _ => None,
    }
}

fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(integer) => Some(integer.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Longest duration that a configuration may name: a hundred years is a slip of the pen.
const DURATION_MAX: Duration = Duration::from_hours(878_400);

/// `500ms`, `3s`, `10m`, `2h`, `90d`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(count.checked_mul(millis)?)).filter(|duration| *duration <= DURATION_MAX)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (count, unit) = match text.strip_suffix("KiB") {
        Some(count) => (count, 1024),
        None => match text.strip_suffix("MiB") {
            Some(count) => (count, 1024 * 1024),
            None => (text, 1),
        },
    };
    count.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// The nearest of the known words, when it is near enough to be meant.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let near = word.chars().count() / 3 + 1;
    known.into_iter().map(|k| (distance(word, k), k)).filter(|(d, _)| *d <= near).min().map(|(_, k)| k)
}

/// Insertions, deletions and replacements between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_strict() {
        for (text, millis) in
            [("500ms", 500), ("3s", 3_000), ("10m", 600_000), ("2h", 7_200_000), ("90d", 7_776_000_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "3", "s", "-3s", "3 s", "3.5s", "1w", "99999999999999999999s", "9999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_bytes("64KiB"), Some(65_536));
        assert_eq!(parse_bytes("1MiB"), Some(1_048_576));
        assert_eq!(parse_bytes("1MB"), None);
    }

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["listen", "public_url", "drain_timeout"];
        assert_eq!(nearest("listn", known), Some("listen"));
        assert_eq!(nearest("drain_time", known), Some("drain_timeout"));
        assert_eq!(nearest("colour", known), None);
    }
}
