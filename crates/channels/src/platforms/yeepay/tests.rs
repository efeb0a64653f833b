use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::envelope::fold;
use super::*;
use crate::cipher::seal_aes_ecb;
use crate::form;
use crate::model::{Amount, Concern, Environment, EventKind, Notification};
use crate::settings::SettingValue;
use crate::signature::key::{PublicKey, hex, to_pem};
use crate::signature::rsa::sign_sha256;

const APP_KEY: &str = "app_10000000000000001";
const MERCHANT_NO: &str = "10000000001";
const AES_KEY: [u8; 16] = *b"0123456789abcdef";

static PLATFORM_PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static MERCHANT_PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static STRANGER: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn private_pem(pair: &RsaKeyPair) -> String {
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    to_pem("PRIVATE KEY", der.as_ref())
}

fn public_pem(pair: &RsaKeyPair) -> String {
    PublicKey::of_pair("key", pair).unwrap().to_pem()
}

fn key(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("app_key", SettingValue::Text(APP_KEY.into()))
        .with("merchant_no", SettingValue::Texts(vec![MERCHANT_NO.into(), "10000000002".into()]))
        .with("merchant_private_key", key(&private_pem(&MERCHANT_PAIR)))
        .with("yeepay_public_key", key(&public_pem(&PLATFORM_PAIR)))
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn seal_key(pair: &RsaKeyPair, key: &[u8]) -> Vec<u8> {
    let public = PublicEncryptingKey::from_der(PublicKey::of_pair("key", pair).unwrap().spki()).unwrap();
    let public = Pkcs1PublicEncryptingKey::new(public).unwrap();
    let mut sealed = vec![0; public.ciphertext_size()];
    public.encrypt(key, &mut sealed).unwrap().to_vec()
}

fn signed(pair: &RsaKeyPair, json: &str) -> String {
    format!("{json}${}", URL_SAFE_NO_PAD.encode(sign_sha256(pair, json.as_bytes()).unwrap()))
}

/// The four parts, from the sealed key and the plaintext under a key.
fn parts(sealed_key: &[u8], key: &[u8], plaintext: &str) -> [String; 4] {
    let ciphertext = seal_aes_ecb(key, plaintext.as_bytes()).unwrap();
    [URL_SAFE_NO_PAD.encode(sealed_key), URL_SAFE_NO_PAD.encode(ciphertext), "AES".into(), "SHA256".into()]
}

fn request(pairs: &[(&str, &str)]) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8"));
    let body = form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    RawRequest {
        method: Method::POST,
        path: "/notify/yeepay".into(),
        query: None,
        headers,
        body: Bytes::from(body),
        source: None,
        received_at: at(),
    }
}

fn with_response(response: &str) -> RawRequest {
    request(&[("customerIdentification", APP_KEY), ("response", response)])
}

/// An envelope of this plaintext.
fn sealed(plaintext: &str) -> RawRequest {
    with_response(&parts(&seal_key(&MERCHANT_PAIR, &AES_KEY), &AES_KEY, plaintext).join("$"))
}

/// A genuine callback of this JSON.
fn genuine(json: &str) -> RawRequest {
    sealed(&signed(&PLATFORM_PAIR, json))
}

const PAID: &str = r#"{"parentMerchantNo":"10000000001","merchantNo":"10000000001","orderId":"T1","uniqueOrderNo":"1001202611210000000001","status":"SUCCESS","orderAmount":"10.00","paySuccessDate":"2026-11-21 12:00:00"}"#;

const REFUNDED: &str = r#"{"merchantNo":"10000000001","orderId":"T1","uniqueOrderNo":"1001202611210000000001","refundRequestId":"R1","uniqueRefundNo":"1002202611210000000001","status":"SUCCESS","refundAmount":"3.00","refundSuccessDate":"2026-11-21 12:00:00"}"#;

fn accept(request: &RawRequest) -> Notification {
    match channel().verify(request, at()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

fn refuse(request: &RawRequest) -> Rejection {
    match channel().verify(request, at()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn malformed(field: &str) -> Rejection {
    Rejection::Malformed { field: field.into() }
}

fn missing(field: &str) -> Rejection {
    Rejection::Missing { field: field.into() }
}

#[test]
fn a_payment_is_read() {
    let notification = accept(&genuine(PAID));
    let fact = &notification.facts[0];
    assert_eq!((notification.facts.len(), &notification.concerns[..]), (1, &[][..]));
    assert_eq!((fact.kind, fact.order_no.as_deref()), (EventKind::PaymentSucceeded, Some("T1")));
    assert_eq!(fact.platform_no.as_deref(), Some("1001202611210000000001"));
    assert_eq!(fact.identity.as_str(), "1001202611210000000001");
    assert_eq!(fact.signed_money().map(|money| money.to_text()), Some("10.00".into()));
    assert_eq!(fact.payee.as_deref(), Some(MERCHANT_NO));
    assert_eq!((fact.occurred_at, notification.sent_at), (Some(at()), Some(at())));
    assert_eq!((notification.scope.family, notification.scope.account.as_str()), ("yeepay", MERCHANT_NO));
}

#[test]
fn a_refund_is_no_payment_and_follows_its_own() {
    let notification = accept(&genuine(REFUNDED));
    let fact = &notification.facts[0];
    assert_eq!((notification.facts.len(), &notification.concerns[..]), (1, &[][..]));
    assert_eq!((fact.kind, fact.order_no.as_deref()), (EventKind::RefundSucceeded, Some("T1")));
    let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
    assert_eq!(names, ["uniqueRefundNo:1002202611210000000001", "refundRequestId:R1"]);
    assert_eq!(fact.payment.as_ref().map(crate::model::Identity::as_str), Some("1001202611210000000001"));
    assert_eq!(fact.signed_money().map(|money| money.minor), Some(300));
    // Whatever else it has: one sign of a refund, and it is none of a payment.
    for sign in ["refundRequestId", "uniqueRefundNo", "refundAmount"] {
        let mixed = PAID.replace("\"status\"", &format!("\"{sign}\":null,\"status\""));
        let notification = accept(&genuine(&mixed));
        assert!(notification.facts.iter().all(|fact| fact.kind != EventKind::PaymentSucceeded), "{sign}");
        assert!(!notification.concerns.is_empty(), "{sign}");
    }
}

#[test]
fn each_status_has_its_kind() {
    let of = |json: &str, status: &str| {
        let notification = accept(&genuine(&json.replace("SUCCESS", status)));
        (notification.facts[0].kind, notification.concerns.len())
    };
    assert_eq!(of(PAID, "FAILED"), (EventKind::PaymentFailed, 0));
    assert_eq!(of(PAID, "PROCESSING"), (EventKind::PaymentPending, 0));
    assert_eq!(of(PAID, "CLOSED"), (EventKind::Other, 1));
    assert_eq!(of(PAID, "success"), (EventKind::Other, 1));
    assert_eq!(of(REFUNDED, "FAILED"), (EventKind::RefundFailed, 0));
    assert_eq!(of(REFUNDED, "PROCESSING"), (EventKind::Other, 0));
    assert_eq!(of(REFUNDED, "CANCEL"), (EventKind::Other, 1));
    // A refund under way and done are two notifications, and so are the states of a payment.
    let key = |json: &str, status: &str| accept(&genuine(&json.replace("SUCCESS", status))).key();
    assert_ne!(key(REFUNDED, "PROCESSING"), key(REFUNDED, "SUCCESS"));
    assert_ne!(key(PAID, "PROCESSING"), key(PAID, "SUCCESS"));
}

#[test]
fn a_repetition_is_the_same_notification() {
    let first = accept(&genuine(PAID));
    // Another symmetric key, another order of members, a new member.
    let other_key = [7; 16];
    let plaintext = signed(&PLATFORM_PAIR, &PAID.replace("{\"parent", "{\"memo\":\"$\", \"parent"));
    let again = with_response(&parts(&seal_key(&MERCHANT_PAIR, &other_key), &other_key, &plaintext).join("$"));
    assert_eq!(accept(&again).key(), first.key());
    for (from, to) in [("10.00", "10.01"), ("T1", "T2"), ("0000001\",\"status", "0000002\",\"status")] {
        assert_ne!(accept(&genuine(&PAID.replace(from, to))).key(), first.key(), "{to}");
    }
}

#[test]
fn what_cannot_be_understood_is_held() {
    let missing = |field: &str| Concern::MissingField { field: field.into() };
    let unreadable = |field: &str| Concern::UnreadableAmount { field: field.into() };
    let payment = EventKind::PaymentSucceeded;
    for (from, to, kind, concern) in [
        ("\"status\"", "\"state\"", EventKind::Other, missing("status")),
        ("\"uniqueOrderNo\"", "\"x\"", EventKind::Other, missing("uniqueOrderNo")),
        ("\"orderId\"", "\"x\"", payment, missing("orderId")),
        ("\"orderAmount\"", "\"x\"", payment, missing("orderAmount")),
        ("\"10.00\"", "\"\"", payment, missing("orderAmount")),
        ("\"10.00\"", "[10]", payment, missing("orderAmount")),
        ("\"10.00\"", "\"10.001\"", payment, unreadable("orderAmount")),
        ("\"10.00\"", "\"-10.00\"", payment, unreadable("orderAmount")),
        ("\"10.00\"", "\"1,000.00\"", payment, unreadable("orderAmount")),
        ("\"10.00\"", "1e1", payment, unreadable("orderAmount")),
        ("\"10.00\"", "true", payment, unreadable("orderAmount")),
        (",\"merchantNo\"", ",\"x\"", payment, missing("merchantNo")),
        (
            ",\"merchantNo\":\"10000000001\"",
            ",\"merchantNo\":\"10000000003\"",
            payment,
            Concern::ForeignPayee { payee: "10000000003".into() },
        ),
    ] {
        let json = PAID.replacen(from, to, 1);
        assert_ne!(json, PAID, "{from}");
        let notification = accept(&genuine(&json));
        assert_eq!(notification.concerns, [concern], "{to}");
        assert_eq!((notification.facts.len(), notification.facts[0].kind), (1, kind), "{to}");
    }
    for (json, word) in [
        ("not JSON", "unreadable_text"),
        ("[]", "unreadable_text"),
        ("", "unreadable_text"),
        (&PAID.replace("\"T1\"", "\"T1\",\"orderId\":\"T2\""), "ambiguous"),
        (&PAID.replace("\"T1\"", "\"T1\",\"x\":{\"a\":1,\"a\":2}"), "ambiguous"),
    ] {
        let notification = accept(&genuine(json));
        assert_eq!(notification.concerns[0].word(), word, "{json}");
        assert_eq!((notification.facts[0].kind, &notification.facts[0].amount), (EventKind::Other, &Amount::None));
    }
}

#[test]
fn an_amount_may_be_a_number_and_is_read_as_it_is_written() {
    for (written, minor) in [
        ("10.00", 1_000),
        ("\"10\"", 1_000),
        ("0.1", 10),
        ("\"0.01\"", 1),
        ("90071992547409.93", 9_007_199_254_740_993),
    ] {
        let notification = accept(&genuine(&PAID.replace("\"10.00\"", written)));
        assert_eq!(notification.concerns, [], "{written}");
        assert_eq!(notification.facts[0].signed_money().map(|money| money.minor), Some(minor), "{written}");
    }
}

#[test]
fn money_of_a_sub_merchant_stays_in_its_scope() {
    let json = PAID.replace(",\"merchantNo\":\"10000000001\"", ",\"merchantNo\":\"10000000002\"");
    let notification = accept(&genuine(&json));
    assert_eq!((notification.scope.account.as_str(), notification.concerns.len()), ("10000000002", 0));
}

#[test]
fn longer_keys_are_folded() {
    let counted: Vec<u8> = (0..24).collect();
    assert_eq!(hex(fold(&counted).as_slice()), "101010101010101008090a0b0c0d0e0f");
    assert_eq!(fold(&AES_KEY).as_slice(), AES_KEY);
    for length in [16, 17, 24, 32, 40, 200] {
        let long: Vec<u8> = (0..length).map(|byte: u8| byte.wrapping_mul(7).wrapping_add(1)).collect();
        let request = parts(&seal_key(&MERCHANT_PAIR, &long), fold(&long).as_slice(), &signed(&PLATFORM_PAIR, PAID));
        assert_eq!(accept(&with_response(&request.join("$"))).facts[0].kind, EventKind::PaymentSucceeded, "{length}");
    }
    // With the long key itself it is another cipher.
    let long = [5; 32];
    let request = parts(&seal_key(&MERCHANT_PAIR, &long), &long, &signed(&PLATFORM_PAIR, PAID));
    assert_eq!(refuse(&with_response(&request.join("$"))), Rejection::Signature);
}

#[test]
fn the_json_may_hold_the_separator() {
    let notification = accept(&genuine(&PAID.replace("\"T1\"", "\"T$1$\"")));
    assert_eq!(notification.facts[0].order_no.as_deref(), Some("T$1$"));
}

/// The answer and the reason must not tell whoever sends envelopes at which step his ended.
#[test]
fn no_failure_behind_the_private_key_tells_its_step() {
    let good = signed(&PLATFORM_PAIR, PAID);
    let key = seal_key(&MERCHANT_PAIR, &AES_KEY);
    let of = |key: &[u8], plaintext: &str| parts(key, &AES_KEY, plaintext);
    let changed = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let [sealed_key, ciphertext, cipher, hash] = of(&key, &good);
    let cipher_bytes = URL_SAFE_NO_PAD.decode(&ciphertext).unwrap();
    let with_cipher = |bytes: &[u8]| [sealed_key.clone(), URL_SAFE_NO_PAD.encode(bytes), cipher.clone(), hash.clone()];
    let (json, signature) = good.rsplit_once('$').unwrap();
    for (label, parts) in [
        ("sealed for another key", of(&seal_key(&STRANGER, &AES_KEY), &good)),
        ("a changed key", of(&changed(&key, 0), &good)),
        ("a changed key's end", of(&changed(&key, 255), &good)),
        ("zeros for a key", of(&[0; 256], &good)),
        ("ones for a key", of(&[0xff; 256], &good)),
        ("no bytes of a symmetric key", of(&seal_key(&MERCHANT_PAIR, b""), &good)),
        ("fifteen bytes of a symmetric key", of(&seal_key(&MERCHANT_PAIR, &AES_KEY[..15]), &good)),
        ("another symmetric key", of(&seal_key(&MERCHANT_PAIR, &[1; 16]), &good)),
        ("a changed block", with_cipher(&changed(&cipher_bytes, 3))),
        ("changed padding", with_cipher(&changed(&cipher_bytes, cipher_bytes.len() - 1))),
        ("the last block missing", with_cipher(&cipher_bytes[..cipher_bytes.len() - 16])),
        ("one block", with_cipher(&cipher_bytes[..16])),
        ("no signature", of(&key, PAID)),
        ("an empty signature", of(&key, &format!("{PAID}$"))),
        ("nothing but a signature", of(&key, &format!("${signature}"))),
        ("nothing", of(&key, "")),
        ("half a signature", of(&key, &good[..good.len() - 100])),
        (
            "standard base64",
            of(&key, &format!("{json}${}", STANDARD.encode(URL_SAFE_NO_PAD.decode(signature).unwrap()))),
        ),
        ("a stranger's signature", of(&key, &signed(&STRANGER, PAID))),
        ("the merchant's own signature", of(&key, &signed(&MERCHANT_PAIR, PAID))),
        ("a changed amount", of(&key, &good.replace("10.00", "99.00"))),
    ] {
        assert_eq!(refuse(&with_response(&parts.join("$"))), Rejection::Signature, "{label}");
    }
}

/// What replaces a key that does not open is the same each time, so that asking twice tells nothing, and is another for
/// other bytes and for another merchant.
#[test]
fn a_key_that_does_not_open_is_replaced_by_one_that_nobody_knows() {
    let config = Config::build(&settings()).unwrap();
    let other = Config::build(&settings().with("merchant_private_key", key(&private_pem(&STRANGER)))).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for byte in 0..20 {
        let sealed = [byte; 256];
        let once = config.keys.symmetric_key(&sealed);
        assert_eq!(once, config.keys.symmetric_key(&sealed));
        assert!(seen.insert(*once), "{byte}");
        assert!(seen.insert(*other.keys.symmetric_key(&sealed)), "{byte}");
    }
    let short = seal_key(&MERCHANT_PAIR, &AES_KEY[..15]);
    assert!(seen.insert(*config.keys.symmetric_key(&short)) && !seen.contains(&[0; 16]));
    assert_eq!(config.keys.symmetric_key(&seal_key(&MERCHANT_PAIR, &AES_KEY)).as_slice(), AES_KEY);
}

#[test]
fn what_anybody_can_see_in_an_envelope_is_named() {
    let parts = parts(&seal_key(&MERCHANT_PAIR, &AES_KEY), &AES_KEY, &signed(&PLATFORM_PAIR, PAID));
    let with = |at: usize, text: &str| {
        let mut parts = parts.clone();
        parts[at] = text.to_owned();
        refuse(&with_response(&parts.join("$")))
    };
    for (at, text) in [(0, "????"), (0, "AAA="), (1, ""), (1, "AAAA"), (1, "A+/A"), (1, "AAAAAAAAAAAAAAAAAAAAAB")] {
        assert_eq!(with(at, text), malformed("response"), "{at}: {text}");
    }
    for (at, text, algorithm) in [
        (2, "aes", "aes$SHA256"),
        (2, "SM4", "SM4$SHA256"),
        (3, "SHA1", "AES$SHA1"),
        (3, "sha256", "AES$sha256"),
        (3, "", "AES$"),
    ] {
        assert_eq!(with(at, text), Rejection::Algorithm { algorithm: algorithm.into() });
    }
    let newer = Rejection::Algorithm { algorithm: "yop-encrypt-v1//SM4_CBC_PKCS5Padding".into() };
    assert_eq!(refuse(&with_response("yop-encrypt-v1//SM4_CBC_PKCS5Padding/AAAA/BBBB")), newer);
    // Whoever has the merchant's public key can count: this tells nothing, and costs the private key nothing.
    for sealed in [&[7; 255][..], &[7; 257], &[7; 128], &[7; 2048], b"x"] {
        assert_eq!(with(0, &URL_SAFE_NO_PAD.encode(sealed)), malformed("response"), "{}", sealed.len());
    }
    let joined = parts.join("$");
    for text in ["x", "a$b", "a$b$AES", &format!("{joined}$"), &format!("${joined}"), &joined.replace('$', "%24")] {
        assert_eq!(refuse(&with_response(text)), malformed("response"), "{}", quote(text));
    }
}

#[test]
fn what_is_no_callback_is_named() {
    let good = genuine(PAID);
    assert_eq!(refuse(&RawRequest { method: Method::GET, ..good.clone() }), Rejection::Method { method: "GET".into() });
    let mut json = good.clone();
    json.headers.insert("content-type", HeaderValue::from_static("application/json"));
    assert_eq!(refuse(&json).word(), "media_type");
    assert_eq!(refuse(&RawRequest { body: Bytes::new(), ..good.clone() }), Rejection::Empty);
    assert_eq!(refuse(&RawRequest { body: vec![b'a'; BODY_BYTES_MAX + 1].into(), ..good.clone() }).word(), "too_large");
    assert_eq!(refuse(&RawRequest { body: b"a=1&".repeat(17).into(), ..good.clone() }).word(), "too_many_fields");
    let response = String::from_utf8(
        Form::parse(&good.body, Limits { bytes_max: 9999, pairs_max: 9 })
            .unwrap()
            .present("response")
            .unwrap()
            .to_vec(),
    )
    .unwrap();
    let response = response.as_str();
    assert_eq!(refuse(&request(&[("response", response)])), missing("customerIdentification"));
    assert_eq!(refuse(&request(&[("customerIdentification", APP_KEY)])), missing("response"));
    let other = request(&[("customerIdentification", "app_10000000000000002"), ("response", response)]);
    assert_eq!(refuse(&other), Rejection::UnknownMerchant { field: "customerIdentification".into() });
    let twice = request(&[("customerIdentification", APP_KEY), ("response", response), ("response", response)]);
    assert_eq!(refuse(&twice), Rejection::Duplicate { field: "response".into() });
    // What nobody signed says nothing.
    let more = request(&[("status", "FAILED"), ("response", response), ("customerIdentification", APP_KEY)]);
    assert_eq!(accept(&more), accept(&good));
    let likeness = |request: &RawRequest| channel().recognise(request);
    assert_eq!((likeness(&good), likeness(&other)), (Likeness::Merchant, Likeness::Shape));
    assert_eq!((likeness(&json), likeness(&request(&[("response", response)]))), (Likeness::No, Likeness::No));
}

#[test]
fn fields_are_those_of_the_inside() {
    let fields = channel().fields(&genuine(&PAID.replace("\"T1\"", "\"T1\",\"a\":{\"b\":[1.50]}")));
    let value = |path: &str| fields.iter().find(|(known, _)| known == path).map(|(_, value)| value.as_str());
    assert_eq!((value("orderId"), value("a.b.0"), value("response")), (Some("T1"), Some("1.50"), None));
    assert!(channel().fields(&sealed("x")).is_empty());
}

#[test]
fn settings_that_prove_nothing_are_refused() {
    let error = |name: &'static str, value: SettingValue| {
        let error = build(&settings().with(name, value)).err().unwrap_or_else(|| panic!("{name}: taken"));
        (error.setting, error.word)
    };
    assert_eq!(error("app_key", SettingValue::Text("a b".into())), ("app_key", "malformed_id"));
    assert_eq!(error("merchant_no", SettingValue::Texts(vec![])), ("merchant_no", "empty_list"));
    assert_eq!(error("merchant_no", SettingValue::Texts(vec!["x1".into()])), ("merchant_no", "malformed_id"));
    assert_eq!(error("merchant_private_key", key("")), ("merchant_private_key", "not_a_key"));
    let public = key(&public_pem(&MERCHANT_PAIR));
    assert_eq!(error("merchant_private_key", public.clone()), ("merchant_private_key", "not_a_key"));
    assert_eq!(error("yeepay_public_key", public), ("yeepay_public_key", "own_public_key"));
    let private = key(&private_pem(&PLATFORM_PAIR));
    assert_eq!(error("yeepay_public_key", private), ("yeepay_public_key", "private_key_given"));
    let without = |name: &str| {
        let all = ["app_key", "merchant_no", "merchant_private_key", "yeepay_public_key"];
        let settings = settings();
        let kept = all.into_iter().filter(|kept| *kept != name).fold(
            Settings::new(Environment::Live),
            |kept_settings, one| {
                let value = match one {
                    "app_key" => SettingValue::Text(APP_KEY.into()),
                    "merchant_no" => SettingValue::Texts(vec![MERCHANT_NO.into()]),
                    key => SettingValue::Key(settings.key(key).unwrap().to_vec().into()),
                };
                kept_settings.with(one, value)
            },
        );
        build(&kept).err().map(|error| (error.setting.to_owned(), error.word))
    };
    for name in ["app_key", "merchant_no", "merchant_private_key", "yeepay_public_key"] {
        assert_eq!(without(name), Some((name.to_owned(), "missing")));
    }
}

#[test]
fn replies_are_exact() {
    let channel = channel();
    let reply = |answer| {
        let reply = channel.answer(answer, None);
        (reply.status, reply.body)
    };
    assert_eq!(reply(Answer::Success), (200, Bytes::from_static(b"SUCCESS")));
    assert_eq!(reply(Answer::Failure(Failure::Refused)), (400, Bytes::from_static(b"FAIL")));
    assert_eq!(reply(Answer::Failure(Failure::Busy)), (503, Bytes::from_static(b"FAIL")));
    assert_eq!(reply(Answer::Failure(Failure::NotYet)), (503, Bytes::from_static(b"FAIL")));
    let ack = |status, body: &[u8]| channel.is_ack(&AppReply { status, body }, None);
    assert_eq!(ack(200, b"SUCCESS"), AckMatch::Exact);
    assert_eq!(ack(200, b"\xef\xbb\xbfSUCCESS\n"), AckMatch::Trimmed);
    for (status, body) in [(200, &b"success"[..]), (200, b"FAIL"), (500, b"SUCCESS"), (200, b"")] {
        assert_eq!(ack(status, body), AckMatch::No, "{status}");
    }
}

#[test]
fn the_other_sides_keys_come_back_from_what_it_wrote_down() {
    let side = simulate::other_side();
    let mut other = simulate::other_side();
    other.import(&side.export()).unwrap();
    let story = crate::simulate::Story::paid("T1", 100, at());
    let channel = build(&side.settings()).unwrap();
    assert!(matches!(channel.verify(&other.callback(&story).request, at()), Verdict::Genuine(_)));
    for bad in [&b""[..], b"x", &side.export()[1..], &private_pem(&STRANGER).into_bytes()] {
        assert!(other.import(bad).is_err());
    }
}
