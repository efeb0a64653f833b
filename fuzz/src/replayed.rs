//! The committed corpus, as ordinary tests: every find that was ever mended stays mended.

use std::fs;
use std::path::{Path, PathBuf};

use crate::TARGETS;

/// Most bytes of the whole corpus: it is read by people and by every test run.
const CORPUS_BYTES_MAX: u64 = 1024 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_file_of_the_corpus_passes() {
    for target in TARGETS {
        let files = files(&corpus().join(target.name));
        assert!(!files.is_empty(), "{}: the corpus is empty", target.name);
        for file in files {
            let data = fs::read(&file).unwrap();
            let outcome = std::panic::catch_unwind(|| (target.check)(&data));
            assert!(outcome.is_ok(), "{} breaks a rule of `{}`", file.display(), target.name);
        }
    }
}

#[test]
fn the_corpus_has_a_folder_a_target_and_is_small() {
    let names: Vec<String> =
        files(&corpus()).iter().map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let mut known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    let bytes: u64 =
        files(&corpus()).iter().flat_map(|folder| files(folder)).map(|f| f.metadata().unwrap().len()).sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "the corpus has {bytes} bytes");
}

#[test]
fn every_target_has_its_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{}.rs", target.name))).unwrap();
        assert!(program.contains(&format!("program!(\"{}\")", target.name)), "{}", target.name);
        assert!(manifest.contains(&format!("name = \"{}\"\n", target.name)), "{} is not in Cargo.toml", target.name);
    }
    assert_eq!(files(&folder.join("fuzz_targets")).len(), TARGETS.len());
}

#[test]
fn every_platform_has_its_inputs() {
    let kinds: Vec<&str> = files(&corpus().join("platforms"))
        .iter()
        .map(|file| crate::platforms::kind_of(&fs::read(file).unwrap()))
        .collect();
    for platform in tollbell_channels::platforms::PLATFORMS {
        let count = kinds.iter().filter(|kind| **kind == platform.kind).count();
        assert!(count >= 3, "{}: only {count} inputs; write some with `make fuzz-seeds`", platform.kind);
    }
}
