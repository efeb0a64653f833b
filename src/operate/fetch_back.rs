//! Following hints: one task a channel leases the hint whose turn it is, asks the platform, and stores what the answer
//! proves. A question has no effect at the platform, so one that was lost with the process is simply asked again.
//!
//! Where the platform wants a login before a question, the task logs in when it has no credential, and keeps what it was
//! given in its own memory alone until shortly before its end. There is one task a channel, so there is one login at a time.
//!
//! When to ask, and what becomes of a hint after an answer, is decided in `pace` and `settle`, which are pure.

#[cfg(test)]
mod flood;
#[cfg(test)]
mod late;
mod pace;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tollbell_channels::channel::{
    Channel, Credential, FetchBack, FetchRefused, Fetched, Hint, HttpAnswer, Login, NextAsk, Question,
};
use tollbell_channels::model::{EventKind, Notification, Proven, RawRequest, Timestamp};
use tracing::{debug, error, info, warn};

use self::pace::Turns;
use self::settle::{Ended, Settled, settle};
use crate::clock::{Chance, Clock};
use crate::inbox::hints::{Ground, HintClaim, HintClaimed, HintEnd, Learned, LeasedHint, Noted};
use crate::inbox::{Arrival, Inbox, RoutedTarget, Stored};
use crate::keys::{Fetch, FetchError};
use crate::stop::Stop;
use crate::telemetry::{ByChannel, ByReason, Metrics};

/// How long a question may take, connection and answer together, and the login with it.
pub const QUESTION_MAX: Duration = Duration::from_secs(15);
/// The status with which a platform says that it does not know who asks. A credential that a login gave may have been
/// ended there; a new login tells.
const UNAUTHORISED: u16 = 401;
/// How long a lease lasts: longer than the question and the writing down of its answer.
const LEASE: Duration = Duration::from_secs(20);
/// Longest sleep between two looks at what is due: a wake-up may be lost, and a clock may be set.
const SCAN: Duration = Duration::from_secs(30);
/// The wait after the inbox failed.
const INBOX_WAIT: Duration = Duration::from_secs(1);

/// A channel, and what becomes of what its platform says.
#[derive(Clone)]
pub struct Asked {
    /// The channel, as it is configured now.
    pub channel: Arc<dyn Channel>,
    /// The merchant.
    pub merchant: Arc<str>,
    /// The platform's kind.
    pub platform: &'static str,
    /// Whether its deliveries are skipped.
    pub is_shadow: bool,
    /// Where events of a kind go.
    pub routes: Arc<dyn Fn(EventKind) -> Vec<RoutedTarget> + Send + Sync>,
}

/// Finds a channel by its id; none when it is not configured any more.
pub type ChannelOf = Arc<dyn Fn(&str) -> Option<Asked> + Send + Sync>;

/// Asks the platform of one channel.
pub struct Asker {
    /// The channel's id.
    pub id: Arc<str>,
    /// Finds the channel as it is configured when a question begins.
    pub channel_of: ChannelOf,
    /// The inbox.
    pub inbox: Arc<dyn Inbox>,
    /// The way out.
    pub fetch: Arc<dyn Fetch>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Clock,
    /// Jitter.
    pub chance: Chance,
}

/// What a look at the inbox came to.
enum Step {
    /// Something was asked.
    Asked,
    /// Nothing to do before this time, or a wake-up.
    Idle(Duration),
    /// The stop signal came.
    Over,
}

impl Asker {
    /// Shows its counters at zero from the start, for alerts on their rise.
    fn announce(&self) {
        for noted in Noted::ALL {
            let labels = ByReason { channel: self.id.clone(), reason: noted.as_str() };
            drop(self.metrics.hints.get_or_create(&labels));
        }
        for reason in OUTCOMES.iter().copied() {
            drop(self.metrics.questions.get_or_create(&ByReason { channel: self.id.clone(), reason }));
        }
    }

    /// Asks what is due, one question at a time, until the stop signal. A question under way is given up then: its hint
    /// stays due.
    pub async fn run(self, mut stop: Stop) {
        self.announce();
        let mut wakes = self.inbox.hint_wakes();
        let mut turns = Turns::default();
        let mut credential = None;
        let mut takes_over = true;
        while !stop.is_raised() {
            // Before the look, so that what comes during it is seen.
            wakes.borrow_and_update();
            let done = self.step(&mut turns, &mut credential, takes_over, &mut stop).await;
            takes_over &= matches!(done, Step::Idle(_));
            match done {
                Step::Asked => {}
                Step::Over => return wait_for_stop(stop).await,
                Step::Idle(wait) => {
                    if is_over(wait.min(SCAN), &mut wakes, &turns, &mut stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// Asks one question, if one may be asked now.
    async fn step(
        &self,
        turns: &mut Turns,
        credential: &mut Option<Credential>,
        takes_over: bool,
        stop: &mut Stop,
    ) -> Step {
        // Who asks for it no more is told so: until then it may come (back) into force.
        let Some(asked) = (self.channel_of)(&self.id) else { return Step::Idle(SCAN) };
        let Some(pace) = asked.channel.fetch_back().map(FetchBack::pace) else { return Step::Idle(SCAN) };
        let grounds = match turns.open(Instant::now(), pace) {
            Ok(grounds) => grounds,
            Err(wait) => return Step::Idle(wait),
        };
        let now = (self.clock)();
        let claim = HintClaim { channel: self.id.to_string(), grounds, now, lease: LEASE, takes_over };
        let claimed = self.inbox.claim_hint(claim).await;
        if !matches!(claimed, Ok(HintClaimed::Leased(_))) {
            turns.found_nothing(Instant::now());
        }
        let leased = match claimed {
            Ok(HintClaimed::Leased(leased)) => leased,
            Ok(HintClaimed::Nothing(None)) => return Step::Idle(SCAN),
            Ok(HintClaimed::Nothing(Some(next))) => {
                let until = Duration::try_from(next.duration_since(now)).unwrap_or_default();
                // What is due by now stands on ground whose turn comes later.
                let is_due = until.is_zero();
                return Step::Idle(if is_due { turns.next_ground(Instant::now(), pace) } else { until });
            }
            Err(error) => {
                warn!(channel = %self.id, %error, "cannot see which hints are due");
                return Step::Idle(INBOX_WAIT);
            }
        };
        let answers_others = turns.answers();
        turns.begin(Instant::now(), leased.ground);
        let mut sent = Sent::default();
        tokio::select! {
            ended = self.question(&asked, &leased, credential, answers_others, &mut sent) => {
                turns.more(sent.requests.saturating_sub(1), pace);
                turns.end(Instant::now(), ended);
                Step::Asked
            }
            () = stop.raised() => {
                if let Err(error) = self.inbox.release_hint(&self.id, &leased.number, leased.token).await {
                    debug!(channel = %self.id, %error, "a hint keeps its lease");
                }
                Step::Over
            }
        }
    }

    /// One question, from the request to the commit of what it brought. Says how the channel's next ones are delayed.
    async fn question(
        &self,
        asked: &Asked,
        leased: &LeasedHint,
        credential: &mut Option<Credential>,
        answers_others: bool,
        sent: &mut Sent,
    ) -> Ended {
        let result = self.ask(asked, leased, credential, sent).await;
        let now = (self.clock)();
        let settled = settle(&result, leased, now, answers_others, (self.chance)());
        self.count(settled.outcome);
        self.report(leased, &result, &settled);
        let pace = asked.channel.fetch_back().map(FetchBack::pace).unwrap_or_default();
        let learned = match result {
            Ok((Fetched::Notification(proven), kept)) => Learned::Told(Box::new(self.arrival(asked, proven, kept))),
            Ok((Fetched::Nothing, _)) => Learned::Nothing,
            Ok((Fetched::Unknown, _)) => Learned::Unknown,
            Err(_) if settled.is_disowned => Learned::Unknown,
            Err(_) => Learned::NoAnswer,
        };
        let end = HintEnd {
            channel: self.id.to_string(),
            number: leased.number.clone(),
            token: leased.token,
            now,
            gap: pace.gap_of_number,
            learned,
            outcome: settled.outcome,
            again: settled.again,
            if_late: settled.if_late,
        };
        match self.inbox.end_hint(end).await {
            Ok(ended) => {
                if let Some(stored) = ended.stored {
                    self.report_stored(leased, &stored);
                }
            }
            // Its lease runs out, and it is asked again: the same answer makes no second event.
            Err(error) => {
                error!(channel = %self.id, %error, "the platform's answer cannot be stored; asked again later");
            }
        }
        settled.ended
    }

    /// Carries the question, behind a login where the platform wants one, and has the channel read the answer. One
    /// question logs in once at most: with a credential that was had for it, a refusal is the answer.
    async fn ask(
        &self,
        asked: &Asked,
        leased: &LeasedHint,
        credential: &mut Option<Credential>,
        sent: &mut Sent,
    ) -> Result<(Fetched, RawRequest), Unanswered> {
        let back = asked.channel.fetch_back().ok_or_else(|| Unanswered::Unreachable("no interface".to_owned()))?;
        if !back.can_ask((self.clock)()) {
            return Err(Unanswered::Refused(FetchRefused::CredentialEnded));
        }
        let hint = Hint::from_anybody(leased.number.clone());
        let deadline = Instant::now() + QUESTION_MAX;
        if let NextAsk::Question(question) = back.ask(&hint, credential.as_ref(), (self.clock)()) {
            let result = self.carry(back, question, deadline, sent).await;
            let Err(Unanswered::Refused(FetchRefused::Credential { status })) = result else { return result };
            // Ended, or too narrow: the next login may give another.
            let had = credential.take();
            if had.is_none() || status != UNAUTHORISED {
                return result;
            }
            debug!(channel = %self.id, "the platform ended a login early");
        }
        *credential = None;
        match back.ask(&hint, None, (self.clock)()) {
            NextAsk::Login(login) => *credential = Some(self.log_in(login, deadline, sent).await?),
            // What was had is of a login that is not wanted any more.
            NextAsk::Question(question) => return self.carry(back, question, deadline, sent).await,
        }
        let NextAsk::Question(question) = back.ask(&hint, credential.as_ref(), (self.clock)()) else {
            return Err(Unanswered::Unreachable("the login ended before the question".to_owned()));
        };
        let result = self.carry(back, question, deadline, sent).await;
        if matches!(result, Err(Unanswered::Refused(FetchRefused::Credential { .. }))) {
            *credential = None;
        }
        result
    }

    /// One question, and what the channel makes of its answer.
    async fn carry(
        &self,
        back: &dyn FetchBack,
        question: Question,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(Fetched, RawRequest), Unanswered> {
        sent.requests += 1;
        let answer = in_time(deadline, self.fetch.fetch(question.ask().clone(), deadline)).await?;
        let now = (self.clock)();
        let answered = question.carried(answer);
        let kept = answered.kept(now);
        let fetched = back.read(answered, now).map_err(Unanswered::Refused)?;
        Ok((fetched, kept))
    }

    /// One login. Its answer gives a credential or nothing.
    async fn log_in(&self, login: Login, deadline: Instant, sent: &mut Sent) -> Result<Credential, Unanswered> {
        sent.requests += 1;
        let sent_at = (self.clock)();
        let answer = in_time(deadline, self.fetch.fetch(login.ask().clone(), deadline)).await?;
        let credential = login.granted(answer, sent_at).map_err(Unanswered::Login)?;
        debug!(channel = %self.id, until = %credential.until(), "logged in at the platform");
        Ok(credential)
    }

    fn arrival(&self, asked: &Asked, notification: Proven<Notification>, kept: RawRequest) -> Arrival {
        Arrival {
            channel: self.id.clone(),
            merchant: asked.merchant.clone(),
            platform: asked.platform,
            routes: notification.value().facts.iter().map(|fact| (asked.routes)(fact.kind)).collect(),
            notification,
            request: kept,
            signed_query: None,
            is_shadow: asked.is_shadow,
        }
    }

    fn count(&self, outcome: &'static str) {
        let labels = ByReason { channel: self.id.clone(), reason: outcome };
        self.metrics.questions.get_or_create(&labels).inc();
    }

    fn report(&self, leased: &LeasedHint, result: &Result<(Fetched, RawRequest), Unanswered>, settled: &Settled) {
        let (number, ground, again) = (&leased.number, leased.ground.as_str(), settled.again.map(|at| at.to_string()));
        match result {
            Ok((Fetched::Unknown, _)) if leased.is_trusted || leased.ground != Ground::Doubtful => {
                warn!(channel = %self.id, %number, again, "the platform does not know a number that it may have named itself; is the credential of the same account and environment?");
            }
            Ok(_) => debug!(channel = %self.id, %number, ground, outcome = settled.outcome, again, "asked"),
            Err(
                why @ (Unanswered::Refused(FetchRefused::Credential { .. } | FetchRefused::CredentialEnded)
                | Unanswered::Login(FetchRefused::Credential { .. })),
            ) => {
                error!(channel = %self.id, %number, %why, again, "nothing can be asked until the credential is mended; hints are kept");
            }
            Err(
                why @ (Unanswered::Refused(FetchRefused::Throttled { .. } | FetchRefused::Status { .. })
                | Unanswered::Login(FetchRefused::Throttled { .. } | FetchRefused::Status { .. })),
            ) => {
                warn!(channel = %self.id, %number, %why, again, "no answer; asked again later");
            }
            Err(why @ (Unanswered::Refused(_) | Unanswered::Login(_))) => {
                error!(channel = %self.id, %number, %why, again, "an answer that cannot be believed; asked again later");
            }
            Err(why @ Unanswered::Unreachable(_)) => {
                warn!(channel = %self.id, %number, %why, again, "no answer; asked again later");
            }
        }
    }

    fn report_stored(&self, leased: &LeasedHint, stored: &Stored) {
        let by_channel = ByChannel { channel: self.id.clone() };
        let number = &leased.number;
        match stored {
            Stored::New { id, events, is_held } => {
                self.metrics.stored.get_or_create(&by_channel).inc();
                if *is_held {
                    self.metrics.held.get_or_create(&by_channel).inc();
                    warn!(notification.id = %id, channel = %self.id, %number, "asked, stored and held: a person must look at it");
                }
                if events.iter().any(|event| event.deliveries == 0 && !event.is_held) {
                    warn!(notification.id = %id, channel = %self.id, "stored, and no route takes it to a target");
                }
                info!(notification.id = %id, channel = %self.id, %number, events = events.len(), "asked and stored");
            }
            Stored::Repeated { first, .. } => {
                self.metrics.duplicate.get_or_create(&by_channel).inc();
                debug!(notification.id = %first, channel = %self.id, %number, "asked, and nothing new");
            }
        }
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").field("channel", &self.id).finish_non_exhaustive()
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Unanswered {
    /// Nothing came back.
    #[error("{0}")]
    Unreachable(String),
    /// What came back says nothing.
    #[error("{0}")]
    Refused(FetchRefused),
    /// What came back to the login before the question is no credential.
    #[error("login: {0}")]
    Login(FetchRefused),
}

/// What a question took.
#[derive(Debug, Default)]
struct Sent {
    /// Requests to the platform.
    requests: u32,
}

/// An answer before the deadline.
async fn in_time(
    deadline: Instant,
    fetching: impl Future<Output = Result<HttpAnswer, FetchError>>,
) -> Result<HttpAnswer, Unanswered> {
    timeout_at(deadline, fetching)
        .await
        .map_err(|_| Unanswered::Unreachable("no answer in time".to_owned()))?
        .map_err(|error| Unanswered::Unreachable(error.cause))
}

/// Waits for the time, or for a wake-up when that changes anything. True when the stop signal came.
async fn is_over(wait: Duration, wakes: &mut watch::Receiver<u64>, turns: &Turns, stop: &mut Stop) -> bool {
    // While the platform is left in peace, a wake-up is none.
    let in_peace = turns.pause(Instant::now());
    tokio::select! {
        () = sleep(wait.max(in_peace)) => false,
        woken = wakes.changed(), if in_peace.is_zero() => woken.is_err(),
        () = stop.raised() => true,
    }
}

/// A task of a node ends when it is told to, and not before.
async fn wait_for_stop(mut stop: Stop) {
    stop.raised().await;
}

/// Every word with which a question can end, for metrics.
pub const OUTCOMES: &[&str] = settle::OUTCOMES;

/// Now, plus a wait.
fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
