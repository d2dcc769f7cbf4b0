//! Each property holds for all that is kept in `fuzz/`: the seeds, and what once broke it.

// The lints let tests unwrap, but not the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use joold_properties::{ALL, Property};

/// The folders with a folder for each property.
const SEEDS: &str = "corpus";
const REGRESSIONS: &str = "regressions";

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// What is in a folder, sorted; nothing if there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    entries.sort();
    entries
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The files for which a property does not hold, and how many there are.
fn replay(property: &Property, folder: &str) -> (Vec<PathBuf>, usize) {
    let files = entries(&fuzz().join(folder).join(property.name));
    let all = files.len();
    let breaks = |file: &PathBuf| {
        let bytes = fs::read(file).unwrap();
        catch_unwind(AssertUnwindSafe(|| (property.check)(&bytes))).is_err()
    };
    (files.into_iter().filter(breaks).collect(), all)
}

#[test]
fn each_property_holds_for_its_seeds() {
    for property in ALL {
        let (broken, all) = replay(property, SEEDS);
        assert!(
            broken.is_empty(),
            "{} does not hold for {broken:?}",
            property.name
        );
        assert!(all > 0, "{} has no seeds in fuzz/{SEEDS}", property.name);
    }
}

#[test]
fn what_once_broke_a_property_does_not_break_it_any_more() {
    for property in ALL {
        let (broken, _) = replay(property, REGRESSIONS);
        assert!(
            broken.is_empty(),
            "{} does not hold for {broken:?}",
            property.name
        );
    }
}

#[test]
fn each_property_has_a_fuzz_target_and_nothing_else_does() {
    let properties: BTreeSet<_> = ALL
        .iter()
        .map(|property| property.name.to_owned())
        .collect();
    let targets = entries(&fuzz().join("fuzz_targets"));
    let targets: BTreeSet<_> = targets.iter().map(|target| stem(target)).collect();
    assert_eq!(targets, properties);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let names = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""));
    let names: BTreeSet<_> = names
        .map(|name| name.trim_end_matches('"').to_owned())
        .collect();
    assert!(
        names.is_superset(&properties),
        "not all are in fuzz/Cargo.toml"
    );
}

#[test]
fn each_kept_file_belongs_to_a_property() {
    for folder in [SEEDS, REGRESSIONS] {
        for entry in entries(&fuzz().join(folder)) {
            let known = ALL.iter().any(|property| property.name == stem(&entry));
            assert!(
                known && entry.is_dir(),
                "no property checks {}",
                entry.display()
            );
        }
    }
}

/// As a fuzzer's first finds do: none of these is a message.
#[test]
fn each_property_holds_for_hardly_any_bytes() {
    for property in ALL {
        for length in 0..64 {
            for value in [0, 1, 0x7f, 0xff] {
                (property.check)(&vec![value; length]);
            }
        }
    }
}
