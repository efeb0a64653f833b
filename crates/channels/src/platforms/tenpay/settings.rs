//! Ids as merchants configure them.

use crate::channel::quote;
use crate::settings::{Settings, SettingsError};

/// Most digits of a merchant's number; real ones have 8 to 10.
const MERCHANT_DIGITS_MAX: usize = 32;

/// Longest application id; real ones have 9 to 18 characters.
const APP_ID_CHARS_MAX: usize = 32;

/// One id or a list of them; none when the setting is absent.
pub(in crate::platforms) fn ids(
    settings: &Settings,
    name: &'static str,
    count_max: usize,
    is_id: impl Fn(&str) -> bool,
) -> Result<Option<Vec<String>>, SettingsError> {
    let texts: Vec<&str> = match (settings.texts(name), settings.text(name)) {
        (Some(texts), _) => texts.iter().map(|text| text.trim()).collect(),
        (None, Some(text)) => vec![text.trim()],
        (None, None) => return Ok(None),
    };
    if texts.is_empty() {
        return Err(SettingsError::new(name, "empty_list"));
    }
    if texts.len() > count_max {
        return Err(SettingsError::new(name, "out_of_range").because(format!("{} > {count_max}", texts.len())));
    }
    match texts.iter().find(|text| !is_id(text)) {
        Some(bad) => Err(SettingsError::new(name, "malformed_id").because(quote(bad))),
        None => Ok(Some(texts.into_iter().map(str::to_owned).collect())),
    }
}

/// Whether a text could be a merchant's number.
pub(in crate::platforms) fn is_merchant(text: &str) -> bool {
    !text.is_empty() && text.len() <= MERCHANT_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text could be an application id.
pub(in crate::platforms) fn is_app_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= APP_ID_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
