//! What every subcommand has at hand.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::{ExitCode, FAILED, USAGE};
use crate::app;
use crate::config::Config;
use crate::inbox::Inbox;
use crate::messages::{Lang, Message};

/// What every subcommand has at hand.
pub(super) struct Context<'a> {
    pub(super) out: &'a mut (dyn Write + Send),
    pub(super) err: &'a mut (dyn Write + Send),
    pub(super) lang: Lang,
    pub(super) is_json: bool,
    pub(super) config_path: PathBuf,
}

/// The configuration was refused; its problems were printed.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has problems")]
pub(super) struct ConfigRefused;

impl Context<'_> {
    /// The text of a message in the language of this run.
    pub(super) fn text(&self, message: &Message) -> String {
        message.text(self.lang)
    }

    /// Prints a line.
    pub(super) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{line}").context("print")
    }

    /// Prints the text of a message.
    pub(super) fn tell(&mut self, message: &Message) -> anyhow::Result<()> {
        let text = message.text(self.lang);
        self.say(&text)
    }

    /// Prints a JSON value on one line.
    pub(super) fn say_json(&mut self, value: &serde_json::Value) -> anyhow::Result<()> {
        self.say(&value.to_string())
    }

    /// Reads the configuration; prints its warnings, and its problems when it is refused.
    pub(super) fn config(&mut self) -> anyhow::Result<Config> {
        match app::load_config(&self.config_path) {
            Ok((config, warnings)) => {
                for warning in warnings {
                    writeln!(self.err, "{}", warning.render(self.lang))?;
                }
                Ok(config)
            }
            Err(problems) => {
                for problem in problems {
                    writeln!(self.err, "{}", problem.render(self.lang))?;
                }
                Err(ConfigRefused.into())
            }
        }
    }

    /// Opens the inbox of the configuration, beside a running node.
    pub(super) fn inbox(&mut self) -> anyhow::Result<Arc<dyn Inbox>> {
        let config = self.config()?;
        app::open_inbox(&config).context("open the inbox")
    }

    /// Prints an error with its causes and says how the process ends.
    pub(super) fn fail(&mut self, error: &anyhow::Error) -> ExitCode {
        if error.is::<ConfigRefused>() {
            return USAGE;
        }
        let mut text = Message::new("cli.failed").text(self.lang);
        for (index, cause) in error.chain().enumerate() {
            let separator = if index == 0 { " " } else { ": " };
            // Writing to a string cannot fail.
            let _written = write!(text, "{separator}{cause}");
        }
        // There is nowhere left to say that standard error is gone.
        drop(writeln!(self.err, "{text}"));
        FAILED
    }
}

/// A text from outside as it is shown on a terminal: on one line, and unable to move the cursor, to change colours
/// or to turn the direction of writing. JSON output needs none of this: it escapes by itself.
pub(super) fn visible(text: &str) -> String {
    let is_harmful = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
