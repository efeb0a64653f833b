//! The proof that findings are right, told without the name of any platform and without a look at how they are found.
//!
//! Each test takes genuine messages of the platforms' other sides, does one kind of damage to them (or to the
//! configuration, or to the clock), and requires that kind's finding, first and alone. What is due is the stable names
//! of findings; what a signature covers and how it is made is worked out here a second time.

mod explain {
    mod bytes;
    mod damage;
    mod effort;
    mod examples;
    mod garbage;
    mod genuine;
    mod invented;
    mod json;
    mod matrix;
    mod pairs;
    mod pen;
    mod requests;
    mod samples;
    mod secrets;
    mod stage;
}
