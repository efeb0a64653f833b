//! What a probe offers, each request once.

use super::values::{self, Kind, Rewritten, Value, with_body};
use crate::explain::{Case, Facts, Otherwise, Undo};
use crate::model::RawRequest;

/// Collects what may undo a mistake. A request that is the one that came, or was offered before, is left out.
pub(super) struct Tries<'c, 'k> {
    case: &'c Case<'k>,
    undone: Vec<Undo>,
    seen: Vec<RawRequest>,
}

impl<'c, 'k> Tries<'c, 'k> {
    pub(super) fn new(case: &'c Case<'k>) -> Self {
        Self { case, undone: Vec::new(), seen: vec![case.request.clone()] }
    }

    /// What was collected, in the order in which it came.
    pub(super) fn undone(self) -> Vec<Undo> {
        self.undone
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.undone.len()
    }

    /// Offers a request.
    pub(super) fn push(&mut self, is_traced: bool, facts: Facts, request: RawRequest) {
        let is_same = |other: &RawRequest| {
            other.body == request.body && other.query == request.query && other.headers == request.headers
        };
        if !self.seen.iter().any(is_same) {
            self.seen.push(request.clone());
            self.undone.push(Undo { otherwise: Otherwise::Request(request), facts, is_traced });
        }
    }

    /// Offers the request with other values; the fact `field` names them.
    pub(super) fn values(
        &mut self,
        is_traced: bool,
        facts: &[(&'static str, String)],
        change: impl FnMut(&Value<'_>) -> Option<Vec<u8>>,
    ) {
        let rewritten = values::rewritten(self.case, change);
        self.rewritten(is_traced, facts, rewritten);
    }

    /// Offers the request with other headers; the fact `field` names them.
    pub(super) fn headers(
        &mut self,
        is_traced: bool,
        facts: &[(&'static str, String)],
        change: impl Fn(&str) -> Option<String>,
    ) {
        if self.case.kept.has_head {
            self.rewritten(is_traced, facts, values::with_headers(self.case, change));
        }
    }

    fn rewritten(&mut self, is_traced: bool, facts: &[(&'static str, String)], rewritten: Option<Rewritten>) {
        let Some(rewritten) = rewritten else { return };
        let mut facts = facts.to_vec();
        facts.push(("field", rewritten.names()));
        self.push(is_traced, facts, rewritten.request);
    }

    /// Offers the request with another body, where its bytes were kept.
    pub(super) fn body(
        &mut self,
        is_traced: bool,
        facts: &[(&'static str, String)],
        change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) {
        let body = &self.case.request.body;
        if self.case.kept.has_bytes
            && body.len() <= values::BODY_BYTES_MAX
            && let Some(changed) = change(body)
        {
            self.push(is_traced, facts.to_vec(), with_body(&self.case.request, changed));
        }
    }

    /// Offers the request with another query.
    pub(super) fn query(
        &mut self,
        is_traced: bool,
        facts: &[(&'static str, String)],
        change: impl FnOnce(&[u8]) -> Vec<u8>,
    ) {
        if let Some(query) = &self.case.request.query
            && let Ok(changed) = String::from_utf8(change(query.as_bytes()))
        {
            let request = RawRequest { query: Some(changed), ..self.case.request.clone() };
            self.push(is_traced, facts.to_vec(), request);
        }
    }

    /// Offers the request with its pairs written otherwise: the form in the body, else the query.
    pub(super) fn pairs_as_written(
        &mut self,
        is_traced: bool,
        facts: &[(&'static str, String)],
        change: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) {
        if Kind::of(&self.case.request.body) == Kind::Form {
            self.body(is_traced, facts, &change);
        }
        self.query(is_traced, facts, |query| change(query).unwrap_or_else(|| query.to_vec()));
    }
}
