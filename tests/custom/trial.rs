//! How a user tries a platform that he described: a preset that he changed, and a platform that signs with its own key.

use std::process::Command;

use super::gateway::Node;

const FILE: &str = "channels.d/examplepay.toml";

/// What the program says when it does not do what it is asked.
fn refused(node: &Node, args: &[&str]) -> String {
    let output = node.cli(args);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
}

/// Copied from a preset, changed to a platform that signs much like it, checked, tried and looked at.
#[test]
fn a_preset_is_copied_changed_checked_tried_and_shown() {
    let copied = Node::of("", "").text(&["channels", "--preset", "razorpay"]);
    let mut changed = copied.clone();
    for (from, to) in [
        ("id = \"razorpay\"", "id = \"examplepay\""),
        ("platform = \"razorpay\"", "platform = \"examplepay\""),
        ("keys/razorpay_secret", "keys/examplepay_secret"),
        ("header:x-razorpay-signature", "header:x-example-signature"),
        ("encoding = \"hex\"", "encoding = \"base64\""),
        ("json:/payload/payment/entity/notes/order_no", "json:/payload/payment/entity/our_number"),
    ] {
        assert!(changed.contains(from), "{from}: {copied}");
        changed = changed.replace(from, to);
    }

    // The first try has a slip, which is shown where it is, with a cure.
    let slipped = changed.replace("message = \"{body}\"", "message = \"{header:x-id}\"");
    let line = slipped.lines().position(|line| line.contains("{header:x-id}")).unwrap() + 1;
    let mut node = Node::of("", &slipped);
    let shown = refused(&node, &["check"]);
    assert!(
        shown.contains(&format!("examplepay.toml:{line}:11")) && shown.contains("anybody could change it"),
        "{shown}"
    );

    node.written.write(FILE, &changed);
    assert!(node.text(&["check"]).contains("Channels: 1;"));
    let paid = node.text(&["sample", "examplepay", "--order-no", "T-9", "--amount-minor", "12345"]);
    assert!(paid.contains("x-example-signature") && paid.contains("our_number"), "{paid}");
    node.serve();
    assert_eq!(Node::curl(&paid).0, 200);
    assert_eq!(Node::curl(&paid.replace("12345", "12346")).0, 400);
    let events = node.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let shown = node.text(&["show", events[0]["id"].as_str().unwrap()]);
    for word in ["payment.succeeded", "T-9", "123.45", "examplepay"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}

/// What stands in the definition of a platform that signs the method, the path and the body with its own key.
const SIGNED_BY_KEY: &str = r#"[[channel]]
id = "examplepay"
kind = "custom"
platform = "examplepay"
account = "shop-77"
public_key_file = "keys/platform.pem"
values = { client_id = "SHOP77" }
[channel.verify]
signature = { from = "header:signature", parse = "kv", pair_sep = ",", want = "signature", percent_decode = true }
timestamp = { from = "header:request-time", unit = "rfc3339", tolerance = "5m" }
message = "{method} {path}\n{header:client-id}.{header:request-time}.{body}"
algorithm = "ALGORITHM"
encoding = "base64"
require = { "header:client-id" = "{cfg:client_id}" }
mine = "client_id"
[channel.event]
type = "json:/type"
number = "json:/id"
order = "json:/order"
amount = { value = "json:/value", currency = "json:/currency", form = "minor-string" }
map = { PAID = "payment.succeeded" }
[channel.reply]
ok = { status = 200, content_type = "application/json", body = '{"result":{"resultStatus":"S"}}' }
"#;

/// The platform's own public key, of which nobody here has the private half.
fn foreign_key(kind: &str) -> String {
    let script = format!("openssl genpkey -algorithm {kind} 2>/dev/null | openssl pkey -pubout");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let pem = String::from_utf8(output.stdout).unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY"), "{pem}");
    pem
}

fn tried(algorithm: &str, kind: &str) {
    let written = SIGNED_BY_KEY.replace("ALGORITHM", algorithm);
    let mut node = Node::of("", &written);
    node.written.write("keys/platform.pem", &foreign_key(kind));
    assert!(node.text(&["check"]).contains("Channels: 1;"));
    assert!(refused(&node, &["sample", "examplepay"]).contains("sample examplepay --new-keys"));

    let told = node.text(&["sample", "examplepay", "--new-keys"]);
    assert!(told.contains("keys/simulator/examplepay_public.pem"), "{told}");
    assert!(refused(&node, &["sample", "examplepay", "--new-keys"]).contains("keys/simulator/examplepay"), "kept");

    // The channel still trusts the platform alone, and says so.
    let output = node.cli(&["sample", "examplepay"]);
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && warned.contains("public_key_file"), "{warned}");

    node.written.write(FILE, &written.replace("keys/platform.pem", "keys/simulator/examplepay_public.pem"));
    let checked = node.cli(&["check"]);
    let warned = String::from_utf8(checked.stderr).unwrap() + &String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && warned.contains("test keys"), "{warned}");
    let paid = node.text(&["sample", "examplepay", "--order-no", "T-7"]);
    node.serve();
    assert_eq!(Node::curl(&paid), (200, r#"{"result":{"resultStatus":"S"}}"#.to_owned()));
    // The path is signed: the same message to another address of ours is refused.
    assert_eq!(Node::curl(&paid.replace("/notify/examplepay", "/notify")).0, 400);
    assert_eq!(Node::curl(&paid.replace("SHOP77", "SHOP78")).0, 400);
    let events = node.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let shown = node.text(&["show", events[0]["id"].as_str().unwrap()]);
    assert!(shown.contains("T-7") && shown.contains("payment.succeeded"), "{shown}");
}

#[test]
fn a_platform_that_signs_with_its_own_rsa_key_is_tried_with_another() {
    tried("rsa-sha256", "RSA -pkeyopt rsa_keygen_bits:2048");
}

#[test]
fn a_platform_that_signs_with_its_own_ed25519_key_is_tried_with_another() {
    tried("ed25519", "ED25519");
}

/// A channel with a secret needs no other keys: its samples are signed with the secret itself.
#[test]
fn test_keys_are_made_only_where_they_are_needed() {
    let node = Node::of("", include_str!("../../examples/custom.toml"));
    assert!(refused(&node, &["sample", "examplepay", "--new-keys"]).contains("its own secret"));
}

/// Where single values are signed, whoever is brought the whole message is told which.
#[test]
fn a_target_that_is_brought_more_than_is_signed_is_named() {
    let channel = r#"[[channel]]
id = "examplepay"
kind = "custom"
platform = "examplepay"
account = "shop-77"
secret_file = "keys/examplepay_secret"
[channel.verify]
signature = { from = "json:/sign", parse = "whole" }
message = "{json:/id}|{json:/state}|{json:/sum}"
algorithm = "hmac-sha256"
encoding = "hex"
[channel.event]
type = "json:/state"
number = "json:/id"
amount = { value = "json:/sum", currency = "EUR", form = "decimal-string" }
map = { paid = "payment.succeeded" }
"#;
    let target = |format: &str| {
        format!("[[target]]\nid = \"shop\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\nformat = \"{format}\"\n")
    };
    let warned = |format: &str, channel: &str| {
        let checked = Node::of(&target(format), channel).cli(&["check"]);
        let text = String::from_utf8(checked.stderr).unwrap() + &String::from_utf8(checked.stdout).unwrap();
        assert!(checked.status.success(), "{text}");
        text.contains("signs only json:/id, json:/state, json:/sum")
    };
    assert!(warned("raw", channel));
    assert!(!warned("event", channel), "an event holds nothing else");
    let whole =
        channel.replace("{json:/id}|{json:/state}|{json:/sum}", "{body}").replace("json:/sign", "header:x-sign");
    assert!(!warned("raw", &whole));
}
