//! Who answers, and who asks, by certificates.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tollbell::egress::{ClientCertificate, ClientSettings, Egress, EgressError, Guard, PublicRules, Roots, Setup};
use zeroize::Zeroizing;

use super::world::{Answering, Invented, SHORT, Server, get, ok, operator};

/// A private certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A certificate and its key, both in PEM.
    fn issue(&self, name: &str, is_over: bool, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        if is_over {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn acceptor(&self, name: &str, is_over: bool, asks_for_certificate: bool) -> TlsAcceptor {
        let (certificate, key) = self.issue(name, is_over, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks_for_certificate {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(&self.pem()).unwrap()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

fn trusting(authority: &Authority) -> ClientSettings {
    ClientSettings { roots: Roots::These(authority.pem()), ..ClientSettings::new(Guard::Operator) }
}

#[tokio::test]
async fn tls_proves_who_answers() {
    let (own, other) = (Authority::new(), Authority::new());
    for (what, acceptor, is_good) in [
        ("a certificate of our authority", own.acceptor("localhost", false, false), true),
        ("another name", own.acceptor("shop.example", false, false), false),
        ("over since 2021", own.acceptor("localhost", true, false), false),
        ("another authority", other.acceptor("localhost", false, false), false),
    ] {
        let server = Server::with(vec![Answering::Keep(ok("success"))], Some(acceptor)).await;
        let egress = Egress::new(trusting(&own)).unwrap();
        let asked = get(&egress, &format!("https://localhost:{}/x", server.address.port())).await;
        match asked {
            Ok(got) => assert!(is_good && &got.body[..] == b"success", "{what}"),
            Err(error) => {
                assert!(!is_good, "{what}: {error:?}");
                assert_eq!((error.word(), error.was_sent()), ("tls_failed", false), "{what}: {error:?}");
                assert!(server.requests().is_empty(), "{what}");
            }
        }
        if is_good {
            get(&egress, &format!("https://localhost:{}/x", server.address.port())).await.unwrap();
            assert_eq!(server.connections(), 1, "kept over TLS too");
        }
    }
    // An address is proved by a certificate for that address.
    let server = Server::with(vec![Answering::Close(ok("x"))], Some(own.acceptor("127.0.0.1", false, false))).await;
    get(&Egress::new(trusting(&own)).unwrap(), &format!("https://{}/", server.address)).await.unwrap();
    // The system's own authorities do not know ours.
    let error = get(&operator(), &format!("https://{}/", server.address)).await.unwrap_err();
    assert!(["tls_failed", "client_setup"].contains(&error.word()), "{error:?}");
}

#[tokio::test]
async fn a_name_by_the_public_rules_is_asked_over_tls() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("api.platform.example", false, false);
    let server = Server::with(vec![Answering::Close(ok("x"))], Some(acceptor)).await;
    let network = Invented::new(server.address, &[("api.platform.example", &["8.8.8.8"]), ("a.example", &["8.8.8.8"])]);
    let public = network.egress(Guard::Public(PublicRules::HTTPS), Roots::These(authority.pem()));
    let got = get(&public, "https://API.platform.example/").await.unwrap();
    assert_eq!(&got.body[..], b"x");
    assert!(server.requests()[0].to_ascii_lowercase().contains("host: api.platform.example\r\n"));
    assert_eq!(network.dialled(), ["8.8.8.8:443"]);
    assert_eq!(get(&public, "https://a.example/").await.unwrap_err().word(), "tls_failed");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_those_who_ask() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", false, true);
    let server = Server::with(vec![Answering::Close(ok("x"))], Some(acceptor)).await;
    let asked = format!("https://localhost:{}/", server.address.port());
    let without = get(&Egress::new(trusting(&authority)).unwrap(), &asked).await.unwrap_err();
    // With TLS 1.3 the refusal comes after the client believes that all is well.
    assert!(["tls_failed", "connection_broken"].contains(&without.word()), "{without:?}");

    let (chain, key) = authority.issue("gateway", false, ExtendedKeyUsagePurpose::ClientAuth);
    let certificate = ClientCertificate { chain: chain.into_bytes(), key: Zeroizing::new(key.into_bytes()) };
    assert_eq!(format!("{certificate:?}"), "ClientCertificate(…)");
    let settings = ClientSettings { certificate: Some(certificate), ..trusting(&authority) };
    get(&Egress::new(settings).unwrap(), &asked).await.unwrap();
}

#[test]
fn wrong_files_are_found_at_start() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("gateway", false, ExtendedKeyUsagePurpose::ClientAuth);
    let (_, other_key) = authority.issue("gateway", false, ExtendedKeyUsagePurpose::ClientAuth);
    let with = |chain: &str, key: &str| {
        let own = ClientCertificate { chain: chain.into(), key: Zeroizing::new(key.into()) };
        ClientSettings { certificate: Some(own), ..ClientSettings::new(Guard::Operator) }
    };
    let roots = |pem: &str| ClientSettings { roots: Roots::These(pem.into()), ..ClientSettings::new(Guard::Operator) };
    for (settings, expected) in [
        (roots(""), Setup::Roots),
        (roots("no pem"), Setup::Roots),
        (roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Setup::Roots),
        (roots(&key), Setup::Roots),
        (with("", &key), Setup::Certificate),
        (with(&chain, ""), Setup::CertificateKey),
        (with(&chain, &other_key), Setup::CertificateKey),
    ] {
        let error = Egress::new(settings).unwrap_err();
        assert!(matches!(error, EgressError::Setup(found) if found == expected), "{error:?} is not {expected:?}");
        assert!(!error.to_string().contains("BEGIN"));
    }
    assert!(Egress::new(with(&chain, &key)).is_ok());
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_and_sent_nothing() {
    // Takes the connection and says nothing.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = ClientSettings { tls_timeout: SHORT, ..trusting(&Authority::new()) };
    let error = get(&Egress::new(settings).unwrap(), &format!("https://{address}/")).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("tls_timed_out", false), "{error:?}");
    // Speaks something else.
    let server = Server::new(Answering::Close(ok("x"))).await;
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error =
        get(&Egress::new(trusting(&Authority::new())).unwrap(), &format!("https://{address}/")).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("tls_failed", false), "{error:?}");
    drop((listener, server));
}
