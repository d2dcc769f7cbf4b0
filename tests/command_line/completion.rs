//! Bash's completion of both programs: `etc/bash-completion/`.

use std::collections::BTreeSet;
use std::process::Command;

use super::Directory;

/// What bash offers for the last of these words, the first of which is the program.
fn offered(words: &[&str]) -> BTreeSet<String> {
    let program = words[0];
    let script = format!(
        r#"set -u; source "$0" && COMP_WORDS=("$@") && COMP_CWORD=$(($# - 1)) && _{program} &&
        if ((${{#COMPREPLY[@]}})); then printf '%s\n' "${{COMPREPLY[@]}}"; fi"#
    );
    let file = format!(
        "{}/etc/bash-completion/{program}",
        env!("CARGO_MANIFEST_DIR")
    );
    let output = Command::new("bash")
        .args(["-c", &script, &file])
        .args(words)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && error.is_empty(),
        "{words:?}: {error}"
    );
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().map(str::to_owned).collect()
}

/// The names in a section of what `--help` prints: each line's first words, up to what explains them.
fn named(help: &str, section: &str) -> BTreeSet<String> {
    let (_, section) = help.split_once(&format!("\n{section}:\n")).unwrap();
    let lines = section.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| {
        let inner = line.strip_prefix("  ")?;
        // An option may lack its short name; a line that explains begins further right.
        let inner = inner.strip_prefix("    ").unwrap_or(inner);
        (!inner.starts_with(' ')).then(|| inner.split("  ").next().unwrap_or_default())
    });
    let words = names.flat_map(|names| names.split([',', ' ']));
    let is_name = |word: &&str| {
        word.chars()
            .all(|c| c.is_ascii_lowercase() || "-hqiV".contains(c))
    };
    words
        .filter(|word| !word.is_empty())
        .filter(is_name)
        .map(str::to_owned)
        .collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn all_that_help_names_is_offered_and_nothing_else() {
    let directory = Directory::new();
    let help = String::from_utf8(directory.jooldctl(&["--help"]).stdout).unwrap();
    let options = named(&help, "Options");
    assert!(
        options.contains("--interval") && options.contains("-i"),
        "{options:?}"
    );
    assert_eq!(offered(&["jooldctl", "-"]), options);
    let commands = named(&help, "Commands");
    assert!(
        commands.contains("log-level") && commands.contains("watch"),
        "{commands:?}"
    );
    assert_eq!(offered(&["jooldctl", ""]), commands);

    let help = String::from_utf8(directory.joold(&["--help"]).stdout).unwrap();
    assert_eq!(offered(&["joold", "-"]), named(&help, "Options"));
}

#[test]
fn what_is_offered_is_what_the_command_takes() {
    for (words, offers) in [
        (&["jooldctl", "st"][..], &["state", "stats", "status"][..]),
        (&["jooldctl", "stats", "--j"], &["--json"]),
        (&["jooldctl", "check", "--j"], &[]),
        (&["jooldctl", "check", "--q"], &["--quiet"]),
        (&["jooldctl", "watch", "--int"], &["--interval"]),
        (&["jooldctl", "follow", "--tc"], &["--tcp"]),
        (
            &["jooldctl", "follow", "--direction", ""],
            &["both", "in", "out"],
        ),
        (&["jooldctl", "follow", "--port", ""], &[]),
        (&["jooldctl", "--timeout", "50", "ch"], &["check"]),
        (&["jooldctl", "--timeout", ""], &[]),
        (&["jooldctl", "check", ""], &[]),
        (
            &["jooldctl", "log-level", ""],
            &["debug", "error", "notice", "warning"],
        ),
        (&["jooldctl", "log-level", "debug", ""], &[]),
        (&["joold", "--log-level", "n"], &["notice"]),
        (&["joold", "--ch"], &["--check"]),
    ] {
        assert_eq!(offered(words), set(offers), "{words:?}");
    }
}

#[test]
fn files_are_offered_where_they_are_named() {
    let etc = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/modsocket");
    let file = set(&[concat!(env!("CARGO_MANIFEST_DIR"), "/etc/modsocket.json")]);
    assert_eq!(offered(&["joold", "netsocket.json", etc]), file);
    assert_eq!(offered(&["jooldctl", "--socket", etc]), file);
}
