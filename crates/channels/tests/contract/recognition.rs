//! Recognition finds the channel of a request by its shape and ids.

use tollbell_channels::channel::{Channel, Likeness, Rejection, Verdict};
use tollbell_channels::recognition::recognise;
use tollbell_channels::settings::{SettingValue, Settings};

use super::cover::carrier;
use super::pairs::with_text;
use super::world::{World, build, changed, values, worlds};

#[test]
fn a_channel_recognises_its_own_requests() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let likeness = world.channel.recognise(&genuine.request);
            assert_eq!(likeness, Likeness::Merchant, "{}: {}", world.platform.kind, story.kind);
        }
    }
}

#[test]
fn another_sides_request_is_not_this_merchants() {
    for world in naming_worlds() {
        let stranger = World::new(world.platform);
        let share_an_id = {
            let others = ids(&stranger, &stranger.side.settings());
            ids(&world, &world.side.settings()).iter().any(|id| others.contains(id))
        };
        for (story, genuine) in world.callbacks() {
            let likeness = stranger.channel.recognise(&genuine.request);
            assert!(
                likeness < Likeness::Merchant || share_an_id,
                "{}: {}: a stranger's request is {likeness}",
                world.platform.kind,
                story.kind
            );
        }
    }
}

/// The platforms whose messages say whose they are.
fn naming_worlds() -> impl Iterator<Item = World> {
    worlds().into_iter().filter(|world| world.side.names_merchant())
}

/// A platform whose messages are said to name nobody: no id of the merchant stands in them. Whoever has two of them needs
/// two addresses, and at a common one they are ambiguous.
#[test]
fn what_names_no_merchant_is_ambiguous_between_two() {
    for world in worlds().iter().filter(|world| !world.side.names_merchant()) {
        let kind = world.platform.kind;
        let stranger = World::new(world.platform);
        let own: &dyn Channel = world.channel.as_ref();
        for (story, genuine) in world.callbacks() {
            let request = &genuine.request;
            let shown = format!("{request:?} {}", String::from_utf8_lossy(&request.body));
            for id in ids(world, &world.side.settings()) {
                assert!(!shown.contains(&id), "{kind}: {}: `{id}` is named", story.kind);
            }
            let found = recognise(request, [("one", own, 1), ("two", stranger.channel.as_ref(), 2)]);
            let both = vec!["one".to_owned(), "two".to_owned()];
            assert_eq!(found, Err(Rejection::Ambiguous { candidates: both }), "{kind}: {}", story.kind);
            // The signature decides, whoever was asked.
            stranger.refuses_as(story.kind.as_str(), request, &["signature", "unknown_key"]);
        }
    }
}

/// The texts of the settings: the merchant's ids, and little else.
fn ids(world: &World, settings: &Settings) -> Vec<String> {
    values(world.platform, settings)
        .into_iter()
        .flat_map(|(_, value)| match value {
            SettingValue::Text(text) => vec![text],
            SettingValue::Texts(texts) => texts,
            _ => Vec::new(),
        })
        .collect()
}

/// The same channel with the last digit of every id changed.
fn neighbour(world: &World) -> Box<dyn Channel> {
    let next = |text: String| {
        let mut text = text;
        if let Some(digit) = text.pop().and_then(|last| last.to_digit(10)) {
            text.push(char::from_digit((digit + 1) % 10, 10).expect("a digit"));
        }
        text
    };
    let settings = changed(world.platform, &world.side.settings(), |_, value| {
        Some(match value {
            SettingValue::Text(text) => SettingValue::Text(next(text)),
            SettingValue::Texts(texts) if texts.iter().all(|t| t.ends_with(|c: char| c.is_ascii_digit())) => {
                SettingValue::Texts(texts.into_iter().map(next).collect())
            }
            other => other,
        })
    });
    assert_ne!(ids(world, &settings), ids(world, &world.side.settings()), "no id to change");
    build(world.platform, &settings)
}

#[test]
fn a_neighbours_request_is_not_this_merchants_even_with_the_same_key() {
    for world in naming_worlds() {
        let neighbour = neighbour(&world);
        for (story, genuine) in world.callbacks() {
            let label = format!("{}: {}", world.platform.kind, story.kind);
            assert!(neighbour.recognise(&genuine.request) < Likeness::Merchant, "{label}");
            match neighbour.verify(&genuine.request, story.at) {
                Verdict::Genuine(proven) => {
                    assert!(!proven.value().concerns.is_empty(), "{label}: passed for another merchant");
                }
                // Where a key has an id of its own, that is among the ids that differ.
                Verdict::Refused(_) | Verdict::NeedsKey(_) => {}
                other @ Verdict::Hint(_) => panic!("{label}: {other:?}"),
            }
        }
    }
}

#[test]
fn among_all_channels_each_request_finds_its_own() {
    let ours = worlds();
    let neighbours: Vec<Box<dyn Channel>> = ours.iter().map(neighbour).collect();
    for world in &ours {
        for (story, genuine) in world.callbacks() {
            let candidates = ours.iter().enumerate().flat_map(|(at, other)| {
                let kind = other.platform.kind;
                [("neighbour", neighbours[at].as_ref(), "neighbour"), (kind, other.channel.as_ref(), kind)]
            });
            let found = recognise(&genuine.request, candidates);
            let kind = world.platform.kind;
            let expected = if world.side.names_merchant() {
                Ok(kind)
            } else {
                Err(Rejection::Ambiguous { candidates: vec!["neighbour".to_owned(), kind.to_owned()] })
            };
            assert_eq!(found, expected, "{kind}: {}", story.kind);
        }
    }
}

#[test]
fn two_equal_channels_are_ambiguous_and_none_is_unrecognised() {
    for world in worlds() {
        let twin = build(world.platform, &world.side.settings());
        let neighbour = neighbour(&world);
        let genuine = world.callback();
        let request = &genuine.request;
        let own: &dyn Channel = world.channel.as_ref();
        let found = recognise(request, [("one", own, 1), ("two", twin.as_ref(), 2)]);
        assert_eq!(found, Err(Rejection::Ambiguous { candidates: vec!["one".to_owned(), "two".to_owned()] }));
        let found = recognise(request, [("neighbour", neighbour.as_ref(), 1)]);
        assert!(matches!(found, Ok(1) | Err(Rejection::UnknownMerchant { .. })), "{found:?}");
        let garbage = with_text(request, carrier(&genuine), b"garbage".to_vec());
        let found = recognise(&garbage, [("one", own, 1), ("two", twin.as_ref(), 2)]);
        assert_eq!(found, Err(Rejection::Unrecognised));
        assert_eq!(recognise(request, std::iter::empty::<(&str, &dyn Channel, u8)>()), Err(Rejection::Unrecognised));
    }
}
