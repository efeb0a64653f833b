//! Requests of the gateway to a platform, as a server on loopback reads and answers them.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollbell_channels::channel::{HttpAnswer, HttpAsk, Reach};

/// Reads one request; none at the end of the connection.
pub(crate) fn read_ask(stream: &mut TcpStream, address: SocketAddr) -> Option<HttpAsk> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.split("\r\n");
            let mut words = lines.next().unwrap().split(' ');
            let method: Method = words.next().unwrap().parse().unwrap();
            let url = format!("http://{address}{}", words.next().unwrap());
            let mut headers = HeaderMap::new();
            for line in lines {
                let (name, value) = line.split_once(": ").unwrap();
                headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
            }
            let length: usize = headers.get("content-length").map_or(0, |n| n.to_str().unwrap().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..end + 4 + length].to_vec().into();
                return Some(HttpAsk { method, url, headers, body, reach: Reach::Configured });
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// An answer as bytes.
pub(crate) fn written(answer: &HttpAnswer) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        write!(head, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    [head.as_bytes(), b"\r\n", &answer.body].concat()
}
