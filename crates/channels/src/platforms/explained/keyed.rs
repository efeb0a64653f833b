//! Senders that share a secret with us.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Pairs, pairs};
use crate::explain::{Configured, Diagnosis, Kept, Question, explain};
use crate::form;
use crate::json::Json;
use crate::model::{RawRequest, Timestamp};
use crate::platforms::{self, Platform};
use crate::settings::{SettingKind, SettingValue, Settings};
use crate::signature::digest::{DigestHash, HexCase};
use crate::simulate::Story;
use crate::xml;

/// A channel, and one genuine message to it.
pub(super) struct Sender {
    pub(super) platform: &'static Platform,
    pub(super) settings: Settings,
    pub(super) request: RawRequest,
    pub(super) now: Timestamp,
    pub(super) exported: Vec<u8>,
}

pub(super) fn sender(kind: &str, serial: u64) -> Sender {
    let platform = platforms::by_kind(kind).unwrap();
    let side = (platform.simulate)();
    let now: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
    let story = Story { serial, note: "a b/中+c".to_owned(), ..Story::paid("ORDER1000001", 1234, now) };
    let request = side.callback(&story).request;
    Sender { platform, settings: side.settings(), request, now, exported: side.export() }
}

impl Sender {
    pub(super) fn explain(&self, request: &RawRequest) -> Diagnosis {
        let channel = (self.platform.build)(&self.settings).unwrap();
        let own = Configured { id: "own", platform: self.platform, settings: &self.settings, channel: &*channel };
        explain(&Question { request, kept: Kept::WHOLE, own, others: &[], now: self.now, is_dated: true })
    }

    /// Requires this finding alone, and that nobody learns the secret from it. Gives what it says.
    pub(super) fn finds(&self, request: &RawRequest, id: &str, what: &str) -> Vec<(&'static str, String)> {
        let diagnosis = self.explain(request);
        let ids: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
        let kind = self.platform.kind;
        assert_eq!(
            ids,
            [id],
            "{kind}: {what}: {:?} {:?} {:?}",
            diagnosis.outcome,
            diagnosis.findings,
            diagnosis.signed
        );
        let facts = diagnosis.findings[0].facts.clone();
        let shown = format!("{:?} {facts:?}", diagnosis.signed);
        if let Some(secret) = self.secret() {
            let secret = String::from_utf8_lossy(&secret).into_owned();
            assert!(!shown.contains(&secret), "{kind}: {what}");
        }
        // Each place in the texts has a fact.
        for text in [diagnosis.findings[0].finding.title.en, diagnosis.findings[0].finding.title.zh] {
            let names = text.split('{').skip(1).filter_map(|piece| piece.split_once('}')).map(|(name, _)| name);
            for name in names {
                assert!(facts.iter().any(|(known, _)| *known == name), "{kind}: {what}: {name} {facts:?}");
            }
        }
        facts
    }

    /// The one secret that signs.
    pub(super) fn secret(&self) -> Option<Vec<u8>> {
        let is_secret = |name: &str| {
            let setting = self.platform.settings.iter().find(|setting| setting.name == name);
            setting.is_some_and(|setting| setting.kind == SettingKind::SecretKey)
        };
        let key = self.settings.values().find(|(name, value)| is_secret(name) && matches!(value, SettingValue::Key(_)));
        match key?.1 {
            SettingValue::Key(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

/// What decides the order in a sender's own words.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Bytes,
    IgnoringCase,
    Values,
    Unsorted,
}

/// How a sender signs pairs.
#[derive(Clone, Debug)]
struct Rule {
    /// Names that are left out.
    but: Vec<&'static str>,
    has_empties: bool,
    sort: Sort,
    is_escaped: bool,
    /// `T` is the text, `S` the secret.
    joint: &'static str,
    hash: DigestHash,
    is_twice: bool,
    case: HexCase,
}

/// A platform's own rule.
struct Family {
    sender: Sender,
    sign: &'static str,
    secret: Vec<u8>,
    rule: Rule,
}

fn rule(but: &[&'static str], sort: Sort, joint: &'static str, case: HexCase) -> Rule {
    let but = but.to_vec();
    Rule { but, has_empties: false, sort, is_escaped: false, joint, hash: DigestHash::Md5, is_twice: false, case }
}

fn families() -> Vec<Family> {
    let of = |kind: &str, serial: u64, rule: Rule| {
        let sender = sender(kind, serial);
        let secret = sender.secret().unwrap();
        Family { sender, sign: "sign", secret, rule }
    };
    let mut families = vec![
        of("jeepay", 1, rule(&["sign"], Sort::IgnoringCase, "T&key=S", HexCase::Upper)),
        of("jeepay", 2, rule(&["sign"], Sort::IgnoringCase, "T&key=S", HexCase::Upper)),
        of("epay", 1, rule(&["sign", "sign_type"], Sort::Bytes, "TS", HexCase::Lower)),
        of("epay", 3, rule(&["sign", "sign_type"], Sort::Bytes, "TS", HexCase::Lower)),
        of("wechat_pay_v2", 1, rule(&["sign"], Sort::Bytes, "T&key=S", HexCase::Upper)),
        of("qq_wallet", 1, rule(&["sign"], Sort::Bytes, "T&key=S", HexCase::Upper)),
    ];
    let key = |bytes: &[u8]| SettingValue::Key(Zeroizing::new(bytes.to_vec()));
    let texts = |word: &str| SettingValue::Texts(vec![word.to_owned()]);
    let mut lianlian = sender("lianlian", 1);
    let secret = b"an md5 key of one's own".to_vec();
    let secret = secret.into_iter().filter(u8::is_ascii_alphanumeric).collect::<Vec<u8>>();
    lianlian.settings = lianlian.settings.with("sign_types", texts("MD5")).with("md5_key", key(&secret));
    lianlian.request = renamed(&lianlian.request, "sign_type", "MD5");
    let own = rule(&["sign"], Sort::IgnoringCase, "T&key=S", HexCase::Lower);
    families.push(Family { sender: lianlian, sign: "sign", secret, rule: own });
    let mut union = sender("unionpay", 1);
    let secret = b"979da4cfccbae7923641daa5dd7047c2".to_vec();
    union.settings = union.settings.with("sign_methods", texts("11")).with("secure_key", key(&secret));
    union.request = renamed(&union.request, "signMethod", "11");
    let secret = DigestHash::Sha256.hex_of(&[&secret], HexCase::Lower).into_bytes();
    let own = Rule { hash: DigestHash::Sha256, ..rule(&["signature"], Sort::Bytes, "T&S", HexCase::Lower) };
    families.push(Family { sender: union, sign: "signature", secret, rule: own });
    families
}

/// The request with other pairs, in its own carrier.
fn written(request: &RawRequest, pairs: &Pairs) -> RawRequest {
    let mut request = request.clone();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match request.body.first() {
        None => request.query = Some(text(&form::encode(pairs.iter().map(|(n, v)| (&n[..], &v[..]))))),
        Some(b'{') => {
            let members = pairs.iter().map(|(name, value)| (text(name), serde_json::Value::String(text(value))));
            request.body = Bytes::from(serde_json::Value::Object(members.collect()).to_string());
            assert!(Json::parse(&request.body).is_ok());
        }
        Some(b'<') => {
            let fields: Vec<(String, String)> = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
            request.body = Bytes::from(xml::encode("xml", fields.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
        }
        Some(_) => request.body = Bytes::from(form::encode(pairs.iter().map(|(n, v)| (&n[..], &v[..])))),
    }
    request
}

fn renamed(request: &RawRequest, name: &str, value: &str) -> RawRequest {
    let mut pairs = pairs(request);
    for pair in &mut pairs {
        if pair.0 == name.as_bytes() {
            pair.1 = value.as_bytes().to_vec();
        }
    }
    written(request, &pairs)
}

impl Family {
    fn text(pairs: &Pairs, rule: &Rule) -> Vec<u8> {
        let is_in = |(name, value): &&(Vec<u8>, Vec<u8>)| {
            !rule.but.iter().any(|but| but.as_bytes() == name) && (rule.has_empties || !value.is_empty())
        };
        let mut signed: Vec<&(Vec<u8>, Vec<u8>)> = pairs.iter().filter(is_in).collect();
        match rule.sort {
            Sort::Bytes => signed.sort(),
            Sort::IgnoringCase => signed.sort_by_key(|(name, _)| name.to_ascii_lowercase()),
            Sort::Values => signed.sort_by_key(|(_, value)| value.clone()),
            Sort::Unsorted => {}
        }
        let piece = |(name, value): &(Vec<u8>, Vec<u8>)| {
            if rule.is_escaped {
                return form::encode([(&name[..], &value[..])]);
            }
            [&name[..], b"=", value].concat()
        };
        signed.into_iter().map(piece).collect::<Vec<_>>().join(&b'&')
    }

    fn signature(&self, text: &[u8], rule: &Rule) -> String {
        let whole: Vec<u8> = rule
            .joint
            .bytes()
            .flat_map(|byte| match byte {
                b'T' => text.to_vec(),
                b'S' => self.secret.clone(),
                other => vec![other],
            })
            .collect();
        let digest = rule.hash.hex_of(&[&whole], HexCase::Lower);
        let digest = if rule.is_twice { rule.hash.hex_of(&[digest.as_bytes()], HexCase::Lower) } else { digest };
        if rule.case == HexCase::Upper { digest.to_ascii_uppercase() } else { digest }
    }

    /// The request with more pairs, signed by a rule.
    fn signed(&self, more: &[(&str, &str)], rule: &Rule) -> RawRequest {
        let mut pairs = pairs(&self.sender.request);
        pairs.extend(more.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())));
        let signature = self.signature(&Self::text(&pairs, rule), rule);
        self.with_signature(&pairs, &signature)
    }

    fn with_signature(&self, pairs: &Pairs, signature: &str) -> RawRequest {
        let mut pairs = pairs.clone();
        for pair in &mut pairs {
            if pair.0 == self.sign.as_bytes() {
                pair.1 = signature.as_bytes().to_vec();
            }
        }
        written(&self.sender.request, &pairs)
    }

    fn is_of(&self, kinds: &[&str]) -> bool {
        kinds.contains(&self.sender.platform.kind)
    }
}

#[test]
fn a_message_that_was_signed_by_the_platforms_own_rule_has_no_finding() {
    for family in families() {
        let kind = family.sender.platform.kind;
        for request in [family.signed(&[], &family.rule), family.signed(&[("zz", "1")], &family.rule)] {
            let diagnosis = family.sender.explain(&request);
            assert!(
                diagnosis.outcome.is_accepted() || kind == "epay" || kind == "jeepay",
                "{kind}: {:?}",
                diagnosis.outcome
            );
            let ids: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
            assert!(ids.is_empty(), "{kind}: {ids:?}");
        }
        // A forgery has none either.
        let pairs = pairs(&family.sender.request);
        let forged = family.with_signature(&pairs, &"0AF3".repeat(family.rule.hash.bytes() / 2));
        let forged_lower = family.with_signature(&pairs, &"0af3".repeat(family.rule.hash.bytes() / 2));
        for request in [forged, forged_lower] {
            let diagnosis = family.sender.explain(&request);
            assert!(!diagnosis.outcome.is_accepted() && diagnosis.findings.is_empty(), "{kind}: {diagnosis:?}");
        }
    }
}

#[test]
fn a_digest_in_the_other_case_is_found() {
    for family in families() {
        let other = if family.rule.case == HexCase::Upper { HexCase::Lower } else { HexCase::Upper };
        let facts = family.sender.finds(
            &family.signed(&[], &Rule { case: other, ..family.rule.clone() }),
            "digest_case",
            "case",
        );
        let how = if other == HexCase::Lower { "hexadecimal in lower case" } else { "hexadecimal in upper case" };
        assert!(facts.contains(&("how", how.to_owned())), "{facts:?}");
    }
}

#[test]
fn a_digest_in_base64_is_found() {
    for family in families() {
        let pairs = pairs(&family.sender.request);
        let text = Family::text(&pairs, &family.rule);
        let digits = family.signature(&text, &family.rule);
        let bytes: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        let request = family.with_signature(&pairs, &STANDARD.encode(bytes));
        let facts = family.sender.finds(&request, "signature_encoding", "base64");
        assert!(facts.contains(&("how", "base64".to_owned())), "{facts:?}");
        assert!(facts.contains(&("field", family.sign.to_owned())), "{facts:?}");
    }
}

#[test]
fn a_secret_at_another_place_is_found() {
    for family in families() {
        for joint in ["T&key=S", "TS", "ST", "STS", "T&S", "Tkey=S", "T&&key=S", "T&secret=S", "S&T", "key=S&T"] {
            if joint != family.rule.joint {
                let request = family.signed(&[], &Rule { joint, ..family.rule.clone() });
                let facts = family.sender.finds(&request, "key_joined_otherwise", joint);
                let shown = joint.replace('T', "…").replace('S', "<secret>");
                assert!(facts.contains(&("how", shown)), "{joint}: {facts:?}");
            }
        }
    }
}

#[test]
fn fields_in_another_order_are_found() {
    let mut found = 0;
    for family in families() {
        let pairs = pairs(&family.sender.request);
        let own = Family::text(&pairs, &family.rule);
        for sort in [Sort::Bytes, Sort::IgnoringCase, Sort::Values, Sort::Unsorted] {
            let rule = Rule { sort, ..family.rule.clone() };
            if Family::text(&pairs, &rule) != own {
                family.sender.finds(&family.signed(&[], &rule), "sorted_otherwise", &format!("{sort:?}"));
                found += 1;
            }
        }
    }
    assert!(found >= 12, "{found}");
}

#[test]
fn empty_values_under_the_signature_are_found() {
    for family in families().into_iter().filter(|family| !family.is_of(&["unionpay"])) {
        let rule = Rule { has_empties: true, ..family.rule.clone() };
        family.sender.finds(&family.signed(&[("reserved", "")], &rule), "empty_values_signed", "kept");
    }
}

#[test]
fn the_algorithms_name_is_found_in_and_out() {
    for family in families() {
        let but = match family.sender.platform.kind {
            "epay" => vec!["sign"],
            "lianlian" => vec!["sign", "sign_type"],
            "unionpay" => vec!["signature", "signMethod"],
            _ => continue,
        };
        let request = family.signed(&[], &Rule { but, ..family.rule.clone() });
        let facts = family.sender.finds(&request, "sign_type_signed", "in or out");
        assert!(facts.iter().any(|(name, value)| *name == "field" && value.starts_with("sign")), "{facts:?}");
    }
}

#[test]
fn escaped_values_under_the_signature_are_found() {
    let mut found = 0;
    for family in families() {
        let rule = Rule { is_escaped: true, ..family.rule.clone() };
        let pairs = pairs(&family.sender.request);
        if Family::text(&pairs, &rule) != Family::text(&pairs, &family.rule) {
            family.sender.finds(&family.signed(&[], &rule), "encoded_signed", "escaped");
            found += 1;
        }
    }
    assert!(found >= 5, "{found}");
}

#[test]
fn a_digest_of_a_digest_is_found() {
    for family in families() {
        let rule = Rule { is_twice: true, ..family.rule.clone() };
        family.sender.finds(&family.signed(&[], &rule), "hashed_otherwise", "twice");
    }
}

#[test]
fn another_digest_is_found() {
    for family in families().into_iter().filter(|family| !family.is_of(&["wechat_pay_v2", "qq_wallet"])) {
        for hash in [DigestHash::Md5, DigestHash::Sha1, DigestHash::Sha256, DigestHash::Sha512] {
            if hash != family.rule.hash {
                let request = family.signed(&[], &Rule { hash, ..family.rule.clone() });
                let facts = family.sender.finds(&request, "algorithm_other", hash.name());
                assert!(facts.contains(&("algorithm", hash.name().to_owned())), "{facts:?}");
            }
        }
    }
}

#[test]
fn a_line_end_in_the_signed_text_is_found() {
    for family in families() {
        let pairs = pairs(&family.sender.request);
        let text = Family::text(&pairs, &family.rule);
        let joint = [family.rule.joint, "\n"].concat().leak();
        let signature = family.signature(&text, &Rule { joint, ..family.rule.clone() });
        family.sender.finds(&family.with_signature(&pairs, &signature), "line_ends_signed", "behind the secret");
    }
}

#[test]
fn a_query_under_the_signature_is_found() {
    for mut family in families().into_iter().filter(|family| !family.sender.request.body.is_empty()) {
        let mut pairs = pairs(&family.sender.request);
        let own = pairs.clone();
        pairs.push((b"act".to_vec(), b"pay".to_vec()));
        let signature = family.signature(&Family::text(&pairs, &family.rule), &family.rule);
        family.sender.request.query = Some("act=pay".to_owned());
        family.sender.finds(&family.with_signature(&own, &signature), "query_signed", "act");
    }
}

#[test]
fn two_deviations_at_once_are_found() {
    for family in families() {
        let other = if family.rule.case == HexCase::Upper { HexCase::Lower } else { HexCase::Upper };
        let joint = if family.rule.joint == "TS" { "T&key=S" } else { "TS" };
        let request = family.signed(&[], &Rule { joint, case: other, ..family.rule.clone() });
        if family.is_of(&["wechat_pay_v2", "qq_wallet"]) {
            // The case alone is refused there, so the two are found one after the other.
            let ids: Vec<&str> =
                family.sender.explain(&request).findings.iter().map(|found| found.finding.id).collect();
            assert_eq!(ids, ["digest_case", "key_joined_otherwise"]);
            continue;
        }
        let facts = family.sender.finds(&request, "signed_otherwise", joint);
        let how = &facts.iter().find(|(name, _)| *name == "how").unwrap().1;
        assert!(how.contains("<secret>") && how.contains("case"), "{how}");
    }
}

#[test]
fn hmac_in_place_of_a_digest_is_found() {
    for family in families().into_iter().filter(|family| !family.is_of(&["wechat_pay_v2", "qq_wallet"])) {
        let pairs = pairs(&family.sender.request);
        let text = Family::text(&pairs, &family.rule);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &family.secret), &text);
        let signature = family.rule.case.write(tag.as_ref());
        let facts = family.sender.finds(&family.with_signature(&pairs, &signature), "algorithm_other", "HMAC");
        assert!(facts.contains(&("algorithm", "HMAC-SHA256".to_owned())), "{facts:?}");
    }
}

#[test]
fn hmac_for_a_channel_of_md5_alone_is_found_by_its_settings() {
    for kind in ["wechat_pay_v2", "qq_wallet"] {
        let mut sender = sender(kind, 1);
        let setting = sender.platform.settings.iter().find(|setting| setting.name == "sign_types");
        if setting.is_none() {
            continue;
        }
        sender.settings = sender.settings.with("sign_types", SettingValue::Texts(vec!["MD5".to_owned()]));
        let mut pairs = pairs(&sender.request);
        pairs.retain(|(name, _)| name != b"sign" && name != b"sign_type");
        pairs.push((b"sign_type".to_vec(), b"HMAC-SHA256".to_vec()));
        pairs.sort();
        let mut text: Vec<u8> = Vec::new();
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            text.extend([name, &b"="[..], value, b"&"].concat());
        }
        let secret = sender.secret().unwrap();
        text.extend([&b"key="[..], &secret].concat());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &text);
        pairs.push((b"sign".to_vec(), HexCase::Upper.write(tag.as_ref()).into_bytes()));
        let request = written(&sender.request, &pairs);
        let facts = sender.finds(&request, "algorithm_other", "settings");
        assert!(facts.contains(&("setting", "sign_types".to_owned())), "{facts:?}");
        // Neither its secret is shown where it stands in the text under an HMAC.
        let both = SettingValue::Texts(vec!["HMAC-SHA256".to_owned()]);
        sender.settings = sender.settings.clone().with("sign_types", both);
        let damaged = renamed(&request, "sign", &"0AF3".repeat(16));
        let diagnosis = sender.explain(&damaged);
        assert!(diagnosis.findings.is_empty(), "{:?}", diagnosis.findings);
        let [signed] = diagnosis.signed.as_slice() else { panic!("{:?}", diagnosis.signed) };
        assert!(
            signed.text.ends_with("&key=<secret>")
                && !format!("{signed:?}").contains(&*String::from_utf8_lossy(&secret))
        );
    }
}

/// A body under a digest with the secret behind it, in upper case; the signature stands in the query.
#[test]
fn a_body_that_was_signed_otherwise_is_found() {
    let sender = sender("huifu_webhook", 1);
    let secret = sender.secret().unwrap();
    let body = sender.request.body.clone();
    let with = |sign: &str| RawRequest { query: Some(format!("sign={sign}")), ..sender.request.clone() };
    let md5 = |parts: &[&[u8]], case| DigestHash::Md5.hex_of(parts, case);
    let own = md5(&[&body, &secret], HexCase::Upper);
    assert!(sender.explain(&with(&own)).outcome.is_accepted());
    let other =
        if sender.explain(&with(&own.to_lowercase())).outcome.is_accepted() { own.clone() } else { own.to_lowercase() };
    if other != own {
        sender.finds(&with(&other), "digest_case", "lower");
    }
    sender.finds(&with(&md5(&[&secret, &body], HexCase::Upper)), "key_joined_otherwise", "before");
    sender.finds(&with(&md5(&[&body, b"&key=", &secret], HexCase::Upper)), "key_joined_otherwise", "&key=");
    let twice = md5(&[md5(&[&body, &secret], HexCase::Lower).as_bytes()], HexCase::Upper);
    sender.finds(&with(&twice), "hashed_otherwise", "twice");
    let sha256 = DigestHash::Sha256.hex_of(&[&body, &secret], HexCase::Upper);
    sender.finds(&with(&sha256), "algorithm_other", "SHA256");
    sender.finds(&with(&md5(&[&secret, &body], HexCase::Lower)), "signed_otherwise", "before, lower");
}

/// Values that are sorted together with the secret.
#[test]
fn values_that_were_not_sorted_are_found() {
    let sender = sender("douyin_ecpay", 1);
    let secret = sender.secret().unwrap();
    let pairs = pairs(&sender.request);
    let value = |name: &str| pairs.iter().find(|(known, _)| known == name.as_bytes()).unwrap().1.clone();
    let own = String::from_utf8(value("msg_signature")).unwrap();
    let [time, nonce, message] = ["timestamp", "nonce", "msg"].map(value);
    let with = |signature: &str| {
        let body = String::from_utf8(sender.request.body.to_vec()).unwrap();
        RawRequest { body: Bytes::from(body.replace(&own, signature)), ..sender.request.clone() }
    };
    let sha1 = |parts: &[&[u8]]| DigestHash::Sha1.hex_of(parts, HexCase::Lower);
    sender.finds(&with(&sha1(&[&message, &nonce, &time, &secret])), "sorted_otherwise", "unsorted");
    sender.finds(&with(&sha1(&[&secret, &message, &time, &nonce])), "sorted_otherwise", "unsorted");
    sender.finds(&with(&own.to_uppercase()), "digest_case", "upper");
    let shown = |sender: &Sender| sender.explain(&with(&"0af3".repeat(10))).signed;
    let first = shown(&sender);
    assert_eq!(first.len(), 1);
    for other in ["0", "zzzz", "~", "5"] {
        let key = SettingValue::Key(Zeroizing::new(other.repeat(8).into_bytes()));
        let other = Sender { settings: sender.settings.clone().with("token", key), ..self::sender("douyin_ecpay", 1) };
        assert_eq!(shown(&other), first);
    }
}

/// Hexadecimal digits where base64 is read, which they are as well.
#[test]
fn a_tag_in_hexadecimal_that_reads_as_base64_is_found() {
    let sender = sender("shopify", 1);
    let tag = STANDARD.decode(sender.request.single_header("x-shopify-hmac-sha256").unwrap()).unwrap();
    let mut request = sender.request.clone();
    request.headers.insert("x-shopify-hmac-sha256", HexCase::Lower.write(&tag).parse().unwrap());
    sender.finds(&request, "signature_encoding", "hex");
}

/// A body under an HMAC in a header.
#[test]
fn a_body_under_another_hmac_is_found() {
    let sender = sender("lemon_squeezy", 1);
    let secret = sender.secret().unwrap();
    let body = sender.request.body.clone();
    let with = |value: &str| {
        let mut request = sender.request.clone();
        request.headers.insert("x-signature", value.parse().unwrap());
        request
    };
    let tag = |algorithm, text: &[u8]| hmac::sign(&hmac::Key::new(algorithm, &secret), text).as_ref().to_vec();
    let hex = |bytes: &[u8]| HexCase::Lower.write(bytes);
    assert!(sender.explain(&with(&hex(&tag(hmac::HMAC_SHA256, &body)))).outcome.is_accepted());
    sender.finds(&with(&STANDARD.encode(tag(hmac::HMAC_SHA256, &body))), "signature_encoding", "base64");
    sender.finds(&with(&hex(&tag(hmac::HMAC_SHA512, &body))), "algorithm_other", "SHA-512");
    sender.finds(&with(&hex(&tag(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &body))), "algorithm_other", "SHA-1");
    let digest = DigestHash::Sha256.hex_of(&[&body, &secret], HexCase::Lower);
    sender.finds(&with(&digest), "algorithm_other", "no HMAC");
    let md5 = DigestHash::Md5.hex_of(&[&body, &secret], HexCase::Lower);
    sender.finds(&with(&md5), "algorithm_other", "MD5");
    sender.finds(
        &with(&hex(&tag(hmac::HMAC_SHA256, &[&body, &secret[..]].concat()))),
        "key_joined_otherwise",
        "behind",
    );
    let hashed = DigestHash::Sha256.hex_of(&[&body], HexCase::Lower);
    sender.finds(&with(&hex(&tag(hmac::HMAC_SHA256, hashed.as_bytes()))), "hashed_otherwise", "digest first");
}
