//! Hostile peers: those that do not read, do not end, or speak no HTTP.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::world::{Lock, Shop, all_delivered, is_success, metric};
use crate::support::gateway::{get, read_reply, wait_for, wire};

#[test]
fn a_peer_that_reads_no_replies_does_not_keep_its_place() {
    let shop = Shop::new();
    let mut world = shop.world();
    world.reconfigure(|text| text.replace("[server]\n", "[server]\nmax_connections = 1\n"));
    let _gateway = world.start();
    let mut deaf = TcpStream::connect(world.address).unwrap();
    deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let many = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    // As much as the other side takes; it stops taking once its replies find no room.
    for _ in 0..2000 {
        if deaf.write_all(&many).is_err() {
            break;
        }
    }
    let payment = world.payment("DEAF-1", 1000);
    assert!(is_success(&world, &payment), "a peer that reads nothing shut everybody else out");
}

#[test]
fn peers_that_read_nothing_do_not_shut_the_admin_listener() {
    let shop = Shop::new();
    let world = shop.world();
    let _gateway = world.start();
    let many = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500);
    let mut deaf = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(world.admin).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let _as_much_as_goes = (0..20).all(|_| stream.write_all(&many).is_ok());
        deaf.push(stream);
    }
    wait_for("health", || get(world.admin, "/healthz").filter(|reply| reply.status == 200));
}

#[test]
fn a_connection_that_brings_nothing_genuine_is_not_kept() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("KEEP-1", 1000);
    let genuine = String::from_utf8(wire("/notify/alipay", &payment)).unwrap().replace("connection: close\r\n", "");
    let mut forged = genuine.clone();
    forged = forged.replacen("10.00", "99.00", 1);
    for (what, bytes) in [
        ("an unknown path", "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("another method", "HEAD /notify/alipay HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("no channel", "POST /notify HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"),
        ("a forgery", &forged),
    ] {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut all = Vec::new();
        assert!(stream.read_to_end(&mut all).is_ok(), "{what}: the connection stays open");
        assert!(String::from_utf8_lossy(&all).starts_with("HTTP/1.1 4"), "{what}");
    }
    let mut stream = TcpStream::connect(world.address).unwrap();
    for _ in 0..3 {
        stream.write_all(genuine.as_bytes()).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap().body, b"success", "a platform may keep its connection");
    }
}

#[test]
fn odd_http_never_gets_success_for_nothing_and_never_hangs() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("HTTP-1", 1000);
    let body = String::from_utf8(payment.body.to_vec()).unwrap();
    let n = body.len();
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let half = n / 2;
    let chunked =
        format!("{half:x}\r\n{}\r\n{:x};x=y\r\n{}\r\n0\r\nx: y\r\n\r\n", &body[..half], n - half, &body[half..]);
    let post =
        |target: &str, head: &str, body: &str| format!("POST {target} HTTP/1.1\r\nhost: x\r\n{form}{head}\r\n{body}");
    let at = "/notify/alipay";
    let refused = [
        post("//notify/alipay", &format!("content-length: {n}\r\n"), &body),
        post("/notify/alipay/", &format!("content-length: {n}\r\n"), &body),
        post("/notify/%61lipay", &format!("content-length: {n}\r\n"), &body),
        post("/notify/../notify/alipay", &format!("content-length: {n}\r\n"), &body),
        post("/NOTIFY/alipay", &format!("content-length: {n}\r\n"), &body),
        post("/notify?channel=", &format!("content-length: {n}\r\n"), &body),
        post("/notify?channel=alipay%00", &format!("content-length: {n}\r\n"), &body),
        post("/notify?channel=nobody&channel=alipay", &format!("content-length: {n}\r\n"), &body),
        post(at, &format!("content-length: {n}\r\ncontent-length: {half}\r\n"), &body),
        post(at, &format!("content-length: +{n}\r\n"), &body),
        post(at, "content-length: -1\r\n", &body),
        post(at, "content-length: 99999999999999999999\r\n", &body),
        post(at, "transfer-encoding: chunked, identity\r\n", &chunked),
        post(at, "transfer-encoding: chunked\r\n", &format!("fffffffffffffffff\r\n{body}")),
        post(at, "transfer-encoding: chunked\r\n", &format!("-1\r\n{body}")),
        post(at, &format!("content-length: {n}\r\n{}", "x: y\r\n".repeat(100)), &body),
        post(at, &format!("content-length: {n}\r\nx: {}\r\n", "y".repeat(64 * 1024)), &body),
        post(at, &format!("content-length: {n}\r\ncontent-encoding: gzip\r\n"), "no gzip"),
        format!("GET {at}?{body} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("HEAD {at} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("CONNECT {at} HTTP/1.1\r\nhost: x\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(),
    ];
    for request in refused {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let ended = stream.read_to_end(&mut all);
        let all = String::from_utf8_lossy(&all).into_owned();
        let head: String = request.chars().take(120).collect();
        assert!(ended.is_ok() || !all.is_empty(), "no end for {head:?}");
        assert!(!all.contains("success"), "{head:?} got {all:?}");
    }
    assert!(world.events().is_empty());
    let accepted = [
        post(&format!("http://elsewhere.example{at}?x=%00"), &format!("content-length: {n}\r\n"), &body),
        post(at, "transfer-encoding: chunked\r\n", &chunked),
        post(at, &format!("expect: 100-continue\r\ncontent-length: {n}\r\n"), &body),
        post("/notify", &format!("content-length: {n}\r\n"), &body),
        format!("POST {at} HTTP/1.0\r\n{form}content-length: {n}\r\n\r\n{body}"),
    ];
    for request in accepted {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        // The platform has said all and only listens: that is no hanging up.
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let _ended = stream.read_to_end(&mut all);
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(all.ends_with("\r\n\r\nsuccess"), "{:?} got {all:?}", &request[..60]);
    }
    assert_eq!(world.events().len(), 1);
}

#[test]
fn a_peer_that_hangs_up_at_once_is_not_counted_as_answered() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let payment = world.payment("RST-1", 1000);
    let lock = Lock::take(&world);
    let stream = TcpStream::connect(world.address).unwrap();
    (&stream).write_all(&wire("/notify/alipay", &payment)).unwrap();
    // With no time to linger, closing resets the connection: the reply meets nobody.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    wait_for("the request to arrive", || {
        (metric(&world, "tollbell_received_total{channel=\"alipay\"}") >= 1).then_some(())
    });
    drop(stream);
    lock.release();
    wait_for("an answer to a repetition", || is_success(&world, &payment).then_some(()));
    all_delivered(&world, 1);
    assert_eq!(world.events().len(), 1);
    drop(gateway);
    let id = world.events()[0]["notification"].as_str().unwrap().to_owned();
    assert_eq!(world.json(&["show", &id])[0]["repeated_after_ack"], 0);
}

#[test]
fn few_file_descriptors_cost_patience_and_nothing_else() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start_with(&["sh", "-c", "ulimit -n 48; exec \"$0\" \"$@\""]);
    let before = world.payment("FD-0", 1000);
    assert!(is_success(&world, &before));
    let crowd: Vec<TcpStream> = (0..80).filter_map(|_| TcpStream::connect(world.address).ok()).collect();
    // Some are kept for the node itself, so that it goes on with a full house.
    wait_for("the places to be taken", || (metric(&world, "tollbell_connections ") >= 24).then_some(()));
    drop(crowd);
    let payment = world.payment("FD-1", 1000);
    wait_for("an answer", || is_success(&world, &payment).then_some(()));
    all_delivered(&world, 2);
    assert_eq!(world.events().len(), 2);
}
