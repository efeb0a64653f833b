//! `check --security`: what is weak, open or unproven, the gravest first.

use serde_json::{Value, json};

use super::check::to_json;
use super::context::Context;
use super::{ExitCode, FAILED, OK, USAGE};
use crate::app::security::{Finding, Severity, report};
use crate::messages::{Lang, Message};
use crate::{app, clock};

pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let (config, warnings) = match app::load_config(&context.config_path) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for problem in problems {
                if context.is_json {
                    let value = to_json(&problem, context.lang);
                    context.say_json(&value)?;
                } else {
                    writeln!(context.err, "{}", problem.render(context.lang))?;
                }
            }
            if context.is_json {
                context.say_json(&json!({ "ok": false }))?;
            }
            return Ok(USAGE);
        }
    };
    let findings = report(&context.config_path, &config, warnings, clock::system()());
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let [serious, warnings, notices] = [Severity::Serious, Severity::Warning, Severity::Notice].map(count);
    if context.is_json {
        for finding in &findings {
            let value = finding_json(finding, context.lang);
            context.say_json(&value)?;
        }
        let last = json!({ "ok": serious == 0, "serious": serious, "warnings": warnings, "notices": notices });
        context.say_json(&last)?;
    } else {
        for finding in &findings {
            let line = line(finding, context.lang);
            context.say(&line)?;
        }
        let sums =
            Message::new("security.sums").with("serious", serious).with("warnings", warnings).with("notices", notices);
        context.tell(&sums)?;
    }
    Ok(if serious == 0 { OK } else { FAILED })
}

/// Where, how much, what, and the cure.
fn line(finding: &Finding, lang: Lang) -> String {
    let file = finding.file.display();
    let place = finding.place.as_ref().map(|place| format!(":{}:{}", place.line, place.column)).unwrap_or_default();
    let severity = Message::dynamic(format!("severity.{}", finding.severity.as_str())).text(lang);
    let (colon, blank) = match lang {
        Lang::En => (": ", " "),
        Lang::Zh => ("：", ""),
    };
    let key = if finding.key.is_empty() { String::new() } else { format!("`{}`{colon}", finding.key) };
    let mut line = format!("{file}{place}: {severity}{colon}{key}{}", finding.what.text(lang));
    if let Some(cure) = &finding.cure {
        line.extend([blank, &cure.text(lang)]);
    }
    line
}

fn finding_json(finding: &Finding, lang: Lang) -> Value {
    let place = finding.place.as_ref();
    json!({
        "severity": finding.severity.as_str(),
        "word": finding.word,
        "file": finding.file.display().to_string(),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "key": finding.key,
        "text": finding.what.text(lang),
        "cure": finding.cure.as_ref().map(|cure| cure.text(lang)),
    })
}
