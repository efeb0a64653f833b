//! A made-up platform, with which everything about recipes is tried out.

use crate::model::{Environment, EventKind};
use crate::settings::tree::Tree;
use crate::settings::{SettingValue, Settings};

/// What the made-up platform tells, in its words.
const MAP: &[(&str, EventKind)] = &[
    ("payment.paid", EventKind::PaymentSucceeded),
    ("payment.failed", EventKind::PaymentFailed),
    ("payment.closed", EventKind::PaymentClosed),
    ("refund.done", EventKind::RefundSucceeded),
    ("refund.failed", EventKind::RefundFailed),
    ("transfer.done", EventKind::TransferSucceeded),
    ("dispute.opened", EventKind::DisputeOpened),
    ("profile.updated", EventKind::Other),
];

/// Its recipe, without keys.
pub(super) fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("platform", SettingValue::Text("example-pay".to_owned()))
        .with("account", SettingValue::Text("acct_1001".to_owned()))
        .with("verify", SettingValue::Tree(verify()))
        .with("event", SettingValue::Tree(event()))
        .with("reply", SettingValue::Tree(reply()))
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> Tree {
    Tree::table(pairs.map(|(key, text)| (key, Tree::text(text))))
}

fn verify() -> Tree {
    Tree::table([
        ("algorithm", Tree::text("hmac-sha256")),
        ("encoding", Tree::text("hex")),
        ("signature", texts([("from", "header:x-signature"), ("parse", "kv"), ("pair_sep", ","), ("want", "v1")])),
        (
            "timestamp",
            Tree::table([("from", Tree::text("sig:t")), ("unit", Tree::text("s")), ("tolerance", Tree::text("5m"))]),
        ),
        ("message", Tree::text("{sig:t}.{body}")),
    ])
}

fn event() -> Tree {
    let map = MAP.iter().map(|(word, kind)| (*word, Tree::text(kind.as_str())));
    Tree::table([
        ("id", Tree::text("json:/id")),
        ("type", Tree::text("json:/type")),
        ("account", Tree::text("json:/account")),
        ("number", Tree::text("json:/data/id")),
        ("payment", Tree::text("json:/data/payment")),
        ("order", Tree::text("json:/data/order_no")),
        ("amount", texts([("value", "json:/data/amount"), ("currency", "json:/data/currency"), ("form", "minor-int")])),
        ("time", texts([("from", "json:/created"), ("unit", "s")])),
        ("map", Tree::table(map)),
    ])
}

fn reply() -> Tree {
    Tree::table([("ok", Tree::table([("status", Tree::Number(200)), ("body", Tree::text("received"))]))])
}
