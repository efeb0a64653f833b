//! Raw deliveries signed afresh, whole: the real program an hour later, and a PHP script that checks the signature
//! and its window of time as a shop's kit does.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::gateway::{Gateway, Setup, World, now, wait_for};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::EventKind;

/// Checks the signature with the key beside it and the time with five minutes, notes what it found, and confirms.
const CHECKING: &str = r#"<?php
$header = fn ($name) => $_SERVER['HTTP_WECHATPAY_' . $name] ?? '';
$message = $header('TIMESTAMP') . "\n" . $header('NONCE') . "\n" . file_get_contents('php://input') . "\n";
$key = openssl_pkey_get_public(file_get_contents(__DIR__ . '/trusted.pem'));
$signed = openssl_verify($message, base64_decode($header('SIGNATURE')), $key, OPENSSL_ALGO_SHA256) === 1;
$fresh = abs(time() - (int) $header('TIMESTAMP')) < 300;
$line = ($signed ? 'signed' : 'forged') . ' ' . ($fresh ? 'fresh' : 'stale') . ' ' . $header('SERIAL') . ' ' . $header('NONCE') . "\n";
file_put_contents(__DIR__ . '/runs', $line, FILE_APPEND | LOCK_EX);
if (!$signed || !$fresh) {
    http_response_code(401);
    exit('{"code":"FAIL","message":"签名"}');
}
echo '{"code":"SUCCESS"}';
"#;

/// Verifies an Alipay form as the platform's PHP kit does in key mode.
const FORM: &str = r#"<?php
$fields = $_POST;
unset($fields['sign'], $fields['sign_type']);
ksort($fields);
$message = implode('&', array_map(fn ($name) => $name . '=' . $fields[$name], array_keys($fields)));
$line = trim(file_get_contents(__DIR__ . '/trusted.txt'));
$key = "-----BEGIN PUBLIC KEY-----\n" . wordwrap($line, 64, "\n", true) . "\n-----END PUBLIC KEY-----";
$signed = openssl_verify($message, base64_decode($_POST['sign']), $key, OPENSSL_ALGO_SHA256) === 1;
file_put_contents(__DIR__ . '/runs', ($signed ? 'signed' : 'forged') . "\n", FILE_APPEND | LOCK_EX);
echo $signed ? 'success' : 'fail';
"#;

/// Verifies an epay callback by GET as the site's PHP kit for V2 does, and its time with five minutes.
const QUERY: &str = r#"<?php
$fields = $_GET;
ksort($fields);
$signed = array_filter($fields, fn ($value, $name) => $value !== '' && $name !== 'sign' && $name !== 'sign_type', ARRAY_FILTER_USE_BOTH);
$message = implode('&', array_map(fn ($name) => $name . '=' . $signed[$name], array_keys($signed)));
$line = trim(file_get_contents(__DIR__ . '/trusted.txt'));
$key = "-----BEGIN PUBLIC KEY-----\n" . wordwrap($line, 64, "\n", true) . "\n-----END PUBLIC KEY-----";
$genuine = openssl_verify($message, base64_decode($fields['sign']), $key, OPENSSL_ALGO_SHA256) === 1;
$fresh = abs(time() - (int) $fields['timestamp']) < 300;
file_put_contents(__DIR__ . '/runs', ($genuine ? 'signed' : 'forged') . ($fresh ? ' fresh' : ' stale') . "\n", FILE_APPEND | LOCK_EX);
echo $genuine && $fresh ? 'success' : 'fail';
"#;

fn shop(script: &str) -> PhpFpm {
    let fpm = PhpFpm::start(&Options::default());
    fs::write(fpm.root().join("notify.php"), script).unwrap();
    fpm
}

fn runs(fpm: &PhpFpm) -> Vec<String> {
    let text = fs::read_to_string(fpm.root().join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn world(fpm: &PhpFpm, platform: &'static str) -> World {
    let mut setup = Setup::new(&fpm.address(), &fpm.root().join("notify.php"));
    setup.platform = platform;
    // Half an hour: what failed an hour ago is due at once.
    setup.target.push_str("ladder = [\"30m\", \"30m\", \"30m\"]\n");
    World::new(&setup)
}

/// Puts the target's setting and the channel's key into the configuration, and makes the key.
fn resign(world: &World, platform: &str) -> serde_json::Value {
    world.reconfigure(|text| {
        text.replace("terminate_timeout = \"1s\"\n", "terminate_timeout = \"1s\"\nsignature = \"resigned\"\n")
            .replace("[[channel]]\n", "[[channel]]\nresign_key_file = \"keys/own.pem\"\n")
    });
    world.json(&["resign-key", platform]).remove(0)
}

fn trust(fpm: &PhpFpm, from: &Path, name: &str) {
    fs::copy(from, fpm.root().join(name)).unwrap();
}

fn last_attempt(world: &World) -> (String, String) {
    let id = world.events()[0]["id"].as_str().unwrap().to_owned();
    let shown = world.json(&["show", &id]);
    let attempts = shown[0]["deliveries"][0]["attempts"].as_array().unwrap().clone();
    let last = attempts.last().unwrap();
    (last["outcome"].as_str().unwrap().to_owned(), last["reason"].as_str().unwrap().to_owned())
}

/// The gateway's clock, which a test sets.
struct Clock(PathBuf);

impl Clock {
    /// Starts the gateway with a clock that is an hour behind.
    fn behind(world: &World) -> (Self, Gateway) {
        let clock = Self(world.path("clock"));
        clock.set("-3600");
        let library = [
            "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
        ]
        .into_iter()
        .find(|path| fs::exists(path).unwrap())
        .expect("libfaketime");
        let gateway = world.start_with(&[
            "env",
            &format!("LD_PRELOAD={library}"),
            &format!("FAKETIME_TIMESTAMP_FILE={}", clock.0.display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]);
        (clock, gateway)
    }

    /// In one step, so that nobody reads half of it.
    fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

/// An hour ago the platform told the gateway of a payment, and the shop, whose clock is the machine's, was told too
/// early to accept it.
fn an_hour_ago(world: &mut World) -> (Clock, Gateway) {
    let (clock, gateway) = Clock::behind(world);
    let mut story = world.story(EventKind::PaymentSucceeded, "A-1", 1000);
    story.at = now() - Duration::from_hours(1);
    let request = world.side.callback(&story).request;
    assert_eq!(world.send(&request).unwrap().status, 204, "{}", world.log());
    wait_for("the first attempt", || {
        let states = world.delivery_states();
        let was_tried = world.events().first().is_some_and(|event| {
            let shown = world.json(&["show", event["id"].as_str().unwrap()]);
            !shown[0]["deliveries"][0]["attempts"].as_array().unwrap().is_empty()
        });
        (was_tried && states == ["pending"]).then_some(())
    });
    (clock, gateway)
}

#[test]
fn an_old_signature_ends_as_stale_and_a_fresh_one_is_accepted() {
    let fpm = shop(CHECKING);
    let mut world = world(&fpm, "wechat_pay");
    trust(&fpm, &world.path("wechatpay_public.pem"), "trusted.pem");
    let (clock, mut gateway) = an_hour_ago(&mut world);
    assert_eq!(last_attempt(&world).0, "retry", "within the window a refusal is tried again");

    // An hour passes: the signature is too old, and no further try could be accepted.
    clock.set("+0");
    wait_for("the delivery to be given up", || (world.delivery_states() == ["dead"]).then_some(()));
    assert_eq!(last_attempt(&world), ("declined".to_owned(), "stale_signature".to_owned()));
    assert!(runs(&fpm).iter().all(|run| run.starts_with("signed stale ")), "{:?}", runs(&fpm));
    assert_eq!(runs(&fpm).len(), 2);
    let id = world.events()[0]["id"].as_str().unwrap().to_owned();
    let told = String::from_utf8(world.cli(&["show", &id]).stdout).unwrap();
    assert!(told.contains("signature = \"resigned\"") && told.contains("tollbell resign-key"), "{told}");
    gateway.terminate();

    let made = resign(&world, "wechat_pay");
    let public = made["public"][0]["path"].as_str().unwrap();
    trust(&fpm, Path::new(public), "trusted.pem");
    let _gateway = world.start();
    assert_eq!(world.json(&["replay", "--dead"])[0]["replayed"], 1);
    wait_for("the delivery", || (world.delivery_states() == ["delivered"]).then_some(()));
    let last = runs(&fpm).pop().unwrap();
    assert!(last.starts_with(&format!("signed fresh {} ", made["public"][0]["id"].as_str().unwrap())), "{last}");
    // The next one is signed by its own nonce.
    let payment = world.payment("A-2", 1000);
    assert_eq!(world.send(&payment).unwrap().status, 204);
    wait_for("the second delivery", || (world.delivery_states() == ["delivered", "delivered"]).then_some(()));
    assert_ne!(runs(&fpm).pop().unwrap(), last);
    let raw = world.cli(&["show", &id, "--raw"]).stdout;
    let original = String::from_utf8_lossy(&raw).to_lowercase();
    assert!(
        !original.contains(&made["public"][0]["id"].as_str().unwrap().to_lowercase()),
        "what is kept is the original"
    );
}

#[test]
fn retries_are_signed_afresh_at_each_attempt() {
    let fpm = shop(CHECKING);
    let mut world = world(&fpm, "wechat_pay");
    let made = resign(&world, "wechat_pay");
    trust(&fpm, Path::new(made["public"][0]["path"].as_str().unwrap()), "trusted.pem");
    let (clock, _gateway) = an_hour_ago(&mut world);
    clock.set("+0");
    wait_for("the delivery", || (world.delivery_states() == ["delivered"]).then_some(()));
    let words: Vec<String> =
        runs(&fpm).iter().map(|run| run.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(words, ["signed stale", "signed fresh"]);
}

#[test]
fn the_kit_of_a_form_accepts_our_key_in_place_of_the_platforms() {
    let fpm = shop(FORM);
    let mut world = world(&fpm, "alipay");
    let made = resign(&world, "alipay");
    let public = made["public"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap());
    let line = public.clone().find(|path| path.ends_with("public.txt")).unwrap();
    trust(&fpm, Path::new(line), "trusted.txt");
    let _gateway = world.start();
    let payment = world.payment("B-1", 1000);
    assert_eq!(world.send(&payment).unwrap().text(), "success");
    wait_for("the delivery", || (world.delivery_states() == ["delivered"]).then_some(()));
    assert_eq!(runs(&fpm), ["signed"]);
}

#[test]
fn a_query_that_was_signed_afresh_is_what_a_script_is_given() {
    let fpm = shop(QUERY);
    let mut world = world(&fpm, "epay");
    // With the KEY of V1 nothing is signed afresh, and nobody makes a key for it.
    world.reconfigure(|text| {
        text.replace("terminate_timeout = \"1s\"\n", "terminate_timeout = \"1s\"\nsignature = \"resigned\"\n")
    });
    let refused = world.cli(&["resign-key", "epay"]);
    assert!(!refused.status.success() && !world.path("keys/resign/epay.pem").exists());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("MD5"), "{refused:?}");
    world.reconfigure(|text| {
        let v2_alone: Vec<&str> = text.lines().filter(|line| !line.starts_with("key_file =")).collect();
        v2_alone.join("\n").replace("[[channel]]\n", "[[channel]]\nresign_key_file = \"keys/own.pem\"\n")
    });
    let made = world.json(&["resign-key", "epay"]).remove(0);
    trust(&fpm, Path::new(made["public"][0]["path"].as_str().unwrap()), "trusted.txt");
    let (clock, _gateway) = Clock::behind(&world);
    let mut story = world.story(EventKind::PaymentSucceeded, "C-1", 1000);
    (story.serial, story.at) = (2, now() - Duration::from_hours(1));
    let request = world.side.callback(&story).request;
    assert!(request.query.is_some());
    assert_eq!(world.send(&request).unwrap().text(), "success", "{}", world.log());
    wait_for("the first attempt", || (!runs(&fpm).is_empty()).then_some(()));
    clock.set("+0");
    wait_for("the delivery", || (world.delivery_states() == ["delivered"]).then_some(()));
    assert_eq!(runs(&fpm), ["signed stale", "signed fresh"]);
}

#[test]
fn the_key_is_made_once_for_its_owner_alone_and_its_absence_names_the_command() {
    let fpm = shop(CHECKING);
    let world = world(&fpm, "wechat_pay");
    world.reconfigure(|text| {
        text.replace("terminate_timeout = \"1s\"\n", "terminate_timeout = \"1s\"\nsignature = \"resigned\"\n")
    });
    let refused = world.cli(&["check"]);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("`tollbell resign-key wechat_pay`"), "{text}");
    // The command works with the very configuration that lacks its key, and says what to write.
    let told = world.cli(&["resign-key", "wechat_pay"]);
    let text = String::from_utf8(told.stdout).unwrap();
    let line = "resign_key_file = \"keys/resign/wechat_pay.pem\"";
    assert!(told.status.success() && text.contains(line), "{text}");
    assert!(!world.cli(&["check"]).status.success());
    world.reconfigure(|text| text.replace("[[channel]]\n", &format!("[[channel]]\n{line}\n")));
    assert!(world.cli(&["check"]).status.success());

    let path = world.path("keys/resign/wechat_pay.pem");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read(&path).unwrap();
    let again = world.json(&["resign-key", "wechat_pay"]).remove(0);
    assert_eq!(again["is_new"], false);
    assert_eq!(fs::read(&path).unwrap(), key);
    for (file, mark) in [("public.pem", "PUBLIC KEY"), ("certificate.pem", "CERTIFICATE")] {
        let public = fs::read_to_string(world.path(&format!("keys/resign/wechat_pay-{file}"))).unwrap();
        assert!(public.contains(mark) && !public.contains("PRIVATE"), "{file}");
    }
    // Another reader of certificates finds the serial that messages will name, and a sound signature.
    let certificate = world.path("keys/resign/wechat_pay-certificate.pem");
    let openssl = |args: &[&str]| Command::new("openssl").args(args).arg(&certificate).output().unwrap();
    let serial = String::from_utf8(openssl(&["x509", "-noout", "-serial", "-in"]).stdout).unwrap();
    assert_eq!(serial.trim(), format!("serial={}", again["public"][1]["id"].as_str().unwrap()));
    let sound = openssl(&["verify", "-check_ss_sig", "-CAfile", certificate.to_str().unwrap()]);
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stderr));
    assert!(!world.cli(&["resign-key", "nobody"]).status.success());
}
