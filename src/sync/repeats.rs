//! Which of the own datagrams others lack, and their repetition.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::ring::Ring;
use super::serial::ahead;
use crate::wire::extension::{Header, Kind, Node};
use crate::wire::session::Format;
use crate::wire::update::Update;

/// The most ranges that wait. What is left out is asked for again.
const MOST: usize = 256;

/// At most so many datagrams at once, and after that one each [`PAUSE`]: 2,000 a second.
const BURST: u32 = 32;
const PAUSE: Duration = Duration::from_micros(500);

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

    /// Somebody lacks these, as far as they are known still.
    pub fn want(&mut self, range: RangeInclusive<u32>, ring: &Ring, last: u32) {
        let (mut first, mut end) = range.into_inner();
        if ahead(first, ring.oldest()) > 0 {
            first = ring.oldest();
        }
        if ahead(end, last) < 0 {
            end = last;
        }
        if ahead(first, end) >= 0 && self.ranges.len() < MOST {
            self.ranges.push_back((first, end));
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
            grow_older(sessions, format, u32::try_from(age).unwrap_or(u32::MAX));
            self.budget.spend(now);
            return length;
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

/// Takes so many milliseconds from the lifetimes of sessions, as far as they are in that format.
fn grow_older(sessions: &mut [u8], format: Format, age: u32) {
    for attribute in sessions.chunks_exact_mut(format.size()) {
        if let Some(mut update) = Update::read(attribute, format) {
            update.expiration = update.expiration.saturating_sub(age).max(1);
            update.write(format, attribute);
        }
    }
}
