//! Keys, merchants, environments and platforms that belong to somebody else.

use std::time::Duration;

use tollbell_channels::channel::Rejection;
use tollbell_channels::explain::Outcome;
use tollbell_channels::model::Environment;
use tollbell_channels::settings::{KeyMark, SettingKind, SettingValue, Settings};

use super::Damage;
use crate::explain::matrix::genuine;
use crate::explain::stage::{Other, Scene, Stage, secrets, stages};

/// How long ago a key ended.
const LONG_AGO: Duration = Duration::from_hours(720);

pub(super) static DAMAGES: &[Damage] = &[
    Damage::first("other_channel", "another merchant's message, whose channel is there", |scene| {
        let own = with_other_ids(&scene, &with_keys_of(scene.stage, &scene.stage.settings, &scene.stage.neighbour))?;
        Some(beside_the_right_one(scene, own))
    }),
    Damage::first("other_channel", "the same under one platform key for both", |scene| {
        let own = with_other_ids(&scene, &scene.stage.settings)?;
        Some(beside_the_right_one(scene, own))
    }),
    Damage::first("other_channel", "among channels of other platforms", |scene| {
        let own = with_other_ids(&scene, &with_keys_of(scene.stage, &scene.stage.settings, &scene.stage.neighbour))?;
        let mut scene = beside_the_right_one(scene, own);
        let strangers = stages().iter().filter(|stage| stage.platform.family != scene.stage.platform.family);
        let strangers = strangers.take(5).map(|stage| right_one(stage, "stranger"));
        scene.others.splice(0..0, strangers);
        Some(scene)
    }),
    Damage::first("other_environment", "the other environment's message, whose channel is there", |scene| {
        let mut own =
            with_other_ids(&scene, &with_keys_of(scene.stage, &scene.stage.settings, &scene.stage.neighbour))?;
        own.environment = match own.environment {
            Environment::Live => Environment::Sandbox,
            Environment::Sandbox => Environment::Live,
        };
        Some(beside_the_right_one(scene, own))
    }),
    Damage::first("other_platform", "the message of the next platform, whose channel is there", |scene| {
        let own = place(scene.stage);
        let all = stages();
        let source = &all[(own + 1) % all.len()];
        from(scene, source)
    }),
    Damage::first("other_platform", "the message of another platform of the family", |scene| {
        let own = place(scene.stage);
        let family = scene.stage.platform.family;
        let mut relatives = stages().iter().enumerate();
        let (_, source) = relatives.find(|(at, stage)| *at != own && stage.platform.family == family)?;
        from(scene, source)
    }),
    Damage::first("key_of_other_channel", "own ids, and another channel's keys", |scene| {
        let right = with_other_ids(&scene, &scene.stage.settings)?;
        let own = with_keys_of(scene.stage, &scene.stage.settings, &scene.stage.neighbour);
        let platform = scene.stage.platform;
        Some(scene.with_settings(own).beside(vec![Other { id: "right", platform, settings: Some(right) }]))
    }),
    Damage::first("keys_swapped", "two secrets in each other's place", |scene| {
        let all = secrets(scene.stage.platform, &scene.stage.settings);
        let key = |bytes: &[u8]| SettingValue::Key(bytes.to_vec().into());
        let single: Vec<_> = all.iter().filter(|(name, ..)| scene.stage.settings.key(name).is_some()).collect();
        for (at, (one, _, first)) in single.iter().enumerate() {
            for (other, _, second) in &single[at + 1..] {
                let swapped = scene.stage.settings.clone().with(one, key(second)).with(other, key(first));
                if !outcome(&scene, &swapped).is_accepted() {
                    return Some(scene.beside(Vec::new()).with_settings(swapped));
                }
            }
        }
        None
    }),
    Damage::first("unknown_key", "the key that is named is not configured", |scene| {
        let scene = scene.beside(Vec::new());
        let is_due = |rejection: &Outcome| {
            matches!(rejection, Outcome::NeedsKey { .. } | Outcome::Refused(Rejection::UnknownKey { .. }))
        };
        let other = others_one_by_one(&scene).into_iter().find(|settings| is_due(&outcome(&scene, settings)))?;
        Some(scene.with_settings(other))
    }),
    Damage::first("key_ended", "a former secret that has ended", |scene| {
        let list = scene.stage.platform.settings.iter().find(|setting| setting.kind == SettingKind::SecretFiles)?;
        let (single, _, former) = secrets(scene.stage.platform, &scene.stage.settings).into_iter().next()?;
        let (_, _, fresh) = secrets(scene.stage.platform, &scene.stage.neighbour).into_iter().next()?;
        let until = scene.now.checked_sub(LONG_AGO).ok();
        let keys = SettingValue::Keys(vec![former.into(), fresh.into()]);
        let settings = scene.stage.settings.clone().without(single).with(list.name, keys);
        let settings = settings.with_mark(list.name, 0, KeyMark { name: Some("former.key".to_owned()), until });
        let scene = scene.beside(Vec::new());
        Some(scene.with_settings(settings))
    }),
    Damage::first("key_ended", "the only key has ended", |scene| {
        let is_key = |value: &SettingValue| matches!(value, SettingValue::Key(_));
        let values: Vec<_> = scene.stage.settings.values().filter(|(_, value)| is_key(value)).collect();
        let until = scene.now.checked_sub(LONG_AGO).ok();
        let ended = |name| {
            let mark = KeyMark { name: Some("former.key".to_owned()), until };
            scene.stage.settings.clone().with_mark(name, 0, mark)
        };
        // Of a key for something else the end says nothing.
        let due = values
            .into_iter()
            .map(|(name, _)| ended(name))
            .find(|settings| !outcome(&scene, settings).is_accepted())?;
        Some(scene.beside(Vec::new()).with_settings(due))
    }),
    Damage::first("key_ended", "a certificate that is over", |scene| {
        let late = "2055-01-01T00:00:00Z".parse().expect("a constant time");
        let mut story = scene.story.clone();
        story.at = late;
        let scene = scene.stage.scene(&story).beside(Vec::new());
        Some(scene)
    }),
    Damage::first("other_merchant", "another merchant's message, whose channel is not there", |scene| {
        let own = with_other_ids(&scene, &scene.stage.settings)?;
        Some(scene.beside(Vec::new()).with_settings(own))
    }),
];

/// The stage's place among all.
fn place(stage: &Stage) -> usize {
    stages().iter().position(|other| other.platform.kind == stage.platform.kind).expect("a stage")
}

fn right_one(stage: &Stage, id: &'static str) -> Other {
    Other { id, platform: stage.platform, settings: Some(stage.settings.clone()) }
}

/// Asked is a channel with these settings, and the one for which the message is stands beside.
fn beside_the_right_one(scene: Scene<'_>, own: Settings) -> Scene<'_> {
    let right = right_one(scene.stage, "right");
    scene.with_settings(own).beside(vec![right])
}

/// The same channel is asked about a message of another platform, whose channel stands beside.
fn from<'s>(mut scene: Scene<'s>, source: &'static Stage) -> Option<Scene<'s>> {
    // Whose messages are only asked about, nobody can prove by them.
    (source.genuine_outcome() == Outcome::Genuine).then_some(())?;
    let mut story = scene.story.clone();
    story.kind = *source.side.stories().first()?;
    scene.genuine = source.side.callback(&story);
    scene.request = scene.genuine.request.clone();
    Some(scene.beside(vec![right_one(source, "right")]))
}

/// What becomes of the scene under other settings.
pub(super) fn outcome(scene: &Scene<'_>, settings: &Settings) -> Outcome {
    let diagnosis = scene.clone().with_settings(settings.clone()).diagnose();
    diagnosis.map_or(Outcome::Genuine, |diagnosis| diagnosis.outcome)
}

/// Settings with other key material.
pub(super) fn with_keys_of(stage: &Stage, settings: &Settings, other: &Settings) -> Settings {
    let mut mixed = settings.clone();
    for setting in stage.platform.settings {
        let is_key = matches!(setting.kind, SettingKind::PublicKey | SettingKind::SecretKey | SettingKind::SecretFiles);
        let value = other.values().find(|(name, _)| *name == setting.name);
        if let (true, Some((name, value))) = (is_key, value) {
            mixed = mixed.with(name, value.clone());
        }
    }
    mixed
}

/// The stage's settings with one text otherwise, as often as there are texts in them.
fn others_one_by_one(scene: &Scene<'_>) -> Vec<Settings> {
    let settings = &scene.stage.settings;
    texts(scene.stage, settings).into_iter().map(|(name, value)| settings.clone().with(name, value)).collect()
}

/// Each text of the settings, otherwise.
pub(super) fn texts(stage: &Stage, settings: &Settings) -> Vec<(&'static str, SettingValue)> {
    let is_text = |name: &str| {
        let kinds = stage.platform.settings.iter().filter(|setting| setting.name == name);
        kinds.into_iter().any(|setting| matches!(setting.kind, SettingKind::Text | SettingKind::Texts))
    };
    let other = |(name, value): (&'static str, &SettingValue)| match value {
        SettingValue::Text(text) => Some((name, SettingValue::Text(otherwise(text)))),
        SettingValue::Texts(texts) => {
            Some((name, SettingValue::Texts(texts.iter().map(|text| otherwise(text)).collect())))
        }
        _ => None,
    };
    settings.values().filter(|(name, _)| is_text(name)).filter_map(other).collect()
}

/// Settings with other ids: those alone for which a message is refused because it is another merchant's. None where the
/// platform's messages say nothing of whose they are.
fn with_other_ids(scene: &Scene<'_>, settings: &Settings) -> Option<Settings> {
    let stage = scene.stage;
    let ids = stage.ids.get_or_init(|| {
        let is_id = |outcome: &Outcome| matches!(outcome, Outcome::Refused(Rejection::UnknownMerchant { .. }));
        let alone = genuine(stage).beside(Vec::new());
        let changed = |name, value| outcome(&alone, &stage.settings.clone().with(name, value));
        let texts = texts(stage, &stage.settings).into_iter();
        texts.filter(|(name, value)| is_id(&changed(name, value.clone()))).map(|(name, _)| name).collect()
    });
    let others = texts(stage, &stage.settings).into_iter().filter(|(name, _)| ids.contains(name));
    (!ids.is_empty()).then(|| others.fold(settings.clone(), |settings, (name, value)| settings.with(name, value)))
}

/// A text of the same form that says something else.
fn otherwise(text: &str) -> String {
    let Some(last) = text.chars().next_back() else { return String::new() };
    let other = match last {
        '0'..='8' => char::from(u8::try_from(last).expect("a digit") + 1),
        '9' => '1',
        'a'..='y' | 'A'..='Y' => char::from(u8::try_from(last).expect("a letter") + 1),
        _ => 'a',
    };
    format!("{}{other}", &text[..text.len() - last.len_utf8()])
}
