//! TLS from files: a certificate and its key, taken over as a pair when the files change. A pair that is not
//! whole, as in the middle of a renewal, changes nothing; open connections keep what they began with.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tollbell_channels::model::Timestamp;
use tollbell_channels::signature::x509::Description;
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::stop::Stop;
use crate::telemetry::Metrics;

/// Largest file that is read: chains have some KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How often the files are looked at.
const WATCH: Duration = Duration::from_secs(2);
/// How long before its end a certificate is warned about.
pub const ENDS_SOON: Duration = Duration::from_hours(14 * 24);
/// Looks between two warnings about the end: a warning a day.
const LOOKS_A_DAY: u32 = 43_200;

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {why}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Others may read the key.
    #[error("{} may be read by others (mode {mode:o})", path.display())]
    KeyOpen {
        /// The key's file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// No chain in PEM.
    #[error("{} holds no certificate chain that can be read", path.display())]
    BadCertificate {
        /// The certificate's file.
        path: PathBuf,
    },
    /// No key in PEM.
    #[error("{} holds no private key that can be used", path.display())]
    BadKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate in {}", path.display())]
    Mismatch {
        /// The certificate's file.
        path: PathBuf,
    },
    /// The new certificate has ended already.
    #[error("the certificate in {} ended at {at}", path.display())]
    Expired {
        /// The certificate's file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
}

/// A pair, read and checked.
pub struct Loaded {
    config: Arc<ServerConfig>,
    /// When the certificate ends; none when it writes a time that no calendar has.
    pub not_after: Option<Timestamp>,
}

/// The pair that is in use.
pub struct TlsPair {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Loaded>,
    seen: Mutex<Option<Stamps>>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// What changes when a file changes, also when a symbolic link leads elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

type Stamps = [Option<Stamp>; 2];

/// Reads a pair: the chain parses, the key is nobody else's to read and belongs to the first certificate.
///
/// # Errors
/// [`TlsError`]; never [`TlsError::Expired`]: whether an ended certificate is better than none, the caller knows.
pub fn load(certificate: &Path, key: &Path) -> Result<Loaded, TlsError> {
    let chain_text = read(certificate, false)?;
    let key_text = read(key, true)?;
    let bad_certificate = || TlsError::BadCertificate { path: certificate.to_owned() };
    let bad_key = || TlsError::BadKey { path: key.to_owned() };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&chain_text).collect::<Result<_, _>>().map_err(|_| bad_certificate())?;
    let described = Description::of_bundle(&chain_text);
    if chain.is_empty() || described.len() != chain.len() {
        return Err(bad_certificate());
    }
    let private = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| bad_key())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    provider.key_provider.load_private_key(private.clone_key()).map_err(|_| bad_key())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| bad_certificate())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { path: certificate.to_owned() },
            _ => bad_certificate(),
        })?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), not_after: described.first().and_then(|first| first.not_after) })
}

/// What a client asks for that wants HTTP/2.
pub(super) const H2: &[u8] = b"h2";

fn read(path: &Path, is_secret: bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let cannot = |why: io::Error| TlsError::CannotRead { path: path.to_owned(), why };
    let file = fs::File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    let mode = metadata.mode() & 0o777;
    if is_secret && mode & 0o077 != 0 {
        return Err(TlsError::KeyOpen { path: path.to_owned(), mode });
    }
    let room = usize::try_from(metadata.size().min(FILE_BYTES_MAX)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        place: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

impl Loaded {
    fn has_ended(&self, now: Timestamp) -> bool {
        self.not_after.is_some_and(|end| end <= now)
    }
}

impl TlsPair {
    /// Reads the pair for the first time. An ended certificate is used with an error in the log: some callers
    /// do not look, and without it nobody comes in.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(certificate: PathBuf, key: PathBuf, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, TlsError> {
        let seen = [stamp(&certificate), stamp(&key)];
        let loaded = load(&certificate, &key)?;
        let pair = Self {
            certificate,
            key,
            current: ArcSwap::from_pointee(loaded),
            seen: Mutex::new(Some(seen)),
            clock,
            metrics,
        };
        pair.tell_end();
        Ok(pair)
    }

    /// What a new connection begins with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    /// Takes over what the files hold now.
    ///
    /// # Errors
    /// [`TlsError`]; then the pair in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let stamps = self.stamps();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(stamps);
        let taken = load(&self.certificate, &self.key).and_then(|loaded| match loaded.not_after {
            Some(at) if loaded.has_ended((self.clock)()) => {
                Err(TlsError::Expired { path: self.certificate.clone(), at })
            }
            _ => Ok(loaded),
        });
        match taken {
            Ok(loaded) => {
                self.current.store(Arc::new(loaded));
                info!(certificate = %self.certificate.display(), "certificate and key taken over");
                self.tell_end();
                Ok(())
            }
            Err(error) => {
                self.metrics.network.tls_reload_failed.inc();
                warn!(%error, "certificate and key changed and cannot be used; the pair in use stays");
                Err(error)
            }
        }
    }

    fn stamps(&self) -> Stamps {
        [stamp(&self.certificate), stamp(&self.key)]
    }

    fn has_changed(&self) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != Some(self.stamps())
    }

    /// Brings the metric up to date, and warns of a certificate that ends soon.
    fn tell_end(&self) {
        let Some(end) = self.current.load().not_after else { return };
        self.metrics.network.tls_not_after.set(end.as_duration().as_secs_f64());
        let left = end.duration_since((self.clock)());
        if !left.is_positive() {
            error!(certificate = %self.certificate.display(), at = %end, "the certificate has ended: platforms refuse the connection");
        } else if left.unsigned_abs() < ENDS_SOON {
            warn!(certificate = %self.certificate.display(), at = %end, "the certificate ends soon");
        }
    }

    /// Looks at the files until the stop signal, and takes over what changed.
    pub async fn watch(self: Arc<Self>, mut stop: Stop) {
        let mut looks = 0u32;
        loop {
            tokio::select! {
                () = tokio::time::sleep(WATCH) => {}
                () = stop.raised() => return,
            }
            looks = (looks + 1) % LOOKS_A_DAY;
            let (pair, is_new_day) = (self.clone(), looks == 0);
            let looked = tokio::task::spawn_blocking(move || {
                if pair.has_changed() {
                    // What is wrong was told, and is tried again when a file changes.
                    drop(pair.reload());
                } else if is_new_day {
                    pair.tell_end();
                }
            });
            if let Err(error) = looked.await {
                error!(%error, "looking at certificate and key failed");
            }
        }
    }
}
