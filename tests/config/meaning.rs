//! What is written is what is read, and what is dangerous is warned about.

use std::path::Path;
use std::time::Duration;

use tollbell::config::{self, BackoffConfig, IpCheck};
use tollbell_channels::model::EventKind;

use super::world::{CHANNEL, TARGET, good, load, real, rendered, routed, with_warnings};

#[test]
fn what_is_written_is_what_is_read() {
    let config = good(load(&format!(
        "{CHANNEL}{TARGET}\
         accept_sandbox = true\nladder = []\n\
         [server]\nlisten = [\"127.0.0.1:0\", \"[::1]:80\"]\nbody_limit = \"64KiB\"\nmax_connections = 0x10\nbody_timeout = \"500ms\"\n\
         [inbox]\nurl = \"sqlite:data/x.db\"\n\
         [deliver]\nladder = [\"0s\", \"1m\"]\n\
         [retention]\nbodies = \"1d\"\nidentities = \"1d\"\nrejections = \"7d\"\n\
         [log]\nformat = \"json\"\nlevel = \"debug\"\n"
    )));
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!((config.server.body_limit, config.server.max_connections), (65_536, 16));
    assert_eq!(config.server.body_timeout, Duration::from_millis(500));
    assert_eq!(config.inbox.path, config.folder.join("data/x.db"));
    assert_eq!(config.deliver.backoff, BackoffConfig::Ladder(vec![Duration::ZERO, Duration::from_mins(1)]));
    assert_eq!(config.retention.identities, Duration::from_hours(24));
    assert_eq!(config.retention.rejections, Duration::from_hours(7 * 24));
    assert!(config.log.is_json && config.log.level == "debug");
    assert!(config.targets[0].accept_sandbox);
    assert_eq!(config.targets[0].ladder.as_deref(), Some(&[][..]));
    let config = good(load(&format!("{CHANNEL}{TARGET}[deliver.backoff]\nfirst = \"1s\"\ntries = 1000\n")));
    let (first, max) = (Duration::from_secs(1), config::deliver::MAX);
    assert_eq!(config.deliver.backoff, BackoffConfig::Exponential { first, max, tries: 1000 });
    // An absolute path stays; a relative one starts at the file, not where the program was started.
    let config = good(load(&format!("{CHANNEL}{TARGET}[inbox]\nurl = \"sqlite:/var/x.db\"\n")));
    assert_eq!(config.inbox.path, Path::new("/var/x.db"));
}

#[test]
fn ranges_are_read_in_one_form_and_a_list_means_block() {
    let config = good(load(&format!(
        "{CHANNEL}allow_ips = [\"203.0.113.7\", \"2001:db8::/32\"]\n{TARGET}\
         [server]\ntrusted_proxies = [\"::ffff:10.0.0.0/104\", \"192.0.2.1\"]\nexempt_ips = []\n\
         [server.tls]\ncertificate_file = \"c.pem\"\nprivate_key_file = \"/k.pem\"\n"
    )));
    let texts = |ranges: &[ipnet::IpNet]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&config.server.network.trusted_proxies), ["10.0.0.0/8", "192.0.2.1/32"]);
    assert!(config.server.network.exempt_ips.is_empty());
    let allow = &config.channels[0].allow;
    assert_eq!(
        (allow.check, texts(&allow.ranges)),
        (IpCheck::Block, vec!["203.0.113.7/32".into(), "2001:db8::/32".into()])
    );
    let tls = config.server.tls.unwrap();
    assert_eq!((tls.certificate_file, tls.private_key_file), (config.folder.join("c.pem"), "/k.pem".into()));
    assert!(tls.listen.is_empty());
    for (word, check) in [("off", IpCheck::Off), ("warn", IpCheck::Warn), ("block", IpCheck::Block)] {
        let text = format!("{CHANNEL}allow_ips = \"203.0.113.7\"\nip_check = \"{word}\"\n{TARGET}");
        assert_eq!(good(load(&text)).channels[0].allow.check, check);
    }
    assert_eq!(good(load(&format!("{CHANNEL}{TARGET}[server.tls]\n"))).server.tls, None);
}

#[test]
fn what_is_dangerous_and_allowed_is_warned_about() {
    let text = format!("{CHANNEL}{TARGET}[server]\ntrusted_proxies = [\"0.0.0.0/0\", \"::/0\", \"10.0.0.0/8\"]\n");
    let (_, warnings) = with_warnings(load(&text));
    assert_eq!(warnings.iter().filter(|warning| warning.message.key() == "network.everyone").count(), 2);
    let shown = rendered(&warnings);
    assert!(shown.contains("the whole Internet") && shown.contains("整个互联网"), "{shown}");
    let (folder, text) = real();
    let with = |line: &str| {
        folder.write(
            "tollbell.toml",
            text.replacen("[[channel]]\n", &format!("[[channel]]\n{line}\n"), 1).as_bytes(),
            0o600,
        );
        with_warnings(folder.load_real())
    };
    let (config, warnings) = with("ip_check = \"block\"");
    assert!(config.channels[0].allow.ranges.len() > 5, "what the platform publishes");
    assert!(rendered(&warnings).contains("may change"), "{}", rendered(&warnings));
    let shown = rendered(&with("ip_check = \"warn\"").1);
    assert!(!shown.contains("may change"), "{shown}");
}

#[test]
fn a_sandbox_is_said_and_never_guessed() {
    let environment = |line: &str| good(load(&format!("{CHANNEL}{line}{TARGET}"))).channels[0].environment.as_str();
    assert_eq!(environment(""), "live");
    assert_eq!(environment("environment = \"live\"\n"), "live");
    assert_eq!(environment("environment = \"sandbox\"\n"), "sandbox");
    let config = good(load(&format!("{CHANNEL}{TARGET}")));
    assert!(!config.targets[0].accept_sandbox, "facts of a sandbox reach no target by default");
}

#[test]
fn routes_say_which_events_go_where() {
    use EventKind::{PaymentSucceeded as Paid, RefundSucceeded as Refunded};
    let all = "";
    let to_u = "[[route]]\ntargets = \"u\"\n";
    let split = "[[route]]\nchannels = \"a\"\ntargets = [\"v\", \"t\"]\n[[route]]\nchannels = [\"b\"]\nevents = \"refund.*\"\ntargets = \"u\"\n";
    let twice = "[[route]]\ntargets = \"t\"\n[[route]]\ntargets = [\"t\", \"u\"]\nevents = [\"payment.succeeded\"]\n";
    let star = "[[route]]\ntargets = \"t\"\nevents = \"*\"\n";
    for (routes, channel, kind, expected) in [
        (all, "a", Paid, &["t", "u", "v"][..]),
        (all, "b", Refunded, &["t", "u", "v"]),
        (to_u, "a", Paid, &["u"]),
        (to_u, "b", Refunded, &["u"]),
        (split, "a", Paid, &["t", "v"]),
        (split, "b", Paid, &[]),
        (split, "b", Refunded, &["u"]),
        (twice, "a", Paid, &["t", "u"]),
        (twice, "a", Refunded, &["t"]),
        (star, "b", Refunded, &["t"]),
    ] {
        let config = routed(routes);
        let found = config.routes.targets_for(channel, kind, &config.targets);
        let found: Vec<&str> = found.iter().map(|id| &**id).collect();
        assert_eq!(found, expected, "{channel} {kind} with\n{routes}");
    }
}
