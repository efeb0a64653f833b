//! `[log]`: how logs look.

use super::reader::Section;
use crate::messages::Message;

/// How logs look. They go to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `format`: `pretty` for a terminal, `json` for machines. Default `pretty`.
    pub is_json: bool,
    /// `level`: `error`, `warn`, `info`, `debug`. Default `info`.
    pub level: String,
}

/// Default of `level`.
pub const LEVEL: &str = "info";
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

impl LogConfig {
    pub(super) fn read(section: Section<'_>) -> Self {
        let word = |key: &str, known: &[&str], default: &str| {
            let word = section.text(key).unwrap_or_else(|| default.to_owned());
            if !known.contains(&word.as_str()) {
                section.problem(key, Message::new("config.one_of").with("known", known.join(", ")));
            }
            word
        };
        let is_json = word("format", &["pretty", "json"], "pretty") == "json";
        let level = word("level", LEVELS, LEVEL);
        section.finish();
        Self { is_json, level }
    }
}
