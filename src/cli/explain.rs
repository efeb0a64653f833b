//! `explain`: why a request was refused, each reason proved, of a stored record or of a copy that somebody kept.
//!
//! Nothing is written and nobody is asked: neither the running node, nor a platform. Without an inbox a copy is explained
//! all the same; with one, keys that platforms gave are used, and what the records say of a genuine message is told.

mod chosen;
mod difference;
mod history;
mod json;
mod registry;
mod subject;
mod told;
mod unread;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tollbell_channels::channel::Channel;
use tollbell_channels::explain::{Configured, Found, Kept};
use tollbell_channels::model::Timestamp;

use super::context::Context;
use super::rejections::read_since;
use super::{ExitCode, ExplainArgs, FAILED, OK};
use crate::config::{ChannelConfig, Config};
use crate::inbox::{self, Inbox};
use crate::messages::Message;
use crate::{app, clock, keys};
use chosen::{Asked, Chosen, Judged, Times};
use history::History;
use subject::{Origin, Subject, What};

pub(super) async fn run(context: &mut Context<'_>, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    if args.markdown {
        return registry::markdown(context, args.examples.as_deref());
    }
    if args.list {
        return registry::list(context);
    }
    let Some(what) = &args.what else { return Err(context.usage(&Message::new("explain.what"))) };
    let now = clock::system()();
    let at = read_at(context, args.at.as_deref(), now)?;
    let what = What::of(what);
    // Read first: a pipe has an end that waits for us, and a wrong name needs no configuration.
    let copy = subject::copy(context, &what, now)?;
    let config = context.config()?;
    let inbox = open_inbox(context, &config, copy.is_none())?;
    let subject = match (copy, &inbox) {
        (Some(copy), _) => copy,
        (None, Some(inbox)) => stored(context, &**inbox, &what).await?,
        (None, None) => bail!(context.text(&Message::new("error.not_found").with("id", what))),
    };
    let built = built(&config, inbox.as_deref(), now).await;
    let asked = asked(context, args.channel.as_deref(), &subject, &built)?;
    let answer = answer(&subject, &built, asked, Times { asked: at, now });
    let history = match &inbox {
        Some(inbox) => history_of(context, &**inbox, &subject, &answer).await?,
        None => History::default(),
    };
    if let Some(inbox) = &inbox {
        inbox.close().await;
    }
    let whole = Whole { subject, built, answer, history };
    if context.is_json {
        let value = json::of(&whole, context.lang);
        context.say_json(&value)?;
    } else {
        let text = told::of(&whole, context.lang);
        context.say(text.trim_end())?;
    }
    Ok(if whole.is_explained() { OK } else { FAILED })
}

/// Everything that there is to tell.
struct Whole<'c> {
    subject: Subject,
    built: Vec<Built<'c>>,
    answer: Answer,
    history: History,
}

impl Whole<'_> {
    /// What was found, by recomputation first.
    fn findings(&self) -> impl Iterator<Item = &Found> {
        let judged = match &self.answer {
            Answer::Judged(judged) => judged.diagnosis.findings.as_slice(),
            _ => &[],
        };
        judged.iter().chain(&self.history.findings)
    }

    /// Whether there is an answer: it is taken, or a reason was found.
    fn is_explained(&self) -> bool {
        let is_taken = match &self.answer {
            Answer::Judged(judged) => judged.is_challenge || judged.diagnosis.outcome.is_accepted(),
            Answer::NotJudged | Answer::NoBody | Answer::Unrecognised => false,
        };
        // A notification was genuine when it came, whatever today's keys say of it.
        is_taken || matches!(self.subject.origin, Origin::Notification(_)) || self.findings().next().is_some()
    }
}

/// What came of a request.
enum Answer {
    /// A channel looked at it.
    Judged(Box<Judged>),
    /// It is the platform's answer to a question, and no callback: there is nothing to verify again.
    NotJudged,
    /// Its body was not kept as a whole, so that nothing can be verified.
    NoBody,
    /// No channel knows it.
    Unrecognised,
}

/// A channel, with the keys that its platform gave.
struct Built<'c> {
    config: &'c ChannelConfig,
    channel: Arc<dyn Channel>,
}

impl Built<'_> {
    fn configured(&self) -> Configured<'_> {
        Configured {
            id: &self.config.id,
            platform: self.config.platform,
            settings: &self.config.settings,
            channel: &*self.channel,
        }
    }
}

async fn built<'c>(config: &'c Config, inbox: Option<&dyn Inbox>, now: Timestamp) -> Vec<Built<'c>> {
    let mut built = Vec::with_capacity(config.channels.len());
    for channel in &config.channels {
        let with_kept = match inbox {
            Some(inbox) => keys::with_kept(&channel.id, &channel.channel, inbox, now).await,
            None => None,
        };
        let channel_now = with_kept.map_or_else(|| channel.channel.clone(), |(channel, _)| channel);
        built.push(Built { config: channel, channel: channel_now });
    }
    built
}

/// The time that was asked for: a time, or how long ago.
fn read_at(context: &Context<'_>, text: Option<&str>, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || Message::new("error.bad_value").with("name", "--at").with("value", text);
    read_since(text, now).map(Some).ok_or_else(|| context.usage(&wrong()))
}

/// The inbox, which a copy can do without: then it is not made, and what it says is left out where it cannot be read.
fn open_inbox(context: &mut Context<'_>, config: &Config, is_needed: bool) -> anyhow::Result<Option<Arc<dyn Inbox>>> {
    if !config.inbox.path.exists() {
        return Ok(None);
    }
    match app::open_inbox(config) {
        Ok(inbox) => Ok(Some(inbox)),
        Err(error) if is_needed => Err(error).with_context(|| context.text(&Message::new("doing.open_inbox"))),
        Err(error) => {
            let told = context.text(&Message::new("explain.no_inbox").with("error", format!("{error:#}")));
            writeln!(context.err, "{told}")?;
            Ok(None)
        }
    }
}

async fn stored(context: &Context<'_>, inbox: &dyn Inbox, what: &What) -> anyhow::Result<Subject> {
    match subject::stored(inbox, what).await {
        Ok(subject) => Ok(subject),
        Err(inbox::Error::NotFound) => bail!(context.text(&Message::new("error.not_found").with("id", what))),
        Err(other) => Err(other).with_context(|| context.text(&Message::new("doing.read_inbox"))),
    }
}

/// The channel that there is no choice about: the one that was asked for, or to which the record's request came.
fn asked(
    context: &Context<'_>,
    name: Option<&str>,
    subject: &Subject,
    built: &[Built<'_>],
) -> anyhow::Result<Option<Asked>> {
    let place = |id: &str| built.iter().position(|built| &*built.config.id == id);
    let Some(name) = name else {
        let recorded = subject.channel().and_then(place);
        return Ok(recorded.map(|channel| Asked { channel, chosen: Chosen::Recorded }));
    };
    let known = || built.iter().map(|built| &*built.config.id).collect::<Vec<_>>().join(", ");
    let unknown = || Message::new("error.unknown_channel").with("name", name).with("known", known());
    let channel = place(name).ok_or_else(|| context.usage(&unknown()))?;
    Ok(Some(Asked { channel, chosen: Chosen::Asked }))
}

fn answer(subject: &Subject, built: &[Built<'_>], asked: Option<Asked>, times: Times) -> Answer {
    if subject.is_answer() {
        return Answer::NotJudged;
    }
    if subject.readings.is_empty() {
        return Answer::NoBody;
    }
    chosen::judge(subject, built, asked, times).map_or(Answer::Unrecognised, |judged| Answer::Judged(Box::new(judged)))
}

/// What the records say: of a stored notification, and of a genuine copy of one. Where they cannot be read, a copy is
/// explained without them.
async fn history_of(
    context: &mut Context<'_>,
    inbox: &dyn Inbox,
    subject: &Subject,
    answer: &Answer,
) -> anyhow::Result<History> {
    let read = match (&subject.origin, answer) {
        (Origin::Notification(record), _) => history::of_stored(inbox, record).await,
        (_, Answer::Judged(judged)) => match &judged.genuine {
            Some(genuine) => history::of_message(inbox, &genuine.notification).await,
            None => Ok(History::default()),
        },
        _ => Ok(History::default()),
    };
    match read {
        Ok(history) => Ok(history),
        Err(error) => {
            let told = context.text(&Message::new("explain.no_inbox").with("error", error));
            writeln!(context.err, "{told}")?;
            Ok(History::default())
        }
    }
}

/// Whether what was kept is all that came.
fn is_whole(kept: Kept) -> bool {
    kept == Kept::WHOLE
}

/// A path as people write it.
fn path_text(path: &Path) -> String {
    path.display().to_string()
}
