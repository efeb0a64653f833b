//! A `curl` command (curl 8, manual), as people paste it and as browsers' "copy as cURL" writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollbell_channels::form;
use tollbell_channels::model::{RawRequest, Timestamp};

use super::{Capture, CaptureError, FORM, Fidelity, Form, HEADERS_MAX, cmd, curl_config, header, shell, target};

/// What a prompt may leave before a command.
const PROMPTS: [&[u8]; 3] = [b"$ ", b"# ", b"% "];

/// Options without a value that change nothing of what is sent.
const QUIET_LONG: [&str; 28] = [
    "--silent",
    "--show-error",
    "--include",
    "--show-headers",
    "--verbose",
    "--insecure",
    "--location",
    "--globoff",
    "--fail",
    "--fail-with-body",
    "--compressed",
    "--http1.0",
    "--http1.1",
    "--http2",
    "--http2-prior-knowledge",
    "--http3",
    "--ipv4",
    "--ipv6",
    "--no-buffer",
    "--progress-bar",
    "--no-progress-meter",
    "--path-as-is",
    "--tcp-nodelay",
    "--tlsv1.2",
    "--tlsv1.3",
    "--no-keepalive",
    "--remote-name",
    "--parallel",
];

/// The same in short; several may stand behind one dash.
const QUIET_SHORT: &[u8] = b"sSivkLgfN#46O012";

/// Options with a value that change nothing of what is sent.
const QUIET_VALUES: [&str; 27] = [
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "-w",
    "--write-out",
    "-x",
    "--proxy",
    "--resolve",
    "--connect-to",
    "--cacert",
    "-E",
    "--cert",
    "--key",
    "--cert-type",
    "--key-type",
    "--pass",
    "--interface",
    "--limit-rate",
    "-c",
    "--cookie-jar",
    "-D",
    "--dump-header",
];

/// Options with a value that are read here, with their long names.
const SHORT: [(u8, &str); 8] = [
    (b'X', "--request"),
    (b'H', "--header"),
    (b'd', "--data"),
    (b'A', "--user-agent"),
    (b'e', "--referer"),
    (b'b', "--cookie"),
    (b'u', "--user"),
    (b'F', "--form"),
];

/// Whether a text is a command of `curl`.
pub(super) fn is_command(text: &[u8]) -> bool {
    let text = PROMPTS.iter().find_map(|prompt| text.strip_prefix(*prompt)).unwrap_or(text);
    [b"curl ".as_slice(), b"curl\t", b"curl.exe ", b"curl\\"].iter().any(|name| text.starts_with(name))
}

/// Reads a command. One for the shell of Windows has two readings: browsers double each backslash, which its programs undo
/// before a quotation mark only.
pub(super) fn read(text: &[u8], at: Timestamp) -> Result<Vec<Capture>, CaptureError> {
    let text = PROMPTS.iter().find_map(|prompt| text.strip_prefix(*prompt)).unwrap_or(text);
    if !cmd::is_command(text) {
        return Ok(vec![command(shell::words(text)?.into_iter().skip(1), at)?]);
    }
    let [copied, typed] = [cmd::Backslashes::Doubled, cmd::Backslashes::Literal].map(|backslashes| {
        let words = cmd::words(text, backslashes)?;
        command(words.into_iter().skip(1), at)
    });
    let (copied, typed) = (copied?, typed?);
    let is_same = copied.request.body == typed.request.body && copied.request.headers == typed.request.headers;
    Ok(if is_same { vec![copied] } else { vec![copied, typed] })
}

/// Reads a configuration, which is a command without its name.
pub(super) fn read_config(text: &[u8], at: Timestamp) -> Result<Capture, CaptureError> {
    command(curl_config::words(text)?.into_iter(), at)
}

fn command(mut words: impl Iterator<Item = Vec<u8>>, at: Timestamp) -> Result<Capture, CaptureError> {
    let mut command = Command::default();
    while let Some(word) = words.next() {
        let text = std::str::from_utf8(&word).map_err(|_| broken("an option is no text"))?;
        if text == "--" || !text.starts_with('-') || text == "-" {
            if text != "--" {
                command.url(text)?;
            }
            continue;
        }
        let (option, attached) = split(text);
        if QUIET_LONG.contains(&option.as_str()) {
            continue;
        }
        if matches!(option.as_str(), "-G" | "--get" | "-I" | "--head") {
            command.flag(&option);
            continue;
        }
        if !option.starts_with("--")
            && option.len() > 1
            && option.bytes().skip(1).all(|byte| QUIET_SHORT.contains(&byte))
        {
            continue;
        }
        let mut value =
            || attached.clone().or_else(|| words.next()).ok_or_else(|| broken(&format!("`{option}` has no value")));
        if QUIET_VALUES.contains(&option.as_str()) {
            value()?;
            continue;
        }
        let long = SHORT
            .iter()
            .find(|(short, _)| option.as_bytes() == [b'-', *short])
            .map_or(option.as_str(), |(_, long)| long);
        command.option(long, value)?;
    }
    command.capture(at)
}

/// An option and what is attached to it: `-XPOST`, `--request=POST` is no form that curl knows.
fn split(text: &str) -> (String, Option<Vec<u8>>) {
    let has_value = |short: u8| SHORT.iter().any(|(known, _)| *known == short) || b"omwxEcD".contains(&short);
    match text.as_bytes() {
        [b'-', short, rest @ ..] if *short != b'-' && has_value(*short) && !rest.is_empty() => {
            (format!("-{}", char::from(*short)), Some(rest.to_vec()))
        }
        // `-sXPOST`: quiet ones before it.
        [b'-', rest @ ..] if !rest.starts_with(b"-") => {
            let quiet = rest.iter().take_while(|byte| QUIET_SHORT.contains(byte)).count();
            match &rest[quiet..] {
                [short, value @ ..] if quiet > 0 && has_value(*short) => {
                    (format!("-{}", char::from(*short)), (!value.is_empty()).then(|| value.to_vec()))
                }
                [b'G'] if quiet > 0 => ("-G".to_owned(), None),
                _ => (text.to_owned(), None),
            }
        }
        _ => (text.to_owned(), None),
    }
}

fn broken(why: &str) -> CaptureError {
    CaptureError::Broken { line: 1, why: why.to_owned() }
}

/// What the options have said so far.
#[derive(Default)]
struct Command {
    method: Option<Method>,
    url: Option<String>,
    headers: HeaderMap,
    /// Headers that were taken away: `-H 'Accept:'`.
    removed: Vec<HeaderName>,
    data: Option<Vec<u8>>,
    is_json: bool,
    is_get: bool,
    is_head: bool,
}

impl Command {
    fn url(&mut self, text: &str) -> Result<(), CaptureError> {
        match self.url.replace(text.to_owned()) {
            None => Ok(()),
            Some(_) => Err(broken("two addresses are two requests")),
        }
    }

    fn flag(&mut self, option: &str) {
        match option {
            "-G" | "--get" => self.is_get = true,
            _ => self.is_head = true,
        }
    }

    /// An option with a value.
    fn option(
        &mut self,
        name: &str,
        value: impl FnOnce() -> Result<Vec<u8>, CaptureError>,
    ) -> Result<(), CaptureError> {
        match name {
            "--request" => {
                let method = Method::from_bytes(&value()?).map_err(|_| broken("no method of HTTP"))?;
                self.method = Some(method);
            }
            "--url" => {
                let url = value()?;
                self.url(std::str::from_utf8(&url).map_err(|_| broken("the address is no text"))?)?;
            }
            "--header" => self.header(&value()?)?,
            "--user-agent" => self.set(USER_AGENT, &value()?)?,
            "--referer" => self.set(REFERER, &value()?)?,
            "--cookie" => {
                let cookie = value()?;
                if !cookie.contains(&b'=') {
                    return Err(CaptureError::Outside(String::from_utf8_lossy(&cookie).into_owned()));
                }
                self.set(COOKIE, &cookie)?;
            }
            "--user" => {
                let credential = format!("Basic {}", STANDARD.encode(value()?));
                self.set(AUTHORIZATION, credential.as_bytes())?;
            }
            "--data" | "--data-ascii" | "--data-binary" => {
                let data = value()?;
                if data.starts_with(b"@") {
                    return Err(CaptureError::Outside(String::from_utf8_lossy(&data).into_owned()));
                }
                self.push(&data, b'&');
            }
            "--data-raw" => {
                let data = value()?;
                self.push(&data, b'&');
            }
            "--data-urlencode" => {
                let data = encoded(&value()?)?;
                self.push(&data, b'&');
            }
            "--json" => {
                let data = value()?;
                if data.starts_with(b"@") {
                    return Err(CaptureError::Outside(String::from_utf8_lossy(&data).into_owned()));
                }
                self.is_json = true;
                // Several are put together as they are.
                self.data.get_or_insert_default().extend_from_slice(&data);
            }
            "--form" => return Err(broken("multipart bodies carry a boundary that is not in the command")),
            other => return Err(CaptureError::Option(other.to_owned())),
        }
        Ok(())
    }

    fn push(&mut self, data: &[u8], between: u8) {
        match &mut self.data {
            Some(all) => {
                all.push(between);
                all.extend_from_slice(data);
            }
            None => self.data = Some(data.to_vec()),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), CaptureError> {
        if line.starts_with(b"@") {
            return Err(CaptureError::Outside(String::from_utf8_lossy(line).into_owned()));
        }
        if self.headers.len() >= HEADERS_MAX {
            return Err(CaptureError::TooLarge { what: "headers", limit: HEADERS_MAX });
        }
        // `Name;` sends it with nothing, `Name:` does not send it.
        if let Some(name) = line.strip_suffix(b";").filter(|name| !name.contains(&b':')) {
            let (name, value) = header(name, b"").ok_or_else(|| broken("no header"))?;
            self.headers.append(name, value);
            return Ok(());
        }
        let colon = line.iter().position(|&byte| byte == b':').ok_or_else(|| broken("a header without a colon"))?;
        let (name, value) = header(&line[..colon], &line[colon + 1..]).ok_or_else(|| broken("no header"))?;
        if value.is_empty() {
            self.removed.push(name);
        } else {
            self.headers.append(name, value);
        }
        Ok(())
    }

    fn set(&mut self, name: HeaderName, value: &[u8]) -> Result<(), CaptureError> {
        self.headers.insert(name, HeaderValue::from_bytes(value).map_err(|_| broken("no header"))?);
        Ok(())
    }

    fn capture(mut self, at: Timestamp) -> Result<Capture, CaptureError> {
        let url = self.url.take().ok_or_else(|| broken("the command names no address"))?;
        let (path, mut query) =
            target(if url.contains("://") { &url } else { url.find('/').map_or("/", |slash| &url[slash..]) });
        let mut data = self.data.take();
        if self.is_get
            && let Some(data) = data.take()
        {
            let data = String::from_utf8(data).map_err(|_| broken("the data for the address is no text"))?;
            query = Some(query.map_or(data.clone(), |query| format!("{query}&{data}")));
        }
        let method = self.method.take().unwrap_or(match (&data, self.is_head) {
            (_, true) => Method::HEAD,
            (Some(_), false) => Method::POST,
            (None, false) => Method::GET,
        });
        let missing = |name: &HeaderName| !self.headers.contains_key(name) && !self.removed.contains(name);
        let mut added = Vec::new();
        if data.is_some() && missing(&CONTENT_TYPE) {
            added.push((CONTENT_TYPE, if self.is_json { "application/json" } else { FORM }));
        }
        if self.is_json && missing(&ACCEPT) {
            added.push((ACCEPT, "application/json"));
        }
        for (name, value) in added {
            self.headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(Capture {
            request: RawRequest {
                method,
                path,
                query,
                headers: self.headers,
                body: data.unwrap_or_default().into(),
                source: None,
                received_at: at,
            },
            form: Form::Curl,
            fidelity: Fidelity::Bytes,
            notes: Vec::new(),
            record: 0,
        })
    }
}

/// `content`, `=content` or `name=content`: the content is encoded, the name is not.
fn encoded(data: &[u8]) -> Result<Vec<u8>, CaptureError> {
    let equals = data.iter().position(|&byte| byte == b'=');
    if data.iter().take(equals.unwrap_or(data.len())).any(|&byte| byte == b'@') {
        return Err(CaptureError::Outside(String::from_utf8_lossy(data).into_owned()));
    }
    let (name, content) = equals.map_or((&data[..0], data), |at| (&data[..at], &data[at + 1..]));
    let mut out = name.to_vec();
    if !name.is_empty() {
        out.push(b'=');
    }
    form::encode_into(&mut out, content);
    Ok(out)
}
