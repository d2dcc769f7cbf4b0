//! Jool's generic netlink family, 4.1.x: its header, its numbers, its messages.
//!
//! Facts from Jool's public sources and from a running 4.1.13 module; all attributes are in host
//! byte order, the header's version is big-endian.

use std::{fmt, str};

use super::{Malformed, array, generic, netlink};

/// The family's name at the controller.
pub const FAMILY: &str = "Jool";

/// The family's multicast group that carries session batches.
pub const GROUP: &str = "joold";

/// What clients put into `genlmsghdr.version`.
pub const INTERFACE: u8 = 1;

/// The commands that the daemon and its tests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Command {
    InstanceHello = 2,
    StatsForeach = 7,
    GlobalForeach = 8,
    GlobalUpdate = 9,
    Pool4Foreach = 18,
    SessionForeach = 25,
    JooldAdd = 27,
    JooldAdvertise = 28,
    JooldAck = 29,
}

/// Numbers of the attributes that stand directly in a message.
#[allow(missing_docs)]
pub mod root {
    pub const GLOBALS: u16 = 2;
    pub const SESSION_ENTRIES: u16 = 7;
    pub const OFFSET: u16 = 8;
    pub const OFFSET_U8: u16 = 9;
    pub const PROTOCOL: u16 = 11;
}

/// Numbers of an error response's attributes.
pub mod error {
    /// u16, an errno.
    pub const CODE: u16 = 1;
    /// A string.
    pub const MESSAGE: u16 = 2;
}

/// Flags of the Jool header.
pub mod flag {
    /// The message is an error response.
    pub const ERROR: u8 = 1;
    /// There is more: ask again, from where this one ended.
    pub const MORE: u8 = 8;
}

/// What kind of translator a message speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Translator {
    Siit = 1,
    Nat64 = 2,
}

/// A version of Jool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Breaks compatibility.
    pub major: u8,
    /// Breaks compatibility.
    pub minor: u8,
    /// Keeps it.
    pub revision: u8,
    /// Not 0 between two releases.
    pub development: u8,
}

impl Version {
    /// The newest version whose netlink interface and datagrams this program was built for.
    pub const SUPPORTED: Self = Self::new(4, 1, 13);

    /// The first version that writes a session as one block of 36 bytes.
    pub const FLAT_SESSIONS: Self = Self::new(4, 1, 12);

    /// The first version whose queue has room for `ss-capacity` updates. Those before have that setting, but keep
    /// no more than the packet that leaves next.
    pub const QUEUE: Self = Self::new(4, 1, 11);

    /// A released version.
    pub const fn new(major: u8, minor: u8, revision: u8) -> Self {
        Self {
            major,
            minor,
            revision,
            development: 0,
        }
    }

    /// Whether both sides speak the same language: major and minor match.
    pub fn speaks_with(&self, other: Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }

    /// Whether its statistics about synchronization have the numbers of 4.1.13, which are seen.
    pub fn has_known_statistics(self) -> bool {
        (self.major, self.minor, self.revision) == (4, 1, 13)
    }

    /// As it stands in a Jool header.
    pub fn to_bytes(self) -> [u8; 4] {
        [self.major, self.minor, self.revision, self.development]
    }

    fn from_bytes([major, minor, revision, development]: [u8; 4]) -> Self {
        Self {
            major,
            minor,
            revision,
            development,
        }
    }
}

impl str::FromStr for Version {
    type Err = ();

    /// "4.1.13", or "4.1.13.0" with the development number.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 4];
        let mut count = 0;
        for part in text.split('.') {
            *bytes.get_mut(count).ok_or(())? = part.parse().map_err(drop)?;
            count += 1;
        }
        match count {
            3 | 4 => Ok(Self::from_bytes(bytes)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.revision)?;
        if self.development != 0 {
            write!(f, ".{}", self.development)?;
        }
        Ok(())
    }
}

/// The name of a Jool instance: 1 to 15 bytes, none below 32.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InstanceName {
    bytes: [u8; Self::FIELD],
}

impl InstanceName {
    /// Size of the name's field in a Jool header; its last byte is always 0.
    pub const FIELD: usize = 16;

    /// What Jool calls an instance that was not given a name.
    pub const DEFAULT: Self = Self {
        bytes: *b"default\0\0\0\0\0\0\0\0\0",
    };

    /// # Errors
    /// A sentence that says what is wrong with `name`.
    pub fn new(name: &str) -> Result<Self, &'static str> {
        if name.is_empty() {
            return Err("it is empty");
        }
        if name.len() >= Self::FIELD {
            return Err("it has more than 15 bytes");
        }
        if name.bytes().any(|byte| byte < 32) {
            return Err("it contains a control character");
        }
        let mut bytes = [0; Self::FIELD];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self { bytes })
    }

    /// The name in a Jool header's field, if it is one.
    pub fn from_field(field: &[u8]) -> Option<Self> {
        let end = field.iter().position(|&byte| byte == 0)?;
        Self::new(str::from_utf8(field.get(..end)?).ok()?).ok()
    }

    /// The name as it stands in a Jool header, padded with zeros.
    pub fn field(&self) -> &[u8; Self::FIELD] {
        &self.bytes
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let end = self
            .bytes
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(Self::FIELD);
        str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }

    /// Whether `field`, of a Jool header, names this instance. Upstream compares without case.
    pub fn matches(&self, field: &[u8]) -> bool {
        named(field).eq_ignore_ascii_case(self.as_str().as_bytes())
    }

    /// Whether `field` names this instance to the letter. What stands behind the name's zero means
    /// nothing: the module takes memory for an instance as it is, and copies only the name there.
    pub fn is(&self, field: &[u8]) -> bool {
        named(field) == self.as_str().as_bytes()
    }
}

/// A field up to the zero that ends it.
fn named(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Offsets of the fields of a Jool header.
pub(crate) mod header {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 4;
    pub const TRANSLATOR: usize = 8;
    pub const FLAGS: usize = 9;
    pub const INSTANCE: usize = 12;
    pub const SIZE: usize = 28;
    pub const MAGIC_VALUE: &[u8; 4] = b"jool";
}

/// A message of Jool's family: netlink, generic netlink and Jool headers, then attributes.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    inner: generic::Message<'a>,
}

impl<'a> Message<'a> {
    /// Size of all three headers.
    pub const HEADER: usize = generic::Message::HEADER + header::SIZE;

    /// # Errors
    /// When `inner` ends before the headers do, or the magic is another one.
    pub fn new_checked(inner: netlink::Message<'a>) -> Result<Self, Malformed> {
        let have = inner.bytes().len();
        if have < Self::HEADER {
            return Err(Malformed::TooShort {
                have,
                need: Self::HEADER,
            });
        }
        let message = Self {
            inner: generic::Message::new_checked(inner)?,
        };
        if message.header()[header::MAGIC..header::VERSION] != *header::MAGIC_VALUE {
            return Err(Malformed::NotJool);
        }
        Ok(message)
    }

    fn header(&self) -> &'a [u8] {
        &self.inner.payload()[..header::SIZE]
    }

    /// The command; 0 in all that the kernel sends.
    pub fn command(&self) -> u8 {
        self.inner.command()
    }

    /// The netlink message around it.
    pub fn netlink(&self) -> netlink::Message<'a> {
        self.inner.netlink()
    }

    /// The sender's version; in an answer, a copy of the request's.
    pub fn version(&self) -> Version {
        Version::from_bytes(array(self.header(), header::VERSION))
    }

    /// The kind of translator, as a number: see [`Translator`].
    pub fn translator(&self) -> u8 {
        self.header()[header::TRANSLATOR]
    }

    /// See [`flag`].
    pub fn flags(&self) -> u8 {
        self.header()[header::FLAGS]
    }

    /// The instance's name field, padded with zeros: see [`InstanceName::matches`].
    pub fn instance(&self) -> &'a [u8] {
        &self.header()[header::INSTANCE..]
    }

    /// The attributes behind the headers. Their offsets count from the end of the headers.
    pub fn attributes(&self) -> netlink::Attributes<'a> {
        netlink::Attributes::new(&self.inner.payload()[header::SIZE..])
    }

    /// The container of a batch's sessions; nothing if this is no batch. Attributes that are not
    /// known may stand besides.
    ///
    /// # Errors
    /// When an attribute is malformed, or there is another container.
    pub fn sessions(&self) -> Result<Option<netlink::Attribute<'a>>, Malformed> {
        let mut container = None;
        for attribute in self.attributes() {
            let attribute = attribute?;
            if attribute.number != root::SESSION_ENTRIES {
                continue;
            }
            if container.replace(attribute).is_some() {
                return Err(Malformed::Repeated("container of sessions"));
            }
        }
        Ok(container)
    }

    /// What an error response says; nothing if this is none.
    pub fn error(&self) -> Option<(u16, &'a [u8])> {
        if self.flags() & flag::ERROR == 0 {
            return None;
        }
        let code = self
            .attributes()
            .find(error::CODE)
            .and_then(|code| code.u16());
        let text = self
            .attributes()
            .find(error::MESSAGE)
            .map_or(&[][..], |text| text.value);
        Some((
            code.unwrap_or_default(),
            text.split(|&byte| byte == 0).next().unwrap_or_default(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_the_system_writes_it() {
        assert_eq!("4.1.13".parse(), Ok(Version::new(4, 1, 13)));
        assert_eq!("4.1.13.0".parse(), Ok(Version::new(4, 1, 13)));
        for text in ["", "4.1", "4.1.256", "4.1.13.0.1", "4.1.x", "v4.1.13"] {
            assert_eq!(text.parse::<Version>(), Err(()), "{text}");
        }
    }
}
