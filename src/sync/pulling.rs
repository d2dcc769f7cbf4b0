//! Which table is read at the moment, and when it is asked for.

use std::time::{Duration, Instant};

use crate::wire::extension::Node;

/// How long an answer may take before it is asked for again, and how often that doubles.
const PATIENCE: Duration = Duration::from_millis(60);
const DOUBLINGS: u32 = 3;

/// How long the next part may take after one.
const NEXT: Duration = Duration::from_millis(25);

/// After how many requests in vain another node is asked.
const VAIN: u32 = 6;

/// One table at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulling {
    /// Whose.
    pub of: Option<Node>,
    pub due: Option<Instant>,
    times: u32,
}

impl Pulling {
    /// Something is to be read: it is asked for by `due` at the latest.
    pub fn plan(&mut self, due: Instant) {
        self.due.get_or_insert(due);
    }

    /// Nothing is to be read.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// That node is asked.
    pub fn asked(&mut self, now: Instant, of: Node, jitter: Duration) {
        if self.of != Some(of) {
            (self.of, self.times) = (Some(of), 0);
        }
        self.due = Some(now + PATIENCE * (1 << self.times.min(DOUBLINGS)) + jitter);
        self.times = self.times.saturating_add(1);
    }

    /// Whether another node should be asked, if there is one.
    pub fn is_in_vain(&self) -> bool {
        self.times >= VAIN
    }

    /// A part of that node's table came. `all` tells whether those that were asked for have.
    pub fn came(&mut self, now: Instant, of: Node, all: bool, jitter: Duration) {
        if self.of == Some(of) {
            self.times = 0;
            self.due = Some(if all { now } else { now + NEXT + jitter });
        }
    }

    /// Somebody else has just asked that node for the same.
    pub fn postpone(&mut self, now: Instant, jitter: Duration) {
        let until = now + NEXT + jitter;
        self.due = self.due.map(|due| due.max(until));
    }
}
