//! Alipay notifications: the input is a form, signed as the platform does it, and read by the channel.

use std::sync::LazyLock;

use tollbell_channels::channel::Rejection;
use tollbell_channels::form;
use tollbell_channels::model::{Notification, RawRequest};

use crate::form::read;
use crate::stage::{Stage, with_body};

static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::new("alipay"));

/// Fields that mean something, to add without a value where they are not.
const KNOWN: &[&str] = &[
    "gmt_refund",
    "refund_fee",
    "out_biz_no",
    "gmt_payment",
    "total_amount",
    "trade_status",
    "seller_id",
    "charset",
    "out_trade_no",
    "trade_no",
    "gmt_close",
    "receipt_amount",
    "notify_time",
    "agreement_no",
    "currency",
    "x y",
    "a.b",
    "out_biz_no[",
    "gmt_refund\0",
    "version",
    "biz_content",
    "msg_method",
    "auth_app_id",
    "alipay_cert_sn",
];

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn check(data: &[u8]) {
    let Ok(mut pairs) = read(data) else {
        assert!(verify(data.to_vec()).is_err(), "a form with a broken percent sign is genuine");
        return;
    };
    assert!(verify(data.to_vec()).is_err(), "nobody signed it");
    pairs.retain(|(name, _)| name != b"sign" && name != b"sign_type");
    if !pairs.iter().any(|(name, _)| name == b"app_id") {
        let app_id = STAGE.settings.text("app_id").expect("the side has an application").as_bytes();
        pairs.push((b"app_id".to_vec(), app_id.to_vec()));
    }
    let signature = STAGE.sign(&canonical(&pairs));
    match verify(written(&pairs, &signature)) {
        Ok(notification) => {
            fields_are_the_pairs(&pairs, &signature);
            a_changed_byte_is_refused(&pairs, &signature, data);
            a_swallowed_pair_changes_nothing(&pairs, &signature, &notification);
            an_empty_pair_changes_nothing(&pairs, &signature, &notification, data);
        }
        Err(rejection) => {
            let is_cheap = !matches!(rejection, Rejection::Signature | Rejection::Charset { .. });
            assert!(is_cheap, "the signature is right, and is refused: {rejection}");
            assert!(!is_ordinary(&pairs), "an ordinary message is refused: {rejection}");
        }
    }
}

/// Rule V1, written here once more: sorted by name, joined over decoded bytes, without `sign` and `sign_type`.
fn canonical(pairs: &Pairs) -> Vec<u8> {
    let mut sorted: Vec<&(Vec<u8>, Vec<u8>)> = pairs.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let joined: Vec<Vec<u8>> =
        sorted.iter().map(|(name, value)| [name.as_slice(), b"=", value.as_slice()].concat()).collect();
    joined.join(&b'&')
}

fn written(pairs: &Pairs, signature: &str) -> Vec<u8> {
    let own = [(&b"sign"[..], signature.as_bytes()), (b"sign_type", b"RSA2")];
    form::encode(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).chain(own))
}

fn request(body: Vec<u8>) -> RawRequest {
    static OUTSIDE: LazyLock<RawRequest> = LazyLock::new(|| STAGE.callback());
    with_body(&OUTSIDE, body)
}

fn verify(body: Vec<u8>) -> Result<Notification, Rejection> {
    STAGE.verify(&request(body))
}

/// What cannot be refused: our application, a kind and a number, and names that nobody reads in two ways.
fn is_ordinary(pairs: &Pairs) -> bool {
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted.as_bytes()).map(|(_, v)| v.as_slice());
    let is_there = |name: &str| value(name).is_some_and(|v| !v.iter().all(u8::is_ascii_whitespace));
    let mut names: Vec<&[u8]> = pairs.iter().map(|(name, _)| name.as_slice()).collect();
    names.sort_unstable();
    let is_plain = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    names.windows(2).all(|two| two[0] != two[1])
        && names.iter().all(|name| is_plain(name))
        && names.len() < 100
        && value("app_id") == STAGE.settings.text("app_id").map(str::as_bytes)
        && !is_there("auth_app_id")
        && !is_there("alipay_cert_sn")
        && (is_there("notify_type") && is_there("notify_id") && !is_there("msg_method")
            || is_there("msg_method") && is_there("biz_content"))
}

fn fields_are_the_pairs(pairs: &Pairs, signature: &str) {
    let fields = STAGE.channel.fields(&request(written(pairs, signature)));
    assert_eq!(fields.len(), pairs.len() + 2);
    for ((name, value), (shown_name, shown)) in pairs.iter().zip(&fields) {
        if name.is_ascii() && value.is_ascii() {
            assert_eq!((shown_name.as_bytes(), shown.as_bytes()), (name.as_slice(), value.as_slice()));
        }
    }
}

/// One bit of one value or name, and the signature is for another message.
fn a_changed_byte_is_refused(pairs: &Pairs, signature: &str, data: &[u8]) {
    let place = data.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(33).wrapping_add(usize::from(*byte)));
    let mut changed = pairs.clone();
    let (name, value) = &mut changed[place % pairs.len()];
    let piece = if value.is_empty() || place % 5 == 0 { name } else { value };
    if let Some(byte) = place.checked_rem(piece.len()).map(|at| &mut piece[at]) {
        *byte ^= 1 << (place % 7);
        assert!(canonical(&changed) != canonical(pairs));
        assert!(verify(written(&changed, signature)).is_err(), "a changed message is genuine");
    }
}

/// Joining does not escape, so a value may swallow the pair behind it under the same signature. Then a person
/// looks, or nothing that we act on is different.
fn a_swallowed_pair_changes_nothing(pairs: &Pairs, signature: &str, genuine: &Notification) {
    if !genuine.concerns.is_empty() {
        return;
    }
    let mut sorted = pairs.clone();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    for at in 0..sorted.len().saturating_sub(1) {
        let mut swallowed = sorted.clone();
        let (name, value) = swallowed.remove(at + 1);
        swallowed[at].1.extend([b"&", name.as_slice(), b"=", value.as_slice()].concat());
        is_the_same(verify(written(&swallowed, signature)), genuine, "swallowed");
    }
}

/// Some signers leave out empty values, so anybody can add a pair without one: it says nothing.
fn an_empty_pair_changes_nothing(pairs: &Pairs, signature: &str, genuine: &Notification, data: &[u8]) {
    if !genuine.concerns.is_empty() {
        return;
    }
    let names =
        KNOWN.iter().map(|name| name.as_bytes().to_vec()).chain(data.first_chunk::<6>().map(|six| six.to_vec()));
    for name in names {
        for place in [0, pairs.len()] {
            let mut more = pairs.clone();
            more.insert(place, (name.clone(), Vec::new()));
            is_the_same(verify(written(&more, signature)), genuine, "an empty pair more");
        }
    }
    // And to drop one that is there.
    if let Some(at) = pairs.iter().position(|(_, value)| value.is_empty()) {
        let mut less = pairs.clone();
        less.remove(at);
        is_the_same(verify(written(&less, signature)), genuine, "an empty pair less");
    }
}

fn is_the_same(found: Result<Notification, Rejection>, genuine: &Notification, how: &str) {
    let Ok(found) = found else { return };
    let is_same = found.facts == genuine.facts && found.key() == genuine.key() && found.sent_at == genuine.sent_at;
    assert!(is_same || !found.concerns.is_empty(), "{how}: {found:?}, not {genuine:?}");
}
