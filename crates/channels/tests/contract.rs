//! The contract that every registered platform keeps, told without the name of any.
//!
//! Each test builds the platform's other side, a channel that trusts it, and then plays the platform, a
//! careless proxy or a forger. What the signature covers comes from [`tollbell_channels::simulate::Cover`];
//! the canonical form is computed here a second time, so that a mistake in the crate is not shared.

mod contract {
    mod algorithms;
    mod asking;
    mod challenges;
    mod cover;
    mod cuts;
    mod damage;
    mod duplicates;
    mod encoding;
    mod form;
    mod freshness;
    mod genuine;
    mod hints;
    mod hostile;
    mod houserules;
    mod invented;
    mod json;
    mod keys;
    mod notes;
    mod pairs;
    mod queries;
    mod random;
    mod recognition;
    mod replies;
    mod resign;
    mod secrets;
    mod settings;
    mod toys;
    mod world;
    mod written;
    mod xml;
}
