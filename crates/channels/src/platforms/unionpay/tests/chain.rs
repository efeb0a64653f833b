//! Tests of the path from a notice's certificate to the configured ones, with invented authorities.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::certificates::{KNOWN_MAX, TEXT_BYTES_MAX, Trust};
use super::*;
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;
use crate::signature::x509::Certificate;
use crate::simulate::certificate::{Draft, Name};

const ROOT: Name = Name { common: "ROOT", unit: "u", organization: "o" };
const MIDDLE: Name = Name { common: "MIDDLE", unit: "u", organization: "o" };
const UNIONPAY: Name = named("041@8310000000083040@中国银联股份有限公司@00016495");
const NOW: &str = "2026-06-01T00:00:00Z";

const fn named(common: &'static str) -> Name {
    Name { common, unit: "u", organization: "o" }
}

/// Root, middle, UnionPay, and somebody else.
static PAIRS: LazyLock<[RsaKeyPair; 4]> =
    LazyLock::new(|| std::array::from_fn(|_| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

/// A certificate for `PAIRS[key]`, signed with `PAIRS[signer]`.
#[derive(Clone, Copy)]
struct Made {
    serial: u64,
    subject: Name,
    key: usize,
    issuer: Name,
    signer: usize,
    times: (&'static str, &'static str),
    is_authority: bool,
}

const LEAF: Made = Made {
    serial: 3,
    subject: UNIONPAY,
    key: 2,
    issuer: MIDDLE,
    signer: 1,
    times: ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    is_authority: false,
};
const MIDDLE_CERT: Made =
    Made { serial: 2, subject: MIDDLE, key: 1, issuer: ROOT, signer: 0, is_authority: true, ..LEAF };
const ROOT_CERT: Made = Made { serial: 1, subject: ROOT, key: 0, issuer: ROOT, signer: 0, is_authority: true, ..LEAF };

impl Made {
    fn pem(self) -> String {
        let key = PublicKey::of_pair("key", &PAIRS[self.key]).unwrap();
        let draft = Draft {
            serial: self.serial,
            subject: self.subject,
            key: &key,
            issuer: self.issuer,
            not_before: at(self.times.0),
            not_after: at(self.times.1),
            is_authority: self.is_authority,
        };
        draft.sign(&PAIRS[self.signer])
    }
}

fn settings() -> Settings {
    merchant(Environment::Live).with("root_cert", key(ROOT_CERT.pem())).with("middle_cert", key(MIDDLE_CERT.pem()))
}

/// A payment signed with the key of this certificate, which may be damaged.
fn signed_by(pair: usize, certificate: &str) -> Vec<u8> {
    signed_over(pair, certificate, |text| DigestHash::Sha256.hex_of(&[text.as_bytes()], HexCase::Lower))
}

/// The same, with something else made of the text that is signed.
fn signed_over(pair: usize, certificate: &str, message: fn(&str) -> String) -> Vec<u8> {
    let mut pairs = payment("01");
    pairs.extend([("currencyCode", "156"), ("signPubKeyCert", certificate)]);
    pairs.sort_unstable();
    let parts: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let message = message(&parts.join("&"));
    let signature = STANDARD.encode(sign_sha256(&PAIRS[pair], message.as_bytes()).unwrap());
    pairs.push(("signature", &signature));
    body(&pairs)
}

fn check(settings: &Settings, made: Made, now: &str) -> Verdict {
    verify(settings, &request(signed_by(made.key, &made.pem())), now)
}

#[test]
fn only_unionpays_own_certificate_under_the_configured_ones_proves() {
    let live = settings();
    assert!(matches!(check(&live, LEAF, NOW), Verdict::Genuine(_)));
    let strangers = [
        ("of a stranger's authority", Made { key: 3, signer: 3, ..LEAF }),
        ("signed by itself", Made { key: 3, issuer: UNIONPAY, signer: 3, ..LEAF }),
        ("issued by UnionPay's own", Made { key: 3, issuer: UNIONPAY, signer: 2, ..LEAF }),
        ("issued by the root at once", Made { key: 3, issuer: ROOT, signer: 0, ..LEAF }),
        ("of another issuer's name", Made { issuer: ROOT, ..LEAF }),
        ("the middle one itself", MIDDLE_CERT),
        ("the root itself", ROOT_CERT),
        ("of UnionPay's test environment", Made { subject: named("041@Z12@00040000:SIGN@00000062"), ..LEAF }),
        ("of the test environment by its unit", Made { subject: Name { unit: "CFCA TEST", ..UNIONPAY }, ..LEAF }),
        (
            "of the test environment by its company",
            Made { subject: Name { organization: "cfca test oca1", ..UNIONPAY }, ..LEAF },
        ),
    ];
    let names = [
        "041@8310000000083040@某某商户有限公司@00016495",
        "中国银联股份有限公司",
        "041@中国银联股份有限公司",
        "中国银联股份有限公司@041@x@y",
        "041@x@中国银联股份有限公司 @1",
        "041@x@y@中国银联股份有限公司",
        "041@x@中国银联股份有限公司,CN=@1",
    ];
    let renamed = names.map(|name| ("of another name", Made { subject: named(name), ..LEAF }));
    for (label, made) in strangers.into_iter().chain(renamed) {
        match check(&live, made, NOW) {
            Verdict::Refused(Rejection::UnknownKey { serial }) => assert!(serial.parse::<u128>().is_ok(), "{serial}"),
            verdict => panic!("{label}: {verdict:?}"),
        }
    }
}

#[test]
fn a_unit_cannot_play_the_name() {
    let unit = Name { common: "x", unit: "u,CN=041@x@中国银联股份有限公司@1", organization: "o" };
    assert!(matches!(check(&settings(), Made { subject: unit, ..LEAF }, NOW), Verdict::Refused(_)));
}

#[test]
fn all_of_the_path_is_valid_now() {
    let old = ("2025-01-01T00:00:00Z", "2026-05-01T00:00:00Z");
    let times = [
        ("2025-12-31T23:59:59Z", false),
        ("2026-01-01T00:00:00Z", true),
        ("2027-01-01T00:00:00Z", true),
        ("2027-01-01T00:00:01Z", false),
    ];
    for (now, is_good) in times {
        assert_eq!(matches!(check(&settings(), LEAF, now), Verdict::Genuine(_)), is_good, "{now}");
    }
    assert!(matches!(check(&settings(), Made { times: old, ..LEAF }, NOW), Verdict::Refused(_)));
    let old_middle = settings().with("middle_cert", key(Made { times: old, ..MIDDLE_CERT }.pem()));
    let old_root = settings().with("root_cert", key(Made { times: old, ..ROOT_CERT }.pem()));
    for settings in [&old_middle, &old_root] {
        assert!(matches!(check(settings, LEAF, NOW), Verdict::Refused(_)));
        assert!(matches!(check(settings, LEAF, "2026-04-01T00:00:00Z"), Verdict::Genuine(_)));
    }
    // Around a change the file holds both.
    let renewed = Made { times: old, ..MIDDLE_CERT }.pem() + &MIDDLE_CERT.pem();
    assert!(matches!(check(&settings().with("middle_cert", key(renewed)), LEAF, NOW), Verdict::Genuine(_)));
}

#[test]
fn the_signature_is_over_the_digits_of_the_digest() {
    let pem = LEAF.pem();
    let others: [fn(&str) -> String; 3] = [
        str::to_owned,
        |text| DigestHash::Sha256.hex_of(&[text.as_bytes()], HexCase::Upper),
        |text| DigestHash::Sha1.hex_of(&[text.as_bytes()], HexCase::Lower),
    ];
    for other in others {
        assert_eq!(refused(&settings(), &request(signed_over(2, &pem, other)), NOW), Rejection::Signature);
    }
    assert_eq!(refused(&settings(), &request(signed_by(3, &pem)), NOW), Rejection::Signature, "another key's");
    for certificate in [pem.replace('\n', "\r\n"), pem.trim_end().to_owned(), format!("\r\n{pem}\r\n")] {
        let found = verify(&settings(), &request(signed_by(2, &certificate)), NOW);
        assert!(matches!(found, Verdict::Genuine(_)), "{certificate:?}: {found:?}");
    }
    for certificate in
        [pem.replace('+', " ").replacen('\n', " \n", 2), pem.repeat(2), format!("{pem}x"), "x".to_owned()]
    {
        let rejection = refused(&settings(), &request(signed_by(2, &certificate)), NOW);
        assert_eq!(rejection, Rejection::Malformed { field: "signPubKeyCert".into() }, "{certificate:?}");
    }
    let long = "-----BEGIN CERTIFICATE-----\n".to_owned() + &"A".repeat(TEXT_BYTES_MAX) + "\n-----END CERTIFICATE-----";
    assert_eq!(refused(&settings(), &request(signed_by(2, &long)), NOW).word(), "malformed");
}

#[test]
fn pins_must_be_able_to_pass() {
    let other = Made { serial: 9, ..LEAF };
    let pinned = settings().with("unionpay_cert", key(LEAF.pem()));
    assert!(matches!(check(&pinned, LEAF, NOW), Verdict::Genuine(_)));
    assert!(matches!(check(&pinned, other, NOW), Verdict::Refused(Rejection::UnknownKey { .. })), "not pinned");
    let both = settings().with("unionpay_cert", key(LEAF.pem() + &other.pem()));
    assert!(matches!(check(&both, other, NOW), Verdict::Genuine(_)));
    let check = |made: Made, word: &str| {
        let error = build(&settings().with("unionpay_cert", key(made.pem()))).err().unwrap();
        assert_eq!((error.setting, error.word), ("unionpay_cert", word), "{error}");
    };
    check(Made { signer: 3, ..LEAF }, "relation");
    check(Made { subject: named("041@x@我的商户@1"), ..LEAF }, "never_matches");
    check(Made { subject: named("041@Z12@00040000:SIGN@00000062"), ..LEAF }, "test_certificate");
    check(Made { issuer: named("CFCA TEST OCA1"), ..LEAF }, "test_certificate");
    check(Made { subject: Name { unit: "CFCA TEST", ..UNIONPAY }, ..LEAF }, "test_certificate");
    // Also where nothing but the pin says who signs.
    let alone = Made { issuer: named("CFCA TEST OCA1"), ..LEAF }.pem();
    let error = build(&merchant(Environment::Live).with("unionpay_cert", key(alone))).err().unwrap();
    assert_eq!((error.setting, error.word), ("unionpay_cert", "test_certificate"), "{error}");
    let weak = settings().with("root_cert", key(Made { is_authority: false, ..ROOT_CERT }.pem()));
    assert_eq!(build(&weak).err().unwrap().word, "never_matches");
}

#[test]
fn certificates_that_proved_a_notice_are_remembered() {
    let trust = trust();
    let texts: Vec<String> = (0..KNOWN_MAX as u64 + 3).map(|serial| Made { serial, ..LEAF }.pem()).collect();
    let now = at(NOW);
    let signer = |text: &str| trust.signer(text.as_bytes(), now).unwrap();
    let first = signer(&texts[0]);
    assert!(!Arc::ptr_eq(&first, &signer(&texts[0])), "it proved nothing yet");
    trust.remember(&first);
    assert!(Arc::ptr_eq(&first, &signer(&texts[0])), "read once");
    for text in &texts {
        trust.remember(&signer(text));
    }
    assert_eq!(trust.known_count(), KNOWN_MAX);
    assert!(Arc::ptr_eq(&first, &signer(&texts[0])), "never pushed out");
    // The others are read anew each time.
    assert!(!Arc::ptr_eq(&signer(&texts[KNOWN_MAX + 1]), &signer(&texts[KNOWN_MAX + 1])));
    // A remembered certificate ends in its time.
    assert!(trust.signer(texts[0].as_bytes(), at("2027-01-01T00:00:01Z")).is_err());

    // Many threads at once fill one place for each certificate.
    let trust = self::trust();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for text in texts[..KNOWN_MAX - 2].iter().cycle().take(100) {
                    trust.remember(&trust.signer(text.as_bytes(), now).unwrap());
                }
            });
        }
    });
    assert_eq!(trust.known_count(), KNOWN_MAX - 2);
}

#[test]
fn what_is_explained_is_not_remembered() {
    let channel = UnionPay { config: Config::build(&settings()).unwrap() };
    let known = || channel.config.trust.as_ref().unwrap().known_count();
    let request = request(signed_by(LEAF.key, &LEAF.pem()));
    let is_genuine = || matches!(channel.verify(&request, at(NOW)), Verdict::Genuine(_));
    assert!(trial::listen(64, is_genuine).0);
    assert_eq!(known(), 0);
    assert!(is_genuine());
    assert_eq!(known(), 1);
}

fn trust() -> Trust {
    let read = |made: Made| Certificate::read("cert", made.pem().as_bytes()).unwrap();
    Trust::new(Environment::Live, &[read(ROOT_CERT)], &[read(MIDDLE_CERT)], Vec::new(), None).unwrap()
}

/// One certificate can be written in any number of ways, and a stranger has it from any notice. None of his writings is
/// kept, or those of UnionPay's next certificates would find no place.
#[test]
fn a_flood_of_spellings_of_a_good_certificate_fills_nothing() {
    let channel = UnionPay { config: Config::build(&settings()).unwrap() };
    let known = || channel.config.trust.as_ref().unwrap().known_count();
    let pem = LEAF.pem();
    let line_ends: Vec<usize> = pem.match_indices('\n').map(|(at, _)| at).collect();
    let spelled = |number: usize| {
        let at = line_ends[number % line_ends.len()];
        [&pem[..at], &"\r\n".repeat(1 + number / line_ends.len()), &pem[at..]].concat()
    };
    for number in 0..100 {
        let spelled = spelled(number);
        let verdict = channel.verify(&request(signed_by(3, &spelled)), at(NOW));
        assert!(matches!(verdict, Verdict::Refused(Rejection::Signature)), "{spelled:?}: {verdict:?}");
    }
    assert_eq!(known(), 0);
    // Also UnionPay itself takes one place for one certificate.
    for number in 0..20 {
        let verdict = channel.verify(&request(signed_by(2, &spelled(number))), at(NOW));
        assert!(matches!(verdict, Verdict::Genuine(_)), "{verdict:?}");
    }
    assert_eq!(known(), 1);
    let next = Made { serial: 4, ..LEAF }.pem();
    assert!(matches!(channel.verify(&request(signed_by(2, &next)), at(NOW)), Verdict::Genuine(_)));
    assert_eq!(known(), 2);
}

/// Bytes that are no DER stand for the same certificate to a lenient reader.
#[test]
fn a_certificate_has_one_encoding() {
    let der = Certificate::read("cert", LEAF.pem().as_bytes()).unwrap().der().to_vec();
    let [0x30, 0x82, high, low, content @ ..] = der.as_slice() else { panic!("no long sequence") };
    let longer = [&[0x30, 0x83, 0, *high, *low], content].concat();
    let channel = UnionPay { config: Config::build(&settings()).unwrap() };
    let spelled = crate::signature::key::to_pem("CERTIFICATE", &longer);
    let verdict = channel.verify(&request(signed_by(3, &spelled)), at(NOW));
    assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    assert_eq!(channel.config.trust.as_ref().unwrap().known_count(), 0);
}

/// A notice that a merchant's own key signed proves nothing, whatever the certificate calls itself.
#[test]
fn the_merchants_own_key_is_never_unionpays() {
    let private = |pair: usize| {
        let der: Pkcs8V1Der<'_> = PAIRS[pair].as_der().unwrap();
        key(crate::signature::key::to_pem("PRIVATE KEY", der.as_ref()))
    };
    let own = |pair: usize| settings().with("private_key", private(pair));
    assert!(matches!(check(&own(3), LEAF, NOW), Verdict::Genuine(_)));
    assert!(matches!(check(&own(2), LEAF, NOW), Verdict::Refused(Rejection::UnknownKey { .. })));
    let error = |settings: Settings| build(&settings).err().map(|error| (error.setting, error.word));
    let merchant = Made { subject: named("041@N91310000@某某商户@00000001"), key: 3, signer: 1, ..LEAF };
    let pinned = |made: Made| settings().with("unionpay_cert", key(made.pem()));
    assert_eq!(error(pinned(merchant)), Some(("unionpay_cert", "never_matches")), "by its name");
    assert_eq!(error(pinned(merchant).with("private_key", private(3))), Some(("unionpay_cert", "own_public_key")));
    assert_eq!(error(pinned(LEAF).with("private_key", private(2))), Some(("unionpay_cert", "own_public_key")));
    assert_eq!(error(own(0)), Some(("root_cert", "own_public_key")));
    assert_eq!(error(own(1)), Some(("middle_cert", "own_public_key")));
}

#[test]
fn the_merchants_own_certificate_is_shown_by_its_number_and_end() {
    let der: Pkcs8V1Der<'_> = PAIRS[3].as_der().unwrap();
    let private = crate::signature::key::to_pem("PRIVATE KEY", der.as_ref());
    let merchant = Made { serial: 77, subject: named("041@N91310000@某某商户@00000001"), key: 3, ..LEAF };
    let with = |made: Made| settings().with("private_key", key(private.clone() + &made.pem()));
    let notes = build(&with(merchant)).unwrap().keys();
    let serial = Certificate::read("cert", merchant.pem().as_bytes()).unwrap().description().serial.clone();
    let note = notes.iter().find(|note| note.label.starts_with("private_key")).unwrap();
    assert_eq!(note.label, format!("private_key (public half, certId {serial})"));
    assert_eq!((note.algorithm.as_str(), note.not_after), ("RSA 2048", Some(at(LEAF.times.1))));
    let error = |settings: Settings| build(&settings).err().map(|error| (error.setting, error.word));
    // The test environment's merchants all have one key.
    let test = Made { issuer: named("CFCA TEST OCA1"), ..merchant };
    assert_eq!(error(with(test)), Some(("private_key", "test_certificate")));
    assert_eq!(error(with(Made { key: 2, ..merchant })), Some(("private_key", "relation")));
    let password = settings().with("private_key_password", key("000000"));
    assert_eq!(error(password), Some(("private_key_password", "relation")), "of nothing");
    let both = with(merchant).with("private_key_password", key("000000"));
    assert_eq!(error(both), Some(("private_key_password", "relation")), "of PEM");
}
