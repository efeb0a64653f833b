//! TLS at the public listener: from files, by both versions of HTTP, and a pair that is changed under load.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod net;
}

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use support::gateway::{PATIENCE, World, free_address, wait_for, wire};
use support::net::{converse, hear, metric, status, world};
use tollbell_channels::model::RawRequest;

/// A certificate of its own and its key, in PEM.
struct Issue {
    certificate: String,
    key: String,
    der: Vec<u8>,
}

fn issue(until_year: i32) -> Issue {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["pay.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until_year, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Issue { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
}

/// A file with mode 0600, replaced as a whole.
fn put(world: &World, name: &str, text: &str) {
    let path = world.path(name);
    let fresh = world.path(&format!("{name}.new"));
    fs::write(&fresh, text).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(fresh, path).unwrap();
}

fn put_issue(world: &World, issue: &Issue) {
    put(world, "cert.pem", &issue.certificate);
    put(world, "key.pem", &issue.key);
}

/// A world with TLS beside the plain listener.
fn secure_world(server: &str) -> (World, SocketAddr) {
    let world = world(server, "");
    let address = free_address();
    let table = format!(
        "[server.tls]\ncertificate_file = \"cert.pem\"\nprivate_key_file = \"key.pem\"\nlisten = \"{address}\"\n[admin]\n"
    );
    world.reconfigure(|text| text.replacen("[admin]\n", &table, 1));
    (world, address)
}

/// Believes every certificate and keeps the last one.
#[derive(Debug)]
struct Curious(std::sync::Mutex<Vec<u8>>);

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn client_config(curious: Arc<Curious>) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(curious)
        .with_no_client_auth()
}

/// A connection, and the certificate that it was shown.
fn connect(address: SocketAddr) -> Option<(Secure, Vec<u8>)> {
    let curious = Arc::new(Curious(std::sync::Mutex::default()));
    let config = client_config(curious.clone());
    let mut tcp = TcpStream::connect(address).ok()?;
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), "pay.example".try_into().unwrap()).unwrap();
    client.complete_io(&mut tcp).ok()?;
    let shown = curious.0.lock().unwrap().clone();
    Some((StreamOwned::new(client, tcp), shown))
}

/// Sends a callback on a connection and reads one reply.
fn ask(secure: &mut Secure, request: &RawRequest, is_kept: bool) -> Option<String> {
    let mut text = String::from_utf8(wire("/notify/alipay", request)).unwrap();
    if is_kept {
        text = text.replace("connection: close\r\n", "");
    }
    secure.write_all(text.as_bytes()).ok()?;
    let mut heard = Vec::new();
    let mut chunk = [0; 1024];
    while !heard.ends_with(b"success") && !heard.ends_with(b"fail") {
        match secure.read(&mut chunk) {
            Ok(n) if n > 0 => heard.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
    Some(String::from_utf8(heard).unwrap())
}

fn is_taken(address: SocketAddr, request: &RawRequest) -> bool {
    connect(address)
        .and_then(|(mut secure, _)| ask(&mut secure, request, false))
        .is_some_and(|heard| heard.ends_with("\r\n\r\nsuccess"))
}

#[test]
fn a_callback_comes_in_by_tls_and_beside_it_in_plain() {
    let (mut world, secure) = secure_world("");
    put_issue(&world, &issue(2099));
    let _gateway = world.start();
    let payment = world.payment("TLS-1", 1000);
    assert!(is_taken(secure, &payment));
    assert!(support::net::is_success(&converse(world.address, &wire("/notify/alipay", &payment)).unwrap()));
    let id = world.events()[0]["notification"].as_str().unwrap().to_owned();
    wait_for("the reply to be noted as given", || (!world.json(&["show", &id])[0]["acked_at"].is_null()).then_some(()));
    assert_eq!(world.events().len(), 1);
    let ends = metric_text(&world, "tollbell_tls_not_after_timestamp_seconds");
    assert!(ends.starts_with("4070908800"), "1 January 2099: {ends}");
    let plain = converse(secure, &wire("/notify/alipay", &payment)).unwrap();
    assert!(!String::from_utf8_lossy(&plain).contains("success"), "plain HTTP is not TLS");
}

fn metric_text(world: &World, name: &str) -> String {
    let text = support::gateway::get(world.admin, "/metrics").unwrap().text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.rsplit(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn openssl_agrees_on_1_2_and_1_3_and_nothing_older() {
    let (world, secure) = secure_world("");
    put_issue(&world, &issue(2099));
    let _gateway = world.start();
    for (version, is_spoken) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false)] {
        let output = Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &secure.to_string(),
                version,
                "-cipher",
                "ALL:@SECLEVEL=0",
                "-alpn",
                "h2,http/1.1",
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.contains("ALPN protocol: h2"), is_spoken, "{version}: {text}");
    }
}

#[test]
fn a_callback_comes_in_by_http_2_over_tls() {
    let (mut world, address) = secure_world("");
    put_issue(&world, &issue(2099));
    let _gateway = world.start();
    let payment = world.payment("ALPN-1", 1000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let mut config = client_config(Arc::new(Curious(std::sync::Mutex::default())));
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let secure = connector.connect("pay.example".try_into().unwrap(), tcp).await.unwrap();
        assert_eq!(secure.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = h2::client::handshake(secure).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = http::Request::post("https://pay.example/notify/alipay");
        for (name, value) in payment.headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length") {
            request = request.header(name, value);
        }
        let mut send = send.ready().await.unwrap();
        let (reply, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
        stream.send_data(payment.body.clone(), true).unwrap();
        let status = reply.await.unwrap().status();
        connection.abort();
        status
    });
    assert_eq!((status.as_u16(), world.events().len()), (200, 1));
}

#[test]
fn without_addresses_of_its_own_tls_is_everywhere() {
    let mut world = world("", "");
    let table = "[server.tls]\ncertificate_file = \"cert.pem\"\nprivate_key_file = \"key.pem\"\n[admin]\n";
    world.reconfigure(|text| text.replacen("[admin]\n", table, 1));
    put_issue(&world, &issue(2099));
    let _gateway = world.start();
    let payment = world.payment("ALL-1", 1000);
    assert!(is_taken(world.address, &payment));
}

#[test]
fn a_reload_turns_tls_on_and_off_on_the_same_address() {
    let mut world = world("watch = false\n", "");
    put_issue(&world, &issue(2099));
    let gateway = world.start();
    let payment = world.payment("TURN-1", 1000);
    let reload = |change: &dyn Fn(String) -> String| {
        let before = metric(&world, "tollbell_reload_total{result=\"applied\"}");
        world.reconfigure(change);
        let sent = Command::new("kill").arg("-HUP").arg(gateway.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        wait_for("the reload", || (metric(&world, "tollbell_reload_total{result=\"applied\"}") > before).then_some(()));
    };
    let table = "[server.tls]\ncertificate_file = \"cert.pem\"\nprivate_key_file = \"key.pem\"\n[admin]\n";
    let is_plain =
        || converse(world.address, &wire("/notify/alipay", &payment)).is_some_and(|heard| status(&heard) == Some(200));
    for _ in 0..3 {
        assert!(is_plain() && connect(world.address).is_none());
        reload(&|text| text.replacen("[admin]\n", table, 1));
        assert!(is_taken(world.address, &payment) && !is_plain(), "plain bytes are not heard any more");
        assert_ne!(metric_text(&world, "tollbell_tls_not_after_timestamp_seconds"), "0.0");
        reload(&|text| text.replacen(table, "[admin]\n", 1));
        assert_eq!(metric_text(&world, "tollbell_tls_not_after_timestamp_seconds"), "0.0", "no certificate is in use");
    }
    assert_eq!(world.events().len(), 1);
}

#[test]
fn a_pair_is_changed_under_load_and_nobody_notices() {
    let (mut world, address) = secure_world("header_timeout = \"10m\"\n");
    let (old, new) = (issue(2098), issue(2099));
    put_issue(&world, &old);
    let _gateway = world.start();
    let payment = world.payment("SWAP-1", 1000);
    let (mut before, shown) = connect(address).unwrap();
    assert_eq!(shown, old.der);
    assert!(ask(&mut before, &payment, true).is_some());
    let (is_over, failed, asked) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let wrong = !is_taken(address, &payment);
                    failed.fetch_add(u32::from(wrong), Ordering::Relaxed);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // The certificate is there before its key: in between the pair is broken.
            put(&world, "cert.pem", &new.certificate);
            let name = "tollbell_tls_reload_failed_total";
            wait_for("the half pair to be refused", || (metric(&world, name) >= 1).then_some(()));
            assert_eq!(connect(address).unwrap().1, old.der, "the old pair stays");
            put(&world, "key.pem", &new.key);
            wait_for("the new pair", || (connect(address)?.1 == new.der).then_some(()));
        }));
        is_over.store(true, Ordering::Relaxed);
        assert!(changed.is_ok());
    });
    assert_eq!(failed.into_inner(), 0, "of {}: {}", asked.into_inner(), world.log());
    assert!(ask(&mut before, &payment, false).unwrap().ends_with("success"), "an open connection goes on");
    assert!(metric_text(&world, "tollbell_tls_not_after_timestamp_seconds").starts_with("4070908800"));
    assert!(world.log().contains("the pair in use stays"));
}

#[test]
fn nothing_bad_is_taken_over() {
    let (world, address) = secure_world("");
    let good = issue(2099);
    put_issue(&world, &good);
    let _gateway = world.start();
    let ended = issue(2021);
    let other = issue(2099);
    let open = |mode: u32| fs::set_permissions(world.path("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
    let steps: &[(&str, &dyn Fn())] = &[
        ("nonsense", &|| put(&world, "cert.pem", "nonsense")),
        ("half a certificate", &|| put(&world, "cert.pem", &good.certificate[..good.certificate.len() / 2])),
        ("no certificate", &|| fs::remove_file(world.path("cert.pem")).unwrap()),
        ("another's certificate", &|| put(&world, "cert.pem", &other.certificate)),
        ("a key in place of the certificate", &|| put(&world, "cert.pem", &good.key)),
        ("an open key", &|| {
            put(&world, "cert.pem", &good.certificate);
            open(0o644);
        }),
        ("no key", &|| put(&world, "key.pem", "")),
        ("an ended certificate", &|| put_issue(&world, &ended)),
    ];
    for (what, step) in steps {
        let before = metric(&world, "tollbell_tls_reload_failed_total");
        step();
        wait_for(what, || (metric(&world, "tollbell_tls_reload_failed_total") > before).then_some(()));
        assert_eq!(connect(address).unwrap().1, good.der, "{what}");
    }
    put_issue(&world, &other);
    wait_for("a good pair", || (connect(address)?.1 == other.der).then_some(()));
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_its_cure() {
    let (world, _) = secure_world("");
    let (good, other) = (issue(2099), issue(2099));
    let check = || {
        let output = world.cli(&["check"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap())
    };
    let refused = |cure: &str| {
        let (code, text) = check();
        assert!(code == Some(2) && text.contains(cure), "{cure}: {code:?} {text}");
    };
    refused("cert.pem cannot be read");
    put_issue(&world, &good);
    assert_eq!(check().0, Some(0), "{}", check().1);
    put(&world, "key.pem", &other.key);
    refused("does not belong to the certificate");
    put(&world, "key.pem", "nonsense");
    refused("holds no private key");
    put(&world, "key.pem", &good.key);
    fs::set_permissions(world.path("key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    refused("chmod 600");
    fs::remove_file(world.path("key.pem")).unwrap();
    refused("key.pem cannot be read");
    put(&world, "key.pem", &good.key);
    put(&world, "cert.pem", "nonsense");
    refused("holds no certificate chain");
    put_issue(&world, &issue(2021));
    let (code, text) = check();
    assert!(code == Some(0) && text.contains("ended at 2021-01-01"), "{text}");
    let mut gateway = world.start();
    assert!(world.log().contains("the certificate has ended"), "used, but told");
    gateway.kill_hard();
}

#[test]
fn a_handshake_has_a_deadline() {
    let (mut world, address) = secure_world("first_byte_timeout = \"1s\"\n");
    put_issue(&world, &issue(2099));
    let _gateway = world.start();
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut slow = TcpStream::connect(address).unwrap();
        slow.set_read_timeout(Some(PATIENCE)).unwrap();
        slow.write_all(begun).unwrap();
        let heard = hear(&mut slow).expect("it ends");
        assert_eq!(status(&heard), None, "{begun:?}");
    }
    assert!(metric(&world, "tollbell_connections_cut_total{reason=\"handshake\"}") >= 4);
    // A peer that ends the handshake and reads no more is no trouble either.
    let (mut secure, _) = connect(address).unwrap();
    secure.get_mut().set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    drop(secure);
    let payment = world.payment("HAND-1", 1000);
    assert!(is_taken(address, &payment));
}
