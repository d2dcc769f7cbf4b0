//! What others have to give that the kernel did not take, for want of memory, for instance: all tables are read for
//! that. Where it goes on, that is done once in a while: a kernel without memory gains nothing by being asked
//! again and again.

use std::time::{Duration, Instant};

/// The least time between two times, at first; it is twice as long each time that something is refused again
/// before all was well for that long.
const PAUSE: Duration = Duration::from_secs(5);
const DOUBLINGS: u32 = 4;

/// Since when, and when something is done about it.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    since: Option<Instant>,
    /// When it may be done the next time.
    next: Instant,
    /// How often it was done in a row.
    times: u32,
}

impl Refused {
    /// Nothing yet.
    pub fn new(now: Instant) -> Self {
        Self {
            since: None,
            next: now,
            times: 0,
        }
    }

    /// Something was refused.
    pub fn note(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        if now > self.next + self.pause() {
            self.times = 0;
        }
    }

    /// Since when something is, about which nothing was done yet.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// When something is to be done about it.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since.max(self.next))
    }

    /// If it is time to do something about it: since when it is so.
    pub fn elapse(&mut self, now: Instant) -> Option<Instant> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        self.next = now + self.pause();
        self.times += 1;
        self.since.take()
    }

    fn pause(&self) -> Duration {
        PAUSE * (1 << self.times.min(DOUBLINGS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_all_the_time_has_tables_read_less_and_less_often() {
        let start = Instant::now();
        let mut refused = Refused::new(start);
        let mut times = Vec::new();
        for second in 0..200 {
            let now = start + Duration::from_secs(second);
            refused.note(now);
            if refused.elapse(now).is_some() {
                times.push(second);
            }
        }
        assert_eq!(times, [0, 5, 15, 35, 75, 155]);
    }

    #[test]
    fn after_a_while_without_it_is_done_at_once_again() {
        let start = Instant::now();
        let mut refused = Refused::new(start);
        for seconds in [0, 30, 60] {
            let now = start + Duration::from_secs(seconds);
            refused.note(now);
            assert_eq!(refused.elapse(now), Some(now));
        }
        assert_eq!(refused.times, 1);
    }
}
