//! What real platforms and targets make of their settings.

use std::time::Duration;

use tollbell::config::{AckConfig, AsksConfig};

use super::world::{CHANNEL, Folder, QUEUE, TARGET, good, load, problems, real, rendered, summary, with_warnings};

#[test]
fn what_real_platforms_and_targets_refuse_is_reported_at_its_line() {
    let (folder, text) = real();
    let (config, warnings) = with_warnings(folder.load_real());
    assert_eq!(summary(&warnings), " admin.token check.no_token\n");
    assert_eq!(config.channels[0].channel.keys().len(), 1);
    let without_key: Vec<&str> = text.lines().filter(|line| !line.contains("public_key_file")).collect();
    let without_key = without_key.join("\n");
    for (changed, reported) in [
        (text.replace("app_id = \"", "app_id = \"x"), "4:10 channel.app_id setting.malformed_id"),
        (text.replace("\"2088", "\"1088"), "5:13 channel.seller_id setting.malformed_id"),
        (text.replace("kind = \"alipay\"", "kind = \"alipy\""), "3:8 channel.kind config.unknown_kind_nearest"),
        (text.replace("kind = \"fastcgi\"", "kind = \"php\""), "9:8 target.kind config.one_of"),
        (text.replace("127.0.0.1:9000", "nowhere"), "10:11 target.address setting.malformed"),
        (text.replace("\"/x.php\"", "\"x.php\""), "11:10 target.script setting.malformed"),
        (format!("{text}attempt_timeout = \"0s\"\n"), "13:19 target.attempt_timeout setting.out_of_range"),
        (format!("{text}connect_timeout = \"31s\"\n"), "13:19 target.connect_timeout setting.relation"),
        (format!("{text}success = {{ body = \"x\", match = \"y\" }}\n"), "13:11 target.success setting.unknown_word"),
        (format!("{text}succes = \"platform\"\n"), "13:1 target.succes config.unknown_key_nearest"),
        // Without a key there is no channel, and that is said.
        (without_key.clone(), "1:1 channel.alipay_public_key config.missing_either"),
        (
            without_key.replace("[[target]]", "sign_types = [\"SM2\"]\n[[target]]"),
            "1:1 channel.alipay_sm2_public_key setting.no_key_for_algorithm",
        ),
    ] {
        folder.write("tollbell.toml", changed.as_bytes(), 0o600);
        let found = problems(folder.load_real());
        let shown = summary(&found);
        let shown = shown.trim_end();
        assert_eq!(shown, reported, "{}", rendered(&found));
    }
    for (bytes, word) in [
        (&b"no key"[..], "setting.not_a_key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "setting.private_key_given"),
    ] {
        folder.write("tollbell.toml", text.as_bytes(), 0o600);
        folder.write("alipay_public.pem", bytes, 0o644);
        let found = problems(folder.load_real());
        assert_eq!(summary(&found).trim_end(), format!("6:26 channel.alipay_public_key_file {word}"));
    }
}

#[test]
fn only_a_channel_that_can_ask_asks_for_more() {
    let folder =
        Folder::new(&[("webhook", b"whsec_0123456789abcdef".as_slice()), ("api", b"sk_live_0123456789abcdef")]);
    let load = |more: &str| {
        let text = format!(
            "[[channel]]\nid = \"s\"\nkind = \"stripe\"\naccount = \"acct_1\"\nsecret_file = \"webhook\"\n{more}\n"
        );
        folder.write("tollbell.toml", text.as_bytes(), 0o600);
        folder.load_real()
    };
    let asks = |more: &str| with_warnings(load(more)).0.channels[0].asks;
    assert_eq!(asks("proven = \"believe\"\nunproven = \"refuse\""), AsksConfig::default());
    assert_eq!(asks("api_key_file = \"api\""), AsksConfig::default(), "nothing is asked that nobody asked for");
    let both = asks("api_key_file = \"api\"\nproven = \"ask\"\nunproven = \"ask\"");
    assert_eq!(both, AsksConfig { about_proven: true, about_unproven: true });
    for (key, place) in [("proven", "6:10"), ("unproven", "6:12")] {
        let found = problems(load(&format!("{key} = \"ask\"")));
        assert_eq!(summary(&found).trim_end(), format!("{place} channel.{key} config.cannot_ask"));
    }
}

#[test]
fn what_is_learned_by_asking_reaches_no_raw_target_where_nobody_makes_its_callback() {
    const TARGETS: &str =
        "[[target]]\nid = \"php\"\nkind = \"fastcgi\"\naddress = \"127.0.0.1:9000\"\nscript = \"/x.php\"\n";
    let folder = Folder::new(&[("webhook", b"whsec_0123456789abcdef".as_slice())]);
    folder.write("api", b"sk_live_0123456789abcdef", 0o600);
    let load = |more: &str| {
        let channel = "[[channel]]\nid = \"s\"\nkind = \"stripe\"\naccount = \"acct_1\"\nsecret_file = \"webhook\"";
        folder.write("tollbell.toml", format!("{channel}\n{more}\n{TARGETS}").as_bytes(), 0o600);
        with_warnings(folder.load_real()).1
    };
    let found = |more: &str| summary(&load(more)).contains("channel.id config.no_callbacks");
    assert!(!found(""), "it asks nothing");
    assert!(found("api_key_file = \"api\""));
    assert!(!found("environment = \"sandbox\""), "the target takes nothing of it");
    let shown = rendered(&load("api_key_file = \"api\""));
    assert!(shown.contains("`php`") && shown.contains("no_callback") && shown.contains("投递目标"), "{shown}");
}

#[test]
fn what_is_only_named_is_answered_before_anything_could_be_delivered() {
    const TARGETS: &str =
        "[[target]]\nid = \"php\"\nkind = \"fastcgi\"\naddress = \"127.0.0.1:9000\"\nscript = \"/x.php\"\n";
    let folder = Folder::new(&[("api", b"live_0123456789abcdefABCDEF01234567".as_slice())]);
    folder.write("webhook", b"0123456789abcdefABCDEF0123456789", 0o600);
    let load = |more: &str| {
        let channel =
            "[[channel]]\nid = \"m\"\nkind = \"mollie\"\nprofile_id = \"pfl_QkEhN94Ba1\"\napi_key_file = \"api\"";
        folder.write("tollbell.toml", format!("{channel}\n{more}\n{TARGETS}").as_bytes(), 0o600);
        folder.load_real()
    };
    assert!(
        !summary(&with_warnings(load("")).1).contains("no_callbacks"),
        "its callback names the payment and no more"
    );
    let refused = problems(load("ack = { delivered = \"php\" }"));
    assert_eq!(summary(&refused).trim_end(), "6:7 channel.ack config.hints_ack");
    let shown = rendered(&refused);
    assert!(shown.contains("write ack = \"stored\"") && shown.contains("请写 ack = \"stored\""), "{shown}");
}

#[test]
fn an_answer_may_wait_for_what_can_confirm() {
    let ack =
        |text: &str| good(load(&text.replace("CHANNEL", CHANNEL).replace("TARGET", TARGET).replace("QUEUE", QUEUE)));
    let delivered = |text: &str| match ack(text).channels.remove(0).ack {
        AckConfig::Delivered(ack) => (ack.target.to_string(), ack.within, ack.counts_broker),
        AckConfig::Stored => panic!("{text}"),
    };
    assert_eq!(ack("CHANNELTARGET").channels[0].ack, AckConfig::Stored);
    assert_eq!(ack("CHANNELack = \"stored\"\nTARGET").channels[0].ack, AckConfig::Stored);
    let shop = |within| ("t".to_owned(), within, false);
    assert_eq!(delivered("CHANNELack = { delivered = \"t\" }\nTARGET"), shop(Duration::from_secs(3)));
    let longest = "CHANNELack = { delivered = \"t\", within = \"4500ms\" }\nTARGET";
    assert_eq!(delivered(longest), shop(Duration::from_millis(4500)));
    // One route for one kind of event is enough; other kinds count as stored.
    let routed = "CHANNELack = { delivered = \"t\" }\nTARGETQUEUE[[route]]\ntargets = \"t2\"\n\
                  [[route]]\nevents = \"payment.succeeded\"\ntargets = \"t\"";
    assert_eq!(delivered(routed), shop(Duration::from_secs(3)));
    let sandbox = "CHANNELenvironment = \"sandbox\"\nack = { delivered = \"t\" }\nTARGETaccept_sandbox = true\n";
    assert_eq!(delivered(sandbox), shop(Duration::from_secs(3)));
    // What a confirmation means, and what is asked of it: a queue's counts only when the file says so.
    for (target, broker, is_good) in [("t", false, true), ("t", true, true), ("t2", false, false), ("t2", true, true)] {
        let text = format!("{CHANNEL}ack = {{ delivered = \"{target}\", broker = {broker} }}\n{TARGET}{QUEUE}");
        match load(&text) {
            Ok((config, warnings)) => {
                assert!(is_good && warnings.is_empty(), "{text}");
                assert!(matches!(&config.channels[0].ack, AckConfig::Delivered(ack) if ack.counts_broker == broker));
            }
            Err(problems) => assert!(!is_good && summary(&problems).contains("config.ack_broker"), "{text}"),
        }
    }
}
