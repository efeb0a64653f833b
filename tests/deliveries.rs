//! Deliveries on the way to an application's own address: signed afresh, told as events, and across a change of
//! what the target takes.

mod support {
    pub(crate) mod application;
    pub(crate) mod gateway;
}

use std::fs;
use std::path::Path;
use std::process::Command;

use support::application::{App, Asked, confirms, says};
use support::gateway::{Setup, World, wait_for};
use tollbell_channels::model::EventKind;
use tollbell_channels::simulate::Story;

/// A world whose one target is an application's address.
fn world(platform: &'static str, app: &App, more: &str) -> World {
    let mut setup = Setup::new("127.0.0.1:9", Path::new("/x.php"));
    setup.platform = platform;
    let world = World::new(&setup);
    let target = format!(
        "[[target]]\nid = \"shop\"\nkind = \"http\"\nurl = \"{}\"\nattempt_timeout = \"2s\"\n\
         terminate_timeout = \"100ms\"\nconnect_timeout = \"1s\"\n{more}\n",
        app.url("/pay")
    );
    world.reconfigure(|text| format!("{}{target}", text.split("[[target]]").next().unwrap()));
    world
}

fn delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

/// Asks OpenSSL whether what arrived is signed with this public key, as a shop's kit reads it.
fn is_signed(world: &World, asked: &Asked, key: &Path) -> bool {
    let header = |name: &str| asked.header(name).unwrap_or_else(|| panic!("no {name} in {asked:?}"));
    let mut message = format!("{}\n{}\n", header("wechatpay-timestamp"), header("wechatpay-nonce")).into_bytes();
    message.extend_from_slice(&asked.body);
    message.push(b'\n');
    fs::write(world.path("message"), message).unwrap();
    fs::write(world.path("signature.b64"), header("wechatpay-signature")).unwrap();
    let openssl = |args: &[&str]| Command::new("openssl").current_dir(world.folder.path()).args(args).output().unwrap();
    let decoded = openssl(&["base64", "-d", "-A", "-in", "signature.b64", "-out", "signature"]);
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    let key = key.to_str().unwrap();
    openssl(&["dgst", "-sha256", "-verify", key, "-signature", "signature", "message"]).status.success()
}

#[test]
fn the_original_request_is_signed_afresh_for_an_address_too() {
    let app = App::new(says("500 Oops", "", "later"));
    let mut world = world("wechat_pay", &app, "format = \"raw\"\nsignature = \"resigned\"");
    world.reconfigure(|text| text.replace("[[channel]]\n", "[[channel]]\nresign_key_file = \"keys/own.pem\"\n"));
    let made = world.json(&["resign-key", "wechat_pay"]).remove(0);
    let public = Path::new(made["public"][0]["path"].as_str().unwrap()).to_owned();
    let platforms = world.path("wechatpay_public.pem");
    let _gateway = world.start();
    let payment = world.payment("R-1", 1000);
    assert_eq!(world.send(&payment).unwrap().status, 204);
    wait_for("two tries", || (app.asked().len() >= 2).then_some(()));
    app.does(says("200 OK", "", "{\"code\":\"SUCCESS\"}"));
    delivered(&world, 1);
    let asked = app.asked();
    for one in &asked {
        assert_eq!(one.body, payment.body, "the body is the platform's");
        assert_eq!(one.header("wechatpay-serial"), made["public"][0]["id"].as_str());
        assert!(is_signed(&world, one, &public));
        assert!(!is_signed(&world, one, &platforms), "the platform's own signature does not go out");
    }
    let mut nonces: Vec<_> = asked.iter().map(|one| one.header("wechatpay-nonce").unwrap()).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), asked.len(), "each try has its own");
}

#[test]
fn an_encrypted_callback_arrives_as_an_event_in_plain_words() {
    let app = App::new(confirms());
    let mut world = world("wechat_pay", &app, "");
    let _gateway = world.start();
    let payment = world.payment("E-1", 1000);
    assert_eq!(world.send(&payment).unwrap().status, 204);
    assert_eq!(world.send(&payment).unwrap().status, 204);
    let refund = Story { refunded_minor: 300, ..world.story(EventKind::RefundSucceeded, "E-1", 1000) };
    let refund = world.side.callback(&refund).request;
    assert_eq!(world.send(&refund).unwrap().status, 204);
    delivered(&world, 2);
    let told: Vec<_> = app.asked().iter().map(Asked::json).collect();
    let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["payment.succeeded", "refund.succeeded"]);
    let known = world.events();
    for (event, known) in told.iter().zip(&known) {
        assert_eq!(event["id"], known["id"]);
        assert_eq!(event["data"]["order_no"], "E-1");
        assert_eq!(event["data"]["channel"], "wechat_pay");
        let fields = &event["data"]["fields"];
        assert!(fields.as_object().is_some_and(|fields| !fields.is_empty()), "{event}");
        assert!(!event.to_string().contains("ciphertext\":\""), "{event}");
    }
    assert_eq!(told[0]["data"]["amount"]["text"], "10.00");
    assert_eq!(told[0]["data"]["fields"]["plaintext.out_trade_no"], "E-1");
    assert_eq!(told[1]["data"]["amount"]["text"], "3.00");
}

#[test]
fn what_was_one_request_is_every_one_of_its_events_when_the_target_takes_events() {
    let app = App::new(says("500 Oops", "", "later"));
    let mut world = world("alipay", &app, "format = \"raw\"");
    let mut gateway = world.start();
    // A refund notice of this platform proves its payment too: two events, one request.
    let story = Story { refunded_minor: 300, ..world.story(EventKind::RefundSucceeded, "B-1", 1000) };
    let refund = world.side.callback(&story).request;
    assert_eq!(world.send(&refund).unwrap().status, 200);
    wait_for("a try", || (!app.asked().is_empty()).then_some(()));
    gateway.terminate();
    let before = app.asked().len();
    // It serves one request a connection, and has to say so: two events come one right after the other.
    app.does(says("204 No Content", "connection: close\r\n", ""));
    world.reconfigure(|text| text.replace("format = \"raw\"", "format = \"event\""));
    let _gateway = world.start();
    delivered(&world, 1);
    let told: Vec<_> = app.asked()[before..].iter().map(Asked::json).collect();
    let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["payment.succeeded", "refund.succeeded"], "in their order, and none is lost");
    let ids: Vec<_> = world.events().iter().map(|event| event["id"].clone()).collect();
    assert!(told.iter().all(|event| ids.contains(&event["id"])));
}
