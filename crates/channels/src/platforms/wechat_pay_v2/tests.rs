//! The second generation: every message that its documents name, every trap of their readers, and the meeting of the
//! two generations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::cipher::seal_aes_ecb;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Money, Proof};
use crate::platforms::tenpay::SignType;
use crate::platforms::tenpay::simulate::{Draft, sign};
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};
use crate::simulate::Story;
use crate::xml::encode;

mod refunds;

const KEY: &[u8] = b"192006250b4c09247ec02edce69f6a2d";
const MCH_ID: &str = "1900000001";
const APPID: &str = "wx2421b1c4370ec43b";

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    let texts = |texts: &[&str]| SettingValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
    Settings::new(Environment::Live)
        .with("mch_id", SettingValue::Text(MCH_ID.into()))
        .with("appid", texts(&[APPID]))
        .with("api_key", SettingValue::Key(KEY.to_vec().into()))
}

fn with_texts(settings: Settings, name: &'static str, texts: &[&str]) -> Settings {
    settings.with(name, SettingValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect()))
}

fn channel(settings: &Settings) -> Box<dyn Channel> {
    build(settings).unwrap_or_else(|error| panic!("{error}"))
}

fn request(body: impl Into<Vec<u8>>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/xml"));
    RawRequest {
        method: Method::POST,
        path: "/notify/wechat".into(),
        query: None,
        headers,
        body: Bytes::from(body.into()),
        source: None,
        received_at: at(),
    }
}

/// A payment as the documents show it.
fn payment() -> Draft {
    [
        ("appid", APPID),
        ("attach", "支付测试"),
        ("bank_type", "CFT"),
        ("cash_fee", "1"),
        ("fee_type", "CNY"),
        ("is_subscribe", "N"),
        ("mch_id", MCH_ID),
        ("nonce_str", "5d2b6c2a8db53831f7eda20af46e531c"),
        ("openid", "oUpF8uMEb4qRXf22hE3X68TekukE"),
        ("out_trade_no", "1409811653"),
        ("result_code", "SUCCESS"),
        ("return_code", "SUCCESS"),
        ("time_end", "20140903131540"),
        ("total_fee", "1"),
        ("trade_type", "JSAPI"),
        ("transaction_id", "1004400740201409030005092168"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn set(mut draft: Draft, changes: &[(&'static str, &str)]) -> Draft {
    for (name, value) in changes {
        draft.retain(|(known, _)| known != name);
        draft.push((name, (*value).to_owned()));
    }
    draft
}

fn without(mut draft: Draft, name: &str) -> Draft {
    draft.retain(|(known, _)| *known != name);
    draft
}

fn written(draft: &Draft) -> RawRequest {
    request(encode("xml", draft.iter().map(|(name, value)| (*name, value.as_str()))))
}

fn signed_as(mut draft: Draft, sign_type: SignType) -> RawRequest {
    sign(&mut draft, KEY, sign_type);
    written(&draft)
}

fn signed(draft: Draft) -> RawRequest {
    signed_as(draft, SignType::Md5)
}

fn accepted_by(channel: &dyn Channel, request: &RawRequest) -> Notification {
    match channel.verify(request, at()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

fn accepted(request: &RawRequest) -> Notification {
    accepted_by(&*channel(&settings()), request)
}

fn only_fact(notification: &Notification) -> &Fact {
    let [fact] = notification.facts.as_slice() else { panic!("{:?}", notification.facts) };
    fact
}

fn refused_by(channel: &dyn Channel, request: &RawRequest) -> Rejection {
    match channel.verify(request, at()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn refused(request: &RawRequest) -> Rejection {
    refused_by(&*channel(&settings()), request)
}

fn words(notification: &Notification) -> Vec<&'static str> {
    notification.concerns.iter().map(Concern::word).collect()
}

fn fen(minor: i64) -> Amount {
    Amount::Stated(Money { minor, currency: crate::model::Currency::CNY })
}

#[test]
fn a_payment_is_read() {
    let notification = accepted(&signed(payment()));
    assert_eq!(words(&notification), [""; 0]);
    assert_eq!(notification.scope, Scope::of(MCH_ID));
    assert_eq!(notification.sent_at, Some("2014-09-03T05:15:40Z".parse().unwrap()));
    let fact = only_fact(&notification);
    assert_eq!(fact.kind, EventKind::PaymentSucceeded);
    assert_eq!(fact.identity.as_str(), "1004400740201409030005092168");
    assert_eq!(fact.amount, fen(1));
    assert_eq!(fact.order_no.as_deref(), Some("1409811653"));
    assert_eq!(fact.platform_no.as_deref(), Some("1004400740201409030005092168"));
    assert_eq!(fact.payee.as_deref(), Some(MCH_ID));
    assert_eq!(fact.occurred_at, notification.sent_at);
    assert!(notification.platform_id.starts_with("1004400740201409030005092168-"));
}

/// Only to write scopes shortly.
struct Scope;

impl Scope {
    fn of(account: &str) -> crate::model::Scope {
        crate::model::Scope { environment: Environment::Live, family: "wechat_pay", account: account.into() }
    }
}

#[test]
fn both_generations_tell_one_fact() {
    let old = (PLATFORM.simulate)();
    let new = (wechat_pay::PLATFORM.simulate)();
    let [old_channel, new_channel] =
        [(PLATFORM.build)(&old.settings()).unwrap(), (wechat_pay::PLATFORM.build)(&new.settings()).unwrap()];
    for kind in
        [EventKind::PaymentSucceeded, EventKind::RefundSucceeded, EventKind::RefundFailed, EventKind::RefundAbnormal]
    {
        let mut story = Story { kind, ..Story::paid("T20261121-0001", 12_345, at()) };
        story.refunded_minor = 2_300;
        story.refund_no = Some("R20261121-0001".into());
        let told = [
            accepted_by(&*old_channel, &old.callback(&story).request),
            accepted_by(&*new_channel, &new.callback(&story).request),
        ];
        let [one, other] = told.each_ref().map(only_fact);
        assert_eq!(one.kind, kind);
        assert_eq!((&one.scope, &one.amount, one.kind), (&other.scope, &other.amount, other.kind), "{kind}");
        assert_eq!((&one.order_no, &one.platform_no), (&other.order_no, &other.platform_no), "{kind}");
        assert_eq!((&one.payment, &one.payee), (&other.payment, &other.payee), "{kind}");
        assert_eq!(one.occurred_at, other.occurred_at, "{kind}");
        let names = |fact: &Fact| fact.identities().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(one), names(other), "{kind}: every name, not only a common one");
    }
}

#[test]
fn both_generations_name_a_sub_merchants_account_alike() {
    let provider = channel(&with_texts(settings(), "sub_mch_id", &["1900000109"]));
    let notification = accepted_by(&*provider, &signed(set(payment(), &[("sub_mch_id", "1900000109")])));
    assert_eq!(words(&notification), [""; 0]);
    assert_eq!(only_fact(&notification).scope, Scope::of("1900000001:1900000109"));
    assert_eq!(only_fact(&notification).payee.as_deref(), Some("1900000109"));
}

#[test]
fn hmac_counts_beside_md5_and_only_where_it_fits() {
    for draft in [payment(), set(payment(), &[("sign_type", "HMAC-SHA256")])] {
        let Verdict::Genuine(proven) = channel(&settings()).verify(&signed_as(draft, SignType::HmacSha256), at())
        else {
            panic!("refused")
        };
        assert_eq!(proven.proof(), &Proof::Signature { key: "api_key".into(), variant: "hmac-sha256".into() });
    }
    let stated = set(payment(), &[("sign_type", "MD5")]);
    assert!(accepted(&signed(stated.clone())).concerns.is_empty());
    assert_eq!(refused(&signed_as(stated, SignType::HmacSha256)).word(), "algorithm");
    assert_eq!(refused(&signed(set(payment(), &[("sign_type", "HMAC-SHA256")]))).word(), "algorithm");
    for (allowed, other) in [("MD5", SignType::HmacSha256), ("HMAC-SHA256", SignType::Md5)] {
        let strict = channel(&with_texts(settings(), "sign_types", &[allowed]));
        assert_eq!(refused_by(&*strict, &signed_as(payment(), other)).word(), "algorithm");
    }
}

#[test]
fn a_result_is_only_what_every_field_says() {
    use EventKind::{Other, PaymentFailed, PaymentSucceeded};
    for (result, state, kind, concerns) in [
        ("SUCCESS", "", PaymentSucceeded, &[][..]),
        ("SUCCESS", "SUCCESS", PaymentSucceeded, &[]),
        ("FAIL", "", PaymentFailed, &[]),
        ("FAIL", "PAYERROR", PaymentFailed, &[]),
        // A deduction that was accepted and failed, and answers of the interface to a query, signed by the same key.
        ("SUCCESS", "PAY_FAIL", PaymentFailed, &[]),
        ("SUCCESS", "REFUND", PaymentSucceeded, &["contradiction"]),
        ("SUCCESS", "NOTPAY", Other, &["contradiction"]),
        ("SUCCESS", "CLOSED", Other, &["contradiction"]),
        ("SUCCESS", "USERPAYING", Other, &["contradiction"]),
        ("FAIL", "SUCCESS", Other, &["contradiction"]),
        ("SUCCESS", "success", Other, &["unknown_value"]),
        ("success", "", Other, &["unknown_value"]),
        ("PENDING", "SUCCESS", Other, &["unknown_value"]),
        ("", "SUCCESS", Other, &["missing_field"]),
    ] {
        let draft = set(payment(), &[("result_code", result), ("trade_state", state)]);
        let notification = accepted(&signed(draft));
        assert_eq!(only_fact(&notification).kind, kind, "{result} {state}");
        assert_eq!(words(&notification), concerns, "{result} {state}");
    }
}

#[test]
fn an_answer_of_the_interface_is_no_payment_notice() {
    // What the refund interface answers: paid it was, and a notice it is not.
    let answer = set(payment(), &[("refund_id", "50000408942018111907145868882"), ("refund_fee", "1")]);
    let notification = accepted(&signed(answer));
    assert_eq!((only_fact(&notification).kind, words(&notification)), (EventKind::Other, vec!["contradiction"]));
    // What a browser sees when the cashier is called up.
    let call_up: Draft = [
        ("appId", APPID),
        ("nonceStr", "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"),
        ("package", "prepay_id=wx201410272009395522657a690389285100"),
        ("signType", "MD5"),
        ("timeStamp", "1414411784"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec();
    assert_eq!(refused(&signed(call_up)), Rejection::Missing { field: "return_code".into() });
    // What the merchant itself signs when it asks for a refund.
    let asked = without(without(payment(), "return_code"), "result_code");
    assert_eq!(refused(&signed(asked)), Rejection::Missing { field: "return_code".into() });
}

#[test]
fn amounts_are_digits_of_fen() {
    for (text, minor) in [("1", 1), ("0", 0), ("101", 101), ("10000000000", 10_000_000_000)] {
        let notification = accepted(&signed(set(payment(), &[("total_fee", text)])));
        assert_eq!((only_fact(&notification).amount.clone(), words(&notification)), (fen(minor), vec![]), "{text}");
    }
    for text in ["1.00", "-1", "+1", "1e2", " 1", "1 ", "\u{ff11}", "0x1", "99999999999999999999", "1,000"] {
        let notification = accepted(&signed(set(payment(), &[("total_fee", text)])));
        assert_eq!(only_fact(&notification).amount, Amount::Unreadable, "{text}");
        assert_eq!(words(&notification), ["unreadable_amount"], "{text}");
    }
    let notification = accepted(&signed(without(payment(), "total_fee")));
    assert_eq!(words(&notification), ["missing_field"]);
    let notification = accepted(&signed(set(payment(), &[("fee_type", "USD")])));
    assert_eq!(only_fact(&notification).signed_money().unwrap().currency.code(), "USD");
    let notification = accepted(&signed(set(payment(), &[("fee_type", "XQZ")])));
    assert_eq!(words(&notification), ["unreadable_amount"]);
    let notification = accepted(&signed(without(payment(), "fee_type")));
    assert_eq!(only_fact(&notification).amount, fen(1));
}

#[test]
fn ids_decide_the_key_or_are_held() {
    for (name, value, word) in
        [("mch_id", "1900000002", "unknown_merchant"), ("combine_mch_id", "1", "unknown_merchant")]
    {
        assert_eq!(refused(&signed(set(payment(), &[(name, value)]))).word(), word, "{name}");
    }
    for (name, value) in [("appid", "wx0000000000000009"), ("sub_mch_id", "1900000109"), ("app_id", "wx9")] {
        let notification = accepted(&signed(set(payment(), &[(name, value)])));
        assert_eq!(notification.concerns, [Concern::ForeignPayee { payee: value.into() }], "{name}");
        assert_eq!(only_fact(&notification).kind, EventKind::PaymentSucceeded);
    }
    let notification = accepted(&signed(without(payment(), "mch_id")));
    assert_eq!(notification.concerns, [Concern::MissingField { field: "mch_id".into() }]);
    let any = channel(&with_texts(settings(), "sub_mch_id", &["*"]));
    for (sub, is_held) in [("1900000109", false), ("7", false), ("19x", true)] {
        let notification = accepted_by(&*any, &signed(set(payment(), &[("sub_mch_id", sub)])));
        assert_eq!(!notification.concerns.is_empty(), is_held, "{sub}");
    }
    let apps = channel(&with_texts(with_texts(settings(), "sub_mch_id", &["*"]), "sub_appid", &["wx1", "wx2"]));
    for (app, is_held) in [("wx1", false), ("wx2", false), ("wx3", true)] {
        let draft = set(payment(), &[("sub_mch_id", "1900000109"), ("sub_appid", app)]);
        assert_eq!(!accepted_by(&*apps, &signed(draft)).concerns.is_empty(), is_held, "{app}");
    }
}

#[test]
fn numbers_that_are_missing_or_no_numbers_are_held() {
    for (name, kind) in [("transaction_id", EventKind::Other), ("out_trade_no", EventKind::PaymentSucceeded)] {
        let notification = accepted(&signed(without(payment(), name)));
        assert_eq!(only_fact(&notification).kind, kind, "{name}");
        assert_eq!(notification.concerns, [Concern::MissingField { field: name.into() }]);
    }
    let long = "7".repeat(300);
    let notification = accepted(&signed(set(payment(), &[("transaction_id", &long)])));
    assert_eq!(only_fact(&notification).kind, EventKind::Other);
    assert!(words(&notification).contains(&"unknown_value"));
    // A number is text: nothing becomes of its zeros and letters.
    let notification = accepted(&signed(set(payment(), &[("out_trade_no", "0001e5"), ("openid", "1e5")])));
    assert_eq!(only_fact(&notification).order_no.as_deref(), Some("0001e5"));
}

#[test]
fn a_contract_is_signed_and_ended() {
    let contract = |change: &str| {
        let draft = without(without(without(payment(), "transaction_id"), "total_fee"), "out_trade_no");
        set(
            draft,
            &[
                ("change_type", change),
                ("contract_code", "100005698"),
                ("contract_id", "201509160000028648"),
                ("operate_time", "2015-09-16 15:48:04"),
                ("plan_id", "123"),
                ("request_serial", "1695"),
            ],
        )
    };
    let [signed_one, ended] = ["ADD", "DELETE"].map(|change| accepted(&signed(contract(change))));
    for (notification, kind) in [(&signed_one, EventKind::AgreementSigned), (&ended, EventKind::AgreementCancelled)] {
        let fact = only_fact(notification);
        assert_eq!((fact.kind, words(notification)), (kind, vec![]));
        assert_eq!(fact.identity.as_str(), "contract_id:201509160000028648");
        assert_eq!(fact.amount, Amount::None);
        assert_eq!(fact.order_no.as_deref(), Some("100005698"));
        assert_eq!(notification.sent_at, Some("2015-09-16T07:48:04Z".parse().unwrap()));
    }
    assert_ne!(signed_one.key(), ended.key());
    for (changes, word) in [
        (&[("change_type", "PAUSE")][..], "unknown_value"),
        (&[("contract_id", "")], "missing_field"),
        (&[("result_code", "FAIL")], "contradiction"),
        (&[("total_fee", "1")], "contradiction"),
    ] {
        let notification = accepted(&signed(set(contract("ADD"), changes)));
        assert_eq!(
            (only_fact(&notification).kind, words(&notification)),
            (EventKind::Other, vec![word]),
            "{changes:?}"
        );
    }
}

#[test]
fn a_combined_order_is_its_payments() {
    let list = r#"{"order_num":2,"order_list":[
        {"appid":"wx2421b1c4370ec43b","mch_id":"1900000001","openid":"o","total_fee":10,"cash_fee":10,
         "transaction_id":"4200000215201811190261405420","out_trade_no":"A&total_fee","attach":"","time_end":"20181119162413"},
        {"mch_id":"1900000109","sub_mch_id":"1900000108","total_fee":"20","transaction_id":"4200000215201811190261405421",
         "out_trade_no":"B","time_end":"20181119162413"}]}"#;
    let combined = |list: &str| {
        let draft = ["transaction_id", "total_fee", "out_trade_no", "mch_id", "appid"]
            .iter()
            .fold(payment(), |draft, name| without(draft, name));
        set(
            draft,
            &[
                ("combine_mch_id", MCH_ID),
                ("combine_appid", APPID),
                ("combine_out_trade_no", "1217752501201407033233368018"),
                ("sub_order_list", list),
            ],
        )
    };
    let provider = channel(&with_texts(settings(), "sub_mch_id", &["1900000109", "1900000108"]));
    let notification = accepted_by(&*provider, &signed_as(combined(list), SignType::HmacSha256));
    assert_eq!(words(&notification), [""; 0]);
    let told: Vec<_> = notification
        .facts
        .iter()
        .map(|fact| (fact.kind, fact.scope.account.as_str(), fact.identity.as_str(), fact.amount.clone()))
        .collect();
    let paid = EventKind::PaymentSucceeded;
    assert_eq!(
        told,
        [
            (paid, "1900000001", "4200000215201811190261405420", fen(10)),
            (paid, "1900000109:1900000108", "4200000215201811190261405421", fen(20)),
        ]
    );
    // As old as its oldest order.
    let older = list.replacen("20181119162413", "20101119162413", 1);
    let notification = accepted_by(&*provider, &signed_as(combined(&older), SignType::HmacSha256));
    assert_eq!(notification.sent_at, Some("2010-11-19T08:24:13Z".parse().unwrap()));
    // Orders of a merchant that is not ours.
    assert_eq!(words(&accepted(&signed(combined(list)))), ["foreign_payee", "foreign_payee"]);
    for (list, word) in [
        ("", "missing_field"),
        ("[]", "unreadable_text"),
        ("{}", "unreadable_text"),
        (r#"{"order_num":0,"order_list":[]}"#, "unreadable_text"),
        (r#"{"order_num":1,"order_list":[1]}"#, "unreadable_text"),
        (&list.replace("\"order_num\":2,", "\"order_num\":2,\"order_num\":2,"), "unreadable_text"),
        (&list[..list.len() - 1], "unreadable_text"),
        (&list.replace("\"order_num\":2", "\"order_num\":3"), "contradiction"),
        (&list.replace("\"total_fee\":10", "\"total_fee\":1.0"), "unreadable_amount"),
        (&list.replace("\"total_fee\":10,", ""), "missing_field"),
        (&list.replace("4200000215201811190261405420", ""), "missing_field"),
        (&list.replacen("\"time_end\":\"20181119162413\"", "\"time_end\":\"soon\"", 1), "unknown_value"),
        (&list.replacen(",\"time_end\":\"20181119162413\"", "", 1), "missing_field"),
        (&list.replace("A&total_fee", "A&total_fee=1"), "ambiguous"),
    ] {
        let notification = accepted_by(&*provider, &signed(combined(list)));
        assert_eq!(words(&notification), [word], "{list}");
    }
    let many = format!(r#"{{"order_num":65,"order_list":[{}]}}"#, vec!["{}"; 65].join(","));
    assert_eq!(words(&accepted(&signed(combined(&many)))), ["unreadable_text"]);
}

#[test]
fn notices_without_money_are_kept_and_answered_in_their_own_words() {
    let ids = [("mch_id", MCH_ID), ("appid", APPID), ("nonce_str", "x")];
    let draft = |more: &[(&'static str, &str)]| set(ids.map(|(name, value)| (name, value.to_owned())).to_vec(), more);
    let vehicle = draft(&[
        ("plate_number", "粤A00000"),
        ("vehicle_event_type", "BLOCKED"),
        ("vehicle_event_des", "OVERDUE"),
        ("vehicle_event_createtime", "20180101100000"),
    ]);
    let event = draft(&[
        ("event_id", "EV-2018022511223320873"),
        ("event_create_time", "20180225112233"),
        ("event_type", "TRANSACTION.SUCCESS"),
        ("event_algorithm", "AEAD_AES_256_GCM"),
        ("event_ciphertext", "bm8gb25lIG9wZW5zIHRoaXM="),
        ("algorithm", "HMAC-SHA256"),
    ]);
    let channel = channel(&settings());
    // What is sealed may be a payment, and this channel has not the key: a person looks.
    let sealed = "event_type TRANSACTION.SUCCESS";
    for (draft, kind, ack, time, concerns) in [
        (vehicle, "vehicle_event_type BLOCKED", SUCCESS, "2018-01-01T02:00:00Z", vec![]),
        (event.clone(), sealed, SUCCESS_OF_EVENT, "2018-02-25T03:22:33Z", vec!["unreadable_text"]),
    ] {
        let request = signed_as(draft, SignType::HmacSha256);
        let notification = accepted(&request);
        assert_eq!(only_fact(&notification).kind, EventKind::Other);
        assert_eq!((notification.platform_kind.as_str(), words(&notification)), (kind, concerns));
        assert_eq!(notification.sent_at, Some(time.parse().unwrap()));
        let reply = channel.answer(Answer::Success, Some(&request));
        assert_eq!((reply.status, &reply.body[..]), (200, ack.as_bytes()));
        assert_eq!(channel.is_ack(&AppReply { status: 200, body: ack.as_bytes() }, Some(&request)), AckMatch::Exact);
    }
    // The algorithm of such an event has another name, and must fit as well.
    assert_eq!(refused(&signed(event)).word(), "algorithm");
}

/// Nothing under the signature but this says how old a message is: a capture from before our memory must not ship goods
/// again only because its time cannot be read.
#[test]
fn a_message_without_its_time_is_held() {
    let contract = ["transaction_id", "total_fee", "out_trade_no", "time_end"]
        .iter()
        .fold(payment(), |draft, name| without(draft, name));
    let contract = set(
        contract,
        &[("change_type", "ADD"), ("contract_id", "201509160000028648"), ("operate_time", "2015-09-16 15:48:04")],
    );
    let vehicle = set(
        without(without(payment(), "result_code"), "return_code"),
        &[("vehicle_event_type", "NORMAL"), ("vehicle_event_createtime", "20180101100000")],
    );
    let failed = set(payment(), &[("result_code", "FAIL")]);
    for (draft, field, kind) in [
        (payment(), "time_end", EventKind::PaymentSucceeded),
        (failed, "time_end", EventKind::PaymentFailed),
        (contract, "operate_time", EventKind::AgreementSigned),
        (vehicle, "vehicle_event_createtime", EventKind::Other),
    ] {
        assert_eq!(words(&accepted(&signed(draft.clone()))), [""; 0], "{field}");
        let missing = Concern::MissingField { field: field.into() };
        for gone in [without(draft.clone(), field), set(draft.clone(), &[(field, " ")])] {
            let notification = accepted(&signed(gone));
            assert_eq!((only_fact(&notification).kind, notification.sent_at), (kind, None), "{field}");
            assert_eq!(notification.concerns, std::slice::from_ref(&missing));
        }
        for odd in ["yesterday", "20261321000000", "1795233600", "2026112104000", "202611210400000"] {
            let notification = accepted(&signed(set(draft.clone(), &[(field, odd)])));
            assert_eq!((only_fact(&notification).kind, notification.sent_at), (kind, None), "{field}");
            assert_eq!(notification.concerns, [Concern::UnknownValue { field: field.into(), value: odd.into() }]);
        }
    }
}

#[test]
fn a_repetition_is_one_and_another_fact_another() {
    let key = |draft| accepted(&signed(draft)).key();
    let first = key(payment());
    assert_eq!(first, key(set(payment(), &[("nonce_str", "another"), ("return_msg", "")])));
    let mut reordered = payment();
    reordered.reverse();
    assert_eq!(first, key(reordered));
    for (name, value) in [("total_fee", "2"), ("transaction_id", "1004400740201409030005092169"), ("out_trade_no", "2")]
    {
        assert_ne!(first, key(set(payment(), &[(name, value)])), "{name}");
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let genuine = String::from_utf8(signed(payment()).body.to_vec()).unwrap();
    let entity = format!("<!DOCTYPE xml [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>{genuine}");
    let twice = genuine.replace("</xml>", "<total_fee>1</total_fee></xml>");
    for (body, word, field) in [
        (entity, "malformed", "DOCTYPE"),
        (genuine.replace("支付测试", "]]>&e;<![CDATA["), "malformed", "body"),
        (twice, "duplicate_field", "total_fee"),
        (genuine.replace("<xml>", "<root>").replace("</xml>", "</root>"), "malformed", "body"),
        (genuine.replace("<total_fee>", "<total_fee a='1'>"), "malformed", "body"),
        (genuine.replace("</xml>", "<!-- x --></xml>"), "malformed", "body"),
        (genuine[..genuine.len() - 3].to_owned(), "malformed", "body"),
        (format!("{genuine}{genuine}"), "malformed", "body"),
    ] {
        let rejection = refused(&request(body.clone()));
        assert_eq!(rejection.word(), word, "{body}");
        assert!(rejection.to_string().contains(field), "{rejection}");
    }
    let mut bytes = genuine.into_bytes();
    bytes.retain(|byte| *byte != 0xe6);
    assert_eq!(refused(&request(bytes)).word(), "charset");
    assert_eq!(refused(&request("")).word(), "empty");
    assert_eq!(refused(&request(" ".repeat(tenpay::BODY_BYTES_MAX + 1))).word(), "too_large");
    let many = (0..=tenpay::FIELDS_MAX).map(|at| format!("<f{at}>1</f{at}>")).collect::<Vec<_>>().concat();
    assert_eq!(refused(&request(format!("<xml>{many}</xml>"))).word(), "too_many_fields");
    let mut get = signed(payment());
    get.method = Method::GET;
    assert_eq!(refused(&get).word(), "method");
    let mut form = signed(payment());
    form.headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    assert_eq!(refused(&form).word(), "media_type");
}

#[test]
fn no_cut_of_the_signed_text_makes_a_payment() {
    // A buyer who may choose `attach` writes whole fields into it, and cuts them out afterwards.
    let wish = "x&bank_type=C&mch_id=1900000001&out_trade_no=DEAR&result_code=SUCCESS&return_code=SUCCESS&\
                time_end=20261121120000&total_fee=900000&transaction_id=4200000000000000000000000001&zz=";
    let mut draft = set(payment(), &[("attach", wish)]);
    sign(&mut draft, KEY, SignType::Md5);
    assert_eq!(words(&accepted(&written(&draft))), ["ambiguous"], "not even as it was signed");
    let sign_of = draft.iter().find(|(name, _)| *name == "sign").map(|(_, value)| value.clone()).unwrap();
    let tail: Vec<String> = payment()
        .iter()
        .filter(|(name, _)| !["appid", "attach"].contains(name))
        .map(|(name, value)| format!("&{name}={value}"))
        .collect();
    let cut: Draft = [
        ("appid", APPID),
        ("attach", "x"),
        ("bank_type", "C"),
        ("mch_id", MCH_ID),
        ("out_trade_no", "DEAR"),
        ("result_code", "SUCCESS"),
        ("return_code", "SUCCESS"),
        ("time_end", "20261121120000"),
        ("total_fee", "900000"),
        ("transaction_id", "4200000000000000000000000001"),
        ("zz", &tail.concat()),
        ("sign", &sign_of),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec();
    let notification = accepted(&written(&cut));
    assert_eq!(words(&notification), ["ambiguous"], "the same text and signature, and a person looks");
    // Swallowed fields show too.
    let mut genuine = payment();
    sign(&mut genuine, KEY, SignType::Md5);
    let swallowed = |by: &'static str, gone: &str, value: &str| {
        let inner = genuine.iter().find(|(name, _)| *name == gone).map(|(_, value)| value.clone()).unwrap();
        set(without(genuine.clone(), gone), &[(by, &format!("{value}&{gone}={inner}"))])
    };
    let cases = [
        ("openid", "out_trade_no", "oUpF8uMEb4qRXf22hE3X68TekukE"),
        ("total_fee", "trade_type", "1"),
        ("cash_fee", "fee_type", "1"),
    ];
    for (by, gone, value) in cases {
        assert!(words(&accepted(&written(&swallowed(by, gone, value)))).contains(&"ambiguous"), "{by} {gone}");
    }
}

#[test]
fn requests_are_recognised_by_shape_and_ids() {
    let channel = channel(&settings());
    let likeness = |request: &RawRequest| channel.recognise(request);
    assert_eq!(likeness(&signed(payment())), Likeness::Merchant);
    for (name, value) in [("mch_id", "1900000002"), ("appid", "wx9"), ("sub_mch_id", "1900000109")] {
        assert_eq!(likeness(&signed(set(payment(), &[(name, value)]))), Likeness::Shape, "{name}");
    }
    // Proves nothing, so it costs nothing to be wrong.
    assert_eq!(likeness(&written(&set(payment(), &[("sign", "x")]))), Likeness::Merchant);
    assert_eq!(likeness(&written(&payment())), Likeness::No);
    assert_eq!(likeness(&signed(without(payment(), "return_code"))), Likeness::No);
    assert_eq!(likeness(&request("<xml><sign>x</sign><trade_state>SUCCESS</trade_state></xml>")), Likeness::No);
    assert_eq!(likeness(&request("{}")), Likeness::No);
}

#[test]
fn replies_are_the_documented_bytes() {
    let channel = channel(&settings());
    let paid = signed(payment());
    let reply = channel.answer(Answer::Success, Some(&paid));
    assert_eq!((reply.status, reply.content_type), (200, Some("text/xml")));
    assert_eq!(
        reply.body,
        "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
    );
    for (failure, status) in [(Failure::Refused, 400), (Failure::Busy, 503), (Failure::NotYet, 503)] {
        let reply = channel.answer(Answer::Failure(failure), Some(&paid));
        assert_eq!(reply.status, status);
        assert_eq!(channel.is_ack(&AppReply { status: 200, body: &reply.body }, Some(&paid)), AckMatch::No);
    }
}

#[test]
fn settings_fail_closed() {
    let word = |settings: &Settings| build(settings).map(drop).map_err(|error| (error.setting, error.word));
    for (name, value, expected) in [
        ("mch_id", SettingValue::Text("19000x".into()), ("mch_id", "malformed_id")),
        ("mch_id", SettingValue::Text(" ".into()), ("mch_id", "missing")),
        ("appid", SettingValue::Texts(vec![]), ("appid", "empty_list")),
        ("appid", SettingValue::Texts(vec!["wx 1".into()]), ("appid", "malformed_id")),
        ("api_key", SettingValue::Key(b"short".to_vec().into()), ("api_key", "too_short")),
        ("sign_types", SettingValue::Texts(vec![]), ("sign_types", "empty_list")),
        ("sign_types", SettingValue::Texts(vec!["RSA".into()]), ("sign_types", "unknown_word")),
        ("sub_mch_id", SettingValue::Texts(vec!["**".into()]), ("sub_mch_id", "malformed_id")),
    ] {
        assert_eq!(word(&settings().with(name, value)), Err(expected));
    }
    assert_eq!(word(&Settings::new(Environment::Live)), Err(("mch_id", "missing")));
    // Several ids in one message of many apps.
    let apps = channel(&with_texts(settings(), "appid", &["wx1", APPID]));
    assert!(accepted_by(&*apps, &signed(payment())).concerns.is_empty());
}

#[test]
fn a_configured_channel_can_be_told_stories() {
    let provider = with_texts(with_texts(settings(), "sub_mch_id", &["1900000109"]), "sub_appid", &["wx1"]);
    let strict = with_texts(settings(), "sign_types", &["HMAC-SHA256"]);
    for settings in [settings(), provider, strict] {
        let mirror = PLATFORM.mirror.unwrap()(&settings).unwrap();
        let channel = channel(&settings);
        for kind in mirror.stories() {
            let story = Story { kind, refunded_minor: 1, ..Story::paid("T1", 100, at()) };
            let notification = accepted_by(&*channel, &mirror.callback(&story));
            assert_eq!((only_fact(&notification).kind, words(&notification)), (kind, vec![]));
        }
    }
}
