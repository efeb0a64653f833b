//! Every interleaving of callers and the writer, on the queue itself: `make loom`.
//!
//! The writer here does what the inbox's does, in the same order: take, do all jobs of the batch, commit, answer. A
//! commit is a relaxed store, so that a caller sees it only when its answer makes it so; a wake-up that could be missed
//! is a standstill, which loom reports.

#![cfg(loom)]

use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use tollbell_group_commit::{Queue, Refusal, Taken, Urgency};

/// A caller's job: which bit it sets when it is done, and where its answer goes.
struct Job {
    bit: usize,
    answer: Arc<Answer>,
}

/// A place for one answer.
#[derive(Default)]
struct Answer {
    told: Mutex<Option<usize>>,
    is_told: Condvar,
}

impl Answer {
    fn tell(&self, done: usize) {
        let before = self.told.lock().unwrap().replace(done);
        assert_eq!(before, None, "a caller hears once");
        self.is_told.notify_one();
    }

    fn hear(&self) -> usize {
        let mut told = self.told.lock().unwrap();
        loop {
            match *told {
                Some(done) => return done,
                None => told = self.is_told.wait(told).unwrap(),
            }
        }
    }
}

/// What is on disk, and how the batches went there.
struct Disk {
    committed: AtomicUsize,
    batches: AtomicUsize,
}

struct World {
    queue: Queue<Job>,
    disk: Disk,
}

impl World {
    fn new(jobs_max: usize) -> Arc<Self> {
        let disk = Disk { committed: AtomicUsize::new(0), batches: AtomicUsize::new(0) };
        Arc::new(Self { queue: Queue::new(jobs_max), disk })
    }

    /// Works until the queue is closed and empty; returns the batches.
    fn write(&self) -> Vec<Vec<usize>> {
        let mut batches = Vec::new();
        loop {
            let batch = match self.queue.take(Duration::MAX) {
                Taken::Batch(batch) => batch,
                Taken::Idle => unreachable!("nothing was waited for, and the patience has no end"),
                Taken::Closed => return batches,
            };
            assert!(!batch.is_empty(), "a commit of nothing");
            let before = self.disk.committed.load(Ordering::Relaxed);
            let done = batch.iter().fold(before, |done, waiting| {
                assert_eq!(done & waiting.job.bit, 0, "a job is done once");
                done | waiting.job.bit
            });
            // Nobody hears anything before this.
            self.disk.committed.store(done, Ordering::Relaxed);
            self.disk.batches.fetch_add(1, Ordering::Relaxed);
            batches.push(batch.iter().map(|waiting| waiting.job.bit).collect());
            for waiting in batch {
                waiting.job.answer.tell(done);
            }
        }
    }

    /// Asks and waits for the answer; whether it was taken in.
    fn ask(&self, bit: usize, urgency: Urgency) -> Result<(), Refusal> {
        let answer = Arc::<Answer>::default();
        self.queue.push(Job { bit, answer: answer.clone() }, 1, urgency)?;
        // Who was taken in and is not answered stands still here.
        let done = answer.hear();
        assert_ne!(done & bit, 0, "the answer is of the batch with this job");
        let seen = self.disk.committed.load(Ordering::Relaxed);
        assert_eq!(seen & done, done, "the whole batch is on disk before anyone of it hears");
        Ok(())
    }
}

/// Switches between threads, where none was due, that a path has at most. Beyond three nothing was ever found that fewer
/// do not show (see the documentation of loom), and all paths take hours.
const PREEMPTIONS_MAX: usize = 3;

fn every_order(of: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model.check(of);
}

/// Callers that ask at the same time as the writer, here this thread, works; the last one closes the queue.
fn meet<const N: usize>(
    world: &Arc<World>,
    asks: [(usize, Urgency); N],
) -> (Vec<Vec<usize>>, [Result<(), Refusal>; N]) {
    let left = Arc::new(AtomicUsize::new(N));
    let callers = asks.map(|(bit, urgency)| {
        let (world, left) = (world.clone(), left.clone());
        thread::spawn(move || {
            let answer = world.ask(bit, urgency);
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                world.queue.close();
            }
            answer
        })
    });
    let batches = world.write();
    (batches, callers.map(|caller| caller.join().unwrap()))
}

#[test]
fn nobody_is_lost_and_nobody_hears_before_the_commit() {
    every_order(|| {
        let world = World::new(4);
        let (batches, answers) = meet(&world, [(1, Urgency::Intake), (2, Urgency::Work)]);
        assert_eq!(answers, [Ok(()), Ok(())]);
        let mut jobs = batches.concat();
        jobs.sort_unstable();
        assert_eq!(jobs, [1, 2]);
    });
}

#[test]
fn who_races_with_the_close_is_answered_or_refused() {
    for urgency in [Urgency::Intake, Urgency::Bulk] {
        every_order(move || {
            let world = World::new(4);
            let caller = {
                let world = world.clone();
                thread::spawn(move || world.ask(1, urgency))
            };
            let closer = {
                let world = world.clone();
                thread::spawn(move || world.queue.close())
            };
            let jobs = world.write().concat();
            closer.join().unwrap();
            match caller.join().unwrap() {
                Ok(()) => assert_eq!(jobs, [1]),
                Err(refusal) => assert_eq!((refusal, jobs), (Refusal::Closed, vec![])),
            }
        });
    }
}

#[test]
fn one_callers_jobs_keep_their_order_and_bulk_goes_alone() {
    every_order(|| {
        let world = World::new(4);
        let pusher = {
            let world = world.clone();
            thread::spawn(move || {
                let jobs = [(1, Urgency::Bulk), (2, Urgency::Intake), (4, Urgency::Work)];
                let answers = jobs.map(|(bit, urgency)| {
                    let answer = Arc::<Answer>::default();
                    world.queue.push(Job { bit, answer: answer.clone() }, 1, urgency).unwrap();
                    answer
                });
                for answer in answers {
                    answer.hear();
                }
                world.queue.close();
            })
        };
        let batches = world.write();
        pusher.join().unwrap();
        let position = |bit| batches.iter().position(|batch| batch.contains(&bit)).unwrap();
        assert!(position(2) <= position(4), "{batches:?}");
        assert_eq!(batches[position(1)], [1], "{batches:?}");
        assert_eq!(batches.concat().len(), 3);
    });
}

#[test]
fn the_bound_holds_and_who_is_refused_was_never_taken() {
    every_order(|| {
        let world = World::new(1);
        let (batches, answers) = meet(&world, [(1, Urgency::Intake), (2, Urgency::Intake)]);
        assert!(batches.iter().all(|batch| batch.len() == 1), "never two at once: {batches:?}");
        let jobs = batches.concat();
        for (bit, answer) in [1, 2].into_iter().zip(answers) {
            match answer {
                Ok(()) => assert!(jobs.contains(&bit)),
                Err(refusal) => assert!(refusal == Refusal::Overloaded && !jobs.contains(&bit), "{refusal:?}"),
            }
        }
        assert!(!jobs.is_empty(), "the first always fits");
    });
}
