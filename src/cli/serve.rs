//! `serve`: runs the node until it is told to stop.

use super::context::Context;
use super::{ExitCode, OK};
use crate::app;

pub(super) async fn run(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    app::start_logging(&config)?;
    let node = app::Node::start(config).await?;
    node.run_until_signal().await?;
    Ok(OK)
}
