//! Files that are not whole say what is wrong, and become no platform.

use super::*;

const WHOLE: &str = r#"
[preset]
name = { en = "Example", zh = "示例" }
docs = "https://example.com"
ladder = ["5m"]

[preset.account]
en = "the account"
zh = "账户"
example = "acct_1"

[preset.secret]
en = "the secret"
zh = "密钥"
example = "keys/example"

[verify]
signature = { from = "header:x-sign", parse = "whole" }
message = "{body}"
algorithm = "hmac-sha256"
encoding = "hex"

[event]
type = "json:/type"
number = "json:/id"

[event.map]
"failed" = "payment.failed"
"#;

#[test]
fn a_broken_file_says_what_is_wrong() {
    assert!(Preset::read("example", WHOLE).is_ok());
    for (from, to, why) in [
        ("[preset]\n", "[preset\n", "TOML"),
        ("name = {", "title = {", "preset.preset.title"),
        ("zh = \"示例\"", "cn = \"示例\"", "preset.preset.name.cn"),
        ("docs = \"https://example.com\"\n", "", "preset.preset.docs"),
        ("ladder = [\"5m\"]", "ladder = []", "preset.preset.ladder"),
        ("ladder = [\"5m\"]", "ladder = [\"5 minutes\"]", "preset.preset.ladder"),
        ("ladder = [\"5m\"]", "ladder = [\"5秒\"]", "preset.preset.ladder"),
        ("ladder = [\"5m\"]", "ladder = [\"秒\"]", "preset.preset.ladder"),
        ("example = \"acct_1\"\n", "", "preset.preset.account.example"),
        ("[preset.secret]", "[preset.values.secret]", "preset.preset"),
        ("[preset.secret]", "[preset.public_key]", "no [preset.secret]"),
        ("[preset.secret]", "[preset.api_key]", "no [preset.secret]"),
        ("[verify]", "[verifies]", "verifies"),
        ("[event]\ntype", "[reply]\ntype", "event"),
        ("header:x-sign", "head:x-sign", "verify.signature.from"),
        ("\"{body}\"", "\"{header:x-id}\"", "verify.message"),
        ("hmac-sha256", "hmac-sha257", "verify.algorithm"),
        ("json:/type", "header:x-type", "event.type"),
        ("payment.failed\"", "payment.lost\"", "event.map.failed"),
        ("payment.failed\"", "payment.succeeded\"", "event.map.failed"),
        ("number = \"json:/id\"", "number = 1.5", "texts are wanted"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let error = Preset::read("example", &text).expect_err(to);
        assert!(error.to_string().starts_with("preset `example`: "), "{error}");
        assert!(error.why.contains(why), "{from} -> {to}: {}", error.why);
    }
}

/// What all that is said to people has in common: both languages, and an address for everything that a merchant gives.
#[test]
fn every_file_speaks_to_people() {
    for preset in PRESETS.iter() {
        let kind = preset.kind;
        for setting in preset.settings {
            assert!(!setting.example.is_empty(), "{kind}: {}", setting.name);
            let is_chinese = setting.help.zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            assert!(
                is_chinese && setting.help.en.is_ascii() || setting.help.en.contains('…'),
                "{kind}: {}",
                setting.name
            );
        }
        // What nobody confirmed is told, and every file has something of the kind.
        assert!(!preset.head.unconfirmed.is_empty(), "{kind}");
        for open in preset.head.unconfirmed {
            assert!(open.zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{kind}: {}", open.zh);
        }
    }
}
