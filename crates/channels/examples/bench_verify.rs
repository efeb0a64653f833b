//! `make bench-verify`: what verification costs beside the bare cryptography that it cannot do without, platform by
//! platform, and what hostile bodies cost beside one digest of them. Prints Markdown, with what was due and whether it was
//! met. Every number is the best of several rounds of one run, so that both sides of a ratio saw the same machine.

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{KeySize, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::RsaKeyPair;
use bytes::Bytes;
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::form::{self, Form};
use tollbell_channels::json::Json;
use tollbell_channels::model::{RawRequest, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::Settings;
use tollbell_channels::signature::digest::DigestHash;
use tollbell_channels::signature::hmac::{HmacHash, HmacSecret};
use tollbell_channels::signature::key::{PublicKey, read_rsa_private};
use tollbell_channels::signature::rsa::{RsaHash, RsaVerifier, sign_sha256};
use tollbell_channels::simulate::{Carrier, Cover, Genuine, OtherSide, PairCover, Story};
use tollbell_channels::xml::{self, Flat};

/// Size of the message that is measured, in bytes, as far as a note can make it so.
const MESSAGE_BYTES: usize = 1024;
/// Time of one round.
const ROUND: Duration = Duration::from_millis(20);
/// Rounds of each measurement; the best one counts.
const ROUNDS: usize = 9;
/// On top of RSA: a share of the bare verification.
const RSA_SHARE_MAX: f64 = 0.25;
/// On top of a digest.
const DIGEST_TOP_MAX: Duration = Duration::from_micros(5);
/// A hostile body may cost so many digests of itself.
const HOSTILE_DIGESTS_MAX: f64 = 10.0;
/// From 64 KiB to 1 MiB the cost may grow sixteenfold, and a little for caches.
const GROWTH_MAX: f64 = 16.0 * 1.6;
const KIB: usize = 1024;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "## Verification\n")?;
    writeln!(out, "| platform | bytes | beside | verify | per second | bare | on top | due | |")?;
    writeln!(out, "|---|---:|---|---:|---:|---:|---:|---:|---|")?;
    for platform in PLATFORMS {
        writeln!(out, "{}", verification(platform))?;
    }
    writeln!(out, "\n## Hostile bodies, through the shared readers\n")?;
    writeln!(out, "| format | body of | 64 KiB | 256 KiB | 1 MiB | SHA-256s of 1 MiB | growth | |")?;
    writeln!(out, "|---|---|---:|---:|---:|---:|---:|---|")?;
    for (format, reader, pieces) in FORMATS {
        for (before, piece, behind) in *pieces {
            writeln!(out, "{}", hostile(format, *reader, (before, piece, behind)))?;
        }
    }
    writeln!(out, "\n## Hostile bodies of 1 MiB, through each platform\n")?;
    writeln!(out, "| platform | dearest body | cost | SHA-256s | |")?;
    writeln!(out, "|---|---|---:|---:|---|")?;
    for platform in PLATFORMS {
        writeln!(out, "{}", through(platform))?;
    }
    Ok(())
}

/// The best time of one call.
fn best(mut call: impl FnMut()) -> Duration {
    call();
    let begin = Instant::now();
    call();
    let once = begin.elapsed().max(Duration::from_nanos(20));
    let calls = u32::try_from(ROUND.as_nanos() / once.as_nanos()).unwrap_or(u32::MAX).clamp(1, 1_000_000);
    let round = |call: &mut dyn FnMut()| {
        let begin = Instant::now();
        for _ in 0..calls {
            call();
        }
        begin.elapsed() / calls
    };
    (0..ROUNDS).map(|_| round(&mut call)).min().unwrap_or_default()
}

fn verification(platform: &'static Platform) -> String {
    let side = (platform.simulate)();
    let settings = side.settings();
    let channel = (platform.build)(&settings).expect("a channel that trusts its side");
    let genuine = sized(&*side);
    let text = text(&genuine);
    let verify = best(|| {
        let verdict = channel.verify(black_box(&genuine.request), at());
        assert!(matches!(verdict, Verdict::Genuine(_)));
        black_box(verdict);
    });
    let (name, bare, is_digest) = bare(&*channel, &settings, &genuine, &text);
    let top = verify.saturating_sub(bare);
    let share = top.as_secs_f64() / bare.as_secs_f64();
    let (on_top, due, is_met) = if is_digest {
        (micros(top), format!("≤ {}", micros(DIGEST_TOP_MAX)), top <= DIGEST_TOP_MAX)
    } else {
        (format!("{:.0} %", share * 100.0), format!("≤ {:.0} %", RSA_SHARE_MAX * 100.0), share <= RSA_SHARE_MAX)
    };
    format!(
        "| {} | {} | {name} | {} | {:.0} | {} | {on_top} | {due} | {} |",
        platform.kind,
        text.len(),
        micros(verify),
        1.0 / verify.as_secs_f64(),
        micros(bare),
        met(is_met)
    )
}

/// A payment whose text has about the size that is asked for.
fn sized(side: &dyn OtherSide) -> Genuine {
    let kind = side.stories()[0];
    let callback = |note: usize| {
        let note = "abcdefgh".chars().cycle().take(note).collect();
        side.callback(&Story { kind, note, ..Story::paid("T20261121-0001", 12_345, at()) })
    };
    let mut note = 0;
    for _ in 0..8 {
        let size = text(&callback(note)).len();
        if size.abs_diff(MESSAGE_BYTES) < 8 {
            break;
        }
        note = (note + MESSAGE_BYTES).saturating_sub(size);
    }
    callback(note)
}

/// The text that carries the message.
fn text(genuine: &Genuine) -> Vec<u8> {
    match genuine.cover {
        Cover::Pairs(PairCover { carrier: Carrier::Query, .. }) => {
            genuine.request.query.clone().unwrap_or_default().into_bytes()
        }
        _ => genuine.request.body.to_vec(),
    }
}

fn with_text(genuine: &Genuine, text: Vec<u8>) -> RawRequest {
    match genuine.cover {
        Cover::Pairs(PairCover { carrier: Carrier::Query, .. }) => {
            let query = Some(String::from_utf8_lossy(&text).into_owned());
            RawRequest { query, ..genuine.request.clone() }
        }
        _ => RawRequest { body: Bytes::from(text), ..genuine.request.clone() },
    }
}

/// What verification cannot do without: its name, its cost, and whether it is no more than a digest.
fn bare(channel: &dyn Channel, settings: &Settings, genuine: &Genuine, text: &[u8]) -> (String, Duration, bool) {
    let algorithms: Vec<String> = channel.keys().into_iter().map(|key| key.algorithm.to_uppercase()).collect();
    let uses = |word: &str| algorithms.iter().any(|algorithm| algorithm.contains(word));
    if uses("RSA") || uses("X.509") {
        let verified = rsa(text);
        let is_sealed = matches!(genuine.cover, Cover::Pairs(PairCover { signature: None, .. }));
        if is_sealed && has_private_key(settings) {
            return ("RSA-2048 decryption and verification".to_owned(), verified + rsa_decryption(), false);
        }
        return ("RSA-2048 verification".to_owned(), verified, false);
    }
    let hashes = [
        ("HMAC", None),
        ("MD5", Some(DigestHash::Md5)),
        ("SM3", Some(DigestHash::Sm3)),
        ("SHA1", Some(DigestHash::Sha1)),
        ("SHA-1", Some(DigestHash::Sha1)),
    ];
    match hashes.into_iter().find(|(word, _)| uses(word)) {
        Some((word, Some(hash))) => (word.to_owned(), best(|| drop(black_box(hash.of(&[black_box(text)])))), true),
        Some((word, None)) => {
            let secret = HmacSecret::new(b"0123456789abcdef", HmacHash::Sha256, "key");
            (format!("{word}-SHA-256"), best(|| drop(black_box(secret.sign(black_box(text))))), true)
        }
        None => ("SHA-256".to_owned(), sha256(text), true),
    }
}

fn sha256(text: &[u8]) -> Duration {
    best(|| {
        black_box(digest(&SHA256, black_box(text)));
    })
}

fn rsa(text: &[u8]) -> Duration {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = PublicKey::of_pair("key", &pair).expect("its public half");
    let verifier = RsaVerifier::new("key", &public, RsaHash::Sha256, "key").expect("an RSA key");
    let signature = sign_sha256(&pair, text).expect("a signature");
    best(|| {
        let verified = verifier.verify(black_box(text), black_box(&signature), "bare");
        assert!(verified.is_some());
    })
}

fn rsa_decryption() -> Duration {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
    let public = Pkcs1PublicEncryptingKey::new(private.public_key()).expect("its public half");
    let private = Pkcs1PrivateDecryptingKey::new(private).expect("a key");
    let mut sealed = vec![0; public.ciphertext_size()];
    public.encrypt(&[7; 16], &mut sealed).expect("sealed");
    let mut opened = vec![0; private.min_output_size()];
    best(|| {
        let opened = private.decrypt(black_box(&sealed), &mut opened).expect("opened");
        assert_eq!(opened, [7; 16]);
    })
}

fn has_private_key(settings: &Settings) -> bool {
    let keys = PLATFORMS.iter().flat_map(|platform| platform.settings).filter_map(|setting| settings.key(setting.name));
    let mut keys = keys.filter(|key| read_rsa_private("key", key).is_ok());
    keys.next().is_some()
}

type Reader = fn(&[u8]);

/// Before, the piece that is repeated, and behind.
type Piece = (&'static str, &'static str, &'static str);

const FORMATS: &[(&str, Reader, &[Piece])] = &[
    (
        "form",
        read_form,
        &[
            ("", "a=1&", ""),
            ("", "&", ""),
            ("", "=", ""),
            ("a=", "%41", ""),
            ("a=", "+", ""),
            ("", "a&", ""),
            ("a=", "x", ""),
            ("a=", "\u{4e2d}", ""),
        ],
    ),
    (
        "XML",
        read_xml,
        &[
            ("<xml>", "<a>1</a>", "</xml>"),
            ("<xml>", "<a/>", "</xml>"),
            ("", "<a>", ""),
            ("<xml><a>", "&amp;", "</a></xml>"),
            ("<xml><a>", "<![CDATA[x]]>", "</a></xml>"),
            ("<xml><a>", "x", "</a></xml>"),
            ("<xml><a>", "]]", "</a></xml>"),
            ("<xml>", " ", "</xml>"),
            ("<xml", " a=\"1\"", "></xml>"),
            ("<", "x", "></x>"),
            ("<xml><a>", "&", "</a></xml>"),
            ("<!DOCTYPE a [", "<!ENTITY a \"b\">", "]><xml></xml>"),
        ],
    ),
    (
        "JSON",
        read_json,
        &[
            ("{", "\"a\":1,", "\"b\":1}"),
            ("[", "1,", "1]"),
            ("", "[", ""),
            ("", "{\"a\":", ""),
            ("{\"a\":\"", "x", "\"}"),
            ("{\"a\":\"", "\\u0041", "\"}"),
            ("{\"a\":\"", "\\\\", "\"}"),
            ("{\"a\":", " ", "1}"),
            ("{\"a\":", "9", "}"),
            ("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", "x", "\"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
            ("[", "[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]],", "1]"),
        ],
    ),
];

fn read_form(text: &[u8]) {
    let form = Form::parse(text, form::Limits { bytes_max: usize::MAX, pairs_max: usize::MAX });
    drop(black_box(form.map(|form| form.duplicate().is_some())));
}

fn read_xml(text: &[u8]) {
    drop(black_box(Flat::parse(text, xml::Limits { bytes_max: usize::MAX, fields_max: usize::MAX })));
}

fn read_json(text: &[u8]) {
    drop(black_box(Json::parse(text)));
}

/// A body of about this size.
fn filled((before, piece, behind): Piece, bytes: usize) -> Vec<u8> {
    let count = bytes.saturating_sub(before.len() + behind.len()) / piece.len();
    [before, &piece.repeat(count), behind].concat().into_bytes()
}

fn hostile(format: &str, reader: Reader, piece: Piece) -> String {
    let sizes = [64 * KIB, 256 * KIB, 1024 * KIB];
    let times = sizes.map(|size| {
        let body = filled(piece, size);
        best(|| reader(black_box(&body)))
    });
    let digest = sha256(&filled(piece, sizes[2]));
    let digests = times[2].as_secs_f64() / digest.as_secs_f64();
    let growth = times[2].as_secs_f64() / times[0].as_secs_f64();
    // What ends at its first bytes costs the same at every size.
    let is_met = digests <= HOSTILE_DIGESTS_MAX && (growth <= GROWTH_MAX || digests < 0.1);
    format!(
        "| {format} | {} | {} | {} | {} | {digests:.2} | ×{growth:.1} | {} |",
        shown(piece),
        micros(times[0]),
        micros(times[1]),
        micros(times[2]),
        met(is_met)
    )
}

/// The dearest of the hostile bodies of every format, as the whole message and inside a genuine one.
fn through(platform: &'static Platform) -> String {
    let side = (platform.simulate)();
    let channel = (platform.build)(&side.settings()).expect("a channel that trusts its side");
    let genuine = side.callback(&Story { kind: side.stories()[0], ..Story::paid("T1", 1, at()) });
    let own = text(&genuine);
    let mut dearest = (Duration::ZERO, String::new(), Duration::ZERO);
    for piece in FORMATS.iter().flat_map(|(_, _, pieces)| *pieces) {
        let body = filled(*piece, 1024 * KIB);
        let inside = [&own[..own.len() / 2], &body[piece.0.len()..], &own[own.len() / 2..]].concat();
        for (place, text) in [("", body), ("in a genuine one: ", inside)] {
            let digest = sha256(&text);
            let request = with_text(&genuine, text);
            let cost = best(|| {
                let request = black_box(&request);
                black_box((channel.recognise(request), channel.verify(request, at())));
            });
            if cost > dearest.0 {
                dearest = (cost, format!("{place}{}", shown(*piece)), digest);
            }
        }
    }
    let (cost, name, digest) = dearest;
    let digests = cost.as_secs_f64() / digest.as_secs_f64();
    let is_met = digests <= HOSTILE_DIGESTS_MAX;
    format!("| {} | {name} | {} | {digests:.2} | {} |", platform.kind, micros(cost), met(is_met))
}

fn shown((before, piece, behind): Piece) -> String {
    let short = |text: &str| -> String { text.chars().take(12).collect() };
    format!("`{}` + n × `{}` + `{}`", short(before), short(piece), short(behind)).replace('|', "\\|")
}

fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 100.0 { format!("{micros:.2} µs") } else { format!("{micros:.0} µs") }
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}
