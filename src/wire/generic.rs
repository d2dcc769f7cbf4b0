//! Generic netlink: `genlmsghdr`, which tells a family's commands apart.

use super::{Malformed, netlink};

/// A generic netlink message: the netlink message and its `genlmsghdr`.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    inner: netlink::Message<'a>,
}

impl<'a> Message<'a> {
    /// Size of `nlmsghdr` and `genlmsghdr`.
    pub const HEADER: usize = netlink::Message::HEADER + 4;

    pub(crate) const COMMAND: usize = netlink::Message::HEADER;
    pub(crate) const VERSION: usize = netlink::Message::HEADER + 1;

    /// # Errors
    /// When `inner` ends before `genlmsghdr` does.
    pub fn new_checked(inner: netlink::Message<'a>) -> Result<Self, Malformed> {
        let have = inner.bytes().len();
        if have < Self::HEADER {
            return Err(Malformed::TooShort {
                have,
                need: Self::HEADER,
            });
        }
        Ok(Self { inner })
    }

    /// The command; Jool's kernel side leaves it 0.
    pub fn command(&self) -> u8 {
        self.inner.bytes()[Self::COMMAND]
    }

    /// The version of the family's interface.
    pub fn version(&self) -> u8 {
        self.inner.bytes()[Self::VERSION]
    }

    /// The netlink message around it.
    pub fn netlink(&self) -> netlink::Message<'a> {
        self.inner
    }

    /// What follows: the family's own header, then attributes.
    pub fn payload(&self) -> &'a [u8] {
        &self.inner.bytes()[Self::HEADER..]
    }
}
