//! `[inbox]`: the durable store.

use std::path::{Path, PathBuf};

use super::reader::Section;
use crate::messages::Message;

/// Where the inbox is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxConfig {
    /// From `url = "sqlite:PATH"`, relative to the configuration's folder. Default `sqlite:tollbell.db`.
    pub path: PathBuf,
    /// `queue`: requests that wait for the writer at most; beyond it the answer is "busy". Default 4096.
    pub queue: usize,
}

/// Default of `url`.
pub const URL: &str = "sqlite:tollbell.db";
/// Default of `queue`.
pub const QUEUE: u64 = 4096;
/// Largest `queue`: each waiting request holds its body.
pub const QUEUE_MAX: u64 = 1_000_000;

impl InboxConfig {
    pub(super) fn read(section: Section<'_>, folder: &Path) -> Self {
        let url = section.text("url").unwrap_or_else(|| URL.to_owned());
        let path = match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() && path != ":memory:" => folder.join(path),
            _ => {
                section.problem("url", Message::new("config.bad_inbox_url"));
                folder.join("unusable")
            }
        };
        let queue = section.number("queue").unwrap_or(QUEUE);
        if queue == 0 || queue > QUEUE_MAX {
            section.problem("queue", Message::new("config.out_of_range").with("most", QUEUE_MAX));
        }
        section.finish();
        Self { path, queue: usize::try_from(queue).unwrap_or(usize::MAX) }
    }
}
