//! Views of what the kernel and the peers say.
//!
//! One file per format. A view borrows a buffer and looks at every length once, in `new_checked`;
//! after that each accessor is a named field and cannot fail. No other module knows an offset.

pub mod address;
pub mod controller;
pub mod datagram;
pub mod extension;
pub mod generic;
pub mod globals;
pub mod instance;
pub mod jool;
pub mod lifetime;
pub mod link;
pub mod netlink;
pub mod page;
pub mod pool4;
pub mod request;
#[cfg(test)]
pub(crate) mod samples;
pub mod session;
pub mod statistics;
pub mod update;

use std::fmt;

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than the headers need.
    TooShort {
        /// Bytes that are there.
        have: usize,
        /// Bytes that the headers take.
        need: usize,
    },
    /// A length field that does not even cover its own header.
    LengthBelowHeader(usize),
    /// A length field that points beyond the bytes that are there.
    LengthBeyondBuffer(usize),
    /// So many bytes behind the message that should be all there is.
    Behind(usize),
    /// More than one of what a message has once.
    Repeated(&'static str),
    /// A message without what every one of its kind has.
    Lacks(&'static str),
    /// A Jool header whose magic is not `jool`.
    NotJool,
    /// A session of another size than its format has.
    SessionSize(usize),
    /// A session that lacks an attribute, by the attribute's number.
    SessionLacks(u16),
    /// A value that its field cannot have.
    Value {
        /// What the field is called.
        field: &'static str,
        /// What was there.
        value: u32,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { have, need } => {
                write!(f, "{have} bytes where the headers take {need}")
            }
            Self::LengthBelowHeader(length) => {
                write!(f, "a length field of {length}, less than its own header")
            }
            Self::LengthBeyondBuffer(length) => {
                write!(f, "a length field of {length}, more than there is")
            }
            Self::Behind(bytes) => write!(f, "{bytes} bytes behind its end"),
            Self::Repeated(what) => write!(f, "more than one {what}"),
            Self::Lacks(what) => write!(f, "no {what}"),
            Self::NotJool => write!(f, "no Jool header"),
            Self::SessionSize(size) => write!(f, "a session of {size} bytes"),
            Self::SessionLacks(number) => write!(f, "a session without its attribute {number}"),
            Self::Value { field, value } => write!(f, "a session whose {field} is {value}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// The `N` bytes of `bytes` that start at `at`. The caller has checked that they exist.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
