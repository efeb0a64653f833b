//! What a request must be before anything in it is read: its method, the form of its body, its media types.

use http::Method;

use crate::platforms::custom::message::BodyForm;
use crate::settings::SettingsError;
use crate::settings::tree::Keys;

/// Most media types.
const MEDIA_TYPES_MAX: usize = 16;

pub(super) fn method(keys: &Keys<'_>, body: BodyForm) -> Result<Method, SettingsError> {
    type Named = (&'static str, fn() -> Method);
    let known: &[Named] = match body {
        BodyForm::Query => &[("GET", || Method::GET), ("POST", || Method::POST)],
        BodyForm::Json | BodyForm::Form => {
            &[("POST", || Method::POST), ("PUT", || Method::PUT), ("PATCH", || Method::PATCH)]
        }
    };
    keys.get("method").map_or(Ok(known[0].1), |node| node.word(known)).map(|method| method())
}

pub(super) fn body_form(keys: &Keys<'_>) -> Result<BodyForm, SettingsError> {
    let known = [("json", BodyForm::Json), ("form", BodyForm::Form), ("query", BodyForm::Query)];
    keys.get("body").map(|node| node.word(&known)).transpose().map(|body| body.unwrap_or(BodyForm::Json))
}

pub(super) fn media_types(keys: &Keys<'_>, body: BodyForm) -> Result<Vec<String>, SettingsError> {
    let Some(node) = keys.get("content_type") else {
        let usual = match body {
            BodyForm::Json => "application/json",
            BodyForm::Form => "application/x-www-form-urlencoded",
            // There is no body to have a type.
            BodyForm::Query => return Ok(Vec::new()),
        };
        return Ok(vec![usual.to_owned()]);
    };
    if body == BodyForm::Query {
        return Err(node.error("relation").because("body"));
    }
    let mut types = Vec::new();
    for node in node.one_or_many(MEDIA_TYPES_MAX)? {
        let text = node.text()?.to_ascii_lowercase();
        if text == "*" {
            return Ok(Vec::new());
        }
        if !text.contains('/') || text.contains(|c: char| c == ';' || c.is_whitespace()) {
            return Err(node.error("malformed").because("application/json"));
        }
        types.push(text);
    }
    Ok(types)
}
