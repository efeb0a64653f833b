//! Platforms that nobody programmed: files in a folder of this test's, and nothing else. They go through the whole
//! suite with the registered ones, and have each place and way of a signature that the language knows.

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, process};

use tollbell_channels::platforms::presets::Preset;
use tollbell_channels::platforms::{Platform, by_kind};

/// A file's name, and what it says.
type File = (&'static str, &'static str);

const FILES: [File; COUNT] = [
    ("chimepay", CHIME),
    ("harppay", HARP),
    ("lutepay", LUTE),
    ("fifepay", FIFE),
    ("drumpay", DRUM),
    ("gongpay", GONG),
];

const COUNT: usize = 6;

const CHIME: &str = r#"
# The signature stands in the URL, over a form that is signed as it is.

[preset]
name = { en = "Chime Pay", zh = "钟声支付" }
docs = "https://chimepay.example/docs"
ladder = ["1m", "1h"]

[preset.account]
en = "the number of the shop"
zh = "店铺编号"
example = "shop-1001"

[preset.secret]
en = "the secret of the shop"
zh = "店铺密钥"
example = "keys/chimepay_secret"

[verify]
body = "form"
signature = { from = "query:sig", parse = "whole" }
message = "{body}"
algorithm = "hmac-sha512"
encoding = "base64"

[event]
id = "form:message_no"
type = "form:what"
account = "form:shop"
number = "form:ring_no"
order = "form:order_no"
amount = { value = "form:sum", currency = "EUR", form = "decimal-string" }

[event.facts.refund]
number = "form:back_no"
payment = "form:ring_no"

[event.map]
"rung" = "payment.succeeded"
"silent" = "payment.failed"
"back" = "refund.succeeded"

[reply]
ok = { body = "heard" }
"#;

const HARP: &str = r#"
# A digest with its name before it, percent-encoded, over a time and the body.

[preset]
name = { en = "Harp Pay", zh = "竖琴支付" }
docs = "https://harppay.example/docs"
ladder = ["1m", "1h"]

[preset.account]
en = "the number of the shop"
zh = "店铺编号"
example = "shop-1001"

[preset.secret]
en = "the secret of the shop"
zh = "店铺密钥"
example = "keys/harppay_secret"

[verify]
signature = { from = "header:x-harp", parse = "whole", prefix = "sha512=", percent_decode = true }
timestamp = { from = "header:x-harp-time", unit = "s", tolerance = "5m" }
message = "{header:x-harp-time}.{body}"
algorithm = "hmac-sha512"
encoding = "base64"

[event]
id = "json:/id"
type = "json:/what"
account = "json:/shop"
number = "json:/harp_no"
order = "json:/order_no"
amount = { value = "json:/sum", currency = "json:/currency", form = "minor-int" }

[event.map]
"played" = "payment.succeeded"
"muted" = "payment.closed"
"#;

const LUTE: &str = r#"
# Several signatures in a row, each behind its version.

[preset]
name = { en = "Lute Pay", zh = "琵琶支付" }
docs = "https://lutepay.example/docs"
ladder = ["1m", "1h"]

[preset.account]
en = "the number of the shop"
zh = "店铺编号"
example = "shop-1001"

[preset.public_key]
en = "the platform's public key"
zh = "平台公钥"
example = "keys/lutepay_public.pem"

[verify]
signature = { from = "header:x-lute", parse = "list", list_sep = ";", version_sep = ":", want = "e1" }
message = "{body}"
algorithm = "ed25519"
encoding = "base64"

[event]
id = "json:/id"
type = "json:/what"
account = "json:/shop"
number = "json:/lute_no"
order = "json:/order_no"
amount = { value = "json:/sum", currency = "EUR", form = "minor-int" }

[event.facts.refund]
number = "json:/back_no"
payment = "json:/lute_no"

[event.map]
"plucked" = "payment.succeeded"
"back" = "refund.succeeded"
"#;

const FIFE: &str = r#"
# Items in a list, each with a signature of its own over some of its values.

[preset]
name = { en = "Fife Pay", zh = "短笛支付" }
docs = "https://fifepay.example/docs"
ladder = ["1m", "1h"]

[preset.account]
en = "the number of the shop"
zh = "店铺编号"
example = "shop-1001"

[preset.secret]
en = "the secret of the shop"
zh = "店铺密钥"
example = "keys/fifepay_secret"

[verify]
items = { from = "json:/batch", unwrap = "/event" }
signature = { from = "item:/more/signature", parse = "whole" }
message = "{item:/id}\n{item:/what}\n{item:/shop}\n{item:/fife_no}\n{item:/order_no}\n{item:/money/sum}\n{item:/money/currency}"
algorithm = "hmac-sha256"
encoding = "base64"

[event]
id = "item:/id"
type = "item:/what"
account = "item:/shop"
number = "item:/fife_no"
order = "item:/order_no"
amount = { value = "item:/money/sum", currency = "item:/money/currency", form = "decimal-string" }

[event.map]
"blown" = "payment.succeeded"
"silent" = "payment.failed"
"#;

const DRUM: &str = r#"
# A pair of RSA, and the signature among pairs of its header.

[preset]
name = { en = "Drum Pay", zh = "鼓支付" }
docs = "https://drumpay.example/docs"
ladder = ["1m", "1h"]

[preset.account]
en = "the number of the shop"
zh = "店铺编号"
example = "shop-1001"

[preset.public_key]
en = "the platform's public key"
zh = "平台公钥"
example = "keys/drumpay_public.pem"

[verify]
signature = { from = "header:x-drum", parse = "kv", pair_sep = "; ", kv_sep = "=", want = "rsa" }
message = "{body}"
algorithm = "rsa-sha256"
encoding = "base64"

[event]
id = "json:/id"
type = "json:/what"
account = "json:/shop"
number = "json:/drum_no"
order = "json:/order_no"
amount = { value = "json:/sum", currency = "EUR", form = "decimal-string" }

[event.map]
"beaten" = "payment.succeeded"
"#;

const GONG: &str = r#"
# A number, and nothing that proves anything: whoever gets it asks.

[preset]
name = { en = "Gong Pay", zh = "锣支付" }
docs = "https://gongpay.example/docs"
ladder = ["1m", "1h"]

[preset.account]
en = "the number of the shop"
zh = "店铺编号"
example = "shop-1001"

[preset.api_key]
en = "the key with which the shop asks"
zh = "店铺查询用的密钥"
example = "keys/gongpay_api_key"

[verify]
body = "form"
algorithm = "none"

[fetch]
required = true
url = "https://api.gongpay.example/strokes/{form:stroke}"
id_pattern = "^g[0-9]{12}$"
auth = "bearer"
same = "answer:/stroke"

[event]
type = "answer:/what"
account = "answer:/shop"
number = "answer:/stroke"
order = "answer:/order_no"
amount = { value = "answer:/sum", currency = "EUR", form = "decimal-string" }

[event.map]
"struck" = "payment.succeeded"
"cracked" = "payment.failed"
"#;

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("invented-{}", process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    for (kind, text) in FILES {
        fs::write(folder.join(format!("{kind}.toml")), text).expect("a file");
    }
    let read = |(kind, _): File| {
        let text = fs::read_to_string(folder.join(format!("{kind}.toml"))).expect("the file");
        Preset::read(kind, &text).unwrap_or_else(|error| panic!("{error}"))
    };
    let read = FILES.map(read).into();
    fs::remove_dir_all(&folder).expect("a folder");
    read
});

/// Them, as any other.
static PLATFORMS: LazyLock<[Platform; COUNT]> = LazyLock::new(|| {
    [platform::<0>(), platform::<1>(), platform::<2>(), platform::<3>(), platform::<4>(), platform::<5>()]
});

fn platform<const INDEX: usize>() -> Platform {
    let has_secret = FILES[INDEX].1.contains("[preset.secret]");
    Platform {
        build: |settings| PRESETS[INDEX].build(settings),
        simulate: || PRESETS[INDEX].other_side(),
        mirror: if has_secret { Some(|settings| PRESETS[INDEX].mirror(settings)) } else { None },
        ..PRESETS[INDEX].description()
    }
}

pub(crate) fn platforms() -> impl Iterator<Item = &'static Platform> {
    PLATFORMS.iter()
}

/// Whether a platform is one of them.
pub(crate) fn is_invented(kind: &str) -> bool {
    FILES.iter().any(|(known, _)| *known == kind)
}

#[test]
fn nobody_knows_the_invented_platforms() {
    let worlds = super::world::worlds();
    let asked = super::world::asked_worlds();
    for (kind, _) in FILES {
        assert!(by_kind(kind).is_none(), "{kind}");
        assert!(worlds.iter().chain(&asked).any(|world| world.platform.kind == kind), "{kind}");
    }
}
