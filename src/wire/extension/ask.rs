use std::ops::RangeInclusive;

use super::{Header, Kind, Node, Writer, body, items};
use crate::wire::{Malformed, array};

/// Bytes in front of the ranges, behind the header.
const BODY: usize = 6;

/// Who should repeat what.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whose datagrams are lacking.
    pub of: Node,
    /// Which.
    pub ranges: Ranges<'a>,
}

impl<'a> Ask<'a> {
    /// Writes the message, with as many ranges as fit, and returns its length: 0 if not even one without
    /// ranges does.
    pub fn write(
        node: Node,
        number: u32,
        of: Node,
        ranges: impl Iterator<Item = RangeInclusive<u32>>,
        room: &mut [u8],
    ) -> usize {
        const COUNT: usize = Header::SIZE + 4;
        let kind = Kind::Ask;
        let Some(mut writer) = Writer::new(room, Header { kind, node, number }, BODY) else {
            return 0;
        };
        writer.put(&of.to_be_bytes());
        writer.put(&[0; 2]);
        let mut count = 0u16;
        for range in ranges {
            let mut bytes = [0; Ranges::SIZE];
            bytes[..4].copy_from_slice(&range.start().to_be_bytes());
            bytes[4..].copy_from_slice(&range.end().to_be_bytes());
            if !writer.put(&bytes) {
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

    /// Reads a message of [`Kind::Ask`].
    ///
    /// # Errors
    /// When it is shorter than it says.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let (body, rest) = body::<BODY>(message)?;
        let count = u16::from_be_bytes(array(body, 4));
        let bytes = items(rest, count, Ranges::SIZE)?;
        Ok(Self {
            of: u32::from_be_bytes(array(body, 0)),
            ranges: Ranges { bytes },
        })
    }
}

/// Numbers of datagrams, from the first to the last of each range. They wrap.
#[derive(Clone, Copy, Debug)]
pub struct Ranges<'a> {
    bytes: &'a [u8],
}

impl Ranges<'_> {
    const SIZE: usize = 8;

    /// In the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        self.bytes.chunks_exact(Self::SIZE).map(|range| {
            let number = |at| u32::from_be_bytes(array(range, at));
            number(0)..=number(4)
        })
    }
}
