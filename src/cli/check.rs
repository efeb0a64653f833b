//! `check`: reads the configuration as `serve` would, and says what is wrong with it.

use serde_json::json;

use super::context::Context;
use super::{ExitCode, OK};
use crate::messages::Message;

pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    if context.is_json {
        let value = json!({
            "ok": true,
            "channels": config.channels.len(),
            "targets": config.targets.len(),
        });
        context.say_json(&value)?;
        return Ok(OK);
    }
    let message =
        Message::new("check.good").with("channels", config.channels.len()).with("targets", config.targets.len());
    context.tell(&message)?;
    Ok(OK)
}
