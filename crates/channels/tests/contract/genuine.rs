//! What is genuine is accepted, read and named.

use std::collections::HashSet;

use tollbell_channels::model::fact::NAME_BYTES_MAX;
use tollbell_channels::model::{Amount, Environment, EventKind, Fact, Notification, Proof, RawRequest};
use tollbell_channels::simulate::Story;

use super::cover::carrier;
use super::pairs::{Paired, text, with_text};
use super::world::{World, accepted, at, build, worlds};
use tollbell_channels::channel::{Rejection, Verdict};

#[test]
fn a_genuine_message_is_accepted_and_says_what_happened() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let label = story.kind.as_str();
            let notification = world.accepts(label, &genuine.request);
            check_facts(&world, &story, &genuine.request, &notification);
            assert_eq!(notification.concerns, [], "{}: {label}", world.platform.kind);
        }
    }
}

#[test]
fn the_fields_of_a_proven_message_are_read_again_alone() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let label = format!("{}: {}", world.platform.kind, story.kind);
            let notification = world.accepts(&label, &genuine.request);
            let fields = world.channel.fields(&genuine.request);
            assert!(!fields.is_empty(), "{label}: no fields of {}", notification.platform_id);
            // What cannot be read gives nothing, and no panic.
            let carrying = text(&genuine.request, carrier(&genuine));
            for end in [0, 1, carrying.len() / 2] {
                let cut = with_text(&genuine.request, carrier(&genuine), carrying[..end].to_vec());
                let read = world.channel.fields(&cut);
                assert!(read.len() <= fields.len(), "{label}: {end}");
            }
        }
    }
}

/// Whether the message of a refund says which payment it was of, by the number that the payment itself was told under.
fn names_payment(world: &World, refund: &Story, request: &RawRequest) -> bool {
    let paid = Story { kind: EventKind::PaymentSucceeded, refund_no: None, ..refund.clone() };
    let told = world.accepts("its payment", &world.side.callback(&paid).request);
    let number = |fact: &Fact| fact.platform_no.clone().unwrap_or_else(|| fact.identity.as_str().to_owned());
    let number = told.facts.first().map(number);
    let fields = world.channel.fields(request);
    number.is_none_or(|number| fields.iter().any(|(_, value)| value.contains(&number)))
}

fn check_facts(world: &World, story: &Story, request: &RawRequest, notification: &Notification) {
    let label = format!("{}: {}", world.platform.kind, story.kind);
    assert!(!notification.platform_id.is_empty(), "{label}: no number");
    assert!(notification.platform_id.len() <= NAME_BYTES_MAX, "{label}: unbounded number");
    assert!(!notification.platform_kind.is_empty(), "{label}: no kind");
    assert_eq!(notification.scope.family, world.platform.family, "{label}");
    assert!(!notification.scope.account.is_empty(), "{label}: no account");
    assert!(!notification.facts.is_empty(), "{label}: no fact");
    for fact in &notification.facts {
        assert_eq!(fact.scope.family, world.platform.family, "{label}");
        assert!(!fact.scope.account.is_empty(), "{label}: no account");
        for identity in fact.identities() {
            assert!(!identity.as_str().is_empty() && identity.as_str().len() <= NAME_BYTES_MAX, "{label}");
        }
        assert_ne!(fact.amount, Amount::Unreadable, "{label}");
        if let Some(money) = fact.signed_money() {
            assert!(money.minor >= 0, "{label}: a negative amount");
        }
        if story.kind != EventKind::Other
            && let Some(order_no) = &fact.order_no
        {
            assert_eq!(*order_no, story.order_no, "{label}");
        }
    }
    let fact = notification
        .facts
        .iter()
        .find(|fact| fact.kind == story.kind)
        .unwrap_or_else(|| panic!("{label}: the story's own fact is not among {:?}", notification.facts));
    match story.kind {
        EventKind::PaymentSucceeded | EventKind::PaymentFinalized => {
            let stated = world.side.states_amounts().then_some(story.amount_minor);
            assert_eq!(fact.signed_money().map(|money| money.minor), stated, "{label}");
            assert_eq!(fact.order_no.as_deref(), Some(story.order_no.as_str()), "{label}");
        }
        EventKind::RefundSucceeded => {
            let stated = world.side.states_amounts().then_some(story.refunded_minor);
            assert_eq!(fact.signed_money().map(|money| money.minor), stated, "{label}");
            assert!(fact.payment.is_some() || !names_payment(world, story, request), "{label}: follows its payment");
        }
        kind if kind.as_str().starts_with("payment.") || kind.as_str().starts_with("transfer.") => {
            if let Some(money) = fact.signed_money() {
                assert_eq!(money.minor, story.amount_minor, "{label}");
            }
        }
        _ => {}
    }
}

#[test]
fn a_repetition_has_the_same_key_and_another_number_has_another() {
    for world in worlds() {
        let mut seen = HashSet::new();
        for story in world.stories() {
            let label = story.kind.as_str();
            let key = |story: &Story| world.accepts(label, &world.side.callback(story).request).key();
            let once = world.side.callback(&story);
            let first = world.accepts(label, &once.request);
            assert_eq!(first, world.accepts(label, &once.request), "the same bytes read twice");
            assert_eq!(first.key(), key(&story), "{}: {label}: told twice", world.platform.kind);
            assert!(seen.insert(first.key()), "{}: {label}: another story's key", world.platform.kind);
            for serial in 2..12 {
                let other = Story { serial, ..story.clone() };
                assert!(seen.insert(key(&other)), "{}: {label}: serial {serial} is a repetition", world.platform.kind);
            }
        }
    }
}

#[test]
fn another_amount_or_order_is_another_notification() {
    for world in worlds() {
        for story in world.stories().into_iter().filter(|story| story.kind == EventKind::PaymentSucceeded) {
            let key = |story: &Story| world.accepts("paid", &world.side.callback(story).request).key();
            let dearer = Story { amount_minor: story.amount_minor + 1, ..story.clone() };
            let renamed = Story { order_no: "T20261121-0002".to_owned(), ..story.clone() };
            if world.side.states_amounts() {
                assert_ne!(key(&story), key(&dearer), "{}", world.platform.kind);
            }
            assert_ne!(key(&story), key(&renamed), "{}", world.platform.kind);
        }
    }
}

#[test]
fn the_environment_is_the_configurations() {
    for world in worlds() {
        let genuine = world.callback();
        for environment in [Environment::Live, Environment::Sandbox] {
            let mut settings = world.side.settings();
            settings.environment = environment;
            let channel = build(world.platform, &settings);
            let verdict = channel.verify(&genuine.request, at());
            // Some platforms have keys of their own for each, at addresses of their own.
            let is_own = environment == world.side.settings().environment;
            if matches!(verdict, Verdict::Refused(Rejection::UnknownKey { .. })) && !is_own {
                continue;
            }
            let notification = accepted(world.platform, "environment", verdict);
            assert_eq!(notification.scope.environment, environment);
            for fact in &notification.facts {
                assert_eq!(fact.scope.environment, environment);
            }
        }
    }
}

#[test]
fn amounts_and_odd_texts_arrive_as_they_were_told() {
    for world in worlds() {
        for kind in world.side.stories().iter().copied().filter(|kind| *kind == EventKind::PaymentSucceeded) {
            for minor in [1, 9, 10, 99, 100, 101, 1_000, 99_999, 10_000_000_000] {
                let story = Story { kind, ..Story::paid("T1", minor, at()) };
                let notification = world.accepts("amount", &world.side.callback(&story).request);
                let fact = notification.facts.iter().find(|fact| fact.kind == kind).expect("the payment");
                let stated = world.side.states_amounts().then_some(minor);
                assert_eq!(fact.signed_money().map(|money| money.minor), stated, "{}", world.platform.kind);
            }
            for note in ["", " ", "a+b", "%2B", "&amp;", "中文 😀", "=&=&", "\\\"'", "x=1&y=2", "\t\r\n"] {
                let story = Story { note: note.to_owned(), ..Story::paid("T1", 1, at()) };
                let genuine = world.side.callback(&story);
                let request = &genuine.request;
                world.accepts(note, request);
                // Where single values are signed, the note may be none of them, and then it is nobody's word.
                let is_signed = Paired::of(&genuine)
                    .is_none_or(|paired| paired.covered().iter().any(|&at| paired.pairs[at].value == note.as_bytes()));
                let is_there = world.channel.fields(request).iter().any(|(_, value)| value == note);
                assert!(is_there || !is_signed || note.is_empty(), "{}: note {note:?} was lost", world.platform.kind);
            }
        }
    }
}

#[test]
fn the_proof_names_a_key_and_a_variant() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let Verdict::Genuine(proven) = world.verify(&genuine.request) else {
                panic!("{}: {}", world.platform.kind, story.kind)
            };
            let Proof::Signature { key, variant } = proven.proof() else { panic!("not by a signature") };
            assert!(!key.is_empty() && !variant.is_empty(), "{}: {:?}", world.platform.kind, proven.proof());
        }
    }
}

#[test]
fn an_exported_side_goes_on_where_it_was() {
    for world in worlds() {
        let mut later = (world.platform.simulate)();
        later.import(&world.side.export()).expect("its own export");
        let story = &world.stories()[0];
        world.accepts("signed by the imported key", &later.callback(story).request);
        for garbage in [b"".as_slice(), b"garbage", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"] {
            assert!(later.import(garbage).is_err(), "{}: imported {garbage:?}", world.platform.kind);
        }
        world.accepts("a failed import changes nothing", &later.callback(story).request);
    }
}
