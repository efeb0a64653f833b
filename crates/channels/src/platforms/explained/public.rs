//! Senders whose signatures are checked with a public key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::keyed::{Sender, sender};
use super::{Pairs, pairs};
use crate::cipher::{DES_BLOCK_BYTES, TRIPLE_DES_KEY_BYTES, TripleDes};
use crate::explain::OPERATIONS_MAX;
use crate::form;
use crate::model::RawRequest;
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::key::hex;
use crate::signature::plain_rsa::{sign_md5, sign_payload};
use crate::signature::rsa::sign_sha256;

/// The DER of `DigestInfo` before a SHA-1 (RFC 8017, section 9.2, note 1), written a second time.
const SHA1_INFO: [u8; 15] = [48, 33, 48, 9, 6, 5, 43, 14, 3, 2, 26, 5, 0, 4, 20];

/// A platform, with its own rule.
struct Family {
    sender: Sender,
    pair: RsaKeyPair,
    /// The signed text.
    text: Vec<u8>,
    /// Puts a signature into the request.
    put: fn(&RawRequest, &str) -> RawRequest,
}

fn family(kind: &str, text: impl Fn(&RawRequest) -> Vec<u8>, put: fn(&RawRequest, &str) -> RawRequest) -> Family {
    let sender = sender(kind, 1);
    let pair = RsaKeyPair::from_pkcs8(&sender.exported).unwrap();
    let text = text(&sender.request);
    Family { sender, pair, text, put }
}

/// The pairs sorted by name and joined, without some.
fn joined(request: &RawRequest, but: &[&str]) -> Vec<u8> {
    let mut pairs = pairs(request);
    pairs.retain(|(name, _)| !but.iter().any(|but| but.as_bytes() == name));
    pairs.sort();
    pairs.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect::<Vec<_>>().join(&b'&')
}

fn in_form(request: &RawRequest, name: &str, signature: &str) -> RawRequest {
    let mut pairs = pairs(request);
    for pair in &mut pairs {
        if pair.0 == name.as_bytes() {
            pair.1 = signature.as_bytes().to_vec();
        }
    }
    let body = form::encode(pairs.iter().map(|(name, value)| (&name[..], &value[..])));
    RawRequest { body: Bytes::from(body), ..request.clone() }
}

fn in_header(request: &RawRequest, name: &'static str, value: &str) -> RawRequest {
    let mut request = request.clone();
    request.headers.insert(name, value.parse().unwrap());
    request
}

fn header(request: &RawRequest, name: &str) -> String {
    request.single_header(name).unwrap().to_owned()
}

fn families() -> Vec<Family> {
    vec![
        family(
            "alipay",
            |request| joined(request, &["sign", "sign_type"]),
            |request, sign| in_form(request, "sign", sign),
        ),
        family(
            "unionpay",
            |request| DigestHash::Sha256.hex_of(&[&joined(request, &["signature"])], HexCase::Lower).into_bytes(),
            |request, sign| in_form(request, "signature", sign),
        ),
        family(
            "wechat_pay",
            |request| {
                let [time, nonce] = ["wechatpay-timestamp", "wechatpay-nonce"].map(|name| header(request, name));
                [time.as_bytes(), b"\n", nonce.as_bytes(), b"\n", &request.body, b"\n"].concat()
            },
            |request, sign| in_header(request, "wechatpay-signature", sign),
        ),
        family(
            "antom",
            |request| {
                let [client, time] = ["client-id", "request-time"].map(|name| header(request, name));
                let line = format!("POST {}\n{client}.{time}.", request.path);
                [line.as_bytes(), &request.body].concat()
            },
            |request, sign| {
                let own = header(request, "signature");
                let (before, _) = own.split_once("signature=").unwrap();
                let escaped = sign.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                in_header(request, "signature", &format!("{before}signature={escaped}"))
            },
        ),
    ]
}

impl Family {
    fn signed(&self, signature: &[u8]) -> RawRequest {
        (self.put)(&self.sender.request, &STANDARD.encode(signature))
    }

    fn finds(&self, signature: &[u8], id: &str, what: &str) {
        self.sender.finds(&self.signed(signature), id, what);
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        sign_sha256(&self.pair, text).unwrap()
    }
}

#[test]
fn the_platforms_own_rule_has_no_finding_and_neither_has_a_forgery() {
    for family in families() {
        let kind = family.sender.platform.kind;
        let genuine = family.sender.explain(&family.signed(&family.sign(&family.text)));
        assert!(genuine.outcome.is_accepted() && genuine.findings.is_empty(), "{kind}: {genuine:?}");
        let forged = family.sender.explain(&family.signed(&family.sign(b"another text")));
        assert!(!forged.outcome.is_accepted() && forged.findings.is_empty(), "{kind}: {forged:?}");
        assert!(forged.effort.operations <= OPERATIONS_MAX && !forged.effort.is_bounded, "{kind}: {:?}", forged.effort);
    }
}

#[test]
fn another_padding_or_hash_is_found() {
    for family in families() {
        let mut pss = vec![0; family.pair.public_modulus_len()];
        // The hexadecimal text, where a digest is signed.
        family.pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), &family.text, &mut pss).unwrap();
        if family.sender.platform.kind != "unionpay" {
            family.finds(&pss, "algorithm_other", "PSS");
            let payload = [&SHA1_INFO[..], &DigestHash::Sha1.of(&[&family.text])].concat();
            family.finds(&sign_payload(&family.pair, &payload).unwrap(), "algorithm_other", "SHA-1");
            family.finds(&sign_md5(&family.pair, &family.text).unwrap(), "algorithm_other", "MD5");
            let hashed = DigestHash::Sha256.hex_of(&[&family.text], HexCase::Lower);
            family.finds(&family.sign(hashed.as_bytes()), "hashed_otherwise", "twice");
            let bare = sign_payload(&family.pair, hashed.as_bytes()).unwrap();
            family.finds(&bare, "hashed_otherwise", "without DigestInfo");
        }
    }
}

#[test]
fn a_text_that_was_hashed_once_for_twice_is_found() {
    let families = families();
    let union = families.iter().find(|family| family.sender.platform.kind == "unionpay").unwrap();
    let text = joined(&union.sender.request, &["signature"]);
    union.finds(&union.sign(&text), "hashed_otherwise", "once");
    let upper = DigestHash::Sha256.hex_of(&[&text], HexCase::Upper);
    union.finds(&union.sign(upper.as_bytes()), "hashed_otherwise", "upper");
    let but = joined(&union.sender.request, &["signature", "signMethod"]);
    let hashed = DigestHash::Sha256.hex_of(&[&but], HexCase::Lower);
    union.finds(&union.sign(hashed.as_bytes()), "sign_type_signed", "left out");
}

#[test]
fn escaped_and_unsorted_fields_are_found() {
    let families = families();
    let alipay = families.iter().find(|family| family.sender.platform.kind == "alipay").unwrap();
    let but = ["sign", "sign_type"];
    let mut signed = pairs(&alipay.sender.request);
    signed.retain(|(name, _)| !but.iter().any(|but| but.as_bytes() == name));
    let text = |pairs: &Pairs| {
        pairs.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect::<Vec<_>>().join(&b'&')
    };
    assert_ne!(text(&signed), alipay.text);
    alipay.finds(&alipay.sign(&text(&signed)), "sorted_otherwise", "unsorted");
    signed.sort();
    let escaped = form::encode(signed.iter().map(|(name, value)| (&name[..], &value[..])));
    alipay.finds(&alipay.sign(&escaped), "encoded_signed", "form");
    let mut more = alipay.sender.request.clone();
    more.query = Some("act=pay".to_owned());
    let query = [b"act=pay&".as_slice(), &alipay.text].concat();
    let request = (alipay.put)(&more, &STANDARD.encode(alipay.sign(&query)));
    alipay.sender.finds(&request, "query_signed", "act");
}

#[test]
fn line_ends_of_the_template_are_found() {
    let families = families();
    let wechat = families.iter().find(|family| family.sender.platform.kind == "wechat_pay").unwrap();
    let [time, nonce] = ["wechatpay-timestamp", "wechatpay-nonce"].map(|name| header(&wechat.sender.request, name));
    let body: &[u8] = &wechat.sender.request.body;
    let with = |end: &str, last: &str| {
        [time.as_bytes(), end.as_bytes(), nonce.as_bytes(), end.as_bytes(), body, last.as_bytes()].concat()
    };
    assert_eq!(with("\n", "\n"), wechat.text);
    for (end, last) in [("\n", ""), ("\r\n", "\r\n"), ("\\n", "\\n"), ("", "")] {
        wechat.finds(&wechat.sign(&with(end, last)), "line_ends_signed", &format!("{end:?} {last:?}"));
    }
}

#[test]
fn a_signature_in_hexadecimal_is_found() {
    for family in families().into_iter().filter(|family| family.sender.platform.kind != "antom") {
        let request = (family.put)(&family.sender.request, &hex(&family.sign(&family.text)));
        family.sender.finds(&request, "signature_encoding", "hex");
    }
}

#[test]
fn a_usual_library_in_place_of_md5_is_found() {
    let sender = sender("lianlian", 1);
    let pair = RsaKeyPair::from_pkcs8(&sender.exported).unwrap();
    let text = joined(&sender.request, &["sign"]);
    let with = |signature: &[u8]| {
        let mut message: serde_json::Value = serde_json::from_slice(&sender.request.body).unwrap();
        message["sign"] = STANDARD.encode(signature).into();
        RawRequest { body: Bytes::from(message.to_string()), ..sender.request.clone() }
    };
    assert!(sender.explain(&with(&sign_md5(&pair, &text).unwrap())).outcome.is_accepted());
    sender.finds(&with(&sign_sha256(&pair, &text).unwrap()), "algorithm_other", "SHA-256");
    let but = joined(&sender.request, &["sign", "sign_type"]);
    sender.finds(&with(&sign_md5(&pair, &but).unwrap()), "sign_type_signed", "left out");
}

/// The sealed document, signed in another way.
#[test]
fn digest_info_where_none_belongs_is_found_in_a_sealed_document() {
    let sender = sender("jd_pay", 1);
    let pair = RsaKeyPair::from_pkcs8(&sender.exported).unwrap();
    let key = sender.settings.key("des_key").unwrap().trim_ascii().to_vec();
    let key: [u8; TRIPLE_DES_KEY_BYTES] = STANDARD.decode(key).unwrap().try_into().unwrap();
    let cipher = TripleDes::new(&key);
    let outer = String::from_utf8(sender.request.body.to_vec()).unwrap();
    let (_, rest) = outer.split_once("<encrypt>").unwrap();
    let (sealed, _) = rest.split_once("</encrypt>").unwrap();
    let digits = STANDARD.decode(sealed).unwrap();
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    let framed = cipher.open(&bytes).unwrap();
    let length = u32::from_be_bytes(framed[..4].try_into().unwrap()) as usize;
    let inner = String::from_utf8(framed[4..4 + length].to_vec()).unwrap();
    let (before, rest) = inner.split_once("<sign>").unwrap();
    let (_, behind) = rest.split_once("</sign>").unwrap();
    let text = [before, behind].concat();
    let with = |signature: &[u8]| {
        let inner = format!("{before}<sign>{}</sign>{behind}", STANDARD.encode(signature));
        let mut framed = [&u32::try_from(inner.len()).unwrap().to_be_bytes()[..], inner.as_bytes()].concat();
        framed.resize(framed.len().next_multiple_of(DES_BLOCK_BYTES), 0);
        let new = STANDARD.encode(hex(&cipher.seal(&framed).unwrap()));
        RawRequest { body: Bytes::from(outer.replace(sealed, &new)), ..sender.request.clone() }
    };
    let digits = DigestHash::Sha256.hex_of(&[text.as_bytes()], HexCase::Lower);
    assert!(sender.explain(&with(&sign_payload(&pair, digits.as_bytes()).unwrap())).outcome.is_accepted());
    sender.finds(&with(&sign_sha256(&pair, text.as_bytes()).unwrap()), "hashed_otherwise", "DigestInfo");
    sender.finds(&with(&sign_md5(&pair, text.as_bytes()).unwrap()), "algorithm_other", "MD5");
    let forged = sender.explain(&with(&sign_sha256(&pair, b"another").unwrap()));
    assert!(forged.findings.is_empty(), "{:?}", forged.findings);
    assert!(forged.signed.iter().all(|signed| signed.text == "<sealed>" && signed.bytes == 0), "{:?}", forged.signed);
    assert!(!forged.signed.is_empty());
}

/// What was opened with the merchant's key is not shown, whichever key that is.
#[test]
fn an_opened_text_is_not_shown_under_any_key() {
    let own = sender("yeepay", 1);
    let strangers: Vec<Sender> = (0..2).map(|_| sender("yeepay", 1)).collect();
    let shown: Vec<_> = strangers.iter().map(|stranger| stranger.explain(&own.request).signed).collect();
    assert_eq!(shown[0], shown[1]);
    assert!(shown[0].iter().all(|signed| signed.text == "<sealed>" && signed.bytes == 0), "{:?}", shown[0]);
    assert!(!shown[0].is_empty());
}
