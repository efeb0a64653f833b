//! The jobs in the queue before the writer, and how they are answered.

use tokio::sync::oneshot;
use tollbell_group_commit::Refusal;

use super::fault::Fault;
use super::session::Session;
use crate::inbox::Error;

pub(super) use tollbell_group_commit::Urgency;

/// Something to do inside the writer's transaction.
pub(super) trait Job: Send {
    /// Does it, as often as it is asked to: the batch's transaction may be undone and run again. An error fails the
    /// whole batch; a failure of this job alone is kept for its answer ([`Session::within_savepoint`]).
    fn run(&mut self, session: &mut Session) -> Result<(), Fault>;
    /// Tells the caller, after the commit or the failure of the batch.
    fn answer(self: Box<Self>, batch: Result<(), Error>);
}

/// A job made of a function, answered through a channel: by itself, with its result in it. What the caller allocated
/// is so given back by the callers' threads, whose next calls find that memory warm.
pub(super) struct Asked<T, F> {
    work: F,
    result: Option<Result<T, Error>>,
    caller: Option<Caller<T, F>>,
    needs_caller: bool,
}

type Caller<T, F> = oneshot::Sender<Box<Asked<T, F>>>;

/// The other end of the channel.
pub(super) struct Answer<T, F>(oneshot::Receiver<Box<Asked<T, F>>>);

impl<T, F> Answer<T, F> {
    /// Waits for the commit, or the failure.
    pub(super) async fn wait(self) -> Result<T, Error> {
        let answered = self.0.await.map_err(|_| Error::Closed)?;
        answered.result.unwrap_or_else(|| Err(Error::Unavailable("the job did not run".to_owned())))
    }
}

impl<T, F> Asked<T, F>
where
    F: FnMut(&mut Session) -> Result<T, Fault>,
{
    pub(super) fn new(work: F) -> (Box<Self>, Answer<T, F>) {
        let (caller, answer) = oneshot::channel();
        (Box::new(Self { work, result: None, caller: Some(caller), needs_caller: false }), Answer(answer))
    }

    /// It is not done when the caller has gone by then: a claim that nobody receives would only cost a lease.
    pub(super) fn unless_gone(&mut self) {
        self.needs_caller = true;
    }
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnMut(&mut Session) -> Result<T, Fault> + Send,
{
    fn run(&mut self, session: &mut Session) -> Result<(), Fault> {
        if self.needs_caller && self.caller.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return Ok(());
        }
        self.result = Some(session.within_savepoint(&mut self.work)?);
        Ok(())
    }

    fn answer(mut self: Box<Self>, batch: Result<(), Error>) {
        if let Err(error) = batch {
            self.result = Some(Err(error));
        }
        let Some(caller) = self.caller.take() else { return };
        // A caller that went away is not an error: what was committed stays committed.
        drop(caller.send(self));
    }
}

/// The queue before the writer.
pub(super) type Queue = tollbell_group_commit::Queue<Box<dyn Job>>;
/// What the writer gets.
pub(super) type Taken = tollbell_group_commit::Taken<Box<dyn Job>>;
/// A job and its weight.
pub(super) type Waiting = tollbell_group_commit::Waiting<Box<dyn Job>>;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Overloaded => Self::Overloaded,
            Refusal::Closed => Self::Closed,
        }
    }
}
