//! The node's tasks: each has a name and can be told to end by itself. A task that ends without having been
//! told is a part of the node that is gone.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::{Id, JoinError, JoinSet};

use crate::stop::{Stop, Stopper, stop_pair};

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// Serves a public address.
    Listener(SocketAddr),
    /// Delivers to a target.
    Line(Arc<str>),
    /// Renews the platform keys of a channel.
    Keys(Arc<str>),
    /// Asks the platform of a channel about its hints.
    Hints(Arc<str>),
    /// Removes what is older than its retention.
    Retain,
    /// Takes over a changed certificate.
    Tls,
    /// Drops what nobody needs at the public listener.
    Tidy,
    /// Looks at the ends of keys.
    Lives,
    /// Looks for changed files.
    Watch,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(address) => write!(f, "`receive` on {address}"),
            Self::Line(id) => write!(f, "`deliver` to {id}"),
            Self::Keys(id) => write!(f, "`keys` of {id}"),
            Self::Hints(id) => write!(f, "`operate` for the hints of {id}"),
            Self::Retain => f.write_str("`retain`"),
            Self::Tls => f.write_str("`tls`"),
            Self::Tidy => f.write_str("`tidy`"),
            Self::Lives => f.write_str("`lives`"),
            Self::Watch => f.write_str("`watch`"),
        }
    }
}

/// The running tasks.
#[derive(Default)]
pub(super) struct Supervisor {
    set: JoinSet<()>,
    tasks: HashMap<Id, Task>,
}

struct Task {
    what: What,
    stopper: Stopper,
    was_told: bool,
}

/// How a task ended.
pub(super) struct Ended {
    pub(super) what: What,
    /// Whether it had been told to.
    pub(super) was_told: bool,
    /// When it did not end by returning.
    pub(super) error: Option<JoinError>,
}

impl Supervisor {
    /// Starts a task; it ends when its stop signal is raised.
    pub(super) fn spawn<F>(&mut self, what: What, work: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stopper, stop) = stop_pair();
        let id = self.set.spawn(work(stop)).id();
        self.tasks.insert(id, Task { what, stopper, was_told: false });
    }

    /// Tells the tasks that do this to end.
    pub(super) fn tell(&mut self, what: &What) {
        self.tasks.values_mut().filter(|task| task.what == *what).for_each(Task::tell);
    }

    /// Tells every task to end.
    pub(super) fn tell_all(&mut self) {
        self.tasks.values_mut().for_each(Task::tell);
    }

    /// The next end of a task; `None` when none is left. Nothing is lost when the call is cancelled.
    pub(super) async fn next_end(&mut self) -> Option<Ended> {
        let (id, error) = match self.set.join_next_with_id().await? {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let task = self.tasks.remove(&id).expect("every task was noted when it began");
        Some(Ended { what: task.what, was_told: task.was_told, error })
    }

    /// Whether a task does this and was not told to end.
    pub(super) fn has(&self, what: &What) -> bool {
        self.tasks.values().any(|task| task.what == *what && !task.was_told)
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    /// Ends what still runs, in the middle of its work.
    pub(super) async fn abort(&mut self) {
        self.set.shutdown().await;
        self.tasks.clear();
    }
}

impl Task {
    fn tell(&mut self) {
        self.was_told = true;
        self.stopper.stop();
    }
}
