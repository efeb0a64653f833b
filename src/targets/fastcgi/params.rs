//! What PHP finds in `$_SERVER`: the parameters of a request.
//!
//! They show the script the request as the platform sent it, at the address that the application expects,
//! and what the gateway knows about it. Nothing from outside can choose a parameter's name: headers become
//! `HTTP_…`, and only the gateway writes `TOLLBELL_…`.

use std::path::{Component, Path};

use http::HeaderMap;
use tollbell_channels::model::RawRequest;
use tollbell_channels::settings::{Settings, SettingsError};

use super::codec::CONTENT_BYTES_MAX;
use crate::targets::forwarded::{self, CHANNEL_PLACE, Taken};
use crate::targets::{Envelope, OwnQuery};

/// Longest query with pairs that nobody signed, as it must fit into one parameter.
const QUERY_BYTES_MAX: usize = CONTENT_BYTES_MAX / 4;
/// What a script sees as the sender when nobody sent the request to us: we asked for it.
const ADDRESS_OF_NOBODY: &str = "127.0.0.1";
/// The PHP settings of `quiet_php`.
const QUIET_PHP: &str = "display_errors=Off\nlog_errors=On";

/// The setting with the address that a router looks at.
const REQUEST_URI: &str = "request_uri";

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
        let request_uri = settings.text(REQUEST_URI).map(str::to_owned);
        if let Some(uri) = &request_uri
            && (!uri.starts_with('/') || !uri.bytes().all(|b| b.is_ascii_graphic()) || uri.contains('#'))
        {
            return Err(SettingsError::new(REQUEST_URI, "malformed").because(uri.as_str()));
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
            headers: forwarded::asked_headers(settings, "headers")?,
            extra: extra_params(settings)?,
        })
    }

    /// All parameters of one delivery.
    ///
    /// # Errors
    /// When `request_uri` names what the platform signed.
    pub(super) fn params(&self, envelope: &Envelope, request: &RawRequest) -> Result<Vec<(String, Vec<u8>)>, Taken> {
        let mut list = List(Vec::with_capacity(64));
        self.push_request(&mut list, envelope, request)?;
        push_headers(&mut list, &request.headers, &self.headers);
        push_gateway(&mut list, envelope);
        if self.is_quiet {
            list.push("PHP_ADMIN_VALUE", QUIET_PHP);
        }
        for (name, value) in &self.extra {
            list.0.retain(|(known, _)| known != name);
            list.push(name, value);
        }
        Ok(list.0)
    }

    fn push_request(&self, list: &mut List, envelope: &Envelope, request: &RawRequest) -> Result<(), Taken> {
        let script = self.script.replace(CHANNEL_PLACE, &envelope.channel);
        let root = self.document_root.as_deref().unwrap_or_else(|| directory(&script));
        let script_name = script.strip_prefix(root).unwrap_or(&script);
        let uri = self.request_uri.as_ref().map(|uri| uri.replace(CHANNEL_PLACE, &envelope.channel));
        let (path, query) = match uri.as_deref() {
            Some(uri) => split_uri(uri),
            None => (script_name, ""),
        };
        let query = forwarded::query(envelope, request, query, self.forwards_query, QUERY_BYTES_MAX)?;
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
        if let Some(content_type) = forwarded::content_type(&request.headers) {
            list.push("CONTENT_TYPE", content_type);
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
        Ok(())
    }
}

fn push_headers(list: &mut List, headers: &HeaderMap, asked: &[String]) {
    for (name, value) in forwarded::headers(headers, asked) {
        list.push(&format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_")), value);
    }
}

/// What the gateway knows: `event-ids` becomes `TOLLBELL_EVENT_IDS`.
fn push_gateway(list: &mut List, envelope: &Envelope) {
    for (name, value) in forwarded::facts(envelope) {
        list.push(&format!("TOLLBELL_{}", name.to_ascii_uppercase().replace('-', "_")), value);
    }
}

struct List(Vec<(String, Vec<u8>)>);

impl List {
    fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.push((name.to_owned(), value.as_ref().to_vec()));
    }
}

/// The query of `request_uri`, as it is for a channel.
pub(super) fn own_query(settings: &Settings, channel: &str) -> Option<OwnQuery> {
    let uri = settings.text(REQUEST_URI)?.replace(CHANNEL_PLACE, channel);
    Some(OwnQuery { setting: REQUEST_URI, query: split_uri(&uri).1.to_owned() })
}

fn split_uri(uri: &str) -> (&str, &str) {
    uri.split_once('?').unwrap_or((uri, ""))
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
