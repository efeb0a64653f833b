//! Taking a changed configuration into use: what is asked of the running node, and what it reports. Settings are
//! named, their values never are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::config::Problem;
use crate::messages::{Lang, Message};

/// What a reload is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Only say what would change.
    #[serde(default)]
    pub is_dry: bool,
    /// Targets that the files no longer hold, and whose open deliveries are to be discarded.
    #[serde(default)]
    pub discard: Vec<String>,
    /// Who asked, for the audit.
    pub who: String,
}

impl Order {
    /// Takes the files into use.
    pub fn by(who: &str) -> Self {
        Self { who: who.to_owned(), ..Self::default() }
    }
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The files are in force, but for the keys of [`Report::needs_restart`].
    Applied,
    /// Nothing differs from what is in force.
    Unchanged,
    /// A dry run: the files could be applied.
    WouldApply,
    /// The files are good and a change in them is not possible now; nothing changed.
    Refused,
    /// The files have mistakes; nothing changed.
    Broken,
}

impl Outcome {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::WouldApply => "would_apply",
            Self::Refused => "refused",
            Self::Broken => "broken",
        }
    }

    /// Whether the files can be used.
    pub fn is_good(self) -> bool {
        !matches!(self, Self::Refused | Self::Broken)
    }
}

/// What a reload found and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What differs.
    pub changes: Vec<Change>,
    /// Mistakes, refusals and warnings.
    pub findings: Vec<Finding>,
    /// Keys whose new values are not in force before a restart, such as `admin.listen`.
    pub needs_restart: Vec<String>,
}

/// One difference between what is in force and the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is: `channel`, `target`, `route`, or the name of a section.
    pub what: String,
    /// Which one: its id, or a route's place from 1; empty for a section.
    pub id: String,
    /// What happens to it.
    pub how: How,
}

/// What happens to a part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// These of its settings differ.
    Changed(Vec<String>),
}

/// A mistake, a refusal or a warning, in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whether the files can be used in spite of it.
    pub is_warning: bool,
    /// The key with its section.
    pub key: String,
    /// The stable word.
    pub word: String,
    /// The English text, with its place.
    pub en: String,
    /// The Chinese text, with its place.
    pub zh: String,
}

impl Finding {
    /// A reason not to take good files into use.
    pub fn refusal(key: String, message: &Message) -> Self {
        let text = |lang| format!("`{key}`: {}", message.text(lang));
        let (en, zh) = (text(Lang::En), text(Lang::Zh));
        Self { is_warning: false, word: message.key().to_owned(), en, zh, key }
    }

    /// The text in a language.
    pub fn text(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            is_warning: problem.is_warning(),
            key: problem.key.clone(),
            word: problem.message.key().to_owned(),
            en: problem.render(Lang::En),
            zh: problem.render(Lang::Zh),
        }
    }
}

impl Change {
    /// One line for people.
    pub fn text(&self, lang: Lang) -> String {
        let message = match &self.how {
            How::Added => Message::new("reload.added"),
            How::Removed => Message::new("reload.removed"),
            How::Changed(settings) => Message::new("reload.changed").with("settings", settings.join(", ")),
        };
        let what = if self.id.is_empty() { format!("[{}]", self.what) } else { format!("{} `{}`", self.what, self.id) };
        message.with("what", what).text(lang)
    }
}

/// How the files on disk stand to what is in force.
#[derive(Debug, Default)]
pub struct Standing(Mutex<Vec<String>>);

impl Standing {
    /// Takes note of a reload.
    pub fn note(&self, report: &Report) {
        let reasons = report.findings.iter().filter(|finding| !finding.is_warning && !report.outcome.is_good());
        let restart = report.needs_restart.iter().map(|key| format!("`{key}` needs a restart"));
        *self.lock() = reasons.map(|finding| finding.en.clone()).chain(restart).collect();
    }

    /// Whether the files say something that is not in force.
    pub fn is_stale(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Why it is not in force: every reason, in English, without any value that may be secret.
    pub fn reasons(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// Files with mistakes.
    pub fn broken(findings: Vec<Finding>) -> Self {
        Self { outcome: Outcome::Broken, changes: Vec::new(), findings, needs_restart: Vec::new() }
    }

    /// The report as lines for people.
    pub fn lines(&self, lang: Lang) -> Vec<String> {
        let head = match self.outcome {
            Outcome::Applied => Message::new("reload.applied"),
            Outcome::Unchanged => Message::new("reload.unchanged"),
            Outcome::WouldApply => Message::new("reload.would_apply"),
            Outcome::Refused => Message::new("reload.refused"),
            Outcome::Broken => Message::new("reload.broken"),
        };
        let mut lines: Vec<String> = self.findings.iter().map(|finding| finding.text(lang).to_owned()).collect();
        lines.push(head.text(lang));
        lines.extend(self.changes.iter().map(|change| format!("  {}", change.text(lang))));
        if !self.needs_restart.is_empty() {
            let keys = self.needs_restart.join(", ");
            lines.push(Message::new("reload.needs_restart").with("keys", keys).text(lang));
        }
        lines
    }
}

/// Asks the running node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<Asked>);

/// An order and where its report goes.
#[derive(Debug)]
pub struct Asked {
    /// The order.
    pub order: Order,
    /// Who waits for the report.
    pub report: oneshot::Sender<Report>,
}

/// Orders that wait at most: each reads the files anew, so more of them would only repeat the work.
const ORDERS_MAX: usize = 8;

/// A reloader, and the end that the node listens to.
pub fn channel() -> (Reloader, mpsc::Receiver<Asked>) {
    let (sender, receiver) = mpsc::channel(ORDERS_MAX);
    (Reloader(sender), receiver)
}

impl Reloader {
    /// Has the node reload, after the orders before this one. `None` when the node is stopping.
    pub async fn reload(&self, order: Order) -> Option<Report> {
        let (report, answer) = oneshot::channel();
        self.0.send(Asked { order, report }).await.ok()?;
        answer.await.ok()
    }
}
