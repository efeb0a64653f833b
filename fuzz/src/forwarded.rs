//! Who is behind a proxy: nothing that a sender writes to the left of what our proxies write moves the answer.
//!
//! The input is the lines of `X-Forwarded-For`.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use tollbell::receive::sources::{FORWARDED_FOR, HOPS_MAX, behind, contains};

const PEER: &str = "10.9.9.9";
const STRANGER: &str = "203.0.113.7";

pub(crate) fn check(data: &[u8]) {
    let trusted: Vec<IpNet> =
        ["10.0.0.0/8", "2001:db8::/32"].iter().map(|range| range.parse().expect("a constant range")).collect();
    let peer: IpAddr = PEER.parse().expect("a constant address");
    let lines: Vec<HeaderValue> =
        data.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let found = behind(peer, &trusted, &headers(&lines));
    assert_eq!(found.ok(), read(peer, &trusted, &lines), "{lines:?}");
    if let Ok(found) = found {
        assert_eq!(found, found.to_canonical());
        // One line or several, it is the same list (RFC 9110, section 5.3).
        let joined = lines.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b',');
        if !lines.is_empty() {
            let joined = HeaderValue::from_bytes(&joined).expect("lines of a header make one");
            assert_eq!(behind(peer, &trusted, &headers(&[joined])), Ok(found));
        }
    }
    // Our proxy writes whom it saw to the right of all that; then nothing else counts.
    let mut seen = lines;
    seen.push(HeaderValue::from_static(STRANGER));
    assert_eq!(behind(peer, &trusted, &headers(&seen)), Ok(STRANGER.parse().expect("a constant address")));
}

fn headers(lines: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(FORWARDED_FOR, line.clone());
    }
    headers
}

/// The second reading: the whole list at once, from the right.
fn read(peer: IpAddr, trusted: &[IpNet], lines: &[HeaderValue]) -> Option<IpAddr> {
    let entries: Vec<&[u8]> = lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).collect();
    let mut last = peer;
    for (hop, entry) in entries.iter().rev().enumerate() {
        let text = std::str::from_utf8(entry).ok()?.trim_matches(|c| c == ' ' || c == '\t');
        let bare = match text.strip_prefix('[') {
            Some(rest) => {
                let (inner, port) = rest.split_once(']')?;
                is_port(port).then_some(())?;
                inner.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6)
            }
            None => text.parse().ok().or_else(|| {
                let (host, port) = text.split_once(':')?;
                is_port(&format!(":{port}")).then_some(())?;
                host.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
            }),
        };
        last = bare.filter(|_| hop < HOPS_MAX)?.to_canonical();
        if !contains(trusted, last) {
            return Some(last);
        }
    }
    Some(last)
}

/// Nothing, or a colon and a number of a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}
