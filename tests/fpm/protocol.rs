//! Servers that break the protocol.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tollbell::targets::{Envelope, Target};

use super::world::{ENOUGH, deliver, envelope, notes, said, settings, target};

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

fn answer(body: &str) -> Vec<u8> {
    [record(6, format!("Content-Type: text/plain\r\n\r\n{body}").as_bytes()), record(3, &[0; 8])].concat()
}

/// Reads one request up to the empty STDIN record.
fn read_request(stream: &mut std::net::TcpStream) -> bool {
    let mut header = [0; 8];
    while stream.read_exact(&mut header).is_ok() {
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        stream.read_exact(&mut content).unwrap();
        if header[1] == 5 && length == 0 {
            return true;
        }
    }
    false
}

/// A server that handles each connection with `serve`, told the connection's number.
fn serving(serve: impl Fn(usize, std::net::TcpStream) + Send + 'static) -> Arc<dyn Target> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            serve(number, stream.unwrap());
        }
    });
    target(&settings(&address, Path::new("/w/notify.php")))
}

#[tokio::test]
async fn a_connection_that_closes_late_after_the_last_request_is_no_failure() {
    // As a worker at `pm.max_requests`, only slower: the end, then a while, then the close, after the next
    // request was written but never read.
    let target = serving(|number, mut stream| {
        assert!(read_request(&mut stream));
        stream.write_all(&answer("success")).unwrap();
        if number == 0 {
            std::thread::sleep(Duration::from_millis(50));
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        }
    });
    let first = deliver(&*target, envelope("x"), ENOUGH).await;
    assert_eq!((said(&first).as_str(), notes(&first)), ("delivered", vec![]));
    let second = deliver(&*target, envelope("x"), ENOUGH).await;
    assert_eq!((said(&second).as_str(), notes(&second)), ("delivered", vec!["sent_again"]));
}

#[tokio::test]
async fn a_close_in_the_middle_of_work_is_not_taken_for_a_late_one() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let target = serving(move |_, mut stream| {
        while read_request(&mut stream) {
            if counted.fetch_add(1, Ordering::SeqCst) == 1 {
                std::thread::sleep(Duration::from_millis(400));
                return;
            }
            stream.write_all(&answer("success")).unwrap();
        }
    });
    assert_eq!(said(&deliver(&*target, envelope("x"), ENOUGH).await), "delivered");
    assert_eq!(said(&deliver(&*target, envelope("x"), ENOUGH).await), "unknown connection_lost");
    assert_eq!(requests.load(Ordering::SeqCst), 2, "it is not sent again");
}

/// A request whose parameters alone are more than a socket takes at once.
fn with_many_headers() -> Envelope {
    let mut notice = envelope("x");
    for number in 0..1000 {
        let name = HeaderName::from_bytes(format!("x-long-{number}").as_bytes()).unwrap();
        notice.request.as_mut().unwrap().headers.insert(name, HeaderValue::from_str(&"v".repeat(8000)).unwrap());
    }
    notice
}

#[tokio::test]
async fn a_request_whose_parameters_did_not_get_out_is_not_unknown() {
    let hanging_up = serving(|_, mut stream| stream.read_exact(&mut [0; 8]).unwrap());
    let attempted = deliver(&*hanging_up, with_many_headers(), ENOUGH).await;
    assert_eq!(said(&attempted), "retry not_sent", "{attempted:?}");

    let held = Mutex::new(Vec::new());
    let never_reading = serving(move |_, stream| held.lock().unwrap().push(stream));
    let attempted = deliver(&*never_reading, with_many_headers(), Duration::from_secs(2)).await;
    assert_eq!(said(&attempted), "retry fpm_busy", "{attempted:?}");
}

#[tokio::test]
async fn what_is_no_whole_fastcgi_answer_is_told_apart() {
    let end = |status| record(3, &[0, 0, 0, 0, status, 0, 0, 0]);
    let half = record(6, b"Content-Type: text/plain\r\n\r\nsuccess");
    let cases = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "retry not_fastcgi"),
        (end(2), "retry fpm_busy"),
        (end(1), "retry fastcgi_refused"),
        (end(3), "retry fastcgi_refused"),
        (end(9), "unknown fastcgi_refused"),
        (half.clone(), "unknown answer_broken_off"),
        ([half.clone(), b"garbage".to_vec()].concat(), "unknown protocol_error"),
        ([record(77, b"future"), answer("success")].concat(), "delivered"),
        (record(3, &[0; 8]), "retry empty_answer"),
        (Vec::new(), "unknown connection_lost"),
    ];
    for (bytes, expected) in cases {
        let target = serving(move |_, mut stream| {
            if read_request(&mut stream) {
                stream.write_all(&bytes).unwrap();
            }
        });
        let attempted = deliver(&*target, envelope("x"), ENOUGH).await;
        assert_eq!(said(&attempted), expected, "{attempted:?}");
    }
}
