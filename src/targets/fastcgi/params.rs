//! What PHP finds in `$_SERVER`: the parameters of a request.
//!
//! They show the script the request as the platform sent it, at the address that the application expects,
//! and what the gateway knows about it. Nothing from outside can choose a parameter's name: headers become
//! `HTTP_…`, and only the gateway writes `TOLLBELL_…`.

use std::path::{Component, Path};

use http::HeaderMap;
use tollbell_channels::model::fact::NAME_BYTES_MAX;
use tollbell_channels::settings::{Settings, SettingsError};

use super::codec::CONTENT_BYTES_MAX;
use crate::targets::{Envelope, EventView};

/// Stands for the channel's id in `script` and `request_uri`.
const CHANNEL_PLACE: &str = "{channel}";
/// Most events whose ids are listed: a combined message carries a handful.
const EVENTS_LISTED_MAX: usize = 100;
/// Longest header value that is handed on. Platforms' signatures have some hundred bytes.
const HEADER_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Longest query that is handed on, as it must fit into one parameter.
const QUERY_BYTES_MAX: usize = CONTENT_BYTES_MAX / 4;
/// What a script sees as the sender when nobody sent the request to us: we asked for it.
const ADDRESS_OF_NOBODY: &str = "127.0.0.1";
/// The PHP settings of `quiet_php`.
const QUIET_PHP: &str = "display_errors=Off\nlog_errors=On";

/// Headers that are not handed on, although the request had them.
///
/// A platform may sign over headers whose names only its channel knows, so the rule is by exception: all that
/// is said from end to end goes on, unless it
/// * belongs to one connection or to a proxy, or says who a proxy believes the sender to be: the script
///   has the sender in `REMOTE_ADDR`, and must not believe what anyone can write;
/// * is about authority (cookies, credentials), which no platform sends and a forger might;
/// * would change the form of the answer, which has to be the exact word: compressed, partial, or "not
///   modified".
///
/// `Proxy` is never handed on: as `HTTP_PROXY` it would redirect the script's own requests.
const HEADERS_HELD_BACK: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-client-ip",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
/// The beginnings of further names that are not handed on.
const HEADERS_HELD_BACK_PREFIXES: &[&str] = &["if-", "proxy", "sec-", "tollbell-", "x-forwarded-"];
/// Names that not even the setting `headers` lets through: they have no meaning behind a gateway.
const HEADERS_NEVER: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where the application lives, and what is told to it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    script: String,
    document_root: Option<String>,
    request_uri: Option<String>,
    server_name: String,
    server_port: u16,
    is_https: bool,
    is_quiet: bool,
    forwards_query: bool,
    headers: Vec<String>,
    extra: Vec<(String, String)>,
}

impl Site {
    /// Reads and checks the settings.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let script = absolute("script", settings.required_text("script")?)?;
        let document_root = match settings.text("document_root") {
            Some(root) => Some(absolute("document_root", root)?.trim_end_matches('/').to_owned()),
            None => None,
        };
        if let Some(root) = &document_root
            && !script.strip_prefix(root.as_str()).is_some_and(|rest| rest.starts_with('/'))
        {
            let detail = format!("{script} is not below {root}");
            return Err(SettingsError::new("document_root", "relation").because(detail));
        }
        let request_uri = settings.text("request_uri").map(str::to_owned);
        if let Some(uri) = &request_uri
            && (!uri.starts_with('/') || !uri.bytes().all(|b| b.is_ascii_graphic()) || uri.contains('#'))
        {
            return Err(SettingsError::new("request_uri", "malformed").because(uri.as_str()));
        }
        let is_https = settings.flag("https");
        let port = settings.number("server_port").unwrap_or(if is_https { 443 } else { 80 });
        let server_port = u16::try_from(port)
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| SettingsError::new("server_port", "out_of_range").because(port.to_string()))?;
        let server_name = settings.text("server_name").unwrap_or("localhost").to_owned();
        if server_name.is_empty() || !server_name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)) {
            return Err(SettingsError::new("server_name", "malformed").because(server_name));
        }
        Ok(Self {
            script,
            document_root,
            request_uri,
            server_name,
            server_port,
            is_https,
            is_quiet: settings.flag("quiet_php"),
            forwards_query: settings.flag("forward_query"),
            headers: extra_headers(settings)?,
            extra: extra_params(settings)?,
        })
    }

    /// All parameters of one delivery.
    pub(super) fn params(&self, envelope: &Envelope) -> Vec<(String, Vec<u8>)> {
        let mut list = List(Vec::with_capacity(64));
        self.push_request(&mut list, envelope);
        self.push_headers(&mut list, &envelope.request.headers);
        push_gateway(&mut list, envelope);
        if self.is_quiet {
            list.push("PHP_ADMIN_VALUE", QUIET_PHP);
        }
        for (name, value) in &self.extra {
            list.0.retain(|(known, _)| known != name);
            list.push(name, value);
        }
        list.0
    }

    fn push_request(&self, list: &mut List, envelope: &Envelope) {
        let request = &envelope.request;
        let script = self.script.replace(CHANNEL_PLACE, &envelope.channel);
        let root = self.document_root.as_deref().unwrap_or_else(|| directory(&script));
        let script_name = script.strip_prefix(root).unwrap_or(&script);
        let uri = self.request_uri.as_ref().map(|uri| uri.replace(CHANNEL_PLACE, &envelope.channel));
        let (path, query) = match uri.as_deref() {
            Some(uri) => uri.split_once('?').unwrap_or((uri, "")),
            None => (script_name, ""),
        };
        let query = self.query(query, request.query.as_deref());
        let path_info = path_info(path, script_name);
        list.push("SCRIPT_FILENAME", &script);
        list.push("SCRIPT_NAME", script_name);
        list.push("DOCUMENT_ROOT", if root.is_empty() { "/" } else { root });
        list.push("DOCUMENT_URI", script_name);
        list.push("REQUEST_URI", if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") });
        list.push("QUERY_STRING", &query);
        if let Some(path_info) = path_info {
            list.push("PATH_INFO", path_info);
        }
        list.push("REQUEST_METHOD", request.method.as_str());
        if let Some(content_type) = request.headers.get(http::header::CONTENT_TYPE)
            && content_type.len() <= HEADER_VALUE_BYTES_MAX
        {
            list.push("CONTENT_TYPE", content_type.as_bytes());
        }
        list.push("CONTENT_LENGTH", request.body.len().to_string());
        list.push("GATEWAY_INTERFACE", "CGI/1.1");
        list.push("SERVER_PROTOCOL", "HTTP/1.1");
        list.push("SERVER_SOFTWARE", concat!("tollbell/", env!("CARGO_PKG_VERSION")));
        list.push("SERVER_NAME", &self.server_name);
        list.push("SERVER_PORT", self.server_port.to_string());
        list.push("SERVER_ADDR", ADDRESS_OF_NOBODY);
        let source = request.source.map_or_else(|| ADDRESS_OF_NOBODY.to_owned(), |source| source.to_string());
        list.push("REMOTE_ADDR", source);
        list.push("REMOTE_PORT", "0");
        list.push("REQUEST_SCHEME", if self.is_https { "https" } else { "http" });
        if self.is_https {
            list.push("HTTPS", "on");
        }
        // PHP built with --enable-force-cgi-redirect refuses to run without it.
        list.push("REDIRECT_STATUS", "200");
        let is_usual_port = self.server_port == if self.is_https { 443 } else { 80 };
        let host =
            if is_usual_port { self.server_name.clone() } else { format!("{}:{}", self.server_name, self.server_port) };
        list.push("HTTP_HOST", host);
    }

    /// The query of `request_uri`, and the platform's own only where it is asked for: a signature rarely
    /// covers it, so anyone could add to what a script finds in `$_GET`.
    fn query(&self, own: &str, received: Option<&str>) -> String {
        let is_plain = |query: &&str| query.len() <= QUERY_BYTES_MAX && query.bytes().all(|b| b.is_ascii_graphic());
        match received.filter(|query| self.forwards_query && !query.is_empty()).filter(is_plain) {
            Some(received) if own.is_empty() => received.to_owned(),
            Some(received) => format!("{own}&{received}"),
            None => own.to_owned(),
        }
    }

    fn push_headers(&self, list: &mut List, headers: &HeaderMap) {
        let of_connection: Vec<String> = headers
            .get_all(http::header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        for name in headers.keys() {
            let name = name.as_str();
            let is_asked_for = self.headers.iter().any(|asked| asked == name);
            if !is_nameable(name) || of_connection.iter().any(|held| held == name) {
                continue;
            }
            if is_held_back(name) && !is_asked_for {
                continue;
            }
            // A header that came several times is one list, as CGI has it.
            let values: Vec<&[u8]> = headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
            let value = values.join(&b", "[..]);
            if value.len() <= HEADER_VALUE_BYTES_MAX {
                list.push(&format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_")), value);
            }
        }
    }
}

/// What the gateway knows. Of several events only what they agree on is stated: the amount of a refund must
/// not be taken for that of its payment.
fn push_gateway(list: &mut List, envelope: &Envelope) {
    list.push("TOLLBELL_DELIVERY", visible(&envelope.delivery));
    list.push("TOLLBELL_ATTEMPT", envelope.attempt.to_string());
    list.push("TOLLBELL_NOTIFICATION", visible(&envelope.notification));
    list.push("TOLLBELL_CHANNEL", visible(&envelope.channel));
    list.push("TOLLBELL_MERCHANT", visible(&envelope.merchant));
    list.push("TOLLBELL_ENVIRONMENT", envelope.environment.as_str());
    list.push("TOLLBELL_ORIGIN", envelope.origin);
    let listed = || envelope.events.iter().take(EVENTS_LISTED_MAX);
    list.push("TOLLBELL_EVENT_IDS", listed().map(|event| visible(&event.id)).collect::<Vec<_>>().join(","));
    list.push("TOLLBELL_EVENT_KINDS", listed().map(|event| event.kind.as_str()).collect::<Vec<_>>().join(","));
    if let Some(order_no) = agreed(&envelope.events, |event| event.order_no.as_deref()) {
        list.push("TOLLBELL_ORDER_NO", visible(order_no));
    }
    if let Some(platform_no) = agreed(&envelope.events, |event| event.platform_no.as_deref()) {
        list.push("TOLLBELL_PLATFORM_NO", visible(platform_no));
    }
    if let [EventView { amount: Some(amount), .. }] = envelope.events.as_slice() {
        list.push("TOLLBELL_AMOUNT", amount.to_text());
        list.push("TOLLBELL_CURRENCY", amount.currency.code());
    }
}

/// The value that all events share.
fn agreed<'a>(events: &'a [EventView], read: fn(&'a EventView) -> Option<&'a str>) -> Option<&'a str> {
    let first = read(events.first()?)?;
    events.iter().all(|event| read(event) == Some(first)).then_some(first)
}

/// A value from outside: cut, and without control characters.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len().min(NAME_BYTES_MAX));
    for c in text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }) {
        if visible.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        visible.push(c);
    }
    visible
}

struct List(Vec<(String, Vec<u8>)>);

impl List {
    fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.push((name.to_owned(), value.as_ref().to_vec()));
    }
}

/// A front controller finds the path of the request behind its own name, as a web server would split it.
/// None when the request is for the script itself.
fn path_info(path: &str, script_name: &str) -> Option<Vec<u8>> {
    let rest = match path.strip_prefix(script_name) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    };
    (!rest.is_empty()).then(|| percent_decoded(rest))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[at] == b'%' && byte != 0 => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// The directory of an absolute path, without a slash at its end.
fn directory(script: &str) -> &str {
    script.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn absolute(setting: &'static str, text: &str) -> Result<String, SettingsError> {
    let path = Path::new(text);
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !text.starts_with('/') || !is_plain || text.contains("//") || text.bytes().any(|b| b.is_ascii_control()) {
        return Err(SettingsError::new(setting, "malformed").because(text));
    }
    if setting == "script" && text.ends_with('/') {
        return Err(SettingsError::new(setting, "malformed").because(text));
    }
    Ok(text.to_owned())
}

/// A name with `_` would arrive as the same variable as the one with `-`, and could pose as it.
fn is_nameable(name: &str) -> bool {
    name != "proxy" && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_held_back(name: &str) -> bool {
    HEADERS_HELD_BACK.contains(&name) || HEADERS_HELD_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn extra_headers(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let headers: Vec<String> =
        settings.texts("headers").unwrap_or_default().iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    for name in &headers {
        if name.is_empty() || !is_nameable(name) || HEADERS_NEVER.contains(&name.as_str()) {
            return Err(SettingsError::new("headers", "malformed").because(name.as_str()));
        }
    }
    Ok(headers)
}

fn extra_params(settings: &Settings) -> Result<Vec<(String, String)>, SettingsError> {
    let params = settings.pairs("params").unwrap_or_default();
    for (name, value) in params {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_ours = name.starts_with("TOLLBELL_") || name == "HTTP_PROXY" || name == "CONTENT_LENGTH";
        if !is_name || is_ours || value.contains('\0') || name.len() + value.len() > CONTENT_BYTES_MAX / 4 {
            return Err(SettingsError::new("params", "malformed").because(name.as_str()));
        }
    }
    Ok(params.to_vec())
}

#[cfg(test)]
mod tests;
