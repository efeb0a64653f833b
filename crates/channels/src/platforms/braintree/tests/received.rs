//! What is taken as a message, and what is refused.

use super::*;

const CHECK: &str = "<check type=\"boolean\">\n true\n </check>";

fn malformed(field: &str) -> Rejection {
    Rejection::Malformed { field: field.into() }
}

/// The platform's vector: the payload text with its line end.
#[test]
fn the_signature_is_that_of_the_platforms_kits() {
    let payload = "PG5vdGlmaWNhdGlvbi8+\n";
    assert_eq!(signed(payload), "integration_public_key|10bf71f9a7343c54ee69013cabea1aad72f18f73");
    // Signed, and empty: held, for it is genuine.
    let (notification, _) = proven(&form_of(&signed(payload), payload));
    assert_eq!(held(&notification), ["missing_field"]);
    assert_eq!(notification.facts[0].kind, EventKind::Other);
}

#[test]
fn the_last_line_end_may_be_lost_on_the_way() {
    let payload = payload_of(&document("check", CHECK));
    let signature = signed(&payload);
    let (as_sent, proof) = proven(&form_of(&signature, &payload));
    assert_eq!(proof, Proof::Signature { key: PUBLIC.into(), variant: "as_sent".into() });
    let (without, proof) = proven(&form_of(&signature, payload.trim_end()));
    assert_eq!(proof, Proof::Signature { key: PUBLIC.into(), variant: "with_line_end".into() });
    assert_eq!(as_sent, without);
    for other in
        [format!("{payload}\n"), payload.replacen('\n', "", 1), payload.replace('\n', ""), format!("\n{payload}")]
    {
        assert_eq!(refused(&form_of(&signature, &other)), Rejection::Signature, "{other:?}");
    }
    // Not a line end that a form would have made of it.
    assert_eq!(refused(&form_of(&signature, &payload.replace('\n', "\r\n"))), malformed("bt_payload"));
    assert_eq!(refused(&form_of(&signature, &payload.replace('\n', " "))), malformed("bt_payload"));
}

/// A plus that was not escaped arrives as a blank, and so is no message.
#[test]
fn a_form_is_decoded_once() {
    let document = document("check", "<check>~~~~~~</check>");
    let payload = payload_of(&document);
    assert!(payload.contains('+'));
    let body = format!("bt_signature={}&bt_payload={payload}", signed(&payload).replace('|', "%7C"));
    let found = refused(&request(Method::POST, None, body.into_bytes()));
    assert_eq!(found, malformed("bt_payload"));
}

#[test]
fn only_the_signature_of_our_own_key_counts() {
    let payload = payload_of(&document("check", CHECK));
    let own = signed(&payload);
    let tag = own.split('|').nth(1).unwrap().to_owned();
    let zeros = "0".repeat(40);
    let word = |signature: &str| match channel().verify(&form_of(signature, &payload), now()) {
        Verdict::Genuine(_) => "genuine",
        Verdict::Refused(rejection) => rejection.word(),
        other => panic!("{other:?}"),
    };
    for (signature, expected) in [
        (own.clone(), "genuine"),
        (format!("other|{zeros}&{own}"), "genuine"),
        (format!("{own}&other|{zeros}"), "genuine"),
        (format!("other|nonsense&{own}&&junk"), "genuine"),
        (format!("other|{tag}"), "unknown_merchant"),
        (format!("{PUBLIC}x|{tag}"), "unknown_merchant"),
        (format!("{}|{tag}", PUBLIC.to_uppercase()), "unknown_merchant"),
        (format!("|{tag}"), "unknown_merchant"),
        (tag.clone(), "malformed"),
        (format!("{PUBLIC}|{zeros}"), "signature"),
        (format!("{PUBLIC}|{zeros}&{own}"), "duplicate_field"),
        (format!("{own}&{own}"), "duplicate_field"),
        (format!("{PUBLIC}|{}", tag.to_uppercase()), "malformed"),
        (format!("{PUBLIC}|{}", &tag[1..]), "malformed"),
        (format!("{PUBLIC}|{tag}0"), "malformed"),
        (format!("{PUBLIC}|{tag}|{tag}"), "malformed"),
        (format!("{PUBLIC}|"), "malformed"),
        (format!("{own}\n"), "malformed"),
        (format!(" {own}"), "unknown_merchant"),
        (format!("{}{own}", "a|b&".repeat(255)), "genuine"),
        (format!("{}{own}", "a|b&".repeat(256)), "too_many_fields"),
    ] {
        assert_eq!(word(&signature), expected, "{signature}");
    }
}

/// The key is the digest of the private key, and not the private key.
#[test]
fn the_key_is_derived() {
    use crate::signature::hmac::HmacHash;
    let payload = payload_of(&document("check", CHECK));
    for secret in [
        PRIVATE.as_bytes().to_vec(),
        hex(&crate::signature::digest::DigestHash::Sha1.of(&[PRIVATE.as_bytes()])).into_bytes(),
    ] {
        let tag = hex(&HmacKey::new(&secret, HmacHash::Sha1, "k").sign(payload.as_bytes()));
        assert_eq!(refused(&form_of(&format!("{PUBLIC}|{tag}"), &payload)), Rejection::Signature);
    }
}

/// The platform signed it, and would not send it again after a day of refusals.
#[test]
fn what_is_signed_and_no_document_is_held() {
    let mut names = Vec::new();
    let mut check = |request: &RawRequest| {
        let (notification, _) = proven(request);
        assert_eq!((notification.facts.len(), notification.facts[0].kind), (1, EventKind::Other));
        assert_eq!(notification.concerns, [Concern::UnreadableText { field: "bt_payload".into() }]);
        assert!(!names.contains(&notification.platform_id));
        names.push(notification.platform_id);
    };
    for payload in [
        "=",
        "PG5vdGlmaWNhdGlvbi8",
        "PG5vdGlmaWNhdGlvbi8+=",
        "PG5v=dGlmaWNhdGlvbi8+",
        "PG5vdGlmaWNhdGlvbi8+PA==",
        "bm90aWZpY2F0aW9u",
    ] {
        check(&form_of(&signed(payload), payload));
    }
    for document in [
        "<note/>",
        "<!DOCTYPE notification [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><notification>&a;</notification>",
        "<notification>&a;</notification>",
        "<notification><!-- --></notification>",
        "<notification><kind>check</notification>",
        "{}",
        "\u{feff}",
    ] {
        check(&sent(document));
    }
    check(&sent(&format!("<notification>{}</notification>", "<a/>".repeat(ELEMENTS_MAX + 1))));
    // What is no payload is none, and neither is what we sign for anybody who asks.
    for payload in
        ["", "PG5vdGlmaWNhdGlvbi8-", "20f9f8ed05f77439fe955c977e4c8a53", "20f9f8ed05f77439fe955c977e4c8a53\n"]
    {
        let found = refused(&form_of(&signed(payload), payload));
        assert!(["malformed", "missing"].contains(&found.word()), "{payload:?}: {found}");
    }
}

#[test]
fn what_is_beside_the_two_fields_says_nothing() {
    let payload = payload_of(&document("transaction_settled", &transaction(&[])));
    let (plain, _) = proven(&form_of(&signed(&payload), &payload));
    let mut more = form_of(&signed(&payload), &payload).body.to_vec();
    more.extend_from_slice(b"&kind=dispute_lost&amount=99999");
    assert_eq!(proven(&request(Method::POST, Some("bt_payload=x&bt_signature=y"), more)).0, plain);
    let twice = |more: &str| {
        let mut body = form_of(&signed(&payload), &payload).body.to_vec();
        body.extend_from_slice(more.as_bytes());
        refused(&request(Method::POST, None, body))
    };
    for field in ["bt_payload", "bt_signature", "BT_payload"] {
        assert_eq!(twice(&format!("&{field}=")).word(), "duplicate_field", "{field}");
    }
    assert_eq!(twice("&bt.payload=x").word(), "malformed");
    let mut json = form_of(&signed(&payload), &payload);
    json.headers.insert("content-type", "application/json".parse().unwrap());
    assert_eq!(refused(&json).word(), "media_type");
}

#[test]
fn a_channel_knows_its_own() {
    let payload = payload_of(&document("check", CHECK));
    let likeness = |signature: &str| channel().recognise(&form_of(signature, &payload));
    assert_eq!(likeness(&signed(&payload)), Likeness::Merchant);
    assert_eq!(likeness(&format!("{PUBLIC}|x")), Likeness::Merchant);
    assert_eq!(likeness("other|x"), Likeness::Shape);
    assert_eq!(likeness(""), Likeness::No);
    assert_eq!(channel().recognise(&request(Method::POST, None, b"id=1".to_vec())), Likeness::No);
    assert_eq!(
        channel().recognise(&request(Method::GET, Some("bt_payload=x&bt_signature=y"), Vec::new())),
        Likeness::No
    );
}

/// A partner's message has a merchant's private key in it.
#[test]
fn fields_are_all_but_a_private_key() {
    let subject = "<partner-merchant><merchant-public-id>m1</merchant-public-id><private-key>hush1</private-key>\
                   <private-key>hush2</private-key><item nil=\"true\"/></partner-merchant>";
    let request = sent(&document("partner_merchant_connected", subject));
    let fields = channel().fields(&request);
    let expected = [
        ("timestamp", AT),
        ("kind", "partner_merchant_connected"),
        ("subject/partner-merchant/merchant-public-id", "m1"),
        ("subject/partner-merchant/item", ""),
    ];
    assert_eq!(fields, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(proven(&request).0.facts[0].kind, EventKind::Other);
}
