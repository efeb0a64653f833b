//! Every platform's own callbacks, damaged as they are on their way here.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::is_transport;
use crate::channel::{Channel, Rejection};
use crate::explain::findings::tests::{Refuses, Stage, at, stages};
use crate::explain::{Evidence, Kept};
use crate::form::{Form, Limits};
use crate::model::RawRequest;
use crate::platforms::PLATFORMS;
use crate::settings::{SettingValue, Settings};

/// Headers that are the platform's: neither a proxy's nor the type of the body.
fn own_headers(request: &RawRequest) -> Vec<HeaderName> {
    let is_own = |name: &&HeaderName| !is_transport(name.as_str()) && **name != CONTENT_TYPE;
    request.headers.keys().filter(is_own).cloned().collect()
}

/// Plays damages with every platform. What a channel takes all the same is none; of everything else this is the only
/// finding. Gives how many platforms were concerned.
fn finds(id: &str, damages: impl Fn(&RawRequest) -> Vec<(String, RawRequest)>) -> usize {
    let mut concerned = 0;
    for stage in stages() {
        let request = stage.callback();
        let mut is_concerned = false;
        for (label, damaged) in damages(&request) {
            if stage.is_accepted(&damaged, at()) {
                continue;
            }
            is_concerned = true;
            let diagnosis = stage.explained(&damaged, at());
            let found: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
            let kind = stage.platform.kind;
            assert_eq!(found, [id], "{kind}: {label}: {:?}", diagnosis.outcome);
            assert!(!diagnosis.effort.is_bounded, "{kind}: {label}: {:?}", diagnosis.effort);
        }
        concerned += usize::from(is_concerned);
    }
    concerned
}

fn renamed(request: &RawRequest, names: impl Fn(&str) -> String, with_type: bool) -> RawRequest {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let is_meant = !is_transport(name.as_str()) && (with_type || *name != CONTENT_TYPE);
        let name = if is_meant { HeaderName::try_from(names(name.as_str())).unwrap() } else { name.clone() };
        headers.append(name, value.clone());
    }
    RawRequest { headers, ..request.clone() }
}

#[test]
fn a_genuine_message_has_no_finding() {
    for stage in stages() {
        let diagnosis = stage.explained(&stage.callback(), at());
        assert!(
            diagnosis.outcome.is_accepted() && diagnosis.findings.is_empty(),
            "{}: {diagnosis:?}",
            stage.platform.kind
        );
    }
}

#[test]
fn another_method_is_named() {
    let concerned = finds("method", |request| {
        let bare = RawRequest { method: Method::GET, query: None, body: Bytes::new(), ..request.clone() };
        let mut damages = vec![
            ("PUT".to_owned(), RawRequest { method: Method::PUT, ..request.clone() }),
            ("PATCH".to_owned(), RawRequest { method: Method::PATCH, ..request.clone() }),
        ];
        if request.method == Method::POST && !request.body.is_empty() {
            damages.push(("GET with a body".to_owned(), RawRequest { method: Method::GET, ..request.clone() }));
            if !request.headers.contains_key("x-none") && request.query.is_none() {
                damages.push(("redirected".to_owned(), bare));
            }
        }
        damages
    });
    assert!(concerned > 30, "{concerned}");
}

#[test]
fn a_form_that_came_as_a_query_is_named() {
    let concerned = finds("method", |request| {
        let is_form = request.media_type() == "application/x-www-form-urlencoded" && request.query.is_none();
        let Ok(query) = String::from_utf8(request.body.to_vec()) else { return Vec::new() };
        let moved = RawRequest { method: Method::GET, query: Some(query), body: Bytes::new(), ..request.clone() };
        if is_form { vec![("query".to_owned(), moved)] } else { Vec::new() }
    });
    assert!(concerned >= 4, "{concerned}");
}

#[test]
fn another_media_type_is_named() {
    let concerned = finds("media_type", |request| {
        let with = |value: &'static str| {
            let mut damaged = request.clone();
            damaged.headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            (value.to_owned(), damaged)
        };
        let mut without = request.clone();
        without.headers.remove(CONTENT_TYPE);
        let mut all =
            vec![with("text/plain"), with("application/octet-stream"), with("application/pdf; charset=utf-8")];
        all.push(("none".to_owned(), without));
        all
    });
    assert!(concerned > 30, "{concerned}");
}

#[test]
fn a_header_that_came_twice_is_named() {
    let concerned = finds("header_doubled", |request| {
        let mut damages = Vec::new();
        for name in request.headers.keys().filter(|name| !is_transport(name.as_str())) {
            let value = request.headers.get(name).unwrap();
            let mut same = request.clone();
            same.headers.append(name, value.clone());
            let mut behind = request.clone();
            behind.headers.append(name, HeaderValue::from_static("QUFBQQ=="));
            let mut before = request.clone();
            before.headers.insert(name, HeaderValue::from_static("QUFBQQ=="));
            before.headers.append(name, value.clone());
            let cases = [("the same", same), ("another behind", behind), ("another before", before)];
            damages.extend(cases.map(|(label, damaged)| (format!("{name}: {label}"), damaged)));
        }
        let mut all = request.clone();
        for (name, value) in &request.headers {
            all.headers.append(name, value.clone());
        }
        damages.push(("all".to_owned(), all));
        damages
    });
    assert!(concerned > 30, "{concerned}");
}

#[test]
fn values_in_one_header_are_told_apart() {
    let concerned = finds("header_joined", |request| {
        let mut damages = Vec::new();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let joined = |one: &HeaderValue, sep: &str| HeaderValue::from_str(&format!("{0}{sep}{0}", text(one))).unwrap();
        let own = own_headers(request);
        for name in own.iter().chain([&CONTENT_TYPE]).filter(|name| request.headers.contains_key(*name)) {
            for sep in [", ", ","] {
                let mut twice = request.clone();
                twice.headers.insert(name, joined(&request.headers[name], sep));
                damages.push((format!("{name}: {sep:?}"), twice));
            }
            let mut thrice = request.clone();
            let three_times = HeaderValue::from_str(&format!("{0}, {0}, {0}", text(&request.headers[name]))).unwrap();
            thrice.headers.insert(name, three_times);
            damages.push((format!("{name}: three"), thrice));
        }
        let mut all = request.clone();
        for name in &own {
            all.headers.insert(name, joined(&request.headers[name], ", "));
        }
        damages.push(("all".to_owned(), all));
        damages
    });
    assert!(concerned > 20, "{concerned}");
}

#[test]
fn headers_under_other_names_are_known() {
    let concerned = finds("header_renamed", |request| {
        let cgi = |name: &str| format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        let mut damages = vec![
            ("X-".to_owned(), renamed(request, |name| format!("x-{name}"), false)),
            ("_".to_owned(), renamed(request, |name| name.replace('-', "_"), false)),
            ("X_".to_owned(), renamed(request, |name| format!("x_{}", name.replace('-', "_")), false)),
            ("CGI".to_owned(), renamed(request, cgi, false)),
            ("redirected CGI".to_owned(), renamed(request, |name| format!("REDIRECT_{}", cgi(name)), false)),
            ("prefix".to_owned(), renamed(request, |name| format!("my-gateway-{name}"), false)),
            ("prefix of one word".to_owned(), renamed(request, |name| format!("original-{name}"), false)),
        ];
        let bare = |name: &str| name.strip_prefix("x-").unwrap_or(name).to_owned();
        damages.push(("X- lost".to_owned(), renamed(request, bare, false)));
        for name in own_headers(request) {
            let only = |other: &str| if other == name.as_str() { format!("x-{other}") } else { other.to_owned() };
            damages.push((format!("{name} alone"), renamed(request, only, false)));
        }
        // With everything in one header alone, the type of the body is told by another finding.
        if !own_headers(request).is_empty() {
            damages.push(("CGI with the type".to_owned(), renamed(request, cgi, true)));
        }
        damages.retain(|(_, damaged)| damaged.headers != request.headers);
        damages
    });
    assert!(concerned > 20, "{concerned}");
}

#[test]
fn headers_that_are_not_there_are_missed() {
    let concerned = finds("header_missing", |request| {
        let own = own_headers(request);
        if own.is_empty() {
            return Vec::new();
        }
        let without = |names: &[HeaderName]| {
            let mut damaged = request.clone();
            for name in names {
                drop(damaged.headers.remove(name));
            }
            damaged
        };
        let mut damages: Vec<(String, RawRequest)> =
            own.iter().map(|name| (name.to_string(), without(std::slice::from_ref(name)))).collect();
        damages.push(("all".to_owned(), without(&own)));
        damages.push(("all, and no type".to_owned(), RawRequest { headers: HeaderMap::new(), ..request.clone() }));
        damages
    });
    assert!(concerned > 20, "{concerned}");
}

#[test]
fn what_was_not_kept_is_said_and_nothing_else() {
    let mut concerned = 0;
    for stage in stages() {
        let request = stage.callback();
        let own = own_headers(&request);
        let mut bare = request.clone();
        for name in &own {
            drop(bare.headers.remove(name));
        }
        if own.is_empty() || stage.is_accepted(&bare, at()) {
            continue;
        }
        concerned += 1;
        let kept = Kept { has_head: false, has_bytes: true };
        let diagnosis = stage.explained_as(&bare, kept, at(), &[]);
        let found: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
        assert_eq!(found, ["head_not_kept"], "{}", stage.platform.kind);
    }
    assert!(concerned > 20, "{concerned}");
}

#[test]
fn junk_misses_no_header() {
    for stage in stages() {
        let request = stage.callback();
        let media_type = request.headers.get(CONTENT_TYPE).cloned();
        for body in ["", "{}", "[]", "x", "a=", "<a/>", "null", "{\"a\":1}"] {
            let headers: HeaderMap = media_type.iter().map(|value| (CONTENT_TYPE, value.clone())).collect();
            let junk = RawRequest { headers, query: None, body: Bytes::from(body), ..request.clone() };
            let diagnosis = stage.explained(&junk, at());
            let named = diagnosis.findings.iter().find(|found| found.finding.id.starts_with("head"));
            assert!(named.is_none(), "{}: {body}: {named:?}", stage.platform.kind);
        }
    }
}

#[test]
fn a_channel_for_another_platforms_message_misses_no_header() {
    let stages = stages();
    for (at_place, stage) in stages.iter().enumerate() {
        // A few of them for each: a search of every pair takes minutes.
        for step in [1, 7] {
            let other = &stages[(at_place + step) % stages.len()];
            let request = other.callback();
            // Where the other one is configured too, it is whose the message is.
            let diagnosis = stage.explained_as(&request, Kept::WHOLE, at(), &[other.configured()]);
            let named = diagnosis.findings.iter().find(|found| found.finding.id == "header_missing");
            let is_theirs = other.channel.recognise(&request) != crate::channel::Likeness::No;
            assert!(named.is_none() || !is_theirs, "{} at {}: {named:?}", other.platform.kind, stage.platform.kind);
        }
    }
}

#[test]
fn parameters_of_others_are_named() {
    let concerned = finds("query_mixed", |request| {
        let (in_body, pairs) = match &request.query {
            Some(query) if request.body.is_empty() => (false, query.clone()),
            _ if request.media_type() == "application/x-www-form-urlencoded" => {
                (true, String::from_utf8(request.body.to_vec()).unwrap())
            }
            _ => return Vec::new(),
        };
        let put = |pairs: String, query: Option<&str>| {
            if in_body {
                RawRequest { body: pairs.into(), query: query.map(str::to_owned), ..request.clone() }
            } else {
                RawRequest { query: Some(pairs), ..request.clone() }
            }
        };
        let first = pairs.split('&').next().unwrap().split('=').next().unwrap().to_owned();
        let mut damages = vec![
            ("before".to_owned(), put(format!("act=pay&{pairs}"), None)),
            ("behind".to_owned(), put(format!("{pairs}&act=pay"), None)),
            ("a router's".to_owned(), put(format!("_url=%2Fnotify&{pairs}"), None)),
            ("a path".to_owned(), put(format!("/notify/pay=&{pairs}"), None)),
            ("a name of theirs before".to_owned(), put(format!("{first}=mine&{pairs}"), None)),
            ("a name of theirs behind".to_owned(), put(format!("{pairs}&{first}=mine"), None)),
        ];
        if let Some((head, tail)) = pairs.split_once('&') {
            let traced = put(format!("{head}&act=pay&shop=7&{tail}"), Some("act=pay&shop=7"));
            damages.push(("in the middle, from the URL".to_owned(), traced));
        }
        if !in_body {
            damages.push(("two marks".to_owned(), put(format!("act=pay?{pairs}"), None)));
            damages.push(("two parameters".to_owned(), put(format!("act=pay&shop=7&{pairs}"), None)));
        }
        damages
    });
    assert!(concerned >= 7, "{concerned}");
}

#[test]
fn parameters_of_others_in_an_object_are_named() {
    let concerned = finds("query_mixed", |request| {
        let body = std::str::from_utf8(&request.body).unwrap();
        let Some(inner) = body.strip_prefix('{').and_then(|body| body.strip_suffix('}')) else { return Vec::new() };
        // Where the query is the platform's, nothing of the URL's own is in it.
        let query = |own: &str| request.query.is_none().then(|| own.to_owned());
        let put = |body: String, query: Option<String>| RawRequest {
            body: body.into(),
            query: query.or_else(|| request.query.clone()),
            ..request.clone()
        };
        let mut damages = vec![
            ("before".to_owned(), put(format!(r#"{{"act":"pay",{inner}}}"#), None)),
            ("behind".to_owned(), put(format!(r#"{{{inner},"act":"pay"}}"#), None)),
        ];
        if let Some(query) = query("act=pay&shop=7") {
            damages.push(("from the URL".to_owned(), put(format!(r#"{{{inner},"shop":7,"act":"pay"}}"#), Some(query))));
        }
        damages
    });
    assert!(concerned > 20, "{concerned}");
}

#[test]
fn a_cheap_check_finds_a_parameter_anywhere() {
    let mut concerned = 0;
    for stage in stages() {
        let request = stage.callback();
        let limits = Limits { bytes_max: 1 << 20, pairs_max: 256 };
        let Ok(form) = Form::parse(&request.body, limits) else { continue };
        if request.media_type() != "application/x-www-form-urlencoded" || form.pairs().len() < 6 {
            continue;
        }
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        let mut parts: Vec<&str> = text.split('&').collect();
        parts.insert(3, "act=pay");
        let damaged = RawRequest { body: parts.join("&").into(), ..request.clone() };
        let diagnosis = stage.explained(&damaged, at());
        let is_cheap = diagnosis.effort.operations == 0;
        if diagnosis.outcome.is_accepted() || !is_cheap {
            continue;
        }
        concerned += 1;
        let [found] = diagnosis.findings.as_slice() else { panic!("{}: {diagnosis:?}", stage.platform.kind) };
        assert_eq!((found.finding.id, found.facts.as_slice()), ("query_mixed", &[("parameter", "act".to_owned())][..]));
    }
    assert!(concerned >= 1, "{concerned}");
}

/// Settings in which an address is written in another way, with a label.
fn with_other_addresses(settings: &Settings) -> Vec<(String, Settings)> {
    let others = |address: &str| -> Vec<String> {
        let mut others = vec![match address.strip_suffix('/') {
            Some(bare) => bare.to_owned(),
            None => format!("{address}/"),
        }];
        if let Some(rest) = address.strip_prefix("https://") {
            let (machine, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            others.push(format!("http://{rest}"));
            others.push(format!("http://{rest}/"));
            others.push(format!("https://{machine}:443{path}"));
            others.push(format!("https://www.{machine}{path}"));
            others.push(format!("https://{}{path}", machine.to_ascii_uppercase()));
        } else {
            others.push(format!("/shop{address}"));
            others.push(format!("/{address}"));
        }
        others
    };
    let is_address = |text: &str| text.starts_with('/') || text.starts_with("https://");
    let mut all = Vec::new();
    for (name, value) in settings.values() {
        match value {
            SettingValue::Text(text) if is_address(text) => {
                let with = |other: String| (other.clone(), settings.clone().with(name, SettingValue::Text(other)));
                all.extend(others(text).into_iter().map(with));
            }
            SettingValue::Texts(texts) if texts.iter().all(|text| is_address(text)) => {
                for (at, text) in texts.iter().enumerate() {
                    for other in others(text) {
                        let mut texts = texts.clone();
                        texts[at].clone_from(&other);
                        all.push((other, settings.clone().with(name, SettingValue::Texts(texts))));
                    }
                }
            }
            _ => {}
        }
    }
    all
}

#[test]
fn an_address_that_is_configured_otherwise_is_found() {
    let mut concerned = 0;
    for stage in stages() {
        let request = stage.callback();
        for (label, settings) in with_other_addresses(&stage.settings) {
            let Some(other) = stage.with_settings(settings) else { continue };
            if other.is_accepted(&request, at()) {
                continue;
            }
            concerned += 1;
            let diagnosis = other.explained(&request, at());
            let [found] = diagnosis.findings.as_slice() else {
                panic!("{}: {label}: {diagnosis:?}", stage.platform.kind)
            };
            assert_eq!((found.finding.id, found.proof), ("url_changed", Evidence::Recomputed), "{label}");
            let checked = found.facts.iter().find(|(name, _)| *name == "checked").unwrap();
            assert_eq!(checked.1, label);
        }
    }
    assert!(concerned >= 6, "{concerned}");
}

#[test]
fn a_path_that_a_proxy_changed_is_found() {
    let mut concerned = 0;
    for stage in stages() {
        // Where the address is configured, that of the request does not count.
        let is_list = |(_, value): &(&str, &SettingValue)| match value {
            SettingValue::Texts(texts) => texts.iter().all(|text| text.starts_with('/')),
            _ => false,
        };
        let Some(name) = stage.settings.values().find(is_list).map(|(name, _)| name) else { continue };
        let Some(open) = stage.with_settings(stage.settings.clone().without(name)) else { continue };
        let request = stage.callback();
        assert!(open.is_accepted(&request, at()), "{}", stage.platform.kind);
        let with = |path: String| RawRequest { path, ..request.clone() };
        let mut kept = with("/backend/x".to_owned());
        kept.headers.insert("x-original-uri", HeaderValue::from_str(&request.path).unwrap());
        let mut cut = with(request.path.replacen("/notify", "", 1));
        cut.headers.insert("x-forwarded-prefix", HeaderValue::from_static("/notify"));
        let query = RawRequest { query: Some("from=proxy".to_owned()), ..request.clone() };
        let damages = [
            with(format!("{}/", request.path)),
            with(format!("/shop{}", request.path)),
            with(format!("/a/b{}", request.path)),
            kept,
            cut,
            query,
        ];
        for damaged in damages {
            concerned += 1;
            let diagnosis = open.explained(&damaged, at());
            let found: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
            assert_eq!(found, ["url_changed"], "{}: {}", stage.platform.kind, damaged.path);
        }
    }
    assert!(concerned >= 6, "{concerned}");
}

#[test]
fn a_refusal_on_purpose_is_the_platforms_probe() {
    for (rejection, is_probe) in [(Rejection::Probe, true), (Rejection::Signature, false)] {
        let channel: Box<dyn Channel> = Box::new(Refuses(rejection));
        let stage = Stage { channel, ..Stage::new(PLATFORMS[0]) };
        let diagnosis = stage.explained(&stage.callback(), at());
        let found = diagnosis.findings.iter().any(|found| found.finding.id == "probe");
        assert_eq!(found, is_probe);
    }
}

#[test]
fn guessed_headers_prove_nothing() {
    let kept = Kept { has_head: false, has_bytes: true };
    let of_head =
        ["method", "media_type", "header_doubled", "header_joined", "header_renamed", "header_missing", "probe"];
    for stage in stages() {
        let request = stage.callback();
        let doubled = own_headers(&request).into_iter().map(|name| {
            let mut damaged = request.clone();
            damaged.headers.append(&name, request.headers[&name].clone());
            damaged
        });
        let mut plain = request.clone();
        plain.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let put = RawRequest { method: Method::PUT, ..request.clone() };
        let x = renamed(&request, |name| format!("x-{name}"), false);
        for damaged in doubled.chain([plain, put, x]) {
            let diagnosis = stage.explained_as(&damaged, kept, at(), &[]);
            let named = diagnosis.findings.iter().find(|found| of_head.contains(&found.finding.id));
            assert!(named.is_none(), "{}: {named:?}", stage.platform.kind);
        }
    }
}
