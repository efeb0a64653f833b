//! What a recipe makes of a proven message, and what it refuses before.

use super::message::{BodyForm, Message};
use super::template::Template;
use super::*;
use crate::channel::Failure;
use crate::model::{Amount, Concern, Environment, EventKind, Proof};
use crate::settings::SettingValue;
use crate::settings::tree::{Node, Tree};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;

mod asked;
mod cuts;
mod explained;
mod keys;
mod owners;
#[cfg(feature = "simulate")]
mod sides;
mod words;

const SECRET: &str = "a secret of some length";
const OTHER: &str = "another secret of some length";

/// A tree from TOML's near relative, so that tests read like configurations.
fn tree(json: &str) -> Tree {
    fn convert(json: &Json) -> Tree {
        match json {
            Json::Text(text) => Tree::text(text),
            Json::Number(number) => Tree::Number(number.parse().unwrap()),
            Json::Flag(flag) => Tree::Flag(*flag),
            Json::List(items) => Tree::List(items.iter().map(convert).collect()),
            Json::Object(members) => Tree::table(members.iter().map(|(key, value)| (key.as_str(), convert(value)))),
            Json::Null => panic!("TOML has no null"),
        }
    }
    convert(&Json::parse(json.as_bytes()).unwrap())
}

/// `verify` and `event` are JSON without the outer braces.
fn settings(verify: &str, event: &str) -> Settings {
    let verify = format!(r#"{{"algorithm":"hmac-sha256","encoding":"hex",{verify}}}"#);
    let keys = [OTHER, SECRET].map(|secret| secret.as_bytes().to_vec().into());
    Settings::new(Environment::Live)
        .with("platform", SettingValue::Text("example".into()))
        .with("account", SettingValue::Text("acct_1".into()))
        .with("secret_files", SettingValue::Keys(keys.to_vec()))
        .with("verify", SettingValue::Tree(tree(&verify)))
        .with("event", SettingValue::Tree(tree(&format!("{{{event}}}"))))
}

fn channel(verify: &str, event: &str) -> Box<dyn Channel> {
    build(&settings(verify, event)).unwrap()
}

const WHOLE: &str = r#""signature":{"from":"header:s","parse":"whole"},"message":"{body}""#;

fn signed(body: &str) -> RawRequest {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let tag = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(body.as_bytes()));
    headers.insert("s", tag.parse().unwrap());
    RawRequest {
        method: http::Method::POST,
        path: "/notify/c".into(),
        query: None,
        headers,
        body: body.to_owned().into(),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

#[track_caller]
fn read(channel: &dyn Channel, request: &RawRequest) -> Notification {
    match channel.verify(request, Timestamp::UNIX_EPOCH) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(channel: &dyn Channel, request: &RawRequest) -> &'static str {
    match channel.verify(request, Timestamp::UNIX_EPOCH) {
        Verdict::Refused(rejection) => rejection.word(),
        other => panic!("{other:?}"),
    }
}

/// A published signature whose secret is shorter than any that a configuration may name.
#[test]
fn a_configured_value_before_the_body() {
    let tree = Tree::text("{cfg:url}{body}");
    let configured = [("url".to_owned(), "https://example.com/hook".to_owned())];
    let template = Template::read(&Node::new("verify", &tree), &configured).unwrap();
    let request = signed(r#"{"id":"evt_1","amount":1000,"note":"café"}"#);
    let text = Message::new(&request, BodyForm::Json).render(&template, None).unwrap().text.into_owned();
    let tag = HmacKey::new(b"sqkey", HmacHash::Sha256, "").sign(&text);
    assert_eq!(signature::Encoding::Base64.encode(&tag), "ASwCra4maI7ULpLpMjiEKig3LeVGyobPpOt8g++fCgY=");
}

#[test]
fn signed_pairs_of_a_query_and_the_signature_there_go_on() {
    let channel = channel(
        r#""signature":{"from":"query:sign","parse":"whole"},"message":["{query:t}.{body}", "{query:t}.{query:n}.{body}"],"timestamp":{"from":"query:t","unit":"s","tolerance":60}"#,
        r#""type":"json:/t","map":{"x":"other"}"#,
    );
    let body = r#"{"t":"x"}"#;
    let tag = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(format!("1.{body}").as_bytes()));
    let with = |query: &str| RawRequest { query: Some(query.to_owned()), ..signed(body) };
    for query in [format!("t=1&sign={tag}"), format!("a=b&t=%31&n=2&&sign={tag}&T=2&t.=&channel=c")] {
        read(&*channel, &with(&query));
        let own = if query.contains('%') { "%31" } else { "1" };
        assert_eq!(channel.signed_query(&with(&query)), Some(format!("t={own}&sign={tag}")), "{query}");
    }
    assert_eq!(channel.query_names(), ["t", "sign"]);
    let plain = self::channel(WHOLE, r#""type":"json:/t","map":{"x":"other"}"#);
    assert_eq!(plain.signed_query(&with("t=1&sign=2")), None);
}

#[test]
fn the_proof_says_which_secret_signed() {
    let channel = channel(WHOLE, r#""type":"json:/t","map":{"x":"other"}"#);
    let Verdict::Genuine(proven) = channel.verify(&signed(r#"{"t":"x"}"#), Timestamp::UNIX_EPOCH) else { panic!() };
    assert_eq!(*proven.proof(), Proof::Signature { key: "secret 2".into(), variant: "message 1".into() });
    assert_eq!(channel.keys().iter().map(|key| key.label.as_str()).collect::<Vec<_>>(), ["secret 1", "secret 2"]);
}

const MONEY: &str = r#""id":"json:/id","type":"json:/t","number":["json:/n","json:/m"],"payment":"json:/p","order":["json:/o","json:/q"],
    "payee":"json:/payee","amount":{"value":"json:/a","currency":"EUR","form":"minor-int"},
    "map":{"paid":"payment.succeeded","refunded":"refund.succeeded","late":"payment.finalized",
    "total":{"event":"refund.succeeded","amount":{"value":"json:/a","currency":"EUR","form":"minor-int","cumulative":true}},
    "done":[{"event":"payment.succeeded","when":{"json:/s":["paid","settled"],"json:/f":true}},{"event":"payment.pending","when":{"json:/s":""}},"payment.failed"]}"#;

#[test]
fn facts_carry_what_the_message_says() {
    let channel = channel(WHOLE, MONEY);
    let read = |body: &str| read(channel.as_ref(), &signed(body));
    let paid = read(r#"{"id":"e1","t":"paid","n":"P1","m":"C1","a":1000,"q":"T1","payee":"me"}"#);
    let fact = &paid.facts[0];
    assert_eq!(paid.platform_id, "e1");
    assert_eq!(fact.identities().map(|name| name.as_str().to_owned()).collect::<Vec<_>>(), ["P1", "C1"]);
    assert_eq!(
        (fact.order_no.as_deref(), fact.payee.as_deref(), fact.payment.as_ref()),
        (Some("T1"), Some("me"), None)
    );
    assert_eq!((fact.scope.family, fact.scope.account.as_str()), ("custom", "example/acct_1"));
    let refund = read(r#"{"id":"e2","t":"refunded","n":"R1","p":"P1","a":10}"#).facts.remove(0);
    assert_eq!((refund.kind, refund.payment.unwrap().as_str()), (EventKind::RefundSucceeded, "P1"));
    let late = read(r#"{"id":"e3","t":"late","n":"P1"}"#);
    assert_eq!((late.facts[0].payment.as_ref().unwrap().as_str(), &late.concerns), ("P1", &vec![]));
    let unknown = read(r#"{"id":"e4","t":"news","n":"P1","a":10}"#);
    assert_eq!((unknown.facts[0].kind, unknown.facts[0].identity.as_str()), (EventKind::Other, "e4"));
    assert_eq!((unknown.platform_kind.as_str(), &unknown.facts[0].amount), ("news", &Amount::None));
}

#[test]
fn what_is_missing_is_held_and_not_refused() {
    let channel = channel(WHOLE, MONEY);
    let concerns = |body: &str| read(channel.as_ref(), &signed(body)).concerns;
    let missing = |field: &str| vec![Concern::MissingField { field: field.to_owned() }];
    let unreadable = vec![Concern::UnreadableAmount { field: "json:/a".to_owned() }];
    assert_eq!(concerns(r#"{"t":"paid","a":10}"#), missing("json:/n"));
    assert_eq!(concerns(r#"{"t":"paid","n":null,"a":10}"#), missing("json:/n"));
    assert_eq!(concerns(r#"{"t":"paid","n":"P1"}"#), unreadable);
    assert_eq!(concerns(r#"{"t":"paid","n":"P1","a":{"x":1}}"#), unreadable);
    assert_eq!(concerns(r#"{"n":"P1"}"#), missing("json:/t"));
    let long = "9".repeat(300);
    assert_eq!(concerns(&format!(r#"{{"t":"paid","n":"{long}","m":"C1","a":1}}"#)).len(), 1);
    let bodies = [r#"{"t":"x","y":1}"#, r#"{"t":"x","y":2}"#].map(|body| read(channel.as_ref(), &signed(body)));
    assert_ne!(bodies[0].key(), bodies[1].key(), "without a number the body's digest is one");
}

#[test]
fn the_first_rule_that_fits_counts() {
    let channel = channel(WHOLE, MONEY);
    for (rest, kind) in [
        (r#","s":"paid","f":true"#, EventKind::PaymentSucceeded),
        (r#","s":"settled","f":"true""#, EventKind::PaymentSucceeded),
        (r#","s":"paid","f":false"#, EventKind::PaymentFailed),
        (r#","s":null"#, EventKind::PaymentPending),
        ("", EventKind::PaymentPending),
        (r#","s":{"paid":1}"#, EventKind::PaymentPending),
        (r#","s":"gone""#, EventKind::PaymentFailed),
    ] {
        let body = format!(r#"{{"t":"done","n":"P1","a":1{rest}}}"#);
        assert_eq!(read(channel.as_ref(), &signed(&body)).facts[0].kind, kind, "{rest}");
    }
}

#[test]
fn a_running_total_names_its_refund() {
    let channel = channel(WHOLE, MONEY);
    let fact = read(channel.as_ref(), &signed(r#"{"t":"total","n":"R1","p":"P1","a":500}"#)).facts.remove(0);
    assert_eq!(fact.identities().map(|name| name.as_str().to_owned()).collect::<Vec<_>>(), ["P1:total:500", "R1"]);
    let Amount::Cumulative { series, total, is_numbered } = fact.amount else { panic!("{:?}", fact.amount) };
    assert_eq!((series.0.as_str(), total.minor, is_numbered), ("P1", 500, true));
}

#[test]
fn a_signed_batch_is_as_many_facts() {
    let verify = format!(r#"{WHOLE},"items":{{"from":"json:/events"}}"#);
    let event = r#""id":"item:/id","type":"item:/t","number":"item:/n","amount":{"value":"item:/a","currency":"EUR","form":"minor-int"},
        "map":{"paid":"payment.succeeded"}"#;
    let channel = channel(&verify, event);
    let body = r#"{"events":[{"id":"e1","t":"paid","n":"P1","a":1},{"id":"e2","t":"news"},{"id":"e3","t":"paid","n":"P2","a":2}]}"#;
    let batch = read(channel.as_ref(), &signed(body));
    let kinds: Vec<EventKind> = batch.facts.iter().map(|fact| fact.kind).collect();
    assert_eq!(kinds, [EventKind::PaymentSucceeded, EventKind::Other, EventKind::PaymentSucceeded]);
    assert_eq!(batch.facts[2].identity.as_str(), "P2");
    let one = read(channel.as_ref(), &signed(r#"{"events":[{"id":"e1","t":"paid","n":"P1","a":1}]}"#));
    assert_eq!(one.platform_id, "e1");
    assert_eq!(read(channel.as_ref(), &signed(r#"{"events":[]}"#)).facts[0].kind, EventKind::Other);
    assert_eq!(refused(channel.as_ref(), &signed(r#"{"events":{}}"#)), "missing");
    let many = format!(r#"{{"events":[{}]}}"#, vec!["{}"; ITEMS_MAX + 1].join(","));
    assert_eq!(refused(channel.as_ref(), &signed(&many)), "too_many_fields");
}

#[test]
fn ids_accounts_and_environments_are_compared() {
    let verify = format!(
        r#"{WHOLE},"require":{{"json:/app":"shop","header:x-env":"prod"}},
        "environment":{{"from":"json:/live","live":true,"sandbox":false}}"#
    );
    let event = r#""type":"json:/t","account":"json:/account","map":{"x":"other"}"#;
    let channel = channel(&verify, event);
    let request = |body: &str| {
        let mut request = signed(body);
        request.headers.insert("x-env", "prod".parse().unwrap());
        request
    };
    let good = request(r#"{"t":"x","app":"shop","live":true,"account":"acct_1"}"#);
    assert_eq!(read(channel.as_ref(), &good).concerns, []);
    assert_eq!(channel.recognise(&good), Likeness::Merchant);
    let foreign = request(r#"{"t":"x","app":"shop","live":true,"account":"acct_2"}"#);
    let found = read(channel.as_ref(), &foreign);
    assert_eq!(found.concerns, [Concern::ForeignPayee { payee: "acct_2".into() }]);
    assert_eq!((found.scope.account.as_str(), channel.recognise(&foreign)), ("example/acct_2", Likeness::Shape));
    for live in ["false", "null", "\"TRUE\""] {
        let test = request(&format!(r#"{{"t":"x","app":"shop","live":{live},"account":"acct_1"}}"#));
        let concerns = read(channel.as_ref(), &test).concerns;
        assert_eq!(concerns, [Concern::ForeignEnvironment { field: "json:/live".into() }], "{live}");
    }
    let other = request(r#"{"t":"x","app":"other","live":true}"#);
    assert_eq!((refused(channel.as_ref(), &other), channel.recognise(&other)), ("unknown_merchant", Likeness::Shape));
    let mut twice = good;
    twice.headers.append("x-env", "test".parse().unwrap());
    assert_eq!(refused(channel.as_ref(), &twice), "duplicate_field");
    assert_eq!(refused(channel.as_ref(), &signed(r#"{"t":"x","app":"shop"}"#)), "missing");
}

#[test]
fn a_signature_is_read_strictly() {
    let channel = channel(WHOLE, r#""type":"json:/t","map":{"x":"other"}"#);
    let good = signed(r#"{"t":"x"}"#);
    let tag = good.headers["s"].to_str().unwrap().to_owned();
    let with = |values: &[&str]| {
        let mut request = good.clone();
        request.headers.remove("s");
        for value in values {
            request.headers.append("s", value.parse().unwrap());
        }
        request
    };
    assert_eq!(refused(channel.as_ref(), &with(&[&tag, &tag])), "duplicate_field", "the same one twice");
    assert_eq!(refused(channel.as_ref(), &with(&[&tag, "00"])), "duplicate_field");
    for bad in [&tag[1..], "zz", &format!("{tag},{tag}")] {
        assert_eq!(refused(channel.as_ref(), &with(&[bad])), "malformed", "{bad}");
    }
    for other in [&tag[2..], &format!("{tag}00")] {
        assert_eq!(
            refused(channel.as_ref(), &with(&[other])),
            "signature",
            "another key's, as far as is seen: {other}"
        );
    }
    assert_eq!(refused(channel.as_ref(), &with(&[&"0".repeat(64)])), "signature");
}

/// Single fields under the signature: what they leave out may not mean anything.
#[test]
fn only_what_is_signed_may_say_something() {
    let verify = r#""signature":{"from":"json:/sig","parse":"whole"},"message":"{json:/id}|{json:/t}|{json:/a}""#;
    let event = |number: &str| {
        format!(
            r#""type":"json:/t","number":"{number}","amount":{{"value":"json:/a","currency":"EUR","form":"decimal-number"}},"map":{{"paid":"payment.succeeded"}}"#
        )
    };
    let error = build(&settings(verify, &event("json:/other"))).err().unwrap();
    assert_eq!((error.key().as_str(), error.word), ("event.number", "not_signed"));
    let channel = channel(verify, &event("json:/id"));
    let tag = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(b"1|paid|10.50"));
    let mut request = signed(&format!(r#"{{"id":1,"t":"paid","a":10.50,"sig":"{tag}"}}"#));
    request.headers.remove("s");
    assert_eq!(read(channel.as_ref(), &request).facts[0].signed_money().unwrap().minor, 1050);
    let cut = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(b"1|x|paid|10.50"));
    request.body = format!(r#"{{"id":"1|x","t":"paid","a":10.50,"sig":"{cut}"}}"#).into();
    let concerns = read(channel.as_ref(), &request).concerns;
    assert_eq!(concerns, [Concern::Ambiguous { field: "json:/id".into() }], "it could be cut elsewhere");
    request.body = format!(r#"{{"id":1,"t":"paid","a":10.5,"sig":"{tag}"}}"#).into();
    assert_eq!(refused(channel.as_ref(), &request), "signature", "a number is signed as it is written");
    let whole = r#""signature":{"from":"json:/sig","parse":"whole"},"message":"{body}""#;
    let error = build(&settings(whole, &event("json:/id"))).err().unwrap();
    assert_eq!((error.key().as_str(), error.word), ("verify.message", "unknown_reference"), "it cannot sign itself");
}

#[test]
fn the_window_is_as_wide_as_configured_on_either_side() {
    let verify = r#""signature":{"from":"header:s","parse":"whole"},"message":"{body}",
        "timestamp":{"from":"json:/at","unit":"ms","tolerance":60,"tolerance_future":"5s"}"#;
    let channel = channel(verify, r#""type":"json:/t","map":{"x":"other"}"#);
    let request = signed(r#"{"t":"x","at":1700000000500}"#);
    let at = |millis: i64| match channel.verify(&request, Timestamp::from_millisecond(millis).unwrap()) {
        Verdict::Genuine(proven) => proven.value().sent_at.unwrap().as_millisecond().to_string(),
        Verdict::Refused(rejection) => rejection.word().to_owned(),
        other => panic!("{other:?}"),
    };
    for (millis, expected) in [
        (1_700_000_060_500, "1700000000500"),
        (1_700_000_060_501, "stale"),
        (1_699_999_995_500, "1700000000500"),
        (1_699_999_995_499, "stale"),
    ] {
        assert_eq!(at(millis), expected, "{millis}");
    }
}

#[test]
fn plain_statuses_without_a_reply_section() {
    let channel = channel(WHOLE, r#""type":"json:/t","map":{"x":"other"}"#);
    let status = |answer| channel.answer(answer, None).status;
    assert_eq!(status(Answer::Success), 200);
    assert_eq!(status(Answer::Failure(Failure::Refused)), 400);
    assert_eq!(status(Answer::Failure(Failure::Busy)), 503);
    let ack = |status: u16, body: &[u8]| channel.is_ack(&AppReply { status, body }, None);
    assert_eq!((ack(204, b""), ack(200, b"{}"), ack(500, b"")), (AckMatch::Exact, AckMatch::Exact, AckMatch::No));
    assert_eq!(ack(200, b"<br />\n<b>Fatal error</b>: Uncaught"), AckMatch::No);
    for body in crate::platforms::failure::tests::FAILURES {
        assert_eq!(ack(200, body.as_bytes()), AckMatch::No, "{body}");
    }
}
