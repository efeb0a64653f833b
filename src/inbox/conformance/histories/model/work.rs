//! Claiming, finishing, and how everything looks.

use super::*;

impl Model {
    /// Takes the claim that the inbox made, when it was allowed to.
    pub(in super::super) fn claim(&mut self, claim: &Claim, claimed: &[Leased], now_ms: i64) -> Agreed {
        let lease_ms = i64::try_from(claim.lease.as_millis()).unwrap();
        let longest_ms = i64::try_from(claim.longest_wait.as_millis()).unwrap();
        for (id, token) in &claim.running {
            let own = self.deliveries.iter_mut().find(|delivery| delivery.id == *id).unwrap();
            if own.state == DeliveryState::Leased && own.token == Some(*token) {
                own.due_ms = own.due_ms.map(|due| due.max(now_ms + lease_ms));
            }
        }
        for delivery in self.deliveries.iter_mut().filter(|delivery| delivery.target == *claim.target) {
            let latest = match delivery.state {
                DeliveryState::Pending => longest_ms,
                DeliveryState::Leased => lease_ms,
                _ => continue,
            };
            delivery.due_ms = delivery.due_ms.map(|due| due.min(now_ms + latest));
        }
        let due: BTreeMap<usize, i64> = self
            .open_places()
            .filter(|(_, delivery)| delivery.target == *claim.target && !is_resting(delivery.state))
            .filter_map(|(place, delivery)| Some((place, delivery.due_ms.filter(|due| *due <= now_ms)?)))
            .collect();
        same!(due.len().min(claim.max), claimed.len(), "how many are claimed");
        let mut taken = Vec::new();
        for leased in claimed {
            let place = due.keys().copied().find(|place| self.deliveries[*place].id == leased.delivery);
            let place = place.ok_or_else(|| format!("{:?} is claimed and not due", leased.delivery))?;
            if taken.contains(&place) {
                return Err(format!("{:?} is claimed twice", leased.delivery));
            }
            taken.push(place);
        }
        if !taken.is_sorted_by_key(|place| due[place]) {
            return Err("a claim is not in the order of the due times".to_owned());
        }
        let last = taken.last().map(|place| due[place]);
        if due.iter().any(|(place, at)| !taken.contains(place) && last.is_some_and(|last| *at < last)) {
            return Err("what is due earlier was left".to_owned());
        }
        for (place, leased) in taken.into_iter().zip(claimed) {
            if self.deliveries.iter().any(|delivery| delivery.token == Some(leased.token)) {
                return Err("a token was given twice".to_owned());
            }
            let delivery = &mut self.deliveries[place];
            if delivery.state == DeliveryState::Leased {
                delivery.attempts.push("interrupted".to_owned());
            }
            (delivery.state, delivery.due_ms) = (DeliveryState::Leased, Some(now_ms + lease_ms));
            (delivery.token, delivery.waits_for) = (Some(leased.token), None);
            delivery.begun += 1;
            delivery.tries += 1;
            let delivery = &self.deliveries[place];
            same!((delivery.begun, delivery.tries), (leased.attempt, leased.tries), "attempt and tries");
            same!(now_ms + lease_ms, leased.until.as_millisecond(), "the lease's end");
            let note = &self.notes[delivery.note];
            same!((note.id, delivery.is_raw), (leased.notification, leased.is_raw), "what is claimed");
            same!(note.has_body, leased.request.is_some(), "whether the body is there");
            let mut events: Vec<EventId> = delivery.events.iter().map(|event| self.events[*event].id).collect();
            events.sort_unstable();
            let mut told: Vec<EventId> = leased.events.iter().map(|event| event.id).collect();
            told.sort_unstable();
            same!(events, told, "the events of a claimed delivery");
        }
        Ok(())
    }

    /// Only the holder of the token ends an attempt.
    pub(in super::super) fn finish(&mut self, finish: &Finish, now_ms: i64) -> Finished {
        let found = self.open_places().find(|(_, delivery)| delivery.id == finish.delivery).map(|(place, _)| place);
        let Some(place) = found else { return Finished::LeaseLost };
        let delivery = &mut self.deliveries[place];
        if delivery.state != DeliveryState::Leased || delivery.token != Some(finish.token) {
            return Finished::LeaseLost;
        }
        delivery.attempts.push(finish.attempt.outcome.clone());
        delivery.token = None;
        (delivery.state, delivery.due_ms) = match finish.next {
            Next::Delivered => (DeliveryState::Delivered, None),
            Next::Retry(at) => (DeliveryState::Pending, Some(at.as_millisecond())),
            Next::Dead => (DeliveryState::Dead, None),
        };
        match finish.next {
            Next::Delivered => self.release_followers(place, now_ms),
            Next::Retry(_) => {
                if let Some(by) = self.superseding_all(place) {
                    self.skip(place, by);
                }
            }
            Next::Dead => {}
        }
        Finished::Done
    }

    pub(in super::super) fn next_due(&self, target: &str) -> Option<i64> {
        self.open_places()
            .filter(|(_, delivery)| delivery.target == target && !is_resting(delivery.state))
            .filter_map(|(_, delivery)| delivery.due_ms)
            .min()
    }

    /// Compares everything that can be seen of the inbox.
    pub(in super::super) fn looks_like(&self, seen: &Seen) -> Agreed {
        for (target, due) in &seen.next_due {
            same!(self.next_due(target), *due, "when {target} is next due");
        }
        let held: Vec<NotificationId> =
            self.notes.iter().filter(|note| note.is_held && !note.is_removed).map(|note| note.id).collect();
        same!(held, seen.holds, "what is held");
        let mut unfinished: BTreeMap<String, u64> = BTreeMap::new();
        for (_, delivery) in self.open_places().filter(|(_, delivery)| !delivery.state.is_terminal()) {
            *unfinished.entry(delivery.target.clone()).or_default() += 1;
        }
        same!(unfinished, seen.unfinished, "what is not finished");
        let places = |removed: bool| (0..self.events.len()).filter(move |place| self.is_removed(*place) == removed);
        let mut ids: Vec<EventId> = places(false).map(|place| self.events[place].id).collect();
        ids.sort_unstable();
        same!(ids, seen.events.keys().copied().collect::<Vec<_>>(), "which events there are");
        let mut unrouted: Vec<EventId> =
            places(false).filter(|place| !self.events[*place].is_routed).map(|place| self.events[place].id).collect();
        unrouted.sort_unstable();
        same!(unrouted, seen.unrouted, "which events go nowhere");
        for place in places(false) {
            let (event, record) = (&self.events[place], &seen.events[&self.events[place].id]);
            let money = |minor| event.currency.map(|currency| Money { minor, currency });
            same!(event.kind, record.kind, "the kind of {:?}", event.id);
            same!(event.order_no, record.order_no, "the order of {:?}", event.id);
            same!(event.amount.and_then(money), record.amount, "the amount of {:?}", event.id);
            same!(event.basis, record.amount_basis, "how the amount of {:?} is known", event.id);
            same!(event.total.and_then(money), record.total, "the total of {:?}", event.id);
            same!(event.concerns, record.concerns, "the doubts about {:?}", event.id);
            same!(self.notes[event.note].id, record.notification, "the notification of {:?}", event.id);
        }
        for (place, delivery) in self.open_places() {
            let (record, attempts) = seen.deliveries.get(&delivery.id).ok_or("a delivery is gone")?;
            self.delivery_looks_like(place, record)?;
            let numbered: Vec<(u32, &String)> = (1..).zip(&delivery.attempts).collect();
            let theirs: Vec<(u32, &String)> =
                attempts.iter().map(|attempt| (attempt.number, &attempt.outcome)).collect();
            same!(numbered, theirs, "the attempts of {:?}", delivery.id);
        }
        Ok(())
    }

    fn delivery_looks_like(&self, place: usize, record: &DeliveryRecord) -> Agreed {
        let delivery = &self.deliveries[place];
        let id = delivery.id;
        same!(delivery.state, record.state, "the state of {id:?}");
        same!(delivery.begun, record.attempts, "the attempts begun of {id:?}");
        same!((&delivery.target, delivery.is_raw), (&record.target, record.is_raw), "where {id:?} goes");
        same!(self.notes[delivery.note].id, record.notification, "the notification of {id:?}");
        same!(self.events[delivery.events[0]].id, record.event, "the event of {id:?}");
        same!(delivery.waits_for.map(|other| self.deliveries[other].id), record.waits_for, "what {id:?} waits for");
        let superseded_by = delivery.superseded_by.filter(|by| !self.is_removed(*by)).map(|by| self.events[by].id);
        same!(superseded_by, record.superseded_by, "what superseded {id:?}");
        if let Some(due) = delivery.due_ms {
            same!(due, record.due_at.as_millisecond(), "when {id:?} is due");
        }
        Ok(())
    }

    /// The deliveries at a target that stand for a fact.
    pub(in super::super) fn standing(&self, fact: &Fact, target: &str) -> BTreeSet<DeliveryId> {
        let named: BTreeSet<usize> = fact
            .identities()
            .filter_map(|name| self.named(&fact.scope.account, fact.kind.as_str(), name.as_str()))
            .collect();
        self.open_places()
            .filter(|(_, delivery)| delivery.target == target)
            .filter(|(_, delivery)| delivery.events.iter().any(|event| named.contains(event)))
            .map(|(_, delivery)| delivery.id)
            .collect()
    }
}

/// Nothing happens to it by itself.
fn is_resting(state: DeliveryState) -> bool {
    state.is_terminal() || state == DeliveryState::Held
}
