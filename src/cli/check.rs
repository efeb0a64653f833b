//! `check`: reads the configuration as `serve` would, and says what is wrong with it.

use serde_json::{Value, json};

use super::context::Context;
use super::{CheckArgs, ExitCode, OK, USAGE, gaps, security};
use crate::app;
use crate::config::Problem;
use crate::messages::{Lang, Message};

pub(super) fn run(context: &mut Context<'_>, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.security {
        return security::run(context);
    }
    if context.is_json {
        return run_json(context);
    }
    let config = context.config_with_warnings()?;
    for warning in gaps::warnings(&config, &context.config_path) {
        writeln!(context.err, "{}", warning.render(context.lang))?;
    }
    let message =
        Message::new("check.good").with("channels", config.channels.len()).with("targets", config.targets.len());
    context.tell(&message)?;
    Ok(OK)
}

/// A line for each problem and warning, then one that says whether the configuration can be used.
fn run_json(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let (found, last, code) = match app::load_config(&context.config_path) {
        Ok((config, mut warnings)) => {
            warnings.extend(gaps::warnings(&config, &context.config_path));
            let last = json!({ "ok": true, "channels": config.channels.len(), "targets": config.targets.len() });
            (warnings, last, OK)
        }
        Err(problems) => (problems, json!({ "ok": false }), USAGE),
    };
    for problem in &found {
        let value = to_json(problem, context.lang);
        context.say_json(&value)?;
    }
    context.say_json(&last)?;
    Ok(code)
}

pub(super) fn to_json(problem: &Problem, lang: Lang) -> Value {
    let place = problem.place.as_ref();
    json!({
        "level": if problem.is_warning() { "warning" } else { "error" },
        "file": problem.file.display().to_string(),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "key": problem.key,
        "word": problem.message.key(),
        "text": problem.message.text(lang),
    })
}
