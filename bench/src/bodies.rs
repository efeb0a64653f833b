//! Genuine callbacks, each of its own order, signed once and kept between runs: signing costs more than
//! everything that is measured.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tollbell_channels::model::Timestamp;
use tollbell_channels::platforms::by_kind;
use tollbell_channels::simulate::{OtherSide, Story};

/// A platform's other side and its callbacks.
pub(crate) struct Signed {
    pub(crate) kind: &'static str,
    pub(crate) side: Box<dyn OtherSide>,
    /// Headers as they are written, and the body.
    pub(crate) callbacks: Arc<Vec<(String, Vec<u8>)>>,
}

/// How the platform's numbers of payments and messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// They rise with the time, as real ones do.
    Ordered,
    /// They are spread at random.
    Random,
}

impl Numbers {
    fn word(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Random => "random",
        }
    }

    fn order_no(self, index: usize) -> String {
        match self {
            Self::Ordered => format!("20261121{index:012}"),
            // Multiplying by an odd number goes through all numbers of 40 bits, far apart.
            Self::Random => format!("{:020}", (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1),
        }
    }
}

/// Takes `count` callbacks from the folder, after signing those that are missing.
pub(crate) fn signed(folder: &Path, kind: &'static str, numbers: Numbers, count: usize, at: Timestamp) -> anyhow::Result<Signed> {
    fs::create_dir_all(folder).context("make the folder")?;
    let platform = by_kind(kind).with_context(|| format!("no platform {kind}"))?;
    let mut side = (platform.simulate)();
    let keys = folder.join(format!("{kind}.keys"));
    match fs::read(&keys) {
        Ok(exported) => side.import(&exported).map_err(anyhow::Error::msg)?,
        Err(_) => fs::write(&keys, side.export()).context("keep the keys")?,
    }
    let path = folder.join(format!("{kind}-{}.callbacks", numbers.word()));
    let mut callbacks = fs::read(&path).map(|bytes| unpack(&bytes)).unwrap_or_default();
    if callbacks.len() < count {
        let from = callbacks.len();
        let made = std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let share = (count - from).div_ceil(threads);
            let side = &*side;
            let parts: Vec<_> = (0..threads)
                .map(|part| {
                    let range = (from + part * share).min(count)..(from + (part + 1) * share).min(count);
                    scope.spawn(move || range.map(|index| callback(side, numbers, index, at)).collect::<Vec<_>>())
                })
                .collect();
            parts.into_iter().map(|part| part.join()).collect::<Result<Vec<_>, _>>()
        });
        let made = made.map_err(|_| anyhow::anyhow!("signing panicked"))?;
        callbacks.extend(made.into_iter().flatten());
        fs::write(&path, pack(&callbacks)).context("keep the callbacks")?;
    }
    callbacks.truncate(count);
    ensure!(callbacks.len() == count, "only {} callbacks", callbacks.len());
    Ok(Signed { kind, side, callbacks: Arc::new(callbacks) })
}

fn callback(side: &dyn OtherSide, numbers: Numbers, index: usize, at: Timestamp) -> (String, Vec<u8>) {
    let mut story = Story::paid(&numbers.order_no(index), 1000, at);
    story.serial = index as u64 + 1;
    story.note = "measured".into();
    let request = side.callback(&story).request;
    let mut headers = String::new();
    for (name, value) in &request.headers {
        headers.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    (headers, request.body.to_vec())
}

fn pack(callbacks: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in callbacks.iter().flat_map(|(headers, body)| [headers.as_bytes(), body.as_slice()]) {
        bytes.extend_from_slice(&u32::try_from(part.len()).expect("a short text").to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn unpack(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut take = || -> Option<Vec<u8>> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        bytes = rest;
        Some(part.to_vec())
    };
    let mut callbacks = Vec::new();
    while let (Some(headers), Some(body)) = (take(), take()) {
        callbacks.push((String::from_utf8_lossy(&headers).into_owned(), body));
    }
    callbacks
}
