//! The generic netlink controller (`nlctrl`): names of families and groups to numbers.

use joold::wire::netlink::put_attribute;
use joold::wire::{generic, jool};

use crate::message::Draft;
use crate::netlink_rules::errno;

/// The controller's own family id, and the number of its one group.
pub const ID: u16 = 0x10;

/// The controller's group, which hears of families that come and go.
pub const NOTIFY: u32 = 0x10;

/// The controller's commands.
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
    pub const VERSION: u16 = 3;
    pub const HEADER_SIZE: u16 = 4;
    pub const MOST_ATTRIBUTES: u16 = 5;
    pub const OPERATIONS: u16 = 6;
    pub const OPERATION_ID: u16 = 1;
    pub const OPERATION_FLAGS: u16 = 2;
    pub const GROUPS: u16 = 7;
    pub const GROUP_NAME: u16 = 1;
    pub const GROUP_ID: u16 = 2;
}

/// A family as the controller describes it.
#[derive(Clone, Debug)]
pub struct Family {
    /// `nlmsg_type` of its messages.
    pub id: u16,
    /// What clients ask for.
    pub name: &'static str,
    /// Of its interface.
    pub version: u32,
    /// Of the header behind `genlmsghdr`.
    pub header: u32,
    /// The highest attribute number.
    pub attributes: u32,
    /// Its commands.
    pub commands: std::ops::Range<u32>,
    /// Its one multicast group: name and number.
    pub group: (&'static str, u32),
}

impl Family {
    /// The controller itself.
    pub const CONTROLLER: Self = Self {
        id: ID,
        name: "nlctrl",
        version: 2,
        header: 0,
        attributes: 10,
        commands: 3..4,
        group: ("notify", NOTIFY),
    };

    /// Jool's.
    pub fn jool(id: u16, group: u32) -> Self {
        Self {
            id,
            name: jool::FAMILY,
            version: 2,
            header: 28,
            attributes: 13,
            commands: 0..30,
            group: (jool::GROUP, group),
        }
    }

    /// An answer or a notification about it.
    pub fn describe(&self, command: u8, to: (u32, u32)) -> Vec<u8> {
        let mut draft = Draft::generic(ID, command, 2, to);
        draft.text(attribute::FAMILY_NAME, self.name);
        draft.put(attribute::FAMILY_ID, &self.id.to_ne_bytes());
        if matches!(command, command::NEW_FAMILY | command::DELETE_FAMILY) {
            draft.put(attribute::VERSION, &self.version.to_ne_bytes());
            draft.put(attribute::HEADER_SIZE, &self.header.to_ne_bytes());
            draft.put(attribute::MOST_ATTRIBUTES, &self.attributes.to_ne_bytes());
        }
        if command == command::NEW_FAMILY && !self.commands.is_empty() {
            draft.put(attribute::OPERATIONS, &self.operations());
        }
        // The controller is older than the flag for nested attributes, and leaves it out.
        draft.put(attribute::GROUPS, &self.groups());
        draft.finish()
    }

    fn operations(&self) -> Vec<u8> {
        /// It can be asked for, and has a policy.
        const FLAGS: u32 = 0x0a;
        let mut operations = Vec::new();
        for (index, id) in self.commands.clone().enumerate() {
            let mut one = Vec::new();
            put_attribute(&mut one, attribute::OPERATION_ID, &id.to_ne_bytes());
            put_attribute(&mut one, attribute::OPERATION_FLAGS, &FLAGS.to_ne_bytes());
            put_attribute(&mut operations, index as u16 + 1, &one);
        }
        operations
    }

    fn groups(&self) -> Vec<u8> {
        let (name, number) = self.group;
        let mut group = Vec::new();
        put_attribute(&mut group, attribute::GROUP_ID, &number.to_ne_bytes());
        let name = [name.as_bytes(), &[0]].concat();
        put_attribute(&mut group, attribute::GROUP_NAME, &name);
        let mut groups = Vec::new();
        put_attribute(&mut groups, 1, &group);
        groups
    }
}

/// Answers a request to the controller.
///
/// # Errors
/// An errno, for netlink to send.
pub fn answer(
    request: &generic::Message<'_>,
    port: u32,
    families: &[Family],
) -> Result<Vec<u8>, i32> {
    if request.command() != command::GET_FAMILY {
        return Err(errno::EOPNOTSUPP);
    }
    let attributes = || joold::wire::netlink::Attributes::new(request.payload());
    let id = attributes()
        .find(attribute::FAMILY_ID)
        .and_then(|id| id.u16());
    let name = attributes()
        .find(attribute::FAMILY_NAME)
        .map(|name| name.value.split(|&b| b == 0).next().unwrap_or_default());
    if id.is_none() && name.is_none() {
        return Err(errno::EINVAL);
    }
    let found = families
        .iter()
        .find(|family| name.map_or(id == Some(family.id), |name| name == family.name.as_bytes()));
    let family = found.ok_or(errno::ENOENT)?;
    Ok(family.describe(command::NEW_FAMILY, (request.netlink().sequence(), port)))
}
