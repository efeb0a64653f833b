//! `serve`: runs the node until it is told to stop.

use anyhow::Context as _;
use tracing::info;

use super::context::Context;
use super::{ExitCode, OK};
use crate::app;
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let hangups = app::Hangups::heard_from_now()?;
    let config = context.config_with_warnings()?;
    let _logging = app::start_logging(&config)?;
    let mut ends = app::Ends::heard_from_now()?;
    let node = tokio::select! {
        biased;
        node = app::Node::start_on(config, app::Sockets::from_environment()?) => node,
        // What has begun to serve ends as if the process had died: nothing is lost by that.
        name = ends.next() => {
            info!("{name} before everything had started: ended");
            return Ok(OK);
        }
    };
    let node = node.with_context(|| context.text(&Message::new("doing.start")))?;
    node.run_until_signal(hangups, ends).await.with_context(|| context.text(&Message::new("doing.run")))?;
    Ok(OK)
}
