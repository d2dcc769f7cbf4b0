//! What was sent lately, to be repeated for those who lost it.
//!
//! Memory is fixed: the bytes, and a slot for each 256 of them. Datagrams stand in the order of their
//! numbers, which have no gaps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::serial::ahead;

/// One slot for each so many bytes: where datagrams are shorter on average, the slots are what limits
/// their number.
const BYTES_PER_SLOT: usize = 256;

/// How long a datagram is not repeated again: whoever asked for it too has it under way.
const PAUSE: Duration = Duration::from_millis(15);

/// One datagram.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: usize,
    length: usize,
    sent: Instant,
    repeated: Option<Instant>,
}

impl Slot {
    /// Even one without a byte has a place: those behind it are newer.
    fn overlaps(&self, at: usize, length: usize) -> bool {
        self.at < at + length.max(1) && at < self.at + self.length.max(1)
    }
}

/// A datagram that is still known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<'a> {
    /// Its sessions.
    pub sessions: &'a [u8],
    /// When it was sent.
    pub when: Instant,
}

/// The last datagrams, up to some number of bytes.
#[derive(Debug)]
pub struct Ring {
    bytes: Box<[u8]>,
    slots: VecDeque<Slot>,
    /// Where the next datagram begins.
    next: usize,
    /// The number of the last one.
    last: u32,
}

impl Ring {
    /// Takes all the memory that it will ever have. `last` is the number of the last datagram, which is not
    /// there.
    pub fn new(bytes: usize, last: u32) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            slots: VecDeque::with_capacity((bytes / BYTES_PER_SLOT).max(1)),
            next: 0,
            last,
        }
    }

    /// The number of the oldest datagram that is still there; the next one's, if none is.
    pub fn oldest(&self) -> u32 {
        self.last
            .wrapping_add(1)
            .wrapping_sub(self.slots.len() as u32)
    }

    /// How many datagrams are there.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// How many bytes it keeps at most.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes were sent after the datagram of that number, as far as they are still there: all
    /// of them if it is not.
    pub fn bytes_after(&self, number: u32) -> usize {
        let index = ahead(self.oldest(), number.wrapping_add(1));
        let first =
            usize::try_from(index).map_or(self.slots.front(), |index| self.slots.get(index));
        match first {
            _ if index < 0 => self.size(),
            Some(first) if first.at < self.next => self.next - first.at,
            Some(first) => self.size() - first.at + self.next,
            None => 0,
        }
    }

    /// Keeps a datagram, whose number is the last one's and 1, in place of the oldest.
    pub fn record<'a>(
        &mut self,
        number: u32,
        when: Instant,
        pieces: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        let length = pieces.clone().map(<[u8]>::len).sum();
        if number != self.last.wrapping_add(1) || length > self.bytes.len() {
            self.slots.clear();
            self.next = 0;
        }
        self.last = number;
        if length > self.bytes.len() {
            return;
        }
        let at = self.make_room(length);
        let mut end = at;
        for piece in pieces {
            self.bytes[end..end + piece.len()].copy_from_slice(piece);
            end += piece.len();
        }
        self.next = end;
        self.slots.push_back(Slot {
            at,
            length,
            sent: when,
            repeated: None,
        });
    }

    /// Gives up the oldest as far as so many bytes need it; returns where they go.
    fn make_room(&mut self, length: usize) -> usize {
        if self.slots.len() == self.slots.capacity() {
            self.slots.pop_front();
        }
        let mut at = self.next;
        if at + length > self.bytes.len() {
            // The oldest stand behind the newest, up to the end.
            let end = self.next;
            self.give_up(|slot| slot.at >= end);
            at = 0;
        }
        self.give_up(|slot| slot.overlaps(at, length));
        at
    }

    fn give_up(&mut self, is_in_the_way: impl Fn(&Slot) -> bool) {
        while self.slots.front().is_some_and(&is_in_the_way) {
            self.slots.pop_front();
        }
    }

    /// The datagram of that number, to be repeated at `now`; nothing if it is not there any more,
    /// was not sent yet, or was repeated a moment ago.
    pub fn repeat(&mut self, number: u32, now: Instant) -> Option<Sent<'_>> {
        let index = usize::try_from(ahead(self.oldest(), number)).ok()?;
        let slot = self.slots.get_mut(index)?;
        if slot.repeated.is_some_and(|when| now < when + PAUSE) {
            return None;
        }
        slot.repeated = Some(now);
        Some(Sent {
            sessions: &self.bytes[slot.at..slot.at + slot.length],
            when: slot.sent,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(ring: &mut Ring, number: u32, length: usize) {
        let bytes = vec![number as u8; length];
        let (left, right) = bytes.split_at(length / 2);
        ring.record(number, Instant::now(), [left, right].into_iter());
    }

    /// The numbers that can be repeated, each with its own bytes.
    fn known(ring: &mut Ring, most: u32) -> Vec<u32> {
        let now = Instant::now();
        (0..=most)
            .filter(|&number| {
                ring.repeat(number, now).is_some_and(|sent| {
                    assert!(sent.sessions.iter().all(|&byte| byte == number as u8));
                    true
                })
            })
            .collect()
    }

    #[test]
    fn the_last_datagrams_can_be_repeated_and_the_oldest_give_way() {
        let mut ring = Ring::new(4096, 0);
        assert_eq!(ring.oldest(), 1);
        for number in 1..=5 {
            record(&mut ring, number, 1000);
        }
        assert_eq!(ring.oldest(), 2);
        assert_eq!(known(&mut ring, 9), [2, 3, 4, 5]);
    }

    #[test]
    fn small_ones_are_as_many_as_there_are_slots() {
        let mut ring = Ring::new(4096, 0);
        for number in 1..=100 {
            record(&mut ring, number, 40);
        }
        assert_eq!(ring.oldest(), 100 - 4096 / 256 + 1);
    }

    #[test]
    fn what_was_repeated_a_moment_ago_is_not_repeated() {
        let mut ring = Ring::new(4096, 0);
        record(&mut ring, 1, 40);
        let now = Instant::now();
        assert!(ring.repeat(1, now).is_some());
        assert!(ring.repeat(1, now).is_none());
        assert!(ring.repeat(1, now + PAUSE).is_some());
    }

    #[test]
    fn numbers_go_on_after_the_largest() {
        let mut ring = Ring::new(4096, 0);
        ring.last = u32::MAX - 1;
        record(&mut ring, u32::MAX, 40);
        record(&mut ring, 0, 40);
        assert_eq!(ring.oldest(), u32::MAX);
        assert!(ring.repeat(u32::MAX, Instant::now()).is_some());
        assert!(ring.repeat(0, Instant::now()).is_some());
        assert!(ring.repeat(1, Instant::now()).is_none());
    }

    #[test]
    fn one_that_is_larger_than_the_ring_is_not_kept_nor_anything_before_it() {
        let mut ring = Ring::new(1024, 0);
        record(&mut ring, 1, 40);
        record(&mut ring, 2, 1025);
        assert_eq!(ring.oldest(), 3);
        record(&mut ring, 3, 40);
        assert_eq!(known(&mut ring, 9), [3]);
    }

    #[test]
    fn what_was_sent_after_a_datagram_is_measured_around_the_end() {
        let mut ring = Ring::new(4096, 0);
        for number in 1..=3 {
            record(&mut ring, number, 1000);
        }
        assert_eq!(
            [0, 1, 2, 3, 9].map(|n| ring.bytes_after(n)),
            [3000, 2000, 1000, 0, 0]
        );
        record(&mut ring, 4, 1000);
        record(&mut ring, 5, 1000);
        // The 96 bytes at the end are passed over.
        assert_eq!(ring.bytes_after(3), 2096);
        assert_eq!(ring.bytes_after(0), ring.size(), "the first one is gone");
    }

    proptest! {
        #[test]
        fn whatever_the_lengths_the_newest_are_kept_whole_and_without_a_gap(
            lengths in prop::collection::vec(0usize..1500, 1..200),
        ) {
            let mut ring = Ring::new(8192, 0);
            let capacity = ring.slots.capacity();
            for (number, &length) in (1..).zip(&lengths) {
                record(&mut ring, number, length);
                prop_assert_eq!(ring.slots.capacity(), capacity);
            }
            let last = lengths.len() as u32;
            let known = known(&mut ring, last + 1);
            prop_assert_eq!(known, (ring.oldest()..=last).collect::<Vec<_>>());
            prop_assert!(last + 1 - ring.oldest() >= 4.min(last));
        }
    }
}
