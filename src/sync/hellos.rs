//! When the others hear how this node is.

use std::time::{Duration, Instant};

/// After the last datagram of sessions: those who lost it learn that there was one.
const TAIL: Duration = Duration::from_millis(40);

/// The least time between two, whatever happens.
const PAUSE: Duration = Duration::from_micros(500);

/// The least time between two for which nothing but time is the reason.
const TAIL_PAUSE: Duration = Duration::from_millis(150);

/// When the next one is due.
#[derive(Clone, Copy, Debug)]
pub struct Hellos {
    due: Instant,
    tail: Option<Instant>,
    last: Option<Instant>,
}

impl Hellos {
    /// The first one is due at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            due: now,
            tail: None,
            last: None,
        }
    }

    pub fn due(&self) -> Instant {
        self.tail.map_or(self.due, |tail| tail.min(self.due))
    }

    /// A datagram of sessions went out.
    pub fn follow(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + TAIL_PAUSE);
        self.tail = Some(earliest.max(now + TAIL));
    }

    /// There is news that should not wait for longer than that.
    pub fn hasten(&mut self, due: Instant) {
        let earliest = self.last.map_or(due, |last| last + PAUSE);
        self.due = self.due.min(earliest.max(due));
    }

    /// Whether the last one went out before that.
    pub fn is_before(&self, time: Instant) -> bool {
        self.last.is_none_or(|last| last < time)
    }

    /// One goes out now, and the next one after `period`.
    pub fn said(&mut self, now: Instant, period: Duration) {
        *self = Self {
            due: now + period,
            tail: None,
            last: Some(now),
        };
    }
}
