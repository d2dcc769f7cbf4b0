//! The generic netlink controller (`nlctrl`): families and groups by name, and the numbers that
//! the kernel gave to them.
//!
//! It answers questions, and its group `notify` hears of families and groups that come and go. Both
//! are descriptions of a family.

use super::netlink::{Attributes, Question};
use super::{Malformed, generic};

/// `nlmsg_type` of all messages from and to the controller.
pub const ID: u16 = 0x10;

/// What clients put into `genlmsghdr.version`.
const INTERFACE: u8 = 2;

/// What a message is about.
#[allow(missing_docs)]
pub mod command {
    pub const NEW_FAMILY: u8 = 1;
    pub const DELETE_FAMILY: u8 = 2;
    pub const GET_FAMILY: u8 = 3;
    pub const NEW_GROUP: u8 = 7;
    pub const DELETE_GROUP: u8 = 8;
}

mod attribute {
    pub const FAMILY_ID: u16 = 1;
    pub const FAMILY_NAME: u16 = 2;
    pub const GROUPS: u16 = 7;
    pub const GROUP_NAME: u16 = 1;
    pub const GROUP_ID: u16 = 2;
}

/// Asks for the description of one family.
pub fn question(family: &str) -> Question {
    let name = [family.as_bytes(), &[0]].concat();
    generic::question(ID, command::GET_FAMILY, INTERFACE).with(attribute::FAMILY_NAME, &name)
}

/// What the controller says about a family.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    command: u8,
    id: u16,
    name: &'a [u8],
    groups: &'a [u8],
}

impl<'a> Description<'a> {
    /// # Errors
    /// When the attributes are malformed, or name and number of the family, or of one of its
    /// groups, are missing.
    pub fn new_checked(message: generic::Message<'a>) -> Result<Self, Malformed> {
        let (mut id, mut name, mut groups) = (None, None, &[][..]);
        for attribute in Attributes::new(message.payload()) {
            let attribute = attribute?;
            match attribute.number {
                attribute::FAMILY_ID => id = attribute.u16(),
                attribute::FAMILY_NAME => name = Some(attribute.string()),
                attribute::GROUPS => groups = attribute.value,
                _ => {}
            }
        }
        for group in Attributes::new(groups) {
            Group::parse(group?.value)?;
        }
        Ok(Self {
            command: message.command(),
            id: id.ok_or(Malformed::Lacks("number of a family"))?,
            name: name.ok_or(Malformed::Lacks("name of a family"))?,
            groups,
        })
    }

    /// See [`command`]. Answers say [`command::NEW_FAMILY`].
    pub fn command(&self) -> u8 {
        self.command
    }

    /// `nlmsg_type` of the family's messages.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The family's name.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The family's groups; in news about a group, that one alone.
    pub fn groups(&self) -> impl Iterator<Item = Group<'a>> + use<'a> {
        Attributes::new(self.groups)
            .map_while(Result::ok)
            .filter_map(|group| Group::parse(group.value).ok())
    }
}

/// A multicast group of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The number, for `NETLINK_ADD_MEMBERSHIP`.
    pub id: u32,
    /// The name.
    pub name: &'a [u8],
}

impl<'a> Group<'a> {
    fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let (mut id, mut name) = (None, None);
        for attribute in Attributes::new(value) {
            let attribute = attribute?;
            match attribute.number {
                attribute::GROUP_ID => id = attribute.u32(),
                attribute::GROUP_NAME => name = Some(attribute.string()),
                _ => {}
            }
        }
        Ok(Self {
            id: id.ok_or(Malformed::Lacks("number of a group"))?,
            name: name.ok_or(Malformed::Lacks("name of a group"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::netlink::{self, put_attribute};
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Description<'_>, Malformed> {
        let message = netlink::Message::new_checked(bytes)?;
        Description::new_checked(generic::Message::new_checked(message)?)
    }

    /// A description with these attributes, as it would be sent.
    fn with(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let empty = generic::question(ID, command::NEW_FAMILY, INTERFACE);
        let mut message = attributes.iter().fold(empty, |message, (number, value)| {
            message.with(*number, value)
        });
        message.numbered(1).to_vec()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_controller_describes_itself() {
        let description = parse(&crate::wire::samples::CONTROLLER).unwrap();
        assert_eq!(description.command(), command::NEW_FAMILY);
        assert_eq!((description.id(), description.name()), (ID, &b"nlctrl"[..]));
        let groups: Vec<_> = description.groups().collect();
        let (id, name) = (0x10, &b"notify"[..]);
        assert_eq!(groups, [Group { id, name }]);
    }

    #[test]
    fn a_question_names_the_family() {
        let mut question = question("Jool");
        let description = netlink::Message::new_checked(question.numbered(1)).unwrap();
        let description = generic::Message::new_checked(description).unwrap();
        assert_eq!(description.netlink().kind(), ID);
        assert_eq!(description.command(), command::GET_FAMILY);
        let name = Attributes::new(description.payload()).find(attribute::FAMILY_NAME);
        assert_eq!(name.unwrap().value, b"Jool\0");
    }

    #[test]
    fn a_family_may_have_no_groups() {
        let bytes = with(&[
            (attribute::FAMILY_ID, &7u16.to_ne_bytes()),
            (attribute::FAMILY_NAME, b"Jool\0"),
        ]);
        let description = parse(&bytes).unwrap();
        assert_eq!((description.id(), description.name()), (7, &b"Jool"[..]));
        assert_eq!(description.groups().count(), 0);
    }

    #[test]
    fn what_lacks_a_name_or_a_number_is_no_description() {
        let id: (u16, &[u8]) = (attribute::FAMILY_ID, &7u16.to_ne_bytes());
        let name: (u16, &[u8]) = (attribute::FAMILY_NAME, b"Jool\0");
        let mut group = Vec::new();
        put_attribute(&mut group, attribute::GROUP_NAME, b"joold\0");
        let mut groups = Vec::new();
        put_attribute(&mut groups, 1, &group);
        for (attributes, lacks) in [
            (&[name][..], "number of a family"),
            (&[(attribute::FAMILY_ID, &[7]), name], "number of a family"),
            (&[id], "name of a family"),
            (
                &[id, name, (attribute::GROUPS, &groups)],
                "number of a group",
            ),
        ] {
            assert_eq!(
                parse(&with(attributes)).unwrap_err(),
                Malformed::Lacks(lacks)
            );
        }
    }

    proptest! {
        #[test]
        fn any_attributes_are_a_description_or_an_error(
            attributes in prop::collection::vec(any::<u8>(), 0..100),
            groups in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = Group::parse(&attributes);
            let mut bytes = with(&[
                (attribute::FAMILY_ID, &[1, 2]),
                (attribute::FAMILY_NAME, b"Jool\0"),
                (attribute::GROUPS, &groups),
            ]);
            bytes.extend(attributes);
            let length = bytes.len() as u32;
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            if let Ok(description) = parse(&bytes) {
                prop_assert!(description.groups().count() <= 25);
            }
        }
    }
}
