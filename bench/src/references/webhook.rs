//! `webhook`, as Debian packages it: checks an HMAC over the body and runs a command.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;

use super::program;
use crate::bodies::{SECRET, SIGNATURE};
use crate::servers::{Running, folder, free_address};

/// A running `webhook`.
pub(crate) struct Webhook {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Webhook {
    /// Where its hook is.
    pub(crate) const PATH: &str = "/hooks/pay";

    pub(crate) fn start(parent: &Path) -> anyhow::Result<Self> {
        let folder = folder(parent, "webhook")?;
        let address = free_address()?;
        let hooks = json!([{
            "id": "pay",
            "execute-command": "/bin/true",
            "response-message": "success",
            "trigger-rule-mismatch-http-response-code": 403,
            "trigger-rule": { "match": {
                "type": "payload-hmac-sha256", "secret": SECRET, "parameter": { "source": "header", "name": SIGNATURE },
            } },
        }]);
        let (path, log) = (folder.path().join("hooks.json"), folder.path().join("log"));
        fs::write(&path, hooks.to_string())?;
        let mut command = Command::new(program(&["webhook"])?);
        command.arg("-hooks").arg(&path).args(["-ip", &address.ip().to_string(), "-port", &address.port().to_string()]);
        let mut running = Running::start(&mut command, &log)?;
        running.wait_for_port(&log, address).context("webhook")?;
        Ok(Self { running, address, _folder: folder })
    }
}
