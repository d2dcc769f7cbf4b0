//! What the C library hands to `main`, and what a process should have before it opens anything.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;

/// The arguments that `main` was called with, the program's name among them.
///
/// # Safety
/// `values` points to `count` pointers to strings that end in a zero byte, as `main` is given them.
pub unsafe fn arguments(
    count: libc::c_int,
    values: *const *const libc::c_char,
) -> impl Iterator<Item = OsString> {
    (0..usize::try_from(count).unwrap_or_default()).map(move |n| {
        // SAFETY: `n` is less than `count`; for the rest, the caller answers.
        let value = unsafe { CStr::from_ptr(*values.add(n)) };
        OsStr::from_bytes(value.to_bytes()).to_owned()
    })
}

/// Has writes to a closed pipe fail instead of ending the process, and opens `/dev/null` in place
/// of each standard stream that is closed: the next socket would take its number, and messages for
/// the standard error would go out on it.
///
/// # Errors
/// Those of open(2) on `/dev/null`.
pub fn prepare() -> io::Result<()> {
    // SAFETY: no handler is installed; the signal is only ignored.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: F_GETFD only asks whether the descriptor is open.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } == -1 {
            // The lowest number that is free, so this one. It stays open.
            let _ = OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/null")?
                .into_raw_fd();
        }
    }
    Ok(())
}

/// Whether a line can be written to that stream without waiting for whoever reads it.
pub fn takes_a_line(stream: &impl AsFd) -> bool {
    let mut waiting = libc::pollfd {
        fd: stream.as_fd().as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: the pointer is to one live pollfd, which is all that the count says.
    let ready = unsafe { libc::poll(&raw mut waiting, 1, 0) };
    ready == 1 && waiting.revents & libc::POLLOUT != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_stream_that_nobody_reads_takes_lines_until_it_is_full() {
        let (_reader, mut writer) = UnixStream::pair().unwrap();
        let mut lines = 0;
        while takes_a_line(&writer) {
            writer.write_all(&[b'x'; 1000]).unwrap();
            lines += 1;
            assert!(lines < 100_000);
        }
        assert!(lines > 10);
    }

    #[test]
    fn arguments_are_what_main_is_given_byte_by_byte() {
        let values = [c"joold".as_ptr(), c"--check".as_ptr(), c"\xff".as_ptr()];
        // SAFETY: these are three strings that end in a zero byte.
        let arguments: Vec<_> = unsafe { arguments(3, values.as_ptr()) }.collect();
        let expected = [&b"joold"[..], b"--check", b"\xff"].map(OsStr::from_bytes);
        assert_eq!(arguments, expected);
    }
}
