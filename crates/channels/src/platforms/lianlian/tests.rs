//! What only this platform has; the contract suite tests what all have.

use std::sync::LazyLock;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::form;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Notification, Proof};
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::key::PublicKey;
use crate::signature::plain_rsa::sign_md5;

const OURS: &str = "201304121000001004";
const MD5_KEY: &str = "md5key";
const FORM: &str = "application/x-www-form-urlencoded";

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

type Pairs = Vec<(String, String)>;

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn words(words: &[&str]) -> SettingValue {
    SettingValue::Texts(words.iter().map(|word| (*word).to_owned()).collect())
}

fn own_key() -> SettingValue {
    SettingValue::Key(PublicKey::of_pair("k", &PAIR).unwrap().to_pem().into_bytes().into())
}

fn settings(purpose: &str) -> Settings {
    Settings::new(Environment::Live)
        .with("oid_partner", words(&[OURS]))
        .with("purpose", words(&[purpose]))
        .with("sign_types", words(&["RSA", "MD5"]))
        .with("lianlian_public_key", own_key())
        .with("md5_key", SettingValue::Key(MD5_KEY.as_bytes().to_vec().into()))
}

fn channel(purpose: &str) -> Box<dyn Channel> {
    build(&settings(purpose)).unwrap()
}

fn request(media: &'static str, body: impl Into<Vec<u8>>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(media));
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: None,
        headers,
        body: Bytes::from(body.into()),
        source: None,
        received_at: now(),
    }
}

fn pairs(text: &str) -> Pairs {
    text.split('&').filter_map(|piece| piece.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn with(mut pairs: Pairs, name: &str, value: &str) -> Pairs {
    pairs.retain(|(other, _)| other != name);
    pairs.push((name.to_owned(), value.to_owned()));
    pairs
}

fn without(mut pairs: Pairs, name: &str) -> Pairs {
    pairs.retain(|(other, _)| other != name);
    pairs
}

/// The text that is signed, made here a second time.
fn text(pairs: &Pairs) -> String {
    let mut lines: Vec<&(String, String)> =
        pairs.iter().filter(|(name, value)| name != "sign" && !value.is_empty() && value != "null").collect();
    lines.sort_by_key(|(name, _)| name.to_lowercase());
    lines.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn signed(pairs: Pairs) -> Pairs {
    let sign = match pairs.iter().find(|(name, _)| name == "sign_type").map(|(_, value)| value.as_str()) {
        Some("MD5") => {
            let text = format!("{}&key={MD5_KEY}", text(&pairs));
            DigestHash::Md5.hex_of(&[text.as_bytes()], HexCase::Lower)
        }
        _ => STANDARD.encode(sign_md5(&PAIR, text(&pairs).as_bytes()).unwrap()),
    };
    with(pairs, "sign", &sign)
}

fn as_form(pairs: &Pairs) -> RawRequest {
    request(FORM, form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))))
}

fn as_json(pairs: &Pairs) -> RawRequest {
    let members: Vec<String> =
        pairs.iter().map(|(n, v)| format!("{}:{}", serde_json::json!(n), serde_json::json!(v))).collect();
    request("application/json", format!("{{{}}}", members.join(",")))
}

/// The sheet's own fields, signed by MD5 to be quick.
fn payment() -> Pairs {
    pairs(&format!(
        "dt_order=20261121115900&money_order=0.10&no_order=N1&oid_partner={OURS}&oid_paybill=2011030900001098&\
         result_pay=SUCCESS&settle_date=20261121&sign_type=MD5"
    ))
}

fn refund() -> Pairs {
    pairs(&format!(
        "dt_refund=20261121115900&money_refund=0.05&no_refund=R1&oid_partner={OURS}&oid_refundno=2011030900001099&\
         sta_refund=2&settle_date=20261121&sign_type=MD5"
    ))
}

fn read_as(purpose: &str, pairs: Pairs) -> Notification {
    match channel(purpose).verify(&as_json(&signed(pairs)), now()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

fn refusal(request: &RawRequest) -> Rejection {
    match channel("payment").verify(request, now()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// `kind order amount | identities | words of concerns`
fn told_as(purpose: &str, pairs: Pairs) -> String {
    let notification = read_as(purpose, pairs);
    let fact: &Fact = &notification.facts[0];
    let amount = match fact.amount {
        Amount::Stated(money) => money.to_text(),
        Amount::Unreadable => "?".to_owned(),
        _ => "-".to_owned(),
    };
    let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
    let names = if fact.kind == EventKind::Other { String::new() } else { names.join(" ") };
    let words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
    let order = fact.order_no.as_deref().unwrap_or("-");
    format!("{} {order} {amount} | {names} | {}", fact.kind, words.join(" ")).trim_end().to_owned()
}

fn told(pairs: Pairs) -> String {
    told_as("payment", pairs)
}

/// The vector of an independent script.
#[test]
fn the_digest_is_over_the_sorted_fields_and_the_key() {
    let pairs = pairs(
        "sign_type=MD5&dt_order=20180130161010&money_order=0.10&no_order=N1&oid_partner=201304121000001004&\
         oid_paybill=2011030900001098&result_pay=SUCCESS&settle_date=20180130&sign=2d74a521b75e503b4ecea56e0b3607e7",
    );
    let pairs = with(pairs, "info_order", "null");
    for asked in [as_form(&pairs), as_json(&pairs)] {
        let Verdict::Genuine(proven) = channel("payment").verify(&asked, now()) else { panic!("refused") };
        assert_eq!(proven.value().facts[0].order_no.as_deref(), Some("N1"));
    }
    let upper = with(pairs, "sign", "2D74A521B75E503B4ECEA56E0B3607E7");
    assert_eq!(refusal(&as_form(&upper)), Rejection::Signature);
}

#[test]
fn both_signatures_prove_in_both_carriers_and_say_how() {
    for sign_type in ["RSA", "MD5"] {
        let pairs = signed(with(payment(), "sign_type", sign_type));
        for (carrier, asked) in [("form", as_form(&pairs)), ("json", as_json(&pairs))] {
            let Verdict::Genuine(proven) = channel("payment").verify(&asked, now()) else { panic!("refused") };
            let Proof::Signature { key, variant } = proven.proof() else { panic!("not by a signature") };
            assert_eq!(*variant, format!("{carrier}-{}", sign_type.to_lowercase()));
            assert_eq!(key, if sign_type == "RSA" { "lianlian_public_key" } else { "md5_key" });
        }
        let text_json = RawRequest { headers: request("text/json", "").headers, ..as_json(&pairs) };
        assert!(matches!(channel("payment").verify(&text_json, now()), Verdict::Genuine(_)));
    }
}

#[test]
fn only_allowed_algorithms_count() {
    let only = |types: &[&str]| build(&settings("payment").with("sign_types", words(types))).unwrap();
    let md5 = as_json(&signed(payment()));
    let rsa = as_json(&signed(with(payment(), "sign_type", "RSA")));
    let refused = |channel: &dyn Channel, asked: &RawRequest| match channel.verify(asked, now()) {
        Verdict::Refused(rejection) => rejection.word(),
        _ => "genuine",
    };
    assert_eq!((refused(&*only(&["RSA"]), &rsa), refused(&*only(&["RSA"]), &md5)), ("genuine", "algorithm"));
    assert_eq!((refused(&*only(&["MD5"]), &rsa), refused(&*only(&["MD5"]), &md5)), ("algorithm", "genuine"));
    for other in ["rsa", "md5", "SHA256", "none", "RSA "] {
        let pairs = with(signed(payment()), "sign_type", other);
        assert_eq!(refusal(&as_form(&pairs)), Rejection::Algorithm { algorithm: other.into() });
    }
    // The public key as the secret of an MD5: what everybody knows proves nothing.
    let pairs = with(payment(), "sign_type", "MD5");
    let pem = PublicKey::of_pair("k", &PAIR).unwrap().to_pem();
    let sign = DigestHash::Md5.hex_of(&[text(&pairs).as_bytes(), b"&key=", pem.as_bytes()], HexCase::Lower);
    assert_eq!(refusal(&as_form(&with(pairs, "sign", &sign))), Rejection::Signature);
}

#[test]
fn a_payment_and_a_payout_are_told_apart_by_the_configuration_alone() {
    assert_eq!(told(payment()), "payment.succeeded N1 0.10 | 2011030900001098 |");
    let names = "2011030900001098 no_order:N1";
    for (word, kind) in [("SUCCESS", "succeeded"), ("FAILURE", "failed"), ("CANCEL", "returned")] {
        let expected = format!("transfer.{kind} N1 0.10 | {names} |");
        assert_eq!(told_as("payout", with(payment(), "result_pay", word)), expected);
    }
    for word in ["FAILURE", "CANCEL", "success", "PROCESSING"] {
        assert_eq!(told(with(payment(), "result_pay", word)), "other - - |  | unknown_value", "{word}");
    }
    assert_eq!(told_as("payout", with(payment(), "result_pay", "WAITING")), "other - - |  | unknown_value");
    assert_eq!(told(without(payment(), "result_pay")), "other - - |  | missing_field");
    let notification = read_as("payment", payment());
    assert_eq!(notification.sent_at.map(|time| time.to_string()).as_deref(), Some("2026-11-21T03:59:00Z"));
    assert_eq!((notification.scope.account.as_str(), notification.platform_kind.as_str()), (OURS, "payment"));
    assert_eq!(notification.facts[0].payee.as_deref(), Some(OURS));
    assert!(notification.platform_id.starts_with("20261121-"));
    assert_eq!(read_as("payout", payment()).facts[0].payee, None);
}

#[test]
fn refunds_have_their_own_numbers_and_no_order() {
    let names = "oid_refundno:2011030900001099 no_refund:R1";
    assert_eq!(told(refund()), format!("refund.succeeded - 0.05 | {names} |"));
    assert_eq!(told(with(refund(), "sta_refund", "3")), format!("refund.failed - 0.05 | {names} |"));
    assert_eq!(told(with(refund(), "sta_refund", "1")), "other - - |  | unknown_value");
    assert_eq!(told(without(refund(), "sta_refund")), "other - - |  | missing_field");
    // An address of payouts gets no refunds, and no notice is both.
    assert!(told_as("payout", refund()).ends_with("| contradiction"));
    assert!(told(with(refund(), "no_order", "N1")).ends_with("| contradiction"));
    assert!(told(with(payment(), "no_refund", "R1")).contains("contradiction"));
}

#[test]
fn amounts_are_read_strictly() {
    for (text, expected) in [("0.01", "0.01"), ("1", "1.00"), ("1.5", "1.50"), ("100000000.00", "100000000.00")] {
        assert_eq!(
            told(with(payment(), "money_order", text)),
            format!("payment.succeeded N1 {expected} | 2011030900001098 |")
        );
    }
    for bad in ["1.001", "-1", "1e2", " 1", "1.", "1,000.00", "￥1"] {
        assert_eq!(
            told(with(payment(), "money_order", bad)),
            "payment.succeeded N1 ? | 2011030900001098 | unreadable_amount",
            "{bad}"
        );
    }
    for none in ["", "null", " "] {
        assert_eq!(
            told(with(payment(), "money_order", none)),
            "payment.succeeded N1 ? | 2011030900001098 | missing_field",
            "{none:?}"
        );
    }
    assert_eq!(told(without(payment(), "oid_paybill")), "other - - |  | missing_field");
    assert_eq!(told(without(payment(), "no_order")), "payment.succeeded - 0.10 | 2011030900001098 | missing_field");
    assert_eq!(
        told(without(without(payment(), "dt_order"), "settle_date")),
        "payment.succeeded N1 0.10 | 2011030900001098 | missing_field"
    );
}

/// The signature leaves out what is empty or `null`, so anybody can add it; it must mean nothing to anybody.
#[test]
fn what_the_signature_leaves_out_is_absent() {
    let pairs = signed(payment());
    let expected = read_as("payment", payment());
    for (name, value) in [("no_refund", ""), ("sta_refund", "null"), ("card_no", "null"), ("new_one", "")] {
        let mut added = pairs.clone();
        added.insert(0, (name.to_owned(), value.to_owned()));
        for asked in [as_form(&added), as_json(&added)] {
            let Verdict::Genuine(proven) = channel("payment").verify(&asked, now()) else { panic!("refused: {name}") };
            assert_eq!(*proven.value(), expected, "{name}");
            assert!(channel("payment").fields(&asked).iter().all(|(field, _)| field != name && field != "sign"));
        }
    }
    for name in ["no_order", "NO_ORDER", "Sign", "sign"] {
        let mut added = pairs.clone();
        added.push((name.to_owned(), String::new()));
        let asked = as_form(&added);
        assert_eq!(refusal(&asked).word(), "duplicate_field", "{name}");
        assert_eq!(refusal(&as_json(&added)).word(), "duplicate_field", "{name}");
    }
    for name in ["no.order", "no order", " no_order", "no_order[]", "", "no_order\0", "a&b", "a=b", "中"] {
        let mut added = pairs.clone();
        added.push((name.to_owned(), String::new()));
        assert_eq!(refusal(&as_form(&added)).word(), "malformed", "{name:?}");
    }
}

/// Who chooses the description of an order could choose its amount, were the text cut elsewhere.
#[test]
fn a_text_that_could_be_other_fields_is_held() {
    let described = |text: &str| read_as("payment", with(payment(), "info_order", text)).concerns;
    for plain in ["A&B", "a=b&c=d", "x & money_order is = 5", "&", "=&=&", "money_order=9.99", "&amp;a=1"] {
        assert_eq!(described(plain), [], "{plain}");
    }
    let ambiguous = [Concern::Ambiguous { field: "info_order".into() }];
    for forged in ["x&money_order=9.99", "&no_refund=R", "a&b=c&result_pay=", "x&&dt_order=1"] {
        assert_eq!(described(forged), ambiguous, "{forged}");
    }
    // A genuine text, cut elsewhere without the key.
    let genuine = signed(with(payment(), "info_order", "shoes"));
    let sign = genuine.iter().find(|(name, _)| name == "sign").unwrap().1.clone();
    let whole = text(&genuine);
    for (from, to) in
        [("&money_order=0.10", "info_order"), ("&no_order=N1", "money_order"), ("&result_pay=SUCCESS", "oid_paybill")]
    {
        let mut cut = pairs(&whole.replace(from, ""));
        let value = format!("{}{from}", cut.iter().find(|(name, _)| name == to).unwrap().1);
        cut = with(cut, to, &value);
        cut.push(("sign".to_owned(), sign.clone()));
        let Verdict::Genuine(proven) = channel("payment").verify(&as_form(&cut), now()) else {
            panic!("the text is the same")
        };
        assert!(proven.value().concerns.iter().any(|concern| concern.word() == "ambiguous"), "{from}");
    }
}

#[test]
fn what_cannot_be_genuine_is_refused_by_its_reason() {
    let missing = |name: &str| Rejection::Missing { field: name.into() };
    for name in ["sign", "sign_type", "oid_partner"] {
        assert_eq!(refusal(&as_form(&without(signed(payment()), name))), missing(name));
        assert_eq!(refusal(&as_form(&with(signed(payment()), name, "null"))), missing(name));
    }
    // What names the partner and is signed is LianLian's, whatever is missing: so who looks is told what.
    let likeness = |pairs: Pairs| channel("payment").recognise(&as_json(&pairs));
    assert_eq!(likeness(without(signed(payment()), "sign_type")), Likeness::Merchant);
    assert_eq!(likeness(with(signed(payment()), "oid_partner", "1")), Likeness::Shape);
    assert_eq!(likeness(without(signed(payment()), "sign")), Likeness::No);
    assert_eq!(likeness(without(signed(payment()), "oid_partner")), Likeness::No);
    let foreign = Rejection::UnknownMerchant { field: "oid_partner".into() };
    assert_eq!(refusal(&as_form(&signed(with(payment(), "oid_partner", "201304121000001005")))), foreign);
    for body in [r#"{"sign":1}"#, r#"{"a":["x"]}"#, r#"{"a":{}}"#] {
        assert_eq!(refusal(&request("application/json", body)).word(), "malformed", "{body}");
    }
    for media in ["application/json", "text/json"] {
        assert_eq!(refusal(&request(media, "a=b")).word(), "media_type");
    }
    assert_eq!(refusal(&request(FORM, "{\"a\":\"b\"}")).word(), "media_type");
    assert_eq!(refusal(&request(FORM, "a=%FF")), Rejection::Charset { charset: "utf-8".into() });
    assert_eq!(refusal(&request("application/json", "{}")), missing("sign"));
    let rsa = signed(with(payment(), "sign_type", "RSA"));
    let sign = rsa.iter().find(|(name, _)| name == "sign").unwrap().1.clone();
    for bad in [&sign[4..], "AAAA", &STANDARD.encode([0xff; 256]), &STANDARD.encode([1; 256])] {
        assert_eq!(refusal(&as_form(&with(rsa.clone(), "sign", bad))), Rejection::Signature, "{bad}");
    }
    assert_eq!(refusal(&as_form(&with(rsa, "sign", "not base64"))).word(), "malformed");
}

#[test]
fn the_code_of_an_answer_decides_whatever_surrounds_it() {
    let read = |body: &str| channel("payment").is_ack(&AppReply { status: 200, body: body.as_bytes() }, None);
    for exact in [
        r#"{"ret_code":"0000","ret_msg":"交易成功"}"#,
        r#"{"ret_msg":"ok","ret_code":"0000"}"#,
        r#"{ "ret_code" : "0000" }"#,
        "{'ret_code':'0000','ret_msg':'交易成功'}",
    ] {
        assert_eq!(read(exact), AckMatch::Exact, "{exact}");
    }
    assert_eq!(read("\u{feff}{'ret_code':'0000','ret_msg':'交易成功'}"), AckMatch::Trimmed);
    assert_eq!(read("{\"ret_code\":\"0000\"}\n"), AckMatch::Trimmed);
    assert_eq!(read("Warning {'ret_code':'0000','ret_msg':'交易成功'}"), AckMatch::Within);
    for none in
        ["", "0000", "success", r#"{"ret_code":"9999"}"#, r#"{"ret_code":["0000"]}"#, r#"["ret_code","0000"]"#, FAIL]
    {
        assert_eq!(read(none), AckMatch::No, "{none}");
    }
}

#[test]
fn a_channel_without_purpose_or_key_cannot_be() {
    let error = |settings: Settings| build(&settings).err().map(|error| (error.setting, error.word));
    let bare = Settings::new(Environment::Live).with("oid_partner", words(&[OURS]));
    assert_eq!(error(bare.clone()), Some(("purpose", "missing")));
    for (bad, word) in [
        (&["payments"][..], "unknown_word"),
        (&["payment", "payout"], "out_of_range"),
        (&[], "empty_list"),
        (&[""], "malformed_id"),
    ] {
        assert_eq!(error(settings("payment").with("purpose", words(bad))), Some(("purpose", word)), "{bad:?}");
    }
    let purposeful = bare.with("purpose", words(&["payout"]));
    assert_eq!(error(purposeful.clone()), Some(("lianlian_public_key", "missing")));
    // A secret alone does not allow MD5: that is to be said.
    let secret = purposeful.with("md5_key", SettingValue::Key(MD5_KEY.as_bytes().to_vec().into()));
    assert_eq!(error(secret.clone()), Some(("lianlian_public_key", "missing")));
    assert_eq!(error(secret.clone().with("sign_types", words(&["MD5"]))), None);
    assert_eq!(error(secret.clone().with("sign_types", words(&["SHA"]))), Some(("sign_types", "unknown_word")));
    let short = secret.with("sign_types", words(&["MD5"])).with("md5_key", SettingValue::Key(b"12345".to_vec().into()));
    assert_eq!(error(short), Some(("md5_key", "too_short")));
    let public = STANDARD.encode(PublicKey::of_pair("k", &PAIR).unwrap().spki()).into_bytes();
    let pasted =
        settings("payment").with("sign_types", words(&["MD5"])).with("md5_key", SettingValue::Key(public.into()));
    assert_eq!(error(pasted), Some(("md5_key", "wrong_algorithm")), "anybody knows it");
    let mixed_up = settings("payment").with("merchant_public_key", own_key());
    assert_eq!(error(mixed_up), Some(("lianlian_public_key", "own_public_key")));
}

#[test]
fn a_repetition_is_one_notification_and_another_fact_another() {
    let key = |pairs: Pairs| read_as("payment", pairs).key();
    assert_eq!(key(payment()), key(payment()));
    for (name, value) in
        [("oid_paybill", "2"), ("money_order", "0.11"), ("no_order", "N2"), ("dt_order", "20261121115901")]
    {
        assert_ne!(key(payment()), key(with(payment(), name, value)), "{name}");
    }
}
