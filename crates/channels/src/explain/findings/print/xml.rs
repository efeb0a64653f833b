//! XML documents that a parser read and wrote again.

use super::super::tries::Tries;
use super::super::values::{BODY_BYTES_MAX, Kind};
use crate::explain::{Case, Finding, Probe, Undo};
use crate::settings::Text;

/// XML that says the same in other bytes.
pub(in super::super) static XML_REPRINTED: Finding = Finding {
    id: "xml_reprinted",
    title: Text {
        en: "the XML document was read and written again on the way; what differs: {how}",
        zh: "XML 文档在途中被解析后重新生成；不同之处：{how}",
    },
    cause: Text {
        en: "A parser or gateway wrote the document anew, with values on lines of their own, a comment, attributes \
             (`xmlns`), a document type or another declaration. The platform sends none of it, and blanks inside a value \
             are a part of what is signed.",
        zh: "解析器或网关重新生成了文档：值被单独换行缩进，或多出了注释、属性（如 `xmlns`）、文档类型、其他声明。平台不会发送这些内容，\
             而值内的空白属于签名内容。",
    },
    cure: Text {
        en: "Forward the raw body (`php://input`), not the output of `DOMDocument::saveXML()` or of a pretty printer.",
        zh: "请转发原始正文（`php://input`），不要转发 `DOMDocument::saveXML()` 或格式化工具的输出。",
    },
    probes: &[Probe::Undo(xml_reprinted)],
};

fn xml_reprinted(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    let body: &[u8] = &case.request.body;
    if !case.kept.has_bytes || body.len() > BODY_BYTES_MAX || Kind::of(body) != Kind::Xml {
        return Vec::new();
    }
    for trims in [false, true] {
        let Some((document, how)) = plain(body, trims) else { continue };
        tries.body(true, &[("how", how.join(", "))], |_| Some(document));
    }
    tries.undone()
}

/// A document without what no platform writes; with `trims`, without blanks around values too. Also says what went. None
/// where it is not made of tags.
fn plain(document: &[u8], trims: bool) -> Option<(Vec<u8>, Vec<&'static str>)> {
    const CDATA: &[u8] = b"<![CDATA[";
    let mut out = Vec::with_capacity(document.len());
    let mut how: Vec<&'static str> = Vec::new();
    let mut note = |word: &'static str| {
        if !how.contains(&word) {
            how.push(word);
        }
    };
    let mut rest = document.trim_ascii();
    if rest.len() < document.len() {
        note("white_space");
    }
    while let Some(&first) = rest.first() {
        let find = |end: &[u8]| memchr::memmem::find(rest, end).map(|at| at + end.len());
        let (piece, after) = if rest.starts_with(CDATA) {
            rest.split_at(find(b"]]>")?)
        } else if rest.starts_with(b"<!--") {
            rest.split_at(find(b"-->")?)
        } else if rest.starts_with(b"<?") {
            rest.split_at(find(b"?>")?)
        } else if rest.starts_with(b"<!") {
            // A document type may hold declarations of its own.
            let end = find(b">")?;
            rest.split_at(if rest[..end].contains(&b'[') { find(b"]>")? } else { end })
        } else if first == b'<' {
            rest.split_at(find(b">")?)
        } else {
            rest.split_at(memchr::memchr(b'<', rest).unwrap_or(rest.len()))
        };
        rest = after;
        if let Some(text) = piece.strip_prefix(CDATA) {
            let text = &text[..text.len() - 3];
            let text = if trims { text.trim_ascii() } else { text };
            out.extend_from_slice(&[CDATA, text, b"]]>"].concat());
        } else if piece.starts_with(b"<!--") {
            note("comments");
        } else if piece.starts_with(b"<?") {
            note("declaration");
        } else if piece.starts_with(b"<!") {
            note("document_type");
        } else if first == b'<' {
            let name_end = piece.iter().position(u8::is_ascii_whitespace).filter(|_| !piece.starts_with(b"</"));
            match name_end {
                Some(end) => {
                    let is_closed = piece.ends_with(b"/>");
                    let inside =
                        piece[end..].iter().filter(|byte| !byte.is_ascii_whitespace() && !b"/>".contains(byte));
                    if inside.count() > 0 {
                        note("attributes");
                    }
                    out.extend_from_slice(&piece[..end]);
                    out.extend_from_slice(if is_closed { b"/>" } else { b">" });
                }
                None => out.extend_from_slice(piece),
            }
        } else if trims {
            let text = piece.trim_ascii();
            if text.len() < piece.len() {
                note("white_space");
            }
            out.extend_from_slice(text);
        } else {
            out.extend_from_slice(piece);
        }
    }
    Some((out, how))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_platform_writes_goes() {
        let check = |document: &str, trims: bool, expected: &str, words: &[&str]| {
            let (found, how) = plain(document.as_bytes(), trims).unwrap();
            assert_eq!((String::from_utf8(found).unwrap().as_str(), how.as_slice()), (expected, words), "{document}");
        };
        check("<x><a>1</a></x>", false, "<x><a>1</a></x>", &[]);
        check(
            "<?xml version=\"1.1\"?>\n<x><a> 1 </a></x>\n",
            false,
            "\n<x><a> 1 </a></x>",
            &["white_space", "declaration"],
        );
        check("<x>\n  <a>\n 1\n </a>\n</x>", true, "<x><a>1</a></x>", &["white_space"]);
        check("<x><!-- < --><a><![CDATA[ 1 ]]></a></x>", true, "<x><a><![CDATA[1]]></a></x>", &["comments"]);
        check("<x xmlns=\"a\"><a b='1'/><c /></x>", false, "<x><a/><c/></x>", &["attributes"]);
        check("<!DOCTYPE x [<!ENTITY a \"b\">]><x>1</x>", false, "<x>1</x>", &["document_type"]);
        assert_eq!(plain(b"<x><a", false), None);
        assert_eq!(plain(b"<!DOCTYPE x [<!ENTITY a \"b\"><x>", false), None);
    }

    #[test]
    fn each_piece_is_looked_at_for_itself() {
        // Each looked up to the end of the document would take minutes.
        let document = "<!>".repeat(2 * 1024 * 1024) + "<x>[]</x>";
        let (found, how) = plain(document.as_bytes(), false).unwrap();
        assert_eq!((found.as_slice(), how.as_slice()), (&b"<x>[]</x>"[..], &["document_type"][..]));
    }
}
