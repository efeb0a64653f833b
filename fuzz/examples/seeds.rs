//! Writes the inputs with which the target `platforms` begins, into the folder that is given.

use std::path::PathBuf;

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("the folder"));
    for (name, seed) in tollbell_fuzz::seeds() {
        std::fs::write(folder.join(name), seed).expect("the folder can be written");
    }
}
