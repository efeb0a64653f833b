//! The query that an application sees: the target's own, what the platform signed in its, and what of the rest is
//! asked for.
//!
//! Each name belongs to one of the three. Readers disagree about which of two pairs counts, and about which names are
//! the same: PHP makes one variable of `a.b`, `a b` and `a_b`, others do not tell capitals from small letters. What
//! any of them could take for a name of the target's own address or of the signed message does not go on.

use percent_encoding::percent_decode;
use tollbell_channels::model::RawRequest;

use crate::targets::Envelope;

/// Most pairs that nobody signed in one query that is handed on. PHP prints a warning about more than a thousand, and
/// an address that a merchant wrote has a handful.
const UNSIGNED_PAIRS_MAX: usize = 100;

/// A name that both the target's own address and the platform's signed message have, as the message writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::targets) struct Taken(pub(in crate::targets) String);

/// Our own query, and the platform's behind it: pairs that its signature covers each as it was written, others only where
/// they are asked for, since anyone could add to them. The latter are left out when the whole would be longer than
/// `bytes_max`, and those that are not plain or that name what is named already.
///
/// # Errors
/// When the own query names what is signed: whichever went on, the application would miss the other.
pub(in crate::targets) fn query(
    envelope: &Envelope,
    request: &RawRequest,
    own: &str,
    is_asked_for: bool,
    bytes_max: usize,
) -> Result<String, Taken> {
    let Some(received) = request.query.as_deref().filter(|query| !query.is_empty()) else { return Ok(own.to_owned()) };
    let signed = (envelope.signed_query)(request).unwrap_or_default();
    if let Some(name) = clash(own, pairs(&signed).map(written_name)) {
        return Err(Taken(name.to_owned()));
    }
    let mut parts: Vec<String> = Vec::new();
    parts.extend((!own.is_empty()).then(|| own.to_owned()));
    parts.extend((!signed.is_empty()).then(|| unambiguous(&signed)));
    if is_asked_for {
        let taken = keys(own.split('&').chain(pairs(&signed)).map(written_name));
        let is_plain = |pair: &str| pair.bytes().all(|b| b.is_ascii_graphic());
        let is_free = |pair: &str| key(written_name(pair)).is_some_and(|key| !taken.contains(&key));
        let rest: Vec<String> =
            pairs(received).filter(|pair| is_plain(pair) && is_free(pair)).map(unambiguous).collect();
        let whole = parts.iter().chain(&rest).map(|part| part.len() + 1).sum::<usize>().saturating_sub(1);
        if rest.len() <= UNSIGNED_PAIRS_MAX && whole <= bytes_max {
            parts.extend(rest);
        }
    }
    Ok(parts.join("&"))
}

/// The first of these names that the query has too, in the eyes of any reader.
pub(in crate::targets) fn clash<'n>(own: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if own.is_empty() {
        return None;
    }
    let taken = keys(own.split('&').map(written_name));
    names.into_iter().find(|name| key(name).is_some_and(|key| taken.contains(&key)))
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

fn written_name(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

fn keys<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Vec<u8>> {
    names.filter_map(key).collect()
}

/// What two names share that some reader takes for one; none for a name that PHP takes for none.
fn key(written: &str) -> Option<Vec<u8>> {
    php_name(written).map(|name| name.to_ascii_lowercase())
}

/// A `;` parts pairs like `&` to some readers, and to others is a letter, as it is to who signed.
fn unambiguous(pairs: &str) -> String {
    pairs.replace(';', "%3B")
}

/// The name of the variable in `$_GET` that PHP makes of a pair whose name is written so; none when it makes none.
///
/// PHP decodes the name, ends it at a NUL, passes over blanks at its beginning, and writes `_` for other blanks and dots. What
/// is behind a `[` is an index of the variable when a `]` follows; else that `[` becomes `_`, as do
/// further ones and what follows them. (`php_register_variable_ex` of PHP 8.)
fn php_name(written: &str) -> Option<Vec<u8>> {
    let spaced: Vec<u8> = written.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    let name: Vec<u8> =
        percent_decode(&spaced).take_while(|byte| *byte != 0).skip_while(|byte| *byte == b' ').collect();
    let bracket = name.iter().position(|byte| *byte == b'[');
    let variable = match bracket {
        Some(0) => return None,
        Some(at) if name[at..].contains(&b']') => &name[..at],
        _ => &name[..],
    };
    let fold = |byte: &u8| if matches!(byte, b' ' | b'.' | b'[') { b'_' } else { *byte };
    (!variable.is_empty()).then(|| variable.iter().map(fold).collect())
}

#[cfg(test)]
mod tests;
