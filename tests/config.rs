//! The configuration as a person meets it: every mistake that the program knows, with its place, its key and
//! its cure in both languages; where keys come from; and that no secret is ever shown.

mod config {
    mod example;
    mod files;
    mod keys;
    mod meaning;
    mod mistakes;
    mod real;
    mod world;
}
