//! Whose a message is: what a platform signs for all its merchants with one key proves nothing of whom it paid.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

const EVENT: &str = r#""type":"json:/t","number":"json:/id","amount":"unstated","map":{"paid":"payment.succeeded"}"#;

/// A channel whose platform signs with its own key; `verify` and `event` are JSON without the outer braces.
fn public(pair: &Ed25519KeyPair, verify: &str, event: &str) -> Result<Box<dyn Channel>, SettingsError> {
    let verify = format!(
        r#"{{"algorithm":"ed25519","encoding":"base64","signature":{{"from":"header:s","parse":"whole"}},{verify}}}"#
    );
    let key = hex(pair.public_key().as_ref()).into_bytes();
    let values = vec![("shop".to_owned(), "SHOP-77".to_owned())];
    build(
        &Settings::new(Environment::Live)
            .with("platform", SettingValue::Text("example".into()))
            .with("account", SettingValue::Text("acct_1".into()))
            .with("values", SettingValue::Pairs(values))
            .with("public_key", SettingValue::Key(key.into()))
            .with("verify", SettingValue::Tree(tree(&verify)))
            .with("event", SettingValue::Tree(tree(&format!("{{{event}}}")))),
    )
}

const HEX: &str = r#""public_key":{"format":"hex"}"#;

#[test]
fn a_public_key_needs_a_signed_word_about_whose_the_message_is() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let build = |verify: &str, event: &str| {
        public(&pair, &format!("{HEX},{verify}"), event).err().map(|error| (error.key(), error.word))
    };
    let unowned = Some(("verify.algorithm".to_owned(), "unowned"));
    let unsigned = |key: &str| Some((key.to_owned(), "not_signed"));
    assert_eq!(build(r#""message":"{body}""#, EVENT), unowned);
    // What every message has is nobody's own.
    assert_eq!(build(r#""message":"{body}","require":{"json:/object":"event"}"#, EVENT), unowned);
    assert_eq!(build(r#""message":["{cfg:shop}{body}","{body}"]"#, EVENT), unowned, "only one of the texts");
    let mine = r#""mine":["shop"]"#;
    assert_eq!(
        build(&format!(r#"{mine},"message":"{{body}}","require":{{"header:x-shop":"{{cfg:shop}}"}}"#), EVENT),
        unsigned("verify.require")
    );
    for good in [
        r#""message":"{body}","require":{"json:/shop":"{cfg:shop}"}"#,
        r#""message":"{header:x-shop}.{body}","require":{"header:x-shop":"id-{cfg:shop}"}"#,
        r#""message":"{cfg:shop}{body}""#,
    ] {
        assert_eq!(build(&format!("{mine},{good}"), EVENT), None, "{good}");
        assert_eq!(build(good, EVENT), unowned, "a value that any merchant may have: {good}");
        assert_eq!(build(&good.replace("cfg:shop", "cfg:account"), EVENT), None, "{good}");
    }
    let unknown = build(r#""mine":"shops","message":"{body}""#, EVENT);
    assert_eq!(unknown, Some(("verify.mine".to_owned(), "unknown_reference")));
    // What another merchant's number may begin or end with names nobody.
    for (touching, is_named) in [
        ("{cfg:account}{header:n}.{body}", false),
        ("{header:n}{cfg:account}.{body}", false),
        ("{header:n}1{cfg:account}.{body}", false),
        ("{cfg:account}.{header:n}.{body}", true),
        ("{header:n}/{cfg:account}{body}", true),
        ("{body}{cfg:account}", true),
    ] {
        let expected = if is_named { None } else { unowned.clone() };
        assert_eq!(build(&format!(r#""message":"{touching}""#), EVENT), expected, "{touching}");
    }
    assert_eq!(build(r#""body":"form","message":"{cfg:account}{body}""#, &EVENT.replace("json:/", "form:")), unowned);
    // What looks like the account is not it.
    for accident in [
        r#""message":"acct_1.{body}""#,
        r#""message":"{{cfg:account}}.{body}""#,
        r#""message":"{body}","require":{"json:/shop":"acct_1"}"#,
    ] {
        assert_eq!(build(accident, EVENT), unowned, "{accident}");
    }
    assert_eq!(build(r#""message":"{body}""#, &format!(r#"{EVENT},"account":"json:/a""#)), None);
    let alone = HEX.replace('}', r#","mine_alone":true}"#);
    assert!(public(&pair, &format!(r#"{alone},"message":"{{body}}""#), EVENT).is_ok());
    assert!(public(&pair, &format!(r#"{alone},"message":"{{body}}","require":{{"header:x":"a"}}"#), EVENT).is_ok());
}

/// A message of another merchant, and one that names nobody: both are genuine, and neither is believed.
#[test]
fn a_message_that_names_nobody_is_held_where_the_key_is_everybodys() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let found = |verify: &str, body: &str| {
        let event = format!(r#"{EVENT},"account":"json:/a""#);
        let channel = public(&pair, &format!(r#"{verify},"message":"{{body}}""#), &event).unwrap();
        let mut request = signed(body);
        let tag = signature::Encoding::Base64.encode(pair.sign(body.as_bytes()).as_ref());
        request.headers.insert("s", tag.parse().unwrap());
        read(channel.as_ref(), &request).concerns
    };
    assert_eq!(found(HEX, r#"{"t":"paid","id":"1","a":"acct_1"}"#), []);
    assert_eq!(found(HEX, r#"{"t":"paid","id":"1","a":"acct_2"}"#), [Concern::ForeignPayee { payee: "acct_2".into() }]);
    for body in [r#"{"t":"paid","id":"1"}"#, r#"{"t":"paid","id":"1","a":null}"#, r#"{"t":"paid","id":"1","a":" "}"#] {
        assert_eq!(found(HEX, body), [Concern::MissingField { field: "json:/a".into() }], "{body}");
        let alone = HEX.replace('}', r#","mine_alone":true}"#);
        assert_eq!(found(&alone, body), [], "nobody else has such a key: {body}");
    }
}

/// A value without a text would bind nothing wherever it is written.
#[test]
fn a_configured_value_has_a_text() {
    let values = |value: &str| SettingValue::Pairs(vec![("shop".to_owned(), value.to_owned())]);
    let built =
        |value: &str| build(&settings(WHOLE, EVENT).with("values", values(value))).err().map(|error| error.word);
    assert_eq!((built("x"), built(""), built("  ")), (None, Some("malformed"), Some("malformed")));
}
