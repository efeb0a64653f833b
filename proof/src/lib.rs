//! Proof from outside: what the gateway promises, shown by what a platform, a shop and a disk see.
//!
//! Nothing here uses the gateway's own code. It starts the program, plays the world around it, and keeps books of
//! its own.

pub mod power;
