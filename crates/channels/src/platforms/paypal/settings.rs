//! What a merchant configures for a webhook, and the checks that make it a channel or refuse it.

use super::certificate::{Authorities, Key, host, is_issued_to_platform, note};
use crate::channel::{ApiCredential, Interface, KeyNote, quote};
use crate::model::Environment;
use crate::platforms::accounts;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::x509::Certificate;

/// Most webhooks of one channel: each costs a comparison of the signature.
pub(super) const WEBHOOKS_MAX: usize = 8;

/// Most certificates in the setting: the current one and those around a change.
const CERTIFICATES_MAX: usize = 4;

/// Longest id of a webhook, an account or an application; real ones have 17, 13 and 80 characters.
const ID_BYTES_MAX: usize = 128;

/// Shortest secret that is taken; real ones have 80 characters.
const SECRET_BYTES_MIN: usize = 16;

/// What the platform's simulator signs with in place of a webhook's id. It sends to any address that anybody types in.
pub(super) const SIMULATOR: &str = "WEBHOOK_ID";

pub(super) const WEBHOOK: &str = "webhook_id";
pub(super) const MERCHANT: &str = "merchant_id";
pub(super) const CLIENT: &str = "client_id";
pub(super) const SECRET: &str = "client_secret";
pub(super) const CONFIRM: &str = "confirm";
const ORDER: &str = "order_number";
pub(super) const CERTIFICATE: &str = "paypal_cert";
pub(super) const AUTHORITIES: &str = "ca_certs";
pub(super) const API_BASE: &str = "api_base";

/// What [`CONFIRM`] can say.
const CONFIRM_WORDS: &[&str] = &["always", "never"];

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: WEBHOOK,
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "the webhook's ID, in the PayPal Developer Dashboard under Apps & Credentials, your app, Webhooks; several \
                 while one takes another's place. It is part of the signature and not in the message",
            zh: "Webhook ID，见 PayPal 开发者后台「Apps & Credentials / 应用 / Webhooks」；更换期间可填多个。它参与签名，但不在消息中",
        },
        example: "1JE4291016473214C",
    },
    Setting {
        name: MERCHANT,
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "the PayPal Merchant ID of the account (13 characters), in PayPal under account settings, business \
                 information; further ones of sellers behind it. Money for anybody else is held",
            zh: "PayPal 商家编号（Merchant ID,13 位），见 PayPal「账户设置 / 商业信息」；可在其后填写其他卖家的编号。付给其他账户的款项会被挂起",
        },
        example: "7LL5ZTMEKJEA4",
    },
    Setting {
        name: CLIENT,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "the client ID of the app, in the PayPal Developer Dashboard under Apps & Credentials; live and sandbox have \
                 different ones",
            zh: "应用的 Client ID，见 PayPal 开发者后台「Apps & Credentials」;live 与 sandbox 各有一个",
        },
        example: "AeA1QIZXiflr1_-r0U2UbWTziOWX1GRQer5jkUq4ZfWT5qwb6qQRPq7jDtv57TL4POEEezGLdutcxnkJ",
    },
    Setting {
        name: SECRET,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the secret of the app, beside its client ID. With both, PayPal is asked about every event and its answer is \
                 what counts",
            zh: "应用的 Secret，与 Client ID 在同一处。两者都配置后，每个事件都会向 PayPal 查询，以其答复为准",
        },
        example: "paypal_client_secret",
    },
    Setting {
        name: CONFIRM,
        kind: SettingKind::Words(CONFIRM_WORDS),
        is_required: false,
        help: Text {
            en: "whether PayPal is asked about events. `always` (the default) needs client_id and client_secret. `never` \
                 believes the signature alone; but PayPal signs only a CRC-32 of the body. What a transmission told before is \
                 remembered, and anything else under it is held; but whoever sees a delivery before it arrives here (a \
                 proxy, a load balancer), or one that never arrived, can put a payment of his own in its place",
            zh: "是否向 PayPal 确认事件。`always`（默认）需要 client_id 和 client_secret;`never` 仅凭签名采信。注意：PayPal 只对正文的 \
                 CRC-32 签名。同一 transmission 已告知的内容会被记住，换成其他内容会被挂起；但能在回调到达之前看到它的人\
                 （代理、负载均衡），或拿到从未送达的回调的人，仍可用自己的正文替换它，伪造一笔付款",
        },
        example: "always",
    },
    Setting {
        name: ORDER,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "the field with your order number, as you gave it when you created the PayPal order: `invoice_id` (default) \
                 or `custom_id`",
            zh: "商户订单号所在字段，即创建 PayPal 订单时填写的字段：`invoice_id`（默认）或 `custom_id`",
        },
        example: "invoice_id",
    },
    Setting {
        name: CERTIFICATE,
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "only for a machine that may not fetch from api.paypal.com: the certificate that PayPal signs with, from the \
                 address in the header paypal-cert-url. With it nothing is fetched, and a new certificate of PayPal's must \
                 be installed here",
            zh: "仅用于无法访问 api.paypal.com 的机器：PayPal 的签名证书，从请求头 paypal-cert-url 的地址下载。配置后不再自动获取，PayPal 更换证书时须手工更新",
        },
        example: "paypal_cert.pem",
    },
    Setting {
        name: AUTHORITIES,
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "the certificate authorities under which fetched certificates are believed, in PEM. Default: those that \
                 browsers trust",
            zh: "信任哪些证书颁发机构签发的证书（PEM）。默认：浏览器通用的根证书",
        },
        example: "paypal_ca.pem",
    },
    Setting {
        name: API_BASE,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "another address of the API and of the certificates, for a proxy or a test: https, or http to this machine. \
                 Default: https://api-m.paypal.com and https://api.paypal.com, or those of the sandbox",
            zh: "API 与证书的其他地址（代理或测试用）：须为 https，本机可用 http。默认 https://api-m.paypal.com 与 https://api.paypal.com，或沙箱的对应地址",
        },
        example: "https://paypal.proxy.example",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The ids of the webhooks; never empty.
    pub(super) webhooks: Vec<String>,
    /// The account, and further ones whose money is expected; never empty.
    pub(super) merchants: Vec<String>,
    /// The field of the order number.
    pub(super) order_no: OrderNo,
    /// How the platform is asked about events, where it can be.
    pub(super) api: Option<Api>,
    /// Whether only the platform's answer is believed.
    pub(super) confirms: bool,
    /// Configured certificates. Where there are any, none is fetched.
    pub(super) certificates: Vec<Key>,
    /// Where certificates are fetched.
    pub(super) downloads: Option<Interface>,
    /// Under whom fetched certificates are believed.
    pub(super) authorities: Authorities,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

/// How the platform is asked.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) interface: Interface,
    pub(super) credential: ApiCredential,
}

/// Where the merchant's order number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderNo {
    InvoiceId,
    CustomId,
}

impl OrderNo {
    /// The field of payments, refunds and purchase units.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::InvoiceId => "invoice_id",
            Self::CustomId => "custom_id",
        }
    }

    /// The field of a transaction under dispute.
    pub(super) fn field_of_dispute(self) -> &'static str {
        match self {
            Self::InvoiceId => "invoice_number",
            Self::CustomId => "custom",
        }
    }
}

impl Config {
    /// Checks the settings. Fails closed: a channel either asks the platform, or is told that a signature is enough.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let environment = settings.environment;
        let (certificates, mut notes) = certificates(settings)?;
        let own = host(environment);
        let downloads = match certificates.as_slice() {
            [] => Some(Interface::read(settings, API_BASE, own)?),
            _ => None,
        };
        let authorities = match settings.key(AUTHORITIES) {
            Some(file) => Authorities::read(AUTHORITIES, file)?,
            None => Authorities::Public,
        };
        let api = api(settings)?;
        notes.extend(api.iter().map(|_| accounts::secret_note(SECRET, "Basic")));
        Ok(Self {
            environment,
            webhooks: webhooks(settings)?,
            merchants: merchants(settings)?,
            order_no: order_no(settings)?,
            confirms: confirms(settings, api.is_some())?,
            api,
            certificates,
            downloads,
            authorities,
            notes,
        })
    }

    /// Whether money for this account is expected.
    pub(super) fn is_own(&self, merchant: &str) -> bool {
        self.merchants.iter().any(|one| one == merchant)
    }

    /// The account that everything is unique within.
    pub(super) fn account(&self) -> &str {
        self.merchants.first().map_or("", String::as_str)
    }
}

/// The simulator's word is refused by name: to take it would let in whatever anybody makes the simulator send.
fn webhooks(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let given = settings.texts(WEBHOOK).unwrap_or_default();
    if given.iter().any(|text| text.trim() == SIMULATOR) {
        return Err(SettingsError::new(WEBHOOK, "malformed_id").because("WEBHOOK_ID is the simulator's, and anybody's"));
    }
    let is_plain = |text: &str| is_id(text, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let found = accounts::texts(settings, WEBHOOK, WEBHOOKS_MAX, is_plain)?;
    found.ok_or(SettingsError::new(WEBHOOK, "missing"))
}

fn merchants(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let is_plain = |text: &str| is_id(text, |byte| byte.is_ascii_alphanumeric());
    let found = accounts::texts(settings, MERCHANT, accounts::ACCOUNTS_MAX, is_plain)?;
    found.ok_or(SettingsError::new(MERCHANT, "missing"))
}

fn is_id(text: &str, is_plain: impl Fn(u8) -> bool) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Both halves or neither.
fn api(settings: &Settings) -> Result<Option<Api>, SettingsError> {
    let interface = Interface::read(settings, API_BASE, api_host(settings.environment))?;
    let secret = settings.long_secret(SECRET, SECRET_BYTES_MIN)?;
    let (client, secret) = match (settings.text(CLIENT).map(str::trim), secret) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(SettingsError::new(SECRET, "missing").because(CLIENT)),
        (None, Some(_)) => return Err(SettingsError::new(CLIENT, "missing").because(SECRET)),
        (Some(client), Some(secret)) => (client, secret),
    };
    if !is_id(client, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(SettingsError::new(CLIENT, "malformed_id").because(quote(client)));
    }
    let credential = ApiCredential::basic(SECRET, client.as_bytes(), secret);
    Ok(Some(Api { interface, credential: credential.ok_or(SettingsError::new(SECRET, "malformed"))? }))
}

fn api_host(environment: Environment) -> &'static str {
    match environment {
        Environment::Live => "https://api-m.paypal.com",
        Environment::Sandbox => "https://api-m.sandbox.paypal.com",
    }
}

/// Asking is the rule; whoever cannot or will not must say so.
fn confirms(settings: &Settings, can_ask: bool) -> Result<bool, SettingsError> {
    match settings.texts(CONFIRM) {
        Some([word]) if word == "never" => Ok(false),
        Some([word]) if word == "always" && can_ask => Ok(true),
        Some([word]) if word == "always" => Err(SettingsError::new(CLIENT, "missing").because("confirm = \"always\"")),
        Some([]) => Err(SettingsError::new(CONFIRM, "empty_list")),
        Some(_) => Err(SettingsError::new(CONFIRM, "unknown_word").because(CONFIRM_WORDS.join(" | "))),
        None if can_ask => Ok(true),
        None => Err(SettingsError::new(CLIENT, "missing").because("or confirm = \"never\"")),
    }
}

fn order_no(settings: &Settings) -> Result<OrderNo, SettingsError> {
    match settings.text(ORDER).map_or("invoice_id", str::trim) {
        "invoice_id" => Ok(OrderNo::InvoiceId),
        "custom_id" => Ok(OrderNo::CustomId),
        _ => Err(SettingsError::new(ORDER, "unknown_word").because("invoice_id | custom_id")),
    }
}

/// Configured certificates are believed because they are configured; each must still be the platform's by its name.
/// Those of authorities, which a downloaded file holds as well, prove nothing and are passed over.
fn certificates(settings: &Settings) -> Result<(Vec<Key>, Vec<KeyNote>), SettingsError> {
    let Some(file) = settings.key(CERTIFICATE) else { return Ok((Vec::new(), Vec::new())) };
    let (mut keys, mut notes) = (Vec::new(), Vec::new());
    for certificate in Certificate::read_all(CERTIFICATE, file)?.iter().filter(|one| !one.is_authority()) {
        if !is_issued_to_platform(certificate) {
            let subject = quote(&certificate.description().subject);
            return Err(SettingsError::new(CERTIFICATE, "not_a_certificate").because(subject));
        }
        notes.push(note(CERTIFICATE, certificate));
        keys.push(Key::new(CERTIFICATE, certificate, None)?);
    }
    match keys.len() {
        0 => Err(SettingsError::new(CERTIFICATE, "not_a_certificate")),
        1..=CERTIFICATES_MAX => Ok((keys, notes)),
        many => Err(SettingsError::new(CERTIFICATE, "out_of_range").because(format!("{many} > {CERTIFICATES_MAX}"))),
    }
}
