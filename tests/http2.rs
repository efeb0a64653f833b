//! HTTP/2 at the public listener, by TLS and without: the same answers, the same limits, and an end for every
//! peer that keeps a connection busy without bringing anything.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod net;
}

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use support::gateway::{PATIENCE, World, wait_for, wire};
use support::net::{converse, forged, hear, is_success, metric, world};
use tokio::task::JoinHandle;
use tollbell_channels::model::RawRequest;

/// Runs with a bound on everything that should end.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("it ends") })
}

struct Client {
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

async fn connect(address: SocketAddr) -> Client {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    Client { send, connection: tokio::spawn(connection) }
}

fn head(request: &RawRequest) -> Request<()> {
    let mut head = Request::post("http://pay.example/notify/alipay");
    for (name, value) in request.headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length") {
        head = head.header(name, value);
    }
    head.body(()).unwrap()
}

impl Client {
    /// Sends a callback; its status and body, or why there is none.
    async fn ask(&mut self, request: &RawRequest) -> Result<(u16, String), h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (reply, mut stream) = send.send_request(head(request), false)?;
        stream.send_data(request.body.clone(), true)?;
        let reply = reply.await?;
        let status = reply.status().as_u16();
        let mut body = reply.into_body();
        let mut text = String::new();
        while let Some(data) = body.data().await {
            let data = data?;
            text.push_str(std::str::from_utf8(&data).unwrap());
            body.flow_control().release_capacity(data.len())?;
        }
        Ok((status, text))
    }

    /// Waits until the other side ends the connection.
    async fn ended(self) {
        drop(self.send);
        drop(self.connection.await.unwrap());
    }
}

fn is_healthy(world: &mut World, order_no: &str) {
    let payment = world.payment(order_no, 1000);
    assert!(is_success(&converse(world.address, &wire("/notify/alipay", &payment)).unwrap()));
    wait_for("every connection to be gone", || (metric(world, "tollbell_connections ") == 0).then_some(()));
    assert!(!world.log().contains("ended badly") && !world.log().contains("panicked"));
}

#[test]
fn callbacks_come_in_several_at_once_on_one_connection() {
    let mut world = world("header_timeout = \"10m\"\n", "");
    let _gateway = world.start();
    let payments: Vec<RawRequest> = (0..10).map(|n| world.payment(&format!("MANY-{n}"), 1000)).collect();
    run(async {
        let mut client = connect(world.address).await;
        for payment in &payments {
            assert_eq!(client.ask(payment).await.unwrap(), (200, "success".to_owned()));
        }
        let mut asked = Vec::new();
        for payment in &payments {
            let mut send = client.send.clone().ready().await.unwrap();
            let (reply, mut stream) = send.send_request(head(payment), false).unwrap();
            stream.send_data(payment.body.clone(), true).unwrap();
            asked.push(reply);
        }
        for reply in asked {
            assert_eq!(reply.await.unwrap().status(), 200);
        }
    });
    assert_eq!(world.events().len(), 10);
    let ids: Vec<String> = world.events().iter().map(|e| e["notification"].as_str().unwrap().to_owned()).collect();
    for id in ids {
        wait_for("the reply to be noted as given", || {
            (!world.json(&["show", &id])[0]["acked_at"].is_null()).then_some(())
        });
    }
}

#[test]
fn what_is_not_genuine_ends_the_connection() {
    let mut world = world("header_timeout = \"10m\"\n", "");
    let _gateway = world.start();
    let payment = world.payment("END-1", 1000);
    run(async {
        let mut client = connect(world.address).await;
        assert_eq!(client.ask(&payment).await.unwrap().0, 200);
        assert_eq!(client.ask(&forged(&payment)).await.unwrap(), (400, "fail".to_owned()));
        client.ended().await;
        for (method, path, status) in
            [("POST", "/nothing", 404), ("PUT", "/notify/alipay", 405), ("GET", "//notify/alipay", 404)]
        {
            let client = connect(world.address).await;
            let mut send = client.send.clone().ready().await.unwrap();
            let request = Request::builder().method(method).uri(format!("http://pay.example{path}")).body(()).unwrap();
            let (reply, _) = send.send_request(request, true).unwrap();
            assert_eq!(reply.await.unwrap().status(), status, "{path}");
            drop(send);
            client.ended().await;
        }
    });
    is_healthy(&mut world, "END-2");
}

#[test]
fn silent_and_slow_streams_end_as_other_requests_do() {
    let mut world = world("header_timeout = \"1s\"\nbody_timeout = \"1s\"\n", "");
    let _gateway = world.start();
    let payment = world.payment("SLOW-1", 1000);
    run(async {
        // Nothing at all after the preface, and nothing after a genuine callback.
        connect(world.address).await.ended().await;
        let mut idle = connect(world.address).await;
        assert_eq!(idle.ask(&payment).await.unwrap().0, 200);
        idle.ended().await;
        // A body that does not end.
        let client = connect(world.address).await;
        let mut send = client.send.clone().ready().await.unwrap();
        let (reply, mut stream) = send.send_request(head(&payment), false).unwrap();
        stream.send_data(payment.body.slice(..10), false).unwrap();
        assert_eq!(reply.await.unwrap().status(), 408);
        drop((send, stream));
        client.ended().await;
    });
    is_healthy(&mut world, "SLOW-2");
}

#[test]
fn a_connection_has_a_longest_life() {
    let mut world = world("max_connection_age = \"1s\"\nheader_timeout = \"10m\"\n", "");
    let _gateway = world.start();
    let payment = world.payment("AGE-1", 1000);
    run(async {
        let mut client = connect(world.address).await;
        while client.ask(&payment).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client.ended().await;
    });
    is_healthy(&mut world, "AGE-2");
}

#[test]
fn too_large_bodies_and_headers_are_refused() {
    let mut world = world("body_limit = \"64KiB\"\n", "");
    let _gateway = world.start();
    let payment = world.payment("LARGE-1", 1000);
    run(async {
        let mut client = connect(world.address).await;
        let mut large = payment.clone();
        large.body = vec![b'a'; 100_000].into();
        // Who still writes when it is refused may see the end before the reply.
        match client.ask(&large).await {
            Ok((status, _)) => assert_eq!(status, 400),
            Err(error) => assert!(error.is_reset() || error.is_go_away() || error.is_io(), "{error}"),
        }
        client.ended().await;
        let mut client = connect(world.address).await;
        let mut wide = payment.clone();
        for n in 0..40 {
            let name = http::HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap();
            wide.headers.insert(name, http::HeaderValue::from_str(&"y".repeat(1000)).unwrap());
        }
        match client.ask(&wide).await {
            Ok((status, _)) => assert_eq!(status, 431),
            Err(error) => assert!(error.is_reset() || error.is_go_away() || error.is_io(), "{error}"),
        }
    });
    let large = "tollbell_refused_total{channel=\"alipay\",reason=\"too_large\"}";
    assert_eq!(metric(&world, large), 1, "{}", world.log());
    is_healthy(&mut world, "LARGE-2");
}

#[test]
fn a_graceful_stop_lets_what_runs_end() {
    let mut world = world("header_timeout = \"10m\"\n", "");
    let mut gateway = world.start();
    let payment = world.payment("STOP-1", 1000);
    run(async {
        let mut client = connect(world.address).await;
        assert_eq!(client.ask(&payment).await.unwrap().0, 200);
        assert!(gateway.terminate().success());
        client.ended().await;
    });
}

#[test]
fn a_forger_on_a_shared_connection_cuts_off_nobody_else() {
    let mut world = world("write_timeout = \"200ms\"\nbody_timeout = \"10m\"\n", "");
    let _gateway = world.start();
    let (payment, forged) = (world.payment("SHARED-1", 1000), forged(&world.payment("SHARED-2", 1000)));
    run(async {
        let mut client = connect(world.address).await;
        let mut send = client.send.clone().ready().await.unwrap();
        let (reply, mut stream) = send.send_request(head(&payment), false).unwrap();
        let (first, rest) = (payment.body.slice(..20), payment.body.slice(20..));
        stream.send_data(first, false).unwrap();
        assert_eq!(client.ask(&forged).await.unwrap().0, 400);
        // As long as the connection would have lived without the other request on it.
        tokio::time::sleep(Duration::from_secs(3)).await;
        stream.send_data(rest, true).unwrap();
        assert_eq!(reply.await.expect("its own reply").status(), 200);
        client.ended().await;
    });
    assert_eq!(world.events().len(), 1);
}

// ---- frames by hand ----

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method: POST`, `:scheme: http`, `:path: /notify/alipay`, `:authority: x` (RFC 7541).
fn request_block() -> Vec<u8> {
    let path = b"/notify/alipay";
    [&[0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()][..], path, &[0x01, 0x01, b'x']].concat()
}

/// Makes the frames of a flood, by number.
type Frames<'a> = &'a dyn Fn(u32) -> Vec<u8>;

/// Sends frames until the other side ends the connection.
fn flood(address: SocketAddr, mut next: impl FnMut(u32) -> Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    let mut hearing = stream.try_clone().unwrap();
    let heard = std::thread::spawn(move || {
        let mut chunk = vec![0; 64 * 1024];
        while hearing.read(&mut chunk).is_ok_and(|n| n > 0) {}
    });
    for n in 0..2_000_000 {
        if stream.write_all(&next(n)).is_err() {
            heard.join().unwrap();
            return;
        }
    }
    panic!("two million frames, and nobody ended it");
}

#[test]
fn floods_of_frames_end_the_connection() {
    let mut world = world("header_timeout = \"10m\"\n", "");
    let mut gateway = world.start();
    let floods: &[(&str, Frames<'_>)] = &[
        ("pings", &|_| frame(PING, 0, 0, &[7; 8])),
        ("settings", &|_| frame(SETTINGS, 0, 0, &[])),
        ("windows", &|_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
        ("unknown frames", &|_| frame(200, 0, 0, &[0; 100])),
        // CVE-2023-44487: requests that are taken back at once.
        ("resets", &|n| {
            let stream = 2 * n + 1;
            let head = frame(HEADERS, END_HEADERS, stream, &request_block());
            [head, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
        }),
        ("resets of ended requests", &|n| {
            let stream = 2 * n + 1;
            let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request_block());
            [head, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
        }),
        // CVE-2024-27316 and its family: headers that never end.
        ("continuations", &|n| match n {
            0 => frame(HEADERS, 0, 1, &request_block()),
            _ => frame(CONTINUATION, 0, 1, &[&[0x00, 0x01, b'x', 0x64][..], &[b'y'; 100]].concat()),
        }),
        ("empty continuations", &|n| match n {
            0 => frame(HEADERS, 0, 1, &request_block()),
            _ => frame(CONTINUATION, 0, 1, &[]),
        }),
        ("empty data", &|n| match n {
            0 => frame(HEADERS, END_HEADERS, 1, &request_block()),
            _ => frame(0, 0, 1, &[]),
        }),
        ("requests beyond the number of streams", &|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &request_block())),
    ];
    for (what, next) in floods {
        flood(world.address, next);
        assert!(!gateway.has_ended(), "{what}");
    }
    assert!(metric(&world, "tollbell_connections_cut_total{reason=\"flood\"}") >= 1);
    assert!(world.events().is_empty());
    is_healthy(&mut world, "FLOOD-1");
}

#[test]
fn a_peer_that_opens_no_window_for_the_reply_is_let_go() {
    let mut world = world("write_timeout = \"1s\"\nheader_timeout = \"1s\"\n", "");
    let _gateway = world.start();
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing: replies have no room.
    let no_window = [&4u16.to_be_bytes()[..], &0u32.to_be_bytes()].concat();
    let forged = frame(HEADERS, END_HEADERS | END_STREAM, 1, &request_block());
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &no_window), &forged].concat()).unwrap();
    assert!(hear(&mut stream).is_some(), "it ends");
    is_healthy(&mut world, "WINDOW-1");
}
