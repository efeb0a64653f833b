//! Notices of payouts: forms with a salted digest.

use super::*;
use crate::form;
use crate::signature::digest::{DigestHash, HexCase};

fn payout(changes: &[(&str, &str)], sign_type: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = [
        ("customer_no", "360080000000000000"),
        ("out_trade_no", "P1"),
        ("trade_amount", "100"),
        ("note", "代付 a+b"),
        ("Zeta", ""),
        ("salt", "zzz"),
        ("encrypt_type", "RSA"),
    ]
    .iter()
    .chain(changes)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    let mut signed: Vec<&(String, String)> = fields
        .iter()
        .filter(|(name, value)| !value.is_empty() && !["salt", "encrypt_type", "encrypt_data"].contains(&name.as_str()))
        .collect();
    signed.sort();
    let text: Vec<String> = signed.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let hash = if sign_type == "SHA" { DigestHash::Sha1 } else { DigestHash::Sha256 };
    let sign = hash.hex_of(&[text.join("&").as_bytes(), SALT_KEY.as_bytes()], HexCase::Upper);
    fields.push(("sign_type".into(), sign_type.into()));
    fields.push(("sign_data".into(), sign));
    fields
}

fn as_form(fields: &[(String, String)]) -> RawRequest {
    let body = form::encode(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    request("application/x-www-form-urlencoded", body)
}

#[test]
fn a_payout_notice_is_proven_and_not_guessed_at() {
    let good = as_form(&payout(&[], "SHA-256"));
    // Nothing in it says whose it is, unless a field names the merchant.
    assert_eq!(channel().recognise(&good), Likeness::Shape);
    assert_eq!(channel().recognise(&as_form(&payout(&[("member", MERCHANT)], "SHA-256"))), Likeness::Merchant);
    let unsigned: Vec<_> = payout(&[], "SHA-256").into_iter().filter(|(name, _)| name != "sign_data").collect();
    assert_eq!(channel().recognise(&as_form(&unsigned)), Likeness::No);
    let notification = accept(&good);
    assert_eq!((notification.facts.len(), &notification.concerns[..]), (1, &[][..]));
    assert_eq!((notification.facts[0].kind, &notification.facts[0].amount), (EventKind::Other, &Amount::None));
    // What is not signed makes no other notification, and what is signed does.
    assert_eq!(accept(&as_form(&payout(&[("encrypt_data", "x")], "SHA-256"))).key(), notification.key());
    assert_ne!(accept(&as_form(&payout(&[("trade_status", "FINI")], "SHA-256"))).key(), notification.key());
    // Anybody could write the others beside a genuine digest, so they are shown to nobody.
    let beside = [("encrypt_data", "trade_status=FINI"), ("trade_status", "")];
    let fields = channel().fields(&as_form(&payout(&beside, "SHA-256")));
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["customer_no", "out_trade_no", "trade_amount", "note"]);
    assert!(fields.contains(&("note".to_owned(), "代付 a+b".to_owned())), "{fields:?}");
}

#[test]
fn a_payout_text_that_can_be_cut_elsewhere_is_held() {
    let notification = accept(&as_form(&payout(&[("memo", "x&out_trade_no=P2")], "SHA-256")));
    assert_eq!(notification.concerns, [Concern::Ambiguous { field: "memo".into() }]);
    assert_eq!(accept(&as_form(&payout(&[("memo", "A&B = C&")], "SHA-256"))).concerns, []);
}

#[test]
fn a_payout_notice_is_read_strictly() {
    let good = payout(&[], "SHA-256");
    let changed = |name: &str, value: &str| {
        let mut fields = good.clone();
        fields.retain(|(known, _)| known != name);
        fields.push((name.to_owned(), value.to_owned()));
        refuse(&as_form(&fields))
    };
    let sign = good.iter().find(|(name, _)| name == "sign_data").unwrap().1.clone();
    assert_eq!(changed("sign_data", &sign.to_lowercase()), Rejection::Signature);
    assert_eq!(changed("sign_data", &sign[1..]), Rejection::Signature);
    assert_eq!(changed("sign_data", ""), missing("sign_data"));
    assert_eq!(changed("sign_type", ""), missing("sign_type"));
    assert_eq!(changed("trade_amount", "101"), Rejection::Signature);
    assert_eq!(changed("trade_amount", ""), Rejection::Signature);
    assert_eq!(changed("Zeta", "1"), Rejection::Signature);
    for word in ["SHA256", "sha-256", "MD5", "SHA-512", "none"] {
        assert_eq!(changed("sign_type", word), Rejection::Algorithm { algorithm: word.into() });
    }
    let sha1 = as_form(&payout(&[], "SHA"));
    assert_eq!(refuse(&sha1), Rejection::Algorithm { algorithm: "SHA".into() });
    let twice = [good.as_slice(), &[("trade_amount".to_owned(), "1".to_owned())]].concat();
    assert_eq!(refuse(&as_form(&twice)), Rejection::Duplicate { field: "trade_amount".into() });
    let named = [good.as_slice(), &[("a=b&c".to_owned(), String::new())]].concat();
    assert_eq!(refuse(&as_form(&named)), malformed("a=b&c"));

    let both = SettingValue::Texts(vec!["SHA-256".into(), "SHA".into()]);
    let wide = build(&settings().with("payout_sign_types", both)).unwrap();
    assert!(matches!(wide.verify(&sha1, at()), Verdict::Genuine(_)));
    assert!(matches!(wide.verify(&as_form(&good), at()), Verdict::Genuine(_)));
}

/// PHP reads these as a signed field, the last one wins, and an empty one is not signed: it would blank the field for
/// the script.
#[test]
fn no_pair_stands_for_a_signed_field() {
    let good = as_form(&payout(&[("trade_status", "FINI")], "SHA-256"));
    for (pair, word) in [
        ("out.trade_no=", "malformed"),
        ("%20trade_status=", "malformed"),
        ("+trade_status=", "malformed"),
        ("trade_status%00=", "malformed"),
        ("trade_status[]=", "malformed"),
        ("trade_status%5B=", "malformed"),
        ("TRADE_STATUS=", "duplicate_field"),
        ("trade_Status", "duplicate_field"),
        ("SIGN_DATA=x", "duplicate_field"),
        ("sign.data=x", "malformed"),
        ("trade_status=", "duplicate_field"),
    ] {
        for body in [[&good.body[..], b"&", pair.as_bytes()].concat(), [pair.as_bytes(), b"&", &good.body].concat()] {
            assert_eq!(refuse(&RawRequest { body: body.into(), ..good.clone() }).word(), word, "{pair}");
        }
    }
}

#[test]
fn without_a_salt_key_no_form_is_taken() {
    let side = simulate::other_side();
    let channel = build(&side.settings()).unwrap();
    let form = as_form(&payout(&[], "SHA-256"));
    assert_eq!(channel.recognise(&form), Likeness::No);
    assert!(matches!(channel.verify(&form, at()), Verdict::Refused(Rejection::MediaType { .. })));
}
