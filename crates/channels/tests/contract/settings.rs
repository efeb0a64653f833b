//! No key, no channel: wrong settings are refused when the channel is built, and the error names them.

use tollbell_channels::settings::{SETTINGS_ERRORS, SettingKind, SettingValue, Settings, SettingsError};

use super::world::{World, accepted, at, build, changed, refused, values, worlds};

fn error_of(world: &World, label: &str, settings: &Settings) -> SettingsError {
    let Err(error) = (world.platform.build)(settings) else {
        panic!("{}: {label}: a channel was built", world.platform.kind)
    };
    assert!(SETTINGS_ERRORS.contains(&error.word), "{}: {label}: word `{}`", world.platform.kind, error.word);
    let is_known = world.platform.settings.iter().any(|setting| setting.name == error.setting);
    assert!(is_known, "{}: {label}: names `{}`", world.platform.kind, error.setting);
    assert!(error.to_string().chars().count() < 300, "{}: {label}: {error}", world.platform.kind);
    error
}

fn with(world: &World, name: &str, value: Option<&SettingValue>) -> Settings {
    changed(world.platform, &world.side.settings(), |other, own| if other == name { value.cloned() } else { Some(own) })
}

#[test]
fn the_settings_are_those_that_the_platform_describes() {
    for world in worlds() {
        let settings = world.side.settings();
        let copied = changed(world.platform, &settings, |_, value| Some(value));
        assert_eq!(format!("{copied:?}"), format!("{settings:?}"), "a setting that the platform does not describe");
        let genuine = world.callback();
        let channel = build(world.platform, &copied);
        accepted(world.platform, "copied settings", channel.verify(&genuine.request, at()));
    }
}

#[test]
fn the_written_settings_build_the_same_channel() {
    for world in worlds() {
        let written = world.side.written_settings();
        for setting in &written {
            let is_key = matches!(setting.value, SettingValue::Key(_));
            assert_eq!(is_key, setting.file_name.is_some(), "{}: `{}`", world.platform.kind, setting.name);
        }
        let settings = written
            .into_iter()
            .fold(Settings::new(world.side.settings().environment), |all, one| all.with(one.name, one.value));
        let channel = build(world.platform, &settings);
        for (story, genuine) in world.callbacks() {
            accepted(world.platform, story.kind.as_str(), channel.verify(&genuine.request, at()));
        }
    }
}

#[test]
fn a_missing_required_setting_is_named() {
    for world in worlds() {
        let nothing = error_of(&world, "no settings", &Settings::new(world.side.settings().environment));
        assert!(["missing", "either_or"].contains(&nothing.word), "{}: {nothing}", world.platform.kind);
        for setting in world.platform.settings.iter().filter(|setting| setting.is_required) {
            let error = error_of(&world, setting.name, &with(&world, setting.name, None));
            assert_eq!((error.setting, error.word), (setting.name, "missing"), "{}", world.platform.kind);
            if setting.kind == SettingKind::Text {
                for blank in ["", " ", "\t\n"] {
                    let blank = SettingValue::Text(blank.to_owned());
                    let error = error_of(&world, "blank", &with(&world, setting.name, Some(&blank)));
                    assert_eq!(error.setting, setting.name, "{}", world.platform.kind);
                }
            }
            if setting.kind == SettingKind::Texts {
                for blank in [vec![], vec![String::new()], vec![" ".to_owned()]] {
                    let blank = SettingValue::Texts(blank);
                    let error = error_of(&world, "blank", &with(&world, setting.name, Some(&blank)));
                    assert_eq!(error.setting, setting.name, "{}", world.platform.kind);
                }
            }
        }
    }
}

#[test]
fn without_any_key_there_is_no_channel() {
    for world in worlds() {
        let keyless = changed(world.platform, &world.side.settings(), |_, value| {
            (!matches!(value, SettingValue::Key(_))).then_some(value)
        });
        error_of(&world, "no key", &keyless);
    }
}

#[test]
fn a_key_that_is_none_is_refused() {
    for world in worlds() {
        for setting in world.platform.settings {
            let Some(key) = world.side.settings().key(setting.name).map(<[u8]>::to_vec) else { continue };
            let mut bad: Vec<(&str, Vec<u8>)> = vec![("empty", Vec::new()), ("blank", b" \r\n".to_vec())];
            if setting.kind == SettingKind::PublicKey {
                bad.extend([
                    ("text", b"not a key".to_vec()),
                    ("base64 of nothing", b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_vec()),
                    ("zeros", vec![0; 294]),
                    ("ones", vec![0xff; 294]),
                    ("armour", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n".to_vec()),
                    ("half", key[..key.len() / 2].to_vec()),
                ]);
            }
            for (label, bytes) in bad {
                let settings = with(&world, setting.name, Some(&SettingValue::Key(bytes.into())));
                let error = error_of(&world, &format!("{}: {label}", setting.name), &settings);
                assert_eq!(error.setting, setting.name, "{}: {label}", world.platform.kind);
            }
        }
    }
}

#[test]
fn a_private_key_in_place_of_a_public_one_is_named() {
    for world in worlds() {
        for setting in world.platform.settings.iter().filter(|setting| setting.kind == SettingKind::PublicKey) {
            let Some(key) = world.side.settings().key(setting.name).map(<[u8]>::to_vec) else { continue };
            for (label, private) in private_keys(&world, &key) {
                let settings = with(&world, setting.name, Some(&SettingValue::Key(private.into())));
                let error = error_of(&world, label, &settings);
                assert_eq!(error.setting, setting.name, "{}: {label}", world.platform.kind);
                assert_eq!(error.word, "private_key_given", "{}: {label}", world.platform.kind);
            }
        }
    }
}

/// The other side's private half as careless people hand it over, alone or beside the public one.
fn private_keys(world: &World, public: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    use base64::Engine as _;
    let exported = world.side.export();
    let bare = base64::engine::general_purpose::STANDARD.encode(&exported);
    let armoured = format!("-----BEGIN PRIVATE KEY-----\n{bare}\n-----END PRIVATE KEY-----\n").into_bytes();
    let mut keys = vec![
        ("as it was exported", exported),
        ("in base64", bare.into_bytes()),
        ("in armour", armoured.clone()),
        ("before the public one", [armoured.as_slice(), public].concat()),
    ];
    if public.starts_with(b"-----BEGIN ") {
        keys.push(("behind the public one", [public, b"\n", &armoured].concat()));
    }
    keys
}

#[test]
fn another_sides_key_with_our_ids_proves_nothing() {
    for world in worlds() {
        let stranger = World::new(world.platform);
        let foreign = stranger.side.settings();
        let mixed = changed(world.platform, &world.side.settings(), |name, value| {
            Some(match value {
                SettingValue::Key(_) => SettingValue::Key(foreign.key(name).expect("the same key").to_vec().into()),
                other => other,
            })
        });
        let channel = build(world.platform, &mixed);
        for (story, genuine) in world.callbacks() {
            let rejection = refused(world.platform, story.kind.as_str(), channel.verify(&genuine.request, at()));
            let words = ["signature", "unknown_key", "undecryptable"];
            assert!(words.contains(&rejection.word()), "{}: {rejection}", world.platform.kind);
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    for world in worlds() {
        for (name, own) in values(world.platform, &world.side.settings()) {
            let is_required = world.platform.settings.iter().any(|s| s.name == name && s.is_required);
            let wrong =
                if matches!(own, SettingValue::Number(_)) { SettingValue::Flag(true) } else { SettingValue::Number(1) };
            let outcome = (world.platform.build)(
                &changed(world.platform, &world.side.settings(), |_, value| Some(value)).with(name, wrong),
            );
            assert!(outcome.is_err() || !is_required, "{}: `{name}` of another type", world.platform.kind);
        }
    }
}
