//! Forms whose very bytes are signed, written otherwise.

use super::super::tries::Tries;
use super::super::values::{Kind, decoded, is_body_signed, is_dear};
use crate::explain::{Case, Finding, Probe, Undo};
use crate::settings::Text;

/// A form that says the same in other bytes.
pub(in super::super) static FORM_REPRINTED: Finding = Finding {
    id: "form_reprinted",
    title: Text {
        en: "the form was read and written again on the way; what differs: {how}",
        zh: "表单在途中被解析后重新拼接；不同之处：{how}",
    },
    cause: Text {
        en: "`http_build_query($_POST)`, `new URLSearchParams()` or a proxy wrote the pairs anew: in another order, with `%20` \
             for `+`, small digits in escapes, or other characters escaped. Here the exact bytes are signed.",
        zh: "`http_build_query($_POST)`、`new URLSearchParams()` 或代理重新拼接了表单：顺序、`%20` 与 `+`、转义的大小写或转义的\
             字符集合不同，而这里签名覆盖的是原始字节。",
    },
    cure: Text {
        en: "Forward the raw body (`php://input`), not the pairs that a framework read from it.",
        zh: "请转发原始正文（`php://input`），不要转发框架解析出来的键值对。",
    },
    probes: &[Probe::Undo(form_reprinted)],
};

/// How a writer of forms escapes.
#[derive(Clone, Copy)]
struct Hand {
    /// What stays beside letters and digits.
    plain: &'static [u8],
    /// Whether a blank is a plus sign.
    plus: bool,
    /// Whether the digits of an escape are small.
    small: bool,
}

/// Browsers and Java, PHP, Python, PHP by RFC 3986, JavaScript, each with capital digits; then with small ones.
const HANDS: &[Hand] = &[
    Hand { plain: b"*-._", plus: true, small: false },
    Hand { plain: b"-._", plus: true, small: false },
    Hand { plain: b"-._~", plus: true, small: false },
    Hand { plain: b"-._~", plus: false, small: false },
    Hand { plain: b"-._~!*'()", plus: false, small: false },
    Hand { plain: b"-._~/", plus: true, small: false },
    Hand { plain: b"*-._", plus: true, small: true },
    Hand { plain: b"-._!*()", plus: true, small: true },
    Hand { plain: b"-._~", plus: false, small: true },
];

fn form_reprinted(case: &Case<'_>) -> Vec<Undo> {
    let mut tries = Tries::new(case);
    let body: &[u8] = &case.request.body;
    if Kind::of(body) != Kind::Form || !is_body_signed(case) {
        return Vec::new();
    }
    let hands = if is_dear(case) { &HANDS[..4] } else { HANDS };
    let pairs: Vec<&[u8]> = body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).collect();
    let mut sorted = pairs.clone();
    sorted.sort_unstable();
    for order in [&pairs, &sorted] {
        for hand in hands {
            let written: Vec<Vec<u8>> = order.iter().map(|pair| hand.pair(pair)).collect();
            let how = differences(body, &pairs, order, &written);
            tries.body(false, &[("how", how)], |_| Some(written.join(&b'&')));
        }
    }
    // In which order the pairs came is known to nobody afterwards; of few, all are tried.
    if !is_dear(case) && pairs.len() <= PERMUTED_MAX && body.len() <= PERMUTED_BYTES_MAX {
        permuted(&mut pairs.clone(), 0, &mut |order| {
            let how = differences(body, &pairs, order, order);
            tries.body(false, &[("how", how)], |_| Some(order.join(&b'&')));
        });
    }
    tries.undone()
}

/// In what a form differs from the one that came: its pairs stand in this order, and are written so.
fn differences(came: &[u8], pairs: &[&[u8]], order: &[&[u8]], written: &[impl AsRef<[u8]>]) -> String {
    let has_stray = came.split(|&byte| byte == b'&').count() > pairs.len();
    let has_other_escapes = order.iter().zip(written).any(|(came, written)| *came != written.as_ref());
    let all = [(order != pairs, "order"), (has_other_escapes, "escapes"), (has_stray, "ampersands")];
    let words: Vec<&str> = all.into_iter().filter(|(differs, _)| *differs).map(|(_, word)| word).collect();
    words.join(", ")
}

/// Most pairs whose orders are all tried: 720.
const PERMUTED_MAX: usize = 6;

/// Largest form whose orders are all tried.
const PERMUTED_BYTES_MAX: usize = 4096;

/// Every order of what stands from `fixed` on.
fn permuted<'p>(pairs: &mut [&'p [u8]], fixed: usize, each: &mut dyn FnMut(&[&'p [u8]])) {
    if fixed == pairs.len() {
        return each(pairs);
    }
    for at in fixed..pairs.len() {
        pairs.swap(fixed, at);
        permuted(pairs, fixed + 1, each);
        pairs.swap(fixed, at);
    }
}

impl Hand {
    fn pair(self, pair: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(pair.len());
        for (at, piece) in pair.splitn(2, |&byte| byte == b'=').enumerate() {
            if at > 0 {
                out.push(b'=');
            }
            self.piece(&mut out, &decoded(piece));
        }
        out
    }

    fn piece(self, out: &mut Vec<u8>, piece: &[u8]) {
        for &byte in piece {
            if byte.is_ascii_alphanumeric() || self.plain.contains(&byte) {
                out.push(byte);
            } else if byte == b' ' && self.plus {
                out.push(b'+');
            } else {
                let escape = if self.small { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
                out.extend_from_slice(escape.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_comes_once() {
        let mut orders = std::collections::BTreeSet::new();
        permuted(&mut [&b"a"[..], b"b", b"c", b"d"], 0, &mut |order| assert!(orders.insert(order.concat())));
        assert_eq!(orders.len(), 24);
    }

    #[test]
    fn only_what_differs_is_said() {
        let pairs = [&b"b=1+2"[..], b"a=1"];
        let sorted = [pairs[1], pairs[0]];
        let said = |came: &str, order: &[&[u8]], written: &[&str]| differences(came.as_bytes(), &pairs, order, written);
        assert_eq!(said("b=1+2&a=1", &sorted, &["a=1", "b=1+2"]), "order");
        assert_eq!(said("b=1+2&a=1", &sorted, &["a=1", "b=1%202"]), "order, escapes");
        assert_eq!(said("b=1+2&a=1", &pairs, &["b=1%202", "a=1"]), "escapes");
        assert_eq!(said("b=1+2&&a=1", &pairs, &["b=1+2", "a=1"]), "ampersands");
    }

    #[test]
    fn writers_are_met() {
        let all: Vec<String> =
            HANDS.iter().map(|hand| String::from_utf8(hand.pair(b"a%20b=*~/+%27%c3%a9")).unwrap()).collect();
        assert_eq!(all[0], "a+b=*%7E%2F+%27%C3%A9");
        assert_eq!(all[1], "a+b=%2A%7E%2F+%27%C3%A9");
        assert_eq!(all[2], "a+b=%2A~%2F+%27%C3%A9");
        assert_eq!(all[3], "a%20b=%2A~%2F%20%27%C3%A9");
        assert_eq!(all[4], "a%20b=*~%2F%20'%C3%A9");
        assert_eq!(all[8], "a%20b=%2a~%2f%20%27%c3%a9");
    }
}
