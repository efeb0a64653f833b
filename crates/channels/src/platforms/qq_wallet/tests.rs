//! Payments and payouts, and the traps of their readers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Money};
use crate::platforms::tenpay::simulate::{Draft, sign};
use crate::settings::SettingValue;
use crate::simulate::Story;
use crate::xml::encode;

const KEY: &[u8] = b"192006250b4c09247ec02edce69f6a2d";
const MCH_ID: &str = "1900000001";
const APPID: &str = "100619284";

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("mch_id", SettingValue::Text(MCH_ID.into()))
        .with("appid", SettingValue::Texts(vec![APPID.into()]))
        .with("api_key", SettingValue::Key(KEY.to_vec().into()))
}

fn draft(fields: &[(&'static str, &str)]) -> Draft {
    fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn payment() -> Draft {
    draft(&[
        ("appid", APPID),
        ("attach", "附加数据"),
        ("bank_type", "BALANCE"),
        ("cash_fee", "100"),
        ("device_info", ""),
        ("fee_type", "CNY"),
        ("mch_id", MCH_ID),
        ("nonce_str", "ed5d2b6c2a8db538"),
        ("openid", "4941C8D63D53F59DA7C2F95B2C2E8C2E"),
        ("out_trade_no", "20160512161914_BBC"),
        ("time_end", "20160512161929"),
        ("total_fee", "100"),
        ("trade_state", "SUCCESS"),
        ("trade_type", "NATIVE"),
        ("transaction_id", "1900000109471605120000000001"),
    ])
}

fn payout() -> Draft {
    draft(&[
        ("attach", ""),
        ("openid", "4941C8D63D53F59DA7C2F95B2C2E8C2E"),
        ("out_trade_no", "P1"),
        ("refund_reason", "账户异常"),
        ("sign_type", "MD5"),
        ("state", "REFUND"),
        ("time_end", "20160512161929"),
        ("total_fee", "100"),
        ("transaction_id", "1900000109471605120000000002"),
        ("uin", "10001"),
    ])
}

fn set(mut draft: Draft, changes: &[(&'static str, &str)]) -> Draft {
    for (name, value) in changes {
        draft.retain(|(known, _)| known != name);
        draft.push((name, (*value).to_owned()));
    }
    draft
}

fn written(draft: &Draft) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/xml"));
    RawRequest {
        method: Method::POST,
        path: "/notify/qq".into(),
        query: None,
        headers,
        body: Bytes::from(encode("xml", draft.iter().map(|(name, value)| (*name, value.as_str())))),
        source: None,
        received_at: at(),
    }
}

fn signed_as(mut draft: Draft, sign_type: SignType) -> RawRequest {
    sign(&mut draft, KEY, sign_type);
    written(&draft)
}

fn signed(draft: Draft) -> RawRequest {
    signed_as(draft, SignType::Md5)
}

fn verify(settings: &Settings, request: &RawRequest) -> Verdict {
    build(settings).unwrap_or_else(|error| panic!("{error}")).verify(request, at())
}

fn accepted_by(settings: &Settings, request: &RawRequest) -> Notification {
    match verify(settings, request) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

fn accepted(request: &RawRequest) -> Notification {
    accepted_by(&settings(), request)
}

fn refused(request: &RawRequest) -> Rejection {
    match verify(&settings(), request) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn only_fact(notification: &Notification) -> &Fact {
    let [fact] = notification.facts.as_slice() else { panic!("{:?}", notification.facts) };
    fact
}

fn words(notification: &Notification) -> Vec<&'static str> {
    notification.concerns.iter().map(Concern::word).collect()
}

#[test]
fn a_payment_is_read() {
    let notification = accepted(&signed(payment()));
    assert_eq!(words(&notification), [""; 0]);
    let fact = only_fact(&notification);
    assert_eq!(fact.kind, EventKind::PaymentSucceeded);
    assert_eq!(fact.identity.as_str(), "1900000109471605120000000001");
    assert_eq!(fact.amount, Amount::Stated(Money { minor: 100, currency: Currency::CNY }));
    assert_eq!(fact.order_no.as_deref(), Some("20160512161914_BBC"));
    assert_eq!((fact.payee.as_deref(), fact.scope.account.as_str()), (Some(MCH_ID), MCH_ID));
    assert_eq!(fact.scope.family, "qq_wallet");
    assert_eq!(fact.occurred_at, Some("2016-05-12T08:19:29Z".parse().unwrap()));
    let again = set(payment(), &[("nonce_str", "another"), ("sub_appid", "")]);
    assert_eq!(accepted(&signed(again)).key(), notification.key());
    for (name, value) in
        [("total_fee", "101"), ("transaction_id", "1900000109471605120000000009"), ("out_trade_no", "2")]
    {
        assert_ne!(accepted(&signed(set(payment(), &[(name, value)]))).key(), notification.key(), "{name}");
    }
}

#[test]
fn a_payout_is_kept_and_not_guessed_at() {
    let notification = accepted(&signed(payout()));
    assert_eq!((only_fact(&notification).kind, words(&notification)), (EventKind::Other, vec![]));
    assert_eq!(notification.platform_kind, "payout");
    assert_eq!(notification.scope.account, MCH_ID);
    assert_ne!(notification.key(), accepted(&signed(set(payout(), &[("state", "SUCCESS")]))).key());
    for name in ["state", "out_trade_no", "transaction_id"] {
        assert_eq!(refused(&signed(set(payout(), &[(name, "")]))).word(), "missing", "{name}");
    }
    assert_eq!(refused(&signed(set(payout(), &[("mch_id", "1900000002")]))).word(), "unknown_merchant");
}

#[test]
fn only_md5_in_its_own_form_is_taken() {
    assert_eq!(refused(&signed_as(payment(), SignType::HmacSha256)).word(), "algorithm");
    assert_eq!(refused(&signed(set(payout(), &[("sign_type", "HMAC-SHA256")]))).word(), "algorithm");
    assert_eq!(refused(&signed(set(payout(), &[("sign_type", "md5")]))).word(), "algorithm");
    let mut lower = payment();
    sign(&mut lower, KEY, SignType::Md5);
    if let Some((_, value)) = lower.last_mut() {
        *value = value.to_lowercase();
    }
    assert_eq!(refused(&written(&lower)).word(), "malformed");
    let mut foreign = payment();
    sign(&mut foreign, b"another key of thirty-two letters", SignType::Md5);
    assert_eq!(refused(&written(&foreign)), Rejection::Signature);
    assert_eq!(refused(&written(&payment())).word(), "missing");
}

#[test]
fn states_ids_and_numbers_are_held_when_they_are_odd() {
    let foreign = |payee: &str| Concern::ForeignPayee { payee: payee.into() };
    let missing = |field: &str| Concern::MissingField { field: field.into() };
    let unknown = Concern::UnknownValue { field: "trade_state".into(), value: "NOTPAY".into() };
    for (name, value, kind, concern) in [
        ("trade_state", "NOTPAY", EventKind::Other, unknown),
        ("appid", "100000002", EventKind::PaymentSucceeded, foreign("100000002")),
        ("sub_mch_id", "1900000109", EventKind::PaymentSucceeded, foreign("1900000109")),
        ("appid", "", EventKind::PaymentSucceeded, missing("appid")),
        ("mch_id", "", EventKind::PaymentSucceeded, missing("mch_id")),
        ("transaction_id", "", EventKind::Other, missing("transaction_id")),
        ("out_trade_no", "", EventKind::PaymentSucceeded, missing("out_trade_no")),
    ] {
        let notification = accepted(&signed(set(payment(), &[(name, value)])));
        assert_eq!((only_fact(&notification).kind, &notification.concerns[..]), (kind, &[concern][..]), "{name}");
    }
    for text in ["1.00", "-1", "1e2", " 1", "\u{ff11}"] {
        let notification = accepted(&signed(set(payment(), &[("total_fee", text)])));
        assert_eq!(only_fact(&notification).amount, Amount::Unreadable, "{text}");
    }
    let provider = settings().with("sub_mch_id", SettingValue::Texts(vec!["1900000109".into()]));
    let notification = accepted_by(&provider, &signed(set(payment(), &[("sub_mch_id", "1900000109")])));
    assert_eq!((words(&notification), notification.scope.account.as_str()), (vec![], "1900000001:1900000109"));
    assert_eq!(refused(&signed(set(payment(), &[("mch_id", "1900000002")]))).word(), "unknown_merchant");
}

#[test]
fn a_message_without_its_time_is_held() {
    for (draft, kind) in [(payment(), EventKind::PaymentSucceeded), (payout(), EventKind::Other)] {
        for (time, concern) in [
            ("", Concern::MissingField { field: "time_end".into() }),
            ("2016", Concern::UnknownValue { field: "time_end".into(), value: "2016".into() }),
            ("20161301000000", Concern::UnknownValue { field: "time_end".into(), value: "20161301000000".into() }),
        ] {
            let notification = accepted(&signed(set(draft.clone(), &[("time_end", time)])));
            assert_eq!((only_fact(&notification).kind, notification.sent_at), (kind, None), "{time}");
            assert_eq!(notification.concerns, [concern]);
        }
    }
}

#[test]
fn an_answer_of_the_interface_is_no_notice() {
    let answer = signed(set(payment(), &[("return_code", "SUCCESS")]));
    assert_eq!(refused(&answer), Rejection::Malformed { field: "return_code".into() });
    assert_eq!(build(&settings()).unwrap().recognise(&answer), Likeness::No);
}

#[test]
fn swallowed_fields_are_seen() {
    let mut genuine = payment();
    sign(&mut genuine, KEY, SignType::Md5);
    let mut cut = set(genuine.clone(), &[("cash_fee", "100&fee_type=CNY")]);
    cut.retain(|(name, _)| *name != "fee_type");
    assert_eq!(words(&accepted(&written(&cut))), ["ambiguous"]);
    let payout_like = set(genuine, &[("total_fee", "100&trade_state=SUCCESS"), ("trade_state", "")]);
    assert_eq!(refused(&written(&payout_like)).word(), "missing");
    let wish = accepted(&signed(set(payment(), &[("attach", "x&total_fee=1")])));
    assert_eq!(words(&wish), ["ambiguous"]);
    assert_eq!(words(&accepted(&signed(set(payment(), &[("attach", "a&b=c&d")])))), [""; 0]);
}

#[test]
fn recognition_and_replies() {
    let channel = build(&settings()).unwrap();
    assert_eq!(channel.recognise(&signed(payment())), Likeness::Merchant);
    assert_eq!(channel.recognise(&signed(payout())), Likeness::Merchant);
    assert_eq!(channel.recognise(&signed(set(payment(), &[("mch_id", "1900000002")]))), Likeness::Shape);
    assert_eq!(channel.recognise(&signed(set(payment(), &[("appid", "100000002")]))), Likeness::Shape);
    assert_eq!(channel.recognise(&written(&payment())), Likeness::No);
    let reply = channel.answer(Answer::Success, Some(&signed(payment())));
    assert_eq!((reply.status, reply.content_type), (200, Some("text/xml")));
    assert_eq!(reply.body, "<xml><return_code>SUCCESS</return_code></xml>");
    assert_eq!(channel.is_ack(&AppReply { status: 200, body: &reply.body }, None), AckMatch::Exact);
    assert_eq!(channel.is_ack(&AppReply { status: 200, body: b"success" }, None), AckMatch::No);
    let fail = channel.answer(Answer::Failure(Failure::Refused), None);
    assert_eq!((fail.status, channel.is_ack(&AppReply { status: 200, body: &fail.body }, None)), (400, AckMatch::No));
}

#[test]
fn settings_fail_closed() {
    for (name, value, word) in [
        ("mch_id", SettingValue::Text("x".into()), "malformed_id"),
        ("appid", SettingValue::Texts(vec![]), "empty_list"),
        ("appid", SettingValue::Texts(vec!["1 2".into()]), "malformed_id"),
        ("sub_mch_id", SettingValue::Texts(vec!["*".into()]), "malformed_id"),
        ("api_key", SettingValue::Key(b"fifteenletters1".to_vec().into()), "too_short"),
        ("api_key", SettingValue::Key(vec![b'a'; 65].into()), "out_of_range"),
    ] {
        let error = build(&settings().with(name, value)).map(drop).unwrap_err();
        assert_eq!((error.setting, error.word), (name, word));
    }
}

#[test]
fn a_configured_channel_can_be_told_stories() {
    let provider = settings().with("sub_mch_id", SettingValue::Texts(vec!["1900000109".into()]));
    for settings in [settings(), provider] {
        let mirror = PLATFORM.mirror.unwrap()(&settings).unwrap();
        for kind in mirror.stories() {
            let story = Story { kind, ..Story::paid("T1", 100, at()) };
            let notification = accepted_by(&settings, &mirror.callback(&story));
            assert_eq!((only_fact(&notification).kind, words(&notification)), (kind, vec![]));
        }
    }
}
