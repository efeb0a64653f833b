//! What happens to texts between two encodings.

use super::{Damage, QUOTED};
use crate::explain::bytes::{
    Form, decoded, encoded, has, html_escaped, in_gbk, is_base64, misread, pairs, percent_decoded, read_form, replaced,
    slashed, with_form, with_values, write_form,
};
use crate::explain::stage::{Scene, WAYS};

/// A merchant's text that is percent-encoded itself, as some pass one on.
const ENCODED: &str = "a%3Db%26c%E9%87%91d";

/// A short text in Chinese.
const CHINESE: &str = "引号";

pub(super) static DAMAGES: &[Damage] = &[
    Damage::new("plus_lost", "plus signs of base64 in pairs as blanks", |scene| {
        let scene = with_plus(scene)?;
        with_values(scene, |(_, value)| if is_base64(value) { blank(value) } else { value.clone() })
    }),
    Damage::new("plus_lost", "plus signs of base64 in pairs bare", |scene| {
        let scene = with_plus(scene)?;
        let text = replaced(&form_text(&scene)?, b"%2B", b"+");
        (text != form_text(&scene)?).then_some(())?;
        with_form(scene, text)
    }),
    Damage::new("plus_lost", "plus signs of a header's base64 as blanks", |scene| {
        let scene = with_plus(scene)?;
        let headers = scene.request.headers.clone();
        let mut spoilt = headers.iter().filter(|(_, value)| {
            let text = value.as_bytes();
            has(text, b"+") && text.len() >= 40 && !has(text, b" ")
        });
        let (name, value) = spoilt.next()?;
        scene.with_header(name.as_str(), &blank(value.as_bytes()))
    }),
    Damage::new("decoded_twice", "each value decoded once more", |scene| {
        with_values(scene, |(_, value)| percent_decoded(value))
    })
    .noted(ENCODED),
    Damage::new("decoded_twice", "each value decoded once more, plus signs too", |scene| {
        pairs(&scene.request)?.iter().any(|(_, value)| has(value, b"%3D")).then_some(())?;
        with_values(scene, |(_, value)| decoded(value))
    })
    .noted(ENCODED),
    Damage::new("encoded_twice", "each value encoded once more", |scene| {
        with_values(scene, |(_, value)| encoded(value))
    }),
    Damage::new("encoded_twice", "the whole form encoded once more", |scene| {
        let text = form_text(&scene)?;
        let once: Vec<_> =
            read_form(&text).into_iter().map(|(name, value)| (encoded(&name), encoded(&value))).collect();
        let twice = write_form(&once);
        (twice != text).then_some(())?;
        with_form(scene, twice)
    })
    .noted(QUOTED),
    Damage::new("html_escaped", "values of pairs escaped", |scene| {
        with_values(scene, |(_, value)| html_escaped(value, "'"))
    })
    .noted(QUOTED),
    Damage::new("html_escaped", "values of pairs escaped, apostrophes too", |scene| {
        with_values(scene, |(_, value)| html_escaped(value, "&#039;"))
    })
    .noted(QUOTED),
    Damage::new("html_escaped", "the document escaped", |scene| {
        let body = document(&scene, Form::Json)?;
        Some(scene.with_body(html_escaped(&body, "&#039;")))
    })
    .noted(QUOTED),
    Damage::new("html_escaped", "values of elements escaped once more", |scene| {
        let body = document(&scene, Form::Xml)?;
        let cdata = |text: &[u8]| {
            let text = String::from_utf8(text.to_vec()).ok()?;
            let mut parts = text.split("<![CDATA[");
            let mut out = parts.next()?.to_owned();
            for part in parts {
                let (inner, behind) = part.split_once("]]>")?;
                out.push_str("<![CDATA[");
                out.push_str(&String::from_utf8(html_escaped(inner.as_bytes(), "'")).ok()?);
                out.push_str("]]>");
                out.push_str(behind);
            }
            Some(out.into_bytes())
        };
        let escaped = cdata(&body)?;
        (escaped != body).then(|| scene.with_body(escaped))
    })
    .noted(QUOTED),
    Damage::new("slashes_added", "values of pairs", |scene| with_values(scene, |(_, value)| slashed(value)))
        .noted(QUOTED),
    Damage::new("slashes_added", "the document", |scene| {
        let body = document(&scene, Form::Json)?;
        Some(scene.with_body(slashed(&body)))
    })
    .noted(QUOTED),
    Damage::new("charset_changed", "values of pairs in GBK", |scene| {
        with_values(scene, |(_, value)| in_gbk(value).unwrap_or_else(|| value.clone()))
    })
    .noted(CHINESE),
    Damage::new("charset_changed", "values of pairs taken for Latin-1", |scene| {
        with_values(scene, |(_, value)| misread(value))
    })
    .noted(CHINESE),
    Damage::new("charset_changed", "the document in GBK", |scene| {
        let body = scene.request.body.to_vec();
        let other = in_gbk(&body).filter(|other| *other != body)?;
        Some(scene.with_body(other))
    })
    .noted(CHINESE),
    Damage::new("charset_changed", "the document taken for Latin-1", |scene| {
        let body = scene.request.body.to_vec();
        let other = misread(&body);
        (other != body).then(|| scene.with_body(other))
    })
    .noted(CHINESE),
    Damage::new("charset_changed", "another charset in its own pair", |scene| {
        let is_charset = |value: &[u8]| value.eq_ignore_ascii_case(b"utf-8");
        with_values(scene, |(_, value)| if is_charset(value) { b"GBK".to_vec() } else { value.clone() })
    })
    .noted(CHINESE),
];

fn blank(text: &[u8]) -> Vec<u8> {
    replaced(text, b"+", b" ")
}

/// The text of a form or a query, as it was written.
fn form_text(scene: &Scene<'_>) -> Option<Vec<u8>> {
    match Form::of(&scene.request) {
        Form::Form => Some(scene.request.body.to_vec()),
        Form::Query => scene.request.query.clone().map(String::into_bytes),
        _ => None,
    }
}

fn document(scene: &Scene<'_>, form: Form) -> Option<Vec<u8>> {
    (Form::of(&scene.request) == form).then(|| scene.request.body.to_vec())
}

/// A scene of the same story whose signature has a plus sign in it.
fn with_plus(scene: Scene<'_>) -> Option<Scene<'_>> {
    let has_plus = |scene: &Scene<'_>| {
        let request = &scene.request;
        let in_pairs = pairs(request).unwrap_or_default();
        in_pairs.iter().any(|(_, value)| is_base64(value) && has(value, b"+"))
            || request.headers.values().any(|value| value.len() >= 40 && has(value.as_bytes(), b"+"))
    };
    if has_plus(&scene) {
        return Some(scene);
    }
    // What was spoilt already is not told again.
    scene.is_untouched().then_some(())?;
    // The same way of telling it comes again after a round.
    (1..6).map(|round| scene.again(scene.story.serial + round * WAYS)).find(has_plus)
}
