//! What the daemon gives up once its sockets are open: all but what Jool asks for at each request.

use std::fmt;
use std::fs;
use std::io;

use crate::config::{Config, User};
use crate::failure::Failure;
use crate::sys::{self, Capabilities};

// Of linux/capability.h.
const CAP_SETPCAP: u64 = 1 << 8;
const CAP_NET_BIND_SERVICE: u64 = 1 << 10;
const CAP_NET_ADMIN: u64 = 1 << 12;

/// The first port that everybody may open, unless a sysctl says otherwise.
const FIRST_FREE_PORT: u16 = 1024;

/// Becomes the user that `config` names, if it names one, and keeps `CAP_NET_ADMIN` alone, as far as
/// the process has it; with it what the multicast port needs, for its socket may have to be opened
/// again.
///
/// # Errors
/// When the system refuses any of that, so that the daemon would have more than it should.
pub fn restrict(config: &Config) -> Result<(), Failure> {
    let user = config.modsocket.user.as_ref();
    let kept = drop_bounding_set(wanted(config.netsocket.port, first_free_port()))
        .map_err(|error| Failure::system("cannot limit the capabilities", &error))?;
    if let Some(user) = user {
        change_to(user)?;
    }
    let dropped = drop_rest(kept);
    dropped.map_err(|error| Failure::system("cannot drop capabilities", &error))?;
    match user {
        Some(user) => log::info!("running as the user {user} with {}", Names(kept)),
        None => log::info!("running with {}", Names(kept)),
    }
    Ok(())
}

/// What the daemon needs for good.
fn wanted(port: u16, first_free: u16) -> u64 {
    match port < first_free {
        true => CAP_NET_ADMIN | CAP_NET_BIND_SERVICE,
        false => CAP_NET_ADMIN,
    }
}

/// As ip(7) has it in this network namespace; Linux before 4.11 has no such sysctl.
fn first_free_port() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(FIRST_FREE_PORT)
}

/// Leaves only what is `wanted` in the bounding set, where the process may change that; returns what
/// it has of it. Whoever may not is an ordinary user, and gets nothing by executing anything.
fn drop_bounding_set(wanted: u64) -> io::Result<u64> {
    let have = sys::capabilities()?;
    let kept = wanted & have.permitted;
    if have.permitted & CAP_SETPCAP != 0 {
        sys::set_capabilities(&Capabilities {
            effective: have.permitted,
            ..have
        })?;
        sys::limit_bounding_set(kept)?;
        ensure(sys::bounding_set()? & !kept == 0, "the bounding set")?;
    }
    Ok(kept)
}

fn change_to(user: &User) -> Result<(), Failure> {
    // A service manager may have done it.
    if sys::is_user(user.id, user.group) {
        return Ok(());
    }
    let change = || {
        sys::change_user(user.id, user.group)?;
        let alone = sys::count_groups()? == 0;
        ensure(alone && sys::is_user(user.id, user.group), "the user")
    };
    change().map_err(|error| {
        let what = format!("cannot become the user {user}, the \"user\" of the module file");
        let mut failure = Failure::system(what, &error);
        if error.kind() == io::ErrorKind::PermissionDenied {
            failure.message += "; start joold as root";
        }
        failure
    })
}

fn drop_rest(kept: u64) -> io::Result<()> {
    let sets = Capabilities {
        effective: kept,
        permitted: kept,
        inheritable: 0,
    };
    sys::set_capabilities(&sets)?;
    sys::renounce_new_privileges()?;
    ensure(sys::capabilities()? == sets, "the capabilities")?;
    ensure(sys::ambient_set()? == 0, "the ambient set")?;
    ensure(sys::has_renounced_new_privileges()?, "no_new_privs")
}

/// Takes the system by its word only if it shows.
fn ensure(holds: bool, what: &str) -> io::Result<()> {
    match holds {
        true => Ok(()),
        false => Err(io::Error::other(format!("{what} did not change"))),
    }
}

/// Capabilities, by their names.
struct Names(u64);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (admin, ports) = (
            self.0 & CAP_NET_ADMIN != 0,
            self.0 & CAP_NET_BIND_SERVICE != 0,
        );
        f.write_str(match (admin, ports) {
            (true, true) => "CAP_NET_ADMIN and CAP_NET_BIND_SERVICE alone",
            (true, false) => "CAP_NET_ADMIN alone",
            (false, true) => "CAP_NET_BIND_SERVICE alone",
            (false, false) => "no capability",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_not_everybody_may_open_needs_its_capability_for_good() {
        assert_eq!(wanted(1023, 1024), CAP_NET_ADMIN | CAP_NET_BIND_SERVICE);
        assert_eq!(wanted(1024, 1024), CAP_NET_ADMIN);
        assert_eq!(wanted(1, 0), CAP_NET_ADMIN);
    }
}
