//! What of a query is handed on to an application: all that proves the message, and nothing that anyone could add.

use tollbell_channels::channel::Verdict;
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::Story;

use super::cover::query;
use super::world::{World, with_every_platform};

/// Sides that have several ways to tell one story take turns.
const SERIALS: std::ops::RangeInclusive<u64> = 1..=4;

/// Pairs that no platform writes.
const STRANGERS: &[&str] = &["stranger=", "stranger", "stranger=1", "%73tranger=%00", "_=", "channel=1&stranger="];

#[test]
fn of_a_query_only_the_platforms_own_word_is_handed_on() {
    with_every_platform(queries_are_handed_on);
}

pub(crate) fn queries_are_handed_on(world: &World) {
    for story in world.stories() {
        for serial in SERIALS {
            let story = Story { serial, ..story.clone() };
            handed_on(world, &world.side.callback(&story).request);
        }
    }
}

fn handed_on(world: &World, genuine: &RawRequest) {
    let kind = world.platform.kind;
    let with = |query: Option<String>| RawRequest { query, ..genuine.clone() };
    let signed = world.channel.signed_query(genuine);
    let original = world.accepts("as it came", genuine);
    let Some(plain) = genuine.query.as_deref() else {
        assert_eq!(signed, None, "{kind}: there is no query");
        let beside = with(Some("stranger=1".to_owned()));
        if matches!(world.verify(&beside), Verdict::Genuine(_)) {
            assert_eq!(world.channel.signed_query(&beside), None, "{kind}: nothing of the message stands there");
        }
        return;
    };
    // A platform's own side adds nothing that it does not sign.
    assert_eq!(signed.as_deref(), Some(plain), "{kind}: byte for byte");
    for pair in query(genuine) {
        let is_known = world.channel.query_names().iter().any(|name| pair.is_called(name));
        assert!(is_known, "{kind}: {} is no known name", pair.shown());
    }
    let (first, rest) = plain.split_once('&').unwrap_or((plain, ""));
    for stranger in STRANGERS {
        for written in
            [format!("{stranger}&{plain}"), format!("{plain}&{stranger}"), format!("&{first}&&{stranger}&{rest}")]
        {
            let mixed = with(Some(written));
            let Verdict::Genuine(proven) = world.verify(&mixed) else { continue };
            assert_eq!(proven.value().key(), original.key(), "{kind}: {stranger}");
            assert_eq!(world.channel.signed_query(&mixed).as_deref(), Some(plain), "{kind}: {stranger}");
        }
    }
}
