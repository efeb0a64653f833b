//! A platform that nobody programmed: a file in a folder of this test's, and nothing else. It goes through the whole
//! suite with the registered ones.

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, process};

use tollbell_channels::platforms::presets::Preset;
use tollbell_channels::platforms::{Platform, by_kind};

/// Its word.
pub(crate) const KIND: &str = "chimepay";

const FILE: &str = r#"
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

static PRESET: LazyLock<Preset> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("invented-{}", process::id()));
    let file = folder.join(format!("{KIND}.toml"));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(&file, FILE).expect("a file");
    let text = fs::read_to_string(&file).expect("the file");
    fs::remove_dir_all(&folder).expect("a folder");
    Preset::read(KIND, &text).unwrap_or_else(|error| panic!("{error}"))
});

/// It, as any other.
pub(crate) static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform {
    build: |settings| PRESET.build(settings),
    simulate: || PRESET.other_side(),
    mirror: Some(|settings| PRESET.mirror(settings)),
    ..PRESET.description()
});

#[test]
fn nobody_knows_the_invented_platform() {
    assert!(by_kind(KIND).is_none());
    assert!(super::world::worlds().iter().any(|world| world.platform.kind == KIND));
}
