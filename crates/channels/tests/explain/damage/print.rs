//! Messages that were read and printed again.

use super::Damage;
use crate::explain::bytes::{Form, has, percent_encoded, read_form, replaced, with_form, with_values};
use crate::explain::json::{COMPACT, Json, Style, in_ascii, with_point, with_slashes};
use crate::explain::pen::restyled;
use crate::explain::stage::Scene;

/// A text whose characters are printed in several ways.
const WRITTEN: &str = "引号 a/b";

pub(super) static DAMAGES: &[Damage] = &[
    Damage::new("json_reprinted", "pretty, two blanks", |scene| {
        reprinted(scene, |json| json.print(&Style { indent: Some("  "), comma: ",", colon: ": " }))
    }),
    Damage::new("json_reprinted", "pretty, four blanks", |scene| {
        reprinted(scene, |json| json.print(&Style { indent: Some("    "), comma: ",", colon: ": " }))
    }),
    Damage::new("json_reprinted", "pretty, tabs", |scene| {
        reprinted(scene, |json| json.print(&Style { indent: Some("\t"), comma: ",", colon: ": " }))
    }),
    Damage::new("json_reprinted", "a blank behind commas and colons", |scene| {
        reprinted(scene, |json| json.print(&Style { indent: None, comma: ", ", colon: ": " }))
    }),
    Damage::new("json_reprinted", "without blanks", |scene| {
        reprinted(in_style(scene, &Style { indent: None, comma: ", ", colon: ": " })?, |json| json.print(&COMPACT))
    }),
    Damage::new("json_reprinted", "what was pretty without blanks", |scene| {
        reprinted(in_style(scene, &Style { indent: Some("  "), comma: ",", colon: ": " })?, |json| json.print(&COMPACT))
    }),
    Damage::new("json_reprinted", "what was in ASCII with other characters", |scene| {
        let scene = restyled(scene, |body| Some(Json::read(body)?.map(&in_ascii).print(&COMPACT).into_bytes()))?;
        let plain = |text: &str| -> String {
            let read: Option<String> = serde_json::from_str(text).ok();
            read.map_or_else(|| text.to_owned(), |text| serde_json::to_string(&text).expect("a text"))
        };
        reprinted(scene, |json| json.map(&plain).print(&COMPACT))
    })
    .noted(WRITTEN),
    Damage::new("json_reprinted", "escaped slashes without their escapes", |scene| {
        let scene = restyled(scene, |body| Some(Json::read(body)?.map(&with_slashes).print(&COMPACT).into_bytes()))?;
        reprinted(scene, |json| json.map(&|text| text.replace(r"\/", "/")).print(&COMPACT))
    })
    .noted(WRITTEN),
    Damage::new("json_reprinted", "decimal numbers as whole ones", |scene| {
        let scene = restyled(scene, |body| Some(Json::read(body)?.map(&with_point).print(&COMPACT).into_bytes()))?;
        reprinted(scene, |json| json.map(&|text| text.strip_suffix(".0").unwrap_or(text).to_owned()).print(&COMPACT))
    }),
    Damage::new("json_reprinted", "in ASCII", |scene| reprinted(scene, |json| json.map(&in_ascii).print(&COMPACT)))
        .noted(WRITTEN),
    Damage::new("json_reprinted", "with escaped slashes", |scene| {
        reprinted(scene, |json| json.map(&with_slashes).print(&COMPACT))
    })
    .noted(WRITTEN),
    Damage::new("json_reprinted", "in ASCII and with escaped slashes", |scene| {
        reprinted(scene, |json| json.map(&|text| with_slashes(&in_ascii(text))).print(&COMPACT))
    })
    .noted(WRITTEN),
    Damage::new("json_reprinted", "in ASCII, with blanks", |scene| {
        reprinted(scene, |json| json.map(&in_ascii).print(&Style { indent: None, comma: ", ", colon: ": " }))
    })
    .noted(WRITTEN),
    Damage::new("json_reprinted", "pretty, in ASCII and with escaped slashes", |scene| {
        reprinted(scene, |json| {
            let pretty = Style { indent: Some("    "), comma: ",", colon: ": " };
            json.map(&|text| with_slashes(&in_ascii(text))).print(&pretty)
        })
    })
    .noted(WRITTEN),
    Damage::new("json_reprinted", "sorted members in another order", |scene| {
        let sorted =
            Json::read(&scene.request.body)?.reordered(&|members| members.sort_by(|one, other| one.0.cmp(&other.0)));
        // Which order they had, only a sorted one tells.
        (sorted == Json::read(&scene.request.body)?).then_some(())?;
        reprinted(scene, |json| json.reordered(&|members| members.reverse()).print(&COMPACT))
    }),
    Damage::new("json_reprinted", "whole numbers as decimal ones", |scene| {
        reprinted(scene, |json| json.map(&with_point).print(&COMPACT))
    }),
    Damage::new("json_reprinted", "a pair's value that is JSON, pretty", |scene| {
        let pretty = Style { indent: Some("  "), comma: ",", colon: ": " };
        with_values(scene, |(_, value)| {
            let document = Json::read(value).filter(|json| !matches!(json, Json::Scalar(_)));
            document.map_or_else(|| value.clone(), |json| json.print(&pretty).into_bytes())
        })
    }),
    Damage::new("json_reprinted", "a pair's value that is JSON, with escaped slashes and in ASCII", |scene| {
        with_values(scene, |(_, value)| {
            let document = Json::read(value).filter(|json| !matches!(json, Json::Scalar(_)));
            let print = |json: Json| json.map(&|text| with_slashes(&in_ascii(text))).print(&COMPACT).into_bytes();
            document.map_or_else(|| value.clone(), print)
        })
    })
    .noted(WRITTEN),
    Damage::new("json_reprinted", "a member's text that is JSON, with blanks", |scene| {
        let blanks = Style { indent: None, comma: ", ", colon: ": " };
        reprinted(scene, |json| {
            let inner = |text: &str| -> Option<String> {
                let text: String = serde_json::from_str(text).ok()?;
                let json = Json::read(text.as_bytes()).filter(|json| !matches!(json, Json::Scalar(_)))?;
                serde_json::to_string(&json.print(&blanks)).ok()
            };
            json.map(&|text| inner(text).unwrap_or_else(|| text.to_owned())).print(&COMPACT)
        })
    }),
    Damage::new("xml_reprinted", "with white space between elements", |scene| {
        let body = xml(&scene)?;
        let spaced = spaced(&body);
        (spaced != body).then(|| scene.with_body(spaced))
    }),
    Damage::new("xml_reprinted", "text for CDATA", |scene| {
        let body = xml(&scene)?;
        has(&body, b"<![CDATA[").then_some(())?;
        Some(scene.with_body(replaced(&replaced(&body, b"<![CDATA[", b""), b"]]>", b"")))
    }),
    Damage::new("xml_reprinted", "with a declaration", |scene| {
        let body = xml(&scene)?;
        (!body.starts_with(b"<?xml")).then_some(())?;
        Some(scene.with_body([b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".as_slice(), &body].concat()))
    }),
    Damage::new("form_reprinted", "%20 for a plus sign", |scene| rewritten(scene, |text| replaced(text, b"+", b"%20")))
        .noted("two words"),
    Damage::new("form_reprinted", "small hexadecimal digits", |scene| rewritten(scene, small_digits)).noted("引号"),
    Damage::new("form_reprinted", "pairs sorted", |scene| {
        rewritten(scene, |text| {
            let mut pieces: Vec<&[u8]> = text.split(|&byte| byte == b'&').collect();
            pieces.sort_unstable();
            pieces.join(&b'&')
        })
    }),
    Damage::new("form_reprinted", "read and written", |scene| {
        rewritten(scene, |text| {
            let pairs = read_form(text);
            let one = |(name, value): &(Vec<u8>, Vec<u8>)| {
                let text = [percent_encoded(name), b"=".to_vec(), percent_encoded(value)].concat();
                replaced(&text, b" ", b"%20")
            };
            pairs.iter().map(one).collect::<Vec<_>>().join(&b'&')
        })
    }),
];

/// The body printed again from what was read; none where nothing changes.
fn reprinted(scene: Scene<'_>, print: impl Fn(&Json) -> String) -> Option<Scene<'_>> {
    let json = Json::read(&scene.request.body).filter(|json| !matches!(json, Json::Scalar(_)))?;
    let text = print(&json);
    (text.as_bytes() != &*scene.request.body).then(|| scene.with_body(text))
}

/// The scene of a platform that prints its documents so.
fn in_style<'s>(scene: Scene<'s>, style: &Style) -> Option<Scene<'s>> {
    restyled(scene, |body| Some(Json::read(body)?.print(style).into_bytes()))
}

/// The form written again; none where nothing changes.
fn rewritten(scene: Scene<'_>, write: impl Fn(&[u8]) -> Vec<u8>) -> Option<Scene<'_>> {
    let text = match Form::of(&scene.request) {
        Form::Form => scene.request.body.to_vec(),
        Form::Query => scene.request.query.clone()?.into_bytes(),
        _ => return None,
    };
    let other = write(&text);
    if other == text { None } else { with_form(scene, other) }
}

fn xml(scene: &Scene<'_>) -> Option<Vec<u8>> {
    (Form::of(&scene.request) == Form::Xml).then(|| scene.request.body.to_vec())
}

/// A line end behind each closing tag that stands before another tag.
fn spaced(xml: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut is_closing = false;
    for (at, &byte) in xml.iter().enumerate() {
        out.push(byte);
        if byte == b'<' {
            is_closing = xml.get(at + 1) == Some(&b'/');
        }
        if byte == b'>' && is_closing && xml.get(at + 1) == Some(&b'<') {
            out.push(b'\n');
        }
    }
    out
}

fn small_digits(text: &[u8]) -> Vec<u8> {
    let is_digit = |at: usize| text[at.saturating_sub(2)..at].contains(&b'%');
    text.iter().enumerate().map(|(at, byte)| if is_digit(at) { byte.to_ascii_lowercase() } else { *byte }).collect()
}
