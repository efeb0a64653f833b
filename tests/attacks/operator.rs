//! An operator who renames, removes, replays and sets clocks.

use std::fs;
use std::time::{Duration, Instant};

use super::world::{SCRIPT, Shop, all_delivered, is_success, metric};
use crate::support::gateway::{World, wait_for};

#[test]
fn deliveries_of_a_renamed_channel_can_still_be_confirmed() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut world = shop.world();
    let mut gateway = world.start();
    let payment = world.payment("NAME-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("a run", || (!shop.runs().is_empty()).then_some(()));
    assert!(gateway.terminate().success());
    shop.mode("good");
    world.reconfigure(|text| text.replace("id = \"alipay\"", "id = \"alipay-new\""));
    let _gateway = world.start();
    wait_for("an end", || {
        world.delivery_states().iter().all(|state| state == "delivered" || state == "dead").then_some(())
    });
    assert_eq!(
        world.delivery_states(),
        ["delivered"],
        "the script said success and was not believed: {:?}",
        shop.runs()
    );
}

#[test]
fn what_is_open_for_a_removed_target_is_kept_and_told() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut world = shop.world();
    let mut gateway = world.start();
    let payment = world.payment("TARGET-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("a run", || (!shop.runs().is_empty()).then_some(()));
    assert!(gateway.terminate().success());
    shop.mode("good");
    let other = shop.fpm.root().join("other.php");
    fs::write(&other, SCRIPT).unwrap();
    let old = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    world.reconfigure(|text| text.replace("id = \"shop\"", "id = \"other\"").replace("notify.php", "other.php"));
    let gateway = world.start();
    assert!(metric(&world, "tollbell_open_deliveries{target=\"shop\"}") >= 1, "nobody is told of the backlog");
    assert_eq!(world.delivery_states(), ["pending"]);
    drop(gateway);
    // The same target with another script: what is open goes there.
    world.reconfigure(|_| old.replace("notify.php", "other.php"));
    let _gateway = world.start();
    all_delivered(&world, 1);
}

#[test]
fn a_clock_that_was_set_back_does_not_put_off_a_retry_for_as_long() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut world = shop.world();
    let clock = world.path("clock");
    fs::write(&clock, "+0").unwrap();
    let library =
        ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"]
            .into_iter()
            .find(|path| fs::exists(path).unwrap())
            .unwrap();
    let gateway = world.start_with(&[
        "env",
        &format!("LD_PRELOAD={library}"),
        &format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]);
    let payment = world.payment("CLOCK-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("a run", || (!shop.runs().is_empty()).then_some(()));
    fs::write(&clock, "-3600").unwrap();
    shop.mode("good");
    let second = world.payment("CLOCK-2", 1000);
    assert!(is_success(&world, &second));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(6) && !world.delivery_states().iter().all(|state| state == "delivered")
    {
        std::thread::yield_now();
    }
    drop(gateway);
    assert_eq!(world.delivery_states(), ["delivered", "delivered"]);
}

/// How many deliveries a replay made due.
fn replayed(world: &World, id: &str) -> i64 {
    let output = world.cli(&["--json", "replay", id]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    value["replayed"].as_i64().unwrap()
}

#[test]
fn replays_at_once_and_beside_a_lease_run_the_script_once_each() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("REPLAY-1", 1000);
    assert!(is_success(&world, &payment));
    all_delivered(&world, 1);
    let id = world.events()[0]["id"].as_str().unwrap().to_owned();
    shop.mode("wait");
    let count: i64 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| replayed(&world, &id))).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(count, 1);
    wait_for("the second run", || (shop.runs().len() == 2).then_some(()));
    assert_eq!(replayed(&world, &id), 0, "a delivery under a lease is left alone");
    shop.mode("good");
    all_delivered(&world, 1);
    assert_eq!(shop.runs().len(), 2);
    assert!(shop.runs().iter().all(|run| run.ends_with(&id)));
}

#[test]
fn tiny_retention_removes_nothing_that_is_open() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut setup = shop.setup();
    setup.more = "[retention]\nbodies = \"50ms\"\nidentities = \"3s\"\nevery = \"20ms\"\nslice = 1\n".into();
    let mut world = World::new(&setup);
    world.reconfigure(|text| text.replace("ladder = [", "ladder = [\"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", "));
    let _gateway = world.start();
    let payment = world.payment("KEPT-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("some tries", || (shop.runs().len() >= 4).then_some(()));
    assert_eq!(world.events().len(), 1);
    shop.mode("good");
    wait_for("the end of it all", || world.events().is_empty().then_some(()));
    let runs = shop.runs();
    let ids: std::collections::HashSet<&str> = runs.iter().filter_map(|run| run.split(' ').nth(2)).collect();
    assert_eq!(ids.len(), 1, "{runs:?}");
}
