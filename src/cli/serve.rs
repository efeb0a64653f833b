//! `serve`: runs the node until it is told to stop.

use anyhow::Context as _;

use super::context::Context;
use super::{ExitCode, OK};
use crate::app;
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config_with_warnings()?;
    app::start_logging(&config)?;
    let node = app::Node::start_on(config, app::Sockets::from_environment()?)
        .await
        .with_context(|| context.text(&Message::new("doing.start")))?;
    node.run_until_signal().await.with_context(|| context.text(&Message::new("doing.run")))?;
    Ok(OK)
}
