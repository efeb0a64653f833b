//! `docs/operate/switching.md` is followed on a machine with nginx and PHP-FPM: its own snippets, its own
//! commands, its own order.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod nginx;
    pub(crate) mod php_fpm;
}

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::gateway::{Gateway, Replied, Setup, World, free_address, wait_for, wire};
use support::nginx::Nginx;
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::RawRequest;

/// The old script: confirms what it likes, writes down what it was given, and can be told to fail.
const SCRIPT: &str = r#"<?php
$root = __DIR__;
file_put_contents("$root/calls.log", json_encode(['order' => $_POST['out_trade_no'] ?? '', 'by' => isset($_SERVER['TOLLBELL_EVENT_IDS']) ? 'tollbell' : 'nginx']) . "\n", FILE_APPEND | LOCK_EX);
if (file_exists("$root/broken")) { http_response_code(500); echo 'Fatal error'; exit; }
if (file_exists("$root/careful") && ($_POST['total_amount'] ?? '') === '0.01') { echo 'fail'; exit; }
echo 'success';
"#;

/// The fenced blocks of the page, by the name after their language.
fn snippets() -> BTreeMap<String, String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate/switching.md")).unwrap();
    let mut found = BTreeMap::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some((_, name)) = line.strip_prefix("```").and_then(|fence| fence.split_once(' ')) else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        assert!(found.insert(name.to_owned(), block.join("\n")).is_none(), "two snippets are called {name}");
    }
    found
}

/// The shop of the page.
struct Shop {
    world: World,
    fpm: PhpFpm,
    front: SocketAddr,
    log: PathBuf,
    snippets: BTreeMap<String, String>,
}

impl Shop {
    fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.script("notify.php", SCRIPT);
        let world = World::new(&Setup::new(&fpm.address(), &script));
        let log = world.path("nginx-tollbell.log");
        let shop = Self { world, fpm, front: free_address(), log, snippets: snippets() };
        shop.configure();
        shop
    }

    /// The page's `tollbell.toml`, with this machine's addresses and the throw-away keys of the test.
    fn configure(&self) {
        let own = fs::read_to_string(self.world.path("tollbell.toml")).unwrap();
        let keys: Vec<&str> = own
            .lines()
            .skip_while(|line| *line != "kind = \"alipay\"")
            .skip(1)
            .take_while(|line| !line.starts_with("[["))
            .collect();
        let mut text = String::new();
        for line in self.snippets["shadow"].lines() {
            // The page's own ids and key file stand for those of the test's merchant.
            if ["app_id", "seller_id", "alipay_public_key_file"].iter().any(|name| line.starts_with(name)) {
                continue;
            }
            text.push_str(&line.replace("127.0.0.1:8080", &self.world.address.to_string()));
            text.push('\n');
            if line.starts_with("paths") {
                text.push_str(&keys.join("\n"));
                text.push('\n');
            }
        }
        let text = text
            .replace("127.0.0.1:8081", &self.world.admin.to_string())
            .replace("unix:/run/php/php8.2-fpm.sock", &self.fpm.address())
            .replace("/var/www/html", &self.fpm.root().display().to_string());
        fs::write(self.world.path("tollbell.toml"), format!("{text}\n[log]\nformat = \"json\"\n")).unwrap();
    }

    fn snippet(&self, name: &str) -> String {
        self.snippets[name]
            .replace("127.0.0.1:8080", &self.world.address.to_string())
            .replace("unix:/run/php/php8.2-fpm.sock", &self.fpm.address())
            .replace("/var/log/nginx/tollbell.log", &self.log.display().to_string())
            .replace("include fastcgi_params;", "include /etc/nginx/fastcgi_params;")
    }

    /// The platform calls the URL that is registered with it.
    fn call(&self, request: &RawRequest) -> Replied {
        let bytes = wire("/notify.php", request);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // HTTP/1.0: nginx then sends a plain body, as this reader wants it.
        let bytes = [text.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()].concat();
        read_to_end(self.front, &bytes)
    }

    fn calls(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.fpm.root().join("calls.log")).unwrap_or_default();
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let word = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        text.lines().map(read).map(|value| (word(&value, "order"), word(&value, "by"))).collect()
    }

    fn compare(&self) -> (Output, Value) {
        let log = self.log.display().to_string();
        let output = self.world.cli(&["--json", "shadow", "alipay", "--log", &log]);
        let value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output, value)
    }

    fn touch(&self, name: &str, is_there: bool) {
        let path = self.fpm.root().join(name);
        if is_there { fs::write(path, "").unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

fn read_to_end(address: SocketAddr, bytes: &[u8]) -> Replied {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::gateway::PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&reply[..end]).into_owned();
    Replied { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body: reply[end + 4..].to_vec(), head }
}

fn serve(shop: &Shop) -> Gateway {
    shop.world.start()
}

#[test]
fn the_page_is_followed_step_by_step() {
    let mut shop = Shop::new();

    // 1: the shop as it is.
    let nginx = Nginx::start(shop.front, shop.fpm.root(), "", &shop.snippet("start"));
    let first = shop.world.payment("ORDER-1", 100);
    assert_eq!(shop.call(&first).text(), "success");
    assert_eq!(shop.calls(), [("ORDER-1".into(), "nginx".into())]);

    // 2 and 3: tollbell beside it, and a copy of everything.
    let gateway = serve(&shop);
    let inside = format!("{}\n{}", shop.snippet("mirror"), shop.snippet("start"));
    nginx.reload(&shop.snippet("log"), &inside);
    let good = shop.world.payment("ORDER-2", 200);
    assert_eq!(shop.call(&good).text(), "success");
    let mut forged = shop.world.payment("ORDER-3", 300);
    forged.body = String::from_utf8(forged.body.to_vec()).unwrap().replace("ORDER-3", "ORDER-4").into();
    shop.touch("broken", true);
    let failed = shop.world.payment("ORDER-5", 500);
    assert_eq!(shop.call(&failed).status, 500, "the platform hears what the old script says");
    let lost = shop.world.payment("ORDER-6", 600);
    assert_eq!(shop.call(&lost).status, 500);
    shop.touch("broken", false);
    assert_eq!(shop.call(&failed).text(), "success", "its repetition");
    wait_for("the copies to arrive", || (shop.world.events().len() == 3).then_some(()));
    assert!(shop.calls().iter().all(|(_, by)| by == "nginx"), "in shadow nothing is delivered: {:?}", shop.calls());
    let states = shop.world.delivery_states();
    assert!(states.iter().all(|state| state == "skipped"), "{states:?}");

    // 4: the comparison. First all is well.
    let found = wait_for("every copy to be noted", || {
        let (_, found) = shop.compare();
        (found["not_seen"].as_array().unwrap().is_empty()).then_some(found)
    });
    assert_eq!(found["both_accepted"], 2, "{found}");
    assert_eq!(found["app_refused"].as_array().unwrap().len(), 2, "{found}");
    let later: Vec<bool> =
        found["app_refused"].as_array().unwrap().iter().map(|row| row["accepted_later"].as_bool().unwrap()).collect();
    assert_eq!(later.iter().filter(|later| **later).count(), 1, "{found}");
    assert_eq!(found["not_logged"], 0, "{found}");
    assert!(shop.compare().0.status.success());
    // Then the old script, which verifies nothing, trusts a forgery: that stands against switching unlooked.
    assert_eq!(shop.call(&forged).text(), "success");
    let found = wait_for("the forgery to be noted", || {
        let (_, found) = shop.compare();
        (!found["only_app_accepted"].as_array().unwrap().is_empty()).then_some(found)
    });
    assert_eq!(found["only_app_accepted"][0]["reason"], "signature", "{found}");
    assert_eq!(shop.compare().0.status.code(), Some(1));

    // 5: the switch.
    shop.world.reconfigure(|text| text.replace("shadow = true\n", ""));
    assert!(shop.world.cli(&["check"]).status.success());
    let reloaded = shop.world.cli(&["reload"]);
    assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stdout));
    nginx.reload(&shop.snippet("log"), &format!("{}\n{}", shop.snippet("switch"), shop.snippet("start")));
    let before = shop.calls().len();
    let new = shop.world.payment("ORDER-7", 700);
    assert_eq!(shop.call(&new).text(), "success");
    wait_for("the script to confirm", || shop.calls().contains(&("ORDER-7".into(), "tollbell".into())).then_some(()));
    // What the old script never confirmed is repeated by the platform, and is brought to it now.
    assert_eq!(shop.call(&lost).text(), "success");
    wait_for("the lost payment", || shop.calls().contains(&("ORDER-6".into(), "tollbell".into())).then_some(()));
    assert_eq!(shop.calls().len(), before + 2, "{:?}", shop.calls());
    assert_eq!(shop.call(&forged).status, 400, "a forgery is not answered with success any more");

    // 6: the way back.
    nginx.reload(&shop.snippet("log"), &inside);
    let final_one = shop.world.payment("ORDER-8", 800);
    assert_eq!(shop.call(&final_one).text(), "success");
    assert!(shop.calls().contains(&("ORDER-8".into(), "nginx".into())), "{:?} {}", shop.calls(), nginx.errors());
    drop(gateway);
}

/// Whatever the reason of a refusal, the comparison knows of it: a request that it does not find stands against
/// switching, as one whose copy did not arrive.
#[test]
fn every_kind_of_refusal_is_noted() {
    let fpm = PhpFpm::start(&Options::default());
    let script = fpm.script("notify.php", SCRIPT);
    let mut setup = Setup::new(&fpm.address(), &script);
    setup.platform = "wechat_pay";
    setup.channel = "shadow = true\n".into();
    let mut world = World::new(&setup);
    let _gateway = world.start();
    let genuine = world.payment("ORDER-1", 100);
    let named = |request: &RawRequest, id: &str| {
        let mut request = request.clone();
        request.headers.insert("x-request-id", id.parse().unwrap());
        request
    };
    let mut of_another_key = genuine.clone();
    of_another_key.headers.insert("wechatpay-serial", "5157F09EFDC096DE15EBE81A47057A72".parse().unwrap());
    let mut forged = genuine.clone();
    forged.body = [&forged.body[..], b" "].concat().into();
    let mut too_large = genuine.clone();
    too_large.body = vec![b' '; 2 * 1024 * 1024].into();
    let requests =
        [("genuine", 204, genuine), ("key", 401, of_another_key), ("forged", 401, forged), ("large", 401, too_large)];
    let mut lines = Vec::new();
    for (id, status, request) in &requests {
        let reply = world.send_to("/notify/wechat_pay", &named(request, id)).unwrap();
        assert_eq!(reply.status, *status, "{id}");
        lines.push(format!("{{\"id\":\"{id}\",\"at\":\"\",\"status\":\"{status}\",\"bytes\":\"0\",\"framing\":\"\"}}"));
    }
    let log = world.path("old.log");
    fs::write(&log, lines.join("\n")).unwrap();
    let found = wait_for("every request to be noted", || {
        let output = world.cli(&["--json", "shadow", "wechat_pay", "--log", log.to_str().unwrap()]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        found["not_seen"].as_array().unwrap().is_empty().then_some(found)
    });
    assert_eq!((&found["both_accepted"], &found["both_refused"]), (&1.into(), &3.into()), "{found}");
}

/// What the platform wants to hear differs from request to request: what the application said is compared with the
/// answer to that very request, for a genuine one and for one that only the application would accept.
#[test]
fn answers_that_hold_a_number_of_the_request_are_compared_with_it() {
    let fpm = PhpFpm::start(&Options::default());
    let script = fpm.script("notify.php", SCRIPT);
    let mut setup = Setup::new(&fpm.address(), &script);
    setup.platform = "huifu";
    setup.channel = "shadow = true\n".into();
    let mut world = World::new(&setup);
    let _gateway = world.start();
    let length_of = |order: &str| format!("RECV_ORD_ID_{order}").len();
    let mut lines = Vec::new();
    let mut send = |id: &str, order: &str, is_forged: bool, length: usize| {
        let mut request = world.payment(order, 100);
        request.headers.insert("x-request-id", id.parse().unwrap());
        if is_forged {
            let body = String::from_utf8(request.body.to_vec()).unwrap();
            request.body = body.replacen("%221.00%22", "%229.00%22", 1).into();
        }
        let reply = world.send_to("/notify/huifu", &request).unwrap();
        let expected = if is_forged { (400, "fail".to_owned()) } else { (200, format!("RECV_ORD_ID_{order}")) };
        assert_eq!((reply.status, reply.text()), expected, "{id}");
        lines.push(format!(
            "{{\"id\":\"{id}\",\"at\":\"\",\"status\":\"200\",\"bytes\":\"{length}\",\"framing\":\"\"}}"
        ));
    };
    send("short", "A1", false, length_of("A1"));
    send("long", "A234567890", false, length_of("A234567890"));
    // The bare prefix, another's number, and a page.
    send("bare", "A2", false, length_of(""));
    send("other", "A33", false, length_of("A1"));
    send("page", "A4", false, 500);
    send("forged", "A5", true, length_of("A5"));
    send("refused", "A66", true, 4);
    let log = world.path("old.log");
    fs::write(&log, lines.join("\n")).unwrap();
    let found = wait_for("every request to be noted", || {
        let output = world.cli(&["--json", "shadow", "huifu", "--log", log.to_str().unwrap()]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        found["not_seen"].as_array().unwrap().is_empty().then_some(found)
    });
    assert_eq!((&found["both_accepted"], &found["both_refused"]), (&2.into(), &1.into()), "{found}");
    assert_eq!(found["app_refused"].as_array().unwrap().len(), 3, "{found}");
    let accepted = found["only_app_accepted"].as_array().unwrap();
    assert_eq!((accepted.len(), &accepted[0]["request"]), (1, &"forged".into()), "{found}");
    assert_eq!(found["ready_to_switch"], false);
}

#[test]
fn both_pages_name_the_same_snippets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate");
    let zh = fs::read_to_string(folder.join("switching.zh-CN.md")).unwrap();
    for name in ["log", "mirror", "switch"] {
        assert!(zh.contains(&snippets()[name]), "the Chinese page has another `{name}`");
    }
}
