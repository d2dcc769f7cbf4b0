//! Who may use the control socket.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use jool_simulated::node::pair;
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use super::{Directory, LONG, at, check, mode, modsocket, start};
use crate::privileges::{NOBODY, has_other_users};
use crate::stage::*;

pub fn tests() -> impl Iterator<Item = Trial> {
    let alone = !has_other_users();
    let tests = tests! {
        others_are_told_whose_permission_they_lack
        the_members_of_a_group_may_ask
        a_group_takes_the_place_of_another_where_the_daemon_may_do_that
        a_daemon_that_became_another_user_is_asked_all_the_same
    };
    tests
        .into_iter()
        .map(move |test| test.with_ignored_flag(alone))
}

/// jooldctl as Debian's user without rights, from where everybody may start it.
fn check_as_nobody(directory: &Directory, socket: &Path) -> Result<Output, Failed> {
    let program = directory.0.join("jooldctl");
    if !program.exists() {
        // By another process, for the reason that the daemon's is copied so.
        let from = env!("CARGO_BIN_EXE_jooldctl");
        let copied = Command::new("cp").arg(from).arg(&program).status()?;
        assert!(copied.success());
    }
    let nobody = NOBODY.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
        .arg(&program)
        .arg("--socket")
        .arg(socket)
        .args(["--timeout", LONG, "check"])
        .output()?;
    Ok(output)
}

fn others_are_told_whose_permission_they_lack() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let socket = directory.socket();
    for (keys, expected) in [
        ("", "run jooldctl as root, or name a \"control group\" in"),
        (
            r#", "control group": 0"#,
            "run jooldctl as root, or as a member of the group root\n",
        ),
    ] {
        start(&mut j, &format!("{}{keys}", at(&socket)))?;
        let output = check_as_nobody(&directory, &socket)?;
        let error = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(77), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}

fn the_members_of_a_group_may_ask() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let socket = directory.socket();
    start(
        &mut j,
        &format!(r#"{}, "control group": {NOBODY}"#, at(&socket)),
    )?;
    assert_eq!(mode(&socket)?, 0o660);
    assert_eq!(fs::symlink_metadata(&socket)?.gid(), NOBODY);
    let output = check_as_nobody(&directory, &socket)?;
    let error = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(0), "{error}");
    Ok(())
}

/// Whoever has given up root's rights gives files to groups of its own only.
fn a_group_takes_the_place_of_another_where_the_daemon_may_do_that() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let socket = directory.socket();
    let keys = |group| format!(r#"{}, "control group": {group}"#, at(&socket));
    start(&mut j, &keys(NOBODY))?;
    let j = daemon(&mut j)?;
    j.reload("modsocket.json", &modsocket(&keys(0)))?;
    j.wait_for("\"control group\" was {")?;
    assert_eq!(fs::symlink_metadata(&socket)?.gid(), 0);
    j.reload("modsocket.json", &modsocket(&keys(NOBODY)))?;
    j.wait_for("as it is: Operation not permitted; \"control socket\" and \"control group\"")?;
    assert_eq!(fs::symlink_metadata(&socket)?.gid(), 0);
    // Nor is there one in another place that its members cannot use.
    let moved = format!(
        r#", "control socket": "{}", "control group": {NOBODY}"#,
        directory.0.join("moved").display()
    );
    j.reload("modsocket.json", &modsocket(&moved))?;
    j.wait_for("cannot give it to the group nogroup (65534)")?;
    assert!(!directory.0.join("moved").exists());
    assert_eq!(check(&socket)?.0, 0);
    Ok(())
}

/// It cannot remove the socket then, nor move it, and the next one makes no trouble of that.
fn a_daemon_that_became_another_user_is_asked_all_the_same() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let socket = directory.socket();
    let keys = format!(r#"{}, "user": "nobody""#, at(&socket));
    for _ in 0..2 {
        start(&mut j, &keys)?;
        let said = daemon(&mut j)?.wait_for("running as the user nobody")?;
        assert!(!said.contains("warning: "), "{said}");
        assert_eq!(check(&socket)?.0, 0);
        assert_eq!(daemon(&mut j)?.stop()?.code(), Some(0));
        assert!(socket.exists());
    }
    Ok(())
}
