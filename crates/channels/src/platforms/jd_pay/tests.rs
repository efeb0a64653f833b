mod payouts;

use std::sync::LazyLock;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::envelope::{DECLARATION, normalised, seal};
use super::*;
use crate::cipher::TripleDes;
use crate::model::{Amount, Concern, Currency, Environment, EventKind, Money};
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::key::{PublicKey, hex};
use crate::signature::plain_rsa::sign_payload;
use crate::signature::rsa::sign_sha256;

/// The key of the sheet's vectors.
const DES_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY";
const MERCHANT: &str = "110000000001";
const SALT_KEY: &str = "0123456789abcdefSALT";

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static STRANGER: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn settings() -> Settings {
    let public = PublicKey::of_pair("key", &PAIR).unwrap().to_pem();
    let key = |text: &str| SettingValue::Key(text.as_bytes().to_vec().into());
    Settings::new(Environment::Live)
        .with("merchant", SettingValue::Text(MERCHANT.into()))
        .with("des_key", key(DES_KEY))
        .with("jd_public_key", key(&public))
        .with("payout_salt_key", key(SALT_KEY))
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

fn cipher() -> TripleDes {
    TripleDes::new(STANDARD.decode(DES_KEY).unwrap().as_slice().try_into().unwrap())
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn request(media: &'static str, body: impl Into<Vec<u8>>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(media));
    RawRequest {
        method: Method::POST,
        path: "/notify/jd".into(),
        query: None,
        headers,
        body: Bytes::from(body.into()),
        source: None,
        received_at: at(),
    }
}

/// The outside of an envelope.
fn outside(encrypt: &str) -> String {
    format!(
        "{DECLARATION}<jdpay><version>V2.0</version><merchant>{MERCHANT}</merchant><result><code>000000</code>\
         <desc>success</desc></result><encrypt>{encrypt}</encrypt></jdpay>"
    )
}

fn sealed(inner: &str) -> RawRequest {
    request("text/xml", outside(&seal(&cipher(), inner).unwrap()))
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn signature(text: &str) -> String {
    STANDARD.encode(sign_payload(&PAIR, sha256(text).as_bytes()).unwrap())
}

/// The document with a signature over `signed` before its end.
fn with_sign(document: &str, sign: &str) -> String {
    document.replacen("</jdpay>", &format!("<sign>{sign}</sign></jdpay>"), 1)
}

/// Signed as it stands.
fn genuine(document: &str) -> RawRequest {
    sealed(&with_sign(document, &signature(document)))
}

const FIELDS: [(&str, &str); 9] = [
    ("version", "V2.0"),
    ("merchant", MERCHANT),
    ("tradeType", "0"),
    ("tradeNum", "T1"),
    ("amount", "1000"),
    ("currency", "CNY"),
    ("tradeTime", "20261121120000"),
    ("status", "2"),
    ("result", "<code>000000</code><desc>success</desc>"),
];

/// Another text of a field; none takes the field away.
type Change = (&'static str, Option<&'static str>);

/// A payment's document with other fields.
fn document(changes: &[(&str, Option<&str>)]) -> String {
    let mut fields: Vec<(&str, &str)> = FIELDS.to_vec();
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    format!("{DECLARATION}<jdpay>{}</jdpay>", fields.concat())
}

fn accept(request: &RawRequest) -> Notification {
    accept_with_variant(request).0
}

fn accept_with_variant(request: &RawRequest) -> (Notification, String) {
    match channel().verify(request, at()) {
        Verdict::Genuine(proven) => {
            let (notification, crate::model::Proof::Signature { variant, .. }) = proven.into_parts() else {
                panic!("not by a signature")
            };
            (notification, variant)
        }
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

/// China.md's field vectors, here of whole envelopes: base64 of the hexadecimal text.
#[test]
fn envelopes_are_sealed_as_the_platform_does() {
    for (text, expected) in [("1", "3db653a88d614cbc"), ("2024测试", "eda885199f59fb1714365d5fb27a32d2")] {
        assert_eq!(seal(&cipher(), text).unwrap(), STANDARD.encode(expected), "{text}");
    }
}

#[test]
fn a_payment_is_read() {
    let notification = accept(&genuine(&document(&[])));
    let fact = &notification.facts[0];
    assert_eq!((notification.facts.len(), &notification.concerns[..]), (1, &[][..]));
    assert_eq!((fact.kind, fact.order_no.as_deref()), (EventKind::PaymentSucceeded, Some("T1")));
    assert_eq!((fact.identity.as_str(), fact.platform_no.as_deref()), ("T1", None));
    assert_eq!(fact.amount, Amount::Stated(Money { minor: 1000, currency: Currency::CNY }));
    assert_eq!(fact.payee.as_deref(), Some(MERCHANT));
    assert_eq!(fact.occurred_at, Some(at()));
    assert_eq!((notification.scope.family, notification.scope.account.as_str()), ("jd_pay", MERCHANT));
    assert_eq!(notification.sent_at, Some(at()));
    assert_eq!(notification.platform_id, "20261121120000/0/T1/2");
}

/// Genuine payment notices have currency and time among the means of payment alone.
#[test]
fn currency_and_time_may_stand_with_the_means_of_payment() {
    let means = |second: &str| {
        format!(
            "<pay><amount>400</amount><currency>CNY</currency><tradeTime>20261121115959</tradeTime></pay>\
             <pay><amount>600</amount><currency>{second}</currency><tradeTime>20261121120000</tradeTime></pay>"
        )
    };
    let read =
        |list: &str| accept(&genuine(&document(&[("currency", None), ("tradeTime", None), ("payList", Some(list))])));
    let notification = read(&means("CNY"));
    assert_eq!((notification.facts[0].signed_money().unwrap().minor, &notification.concerns[..]), (1000, &[][..]));
    assert_eq!((notification.sent_at, notification.facts[0].occurred_at), (Some(at()), Some(at())));
    assert_eq!(notification.platform_id, "20261121120000/0/T1/2");
    let mixed = read(&means("USD"));
    assert_eq!(mixed.concerns, [Concern::Contradiction { field: "payList/pay/currency".into() }]);
    assert_eq!(mixed.facts[0].amount, Amount::Unreadable);
}

#[test]
fn a_refund_is_no_payment_and_follows_its_own() {
    let notification = accept(&genuine(&document(&[
        ("tradeType", Some("1")),
        ("status", Some("1")),
        ("tradeNum", Some("T1")),
        ("oTradeNum", Some("T1")),
        ("amount", Some("300")),
    ])));
    let fact = &notification.facts[0];
    assert_eq!((notification.facts.len(), &notification.concerns[..]), (1, &[][..]));
    assert_eq!((fact.kind, fact.order_no.as_deref()), (EventKind::RefundSucceeded, Some("T1")));
    // A refund that has its payment's number is still another thing.
    assert_eq!(fact.identity.as_str(), "refund:T1");
    assert_eq!(fact.payment.as_ref().map(crate::model::Identity::as_str), Some("T1"));
    assert_eq!(fact.signed_money().map(|money| money.minor), Some(300));
    assert_ne!(notification.key(), accept(&genuine(&document(&[]))).key());
}

#[test]
fn every_documented_writing_is_accepted_and_named() {
    let headed = document(&[]);
    let bare = headed.strip_prefix(DECLARATION).unwrap();
    let pretty = headed.replace("><", ">\r\n\t<");
    for (label, signed, sent, variant) in [
        ("as it stands", headed.as_str(), headed.as_str(), "untouched"),
        ("as it stands, without a declaration", bare, bare, "untouched"),
        ("a declaration was put before it", &headed, bare, "headed"),
        ("in lines, as it stands", &pretty, &pretty, "untouched"),
        ("in lines, normalised", &headed, &pretty, "normalised"),
        (
            "in lines, a declaration before it, normalised",
            &headed,
            pretty.strip_prefix(DECLARATION).unwrap(),
            "normalised",
        ),
    ] {
        let (notification, found) = accept_with_variant(&sealed(&with_sign(sent, &signature(signed))));
        assert_eq!((found.as_str(), &notification.concerns[..]), (variant, &[][..]), "{label}");
        assert_eq!(notification.facts[0].order_no.as_deref(), Some("T1"), "{label}");
    }
    assert_eq!(normalised("\t<a>\r\n  b \t c\u{3000}\n</a> "), "<a>b  c</a>");
}

#[test]
fn the_place_of_the_signature_does_not_matter() {
    let document = document(&[]);
    let sign = signature(&document);
    for inner in [
        document.replace("<jdpay>", &format!("<jdpay><sign>{sign}</sign>")),
        document.replace("<amount>", &format!("<sign>{sign}</sign><amount>")),
    ] {
        assert_eq!(accept(&sealed(&inner)).facts, accept(&genuine(&document)).facts);
    }
    // Blanks around the base64 are those of a document in lines.
    let lines = with_sign(&document, &format!("\n{sign}\n"));
    assert_eq!(accept(&sealed(&lines)).facts.len(), 1);
}

/// What lies between the signed text and the sent one cannot reach a fact: the signed text is read.
#[test]
fn facts_are_those_of_the_signed_text() {
    let signed = document(&[]);
    for (label, sent) in [
        ("a tab in the number", signed.replace("<tradeNum>T1", "<tradeNum>T\t1")),
        ("a line end in the amount", signed.replace("<amount>1000", "<amount>10\r\n00")),
        ("a line end in the status", signed.replace("<status>2", "<status>\n 2 \n")),
    ] {
        let (notification, variant) = accept_with_variant(&sealed(&with_sign(&sent, &signature(&signed))));
        assert_eq!(variant, "normalised", "{label}");
        assert_eq!(notification.facts, accept(&genuine(&signed)).facts, "{label}");
    }
}

#[test]
fn what_is_no_notice_is_named() {
    let good = genuine(&document(&[]));
    let get = RawRequest { method: Method::GET, ..good.clone() };
    assert_eq!(refuse(&get), Rejection::Method { method: "GET".into() });
    for media in ["application/json", "text/html", "text/plain"] {
        assert_eq!(refuse(&request(media, good.body.clone())).word(), "media_type");
    }
    assert_eq!(refuse(&request("text/xml", "")), Rejection::Empty);
    assert_eq!(refuse(&request("text/xml", vec![b' '; BODY_BYTES_MAX + 1])).word(), "too_large");
    let body = String::from_utf8(good.body.to_vec()).unwrap();
    let changed = |from: &str, to: &str| {
        let changed = body.replacen(from, to, 1);
        assert_ne!(changed, body, "{from}");
        refuse(&request("application/xml; charset=utf-8", changed))
    };
    assert_eq!(changed("?><jdpay>", "?><!DOCTYPE jdpay [<!ENTITY e \"1\">]><jdpay>"), malformed("body"));
    assert_eq!(changed("V2.0", "&e;"), malformed("body"));
    assert_eq!(changed("<version>", "<!-- x --><version>"), malformed("body"));
    assert_eq!(changed("<version>", "<version x=\"1\">"), malformed("body"));
    assert_eq!(changed("<version>V2.0", "<merchant>1</merchant><version>V2.0").word(), "duplicate_field");
    assert_eq!(changed("<code>", "<code>000000</code><code>").word(), "duplicate_field");
    assert_eq!(changed(MERCHANT, "110000000002"), Rejection::UnknownMerchant { field: "merchant".into() });
    assert_eq!(changed(&format!("<merchant>{MERCHANT}</merchant>"), ""), missing("merchant"));
    assert_eq!(changed("<code>000000</code>", ""), missing("result/code"));
    assert_eq!(changed(">000000<", ">000001<"), malformed("result/code"));
    assert_eq!(changed("<encrypt>", "<encrypted>").word(), "malformed");
    assert_eq!(refuse(&request("text/xml", outside(""))), missing("encrypt"));
    let other_root = body.replace("jdpay>", "xml>");
    assert_eq!(refuse(&request("text/xml", other_root)), malformed("body"));
    // The inner document as it is, without an envelope.
    let bare = with_sign(&document(&[]), &signature(&document(&[])));
    assert_eq!(refuse(&request("text/xml", bare)), missing("encrypt"));
}

#[test]
fn an_envelope_is_read_strictly() {
    let inner = with_sign(&document(&[]), &signature(&document(&[])));
    let framed = |length: usize, behind: &[u8]| {
        let mut text = [&u32::try_from(length).unwrap().to_be_bytes(), inner.as_bytes(), behind].concat();
        text.resize(text.len().next_multiple_of(8), 0);
        text
    };
    let of = |bytes: &[u8]| outside(&STANDARD.encode(hex(&cipher().seal(bytes).unwrap())));
    let good = framed(inner.len(), b"");
    assert_eq!(accept(&request("text/xml", of(&good))).facts.len(), 1);
    let room = good.len() - 4 - inner.len();
    for (label, body) in [
        ("one byte less", of(&framed(inner.len() - 1, b""))),
        ("a length beyond the end", of(&framed(inner.len() + 9, b""))),
        ("a huge length", of(&framed(0xffff_ffff, b""))),
        ("a length of nothing", of(&framed(0, b""))),
        ("a whole block of zeros", of(&[good.as_slice(), &[0; 8]].concat())),
        ("padding that counts itself", of(&framed(inner.len(), &[1; 8][..room.max(1)]))),
        ("no length", of(&[inner.as_bytes(), &vec![0; inner.len().next_multiple_of(8) - inner.len()]].concat())),
        ("another key", {
            let other = TripleDes::new(&[9; 24]);
            outside(&STANDARD.encode(hex(&other.seal(&good).unwrap())))
        }),
    ] {
        assert_eq!(refuse(&request("text/xml", body)), Rejection::Signature, "{label}");
    }
    for (label, body) in [
        ("capitals", outside(&STANDARD.encode(hex(&cipher().seal(&good).unwrap()).to_uppercase()))),
        ("half a byte", outside(&STANDARD.encode(&hex(&cipher().seal(&good).unwrap())[1..]))),
        ("no whole block", outside(&STANDARD.encode(&hex(&cipher().seal(&good).unwrap())[2..]))),
        ("no hexadecimal in it", outside(&STANDARD.encode(cipher().seal(&good).unwrap()))),
        ("no base64 around it", outside(&hex(&cipher().seal(&good).unwrap()))),
        ("base64 without padding", of(&good).replace("=</encrypt>", "</encrypt>").replace("==", "")),
        ("another blank in it", of(&good).replace("</encrypt>", "\u{3000}</encrypt>")),
    ] {
        if label == "base64 without padding" && !of(&good).contains("=<") {
            continue;
        }
        assert_eq!(refuse(&request("text/xml", body)), malformed("encrypt"), "{label}");
    }
}

/// A platform that indents its XML, or breaks lines of base64 as many encoders do, is understood.
#[test]
fn blanks_of_the_layout_are_no_part_of_the_envelope() {
    let inner = with_sign(&document(&[]), &signature(&document(&[])));
    let encrypt = seal(&cipher(), &inner).unwrap();
    let plain = accept(&request("text/xml", outside(&encrypt)));
    for end in ["\n", "\r\n", " ", "\t"] {
        let lines: Vec<&str> = encrypt.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        for laid_out in [format!("{end}  {encrypt}{end}"), lines.join(end), format!("{}{end}", lines.join(end))] {
            assert_eq!(accept(&request("text/xml", outside(&laid_out))), plain, "{end:?}");
        }
    }
    assert_eq!(refuse(&request("text/xml", outside(" \n"))), missing("encrypt"));
}

#[test]
fn the_inner_document_is_read_strictly() {
    let good = document(&[]);
    let sign = signature(&good);
    let inner = with_sign(&good, &sign);
    let cases = [
        ("no signature", good.clone(), missing("sign")),
        ("an empty one", with_sign(&good, ""), missing("sign")),
        ("a blank one", with_sign(&good, "\n "), missing("sign")),
        ("one that is no base64", with_sign(&good, "????"), malformed("sign")),
        ("base64url", with_sign(&good, &sign.replace(['+', '/'], "-")), malformed("sign")),
        ("two", with_sign(&inner, &sign), Rejection::Duplicate { field: "sign".into() }),
        ("in CDATA", with_sign(&good, &format!("<![CDATA[{sign}]]>")), malformed("sign")),
        (
            "as text of another field",
            good.replace("<status>", &format!("<note><![CDATA[<sign>{sign}</sign>]]></note><status>")),
            missing("sign"),
        ),
        (
            "as text of another field as well",
            inner.replace("<status>", &format!("<note><![CDATA[<sign>{sign}</sign>]]></note><status>")),
            malformed("sign"),
        ),
        ("deeper", good.replace("</result>", &format!("<sign>{sign}</sign></result>")), missing("sign")),
        (
            "an amount twice",
            inner.replace("<amount>", "<amount>1</amount><amount>"),
            Rejection::Duplicate { field: "amount".into() },
        ),
        ("a document type", inner.replace("?><jdpay>", "?><!DOCTYPE jdpay><jdpay>"), malformed("encrypt")),
        ("an entity", inner.replace(">T1<", ">&x;<"), malformed("encrypt")),
        ("another root", inner.replace("jdpay>", "xml>"), malformed("encrypt")),
        ("no XML", "tradeNum=T1&sign=x".to_owned(), malformed("encrypt")),
        ("nothing", String::new(), malformed("encrypt")),
    ];
    for (label, inner, expected) in cases {
        assert_eq!(refuse(&sealed(&inner)), expected, "{label}");
    }
    let long = good.replace("</jdpay>", &format!("<note>{}</note></jdpay>", "x".repeat(16_384)));
    assert_eq!(refuse(&genuine(&long)), Rejection::Signature, "longer than the platform writes");
}

#[test]
fn only_the_platforms_signature_over_the_hexadecimal_text_counts() {
    let document = document(&[]);
    let name = sha256(&document);
    let by = |pair: &RsaKeyPair, payload: &[u8]| STANDARD.encode(sign_payload(pair, payload).unwrap());
    let with_info = |text: &str| STANDARD.encode(sign_sha256(&PAIR, text.as_bytes()).unwrap());
    let good = sign_payload(&PAIR, name.as_bytes()).unwrap();
    for (label, sign) in [
        ("a stranger's", by(&STRANGER, name.as_bytes())),
        ("over the digest's bytes", by(&PAIR, digest::digest(&digest::SHA256, document.as_bytes()).as_ref())),
        ("over capitals", by(&PAIR, name.to_uppercase().as_bytes())),
        ("over MD5", by(&PAIR, DigestHash::Md5.hex_of(&[document.as_bytes()], HexCase::Lower).as_bytes())),
        ("over another text", signature(&document.replace("T1", "T2"))),
        ("SHA256withRSA over the text", with_info(&document)),
        ("SHA256withRSA over the hexadecimal text", with_info(&name)),
        ("cut", STANDARD.encode(&good[1..])),
        ("longer", STANDARD.encode([good.as_slice(), &[0]].concat())),
        ("zero", STANDARD.encode([0; 256])),
    ] {
        assert_eq!(refuse(&sealed(&with_sign(&document, &sign))), Rejection::Signature, "{label}");
    }
    for (from, to) in [(">1000<", ">100000<"), (">T1<", ">T2<"), ("<status>2<", "<status>3<")] {
        let sent = with_sign(&document.replace(from, to), &signature(&document));
        assert_eq!(refuse(&sealed(&sent)), Rejection::Signature, "{to}");
    }
}

#[test]
fn what_cannot_be_understood_is_held() {
    let missing = |field: &str| Concern::MissingField { field: field.into() };
    let unknown = |field: &str, value: &str| Concern::UnknownValue { field: field.into(), value: value.into() };
    let unreadable = |field: &str| Concern::UnreadableAmount { field: field.into() };
    let payment = EventKind::PaymentSucceeded;
    let other = EventKind::Other;
    let cases: Vec<(Vec<Change>, EventKind, Concern)> = vec![
        (vec![("status", Some("0"))], other, unknown("status", "0")),
        (vec![("status", Some("02"))], other, unknown("status", "02")),
        (vec![("status", Some("SUCCESS"))], other, unknown("status", "SUCCESS")),
        (vec![("status", None)], other, missing("status")),
        (vec![("tradeType", Some("2"))], other, unknown("tradeType", "2")),
        (vec![("tradeType", None)], other, missing("tradeType")),
        (vec![("tradeNum", Some(" "))], other, missing("tradeNum")),
        (vec![("tradeType", Some("1")), ("status", Some("1"))], EventKind::RefundSucceeded, missing("oTradeNum")),
        (vec![("tradeType", Some("1"))], other, unknown("status", "2")),
        (vec![("status", Some("1"))], other, unknown("status", "1")),
        (vec![("amount", None)], payment, missing("amount")),
        (vec![("amount", Some("10.00"))], payment, unreadable("amount")),
        (vec![("amount", Some("-1"))], payment, unreadable("amount")),
        (vec![("amount", Some("1e3"))], payment, unreadable("amount")),
        (vec![("amount", Some("１"))], payment, unreadable("amount")),
        (vec![("amount", Some("99999999999999999999"))], payment, unreadable("amount")),
        (vec![("currency", None)], payment, missing("currency")),
        (vec![("currency", Some("RMB"))], payment, unknown("currency", "RMB")),
        (vec![("currency", Some("JPY"))], payment, unknown("currency", "JPY")),
        (vec![("currency", Some("cny"))], payment, unknown("currency", "cny")),
        (vec![("tradeTime", None)], payment, missing("tradeTime")),
        (vec![("tradeTime", Some("2026-11-21 12:00:00"))], payment, missing("tradeTime")),
        (vec![("tradeTime", Some("20261321120000"))], payment, missing("tradeTime")),
        (vec![("merchant", None)], payment, missing("merchant")),
        (vec![("merchant", Some("110000000002"))], payment, Concern::ForeignPayee { payee: "110000000002".into() }),
        (vec![("result", Some("<code>000001</code>"))], other, unknown("result/code", "000001")),
        (vec![("result", Some("000000"))], other, missing("result/code")),
        (vec![("result", Some("<code></code>"))], other, missing("result/code")),
        (vec![("result", Some("<desc>success</desc>"))], other, missing("result/code")),
        (vec![("result", None)], other, missing("result/code")),
        (
            vec![("result", None), ("tradeType", Some("1")), ("status", Some("1")), ("oTradeNum", Some("T1"))],
            other,
            missing("result/code"),
        ),
    ];
    for (changes, kind, concern) in cases {
        let notification = accept(&genuine(&document(&changes)));
        assert_eq!(notification.concerns, [concern], "{changes:?}");
        assert_eq!((notification.facts.len(), notification.facts[0].kind), (1, kind), "{changes:?}");
    }
    let long = "x".repeat(300);
    let notification = accept(&genuine(&document(&[("tradeNum", Some(&long))])));
    assert_eq!(notification.facts[0].kind, EventKind::Other);
    assert!(notification.concerns.iter().any(|concern| concern.word() == "unknown_value"));
    assert!(notification.platform_id.starts_with("notice:"), "{}", notification.platform_id);
}

#[test]
fn a_notice_for_another_merchant_stays_in_that_merchants_scope() {
    let notification = accept(&genuine(&document(&[("merchant", Some("110000000002"))])));
    assert_eq!(notification.facts[0].scope.account, "110000000002");
    assert_eq!(notification.scope.account, "110000000002");
}

#[test]
fn money_is_read_in_fen_of_its_currency() {
    for (amount, currency, minor) in
        [("0", "CNY", 0), ("1", "CNY", 1), ("00100", "CNY", 100), ("9007199254740993", "CNY", 9_007_199_254_740_993)]
    {
        let notification = accept(&genuine(&document(&[("amount", Some(amount)), ("currency", Some(currency))])));
        assert_eq!(notification.facts[0].signed_money().map(|money| money.minor), Some(minor), "{amount}");
    }
    // No source says whether a dollar has cents here, or a yen has none.
    let means = Some("<pay><currency>USD</currency></pay>");
    let dollars = accept(&genuine(&document(&[("currency", None), ("payList", means)])));
    assert_eq!(dollars.facts[0].amount, Amount::Unreadable);
    assert_eq!(dollars.concerns, [Concern::UnknownValue { field: "currency".into(), value: "USD".into() }]);
}

#[test]
fn a_repetition_in_another_writing_is_the_same_notification() {
    let first = accept(&genuine(&document(&[("note", Some("a"))])));
    let again = accept(&genuine(&document(&[("note", Some("b"))])));
    assert_eq!(first.key(), again.key());
    for changes in [
        [("amount", Some("1001"))],
        [("tradeNum", Some("T2"))],
        [("tradeTime", Some("20261121120001"))],
        [("tradeType", Some("1"))],
    ] {
        assert_ne!(first.key(), accept(&genuine(&document(&changes))).key(), "{changes:?}");
    }
}

#[test]
fn fields_are_those_of_the_inside() {
    let more = "<pay><payType>0</payType></pay><pay><payType>1</payType></pay>";
    let request = genuine(&document(&[("payList", Some(more)), ("note", Some("a &amp; b"))]));
    let fields = channel().fields(&request);
    let value = |path: &str| fields.iter().find(|(known, _)| known == path).map(|(_, value)| value.as_str());
    assert_eq!((value("tradeNum"), value("note"), value("sign")), (Some("T1"), Some("a & b"), None));
    assert_eq!((value("payList/pay/payType"), value("payList/pay[2]/payType")), (Some("0"), Some("1")));
    assert_eq!(value("encrypt"), None);
    // Of a text that was signed without its line ends the signed one is shown.
    let signed = document(&[]);
    let sent = with_sign(&signed.replace("<tradeNum>T1", "<tradeNum>T\t\n1"), &signature(&signed));
    assert_eq!(channel().fields(&sealed(&sent)), channel().fields(&genuine(&signed)));
    // What nothing proves is not shown.
    assert!(channel().fields(&sealed(&with_sign(&signed, &signature("another text")))).is_empty());
    assert!(channel().fields(&request_of("text/xml", "<jdpay/>")).is_empty());
}

fn request_of(media: &'static str, body: &str) -> RawRequest {
    request(media, body)
}

#[test]
fn requests_are_recognised_by_shape_and_merchant() {
    let good = genuine(&document(&[]));
    assert_eq!(channel().recognise(&good), Likeness::Merchant);
    let body = String::from_utf8(good.body.to_vec()).unwrap();
    let with = |from: &str, to: &str| channel().recognise(&request("text/xml", body.replace(from, to)));
    assert_eq!(with(MERCHANT, "110000000002"), Likeness::Shape);
    assert_eq!(with("jdpay>", "xml>"), Likeness::No);
    assert_eq!(with("encrypt>", "sealed>"), Likeness::No);
    assert_eq!(with("?>", ""), Likeness::No);
}

#[test]
fn settings_that_prove_nothing_are_refused() {
    let key = |text: &str| SettingValue::Key(text.as_bytes().to_vec().into());
    let error = |name: &'static str, value: SettingValue| {
        let error = build(&settings().with(name, value)).err().unwrap_or_else(|| panic!("{name}: taken"));
        (error.setting, error.word)
    };
    assert_eq!(error("merchant", SettingValue::Text("1 2".into())), ("merchant", "malformed_id"));
    assert_eq!(error("merchant", SettingValue::Text("1".repeat(33))), ("merchant", "malformed_id"));
    assert_eq!(error("des_key", key("")), ("des_key", "missing"));
    assert_eq!(error("des_key", key("not base64!")), ("des_key", "malformed"));
    assert_eq!(error("des_key", key("AQIDBAUGBwgJCgsMDQ4PEA==")), ("des_key", "out_of_range"));
    // Used as it is, without its base64.
    assert_eq!(error("des_key", key("0123456789abcdefghijklmn")), ("des_key", "out_of_range"));
    assert_eq!(error("payout_salt_key", key("short")), ("payout_salt_key", "too_short"));
    assert_eq!(error("payout_sign_types", SettingValue::Texts(vec![])), ("payout_sign_types", "empty_list"));
    assert_eq!(
        error("payout_sign_types", SettingValue::Texts(vec!["MD5".into()])),
        ("payout_sign_types", "unknown_word")
    );
    let without = simulate::other_side().settings().with("payout_sign_types", SettingValue::Texts(vec!["SHA".into()]));
    assert_eq!(build(&without).err().map(|error| (error.setting, error.word)), Some(("payout_salt_key", "missing")));
}

#[test]
fn replies_are_exact() {
    let channel = channel();
    let reply = |answer| {
        let reply = channel.answer(answer, None);
        (reply.status, reply.body)
    };
    assert_eq!(reply(Answer::Success), (200, Bytes::from_static(b"success")));
    assert_eq!(reply(Answer::Failure(Failure::Refused)), (400, Bytes::from_static(b"fail")));
    assert_eq!(reply(Answer::Failure(Failure::Busy)), (503, Bytes::from_static(b"fail")));
    assert_eq!(reply(Answer::Failure(Failure::NotYet)), (503, Bytes::from_static(b"fail")));
    let ack = |status, body: &[u8]| channel.is_ack(&AppReply { status, body }, None);
    assert_eq!(ack(200, b"success"), AckMatch::Exact);
    assert_eq!(ack(200, b"success\n"), AckMatch::Trimmed);
    for (status, body) in [(200, &b"ok"[..]), (200, b"SUCCESS"), (200, b"fail"), (500, b"success"), (200, b"")] {
        assert_eq!(ack(status, body), AckMatch::No, "{status}");
    }
    // An XML answer with the word in it is none.
    assert_eq!(ack(200, b"<xml><code>success</code></xml>"), AckMatch::Within);
}

#[test]
fn nothing_of_a_key_is_shown() {
    let shown = format!("{:?} {:?}", Config::build(&settings()).unwrap(), channel().keys());
    for secret in [DES_KEY, SALT_KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
