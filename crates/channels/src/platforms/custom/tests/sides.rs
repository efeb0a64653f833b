//! The other side of any recipe: with fresh keys of whatever kind, it tells what the recipe's channel believes.

use super::*;
use crate::channel::{ANSWER_BYTES_MAX, FetchRefused, Fetched};
use crate::platforms::custom::simulate::side_of;
use crate::simulate::{ApiConduct, Cover, OtherSide, Story, WrittenSetting};

const EVENT: &str = r#"{"id":"json:/id","type":"json:/type","account":"json:/account","number":"json:/no","payment":"json:/payment","order":"json:/order",
    "amount":{"value":"json:/sum","currency":"json:/currency","form":"decimal-string"},
    "map":{"paid":"payment.succeeded","back":"refund.succeeded","out":{"event":"dispute.updated","number":"{json:/no}:{json:/state}"}}}"#;

/// Everything but the keys.
fn base(verify: &str, event: &str) -> Settings {
    Settings::new(Environment::Live)
        .with("platform", SettingValue::Text("example".into()))
        .with("account", SettingValue::Text("acct_1001".into()))
        .with("values", SettingValue::Pairs(vec![("url".into(), "https://x/".into())]))
        .with("verify", SettingValue::Tree(tree(verify)))
        .with("event", SettingValue::Tree(tree(event)))
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn story(kind: EventKind, order: &str) -> Story {
    Story { kind, refund_no: Some("R1".into()), refunded_minor: 50, ..Story::paid(order, 12_345, at()) }
}

fn collected(written: Vec<WrittenSetting>) -> Settings {
    written.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value))
}

const HEADER: &str = r#""signature":{"from":"header:s","parse":"whole"},"message":"{body}","encoding":"base64""#;

#[test]
fn any_recipe_is_told_and_believed() {
    let recipes = [
        format!(r#"{{"algorithm":"hmac-sha1",{HEADER}}}"#),
        format!(r#"{{"algorithm":"hmac-sha512",{HEADER},"secret":{{"format":"hex"}},"key_id":{{"from":"header:k"}}}}"#),
        format!(r#"{{"algorithm":"rsa-sha256",{HEADER}}}"#),
        format!(r#"{{"algorithm":"rsa-sha256",{HEADER},"public_key":{{"format":"x509"}},"algorithm_named":{{"header:a":"RSA"}}}}"#),
        format!(r#"{{"algorithm":"rsa-sha256",{HEADER},"public_key":{{"format":"spki-base64","strip_prefix":"pk_"}},"key_id":{{"from":"json:/key"}}}}"#),
        format!(r#"{{"algorithm":"ed25519",{HEADER},"public_key":{{"format":"base64","strip_prefix":"whpk_"}}}}"#),
        format!(r#"{{"algorithm":"ed25519",{HEADER},"public_key":{{"format":"hex"}}}}"#),
        format!(r#"{{"algorithm":"ed25519",{HEADER}}}"#),
        r#"{"algorithm":"md5","encoding":"hex","signature":{"from":"query:s","parse":"whole"},"message":"{secret}{body}{secret}"}"#.to_owned(),
        r#"{"algorithm":"hmac-sha256","encoding":"hex","secret":{"format":"base64","strip_prefix":"whsec_"},"signature":{"from":"header:s","parse":"list","list_sep":" ","version_sep":",","want":"v1"},
            "timestamp":{"from":"header:t","unit":"s","tolerance":60},"message":"{cfg:url}{header:t}.{body}"}"#.to_owned(),
        r#"{"algorithm":"hmac-sha256","encoding":"hex","signature":{"from":"header:s","parse":"kv","want":"{key_id}"},"timestamp":{"from":"sig:t","unit":"ms","tolerance":60},"message":"{sig:t}.{body}"}"#.to_owned(),
        r#"{"algorithm":"rsa-sha256","encoding":"base64","signature":{"from":"header:s","parse":"kv","want":"sig","percent_decode":true},"message":"{method} {path}\n{body}"}"#.to_owned(),
    ];
    for recipe in recipes {
        let mut side = side_of("test", base(&recipe, EVENT));
        let channel = build(&side.settings()).unwrap();
        assert_eq!(
            side.stories(),
            [EventKind::PaymentSucceeded, EventKind::RefundSucceeded, EventKind::DisputeUpdated]
        );
        for kind in side.stories() {
            let genuine = side.callback(&story(*kind, "T1"));
            let found = match channel.verify(&genuine.request, at()) {
                Verdict::Genuine(proven) => proven.into_parts().0,
                other => panic!("{recipe}: {other:?}"),
            };
            assert_eq!((found.facts[0].kind, found.facts[0].order_no.as_deref()), (*kind, Some("T1")), "{recipe}");
            assert_eq!(found.concerns, [], "{recipe}");
            assert_eq!(channel.recognise(&genuine.request), Likeness::Merchant, "{recipe}");
        }
        let stranger = build(&side_of("test", base(&recipe, EVENT)).settings()).unwrap();
        let genuine = side.callback(&story(EventKind::PaymentSucceeded, "T1"));
        assert!(matches!(stranger.verify(&genuine.request, at()), Verdict::Refused(_)), "{recipe}");
        // Written down and read again, exported and imported, it is the same side.
        let written = side.written_settings();
        assert!(written.iter().all(|one| matches!(one.value, SettingValue::Key(_)) == one.file_name.is_some()));
        let again = build(&collected(written)).unwrap();
        let mut other = side_of("test", base(&recipe, EVENT));
        other.import(&side.export()).unwrap();
        let told = other.callback(&story(EventKind::PaymentSucceeded, "T2")).request;
        assert!(matches!(again.verify(&told, at()), Verdict::Genuine(_)), "{recipe}");
        for garbage in [&b""[..], b"garbage", b"secret x", b"nothing 00"] {
            assert!(side.import(garbage).is_err(), "{garbage:?}");
        }
        assert!(side.api_office().is_none());
    }
}

#[test]
fn the_cover_is_what_the_recipe_signs() {
    let cover = |verify: &str| {
        let side = side_of("test", base(verify, EVENT));
        format!("{:?}", side.callback(&story(EventKind::PaymentSucceeded, "T1")).cover)
    };
    let plain = format!(r#"{{"algorithm":"hmac-sha256",{HEADER}}}"#);
    assert_eq!(cover(&plain), format!("{:?}", Cover::BodyAndHeaders { headers: &[], signature: "s" }));
    let timed =
        plain.replace("{body}", "{header:x-time}{header:x-id}.{body}").replace("{header:x-time}{", "{header:x-time}.{");
    assert_eq!(cover(&timed), format!("{:?}", Cover::BodyAndHeaders { headers: &["x-id", "x-time"], signature: "s" }));
    let query = plain.replace("header:s", "query:s");
    assert_eq!(cover(&query), format!("{:?}", Cover::BodyAndQuery { signature: "s" }));
}

const ASKED: &str = r#"{"type":"answer:/state","number":"answer:/id","payment":"answer:/payment","order":"answer:/order",
    "amount":{"value":"answer:/sum","currency":"answer:/currency","form":"decimal-number"},"map":{"paid":"payment.succeeded","back":"refund.succeeded"}}"#;

const FETCH: &str = r#"{"required":true,"url":"https://api.example.com/v1/{json:/id}","id_pattern":"^ch_[A-Za-z0-9]{8,32}$","auth":"basic-user","same":"answer:/id"}"#;

/// The question about a hint, carried to the office and back.
fn fetched(side: &dyn OtherSide, verify: &str, conduct: ApiConduct) -> Result<Fetched, FetchRefused> {
    let office = side.api_office().unwrap();
    let channel = build(&collected(office.written_settings("http://127.0.0.1:9"))).unwrap();
    drop(office.hint(&story(EventKind::PaymentSucceeded, "T2")));
    let request = office.hint(&story(EventKind::PaymentSucceeded, "T1"));
    let Verdict::Hint(hint) = channel.verify(&request, at()) else { panic!("{verify}") };
    let back = channel.fetch_back().unwrap();
    let question = back.ask(&hint, None, at()).question().unwrap();
    let answer = office.answer(question.ask(), conduct);
    back.read(question.carried(answer), at())
}

#[test]
fn an_office_answers_what_its_hints_are_about() {
    for verify in [
        r#"{"algorithm":"none"}"#,
        r#"{"algorithm":"token","signature":{"from":"header:x-token"}}"#,
        r#"{"algorithm":"sha512","encoding":"hex","signature":{"from":"json:/key","parse":"whole"},"message":"{json:/id}{json:/code}{secret}"}"#,
    ] {
        let side = side_of("test", base(verify, ASKED).with("fetch", SettingValue::Tree(tree(FETCH))));
        match fetched(side.as_ref(), verify, ApiConduct::Honest).unwrap() {
            Fetched::Notification(proven) => {
                let fact = &proven.value().facts[0];
                assert_eq!((fact.kind, fact.order_no.as_deref()), (EventKind::PaymentSucceeded, Some("T1")));
                assert_eq!(fact.signed_money().map(|money| money.minor), Some(12_345));
                assert_eq!(proven.value().concerns, []);
            }
            other => panic!("{verify}: {other:?}"),
        }
        for conduct in ApiConduct::BAD {
            let refused = fetched(side.as_ref(), verify, *conduct).unwrap_err();
            let expected = match conduct {
                ApiConduct::OtherNumber => FetchRefused::OtherNumber,
                ApiConduct::Huge => FetchRefused::TooLarge { limit: ANSWER_BYTES_MAX },
                ApiConduct::Denied => FetchRefused::Credential { status: 401 },
                ApiConduct::Throttled => FetchRefused::Throttled { after: None },
                ApiConduct::Broken => FetchRefused::Status { status: 500 },
                _ => FetchRefused::Malformed { field: "body" },
            };
            assert_eq!(refused, expected, "{verify}: {conduct:?}");
        }
    }
}
