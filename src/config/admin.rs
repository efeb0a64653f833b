//! `[admin]`: health, readiness and metrics, for this machine only.

use std::net::{Ipv4Addr, SocketAddr};

use super::reader::Section;
use super::server::addresses;
use crate::messages::Message;

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// `listen`: a loopback address. Default `127.0.0.1:8081`.
    pub listen: SocketAddr,
}

/// Default of `listen`.
pub const LISTEN: &str = "127.0.0.1:8081";

impl AdminConfig {
    pub(super) fn read(section: Section<'_>) -> Self {
        let found = addresses(&section, "listen", LISTEN);
        if found.len() > 1 {
            section.problem("listen", Message::new("config.one_address"));
        }
        let listen = found.first().copied().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        if !listen.ip().is_loopback() {
            section.problem("listen", Message::new("config.not_loopback"));
        }
        section.finish();
        Self { listen }
    }
}
