//! What every subcommand has at hand.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::{ExitCode, FAILED, USAGE};
use crate::app;
use crate::config::{Config, Problem};
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

/// The arguments ask for something that there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongArguments(String);

impl Context<'_> {
    /// The text of a message in the language of this run.
    pub(super) fn text(&self, message: &Message) -> String {
        message.text(self.lang)
    }

    /// An error of the arguments.
    pub(super) fn usage(&self, message: &Message) -> anyhow::Error {
        WrongArguments(self.text(message)).into()
    }

    /// An error of the arguments: a word that is none of the known ones.
    pub(super) fn unknown_word<'w>(&self, word: &str, known: impl IntoIterator<Item = &'w str>) -> anyhow::Error {
        let known: Vec<&str> = known.into_iter().collect();
        self.usage(&Message::new("error.unknown_word").with("word", word).with("known", known.join(", ")))
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

    /// Reads the configuration; prints its problems when it is refused. Warnings are for `check` and `serve`.
    pub(super) fn config(&mut self) -> anyhow::Result<Config> {
        Ok(self.config_and_warnings()?.0)
    }

    /// The same for a command that mends a problem, which it does not take for one.
    pub(super) fn config_excusing(&mut self, is_excused: fn(&Problem) -> bool) -> anyhow::Result<Config> {
        let loaded = app::load_config_excusing(&self.config_path, is_excused);
        Ok(self.accepted(loaded)?.0)
    }

    /// Reads the configuration and prints its warnings.
    pub(super) fn config_with_warnings(&mut self) -> anyhow::Result<Config> {
        let (config, warnings) = self.config_and_warnings()?;
        for warning in warnings {
            writeln!(self.err, "{}", warning.render(self.lang))?;
        }
        Ok(config)
    }

    fn config_and_warnings(&mut self) -> anyhow::Result<(Config, Vec<Problem>)> {
        let loaded = app::load_config(&self.config_path);
        self.accepted(loaded)
    }

    fn accepted(
        &mut self,
        loaded: Result<(Config, Vec<Problem>), Vec<Problem>>,
    ) -> anyhow::Result<(Config, Vec<Problem>)> {
        loaded.or_else(|problems| {
            for problem in problems {
                writeln!(self.err, "{}", problem.render(self.lang))?;
            }
            Err(ConfigRefused.into())
        })
    }

    /// Opens the inbox of the configuration, beside a running node.
    pub(super) fn inbox(&mut self) -> anyhow::Result<Arc<dyn Inbox>> {
        Ok(self.config_and_inbox()?.1)
    }

    /// Reads the configuration and opens its inbox.
    pub(super) fn config_and_inbox(&mut self) -> anyhow::Result<(Config, Arc<dyn Inbox>)> {
        let config = self.config()?;
        let inbox = app::open_inbox(&config).with_context(|| self.text(&Message::new("doing.open_inbox")))?;
        Ok((config, inbox))
    }

    /// Prints an error with its causes and says how the process ends.
    pub(super) fn fail(&mut self, error: &anyhow::Error) -> ExitCode {
        if error.is::<ConfigRefused>() {
            return USAGE;
        }
        // Who reads our output has seen enough (`| head`).
        if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_broken_pipe)) {
            return FAILED;
        }
        let (space, colon) = match self.lang {
            Lang::En => (" ", ": "),
            Lang::Zh => ("", "："),
        };
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        let text = format!("{}{space}{}", Message::new("cli.failed").text(self.lang), causes.join(colon));
        // There is nowhere left to say that standard error is gone.
        drop(writeln!(self.err, "{text}"));
        if error.is::<WrongArguments>() { USAGE } else { FAILED }
    }
}

fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// A text from outside as it is shown on a terminal: on one line, and unable to move the cursor, to change colours
/// or to turn the direction of writing. JSON output needs none of this: it escapes by itself.
pub(super) fn visible(text: &str) -> String {
    let is_harmful = |c: char| {
        let is_unseen = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        c.is_control() || is_unseen
    };
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
