//! Changed files taken into use by the real program, under callbacks and deliveries.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::gateway::{Gateway, Setup, World, exchange, free_address, get, wait_for, wire};
use support::php_fpm::{Options, PhpFpm};
use tollbell::app;
use tollbell::inbox::{DeliveryState, EventFilter, PAGE_MAX};
use tollbell::reload::{How, Order, Outcome};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::SettingValue;

/// Notes each run, and does what the file `mode` beside it says.
const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/begun', $_POST['out_trade_no'] . "\n", FILE_APPEND | LOCK_EX);
$mode = trim((string) @file_get_contents(__DIR__ . '/mode'));
if ($mode === 'wait') { while (!file_exists(__DIR__ . '/go')) { clearstatcache(); usleep(10000); } }
if ($mode === 'fail') { exit('fail'); }
file_put_contents(__DIR__ . '/runs', $_POST['out_trade_no'] . "\n", FILE_APPEND | LOCK_EX);
echo 'success';
"#;

struct Shop {
    fpm: PhpFpm,
}

impl Shop {
    fn new() -> Self {
        Self { fpm: PhpFpm::start(&Options::default()) }
    }

    fn script(&self) -> PathBuf {
        self.fpm.script("notify.php", SCRIPT)
    }

    fn world(&self) -> World {
        self.world_with(|_| {})
    }

    /// Files are watched only where a test is about that: else it decides when they are read.
    fn world_with(&self, change: impl FnOnce(&mut Setup)) -> World {
        let mut setup = Setup::new(&self.fpm.address(), &self.script());
        change(&mut setup);
        let world = World::new(&setup);
        world.reconfigure(|text| text.replacen("[server]\n", "[server]\nwatch = false\n", 1));
        world
    }

    fn mode(&self, mode: &str) {
        fs::write(self.fpm.root().join("mode"), mode).unwrap();
    }

    fn go(&self) {
        fs::write(self.fpm.root().join("go"), "").unwrap();
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn metric(world: &World, name: &str) -> u64 {
    let text = get(world.admin, "/metrics").expect("the metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

const ENDS: [&str; 4] = ["applied", "unchanged", "refused", "broken"];

fn reloads(world: &World) -> [u64; 4] {
    let text = get(world.admin, "/metrics").expect("the metrics").text();
    ENDS.map(|end| {
        let name = format!("tollbell_reload_total{{result=\"{end}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |value| value.parse().unwrap())
    })
}

fn signal(gateway: &Gateway, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(gateway.child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// SIGHUP, and how the reload ended.
fn reload(world: &World, gateway: &Gateway) -> &'static str {
    let before = reloads(world);
    signal(gateway, rustix::process::Signal::HUP);
    wait_for("the reload", || {
        let now = reloads(world);
        (0..ENDS.len()).find(|end| now[*end] > before[*end]).map(|end| ENDS[end])
    })
}

fn replace(world: &World, from: &str, to: &str) {
    world.reconfigure(|text| {
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        text.replacen(from, to, 1)
    });
}

fn all_delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

fn success(world: &World, path: &str, request: &tollbell_channels::model::RawRequest) -> bool {
    world.send_to(path, request).is_some_and(|reply| reply.status == 200 && reply.body == b"success")
}

#[test]
fn new_paths_and_channels_are_open_and_old_ones_closed() {
    let shop = Shop::new();
    let mut world = shop.world_with(|setup| setup.channel = "paths = [\"/old.php\"]\n".to_owned());
    let gateway = world.start();
    let payment = world.payment("R-1", 1000);
    assert!(success(&world, "/old.php", &payment));
    assert_eq!(world.send_to("/new.php", &payment).unwrap().status, 404);

    replace(&world, "/old.php", "/new.php");
    let text = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let channel = &text[text.find("[[channel]]").unwrap()..text.find("[[target]]").unwrap()];
    let second = channel.replace("id = \"alipay\"", "id = \"second\"").replace("/new.php", "/second.php");
    fs::create_dir(world.path("channels.d")).unwrap();
    fs::write(world.path("channels.d/second.toml"), second).unwrap();
    assert_eq!(reload(&world, &gateway), "applied");
    assert_eq!(world.send_to("/old.php", &payment).unwrap().status, 404);
    assert!(success(&world, "/new.php", &payment));
    assert!(success(&world, "/notify/second", &payment));

    fs::remove_file(world.path("channels.d/second.toml")).unwrap();
    assert_eq!(reload(&world, &gateway), "applied");
    assert_eq!(world.send_to("/notify/second", &payment).unwrap().status, 404);
    assert_eq!(reload(&world, &gateway), "unchanged");
}

#[test]
fn a_broken_file_changes_nothing_and_every_mistake_is_reported() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let good = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let bad = good.replacen("[server]\n", "[server]\nbody_limit = 0\nlistn = 1\n", 1);
    let half = &good[..good.rfind("address = \"").unwrap() + "address = \"u".len()];
    // A file that is being written may look like one without anything in it.
    for (text, expected) in [(bad.as_str(), "broken"), (half, "broken"), ("\u{0}", "broken"), ("", "refused")] {
        fs::write(world.path("tollbell.toml"), text).unwrap();
        assert_eq!(reload(&world, &gateway), expected, "by:\n{text}");
        let payment = world.payment(&format!("B-{}", text.len()), 1000);
        assert!(success(&world, "/notify/alipay", &payment), "after:\n{text}");
        assert_eq!(metric(&world, "tollbell_config_stale"), 1);
    }
    fs::write(world.path("tollbell.toml"), &bad).unwrap();
    assert_eq!(reload(&world, &gateway), "broken");
    let ready = get(world.admin, "/readyz").unwrap();
    assert_eq!(ready.status, 200, "a broken file does not take the node out of rotation");
    assert!(ready.text().contains("not in force"), "{}", ready.text());
    for key in ["server.body_limit", "server.listn"] {
        assert!(world.log().contains(key), "{key} is not in the log");
    }
    fs::write(world.path("tollbell.toml"), good).unwrap();
    assert_eq!(reload(&world, &gateway), "unchanged");
    assert_eq!(metric(&world, "tollbell_config_stale"), 0);
    assert_eq!(get(world.admin, "/readyz").unwrap().text(), "ready\n");
}

#[test]
fn a_target_with_open_deliveries_stays_until_it_is_drained() {
    let shop = Shop::new();
    let mut world = shop.world_with(|setup| setup.target.push_str("ladder = [\"200ms\", \"1h\"]\n"));
    world.reconfigure(|text| text + "[[target]]\nid = \"other\"\nkind = \"fastcgi\"\naddress = \"127.0.0.1:9\"\nscript = \"/x.php\"\nterminate_timeout = \"1s\"\n[[route]]\ntargets = [\"shop\"]\n");
    shop.mode("fail");
    let gateway = world.start();
    let with = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let from = with.find("[[target]]\nid = \"shop\"").unwrap();
    let to = with.find("[[target]]\nid = \"other\"").unwrap();
    let shop_table = with[from..to].to_owned();
    let without = with.replace(&shop_table, "").replace("targets = [\"shop\"]", "targets = [\"other\"]");
    let payment = world.payment("D-1", 1000);
    assert!(success(&world, "/notify/alipay", &payment));

    fs::write(world.path("tollbell.toml"), &without).unwrap();
    assert_eq!(reload(&world, &gateway), "refused");
    assert!(world.log().contains("retired = true"), "the cure is in the log");

    // Retired, it gets nothing new, and what is open is still delivered.
    let retired = with.replace(&shop_table, &format!("{shop_table}retired = true\n"));
    fs::write(world.path("tollbell.toml"), retired).unwrap();
    assert_eq!(reload(&world, &gateway), "applied");
    let later = world.payment("D-2", 1000);
    assert!(success(&world, "/notify/alipay", &later));
    wait_for("the second failure", || (shop.lines("begun").len() >= 2).then_some(()));
    shop.mode("good");
    wait_for("a delivery to replay", || {
        let event = &world.events()[0];
        let shown = world.json(&["show", event["id"].as_str().unwrap()]);
        let delivery = shown[0]["deliveries"][0].clone();
        (delivery["state"] == "pending").then_some(())
    });
    // The next try is an hour away; until then removing it is refused.
    fs::write(world.path("tollbell.toml"), &without).unwrap();
    assert_eq!(reload(&world, &gateway), "refused");
    fs::write(world.path("tollbell.toml"), with.replace("\"1h\"", "\"300ms\"")).unwrap();
    assert_eq!(reload(&world, &gateway), "applied");
}

#[test]
fn a_delivery_under_way_while_its_target_changes_runs_once() {
    let shop = Shop::new();
    let mut world = shop.world_with(|setup| {
        setup.target = "attempt_timeout = \"20s\"\nterminate_timeout = \"20s\"\nmax_connections = 2\n".to_owned();
    });
    shop.mode("wait");
    let gateway = world.start();
    let payment = world.payment("W-1", 1000);
    assert!(success(&world, "/notify/alipay", &payment));
    wait_for("the script to begin", || (shop.lines("begun").len() == 1).then_some(()));
    // The new line's lease would be shorter than what the attempt has already taken from the old one.
    replace(
        &world,
        "attempt_timeout = \"20s\"\nterminate_timeout = \"20s\"",
        "attempt_timeout = \"1s\"\nterminate_timeout = \"1s\"",
    );
    assert_eq!(reload(&world, &gateway), "applied");
    let waiting = world.payment("W-2", 1000);
    assert!(success(&world, "/notify/alipay", &waiting));
    // Longer than the lease of the new line: 1 s and 1 s.
    std::thread::sleep(std::time::Duration::from_secs(3));
    shop.go();
    all_delivered(&world, 2);
    assert_eq!(shop.lines("begun"), ["W-1", "W-2"], "each script ran once");
    assert_eq!(shop.lines("runs"), ["W-1", "W-2"]);
    assert!(!world.log().contains("the lease ran out"), "no lease was lost");
}

#[test]
fn a_new_address_is_open_before_the_old_one_is_closed() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let payment = world.payment("L-1", 1000);
    let old = world.address;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    replace(&world, &old.to_string(), &taken.local_addr().unwrap().to_string());
    assert_eq!(reload(&world, &gateway), "refused");
    assert!(success(&world, "/notify/alipay", &payment), "the old address is still served");

    let new = free_address();
    replace(&world, &taken.local_addr().unwrap().to_string(), &new.to_string());
    assert_eq!(reload(&world, &gateway), "applied");
    world.address = new;
    assert!(success(&world, "/notify/alipay", &payment));
    wait_for("the old address to close", || exchange(old, &wire("/notify/alipay", &payment)).is_none().then_some(()));
}

#[test]
fn limits_change_without_a_closed_port() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let payment = world.payment("C-1", 1000);
    replace(&world, "[server]\n", "[server]\nbody_limit = 16\n");
    assert_eq!(reload(&world, &gateway), "applied");
    wait_for("the new limit", || {
        let reply = world.send(&payment).expect("the port stays open");
        (reply.body != b"success").then_some(())
    });
    replace(&world, "body_limit = 16\n", "");
    assert_eq!(reload(&world, &gateway), "applied");
    wait_for("the old limit", || success(&world, "/notify/alipay", &payment).then_some(()));
}

#[test]
fn a_key_file_that_is_replaced_is_a_change_seen_by_itself() {
    let shop = Shop::new();
    let mut world = shop.world();
    replace(&world, "watch = false\n", "");
    let _gateway = world.start();
    let old = world.payment("K-1", 1000);
    assert!(success(&world, "/notify/alipay", &old));
    // The platform's new keys, under the same names.
    let side = (by_kind("alipay").unwrap().simulate)();
    for setting in side.written_settings() {
        if let SettingValue::Key(bytes) = setting.value {
            let name = setting.file_name.unwrap();
            fs::write(world.path("fresh"), &bytes[..]).unwrap();
            fs::rename(world.path("fresh"), world.path(name)).unwrap();
        }
    }
    let before = world.payment("K-2", 1000);
    world.side = side;
    let after = world.payment("K-3", 1000);
    wait_for("the new key to be in use", || success(&world, "/notify/alipay", &after).then_some(()));
    assert!(!success(&world, "/notify/alipay", &before), "the old key is not");
    assert!(!world.log().contains("\"K-"), "nothing of the callbacks is in the log");
}

#[test]
fn keys_that_need_a_restart_are_named_and_the_rest_is_applied() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let payment = world.payment("N-1", 1000);
    replace(&world, "level = \"debug\"", "level = \"info\"");
    replace(&world, "kind = \"alipay\"\n", "kind = \"alipay\"\npaths = [\"/more.php\"]\n");
    assert_eq!(reload(&world, &gateway), "applied");
    assert!(success(&world, "/more.php", &payment));
    assert_eq!(metric(&world, "tollbell_config_stale"), 1);
    let told = world.cli(&["reload", "--dry-run"]);
    assert!(told.status.success());
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("nothing differs") && told.contains("not in force before a restart: log.level"), "{told}");
    assert_eq!(reload(&world, &gateway), "unchanged", "and it is told again");
    assert_eq!(metric(&world, "tollbell_config_stale"), 1);
}

/// Two files that differ in where events go, taken into use by turns while callbacks come at full rate.
#[test]
fn two_hundred_reloads_lose_nothing_and_mix_nothing() {
    const FLIPS: usize = 200;
    const SENDERS: usize = 4;
    const CALLBACKS: usize = 3000;
    // A worker for each connection of both targets, and time enough: a script that runs twice was run by a reload.
    let shop = Shop { fpm: PhpFpm::start(&Options { children: 10, ..Options::default() }) };
    let mut world = shop.world_with(|setup| {
        setup.target = "attempt_timeout = \"20s\"\nterminate_timeout = \"20s\"\n".to_owned();
    });
    let text = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let from = text.find("[[target]]").unwrap();
    let target = text[from..].trim_end().to_owned();
    let second = target.replace("id = \"shop\"", "id = \"shop2\"");
    let file = |retired: [bool; 2], path: &str| {
        let head =
            text[..from].replacen("kind = \"alipay\"\n", &format!("kind = \"alipay\"\npaths = [\"{path}\"]\n"), 1);
        format!("{head}{target}\nretired = {}\n{second}\nretired = {}\n", retired[0], retired[1])
    };
    let files = [file([false, true], "/a.php"), file([true, false], "/b.php")];
    fs::write(world.path("tollbell.toml"), &files[0]).unwrap();
    let gateway = world.start();
    let requests: Vec<_> = (0..CALLBACKS).map(|n| world.payment(&format!("F-{n:05}"), 1000)).collect();
    let next = AtomicUsize::new(0);
    let is_done = AtomicBool::new(false);
    let flips = std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    // After the last one, the first ones are repeated until the flips are done.
                    if n >= CALLBACKS && is_done.load(Ordering::Relaxed) {
                        return;
                    }
                    let reply = world.send(&requests[n % CALLBACKS]).expect("every callback is answered");
                    assert_eq!((reply.status, reply.text().as_str()), (200, "success"), "callback {n}");
                }
            });
        }
        let mut flips = 0;
        for flip in 1..=FLIPS {
            let file = &files[flip % 2];
            if flip % 5 == 0 {
                // Half-written: it ends inside the address of a target.
                let cut = file.rfind("address = \"").unwrap() + "address = \"u".len();
                fs::write(world.path("tollbell.toml"), &file[..cut]).unwrap();
                assert_eq!(reload(&world, &gateway), "broken");
            }
            fs::write(world.path("tollbell.toml"), file).unwrap();
            assert_eq!(reload(&world, &gateway), "applied");
            flips += 1;
        }
        is_done.store(true, Ordering::Relaxed);
        flips
    });
    assert_eq!(flips, FLIPS);
    wait_for("every delivery to be confirmed", || (shop.lines("runs").len() >= CALLBACKS).then_some(()));
    let mut gateway = gateway;
    assert!(gateway.terminate().success());
    let mut runs = shop.lines("begun");
    runs.sort();
    let twice: Vec<_> = runs.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "ran twice: {twice:?}");
    runs.dedup();
    assert_eq!(runs.len(), CALLBACKS, "each callback ran the script");
    assert!(!world.log().contains("lease ran out"));
    let targets = targets_of_events(&world.path("tollbell.toml"));
    assert_eq!(targets.len(), CALLBACKS);
    assert!(targets.iter().all(|targets| targets.len() == 1), "each event went to one of the two targets");
    let first = targets.iter().filter(|targets| targets[0] == "shop").count();
    assert!(first > 0 && first < CALLBACKS, "both files were in use: {first} of {CALLBACKS}");
}

/// Where each event went, read from the inbox of a gateway that has ended.
fn targets_of_events(config: &Path) -> Vec<Vec<String>> {
    let (config, _) = app::load_config(config).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let inbox = app::open_inbox(&config).unwrap();
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = inbox.events(EventFilter { before, limit: PAGE_MAX, ..Default::default() }).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            for event in &page {
                let deliveries = inbox.deliveries_of(event.notification).await.unwrap();
                found.push(deliveries.into_iter().map(|delivery| delivery.target).collect());
            }
        }
        inbox.close().await;
        found
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_change_and_discarding_is_audited() {
    let shop = Shop::new();
    let mut world = shop.world_with(|setup| setup.target.push_str("ladder = [\"1h\"]\n"));
    shop.mode("fail");
    let payment = world.payment("X-1", 1000);
    let (config, _) = app::load_config(&world.path("tollbell.toml")).unwrap();
    let node = app::Node::start(config).await.unwrap();
    let (reloader, inbox) = (node.reloader(), node.inbox());
    let running = tokio::spawn(
        node.run_until_signal(app::Hangups::heard_from_now().unwrap(), app::Ends::heard_from_now().unwrap()),
    );
    let world = tokio::task::spawn_blocking(move || {
        assert!(success(&world, "/notify/alipay", &payment));
        world
    })
    .await
    .unwrap();
    let good = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let without = &good[..good.find("[[target]]").unwrap()];
    fs::write(world.path("tollbell.toml"), without.replacen("[server]\n", "[server]\nbody_limit = 77777\n", 1))
        .unwrap();

    let dry = Order { is_dry: true, ..Order::by("a test") };
    let report = reloader.reload(dry.clone()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(report.findings.iter().filter(|finding| !finding.is_warning).count(), 1);
    let dry = Order { discard: vec!["shop".to_owned()], ..dry };
    let report = reloader.reload(dry).await.unwrap();
    assert_eq!(report.outcome, Outcome::WouldApply);
    let changes: Vec<_> = report.changes.iter().map(|change| (&*change.what, &*change.id, &change.how)).collect();
    let limit = How::Changed(vec!["body_limit".to_owned()]);
    assert_eq!(changes, [("server", "", &limit), ("target", "shop", &How::Removed)]);
    assert!(!format!("{report:?}").contains("77777"), "no value is told");
    let open = inbox.unfinished().await.unwrap();
    assert_eq!(open, [("shop".to_owned(), 1)], "a dry run changes nothing");

    let order = Order { discard: vec!["shop".to_owned()], ..Order::by("a test") };
    let report = reloader.reload(order).await.unwrap();
    assert_eq!(report.outcome, Outcome::Applied, "{report:?}");
    let since = std::time::Instant::now();
    while !inbox.unfinished().await.unwrap().is_empty() {
        assert!(since.elapsed() < support::gateway::PATIENCE, "what was open is not discarded");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let events = inbox.events(EventFilter { limit: 1, ..Default::default() }).await.unwrap();
    let deliveries = inbox.deliveries_of(events[0].notification).await.unwrap();
    assert_eq!(deliveries[0].state, DeliveryState::Discarded);
    running.abort();
}

#[test]
fn the_command_says_what_would_change_and_does_it() {
    let shop = Shop::new();
    let mut world = shop.world_with(|setup| setup.target.push_str("ladder = [\"1h\"]\n"));
    shop.mode("fail");
    assert_eq!(world.cli(&["reload"]).status.code(), Some(1), "no node runs");
    let _gateway = world.start();
    let payment = world.payment("T-1", 1000);
    assert!(success(&world, "/notify/alipay", &payment));
    wait_for("the failure", || (shop.lines("begun").len() == 1).then_some(()));
    let good = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let told = |args: &[&str], code: i32| {
        let output = world.cli(args);
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    };
    assert!(told(&["reload"], 0).contains("nothing differs"));
    fs::write(world.path("tollbell.toml"), good.replacen("[server]\n", "[server]\nbody_limit = 0\n", 1)).unwrap();
    assert!(told(&["reload"], 2).contains("server.body_limit"));
    fs::write(world.path("tollbell.toml"), &good[..good.find("[[target]]").unwrap()]).unwrap();
    assert!(told(&["reload", "--dry-run"], 1).contains("tollbell reload --discard shop"));
    assert!(told(&["reload", "--dry-run", "--discard", "shop"], 0).contains("target `shop`: removed"));
    assert_eq!(world.delivery_states(), ["pending"], "a dry run changes nothing");
    assert!(told(&["reload", "--discard", "shop"], 0).contains("in force"));
    wait_for("the discard", || (world.delivery_states() == ["discarded"]).then_some(()));
    assert_eq!(shop.lines("begun").len(), 1);
    let report = &world.json(&["reload", "--dry-run"])[0];
    assert_eq!(report["outcome"], "unchanged");
    let size = &world.json(&["inbox"])[0];
    assert_eq!((size["events"].as_u64(), size["notifications"].as_u64()), (Some(1), Some(1)));
    assert!(size["bytes_per_event"].as_u64().unwrap() > 0 && size["bytes"].as_u64().unwrap() > 0);
}
