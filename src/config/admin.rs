//! `[admin]`: health, readiness, metrics and commands, for this machine only; and who may ask.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::reader::Section;
use super::server::addresses;
use super::{read_word, settings};
use crate::messages::Message;

/// The admin listener, and the socket for commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// `listen`: a loopback address. Default `127.0.0.1:8081`.
    pub listen: SocketAddr,
    /// `socket`: a unix socket for the commands of this machine's operator, relative to the configuration's folder.
    /// Default `tollbell.sock`; the empty text switches it off.
    pub socket: Option<PathBuf>,
    /// `open_metrics`: whether `/metrics` answers without a token. Default false.
    pub open_metrics: bool,
    /// `hosts`: names under which the listener may be asked, beside `localhost` and loopback addresses.
    pub hosts: Vec<String>,
    /// `[[admin.token]]`: who may ask over TCP.
    pub tokens: Vec<TokenConfig>,
}

/// A token, known by its digest only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// `name`: who it is, in the audit.
    pub name: Arc<str>,
    /// `role`: `viewer` or `operator`.
    pub role: TokenRole,
    /// The SHA-256 of the token.
    pub digest: TokenDigest,
}

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRole {
    /// Reads.
    Viewer,
    /// Reads and writes.
    Operator,
}

/// The SHA-256 of a token. Not shown: it would let somebody test guesses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest(pub [u8; 32]);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// Default of `listen`.
pub const LISTEN: &str = "127.0.0.1:8081";
/// Default of `socket`.
pub const SOCKET: &str = "tollbell.sock";
/// Longest path of a unix socket in bytes: the system's address has room for no more.
pub const SOCKET_PATH_MAX: usize = 107;
/// Shortest token, in characters: a guess at one is hopeless at any speed.
pub const TOKEN_CHARS_MIN: usize = 32;
/// Longest token, in characters.
pub const TOKEN_CHARS_MAX: usize = 512;
/// Most tokens: every one of them is compared with each request's.
const TOKENS_MAX: usize = 64;
/// Most further host names.
const HOSTS_MAX: usize = 64;

impl AdminConfig {
    pub(super) fn read(section: Section<'_>, folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let found = addresses(&section, "listen", LISTEN);
        if found.len() > 1 {
            section.problem("listen", Message::new("config.one_address"));
        }
        let listen = found.first().copied().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        if !listen.ip().is_loopback() {
            section.problem("listen", Message::new("config.not_loopback"));
        }
        let socket = section.text("socket").unwrap_or_else(|| SOCKET.to_owned());
        let socket = Some(socket).filter(|name| !name.is_empty()).map(|name| folder.join(name));
        if socket.as_ref().is_some_and(|path| path.as_os_str().as_bytes().len() > SOCKET_PATH_MAX) {
            section.problem("socket", Message::new("config.socket_path").with("most", SOCKET_PATH_MAX));
        }
        let open_metrics = section.flag("open_metrics").unwrap_or(false);
        let hosts = hosts(&section);
        let tokens = tokens(&section, folder, variable);
        section.finish();
        Self { listen, socket, open_metrics, hosts, tokens }
    }
}

/// Names are compared without their port and in small letters.
fn hosts(section: &Section<'_>) -> Vec<String> {
    let found = section.texts("hosts").unwrap_or_default();
    if found.len() > HOSTS_MAX {
        section.problem("hosts", Message::new("config.too_many").with("most", HOSTS_MAX));
    }
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    for host in &found {
        let is_name = !host.is_empty() && host.chars().all(is_letter);
        if !is_name && host.parse::<IpAddr>().is_err() {
            section.problem("hosts", Message::new("config.bad_host").with("value", host));
        }
    }
    found.into_iter().map(|host| host.to_ascii_lowercase()).collect()
}

fn tokens(section: &Section<'_>, folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Vec<TokenConfig> {
    let sections = section.tables("token");
    if sections.len() > TOKENS_MAX {
        section.problem("token", Message::new("config.too_many").with("most", TOKENS_MAX));
    }
    let mut tokens: Vec<TokenConfig> = Vec::new();
    for section in sections {
        let Some(token) = read_token(section, &tokens, folder, variable) else { continue };
        tokens.push(token);
    }
    tokens
}

fn read_token(
    section: Section<'_>,
    others: &[TokenConfig],
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<TokenConfig> {
    let name = read_word(&section, "name");
    let role = match section.text("role").as_deref() {
        Some("viewer") => Some(TokenRole::Viewer),
        Some("operator") => Some(TokenRole::Operator),
        found => {
            if found.is_some() || !section.has("role") {
                section.problem("role", Message::new("config.one_of").with("known", "viewer, operator"));
            }
            None
        }
    };
    let digest = settings::secret(&section, "token", folder, variable).and_then(|(key, secret)| {
        let token = secret.trim_ascii();
        let is_good =
            (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
        if !is_good {
            let message = Message::new("config.bad_token").with("least", TOKEN_CHARS_MIN).with("most", TOKEN_CHARS_MAX);
            section.problem(&key, message);
            return None;
        }
        let sum = digest(&SHA256, token).as_ref().try_into().expect("SHA-256 has 32 bytes");
        if others.iter().any(|other| other.digest == TokenDigest(sum)) {
            section.problem(&key, Message::new("config.same_token"));
            return None;
        }
        Some(TokenDigest(sum))
    });
    if let Some(name) = &name
        && others.iter().any(|other| other.name == *name)
    {
        section.problem("name", Message::new("config.duplicate_id").with("id", name));
    }
    section.finish();
    Some(TokenConfig { name: name?, role: role?, digest: digest? })
}
