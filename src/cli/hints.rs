//! `hints`: the numbers that somebody named, and how the questions about them stand.

use anyhow::Context as _;
use serde_json::json;

use super::context::{Context, visible};
use super::listing::{say_table, table};
use super::{ExitCode, FAILED, HintsArgs, OK};
use crate::inbox::hints::{HintFilter, HintRecord, HintState};
use crate::messages::{Lang, Message};

pub(super) async fn run(context: &mut Context<'_>, args: &HintsArgs) -> anyhow::Result<ExitCode> {
    let words = || HintState::ALL.iter().map(|state| state.as_str());
    let state = match &args.state {
        Some(word) => match HintState::ALL.iter().find(|state| state.as_str() == word) {
            Some(state) => Some(*state),
            None => return Err(context.unknown_word(word, words())),
        },
        None => None,
    };
    let inbox = context.inbox()?;
    let filter = HintFilter { channel: args.channel.clone(), state, number: args.number.clone(), limit: args.limit };
    let hints = inbox.hints(filter).await.with_context(|| context.text(&Message::new("doing.read_inbox")))?;
    inbox.close().await;
    if context.is_json {
        for hint in &hints {
            context.say_json(&to_json(hint))?;
        }
    } else if hints.is_empty() {
        context.tell(&Message::new("hints.none"))?;
    } else {
        let lang = context.lang;
        let mut table = table(context, &["hint", "channel", "state", "due", "count", "asks", "result", "became"]);
        for hint in &hints {
            table.add_row([
                visible(&hint.number),
                visible(&hint.channel),
                in_words(hint, lang),
                hint.due_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                hint.told.to_string(),
                hint.asks.to_string(),
                outcome(hint, lang),
                hint.notification.map(|id| id.to_string()).unwrap_or_default(),
            ]);
        }
        say_table(context, &mut table)?;
        context.tell(&Message::new("hints.how"))?;
    }
    Ok(if hints.is_empty() && args.number.is_some() { FAILED } else { OK })
}

fn in_words(hint: &HintRecord, lang: Lang) -> String {
    let text = |family: &str, word: &str| Message::dynamic(format!("{family}.{word}")).text(lang);
    let state = text("hint_state", hint.state.as_str());
    match hint.state {
        HintState::Due | HintState::Asking => format!("{state} · {}", text("hint_ground", hint.ground.as_str())),
        HintState::Answered | HintState::Unknown => state,
    }
}

fn outcome(hint: &HintRecord, lang: Lang) -> String {
    if hint.outcome.is_empty() {
        String::new()
    } else {
        Message::dynamic(format!("question.{}", hint.outcome)).text(lang)
    }
}

fn to_json(hint: &HintRecord) -> serde_json::Value {
    json!({
        "channel": hint.channel,
        "number": hint.number,
        "state": hint.state.as_str(),
        "ground": hint.ground.as_str(),
        "due_at": hint.due_at.to_string(),
        "told": hint.told,
        "asks": hint.asks,
        "failures": hint.failures,
        "first_at": hint.first_at.to_string(),
        "last_at": hint.last_at.to_string(),
        "asked_at": hint.asked_at.map(|at| at.to_string()),
        "outcome": hint.outcome,
        "notification": hint.notification.map(|id| id.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::hints::Ground;
    use crate::operate::fetch_back::OUTCOMES;

    #[test]
    fn every_word_has_a_text_in_both_languages() {
        let states = HintState::ALL.iter().map(|state| format!("hint_state.{}", state.as_str()));
        let grounds = Ground::ALL.iter().map(|ground| format!("hint_ground.{}", ground.as_str()));
        let outcomes = OUTCOMES.iter().map(|word| format!("question.{word}"));
        for key in states.chain(grounds).chain(outcomes) {
            for lang in [Lang::En, Lang::Zh] {
                assert_ne!(Message::dynamic(key.clone()).text(lang), key, "{lang:?}");
            }
        }
    }
}
