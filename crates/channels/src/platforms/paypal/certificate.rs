//! The certificates that deliveries name by a URL: which URL is one, and when a certificate is the platform's.
//!
//! Whoever could make us believe a certificate of his own could sign anything, so nothing of the URL is used but one
//! plain word at its end. Everything before it must be, byte for byte, the address of the channel's own environment, and
//! the request goes to the address that the configuration says, not to the one in the message. No redirect is followed.
//!
//! What is believed:
//! * the first certificate of the answer, when it is issued to hosts under `paypal.com` alone, is no authority, and a path
//!   leads from it to the configured authorities, else to those that browsers trust, at the present time;
//! * the same again whenever a certificate is read that was kept.
//!
//! The certificate itself does not say its URL. So a kept one has the word beside it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::PayPal;
use super::settings::AUTHORITIES;
use crate::channel::{
    Channel, FETCHED_KEYS_MAX, FetchedKey, HttpAnswer, HttpAsk, KeyNote, KeyRefused, KeyRequest, KeySource,
};
use crate::model::{Environment, Timestamp};
use crate::settings::SettingsError;
use crate::signature::key::pem_blocks;
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::signature::x509::Certificate;

/// The path before a certificate's word.
pub(super) const PATH: &str = "/v1/notifications/certs/";

/// Longest word of a certificate; real ones (`CERT-360caa42-fca2a594-a5cafa77`) have some 31 characters.
pub(super) const NAME_BYTES_MAX: usize = 96;

/// Largest answer. A certificate with those above it has 5 to 10 kB.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Most certificates of one answer: itself, what lies between it and the root, and the root.
pub(super) const CERTIFICATES_MAX: usize = 6;

/// Under which every name of a certificate must lie (the platform's kit asks the same of the common name).
const DOMAIN: &str = ".paypal.com";

/// The setting that errors about certificates of an answer would name; nobody sees it.
const SETTING: &str = "paypal_cert";

/// Where certificates are: the only address for each environment.
pub(super) fn host(environment: Environment) -> &'static str {
    match environment {
        Environment::Live => "https://api.paypal.com",
        Environment::Sandbox => "https://api.sandbox.paypal.com",
    }
}

/// The word at the end of a certificate's URL: letters, digits, `-` and `_`, which mean nothing in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateName(String);

impl CertificateName {
    /// Of a URL that is, byte for byte, the host, the path and one plain word: no user, no port, no query, no fragment,
    /// no escape, no step up, no other case of letters.
    pub(super) fn of_url(url: &str, host: &str) -> Option<Self> {
        Self::new(url.strip_prefix(host)?.strip_prefix(PATH)?)
    }

    pub(super) fn new(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (begins && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_plain)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A certificate that can prove a delivery.
pub(super) struct Key {
    /// The word that deliveries name it by; none when it is configured, and proves whatever it signs.
    name: Option<String>,
    verifier: RsaVerifier,
    valid: [Timestamp; 2],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Key {
    /// Of a certificate. One without readable times proves nothing.
    pub(super) fn new(
        setting: &'static str,
        certificate: &Certificate,
        name: Option<String>,
    ) -> Result<Self, SettingsError> {
        let described = certificate.description();
        let (Some(begin), Some(end)) = (described.not_before, described.not_after) else {
            return Err(SettingsError::new(setting, "not_a_certificate"));
        };
        let label = name.clone().unwrap_or_else(|| setting.to_owned());
        let verifier = RsaVerifier::new(setting, certificate.key(), RsaHash::Sha256, &label)?;
        Ok(Self { name, verifier, valid: [begin, end] })
    }

    /// What checks signatures, if the certificate goes by this word and is valid now.
    pub(super) fn find(&self, name: &CertificateName, now: Timestamp) -> Option<&RsaVerifier> {
        let is_named = self.name.as_ref().is_none_or(|own| own == name.as_str());
        (is_named && self.valid[0] <= now && now <= self.valid[1]).then_some(&self.verifier)
    }
}

/// A certificate, for people.
pub(super) fn note(label: &str, certificate: &Certificate) -> KeyNote {
    KeyNote {
        label: label.to_owned(),
        algorithm: format!("X.509, {}", certificate.key().algorithm()),
        fingerprint: Some(certificate.key().fingerprint()),
        not_after: certificate.description().not_after,
    }
}

/// Whether a certificate is issued to the platform: to one common name under its domain, to one host there at least, and
/// to no name elsewhere.
pub(super) fn is_issued_to_platform(certificate: &Certificate) -> bool {
    let is_common = certificate.description().common_name.as_deref().is_some_and(is_platforms_name);
    let der = CertificateDer::from(certificate.der());
    // What is no certificate to this stricter reader is none.
    let is_read = EndEntityCert::try_from(&der).is_ok();
    // A name that is no host's could be anything.
    let hosts = certificate.hosts().unwrap_or_default();
    is_read && is_common && !hosts.is_empty() && hosts.iter().all(|host| is_platforms_name(host))
}

/// A host under the platform's domain: plain labels, and no wildcard.
fn is_platforms_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let Some(before) = name.strip_suffix(DOMAIN) else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    before.split('.').all(|label| !label.is_empty() && label.bytes().all(is_plain))
}

/// The authorities under which certificates are believed.
#[derive(Debug)]
pub(super) enum Authorities {
    /// Those that browsers trust (Mozilla's list, compiled in): this crate reads no files.
    Public,
    /// Configured ones, and no others.
    These(Vec<TrustAnchor<'static>>),
}

impl Authorities {
    /// Those in a file of PEM certificates.
    ///
    /// # Errors
    /// [`SettingsError`] of this setting: `private_key_given`, `not_a_certificate`, `out_of_range`.
    pub(super) fn read(setting: &'static str, file: &[u8]) -> Result<Self, SettingsError> {
        let none = || SettingsError::new(setting, "not_a_certificate");
        let blocks = pem_blocks(file);
        if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
            return Err(SettingsError::new(setting, "private_key_given"));
        }
        if blocks.is_empty() {
            return Err(none());
        }
        if blocks.len() > AUTHORITIES_MAX {
            return Err(SettingsError::new(setting, "out_of_range").because(format!("> {AUTHORITIES_MAX}")));
        }
        let anchor = |der: &[u8]| anchor_from_trusted_cert(&CertificateDer::from(der)).ok().map(|one| one.to_owned());
        blocks.iter().map(|block| anchor(&block.der).ok_or_else(none)).collect::<Result<_, _>>().map(Self::These)
    }

    fn anchors(&self) -> &[TrustAnchor<'static>] {
        static PUBLIC: LazyLock<Vec<TrustAnchor<'static>>> = LazyLock::new(|| {
            let all = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            all.filter_map(|one| anchor_from_trusted_cert(one).ok().map(|anchor| anchor.to_owned())).collect()
        });
        match self {
            Self::Public => &PUBLIC,
            Self::These(anchors) => anchors,
        }
    }

    /// Whether a path leads from a certificate to one of them at this time: signatures, validity, authority, length of
    /// the path, constraints of names, and what keys are for. RSA and elliptic curves with SHA-256 or better.
    fn vouch(&self, own: &Certificate, others: &[Certificate], now: Timestamp) -> bool {
        let own = CertificateDer::from(own.der());
        let others: Vec<CertificateDer<'_>> = others.iter().map(|one| CertificateDer::from(one.der())).collect();
        let Ok(strict) = EndEntityCert::try_from(&own) else { return false };
        let Ok(seconds) = u64::try_from(now.as_second()) else { return false };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (algorithms, usage) = (webpki::ALL_VERIFICATION_ALGS, KeyUsage::server_auth());
        strict.verify_for_usage(algorithms, self.anchors(), &others, now, usage, None, None).is_ok()
    }
}

/// Most certificates in the setting; all that browsers trust are some 150.
const AUTHORITIES_MAX: usize = 300;

impl KeySource for PayPal {
    /// There is no list: a certificate is asked for by its word, where the configuration says.
    fn ask(&self, needed: Option<&KeyRequest>, _: [u8; 16], _: Timestamp) -> Option<HttpAsk> {
        let name = CertificateName::new(&needed?.serial)?;
        let interface = self.config.downloads.as_ref()?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollbell/", env!("CARGO_PKG_VERSION"))));
        let url = interface.url(&format!("{PATH}{}", name.as_str()));
        Some(HttpAsk { method: Method::GET, url, headers, body: Bytes::new(), reach: interface.reach() })
    }

    fn read(
        &self,
        answer: &HttpAnswer,
        needed: Option<&KeyRequest>,
        now: Timestamp,
    ) -> Result<Vec<FetchedKey>, KeyRefused> {
        let needed = needed.ok_or(KeyRefused::Serial)?;
        match answer.status {
            200 => {}
            404 | 410 => return Err(KeyRefused::Absent),
            status => return Err(KeyRefused::Status { status }),
        }
        let chain = read_chain(&answer.body)?;
        self.check_chain(&chain, now)?;
        fetched(&needed.serial, &chain, now).map(|key| vec![key])
    }

    fn check(&self, key: &FetchedKey, now: Timestamp) -> Result<(), KeyRefused> {
        self.open_kept(key, now).map(drop)
    }

    fn with_keys(&self, keys: &[FetchedKey], now: Timestamp) -> Result<Arc<dyn Channel>, KeyRefused> {
        if keys.len() > FETCHED_KEYS_MAX {
            return Err(KeyRefused::TooLarge { limit: FETCHED_KEYS_MAX });
        }
        let (mut prepared, mut notes) = (Vec::new(), Vec::new());
        for key in keys {
            let certificate = self.open_kept(key, now)?;
            notes.push(note("PayPal certificate, fetched", &certificate));
            let key = Key::new(SETTING, &certificate, Some(key.serial.clone()));
            prepared.push(key.map_err(|_| KeyRefused::Malformed { field: "certificate" })?);
        }
        Ok(Arc::new(Self { config: Arc::clone(&self.config), fetched: prepared, fetched_notes: notes }))
    }

    /// Nothing to renew: the word of the next certificate is not known before a delivery names it.
    fn renew_at(&self, _: &[FetchedKey], _: Timestamp) -> Option<Timestamp> {
        None
    }
}

impl PayPal {
    /// Validity, whose it is, and the path.
    fn check_chain(&self, chain: &[Certificate], now: Timestamp) -> Result<(), KeyRefused> {
        let (own, others) = chain.split_first().ok_or(KeyRefused::Malformed { field: "body" })?;
        if !own.is_valid_at(now) {
            return Err(KeyRefused::Validity);
        }
        let is_platforms = !own.is_authority() && is_issued_to_platform(own);
        if !is_platforms {
            return Err(KeyRefused::Issuer);
        }
        if !self.config.authorities.vouch(own, others, now) {
            return Err(KeyRefused::Authority { setting: AUTHORITIES });
        }
        Ok(())
    }

    /// Checks a kept certificate once more, along the path that was kept with it.
    fn open_kept(&self, key: &FetchedKey, now: Timestamp) -> Result<Certificate, KeyRefused> {
        let malformed = |field| KeyRefused::Malformed { field };
        let line = key.evidence.iter().position(|byte| *byte == b'\n').ok_or(malformed("evidence"))?;
        let (name, chain) = key.evidence.split_at(line);
        if name != key.serial.as_bytes() || CertificateName::new(&key.serial).is_none() {
            return Err(KeyRefused::Serial);
        }
        let mut chain = read_chain(chain)?;
        self.check_chain(&chain, now)?;
        if fetched(&key.serial, &chain, key.fetched_at)? != *key {
            return Err(malformed("certificate"));
        }
        Ok(chain.swap_remove(0))
    }
}

/// The certificates of an answer: PEM, the platform's own first.
fn read_chain(body: &[u8]) -> Result<Vec<Certificate>, KeyRefused> {
    if body.len() > ANSWER_BYTES_MAX {
        return Err(KeyRefused::TooLarge { limit: ANSWER_BYTES_MAX });
    }
    let blocks = pem_blocks(body);
    if blocks.len() > CERTIFICATES_MAX {
        return Err(KeyRefused::TooLarge { limit: CERTIFICATES_MAX });
    }
    if blocks.is_empty() || blocks.iter().any(|block| block.label != "CERTIFICATE") {
        return Err(KeyRefused::Malformed { field: "body" });
    }
    let pem: String = blocks.iter().map(|block| crate::signature::key::to_pem("CERTIFICATE", &block.der)).collect();
    Certificate::read_all(SETTING, pem.as_bytes()).map_err(|_| KeyRefused::Malformed { field: "certificate" })
}

fn fetched(name: &str, chain: &[Certificate], fetched_at: Timestamp) -> Result<FetchedKey, KeyRefused> {
    let own = chain.first().ok_or(KeyRefused::Malformed { field: "body" })?;
    let (Some(not_before), Some(not_after)) = (own.description().not_before, own.description().not_after) else {
        return Err(KeyRefused::Validity);
    };
    let pem: String = chain.iter().map(Certificate::to_pem).collect();
    Ok(FetchedKey {
        serial: name.to_owned(),
        certificate: own.to_pem(),
        evidence: format!("{name}\n{pem}").into_bytes(),
        not_before,
        not_after,
        fetched_at,
    })
}
