//! The shared rules, with the platform's own sample.

use super::*;
use crate::model::Environment;
use crate::settings::SettingValue;
use crate::xml::encode;

/// The key and the fields of the official sample (WeChat Pay, "signature algorithm").
const KEY: &str = "192006250b4c09247ec02edce69f6a2d";
const SAMPLE: &[(&str, &str)] = &[
    ("appid", "wxd930ea5d5a258f4f"),
    ("mch_id", "10000100"),
    ("device_info", "1000"),
    ("body", "test"),
    ("nonce_str", "ibuaiVcKdpRxkhJA"),
];
const MD5: &str = "9A0A8659F005D6984697E2CA0A9CF3B7";
const HMAC: &str = "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6";

const BOTH: &[SignType] = &[SignType::Md5, SignType::HmacSha256];

fn key(text: &str) -> Result<ApiKey, SettingsError> {
    let settings = Settings::new(Environment::Live).with("api_key", SettingValue::Key(text.as_bytes().to_vec().into()));
    ApiKey::build(&settings, "api_key", [32, 32])
}

fn flat(fields: &[(&str, &str)]) -> Flat {
    Flat::parse(encode(ROOT, fields.iter().copied()).as_bytes(), LIMITS).unwrap()
}

fn signed(sign: &str) -> Flat {
    flat(&[SAMPLE, &[("sign", sign)]].concat())
}

#[test]
fn the_official_sample_verifies_in_both_algorithms() {
    let key = key(KEY).unwrap();
    let variant = |sign: &str, stated| key.verify(&signed(sign), stated, BOTH).unwrap().into_parts();
    assert_eq!(variant(MD5, None), ("api_key".to_owned(), "md5"));
    assert_eq!(variant(MD5, Some("MD5")).1, "md5");
    assert_eq!(variant(HMAC, None).1, "hmac-sha256");
    assert_eq!(variant(HMAC, Some("HMAC-SHA256")).1, "hmac-sha256");
    // An empty field is not there, wherever it comes from.
    let more = flat(&[SAMPLE, &[("sign", MD5), ("attach", ""), ("zeta", "")]].concat());
    assert!(key.verify(&more, None, BOTH).is_ok());
}

#[test]
fn a_signature_has_one_form_and_one_algorithm() {
    let key = key(KEY).unwrap();
    let word = |sign: &str, stated, allowed| key.verify(&signed(sign), stated, allowed).unwrap_err().word();
    let (md5, hmac) = (&[SignType::Md5][..], &[SignType::HmacSha256][..]);
    assert_eq!(word(MD5, None, hmac), "algorithm");
    assert_eq!(word(HMAC, None, md5), "algorithm");
    // The word in the message decides nothing: it must fit.
    for (sign, stated) in [(MD5, "HMAC-SHA256"), (HMAC, "MD5"), (MD5, "md5"), (MD5, "RSA"), (HMAC, "HMAC-SHA256 ")] {
        assert_eq!(word(sign, Some(stated), BOTH), "algorithm", "{stated}");
    }
    for bad in [&MD5[1..], &MD5.to_lowercase(), &format!("{MD5} "), &MD5.replace('9', "g"), &HMAC[..40], "签"] {
        assert_eq!(word(bad, None, BOTH), "malformed", "{bad}");
    }
    for empty in ["", "  "] {
        assert_eq!(word(empty, None, BOTH), "missing");
    }
    assert_eq!(word(&MD5.replace('9', "8"), None, BOTH), "signature");
    assert_eq!(word(&HMAC.replace('9', "8"), None, BOTH), "signature");
    // Half a tag is no tag, and one algorithm's tag is not the other's.
    assert_eq!(word(&HMAC[..32], None, BOTH), "signature");
    assert_eq!(word(&format!("{MD5}{MD5}"), None, BOTH), "signature");
}

#[test]
fn every_value_is_signed_as_it_stands() {
    let key = key(KEY).unwrap();
    for (name, value) in [("body", "test "), ("body", "Test"), ("attach", " "), ("attach", "x"), ("Body", "")] {
        let mut fields: Vec<(&str, &str)> = SAMPLE.iter().copied().filter(|(known, _)| *known != name).collect();
        fields.extend([(name, value), ("sign", MD5)]);
        let verdict = key.verify(&flat(&fields), None, BOTH);
        assert_eq!(verdict.is_ok(), value.is_empty(), "{name}={value:?}");
    }
    // Entities and CDATA are ways of writing.
    let document = format!(
        "<xml><appid>wxd930ea5d5a258f4f</appid><mch_id>10000100</mch_id><device_info>1000</device_info>\
         <body>&#116;es<![CDATA[t]]></body>\n<nonce_str>ibuaiVcKdpRxkhJA</nonce_str><sign>{MD5}</sign></xml>"
    );
    assert!(key.verify(&Flat::parse(document.as_bytes(), LIMITS).unwrap(), None, BOTH).is_ok());
}

#[test]
fn a_key_has_the_length_that_the_platform_gives_it() {
    assert!(key(&format!("{KEY}\r\n")).is_ok());
    let word = |text: &str| key(text).unwrap_err().word;
    assert_eq!(word(""), "missing");
    assert_eq!(word(&KEY[1..]), "too_short");
    assert_eq!(word(&format!("{KEY}0")), "out_of_range");
    assert_eq!(word(&format!(" {KEY}")), "malformed");
    assert_eq!(word(&format!("\u{feff}{KEY}")), "malformed");
    assert!(!format!("{:?}", key(KEY).unwrap()).contains(&KEY[..8]));
}

#[test]
fn a_value_that_may_be_two_fields_is_seen() {
    const KNOWN: Known = Known { acted_on: &["out_trade_no", "total_fee"], free_text: &["attach"] };
    let found = |name: &str, value: &str| ambiguous_field(&flat(&[(name, value)]), KNOWN).map(str::to_owned);
    for harmless in ["a&b", "a&b=c", "=", "&", "&=", "&&=x", "x&total_fee", "x& total_fee=1", "x&totalfee=1"] {
        assert_eq!(found("attach", harmless), None, "{harmless}");
    }
    for swallowed in ["x&total_fee=1", "&out_trade_no=", "a&b=c&total_fee=1&d"] {
        assert_eq!(found("attach", swallowed).as_deref(), Some("attach"), "{swallowed}");
    }
    for value in ["1&", "1&x", "&total_fee=1"] {
        assert_eq!(found("total_fee", value).as_deref(), Some("total_fee"), "{value}");
    }
    for (value, is_seen) in [("a&b", false), ("a& b=c", false), ("a&b=c", true), ("a&-b=c", false), ("&_=", true)] {
        assert_eq!(found("bank_type", value).is_some(), is_seen, "{value}");
    }
}

#[test]
fn an_application_says_success_in_xml_or_not_at_all() {
    let ack = |body: &str, field: &str| ack(&AppReply { status: 200, body: body.as_bytes() }, field);
    let exact = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>";
    for body in [
        exact,
        "<xml><return_code>SUCCESS</return_code></xml>",
        "<xml>\n  <return_code>SUCCESS</return_code>\n  <return_msg>OK</return_msg>\n</xml>",
    ] {
        assert_eq!(ack(body, "return_code"), AckMatch::Exact, "{body}");
        assert_eq!(ack(body, "code"), AckMatch::No, "{body}");
        assert_eq!(ack(&format!("\u{feff}{body}\n"), "return_code"), AckMatch::Trimmed, "{body}");
        assert_eq!(ack(&format!("\n\u{feff}\t{body}\n"), "return_code"), AckMatch::Trimmed, "{body}");
        assert_eq!(ack(&format!("Warning: x in y\n{body}"), "return_code"), AckMatch::Within, "{body}");
        assert_eq!(ack(&format!("{body}<!-- cache -->"), "return_code"), AckMatch::Within, "{body}");
    }
    for body in [
        "",
        "success",
        "SUCCESS",
        "ok",
        r#"{"return_code":"SUCCESS"}"#,
        "<html><body>SUCCESS</body></html>",
        "<xml>x<return_code>SUCCESS</return_code></xml>",
        "<xml><return_code>success</return_code></xml>",
        "<xml><return_code>SUCCESS </return_code></xml>",
        "<xml><return_code>FAIL</return_code><return_msg>SUCCESS</return_msg></xml>",
        "<xml><return_code>SUCCESS</return_code><return_code>FAIL</return_code></xml>",
        "<xml><return_code>SUCCESS</return_code>",
        "<root><return_code>SUCCESS</return_code></root>",
        "</xml><xml>",
    ] {
        assert_eq!(ack(body, "return_code"), AckMatch::No, "{body}");
    }
    let fail_last = format!("{exact}<xml><return_code>FAIL</return_code></xml>");
    assert_eq!(ack(&fail_last, "return_code"), AckMatch::No);
    assert_eq!(super::ack(&AppReply { status: 500, body: exact.as_bytes() }, "return_code"), AckMatch::No);
}
