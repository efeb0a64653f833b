//! `make bench-verify`: what verification costs beside the bare cryptography that it cannot do without, platform by
//! platform, and what hostile bodies cost beside one digest of them. Prints Markdown, with what was due and whether it was
//! met. Arguments: `verification`, `readers`, `platforms` for some of the tables alone, and platforms' kinds for some of
//! the rows. `profile` does nothing but verify, for a profiler to look at.
//!
//! Bare is what the crate tells by its feature `measure`: each cryptographic step of this very verification, made again
//! alone. On top is all the rest: once as far as the proof (parsing and the signed text), once for the whole, with the
//! reading of what was proven.
//!
//! Every number is the lowest of many short slices, and the slices of what is compared take turns: what else the machine
//! does makes slices slower, never faster.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::io::{self, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::form::{self, Form};
use tollbell_channels::json::Json;
use tollbell_channels::measure::{self, watched};
use tollbell_channels::model::{RawRequest, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::simulate::{Carrier, Cover, Genuine, OtherSide, PairCover, Story};
use tollbell_channels::xml::{self, Flat, Nested};

/// Size of the message that is measured, in bytes, as far as a note can make it so.
const MESSAGE_BYTES: usize = 1024;
/// Time of one slice, if one call does not take longer.
const SLICE: Duration = Duration::from_micros(300);
/// Turns of each measurement.
const TURNS: usize = 300;
/// Turns of a hostile body through a reader, and through each platform.
const HOSTILE_TURNS: usize = 40;
const THROUGH_TURNS: usize = 12;
const PROFILE_TIME: Duration = Duration::from_secs(3);
/// On top of RSA: a share of the bare cryptography.
const RSA_SHARE_MAX: f64 = 0.25;
/// On top of a digest.
const DIGEST_TOP_MAX: Duration = Duration::from_micros(5);
/// A hostile body may cost so many digests of itself.
const HOSTILE_DIGESTS_MAX: f64 = 10.0;
/// From 64 KiB to 1 MiB the cost may grow sixteenfold, and a little for caches.
const GROWTH_MAX: f64 = 16.0 * 1.6;
/// What ends at its first bytes may cost anything below a tenth of a digest, without regard to its growth.
const DIGESTS_OF_NOTHING: f64 = 0.1;
const KIB: usize = 1024;
/// What can be asked for.
const TABLES: [&str; 4] = ["verification", "readers", "platforms", "profile"];
/// Sizes of hostile bodies.
const SIZES: [usize; 4] = [64 * KIB, 256 * KIB, 512 * KIB, 1024 * KIB];
/// The widest bounds that a platform gives to the reader of forms, of flat and of nested XML. Of bytes there is none here,
/// though every platform gives one, of 512 KiB at most.
const PAIRS_MAX: usize = 256;
const FIELDS_MAX: usize = 256;
const ELEMENTS_MAX: usize = 512;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_one_named = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    let has_table = |table: &str| is_one_named(&[table]) || !is_one_named(&TABLES);
    let is_all = words.iter().all(|word| TABLES.contains(&word.as_str()));
    let platforms: Vec<_> = PLATFORMS.iter().filter(|platform| is_all || is_one_named(&[platform.kind])).collect();
    if is_one_named(&["profile"]) {
        for platform in platforms {
            profile(platform);
        }
        return Ok(());
    }
    let mut out = io::stdout().lock();
    if has_table("verification") {
        writeln!(out, "## Verification\n")?;
        writeln!(
            out,
            "| platform | bytes | cryptography | bare | verify | per second | parsing and signed text | with facts | due | |"
        )?;
        writeln!(out, "|---|---:|---|---:|---:|---:|---:|---:|---:|---|")?;
        for platform in &platforms {
            writeln!(out, "{}", verification(platform))?;
        }
    }
    if has_table("readers") {
        writeln!(out, "\n## Hostile bodies, through the shared readers\n")?;
        writeln!(out, "| format | body of | 64 KiB | 256 KiB | 512 KiB | 1 MiB | SHA-256s | growth | |")?;
        writeln!(out, "|---|---|---:|---:|---:|---:|---:|---:|---|")?;
        for (format, reader, pieces) in FORMATS {
            for (before, piece, behind) in *pieces {
                writeln!(out, "{}", hostile(format, *reader, (before, piece, behind)))?;
            }
        }
    }
    if has_table("platforms") {
        writeln!(out, "\n## Hostile bodies, through each platform\n")?;
        writeln!(out, "| platform | dearest body, in SHA-256s | 64 KiB | 256 KiB | 512 KiB | 1 MiB | |")?;
        writeln!(out, "|---|---|---:|---:|---:|---:|---|")?;
        for platform in &platforms {
            writeln!(out, "{}", through(platform))?;
        }
    }
    Ok(())
}

fn profile(platform: &'static Platform) {
    let side = (platform.simulate)();
    let channel = (platform.build)(&side.settings()).expect("a channel that trusts its side");
    let genuine = sized(&*side);
    let begin = Instant::now();
    while begin.elapsed() < PROFILE_TIME {
        black_box(channel.verify(black_box(&genuine.request), at()));
    }
}

/// How many calls fill a slice.
fn calls_of(call: &mut dyn FnMut()) -> u32 {
    call();
    let begin = Instant::now();
    call();
    let once = begin.elapsed().max(Duration::from_nanos(20));
    u32::try_from(SLICE.as_nanos() / once.as_nanos()).unwrap_or(u32::MAX).clamp(1, 100_000)
}

/// The time of one call, in one slice.
fn slice(calls: u32, call: &mut dyn FnMut()) -> Duration {
    let begin = Instant::now();
    for _ in 0..calls {
        call();
    }
    begin.elapsed() / calls
}

/// The lowest time of one call, in so many slices.
fn lowest(turns: usize, call: &mut dyn FnMut()) -> Duration {
    let calls = calls_of(call);
    (0..turns).map(|_| slice(calls, call)).min().unwrap_or_default()
}

/// A cryptographic step of a verification.
struct Step {
    name: &'static str,
    bytes: usize,
    calls: u32,
    lowest: Duration,
}

/// What one verification costs, and each of its steps.
struct Costs {
    whole: Duration,
    until_proof: Duration,
    steps: Vec<Step>,
}

impl Costs {
    fn of(channel: &dyn Channel, request: &RawRequest) -> Self {
        let verify = || {
            let verdict = channel.verify(black_box(request), at());
            assert!(matches!(verdict, Verdict::Genuine(_) | Verdict::Hint(_)), "{verdict:?}");
            black_box(verdict);
        };
        let mut costs = Self { whole: Duration::MAX, until_proof: Duration::MAX, steps: Vec::new() };
        let calls = calls_of(&mut || verify());
        for _ in 0..TURNS {
            costs.whole = costs.whole.min(slice(calls, &mut || verify()));
            let until_proof = (0..calls).map(|_| until_proof(verify)).sum::<Duration>() / calls;
            costs.until_proof = costs.until_proof.min(until_proof);
            costs.steps = each_step(costs.steps, verify);
        }
        costs
    }

    /// All steps, or those before the proof.
    fn bare(&self, is_whole: bool) -> Duration {
        self.steps.iter().take_while(|step| is_whole || step.name != measure::PROOF).map(|step| step.lowest).sum()
    }

    fn is_asymmetric(&self) -> bool {
        self.steps.iter().any(|step| ["RSA", "SM2", "Ed25519"].iter().any(|name| step.name.starts_with(name)))
    }
}

/// The time from a verification's beginning to its proof; to its end where nothing proves it and the platform is asked.
fn until_proof(verify: impl Fn()) -> Duration {
    let (begin, time) = (Rc::new(Cell::new(Instant::now())), Rc::new(Cell::new(Duration::ZERO)));
    let (start, proven) = (Rc::clone(&begin), Rc::clone(&time));
    let watcher = move |name, _, _: &dyn Fn()| {
        if name == measure::PROOF {
            proven.set(start.get().elapsed());
        }
    };
    watched(Box::new(watcher), || {
        begin.set(Instant::now());
        verify();
    });
    if time.get().is_zero() { begin.get().elapsed() } else { time.get() }
}

/// One slice of each step of a verification.
fn each_step(known: Vec<Step>, verify: impl Fn()) -> Vec<Step> {
    let steps = Rc::new(RefCell::new((known, 0)));
    let seen = Rc::clone(&steps);
    let watcher = move |name, bytes, again: &dyn Fn()| {
        let (steps, at) = &mut *seen.borrow_mut();
        if steps.len() == *at {
            let calls = calls_of(&mut || again());
            steps.push(Step { name, bytes, calls, lowest: Duration::MAX });
        }
        let step = &mut steps[*at];
        assert_eq!((step.name, step.bytes), (name, bytes), "a verification does the same each time");
        if name == measure::PROOF {
            step.lowest = Duration::ZERO;
        } else {
            step.lowest = step.lowest.min(slice(step.calls, &mut || again()));
        }
        *at += 1;
    };
    watched(Box::new(watcher), verify);
    steps.take().0
}

fn verification(platform: &'static Platform) -> String {
    let side = (platform.simulate)();
    let channel = (platform.build)(&side.settings()).expect("a channel that trusts its side");
    let genuine = sized(&*side);
    let costs = Costs::of(&*channel, &genuine.request);
    let shown = |time: Duration, bare: Duration| {
        let top = time.saturating_sub(bare);
        let share = top.as_secs_f64() / bare.as_secs_f64();
        if costs.is_asymmetric() {
            (format!("{} = {:.0} %", micros(top), share * 100.0), share <= RSA_SHARE_MAX)
        } else {
            (micros(top), top <= DIGEST_TOP_MAX)
        }
    };
    let (signed, is_met) = shown(costs.until_proof, costs.bare(false));
    let (whole, is_met_by_all) = shown(costs.whole, costs.bare(true));
    let due = if costs.is_asymmetric() {
        format!("≤ {:.0} %", RSA_SHARE_MAX * 100.0)
    } else {
        format!("≤ {}", micros(DIGEST_TOP_MAX))
    };
    let steps = costs.steps.iter().filter(|step| step.name != measure::PROOF);
    let names: Vec<String> = steps.map(|step| format!("{} of {} B", step.name, step.bytes)).collect();
    format!(
        "| {} | {} | {} | {} | {} | {:.0} | {signed} | {whole} | {due} | {} |",
        platform.kind,
        text(&genuine).len(),
        names.join(", "),
        micros(costs.bare(true)),
        micros(costs.whole),
        1.0 / costs.whole.as_secs_f64(),
        match (is_met, is_met_by_all) {
            (true, true) => "met, with facts too",
            (true, false) => "met",
            (false, _) => "**missed**",
        }
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
        let bytes = text(&callback(note)).len();
        if bytes.abs_diff(MESSAGE_BYTES) < 8 {
            break;
        }
        note = (note + MESSAGE_BYTES).saturating_sub(bytes);
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

fn sha256(text: &[u8]) -> Duration {
    lowest(HOSTILE_TURNS, &mut || {
        black_box(digest(&SHA256, black_box(text)));
    })
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
    ("XML", read_xml, XML),
    ("nested XML", read_nested_xml, XML),
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

const XML: &[Piece] = &[
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
];

fn read_form(text: &[u8]) {
    let form = Form::parse(text, form::Limits { bytes_max: usize::MAX, pairs_max: PAIRS_MAX });
    let is_twice = form.map(|form| form.duplicate().is_some());
    let _known = black_box(is_twice);
}

fn read_xml(text: &[u8]) {
    drop(black_box(Flat::parse(text, xml::Limits { bytes_max: usize::MAX, fields_max: FIELDS_MAX })));
}

fn read_nested_xml(text: &[u8]) {
    drop(black_box(Nested::parse(text, xml::Limits { bytes_max: usize::MAX, fields_max: ELEMENTS_MAX }, &["a"])));
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
    let bodies = SIZES.map(|size| filled(piece, size));
    let times = bodies.each_ref().map(|body| lowest(HOSTILE_TURNS, &mut || reader(black_box(body))));
    let digests = bodies.each_ref().map(|body| sha256(body));
    let dearest = times.iter().zip(digests).map(|(time, digest)| time.as_secs_f64() / digest.as_secs_f64());
    let dearest = dearest.fold(0.0, f64::max);
    let [least, .., most] = times;
    let growth = most.as_secs_f64() / least.as_secs_f64();
    let is_met = dearest <= HOSTILE_DIGESTS_MAX && (growth <= GROWTH_MAX || dearest < DIGESTS_OF_NOTHING);
    let times = times.map(micros).join(" | ");
    format!("| {format} | {} | {times} | {dearest:.2} | ×{growth:.1} | {} |", shown(piece), met(is_met))
}

/// The dearest of the hostile bodies of every format and size, as the whole message and inside a genuine one, recognised
/// or verified.
fn through(platform: &'static Platform) -> String {
    let side = (platform.simulate)();
    let channel = (platform.build)(&side.settings()).expect("a channel that trusts its side");
    let genuine = side.callback(&Story { kind: side.stories()[0], ..Story::paid("T1", 1, at()) });
    let found = SIZES.map(|size| dearest(&*channel, &genuine, size));
    let is_met = found.iter().all(|found| found.digests <= HOSTILE_DIGESTS_MAX);
    let costs = found.iter().map(|found| format!("{} = {:.2}", micros(found.cost), found.digests));
    let costs = costs.collect::<Vec<_>>().join(" | ");
    let dearest = found.into_iter().max_by(|one, other| one.digests.total_cmp(&other.digests));
    let name = dearest.map(|dearest| dearest.name).unwrap_or_default();
    format!("| {} | {name} | {costs} | {} |", platform.kind, met(is_met))
}

struct Dearest {
    name: String,
    cost: Duration,
    /// How many SHA-256s of a text of this size.
    digests: f64,
}

fn dearest(channel: &dyn Channel, genuine: &Genuine, size: usize) -> Dearest {
    let own = text(genuine);
    let (before, behind) = own.split_at(own.len() / 2);
    let digest = sha256(&vec![b'x'; size]);
    let mut dearest = Dearest { name: String::new(), cost: Duration::ZERO, digests: 0.0 };
    for piece in FORMATS.iter().flat_map(|(_, _, pieces)| *pieces) {
        let count = size.saturating_sub(own.len()) / piece.1.len();
        let inside = [before, piece.1.repeat(count).as_bytes(), behind].concat();
        for (place, text) in [("", filled(*piece, size)), ("in a genuine one: ", inside)] {
            let request = with_text(genuine, text);
            let cost = lowest(THROUGH_TURNS, &mut || {
                let request = black_box(&request);
                black_box(channel.verify(request, at()));
            });
            let recognised = lowest(THROUGH_TURNS, &mut || {
                black_box(channel.recognise(black_box(&request)));
            });
            let cost = cost.max(recognised);
            if cost > dearest.cost {
                let digests = cost.as_secs_f64() / digest.as_secs_f64();
                dearest = Dearest { name: format!("{place}{}", shown(*piece)), cost, digests };
            }
        }
    }
    dearest
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
