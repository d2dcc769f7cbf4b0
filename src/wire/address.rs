//! Addresses of network interfaces, as rtnetlink(7) has them: `ifaddrmsg`, then attributes.
//!
//! It lists them, and its groups `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR` hear of those that
//! come, change and go, in the same words.

use std::net::IpAddr;

use super::netlink::{Attributes, FLAG_DUMP, Message, Question};
use super::{Malformed, array};

/// `RTM_NEWADDR`: an address as it is now, in a list as well as in news.
pub const NEW: u16 = 20;

/// `RTM_DELADDR`: an address as it was.
pub const DELETED: u16 = 21;

/// `RTM_GETADDR`.
const GET: u16 = 22;

/// Offsets in `ifaddrmsg`.
mod header {
    pub const INDEX: usize = 4;
    pub const SIZE: usize = 8;
}

mod attribute {
    /// The far end's on a point-to-point link, otherwise the link's own.
    pub const ADDRESS: u16 = 1;
    /// Always the link's own. IPv6 has it only if the other one is the far end's.
    pub const LOCAL: u16 = 2;
}

/// Asks for all addresses of all links.
pub fn list() -> Question {
    Question::new(GET, FLAG_DUMP, &[0; header::SIZE])
}

/// An address of a link.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    index: u32,
    own: Option<IpAddr>,
}

impl Address {
    /// Of a message that is [`NEW`] or [`DELETED`].
    ///
    /// # Errors
    /// When the header is not all there, or the attributes are malformed.
    pub fn new_checked(message: Message<'_>) -> Result<Self, Malformed> {
        let (header, attributes) = message.split(header::SIZE)?;
        let (mut address, mut local) = (None, None);
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            match attribute.number {
                attribute::ADDRESS => address = Some(attribute.value),
                attribute::LOCAL => local = Some(attribute.value),
                _ => {}
            }
        }
        Ok(Self {
            index: u32::from_ne_bytes(array(header, header::INDEX)),
            own: local.or(address).and_then(internet),
        })
    }

    /// The link's index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The address at this end of the link; nothing if it is none of the Internet's.
    pub fn own(&self) -> Option<IpAddr> {
        self.own
    }
}

fn internet(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(array::<4>(value, 0))),
        16 => Some(IpAddr::from(array::<16>(value, 0))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::netlink::put_attribute;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Address, Malformed> {
        Address::new_checked(Message::new_checked(bytes)?)
    }

    /// The link's own address according to a message with these attributes.
    fn own(attributes: &[(u16, &[u8])]) -> Option<IpAddr> {
        let empty = Question::new(NEW, 0, &[0; header::SIZE]);
        let mut message = attributes
            .iter()
            .fold(empty, |message, (kind, value)| message.with(*kind, value));
        parse(message.numbered(1)).unwrap().own()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_address_is_the_own_one_and_not_the_far_ends() {
        use crate::wire::samples::{ADDRESS4, ADDRESS6};
        for (bytes, expected) in [(&ADDRESS4[..], "192.0.2.1"), (&ADDRESS6, "2001:db8::1")] {
            let address = parse(bytes).unwrap();
            assert_eq!(address.index(), 3);
            assert_eq!(address.own(), Some(expected.parse().unwrap()));
        }
    }

    #[test]
    fn the_own_address_is_told_by_its_number_not_by_its_place() {
        let near = (attribute::LOCAL, &[192, 0, 2, 1][..]);
        let far = (attribute::ADDRESS, &[192, 0, 2, 2][..]);
        let expected = Some(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(own(&[near, far]), expected);
        assert_eq!(own(&[far, near]), expected);
        assert_eq!(own(&[far]), Some(IpAddr::from([192, 0, 2, 2])));
    }

    #[test]
    fn other_protocols_have_addresses_of_other_sizes() {
        assert_eq!(own(&[(attribute::LOCAL, &[8])]), None);
        assert_eq!(own(&[]), None);
    }

    #[test]
    fn the_list_is_asked_for_with_a_whole_header() {
        let mut question = list();
        let message = Message::new_checked(question.numbered(1)).unwrap();
        assert_eq!((message.kind(), message.payload()), (GET, &[0; 8][..]));
        assert_eq!(message.flags() & FLAG_DUMP, FLAG_DUMP);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_address_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut question = Question::new(NEW, 0, &bytes);
            let parsed = parse(question.numbered(1));
            prop_assert!(parsed.is_err() || bytes.len() > header::SIZE - 4);
        }

        #[test]
        fn any_address_is_read_as_it_is(index in any::<u32>(), address in any::<IpAddr>()) {
            let octets = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            let mut payload = vec![0; header::SIZE];
            payload[header::INDEX..][..4].copy_from_slice(&index.to_ne_bytes());
            put_attribute(&mut payload, attribute::ADDRESS, &octets);
            let mut message = Question::new(DELETED, 0, &payload);
            let read = parse(message.numbered(1)).unwrap();
            prop_assert_eq!((read.index(), read.own()), (index, Some(address)));
        }
    }
}
