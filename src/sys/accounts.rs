//! The accounts and groups of this machine: getpwnam(3), getgrnam(3) and their like.

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::ptr;

/// How large the texts of an entry may be.
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
    find(account, |entry, texts, size, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), entry, texts, size, found)
    })
}

/// The user of that number, if there is one.
///
/// # Errors
/// Those of getpwuid_r(3).
pub fn account_numbered(user: u32) -> io::Result<Option<Account>> {
    // SAFETY: `find` answers for it.
    find(account, |entry, texts, size, found| unsafe {
        libc::getpwuid_r(user, entry, texts, size, found)
    })
}

/// The number and the name of the group of that name, if there is one.
///
/// # Errors
/// Those of getgrnam_r(3).
pub fn group_named(name: &str) -> io::Result<Option<(u32, String)>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    // SAFETY: `name` ends in a zero byte; for the rest, `find` answers.
    find(group, |entry, texts, size, found| unsafe {
        libc::getgrnam_r(name.as_ptr(), entry, texts, size, found)
    })
}

/// The number and the name of the group of that number, if there is one.
///
/// # Errors
/// Those of getgrgid_r(3).
pub fn group_numbered(number: u32) -> io::Result<Option<(u32, String)>> {
    // SAFETY: `find` answers for it.
    find(group, |entry, texts, size, found| unsafe {
        libc::getgrgid_r(number, entry, texts, size, found)
    })
}

fn account(entry: &libc::passwd) -> Account {
    Account {
        // SAFETY: the entry was filled in; its name ends in a zero byte.
        name: unsafe { text(entry.pw_name) },
        user: entry.pw_uid,
        group: entry.pw_gid,
    }
}

fn group(entry: &libc::group) -> (u32, String) {
    // SAFETY: the entry was filled in; its name ends in a zero byte.
    (entry.gr_gid, unsafe { text(entry.gr_name) })
}

/// # Safety
/// `text` points to bytes that end in a zero byte.
unsafe fn text(text: *const libc::c_char) -> String {
    // SAFETY: the caller answers for it.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// A structure of which all zeros is a valid value.
///
/// # Safety
/// So it has to be.
unsafe trait Plain {}

// SAFETY: numbers, and pointers that may be null.
unsafe impl Plain for libc::passwd {}
// SAFETY: as above.
unsafe impl Plain for libc::group {}

/// Calls `look` with an entry, room for its texts, the size of that, and where to put a pointer to
/// the entry if it was found; then `read` takes from the entry what is of use, while the texts are
/// there.
fn find<E: Plain, T>(
    read: fn(&E) -> T,
    mut look: impl FnMut(*mut E, *mut libc::c_char, libc::size_t, *mut *mut E) -> libc::c_int,
) -> io::Result<Option<T>> {
    let mut size = 1 << 10;
    loop {
        let mut texts: Vec<libc::c_char> = vec![0; size];
        // SAFETY: all zeros is a valid value of what is plain.
        let mut entry: E = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        match look(&raw mut entry, texts.as_mut_ptr(), size, &raw mut found) {
            // So do some systems say that there is none.
            0 | libc::ENOENT | libc::ESRCH if found.is_null() => return Ok(None),
            0 => return Ok(Some(read(&entry))),
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
        let group = group_named("root").unwrap().unwrap();
        assert_eq!(group, (0, "root".to_owned()));
        assert_eq!(group_numbered(0).unwrap(), Some(group));
    }

    #[test]
    fn who_is_not_there_is_nobody() {
        assert_eq!(account_named("no-such-user").unwrap(), None);
        assert_eq!(account_named("a\0b").unwrap(), None);
        assert_eq!(account_numbered(u32::MAX - 7).unwrap(), None);
        assert_eq!(group_named("no-such-group").unwrap(), None);
        assert_eq!(group_named("a\0b").unwrap(), None);
        assert_eq!(group_numbered(u32::MAX - 7).unwrap(), None);
    }
}
