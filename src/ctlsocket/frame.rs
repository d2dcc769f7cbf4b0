//! What followers are sent: sessions as they passed through the daemon, each piece behind a header.
//!
//! The header is 24 bytes, its numbers in network byte order: the direction (1) · the format of the
//! sessions (1) · zeros (2) · how many bytes of sessions follow (4) · how many updates were not sent since
//! the header before, for there was no room (8) · the time, in milliseconds since 1970 (8). One without
//! sessions only tells of those that were not sent.

use crate::wire::array;
use crate::wire::session::Format;

/// The line that comes before all pieces.
pub const GREETING: &str = "following\n";

/// The most bytes of sessions in a piece: more than a batch or a datagram has.
const LONGEST: usize = 1 << 16;

/// Which way an update went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From the kernel to the other routers.
    Out = 0,
    /// From another router to the kernel.
    In = 1,
}

impl Direction {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

/// Which ways are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directions {
    /// As upstream's daemon has it.
    #[default]
    Out,
    /// See [`Direction::In`].
    In,
    /// All.
    Both,
}

impl Directions {
    /// Their names.
    pub const NAMES: [&'static str; 3] = ["out", "in", "both"];

    /// Those of that name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Out, Self::In, Self::Both];
        all.into_iter().find(|wanted| wanted.name() == name)
    }

    /// Their name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether that one is among them.
    pub fn include(self, direction: Direction) -> bool {
        match self {
            Self::Out => direction == Direction::Out,
            Self::In => direction == Direction::In,
            Self::Both => true,
        }
    }
}

/// The header of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which way the sessions went.
    pub direction: Direction,
    /// How they are written.
    pub format: Format,
    /// How many updates were not sent since the header before.
    pub dropped: u64,
    /// Milliseconds since 1970.
    pub time: u64,
}

/// The start of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First<'a> {
    /// The header of the first piece.
    pub frame: Frame,
    /// Its sessions, as the daemon found them.
    pub sessions: &'a [u8],
    /// What follows.
    pub rest: &'a [u8],
}

/// The stream is not one of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strange;

impl Frame {
    /// How many bytes it has.
    pub const SIZE: usize = 24;

    const LENGTH: usize = 4;
    const DROPPED: usize = 8;
    const TIME: usize = 16;

    /// As it stands in front of so many bytes of sessions; nothing if they are too many.
    pub fn to_bytes(self, length: usize) -> Option<[u8; Self::SIZE]> {
        let length = u32::try_from(length).ok().filter(|_| length <= LONGEST)?;
        let mut bytes = [0; Self::SIZE];
        bytes[0] = self.direction as u8;
        bytes[1] = match self.format {
            Format::Flat => 0,
            Format::Nested => 1,
        };
        bytes[Self::LENGTH..Self::DROPPED].copy_from_slice(&length.to_be_bytes());
        bytes[Self::DROPPED..Self::TIME].copy_from_slice(&self.dropped.to_be_bytes());
        bytes[Self::TIME..].copy_from_slice(&self.time.to_be_bytes());
        Some(bytes)
    }

    /// The first piece of a stream; nothing if not all of it has come yet.
    ///
    /// # Errors
    /// When no daemon sends such a header.
    pub fn split(bytes: &[u8]) -> Result<Option<First<'_>>, Strange> {
        let Some((header, rest)) = bytes.split_at_checked(Self::SIZE) else {
            return Ok(None);
        };
        let frame = Self {
            direction: match header[0] {
                0 => Direction::Out,
                1 => Direction::In,
                _ => return Err(Strange),
            },
            format: match header[1] {
                0 => Format::Flat,
                1 => Format::Nested,
                _ => return Err(Strange),
            },
            dropped: u64::from_be_bytes(array(header, Self::DROPPED)),
            time: u64::from_be_bytes(array(header, Self::TIME)),
        };
        let length = u32::from_be_bytes(array(header, Self::LENGTH)) as usize;
        if length > LONGEST {
            return Err(Strange);
        }
        let split = rest.split_at_checked(length);
        Ok(split.map(|(sessions, rest)| First {
            frame,
            sessions,
            rest,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame() -> impl Strategy<Value = Frame> {
        let bits = (any::<bool>(), any::<bool>());
        (bits, any::<u64>(), any::<u64>()).prop_map(|((is_in, is_nested), dropped, time)| Frame {
            direction: if is_in { Direction::In } else { Direction::Out },
            format: if is_nested {
                Format::Nested
            } else {
                Format::Flat
            },
            dropped,
            time,
        })
    }

    #[test]
    fn directions_have_the_names_that_name_them() {
        for name in Directions::NAMES {
            assert_eq!(Directions::named(name).map(Directions::name), Some(name));
        }
        assert_eq!(Directions::named("all"), None);
    }

    #[test]
    fn a_piece_that_no_reader_would_take_has_no_header() {
        let frame = Frame {
            direction: Direction::Out,
            format: Format::Flat,
            dropped: 0,
            time: 0,
        };
        assert!(frame.to_bytes(LONGEST).is_some());
        assert_eq!(frame.to_bytes(LONGEST + 1), None);
    }

    proptest! {
        #[test]
        fn pieces_read_back_one_after_the_other_and_not_before_they_are_whole(
            pieces in prop::collection::vec(
                (frame(), prop::collection::vec(any::<u8>(), 0..100)), 0..4),
        ) {
            let mut stream = Vec::new();
            for (frame, sessions) in &pieces {
                stream.extend(frame.to_bytes(sessions.len()).unwrap());
                stream.extend(sessions);
            }
            let mut rest = &stream[..];
            for (frame, sessions) in &pieces {
                let whole = Frame::SIZE + sessions.len();
                prop_assert_eq!(Frame::split(&rest[..whole - 1]), Ok(None));
                let first = Frame::split(rest).unwrap().unwrap();
                prop_assert_eq!((&first.frame, first.sessions), (frame, &sessions[..]));
                rest = first.rest;
            }
            prop_assert_eq!(Frame::split(rest), Ok(None));
        }

        #[test]
        fn any_bytes_are_a_piece_or_the_start_of_one_or_strange(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            if let Ok(Some(first)) = Frame::split(&bytes) {
                prop_assert_eq!(Frame::SIZE + first.sessions.len() + first.rest.len(), bytes.len());
            }
        }
    }
}
