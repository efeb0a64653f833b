//! What only this platform has; the contract suite tests what all have.

use std::sync::LazyLock;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::form;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Notification, Proof};
use crate::settings::SettingValue;
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;

const OURS: &str = "6666000000000001";
const FORM: &str = "application/x-www-form-urlencoded";

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn own_key() -> SettingValue {
    SettingValue::Key(PublicKey::of_pair("k", &PAIR).unwrap().to_pem().into_bytes().into())
}

fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("huifu_id", SettingValue::Texts(vec![OURS.to_owned()]))
        .with("huifu_public_key", own_key())
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
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

fn sign(text: &str) -> String {
    STANDARD.encode(sign_sha256(&PAIR, text.as_bytes()).unwrap())
}

fn form_of(pairs: &[(&str, &str)]) -> RawRequest {
    request(FORM, form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))))
}

fn notice(text: &str) -> RawRequest {
    form_of(&[("resp_code", "00000000"), ("resp_desc", "成功"), ("resp_data", text), ("sign", &sign(text))])
}

fn verify(request: &RawRequest) -> Verdict {
    channel().verify(request, now())
}

fn read(text: &str) -> Notification {
    match verify(&notice(text)) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{text}: {other:?}"),
    }
}

fn refusal(request: &RawRequest) -> Rejection {
    match verify(request) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn payment() -> Value {
    json!({
        "resp_code": "00000000", "huifu_id": OURS, "req_seq_id": "T1", "req_date": "20261121", "hf_seq_id": "00290HF1",
        "trans_type": "A_NATIVE", "trans_amt": "10.00", "trans_stat": "S", "end_time": "20261121120000",
    })
}

fn refund() -> Value {
    json!({
        "huifu_id": OURS, "req_seq_id": "R1", "req_date": "20261121", "hf_seq_id": "00300HF9", "org_req_seq_id": "T1",
        "org_hf_seq_id": "00290HF1", "ord_amt": "2.50", "trans_type": "TRANS_REFUND", "trans_stat": "S",
    })
}

fn with(mut value: Value, name: &str, to: Value) -> Value {
    value[name] = to;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

/// `kind order amount | identities | concerns`
fn told(value: &Value) -> String {
    show(&read(&value.to_string()))
}

fn show(notification: &Notification) -> String {
    let fact = |fact: &Fact| {
        let amount = match fact.amount {
            Amount::Stated(money) => money.to_text(),
            Amount::Unreadable => "?".to_owned(),
            _ => "-".to_owned(),
        };
        let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
        let names = if fact.kind == EventKind::Other { String::new() } else { names.join(" ") };
        format!("{} {} {amount} | {names}", fact.kind, fact.order_no.as_deref().unwrap_or("-"))
    };
    let facts: Vec<String> = notification.facts.iter().map(fact).collect();
    let concerns: Vec<String> = notification.concerns.iter().map(shown).collect();
    format!("{} | {}", facts.join("; "), concerns.join(" ")).trim_end().to_owned()
}

fn shown(concern: &Concern) -> String {
    let field = match concern {
        Concern::MissingField { field }
        | Concern::UnreadableAmount { field }
        | Concern::UnreadableText { field }
        | Concern::Contradiction { field }
        | Concern::Ambiguous { field }
        | Concern::UnknownValue { field, .. } => field.as_str(),
        Concern::ForeignPayee { payee } => payee.as_str(),
        _ => "",
    };
    format!("{}:{field}", concern.word())
}

#[test]
fn payments_and_refunds_are_told_by_kind_and_state() {
    for (state, kind) in [("S", "succeeded"), ("F", "failed"), ("P", "pending")] {
        assert_eq!(told(&with(payment(), "trans_stat", json!(state))), format!("payment.{kind} T1 10.00 | 00290HF1 |"));
    }
    let names = "hf_seq_id:00300HF9 req_seq_id:20261121:R1";
    assert_eq!(told(&refund()), format!("refund.succeeded T1 2.50 | {names} |"));
    assert_eq!(told(&with(refund(), "trans_stat", json!("F"))), format!("refund.failed T1 2.50 | {names} |"));
    assert_eq!(told(&with(refund(), "trans_stat", json!("P"))), "other - - |  |");
    let fact = read(&refund().to_string()).facts.remove(0);
    assert_eq!(fact.payment.unwrap().as_str(), "00290HF1");
    assert_eq!(fact.platform_no.as_deref(), Some("00300HF9"));
    let notification = read(&payment().to_string());
    assert_eq!(notification.sent_at, Some(now()));
    assert_eq!(notification.facts[0].occurred_at, Some(now()));
    assert_eq!(notification.facts[0].payee.as_deref(), Some(OURS));
    assert_eq!((notification.scope.account.as_str(), notification.platform_kind.as_str()), (OURS, "A_NATIVE"));
    assert!(notification.platform_id.starts_with("20261121-"), "{}", notification.platform_id);
}

/// A refund that were read as a payment would ship goods for money that went back.
#[test]
fn an_unknown_kind_or_state_is_held_and_never_guessed() {
    for kind in ["TRANS_CANCEL", "a_native", "A_NATIVE ", "TRANS_REFUNDS", "QUICK_PAY", "REFUND"] {
        assert_eq!(told(&with(payment(), "trans_type", json!(kind))), "other - - |  | unknown_value:trans_type");
    }
    assert_eq!(told(&without(payment(), "trans_type")), "other - - |  | missing_field:trans_type");
    for state in [json!("s"), json!("I"), json!("SUCCESS"), json!(1)] {
        assert_eq!(told(&with(payment(), "trans_stat", state)), "other - - |  | unknown_value:trans_stat");
    }
    assert_eq!(told(&without(payment(), "trans_stat")), "other - - |  | missing_field:trans_stat");
    assert_eq!(told(&without(payment(), "hf_seq_id")), "other - - |  | missing_field:hf_seq_id");
    assert_eq!(
        told(&without(payment(), "req_seq_id")),
        "payment.succeeded - 10.00 | 00290HF1 | missing_field:req_seq_id"
    );
    assert_eq!(
        told(&without(without(refund(), "hf_seq_id"), "req_date")),
        "other - - |  | missing_field:hf_seq_id missing_field:req_date"
    );
    assert_eq!(told(&without(refund(), "hf_seq_id")), "refund.succeeded T1 2.50 | req_seq_id:20261121:R1 |");
}

/// What failed has another code than what succeeded; a text that says both is for a person.
#[test]
fn a_code_that_contradicts_the_state_is_held() {
    for code in [json!("00000100"), json!("90000000"), json!("0"), json!(0)] {
        let read = told(&with(payment(), "resp_code", code.clone()));
        assert_eq!(read, "payment.succeeded T1 10.00 | 00290HF1 | contradiction:resp_code", "{code}");
        let read = told(&with(refund(), "resp_code", code.clone()));
        assert!(read.starts_with("refund.succeeded T1 2.50") && read.ends_with("| contradiction:resp_code"), "{read}");
        for state in ["F", "P"] {
            let other = with(with(payment(), "resp_code", code.clone()), "trans_stat", json!(state));
            assert!(told(&other).ends_with("| 00290HF1 |"), "{state}");
        }
    }
    for absent in [json!(null), json!(""), json!("00000000")] {
        assert_eq!(told(&with(payment(), "resp_code", absent)), "payment.succeeded T1 10.00 | 00290HF1 |");
    }
}

#[test]
fn a_merchant_may_name_further_kinds_of_payment_but_no_refund() {
    let with_types = |types: &[&str]| {
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        build(&settings().with("payment_types", SettingValue::Texts(types)))
    };
    let channel = with_types(&["QUICK_PAY"]).unwrap();
    let text = with(payment(), "trans_type", json!("QUICK_PAY")).to_string();
    let Verdict::Genuine(proven) = channel.verify(&notice(&text), now()) else { panic!("refused") };
    assert_eq!(show(proven.value()), "payment.succeeded T1 10.00 | 00290HF1 |");
    for bad in [&["TRANS_REFUND"][..], &["MY_REFUND_2"], &["quick"], &[""], &[]] {
        assert_eq!(with_types(bad).err().map(|error| error.setting), Some("payment_types"), "{bad:?}");
    }
}

#[test]
fn amounts_are_read_strictly() {
    for (text, expected) in [("0.01", "0.01"), ("1", "1.00"), ("100000000.00", "100000000.00"), ("1.5", "1.50")] {
        assert_eq!(
            told(&with(payment(), "trans_amt", json!(text))),
            format!("payment.succeeded T1 {expected} | 00290HF1 |")
        );
    }
    for bad in [json!("1.001"), json!("-1"), json!("1e2"), json!(" 1"), json!("1."), json!(1), json!(0.5), json!(["1"])]
    {
        assert_eq!(
            told(&with(payment(), "trans_amt", bad)),
            "payment.succeeded T1 ? | 00290HF1 | unreadable_amount:trans_amt"
        );
    }
    for none in [json!(null), json!(""), json!(" ")] {
        assert_eq!(
            told(&with(payment(), "trans_amt", none)),
            "payment.succeeded T1 ? | 00290HF1 | missing_field:trans_amt"
        );
    }
    let both = with(refund(), "trans_amt", json!("2.50"));
    assert!(told(&both).ends_with("R1 |"));
    assert!(told(&with(both, "trans_amt", json!("10.00"))).ends_with("contradiction:trans_amt"));
}

#[test]
fn another_accounts_message_is_held_under_that_account() {
    let notification = read(&with(payment(), "huifu_id", json!("6666000000000002")).to_string());
    assert_eq!(show(&notification), "payment.succeeded T1 10.00 | 00290HF1 | foreign_payee:6666000000000002");
    assert_eq!(notification.scope.account, "6666000000000002");
    assert_eq!(told(&without(payment(), "huifu_id")), "payment.succeeded T1 10.00 | 00290HF1 | missing_field:huifu_id");
}

#[test]
fn notices_of_onboarding_have_no_money_meaning() {
    let text = json!({ "huifu_id": OURS, "req_seq_id": "A1", "audit_status": "Y" }).to_string();
    let asked = form_of(&[("data", &text), ("sign", &sign(&text))]);
    let Verdict::Genuine(proven) = verify(&asked) else { panic!("refused") };
    assert_eq!(show(proven.value()), "other - - |  |");
    assert_eq!(channel().answer(Answer::Success, Some(&asked)).body, "RECV_ORD_ID_A1");
}

/// The name of the signed field is not signed: whoever changes it changes nothing.
#[test]
fn nothing_beside_the_signed_text_has_a_say() {
    let text = payment().to_string();
    let sign = sign(&text);
    let expected = read(&text);
    for pairs in [
        vec![("data", text.as_str()), ("sign", &sign)],
        vec![("sign", &sign), ("resp_data", &text)],
        vec![("resp_code", "99999999"), ("resp_data", &text), ("sign", &sign), ("trans_stat", "F"), ("huifu_id", "1")],
    ] {
        let Verdict::Genuine(proven) = verify(&form_of(&pairs)) else { panic!("refused") };
        assert_eq!(*proven.value(), expected);
        assert!(channel().fields(&form_of(&pairs)).iter().all(|(name, value)| name != "sign" && value != "99999999"));
    }
    let twice = form_of(&[("data", &text), ("resp_data", &text), ("sign", &sign)]);
    assert_eq!(refusal(&twice), Rejection::Malformed { field: "data".into() });
    // PHP would read these as the signed field, and the later one wins.
    for name in ["resp.data", "resp data", "resp[data", "resp_data\0", " resp_data", "resp_data[]"] {
        let asked = form_of(&[("resp_data", &text), ("sign", &sign), (name, "{}")]);
        assert_eq!(refusal(&asked).word(), "malformed", "{name:?}");
    }
    // And mappers of Java these, in JSON too.
    for (name, word) in [
        ("RESP_DATA", "duplicate_field"),
        ("Resp_Data", "duplicate_field"),
        ("SIGN", "duplicate_field"),
        ("respData", "malformed"),
        ("resp-data", "malformed"),
        ("Data", "malformed"),
        ("resp.data", "malformed"),
        ("resp_data ", "malformed"),
        ("", "malformed"),
    ] {
        assert_eq!(refusal(&form_of(&[("resp_data", &text), ("sign", &sign), (name, "")])).word(), word, "{name:?}");
        let object = json!({ "resp_data": text, "sign": sign, name: "{}" }).to_string();
        assert_eq!(refusal(&request("application/json", object)).word(), word, "{name:?}");
    }
    let renamed = form_of(&[("RESP_DATA", &text), ("sign", &sign)]);
    assert_eq!(refusal(&renamed), Rejection::Malformed { field: "RESP_DATA".into() });
}

/// What names no account may be any merchant's.
#[test]
fn a_message_is_recognised_by_its_account() {
    let likeness = |value: &Value| {
        let text = value.to_string();
        channel().recognise(&form_of(&[("resp_data", &text), ("sign", &sign(&text))]))
    };
    assert_eq!(likeness(&payment()), Likeness::Merchant);
    assert_eq!(likeness(&with(payment(), "huifu_id", json!("1"))), Likeness::Shape);
    assert_eq!(likeness(&without(payment(), "huifu_id")), Likeness::Shape);
}

#[test]
fn a_form_and_json_are_both_accepted_and_told_apart() {
    let text = payment().to_string();
    let sign = sign(&text);
    let body = json!({ "resp_code": "00000000", "resp_data": text, "sign": sign }).to_string();
    let asked = request("application/json", body.clone());
    let Verdict::Genuine(proven) = verify(&asked) else { panic!("refused") };
    let Proof::Signature { key, variant } = proven.proof() else { panic!("not by a signature") };
    assert_eq!((key.as_str(), variant.as_str()), ("huifu_public_key", "json"));
    assert_eq!(channel().answer(Answer::Success, Some(&asked)).body, "RECV_ORD_ID_T1");
    assert_eq!(channel().recognise(&asked), Likeness::Merchant);
    assert_eq!(refusal(&request(FORM, body.clone())).word(), "media_type");
    assert_eq!(refusal(&request("application/json", notice(&text).body.to_vec())).word(), "media_type");
    // An object in place of the text has no bytes of its own.
    let object = json!({ "resp_data": payment(), "sign": sign }).to_string();
    assert_eq!(refusal(&request("application/json", object)), Rejection::Malformed { field: "resp_data".into() });
    let twice = format!(r#"{{"sign":"",{}"#, &body[1..]);
    assert_eq!(refusal(&request("application/json", twice)), Rejection::Duplicate { field: "sign".into() });
}

#[test]
fn the_signed_text_is_taken_exactly_as_it_came() {
    // Blanks, escapes and order of members are the sender's.
    let text = "{ \"trans_stat\":\"S\",\"trans_type\":\"T_JSAPI\" , \"huifu_id\":\"6666000000000001\",\"hf_seq_id\":\"00290HF1\",\
                \"req_seq_id\":\"T\\u0031\",\"req_date\":\"20261121\",\"trans_amt\":\"10.00\",\"a\":\"\\/中文+ %2B&=\"}\n";
    assert_eq!(show(&read(text)), "payment.succeeded T1 10.00 | 00290HF1 |");
    let printed: Value = serde_json::from_str(text).unwrap();
    let forms = [printed.to_string(), text.trim().to_owned(), text.replace('"', "&quot;"), text.replace("\\/", "/")];
    for other in forms {
        let asked = form_of(&[("resp_data", &other), ("sign", &sign(text))]);
        assert_eq!(refusal(&asked), Rejection::Signature, "{other}");
    }
}

#[test]
fn a_proven_text_that_cannot_be_read_is_held() {
    for text in ["[]", "null", "not json", "\u{feff}{}", "{\"a\":1", "1"] {
        assert_eq!(show(&read(text)), "other - - |  | unreadable_text:resp_data", "{text}");
    }
    let twice = payment().to_string().replacen('{', r#"{"req_seq_id":"OTHER","#, 1);
    assert_eq!(show(&read(&twice)), "other - - |  | ambiguous:req_seq_id");
    // Of two numbers none is answered: that would confirm a request that may be another's.
    assert_eq!(channel().answer(Answer::Success, Some(&notice(&twice))).body, "RECV_ORD_ID_");
    // Not even an amount or a number of the wrong type is taken.
    assert_eq!(told(&with(payment(), "hf_seq_id", json!(12))), "other - - |  | unknown_value:hf_seq_id");
    let long = "9".repeat(300);
    assert_eq!(told(&with(payment(), "hf_seq_id", json!(long))), "other - - |  | unknown_value:hf_seq_id");
}

#[test]
fn what_cannot_be_genuine_is_refused_by_its_reason() {
    let text = payment().to_string();
    let good = sign(&text);
    assert_eq!(refusal(&form_of(&[("resp_data", &text)])), Rejection::Missing { field: "sign".into() });
    assert_eq!(refusal(&form_of(&[("sign", &good)])), Rejection::Missing { field: "resp_data".into() });
    assert_eq!(
        refusal(&form_of(&[("resp_data", " "), ("sign", &good)])),
        Rejection::Missing { field: "resp_data".into() }
    );
    for bad in [good.replace('+', " "), format!("{good}\n"), good.trim_end_matches('=').to_owned(), "x".to_owned()] {
        if bad != good {
            let damaged = form_of(&[("resp_data", &text), ("sign", &bad)]);
            assert_eq!(refusal(&damaged).word(), "malformed", "{bad}");
            // It is Huifu's all the same, so that who looks is told what is wrong with it.
            assert_eq!(channel().recognise(&damaged), Likeness::Merchant, "{bad}");
        }
    }
    let pairs = [("resp_data", text.as_str()), ("resp_data", "{}"), ("sign", &good)];
    assert_eq!(refusal(&form_of(&pairs)), Rejection::Duplicate { field: "resp_data".into() });
    let other = text.replace("10.00", "99.00");
    assert_eq!(refusal(&form_of(&[("resp_data", &other), ("sign", &good)])), Rejection::Signature);
    let latin =
        request(FORM, form::encode([("sign".as_bytes(), good.as_bytes()), (b"resp_data", b"{\"a\":\"\xff\"}")]));
    assert_eq!(refusal(&latin), Rejection::Charset { charset: "utf-8".into() });
}

#[test]
fn the_reply_names_the_requests_own_number_or_none() {
    let reply = |to: Option<&RawRequest>| {
        let reply = channel().answer(Answer::Success, to);
        (reply.status, String::from_utf8(reply.body.to_vec()).unwrap())
    };
    let to = |number: Value| reply(Some(&notice(&with(payment(), "req_seq_id", number).to_string())));
    for number in ["T1", "a-B_c.9:1", &"9".repeat(128)] {
        assert_eq!(to(json!(number)), (200, format!("RECV_ORD_ID_{number}")));
    }
    // Another order's success is what none of these can be read as.
    let long = "9".repeat(129);
    for number in
        [json!(""), json!("T 1"), json!("T1\nT2"), json!("<b>"), json!("中"), json!(1), json!(null), json!(long)]
    {
        assert_eq!(to(number.clone()), (200, "RECV_ORD_ID_".to_owned()), "{number}");
    }
    assert_eq!(reply(None), (200, "RECV_ORD_ID_".to_owned()));
    assert_eq!(reply(Some(&request(FORM, "garbage"))), (200, "RECV_ORD_ID_".to_owned()));
    assert_eq!(reply(Some(&notice("[]"))), (200, "RECV_ORD_ID_".to_owned()));
    // The unsigned name beside the text is not where the number comes from.
    let text = payment().to_string();
    let beside = form_of(&[("req_seq_id", "OTHER"), ("resp_data", &text), ("sign", &sign(&text))]);
    assert_eq!(reply(Some(&beside)), (200, "RECV_ORD_ID_T1".to_owned()));
}

#[test]
fn an_applications_answer_must_name_the_very_request() {
    let asked = notice(&payment().to_string());
    let read =
        |body: &str, to: Option<&RawRequest>| channel().is_ack(&AppReply { status: 200, body: body.as_bytes() }, to);
    assert_eq!(read("RECV_ORD_ID_T1", Some(&asked)), AckMatch::Exact);
    assert_eq!(read("\u{feff}RECV_ORD_ID_T1\n", Some(&asked)), AckMatch::Trimmed);
    assert_eq!(read("ok RECV_ORD_ID_T1!", Some(&asked)), AckMatch::Within);
    for other in [
        "RECV_ORD_ID_T10",
        "RECV_ORD_ID_",
        "RECV_ORD_ID_T",
        "RECV_ORD_ID_T2",
        "recv_ord_id_T1",
        "success",
        "",
        "RECV_ORD_ID_T1-2 x",
    ] {
        assert_eq!(read(other, Some(&asked)), AckMatch::No, "{other}");
    }
    // A script may name a number that we would not print.
    let odd = notice(&with(payment(), "req_seq_id", json!("T 1")).to_string());
    assert_eq!(read("RECV_ORD_ID_T 1", Some(&odd)), AckMatch::Exact);
    let numberless = notice(&without(payment(), "req_seq_id").to_string());
    assert_eq!(read("RECV_ORD_ID_", Some(&numberless)), AckMatch::Exact);
    assert_eq!(read("RECV_ORD_ID_T1", None), AckMatch::Exact);
    assert_eq!(read("RECV_ORD_ID_T1 <br>", None), AckMatch::No);
    assert_eq!(channel().is_ack(&AppReply { status: 201, body: b"RECV_ORD_ID_T1" }, Some(&asked)), AckMatch::No);
}

#[test]
fn a_repetition_is_one_notification_and_another_fact_another() {
    let key = |value: &Value| read(&value.to_string()).key();
    assert_eq!(key(&payment()), key(&payment()));
    for other in [
        with(payment(), "hf_seq_id", json!("00290HF2")),
        with(payment(), "trans_stat", json!("P")),
        with(payment(), "trans_amt", json!("10.01")),
        with(payment(), "req_seq_id", json!("T2")),
    ] {
        assert_ne!(key(&payment()), key(&other), "{other}");
    }
}

#[test]
fn wrong_settings_are_named() {
    let error = |settings: Settings| build(&settings).err().map(|error| (error.setting, error.word));
    assert_eq!(error(settings().with("merchant_public_key", own_key())), Some(("huifu_public_key", "own_public_key")));
    for bad in ["", "6666a", "６６６６", &"6".repeat(33), "6666 0001"] {
        let settings = settings().with("huifu_id", SettingValue::Texts(vec![bad.to_owned()]));
        assert_eq!(error(settings), Some(("huifu_id", "malformed_id")), "{bad}");
    }
    assert_eq!(error(settings().with("huifu_id", SettingValue::Texts(Vec::new()))), Some(("huifu_id", "empty_list")));
    let trusted = settings().with("huifu_id", SettingValue::Text(format!(" {OURS} ")));
    assert!(build(&trusted).is_ok());
}
