//! Nothing that may be printed contains key material, a signature or a body.

use tollbell_channels::channel::Verdict;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{Carrier, Genuine};

use super::cover::{signature_of, without_signature};
use super::pairs::Paired;
use super::world::{World, changed, values, with_body, with_every_platform, with_header};

/// Characters of key material that are too many to be there by chance.
const CHUNK: usize = 16;

/// Every piece of some key material in the shapes in which it could leak.
fn pieces(material: &[u8]) -> Vec<String> {
    let mut pieces = Vec::new();
    let text = String::from_utf8_lossy(material);
    let inner: String = text.lines().filter(|line| !line.contains("-----")).flat_map(str::chars).collect();
    let chars: Vec<char> = inner.chars().filter(char::is_ascii_graphic).collect();
    pieces.extend(chars.chunks_exact(CHUNK).map(|chunk| chunk.iter().collect::<String>()));
    for bytes in material.chunks_exact(CHUNK / 2) {
        let hexadecimal: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        pieces.push(hexadecimal.concat());
        pieces.push(hexadecimal.concat().to_uppercase());
        pieces.push(bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
    }
    pieces.extend(material.chunks_exact(CHUNK).map(|bytes| bytes.escape_ascii().to_string()));
    pieces
}

/// The keys of the settings, decoded as well where they are base64, and the other side's private half.
fn secrets(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for (_, value) in values(world.platform, &world.side.settings()) {
        if let SettingValue::Key(bytes) = value {
            found.extend(pieces(&bytes));
            found.extend(pieces(&decoded(&bytes)));
        }
    }
    let exported = without_ids(world, &world.side.export());
    found.extend(pieces(&exported));
    found.extend(pieces(&decoded(&exported)));
    assert!(found.len() > 4, "{}: no key material to look for", world.platform.kind);
    found
}

/// An export may carry the merchant's ids as well, which are no secret.
fn without_ids(world: &World, exported: &[u8]) -> Vec<u8> {
    let mut text = exported.to_vec();
    for (_, value) in values(world.platform, &world.side.settings()) {
        let ids = match value {
            SettingValue::Text(id) => vec![id],
            SettingValue::Texts(ids) => ids,
            _ => continue,
        };
        for id in ids {
            while let Some(at) = text.windows(id.len()).position(|window| window == id.as_bytes()) {
                text.drain(at..at + id.len());
            }
        }
    }
    text
}

fn decoded(material: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = String::from_utf8_lossy(material);
    let inner: String = text.lines().filter(|line| !line.contains("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(inner.trim()).unwrap_or_default()
}

fn check(world: &World, secrets: &[String], what: &str, shown: &str) {
    for secret in secrets {
        assert!(!shown.contains(secret), "{}: {what} shows key material", world.platform.kind);
    }
}

#[test]
fn what_is_printed_contains_no_key() {
    with_every_platform(no_key_is_printed);
}

pub(crate) fn no_key_is_printed(world: &World) {
    let secrets = secrets(world);
    let settings = world.side.settings();
    check(world, &secrets, "settings", &format!("{settings:?}"));
    check(world, &secrets, "written settings", &format!("{:?}", world.side.written_settings()));
    check(world, &secrets, "key notes", &format!("{:?}", world.channel.keys()));
    check(world, &secrets, "the platform", &format!("{:?}", world.platform));
    for (_, genuine) in world.callbacks() {
        check(world, &secrets, "a callback", &format!("{genuine:?}"));
        check(world, &secrets, "a verdict", &format!("{:?}", world.verify(&genuine.request)));
        for request in refusable(&genuine) {
            let rejection = world.refuses("a refusable request", &request);
            let json = serde_json::to_string(&rejection).expect("a rejection is kept as JSON");
            check(world, &secrets, "a rejection", &format!("{rejection:?} {rejection} {json}"));
        }
    }
    let stranger = world.stranger();
    let verdict = stranger.verify(&world.callback().request);
    check(world, &secrets, "a stranger's verdict", &format!("{verdict:?}"));
}

fn refusable(genuine: &Genuine) -> Vec<tollbell_channels::model::RawRequest> {
    let request = &genuine.request;
    let paired = Paired::of(genuine);
    if let Some(paired) = paired.filter(|paired| paired.cover.carrier == Carrier::Query) {
        let twice = paired.repeated(2);
        return vec![paired.with(&[]), twice, without_signature(genuine)];
    }
    vec![
        with_body(request, ""),
        with_body(request, "garbage"),
        with_body(request, request.body.repeat(2)),
        with_header(request, "content-type", b"text/plain"),
        without_signature(genuine),
    ]
}

/// Changes of key material that make it unreadable.
fn spoiled(key: &[u8]) -> Vec<Vec<u8>> {
    let mut cut = key.to_vec();
    cut.truncate(key.len() / 2);
    let mut hole = key.to_vec();
    let middle = hole.len() / 2;
    hole[middle] = b'!';
    let mut bytes = key.to_vec();
    bytes[middle] = 0xff;
    let armoured = [b"-----BEGIN PUBLIC KEY-----\n", key, b"\n-----END CERTIFICATE-----\n"].concat();
    vec![cut, hole, bytes, key.repeat(2), armoured, [b"key: ", key].concat()]
}

#[test]
fn errors_about_keys_contain_no_key() {
    with_every_platform(no_key_is_in_errors);
}

pub(crate) fn no_key_is_in_errors(world: &World) {
    let secrets = secrets(world);
    for (name, value) in values(world.platform, &world.side.settings()) {
        let SettingValue::Key(key) = value else { continue };
        for spoiled in spoiled(&key).into_iter().chain([world.side.export()]) {
            let settings: Settings = changed(world.platform, &world.side.settings(), |other, value| {
                Some(if other == name { SettingValue::Key(spoiled.clone().into()) } else { value })
            });
            if let Err(error) = (world.platform.build)(&settings) {
                check(world, &secrets, "a settings error", &format!("{error:?} {error}"));
            }
        }
    }
}

#[test]
fn what_is_printed_of_a_request_contains_no_signature_or_buyer() {
    with_every_platform(no_buyer_is_printed);
}

pub(crate) fn no_buyer_is_printed(world: &World) {
    let stranger = world.stranger();
    for (story, genuine) in stranger.callbacks() {
        let shown = format!("{genuine:?} {:?}", genuine.request);
        let mut hidden = pieces(&signature_of(&genuine));
        match Paired::of(&genuine) {
            Some(paired) => {
                let long = paired.pairs.iter().filter(|pair| pair.value.len() >= CHUNK);
                hidden.extend(long.flat_map(|pair| pieces(&pair.value)));
            }
            None => hidden.extend(pieces(&genuine.request.body)),
        }
        // When it came may be printed, and stands in some bodies, too.
        hidden.retain(|piece| !story.at.to_string().contains(piece.as_str()));
        assert!(!hidden.is_empty());
        check(world, &hidden, story.kind.as_str(), &shown);
        if let Verdict::Refused(rejection) = world.verify(&genuine.request) {
            check(world, &hidden, "a stranger's rejection", &format!("{rejection:?} {rejection}"));
        }
    }
}
