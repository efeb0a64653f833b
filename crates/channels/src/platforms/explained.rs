//! What is said of senders that sign by other rules than a platform: each test signs by itself, with the own key of the
//! platform's other side, and the right finding must be the only one.

mod keyed;
mod public;
mod sm2;

use std::borrow::Cow;

use crate::form::{Form, Limits as FormLimits};
use crate::json::Json;
use crate::model::RawRequest;
use crate::xml::{Flat, Limits as XmlLimits};

/// Most bytes and pairs of a message.
const BYTES_MAX: usize = 64 * 1024;
const PAIRS_MAX: usize = 256;

/// Names and values, decoded, in the order of arrival.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The pairs of a message: of its body, or of the query of one without a body.
fn pairs(request: &RawRequest) -> Pairs {
    let owned = |(name, value): (&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let form = |text: &[u8]| {
        let form = Form::parse(text, FormLimits { bytes_max: BYTES_MAX, pairs_max: PAIRS_MAX }).unwrap();
        let text = |text: &Cow<'_, [u8]>| text.clone().into_owned();
        form.pairs().iter().map(|pair| (text(&pair.name), text(&pair.value))).collect()
    };
    match request.body.first() {
        None => form(request.query.as_deref().unwrap_or_default().as_bytes()),
        Some(b'{') => {
            let Json::Object(members) = Json::parse(&request.body).unwrap() else { panic!("no object") };
            members.iter().filter_map(|(name, value)| value.text().map(|text| owned((name, text)))).collect()
        }
        Some(b'<') => {
            let limits = XmlLimits { bytes_max: BYTES_MAX, fields_max: PAIRS_MAX };
            let flat = Flat::parse(&request.body, limits).unwrap();
            flat.fields().iter().map(|(name, text)| owned((name, text))).collect()
        }
        Some(_) => form(&request.body),
    }
}
