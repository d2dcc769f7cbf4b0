//! The accounts of this machine's users: getpwnam(3), getpwuid(3).

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::ptr;

/// How large the texts of an account may be.
const LARGEST: usize = 1 << 20;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// The user's number.
    pub user: u32,
    /// The number of the primary group.
    pub group: u32,
}

/// The user of that name, if there is one.
///
/// # Errors
/// Those of getpwnam_r(3).
pub fn account_named(name: &str) -> io::Result<Option<Account>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    // SAFETY: `name` ends in a zero byte; for the rest, `find` answers.
    find(|entry, texts, size, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), entry, texts, size, found)
    })
}

/// The user of that number, if there is one.
///
/// # Errors
/// Those of getpwuid_r(3).
pub fn account_numbered(user: u32) -> io::Result<Option<Account>> {
    // SAFETY: `find` answers for it.
    find(|entry, texts, size, found| unsafe { libc::getpwuid_r(user, entry, texts, size, found) })
}

/// Calls `look` with an entry, room for its texts, the size of that, and where to put a pointer to
/// the entry if it was found.
fn find(
    mut look: impl FnMut(
        *mut libc::passwd,
        *mut libc::c_char,
        libc::size_t,
        *mut *mut libc::passwd,
    ) -> libc::c_int,
) -> io::Result<Option<Account>> {
    let mut size = 1 << 10;
    loop {
        let mut texts: Vec<libc::c_char> = vec![0; size];
        // SAFETY: passwd is a plain C structure, for which all zeros is a valid value.
        let mut entry: libc::passwd = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        match look(&raw mut entry, texts.as_mut_ptr(), size, &raw mut found) {
            // So do some systems say that there is none.
            0 | libc::ENOENT | libc::ESRCH if found.is_null() => return Ok(None),
            0 => {
                // SAFETY: the entry was filled in; its name is in `texts`, and ends in a zero byte.
                let name = unsafe { CStr::from_ptr(entry.pw_name) };
                return Ok(Some(Account {
                    name: name.to_string_lossy().into_owned(),
                    user: entry.pw_uid,
                    group: entry.pw_gid,
                }));
            }
            libc::ERANGE if size < LARGEST => size *= 2,
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_goes_by_name_and_by_number() {
        let root = account_named("root").unwrap().unwrap();
        assert_eq!((root.user, root.group), (0, 0));
        assert_eq!(account_numbered(0).unwrap(), Some(root));
    }

    #[test]
    fn who_is_not_there_is_nobody() {
        assert_eq!(account_named("no-such-user").unwrap(), None);
        assert_eq!(account_named("a\0b").unwrap(), None);
        assert_eq!(account_numbered(u32::MAX - 7).unwrap(), None);
    }
}
