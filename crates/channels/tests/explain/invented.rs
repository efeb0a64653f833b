//! A platform that nobody programmed, for what no registered one does: it signs the method, the path and the bytes of a
//! form, in lines.

use std::sync::LazyLock;

use tollbell_channels::platforms::Platform;
use tollbell_channels::platforms::presets::Preset;

/// Its kind.
pub(crate) const KIND: &str = "clavepay";

const TEXT: &str = r#"
[preset]
name = { en = "Clave Pay", zh = "响棒支付" }
docs = "https://clavepay.example/docs"
ladder = ["1m", "1h"]

[preset.account]
en = "the number of the shop"
zh = "店铺编号"
example = "shop-1001"

[preset.secret]
en = "the secret of the shop"
zh = "店铺密钥"
example = "keys/clavepay_secret"

[verify]
body = "form"
signature = { from = "header:x-clave", parse = "whole" }
message = "{method}\n{path}\n{header:x-clave-id}\n{body}\n"
algorithm = "hmac-sha256"
encoding = "base64"

[event]
id = "header:x-clave-id"
type = "form:what"
account = "form:shop"
number = "form:clave_no"
order = "form:order_no"
amount = { value = "form:sum", currency = "EUR", form = "decimal-string" }

[event.map]
"struck" = "payment.succeeded"
"missed" = "payment.failed"
"#;

static PRESET: LazyLock<Preset> = LazyLock::new(|| Preset::read(KIND, TEXT).unwrap_or_else(|error| panic!("{error}")));

/// It, as any other.
pub(crate) static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform {
    build: |settings| PRESET.build(settings),
    simulate: || PRESET.other_side(),
    mirror: Some(|settings| PRESET.mirror(settings)),
    ..PRESET.description()
});
