//! What goes out, what is read, and what ends in time.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;
use tollbell::egress::{Ask, ClientSettings, EGRESS_WORDS, Egress, EgressError, Got, Guard, HEADERS_MAX};

use super::world::{Answering, PATIENCE, SHORT, Server, get, ok, operator, url};

#[tokio::test]
async fn the_request_goes_out_as_asked_and_nothing_is_smuggled_in() {
    let server = Server::new(Answering::Close(ok("success"))).await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-shop", "1"),
        ("host", "evil.example"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("content-length", "3"),
        ("expect", "100-continue"),
        ("proxy", "http://evil.example"),
        ("proxy-authorization", "Basic eA=="),
        ("keep-alive", "timeout=9"),
        ("te", "trailers"),
    ] {
        headers.append(http::header::HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let body = Bytes::from_static(b"{\"a\":\"\x00\xff\"}");
    let ask = Ask { method: Method::POST, url: url(&format!("{}?q=%20", server.url())), headers, body: body.clone() };
    let got = operator().ask(ask, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!((got.status.as_u16(), &got.body[..], got.is_cut), (200, &b"success"[..], false));

    let sent = server.requests.lock().unwrap()[0].clone();
    assert!(sent.ends_with(&body));
    let head = String::from_utf8_lossy(&sent[..sent.len() - body.len()]).to_ascii_lowercase();
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let mut expected = vec![
        "accept-encoding: identity".to_owned(),
        "content-length: 10".to_owned(),
        "content-type: application/json".to_owned(),
        format!("host: {}", server.address),
        "post /x?q=%20 http/1.1".to_owned(),
        concat!("user-agent: tollbell/", env!("CARGO_PKG_VERSION")).to_owned(),
        "x-shop: 1".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn an_empty_post_says_that_it_is_empty_and_a_password_goes_into_its_header() {
    let server = Server::new(Answering::Close(ok(""))).await;
    let url = url(&format!("http://shop:pa%20ss@{}/", server.address));
    let ask = Ask { method: Method::POST, url, headers: HeaderMap::new(), body: Bytes::new() };
    operator().ask(ask, Instant::now() + PATIENCE).await.unwrap();
    let sent = server.requests()[0].to_ascii_lowercase();
    assert!(sent.contains("\r\ncontent-length: 0\r\n"), "{sent}");
    assert!(server.requests()[0].contains("Basic c2hvcDpwYSBzcw=="), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Server::new(Answering::Close(ok("stolen"))).await;
    let redirect =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let server = Server::new(Answering::Close(redirect.into_bytes())).await;
    let got = get(&operator(), &server.url()).await.unwrap();
    assert_eq!(got.status, 307);
    assert_eq!(got.headers["location"], elsewhere.url());
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn answers_of_every_shape_are_read() {
    for (what, bytes, status, body) in [
        ("a length", ok("success"), 200, "success"),
        ("no body", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), 204, ""),
        (
            "chunks",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsuc\r\n4;x=y\r\ncess\r\n0\r\nt: 1\r\n\r\n"
                .to_vec(),
            200,
            "success",
        ),
        ("HTTP/1.0 to the end of the connection", b"HTTP/1.0 200 OK\r\n\r\nsuccess".to_vec(), 200, "success"),
        ("HTTP/1.1 to the end of the connection", b"HTTP/1.1 500 Oh\r\n\r\nno".to_vec(), 500, "no"),
        (
            "a hint before the answer",
            [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".to_vec(), ok("y")].concat(),
            200,
            "y",
        ),
        (
            "packed bytes are left packed",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x1f".to_vec(),
            200,
            "\x1f\x1f",
        ),
    ] {
        let server = Server::new(Answering::Close(bytes)).await;
        let got = get(&operator(), &server.url()).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!((got.status.as_u16(), &got.body[..], got.is_cut), (status, body.as_bytes(), false), "{what}");
    }
}

#[tokio::test]
async fn answers_that_are_none_were_sent_all_the_same() {
    let big = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1024 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX + 1));
    for (what, bytes, word) in [
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), "malformed_answer"),
        ("a megabyte of header", big.into_bytes(), "malformed_answer"),
        ("too many headers", many.into_bytes(), "malformed_answer"),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_vec(),
            "malformed_answer",
        ),
        ("nothing at all", Vec::new(), "connection_broken"),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), "connection_broken"),
        ("half a body", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsucc".to_vec(), "connection_broken"),
        (
            "half the chunks",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nsucc".to_vec(),
            "connection_broken",
        ),
    ] {
        let server = Server::new(Answering::Close(bytes)).await;
        let error = get(&operator(), &server.url()).await.expect_err(what);
        assert_eq!((error.word(), error.was_sent()), (word, true), "{what}: {error:?}");
        assert_eq!(server.requests().len(), 1, "{what}: sent once");
        if what == "half a body" {
            assert!(matches!(error, EgressError::Broken { status: Some(status), .. } if status == 200), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let server = Server::new(Answering::Endless(head, vec![b'x'; 10_000])).await;
    let egress =
        Egress::new(ClientSettings { body_bytes_max: 12_345, ..ClientSettings::new(Guard::Operator) }).unwrap();
    let got = get(&egress, &server.url()).await.unwrap();
    assert!(got.is_cut);
    assert_eq!(got.body.len(), 12_345);
    // That connection is of no further use.
    get(&egress, &server.url()).await.unwrap();
    assert_eq!(server.connections(), 2);
    // A body of exactly the limit is whole.
    let server = Server::new(Answering::Keep(ok(&"x".repeat(12_345)))).await;
    let got = get(&egress, &server.url()).await.unwrap();
    assert!(!got.is_cut);
    assert_eq!(got.body.len(), 12_345);
}

#[tokio::test]
async fn the_deadline_ends_whatever_is_slow() {
    let slow = [
        ("no answer", Answering::Hang(Vec::new()), None),
        ("half a head", Answering::Hang(b"HTTP/1.1 200".to_vec()), None),
        ("half a body", Answering::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsucc".to_vec()), Some(200)),
    ];
    for (what, answering, expected) in slow {
        let server = Server::new(answering).await;
        let asked = operator().ask(Ask::get(url(&server.url())), Instant::now() + SHORT).await;
        let Err(EgressError::TimedOut { status }) = asked else { panic!("{what}: {asked:?}") };
        assert_eq!(status.map(|status| status.as_u16()), expected, "{what}");
    }
    let asked = operator().ask(Ask::get(url("http://127.0.0.1:9/")), Instant::now()).await;
    let error = asked.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("no_time_left", false));
}

#[test]
fn nothing_secret_is_shown() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer hunter2"));
    let ask = Ask {
        method: Method::POST,
        url: url("https://user:hunter2@host/hunter2?token=hunter2"),
        headers: headers.clone(),
        body: Bytes::from_static(b"hunter2"),
    };
    let got = Got { status: http::StatusCode::OK, headers, body: Bytes::from_static(b"hunter2"), is_cut: false };
    for shown in [format!("{ask:?}"), format!("{got:?}"), format!("{:?}", ClientSettings::new(Guard::Operator))] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn words_are_unique() {
    let mut words = EGRESS_WORDS.to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), EGRESS_WORDS.len());
}
