//! What happens to a body on its way.

use super::Damage;
use crate::explain::bytes::{Form, has, replaced};
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
        let body = own(&scene)?;
        let cut = body.trim_ascii_end().to_vec();
        (cut != body).then(|| scene.with_body(cut))
    }),
    Damage::new("line_ends", "LF as CRLF", |scene| {
        let body = own(&scene)?;
        let is_unix = has(&body, b"\n") && !has(&body, b"\r");
        is_unix.then(|| scene.with_body(replaced(&body, b"\n", b"\r\n")))
    }),
    Damage::new("line_ends", "CRLF as LF", |scene| {
        let body = own(&scene)?;
        has(&body, b"\r\n").then(|| scene.with_body(replaced(&body, b"\r\n", b"\n")))
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

fn behind<'s>(scene: Scene<'s>, more: &[u8]) -> Option<Scene<'s>> {
    let body = own(&scene)?;
    Some(scene.with_body([&body, more].concat()))
}
