//! What happens to a body between the platform and us.

use super::values::{self, Kind, Value, with_body};
use crate::channel::Rejection;
use crate::explain::{Case, Facts, Finding, Otherwise, Probe, Undo};
use crate::settings::Text;

/// The UTF-8 byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The same before the first name of a form that was read and written again.
const ENCODED_MARK: &[u8] = b"%EF%BB%BF";

/// A byte order mark before the body.
pub(super) static BOM: Finding = Finding {
    id: "bom",
    title: Text {
        en: "a byte order mark (EF BB BF) stands before the body",
        zh: "正文前多出了 UTF-8 字节顺序标记（EF BB BF）",
    },
    cause: Text {
        en: "A script or an editor between the platform and here wrote the body to a file or a string with a byte order mark. \
             The platform did not sign it.",
        zh: "平台与网关之间的脚本或编辑器在转存正文时加上了 BOM，平台签名时并没有这三个字节。",
    },
    cure: Text {
        en: "Forward the body as the bytes that came (`php://input`), and save PHP files without a byte order mark.",
        zh: "请按收到的原始字节（`php://input`）转发正文，并将 PHP 文件保存为不带 BOM 的 UTF-8。",
    },
    probes: &[Probe::Undo(without_mark)],
};

fn without_mark(case: &Case<'_>) -> Vec<Undo> {
    let body: &[u8] = &case.request.body;
    let encoded = body.split_at_checked(ENCODED_MARK.len()).filter(|(mark, _)| mark.eq_ignore_ascii_case(ENCODED_MARK));
    let Some(body) = body.strip_prefix(MARK).or_else(|| encoded.map(|(_, body)| body)) else { return Vec::new() };
    vec![Undo::traced(Otherwise::Request(with_body(&case.request, body)), Vec::new())]
}

/// Line ends in the body or at its end.
pub(super) static LINE_ENDS: Finding = Finding {
    id: "line_ends",
    title: Text {
        en: "blanks or line ends of {place} were changed on the way: {came} came where {sent} was signed",
        zh: "{place_zh}的空白或换行在途中被改动：收到：{came_zh}；平台签名时：{sent_zh}",
    },
    cause: Text {
        en: "The body went through something that works line by line or trims texts: a file in text mode, `trim()`, a \
             framework's middleware that trims every input, a log, an editor, or `echo` instead of `printf`.",
        zh: "正文经过了按行处理或去除首尾空白的环节：以文本模式读写文件、`trim()`、框架自带的输入去空白中间件（如 TrimStrings）、\
             日志、编辑器，或用 `echo` 代替了 `printf`。",
    },
    cure: Text {
        en: "Forward the body as the bytes that came (`php://input`, `curl --data-binary`), and keep trimming away from this \
             path.",
        zh: "请按收到的原始字节转发正文（`php://input`、`curl --data-binary`），并让这条路径绕过去空白处理。",
    },
    probes: &[Probe::Undo(line_ends)],
};

const LF: &[u8] = b"\n";
const CRLF: &[u8] = b"\r\n";

fn line_ends(case: &Case<'_>) -> Vec<Undo> {
    let body: &[u8] = &case.request.body;
    if body.is_empty() || body.len() > values::BODY_BYTES_MAX {
        return Vec::new();
    }
    let mut undone = Vec::new();
    if case.kept.has_bytes {
        ends_of_body(case, &mut undone);
    }
    ends_of_values(case, &mut undone);
    undone
}

/// What differs, for the texts; `field` names the values, where it is not the body itself.
fn facts([came, sent]: [String; 2], field: Option<String>) -> Facts {
    let word = |blanks: &str, nothing: &str| if blanks.is_empty() { nothing.to_owned() } else { format!("`{blanks}`") };
    let place = field.as_ref().map(|field| format!("`{field}`"));
    let mut facts = vec![
        ("place", place.clone().unwrap_or_else(|| "the body".to_owned())),
        ("place_zh", place.map_or_else(|| "正文".to_owned(), |place| format!(" {place} "))),
        ("came", word(&came, "nothing")),
        ("came_zh", word(&came, "无")),
        ("sent", word(&sent, "nothing")),
        ("sent_zh", word(&sent, "无")),
    ];
    facts.extend(field.map(|field| ("field", field)));
    facts
}

/// The first blanks that differ between two texts that say the same, as they came and as they were signed; with those at
/// the end, where both ends differ.
fn differing(came: &[u8], sent: &[u8]) -> [String; 2] {
    let same = came.iter().zip(sent).take_while(|(came, sent)| came == sent).count();
    // Line ends that begin alike are shown whole.
    let start = came[..same].trim_ascii_end().len();
    let run = |text: &[u8]| blanks(&text[start..text.len() - text[start..].trim_ascii_start().len()]);
    let end = |text: &[u8]| blanks(&text[text.trim_ascii_end().len()..]);
    let [first, last] = [[run(came), run(sent)], [end(came), end(sent)]];
    let is_around = start == 0 && first[0] != first[1] && last[0] != last[1] && !came.trim_ascii().is_empty();
    if is_around { [0, 1].map(|at| format!("{}…{}", first[at], last[at])) } else { first }
}

/// White space as it is shown, its beginning when there is much of it.
fn blanks(bytes: &[u8]) -> String {
    /// Bytes that are shown.
    const SHOWN: usize = 16;
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    format!("{}{more}", bytes[..bytes.len().min(SHOWN)].escape_ascii())
}

/// The body as it may have been before it was trimmed, ended, or given other line ends.
fn ends_of_body(case: &Case<'_>, undone: &mut Vec<Undo>) {
    let body: &[u8] = &case.request.body;
    let mut push = |is_traced: bool, sent: Vec<u8>| {
        if sent != body {
            let facts = facts(differing(body, &sent), None);
            let otherwise = Otherwise::Request(with_body(&case.request, sent));
            undone.push(Undo { otherwise, facts, is_traced });
        }
    };
    let trimmed = body.trim_ascii_end();
    let has_end = trimmed.len() < body.len();
    if let Some(cut) = body.strip_suffix(CRLF).or_else(|| body.strip_suffix(LF)) {
        push(true, cut.to_vec());
    }
    if has_end {
        push(true, trimmed.to_vec());
    }
    let whole = body.trim_ascii();
    if whole.len() < trimmed.len() {
        push(true, body.trim_ascii_start().to_vec());
        push(true, whole.to_vec());
    }
    let unix = with_line_ends(body, LF);
    push(true, unix.clone());
    push(true, with_line_ends(body, CRLF));
    push(true, unix.trim_ascii().to_vec());
    // Where pairs are signed, a line end behind them would be a part of the last value.
    if !has_end && (matches!(Kind::of(body), Kind::Json | Kind::Xml) || values::is_body_signed(case)) {
        push(false, [body, LF].concat());
        push(false, [body, CRLF].concat());
    }
}

/// The text with every line end like this.
fn with_line_ends(text: &[u8], end: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (at, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if at > 0 {
            out.extend_from_slice(end);
        }
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
    }
    out
}

/// The message with the line ends and blanks of single values undone.
fn ends_of_values(case: &Case<'_>, undone: &mut Vec<Undo>) {
    type Change = fn(&Value<'_>) -> Option<Vec<u8>>;
    let changes: [(Change, bool); 5] = [
        (|value| has_line(value).then(|| with_line_ends(&value.bytes, LF)), true),
        (|value| has_line(value).then(|| with_line_ends(&value.bytes, CRLF)), true),
        (|value| Some(value.bytes.trim_ascii().to_vec()), true),
        (ended, true),
        (wrapped, false),
    ];
    for (change, is_traced) in changes {
        let mut first = None;
        let rewritten = values::rewritten(case, |value| {
            let sent = change(value).filter(|sent| *sent != *value.bytes)?;
            first.get_or_insert_with(|| differing(&value.bytes, &sent));
            Some(sent)
        });
        let (Some(rewritten), Some(first)) = (rewritten, first) else { continue };
        let facts = facts(first, Some(rewritten.names()));
        undone.push(Undo { otherwise: Otherwise::Request(rewritten.request), facts, is_traced });
    }
}

fn has_line(value: &Value<'_>) -> bool {
    value.bytes.contains(&b'\n')
}

/// Base64 in lines whose last end was cut.
fn ended(value: &Value<'_>) -> Option<Vec<u8>> {
    let is_cut = has_line(value) && !value.bytes.ends_with(LF) && is_base64_in_lines(&value.bytes);
    is_cut.then(|| [&value.bytes, LF].concat())
}

/// Base64 that lost its line ends, as Ruby's `pack("m")` writes them.
fn wrapped(value: &Value<'_>) -> Option<Vec<u8>> {
    /// Characters of a line.
    const LINE: usize = 60;
    /// Shorter values are signatures, which nobody writes in lines.
    const SHORTEST: usize = 600;
    let bare: Vec<u8> = value.bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let is_payload = value.is_pair() && bare.len() >= SHORTEST && is_base64_in_lines(&value.bytes);
    is_payload.then(|| bare.chunks(LINE).flat_map(|line| [line, LF].concat()).collect())
}

fn is_base64_in_lines(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/= \r\n".contains(byte))
}

/// A body with nothing in it.
pub(super) static BODY_EMPTY: Finding = Finding {
    id: "body_empty",
    title: Text {
        en: "the body holds no message: {bytes} bytes came, `{came}`",
        zh: "正文里没有报文：只收到 {bytes} 个字节：`{came}`",
    },
    cause: Text {
        en: "Something in front read the body and forwarded what was left of it: a framework that had consumed the stream, \
             `$_POST` or its JSON where the message is no form, a redirect that turned POST into GET and back, or a check \
             of the address by hand.",
        zh: "前面的环节已经读走了正文，只转发了剩下的内容：框架已消费输入流；报文不是表单却转发了 `$_POST` 或其 JSON；\
             重定向丢失了正文；或者只是有人手工访问了这个地址。",
    },
    cure: Text {
        en: "Let the platform's request reach the gateway directly, or forward the raw bytes (`php://input`) before anything \
             else reads them. Register the final address, without a redirect.",
        zh: "请让平台的请求直接到达网关，或在其他代码读取之前转发原始字节（`php://input`）；在平台登记最终地址，不要经过重定向。",
    },
    probes: &[Probe::Look(is_empty)],
};

/// What is printed where nothing was read.
const NOTHING: &[&[u8]] = &[b"", b"[]", b"{}", b"null", b"\"\"", b"false"];

fn is_empty(case: &Case<'_>) -> Option<Facts> {
    let request = &case.request;
    let body = request.body.trim_ascii();
    // A message in the query has no body, unless the channel itself says that there must be one; and of a GET none is
    // expected.
    let has_query = request.query.as_ref().is_some_and(|query| query.to_ascii_lowercase().contains("sign"));
    let is_body_due = case.rejection()? == &Rejection::Empty || !has_query;
    let has_body = !request.method.is_safe() && is_body_due;
    if !has_body || !case.kept.has_bytes || !NOTHING.contains(&body) {
        return None;
    }
    let text = String::from_utf8_lossy(body).into_owned();
    Some(vec![("bytes", request.body.len().to_string()), ("came", text)])
}

/// A body that ends too early.
pub(super) static BODY_CUT: Finding = Finding {
    id: "body_cut",
    title: Text {
        en: "the body ends in the middle: {bytes} bytes came ({how})",
        zh: "正文没有结束就断了：只收到 {bytes} 个字节（{how}）",
    },
    cause: Text {
        en: "A limit of a proxy, a firewall, a buffer or a log cut the rest off, the connection broke, or somebody sent a piece \
             by hand. If it is the platform's message, what was signed is not all here, so nothing can be verified.",
        zh: "代理、防火墙、缓冲区或日志的长度限制截掉了后面的内容，或者连接中断，或者有人手工只发送了一部分。\
             如果这是平台的通知，签名所覆盖的内容就不全，无法验证。",
    },
    cure: Text {
        en: "Raise the limit (`client_max_body_size`, `client_body_buffer_size`, the log's longest line), and compare \
             Content-Length with what arrives.",
        zh: "请调大长度限制（`client_max_body_size`、`client_body_buffer_size`、日志单行长度等），并核对 Content-Length 与实际收到的长度。",
    },
    probes: &[Probe::Look(is_cut)],
};

fn is_cut(case: &Case<'_>) -> Option<Facts> {
    let body: &[u8] = &case.request.body;
    // Of what is too large only a part may be kept.
    if matches!(case.rejection()?, Rejection::TooLarge { .. }) || body.is_empty() {
        return None;
    }
    let announced = announced(case).filter(|announced| *announced > body.len());
    let ends_early = match Kind::of(body) {
        Kind::Json => ends_inside_json(body).then_some("JSON"),
        Kind::Xml if announced.is_some() || is_document(body) => ends_inside_xml(body).then_some("XML"),
        // A value may end with a percent sign that nobody encoded.
        Kind::Form | Kind::Other if announced.is_some() => Some(""),
        Kind::Xml | Kind::Form | Kind::Other => None,
    }?;
    let announced = announced.map(|announced| format!("Content-Length: {announced}"));
    let how: Vec<String> = [ends_early.to_owned()].into_iter().filter(|how| !how.is_empty()).chain(announced).collect();
    Some(vec![("bytes", body.len().to_string()), ("how", how.join(", "))])
}

/// How many bytes the request says that it has, where that can be believed.
fn announced(case: &Case<'_>) -> Option<usize> {
    let is_known = case.kept.has_head && case.kept.has_bytes && !case.request.headers.contains_key("content-encoding");
    is_known.then(|| case.request.single_header("content-length")?.trim().parse().ok()).flatten()
}

fn ends_inside_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err_and(|error| error.is_eof())
}

/// Whether it begins as a document of XML does: a page or a piece of one (`<p>`) may leave its elements open.
fn is_document(body: &[u8]) -> bool {
    let body = body.strip_prefix(MARK).unwrap_or(body).trim_ascii_start();
    let begins = |start: &[u8]| body.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start));
    let is_page = memchr::memmem::find(&body[..body.len().min(PROLOGUE_BYTES)], b"<html").is_some();
    (begins(b"<?xml") || begins(b"<xml")) && !is_page
}

/// Within how many bytes the root of a page stands.
const PROLOGUE_BYTES: usize = 512;

/// Whether the root is open where the document ends.
fn ends_inside_xml(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let mut tags = body.split(|&byte| byte == b'<').skip(1);
    let Some(root) = tags.find(|tag| tag.first().is_some_and(|&byte| is_name(byte))) else {
        return !body.ends_with(b">");
    };
    let name = &root[..root.iter().position(|&byte| !is_name(byte)).unwrap_or(root.len())];
    let is_closed_itself = root.split(|&byte| byte == b'>').next().is_some_and(|tag| tag.ends_with(b"/"));
    !is_closed_itself && memchr::memmem::find(body, &[b"</", name, b">"].concat()).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blanks_that_differ_are_said() {
        for (came, sent, expected) in [
            ("123 ", "123", [" ", ""]),
            (" 123", "123", [" ", ""]),
            (" 123\n", "123", [" …\\n", "…"]),
            ("{}\n", "{}", ["\\n", ""]),
            ("{}\n\n", "{}\n", ["\\n\\n", "\\n"]),
            ("a\r\nb\r\nc", "a\nb\nc", ["\\r\\n", "\\n"]),
            ("a\nb", "a\r\nb", ["\\n", "\\r\\n"]),
            ("ab", "a\nb\n", ["", "\\n"]),
            ("a b", "a\nb", [" ", "\\n"]),
            ("  ", "", ["  ", ""]),
        ] {
            assert_eq!(differing(came.as_bytes(), sent.as_bytes()), expected, "{came:?}");
        }
    }

    #[test]
    fn what_is_nothing_is_said_in_words() {
        let titled = |facts: Facts| {
            let found =
                crate::explain::Found { finding: &LINE_ENDS, proof: crate::explain::Evidence::Recomputed, facts };
            [found.title(|text| text.en), found.title(|text| text.zh)]
        };
        let [en, zh] = titled(facts(differing(b"123 ", b"123"), Some("trade_no".to_owned())));
        assert!(en.contains("of `trade_no` were") && en.contains("` ` came where nothing was signed"), "{en}");
        assert!(zh.contains("`trade_no` 的空白") && zh.ends_with("签名时：无"), "{zh}");
        let [en, zh] = titled(facts(differing(b"{}", b"{}\n"), None));
        assert!(en.contains("of the body were") && en.contains("nothing came where `\\n` was signed"), "{en}");
        assert!(zh.starts_with("正文的空白") && zh.contains("收到：无；"), "{zh}");
    }

    #[test]
    fn a_page_is_no_document_that_was_cut() {
        let is_cut = |body: &str| is_document(body.as_bytes()) && ends_inside_xml(body.as_bytes());
        for cut in ["<xml><a>1</a>", "<xml><a><![CDATA[1", "\u{feff} <?xml version=\"1.0\"?><root><a>", "<?xml versi"] {
            assert!(is_cut(cut), "{cut}");
        }
        for whole in
            ["<p>hi", "<br>", "<!DOCTYPE html><p>hi", "<?xml version=\"1.0\"?><html><p>", "<xml><a>1</a></xml>"]
        {
            assert!(!is_cut(whole), "{whole}");
        }
    }
}
