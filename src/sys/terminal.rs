//! The terminal at the other end of a stream.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use super::checked;

/// How many columns and rows the terminal has.
///
/// # Errors
/// Those of ioctl(2), `TIOCGWINSZ`: `ENOTTY` where there is no terminal.
pub fn terminal_size(stream: &impl AsFd) -> io::Result<(u16, u16)> {
    // SAFETY: zeros are a winsize.
    let mut size: libc::winsize = unsafe { mem::zeroed() };
    let descriptor = stream.as_fd().as_raw_fd();
    // SAFETY: the request writes one winsize, to which the pointer is.
    let result = unsafe { libc::ioctl(descriptor, libc::TIOCGWINSZ, &raw mut size) };
    checked(result).map(|_| (size.ws_col, size.ws_row))
}
