//! Claims that found nothing and stand by inside the writer: the transaction that makes something due for their
//! target leases it to them as well, so that a delivery is on its way after one commit instead of two.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::fault::Fault;
use super::session::Session;
use super::work;
use crate::clock::Clock;
use crate::inbox::{Claim, Claimed, Error, Leased, StandBy};

/// A claim that stands by.
pub(super) struct Parked {
    target: Arc<str>,
    max: usize,
    lease: Duration,
    clock: Clock,
    caller: Caller,
}

/// Leases that were given in a transaction; told after its commit.
pub(super) struct Granted {
    leases: Result<Vec<Leased>, Error>,
    caller: Caller,
}

type Caller = oneshot::Sender<Result<Vec<Leased>, Error>>;

/// Takes what is due. When that is nothing, the claim stands by in the place of the one that did so for its target.
pub(super) fn claim(session: &mut Session, claim: &Claim, clock: &Clock) -> Result<Claimed, Fault> {
    let target = session.target(&claim.target)?;
    session.parked.remove(&target);
    if claim.max == 0 {
        return Ok(Claimed { leases: Vec::new(), next_due: None, stand_by: None });
    }
    let leases = work::claim(session, claim)?;
    let is_short = leases.len() < claim.max;
    let next_due = if is_short { work::next_due_of(&session.conn, target)? } else { None };
    let stand_by = leases.is_empty().then(|| {
        let (caller, granted) = oneshot::channel();
        let (lease, clock) = (claim.lease, clock.clone());
        session.parked.insert(target, Parked { target: claim.target.clone(), max: claim.max, lease, clock, caller });
        StandBy(granted)
    });
    Ok(Claimed { leases, next_due, stand_by })
}

/// Gives what this transaction made due to those who stand by for it. What only time makes due, and leases that ran
/// out, are for fresh claims: those know which attempts still run.
pub(super) fn grant(session: &mut Session) -> Result<(), Fault> {
    session.parked.retain(|_, parked| !parked.caller.is_closed());
    let targets: Vec<i64> = session.parked.keys().copied().collect();
    for target in targets {
        let Some(parked) = session.parked.remove(&target) else { continue };
        let now = (parked.clock)();
        let claim = Claim {
            target: parked.target.clone(),
            max: parked.max,
            now,
            lease: parked.lease,
            longest_wait: Duration::ZERO,
            running: Vec::new(),
        };
        let leases = session.within_savepoint(|session| work::claim_pending(session, target, &claim))?;
        if matches!(&leases, Ok(leases) if leases.is_empty()) {
            session.parked.insert(target, parked);
        } else {
            session.granted.push(Granted { leases, caller: parked.caller });
        }
    }
    Ok(())
}

/// Tells what was given, after the commit.
pub(super) fn tell(session: &mut Session) {
    for granted in session.granted.drain(..) {
        if granted.caller.send(granted.leases).is_err() {
            tracing::debug!("a claim was granted after its caller had gone; its leases run out");
        }
    }
}
