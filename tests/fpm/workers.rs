//! Kept connections, and workers that come and go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollbell_channels::settings::SettingValue;

use super::world::{ENOUGH, World, deliver, envelope, millis, notes, said, settings, target};
use crate::support::php_fpm::{Options, send, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn kept_connections_are_reused_and_never_exceed_the_cap() {
    let options = Options { children: 6, ..Options::default() };
    let world = World::with(&options, |settings| settings.with("max_connections", SettingValue::Number(2)));
    assert_eq!(world.target.demands().concurrency, 2);
    let world = Arc::new(world);
    let mut deliveries = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let world = Arc::clone(&world);
        deliveries.spawn(async move { said(&world.run("count").await) });
    }
    for outcome in deliveries.join_all().await {
        assert_eq!(outcome, "delivered");
    }
    let written = world.written("count.txt");
    let workers: BTreeSet<&str> = written.lines().filter_map(|line| line.split_once(' ')).map(|(_, pid)| pid).collect();
    assert_eq!(written.lines().count(), 40);
    assert!(workers.len() <= 2, "each connection stays with one worker: {workers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kept_connections_nothing_waits_behind_a_script_that_goes_on() {
    let world = World::with(&Options::default(), |settings| settings.with("idle_timeout", millis(0)));
    let begun_at = Instant::now();
    for _ in 0..3 {
        assert_eq!(said(&world.run("finish").await), "delivered");
    }
    assert!(begun_at.elapsed() < Duration::from_secs(3), "each had a worker of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_gives_its_worker_back() {
    let options = Options { children: 1, ..Options::default() };
    let world = World::with(&options, |settings| settings.with("idle_timeout", millis(300)));
    assert_eq!(said(&world.run("count").await), "delivered");
    let kept_at = Instant::now();
    let other = target(&settings(&world.fpm.address(), &world.fpm.root().join("count.php")));
    assert_eq!(said(&deliver(&*other, envelope("x"), ENOUGH).await), "delivered");
    assert!(kept_at.elapsed() >= Duration::from_millis(250), "the only worker was ours until then");

    other.close().await;
    let closed_at = Instant::now();
    assert_eq!(said(&world.run("count").await), "delivered");
    assert!(closed_at.elapsed() < Duration::from_millis(1500), "closing gives the worker back at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_reaches_max_requests_fails_no_delivery() {
    for tcp in [false, true] {
        for pause in [0, 5] {
            let world = World::new(&Options { tcp, children: 2, max_requests: 2, ..Options::default() });
            for number in 0..20 {
                let mut notice = envelope("count");
                notice.delivery = format!("dlv_{number}");
                let attempted = world.deliver(notice).await;
                assert_eq!(said(&attempted), "delivered", "{number}: {attempted:?}");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let written = world.written("count.txt");
            let deliveries: BTreeSet<&str> = written.lines().filter_map(|line| line.split(' ').next()).collect();
            assert_eq!((written.lines().count(), deliveries.len()), (20, 20), "each once:\n{written}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wants_to_go_is_not_held_by_its_connection() {
    // At `pm.max_requests` the only worker shuts its side and waits for ours before it is replaced.
    let options = Options { children: 1, max_requests: 1, ..Options::default() };
    let world = World::with(&options, |settings| settings.with("idle_timeout", millis(600_000)));
    assert_eq!(said(&world.run("count").await), "delivered");
    let other = target(&settings(&world.fpm.address(), &world.fpm.root().join("count.php")));
    let attempted = deliver(&*other, envelope("x"), Duration::from_secs(5)).await;
    assert_eq!(said(&attempted), "delivered", "{attempted:?}");
}

/// On one thread, and without a pause in which the runtime could learn that the connection was closed.
#[tokio::test]
async fn a_restart_that_the_runtime_has_not_seen_is_seen() {
    let mut world = World::new(&Options { tcp: true, ..Options::default() });
    assert_eq!(said(&world.run("count").await), "delivered");
    world.fpm.restart();
    // Past the time in which a close would belong to the request before.
    std::thread::sleep(Duration::from_millis(300));
    let attempted = world.run("count").await;
    assert_eq!((said(&attempted).as_str(), notes(&attempted)), ("delivered", vec![]));
    assert_eq!(world.written("count.txt").lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_php_fpm_heals_by_itself() {
    for tcp in [false, true] {
        let mut world = World::new(&Options { tcp, ..Options::default() });
        assert_eq!(said(&world.run("count").await), "delivered");
        world.fpm.restart();
        let attempted = world.run("count").await;
        assert_eq!((said(&attempted).as_str(), notes(&attempted)), ("delivered", vec![]));

        world.fpm.stop();
        let expected = if tcp { "retry fpm_down" } else { "retry socket_missing" };
        assert_eq!(said(&world.run("count").await), expected);
        world.fpm.launch();
        assert_eq!(said(&world.run("count").await), "delivered");
        assert_eq!(world.written("count.txt").lines().count(), 3);

        world.fpm.kill_hard();
        assert_eq!(said(&world.run("count").await), "retry fpm_down", "the socket's file is still there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_php_fpm_fails_no_delivery() {
    let world = World::new(&Options::default());
    for number in 0..30 {
        if number % 10 == 5 {
            let before = world.fpm.workers();
            send("-USR2", world.fpm.master());
            wait_until("other workers serve", || {
                let now = world.fpm.workers();
                !now.is_empty() && now.iter().all(|worker| !before.contains(worker))
            });
        }
        let attempted = world.run("count").await;
        assert_eq!(said(&attempted), "delivered", "{number}: {attempted:?}");
    }
    assert_eq!(world.written("count.txt").lines().count(), 30);
}
