//! The complete notification of the official Go kit's tests.

use super::*;

const REAL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/china/real_messages.json"));

/// When it was signed.
const SIGNED_AT: i64 = 1_624_523_846;

fn real() -> Value {
    serde_json::from_str::<Value>(REAL).unwrap()["wechat_v3"].clone()
}

fn request() -> RawRequest {
    let real = real();
    let mut headers = HeaderMap::new();
    for header in real["headers"].as_array().unwrap() {
        let part = |at: usize| header[at].as_str().unwrap();
        headers.insert(HeaderName::from_bytes(part(0).as_bytes()).unwrap(), part(1).parse().unwrap());
    }
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: None,
        headers,
        body: Bytes::from(real["body"].as_str().unwrap().to_owned()),
        source: None,
        received_at: now(),
    }
}

fn verdict(request: &RawRequest, at: i64) -> Rejection {
    let certificate = SettingValue::Key(real()["certificate"].as_str().unwrap().as_bytes().to_vec().into());
    let channel = build(&stage().with("platform_certs", certificate).settings).unwrap();
    match channel.verify(request, Timestamp::from_second(at).unwrap()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// Its API v3 key has 16 characters, half of what the platform gives to merchants, so no channel can open its box;
/// that the box is what stops it shows that the signature was good.
#[test]
fn the_official_messages_signature_is_good() {
    let genuine = request();
    assert_ne!(build(&stage().settings).unwrap().recognise(&genuine), Likeness::No);
    assert_eq!(verdict(&genuine, SIGNED_AT), Rejection::Undecryptable);
    assert_eq!(verdict(&genuine, SIGNED_AT + 299), Rejection::Undecryptable);
    assert_eq!(verdict(&genuine, SIGNED_AT + 300), Rejection::Stale { seconds: 300 });
    for at in [0, genuine.body.len() / 2, genuine.body.len() - 1] {
        let mut body = genuine.body.to_vec();
        // Blanks between members are JSON as before, and another text to the signature.
        body.insert(at, b' ');
        let spoiled = RawRequest { body: body.into(), ..genuine.clone() };
        assert_eq!(verdict(&spoiled, SIGNED_AT), Rejection::Signature, "{at}");
    }
    for (name, value) in [(NONCE, "EcZ9Cmy4Xyx1i6RlJQzLcCyEqDa26NBy"), (TIMESTAMP, "1624523847")] {
        let mut spoiled = genuine.clone();
        spoiled.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        assert_eq!(verdict(&spoiled, SIGNED_AT), Rejection::Signature, "{name}");
    }
}

#[test]
fn a_key_as_short_as_the_samples_makes_no_channel() {
    let short = SettingValue::Key(real()["apiv3_key"].as_str().unwrap().as_bytes().to_vec().into());
    let error = build(&stage().with("api_v3_key", short).settings).err().unwrap();
    assert_eq!((error.setting, error.word), ("api_v3_key", "out_of_range"));
}

/// What the sample's box holds, in a box that can be opened.
#[test]
fn the_official_messages_content_is_kept_as_other() {
    let stage = stage().with("mchid", SettingValue::Text("1234567890".into()));
    let stage = stage.with("appid", SettingValue::Texts(vec!["054aa7d7a2a54ab5898df65bd96f001c".into()]));
    let plaintext = real()["plaintext"].as_str().unwrap().to_owned();
    let notification = stage.read_bytes("PAYSCORE.USER_OPEN_SERVICE", plaintext.as_bytes());
    assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::Other, vec![]));
    assert_eq!(notification.scope.account, "1234567890");
}
