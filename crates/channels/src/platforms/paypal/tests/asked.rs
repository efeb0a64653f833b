//! Deliveries about which the platform is asked.

use super::*;
use crate::channel::{Credential, FetchRefused, Fetched, HttpAnswer, LOGIN_BYTES_MAX, Login, NextAsk, Question};

fn hint(body: &str) -> Hint {
    match build(&asking()).unwrap().verify(&signed(body), now()) {
        Verdict::Hint(hint) => hint,
        other => panic!("{other:?}"),
    }
}

/// A token's answer as the documents show it.
const TOKEN: &str = r#"{"scope":"https://uri.paypal.com/services/invoicing openid","access_token":"A21AAFEpH4PsADK7qSS7pSRsgz","token_type":"Bearer","app_id":"APP-80W284485P519543T","expires_in":31668,"nonce":"2020-04-03T15:35:36ZaYZlGvEkV4yVSz8g6bAKFoGSEzuy3CQcz3ljhibkOHg"}"#;

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) }
}

/// What a channel sends first.
pub(super) fn login(settings: &Settings) -> Login {
    let channel = build(settings).unwrap();
    channel.fetch_back().unwrap().ask(&hint(&paid()), None, now()).login().unwrap()
}

fn granted(body: &str) -> Result<Credential, FetchRefused> {
    login(&asking()).granted(answer(200, body), now())
}

/// The question with the token of an answer.
pub(super) fn question(settings: &Settings) -> Question {
    let token = login(settings).granted(answer(200, TOKEN), now()).unwrap();
    let channel = build(settings).unwrap();
    channel.fetch_back().unwrap().ask(&hint(&paid()), Some(&token), now()).question().unwrap()
}

fn answered(status: u16, body: &str) -> Result<Fetched, FetchRefused> {
    let channel = build(&asking()).unwrap();
    channel.fetch_back().unwrap().read(question(&asking()).carried(answer(status, body)), now())
}

#[test]
fn the_token_is_asked_for_with_the_applications_credentials() {
    let (hint, channel) = (hint(&paid()), build(&asking()).unwrap());
    assert!(!hint.is_vouched(), "whoever captured a delivery can put any number under its signature");
    assert!(hint.is_by_key(), "a key was needed all the same");
    assert!(channel.signed_alone().is_empty(), "what is brought on is the platform's answer");
    assert_eq!(super::channel().signed_alone(), [TRANSMISSION_ID, TRANSMISSION_TIME]);
    let login = login(&asking());
    let ask = login.ask();
    assert_eq!((ask.method.as_str(), ask.url.as_str()), ("POST", "https://api-m.paypal.com/v1/oauth2/token"));
    let shown = STANDARD.encode("AeA1QIZXiflr1_-r0U2UbW:EGnHDxD_qRPdaLdZz8iCr8N7");
    assert_eq!(ask.headers["authorization"], format!("Basic {shown}"));
    assert_eq!(ask.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(&ask.body[..], b"grant_type=client_credentials");
}

#[test]
fn the_event_is_asked_for_with_the_token() {
    let question = question(&asking());
    let ask = question.ask();
    let id = "WH-58D329510W468432D-8HN650336L201105X";
    assert_eq!(ask.url, format!("https://api-m.paypal.com/v1/notifications/webhooks-events/{id}"));
    assert_eq!((ask.method.as_str(), ask.body.len()), ("GET", 0));
    assert_eq!(ask.headers["authorization"], "Bearer A21AAFEpH4PsADK7qSS7pSRsgz");
    // Until shortly before the token ends, and not with the token of another application.
    let token = granted(TOKEN).unwrap();
    assert_eq!(token.until().as_second() - now().as_second(), 31_668 - 60);
    let channel = build(&asking()).unwrap();
    let ask = |at| channel.fetch_back().unwrap().ask(&hint(&paid()), Some(&token), at);
    let before = token.until() - Duration::from_secs(1);
    assert!(matches!(ask(before), NextAsk::Question(_)) && matches!(ask(token.until()), NextAsk::Login(_)));
    let other = build(&asking().with("client_secret", secret("another-secret-of-the-app"))).unwrap();
    let next = other.fetch_back().unwrap().ask(&hint(&paid()), Some(&token), now());
    assert!(matches!(next, NextAsk::Login(_)));
}

#[test]
fn a_token_is_read_strictly() {
    let token =
        |kind: &str, lasts: &str| format!(r#"{{"access_token":"A21","token_type":{kind},"expires_in":{lasts}}}"#);
    for good in [token("\"Bearer\"", "1"), token("\"bearer\"", "32400"), token("\"Bearer\"", "4294967295")] {
        assert!(granted(&good).is_ok(), "{good}");
    }
    let field = |body: &str| match granted(body) {
        Err(FetchRefused::Malformed { field }) => field,
        other => panic!("{body}: {other:?}"),
    };
    for lasts in ["0", "-1", "1.5", "3e4", "\"32400\"", "4294967296", "null", "[]", "true"] {
        assert_eq!(field(&token("\"Bearer\"", lasts)), "expires_in", "{lasts}");
    }
    for kind in ["\"mac\"", "\"\"", "null", "7", "[\"Bearer\"]", "\"Bearer \""] {
        assert_eq!(field(&token(kind, "32400")), "token_type", "{kind}");
    }
    for bad in ["\"\"", "null", "7", "[]", "{}", "\"a b\"", "\"a\\r\\nX: y\"", "\"\u{e9}\"", "\"a,b\""] {
        assert_eq!(field(&TOKEN.replace("\"A21AAFEpH4PsADK7qSS7pSRsgz\"", bad)), "access_token", "{bad}");
    }
    for name in ["access_token", "token_type", "expires_in"] {
        assert_eq!(field(&TOKEN.replace(&format!("\"{name}\""), "\"other\"")), name);
        // Twice, of which two readers could see two.
        assert_eq!(field(&TOKEN.replacen('{', &format!("{{\"{name}\":\"Bearer\","), 1)), "body");
    }
    for body in ["", "null", "[]", "not json", &format!("[{TOKEN}]"), &format!("{TOKEN}{TOKEN}"), &TOKEN[1..]] {
        assert_eq!(field(body), "body", "{body}");
    }
    let long = TOKEN.replace("A21AAFEpH4PsADK7qSS7pSRsgz", &"a".repeat(5_000));
    assert_eq!(field(&long), "access_token");
    let huge = format!("{TOKEN}{}", " ".repeat(LOGIN_BYTES_MAX));
    assert_eq!(granted(&huge).unwrap_err(), FetchRefused::TooLarge { limit: LOGIN_BYTES_MAX });
}

/// An event in place of a token is no token, and nothing of it is believed.
#[test]
fn an_event_is_no_token_and_a_token_no_event() {
    assert_eq!(granted(&paid()).unwrap_err(), FetchRefused::Malformed { field: "access_token" });
    assert_eq!(answered(200, TOKEN).map(|_| ()).unwrap_err(), FetchRefused::Malformed { field: "id" });
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
        json!("a".repeat(crate::channel::HINT_BYTES_MAX + 1)),
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
