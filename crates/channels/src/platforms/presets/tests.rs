//! Every shipped file is whole; a broken one says what is wrong, and the copied text is the same platform.

use super::*;

/// A file that cannot be read would stop the program: it stops this test.
#[test]
fn every_shipped_file_is_read() {
    assert!(!SHIPPED.is_empty());
    for shipped in SHIPPED {
        let preset = Preset::read(shipped.kind, shipped.text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(preset.kind(), shipped.kind);
        assert!(by_kind(shipped.kind).is_some());
    }
}
