//! Connections that are kept, closed and counted.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tollbell::egress::{Ask, ClientSettings, Egress, EgressError, Guard};

use super::world::{Answering, SHORT, Server, get, ok, operator, read_request, until, url};

#[tokio::test]
async fn a_connection_is_used_again_while_it_is_good() {
    let server = Server::new(Answering::Keep(ok("x"))).await;
    let egress = operator();
    for _ in 0..5 {
        get(&egress, &server.url()).await.unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 5));
    egress.close();
    get(&egress, &server.url()).await.unwrap();
    assert_eq!(server.connections(), 2);

    let none_kept =
        Egress::new(ClientSettings { idle_timeout: Duration::ZERO, ..ClientSettings::new(Guard::Operator) }).unwrap();
    let server = Server::new(Answering::Keep(ok("x"))).await;
    for _ in 0..3 {
        get(&none_kept, &server.url()).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let server = Server::new(Answering::Keep(ok("x"))).await;
    let idle_timeout = Duration::from_millis(100);
    let egress = Egress::new(ClientSettings { idle_timeout, ..ClientSettings::new(Guard::Operator) }).unwrap();
    get(&egress, &server.url()).await.unwrap();
    // The next request opens another one, once the first has gone.
    let mut asked = 1;
    while server.connections() < 2 {
        tokio::time::sleep(idle_timeout * 3).await;
        get(&egress, &server.url()).await.unwrap();
        asked += 1;
        assert!(asked < 100, "the idle connection is never closed");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_and_nothing_is_asked_twice() {
    // The server says that it keeps the connection, and closes it.
    let server = Server::with(vec![Answering::Close(ok("x")), Answering::Keep(ok("y"))], None).await;
    let egress = operator();
    assert_eq!(&get(&egress, &server.url()).await.unwrap().body[..], b"x");
    until("the connection has ended", || server.ended.load(Ordering::SeqCst) > 0).await;
    assert_eq!(&get(&egress, &server.url()).await.unwrap().body[..], b"y");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_request_that_went_out_on_a_kept_connection_is_not_sent_again() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen_there, accepted_there) = (seen.clone(), accepted.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            accepted_there.fetch_add(1, Ordering::SeqCst);
            // Answers the first request and breaks off after the second.
            while read_request(&mut stream).await.is_some() {
                if seen_there.fetch_add(1, Ordering::SeqCst) > 0 {
                    break;
                }
                stream.write_all(&ok("x")).await.unwrap();
            }
        }
    });
    let egress = operator();
    let asked = format!("http://{address}/");
    get(&egress, &asked).await.unwrap();
    let error = get(&egress, &asked).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("connection_broken", true), "{error:?}");
    assert_eq!((seen.load(Ordering::SeqCst), accepted.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection_and_frees_its_place() {
    let server = Server::with(vec![Answering::Hang(Vec::new()), Answering::Keep(ok("x"))], None).await;
    let settings = ClientSettings { connections_max: 1, ..ClientSettings::new(Guard::Operator) };
    let egress = Arc::new(Egress::new(settings).unwrap());
    let dropped = timeout(SHORT, get(&egress, &server.url())).await;
    assert!(dropped.is_err());
    assert_eq!(&get(&egress, &server.url()).await.unwrap().body[..], b"x");
}

#[tokio::test]
async fn no_more_requests_run_at_once_than_allowed() {
    let server = Server::new(Answering::Hang(Vec::new())).await;
    let settings = ClientSettings { connections_max: 1, ..ClientSettings::new(Guard::Operator) };
    let egress = Arc::new(Egress::new(settings).unwrap());
    let (first, asked) = (egress.clone(), server.url());
    let hanging = tokio::spawn(async move { get(&first, &asked).await });
    until("the first request is there", || !server.requests().is_empty()).await;
    let error = egress.ask(Ask::get(url(&server.url())), Instant::now() + SHORT).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("no_connection_free", false));
    assert_eq!(server.connections(), 1);
    hanging.abort();
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = get(&operator(), &format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(&error, EgressError::Connect { address: tried, .. } if *tried == address), "{error:?}");
    assert!(!error.was_sent());
    let error = get(&operator(), "http://no-such-host.invalid/").await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("host_not_found", false), "{error:?}");
}
