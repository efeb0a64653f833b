//! Items as the platform sends them, and as it never does.

mod facts;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::settings::KEY;
use super::*;
use crate::model::{Amount, Concern, Environment, EventKind, Proof};
use crate::settings::SettingValue;
use crate::signature::hmac::HmacHash;

/// The key of Adyen's own example.
const DIGITS: &str = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00";
const ACCOUNT: &str = "TestMerchant";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn texts(texts: &[&str]) -> SettingValue {
    SettingValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn secret(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

fn base() -> Settings {
    Settings::new(Environment::Live).with("merchant_accounts", texts(&[ACCOUNT]))
}

fn by(capture: &str) -> Settings {
    base().with("hmac_key", secret(DIGITS)).with("capture", texts(&[capture]))
}

fn settings() -> Settings {
    by("immediate")
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

fn bytes_of(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn sign(digits: &str, text: &str) -> String {
    STANDARD.encode(HmacKey::new(&bytes_of(digits), HmacHash::Sha256, KEY).sign(text.as_bytes()))
}

/// The text of an item, written a second time.
fn text_of(item: &Value) -> String {
    let text = |pointer: &str| match item.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let pointers = [
        "/pspReference",
        "/originalReference",
        "/merchantAccountCode",
        "/merchantReference",
        "/amount/value",
        "/amount/currency",
        "/eventCode",
        "/success",
    ];
    pointers.map(text).join(":")
}

fn item(code: &str, success: bool) -> Value {
    json!({
        "amount": { "currency": "EUR", "value": 1130 }, "eventCode": code, "eventDate": "2026-11-21T04:00:00+00:00",
        "merchantAccountCode": ACCOUNT, "merchantReference": "T1", "pspReference": "P1", "reason": "",
        "success": if success { "true" } else { "false" },
    })
}

fn modification(code: &str, success: bool) -> Value {
    let mut item = item(code, success);
    item["pspReference"] = json!("M1");
    item["originalReference"] = json!("P1");
    item
}

fn signed(mut item: Value) -> Value {
    item["additionalData"]["hmacSignature"] = json!(sign(DIGITS, &text_of(&item)));
    item
}

fn message(items: &[Value]) -> Value {
    let items: Vec<Value> = items.iter().map(|item| json!({ "NotificationRequestItem": item })).collect();
    json!({ "live": "true", "notificationItems": items })
}

fn request(body: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: None,
        headers,
        body: Bytes::from(body.to_owned()),
        source: None,
        received_at: now(),
    }
}

fn verdict(settings: &Settings, message: &Value) -> Result<Notification, Rejection> {
    match build(settings).unwrap().verify(&request(&message.to_string()), now()) {
        Verdict::Genuine(proven) => Ok(proven.into_parts().0),
        Verdict::Refused(rejection) => Err(rejection),
        other => panic!("{other:?}"),
    }
}

fn word(message: &Value) -> &'static str {
    verdict(&settings(), message).map_or_else(|rejection| rejection.word(), |_| "genuine")
}

/// `kind order amount names | concerns`, an item a line.
fn told_by(settings: &Settings, message: &Value) -> String {
    let notification = verdict(settings, message).unwrap_or_else(|rejection| panic!("{message}: {rejection}"));
    let words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
    let lines = notification.facts.iter().map(|fact| {
        let amount = match &fact.amount {
            Amount::Stated(money) => format!("{}{}", money.minor, money.currency),
            Amount::Unreadable => "?".to_owned(),
            _ => "-".to_owned(),
        };
        let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
        let order = fact.order_no.as_deref().unwrap_or("-");
        format!("{} {order} {amount} {}", fact.kind, names.join(","))
    });
    format!("{} | {}", lines.collect::<Vec<_>>().join("\n"), words.join(" ")).trim_end().to_owned()
}

fn told(item: Value) -> String {
    told_by(&settings(), &message(&[signed(item)]))
}

/// Adyen's own example, and Adyen's own test with a colon in the reference.
#[test]
fn the_eight_values_are_joined_and_nothing_is_escaped() {
    let mut example = json!({
        "pspReference": "7914073381342284", "merchantAccountCode": "TestMerchant", "eventCode": "AUTHORISATION",
        "merchantReference": "TestPayment-1407325143704", "amount": { "value": 1130, "currency": "EUR" },
        "success": "true", "eventDate": "2014-08-06T17:15:34.121+02:00", "paymentMethod": "visa", "reason": "0000:Z",
    });
    let text = "7914073381342284::TestMerchant:TestPayment-1407325143704:1130:EUR:AUTHORISATION:true";
    assert_eq!(
        (text_of(&example).as_str(), sign(DIGITS, text).as_str()),
        (text, "Ny9gS2veKo5E4w8/OL6xz1/wvT/hYkAXy1xNc/QvO4I=")
    );
    example["additionalData"] = json!({ "hmacSignature": "Ny9gS2veKo5E4w8/OL6xz1/wvT/hYkAXy1xNc/QvO4I=" });
    let sent = message(&[example.clone()]);
    let Verdict::Genuine(proven) = channel().verify(&request(&sent.to_string()), now()) else { panic!("refused") };
    let Proof::Signature { key, variant } = proven.proof() else { panic!("not by a signature") };
    assert_eq!((key.as_str(), variant.as_str()), ("hmac_key", "joined"));
    assert_eq!(told_by(&settings(), &sent), "payment.succeeded TestPayment-1407325143704 1130EUR 7914073381342284 |");
    assert_eq!(proven.value().platform_id, "7914073381342284:AUTHORISATION:true");
    // Null and nothing are empty.
    example["originalReference"] = Value::Null;
    assert_eq!(word(&message(&[example.clone()])), "genuine");
    example["originalReference"] = json!("");
    assert_eq!(word(&message(&[example.clone()])), "genuine");
    for (name, value) in [
        ("pspReference", json!("7914073381342285")),
        ("originalReference", json!("1")),
        ("merchantAccountCode", json!("TestMerchant2")),
        ("merchantReference", json!(" TestPayment-1407325143704")),
        ("amount", json!({ "value": 1131, "currency": "EUR" })),
        ("amount", json!({ "value": 1130, "currency": "USD" })),
        ("amount", json!(null)),
        ("eventCode", json!("CAPTURE")),
        ("success", json!("false")),
    ] {
        let mut other = example.clone();
        other[name] = value;
        assert_eq!(word(&message(&[other])), "signature", "{name}");
    }
}

#[test]
fn an_amount_is_signed_as_it_is_written() {
    let mut zero = item("AUTHORISATION", false);
    zero["amount"]["value"] = json!(0);
    assert_eq!(told(zero), "payment.failed T1 0EUR P1 |");
    let sent = message(&[signed(item("AUTHORISATION", true))]).to_string();
    for (written, expected) in
        [("1130.0", "signature"), ("11.3e2", "signature"), ("\"1130\"", "malformed"), ("-1130", "signature")]
    {
        let changed = sent.replace("1130", written);
        let Verdict::Refused(rejection) = channel().verify(&request(&changed), now()) else { panic!("{written}") };
        assert_eq!(rejection.word(), expected, "{written}");
    }
    // Signed in another form, it is no amount.
    let odd = sign(DIGITS, "P1::TestMerchant:T1:1130.0:EUR:AUTHORISATION:true");
    let plain = sign(DIGITS, "P1::TestMerchant:T1:1130:EUR:AUTHORISATION:true");
    let changed: Value = serde_json::from_str(&sent.replace(&plain, &odd).replace("1130", "1130.0")).unwrap();
    assert_eq!(told_by(&settings(), &changed), "payment.succeeded T1 ? P1 | unreadable_amount");
}

/// The reference may hold anything. With a separator elsewhere the same signature is one of other values.
#[test]
fn a_text_that_could_be_cut_elsewhere_brings_no_fact() {
    let mut colon = item("AUTHORISATION", true);
    colon["merchantReference"] = json!("auth:123::");
    assert_eq!(told(colon.clone()), "payment.succeeded auth:123:: 1130EUR P1 |");
    let text = text_of(&colon);
    let tag = sign(DIGITS, &text);
    let mut cuts = 0;
    let parts: Vec<&str> = text.split(':').collect();
    // Every way to put the pieces between the separators into the seven texts and the number.
    let total = parts.len();
    for a in 1..total {
        for b in a + 1..total {
            for c in b + 1..total {
                for d in c + 1..total {
                    for e in d + 1..total {
                        for f in e + 1..total {
                            for g in f + 1..total {
                                let piece = |from: usize, to: usize| parts[from..to].join(":");
                                let Ok(value) = serde_json::from_str::<Value>(&piece(d, e)) else { continue };
                                let cut = json!({
                                    "pspReference": piece(0, a), "originalReference": piece(a, b),
                                    "merchantAccountCode": piece(b, c), "merchantReference": piece(c, d),
                                    "amount": { "value": value, "currency": piece(e, f) },
                                    "eventCode": piece(f, g), "success": piece(g, total),
                                    "additionalData": { "hmacSignature": tag },
                                });
                                if text_of(&cut) != text {
                                    continue;
                                }
                                cuts += 1;
                                let is_own = cut["merchantReference"] == "auth:123::";
                                match verdict(&settings(), &message(std::slice::from_ref(&cut))) {
                                    Ok(found) if is_own => assert!(found.concerns.is_empty()),
                                    Ok(found) => assert!(!found.concerns.is_empty(), "{cut}: {found:?}"),
                                    Err(_) => assert!(!is_own),
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(cuts > 5, "{cuts}");
    for (name, field) in
        [("pspReference", "P:1"), ("originalReference", "P:1"), ("merchantAccountCode", "Test:Merchant")]
    {
        let mut odd = item("AUTHORISATION", true);
        odd[name] = json!(field);
        assert!(told(odd).ends_with("ambiguous"), "{name}");
    }
}

#[test]
fn every_item_is_proven_or_none() {
    let good = signed(item("AUTHORISATION", true));
    let refund = signed(modification("REFUND", true));
    let both = message(&[good.clone(), refund.clone()]);
    let notification = verdict(&settings(), &both).unwrap();
    assert_eq!(notification.facts.len(), 2);
    assert_eq!(notification.platform_kind, "AUTHORISATION, REFUND");
    assert_ne!(
        notification.platform_id,
        verdict(&settings(), &message(std::slice::from_ref(&good))).unwrap().platform_id
    );
    let mut forged = refund.clone();
    forged["amount"]["value"] = json!(9999);
    assert_eq!(word(&message(&[good.clone(), forged.clone()])), "signature");
    assert_eq!(word(&message(&[forged, good.clone()])), "signature");
    let mut unsigned = refund;
    unsigned["additionalData"] = json!({});
    assert_eq!(word(&message(&[good.clone(), unsigned])), "missing");
    // Twins are one, and the message is what it is without the second.
    let alone = verdict(&settings(), &message(std::slice::from_ref(&good))).unwrap();
    assert_eq!(verdict(&settings(), &message(&[good.clone(), good.clone()])).unwrap(), alone);
    let mut bare = good.clone();
    bare["additionalData"] = json!({});
    assert_eq!(word(&message(&[good, bare])), "missing");
    let many: Vec<Value> = (0..=ITEMS_MAX)
        .map(|at| {
            let mut item = item("AUTHORISATION", true);
            item["pspReference"] = json!(format!("P{at}"));
            signed(item)
        })
        .collect();
    assert_eq!(word(&message(&many)), "too_many_fields");
    assert_eq!(word(&message(&many[..ITEMS_MAX])), "genuine");
}

#[test]
fn what_is_no_message_of_this_shape_is_refused() {
    let good = signed(item("AUTHORISATION", true));
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let mut sent = message(std::slice::from_ref(&good));
        change(&mut sent);
        word(&sent)
    };
    assert_eq!(spoilt(&|_| {}), "genuine");
    assert_eq!(spoilt(&|sent| sent["live"] = json!(true)), "malformed");
    assert_eq!(spoilt(&|sent| drop(sent.as_object_mut().unwrap().remove("live"))), "missing");
    assert_eq!(spoilt(&|sent| sent["notificationItems"] = json!([])), "malformed");
    assert_eq!(spoilt(&|sent| sent["notificationItems"] = json!({})), "malformed");
    assert_eq!(spoilt(&|sent| sent["notificationItems"] = json!([null])), "malformed");
    assert_eq!(spoilt(&|sent| sent["notificationItems"] = json!([{ "Item": {} }])), "malformed");
    let item = |name: &str, value: Value| {
        spoilt(&|sent| sent["notificationItems"][0]["NotificationRequestItem"][name] = value.clone())
    };
    assert_eq!(item("success", json!(true)), "malformed");
    assert_eq!(item("success", json!("TRUE")), "malformed");
    assert_eq!(item("success", json!("")), "missing");
    assert_eq!(item("pspReference", Value::Null), "missing");
    assert_eq!(item("pspReference", json!(1)), "malformed");
    assert_eq!(item("merchantReference", json!(["T1"])), "malformed");
    for (signature, expected) in [
        (Value::Null, "missing"),
        (json!(""), "malformed"),
        (json!("AAAA"), "malformed"),
        (json!("%"), "malformed"),
        (json!(1), "malformed"),
        (json!(sign(&DIGITS.replace('D', "E"), "x")), "signature"),
    ] {
        let data = json!({ "hmacSignature": signature });
        assert_eq!(item("additionalData", data.clone()), expected, "{data}");
    }
    let twice = message(&[good]).to_string().replacen("\"eventCode\"", "\"eventCode\":\"REFUND\",\"eventCode\"", 1);
    let Verdict::Refused(rejection) = channel().verify(&request(&twice), now()) else { panic!("accepted") };
    assert_eq!(rejection, Rejection::Duplicate { field: "eventCode".into() });
}

/// What Adyen does not sign is taken from a sender that we know, and never as anything about money.
#[test]
fn unsigned_kinds_need_the_password_and_change_no_payment() {
    let report = item("REPORT_AVAILABLE", true);
    let sent = message(std::slice::from_ref(&report));
    assert_eq!(word(&sent), "missing");
    let basic =
        settings().with("basic_user", SettingValue::Text("shop".into())).with("basic_password", secret("s3cret\n"));
    let channel = build(&basic).unwrap();
    let verify = |message: &Value, authorization: Option<&str>| {
        let mut request = request(&message.to_string());
        if let Some(authorization) = authorization {
            request.headers.insert("authorization", HeaderValue::from_str(authorization).unwrap());
        }
        match channel.verify(&request, now()) {
            Verdict::Genuine(proven) => {
                let (notification, proof) = proven.into_parts();
                let Proof::Signature { key, variant } = proof else { panic!("nobody was asked") };
                let kinds: Vec<&str> = notification.facts.iter().map(|fact| fact.kind.as_str()).collect();
                format!("{} {} by {key} {variant}", kinds.join(","), notification.concerns.len())
            }
            Verdict::Refused(rejection) => rejection.word().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    let shown = format!("Basic {}", STANDARD.encode("shop:s3cret"));
    assert_eq!(verify(&sent, Some(&shown)), "other 0 by basic_password basic");
    assert_eq!(verify(&sent, None), "missing");
    assert_eq!(verify(&sent, Some("Basic c2hvcDp4")), "signature");
    for code in ["AUTHORISATION", "CAPTURE", "REFUND", "CANCELLATION", "CHARGEBACK", "PAYOUT_THIRDPARTY", "EXPIRE"] {
        assert_eq!(verify(&message(&[item(code, true)]), Some(&shown)), "missing", "{code}");
    }
    for code in ["CAPTURE_WITH_EXTERNAL_AUTH", "AUTHORISATION_PENDING", "FUND_TRANSFER"] {
        assert_eq!(verify(&message(&[item(code, true)]), Some(&shown)), "missing", "{code}");
    }
    // A kind that nobody knows, or that is signed elsewhere, is looked at.
    for code in ["NEW_REPORT", "RECURRING_CONTRACT", "AUTHENTICATION"] {
        assert_eq!(verify(&message(&[item(code, true)]), Some(&shown)), "other 1 by basic_password basic", "{code}");
    }
    assert_eq!(channel.signed_alone().len(), 8);
    let paid = signed(item("AUTHORISATION", true));
    assert_eq!(verify(&message(&[report, paid.clone()]), Some(&shown)), "other,payment.succeeded 0 by hmac_key joined");
    // Where it is configured, it must be shown with signed items, too.
    assert_eq!(verify(&message(std::slice::from_ref(&paid)), None), "missing");
    assert_eq!(verify(&message(&[paid]), Some(&shown)), "payment.succeeded 0 by hmac_key joined");
}

#[test]
fn settings_that_would_believe_nobody_or_anybody_are_refused() {
    let error = |settings: &Settings| build(settings).err().map(|error| (error.setting, error.word));
    assert_eq!(error(&settings()), None);
    assert_eq!(error(&settings().with("hmac_key", secret(&format!(" {}\r\n", DIGITS.to_lowercase())))), None);
    let odd = DIGITS.replace('D', "G");
    for (key, word) in [("", "missing"), ("\n", "missing"), (&DIGITS[1..], "malformed"), (odd.as_str(), "malformed")] {
        assert_eq!(error(&settings().with("hmac_key", secret(key))), Some(("hmac_key", word)), "{key:?}");
    }
    let missing = Settings::new(Environment::Live).with("merchant_accounts", texts(&[ACCOUNT]));
    assert_eq!(error(&missing), Some(("hmac_key", "missing")));
    assert_eq!(error(&missing.with("hmac_key", secret(DIGITS))), Some(("capture", "missing")));
    let keys = |count: usize| SettingValue::Keys(vec![DIGITS.as_bytes().to_vec().into(); count]);
    assert_eq!(error(&settings().with("hmac_key_files", keys(1))), Some(("hmac_key", "either_or")));
    for (name, value, word) in [
        ("merchant_accounts", texts(&["Test:Merchant"]), "malformed_id"),
        ("merchant_accounts", texts(&[]), "empty_list"),
        ("capture", texts(&["immediate", "later"]), "out_of_range"),
        ("capture", texts(&["now"]), "unknown_word"),
        ("capture", texts(&[]), "empty_list"),
    ] {
        let name: &'static str = name;
        assert_eq!(error(&settings().with(name, value)), Some((name, word)), "{name}");
    }
    let user = settings().with("basic_user", SettingValue::Text("shop".into()));
    assert_eq!(error(&user), Some(("basic_password", "missing")));
    assert_eq!(error(&settings().with("basic_password", secret("x"))), Some(("basic_user", "missing")));
    for nothing in ["", "\n", "\r\n"] {
        let empty = user.clone().with("basic_password", secret(nothing));
        assert_eq!(error(&empty), Some(("basic_password", "missing")), "{nothing:?}");
    }
    let nobody = settings().with("basic_user", SettingValue::Text(" ".into())).with("basic_password", secret("x"));
    assert_eq!(error(&nobody), Some(("basic_user", "malformed")));
    let colon = settings().with("basic_user", SettingValue::Text("a:b".into())).with("basic_password", secret("x"));
    assert_eq!(error(&colon), Some(("basic_user", "malformed")));
}

#[test]
fn while_a_key_is_rolled_both_count_and_the_proof_names_which() {
    let other = DIGITS.replace('D', "1");
    let keys = [other.as_str(), DIGITS].map(|text| text.as_bytes().to_vec().into()).to_vec();
    let rolled = base().with("hmac_key_files", SettingValue::Keys(keys)).with("capture", texts(&["immediate"]));
    let channel = build(&rolled).unwrap();
    let sent = message(&[signed(item("AUTHORISATION", true))]).to_string();
    let Verdict::Genuine(proven) = channel.verify(&request(&sent), now()) else { panic!("refused") };
    let Proof::Signature { key, .. } = proven.proof() else { panic!("not by a signature") };
    assert_eq!(key, "hmac_key_files[1]");
}

/// Older scripts write the word; those of today answer with a status that says it.
#[test]
fn the_word_confirms_and_so_does_a_status_that_nobody_gives_by_accident() {
    let read = |status: u16, body: &str| channel().is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for (status, body) in [(200, "[accepted]"), (202, "[accepted]"), (202, ""), (204, ""), (201, "ok")] {
        assert_eq!(read(status, body), AckMatch::Exact, "{status} {body}");
    }
    assert_eq!(read(200, "[accepted]\n"), AckMatch::Trimmed);
    assert_eq!(read(200, "<br />\n<b>Warning</b>: x in y\n[accepted]"), AckMatch::Within);
    for (status, body) in [
        (500, "[accepted]"),
        (302, "[accepted]"),
        (500, ""),
        (200, ""),
        (200, "accepted"),
        (202, "failed"),
        (202, "<br />\n<b>Warning</b>: x in y"),
        (202, r#"{"status":"error"}"#),
    ] {
        assert_eq!(read(status, body), AckMatch::No, "{status} {body}");
    }
}

/// A reader that does not tell letters apart would see another message than the one that was proven.
#[test]
fn names_that_differ_in_case_alone_are_refused() {
    let sent = message(&[signed(item("AUTHORISATION", true))]).to_string();
    for (before, added, field) in [
        ("\"live\"", r#""Live":"false","#, "live"),
        ("\"notificationItems\"", r#""NotificationItems":[],"#, "notificationItems"),
        ("\"NotificationRequestItem\"", r#""notificationrequestitem":{},"#, "NotificationRequestItem"),
        ("\"success\"", r#""SUCCESS":"false","#, "success"),
        ("\"value\"", r#""Value":9,"#, "value"),
    ] {
        let changed = sent.replacen(before, &format!("{added}{before}"), 1);
        let Verdict::Refused(rejection) = channel().verify(&request(&changed), now()) else { panic!("{added}") };
        assert_eq!(rejection, Rejection::Duplicate { field: field.into() }, "{added}");
    }
}

/// Whatever an unsigned item calls itself, and whatever else it carries.
#[test]
fn no_unsigned_item_is_about_money() {
    let basic =
        settings().with("basic_user", SettingValue::Text("shop".into())).with("basic_password", secret("s3cret"));
    let channel = build(&basic).unwrap();
    let shown = format!("Basic {}", STANDARD.encode("shop:s3cret"));
    let mut codes: Vec<String> = super::facts::codes().map(str::to_owned).collect();
    codes.extend(
        codes.clone().iter().flat_map(|code| [code.to_lowercase(), format!("{code} "), format!("{code}:true")]),
    );
    assert!(codes.len() > 150);
    let mut taken = 0;
    for code in codes {
        for mut item in [item(&code, true), item(&code, false), modification(&code, true)] {
            item["additionalData"] = json!({ "modification.action": "refund" });
            let mut request = request(&message(&[item]).to_string());
            request.headers.insert("authorization", HeaderValue::from_str(&shown).unwrap());
            match channel.verify(&request, now()) {
                Verdict::Genuine(proven) => {
                    taken += 1;
                    let [fact] = proven.value().facts.as_slice() else { panic!("{code}") };
                    assert_eq!((fact.kind, &fact.amount), (EventKind::Other, &Amount::None), "{code}");
                    assert_eq!((&fact.order_no, &fact.payment), (&None, &None), "{code}");
                }
                Verdict::Refused(rejection) => assert_eq!(rejection.word(), "missing", "{code}"),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(taken > 100, "{taken}");
}
