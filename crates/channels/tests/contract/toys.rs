//! The suite itself on trial. Small platforms, invented here, have one cover each; the sound ones pass every check, and
//! each fault that a real platform could have makes a check fail.

mod channel;
mod side;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tollbell_channels::channel::{Channel, Rejection};
use tollbell_channels::platforms::Platform;
use tollbell_channels::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use tollbell_channels::signature::digest::{DigestHash, HexCase, SecretDigest};

use super::world::World;
use super::{algorithms, challenges, cuts, damage, duplicates, encoding, hostile, queries, random, secrets, written};

/// How a toy's messages are covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Joined pairs of a form.
    Form,
    /// Joined pairs of a query.
    Query,
    /// Joined pairs of XML.
    Xml,
    /// Joined pairs of JSON, a number among them.
    Json,
    /// Two members of JSON, and nothing else, under a signature.
    Named,
    /// One element of XML that carries its own proof.
    Sealed,
    /// The body, with the signature in the query.
    Url,
    /// The body, with signatures in a row in a header, each behind a word, and all of it percent-encoded.
    Listed,
}

/// What is wrong with a toy's channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Any signature will do.
    BelievesAnybody,
    /// A message without signature is taken.
    NeedsNoSignature,
    /// The signature is read in upper case, too.
    TakesEitherCase,
    /// Blanks around values are taken away before the signature is checked.
    Trims,
    /// What is signed is the number that was read, not its text.
    ReadsNumbersFirst,
    /// Of two pairs of one name the last one counts.
    TakesTwins,
    /// What the body does not have is looked for in the query, and the other way round.
    LooksElsewhere,
    /// A field that is not signed says how much it was.
    BelievesTheUnsigned,
    /// Numbers of orders may contain what joins pairs.
    TakesJoinedNames,
    /// Only the order in which the platform writes is known.
    KnowsOneOrder,
    /// Only one way of writing is known.
    KnowsOneWriting,
    /// What is refused is quoted.
    QuotesTheBody,
    /// There is no limit.
    ReadsEverything,
    /// Any method will do.
    TakesAnyMethod,
    /// Whatever is asked is signed.
    SignsAnything,
    /// An application never sees the query.
    KeepsTheQuery,
    /// An application sees what strangers have added to the query.
    HandsOnStrangers,
    /// Whatever stands before a signature will do.
    TakesAnyWord,
    /// Of several signatures the first one counts alone.
    KnowsOneSignature,
    /// Any number of signatures is tried.
    TriesEverySignature,
    /// What is no percent-encoding stands for itself.
    DecodesAnything,
}

const KINDS: [Kind; 8] =
    [Kind::Form, Kind::Query, Kind::Xml, Kind::Json, Kind::Named, Kind::Sealed, Kind::Url, Kind::Listed];

static TOYS: [Platform; 8] = [
    toy::<0>("a"),
    toy::<1>("b"),
    toy::<2>("c"),
    toy::<3>("d"),
    toy::<4>("e"),
    toy::<5>("f"),
    toy::<6>("g"),
    toy::<7>("h"),
];

const fn toy<const INDEX: usize>(kind: &'static str) -> Platform {
    const WORDS: Text = Text { en: "a toy", zh: "玩具" };
    Platform {
        kind,
        family: "toy",
        name: WORDS,
        settings: &[
            Setting { name: "shop", kind: SettingKind::Text, is_required: true, help: WORDS, example: "1900000001" },
            Setting { name: "key", kind: SettingKind::SecretKey, is_required: true, help: WORDS, example: "key" },
        ],
        ladder: &[],
        patience: None,
        freshness: None,
        source_ranges: &[],
        unconfirmed: &[],
        build: build::<INDEX>,
        simulate: side::make::<INDEX>,
        mirror: None,
    }
}

fn build<const INDEX: usize>(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(channel::Toy::new(KINDS[INDEX], Fault::Nothing, settings)?))
}

fn digest(key: &[u8]) -> Option<SecretDigest> {
    SecretDigest::new(key, DigestHash::Md5, HexCase::Lower, "key")
}

fn world(index: usize, fault: Fault) -> World {
    let platform = &TOYS[index];
    let side = (platform.simulate)();
    let channel = channel::Toy::new(KINDS[index], fault, &side.settings()).expect("a toy");
    World { platform, side, channel: Box::new(channel), office: None }
}

/// A check of the suite.
type Check = fn(&World);

const CHECKS: &[(&str, Check)] = &[
    ("checked addresses", challenges::checks_are_answered),
    ("signed questions", challenges::answers_prove_nothing),
    ("changed bytes", damage::changed_bytes_are_refused),
    ("forged signatures", damage::forged_signatures_are_refused),
    ("missing signatures", damage::missing_signatures_are_named),
    ("uncovered pairs", damage::uncovered_pairs_change_no_fact),
    ("strangers", damage::strangers_are_refused),
    ("other cuts", cuts::other_cuts_invent_nothing),
    ("hidden fields", cuts::texts_hide_no_fact),
    ("twins", duplicates::twins_are_named),
    ("repeated messages", duplicates::repeated_messages_are_named),
    ("twin signatures", duplicates::twin_signatures_are_named),
    ("encodings", encoding::encodings_are_accepted),
    ("orders", encoding::orders_do_not_matter),
    ("empty pieces", encoding::empty_pieces_change_nothing),
    ("queries", encoding::queries_are_not_mixed_in),
    ("bodies", encoding::bodies_are_not_mixed_in),
    ("misplaced pairs", encoding::misplaced_pairs_are_not_found),
    ("surroundings", encoding::surroundings_do_not_matter),
    ("handed on", queries::queries_are_handed_on),
    ("empty messages", hostile::empty_messages_are_named),
    ("huge messages", hostile::huge_messages_are_named),
    ("many pairs", hostile::many_pairs_are_named),
    ("unreadable texts", hostile::unreadable_texts_are_refused),
    ("media types", hostile::media_types_are_named),
    ("methods", hostile::methods_are_named),
    ("no headers", hostile::messages_without_headers_are_judged),
    ("parts", hostile::parts_of_messages_are_refused),
    ("garbage", hostile::garbage_is_refused),
    ("changed messages", random::changed_messages_are_refused),
    ("changed pairs", random::changed_pairs_are_refused),
    ("random messages", random::random_messages_are_refused),
    ("other algorithms", algorithms::other_algorithms_prove_nothing),
    ("printed keys", secrets::no_key_is_printed),
    ("keys in errors", secrets::no_key_is_in_errors),
    ("printed buyers", secrets::no_buyer_is_printed),
    ("ways of writing", written::ways_of_writing_are_read),
    ("other writings", written::other_writings_are_refused),
];

#[track_caller]
fn is_sound(kind: Kind) {
    let index = KINDS.iter().position(|known| *known == kind).expect("a kind");
    let world = world(index, Fault::Nothing);
    for (name, check) in CHECKS {
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&world)));
        assert!(outcome.is_ok(), "{kind:?}: a sound toy fails at {name}");
    }
}

#[test]
fn a_sound_toy_with_a_form_passes_every_check() {
    is_sound(Kind::Form);
}

#[test]
fn a_sound_toy_with_a_query_passes_every_check() {
    is_sound(Kind::Query);
}

#[test]
fn a_sound_toy_with_xml_passes_every_check() {
    is_sound(Kind::Xml);
}

#[test]
fn a_sound_toy_with_json_passes_every_check() {
    is_sound(Kind::Json);
}

#[test]
fn a_sound_toy_with_named_members_passes_every_check() {
    is_sound(Kind::Named);
}

#[test]
fn a_sound_toy_with_a_sealed_element_passes_every_check() {
    is_sound(Kind::Sealed);
}

#[test]
fn a_sound_toy_with_its_signature_in_the_url_passes_every_check() {
    is_sound(Kind::Url);
}

#[test]
fn a_sound_toy_with_signatures_in_a_row_passes_every_check() {
    is_sound(Kind::Listed);
}

/// Each fault, the covers in which a channel can have it, and a check that finds it there.
#[test]
fn every_fault_of_a_toy_is_found() {
    use Kind::{Form, Json, Listed, Named, Query, Sealed, Url, Xml};
    let all: &[Kind] = &KINDS;
    let pairs: &[Kind] = &[Form, Query, Xml, Json];
    let faults: &[(Fault, &[Kind], &[&str])] = &[
        (Fault::BelievesAnybody, all, &["changed bytes", "forged signatures", "strangers"]),
        (Fault::BelievesAnybody, &[Form], &["signed questions"]),
        // A random change seldom leaves a sealed element that opens into anything.
        (Fault::BelievesAnybody, &[Form, Query, Xml, Json, Named, Url, Listed], &["changed messages"]),
        (Fault::NeedsNoSignature, all, &["missing signatures"]),
        (Fault::TakesEitherCase, &[Form, Query, Xml, Json, Named, Url], &["forged signatures"]),
        (Fault::Trims, pairs, &["changed bytes"]),
        (Fault::ReadsNumbersFirst, &[Form, Query, Xml], &["changed bytes"]),
        (Fault::TakesTwins, &[Form, Query, Xml, Json, Named, Sealed], &["twins", "repeated messages"]),
        (Fault::TakesTwins, &[Url], &["twin signatures"]),
        (Fault::LooksElsewhere, &[Form, Query, Xml, Json, Named, Sealed], &["misplaced pairs"]),
        (Fault::BelievesTheUnsigned, &[Form, Query, Xml, Json, Named, Sealed], &["uncovered pairs"]),
        (Fault::BelievesTheUnsigned, pairs, &["other algorithms"]),
        (Fault::TakesJoinedNames, pairs, &["other cuts"]),
        (Fault::KnowsOneOrder, pairs, &["orders"]),
        (Fault::KnowsOneWriting, &[Form, Query, Xml, Json, Named, Sealed], &["encodings"]),
        (Fault::QuotesTheBody, all, &["printed buyers"]),
        (Fault::ReadsEverything, all, &["huge messages"]),
        (Fault::TakesAnyMethod, all, &["methods"]),
        (Fault::SignsAnything, &[Form], &["checked addresses"]),
        (Fault::KeepsTheQuery, &[Query, Url], &["handed on"]),
        (Fault::HandsOnStrangers, all, &["handed on"]),
        (Fault::TakesAnyWord, &[Listed], &["other writings"]),
        (Fault::KnowsOneSignature, &[Listed], &["ways of writing"]),
        (Fault::TriesEverySignature, &[Listed], &["other writings"]),
        (Fault::DecodesAnything, &[Listed], &["other writings"]),
    ];
    for (fault, kinds, finders) in faults {
        for kind in *kinds {
            let index = KINDS.iter().position(|known| known == kind).expect("a kind");
            let world = world(index, *fault);
            // A channel that refuses everything would fail at every check, and show nothing.
            world.accepts("with a fault", &world.callback().request);
            for finder in *finders {
                let (_, check) = CHECKS.iter().find(|(name, _)| name == finder).expect("a check");
                let outcome = catch_unwind(AssertUnwindSafe(|| check(&world)));
                assert!(outcome.is_err(), "{kind:?}: {fault:?} passes {finder}");
            }
        }
    }
}

/// A toy's word for what it refuses.
fn malformed(field: &str) -> Rejection {
    Rejection::Malformed { field: field.to_owned() }
}

fn missing(field: &str) -> Rejection {
    Rejection::Missing { field: field.to_owned() }
}
