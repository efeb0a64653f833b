//! Tests of the whole channel: the order of the checks, the algorithms, the settings, the answers.

#[cfg(feature = "simulate")]
mod chain;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::*;
use crate::form;
use crate::model::{Concern, Environment, EventKind, Notification, Proof};
use crate::platforms::failure::tests::FAILURES;
use crate::settings::SettingValue;

pub(super) const MER_ID: &str = "777290058110048";
pub(super) const SECURE_KEY: &str = "979da4cfccbae7923641daa5dd7047c2";

/// A day in the life of the real certificates.
pub(super) const DAY: &str = "2017-10-30T14:36:23Z";

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn texts(values: &[&str]) -> SettingValue {
    SettingValue::Texts(values.iter().map(|value| (*value).to_owned()).collect())
}

pub(super) fn key(bytes: impl AsRef<[u8]>) -> SettingValue {
    SettingValue::Key(Zeroizing::new(bytes.as_ref().to_vec()))
}

pub(super) fn merchant(environment: Environment) -> Settings {
    Settings::new(environment).with("mer_id", texts(&[MER_ID]))
}

/// A channel with a secure key for both digests.
pub(super) fn keyed() -> Settings {
    merchant(Environment::Live).with("secure_key", key(SECURE_KEY)).with("sign_methods", texts(&["11", "12"]))
}

pub(super) fn request(body: impl Into<Vec<u8>>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8"));
    RawRequest {
        method: Method::POST,
        path: "/notify/unionpay".into(),
        query: None,
        headers,
        body: Bytes::from(body.into()),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

pub(super) type Pairs<'p> = Vec<(&'p str, &'p str)>;

/// The pairs of the published vectors.
pub(super) fn payment(method: &str) -> Pairs<'_> {
    vec![
        ("accNo", "6216***********0018"),
        ("bizType", "000201"),
        ("encoding", "UTF-8"),
        ("merId", MER_ID),
        ("orderId", "20240101120000"),
        ("queryId", "xx"),
        ("respCode", "00"),
        ("respMsg", "success"),
        ("signMethod", method),
        ("txnAmt", "1000"),
        ("txnTime", "20240101120000"),
        ("txnType", "01"),
        ("version", "5.1.0"),
    ]
}

/// Replaces or adds a field.
pub(super) fn set<'p>(pairs: &mut Pairs<'p>, name: &'p str, value: &'p str) {
    pairs.retain(|(own, _)| *own != name);
    pairs.push((name, value));
}

pub(super) fn body(pairs: &[(&str, &str)]) -> Vec<u8> {
    form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// Signs with the secure key, by the digest that the pairs name; leaves out what `is_covered` says.
pub(super) fn signed_over(pairs: &[(&str, &str)], is_covered: fn(&str) -> bool) -> Vec<u8> {
    let is_sm3 = pairs.contains(&("signMethod", "12"));
    let hash = if is_sm3 { DigestHash::Sm3 } else { DigestHash::Sha256 };
    let of = |text: &str| hash.hex_of(&[text.as_bytes()], HexCase::Lower);
    let mut sorted: Pairs<'_> = pairs.iter().copied().filter(|(_, value)| is_covered(value)).collect();
    sorted.sort_unstable();
    let parts: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let signature = of(&format!("{}&{}", parts.join("&"), of(SECURE_KEY)));
    let mut all = pairs.to_vec();
    all.push(("signature", &signature));
    body(&all)
}

pub(super) fn signed(pairs: &[(&str, &str)]) -> Vec<u8> {
    signed_over(pairs, |_| true)
}

pub(super) fn verify(settings: &Settings, request: &RawRequest, now: &str) -> Verdict {
    build(settings).unwrap().verify(request, at(now))
}

#[track_caller]
pub(super) fn genuine(settings: &Settings, body: Vec<u8>) -> (Notification, String, String) {
    match verify(settings, &request(body), DAY) {
        Verdict::Genuine(proven) => {
            let (notification, Proof::Signature { key, variant }) = proven.into_parts() else {
                panic!("not by a signature")
            };
            (notification, key, variant)
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn refused(settings: &Settings, request: &RawRequest, now: &str) -> Rejection {
    match verify(settings, request, now) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/unionpay/", $name))
    };
}

/// The merchant of the real notice, in UnionPay's test environment.
fn real(environment: Environment) -> Settings {
    Settings::new(environment)
        .with("mer_id", texts(&["777290058146592"]))
        .with("root_cert", key(vector!("root.cer")))
        .with("middle_cert", key(vector!("middle.cer")))
}

#[test]
fn a_real_notice_is_proven_by_its_chain() {
    let sandbox = real(Environment::Sandbox);
    let (notification, key_name, variant) = genuine(&sandbox, vector!("token.form").to_vec());
    assert_eq!((key_name.as_str(), variant.as_str()), ("68759585097", "keep"));
    assert_eq!(notification.concerns, vec![]);
    assert_eq!(notification.sent_at, Some(at(DAY)));
    assert_eq!(notification.platform_kind, "79");
    assert_eq!(notification.facts.iter().map(|fact| fact.kind).collect::<Vec<_>>(), [EventKind::Other]);
    let shown = build(&sandbox).unwrap().fields(&request(&vector!("token.form")[..]));
    assert!(
        shown.iter().any(|(name, value)| name == "tokenPayData" && value.starts_with("{token=6235240000020757577&"))
    );

    let notice = request(&vector!("token.form")[..]);
    let unknown = Rejection::UnknownKey { serial: "68759585097".into() };
    for time in ["2015-12-04T03:25:20Z", "2017-12-04T03:25:22Z", "2026-11-21T00:00:00Z"] {
        assert_eq!(refused(&sandbox, &notice, time), unknown, "{time}");
    }
    for time in ["2015-12-04T03:25:21Z", "2017-12-04T03:25:21Z"] {
        assert!(matches!(verify(&sandbox, &notice, time), Verdict::Genuine(_)), "{time}");
    }
}

#[test]
fn every_way_to_spoil_a_real_notice_is_refused() {
    let sandbox = real(Environment::Sandbox);
    let whole = String::from_utf8(vector!("token.form").to_vec()).unwrap();
    for (from, to, word) in [
        ("%0D%0A", "%0A", "signature"),
        ("CERTIFICATE-----%0D%0AMIIE", "CERTIFICATE-----%0AMIIE", "signature"),
        ("respCode=00", "respCode=01", "signature"),
        ("accessType=0&", "", "signature"),
        ("encoding=utf-8", "encoding=UTF-8", "signature"),
        ("signPubKeyCert=", "other=", "missing"),
        ("END+CERTIFICATE-----", "END+CERTIFICATE-----%26a%3D1", "malformed"),
        ("%2Bz", "+z", "malformed"),
        ("777290058146592", "777290058146593", "unknown_merchant"),
        ("signMethod=01", "signMethod=11", "algorithm"),
        ("version=5.1.0", "version=5.0.0", "algorithm"),
        ("signature=bgBk", "signature=bgBl", "signature"),
        ("signature=bgBk", "signature=gBk", "malformed"),
        ("signature=bgBk", "signature=++++", "malformed"),
        ("signature=bgBk", "Signature=bgBk", "missing"),
        ("encoding=", "a.b=", "malformed"),
    ] {
        assert!(whole.contains(from), "{from}");
        let spoiled = if from == "%0D%0A" { whole.replace(from, to) } else { whole.replacen(from, to, 1) };
        let rejection = refused(&sandbox, &request(spoiled), DAY);
        assert_eq!(rejection.word(), word, "{from} → {to}: {rejection}");
    }
    let legacy = refused(&sandbox, &request(whole.replace("5.1.0", "5.0.0")), DAY);
    assert_eq!(legacy, Rejection::Algorithm { algorithm: "version 5.0.0".into() });
    let query = RawRequest { query: Some("respCode=01".into()), ..request(whole.clone()) };
    assert!(matches!(verify(&sandbox, &query, DAY), Verdict::Genuine(_)), "the query takes no part");
    let empty = format!("{whole}&origQryId=&respcode=");
    assert!(matches!(verify(&sandbox, &request(empty), DAY), Verdict::Genuine(_)), "empty pairs say nothing");
}

#[test]
fn a_pinned_certificate_needs_no_chain_and_bounds_it() {
    let form = Form::parse(vector!("token.form"), LIMITS).unwrap();
    let leaf = form.present("signPubKeyCert").unwrap().to_vec();
    let pinned = Settings::new(Environment::Sandbox)
        .with("mer_id", texts(&["777290058146592"]))
        .with("unionpay_cert", key(&leaf));
    assert_eq!(genuine(&pinned, vector!("token.form").to_vec()).1, "68759585097");
    let both = real(Environment::Sandbox).with("unionpay_cert", key(&leaf));
    assert_eq!(genuine(&both, vector!("token.form").to_vec()).1, "68759585097");
    let notice = request(&vector!("token.form")[..]);
    assert_eq!(
        refused(&pinned, &notice, "2018-01-01T00:00:00Z").word(),
        "unknown_key",
        "a pin ends with its certificate"
    );
    let mut live = pinned;
    live.environment = Environment::Live;
    let error = build(&live).err().unwrap();
    assert_eq!((error.setting, error.word), ("unionpay_cert", "test_certificate"));
}

/// The keys of the test environment are in many hands, and its authority signs with a weak digest.
#[test]
fn a_live_channel_takes_no_file_of_the_test_environment() {
    let word = |settings: &Settings| build(settings).err().map(|error| (error.setting, error.word));
    assert_eq!(word(&real(Environment::Sandbox)), None);
    assert_eq!(word(&real(Environment::Live)), Some(("root_cert", "test_certificate")));
    let error = build(&real(Environment::Live)).err().unwrap();
    assert!(error.detail.as_deref().is_some_and(|issuer| issuer.contains("CFCA TEST")), "{error}");
    // Also where the methods leave it without use.
    let unused = real(Environment::Live).with("secure_key", key(SECURE_KEY)).with("sign_methods", texts(&["11"]));
    assert_eq!(word(&unused), Some(("root_cert", "test_certificate")));
}

/// The published vectors of both digests.
#[test]
fn secure_keys_prove_by_either_digest() {
    for (method, signature) in [
        ("11", "fb8c516c197af84d5d959818c9cb26dbf9b43f0fdc5345f8057387dd6aef0f52"),
        ("12", "d0734a6bd4d5f4e984fba5fc2b1dc7732e4ea1c0db27a37fc19b733c2ebbe7a8"),
    ] {
        let mut pairs = payment(method);
        pairs.push(("signature", signature));
        let (notification, key, variant) = genuine(&keyed(), body(&pairs));
        assert_eq!((key.as_str(), variant.as_str()), ("secure_key", "keep"));
        assert_eq!(body(&pairs), signed(&payment(method)), "the tests sign as the vector says");
        // No trace number is in the vector.
        assert_eq!(notification.concerns, [Concern::MissingField { field: "traceNo".into() }]);
        for wrong in [signature.to_uppercase(), signature[1..].to_owned(), format!("{signature} "), "0".repeat(64)] {
            let mut pairs = payment(method);
            pairs.push(("signature", &wrong));
            assert_eq!(refused(&keyed(), &request(body(&pairs)), DAY), Rejection::Signature, "{wrong}");
        }
    }
    let text: Vec<String> = payment("01").iter().map(|(name, value)| format!("{name}={value}")).collect();
    let hashed = DigestHash::Sha256.hex_of(&[text.join("&").as_bytes()], HexCase::Lower);
    assert_eq!(hashed, "09e74c8c2e09a10c777eada8aba6d03f121cbde7b4ba19ebc76b90d9c51b2182");
}

#[test]
fn the_configuration_chooses_the_algorithm() {
    let only_sha256 = merchant(Environment::Live).with("secure_key", key(SECURE_KEY));
    let listed = |methods: &[&str]| {
        real(Environment::Sandbox).with("secure_key", key(SECURE_KEY)).with("sign_methods", texts(methods))
    };
    let of = |settings: Settings| settings.with("mer_id", texts(&[MER_ID, "777290058146592"]));
    for (settings, allowed) in [
        (of(only_sha256), &["11"][..]),
        (of(real(Environment::Sandbox)), &["01"]),
        (of(real(Environment::Sandbox).with("secure_key", key(SECURE_KEY))), &["01"]),
        (of(listed(&["01", "12"])), &["01", "12"]),
        (of(listed(&["11", "12"])), &["11", "12"]),
        (of(listed(&["12"])), &["12"]),
    ] {
        for method in ["01", "11", "12", "02", "1", "011", "rsa"] {
            let body = if method == "01" { vector!("token.form").to_vec() } else { signed(&payment(method)) };
            let verdict = verify(&settings, &request(body), DAY);
            if allowed.contains(&method) {
                assert!(matches!(verdict, Verdict::Genuine(_)), "{allowed:?}: {method}: {verdict:?}");
            } else {
                let Verdict::Refused(rejection) = verdict else { panic!("{allowed:?}: {method}: {verdict:?}") };
                assert_eq!(rejection, Rejection::Algorithm { algorithm: method.into() });
            }
        }
    }
}

#[test]
fn blank_values_are_signed_or_left_out() {
    let mut pairs = payment("11");
    set(&mut pairs, "currencyCode", "156");
    pairs.extend([("reserved", ""), ("reqReserved", " "), ("traceNo", "123456")]);
    let ways = [
        (signed(&pairs), "keep"),
        (signed_over(&pairs, |value| !value.is_empty()), "skip-empty"),
        (signed_over(&pairs, |value| !value.trim().is_empty()), "skip-blank"),
    ];
    for (body, variant) in ways {
        let (notification, _, found) = genuine(&keyed(), body);
        assert_eq!((found.as_str(), notification.concerns), (variant, vec![]));
    }
    // A genuine value that was blanked is not the same text.
    let body = String::from_utf8(signed(&payment("11"))).unwrap().replace("respCode=00", "respCode=");
    assert_eq!(refused(&keyed(), &request(body), DAY), Rejection::Signature);
}

#[test]
fn refusals_come_in_the_order_of_their_cost() {
    let good = String::from_utf8(signed(&payment("11"))).unwrap();
    let check = |body: &str, expected: &str| {
        let rejection = refused(&keyed(), &request(body.to_owned()), DAY);
        assert_eq!(rejection.word(), expected, "{body}");
    };
    check("", "empty");
    check("%", "malformed");
    check(&"a".repeat(BODY_BYTES_MAX + 1), "too_large");
    check(&"a=1&".repeat(FIELDS_MAX + 1), "too_many_fields");
    check(&format!("{good}&respCode=00"), "duplicate_field");
    check(&format!("{good}&resp%43ode=00"), "duplicate_field");
    check(&format!("{good}&a%5B%5D="), "malformed");
    check(&format!("{good}&=1"), "malformed");
    check(&good.replace("signature=", "sig="), "missing");
    check(&good.replace("&merId", "&mer"), "missing");
    check(&good.replace("version=5.1.0", "version="), "missing");
    check(&good.replace("signMethod=11", "signMethod="), "missing");
    check(&good.replace("success", "%FF"), "charset");
    check(&good.replace("success", "succes"), "signature");
    let get = RawRequest { method: Method::GET, ..request(good.clone()) };
    assert_eq!(refused(&keyed(), &get, DAY).word(), "method");
    let mut json = request(good);
    json.headers.insert("content-type", HeaderValue::from_static("application/json"));
    assert_eq!(refused(&keyed(), &json, DAY).word(), "media_type");
}

#[test]
fn requests_are_recognised_by_shape_and_merchant() {
    let channel = build(&keyed()).unwrap();
    let check = |body: &str, expected: Likeness| {
        assert_eq!(channel.recognise(&request(body.to_owned())), expected, "{body}");
    };
    check(&format!("txnType=01&signMethod=11&merId={MER_ID}"), Likeness::Merchant);
    check("txnType=01&signMethod=11", Likeness::Merchant);
    check("signPubKeyCert=x&merId=777290058110049", Likeness::Shape);
    check("txnType=01&sign=x", Likeness::No);
    check("signMethod=01", Likeness::No);
    check("", Likeness::No);
    let get = RawRequest { method: Method::GET, ..request("txnType=01&signMethod=11") };
    assert_eq!(channel.recognise(&get), Likeness::No);
}

#[test]
fn wrong_settings_are_named() {
    let check = |settings: Settings, expected: (&str, &str)| {
        let error = build(&settings).err().unwrap_or_else(|| panic!("{expected:?}: a channel was built"));
        assert_eq!((error.setting, error.word), expected, "{error}");
    };
    let live = || merchant(Environment::Live);
    check(Settings::new(Environment::Live), ("mer_id", "missing"));
    check(live(), ("root_cert", "missing"));
    check(live().with("root_cert", key(vector!("root.cer"))), ("middle_cert", "missing"));
    check(live().with("middle_cert", key(vector!("middle.cer"))), ("root_cert", "missing"));
    for bad in [&[][..], &[""], &["77729005811004"], &["7772900581100488"], &["77729005811004 "], &[MER_ID, "x"]] {
        let word = if bad.is_empty() { "empty_list" } else { "malformed_id" };
        check(keyed().with("mer_id", texts(bad)), ("mer_id", word));
    }
    check(keyed().with("sub_mer_id", texts(&["a b"])), ("sub_mer_id", "malformed_id"));
    check(keyed().with("sign_methods", texts(&[])), ("sign_methods", "empty_list"));
    check(keyed().with("sign_methods", texts(&["5.0.0"])), ("sign_methods", "unknown_word"));
    check(keyed().with("sign_methods", texts(&["01"])), ("root_cert", "missing"));
    let lonely = real(Environment::Sandbox).with("sign_methods", texts(&["01", "11"]));
    check(lonely, ("secure_key", "no_key_for_algorithm"));
    check(keyed().with("secure_key", key("")), ("secure_key", "missing"));
    check(keyed().with("secure_key", key("tooshort")), ("secure_key", "too_short"));
    check(keyed().with("secure_key", key("979da4cf ccbae7923641daa5dd7047c2")), ("secure_key", "malformed"));
    let sandbox = || merchant(Environment::Sandbox);
    let swapped = sandbox().with("root_cert", key(vector!("middle.cer"))).with("middle_cert", key(vector!("root.cer")));
    check(swapped, ("middle_cert", "relation"));
    let leaf = Form::parse(vector!("token.form"), LIMITS).unwrap().present("signPubKeyCert").unwrap().to_vec();
    check(real(Environment::Sandbox).with("middle_cert", key(&leaf)), ("middle_cert", "never_matches"));
    check(sandbox().with("unionpay_cert", key(vector!("root.cer"))), ("unionpay_cert", "never_matches"));
    check(live().with("unionpay_cert", key("nothing")), ("unionpay_cert", "not_a_certificate"));
    let five = vector!("root.cer").repeat(5);
    check(real(Environment::Live).with("root_cert", key(five)), ("root_cert", "out_of_range"));
    // A broken file is found even where it is not needed.
    check(keyed().with("root_cert", key("x")).with("middle_cert", key("x")), ("root_cert", "not_a_certificate"));
}

#[test]
fn the_keys_are_shown_and_no_secret_is() {
    let settings =
        real(Environment::Sandbox).with("secure_key", key(SECURE_KEY)).with("sign_methods", texts(&["01", "11"]));
    let channel = build(&settings).unwrap();
    let notes = channel.keys();
    let labels: Vec<&str> = notes.iter().map(|note| note.label.as_str()).collect();
    assert_eq!(labels, ["root_cert", "middle_cert", "secure_key"]);
    assert_eq!(notes[1].not_after, Some(at("2031-05-11T03:14:33Z")));
    let hashed = DigestHash::Sha256.hex_of(&[SECURE_KEY.as_bytes()], HexCase::Lower);
    let shown = format!("{notes:?} {settings:?} {:?}", Config::build(&settings).unwrap());
    assert!(!shown.contains(SECURE_KEY) && !shown.contains(&hashed), "{shown}");
}

#[test]
fn only_the_status_tells_success() {
    let channel = build(&keyed()).unwrap();
    let reply = |answer| channel.answer(answer, None);
    assert_eq!(reply(Answer::Success), Reply { status: 200, content_type: None, body: Bytes::new() });
    for failure in [Failure::Refused, Failure::Busy, Failure::NotYet] {
        assert!(reply(Answer::Failure(failure)).status >= 400);
    }
    let ack = |status, body: &str| channel.is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for body in ["", "ok", "success", "验签成功", "{\"code\":0}"] {
        assert_eq!(ack(200, body), AckMatch::Exact, "{body}");
        assert_eq!(ack(201, body), AckMatch::No);
        assert_eq!(ack(302, body), AckMatch::No);
    }
    for body in FAILURES {
        assert_eq!(ack(200, body), AckMatch::No, "{body}");
    }
}
