//! What happens to a body on its way.

use super::Damage;
use crate::explain::bytes::{Form, replaced};
use crate::explain::json::{Json, Style};
use crate::explain::pen::restyled;
use crate::explain::stage::Scene;

pub(super) static DAMAGES: &[Damage] = &[
    Damage::new("bom", "a mark before the body", |scene| {
        let body = own(&scene)?;
        Some(scene.with_body([b"\xef\xbb\xbf".as_slice(), &body].concat()))
    }),
    Damage::new("line_ends", "LF added", |scene| behind(scene, b"\n")),
    Damage::new("line_ends", "CRLF added", |scene| behind(scene, b"\r\n")),
    Damage::new("line_ends", "a blank added", |scene| behind(scene, b" ")),
    Damage::new("line_ends", "the last line end cut", |scene| {
        let scene = restyled(scene, |body| Some([body, b"\n"].concat()))?;
        let body = own(&scene)?;
        Some(scene.with_body(body.trim_ascii_end()))
    }),
    Damage::new("line_ends", "LF as CRLF", |scene| {
        let scene = restyled(scene, in_lines)?;
        let body = own(&scene)?;
        Some(scene.with_body(replaced(&body, b"\n", b"\r\n")))
    }),
    Damage::new("line_ends", "CRLF as LF", |scene| {
        let scene = restyled(scene, |body| Some(replaced(&in_lines(body)?, b"\n", b"\r\n")))?;
        let body = own(&scene)?;
        Some(scene.with_body(replaced(&body, b"\r\n", b"\n")))
    }),
    Damage::new("body_empty", "nothing came", |scene| {
        own(&scene)?;
        Some(scene.with_body(""))
    }),
    Damage::new("body_cut", "half of what Content-Length says", |scene| {
        let body = own(&scene)?;
        let length = body.len().to_string();
        scene.with_body(&body[..body.len() / 2]).with_header("content-length", length.as_bytes())
    }),
    Damage::new("body_cut", "the last bytes of what Content-Length says", |scene| {
        let body = own(&scene)?;
        let length = body.len().to_string();
        scene.with_body(&body[..body.len() - 5]).with_header("content-length", length.as_bytes())
    }),
    Damage::new("body_cut", "a document that ends in the middle", |scene| {
        let body = own(&scene)?;
        let is_document = matches!(Form::of(&scene.request), Form::Json | Form::Xml);
        is_document.then(|| scene.with_body(&body[..body.len() / 2]))
    }),
];

/// The body, where there is one.
fn own(scene: &Scene<'_>) -> Option<Vec<u8>> {
    let body = scene.request.body.to_vec();
    (!body.is_empty()).then_some(body)
}

/// A document in several lines.
fn in_lines(body: &[u8]) -> Option<Vec<u8>> {
    let json = Json::read(body).filter(|json| !matches!(json, Json::Scalar(_)))?;
    Some(json.print(&Style { indent: Some("  "), comma: ",", colon: ": " }).into_bytes())
}

fn behind<'s>(scene: Scene<'s>, more: &[u8]) -> Option<Scene<'s>> {
    let body = own(&scene)?;
    Some(scene.with_body([&body, more].concat()))
}
