//! Network interfaces, as rtnetlink(7) has them: `ifinfomsg`, then attributes.
//!
//! It lists them, and its group `RTNLGRP_LINK` hears of those that come, change and go, in the same
//! words.

use super::netlink::{Attributes, FLAG_DUMP, Message, Question};
use super::{Malformed, array};

/// `RTM_NEWLINK`: a link as it is now, in a list as well as in news.
pub const NEW: u16 = 16;

/// `RTM_DELLINK`: a link as it was.
pub const DELETED: u16 = 17;

/// `RTM_GETLINK`.
const GET: u16 = 18;

/// Offsets in `ifinfomsg`.
mod header {
    pub const FAMILY: usize = 0;
    pub const INDEX: usize = 4;
    pub const FLAGS: usize = 8;
    pub const SIZE: usize = 16;
}

mod attribute {
    pub const NAME: u16 = 3;
    pub const MTU: u16 = 4;
    /// Holds others, such as [`ALTERNATIVE_NAME`]; since Linux 5.5.
    pub const PROPERTIES: u16 = 52;
    pub const ALTERNATIVE_NAME: u16 = 53;
}

/// Asks for all links.
pub fn list() -> Question {
    Question::new(GET, FLAG_DUMP, &[0; header::SIZE])
}

/// A link.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    family: u8,
    index: u32,
    flags: u32,
    mtu: Option<u32>,
    name: &'a [u8],
    properties: &'a [u8],
}

impl<'a> Link<'a> {
    /// Of a message that is [`NEW`] or [`DELETED`].
    ///
    /// # Errors
    /// When the header is not all there, the attributes are malformed, or the name is missing.
    pub fn new_checked(message: Message<'a>) -> Result<Self, Malformed> {
        let (header, attributes) = message.split(header::SIZE)?;
        let (mut name, mut mtu, mut properties) = (None, None, &[][..]);
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            match attribute.number {
                attribute::NAME => name = Some(attribute.string()),
                attribute::MTU => mtu = attribute.u32(),
                attribute::PROPERTIES => properties = attribute.value,
                _ => {}
            }
        }
        for property in Attributes::new(properties) {
            property?;
        }
        Ok(Self {
            family: header[header::FAMILY],
            index: u32::from_ne_bytes(array(header, header::INDEX)),
            flags: u32::from_ne_bytes(array(header, header::FLAGS)),
            mtu,
            name: name.ok_or(Malformed::Lacks("name of a link"))?,
            properties,
        })
    }

    /// Whether the message is about the link as such, and not about its part in a bridge, say: those
    /// have a family of their own, and the link itself goes on when that part is deleted.
    pub fn is_whole(&self) -> bool {
        libc::c_int::from(self.family) == libc::AF_UNSPEC
    }

    /// The index, which stays when the name changes. The kernel's field has a sign, and never uses
    /// it.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// `IFF_UP` and others: see netdevice(7).
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The longest packet that it carries, in bytes, if the message tells.
    pub fn mtu(&self) -> Option<u32> {
        self.mtu
    }

    /// The name. It need not be UTF-8.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Other names that the link goes by.
    pub fn alternatives(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Attributes::new(self.properties)
            .map_while(Result::ok)
            .filter(|property| property.number == attribute::ALTERNATIVE_NAME)
            .map(|property| property.string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::netlink::put_attribute;
    use proptest::prelude::*;

    /// A link's message, as it would be sent.
    fn message(index: u32, flags: u32, attributes: &[u8]) -> Vec<u8> {
        let mut header = [0; header::SIZE];
        header[header::INDEX..][..4].copy_from_slice(&index.to_ne_bytes());
        header[header::FLAGS..][..4].copy_from_slice(&flags.to_ne_bytes());
        let payload = [&header, attributes].concat();
        Question::new(NEW, 0, &payload).numbered(1).to_vec()
    }

    fn parse(bytes: &[u8]) -> Result<Link<'_>, Malformed> {
        Link::new_checked(Message::new_checked(bytes)?)
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_link_has_an_index_a_name_and_others() {
        let link = parse(&crate::wire::samples::LINK).unwrap();
        assert_eq!((link.index(), link.name()), (3, &b"eth0"[..]));
        assert_eq!((link.mtu(), link.is_whole()), (Some(1500), true));
        assert_eq!(
            link.flags(),
            (libc::IFF_BROADCAST | libc::IFF_MULTICAST) as u32
        );
        let alternatives: Vec<_> = link.alternatives().collect();
        assert_eq!(alternatives, [&b"enp1s0"[..], b"an-alternative-name"]);
    }

    #[test]
    fn a_links_part_in_a_bridge_is_not_the_link() {
        let mut name = Vec::new();
        put_attribute(&mut name, attribute::NAME, b"eth0\0");
        let mut bytes = message(1, 0, &name);
        assert!(parse(&bytes).unwrap().is_whole());
        bytes[Message::HEADER + header::FAMILY] = libc::AF_BRIDGE as u8;
        assert!(!parse(&bytes).unwrap().is_whole());
    }

    #[test]
    fn a_link_without_a_name_is_an_error() {
        assert_eq!(
            parse(&message(1, 0, &[])).unwrap_err(),
            Malformed::Lacks("name of a link")
        );
    }

    #[test]
    fn a_header_that_is_not_all_there_is_an_error() {
        let mut question = Question::new(NEW, 0, &[0; header::SIZE - 4]);
        assert_eq!(
            parse(question.numbered(1)).unwrap_err(),
            Malformed::TooShort { have: 28, need: 32 }
        );
    }

    #[test]
    fn the_list_is_asked_for_with_a_whole_header() {
        let mut question = list();
        let message = Message::new_checked(question.numbered(1)).unwrap();
        assert_eq!((message.kind(), message.payload()), (GET, &[0; 16][..]));
        assert_eq!(message.flags() & FLAG_DUMP, FLAG_DUMP);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_link_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut question = Question::new(NEW, 0, &bytes);
            let _ = parse(question.numbered(1));
        }

        #[test]
        fn any_attributes_are_a_link_or_an_error(
            index in any::<u32>(),
            flags in any::<u32>(),
            attributes in prop::collection::vec(any::<u8>(), 0..50),
            properties in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut all = Vec::new();
            put_attribute(&mut all, attribute::NAME, b"eth0\0");
            put_attribute(&mut all, attribute::PROPERTIES, &properties);
            all.extend(attributes);
            if let Ok(link) = parse(&message(index, flags, &all)) {
                prop_assert_eq!((link.index(), link.flags()), (index, flags));
                prop_assert!(link.alternatives().count() <= 13);
            }
        }
    }
}
