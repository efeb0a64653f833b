//! What will be told, made from a seed: orders, the facts about them, the messages that tell those facts,
//! and what is done to each message on its way.
//!
//! A message's bytes are made when it is first due, because platforms sign the time; everything else is
//! settled here, so that a seed tells the same stories again.

use std::time::Duration;

use tollbell_channels::model::EventKind;

use super::platform::Platform;
use crate::random::Random;

/// One fact, by the books of this proof.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fact {
    /// The order that it is about.
    pub order_no: String,
    /// What happened.
    pub kind: &'static str,
    /// For refunds: what tells one of an order from the other, see [`Message::refund_mark`].
    pub mark: i64,
}

/// What is done to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    None,
    /// It ends after so many bytes of the request, counted around its length.
    Sending(usize),
    /// It ends after so many bytes of the reply.
    Reading(usize),
}

/// Whether a message comes from the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It does.
    Genuine,
    /// Somebody changed a byte of a genuine one that was never sent.
    Changed(u64),
    /// Somebody made it with a key of their own.
    Stranger,
}

/// One message of a platform.
#[derive(Clone, Debug)]
pub struct Message {
    /// Whose.
    pub platform: Platform,
    /// Whether it is the platform's.
    pub origin: Origin,
    /// What it tells first.
    pub kind: EventKind,
    /// The order.
    pub order_no: String,
    /// The order's amount.
    pub amount_minor: i64,
    /// For refunds: the platform's number in the message, a running total or an amount of its own.
    pub refund_minor: i64,
    /// For refunds: the merchant's number.
    pub refund_no: Option<String>,
    /// Another number is another message about the same fact.
    pub serial: u64,
    /// Free text in it.
    pub note: &'static str,
    /// When it is first sent, counted from the beginning of its order.
    pub after: Duration,
    /// What is done to its first attempts; later ones are left alone.
    pub cuts: Vec<Cut>,
}

impl Message {
    /// The facts that it states, by the platform's documents.
    pub fn facts(&self) -> Vec<Fact> {
        let fact = |kind: EventKind, mark| Fact { order_no: self.order_no.clone(), kind: kind.as_str(), mark };
        let own = fact(self.kind, self.refund_mark());
        match self.kind {
            // A trade that was refunded or finished has been paid, and its message says so.
            EventKind::RefundSucceeded | EventKind::PaymentFinalized if self.platform.tells_payment_with_refund() => {
                vec![fact(EventKind::PaymentSucceeded, 0), own]
            }
            _ => vec![own],
        }
    }

    /// Tells refunds of one order apart.
    pub fn refund_mark(&self) -> i64 {
        if self.kind == EventKind::RefundSucceeded { self.refund_minor } else { 0 }
    }
}

/// An order whose number ends so is never confirmed by the shop.
pub const NEVER_CONFIRMED: char = 'N';

/// Texts that a shop may have put into its orders.
const NOTES: &[&str] =
    &["", "a=b&c=d", "100% \"合适\"", "line\nbreak", "🧧 红包", "<b>&amp;</b>", "+ +%2B", "\\u0000\\\\"];

/// All that is told in one round.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    seed: u64,
}

/// Cuts of an order's messages start at another byte for each order; the step shares no factor with any
/// likely length, so that all bytes come about.
const CUT_STEP: usize = 37;

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The messages about order number `index`, in the order in which they are first sent.
    pub fn order(&self, index: u64) -> Vec<Message> {
        let mut random = Random::of(self.seed, "order", index);
        let mut order = Order::new(self.seed, index, &mut random);
        match random.below(100) {
            0..30 => order.paid(&mut random),
            30..70 => order.refunded(&mut random),
            70..78 => order.forged(&mut random),
            78..86 => order.lapsed(&mut random),
            86..93 => order.pending(&mut random),
            _ => order.finished(&mut random),
        }
        let mut messages = order.messages;
        for (number, message) in messages.iter_mut().enumerate() {
            message.cuts = cuts(&mut random, usize::try_from(index).unwrap_or_default() * CUT_STEP + number);
        }
        messages.sort_by_key(|message| message.after);
        messages
    }
}

impl Plan {
    /// A payment whose connections are cut at every byte.
    pub fn swept(&self, platform: Platform) -> Message {
        Message {
            platform,
            origin: Origin::Genuine,
            kind: EventKind::PaymentSucceeded,
            order_no: format!("S{}-{}-Y", self.seed, platform.kind()),
            amount_minor: 4_200,
            refund_minor: 0,
            refund_no: None,
            serial: 1,
            note: "",
            after: Duration::ZERO,
            cuts: Vec::new(),
        }
    }
}

/// What is done to the first attempts of a message.
fn cuts(random: &mut Random, at: usize) -> Vec<Cut> {
    let mut cuts = Vec::new();
    for number in 0..random.below(3) {
        let at = at + usize::try_from(number).unwrap_or_default();
        cuts.push(match random.below(10) {
            0..4 => Cut::Sending(at),
            4..6 => Cut::Reading(at),
            _ => Cut::None,
        });
    }
    cuts
}

/// An order while its messages are written.
struct Order {
    platform: Platform,
    number: String,
    amount_minor: i64,
    note: &'static str,
    serial: u64,
    messages: Vec<Message>,
}

impl Order {
    fn new(seed: u64, index: u64, random: &mut Random) -> Self {
        let platform = *random.pick(Platform::ALL);
        let fate = if random.percent(2) { NEVER_CONFIRMED } else { 'Y' };
        Self {
            platform,
            number: format!("P{seed}-{index}-{fate}"),
            amount_minor: 100 + i64::try_from(random.below(1_000_000)).unwrap_or_default(),
            note: NOTES[random.index(NOTES.len())],
            serial: 0,
            messages: Vec::new(),
        }
    }

    fn tell(&mut self, kind: EventKind, after: Duration) -> &mut Message {
        self.serial += 1;
        self.messages.push(Message {
            platform: self.platform,
            origin: Origin::Genuine,
            kind,
            order_no: self.number.clone(),
            amount_minor: self.amount_minor,
            refund_minor: 0,
            refund_no: None,
            serial: self.serial,
            note: self.note,
            after,
            cuts: Vec::new(),
        });
        self.messages.last_mut().expect("it was just pushed")
    }

    /// The payment, told once or by several messages, some of them at the very same moment.
    fn paid(&mut self, random: &mut Random) {
        self.tell(EventKind::PaymentSucceeded, Duration::ZERO);
        for _ in 0..random.below(3) {
            let after = if random.percent(60) { Duration::ZERO } else { soon(random) };
            self.tell(EventKind::PaymentSucceeded, after);
        }
    }

    /// The payment and one or two refunds; sometimes the refund is told first.
    fn refunded(&mut self, random: &mut Random) {
        self.paid(random);
        let first = 1 + i64::try_from(random.below(40)).unwrap_or_default();
        let mut amounts = vec![first];
        if random.percent(60) {
            // Neither equal to the first, nor the sum of both equal to one of them.
            amounts.push(first + 1 + i64::try_from(random.below(9)).unwrap_or_default());
        }
        let mut total = 0;
        for (number, amount) in amounts.into_iter().enumerate() {
            total += amount;
            let said = if self.platform.states_running_totals() { total } else { amount };
            let refund_no = format!("R{number}-{}", self.number);
            let tellings = 1 + random.below(2);
            for _ in 0..tellings {
                let after = if random.percent(50) { Duration::ZERO } else { soon(random) };
                let message = self.tell(EventKind::RefundSucceeded, after);
                message.refund_minor = said;
                message.refund_no = Some(refund_no.clone());
            }
        }
        if random.percent(30) {
            let late = soon(random);
            let payments = self.messages.iter_mut().filter(|message| message.kind == EventKind::PaymentSucceeded);
            payments.for_each(|message| message.after += late);
        }
    }

    /// Closed without money; or, against all sense, closed and paid.
    fn lapsed(&mut self, random: &mut Random) {
        self.platform = Platform::Alipay;
        let after = soon(random);
        self.tell(EventKind::PaymentClosed, after);
        if random.percent(50) {
            self.tell(EventKind::PaymentClosed, after);
        }
        if random.percent(50) {
            let after = soon(random);
            self.tell(EventKind::PaymentSucceeded, after);
        }
    }

    /// Pending, then paid, perhaps told the other way round.
    fn pending(&mut self, random: &mut Random) {
        self.platform = Platform::Alipay;
        let (first, second) = (soon(random), soon(random));
        self.tell(EventKind::PaymentPending, first);
        self.tell(EventKind::PaymentSucceeded, second);
    }

    /// Paid, and the time for refunds has passed.
    fn finished(&mut self, random: &mut Random) {
        self.platform = Platform::Alipay;
        self.paid(random);
        let after = soon(random);
        self.tell(EventKind::PaymentFinalized, after);
    }

    /// Payments and refunds that nobody made.
    fn forged(&mut self, random: &mut Random) {
        self.number.insert(0, 'F');
        for _ in 0..=random.below(3) {
            let is_refund = random.percent(30);
            let origin = if random.percent(70) { Origin::Changed(random.number()) } else { Origin::Stranger };
            let kind = if is_refund { EventKind::RefundSucceeded } else { EventKind::PaymentSucceeded };
            let after = soon(random);
            let message = self.tell(kind, after);
            message.origin = origin;
            message.refund_minor = i64::from(is_refund);
        }
    }
}

/// A little later: near enough to meet in one batch of the gateway, far enough for a kill between them.
fn soon(random: &mut Random) -> Duration {
    if random.percent(30) {
        random.between(Duration::ZERO, Duration::from_millis(3))
    } else {
        random.between(Duration::ZERO, Duration::from_millis(400))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_tells_the_same_stories_again() {
        let told = |seed| (0..50).map(|index| format!("{:?}", Plan::new(seed).order(index))).collect::<Vec<_>>();
        assert_eq!(told(3), told(3));
        assert_ne!(told(3), told(4));
    }

    #[test]
    fn a_plan_has_all_that_hurts() {
        let messages: Vec<Message> = (0..400).flat_map(|index| Plan::new(5).order(index)).collect();
        let kinds: BTreeSet<&str> = messages.iter().map(|message| message.kind.as_str()).collect();
        let expected =
            ["payment.closed", "payment.finalized", "payment.pending", "payment.succeeded", "refund.succeeded"];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
        for platform in Platform::ALL {
            assert!(messages.iter().any(|message| message.platform == *platform));
        }
        assert!(messages.iter().any(|message| message.origin == Origin::Stranger));
        assert!(messages.iter().any(|message| matches!(message.origin, Origin::Changed(_))));
        assert!(messages.iter().any(|message| matches!(message.cuts.first(), Some(Cut::Sending(_)))));
        assert!(messages.iter().any(|message| matches!(message.cuts.first(), Some(Cut::Reading(_)))));
        assert!(messages.iter().any(|message| message.order_no.ends_with(NEVER_CONFIRMED)));
    }

    #[test]
    fn one_order_has_each_refund_under_one_mark() {
        for index in 0..400 {
            let messages = Plan::new(9).order(index);
            let refunds: BTreeSet<(Option<&String>, i64)> = messages
                .iter()
                .filter(|message| message.kind == EventKind::RefundSucceeded && message.origin == Origin::Genuine)
                .map(|message| (message.refund_no.as_ref(), message.refund_mark()))
                .collect();
            let marks: BTreeSet<i64> = refunds.iter().map(|(_, mark)| *mark).collect();
            assert_eq!(refunds.len(), marks.len(), "{refunds:?}");
            assert!(messages.iter().all(|message| message.refund_minor < message.amount_minor));
        }
    }
}
