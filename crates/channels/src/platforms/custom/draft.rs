//! Messages in the making: what stands at a place is put there.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::message::BodyForm;
use super::schema::Verify;
use super::template::{Place, Reference};
use crate::form;
#[cfg(any(test, feature = "simulate"))]
use crate::json::Json;
use crate::json::list_index;
use crate::model::{RawRequest, Timestamp};

/// Longest list that a pointer may ask for.
const LIST_MAX: usize = 16;

/// The usual path of a made message.
const PATH: &str = "/notify/custom";

/// A request in the making.
#[derive(Default)]
pub(super) struct Draft {
    /// The path of the notify URL; none for the usual one.
    path: Option<String>,
    pub(super) json: Doc,
    pub(super) item: Doc,
    /// What the platform will answer.
    pub(super) answer: Doc,
    headers: Vec<(HeaderName, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) form: Vec<(String, String)>,
    pub(super) sig: Vec<(String, String)>,
}

impl Draft {
    /// A request to a path; none for the usual one.
    #[cfg(feature = "simulate")]
    pub(super) fn at(path: Option<String>) -> Self {
        Self { path, ..Self::default() }
    }

    /// Puts a value at its place.
    pub(super) fn set(&mut self, reference: &Reference, value: Doc) {
        let text = value.plain();
        let put = |pairs: &mut Vec<(String, String)>, name: &str| {
            pairs.retain(|(other, _)| other != name);
            pairs.push((name.to_owned(), text.clone()));
        };
        match &reference.place {
            Place::Json(pointer) => self.json.set(pointer.names(), value),
            Place::Item(pointer) => self.item.set(pointer.names(), value),
            Place::Header(name) => {
                self.headers.retain(|(other, _)| other != name);
                self.headers.push((name.clone(), text));
            }
            Place::Query(name) => put(&mut self.query, name),
            Place::Form(name) => put(&mut self.form, name),
            Place::Sig(name) => put(&mut self.sig, name),
            Place::Answer(pointer) => self.answer.set(pointer.names(), value),
            Place::Body | Place::BodyCrc32 | Place::Method | Place::Path => {}
        }
    }

    /// Whether something stands there, or stands there always.
    #[cfg(feature = "simulate")]
    pub(super) fn has(&self, reference: &Reference) -> bool {
        match &reference.place {
            Place::Header(name) => self.headers.iter().any(|(other, _)| other == name),
            Place::Query(name) => self.query.iter().any(|(other, _)| other == name),
            Place::Form(name) => self.form.iter().any(|(other, _)| other == name),
            Place::Sig(name) => self.sig.iter().any(|(other, _)| other == name),
            // The others are always there, or empty text where they are not.
            _ => true,
        }
    }

    /// Whether something was put there.
    #[cfg(feature = "simulate")]
    pub(super) fn has_value(&self, reference: &Reference) -> bool {
        match &reference.place {
            Place::Json(pointer) => self.json.has(pointer.names()),
            Place::Item(pointer) => self.item.has(pointer.names()),
            Place::Answer(pointer) => self.answer.has(pointer.names()),
            _ => self.has(reference),
        }
    }

    /// The request.
    pub(super) fn request(&self, verify: &Verify, at: Timestamp) -> RawRequest {
        let pairs = |pairs: &[(String, String)]| {
            form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
        };
        let (body, media) = match verify.body {
            BodyForm::Json => (self.body(verify).to_text().into_bytes(), Some("application/json")),
            BodyForm::Form => (pairs(&self.form), Some("application/x-www-form-urlencoded")),
            BodyForm::Query => (Vec::new(), None),
        };
        let media = verify.media_types.first().map(String::as_str).or(media);
        let mut headers = HeaderMap::new();
        let own = self.headers.iter().map(|(name, value)| (name.clone(), value.as_str()));
        for (name, value) in own.chain(media.map(|media| (CONTENT_TYPE, media))) {
            // A value that no header can hold is left out, and the callback is refused as it deserves.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let query = pairs(&self.query);
        RawRequest {
            method: verify.method.clone(),
            path: self.path.clone().unwrap_or_else(|| PATH.into()),
            query: (!query.is_empty()).then(|| String::from_utf8_lossy(&query).into_owned()),
            headers,
            body: Bytes::from(body),
            source: None,
            received_at: at,
        }
    }

    /// The body, with its item in its list.
    fn body(&self, verify: &Verify) -> Doc {
        let mut json = self.json.clone();
        if let Some(items) = &verify.items {
            let mut item = Doc::Null;
            item.set(items.unwrap.names(), self.item.clone());
            if let Place::Json(pointer) = &items.from.place {
                json.set(pointer.names(), Doc::List(vec![item]));
            }
        }
        // A message of which nothing in the body says anything is an object all the same.
        if matches!(json, Doc::Null) { Doc::Object(Vec::new()) } else { json }
    }
}

/// JSON in the making, with numbers as they shall be written.
#[derive(Clone, Default)]
pub(super) enum Doc {
    #[default]
    Null,
    #[cfg_attr(not(any(test, feature = "simulate")), expect(dead_code, reason = "only the other side writes numbers"))]
    Raw(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Doc {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A number or flag as JSON has it, anything else as a text.
    #[cfg(any(test, feature = "simulate"))]
    pub(super) fn bare(text: &str) -> Self {
        let is_plain = matches!(Json::parse(text.as_bytes()), Ok(Json::Number(_) | Json::Flag(_)));
        if is_plain { Self::Raw(text.to_owned()) } else { Self::text(text) }
    }

    /// The value where there are no types.
    fn plain(&self) -> String {
        match self {
            Self::Raw(text) | Self::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    /// Whether something stands at a path.
    #[cfg(feature = "simulate")]
    fn has(&self, names: &[String]) -> bool {
        let Some((name, rest)) = names.split_first() else { return !matches!(self, Self::Null) };
        match self {
            Self::Object(members) => members.iter().any(|(member, value)| member == name && value.has(rest)),
            Self::List(items) => list_index(name).and_then(|at| items.get(at)).is_some_and(|value| value.has(rest)),
            _ => false,
        }
    }

    /// Puts a value at a path and makes the way there.
    pub(super) fn set(&mut self, names: &[String], value: Self) {
        let Some((name, rest)) = names.split_first() else {
            *self = value;
            return;
        };
        let index = list_index(name).filter(|index| *index < LIST_MAX && !matches!(self, Self::Object(_)));
        if let Some(index) = index {
            if !matches!(self, Self::List(_)) {
                *self = Self::List(Vec::new());
            }
            if let Self::List(items) = self {
                if items.len() <= index {
                    items.resize(index + 1, Self::Null);
                }
                items[index].set(rest, value);
            }
            return;
        }
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Vec::new());
        }
        if let Self::Object(members) = self {
            let at = members.iter().position(|(member, _)| member == name).unwrap_or(members.len());
            if at == members.len() {
                members.push((name.clone(), Self::Null));
            }
            members[at].1.set(rest, value);
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        self.push(&mut text);
        text
    }

    fn push(&self, text: &mut String) {
        let mut list = |open: char, close: char, pieces: &[(Option<&str>, &Self)]| {
            text.push(open);
            for (at, (name, value)) in pieces.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                if let Some(name) = name {
                    text.push_str(&quoted(name));
                    text.push(':');
                }
                value.push(text);
            }
            text.push(close);
        };
        match self {
            Self::Null => text.push_str("null"),
            Self::Raw(raw) => text.push_str(raw),
            Self::Text(own) => text.push_str(&quoted(own)),
            Self::List(items) => list('[', ']', &items.iter().map(|item| (None, item)).collect::<Vec<_>>()),
            Self::Object(members) => {
                let pieces: Vec<_> = members.iter().map(|(name, value)| (Some(name.as_str()), value)).collect();
                list('{', '}', &pieces);
            }
        }
    }
}

/// A text as JSON writes it.
pub(super) fn quoted(text: &str) -> Cow<'static, str> {
    serde_json::to_string(text).map_or(Cow::Borrowed("\"\""), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Pointer;

    #[test]
    fn values_find_their_way() {
        let mut doc = Doc::Null;
        let mut set = |pointer: &str, value: Doc| {
            let pointer = Pointer::parse(pointer).unwrap();
            doc.set(pointer.names(), value);
        };
        set("/a/1/b", Doc::bare("12.50"));
        set("/a/1/c", Doc::bare("x"));
        set("/d", Doc::bare("true"));
        assert_eq!(doc.to_text(), r#"{"a":[null,{"b":12.50,"c":"x"}],"d":true}"#);
    }
}
