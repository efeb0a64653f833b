//! The books: what the platforms' side was promised, and what the shop did. Append-only files, one line for
//! each thing, written before anything follows from it, and read again only at the end.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the clock that PHP's `hrtime` also shows.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, rest) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or_default() * 1_000_000_000 + rest.unwrap_or_default()
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// A time during which the shop stood still.
#[derive(Clone, Copy, Debug)]
pub struct Hang {
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

/// The book of promises.
pub struct Acks {
    path: PathBuf,
    file: Mutex<File>,
}

/// One complete success reply that was read.
#[derive(Clone, Debug)]
pub struct Ack {
    /// Which message, by its number in this proof.
    pub message: usize,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
}

impl Acks {
    /// A new book.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::options().create_new(true).append(true).open(&path).context("open the book of acks")?;
        Ok(Self { path, file: Mutex::new(file) })
    }

    /// Notes a success reply.
    ///
    /// # Errors
    /// When it cannot be written: then nothing is proven any more.
    pub fn note(&self, message: usize, body: &[u8]) -> anyhow::Result<()> {
        let line = format!("{}\t{message}\t{}\t{}\n", now_ns(), sha256(body), hex(body));
        let mut file = self.file.lock().map_err(|_| anyhow::anyhow!("the book of acks is spoiled"))?;
        file.write_all(line.as_bytes()).context("note an ack")
    }

    /// Every note.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn read(&self) -> anyhow::Result<Vec<Ack>> {
        let text = fs::read_to_string(&self.path).context("read the book of acks")?;
        text.lines()
            .map(|line| {
                let words: Vec<&str> = line.split('\t').collect();
                let [_, message, sha, body] = words[..] else { anyhow::bail!("a spoiled note: {line}") };
                let body = unhex(body).context("a spoiled body")?;
                anyhow::ensure!(sha256(&body) == sha, "a spoiled note: {line}");
                Ok(Ack { message: message.parse()?, body })
            })
            .collect()
    }
}

/// One run of the shop's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub began: u64,
    /// Which delivery it was called for.
    pub delivery: String,
    /// Which attempt.
    pub attempt: u32,
    /// The events that it was told of: id and kind.
    pub events: Vec<(String, String)>,
    /// The order, when the events agree on one.
    pub order_no: String,
    /// SHA-256 of the body that it got.
    pub body: String,
    /// When it answered, and whether it confirmed; none when it did not get so far.
    pub end: Option<End>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: u64,
    /// The line of its note: what stands on a lower one was written before.
    pub line: usize,
    /// How.
    pub how: How,
}

/// What a run did at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The work was done, and the answer says so.
    Confirmed,
    /// It gave an answer that is no confirmation.
    Wrong,
    /// It died without an answer.
    Died,
}

impl Run {
    /// Whether the work was done.
    pub fn is_confirmed(&self) -> bool {
        self.end.is_some_and(|end| end.how == How::Confirmed)
    }
}

/// A run and the line on which it began.
pub type BegunRun = (usize, Run);

/// The runs in the shop's book, in the order in which they began.
///
/// # Errors
/// When the book cannot be read, or holds something else.
pub fn read_runs(path: &Path) -> anyhow::Result<Vec<BegunRun>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.context("read the shop's book")?,
    };
    parse_runs(&text)
}

fn parse_runs(text: &str) -> anyhow::Result<Vec<BegunRun>> {
    let mut runs: Vec<BegunRun> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["run", run, at, delivery, attempt, ids, kinds, order_no, body] => {
                let events = ids.split(',').zip(kinds.split(','));
                let begun = Run {
                    began: at.parse()?,
                    delivery: delivery.to_owned(),
                    attempt: attempt.parse()?,
                    events: events.map(|(id, kind)| (id.to_owned(), kind.to_owned())).collect(),
                    order_no: order_no.to_owned(),
                    body: body.to_owned(),
                    end: None,
                };
                places.insert(run, runs.len());
                runs.push((number, begun));
            }
            ["end", run, at, how] => {
                let place = places.get(run).with_context(|| format!("an end without a beginning: {line}"))?;
                let how = match how {
                    "confirmed" => How::Confirmed,
                    "wrong" => How::Wrong,
                    "died" => How::Died,
                    _ => anyhow::bail!("a spoiled mark in the shop's book: {line}"),
                };
                runs[*place].1.end = Some(End { at: at.parse()?, line: number, how });
            }
            _ => anyhow::bail!("a spoiled mark in the shop's book: {line}"),
        }
    }
    Ok(runs)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [high, low] = pair { Some(value(high)? << 4 | value(low)?) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_come_back_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let acks = Acks::open(folder.path().join("acks")).unwrap();
        let body: Vec<u8> = (0..=255).collect();
        acks.note(3, &body).unwrap();
        acks.note(4, b"").unwrap();
        let read = acks.read().unwrap();
        assert_eq!((read[0].message, &read[0].body), (3, &body));
        assert_eq!((read[1].message, read[1].body.len()), (4, 0));
    }

    #[test]
    fn marks_become_runs() {
        let text = "run\ta\t1\tdlv_1\t2\tevt_1,evt_2\tpayment.succeeded,refund.succeeded\tP1\tff\n\
                    run\tb\t2\tdlv_2\t1\tevt_3\tpayment.succeeded\tP2\tee\n\
                    end\tb\t3\twrong\nend\ta\t4\tconfirmed\n";
        let runs = parse_runs(text).unwrap();
        let (line, first) = &runs[0];
        assert_eq!((*line, first.attempt, first.events[1].1.as_str()), (0, 2, "refund.succeeded"));
        assert_eq!(first.end, Some(End { at: 4, line: 3, how: How::Confirmed }));
        assert!(!runs[1].1.is_confirmed());
        assert!(parse_runs("end\tx\t1\twrong\n").is_err());
        assert!(parse_runs("what\n").is_err());
    }
}
