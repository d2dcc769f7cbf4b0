//! What other nodes send, made of a script's decisions.

use std::net::{Ipv4Addr, SocketAddrV4};

use joold::wire::extension::{Ask, Header, Hello, Kind, Node, Pull, Report, Stretch, TableHeader};
use joold::wire::page::Key;
use joold::wire::session::{Format, Protocol};

use crate::datagram::in_the_other_byte_order;
use crate::events::material;
use crate::script::Script;

/// How many there are: more than are remembered.
const COUNT: usize = 40;

/// From the number of a node's last datagram to that of the next.
const STEPS: [u32; 16] = [
    1,
    1,
    1,
    1,
    2,
    3,
    0,
    u32::MAX,
    u32::MAX - 2,
    40,
    200,
    65_535,
    70_000,
    1 << 31,
    (1 << 31) - 1,
    0_u32.wrapping_sub(70_000),
];

/// In milliseconds.
const PERIODS: [u16; 4] = [1000, 100, 0, u16::MAX];

/// The other nodes, and this one as they see it.
#[derive(Debug)]
pub struct Others {
    /// The number of each one's last datagram.
    last: [u32; COUNT],
    /// The own number, which others may have as well, and that of the last datagram.
    pub own: (Node, u32),
}

impl Others {
    /// Half of them have sent so much that their numbers begin anew soon.
    pub fn new() -> Self {
        Self {
            last: std::array::from_fn(|which| if which % 2 == 0 { 0 } else { u32::MAX - 20 }),
            own: (0, 0),
        }
    }

    /// The one of that number, and the last of its datagrams.
    pub fn node(&self, which: u8) -> (Node, u32) {
        match usize::from(which) {
            0 => self.own,
            which => (0x1000_0000 | which as Node, self.last[which % COUNT]),
        }
    }

    /// A number near that of the last datagram of that node.
    fn number(&self, script: &mut Script<'_>, of: u8) -> Option<u32> {
        let step = STEPS[usize::from(script.byte()?) % STEPS.len()];
        Some(self.node(of).1.wrapping_add(step))
    }

    fn which(script: &mut Script<'_>) -> Option<u8> {
        Some(script.byte()? % (COUNT as u8))
    }

    /// What one of them sends next.
    pub fn datagram(&mut self, script: &mut Script<'_>) -> Option<Vec<u8>> {
        let (kind, which) = (script.byte()?, Self::which(script)?);
        let (node, _) = self.node(which);
        let number = self.number(script, which)?;
        let format = match kind & 0x40 {
            0 => Format::Flat,
            _ => Format::Nested,
        };
        let is_foreign = kind & 0x80 != 0;
        let header = |kind| Header { kind, node, number };
        match kind % 8 {
            0 | 1 => {
                self.last[usize::from(which)] = number;
                let row = row(script, format, is_foreign)?;
                Some([&row[..], &header(Kind::Sessions).to_bytes()].concat())
            }
            2 => self.hello(script, (node, number)),
            3 => self.ask(script, (node, number)),
            4 => {
                let row = row(script, format, is_foreign)?;
                Some([&header(Kind::Repeat).to_bytes()[..], &row].concat())
            }
            5 => self.pull(script, (node, number)),
            6 => Self::part(script, (node, number), format, is_foreign),
            _ => row(script, format, is_foreign),
        }
    }

    fn hello(&self, script: &mut Script<'_>, (node, number): (Node, u32)) -> Option<Vec<u8>> {
        let kind = script.byte()?;
        let hello = Hello {
            standing: kind % 8,
            is_calling: kind & 8 != 0,
            instances: kind >> 6,
            period: PERIODS[usize::from(kind >> 4) % PERIODS.len()],
            oldest: number.wrapping_add(1).wrapping_sub(script.byte()?.into()),
            holes: script.byte()?.into(),
            sessions: 64,
        };
        let mut reports = Vec::new();
        for _ in 0..script.byte()? % 40 {
            let of = Self::which(script)?;
            reports.push(Report {
                node: self.node(of).0,
                number: self.number(script, of)?,
                holes: script.byte()?.into(),
            });
        }
        Some(written(|room| {
            hello.write(node, number, reports.into_iter(), room)
        }))
    }

    fn ask(&self, script: &mut Script<'_>, (node, number): (Node, u32)) -> Option<Vec<u8>> {
        let of = Self::which(script)?;
        let mut ranges = Vec::new();
        for _ in 0..script.byte()? % 80 {
            let first = self.number(script, of)?;
            let first = first.wrapping_sub(script.byte()?.into());
            let step = STEPS[usize::from(script.byte()?) % STEPS.len()];
            ranges.push(first..=first.wrapping_add(step));
        }
        let of = self.node(of).0;
        Some(written(|room| {
            Ask::write(node, number, of, ranges.into_iter(), room)
        }))
    }

    fn pull(&self, script: &mut Script<'_>, (node, number): (Node, u32)) -> Option<Vec<u8>> {
        let of = Self::which(script)?;
        let pull = Pull {
            of: self.node(of).0,
            parts: script.byte()?,
            protocol: protocol(script)?,
            after: place(script)?,
        };
        Some(written(|room| pull.write(node, number, room)))
    }

    fn part(
        script: &mut Script<'_>,
        (node, number): (Node, u32),
        format: Format,
        is_foreign: bool,
    ) -> Option<Vec<u8>> {
        let stretch = Stretch {
            protocol: protocol(script)?,
            after: place(script)?,
            last: place(script)?,
            holes: 0,
        };
        let mut part = vec![0; TableHeader::SIZE];
        assert!(TableHeader::write(&stretch, node, number, &mut part));
        part.extend(row(script, format, is_foreign)?);
        Some(part)
    }
}

fn row(script: &mut Script<'_>, format: Format, is_foreign: bool) -> Option<Vec<u8>> {
    let row = material::row(script, format)?;
    Some(match is_foreign {
        true => in_the_other_byte_order(&row, format),
        false => row,
    })
}

fn protocol(script: &mut Script<'_>) -> Option<Protocol> {
    Some(Protocol::ALL[usize::from(script.byte()?) % 3])
}

/// The place of one of the script's sessions, or none.
fn place(script: &mut Script<'_>) -> Option<Option<Key>> {
    let which = script.byte()? % 65;
    let key = |which: u8| Key {
        source4: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 61_001 + u16::from(which)),
        destination4: SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, which), 80),
    };
    Some(which.checked_sub(1).map(key))
}

fn written(write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut room = vec![0; 1024];
    let length = write(&mut room);
    room.truncate(length);
    room
}
