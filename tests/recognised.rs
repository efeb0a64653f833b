//! One address for every platform: the real program, configured with two merchants of each, finds whose request it is.

mod support {
    pub(crate) mod gateway;
}

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::gateway::{Gateway, Replied, exchange, free_address, get, now, wait_for, wire};
use tempfile::TempDir;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::RawRequest;
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{OtherSide, Story};

/// A folder with the channels of every platform, as `init` writes them.
struct Place {
    folder: TempDir,
    public: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    /// The other sides that have this configuration's keys, by platform: making one makes keys, which takes long.
    sides: HashMap<&'static str, Box<dyn OtherSide>>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Self { folder, public: free_address(), admin: free_address(), sides: HashMap::new() };
        let ran = place
            .command(&["init", "--all", "--set", "address=unix:/nowhere", "--set", "script=/x.php"])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        for platform in PLATFORMS {
            let mut side = (platform.simulate)();
            let keys = fs::read(place.path(&format!("keys/simulator/{}.keys", platform.kind))).unwrap();
            side.import(&keys).unwrap();
            place.sides.insert(platform.kind, side);
        }
        let text = fs::read_to_string(place.path("tollbell.toml")).unwrap();
        let text = text.replace("\"0.0.0.0:8080\"", &format!("\"{}\"", place.public));
        let mut text = text.replace("\"127.0.0.1:8081\"", &format!("\"{}\"", place.admin));
        for platform in PLATFORMS.iter().filter(|platform| place.is_asked(platform)) {
            // Nobody outside this machine is asked.
            let kind = format!("kind = \"{}\"\n", platform.kind);
            assert!(text.contains(&kind), "{kind}");
            text = text.replace(&kind, &format!("{kind}api_base = \"http://127.0.0.1:9\"\n"));
        }
        fs::write(place.path("tollbell.toml"), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        command.args(["--lang", "en"]).args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.command(&all).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The tables of this configuration's channels, each under another id, with keys where they are now.
    fn channels(&self, suffix: &str, change: impl Fn(&Platform, String) -> String) -> String {
        let text = fs::read_to_string(self.path("tollbell.toml")).unwrap();
        let begin = text.find("[[channel]]").expect("a channel");
        let end = text.find("[[target]]").expect("a target");
        let keys = format!("\"{}/", self.path("keys").display());
        let sections = text[begin..end].replace("\"keys/", &keys);
        let sections = sections.split("[[channel]]").skip(1).zip(PLATFORMS).map(|(section, platform)| {
            let own = format!("id = \"{}\"\n", platform.kind);
            assert!(section.contains(&own), "{section}");
            let renamed = section.replace(&own, &format!("id = \"{}{suffix}\"\n", platform.kind));
            format!("[[channel]]{}", change(platform, renamed))
        });
        sections.collect()
    }

    /// The other side that has this configuration's keys.
    fn side(&self, platform: &Platform) -> &dyn OtherSide {
        &*self.sides[platform.kind]
    }

    /// Whether the platform is asked about every message, because none is believed alone.
    fn is_asked(&self, platform: &Platform) -> bool {
        let side = self.side(platform);
        let request = side.callback(&stories(side, "ASK").remove(0)).request;
        let channel = (platform.build)(&side.settings()).unwrap();
        matches!(channel.verify(&request, now()), Verdict::Hint(_))
    }

    /// Every event, page by page: a command for each channel would read the configuration as often.
    fn events(&self) -> Vec<Value> {
        let mut events = self.json(&["events", "--limit", "500"]);
        loop {
            let Some(last) = events.last().map(|event| event["id"].as_str().unwrap().to_owned()) else { return events };
            let page = self.json(&["events", "--limit", "500", "--before", &last]);
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    fn more(&self, name: &str, channels: &str) {
        fs::create_dir_all(self.path("channels.d")).unwrap();
        fs::write(self.path("channels.d").join(name), channels).unwrap();
    }

    fn serve(&self) -> Gateway {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = self.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut gateway = Gateway { child };
        wait_for("the gateway to serve", || {
            assert!(!gateway.has_ended(), "{}", fs::read_to_string(self.path("log")).unwrap());
            get(self.admin, "/healthz").filter(|reply| reply.status == 200)
        });
        gateway
    }

    /// To the address that is everybody's.
    fn send(&self, request: &RawRequest) -> Replied {
        self.send_to("/notify", request)
    }

    fn send_to(&self, path: &str, request: &RawRequest) -> Replied {
        let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        exchange(self.public, &wire(&format!("{path}{query}"), request)).expect("a reply")
    }
}

/// A story of each kind that a side can tell.
fn stories(side: &dyn OtherSide, tag: &str) -> Vec<Story> {
    let story = |(index, kind): (usize, &_)| {
        let mut story = Story { kind: *kind, ..Story::paid(&format!("{tag}{index}"), 1_000, now()) };
        story.serial = 100 + index as u64;
        if kind.as_str().starts_with("refund.") {
            story.refunded_minor = 1_000;
            story.refund_no = Some(format!("R{tag}{index}"));
        }
        story
    };
    side.stories().iter().enumerate().map(story).collect()
}

/// The texts among a side's settings.
fn ids(side: &dyn OtherSide) -> Vec<(&'static str, String)> {
    let texts = side.written_settings().into_iter().flat_map(|one| match one.value {
        SettingValue::Text(text) => vec![(one.name, text)],
        SettingValue::Texts(texts) => texts.into_iter().map(|text| (one.name, text)).collect(),
        _ => Vec::new(),
    });
    texts.collect()
}

/// The number beside this one.
fn next(text: &str) -> Option<String> {
    let last = text.chars().last()?.to_digit(10)?;
    let digit = char::from_digit((last + 1) % 10, 10)?;
    Some(format!("{}{digit}", &text[..text.len() - 1]))
}

/// Another merchant of the same platform: its own keys, and ids that are never the first one's.
fn second_merchant(first: &Place, second: &Place) -> String {
    second.channels("-2", |platform, mut section| {
        let (one, other) = (first.side(platform), second.side(platform));
        if ids(one) == ids(other) {
            for (name, id) in ids(other) {
                if let Some(next) = next(&id) {
                    let lines = section.lines().map(|line| {
                        let is_its = line.starts_with(&format!("{name} = "));
                        let (from, to) = (format!("\"{id}\""), format!("\"{next}\""));
                        if is_its { line.replace(&from, &to) + "\n" } else { format!("{line}\n") }
                    });
                    section = lines.collect();
                }
            }
        }
        section
    })
}

#[test]
fn each_request_finds_its_own_channel_among_two_merchants_of_every_platform() {
    let (first, second) = (Place::new(), Place::new());
    first.more("second.toml", &second_merchant(&first, &second));
    let mut gateway = first.serve();
    let (mut found, mut channels, mut nameless) = (0, Vec::new(), Vec::new());
    let mut meant_for: HashMap<String, String> = HashMap::new();
    for platform in PLATFORMS {
        let (one, other) = (first.side(platform), second.side(platform));
        let mut senders = vec![(platform.kind.to_owned(), one)];
        // A side whose ids are the same in every run cannot send as the second merchant.
        if ids(one) != ids(other) {
            senders.push((format!("{}-2", platform.kind), other));
        }
        for (channel, side) in senders {
            // A message that says nobody's name needs an address that does: at the common one it is ambiguous.
            let path = if side.names_merchant() { "/notify".to_owned() } else { format!("/notify/{channel}") };
            if !side.names_merchant() {
                let story = stories(side, "NOBODY").remove(0);
                assert!(!(200..300).contains(&first.send(&side.callback(&story).request).status), "{channel}");
                nameless.push(channel.clone());
            }
            for story in stories(side, &format!("{}X", channel.replace(['_', '-'], ""))) {
                let label = format!("{channel}: {}", story.kind);
                let reply = first.send_to(&path, &side.callback(&story).request);
                assert!(
                    (200..300).contains(&reply.status),
                    "{label}: {} {}: {:?}",
                    reply.status,
                    reply.text(),
                    first.json(&["rejections"])
                );
                meant_for.insert(story.order_no, channel.clone());
            }
            if !first.is_asked(platform) {
                channels.push(channel);
            }
        }
    }
    let events = first.events();
    for channel in &channels {
        let mut own = events.iter().filter(|event| event["data"]["channel"] == channel.as_str()).peekable();
        assert!(own.peek().is_some(), "{channel}: no event came to it");
        for event in own {
            // Not every platform tells the merchant's order number of everything.
            let Some(meant) = event["data"]["order_no"].as_str().and_then(|order_no| meant_for.get(order_no)) else {
                continue;
            };
            assert_eq!(meant, channel, "{event}");
            found += 1;
        }
    }
    assert!(found >= PLATFORMS.len(), "only {found} orders were looked at");
    wait_for("the rejections that name both", || {
        let rejections = first.json(&["rejections", "--reason", "ambiguous", "--limit", "100"]);
        let texts: Vec<String> = rejections.iter().map(Value::to_string).collect();
        let is_named = |channel: &String| {
            let one = channel.trim_end_matches("-2");
            let (one, other) = (format!("\"{one}\""), format!("\"{one}-2\""));
            texts.iter().any(|text| text.contains(&one) && text.contains(&other))
        };
        nameless.iter().all(is_named).then_some(())
    });
    for rejection in first.json(&["rejections", "--limit", "100"]) {
        assert!(rejection.to_string().contains("\"ambiguous\""), "{rejection}");
    }
    assert_eq!(gateway.terminate().code(), Some(0));
}

#[test]
fn two_channels_of_one_merchant_are_ambiguous_and_both_are_named() {
    let place = Place::new();
    place.more("twins.toml", &place.channels("-twin", |_, section| section));
    let mut gateway = place.serve();
    for platform in PLATFORMS {
        let side = place.side(platform);
        let story = stories(side, "TWIN").remove(0);
        let request = side.callback(&story).request;
        let reply = place.send(&request);
        assert!(!(200..300).contains(&reply.status), "{}: {}", platform.kind, reply.status);
    }
    wait_for("the rejections that name both", || {
        let rejections = place.json(&["rejections", "--reason", "ambiguous", "--limit", "100"]);
        let texts: Vec<String> = rejections.iter().map(Value::to_string).collect();
        let names = |kind: &str| {
            let (own, twin) = (format!("\"{kind}\""), format!("\"{kind}-twin\""));
            texts.iter().any(|text| text.contains(&own) && text.contains(&twin))
        };
        PLATFORMS.iter().all(|platform| names(platform.kind)).then_some(())
    });
    assert_eq!(place.json(&["events"]).len(), 0);
    assert_eq!(gateway.terminate().code(), Some(0));
}

#[test]
fn a_platform_that_nobody_configured_is_unrecognised() {
    let place = Place::new();
    let text = fs::read_to_string(place.path("tollbell.toml")).unwrap();
    // One channel stays: a gateway without any would serve nobody.
    let begin = text.find("[[channel]]").unwrap();
    let end = text.find("[[target]]").unwrap();
    let mut sections = text[begin..end].split("[[channel]]").skip(1);
    let kept = format!("[[channel]]{}", sections.next().unwrap());
    assert!(sections.next().is_some(), "one platform alone shows nothing");
    fs::write(place.path("tollbell.toml"), format!("{}{kept}{}", &text[..begin], &text[end..])).unwrap();
    let mut gateway = place.serve();
    for platform in &PLATFORMS[1..] {
        let side = place.side(platform);
        let request = side.callback(&stories(side, "NONE")[0]).request;
        let reply = place.send(&request);
        assert!(!(200..300).contains(&reply.status), "{}: {}", platform.kind, reply.status);
    }
    assert_eq!(place.json(&["events"]).len(), 0);
    assert_eq!(gateway.terminate().code(), Some(0));
}

#[test]
fn the_number_beside_another_differs_in_its_last_digit() {
    assert_eq!(next("1909"), Some("1900".to_owned()));
    assert_eq!((next("shop"), next("")), (None, None));
}
