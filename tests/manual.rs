//! The manual pages name what there is, and nothing else: they are compared with what the programs say.
// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const JOOLD: &str = env!("CARGO_BIN_EXE_joold");
const JOOLDCTL: &str = env!("CARGO_BIN_EXE_jooldctl");

/// A manual page, with dashes as they are printed.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    fs::read_to_string(path).unwrap().replace("\\-", "-")
}

/// What a program says when it is asked for help.
fn help(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg("--help").output();
    let output = output.unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The options in a text: words that begin with two dashes.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "[],;()|\"".contains(c));
    let options = words.filter(|word| word.starts_with("--") && word.len() > 2);
    let name = |word: &str| {
        word.split('=')
            .next()
            .unwrap()
            .trim_end_matches('.')
            .to_owned()
    };
    options.map(name).collect()
}

/// The keys that a page explains: each in a line of its own, in quotes.
fn explained_keys(page: &str) -> BTreeSet<String> {
    let lines = page
        .lines()
        .filter_map(|line| line.strip_prefix(".B \\[dq]"));
    let keys = lines.filter_map(|line| line.strip_suffix("\\[dq]"));
    keys.map(str::to_owned).collect()
}

/// The keys that the daemon knows: it names them where one is unknown.
fn known_keys() -> BTreeSet<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(format!("joold-manual-{process}-{number}"));
    fs::create_dir(&directory).unwrap();
    let file = |name: &str, contents: &str| -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, contents).unwrap();
        path
    };
    let network =
        r#"{"multicast address": "ff08::db8:64:64", "multicast port": 6464, "unknown": 1}"#;
    let files = [
        file("netsocket.json", network),
        file("modsocket.json", r#"{"unknown": 1}"#),
    ];
    let output = Command::new(JOOLD).arg("--check").args(files).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let lists = said
        .lines()
        .filter_map(|line| line.split_once("the keys are "));
    let keys: BTreeSet<_> = lists
        .flat_map(|(_, list)| list.split('"').skip(1).step_by(2).map(str::to_owned))
        .collect();
    assert!(
        keys.contains("multicast address") && keys.contains("instance"),
        "{said}"
    );
    keys
}

#[test]
fn the_page_of_the_two_files_explains_each_key_that_the_daemon_knows_and_no_other() {
    assert_eq!(explained_keys(&page("joold.conf.5")), known_keys());
}

#[test]
fn the_help_and_the_documents_explain_each_key_too() {
    let help = help(JOOLD, &[]);
    let file = "docs/configuration.md";
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    for key in known_keys() {
        assert!(help.contains(&format!("  \"{key}\"")), "--help lacks {key}");
        let row = format!("| `{key}` |");
        assert!(document.contains(&row), "{file} lacks {key}");
    }
}

#[test]
fn the_daemons_page_has_each_option_and_no_other() {
    assert_eq!(options(&page("joold.8")), options(&help(JOOLD, &[])));
}

#[test]
fn the_clients_page_has_each_option_and_no_other() {
    assert_eq!(options(&page("jooldctl.8")), options(&help(JOOLDCTL, &[])));
}

/// The numbers that a text explains as exit statuses: each begins a line.
fn statuses(text: &str, prefix: &str) -> BTreeSet<u8> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let words = lines.filter_map(|line| line.split_whitespace().next());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_pages_have_each_exit_status() {
    for (program, name) in [(JOOLD, "joold.8"), (JOOLDCTL, "jooldctl.8")] {
        let help = help(program, &[]);
        let (_, explained) = help.split_once("Exit status").unwrap();
        assert_eq!(
            statuses(&page(name), ".B "),
            statuses(explained, "  "),
            "{name}"
        );
    }
}

/// The commands that a text explains: words at the start of a line behind so many characters.
fn commands(help: &str) -> BTreeSet<String> {
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let lines = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let lines = lines.filter(|line| !line.starts_with(' '));
    let words = lines.filter_map(|line| line.split_whitespace().next());
    words.map(str::to_owned).collect()
}

#[test]
fn the_clients_page_has_each_command_and_no_other() {
    let page = page("jooldctl.8");
    let (_, page) = page.split_once(".SH COMMANDS\n").unwrap();
    let (page, _) = page.split_once(".SH OPTIONS\n").unwrap();
    // Those of `state` are its answers.
    let (first, rest) = page.split_once(".RS\n").unwrap();
    let (_, rest) = rest.split_once(".RE\n").unwrap();
    let tags = [first, rest].concat();
    let tags = tags
        .split(".TP\n")
        .skip(1)
        .filter_map(|tag| tag.split_whitespace().nth(1));
    let explained: BTreeSet<_> = tags.map(str::to_owned).collect();
    assert_eq!(explained, commands(&help(JOOLDCTL, &[])));
}
