//! An application's own HTTP address: the unified event, signed by Standard Webhooks, or the original
//! request, until it confirms.
//!
//! This file holds the settings and says what an answer or its absence means; `request` writes what goes
//! out, `sign` signs it. The way there is `egress`; whether an answer confirms is `success`'s beside this file.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod request;
mod settings;
mod sign;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::fmt::rfc2822;
use tokio::time::Instant;
use tollbell_channels::model::Timestamp;
use tollbell_channels::settings::{Settings, SettingsError, Text};
use zeroize::Zeroizing;

use self::request::{Template, Unwritable, Writer, own_headers};
use self::settings::SETTINGS;
use self::sign::Secrets;
use super::answer::Answer;
use super::success::Rule;
use super::{
    Advice, Attempted, Confirmation, Demands, Envelope, Format, Kind, Outcome, OwnQuery, Reason, Target, duration,
    forwarded,
};
use crate::egress::{
    Class, ClientCertificate, ClientSettings, Egress, EgressError, Got, Guard, Host, Roots, Scheme, Setup, Url,
};

/// The entry in the list of kinds.
pub static KIND: Kind = Kind {
    kind: "http",
    name: Text { en: "Webhook (HTTP)", zh: "Webhook（HTTP）" },
    settings: SETTINGS,
    reasons: REASONS,
    confirmation: Confirmation::Application,
    advise,
    advice: &[UNSIGNED, PLAIN, NO_LIMIT],
    own_query,
    build,
};

/// Anyone who reaches the application's address can invent payments.
const UNSIGNED: &str = "unsigned_events";
/// What passes can be read and changed on the way.
const PLAIN: &str = "plain_http";
/// The application's own limit is not known, so the wait after an unknown outcome is a guess.
const NO_LIMIT: &str = "no_application_limit";

/// Connections when the setting is absent.
const MAX_CONNECTIONS_DEFAULT: u64 = 8;
/// Most connections that may be configured.
const MAX_CONNECTIONS_MAX: u64 = 1024;
/// How long an idle connection is kept when the setting is absent: many servers close theirs after five
/// seconds.
const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(4);
/// Longest time for a connection, and for TLS, when the setting is absent.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Longest attempt when the setting is absent: what Standard Webhooks suggests (15 to 30 s).
const ATTEMPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
/// Longest attempt that may be configured; a lease has to outlive it.
const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_mins(10);
/// Longest value of the other times.
const WAIT_MAX: Duration = Duration::from_hours(24);
/// Wait after an unknown outcome when the application's own limit is not told.
const WAIT_AFTER_UNKNOWN_DEFAULT: Duration = Duration::from_mins(5);
/// Added to the application's limit for the killing itself.
const TERMINATE_MARGIN: Duration = Duration::from_secs(1);
/// An attempt ends this long before its deadline, so that its result is there in time.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);
/// Most bytes of an answer that are read. A confirming answer has a few dozen.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Every word that an attempt over HTTP can end with or be noted with; the catalogues hold a text with a
/// cure for each, under `outcome.<word>`.
pub const REASONS: &[&str] = &[
    // Nothing was sent.
    "no_time_left",
    "client_setup",
    "request_unusable",
    "query_taken",
    "address_refused",
    "host_not_found",
    "no_connection_free",
    "cannot_connect",
    "connect_timed_out",
    "tls_failed",
    "tls_timed_out",
    "closed_before_sending",
    "body_gone",
    "event_gone",
    // No whole answer: what the application did is unknown.
    "no_answer_in_time",
    "connection_broken",
    "malformed_answer",
    // The answer.
    "gone",
    "script_unknown",
    "script_unreadable",
    "access_denied",
    "php_fatal",
    "php_warning_before_word",
    "html_page",
    "empty_answer",
    "application_failed",
    "redirect",
    "http_status",
    "wrong_word",
    "bom_around_word",
    "blanks_around_word",
    "php_message",
];

fn advise(settings: &Settings) -> Vec<Advice> {
    let mut advice = Vec::new();
    let is_event = format(settings).is_ok_and(|format| format == Format::Event);
    if is_event && settings.key(sign::SETTING).is_none() {
        advice.push(Advice { setting: sign::SETTING, word: UNSIGNED });
    }
    let url = Template::from_settings(settings).ok().and_then(|template| template.url("a").ok());
    if url.is_some_and(|url| url.origin().scheme == Scheme::Http && !is_near(&url.origin().host)) {
        advice.push(Advice { setting: "url", word: PLAIN });
    }
    if settings.duration("terminate_timeout").is_none() {
        advice.push(Advice { setting: "terminate_timeout", word: NO_LIMIT });
    }
    advice
}

/// Events have no query of a platform beside the address's own.
fn own_query(settings: &Settings, channel: &str) -> Option<OwnQuery> {
    format(settings).ok().filter(|format| *format == Format::Raw)?;
    let url = Template::from_settings(settings).ok()?.url(channel).ok()?;
    Some(OwnQuery { setting: "url", query: url.path_and_query().query()?.to_owned() })
}

/// A host on this machine or in a private network, as far as its name says. Names without a dot are those of
/// containers and of the local network.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Address(address) => {
            matches!(Class::of(*address), Class::Loopback | Class::Private | Class::Shared)
        }
        Host::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let endings = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
            !name.contains('.') || endings.iter().any(|ending| name.ends_with(ending))
        }
    }
}

fn format(settings: &Settings) -> Result<Format, SettingsError> {
    match settings.text("format") {
        None => Ok(Format::Event),
        Some(text) => Format::parse(text).ok_or_else(|| SettingsError::new("format", "unknown_word").because(text)),
    }
}

fn build(settings: &Settings) -> Result<Arc<dyn Target>, SettingsError> {
    Ok(Arc::new(assemble(settings)?))
}

fn assemble(settings: &Settings) -> Result<Http, SettingsError> {
    let template = Template::from_settings(settings)?;
    let format = format(settings)?;
    let attempt_timeout = duration(settings, "attempt_timeout", ATTEMPT_TIMEOUT_DEFAULT, ATTEMPT_TIMEOUT_MAX)?;
    let connect_timeout =
        duration(settings, "connect_timeout", CONNECT_TIMEOUT_DEFAULT.min(attempt_timeout), WAIT_MAX)?;
    if connect_timeout > attempt_timeout {
        let detail = format!("longer than attempt_timeout ({attempt_timeout:?})");
        return Err(SettingsError::new("connect_timeout", "relation").because(detail));
    }
    let idle_timeout = settings.duration("idle_timeout").unwrap_or(IDLE_TIMEOUT_DEFAULT);
    if idle_timeout > WAIT_MAX {
        return Err(SettingsError::new("idle_timeout", "out_of_range").because(format!("{idle_timeout:?}")));
    }
    let wait_after_unknown = match settings.duration("terminate_timeout") {
        Some(_) => duration(settings, "terminate_timeout", Duration::ZERO, WAIT_MAX)? + TERMINATE_MARGIN,
        None => WAIT_AFTER_UNKNOWN_DEFAULT,
    };
    let connections = settings.number("max_connections").unwrap_or(MAX_CONNECTIONS_DEFAULT);
    let connections_max = usize::try_from(connections)
        .ok()
        .filter(|_| (1..=MAX_CONNECTIONS_MAX).contains(&connections))
        .ok_or_else(|| SettingsError::new("max_connections", "out_of_range").because(connections.to_string()))?;
    let egress = Egress::new(ClientSettings {
        roots: settings.key("ca").map_or(Roots::System, |pem| Roots::These(pem.to_vec())),
        certificate: certificate(settings)?,
        connect_timeout,
        tls_timeout: connect_timeout,
        idle_timeout,
        connections_max,
        body_bytes_max: ANSWER_BYTES_MAX,
        ..ClientSettings::new(Guard::Operator)
    })
    .map_err(|error| setup_error(&error))?;
    let one = template.url("a").map_err(|fault| SettingsError::new("url", "malformed").because(fault.to_string()))?;
    egress.check(&one).map_err(|error| SettingsError::new("url", "out_of_range").because(error.to_string()))?;
    let default = match format {
        Format::Raw => Rule::Platform,
        Format::Event => Rule::any_2xx(),
    };
    let writer = Writer {
        template,
        format,
        secrets: Secrets::from_settings(settings)?,
        headers: own_headers(settings)?,
        forwards_query: settings.flag("forward_query"),
        asked_headers: forwarded::asked_headers(settings, "forward_headers")?,
    };
    Ok(Http {
        writer,
        rule: Rule::from_settings(settings, default)?,
        egress,
        demands: Demands { format, concurrency: connections_max, attempt_timeout, wait_after_unknown },
    })
}

fn certificate(settings: &Settings) -> Result<Option<ClientCertificate>, SettingsError> {
    match (settings.key("client_certificate"), settings.key("client_key")) {
        (None, None) => Ok(None),
        (Some(chain), Some(key)) => {
            Ok(Some(ClientCertificate { chain: chain.to_vec(), key: Zeroizing::new(key.to_vec()) }))
        }
        (Some(_), None) => Err(SettingsError::new("client_key", "missing")),
        (None, Some(_)) => Err(SettingsError::new("client_certificate", "missing")),
    }
}

fn setup_error(error: &EgressError) -> SettingsError {
    match error {
        EgressError::Setup(Setup::Certificate) => SettingsError::new("client_certificate", "not_a_certificate"),
        EgressError::Setup(Setup::CertificateKey) => SettingsError::new("client_key", "not_a_key"),
        _ => SettingsError::new("ca", "not_a_certificate"),
    }
}

struct Http {
    writer: Writer,
    rule: Rule,
    egress: Egress,
    demands: Demands,
}

#[async_trait]
impl Target for Http {
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
        self.egress.close();
    }
}

impl Http {
    async fn attempt(&self, envelope: &Envelope, deadline: Instant) -> Attempted {
        let now = Instant::now();
        let until = deadline.checked_sub(DEADLINE_MARGIN).unwrap_or(now).min(now + self.demands.attempt_timeout);
        let ask = match self.writer.write(envelope) {
            Ok(ask) => ask,
            Err(unwritable) => {
                let (word, detail) = match unwritable {
                    Unwritable::BodyGone => ("body_gone", String::new()),
                    Unwritable::EventGone => ("event_gone", String::new()),
                    Unwritable::Taken(name) => ("query_taken", name),
                    Unwritable::Malformed(detail) => ("request_unusable", detail),
                };
                return Attempted::without_answer(Outcome::Declined { reason: Reason::new(word, &detail) });
            }
        };
        let url = ask.url.clone();
        match self.egress.ask(ask, until).await {
            Ok(got) => self.judge(&got, &url, envelope),
            Err(error) => failed(&error, until - now),
        }
    }

    fn judge(&self, got: &Got, asked: &Url, envelope: &Envelope) -> Attempted {
        let header = |name: &str| got.headers.get(name).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: got.status.as_u16(),
            content_type: header("content-type").unwrap_or_default().to_owned(),
            location: header("location").map(|location| place_of(location, asked)),
            body: got.body.to_vec(),
            is_cut: got.is_cut,
            stderr: Vec::new(),
        };
        let mut attempted = self.rule.judge(&answer, envelope);
        if let Outcome::RetryLater { reason, .. } = &attempted.outcome {
            attempted.outcome = match answer.status {
                // Standard Webhooks: the receiver wants nothing more at this address.
                410 => Outcome::Declined { reason: Reason::new("gone", &reason.detail) },
                429 | 503 => Outcome::RetryLater {
                    reason: reason.clone(),
                    after: header("retry-after").and_then(|text| retry_after(text, envelope.attempted_at)),
                },
                _ => attempted.outcome,
            };
        }
        attempted
    }
}

/// Where a redirect leads, without what may be secret in it.
fn place_of(location: &str, asked: &Url) -> String {
    match Url::parse(location) {
        Ok(url) => url.to_string(),
        Err(_) if location.starts_with('/') && !location.starts_with("//") => format!("another page of {asked}"),
        Err(_) => "?".to_owned(),
    }
}

/// How long an answer asks to wait: seconds, or a date (RFC 9110 10.2.3). `now` is when the attempt began.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More than a number of seconds can hold is "as late as you ever would".
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(at.duration_since(now)).ok()
}

/// What an attempt without a whole answer came to.
fn failed(error: &EgressError, time: Duration) -> Attempted {
    let detail = error.to_string();
    let (word, detail) = match error {
        EgressError::Setup(_) => ("client_setup", detail),
        EgressError::Url(_) | EgressError::Request { .. } => ("request_unusable", detail),
        EgressError::Refused { .. } => ("address_refused", detail),
        EgressError::LookUp { host, source } => ("host_not_found", format!("{host}: {source}")),
        EgressError::Busy => ("no_connection_free", String::new()),
        EgressError::Connect { address, source } => ("cannot_connect", format!("{address}: {source}")),
        EgressError::ConnectTimedOut => ("connect_timed_out", String::new()),
        EgressError::Tls { detail } => ("tls_failed", detail.clone()),
        EgressError::TlsTimedOut => ("tls_timed_out", String::new()),
        EgressError::Broken { was_sent: false, detail, .. } => ("closed_before_sending", detail.clone()),
        EgressError::Broken { detail, .. } => ("connection_broken", detail.clone()),
        EgressError::Malformed { detail } => ("malformed_answer", detail.clone()),
        EgressError::TimedOut { .. } => ("no_answer_in_time", format!("{:.1} s", time.as_secs_f64())),
        EgressError::NoTimeLeft => ("no_time_left", String::new()),
    };
    let reason = Reason::new(word, &detail);
    let outcome = match error {
        EgressError::Url(_) | EgressError::Request { .. } => Outcome::Declined { reason },
        _ if error.was_sent() => Outcome::Unknown { reason },
        _ => Outcome::RetryLater { reason, after: None },
    };
    let mut attempted = Attempted::without_answer(outcome);
    if let EgressError::Broken { status: Some(status), .. } | EgressError::TimedOut { status: Some(status) } = error {
        attempted.status = Some(status.as_u16());
    }
    attempted
}

#[cfg(test)]
mod tests;
