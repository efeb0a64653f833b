//! A platform's check of an address: answered in its exact words by the running gateway, counted, and kept nowhere.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod net;
}

use std::path::Path;

use http::Method;
use support::gateway::{Replied, Setup, World, wait_for};
use support::net::metric;
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::Challenge;

const PLATFORM: &str = "braintree";

fn world() -> World {
    let mut setup = Setup::new("127.0.0.1:9", Path::new("/nowhere/notify.php"));
    setup.platform = PLATFORM;
    World::new(&setup)
}

fn asked(world: &World, serial: u64) -> Challenge {
    world.side.challenge(serial).expect("this platform checks addresses")
}

fn got(replied: Option<Replied>) -> (u16, String) {
    let replied = replied.expect("a reply");
    (replied.status, replied.text())
}

fn counted(world: &World, name: &str) -> u64 {
    metric(world, &format!("{name}{{channel=\"{PLATFORM}\"}}"))
}

#[test]
fn an_address_is_checked_and_nothing_is_kept() {
    let world = world();
    let _gateway = world.start();
    for serial in 0..5 {
        let Challenge { request, reply } = asked(&world, serial);
        let expected = String::from_utf8(reply.body.to_vec()).unwrap();
        let replied = world.send(&request).expect("a reply");
        assert_eq!((replied.status, replied.text()), (200, expected.clone()));
        let head = replied.head.to_ascii_lowercase();
        assert!(head.contains("content-type: text/plain"), "{head}");
        // At the common path it is recognised, and named by the query it is the same.
        assert_eq!(got(world.send_to("/notify", &request)), (200, expected.clone()));
        let path = format!("/notify?channel={PLATFORM}&{}", request.query.as_deref().unwrap());
        assert_eq!(got(world.send_to(&path, &request)), (200, expected));
    }
    assert_eq!(counted(&world, "tollbell_challenges_total"), 15);
    assert_eq!(counted(&world, "tollbell_received_total"), 15);
    assert_eq!(counted(&world, "tollbell_stored_total"), 0);
    assert_eq!(world.json(&["rejections"]).len(), 0);
    assert_eq!(world.events().len(), 0);
}

#[test]
fn no_other_get_is_answered() {
    let world = world();
    let _gateway = world.start();
    let Challenge { request, reply } = asked(&world, 1);
    let own = request.query.clone().unwrap();
    let with = |query: &str| RawRequest { query: Some(query.to_owned()), ..request.clone() };
    for query in [
        own.to_ascii_uppercase(),
        format!("{own}0"),
        format!("{own}&{own}"),
        own.replace('=', "=%20"),
        own[..own.len() - 20].to_owned(),
        "a=1".to_owned(),
        String::new(),
    ] {
        let (status, text) = got(world.send(&with(&query)));
        assert_eq!((status, text.as_str()), (400, "refused"), "{query}");
    }
    assert_eq!(counted(&world, "tollbell_challenges_total"), 0);
    wait_for("seven refusals", || (world.json(&["rejections"]).len() == 7).then_some(()));
    // As a callback, the answer to the question is no proof.
    let form =
        format!("bt_signature={}&bt_payload={}", String::from_utf8_lossy(&reply.body), &own["bt_challenge=".len()..]);
    let mut forged = RawRequest { method: Method::POST, query: None, body: form.into(), ..request };
    forged.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    assert_eq!(got(world.send(&forged)).0, 400);
    assert_eq!(world.events().len(), 0);
}

/// What limits callbacks limits it, too: an address that the channel does not take anything from learns nothing.
#[test]
fn a_stranger_to_the_list_gets_no_answer() {
    let mut setup = Setup::new("127.0.0.1:9", Path::new("/nowhere/notify.php"));
    setup.platform = PLATFORM;
    setup.channel = "allow_ips = [\"192.0.2.0/24\"]\n".to_owned();
    let world = World::new(&setup);
    let _gateway = world.start();
    let (status, text) = got(world.send(&asked(&world, 1).request));
    assert_eq!((status, text.as_str()), (400, "refused"));
    assert_eq!(counted(&world, "tollbell_challenges_total"), 0);
}
