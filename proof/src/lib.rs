//! Proof from outside: what the gateway promises, shown by what a platform and a shop see.
//!
//! Nothing here uses the gateway's own code. It starts the program, plays the platform and the shop around
//! it, does harm to all of them, and keeps books of its own. At the end the books are compared with what
//! the program's commands say.

pub mod crash;
pub mod mutants;
pub mod php_fpm;
pub mod power;
pub mod random;
