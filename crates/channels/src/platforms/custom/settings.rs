//! The settings of a configured channel, as they are shown to people.

use crate::settings::{Setting, SettingKind, Text};

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "platform",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "the platform's short name (a-z, 0-9, _ and -): its numbers are unique within it; channels of one \
                 platform and account share facts, so do not change it later",
            zh: "平台的简短名称(a-z、0-9、_、-):平台单号在其范围内唯一;同一平台、同一账户的渠道共享去重记录,启用后不要改动",
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
            zh: "您在该平台的账户或商户号;如果用 `event.account` 指明了它在通知中的位置,其他账户的通知会被挂起",
        },
        example: "acct_1001",
    },
    Setting {
        name: "secret",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the signing secret of this notify URL, as the platform's console shows it",
            zh: "此通知地址的签名密钥,从平台后台原样复制",
        },
        example: "keys/custom_secret",
    },
    Setting {
        name: "secret_files",
        kind: SettingKind::SecretFiles,
        is_required: false,
        help: Text {
            en: "instead of `secret` during a rotation: several files, any of them may match",
            zh: "轮换密钥期间代替 `secret`:列出多个密钥文件,任意一个匹配即可",
        },
        example: "[\"keys/secret_new\", \"keys/secret_old\"]",
    },
    Setting {
        name: "values",
        kind: SettingKind::Pairs,
        is_required: false,
        help: Text {
            en: "values that `cfg:NAME` stands for below, such as the notify URL that some platforms sign",
            zh: "下文 `cfg:名称` 所指的取值,例如有的平台会把通知地址纳入签名",
        },
        example: "{ notification_url = \"https://pay.example.com/notify/custom\" }",
    },
    Setting {
        name: "key",
        kind: SettingKind::Tree { secrets: &["secret"] },
        is_required: false,
        help: Text {
            en: "instead of `secret`, where the message names the secret by an id (`verify.key_id`): one \
                 [[channel.key]] each",
            zh: "通知用编号指明密钥时(`verify.key_id`)代替 `secret`:每个密钥写一个 [[channel.key]]",
        },
        example: "[[channel.key]]\nid = \"key-1\"\nsecret_file = \"keys/key-1\"",
    },
    Setting {
        name: "verify",
        kind: SettingKind::Tree { secrets: &[] },
        is_required: true,
        help: Text {
            en: "how the platform signs: where the signature stands, what it covers, and how fresh it must be",
            zh: "平台如何签名:签名在哪里、覆盖哪些内容、允许多大的时间偏差",
        },
        example: "[channel.verify]\nalgorithm = \"hmac-sha256\"\nencoding = \"hex\"\n\
                  signature = { from = \"header:x-signature\", parse = \"whole\" }\nmessage = \"{body}\"",
    },
    Setting {
        name: "event",
        kind: SettingKind::Tree { secrets: &[] },
        is_required: true,
        help: Text {
            en: "where the numbers, amounts and types stand, and what each type means; a type that is not in the map \
                 becomes `other`",
            zh: "单号、金额、类型在通知中的位置,以及每种类型的含义;map 中没有的类型记为 `other`",
        },
        example: "[channel.event]\ntype = \"json:/type\"\nnumber = \"json:/data/id\"\n\
                  amount = { value = \"json:/data/amount\", currency = \"json:/data/currency\", form = \"minor-int\" }\n\
                  map = { \"payment.paid\" = \"payment.succeeded\" }",
    },
    Setting {
        name: "reply",
        kind: SettingKind::Tree { secrets: &[] },
        is_required: false,
        help: Text {
            en: "the exact answers, where the platform wants more than a status: ok, refused, busy, not_yet",
            zh: "平台要求的应答不止状态码时,在此写明:ok、refused、busy、not_yet",
        },
        example: "[channel.reply]\nok = { status = 200, body = \"OK\" }",
    },
];
