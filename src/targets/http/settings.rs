//! The settings of this kind of target, as they are shown.

use tollbell_channels::settings::{Setting, SettingKind, Text};

use super::request::{HEADERS, SECRET_HEADERS};
use super::sign;

/// The settings, in the order in which they are shown.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        name: "url",
        kind: SettingKind::Address,
        is_required: true,
        help: Text {
            en: "Where the application takes payments: http:// or https://. {channel} in the path or query becomes the channel's id",
            zh: "应用接收支付事件的地址：http:// 或 https://。路径或查询串中的 {channel} 会替换为渠道 id",
        },
        example: "http://127.0.0.1:3000/payments",
    },
    Setting {
        name: "format",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "\"event\": the unified event as JSON, the same for every platform (default). \"raw\": the platform's own request, byte for byte",
            zh: "\"event\"：统一格式的 JSON 事件，各平台一致（默认）。\"raw\"：平台的原始请求，逐字节转发",
        },
        example: "event",
    },
    Setting {
        name: sign::SETTING,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "The secret that signs deliveries by Standard Webhooks (whsec_… or whsk_…). Several, one a line, while it is being changed: each of them signs. What is signed is the body: a raw request with the platform's message or signature in its query goes out without, and the application checks the platform's own signature",
            zh: "按 Standard Webhooks 规范为投递签名的密钥（whsec_… 或 whsk_…）。更换期间可写多个，每行一个，每个密钥都会生成一份签名。签名只覆盖请求体：平台消息或签名位于查询串中的 raw 请求不带此签名，应用应验证平台自己的签名",
        },
        example: "keys/hook_whsec",
    },
    Setting {
        name: HEADERS,
        kind: SettingKind::Pairs,
        is_required: false,
        help: Text {
            en: "Further headers that anyone may see. Secret ones belong into secret_headers_file",
            zh: "额外的请求头（非机密）。含密钥的请求头请放进 secret_headers_file",
        },
        example: "{ X-Shop = \"main\" }",
    },
    Setting {
        name: SECRET_HEADERS,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "Further headers that nobody may see, one `Name: value` a line, such as Authorization",
            zh: "额外的机密请求头，每行一个 `名称: 值`，例如 Authorization",
        },
        example: "keys/hook_headers",
    },
    Setting {
        name: "ca",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "Certificate authorities that are trusted in place of the system's, in PEM: for a private one",
            zh: "代替系统根证书的信任 CA（PEM），适用于私有 CA",
        },
        example: "keys/shop_ca.pem",
    },
    Setting {
        name: "client_certificate",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "The gateway's own certificate with its chain, in PEM, for servers that ask for one",
            zh: "网关自己的证书及证书链（PEM），用于要求客户端证书的服务器",
        },
        example: "keys/gateway_cert.pem",
    },
    Setting {
        name: "client_key",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "The private key of client_certificate, in PEM", zh: "client_certificate 对应的私钥（PEM）"
        },
        example: "keys/gateway_key.pem",
    },
    Setting {
        name: "success",
        kind: SettingKind::Pairs,
        is_required: false,
        help: Text {
            en: "What counts as confirmed: { status = \"2xx\" } (the default for events), \"platform\" (what the channel's platform would accept, the default for raw), { body = \"success\", match = \"exact|trimmed|contains\" }, { json = \"/code\", equals = 0 }",
            zh: "怎样才算确认成功：{ status = \"2xx\" }（event 的默认值）、\"platform\"（支付平台会接受的应答，raw 的默认值）、{ body = \"success\", match = \"exact|trimmed|contains\" }、{ json = \"/code\", equals = 0 }",
        },
        example: "{ status = \"2xx\" }",
    },
    Setting {
        name: "max_connections",
        kind: SettingKind::Number,
        is_required: false,
        help: Text {
            en: "Most connections and deliveries at once. Default: 8",
            zh: "同时保持的连接数，也是并发投递数。默认 8",
        },
        example: "8",
    },
    Setting {
        name: "idle_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "How long an idle connection is kept: shorter than the server's own keep-alive time, or a delivery may meet a closing connection. 0s keeps none. Default: 4s",
            zh: "空闲连接保留多久：应短于服务器自己的 keep-alive 时间，否则投递可能撞上正在关闭的连接。0s 表示不保留。默认 4s",
        },
        example: "4s",
    },
    Setting {
        name: "connect_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "Longest wait for a connection, and again for TLS. Default: 5s",
            zh: "建立连接的最长等待时间，TLS 握手另计同样时长。默认 5s",
        },
        example: "5s",
    },
    Setting {
        name: "attempt_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "Longest time of one delivery from beginning to end. Default: 15s",
            zh: "单次投递从开始到结束的最长时间。默认 15s",
        },
        example: "15s",
    },
    Setting {
        name: "terminate_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "After which time the application's server ends a request that is still running. After a delivery whose result is unknown, the next try waits for it. Absent: 5 minutes, a guess",
            zh: "应用服务器强制结束一个请求的时限。结果未知的投递，会等到该请求不可能仍在运行时再重试。不填则按 5 分钟估计",
        },
        example: "60s",
    },
    Setting {
        name: "forward_query",
        kind: SettingKind::Flag,
        is_required: false,
        help: Text {
            en: "Raw only: hands on the query of the callback's address. Signatures rarely cover it, so anyone could add to it; what of it the platform signed is always handed on. Left out is what names a variable that `url` or the signed message names. Default: false",
            zh: "仅 raw：是否转发回调地址中的查询串。签名一般不覆盖查询串，任何人都能篡改；其中由平台签名的部分总会转发。与 `url` 或已签名内容同名的参数不转发。默认 false",
        },
        example: "false",
    },
    Setting {
        name: "forward_headers",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "Raw only: headers to hand on that are held back by default (cookies, credentials, what proxies add)",
            zh: "仅 raw：需要额外转发的请求头（默认不转发 Cookie、认证信息及代理添加的请求头）",
        },
        example: "authorization",
    },
];
