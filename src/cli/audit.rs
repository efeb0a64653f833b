//! `audit`: what people did, newest first.

use anyhow::Context as _;
use serde_json::json;

use super::context::{Context, visible};
use super::listing::{say_table, table};
use super::{AuditArgs, ExitCode, OK};
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let inbox = context.inbox()?;
    let records = inbox.audit_log(args.limit).await;
    let records = records.with_context(|| context.text(&Message::new("doing.read_inbox")))?;
    if context.is_json {
        for record in &records {
            context.say_json(&json!({
                "at": record.at.to_string(),
                "who": record.who,
                "what": record.what,
                "subjects": record.subjects,
                "why": record.why,
                "result": record.result,
            }))?;
        }
    } else {
        let mut table = table(context, &["time", "who", "what", "subjects", "result", "why"]);
        for record in &records {
            table.add_row([
                record.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                visible(&record.who),
                visible(&record.what),
                visible(&record.subjects.join(" ")),
                record.result.map(|result| result.to_string()).unwrap_or_default(),
                visible(record.why.as_deref().unwrap_or("")),
            ]);
        }
        say_table(context, &mut table)?;
    }
    inbox.close().await;
    Ok(OK)
}
