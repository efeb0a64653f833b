//! The way to a running node: commands go to it by its socket when one serves, and are executed here when none does.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::context::Context;
use crate::admin::access::Route;
use crate::app;
use crate::clock;
use crate::config::Config;
use crate::control::{Answer, Caller, Command, Control, ControlError, Reply, Role};
use crate::messages::Message;

/// Bytes of an answer at most.
const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a node that has just begun may take until its socket is there.
const BEGIN_TIME: Duration = Duration::from_secs(3);
/// Pause between two tries to reach it.
const BEGIN_PAUSE: Duration = Duration::from_millis(50);
/// Who writes into the inbox without a node, in the audit.
const DIRECT: &str = "cli";

impl Context<'_> {
    /// Has a command executed: by the node that serves this configuration's inbox, or here when none does.
    pub(super) async fn execute(&mut self, command: Command) -> anyhow::Result<Answer> {
        let config = self.config()?;
        match self.ask_node(&config, &command).await? {
            Some(answer) => Ok(answer),
            None => self.execute_here(&config, command).await,
        }
    }

    /// Asks the node that serves this configuration's inbox; `None` when none does.
    pub(super) async fn ask_node(&mut self, config: &Config, command: &Command) -> anyhow::Result<Option<Answer>> {
        if !app::is_served(config).with_context(|| self.text(&Message::new("doing.look_for_node")))? {
            return Ok(None);
        }
        let Some(path) = &config.admin.socket else { bail!(self.text(&Message::new("node.socket_off"))) };
        let Some(stream) = self.reach(config, path).await? else { return Ok(None) };
        let patience = command.patience();
        let answered = tokio::time::timeout(patience, exchange(stream, command)).await;
        let hung = || Message::new("node.hung").with("path", path.display()).with("seconds", patience.as_secs());
        let reply = answered.ok().with_context(|| self.text(&hung()))?;
        let reply = reply.with_context(|| self.text(&Message::new("node.broken_off")))?;
        let reply = serde_json::from_slice::<Reply>(&reply).map_err(|_| self.odd_answer())?;
        match Result::from(reply) {
            Ok(answer) => Ok(Some(answer)),
            Err(ControlError::Forbidden { .. }) => bail!(self.text(&Message::new("node.forbidden"))),
            Err(error) => Err(error.into()),
        }
    }

    /// Connects, and makes sure that it is the node who answers. `None` when it has just ended.
    async fn reach(&self, config: &Config, path: &Path) -> anyhow::Result<Option<UnixStream>> {
        let since = Instant::now();
        let stream = loop {
            let error = match UnixStream::connect(path).await {
                Ok(stream) => break stream,
                Err(error) => error,
            };
            let may_come = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
            if may_come && !app::is_served(config)? {
                return Ok(None);
            }
            if !may_come || since.elapsed() > BEGIN_TIME {
                let message = Message::new("node.unreachable").with("path", path.display());
                return Err(error).with_context(|| self.text(&message));
            }
            tokio::time::sleep(BEGIN_PAUSE).await;
        };
        let uid = stream.peer_cred().context("see who answers on the socket")?.uid();
        let owner = std::fs::metadata(&config.inbox.path).map(|inbox| inbox.uid()).ok();
        if uid != 0 && uid != rustix::process::geteuid().as_raw() && Some(uid) != owner {
            bail!(self.text(&Message::new("node.stranger").with("path", path.display()).with("uid", uid)));
        }
        Ok(Some(stream))
    }

    async fn execute_here(&mut self, config: &Config, command: Command) -> anyhow::Result<Answer> {
        let inbox = app::open_inbox(config).with_context(|| self.text(&Message::new("doing.open_inbox")))?;
        let receiver = Some(app::receiver(config, inbox.clone())?);
        let control = Control { inbox: inbox.clone(), clock: clock::system(), receiver, node: None };
        let caller = Caller { name: DIRECT.to_owned(), role: Role::Owner };
        let answer = control.execute(command, &caller).await;
        inbox.close().await;
        Ok(answer?)
    }

    /// The error for an answer to another question.
    pub(super) fn odd_answer(&self) -> anyhow::Error {
        anyhow::Error::msg(self.text(&Message::new("node.odd_answer")))
    }
}

/// Sends a command and reads the reply.
async fn exchange(stream: UnixStream, command: &Command) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let body = serde_json::to_vec(command).context("write the command as JSON")?;
    let request = http::Request::post(Route::Control.path())
        .header(http::header::HOST, "localhost")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("read the reply: {error}"))?.to_bytes();
    drop(sender);
    drop(driven.await);
    Ok(body)
}
