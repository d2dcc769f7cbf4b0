//! How often something may happen.

use std::time::{Duration, Instant};

/// At most `burst` times at once, and one more each `pause`.
#[derive(Clone, Debug)]
pub struct Budget {
    pause: Duration,
    burst: u32,
    /// When all of the burst is there again.
    full: Instant,
}

impl Budget {
    /// All of the burst is there at `now`.
    pub fn new(now: Instant, pause: Duration, burst: u32) -> Self {
        Self {
            pause,
            burst,
            full: now,
        }
    }

    /// When it may happen next.
    pub fn next(&self) -> Instant {
        let ahead = self.pause * self.burst.saturating_sub(1);
        self.full.checked_sub(ahead).unwrap_or(self.full)
    }

    /// Whether it may happen at `now`, in which case it does.
    pub fn spend(&mut self, now: Instant) -> bool {
        if self.next() > now {
            return false;
        }
        self.full = self.full.max(now) + self.pause;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(10);

    /// How often it happens within that time, with a try each millisecond.
    fn times(budget: &mut Budget, start: Instant, milliseconds: u64) -> usize {
        let tries = (0..milliseconds).map(|step| start + Duration::from_millis(step));
        tries.filter(|&now| budget.spend(now)).count()
    }

    #[test]
    fn a_burst_and_then_one_each_pause() {
        let start = Instant::now();
        let mut budget = Budget::new(start, PAUSE, 4);
        assert_eq!(times(&mut budget, start, 100), 4 + 9);
    }

    #[test]
    fn after_a_quiet_time_there_is_one_burst_again_and_no_more() {
        let start = Instant::now();
        let mut budget = Budget::new(start, PAUSE, 4);
        times(&mut budget, start, 100);
        assert_eq!(times(&mut budget, start + Duration::from_secs(60), 1), 1);
        assert_eq!(
            times(&mut budget, start + Duration::from_secs(120), 100),
            13
        );
    }

    #[test]
    fn what_may_happen_next_may_happen_then() {
        let start = Instant::now();
        let mut budget = Budget::new(start, PAUSE, 2);
        for _ in 0..10 {
            let next = budget.next().max(start);
            assert!(budget.spend(next));
        }
    }
}
