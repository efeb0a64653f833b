//! The platforms' side: messages that are due, senders that bring them on new connections, and the platform's own
//! ladder, at a fast clock, until the exact reply was read or the ladder has ended.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tollbell_channels::model::{RawRequest, Timestamp};
use tollbell_channels::simulate::{OtherSide, Story};

use super::notes::Acks;
use super::plan::{Cut, Message, Origin};
use super::platform::Platform;
use super::victim::{Moment, Victim};
use super::wire::{Came, exchange, write_request};

/// The platforms' clock runs so many times faster: a ladder of 25 hours takes 4.5 seconds.
pub const CLOCK: u32 = 20_000;

/// Codes that say "this is not from the platform"; a busy gateway uses others.
const REFUSALS: std::ops::RangeInclusive<u16> = 400..=404;

/// A message and what became of it.
pub struct Letter {
    /// The message.
    pub message: Message,
    made: OnceLock<Made>,
}

/// A message in bytes.
struct Made {
    wire: Vec<u8>,
    body: Vec<u8>,
}

impl Letter {
    /// The body, when it was ever sent.
    pub fn body(&self) -> Option<&[u8]> {
        self.made.get().map(|made| &made.body[..])
    }
}

/// Counts of what was sent.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that were opened.
    pub sent: AtomicUsize,
    /// Of them, cut by us.
    pub cut: AtomicUsize,
    /// Complete success replies.
    pub acked: AtomicUsize,
    /// Messages whose ladder ended without one.
    pub given_up: AtomicUsize,
    /// Attempts with forged messages.
    pub forged: AtomicUsize,
}

/// The platforms' side of one round.
pub struct Post {
    address: SocketAddr,
    sides: Vec<(Platform, Box<dyn OtherSide>)>,
    strangers: Vec<(Platform, Box<dyn OtherSide>)>,
    /// When the round began; what has no window of time is signed as of then, so that no day changes in the middle
    /// of an order.
    began: Timestamp,
    letters: Mutex<Vec<Arc<Letter>>>,
    due: Mutex<BinaryHeap<Reverse<Due>>>,
    changed: Condvar,
    /// Letters that are neither acked nor given up.
    open: AtomicUsize,
    is_over: AtomicBool,
    acks: Acks,
    victim: Arc<Victim>,
    /// Counts.
    pub counts: Counts,
    /// What must never be seen, as far as a sender sees it.
    wrong: Mutex<Vec<String>>,
}

/// An attempt that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    letter: usize,
    attempt: usize,
}

impl Post {
    /// The platforms' side, with its keys.
    pub fn new(
        address: SocketAddr,
        sides: Vec<(Platform, Box<dyn OtherSide>)>,
        acks: Acks,
        victim: Arc<Victim>,
    ) -> Self {
        Self {
            address,
            sides,
            strangers: Platform::ALL.iter().map(|platform| (*platform, platform.side())).collect(),
            began: now(),
            letters: Mutex::default(),
            due: Mutex::default(),
            changed: Condvar::new(),
            open: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            acks,
            victim,
            counts: Counts::default(),
            wrong: Mutex::default(),
        }
    }

    /// Takes a message that is not sent yet.
    pub fn take(&self, message: Message) -> usize {
        let mut letters = lock(&self.letters);
        letters.push(Arc::new(Letter { message, made: OnceLock::new() }));
        letters.len() - 1
    }

    /// Puts a letter on its way.
    pub fn send(&self, letter: usize, after: Duration) {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.schedule(Due { at: Instant::now() + after, letter, attempt: 0 });
    }

    /// Letters on their way.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Every letter.
    pub fn letters(&self) -> Vec<Arc<Letter>> {
        lock(&self.letters).clone()
    }

    /// The book of acks.
    pub fn acks(&self) -> &Acks {
        &self.acks
    }

    /// What a sender saw and must not have seen.
    pub fn wrong(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// Ends the senders.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Under the lock, so that nobody goes to sleep between looking and waiting.
        let _due = lock(&self.due);
        self.changed.notify_all();
    }

    /// One sender: works until the end.
    ///
    /// # Errors
    /// When an ack cannot be noted.
    pub fn work(&self) -> anyhow::Result<()> {
        while let Some(due) = self.next() {
            let letter = Arc::clone(&lock(&self.letters)[due.letter]);
            let is_settled = self.attempt(due, &letter)?;
            if is_settled {
                self.open.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            if let Some(gap) = letter.message.platform.gap(due.attempt) {
                self.schedule(Due { at: Instant::now() + gap / CLOCK, attempt: due.attempt + 1, ..due });
                continue;
            }
            if letter.message.origin == Origin::Genuine {
                self.counts.given_up.fetch_add(1, Ordering::Relaxed);
            }
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Cuts connections with this letter after each byte of the request and of the reply, whatever the gateway
    /// does in the meantime. Returns how many cuts there were.
    ///
    /// # Errors
    /// When the message cannot be made.
    pub fn sweep(&self, letter: usize, reply_bytes: usize, has_failed: &AtomicBool) -> anyhow::Result<usize> {
        let letter = Arc::clone(&lock(&self.letters)[letter]);
        let made = self.make(&letter)?;
        let cuts = (0..made.wire.len()).map(Cut::Sending).chain((0..reply_bytes).map(Cut::Reading));
        let mut count = 0;
        for cut in cuts {
            while self.exchange(made, cut) == Came::Refused {
                if has_failed.load(Ordering::Relaxed) {
                    return Ok(count);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            count += 1;
        }
        Ok(count)
    }

    fn exchange(&self, made: &Made, cut: Cut) -> Came {
        let came = exchange(self.address, &made.wire, cut, || self.victim.at(Moment::Accepted));
        if came != Came::Refused {
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            if cut != Cut::None {
                self.counts.cut.fetch_add(1, Ordering::Relaxed);
            }
        }
        came
    }

    /// One attempt; says whether the platform is content.
    fn attempt(&self, due: Due, letter: &Letter) -> anyhow::Result<bool> {
        let message = &letter.message;
        let made = self.make(letter)?;
        let cut = message.cuts.get(due.attempt).copied().unwrap_or(Cut::None);
        let came = self.exchange(made, cut);
        if message.origin != Origin::Genuine && came != Came::Refused {
            self.counts.forged.fetch_add(1, Ordering::Relaxed);
        }
        let Came::Reply { status, body, .. } = came else { return Ok(false) };
        if !message.platform.is_success(status, &body) {
            if message.origin == Origin::Genuine && REFUSALS.contains(&status) {
                lock(&self.wrong).push(format!("refused: {message:?} was answered with {status}"));
            }
            return Ok(false);
        }
        self.victim.at(Moment::Replied);
        if message.origin == Origin::Genuine {
            self.acks.note(due.letter, &made.body)?;
            self.counts.acked.fetch_add(1, Ordering::Relaxed);
        } else {
            let said = format!("forged: {message:?} was answered with success");
            lock(&self.wrong).push(said);
        }
        Ok(true)
    }

    fn next(&self) -> Option<Due> {
        let mut due = lock(&self.due);
        loop {
            if self.is_over.load(Ordering::SeqCst) {
                return None;
            }
            let now = Instant::now();
            let wait = match due.peek() {
                Some(Reverse(first)) if first.at <= now => return due.pop().map(|Reverse(first)| first),
                Some(Reverse(first)) => first.at - now,
                None => Duration::from_secs(1),
            };
            due = self.changed.wait_timeout(due, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn schedule(&self, due: Due) {
        lock(&self.due).push(Reverse(due));
        self.changed.notify_all();
    }

    /// The message in bytes; made when it is first needed.
    fn make<'l>(&self, letter: &'l Letter) -> anyhow::Result<&'l Made> {
        if let Some(made) = letter.made.get() {
            return Ok(made);
        }
        let message = &letter.message;
        let sides = if message.origin == Origin::Stranger { &self.strangers } else { &self.sides };
        let (_, side) =
            sides.iter().find(|(platform, _)| *platform == message.platform).context("a platform's side")?;
        let at = if message.platform == Platform::Alipay { self.began } else { now() };
        let story = Story {
            kind: message.kind,
            order_no: message.order_no.clone(),
            amount_minor: message.amount_minor,
            refunded_minor: message.refund_minor,
            refund_no: message.refund_no.clone(),
            serial: message.serial,
            at,
            note: message.note.to_owned(),
            path: None,
        };
        let mut request = side.callback(&story).request;
        if let Origin::Changed(where_to) = message.origin {
            change(message.platform, &mut request, where_to);
        }
        let path = format!("/notify/{}", message.platform.kind());
        let made = Made { wire: write_request(&path, &request), body: request.body.to_vec() };
        Ok(letter.made.get_or_init(|| made))
    }
}

/// Changes one byte of what a signature covers, so that the message says something else.
fn change(platform: Platform, request: &mut RawRequest, where_to: u64) {
    let mut body = request.body.to_vec();
    let places: Vec<usize> = match platform {
        // Between the values, and not in an escape: there the same text can be written in two ways.
        Platform::Alipay => plain_places(&body),
        Platform::WechatPay => (0..body.len()).collect(),
    };
    let count = places.len() as u64;
    let place = places[usize::try_from(where_to % count).unwrap_or_default()];
    body[place] = match body[place] {
        b'0'..=b'8' | b'a'..=b'y' | b'A'..=b'Y' => body[place] + 1,
        b'9' => b'0',
        b'z' => b'a',
        b'Z' => b'A',
        other => other ^ 1,
    };
    request.body = body.into();
}

/// Letters and digits in the values of a form that its signature covers.
fn plain_places(form: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    for pair in form.split(|byte| *byte == b'&') {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        if name != b"sign" && name != b"sign_type" {
            let is_escape = |place: usize| pair[place.saturating_sub(2)..place].contains(&b'%');
            let values = (name.len() + 1..pair.len()).filter(|place| pair[*place].is_ascii_alphanumeric());
            places.extend(values.filter(|place| !is_escape(*place)).map(|place| at + place));
        }
        at += pair.len() + 1;
    }
    places
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "a platform signs with the real time, and the gateway has the same")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_signature_covers_is_changed() {
        let form = b"a=%41b&sign=xyz&c=9&sign_type=RSA2";
        let places: Vec<u8> = plain_places(form).into_iter().map(|place| form[place]).collect();
        assert_eq!(places, b"b9");
    }

    #[test]
    fn a_changed_message_differs_from_the_genuine_one() {
        for platform in Platform::ALL {
            let story = Story::paid("X", 100, now());
            let genuine = platform.side().callback(&story).request;
            for where_to in [0, 1, 77, 12_345] {
                let mut changed = genuine.clone();
                change(*platform, &mut changed, where_to);
                assert_eq!(changed.body.len(), genuine.body.len());
                assert_ne!(changed.body, genuine.body);
            }
        }
    }
}
