//! What is configured, and what is refused.

use super::*;

fn error(settings: &Settings) -> (&'static str, &'static str) {
    let SettingsError { setting, word, .. } = build(settings).err().expect("no channel");
    (setting, word)
}

fn texts(texts: &[&str]) -> SettingValue {
    SettingValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn key_of_text(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

fn files(texts: &[&str]) -> SettingValue {
    SettingValue::Keys(texts.iter().map(|text| text.as_bytes().to_vec().into()).collect())
}

#[test]
fn a_channel_needs_a_whole_key_pair() {
    let bare = || {
        Settings::new(Environment::Sandbox)
            .with("merchant_id", SettingValue::Text("gateway1".into()))
            .with("merchant_accounts", texts(&["shop_usd"]))
    };
    let with = |public: &[&str], private: &str| {
        bare().with("public_key", texts(public)).with("private_key", key_of_text(private))
    };
    assert!(build(&with(&["pk"], "0123456789abcdef0123456789abcdef\r\n")).is_ok());
    assert_eq!(error(&bare()), ("public_key", "missing"));
    assert_eq!(error(&bare().with("public_key", texts(&["pk"]))), ("private_key", "missing"));
    assert_eq!(error(&with(&[], PRIVATE)), ("public_key", "empty_list"));
    assert_eq!(error(&with(&["a|b"], PRIVATE)), ("public_key", "malformed_id"));
    assert_eq!(error(&with(&["a&b"], PRIVATE)), ("public_key", "malformed_id"));
    assert_eq!(error(&with(&[&"a".repeat(65)], PRIVATE)), ("public_key", "malformed_id"));
    assert_eq!(error(&with(&["pk"], "\n")), ("private_key", "missing"));
    assert_eq!(error(&with(&["pk"], "0123456789abcde")), ("private_key", "too_short"));
    assert_eq!(error(&with(&["pk"], "0123456789abcdef 0123456789abcdef")), ("private_key", "malformed"));
    // The public half is in every webhook: it must not be what proves the next.
    assert_eq!(error(&with(&["0123456789abcdef"], "0123456789abcdef")), ("private_key", "relation"));
    assert_eq!(error(&with(&["pk", "pk2"], PRIVATE)), ("private_key", "relation"));
    let merchant = |text: &str| settings().with("merchant_id", SettingValue::Text(text.into()));
    assert_eq!(error(&merchant("gate way")), ("merchant_id", "malformed_id"));
    assert_eq!(error(&merchant(" ")), ("merchant_id", "missing"));
    assert_eq!(error(&settings().with("merchant_accounts", texts(&[]))), ("merchant_accounts", "empty_list"));
    assert_eq!(error(&settings().with("merchant_accounts", texts(&["a b"]))), ("merchant_accounts", "malformed_id"));
}

#[test]
fn a_rotation_has_a_file_for_each_key() {
    let with = |public: &[&str], private: &[&str]| {
        Settings::new(Environment::Live)
            .with("merchant_id", SettingValue::Text("gateway1".into()))
            .with("merchant_accounts", texts(&["shop_usd"]))
            .with("public_key", texts(public))
            .with("private_key_files", files(private))
    };
    let (one, two) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let channel = build(&with(&["new", "old"], &[one, two])).unwrap();
    let labels: Vec<String> = channel.keys().into_iter().map(|note| note.label).collect();
    assert_eq!(labels, ["new", "old"]);
    assert_eq!(error(&with(&["new"], &[one, two])), ("private_key_files", "relation"));
    assert_eq!(error(&with(&["new", "new"], &[one, two])), ("public_key", "relation"));
    assert_eq!(error(&with(&["new"], &[])), ("private_key_files", "empty_list"));
    assert_eq!(error(&with(&["a", "b", "c", "d", "e"], &[one; 5])), ("public_key", "out_of_range"));
    let both = with(&["new"], &[one]).with("private_key", key_of_text(one));
    assert_eq!(error(&both), ("private_key", "either_or"));
}

#[test]
fn nothing_shows_a_private_key() {
    let config = Config::build(&settings()).unwrap();
    assert!(!format!("{config:?} {:?}", config.notes()).contains(PRIVATE));
}
