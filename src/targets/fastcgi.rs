//! PHP-FPM over FastCGI: an unchanged `notify.php` gets the original callback until it confirms.
//!
//! The script finds the platform's request in `$_POST` and `php://input` as if the platform had called it,
//! and answers with the platform's own word. This file holds the settings and joins the parts: `params`
//! (what the script is told), `codec` (the protocol), `pool` and `connection` (the way there),
//! `diagnosis` (why there is no answer). Whether an answer confirms is `success`'s beside this file.

mod answer;
mod codec;
mod connection;
mod diagnosis;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod params;
mod pool;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tollbell_channels::settings::{Setting, SettingKind, Settings, SettingsError, Text};

use self::connection::Limits;
use self::params::Site;
use self::pool::{Bounds, Pool};
use self::stream::Address;
use super::forwarded::Taken;
use super::success::Rule;
use super::{Advice, Attempted, Confirmation, Demands, Envelope, Format, Kind, Outcome, Reason, Target, duration};

pub use self::diagnosis::REASONS;

/// The entry in the list of kinds.
pub static KIND: Kind = Kind {
    kind: "fastcgi",
    name: Text { en: "PHP-FPM (FastCGI)", zh: "PHP-FPM（FastCGI）" },
    settings: SETTINGS,
    confirmation: Confirmation::Application,
    reasons: REASONS,
    advise,
    advice: &[NO_TERMINATE_TIMEOUT],
    own_query: params::own_query,
    signs_bodies: |_| None,
    build,
};

/// The application's own limit is not known, so the wait after an unknown outcome is a guess.
const NO_TERMINATE_TIMEOUT: &str = "no_terminate_timeout";

fn advise(settings: &Settings) -> Vec<Advice> {
    let is_told = settings.duration("terminate_timeout").is_some();
    if is_told { Vec::new() } else { vec![Advice { setting: "terminate_timeout", word: NO_TERMINATE_TIMEOUT }] }
}

/// Connections when the setting is absent. Each pins a PHP-FPM worker, and small pools have five.
const MAX_CONNECTIONS_DEFAULT: u64 = 4;
/// Most connections that may be configured: more workers than that are not one PHP-FPM pool.
const MAX_CONNECTIONS_MAX: u64 = 1024;
/// How long an idle connection is kept when the setting is absent: long enough for a burst, short enough
/// to give the worker back to the shop's visitors.
const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// Longest time for a connection when the setting is absent: PHP-FPM is near, so a wait means a full queue.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);
/// Longest attempt when the setting is absent: PHP's own `max_execution_time`.
const ATTEMPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Longest attempt that may be configured; a lease has to outlive it.
const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_mins(10);
/// Longest value of the other times.
const WAIT_MAX: Duration = Duration::from_hours(24);
/// Wait after an unknown outcome when PHP-FPM's own limit is not told: it has none by default, and a script
/// may hang on a database's locks (often 50 s) and remote calls one after another.
const WAIT_AFTER_UNKNOWN_DEFAULT: Duration = Duration::from_mins(5);
/// PHP-FPM looks for overdue workers three times in that limit, so one can run a third longer.
const TERMINATE_LOOKS: u32 = 3;
/// Added to PHP-FPM's limit for the killing itself.
const TERMINATE_MARGIN: Duration = Duration::from_secs(1);
/// An attempt ends this long before its deadline, so that its result is there in time.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);

/// The settings, in the order in which they are shown.
static SETTINGS: &[Setting] = &[
    Setting {
        name: "address",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "Where PHP-FPM listens (`listen` in its pool file): host:port, or unix:/path",
            zh: "PHP-FPM 的监听地址（进程池配置里的 listen）：主机:端口，或 unix:/路径",
        },
        example: "unix:/run/php/php8.2-fpm.sock",
    },
    Setting {
        name: "script",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "The script, as an absolute path as PHP-FPM sees it (inside its container or chroot). {channel} becomes the channel's id. For a framework: its public/index.php",
            zh: "要执行的脚本，写 PHP-FPM 眼中的绝对路径（容器或 chroot 内的路径）。{channel} 会替换为渠道 id。框架项目填 public/index.php",
        },
        example: "/var/www/html/notify.php",
    },
    Setting {
        name: "document_root",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "The site's root; the script lies below it. Default: the script's directory",
            zh: "网站根目录，脚本须位于其下。默认取脚本所在目录",
        },
        example: "/var/www/html",
    },
    Setting {
        name: "request_uri",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "The address that a framework's router looks at, e.g. /payment/{channel}/notify. Default: the script's own",
            zh: "框架路由所看到的请求地址，例如 /payment/{channel}/notify。默认为脚本自身的地址",
        },
        example: "/payment/{channel}/notify",
    },
    Setting {
        name: "server_name",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "The host name that the script sees. Default: localhost",
            zh: "脚本看到的主机名。默认 localhost",
        },
        example: "shop.example.com",
    },
    Setting {
        name: "server_port",
        kind: SettingKind::Number,
        is_required: false,
        help: Text {
            en: "The port that the script sees. Default: 443 with https, else 80",
            zh: "脚本看到的端口。启用 https 时默认 443，否则 80",
        },
        example: "443",
    },
    Setting {
        name: "https",
        kind: SettingKind::Flag,
        is_required: false,
        help: Text {
            en: "Whether the script sees an HTTPS request. Default: false",
            zh: "是否让脚本看到 HTTPS 请求。默认 false",
        },
        example: "true",
    },
    Setting {
        name: "success",
        kind: SettingKind::Pairs,
        is_required: false,
        help: Text {
            en: "What counts as confirmed: \"platform\" (what the channel's platform would accept, the default), { body = \"success\", match = \"exact|trimmed|contains\" }, { status = 200 } (or \"2xx\"), { json = \"/code\", equals = 0 }",
            zh: "怎样才算确认成功：\"platform\"（支付平台会接受的应答，默认）、{ body = \"success\", match = \"exact|trimmed|contains\" }、{ status = 200 }（或 \"2xx\"）、{ json = \"/code\", equals = 0 }",
        },
        example: "platform",
    },
    Setting {
        name: "max_connections",
        kind: SettingKind::Number,
        is_required: false,
        help: Text {
            en: "Most connections and deliveries at once. Each occupies a PHP-FPM worker: stay below pm.max_children. Default: 4",
            zh: "同时保持的连接数，也是并发投递数。每个连接占用一个 PHP-FPM 进程，务必小于 pm.max_children。默认 4",
        },
        example: "4",
    },
    Setting {
        name: "idle_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "How long an idle connection is kept. 0s keeps none: for scripts that go on working after fastcgi_finish_request(), behind which the next delivery on that connection would wait. Default: 2s",
            zh: "空闲连接保留多久。0s 表示不保留：适合调用 fastcgi_finish_request() 后继续处理的脚本，否则同一连接上的下一次投递要等它处理完。默认 2s",
        },
        example: "2s",
    },
    Setting {
        name: "connect_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "Longest wait for a connection. Default: 3s", zh: "建立连接的最长等待时间。默认 3s"
        },
        example: "3s",
    },
    Setting {
        name: "first_byte_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "Longest wait for the first byte of the answer. Default: attempt_timeout, because PHP often sends everything at the end",
            zh: "等待应答首字节的最长时间。默认等于 attempt_timeout，因为 PHP 往往在结束时才一次性输出",
        },
        example: "30s",
    },
    Setting {
        name: "attempt_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "Longest time of one delivery from beginning to end. Default: 30s",
            zh: "单次投递从开始到结束的最长时间。默认 30s",
        },
        example: "30s",
    },
    Setting {
        name: "terminate_timeout",
        kind: SettingKind::Duration,
        is_required: false,
        help: Text {
            en: "The pool's request_terminate_timeout. After a delivery whose result is unknown, the next try waits until the script cannot run any more. Absent: 5 minutes, a guess, as PHP-FPM has no limit by default",
            zh: "与进程池的 request_terminate_timeout 保持一致。结果未知的投递，会等到脚本不可能仍在运行时再重试。不填则按 5 分钟估计（PHP-FPM 默认没有上限）",
        },
        example: "60s",
    },
    Setting {
        name: "quiet_php",
        kind: SettingKind::Flag,
        is_required: false,
        help: Text {
            en: "Tells PHP to log its errors instead of printing them into the answer. PHP-FPM keeps that for all later requests of the same worker, other sites' included, so it is off by default; better set display_errors=Off in php.ini",
            zh: "让 PHP 把错误写进日志，而不是混进应答。PHP-FPM 会让该设置在同一进程的后续所有请求（包括其他网站）中继续生效，因此默认关闭；更好的做法是在 php.ini 中设置 display_errors=Off",
        },
        example: "false",
    },
    Setting {
        name: "params",
        kind: SettingKind::Pairs,
        is_required: false,
        help: Text {
            en: "Further FastCGI parameters, as with fastcgi_param in nginx",
            zh: "额外的 FastCGI 参数，相当于 nginx 的 fastcgi_param",
        },
        example: "{ APP_ENV = \"production\" }",
    },
    Setting {
        name: "forward_query",
        kind: SettingKind::Flag,
        is_required: false,
        help: Text {
            en: "Hands on the query of the callback's address. Signatures rarely cover it, so anyone could add to it; what of it the platform signed is always handed on. Left out is what names a variable that `request_uri` or the signed message names. Values of names such as key, token or secret are never stored and arrive as [removed]; put such a one into `request_uri`. Default: false",
            zh: "是否转发回调地址中的查询串。签名一般不覆盖查询串，任何人都能篡改；其中由平台签名的部分总会转发。与 `request_uri` 或已签名内容同名的参数不转发。名为 key、token、secret 等的参数值不会保存，转发时为 [removed]；脚本需要时请写入 `request_uri`。默认 false",
        },
        example: "false",
    },
    Setting {
        name: "headers",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "Headers to hand on that are held back by default (cookies, credentials, what proxies add)",
            zh: "需要额外转发的请求头（默认不转发 Cookie、认证信息及代理添加的请求头）",
        },
        example: "authorization",
    },
];

fn build(settings: &Settings) -> Result<Arc<dyn Target>, SettingsError> {
    let address = settings.required_text("address")?;
    let address = Address::parse(address).ok_or_else(|| SettingsError::new("address", "malformed").because(address))?;
    let attempt_timeout = duration(settings, "attempt_timeout", ATTEMPT_TIMEOUT_DEFAULT, ATTEMPT_TIMEOUT_MAX)?;
    let connect_timeout =
        duration(settings, "connect_timeout", CONNECT_TIMEOUT_DEFAULT.min(attempt_timeout), WAIT_MAX)?;
    let first_byte_timeout = duration(settings, "first_byte_timeout", attempt_timeout, WAIT_MAX)?;
    for (name, value) in [("connect_timeout", connect_timeout), ("first_byte_timeout", first_byte_timeout)] {
        if value > attempt_timeout {
            let detail = format!("longer than attempt_timeout ({attempt_timeout:?})");
            return Err(SettingsError::new(name, "relation").because(detail));
        }
    }
    let idle_timeout = settings.duration("idle_timeout").unwrap_or(IDLE_TIMEOUT_DEFAULT);
    if idle_timeout > WAIT_MAX {
        return Err(SettingsError::new("idle_timeout", "out_of_range").because(format!("{idle_timeout:?}")));
    }
    let wait_after_unknown = match settings.duration("terminate_timeout") {
        Some(_) => {
            let limit = duration(settings, "terminate_timeout", Duration::ZERO, WAIT_MAX)?;
            limit + limit / TERMINATE_LOOKS + TERMINATE_MARGIN
        }
        None => WAIT_AFTER_UNKNOWN_DEFAULT,
    };
    let connections = settings.number("max_connections").unwrap_or(MAX_CONNECTIONS_DEFAULT);
    let connections_max = usize::try_from(connections)
        .ok()
        .filter(|_| (1..=MAX_CONNECTIONS_MAX).contains(&connections))
        .ok_or_else(|| SettingsError::new("max_connections", "out_of_range").because(connections.to_string()))?;
    let bounds = Bounds { connections_max, idle_timeout, connect_timeout };
    Ok(Arc::new(FastCgi {
        site: Site::from_settings(settings)?,
        rule: Rule::from_settings(settings, Rule::Platform)?,
        pool: Pool::new(address.clone(), bounds),
        address,
        first_byte_timeout,
        demands: Demands { format: Format::Raw, concurrency: connections_max, attempt_timeout, wait_after_unknown },
    }))
}

struct FastCgi {
    site: Site,
    rule: Rule,
    pool: Pool,
    address: Address,
    first_byte_timeout: Duration,
    demands: Demands,
}

#[async_trait]
impl Target for FastCgi {
    async fn deliver(&self, envelopes: &[Envelope], deadline: Instant) -> Vec<Attempted> {
        let mut attempts = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            attempts.push(self.attempt(envelope, deadline).await);
        }
        attempts
    }

    fn demands(&self) -> Demands {
        self.demands
    }

    async fn close(&self) {
        self.pool.close();
    }
}

impl FastCgi {
    async fn attempt(&self, envelope: &Envelope, deadline: Instant) -> Attempted {
        let now = Instant::now();
        let until = deadline.checked_sub(DEADLINE_MARGIN).unwrap_or(now).min(now + self.demands.attempt_timeout);
        if until <= now {
            return Attempted::without_answer(diagnosis::retry("no_time_left", ""));
        }
        let Some(original) = &envelope.request else {
            return Attempted::without_answer(Outcome::Declined { reason: Reason::new("body_gone", "") });
        };
        let params = match self.site.params(envelope, original) {
            Ok(params) => params,
            Err(Taken(name)) => {
                return Attempted::without_answer(Outcome::Declined { reason: Reason::new("query_taken", &name) });
            }
        };
        let request = match codec::encode(&params, &original.body, self.pool.after_request()) {
            Ok(request) => request,
            Err(error) => {
                let reason = Reason::new("param_too_long", &error.name);
                return Attempted::without_answer(Outcome::Declined { reason });
            }
        };
        let limits = Limits { deadline: until, first_byte: self.first_byte_timeout };
        match self.pool.exchange(&request, limits).await {
            Ok(delivered) => {
                let mut attempted = self.rule.judge(&delivered.answer, envelope);
                if delivered.was_sent_again {
                    attempted.notes.push(Reason::new("sent_again", ""));
                }
                attempted
            }
            Err(failed) => diagnosis::of_failure(failed, &self.address),
        }
    }
}

#[cfg(test)]
mod tests;
