//! What the process may do and whose it is: capabilities(7), credentials(7).

use std::io;

use super::checked;

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

/// More than Linux has; where it has no more, it says so.
const MOST: u32 = 64;

/// As the system call takes it; process 0 is the calling one.
#[repr(C)]
struct Header {
    version: u32,
    process: libc::c_int,
}

/// One half of the sets, as the system call takes it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const HEADER: Header = Header {
    version: VERSION,
    process: 0,
};

/// The sets of capabilities of a process; bit `1 << n` is the capability number `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What it can do now.
    pub effective: u64,
    /// What it can take up.
    pub permitted: u64,
    /// What programs that it executes may get.
    pub inheritable: u64,
}

/// The process's own sets.
///
/// # Errors
/// Those of capget(2).
pub fn capabilities() -> io::Result<Capabilities> {
    let (mut header, mut halves) = (HEADER, [Half::default(); 2]);
    // SAFETY: both pointers are to live values laid out as the kernel's structures; version 3
    // writes two of the second.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    checked(result as libc::c_int)?;
    let whole = |half: fn(&Half) -> u32| {
        let [low, high] = [half(&halves[0]), half(&halves[1])].map(u64::from);
        low | high << 32
    };
    Ok(Capabilities {
        effective: whole(|half| half.effective),
        permitted: whole(|half| half.permitted),
        inheritable: whole(|half| half.inheritable),
    })
}

/// Sets the process's own sets. The ambient one loses what is not both permitted and inheritable.
///
/// # Errors
/// Those of capset(2): `EPERM` for what it has not.
pub fn set_capabilities(sets: &Capabilities) -> io::Result<()> {
    let half = |shift| Half {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let (mut header, halves) = (HEADER, [half(0), half(32)]);
    // SAFETY: both pointers are to live values laid out as the kernel's structures; version 3 reads
    // two of the second.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    checked(result as libc::c_int).map(drop)
}

/// The bounding set: what a program that is executed may get at most.
///
/// # Errors
/// Those of prctl(2).
pub fn bounding_set() -> io::Result<u64> {
    set_of(|number| control(libc::PR_CAPBSET_READ, [number, 0]))
}

/// The ambient set: what a program that is executed gets.
///
/// # Errors
/// Those of prctl(2).
pub fn ambient_set() -> io::Result<u64> {
    let is_set = libc::PR_CAP_AMBIENT_IS_SET as libc::c_ulong;
    set_of(|number| control(libc::PR_CAP_AMBIENT, [is_set, number]))
}

/// The capabilities that `has` answers 1 for. Beyond those that this Linux knows it is `EINVAL`.
fn set_of(has: impl Fn(libc::c_ulong) -> io::Result<libc::c_int>) -> io::Result<u64> {
    let mut set = 0;
    for number in 0..MOST {
        match has(number.into()) {
            Ok(0) => (),
            Ok(_) => set |= 1 << number,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(set)
}

/// Takes from the bounding set whatever is not in `kept`.
///
/// # Errors
/// Those of prctl(2), `PR_CAPBSET_DROP`: `EPERM` without `CAP_SETPCAP`.
pub fn limit_bounding_set(kept: u64) -> io::Result<()> {
    let excess = bounding_set()? & !kept;
    for number in (0..MOST).filter(|number| excess & 1 << number != 0) {
        control(libc::PR_CAPBSET_DROP, [number.into(), 0])?;
    }
    Ok(())
}

/// Never again get privileges by executing a program.
///
/// # Errors
/// Those of prctl(2), `PR_SET_NO_NEW_PRIVS`.
pub fn renounce_new_privileges() -> io::Result<()> {
    control(libc::PR_SET_NO_NEW_PRIVS, [1, 0]).map(drop)
}

/// Whether [`renounce_new_privileges`] is in effect.
///
/// # Errors
/// Those of prctl(2), `PR_GET_NO_NEW_PRIVS`.
pub fn has_renounced_new_privileges() -> io::Result<bool> {
    Ok(control(libc::PR_GET_NO_NEW_PRIVS, [0, 0])? == 1)
}

/// Becomes a user and a group, with no other groups, for good. The permitted capabilities stay.
///
/// # Errors
/// Those of prctl(2), `PR_SET_KEEPCAPS`, setgroups(2), setresgid(2) and setresuid(2).
pub fn change_user(user: u32, group: u32) -> io::Result<()> {
    control(libc::PR_SET_KEEPCAPS, [1, 0])?;
    // SAFETY: of a list without entries nothing is read.
    checked(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: these take numbers only, and there is one thread.
    checked(unsafe { libc::setresgid(group, group, group) })?;
    // SAFETY: as above.
    checked(unsafe { libc::setresuid(user, user, user) })?;
    control(libc::PR_SET_KEEPCAPS, [0, 0]).map(drop)
}

/// Whether the process is that user's and that group's, whichever of its ids one looks at.
pub fn is_user(user: u32, group: u32) -> bool {
    let (mut users, mut groups) = ([0; 3], [0; 3]);
    let ([real, effective, saved], [real_group, effective_group, saved_group]) =
        (&mut users, &mut groups);
    // SAFETY: six pointers to live locals, which the calls write.
    let result = unsafe {
        libc::getresuid(real, effective, saved)
            | libc::getresgid(real_group, effective_group, saved_group)
    };
    result == 0 && users == [user; 3] && groups == [group; 3]
}

/// How many supplementary groups the process has.
///
/// # Errors
/// Those of getgroups(2).
pub fn count_groups() -> io::Result<usize> {
    // SAFETY: with size 0 nothing is written.
    let count = checked(unsafe { libc::getgroups(0, std::ptr::null_mut()) })?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// prctl(2) for options that take numbers. Those that an option does not use have to be 0.
fn control(option: libc::c_int, [first, second]: [libc::c_ulong; 2]) -> io::Result<libc::c_int> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options above take numbers, not pointers.
    checked(unsafe { libc::prctl(option, first, second, zero, zero) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What /proc says of this thread.
    fn status(key: &str) -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    }

    #[test]
    fn the_sets_are_those_that_proc_shows() {
        let sets = capabilities().unwrap();
        assert_eq!(sets.effective, status("CapEff:"));
        assert_eq!(sets.permitted, status("CapPrm:"));
        assert_eq!(sets.inheritable, status("CapInh:"));
        assert_eq!(bounding_set().unwrap(), status("CapBnd:"));
        assert_eq!(ambient_set().unwrap(), status("CapAmb:"));
        assert_eq!(
            u64::from(has_renounced_new_privileges().unwrap()),
            status("NoNewPrivs:")
        );
    }

    #[test]
    fn sets_that_stay_as_they_are_may_be_set() {
        let before = capabilities().unwrap();
        set_capabilities(&before).unwrap();
        assert_eq!(capabilities().unwrap(), before);
    }
}
