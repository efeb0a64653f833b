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
    /// The line as it may be shown: only the value that the problem is about is readable in it, because
    /// any other text may be a secret, also under a mistyped key. Empty when nothing may be shown.
    pub text: String,
    /// What stands before the marked character in `text`, as blanks of the same width.
    indent: String,
}

impl Place {
    /// Where a byte stands in a text, without any of the text.
    pub(super) fn bare(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        let line = before.matches('\n').count() + 1;
        Self { line, column: before[start..].chars().count() + 1, text: String::new(), indent: String::new() }
    }

    /// Adds a piece of the source; the mark stands at `mark` of the source.
    fn push(&mut self, source: &str, piece: Range<usize>, mark: usize) {
        if piece.contains(&mark) || piece.end == mark {
            self.indent = blanks(&self.text) + &blanks(&source[piece.start..mark]);
        }
        self.text.push_str(&source[piece]);
    }
}

impl Problem {
    /// A warning about the configuration as a whole, from a part of the program that knows more than the file.
    pub fn warning(file: &Path, key: &str, message: Message) -> Self {
        Self { file: file.to_owned(), place: None, key: key.to_owned(), message, is_warning: true }
    }

    /// A mistake that a part of the program found that knows more than the file.
    pub fn mistake(file: &Path, key: &str, message: Message) -> Self {
        Self { is_warning: false, ..Self::warning(file, key, message) }
    }

    /// The same at a place of a file, of which nothing is shown but the place.
    #[must_use]
    pub fn at(self, place: Option<(PathBuf, Place)>) -> Self {
        match place {
            Some((file, place)) => Self { file, place: Some(place), ..self },
            None => self,
        }
    }

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
        // 中文 punctuation brings its own space.
        let (before, colon) = match lang {
            Lang::En => (" ", ": "),
            Lang::Zh => ("", "："),
        };
        text.push_str(before);
        if !self.key.is_empty() {
            text.extend(["`", &self.key, "`", colon]);
        }
        text.push_str(&self.message.text(lang));
        if let Some(place) = self.place.as_ref().filter(|place| !place.text.is_empty()) {
            text.extend(["\n    | ", &place.text, "\n    | ", &place.indent, "^"]);
        }
        text
    }
}

/// Gathers the problems of one file.
pub(super) struct Sink {
    file: PathBuf,
    text: String,
    /// Where texts stand in the file, in their order; `None` until the file was understood.
    texts: RefCell<Option<Vec<Range<usize>>>>,
    asked: RefCell<BTreeSet<String>>,
    found: RefCell<Vec<Problem>>,
}

/// What a problem may show of the texts on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Showing {
    /// Those inside its own span: a value that is wrong and no secret.
    Own,
    /// None: the span holds a secret, or more than one value.
    Nothing,
}

impl Sink {
    pub(super) fn new(file: &Path, text: String) -> Self {
        Self {
            file: file.to_owned(),
            text,
            texts: RefCell::default(),
            asked: RefCell::default(),
            found: RefCell::default(),
        }
    }

    /// Tells the sink where texts stand, so that lines can be shown without them.
    pub(super) fn understood(&self, table: &DeTable<'_>) {
        let mut texts = Vec::new();
        for (_, value) in table {
            texts_of(value, &mut texts);
        }
        texts.sort_by_key(|range| range.start);
        *self.texts.borrow_mut() = Some(texts);
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn problem(&self, span: Option<Range<usize>>, key: &str, message: Message) {
        self.push(span, key, message, Showing::Nothing, false);
    }

    pub(super) fn warning(&self, span: Option<Range<usize>>, key: &str, message: Message) {
        self.push(span, key, message, Showing::Nothing, true);
    }

    fn push(&self, span: Option<Range<usize>>, key: &str, message: Message, showing: Showing, is_warning: bool) {
        let place = span.map(|span| self.place(&span, showing));
        let problem = Problem { file: self.file.clone(), place, key: key.to_owned(), message, is_warning };
        self.found.borrow_mut().push(problem);
    }

    fn place(&self, span: &Range<usize>, showing: Showing) -> Place {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        let column = before[start..].chars().count() + 1;
        let end = start + self.text[start..].lines().next().unwrap_or("").len();
        let mut place = Place { line, column, text: String::new(), indent: String::new() };
        // What was not understood may be anything.
        let texts = self.texts.borrow();
        let Some(texts) = texts.as_deref() else { return place };
        let is_shown = |text: &Range<usize>| {
            showing == Showing::Own && span.start <= text.start && text.end <= span.end && text.end <= end
        };
        let mut at = start;
        for text in texts.iter().filter(|text| text.end > start && text.start < end && !is_shown(text)) {
            place.push(&self.text, at..text.start.max(at), span.start);
            if text.start == span.start {
                place.indent = blanks(&place.text);
            }
            place.text.push_str(HIDDEN);
            at = text.end.min(end);
        }
        place.push(&self.text, at..end, span.start);
        place
    }

    /// Every key that was asked for, with its section.
    pub(super) fn into_asked(self) -> BTreeSet<String> {
        self.asked.into_inner()
    }

    /// What was found, in the order of the file.
    pub(super) fn into_found(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.place.as_ref().map(|place| (place.line, place.column)));
        found
    }
}

fn texts_of(value: &Spanned<DeValue<'_>>, texts: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(_) => texts.push(value.span()),
        DeValue::Array(items) => items.iter().for_each(|item| texts_of(item, texts)),
        DeValue::Table(table) => table.iter().for_each(|(_, inner)| texts_of(inner, texts)),
        _ => {}
    }
}

/// What stands for a text that is not shown.
const HIDDEN: &str = "\"…\"";
/// From here on letters are as wide as two others (Chinese, Japanese, Korean).
const WIDE_FROM: char = '\u{2e80}';

/// Blanks as wide as the text, so that a mark below it stands right.
fn blanks(text: &str) -> String {
    let blank = |c: char| match c {
        '\t' => '\t',
        wide if wide >= WIDE_FROM => '\u{3000}',
        _ => ' ',
    };
    text.chars().map(blank).collect()
}

/// One table, read key by key.
pub(super) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    name: String,
    span: Range<usize>,
    asked: RefCell<BTreeSet<String>>,
    sink: &'a Sink,
    secrets: RefCell<BTreeSet<String>>,
    reported: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(table: Option<&'a DeTable<'a>>, name: &str, span: Range<usize>, sink: &'a Sink) -> Self {
        Self {
            table,
            name: name.to_owned(),
            span,
            asked: RefCell::default(),
            sink,
            secrets: RefCell::default(),
            reported: RefCell::default(),
        }
    }

    /// A table inside the file's top table; an empty one when it is not there.
    pub(super) fn inside(top: &'a DeTable<'a>, name: &str, sink: &'a Sink) -> Self {
        let found = top.get(name);
        let table = found.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        if let (Some(value), None) = (found, table) {
            sink.problem(Some(value.span()), name, not_a_table(name));
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
                _ => sink.problem(Some(item.span()), name, Message::new("config.not_tables").with("name", name)),
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

    /// Whether a key's value is a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.table.and_then(|table| table.get(key)).is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// The place of a key's value, else of the table.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.table.and_then(|table| table.get(key)).map_or_else(|| self.span(), Spanned::span)
    }

    pub(super) fn problem(&self, key: &str, message: Message) {
        self.reported.borrow_mut().insert(key.to_owned());
        self.push(key, message, false);
    }

    pub(super) fn warning(&self, key: &str, message: Message) {
        self.push(key, message, true);
    }

    fn push(&self, key: &str, message: Message, is_warning: bool) {
        let is_shown = self.has(key) && !self.secrets.borrow().contains(key);
        let showing = if is_shown { Showing::Own } else { Showing::Nothing };
        self.sink.push(Some(self.span_of(key)), &self.path(key), message, showing, is_warning);
    }

    /// Whether a problem of this key was reported.
    pub(super) fn has_reported(&self, key: &str) -> bool {
        self.reported.borrow().contains(key)
    }

    /// From now on the key's value is not shown.
    pub(super) fn keep_secret(&self, key: &str) {
        self.secrets.borrow_mut().insert(key.to_owned());
    }

    fn ask(&self, key: &str) {
        self.asked.borrow_mut().insert(key.to_owned());
        self.sink.asked.borrow_mut().insert(self.path(key));
    }

    /// Reads a value; `parse` gives `None` for a wrong type or form.
    pub(super) fn read<T>(
        &self,
        key: &str,
        expected: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Option<T> {
        self.ask(key);
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

    /// The value of a key as it stands in the file, for nested settings.
    pub(super) fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.ask(key);
        self.table?.get(key)
    }

    /// A table somewhere inside this one; `key` is its path from here.
    pub(super) fn at(&self, table: &'a DeTable<'a>, key: &str, span: Range<usize>) -> Self {
        Self::new(Some(table), &self.path(key), span, self.sink)
    }

    /// A problem at a place inside this table; `key` is its path from here.
    pub(super) fn problem_at(&self, span: Range<usize>, key: &str, message: Message, is_shown: bool) {
        let showing = if is_shown { Showing::Own } else { Showing::Nothing };
        self.sink.push(Some(span), &self.path(key), message, showing, false);
    }

    /// From now on this key counts as reported: its problem was shown at a place inside it.
    pub(super) fn note(&self, key: &str) {
        self.reported.borrow_mut().insert(key.to_owned());
    }

    /// An inner table.
    pub(super) fn table(&self, key: &str) -> Option<Self> {
        self.ask(key);
        let value = self.table?.get(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            Some(Self::new(Some(table), &self.path(key), value.span(), self.sink))
        } else {
            self.problem(key, not_a_table(&self.path(key)));
            None
        }
    }

    /// The inner tables of an array of tables.
    pub(super) fn tables(&self, key: &str) -> Vec<Self> {
        self.asked.borrow_mut().insert(key.to_owned());
        let Some(value) = self.table.and_then(|table| table.get(key)) else { return Vec::new() };
        let name = self.path(key);
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut sections = Vec::new();
        for item in items {
            match (value.get_ref(), item.get_ref()) {
                (DeValue::Array(_), DeValue::Table(table)) => {
                    sections.push(Self::new(Some(table), &name, item.span(), self.sink));
                }
                _ => self.problem(key, Message::new("config.not_tables").with("name", &name)),
            }
        }
        sections
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

fn not_a_table(name: &str) -> Message {
    Message::new("config.expected_table").with("name", name)
}

fn wrong_type(expected: &'static str) -> Message {
    if expected == "pairs" {
        return Message::new("config.expected_pairs").with("example", "{ status = 200 }");
    }
    let key = match expected {
        "text" => "config.expected_text",
        "flag" => "config.expected_flag",
        "number" => "config.expected_number",
        "duration" => "config.expected_duration",
        "durations" => "config.expected_durations",
        "bytes" => "config.expected_bytes",
        _ => "config.expected_texts",
    };
    Message::dynamic(key.to_owned())
}

/// A whole number that is not negative.
pub(super) fn number(value: &DeValue<'_>) -> Option<u64> {
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
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
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
    let length = word.chars().count();
    // A word of which nothing is left is another word.
    let is_near = |distance: usize| distance <= length / 3 + 1 && distance < length;
    known.into_iter().map(|k| (distance(word, k), k)).filter(|(d, _)| is_near(*d)).min().map(|(_, k)| k)
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
