//! What a merchant configures for a UnionPay channel, and the checks that make it a channel or refuse it.

use zeroize::Zeroizing;

use super::certificates::{Trust, refuse_test};
use crate::channel::KeyNote;
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};
use crate::signature::own_key::{OwnKey, Password};
use crate::signature::x509::Certificate;

/// Most certificates in one file: the current ones and those around a change.
pub(super) const CERTIFICATES_MAX: usize = 4;

/// Most merchant numbers of one channel.
pub(super) const MERCHANTS_MAX: usize = 64;

/// Most sub-merchants of one channel.
pub(super) const SUB_MERCHANTS_MAX: usize = 1024;

/// Characters of a merchant's number (UnionPay: AN15).
const MERCHANT_CHARS: usize = 15;

/// Shortest secure key; UnionPay's have 32 characters.
const SECURE_KEY_BYTES_MIN: usize = 16;

/// In `sub_mer_id`: every sub-merchant of this platform merchant.
const ANY: &str = "*";

/// A value of `signMethod` that the configuration can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignMethod {
    /// `01`: RSA with SHA-256, by UnionPay's certificate.
    Rsa,
    /// `11`: SHA-256 with the merchant's secure key.
    Sha256,
    /// `12`: SM3 with the merchant's secure key.
    Sm3,
}

impl SignMethod {
    /// Every word.
    pub(super) const WORDS: &[&str] = &["01", "11", "12"];

    /// Reads the word, exactly.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "01" => Some(Self::Rsa),
            "11" => Some(Self::Sha256),
            "12" => Some(Self::Sm3),
            _ => None,
        }
    }
}

const PRIVATE_KEY: &str = "private_key";
const PASSWORD: &str = "private_key_password";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "mer_id",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "merchant number (merId, 15 characters), shown in UnionPay's merchant service platform \
                 (merchant.unionpay.com) and in the letter of admission; several are accepted; notices for others are \
                 refused",
            zh: "商户号（merId,15 位），见银联商户服务平台（merchant.unionpay.com）或入网通知；可填多个；其他商户的通知会被拒绝",
        },
        example: "777290058110048",
    },
    Setting {
        name: "sub_mer_id",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "platform merchants (accessType 2): the sub-merchants (subMerId); `*` takes every one; money for others is \
                 held",
            zh: "平台类商户（accessType 2）：二级商户号（subMerId），可填多个；填 `*` 表示全部；其他二级商户的通知会被挂起",
        },
        example: "0001",
    },
    Setting {
        name: "root_cert",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "root certificate that UnionPay's own certificate is checked with: acp_prod_root.cer of the SDK zip \
                 (open.unionpay.com), acp_test_root.cer in the sandbox; around a change the old and the new one in one file",
            zh: "验签用的根证书：开发包（open.unionpay.com 下载）中的 acp_prod_root.cer，测试环境用 acp_test_root.cer；更换期间可把新旧证书放在同一个文件里",
        },
        example: "acp_prod_root.cer",
    },
    Setting {
        name: "middle_cert",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "middle certificate between the root and UnionPay's own: acp_prod_middle.cer of the same zip, \
                 acp_test_middle.cer in the sandbox (issued with SHA-1, which is taken in a sandbox only)",
            zh: "验签用的中级证书：同一开发包中的 acp_prod_middle.cer，测试环境用 acp_test_middle.cer（测试证书用 SHA-1 签发，仅 sandbox 接受）",
        },
        example: "acp_prod_middle.cer",
    },
    Setting {
        name: "unionpay_cert",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "only these certificates of UnionPay may sign (signPubKeyCert of a genuine notice); in addition to \
                 `root_cert` and `middle_cert` or instead of them; a new certificate is then refused until it is added",
            zh: "只信任这些银联签名证书（可取自真实通知的 signPubKeyCert）；可与 `root_cert`、`middle_cert` 同时使用，也可代替它们；银联换证书后须先加入新证书，否则通知会被拒绝",
        },
        example: "unionpay.cer",
    },
    Setting {
        name: PRIVATE_KEY,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "your own signing certificate with its private key as UnionPay hands it out: acp_prod_sign.pfx with its \
                 password beside it, or PEM; used to see that it was not put in place of UnionPay's, and to show its certId \
                 and its last day",
            zh: "银联发给商户的签名证书与私钥：acp_prod_sign.pfx（密码填在下一项），也可用 PEM；用于防止把它误填为银联的证书，并显示其 certId 和到期日",
        },
        example: "acp_prod_sign.pfx",
    },
    Setting {
        name: PASSWORD,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "password of that .pfx file, which was chosen when it was downloaded from cs.cfca.com.cn (000000 in the \
                 sandbox); not for PEM",
            zh: "该 .pfx 文件的密码，即在 cs.cfca.com.cn 下载证书时设置的密码（测试环境为 000000）；PEM 文件不用填",
        },
        example: "acp_prod_sign_password",
    },
    Setting {
        name: "secure_key",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "secure key (安全密钥) from UnionPay's merchant service platform, for signMethod 11 and 12",
            zh: "安全密钥，见银联商户服务平台；用于 signMethod 11 和 12",
        },
        example: "unionpay_secure_key",
    },
    Setting {
        name: "sign_methods",
        kind: SettingKind::Words(SignMethod::WORDS),
        is_required: false,
        help: Text {
            en: "accepted signMethod: 01 is RSA with UnionPay's certificate, 11 SHA-256 and 12 SM3 with the secure key; \
                 default 01 where certificates are given, else 11",
            zh: "接受的 signMethod:01 为 RSA 证书，11 为安全密钥 SHA-256,12 为安全密钥 SM3；默认：配置了证书时为 01，否则为 11",
        },
        example: "01",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant's numbers; never empty.
    pub(super) merchants: Vec<String>,
    sub_merchants: Vec<String>,
    /// What makes a certificate UnionPay's, when `01` is allowed.
    pub(super) trust: Option<Trust>,
    sha256: Option<SecretDigest>,
    sm3: Option<SecretDigest>,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let merchants =
            ids(settings, "mer_id", MERCHANTS_MAX, is_merchant)?.ok_or(SettingsError::new("mer_id", "missing"))?;
        let sub_merchants = ids(settings, "sub_mer_id", SUB_MERCHANTS_MAX, is_sub_merchant)?.unwrap_or_default();
        let mut notes = Vec::new();
        let methods = methods(settings)?;
        let own = own(settings)?;
        let trust = trust(settings, &methods, own.as_ref(), &mut notes)?;
        notes.extend(own.as_ref().map(own_note));
        let keyed = |method, hash| keyed(settings, &methods, method, hash);
        let (sha256, sm3) = (keyed(SignMethod::Sha256, DigestHash::Sha256)?, keyed(SignMethod::Sm3, DigestHash::Sm3)?);
        notes.extend([(&sha256, DigestHash::Sha256), (&sm3, DigestHash::Sm3)].into_iter().filter_map(|(key, hash)| {
            key.as_ref().map(|_| KeyNote {
                label: "secure_key".to_owned(),
                algorithm: hash.to_string(),
                fingerprint: None,
                not_after: None,
            })
        }));
        Ok(Self { environment: settings.environment, merchants, sub_merchants, trust, sha256, sm3, notes })
    }

    /// Whether money for this sub-merchant is ours.
    pub(super) fn takes_sub_merchant(&self, id: &str) -> bool {
        self.sub_merchants.iter().any(|own| own == id || own == ANY)
    }

    /// Whether the configuration allows an algorithm.
    pub(super) fn allows(&self, method: SignMethod) -> bool {
        match method {
            SignMethod::Rsa => self.trust.is_some(),
            SignMethod::Sha256 => self.sha256.is_some(),
            SignMethod::Sm3 => self.sm3.is_some(),
        }
    }

    /// Checks a digest with the secure key: over the text, `&`, and the key's own digest.
    pub(super) fn verify_keyed(
        &self,
        method: SignMethod,
        text: &[u8],
        claimed: &[u8],
        way: &'static str,
    ) -> Option<Verified> {
        let key = match method {
            SignMethod::Rsa => return None,
            SignMethod::Sha256 => self.sha256.as_ref()?,
            SignMethod::Sm3 => self.sm3.as_ref()?,
        };
        key.verify(&[text, b"&"].concat(), b"", claimed, way)
    }
}

/// The allowed algorithms.
fn methods(settings: &Settings) -> Result<Vec<SignMethod>, SettingsError> {
    const SETTING: &str = "sign_methods";
    let Some(words) = texts(settings, SETTING) else {
        let has_certificate = CERTIFICATES.iter().any(|name| settings.key(name).is_some());
        let is_keyed = !has_certificate && settings.key("secure_key").is_some();
        return Ok(vec![if is_keyed { SignMethod::Sha256 } else { SignMethod::Rsa }]);
    };
    if words.is_empty() {
        return Err(SettingsError::new(SETTING, "empty_list"));
    }
    words
        .iter()
        .map(|word| SignMethod::parse(word).ok_or_else(|| SettingsError::new(SETTING, "unknown_word").because(*word)))
        .collect()
}

/// Settings that hold certificates of UnionPay's side.
const CERTIFICATES: [&str; 3] = ["root_cert", "middle_cert", "unionpay_cert"];

/// Read and checked even where `01` is not allowed, so that a broken file is found at once.
fn trust(
    settings: &Settings,
    methods: &[SignMethod],
    own: Option<&OwnKey>,
    notes: &mut Vec<KeyNote>,
) -> Result<Option<Trust>, SettingsError> {
    let [roots, middles, pinned] = CERTIFICATES.map(|name| certificates(settings, name));
    let (roots, middles, pinned) = (roots?, middles?, pinned?);
    let is_allowed = methods.contains(&SignMethod::Rsa);
    match (roots.is_empty(), middles.is_empty()) {
        (true, false) => return Err(SettingsError::new("root_cert", "missing").because("middle_cert")),
        (false, true) => return Err(SettingsError::new("middle_cert", "missing").because("root_cert")),
        (true, true) if pinned.is_empty() => {
            let missing = SettingsError::new("root_cert", "missing").because("middle_cert; unionpay_cert; secure_key");
            return if is_allowed { Err(missing) } else { Ok(None) };
        }
        _ => {}
    }
    for (name, certificates) in [("root_cert", &roots), ("middle_cert", &middles), ("unionpay_cert", &pinned)] {
        notes.extend(certificates.iter().map(|one| certificate_note(name, one)));
    }
    let trust = Trust::new(settings.environment, &roots, &middles, pinned, own.map(|own| own.public().clone()))?;
    Ok(is_allowed.then_some(trust))
}

/// The merchant's own key. In the test environment every merchant has the same, so it is none in a live channel.
fn own(settings: &Settings) -> Result<Option<OwnKey>, SettingsError> {
    let password = Password { setting: PASSWORD, text: settings.secret_line(PASSWORD)? };
    let Some(file) = settings.key(PRIVATE_KEY) else {
        let lonely = SettingsError::new(PASSWORD, "relation").because(PRIVATE_KEY);
        return if password.text.is_some() { Err(lonely) } else { Ok(None) };
    };
    let own = OwnKey::read(PRIVATE_KEY, file, password)?;
    refuse_test(PRIVATE_KEY, settings.environment, own.certificate().map(std::slice::from_ref).unwrap_or_default())?;
    Ok(Some(own))
}

/// The certificate's serial in decimals is what requests to UnionPay call `certId`.
fn own_note(own: &OwnKey) -> KeyNote {
    let description = own.certificate().map(Certificate::description);
    let id = description.map(|description| format!(", certId {}", description.serial)).unwrap_or_default();
    KeyNote {
        label: format!("{PRIVATE_KEY} (public half{id})"),
        algorithm: own.public().algorithm().to_string(),
        fingerprint: Some(own.public().fingerprint()),
        not_after: description.and_then(|description| description.not_after),
    }
}

fn certificates(settings: &Settings, name: &'static str) -> Result<Vec<Certificate>, SettingsError> {
    let Some(file) = settings.key(name) else { return Ok(Vec::new()) };
    let certificates = Certificate::read_all(name, file)?;
    if certificates.len() > CERTIFICATES_MAX {
        return Err(
            SettingsError::new(name, "out_of_range").because(format!("{} > {CERTIFICATES_MAX}", certificates.len()))
        );
    }
    Ok(certificates)
}

/// The digest with the secure key, where the method is allowed.
fn keyed(
    settings: &Settings,
    methods: &[SignMethod],
    method: SignMethod,
    hash: DigestHash,
) -> Result<Option<SecretDigest>, SettingsError> {
    const SETTING: &str = "secure_key";
    let key = settings.secret_line(SETTING)?;
    if key.is_some_and(|key| key.len() < SECURE_KEY_BYTES_MIN) {
        return Err(SettingsError::new(SETTING, "too_short").because(format!("< {SECURE_KEY_BYTES_MIN}")));
    }
    if !methods.contains(&method) {
        return Ok(None);
    }
    let Some(key) = key else {
        return Err(SettingsError::new(SETTING, "no_key_for_algorithm").because(hash.to_string()));
    };
    let hashed = Zeroizing::new(hash.hex_of(&[key], HexCase::Lower));
    Ok(SecretDigest::new(hashed.as_bytes(), hash, HexCase::Lower, SETTING))
}

/// Texts that are given as one text or a list.
fn texts<'s>(settings: &'s Settings, name: &str) -> Option<Vec<&'s str>> {
    match (settings.texts(name), settings.text(name)) {
        (Some(texts), _) => Some(texts.iter().map(|text| text.trim()).collect()),
        (None, Some(text)) => Some(vec![text.trim()]),
        (None, None) => None,
    }
}

fn ids(
    settings: &Settings,
    name: &'static str,
    count_max: usize,
    is_id: fn(&str) -> bool,
) -> Result<Option<Vec<String>>, SettingsError> {
    let Some(texts) = texts(settings, name) else { return Ok(None) };
    if texts.is_empty() {
        return Err(SettingsError::new(name, "empty_list"));
    }
    if texts.len() > count_max {
        return Err(SettingsError::new(name, "out_of_range").because(format!("{} > {count_max}", texts.len())));
    }
    match texts.iter().find(|text| !is_id(text)) {
        Some(bad) => Err(SettingsError::new(name, "malformed_id").because(crate::channel::quote(bad))),
        None => Ok(Some(texts.into_iter().map(str::to_owned).collect())),
    }
}

fn is_merchant(text: &str) -> bool {
    text.len() == MERCHANT_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// UnionPay lets the platform merchant choose these numbers (AN5 to AN15).
fn is_sub_merchant(text: &str) -> bool {
    let is_number = !text.is_empty() && text.len() <= MERCHANT_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric());
    text == ANY || is_number
}

fn certificate_note(label: &str, one: &Certificate) -> KeyNote {
    KeyNote {
        label: label.to_owned(),
        algorithm: format!("X.509, {}", one.key().algorithm()),
        fingerprint: Some(one.key().fingerprint()),
        not_after: one.description().not_after,
    }
}
