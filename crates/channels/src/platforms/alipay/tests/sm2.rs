//! Messages signed with SM2, for merchants who agreed on it.

use super::*;

const SERIAL: &str = "b500b2b760ea9ceb1755baeda1d3f7d2";

fn certified() -> Settings {
    merchant().with("alipay_sm2_public_key", key(vector!("sm2-certificate.crt"))).with("sign_types", texts(&["SM2"]))
}

fn body() -> String {
    String::from_utf8(vector!("trade-sm2-certificate.form").to_vec()).unwrap()
}

#[test]
fn an_sm2_certificate_is_known_by_its_serial() {
    let note = &channel(&certified()).keys()[0];
    assert_eq!((note.fingerprint.as_deref(), note.algorithm.as_str()), (Some(SERIAL), "X.509, SM2"));
    assert_eq!(genuine(&certified(), body().into_bytes()).1, "v1-keep");
    // In either case of its letters, as far as the signature goes; the signed text has it in one.
    let upper = body().replace(SERIAL, &SERIAL.to_ascii_uppercase());
    assert_eq!(refused(&certified(), &request(upper)), Rejection::Signature);
    // Another certificate is not fetched: the download gives those of RSA keys.
    let other = "0123456789abcdef0123456789abcdef";
    let stranger = refused(&certified(), &request(body().replace(SERIAL, other)));
    assert_eq!(stranger, Rejection::UnknownKey { serial: other.into() });
    let ended = channel(&certified()).verify(&request(body()), "2127-01-01T00:00:00Z".parse().unwrap());
    assert!(matches!(ended, Verdict::Refused(Rejection::UnknownKey { .. })), "{ended:?}");
    // Without its name the text is another one.
    let nameless = body().replace(&format!("&alipay_cert_sn={SERIAL}"), "");
    assert_eq!(refused(&certified(), &request(nameless)), Rejection::Signature);
}

#[test]
fn two_sm2_certificates_serve_around_a_rotation() {
    let twice = [vector!("sm2-certificate.crt").as_slice(), vector!("sm2-certificate.crt")].concat();
    let settings = certified().with("alipay_sm2_public_key", key(&twice));
    assert_eq!(channel(&settings).keys().len(), 2);
    assert_eq!(genuine(&settings, body().into_bytes()).1, "v1-keep");
    let many = vector!("sm2-certificate.crt").repeat(settings::CERTIFICATES_MAX + 1);
    let error = build(&certified().with("alipay_sm2_public_key", key(&many))).err().unwrap();
    assert_eq!((error.setting, error.word), ("alipay_sm2_public_key", "out_of_range"));
    // An RSA certificate is none of SM2.
    let error = build(&certified().with("alipay_sm2_public_key", key(vector!("certificate.crt")))).err().unwrap();
    assert_eq!((error.setting, error.word), ("alipay_sm2_public_key", "wrong_algorithm"));
}

#[test]
fn sm2_is_taken_only_where_it_is_configured() {
    let rsa = || merchant().with("alipay_public_key", key(vector!("rsa2.txt")));
    let algorithm = Rejection::Algorithm { algorithm: "SM2".into() };
    assert_eq!(refused(&rsa(), &request(body())), algorithm);
    // A key that is there, and not allowed.
    let idle = rsa().with("alipay_sm2_public_key", key(vector!("sm2-certificate.crt")));
    assert_eq!(refused(&idle, &request(body())), algorithm);
    // Both allowed: each message by its own algorithm, never by the other's key.
    let both = idle.with("sign_types", texts(&["RSA2", "SM2"]));
    assert_eq!(genuine(&both, body().into_bytes()).1, "v1-keep");
    assert_eq!(genuine(&both, vector!("trade-v1.form").to_vec()).1, "v1-keep");
    let renamed = body().replace("sign_type=SM2", "sign_type=RSA2");
    assert_eq!(refused(&both, &request(renamed)), Rejection::Signature);
    for word in ["sm2", "SM3withSM2", "SM3WITHSM2"] {
        let named = body().replace("sign_type=SM2", &format!("sign_type={word}"));
        assert_eq!(refused(&both, &request(named)), Rejection::Algorithm { algorithm: word.into() });
    }
}
