//! What happens to the bytes of a message on its way, undone and proved: every platform's genuine messages, damaged as
//! proxies, frameworks and scripts damage them, and what is found.
//!
//! The damages are written here a second time, after PHP's, Python's and JavaScript's own functions, without a look at
//! what undoes them.

mod explain_bytes {
    mod bodies;
    mod damage;
    mod encodings;
    mod prints;
    mod stage;
}
