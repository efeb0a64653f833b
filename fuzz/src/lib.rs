//! What each parser of hostile bytes must hold, whatever comes: one function a target.
//!
//! `cargo fuzz run NAME` calls a target with bytes that libFuzzer makes; the tests of this crate call the same
//! function with every file of `corpus/NAME`. A target returns when all is well and panics when it is not.
//!
//! Each target compares the code with something else that knows the answer: a second, slower reading that is
//! written here, a signer of its own, or the same input in other pieces. "It did not panic" is never all.

mod alipay;
mod capture;
mod config;
mod custom;
mod fastcgi;
mod form;
mod forwarded;
mod http;
mod json;
mod platforms;
#[cfg(test)]
mod replayed;
mod stage;
mod wechat;
mod xml;
mod xml_tree;

use std::path::Path;

pub use platforms::seeds;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, as in `cargo fuzz run NAME` and `corpus/NAME`.
    pub name: &'static str,
    /// Panics when the input breaks a rule.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "alipay", check: alipay::check },
    Target { name: "capture", check: capture::check },
    Target { name: "config", check: config::check },
    Target { name: "custom", check: custom::check },
    Target { name: "fastcgi", check: fastcgi::check },
    Target { name: "form", check: form::check },
    Target { name: "forwarded", check: forwarded::check },
    Target { name: "http", check: http::check },
    Target { name: "json", check: json::check },
    Target { name: "platforms", check: platforms::check },
    Target { name: "wechat", check: wechat::check },
    Target { name: "xml", check: xml::check },
];

/// The target of this name.
///
/// # Panics
/// When there is none.
pub fn by_name(name: &str) -> Target {
    *TARGETS.iter().find(|target| target.name == name).expect("the target is in the list")
}

/// Runs one target on files, as without an engine: for a find that somebody sent.
///
/// # Panics
/// When a file cannot be read, or breaks a rule.
pub fn replay(name: &str, files: impl IntoIterator<Item = impl AsRef<Path>>) {
    let target = by_name(name);
    for file in files {
        let data = std::fs::read(file.as_ref()).expect("the file can be read");
        (target.check)(&data);
    }
}

/// The body of a target's program: libFuzzer's under `cargo fuzz`, else one that replays the files it is given.
#[macro_export]
macro_rules! program {
    ($name:literal) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| ($crate::by_name($name).check)(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay($name, std::env::args_os().skip(1));
        }
    };
}
