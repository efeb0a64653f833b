//! The query that an application sees: the target's own, what the platform signed in its, and what of the rest is
//! asked for.
//!
//! Each name belongs to one of the three. Readers disagree about which of two pairs counts, and about which names are
//! the same: PHP makes one variable of `a.b`, `a b` and `a_b`, others do not tell capitals from small letters. What
//! any of them could take for a name of the target's own address or of the signed message does not go on.

use percent_encoding::percent_decode;
use tollbell_channels::model::RawRequest;

use crate::targets::Envelope;

/// The type of a form (also with parameters behind it).
const FORM: &str = "application/x-www-form-urlencoded";

/// Most pairs that nobody signed in one query that is handed on. PHP prints a warning about more than a thousand, and
/// an address that a merchant wrote has a handful.
const UNSIGNED_PAIRS_MAX: usize = 100;

/// A name that both the target's own address and the platform's signed message have, as the message writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::targets) struct Taken(pub(in crate::targets) String);

/// Our own query, and the platform's behind it: pairs that its signature covers each as it was written, others only where
/// they are asked for, since anyone could add to them. The latter are left out when the whole would be longer than
/// `bytes_max`, and those that are not plain or that name what is named already, in a form too.
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
        let named = own.split('&').chain(pairs(&signed)).map(|pair| written_name(pair).as_bytes());
        let taken: Vec<Vec<u8>> = named.chain(form_names(request)).filter_map(key).collect();
        let is_free = |key: &Vec<u8>| !taken.contains(key) && !key.starts_with(b"-");
        let is_free = |pair: &str| key(written_name(pair).as_bytes()).as_ref().is_some_and(is_free);
        let rest: Vec<String> = pairs(received).filter(|pair| is_plain(pair) && is_free(pair)).map(unsigned).collect();
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
    let taken: Vec<Vec<u8>> = own.split('&').filter_map(|pair| key(written_name(pair).as_bytes())).collect();
    names.into_iter().find(|name| key(name.as_bytes()).is_some_and(|key| taken.contains(&key)))
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

fn written_name(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

/// The names in a form. Readers that make one of query and form may believe the query's.
fn form_names(request: &RawRequest) -> impl Iterator<Item = &[u8]> {
    let is_form = request.media_type().starts_with(FORM);
    let body: &[u8] = if is_form { &request.body } else { b"" };
    body.split(|byte| *byte == b'&').map(|pair| pair.split(|byte| *byte == b'=').next().unwrap_or_default())
}

/// Whether every reader can read a pair: one that refuses a request for it would miss the platform's message too.
fn is_plain(pair: &str) -> bool {
    let is_escape = |piece: &str| piece.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    pair.bytes().all(|byte| byte.is_ascii_graphic())
        && pair.split('%').skip(1).all(is_escape)
        && !percent_decode(pair.as_bytes()).any(|byte| byte.is_ascii_control())
}

/// What two names share that some reader takes for one; none for what PHP takes for no name.
fn key(written: &[u8]) -> Option<Vec<u8>> {
    php_name(written).map(|name| name.to_ascii_lowercase())
}

/// A `;` parts pairs like `&` to some readers, and to others is a letter, as it is to who signed.
fn unambiguous(pairs: &str) -> String {
    pairs.replace(';', "%3B")
}

/// A pair that nobody signed. With `register_argc_argv` PHP takes a query for the arguments of a command too, parted by `+`,
/// and frameworks look for options among them.
fn unsigned(pair: &str) -> String {
    unambiguous(pair).replace('+', "%20")
}

/// The name of the variable in `$_GET` that PHP makes of a pair whose name is written so; none when it makes none.
///
/// PHP decodes the name, ends it at a NUL, passes over blanks at its beginning, and writes `_` for other blanks and dots. What
/// is behind a `[` is an index of the variable when a `]` follows; else that `[` becomes `_`, as do
/// further ones and what follows them. (`php_register_variable_ex` of PHP 8.)
fn php_name(written: &[u8]) -> Option<Vec<u8>> {
    let spaced: Vec<u8> = written.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
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
