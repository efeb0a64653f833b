//! `[server]` against hostile networks: which proxies are believed, what one address may take, TLS; and the
//! addresses that a channel takes callbacks from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use tollbell_channels::platforms::Platform;

use super::reader::Section;
use super::server::{addresses, positive};
use crate::messages::Message;

/// What the public listener believes and grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// `trusted_proxies`: only a connection from one of these may name another sender in `X-Forwarded-For`.
    /// Default none. The header `Forwarded` is not read.
    pub trusted_proxies: Vec<IpNet>,
    /// `exempt_ips`: addresses that the caps and rates for one address do not bind. Default this machine,
    /// because what comes from here is a proxy that carries everybody's requests.
    pub exempt_ips: Vec<IpNet>,
    /// `max_connections_per_ip`: open connections of one IPv4 address or IPv6 /64. Default 256.
    pub max_connections_per_ip: usize,
    /// `rate_per_ip`: requests a second of one address. Default 500.
    pub rate_per_ip: u32,
    /// `rate_burst`: requests that one address may bring at once. Default 1000.
    pub rate_burst: u32,
    /// `suspect_rate`: verifications a second for all addresses together that brought many forgeries and
    /// nothing genuine. Default 2000, some hundredths of a processor.
    pub suspect_rate: u32,
    /// `max_bodies_bytes`: memory for large bodies that are being received, all connections together.
    /// Default 256 MiB.
    pub max_bodies_bytes: usize,
    /// `write_timeout`: a reply must be out of our hands within it. Default 15 s.
    pub write_timeout: Duration,
    /// `max_connection_age`: a kept connection is closed between two requests when it is older. Default 1 h.
    pub max_connection_age: Duration,
}

/// `[server.tls]`: a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// `certificate_file`: the chain in PEM, the server's own certificate first.
    pub certificate_file: PathBuf,
    /// `private_key_file`: its key in PEM, mode 0600.
    pub private_key_file: PathBuf,
    /// `listen`: the addresses that speak TLS, beside the plain ones. Empty: every address of `server.listen`.
    pub listen: Vec<SocketAddr>,
}

/// What is done about a sender's address that is not in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpCheck {
    /// Nothing.
    Off,
    /// It is counted and noted.
    Warn,
    /// The request is refused.
    Block,
}

/// A channel's `ip_check` with the list that it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowConfig {
    /// `ip_check`. Default `block` with `allow_ips`, else `off`.
    pub check: IpCheck,
    /// `allow_ips`, else what the platform publishes.
    pub ranges: Vec<IpNet>,
}

/// Default of `exempt_ips`.
pub const EXEMPT_IPS: &[&str] = &["127.0.0.0/8", "::1/128"];
/// Most entries of a list of addresses.
pub const RANGES_MAX: usize = 1024;
/// Default of `max_connections_per_ip`.
pub const MAX_CONNECTIONS_PER_IP: u64 = 256;
/// Default of `rate_per_ip`.
pub const RATE_PER_IP: u64 = 500;
/// Default of `rate_burst`.
pub const RATE_BURST: u64 = 1000;
/// Default of `suspect_rate`.
pub const SUSPECT_RATE: u64 = 2000;
/// Largest rate: more than any machine serves.
pub const RATE_MAX: u64 = 10_000_000;
/// Default of `max_bodies_bytes`.
pub const MAX_BODIES_BYTES: u64 = 256 * 1024 * 1024;
/// Largest `max_bodies_bytes`.
pub const MAX_BODIES_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Default of `write_timeout`.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Default of `max_connection_age`.
pub const MAX_CONNECTION_AGE: Duration = Duration::from_hours(1);

impl NetworkConfig {
    /// Reads its keys of `[server]`; `body_limit` is that key's value.
    pub(super) fn read(section: &Section<'_>, body_limit: usize) -> Self {
        let bounded = |key: &str, default: u64, most: u64, found: Option<u64>| {
            let value = found.unwrap_or(default);
            if value == 0 || value > most {
                section.problem(key, Message::new("config.out_of_range").with("most", most));
            }
            value.clamp(1, most)
        };
        let rate = |key: &str, default: u64| {
            u32::try_from(bounded(key, default, RATE_MAX, section.number(key))).unwrap_or(u32::MAX)
        };
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let trusted_proxies = ranges(section, "trusted_proxies").unwrap_or_default();
        for range in trusted_proxies.iter().filter(|range| range.prefix_len() == 0) {
            section.warning("trusted_proxies", Message::new("network.everyone").with("value", range));
        }
        let exempt_ips = ranges(section, "exempt_ips")
            .unwrap_or_else(|| EXEMPT_IPS.iter().filter_map(|text| text.parse().ok()).collect());
        let connections = section.number("max_connections_per_ip");
        let connections = bounded(
            "max_connections_per_ip",
            MAX_CONNECTIONS_PER_IP,
            super::server::MAX_CONNECTIONS_LIMIT,
            connections,
        );
        let bodies =
            bounded("max_bodies_bytes", MAX_BODIES_BYTES, MAX_BODIES_BYTES_MAX, section.bytes("max_bodies_bytes"));
        let config = Self {
            trusted_proxies,
            exempt_ips,
            max_connections_per_ip: size(connections),
            rate_per_ip: rate("rate_per_ip", RATE_PER_IP),
            rate_burst: rate("rate_burst", RATE_BURST),
            suspect_rate: rate("suspect_rate", SUSPECT_RATE),
            max_bodies_bytes: size(bodies),
            write_timeout: positive(section, "write_timeout", WRITE_TIMEOUT),
            max_connection_age: positive(section, "max_connection_age", MAX_CONNECTION_AGE),
        };
        if config.rate_burst < config.rate_per_ip && !section.has_reported("rate_per_ip") {
            section.problem("rate_burst", Message::new("network.burst_below_rate"));
        }
        if config.max_bodies_bytes < body_limit && !section.has_reported("body_limit") {
            let message = Message::new("network.bodies_below_limit").with("least", body_limit);
            section.problem("max_bodies_bytes", message);
        }
        config
    }
}

impl TlsConfig {
    /// Reads `[server.tls]`; without its two files there is no TLS.
    pub(super) fn read(server: &Section<'_>, plain: &[SocketAddr], folder: &Path) -> Option<Self> {
        let section = server.table("tls")?;
        let certificate = section.text("certificate_file");
        let key = section.text("private_key_file");
        let listen = match section.texts("listen") {
            Some(_) => addresses(&section, "listen", ""),
            None => Vec::new(),
        };
        for address in listen.iter().filter(|address| address.port() != 0 && plain.contains(address)) {
            section.problem("listen", Message::new("network.tls_same_address").with("address", address));
        }
        let config = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(Self { certificate_file: folder.join(certificate), private_key_file: folder.join(key), listen })
            }
            (None, None) => {
                if section.has("listen") {
                    section.problem("listen", Message::new("network.tls_needs_files"));
                }
                None
            }
            (Some(_), None) => {
                section.problem("certificate_file", Message::new("network.tls_half"));
                None
            }
            (None, Some(_)) => {
                section.problem("private_key_file", Message::new("network.tls_half"));
                None
            }
        };
        section.finish();
        config
    }
}

impl AllowConfig {
    /// Reads a channel's `allow_ips` and `ip_check`. The signature decides whatever they say.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let allowed = ranges(section, "allow_ips");
        if allowed.as_ref().is_some_and(Vec::is_empty) && !section.has_reported("allow_ips") {
            section.problem("allow_ips", Message::new("network.empty_allow_ips"));
        }
        let check = match section.text("ip_check").as_deref() {
            Some("off") => IpCheck::Off,
            Some("warn") => IpCheck::Warn,
            Some("block") => IpCheck::Block,
            Some(_) => {
                section.problem("ip_check", Message::new("config.one_of").with("known", "off, warn, block"));
                IpCheck::Off
            }
            None if allowed.is_some() => IpCheck::Block,
            None => IpCheck::Off,
        };
        Self { check, ranges: allowed.unwrap_or_default() }
    }

    /// Without a list of its own, a check uses what the platform publishes.
    pub(super) fn with_published(self, section: &Section<'_>, platform: &Platform) -> Self {
        if self.check == IpCheck::Off || section.has("allow_ips") {
            return self;
        }
        let ranges: Vec<IpNet> = platform.source_ranges.iter().filter_map(|range| range.parse().ok()).collect();
        if ranges.is_empty() {
            section.problem("ip_check", Message::new("network.no_published_ranges").with("kind", platform.kind));
        } else if self.check == IpCheck::Block {
            section.warning("ip_check", Message::new("network.published_may_change").with("kind", platform.kind));
        }
        Self { ranges, ..self }
    }
}

/// Reads a list of networks and single addresses. IPv4 networks that are written as IPv6 become IPv4.
fn ranges(section: &Section<'_>, key: &str) -> Option<Vec<IpNet>> {
    let texts = section.texts(key)?;
    if texts.len() > RANGES_MAX {
        section.problem(key, Message::new("config.too_many").with("most", RANGES_MAX));
    }
    let mut found = Vec::new();
    for text in texts {
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        match parsed {
            Ok(net) if net.trunc() != net => {
                let message =
                    Message::new("network.bits_beyond_prefix").with("value", &text).with("network", net.trunc());
                section.problem(key, message);
            }
            Ok(net) => found.push(canonical(net)),
            Err(_) => section.problem(key, Message::new("network.bad_range").with("value", &text)),
        }
    }
    Some(found)
}

/// Bits of an IPv4-mapped IPv6 address before the IPv4 address.
const MAPPED_BITS: u8 = 96;

fn canonical(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(Ok(v4)) = v6.prefix_len().checked_sub(MAPPED_BITS).map(|bits| Ipv4Net::new(v4, bits))
    {
        return IpNet::V4(v4);
    }
    net
}
