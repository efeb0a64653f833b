//! The power goes at chosen moments: what the disk has kept is opened, and compared with what was promised.
//!
//! Two judges look at an image. SQLite recovers it, and the recovered pages have to be those after one of the commits,
//! and not an earlier one than anything that had left: that needs no knowledge of the tables and covers all that is in
//! them. At some moments the program itself is asked too, in the words of its commands, and started on the image.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use super::disk::{Cut, Disk, Image};
use super::order::Ledger;
use super::record::{Deed, Kind, Recording, SHARED_MEMORY, Step};
use super::wal::{History, Likeness};
use super::world::{INBOX, PATIENCE, World, send};
use super::{Breach, Traffic};
use crate::random::Random;

/// Images are looked at side by side.
const CHECKERS: usize = 2;
/// At one of so many points the program is asked too.
const ASKED_EVERY: usize = 8;
/// Of so many points the program is started on one more image, and has to finish the work.
const STARTED_EVERY: usize = 35;
/// Notifications that the program is asked about one by one, newest first, at such a point.
const SHOWN: usize = 3;
/// Events that the program is asked for at once.
const PAGE: &str = "500";
/// Callbacks that come again after such a start.
const REPEATED: usize = 12;

/// Why a moment was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// While the inbox is made, before the first commit of a callback.
    Creation,
    /// Just before a flush begins: all of its writes are still in memory.
    BeforeFlush,
    /// A flush has begun and not returned.
    DuringFlush,
    /// A success has just left.
    Reply,
    /// A delivery has just left.
    Delivery,
    /// The log is being moved into the database.
    Checkpoint,
    /// The log begins anew, over the frames of before.
    Restart,
    /// A name came or went.
    Name,
    /// The program was killed, and its next life begins.
    NextLife,
    /// Anywhere.
    Any,
}

impl Moment {
    const ALL: &[Self] = &[
        Self::Creation,
        Self::BeforeFlush,
        Self::DuringFlush,
        Self::Reply,
        Self::Delivery,
        Self::Checkpoint,
        Self::Restart,
        Self::Name,
        Self::NextLife,
        Self::Any,
    ];
}

/// A cut, with what was left by it.
struct Point {
    number: usize,
    place: usize,
    moment: Moment,
    cut: Cut,
    image: Image,
}

/// All that is known of a run.
pub(super) struct Case<'a> {
    /// Where the program is.
    pub(super) world: &'a World,
    /// What it did.
    pub(super) recording: &'a Recording,
    /// What was sent to it.
    pub(super) traffic: &'a Traffic,
    /// What it committed.
    pub(super) history: &'a History,
    /// What it promised.
    pub(super) ledger: &'a Ledger,
}

/// What became of the points.
#[derive(Clone, Debug, Default)]
pub(super) struct Replayed {
    /// How many there were of each kind.
    pub(super) points: BTreeMap<Moment, usize>,
    /// At how many the program was asked.
    pub(super) asked: usize,
    /// At how many it was started.
    pub(super) started: usize,
    /// What was lost.
    pub(super) breaches: Vec<Breach>,
}

impl Case<'_> {
    /// Cuts the power at so many points.
    ///
    /// # Errors
    /// When an image cannot be made, or the recording has no moment of some kind: then it is no proof.
    pub(super) fn replay(&self, points: usize, seed: u64, folder: &Path) -> anyhow::Result<Replayed> {
        let mut random = Random::new(seed);
        let places = self.places();
        for moment in Moment::ALL {
            ensure!(places.contains_key(moment), "the run had no moment of the kind {moment:?}");
        }
        let mut chosen: Vec<(usize, Moment, Cut, usize)> = (0..points)
            .map(|number| {
                let moment = Moment::ALL[number % Moment::ALL.len()];
                // Their counts have no common divisor: every cut meets every kind of moment.
                let cut = Cut::ALL[number % Cut::ALL.len()];
                (*random.pick(&places[&moment]), moment, cut, number)
            })
            .collect();
        chosen.sort_unstable_by_key(|(place, _, _, number)| (*place, *number));
        let result = Mutex::new(Replayed::default());
        let (sender, receiver) = mpsc::sync_channel::<Point>(CHECKERS);
        let receiver = Mutex::new(receiver);
        std::thread::scope(|scope| {
            let check = |checker: usize| -> anyhow::Result<()> {
                let folder = folder.join(format!("image-{checker}"));
                loop {
                    let Ok(point) = lock(&receiver).recv() else { return Ok(()) };
                    let doing = || format!("look at point {} at step {}", point.number, point.place);
                    let found = self.look(&point, &folder).with_context(doing)?;
                    let mut result = lock(&result);
                    *result.points.entry(point.moment).or_default() += 1;
                    result.asked += usize::from(found.asked);
                    result.breaches.extend(found.breaches);
                }
            };
            let checkers: Vec<_> = (0..CHECKERS).map(|number| scope.spawn(move || check(number))).collect();
            let mut disk = Disk::new(self.recording);
            for (place, moment, cut, number) in chosen {
                disk.go_to(place);
                let image = disk.image(cut, &mut random);
                if sender.send(Point { number, place, moment, cut, image }).is_err() {
                    break;
                }
            }
            drop(sender);
            checkers.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a checker panicked"))?)
        })?;
        let mut result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.start_some(points / STARTED_EVERY, &places, seed, folder, &mut result)?;
        Ok(result)
    }

    /// After which steps there are moments of each kind.
    fn places(&self) -> BTreeMap<Moment, Vec<usize>> {
        let recording = self.recording;
        let mut places: BTreeMap<Moment, Vec<usize>> = BTreeMap::new();
        let mut add = |moment, place| places.entry(moment).or_default().push(place);
        let names = self.names();
        let first_promise = self.ledger.replies.first().map_or(0, |promise| promise.place);
        let mut is_new_life = true;
        let mut since_start = 0;
        for (at, step) in recording.steps.iter().enumerate() {
            let after = at + 1;
            add(Moment::Any, after);
            if after < first_promise {
                add(Moment::Creation, after);
            }
            match step {
                Step::SyncBegin(_) => {
                    add(Moment::BeforeFlush, at);
                    add(Moment::DuringFlush, after);
                }
                Step::Begin(deed) => match &recording.deeds[*deed] {
                    Deed::Write { file, .. } => {
                        let name = names.get(file).map_or("", String::as_str);
                        if at > first_promise && INBOX.ends_with(name) && !name.is_empty() {
                            add(Moment::Checkpoint, after);
                        }
                    }
                    Deed::Resize { .. } => add(Moment::Restart, after),
                    _ => add(Moment::Name, after),
                },
                Step::End(deed) => {
                    if !matches!(recording.deeds[*deed], Deed::Write { .. } | Deed::Resize { .. }) {
                        add(Moment::Name, after);
                    }
                }
                Step::Killed | Step::Exit(_) => (is_new_life, since_start) = (true, 0),
                Step::SyncEnd(_) | Step::Sent(_) => {}
            }
            since_start += 1;
            if is_new_life && at > first_promise && since_start < 60 {
                add(Moment::NextLife, after);
            }
            is_new_life = is_new_life && since_start < 60;
        }
        for restart in &self.history.restarts {
            // The header, the first frames, and the first flush of the log that begins anew.
            (1..12)
                .map(|after| restart + after)
                .filter(|place| *place <= recording.steps.len())
                .for_each(|place| add(Moment::Restart, place));
        }
        self.ledger.replies.iter().for_each(|promise| add(Moment::Reply, promise.place + 1));
        self.ledger.deliveries.iter().for_each(|promise| add(Moment::Delivery, promise.place + 1));
        places
    }

    /// The last name that each node was given.
    fn names(&self) -> HashMap<usize, String> {
        let roots = self.recording.roots.iter().map(|(_, name, node)| (*node, name.clone()));
        let entered = self.recording.deeds.iter().filter_map(|deed| match deed {
            Deed::Enter { name, node, .. } => Some((*node, name.clone())),
            Deed::Move { to, node, .. } => Some((*node, to.1.clone())),
            _ => None,
        });
        roots.chain(entered).filter(|(node, _)| self.recording.kinds[*node] == Kind::File).collect()
    }

    fn look(&self, point: &Point, folder: &Path) -> anyhow::Result<Looked> {
        let mut looked = Looked::default();
        let place = point.place;
        let mut lost = |what: String| {
            let what = format!("{what} (point {}, {:?}, {:?})", point.number, point.moment, point.cut);
            looked.breaches.push(Breach::new(place, "lost", what));
        };
        let promised = self.ledger.promised(place);
        let mut is_asked = point.number.is_multiple_of(ASKED_EVERY);
        write_image(&point.image, folder)?;
        match recover(&folder.join(INBOX), self.history)? {
            Recovered::Nothing if promised == 0 => {}
            Recovered::Nothing => lost(format!("there is no inbox, and {promised} commits were promised")),
            Recovered::Unreadable(cause) => lost(format!("the inbox cannot be opened: {cause}")),
            Recovered::Like(Likeness::After(number)) if number >= promised => {}
            Recovered::Like(Likeness::After(number)) => {
                lost(format!("the inbox is as after commit {number}, and {promised} were promised"));
            }
            // Half a new inbox, of which nobody has heard: the program must only be able to go on with it.
            Recovered::Like(Likeness::None { .. }) if promised == 0 => is_asked = true,
            Recovered::Like(Likeness::None { nearest, page }) => {
                lost(format!("the inbox is as after no commit: page {page} is not that of commit {nearest}"));
            }
        }
        if is_asked {
            write_image(&point.image, folder)?;
            let config = folder.with_extension("toml");
            self.world.configure(&config, &folder.join(INBOX))?;
            let found = self.ask(&config, place)?;
            found.into_iter().for_each(&mut lost);
            looked.asked = true;
        }
        Ok(looked)
    }

    /// Asks the program, and compares its answers with what had left before `place`.
    pub(super) fn ask(&self, config: &Path, place: usize) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let events = match self.events(config)? {
            Ok(events) => events,
            Err(cause) => return Ok(vec![format!("the program cannot read the inbox: {cause}")]),
        };
        let mut by_order: HashMap<&str, Vec<&Value>> = HashMap::new();
        for event in &events {
            by_order.entry(event["data"]["order_no"].as_str().unwrap_or_default()).or_default().push(event);
        }
        for (number, events) in &by_order {
            if events.len() > 1 {
                wrong.push(format!("{number} has {} events", events.len()));
            }
        }
        let orders = &self.traffic.orders;
        for promise in self.ledger.replies.iter().filter(|promise| promise.place < place) {
            let order = &orders[promise.order];
            match by_order.get(&*order.number).and_then(|events| events.first()) {
                Some(event) if event["data"]["amount"]["minor"] == order.amount => {}
                Some(event) => wrong.push(format!("{} has the amount {}", order.number, event["data"]["amount"])),
                None => wrong.push(format!("{} was answered and has no event", order.number)),
            }
        }
        for promise in self.ledger.deliveries.iter().filter(|promise| promise.place < place) {
            let number = &orders[promise.order].number;
            let Some(told) = &promise.event else { continue };
            let known = by_order.get(&**number).and_then(|events| events.first()?["id"].as_str());
            if known != Some(told) {
                wrong.push(format!("{number} was delivered as {told}, and is {known:?} now"));
            }
        }
        let acked = self.ledger.replies.iter().rev().filter(|promise| promise.place < place).take(SHOWN);
        for promise in acked {
            let order = &orders[promise.order];
            let Some(event) = by_order.get(&*order.number).and_then(|events| events.first()) else { continue };
            let id = event["id"].as_str().unwrap_or_default();
            let story = self.json(config, &["show", id])?.unwrap_or_default();
            let deliveries = story.first().and_then(|story| story["deliveries"].as_array()).map_or(0, Vec::len);
            if deliveries != 1 {
                wrong.push(format!("{} has {deliveries} deliveries", order.number));
            }
            let raw = self.world.ask(config, &["show", id, "--raw"])?;
            let body = memchr::memmem::find(&raw.stdout, b"\r\n\r\n").map(|at| &raw.stdout[at + 4..]);
            if body != Some(&order.request.body[..]) {
                let cause = String::from_utf8_lossy(&raw.stderr);
                wrong.push(format!("the bytes of {} are not those that came {cause}", order.number));
            }
        }
        Ok(wrong)
    }

    /// Waits until every delivery has been confirmed; gives the state of one that is not.
    fn unfinished(&self, config: &Path) -> anyhow::Result<Option<&'static str>> {
        let since = Instant::now();
        for state in ["waiting", "held", "dead", "leased", "pending", "leased"] {
            loop {
                match self.json(config, &["events", "--state", state, "--limit", "1"])? {
                    Ok(events) if events.is_empty() => break,
                    _ if since.elapsed() > PATIENCE => return Ok(Some(state)),
                    _ => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        }
        Ok(None)
    }

    /// All events, page by page.
    fn events(&self, config: &Path) -> anyhow::Result<Result<Vec<Value>, String>> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let mut words = vec!["events", "--limit", PAGE];
            let before = events.last().and_then(|event| event["id"].as_str()).map(str::to_owned);
            words.extend(before.iter().flat_map(|before| ["--before", before]));
            match self.json(config, &words)? {
                Ok(page) if page.is_empty() => return Ok(Ok(events)),
                Ok(page) => events.extend(page),
                Err(cause) => return Ok(Err(cause)),
            }
        }
    }

    /// What a subcommand prints; inside, what it says of a failure.
    fn json(&self, config: &Path, words: &[&str]) -> anyhow::Result<Result<Vec<Value>, String>> {
        let output = self.world.ask(config, &[&["--json"], words].concat())?;
        if !output.status.success() {
            return Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?))
    }

    /// Starts the program on some images. The platform repeats what it has heard success for, and hears it again; every
    /// order is delivered; nothing is there twice.
    fn start_some(
        &self,
        starts: usize,
        places: &BTreeMap<Moment, Vec<usize>>,
        seed: u64,
        folder: &Path,
        result: &mut Replayed,
    ) -> anyhow::Result<()> {
        let mut random = Random::of(seed, "starts", 0);
        for number in 0..starts {
            let place = *random.pick(&places[&if number % 2 == 0 { Moment::Reply } else { Moment::Checkpoint }]);
            let cut = if number % 2 == 0 { Cut::Nothing } else { Cut::Torn };
            let mut disk = Disk::new(self.recording);
            disk.go_to(place);
            let image = disk.image(cut, &mut random);
            let folder = folder.join(format!("start-{number}"));
            let config = folder.with_extension("toml");
            write_image(&image, &folder)?;
            self.world.configure(&config, &folder.join(INBOX))?;
            let mut lost = |what: String| {
                result.breaches.push(Breach::new(place, "lost", format!("{what} (start {number}, {cut:?})")));
            };
            let gateway = match self.world.serve_image(&config) {
                Ok(gateway) => gateway,
                Err(cause) => {
                    lost(format!("the program does not start: {cause:#}"));
                    continue;
                }
            };
            let mut acked: Vec<usize> = self
                .ledger
                .replies
                .iter()
                .filter(|promise| promise.place < place)
                .map(|promise| promise.order)
                .collect();
            acked.sort_unstable();
            acked.dedup();
            let from = acked.len().saturating_sub(REPEATED);
            let orders = &self.traffic.orders;
            let (_, answered) = send(self.world.address, orders, &acked[from..], 2, usize::MAX, || Ok(()))?;
            if answered.len() != acked.len() - from {
                lost(format!("of {} repetitions {} were answered", acked.len() - from, answered.len()));
            }
            if let Some(left) = self.unfinished(&config)? {
                lost(format!("a delivery stays {left}"));
            }
            gateway.end(Signal::TERM)?;
            self.ask(&config, place)?.into_iter().for_each(&mut lost);
            result.started += 1;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Looked {
    asked: bool,
    breaches: Vec<Breach>,
}

enum Recovered {
    Nothing,
    Unreadable(String),
    Like(Likeness),
}

/// Has SQLite recover an inbox, as it would after a power cut.
fn recover(path: &Path, history: &History) -> anyhow::Result<Recovered> {
    if !path.exists() {
        return Ok(Recovered::Nothing);
    }
    let open = || -> rusqlite::Result<String> {
        let conn = Connection::open(path)?;
        let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        conn.close().map_err(|(_, error)| error)?;
        Ok(found)
    };
    Ok(match open() {
        Ok(found) if found == "ok" => {
            let bytes = fs::read(path)?;
            if bytes.is_empty() {
                Recovered::Like(Likeness::After(0))
            } else {
                Recovered::Like(history.likeness(&bytes))
            }
        }
        Ok(found) => Recovered::Unreadable(found),
        Err(error) => Recovered::Unreadable(error.to_string()),
    })
}

/// Writes an image, in the place of what is there.
pub(super) fn write_image(image: &Image, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let make = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    make(folder)?;
    for path in &image.folders {
        make(&folder.join(path))?;
    }
    for (path, bytes) in &image.files {
        if path.to_string_lossy().ends_with(SHARED_MEMORY) {
            continue;
        }
        let path: PathBuf = folder.join(path);
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
