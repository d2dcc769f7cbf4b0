use super::{Header, Kind, Node, Writer, body, items};
use crate::wire::{Malformed, array};

/// How a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Its standing, by number; one that is not known counts as not ready.
    pub standing: u8,
    /// Whether it wants to hear of all others soon.
    pub is_calling: bool,
    /// How many instances it has served, modulo [`Hello::INSTANCES`].
    pub instances: u8,
    /// How often it says hello, in milliseconds.
    pub period: u16,
    /// The number of the oldest datagram that it can repeat: one more than the last if there is none.
    pub oldest: u32,
    /// How often it lost something that no repeat brings back, so that only its table has it.
    pub holes: u32,
    /// How many sessions its kernel has.
    pub sessions: u32,
}

impl Hello {
    const BODY: usize = 18;
    const CALLING: u8 = 1;
    /// One more than the most instances that are counted.
    pub const INSTANCES: u8 = 128;

    /// Writes the message, with as many reports as fit, and returns its length: 0 if not even one without
    /// reports does.
    pub fn write(
        &self,
        node: Node,
        number: u32,
        reports: impl Iterator<Item = Report>,
        room: &mut [u8],
    ) -> usize {
        const COUNT: usize = Header::SIZE + Hello::BODY - 2;
        let kind = Kind::Hello;
        let Some(mut writer) = Writer::new(room, Header { kind, node, number }, Self::BODY) else {
            return 0;
        };
        let calling = u8::from(self.is_calling) * Self::CALLING;
        writer.put(&[self.standing, self.instances << 1 | calling]);
        writer.put(&self.period.to_be_bytes());
        for field in [self.oldest, self.holes, self.sessions] {
            writer.put(&field.to_be_bytes());
        }
        writer.put(&[0; 2]);
        let mut count = 0u16;
        for report in reports {
            if !writer.put(&report.to_bytes()) {
                break;
            }
            count += 1;
        }
        let length = writer.length();
        if let Some(place) = room.get_mut(COUNT..COUNT + 2) {
            place.copy_from_slice(&count.to_be_bytes());
        }
        length
    }

    /// Reads a message of [`Kind::Hello`].
    ///
    /// # Errors
    /// When it is shorter than it says.
    pub fn read(message: &[u8]) -> Result<(Self, Reports<'_>), Malformed> {
        let (body, rest) = body::<{ Self::BODY }>(message)?;
        let number = |at| u32::from_be_bytes(array(body, at));
        let count = u16::from_be_bytes(array(body, 16));
        let hello = Self {
            standing: body[0],
            is_calling: body[1] & Self::CALLING != 0,
            instances: body[1] >> 1,
            period: u16::from_be_bytes(array(body, 2)),
            oldest: number(4),
            holes: number(8),
            sessions: number(12),
        };
        let bytes = items(rest, count, Reports::SIZE)?;
        Ok((hello, Reports { bytes }))
    }
}

/// What a node has of another: everything that it had sent or lost up to there, or how far it knows that
/// to have sent, if something of it is [lacking](Report::LACKING).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The other one.
    pub node: Node,
    /// The number of its last datagram.
    pub number: u32,
    /// Its holes.
    pub holes: u32,
}

impl Report {
    const SIZE: usize = 12;

    /// In the place of the holes where something of the node's table is lacking.
    pub const LACKING: u32 = u32::MAX;

    /// Whether everything up to the number has come.
    pub fn is_whole(&self) -> bool {
        self.holes != Self::LACKING
    }

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let fields = [self.node, self.number, self.holes];
        for (place, field) in bytes.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }
}

/// What a node has of others.
#[derive(Clone, Copy, Debug)]
pub struct Reports<'a> {
    bytes: &'a [u8],
}

impl Reports<'_> {
    const SIZE: usize = Report::SIZE;

    /// Of each node.
    pub fn iter(&self) -> impl Iterator<Item = Report> + '_ {
        self.bytes.chunks_exact(Self::SIZE).map(|report| {
            let number = |at| u32::from_be_bytes(array(report, at));
            Report {
                node: number(0),
                number: number(4),
                holes: number(8),
            }
        })
    }
}
