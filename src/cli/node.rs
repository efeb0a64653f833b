//! The way to a running node: commands go to it when one serves, and are executed here when none does.

use crate::control::{Answer, Caller, Command, Control, Role};
use crate::{app, clock};

use super::context::Context;

impl Context<'_> {
    /// Has a command executed, by the running node when there is one.
    pub(super) async fn execute(&mut self, command: Command) -> anyhow::Result<Answer> {
        let (config, inbox) = self.config_and_inbox()?;
        let receiver = Some(app::receiver(&config, inbox.clone()).await?);
        let control = Control { inbox: inbox.clone(), clock: clock::system(), receiver, node: None };
        let caller = Caller { name: "cli".to_owned(), role: Role::Owner };
        let answer = control.execute(command, &caller).await;
        inbox.close().await;
        Ok(answer?)
    }
}
