//! The public listener on hostile networks: who is believed, what one sender may take, and every odd shape
//! of HTTP. Nothing that is not genuine comes in, every connection ends, and genuine callbacks go on.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod net;
}

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};
use support::gateway::{PATIENCE, World, get, read_reply, wait_for, wire};
use support::net::{BREATH, converse, forged, hear, is_success, metric, status, with_header, world};
use tollbell_channels::model::RawRequest;

/// Raw requests, a file a shape. `{{body}}` stands for a genuine callback's body, so that whatever lets it
/// through shows as success.
fn corpus(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/http").join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 20, "{kind}: only {} shapes", files.len());
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

fn filled(shape: &[u8], body: &[u8]) -> Vec<u8> {
    let ones: Vec<u8> = body.iter().flat_map(|byte| [b"1\r\n", &[*byte][..], b"\r\n"].concat()).collect();
    let mut bytes = shape.to_vec();
    for (mark, with) in [
        ("{{body}}", body.to_vec()),
        ("{{length}}", body.len().to_string().into_bytes()),
        ("{{length_hex}}", format!("{:x}", body.len()).into_bytes()),
        ("{{chunks_of_one}}", [&ones[..], b"0\r\n\r\n"].concat()),
    ] {
        while let Some(at) = bytes.windows(mark.len()).position(|window| window == mark.as_bytes()) {
            bytes.splice(at..at + mark.len(), with.iter().copied());
        }
    }
    bytes
}

fn send(world: &World, request: &RawRequest) -> Vec<u8> {
    converse(world.address, &wire("/notify/alipay", request)).expect("the connection ends")
}

// ---- shapes of HTTP ----

#[test]
fn no_odd_shape_brings_even_a_genuine_body_in() {
    let mut world = world("", "");
    let mut gateway = world.start();
    let payment = world.payment("SHAPE-1", 1000);
    let mut wrong = Vec::new();
    for (name, shape) in corpus("refused") {
        match converse(world.address, &filled(&shape, &payment.body)) {
            None => wrong.push(format!("{name}: the connection stays open")),
            Some(heard) if String::from_utf8_lossy(&heard).contains("success") => {
                wrong.push(format!("{name}: {}", String::from_utf8_lossy(&heard)));
            }
            Some(heard) if status(&heard).is_some_and(|status| status < 400) => {
                wrong.push(format!("{name}: {}", String::from_utf8_lossy(&heard)));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(world.events().is_empty(), "nothing came in");
    assert!(!gateway.has_ended());
    assert!(is_success(&send(&world, &payment)), "a genuine callback comes in as ever");
    assert_eq!(world.events().len(), 1);
}

#[test]
fn every_lawful_shape_brings_a_genuine_body_in_once() {
    let mut world = world("", "");
    let _gateway = world.start();
    let payment = world.payment("SHAPE-2", 1000);
    let mut wrong = Vec::new();
    for (name, shape) in corpus("accepted") {
        let heard = converse(world.address, &filled(&shape, &payment.body));
        if !heard.as_deref().is_some_and(is_success) {
            wrong.push(format!("{name}: {:?}", heard.map(|heard| String::from_utf8_lossy(&heard).into_owned())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.events().len(), 1);
}

/// Small, fast and the same on every machine (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % sides.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        const PIECES: &[&[u8]] = &[
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
            b" ",
            b"\t",
            b":",
            b"0\r\n\r\n",
            b"transfer-encoding: chunked\r\n",
            b"content-length: 0\r\n",
            b"connection: keep-alive\r\n",
            b"POST /notify/alipay HTTP/1.1\r\n",
            b"\xff",
            b";",
            b"-",
            b"+",
        ];
        let at = self.roll(bytes.len() + 1);
        let end = (at + self.roll(64)).min(bytes.len());
        match self.roll(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.roll(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = PIECES[self.roll(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &others[self.roll(others.len())];
                let from = self.roll(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ if at < bytes.len() => bytes[at] = u8::try_from(self.roll(256)).unwrap(),
            _ => {}
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "whoever sees it fail can repeat it")]
fn thousands_of_damaged_requests_bring_nothing_in_and_break_nothing() {
    const THREADS: u64 = 4;
    const REQUESTS: usize = 750;
    let seed: u64 = std::env::var("TOLLBELL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x7011_BE11);
    println!("TOLLBELL_SEED={seed}");
    let mut world = world("", "");
    let mut gateway = world.start();
    let payment = world.payment("FUZZ-1", 1000);
    // With a genuine body a request that survived its damage would rightly be accepted.
    let body = forged(&payment).body;
    let shapes: Vec<Vec<u8>> = corpus("refused")
        .into_iter()
        .chain(corpus("accepted"))
        .map(|(_, shape)| filled(&shape, &body))
        .filter(|bytes| bytes.len() < 100_000)
        .collect();
    let address = world.address;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let shapes = &shapes;
            scope.spawn(move || {
                let mut dice = Dice(seed.wrapping_mul(2 * thread + 3) | 1);
                for number in 0..REQUESTS {
                    let mut bytes = shapes[dice.roll(shapes.len())].clone();
                    for _ in 0..=dice.roll(4) {
                        dice.mutate(&mut bytes, shapes);
                    }
                    let heard = converse(address, &bytes);
                    let shown = String::from_utf8_lossy(&bytes).chars().take(2000).collect::<String>();
                    let heard = heard.unwrap_or_else(|| panic!("seed {seed}, {thread}/{number}: no end for {shown:?}"));
                    let text = String::from_utf8_lossy(&heard);
                    assert!(!text.contains("success"), "seed {seed}, {thread}/{number}: {shown:?} got {text:?}");
                }
            });
        }
    });
    assert!(!gateway.has_ended());
    assert!(world.events().is_empty());
    assert!(is_success(&send(&world, &payment)));
    wait_for("every connection to be gone", || (metric(&world, "tollbell_connections ") == 0).then_some(()));
    assert!(!world.log().contains("ended badly"), "{}", world.log());
}

#[test]
fn one_request_after_the_other_is_answered_in_order_when_all_are_genuine() {
    let mut world = world("", "");
    let _gateway = world.start();
    let wires: Vec<Vec<u8>> = (0..5)
        .map(|n| {
            let payment = world.payment(&format!("PIPE-{n}"), 1000);
            let text = String::from_utf8(wire("/notify/alipay", &payment)).unwrap();
            text.replace("connection: close\r\n", "").into_bytes()
        })
        .collect();
    let heard = converse(world.address, &wires.concat()).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard).matches("success").count(), 5);
    assert_eq!(world.events().len(), 5);
}

#[test]
fn nothing_is_read_behind_a_body_in_chunks() {
    let mut world = world("", "");
    let _gateway = world.start();
    let (first, second) = (world.payment("CHUNK-1", 1000), world.payment("CHUNK-2", 1000));
    for (name, shape) in corpus("accepted").into_iter().filter(|(name, _)| name.contains("chunked")) {
        let bytes = [filled(&shape, &first.body), wire("/notify/alipay", &second)].concat();
        let heard = converse(world.address, &bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&heard).matches("success").count(), 1, "{name}");
    }
    assert_eq!(world.events().len(), 1);
}

// ---- slow peers ----

/// Gives pieces slowly, as a peer that wants to hold its place, until the other side ends it.
fn drip(stream: &mut TcpStream, mut piece: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    stream.set_read_timeout(Some(BREATH)).unwrap();
    let mut heard = Vec::new();
    let mut chunk = [0; 1024];
    wait_for("a slow peer to be sent away", || {
        // After a reply or a reset writing fails; what was said before is still read.
        let _gone = stream.write_all(&piece());
        match stream.read(&mut chunk) {
            Ok(0) => Some(()),
            Ok(n) => {
                heard.extend_from_slice(&chunk[..n]);
                None
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(_) => Some(()),
        }
    });
    heard
}

#[test]
fn slow_heads_slow_bodies_and_silence_between_requests_end() {
    let mut world = world("header_timeout = \"1s\"\nbody_timeout = \"1s\"\n", "");
    let _gateway = world.start();
    let mut head = TcpStream::connect(world.address).unwrap();
    head.write_all(b"POST /notify/alipay HTTP/1.1\r\n").unwrap();
    let mut n = 0;
    drip(&mut head, || {
        n += 1;
        format!("x-{n}: y\r\n").into_bytes()
    });
    let mut body = TcpStream::connect(world.address).unwrap();
    body.write_all(b"POST /notify/alipay HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n").unwrap();
    let told = drip(&mut body, || b"a".to_vec());
    assert!(told.is_empty() || status(&told) == Some(408), "{}", String::from_utf8_lossy(&told));
    let mut chunked = TcpStream::connect(world.address).unwrap();
    chunked.write_all(b"POST /notify/alipay HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    drip(&mut chunked, || b"1\r\na\r\n".to_vec());
    let mut first = TcpStream::connect(world.address).unwrap();
    first.write_all(b"P").unwrap();
    drip(&mut first, Vec::new);
    let payment = world.payment("SLOW-1", 1000);
    let mut idle = TcpStream::connect(world.address).unwrap();
    let kept = String::from_utf8(wire("/notify/alipay", &payment)).unwrap().replace("connection: close\r\n", "");
    idle.write_all(kept.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut idle).unwrap().body, b"success");
    drip(&mut idle, Vec::new);
    wait_for("every place to be free", || (metric(&world, "tollbell_connections ") == 0).then_some(()));
}

#[test]
fn a_request_that_comes_letter_by_letter_comes_in() {
    let mut world = world("header_timeout = \"30s\"\nbody_timeout = \"30s\"\nfirst_byte_timeout = \"30s\"\n", "");
    let _gateway = world.start();
    let payment = world.payment("LETTER-1", 1000);
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_nodelay(true).unwrap();
    for (n, byte) in wire("/notify/alipay", &payment).iter().enumerate() {
        stream.write_all(&[*byte]).unwrap();
        if n < 4 {
            std::thread::sleep(BREATH);
        }
    }
    assert_eq!(read_reply(&mut stream).unwrap().body, b"success");
}

#[test]
fn a_connection_has_a_longest_life_and_ends_between_two_requests() {
    let mut world = world("max_connection_age = \"1s\"\nheader_timeout = \"10m\"\n", "");
    let _gateway = world.start();
    let payment = world.payment("AGE-1", 1000);
    let kept = String::from_utf8(wire("/notify/alipay", &payment)).unwrap().replace("connection: close\r\n", "");
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(kept.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().body, b"success");
    assert_eq!(hear(&mut stream), Some(Vec::new()), "it ends without a word");
}

#[test]
fn a_genuine_peer_that_reads_no_reply_is_cut_off() {
    let mut world = world("write_timeout = \"1s\"\n", "");
    let _gateway = world.start();
    let payment = world.payment("DEAF-1", 1000);
    let kept = String::from_utf8(wire("/notify/alipay", &payment)).unwrap().replace("connection: close\r\n", "");
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // As little room for replies as the system allows.
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
    rustix::net::connect(&socket, &world.address).unwrap();
    let mut deaf = TcpStream::from(socket);
    deaf.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    wait_for("the deaf peer to be cut off", || {
        // It goes on sending for as long as somebody reads it.
        for _ in 0..200 {
            if deaf.write_all(kept.as_bytes()).is_err() {
                break;
            }
        }
        (metric(&world, "tollbell_connections_cut_total{reason=\"unread\"}") == 1).then_some(())
    });
    assert!(is_success(&send(&world, &payment)));
    assert_eq!(world.events().len(), 1);
}

// ---- who sent it ----

#[test]
fn only_a_trusted_proxy_names_the_sender() {
    let mut trusting =
        world("trusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]\n", "allow_ips = [\"203.0.113.0/24\"]\n");
    let _gateway = trusting.start();
    let payment = trusting.payment("PROXY-1", 1000);
    for (lines, is_let_in) in [
        ("x-forwarded-for: 203.0.113.5", true),
        ("x-forwarded-for: ::ffff:203.0.113.5", true),
        ("x-forwarded-for: 198.51.100.1, 203.0.113.5, 10.0.0.9", true),
        ("x-forwarded-for: 198.51.100.1\r\nx-forwarded-for: 203.0.113.5", true),
        ("x-forwarded-for: 203.0.113.5, 198.51.100.1", false),
        ("x-forwarded-for: 203.0.113.5\r\nx-forwarded-for: 198.51.100.1", false),
        ("x-forwarded-for: 203.0.113.5, nonsense", false),
        ("x-forwarded-for:", false),
        ("forwarded: for=203.0.113.5", false),
        ("x-real-ip: 203.0.113.5", false),
    ] {
        let heard = converse(trusting.address, &with_header(lines, &payment)).unwrap();
        assert_eq!(is_success(&heard), is_let_in, "{lines}: {}", String::from_utf8_lossy(&heard));
        assert!(is_let_in || heard.ends_with(b"fail") && status(&heard) == Some(400), "{lines}");
    }
    assert_eq!(metric(&trusting, "tollbell_refused_total{channel=\"alipay\",reason=\"source\"}"), 6);
    assert_eq!(metric(&trusting, "tollbell_forwarded_unreadable_total"), 2);
    assert_eq!(trusting.log().matches("counts as the sender").count(), 1, "the warning comes once");
    let mut alone = world("", "allow_ips = [\"203.0.113.0/24\"]\n");
    let _gateway = alone.start();
    let payment = alone.payment("PROXY-2", 1000);
    let heard = converse(alone.address, &with_header("x-forwarded-for: 203.0.113.5", &payment)).unwrap();
    assert!(!is_success(&heard), "anybody may write a header");
}

#[test]
fn a_check_that_warns_counts_and_lets_the_signature_decide() {
    let mut world = world("", "ip_check = \"warn\"\n");
    let _gateway = world.start();
    let payment = world.payment("WARN-1", 1000);
    assert!(is_success(&send(&world, &payment)));
    assert!(!is_success(&send(&world, &forged(&payment))));
    assert!(!is_success(&converse(world.address, &wire("/notify", &forged(&payment))).unwrap()));
    assert_eq!(metric(&world, "tollbell_source_mismatch_total{channel=\"alipay\"}"), 3);
    assert_eq!(world.log().matches("the channel's list does not hold").count(), 1, "one line for many");
}

#[test]
fn the_address_counts_also_where_the_channel_is_recognised() {
    let mut world = world("", "ip_check = \"block\"\n");
    let _gateway = world.start();
    let payment = world.payment("BLOCK-1", 1000);
    for path in ["/notify", "/notify?channel=alipay", "/notify/alipay"] {
        let heard = converse(world.address, &wire(path, &payment)).unwrap();
        assert_eq!(status(&heard), Some(400), "{path}");
    }
    assert_eq!(metric(&world, "tollbell_refused_total{channel=\"alipay\",reason=\"source\"}"), 3);
    assert!(world.events().is_empty());
}

// ---- what one sender may take ----

#[test]
fn a_sender_above_its_rate_is_told_busy_and_others_are_not() {
    let mut world = world("trusted_proxies = \"127.0.0.1\"\nrate_per_ip = 1\nrate_burst = 5\n", "");
    let _gateway = world.start();
    let payment = world.payment("RATE-1", 1000);
    let bad = with_header("x-forwarded-for: 198.51.100.1", &forged(&payment));
    let statuses: Vec<u16> = (0..20).map(|_| status(&converse(world.address, &bad).unwrap()).unwrap()).collect();
    assert!(statuses[..5].iter().all(|status| *status == 400), "{statuses:?}");
    let limited = statuses.iter().filter(|status| **status == 503).count() as u64;
    assert!(limited >= 1, "{statuses:?}");
    assert_eq!(metric(&world, "tollbell_limited_total{channel=\"alipay\",limit=\"rate\"}"), limited);
    let other = with_header("x-forwarded-for: 203.0.113.5", &payment);
    assert!(is_success(&converse(world.address, &other).unwrap()), "another sender has its own rate");
    let same = with_header("x-forwarded-for: 198.51.100.1", &payment);
    wait_for("the platform to come again", || is_success(&converse(world.address, &same).unwrap()).then_some(()));
    let mut kept = TcpStream::connect(world.address).unwrap();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    let many = String::from_utf8(same).unwrap().replace("connection: close\r\n", "").repeat(50);
    let _cut = kept.write_all(many.as_bytes());
    let heard = String::from_utf8(hear(&mut kept).expect("the limited connection is closed")).unwrap();
    assert!(heard.contains("HTTP/1.1 503") && heard.contains("connection: close"), "{heard}");
}

#[test]
fn one_address_has_so_many_connections_and_gets_them_back() {
    let mut world = world("exempt_ips = []\nmax_connections_per_ip = 2\nfirst_byte_timeout = \"10m\"\n", "");
    let _gateway = world.start();
    let held: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    wait_for("two connections", || (metric(&world, "tollbell_connections ") == 2).then_some(()));
    let mut third = TcpStream::connect(world.address).unwrap();
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(hear(&mut third), Some(Vec::new()), "closed at once");
    assert!(metric(&world, "tollbell_connections_cut_total{reason=\"per_ip\"}") >= 1);
    drop(held);
    let payment = world.payment("CAP-1", 1000);
    let come = || converse(world.address, &wire("/notify/alipay", &payment)).filter(|heard| is_success(heard));
    wait_for("a place of its own again", come);
}

#[test]
fn forgeries_share_a_budget_and_a_genuine_callback_among_them_gets_through() {
    let mut world = world("trusted_proxies = \"127.0.0.1\"\nsuspect_rate = 1\n", "");
    let _gateway = world.start();
    let payment = world.payment("SUSPECT-1", 1000);
    let bad = with_header("x-forwarded-for: 198.51.100.1", &forged(&payment));
    wait_for("the sender to be suspect", || (status(&converse(world.address, &bad)?) == Some(503)).then_some(()));
    assert!(metric(&world, "tollbell_limited_total{channel=\"alipay\",limit=\"suspect\"}") >= 1);
    let other = with_header("x-forwarded-for: 203.0.113.5", &payment);
    assert!(is_success(&converse(world.address, &other).unwrap()), "others are not concerned");
    let genuine = with_header("x-forwarded-for: 198.51.100.1", &payment);
    let mut turn = 0;
    wait_for("a genuine one among the forgeries", || {
        // Sometimes it comes first after the pause in which the sender's budget grew.
        turn += 1;
        if turn % 3 != 0 {
            converse(world.address, &bad)?;
        }
        converse(world.address, &genuine).filter(|heard| is_success(heard))
    });
    for _ in 0..60 {
        assert_eq!(status(&converse(world.address, &bad).unwrap()), Some(400), "its sender has credit now");
    }
    assert!(is_success(&converse(world.address, &genuine).unwrap()));
}

#[test]
fn large_bodies_share_their_memory_and_small_ones_need_none_of_it() {
    let mut world = world("body_limit = \"1MiB\"\nmax_bodies_bytes = \"1MiB\"\nbody_timeout = \"10m\"\n", "");
    let _gateway = world.start();
    let mut greedy = TcpStream::connect(world.address).unwrap();
    greedy.write_all(b"POST /notify/alipay HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\n\r\n").unwrap();
    greedy.write_all(&vec![b'a'; 900 * 1024]).unwrap();
    let large =
        [b"POST /notify/alipay HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n".to_vec(), vec![b'a'; 500_000]]
            .concat();
    wait_for("the memory to be taken", || {
        let heard = converse(world.address, &large)?;
        (status(&heard) == Some(503)
            || metric(&world, "tollbell_limited_total{channel=\"alipay\",limit=\"bodies\"}") > 0)
            .then_some(())
    });
    let payment = world.payment("ROOM-1", 1000);
    assert!(is_success(&send(&world, &payment)));
    drop(greedy);
    wait_for("the memory to be free again", || (status(&converse(world.address, &large)?) == Some(400)).then_some(()));
}

#[test]
fn a_flood_of_forgeries_is_few_lines_and_every_one_is_counted() {
    let mut world = world("", "");
    world.reconfigure(|text| text.replace("level = \"debug\"", "level = \"info\""));
    let mut gateway = world.start();
    let payment = world.payment("LINES-1", 1000);
    let bad = wire("/notify/alipay", &forged(&payment));
    for _ in 0..300 {
        assert_eq!(status(&converse(world.address, &bad).unwrap()), Some(400));
    }
    assert_eq!(metric(&world, "tollbell_refused_total{channel=\"alipay\",reason=\"signature\"}"), 300);
    let lines = world.log().lines().count();
    assert!(lines < 30, "{lines} lines:\n{}", world.log());
    assert!(world.log().contains("\"refused\""));
    assert!(gateway.terminate().success());
}

// ---- out of files ----

fn limit_files(gateway: &support::gateway::Gateway, limit: &str) {
    let pid = gateway.child.id().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={limit}:")]).status().unwrap();
    assert!(done.success(), "prlimit is there");
}

#[test]
fn without_files_what_is_open_goes_on_health_answers_and_all_comes_back() {
    let mut world = world("header_timeout = \"10m\"\nfirst_byte_timeout = \"10m\"\n", "");
    let mut gateway = world.start();
    let payment = world.payment("FILES-1", 1000);
    let kept = String::from_utf8(wire("/notify/alipay", &payment)).unwrap().replace("connection: close\r\n", "");
    let mut open = TcpStream::connect(world.address).unwrap();
    open.write_all(kept.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut open).unwrap().body, b"success");
    // No new file from now on, however few are open.
    limit_files(&gateway, "3");
    let mut waiting = TcpStream::connect(world.address).unwrap();
    waiting.write_all(kept.as_bytes()).unwrap();
    wait_for("an accept that fails", || world.log().contains("cannot accept a connection").then_some(()));
    for _ in 0..3 {
        open.write_all(kept.as_bytes()).unwrap();
        assert_eq!(read_reply(&mut open).unwrap().body, b"success", "what is open goes on");
    }
    assert_eq!(world.log().matches("cannot accept a connection").count(), 1, "not a line for each try");
    limit_files(&gateway, "1024");
    assert_eq!(read_reply(&mut waiting).unwrap().body, b"success", "who waited is served");
    assert!(metric(&world, "tollbell_accept_failed_total") >= 1);
    assert!(gateway.terminate().success());
}

#[test]
fn health_answers_when_all_files_are_taken() {
    let world = world("first_byte_timeout = \"10m\"\n", "");
    let mut gateway = world.start();
    assert_eq!(get(world.admin, "/healthz").unwrap().status, 200);
    // As many as are open now and one more, which the public listener takes.
    let count = fs::read_dir(format!("/proc/{}/fd", gateway.child.id())).unwrap().count();
    limit_files(&gateway, &(count + 1).to_string());
    let _crowd: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    wait_for("an accept that fails", || world.log().contains("cannot accept a connection").then_some(()));
    for _ in 0..5 {
        wait_for("health", || get(world.admin, "/healthz").filter(|reply| reply.status == 200));
    }
    assert!(gateway.terminate().success(), "it still stops in order");
}
