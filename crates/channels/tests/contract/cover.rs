//! What a signature covers in a request, and the request with another signature or none.

use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Carrier, Cover, Covered, Genuine, PairCover};

use super::form;
use super::pairs::{Pair, Paired, read, says_the_same};
use super::world::with_header;

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
    }
}

/// Where the message stands: in the body, unless its pairs stand in the query.
pub(crate) fn carrier(genuine: &Genuine) -> Carrier {
    match genuine.cover {
        Cover::Pairs(cover) => cover.carrier,
        Cover::BodyAndHeaders { .. } | Cover::BodyAndQuery { .. } | Cover::BodyAndStamp { .. } => Carrier::Form,
    }
}

/// Whether a covered value carries its own proof, so that there is no signature beside it.
pub(crate) fn is_sealed(genuine: &Genuine) -> bool {
    matches!(genuine.cover, Cover::Pairs(PairCover { signature: None, .. }))
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
        Cover::Pairs(cover) => value(read(&genuine.request, cover.carrier), proving_pair(cover)),
        Cover::BodyAndQuery { signature } => value(query(&genuine.request), signature),
        Cover::BodyAndHeaders { signature, .. } | Cover::BodyAndStamp { signature } => {
            genuine.request.headers.get(*signature).expect("a signature").as_bytes().to_vec()
        }
    }
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
        Cover::Pairs(cover) => {
            let mut paired = Paired::of(genuine).expect("covered pairs");
            change(&mut paired.pairs, proving_pair(cover));
            paired.with(&paired.pairs)
        }
        Cover::BodyAndQuery { signature: name } => {
            let mut pairs = query(&genuine.request);
            change(&mut pairs, name);
            with_query(&genuine.request, &pairs)
        }
        Cover::BodyAndHeaders { signature: name, .. } | Cover::BodyAndStamp { signature: name } => {
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
