//! The text that a merchant copies is a configured platform that does the same.

use super::*;
use crate::simulate::OtherSide;

/// The tables of a channel's text.
fn settings_of(text: &str, account: &str, given: &dyn OtherSide) -> Settings {
    let key = |bytes: &[u8]| SettingValue::Key(bytes.to_vec().into());
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
            (file, _) if file.ends_with("_file") => {
                let known = custom::PLATFORM.settings.iter().find(|setting| file == format!("{}_file", setting.name));
                let setting = known.unwrap_or_else(|| panic!("no setting `{file}`"));
                settings.with(setting.name, given.settings().key(setting.name).map_or_else(|| panic!("{file}"), key))
            }
            ("values", Tree::Table(values)) => {
                let pair = |(name, value): &(String, Tree)| match value {
                    Tree::Text(text) => (name.clone(), text.clone()),
                    other => panic!("{other:?}"),
                };
                settings.with("values", SettingValue::Pairs(values.iter().map(pair).collect()))
            }
            (name, value) => {
                let known = custom::PLATFORM.settings.iter().find(|setting| setting.name == name);
                let setting = known.unwrap_or_else(|| panic!("no setting `{name}`"));
                match (setting.kind, value) {
                    (SettingKind::Tree { .. }, tree) => settings.with(setting.name, SettingValue::Tree(tree.clone())),
                    (_, Tree::Text(text)) => {
                        let given = given.settings();
                        let text = given.text(setting.name).unwrap_or(text);
                        settings.with(setting.name, SettingValue::Text(text.to_owned()))
                    }
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
        let side = preset.other_side();
        let given = side.settings();
        let own = preset.build(&given).unwrap();
        let settings = settings_of(&text, given.text("account").unwrap(), &*side);
        let copied = custom::build(&settings).unwrap_or_else(|error| panic!("{kind}: {error}\n{text}"));
        for event in side.stories() {
            let story = crate::simulate::Story { kind: *event, ..crate::simulate::Story::paid("T1", 1_000, now()) };
            let request = side.callback(&story).request;
            assert_eq!(copied.recognise(&request), own.recognise(&request), "{kind}: {event}");
            let [one, other] = [&copied, &own].map(|channel| match channel.verify(&request, now()) {
                Verdict::Genuine(proven) => format!("{:?}", proven.into_parts().0),
                Verdict::Hint(hint) => format!("{hint:?}"),
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
    assert!(text.contains("told.\n[channel.event.facts.dispute]\n"), "{text}");
    assert!(text.contains("# Money is not taken before it is captured"), "{text}");
    assert!(!text.contains("[preset"), "{text}");
    assert!(text.contains("secret_file = \"keys/razorpay_secret\""), "{text}");
}
