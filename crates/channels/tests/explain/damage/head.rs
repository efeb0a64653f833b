//! What happens to a request's line and headers.

use http::{HeaderName, HeaderValue, Method};

use super::Damage;
use crate::explain::bytes::{Form, with_form};
use crate::explain::stage::{Other, Scene};
use tollbell_channels::channel::Rejection;
use tollbell_channels::explain::{Kept, Outcome};
use tollbell_channels::settings::{SettingValue, Settings};

pub(super) static DAMAGES: &[Damage] = &[
    Damage::first("method", "PUT for POST", |scene| with_method(scene, Method::PUT)),
    Damage::first("method", "GET with a body", |scene| {
        (!scene.request.body.is_empty()).then_some(())?;
        with_method(scene, Method::GET)
    }),
    Damage::first("media_type", "plain text", |scene| media_type(scene, "text/plain")),
    Damage::first("media_type", "JSON for what is none", |scene| {
        (Form::of(&scene.request) != Form::Json).then_some(())?;
        media_type(scene, "application/json")
    }),
    Damage::first("media_type", "a form for what is none", |scene| {
        (Form::of(&scene.request) != Form::Form).then_some(())?;
        media_type(scene, "application/x-www-form-urlencoded")
    }),
    Damage::new("header_missing", "all of the platform's", |mut scene| {
        let names = own_headers(&scene)?;
        for name in names {
            scene.request.headers.remove(name);
        }
        Some(scene)
    }),
    Damage::new("header_missing", "the signature's", |mut scene| {
        let name = signature_header(&scene)?;
        scene.request.headers.remove(name);
        Some(scene)
    }),
    Damage::new("head_not_kept", "the body alone was kept", |mut scene| {
        signature_header(&scene)?;
        scene.request.headers.clear();
        scene.kept = Kept { has_head: false, has_bytes: true };
        Some(scene)
    }),
    Damage::new("header_renamed", "X- before each", |scene| renamed(scene, |name| format!("x-{name}"))),
    Damage::new("header_renamed", "X-Original- before each", |scene| {
        renamed(scene, |name| format!("x-original-{name}"))
    }),
    Damage::new("header_renamed", "as PHP names them", |scene| {
        renamed(scene, |name| format!("http_{}", name.replace('-', "_")))
    }),
    Damage::new("header_renamed", "an underline for each hyphen", |scene| {
        renamed(scene, |name| name.replace('-', "_"))
    }),
    Damage::new("header_doubled", "the signature's came twice", |mut scene| {
        let name = signature_header(&scene)?;
        let value = scene.request.headers.get(&name)?.clone();
        scene.request.headers.append(name, value);
        Some(scene)
    }),
    Damage::new("header_doubled", "each came twice", |mut scene| {
        for name in own_headers(&scene)? {
            let value = scene.request.headers.get(&name)?.clone();
            scene.request.headers.append(name, value);
        }
        Some(scene)
    }),
    Damage::new("header_joined", "the signature's twice in one value", |scene| joined(scene, ", ")),
    Damage::new("header_joined", "the same without a blank", |scene| joined(scene, ",")),
    Damage::new("query_mixed", "the notify URL's parameter in the form", |mut scene| {
        let text = mixed(&scene, "tenant=7&")?;
        if Form::of(&scene.request) == Form::Form {
            scene.request.query = Some("tenant=7".to_owned());
        }
        with_form(scene, text)
    }),
    Damage::new("query_mixed", "a front controller's parameter in the form", |mut scene| {
        let text = mixed(&scene, "s=%2Fnotify%2Findex&")?;
        if Form::of(&scene.request) == Form::Form {
            scene.request.query = Some("s=/notify/index".to_owned());
        }
        with_form(scene, text)
    }),
    Damage::first("url_changed", "a prefix before the path", |scene| with_path(scene, |path| format!("/api{path}"))),
    Damage::first("url_changed", "a slash behind the path", |scene| with_path(scene, |path| format!("{path}/"))),
    Damage::first("url_changed", "http in the configuration", |scene| {
        with_url(scene, |url| url.strip_prefix("https://").map(|rest| format!("http://{rest}")))
    }),
    Damage::first("url_changed", "a slash behind the configured URL", |scene| {
        with_url(scene, |url| Some(format!("{url}/")))
    }),
    Damage::first("url_changed", "a port in the configuration", |scene| {
        with_url(scene, |url| {
            let rest = url.strip_prefix("https://")?;
            let (host, path) = rest.split_once('/')?;
            Some(format!("https://{host}:443/{path}"))
        })
    }),
    Damage::first("probe", "a deliberately wrong signature", |scene| {
        let name = signature_header(&scene)?;
        let value = scene.request.headers.get(&name)?.to_str().ok()?.to_owned();
        let probe = format!("WECHATPAY/SIGNTEST/{value}");
        let scene = scene.with_header(name.as_str(), probe.as_bytes())?;
        let is_known = matches!(scene.diagnose()?.outcome, Outcome::Refused(Rejection::Probe));
        is_known.then_some(scene)
    }),
];

/// Headers that are the platform's own.
fn own_headers(scene: &Scene<'_>) -> Option<Vec<HeaderName>> {
    let usual = ["content-type", "user-agent", "content-length", "host"];
    let names = scene.request.headers.keys().filter(|name| !usual.contains(&name.as_str()));
    let names: Vec<HeaderName> = names.cloned().collect();
    (!names.is_empty()).then_some(names)
}

/// The header that carries the signature: the one without which the request is refused, and the last that is long.
pub(super) fn signature_header(scene: &Scene<'_>) -> Option<HeaderName> {
    use tollbell_channels::simulate::Cover;
    let (Cover::BodyAndHeaders { signature: name, .. }
    | Cover::BodyAndWritten { signature: name, .. }
    | Cover::BodyAndStamp { signature: name }
    | Cover::Asked { header: Some(name), .. }) = scene.genuine.cover
    else {
        return None;
    };
    HeaderName::from_bytes(name.as_bytes()).ok()
}

#[expect(clippy::unnecessary_wraps, reason = "what does a damage may have nothing to do")]
fn with_method(mut scene: Scene<'_>, method: Method) -> Option<Scene<'_>> {
    scene.request.method = method;
    Some(scene)
}

fn media_type<'s>(scene: Scene<'s>, media_type: &str) -> Option<Scene<'s>> {
    (!scene.request.body.is_empty()).then_some(())?;
    scene.with_header("content-type", media_type.as_bytes())
}

fn renamed(mut scene: Scene<'_>, rename: impl Fn(&str) -> String) -> Option<Scene<'_>> {
    for name in own_headers(&scene)? {
        let value = scene.request.headers.remove(&name)?;
        let other = HeaderName::from_bytes(rename(name.as_str()).as_bytes()).ok()?;
        scene.request.headers.insert(other, value);
    }
    // Names without a hyphen are what they were.
    (scene.request.headers != scene.genuine.request.headers).then_some(scene)
}

fn joined<'s>(mut scene: Scene<'s>, between: &str) -> Option<Scene<'s>> {
    let name = signature_header(&scene)?;
    let value = scene.request.headers.get(&name)?.to_str().ok()?.to_owned();
    let joined = HeaderValue::from_str(&format!("{value}{between}{value}")).ok()?;
    scene.request.headers.insert(name, joined);
    Some(scene)
}

/// The pairs with another before them.
fn mixed(scene: &Scene<'_>, pair: &str) -> Option<Vec<u8>> {
    let text = match Form::of(&scene.request) {
        Form::Form => scene.request.body.to_vec(),
        Form::Query => scene.request.query.clone()?.into_bytes(),
        _ => return None,
    };
    Some([pair.as_bytes(), &text].concat())
}

fn with_path(mut scene: Scene<'_>, change: impl Fn(&str) -> String) -> Option<Scene<'_>> {
    let path = change(&scene.request.path);
    (path != scene.request.path).then_some(())?;
    scene.request.path = path;
    Some(scene)
}

/// With another URL in the settings, where there is one that is not asked anything.
fn with_url(scene: Scene<'_>, change: impl Fn(&str) -> Option<String>) -> Option<Scene<'_>> {
    let settings = scene.settings().clone();
    let mut changed: Option<Settings> = None;
    for (name, value) in settings.values() {
        let SettingValue::Text(text) = value else { continue };
        if text.starts_with("https://") {
            let other = SettingValue::Text(change(text)?);
            changed = Some(settings.clone().with(name, other));
        }
    }
    let others: Vec<Other> = scene.others.clone();
    Some(scene.with_settings(changed?).beside(others))
}
