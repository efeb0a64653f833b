//! What `tollbell check` says about keys before any callback came, through the real program with keys that OpenSSL made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Between two looks at a log.
const PAUSE: Duration = Duration::from_millis(20);

/// Until a start that says nothing counts as one that never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// An application's key pair, another pair that stands for the platform's, and a secret.
const MAKE: &str = "
set -e
mkdir keys away
openssl genrsa -out keys/app_private.pem 2048
openssl rsa -in keys/app_private.pem -pubout -out keys/app_public.pem
openssl genrsa -out away/platform.key 2048
openssl rsa -in away/platform.key -pubout -out keys/alipay_public.pem
printf 0123456789zyxwvutsrqponmlkjihgfe > keys/epay_key
chmod 600 keys/* away/*
";

const HEAD: &str = "[server]\nlisten = \"127.0.0.1:8080\"\n[admin]\nlisten = \"127.0.0.1:8081\"\n[inbox]\nurl = \"sqlite:x.db\"\n\
     [[target]]\nid = \"shop\"\nkind = \"http\"\nurl = \"http://127.0.0.1:3000/\"\n";

struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        let made = Command::new("sh").args(["-c", MAKE]).current_dir(shop.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        shop
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn configure(&self, channels: &str) {
        let file = self.path().join("tollbell.toml");
        fs::write(&file, format!("{HEAD}{channels}")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, args: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .args(args)
            .current_dir(self.path())
            .env_remove("LC_ALL")
            .env_remove("LC_MESSAGES")
            .env("LANG", "en_US.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let told = text(output.stderr) + &text(output.stdout);
        assert_eq!(output.status.code(), Some(0), "{told}");
        told
    }

    /// The findings of `check --json`: word, line and text of each.
    fn findings(&self) -> Vec<(String, u64, String)> {
        let told = self.run(&["check", "--json"]);
        let lines = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = lines.filter(|line| line["word"].as_str().is_some_and(|word| word.starts_with("finding.")));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found.map(|line| (text(&line["word"]), line["line"].as_u64().unwrap_or(0), text(&line["text"]))).collect()
    }
}

fn alipay(id: &str, app_id: &str, lines: &str) -> String {
    format!(
        "[[channel]]\nid = \"{id}\"\nkind = \"alipay\"\napp_id = \"{app_id}\"\nseller_id = \"2088000000000000\"\n{lines}\n"
    )
}

#[test]
fn the_own_public_key_is_called_so_when_its_private_half_stands_beside_it() {
    let shop = Shop::new();
    // The private key is in no setting: it only lies in the same folder.
    shop.configure(&alipay("pay", "2021000000000000", "alipay_public_key_file = \"keys/app_public.pem\""));
    let [(word, line, text)] = &shop.findings()[..] else { panic!("{:?}", shop.findings()) };
    assert_eq!((word.as_str(), *line), ("finding.own_public_key", 16));
    assert!(text.contains("channel `pay`") && text.contains("your own application's public key"), "{text}");
    assert!(text.contains("app_private.pem") && !text.contains('{'), "{text}");
    let told = shop.run(&["check", "--lang", "zh"]);
    assert!(told.contains("渠道 `pay`：`alipay_public_key` 填的是你自己的应用公钥"), "{told}");
    assert!(told.contains("tollbell.toml:16:"), "{told}");
    // In a setting of another channel.
    let other = alipay(
        "other",
        "2021000000000001",
        "private_key_file = \"keys/app_private.pem\"\nalipay_public_key_file = \"keys/alipay_public.pem\"",
    );
    let own = alipay("pay", "2021000000000000", "alipay_public_key_file = \"keys/app_public.pem\"");
    shop.configure(&(own + &other));
    let found = shop.findings();
    let [(_, _, text)] = &found[..] else { panic!("{found:?}") };
    assert!(text.contains("`other.private_key`"), "{text}");
    // The platform's own key is nothing to speak of, though a private key lies beside it.
    shop.configure(&alipay("pay", "2021000000000000", "alipay_public_key_file = \"keys/alipay_public.pem\""));
    assert_eq!(shop.findings(), []);
}

#[test]
fn one_secret_of_two_merchants_is_told_without_it() {
    let shop = Shop::new();
    let epay = |id: &str, pid: &str| {
        format!(
            "[[channel]]\nid = \"{id}\"\nkind = \"epay\"\npid = \"{pid}\"\nsite = \"{id}.example.com\"\nkey_file = \"keys/epay_key\"\n"
        )
    };
    shop.configure(&(epay("a", "1001") + &epay("b", "1002")));
    let found = shop.findings();
    let words: Vec<&str> = found.iter().map(|(word, _, _)| word.as_str()).collect();
    assert_eq!(words, ["finding.key_shared", "finding.key_shared"], "{found:?}");
    let told = shop.run(&["check"]);
    assert!(told.contains("`key` is the same secret as `key` of `b`"), "{told}");
    assert!(!told.contains("0123456789"), "{told}");
}

#[test]
fn what_is_wrong_with_another_setting_hides_no_file_beside_a_key() {
    let shop = Shop::new();
    // Thirty-two characters, two of which are quotes.
    fs::write(shop.path().join("keys/v3_key"), "\"0123456789zyxwvutsrqponmlkjihg\"").unwrap();
    fs::set_permissions(shop.path().join("keys/v3_key"), fs::Permissions::from_mode(0o600)).unwrap();
    shop.configure(
        "[[channel]]\nid = \"wx\"\nkind = \"wechat_pay\"\nmchid = \"1900000109\"\nappid = \"wxd678efh567hg6787\"\n\
         api_v3_key_file = \"keys/v3_key\"\nwechatpay_public_key_file = \"keys/app_public.pem\"\n\
         wechatpay_public_key_id = \"PUB_KEY_ID_0119000001092024000000000000000000\"\n",
    );
    let words: Vec<String> = shop.findings().into_iter().map(|(word, _, _)| word).collect();
    assert_eq!(words, ["finding.secret_blanks", "finding.own_public_key"]);
}

#[test]
fn the_start_tells_it_too() {
    let shop = Shop::new();
    shop.configure(&alipay("pay", "2021000000000000", "alipay_public_key_file = \"keys/app_public.pem\""));
    let file = shop.path().join("tollbell.toml");
    let text = fs::read_to_string(&file).unwrap().replace(":8080", ":0").replace(":8081", ":0");
    fs::write(&file, text).unwrap();
    let log = shop.path().join("log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .arg("serve")
        .current_dir(shop.path())
        .env("LANG", "en_US.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let told = loop {
        let ended = child.try_wait().unwrap();
        let told = fs::read_to_string(&log).unwrap();
        if ended.is_some() || told.contains("your own application's public key") || Instant::now() > deadline {
            break told;
        }
        thread::sleep(PAUSE);
    };
    let _gone = child.kill();
    child.wait().unwrap();
    assert!(told.contains("your own application's public key") && told.contains("app_private.pem"), "{told}");
}

/// `[[channel.former]]`: what proved messages before is a key as any other.
#[test]
fn a_key_of_before_is_looked_at_as_well() {
    const PRESENT: &str = "alipay_public_key_file = \"keys/alipay_public.pem\"\n";
    const FORMER: &str = "[[channel.former]]\nuntil = \"2999-01-01T00:00:00Z\"\n";
    const OWN: &str = "alipay_public_key_file = \"keys/app_public.pem\"\n";
    let shop = Shop::new();
    let other = alipay("other", "2021000000000001", &format!("{PRESENT}private_key_file = \"keys/app_private.pem\""));
    let with = |lines: &[&str]| shop.configure(&(other.clone() + &alipay("pay", "2021000000000000", &lines.concat())));
    with(&[PRESENT, FORMER, OWN]);
    let [(word, line, text)] = &shop.findings()[..] else { panic!("{:?}", shop.findings()) };
    assert_eq!((word.as_str(), *line), ("finding.own_public_key", 24));
    assert!(text.starts_with("channel `pay` / `[[channel.former]]`: `alipay_public_key` holds your own"), "{text}");
    // The platform's own key of before is nothing to speak of.
    with(&[PRESENT, FORMER, PRESENT]);
    assert_eq!(shop.findings(), []);
    // Nor is what is wrong now told once more for then.
    with(&[OWN, "sign_types = [\"RSA2\"]\n", FORMER, "sign_types = [\"RSA\"]\n"]);
    let found = shop.findings();
    let [(_, _, text)] = &found[..] else { panic!("{found:?}") };
    assert!(text.starts_with("channel `pay`: "), "{text}");
}
