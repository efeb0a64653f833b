//! What a signature covers in a request, and the request with another signature or none.

use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Carrier, Cover, Covered, Genuine, PairCover, Written};

use super::pairs::{Pair, Paired, read, says_the_same};
use super::world::with_header;
use super::{form, written};

/// Whether the genuine signature is one over this request as well.
pub(crate) fn is_covered_alike(genuine: &Genuine, request: &RawRequest) -> bool {
    let original = &genuine.request;
    let has_header = |name: &str| request.headers.get_all(name).iter().eq(original.headers.get_all(name).iter());
    match &genuine.cover {
        Cover::Pairs(cover) => says_the_same(&read(original, cover.carrier), &read(request, cover.carrier), cover),
        Cover::BodyAndHeaders { headers, .. } => {
            request.body == original.body && headers.iter().all(|name| has_header(name))
        }
        Cover::BodyAndQuery { signature } => {
            let values = |request: &RawRequest| -> Vec<Vec<u8>> {
                let pairs = query(request).into_iter().filter(|pair| pair.is_called(signature));
                pairs.map(|pair| pair.value).collect()
            };
            request.body == original.body && values(request) == values(original)
        }
        Cover::BodyAndStamp { signature } => request.body == original.body && has_header(signature),
        Cover::BodyAndWritten { headers, signature, written } => {
            let own = signature_of(genuine);
            request.body == original.body
                && headers.iter().all(|name| has_header(name))
                && signatures(request, signature, *written).contains(&own)
        }
        Cover::Asked { pairs, header } => {
            says_the_same(&read(original, pairs.carrier), &read(request, pairs.carrier), pairs)
                && header.iter().all(|name| has_header(name))
        }
    }
}

/// Where the message stands: in the body, unless its pairs stand in the query.
pub(crate) fn carrier(genuine: &Genuine) -> Carrier {
    match genuine.cover {
        Cover::Pairs(cover) | Cover::Asked { pairs: cover, .. } => cover.carrier,
        Cover::BodyAndHeaders { .. }
        | Cover::BodyAndWritten { .. }
        | Cover::BodyAndQuery { .. }
        | Cover::BodyAndStamp { .. } => Carrier::Form,
    }
}

/// Whether a covered value carries its own proof, or is asked about, so that there is no signature beside it.
pub(crate) fn is_sealed(genuine: &Genuine) -> bool {
    matches!(
        genuine.cover,
        Cover::Pairs(PairCover { signature: None, .. })
            | Cover::Asked { pairs: PairCover { signature: None, .. }, header: None }
    )
}

/// Whether the answer to a question is the proof, and a message without more than the number may be whole.
pub(crate) fn is_asked(genuine: &Genuine) -> bool {
    matches!(genuine.cover, Cover::Asked { .. })
}

/// The pair that proves: the signature, or what is sealed.
pub(crate) fn proving_pair(cover: &PairCover) -> &'static str {
    match (cover.signature, cover.covered) {
        (Some(signature), _) => signature,
        (None, Covered::Each(names)) => names.first().expect("a sealed value"),
        (None, Covered::Joined { .. }) => panic!("pairs are joined for a signature, and there is none"),
    }
}

/// The signature; the sealed value where that is one.
pub(crate) fn signature_of(genuine: &Genuine) -> Vec<u8> {
    let value = |pairs: Vec<Pair>, name: &str| {
        pairs.into_iter().find(|pair| pair.is_called(name)).unwrap_or_else(|| panic!("no `{name}`")).value
    };
    match &genuine.cover {
        Cover::Pairs(cover) | Cover::Asked { pairs: cover, header: None } => {
            value(read(&genuine.request, cover.carrier), proving_pair(cover))
        }
        Cover::BodyAndQuery { signature } => value(query(&genuine.request), signature),
        Cover::BodyAndHeaders { signature, .. }
        | Cover::BodyAndStamp { signature }
        | Cover::Asked { header: Some(signature), .. } => {
            genuine.request.headers.get(*signature).expect("a signature").as_bytes().to_vec()
        }
        Cover::BodyAndWritten { signature, written, .. } => {
            signatures(&genuine.request, signature, *written).into_iter().next().unwrap_or_default()
        }
    }
}

/// The signatures in a header, as leniently as any reader would find them.
fn signatures(request: &RawRequest, header: &str, written: Written) -> Vec<Vec<u8>> {
    let text = request.headers.get(header).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    written::entries(&text, written).into_iter().filter_map(|entry| written::signature(&entry, written)).collect()
}

pub(crate) fn with_signature(genuine: &Genuine, forgery: &[u8]) -> RawRequest {
    changed(genuine, Some(forgery))
}

pub(crate) fn without_signature(genuine: &Genuine) -> RawRequest {
    changed(genuine, None)
}

fn changed(genuine: &Genuine, signature: Option<&[u8]>) -> RawRequest {
    let change = |pairs: &mut Vec<Pair>, name: &str| match signature {
        Some(forgery) => {
            pairs.iter_mut().filter(|pair| pair.is_called(name)).for_each(|pair| pair.value = forgery.to_vec());
        }
        None => pairs.retain(|pair| !pair.is_called(name)),
    };
    match &genuine.cover {
        Cover::Pairs(cover) | Cover::Asked { pairs: cover, header: None } => {
            let mut paired = Paired::of(genuine).expect("covered pairs");
            change(&mut paired.pairs, proving_pair(cover));
            paired.with(&paired.pairs)
        }
        Cover::BodyAndQuery { signature: name } => {
            let mut pairs = query(&genuine.request);
            change(&mut pairs, name);
            with_query(&genuine.request, &pairs)
        }
        Cover::BodyAndWritten { signature: name, written, .. } => {
            if let Some(forgery) = signature {
                return with_header(&genuine.request, name, &written::header(&[forgery.to_vec()], *written));
            }
            let mut request = genuine.request.clone();
            request.headers.remove(*name);
            request
        }
        Cover::BodyAndHeaders { signature: name, .. }
        | Cover::BodyAndStamp { signature: name }
        | Cover::Asked { header: Some(name), .. } => {
            if let Some(forgery) = signature {
                return with_header(&genuine.request, name, forgery);
            }
            let mut request = genuine.request.clone();
            request.headers.remove(*name);
            request
        }
    }
}

/// The pairs of the URL's query.
pub(crate) fn query(request: &RawRequest) -> Vec<Pair> {
    read(request, Carrier::Query)
}

/// The same request with another query.
pub(crate) fn with_query(request: &RawRequest, pairs: &[Pair]) -> RawRequest {
    let query = String::from_utf8(form::write(pairs, form::Style::Usual)).expect("the usual style is ASCII");
    RawRequest { query: Some(query), ..request.clone() }
}
