//! Text whose bytes were read in one charset and written in another.

use super::super::tries::Tries;
use super::super::values::{self, Kind, Value};
use crate::charset::Charset;
use crate::explain::{Case, Finding, Probe, Undo};
use crate::settings::Text;

/// The bytes of texts changed.
pub(in super::super) static CHARSET_CHANGED: Finding = Finding {
    id: "charset_changed",
    title: Text {
        en: "the charset of `{field}` was changed on the way: signed as {sent}, came as {came}",
        zh: "`{field}` 的字符集在途中被改变：签名时为 {sent}，收到时为 {came}",
    },
    cause: Text {
        en: "Something converted the texts (`iconv`, `mb_convert_encoding()`, a filter or database with another charset), or \
             read the bytes in a charset that they were not in. The signature covers bytes, not characters.",
        zh: "某个环节转换过字符集（`iconv`、`mb_convert_encoding()`、字符集不同的过滤器或数据库），或按错误的字符集读取了字节。\
             签名覆盖的是字节而不是字符。",
    },
    cure: Text {
        en: "Verify before anything is converted, and forward the raw body; convert to UTF-8 for your own use afterwards.",
        zh: "请在任何转换之前验签，并转发原始正文；需要 UTF-8 时在验签之后再转换。",
    },
    probes: &[Probe::Undo(charset_changed)],
};

/// A way undo: bytes as they came to bytes as they were; none where they cannot have come so.
struct Back {
    sent: &'static str,
    came: &'static str,
    undo: fn(&[u8]) -> Option<Vec<u8>>,
    /// Only where the message says that it is in that charset: else any text could have come so.
    only_if_declared: bool,
}

const BACKS: &[Back] = &[
    Back { sent: "UTF-8", came: "GBK", undo: from_gbk, only_if_declared: false },
    Back { sent: "UTF-8", came: "UTF-8 ← Latin-1", undo: from_latin, only_if_declared: false },
    Back { sent: "UTF-8", came: "UTF-8 ← Windows-1252", undo: from_windows, only_if_declared: false },
    Back { sent: "UTF-8", came: "UTF-8 ← GBK", undo: from_misread_gbk, only_if_declared: false },
    Back { sent: "UTF-8", came: "Latin-1", undo: from_bare_latin, only_if_declared: false },
    Back { sent: "GBK", came: "UTF-8", undo: to_gbk, only_if_declared: true },
    Back { sent: "GBK", came: "UTF-8 ← Latin-1", undo: gbk_from_latin, only_if_declared: true },
];

fn charset_changed(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    let declared = declared(case);
    let is_gbk = declared.contains(&Some(Charset::Gbk)) || declared.contains(&Some(Charset::Gb18030));
    for Back { sent, came, undo, only_if_declared } in BACKS {
        if *only_if_declared && !is_gbk {
            continue;
        }
        let facts = [("sent", (*sent).to_owned()), ("came", (*came).to_owned())];
        tries.values(true, &facts, |value| (!value.bytes.is_ascii()).then(|| undo(&value.bytes)).flatten());
        let whole = [facts.as_slice(), &[("field", "body".to_owned())]].concat();
        tries.body(true, &whole, |body| {
            let is_document = matches!(Kind::of(body), Kind::Json | Kind::Xml) && !body.is_ascii();
            if is_document { undo(body).map(without_declaration) } else { None }
        });
    }
    labels(case, &mut tries);
    tries.undone()
}

/// The charsets that a message says, in its pairs and in its media type.
fn declared(case: &Case<'_>) -> Vec<Option<Charset>> {
    let values = values::all(case);
    let named = values.iter().filter(|value| is_label(value));
    let mut declared: Vec<Option<Charset>> =
        named.map(|value| std::str::from_utf8(&value.bytes).ok().and_then(Charset::parse)).collect();
    declared.push(of_media_type(case));
    declared
}

/// Whether it is the pair that says the message's charset.
fn is_label(value: &Value<'_>) -> bool {
    value.name.ends_with("charset") || value.name == "encoding"
}

fn of_media_type(case: &Case<'_>) -> Option<Charset> {
    let media_type = case.request.single_header("content-type")?.to_ascii_lowercase();
    let (_, after) = media_type.split_once("charset=")?;
    Charset::parse(after.split(';').next()?.trim_matches('"'))
}

/// The message with its own word for its charset changed back, where the bytes are not in the charset that it says.
fn labels(case: &Case<'_>, tries: &mut Tries<'_, '_>) {
    let values = values::all(case);
    let Some(label) = values.iter().find(|value| is_label(value)) else { return };
    let label_text = String::from_utf8_lossy(&label.bytes).into_owned();
    let said = Charset::parse(&label_text);
    let mut texts = values.iter().filter(|value| !value.bytes.is_ascii());
    let others: &[&str] = match said {
        Some(Charset::Utf8) if texts.any(|value| std::str::from_utf8(&value.bytes).is_err()) => {
            &["GBK", "gbk", "GB2312", "GB18030"]
        }
        Some(Charset::Gbk | Charset::Gb18030) if texts.all(|value| std::str::from_utf8(&value.bytes).is_ok()) => {
            &["utf-8", "UTF-8"]
        }
        Some(said) if of_media_type(case).is_some_and(|other| other != said) => match said {
            Charset::Utf8 => &["GBK", "gbk"],
            Charset::Gbk | Charset::Gb18030 => &["utf-8", "UTF-8"],
        },
        _ => return,
    };
    for other in others {
        let facts = [("sent", (*other).to_owned()), ("came", crate::channel::quote(&label_text))];
        tries.values(true, &facts, |value| is_label(value).then(|| other.as_bytes().to_vec()));
        // Label and texts were changed together.
        let back = if other.starts_with(['g', 'G']) { to_gbk } else { from_gbk };
        tries.values(
            true,
            &facts,
            |value| {
                if is_label(value) { Some(other.as_bytes().to_vec()) } else { back(&value.bytes) }
            },
        );
    }
}

/// An XML document without a declaration of the charset that it is no longer in.
fn without_declaration(document: Vec<u8>) -> Vec<u8> {
    match document.trim_ascii_start().strip_prefix(b"<?xml") {
        Some(rest) => match memchr::memmem::find(rest, b"?>") {
            Some(end) => rest[end + 2..].trim_ascii_start().to_vec(),
            None => document,
        },
        None => document,
    }
}

fn from_gbk(bytes: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(bytes).is_ok() {
        return None;
    }
    Charset::Gb18030.decode(bytes).ok().map(|text| text.into_owned().into_bytes())
}

fn to_gbk(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_ascii())?;
    Charset::Gbk.encode(text).map(std::borrow::Cow::into_owned)
}

/// UTF-8 that was read byte by byte, each as a character.
fn from_latin(bytes: &[u8]) -> Option<Vec<u8>> {
    latin(bytes).filter(|bytes| !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok())
}

fn gbk_from_latin(bytes: &[u8]) -> Option<Vec<u8>> {
    latin(bytes).filter(|bytes| !bytes.is_ascii() && Charset::Gbk.decode(bytes).is_ok())
}

fn latin(bytes: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(bytes).ok()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The same by Windows' table, which has other characters between 0x80 and 0x9F.
fn from_windows(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (bytes, _, had_errors) = encoding_rs::WINDOWS_1252.encode(text);
    (!had_errors && !bytes.is_ascii() && std::str::from_utf8(&bytes).is_ok()).then(|| bytes.into_owned())
}

/// UTF-8 that was read as GBK.
fn from_misread_gbk(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_ascii())?;
    let bytes = Charset::Gb18030.encode(text)?;
    std::str::from_utf8(&bytes).is_ok().then(|| bytes.into_owned())
}

/// Text of western characters that was written one byte each.
fn from_bare_latin(bytes: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(bytes).is_ok() {
        return None;
    }
    Some(encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_there_has_a_way_back() {
        let text = "订单号测试中文";
        let utf8 = text.as_bytes();
        let gbk = Charset::Gbk.encode(text).unwrap().into_owned();
        assert_eq!(from_gbk(&gbk).as_deref(), Some(utf8));
        assert_eq!(from_gbk(utf8), None);
        assert_eq!(to_gbk(utf8), Some(gbk.clone()));
        let latin: String = utf8.iter().map(|&byte| char::from(byte)).collect();
        assert_eq!(from_latin(latin.as_bytes()).as_deref(), Some(utf8));
        assert_eq!(from_latin(utf8), None);
        let windows = encoding_rs::WINDOWS_1252.decode(utf8).0.into_owned();
        assert_eq!(from_windows(windows.as_bytes()).as_deref(), Some(utf8));
        let misread = Charset::Gb18030.decode("支付测试".as_bytes()).unwrap().into_owned();
        assert_eq!(from_misread_gbk(misread.as_bytes()).as_deref(), Some("支付测试".as_bytes()));
        assert_eq!(from_misread_gbk(utf8), None);
        let latin: String = gbk.iter().map(|&byte| char::from(byte)).collect();
        assert_eq!(gbk_from_latin(latin.as_bytes()), Some(gbk));
        assert_eq!(from_bare_latin(b"caf\xe9").as_deref(), Some("café".as_bytes()));
    }

    #[test]
    fn a_declaration_of_another_charset_goes() {
        let cut = without_declaration(b"<?xml version=\"1.0\" encoding=\"GBK\"?>\n<xml></xml>".to_vec());
        assert_eq!(cut, b"<xml></xml>");
        assert_eq!(without_declaration(b"<xml></xml>".to_vec()), b"<xml></xml>");
    }
}
