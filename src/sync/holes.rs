//! How often something was lost that only the own table has, as the others are told.
//!
//! Each time they read the table again. While it goes on, they are told once in a while: a table that is read
//! anew all the time is never read to its end.

use std::time::{Duration, Instant};

/// The least time between two losses that are told apart: in that time, some 78,000 sessions of a table are
/// read.
const PAUSE: Duration = Duration::from_secs(3);

/// The losses of one node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holes {
    count: u32,
    told: Option<Instant>,
    due: Option<Instant>,
}

impl Holes {
    /// How many there were, as far as the others are told of them.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Something was lost, and is told as soon as may be.
    pub fn lose(&mut self, now: Instant) {
        let soonest = self.told.map_or(now, |told| (told + PAUSE).max(now));
        self.due.get_or_insert(soonest);
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
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.renew();
            self.told = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_go_on_are_told_at_once_and_then_each_three_seconds() {
        let (mut holes, start) = (Holes::default(), Instant::now());
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
        assert_eq!(told, [0, 30, 60]);
        assert_eq!((holes.count(), holes.due()), (3, None));
    }

    #[test]
    fn another_table_is_told_at_once_and_stands_for_what_was_lost_of_the_one_before() {
        let (mut holes, start) = (Holes::default(), Instant::now());
        holes.lose(start);
        assert!(holes.elapse(start));
        holes.lose(start);
        holes.renew();
        assert_eq!((holes.count(), holes.due()), (2, None));
    }
}
