//! Midtrans and Xendit: a message only says what to ask about, and the answer says what happened.

use http::HeaderMap;

use super::*;
use crate::channel::{Fetched, Hint, HttpAnswer, Likeness};

const NUMBER: &str = "57d5293c-e65f-4a29-95e4-5959c3fa335b";
const SERVER_KEY: &str = "SB-Mid-server-x";

fn asking(kind: &str, account: &str, environment: Environment) -> Box<dyn Channel> {
    let key = |text: &str| SettingValue::Key(text.as_bytes().to_vec().into());
    let settings = Settings::new(environment)
        .with("account", SettingValue::Text(account.to_owned()))
        .with("secret", key(SERVER_KEY))
        .with("api_key", key(SERVER_KEY));
    by_kind(kind).unwrap().build(&settings).unwrap()
}

fn posted(headers: &[(&'static str, &str)], body: &str) -> RawRequest {
    let mut request = signed("lemon_squeezy", body);
    request.headers.clear();
    request.headers.insert("content-type", "application/json".parse().unwrap());
    for (name, value) in headers {
        request.headers.insert(*name, value.parse().unwrap());
    }
    request
}

#[track_caller]
fn hint(channel: &dyn Channel, request: &RawRequest) -> Hint {
    match channel.verify(request, now()) {
        Verdict::Hint(hint) => hint,
        other => panic!("{other:?}"),
    }
}

/// What an answer says, in the words of the tables; `nothing` when nothing has happened yet.
#[track_caller]
fn answered(channel: &dyn Channel, hint: &Hint, body: &str) -> String {
    let back = channel.fetch_back().unwrap();
    let answer = HttpAnswer { status: 200, headers: HeaderMap::new(), body: body.to_owned().into() };
    match back.read(back.ask(hint, None, now()).question().unwrap().carried(answer), now()) {
        Ok(Fetched::Notification(proven)) => shown(&proven.into_parts().0),
        Ok(Fetched::Nothing) => "nothing".to_owned(),
        Ok(Fetched::Unknown) => "unknown".to_owned(),
        Err(refused) => format!("refused: {}", refused.word()),
    }
}

/// The sheet's own digest, over four values with the server key behind them.
const DIGEST: &str = "d91f659f085f1dbe0b6d87524b397e221637c655ddfcd5cf9d2551a1fe4f8f87d4bb228dad81c2c3a202105eac20d41afdd9f05d6ac0c3c07014c0d7a564840a";

fn midtrans(status: &str) -> String {
    format!(
        r#"{{"transaction_time":"2026-11-21 10:59:59","transaction_status":"{status}","transaction_id":"{NUMBER}","status_code":"200","signature_key":"{DIGEST}","payment_type":"gopay","order_id":"order-1","merchant_id":"G1","gross_amount":"10000.00","fraud_status":"accept","currency":"IDR"}}"#
    )
}

/// The status is not signed: whoever saw one notification can write another into it, and it says nothing here.
#[test]
fn midtrans_is_asked_whatever_the_notification_says() {
    let channel = asking("midtrans", "G1", Environment::Live);
    let request = posted(&[], &midtrans("settlement"));
    assert_eq!(channel.recognise(&request), Likeness::Merchant);
    let found = hint(&*channel, &request);
    // Its values are joined without separators: whoever has one signed text can name another order with it.
    assert_eq!((found.number().as_str(), found.is_vouched(), found.is_by_key()), ("order-1", false, true));
    assert_eq!(hint(&*channel, &posted(&[], &midtrans("pending"))), found);
    let url = |channel: &dyn Channel| {
        channel.fetch_back().unwrap().ask(&found, None, now()).question().unwrap().ask().url.clone()
    };
    assert_eq!(url(&*channel), "https://api.midtrans.com/v2/order-1/status");
    let sandbox = asking("midtrans", "G1", Environment::Sandbox);
    assert_eq!(url(&*sandbox), "https://api.sandbox.midtrans.com/v2/order-1/status");
    for (from, to) in [("order-1", "order-2"), ("10000.00", "10000.01"), ("\"200\"", "\"201\""), ("d91f", "d91e")] {
        let spoilt = midtrans("settlement").replace(from, to);
        assert!(matches!(channel.verify(&posted(&[], &spoilt), now()), Verdict::Refused(_)), "{to}");
    }
    // The transaction's own number is not signed, and nothing is asked by it.
    let other = midtrans("settlement").replace(NUMBER, "../../v2/point_inquiry");
    assert_eq!(hint(&*channel, &posted(&[], &other)), found);
}

#[test]
fn midtrans_answers_with_what_happened() {
    let channel = asking("midtrans", "G1", Environment::Live);
    let found = hint(&*channel, &posted(&[], &midtrans("settlement")));
    let answer = |status: &str, rest: &str| {
        format!(
            r#"{{"transaction_id":"{NUMBER}","order_id":"order-1","merchant_id":"G1","transaction_status":"{status}","gross_amount":"10000.00","currency":"IDR","status_code":"200"{rest}}}"#
        )
    };
    let money = format!("{NUMBER} 10000.00 IDR of order-1");
    for (status, rest, expected) in [
        ("settlement", "", format!("payment.succeeded {money}")),
        ("capture", r#","fraud_status":"accept""#, format!("payment.succeeded {money}")),
        ("capture", r#","fraud_status":"challenge""#, format!("payment.pending {money}")),
        ("capture", "", "other of order-1; held: unknown_value".to_owned()),
        ("pending", "", format!("payment.pending {money}")),
        ("deny", "", format!("payment.failed {money}")),
        ("failure", "", format!("payment.failed {money}")),
        ("cancel", "", format!("payment.closed {money}")),
        ("expire", "", format!("payment.closed {money}")),
        (
            "partial_refund",
            r#","refund_amount":"2500.00""#,
            format!(
                "refund.succeeded {NUMBER}:total:250000 total 2500.00 IDR of order-1 for {NUMBER}; payment.succeeded {money}"
            ),
        ),
        ("chargeback", "", format!("dispute.opened {NUMBER}:chargeback of order-1 for {NUMBER}")),
        ("unheard_of", "", "other of order-1; held: unknown_value".to_owned()),
    ] {
        assert_eq!(answered(&*channel, &found, &answer(status, rest)), expected, "{status}{rest}");
    }
    let other = answer("settlement", "").replace("order-1", "order-2");
    assert_eq!(answered(&*channel, &found, &other), "refused: other_number");
    let foreign = answer("settlement", "").replace("G1", "G2");
    assert_eq!(answered(&*channel, &found, &foreign), format!("payment.succeeded {money}; held: foreign_payee"));
    let unsaid = answered(&*channel, &found, &answer("refund", ""));
    assert!(unsaid.contains("held: unreadable_amount"), "{unsaid}");
}

#[test]
fn xendit_is_asked_about_the_invoice() {
    const INVOICE: &str = "579c8d61f23fa4ca35e52da4";
    let channel = asking("xendit", "business-1", Environment::Live);
    let body = format!(r#"{{"id":"{INVOICE}","external_id":"T1","status":"PAID","amount":1,"paid_amount":1}}"#);
    let request = posted(&[("x-callback-token", SERVER_KEY)], &body);
    assert_eq!(channel.recognise(&request), Likeness::Merchant);
    let found = hint(&*channel, &request);
    assert_eq!((found.number().as_str(), found.is_vouched()), (INVOICE, true));
    let question = channel.fetch_back().unwrap().ask(&found, None, now()).question().unwrap();
    assert_eq!(question.ask().url, format!("https://api.xendit.co/v2/invoices/{INVOICE}"));
    let other = posted(&[("x-callback-token", "another token")], &body);
    assert!(matches!(channel.verify(&other, now()), Verdict::Refused(_)));
    assert!(channel.recognise(&other) < Likeness::Merchant);
    assert!(matches!(channel.verify(&posted(&[], &body), now()), Verdict::Refused(_)));
    // The newer callbacks name their object elsewhere.
    let newer = format!(r#"{{"event":"payment.succeeded","business_id":"b","data":{{"id":"{INVOICE}"}}}}"#);
    let newer = posted(&[("x-callback-token", SERVER_KEY)], &newer);
    assert!(matches!(channel.verify(&newer, now()), Verdict::Refused(_)));
    let answer = |status: &str| {
        format!(r#"{{"id":"{INVOICE}","external_id":"T1","status":"{status}","amount":50000,"currency":"IDR"}}"#)
    };
    let money = format!("{INVOICE} 50000.00 IDR of T1");
    for (status, expected) in [
        ("PAID", format!("payment.succeeded {money}")),
        ("SETTLED", format!("payment.finalized {money} for {INVOICE}; payment.succeeded {money}")),
        ("EXPIRED", format!("payment.closed {money}")),
        ("PENDING", "nothing".to_owned()),
        ("UNHEARD_OF", "other of T1; held: unknown_value".to_owned()),
    ] {
        assert_eq!(answered(&*channel, &found, &answer(status)), expected, "{status}");
    }
}
