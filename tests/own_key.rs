//! The merchant's own key in the file that the platform hands it out in, through the real program: files that OpenSSL
//! made, `tollbell check` for what it says of them, and `tollbell channels` for what is shown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Whether this program opens PKCS #12.
const OPENS: bool = cfg!(feature = "pfx");

/// `certId` of the invented merchant.
const SERIAL: &str = "69001234567";

const PASSWORD: &str = "4821ab";

/// Makes the merchant's key and certificates, all with one key: its own, and one that bears UnionPay's name.
const MAKE: &str = "
set -e
request() { openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -utf8 -subj \"/C=CN/O=Authority/CN=$2\"; }
issue() { openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -set_serial $2 -days 3650 -out $1.crt; }
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj '/C=CN/O=Authority/CN=ROOT'
request own '041@N91310000@Merchant@00000001' && issue own 69001234567
request unionpay '041@8310000000083040@中国银联股份有限公司@00016495' && issue unionpay 7
openssl req -new -key own.key -out posing.csr -utf8 -subj '/C=CN/O=Authority/CN=041@8@中国银联股份有限公司@1' && issue posing 8
export=\"openssl pkcs12 -export -inkey own.key -in own.crt -certfile ca.pem -passout pass:4821ab\"
$export -legacy -out legacy.pfx && $export -out modern.pfx
openssl pkcs12 -export -nokeys -in own.crt -passout pass:4821ab -out no_key.pfx
openssl pkcs12 -legacy -in legacy.pfx -passin pass:4821ab -nodes -out own.pem
cat own.key ca.key own.crt > two.pem
head -c 900 modern.pfx > cut.pfx
printf 4821ab > password && printf '4821ac\\n' > wrong && printf 'a b' > blank
";

struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        let made = Command::new("sh").args(["-c", MAKE]).current_dir(shop.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for file in fs::read_dir(shop.path()).unwrap() {
            fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(0o600)).unwrap();
        }
        shop
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
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
        (output.status.code(), text(output.stderr) + &text(output.stdout))
    }

    /// Writes a channel that pins this certificate as UnionPay's, with these lines more.
    fn configure(&self, certificate: &str, lines: &str) -> PathBuf {
        let path = self.path().join("tollbell.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:8080\"\n[admin]\nlisten = \"127.0.0.1:8081\"\n[inbox]\nurl = \"sqlite:x.db\"\n\
             [[channel]]\nid = \"bank\"\nkind = \"unionpay\"\nenvironment = \"live\"\nmer_id = \"777290058110048\"\n\
             unionpay_cert_file = \"{certificate}\"\n{lines}\n\
             [[target]]\nid = \"shop\"\nkind = \"http\"\nurl = \"http://127.0.0.1:3000/\"\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    #[track_caller]
    fn passes(&self, certificate: &str, lines: &str) {
        self.configure(certificate, lines);
        let (code, text) = self.run(&["check"]);
        assert_eq!(code, Some(0), "{lines}: {text}");
    }

    #[track_caller]
    fn fails(&self, certificate: &str, lines: &str, says: &[&str]) {
        self.configure(certificate, lines);
        let (code, text) = self.run(&["check"]);
        assert_eq!(code, Some(2), "{lines}: {text}");
        for part in says {
            assert!(text.contains(part), "{lines}: no `{part}` in {text}");
        }
        assert!(!text.contains(PASSWORD) && !text.contains("4821ac"), "{text}");
    }
}

fn key(file: &str, password: &str) -> String {
    let password =
        if password.is_empty() { String::new() } else { format!("\nprivate_key_password_file = \"{password}\"") };
    format!("private_key_file = \"{file}\"{password}")
}

#[test]
fn the_file_that_unionpay_hands_out_is_opened_and_used() {
    let shop = Shop::new();
    shop.passes("unionpay.crt", &key("own.pem", ""));
    for file in ["legacy.pfx", "modern.pfx"] {
        let lines = key(file, "password");
        if !OPENS {
            shop.fails(
                "unionpay.crt",
                &lines,
                &["private_key", "without the feature `pfx`", "openssl pkcs12 -legacy -in"],
            );
            continue;
        }
        shop.passes("unionpay.crt", &lines);
        // The commonest mistake: one's own certificate in place of UnionPay's; and the same key under UnionPay's name.
        shop.fails("own.crt", &lines, &["unionpay_cert_file", "your own application's public key"]);
        shop.fails("posing.crt", &lines, &["unionpay_cert_file", "your own application's public key"]);
    }
    shop.fails("posing.crt", &key("own.pem", ""), &["your own application's public key"]);
    let file = if OPENS { key("legacy.pfx", "password") } else { key("own.pem", "") };
    shop.configure("unionpay.crt", &file);
    let (code, text) = shop.run(&["channels", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let shown: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let notes = shown["keys"].as_array().unwrap();
    let own = notes.iter().find(|note| note["label"].as_str().unwrap().starts_with("private_key")).unwrap();
    assert_eq!(own["label"], format!("private_key (public half, certId {SERIAL})"));
    assert!(own["not_after"].is_string(), "{own}");
}

#[test]
fn what_cannot_be_used_is_named_with_its_cure() {
    let shop = Shop::new();
    let fails = |file: &str, password: &str, says: &[&str]| shop.fails("unionpay.crt", &key(file, password), says);
    fails("two.pem", "", &["private_key_file", "more than one private key"]);
    fails("own.crt", "", &["private_key_file", "holds no private key"]);
    fails("cut.pfx", "password", &["private_key_file", "not a key that can be read"]);
    fails("own.pem", "password", &["private_key_password_file", "does not fit"]);
    fails("own.pem", "blank", &["private_key_password_file", "cannot be read"]);
    shop.fails(
        "unionpay.crt",
        "private_key_password_file = \"password\"",
        &["private_key_password_file", "does not fit"],
    );
    if OPENS {
        fails("no_key.pfx", "password", &["private_key_file", "holds no private key"]);
        for file in ["legacy.pfx", "modern.pfx"] {
            fails(file, "wrong", &["private_key_password_file", "does not open the file beside it"]);
            fails(file, "", &["private_key_password", "is needed"]);
        }
    }
    // Others must not read it, as any key.
    fs::set_permissions(shop.path().join("legacy.pfx"), fs::Permissions::from_mode(0o644)).unwrap();
    fails("legacy.pfx", "password", &["private_key_file", "legacy.pfx"]);
    // A setting that takes PEM alone says what to make of such a file.
    let text = fs::read_to_string(shop.configure("modern.pfx", "")).unwrap();
    fs::write(shop.path().join("tollbell.toml"), text).unwrap();
    let (code, text) = shop.run(&["check"]);
    assert!(code == Some(2) && text.contains("holds a private key"), "{text}");
}
