//! The settings of a configured channel, as they are shown to people.

use crate::settings::{Setting, SettingKind, Text};

/// The settings, in the order in which they are shown.
pub(in crate::platforms) const SETTINGS: &[Setting] = &[
    Setting {
        name: "platform",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "the platform's short name (a-z, 0-9, _ and -): its numbers are unique within it; channels of one \
                 platform and account share facts, so do not change it later",
            zh: "平台的简短名称（a-z、0-9、_、-）：平台单号在其范围内唯一；同一平台、同一账户的渠道共享去重记录，启用后不要改动",
        },
        example: "example-pay",
    },
    Setting {
        name: "account",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "your account or merchant id at the platform; where `event.account` names its place in the message, \
                 messages for another account are held",
            zh: "您在该平台的账户或商户号；如果用 `event.account` 指明了它在通知中的位置，其他账户的通知会被挂起",
        },
        example: "acct_1001",
    },
    Setting {
        name: "secret",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the signing secret (or token) of this notify URL, as the platform's console shows it",
            zh: "此通知地址的签名密钥（或令牌），从平台后台原样复制",
        },
        example: "keys/custom_secret",
    },
    Setting {
        name: "secret_files",
        kind: SettingKind::SecretFiles,
        is_required: false,
        help: Text {
            en: "instead of `secret` during a rotation: several files, any of them may match",
            zh: "轮换密钥期间代替 `secret`：列出多个密钥文件，任意一个匹配即可",
        },
        example: "[\"keys/secret_new\", \"keys/secret_old\"]",
    },
    Setting {
        name: "public_key",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "the platform's public key or certificate, where it signs with RSA or Ed25519",
            zh: "平台使用 RSA 或 Ed25519 签名时，填写平台的公钥或证书",
        },
        example: "keys/custom_public.pem",
    },
    Setting {
        name: "key_id",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "the id of that secret or key at the platform, where messages name it (`verify.key_id`)",
            zh: "该密钥在平台上的编号，仅在通知用编号指明密钥时填写（`verify.key_id`）",
        },
        example: "key-1001",
    },
    Setting {
        name: "values",
        kind: SettingKind::Pairs,
        is_required: false,
        help: Text {
            en: "values that `cfg:NAME` stands for below, such as the notify URL that some platforms sign",
            zh: "下文 `cfg:名称` 所指的取值，例如有的平台会把通知地址纳入签名",
        },
        example: "{ notification_url = \"https://pay.example.com/notify/custom\" }",
    },
    Setting {
        name: "key",
        kind: SettingKind::Tree { secrets: &["secret"], publics: &["public_key"] },
        is_required: false,
        help: Text {
            en: "instead of `secret` or `public_key`, one [[channel.key]] each: several keys at once, each with an id where \
                 the message names it (`verify.key_id`), and with `until`, after which it proves nothing",
            zh: "代替 `secret` 或 `public_key`，每个密钥写一个 [[channel.key]]：可同时使用多个密钥；通知用编号指明密钥时\
                 (`verify.key_id`)填 id;`until` 为失效时间，到期后不再有效",
        },
        example: "[[channel.key]]\nid = \"key-1\"\nsecret_file = \"keys/key-1\"\nuntil = \"2027-01-01T00:00:00Z\"",
    },
    Setting {
        name: "verify",
        kind: SettingKind::Tree { secrets: &[], publics: &[] },
        is_required: true,
        help: Text {
            en: "how the platform signs: where the signature stands, what it covers, and how fresh it must be",
            zh: "平台如何签名：签名在哪里、覆盖哪些内容、允许多大的时间偏差",
        },
        example: "[channel.verify]\nalgorithm = \"hmac-sha256\"\nencoding = \"hex\"\n\
                  signature = { from = \"header:x-signature\", parse = \"whole\" }\nmessage = \"{body}\"",
    },
    Setting {
        name: "event",
        kind: SettingKind::Tree { secrets: &[], publics: &[] },
        is_required: true,
        help: Text {
            en: "where the numbers, amounts and types stand, and what each type means; a type that is not in the map \
                 becomes `other`",
            zh: "单号、金额、类型在通知中的位置，以及每种类型的含义；map 中没有的类型记为 `other`",
        },
        example: "[channel.event]\ntype = \"json:/type\"\nnumber = \"json:/data/id\"\n\
                  amount = { value = \"json:/data/amount\", currency = \"json:/data/currency\", form = \"minor-int\" }\n\
                  map = { \"payment.paid\" = \"payment.succeeded\" }",
    },
    Setting {
        name: "fetch",
        kind: SettingKind::Tree { secrets: &[], publics: &[] },
        is_required: false,
        help: Text {
            en: "how the platform is asked, where its messages cannot be believed alone (`algorithm` none or token, or a \
                 signature over too little); `event` then reads the answer",
            zh: "通知本身不可信时（`algorithm` 为 none、token，或签名未覆盖关键字段）如何向平台查询；此时 `event` 读取查询结果",
        },
        example: "[channel.fetch]\nrequired = true\nurl = \"https://api.example.com/v1/payments/{json:/id}\"\n\
                  id_pattern = \"^pay_[A-Za-z0-9]+$\"\nauth = \"bearer\"\nsame = \"answer:/id\"",
    },
    Setting {
        name: "api_key",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the API key that `fetch` shows to the platform", zh: "`fetch` 查询平台时使用的 API 密钥"
        },
        example: "keys/custom_api_key",
    },
    Setting {
        name: "api_base",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "only for tests and simulators: where the platform's interface is, `https://…` or `http://127.0.0.1:…`",
            zh: "仅用于测试与模拟：平台接口的地址，`https://…` 或 `http://127.0.0.1:…`",
        },
        example: "https://api.example.com",
    },
    Setting {
        name: "reply",
        kind: SettingKind::Tree { secrets: &[], publics: &[] },
        is_required: false,
        help: Text {
            en: "the exact answers, where the platform wants more than a status: ok, refused, busy, not_yet",
            zh: "平台要求的应答不止状态码时，在此写明：ok、refused、busy、not_yet",
        },
        example: "[channel.reply]\nok = { status = 200, body = \"OK\" }",
    },
];
