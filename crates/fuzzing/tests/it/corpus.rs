//! Every file of the corpus, seeds and findings alike.

use std::collections::BTreeSet;
use std::fs;
use std::panic;

use fuzzing::BODIES;

use crate::support::{corpus, corpus_folder};

#[test]
fn every_file_of_the_corpus_holds() {
    let mut broken = Vec::new();
    for (target, body) in BODIES {
        let files = corpus(target);
        assert!(!files.is_empty(), "no seeds for {target}");
        for (name, data) in files {
            if panic::catch_unwind(|| body(&data)).is_err() {
                broken.push(format!("{target}/{name}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_body_has_a_target_and_a_folder_of_the_corpus() {
    let names: BTreeSet<String> = BODIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let folders: BTreeSet<String> = fs::read_dir(corpus_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, names);
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} has no target");
    }
}
