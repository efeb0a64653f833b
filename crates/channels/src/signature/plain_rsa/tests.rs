use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

/// Made by `tests/oracles/plain_rsa.py` with openssl; of the keys only the public halves were kept.
const VECTORS: &str = include_str!("vectors.json");

#[derive(Deserialize)]
struct Vectors {
    keys: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    key: String,
    label: String,
    rule: String,
    text: String,
    genuine: bool,
    signature: String,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn key(pem: &str) -> PlainRsa {
    PlainRsa::new("key", &PublicKey::read("key", pem.as_bytes()).unwrap(), "one").unwrap()
}

#[test]
fn what_openssl_signs_verifies_and_nothing_else() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let keys: BTreeMap<&String, PlainRsa> = vectors.keys.iter().map(|(name, pem)| (name, key(pem))).collect();
    assert_eq!(keys.len(), 5);
    for case in &vectors.cases {
        let recovered = keys[&case.key].recover(&unhex(&case.signature));
        let text = case.text.as_bytes();
        let check = |recovered: Recovered<'_>| match case.rule.as_str() {
            "payload" => recovered.is_payload(text, "v"),
            "md5" => recovered.is_md5_of(text, "v"),
            other => panic!("{other}"),
        };
        assert_eq!(recovered.and_then(check).is_some(), case.genuine, "{}: {}", case.key, case.label);
    }
    let genuine = vectors.cases.iter().filter(|case| case.genuine).count();
    assert!(genuine >= 20 && vectors.cases.len() - genuine > 150, "{genuine} of {}", vectors.cases.len());
}

#[test]
fn every_changed_bit_of_a_signature_counts() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let case = vectors.cases.iter().find(|case| case.genuine && case.key == "1024").unwrap();
    let key = key(&vectors.keys["1024"]);
    let signature = unhex(&case.signature);
    let found = key.recover(&signature).unwrap().is_payload(case.text.as_bytes(), "v").unwrap();
    assert_eq!(found.into_parts(), ("one".to_owned(), "v"));
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let found = key.recover(&changed).and_then(|recovered| recovered.is_payload(case.text.as_bytes(), "v"));
        assert!(found.is_none(), "bit {bit}");
    }
}

#[test]
fn a_payload_that_leaves_no_room_is_none() {
    assert_eq!(padded(b"abc", 14).unwrap(), b"\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\0abc");
    assert_eq!(padded(b"abc", 13), None);
    assert_eq!(padded(b"abc", 0), None);
}

/// A `SubjectPublicKeyInfo` of any numbers.
fn made(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, SettingsError> {
    use crate::signature::key::{TAG_INTEGER, TAG_SEQUENCE, tlv};
    let positive = |number: &[u8]| tlv(TAG_INTEGER, &[&[0], number].concat());
    PublicKey::read("key", &tlv(TAG_SEQUENCE, &[positive(modulus), positive(exponent)].concat()))
}

#[test]
fn keys_that_prove_nothing_are_refused() {
    let odd = |bytes: usize| vec![0xff; bytes];
    let word = |modulus: &[u8], exponent: &[u8]| match made(modulus, exponent) {
        Ok(key) => PlainRsa::new("key", &key, "one").map_or_else(|error| error.word, |_| "taken"),
        Err(error) => error.word,
    };
    assert_eq!(word(&odd(128), &[1, 0, 1]), "taken");
    assert_eq!(word(&odd(128), &[3]), "taken");
    assert_eq!(word(&odd(127), &[1, 0, 1]), "key_too_small");
    assert_eq!(word(&odd(512), &[1, 0, 1]), "taken");
    assert_eq!(word(&odd(513), &[1, 0, 1]), "out_of_range");
    assert_eq!(word(&odd(128), &[1]), "not_a_key");
    assert_eq!(word(&odd(128), &[2]), "not_a_key");
    assert_eq!(word(&odd(128), &[]), "not_a_key");
    assert_eq!(word(&odd(128), &[1, 0xff, 0xff, 0xff, 0xff]), "taken");
    assert_eq!(word(&odd(128), &[2, 0, 0, 0, 1]), "not_a_key");
    assert_eq!(word(&odd(128), &odd(9)), "not_a_key");
    let even = [vec![0xff; 127], vec![0xfe]].concat();
    assert_eq!(word(&even, &[1, 0, 1]), "not_a_key");
}

#[test]
fn a_key_of_another_kind_is_named() {
    use sm2::pkcs8::EncodePublicKey as _;
    let secret = sm2::SecretKey::from_slice(&[7; 32]).unwrap();
    let pem = secret.public_key().to_public_key_pem(sm2::pkcs8::LineEnding::LF).unwrap();
    let key = PublicKey::read("key", pem.as_bytes()).unwrap();
    assert_eq!(PlainRsa::new("key", &key, "one").unwrap_err().word, "wrong_algorithm");
}

#[cfg(feature = "simulate")]
#[test]
fn what_the_other_side_signs_verifies() {
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::RsaKeyPair;

    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = PlainRsa::new("key", &PublicKey::of_pair("key", &pair).unwrap(), "one").unwrap();
    let plain = sign_payload(&pair, b"payload").unwrap();
    let md5 = sign_md5(&pair, b"payload").unwrap();
    assert!(key.recover(&plain).unwrap().is_payload(b"payload", "v").is_some());
    assert!(key.recover(&plain).unwrap().is_md5_of(b"payload", "v").is_none());
    assert!(key.recover(&md5).unwrap().is_md5_of(b"payload", "v").is_some());
    assert!(key.recover(&md5).unwrap().is_payload(b"payload", "v").is_none());
    assert_eq!(sign_payload(&pair, &[0; 246]), None);
    let shown = format!("{key:?} {:?}", key.recover(&plain).unwrap());
    assert!(shown.len() < 120, "{shown}");
}
