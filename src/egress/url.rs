//! The URLs that we dial: `http` and `https`, written plainly.
//!
//! Own and strict, because every reader of URLs that is lenient in another way than the one beside it
//! opens a gap: no user-info by mistake, no numbers that become addresses, no blanks, no fragments.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

/// Longest URL in bytes.
pub const URL_BYTES_MAX: usize = 4096;
/// Longest path and query of a request, in bytes: the most that can be written. Our own listener takes in half of that.
pub const TARGET_BYTES_MAX: usize = 65_534;
/// What is written as `%XX` in a query (RFC 3986 3.4), besides all beyond ASCII. A `%` is taken for the beginning of such a
/// one.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// Longest host name in bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Longest label of a host name in bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// How the other side is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The machine in a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address as it stands.
    Address(IpAddr),
    /// A name, in lower case.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Where a connection goes: what may be kept and used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// With or without TLS.
    pub scheme: Scheme,
    /// The machine.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// A URL that was read. It shows its origin only: paths and queries of webhooks often hold tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    origin: Origin,
    path_and_query: PathAndQuery,
    user_info: Option<UserInfo>,
}

/// `user:password@`, decoded.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UserInfo(Zeroizing<Vec<u8>>);

impl UserInfo {
    /// `user:password`.
    pub(super) fn pair(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Longer than [`URL_BYTES_MAX`], or [`TARGET_BYTES_MAX`] with a query that came to us.
    #[error("longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Neither `http://` nor `https://`, or not the one that is asked for.
    #[error("a URL that begins with http:// or https:// is needed")]
    Scheme,
    /// `user:password@` cannot be read, or is not allowed here.
    #[error("user name and password do not belong into this URL")]
    UserInfo,
    /// No host, or not a plain name or address.
    #[error("the host is neither a plain name nor an address")]
    Host,
    /// No number from 1 to 65535, or a port that is not allowed here.
    #[error("this port is not possible here")]
    Port,
    /// Blanks or other characters that must be written as `%XX`.
    #[error("the path or query has characters that must be written as %XX")]
    Path,
    /// `#…` never goes to a server.
    #[error("a part after # never goes to a server")]
    Fragment,
    /// Plain `http` where `https` is due.
    #[error("https is due here")]
    Plain,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it. The fault holds no part of the text, which may be secret.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlFault::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlFault::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(UrlFault::Scheme),
        };
        if rest.contains('#') {
            return Err(UrlFault::Fragment);
        }
        // A backslash is a slash to browsers and a letter to others; nobody means it.
        if !rest.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(if rest.split(['/', '?']).next().is_some_and(str::is_ascii) {
                UrlFault::Path
            } else {
                UrlFault::Host
            });
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(at);
        let (user_info, authority) = match authority.rsplit_once('@') {
            Some((user_info, authority)) => (Some(read_user_info(user_info)?), authority),
            None => (None, authority),
        };
        let (host, port) = read_authority(authority)?;
        let path_and_query = match path_and_query {
            "" => PathAndQuery::from_static("/"),
            query if query.starts_with('?') => {
                format!("/{query}").parse().map_err(|_: http::uri::InvalidUri| UrlFault::Path)?
            }
            path => path.parse().map_err(|_: http::uri::InvalidUri| UrlFault::Path)?,
        };
        let origin = Origin { scheme, host, port: port.unwrap_or(scheme.port()) };
        Ok(Self { origin, path_and_query, user_info })
    }

    /// Where it goes.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path with its query, as it stands in the request line. May hold a token: not for logs.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// Whether the URL brings a user name or a password.
    pub fn has_user_info(&self) -> bool {
        self.user_info.is_some()
    }

    pub(super) fn user_info(&self) -> Option<&UserInfo> {
        self.user_info.as_ref()
    }

    /// The same URL with another query. What cannot stand in one is written as `%XX`, so that who decodes it finds the
    /// same bytes; what can stays as it is. A query that came to us may be longer than a URL that somebody wrote; one
    /// that only its escapes make too long goes as it came.
    ///
    /// # Errors
    /// When the path and query have more than [`TARGET_BYTES_MAX`] bytes.
    pub fn with_query(&self, query: &str) -> Result<Self, UrlFault> {
        let path = self.path_and_query.path();
        let escaped = utf8_percent_encode(query, NOT_IN_QUERY).to_string();
        let fits = |query: &&str| path.len() + 1 + query.len() <= TARGET_BYTES_MAX;
        let as_it_came = Some(query).filter(|query| !query.contains('#'));
        let query = [Some(&*escaped), as_it_came].into_iter().flatten().find(fits).ok_or(UrlFault::TooLong)?;
        let whole = format!("{path}?{query}");
        let path_and_query = whole.parse().map_err(|_: http::uri::InvalidUri| UrlFault::Path)?;
        Ok(Self { path_and_query, ..self.clone() })
    }
}

fn read_user_info(text: &str) -> Result<UserInfo, UrlFault> {
    let decoded = |part: &str| -> Zeroizing<Vec<u8>> { Zeroizing::new(percent_decode_str(part).collect()) };
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (decoded(user), decoded(password));
    // A user name with a colon cannot be told from its password (RFC 7617).
    if text.contains('@') || user.is_empty() || user.contains(&b':') {
        return Err(UrlFault::UserInfo);
    }
    let mut pair = Zeroizing::new(Vec::with_capacity(user.len() + 1 + password.len()));
    pair.extend_from_slice(&user);
    pair.push(b':');
    pair.extend_from_slice(&password);
    Ok(UserInfo(pair))
}

fn read_authority(text: &str) -> Result<(Host, Option<u16>), UrlFault> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(UrlFault::Host)?;
        // A zone (`%eth0`) belongs to link-local addresses, which are never dialled.
        let address: Ipv6Addr = address.parse().map_err(|_| UrlFault::Host)?;
        (Host::Address(IpAddr::V6(address)), port)
    } else {
        let at = text.find(':').unwrap_or(text.len());
        let (host, port) = text.split_at(at);
        (read_host(host)?, port)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0).ok_or(UrlFault::Port)?)
        }
        _ => return Err(UrlFault::Port),
    };
    Ok((host, port))
}

fn read_host(text: &str) -> Result<Host, UrlFault> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    let name = text.to_ascii_lowercase();
    let labels: Vec<&str> = name.strip_suffix('.').unwrap_or(&name).split('.').collect();
    let is_label = |label: &&str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // `127.1`, `2130706433` and `0x7f.0.0.1` are addresses to some resolvers.
    let is_number = |label: &str| {
        let digits = label.strip_prefix("0x").filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        digits.is_some() || label.bytes().all(|b| b.is_ascii_digit())
    };
    let is_name = name.len() <= NAME_BYTES_MAX && labels.iter().all(is_label);
    if !is_name || labels.last().is_some_and(|last| is_number(last)) {
        return Err(UrlFault::Host);
    }
    Ok(Host::Name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_urls() {
        let long = format!("http://a/{}", "x".repeat(URL_BYTES_MAX));
        for (text, expected) in [
            ("http://127.0.0.1:3000/payments", Ok(("http://127.0.0.1:3000", "/payments"))),
            ("https://Shop.Example.com", Ok(("https://shop.example.com", "/"))),
            ("HTTPS://shop.example.com:443/a?b=c", Ok(("https://shop.example.com", "/a?b=c"))),
            ("https://shop.example.com:8443?b", Ok(("https://shop.example.com:8443", "/?b"))),
            ("http://[::1]:80/", Ok(("http://[::1]", "/"))),
            ("http://a_b-c.internal./x", Ok(("http://a_b-c.internal.", "/x"))),
            ("http://user:pa%40ss@host/x", Ok(("http://host", "/x"))),
            ("http://xn--fiqs8s/%E4%B8%AD", Ok(("http://xn--fiqs8s", "/%E4%B8%AD"))),
            ("ftp://host/", Err(UrlFault::Scheme)),
            ("host/path", Err(UrlFault::Scheme)),
            ("//host/path", Err(UrlFault::Scheme)),
            ("unix:///run/x.sock", Err(UrlFault::Scheme)),
            ("http://", Err(UrlFault::Host)),
            ("http:///path", Err(UrlFault::Host)),
            ("http://:80/", Err(UrlFault::Host)),
            ("http://host:/", Err(UrlFault::Port)),
            ("http://host:0/", Err(UrlFault::Port)),
            ("http://host:65536/", Err(UrlFault::Port)),
            ("http://host:+80/", Err(UrlFault::Port)),
            ("http://host:80:80/", Err(UrlFault::Port)),
            ("http://[::1/", Err(UrlFault::Host)),
            ("http://[::1]x/", Err(UrlFault::Port)),
            ("http://[fe80::1%25eth0]/", Err(UrlFault::Host)),
            ("http://127.1/", Err(UrlFault::Host)),
            ("http://2130706433/", Err(UrlFault::Host)),
            ("http://0x7f.0.0.0x1/", Err(UrlFault::Host)),
            ("http://0177.0.0.1/", Err(UrlFault::Host)),
            ("http://a..b/", Err(UrlFault::Host)),
            ("http://-a/", Err(UrlFault::Host)),
            ("http://中国/", Err(UrlFault::Host)),
            ("http://a%2eb/", Err(UrlFault::Host)),
            ("http://a b/", Err(UrlFault::Path)),
            ("http://host/a b", Err(UrlFault::Path)),
            ("http://host/中", Err(UrlFault::Path)),
            ("http://host\\@evil/", Err(UrlFault::Path)),
            ("http://host/a\r\nX: y", Err(UrlFault::Path)),
            ("http://host/#x", Err(UrlFault::Fragment)),
            ("http://@host/", Err(UrlFault::UserInfo)),
            ("http://a@b@host/", Err(UrlFault::UserInfo)),
            ("http://a%3ab:c@host/", Err(UrlFault::UserInfo)),
            (&long, Err(UrlFault::TooLong)),
        ] {
            let found = Url::parse(text);
            let found = found.as_ref().map(|url| (url.to_string(), url.path_and_query().to_string())).map_err(|e| *e);
            assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let url = Url::parse("https://user:hunter2@host:9/T0/B0?token=s3cret").unwrap();
        assert_eq!(url.user_info().unwrap().pair(), b"user:hunter2");
        for shown in [format!("{url}"), format!("{url:?}")] {
            assert!(shown.contains("https://host:9"));
            for secret in ["user", "hunter2", "token", "s3cret", "T0"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn another_query_keeps_the_rest() {
        let url = Url::parse("https://u:p@host/a?b").unwrap();
        let other = url.with_query("x=1&y=%20").unwrap();
        assert_eq!(other.path_and_query(), "/a?x=1&y=%20");
        assert!(other.has_user_info());
    }

    #[test]
    fn a_query_is_escaped_where_a_url_cannot_hold_it() {
        let url = Url::parse("https://host/a").unwrap();
        for (query, written) in [
            ("a=%e4%B8%ad&b=1+1;c/?:@!$'()*,~-._", "a=%e4%B8%ad&b=1+1;c/?:@!$'()*,~-._"),
            ("a b=中&c[]=1", "a%20b=%E4%B8%AD&c%5B%5D=1"),
            ("a#b", "a%23b"),
            ("a\r\nX: y\0\x7f", "a%0D%0AX:%20y%00%7F"),
            ("<\"\\^`{|}>", "%3C%22%5C%5E%60%7B%7C%7D%3E"),
            ("100%&%zz%", "100%&%zz%"),
        ] {
            let other = url.with_query(query).unwrap();
            assert_eq!(other.path_and_query(), format!("/a?{written}").as_str());
            let decoded = |text: &str| percent_decode_str(text).collect::<Vec<_>>();
            assert_eq!(decoded(other.path_and_query().query().unwrap()), decoded(query));
        }
    }

    #[test]
    fn a_query_may_be_longer_than_any_url_that_is_written() {
        let url = Url::parse(&format!("http://a/{}", "x".repeat(URL_BYTES_MAX - 9))).unwrap();
        let room = TARGET_BYTES_MAX - url.path_and_query().as_str().len() - 1;
        let query = "q".repeat(room);
        assert_eq!(url.with_query(&query).unwrap().path_and_query().query(), Some(query.as_str()));
        assert_eq!(url.with_query(&format!("{query}q")), Err(UrlFault::TooLong));
        let near = Url::parse("http://a/").unwrap();
        for raw in ["中".repeat(10_900), "|".repeat(32 * 1024)] {
            assert_eq!(near.with_query(&raw).unwrap().path_and_query().query(), Some(raw.as_str()));
        }
        for raw in ["#".repeat(32 * 1024), " ".repeat(32 * 1024)] {
            assert!(near.with_query(&raw).is_err());
        }
    }
}
