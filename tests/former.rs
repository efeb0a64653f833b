//! Keys change while callbacks come: what the platform still signs with the old one is taken until its date.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use support::gateway::{Setup, World, wait_for};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::{EventKind, RawRequest};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::OtherSide;

/// Writes the keys of a side beside those that are there, and gives their lines.
fn written(world: &World, side: &dyn OtherSide, prefix: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for setting in side.written_settings() {
        if let SettingValue::Key(bytes) = setting.value {
            let path = world.path(&format!("{prefix}-{}", setting.file_name.unwrap()));
            fs::write(&path, &bytes[..]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            lines.push(format!("{}_file = \"{}\"", setting.name, path.display()));
        }
    }
    lines
}

#[test]
fn a_key_is_changed_under_running_callbacks() {
    let fpm = PhpFpm::start(&Options::default());
    let script = fpm.script("notify.php", "<?php echo 'success';");
    let mut world = World::new(&Setup::new(&fpm.address(), &script));
    let new = (by_kind("alipay").unwrap().simulate)();
    let _gateway = world.start();
    let mut count = 0;
    let mut told = |world: &mut World, by_new: bool| -> RawRequest {
        count += 1;
        let story = world.story(EventKind::PaymentSucceeded, &format!("FORMER-{count}"), 1000);
        if by_new { new.callback(&story).request } else { world.side.callback(&story).request }
    };
    let is_taken = |world: &World, request: &RawRequest| world.send(request).unwrap().text() == "success";
    let (by_old, by_new) = (told(&mut world, false), told(&mut world, true));
    assert!(is_taken(&world, &by_old));
    assert!(!is_taken(&world, &by_new), "its key is not known yet");

    // The new key takes the place of the old one, which goes on until a date.
    let new_key = written(&world, &*new, "new").join("\n");
    let old_key = written(&world, &*world.side, "old").join("\n");
    let is_key = |line: &str| line.starts_with("alipay_public_key_file");
    let changed = |text: String, until: &str| {
        let rest: Vec<&str> = text.lines().filter(|line| !is_key(line)).collect();
        let rest = rest.join("\n").replace("kind = \"alipay\"\n", &format!("kind = \"alipay\"\n{new_key}\n"));
        let former = format!("[[channel.former]]\nuntil = \"{until}\"\n{old_key}\n[[target]]");
        rest.replacen("[[target]]", &former, 1)
    };
    let plain = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    world.reconfigure(|_| changed(plain.clone(), "2999-01-01T00:00:00Z"));
    assert!(world.cli(&["reload"]).status.success());
    assert!(is_taken(&world, &by_new), "refused before, and repeated by the platform");
    for by_new in [false, true] {
        let request = told(&mut world, by_new);
        assert!(is_taken(&world, &request), "by the new key: {by_new}");
    }
    let listed = world.json(&["channels"]);
    let labels: Vec<&str> =
        listed[0]["keys"].as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap()).collect();
    assert!(labels.iter().any(|label| label.starts_with("former ")), "{labels:?}");

    // It is seen who still signs with it.
    let metrics = support::gateway::get(world.admin, "/metrics").unwrap().text();
    let counted = |key: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("tollbell_genuine_total{{channel=\"alipay\",key=\"{key}\"}}")));
        line.unwrap_or_else(|| panic!("no {key} in {metrics}")).rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(counted("alipay_public_key") >= 2);
    assert_eq!(counted("former alipay_public_key"), 1);
    let rows = world.json(&["keys"]);
    let of = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(of("former alipay_public_key")["notifications"], 1);
    assert_eq!(of("former alipay_public_key")["ends_at"], "2999-01-01T00:00:00Z");

    // Its date has come.
    world.reconfigure(|_| changed(plain, "2020-01-01T00:00:00Z"));
    assert!(world.cli(&["reload"]).status.success());
    let (by_old, by_new) = (told(&mut world, false), told(&mut world, true));
    assert!(!is_taken(&world, &by_old));
    assert!(is_taken(&world, &by_new));
    wait_for("every event to be delivered", || {
        world.delivery_states().iter().all(|state| state == "delivered").then_some(())
    });
    assert_eq!(world.events().len(), 5);
}
