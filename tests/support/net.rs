//! Raw connections to the gateway, and a gateway that needs no shop behind it.

#![allow(dead_code, reason = "each test binary that includes this file uses its own part of it")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tollbell_channels::model::RawRequest;

use super::gateway::{PATIENCE, Setup, World, get, wire};

/// A world whose target nobody serves: these tests end with the reply to the platform. Lines are added to
/// `[server]` and to the channel.
pub(crate) fn world(server: &str, channel: &str) -> World {
    let mut setup = Setup::new("127.0.0.1:9", Path::new("/nothing.php"));
    channel.clone_into(&mut setup.channel);
    let world = World::new(&setup);
    world.reconfigure(|text| {
        // A key that is given again replaces what the helper writes.
        let mut text = text;
        for key in server.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key) {
            let from = text.find(&format!("\n{key} = ")).filter(|at| *at < text.find("[admin]").unwrap());
            if let Some(from) = from {
                let end = from + 1 + text[from + 1..].find('\n').unwrap();
                text.replace_range(from..end, "");
            }
        }
        text.replacen("[server]\n", &format!("[server]\n{server}"), 1)
    });
    world
}

/// The sum of a metric's lines that begin so.
pub(crate) fn metric(world: &World, name: &str) -> u64 {
    let text = get(world.admin, "/metrics").map(|reply| reply.text()).unwrap_or_default();
    let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<u64>().ok()).sum()
}

/// Says all there is to say, and hears everything until the other side closes; `None` when it does not.
pub(crate) fn converse(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // The other side may have closed before the end, as it does with what is too large.
    let _cut = stream.write_all(bytes);
    let _gone = stream.shutdown(Shutdown::Write);
    hear(&mut stream)
}

/// Everything until the other side closes or resets; `None` when it stays open.
pub(crate) fn hear(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => None,
        _ => Some(all),
    }
}

/// A callback with a header line, on a connection of its own.
pub(crate) fn with_header(line: &str, request: &RawRequest) -> Vec<u8> {
    let bytes = wire("/notify/alipay", request);
    let at = bytes.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    [&bytes[..at], line.as_bytes(), b"\r\n", &bytes[at..]].concat()
}

/// The same callback with another amount, so that its signature fails.
pub(crate) fn forged(request: &RawRequest) -> RawRequest {
    let text = String::from_utf8(request.body.to_vec()).unwrap();
    assert!(text.contains("total_amount=10.00"), "{text}");
    let mut forged = request.clone();
    forged.body = text.replacen("total_amount=10.00", "total_amount=99.00", 1).into();
    forged
}

/// The status of the first reply in what was heard.
pub(crate) fn status(heard: &[u8]) -> Option<u16> {
    std::str::from_utf8(heard.get(9..12)?).ok()?.parse().ok()
}

/// Whether the platform would take it as success.
pub(crate) fn is_success(heard: &[u8]) -> bool {
    String::from_utf8_lossy(heard).ends_with("\r\n\r\nsuccess")
}

/// A short wait for a peer that says something now and then.
pub(crate) const BREATH: Duration = Duration::from_millis(50);
