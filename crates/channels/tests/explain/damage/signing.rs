//! Senders that sign another text than the platform does, with the platform's own key.

use tollbell_channels::simulate::{Carrier, Cover, Covered};

use super::Damage;
use crate::explain::bytes::{Form, encoded, has, hex, pairs, percent_encoded, replaced, with_form};
use crate::explain::json::Json;
use crate::explain::pen::{Algorithm, Pen, Piece, Writing};
use crate::explain::stage::Scene;

/// A value that an encoder changes.
const ENCODABLE: &str = "引号 a";

pub(super) static DAMAGES: &[Damage] = &[
    Damage::new("sign_type_signed", "what is left out is signed", |scene| {
        let joined = Joined::of(&scene)?;
        let more: Vec<Pair> = joined.left_out.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        (!more.is_empty()).then_some(())?;
        let mut all = joined.signed.clone();
        all.extend(more);
        all.sort();
        joined.resigned(scene, &all)
    }),
    Damage::new("empty_values_signed", "an empty pair is signed", |scene| {
        let joined = Joined::of(&scene)?;
        let scene = with_pair(scene, "remark_more=")?;
        let mut all = joined.signed.clone();
        all.push(("remark_more".to_owned(), String::new()));
        all.sort();
        joined.resigned(scene, &all)
    }),
    Damage::new("key_joined_otherwise", "directly", |scene| with_tail(scene, b"")),
    Damage::new("key_joined_otherwise", "behind &key=", |scene| with_tail(scene, b"&key=")),
    Damage::new("key_joined_otherwise", "behind &", |scene| with_tail(scene, b"&")),
    Damage::new("key_joined_otherwise", "before the text", |scene| {
        let joined = Joined::of(&scene)?;
        let tail = joined.tail.clone()?;
        let text = text_of(&joined.signed);
        let other = [Piece::Secret, Piece::Text(text)];
        (!tail.is_empty() || joined.pen.pieces != other).then_some(())?;
        let signature = joined.pen.sign(&other)?;
        joined.pen.put(scene, &signature)
    }),
    Damage::new("digest_case", "the other case", |scene| {
        let pen = Pen::of(&scene)?;
        let other = match pen.writing {
            Writing::Lower => pen.signature.to_uppercase(),
            Writing::Upper => pen.signature.to_lowercase(),
            _ => return None,
        };
        pen.put(scene, &other)
    }),
    Damage::new("signature_encoding", "hexadecimal for base64", |scene| {
        written(
            scene,
            |own| matches!(own, Writing::Base64 | Writing::Base64Url | Writing::Base64UrlBare),
            Writing::Lower,
        )
    }),
    Damage::new("signature_encoding", "base64 for hexadecimal", |scene| {
        written(scene, |own| matches!(own, Writing::Lower | Writing::Upper), Writing::Base64)
    }),
    Damage::new("signature_encoding", "base64 for URLs", |scene| {
        written(scene, |own| own == Writing::Base64, Writing::Base64Url)
    }),
    Damage::new("signed_otherwise", "another place of the key, and the pairs as they came", |scene| {
        let joined = Joined::of(&scene)?;
        (joined.as_sent != joined.signed).then_some(())?;
        let tail: &[u8] = if joined.tail.as_ref()?.is_empty() { b"&key=" } else { b"" };
        let text = [&text_of(&joined.as_sent), tail].concat();
        let signature = joined.pen.sign(&[Piece::Text(text), Piece::Secret])?;
        joined.pen.put(scene, &signature)
    }),
    Damage::new("sorted_otherwise", "as they came", |scene| {
        let joined = Joined::of(&scene)?;
        let order = joined.as_sent.clone();
        joined.resigned(scene, &order)
    }),
    Damage::new("sorted_otherwise", "whatever their letters' case", |scene| {
        // A pair that stands elsewhere then, and that the platform could have sent.
        let joined = Joined::of(&scene)?;
        let scene = with_pair(scene, "Zone=7")?;
        let mut all = joined.signed.clone();
        all.push(("Zone".to_owned(), "7".to_owned()));
        all.sort();
        let usual = joined.resigned(scene.clone(), &all)?;
        usual.diagnose()?.outcome.is_accepted().then_some(())?;
        all.sort_by_key(|(name, _)| name.to_lowercase());
        joined.resigned(scene, &all)
    }),
    Damage::new("sorted_otherwise", "backwards", |scene| {
        let joined = Joined::of(&scene)?;
        let mut order = joined.signed.clone();
        order.reverse();
        joined.resigned(scene, &order)
    }),
    Damage::new("query_signed", "the notify URL's parameter", |mut scene| {
        let joined = Joined::of(&scene)?;
        match joined.carrier {
            Carrier::Query => {
                let text = format!("tenant=7&{}", scene.request.query.as_ref()?);
                scene.request.query = Some(text);
            }
            _ => scene.request.query = Some("tenant=7".to_owned()),
        }
        let mut all = joined.signed.clone();
        all.push(("tenant".to_owned(), "7".to_owned()));
        all.sort();
        joined.resigned(scene, &all)
    }),
    Damage::new("line_ends_signed", "CRLF for LF", |scene| templated(scene, |text| replaced(text, b"\n", b"\r\n"))),
    Damage::new("line_ends_signed", "without the last LF", |scene| {
        templated(scene, |text| text.strip_suffix(b"\n").unwrap_or(text).to_vec())
    }),
    Damage::new("line_ends_signed", "with a last LF", |scene| {
        templated(scene, |text| if text.ends_with(b"\n") { text.to_vec() } else { [text, b"\n"].concat() })
    }),
    Damage::new("hashed_otherwise", "twice for once", |scene| {
        let pen = Pen::of(&scene)?;
        let text = pen.text()?;
        (pen.algorithm.is_public_key() && pen.first.is_none()).then_some(())?;
        // By the digest that the signature is made with.
        let own = if pen.algorithm == Algorithm::RsaMd5 { Algorithm::Md5 } else { Algorithm::Sha256 };
        let hash = own.sign(b"", &[Piece::Text(text.to_vec())])?;
        let signature = pen.sign(&[Piece::Text(hex(&hash).into_bytes())])?;
        pen.put(scene, &signature)
    }),
    Damage::new("hashed_otherwise", "once for twice", |scene| {
        let pen = Pen::of(&scene)?;
        pen.first?;
        let signature = pen.sign_unhashed(&pen.pieces)?;
        pen.put(scene, &signature)
    }),
    Damage::new("encoded_signed", "values as in a URL", |scene| {
        let joined = Joined::of(&scene)?;
        let all = joined.mapped(|value| replaced(&percent_encoded(value), b" ", b"%20"));
        joined.resigned(scene, &all)
    })
    .noted(ENCODABLE),
    Damage::new("encoded_signed", "values as in a form", |scene| {
        let joined = Joined::of(&scene)?;
        let all = joined.mapped(encoded);
        joined.resigned(scene, &all)
    })
    .noted(ENCODABLE),
    Damage::new("algorithm_other", "HMAC-SHA256 for a digest", |scene| {
        by(scene, Algorithm::is_digest, Algorithm::HmacSha256)
    }),
    Damage::new("algorithm_other", "MD5 for another", |scene| {
        by(scene, |algorithm| !algorithm.is_public_key(), Algorithm::Md5)
    }),
    Damage::new("algorithm_other", "SHA-256 for another digest", |scene| {
        by(scene, Algorithm::is_digest, Algorithm::Sha256)
    }),
    Damage::new("algorithm_other", "HMAC-SHA1 for another", |scene| {
        by(scene, |algorithm| matches!(algorithm, Algorithm::HmacSha256 | Algorithm::HmacSha512), Algorithm::HmacSha1)
    }),
    Damage::new("algorithm_other", "HMAC-SHA512 for another", |scene| {
        by(scene, |algorithm| matches!(algorithm, Algorithm::HmacSha256 | Algorithm::HmacSha1), Algorithm::HmacSha512)
    }),
    Damage::new("algorithm_other", "RSA with MD5 for another", |scene| by(scene, Algorithm::is_rsa, Algorithm::RsaMd5)),
    Damage::new("algorithm_other", "RSA with SHA-256 for another", |scene| {
        by(scene, Algorithm::is_rsa, Algorithm::RsaSha256)
    }),
    Damage::new("algorithm_other", "RSA with SHA-512 for another", |scene| {
        by(scene, Algorithm::is_rsa, Algorithm::RsaSha512)
    }),
];

type Pair = (String, String);

/// A message whose pairs are joined for its signature.
struct Joined {
    pen: Pen,
    carrier: Carrier,
    /// What is signed, in its order.
    signed: Vec<Pair>,
    /// The same in the message's order.
    as_sent: Vec<Pair>,
    /// What else is in the message, without the signature.
    left_out: Vec<Pair>,
    /// What stands between the pairs and the secret; none where no secret is in the text.
    tail: Option<Vec<u8>>,
}

impl Joined {
    fn of(scene: &Scene<'_>) -> Option<Self> {
        let Cover::Pairs(cover) = &scene.genuine.cover else { return None };
        let Covered::Joined { but, .. } = cover.covered else { return None };
        let (left_out, as_sent): (Vec<Pair>, Vec<Pair>) =
            message(scene)?.into_iter().partition(|(name, _)| but.contains(&&**name));
        let left_out = left_out.into_iter().filter(|(name, _)| Some(&**name) != cover.signature).collect();
        let pen = Pen::of(scene)?;
        let (text, tail_end) = match pen.pieces.as_slice() {
            [Piece::Text(text)] => (text, None),
            [Piece::Text(text), Piece::Secret] => (text, Some(())),
            _ => return None,
        };
        // Some sign empty values, and some do not.
        for with_empty in [true, false] {
            let mut signed: Vec<Pair> =
                as_sent.iter().filter(|(_, value)| with_empty || !value.is_empty()).cloned().collect();
            signed.sort();
            if let Some(tail) = text.strip_prefix(text_of(&signed).as_slice()) {
                let is_whole = tail_end.is_some() || tail.is_empty();
                let tail = tail_end.map(|()| tail.to_vec());
                let as_sent = as_sent.into_iter().filter(|(_, value)| with_empty || !value.is_empty()).collect();
                let carrier = cover.carrier;
                return is_whole.then_some(Self { pen, carrier, signed, as_sent, left_out, tail });
            }
        }
        None
    }

    /// The scene signed over these pairs.
    fn resigned<'s>(&self, scene: Scene<'s>, pairs: &[Pair]) -> Option<Scene<'s>> {
        let mut text = text_of(pairs);
        let mut pieces = Vec::new();
        if let Some(tail) = &self.tail {
            text.extend_from_slice(tail);
            pieces.push(Piece::Secret);
        }
        pieces.insert(0, Piece::Text(text));
        let signature = self.pen.sign(&pieces)?;
        self.pen.put(scene, &signature)
    }

    fn mapped(&self, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Pair> {
        let one = |(name, value): &Pair| {
            (name.clone(), String::from_utf8(change(value.as_bytes())).expect("what is encoded is text"))
        };
        self.signed.iter().map(one).collect()
    }
}

fn text_of(pairs: &[Pair]) -> Vec<u8> {
    let pieces: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pieces.join("&").into_bytes()
}

/// The pairs of a message, wherever they stand; none where it has none.
fn message(scene: &Scene<'_>) -> Option<Vec<Pair>> {
    let text = |text: Vec<u8>| String::from_utf8(text).ok();
    match Form::of(&scene.request) {
        Form::Form | Form::Query => {
            pairs(&scene.request)?.into_iter().map(|(name, value)| Some((text(name)?, text(value)?))).collect()
        }
        Form::Json => {
            let Json::Object(members) = Json::read(&scene.request.body)? else { return None };
            members
                .into_iter()
                .map(|(name, member)| {
                    let Json::Scalar(value) = member else { return None };
                    let name = serde_json::from_str(&name).ok()?;
                    Some((name, serde_json::from_str(&value).unwrap_or(value)))
                })
                .collect()
        }
        Form::Xml => elements(&text(scene.request.body.to_vec())?),
        Form::Other => None,
    }
}

/// The elements under the root, in CDATA each.
fn elements(xml: &str) -> Option<Vec<Pair>> {
    let mut found = Vec::new();
    for piece in xml.split("]]>").filter(|piece| piece.contains("<![CDATA[")) {
        let (before, value) = piece.split_once("<![CDATA[")?;
        let name = before.strip_suffix('>')?.rsplit('<').next()?;
        found.push((name.to_owned(), value.to_owned()));
    }
    Some(found)
}

/// The scene with another pair, in a form or a query.
fn with_pair<'s>(scene: Scene<'s>, pair: &str) -> Option<Scene<'s>> {
    let text = match Form::of(&scene.request) {
        Form::Form => scene.request.body.to_vec(),
        Form::Query => scene.request.query.clone()?.into_bytes(),
        _ => return None,
    };
    with_form(scene, [pair.as_bytes(), b"&", &text].concat())
}

/// Signed with this between the pairs and the secret.
fn with_tail<'s>(scene: Scene<'s>, tail: &[u8]) -> Option<Scene<'s>> {
    let joined = Joined::of(&scene)?;
    joined.tail.as_ref().filter(|own| *own != tail)?;
    let text = [&text_of(&joined.signed), tail].concat();
    let signature = joined.pen.sign(&[Piece::Text(text), Piece::Secret])?;
    joined.pen.put(scene, &signature)
}

/// Signed with other line ends in what is made of several lines.
fn templated(scene: Scene<'_>, change: impl Fn(&[u8]) -> Vec<u8>) -> Option<Scene<'_>> {
    let pen = Pen::of(&scene)?;
    let text = pen.text()?;
    // A line end of the body's own says nothing about the template.
    (has(text, b"\n") && text != &*scene.request.body).then_some(())?;
    // Nor does one of a value's.
    let values = message(&scene).unwrap_or_default();
    (!values.iter().any(|(_, value)| value.contains('\n') && has(text, value.as_bytes()))).then_some(())?;
    let other = change(text);
    // Behind a body that ends the text, nobody can tell whose line end it is.
    (!text.ends_with(&scene.request.body) || other.ends_with(&scene.request.body)).then_some(())?;
    (other != text).then_some(())?;
    let signature = pen.sign(&[Piece::Text(other)])?;
    pen.put(scene, &signature)
}

/// The right signature, written otherwise.
fn written(scene: Scene<'_>, is_due: impl Fn(Writing) -> bool, other: Writing) -> Option<Scene<'_>> {
    let pen = Pen::of(&scene)?;
    is_due(pen.writing).then_some(())?;
    let signature = pen.write(pen.algorithm, &pen.pieces, other)?;
    pen.put(scene, &signature)
}

/// Signed by another algorithm.
fn by(scene: Scene<'_>, is_due: impl Fn(Algorithm) -> bool, other: Algorithm) -> Option<Scene<'_>> {
    let pen = Pen::of(&scene)?;
    (is_due(pen.algorithm) && pen.algorithm != other).then_some(())?;
    let is_keyed = pen.pieces.contains(&Piece::Secret);
    // A digest with no secret in it would prove nothing to anybody.
    let pieces = if other.is_digest() && !is_keyed {
        [pen.pieces.as_slice(), &[Piece::Secret]].concat()
    } else {
        pen.pieces.clone()
    };
    let signature = pen.write(other, &pieces, pen.writing)?;
    pen.put(scene, &signature)
}
