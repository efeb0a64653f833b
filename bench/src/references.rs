//! What merchants run today, started by the run itself: nginx and PHP-FPM with a database behind them, and
//! `webhook`. Each as its maker would set it up for speed, with its promise of durability kept.

mod database;
mod php;
mod webhook;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub(crate) use self::database::{Database, Kind};
pub(crate) use self::php::{Nginx, PHP_FPM, Pool, PoolSetup};
pub(crate) use self::webhook::Webhook;

/// Where distributions put programs that a user's path may leave out.
const FOLDERS: &[&str] = &["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];

/// A program by the first of its names that is there.
fn program(names: &[&str]) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from)).collect();
    let found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    found
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| anyhow::anyhow!("none of {names:?} is installed: run `make bench`"))
}

/// A folder for sockets, whose paths must be short, and for servers that keep no data.
fn sockets() -> anyhow::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("tollbell-bench-").tempdir().context("make a folder")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The first line of what a program says of its version.
pub(crate) fn version(names: &[&str], argument: &str) -> Option<String> {
    let output = std::process::Command::new(program(names).ok()?).arg(argument).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().map(str::to_owned)
}

/// A path as text, for a configuration.
fn text(path: &Path) -> String {
    path.display().to_string()
}
