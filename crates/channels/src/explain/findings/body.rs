//! What happens to a body between the platform and us.

use crate::explain::{Case, Finding, Otherwise, Probe, Undo};
use crate::model::RawRequest;
use crate::settings::Text;

/// The UTF-8 byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

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
    let Some(body) = case.request.body.strip_prefix(MARK) else { return Vec::new() };
    vec![Undo::traced(Otherwise::Request(with_body(&case.request, body)), Vec::new())]
}

/// The request with another body.
fn with_body(request: &RawRequest, body: &[u8]) -> RawRequest {
    RawRequest { body: bytes::Bytes::copy_from_slice(body), ..request.clone() }
}
