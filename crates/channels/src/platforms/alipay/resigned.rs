//! Alipay's signature made afresh: the same fields with another `sign`, by the rule that the message was signed
//! by. Alipay has no time window; what is gained is that scripts and replays share one key, and that a key
//! which Alipay has changed since does no harm.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;

use super::canonical::{self, Variant};
use super::settings::{Config, RsaKeys, SignType};
use super::{LIMITS, certificate};
use crate::form::{Form, Pair};
use crate::model::{RawRequest, Timestamp};
use crate::resign::{self, NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};
use crate::signature::decode_base64;
use crate::signature::key::{PublicKey, to_pem};
use crate::signature::rsa::sign_sha256;
use crate::signature::self_signed;
use crate::signature::x509::Certificate;

/// The name in our certificate: not the platform's, because it is not the platform's.
const COMMON_NAME: &str = "Tollbell resigned";

/// Signs with a key of our own.
pub(super) struct AlipayResigner {
    config: Arc<Config>,
    /// Certificates that the platform gave, beside the configured ones.
    fetched: Arc<[RsaKeys]>,
    pair: RsaKeyPair,
    public: PublicKey,
    certificate: Vec<u8>,
    serial: String,
}

impl fmt::Debug for AlipayResigner {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlipayResigner").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl AlipayResigner {
    pub(super) fn new(config: Arc<Config>, fetched: Arc<[RsaKeys]>, key: &[u8]) -> Result<Self, SettingsError> {
        let (pair, public) = resign::read_key(key)?;
        let not_a_key = || SettingsError::new(resign::SETTING, "not_a_key");
        let certificate = self_signed::certificate(&pair, &public, COMMON_NAME).ok_or_else(not_a_key)?;
        let serial = certificate::serial(&Certificate::read(resign::SETTING, &certificate)?);
        Ok(Self { config, fetched, pair, public, certificate, serial })
    }

    /// The rule that the message was signed by; when its key is no longer known, that of the newer SDKs. A
    /// certificate that has ended since still shows the rule.
    fn rule_of(&self, form: &Form<'_>, sorted: &[&Pair<'_>]) -> Variant {
        let signature = form.present("sign").and_then(decode_base64);
        let serial = form.present_ascii("alipay_cert_sn");
        let variants = canonical::variants(sorted);
        let proven = variants.iter().find(|variant| {
            signature.as_ref().is_some_and(|signature| {
                let (message, name) = (variant.string(sorted), variant.name());
                let is_of = |keys: &RsaKeys| keys.verify(SignType::Rsa2, &message, signature, name).is_some();
                let mut fetched = self.fetched.iter().filter(|keys| serial.is_some_and(|one| keys.is_named(one, None)));
                self.config.keys.verify(SignType::Rsa2, (serial, None), &message, signature, name).is_some()
                    || fetched.any(is_of)
            })
        });
        proven.copied().unwrap_or(variants[0])
    }
}

impl Resigner for AlipayResigner {
    fn resign(&self, proven: &RawRequest, _: Timestamp, _: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError> {
        let form = Form::parse(&proven.body, LIMITS).map_err(|_| ResignError::Malformed("body"))?;
        let sign_type = form.present_ascii("sign_type").ok_or(ResignError::Malformed("sign_type"))?;
        if SignType::parse(sign_type) != Some(SignType::Rsa2) {
            return Err(ResignError::Algorithm(crate::channel::quote(sign_type)));
        }
        let rule = self.rule_of(&form, &form.sorted());
        let named = form.with_value("alipay_cert_sn", &self.serial);
        let form = Form::parse(&named, LIMITS).map_err(|_| ResignError::Malformed("body"))?;
        let message = rule.string(&form.sorted());
        let signature = STANDARD.encode(sign_sha256(&self.pair, &message).ok_or(ResignError::Key)?);
        let body = form.with_value("sign", &signature);
        let mut request = proven.clone();
        if request.headers.contains_key(CONTENT_LENGTH) {
            request.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        request.body = body.into();
        Ok(request)
    }

    fn public_half(&self) -> Vec<PublicFile> {
        vec![
            PublicFile::line(
                &self.public,
                Text {
                    en: "the public key on one line, as PHP kits want it, in place of the Alipay public key",
                    zh: "单行公钥：PHP SDK 常用的格式，用它替换支付宝公钥",
                },
            ),
            PublicFile::pem(
                &self.public,
                Text {
                    en: "the same key as PEM, for kits that read a file",
                    zh: "同一公钥的 PEM 格式，供读取文件的 SDK 使用",
                },
            ),
            PublicFile {
                name: "certificate.crt",
                what: Text {
                    en: "the certificate, for a kit in certificate mode, in place of alipayCertPublicKey_RSA2.crt; its serial:",
                    zh: "证书：证书模式下用它替换 alipayCertPublicKey_RSA2.crt；证书序列号：",
                },
                content: to_pem("CERTIFICATE", &self.certificate).into_bytes(),
                id: Some(self.serial.clone()),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::super::settings::Named;
    use super::*;
    use crate::channel::{Channel, Verdict};
    use crate::form::encode_into;
    use crate::model::Environment;
    use crate::settings::{SettingValue, Settings};

    fn pair() -> RsaKeyPair {
        RsaKeyPair::generate(KeySize::Rsa2048).unwrap()
    }

    fn channel(name: &'static str, key: Vec<u8>, sign_types: &[&str]) -> Box<dyn Channel> {
        let sign_types = sign_types.iter().map(|word| (*word).to_owned()).collect();
        let settings = Settings::new(Environment::Live)
            .with("app_id", SettingValue::Text("2021000000000000".to_owned()))
            .with("seller_id", SettingValue::Texts(vec!["2088000000000000".to_owned()]))
            .with("sign_types", SettingValue::Texts(sign_types))
            .with(name, SettingValue::Key(key.into()));
        (super::super::PLATFORM.build)(&settings).unwrap()
    }

    fn request(body: &str) -> RawRequest {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert("content-length", HeaderValue::from(body.len()));
        RawRequest {
            method: Method::POST,
            path: "/".to_owned(),
            query: None,
            headers,
            body: Bytes::from(body.to_owned()),
            source: None,
            received_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// While our certificates are valid.
    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn is_genuine(channel: &dyn Channel, request: &RawRequest) -> bool {
        matches!(channel.verify(request, now()), Verdict::Genuine(_))
    }

    const FIELDS: &str = "app_id=2021000000000000&charset=gbk&notify_id=n1&notify_type=trade_status_sync&\
                          subject=%C9%CC%c6%b7&trade_no=T1&trade_status=TRADE_SUCCESS";

    /// A message signed over the string that a test says.
    fn signed(pair: &RsaKeyPair, fields: &str, over: &[u8]) -> RawRequest {
        let signature = STANDARD.encode(sign_sha256(pair, over).unwrap());
        let mut body = format!("{fields}&sign=").into_bytes();
        encode_into(&mut body, signature.as_bytes());
        body.extend_from_slice(b"&sign_type=RSA2");
        request(&String::from_utf8(body).unwrap())
    }

    #[test]
    fn the_rule_of_the_message_is_kept_and_so_are_its_bytes() {
        let (platform, own) = (pair(), pair());
        let public = |pair: &RsaKeyPair| PublicKey::of_pair("key", pair).unwrap().to_pem().into_bytes();
        let der: Pkcs8V1Der<'_> = own.as_der().unwrap();
        let gateway = channel("alipay_public_key", public(&platform), &["RSA2"]);
        let shop = channel("alipay_public_key", public(&own), &["RSA2"]);
        let resigner = gateway.resigner(der.as_ref()).unwrap();
        let fields = format!("{FIELDS}&body=");
        let form = |body: &str| {
            let form = Form::parse(body.as_bytes(), LIMITS).unwrap();
            let sorted = form.sorted();
            canonical::variants(&sorted).into_iter().map(|v| (v.name(), v.string(&sorted))).collect::<Vec<_>>()
        };
        let variants = form(&format!("{fields}&sign_type=RSA2"));
        assert_eq!(variants.len(), 4, "two rules, two ways with empty values");
        for (name, over) in variants {
            let original = signed(&platform, &fields, &over);
            assert!(is_genuine(&*gateway, &original), "{name}");
            let fresh = resigner.resign(&original, Timestamp::UNIX_EPOCH, [0; 16]).unwrap();
            assert!(is_genuine(&*shop, &fresh) && !is_genuine(&*gateway, &fresh), "{name}");
            assert!(fresh.body.starts_with(fields.as_bytes()), "{name}");
            assert_eq!(fresh.single_header("content-length"), Some(fresh.body.len().to_string().as_str()));
            let Verdict::Genuine(proven) = shop.verify(&fresh, now()) else { panic!("{name}") };
            let (_, proof) = proven.into_parts();
            assert!(format!("{proof:?}").contains(name), "{name}: {proof:?}");
        }
    }

    #[test]
    fn in_certificate_mode_the_message_names_our_certificate() {
        let (platform, own) = (pair(), pair());
        let of = |pair: &RsaKeyPair| {
            self_signed::certificate(pair, &PublicKey::of_pair("key", pair).unwrap(), "someone").unwrap()
        };
        let der: Pkcs8V1Der<'_> = own.as_der().unwrap();
        let theirs = of(&platform);
        let serial = certificate::serial(&Certificate::read("alipay_cert", &theirs).unwrap());
        let gateway = channel("alipay_cert", to_pem("CERTIFICATE", &theirs).into_bytes(), &["RSA2"]);
        let resigner = gateway.resigner(der.as_ref()).unwrap();
        let half = resigner.public_half();
        let file = half.iter().find(|file| file.name == "certificate.crt").unwrap();
        let shop = channel("alipay_cert", file.content.clone(), &["RSA2"]);
        let fields = format!("alipay_cert_sn={serial}&{FIELDS}");
        let over = canonical::variants(&Form::parse(fields.as_bytes(), LIMITS).unwrap().sorted())[0]
            .string(&Form::parse(fields.as_bytes(), LIMITS).unwrap().sorted());
        let original = signed(&platform, &fields, &over);
        assert!(is_genuine(&*gateway, &original));
        let fresh = resigner.resign(&original, Timestamp::UNIX_EPOCH, [0; 16]).unwrap();
        assert!(is_genuine(&*shop, &fresh));
        let named = format!("alipay_cert_sn={}&", file.id.as_ref().unwrap());
        assert!(fresh.body.starts_with(named.as_bytes()));
    }

    #[test]
    fn a_fetched_certificate_shows_the_rule_and_is_believed() {
        let (configured, platform, own) = (pair(), pair(), pair());
        let of = |pair: &RsaKeyPair| {
            self_signed::certificate(pair, &PublicKey::of_pair("key", pair).unwrap(), "someone").unwrap()
        };
        let der = |pair: &RsaKeyPair| {
            let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
            der.as_ref().to_vec()
        };
        let certificate = Certificate::read("alipay_cert", &of(&platform)).unwrap();
        let serial = certificate::serial(&certificate);
        let settings = Settings::new(Environment::Live)
            .with("app_id", SettingValue::Text("2021000000000000".to_owned()))
            .with("seller_id", SettingValue::Texts(vec!["2088000000000000".to_owned()]))
            .with("alipay_cert", SettingValue::Key(to_pem("CERTIFICATE", &of(&configured)).into_bytes().into()));
        let named = Named { serial: serial.clone(), valid: Some([Timestamp::UNIX_EPOCH, now()]) };
        let fetched = RsaKeys::new("alipay_cert", Some(named), certificate.key(), &[SignType::Rsa2]).unwrap();
        let config = Arc::new(Config::build(&settings).unwrap());
        let gateway = super::super::Alipay { config, fetched: Arc::new([fetched]), fetched_notes: Vec::new() };
        assert_eq!(gateway.resigner(&der(&platform)).unwrap_err().word, "believed_key");
        let resigner = gateway.resigner(&der(&own)).unwrap();
        let half = resigner.public_half();
        let file = half.iter().find(|file| file.name == "certificate.crt").unwrap();
        let shop = channel("alipay_cert", file.content.clone(), &["RSA2"]);
        let fields = format!("alipay_cert_sn={serial}&{FIELDS}");
        let whole = format!("{fields}&sign_type=RSA2");
        let form = Form::parse(whole.as_bytes(), LIMITS).unwrap();
        let sorted = form.sorted();
        let variants = canonical::variants(&sorted);
        assert_eq!(variants.len(), 2);
        for variant in variants {
            let original = signed(&platform, &fields, &variant.string(&sorted));
            assert!(is_genuine(&gateway, &original));
            let fresh = resigner.resign(&original, Timestamp::UNIX_EPOCH, [0; 16]).unwrap();
            let Verdict::Genuine(proven) = shop.verify(&fresh, now()) else { panic!("{}", variant.name()) };
            let (_, proof) = proven.into_parts();
            assert!(format!("{proof:?}").contains(variant.name()), "{proof:?}");
        }
    }

    #[test]
    fn what_we_do_not_sign_with_is_refused() {
        let (platform, own) = (pair(), pair());
        let public = PublicKey::of_pair("key", &platform).unwrap().to_pem().into_bytes();
        let der: Pkcs8V1Der<'_> = own.as_der().unwrap();
        let old = channel("alipay_public_key", public.clone(), &["RSA"]);
        assert_eq!(old.resigner(der.as_ref()).unwrap_err().word, "not_supported");
        let both = channel("alipay_public_key", public, &["RSA2", "RSA"]);
        assert_eq!(both.resigner(b"no key").unwrap_err().word, "not_a_key");
        let resigner = both.resigner(der.as_ref()).unwrap();
        let refused = |body: &str| resigner.resign(&request(body), Timestamp::UNIX_EPOCH, [0; 16]).unwrap_err();
        assert_eq!(refused("a=1&sign=x&sign_type=RSA"), ResignError::Algorithm("RSA".to_owned()));
        assert_eq!(refused("a=1&sign=x"), ResignError::Malformed("sign_type"));
        assert_eq!(refused("a=%"), ResignError::Malformed("body"));
        assert!(!format!("{resigner:?}").contains("pair"));
    }
}
