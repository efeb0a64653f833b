//! What a message is to an inbox: a repetition, or new with the events of those of its facts that are new.

use super::*;

/// Where contradictions have their names.
const CONFLICT: &str = "conflict";

/// What a fact turned out to be.
enum Turned {
    Known,
    New(Box<Fresh>),
}

struct Fresh {
    amount: Option<i64>,
    basis: AmountBasis,
    total: Option<i64>,
    conflict: Option<(usize, Concern, String)>,
    names: Vec<String>,
}

impl Model {
    /// Stores a message and compares what the inbox says that it did. `made` are the deliveries that it made.
    pub(in super::super) fn store(
        &mut self,
        letter: &Letter,
        key: &Named,
        stored: &Stored,
        made: &[DeliveryRecord],
        now_ms: i64,
    ) -> Agreed {
        let known = self.notes.iter().position(|note| note.key == *key && !note.is_removed);
        if let Some(first) = known {
            return self.repeat(first, letter.is_shadow, stored, now_ms);
        }
        let Stored::New { id, events: told, is_held } = stored else {
            return Err(format!("a new message was taken for a repetition: {stored:?}"));
        };
        let mut general = letter.notification.concerns.clone();
        if letter.notification.sent_at.is_some_and(|sent_at| sent_at < letter.request.received_at - IDENTITIES_KEPT) {
            general.push(Concern::TooOld);
        }
        let note = self.notes.len();
        self.notes.push(Note {
            id: *id,
            key: key.clone(),
            received_ms: now_ms,
            is_held: false,
            is_shadow: letter.is_shadow,
            repeats: 0,
            is_acked: false,
            has_body: true,
            is_removed: false,
        });
        let mut told = told.iter();
        let (mut learned, mut fresh, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for (index, fact) in letter.notification.facts.iter().enumerate() {
            let Turned::New(new) = self.resolve(fact, now_ms, &mut learned) else {
                known.push(fact);
                continue;
            };
            let told = told.next().ok_or_else(|| format!("{fact:?} is new, and the inbox knows it"))?;
            let event = self.happen(note, fact, &new, told, &general, &letter.routes[index], now_ms);
            let account = fact.scope.account.clone();
            self.add_names(&account, fact.kind, &new.names, event, &mut learned);
            if let Some((.., name)) = &new.conflict {
                self.names.insert((account, CONFLICT, name.clone()), event);
            }
            let theirs = (told.kind, told.is_held);
            same!((fact.kind, !self.events[event].concerns.is_empty()), theirs, "the event of {fact:?}");
            fresh.push((event, fact, &letter.routes[index], told));
        }
        same!(told.count(), 0, "events beyond those of {:?}", letter.notification.facts);
        if fresh.is_empty() && !letter.is_shadow {
            for fact in known {
                self.leave_by_fact(fact, now_ms);
            }
        }
        self.deliver(note, &fresh, letter.is_shadow, made, now_ms)?;
        for (event, fact, ..) in &fresh {
            if self.events[*event].concerns.is_empty() {
                self.supersede(*event, fact);
            }
        }
        for payment in learned {
            self.payment_known(&payment, now_ms);
        }
        let any_held = fresh.iter().any(|(event, ..)| !self.events[*event].concerns.is_empty());
        self.notes[note].is_held = !general.is_empty() || any_held;
        same!(self.notes[note].is_held, *is_held, "whether anything is held");
        Ok(())
    }

    fn repeat(&mut self, first: usize, is_shadow: bool, stored: &Stored, now_ms: i64) -> Agreed {
        if !is_shadow {
            self.leave(first, now_ms);
        }
        let note = &mut self.notes[first];
        note.repeats += 1;
        let expected = Stored::Repeated {
            first: note.id,
            first_received_at: Timestamp::from_millisecond(note.received_ms).unwrap(),
            repeats: note.repeats,
            is_after_ack: note.is_acked,
            is_held: note.is_held,
        };
        same!(expected, *stored, "a repetition");
        Ok(())
    }

    /// Any known name means the same fact; another amount, currency or payee, or names of two events, are a
    /// contradiction, which is an event of its own, once.
    fn resolve(&mut self, fact: &Fact, now_ms: i64, learned: &mut Vec<Named>) -> Turned {
        let account = fact.scope.account.clone();
        let (mut known, mut unknown): (Vec<usize>, Vec<String>) = (Vec::new(), Vec::new());
        for name in fact.identities() {
            match self.named(&account, fact.kind.as_str(), name.as_str()) {
                Some(event) if known.contains(&event) => {}
                Some(event) => known.push(event),
                None if unknown.iter().any(|other| other == name.as_str()) => {}
                None => unknown.push(name.as_str().to_owned()),
            }
        }
        // One that was itself kept as the contradiction of another one adds no second doubt.
        let all = known.clone();
        known.retain(|event| self.events[*event].contradicts.is_none_or(|other| !all.contains(&other)));
        let differs = match known[..] {
            [] => {
                let turned = self.unnamed(fact, unknown, now_ms);
                self.note_baseline(fact, now_ms);
                return turned;
            }
            [event] => self.difference(event, fact),
            _ => Some("identity"),
        };
        let Some(differs) = differs else {
            self.add_names(&account, fact.kind, &unknown, known[0], learned);
            self.learn(known[0], fact);
            if let Amount::Cumulative { series, total, .. } = &fact.amount {
                self.raise(&account, series, *total, now_ms);
            }
            self.note_baseline(fact, now_ms);
            return Turned::Known;
        };
        let mut ids: Vec<EventId> = known.iter().map(|event| self.events[*event].id).collect();
        ids.sort_unstable();
        let said = match &fact.amount {
            Amount::Stated(money) => format!("stated {money:?}"),
            Amount::Cumulative { total, .. } => format!("total {total:?}"),
            Amount::None => "none".to_owned(),
            Amount::Unreadable => "unreadable".to_owned(),
        };
        let name = format!("{ids:?} {said} {:?}", fact.payee.as_deref().unwrap_or(""));
        if let Some(event) = self.named(&account, CONFLICT, &name) {
            self.add_names(&account, fact.kind, &unknown, event, learned);
            return Turned::Known;
        }
        let (amount, basis, total) = match &fact.amount {
            Amount::Stated(money) => (Some(money.minor), AmountBasis::Stated, None),
            Amount::Cumulative { total, .. } => (None, AmountBasis::Unknown, Some(total.minor)),
            Amount::Unreadable => (None, AmountBasis::Unknown, None),
            Amount::None => (None, AmountBasis::None, None),
        };
        let concern = Concern::Conflict { differs: differs.to_owned(), event: self.events[known[0]].id.to_string() };
        let conflict = Some((known[0], concern, name));
        Turned::New(Box::new(Fresh { amount, basis, total, conflict, names: unknown }))
    }

    /// A fact without a known name.
    fn unnamed(&mut self, fact: &Fact, names: Vec<String>, now_ms: i64) -> Turned {
        let (amount, basis, total) = match &fact.amount {
            Amount::Stated(money) => (Some(money.minor), AmountBasis::Stated, None),
            Amount::None => (None, AmountBasis::None, None),
            Amount::Unreadable => (None, AmountBasis::Unknown, None),
            Amount::Cumulative { series, total, is_numbered } => {
                let account = &fact.scope.account;
                let at = total_key(account, series, total.currency);
                let highest = self.totals.get(&at).map(|total| total.minor);
                let (amount, basis) = match highest {
                    Some(highest) if total.minor > highest => (Some(total.minor - highest), AmountBasis::Difference),
                    // A fact of its own that came late: the next higher total spans two facts.
                    Some(_) if *is_numbered => {
                        self.forget_difference(fact, series, total.minor);
                        (None, AmountBasis::Unknown)
                    }
                    Some(_) => return Turned::Known,
                    None => (None, AmountBasis::Unknown),
                };
                self.raise(account, series, *total, now_ms);
                (amount, basis, Some(total.minor))
            }
        };
        Turned::New(Box::new(Fresh { amount, basis, total, conflict: None, names }))
    }

    fn forget_difference(&mut self, fact: &Fact, series: &Series, late: i64) {
        let series = Some((fact.scope.account.clone(), series.0.as_str().to_owned()));
        let above = (0..self.events.len())
            .filter(|place| {
                let event = &self.events[*place];
                event.series == series
                    && event.kind == fact.kind
                    && event.order_no.is_some()
                    && event.order_no == fact.order_no
                    && event.contradicts.is_none()
                    && event.total.is_some_and(|total| total > late)
                    && !self.is_removed(*place)
            })
            .min_by_key(|place| self.events[*place].total);
        if let Some(event) = above.map(|place| &mut self.events[place])
            && event.basis == AmountBasis::Difference
        {
            (event.amount, event.basis) = (None, AmountBasis::Unknown);
        }
    }

    fn difference(&self, event: usize, fact: &Fact) -> Option<&'static str> {
        let event = &self.events[event];
        if let (Some(ours), Some(theirs)) = (event.currency, fact.signed_money())
            && ours != theirs.currency
        {
            return Some("currency");
        }
        let (ours, theirs) = match &fact.amount {
            Amount::Stated(money) => (event.amount, money.minor),
            Amount::Cumulative { total, .. } => (event.total, total.minor),
            Amount::None | Amount::Unreadable => (None, 0),
        };
        if ours.is_some_and(|ours| ours != theirs) {
            return Some("amount");
        }
        let payees = event.payee.as_ref().zip(fact.payee.as_ref());
        payees.is_some_and(|(ours, theirs)| ours != theirs).then_some("payee")
    }

    /// Fills in what the event did not know. Nothing that was known changes.
    fn learn(&mut self, event: usize, fact: &Fact) {
        let event = &mut self.events[event];
        match &fact.amount {
            Amount::Stated(money) if event.amount.is_none() || event.basis == AmountBasis::Difference => {
                (event.amount, event.basis) = (Some(money.minor), AmountBasis::Stated);
                event.currency = Some(money.currency);
            }
            Amount::Cumulative { total, series, .. } if event.total.is_none() => {
                event.total = Some(total.minor);
                event.currency = Some(total.currency);
                event.series = Some((event.account.clone(), series.0.as_str().to_owned()));
            }
            _ => {}
        }
        if event.payee.is_none() {
            event.payee.clone_from(&fact.payee);
        }
    }

    /// Totals only rise.
    fn raise(&mut self, account: &str, series: &Series, total: Money, now_ms: i64) {
        let raised = Total { minor: total.minor, changed_ms: now_ms };
        let known = self.totals.entry(total_key(account, series, total.currency)).or_insert_with(|| raised.clone());
        if raised.minor > known.minor {
            *known = raised;
        }
    }

    fn note_baseline(&mut self, fact: &Fact, now_ms: i64) {
        if let Some((series, currency)) = &fact.baseline {
            let at = total_key(&fact.scope.account, series, *currency);
            self.totals.entry(at).or_insert(Total { minor: 0, changed_ms: now_ms });
        }
    }

    fn add_names(&mut self, account: &str, kind: EventKind, names: &[String], event: usize, learned: &mut Vec<Named>) {
        for name in names {
            self.names.insert((account.to_owned(), kind.as_str(), name.clone()), event);
            if kind == EventKind::PaymentSucceeded {
                learned.push((account.to_owned(), name.clone()));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one row of many columns, from one caller")]
    fn happen(
        &mut self,
        note: usize,
        fact: &Fact,
        new: &Fresh,
        told: &NewEvent,
        general: &[Concern],
        routes: &[RoutedTarget],
        now_ms: i64,
    ) -> usize {
        let account = fact.scope.account.clone();
        let mut concerns = general.to_vec();
        // Paid never goes back to closed.
        let doubt = self
            .paid_by_name(&account, fact)
            .filter(|_| fact.kind == EventKind::PaymentClosed)
            .map(|paid| Concern::Conflict { differs: "state".to_owned(), event: self.events[paid].id.to_string() });
        concerns.extend(new.conflict.as_ref().map(|(_, concern, _)| concern.clone()).or(doubt));
        self.events.push(Happened {
            id: told.id,
            note,
            kind: fact.kind,
            order_no: fact.order_no.clone(),
            payee: fact.payee.clone(),
            amount: new.amount,
            basis: new.basis,
            total: new.total,
            currency: fact.signed_money().map(|money| money.currency),
            series: match &fact.amount {
                Amount::Cumulative { series, .. } => Some((account.clone(), series.0.as_str().to_owned())),
                _ => None,
            },
            created_ms: now_ms,
            concerns,
            hold_end: None,
            contradicts: new.conflict.as_ref().map(|(event, ..)| *event),
            payment: fact
                .payment
                .as_ref()
                .filter(|_| fact.kind.follows_payment())
                .map(|payment| (account.clone(), payment.as_str().to_owned())),
            is_routed: !routes.is_empty(),
            account,
        });
        self.events.len() - 1
    }

    /// A target gets an event once; a raw one gets all events of a message in one delivery.
    fn deliver(
        &mut self,
        note: usize,
        fresh: &[(usize, &Fact, &Vec<RoutedTarget>, &NewEvent)],
        is_shadow: bool,
        made: &[DeliveryRecord],
        now_ms: i64,
    ) -> Agreed {
        let first = self.deliveries.len();
        for (event, _, routes, _) in fresh {
            for target in *routes {
                let same = self.deliveries[first..].iter_mut().find(|delivery| {
                    (delivery.target.as_str(), delivery.is_raw) == (&*target.target, target.is_raw)
                        && (target.is_raw || delivery.events.contains(event))
                });
                if let Some(delivery) = same {
                    if !delivery.events.contains(event) {
                        delivery.events.push(*event);
                    }
                    continue;
                }
                let id = made.iter().find(|record| {
                    (record.target.as_str(), record.is_raw) == (&*target.target, target.is_raw)
                        && record.event == self.events[*event].id
                });
                let id = id.ok_or_else(|| format!("no delivery to {target:?} was made"))?.id;
                self.deliveries.push(Brought {
                    id,
                    note,
                    target: target.target.to_string(),
                    is_raw: target.is_raw,
                    events: vec![*event],
                    state: DeliveryState::Pending,
                    due_ms: Some(now_ms),
                    waits_for: None,
                    awaits: BTreeSet::new(),
                    superseded_by: None,
                    token: None,
                    attempts: Vec::new(),
                    begun: 0,
                    tries: 0,
                });
            }
        }
        same!(self.deliveries.len() - first, made.len(), "how many deliveries were made");
        for (event, fact, _, told) in fresh {
            let own = self.deliveries[first..].iter().filter(|delivery| delivery.events.contains(event)).count();
            same!(own, told.deliveries, "deliveries of {fact:?}");
        }
        let mut followers = Vec::new();
        for place in first..self.deliveries.len() {
            let covered: Vec<&Happened> =
                self.deliveries[place].events.iter().map(|event| &self.events[*event]).collect();
            let is_held = covered.iter().any(|event| !event.concerns.is_empty());
            let follows = covered.iter().any(|event| event.kind.follows_payment());
            let delivery = &mut self.deliveries[place];
            if is_shadow {
                (delivery.state, delivery.due_ms) = (DeliveryState::Skipped, None);
            } else if is_held {
                (delivery.state, delivery.due_ms) = (DeliveryState::Held, None);
            } else if follows {
                followers.push(place);
            }
        }
        for place in followers {
            self.place(place, now_ms);
        }
        Ok(())
    }

    /// What a believed event that was just stored makes pointless; or it is old news itself.
    fn supersede(&mut self, event: usize, fact: &Fact) {
        let account = &fact.scope.account;
        match fact.kind {
            EventKind::PaymentSucceeded => {
                let stale: Vec<usize> = (0..self.events.len())
                    .filter(|place| {
                        let other = &self.events[*place];
                        let is_named = fact
                            .identities()
                            .any(|name| self.named(account, other.kind.as_str(), name.as_str()) == Some(*place));
                        let is_of_order = other.account == *account
                            && other.order_no.is_some()
                            && other.order_no == fact.order_no
                            && !self.is_removed(*place);
                        superseded_by_success(other.kind) && (is_named || is_of_order)
                    })
                    .collect();
                for other in stale {
                    self.skip_deliveries_of(other, event);
                }
            }
            EventKind::PaymentPending | EventKind::PaymentFailed => {
                let paid =
                    self.paid_by_name(account, fact).or_else(|| self.paid_by_order(account, fact.order_no.as_deref()));
                if let Some(paid) = paid {
                    self.skip_deliveries_of(event, paid);
                }
            }
            _ => {}
        }
    }

    fn leave_by_fact(&mut self, fact: &Fact, now_ms: i64) {
        for name in fact.identities() {
            if let Some(event) = self.named(&fact.scope.account, fact.kind.as_str(), name.as_str()) {
                self.leave(self.events[event].note, now_ms);
            }
        }
    }

    /// Told again after its channel left the shadow: what was skipped for it goes out.
    fn leave(&mut self, note: usize, now_ms: i64) {
        if !std::mem::take(&mut self.notes[note].is_shadow) {
            return;
        }
        for place in 0..self.deliveries.len() {
            let delivery = &self.deliveries[place];
            let is_discarded =
                delivery.events.iter().all(|event| self.events[*event].hold_end == Some(HoldEnd::Discard));
            if delivery.note != note
                || delivery.state != DeliveryState::Skipped
                || delivery.superseded_by.is_some()
                || is_discarded
            {
                continue;
            }
            let is_held = delivery.events.iter().any(|event| self.events[*event].is_hold_open());
            if is_held {
                self.deliveries[place].state = DeliveryState::Held;
            } else if let Some(by) = self.superseding_all(place) {
                self.skip(place, by);
            } else {
                self.place(place, now_ms);
            }
        }
    }
}

fn total_key(account: &str, series: &Series, currency: Currency) -> (String, String, String) {
    (account.to_owned(), series.0.as_str().to_owned(), currency.code().to_owned())
}
