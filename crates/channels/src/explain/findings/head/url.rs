//! The address that a platform signs: the whole of it from the settings, or the path of the request.

use http::header::HOST;

use crate::channel::Rejection;
use crate::explain::{Case, Finding, Otherwise, Probe, Undo, part_bytes};
use crate::model::RawRequest;
use crate::settings::{SettingValue, Text};
use crate::signature::trial::{Part, Trial};

/// Most other addresses that are tried for one that was signed, each of which costs a check.
const VARIANTS_MAX: usize = 14;

/// Most addresses of the settings that are varied.
const ADDRESSES_MAX: usize = 4;

/// Longest address that is looked for, in bytes.
const ADDRESS_BYTES_MAX: usize = 2048;

/// Headers in which a proxy keeps the path as it came.
const FORMER_PATHS: &[&str] = &[
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-envoy-original-path",
    "x-forwarded-path",
];

/// Another address than the signed one.
pub(in crate::explain::findings) static URL_CHANGED: Finding = Finding {
    id: "url_changed",
    title: Text {
        en: "the platform signed the address `{signed}`, and `{checked}` was checked",
        zh: "平台签名所用的地址是「{signed}」，而验签时用的是「{checked}」",
    },
    cause: Text {
        en: "This platform signs the notify URL, or its path, character for character. What is configured here is not what is \
             registered there (http or https, a slash at the end, the host, a port), or a proxy changed the path on its way \
             here.",
        zh: "该平台会把通知地址（或其路径）逐字纳入签名。此处配置的地址与平台登记的不一致（http/https、末尾斜杠、域名、端口），\
             或反向代理在转发时改写了路径。",
    },
    cure: Text {
        en: "Copy the address from the platform's own backend into the channel's settings, to the last slash; where the path of \
             the request counts, name the registered address in the settings or let the proxy pass the path unchanged.",
        zh: "把平台后台登记的通知地址逐字填入渠道设置（包括末尾的斜杠）；若以请求路径验签，请在设置中写明登记的地址，\
             或让反向代理原样传递路径。",
    },
    probes: &[Probe::Undo(at_other_addresses)],
};

fn at_other_addresses(case: &Case<'_>) -> Vec<Undo> {
    if !matches!(case.rejection(), Some(Rejection::Signature)) {
        return Vec::new();
    }
    let mut undone = configured(case);
    if case.kept.has_head {
        undone.extend(by_path(case));
    }
    undone
}

/// Where an address stands in the settings.
struct Configured<'c> {
    setting: &'static str,
    /// Its place in a list of texts or pairs.
    at: Option<usize>,
    address: &'c str,
}

/// Other addresses in the place of a configured one that is under the signature.
fn configured(case: &Case<'_>) -> Vec<Undo> {
    let found = addresses(case).into_iter().filter(|found| {
        let parts = Address::read(found.address);
        is_signed(&case.trials, found.address) || is_signed(&case.trials, parts.path)
    });
    let mut undone = Vec::new();
    for Configured { setting, at, address } in found.take(ADDRESSES_MAX) {
        for other in Address::read(address).variants(&case.request, case.kept.has_head) {
            let Some(value) = replaced(case, setting, at, &other) else { continue };
            let settings = case.settings.clone().with(setting, value);
            let facts = vec![("signed", shown(&other)), ("checked", shown(address)), ("setting", setting.to_owned())];
            undone.push(Undo::tried(Otherwise::Settings(Box::new(settings)), facts));
        }
    }
    undone
}

/// Every text of the settings that is an address or a path.
fn addresses<'c>(case: &'c Case<'_>) -> Vec<Configured<'c>> {
    let is_address = |text: &str| {
        text.len() <= ADDRESS_BYTES_MAX && ["https://", "http://", "/"].iter().any(|start| text.starts_with(start))
    };
    let mut found = Vec::new();
    for (setting, value) in case.settings.values() {
        let texts: Vec<(Option<usize>, &str)> = match value {
            SettingValue::Text(text) => vec![(None, text)],
            SettingValue::Texts(texts) => {
                texts.iter().enumerate().map(|(at, text)| (Some(at), text.as_str())).collect()
            }
            SettingValue::Pairs(pairs) => {
                pairs.iter().enumerate().map(|(at, (_, text))| (Some(at), text.as_str())).collect()
            }
            _ => Vec::new(),
        };
        let texts = texts.into_iter().filter(|(_, text)| is_address(text));
        found.extend(texts.map(|(at, address)| Configured { setting, at, address }));
    }
    found
}

/// The setting with another address in it.
fn replaced(case: &Case<'_>, setting: &str, at: Option<usize>, address: &str) -> Option<SettingValue> {
    let (_, value) = case.settings.values().find(|(name, _)| *name == setting)?;
    let mut value = value.clone();
    match (&mut value, at) {
        (SettingValue::Text(text), None) => address.clone_into(text),
        (SettingValue::Texts(texts), Some(at)) => address.clone_into(texts.get_mut(at)?),
        (SettingValue::Pairs(pairs), Some(at)) => address.clone_into(&mut pairs.get_mut(at)?.1),
        _ => return None,
    }
    Some(value)
}

/// Other paths for one that came and is under the signature.
fn by_path(case: &Case<'_>) -> Vec<Undo> {
    let request = &case.request;
    if request.path.len() < 2 || !is_signed(&case.trials, &request.path) {
        return Vec::new();
    }
    let checked = whole(&request.path, request.query.as_deref());
    let mut others = Vec::new();
    for name in FORMER_PATHS {
        if let Some(former) = request.single_header(name) {
            others.push(Address::read(former).target());
        }
    }
    if let Some(prefix) = request.single_header("x-forwarded-prefix") {
        others.push(format!("/{}{checked}", prefix.trim_matches('/')));
    }
    others.extend(paths(&request.path).into_iter().map(|path| whole(&path, request.query.as_deref())));
    if request.query.is_some() {
        others.push(request.path.clone());
    }
    let mut tried: Vec<String> = Vec::new();
    for other in others {
        if other != checked && other.starts_with('/') && !tried.contains(&other) && tried.len() < VARIANTS_MAX {
            tried.push(other);
        }
    }
    let undo = |other: &String| {
        let (path, query) = match other.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (other.clone(), None),
        };
        let facts = vec![("signed", shown(other)), ("checked", shown(&checked))];
        Undo::tried(Otherwise::Request(RawRequest { path, query, ..request.clone() }), facts)
    };
    tried.iter().map(undo).collect()
}

/// Paths that a proxy makes this one of: with and without a slash at the end, with one or two words more or less before
/// it, with a doubled slash, written otherwise.
fn paths(path: &str) -> Vec<String> {
    let mut others = vec![match path.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => format!("{path}/"),
    }];
    let mut rest = path;
    for _ in 0..2 {
        let Some(at) = rest.get(1..).and_then(|rest| rest.find('/')) else { break };
        rest = &rest[at + 1..];
        others.push(rest.to_owned());
    }
    others.push(format!("/{path}"));
    others.push(path.replace("//", "/"));
    if let Ok(decoded) = percent_encoding::percent_decode_str(path).decode_utf8() {
        others.push(decoded.into_owned());
    }
    others.push(percent_encoding::utf8_percent_encode(path, percent_encoding::CONTROLS).to_string());
    others.extend(["/notify", "/api", "/pay", "/public", "/index.php"].map(|before| format!("{before}{path}")));
    others
}

fn whole(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// An address for people: to its end, where two often differ, and without a user's password.
fn shown(address: &str) -> String {
    let shown = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (machine, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let host = machine.rsplit_once('@').map_or(machine, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => address.to_owned(),
    };
    shown.chars().take(ADDRESS_BYTES_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whether a text stands in a signed text. What was opened with a secret is looked into by nobody.
fn is_signed(trials: &[Trial], text: &str) -> bool {
    let stands_in = |part: &Part| match part {
        Part::Text(signed) if part_bytes(part) >= text.len() => memchr::memmem::find(signed, text.as_bytes()).is_some(),
        _ => false,
    };
    !text.is_empty() && trials.iter().any(|trial| !trial.is_sealed && trial.signed.iter().any(stands_in))
}

/// An address in its parts; the scheme and the machine are empty where it is a path.
#[derive(Clone, Copy)]
struct Address<'a> {
    scheme: &'a str,
    machine: &'a str,
    /// With what stands behind the `?`.
    path: &'a str,
}

impl<'a> Address<'a> {
    fn read(address: &'a str) -> Self {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Self { scheme: "", machine: "", path: address };
        };
        let (machine, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Self { scheme, machine, path }
    }

    /// What a client asks for.
    fn target(self) -> String {
        if self.path.starts_with('/') { self.path.to_owned() } else { format!("/{}", self.path) }
    }

    fn at(self, scheme: &str, machine: &str, path: &str) -> String {
        if self.scheme.is_empty() { path.to_owned() } else { format!("{scheme}://{machine}{path}") }
    }

    /// What may be registered at the platform in place of this, the likeliest first.
    fn variants(self, request: &RawRequest, has_head: bool) -> Vec<String> {
        let Self { scheme, machine, path } = self;
        let (bare, query) = path.split_once('?').map_or((path, None), |(bare, query)| (bare, Some(query)));
        let turned = match bare.strip_suffix('/') {
            Some(bare) => whole(bare, query),
            None => whole(&format!("{bare}/"), query),
        };
        let other_scheme = if scheme == "https" { "http" } else { "https" };
        let (name, port) = machine.split_once(':').map_or((machine, None), |(name, port)| (name, Some(port)));
        let other_name = name.strip_prefix("www.").map_or_else(|| format!("www.{name}"), str::to_owned);
        let mut others = vec![
            self.at(scheme, machine, &turned),
            self.at(other_scheme, machine, path),
            self.at(other_scheme, machine, &turned),
        ];
        if has_head {
            let came = whole(&request.path, request.query.as_deref());
            let header = |name: &str| request.single_header(name);
            let host = header("x-forwarded-host").or_else(|| header(HOST.as_str())).unwrap_or(machine);
            let by = header("x-forwarded-proto").filter(|by| ["http", "https"].contains(by)).unwrap_or(scheme);
            others.extend([
                self.at(scheme, machine, &came),
                self.at(by, host, path),
                self.at(by, host, &came),
                self.at(by, host, &request.path),
            ]);
            others.extend(
                FORMER_PATHS
                    .iter()
                    .filter_map(|name| header(name))
                    .map(|former| self.at(scheme, machine, &Address::read(former).target())),
            );
        }
        others.push(match port {
            Some(_) => self.at(scheme, name, path),
            None => self.at(scheme, &format!("{name}:{}", if scheme == "https" { 443 } else { 80 }), path),
        });
        others.push(self.at(scheme, &machine.to_ascii_lowercase(), path));
        others.push(self.at(scheme, &machine.replacen(name, &other_name, 1), path));
        if query.is_some() {
            others.push(self.at(scheme, machine, bare));
        }
        others.extend(paths(bare).into_iter().map(|bare| self.at(scheme, machine, &whole(&bare, query))));
        let own = self.at(scheme, machine, path);
        let mut tried: Vec<String> = Vec::new();
        for other in others {
            if other != own && !tried.contains(&other) && tried.len() < VARIANTS_MAX {
                tried.push(other);
            }
        }
        tried
    }
}

#[cfg(test)]
mod tests {
    use super::is_signed;
    use crate::signature::hmac::{HmacHash, HmacKey};
    use crate::signature::trial::{listen, sealed};

    #[test]
    fn an_address_is_looked_for_in_no_text_that_was_opened_with_a_secret() {
        let key = HmacKey::new(b"a secret of some length", HmacHash::Sha256, "one");
        let check = || assert!(key.verify_any(b"POST /notify", &[&[7; 32]], "plain").is_none());
        assert!(is_signed(&listen(0, check).1, "/notify"));
        assert!(!is_signed(&listen(0, || sealed(check)).1, "/notify"));
    }
}
