//! The check of an address.

use std::time::Duration;

use super::*;
use crate::platforms::braintree::challenge;

fn asked(query: &str) -> RawRequest {
    RawRequest { headers: HeaderMap::new(), ..request(Method::GET, Some(query), Vec::new()) }
}

fn told(request: &RawRequest) -> Option<String> {
    let reply = channel().challenge(request)?;
    assert_eq!((reply.status, reply.content_type), (200, Some("text/plain")));
    Some(String::from_utf8(reply.body.to_vec()).unwrap())
}

/// The platform's own vector.
#[test]
fn the_answer_is_the_key_and_the_signature() {
    let request = asked("bt_challenge=20f9f8ed05f77439fe955c977e4c8a53");
    assert_eq!(told(&request).as_deref(), Some("integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"));
    assert_eq!(channel().recognise(&request), Likeness::Merchant);
    // It proves nothing.
    assert_eq!(refused(&request), Rejection::Method { method: "GET".into() });
    let among = asked("shop=1&bt_challenge=20f9f8ed05f77439fe955c977e4c8a53&channel=bt");
    assert_eq!(told(&among), told(&request));
}

#[test]
fn only_a_number_of_the_exact_grammar_is_signed() {
    let digits = "20f9f8ed05f77439fe955c977e4c8a53";
    for (query, is_taken) in [
        (format!("bt_challenge={}", &digits[..20]), true),
        (format!("bt_challenge={}", &digits[..31]), true),
        (format!("bt_challenge={}", &digits[..19]), false),
        (format!("bt_challenge={digits}0"), false),
        (format!("bt_challenge={}", digits.to_uppercase()), false),
        (format!("bt_challenge={digits}%0A"), false),
        (format!("bt_challenge=%20{digits}"), false),
        (format!("bt_challenge={}g", &digits[..30]), false),
        (format!("bt_challenge={digits}&bt_challenge={digits}"), false),
        (format!("bt_challenge={digits}&x=1&x=2"), false),
        (format!("BT_CHALLENGE={digits}"), false),
        (format!("bt_challenge[]={digits}"), false),
        (format!("bt_challenge={digits}&x=%"), false),
        ("bt_challenge=".to_owned(), false),
        ("bt_challenge".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(told(&asked(&query)).is_some(), is_taken, "{query}");
    }
    let request = asked(&format!("bt_challenge={digits}"));
    for method in [Method::POST, Method::HEAD, Method::PUT] {
        assert_eq!(told(&RawRequest { method, ..request.clone() }), None);
    }
    assert_eq!(told(&RawRequest { body: Bytes::from_static(b"x"), ..request.clone() }), None);
    assert_eq!(told(&RawRequest { query: None, ..request }), None);
    assert_eq!(refused(&asked("bt_challenge=1")), Rejection::Malformed { field: "bt_challenge".into() });
    assert_eq!(refused(&asked("a=1")), Rejection::Method { method: "GET".into() });
}

/// Whoever has a number signed has no signature of a message: neither as it stands nor with what the payload's rule
/// would put around it.
#[test]
fn what_is_signed_for_anybody_is_no_message() {
    // Each a multiple of four, so that it is base64; and digits that could decode to something.
    for digits in [
        "20f9f8ed05f77439fe955c977e4c8a53",
        "77777777777777777777",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "deadbeefdeadbeefdeadbeef",
    ] {
        let signature = told(&asked(&format!("bt_challenge={digits}"))).unwrap();
        for payload in [
            digits.to_owned(),
            format!("{digits}\n"),
            format!("{digits}\n\n"),
            format!("{}\n{}", &digits[..10], &digits[10..]),
        ] {
            let found = refused(&form_of(&signature, &payload));
            assert!(["malformed", "signature"].contains(&found.word()), "{payload:?}: {found}");
        }
    }
    // The third reason of its documentation: no first sign of a document is written in these digits.
    for first in ["<", " ", "\t", "\r", "\n", "\u{feff}"] {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{first}notification>"));
        let seen = if first.len() == 1 { &text[..1] } else { &text[..4] };
        assert!(!seen.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{first:?}: {text}");
    }
}

#[test]
fn of_several_key_pairs_the_first_answers() {
    let files = [b"another_private_key".to_vec(), PRIVATE.as_bytes().to_vec()].map(zeroize::Zeroizing::new);
    let settings = Settings::new(Environment::Live)
        .with("merchant_id", SettingValue::Text("gateway1".into()))
        .with("merchant_accounts", SettingValue::Texts(vec!["shop_usd".into()]))
        .with("public_key", SettingValue::Texts(vec!["new".into(), PUBLIC.into()]))
        .with("private_key_files", SettingValue::Keys(files.to_vec()));
    let channel = build(&settings).unwrap();
    let digits = "20f9f8ed05f77439fe955c977e4c8a53";
    let body = channel.challenge(&asked(&format!("bt_challenge={digits}"))).unwrap().body;
    let own = key_of(b"another_private_key", "new").sign(digits.as_bytes());
    assert_eq!(body, format!("new|{}", hex(&own)));
    // Either proves a message.
    let document = document("check", "<check type=\"boolean\">true</check>");
    assert!(matches!(channel.verify(&sent(&document), now()), Verdict::Genuine(_)));
}

#[test]
fn a_private_half_that_ends_takes_its_public_half_with_it() {
    use crate::lifetimes::Lifetimes;
    use crate::settings::KeyMark;

    let until = now() + Duration::from_hours(1);
    let files = [PRIVATE.as_bytes().to_vec(), b"another_private_key".to_vec()].map(zeroize::Zeroizing::new);
    let settings = Settings::new(Environment::Live)
        .with("merchant_id", SettingValue::Text("gateway1".into()))
        .with("merchant_accounts", SettingValue::Texts(vec!["shop_usd".into()]))
        .with("public_key", SettingValue::Texts(vec![PUBLIC.into(), "new".into()]))
        .with("private_key_files", SettingValue::Keys(files.to_vec()))
        .with_mark("private_key_files", 0, KeyMark { name: None, until: Some(until) });
    let channel = Lifetimes::build(build, &settings).unwrap();
    let answered = |at| {
        let asked = RawRequest { received_at: at, ..asked("bt_challenge=20f9f8ed05f77439fe955c977e4c8a53") };
        String::from_utf8(channel.challenge(&asked).unwrap().body.to_vec()).unwrap()
    };
    assert!(answered(now()).starts_with(&format!("{PUBLIC}|")));
    assert!(answered(until).starts_with("new|"), "the pair that is left answers");
    let document = document("check", "<check type=\"boolean\">true</check>");
    assert!(matches!(channel.verify(&sent(&document), now()), Verdict::Genuine(_)));
    assert!(matches!(channel.verify(&sent(&document), until), Verdict::Refused(_)), "its end has come");
    let ends: Vec<_> = channel.keys().into_iter().map(|note| (note.label, note.not_after)).collect();
    assert_eq!(ends, [(PUBLIC.to_owned(), Some(until)), ("new".to_owned(), None)]);
}

#[test]
fn the_grammar_is_twenty_to_thirty_two_digits() {
    for (text, expected) in [("", false), ("0123456789abcdef0123", true), ("0123456789ABCDEF0123", false)] {
        assert_eq!(challenge::is_challenge(text.as_bytes()), expected, "{text}");
    }
}
