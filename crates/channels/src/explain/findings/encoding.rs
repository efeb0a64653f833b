//! What happens to values when they are decoded, encoded or escaped once too often.

mod charset;
mod percent;

use super::tries::Tries;
use super::values::{self, Entities, Kind, Value, unescaped};
use crate::explain::{Case, Finding, Probe, Undo};
use crate::settings::Text;

pub(super) use charset::CHARSET_CHANGED;
pub(super) use percent::{DECODED_TWICE, ENCODED_TWICE};

/// Blanks where base64 has plus signs.
pub(super) static PLUS_LOST: Finding = Finding {
    id: "plus_lost",
    title: Text {
        en: "plus signs of `{field}` became blanks on the way", zh: "`{field}` 中的加号在途中变成了空格"
    },
    cause: Text {
        en: "The value was decoded as a form once more than it was encoded: `urldecode()` on `$_POST` or `$_GET`, which PHP \
             has decoded already, or a forwarder that writes values into a form without encoding them. In a form a bare \
             `+` means a blank.",
        zh: "该值多做了一次表单解码：对 PHP 已经解码过的 `$_POST`/`$_GET` 又调用了 `urldecode()`，或转发时没有重新编码就拼成表单。\
             表单里裸写的 `+` 表示空格。",
    },
    cure: Text {
        en: "Take values as they are decoded by PHP, and build forms with `http_build_query()`; best forward the raw body.",
        zh: "直接使用 PHP 已解码的值，不要再次解码；拼表单请用 `http_build_query()`，最好直接转发原始正文。",
    },
    probes: &[Probe::Undo(plus_lost)],
};

/// Shortest value in which blanks may have been plus signs: shorter ones are words of people.
const BASE64_SHORTEST: usize = 20;

fn plus_lost(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    let plussed = |value: &Value<'_>| with_pluses(&value.bytes);
    tries.values(true, &[], plussed);
    let all = values::all(case);
    let longest = all.iter().filter(|value| with_pluses(&value.bytes).is_some()).map(|value| value.bytes.len()).max();
    tries.values(true, &[], |value| plussed(value).filter(|_| Some(value.bytes.len()) == longest));
    tries.headers(true, &[], header_with_pluses);
    // A form in which blanks are written otherwise has plus signs that nobody encoded.
    let bare = |text: &[u8]| {
        let has_blanks = text.contains(&b' ') || memchr::memmem::find(text, b"%20").is_some();
        (has_blanks && text.contains(&b'+')).then(|| replaced(text, b"+", b"%2B"))
    };
    tries.pairs_as_written(true, &[("field", "+".to_owned())], bare);
    tries.undone()
}

/// Base64 with plus signs where it has blanks; none for anything else.
fn with_pluses(value: &[u8]) -> Option<Vec<u8>> {
    // Certificates stand between lines with blanks of their own.
    if value.starts_with(b"-----BEGIN ") {
        let lines = value.split(|&byte| byte == b'\n');
        let plussed: Vec<Vec<u8>> =
            lines.map(|line| if line.starts_with(b"-") { line.to_vec() } else { replaced(line, b" ", b"+") }).collect();
        return Some(plussed.join(&b'\n')).filter(|plussed| plussed != value);
    }
    let is_signs = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/= \r\n".contains(byte);
    if value.len() < BASE64_SHORTEST || !value.contains(&b' ') || !value.iter().all(is_signs) {
        return None;
    }
    let signs = value.iter().filter(|&&byte| byte != b'\r' && byte != b'\n').count();
    let is_padded_inside = without_padding(value.trim_ascii_end()).contains(&b'=');
    (signs % 4 == 0 && !is_padded_inside).then(|| replaced(value, b" ", b"+"))
}

/// A header that holds base64, with plus signs where that has blanks. Names may stand before it, and a version before
/// each of several.
fn header_with_pluses(value: &str) -> Option<String> {
    /// Shorter ones are dates and names.
    const SHORTEST: usize = 40;
    let is_signs = |byte: u8| byte.is_ascii_alphanumeric() || b"+/= ,:._-%".contains(&byte);
    if value.len() < SHORTEST || !value.contains(' ') || !value.bytes().all(is_signs) {
        return None;
    }
    let mut pieces = value.split(' ');
    let mut out = pieces.next()?.to_owned();
    for piece in pieces {
        let is_version = piece.split_once(',').is_some_and(|(version, _)| version.len() <= VERSION);
        // Behind a version stands its signature, and that began with a plus sign.
        let is_behind_name = out.ends_with([',', ':', ';']) && !ends_with_version(&out);
        out.push(if is_version || is_behind_name { ' ' } else { '+' });
        out.push_str(piece);
    }
    Some(out)
}

/// Most characters of a version before a signature.
const VERSION: usize = 3;

/// Whether a text ends with a version and a comma: `v1,`.
fn ends_with_version(text: &str) -> bool {
    let Some(before) = text.strip_suffix(',') else { return false };
    let word = before.rsplit([' ', ',', '=']).next().unwrap_or_default();
    let mut letters = word.bytes();
    word.len() <= VERSION && letters.next() == Some(b'v') && letters.next().is_some_and(|digit| digit.is_ascii_digit())
}

/// Base64 without its padding.
fn without_padding(value: &[u8]) -> &[u8] {
    let one = value.strip_suffix(b"=").unwrap_or(value);
    one.strip_suffix(b"=").unwrap_or(one)
}

/// A text with one piece in place of another, everywhere.
fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for found in memchr::memmem::find_iter(text, from) {
        out.extend_from_slice(&text[at..found]);
        out.extend_from_slice(to);
        at = found + from.len();
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// HTML's references in values.
pub(super) static HTML_ESCAPED: Finding = Finding {
    id: "html_escaped",
    title: Text {
        en: "`{field}` was escaped for HTML on the way (`&quot;`, `&amp;`, `&#39;` …)",
        zh: "`{field}` 在途中被做了 HTML 转义（`&quot;`、`&amp;`、`&#39;` 等）",
    },
    cause: Text {
        en: "A filter against cross-site scripting or `htmlspecialchars()` ran over the input before it was verified.",
        zh: "验签之前，防 XSS 过滤器或 `htmlspecialchars()` 处理过输入。",
    },
    cure: Text {
        en: "Leave this path out of the filter and forward the raw body; escape for HTML only where a page is written.",
        zh: "请让回调路径绕过该过滤器并转发原始正文；HTML 转义只应在输出页面时进行。",
    },
    probes: &[Probe::Undo(html_escaped)],
};

fn html_escaped(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    for entities in [Entities::Five, Entities::Quotes, Entities::NoApostrophes] {
        tries.values(true, &[], |value| Some(unescaped(&value.bytes, entities).into_owned()));
        let whole = [("field", "body".to_owned())];
        tries.body(true, &whole, |body| {
            // Between an element's tags a reference is the document's own way to write.
            (Kind::of(body) != Kind::Xml).then(|| unescaped(body, entities).into_owned())
        });
        tries.query(true, &[("field", "&".to_owned())], |query| unescaped(query, entities).into_owned());
    }
    tries.undone()
}

/// Backslashes before quotation marks.
pub(super) static SLASHES_ADDED: Finding = Finding {
    id: "slashes_added",
    title: Text {
        en: "backslashes were put before the quotation marks of `{field}` on the way",
        zh: "`{field}` 的引号前在途中被加上了反斜杠",
    },
    cause: Text {
        en: "`addslashes()`, the magic quotes of an old framework (WordPress does it to every `$_POST`), or an escape for SQL \
             ran over the input before it was verified.",
        zh: "验签之前，`addslashes()`、老框架的 magic quotes（例如 WordPress 会处理所有 `$_POST`）或 SQL 转义处理过输入。",
    },
    cure: Text {
        en: "Read the raw body (`php://input`), or undo it first (`wp_unslash()`, `stripslashes()`); escape for SQL only in \
             prepared statements.",
        zh: "请读取原始正文（`php://input`），或先还原（`wp_unslash()`、`stripslashes()`）；SQL 转义请交给预处理语句。",
    },
    probes: &[Probe::Undo(slashes_added)],
};

fn slashes_added(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    tries.values(true, &[], |value| without_slashes(&value.bytes));
    tries.values(true, &[], |value| without_slashes_of_quotes(&value.bytes));
    let whole = [("field", "body".to_owned())];
    tries.body(true, &whole, |body| {
        let is_text = matches!(Kind::of(body), Kind::Json | Kind::Xml);
        if is_text { without_slashes(body) } else { None }
    });
    tries.undone()
}

/// The text without the backslashes that `addslashes()` puts; none where a quotation mark stands without one.
fn without_slashes(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next()? {
                b'0' => out.push(0),
                escaped @ (b'"' | b'\'' | b'\\') => out.push(escaped),
                _ => return None,
            },
            b'"' | b'\'' => return None,
            plain => out.push(plain),
        }
    }
    (out.len() < text.len()).then_some(out)
}

/// The text without the backslashes before double quotation marks, which some put there alone.
fn without_slashes_of_quotes(text: &[u8]) -> Option<Vec<u8>> {
    let quotes = memchr::memchr_iter(b'"', text).count();
    let escaped = memchr::memmem::find_iter(text, b"\\\"").count();
    (quotes > 0 && quotes == escaped).then(|| replaced(text, b"\\\"", b"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plussed(text: &str) -> Option<String> {
        with_pluses(text.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn blanks_are_plus_signs_only_in_base64() {
        assert_eq!(plussed("abcd efgh ijkl mnop qr==").as_deref(), Some("abcd+efgh+ijkl+mnop+qr=="));
        for text in ["abcdefghijklmnopqrstuvwx", "a b c d", "2026-11-21 04:00:00 000", "abcd efgh ijkl mnop=qrs "] {
            assert_eq!(plussed(text), None, "{text}");
        }
        let certificate = "-----BEGIN CERTIFICATE-----\nab cd\n-----END CERTIFICATE-----\n";
        assert_eq!(plussed(certificate), Some(certificate.replace("ab cd", "ab+cd")));
    }

    #[test]
    fn blanks_between_signatures_stay() {
        let tag = "tZ1I4 hDygAJgO5TYxiSd6Sd0kDW6hPenDe bTa3Kkw=";
        let whole = tag.replace(' ', "+");
        assert_eq!(header_with_pluses(&format!("v1,{tag} v1,{tag}")), Some(format!("v1,{whole} v1,{whole}")));
        assert_eq!(header_with_pluses(&format!("a=1, s={tag}")), Some(format!("a=1, s={whole}")));
        let begins_so = tag.replacen('t', " ", 1);
        let begun = whole.replacen('t', "+", 1);
        for version in ["v1", "v1a"] {
            let came = format!("{version},{begins_so} {version},{begins_so}");
            assert_eq!(header_with_pluses(&came), Some(format!("{version},{begun} {version},{begun}")));
        }
        let accepted = "text/html, application/json, application/xml";
        assert_eq!(header_with_pluses(accepted).as_deref(), Some(accepted));
        assert_eq!(header_with_pluses("Mozilla/4.0 (compatible; something that is long)"), None);
    }

    #[test]
    fn slashes_are_taken_away_only_where_every_quotation_mark_has_one() {
        let bare = |text: &str| without_slashes(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(bare(r#"[{\"a\":\"b\\\\c\"}]"#).as_deref(), Some(r#"[{"a":"b\\c"}]"#));
        assert_eq!(bare(r"it\'s").as_deref(), Some("it's"));
        for text in [r#"{"a":"\"b\""}"#, "plain", r"a\b", r"a\"] {
            assert_eq!(bare(text), None, "{text}");
        }
        let quotes = without_slashes_of_quotes(br#"{\"a\":\"it's\"}"#);
        assert_eq!(quotes.as_deref(), Some(&br#"{"a":"it's"}"#[..]));
        assert_eq!(without_slashes_of_quotes(br#"{"a":"\"b\""}"#), None);
    }
}
