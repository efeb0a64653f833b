//! Whom a client trusts over TLS, and who it says it is.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::url::Host;
use super::{EgressError, Setup};

/// Most certificates in one file; the public roots are about 150.
const CERTIFICATES_MAX: usize = 1000;

/// Which certificate authorities are trusted.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// Those of the system.
    #[default]
    System,
    /// These alone: certificates in PEM.
    These(Vec<u8>),
}

/// The client's own certificate, for servers that ask for one.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate and those above it, in PEM.
    pub chain: Vec<u8>,
    /// Its private key, in PEM.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ClientCertificate {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(…)")
    }
}

/// What is known before the first connection. The system's roots are read when they are needed: a client
/// that never speaks TLS works on a machine that has none.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Option<RootCertStore>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    connector: OnceCell<TlsConnector>,
}

impl Tls {
    /// Reads what was given, so that a wrong file is found at start.
    pub(super) fn new(roots: &Roots, certificate: Option<&ClientCertificate>) -> Result<Self, EgressError> {
        let roots = match roots {
            Roots::System => None,
            Roots::These(pem) => {
                let mut store = RootCertStore::empty();
                for certificate in certificates(pem).ok_or(Setup::Roots)? {
                    store.add(certificate).map_err(|_| Setup::Roots)?;
                }
                Some(store)
            }
        };
        let identity = match certificate {
            None => None,
            Some(own) => {
                let chain = certificates(&own.chain).ok_or(Setup::Certificate)?;
                let key = PrivateKeyDer::from_pem_slice(&own.key).map_err(|_| Setup::CertificateKey)?;
                Some((chain, key))
            }
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = Self { provider, roots, identity, connector: OnceCell::new() };
        if let Some((chain, key)) = &tls.identity {
            // Says whether the key can be used and belongs to the certificate.
            rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &tls.provider)
                .map_err(|_| Setup::CertificateKey)?;
        }
        Ok(tls)
    }

    /// Speaks TLS on a connection, to the one who can prove to be `host`.
    pub(super) async fn greet(&self, stream: TcpStream, host: &Host) -> Result<TlsStream<TcpStream>, EgressError> {
        let name = match host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
                .map_err(|_| EgressError::Tls { detail: "the host is no name that a certificate can hold".into() })?,
        };
        let connector = self.connector.get_or_try_init(|| self.connect_as()).await?;
        connector.connect(name, stream).await.map_err(|error| EgressError::Tls { detail: say(&error) })
    }

    async fn connect_as(&self) -> Result<TlsConnector, EgressError> {
        let provider = self.provider.clone();
        let verifier: Arc<dyn ServerCertVerifier> = match &self.roots {
            Some(roots) => {
                let roots = Arc::new(roots.clone());
                WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(|_| Setup::Roots)?
            }
            // Reads some hundred files.
            None => tokio::task::spawn_blocking(move || rustls_platform_verifier::Verifier::new(provider))
                .await
                .ok()
                .and_then(Result::ok)
                .map(Arc::new)
                .ok_or(Setup::SystemRoots)?,
        };
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| EgressError::Tls { detail: error.to_string() })?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|_| EgressError::from(Setup::CertificateKey))?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Nothing is sent before the handshake is over: what arrives early can be played again by others.
        config.enable_early_data = false;
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Sessions that are remembered, so that the next handshake is shorter.
const SESSIONS: usize = 32;

/// The certificates in a PEM file; `None` when there are none, too many, or one that cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).take(CERTIFICATES_MAX + 1).collect::<Result<_, _>>().ok()?;
    (1..=CERTIFICATES_MAX).contains(&found.len()).then_some(found)
}

/// Why a handshake failed. Names and dates of certificates are public.
fn say(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => error.to_string(),
        None => error.to_string(),
    }
}
