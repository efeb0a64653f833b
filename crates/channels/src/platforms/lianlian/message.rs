//! The flat fields of a notice, in whatever carries them: a form, or an object of JSON.

use super::{BODY_BYTES_MAX, FIELDS_MAX};
use crate::channel::{Rejection, quote};
use crate::form::Limits;
use crate::json::{Json, JsonError};
use crate::model::RawRequest;
use crate::platforms::outside::{self, FORM, JSON};

/// The names that JSON comes under.
const JSON_TYPES: [&str; 2] = [JSON, "text/json"];

const LIMITS: Limits = Limits { bytes_max: BODY_BYTES_MAX, pairs_max: FIELDS_MAX };

/// The fields of one notice, each name once, in the order of arrival.
pub(super) struct Message {
    fields: Vec<(String, String)>,
    variant: Variant,
}

/// What carried the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    Form,
    Json,
}

impl Message {
    /// Takes a request apart, the cheapest checks first.
    pub(super) fn read(request: &RawRequest) -> Result<Self, Rejection> {
        outside::check_post(request, |found| found == FORM || JSON_TYPES.contains(&found), BODY_BYTES_MAX)?;
        let (media_type, body) = (request.media_type(), &request.body);
        let variant = if media_type == FORM { Variant::Form } else { Variant::Json };
        // One as the other is the commonest mistake of a proxy or a test, and deserves its own word.
        if (variant == Variant::Json) != body.trim_ascii_start().starts_with(b"{") {
            return Err(Rejection::MediaType { media_type: quote(&media_type) });
        }
        let fields = match variant {
            Variant::Form => of_form(body)?,
            Variant::Json => of_json(body)?,
        };
        let message = Self { fields, variant };
        message.check_names()?;
        Ok(message)
    }

    /// The text under the signature joins names without escapes and sorts them without regard to case, so a name holds
    /// nothing that another reader takes for the end of one, and no two differ in case alone.
    fn check_names(&self) -> Result<(), Rejection> {
        let is_plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if let Some((name, _)) = self.fields.iter().find(|(name, _)| !is_plain(name)) {
            return Err(Rejection::Malformed { field: quote(name) });
        }
        let mut names: Vec<String> = self.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Rejection::Duplicate { field: quote(&pair[0]) }),
            None => Ok(()),
        }
    }

    /// A field that the signature covers; none when it is absent, empty or the text `null`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| is_value(value))
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Rejection> {
        self.get(name).filter(|value| !value.trim().is_empty()).ok_or_else(|| Rejection::Missing { field: name.into() })
    }

    /// What the signature covers, in the order of arrival.
    pub(super) fn covered(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(|(name, value)| *name != "sign" && is_value(value))
    }

    /// What carried it.
    pub(super) fn variant(&self) -> Variant {
        self.variant
    }
}

/// What the signature leaves out is no value to anybody.
fn is_value(value: &str) -> bool {
    !matches!(value, "" | "null")
}

fn of_form(body: &[u8]) -> Result<Vec<(String, String)>, Rejection> {
    let form = outside::split(body, LIMITS, "body")?;
    if let Some(name) = form.duplicate() {
        return Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) });
    }
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Rejection::Charset { charset: "utf-8".into() }),
    };
    form.pairs().iter().map(|pair| Ok((text(&pair.name)?, text(&pair.value)?))).collect()
}

fn of_json(body: &[u8]) -> Result<Vec<(String, String)>, Rejection> {
    let members = match Json::parse(body) {
        Ok(Json::Object(members)) => members,
        Err(JsonError::Twice(name)) => return Err(Rejection::Duplicate { field: quote(&name) }),
        Ok(_) | Err(JsonError::Malformed) => return Err(Rejection::Malformed { field: "body".into() }),
    };
    if members.len() > FIELDS_MAX {
        return Err(Rejection::TooManyFields { limit: FIELDS_MAX });
    }
    // A number or a list has no text of its own that could stand in the signed one.
    let member = |(name, value): (String, Json)| match value {
        Json::Text(text) => Ok((name, text)),
        // What is empty is no part of the signed text, however it is written.
        Json::Null => Ok((name, String::new())),
        _ => Err(Rejection::Malformed { field: quote(&name) }),
    };
    members.into_iter().map(member).collect()
}
