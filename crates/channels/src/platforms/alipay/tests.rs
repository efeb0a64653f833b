//! Tests of the whole channel: the order of the checks, the signature's variants, the settings.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::*;
use crate::form;
#[cfg(feature = "simulate")]
use crate::model::EventKind;
use crate::model::{Concern, Environment, Notification, Proof};
use crate::settings::{SettingValue, Settings};
use crate::signature::key::{PublicKey, to_pem};
use crate::signature::rsa::sign_sha256;

pub(super) const APP_ID: &str = "2021000000000000";
pub(super) const SELLER_ID: &str = "2088000000000001";

static PAIR: LazyLock<Arc<RsaKeyPair>> = LazyLock::new(|| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

pub(super) fn text(value: &str) -> SettingValue {
    SettingValue::Text(value.into())
}

pub(super) fn texts(values: &[&str]) -> SettingValue {
    SettingValue::Texts(values.iter().map(|value| (*value).to_owned()).collect())
}

fn key(bytes: &[u8]) -> SettingValue {
    SettingValue::Key(Zeroizing::new(bytes.to_vec()))
}

fn merchant() -> Settings {
    Settings::new(Environment::Live).with("app_id", text(APP_ID)).with("seller_id", texts(&[SELLER_ID]))
}

pub(super) fn own_settings() -> Settings {
    merchant().with("alipay_public_key", key(PublicKey::of_pair("k", &PAIR).unwrap().to_pem().as_bytes()))
}

pub(super) fn request(body: impl Into<Vec<u8>>) -> RawRequest {
    let mut headers = HeaderMap::new();
    let odd = HeaderValue::from_static("application/x-www-form-urlencoded; text/html; charset=utf-8");
    headers.insert("content-type", odd);
    RawRequest {
        method: Method::POST,
        path: "/notify/alipay".into(),
        query: None,
        headers,
        body: Bytes::from(body.into()),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

type Pairs<'p> = Vec<(&'p str, &'p [u8])>;

/// Signs by V1 with empty values kept.
pub(super) fn signed(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    signed_over(pairs, |name, _| name != "sign_type")
}

fn signed_over(pairs: &[(&str, &[u8])], is_covered: fn(&str, &[u8]) -> bool) -> Vec<u8> {
    let mut all: Pairs<'_> = pairs.to_vec();
    if !pairs.iter().any(|(name, _)| *name == "sign_type") {
        all.push(("sign_type", b"RSA2"));
    }
    let mut sorted: Pairs<'_> = all.iter().filter(|(name, value)| is_covered(name, value)).copied().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let message = sorted.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat()).collect::<Vec<_>>();
    let signature = STANDARD.encode(sign_sha256(&PAIR, &message.join(&b'&')).unwrap());
    all.push(("sign", signature.as_bytes()));
    form::encode(all.iter().map(|(name, value)| (name.as_bytes(), *value)))
}

pub(super) fn trade() -> Pairs<'static> {
    vec![
        ("app_id", APP_ID.as_bytes()),
        ("charset", b"utf-8"),
        ("notify_type", b"trade_status_sync"),
        ("notify_id", b"n1"),
        ("notify_time", b"2026-11-21 15:56:25"),
        ("trade_no", b"2026112122001"),
        ("out_trade_no", b"T1"),
        ("trade_status", b"TRADE_SUCCESS"),
        ("total_amount", b"88.80"),
        ("seller_id", SELLER_ID.as_bytes()),
        ("gmt_payment", b"2026-11-21 15:56:24"),
    ]
}

/// Replaces or adds a field.
pub(super) fn set<'p>(pairs: &mut Pairs<'p>, name: &'p str, value: &'p str) {
    pairs.retain(|(own, _)| *own != name);
    pairs.push((name, value.as_bytes()));
}

fn channel(settings: &Settings) -> Alipay {
    Alipay { config: Arc::new(Config::build(settings).unwrap()), fetched: Arc::new([]), fetched_notes: Vec::new() }
}

/// While the certificates of the vectors are valid.
fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

fn verify(settings: &Settings, request: &RawRequest) -> Verdict {
    channel(settings).verify(request, now())
}

#[track_caller]
pub(super) fn genuine(settings: &Settings, body: Vec<u8>) -> (Notification, String) {
    match verify(settings, &request(body)) {
        Verdict::Genuine(proven) => {
            let (notification, Proof::Signature { variant, .. }) = proven.into_parts() else {
                panic!("not by a signature")
            };
            (notification, variant)
        }
        other => panic!("{other:?}"),
    }
}

/// The fields that are shown of a message.
pub(super) fn fields(settings: &Settings, body: Vec<u8>) -> Vec<(String, String)> {
    build(settings).unwrap().fields(&request(body))
}

#[track_caller]
fn refused(settings: &Settings, request: &RawRequest) -> Rejection {
    match verify(settings, request) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/alipay/", $name))
    };
}

mod real;
mod sm2;

#[test]
fn messages_signed_elsewhere_verify_under_exactly_one_rule() {
    let rsa2 = merchant().with("alipay_public_key", key(vector!("rsa2.txt")));
    for (body, variant) in [
        (&vector!("trade-v1.form")[..], "v1-keep"),
        (vector!("notice-v2.form"), "v2-keep"),
        (vector!("trade-gbk.form"), "v1-keep"),
        (vector!("trade-keep-empty.form"), "v1-keep"),
        (vector!("trade-skip-empty.form"), "v1-skip-empty"),
    ] {
        let (notification, found) = genuine(&rsa2, body.to_vec());
        assert_eq!((found.as_str(), notification.concerns), (variant, vec![]));
    }
    assert!(
        fields(&rsa2, vector!("trade-gbk.form").to_vec())
            .contains(&("subject".into(), "会员 \"A&B\" 100% + 年费".into()))
    );

    let sha1 = merchant().with("alipay_public_key", key(vector!("rsa-1024.txt"))).with("sign_types", texts(&["RSA"]));
    assert_eq!(genuine(&sha1, vector!("trade-sha1.form").to_vec()).1, "v1-keep");
    let algorithm = refused(&rsa2, &request(vector!("trade-sha1.form").to_vec()));
    assert_eq!(algorithm, Rejection::Algorithm { algorithm: "RSA".into() });

    let sm2 = merchant().with("alipay_sm2_public_key", key(vector!("sm2.pem"))).with("sign_types", texts(&["SM2"]));
    assert_eq!(genuine(&sm2, vector!("trade-sm2.form").to_vec()).1, "v1-keep");
    assert_eq!(refused(&sm2, &request(vector!("trade-v1.form").to_vec())).word(), "algorithm");
}

#[test]
fn a_certificate_is_known_by_its_serial() {
    let settings = merchant().with("alipay_cert", key(vector!("certificate.crt")));
    let serial = "16894b12cc395d72618e903264183f45";
    assert_eq!(channel(&settings).keys()[0].fingerprint.as_deref(), Some(serial));
    assert_eq!(genuine(&settings, vector!("trade-certificate.form").to_vec()).1, "v1-keep");
    // A message may name no certificate at all.
    assert_eq!(genuine(&settings, vector!("trade-v1.form").to_vec()).1, "v1-keep");
    let body = String::from_utf8(vector!("trade-certificate.form").to_vec()).unwrap();
    let other = body.replace(serial, "0123456789ABCDEF0123456789abcdef");
    match verify(&settings, &request(other)) {
        Verdict::NeedsKey(request) => assert_eq!(request.serial, "0123456789abcdef0123456789abcdef"),
        verdict => panic!("{verdict:?}"),
    }
    let spoiled = body.replace(serial, "0123456789abcdef0123456789abcdef").replace("sign=", "sign=*");
    assert_eq!(refused(&settings, &request(spoiled)), Rejection::Malformed { field: "sign".into() }, "asks nobody");
    // Before and after its validity a certificate proves nothing.
    let before = "2026-11-21T05:11:53Z".parse().unwrap();
    let after = "2031-11-20T05:11:55Z".parse().unwrap();
    for time in [before, after] {
        let at = |body: &[u8]| channel(&settings).verify(&request(body), time);
        assert!(matches!(at(vector!("trade-certificate.form")), Verdict::NeedsKey(_)), "{time}");
        assert!(matches!(at(vector!("trade-v1.form")), Verdict::Refused(Rejection::Signature)), "{time}");
    }
    let odd = refused(&settings, &request(body.replace(serial, "..%2Fetc")));
    assert_eq!(odd, Rejection::UnknownKey { serial: "../etc".into() });
    // With a key instead of a certificate the name means nothing, but stays signed.
    let key_mode = merchant().with("alipay_public_key", key(vector!("rsa2.txt")));
    assert_eq!(genuine(&key_mode, body.into_bytes()).1, "v1-keep");
    // Two certificates in one file, around a rotation.
    let two = [vector!("roots.crt").split_inclusive(|b| *b == b'\n').collect::<Vec<_>>().concat(), Vec::new()].concat();
    let rsa_root = String::from_utf8(two).unwrap();
    let rsa_root = rsa_root.split_inclusive("-----END CERTIFICATE-----\n").nth(1).unwrap().to_owned();
    let both = rsa_root + std::str::from_utf8(vector!("certificate.crt")).unwrap();
    let rotating = merchant().with("alipay_cert", key(both.as_bytes()));
    assert_eq!(genuine(&rotating, vector!("trade-certificate.form").to_vec()).1, "v1-keep");
    assert_eq!(genuine(&rotating, vector!("trade-v1.form").to_vec()).1, "v1-keep");
}

#[test]
fn the_root_bundle_is_named_by_its_rsa_members() {
    let expected = "3b6fd16534bb443f25314811100c1b1f_4e0abf31b67bbe028a70062832f3ebd9";
    assert_eq!(certificate::root_serial(vector!("roots.crt")).as_deref(), Some(expected));
    assert_eq!(certificate::root_serial(b"nothing"), None);
}

#[test]
fn a_certificate_serial_is_under_the_signature() {
    let mut pairs = trade();
    pairs.push(("alipay_cert_sn", b"16894b12cc395d72618e903264183f45"));
    let within = signed_over(&pairs, |name, _| name != "sign_type");
    assert_eq!(genuine(&own_settings(), within).1, "v1-keep");
    let outside = signed_over(&pairs, |name, _| name != "sign_type" && name != "alipay_cert_sn");
    assert_eq!(refused(&own_settings(), &request(outside)), Rejection::Signature);
}

#[test]
fn blank_values_are_skipped_as_the_java_kit_does() {
    let mut pairs = trade();
    pairs.extend([("body", &b" "[..]), ("gmt_refund", b"")]);
    let body = signed_over(&pairs, |name, value| name != "sign_type" && !value.trim_ascii().is_empty());
    let (notification, variant) = genuine(&own_settings(), body);
    assert_eq!(variant, "v1-skip-blank");
    assert_eq!(notification.facts.len(), 1, "a blank `gmt_refund` is no refund");
}

#[test]
fn refusals_come_in_the_order_of_their_cost() {
    let settings = own_settings();
    let good = signed(&trade());
    let with = |change: &dyn Fn(&mut RawRequest)| {
        let mut changed = request(good.clone());
        change(&mut changed);
        refused(&settings, &changed)
    };
    assert_eq!(with(&|r| r.method = Method::GET).word(), "method");
    assert_eq!(with(&|r| r.headers.clear()).word(), "media_type");
    let json = HeaderValue::from_static("application/json");
    assert_eq!(with(&|r| drop(r.headers.insert("content-type", json.clone()))).word(), "media_type");
    let longer = HeaderValue::from_static("application/x-www-form-urlencodedx; charset=utf-8");
    assert_eq!(with(&|r| drop(r.headers.insert("content-type", longer.clone()))).word(), "media_type");
    assert_eq!(with(&|r| r.body = Bytes::new()).word(), "empty");
    let body = |text: &str| refused(&settings, &request(text.as_bytes()));
    assert_eq!(body(&"a".repeat(BODY_BYTES_MAX + 1)), Rejection::TooLarge { limit: BODY_BYTES_MAX });
    assert_eq!(body(&"a&".repeat(FIELDS_MAX + 1)), Rejection::TooManyFields { limit: FIELDS_MAX });
    assert_eq!(body("a=%zz"), Rejection::Malformed { field: "body".into() });
    assert_eq!(body("app_id=1&app%5Fid=2"), Rejection::Duplicate { field: "app_id".into() });
    assert_eq!(body("a%26b=1").word(), "malformed");
    assert_eq!(body("a%3Db=1").word(), "malformed");
    assert_eq!(body("=1").word(), "malformed");
    for (text, field) in [
        ("a=1", "sign"),
        ("sign=+", "sign"),
        ("sign=AQID", "sign_type"),
        ("sign=AQID&sign_type=RSA2", "app_id"),
        ("sign=AQID&sign_type=RSA2&app_id=1", "notify_type"),
        ("sign=AQID&sign_type=RSA2&app_id=1&notify_type=x", "notify_id"),
        ("sign=AQID&sign_type=RSA2&app_id=1&msg_method=x", "biz_content"),
    ] {
        assert_eq!(body(text), Rejection::Missing { field: field.into() }, "{text}");
    }
    let rest = "&notify_type=x&notify_id=1";
    let unknown = Rejection::UnknownMerchant { field: "app_id".into() };
    assert_eq!(body(&format!("sign=AQID&sign_type=RSA2&app_id=1{rest}")), unknown);
    let own = format!("app_id={APP_ID}{rest}");
    for sign_type in ["RSA", "SM2", "rsa2", "none", "MD5"] {
        let expected = Rejection::Algorithm { algorithm: sign_type.into() };
        assert_eq!(body(&format!("{own}&sign=AQID&sign_type={sign_type}")), expected);
    }
    assert_eq!(body(&format!("{own}&sign=AQI&sign_type=RSA2")), Rejection::Malformed { field: "sign".into() });
    assert_eq!(body(&format!("{own}&sign=AQID&sign_type=RSA2")), Rejection::Signature);
    assert_eq!(body(&format!("{own}&sign=AQID&sign_type=RSA2&x=%D6%D0")).word(), "charset");
    assert_eq!(body(&format!("{own}&sign=AQID&sign_type=RSA2&charset=gbk&x=%D6%D0")), Rejection::Signature);
}

#[test]
fn a_changed_message_is_refused() {
    let settings = own_settings();
    let good = String::from_utf8(signed(&trade())).unwrap();
    assert!(matches!(verify(&settings, &request(good.clone())), Verdict::Genuine(_)));
    for (from, to) in [
        ("total_amount=88.80", "total_amount=888.0"),
        ("total_amount=88.80&", ""),
        ("&gmt_payment=2026-11-21+15%3A56%3A24", ""),
        ("trade_no=2026112122001", "trade_no=2026112122002"),
        ("seller_id=2088", "buyer_id=2088"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        assert_eq!(refused(&settings, &request(changed)), Rejection::Signature, "{from}");
    }
    assert_eq!(refused(&settings, &request(format!("{good}&x=1"))), Rejection::Signature);
    let other = own_settings().with("alipay_public_key", key(vector!("rsa2.txt")));
    assert_eq!(refused(&other, &request(good)), Rejection::Signature);
}

#[test]
fn the_query_of_the_url_has_no_part_in_it() {
    let mut with_query = request(signed(&trade()));
    with_query.query = Some("total_amount=1&sign=x&channel=alipay".into());
    assert!(matches!(verify(&own_settings(), &with_query), Verdict::Genuine(_)));
}

#[test]
fn a_signed_browser_return_is_no_proof() {
    let pairs: Pairs<'_> = vec![
        ("app_id", APP_ID.as_bytes()),
        ("method", b"alipay.trade.page.pay.return"),
        ("out_trade_no", b"T1"),
        ("total_amount", b"88.80"),
        ("trade_no", b"2026112122001"),
    ];
    assert_eq!(refused(&own_settings(), &request(signed(&pairs))).word(), "missing");
}

#[test]
fn a_message_that_could_be_split_elsewhere_is_held() {
    // The buyer paid 0.01 for a subject of his own choice; the same signature covers both readings.
    let mut paid = trade();
    set(&mut paid, "total_amount", "0.01");
    set(&mut paid, "subject", "S&total_amount=1000.00&tp=");
    let body = signed(&paid);
    let ambiguous = |body: Vec<u8>| {
        genuine(&own_settings(), body).0.concerns.iter().any(|concern| matches!(concern, Concern::Ambiguous { .. }))
    };
    let sign = body.rsplit(|byte| *byte == b'&').next().unwrap().to_vec();
    assert!(ambiguous(body));
    set(&mut paid, "total_amount", "1000.00");
    set(&mut paid, "subject", "S");
    set(&mut paid, "tp", "&total_amount=0.01");
    set(&mut paid, "sign_type", "RSA2");
    let split = form::encode(paid.iter().map(|(name, value)| (name.as_bytes(), *value)));
    assert!(ambiguous([split, sign].join(&b'&')));
}

#[test]
fn authorising_applications_are_checked_before_any_key() {
    let isv = own_settings().with("auth_app_id", texts(&["2021000000000001", "2021000000000002"]));
    let mut pairs = trade();
    set(&mut pairs, "auth_app_id", "2021000000000002");
    assert!(genuine(&isv, signed(&pairs)).0.concerns.is_empty());
    set(&mut pairs, "auth_app_id", "2021000000000003");
    let unknown = Rejection::UnknownMerchant { field: "auth_app_id".into() };
    assert_eq!(refused(&isv, &request(signed(&pairs))), unknown);
    assert_eq!(channel(&isv).recognise(&request(signed(&pairs))), Likeness::Shape);
    // Without ISV mode the field only repeats the application; another one is another merchant's.
    let foreign = |payee: &str| Concern::ForeignPayee { payee: payee.into() };
    assert_eq!(genuine(&own_settings(), signed(&pairs)).0.concerns, [foreign("2021000000000003")]);
    let mut own = trade();
    set(&mut own, "auth_app_id", APP_ID);
    assert!(genuine(&own_settings(), signed(&own)).0.concerns.is_empty());
    pairs.retain(|(name, _)| *name != "auth_app_id" && *name != "seller_id");
    let missing = Concern::MissingField { field: "auth_app_id".into() };
    assert_eq!(genuine(&isv, signed(&pairs)).0.concerns, [missing]);
}

#[test]
fn recognition_goes_by_shape_and_application() {
    let own = channel(&own_settings());
    let like = |body: &str| own.recognise(&request(body.as_bytes()));
    assert_eq!(like(std::str::from_utf8(vector!("trade-v1.form")).unwrap()), Likeness::Merchant);
    assert_eq!(like("notify_type=x&notify_id=1&sign_type=RSA2&app_id=1"), Likeness::Shape);
    assert_eq!(like("notify_type=x&notify_id=1&sign_type=RSA2"), Likeness::Merchant);
    assert_eq!(like(&format!("msg_method=x&biz_content=1&app_id={APP_ID}")), Likeness::Merchant);
    for other in ["", "%", "pid=1&trade_status=TRADE_SUCCESS&type=alipay&money=1", "notify_type=x&notify_id=1"] {
        assert_eq!(like(other), Likeness::No, "{other}");
    }
    let mut get = request("notify_type=x&notify_id=1&sign_type=RSA2");
    get.method = Method::GET;
    assert_eq!(own.recognise(&get), Likeness::No);
}

#[test]
fn replies_are_exact_and_failures_hold_no_success() {
    let own = channel(&own_settings());
    assert_eq!(own.answer(Answer::Success, None), Reply::constant(200, "text/plain", b"success"));
    for answer in Answer::ALL.iter().filter(|answer| **answer != Answer::Success) {
        let reply = own.answer(*answer, None);
        assert_ne!(reply.status, 200);
        assert_eq!(&reply.body[..], b"fail");
    }
    let ack = |status, body: &str| own.is_ack(&AppReply { status, body: body.as_bytes() }, None);
    assert_eq!(ack(200, "success"), AckMatch::Exact);
    assert_eq!(ack(200, "\u{feff}success\r\n"), AckMatch::Trimmed);
    assert_eq!(ack(200, "Warning: x\nsuccess"), AckMatch::Within);
    for (status, body) in [(200, "SUCCESS"), (200, "fail"), (200, ""), (500, "success"), (302, "success"), (204, "")] {
        assert_eq!(ack(status, body), AckMatch::No, "{status} {body}");
    }
}

#[test]
fn a_channel_without_a_fitting_key_is_not_built() {
    let rsa2 = key(vector!("rsa2.txt"));
    let pkcs8 = PAIR.as_der().unwrap().as_ref().to_vec();
    let own_public = key(PublicKey::of_pair("k", &PAIR).unwrap().spki());
    let word = |settings: Settings| Config::build(&settings).map(drop).map_err(|error| (error.setting, error.word));
    let public = |value: SettingValue| word(merchant().with("alipay_public_key", value));
    let more = |name, value| word(merchant().with("alipay_public_key", rsa2.clone()).with(name, value));
    assert_eq!(public(rsa2.clone()), Ok(()));
    assert_eq!(word(merchant()), Err(("alipay_public_key", "missing")));
    assert_eq!(public(key(b"x")), Err(("alipay_public_key", "not_a_key")));
    assert_eq!(public(key(&pkcs8)), Err(("alipay_public_key", "private_key_given")));
    assert_eq!(public(key(vector!("certificate.crt"))), Err(("alipay_public_key", "certificate_given")));
    assert_eq!(public(key(vector!("rsa-1024.txt"))), Err(("alipay_public_key", "key_too_small")));
    assert_eq!(public(key(vector!("sm2.pem"))), Err(("alipay_public_key", "wrong_algorithm")));
    assert_eq!(more("alipay_cert", key(vector!("certificate.crt"))), Err(("alipay_public_key", "either_or")));
    assert_eq!(word(merchant().with("alipay_cert", rsa2.clone())), Err(("alipay_cert", "not_a_certificate")));
    assert_eq!(word(merchant().with("alipay_cert", key(&pkcs8))), Err(("alipay_cert", "private_key_given")));
    assert_eq!(more("sign_types", texts(&[])), Err(("sign_types", "empty_list")));
    assert_eq!(more("sign_types", texts(&["MD5"])), Err(("sign_types", "unknown_word")));
    assert_eq!(more("sign_types", texts(&["RSA2", "SM2"])), Err(("alipay_sm2_public_key", "no_key_for_algorithm")));
    assert_eq!(more("private_key", key(to_pem("PRIVATE KEY", &pkcs8).as_bytes())), Ok(()));
    assert_eq!(more("private_key", key(vector!("rsa2.txt"))), Err(("private_key", "not_a_key")));
    let own = merchant().with("alipay_public_key", own_public).with("private_key", key(&pkcs8));
    assert_eq!(word(own), Err(("alipay_public_key", "own_public_key")));
    let foreign = more("private_key", key(&pkcs8));
    assert_eq!(foreign, Ok(()));
    let relation = merchant()
        .with("alipay_public_key", rsa2.clone())
        .with("private_key", key(&pkcs8))
        .with("app_cert", key(vector!("certificate.crt")));
    assert_eq!(word(relation), Err(("app_cert", "relation")));
    assert_eq!(more("alipay_root_cert", key(b"x")), Err(("alipay_root_cert", "not_a_certificate")));
    assert_eq!(more("alipay_root_cert", key(vector!("roots.crt"))), Ok(()));
    assert_eq!(more("app_id", text(" ")), Err(("app_id", "missing")));
    assert_eq!(more("app_id", text("wx1")), Err(("app_id", "malformed_id")));
    for bad in ["1088000000000001", "208800000000000", "20880000000000011", "2088x00000000001", "shop@example.com"] {
        assert_eq!(more("seller_id", texts(&[bad])), Err(("seller_id", "malformed_id")), "{bad}");
    }
    assert_eq!(more("seller_id", texts(&[])), Err(("seller_id", "empty_list")));
    assert_eq!(more("auth_app_id", texts(&["x"])), Err(("auth_app_id", "malformed_id")));
}

#[test]
fn nothing_shows_a_key() {
    let pkcs8 = PAIR.as_der().unwrap().as_ref().to_vec();
    let settings = merchant().with("alipay_public_key", key(vector!("rsa2.txt"))).with("private_key", key(&pkcs8));
    let shown = format!("{settings:?} {:?}", channel(&settings));
    let bare = std::str::from_utf8(vector!("rsa2.txt")).unwrap();
    assert!(!shown.contains(&bare[40..80]));
    assert!(!shown.contains(&STANDARD.encode(&pkcs8)[40..60]));
    let notes = channel(&settings).keys();
    assert_eq!(notes.len(), 2);
    assert!(notes.iter().all(|note| note.algorithm == "RSA 2048" && note.fingerprint.is_some()));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn no_body_panics(body in "(&?(app_id|sign|sign_type|notify_type|notify_id|msg_method|biz_content|charset|[a-z]{0,3})\
        (=|%3D|%)?(RSA2|2021000000000000|AQID|gbk|%D6|[+%&={}]{0,3})){0,12}") {
        let verdict = verify(&own_settings(), &request(body));
        proptest::prop_assert!(!matches!(verdict, Verdict::Genuine(_)));
    }

    /// Whatever Alipay signs is genuine, and read without a panic.
    #[test]
    fn no_signed_value_panics(
        field in proptest::sample::select(vec![
            "charset", "notify_type", "notify_id", "notify_time", "trade_no", "out_trade_no", "trade_status",
            "total_amount", "seller_id", "refund_fee", "gmt_refund", "out_biz_no", "trans_currency", "msg_method",
            "biz_content", "subject",
        ]),
        value in proptest::collection::vec(proptest::num::u8::ANY, 1..24),
    ) {
        proptest::prop_assume!(!value.trim_ascii().is_empty());
        let mut pairs = trade();
        pairs.retain(|(name, _)| *name != field);
        if field == "biz_content" {
            pairs.push(("msg_method", b"alipay.fund.trans.order.changed"));
            pairs.retain(|(name, _)| *name != "notify_type");
        }
        if field == "msg_method" {
            pairs.push(("biz_content", b"{}"));
        }
        pairs.push((field, &value));
        let (notification, _) = genuine(&own_settings(), signed(&pairs));
        proptest::prop_assert!(!notification.facts.is_empty());
        proptest::prop_assert!(!notification.key().platform_id.is_empty());
    }
}

#[cfg(feature = "simulate")]
#[test]
fn every_story_of_the_other_side_is_genuine() {
    use crate::simulate::Story;

    let side = (PLATFORM.simulate)();
    let channel = (PLATFORM.build)(&side.settings()).unwrap();
    for kind in side.stories() {
        let at: Timestamp = "2026-11-21T07:56:24Z".parse().unwrap();
        let mut story = Story::paid("T1", 1000, at);
        story.kind = *kind;
        story.note = "订单 + % & = \"quoted\" <b>".into();
        if *kind == EventKind::RefundSucceeded {
            story.refunded_minor = 400;
            story.refund_no = Some("R1".into());
        }
        let genuine = side.callback(&story);
        assert_eq!(channel.recognise(&genuine.request), Likeness::Merchant, "{kind}");
        let Verdict::Genuine(proven) = channel.verify(&genuine.request, at) else { panic!("{kind}") };
        let notification = proven.value();
        assert!(notification.facts.iter().any(|fact| fact.kind == *kind), "{kind}");
        assert_eq!(notification.concerns, [], "{kind}");
        assert_eq!(notification.sent_at, Some(at), "{kind}");
    }
    let mut other = (PLATFORM.simulate)();
    other.import(&side.export()).unwrap();
    assert_eq!(other.export(), side.export());
    assert!(other.import(b"x").is_err());
}
