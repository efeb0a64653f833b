//! `explain --list` and `explain --markdown`: every finding, from what each says of itself. `docs/explain.md` and its Chinese
//! half are the output of the latter, which a test compares.

use std::fmt::Write as _;

use serde_json::json;
use tollbell_channels::explain::{FINDINGS, Finding};

use super::told::{PHP_RECIPE, evidence_text};
use crate::cli::context::Context;
use crate::cli::listing::{pick, say_table, table};
use crate::cli::{ExitCode, OK};
use crate::messages::Lang;

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
        table.add_row([finding.id.to_owned(), pick(finding.title, lang).to_owned()]);
    }
    say_table(context, &mut table)?;
    Ok(OK)
}

/// The page of all findings.
pub(super) fn markdown(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let lang = context.lang;
    let mut page = format!("# {}\n", lang.fixed("explain.page_title"));
    for key in ["explain.page_intro", "explain.page_use", "explain.page_choice", "explain.page_limits"] {
        add(&mut page, format_args!("\n{}\n", lang.fixed(key).trim()));
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
    }
    context.say(page.trim_end())?;
    Ok(OK)
}

fn section(page: &mut String, finding: &Finding, lang: Lang) {
    add(page, format_args!("\n## {}\n\n{}\n\n", finding.id, cell(pick(finding.title, lang))));
    let parts = [("explain.cause", finding.cause), ("explain.cure", finding.cure)];
    for (key, text) in parts {
        add(page, format_args!("* {}{}\n", lang.fixed(key), pick(text, lang)));
    }
    for evidence in finding.evidence() {
        add(page, format_args!("* {}\n", lang.fixed(evidence_text(evidence))));
    }
}

/// A title, with its places as an ellipsis, and safe in a table.
fn cell(title: &str) -> String {
    let mut text = String::with_capacity(title.len());
    let mut rest = title;
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
    text.replace('|', "\\|")
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
