//! Ids as merchants configure them; those of the third generation, too.

/// Most digits of a merchant's number; real ones have 8 to 10.
const MERCHANT_DIGITS_MAX: usize = 32;

/// Longest application id; real ones have 9 to 18 characters.
const APP_ID_CHARS_MAX: usize = 32;

/// Whether a text could be a merchant's number.
pub(in crate::platforms) fn is_merchant(text: &str) -> bool {
    !text.is_empty() && text.len() <= MERCHANT_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text could be an application id.
pub(in crate::platforms) fn is_app_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= APP_ID_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
