//! Finding the channel of a request that does not name one: by shape first, then by the merchant's ids.
//! Recognition only chooses whose key is tried; the signature decides.

use crate::channel::{Channel, Likeness, Rejection};
use crate::model::RawRequest;

/// Chooses among candidates, each an id and its channel.
///
/// # Errors
/// [`Rejection::Unrecognised`] when none fits, [`Rejection::UnknownMerchant`] when the protocol is known
/// and the merchant is not, [`Rejection::Ambiguous`] with the ids when several fit equally well.
pub fn recognise<'a, T: Copy>(
    request: &RawRequest,
    candidates: impl IntoIterator<Item = (&'a str, &'a dyn Channel, T)>,
) -> Result<T, Rejection> {
    let mut best = Likeness::No;
    let mut found: Vec<(&str, T)> = Vec::new();
    for (id, channel, handle) in candidates {
        let likeness = channel.recognise(request);
        if likeness == Likeness::No || likeness < best {
            continue;
        }
        if likeness > best {
            best = likeness;
            found.clear();
        }
        found.push((id, handle));
    }
    match (best, found.as_slice()) {
        (Likeness::No, _) => Err(Rejection::Unrecognised),
        (_, [(_, handle)]) => Ok(*handle),
        (Likeness::Shape, _) => Err(Rejection::UnknownMerchant { field: "request".into() }),
        (_, several) => {
            Err(Rejection::Ambiguous { candidates: several.iter().map(|(id, _)| (*id).to_owned()).collect() })
        }
    }
}
