//! Signatures that were made and accepted elsewhere, through configurations as users write them.

use super::written::{Written, genuine, one, refused, request};
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::{Amount, EventKind, Proof, Timestamp};

const BODY: &str = r#"{"id":"evt_1","amount":1000,"note":"café"}"#;
const NOW: i64 = 1_700_000_000;
const HEX: &str = "a0930ad16a3a2d4b5538ddf8c3e281fda384a3c44c9c0ebda1f347188b897e24";
const BASE64: &str = "oJMK0Wo6LUtVON34w+KB/aOEo8RMnA69ofNHGIuJfiQ=";

/// An event section for the bare body of the vectors.
const EVENT: &str = "[channel.event]\nid = \"json:/id\"\ntype = \"json:/note\"\nmap = { \"café\" = \"other\" }\n";

#[track_caller]
fn check(verify: &str, secret: &str, headers: &[(&str, &str)]) {
    let written = one(&format!("[channel.verify]\n{verify}\n{EVENT}"), secret);
    let channel = written.channel();
    let good = request(headers, BODY);
    let (notification, _) = genuine(channel.as_ref(), &good, NOW);
    assert_eq!(notification.platform_id, "evt_1");
    for (what, body) in [("amount", BODY.replace("1000", "9000")), ("blank", format!("{BODY} "))] {
        assert_eq!(refused(channel.as_ref(), &request(headers, &body), NOW).word(), "signature", "{what}");
    }
    let stranger = one(&format!("[channel.verify]\n{verify}\n{EVENT}"), &format!("{secret}BBBB"));
    assert_eq!(refused(stranger.channel().as_ref(), &good, NOW).word(), "signature", "another secret");
    let bare = request(&[], BODY);
    assert_eq!(refused(channel.as_ref(), &bare, NOW).word(), "missing", "no headers");
}

#[test]
fn a_stamped_pair_list_in_hexadecimal() {
    let verify = r#"signature = { from = "header:stripe-signature", parse = "kv", pair_sep = ",", want = "v1" }
        timestamp = { from = "sig:t", unit = "s", tolerance = 300 }
        message = "{sig:t}.{body}"
        algorithm = "hmac-sha256"
        encoding = "hex"
        secret = { format = "utf8" }"#;
    let value = "t=1700000000,v1=5d26399b41cefaf7dd989679ac48c0890a4394bd182206391a071feec875f19f";
    check(verify, "whsec_test_secret", &[("stripe-signature", value)]);
    let old = value.replace("v1=", "v0=ffff,v1=0000000000000000000000000000000000000000000000000000000000000000,v1=");
    check(verify, "whsec_test_secret", &[("Stripe-Signature", &old)]);
}

#[test]
fn other_separators_and_names_of_the_pairs() {
    let verify = r#"signature = { from = "header:paddle-signature", parse = "kv", pair_sep = ";", want = "h1" }
        timestamp = { from = "sig:ts", unit = "s", tolerance = 5 }
        message = "{sig:ts}:{body}"
        algorithm = "hmac-sha256"
        encoding = "hex""#;
    let value = "ts=1700000000;h1=03a128b52957a1caaedea3fd6f5f9566c79fe1122104fd1e8fbe1dfb084d711f";
    check(verify, "pdl_ntfset_x", &[("paddle-signature", value)]);
}

#[test]
fn a_versioned_list_in_base64_with_a_decoded_secret() {
    let verify = r#"signature = { from = "header:webhook-signature", parse = "list", list_sep = " ", version_sep = ",", want = "v1" }
        timestamp = { from = "header:webhook-timestamp", unit = "s", tolerance = "5m" }
        message = "{header:webhook-id}.{header:webhook-timestamp}.{body}"
        algorithm = "hmac-sha256"
        encoding = "base64"
        secret = { format = "base64", strip_prefix = "whsec_" }"#;
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let headers =
        |signature| [("webhook-id", "msg_1"), ("webhook-timestamp", "1700000000"), ("webhook-signature", signature)];
    check(verify, secret, &headers("v1,19fVF6S0XkquMxgoXMJPPHxMpgz0tLBSbYruv50fq1E="));
    check(verify, secret, &headers("v1a,AAAA v1,19fVF6S0XkquMxgoXMJPPHxMpgz0tLBSbYruv50fq1E="));
}

#[test]
fn the_body_alone_in_hexadecimal_or_base64() {
    for (header, encoding, value) in [
        ("x-razorpay-signature", "hex", HEX),
        ("cko-signature", "hex", HEX),
        ("webhook-signature", "hex", &HEX.to_uppercase()),
        ("x-shopify-hmac-sha256", "base64", BASE64),
    ] {
        let verify = format!(
            "signature = {{ from = \"header:{header}\", parse = \"whole\" }}\nmessage = \"{{body}}\"\n\
             algorithm = \"hmac-sha256\"\nencoding = \"{encoding}\"\nsecret = {{ format = \"utf8\" }}"
        );
        check(&verify, "topsecret", &[(header, value)]);
    }
}

#[test]
fn a_prefixed_signature_whose_header_may_repeat() {
    let verify = r#"signature = { from = "header:x-mollie-signature", parse = "list", list_sep = ",", prefix = "sha256=", repeat = true }
        message = "{body}"
        algorithm = "hmac-sha256"
        encoding = "hex""#;
    let value = format!("sha256={HEX}");
    let other = format!("sha256={}", "0".repeat(64));
    check(verify, "topsecret", &[("x-mollie-signature", &value)]);
    check(verify, "topsecret", &[("x-mollie-signature", &other), ("x-mollie-signature", &value)]);
    let strict = one(&format!("[channel.verify]\n{}\n{EVENT}", verify.replace(", repeat = true", "")), "topsecret");
    let twice = request(&[("x-mollie-signature", &other), ("x-mollie-signature", &value)], BODY);
    assert_eq!(refused(strict.channel().as_ref(), &twice, NOW).word(), "duplicate_field");
}

#[test]
fn a_time_in_milliseconds_before_the_body() {
    let verify = r#"signature = { from = "header:x-signature", parse = "whole" }
        timestamp = { from = "header:x-timestamp", unit = "ms", tolerance = 300 }
        message = "{header:x-timestamp}{body}"
        algorithm = "hmac-sha256"
        encoding = "hex""#;
    let value = "7b64ee0a00f3122a6caae7fa87d1301fdc4f9d6d9adca8e2b00ff6eb7dcd427d";
    check(verify, "topsecret", &[("x-timestamp", "1700000000123"), ("x-signature", value)]);
}

#[test]
fn a_secret_in_hexadecimal() {
    let verify = r#"signature = { from = "header:hmacsignature", parse = "whole" }
        message = "{body}"
        algorithm = "hmac-sha256"
        encoding = "base64"
        secret = { format = "hex" }"#;
    let secret = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
    check(verify, secret, &[("HmacSignature", "Wj2pgcXw9TY5tL8yle41POdlPeoH3rpVNffRPJ+VbE4=")]);
}

#[test]
fn the_secret_that_the_message_names() {
    let channel = |id: &str| {
        let text = format!(
            "[[channel]]\nid = \"c\"\nkind = \"custom\"\nplatform = \"p\"\naccount = \"a\"\n\
             [[channel.key]]\nid = \"old\"\nsecret_file = \"other\"\n[[channel.key]]\nid = \"{id}\"\nsecret_file = \"secret\"\n\
             [channel.verify]\nsignature = {{ from = \"header:x-gcs-signature\", parse = \"whole\" }}\n\
             key_id = {{ from = \"header:x-gcs-keyid\" }}\nmessage = \"{{body}}\"\nalgorithm = \"hmac-sha256\"\n\
             encoding = \"base64\"\n{EVENT}"
        );
        Written::new(&text, &[("secret", "topsecret"), ("other", "another secret")]).channel()
    };
    let named = |id: &str| request(&[("x-gcs-signature", BASE64), ("x-gcs-keyid", id)], BODY);
    let (_, proof) = genuine(channel("new").as_ref(), &named("new"), NOW);
    assert_eq!(proof, Proof::Signature { key: "new".into(), variant: "message 1".into() });
    assert_eq!(refused(channel("new").as_ref(), &named("old"), NOW).word(), "signature");
    assert_eq!(refused(channel("new").as_ref(), &named("gone"), NOW).word(), "unknown_key");
    assert_eq!(refused(channel("new").as_ref(), &request(&[("x-gcs-signature", BASE64)], BODY), NOW).word(), "missing");
}

#[test]
fn every_item_by_its_own_fields() {
    let text = r#"[channel.verify]
        items = { from = "json:/notificationItems", unwrap = "/NotificationRequestItem" }
        signature = { from = "item:/additionalData/hmacSignature", parse = "whole" }
        message = "{item:/pspReference}:{item:/originalReference}:{item:/merchantAccountCode}:{item:/merchantReference}:{item:/amount/value}:{item:/amount/currency}:{item:/eventCode}:{item:/success}"
        algorithm = "hmac-sha256"
        encoding = "base64"
        secret = { format = "hex" }
        [channel.event]
        id = ["item:/pspReference", "item:/eventCode", "item:/success"]
        type = "item:/eventCode"
        account = "item:/merchantAccountCode"
        number = "item:/pspReference"
        order = "item:/merchantReference"
        amount = { value = "item:/amount/value", currency = "item:/amount/currency", form = "minor-int" }
        [channel.event.map]
        AUTHORISATION = { event = "payment.succeeded", when = { "item:/success" = "true" }, else = "payment.failed" }
        [channel.reply]
        ok = { status = 200, body = "[accepted]" }"#;
    let secret = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00";
    let channel = one(text, secret).channel();
    let item = |value: &str, signature: &str| {
        format!(
            r#"{{"NotificationRequestItem":{{"additionalData":{{"hmacSignature":"{signature}"}},"amount":{{"value":{value},"currency":"EUR"}},"pspReference":"7914073381342284","eventCode":"AUTHORISATION","merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1407325143704","success":"true","eventDate":"2019-05-06T17:15:34.121+02:00"}}}}"#
        )
    };
    let body = |items: &[String]| format!(r#"{{"live":"false","notificationItems":[{}]}}"#, items.join(","));
    let good = item("1130", "Ny9gS2veKo5E4w8/OL6xz1/wvT/hYkAXy1xNc/QvO4I=");
    let forged = item("1", "Ny9gS2veKo5E4w8/OL6xz1/wvT/hYkAXy1xNc/QvO4I=");
    let (notification, _) = genuine(channel.as_ref(), &request(&[], &body(std::slice::from_ref(&good))), NOW);
    let fact = &notification.facts[0];
    assert_eq!((fact.kind, fact.identity.as_str()), (EventKind::PaymentSucceeded, "7914073381342284"));
    assert_eq!(
        fact.signed_money().map(|money| (money.minor, money.currency.code().to_owned())),
        Some((1130, "EUR".into()))
    );
    assert_eq!(fact.scope.account, "p/TestMerchant", "another account than the channel's");
    assert_eq!(notification.concerns.len(), 1);
    let (both, _) = genuine(channel.as_ref(), &request(&[], &body(&[good.clone(), good.clone()])), NOW);
    assert_eq!((both.facts.len(), &both.platform_id), (1, &notification.platform_id), "a copy says nothing");
    for items in [vec![good.clone(), forged.clone()], vec![forged, good]] {
        assert_eq!(refused(channel.as_ref(), &request(&[], &body(&items)), NOW).word(), "signature", "all or none");
    }
    assert_eq!(refused(channel.as_ref(), &request(&[], &body(&[])), NOW).word(), "missing", "nothing signed");
}

#[test]
fn a_form_with_a_hashed_secret_and_two_templates() {
    let text = r#"values = { public_key = "integration_public_key" }
        [channel.verify]
        body = "form"
        signature = { from = "form:bt_signature", parse = "kv", pair_sep = "&", kv_sep = "|", want = "{cfg:public_key}" }
        message = ["{form:bt_payload}", "{form:bt_payload}\n"]
        algorithm = "hmac-sha1"
        encoding = "hex"
        secret = { format = "utf8", derive = "sha1" }
        [channel.event]
        type = "form:bt_payload"
        map = { "PG5vdGlmaWNhdGlvbi8+" = "other" }"#;
    let channel = one(text, "integration_private_key").channel();
    let form = |payload: &str, signature: &str| {
        let pairs = [("bt_payload", payload), ("bt_signature", signature)];
        let body =
            tollbell_channels::form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        request(&[("content-type", "application/x-www-form-urlencoded")], &String::from_utf8(body).unwrap())
    };
    let signature = "other_key|0000|x&integration_public_key|10bf71f9a7343c54ee69013cabea1aad72f18f73";
    for (payload, variant) in [("PG5vdGlmaWNhdGlvbi8+\n", "message 1"), ("PG5vdGlmaWNhdGlvbi8+", "message 2")] {
        let (_, proof) = genuine(channel.as_ref(), &form(payload, signature), NOW);
        assert_eq!(proof, Proof::Signature { key: "secret 1".into(), variant: variant.into() });
    }
    assert_eq!(refused(channel.as_ref(), &form("PG5vdGlmaWNhdGlvbi9+", signature), NOW).word(), "signature");
}

/// The specification's own example.
#[test]
fn the_published_example_of_the_versioned_list() {
    let text = r#"[channel.verify]
        signature = { from = "header:webhook-signature", parse = "list", list_sep = " ", version_sep = ",", want = "v1" }
        timestamp = { from = "header:webhook-timestamp", unit = "s", tolerance = "5m" }
        message = "{header:webhook-id}.{header:webhook-timestamp}.{body}"
        algorithm = "hmac-sha256"
        encoding = "base64"
        secret = { format = "base64", strip_prefix = "whsec_" }
        [channel.event]
        id = "header:webhook-id"
        type = "json:/username"
        map = { test_user = "other" }"#;
    let channel = one(text, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").channel();
    let headers = [
        ("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
        ("webhook-timestamp", "1649367553"),
        ("webhook-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
    ];
    let sent = request(&headers, r#"{"email":"test@example.com","username":"test_user"}"#);
    let (found, _) = genuine(channel.as_ref(), &sent, 1_649_367_553);
    assert_eq!(found.platform_id, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk");
    assert_eq!(refused(channel.as_ref(), &sent, 1_649_367_553 + 301).word(), "stale");
    assert_eq!(refused(channel.as_ref(), &sent, 1_649_367_553 - 301).word(), "stale");
}

/// The vector itself has a secret of five bytes, which no channel takes: a test of the crate has it.
#[test]
fn the_notify_url_before_the_body() {
    let verify = r#"signature = { from = "header:x-square-hmacsha256-signature", parse = "whole" }
        message = "{cfg:notification_url}{body}"
        algorithm = "hmac-sha256"
        encoding = "hex""#;
    let written = |url: &str| {
        let text = format!("values = {{ notification_url = \"{url}\" }}\n[channel.verify]\n{verify}\n{EVENT}");
        one(&text, "topsecret").channel()
    };
    let value = hmac_by_hand::tag("topsecret", &format!("https://example.com/hook{BODY}"));
    let sent = request(&[("x-square-hmacsha256-signature", &value)], BODY);
    genuine(written("https://example.com/hook").as_ref(), &sent, NOW);
    assert_eq!(refused(written("https://example.com/hook/").as_ref(), &sent, NOW).word(), "signature");
}

/// The signed text of a platform that signs a checksum: which text it is, by a tag over the known one.
#[test]
fn a_checksum_between_bars() {
    let text = r#"values = { webhook_id = "WH-ID" }
        [channel.verify]
        signature = { from = "header:paypal-transmission-sig", parse = "whole" }
        timestamp = { from = "header:paypal-transmission-time", unit = "rfc3339" }
        message = "{header:paypal-transmission-id}|{header:paypal-transmission-time}|{cfg:webhook_id}|{body|crc32}"
        accept_weak = "crc32"
        algorithm = "hmac-sha256"
        encoding = "hex"
        [channel.event]
        id = "header:paypal-transmission-id"
        type = "header:paypal-transmission-id"
        map = { b1-uuid = "other" }"#;
    let channel = one(text, "topsecret").channel();
    let tag = hmac_by_hand::tag("topsecret", "b1-uuid|2024-01-01T00:00:00Z|WH-ID|2910813677");
    let headers = [
        ("paypal-transmission-id", "b1-uuid"),
        ("paypal-transmission-time", "2024-01-01T00:00:00Z"),
        ("paypal-transmission-sig", tag.as_str()),
    ];
    let (found, _) = genuine(channel.as_ref(), &request(&headers, BODY), NOW);
    assert_eq!(found.platform_id, "b1-uuid");
    assert_eq!(refused(channel.as_ref(), &request(&headers, &BODY.replace("1000", "1001")), NOW).word(), "signature");
}

/// A plain digest with the secret behind the values, of a platform that is asked all the same: its status is not signed.
#[test]
fn a_digest_over_a_part_and_a_question() {
    let text = r#"api_key_file = "secret"
        [channel.verify]
        signature = { from = "json:/signature_key", parse = "whole" }
        message = "{json:/order_id}{json:/status_code}{json:/gross_amount}{secret}"
        algorithm = "sha512"
        encoding = "hex"
        [channel.fetch]
        required = true
        url = "https://api.midtrans.com/v2/{json:/order_id}/status"
        id_pattern = "^[A-Za-z0-9-]+$"
        auth = "basic-user"
        same = "answer:/order_id"
        [channel.event]
        type = "answer:/transaction_status"
        number = "answer:/transaction_id"
        amount = { value = "answer:/gross_amount", currency = "IDR", form = "decimal-string" }
        map = { settlement = "payment.succeeded" }"#;
    let channel = one(text, "SB-Mid-server-x").channel();
    let key = "d91f659f085f1dbe0b6d87524b397e221637c655ddfcd5cf9d2551a1fe4f8f87d4bb228dad81c2c3a202105eac20d41afdd9f05d6ac0c3c07014c0d7a564840a";
    let body = |amount: &str| {
        format!(
            r#"{{"order_id":"order-1","status_code":"200","gross_amount":"{amount}","transaction_status":"settlement","signature_key":"{key}"}}"#
        )
    };
    match channel.verify(&request(&[], &body("10000.00")), Timestamp::UNIX_EPOCH) {
        Verdict::Hint(hint) => assert!(!hint.is_vouched() && hint.is_by_key() && hint.number().as_str() == "order-1"),
        other => panic!("{other:?}"),
    }
    assert_eq!(refused(channel.as_ref(), &request(&[], &body("10000.01")), NOW).word(), "signature");
}

/// Amounts in every wire form, at the platform's decimals, and what cannot be read is held and not refused.
#[test]
fn amounts_are_read_as_they_are_written() {
    use hmac_by_hand::tag;
    let channel = |form: &str| {
        let text = format!(
            "[channel.verify]\nsignature = {{ from = \"header:s\", parse = \"whole\" }}\nmessage = \"{{body}}\"\n\
             algorithm = \"hmac-sha256\"\nencoding = \"hex\"\n[channel.event]\ntype = \"json:/t\"\nnumber = \"json:/n\"\n\
             amount = {{ value = \"json:/a\", currency = \"json:/c\", form = \"{form}\", exponents = {{ UGX = 2, ISK = 2, JPY = 2 }} }}\n\
             map = {{ p = \"payment.succeeded\" }}\n"
        );
        one(&text, "topsecret").channel()
    };
    let cases = [
        ("minor-int", "1000", "EUR", Some(1000)),
        ("minor-int", "1000", "eur", Some(1000)),
        ("minor-int", "500000", "UGX", Some(5000)),
        ("minor-int", "500001", "UGX", None),
        ("minor-int", "1000", "KWD", Some(1000)),
        ("minor-int", "10.00", "EUR", None),
        ("minor-int", "1e3", "EUR", None),
        ("minor-int", "\"1000\"", "EUR", None),
        ("minor-int", "-5", "EUR", None),
        ("minor-int", "99999999999999999999", "EUR", None),
        ("minor-int", "1000", "XQZ", None),
        ("minor-int", "null", "EUR", None),
        ("minor-string", "\"1000\"", "EUR", Some(1000)),
        ("minor-string", "1000", "EUR", None),
        ("decimal-string", "\"10.50\"", "EUR", Some(1050)),
        ("decimal-string", "\"10.505\"", "EUR", None),
        ("decimal-string", "\"100.00\"", "JPY", Some(100)),
        ("decimal-number", "10.5", "EUR", Some(1050)),
        ("decimal-number", "0.1", "EUR", Some(10)),
        ("decimal-number", "90071992547409.93", "EUR", Some(9_007_199_254_740_993)),
        ("decimal-number", "10", "EUR", Some(1000)),
        ("decimal-number", "\"10\"", "EUR", None),
    ];
    for (form, amount, currency, expected) in cases {
        let body = format!(r#"{{"t":"p","n":"1","a":{amount},"c":"{currency}"}}"#);
        let signed = request(&[("s", &tag("topsecret", &body))], &body);
        let (notification, _) = genuine(channel(form).as_ref(), &signed, NOW);
        let fact = &notification.facts[0];
        assert_eq!(fact.signed_money().map(|money| money.minor), expected, "{form} {amount} {currency}");
        assert_eq!(notification.concerns.is_empty(), expected.is_some(), "{form} {amount} {currency}");
        assert_eq!(fact.amount == Amount::Unreadable, expected.is_none(), "{form} {amount} {currency}");
    }
    let twice = r#"{"t":"p","n":"1","a":1,"c":"EUR","a":2}"#;
    let rejection = refused(channel("minor-int").as_ref(), &request(&[("s", &tag("topsecret", twice))], twice), NOW);
    assert_eq!(rejection.word(), "duplicate_field");
}

/// HMAC from its definition, so that these tests share nothing with the crate.
mod hmac_by_hand {
    use aws_lc_rs::digest::{SHA256, digest};

    pub(super) fn tag(secret: &str, body: &str) -> String {
        let mut block = [0_u8; 64];
        block[..secret.len()].copy_from_slice(secret.as_bytes());
        let padded = |pad: u8| block.map(|byte| byte ^ pad);
        let inner = digest(&SHA256, &[&padded(0x36)[..], body.as_bytes()].concat());
        let outer = digest(&SHA256, &[&padded(0x5c)[..], inner.as_ref()].concat());
        outer.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }
}
