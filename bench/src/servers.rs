//! What is measured: each server started by the run itself, on a free port, in a folder of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use tollbell_channels::settings::SettingValue;

use crate::bodies::Signed;

/// Longest wait for a server to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A started process; ended when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    child: Child,
    pub(crate) folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?)
}

fn wait_for(address: SocketAddr, child: &mut Child, what: &str) -> anyhow::Result<()> {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("{what} ended with {status}");
        }
        ensure!(since.elapsed() < PATIENCE, "{what} does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix("tollbell-bench-").tempdir().context("make a folder")
}

/// The bare reference: this program itself.
pub(crate) fn bare(signed: &Signed) -> anyhow::Result<Running> {
    let folder = folder()?;
    let address = free_address()?;
    let key = folder.path().join("key.der");
    fs::write(&key, public_key_der(signed)?)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--serve-bare")
        .arg(address.to_string())
        .arg("--public-key")
        .arg(&key)
        .stdin(Stdio::null())
        .spawn()
        .context("start the bare reference")?;
    wait_for(address, &mut child, "the bare reference")?;
    Ok(Running { address, pid: child.id(), child, folder })
}

/// The platform's public key, from the PEM that a channel would be configured with.
fn public_key_der(signed: &Signed) -> anyhow::Result<Vec<u8>> {
    use base64::Engine as _;
    let keys = signed.side.written_settings().into_iter().filter_map(|setting| match setting.value {
        SettingValue::Key(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    });
    let pem = keys.into_iter().find(|text| text.contains("PUBLIC KEY")).context("the other side has no public key")?;
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
}

/// The gateway with the default settings but for addresses; `more` is added to the file.
pub(crate) fn gateway(program: &Path, sides: &[&Signed], more: &str, folder_of_data: Option<&Path>) -> anyhow::Result<Running> {
    let folder = folder()?;
    let address = free_address()?;
    let admin = free_address()?;
    let mut text = format!("[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n");
    if let Some(data) = folder_of_data {
        writeln!(text, "[inbox]\nurl = \"sqlite:{}/tollbell.db\"", data.display())?;
    }
    for signed in sides {
        writeln!(text, "[[channel]]\nid = \"{0}\"\nkind = \"{0}\"", signed.kind)?;
        for setting in signed.side.written_settings() {
            let name = setting.name;
            match setting.value {
                SettingValue::Text(value) => writeln!(text, "{name} = \"{value}\"")?,
                SettingValue::Texts(values) => writeln!(text, "{name} = {values:?}")?,
                SettingValue::Flag(value) => writeln!(text, "{name} = {value}")?,
                SettingValue::Key(bytes) => {
                    let path = folder.path().join(setting.file_name.context("a key has a file name")?);
                    fs::write(&path, &bytes[..])?;
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
                    writeln!(text, "{name}_file = \"{}\"", path.display())?;
                }
                other => bail!("setting {name}: {other:?}"),
            }
        }
    }
    text.push_str(more);
    let config = folder.path().join("tollbell.toml");
    fs::write(&config, text)?;
    let log = fs::File::create(folder.path().join("log"))?;
    let mut child = Command::new(program)
        .arg("--config")
        .arg(&config)
        .arg("serve")
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let waited = wait_for(address, &mut child, "the gateway");
    waited.with_context(|| fs::read_to_string(folder.path().join("log")).unwrap_or_default())?;
    Ok(Running { address, pid: child.id(), child, folder })
}

/// The database of a gateway that [`gateway`] started without a folder of its own.
pub(crate) fn database(running: &Running) -> PathBuf {
    running.folder.path().join("tollbell.db")
}
