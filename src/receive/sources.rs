//! Who sent a request: the socket's peer, or whom a trusted proxy names. And whether a channel takes
//! callbacks from there. An address proves nothing: the signature still decides.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The header in which proxies write the sender, each at the right end. Only this one is read: a proxy that
/// writes this one passes on a `Forwarded` of the sender's own making.
pub const FORWARDED_FOR: &str = "x-forwarded-for";
/// Most proxies that are looked through, from the right.
pub const HOPS_MAX: usize = 32;

/// The header of a trusted proxy cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`X-Forwarded-For` of a trusted proxy is unreadable")]
pub struct Unreadable;

/// Who is behind a trusted peer: the right-most address that is not itself a trusted proxy; the left-most one
/// when all are; the peer itself when the header is not there. What stands to the left of the found address was
/// written by the sender and is not looked at.
///
/// # Errors
/// [`Unreadable`] when what is needed of the header is no address, or when there are more than [`HOPS_MAX`].
pub fn behind(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> Result<IpAddr, Unreadable> {
    let mut source = peer;
    let lines = headers.get_all(FORWARDED_FOR);
    let mut hops = 0;
    for line in lines.iter().rev() {
        // As bytes: proxies put their word behind the sender's own on one line, and that one may be anything.
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            hops += 1;
            if hops > HOPS_MAX {
                return Err(Unreadable);
            }
            let entry = std::str::from_utf8(entry).map_err(|_| Unreadable)?;
            source = address(entry.trim_matches([' ', '\t'])).ok_or(Unreadable)?;
            if !contains(trusted, source) {
                return Ok(source);
            }
        }
    }
    Ok(source)
}

/// An address as proxies write it: bare, with a port, or in brackets. One with a zone is none: a zone means something
/// on the machine that wrote it alone (RFC 6874, section 4), and the standard library takes it beside a port only.
fn address(text: &str) -> Option<IpAddr> {
    if text.contains('%') {
        return None;
    }
    let parsed = text.parse::<IpAddr>().ok();
    let parsed = parsed.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6);
    parsed.or_else(bracketed).map(|address| address.to_canonical())
}

/// Whether an address lies in one of the ranges. The address is in its canonical form.
pub fn contains(ranges: &[IpNet], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

/// What is known about where requests may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allow {
    /// From everywhere.
    #[default]
    Everyone,
    /// From elsewhere too, but it is noted.
    Noted(Vec<IpNet>),
    /// From these alone.
    Only(Vec<IpNet>),
}

/// What an address means for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing to say.
    Fine,
    /// Not in the list, which is only noted.
    Noted,
    /// Not in the list: refuse.
    Refused,
}

impl Allow {
    /// Judges a sender. One that is not known is in no list.
    pub fn judge(&self, source: Option<IpAddr>) -> Standing {
        let is_in = |ranges: &[IpNet]| source.is_some_and(|source| contains(ranges, source.to_canonical()));
        match self {
            Self::Everyone => Standing::Fine,
            Self::Noted(ranges) | Self::Only(ranges) if is_in(ranges) => Standing::Fine,
            Self::Noted(_) => Standing::Noted,
            Self::Only(_) => Standing::Refused,
        }
    }
}

/// Prefix of the IPv6 addresses that count as one: a customer of a provider has at least this many.
pub const V6_PREFIX: u8 = 64;

/// What counts as one sender for caps and rates: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender(pub(super) u64, pub(super) bool);

impl Sender {
    /// The sender that an address belongs to.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits()), false),
            IpAddr::V6(v6) => Self(u64::try_from(v6.to_bits() >> V6_PREFIX).unwrap_or_default(), true),
        }
    }

    /// The neighbourhood of a sender, for when there are too many senders to know each: IPv4 /16, IPv6 /32.
    pub(super) fn neighbourhood(self) -> Self {
        Self(if self.1 { self.0 >> 32 } else { self.0 >> 16 }, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_sender_is_the_right_most_address_that_is_no_proxy_of_ours() {
        let trusted = ranges(&["10.0.0.0/8", "127.0.0.1/32", "2001:db8::/32"]);
        let many_trusted = vec!["10.1.1.1"; HOPS_MAX].join(",");
        let too_many = format!("1.2.3.4,{many_trusted}");
        let cases: &[(&[&str], Result<&str, Unreadable>)] = &[
            (&[], Ok("10.9.9.9")),
            (&["1.2.3.4"], Ok("1.2.3.4")),
            (&["6.6.6.6, 1.2.3.4"], Ok("1.2.3.4")),
            (&["6.6.6.6, 1.2.3.4, 10.0.0.2"], Ok("1.2.3.4")),
            (&["6.6.6.6", "1.2.3.4", "10.0.0.2,\t127.0.0.1"], Ok("1.2.3.4")),
            // What the sender wrote to the left is not looked at.
            (&["<script>, 1.2.3.4"], Ok("1.2.3.4")),
            (&["\u{1}", "1.2.3.4"], Ok("1.2.3.4")),
            (&["\u{1}, 1.2.3.4"], Ok("1.2.3.4")),
            (&["\u{1}, 10.0.0.1"], Err(Unreadable)),
            (&["10.0.0.3, 10.0.0.2"], Ok("10.0.0.3")),
            (&["1.2.3.4:5678"], Ok("1.2.3.4")),
            (&["[2400:cb00::1]:443"], Ok("2400:cb00::1")),
            (&["[2400:cb00::1]"], Ok("2400:cb00::1")),
            (&["2400:cb00::1, 2001:db8::7"], Ok("2400:cb00::1")),
            (&["::ffff:1.2.3.4, ::ffff:10.0.0.1"], Ok("1.2.3.4")),
            (&[""], Err(Unreadable)),
            (&["1.2.3.4,"], Err(Unreadable)),
            (&["1.2.3.4", ""], Err(Unreadable)),
            (&["unknown"], Err(Unreadable)),
            (&["_hidden, 10.0.0.1"], Err(Unreadable)),
            (&["1.2.3"], Err(Unreadable)),
            (&["01.2.3.4"], Err(Unreadable)),
            (&["1.2.3.4 5.6.7.8"], Err(Unreadable)),
            (&["fe80::1%eth0"], Err(Unreadable)),
            (&["[fe80::1%1]:443"], Err(Unreadable)),
            (&["[2400:cb00::1%0]:443"], Err(Unreadable)),
            (&["for=1.2.3.4"], Err(Unreadable)),
            (&[&too_many], Err(Unreadable)),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                let value = http::HeaderValue::from_bytes(line.replace('\u{1}', "\u{e9}").as_bytes()).unwrap();
                headers.append(FORWARDED_FOR, value);
            }
            let found = behind("10.9.9.9".parse().unwrap(), &trusted, &headers);
            assert_eq!(found, expected.map(|text| text.parse().unwrap()), "{lines:?}");
        }
    }

    #[test]
    fn a_list_is_asked_only_when_there_is_one() {
        let list = ranges(&["110.75.128.0/19", "2400:b200::/32"]);
        let (noted, only) = (Allow::Noted(list.clone()), Allow::Only(list));
        for (source, is_in) in [
            (Some("110.75.130.1"), true),
            (Some("::ffff:110.75.130.1"), true),
            (Some("2400:b200::9"), true),
            (Some("110.76.1.1"), false),
            (Some("::1"), false),
            (None, false),
        ] {
            let address = source.map(|text| text.parse().unwrap());
            assert_eq!(Allow::Everyone.judge(address), Standing::Fine);
            assert_eq!(noted.judge(address), if is_in { Standing::Fine } else { Standing::Noted }, "{source:?}");
            assert_eq!(only.judge(address), if is_in { Standing::Fine } else { Standing::Refused }, "{source:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_sender() {
        let of = |text: &str| Sender::of(text.parse().unwrap());
        assert_eq!(of("2400:b200:0:1::1"), of("2400:b200:0:1:ffff::2"));
        assert_ne!(of("2400:b200:0:1::1"), of("2400:b200:0:2::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
        assert_ne!(of("0.0.0.1"), of("0:0:0:1::"));
        assert_eq!(of("1.2.3.4").neighbourhood(), of("1.2.200.4").neighbourhood());
        assert_ne!(of("1.2.3.4").neighbourhood(), of("1.3.3.4").neighbourhood());
        assert_eq!(of("2400:b200:1::1").neighbourhood(), of("2400:b200:2::1").neighbourhood());
    }
}
