//! An application on loopback that answers as it is told and remembers what it was asked.

#![allow(dead_code, reason = "each test binary that includes this file uses its own part of it")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::gateway::PATIENCE;

/// What the application was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What the application does with a request.
#[derive(Clone)]
pub(crate) enum Does {
    /// Writes these bytes and closes.
    Says(Vec<u8>),
    /// Writes nothing and keeps the connection open until the test ends.
    Hangs,
    /// Writes a head and then bytes for ever.
    NeverStops,
}

pub(crate) fn says(status: &str, headers: &str, body: &str) -> Does {
    Does::Says(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

pub(crate) fn confirms() -> Does {
    says("204 No Content", "", "")
}

/// An application on loopback.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) does: Arc<Mutex<Does>>,
}

impl App {
    pub(crate) fn new(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let app = Self { address, asked: Arc::default(), does: Arc::new(Mutex::new(does)) };
        let (asked, does) = (app.asked.clone(), app.does.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, does) = (asked.clone(), does.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &asked, &does));
            }
        });
        app
    }

    pub(crate) fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Asked>>, does: &Mutex<Does>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let Some(request) = read(&mut stream) else { return };
    let does = does.lock().unwrap().clone();
    asked.lock().unwrap().push(request);
    // The gateway may be gone by then; that is what some tests are about.
    match does {
        Does::Says(bytes) => drop(stream.write_all(&bytes)),
        Does::Hangs => drop(stream.read(&mut [0])),
        Does::NeverStops => {
            let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while written.is_ok() {
                written = stream.write_all(&[b'x'; 10_000]);
            }
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let mut words = lines.next()?.split(' ').map(str::to_owned);
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..end + 4 + length].to_vec();
                return Some(Asked { method: words.next()?, target: words.next()?, headers, body });
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}
