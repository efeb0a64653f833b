//! Sockets that whoever started the process has opened (systemd's socket activation): while the node restarts,
//! connections wait in them instead of being refused.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;

use super::node::public_addresses;
use crate::config::Config;

/// The name of a socket for callbacks.
const PUBLIC: &str = "tollbell";
/// The name of the admin listener's socket.
const ADMIN: &str = "tollbell-admin";
/// Every name that a socket may have; one without any of them is told by its address.
const NAMES: &[&str] = &[PUBLIC, ADMIN];
/// What begins a name of ours: such a name that is not known is a slip of the pen.
const OURS: &str = "tollbell-";
/// What ends the name that systemd gives to a socket without one.
const UNNAMED_ENDING: &str = ".socket";

/// Sockets that are open already.
#[derive(Debug, Default)]
pub struct Sockets(Vec<Passed>);

#[derive(Debug)]
struct Passed {
    name: Option<String>,
    address: SocketAddr,
    socket: TcpListener,
}

impl Sockets {
    /// Takes what this process was given. May be called once.
    ///
    /// # Errors
    /// When something was given that is no listening TCP socket.
    pub fn from_environment() -> anyhow::Result<Self> {
        let mut given = listenfd::ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = Vec::new();
        for index in 0..given.len() {
            let name = names.next().filter(|name| !name.is_empty()).map(str::to_owned);
            let called = name.clone().unwrap_or_else(|| format!("number {}", index + 1));
            let socket = given
                .take_tcp_listener(index)
                .with_context(|| format!("use the socket `{called}` that was passed: it must listen on TCP"))?
                .with_context(|| format!("use the socket `{called}` that was passed"))?;
            let address = socket.local_addr().context("read the address of a socket that was passed")?;
            socket.set_nonblocking(true).context("use a socket that was passed")?;
            let name = name
                .filter(|name| NAMES.contains(&name.as_str()) || name.starts_with(OURS))
                .filter(|name| !name.ends_with(UNNAMED_ENDING));
            sockets.push(Passed { name, address, socket });
        }
        Ok(Self(sockets))
    }

    /// Checks that they are those of the configuration: one that nobody serves would swallow connections, and an
    /// address that is not passed beside others that are would be closed during a restart.
    ///
    /// # Errors
    /// Which one is wrong, and the cure.
    pub(super) fn fits(&self, config: &Config) -> anyhow::Result<()> {
        let public = public_addresses(config);
        let mut has_public = false;
        for Passed { name, address, .. } in &self.0 {
            let name = name.as_deref();
            let is_public = public.contains(address);
            let is_admin = config.admin.listen == *address;
            match name {
                Some(PUBLIC) | None if is_public => has_public = true,
                Some(ADMIN) | None if is_admin => {}
                Some(PUBLIC) => anyhow::bail!(
                    "the socket `{PUBLIC}` was passed with {address}, and server.listen has {public:?}; write the same address into the socket unit's ListenStream= and into server.listen"
                ),
                Some(ADMIN) => anyhow::bail!(
                    "the socket `{ADMIN}` was passed with {address}, and admin.listen is {}; write the same address into the socket unit's ListenStream= and into admin.listen",
                    config.admin.listen
                ),
                Some(other) => anyhow::bail!(
                    "a socket with the unknown name `{other}` was passed; FileDescriptorName= is one of {}",
                    NAMES.join(", ")
                ),
                None => anyhow::bail!(
                    "a socket with {address} was passed, which is neither in server.listen ({public:?}) nor admin.listen ({}); remove it from the socket unit, or configure its address",
                    config.admin.listen
                ),
            }
        }
        let missing = public.iter().find(|address| !self.0.iter().any(|passed| passed.address == **address));
        if let (true, Some(missing)) = (has_public, missing) {
            anyhow::bail!(
                "server.listen has {missing}, and no socket was passed for it beside the others; add it to the socket unit, or remove it from server.listen"
            );
        }
        Ok(())
    }

    /// The socket for a public address.
    pub(super) fn public(&mut self, address: SocketAddr) -> Option<TcpListener> {
        self.take(address, PUBLIC)
    }

    /// The socket for the admin listener.
    pub(super) fn admin(&mut self, address: SocketAddr) -> Option<TcpListener> {
        self.take(address, ADMIN)
    }

    fn take(&mut self, address: SocketAddr, name: &str) -> Option<TcpListener> {
        let fits = |passed: &Passed| passed.address == address && passed.name.as_deref().is_none_or(|n| n == name);
        let index = self.0.iter().position(fits)?;
        Some(self.0.swap_remove(index).socket)
    }
}
