//! Signing as a platform does, without its code: which algorithm, which key and which writing make the genuine
//! signature out of the genuine text is found by trying, and then another text is signed the same way.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use md5::{Digest as _, Md5};
use tollbell_channels::signature::plain_rsa::sign_md5;

use super::bytes::{Form, encoded, from_hex, has, hex, percent_encoded, replaced};
use super::stage::{Scene, Stage, secrets};

/// What stands for a secret in a signed text that is shown.
const SECRET: &[u8] = b"<secret>";

/// A piece of a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    Secret,
}

/// How a signature is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    HmacMd5,
    HmacSha1,
    HmacSha256,
    HmacSha512,
    RsaMd5,
    RsaSha256,
    RsaSha512,
    Ed25519,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 12] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::HmacMd5,
        Self::HmacSha1,
        Self::HmacSha256,
        Self::HmacSha512,
        Self::RsaMd5,
        Self::RsaSha256,
        Self::RsaSha512,
        Self::Ed25519,
    ];

    /// Whether a private key signs.
    pub(crate) fn is_public_key(self) -> bool {
        self.is_rsa() || self == Self::Ed25519
    }

    pub(crate) fn is_rsa(self) -> bool {
        matches!(self, Self::RsaMd5 | Self::RsaSha256 | Self::RsaSha512)
    }

    /// Whether the secret is a part of the text.
    pub(crate) fn is_digest(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1 | Self::Sha256 | Self::Sha512)
    }

    /// The signature of a text; none where the key is of another kind.
    pub(crate) fn sign(self, key: &[u8], pieces: &[Piece]) -> Option<Vec<u8>> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Secret => key.to_vec(),
        };
        let text: Vec<u8> = pieces.iter().flat_map(piece).collect();
        let hashed = |algorithm| digest::digest(algorithm, &text).as_ref().to_vec();
        let tagged = |algorithm| hmac::sign(&hmac::Key::new(algorithm, key), &text).as_ref().to_vec();
        Some(match self {
            Self::Md5 => Md5::digest(&text).to_vec(),
            Self::Sha1 => hashed(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => hashed(&digest::SHA256),
            Self::Sha512 => hashed(&digest::SHA512),
            Self::HmacMd5 => hmac_md5(key, &text),
            Self::HmacSha1 => tagged(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::HmacSha256 => tagged(hmac::HMAC_SHA256),
            Self::HmacSha512 => tagged(hmac::HMAC_SHA512),
            Self::RsaMd5 => sign_md5(&*rsa_pair(key)?, &text)?,
            Self::RsaSha256 => rsa(key, &text, &RSA_PKCS1_SHA256)?,
            Self::RsaSha512 => rsa(key, &text, &RSA_PKCS1_SHA512)?,
            Self::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?.sign(&text).as_ref().to_vec(),
        })
    }
}

/// Reading a key takes longer than signing with it.
fn rsa_pair(key: &[u8]) -> Option<Arc<RsaKeyPair>> {
    static READ: LazyLock<Mutex<BTreeMap<Vec<u8>, Option<Arc<RsaKeyPair>>>>> = LazyLock::new(Mutex::default);
    let read = || RsaKeyPair::from_pkcs8(key).ok().map(Arc::new);
    READ.lock().expect("nobody panics here").entry(key.to_vec()).or_insert_with(read).clone()
}

fn rsa(key: &[u8], text: &[u8], encoding: &'static dyn RsaEncoding) -> Option<Vec<u8>> {
    let pair = rsa_pair(key)?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), text, &mut signature).ok()?;
    Some(signature)
}

/// RFC 2104 over MD5, which the library has no more.
fn hmac_md5(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    let key = if key.len() > block.len() { Md5::digest(key).to_vec() } else { key.to_vec() };
    block[..key.len()].copy_from_slice(&key);
    let padded = |byte: u8| block.iter().map(|own| own ^ byte).collect::<Vec<u8>>();
    let inner = Md5::digest([padded(0x36).as_slice(), text].concat());
    Md5::digest([padded(0x5c).as_slice(), inner.as_slice()].concat()).to_vec()
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Lower,
    Upper,
    Base64,
    Base64Url,
    Base64UrlBare,
}

impl Writing {
    pub(crate) const ALL: [Self; 5] = [Self::Lower, Self::Upper, Self::Base64, Self::Base64Url, Self::Base64UrlBare];

    pub(crate) fn write(self, signature: &[u8]) -> String {
        match self {
            Self::Lower => hex(signature),
            Self::Upper => hex(signature).to_uppercase(),
            Self::Base64 => STANDARD.encode(signature),
            Self::Base64Url => URL_SAFE.encode(signature),
            Self::Base64UrlBare => URL_SAFE_NO_PAD.encode(signature),
        }
    }
}

/// What makes a genuine message's signature.
#[derive(Clone)]
pub(crate) struct Pen {
    pub(crate) algorithm: Algorithm,
    pub(crate) writing: Writing,
    /// What was signed.
    pub(crate) pieces: Vec<Piece>,
    /// The signature as it is written.
    pub(crate) signature: String,
    /// The digest whose text is signed in place of the text itself, where the platform does so.
    pub(crate) first: Option<Algorithm>,
    key: Vec<u8>,
}

impl Pen {
    /// The pen of a genuine message; none where its signature is made in a way that this suite does not know.
    pub(crate) fn of(scene: &Scene<'_>) -> Option<Self> {
        static FOUND: LazyLock<Mutex<BTreeMap<String, Option<Pen>>>> = LazyLock::new(Mutex::default);
        let story = format!("{} {:?}", scene.stage.platform.kind, scene.story);
        if let Some(known) = FOUND.lock().expect("nobody panics here").get(&story) {
            return known.clone();
        }
        let found = Self::find(&scene.stage.scene(&scene.story));
        FOUND.lock().expect("nobody panics here").insert(story, found.clone());
        found
    }

    fn find(scene: &Scene<'_>) -> Option<Self> {
        let diagnosis = scene.diagnose()?;
        let held = diagnosis.signed.into_iter().find(|signed| signed.held)?;
        let mut pieces = pieces(&unescaped(&held.text));
        let first = match held.first {
            None => None,
            Some("MD5") => Some(Algorithm::Md5),
            Some("SHA256") => Some(Algorithm::Sha256),
            Some(_) => return None,
        };
        let keys = keys(scene.stage, scene.settings());
        for algorithm in Algorithm::ALL {
            for key in &keys {
                let mut pen = Self {
                    algorithm,
                    writing: Writing::Lower,
                    pieces,
                    signature: String::new(),
                    first,
                    key: key.clone(),
                };
                let signature = algorithm.sign(key, &pen.hashed(&pen.pieces));
                for writing in Writing::ALL {
                    pen.signature = signature.as_deref().map(|signature| writing.write(signature)).unwrap_or_default();
                    if !pen.signature.is_empty() && stands_in(scene, &pen.signature) {
                        return Some(Self { writing, ..pen });
                    }
                }
                pieces = pen.pieces;
            }
        }
        None
    }

    /// The signature of another text, by another algorithm, written in another way.
    pub(crate) fn write(&self, algorithm: Algorithm, pieces: &[Piece], writing: Writing) -> Option<String> {
        algorithm.sign(&self.key, &self.hashed(pieces)).map(|signature| writing.write(&signature))
    }

    /// What is signed in place of a text.
    fn hashed(&self, pieces: &[Piece]) -> Vec<Piece> {
        let hashed = self.first.and_then(|first| first.sign(&self.key, pieces));
        hashed.map_or_else(|| pieces.to_vec(), |hash| vec![Piece::Text(hex(&hash).into_bytes())])
    }

    /// The signature of another text, without the digest that stands for it.
    pub(crate) fn sign_unhashed(&self, pieces: &[Piece]) -> Option<String> {
        self.algorithm.sign(&self.key, pieces).map(|signature| self.writing.write(&signature))
    }

    /// The signature of another text.
    pub(crate) fn sign(&self, pieces: &[Piece]) -> Option<String> {
        self.write(self.algorithm, pieces, self.writing)
    }

    /// The scene with another signature in the genuine one's place.
    pub(crate) fn put<'s>(&self, mut scene: Scene<'s>, signature: &str) -> Option<Scene<'s>> {
        if signature == self.signature {
            return None;
        }
        // In a form even a text that stands as it is may have to be replaced by one that cannot.
        let is_form = matches!(Form::of(&scene.request), Form::Form | Form::Query);
        let ways = ways(&self.signature).into_iter().zip(ways(signature)).skip(usize::from(is_form));
        for (own, other) in ways {
            let mut is_there = false;
            let body = scene.request.body.clone();
            is_there |= has(&body, &own);
            let body = replaced(&body, &own, &other);
            // In a query nothing stands as it is that is not escaped in every way of writing.
            let escaped = percent_encoded(signature.as_bytes());
            let query = scene.request.query.as_ref().map(|query| {
                is_there |= has(query.as_bytes(), &own);
                replaced(query.as_bytes(), &own, &escaped)
            });
            for value in scene.request.headers.values_mut() {
                is_there |= has(value.as_bytes(), &own);
                *value = HeaderValue::from_bytes(&replaced(value.as_bytes(), &own, &other)).ok()?;
            }
            scene.request.body = Bytes::from(body);
            scene.request.query = query.map(|query| String::from_utf8(query).expect("text"));
            if is_there {
                return Some(scene);
            }
        }
        None
    }

    /// All of the text, where no secret is in it.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// The scene as a platform would send it that writes its bodies otherwise; none where the body's bytes are not signed.
pub(crate) fn restyled(scene: Scene<'_>, style: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Scene<'_>> {
    scene.is_untouched().then_some(())?;
    let pen = Pen::of(&scene)?;
    let body = scene.request.body.to_vec();
    let other = style(&body).filter(|other| *other != body)?;
    let is_signed = |piece: &Piece| matches!(piece, Piece::Text(text) if has(text, &body));
    pen.pieces.iter().any(is_signed).then_some(())?;
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => Piece::Text(replaced(text, &body, &other)),
        Piece::Secret => Piece::Secret,
    };
    let pieces: Vec<Piece> = pen.pieces.iter().map(piece).collect();
    let mut scene = pen.put(scene.with_body(other), &pen.sign(&pieces)?)?;
    scene.genuine.request = scene.request.clone();
    // A platform that takes its own writing only would never send this one.
    scene.diagnose()?.outcome.is_accepted().then_some(scene)
}

/// A text as it may be written in a message.
fn ways(text: &str) -> [Vec<u8>; 2] {
    [text.as_bytes().to_vec(), percent_encoded(text.as_bytes())]
}

fn stands_in(scene: &Scene<'_>, text: &str) -> bool {
    let request = &scene.request;
    ways(text).iter().chain([&encoded(text.as_bytes())]).any(|text| {
        has(&request.body, text)
            || request.query.as_ref().is_some_and(|query| has(query.as_bytes(), text))
            || request.headers.values().any(|value| has(value.as_bytes(), text))
    })
}

/// Everything that may be a key: the secrets as they stand and decoded, and the other side's private half.
pub(crate) fn keys(stage: &Stage, settings: &tollbell_channels::settings::Settings) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let exported = stage.side.export();
    let own = secrets(stage.platform, settings).into_iter().map(|(_, _, secret)| secret);
    for secret in own.chain([exported.clone()]) {
        let line = secret.trim_ascii().to_vec();
        let behind = line.iter().position(|&byte| byte == b'_').map(|at| line[at + 1..].to_vec());
        for text in [Some(line), behind].into_iter().flatten() {
            keys.extend(from_hex(&text));
            keys.extend(STANDARD.decode(&text));
            keys.push(text);
        }
    }
    // Several keys in one export: each begins as an element does.
    let starts = exported.windows(2).enumerate().filter(|(_, window)| *window == [0x30, 0x82]).map(|(at, _)| at);
    keys.extend(starts.filter_map(|at| element(&exported[at..])));
    keys
}

/// The DER element at the front, which has a length of two bytes.
fn element(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?);
    bytes.get(..length + 4).map(<[u8]>::to_vec)
}

/// A shown text with its escapes undone.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let behind = &rest[character.len_utf8()..];
        let (bytes, after) = match (character, behind.chars().next()) {
            ('\\', Some('\\')) => (b"\\".to_vec(), &behind[1..]),
            ('\\', Some('n')) => (b"\n".to_vec(), &behind[1..]),
            ('\\', Some('r')) => (b"\r".to_vec(), &behind[1..]),
            ('\\', Some('t')) => (b"\t".to_vec(), &behind[1..]),
            ('\\', Some('x')) => {
                (from_hex(behind.get(1..3).unwrap_or_default().as_bytes()).unwrap_or_default(), &behind[3..])
            }
            ('\\', Some('u')) => {
                let (digits, after) = behind[2..].split_once('}').expect("an escape");
                let code = u32::from_str_radix(digits, 16).expect("digits");
                (char::from_u32(code).expect("a character").to_string().into_bytes(), after)
            }
            _ => (character.to_string().into_bytes(), behind),
        };
        out.extend(bytes);
        rest = after;
    }
    out
}

/// Split where the secret stands.
pub(crate) fn pieces(text: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(SECRET.len()).position(|window| window == SECRET) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_vec()));
        }
        pieces.push(Piece::Secret);
        rest = &rest[at + SECRET.len()..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest.to_vec()));
    }
    pieces
}

#[test]
fn shown_texts_are_read_back() {
    assert_eq!(unescaped("a\\\\n\\n\\u{feff}\\xffé"), b"a\\n\n\xef\xbb\xbf\xff\xc3\xa9");
    let text = |text: &[u8]| Piece::Text(text.to_vec());
    assert_eq!(pieces(b"a=1&key=<secret>"), [text(b"a=1&key="), Piece::Secret]);
    assert_eq!(pieces(b"<secret>b<secret>"), [Piece::Secret, text(b"b"), Piece::Secret]);
    assert_eq!(pieces(b""), [text(b"")]);
    // RFC 2202, test case 2.
    assert_eq!(hex(&hmac_md5(b"Jefe", b"what do ya want for nothing?")), "750c783e6ab0b503eaa86e310a5db738");
}
