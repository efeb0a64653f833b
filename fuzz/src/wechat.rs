//! WeChat Pay notifications: the input is sealed and signed as the platform does it, and read by the channel.
//!
//! An input that begins with `{` is a whole body, signed. Any other is an event type (with a number behind a
//! tabulator, perhaps) on the first line, and behind it the resource that is sealed.

use std::sync::LazyLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::{Value, json};
use tollbell_channels::channel::{Likeness, Rejection};
use tollbell_channels::model::{Amount, Concern, EventKind, Fact, Notification, RawRequest};

use crate::stage::{Stage, now, with_body};

static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::new("wechat_pay"));

pub(crate) fn check(data: &[u8]) {
    if data.first() == Some(&b'{') {
        return whole(data);
    }
    let (head, resource) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b""[..]),
    };
    let head = String::from_utf8_lossy(head);
    let (event_type, id) = head.split_once('\t').unwrap_or((&head, "EV-2018022511223320873"));
    let body = sealed(event_type, id, resource);
    let request = signed(body.clone());
    match STAGE.verify(&request) {
        Ok(notification) => {
            assert!(!event_type.is_empty() || !notification.concerns.is_empty(), "nameless, and nobody is told");
            assert_eq!(STAGE.channel.recognise(&request), Likeness::Merchant);
            assert_eq!(STAGE.verify(&request).map(|again| again.key()), Ok(notification.key()));
            assert!(!STAGE.channel.fields(&request).is_empty());
            amounts_are_as_written(&notification, resource);
            without_concern_it_is_ours(&notification, resource);
        }
        Err(rejection) => {
            // Nothing else can be wrong with what the platform itself sealed and signed.
            assert!(matches!(rejection, Rejection::TooLarge { .. }), "refused: {rejection}");
        }
    }
    nothing_else_is_genuine(&request, &body, data);
}

/// A body that was signed and has nothing in it that the key opens tells of no money, and a person hears of it.
fn whole(body: &[u8]) {
    let request = signed(body.to_vec());
    if let Ok(notification) = STAGE.verify(&request) {
        let is_money = |fact: &Fact| fact.kind != EventKind::Other || fact.amount != Amount::None;
        assert!(!notification.facts.iter().any(is_money), "opened without the key: {notification:?}");
        assert!(!notification.concerns.is_empty(), "laid out in no known way, and nobody is told: {notification:?}");
    }
    let likeness = STAGE.channel.recognise(&request);
    assert!(matches!(likeness, Likeness::No | Likeness::Merchant), "the serial is ours: {likeness}");
}

/// The message around a box, sealed here a second time.
fn sealed(event_type: &str, id: &str, resource: &[u8]) -> Vec<u8> {
    const NONCE: &[u8; 12] = b"fdasflkja484";
    let key = STAGE.settings.key("api_v3_key").expect("the side shares its key");
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes"));
    let mut boxed = resource.to_vec();
    let nonce = Nonce::assume_unique_for_key(*NONCE);
    key.seal_in_place_append_tag(nonce, Aad::from(b"transaction"), &mut boxed).expect("a short text can be sealed");
    let body = json!({
        "id": id,
        "create_time": "2026-11-21T12:00:00+08:00",
        "resource_type": "encrypt-resource",
        "event_type": event_type,
        "resource": {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": STANDARD.encode(boxed),
            "associated_data": "transaction",
            "nonce": String::from_utf8_lossy(NONCE),
        },
    });
    body.to_string().into_bytes()
}

fn signed(body: Vec<u8>) -> RawRequest {
    static OUTSIDE: LazyLock<RawRequest> = LazyLock::new(|| STAGE.callback());
    let timestamp = now().as_second().to_string();
    let nonce = OUTSIDE.single_header("wechatpay-nonce").expect("a genuine callback has a nonce");
    let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", &body, b"\n"].concat();
    let signature = HeaderValue::from_str(&STAGE.sign(&message)).expect("base64 is a header's value");
    let mut request = with_body(&OUTSIDE, body);
    request.headers.insert("wechatpay-signature", signature);
    request
}

/// An amount is the integer at the field that the kind of fact has, read by somebody else.
fn amounts_are_as_written(notification: &Notification, resource: &[u8]) {
    // With a name given twice, readers differ; that is what the concern says.
    if notification.concerns.iter().any(|concern| matches!(concern, Concern::Ambiguous { .. })) {
        return;
    }
    let Ok(tree) = serde_json::from_slice::<Value>(resource) else {
        assert!(notification.facts.iter().all(|fact| fact.signed_money().is_none()));
        assert!(!notification.concerns.is_empty(), "no JSON, and nobody is told");
        return;
    };
    for (at, fact) in notification.facts.iter().enumerate() {
        let Amount::Stated(money) = fact.amount else { continue };
        let order = tree.pointer(&format!("/sub_orders/{at}")).unwrap_or(&tree);
        let written = pointers(fact).iter().find_map(|pointer| order.pointer(pointer));
        let written = written.and_then(Value::as_i64);
        assert_eq!(written, Some(money.minor), "{:?}", fact.kind);
    }
}

fn pointers(fact: &Fact) -> &'static [&'static str] {
    match fact.kind {
        EventKind::PaymentSucceeded | EventKind::PaymentFailed => &["/amount/total_amount", "/amount/total"],
        EventKind::RefundSucceeded | EventKind::RefundFailed | EventKind::RefundAbnormal => &["/amount/refund"],
        EventKind::ProfitSharingSucceeded | EventKind::ProfitSharingReturned => &["/receiver/amount"],
        EventKind::TransferSucceeded | EventKind::TransferFailed => &["/transfer_amount"],
        _ => &[],
    }
}

/// What goes on without a person speaks of our merchant.
fn without_concern_it_is_ours(notification: &Notification, resource: &[u8]) {
    if !notification.concerns.is_empty() {
        return;
    }
    let ours = STAGE.settings.text("mchid").expect("the side has a merchant");
    for fact in notification.facts.iter().filter(|fact| fact.kind != EventKind::Other) {
        let is_payee = fact.payee.as_deref() == Some(ours);
        assert!(fact.scope.account == ours || is_payee, "money of {} passes", fact.scope.account);
        for name in [&fact.platform_no, &fact.order_no].into_iter().flatten() {
            let is_there = resource.windows(name.len()).any(|window| window == name.as_bytes());
            // A text may be written with escapes.
            assert!(is_there || resource.contains(&b'\\'), "a number out of nowhere: {name}");
        }
    }
}

/// One changed byte, or a signature for something else, and it is not genuine.
fn nothing_else_is_genuine(request: &RawRequest, body: &[u8], data: &[u8]) {
    let place = data.iter().fold(data.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let mut changed = body.to_vec();
    changed[place % body.len()] ^= 1 << (place % 8);
    for forged in [changed, data.to_vec(), body[..body.len() - 1].to_vec(), [body, b" "].concat()] {
        assert!(STAGE.verify(&with_body(request, forged)).is_err(), "a forged body is genuine");
    }
}
