//! How often something was lost that only the own table has, as the others are told.
//!
//! Each time they read the table again. While it goes on, they are told once in a while: a table that is read
//! anew all the time is never read to its end.

use std::time::{Duration, Instant};

use super::budget::Budget;

/// So many losses are told at once, and after that one each [`PAUSE`]: in that time, some 78,000 sessions of a
/// table are read.
const BURST: u32 = 3;
const PAUSE: Duration = Duration::from_secs(3);

/// The losses of one node.
#[derive(Clone, Debug)]
pub struct Holes {
    count: u32,
    budget: Budget,
    due: Option<Instant>,
}

impl Holes {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        Self {
            count: 0,
            budget: Budget::new(now, PAUSE, BURST),
            due: None,
        }
    }

    /// How many there were, as far as the others are told of them.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Something was lost, and is told as soon as may be.
    pub fn lose(&mut self, now: Instant) {
        let soonest = self.budget.next();
        self.due.get_or_insert(soonest.max(now));
    }

    /// The table is another one.
    pub fn renew(&mut self) {
        (self.count, self.due) = (self.count.wrapping_add(1), None);
    }

    /// When the next one is told, if something was lost.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Tells of it, if it is time; returns whether it was.
    pub fn elapse(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now) && self.budget.spend(now);
        if is_due {
            self.renew();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_go_on_are_told_at_once_and_then_each_three_seconds() {
        let start = Instant::now();
        let mut holes = Holes::new(start);
        let mut told = Vec::new();
        for tenths in 0..80 {
            let now = start + Duration::from_millis(tenths * 100);
            if tenths < 40 {
                holes.lose(now);
            }
            if holes.elapse(now) {
                told.push(tenths);
            }
        }
        assert_eq!(told, [0, 1, 2, 30, 60]);
        assert_eq!((holes.count(), holes.due()), (5, None));
    }

    #[test]
    fn another_table_is_told_at_once_and_stands_for_what_was_lost_of_the_one_before() {
        let start = Instant::now();
        let mut holes = Holes::new(start);
        for _ in 0..BURST {
            holes.lose(start);
            assert!(holes.elapse(start));
        }
        holes.lose(start);
        assert!(!holes.elapse(start));
        holes.renew();
        assert_eq!((holes.count(), holes.due()), (BURST + 1, None));
    }
}
