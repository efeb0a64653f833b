//! `demo`: a gateway and a small PHP shop on real parts, in a temporary folder with fresh keys. Genuinely
//! signed callbacks go through it, and every step is checked, not assumed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tollbell_channels::model::{EventKind, RawRequest};
use tollbell_channels::platforms::{Platform, by_kind};
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{OtherSide, Story};

use super::context::Context;
use super::listing::named;
use super::{DemoArgs, ExitCode, FAILED, OK, init};
use crate::app;
use crate::clock;
use crate::inbox::{DeliveryState, EventFilter, Inbox};
use crate::messages::Message;
use crate::receive::door::NOTIFY;

/// The shop's script, as it lies in the examples.
const SCRIPT: &str = include_str!("../../examples/shop/notify.php");
/// The platforms that the script knows, one a line.
const PLATFORMS_OF_SCRIPT: &str = include_str!("../../examples/shop/platforms.txt");
/// How long a step may take before the demo says that it failed.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two looks at a state.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// The order's amount in minor units, and its text in the callback.
const AMOUNT: (i64, &str) = (1000, "10.00");
/// What the forger writes instead.
const FORGED_AMOUNT: &str = "90.00";
/// The refund in minor units.
const REFUND: i64 = 300;
/// Cap of a reply that the demo reads.
const REPLY_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn run(context: &mut Context<'_>, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("tollbell-demo-").tempdir().context("make a temporary folder")?;
    let mut shop = Shop::start(folder.path())?;
    context.tell(
        &Message::new("demo.shop").with("program", shop.program.display()).with("script", shop.script.display()),
    )?;
    let (node, actors) = start_gateway(context, &folder, &shop)?;
    let node = node.await?;
    let url = format!("http://{}{NOTIFY}/…", node.address());
    context.tell(&Message::new("demo.gateway").with("url", &url).with("folder", folder.path().display()))?;
    let mut told = Ok(());
    for (number, actor) in actors.iter().enumerate() {
        let stage = Stage {
            address: node.address(),
            path: format!("{NOTIFY}/{}", actor.platform.kind),
            shop: &shop,
            told_before: number * FACTS_OF_STORY,
        };
        let name = named(actor.platform.kind, actor.platform.name, context.lang);
        context.say(&name)?;
        told = stage.tell_story(context, &node, &*actor.side).await;
        if told.is_err() {
            break;
        }
    }
    let code = match told {
        Ok(()) => {
            context.tell(&Message::new("demo.all_held"))?;
            OK
        }
        Err(error) => {
            let text = format!("{} {error:#}", context.text(&Message::new("demo.broken")));
            context.say(&text)?;
            FAILED
        }
    };
    if !args.once {
        context.tell(
            &Message::new("demo.stays")
                .with("url", &url)
                .with("admin", format!("http://{}/metrics", node.admin_address()))
                .with("config", folder.path().join(init::CONFIG_FILE).display()),
        )?;
        tokio::signal::ctrl_c().await.context("wait for an interrupt")?;
    }
    node.stop().await;
    shop.stop();
    Ok(code)
}

/// A platform of the story, with its other side.
struct Actor {
    platform: &'static Platform,
    side: Box<dyn OtherSide>,
}

/// Writes the configuration as `init` does, and starts the node on it.
fn start_gateway(
    context: &mut Context<'_>,
    folder: &TempDir,
    shop: &Shop,
) -> anyhow::Result<(impl Future<Output = anyhow::Result<app::Node>>, Vec<Actor>)> {
    let platforms: Vec<&'static Platform> = PLATFORMS_OF_SCRIPT.lines().filter_map(by_kind).collect();
    ensure!(!platforms.is_empty(), "the shop's script knows no platform");
    let settings =
        vec![("address".to_owned(), shop.address.clone()), ("script".to_owned(), shop.script.display().to_string())];
    init::write(&init::Plan {
        folder: folder.path(),
        platforms: platforms.clone(),
        target_settings: settings,
        lang: context.lang,
        listen: "127.0.0.1:0",
        admin_listen: "127.0.0.1:0",
    })?;
    let mut actors = Vec::new();
    for platform in platforms {
        let mut side = (platform.simulate)();
        let exported = fs::read(app::test_keys_path(folder.path(), platform.kind)).context("read the test keys")?;
        if let Err(problem) = side.import(&exported) {
            bail!("test keys: {problem}");
        }
        // The shop gets what a merchant has: the platform's public key, and what the two share.
        for setting in side.written_settings() {
            if let (SettingValue::Key(bytes), Some(name)) = (&setting.value, setting.file_name) {
                fs::write(shop.data.join(name), bytes).context("give the shop a key")?;
            }
        }
        actors.push(Actor { platform, side });
    }
    context.config_path = folder.path().join(init::CONFIG_FILE);
    let config = context.config()?;
    Ok((app::Node::start(config), actors))
}

/// Facts that one platform's story tells: a payment and a refund.
const FACTS_OF_STORY: usize = 2;

struct Stage<'a> {
    address: SocketAddr,
    path: String,
    shop: &'a Shop,
    /// Facts of the stories before this one.
    told_before: usize,
}

struct Replied {
    status: u16,
    body: String,
    took: Duration,
}

impl Replied {
    /// The reply in a few letters: some platforms have an empty one.
    fn text(&self) -> String {
        if self.body.is_empty() { self.status.to_string() } else { self.body.clone() }
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.status, &self.body) == (other.status, &other.body)
    }
}

impl Stage<'_> {
    async fn tell_story(
        &self,
        context: &mut Context<'_>,
        node: &app::Node,
        side: &dyn OtherSide,
    ) -> anyhow::Result<()> {
        let inbox = node.inbox();
        let at = clock::system()();
        let order_no = format!("{}{:02}", at.strftime("%Y%m%d%H%M%S"), self.told_before);
        let paid = Story::paid(&order_no, AMOUNT.0, at);
        let payment = side.callback(&paid).request;

        let success = self.send(&payment).await?;
        ensure!(success.status < 300, "the payment was answered {} {}", success.status, success.body);
        self.expect_run(context, &*inbox, 1).await?;
        let reply = success.text();
        line(
            context,
            "demo.paid",
            &[("order", &order_no), ("amount", AMOUNT.1), ("reply", &reply), ("ms", &ms(success.took))],
        )?;
        self.expect_facts(&[format!("paid {order_no} {}", AMOUNT.1)])?;

        let replied = self.send(&payment).await?;
        ensure!(replied.is_like(&success), "the repetition was answered `{}`", replied.text());
        ensure!(count_events(&*inbox).await? == self.told_before + 1, "the repetition made an event");
        line(context, "demo.repeated", &[("reply", &reply), ("ms", &ms(replied.took))])?;

        let replied = self.send(&forge(&payment)?).await?;
        let has_word = !success.body.is_empty() && replied.body.contains(&success.body);
        ensure!(
            !replied.is_like(&success) && !has_word && replied.status != 204,
            "the forgery was answered `{}`",
            replied.text()
        );
        ensure!(count_events(&*inbox).await? == self.told_before + 1, "the forgery made an event");
        line(context, "demo.forged", &[("reply", format!("{} {}", replied.status, replied.body).trim_end())])?;

        let refund = Story {
            kind: EventKind::RefundSucceeded,
            refunded_minor: REFUND,
            refund_no: Some(format!("R{order_no}")),
            serial: paid.serial + 1,
            ..paid.clone()
        };
        let replied = self.send(&side.callback(&refund).request).await?;
        ensure!(replied.is_like(&success), "the refund was answered `{}`", replied.text());
        self.expect_run(context, &*inbox, FACTS_OF_STORY).await?;
        line(
            context,
            "demo.refunded",
            &[("order", &order_no), ("amount", "3.00"), ("reply", &reply), ("ms", &ms(replied.took))],
        )?;
        self.expect_facts(&[format!("paid {order_no} {}", AMOUNT.1), format!("refunded {order_no} in all 3.00")])
    }

    /// What the shop wrote down since the stories before this one.
    fn expect_facts(&self, expected: &[String]) -> anyhow::Result<()> {
        let facts = self.shop.facts()?;
        let new = facts.get(self.told_before..).unwrap_or_default();
        ensure!(new == expected, "the shop wrote {new:?}");
        let runs = self.shop.runs()?;
        ensure!(runs == self.told_before + expected.len(), "the shop's script ran {runs} times");
        Ok(())
    }

    /// Waits until so many further events are there, every delivery is confirmed and the script ran as often.
    async fn expect_run(&self, context: &mut Context<'_>, inbox: &dyn Inbox, further: usize) -> anyhow::Result<()> {
        let events = self.told_before + further;
        let since = Instant::now();
        loop {
            let open = inbox.events(EventFilter { limit: 10, ..Default::default() }).await.context("list events")?;
            let mut confirmed = 0;
            for event in &open {
                let deliveries = inbox.deliveries_of(event.notification).await.context("list deliveries")?;
                confirmed += usize::from(
                    deliveries.iter().all(|d| d.state == DeliveryState::Delivered) && !deliveries.is_empty(),
                );
            }
            if open.len() == events && confirmed == events && self.shop.runs()? == events {
                return Ok(());
            }
            if since.elapsed() > STEP_TIMEOUT {
                let log = context.text(&Message::new("demo.not_confirmed"));
                bail!("{log} ({} events, {confirmed} confirmed, {} runs)", open.len(), self.shop.runs()?);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Sends a callback as a platform does: a new connection each time.
    async fn send(&self, request: &RawRequest) -> anyhow::Result<Replied> {
        let since = Instant::now();
        let stream = TcpStream::connect(self.address).await.context("connect to the gateway")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let mut outgoing =
            http::Request::builder().method(&request.method).uri(&self.path).body(Full::new(request.body.clone()))?;
        *outgoing.headers_mut() = request.headers.clone();
        outgoing.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("gateway.example"));
        outgoing.headers_mut().remove(http::header::CONTENT_LENGTH);
        let response = sender.send_request(outgoing).await.context("send a callback")?;
        let status = response.status().as_u16();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await;
        let took = since.elapsed();
        let body = body.map_err(|error| anyhow::anyhow!("read the reply: {error}"))?.to_bytes();
        drop(sender);
        drop(driven.await);
        Ok(Replied { status, body: String::from_utf8_lossy(&body).into_owned(), took })
    }
}

fn line(context: &mut Context<'_>, key: &'static str, args: &[(&'static str, &str)]) -> anyhow::Result<()> {
    let message =
        args.iter().fold(Message::dynamic(key.to_owned()), |message, (name, value)| message.with(name, value));
    context.tell(&message)
}

async fn count_events(inbox: &dyn Inbox) -> anyhow::Result<usize> {
    Ok(inbox.events(EventFilter { limit: 10, ..Default::default() }).await.context("list events")?.len())
}

/// The same callback with another amount, as somebody without the key would send it; where the amount is
/// encrypted, with another letter in the middle.
fn forge(genuine: &RawRequest) -> anyhow::Result<RawRequest> {
    let body = String::from_utf8(genuine.body.to_vec()).context("the callback is text")?;
    let mut forged = body.replacen(AMOUNT.1, FORGED_AMOUNT, 1);
    if forged == body {
        let at = (body.len() / 2..body.len()).find(|at| body.as_bytes()[*at].is_ascii_lowercase());
        let at = at.context("the callback holds no letter to change")?;
        forged.replace_range(at..=at, if &body[at..=at] == "a" { "b" } else { "a" });
    }
    Ok(RawRequest { body: Bytes::from(forged), ..genuine.clone() })
}

fn ms(took: Duration) -> String {
    format!("{:.1}", took.as_secs_f64() * 1000.0)
}

/// A PHP shop: PHP-FPM with one script, in a folder of its own.
struct Shop {
    program: PathBuf,
    process: Child,
    address: String,
    script: PathBuf,
    data: PathBuf,
}

impl Shop {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let program = find_fpm().context("PHP-FPM is not installed (`make setup` installs it)")?;
        let root = folder.join("shop");
        let data = root.join("data");
        fs::create_dir_all(&data).context("make the shop's folder")?;
        let script = root.join("notify.php");
        fs::write(&script, SCRIPT).context("write the shop's script")?;
        let socket = folder.join("fpm.sock");
        let conf = folder.join("php-fpm.conf");
        let text = format!(
            "[global]\nerror_log = {log}\ndaemonize = no\n[shop]\nlisten = {socket}\nlisten.mode = 0600\n\
             {user}pm = static\npm.max_children = 4\ncatch_workers_output = yes\n",
            log = folder.join("php-fpm.log").display(),
            socket = socket.display(),
            user = if is_root() { "user = root\ngroup = root\n" } else { "" },
        );
        fs::write(&conf, text).context("write the PHP-FPM configuration")?;
        let mut command = Command::new(&program);
        command.arg("-F").arg("-y").arg(&conf);
        if is_root() {
            command.arg("-R");
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let mut shop = Self { program, process, address: format!("unix:{}", socket.display()), script, data };
        let since = Instant::now();
        while !socket.exists() {
            if let Some(status) = shop.process.try_wait().context("look at PHP-FPM")? {
                let log = fs::read_to_string(folder.join("php-fpm.log")).unwrap_or_default();
                bail!("PHP-FPM ended with {status}: {log}");
            }
            ensure!(since.elapsed() < STEP_TIMEOUT, "PHP-FPM does not open its socket");
            std::thread::sleep(LOOK_PAUSE);
        }
        Ok(shop)
    }

    fn log(&self) -> anyhow::Result<Vec<String>> {
        match fs::read_to_string(self.data.join("orders.log")) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).context("read the shop's orders"),
        }
    }

    /// What the shop did, without the lines that only say that the script ran.
    fn facts(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.log()?.into_iter().filter(|line| !line.starts_with("run ")).collect())
    }

    /// How often the script ran.
    fn runs(&self) -> anyhow::Result<usize> {
        Ok(self.log()?.iter().filter(|line| line.starts_with("run ")).count())
    }

    fn stop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The newest PHP-FPM that is installed under one of its usual names.
fn find_fpm() -> Option<PathBuf> {
    const NAMES: &[&str] =
        &["php-fpm", "php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm8.1", "php-fpm8.0", "php-fpm7.4"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from)).collect();
    NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}
