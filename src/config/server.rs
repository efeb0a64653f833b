//! `[server]`: the public listener, where callbacks arrive.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::network::{NetworkConfig, TlsConfig};
use super::reader::Section;
use super::roles::Roles;
use crate::messages::Message;

/// Where and how callbacks are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// `listen`: addresses, one or a list. Default `0.0.0.0:8080`.
    pub listen: Vec<SocketAddr>,
    /// `max_connections`: open connections; more wait in the system's queue. Default 10000.
    pub max_connections: usize,
    /// `first_byte_timeout`: from opening a connection to its first byte. Default 10 s.
    pub first_byte_timeout: Duration,
    /// `header_timeout`: time for a request's headers, and how long a kept connection may idle. Default 15 s.
    pub header_timeout: Duration,
    /// `body_timeout`: time for a request's body. Default 15 s.
    pub body_timeout: Duration,
    /// `body_limit`: bytes of a body. Default 1 MiB; genuine callbacks have a few KiB.
    pub body_limit: usize,
    /// `drain_timeout`: from SIGTERM to closing what is still open. Default 20 s.
    pub drain_timeout: Duration,
    /// What hostile networks may take, key by key.
    pub network: NetworkConfig,
    /// `[server.tls]`. Default none.
    pub tls: Option<TlsConfig>,
    /// `watch`: whether a change of the configuration's files or of a key file is applied by itself. Default true.
    pub watch: bool,
    /// `roles`: what this node does. Default all.
    pub roles: Roles,
}

/// Default of `listen`.
pub const LISTEN: &str = "0.0.0.0:8080";
/// Default of `max_connections`.
pub const MAX_CONNECTIONS: u64 = 10_000;
/// Largest `max_connections`: each costs a file descriptor and some KiB.
pub const MAX_CONNECTIONS_LIMIT: u64 = 1_000_000;
/// Default of `first_byte_timeout`.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Default of `header_timeout`.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Default of `body_timeout`.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// Default of `body_limit`.
pub const BODY_LIMIT: u64 = 1024 * 1024;
/// Largest `body_limit`: a callback is held in memory.
pub const BODY_LIMIT_MAX: u64 = 64 * 1024 * 1024;
/// Default of `drain_timeout`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

impl ServerConfig {
    pub(super) fn read(section: Section<'_>, folder: &Path) -> Self {
        let listen = addresses(&section, "listen", LISTEN);
        let bounded = |key: &str, default: u64, most: u64, found: Option<u64>| {
            let value = found.unwrap_or(default);
            if value == 0 || value > most {
                section.problem(key, Message::new("config.out_of_range").with("most", most));
            }
            usize::try_from(value).unwrap_or(usize::MAX)
        };
        let max_connections = section.number("max_connections");
        let body_limit = section.bytes("body_limit");
        let tls = TlsConfig::read(&section, &listen, folder);
        let body_limit = bounded("body_limit", BODY_LIMIT, BODY_LIMIT_MAX, body_limit);
        let config = Self {
            listen,
            max_connections: bounded("max_connections", MAX_CONNECTIONS, MAX_CONNECTIONS_LIMIT, max_connections),
            first_byte_timeout: positive(&section, "first_byte_timeout", FIRST_BYTE_TIMEOUT),
            header_timeout: positive(&section, "header_timeout", HEADER_TIMEOUT),
            body_timeout: positive(&section, "body_timeout", BODY_TIMEOUT),
            body_limit,
            drain_timeout: positive(&section, "drain_timeout", DRAIN_TIMEOUT),
            network: NetworkConfig::read(&section, body_limit),
            tls,
            watch: section.flag("watch").unwrap_or(true),
            roles: Roles::read(&section),
        };
        section.finish();
        config
    }
}

/// Addresses, one or a list.
pub(super) fn addresses(section: &Section<'_>, key: &str, default: &str) -> Vec<SocketAddr> {
    let texts = section.texts(key).unwrap_or_else(|| vec![default.to_owned()]);
    if texts.is_empty() {
        section.problem(key, Message::new("config.bad_address").with("value", ""));
    }
    let mut addresses = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => section.problem(key, Message::new("config.bad_address").with("value", text)),
        }
    }
    addresses
}

/// A duration above nothing.
pub(super) fn positive(section: &Section<'_>, key: &str, default: Duration) -> Duration {
    let value = section.duration(key).unwrap_or(default);
    if value.is_zero() {
        section.problem(key, Message::new("config.not_zero"));
    }
    value
}
