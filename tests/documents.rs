//! What the documents refer to is there.
// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories that are not the project's own.
const NOT_OURS: [&str; 4] = [".git", "target", "corpus", "regressions"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All documents below a directory.
fn documents(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !NOT_OURS.contains(&name) {
            found.extend(documents(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// The lines of a document that are no program.
fn prose(document: &str) -> impl Iterator<Item = &str> {
    let mut is_program = false;
    document.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_program ^= is_fence;
        !is_program && !is_fence
    })
}

/// What the links of a document lead to.
fn links(document: &str) -> Vec<String> {
    let mut targets = Vec::new();
    // A link may have its words in one line, and where it leads in the next.
    let text: Vec<_> = prose(document).collect();
    let text = text.join(" ");
    for part in text.split("](").skip(1) {
        let (target, _) = part.split_once(')').expect(part);
        targets.push(target.to_owned());
    }
    targets
}

/// The names by which a link may lead to a document's headings.
fn headings(document: &str) -> BTreeSet<String> {
    let lines = prose(document).filter(|line| line.starts_with('#'));
    let name = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|&c| c.is_alphanumeric() || " -_".contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    lines.map(name).collect()
}

/// What is wrong with a link, if anything.
fn problem(from: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => from.to_owned(),
        file => from.parent().unwrap().join(file),
    };
    if !path.exists() {
        return Some(format!("{}: there is no {target}", from.display()));
    }
    let is_there = heading.is_empty() || {
        let document = fs::read_to_string(&path).unwrap();
        headings(&document).contains(heading)
    };
    (!is_there).then(|| format!("{}: no heading of that name: {target}", from.display()))
}

#[test]
fn each_link_in_the_documents_leads_somewhere() {
    let mut count = 0;
    let mut problems = Vec::new();
    for path in documents(root()) {
        let document = fs::read_to_string(&path).unwrap();
        let links = links(&document);
        count += links.len();
        problems.extend(links.iter().filter_map(|target| problem(&path, target)));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn a_link_to_nothing_is_found() {
    let from = root().join("README.md");
    for (target, is_wrong) in [
        ("docs/no-such-page.md", true),
        ("docs/failover.md#no-such-heading", true),
        ("docs/failover.md#4-keepalived", false),
        ("#see-it-work", false),
        ("https://www.jool.mx", false),
    ] {
        assert_eq!(problem(&from, target).is_some(), is_wrong, "{target}");
    }
}
