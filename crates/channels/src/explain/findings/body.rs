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
        en: "blanks or line ends of the body were changed on the way: `{came}` came where `{sent}` was signed",
        zh: "正文的空白或换行在途中被改动：收到的是 `{came}`，平台签名时是 `{sent}`",
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

fn facts(came: &str, sent: &str) -> Facts {
    vec![("came", came.to_owned()), ("sent", sent.to_owned())]
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
    let mut push = |is_traced: bool, body: Vec<u8>, ending: &str, sent: &str| {
        if body != *case.request.body {
            let otherwise = Otherwise::Request(with_body(&case.request, body));
            undone.push(Undo { otherwise, facts: facts(ending, sent), is_traced });
        }
    };
    let trimmed = body.trim_ascii_end();
    let end = &body[trimmed.len()..];
    let ending = blanks(end);
    if let Some(cut) = body.strip_suffix(CRLF).or_else(|| body.strip_suffix(LF)) {
        push(true, cut.to_vec(), &ending, &blanks(&body[trimmed.len()..cut.len()]));
    }
    if !end.is_empty() {
        push(true, trimmed.to_vec(), &ending, "");
    }
    let whole = body.trim_ascii();
    if whole.len() < trimmed.len() {
        let start = blanks(&body[..body.len() - body.trim_ascii_start().len()]);
        push(true, body.trim_ascii_start().to_vec(), &start, "");
        push(true, whole.to_vec(), &format!("{start}…{ending}"), "…");
    }
    let unix = with_line_ends(body, LF);
    push(true, unix.clone(), "\\r\\n", "\\n");
    push(true, with_line_ends(body, CRLF), "\\n", "\\r\\n");
    push(true, unix.trim_ascii().to_vec(), "\\r\\n", "\\n");
    // Where pairs are signed, a line end behind them would be a part of the last value.
    if end.is_empty() && (matches!(Kind::of(body), Kind::Json | Kind::Xml) || values::is_body_signed(case)) {
        push(false, [body, LF].concat(), "", "\\n");
        push(false, [body, CRLF].concat(), "", "\\r\\n");
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
    let changes: [(Change, bool, &str, &str); 5] = [
        (|value| has_line(value).then(|| with_line_ends(&value.bytes, LF)), true, "\\r\\n", "\\n"),
        (|value| has_line(value).then(|| with_line_ends(&value.bytes, CRLF)), true, "\\n", "\\r\\n"),
        (|value| Some(value.bytes.trim_ascii().to_vec()), true, "\\n", ""),
        (ended, true, "", "\\n"),
        (wrapped, false, "", "\\n"),
    ];
    for (change, is_traced, came, sent) in changes {
        let Some(rewritten) = values::rewritten(case, change) else { continue };
        let mut facts = facts(came, sent);
        facts.push(("field", rewritten.names()));
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
        en: "the body is cut: it ends after {bytes} bytes ({how})",
        zh: "正文不完整：只有 {bytes} 个字节（{how}）",
    },
    cause: Text {
        en: "A limit of a proxy, a firewall, a buffer or a log cut the rest off, or the connection broke. What was signed is \
             not all here, so nothing can be verified.",
        zh: "代理、防火墙、缓冲区或日志的长度限制截掉了后面的内容，或者连接中断。签名所覆盖的内容不全，无法验证。",
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
        Kind::Xml => ends_inside_xml(body).then_some("XML"),
        Kind::Form if matches!(body, [.., b'%'] | [.., b'%', _]) => Some("%"),
        Kind::Form | Kind::Other if announced.is_some() => Some(""),
        Kind::Form | Kind::Other => None,
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
