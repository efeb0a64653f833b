//! Callbacks by GET, whole: what stands in a query is verified, stored, answered, and comes to the application byte
//! for byte; beside it the same platform's forms.

mod support {
    pub(crate) mod application;
    pub(crate) mod gateway;
    pub(crate) mod net;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::path::Path;

use http::Method;
use serde_json::{Value, json};
use support::application::{App, says};
use support::gateway::{Gateway, Replied, Setup, World, wait_for, wire};
use support::net::{converse, status};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::form;
use tollbell_channels::model::RawRequest;
use tollbell_channels::signature::digest::{DigestHash, HexCase};

const PLATFORM: &str = "epay";

/// A shop with a notify page that checks signatures by itself.
struct Shop {
    fpm: PhpFpm,
    world: World,
    _gateway: Gateway,
}

impl Shop {
    fn new(channel: &str) -> Self {
        Self::with(channel, "")
    }

    /// With lines added to the channel and the target.
    fn with(channel: &str, target: &str) -> Self {
        let fpm = PhpFpm::start(&Options::default());
        fpm.copy_scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/php"));
        let mut setup = Setup::new(&fpm.address(), &fpm.root().join("epay.php"));
        setup.platform = PLATFORM;
        channel.clone_into(&mut setup.channel);
        setup.target.push_str(target);
        let world = World::new(&setup);
        for name in ["epay_key", "epay_platform_public.pem"] {
            fs::copy(world.path(name), fpm.root().join(name)).unwrap();
        }
        let gateway = world.start();
        Self { fpm, world, _gateway: gateway }
    }

    /// Method, query and body of every call, as PHP saw them.
    fn seen(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.fpm.root().join("epay.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

#[track_caller]
fn is_success(replied: Option<Replied>) {
    let replied = replied.expect("a reply");
    assert_eq!((replied.status, replied.text().as_str()), (200, "success"));
}

#[track_caller]
fn is_failure(replied: Option<Replied>) {
    let replied = replied.expect("a reply");
    assert_eq!((replied.status, replied.text().as_str()), (400, "fail"));
}

/// A V1 callback with these fields, signed with the world's KEY.
fn signed(world: &World, fields: &[(&str, &str)]) -> RawRequest {
    let key = fs::read(world.path("epay_key")).unwrap();
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let text = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let sign = DigestHash::Md5.hex_of(&[text.as_bytes(), &key], HexCase::Lower);
    let all = fields.iter().copied().chain([("sign", sign.as_str()), ("sign_type", "MD5")]);
    let query = form::encode(all.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    RawRequest {
        method: Method::GET,
        path: String::new(),
        query: Some(String::from_utf8(query).unwrap()),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        source: None,
        received_at: support::gateway::now(),
    }
}

#[test]
fn both_generations_by_get_and_by_form_reach_a_script_that_checks_them_itself() {
    let mut shop = Shop::new("");
    let mut sent = Vec::new();
    for number in 0..4 {
        let request = shop.world.payment(&format!("E-{number}"), 1_010);
        is_success(shop.world.send(&request));
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        sent.push(json!([request.method.as_str(), request.query.clone().unwrap_or_default(), body]));
    }
    delivered(&shop.world, 4);
    let mut seen = shop.seen();
    for list in [&mut seen, &mut sent] {
        list.sort_by_key(Value::to_string);
    }
    assert_eq!(seen, sent);
    assert_eq!(sent.iter().filter(|one| one[0] == "GET").count(), 2);
    for event in shop.world.events() {
        assert_eq!(
            (&event["type"], &event["data"]["amount"]["minor"]),
            (&json!("payment.succeeded"), &json!(1_010)),
            "{event}"
        );
    }
}

#[test]
fn a_query_goes_on_to_an_address_byte_for_byte_without_being_asked_for() {
    let app = App::new(says("200 OK", "", "success"));
    let mut setup = Setup::new("127.0.0.1:9", Path::new("/x.php"));
    setup.platform = PLATFORM;
    let mut world = World::new(&setup);
    let target = format!(
        "[[target]]\nid = \"shop\"\nkind = \"http\"\nformat = \"raw\"\nsuccess = \"platform\"\nurl = \"{}\"\n",
        app.url("/pay?shop=1")
    );
    world.reconfigure(|text| format!("{}{target}", text.split("[[target]]").next().unwrap()));
    let _gateway = world.start();
    let by_get = world.payment("E-1", 100);
    is_success(world.send(&by_get));
    delivered(&world, 1);
    // The next but one comes as a form, and nothing of its address goes on.
    let _by_get_too = world.payment("E-2", 100);
    let by_form = world.payment("E-3", 100);
    assert_eq!((&by_form.method, &by_form.query), (&Method::POST, &None));
    is_success(world.send(&by_form));
    delivered(&world, 2);
    let asked = app.asked();
    let query = by_get.query.unwrap();
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("GET", format!("/pay?shop=1&{query}").as_str()));
    assert!(asked[0].body.is_empty());
    assert_eq!((asked[1].method.as_str(), asked[1].target.as_str()), ("POST", "/pay?shop=1"));
    assert_eq!(asked[1].body, by_form.body);
}

#[test]
fn only_get_and_post_come_in() {
    let mut shop = Shop::new("");
    let genuine = shop.world.payment("E-1", 100);
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH, Method::TRACE] {
        let other = RawRequest { method: method.clone(), ..genuine.clone() };
        let bytes = wire(&shop.world.path_of_channel, &other);
        let heard = converse(shop.world.address, &bytes).expect("a reply and an end");
        assert_eq!(status(&heard), Some(405), "{method}");
        assert!(heard.ends_with(b"\r\n\r\n"), "{method}: a body");
    }
    // The right method with the query where a form belongs, and a body where none does.
    is_failure(shop.world.send(&RawRequest { method: Method::POST, ..genuine.clone() }));
    is_failure(shop.world.send(&RawRequest { body: b"money=1".as_slice().into(), ..genuine.clone() }));
    assert!(shop.world.events().is_empty());
    is_success(shop.world.send(&genuine));
    delivered(&shop.world, 1);
}

#[test]
fn a_callback_by_get_is_recognised_repeated_and_refused_like_any_other() {
    let mut shop = Shop::new("");
    let genuine = shop.world.payment("E-1", 12_345);
    is_success(shop.world.send_to("/notify", &genuine));
    is_success(shop.world.send(&genuine));
    let query = genuine.query.clone().unwrap();
    assert!(query.contains("money=123.45&"), "{query}");
    let forged = RawRequest { query: Some(query.replace("money=123.45", "money=9123.45")), ..genuine.clone() };
    is_failure(shop.world.send(&forged));
    is_failure(shop.world.send(&RawRequest { query: None, ..genuine }));
    delivered(&shop.world, 1);
    assert_eq!(shop.seen().len(), 1);
    let reasons: Vec<Value> = wait_for("the refusals to be kept", || {
        let kept = shop.world.json(&["rejections"]);
        (kept.len() == 2).then(|| kept.iter().map(|one| one["reason"].clone()).collect())
    });
    assert!(reasons.contains(&json!("signature")) && reasons.contains(&json!("empty")), "{reasons:?}");
}

#[test]
fn an_order_that_was_paid_twice_has_two_payments() {
    let shop = Shop::new("");
    for trade_no in ["2026112108000012345", "2026112108000112345"] {
        let request = signed(
            &shop.world,
            &[
                ("pid", "1001"),
                ("trade_no", trade_no),
                ("out_trade_no", "E-1"),
                ("type", "wxpay"),
                ("name", "书 1+1"),
                ("money", "1"),
                ("trade_status", "TRADE_SUCCESS"),
            ],
        );
        is_success(shop.world.send(&request));
        is_success(shop.world.send(&request));
    }
    delivered(&shop.world, 2);
    let events = shop.world.events();
    let numbers: Vec<&Value> = events.iter().map(|event| &event["data"]["platform_no"]).collect();
    assert_eq!(numbers, ["2026112108000012345", "2026112108000112345"]);
    assert!(events.iter().all(|event| event["data"]["order_no"] == "E-1"), "{events:?}");
}

#[test]
fn a_shops_own_parameter_is_refused_until_it_is_named() {
    let with_act = |request: RawRequest| {
        let query = request.query.clone().unwrap();
        RawRequest { query: Some(format!("act=pay&{query}")), ..request }
    };
    let mut strict = Shop::new("");
    let request = with_act(strict.world.payment("E-1", 100));
    is_failure(strict.world.send(&request));
    let kept = wait_for("the refusal to be kept", || strict.world.json(&["rejections"]).pop());
    assert_eq!(kept["reason"], "unsigned");
    assert!(strict.world.events().is_empty());

    let mut told = Shop::new("ignored_parameters = [\"act\"]\n");
    let request = with_act(told.world.payment("E-1", 100));
    is_success(told.world.send(&request));
    delivered(&told.world, 1);
    assert_eq!(told.seen()[0][1].as_str(), request.query.as_deref());
    // It is no part of the message: with another value it is the same one.
    let query = request.query.clone().unwrap().replace("act=pay", "act=other");
    is_success(told.world.send(&RawRequest { query: Some(query), ..request }));
    assert_eq!(told.world.events().len(), 1);
}

#[test]
fn a_secret_in_the_shops_own_address_is_never_stored_and_still_arrives() {
    let mut shop = Shop::with("ignored_parameters = [\"token\"]\n", "request_uri = \"/epay.php?token=hunter2\"\n");
    let request = shop.world.payment("E-1", 100);
    let signed = request.query.clone().unwrap();
    is_success(shop.world.send(&RawRequest { query: Some(format!("token=hunter2&{signed}")), ..request }));
    delivered(&shop.world, 1);
    assert_eq!(shop.seen()[0][1], format!("token=hunter2&{signed}"));
    let mut databases = 0;
    for entry in fs::read_dir(shop.world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("tollbell.db") {
            databases += 1;
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", path.display());
        }
    }
    assert!(databases > 0);
}
