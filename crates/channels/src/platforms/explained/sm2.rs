//! Senders that sign with SM2, which no platform's other side does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sm2::SecretKey;
use sm2::dsa::signature::Signer as _;
use sm2::dsa::{Signature, SigningKey};
use sm2::pkcs8::EncodePublicKey as _;
use zeroize::Zeroizing;

use super::keyed::{Sender, sender};
use super::{Pairs, pairs};
use crate::form;
use crate::model::RawRequest;
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::key::hex;
use crate::signature::sm2::DEFAULT_USER_ID;

/// A channel that agreed on SM2, and its platform's key.
struct Signer {
    sender: Sender,
    key: SigningKey,
}

fn signer() -> Signer {
    let mut sender = sender("alipay", 1);
    let secret = SecretKey::from_slice(&[7; 32]).unwrap();
    let pem = secret.public_key().to_public_key_pem(sm2::pkcs8::LineEnding::LF).unwrap();
    let key = SettingValue::Key(Zeroizing::new(pem.into_bytes()));
    let words = SettingValue::Texts(vec!["SM2".to_owned()]);
    sender.settings = sender.settings.with("alipay_sm2_public_key", key).with("sign_types", words);
    Signer { sender, key: SigningKey::new(DEFAULT_USER_ID, &secret).unwrap() }
}

fn text(pairs: &Pairs) -> Vec<u8> {
    pairs.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect::<Vec<_>>().join(&b'&')
}

impl Signer {
    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let signature: Signature = self.key.sign(text);
        signature.to_der().as_ref().to_vec()
    }

    /// What is signed, in the order of arrival.
    fn covered(&self) -> Pairs {
        let mut covered = pairs(&self.sender.request);
        covered.retain(|(name, _)| name != b"sign" && name != b"sign_type");
        covered
    }

    fn with(&self, signature: &str) -> RawRequest {
        let mut all = self.covered();
        all.push((b"sign_type".to_vec(), b"SM2".to_vec()));
        all.push((b"sign".to_vec(), signature.as_bytes().to_vec()));
        let body = form::encode(all.iter().map(|(name, value)| (&name[..], &value[..])));
        RawRequest { body: Bytes::from(body), ..self.sender.request.clone() }
    }

    fn signed(&self, text: &[u8]) -> RawRequest {
        self.with(&STANDARD.encode(self.sign(text)))
    }
}

#[test]
fn what_was_signed_otherwise_with_sm2_is_found() {
    let signer = signer();
    let mut sorted = signer.covered();
    sorted.sort();
    let own = text(&sorted);
    let genuine = signer.sender.explain(&signer.signed(&own));
    assert!(genuine.outcome.is_accepted() && genuine.findings.is_empty(), "{genuine:?}");
    let forged = signer.sender.explain(&signer.signed(b"another text"));
    assert!(!forged.outcome.is_accepted() && forged.findings.is_empty(), "{forged:?}");
    let finds = |request: RawRequest, id: &str| signer.sender.finds(&request, id, id);
    let unsorted = text(&signer.covered());
    assert_ne!(unsorted, own);
    finds(signer.signed(&unsorted), "sorted_otherwise");
    let escaped = form::encode(sorted.iter().map(|(name, value)| (&name[..], &value[..])));
    finds(signer.signed(&escaped), "encoded_signed");
    for hash in [DigestHash::Sm3, DigestHash::Sha256] {
        let hashed = hash.hex_of(&[&own], HexCase::Lower);
        finds(signer.signed(hashed.as_bytes()), "hashed_otherwise");
    }
    let mut more = sorted.clone();
    more.push((b"sign_type".to_vec(), b"SM2".to_vec()));
    more.sort();
    finds(signer.signed(&text(&more)), "sign_type_signed");
    finds(signer.with(&hex(&signer.sign(&own))), "signature_encoding");
}
