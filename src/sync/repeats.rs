//! Which of the own datagrams others lack, and their repetition.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::ring::Ring;
use super::serial::ahead;
use crate::wire::extension::{Header, Kind, Node};
use crate::wire::session::{Format, retain};
use crate::wire::update::Update;

/// The most ranges that wait. What is left out is asked for again.
const MOST: usize = 256;

/// At most so many datagrams at once, and after that one each [`PAUSE`]: 1,000 a second.
const BURST: u32 = 32;
const PAUSE: Duration = Duration::from_millis(1);

/// What is to be repeated.
#[derive(Debug)]
pub struct Repeats {
    ranges: VecDeque<(u32, u32)>,
    budget: Budget,
}

impl Repeats {
    pub fn new(now: Instant) -> Self {
        Self {
            ranges: VecDeque::with_capacity(MOST),
            budget: Budget::new(now, PAUSE, BURST),
        }
    }

    /// Somebody lacks these, as far as they are known still: anybody may ask for anything, halfway around.
    pub fn want(&mut self, range: RangeInclusive<u32>, ring: &Ring) {
        let oldest = ring.oldest();
        let first = ahead(oldest, *range.start()).max(0);
        let last = ahead(oldest, *range.end()).min(ring.count() as i32 - 1);
        if first > last || self.ranges.len() >= MOST {
            return;
        }
        let number = |distance: i32| oldest.wrapping_add(distance as u32);
        let (first, last) = (number(first), number(last));
        // Whoever asks again while all of it is still to come gets it once.
        let holds = |&(a, b): &(u32, u32)| ahead(a, first) >= 0 && ahead(last, b) >= 0;
        if !self.ranges.iter().any(holds) {
            self.ranges.push_back((first, last));
        }
    }

    /// How many ranges wait.
    pub fn waiting(&self) -> usize {
        self.ranges.len()
    }

    /// When the next one may go.
    pub fn due(&self) -> Option<Instant> {
        (!self.ranges.is_empty()).then(|| self.budget.next())
    }

    /// Writes the next one, if it is due, and returns its length. Lifetimes have run on since it was
    /// sent.
    pub fn write(
        &mut self,
        now: Instant,
        node: Node,
        format: Format,
        ring: &mut Ring,
        room: &mut [u8],
    ) -> usize {
        if self.budget.next() > now {
            return 0;
        }
        while let Some(number) = self.next() {
            let Some(sent) = ring.repeat(number, now) else {
                continue;
            };
            let length = Header::SIZE + sent.sessions.len();
            let Some(message) = room.get_mut(..length) else {
                continue;
            };
            let kind = Kind::Repeat;
            let header = Header { kind, node, number };
            let (start, sessions) = message.split_at_mut(Header::SIZE);
            start.copy_from_slice(&header.to_bytes());
            sessions.copy_from_slice(sent.sessions);
            let age = now.saturating_duration_since(sent.when).as_millis();
            let left = grow_older(sessions, format, u32::try_from(age).unwrap_or(u32::MAX));
            self.budget.spend(now);
            return Header::SIZE + left;
        }
        0
    }

    fn next(&mut self) -> Option<u32> {
        let (first, last) = self.ranges.front_mut()?;
        let number = *first;
        if number == *last {
            self.ranges.pop_front();
        } else {
            *first = number.wrapping_add(1);
        }
        Some(number)
    }
}

/// Takes so many milliseconds from the lifetimes of sessions, as far as they are in that format, and returns how
/// many bytes are left. What has ended goes: with any lifetime it would seem to have been used later than it was.
fn grow_older(sessions: &mut [u8], format: Format, age: u32) -> usize {
    let size = format.size();
    // What is in no format of one length stays.
    let rest = sessions.len() - sessions.len() % size;
    let left = retain(sessions, size, |attribute| {
        Update::read(attribute, format).is_none_or(|update| update.expiration > age)
    });
    for attribute in sessions[..left].chunks_exact_mut(size) {
        if let Some(mut update) = Update::read(attribute, format) {
            update.expiration -= age;
            update.write(format, attribute);
        }
    }
    sessions.copy_within(rest.., left);
    left + sessions.len() - rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::{Session, example};

    const SESSION: [u8; Format::Flat.size()] = [0; Format::Flat.size()];

    /// How many of five datagrams are repeated at once, after that was asked for.
    fn repeated(ranges: &[(u32, u32)]) -> usize {
        let now = Instant::now();
        let mut ring = Ring::new(4096, 0);
        for number in 1..=5 {
            ring.record(number, now, [&SESSION[..]].into_iter());
        }
        let mut repeats = Repeats::new(now);
        for &(first, last) in ranges {
            repeats.want(first..=last, &ring);
        }
        let mut room = [0; Header::SIZE + SESSION.len()];
        let write = || repeats.write(now, 1, Format::Flat, &mut ring, &mut room);
        std::iter::repeat_with(write)
            .take_while(|&length| length > 0)
            .count()
    }

    #[test]
    fn what_is_asked_for_is_repeated_as_far_as_it_is_known() {
        assert_eq!(repeated(&[(2, 3), (5, 5)]), 3);
        assert_eq!(repeated(&[(u32::MAX - 10, 2), (5, 100)]), 3);
        assert_eq!(repeated(&[(6, 6), (u32::MAX, 0), (4, 3)]), 0);
    }

    #[test]
    fn what_has_ended_is_repeated_no_more() {
        let format = Format::Flat;
        let mut sessions: Vec<u8> = [3000, 1000, 1001, 1]
            .iter()
            .flat_map(|&lifetime| session(lifetime))
            .collect();
        let left = grow_older(&mut sessions, format, 1000);
        let expected: Vec<u8> = [2000, 1]
            .iter()
            .flat_map(|&lifetime| session(lifetime))
            .collect();
        assert_eq!(sessions[..left], expected);
        assert_eq!(grow_older(&mut sessions[..left], format, u32::MAX), 0);
    }

    fn session(expiration: u32) -> Vec<u8> {
        let session = Session {
            expiration,
            ..example()
        };
        let mut attribute = Vec::new();
        session.emit(Format::Flat, &mut attribute);
        attribute
    }

    #[test]
    fn who_asks_for_half_of_all_numbers_keeps_nobody_busy() {
        let half = 1 << 31;
        let empty = Ring::new(4096, 0);
        for (first, last) in [(half + 1, 0), (half, half + 6), (3, half), (0, u32::MAX)] {
            let mut repeats = Repeats::new(Instant::now());
            repeats.want(first..=last, &empty);
            assert_eq!(repeats.waiting(), 0);
            assert!(repeated(&[(first, last)]) <= 5);
        }
    }
}
