//! The callback protocols of payment platforms.
//!
//! A request and the time go in; a verdict and the exact reply bytes come out. Nothing here opens a
//! socket, reads a file or looks at a clock, so every rule can be tested as a plain function and any
//! Rust program may use the crate on its own.
//!
//! * [`model`]: the words: request, reply, notification, fact, identity, money, event kind.
//! * [`channel`]: the seam that each platform fills, and the table of what we answer.
//! * [`platforms`]: one entry a platform, and the visible list of them.
//! * [`recognition`]: whose request is this, when the URL does not say.
//! * [`resign`]: a proven request signed afresh, for an application that checks the signature later.
//! * `simulate` (a feature): the platforms' other side.
//! * [`measure`]: which cryptography a verification did, for who measures it.
//! * [`form`], [`json`], [`xml`], [`charset`], [`sorted`], [`cipher`], [`signature`]: what several platforms share.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod channel;
pub mod charset;
pub mod cipher;
pub mod form;
pub mod json;
pub mod lifetimes;
pub mod measure;
pub mod model;
pub mod platforms;
pub mod recognition;
pub mod resign;
pub mod settings;
pub mod signature;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod sorted;
pub mod succession;
pub mod xml;
