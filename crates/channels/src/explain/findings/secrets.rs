//! What was entered as a key or a secret: with something around it, in other clothes, in the wrong place, or the
//! merchant's own in place of the platform's.
//!
//! A fact names settings and channels, and public keys by their fingerprints. Nothing here says what a secret looks like.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::keys::secrets_of_others;
use super::slots::{self, Secret, key_settings, value};
use crate::channel::strength::Primitive;
use crate::channel::{FetchBack, KeyNote, Rejection};
use crate::explain::reasons::{has_proved, names};
use crate::explain::{Case, Configured, Facts, Finding, Otherwise, Probe, Undo};
use crate::platforms::Platform;
use crate::settings::tree::Tree;
use crate::settings::{SettingKind, SettingValue, Settings, Text};
use crate::signature::digest::DigestHash;
use crate::signature::key::{Content, PublicKey, content_of, der_of, hex, read_rsa_private};
use crate::signature::x509::Certificate;

/// Characters around the secret that are none of it.
pub(super) static SECRET_BLANKS: Finding = Finding {
    id: "secret_blanks",
    title: Text {
        en: "the secret in `{setting}` was saved with blanks, line ends, quotes or invisible characters that are none of it",
        zh: "`{setting}` 中的密钥带有多余的字符（空格、换行、引号或不可见字符）",
    },
    cause: Text {
        en: "It was copied together with what stood around it: the quotes of a program or an `.env` file, a blank of a web page, \
             a byte order mark of an editor.",
        zh: "复制时连同周围的字符一并带入：程序或 `.env` 文件里的引号、网页上的空格、编辑器写入的 BOM 等。",
    },
    cure: Text {
        en: "Write the secret alone into `{setting}`, as the platform's backend shows it, without quotes.",
        zh: "请在 `{setting}` 中只保留平台后台显示的密钥本身，不要加引号。",
    },
    probes: &[Probe::Undo(without_blanks), Probe::Lint(blanks)],
};

/// The secret in another encoding than the channel reads.
pub(super) static SECRET_ENCODING: Finding = Finding {
    id: "secret_encoding",
    title: Text {
        en: "the secret in `{setting}` is the right one in another encoding: {how}",
        zh: "`{setting}` 中的密钥本身正确，但编码不对：{how}",
    },
    cause: Text {
        en: "Secrets are shown as plain text, in hexadecimal or in base64, with or without a prefix, and each platform says \
             which of these is the key. Somebody decoded it, encoded it once more, or cut or kept what should not be.",
        zh: "密钥可能以原文、十六进制或 Base64 显示，也可能带有前缀；究竟以哪一种作为密钥由平台规定。有人多解码或多编码了一次，或误删、误留了前缀。",
    },
    cure: Text {
        en: "Enter the secret exactly as the platform's backend shows it, unless the setting's help says otherwise \
             (`tollbell channels`); where the channel's own settings describe the protocol, say there how it is written.",
        zh: "请原样填写平台后台显示的密钥，除非该项说明（`tollbell channels`）另有要求；若协议由渠道配置自行描述，请在其中写明密钥的编码方式。",
    },
    probes: &[Probe::Undo(in_other_encodings)],
};

/// Proven, and not to be opened.
pub(super) static DECRYPTION_KEY: Finding = Finding {
    id: "decryption_key",
    title: Text {
        en: "the signature holds, and the configured key does not open the encrypted content",
        zh: "签名正确，但用所配置的密钥解不开加密内容",
    },
    cause: Text {
        en: "The platform encrypts with another key than the one here: it was changed in the backend, it is the key of another \
             merchant or of another version of the interface, or it was copied with an error.",
        zh: "平台加密所用的密钥与这里配置的不同：后台已修改过密钥，或填了另一商户、另一版接口的密钥，或复制有误。",
    },
    cure: Text {
        en: "Set the key anew in the platform's backend and in the configuration, then verify the refused messages anew \
             (`tollbell rejections reverify`). Messages that were encrypted with the key of before need that one: configure it \
             as a former key.",
        zh: "请在平台后台重新设置该密钥并同步到配置，然后用 `tollbell rejections reverify` 重新验证被拒绝的通知。更换之前加密的通知仍需旧密钥，可作为旧密钥配置。",
    },
    probes: &[Probe::Undo(opened_by_others), Probe::Look(unopened)],
};

/// The merchant's public key in place of the platform's.
pub(in crate::explain) static OWN_PUBLIC_KEY: Finding = Finding {
    id: "own_public_key",
    title: Text {
        en: "`{setting}` holds your own application's public key, not the platform's: its private half is `{private}`",
        zh: "`{setting}` 填的是你自己的应用公钥，而不是平台公钥：对应的私钥就是 `{private}`",
    },
    cause: Text {
        en: "The backend shows two public keys: the one that you uploaded, and the platform's. What the platform signs, only the \
             platform's key proves; your own proves what you signed, and nobody else's messages.",
        zh: "平台后台会显示两把公钥：你上传的应用公钥和平台公钥。平台的通知只能用平台公钥验签，用应用公钥永远验不过。",
    },
    cure: Text {
        en: "Copy the platform's public key from the backend into `{setting}` (the key with the fingerprint {fingerprint} is your \
             own).",
        zh: "请从平台后台复制平台公钥填入 `{setting}`（指纹为 {fingerprint} 的是你自己的公钥）。",
    },
    probes: &[Probe::Unfit(own_public_keys)],
};

/// The merchant's certificate in place of the platform's.
pub(super) static MERCHANT_CERTIFICATE: Finding = Finding {
    id: "merchant_certificate",
    title: Text {
        en: "`{setting}` holds the merchant's own certificate ({serial}), not the platform's",
        zh: "`{setting}` 填的是商户自己的证书（序列号 {serial}），而不是平台证书",
    },
    cause: Text {
        en: "The merchant's certificate signs requests to the platform. What the platform signs, only the platform's own \
             certificate or public key proves.",
        zh: "商户证书用于向平台发起请求时签名；平台的通知只能用平台证书或平台公钥验签。",
    },
    cure: Text {
        en: "Download the platform's certificate or public key from its backend, and put that into `{setting}`.",
        zh: "请从平台后台下载平台证书或平台公钥，填入 `{setting}`。",
    },
    probes: &[Probe::Unfit(merchant_certificates)],
};

/// A key of another sort than the setting is for.
pub(super) static KEY_KIND: Finding = Finding {
    id: "key_kind",
    title: Text {
        en: "`{setting}` is for a secret that the platform shares with you, and holds a {holds}",
        zh: "`{setting}` 应填写与平台共享的密钥，而里面是 {holds}",
    },
    cause: Text {
        en: "Keys of several sorts are shown side by side: a shared secret is a line of letters and digits, a public or private \
             key and a certificate are long blocks. One was entered as the other.",
        zh: "后台会并列显示多种密钥：共享密钥是一行字母和数字，公钥、私钥和证书则是很长的一段。填写时弄混了。",
    },
    cure: Text {
        en: "Enter the shared secret into `{setting}`; a public key belongs into the setting that is named after it, and a private \
             key that was sent to anybody must be replaced.",
        zh: "请在 `{setting}` 中填写共享密钥；公钥应填入对应的公钥配置项；私钥若已发给他人，必须更换。",
    },
    probes: &[Probe::Unfit(of_another_kind)],
};

/// One secret in two places.
pub(super) static KEY_SHARED: Finding = Finding {
    id: "key_shared",
    title: Text {
        en: "`{setting}` is the same secret as `{other}` of `{channel}`",
        zh: "`{setting}` 与渠道 `{channel}` 的 `{other}` 是同一个密钥",
    },
    cause: Text {
        en: "The platform has a secret for each, so one of the two was probably copied into the place of the other, and what is \
             signed with the secret that belongs here is refused. Where both really are the same, no genuine message is \
             refused for that; but whoever learns the one can make messages for both.",
        zh: "平台对两者各有密钥，很可能是把其中一个复制到了另一个的位置；用本应填在这里的密钥签名的通知便会被拒绝。\
             若平台上两者确实相同，则不会因此拒绝真实通知，但一处泄露，两边的通知都可能被伪造。",
    },
    cure: Text {
        en: "Compare both with the platform's backend; where they are really the same, set different ones there.",
        zh: "请在平台后台逐一核对；若确实设成了同一个，请在后台改为不同的密钥。",
    },
    probes: &[Probe::Lint(shared)],
};

/// Whether another secret could make a difference to this refusal.
fn is_about_secrets(case: &Case<'_>) -> bool {
    matches!(case.rejection(), Some(Rejection::Signature | Rejection::Undecryptable))
}

/// The settings with something else in the place of a secret.
fn undo(case: &Case<'_>, secret: &Secret, bytes: &[u8], facts: Facts) -> Undo {
    Undo::tried(Otherwise::Settings(Box::new(secret.replaced(&case.settings, bytes))), facts)
}

/// What stands around pasted texts: quotes of programs and of prose, each with its partner.
const QUOTES: &[(char, char)] =
    &[('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('「', '」'), ('<', '>')];

/// Characters that nobody sees and that are no blanks.
const INVISIBLE: &[char] = &['\u{feff}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{ad}', '\u{0}'];

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character.is_control() || INVISIBLE.contains(&character)
}

/// The text without blanks and quotes around it.
fn bare(text: &str) -> &str {
    let text = text.trim_matches(is_blank);
    let inner = QUOTES.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inner.map_or(text, |inner| inner.trim_matches(is_blank))
}

/// Whether a secret stands within quotes, or has an invisible character at an end. The line end that an editor leaves
/// behind it is read as none of it everywhere.
fn is_wrapped(secret: &Secret) -> bool {
    let Ok(text) = std::str::from_utf8(&secret.bytes) else { return false };
    let line = text.trim_matches(|character: char| character.is_ascii_whitespace());
    bare(line).len() < line.len() && !bare(line).is_empty()
}

/// Bytes that nobody knows, in place of a form that a secret does not have: how much is tried says nothing of it.
fn blind(what: &str, secret: &[u8], bytes: usize) -> Zeroizing<Vec<u8>> {
    let digest = Zeroizing::new(DigestHash::Sha512.of(&[what.as_bytes(), secret]));
    Zeroizing::new(digest.iter().copied().cycle().take(bytes).collect())
}

fn without_blanks(case: &Case<'_>) -> Vec<Undo> {
    if !is_about_secrets(case) {
        return Vec::new();
    }
    let mut undone = Vec::new();
    for secret in slots::secrets(case.platform, &case.settings) {
        let text = std::str::from_utf8(&secret.bytes).ok();
        let bare = text.map_or("", bare);
        let dense = Zeroizing::new(bare.chars().filter(|character| !is_blank(*character)).collect::<String>());
        // What is around a secret is told of the configuration alone; what is in it must not show.
        let is_traced = is_wrapped(&secret);
        for (other, what) in [(bare, "bare"), (dense.as_str(), "dense")] {
            let is_real = text.is_some_and(|text| other != text) && !other.is_empty();
            let bytes = if is_real {
                Zeroizing::new(other.as_bytes().to_vec())
            } else {
                // As long as with one blank less.
                blind(what, &secret.bytes, secret.bytes.len().saturating_sub(1))
            };
            let undo = undo(case, &secret, &bytes, vec![("setting", secret.label.clone())]);
            undone.push(Undo { is_traced, ..undo });
        }
    }
    undone
}

fn blanks(own: &Configured<'_>, _: &[Configured<'_>]) -> Vec<Facts> {
    let all = slots::secrets(own.platform, own.settings).into_iter().filter(is_wrapped);
    all.map(|secret| vec![("setting", secret.label)]).collect()
}

/// Most characters of padding at the end of base64 (RFC 4648, section 4).
const PADDING_MAX: usize = 2;

/// How a secret may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Plain,
    Hex,
    UpperHex,
    Base64,
    Base64Url,
}

impl Writing {
    const ALL: [Self; 5] = [Self::Plain, Self::Hex, Self::UpperHex, Self::Base64, Self::Base64Url];

    /// Those that are read, each with the other case or alphabet.
    const READ: [Self; 3] = [Self::Plain, Self::Hex, Self::Base64];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Hex => "hex",
            Self::UpperHex => "HEX",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }

    /// The bytes that a text stands for; none when it is not written so.
    fn read(self, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = match self {
            Self::Plain => Some(text.to_vec()),
            Self::Hex | Self::UpperHex => unhex(text),
            Self::Base64 | Self::Base64Url => {
                let url = |_| URL_SAFE.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text));
                STANDARD.decode(text).or_else(url).ok()
            }
        };
        bytes.filter(|bytes| !bytes.is_empty()).map(Zeroizing::new)
    }

    /// The bytes that a text stands for, or as many that nobody knows when it is not written so: how much is tried says
    /// nothing of the secret.
    fn read_or_blind(self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        self.read(text).unwrap_or_else(|| {
            let bytes = match self {
                Self::Plain => text.len(),
                Self::Hex | Self::UpperHex => text.len() / 2,
                Self::Base64 | Self::Base64Url => {
                    let padding = text.iter().rev().take(PADDING_MAX).take_while(|byte| **byte == b'=').count();
                    (text.len() - padding) * 3 / 4
                }
            };
            blind(self.name(), text, bytes)
        })
    }

    fn write(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Plain => bytes.to_vec(),
            Self::Hex => hex(bytes).into_bytes(),
            Self::UpperHex => hex(bytes).to_ascii_uppercase().into_bytes(),
            Self::Base64 => STANDARD.encode(bytes).into_bytes(),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
        })
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = text.iter().map(digit).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn in_other_encodings(case: &Case<'_>) -> Vec<Undo> {
    if !is_about_secrets(case) {
        return Vec::new();
    }
    let mut undone = Vec::new();
    let plain = slots::secrets(case.platform, &case.settings).into_iter();
    for secret in plain.filter(|secret| content_of(&secret.bytes).is_none()) {
        let text = secret.bytes.trim_ascii();
        let mut push = |bytes: &[u8], how: String| {
            let facts = vec![("setting", secret.label.clone()), ("how", how)];
            undone.push(undo(case, &secret, bytes, facts));
        };
        for from in Writing::READ {
            let bytes = from.read_or_blind(text);
            for to in Writing::ALL.into_iter().filter(|to| (from, *to) != (Writing::Plain, Writing::Plain)) {
                // Written as it was read, it differs only when it stood in the other case or alphabet.
                let stood = match (from, to) {
                    (Writing::Hex, Writing::Hex) => Writing::UpperHex,
                    (Writing::Base64, Writing::Base64) => Writing::Base64Url,
                    _ => from,
                };
                push(&to.write(&bytes), format!("{} → {}", stood.name(), to.name()));
            }
        }
        // `whsec_…`: what stands before the last of these is a name.
        let named = text.iter().rposition(|byte| *byte == b'_').map(|at| &text[at + 1..]);
        let unnamed = || blind("_", text, text.len().saturating_sub(1));
        let bytes = named.map_or_else(unnamed, |rest| Zeroizing::new(rest.to_vec()));
        push(&bytes, format!("…_ → {}", Writing::Plain.name()));
    }
    undone.extend(read_otherwise(case));
    undone
}

/// The word of a tree that says how a secret is written, and its values.
const FORMAT: &str = "format";
const FORMATS: &[&str] = &["utf8", "hex", "base64"];

/// Trees in which a word says how secrets are written, with another word.
fn read_otherwise(case: &Case<'_>) -> Vec<Undo> {
    let mut undone = Vec::new();
    for (name, value) in case.settings.values() {
        let SettingValue::Tree(tree) = value else { continue };
        for format in FORMATS {
            let mut tree = tree.clone();
            if let Some(before) = with_format(&mut tree, format) {
                let settings = case.settings.clone().with(name, SettingValue::Tree(tree));
                let facts = vec![("setting", name.to_owned()), ("how", format!("{before} → {format}"))];
                undone.push(Undo::tried(Otherwise::Settings(Box::new(settings)), facts));
            }
        }
    }
    undone
}

/// Sets the first such word of a tree; what it was before, when it was another.
fn with_format(tree: &mut Tree, format: &str) -> Option<String> {
    match tree {
        Tree::Table(pairs) => pairs.iter_mut().find_map(|(key, value)| match value {
            Tree::Text(word) if key == FORMAT && FORMATS.contains(&word.as_str()) && word != format => {
                Some(std::mem::replace(word, format.to_owned()))
            }
            value => with_format(value, format),
        }),
        Tree::List(items) => items.iter_mut().find_map(|item| with_format(item, format)),
        _ => None,
    }
}

fn is_unopened(case: &Case<'_>) -> bool {
    case.rejection() == Some(&Rejection::Undecryptable)
}

/// The secrets of other channels, where the content does not open.
fn opened_by_others(case: &Case<'_>) -> Vec<Undo> {
    if is_unopened(case) { secrets_of_others(case, |_| true) } else { Vec::new() }
}

/// That it does not open. Which channels have a secret in common is told of the configuration, and never by a request.
fn unopened(case: &Case<'_>) -> Option<Facts> {
    is_unopened(case).then(Vec::new)
}

/// A public key in a setting.
pub(super) struct Public {
    pub(super) setting: &'static str,
    pub(super) key: PublicKey,
    pub(super) certificate: Option<Certificate>,
}

/// Every public key in the settings of that kind. What cannot be read, the platform's own code has judged.
pub(super) fn publics(of: &Configured<'_>) -> Vec<Public> {
    let mut found = Vec::new();
    for setting in key_settings(of.platform).filter(|setting| setting.kind == SettingKind::PublicKey) {
        let name = setting.name;
        let Some(SettingValue::Key(bytes)) = value(of.settings, name) else { continue };
        if let Ok(key) = PublicKey::read(name, bytes) {
            found.push(Public { setting: name, key, certificate: None });
            continue;
        }
        for certificate in Certificate::read_all(name, bytes).unwrap_or_default() {
            found.push(Public { setting: name, key: certificate.key().clone(), certificate: Some(certificate) });
        }
    }
    found
}

/// The public keys that a channel believes: those that it counts among its keys. A merchant's own, which some settings
/// hold to keep it apart, is none of them.
fn believed(of: &Configured<'_>) -> Vec<Public> {
    let notes = of.channel.keys();
    let is_believed = |public: &Public| {
        let fingerprint = public.key.fingerprint();
        notes.iter().any(|note| note.label == public.setting || note.fingerprint.as_deref() == Some(&fingerprint))
    };
    publics(of).into_iter().filter(is_believed).collect()
}

/// How many public keys a channel believes.
pub(in crate::explain) fn believed_count(of: &Configured<'_>) -> usize {
    believed(of).len()
}

/// How many secrets may open what is encrypted, and are what such a secret looks like: those that proved nothing.
pub(in crate::explain) fn opening_count(case: &Case<'_>) -> usize {
    let secrets = slots::secrets(case.platform, &case.settings).into_iter();
    secrets.filter(|secret| content_of(&secret.bytes).is_none() && !has_proved(case, &secret.label)).count()
}

/// Where the private half of a public key is configured, as `CHANNEL.SETTING`.
fn private_half<'c>(key: &PublicKey, mut channels: impl Iterator<Item = &'c Configured<'c>>) -> Option<String> {
    channels.find_map(|channel| {
        let secrets = slots::secrets(channel.platform, channel.settings);
        let half = secrets.into_iter().find(|secret| is_private_half(key, &secret.bytes))?;
        Some(format!("{}.{}", channel.id, half.label))
    })
}

/// Whether material is the private half of a public key. Reading one is dear, and its modulus stands in it as it stands
/// in the public half.
fn is_private_half(key: &PublicKey, material: &[u8]) -> bool {
    const ANY: &str = "private_key";
    let Some((modulus, _)) = key.rsa_numbers() else { return false };
    // The private half holds the modulus and both its factors; a shared secret is shorter, and nothing of it is read.
    if material.len() < modulus.len() * 2 {
        return false;
    }
    let may_be = der_of(material).is_some_and(|der| memchr::memmem::find(&der, modulus).is_some());
    let pair = may_be.then(|| read_rsa_private(ANY, material).ok()).flatten();
    pair.and_then(|pair| PublicKey::of_pair(ANY, &pair).ok()).is_some_and(|half| half == *key)
}

fn own_public_keys(own: &Configured<'_>, others: &[Configured<'_>]) -> Vec<Facts> {
    let facts = |public: &Public| {
        let private = private_half(&public.key, std::iter::once(own).chain(others))?;
        Some(own_facts(public, private))
    };
    believed(own).iter().filter(|public| public.certificate.is_none()).filter_map(facts).collect()
}

fn own_facts(public: &Public, private: String) -> Facts {
    vec![("setting", public.setting.to_owned()), ("private", private), ("fingerprint", public.key.fingerprint())]
}

/// The settings that hold public keys which a channel believes.
pub(in crate::explain) fn believed_settings(own: &Configured<'_>) -> Vec<&'static str> {
    let mut settings: Vec<&'static str> = believed(own).iter().map(|public| public.setting).collect();
    settings.dedup();
    settings
}

/// Believed public keys whose private halves stand in one of these files.
pub(in crate::explain) fn private_half_beside(
    own: &Configured<'_>,
    files: &[(String, Zeroizing<Vec<u8>>)],
) -> Vec<Facts> {
    let facts = |public: &Public| {
        let (name, _) = files.iter().find(|(_, material)| is_private_half(&public.key, material))?;
        Some(own_facts(public, name.clone()))
    };
    believed(own).iter().filter_map(facts).collect()
}

/// Shortest id of a merchant that a certificate is known by: a shorter one could be anybody's.
const MERCHANT_CHARS_MIN: usize = 6;

fn merchant_certificates(own: &Configured<'_>, others: &[Configured<'_>]) -> Vec<Facts> {
    let believed = believed(own);
    if believed.iter().all(|public| public.certificate.is_none()) {
        return Vec::new();
    }
    let all = || std::iter::once(own).chain(others);
    let is_id = |name: &str| {
        let mut channels = all().filter(|one| one.platform.family == own.platform.family);
        name.chars().count() >= MERCHANT_CHARS_MIN && channels.any(|one| ids(one).any(|(_, id)| id == name))
    };
    let facts = |public: &Public| {
        let description = public.certificate.as_ref()?.description();
        let is_own =
            description.common_name.as_deref().is_some_and(is_id) || private_half(&public.key, all()).is_some();
        let serial = description.serial_hex.to_ascii_uppercase();
        is_own.then(|| vec![("setting", public.setting.to_owned()), ("serial", serial)])
    };
    believed.iter().filter_map(facts).collect()
}

/// Texts that may be a merchant's ids, each with its setting.
pub(super) fn ids<'c>(of: &'c Configured<'_>) -> impl Iterator<Item = (&'static str, &'c str)> {
    let free =
        of.platform.settings.iter().filter(|setting| matches!(setting.kind, SettingKind::Text | SettingKind::Texts));
    free.flat_map(|setting| {
        let one = of.settings.text(setting.name);
        let several = of.settings.texts(setting.name).unwrap_or_default().iter().map(String::as_str);
        one.into_iter().chain(several).map(|id| (setting.name, id))
    })
}

fn of_another_kind(own: &Configured<'_>, _: &[Configured<'_>]) -> Vec<Facts> {
    let facts = |secret: Secret| {
        let holds = match content_of(&secret.bytes)? {
            Content::Spki | Content::Pkcs1Public => "PUBLIC KEY",
            Content::Certificate => "CERTIFICATE",
            Content::Private if is_with_both_sides(own, &secret) => "PRIVATE KEY",
            Content::Private | Content::Pfx => return None,
        };
        Some(vec![("setting", secret.label), ("holds", holds.to_owned())])
    };
    slots::secrets(own.platform, own.settings).into_iter().filter_map(facts).collect()
}

/// Whether a secret is one that the platform has as well, by what the channel does with it: in place of the merchant's
/// own private key, one is where it belongs.
fn is_with_both_sides(own: &Configured<'_>, secret: &Secret) -> bool {
    let notes = own.channel.keys();
    // Some keys go by numbers of their own.
    let may_be = |note: &KeyNote| {
        [secret.label.as_str(), secret.setting].iter().any(|name| names(&note.label, name))
            || !is_label(own.platform, own.settings, &note.label)
    };
    let is_symmetric = |note: &KeyNote| {
        let primitives = note.primitives().unwrap_or_default();
        SHOWN.contains(&note.algorithm.as_str())
            || primitives.iter().any(|one| matches!(one, Primitive::Hmac(_) | Primitive::Digest(_)))
    };
    notes.iter().any(|note| may_be(note) && is_symmetric(note))
}

/// What is said of secrets that stand in a request as they are.
const SHOWN: &[&str] = &["token", "Basic", "Bearer"];

/// Whether a key's name is one of those that the settings give.
pub(in crate::explain) fn is_label(platform: &Platform, settings: &Settings, key: &str) -> bool {
    key_settings(platform).any(|setting| names(key, setting.name))
        || slots::secrets(platform, settings).iter().any(|secret| secret.label == key)
}

fn shared(own: &Configured<'_>, others: &[Configured<'_>]) -> Vec<Facts> {
    let mine = slots::secrets(own.platform, own.settings);
    // With what is shown to the platform's interface, some platforms sign, too: that is one secret in two settings.
    let shown = own.channel.fetch_back().map(FetchBack::credential_label);
    let is_shown = |secret: &Secret| shown.is_some_and(|label| label == secret.setting || label == secret.label);
    let mut found = Vec::new();
    for (place, secret) in mine.iter().enumerate().filter(|(_, secret)| content_of(&secret.bytes).is_none()) {
        let is_same = |other: &Secret| other.bytes.trim_ascii() == secret.bytes.trim_ascii();
        let is_apart = |other: &&Secret| other.setting != secret.setting && !is_shown(other) && !is_shown(secret);
        let within = mine[..place].iter().filter(is_apart).find(|other| is_same(other));
        let within = within.map(|other| (own.id, other.label.clone()));
        let beyond = || {
            others.iter().filter(|other| is_strange(own, other)).find_map(|other| {
                let theirs = slots::secrets(other.platform, other.settings);
                Some((other.id, theirs.into_iter().find(is_same)?.label))
            })
        };
        if let Some((channel, other)) = within.or_else(beyond) {
            found.push(vec![("setting", secret.label.clone()), ("other", other), ("channel", channel.to_owned())]);
        }
    }
    found
}

/// What stands in the names of settings that say which merchant it is, and in none that says which application, site or
/// interface.
const OF_MERCHANTS: &[&str] = &["merchant", "mch", "mer_id", "pid", "partner", "seller", "account", "profile"];

/// Whether a channel has no reason to share a secret with this one: another version of the interface, the other
/// environment, or another merchant. One merchant's applications do share them.
pub(super) fn is_strange(own: &Configured<'_>, other: &Configured<'_>) -> bool {
    if own.platform.family != other.platform.family {
        return false;
    }
    if own.platform.kind != other.platform.kind || own.settings.environment != other.settings.environment {
        return true;
    }
    let is_of_merchant = |name: &str| OF_MERCHANTS.iter().any(|word| name.contains(word));
    let merchants = |of| ids(of).filter(|(name, _)| is_of_merchant(name)).map(|(_, id)| id).collect::<Vec<_>>();
    let all = |of| ids(of).map(|(_, id)| id).collect::<Vec<_>>();
    let (mine, theirs) = match (merchants(own), merchants(other)) {
        (mine, theirs) if mine.is_empty() || theirs.is_empty() => (all(own), all(other)),
        merchants => merchants,
    };
    !mine.is_empty() && !theirs.iter().any(|id| mine.contains(id))
}

#[cfg(all(test, feature = "simulate"))]
#[path = "tests/secrets.rs"]
mod tests;
