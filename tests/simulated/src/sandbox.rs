//! The place where tests may do as they like: namespaces of the test process's own.

use std::fs;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};

/// Moves the process into a network namespace of its own, and into a user namespace if it is not
/// root. Call it first thing in `main`: a process with several threads cannot do it.
///
/// # Errors
/// What this machine forbids, and what to do about it.
pub fn enter() -> Result<(), String> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => return Ok(()),
        Err(Errno::EPERM) => {}
        Err(error) => return Err(format!("no network namespace: {error}")),
    }
    let (user, group) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(explain)?;
    let write = |file: &str, text: &str| {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| format!("cannot write /proc/self/{file}: {error}. {ADVICE}"))
    };
    // An ordinary user may map a group only after giving up setgroups(2).
    write("setgroups", "deny")?;
    write("uid_map", &format!("0 {user} 1"))?;
    write("gid_map", &format!("0 {group} 1"))
}

const ADVICE: &str = "This machine keeps ordinary users from making namespaces. Run this as root, \
    or allow it: sysctl user.max_user_namespaces must not be 0; on Debian \
    kernel.unprivileged_userns_clone=1; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; \
    in a container, --privileged or --security-opt seccomp=unconfined.";

fn explain(error: Errno) -> String {
    match error {
        Errno::EINVAL => "no user namespace: several threads are running already".to_owned(),
        other => format!("no user namespace: {other}. {ADVICE}"),
    }
}
