//! One who follows: sessions as they pass, for as long as the connection stands.
//!
//! Nobody waits for a follower. What it does not read in time is left out, and it is told how much that was.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use super::frame::{Direction, Directions, Frame, GREETING};
use crate::wire::session::Format;

/// How many bytes wait for one follower at most.
pub const ROOM: usize = 256 * 1024;

/// A connection over which sessions are told, over a stream that does not block.
#[derive(Debug)]
pub struct Follower<S> {
    stream: S,
    wanted: Directions,
    /// What was not sent yet. It never grows.
    waiting: VecDeque<u8>,
    /// How many updates were left out since the last header.
    dropped: u64,
    /// Whether the stream had no room.
    is_stuck: bool,
}

impl<S: Read + Write> Follower<S> {
    /// One who wants to know of those; takes 256 KiB of memory.
    pub fn new(stream: S, wanted: Directions) -> Self {
        let mut waiting = VecDeque::with_capacity(ROOM);
        waiting.extend(GREETING.as_bytes());
        Self {
            stream,
            wanted,
            waiting,
            dropped: 0,
            is_stuck: false,
        }
    }

    /// Has these sessions sent to it if it wants them; returns how many there was no room for. `time` is in
    /// milliseconds since 1970.
    pub fn tell(
        &mut self,
        direction: Direction,
        format: Format,
        time: u64,
        sessions: &[u8],
    ) -> u64 {
        if !self.wanted.include(direction) || sessions.is_empty() {
            return 0;
        }
        let frame = Frame {
            direction,
            format,
            dropped: self.dropped,
            time,
        };
        match frame.to_bytes(sessions.len()) {
            Some(header) if self.waiting.len() + header.len() + sessions.len() <= ROOM => {
                self.waiting.extend(header);
                self.waiting.extend(sessions);
                self.dropped = 0;
                0
            }
            _ => {
                let dropped = (sessions.len() / format.size()) as u64;
                self.dropped += dropped;
                dropped
            }
        }
    }

    /// Sends what the stream has room for.
    ///
    /// # Errors
    /// Those of write(2), but for [`io::ErrorKind::WouldBlock`].
    pub fn send(&mut self) -> io::Result<()> {
        while !self.is_stuck {
            if self.waiting.is_empty() && self.dropped > 0 {
                self.tell_dropped();
            }
            let (next, _) = self.waiting.as_slices();
            if next.is_empty() {
                break;
            }
            match self.stream.write(next) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_stuck = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next sessions may be long in coming.
    fn tell_dropped(&mut self) {
        let frame = Frame {
            direction: Direction::Out,
            format: Format::Flat,
            dropped: self.dropped,
            time: 0,
        };
        self.waiting.extend(frame.to_bytes(0).unwrap_or_default());
        self.dropped = 0;
    }

    /// The stream may have room again, or something to say; what that is does not matter. Returns whether
    /// there may be more of it.
    ///
    /// # Errors
    /// When it has gone.
    pub fn stir(&mut self) -> io::Result<bool> {
        self.is_stuck = false;
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream with room for so many bytes.
    #[derive(Debug, Default)]
    struct Pipe {
        room: usize,
        sent: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= length;
            self.sent.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Pipe {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    fn follower(wanted: Directions, room: usize) -> Follower<Pipe> {
        let sent = Vec::new();
        Follower::new(Pipe { room, sent }, wanted)
    }

    const SESSIONS: [u8; 40] = [7; 40];

    fn tell(follower: &mut Follower<Pipe>, direction: Direction) -> u64 {
        follower.tell(direction, Format::Flat, 5, &SESSIONS)
    }

    /// What was sent behind the greeting: of each piece the direction, how many were left out before it, and
    /// its bytes.
    fn pieces(follower: &Follower<Pipe>) -> Vec<(Direction, u64, usize)> {
        let sent = follower.stream.sent.strip_prefix(GREETING.as_bytes());
        let mut rest = sent.unwrap();
        let mut pieces = Vec::new();
        while let Some(first) = Frame::split(rest).unwrap() {
            let frame = first.frame;
            pieces.push((frame.direction, frame.dropped, first.sessions.len()));
            rest = first.rest;
        }
        assert!(rest.is_empty());
        pieces
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        for (wanted, told) in [
            (Directions::Out, &[Direction::Out][..]),
            (Directions::In, &[Direction::In]),
            (Directions::Both, &[Direction::Out, Direction::In]),
        ] {
            let mut follower = follower(wanted, usize::MAX);
            for direction in [Direction::Out, Direction::In] {
                assert_eq!(tell(&mut follower, direction), 0);
            }
            follower.tell(Direction::Out, Format::Flat, 5, &[]);
            follower.send().unwrap();
            let expected: Vec<_> = told.iter().map(|&one| (one, 0, 40)).collect();
            assert_eq!(pieces(&follower), expected);
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_and_counted_and_nothing_grows() {
        let mut follower = follower(Directions::Out, 1000);
        let taken = follower.waiting.capacity();
        let total = 100_000;
        let mut dropped = 0;
        for _ in 0..total {
            dropped += tell(&mut follower, Direction::Out);
            follower.send().unwrap();
        }
        assert!(dropped > 90_000);
        assert!(follower.waiting.len() <= ROOM);
        assert_eq!(follower.waiting.capacity(), taken);
        // It reads, but nothing more passes.
        follower.stream.room = usize::MAX;
        follower.send().unwrap();
        assert_eq!(
            follower.stream.sent.len(),
            1000,
            "nobody said that there is room"
        );
        assert!(!follower.stir().unwrap());
        follower.send().unwrap();
        let told = pieces(&follower);
        assert_eq!(told.last(), Some(&(Direction::Out, dropped, 0)));
        let bytes: usize = told.iter().map(|(_, _, length)| length).sum();
        assert_eq!(bytes as u64 / 40 + dropped, total);
        // It is not told twice.
        tell(&mut follower, Direction::Out);
        follower.send().unwrap();
        assert_eq!(pieces(&follower).last(), Some(&(Direction::Out, 0, 40)));
    }

    #[test]
    fn what_was_left_out_is_told_with_the_next_that_has_room() {
        let mut follower = follower(Directions::Out, 0);
        follower.send().unwrap();
        while tell(&mut follower, Direction::Out) == 0 {}
        follower.stream.room = 1000;
        follower.stir().unwrap();
        follower.send().unwrap();
        tell(&mut follower, Direction::Out);
        follower.stream.room = usize::MAX;
        follower.stir().unwrap();
        follower.send().unwrap();
        assert_eq!(pieces(&follower).last(), Some(&(Direction::Out, 1, 40)));
    }

    #[test]
    fn whoever_has_gone_is_found_out() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut follower = Follower::new(ours, Directions::Out);
        assert!(!follower.stir().unwrap());
        (&theirs).write_all(b"more").unwrap();
        assert!(follower.stir().unwrap());
        drop(theirs);
        assert!(follower.stir().is_err());
        assert!(follower.send().is_err());
    }
}
