//! Asking platforms, and acting there: so far the questions about what hints name.
//!
//! Nothing here is on a callback's way, and no transaction is open while a platform is asked.

pub mod fetch_back;

pub use fetch_back::{Asked, Asker, ChannelOf};
