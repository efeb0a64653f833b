//! Whether a signed text could be other values under the same signature. A text made of several values is cut at
//! the fixed texts between them; whoever may choose a part of one value could else move money from it into the
//! next, without the secret.

use super::message::{BodyForm, Message};
use super::schema::{Signed, Verify};
use super::template::{Part, Place, Reference, Template};
use super::time::{Stamp, Unit};
use crate::json::Json;

/// What a part of a template is to somebody who wants to cut elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Text of the configuration: a place to cut at.
    Separator,
    /// It begins and ends where it does: nothing can be moved into it or out of it.
    Closed,
    /// A whole form: any end of it is a form too, but its own text may hold separators.
    Form,
    /// Any text.
    Free,
}

/// What tells closed values from free ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'v> {
    pub(super) body: BodyForm,
    pub(super) stamp: Option<&'v Stamp>,
}

impl<'v> Shape<'v> {
    pub(super) fn of(body: BodyForm, signed: &'v Signed) -> Self {
        Self { body, stamp: signed.stamp.as_ref() }
    }

    fn kind(&self, part: &Part) -> Kind {
        let reference = match part {
            Part::Value(reference) => reference,
            Part::Literal(_) => return Kind::Separator,
            // Nobody else can write it into a value.
            Part::Secret => return Kind::Closed,
        };
        match reference.place {
            // No end and no beginning of a JSON object or list is one.
            Place::Body if self.body == BodyForm::Json => Kind::Closed,
            Place::Body => Kind::Form,
            // A channel takes one method: it is as fixed as a text of the configuration.
            Place::Method => Kind::Separator,
            _ => Kind::Free,
        }
    }

    /// Whether a value has as many digits as every time within the window: with one more or one less it is none.
    fn has_fixed_width(&self, reference: &Reference) -> bool {
        self.stamp.is_some_and(|stamp| {
            stamp.clock.from.place == reference.place
                && stamp.window.is_some()
                && matches!(stamp.clock.unit, Unit::Seconds | Unit::Millis)
        })
    }

    fn kinds(&self, template: &Template) -> Vec<Kind> {
        let parts = &template.0;
        let is_value = |at: Option<usize>| matches!(at.and_then(|at| parts.get(at)), Some(Part::Value(_)));
        let kind = |(at, part): (usize, &Part)| match part {
            Part::Value(reference)
                if self.has_fixed_width(reference) && (is_value(at.checked_sub(1)) || is_value(Some(at + 1))) =>
            {
                Kind::Closed
            }
            part => self.kind(part),
        };
        parts.iter().enumerate().map(kind).collect()
    }
}

impl Verify {
    /// Whether the signed text of a message could be other values under the same signature, as far as is seen of it. What
    /// a platform that is asked signs may be joined without anything between.
    pub(super) fn is_cut_elsewhere(&self, message: &Message<'_>) -> bool {
        let Some(signed) = self.signed() else { return false };
        let shape = Shape::of(self.body, signed);
        signed.templates.iter().filter(|template| template.is_cut()).any(|template| {
            template.joined(shape).is_some()
                || template.around(shape).is_some()
                || template.movable(shape, &template.values(message, None)).is_some()
        })
    }
}

impl Template {
    /// The parts as they stand in the text.
    pub(super) fn values(&self, message: &Message<'_>, item: Option<&Json>) -> Vec<Vec<u8>> {
        let value = |part: &Part| match part {
            Part::Literal(literal) => literal.as_bytes().to_vec(),
            Part::Value(reference) => message.get(reference, item).ok().flatten().unwrap_or_default().into_owned(),
            Part::Secret => Vec::new(),
        };
        self.0.iter().map(value).collect()
    }

    /// Two values that nothing separates.
    pub(super) fn joined(&self, shape: Shape<'_>) -> Option<(&Reference, &Reference)> {
        let kinds = shape.kinds(self);
        let is_open = |kind: Kind| matches!(kind, Kind::Free | Kind::Form);
        self.0.windows(2).zip(kinds.windows(2)).find_map(|(parts, kinds)| match parts {
            [Part::Value(first), Part::Value(second)] if kinds.iter().copied().all(is_open) => Some((first, second)),
            _ => None,
        })
    }

    /// Two free values around one that does not hold its place against both. A body of JSON is found from where it begins
    /// or from where it ends, and between two values of anybody's, neither is known; a method that stands bare between
    /// two values may be a part of either. A time of fixed width that touches a value is found by its width, which says
    /// where it ends only to whom it is known where it begins.
    pub(super) fn around(&self, shape: Shape<'_>) -> Option<(&Reference, &Reference)> {
        let free = |part: &Part| {
            let Part::Value(reference) = part else { return false };
            matches!(shape.kind(part), Kind::Free | Kind::Form) && !shape.has_fixed_width(reference)
        };
        let find = |(at, part): (usize, &Part)| {
            let Part::Value(reference) = part else { return None };
            let (before, behind) = (&self.0[..at], &self.0[at + 1..]);
            let is_value = |part: Option<&Part>| matches!(part, Some(Part::Value(_)));
            let is_bare_time =
                shape.has_fixed_width(reference) && (is_value(before.last()) || is_value(behind.first()));
            let first = if is_bare_time || reference.place == Place::Body && shape.kind(part) == Kind::Closed {
                before.iter().rfind(|part| free(part))?
            } else if reference.place == Place::Method {
                before.last().filter(|part| free(part))?
            } else {
                return None;
            };
            let second = match reference.place {
                Place::Body => behind.iter().find(|part| free(part))?,
                _ if is_bare_time => behind.iter().find(|part| free(part))?,
                _ => behind.first().filter(|part| free(part))?,
            };
            match (first, second) {
                (Part::Value(first), Part::Value(second)) => Some((first, second)),
                _ => None,
            }
        };
        self.0.iter().enumerate().find_map(find)
    }

    /// Whether values stand before the body, and behind it.
    fn sides(&self) -> (bool, bool) {
        let is_value = |part: &Part| matches!(part, Part::Value(_));
        let is_body = |part: &Part| matches!(part, Part::Value(reference) if reference.place == Place::Body);
        match (self.0.iter().position(is_body), self.0.iter().rposition(is_body)) {
            (Some(first), Some(last)) => {
                (self.0[..first].iter().any(is_value), self.0[last + 1..].iter().any(is_value))
            }
            _ => (false, false),
        }
    }

    /// Whether values stand before the body of one and behind that of the other: what one begins with, the other may
    /// end with.
    pub(super) fn is_mirrored(&self, other: &Self) -> bool {
        let (own, theirs) = (self.sides(), other.sides());
        (own.0 && theirs.1) || (own.1 && theirs.0)
    }

    /// Whether anybody's value stands beside the body: no time of fixed width.
    pub(super) fn has_free(&self, shape: Shape<'_>) -> bool {
        self.references().any(|reference| reference.place != Place::Body && !shape.has_fixed_width(reference))
    }

    /// The template without blanks and line ends before and behind everything: with or without them, a text says the same.
    pub(super) fn without_ends(&self) -> Self {
        let mut parts = self.0.clone();
        if let Some(Part::Literal(first)) = parts.first_mut() {
            *first = first.trim_start().to_owned();
        }
        if let Some(Part::Literal(last)) = parts.last_mut() {
            *last = last.trim_end().to_owned();
        }
        parts.retain(|part| !matches!(part, Part::Literal(text) if text.is_empty()));
        Self(parts)
    }

    /// Whether a name could be cut into other values at its fixed texts.
    pub(super) fn is_ambiguous(&self, values: &[Vec<u8>]) -> bool {
        let kind = |part: &Part| if matches!(part, Part::Value(_)) { Kind::Free } else { Kind::Separator };
        let kinds: Vec<Kind> = self.0.iter().map(kind).collect();
        movable(&kinds, values).is_some()
    }

    /// Whether a text of this template is made of several values, so that there is something to cut.
    pub(super) fn is_cut(&self) -> bool {
        self.references().nth(1).is_some()
    }

    /// Whether messages of this template have a body that nothing can be moved into or out of.
    pub(super) fn is_closed(&self, shape: Shape<'_>) -> bool {
        shape.body == BodyForm::Json && self.references().any(|reference| reference.place == Place::Body)
    }

    /// The first value that could end elsewhere: the same text, cut at another place where the text between two
    /// values stands. `values` are the parts as they stand in the text.
    pub(super) fn movable(&self, shape: Shape<'_>, values: &[Vec<u8>]) -> Option<&Reference> {
        let kinds = shape.kinds(self);
        let mut start = 0;
        let mut found = None;
        for end in 0..=kinds.len() {
            if end < kinds.len() && kinds[end] != Kind::Closed {
                continue;
            }
            found = found.or_else(|| movable(&kinds[start..end], &values[start..end]).map(|at| start + at));
            start = end + 1;
        }
        match self.0.get(found?) {
            Some(Part::Value(reference)) => Some(reference),
            _ => None,
        }
    }
}

/// The first value of a run that could end elsewhere. Fixed texts side by side are one.
fn movable(kinds: &[Kind], values: &[Vec<u8>]) -> Option<usize> {
    let mut places: Vec<usize> = Vec::new();
    let mut merged: Vec<(Kind, Vec<u8>)> = Vec::new();
    for (at, (kind, value)) in kinds.iter().zip(values).enumerate() {
        match merged.last_mut() {
            Some((Kind::Separator, text)) if *kind == Kind::Separator => text.extend_from_slice(value),
            _ => {
                places.push(at);
                merged.push((*kind, value.clone()));
            }
        }
    }
    let (kinds, values): (Vec<Kind>, Vec<Vec<u8>>) = merged.into_iter().unzip();
    movable_apart(&kinds, &values).and_then(|at| places.get(at).copied())
}

/// The same where no two fixed texts stand side by side. The first cut that is possible for each separator, and the last:
/// where both are ours, there is no other.
fn movable_apart(kinds: &[Kind], values: &[Vec<u8>]) -> Option<usize> {
    let text = values.concat();
    let starts: Vec<usize> = values
        .iter()
        .scan(0, |at, value| {
            let start = *at;
            *at += value.len();
            Some(start)
        })
        .collect();
    // Those at the ends cannot stand elsewhere.
    let inner: Vec<usize> = (1..kinds.len().saturating_sub(1)).filter(|at| kinds[*at] == Kind::Separator).collect();
    let form = kinds.iter().position(|kind| *kind == Kind::Form);
    let from = if kinds.first() == Some(&Kind::Separator) { values[0].len() } else { 0 };
    let to =
        if kinds.len() > 1 && kinds.last() == Some(&Kind::Separator) { starts[kinds.len() - 1] } else { text.len() };
    let mut moved: Option<usize> = None;
    let mut at = from;
    for index in inner.iter().copied().filter(|index| form.is_none_or(|form| *index < form)) {
        let needle = &values[index];
        let first = text[at..].windows(needle.len()).position(|window| window == needle).map(|found| at + found);
        if first != Some(starts[index]) {
            moved = Some(index - 1);
            break;
        }
        at = starts[index] + needle.len();
    }
    let mut at = to;
    for index in inner.iter().rev().copied().filter(|index| form.is_none_or(|form| *index > form)) {
        let needle = &values[index];
        let last = text[..at].windows(needle.len()).rposition(|window| window == needle);
        if last != Some(starts[index]) {
            moved = Some(moved.map_or(index - 1, |first| first.min(index - 1)));
        }
        at = starts[index];
    }
    moved
}
