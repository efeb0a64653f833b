//! `explain --list` and `explain --markdown`: every finding, from what each says of itself. `docs/explain.md` and its Chinese
//! half are the output of the latter, which a test compares.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::Context as _;
use serde_json::json;
use tollbell_channels::explain::{FINDINGS, Finding};

use super::told::{MARK, PHP_RECIPE, evidence_text};
use crate::cli::context::Context;
use crate::cli::listing::{pick, say_table, table};
use crate::cli::{ExitCode, OK};
use crate::messages::{Lang, Message};

/// Every finding, as a table or one JSON object a line.
pub(super) fn list(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let lang = context.lang;
    if context.is_json {
        for finding in FINDINGS {
            let evidence: Vec<&str> =
                finding.evidence().into_iter().map(tollbell_channels::explain::Evidence::as_str).collect();
            context.say_json(&json!({
                "id": finding.id,
                "title": pick(finding.title, lang),
                "cause": pick(finding.cause, lang),
                "cure": pick(finding.cure, lang),
                "evidence": evidence,
            }))?;
        }
        return Ok(OK);
    }
    let mut table = table(context, &["finding", "meaning"]);
    for finding in FINDINGS {
        table.add_row([finding.id.to_owned(), plain(pick(finding.title, lang))]);
    }
    say_table(context, &mut table)?;
    Ok(OK)
}

/// The page of all findings; with a folder of examples, each with what the program says of its own.
pub(super) fn markdown(context: &mut Context<'_>, examples: Option<&Path>) -> anyhow::Result<ExitCode> {
    let lang = context.lang;
    let mut page = format!("# {}\n", lang.fixed("explain.page_title"));
    for key in ["explain.page_intro", "explain.page_use", "explain.page_choice", "explain.page_answer"] {
        add(&mut page, format_args!("\n{}\n", lang.fixed(key).trim()));
    }
    for [title, text] in
        [["explain.page_kinds_title", "explain.page_kinds"], ["explain.page_lost_title", "explain.page_lost"]]
    {
        add(&mut page, format_args!("\n## {}\n\n{}\n", lang.fixed(title), lang.fixed(text).trim()));
    }
    add(&mut page, format_args!("\n```php\n{PHP_RECIPE}\n```\n\n{}\n", lang.fixed("explain.page_else").trim()));
    add(&mut page, format_args!("\n## {}\n\n", lang.fixed("explain.page_all")));
    add(
        &mut page,
        format_args!("| {} | {} |\n| --- | --- |\n", lang.fixed("column.finding"), lang.fixed("column.meaning")),
    );
    for finding in FINDINGS {
        add(&mut page, format_args!("| [`{0}`](#{0}) | {1} |\n", finding.id, cell(pick(finding.title, lang))));
    }
    for finding in FINDINGS {
        section(&mut page, finding, lang);
        if finding.probes.is_empty() {
            add(&mut page, format_args!("\n{}\n", lang.fixed("explain.page_recorded")));
        } else if let Some(folder) = examples.map(|all| all.join(finding.id)).filter(|folder| folder.is_dir()) {
            example(&mut page, finding, &folder, lang)?;
        }
    }
    context.say(page.trim_end())?;
    Ok(OK)
}

/// What the program says of an example, by the command that its configuration names.
fn example(page: &mut String, finding: &Finding, folder: &Path, lang: Lang) -> anyhow::Result<()> {
    let said = || format!("explain {}", folder.display());
    let configuration = fs::read_to_string(folder.join("tollbell.toml")).with_context(said)?;
    let command = configuration.lines().find_map(|line| line.strip_prefix(COMMAND));
    let command = command.with_context(said)?;
    let program = env::current_exe().with_context(said)?;
    let language = match lang {
        Lang::En => "en",
        Lang::Zh => "zh",
    };
    let output = Command::new(program)
        .args(command.split(' '))
        .args(["--lang", language])
        .current_dir(folder)
        .output()
        .with_context(said)?;
    let text = String::from_utf8(output.stdout).with_context(said)?;
    let place = format!("../examples/rejected/{}/", finding.id);
    let head = Message::new("explain.page_example").with("folder", place).text(lang);
    add(page, format_args!("\n{head}\n\n```text\n$ tollbell {command}\n{}\n```\n", core(&text)));
    Ok(())
}

/// What stands before an example's command, in its configuration.
const COMMAND: &str = "# tollbell ";

/// What became of the request, the findings and how they are known, and what differs; all else the page says by itself.
fn core(text: &str) -> String {
    let outcome = text.split("\n\n").nth(1).unwrap_or_default();
    let mut core = outcome.lines().next().unwrap_or_default().to_owned();
    let mut is_evidence = false;
    for line in text.lines() {
        let is_title =
            line.split_once(". ").is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
        if is_title && line.ends_with(']') || is_evidence || line.contains(MARK) {
            core.push_str(if is_title { "\n\n" } else { "\n" });
            core.push_str(line);
        }
        is_evidence = is_title && line.ends_with(']');
    }
    core
}

fn section(page: &mut String, finding: &Finding, lang: Lang) {
    add(page, format_args!("\n## {}\n\n{}\n\n", finding.id, cell(pick(finding.title, lang))));
    let parts = [("explain.cause", finding.cause), ("explain.cure", finding.cure)];
    for (key, text) in parts {
        add(page, format_args!("* {}{}\n", lang.fixed(key), plain(pick(text, lang))));
    }
    for evidence in finding.evidence() {
        add(page, format_args!("* {}\n", lang.fixed(evidence_text(evidence))));
    }
}

/// A title, safe in a table.
fn cell(title: &str) -> String {
    plain(title).replace('|', "\\|")
}

/// A text of a finding, with an ellipsis in the places of its facts.
fn plain(of_finding: &str) -> String {
    let mut text = String::with_capacity(of_finding.len());
    let mut rest = of_finding;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let named = after.split_once('}').filter(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        if let Some((_, behind)) = named {
            text.push('…');
            rest = behind;
        } else {
            text.push('{');
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a text takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_without_a_request_has_ellipses() {
        assert_eq!(cell("a {count} | b {x"), "a … \\| b {x");
    }
}
