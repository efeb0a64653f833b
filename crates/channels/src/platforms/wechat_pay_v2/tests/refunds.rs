//! Refund notices: sealed, not signed.

use super::*;
use crate::model::Identity;

/// The content as the documents show it.
fn content() -> Draft {
    [
        ("out_refund_no", "131811191610442717309"),
        ("out_trade_no", "71106718111915575302817"),
        ("refund_account", "REFUND_SOURCE_RECHARGE_FUNDS"),
        ("refund_fee", "3960"),
        ("refund_id", "50000408942018111907145868882"),
        ("refund_recv_accout", "支付用户零钱"),
        ("refund_request_source", "API"),
        ("refund_status", "SUCCESS"),
        ("settlement_refund_fee", "3960"),
        ("settlement_total_fee", "3960"),
        ("success_time", "2018-11-19 16:24:13"),
        ("total_fee", "3960"),
        ("transaction_id", "4200000215201811190261405420"),
        ("cash_refund_fee", "90"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn seal_under(key: &[u8], plaintext: &[u8]) -> String {
    STANDARD.encode(seal_aes_ecb(key, plaintext).unwrap())
}

fn sealing_key() -> String {
    DigestHash::Md5.hex_of(&[KEY], HexCase::Lower)
}

fn sealed(plaintext: &[u8]) -> String {
    seal_under(sealing_key().as_bytes(), plaintext)
}

fn document(draft: &Draft) -> String {
    encode("root", draft.iter().map(|(name, value)| (*name, value.as_str())))
}

fn outside(req_info: &str) -> Draft {
    [
        ("return_code", "SUCCESS"),
        ("appid", APPID),
        ("mch_id", MCH_ID),
        ("nonce_str", "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"),
        ("req_info", req_info),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn notice(draft: &Draft) -> RawRequest {
    written(&outside(&sealed(document(draft).as_bytes())))
}

#[test]
fn the_known_text_opens_and_is_not_whole() {
    // A content of two fields, sealed by an independent program.
    const TEXT: &str = "WBzGpzQuNpcFxIlFjUUD9BZv+lpBMzd2SHiKCkwfALWid5G8ZvfOussfMIHLbKJmcnxPKdb1ZJEqTAp8ysQv+xa1fj+Eorgndx3f\
                        Nxf3KAYa3LPgsjvZgxaeYyrhV05Kbjkj6ywg27cEyTTaPZFYNg==";
    assert_eq!(sealing_key(), "d96eb16afdd491fa1e705096edbc2205");
    let plaintext =
        "<root><out_refund_no><![CDATA[R1]]></out_refund_no><refund_status><![CDATA[SUCCESS]]></refund_status></root>";
    assert_eq!(sealed(plaintext.as_bytes()), TEXT);
    let request = written(&outside(TEXT));
    let fields = channel(&settings()).fields(&request);
    for (name, value) in [("req_info.out_refund_no", "R1"), ("req_info.refund_status", "SUCCESS"), ("mch_id", MCH_ID)] {
        assert!(fields.iter().any(|(known, text)| (known.as_str(), text.as_str()) == (name, value)), "{fields:?}");
    }
    assert_eq!(refused(&request), Rejection::Missing { field: "req_info.transaction_id".into() });
}

#[test]
fn a_refund_is_read_from_inside() {
    let request = notice(&content());
    let Verdict::Genuine(proven) = channel(&settings()).verify(&request, at()) else { panic!("refused") };
    assert_eq!(proven.proof(), &Proof::Signature { key: "api_key".into(), variant: "req_info".into() });
    let notification = proven.value();
    assert_eq!(words(notification), [""; 0]);
    assert_eq!(notification.platform_kind, "refund");
    assert!(notification.platform_id.starts_with("50000408942018111907145868882-"));
    let fact = only_fact(notification);
    assert_eq!((fact.kind, &fact.amount), (EventKind::RefundSucceeded, &fen(3960)));
    assert_eq!(fact.scope, Scope::of(MCH_ID));
    let names: Vec<&str> = fact.identities().map(Identity::as_str).collect();
    assert_eq!(names, ["refund_id:50000408942018111907145868882", "out_refund_no:131811191610442717309"]);
    assert_eq!(fact.payment.as_ref().map(Identity::as_str), Some("4200000215201811190261405420"));
    assert_eq!(fact.order_no.as_deref(), Some("71106718111915575302817"));
    assert_eq!(fact.platform_no.as_deref(), Some("50000408942018111907145868882"));
    assert_eq!(fact.occurred_at, Some("2018-11-19T08:24:13Z".parse().unwrap()));
    for (status, kind) in [("CHANGE", EventKind::RefundAbnormal), ("REFUNDCLOSE", EventKind::RefundFailed)] {
        let notification = accepted(&notice(&without(set(content(), &[("refund_status", status)]), "success_time")));
        assert_eq!((only_fact(&notification).kind, words(&notification)), (kind, vec![]));
    }
    // A refund that came has a time, and without it nothing says how old the notice is.
    let timeless = accepted(&notice(&without(content(), "success_time")));
    assert_eq!((only_fact(&timeless).kind, words(&timeless)), (EventKind::RefundSucceeded, vec!["missing_field"]));
    // As it is printed for people, with blanks between elements, and with a declaration.
    let spaced = document(&content()).replace("><", ">\n  <");
    let spaced = spaced.replace(">\n  <![", "><![").replace("]]>\n  </", "]]></");
    for plaintext in [spaced.clone(), format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{spaced}\n")] {
        let again = accepted(&written(&outside(&sealed(plaintext.as_bytes()))));
        assert_eq!(again.key(), notification.key());
    }
}

#[test]
fn what_stands_outside_changes_nothing() {
    let first = accepted(&notice(&content()));
    let outer = outside(&sealed(document(&content()).as_bytes()));
    for (name, value) in [
        ("nonce_str", "another"),
        ("return_msg", "OK"),
        ("refund_fee", "1"),
        ("total_fee", "1"),
        ("transaction_id", "1"),
        ("refund_status", "CHANGE"),
        ("result_code", "FAIL"),
        ("fee_type", "USD"),
        ("zz", "&refund_fee=1"),
    ] {
        assert_eq!(accepted(&written(&set(outer.clone(), &[(name, value)]))), first, "{name}");
    }
    // Nor is it shown: whoever reads the fields of a proven notice finds what was sealed, and the ids that were compared.
    let beside = set(
        outer.clone(),
        &[("refund_fee", "1"), ("total_fee", "1"), ("refund_status", "CHANGE"), ("out_refund_no", "R9"), ("zz", "1")],
    );
    let fields = channel(&settings()).fields(&written(&beside));
    let named = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(known, _)| known == name).map(|(_, text)| text.as_str()).collect()
    };
    for name in ["refund_fee", "total_fee", "refund_status", "out_refund_no", "zz"] {
        assert_eq!(named(name), Vec::<&str>::new(), "{name}");
    }
    for (name, text) in [
        ("req_info.refund_fee", "3960"),
        ("req_info.total_fee", "3960"),
        ("req_info.refund_status", "SUCCESS"),
        ("req_info.out_refund_no", "131811191610442717309"),
        ("mch_id", MCH_ID),
    ] {
        assert_eq!(named(name), [text], "{name}");
    }
    assert_eq!(fields.len(), content().len() + outer.len(), "{fields:?}");
    for (name, value, word) in [
        ("mch_id", "1900000002", "unknown_merchant"),
        ("mch_id", "", "missing"),
        ("appid", "wx0000000000000009", "unknown_merchant"),
        ("appid", "", "missing"),
        ("sub_mch_id", "1900000109", "unknown_merchant"),
        ("return_code", "FAIL", "malformed"),
        ("return_code", "", "missing"),
        // Two proofs are none.
        ("sign", "9A0A8659F005D6984697E2CA0A9CF3B7", "malformed"),
        ("sign", "", "malformed"),
    ] {
        assert_eq!(refused(&written(&set(outer.clone(), &[(name, value)]))).word(), word, "{name}={value}");
    }
    // A payment that names a sealed text is no refund, and no payment.
    let mut paid = set(payment(), &[("req_info", "AAAA")]);
    sign(&mut paid, KEY, SignType::Md5);
    assert_eq!(refused(&written(&paid)).word(), "malformed");
}

#[test]
fn what_is_not_whole_proves_nothing() {
    for name in
        ["transaction_id", "out_trade_no", "refund_id", "out_refund_no", "refund_fee", "total_fee", "refund_status"]
    {
        let missing = Rejection::Missing { field: format!("req_info.{name}") };
        assert_eq!(refused(&notice(&without(content(), name))), missing);
        assert_eq!(refused(&notice(&set(content(), &[(name, " ")]))), missing);
    }
    for (name, value) in [
        ("refund_fee", "39.60"),
        ("refund_fee", "-1"),
        ("refund_fee", "3960 "),
        ("refund_fee", "1e3"),
        ("total_fee", "99999999999999999999"),
        ("refund_status", "success"),
        ("refund_status", "PROCESSING"),
    ] {
        let malformed = Rejection::Malformed { field: format!("req_info.{name}") };
        assert_eq!(refused(&notice(&set(content(), &[(name, value)]))), malformed, "{value}");
    }
    let genuine = document(&content());
    for plaintext in [
        genuine.replace("root>", "xml>"),
        format!("<!DOCTYPE root>{genuine}"),
        genuine.replace("</root>", "<refund_fee>1</refund_fee></root>"),
        genuine.replace("</root>", "<a><b/></a></root>"),
        genuine.replace("</root>", ""),
        format!("{genuine}{genuine}"),
        genuine.replace("<![CDATA[支付用户零钱]]>", "&unknown;"),
        String::new(),
    ] {
        assert_eq!(refused(&written(&outside(&sealed(plaintext.as_bytes())))), Rejection::Signature, "{plaintext}");
    }
    let mut latin = genuine.into_bytes();
    latin.retain(|byte| *byte != 0xe6);
    assert_eq!(refused(&written(&outside(&sealed(&latin)))), Rejection::Signature);
}

#[test]
fn only_the_right_key_opens() {
    let plaintext = document(&content());
    let upper = sealing_key().to_uppercase();
    let other = DigestHash::Md5.hex_of(&[b"another key of the same merchant"], HexCase::Lower);
    for key in [KEY, upper.as_bytes(), other.as_bytes()] {
        let request = written(&outside(&seal_under(key, plaintext.as_bytes())));
        assert_eq!(refused(&request), Rejection::Signature);
        assert!(channel(&settings()).fields(&request).iter().all(|(name, _)| !name.starts_with("req_info.")));
    }
    let text = sealed(plaintext.as_bytes());
    for bad in [&text[1..], &text[..text.len() - 1], &format!("{text}="), &text.replace('+', "-"), &format!(" {text}")]
    {
        if *bad != text {
            assert_eq!(refused(&written(&outside(bad))), Rejection::Malformed { field: "req_info".into() });
        }
    }
    assert_eq!(refused(&written(&outside(" "))).word(), "missing");
}

#[test]
fn every_changed_bit_is_seen() {
    let bytes = seal_aes_ecb(sealing_key().as_bytes(), document(&content()).as_bytes()).unwrap();
    for at in 0..bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 1 << (at % 8);
        let request = written(&outside(&STANDARD.encode(spoiled)));
        let Verdict::Refused(_) = channel(&settings()).verify(&request, super::at()) else { panic!("byte {at}") };
    }
}

/// Whole blocks can be put together without the key. Of one notice alone that makes nothing but the same refund, whose
/// merchant's own numbers may have lost a block or got one twice: only those are free enough to hold a whole block.
#[test]
fn lost_and_doubled_blocks_make_no_other_refund() {
    let bytes = seal_aes_ecb(sealing_key().as_bytes(), document(&content()).as_bytes()).unwrap();
    let blocks: Vec<&[u8]> = bytes.chunks(16).collect();
    let genuine = accepted(&notice(&content()));
    let mut survivors = 0;
    for first in 0..blocks.len() {
        for length in 1..=blocks.len() - first {
            let lost = [&blocks[..first], &blocks[first + length..]].concat();
            let doubled = [&blocks[..first + length], &blocks[first..]].concat();
            for mutant in [lost, doubled] {
                let request = written(&outside(&STANDARD.encode(mutant.concat())));
                let Verdict::Genuine(proven) = channel(&settings()).verify(&request, at()) else { continue };
                survivors += 1;
                let found = proven.value();
                let said = |notification: &Notification| {
                    let fact = only_fact(notification);
                    (fact.kind, fact.identity.clone(), fact.amount.clone(), fact.payment.clone(), fact.occurred_at)
                };
                let is_same = said(found) == said(&genuine);
                assert!(is_same || !found.concerns.is_empty(), "blocks {first}+{length}: {found:?}");
            }
        }
    }
    assert!((1..100).contains(&survivors), "{survivors} of some thousand were taken");
}

#[test]
fn odd_numbers_and_amounts_are_held() {
    for (name, value, word, kind) in [
        ("refund_id", "5000040894201", "unknown_value", EventKind::Other),
        ("refund_id", "5000040894201811190714586888X", "unknown_value", EventKind::Other),
        ("transaction_id", "42000002152018111902614054204200000215201811", "unknown_value", EventKind::Other),
        ("out_trade_no", "中文", "unknown_value", EventKind::Other),
        ("out_refund_no", "a b", "unknown_value", EventKind::Other),
        ("refund_fee", "3961", "contradiction", EventKind::RefundSucceeded),
        ("settlement_refund_fee", "4000", "contradiction", EventKind::RefundSucceeded),
        ("settlement_total_fee", "1.00", "contradiction", EventKind::RefundSucceeded),
        ("success_time", "yesterday", "unknown_value", EventKind::RefundSucceeded),
        ("refund_fee_type", "XQZ", "unreadable_amount", EventKind::RefundSucceeded),
    ] {
        let notification = accepted(&notice(&set(content(), &[(name, value)])));
        assert_eq!(only_fact(&notification).kind, kind, "{name}={value}");
        assert!(words(&notification).contains(&word), "{name}={value}: {:?}", notification.concerns);
    }
    let foreign = accepted(&notice(&set(content(), &[("refund_fee_type", "HKD")])));
    assert_eq!(only_fact(&foreign).signed_money().unwrap().currency.code(), "HKD");
    let odd = set(content(), &[("out_trade_no", "a_-|*Z"), ("out_refund_no", "R@1")]);
    assert!(accepted(&notice(&odd)).concerns.is_empty());
}

#[test]
fn the_unprotected_sub_merchant_is_the_only_one_or_held() {
    let plaintext = sealed(document(&content()).as_bytes());
    let outer = |sub: &str| written(&set(outside(&plaintext), &[("sub_mch_id", sub)]));
    let one = channel(&with_texts(settings(), "sub_mch_id", &["1900000109"]));
    let notification = accepted_by(&*one, &outer("1900000109"));
    assert_eq!(words(&notification), [""; 0]);
    assert_eq!(only_fact(&notification).scope, Scope::of("1900000001:1900000109"));
    assert_eq!(refused_by(&*one, &outer("1900000108")).word(), "unknown_merchant");
    assert_eq!(refused_by(&*one, &outer("")).word(), "missing", "else one refund could be two");
    for subs in [&["1900000109", "1900000108"][..], &["*"]] {
        let many = channel(&with_texts(settings(), "sub_mch_id", subs));
        for sub in ["1900000109", "1900000108"] {
            let notification = accepted_by(&*many, &outer(sub));
            assert_eq!(notification.concerns, [Concern::Ambiguous { field: "sub_mch_id".into() }], "{subs:?}");
        }
        assert_eq!(refused_by(&*many, &outer("")).word(), "missing");
        assert_eq!(refused_by(&*many, &outer("19x")).word(), "unknown_merchant");
    }
    let apps = channel(&with_texts(settings(), "sub_appid", &["wx1"]));
    let app = |id: &str| written(&set(outside(&plaintext), &[("sub_appid", id)]));
    assert!(accepted_by(&*apps, &app("wx1")).concerns.is_empty());
    assert_eq!(refused_by(&*apps, &app("wx2")).word(), "unknown_merchant");
}

#[test]
fn refunds_of_one_payment_are_apart_and_a_repetition_is_none() {
    let key = |draft: &Draft| accepted(&notice(draft)).key();
    let first = key(&content());
    let mut reordered = content();
    reordered.reverse();
    assert_eq!(first, key(&reordered));
    let second = set(content(), &[("refund_id", "50000408942018111907145868883"), ("out_refund_no", "R2")]);
    assert_ne!(first, key(&second));
    assert_ne!(first, key(&without(set(content(), &[("refund_status", "CHANGE")]), "success_time")));
}
