//! Platforms that are asked: what a message may do before, what is asked, and what an answer says.

use http::{HeaderMap, Method};

use super::*;
use crate::channel::{FetchRefused, Fetched, HttpAnswer, KeyNote};
use crate::model::Money;
use crate::signature::digest::DigestHash;

const KEY: &str = "live_0123456789";

const EVENT: &str = r#""type":"answer:/status","number":"answer:/id","order":"answer:/metadata/order","payment":"answer:/id",
    "amount":{"value":"answer:/amount/value","currency":"answer:/amount/currency","form":"decimal-string"},"unmapped":"hold",
    "map":{"open":"nothing","expired":"payment.closed","paid":{"event":"payment.succeeded","also":{"event":"refund.succeeded","number":"answer:/none",
    "amount":{"value":"answer:/refunded/value","currency":"answer:/refunded/currency","form":"decimal-string","cumulative":true}}}}"#;

const FETCH: &str = r#"{"required":true,"url":"https://api.example.com/v2/payments/{form:id}?embed={cfg:embed}","id_pattern":"^tr_[A-Za-z0-9]+$",
    "auth":"bearer","headers":{"x-version":"2"},"same":"answer:/id"}"#;

fn asked(verify: &str, fetch: &str) -> Settings {
    Settings::new(Environment::Live)
        .with("platform", SettingValue::Text("example".into()))
        .with("account", SettingValue::Text("acct_1".into()))
        .with("values", SettingValue::Pairs(vec![("embed".into(), "refunds".into())]))
        .with("api_key", SettingValue::Key(format!("{KEY}\n").into_bytes().into()))
        .with("verify", SettingValue::Tree(tree(verify)))
        .with("fetch", SettingValue::Tree(tree(fetch)))
        .with("event", SettingValue::Tree(tree(&format!("{{{EVENT}}}"))))
}

/// A channel whose platform signs nothing, for messages of JSON.
pub(super) fn anything() -> Settings {
    asked(r#"{"algorithm":"none"}"#, &FETCH.replace("form:id", "json:/id"))
}

fn bare() -> Box<dyn Channel> {
    build(&asked(r#"{"algorithm":"none","body":"form"}"#, FETCH)).unwrap()
}

fn form(body: &str) -> RawRequest {
    let mut request = signed("");
    request.headers.clear();
    request.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    request.body = body.to_owned().into();
    request
}

#[track_caller]
fn hint(channel: &dyn Channel, request: &RawRequest) -> Hint {
    match channel.verify(request, Timestamp::UNIX_EPOCH) {
        Verdict::Hint(hint) => hint,
        other => panic!("{other:?}"),
    }
}

/// What an answer to the question about a number is read as.
fn told(channel: &dyn Channel, number: &str, status: u16, body: &str) -> Result<Fetched, FetchRefused> {
    let question = channel
        .fetch_back()
        .unwrap()
        .ask(&hint(channel, &form(&format!("id={number}"))), None, Timestamp::UNIX_EPOCH)
        .question()
        .unwrap();
    let answer = HttpAnswer { status, headers: HeaderMap::new(), body: body.to_owned().into() };
    channel.fetch_back().unwrap().read(question.carried(answer), Timestamp::UNIX_EPOCH)
}

#[track_caller]
fn notification(fetched: Result<Fetched, FetchRefused>) -> (Notification, Proof) {
    match fetched.unwrap() {
        Fetched::Notification(proven) => proven.into_parts(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bare_number_is_asked_about_and_nothing_else_of_it_counts() {
    let channel = bare();
    let request = form("id=tr_7UhSN1&status=paid&amount=1");
    let hint = hint(channel.as_ref(), &request);
    assert_eq!((hint.number().as_str(), hint.is_vouched()), ("tr_7UhSN1", false));
    assert_eq!(channel.recognise(&request), Likeness::Merchant);
    let question = channel.fetch_back().unwrap().ask(&hint, None, Timestamp::UNIX_EPOCH).question().unwrap();
    let ask = question.ask();
    assert_eq!(
        (&ask.method, ask.url.as_str()),
        (&Method::GET, "https://api.example.com/v2/payments/tr_7UhSN1?embed=refunds")
    );
    assert_eq!(ask.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(ask.headers["x-version"], "2");
    for bad in ["", "x=1", "id=", "id=tr_", "id=ord_1", "id=tr_1%2F..", "id=tr_1%0d%0a", "id=tr_a.b", "id=tr_%C3%A9"] {
        assert_eq!(channel.recognise(&form(bad)), Likeness::No, "{bad}");
        assert!(matches!(channel.verify(&form(bad), Timestamp::UNIX_EPOCH), Verdict::Refused(_)), "{bad}");
    }
    assert_eq!(refused(channel.as_ref(), &form("id=tr_1&id=tr_1")), "duplicate_field");
    let note = KeyNote { label: "api_key".into(), algorithm: "Bearer".into(), fingerprint: None, not_after: None };
    assert_eq!(channel.keys(), [note]);
    assert!(!format!("{channel:p} {question:?}").contains(KEY));
}

#[test]
fn the_answer_says_what_happened() {
    let channel = bare();
    let paid = r#"{"id":"tr_1","status":"paid","amount":{"value":"10.00","currency":"EUR"},"metadata":{"order":"T1"}}"#;
    let (found, proof) = notification(told(channel.as_ref(), "tr_1", 200, paid));
    assert_eq!(proof, Proof::PlatformApi { host: "api.example.com".into(), key: "api_key".into() });
    let fact = &found.facts[0];
    assert_eq!((found.facts.len(), fact.kind, fact.identity.as_str()), (1, EventKind::PaymentSucceeded, "tr_1"));
    assert_eq!((fact.order_no.as_deref(), fact.signed_money().map(|money| money.minor)), (Some("T1"), Some(1000)));
    assert_eq!(found.concerns, []);
    // The same answer is a repetition; once more was paid back, it tells something new.
    assert_eq!(found.key(), notification(told(channel.as_ref(), "tr_1", 200, &format!("{paid} "))).0.key());
    let back = |total: &str| {
        paid.replace(r#""metadata""#, &format!(r#""refunded":{{"value":"{total}","currency":"EUR"}},"metadata""#))
    };
    assert_eq!(
        notification(told(channel.as_ref(), "tr_1", 200, &back("0.00"))).0.key(),
        found.key(),
        "nothing was paid back"
    );
    let (some, _) = notification(told(channel.as_ref(), "tr_1", 200, &back("2.50")));
    let (more, _) = notification(told(channel.as_ref(), "tr_1", 200, &back("5.00")));
    assert_ne!(some.key(), found.key());
    assert_ne!(some.key(), more.key());
    let refund = &some.facts[1];
    assert_eq!((refund.kind, refund.identity.as_str()), (EventKind::RefundSucceeded, "tr_1:total:250"));
    assert_eq!(refund.payment.as_ref().unwrap().as_str(), "tr_1");
    assert!(
        matches!(&refund.amount, Amount::Cumulative { total: Money { minor: 250, .. }, .. }),
        "{:?}",
        refund.amount
    );
    let (unknown, _) = notification(told(channel.as_ref(), "tr_1", 200, r#"{"id":"tr_1","status":"charged"}"#));
    assert_eq!(unknown.facts[0].kind, EventKind::Other);
    assert_eq!(unknown.concerns, [Concern::UnknownValue { field: "answer:/status".into(), value: "charged".into() }]);
}

#[test]
fn an_answer_that_is_none_leaves_the_question_open() {
    let channel = bare();
    let refused = |status, body: &str| told(channel.as_ref(), "tr_1", status, body).unwrap_err();
    let good = r#"{"id":"tr_1","status":"paid"}"#;
    assert_eq!(refused(200, &good.replace("tr_1", "tr_2")), FetchRefused::OtherNumber);
    assert_eq!(refused(200, r#"{"status":"paid"}"#), FetchRefused::OtherNumber);
    let body = FetchRefused::Malformed { field: "body" };
    for bad in ["", "[", "7", "<html>", r#"{"id":"tr_1","status":"paid","status":"open"}"#] {
        assert_eq!(refused(200, bad), body, "{bad}");
    }
    assert_eq!(refused(401, good), FetchRefused::Credential { status: 401 });
    assert_eq!(refused(302, good), FetchRefused::Status { status: 302 });
    assert!(matches!(told(channel.as_ref(), "tr_1", 404, good), Ok(Fetched::Unknown)));
    assert!(matches!(told(channel.as_ref(), "tr_1", 200, r#"{"id":"tr_1","status":"open"}"#), Ok(Fetched::Nothing)));
}

#[test]
fn what_is_kept_is_read_and_told_again() {
    let channel = bare();
    let back = channel.fetch_back().unwrap();
    let question = back.ask(&hint(channel.as_ref(), &form("id=tr_1")), None, Timestamp::UNIX_EPOCH).question().unwrap();
    let body = r#"{"id":"tr_1","status":"paid","amount":{"value":"10.00"}}"#;
    let answer = HttpAnswer { status: 200, headers: HeaderMap::new(), body: body.into() };
    let kept = question.carried(answer).kept(Timestamp::UNIX_EPOCH);
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    assert_eq!(channel.fields(&kept), [("id", "tr_1"), ("status", "paid"), ("amount.value", "10.00")].map(pair));
    let again = back.callback(&kept).unwrap();
    assert_eq!(&again.body[..], b"id=tr_1");
    assert_eq!(hint(channel.as_ref(), &again).number().as_str(), "tr_1");
    let elsewhere = RawRequest { path: "/v2/refunds/tr_1".into(), ..kept };
    assert!(back.callback(&elsewhere).is_none());
}

const TOKEN: &str = r#"{"algorithm":"token","signature":{"from":"header:x-token","prefix":"Token "},"body":"form"}"#;

#[test]
fn a_token_vouches_and_proves_nothing() {
    let settings = asked(TOKEN, FETCH).with("secret", SettingValue::Key(SECRET.as_bytes().to_vec().into()));
    let channel = build(&settings).unwrap();
    let with = |token: &str| {
        let mut request = form("id=tr_1");
        request.headers.insert("x-token", token.parse().unwrap());
        request
    };
    assert!(hint(channel.as_ref(), &with(&format!("Token {SECRET}"))).is_vouched());
    assert_eq!(channel.recognise(&with(&format!("Token {SECRET}"))), Likeness::Merchant);
    assert_eq!(
        (refused(channel.as_ref(), &with("Token x")), channel.recognise(&with("Token x"))),
        ("signature", Likeness::Shape)
    );
    assert_eq!(refused(channel.as_ref(), &with(SECRET)), "malformed");
    assert_eq!(
        (refused(channel.as_ref(), &form("id=tr_1")), channel.recognise(&form("id=tr_1"))),
        ("missing", Likeness::No)
    );
    assert_eq!(channel.keys().iter().map(|key| key.label.as_str()).collect::<Vec<_>>(), ["secret 1", "api_key"]);
}

/// A signature over too little: it vouches for the number, and the status beside it is anybody's word.
#[test]
fn a_signature_over_a_part_vouches_for_the_number() {
    let verify = r#"{"algorithm":"sha512","encoding":"hex","body":"form","signature":{"from":"form:key","parse":"whole"},"message":"{form:id}|{form:sum}{secret}"}"#;
    let settings = asked(verify, FETCH).with("secret", SettingValue::Key(SECRET.as_bytes().to_vec().into()));
    let channel = build(&settings).unwrap();
    let key = hex(&DigestHash::Sha512.of(&[b"tr_1|10.00", SECRET.as_bytes()]));
    assert!(hint(channel.as_ref(), &form(&format!("id=tr_1&sum=10.00&status=paid&key={key}"))).is_vouched());
    assert_eq!(refused(channel.as_ref(), &form(&format!("id=tr_2&sum=10.00&key={key}"))), "signature");
    let unsigned = asked(&verify.replace("{form:id}", "{form:no}"), FETCH)
        .with("secret", SettingValue::Key(SECRET.as_bytes().to_vec().into()));
    let error = build(&unsigned).err().unwrap();
    assert_eq!((error.key().as_str(), error.word), ("fetch.url", "not_signed"));
}

/// Tests and simulators take the platform's place; nothing else may be put there.
#[test]
fn the_base_is_encrypted_or_this_machine() {
    let settings = |base: &str| {
        asked(r#"{"algorithm":"none","body":"form"}"#, FETCH).with("api_base", SettingValue::Text(base.into()))
    };
    let channel = build(&settings("http://127.0.0.1:9000")).unwrap();
    let question = channel
        .fetch_back()
        .unwrap()
        .ask(&hint(channel.as_ref(), &form("id=tr_1")), None, Timestamp::UNIX_EPOCH)
        .question()
        .unwrap();
    assert!(question.ask().url.starts_with("http://127.0.0.1:9000/v2/payments/tr_1"), "{}", question.ask().url);
    assert_eq!(build(&settings("http://example.com")).err().unwrap().setting, "api_base");
    let unused = settings("http://127.0.0.1:9000");
    let mut without = Settings::new(Environment::Live);
    for (name, value) in unused.values().filter(|(name, _)| *name != "fetch") {
        without = without.with(name, value.clone());
    }
    assert_eq!(build(&without).err().unwrap().word, "unproven");
}

const POST: &str = r#"{"required":true,"method":"POST","url":"https://api.example.com/v1/query?a=1","body":"{{\"no\":\"{form:id}\",\"shop\":\"{cfg:account}\"}}","id_pattern":"^tr_[A-Za-z0-9]+$","auth":"bearer","same":"answer:/id"}"#;

/// Platforms that are asked by `POST`, with the number in what is sent.
#[test]
fn a_question_may_be_posted() {
    let verify = r#"{"algorithm":"none","body":"form"}"#;
    let channel = build(&asked(verify, POST)).unwrap();
    let back = channel.fetch_back().unwrap();
    let question = back.ask(&hint(channel.as_ref(), &form("id=tr_1")), None, Timestamp::UNIX_EPOCH).question().unwrap();
    let ask = question.ask();
    assert_eq!((ask.method.as_str(), ask.url.as_str()), ("POST", "https://api.example.com/v1/query?a=1"));
    assert_eq!(&ask.body[..], br#"{"no":"tr_1","shop":"acct_1"}"#);
    assert_eq!(ask.headers["content-type"], "application/json");
    let answer = |id: &str| HttpAnswer {
        status: 200,
        headers: HeaderMap::new(),
        body: format!(r#"{{"id":"{id}","status":"paid","amount":{{"value":"10.00"}}}}"#).into(),
    };
    let kept = question.clone().carried(answer("tr_1")).kept(Timestamp::UNIX_EPOCH);
    assert_eq!(&back.callback(&kept).unwrap().body[..], b"id=tr_1");
    assert!(back.callback(&RawRequest { path: "/v1/other".into(), ..kept }).is_none());
    assert!(matches!(
        back.read(question.clone().carried(answer("tr_1")), Timestamp::UNIX_EPOCH),
        Ok(Fetched::Notification(_))
    ));
    let other = back.read(question.carried(answer("tr_2")), Timestamp::UNIX_EPOCH);
    assert!(matches!(other, Err(FetchRefused::OtherNumber)), "{other:?}");

    let word = |from: &str, to: &str| {
        assert!(POST.contains(from), "{from}");
        build(&asked(verify, &POST.replace(from, to))).err().map(|error| (error.key(), error.word))
    };
    let wrong = |key: &str, word| Some((format!("fetch.{key}"), word));
    assert_eq!(word(r#""method":"POST","#, ""), wrong("body", "relation"));
    assert_eq!(word(r#","same":"answer:/id""#, ""), wrong("same", "missing"), "else nothing says what it is about");
    assert_eq!(word("query?a=1", "query?a={form:id}"), wrong("body", "relation"), "one number in one place");
    assert_eq!(word("{form:id}", "{json:/id}"), wrong("body", "unknown_reference"));
    assert_eq!(word("{form:id}", "x"), wrong("url", "missing"));
    assert_eq!(word("{form:id}", "{secret}"), wrong("body", "unknown_reference"));
    assert_eq!(word("{cfg:account}", &"x".repeat(5000)), wrong("body", "out_of_range"));
    assert_eq!(word("POST", "PUT"), wrong("method", "unknown_word"));
    // The number in the address, and a fixed text or nothing behind it.
    let in_path = POST.replace("query?a=1", "query/{form:id}").replace("{form:id}\\", "x\\");
    let channel = build(&asked(verify, &in_path)).unwrap();
    let question = channel
        .fetch_back()
        .unwrap()
        .ask(&hint(channel.as_ref(), &form("id=tr_1")), None, Timestamp::UNIX_EPOCH)
        .question()
        .unwrap();
    assert_eq!(question.ask().url, "https://api.example.com/v1/query/tr_1");
    assert_eq!(question.ask().method, Method::POST);
}

/// Of values that are joined without anything between, one signed text names many numbers: it vouches for none.
#[test]
fn joined_values_vouch_for_no_number() {
    let event = EVENT.replace(r#""map":"#, r#""time":{"from":"answer:/at","unit":"s"},"map":"#);
    let hinted = |message: &str, body: &str, text: &str| {
        let verify = format!(
            r#"{{"algorithm":"sha512","encoding":"hex","body":"form","signature":{{"from":"form:sign","parse":"whole"}},"message":"{message}{{secret}}"}}"#
        );
        let settings = asked(&verify, FETCH)
            .with("secret", SettingValue::Key(SECRET.as_bytes().to_vec().into()))
            .with("event", SettingValue::Tree(tree(&format!("{{{event}}}"))));
        let channel = build(&settings).unwrap();
        let tag = hex(&DigestHash::Sha512.of(&[text.as_bytes(), SECRET.as_bytes()]));
        let hint = hint(channel.as_ref(), &form(&format!("{body}&sign={tag}")));
        (hint.number().as_str().to_owned(), hint.is_vouched(), hint.is_doubtful(), hint.is_by_key())
    };
    // Signed: tr_1, 200, 10000.00; sent as tr_12, 00, 10000.00.
    let joined = hinted("{form:id}{form:code}{form:sum}", "id=tr_12&code=00&sum=10000.00", "tr_120010000.00");
    assert_eq!(joined, ("tr_12".to_owned(), false, false, true));
    let apart = "{form:id}|{form:code}|{form:sum}";
    assert!(hinted(apart, "id=tr_1&code=200&sum=10000.00", "tr_1|200|10000.00").1);
    assert!(!hinted(apart, "id=tr_1&code=200|1&sum=10000.00", "tr_1|200|1|10000.00").1);
}
