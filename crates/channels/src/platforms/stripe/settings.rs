//! What a merchant configures for an endpoint, and the checks that make it a channel or refuse it.

use crate::channel::{ApiCredential, Interface, KeyNote};
use crate::model::Environment;
use crate::model::fact::NAME_BYTES_MAX;
use crate::platforms::accounts;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::hmac::{HmacHash, HmacKey};

/// Most secrets at a time: the current one, those of a rotation, and those of endpoints that share the URL.
const SECRETS_MAX: usize = 8;

/// Shortest secret, in bytes, with its prefix; real ones have 38 and more.
const SECRET_BYTES_MIN: usize = 16;

/// How every signing secret begins. An API key (`sk_`, `rk_`, `pk_`) in its place is the commonest mistake.
const SECRET_PREFIX: &[u8] = b"whsec_";

/// How accounts begin.
const ACCOUNT_PREFIX: &str = "acct_";

/// Every connected account.
const ANY: &str = "*";

/// The key in `metadata` when none is configured.
const ORDER_KEY: &str = "order_id";

/// Longest key in `metadata` (Stripe, "Metadata").
const ORDER_KEY_CHARS_MAX: usize = 40;

pub(super) const ACCOUNT: &str = "account";
pub(super) const SECRET: &str = "secret";
pub(super) const SECRET_FILES: &str = "secret_files";
const CONNECTED: &str = "connected_accounts";
const ORDER: &str = "order_key";
const PAYMENTS: &str = "payments_from";
const REFUNDS: &str = "refunds_from";
const THREE_DECIMALS: &str = "three_decimal_currencies";
const API_KEY: &str = "api_key";
const API_BASE: &str = "api_base";

/// The platform's own interface.
const API: &str = "https://api.stripe.com";

const PAYMENT_WORDS: &[&str] = &["payment_intent", "charge", "checkout_session"];
const REFUND_WORDS: &[&str] = &["refund", "charge"];

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: ACCOUNT,
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "your account's id (acct_…): numbers are unique within it, so do not change it later; dashboard: Settings > \
                 Business > Account details. Webhooks of your own account do not carry it: two accounts need an address \
                 each",
            zh: "您的账户编号（acct_…）：各类单号在其范围内唯一，启用后不要改动；见 Dashboard 的 Settings > Business > Account details。\
                 自有账户的通知中不含此编号，两个账户须各用一个通知地址",
        },
        example: "acct_1000000000000001",
    },
    Setting {
        name: SECRET,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the endpoint's signing secret (whsec_…), as a whole and as it is shown; dashboard: Workbench > Webhooks > \
                 the endpoint > Signing secret. Each endpoint has its own, and test mode another one than live mode; it is \
                 no API key (sk_…)",
            zh: "此通知端点的签名密钥（whsec_…），原样完整填写；见 Dashboard 的 Workbench > Webhooks > 对应端点 > Signing secret。\
                 每个端点不同，测试与正式环境也不同；不是 API 密钥（sk_…）",
        },
        example: "stripe_secret",
    },
    Setting {
        name: SECRET_FILES,
        kind: SettingKind::SecretFiles,
        is_required: false,
        help: Text {
            en: "instead of `secret` while a secret is rolled (the old one stays valid for up to 24 hours), or when several \
                 endpoints send to this address: any of them may match",
            zh: "轮换密钥期间（旧密钥最多保留 24 小时）或多个端点指向同一地址时，代替 `secret`：列出多个密钥文件，任意一个匹配即可",
        },
        example: "[\"keys/stripe_secret_new\", \"keys/stripe_secret_old\"]",
    },
    Setting {
        name: CONNECTED,
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "for Connect: accounts whose events are expected here (acct_…), or [\"*\"] for every connected account; \
                 dashboard: Connect > Accounts. Events of any other account are held",
            zh: "使用 Connect 时：预期会收到其事件的关联账户（acct_…），[\"*\"] 表示全部；见 Dashboard 的 Connect > Accounts。\
                 其他账户的事件会被挂起",
        },
        example: "[\"acct_1000000000000002\"]",
    },
    Setting {
        name: ORDER,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "the key under which your program writes the order number into `metadata` (of the PaymentIntent, and of the \
                 Checkout session, whose `client_reference_id` serves as well); `order_id` unless you say otherwise",
            zh: "程序把订单号写入 `metadata` 时所用的键（PaymentIntent 与 Checkout Session 都要写；Session 也可用 \
                 `client_reference_id`）；默认 `order_id`",
        },
        example: "order_id",
    },
    Setting {
        name: PAYMENTS,
        kind: SettingKind::Words(PAYMENT_WORDS),
        is_required: false,
        help: Text {
            en: "which objects tell payments; all three unless you say otherwise. When only the Checkout session carries your \
                 order number, and everything is paid through Checkout and once, write [\"checkout_session\"]: other payments \
                 without an invoice are held then. Otherwise write the number into `payment_intent_data[metadata]` as well",
            zh: "由哪些对象告知付款结果，默认三种都认。如果只有 Checkout Session 带订单号，且全部通过 Checkout 一次性付款，\
                 可写 [\"checkout_session\"]（此时其他不含账单编号的付款会被挂起）；否则请在 `payment_intent_data[metadata]` 中同样写入订单号",
        },
        example: "[\"payment_intent\", \"charge\", \"checkout_session\"]",
    },
    Setting {
        name: REFUNDS,
        kind: SettingKind::Words(REFUND_WORDS),
        is_required: false,
        help: Text {
            en: "which events tell refunds: [\"refund\"] for `refund.*`, which name each refund, or [\"charge\"] for \
                 `charge.refunded`, which only states a running total; not both, since nothing ties the two together. Unless \
                 you say it, a `charge.refunded` without a list of refunds is held",
            zh: "由哪类事件告知退款：[\"refund\"] 表示 `refund.*`（逐笔有编号），[\"charge\"] 表示 `charge.refunded`（只有累计金额）；\
                 二者无法关联，只能选一种，建议 [\"refund\"]。未设置时，不带退款列表的 `charge.refunded` 会被挂起",
        },
        example: "[\"refund\"]",
    },
    Setting {
        name: THREE_DECIMALS,
        kind: SettingKind::Flag,
        is_required: false,
        help: Text {
            en: "whether your account charges currencies with three decimals (BHD, JOD, KWD, OMR, TND), whose last digit is \
                 always 0; their amounts are held otherwise",
            zh: "账户是否收取三位小数货币（BHD、JOD、KWD、OMR、TND，末位恒为 0）；未开启时此类金额会被挂起",
        },
        example: "true",
    },
    Setting {
        name: API_KEY,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "for thin events: a secret or restricted key (sk_…, rk_…) that may read PaymentIntents, charges, refunds, \
                 disputes and payouts; dashboard: Developers > API keys. Thin events about money are held without it, and \
                 those of connected accounts also with it",
            zh: "接收轻量（thin）事件时：可读取 PaymentIntent、Charge、退款、争议、打款的密钥或受限密钥（sk_…、rk_…）；\
                 见 Dashboard 的 Developers > API keys。未填写时涉及资金的轻量事件会被挂起；关联账户的轻量事件始终挂起",
        },
        example: "stripe_api_key",
    },
    Setting {
        name: API_BASE,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "another address of the interface, for tests and proxies; https, or http to this machine",
            zh: "接口的其他地址，用于测试或代理；须为 https，或指向本机的 http",
        },
        example: "https://api.stripe.com",
    },
];

/// Which of the two kinds of events tells refunds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefundsFrom {
    /// Nobody said.
    Unsaid,
    /// `refund.*`.
    Refund,
    /// `charge.refunded`.
    Charge,
}

/// The objects that tell payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PaymentsFrom {
    pub(super) payment_intent: bool,
    pub(super) charge: bool,
    pub(super) checkout_session: bool,
}

/// How the platform is asked.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) interface: Interface,
    pub(super) credential: ApiCredential,
}

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant's own account.
    pub(super) account: String,
    /// Accounts that are connected to it.
    connected: Vec<String>,
    /// What proves a message; never empty.
    pub(super) secrets: Vec<HmacKey>,
    /// The key of the order number in `metadata`.
    pub(super) order_key: String,
    /// The objects that tell payments.
    pub(super) payments_from: PaymentsFrom,
    /// The events that tell refunds.
    pub(super) refunds_from: RefundsFrom,
    /// Whether amounts with three decimals are read.
    pub(super) has_three_decimals: bool,
    /// How the platform is asked about what thin events name, where it is.
    pub(super) api: Option<Api>,
}

impl Config {
    /// Checks the settings. Fails closed: no secret, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let account = settings.required_text(ACCOUNT)?.trim();
        if !is_account(account) {
            return Err(SettingsError::new(ACCOUNT, "malformed_id").because("acct_…"));
        }
        let connected =
            accounts::texts(settings, CONNECTED, accounts::ACCOUNTS_MAX, |text| text == ANY || is_account(text))?;
        let order_key = settings.text(ORDER).map_or(ORDER_KEY, str::trim);
        if order_key.is_empty() || order_key.chars().count() > ORDER_KEY_CHARS_MAX {
            return Err(SettingsError::new(ORDER, "out_of_range").because(format!("1..={ORDER_KEY_CHARS_MAX}")));
        }
        Ok(Self {
            environment: settings.environment,
            account: account.to_owned(),
            connected: connected.unwrap_or_default(),
            secrets: secrets(settings)?,
            order_key: order_key.to_owned(),
            payments_from: payments_from(settings)?,
            refunds_from: refunds_from(settings)?,
            has_three_decimals: settings.flag(THREE_DECIMALS),
            api: api(settings)?,
        })
    }

    /// Whether events of this account are expected.
    pub(super) fn is_own(&self, account: &str) -> bool {
        account == self.account || self.connected.iter().any(|one| one == ANY || one == account)
    }

    /// Public facts about the secrets: that they are there, and nothing of them.
    pub(super) fn notes(&self) -> Vec<KeyNote> {
        let secrets = self.secrets.iter().map(|key| accounts::secret_note(key.label(), &key.hash().to_string()));
        secrets.chain(self.api.iter().map(|_| accounts::secret_note(API_KEY, "Bearer"))).collect()
    }
}

fn is_account(text: &str) -> bool {
    let rest = text.strip_prefix(ACCOUNT_PREFIX).unwrap_or_default();
    !rest.is_empty() && text.len() <= NAME_BYTES_MAX && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn secrets(settings: &Settings) -> Result<Vec<HmacKey>, SettingsError> {
    match (settings.key(SECRET), settings.keys(SECRET_FILES)) {
        (Some(_), Some(_)) => Err(SettingsError::new(SECRET, "either_or").because(SECRET_FILES)),
        (None, None) => Err(SettingsError::new(SECRET, "missing")),
        (Some(file), None) => Ok(vec![secret(SECRET, file, SECRET)?]),
        (None, Some([])) => Err(SettingsError::new(SECRET_FILES, "empty_list")),
        (None, Some(files)) if files.len() > SECRETS_MAX => {
            Err(SettingsError::new(SECRET_FILES, "out_of_range").because(format!("{} > {SECRETS_MAX}", files.len())))
        }
        (None, Some(files)) => {
            let label = |at: usize| settings.key_label(SECRET_FILES, at);
            files.iter().enumerate().map(|(at, file)| secret(SECRET_FILES, file, &label(at))).collect()
        }
    }
}

/// A secret as it is shown. The line end that an editor leaves behind it is none of it; what was copied with other
/// blanks is not what the platform has.
fn secret(name: &'static str, file: &[u8], label: &str) -> Result<HmacKey, SettingsError> {
    let line = file.strip_suffix(b"\n").unwrap_or(file);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() {
        return Err(SettingsError::new(name, "missing"));
    }
    if !line.iter().all(u8::is_ascii_graphic) || !line.starts_with(SECRET_PREFIX) {
        return Err(SettingsError::new(name, "malformed").because("whsec_…"));
    }
    if line.len() < SECRET_BYTES_MIN {
        return Err(SettingsError::new(name, "too_short"));
    }
    Ok(HmacKey::new(line, HmacHash::Sha256, label))
}

/// A key of the channel's own environment: one of the other would ask about other money.
fn api(settings: &Settings) -> Result<Option<Api>, SettingsError> {
    let interface = Interface::read(settings, API_BASE, API)?;
    let Some(key) = settings.secret_line(API_KEY)? else { return Ok(None) };
    let mode = if settings.environment == Environment::Live { "live" } else { "test" };
    let is_of = |mode: &str| ["sk", "rk"].iter().any(|kind| key.starts_with(format!("{kind}_{mode}_").as_bytes()));
    if !is_of("live") && !is_of("test") {
        return Err(SettingsError::new(API_KEY, "malformed").because("sk_… | rk_…"));
    }
    if !is_of(mode) {
        return Err(SettingsError::new(API_KEY, "relation").because("environment"));
    }
    let credential = ApiCredential::bearer(API_KEY, key).ok_or(SettingsError::new(API_KEY, "malformed"))?;
    Ok(Some(Api { interface, credential }))
}

fn payments_from(settings: &Settings) -> Result<PaymentsFrom, SettingsError> {
    let Some(words) = settings.texts(PAYMENTS) else {
        return Ok(PaymentsFrom { payment_intent: true, charge: true, checkout_session: true });
    };
    check_words(PAYMENTS, words, PAYMENT_WORDS)?;
    let has = |word: &str| words.iter().any(|one| one == word);
    Ok(PaymentsFrom {
        payment_intent: has("payment_intent"),
        charge: has("charge"),
        checkout_session: has("checkout_session"),
    })
}

fn refunds_from(settings: &Settings) -> Result<RefundsFrom, SettingsError> {
    let Some(words) = settings.texts(REFUNDS) else { return Ok(RefundsFrom::Unsaid) };
    check_words(REFUNDS, words, REFUND_WORDS)?;
    match words {
        [word] if word == "charge" => Ok(RefundsFrom::Charge),
        [_] => Ok(RefundsFrom::Refund),
        // Told by both, each refund would be two.
        _ => Err(SettingsError::new(REFUNDS, "out_of_range").because("refund | charge")),
    }
}

fn check_words(name: &'static str, words: &[String], known: &[&str]) -> Result<(), SettingsError> {
    if words.is_empty() {
        return Err(SettingsError::new(name, "empty_list"));
    }
    match words.iter().find(|word| !known.contains(&word.as_str())) {
        Some(_) => Err(SettingsError::new(name, "unknown_word").because(known.join(", "))),
        None => Ok(()),
    }
}
