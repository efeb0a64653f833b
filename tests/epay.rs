//! Callbacks by GET, or by POST without a body, whole: what stands in a query is verified, stored, answered, and what is
//! signed of it comes to the application byte for byte; beside it the same platform's forms.

mod support {
    pub(crate) mod application;
    pub(crate) mod gateway;
    pub(crate) mod net;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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
    gateway: Gateway,
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
        Self { fpm, world, gateway }
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

/// A gateway that is not running, with an address in place of a script.
fn with_address(url: &str, channel: &str) -> World {
    let mut setup = Setup::new("127.0.0.1:9", Path::new("/x.php"));
    setup.platform = PLATFORM;
    channel.clone_into(&mut setup.channel);
    let world = World::new(&setup);
    let target = format!(
        "[[target]]\nid = \"shop\"\nkind = \"http\"\nformat = \"raw\"\nsuccess = \"platform\"\nurl = \"{url}\"\n"
    );
    world.reconfigure(|text| format!("{}{target}", text.split("[[target]]").next().unwrap()));
    world
}

#[test]
fn a_query_goes_on_to_an_address_byte_for_byte_without_being_asked_for() {
    let app = App::new(says("200 OK", "", "success"));
    let mut world = with_address(&app.url("/pay?shop=1"), "");
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
    let plain = told.world.payment("E-1", 100);
    let request = with_act(plain.clone());
    is_success(told.world.send(&request));
    delivered(&told.world, 1);
    assert_eq!(told.seen()[0][1].as_str(), plain.query.as_deref(), "nobody signed it");
    // It is no part of the message: with another value it is the same one.
    let query = request.query.clone().unwrap().replace("act=pay", "act=other");
    is_success(told.world.send(&RawRequest { query: Some(query), ..request }));
    assert_eq!(told.world.events().len(), 1);
}

#[test]
fn what_the_signature_does_not_cover_goes_on_only_where_it_is_asked_for() {
    let channel = "ignored_parameters = [\"act\", \"token\"]\n";
    let with_more = |request: &RawRequest| {
        let query = request.query.clone().unwrap();
        let more = format!("act=evil&{query}&admin=&debug&x%5B%5D=&token=evil&_SESSION[a]=");
        RawRequest { query: Some(more), ..request.clone() }
    };
    for (target, before, behind) in [
        ("", "", ""),
        ("request_uri = \"/epay.php?act=own\"\n", "act=own&", ""),
        ("forward_query = true\n", "", "&act=evil&admin=&debug&token=[removed]"),
        ("forward_query = true\nrequest_uri = \"/epay.php?act=own\"\n", "act=own&", "&admin=&debug&token=[removed]"),
    ] {
        let mut shop = Shop::with(channel, target);
        let plain = shop.world.payment("E-1", 100);
        // Names that are no plain ones are refused by the platform's rule.
        is_failure(shop.world.send(&with_more(&plain)));
        let request = with_more(&plain);
        let query = request.query.clone().unwrap().replace("&x%5B%5D=", "").replace("&_SESSION[a]=", "");
        is_success(shop.world.send(&RawRequest { query: Some(query), ..request }));
        delivered(&shop.world, 1);
        let expected = format!("{before}{}{behind}", plain.query.unwrap());
        assert_eq!(shop.seen()[0][1], expected, "{target}");
    }
}

#[test]
fn an_own_address_that_names_what_the_platform_signs_is_refused_before_anything_runs() {
    for own in ["/epay.php?out_trade_no=x", "/epay.php?a=1&pid", "/n?%74ype=epay", "/n?out.trade.no[]=1", "/n?SIGN=1"] {
        let mut setup = Setup::new("127.0.0.1:9", Path::new("/x.php"));
        setup.platform = PLATFORM;
        setup.target = format!("{}request_uri = \"{own}\"\n", setup.target);
        let worlds = [World::new(&setup), with_address(&format!("http://127.0.0.1:9{own}"), "")];
        for (world, setting) in worlds.iter().zip(["target.request_uri", "target.url"]) {
            for command in ["check", "serve"] {
                let output = world.cli(&[command]);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!output.status.success() && said.contains(setting), "{own} {command}: {said}");
                assert!(said.contains("`shop`") && said.contains("may sign"), "{own} {command}: {said}");
            }
            // An event has no query of the platform's.
            if setting == "target.url" {
                world.reconfigure(|text| {
                    text.replace("format = \"raw\"", "format = \"event\"").replace("success = \"platform\"\n", "")
                });
                assert!(world.cli(&["check"]).status.success());
            }
        }
    }
}

#[test]
fn a_signed_name_that_nobody_knew_and_the_own_address_has_stops_the_delivery_with_its_name() {
    let shop = Shop::with("", "request_uri = \"/epay.php?op=notify\"\n");
    let fields = [
        ("pid", "1001"),
        ("trade_no", "2026112108000012345"),
        ("out_trade_no", "E-1"),
        ("type", "wxpay"),
        ("name", "x"),
        ("op", "delete"),
        ("money", "1"),
        ("trade_status", "TRADE_SUCCESS"),
    ];
    is_success(shop.world.send(&signed(&shop.world, &fields)));
    wait_for("the delivery to be given up", || (shop.world.delivery_states() == ["dead"]).then_some(()));
    let notification = shop.world.events()[0]["notification"].as_str().unwrap().to_owned();
    let shown = shop.world.json(&["show", &notification])[0].to_string();
    assert!(shown.contains("query_taken"), "{shown}");
    assert!(shop.seen().is_empty(), "neither value reached the script");
}

/// What decoders stumble over, as much as a URL may hold of it unescaped, and as much of plain and of Chinese text as
/// the platform's messages may have.
fn odd_texts() -> [String; 3] {
    ["x".repeat(15_000), "\u{4e2d}".repeat(5_000), r"a+b\c^`{|}[d];e%0D%0AHost:%20evil%00amp%3Bpid=1".to_owned()]
}

/// A callback with this text, not one byte of which is escaped that need not be.
fn with_text(world: &World, number: usize, text: &str) -> RawRequest {
    let (trade_no, order) = (format!("202611210800001{number:04}"), format!("E-{number}"));
    let decoded = percent_decoded(&text.replace('+', " "));
    let fields = [
        ("pid", "1001"),
        ("trade_no", trade_no.as_str()),
        ("out_trade_no", order.as_str()),
        ("type", "wxpay"),
        ("name", "x"),
        ("money", "1"),
        ("param", decoded.as_str()),
        ("trade_status", "TRADE_SUCCESS"),
    ];
    let mut request = signed(world, &fields);
    let escaped = String::from_utf8(form::encode([(&b"param"[..], decoded.as_bytes())])).unwrap();
    let query = request.query.take().unwrap();
    assert!(query.contains(&escaped));
    request.query = Some(query.replace(&escaped, &format!("param={text}")));
    request
}

#[test]
fn the_longest_query_reaches_an_address_whatever_it_is_written_with() {
    let app = App::new(says("200 OK", "", "success"));
    let world = with_address(&app.url("/pay"), "");
    let _gateway = world.start();
    for (number, text) in odd_texts().iter().enumerate() {
        let request = with_text(&world, number, text);
        is_success(world.send(&request));
        delivered(&world, number + 1);
        let asked = app.asked().pop().unwrap();
        let (path, received) = asked.target.split_once('?').unwrap();
        assert_eq!(path, "/pay");
        assert!(received.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}[];".contains(&byte)));
        assert_eq!(pairs(&request.query.unwrap()), pairs(received));
        assert_eq!(asked.header("host"), Some(app.address.to_string().as_str()));
    }
}

#[test]
fn the_longest_query_reaches_a_script_whatever_it_is_written_with() {
    let shop = Shop::with("", "request_uri = \"/epay.php?act=own\"\n");
    for (number, text) in odd_texts().iter().enumerate() {
        let request = with_text(&shop.world, number, text);
        is_success(shop.world.send(&request));
        // The script confirms only what it has verified by itself.
        delivered(&shop.world, number + 1);
        let seen = shop.seen().pop().unwrap();
        let sent = request.query.unwrap().replace(';', "%3B");
        assert_eq!(seen[1], format!("act=own&{sent}"));
    }
}

#[test]
fn a_post_without_a_body_brings_its_query_too() {
    let fpm = PhpFpm::start(&Options::default());
    let source = "<?php $seen = [$_SERVER['REQUEST_METHOD'], $_SERVER['REQUEST_URI'], $_POST, count($_GET)];
        file_put_contents(__DIR__ . '/seen', json_encode($seen, JSON_UNESCAPED_SLASHES)); echo 'SUCCESS';";
    let mut setup = Setup::new(&fpm.address(), &fpm.script("notify.php", source));
    setup.platform = "jeepay";
    let mut world = World::new(&setup);
    let _gateway = world.start();
    let mut request = world.payment("J-0", 100);
    for number in 1..8 {
        if request.body.is_empty() {
            break;
        }
        request = world.payment(&format!("J-{number}"), 100);
    }
    let query = request.query.clone().expect("a message in the query");
    assert_eq!((&request.method, request.body.len()), (&Method::POST, 0));
    let more = RawRequest { query: Some(format!("x=&{query}&admin")), ..request };
    let replied = world.send(&more).expect("a reply");
    assert_eq!((replied.status, replied.text().as_str()), (200, "SUCCESS"));
    delivered(&world, 1);
    let seen: Value = serde_json::from_str(&fs::read_to_string(fpm.root().join("seen")).unwrap()).unwrap();
    let count = query.split('&').count();
    assert_eq!(seen, json!(["POST", format!("/notify.php?{query}"), [], count]));
}

/// Names and values, decoded.
fn pairs(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let form = form::Form::parse(query.as_bytes(), form::Limits { bytes_max: 1 << 20, pairs_max: 99 }).unwrap();
    form.pairs().iter().map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect()
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

#[test]
fn a_channel_with_former_keys_hands_its_query_on() {
    let mut shop = Shop::with("", "");
    let _ended = shop.gateway.terminate();
    let key = shop.world.path("epay_key");
    let former = format!("[[channel.former]]\nuntil = \"2999-01-01T00:00:00Z\"\nkey_file = \"{}\"\n", key.display());
    let new = shop.world.path("new_key");
    fs::write(&new, "n".repeat(32)).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    shop.world.reconfigure(|text| {
        let text = text.replace(&key.display().to_string(), &new.display().to_string());
        text.replacen("[[target]]", &format!("{former}[[target]]"), 1)
    });
    shop.gateway = shop.world.start();
    let request = shop.world.payment("E-1", 100);
    assert_eq!(request.method, Method::GET);
    is_success(shop.world.send(&request));
    delivered(&shop.world, 1);
    assert_eq!(shop.seen()[0][1].as_str(), request.query.as_deref());
}

#[test]
fn a_channel_that_has_another_name_by_now_keeps_the_queries_of_open_deliveries() {
    let app = App::new(says("500 Down", "", "down"));
    let mut world = with_address(&app.url("/pay?shop=1"), "ignored_parameters = [\"act\"]\n");
    let ladder = |text: String| text.replacen("ladder = [", &format!("ladder = [{}", "\"200ms\", ".repeat(500)), 1);
    world.reconfigure(ladder);
    let mut gateway = world.start();
    let plain = world.payment("E-1", 100);
    let query = plain.query.clone().unwrap();
    is_success(world.send(&RawRequest { query: Some(format!("act=evil&{query}&x=")), ..plain }));
    wait_for("a first try", || (!app.asked().is_empty()).then_some(()));
    let _ended = gateway.terminate();
    // Another merchant's channel of the same platform comes first, and knows nothing of `act`.
    world.reconfigure(|text| {
        let at = text.find("[[channel]]").unwrap();
        let (before, rest) = text.split_at(at);
        let (channel, targets) = rest.split_at(rest.find("[[target]]").unwrap());
        let other = channel
            .replace("id = \"epay\"", "id = \"another\"")
            .replace("pid = \"1001\"", "pid = \"2002\"")
            .replace("ignored_parameters = [\"act\"]\n", "");
        let renamed = channel.replace("id = \"epay\"", "id = \"renamed\"");
        assert!(other.contains("2002") && renamed.contains("renamed"));
        format!("{before}{other}{renamed}{targets}")
    });
    app.does(says("200 OK", "", "success"));
    let _gateway = world.start();
    delivered(&world, 1);
    let asked = app.asked();
    assert!(asked.len() > 1);
    for one in asked {
        assert_eq!(one.target, format!("/pay?shop=1&{query}"));
    }
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

/// Forks build the query by hand and leave Chinese text in it as it is.
#[test]
fn text_that_a_fork_did_not_escape_arrives_as_it_is() {
    let shop = Shop::new("");
    let escaped = signed(
        &shop.world,
        &[
            ("pid", "1001"),
            ("trade_no", "2026112108000012345"),
            ("out_trade_no", "订单-1"),
            ("type", "wxpay"),
            ("name", "会员"),
            ("money", "1"),
            ("trade_status", "TRADE_SUCCESS"),
        ],
    );
    let encoded =
        |text: &str| String::from_utf8(form::encode([(b"".as_slice(), text.as_bytes())])).unwrap()[1..].to_owned();
    let query = escaped.query.clone().unwrap();
    let plain = query.replace(&encoded("会员"), "会员").replace(&encoded("订单"), "订单");
    assert!(plain.contains("name=会员") && plain.contains("out_trade_no=订单-1"), "{plain}");
    is_success(shop.world.send(&RawRequest { query: Some(plain.clone()), ..escaped.clone() }));
    // Told again by the book it is the same.
    is_success(shop.world.send(&escaped));
    delivered(&shop.world, 1);
    assert_eq!(shop.world.events()[0]["data"]["order_no"], "订单-1");
    assert_eq!(shop.seen()[0][1].as_str(), Some(plain.as_str()));
}
