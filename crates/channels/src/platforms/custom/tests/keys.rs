//! Keys: of every kind, several at once, by id, and with an end.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};

use super::*;
use crate::signature::digest::DigestHash;
use crate::signature::ed25519::spki;
use crate::signature::key::{PublicKey, to_pem};
use crate::signature::rsa::sign_sha256;
use crate::signature::self_signed;

const EVENT: &str = r#"{"type":"json:/t","map":{"x":"other"}}"#;

fn with(verify: &str, keys: &[(&'static str, SettingValue)]) -> Result<Box<dyn Channel>, SettingsError> {
    let settings = Settings::new(Environment::Live)
        .with("platform", SettingValue::Text("example".into()))
        .with("account", SettingValue::Text("acct_1".into()))
        .with("verify", SettingValue::Tree(tree(verify)))
        .with("event", SettingValue::Tree(tree(EVENT)));
    build(&keys.iter().fold(settings, |all, (name, value)| all.with(name, value.clone())))
}

fn material(bytes: &[u8]) -> SettingValue {
    SettingValue::Key(bytes.to_vec().into())
}

fn keyed(keys: &[(&str, &[u8], Option<&str>)], what: &'static str) -> SettingValue {
    let one = |(id, bytes, until): &(&str, &[u8], Option<&str>)| {
        let pairs = [("id", Tree::text(id)), (what, Tree::Secret(bytes.to_vec().into()))];
        Tree::table(pairs.into_iter().chain(until.map(|until| ("until", Tree::text(until)))))
    };
    SettingValue::Tree(Tree::List(keys.iter().map(one).collect()))
}

fn request(headers: &[(&str, String)], body: &str) -> RawRequest {
    let mut request = signed(body);
    request.headers.remove("s");
    for (name, value) in headers {
        request.headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    request
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The key that proved a request, or the word of its refusal.
fn key_of(channel: &dyn Channel, request: &RawRequest, now: &str) -> String {
    match channel.verify(request, at(now)) {
        Verdict::Genuine(proven) => match proven.into_parts().1 {
            Proof::Signature { key, .. } => key,
            other @ Proof::PlatformApi { .. } => panic!("{other:?}"),
        },
        Verdict::Refused(rejection) => format!("({})", rejection.word()),
        other => panic!("{other:?}"),
    }
}

const BODY: &str = r#"{"t":"x"}"#;
const NOW: &str = "2026-11-21T04:00:00Z";

#[test]
fn a_key_that_has_ended_never_verifies() {
    let (one, two) = (b"the first secret", b"the second secret");
    let keys = keyed(&[("one", one, Some("2026-12-01T00:00:00Z")), ("two", two, None)], "secret");
    let base = r#""algorithm":"hmac-sha256","encoding":"hex","message":"{body}","signature":{"from":"header:s","parse":"whole"}"#;
    let any = with(&format!("{{{base}}}"), &[("key", keys.clone())]).unwrap();
    let named = with(&format!(r#"{{{base},"key_id":{{"from":"header:k"}}}}"#), &[("key", keys)]).unwrap();
    let tag = |secret: &[u8]| hex(&HmacKey::new(secret, HmacHash::Sha256, "").sign(BODY.as_bytes()));
    let sent = |secret: &[u8], id: &str| request(&[("s", tag(secret)), ("k", id.to_owned())], BODY);
    for (channel, late) in [(&any, "(signature)"), (&named, "(unknown_key)")] {
        let key = |secret: &[u8], id: &str, now: &str| key_of(channel.as_ref(), &sent(secret, id), now);
        assert_eq!(key(one, "one", "2026-11-30T23:59:59Z"), "one");
        assert_eq!(key(one, "one", "2026-12-01T00:00:00Z"), late);
        assert_eq!(key(two, "two", "2036-12-01T00:00:00Z"), "two");
    }
    assert_eq!(key_of(named.as_ref(), &sent(one, "two"), NOW), "(signature)", "not the key that it names");
    assert_eq!(key_of(named.as_ref(), &sent(one, "three"), NOW), "(unknown_key)");
    assert_eq!(key_of(any.as_ref(), &sent(b"a third secret", "one"), NOW), "(signature)");
    let notes: Vec<(String, Option<Timestamp>)> =
        any.keys().into_iter().map(|note| (note.label, note.not_after)).collect();
    assert_eq!(notes, [("one".to_owned(), Some(at("2026-12-01T00:00:00Z"))), ("two".to_owned(), None)]);
}

/// Pairs that name their key: a signature of one key under the name of another is none.
#[test]
fn a_pair_is_its_own_keys_signature() {
    let (one, two) = (b"the first secret", b"the second secret");
    let keys = keyed(&[("one", one, None), ("two", two, Some("2026-12-01T00:00:00Z"))], "secret");
    let verify = r#"{"algorithm":"hmac-sha256","encoding":"hex","message":"{body}","signature":{"from":"header:s","parse":"kv","pair_sep":"&","kv_sep":"|","want":"{key_id}"}}"#;
    let channel = with(verify, &[("key", keys)]).unwrap();
    let tag = |secret: &[u8]| hex(&HmacKey::new(secret, HmacHash::Sha256, "").sign(BODY.as_bytes()));
    let key = |text: String, now: &str| key_of(channel.as_ref(), &request(&[("s", text)], BODY), now);
    assert_eq!(key(format!("three|x&two|{}", tag(two)), NOW), "two");
    assert_eq!(key(format!("one|{}&two|{}", "0".repeat(64), tag(two)), NOW), "two");
    assert_eq!(key(format!("one|{}", tag(two)), NOW), "(signature)");
    assert_eq!(key(format!("two|{}", tag(two)), "2026-12-01T00:00:00Z"), "(unknown_key)");
    assert_eq!(key(format!("three|{}", tag(two)), NOW), "(unknown_key)");
    assert_eq!(key("three|x".to_owned(), NOW), "(missing)", "no signature at all");
}

#[test]
fn rsa_keys_in_every_form() {
    let (pair, other) =
        (RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), RsaKeyPair::generate(KeySize::Rsa3072).unwrap());
    let public = PublicKey::of_pair("key", &pair).unwrap();
    let base64 = signature::Encoding::Base64.encode(public.spki());
    let certificate = to_pem("CERTIFICATE", &self_signed::certificate(&pair, &public, "platform").unwrap());
    let verify = |format: &str| {
        let format = if format.is_empty() { String::new() } else { format!(r#","format":"{format}""#) };
        format!(
            r#"{{"algorithm":"rsa-sha256","encoding":"base64","message":"{{body}}","signature":{{"from":"header:s","parse":"whole"}},"public_key":{{"mine_alone":true{format}}}}}"#
        )
    };
    let sign = |pair: &RsaKeyPair| signature::Encoding::Base64.encode(&sign_sha256(pair, BODY.as_bytes()).unwrap());
    let good = request(&[("s", sign(&pair))], BODY);
    for (format, key) in [
        ("", public.to_pem()),
        ("", base64.clone()),
        ("", certificate.clone()),
        ("pem", public.to_pem()),
        ("spki-base64", base64.clone()),
        ("x509", certificate.clone()),
    ] {
        let channel = with(&verify(format), &[("public_key", material(key.as_bytes()))]).unwrap();
        assert_eq!(key_of(channel.as_ref(), &good, NOW), "key 1", "{format}");
        assert_eq!(
            key_of(channel.as_ref(), &request(&[("s", sign(&other))], BODY), NOW),
            "(signature)",
            "longer than any key's"
        );
        assert_eq!(key_of(channel.as_ref(), &request(&[("s", sign(&pair))], r#"{"t":"y"}"#), NOW), "(signature)");
        assert_eq!(channel.keys()[0].fingerprint.as_deref(), Some(public.fingerprint().as_str()));
        // Only a certificate ends by itself.
        let ends = key == certificate;
        assert_eq!(key_of(channel.as_ref(), &good, "2051-01-01T00:00:00Z") != "key 1", ends, "{format}");
        assert_eq!(key_of(channel.as_ref(), &good, "2001-01-01T00:00:00Z") != "key 1", ends, "{format}");
    }
    let word = |format: &str, key: &str| {
        with(&verify(format), &[("public_key", material(key.as_bytes()))]).err().unwrap().word
    };
    assert_eq!(word("pem", &base64), "not_encoded");
    assert_eq!(word("spki-base64", &public.to_pem()), "not_encoded");
    assert_eq!(word("pem", &certificate), "certificate_given");
    assert_eq!(word("x509", &public.to_pem()), "not_a_certificate");
    assert_eq!(word("", "no key"), "not_a_key");
}

/// A stranger decides how many signatures there are, and not how much work they make.
#[test]
fn checks_of_public_keys_are_bounded() {
    let pairs: Vec<RsaKeyPair> = (0..2).map(|_| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()).collect();
    let pems: Vec<String> = pairs.iter().map(|pair| PublicKey::of_pair("key", pair).unwrap().to_pem()).collect();
    let keys = keyed(&[("one", pems[0].as_bytes(), None), ("two", pems[1].as_bytes(), None)], "public_key");
    let verify = r#"{"algorithm":"rsa-sha256","encoding":"base64","message":"{body}","signature":{"from":"header:s","parse":"list","repeat":true},"public_key":{"mine_alone":true}}"#;
    let channel = with(verify, &[("key", keys)]).unwrap();
    let good = signature::Encoding::Base64.encode(&sign_sha256(&pairs[1], BODY.as_bytes()).unwrap());
    let bad = signature::Encoding::Base64.encode(&[7; 256]);
    let sent = |bad_ones: usize| {
        let mut headers = vec![("s", bad.clone()); bad_ones];
        headers.push(("s", good.clone()));
        request(&headers, BODY)
    };
    assert_eq!(key_of(channel.as_ref(), &sent(7), NOW), "two");
    assert_eq!(key_of(channel.as_ref(), &sent(15), NOW), "(signature)");
    assert_eq!(key_of(channel.as_ref(), &sent(16), NOW), "(malformed)");
}

/// More ways of checking a signature than are tried would refuse genuine messages.
#[test]
fn no_channel_has_more_ways_than_are_tried() {
    let pem = |_| PublicKey::of_pair("key", &RsaKeyPair::generate(KeySize::Rsa2048).unwrap()).unwrap().to_pem();
    let pems: Vec<String> = (0..5).map(pem).collect();
    let build = |keys: usize, more: &str| {
        let ids: Vec<String> = (0..keys).map(|at| format!("k{at}")).collect();
        let keys: Vec<(&str, &[u8], Option<&str>)> =
            ids.iter().zip(&pems).map(|(id, pem)| (id.as_str(), pem.as_bytes(), None)).collect();
        let verify = format!(
            r#"{{"algorithm":"rsa-sha256","encoding":"base64","message":["{{body}}","{{body}}\n","\n{{body}}"," {{body}}"],"signature":{{"from":"header:s","parse":"whole"}},"public_key":{{"mine_alone":true}}{more}}}"#
        );
        with(&verify, &[("key", keyed(&keys, "public_key"))]).err().map(|error| (error.key(), error.word))
    };
    assert_eq!(build(4, ""), None);
    assert_eq!(build(5, ""), Some(("verify.message".to_owned(), "out_of_range")));
    assert_eq!(build(5, r#","key_id":{"from":"header:k"}"#), None, "one key is tried");
}

/// A batch of signed items is one message: whoever copies one genuine item makes no work with wrong ones beside it.
#[test]
fn checks_of_a_batch_are_bounded() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = hex(pair.public_key().as_ref()).into_bytes();
    let verify = r#"{"algorithm":"ed25519","encoding":"base64","message":"{item:/t}|{item:/n}","items":{"from":"json:/l"},"signature":{"from":"item:/s","parse":"list"},"public_key":{"format":"hex","mine_alone":true}}"#;
    let settings = Settings::new(Environment::Live)
        .with("platform", SettingValue::Text("example".into()))
        .with("account", SettingValue::Text("acct_1".into()))
        .with("verify", SettingValue::Tree(tree(verify)))
        .with("event", SettingValue::Tree(tree(r#"{"type":"item:/t","map":{"x":"other"}}"#)))
        .with("public_key", SettingValue::Key(key.into()));
    let channel = build(&settings).unwrap();
    let wrong = signature::Encoding::Base64.encode(&[7; 64]);
    let sent = |items: usize, wrong_ones: usize| {
        let item = |n: usize| {
            let own = signature::Encoding::Base64.encode(pair.sign(format!("x|{n}").as_bytes()).as_ref());
            format!(r#"{{"t":"x","n":{n},"s":"{}{own}"}}"#, format!("{wrong},").repeat(wrong_ones))
        };
        request(&[], &format!(r#"{{"l":[{}]}}"#, (0..items).map(item).collect::<Vec<_>>().join(",")))
    };
    assert_eq!(key_of(channel.as_ref(), &sent(40, 0), NOW), "key 1");
    assert_eq!(key_of(channel.as_ref(), &sent(1, 15), NOW), "key 1");
    assert_eq!(key_of(channel.as_ref(), &sent(15, 1), NOW), "key 1");
    assert_eq!(key_of(channel.as_ref(), &sent(2, 15), NOW), "(signature)");
}

/// An id that a separator cuts is never found.
#[test]
fn an_id_of_a_key_holds_no_separator() {
    let verify = r#"{"algorithm":"hmac-sha256","encoding":"hex","message":"{body}","signature":{"from":"header:s","parse":"kv","pair_sep":"&","want":"{key_id}"}}"#;
    for (id, is_good) in [("one", true), ("a=b", false), ("a&b", false)] {
        let built = with(verify, &[("key", keyed(&[(id, b"the first secret", None)], "secret"))]);
        assert_eq!(built.err().map(|error| error.word), (!is_good).then_some("never_matches"), "{id}");
    }
}

#[test]
fn ed25519_keys_in_every_form() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = pair.public_key().as_ref();
    let encode = |bytes: &[u8]| signature::Encoding::Base64.encode(bytes);
    let good = request(&[("s", format!("v1a,{}", encode(pair.sign(BODY.as_bytes()).as_ref())))], BODY);
    for (format, material_text) in [
        (r#"{"format":"base64","strip_prefix":"whpk_","mine_alone":true}"#, format!("whpk_{}", encode(key))),
        (r#"{"format":"hex","mine_alone":true}"#, hex(key)),
        (r#"{"format":"pem","mine_alone":true}"#, to_pem("PUBLIC KEY", &spki(key))),
        (r#"{"format":"spki-base64","mine_alone":true}"#, encode(&spki(key))),
    ] {
        let verify = format!(
            r#"{{"algorithm":"ed25519","encoding":"base64","message":"{{body}}","signature":{{"from":"header:s","parse":"list","list_sep":" ","version_sep":",","want":"v1a"}},"public_key":{format}}}"#
        );
        let channel = with(&verify, &[("public_key", material(material_text.as_bytes()))]).unwrap();
        assert_eq!(key_of(channel.as_ref(), &good, NOW), "key 1", "{format}");
        assert_eq!(
            key_of(
                channel.as_ref(),
                &request(&[("s", good.headers["s"].to_str().unwrap().into())], r#"{"t":"y"}"#),
                NOW
            ),
            "(signature)"
        );
    }
}

#[test]
fn digests_with_the_secret_in_the_text() {
    for (word, hash) in [
        ("md5", DigestHash::Md5),
        ("sha1", DigestHash::Sha1),
        ("sha256", DigestHash::Sha256),
        ("sha512", DigestHash::Sha512),
    ] {
        let verify = format!(
            r#"{{"algorithm":"{word}","encoding":"hex","message":"{{secret}}&{{body}}&{{secret}}","signature":{{"from":"header:s","parse":"whole"}}}}"#
        );
        let channel = with(&verify, &[("secret", material(SECRET.as_bytes()))]).unwrap();
        let tag = hex(&hash.of(&[SECRET.as_bytes(), b"&", BODY.as_bytes(), b"&", SECRET.as_bytes()]));
        assert_eq!(key_of(channel.as_ref(), &request(&[("s", tag.clone())], BODY), NOW), "secret 1", "{word}");
        let open = hex(&hash.of(&[b"&", BODY.as_bytes(), b"&"]));
        for wrong in [open, tag.replace(['a', '1'], "b")] {
            assert_eq!(key_of(channel.as_ref(), &request(&[("s", wrong)], BODY), NOW), "(signature)", "{word}");
        }
    }
    // A JSON body is UTF-8, and what an attacker must append is none: it may stand behind the secret.
    let before = r#"{"algorithm":"sha256","encoding":"hex","message":"{secret}{body}","signature":{"from":"header:s","parse":"whole"}}"#;
    with(before, &[("secret", material(SECRET.as_bytes()))]).unwrap();
    let form = before.replace(r#""algorithm""#, r#""body":"form","content_type":"*","algorithm""#);
    assert_eq!(with(&form, &[("secret", material(SECRET.as_bytes()))]).err().unwrap().word, "extendable");
}

#[test]
fn a_request_chooses_no_algorithm() {
    let verify = r#"{"algorithm":"hmac-sha256","encoding":"hex","message":"{body}","signature":{"from":"header:s","parse":"kv","want":"v"},
        "algorithm_named":{"sig:alg":["HS256","hs256"],"header:x-alg":"HS256"}}"#;
    let channel = with(verify, &[("secret", material(SECRET.as_bytes()))]).unwrap();
    let tag = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(BODY.as_bytes()));
    let sent = |alg: &str, header: &str| {
        let signature = if alg.is_empty() { format!("v={tag}") } else { format!("alg={alg},v={tag}") };
        request(&[("s", signature), ("x-alg", header.to_owned())], BODY)
    };
    for (alg, header, expected) in [
        ("", "", "secret 1"),
        ("HS256", "HS256", "secret 1"),
        ("hs256", "HS256", "secret 1"),
        ("none", "HS256", "(algorithm)"),
        ("HS256", "hs256", "(algorithm)"),
        ("HS1", "", "(algorithm)"),
    ] {
        assert_eq!(key_of(channel.as_ref(), &sent(alg, header), NOW), expected, "{alg} {header}");
    }
}

#[test]
fn keys_of_another_algorithm_are_refused() {
    let hmac = r#"{"algorithm":"hmac-sha256","encoding":"hex","message":"{body}","signature":{"from":"header:s","parse":"whole"}}"#;
    let both = [("secret", material(SECRET.as_bytes())), ("public_key", material(b"x"))];
    let error = with(hmac, &both).err().unwrap();
    assert_eq!((error.setting, error.word), ("public_key", "relation"));
    let id = [
        ("secret_files", SettingValue::Keys(vec![SECRET.as_bytes().to_vec().into(), OTHER.as_bytes().to_vec().into()])),
        ("key_id", SettingValue::Text("a".into())),
    ];
    assert_eq!(with(hmac, &id).err().unwrap().setting, "key_id");
    let twice = keyed(&[("a", SECRET.as_bytes(), None), ("a", OTHER.as_bytes(), None)], "secret");
    assert_eq!(with(hmac, &[("key", twice)]).err().unwrap().key(), "key[1]");
}

/// A key of before is asked, whatever is other about it: its size, or the name that its signatures go by.
#[test]
fn a_key_of_before_may_be_of_another_size_or_name() {
    use crate::succession::{Former, Succession};
    let both = |now: Box<dyn Channel>, then: Box<dyn Channel>| {
        let until = at("2026-12-01T00:00:00Z");
        Succession::of(now.into(), vec![Former { channel: then.into(), until }])
    };
    let pairs = [KeySize::Rsa3072, KeySize::Rsa2048].map(|size| RsaKeyPair::generate(size).unwrap());
    let rsa = |parse: &str| {
        let verify = format!(
            r#"{{"algorithm":"rsa-sha256","encoding":"base64","message":"{{body}}","signature":{{"from":"header:s",{parse}}},"public_key":{{"mine_alone":true}}}}"#
        );
        let [now, then] = [&pairs[0], &pairs[1]].map(|pair| {
            let key = PublicKey::of_pair("key", pair).unwrap().to_pem();
            with(&verify, &[("public_key", material(key.as_bytes()))]).unwrap()
        });
        both(now, then)
    };
    let [new, old] = [&pairs[0], &pairs[1]]
        .map(|pair| signature::Encoding::Base64.encode(&sign_sha256(pair, BODY.as_bytes()).unwrap()));
    let sent = |text: String| request(&[("s", text)], BODY);
    let whole = rsa(r#""parse":"whole""#);
    assert_eq!(key_of(&*whole, &sent(new.clone()), NOW), "key 1");
    assert_eq!(key_of(&*whole, &sent(old.clone()), NOW), "former key 1");
    assert_eq!(key_of(&*whole, &sent(old.clone()), "2026-12-01T00:00:00Z"), "(signature)");
    assert_eq!(key_of(&*whole, &sent("?".to_owned()), NOW), "(malformed)");
    // A platform that signs with both while the keys change.
    let listed = rsa(r#""parse":"list","list_sep":" ","want":"v1""#);
    assert_eq!(key_of(&*listed, &sent(format!("v1,{old} v1,{new}")), NOW), "key 1");
    let verify = r#"{"algorithm":"hmac-sha256","encoding":"hex","message":"{sig:t}.{body}","signature":{"from":"header:s","parse":"kv","want":"{key_id}"}}"#;
    let named = |id: &str, secret: &[u8]| with(verify, &[("key", keyed(&[(id, secret, None)], "secret"))]).unwrap();
    let kv = both(named("k2", b"the second secret"), named("k1", b"the first secret"));
    let text = format!("17.{BODY}");
    let tag = |secret: &[u8]| hex(&HmacKey::new(secret, HmacHash::Sha256, "").sign(text.as_bytes()));
    assert_eq!(key_of(&*kv, &sent(format!("t=17,k2={}", tag(b"the second secret"))), NOW), "k2");
    assert_eq!(key_of(&*kv, &sent(format!("t=17,k1={}", tag(b"the first secret"))), NOW), "former k1");
    assert_eq!(key_of(&*kv, &sent(format!("t=17,k3={}", tag(b"the first secret"))), NOW), "(unknown_key)");
}

/// Keys of before are written in whichever form, over those of now.
#[test]
fn keys_of_before_take_the_place_of_those_of_now() {
    let base = r#"{"algorithm":"hmac-sha256","encoding":"hex","message":"{body}","signature":{"from":"header:s","parse":"whole"}}"#;
    let of = |keys: &[(&'static str, SettingValue)]| {
        keys.iter().fold(Settings::new(Environment::Live), |all, (name, value)| all.with(name, value.clone()))
    };
    let (now, then) = (b"the first secret", b"the second secret");
    let forms = |secret: &[u8]| {
        [
            ("secret", material(secret)),
            ("secret_files", SettingValue::Keys(vec![secret.to_vec().into()])),
            ("key", keyed(&[("k", secret, None)], "secret")),
        ]
    };
    let tag = hex(&HmacKey::new(then, HmacHash::Sha256, "").sign(BODY.as_bytes()));
    for own in forms(now) {
        for former in forms(then) {
            let settings = of(&[
                ("platform", SettingValue::Text("example".into())),
                ("account", SettingValue::Text("acct_1".into())),
                ("verify", SettingValue::Tree(tree(base))),
                ("event", SettingValue::Tree(tree(EVENT))),
                ("key_id", SettingValue::Text("k".into())),
                own.clone(),
            ]);
            let settings = if own.0 == "key" { settings.without("key_id") } else { settings };
            let channel = build(&settings.overlaid(&of(std::slice::from_ref(&former)))).unwrap_or_else(|error| {
                panic!("{} over {}: {error}", former.0, own.0);
            });
            let key = key_of(channel.as_ref(), &request(&[("s", tag.clone())], BODY), NOW);
            assert!(!key.starts_with('('), "{} over {}: {key}", former.0, own.0);
        }
    }
    // Two forms at once, neither laid over the other, are as unclear as ever.
    let both = with(base, &[("secret", material(now)), ("key", keyed(&[("k", then, None)], "secret"))]);
    assert_eq!(both.err().map(|error| error.word), Some("either_or"));
}

/// Whoever knows the platform's public key would sign with it.
#[test]
fn a_public_key_is_no_secret() {
    let pem = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    for wrong in [&pem[..], b"first secret of some length\nsecond secret of some length\n"] {
        let verify = r#"{"algorithm":"hmac-sha256","encoding":"hex","signature":{"from":"header:s","parse":"whole"},"message":"{body}"}"#;
        let error = with(verify, &[("secret", material(wrong))]).err().expect("refused");
        assert_eq!((error.setting, error.word), ("secret", "not_encoded"));
    }
}
