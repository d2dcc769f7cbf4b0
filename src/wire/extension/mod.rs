//! What joold tells its like beyond sessions: `docs/extensions.md` has the whole format.
//!
//! Jool's kernel side stops reading at an attribute header whose length is 0 (seen on 4.1.13). So a
//! trailer that begins with one fits behind the sessions of a datagram, and a datagram that begins
//! with one is a message that upstream's daemons pass on and their kernels ignore. Numbers are
//! big-endian; the length 0 is the same in both orders.

mod ask;
mod hello;
mod table;

pub use ask::{Ask, Ranges};
pub use hello::{Hello, Report, Reports};
pub use table::{Pull, Stretch, TableHeader};

use super::session::Format;
use super::{Malformed, array};

/// The version of everything that is described here. Others are ignored.
const VERSION: u8 = 1;

/// What a trailer or a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A trailer: sessions stand before it.
    Sessions = 1,
    /// How the sender is, and what it has received.
    Hello = 2,
    /// Which datagrams of a node the sender lacks.
    Ask = 3,
    /// Sessions that the sender told before.
    Repeat = 4,
    /// From where on the sender wants a node's table.
    Pull = 5,
    /// A stretch of the sender's table.
    Table = 6,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Sessions,
        Self::Hello,
        Self::Ask,
        Self::Repeat,
        Self::Pull,
        Self::Table,
    ];
}

/// A node of the group, by the number that it chose when it started.
pub type Node = u32;

/// What each trailer and each message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Who sent it.
    pub node: Node,
    /// Of a trailer and of [`Kind::Repeat`], the number of that datagram; of other messages, that of
    /// the last datagram of sessions that the node sent before.
    pub number: u32,
}

impl Header {
    /// Its bytes.
    pub const SIZE: usize = 12;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[2] = self.kind as u8;
        bytes[3] = VERSION;
        bytes[4..8].copy_from_slice(&self.node.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Nothing if the bytes are no header, or one of a later version.
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.get(..Self::SIZE)?.try_into().ok()?;
        if (bytes[0], bytes[1], bytes[3]) != (0, 0, VERSION) {
            return None;
        }
        Some(Self {
            kind: Kind::ALL.into_iter().find(|&kind| kind as u8 == bytes[2])?,
            node: u32::from_be_bytes(array(bytes, 4)),
            number: u32::from_be_bytes(array(bytes, 8)),
        })
    }
}

/// A datagram as far as its extension tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// Sessions alone, or what else upstream's daemons send.
    Plain,
    /// So many bytes of sessions, and a trailer.
    Numbered(usize, Header),
    /// A message.
    Message(Header),
    /// A message, or a trailer behind so many bytes, that only a later version understands.
    Unknown(usize),
}

impl Datagram {
    /// What a datagram of these bytes is. Sessions have one of two sizes, of which no number is as
    /// long as some others with a trailer.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(&[0, 0]) {
            let message = Header::read(bytes).filter(|header| header.kind != Kind::Sessions);
            return message.map_or(Self::Unknown(0), Self::Message);
        }
        const FLAT: usize = Format::Flat.size();
        const NESTED: usize = Format::Nested.size();
        let Some(length) = bytes.len().checked_sub(Header::SIZE) else {
            return Self::Plain;
        };
        if length == 0 || (length % FLAT != 0 && length % NESTED != 0) {
            return Self::Plain;
        }
        let trailer = &bytes[length..];
        if !trailer.starts_with(&[0, 0]) {
            return Self::Plain;
        }
        match Header::read(trailer) {
            Some(header) if header.kind == Kind::Sessions => Self::Numbered(length, header),
            _ => Self::Unknown(length),
        }
    }
}

/// Writes a message's header and body one behind the other.
#[derive(Debug)]
pub struct Writer<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    /// Begins a message in `room`, whose body has `body` bytes at least. Nothing if there is no room for
    /// that: half a message would be none.
    pub fn new(room: &'a mut [u8], header: Header, body: usize) -> Option<Self> {
        if room.len() < Header::SIZE + body {
            return None;
        }
        let mut writer = Self { room, length: 0 };
        writer.put(&header.to_bytes());
        Some(writer)
    }

    /// Whether that was possible; if not, the message is as it was.
    fn put(&mut self, bytes: &[u8]) -> bool {
        let place = self.room.get_mut(self.length..self.length + bytes.len());
        let Some(place) = place else {
            return false;
        };
        place.copy_from_slice(bytes);
        self.length += bytes.len();
        true
    }

    /// How long the message is.
    pub fn length(&self) -> usize {
        self.length
    }
}

/// The body of a message, or why it is none.
fn body<const N: usize>(message: &[u8]) -> Result<(&[u8; N], &[u8]), Malformed> {
    let too_short = Malformed::TooShort {
        have: message.len(),
        need: Header::SIZE + N,
    };
    let body = message.get(Header::SIZE..).ok_or(too_short)?;
    body.split_first_chunk().ok_or(too_short)
}

/// As many items of `size` bytes as a message says it has.
fn items(rest: &[u8], count: u16, size: usize) -> Result<&[u8], Malformed> {
    let need = usize::from(count) * size;
    rest.get(..need).ok_or(Malformed::TooShort {
        have: rest.len(),
        need,
    })
}

#[cfg(test)]
mod tests;
