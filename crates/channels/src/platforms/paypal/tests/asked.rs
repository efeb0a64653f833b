//! Deliveries about which the platform is asked.

use super::*;
use crate::channel::{FetchRefused, Fetched, HttpAnswer};

fn hint(body: &str) -> Hint {
    match build(&asking()).unwrap().verify(&signed(body), now()) {
        Verdict::Hint(hint) => hint,
        other => panic!("{other:?}"),
    }
}

fn answered(status: u16, body: &str) -> Result<Fetched, FetchRefused> {
    let channel = build(&asking()).unwrap();
    let back = channel.fetch_back().unwrap();
    let answer = HttpAnswer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) };
    back.read(back.ask(&hint(&paid()), now()).carried(answer), now())
}

#[test]
fn the_event_is_asked_for_with_the_applications_credentials() {
    let channel = build(&asking()).unwrap();
    let hint = hint(&paid());
    assert!(!hint.is_vouched(), "whoever captured a delivery can put any number under its signature");
    assert!(hint.is_shown(), "a key was needed all the same");
    assert!(channel.signed_alone().is_empty(), "what is brought on is the platform's answer");
    assert_eq!(super::channel().signed_alone(), [TRANSMISSION_ID, TRANSMISSION_TIME]);
    let question = channel.fetch_back().unwrap().ask(&hint, now());
    let id = "WH-58D329510W468432D-8HN650336L201105X";
    assert_eq!(question.ask().url, format!("https://api-m.paypal.com/v1/notifications/webhooks-events/{id}"));
    let shown = STANDARD.encode("AeA1QIZXiflr1_-r0U2UbW:EGnHDxD_qRPdaLdZz8iCr8N7");
    assert_eq!(question.ask().headers["authorization"], format!("Basic {shown}"));
}

/// Whatever the delivery says beside the id, the answer is what counts.
#[test]
fn the_answer_is_the_fact() {
    let Ok(Fetched::Notification(proven)) = answered(200, &paid()) else { panic!("no fact") };
    let Proof::PlatformApi { host, key } = proven.proof() else { panic!("not by the platform") };
    assert_eq!((host.as_str(), key.as_str()), ("api-m.paypal.com", "client_secret"));
    let found = proven.value();
    assert_eq!(found.platform_id, "WH-58D329510W468432D-8HN650336L201105X");
    let [fact] = found.facts.as_slice() else { panic!("{found:?}") };
    assert_eq!((fact.kind, fact.identity.as_str()), (EventKind::PaymentSucceeded, "3C679366HH908993F"));
    assert!(fact.aliases.is_empty(), "no transmission is needed to vouch for it");
    // Told by either way, it is one fact.
    assert_eq!(taken(&*channel(), &signed(&paid())).facts[0].identity, fact.identity);
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let word = |status, body: &str| match answered(status, body) {
        Err(refused) => refused.word(),
        Ok(Fetched::Unknown) => "unknown",
        Ok(other) => panic!("{other:?}"),
    };
    assert_eq!(word(404, "{}"), "unknown");
    assert_eq!(word(401, "{}"), "credential");
    assert_eq!(word(200, &paid().replace("WH-58D3", "WH-58D4")), "other_number");
    assert_eq!(word(200, "{}"), "malformed");
    assert_eq!(word(200, r#"{"id":"WH-58D329510W468432D-8HN650336L201105X"}"#), "malformed");
    assert_eq!(word(200, &format!("[{}]", paid())), "malformed");
    assert_eq!(word(200, &format!("{}{}", paid(), " ".repeat(BODY_BYTES_MAX))), "too_large");
    assert_eq!(word(302, &paid()), "status");
}

/// The id goes into a URL.
#[test]
fn an_event_whose_id_is_none_is_refused() {
    let channel = build(&asking()).unwrap();
    for id in [
        json!("../webhooks"),
        json!("WH-1?x=y"),
        json!(""),
        json!(7),
        json!("a".repeat(65)),
        json!(null),
        json!("WH 1"),
    ] {
        let mut event: Value = serde_json::from_str(&paid()).unwrap();
        event["id"] = id;
        let rejection = refused(&*channel, &signed(&event.to_string()));
        assert_eq!(rejection, Rejection::Malformed { field: "id".into() }, "{event}");
    }
    for body in ["not json", r#"{"id":"WH-1","id":"WH-2"}"#] {
        assert_eq!(refused(&*channel, &signed(body)), Rejection::Malformed { field: "body".into() });
    }
    // What nobody signed is not asked about.
    let mut forged = signed(&paid());
    forged.body = paid().replace("10.00", "99.00").into();
    assert_eq!(refused(&*channel, &forged), Rejection::Signature);
}
