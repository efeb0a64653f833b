//! Members of a JSON object that are not the platform's: frameworks put a URL's parameters among those of the body.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::channel::{Rejection, quote};
use crate::explain::{Case, Otherwise, Undo};
use crate::form::{Form, Limits};
use crate::json::Members;
use crate::model::RawRequest;

/// Most members of an object that are looked at.
const MEMBERS_MAX: usize = 256;

/// What is read of a query.
const LIMITS: Limits = Limits { bytes_max: 16 * 1024, pairs_max: 64 };

/// A member, and where its value ends in the body.
struct Member<'b> {
    name: String,
    value: &'b RawValue,
    ends: usize,
}

/// The object without the members that stand in the query, too; where there is no such trace, without its first or last
/// one that is a text.
pub(super) fn without_strangers(case: &Case<'_>) -> Vec<Undo> {
    let Some(members) = members(&case.request.body) else { return Vec::new() };
    let query = case.request.query.as_deref().unwrap_or_default();
    let query = Form::parse(query.as_bytes(), LIMITS).unwrap_or_default();
    let is_text = |member: &Member<'_>| member.value.get().starts_with('"');
    let is_in_query = |member: &Member<'_>| {
        let text = serde_json::from_str::<String>(member.value.get()).unwrap_or_else(|_| member.value.get().to_owned());
        query.pairs().iter().any(|pair| *pair.name == *member.name.as_bytes() && *pair.value == *text.as_bytes())
    };
    let strangers: Vec<usize> = (0..members.len()).filter(|at| is_in_query(&members[*at])).collect();
    if !strangers.is_empty() && strangers.len() < members.len() {
        return vec![undo(case, &members, &strangers, true)];
    }
    if !matches!(case.rejection(), Some(Rejection::Signature)) || members.len() < 2 {
        return Vec::new();
    }
    let edges = [members.len() - 1, 0].into_iter().filter(|at| is_text(&members[*at]));
    edges.map(|at| undo(case, &members, &[at], false)).collect()
}

/// The members of a body that is an object.
fn members(body: &[u8]) -> Option<Vec<Member<'_>>> {
    let text = std::str::from_utf8(body).ok()?;
    let Members::<MEMBERS_MAX>(members) = serde_json::from_str(text).ok()?;
    let begins = text.as_ptr().addr();
    members
        .into_iter()
        .map(|(name, value)| {
            let ends = value.get().as_ptr().addr().checked_sub(begins)? + value.get().len();
            Some(Member { name, value, ends })
        })
        .collect()
}

fn undo(case: &Case<'_>, members: &[Member<'_>], left_out: &[usize], is_traced: bool) -> Undo {
    let body = Bytes::from(without(&case.request.body, members, left_out));
    let names: Vec<String> = left_out.iter().map(|at| quote(&members[*at].name)).collect();
    let request = RawRequest { body, ..case.request.clone() };
    Undo { otherwise: Otherwise::Request(request), facts: vec![("parameter", names.join(", "))], is_traced }
}

/// The object without some of its members, every other byte as it came.
fn without(body: &[u8], members: &[Member<'_>], left_out: &[usize]) -> Vec<u8> {
    let Some(open) = memchr::memchr(b'{', body) else { return body.to_vec() };
    let mut kept = body[..=open].to_vec();
    let mut from = open + 1;
    let mut is_first = true;
    for (at, member) in members.iter().enumerate() {
        let piece = &body[from..member.ends];
        from = member.ends;
        if left_out.contains(&at) {
            continue;
        }
        // What comes first now has no comma before it.
        let comma = memchr::memchr(b',', piece).filter(|comma| piece[..*comma].trim_ascii().is_empty());
        match comma.filter(|_| is_first) {
            Some(comma) => kept.extend_from_slice(&piece[comma + 1..]),
            None => kept.extend_from_slice(piece),
        }
        is_first = false;
    }
    kept.extend_from_slice(&body[from..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_as_it_came() {
        let body = br#" {"a" : "1,2" ,"b":{"c":[1,2]}, "d":3 } "#;
        let members = members(body).unwrap();
        let left = |left_out: &[usize]| String::from_utf8(without(body, &members, left_out)).unwrap();
        assert_eq!(left(&[]).as_bytes(), body);
        assert_eq!(left(&[0]), r#" {"b":{"c":[1,2]}, "d":3 } "#);
        assert_eq!(left(&[1]), r#" {"a" : "1,2", "d":3 } "#);
        assert_eq!(left(&[2]), r#" {"a" : "1,2" ,"b":{"c":[1,2]} } "#);
        assert_eq!(left(&[0, 1]), r#" { "d":3 } "#);
        assert!(super::members(b"[1]").is_none() && super::members(b"{").is_none());
    }
}
