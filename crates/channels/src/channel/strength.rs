//! What is weak about a key: told from public facts of it, and about shared secrets from what they look like. A finding
//! never says anything of the secret but its length.

use std::collections::BTreeSet;
use std::fmt;

use zeroize::Zeroizing;

use super::KeyNote;
use crate::settings::tree::Tree;
use crate::settings::{Setting, SettingKind, SettingValue, Settings};

/// RSA keys below this many bits are within reach of those who want them (NIST SP 800-131A).
pub const RSA_BITS_MIN: usize = 2048;
/// Shared secrets below this many characters are short whatever they are used for: 16 have 128 bits at the very most.
pub const SECRET_BYTES_MIN: usize = 16;
/// Different characters that a secret has at least, unless it was typed and not drawn: 16 drawn digits have 8 of them.
const VARIETY_MIN: usize = 5;
/// A secret that is a piece repeated at least so often was typed.
const REPEATS_MIN: usize = 2;
/// What stands in secrets that somebody meant to replace, in small letters.
const GUESSABLE: &[&str] =
    &["changeme", "change-me", "change_me", "password", "example", "placeholder", "12345678", "abcdefgh", "qwerty"];
/// What platforms put into keys of their test environments, in small letters.
const OF_TESTS: &[&str] = &["test_", "_test", "test-", "sandbox", "_sbox_", "sb-", "sdbx", "_development_"];

/// What is weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// The modulus is small.
    ShortKey {
        /// Its bits.
        bits: usize,
    },
    /// A digest that is broken stands between a stranger and a message of his own.
    OldDigest {
        /// Which one.
        digest: &'static str,
    },
    /// The secret has fewer bytes than the hash that it keys, or is short whatever it keys.
    ShortSecret {
        /// Its bytes.
        bytes: usize,
        /// How many there should be.
        least: usize,
    },
    /// It has few different characters, or repeats itself.
    RepetitiveSecret,
    /// A word stands in it that is in every list of guesses.
    GuessableSecret,
    /// It looks like one of the platform's test environment.
    TestSecret,
}

impl Weakness {
    /// Every word of [`Weakness::word`]; the catalogues hold a text for each.
    pub const WORDS: &[&str] =
        &["short_key", "old_digest", "short_secret", "repetitive_secret", "guessable_secret", "test_secret"];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::ShortKey { .. } => "short_key",
            Self::OldDigest { .. } => "old_digest",
            Self::ShortSecret { .. } => "short_secret",
            Self::RepetitiveSecret => "repetitive_secret",
            Self::GuessableSecret => "guessable_secret",
            Self::TestSecret => "test_secret",
        }
    }
}

impl fmt::Display for Weakness {
    /// The measure, where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortKey { bits } => write!(f, "{bits} < {RSA_BITS_MIN} bits"),
            Self::OldDigest { digest } => f.write_str(digest),
            Self::ShortSecret { bytes, least } => write!(f, "{bytes} < {least} bytes"),
            Self::RepetitiveSecret | Self::GuessableSecret | Self::TestSecret => Ok(()),
        }
    }
}

/// One algorithm of a [`KeyNote`], as far as its strength depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// RSA with so many bits.
    Rsa(usize),
    /// HMAC over a hash of so many bytes.
    Hmac(usize),
    /// A digest of a text with the secret in it.
    Digest(&'static str),
    /// Anything whose strength is its own: elliptic curves, ciphers, credentials that are shown, the form of a key.
    Other,
}

/// Names of digests, and whether they are broken.
const DIGESTS: &[(&str, bool)] = &[
    ("MD5", true),
    ("SHA1", true),
    ("SHA-1", true),
    ("SHA256", false),
    ("SHA-256", false),
    ("SHA512", false),
    ("SM3", false),
];
/// Names of what is neither RSA nor a hash.
const OTHERS: &[&str] = &[
    "SM2",
    "SM4",
    "Ed25519",
    "X.509",
    "Bearer",
    "Basic",
    "token",
    "AES-256-ECB",
    "AES-256-GCM",
    "AES-128-CBC",
    "AES-256-CBC",
    "AES",
    "ECDSA P-256",
    "3DES",
];

impl KeyNote {
    /// The algorithms that [`KeyNote::algorithm`] names; none for a name that nobody knows.
    pub fn primitives(&self) -> Option<Vec<Primitive>> {
        self.algorithm.split([',', ';', '/']).map(|piece| primitive(piece.trim())).collect()
    }

    /// What is weak about the algorithm and the size.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        let weak = |one: Primitive| match one {
            Primitive::Rsa(bits) if bits < RSA_BITS_MIN => Some(Weakness::ShortKey { bits }),
            Primitive::Digest(digest) if DIGESTS.contains(&(digest, true)) => Some(Weakness::OldDigest { digest }),
            _ => None,
        };
        self.primitives().unwrap_or_default().into_iter().filter_map(weak).collect()
    }
}

fn primitive(name: &str) -> Option<Primitive> {
    if let Some(bits) = name.strip_prefix("RSA ").and_then(|bits| bits.parse().ok()) {
        return Some(Primitive::Rsa(bits));
    }
    match name {
        "HMAC-SHA1" => return Some(Primitive::Hmac(20)),
        "HMAC-SHA256" => return Some(Primitive::Hmac(32)),
        "HMAC-SHA512" => return Some(Primitive::Hmac(64)),
        _ => {}
    }
    if let Some((digest, _)) = DIGESTS.iter().find(|(digest, _)| *digest == name) {
        return Some(Primitive::Digest(digest));
    }
    OTHERS.contains(&name).then_some(Primitive::Other)
}

/// A shared secret of a channel or a target, with where it was configured.
pub struct Secret {
    /// The setting.
    pub setting: &'static str,
    /// Its place in a list, else 0.
    pub place: usize,
    /// Its name among [`KeyNote`]s, as far as the configuration knows it.
    pub label: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Secret {
    /// Says which, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("setting", &self.setting).field("place", &self.place).finish_non_exhaustive()
    }
}

/// The shared secrets of these settings: what is one line of text. Private keys in files of their own forms are judged
/// by their [`KeyNote`]s.
pub fn secrets(described: &[Setting], settings: &Settings) -> Vec<Secret> {
    let mut found = Vec::new();
    for setting in described {
        let name = setting.name;
        let value = settings.values().find(|(known, _)| *known == name).map(|(_, value)| value);
        match (setting.kind, value) {
            (SettingKind::SecretKey, Some(SettingValue::Key(bytes))) => {
                found.extend(secret(name, 0, name.to_owned(), bytes));
            }
            (SettingKind::SecretFiles, Some(SettingValue::Keys(keys))) => {
                let each = keys.iter().enumerate();
                found.extend(
                    each.filter_map(|(place, bytes)| secret(name, place, settings.key_label(name, place), bytes)),
                );
            }
            (SettingKind::Tree { secrets, .. }, Some(SettingValue::Tree(tree))) => {
                of_tree(name, secrets, tree, &mut found);
            }
            _ => {}
        }
    }
    found
}

fn of_tree(setting: &'static str, names: &[&str], tree: &Tree, found: &mut Vec<Secret>) {
    match tree {
        Tree::List(items) => items.iter().for_each(|item| of_tree(setting, names, item, found)),
        Tree::Table(pairs) => {
            let id = pairs.iter().find_map(|(key, value)| match value {
                Tree::Text(text) if key == "id" => Some(text.clone()),
                _ => None,
            });
            for (key, value) in pairs {
                match value {
                    Tree::Secret(bytes) if names.contains(&key.as_str()) => {
                        let place = found.iter().filter(|one| one.setting == setting).count();
                        let label = id.clone().unwrap_or_else(|| format!("{key} {}", place + 1));
                        found.extend(secret(setting, place, label, bytes));
                    }
                    inner => of_tree(setting, names, inner, found),
                }
            }
        }
        _ => {}
    }
}

fn secret(setting: &'static str, place: usize, label: String, bytes: &[u8]) -> Option<Secret> {
    let line = bytes.trim_ascii();
    let is_line = !line.is_empty() && line.iter().all(u8::is_ascii_graphic);
    is_line.then(|| Secret { setting, place, label, bytes: line.to_vec().into() })
}

impl Secret {
    /// What is weak about it. `notes` are the channel's, which say what it keys.
    pub fn weaknesses(&self, notes: &[KeyNote]) -> Vec<Weakness> {
        // Where keys have numbers, the only one has the first.
        let numbered = format!("{} 1", self.label);
        let is_own = |note: &&KeyNote| note.label == self.label || note.label == numbered;
        let own = notes.iter().filter(is_own).filter_map(KeyNote::primitives).flatten();
        let hash = own.filter_map(|one| if let Primitive::Hmac(bytes) = one { Some(bytes) } else { None }).max();
        let least = hash.unwrap_or(SECRET_BYTES_MIN);
        let mut found = Vec::new();
        let bytes = self.bytes.len();
        if bytes < least {
            found.push(Weakness::ShortSecret { bytes, least });
        }
        let different: BTreeSet<u8> = self.bytes.iter().copied().collect();
        if different.len() < VARIETY_MIN || is_repeated(&self.bytes) {
            found.push(Weakness::RepetitiveSecret);
        }
        let small = Zeroizing::new(self.bytes.to_ascii_lowercase());
        let has =
            |words: &[&str]| words.iter().any(|word| small.windows(word.len()).any(|window| window == word.as_bytes()));
        if has(GUESSABLE) {
            found.push(Weakness::GuessableSecret);
        }
        if has(OF_TESTS) {
            found.push(Weakness::TestSecret);
        }
        found
    }
}

/// Whether a text is one piece, again and again.
fn is_repeated(text: &[u8]) -> bool {
    (1..=text.len() / REPEATS_MIN).any(|period| text.iter().zip(&text[period..]).all(|(one, next)| one == next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(label: &str, algorithm: &str) -> KeyNote {
        KeyNote { label: label.to_owned(), algorithm: algorithm.to_owned(), fingerprint: None, not_after: None }
    }

    #[test]
    fn algorithms_are_judged_by_their_names() {
        let words = |algorithm: &str| note("k", algorithm).weaknesses();
        for good in
            ["RSA 2048", "X.509, RSA 4096", "HMAC-SHA256", "HMAC-SHA1", "SM2", "Ed25519", "Bearer", "SM3", "token"]
        {
            assert_eq!(words(good), [], "{good}");
        }
        assert_eq!(words("RSA 1024"), [Weakness::ShortKey { bits: 1024 }]);
        assert_eq!(words("X.509, RSA 1024"), [Weakness::ShortKey { bits: 1024 }]);
        assert_eq!(words("MD5, HMAC-SHA256; AES-256-ECB"), [Weakness::OldDigest { digest: "MD5" }]);
        assert_eq!(words("SHA1"), [Weakness::OldDigest { digest: "SHA1" }]);
        assert_eq!(note("k", "ROT13").primitives(), None);
    }

    #[test]
    fn secrets_are_judged_by_their_looks() {
        const SETTINGS: &[Setting] = &[Setting {
            name: "secret",
            kind: SettingKind::SecretKey,
            is_required: true,
            help: crate::settings::Text { en: "", zh: "" },
            example: "",
        }];
        let judged = |text: &str, algorithm: &str| -> Vec<&str> {
            let value = SettingValue::Key(text.as_bytes().to_vec().into());
            let settings = Settings::without_environment().with("secret", value);
            let found = secrets(SETTINGS, &settings);
            assert!(!format!("{found:?}").contains(text), "{found:?}");
            found.iter().flat_map(|one| one.weaknesses(&[note("secret", algorithm)])).map(Weakness::word).collect()
        };
        let drawn = "q7Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQe";
        let none: [&str; 0] = [];
        assert_eq!(judged(drawn, "HMAC-SHA256"), none);
        assert_eq!(judged(drawn, "MD5"), none);
        assert_eq!(judged(drawn, "HMAC-SHA512"), ["short_secret"]);
        assert_eq!(judged(&drawn[..31], "HMAC-SHA256"), ["short_secret"]);
        assert_eq!(judged(&drawn[..16], "MD5"), none);
        assert_eq!(judged(&drawn[..15], "MD5"), ["short_secret"]);
        assert_eq!(judged(&"a".repeat(32), "HMAC-SHA256"), ["repetitive_secret"]);
        assert_eq!(judged(&"q7Yx2mVb".repeat(4), "HMAC-SHA256"), ["repetitive_secret"]);
        assert_eq!(judged("q7Yx2mVb9Kd-ChangeMe-T4wRz8LpN6s", "HMAC-SHA256"), ["guessable_secret"]);
        assert_eq!(judged("sk_test_q7Yx2mVb9KdT4wRz8LpN6sHc3J", "HMAC-SHA256"), ["test_secret"]);
        // What is no line of text is judged elsewhere.
        assert_eq!(judged("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "RSA 2048"), none);
    }

    #[test]
    fn every_weakness_has_its_word() {
        let all = [
            Weakness::ShortKey { bits: 1 },
            Weakness::OldDigest { digest: "MD5" },
            Weakness::ShortSecret { bytes: 1, least: 2 },
            Weakness::RepetitiveSecret,
            Weakness::GuessableSecret,
            Weakness::TestSecret,
        ];
        assert_eq!(all.map(Weakness::word), Weakness::WORDS);
    }
}
