//! What the tests share: the corpus, the bodies by name, the number of random cases.

use std::fs;
use std::path::{Path, PathBuf};

use fuzzing::{BODIES, Body};
use proptest::test_runner::Config;

/// The seeds and findings of one target, by file name.
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus_folder().join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

pub(crate) fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

pub(crate) fn body(target: &str) -> Body {
    BODIES.iter().find(|(name, _)| *name == target).unwrap().1
}

/// `PROPTEST_CASES` cases if it is set, else 20,000.
pub(crate) fn cases() -> Config {
    let cases = std::env::var("PROPTEST_CASES").map_or(20_000, |cases| cases.parse().unwrap());
    Config { cases, failure_persistence: None, ..Config::default() }
}
