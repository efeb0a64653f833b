//! The text that a merchant copies is a configured platform that does the same.

use super::*;

/// The tables of a channel's text.
fn settings_of(text: &str, account: &str) -> Settings {
    let Tree::Table(file) = file::parsed(text).unwrap() else { panic!("a table") };
    let Some((_, Tree::List(channels))) = file.iter().find(|(name, _)| name == "channel") else { panic!("{file:?}") };
    let [Tree::Table(channel)] = channels.as_slice() else { panic!("{channels:?}") };
    let mut settings = Settings::new(Environment::Live);
    for (name, value) in channel {
        settings = match (name.as_str(), value) {
            ("id", _) => settings,
            ("kind", Tree::Text(kind)) => {
                assert_eq!(kind, custom::PLATFORM.kind);
                settings
            }
            ("account", _) => settings.with("account", SettingValue::Text(account.to_owned())),
            ("secret_file", _) => settings.with("secret", SettingValue::Key(SECRET.as_bytes().to_vec().into())),
            ("values", Tree::Table(values)) => {
                let pair = |(name, value): &(String, Tree)| match value {
                    Tree::Text(text) => (name.clone(), text.clone()),
                    other => panic!("{other:?}"),
                };
                settings.with("values", SettingValue::Pairs(values.iter().map(pair).collect()))
            }
            ("key", Tree::List(keys)) => {
                let [Tree::Table(key)] = keys.as_slice() else { panic!("{keys:?}") };
                let secret = |(name, value): &(String, Tree)| match name.as_str() {
                    "secret_file" => ("secret".to_owned(), Tree::Secret(SECRET.as_bytes().to_vec().into())),
                    _ => (name.clone(), value.clone()),
                };
                settings.with("key", SettingValue::Tree(Tree::Table(key.iter().map(secret).collect())))
            }
            (name, value) => {
                let known = custom::PLATFORM.settings.iter().find(|setting| setting.name == name);
                let setting = known.unwrap_or_else(|| panic!("no setting `{name}`"));
                match (setting.kind, value) {
                    (SettingKind::Tree { .. }, tree) => settings.with(setting.name, SettingValue::Tree(tree.clone())),
                    (_, Tree::Text(text)) => settings.with(setting.name, SettingValue::Text(text.clone())),
                    other => panic!("{other:?}"),
                }
            }
        };
    }
    settings
}

#[test]
fn the_copied_text_is_the_same_platform() {
    for preset in PRESETS.iter() {
        let kind = preset.kind;
        let text = preset.as_channel(|text| text.en);
        assert!(text.contains("\n[channel.verify]\n") && text.contains(&format!("platform = \"{kind}\"")), "{text}");
        let account = preset.settings[0].example;
        let copied =
            custom::build(&settings_of(&text, account)).unwrap_or_else(|error| panic!("{kind}: {error}\n{text}"));
        let own = channel(kind, account, Environment::Live);
        let secret = SettingValue::Key(SECRET.as_bytes().to_vec().into());
        let given = preset.settings.iter().fold(Settings::new(Environment::Live), |all, setting| match setting.kind {
            SettingKind::Text => all.with(setting.name, SettingValue::Text(setting.example.to_owned())),
            SettingKind::SecretKey => all.with(setting.name, secret.clone()),
            _ => all,
        });
        let mirror = preset.mirror(&given).unwrap();
        for event in mirror.stories() {
            let story = crate::simulate::Story { kind: event, ..crate::simulate::Story::paid("T1", 1_000, now()) };
            let request = mirror.callback(&story);
            assert_eq!(copied.recognise(&request), own.recognise(&request), "{kind}: {event}");
            let [one, other] = [&copied, &own].map(|channel| match channel.verify(&request, now()) {
                Verdict::Genuine(proven) => proven.into_parts().0,
                other => panic!("{kind}: {event}: {other:?}"),
            });
            assert_eq!(one, other, "{kind}: {event}");
            assert_eq!(copied.fields(&request), own.fields(&request), "{kind}: {event}");
        }
        for answer in crate::channel::Answer::ALL {
            assert_eq!(copied.answer(*answer, None), own.answer(*answer, None), "{kind}");
        }
        assert_eq!(copied.freshness(), own.freshness(), "{kind}");
    }
}

/// What people wrote into the file comes with it.
#[test]
fn comments_are_copied_too() {
    let text = by_kind("razorpay").unwrap().as_channel(|text| text.en);
    assert!(text.starts_with("# Razorpay's webhooks"), "{text}");
    assert!(text.contains("told.\n[channel.event.about.dispute]\n"), "{text}");
    assert!(text.contains("# Money is not taken before it is captured"), "{text}");
    assert!(!text.contains("[preset"), "{text}");
    assert!(text.contains("secret_file = \"keys/razorpay_secret\""), "{text}");
}
