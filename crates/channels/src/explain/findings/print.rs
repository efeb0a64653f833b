//! Messages that were read and printed again: the same values in other bytes.

mod form;
mod json;
mod xml;

use self::json::{Beyond, Hand, Html, Numbers, Order, Spacing, differences};
use super::tries::Tries;
use super::values::{self, Kind, Value, is_dear};
use crate::explain::{Case, Facts, Finding, Probe, Undo};
use crate::json::Json;
use crate::settings::Text;

pub(super) use form::FORM_REPRINTED;
pub(super) use xml::XML_REPRINTED;

/// JSON that says the same in other bytes.
pub(super) static JSON_REPRINTED: Finding = Finding {
    id: "json_reprinted",
    title: Text {
        en: "the JSON of `{field}` was read and printed again on the way; what differs: {how}",
        zh: "`{field}` 的 JSON 在途中被解析后重新序列化；不同之处：{how}",
    },
    cause: Text {
        en: "A framework parsed the body and something printed it again (`json_encode(json_decode($body))`, \
             `JSON.stringify(req.body)`, `json.dumps()`). That changes blanks, escapes (`\\/`, `\\u4e2d`, `\\u003c`), numbers \
             (`10.00`) or empty objects, and the signature covers the exact bytes.",
        zh: "框架解析了正文，随后又重新序列化（`json_encode(json_decode($body))`、`JSON.stringify(req.body)`、`json.dumps()`），\
             空白、转义（`\\/`、`\\u4e2d`、`\\u003c`）、数字写法（`10.00`）或空对象因此改变，而签名覆盖的是原始字节。",
    },
    cure: Text {
        en: "Forward the raw body: `php://input` or `$request->getContent()`, `express.raw()`, `request.get_data()`; never what \
             a parser made of it.",
        zh: "请转发原始正文：`php://input`、`$request->getContent()`、`express.raw()`、`request.get_data()` 等，不要用解析后的结果。",
    },
    probes: &[Probe::UndoTold(json_reprinted, how_reprinted)],
};

/// Most writings that are tried where each costs an operation with a public key.
const DEAR_MAX: usize = 16;

/// Most writings that are tried where a check is cheap.
const CHEAP_MAX: usize = 80;

/// Most bytes that are printed together.
const PRINTED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Escapes of the usual printers: slashes, characters beyond ASCII, characters of HTML. The most usual come first.
const ESCAPES: &[(bool, Beyond, Html)] = &[
    (false, Beyond::Plain, Html::Plain),
    (true, Beyond::Small, Html::Plain),
    (true, Beyond::Plain, Html::Plain),
    (false, Beyond::Small, Html::Plain),
    (false, Beyond::Plain, Html::Tags),
    (false, Beyond::Plain, Html::Signs),
    (false, Beyond::Capital, Html::Plain),
    (false, Beyond::Small, Html::Tags),
    (false, Beyond::Capital, Html::Signs),
];

/// Every writing that is tried, the most usual first, and whether a line end follows.
fn hands() -> impl Iterator<Item = (Hand, bool)> {
    let of = |spacing, &(slashes, beyond, html): &(bool, Beyond, Html)| {
        (Hand { spacing, slashes, beyond, html, ..Hand::COMPACT }, false)
    };
    let compact = ESCAPES.iter().map(move |escapes| of(Spacing::None, escapes));
    let spaced = [3, 0].map(|at| of(Spacing::Blanks, &ESCAPES[at]));
    let lines = ["  ", "    ", "\t"]
        .into_iter()
        .flat_map(move |indent| [0, 3, 1].map(|at| of(Spacing::Lines(indent), &ESCAPES[at])));
    let main: Vec<(Hand, bool)> = compact.clone().take(4).chain(spaced).collect();
    let ended = [main[0], main[1], main[4], main[5]].into_iter().chain(lines.clone()).map(|(hand, _)| (hand, true));
    let numbers = [Numbers::Whole, Numbers::Hundredths, Numbers::AllHundredths, Numbers::Tenths, Numbers::Texts];
    let plain_numbers = numbers.map(|numbers| (Hand { numbers, ..Hand::COMPACT }, false));
    let of_numbers: Vec<(Hand, bool)> = numbers
        .into_iter()
        .flat_map(|numbers| main.iter().map(move |(hand, ended)| (Hand { numbers, ..*hand }, *ended)))
        .collect();
    let empty: Vec<(Hand, bool)> =
        main.iter().chain(&of_numbers).map(|(hand, ended)| (Hand { empty_objects: true, ..*hand }, *ended)).collect();
    compact.chain(plain_numbers).chain(spaced).chain(lines).chain(of_numbers).chain(ended).chain(empty)
}

fn json_reprinted(case: &Case<'_>) -> Vec<Undo> {
    let most = if is_dear(case) { DEAR_MAX } else { CHEAP_MAX };
    let most = most.min(PRINTED_BYTES_MAX / case.request.body.len().max(1));
    let mut tries = Tries::new(case);
    let body = read(&case.request.body).filter(|_| case.kept.has_bytes);
    // Who keeps members in a map loses their order, which is known where the platform has a plain one.
    let known = [Order::Written(case.channel.member_order()), Order::Names, Order::IdFirst];
    let orders: Vec<Json> = body.iter().flat_map(|json| known.map(|order| order.of(json))).collect();
    let inner_max = inner_max(case);
    for (hand, is_ended) in hands() {
        if tries.len() >= most {
            break;
        }
        if tries.len() < inner_max {
            let printed = values::rewritten(case, |value: &Value<'_>| Some(hand.print(&read(&value.bytes)?)));
            if let Some(printed) = printed.filter(|_| !is_ended) {
                tries.push(false, vec![("field", printed.names())], printed.request);
            }
        }
        if let Some(json) = body.as_ref().filter(|_| tries.len() + orders.len() < most) {
            let mut printed = hand.print(json);
            if is_ended {
                printed.push(b'\n');
            }
            tries.body(false, &[("field", "body".to_owned())], |_| Some(printed));
        }
    }
    for json in orders {
        for (hand, _) in hands().take(if is_dear(case) { 1 } else { 4 }) {
            let printed = hand.print(&json);
            tries.body(false, &[("field", "body".to_owned())], |_| Some(printed));
        }
    }
    tries.undone()
}

/// How what came differs from what was signed: in the first value that was printed again, else in the body.
fn how_reprinted(came: &Case<'_>, sent: &Case<'_>) -> Facts {
    let (values, others) = (values::all(came), values::all(sent));
    let mut both = values.iter().zip(&others).map(|(came, sent)| (&*came.bytes, &*sent.bytes));
    let inner = both.find(|(came, sent)| came != sent && read(came).is_some());
    let (came, sent) = inner.unwrap_or((&came.request.body, &sent.request.body));
    vec![("how", differences(came, sent))]
}

/// How many writings of JSON inside values are tried: where checks are dear, few, and none where the values are written
/// as most platforms write them already.
fn inner_max(case: &Case<'_>) -> usize {
    /// Most writings that are tried where each costs operations with public keys.
    const DEAR_MAX: usize = 4;
    let inner: Vec<(Value<'_>, Json)> = values::all(case)
        .into_iter()
        .filter_map(|value| {
            let json = read(&value.bytes)?;
            Some((value, json))
        })
        .collect();
    if inner.is_empty() {
        0
    } else if !is_dear(case) {
        CHEAP_MAX
    } else if inner.iter().any(|(value, json)| Hand::COMPACT.print(json) != *value.bytes) {
        DEAR_MAX
    } else {
        0
    }
}

/// A JSON object or list.
fn read(text: &[u8]) -> Option<Json> {
    let is_json = Kind::of(text) == Kind::Json && text.len() <= values::BODY_BYTES_MAX;
    let read = if is_json { Json::parse(text).ok() } else { None };
    read.filter(|json| matches!(json, Json::Object(_) | Json::List(_)))
}
