//! Certificates by URL: an address that is not the platform's own is never asked, and an answer is believed only whole.

use super::*;
use crate::channel::{FetchedKey, HttpAnswer, KeyRefused, KeyRequest, Reach};
use crate::simulate::certificate::{Draft, Name};

const ROOT: Name = Name { common: "Root", unit: "u", organization: "o" };
const MIDDLE: Name = Name { common: "Middle", unit: "u", organization: "o" };
const LEAF: Name = Name { common: COMMON_NAME, unit: "u", organization: "PayPal, Inc." };

const VALID: [&str; 2] = ["2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z"];

struct Authority {
    root: Arc<RsaKeyPair>,
    middle: Arc<RsaKeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self { root: fresh(), middle: fresh() }
    }

    fn root(&self) -> String {
        issue(&self.root, ROOT, (&self.root, ROOT), VALID, true)
    }

    fn middle(&self) -> String {
        issue(&self.middle, MIDDLE, (&self.root, ROOT), VALID, true)
    }

    fn leaf(&self, subject: Name, valid: [&str; 2]) -> String {
        issue(&PAIR, subject, (&self.middle, MIDDLE), valid, false)
    }

    fn channel(&self) -> Box<dyn Channel> {
        let settings = ids().with("confirm", words(&["never"])).with("ca_certs", secret(&self.root()));
        build(&settings).unwrap()
    }

    fn read(&self, body: &str) -> Result<Vec<FetchedKey>, KeyRefused> {
        read(&*self.channel(), 200, body, now())
    }
}

fn issue(of: &RsaKeyPair, subject: Name, by: (&RsaKeyPair, Name), valid: [&str; 2], is_authority: bool) -> String {
    let key = PublicKey::of_pair("key", of).unwrap();
    let [not_before, not_after] = valid.map(|text| text.parse().unwrap());
    Draft { serial: 7, subject, key: &key, issuer: by.1, not_before, not_after, is_authority }.sign(by.0)
}

/// The platform's certificate with these names for its hosts, each behind the tag of its form.
fn of_hosts(authority: &Authority, hosts: &[(u8, &str)]) -> String {
    let key = PublicKey::of_pair("key", &PAIR).unwrap();
    let [not_before, not_after] = VALID.map(|text| text.parse().unwrap());
    let draft =
        Draft { serial: 7, subject: LEAF, key: &key, issuer: MIDDLE, not_before, not_after, is_authority: false };
    draft.sign_for(&authority.middle, hosts)
}

fn needed() -> KeyRequest {
    KeyRequest { serial: "CERT-360caa42-fca2a594-a5cafa77".into() }
}

fn read(channel: &dyn Channel, status: u16, body: &str, at: Timestamp) -> Result<Vec<FetchedKey>, KeyRefused> {
    let answer = HttpAnswer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) };
    channel.key_source().unwrap().read(&answer, Some(&needed()), at)
}

#[test]
fn only_the_platforms_own_addresses_are_certificates() {
    let authority = Authority::new();
    let channel = authority.channel();
    let genuine = signed(&paid());
    let Verdict::NeedsKey(request) = channel.verify(&genuine, now()) else { panic!("no key is needed") };
    assert_eq!(request, needed());
    let ask = channel.key_source().unwrap().ask(Some(&request), [0; 16], now()).unwrap();
    assert_eq!((ask.url.as_str(), ask.reach, ask.method.as_str()), (URL, Reach::Public, "GET"));
    for url in [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "HTTPS://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://API.PayPal.com/v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://api-m.paypal.com/v1/notifications/certs/CERT-1",
        "https://evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://evil.example/https://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "https://user@api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:443/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://api.paypal.com./v1/notifications/certs/CERT-1",
        "https://api.paypal.com\\@evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/",
        "https://api.paypal.com/v1/notifications/certs",
        "https://api.paypal.com/v1/notifications/certs/CERT-1/",
        "https://api.paypal.com/v1/notifications/certs/CERT-1/x",
        "https://api.paypal.com/v1/notifications/certs/../../x",
        "https://api.paypal.com/v1/notifications/certs/..",
        "https://api.paypal.com/v1/notifications/certs/%2e%2e",
        "https://api.paypal.com/v1/notifications/certs/CERT-1?x=y",
        "https://api.paypal.com/v1/notifications/certs/CERT-1#x",
        "https://api.paypal.com/v1/notifications/certs/CERT-1%00",
        "https://api.paypal.com/v1/notifications/certs/CERT 1",
        "https://api.paypal.com/v1/notifications/certs/-CERT",
        "https://api.paypal.com/v1/notifications//certs/CERT-1",
        "https://api.paypal.com/v2/notifications/certs/CERT-1",
        " https://api.paypal.com/v1/notifications/certs/CERT-1",
        "//api.paypal.com/v1/notifications/certs/CERT-1",
        &format!("https://api.paypal.com/v1/notifications/certs/{}", "A".repeat(97)),
    ] {
        let rejection = refused(&*channel, &with(&genuine, CERT_URL, Some(url)));
        assert!(matches!(rejection, Rejection::UnknownKey { .. }), "{url}: {rejection:?}");
    }
    // A kept request cannot name anything else either.
    for serial in ["../x", "a/b", "", "a?b", "a%2fb", "a.b"] {
        let ask = channel.key_source().unwrap().ask(Some(&KeyRequest { serial: serial.into() }), [0; 16], now());
        assert_eq!(ask, None, "{serial}");
    }
    assert_eq!(channel.key_source().unwrap().ask(None, [0; 16], now()), None);
}

/// What is no delivery by its form is worth no question.
#[test]
fn nothing_is_asked_for_what_cannot_be_genuine() {
    let channel = Authority::new().channel();
    let genuine = signed(&paid());
    for (name, value) in [
        (AUTH_ALGO, "SHA1withRSA"),
        (AUTH_VERSION, "v1"),
        (TRANSMISSION_SIG, "!"),
        (TRANSMISSION_TIME, "now"),
        (TRANSMISSION_ID, "|"),
    ] {
        refused(&*channel, &with(&genuine, name, Some(value)));
    }
    for body in ["x", "{}", "[]", r#"{"id":"WH-1","event_type":1}"#] {
        assert!(matches!(refused(&*channel, &signed(body)), Rejection::UnknownKey { .. }), "{body}");
    }
}

#[test]
fn a_chain_to_the_authority_is_believed() {
    let authority = Authority::new();
    let chain = authority.leaf(LEAF, VALID) + &authority.middle();
    for body in
        [chain.clone(), chain.clone() + &authority.root(), format!("subject=PayPal\r\n{}", chain.replace('\n', "\r\n"))]
    {
        let keys = authority.read(&body).unwrap();
        assert_eq!((keys.len(), keys[0].serial.as_str()), (1, needed().serial.as_str()));
        assert_eq!(keys[0].not_after, VALID[1].parse().unwrap());
        let channel = authority.channel().key_source().unwrap().with_keys(&keys, now()).unwrap();
        taken(&*channel, &signed(&paid()));
        // Under another word it proves nothing: that one would have to be asked for.
        let other = with(&signed(&paid()), CERT_URL, Some("https://api.paypal.com/v1/notifications/certs/CERT-2"));
        assert!(matches!(channel.verify(&other, now()), Verdict::NeedsKey(_)));
    }
}

#[test]
fn a_certificate_of_anybody_else_is_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let named = |common| authority.leaf(Name { common, ..LEAF }, VALID) + &authority.middle();
    let read = |body: &str| authority.read(body).map_err(|refused| refused.word());
    let issuer = Err("issuer");
    for common in [
        "www.shop.example",
        "paypal.com",
        "paypal.com.evil.example",
        "evilpaypal.com",
        "*.paypal.com",
        "x.paypal.com.",
        "",
    ] {
        assert_eq!(read(&named(common)), issuer, "{common}");
    }
    // The platform's by its common name, and issued to no host, or to something that is none.
    for hosts in
        [&[][..], &[(0x82, COMMON_NAME), (0x82, "www.shop.example")], &[(0x82, COMMON_NAME), (0x81, "a@b.example")]]
    {
        let leaf = of_hosts(&authority, hosts) + &authority.middle();
        assert_eq!(read(&leaf), issuer, "{hosts:?}");
    }
    assert!(read(&(of_hosts(&authority, &[(0x82, COMMON_NAME)]) + &authority.middle())).is_ok());
    // Another authority of the same name, none in between, or one that is none.
    assert_eq!(read(&(stranger.leaf(LEAF, VALID) + &stranger.middle())), issuer);
    assert_eq!(read(&(stranger.leaf(LEAF, VALID) + &authority.middle())), issuer);
    assert_eq!(read(&(stranger.leaf(LEAF, VALID) + &stranger.middle() + &stranger.root())), issuer);
    assert_eq!(read(&authority.leaf(LEAF, VALID)), issuer);
    let no_authority = issue(&authority.middle, MIDDLE, (&authority.root, ROOT), VALID, false);
    assert_eq!(read(&(authority.leaf(LEAF, VALID) + &no_authority)), issuer);
    // The authority itself, its own name or the platform's on it.
    assert_eq!(read(&authority.middle()), issuer);
    let as_authority = issue(&PAIR, LEAF, (&authority.root, ROOT), VALID, true);
    assert_eq!(read(&as_authority), issuer);
    // Self-signed, and the order turned round.
    assert_eq!(read(&issue(&PAIR, LEAF, (&PAIR, LEAF), VALID, false)), issuer);
    assert_eq!(read(&(authority.middle() + &authority.leaf(LEAF, VALID))), issuer);
    // Not begun, or ended; a link of the path as well.
    let past = ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"];
    let future = ["2039-01-01T00:00:00Z", "2040-01-01T00:00:00Z"];
    for valid in [past, future] {
        assert_eq!(read(&(authority.leaf(LEAF, valid) + &authority.middle())), Err("validity"));
        let middle = issue(&authority.middle, MIDDLE, (&authority.root, ROOT), valid, true);
        assert_eq!(read(&(authority.leaf(LEAF, VALID) + &middle)), issuer);
    }
}

/// Without configured authorities the public ones count, and they do not know ours.
#[test]
fn the_public_authorities_do_not_know_us() {
    let authority = Authority::new();
    let channel = build(&ids().with("confirm", words(&["never"]))).unwrap();
    let chain = authority.leaf(LEAF, VALID) + &authority.middle() + &authority.root();
    let refused = read(&*channel, 200, &chain, now()).unwrap_err();
    assert_eq!(refused, KeyRefused::Authority { setting: "ca_certs" });
    assert!(refused.to_string().contains("`ca_certs`"), "{refused}");
    assert!(webpki_root_certs::TLS_SERVER_ROOT_CERTS.len() > 50);
}

#[test]
fn an_answer_that_is_none_brings_nothing() {
    let authority = Authority::new();
    let channel = authority.channel();
    let chain = authority.leaf(LEAF, VALID) + &authority.middle();
    for status in [404, 410] {
        assert_eq!(read(&*channel, status, &chain, now()), Err(KeyRefused::Absent));
    }
    for status in [201, 204, 301, 302, 307, 400, 403, 429, 500, 503] {
        assert_eq!(read(&*channel, status, &chain, now()), Err(KeyRefused::Status { status }));
    }
    let large = format!("{chain}{}", " ".repeat(64 * 1024));
    assert_eq!(authority.read(&large), Err(KeyRefused::TooLarge { limit: 64 * 1024 }));
    assert_eq!(authority.read(&chain.repeat(4)), Err(KeyRefused::TooLarge { limit: 6 }));
    for body in ["", "{}", "<html>", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"] {
        assert_eq!(authority.read(body), Err(KeyRefused::Malformed { field: "body" }), "{body}");
    }
    let labelled = chain.replace("CERTIFICATE", "PUBLIC KEY");
    assert_eq!(authority.read(&labelled), Err(KeyRefused::Malformed { field: "body" }));
}

/// What lies in a store may have been written by anybody.
#[test]
fn a_kept_certificate_is_checked_again() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let chain = authority.leaf(LEAF, VALID) + &authority.middle();
    let key = authority.read(&chain).unwrap().remove(0);
    let channel = authority.channel();
    let source = channel.key_source().unwrap();
    assert_eq!(source.check(&key, now()), Ok(()));
    let theirs = stranger.read(&(stranger.leaf(LEAF, VALID) + &stranger.middle())).unwrap().remove(0);
    let untrusted = KeyRefused::Authority { setting: "ca_certs" };
    for (spoiled, why) in [
        (FetchedKey { serial: "CERT-2".into(), ..key.clone() }, KeyRefused::Serial),
        (FetchedKey { serial: "../x".into(), evidence: b"../x\n".to_vec(), ..key.clone() }, KeyRefused::Serial),
        (FetchedKey { evidence: Vec::new(), ..key.clone() }, KeyRefused::Malformed { field: "evidence" }),
        (FetchedKey { evidence: theirs.evidence.clone(), ..key.clone() }, untrusted.clone()),
        (
            FetchedKey { certificate: theirs.certificate.clone(), ..key.clone() },
            KeyRefused::Malformed { field: "certificate" },
        ),
        (theirs, untrusted),
    ] {
        assert_eq!(source.check(&spoiled, now()), Err(why));
    }
    let late: Timestamp = "2040-01-01T00:00:01Z".parse().unwrap();
    assert_eq!(source.check(&key, late), Err(KeyRefused::Validity));
    assert_eq!(source.renew_at(&[key], now()), None);
}

/// While one webhook takes another's place, what the old one signs is asked about as well, although the certificate was
/// learned after the channel was made.
#[test]
fn a_webhook_of_before_goes_on_with_what_was_learned() {
    use crate::succession::{Former, Succession};
    let authority = Authority::new();
    let by = |webhook: &str| {
        let ids = Settings::new(Environment::Live).with("webhook_id", words(&[webhook]));
        let api = ids.with("merchant_id", words(&[MERCHANT_ID])).with("ca_certs", secret(&authority.root()));
        let api = api.with("client_id", line("AeA1QIZXiflr1_-r0U2UbW"));
        let built = build(&api.with("client_secret", secret("EGnHDxD_qRPdaLdZz8iCr8N7"))).unwrap();
        Arc::<dyn Channel>::from(built)
    };
    let former = Former { channel: by(WEBHOOK_ID), until: now() + Duration::from_hours(1) };
    let channel = Succession::of(by("9JE4291016473214C"), vec![former]);
    assert!(matches!(channel.verify(&signed(&paid()), now()), Verdict::NeedsKey(_)));
    let keys = authority.read(&(authority.leaf(LEAF, VALID) + &authority.middle())).unwrap();
    let channel = channel.key_source().unwrap().with_keys(&keys, now()).unwrap();
    match channel.verify(&signed(&paid()), now()) {
        Verdict::Hint(hint) => assert!(hint.is_by_key() && !hint.is_vouched()),
        other => panic!("{other:?}"),
    }
    let body = paid();
    let stranger = request(body.as_bytes(), &headers(&PAIR, "0JE4291016473214C", body.as_bytes()));
    assert_eq!(refused(&*channel, &stranger), Rejection::Signature);
}
