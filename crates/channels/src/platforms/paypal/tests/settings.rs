//! Settings that make a channel, and those that do not.

use super::*;

fn error(settings: &Settings) -> (&'static str, &'static str) {
    let Err(error) = build(settings) else { panic!("a channel was built") };
    (error.setting, error.word)
}

/// Neither asking nor saying that the signature is enough is no channel.
#[test]
fn a_signature_is_enough_only_where_it_is_said() {
    assert_eq!(error(&ids()), ("client_id", "missing"));
    assert_eq!(error(&ids().with("confirm", words(&["always"]))), ("client_id", "missing"));
    assert_eq!(error(&ids().with("client_id", line("A1"))), ("client_secret", "missing"));
    assert_eq!(error(&ids().with("client_secret", secret("EGnHDxD_qRPdaLdZz8iCr8N7"))), ("client_id", "missing"));
    let never = ids().with("confirm", words(&["never"]));
    assert_eq!(error(&never.clone().with("client_id", line("A1"))), ("client_secret", "missing"));
    for bad in [words(&["Never"]), words(&["always", "never"]), words(&["sometimes"])] {
        assert_eq!(error(&asking().with("confirm", bad)), ("confirm", "unknown_word"));
    }
    assert_eq!(error(&asking().with("confirm", words(&[]))), ("confirm", "empty_list"));

    let genuine = signed(&paid());
    for (settings, asks) in [
        (asking(), true),
        (asking().with("confirm", words(&["always"])), true),
        (asking().with("confirm", words(&["never"])), false),
        (believing(), false),
    ] {
        let channel = build(&settings).unwrap();
        assert_eq!(matches!(channel.verify(&genuine, now()), Verdict::Hint(_)), asks);
        assert_eq!(matches!(channel.verify(&genuine, now()), Verdict::Genuine(_)), !asks);
    }
    assert!(build(&never).is_ok());
}

#[test]
fn ids_are_those_of_the_platform() {
    for bad in ["", " ", "a b", "1JE|29", "webhook/1", &"1".repeat(129)] {
        assert_eq!(error(&believing().with("webhook_id", words(&[bad]))), ("webhook_id", "malformed_id"), "{bad:?}");
    }
    let simulators = believing().with("webhook_id", words(&[WEBHOOK_ID, " WEBHOOK_ID"]));
    assert_eq!(error(&simulators), ("webhook_id", "malformed_id"));
    assert_eq!(error(&believing().with("webhook_id", words(&[]))), ("webhook_id", "empty_list"));
    let many = vec!["1JE4291016473214C"; crate::platforms::paypal::settings::WEBHOOKS_MAX + 1];
    assert_eq!(error(&believing().with("webhook_id", words(&many))), ("webhook_id", "out_of_range"));
    assert_eq!(error(&believing().with("merchant_id", words(&["shop@example.com"]))), ("merchant_id", "malformed_id"));
    assert_eq!(error(&believing().with("order_number", line("reference_id"))), ("order_number", "unknown_word"));
    assert_eq!(error(&asking().with("client_secret", secret("short"))), ("client_secret", "too_short"));
    assert_eq!(
        error(&asking().with("client_secret", secret("EGnHDxD qRPdaLdZz8iCr8N7"))),
        ("client_secret", "malformed")
    );
    assert_eq!(error(&asking().with("client_id", line("a:b"))), ("client_id", "malformed_id"));
    assert_eq!(error(&asking().with("api_base", line("http://api.example"))), ("api_base", "malformed"));
    assert_eq!(error(&asking().with("ca_certs", secret("x"))), ("ca_certs", "not_a_certificate"));
}

/// A configured certificate is believed for its name; whoever has another one has the wrong file.
#[test]
fn a_configured_certificate_is_the_platforms() {
    for name in [
        "paypal.com",
        "messageverificationcerts.paypal.com.evil.example",
        "evilpaypal.com",
        "x.evilpaypal.com",
        "*.paypal.com",
        "a..paypal.com",
        ".paypal.com",
        "www.example.com",
        "messageverificationcerts.paypal.cn",
        "a b.paypal.com",
    ] {
        let wrong = error(&believing().with("paypal_cert", cert(&PAIR, name)));
        assert_eq!(wrong, ("paypal_cert", "not_a_certificate"), "{name}");
    }
    for name in
        ["messageverificationcerts.paypal.com", "MessageVerificationCerts.PayPal.com", "a.b-1.sandbox.paypal.com"]
    {
        assert!(build(&believing().with("paypal_cert", cert(&PAIR, name))).is_ok(), "{name}");
    }
}

/// With a configured certificate nothing is fetched, and the URL is still one of the platform's.
#[test]
fn a_configured_certificate_needs_no_download() {
    let channel = channel();
    assert!(channel.key_source().is_none());
    taken(&*channel, &with(&signed(&paid()), CERT_URL, Some("https://api.paypal.com/v1/notifications/certs/CERT-1")));
    for other in
        ["https://evil.example/v1/notifications/certs/CERT-1", "http://api.paypal.com/v1/notifications/certs/CERT-1"]
    {
        assert_eq!(refused(&*channel, &with(&signed(&paid()), CERT_URL, Some(other))).word(), "unknown_key");
    }
    let note = &channel.keys()[0];
    assert_eq!((note.label.as_str(), note.not_after.is_some()), ("paypal_cert", true));
    // One that has ended proves nothing.
    let late: Timestamp = "2050-01-02T00:00:00Z".parse().unwrap();
    assert!(matches!(channel.verify(&signed(&paid()), late), Verdict::Refused(Rejection::UnknownKey { .. })));
}

#[test]
fn each_environment_has_its_own_addresses() {
    let mut sandbox = asking();
    sandbox.environment = Environment::Sandbox;
    for (settings, host) in [(asking(), "api-m.paypal.com"), (sandbox, "api-m.sandbox.paypal.com")] {
        let (login, question) = (asked::login(&settings), asked::question(&settings));
        assert_eq!(login.ask().url, format!("https://{host}/v1/oauth2/token"));
        let before = format!("https://{host}/v1/notifications/webhooks-events/WH-");
        assert!(question.ask().url.starts_with(&before), "{}", question.ask().url);
    }
}
