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

/// A request of that family, to which attributes can be added: the netlink message and its
/// `genlmsghdr`.
pub fn question(family: u16, command: u8, version: u8) -> netlink::Question {
    netlink::Question::new(family, 0, &[command, version, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut question = netlink::Question::new(7, 0, &bytes);
            let inner = netlink::Message::new_checked(question.numbered(1)).unwrap();
            let message = Message::new_checked(inner);
            prop_assert_eq!(message.is_ok(), !bytes.is_empty());
            if let Ok(message) = message {
                prop_assert_eq!(message.command(), bytes[0]);
                prop_assert!(message.payload().len() <= bytes.len());
            }
        }

        #[test]
        fn a_question_reads_back_as_written(
            family in any::<u16>(),
            command in any::<u8>(),
            version in any::<u8>(),
        ) {
            let mut question = question(family, command, version);
            let inner = netlink::Message::new_checked(question.numbered(1)).unwrap();
            let message = Message::new_checked(inner).unwrap();
            prop_assert_eq!(message.netlink().kind(), family);
            prop_assert_eq!((message.command(), message.version()), (command, version));
            prop_assert!(message.payload().is_empty());
        }
    }
}
