use super::{Header, Kind, Node, Writer, body};
use crate::wire::page::Key;
use crate::wire::session::Protocol;
use crate::wire::{Malformed, array};

/// Bytes of a key, and in front of it whether there is one.
const KEY: usize = 13;

fn put_key(writer: &mut Writer<'_>, key: Option<Key>) {
    writer.put(&[u8::from(key.is_some())]);
    writer.put(&key.map(Key::to_bytes).unwrap_or_default());
}

fn key<const N: usize>(body: &[u8; N], at: usize) -> Option<Key> {
    (body[at] != 0).then(|| Key::from_bytes(&array(body, at + 1)))
}

fn protocol(number: u8) -> Result<Protocol, Malformed> {
    Protocol::ALL
        .into_iter()
        .find(|&protocol| protocol as u8 == number)
        .ok_or(Malformed::Value {
            field: "protocol",
            value: number.into(),
        })
}

/// Whose table the sender wants, from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Whose.
    pub of: Node,
    /// How many parts at once.
    pub parts: u8,
    /// Sessions of that protocol, and then those of the protocols behind it.
    pub protocol: Protocol,
    /// Sessions behind that place; all of them if nothing.
    pub after: Option<Key>,
}

impl Pull {
    const BODY: usize = 6 + KEY;

    /// Writes the message, and returns its length: 0 if there is no room for it.
    pub fn write(&self, node: Node, number: u32, room: &mut [u8]) -> usize {
        let kind = Kind::Pull;
        let Some(mut writer) = Writer::new(room, Header { kind, node, number }, Self::BODY) else {
            return 0;
        };
        writer.put(&self.of.to_be_bytes());
        writer.put(&[self.parts, self.protocol as u8]);
        put_key(&mut writer, self.after);
        writer.length()
    }

    /// Reads a message of [`Kind::Pull`].
    ///
    /// # Errors
    /// When it is too short or names no protocol.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let (body, _) = body::<{ Self::BODY }>(message)?;
        Ok(Self {
            of: u32::from_be_bytes(array(body, 0)),
            parts: body[4],
            protocol: protocol(body[5])?,
            after: key(body, 6),
        })
    }
}

/// Which stretch of its sender's table a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Of which protocol the sessions are.
    pub protocol: Protocol,
    /// It begins behind that place; at the first session if nothing.
    pub after: Option<Key>,
    /// Its last session; the protocol's last one, if nothing.
    pub last: Option<Key>,
    /// The last byte of its sender's holes: with others, it is of an earlier table, or of a later one.
    pub holes: u8,
}

/// What stands before a part's sessions.
pub struct TableHeader;

impl TableHeader {
    /// Where the sessions begin. A multiple of 4.
    pub const SIZE: usize = Header::SIZE + 28;

    /// Writes it to the start of `room`; tells whether there was room for it.
    pub fn write(stretch: &Stretch, node: Node, number: u32, room: &mut [u8]) -> bool {
        let kind = Kind::Table;
        let header = Header { kind, node, number };
        let Some(mut writer) = Writer::new(room, header, Self::SIZE - Header::SIZE) else {
            return false;
        };
        writer.put(&[stretch.protocol as u8]);
        put_key(&mut writer, stretch.after);
        put_key(&mut writer, stretch.last);
        writer.put(&[stretch.holes]);
        true
    }

    /// Reads the start of a message of [`Kind::Table`].
    ///
    /// # Errors
    /// When it is too short or names no protocol.
    pub fn read(message: &[u8]) -> Result<Stretch, Malformed> {
        let (body, _) = body::<{ Self::SIZE - Header::SIZE }>(message)?;
        Ok(Stretch {
            protocol: protocol(body[0])?,
            after: key(body, 1),
            last: key(body, 1 + KEY),
            holes: body[27],
        })
    }
}
