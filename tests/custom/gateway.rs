//! The whole program with a channel of configuration: check, sample, serve; genuine, repeated, forged, stale.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::written::Written;

const EXAMPLE: &str = include_str!("../../examples/custom.toml");

/// The operator's token.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Longest wait for the program; it is there long before.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Node {
    pub(super) written: Written,
    address: SocketAddr,
    admin: SocketAddr,
    child: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Node {
    /// The example, with its main file around it.
    fn new() -> Self {
        Self::of("", EXAMPLE)
    }

    /// Another channel, and more in the main file.
    pub(super) fn of(more: &str, channel: &str) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, admin) = (free(), free());
        let main = format!(
            "[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n\
             [[admin.token]]\nname = \"test\"\nrole = \"operator\"\ntoken_file = \"keys/admin\"\n{more}"
        );
        let keys = [("keys/examplepay_secret", "whsec_a_secret_of_the_test"), ("keys/admin", TOKEN)];
        let written = Written::new(&main, &[&keys[..], &[("channels.d/examplepay.toml", channel)]].concat());
        Self { written, address, admin, child: None }
    }

    pub(super) fn cli(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        command.arg("--config").arg(self.written.path()).args(["--lang", "en"]).args(args).output().unwrap()
    }

    pub(super) fn text(&self, args: &[&str]) -> String {
        let output = self.cli(args);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{args:?}: {out}{err}");
        out
    }

    pub(super) fn events(&self) -> Vec<Value> {
        self.text(&["--json", "events"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(super) fn serve(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        command.arg("--config").arg(self.written.path()).arg("serve").stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < until, "the program does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A line of the metrics.
    fn metric(&self, begin: &str) -> Option<String> {
        let mut stream = std::net::TcpStream::connect(self.admin).unwrap();
        let asked = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.lines().find(|line| line.starts_with(begin)).map(str::to_owned)
    }

    /// Sends a request of `sample` with curl, and gives the status and body of the answer.
    pub(super) fn curl(config: &str) -> (u16, String) {
        let mut curl = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}", "-K", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        curl.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
        let output = curl.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

#[test]
fn the_example_works_from_check_to_event() {
    let mut node = Node::new();
    assert!(node.text(&["check"]).contains("Channels: 1;"), "{}", node.text(&["check"]));
    let channels = node.text(&["channels"]);
    assert!(channels.contains("/notify/examplepay") && channels.contains("HMAC-SHA256"), "{channels}");
    assert!(!channels.contains("whsec_a_secret"), "{channels}");
    let paid = node.text(&["sample", "examplepay", "--order-no", "T-1", "--amount-minor", "12345"]);
    let body = node.text(&["sample", "examplepay", "--format", "body", "--order-no", "T-1", "--amount-minor", "12345"]);
    assert!(serde_json::from_str::<Value>(&body).is_ok() && !paid.contains("whsec_a_secret"));
    let refund = node.text(&["sample", "examplepay", "--event", "refund.succeeded", "--order-no", "T-1"]);

    node.serve();
    let good = (200, r#"{"received":true}"#.to_owned());
    assert_eq!(Node::curl(&paid), good);
    assert_eq!(Node::curl(&paid), good, "a repetition hears the same");
    let counted = "tollbell_genuine_total{channel=\"examplepay\",key=\"secret 1\"} 2";
    assert_eq!(node.metric("tollbell_genuine_total").as_deref(), Some(counted), "which key proved them");
    let forged = paid.replace("12345", "1");
    assert_ne!(forged, paid);
    assert_eq!(Node::curl(&forged), (400, String::new()));
    let start = paid.find("t=").unwrap() + 2;
    let stale = format!("{}{:010}{}", &paid[..start], 1_700_000_000, &paid[start + 10..]);
    assert_eq!(Node::curl(&stale), (400, String::new()));
    let events = node.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let shown = events[0].to_string();
    for word in ["payment.succeeded", "T-1", "12345", "USD", "examplepay"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    assert_eq!(Node::curl(&refund), good);
    assert_eq!(node.events().len(), 2);
    // Without the channel in the URL: by the signature's own header.
    let recognised = paid.replace("/notify/examplepay", "/notify");
    assert_eq!(Node::curl(&recognised), good);
    assert_eq!(node.events().len(), 2);
}

#[test]
fn sample_names_the_stories_that_the_map_can_tell() {
    let node = Node::new();
    let output = node.cli(&["sample", "examplepay", "--event", "transfer.succeeded"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("payment.succeeded, "), "{error}");
    assert!(!error.contains("transfer.failed"), "{error}");
}

/// The shop checks the window that the configuration names: a refusal after it is no reason to try again.
#[test]
fn a_refusal_after_the_window_of_the_configuration_is_not_tried_again() {
    let shop = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("http://{}/", shop.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in shop.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 16 * 1024];
            let _read = stream.read(&mut head);
            let _sent = stream.write_all(b"HTTP/1.1 400 Late\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlate");
        }
    });
    let target = format!("[[target]]\nid = \"shop\"\nkind = \"http\"\nurl = \"{hook}\"\nformat = \"raw\"\n");
    let mut node = Node::of(&target, &EXAMPLE.replace("tolerance = \"5m\"", "tolerance = \"10s\""));
    node.serve();
    assert_eq!(Node::curl(&node.text(&["sample", "examplepay", "--order-no", "T-1"])).0, 200);
    let event = node.events()[0]["id"].as_str().unwrap().to_owned();
    let until = Instant::now() + 3 * PATIENCE;
    loop {
        let shown = node.text(&["--json", "show", &event]);
        if shown.contains("stale_signature") {
            break;
        }
        assert!(Instant::now() < until, "{shown}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
